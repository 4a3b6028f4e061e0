#pragma once
#include "core/base/Json.h"
#include "core/engine/Guard.h"

namespace trainyard::engine {

/// Request {"source": path of a file of weights, "family", "options"?, "input_shape": [C, H, W], "classes"}. Result:
/// what toJson() of a match says, and "path", "parameters" (the network's). Errors: those of readWeightFile and
/// matchWeights, of the family's table.
[[nodiscard]] Result<base::Json> runWeightsVerb(const base::Json& request);

}  // namespace trainyard::engine
