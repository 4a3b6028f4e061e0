// Pooling and resizing.
#include <ATen/ATen.h>

#include "core/engine/export/onnx/OperatorTable.h"

namespace trainyard::engine {

namespace {

std::int64_t flag(bool value) { return value ? 1 : 0; }

/// An empty stride means the kernel's size.
std::vector<std::int64_t> strideOf(Call& c, const std::vector<std::int64_t>& kernel) {
    const auto& value = c.slot("stride").a;
    return value.isNone() || (value.isIntList() && value.toIntVector().empty()) ? kernel
                                                                                : c.integers("stride", kernel.size());
}

void maxPool(Call& c) {
    const auto spatial = static_cast<std::size_t>(c.rank("self") - 2);
    const auto kernel = c.integers("kernel_size", spatial);
    c.setResult(c.op("MaxPool", {c.tensor("self")},
                     {{"kernel_shape", kernel},
                      {"strides", strideOf(c, kernel)},
                      {"pads", bothSides(c.integers("padding", spatial))},
                      {"dilations", c.integers("dilation", spatial)},
                      {"ceil_mode", flag(c.boolean("ceil_mode"))}}));
}

void averagePool(Call& c) {
    if (c.has("divisor_override")) {
        c.unsupported("uses divisor_override");
    }
    const auto spatial = static_cast<std::size_t>(c.rank("self") - 2);
    const auto kernel = c.integers("kernel_size", spatial);
    c.setResult(c.op("AveragePool", {c.tensor("self")},
                     {{"kernel_shape", kernel},
                      {"strides", strideOf(c, kernel)},
                      {"pads", bothSides(c.integers("padding", spatial))},
                      {"ceil_mode", flag(c.boolean("ceil_mode"))},
                      {"count_include_pad", flag(c.boolean("count_include_pad"))}}));
}

/// ONNX has no adaptive pooling: all of the input, none of it, or windows of one size where it divides.
void adaptiveAveragePool(Call& c) {
    const auto in = c.sizes("self");
    const auto out = c.resultSizes();
    bool global = true;
    bool same = true;
    std::vector<std::int64_t> kernel;
    for (std::size_t i = 2; i < out.size(); ++i) {
        global = global && out[i] == 1;
        same = same && out[i] == in[i];
        if (!in[i] || !out[i] || *in[i] % *out[i] != 0) {
            c.unsupported("pools to a size that does not divide its input's");
        }
        kernel.push_back(*in[i] / *out[i]);
    }
    if (same) {
        c.setResult(c.tensor("self"));
    } else if (global) {
        c.setResult(c.op("GlobalAveragePool", {c.tensor("self")}));
    } else {
        c.setResult(c.op("AveragePool", {c.tensor("self")}, {{"kernel_shape", kernel}, {"strides", kernel}}));
    }
}

void resize(Call& c, const std::string& mode, const std::string& coordinates) {
    const auto empty = c.constant("roi", at::empty({0}, at::kFloat));
    const auto scales = c.constant("scales", at::empty({0}, at::kFloat));
    Attributes attributes{{"mode", mode}, {"coordinate_transformation_mode", coordinates}};
    if (mode == "nearest") {
        attributes.push_back({"nearest_mode", std::string("floor")});
    }
    c.setResult(c.op("Resize", {c.tensor("self"), empty, scales, c.resultShape()}, attributes));
}

void upsampleNearest(Call& c) { resize(c, "nearest", "asymmetric"); }

void upsampleBilinear(Call& c) {
    resize(c, "linear", c.boolean("align_corners") ? "align_corners" : "pytorch_half_pixel");
}

}  // namespace

void addPoolingOperators(OperatorTable& table) {
    table["aten::max_pool1d"] = maxPool;
    table["aten::max_pool2d"] = maxPool;
    table["aten::max_pool3d"] = maxPool;
    table["aten::avg_pool1d"] = averagePool;
    table["aten::avg_pool2d"] = averagePool;
    table["aten::avg_pool3d"] = averagePool;
    table["aten::adaptive_avg_pool1d"] = adaptiveAveragePool;
    table["aten::adaptive_avg_pool2d"] = adaptiveAveragePool;
    table["aten::adaptive_avg_pool3d"] = adaptiveAveragePool;
    table["aten::upsample_nearest2d"] = upsampleNearest;
    table["aten::upsample_bilinear2d"] = upsampleBilinear;
}

}  // namespace trainyard::engine
