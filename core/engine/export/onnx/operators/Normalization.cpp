// Normalisations, with the statistics that training left behind.
#include <ATen/ATen.h>

#include "core/engine/export/onnx/OperatorTable.h"

namespace trainyard::engine {

namespace {

void batchNorm(Call& c) {
    if (c.boolean("training")) {
        c.unsupported("normalises by the batch's own statistics (training mode)");
    }
    if (!c.has("running_mean") || !c.has("running_var")) {
        c.unsupported("keeps no running statistics");
    }
    const std::int64_t channels = c.example("running_mean").numel();
    const auto type = at::TensorOptions().dtype(c.type("running_mean"));
    const std::string scale = c.has("weight") ? c.tensor("weight") : c.constant("weight", at::ones({channels}, type));
    const std::string bias = c.has("bias") ? c.tensor("bias") : c.constant("bias", at::zeros({channels}, type));
    // torch's momentum is the new value's share, ONNX's the old one's.
    c.setResult(c.op("BatchNormalization",
                     {c.tensor("input"), scale, bias, c.tensor("running_mean"), c.tensor("running_var")},
                     {{"epsilon", c.number("eps")}, {"momentum", 1.0 - c.number("momentum")}}));
}

void layerNorm(Call& c) {
    const auto count = static_cast<std::int64_t>(c.integers("normalized_shape").size());
    const std::string x = c.tensor("input");
    if (c.opset() >= 17 && c.has("weight")) {
        std::vector<std::string> inputs{x, c.tensor("weight")};
        if (c.has("bias")) {
            inputs.push_back(c.tensor("bias"));
        }
        c.setResult(c.op("LayerNormalization", inputs, {{"axis", -count}, {"epsilon", c.number("eps")}}));
        return;
    }
    std::vector<std::int64_t> axes;
    for (std::int64_t i = -count; i < 0; ++i) {
        axes.push_back(i);
    }
    const Attributes reduce{{"axes", axes}, {"keepdims", std::int64_t{1}}};
    const std::string centred = c.op("Sub", {x, c.op("ReduceMean", {x}, reduce)});
    const std::string variance = c.op("ReduceMean", {c.op("Mul", {centred, centred})}, reduce);
    const std::string deviation = c.op("Sqrt", {c.op("Add", {variance, c.scalar(c.number("eps"), c.resultType())})});
    std::string y = c.op("Div", {centred, deviation});
    if (c.has("weight")) {
        y = c.op("Mul", {y, c.tensor("weight")});
    }
    if (c.has("bias")) {
        y = c.op("Add", {y, c.tensor("bias")});
    }
    c.setResult(y);
}

void groupNorm(Call& c) {
    const std::int64_t groups = c.integer("num_groups");
    const auto type = at::TensorOptions().dtype(c.type("input"));
    const auto in = c.sizes("input");
    if (!in[1]) {
        c.unsupported("gets a number of channels that follows the batch");
    }
    // Instance normalisation over groups: batch × groups × everything else.
    const std::string grouped = c.op("Reshape", {c.tensor("input"), c.builder().int64Vector({0, groups, -1})});
    const std::string normal =
        c.op("InstanceNormalization",
             {grouped, c.constant("ones", at::ones({groups}, type)), c.constant("zeros", at::zeros({groups}, type))},
             {{"epsilon", c.number("eps")}});
    std::string y = c.reshapeToResult(normal);
    std::vector<std::int64_t> shape(static_cast<std::size_t>(c.rank("input") - 1), 1);
    shape[0] = *in[1];
    if (c.has("weight")) {
        y = c.op("Mul", {y, c.op("Reshape", {c.tensor("weight"), c.builder().int64Vector(shape)})});
    }
    if (c.has("bias")) {
        y = c.op("Add", {y, c.op("Reshape", {c.tensor("bias"), c.builder().int64Vector(shape)})});
    }
    c.setResult(y);
}

}  // namespace

void addNormalizationOperators(OperatorTable& table) {
    table["aten::batch_norm"] = batchNorm;
    table["aten::layer_norm"] = layerNorm;
    table["aten::group_norm"] = groupNorm;
}

}  // namespace trainyard::engine
