// Sums, means and extremes along dimensions.
#include <ATen/ATen.h>

#include "core/engine/export/onnx/OperatorTable.h"

namespace trainyard::engine {

namespace {

/// Reduced dimensions counted from 0; empty means all of them.
std::vector<std::int64_t> axesOf(Call& c) {
    if (!c.has("dim")) {
        return {};
    }
    std::vector<std::int64_t> axes = c.integers("dim");
    for (std::int64_t& axis : axes) {
        axis += axis < 0 ? c.rank("self") : 0;
    }
    return axes;
}

void reduce(Call& c, const std::string& type) {
    std::string x = c.tensor("self");
    if (c.type("self") != c.resultType()) {
        x = c.cast(x, c.resultType());
    }
    const std::vector<std::int64_t> axes = axesOf(c);
    const std::int64_t keep = !axes.empty() && c.has("keepdim") && c.boolean("keepdim") ? 1 : 0;
    Attributes attributes{{"keepdims", keep}};
    std::vector<std::string> inputs{x};
    if (type == "ReduceSum" && c.opset() >= 13) {
        if (!axes.empty()) {
            inputs.push_back(c.builder().int64Vector(axes));
        }
    } else if (!axes.empty()) {
        attributes.push_back({"axes", axes});
    }
    c.setResult(c.op(type, inputs, attributes));
}

void mean(Call& c) { reduce(c, "ReduceMean"); }

void sum(Call& c) { reduce(c, "ReduceSum"); }

void largest(Call& c) { reduce(c, "ReduceMax"); }

void smallest(Call& c) { reduce(c, "ReduceMin"); }

void argmax(Call& c) {
    if (!c.has("dim")) {
        c.unsupported("looks for the largest of all elements");
    }
    c.setResult(c.op("ArgMax", {c.tensor("self")},
                     {{"axis", c.dimension("dim", "self")}, {"keepdims", std::int64_t{c.boolean("keepdim") ? 1 : 0}}}));
}

}  // namespace

void addReductionOperators(OperatorTable& table) {
    table["aten::mean"] = mean;
    table["aten::sum"] = sum;
    table["aten::amax"] = largest;
    table["aten::amin"] = smallest;
    table["aten::argmax"] = argmax;
}

}  // namespace trainyard::engine
