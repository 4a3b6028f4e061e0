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
    double allowed = 0;      ///< Tolerance of the type times the scale of the output; the largest of all outputs.
    /// Of outputs {N, C}: whether the largest column agrees in every row where the first two columns are further apart
    /// than twice the tolerance; nullopt when there is no such output.
    std::optional<bool> argmaxEqual;
    /// "verify.shape", "verify.not_finite", "verify.outputs_swapped", "verify.outputs_differ", "verify.argmax"
    std::vector<std::pair<std::string, std::string>> problems;
};

/// Largest absolute value of each output over all inputs: what a difference is measured against. Not per input, because
/// one whose outputs happen to cancel out says nothing about the precision; and no fixed bound, because a model may
/// give 1e-8.
[[nodiscard]] std::vector<double> outputScales(const std::vector<std::vector<at::Tensor>>& expected);

/// `names` are the ONNX file's outputs in order; `label` tells the input in messages.
[[nodiscard]] OutputComparison compareOutputs(const std::vector<at::Tensor>& expected,
                                              const std::vector<at::Tensor>& actual, const std::vector<double>& scales,
                                              const std::vector<std::string>& names, const std::string& label);

}  // namespace trainyard::engine
