#pragma once
// Walks the inlined forward() of a TorchScript module once, node by node, and writes ONNX nodes through the table of
// operators. Not freeze_module: freezing merges equal parameters and loses their names.
#include <ATen/core/ivalue.h>

#include <string>
#include <unordered_map>
#include <vector>

#include "core/engine/export/onnx/OnnxBuilder.h"
#include "core/engine/export/onnx/Slot.h"

namespace torch::jit {
struct Block;
struct Graph;
struct Module;
struct Node;
struct Value;
}  // namespace torch::jit

namespace trainyard::engine {

struct LoweringOptions {
    std::vector<std::int64_t> inputShape;  ///< Of one sample, without the batch.
    at::ScalarType inputType = at::kFloat;
    bool dynamicBatch = true;
    std::int64_t batch = 1;  ///< When the batch is fixed.
    std::string inputName = "input";
    std::vector<std::string> outputNames;  ///< Empty: "output", or "output_0", "output_1", …
};

class Lowering {
public:
    /// `module` must be in eval mode and on the CPU.
    Lowering(OnnxBuilder& builder, const torch::jit::Module& module, LoweringOptions options);

    /// Writes the whole graph. Throws ExportFailure.
    void run();

    // For Call:
    [[nodiscard]] OnnxBuilder& builder() { return m_builder; }
    /// Name of a tensor slot in the ONNX graph; writes its initializer when it is a constant.
    [[nodiscard]] std::string materialize(Slot& slot, const torch::jit::Node& user);
    /// An int64 scalar or vector in the ONNX graph for sizes, some of which follow the batch.
    [[nodiscard]] std::string shapeVector(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b,
                                          const std::string& place);
    /// Module path of a node ("layer1.0.conv1"), from the call stack or from its parameters' names.
    [[nodiscard]] std::string placeOf(const torch::jit::Node& node) const;
    [[nodiscard]] std::string whereIs(const torch::jit::Node& node) const;

private:
    using JitValue = torch::jit::Value;

    void walk(torch::jit::Block& block);
    void visit(torch::jit::Node& node);
    void visitAttribute(torch::jit::Node& node);
    void visitConstruct(torch::jit::Node& node);
    void visitUnpack(torch::jit::Node& node);
    void visitIf(torch::jit::Node& node);
    void visitLoop(torch::jit::Node& node);
    [[nodiscard]] bool visitElement(torch::jit::Node& node);
    void visitAppend(torch::jit::Node& node);
    void visitOperator(torch::jit::Node& node);
    void followInPlace(torch::jit::Node& node, const Slot& result);
    void writeOutputs(Slot& slot);
    [[nodiscard]] Slot& slotOf(const JitValue* value, const torch::jit::Node& user);
    [[nodiscard]] const Slot& decided(const JitValue* value, const torch::jit::Node& user, const char* what);
    [[nodiscard]] std::vector<Dimension> outputDimensions(const Slot& slot) const;
    void explainList(Slot& slot) const;

    OnnxBuilder& m_builder;
    const torch::jit::Module& m_module;
    LoweringOptions m_options;
    std::int64_t m_batchA = 0;
    std::int64_t m_batchB = 0;
    std::unordered_map<const JitValue*, Slot> m_slots;
    std::unordered_map<std::string, std::string> m_written;  ///< Parameter path → name of its initializer.
    std::string m_batchScalar;  ///< ONNX name of the batch size as an int64 vector of one element, once needed.
};

}  // namespace trainyard::engine
