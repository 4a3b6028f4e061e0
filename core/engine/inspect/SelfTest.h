#pragma once
#include <functional>
#include <string>
#include <vector>

#include "core/base/Json.h"
#include "core/engine/Guard.h"

namespace trainyard::engine {

/// Called for each check as it ends: {"name", "passed", "detail"}; "passed" is null for one that could not be made.
using CheckSeen = std::function<void(const base::Json& check)>;

/// Small checks that every installation can run on itself in a few seconds, in a folder of its own under the temporary
/// folder: gradients against differences of the loss, each family trains a step, its TorchScript file computes the same
/// as the network, weights survive a safetensors file, two processes agree through Gloo where it is built in. With
/// `gpu` also: each GPU computes what the processor computes, and NCCL connects them; a missing GPU is then a failure.
/// Result {"passed", "checks": […]}. An Error only when the checks could not be begun.
[[nodiscard]] Result<base::Json> runSelfTest(bool gpu, const CheckSeen& seen);

/// One of the processes that runSelfTest() starts: words are folder, rank, world, backend. Returns the exit status;
/// what failed is on stderr.
[[nodiscard]] int runSelfTestRank(const std::vector<std::string>& words);

}  // namespace trainyard::engine
