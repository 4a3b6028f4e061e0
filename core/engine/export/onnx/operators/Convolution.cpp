// Convolutions and linear layers.
#include <ATen/ATen.h>

#include "core/engine/export/onnx/OperatorTable.h"

namespace trainyard::engine {

namespace {

struct Window {
    std::vector<std::int64_t> stride;
    std::vector<std::int64_t> padding;  ///< Empty: by `autoPad`.
    std::vector<std::int64_t> dilation;
    std::string autoPad;
};

std::string weight(Call& c) { return c.tensor("weight"); }

void convolve(Call& c, const Window& window, bool transposed, const std::vector<std::int64_t>& outputPadding) {
    if (c.rank("input") != c.rank("weight")) {
        c.unsupported("gets an input without a batch dimension");
    }
    const auto kernel = c.example("weight").sizes().slice(2).vec();
    Attributes attributes{{"kernel_shape", kernel},
                          {"strides", window.stride},
                          {"dilations", window.dilation},
                          {"group", c.integer("groups")}};
    if (window.autoPad.empty()) {
        attributes.push_back({"pads", bothSides(window.padding)});
    } else {
        attributes.push_back({"auto_pad", window.autoPad});
    }
    if (transposed) {
        attributes.push_back({"output_padding", outputPadding});
    }
    std::vector<std::string> inputs{c.tensor("input"), weight(c)};
    if (c.has("bias")) {
        inputs.push_back(c.tensor("bias"));
    }
    c.setResult(c.op(transposed ? "ConvTranspose" : "Conv", inputs, attributes));
}

void convNd(Call& c) {
    const auto spatial = static_cast<std::size_t>(c.rank("weight") - 2);
    Window window{c.integers("stride", spatial), {}, c.integers("dilation", spatial), {}};
    if (c.slot("padding").a.isString()) {
        const std::string padding = c.text("padding");
        // ONNX's SAME_UPPER is torch's "same" only while nothing is skipped; torch forbids strides with it too.
        window.autoPad = padding == "same" ? "SAME_UPPER" : "VALID";
    } else {
        window.padding = c.integers("padding", spatial);
    }
    convolve(c, window, false, {});
}

void convTransposeNd(Call& c) {
    const auto spatial = static_cast<std::size_t>(c.rank("weight") - 2);
    convolve(c, {c.integers("stride", spatial), c.integers("padding", spatial), c.integers("dilation", spatial), {}},
             true, c.integers("output_padding", spatial));
}

void convolution(Call& c) {
    const auto spatial = static_cast<std::size_t>(c.rank("weight") - 2);
    convolve(c, {c.integers("stride", spatial), c.integers("padding", spatial), c.integers("dilation", spatial), {}},
             c.boolean("transposed"), c.integers("output_padding", spatial));
}

void linear(Call& c) {
    if (c.rank("input") == 2) {
        c.setResult(c.op("Gemm", {c.tensor("input"), weight(c), c.has("bias") ? c.tensor("bias") : ""},
                         {{"transB", std::int64_t{1}}}));
        return;
    }
    // Gemm takes matrices only.
    const std::string factor = c.op("Transpose", {weight(c)}, {{"perm", std::vector<std::int64_t>{1, 0}}});
    const std::string product = c.op("MatMul", {c.tensor("input"), factor});
    c.setResult(c.has("bias") ? c.op("Add", {product, c.tensor("bias")}) : product);
}

/// beta * self + alpha * mat1 @ mat2
void addmm(Call& c) {
    const std::optional<std::string> parameter = c.parameterBehind("mat2");
    c.setResult(
        c.op("Gemm", {c.tensor("mat1"), parameter ? *parameter : c.tensor("mat2"), c.tensor("self")},
             {{"alpha", c.number("alpha")}, {"beta", c.number("beta")}, {"transB", std::int64_t{parameter ? 1 : 0}}}));
}

void matmul(Call& c) {
    const char* other = c.isTensor("other") ? "other" : "mat2";
    c.setResult(c.op("MatMul", {c.tensor("self"), c.tensor(other)}));
}

void embedding(Call& c) { c.setResult(c.op("Gather", {weight(c), c.tensor("indices")}, {{"axis", std::int64_t{0}}})); }

}  // namespace

void addConvolutionOperators(OperatorTable& table) {
    table["aten::conv1d"] = convNd;
    table["aten::conv2d"] = convNd;
    table["aten::conv3d"] = convNd;
    table["aten::_convolution"] = convolution;
    table["aten::convolution"] = convolution;
    table["aten::conv_transpose1d"] = convTransposeNd;
    table["aten::conv_transpose2d"] = convTransposeNd;
    table["aten::conv_transpose3d"] = convTransposeNd;
    table["aten::linear"] = linear;
    table["aten::addmm"] = addmm;
    table["aten::mm"] = matmul;
    table["aten::bmm"] = matmul;
    table["aten::matmul"] = matmul;
    table["aten::embedding"] = embedding;
}

}  // namespace trainyard::engine
