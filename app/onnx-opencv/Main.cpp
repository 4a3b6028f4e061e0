// Runs an ONNX file with OpenCV's dnn module on inputs given as raw little-endian files, and writes its outputs the same
// way. A program of its own, so that the proof of an export shares no code with the exporter.
//   trainyard-onnx-opencv --request FILE
// Request and result: resources/docs/protocol/model.md. Exit status 0 whenever a result was written.
#include <cstdio>
#include <opencv2/core/version.hpp>
#include <opencv2/dnn.hpp>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"

namespace {

using trainyard::base::Json;
using trainyard::base::Path;

int fail(const std::string& message) {
    std::fprintf(stderr, "%s\n", message.c_str());
    return 1;
}

std::string firstLine(const std::string& text) {
    return text.substr(0, text.find('\n'));
}

/// Outputs of one case; throws cv::Exception and std::runtime_error.
Json runCase(cv::dnn::Net& net, const Path& folder, const Json& item, const std::vector<std::string>& outputNames) {
    const Json& input = item.at("input");
    if (input.at("type").get<std::string>() != "float32") {
        throw std::runtime_error("OpenCV takes float32 inputs only");
    }
    auto bytes = trainyard::base::readFile(folder / Path(input.at("file").get<std::string>()).filename(), std::int64_t{4} << 30);
    if (!bytes.ok()) {
        throw std::runtime_error(bytes.error().message);
    }
    const auto sizes = input.at("dims").get<std::vector<int>>();
    cv::Mat blob(sizes, CV_32F, bytes->data());
    if (blob.total() * sizeof(float) != bytes->size()) {
        throw std::runtime_error("the input's size does not fit its shape");
    }
    net.setInput(blob.clone(), input.at("name").get<std::string>());
    std::vector<cv::Mat> results;
    net.forward(results, outputNames);
    Json outputs = Json::array();
    for (std::size_t i = 0; i < results.size(); ++i) {
        const cv::Mat result = results[i].isContinuous() ? results[i] : results[i].clone();
        if (result.type() != CV_32F) {
            throw std::runtime_error("an output is not float32");
        }
        std::vector<int> dims(result.size.p, result.size.p + result.dims);
        const std::string file = item.at("output_prefix").get<std::string>() + std::to_string(i) + ".bin";
        const auto status = trainyard::base::writeFileAtomically(
            folder / file, {reinterpret_cast<const char*>(result.data), result.total() * sizeof(float)});
        if (!status.ok()) {
            throw std::runtime_error(status.error().message);
        }
        outputs.push_back({{"name", outputNames[i]}, {"type", "float32"}, {"dims", dims}, {"file", file}});
    }
    return outputs;
}

/// The layer that computes a graph output: OpenCV names outputs by layers, and drops the Identity that names ours.
std::vector<std::string> layersOf(cv::dnn::Net& net, const std::vector<std::string>& wanted) {
    const std::vector<cv::String> unconnected = net.getUnconnectedOutLayersNames();
    std::vector<std::string> names;
    for (const std::string& name : wanted) {
        names.push_back(net.getLayerId(name) >= 0 || unconnected.size() != wanted.size() ? name : unconnected[names.size()]);
    }
    return names;
}

int run(const Json& request) {
    if (request.at("format").get<std::string>() != "trainyard.onnx-request" || request.at("version").get<int>() != 1) {
        return fail("This program reads trainyard.onnx-request version 1 only.");
    }
    const Path folder = request.at("folder").get<std::string>();
    Json result{{"name", "OpenCV dnn"}, {"version", CV_VERSION}, {"through", ""}, {"error", ""}, {"cases", Json::array()}};
    cv::dnn::Net net;
    try {
        net = cv::dnn::readNetFromONNX(request.at("model").get<std::string>());
        net.setPreferableBackend(cv::dnn::DNN_BACKEND_OPENCV);
        net.setPreferableTarget(cv::dnn::DNN_TARGET_CPU);
    } catch (const std::exception& e) {
        result["error"] = firstLine(e.what());
    }
    if (result["error"].get<std::string>().empty()) {
        const auto outputs = layersOf(net, request.at("outputs").get<std::vector<std::string>>());
        for (const Json& item : request.at("cases")) {
            Json answer{{"name", item.at("name")}, {"error", ""}, {"outputs", Json::array()}};
            try {
                answer["outputs"] = runCase(net, folder, item, outputs);
            } catch (const std::exception& e) {
                answer["error"] = firstLine(e.what());
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
        std::fprintf(stderr, "usage: trainyard-onnx-opencv --request FILE\n");
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
