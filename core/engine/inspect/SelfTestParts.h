#pragma once
// Inside core/engine/inspect only: the parts of the self-test. A check answers with what it found, for people.
#include <string>

#include "core/base/Files.h"
#include "core/engine/Guard.h"

namespace trainyard::engine {

/// Starts `world` processes of this program that meet through `backend` in `folder`, exchange known values and train a
/// step together. "selftest.ranks" with what the first failing one said.
[[nodiscard]] Result<std::string> checkCollectives(const base::Path& folder, const std::string& backend, int world);

/// GPUs that CUDA shows to this process.
[[nodiscard]] int visibleGpus();
/// A matrix product, a convolution network's loss and gradients, and ten training steps on the GPU against the
/// processor's.
[[nodiscard]] Result<std::string> checkGpu(int index);

}  // namespace trainyard::engine
