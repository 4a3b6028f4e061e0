#include "core/engine/export/onnx/ScriptFile.h"

#include "core/engine/export/Failure.h"

namespace trainyard::engine {

torch::jit::Module loadScript(const base::Path& path) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (status.type() == std::filesystem::file_type::not_found) {
        throw ExportFailure("file.missing", "There is no file " + path.string() + ".", "model");
    }
    if (status.type() != std::filesystem::file_type::regular) {
        throw ExportFailure("file.kind", path.string() + " is not a file.", "model");
    }
    try {
        torch::jit::Module module = torch::jit::load(path.string(), at::kCPU);
        module.eval();
        return module;
    } catch (const std::exception& e) {
        std::string reason = e.what();
        reason = reason.substr(0, reason.find('\n'));
        throw ExportFailure("export.model",
                            path.filename().string() + " is not a TorchScript model, or it is damaged: " + reason,
                            "model");
    }
}

}  // namespace trainyard::engine
