#pragma once
// Compares what two runtimes gave for one input.
#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace trainyard::engine {

struct OutputComparison {
    double maxAbs = 0;       ///< Largest absolute difference over all outputs.
    double maxRelative = 0;  ///< maxAbs divided by the largest output of the reference.
    double maxOutput = 0;    ///< Largest absolute output of the reference.
    double allowed = 0;      ///< Tolerance of the type times max(1, maxOutput).
    /// Of outputs {N, C}: whether the largest column agrees in every row where the first two columns are further apart than
    /// twice the tolerance; nullopt when there is no such output.
    std::optional<bool> argmaxEqual;
    /// "verify.shape", "verify.not_finite", "verify.outputs_swapped", "verify.outputs_differ", "verify.argmax"
    std::vector<std::pair<std::string, std::string>> problems;
};

/// `names` are the ONNX file's outputs in order; `label` tells the input in messages.
[[nodiscard]] OutputComparison compareOutputs(const std::vector<at::Tensor>& expected, const std::vector<at::Tensor>& actual,
                                              const std::vector<std::string>& names, const std::string& label);

}  // namespace trainyard::engine
