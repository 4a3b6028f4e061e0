#pragma once
#include "core/base/Json.h"
#include "core/engine/Guard.h"

namespace trainyard::engine {

/// Small checks that every installation can run on itself in a few seconds, in a folder of its own under the temporary
/// folder: each family trains a step, its TorchScript file computes the same as the network, weights survive a
/// safetensors file, a collective works where Gloo is built in. Result {"passed", "checks": [{"name","passed","detail"}]}.
[[nodiscard]] Result<base::Json> runSelfTest();

}  // namespace trainyard::engine
