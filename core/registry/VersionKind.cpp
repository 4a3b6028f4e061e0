#include "core/registry/VersionKind.h"

#include <algorithm>

#include "core/base/Json.h"

namespace trainyard::registry {

namespace {

using base::Json;

constexpr const char* kEngineModel = "model.pt";
constexpr const char* kSaveInstead =
    "In the training script, save the model as TorchScript too and register that file: "
    "torch.jit.script(model).save(\"outputs/model.pt\"), or torch.jit.trace(model, example) where script does not take "
    "the model.";

std::vector<std::string> pathsOfKind(const std::vector<Json>& files, const char* kind) {
    std::vector<std::string> paths;
    for (const Json& file : files) {
        if (base::jsonText(file, "kind") == kind) {
            paths.push_back(base::jsonText(file, "path"));
        }
    }
    return paths;
}

}  // namespace

VersionKind kindOfVersion(const std::vector<Json>& files, bool hasEngineCard) {
    if (files.size() == 1) {
        return {base::jsonText(files.front(), "kind"), base::jsonText(files.front(), "path")};
    }
    const std::vector<std::string> scripts = pathsOfKind(files, "torchscript");
    if (hasEngineCard && std::find(scripts.begin(), scripts.end(), kEngineModel) != scripts.end()) {
        return {"torchscript", kEngineModel};
    }
    if (scripts.size() == 1) {
        return {"folder", scripts.front()};
    }
    const std::vector<std::string> graphs = pathsOfKind(files, "onnx");
    return {"folder", scripts.empty() && graphs.size() == 1 ? graphs.front() : std::string()};
}

std::string kindTitle(const std::string& kind) {
    if (kind == "torchscript") return "TorchScript";
    if (kind == "safetensors") return "Weights (safetensors)";
    if (kind == "state_dict") return "Weights (state_dict)";
    if (kind == "module") return "Pickled module";
    if (kind == "onnx") return "ONNX";
    if (kind == "folder") return "Folder";
    return "Other file";
}

Exportability exportabilityOf(const Json& card) {
    Exportability out;
    const auto files = card.find("files");
    if (files == card.end() || !files->is_array()) {
        out.reason = "The version's card names no files.";
        return out;
    }
    const auto find = [&](const std::string& path) {
        return std::find_if(files->begin(), files->end(),
                            [&](const Json& file) { return file.is_object() && base::jsonText(file, "path") == path; });
    };
    if (!card.contains("kind")) {
        out.possible = find(kEngineModel) != files->end();
        out.file = out.possible ? kEngineModel : "";
        out.reason = out.possible ? "" : "It has no model.pt.";
        return out;
    }
    const std::string kind = base::jsonText(card, "kind");
    const std::string main = base::jsonText(card, "main");
    const auto file = find(main);
    const std::string mainKind = file == files->end() ? "" : base::jsonText(*file, "kind");
    if (mainKind == "torchscript") {
        out.possible = true;
        out.file = main;
        return out;
    }
    if (mainKind == "onnx") {
        out.reason = "It is ONNX already; a download gives it out as it is.";
        return out;
    }
    out.instead = kSaveInstead;
    if (kind == "state_dict" || kind == "safetensors") {
        out.reason = kindTitle(kind) + ": it holds the weights and no graph, so there is nothing to convert.";
    } else if (kind == "module") {
        out.reason = "A pickled module names its code and does not hold it, and reading it would run code, so it is "
                     "never opened here.";
    } else if (kind == "folder") {
        const auto scripts = std::count_if(files->begin(), files->end(), [](const Json& one) {
            return one.is_object() && base::jsonText(one, "kind") == "torchscript";
        });
        out.reason = scripts > 1 ? "It holds several TorchScript files." : "None of its files is TorchScript.";
        out.instead = scripts > 1 ? "Register the file that is meant as a model of its own." : kSaveInstead;
    } else {
        const std::string told = file == files->end() ? "" : base::jsonText(*file, "told");
        out.reason = "It is no TorchScript" + (told.empty() ? std::string(".") : ": " + told);
    }
    return out;
}

}  // namespace trainyard::registry
