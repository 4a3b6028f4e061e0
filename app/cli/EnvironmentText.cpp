#include "app/cli/EnvironmentText.h"

#include <algorithm>
#include <vector>

#include "app/cli/JsonText.h"
#include "core/base/Clock.h"
#include "core/base/Text.h"

namespace trainyard::cli {

using base::Json;

namespace {

std::string pinnedOf(const Json& one) { return textOf(one, "environment") + ":" + textOf(one, "version"); }

std::string environmentListText(const Json& result) {
    std::vector<std::vector<std::string>> rows{
        {"ENVIRONMENT", "VERSION", "KIND", "RUNS", "LAST USED", "ON", "DESCRIPTION"}};
    for (const Json& one : memberOf(result, "environments")) {
        const Json& last = memberOf(one, "last_used");
        const std::string label = textOf(one, "label");
        rows.push_back({textOf(one, "environment"), textOf(one, "version"), textOf(one, "kind"), textOf(one, "runs"),
                        last.is_object() ? shortTime(textOf(last, "at")) : "never", textOf(last, "target"),
                        clipText((label.empty() ? "" : "[" + label + "] ") + textOf(one, "description"), 60)});
    }
    std::string out = tableText(rows, {false, true, false, true, false, false, false});
    for (const Json& problem : memberOf(result, "problems")) {
        out += textOf(problem, "message") + "\n";
    }
    return out;
}

/// Its own words, but control characters: a text of several lines keeps its line breaks.
std::string fileText(const std::string& text) {
    std::string out;
    for (const std::string& line : base::split(text, '\n')) {
        out += line.empty() ? "\n" : "  " + base::stripControl(line) + "\n";
    }
    return out;
}

std::string environmentShowText(const Json& result) {
    std::string out = pinnedOf(result) + ", " + textOf(result, "kind") +
                      (memberOf(result, "curated") == Json(true) ? ", comes with Trainyard" : "") + "\n";
    const std::string label = textOf(result, "label");
    out += label.empty() ? "" : label + ".\n";
    out += textOf(result, "description").empty() ? "" : textOf(result, "description") + "\n";
    for (const Json& file : memberOf(result, "files")) {
        const Json& text = memberOf(file, "text");
        out +=
            "\n" + textOf(file, "name") + "\n" + fileText(text.is_string() ? text.get<std::string>() : std::string());
    }
    out += "\n";
    if (memberOf(result, "realised").empty()) {
        return out + "No run here has used it yet.\n";
    }
    std::vector<std::vector<std::string>> rows{{"VERSION", "TARGET", "HOST", "AT", "RUN", "BUILD"}};
    for (const Json& one : memberOf(result, "realised")) {
        rows.push_back({textOf(one, "version"), textOf(one, "target"), textOf(one, "host"),
                        shortTime(textOf(one, "at")), textOf(one, "number"), clipText(textOf(one, "hash"), 12)});
    }
    return out + tableText(rows, {true, false, false, false, true, false});
}

std::string planText(const Json& plan) {
    if (!textOf(plan, "error").empty()) {
        return textOf(plan, "error") + "\n";
    }
    const std::string hash = textOf(plan, "hash");
    if (hash.empty()) {
        return "Nothing is built.\n";
    }
    std::string out = "Would be built as " + clipText(hash, 12) + ", needing about " +
                      base::formatBytes(integerOf(plan, "need_bytes")) + ":\n";
    for (const Json& step : memberOf(plan, "steps")) {
        out += "  " + textOf(step, "title") + ":";
        for (const Json& word : memberOf(step, "command")) {
            out += " " + (word.is_string() ? base::stripControl(word.get<std::string>()) : std::string());
        }
        out += "\n";
    }
    return out;
}

std::string diffText(const Json& result) {
    const Json& differences = memberOf(result, "differences");
    if (differences.empty()) {
        return textOf(result, "left") + " and " + textOf(result, "right") + " are the same.\n";
    }
    std::string out = textOf(result, "left") + " -> " + textOf(result, "right") + "\n";
    for (const Json& one : differences) {
        out += textOf(one, "path") + ": " + base::stripControl(base::dumpJson(memberOf(one, "left"))) + " -> " +
               base::stripControl(base::dumpJson(memberOf(one, "right"))) + "\n";
    }
    return out;
}

std::string notesText(const Json& result) {
    std::string out;
    for (const Json& note : memberOf(result, "notes")) {
        out += note.is_string() ? base::stripControl(note.get<std::string>()) + "\n" : "";
    }
    return out;
}

std::string environmentCacheText(const Json& result) {
    std::vector<std::vector<std::string>> rows{{"HOST", "BUILD", "ENVIRONMENT", "SIZE", "LAST USE", "IN USE"}};
    for (const Json& one : memberOf(result, "entries")) {
        const std::string here = textOf(one, "environment");
        rows.push_back({textOf(one, "host"), clipText(textOf(one, "key"), 12),
                        here.empty() ? textOf(one, "name") : here, base::formatBytes(integerOf(one, "bytes")),
                        integerOf(one, "last_use") > 0 ? shortTime(base::isoTime(integerOf(one, "last_use"))) : "",
                        memberOf(one, "in_use") == Json(true) ? "yes" : "no"});
    }
    return tableText(rows, {false, false, false, true, false, false}) + base::formatBytes(integerOf(result, "bytes")) +
           " together.\n";
}

std::string validateText(const Json& result) {
    std::string out;
    for (const Json& error : memberOf(result, "errors")) {
        out += textOf(error, "field") + ": " + textOf(error, "message") + "\n";
    }
    out += findingsText(memberOf(result, "findings"));
    return out.empty() ? "Nothing is wrong with it.\n" : out;
}

}  // namespace

std::string findingsText(const Json& findings) {
    std::string out;
    for (const Json& one : findings) {
        std::string level = textOf(one, "finding");
        level.resize(std::max<std::size_t>(level.size(), 9), ' ');
        out += level + textOf(one, "message") + " " + textOf(one, "remedy") + "\n";
    }
    return out;
}

std::optional<std::string> describeEnvironment(const std::string& action, const Json& result) {
    if (action == "environment.list") return environmentListText(result);
    if (action == "environment.show") return environmentShowText(result);
    if (action == "environment.create" || action == "environment.clone")
        return "Environment " + pinnedOf(result) + " was made.\n";
    if (action == "environment.edit") {
        return memberOf(result, "created") == Json(true)
                   ? "Version " + textOf(result, "version") + " of " + textOf(result, "environment") + " was made.\n"
                   : pinnedOf(result) + " is the same already.\n";
    }
    if (action == "environment.import") {
        return notesText(result) + (result.contains("environment") ? "Environment " + pinnedOf(result) + " was made.\n"
                                                                   : base::dumpJsonPretty(memberOf(result, "spec")));
    }
    if (action == "environment.delete") {
        const std::int64_t runs = integerOf(result, "runs");
        const std::string kept =
            runs == 0   ? ""
            : runs == 1 ? " One kept run used it; to repeat it choose another environment."
                        : " " + std::to_string(runs) + " kept runs used it; to repeat one choose another environment.";
        return "Environment " + textOf(result, "environment") + " was deleted." + kept + "\n";
    }
    if (action == "environment.diff") return diffText(result);
    if (action == "environment.save") {
        return std::to_string(memberOf(result, "files").size()) + " files of " + textOf(result, "environment") +
               " were written to " + textOf(result, "folder") + ".\n";
    }
    if (action == "environment.check") {
        const std::string findings = findingsText(memberOf(result, "findings"));
        return (findings.empty() ? "Nothing is missing on " + textOf(result, "target") + ".\n" : findings) +
               planText(memberOf(result, "plan"));
    }
    if (action == "environment.validate") return validateText(result);
    if (action == "environment.cache") return environmentCacheText(result);
    if (action == "environment.clear") return base::formatBytes(integerOf(result, "freed_bytes")) + " were freed.\n";
    return std::nullopt;
}

}  // namespace trainyard::cli
