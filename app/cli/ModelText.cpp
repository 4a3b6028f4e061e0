#include "app/cli/ModelText.h"

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <utility>
#include <vector>

#include "app/cli/JsonText.h"
#include "core/base/Text.h"

namespace trainyard::cli {

using base::Json;

namespace {

std::string accuracyOf(const Json& version) { return metricOf(version, "val/accuracy"); }

std::string modelListText(const Json& models) {
    if (models.empty()) {
        return "No models.\n";
    }
    std::vector<std::vector<std::string>> rows{
        {"MODEL", "KIND", "RUN", "ACCURACY", "SIZE", "ONNX", "CREATED", "DESCRIPTION"}};
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

std::string percent(const Json& object, const char* key) {
    const std::optional<double> share = numberOf(object, key);
    if (!share) {
        return "-";
    }
    char text[32];
    std::snprintf(text, sizeof text, "%.1f %%", *share * 100);
    return text;
}

std::string modelShowText(const Json& version) {
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
        add("File", textOf(file, "path") + "  " + base::formatBytes(integerOf(file, "size")) +
                        (kind.empty() ? "" : "  " + kind));
    }
    for (const Json& one : memberOf(version, "exports")) {
        add("ONNX", "opset " + textOf(one, "opset") + "  " + shortTime(textOf(one, "created_at")));
    }
    add("No ONNX", noExportText(version));
    for (const Json& one : memberOf(version, "evaluations")) {
        add("Evaluated", textOf(one, "dataset") + " (" + textOf(one, "split") + ", " + textOf(one, "samples") +
                             " samples)  accuracy " + percent(one, "accuracy") + ", loss " +
                             base::formatSignificant(numberOf(one, "loss").value_or(0)) + "  " +
                             shortTime(textOf(one, "created_at")));
    }
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

std::string predictText(const Json& result) {
    std::vector<std::vector<std::string>> rows{{"PICTURE", "CLASS", "PROBABILITY", "TIME"}};
    for (const Json& one : memberOf(result, "predictions")) {
        const std::string file = textOf(one, "file");
        if (const Json& error = memberOf(one, "error"); error.is_object()) {
            rows.push_back({file, textOf(error, "message"), "", ""});
            continue;
        }
        bool first = true;
        for (const Json& guess : memberOf(one, "top")) {
            const auto nanos = static_cast<std::int64_t>(numberOf(one, "seconds").value_or(0) * 1e9);
            rows.push_back({first ? file : "", textOf(guess, "label"), percent(guess, "probability"),
                            first ? base::formatDuration(nanos) : ""});
            first = false;
        }
    }
    return tableText(rows, {false, false, true, true});
}

std::string evaluateText(const Json& result) {
    std::string text = textOf(result, "model") + " on " + textOf(result, "samples") + " samples (" +
                       textOf(result, "split") + "): " + percent(result, "accuracy") + " right";
    if (memberOf(result, "top5").is_number()) {
        text += ", " + percent(result, "top5") + " within five";
    }
    text += ", loss " + base::formatSignificant(numberOf(result, "loss").value_or(0)) + ".\n";
    if (const std::int64_t bad = integerOf(result, "bad_count"); bad > 0) {
        text += std::to_string(bad) + (bad == 1 ? " file" : " files") +
                " could not be read; the first: " + textOf(memberOf(result, "bad")[0], "file") + ", " +
                textOf(memberOf(result, "bad")[0], "why") + ".\n";
    }
    std::vector<std::vector<std::string>> rows{{"CLASS", "SAMPLES", "PRECISION", "RECALL", "F1"}};
    for (const Json& one : memberOf(result, "classes")) {
        rows.push_back({textOf(one, "name"), textOf(one, "samples"), percent(one, "precision"), percent(one, "recall"),
                        percent(one, "f1")});
    }
    text += tableText(rows, {false, true, true, true, true});
    constexpr std::size_t kShown = 10;
    const Json& mistakes = memberOf(result, "mistakes");
    if (mistakes.empty()) {
        return text;
    }
    rows = {{"WORST MISTAKES", "TRUTH", "TAKEN FOR", "PROBABILITY"}};
    for (std::size_t i = 0; i < std::min(kShown, mistakes.size()); ++i) {
        const Json& one = mistakes[i];
        const bool inFile = memberOf(one, "pixels").is_object();
        rows.push_back({textOf(one, "file") + (inFile ? " #" + textOf(one, "index") : ""), textOf(one, "name"),
                        textOf(one, "predicted_name"), percent(one, "probability")});
    }
    return text + tableText(rows, {false, false, false, true});
}

std::string inspectText(const Json& result) {
    std::vector<std::vector<std::string>> rows{{"LAYER", "KIND", "OUTPUT", "PARAMETERS", "MULTIPLY-ADDS", "MEMORY"}};
    for (const Json& layer : memberOf(result, "layers")) {
        std::string shape;
        for (const Json& size : memberOf(layer, "shape")) {
            shape += (shape.empty() ? "" : " x ") + base::dumpJson(size);
        }
        const std::int64_t parameters = integerOf(layer, "parameters");
        const std::int64_t multiplyAdds = integerOf(layer, "multiply_adds");
        rows.push_back(
            {textOf(layer, "name"), textOf(layer, "kind"), shape, parameters > 0 ? std::to_string(parameters) : "",
             multiplyAdds > 0 ? base::formatCount(multiplyAdds) : "", base::formatBytes(integerOf(layer, "bytes"))});
    }
    return textOf(result, "model") + ": " + textOf(result, "family") + ", " +
           base::formatCount(integerOf(result, "parameters")) + " parameters (" +
           base::formatBytes(integerOf(result, "weights_bytes")) + "), " +
           base::formatCount(integerOf(result, "multiply_adds")) + " multiply-adds and " +
           base::formatBytes(integerOf(result, "activation_bytes")) + " of layer outputs a sample.\n" +
           tableText(rows, {false, false, false, true, true, true});
}

std::string weightsText(const Json& result) {
    std::vector<std::vector<std::string>> rows{{"WEIGHTS", "FAMILY", "DATA", "CLASSES", "TOP-1", "HERE", "LICENCE"}};
    std::string problems;
    for (const Json& one : memberOf(result, "weights")) {
        const bool fetched = memberOf(one, "fetched") == Json(true);
        rows.push_back({textOf(one, "id"), textOf(one, "family"), textOf(one, "data"), textOf(one, "classes"),
                        memberOf(one, "top1").is_number() ? textOf(one, "top1") + " %" : "",
                        fetched ? base::formatBytes(integerOf(one, "bytes")) : "no", textOf(one, "licence")});
        if (memberOf(one, "problem").is_string()) {
            problems += textOf(one, "problem") + "\n";
        }
    }
    if (memberOf(result, "problem").is_string()) {
        problems += textOf(result, "problem") + "\n";
    }
    return tableText(rows, {false, false, false, true, true, true, false}) + problems;
}

std::string matchText(const Json& result) {
    std::string text;
    for (const auto& [key, title] : {std::pair{"matched", "taken over"},
                                     {"reinitialised", "of another shape, begin anew"},
                                     {"missing", "not in the file, begin anew"},
                                     {"unused", "of the file not used"}}) {
        const Json& list = memberOf(result, key);
        const std::int64_t count = integerOf(list, "count");
        text += std::to_string(count) + (count == 1 ? " tensor " : " tensors ") + title;
        const bool named = std::string_view(key) != "matched" && count > 0;
        std::string names;
        for (const Json& name : memberOf(list, "names")) {
            names += (names.empty() ? ": " : ", ") + name.get<std::string>();
        }
        text += (named ? names : "") + "\n";
    }
    return text;
}

}  // namespace

std::optional<std::string> describeModel(const std::string& action, const Json& result) {
    const std::string model = textOf(result, "model");
    if (action == "model.register") {
        const std::string noExport = noExportText(result);
        return "The model of run " + textOf(result, "number") + " was registered as " + model + " (" +
               textOf(result, "kind_title") + ").\n" +
               (noExport.empty() ? "" : "It cannot be exported to ONNX. " + noExport + "\n");
    }
    if (action == "model.list") return modelListText(memberOf(result, "models"));
    if (action == "model.show") return modelShowText(result);
    if (action == "model.export") return exportText(result);
    if (action == "model.predict") return predictText(result);
    if (action == "model.evaluate") return evaluateText(result);
    if (action == "model.inspect") return inspectText(result);
    if (action == "weights.list") return weightsText(result);
    if (action == "weights.match") return matchText(result);
    if (action == "weights.fetch") {
        return textOf(result, "weights") +
               (memberOf(result, "already") == Json(true) ? " was here already" : " was fetched") + " (" +
               base::formatBytes(integerOf(result, "bytes")) + ", SHA-256 " + textOf(result, "sha256").substr(0, 16) +
               "...): " + textOf(result, "file") + "\n";
    }
    if (action == "model.edit") return model + " was changed.\n";
    if (action == "model.download") {
        const std::size_t files = memberOf(result, "files").size();
        return std::to_string(files) + (files == 1 ? " file of " : " files of ") + model + " (" +
               base::formatBytes(integerOf(result, "bytes")) + (files == 1 ? ") was" : ") were") + " copied to " +
               textOf(result, "folder") + ".\n";
    }
    if (action == "model.delete") {
        return model + " was deleted; that freed " + base::formatBytes(integerOf(result, "freed_bytes")) + ".\n";
    }
    return std::nullopt;
}

}  // namespace trainyard::cli
