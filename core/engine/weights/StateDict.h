#pragma once
#include "core/base/Files.h"
#include "core/engine/Guard.h"
#include "core/engine/model/Network.h"

namespace trainyard::engine {

/// Writes what torch.save(model.state_dict(), path) writes: a zip archive with an OrderedDict of tensors, in pickle
/// protocol 2. Python's torch.load opens it, with weights_only=True too, and model.load_state_dict() takes the result.
/// Tensors of number types, copied to the CPU and made contiguous. By temp, fsync and rename; held in memory meanwhile.
/// "weights.type", file.*.
[[nodiscard]] Status writeStateDict(const NamedTensors& tensors, const base::Path& path);

}  // namespace trainyard::engine
