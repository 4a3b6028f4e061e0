#pragma once
// The table of operators: one function each. To add one, write a function in operators/ and enter it under its aten
// name in that file's add…Operators(); nothing else has to change, for shapes and constants come from the walk.
#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/engine/export/onnx/OnnxBuilder.h"
#include "core/engine/export/onnx/Slot.h"

namespace torch::jit {
struct Node;
}

namespace trainyard::engine {

class Lowering;

/// One operator's arguments by the names of its aten schema, and the way to write its result. Getters of constants
/// throw "export.dynamic" when the argument depends on the input, naming argument and place.
class Call {
public:
    Call(Lowering& lowering, const torch::jit::Node& node, std::vector<Slot*> inputs, std::vector<Slot>& outputs);

    // ---- arguments
    [[nodiscard]] bool has(const char* argument) const;  ///< Known to the schema and not None.
    [[nodiscard]] bool isTensor(const char* argument) const;
    [[nodiscard]] std::int64_t integer(const char* argument) const;
    [[nodiscard]] double number(const char* argument) const;
    [[nodiscard]] bool boolean(const char* argument) const;
    [[nodiscard]] std::string text(const char* argument) const;
    /// A list of `count` integers; a single one is repeated (count 0: as it is).
    [[nodiscard]] std::vector<std::int64_t> integers(const char* argument, std::size_t count = 0) const;
    /// Name of a tensor argument in the ONNX graph; a constant is written as an initializer now.
    [[nodiscard]] std::string tensor(const char* argument) const;
    /// The parameter that a constant matrix is the transpose of, under the parameter's own name; nullopt for others.
    [[nodiscard]] std::optional<std::string> parameterBehind(const char* argument) const;
    /// As tensor(), or a number as a scalar of `type`; a tensor of another type is cast.
    [[nodiscard]] std::string tensorOrScalar(const char* argument, at::ScalarType type) const;
    /// Names of a list of tensors.
    [[nodiscard]] std::vector<std::string> tensors(const char* argument) const;
    /// The tensor of the first example: its rank and type hold for all inputs, its sizes for the first example only.
    [[nodiscard]] const at::Tensor& example(const char* argument) const;
    [[nodiscard]] const Slot& slot(const char* argument) const;
    [[nodiscard]] std::int64_t rank(const char* argument) const;
    [[nodiscard]] at::ScalarType type(const char* argument) const;
    /// Sizes of a tensor; nullopt where they follow the batch.
    [[nodiscard]] std::vector<std::optional<std::int64_t>> sizes(const char* argument) const;
    /// A dimension argument, counted from 0.
    [[nodiscard]] std::int64_t dimension(const char* argument, const char* of) const;

    // ---- results
    [[nodiscard]] const at::Tensor& resultExample(std::size_t output = 0) const;
    [[nodiscard]] std::vector<std::optional<std::int64_t>> resultSizes(std::size_t output = 0) const;
    [[nodiscard]] at::ScalarType resultType(std::size_t output = 0) const;
    /// The tensors of an operator that gives a list, in the first example.
    [[nodiscard]] std::vector<at::Tensor> resultPieces() const;
    void setResult(const std::string& value, std::size_t output = 0);
    /// For an operator that gives a list of tensors.
    void setResultList(const std::vector<std::string>& values);

    // ---- writing
    [[nodiscard]] OnnxBuilder& builder() const;
    [[nodiscard]] int opset() const { return builder().opset(); }
    std::string op(const std::string& type, const std::vector<std::string>& inputs,
                   const Attributes& attributes = {}) const;
    std::string constant(const std::string& wanted, const at::Tensor& tensor) const;
    std::string scalar(double value, at::ScalarType type) const;
    /// The value reshaped to the result's sizes.
    std::string reshapeToResult(const std::string& value) const;
    /// An int64 vector in the ONNX graph that holds the result's sizes, whatever the batch is.
    [[nodiscard]] std::string resultShape() const;
    [[nodiscard]] std::string cast(const std::string& value, at::ScalarType type) const;
    [[nodiscard]] std::string unsqueeze(const std::string& value, const std::vector<std::int64_t>& axes) const;
    [[nodiscard]] std::string squeeze(const std::string& value, const std::vector<std::int64_t>& axes) const;
    [[nodiscard]] std::string place() const;
    /// "aten::conv2d at layer1.0.conv1 (code/…py:12)", for messages.
    [[nodiscard]] std::string where() const;
    [[noreturn]] void unsupported(const std::string& what) const;

private:
    [[nodiscard]] Slot* find(const char* argument) const;
    [[nodiscard]] const Slot& constantSlot(const char* argument) const;

    Lowering& m_lowering;
    const torch::jit::Node& m_node;
    std::vector<Slot*> m_inputs;
    std::vector<Slot>& m_outputs;
};

using OperatorFunction = void (*)(Call&);
using OperatorTable = std::unordered_map<std::string, OperatorFunction>;

/// aten name → function. An in-place operator ("aten::relu_") uses its functional twin.
[[nodiscard]] const OperatorTable& operatorTable();

/// ONNX's pads of a padding: its numbers once for the beginning of each axis, once for the end.
[[nodiscard]] std::vector<std::int64_t> bothSides(const std::vector<std::int64_t>& padding);

void addConvolutionOperators(OperatorTable& table);
void addPoolingOperators(OperatorTable& table);
void addActivationOperators(OperatorTable& table);
void addArithmeticOperators(OperatorTable& table);
void addNormalizationOperators(OperatorTable& table);
void addShapeOperators(OperatorTable& table);
void addReductionOperators(OperatorTable& table);

}  // namespace trainyard::engine
