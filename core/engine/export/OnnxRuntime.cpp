#include "core/engine/export/OnnxRuntime.h"

#include <ATen/ATen.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "core/engine/export/ChildProcess.h"

namespace trainyard::engine {

namespace {

constexpr const char* kRequestFormat = "trainyard.onnx-request";

struct TypeName {
    at::ScalarType type;
    const char* name;
};
constexpr TypeName kTypeNames[] = {{at::kFloat, "float32"}, {at::kDouble, "float64"}, {at::kHalf, "float16"},
                                   {at::kLong, "int64"},    {at::kInt, "int32"},      {at::kBool, "bool"},
                                   {at::kByte, "uint8"},    {at::kChar, "int8"}};

std::string nameOf(at::ScalarType type) {
    for (const TypeName& entry : kTypeNames) {
        if (entry.type == type) {
            return entry.name;
        }
    }
    return "";
}

/// A helper lies beside this program, or in lib/trainyard beside its folder.
base::Path beside(const std::string& name) {
    const base::Path here = base::executableFolder();
    for (const base::Path& candidate : {here / name, here.parent_path() / "lib" / "trainyard" / name}) {
        std::error_code error;
        if (std::filesystem::exists(candidate, error)) {
            return candidate;
        }
    }
    return {};
}

/// Where installer/onnxruntime put the runtime, or TRAINYARD_ONNXRUNTIME.
base::Path runtimeFolder() {
    const char* given = std::getenv("TRAINYARD_ONNXRUNTIME");
    const base::Path folder = given != nullptr && *given != '\0' ? base::Path(given) : beside("onnxruntime");
    std::error_code error;
    return std::filesystem::exists(folder / "node_modules" / "onnxruntime-node" / "package.json", error) ? folder
                                                                                                         : base::Path();
}

/// A private folder that goes with its owner.
class ProofFolder {
public:
    ProofFolder() {
        const char* base = std::getenv("TMPDIR");
        std::string pattern =
            (base::Path(base != nullptr && *base != '\0' ? base : "/tmp") / "trainyard-proof-XXXXXX").string();
        if (::mkdtemp(pattern.data()) != nullptr) {
            m_path = pattern;
        }
    }
    ProofFolder(const ProofFolder&) = delete;
    ProofFolder& operator=(const ProofFolder&) = delete;
    ~ProofFolder() {
        std::error_code error;
        std::filesystem::remove_all(m_path, error);
    }
    [[nodiscard]] const base::Path& path() const { return m_path; }

private:
    base::Path m_path;
};

base::Error runtimeError(const RuntimeChoice& runtime, const std::string& what) {
    return {"verify.runtime", runtime.name + " " + what};
}

base::Result<at::Tensor> readTensor(const base::Json& json, const base::Path& folder) {
    base::ObjectReader reader(json, "outputs");
    const std::string typeName = reader.string("type");
    const base::Json dims = reader.array("dims");
    const std::string file = reader.string("file");
    std::vector<std::int64_t> sizes;
    for (const base::Json& dim : dims) {
        if (!dim.is_number_integer() || dim.get<std::int64_t>() < 0) {
            return base::Error{"verify.runtime", "A helper gave a result without proper sizes."};
        }
        sizes.push_back(dim.get<std::int64_t>());
    }
    for (const TypeName& entry : kTypeNames) {
        if (typeName != entry.name) {
            continue;
        }
        auto bytes = base::readFile(folder / base::Path(file).filename(), std::int64_t{4} << 30);
        if (!bytes.ok()) {
            return bytes.error();
        }
        at::Tensor tensor = at::empty(sizes, entry.type);
        if (tensor.nbytes() != bytes->size()) {
            return base::Error{"verify.runtime", "A helper gave a result whose size does not fit its shape."};
        }
        std::memcpy(tensor.data_ptr(), bytes->data(), bytes->size());
        return tensor;
    }
    return base::Error{"verify.runtime", "A helper gave a result of the unknown type \"" + typeName + "\"."};
}

base::Result<RuntimeAnswer> readAnswer(const RuntimeChoice& runtime, const base::Path& folder, std::size_t cases) {
    auto text = base::readFile(folder / "result.json");
    if (!text.ok()) {
        return text.error();
    }
    auto json = base::parseJson(*text);
    if (!json.ok()) {
        return json.error();
    }
    base::ObjectReader reader(*json, "");
    RuntimeAnswer answer;
    answer.name = reader.string("name");
    answer.version = reader.string("version");
    answer.through = reader.string("through");
    answer.error = reader.string("error");
    const base::Json list = reader.array("cases");
    if (answer.error.empty() && list.size() != cases) {
        return runtimeError(runtime, "did not answer every case.");
    }
    for (const base::Json& entry : list) {
        base::ObjectReader item(entry, "cases");
        RuntimeCaseAnswer one;
        one.error = item.string("error");
        for (const base::Json& output : item.array("outputs")) {
            auto tensor = readTensor(output, folder);
            if (!tensor.ok()) {
                return tensor.error();
            }
            one.outputs.push_back(*tensor);
        }
        answer.cases.push_back(std::move(one));
    }
    return answer;
}

}  // namespace

std::vector<RuntimeChoice> findRuntimes(const std::string& only) {
    std::vector<RuntimeChoice> found;
    const auto wanted = [&](const char* id) { return only == "auto" || only == id; };
    if (wanted("onnxruntime-node")) {
        base::Path node = findInPath("node");
        node = node.empty() ? findInPath("nodejs") : node;
        const base::Path script = beside("trainyard-onnx-node.cjs");
        const base::Path folder = runtimeFolder();
        if (!node.empty() && !script.empty() && !folder.empty()) {
            found.push_back({"onnxruntime-node", "ONNX Runtime (Node.js)", {node.string(), script.string()}, folder});
        }
    }
    if (wanted("onnxruntime")) {
        if (const base::Path program = beside("trainyard-onnx-runtime"); !program.empty()) {
            found.push_back({"onnxruntime", "ONNX Runtime", {program.string()}, {}});
        }
    }
    if (wanted("opencv")) {
        if (const base::Path program = beside("trainyard-onnx-opencv"); !program.empty()) {
            found.push_back({"opencv", "OpenCV", {program.string()}, {}});
        }
    }
    return found;
}

base::Result<RuntimeAnswer> runOnnx(const RuntimeChoice& runtime, const base::Path& model, const std::string& inputName,
                                    const std::vector<std::string>& outputNames, const std::vector<RuntimeCase>& cases,
                                    base::Deadline deadline) {
    const std::int64_t start = base::monotonicNanos();
    const ProofFolder scratch;
    if (scratch.path().empty()) {
        return base::Error{"file.io", "No temporary folder could be made for the proof."};
    }
    base::Json list = base::Json::array();
    for (std::size_t i = 0; i < cases.size(); ++i) {
        const at::Tensor& input = cases[i].input;
        const std::string file = "input-" + std::to_string(i) + ".bin";
        TRAINYARD_TRY(base::writeFileAtomically(scratch.path() / file, {static_cast<const char*>(input.data_ptr()),
                                                                        static_cast<std::size_t>(input.nbytes())}));
        list.push_back({{"name", cases[i].name},
                        {"input",
                         {{"name", inputName},
                          {"type", nameOf(input.scalar_type())},
                          {"dims", input.sizes().vec()},
                          {"file", file}}},
                        {"output_prefix", "output-" + std::to_string(i) + "-"}});
    }
    const base::Json request{{"format", kRequestFormat},
                             {"version", 1},
                             {"model", std::filesystem::absolute(model).string()},
                             {"runtime_folder", runtime.folder.string()},
                             {"folder", scratch.path().string()},
                             {"outputs", outputNames},
                             {"cases", list},
                             {"result", "result.json"}};
    const base::Path requestFile = scratch.path() / "request.json";
    TRAINYARD_TRY(base::writeFileAtomically(requestFile, base::dumpJson(request)));
    std::vector<std::string> argv = runtime.argv;
    argv.push_back("--request");
    argv.push_back(requestFile.string());
    auto child = runChild(argv, scratch.path(), deadline);
    if (!child.ok()) {
        return child.error();
    }
    if (child->timedOut) {
        return runtimeError(runtime, "did not finish in time and was stopped.");
    }
    if (child->exitStatus != 0) {
        return runtimeError(runtime,
                            child->signal != 0
                                ? "was ended by signal " + std::to_string(child->signal) + ". " + child->errors
                                : "ended with status " + std::to_string(child->exitStatus) + ". " + child->errors);
    }
    auto answer = readAnswer(runtime, scratch.path(), cases.size());
    if (answer.ok()) {
        answer->seconds = static_cast<double>(base::monotonicNanos() - start) / 1e9;
    }
    return answer;
}

}  // namespace trainyard::engine
