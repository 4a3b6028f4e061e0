#include "app/onnx-helper/Helper.h"

#include <cstdio>
#include <stdexcept>

namespace trainyard::onnx {

namespace {

constexpr std::int64_t kMostInput = std::int64_t{4} << 30;

int fail(const std::string& message) {
    std::fprintf(stderr, "%s\n", message.c_str());
    return 1;
}

std::string firstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

Json runCase(Runtime& runtime, const Path& folder, const Json& item) {
    const Json& described = item.at("input");
    // Of a name only its last part: everything lies in the request's folder.
    auto bytes = base::readFile(folder / Path(described.at("file").get<std::string>()).filename(), kMostInput);
    if (!bytes.ok()) {
        throw std::runtime_error(bytes.error().message);
    }
    Tensor input{described.at("name").get<std::string>(), described.at("type").get<std::string>(),
                 described.at("dims").get<std::vector<std::int64_t>>(), std::move(*bytes)};
    const std::string prefix = Path(item.at("output_prefix").get<std::string>()).filename().string();
    Json outputs = Json::array();
    for (const Tensor& output : runtime.run(input)) {
        const std::string file = prefix + std::to_string(outputs.size()) + ".bin";
        if (const base::Status written = base::writeFileAtomically(folder / file, output.bytes); !written.ok()) {
            throw std::runtime_error(written.error().message);
        }
        outputs.push_back({{"name", output.name}, {"type", output.type}, {"dims", output.dims}, {"file", file}});
    }
    return outputs;
}

int answer(const Json& request, Runtime& runtime) {
    if (request.at("format").get<std::string>() != "trainyard.onnx-request" || request.at("version").get<int>() != 1) {
        return fail("This program reads trainyard.onnx-request version 1 only.");
    }
    const Path folder = request.at("folder").get<std::string>();
    Json result = runtime.describe();
    result["error"] = "";
    result["cases"] = Json::array();
    try {
        runtime.open(request.at("model").get<std::string>(), request.at("outputs").get<std::vector<std::string>>());
    } catch (const std::exception& e) {
        result["error"] = firstLine(e.what());
    }
    if (result["error"].get<std::string>().empty()) {
        for (const Json& item : request.at("cases")) {
            Json one{{"name", item.at("name")}, {"error", ""}, {"outputs", Json::array()}};
            try {
                one["outputs"] = runCase(runtime, folder, item);
            } catch (const std::exception& e) {
                one["error"] = firstLine(e.what());
            }
            result["cases"].push_back(std::move(one));
        }
    }
    const base::Status written =
        base::writeFileAtomically(folder / request.at("result").get<std::string>(), base::dumpJson(result));
    return written.ok() ? 0 : fail(written.error().message);
}

}  // namespace

int runProgram(int argc, char** argv, std::string_view name, Runtime& runtime) {
    if (argc != 3 || std::string_view(argv[1]) != "--request") {
        std::fprintf(stderr, "usage: %.*s --request FILE\n", static_cast<int>(name.size()), name.data());
        return 2;
    }
    const auto text = base::readFile(argv[2]);
    if (!text.ok()) {
        return fail(text.error().message);
    }
    const auto request = base::parseJson(*text);
    if (!request.ok()) {
        return fail(request.error().message);
    }
    try {
        return answer(*request, runtime);
    } catch (const std::exception& e) {
        return fail(e.what());
    }
}

}  // namespace trainyard::onnx
