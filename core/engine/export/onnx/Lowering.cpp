#include "core/engine/export/onnx/Lowering.h"

#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/runtime/operator.h>
#include <torch/script.h>

#include <algorithm>
#include <array>

#include "core/engine/export/Failure.h"
#include "core/engine/export/onnx/OperatorTable.h"

namespace trainyard::engine {

namespace {

/// Operators whose result depends on the shape or the type of their tensor alone.
bool asksShapeOnly(const std::string& kind) {
    static constexpr std::array kNames{"aten::size",       "aten::dim",        "aten::len",
                                       "aten::numel",      "aten::ndimension", "aten::is_floating_point",
                                       "aten::is_complex", "aten::__is__",     "aten::__isnot__",
                                       "prim::dtype",      "prim::device",     "prim::is_cuda",
                                       "prim::layout",     "prim::ndim",       "prim::requires_grad"};
    return std::find(kNames.begin(), kNames.end(), kind) != kNames.end();
}

bool holdsTensors(const c10::IValue& value) {
    return value.isTensor() || value.isTensorList() || value.isTuple() ||
           (value.isList() && value.toListRef().size() > 0 && value.toListRef()[0].isTensor());
}

bool sameTensor(const at::Tensor& a, const at::Tensor& b) {
    return a.defined() == b.defined() &&
           (!a.defined() || (a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() && a.equal(b)));
}

bool equalInBoth(const Slot& slot) {
    if (slot.a.isTensor() && slot.b.isTensor()) {
        return slot.a.toTensor().is_same(slot.b.toTensor()) || sameTensor(slot.a.toTensor(), slot.b.toTensor());
    }
    if (slot.a.isObject() || holdsTensors(slot.a)) {
        return slot.a.is(slot.b);
    }
    return slot.a == slot.b;
}

bool sharesStorage(const at::Tensor& a, const at::Tensor& b) {
    return a.defined() && b.defined() && a.has_storage() && b.has_storage() && a.storage().is_alias_of(b.storage());
}

std::string firstLines(const std::string& text, std::size_t count) {
    std::string out;
    std::size_t from = 0;
    while (count-- > 0 && from < text.size()) {
        const std::size_t end = std::min(text.find('\n', from), text.size());
        out += (out.empty() ? "" : "\n") + text.substr(from, end - from);
        from = end + 1;
    }
    return out;
}

}  // namespace

Lowering::Lowering(OnnxBuilder& builder, const torch::jit::Module& module, LoweringOptions options)
    : m_builder(builder), m_module(module), m_options(std::move(options)) {}

void Lowering::run() {
    at::NoGradGuard noGrad;
    const auto method = m_module.find_method("forward");
    if (!method) {
        throw ExportFailure("export.signature", "The model has no forward().", "model");
    }
    const std::shared_ptr<torch::jit::Graph> graph = method->graph()->copy();
    torch::jit::Inline(*graph);
    if (graph->inputs().size() != 2 || !graph->inputs()[1]->type()->isSubtypeOf(*c10::TensorType::get())) {
        throw ExportFailure("export.signature",
                            "forward() must take exactly one tensor; this model's takes " +
                                std::to_string(graph->inputs().size() - 1) + " arguments.",
                            "model");
    }
    // Two primes far from the sizes of usual layers: a size that follows the batch is a multiple of them.
    m_batchA = m_options.dynamicBatch ? 5 : m_options.batch;
    m_batchB = m_options.dynamicBatch ? 7 : m_options.batch;
    const auto example = [&](std::int64_t batch) {
        std::vector<std::int64_t> sizes{batch};
        sizes.insert(sizes.end(), m_options.inputShape.begin(), m_options.inputShape.end());
        return at::isFloatingType(m_options.inputType) ? at::randn(sizes).to(m_options.inputType)
                                                       : at::zeros(sizes, m_options.inputType);
    };
    Slot self;
    self.a = m_module._ivalue();
    self.b = m_module._ivalue();
    m_slots[graph->inputs()[0]] = self;

    Slot input;
    input.a = example(m_batchA);
    input.b = m_options.dynamicBatch ? c10::IValue(example(m_batchB)) : input.a;
    input.tainted = true;
    input.onnx = m_options.inputName;
    std::vector<Dimension> dimensions;
    dimensions.push_back(m_options.dynamicBatch ? Dimension("batch") : Dimension(m_options.batch));
    dimensions.insert(dimensions.end(), m_options.inputShape.begin(), m_options.inputShape.end());
    m_builder.addInput(m_options.inputName, m_options.inputType, dimensions);
    m_slots[graph->inputs()[1]] = input;

    walk(*graph->block());

    Slot result = slotOf(graph->outputs()[0], *graph->return_node());
    writeOutputs(result);
}

void Lowering::writeOutputs(Slot& slot) {
    std::vector<Slot*> outputs;
    if (slot.a.isTensor()) {
        outputs.push_back(&slot);
    } else {
        explainList(slot);
        for (Slot& element : slot.elements) {
            if (!element.a.isTensor()) {
                throw ExportFailure("export.signature", "forward() must return tensors, in a tuple or list at most.",
                                    "model");
            }
            outputs.push_back(&element);
        }
    }
    if (outputs.empty()) {
        throw ExportFailure("export.signature", "forward() returns no tensor.", "model");
    }
    std::vector<std::string> names = m_options.outputNames;
    if (names.empty()) {
        for (std::size_t i = 0; i < outputs.size(); ++i) {
            names.push_back(outputs.size() == 1 ? "output" : "output_" + std::to_string(i));
        }
    }
    if (names.size() != outputs.size()) {
        throw ExportFailure("export.name",
                            "The model has " + std::to_string(outputs.size()) + " outputs, but " +
                                std::to_string(names.size()) + " names were given.",
                            "output_names");
    }
    const torch::jit::Node& end = *m_module.get_method("forward").graph()->return_node();
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        const std::string value = materialize(*outputs[i], end);
        m_builder.addOutput(value, names[i], outputs[i]->a.toTensor().scalar_type(), outputDimensions(*outputs[i]));
    }
}

std::vector<Dimension> Lowering::outputDimensions(const Slot& slot) const {
    std::vector<Dimension> out;
    const auto a = slot.a.toTensor().sizes();
    const auto b = slot.b.toTensor().sizes();
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (a[i] == b[i]) {
            out.emplace_back(a[i]);
        } else {
            out.emplace_back(std::string(a[i] == m_batchA && b[i] == m_batchB ? "batch" : ""));
        }
    }
    return out;
}

std::string Lowering::placeOf(const torch::jit::Node& node) const {
    std::string path;
    if (const auto stack = node.callstack()) {
        for (const auto& entry : (*stack)->vec()) {
            const auto& info = std::get<2>(entry);
            if (!info) {
                continue;
            }
            const std::string name = info->instance_name();
            if (!name.empty() && name != "SELF" && name != "INSTANCE_NAME_UNKNOWN") {
                path += (path.empty() ? "" : ".") + name;
            }
        }
    }
    if (path.empty()) {
        for (const JitValue* input : node.inputs()) {
            const auto found = m_slots.find(input);
            if (found != m_slots.end() && found->second.a.isTensor()) {
                const std::string& origin = found->second.origin;
                if (const std::size_t dot = origin.rfind('.'); dot != std::string::npos) {
                    return origin.substr(0, dot);
                }
            }
        }
    }
    return path;
}

std::string Lowering::whereIs(const torch::jit::Node& node) const {
    const std::string place = placeOf(node);
    std::string text =
        std::string(node.kind().toQualString()) + " at " + (place.empty() ? "the model's forward()" : place);
    if (const auto at = node.sourceRange().file_line_col()) {
        text += " (" + std::get<0>(*at) + ":" + std::to_string(std::get<1>(*at)) + ")";
    }
    return text;
}

Slot& Lowering::slotOf(const JitValue* value, const torch::jit::Node& user) {
    const auto found = m_slots.find(value);
    if (found == m_slots.end()) {
        throw ExportFailure("export.operator",
                            "The value %" + value->debugName() + " that is used by " + whereIs(user) +
                                " is not computed on the way through the model.",
                            "model");
    }
    if (found->second.stale) {
        throw ExportFailure("export.in_place",
                            "The input of " + whereIs(user) +
                                " is a view of a tensor that was changed in place meanwhile; ONNX has "
                                "no way to say that. Use the operator's out-of-place form.",
                            "model");
    }
    return found->second;
}

const Slot& Lowering::decided(const JitValue* value, const torch::jit::Node& user, const char* what) {
    const Slot& slot = slotOf(value, user);
    if (slot.tainted || !equalInBoth(slot)) {
        throw ExportFailure("export.data_dependent",
                            std::string(what) + " of " + whereIs(user) + " depends on " +
                                (slot.tainted ? "the input's values" : "the batch size") +
                                ", so the model takes different ways for different inputs. That cannot be exported.",
                            "model");
    }
    return slot;
}

std::string Lowering::materialize(Slot& slot, const torch::jit::Node& user) {
    if (slot.stale) {
        throw ExportFailure("export.in_place", "The input of " + whereIs(user) + " was changed in place meanwhile.",
                            "model");
    }
    if (!slot.onnx.empty()) {
        return slot.onnx;
    }
    if (!slot.a.isTensor() || slot.tainted || !equalInBoth(slot)) {
        throw ExportFailure(
            "export.dynamic",
            "An input of " + whereIs(user) + " follows the batch size in a way that cannot be exported.", "model");
    }
    std::string wanted = slot.origin;
    if (wanted.empty()) {
        const std::string place = placeOf(user);
        slot.onnx = m_builder.addInitializer(place.empty() ? "constant" : place + ".constant", slot.a.toTensor());
        return slot.onnx;
    }
    wanted += slot.transposed ? ".t" : "";
    std::string& written = m_written[wanted];
    if (written.empty()) {
        written = m_builder.addInitializer(wanted, slot.a.toTensor());
    }
    slot.onnx = written;
    return slot.onnx;
}

std::string Lowering::shapeVector(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b,
                                  const std::string& place) {
    if (a == b) {
        return m_builder.int64Vector(a);
    }
    if (m_batchScalar.empty()) {
        const std::string shape = m_builder.addNode("Shape", {m_options.inputName}, {}, "batch")[0];
        m_batchScalar =
            m_builder.addNode("Gather", {shape, m_builder.int64Vector({0})}, {{"axis", std::int64_t{0}}}, "batch")[0];
    }
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (a[i] == b[i]) {
            parts.push_back(m_builder.int64Vector({a[i]}));
            continue;
        }
        if (a[i] % m_batchA != 0 || b[i] != a[i] / m_batchA * m_batchB) {
            throw ExportFailure("export.dynamic",
                                "A size at " + (place.empty() ? std::string("the model's forward()") : place) +
                                    " follows the batch, but not as a multiple of it.",
                                "model");
        }
        const std::int64_t factor = a[i] / m_batchA;
        parts.push_back(factor == 1
                            ? m_batchScalar
                            : m_builder.addNode("Mul", {m_batchScalar, m_builder.int64Vector({factor})}, {}, place)[0]);
    }
    return parts.size() == 1 ? parts[0] : m_builder.addNode("Concat", parts, {{"axis", std::int64_t{0}}}, place)[0];
}

void Lowering::walk(torch::jit::Block& block) {
    for (torch::jit::Node* node : block.nodes()) {
        visit(*node);
    }
}

void Lowering::visit(torch::jit::Node& node) {
    const std::string kind = node.kind().toQualString();
    if (kind == "prim::Constant") {
        Slot slot;
        const auto value = torch::jit::toIValue(node.output());
        slot.a = value ? *value : c10::IValue();
        slot.b = slot.a;
        m_slots[node.output()] = std::move(slot);
    } else if (kind == "prim::GetAttr") {
        visitAttribute(node);
    } else if (kind == "prim::ListConstruct" || kind == "prim::TupleConstruct") {
        visitConstruct(node);
    } else if (kind == "prim::ListUnpack" || kind == "prim::TupleUnpack") {
        visitUnpack(node);
    } else if (kind == "prim::If") {
        visitIf(node);
    } else if (kind == "prim::Loop") {
        visitLoop(node);
    } else if (kind == "prim::RaiseException") {
        throw ExportFailure("export.raises",
                            "The model raises an exception for this input shape: " + whereIs(node) + ".",
                            "input_shape");
    } else if (kind == "prim::Uninitialized") {
        m_slots[node.output()] = Slot{};
    } else if (kind == "prim::unchecked_cast" || kind == "aten::_unwrap_optional" ||
               kind == "prim::unchecked_unwrap_optional") {
        m_slots[node.output()] = slotOf(node.input(0), node);
    } else if (kind == "aten::append") {
        visitAppend(node);
    } else if ((kind == "aten::__getitem__" || kind == "prim::TupleIndex") && visitElement(node)) {
        return;
    } else {
        visitOperator(node);
    }
}

void Lowering::visitAttribute(torch::jit::Node& node) {
    const Slot& object = slotOf(node.input(), node);
    const std::string& name = node.s(torch::jit::attr::name);
    Slot slot;
    slot.a = object.a.toObject()->getAttr(name);
    slot.b = slot.a;
    slot.origin = object.origin.empty() ? name : object.origin + "." + name;
    m_slots[node.output()] = std::move(slot);
}

void Lowering::visitConstruct(torch::jit::Node& node) {
    Slot slot;
    torch::jit::Stack a, b;
    for (const JitValue* input : node.inputs()) {
        const Slot& element = slotOf(input, node);
        a.push_back(element.a);
        b.push_back(element.b);
        slot.tainted = slot.tainted || element.tainted;
        slot.elements.push_back(element);
    }
    const auto together = [&](torch::jit::Stack parts) -> c10::IValue {
        if (node.kind() == torch::jit::prim::TupleConstruct) {
            return c10::ivalue::Tuple::create(std::move(parts));
        }
        c10::impl::GenericList list(node.output()->type()->expectRef<c10::ListType>().getElementType());
        for (c10::IValue& part : parts) {
            list.push_back(std::move(part));
        }
        return list;
    };
    slot.a = together(std::move(a));
    slot.b = together(std::move(b));
    m_slots[node.output()] = std::move(slot);
}

void Lowering::explainList(Slot& slot) const {
    if (!slot.elements.empty()) {
        return;
    }
    const auto spread = [](const c10::IValue& value) -> std::vector<c10::IValue> {
        if (value.isTuple()) {
            const auto& elements = value.toTupleRef().elements();
            return std::vector<c10::IValue>(elements.begin(), elements.end());
        }
        if (value.isList()) {
            const auto list = value.toList();
            return std::vector<c10::IValue>(list.begin(), list.end());
        }
        return {};
    };
    const auto a = spread(slot.a);
    const auto b = spread(slot.b);
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        Slot element;
        element.a = a[i];
        element.b = b[i];
        element.tainted = slot.tainted;
        slot.elements.push_back(std::move(element));
    }
}

void Lowering::visitUnpack(torch::jit::Node& node) {
    Slot& whole = slotOf(node.input(), node);
    explainList(whole);
    if (whole.elements.size() != node.outputs().size()) {
        throw ExportFailure("export.dynamic", whereIs(node) + " unpacks a list whose length is not fixed.", "model");
    }
    const std::vector<Slot> elements = whole.elements;
    for (std::size_t i = 0; i < elements.size(); ++i) {
        m_slots[node.outputs()[i]] = elements[i];
    }
}

bool Lowering::visitElement(torch::jit::Node& node) {
    Slot& whole = slotOf(node.input(0), node);
    if (!whole.a.isList() && !whole.a.isTuple()) {
        return false;
    }
    explainList(whole);
    std::int64_t index = decided(node.input(1), node, "The index").a.toInt();
    const auto count = static_cast<std::int64_t>(whole.elements.size());
    index += index < 0 ? count : 0;
    if (index < 0 || index >= count) {
        throw ExportFailure("export.raises", "An index is out of range at " + whereIs(node) + ".", "model");
    }
    const Slot element = whole.elements[static_cast<std::size_t>(index)];
    m_slots[node.output()] = element;
    return true;
}

void Lowering::visitAppend(torch::jit::Node& node) {
    const Slot element = slotOf(node.input(1), node);
    Slot& list = slotOf(node.input(0), node);
    explainList(list);
    const auto grown = [&](const c10::IValue& value, const c10::IValue& added) {
        c10::List<c10::IValue> copy = value.toList().copy();
        copy.push_back(added);
        return c10::IValue(copy);
    };
    const c10::IValue before = list.a;
    Slot after = list;
    after.a = grown(list.a, element.a);
    after.b = grown(list.b, element.b);
    after.tainted = list.tainted || element.tainted;
    after.elements.push_back(element);
    for (auto& [value, slot] : m_slots) {
        if (slot.a.isList() && slot.a.is(before)) {
            slot = after;
        }
    }
    m_slots[node.output()] = after;
}

void Lowering::visitIf(torch::jit::Node& node) {
    const bool condition = decided(node.input(), node, "The condition").a.toBool();
    torch::jit::Block& block = *node.blocks()[condition ? 0 : 1];
    walk(block);
    for (std::size_t i = 0; i < node.outputs().size(); ++i) {
        const Slot result = slotOf(block.outputs()[i], node);
        m_slots[node.outputs()[i]] = result;
    }
}

void Lowering::visitLoop(torch::jit::Node& node) {
    // Unrolled: ONNX's own Loop is slow in most runtimes, and a model's loops run over its layers.
    constexpr std::int64_t kMostRounds = 10'000;
    const std::int64_t rounds = decided(node.input(0), node, "The number of rounds").a.toInt();
    bool go = decided(node.input(1), node, "The condition").a.toBool();
    torch::jit::Block& body = *node.blocks()[0];
    std::vector<Slot> carried;
    for (std::size_t i = 2; i < node.inputs().size(); ++i) {
        carried.push_back(slotOf(node.inputs()[i], node));
    }
    for (std::int64_t round = 0; go && round < rounds; ++round) {
        if (round >= kMostRounds) {
            throw ExportFailure("export.loop", "The loop " + whereIs(node) + " takes more than 10,000 rounds.",
                                "model");
        }
        Slot counter;
        counter.a = round;
        counter.b = round;
        m_slots[body.inputs()[0]] = counter;
        for (std::size_t i = 0; i < carried.size(); ++i) {
            m_slots[body.inputs()[i + 1]] = carried[i];
        }
        walk(body);
        go = decided(body.outputs()[0], node, "The condition").a.toBool();
        for (std::size_t i = 0; i < carried.size(); ++i) {
            carried[i] = slotOf(body.outputs()[i + 1], node);
        }
    }
    for (std::size_t i = 0; i < carried.size(); ++i) {
        m_slots[node.outputs()[i]] = carried[i];
    }
}

void Lowering::visitOperator(torch::jit::Node& node) {
    std::string kind = node.kind().toQualString();
    const c10::FunctionSchema* schema = node.maybeSchema();
    if (schema == nullptr) {
        throw ExportFailure("export.operator",
                            "The operator " + whereIs(node) +
                                " is not in the table of operators that "
                                "can be exported.",
                            "model");
    }
    const bool inPlace = schema->is_mutable();
    if (inPlace && kind.back() == '_') {
        kind.pop_back();
    }
    const auto entry = operatorTable().find(kind);

    torch::jit::Stack a, b;
    std::vector<Slot*> inputs;
    bool tainted = false;
    bool twice = false;
    for (const JitValue* input : node.inputs()) {
        Slot& slot = slotOf(input, node);
        inputs.push_back(&slot);
        a.push_back(slot.a);
        b.push_back(slot.b);
        tainted = tainted || slot.tainted;
        twice = twice || !slot.a.is(slot.b);
    }
    if (inPlace && !tainted && (entry == operatorTable().end() || !inputs[0]->origin.empty())) {
        throw ExportFailure("export.in_place", "The model changes its own state: " + whereIs(node) + ".", "model");
    }
    if (tainted && !asksShapeOnly(kind) && entry == operatorTable().end() &&
        std::any_of(node.outputs().begin(), node.outputs().end(),
                    [](const JitValue* output) { return output->type()->isSubtypeOf(*c10::TensorType::get()); })) {
        throw ExportFailure("export.operator",
                            "The operator " + whereIs(node) +
                                " is not in the table of operators that "
                                "can be exported.",
                            "model");
    }
    try {
        torch::jit::Operation operation = node.getOperation();
        operation(a);
        if (twice) {
            operation(b);
        } else {
            b = a;
        }
    } catch (const std::exception& e) {
        throw ExportFailure("export.raises",
                            "The model does not take inputs of this shape: " + whereIs(node) + " failed. " +
                                firstLines(e.what(), 1),
                            "input_shape");
    }
    std::vector<Slot> outputs(node.outputs().size());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        outputs[i].a = a[a.size() - outputs.size() + i];
        outputs[i].b = b[b.size() - outputs.size() + i];
        outputs[i].tainted = tainted && !asksShapeOnly(kind);
    }
    const bool tensors = std::any_of(outputs.begin(), outputs.end(), [](const Slot& s) { return holdsTensors(s.a); });
    const bool constant = !tainted && std::all_of(outputs.begin(), outputs.end(), equalInBoth);
    if (tensors && !constant && !asksShapeOnly(kind)) {
        if (entry == operatorTable().end()) {
            throw ExportFailure("export.operator",
                                "The operator " + whereIs(node) +
                                    " is not in the table of operators "
                                    "that can be exported.",
                                "model");
        }
        Call call(*this, node, inputs, outputs);
        entry->second(call);
    } else if (tensors && constant && node.isNondeterministic()) {
        throw ExportFailure("export.random",
                            "The model draws random numbers at " + whereIs(node) +
                                "; an exported model must give the same result every time.",
                            "model");
    }
    if (constant && outputs.size() == 1 && outputs[0].a.isTensor() && inputs[0]->a.isTensor() && !inPlace &&
        (kind == "aten::t" || kind == "aten::transpose" || kind == "aten::detach") &&
        inputs[0]->a.toTensor().dim() <= 2) {
        outputs[0].origin = inputs[0]->origin;
        outputs[0].transposed = kind == "aten::detach" ? inputs[0]->transposed : !inputs[0]->transposed;
    }
    if (inPlace && !outputs.empty()) {
        followInPlace(node, outputs[0]);
    }
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        m_slots[node.outputs()[i]] = std::move(outputs[i]);
    }
}

void Lowering::followInPlace(torch::jit::Node& node, const Slot& result) {
    const at::Tensor changed = slotOf(node.input(0), node).a.toTensor();
    const auto update = [&](auto&& self, Slot& slot) -> void {
        if (slot.a.isTensor() && slot.a.toTensor().defined()) {
            if (slot.a.toTensor().is_same(changed)) {
                slot.onnx = result.onnx;
                slot.tainted = result.tainted;
            } else if (sharesStorage(slot.a.toTensor(), changed)) {
                slot.stale = true;
            }
        }
        for (Slot& element : slot.elements) {
            self(self, element);
        }
    };
    for (auto& [value, slot] : m_slots) {
        update(update, slot);
    }
}

}  // namespace trainyard::engine
