#include "core/engine/export/onnx/OperatorTable.h"

#include <torch/script.h>

#include "core/engine/export/Failure.h"
#include "core/engine/export/onnx/Lowering.h"

namespace trainyard::engine {

namespace {

bool equalConstants(const Slot& slot) {
    if (slot.tainted) {
        return false;
    }
    if (slot.a.isTensor()) {
        return slot.a.is(slot.b);
    }
    return slot.a == slot.b;
}

std::vector<std::optional<std::int64_t>> commonSizes(const Slot& slot) {
    const auto a = slot.a.toTensor().sizes();
    const auto b = slot.b.toTensor().sizes();
    std::vector<std::optional<std::int64_t>> out;
    for (std::size_t i = 0; i < a.size(); ++i) {
        out.push_back(i < b.size() && a[i] == b[i] ? std::optional(a[i]) : std::nullopt);
    }
    return out;
}

}  // namespace

std::vector<std::int64_t> bothSides(const std::vector<std::int64_t>& padding) {
    std::vector<std::int64_t> pads = padding;
    pads.insert(pads.end(), padding.begin(), padding.end());
    return pads;
}

const OperatorTable& operatorTable() {
    static const OperatorTable kTable = [] {
        OperatorTable table;
        addConvolutionOperators(table);
        addPoolingOperators(table);
        addActivationOperators(table);
        addArithmeticOperators(table);
        addNormalizationOperators(table);
        addShapeOperators(table);
        addReductionOperators(table);
        return table;
    }();
    return kTable;
}

Call::Call(Lowering& lowering, const torch::jit::Node& node, std::vector<Slot*> inputs, std::vector<Slot>& outputs)
    : m_lowering(lowering), m_node(node), m_inputs(std::move(inputs)), m_outputs(outputs) {}

Slot* Call::find(const char* argument) const {
    const auto index = m_node.schema().argumentIndexWithName(argument);
    return index && static_cast<std::size_t>(*index) < m_inputs.size() ? m_inputs[static_cast<std::size_t>(*index)]
                                                                       : nullptr;
}

const Slot& Call::slot(const char* argument) const {
    const Slot* found = find(argument);
    if (found == nullptr) {
        unsupported(std::string("has no argument \"") + argument + "\"");
    }
    return *found;
}

const Slot& Call::constantSlot(const char* argument) const {
    const Slot& found = slot(argument);
    if (!equalConstants(found)) {
        throw ExportFailure("export.dynamic",
                            std::string("The argument \"") + argument + "\" of " + where() + " depends on the " +
                                (found.tainted ? "input's values" : "batch size") +
                                "; it must be a constant to be exported.",
                            "model");
    }
    return found;
}

bool Call::has(const char* argument) const {
    const Slot* found = find(argument);
    return found != nullptr && !found->a.isNone() && !(found->a.isTensor() && !found->a.toTensor().defined());
}

bool Call::isTensor(const char* argument) const {
    const Slot* found = find(argument);
    return found != nullptr && found->a.isTensor();
}

std::int64_t Call::integer(const char* argument) const { return constantSlot(argument).a.toScalar().toLong(); }

double Call::number(const char* argument) const { return constantSlot(argument).a.toScalar().toDouble(); }

bool Call::boolean(const char* argument) const { return constantSlot(argument).a.toBool(); }

std::string Call::text(const char* argument) const { return constantSlot(argument).a.toStringRef(); }

std::vector<std::int64_t> Call::integers(const char* argument, std::size_t count) const {
    const c10::IValue& value = constantSlot(argument).a;
    std::vector<std::int64_t> list = value.isInt() ? std::vector<std::int64_t>{value.toInt()} : value.toIntVector();
    if (count > 0 && list.size() == 1) {
        list.resize(count, list[0]);
    }
    if (count > 0 && list.size() != count) {
        unsupported(std::string("has ") + std::to_string(list.size()) + " values for \"" + argument + "\" where " +
                    std::to_string(count) + " are needed");
    }
    return list;
}

std::string Call::tensor(const char* argument) const {
    Slot* found = find(argument);
    if (found == nullptr || !found->a.isTensor()) {
        unsupported(std::string("has no tensor \"") + argument + "\"");
    }
    return m_lowering.materialize(*found, m_node);
}

std::optional<std::string> Call::parameterBehind(const char* argument) const {
    const Slot& found = slot(argument);
    if (!equalConstants(found) || !found.transposed || found.origin.empty()) {
        return std::nullopt;
    }
    Slot parameter;
    parameter.a = found.a.toTensor().t();
    parameter.b = parameter.a;
    parameter.origin = found.origin;
    return m_lowering.materialize(parameter, m_node);
}

std::string Call::tensorOrScalar(const char* argument, at::ScalarType wanted) const {
    if (!isTensor(argument)) {
        return scalar(number(argument), wanted);
    }
    const std::string name = tensor(argument);
    return type(argument) == wanted ? name : cast(name, wanted);
}

std::vector<std::string> Call::tensors(const char* argument) const {
    Slot* found = find(argument);
    if (found == nullptr || found->elements.empty()) {
        unsupported(std::string("has a list \"") + argument + "\" whose tensors are not known one by one");
    }
    std::vector<std::string> names;
    for (Slot& element : found->elements) {
        names.push_back(m_lowering.materialize(element, m_node));
    }
    return names;
}

const at::Tensor& Call::example(const char* argument) const { return slot(argument).a.toTensor(); }

std::int64_t Call::rank(const char* argument) const { return example(argument).dim(); }

at::ScalarType Call::type(const char* argument) const { return example(argument).scalar_type(); }

std::vector<std::optional<std::int64_t>> Call::sizes(const char* argument) const { return commonSizes(slot(argument)); }

std::int64_t Call::dimension(const char* argument, const char* of) const {
    const std::int64_t value = integer(argument);
    return value < 0 ? value + rank(of) : value;
}

const at::Tensor& Call::resultExample(std::size_t output) const { return m_outputs[output].a.toTensor(); }

std::vector<std::optional<std::int64_t>> Call::resultSizes(std::size_t output) const {
    return commonSizes(m_outputs[output]);
}

at::ScalarType Call::resultType(std::size_t output) const { return resultExample(output).scalar_type(); }

std::vector<at::Tensor> Call::resultPieces() const { return m_outputs[0].a.toTensorVector(); }

void Call::setResult(const std::string& value, std::size_t output) { m_outputs[output].onnx = value; }

void Call::setResultList(const std::vector<std::string>& values) {
    Slot& whole = m_outputs[0];
    const auto a = whole.a.toTensorVector();
    const auto b = whole.b.toTensorVector();
    if (a.size() != values.size() || b.size() != values.size()) {
        unsupported("gives a list whose length depends on the batch size");
    }
    whole.elements.clear();
    for (std::size_t i = 0; i < values.size(); ++i) {
        Slot element;
        element.a = a[i];
        element.b = b[i];
        element.tainted = true;
        element.onnx = values[i];
        whole.elements.push_back(std::move(element));
    }
}

OnnxBuilder& Call::builder() const { return m_lowering.builder(); }

std::string Call::op(const std::string& opType, const std::vector<std::string>& inputs,
                     const Attributes& attributes) const {
    return builder().addNode(opType, inputs, attributes, place())[0];
}

std::string Call::constant(const std::string& wanted, const at::Tensor& value) const {
    const std::string at = place();
    return builder().addInitializer(at.empty() ? wanted : at + "." + wanted, value);
}

std::string Call::scalar(double value, at::ScalarType scalarType) const { return builder().scalar(value, scalarType); }

std::string Call::resultShape() const {
    return m_lowering.shapeVector(m_outputs[0].a.toTensor().sizes().vec(), m_outputs[0].b.toTensor().sizes().vec(),
                                  place());
}

std::string Call::reshapeToResult(const std::string& value) const {
    const auto wanted = resultSizes();
    std::vector<std::int64_t> sizes;
    std::size_t free = 0;
    bool empty = false;
    for (const auto& size : wanted) {
        sizes.push_back(size.value_or(-1));
        free += size ? 0 : 1;
        empty = empty || size == 0;
    }
    // One free size is told by the others; more have to be computed from the batch.
    const std::string shape = free <= 1 && !empty ? builder().int64Vector(sizes) : resultShape();
    return op("Reshape", {value, shape});
}

std::string Call::cast(const std::string& value, at::ScalarType wanted) const {
    return op("Cast", {value}, {{"to", static_cast<std::int64_t>(onnxType(wanted))}});
}

std::string Call::unsqueeze(const std::string& value, const std::vector<std::int64_t>& axes) const {
    return opset() >= 13 ? op("Unsqueeze", {value, builder().int64Vector(axes)})
                         : op("Unsqueeze", {value}, {{"axes", axes}});
}

std::string Call::squeeze(const std::string& value, const std::vector<std::int64_t>& axes) const {
    return opset() >= 13 ? op("Squeeze", {value, builder().int64Vector(axes)})
                         : op("Squeeze", {value}, {{"axes", axes}});
}

std::string Call::place() const { return m_lowering.placeOf(m_node); }

std::string Call::where() const { return m_lowering.whereIs(m_node); }

void Call::unsupported(const std::string& what) const {
    throw ExportFailure("export.unsupported", "The operator " + where() + " " + what + "; that cannot be exported.",
                        "model");
}

}  // namespace trainyard::engine
