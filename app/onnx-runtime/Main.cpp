// Runs an ONNX file with ONNX Runtime's C++ library on inputs given as raw little-endian files, and writes its outputs
// the same way. A program of its own, so that the proof of an export shares no code with the exporter.
//   trainyard-onnx-runtime --request FILE
// Request and result: resources/docs/protocol/model.md. Exit status 0 whenever a result was written.
#include <onnxruntime_cxx_api.h>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"

namespace {

using trainyard::base::Json;
using trainyard::base::Path;

struct ElementType {
    const char* name;
    ONNXTensorElementDataType type;
    std::size_t bytes;
};
constexpr ElementType kTypes[] = {
    {"float32", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, 4}, {"float64", ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, 8},
    {"float16", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, 2}, {"int64", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, 8},
    {"int32", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, 4}, {"bool", ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL, 1},
    {"uint8", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, 1}, {"int8", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8, 1}};

int fail(const std::string& message) {
    std::fprintf(stderr, "%s\n", message.c_str());
    return 1;
}

Json runCase(Ort::Session& session, const Path& folder, const Json& item, const std::vector<std::string>& outputNames) {
    const Json& input = item.at("input");
    const auto typeName = input.at("type").get<std::string>();
    const ElementType* type = nullptr;
    for (const ElementType& candidate : kTypes) {
        type = typeName == candidate.name ? &candidate : type;
    }
    if (type == nullptr) {
        throw std::runtime_error("unknown element type " + typeName);
    }
    auto bytes = trainyard::base::readFile(folder / Path(input.at("file").get<std::string>()).filename(), std::int64_t{4} << 30);
    if (!bytes.ok()) {
        throw std::runtime_error(bytes.error().message);
    }
    const auto dims = input.at("dims").get<std::vector<std::int64_t>>();
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    const Ort::Value tensor = Ort::Value::CreateTensor(memory, bytes->data(), bytes->size(), dims.data(), dims.size(), type->type);
    const std::string inputName = input.at("name").get<std::string>();
    const char* inputNames[] = {inputName.c_str()};
    std::vector<const char*> names;
    for (const std::string& name : outputNames) {
        names.push_back(name.c_str());
    }
    const auto results = session.Run(Ort::RunOptions(nullptr), inputNames, &tensor, 1, names.data(), names.size());
    Json outputs = Json::array();
    for (std::size_t i = 0; i < results.size(); ++i) {
        const auto info = results[i].GetTensorTypeAndShapeInfo();
        const ElementType* outputType = nullptr;
        for (const ElementType& candidate : kTypes) {
            outputType = info.GetElementType() == candidate.type ? &candidate : outputType;
        }
        if (outputType == nullptr) {
            throw std::runtime_error("the output " + outputNames[i] + " has an element type that is not supported");
        }
        const std::string file = item.at("output_prefix").get<std::string>() + std::to_string(i) + ".bin";
        const auto status = trainyard::base::writeFileAtomically(
            folder / file, {results[i].GetTensorData<char>(), info.GetElementCount() * outputType->bytes});
        if (!status.ok()) {
            throw std::runtime_error(status.error().message);
        }
        outputs.push_back({{"name", outputNames[i]}, {"type", outputType->name}, {"dims", info.GetShape()}, {"file", file}});
    }
    return outputs;
}

int run(const Json& request) {
    if (request.at("format").get<std::string>() != "trainyard.onnx-request" || request.at("version").get<int>() != 1) {
        return fail("This program reads trainyard.onnx-request version 1 only.");
    }
    const Path folder = request.at("folder").get<std::string>();
    Json result{{"name", "ONNX Runtime"}, {"version", Ort::GetVersionString()}, {"through", "C++"}, {"error", ""},
                {"cases", Json::array()}};
    const Ort::Env environment(ORT_LOGGING_LEVEL_ERROR, "trainyard");
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(2);
    Ort::Session session(nullptr);
    try {
        session = Ort::Session(environment, request.at("model").get<std::string>().c_str(), options);
    } catch (const std::exception& e) {
        result["error"] = e.what();
    }
    if (result["error"].get<std::string>().empty()) {
        const auto outputs = request.at("outputs").get<std::vector<std::string>>();
        for (const Json& item : request.at("cases")) {
            Json answer{{"name", item.at("name")}, {"error", ""}, {"outputs", Json::array()}};
            try {
                answer["outputs"] = runCase(session, folder, item, outputs);
            } catch (const std::exception& e) {
                answer["error"] = e.what();
            }
            result["cases"].push_back(std::move(answer));
        }
    }
    const auto status = trainyard::base::writeFileAtomically(folder / request.at("result").get<std::string>(),
                                                             trainyard::base::dumpJson(result));
    return status.ok() ? 0 : fail(status.error().message);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3 || std::string(argv[1]) != "--request") {
        std::fprintf(stderr, "usage: trainyard-onnx-runtime --request FILE\n");
        return 2;
    }
    auto text = trainyard::base::readFile(argv[2]);
    if (!text.ok()) {
        return fail(text.error().message);
    }
    auto request = trainyard::base::parseJson(*text);
    if (!request.ok()) {
        return fail(request.error().message);
    }
    try {
        return run(*request);
    } catch (const std::exception& e) {
        return fail(e.what());
    }
}
