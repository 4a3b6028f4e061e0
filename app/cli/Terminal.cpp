#include "app/cli/Terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "app/cli/DatasetText.h"
#include "app/cli/EnvironmentText.h"
#include "app/cli/JsonText.h"
#include "app/cli/ModelText.h"
#include "app/cli/TargetText.h"
#include "core/base/Text.h"

namespace trainyard::cli {

using base::Json;

namespace {

std::string duration(const Json& run) {
    return memberOf(run, "duration_ns").is_number() ? base::formatDuration(integerOf(run, "duration_ns"))
                                                    : std::string();
}

std::string describeList(const Json& result) {
    const Json& runs = memberOf(result, "runs");
    if (runs.empty()) {
        return "No runs.\n";
    }
    std::vector<std::vector<std::string>> rows{
        {"RUN", "NAME", "STATE", "DURATION", "LOSS", "ACCURACY", "CREATED", "REASON"}};
    for (const Json& run : runs) {
        const std::string loss = metricOf(run, "train/loss");
        const std::string created = textOf(run, "created_at");
        rows.push_back({textOf(run, "number"), clipText(textOf(run, "name"), 40), textOf(run, "state"), duration(run),
                        loss, metricOf(run, "val/accuracy"), shortTime(created), clipText(textOf(run, "reason"), 60)});
    }
    std::string out = tableText(rows, {true, false, false, true, true, true, false, false});
    if (!memberOf(result, "next").is_null()) {
        out += "More: --after " + base::shellQuote(textOf(result, "next")) + "\n";
    }
    return out;
}

std::string describeRun(const Json& run) {
    std::vector<std::vector<std::string>> rows;
    const auto add = [&](const std::string& label, const std::string& value) {
        if (!value.empty()) {
            rows.push_back({label, value});
        }
    };
    const std::string reason = textOf(run, "reason");
    add("Run", textOf(run, "number") + "  " + textOf(run, "run"));
    add("Name", textOf(run, "name"));
    add("Experiment", textOf(run, "experiment"));
    add("State", textOf(run, "state") + (reason.empty() ? "" : ": " + reason));
    add("Created", textOf(run, "created_at"));
    add("Duration", duration(run));
    add("Processes", textOf(run, "processes"));
    add("Parent", textOf(run, "parent"));
    add("Tags", tagsOf(memberOf(run, "tags")));
    add("Notes", textOf(run, "notes"));
    for (const Json& one : memberOf(run, "metrics")) {
        add(textOf(one, "name"), metricOf(run, textOf(one, "name")) + "  (lowest " +
                                     metricOf(run, textOf(one, "name"), "min") + ", highest " +
                                     metricOf(run, textOf(one, "name"), "max") + ")");
    }
    for (const Json& rank : memberOf(run, "ranks")) {
        const bool signaled = !memberOf(rank, "signal").is_null();
        if (signaled || !memberOf(rank, "exit").is_null()) {
            const std::string how = signaled ? "signal " + textOf(rank, "signal") : "exit " + textOf(rank, "exit");
            const std::string why = textOf(rank, "reason");
            add("Rank " + textOf(rank, "rank"), how + (why.empty() ? "" : ": " + why));
        }
    }
    for (const Json& output : memberOf(run, "outputs")) {
        add("Output", textOf(output, "path") + "  " + base::formatBytes(integerOf(output, "size")));
    }
    for (const Json& warning : memberOf(run, "warning_list")) {
        add("Warning", textOf(warning, "message"));
    }
    return tableText(rows, {false, false});
}

std::string describeAny(const Json& result) {
    if (!result.is_object() || result.empty()) {
        return {};
    }
    std::vector<std::vector<std::string>> rows;
    std::string lists;
    for (const auto& [key, value] : result.items()) {
        if (value.is_array() &&
            std::all_of(value.begin(), value.end(), [](const Json& one) { return one.is_object(); })) {
            std::vector<std::vector<std::string>> lines;
            for (const Json& one : value) {
                if (lines.empty()) {
                    std::vector<std::string> head;
                    for (const auto& [name, cell] : one.items()) {
                        if (!cell.is_structured()) head.push_back(name);
                    }
                    lines.push_back(head);
                }
                std::vector<std::string> line;
                for (const std::string& name : lines.front()) {
                    line.push_back(textOf(one, name.c_str()));
                }
                lines.push_back(line);
            }
            lists +=
                lines.empty() ? "No " + key + ".\n" : tableText(lines, std::vector<bool>(lines.front().size(), false));
        } else if (value.is_object()) {
            for (const auto& [name, one] : value.items()) {
                if (!textOf(value, name.c_str()).empty()) {
                    rows.push_back({key + " " + name, textOf(value, name.c_str())});
                }
            }
        } else if (!value.is_null() && textOf(result, key.c_str()) != "") {
            rows.push_back({key, textOf(result, key.c_str())});
        }
    }
    return tableText(rows, {false, false}) + lists;
}

/// What trying real steps came to: what the run needs, what does not fit, the largest batch that does.
std::string describeCheck(const Json& found) {
    const bool fits = memberOf(found, "fits") != Json(false);
    std::vector<std::vector<std::string>> rows;
    const auto bytes = [&](const char* label, const char* need, const char* free) {
        if (integerOf(found, need) <= 0) {
            return;
        }
        const std::int64_t there = integerOf(found, free);
        rows.push_back({label, base::formatBytes(integerOf(found, need)) +
                                   (there > 0 ? " of " + base::formatBytes(there) + " that are free" : std::string())});
    };
    const auto seconds = [&](const char* label, const char* key) {
        if (const double value = numberOf(found, key).value_or(0); value > 0) {
            rows.push_back({label, base::formatDuration(static_cast<std::int64_t>(value * 1e9))});
        }
    };
    if (const std::string device = textOf(found, "device"); !device.empty()) {
        rows.push_back({"Device", device});
    }
    bytes("Memory", "memory_bytes", "memory_free_bytes");
    if (const std::int64_t limit = integerOf(found, "address_space_limit_bytes"); limit > 0) {
        const std::int64_t need = integerOf(found, "address_space_bytes");
        rows.push_back({"Address space", (need > 0 ? base::formatBytes(need) + " of " : std::string()) +
                                             base::formatBytes(limit) + " that ulimit -v leaves each process"});
    }
    bytes("GPU memory", "device_memory_bytes", "device_memory_free_bytes");
    seconds("Start", "setup_seconds");
    seconds("First epoch", "first_epoch_seconds");
    seconds("An epoch", "seconds_per_epoch");
    seconds("In all", "seconds_total");
    bytes("Disk", "disk_bytes", "");
    if (integerOf(found, "largest_batch") > 0) {
        rows.push_back({"Largest batch", textOf(found, "largest_batch")});
    }
    std::string text = (fits ? "It fits.\n" : "It does not fit.\n") + tableText(rows, {false, false});
    for (const Json& one : memberOf(found, "messages")) {
        const std::string field = textOf(one, "field");
        text += textOf(one, "severity") + ": " + textOf(one, "text") + (field.empty() ? "" : " (" + field + ")") + "\n";
    }
    return text;
}

/// Hosts that did not answer, where an action told what the others have.
std::string silentText(const Json& result) {
    std::string text;
    for (const Json& one : memberOf(result, "silent")) {
        text += "What lies on " + textOf(one, "host") + " is missing here: " + textOf(one, "message") + "\n";
    }
    return text;
}

}  // namespace

std::string describe(const std::string& action, const Json& result) {
    if (const std::optional<std::string> said = describeModel(action, result)) {
        return *said;
    }
    if (const std::optional<std::string> said = describeTarget(action, result)) {
        return *said;
    }
    if (const std::optional<std::string> said = describeEnvironment(action, result)) {
        return *said;
    }
    if (const std::optional<std::string> said = describeDataset(action, result)) {
        return *said;
    }
    const std::string run = "Run " + textOf(result, "number");
    if (action == "run.list") return describeList(result);
    if (action == "run.show") return describeRun(result);
    if (action == "run.submit" || action == "run.resume")
        return run + " (" + textOf(result, "name") + ") was started.\n";
    if (action == "run.check") return describeCheck(result);
    if (action == "run.cancel") return run + " was asked to stop.\n";
    if (action == "run.checkpoint") {
        return result["step"].is_null() ? run + " was asked for a checkpoint.\n"
                                        : run + " has written a checkpoint at step " + textOf(result, "step") + ".\n";
    }
    if (action == "run.pause")
        return run + " has written a checkpoint and was asked to stop. Go on with: trainyard-cli run resume " +
               textOf(result, "number") + "\n";
    if (action == "run.rename") return run + " is now called " + textOf(result, "name") + ".\n";
    if (action == "run.tag") {
        const std::string tags = tagsOf(memberOf(result, "tags"));
        return run + (tags.empty() ? " has no tags.\n" : " has the tags " + tags + ".\n");
    }
    if (action == "run.notes") return "The notes of run " + textOf(result, "number") + " were saved.\n";
    if (action == "run.archive") {
        return run + (memberOf(result, "archived") == Json(true) ? " was archived.\n" : " is listed again.\n");
    }
    if (action == "run.delete") {
        return run + " was deleted; that freed " + base::formatBytes(integerOf(result, "freed_bytes")) + ".\n";
    }
    if (action == "run.download") {
        const std::size_t files = memberOf(result, "files").size();
        return std::to_string(files) + (files == 1 ? " file (" : " files (") +
               base::formatBytes(integerOf(result, "bytes")) + (files == 1 ? ") was copied to " : ") were copied to ") +
               textOf(result, "folder") + ".\n" + silentText(result);
    }
    if (action == "run.files") {
        Json told = result;
        told.erase("silent");
        return describeAny(told) + silentText(result);
    }
    if (action == "run.duplicate") return base::dumpJsonPretty(memberOf(result, "spec"));
    if (action == "run.watch" || action == "run.wait") {
        const std::string reason = textOf(result, "reason");
        const std::string took = duration(result);
        return run + " " + textOf(result, "state") + (took.empty() ? "" : " after " + took) +
               (reason.empty() ? "." : ": " + reason) + "\n";
    }
    return describeAny(result);
}

std::string progressText(const Json& run, int columns) {
    const Json& progress = memberOf(run, "progress");
    std::string line = "Run " + textOf(run, "number") + "  " + textOf(run, "state");
    const auto add = [&](const std::string& part) { line += part.empty() ? "" : "  " + part; };
    if (progress.is_object() && textOf(run, "state") == "Running") {
        const std::int64_t steps = integerOf(progress, "steps");
        const double total = steps > 0 ? static_cast<double>(steps) : numberOf(progress, "total").value_or(0);
        const double done =
            steps > 0 ? static_cast<double>(integerOf(progress, "step")) : numberOf(progress, "done").value_or(0);
        if (integerOf(progress, "epochs") > 0) {
            add("epoch " + textOf(progress, "epoch") + "/" + textOf(progress, "epochs"));
        }
        if (total > 0) {
            add((steps > 0 ? std::string("step ") : std::string()) + std::to_string(static_cast<std::int64_t>(done)) +
                "/" + std::to_string(static_cast<std::int64_t>(total)));
            constexpr int kBar = 20;
            const int full = static_cast<int>(std::lround(std::clamp(done / total, 0.0, 1.0) * kBar));
            add("[" + std::string(static_cast<std::size_t>(full), '#') +
                std::string(static_cast<std::size_t>(kBar - full), '-') + "]");
        }
        if (const double rate = numberOf(progress, "rate").value_or(0); rate > 0) {
            const std::string unit = textOf(progress, "unit");
            add(base::formatSignificant(rate, 3) + " " + (unit.empty() ? "1" : unit) + "/s");
        }
        if (integerOf(progress, "eta_ns") > 0) {
            add(base::formatDuration(integerOf(progress, "eta_ns")) + " left");
        }
    } else {
        add(textOf(run, "reason"));
    }
    if (const std::string loss = metricOf(run, "train/loss"); !loss.empty()) {
        add("loss " + loss);
    }
    if (const std::string accuracy = metricOf(run, "val/accuracy"); !accuracy.empty()) {
        add("val " + accuracy);
    }
    return clipText(line, static_cast<std::size_t>(std::max(columns, 20)));
}

std::string logText(const Json& line, bool withRank, bool withNode) {
    const std::string rank = memberOf(line, "rank").is_null() ? "agent" : "rank " + textOf(line, "rank");
    const std::string node = withNode ? "node " + textOf(line, "node") + ", " : std::string();
    return (withRank || withNode ? "[" + node + rank + "] " : std::string()) + textOf(line, "text");
}

ProgressLine::ProgressLine(bool wanted) : m_enabled(wanted && ::isatty(STDERR_FILENO) == 1) {}

int ProgressLine::columns() const {
    winsize size{};
    constexpr int kUsual = 100;
    return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col - 1 : kUsual;
}

void ProgressLine::show(const std::string& line) {
    if (m_enabled) {
        std::fprintf(stderr, "\r\033[K%s", line.c_str());
        std::fflush(stderr);
        m_drawn = true;
    }
}

void ProgressLine::clear() {
    if (m_drawn) {
        std::fputs("\r\033[K", stderr);
        std::fflush(stderr);
        m_drawn = false;
    }
}

}  // namespace trainyard::cli
