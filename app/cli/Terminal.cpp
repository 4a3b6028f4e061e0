#include "app/cli/Terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "core/base/Text.h"

namespace trainyard::cli {

using base::Json;

namespace {

/// Width on a terminal, near enough: one column a UTF-8 character.
std::size_t width(const std::string& text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string clip(const std::string& text, std::size_t columns) {
    std::size_t seen = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80 && ++seen > columns) {
            return text.substr(0, i);
        }
    }
    return text;
}

std::string text(const Json& object, const char* key) {
    const auto found = object.find(key);
    if (found == object.end() || found->is_null()) {
        return {};
    }
    return base::stripControl(found->is_string() ? found->get<std::string>() : base::dumpJson(*found));
}

std::int64_t integer(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_number() ? found->get<std::int64_t>() : 0;
}

std::optional<double> number(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found == object.end() ? std::nullopt : base::jsonToNumber(*found);
}

const Json& member(const Json& object, const char* key) {
    static const Json kNone;
    const auto found = object.find(key);
    return found == object.end() ? kNone : *found;
}

std::string metric(const Json& run, const std::string& name, const char* which = "last") {
    for (const Json& one : member(run, "metrics")) {
        if (text(one, "name") == name) {
            const std::optional<double> value = number(one, which);
            return value ? base::formatSignificant(*value) : std::string();
        }
    }
    return {};
}

std::string duration(const Json& run) {
    return member(run, "duration_ns").is_number() ? base::formatDuration(integer(run, "duration_ns")) : std::string();
}

std::string table(const std::vector<std::vector<std::string>>& rows, const std::vector<bool>& right) {
    std::vector<std::size_t> widths(right.size(), 0);
    for (const auto& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            widths[i] = std::max(widths[i], width(row[i]));
        }
    }
    std::string out;
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::string pad(widths[i] - width(row[i]), ' ');
            line += (right[i] ? pad + row[i] : row[i] + pad) + (i + 1 < row.size() ? "  " : "");
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + "\n";
    }
    return out;
}

std::string describeList(const Json& result) {
    const Json& runs = member(result, "runs");
    if (runs.empty()) {
        return "No runs.\n";
    }
    std::vector<std::vector<std::string>> rows{{"RUN", "NAME", "STATE", "DURATION", "LOSS", "ACCURACY", "CREATED"}};
    for (const Json& run : runs) {
        const std::string loss = metric(run, "train/loss");
        const std::string created = text(run, "created_at");
        rows.push_back({text(run, "number"), clip(text(run, "name"), 40), text(run, "state"), duration(run), loss,
                        metric(run, "val/accuracy"), created.substr(0, 10) + " " + created.substr(std::min<std::size_t>(11, created.size()), 8)});
    }
    std::string out = table(rows, {true, false, false, true, true, true, false});
    if (!member(result, "next").is_null()) {
        out += "More: --after " + text(result, "next") + "\n";
    }
    return out;
}

std::string tagText(const Json& tags) {
    std::string text;
    for (const auto& [name, value] : tags.items()) {
        const std::string of = value.is_string() ? value.get<std::string>() : base::dumpJson(value);
        text += (text.empty() ? "" : ", ") + base::stripControl(of.empty() ? name : name + "=" + of);
    }
    return text;
}

std::string describeRun(const Json& run) {
    std::vector<std::vector<std::string>> rows;
    const auto add = [&](const std::string& label, const std::string& value) {
        if (!value.empty()) {
            rows.push_back({label, value});
        }
    };
    const std::string reason = text(run, "reason");
    add("Run", text(run, "number") + "  " + text(run, "run"));
    add("Name", text(run, "name"));
    add("Experiment", text(run, "experiment"));
    add("State", text(run, "state") + (reason.empty() ? "" : ": " + reason));
    add("Created", text(run, "created_at"));
    add("Duration", duration(run));
    add("Processes", text(run, "processes"));
    add("Parent", text(run, "parent"));
    add("Tags", tagText(member(run, "tags")));
    add("Notes", text(run, "notes"));
    for (const Json& one : member(run, "metrics")) {
        add(text(one, "name"), metric(run, text(one, "name")) + "  (lowest " + metric(run, text(one, "name"), "min") +
                                   ", highest " + metric(run, text(one, "name"), "max") + ")");
    }
    for (const Json& rank : member(run, "ranks")) {
        const bool signaled = !member(rank, "signal").is_null();
        if (signaled || !member(rank, "exit").is_null()) {
            const std::string how = signaled ? "signal " + text(rank, "signal") : "exit " + text(rank, "exit");
            const std::string why = text(rank, "reason");
            add("Rank " + text(rank, "rank"), how + (why.empty() ? "" : ": " + why));
        }
    }
    for (const Json& output : member(run, "outputs")) {
        add("Output", text(output, "path") + "  " + base::formatBytes(integer(output, "size")));
    }
    for (const Json& warning : member(run, "warning_list")) {
        add("Warning", text(warning, "message"));
    }
    return table(rows, {false, false});
}

std::string describeAny(const Json& result) {
    if (!result.is_object() || result.empty()) {
        return {};
    }
    std::vector<std::vector<std::string>> rows;
    std::string lists;
    for (const auto& [key, value] : result.items()) {
        if (value.is_array() && std::all_of(value.begin(), value.end(), [](const Json& one) { return one.is_object(); })) {
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
                    line.push_back(text(one, name.c_str()));
                }
                lines.push_back(line);
            }
            lists += lines.empty() ? "No " + key + ".\n" : table(lines, std::vector<bool>(lines.front().size(), false));
        } else if (!value.is_null() && text(result, key.c_str()) != "") {
            rows.push_back({key, text(result, key.c_str())});
        }
    }
    return table(rows, {false, false}) + lists;
}

}  // namespace

std::string describe(const std::string& action, const Json& result) {
    const std::string run = "Run " + text(result, "number");
    if (action == "run.list") return describeList(result);
    if (action == "run.show") return describeRun(result);
    if (action == "run.submit" || action == "run.resume") return run + " (" + text(result, "name") + ") was started.\n";
    if (action == "run.cancel") return run + " was asked to stop.\n";
    if (action == "run.rename") return run + " is now called " + text(result, "name") + ".\n";
    if (action == "run.tag") {
        const std::string tags = tagText(member(result, "tags"));
        return run + (tags.empty() ? " has no tags.\n" : " has the tags " + tags + ".\n");
    }
    if (action == "run.notes") return "The notes of run " + text(result, "number") + " were saved.\n";
    if (action == "run.archive") {
        return run + (member(result, "archived") == Json(true) ? " was archived.\n" : " is listed again.\n");
    }
    if (action == "run.delete") {
        return run + " was deleted; that freed " + base::formatBytes(integer(result, "freed_bytes")) + ".\n";
    }
    if (action == "run.download") {
        const std::size_t files = member(result, "files").size();
        return std::to_string(files) + (files == 1 ? " file (" : " files (") + base::formatBytes(integer(result, "bytes")) +
               (files == 1 ? ") was copied to " : ") were copied to ") + text(result, "folder") + ".\n";
    }
    if (action == "run.duplicate") return base::dumpJsonPretty(member(result, "spec"));
    if (action == "run.watch") {
        const std::string reason = text(result, "reason");
        const std::string took = duration(result);
        return run + " " + text(result, "state") + (took.empty() ? "" : " after " + took) +
               (reason.empty() ? "." : ": " + reason) + "\n";
    }
    return describeAny(result);
}

std::string progressText(const Json& run, int columns) {
    const Json& progress = member(run, "progress");
    std::string line = "Run " + text(run, "number") + "  " + text(run, "state");
    const auto add = [&](const std::string& part) { line += part.empty() ? "" : "  " + part; };
    if (progress.is_object() && text(run, "state") == "Running") {
        const std::int64_t steps = integer(progress, "steps");
        const double total = steps > 0 ? static_cast<double>(steps) : number(progress, "total").value_or(0);
        const double done = steps > 0 ? static_cast<double>(integer(progress, "step")) : number(progress, "done").value_or(0);
        if (integer(progress, "epochs") > 0) {
            add("epoch " + text(progress, "epoch") + "/" + text(progress, "epochs"));
        }
        if (total > 0) {
            add((steps > 0 ? std::string("step ") : std::string()) + std::to_string(static_cast<std::int64_t>(done)) + "/" +
                std::to_string(static_cast<std::int64_t>(total)));
            constexpr int kBar = 20;
            const int full = static_cast<int>(std::lround(std::clamp(done / total, 0.0, 1.0) * kBar));
            add("[" + std::string(static_cast<std::size_t>(full), '#') +
                std::string(static_cast<std::size_t>(kBar - full), '-') + "]");
        }
        if (const double rate = number(progress, "rate").value_or(0); rate > 0) {
            const std::string unit = text(progress, "unit");
            add(base::formatSignificant(rate, 3) + " " + (unit.empty() ? "1" : unit) + "/s");
        }
        if (integer(progress, "eta_ns") > 0) {
            add(base::formatDuration(integer(progress, "eta_ns")) + " left");
        }
    } else {
        add(text(run, "reason"));
    }
    if (const std::string loss = metric(run, "train/loss"); !loss.empty()) {
        add("loss " + loss);
    }
    if (const std::string accuracy = metric(run, "val/accuracy"); !accuracy.empty()) {
        add("val " + accuracy);
    }
    return clip(line, static_cast<std::size_t>(std::max(columns, 20)));
}

std::string logText(const Json& line, bool withRank) {
    const std::string rank = member(line, "rank").is_null() ? "agent" : "rank " + text(line, "rank");
    return (withRank ? "[" + rank + "] " : std::string()) + text(line, "text");
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
