// Runs an ONNX file with ONNX Runtime's C++ library: trainyard-onnx-runtime --request FILE. A program of its own, so
// that the proof of an export shares no code with the exporter.
#include <onnxruntime_cxx_api.h>

#include <stdexcept>
#include <utility>

#include "app/onnx-helper/Helper.h"

namespace {

using trainyard::base::Json;
using trainyard::onnx::Tensor;

struct ElementType {
    const char* name;
    ONNXTensorElementDataType type;
    std::size_t bytes;
};
constexpr ElementType kTypes[] = {
    {"float32", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, 4},   {"float64", ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, 8},
    {"float16", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, 2}, {"int64", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, 8},
    {"int32", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, 4},     {"bool", ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL, 1},
    {"uint8", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, 1},     {"int8", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8, 1}};

template <class Matches>
ElementType elementType(const std::string& what, Matches matches) {
    for (const ElementType& candidate : kTypes) {
        if (matches(candidate)) {
            return candidate;
        }
    }
    throw std::runtime_error(what + " has an element type that is not supported");
}

class OnnxRuntime final : public trainyard::onnx::Runtime {
public:
    [[nodiscard]] Json describe() const override {
        return {{"name", "ONNX Runtime"}, {"version", Ort::GetVersionString()}, {"through", "C++"}};
    }

    void open(const std::string& model, const std::vector<std::string>& outputs) override {
        Ort::SessionOptions options;
        options.SetIntraOpNumThreads(2);
        m_session = Ort::Session(m_environment, model.c_str(), options);
        m_outputs = outputs;
    }

    [[nodiscard]] std::vector<Tensor> run(Tensor& input) override {
        const ElementType type =
            elementType("the input", [&](const ElementType& one) { return input.type == one.name; });
        const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
        const Ort::Value tensor = Ort::Value::CreateTensor(memory, input.bytes.data(), input.bytes.size(),
                                                           input.dims.data(), input.dims.size(), type.type);
        const char* inputNames[] = {input.name.c_str()};
        std::vector<const char*> names;
        for (const std::string& name : m_outputs) {
            names.push_back(name.c_str());
        }
        const auto results =
            m_session.Run(Ort::RunOptions(nullptr), inputNames, &tensor, 1, names.data(), names.size());
        std::vector<Tensor> outputs;
        for (std::size_t i = 0; i < results.size(); ++i) {
            const auto info = results[i].GetTensorTypeAndShapeInfo();
            const ElementType outputType = elementType("the output " + m_outputs[i], [&](const ElementType& one) {
                return info.GetElementType() == one.type;
            });
            outputs.push_back(
                {m_outputs[i],
                 outputType.name,
                 info.GetShape(),
                 {static_cast<const char*>(results[i].GetTensorRawData()), info.GetElementCount() * outputType.bytes}});
        }
        return outputs;
    }

private:
    Ort::Env m_environment{ORT_LOGGING_LEVEL_ERROR, "trainyard"};
    Ort::Session m_session{nullptr};
    std::vector<std::string> m_outputs;
};

}  // namespace

int main(int argc, char** argv) {
    OnnxRuntime runtime;
    return trainyard::onnx::runProgram(argc, argv, "trainyard-onnx-runtime", runtime);
}
