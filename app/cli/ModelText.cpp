#include "app/cli/ModelText.h"

#include "app/cli/JsonText.h"
#include "core/base/Text.h"

namespace trainyard::cli {

using base::Json;

namespace {

std::string accuracyOf(const Json& version) {
    return metricOf(version, "val/accuracy");
}

std::string listText(const Json& models) {
    if (models.empty()) {
        return "No models.\n";
    }
    std::vector<std::vector<std::string>> rows{{"MODEL", "KIND", "RUN", "ACCURACY", "SIZE", "ONNX", "CREATED", "DESCRIPTION"}};
    for (const Json& model : models) {
        rows.push_back({textOf(model, "model"), textOf(model, "kind"), textOf(model, "run_number"), accuracyOf(model),
                        base::formatBytes(integerOf(model, "size")), memberOf(model, "exports").empty() ? "no" : "yes",
                        shortTime(textOf(model, "created_at")), clipText(textOf(model, "description"), 40)});
    }
    return tableText(rows, {false, false, true, true, true, false, false, false});
}

/// Why there is no export, and what to save instead; empty where there may be one.
std::string noExportText(const Json& version) {
    const Json& possible = memberOf(version, "export");
    if (!possible.is_object() || memberOf(possible, "possible") == Json(true)) {
        return {};
    }
    const std::string instead = textOf(possible, "instead");
    return textOf(possible, "reason") + (instead.empty() ? "" : " " + instead);
}

std::string showText(const Json& version) {
    std::vector<std::vector<std::string>> rows;
    const auto add = [&](const std::string& label, const std::string& value) {
        if (!value.empty()) {
            rows.push_back({label, value});
        }
    };
    add("Model", textOf(version, "model"));
    add("Description", textOf(version, "description"));
    add("Created", textOf(version, "created_at"));
    add("Kind", textOf(version, "kind_title"));
    add("Told by", textOf(version, "told"));
    add("SHA-256", textOf(version, "sha256"));
    add("Run", textOf(version, "run_number") + "  " + textOf(version, "run_name"));
    add("Tags", tagsOf(memberOf(version, "tags")));
    const Json& card = memberOf(version, "card");
    add("Family", textOf(card, "family"));
    if (memberOf(card, "parameters").is_number()) {
        add("Parameters", base::formatCount(integerOf(card, "parameters")));
    }
    for (const Json& metric : memberOf(version, "metrics")) {
        const std::string name = textOf(metric, "name");
        add(name, metricOf(version, name) + "  (lowest " + metricOf(version, name, "min") + ", highest " +
                      metricOf(version, name, "max") + ")");
    }
    for (const Json& file : memberOf(version, "files")) {
        const std::string kind = textOf(file, "kind");
        add("File", textOf(file, "path") + "  " + base::formatBytes(integerOf(file, "size")) + (kind.empty() ? "" : "  " + kind));
    }
    for (const Json& one : memberOf(version, "exports")) {
        add("ONNX", "opset " + textOf(one, "opset") + "  " + shortTime(textOf(one, "created_at")));
    }
    add("No ONNX", noExportText(version));
    return tableText(rows, {false, false});
}

std::string exportText(const Json& result) {
    const Json& proof = memberOf(result, "proof");
    const Json& runtime = memberOf(proof, "runtime");
    const std::optional<double> difference = numberOf(proof, "max_abs_diff");
    return textOf(result, "model") + " was exported to " + textOf(result, "onnx") + " (" +
           base::formatBytes(integerOf(result, "size")) + ", opset " + textOf(result, "opset") + ").\nProved by " +
           textOf(runtime, "name") + " " + textOf(runtime, "version") + " on " +
           std::to_string(memberOf(proof, "cases").size()) + " sets of inputs: largest difference " +
           (difference ? base::formatSignificant(*difference) : "unknown") + ".\n";
}

}  // namespace

std::optional<std::string> describeModel(const std::string& action, const Json& result) {
    const std::string model = textOf(result, "model");
    if (action == "model.register") {
        const std::string noExport = noExportText(result);
        return "The model of run " + textOf(result, "number") + " was registered as " + model + " (" + textOf(result, "kind_title") + ").\n" +
               (noExport.empty() ? "" : "It cannot be exported to ONNX. " + noExport + "\n");
    }
    if (action == "model.list") return listText(memberOf(result, "models"));
    if (action == "model.show") return showText(result);
    if (action == "model.export") return exportText(result);
    if (action == "model.edit") return model + " was changed.\n";
    if (action == "model.download") {
        const std::size_t files = memberOf(result, "files").size();
        return std::to_string(files) + (files == 1 ? " file of " : " files of ") + model + " (" +
               base::formatBytes(integerOf(result, "bytes")) + (files == 1 ? ") was" : ") were") + " copied to " + textOf(result, "folder") + ".\n";
    }
    if (action == "model.delete") {
        return model + " was deleted; that freed " + base::formatBytes(integerOf(result, "freed_bytes")) + ".\n";
    }
    return std::nullopt;
}

}  // namespace trainyard::cli
