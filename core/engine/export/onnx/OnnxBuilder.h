#pragma once
// Writes nodes, initializers, inputs and outputs into one onnx::ModelProto. Knows ONNX and tensors, nothing of
// TorchScript. One thread.
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

namespace onnx {
class ModelProto;
}

namespace trainyard::engine {

inline constexpr int kMinOpset = 11;
inline constexpr int kMaxOpset = 17;

/// The highest opset that both this converter and the libonnx it runs with know.
[[nodiscard]] int highestOpset();
[[nodiscard]] std::string onnxVersion();

/// onnx::TensorProto::DataType of an element type; throws ExportFailure "export.type" when ONNX has none.
[[nodiscard]] int onnxType(at::ScalarType type);
[[nodiscard]] std::optional<at::ScalarType> torchType(int onnxType);

/// A node's attribute. Doubles become ONNX's 32-bit floats.
struct Attribute {
    std::string name;
    std::variant<std::int64_t, double, std::string, std::vector<std::int64_t>> value;
};
using Attributes = std::vector<Attribute>;

/// A dimension: its size, or a name when it is free ("" = free without a name).
using Dimension = std::variant<std::int64_t, std::string>;

class OnnxBuilder {
public:
    explicit OnnxBuilder(int opset);
    ~OnnxBuilder();

    [[nodiscard]] int opset() const { return m_opset; }
    /// Adds a node; `place` is the module's path and names the node ("layer1.0.conv1/Conv"). Returns its outputs'
    /// names.
    std::vector<std::string> addNode(const std::string& type, const std::vector<std::string>& inputs,
                                     const Attributes& attributes, const std::string& place, int outputs = 1);
    /// Adds a tensor under `wanted`, or a name beginning with it when that is taken. The data is copied.
    std::string addInitializer(const std::string& wanted, const at::Tensor& tensor);
    /// Constants that nodes take as inputs; equal ones are stored once.
    std::string int64Vector(const std::vector<std::int64_t>& values);
    std::string scalar(double value, at::ScalarType type);
    void addInput(const std::string& name, at::ScalarType type, const std::vector<Dimension>& dimensions);
    /// Makes `value` a graph output called `name` (through an Identity node, so that names never collide).
    void addOutput(const std::string& value, const std::string& name, at::ScalarType type,
                   const std::vector<Dimension>& dimensions);
    void setMetadata(const std::string& key, const std::string& value);
    void setDescription(const std::string& text);

    [[nodiscard]] int nodes() const;
    [[nodiscard]] int initializers() const;
    /// Infers shapes (strictly), runs the checker, and returns the file's bytes. Throws "export.too_large" above
    /// protobuf's 2 GiB and "export.checker" when libonnx finds fault.
    [[nodiscard]] std::string finish();

private:
    [[nodiscard]] std::string unique(const std::string& wanted);

    int m_opset;
    std::unique_ptr<::onnx::ModelProto> m_model;
    std::unordered_set<std::string> m_names;
    std::unordered_map<std::string, std::string> m_constants;
    std::int64_t m_initializerBytes = 0;
};

}  // namespace trainyard::engine
