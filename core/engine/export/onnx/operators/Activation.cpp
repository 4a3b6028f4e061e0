// Element by element: activations and one-argument functions.
#include <ATen/ATen.h>

#include <cmath>

#include "core/engine/export/onnx/OperatorTable.h"

namespace trainyard::engine {

namespace {

template <const char* kType>
void same(Call& c) {
    c.setResult(c.op(kType, {c.tensor("self")}));
}

constexpr char kRelu[] = "Relu";
constexpr char kSigmoid[] = "Sigmoid";
constexpr char kTanh[] = "Tanh";
constexpr char kExp[] = "Exp";
constexpr char kLog[] = "Log";
constexpr char kSqrt[] = "Sqrt";
constexpr char kAbs[] = "Abs";
constexpr char kNeg[] = "Neg";
constexpr char kErf[] = "Erf";
constexpr char kFloor[] = "Floor";
constexpr char kCeil[] = "Ceil";
constexpr char kSin[] = "Sin";
constexpr char kCos[] = "Cos";

std::string clip(Call& c, const std::string& value, std::optional<double> low, std::optional<double> high) {
    const at::ScalarType type = c.resultType();
    return c.op("Clip", {value, low ? c.scalar(*low, type) : "", high ? c.scalar(*high, type) : ""});
}

void relu6(Call& c) { c.setResult(clip(c, c.tensor("self"), 0.0, 6.0)); }

void hardtanh(Call& c) { c.setResult(clip(c, c.tensor("self"), c.number("min_val"), c.number("max_val"))); }

void clamp(Call& c) {
    if ((c.has("min") && c.isTensor("min")) || (c.has("max") && c.isTensor("max"))) {
        c.unsupported("is limited by tensors");
    }
    c.setResult(clip(c, c.tensor("self"), c.has("min") ? std::optional(c.number("min")) : std::nullopt,
                     c.has("max") ? std::optional(c.number("max")) : std::nullopt));
}

void clampMin(Call& c) { c.setResult(clip(c, c.tensor("self"), c.number("min"), std::nullopt)); }

void hardsigmoid(Call& c) {
    c.setResult(c.op("HardSigmoid", {c.tensor("self")}, {{"alpha", 1.0 / 6.0}, {"beta", 0.5}}));
}

void hardswish(Call& c) {
    const std::string x = c.tensor("self");
    if (c.opset() >= 14) {
        c.setResult(c.op("HardSwish", {x}));
        return;
    }
    c.setResult(c.op("Mul", {x, c.op("HardSigmoid", {x}, {{"alpha", 1.0 / 6.0}, {"beta", 0.5}})}));
}

void silu(Call& c) {
    const std::string x = c.tensor("self");
    c.setResult(c.op("Mul", {x, c.op("Sigmoid", {x})}));
}

void mish(Call& c) {
    const std::string x = c.tensor("self");
    c.setResult(c.op("Mul", {x, c.op("Tanh", {c.op("Softplus", {x})})}));
}

void softplus(Call& c) {
    if (c.number("beta") != 1.0) {
        c.unsupported("has a beta other than 1");
    }
    c.setResult(c.op("Softplus", {c.tensor("self")}));
}

void gelu(Call& c) {
    const std::string x = c.tensor("self");
    const at::ScalarType type = c.resultType();
    const std::string half = c.op("Mul", {x, c.scalar(0.5, type)});
    if (c.has("approximate") && c.text("approximate") == "tanh") {
        const std::string cube = c.op("Mul", {c.op("Mul", {x, x}), x});
        const std::string inner = c.op("Add", {x, c.op("Mul", {cube, c.scalar(0.044715, type)})});
        const std::string tanh = c.op("Tanh", {c.op("Mul", {inner, c.scalar(std::sqrt(2.0 / M_PI), type)})});
        c.setResult(c.op("Mul", {half, c.op("Add", {tanh, c.scalar(1.0, type)})}));
        return;
    }
    const std::string erf = c.op("Erf", {c.op("Mul", {x, c.scalar(M_SQRT1_2, type)})});
    c.setResult(c.op("Mul", {half, c.op("Add", {erf, c.scalar(1.0, type)})}));
}

void leakyRelu(Call& c) { c.setResult(c.op("LeakyRelu", {c.tensor("self")}, {{"alpha", c.number("negative_slope")}})); }

void elu(Call& c) {
    if (c.number("scale") != 1.0 || c.number("input_scale") != 1.0) {
        c.unsupported("has scales other than 1");
    }
    c.setResult(c.op("Elu", {c.tensor("self")}, {{"alpha", c.number("alpha")}}));
}

void prelu(Call& c) {
    std::string slope = c.tensor("weight");
    const std::int64_t channels = c.example("weight").numel();
    if (channels > 1) {
        std::vector<std::int64_t> shape(static_cast<std::size_t>(c.rank("self") - 1), 1);
        shape[0] = channels;
        slope = c.op("Reshape", {slope, c.builder().int64Vector(shape)});
    }
    c.setResult(c.op("PRelu", {c.tensor("self"), slope}));
}

void rsqrt(Call& c) { c.setResult(c.op("Reciprocal", {c.op("Sqrt", {c.tensor("self")})})); }

void reciprocal(Call& c) { c.setResult(c.op("Reciprocal", {c.tensor("self")})); }

/// Nothing happens outside training. In training the result would be random.
void dropout(Call& c) {
    if (c.boolean("train")) {
        c.unsupported("is in training mode");
    }
    // The in-place form names its argument otherwise.
    c.setResult(c.tensor(c.isTensor("input") ? "input" : "self"));
}

/// Softmax of opsets 11 and 12 flattens the input at `axis`, so there the axis must be the last one.
void softmaxLike(Call& c, const char* type) {
    const std::int64_t rank = c.rank("self");
    const std::int64_t axis = c.dimension("dim", "self");
    std::string x = c.tensor("self");
    if (c.type("self") != c.resultType()) {
        x = c.cast(x, c.resultType());
    }
    if (c.opset() >= 13 || axis == rank - 1) {
        c.setResult(c.op(type, {x}, {{"axis", axis}}));
        return;
    }
    std::vector<std::int64_t> order;
    for (std::int64_t i = 0; i < rank; ++i) {
        order.push_back(i);
    }
    std::swap(order[static_cast<std::size_t>(axis)], order.back());
    const std::string y = c.op(type, {c.op("Transpose", {x}, {{"perm", order}})}, {{"axis", rank - 1}});
    c.setResult(c.op("Transpose", {y}, {{"perm", order}}));
}

void softmax(Call& c) { softmaxLike(c, "Softmax"); }

void logSoftmax(Call& c) { softmaxLike(c, "LogSoftmax"); }

}  // namespace

void addActivationOperators(OperatorTable& table) {
    table["aten::relu"] = same<kRelu>;
    table["aten::sigmoid"] = same<kSigmoid>;
    table["aten::tanh"] = same<kTanh>;
    table["aten::exp"] = same<kExp>;
    table["aten::log"] = same<kLog>;
    table["aten::sqrt"] = same<kSqrt>;
    table["aten::abs"] = same<kAbs>;
    table["aten::neg"] = same<kNeg>;
    table["aten::erf"] = same<kErf>;
    table["aten::floor"] = same<kFloor>;
    table["aten::ceil"] = same<kCeil>;
    table["aten::sin"] = same<kSin>;
    table["aten::cos"] = same<kCos>;
    table["aten::relu6"] = relu6;
    table["aten::hardtanh"] = hardtanh;
    table["aten::clamp"] = clamp;
    table["aten::clamp_min"] = clampMin;
    table["aten::hardsigmoid"] = hardsigmoid;
    table["aten::hardswish"] = hardswish;
    table["aten::silu"] = silu;
    table["aten::mish"] = mish;
    table["aten::softplus"] = softplus;
    table["aten::gelu"] = gelu;
    table["aten::leaky_relu"] = leakyRelu;
    table["aten::elu"] = elu;
    table["aten::prelu"] = prelu;
    table["aten::rsqrt"] = rsqrt;
    table["aten::reciprocal"] = reciprocal;
    table["aten::dropout"] = dropout;
    table["aten::feature_dropout"] = dropout;
    table["aten::softmax"] = softmax;
    table["aten::log_softmax"] = logSoftmax;
}

}  // namespace trainyard::engine
