// What moves elements without computing: shapes, order, slices, joins, types.
#include <ATen/ATen.h>

#include <limits>

#include "core/engine/export/onnx/OperatorTable.h"

namespace trainyard::engine {

namespace {

void identity(Call& c) { c.setResult(c.tensor("self")); }

void flatten(Call& c) {
    const std::int64_t start = c.dimension("start_dim", "self");
    if (start == 1 && c.resultExample().dim() == 2) {
        c.setResult(c.op("Flatten", {c.tensor("self")}, {{"axis", std::int64_t{1}}}));
        return;
    }
    c.setResult(c.reshapeToResult(c.tensor("self")));
}

/// reshape, view, unflatten, squeeze, unsqueeze: the result's sizes say it all.
void reshape(Call& c) { c.setResult(c.reshapeToResult(c.tensor("self"))); }

void squeezeAt(Call& c) {
    if (c.resultExample().dim() == c.rank("self")) {
        c.setResult(c.tensor("self"));
        return;
    }
    if (!c.has("dim")) {
        c.setResult(c.reshapeToResult(c.tensor("self")));
        return;
    }
    c.setResult(c.squeeze(c.tensor("self"), {c.dimension("dim", "self")}));
}

void unsqueezeAt(Call& c) {
    std::int64_t axis = c.integer("dim");
    axis += axis < 0 ? c.rank("self") + 1 : 0;
    c.setResult(c.unsqueeze(c.tensor("self"), {axis}));
}

void permute(Call& c) {
    std::vector<std::int64_t> order = c.integers("dims");
    for (std::int64_t& axis : order) {
        axis += axis < 0 ? c.rank("self") : 0;
    }
    c.setResult(c.op("Transpose", {c.tensor("self")}, {{"perm", order}}));
}

void transpose(Call& c) {
    std::vector<std::int64_t> order;
    for (std::int64_t i = 0; i < c.rank("self"); ++i) {
        order.push_back(i);
    }
    std::swap(order[static_cast<std::size_t>(c.dimension("dim0", "self"))],
              order[static_cast<std::size_t>(c.dimension("dim1", "self"))]);
    c.setResult(c.op("Transpose", {c.tensor("self")}, {{"perm", order}}));
}

void transposeMatrix(Call& c) {
    if (c.rank("self") < 2) {
        c.setResult(c.tensor("self"));
        return;
    }
    c.setResult(c.op("Transpose", {c.tensor("self")}, {{"perm", std::vector<std::int64_t>{1, 0}}}));
}

void cat(Call& c) {
    std::int64_t axis = c.integer("dim");
    axis += axis < 0 ? c.resultExample().dim() : 0;
    c.setResult(c.op("Concat", c.tensors("tensors"), {{"axis", axis}}));
}

void stack(Call& c) {
    std::int64_t axis = c.integer("dim");
    axis += axis < 0 ? c.resultExample().dim() : 0;
    std::vector<std::string> parts;
    for (const std::string& part : c.tensors("tensors")) {
        parts.push_back(c.unsqueeze(part, {axis}));
    }
    c.setResult(c.op("Concat", parts, {{"axis", axis}}));
}

/// chunk, split: equal or given parts along one dimension, which must not be the free one.
void split(Call& c) {
    const std::int64_t axis = c.dimension("dim", "self");
    if (!c.sizes("self")[static_cast<std::size_t>(axis)]) {
        c.unsupported("splits the batch dimension");
    }
    std::vector<std::int64_t> parts;
    const std::vector<at::Tensor> pieces = c.resultPieces();
    for (const at::Tensor& piece : pieces) {
        parts.push_back(piece.size(axis));
    }
    const auto count = static_cast<int>(parts.size());
    if (c.opset() >= 13) {
        c.setResultList(c.builder().addNode("Split", {c.tensor("self"), c.builder().int64Vector(parts)},
                                            {{"axis", axis}}, c.place(), count));
    } else {
        c.setResultList(
            c.builder().addNode("Split", {c.tensor("self")}, {{"axis", axis}, {"split", parts}}, c.place(), count));
    }
}

std::string sliceAlong(Call& c, const std::string& x, std::int64_t axis, std::int64_t start, std::int64_t end,
                       std::int64_t step) {
    OnnxBuilder& b = c.builder();
    return c.op("Slice",
                {x, b.int64Vector({start}), b.int64Vector({end}), b.int64Vector({axis}), b.int64Vector({step})});
}

void slice(Call& c) {
    const std::int64_t start = c.has("start") ? c.integer("start") : 0;
    const std::int64_t end = c.has("end") ? c.integer("end") : std::numeric_limits<std::int64_t>::max();
    const std::int64_t step = c.integer("step");
    if (start == 0 && end == std::numeric_limits<std::int64_t>::max() && step == 1) {
        c.setResult(c.tensor("self"));
        return;
    }
    c.setResult(sliceAlong(c, c.tensor("self"), c.dimension("dim", "self"), start, end, step));
}

void select(Call& c) {
    OnnxBuilder& b = c.builder();
    c.setResult(c.op("Gather", {c.tensor("self"), b.scalar(static_cast<double>(c.integer("index")), at::kLong)},
                     {{"axis", c.dimension("dim", "self")}}));
}

void expand(Call& c) { c.setResult(c.op("Expand", {c.tensor("self"), c.resultShape()})); }

void pad(Call& c) {
    if (c.has("mode") && c.text("mode") != "constant") {
        c.unsupported("pads with mode \"" + c.text("mode") + "\"");
    }
    // torch gives (begin, end) from the last dimension backwards, ONNX all begins and then all ends.
    const std::vector<std::int64_t> given = c.integers("pad");
    const auto rank = static_cast<std::size_t>(c.rank("self"));
    std::vector<std::int64_t> pads(2 * rank, 0);
    for (std::size_t i = 0; i < given.size() / 2; ++i) {
        pads[rank - 1 - i] = given[2 * i];
        pads[2 * rank - 1 - i] = given[2 * i + 1];
    }
    const double value = c.has("value") ? c.number("value") : 0.0;
    c.setResult(c.op("Pad", {c.tensor("self"), c.builder().int64Vector(pads), c.scalar(value, c.resultType())}));
}

/// to(…), type_as, float(): only the element type matters here.
void convert(Call& c) {
    c.setResult(c.type("self") == c.resultType() ? c.tensor("self") : c.cast(c.tensor("self"), c.resultType()));
}

void filled(Call& c, double value) { c.setResult(c.op("Expand", {c.scalar(value, c.resultType()), c.resultShape()})); }

void zeros(Call& c) { filled(c, 0.0); }

void ones(Call& c) { filled(c, 1.0); }

void full(Call& c) { filled(c, c.number("fill_value")); }

}  // namespace

void addShapeOperators(OperatorTable& table) {
    table["aten::contiguous"] = identity;
    table["aten::detach"] = identity;
    table["aten::clone"] = identity;
    table["aten::alias"] = identity;
    table["aten::flatten"] = flatten;
    table["aten::reshape"] = reshape;
    table["aten::view"] = reshape;
    table["aten::unflatten"] = reshape;
    table["aten::squeeze"] = squeezeAt;
    table["aten::unsqueeze"] = unsqueezeAt;
    table["aten::permute"] = permute;
    table["aten::transpose"] = transpose;
    table["aten::t"] = transposeMatrix;
    table["aten::cat"] = cat;
    table["aten::stack"] = stack;
    table["aten::chunk"] = split;
    table["aten::split"] = split;
    table["aten::split_with_sizes"] = split;
    table["aten::slice"] = slice;
    table["aten::select"] = select;
    table["aten::expand"] = expand;
    table["aten::expand_as"] = expand;
    table["aten::constant_pad_nd"] = pad;
    table["aten::pad"] = pad;
    table["aten::to"] = convert;
    table["aten::type_as"] = convert;
    table["aten::zeros"] = zeros;
    table["aten::zeros_like"] = zeros;
    table["aten::ones"] = ones;
    table["aten::ones_like"] = ones;
    table["aten::full"] = full;
    table["aten::full_like"] = full;
}

}  // namespace trainyard::engine
