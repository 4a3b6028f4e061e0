#include "core/engine/export/onnx/OutputComparison.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <sstream>

#include "core/base/Text.h"
#include "core/engine/export/onnx/OnnxBuilder.h"
#include "core/engine/export/onnx/Proof.h"

namespace trainyard::engine {

namespace {

std::string sizesOf(const at::Tensor& tensor) {
    std::ostringstream text;
    text << tensor.sizes();
    return text.str();
}

double largestOf(const at::Tensor& tensor) { return tensor.numel() == 0 ? 0.0 : tensor.abs().max().item<double>(); }

bool agree(const at::Tensor& a, const at::Tensor& b, double allowed) {
    return a.sizes() == b.sizes() && largestOf(a - b) <= allowed;
}

/// The columns of `actual` that hold another column of `expected`, as "0 and 3"; empty when that is not what happened.
std::string swappedColumns(const at::Tensor& expected, const at::Tensor& actual, double allowed) {
    if (expected.dim() != 2 || expected.size(1) < 2 || expected.size(1) > 1024) {
        return {};
    }
    std::string moved;
    std::vector<bool> taken(static_cast<std::size_t>(expected.size(1)), false);
    for (std::int64_t j = 0; j < actual.size(1); ++j) {
        const at::Tensor column = actual.select(1, j);
        const at::Tensor distance = (expected - column.unsqueeze(1)).abs().amax(0);
        const bool stays = distance[j].item<double>() <= allowed;
        const std::int64_t k = stays ? j : distance.argmin().item<std::int64_t>();
        if (distance[k].item<double>() > allowed || taken[static_cast<std::size_t>(k)]) {
            return {};
        }
        taken[static_cast<std::size_t>(k)] = true;
        if (!stays) {
            moved += (moved.empty() ? "" : " and ") + std::to_string(j);
        }
    }
    return moved;
}

std::optional<bool> sameLargest(const at::Tensor& expected, const at::Tensor& actual, double allowed) {
    if (expected.dim() != 2 || expected.size(1) < 2 || expected.size(0) == 0) {
        return std::nullopt;
    }
    const auto top = expected.topk(2, 1);
    const at::Tensor clear = (std::get<0>(top).select(1, 0) - std::get<0>(top).select(1, 1)).gt(2 * allowed);
    const at::Tensor equal = std::get<1>(top).select(1, 0).eq(actual.argmax(1));
    return equal.logical_or(clear.logical_not()).all().item<bool>();
}

}  // namespace

std::vector<double> outputScales(const std::vector<std::vector<at::Tensor>>& expected) {
    std::vector<double> scales;
    for (const std::vector<at::Tensor>& outputs : expected) {
        scales.resize(std::max(scales.size(), outputs.size()), 0.0);
        for (std::size_t i = 0; i < outputs.size(); ++i) {
            // NaN and infinities are reported on their own.
            const double largest = largestOf(outputs[i].to(at::kDouble).nan_to_num(0.0, 0.0, 0.0));
            scales[i] = std::max(scales[i], largest);
        }
    }
    return scales;
}

OutputComparison compareOutputs(const std::vector<at::Tensor>& expected, const std::vector<at::Tensor>& actual,
                                const std::vector<double>& scales, const std::vector<std::string>& names,
                                const std::string& label) {
    OutputComparison out;
    if (expected.size() != actual.size()) {
        out.problems.emplace_back("verify.shape", "The model gives " + std::to_string(expected.size()) +
                                                      " outputs, the ONNX file " + std::to_string(actual.size()) + ".");
        return out;
    }
    std::vector<double> allowed;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        out.maxOutput = std::max(out.maxOutput, largestOf(expected[i].to(at::kDouble)));
        allowed.push_back(toleranceOf(onnxType(expected[i].scalar_type())) * scales[i]);
        out.allowed = std::max(out.allowed, allowed.back());
    }
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const std::string name = i < names.size() ? names[i] : std::to_string(i);
        if (expected[i].sizes() != actual[i].sizes() || expected[i].scalar_type() != actual[i].scalar_type()) {
            out.problems.emplace_back("verify.shape", "On " + label + " the output \"" + name + "\" has the shape " +
                                                          sizesOf(actual[i]) + " where the model gives " +
                                                          sizesOf(expected[i]) + ", or another element type.");
            continue;
        }
        const at::Tensor a = expected[i].to(at::kDouble);
        const at::Tensor b = actual[i].to(at::kDouble);
        if (!a.isfinite().all().item<bool>() || !b.isfinite().all().item<bool>()) {
            out.problems.emplace_back("verify.not_finite",
                                      "On " + label + " the output \"" + name + "\" holds NaN or infinity.");
            continue;
        }
        const double difference = largestOf(a - b);
        out.maxAbs = std::max(out.maxAbs, difference);
        const std::optional<bool> largest = sameLargest(a, b, allowed[i]);
        if (largest) {
            out.argmaxEqual = out.argmaxEqual.value_or(true) && *largest;
        }
        if (difference <= allowed[i]) {
            if (largest == false) {
                out.problems.emplace_back("verify.argmax",
                                          "On " + label + " another class of \"" + name + "\" is the largest.");
            }
            continue;
        }
        for (std::size_t j = 0; j < expected.size(); ++j) {
            if (j != i && agree(expected[j].to(at::kDouble), b, allowed[j])) {
                out.problems.emplace_back("verify.outputs_swapped",
                                          "On " + label + " the ONNX file's output \"" + name +
                                              "\" holds what the model gives as output " + std::to_string(j) + ".");
            }
        }
        if (const std::string moved = swappedColumns(a, b, allowed[i]); !moved.empty()) {
            out.problems.emplace_back("verify.outputs_swapped", "On " + label + " columns " + moved +
                                                                    " of the output \"" + name +
                                                                    "\" have changed places.");
        }
        out.problems.emplace_back("verify.outputs_differ", "On " + label + " the output \"" + name +
                                                               "\" differs by up to " +
                                                               base::formatSignificant(difference) + "; at most " +
                                                               base::formatSignificant(allowed[i]) + " is allowed.");
    }
    out.maxRelative = out.maxOutput > 0 ? out.maxAbs / out.maxOutput : out.maxAbs;
    return out;
}

}  // namespace trainyard::engine
