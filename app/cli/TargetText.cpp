#include "app/cli/TargetText.h"

#include <utility>

#include "app/cli/EnvironmentText.h"
#include "app/cli/JsonText.h"
#include "core/base/Clock.h"
#include "core/base/Text.h"

namespace trainyard::cli {

using base::Json;

namespace {

std::string hostsOf(const Json& target) {
    std::string text;
    for (const Json& host : memberOf(target, "hosts")) {
        const std::string one =
            host.is_string() ? base::stripControl(host.get<std::string>()) : textOf(host, "destination");
        text += (text.empty() ? "" : ", ") + one;
    }
    return text;
}

std::string targetListText(const Json& result) {
    std::vector<std::vector<std::string>> rows{{"TARGET", "KIND", "STATE", "RUNS", "HOSTS", "DESCRIPTION"}};
    for (const Json& target : memberOf(result, "targets")) {
        const std::string state =
            memberOf(target, "disabled") == Json(true) ? "disabled" : textOf(memberOf(target, "reach"), "state");
        rows.push_back({textOf(target, "target"), textOf(target, "kind"), state, textOf(target, "runs_active"),
                        clipText(hostsOf(target), 40), clipText(textOf(target, "description"), 40)});
    }
    std::string out = tableText(rows, {false, false, false, true, false, false});
    for (const Json& problem : memberOf(result, "problems")) {
        out +=
            (problem.is_string() ? base::stripControl(problem.get<std::string>()) : textOf(problem, "message")) + "\n";
    }
    return out;
}

std::string loadText(const Json& result) {
    std::vector<std::vector<std::string>> rows{
        {"HOST", "CORES BUSY", "MEMORY USED", "LOAD", "GPUS", "RUNS", "WAITING", "DISK FREE"}};
    for (const Json& host : memberOf(result, "hosts")) {
        const std::optional<double> load = numberOf(host, "load");
        rows.push_back({textOf(host, "host"), textOf(host, "cores_busy") + " of " + textOf(host, "cores"),
                        base::formatBytes(integerOf(host, "memory_used_bytes")) + " of " +
                            base::formatBytes(integerOf(host, "memory_bytes")),
                        load ? base::formatSignificant(*load, 3) : "", std::to_string(memberOf(host, "gpus").size()),
                        std::to_string(memberOf(host, "leases").size()),
                        std::to_string(memberOf(host, "waiting").size()),
                        base::formatBytes(integerOf(host, "disk_free_bytes"))});
    }
    return tableText(rows, {false, true, true, true, true, true, true, true});
}

std::string targetCacheText(const Json& result) {
    const Json& entries = memberOf(result, "entries");
    if (entries.empty()) {
        return "Nothing is kept there.\n";
    }
    std::vector<std::vector<std::string>> rows{{"HOST", "KIND", "NAME", "SIZE", "LAST USE", "IN USE", "KEY"}};
    for (const Json& entry : entries) {
        const std::string used = integerOf(entry, "last_use") > 0 ? base::isoTime(integerOf(entry, "last_use")) : "";
        rows.push_back({textOf(entry, "host"), textOf(entry, "kind"), clipText(textOf(entry, "name"), 40),
                        base::formatBytes(integerOf(entry, "bytes")), used.empty() ? "unknown" : shortTime(used),
                        memberOf(entry, "in_use") == Json(true) ? "yes" : "no", clipText(textOf(entry, "key"), 12)});
    }
    return tableText(rows, {false, false, false, true, false, false, false}) +
           base::formatBytes(integerOf(result, "bytes")) + " in all.\n";
}

std::string estimateText(const Json& result) {
    std::string out;
    if (const Json& source = memberOf(result, "source"); source.is_object()) {
        out +=
            "Source: " + textOf(source, "files") + " files, " + base::formatBytes(integerOf(source, "bytes")) + ".\n";
        for (const Json& warning : memberOf(source, "warnings")) {
            out += "Warning: " + base::stripControl(warning.get<std::string>()) + "\n";
        }
    }
    if (const Json& upload = memberOf(result, "upload"); upload.is_object()) {
        const std::int64_t bytes = integerOf(upload, "bytes");
        const std::int64_t speed = integerOf(upload, "bytes_per_second");
        out += "To be sent: " + textOf(upload, "files") + " files, " + base::formatBytes(bytes) +
               (speed > 0 && bytes > 0 ? ", about " + base::formatDuration(bytes * 1'000'000'000 / speed) : "") + ".\n";
        for (const Json& input : memberOf(upload, "fetches")) {
            out += "The target fetches \"" + base::stripControl(input.get<std::string>()) + "\" itself.\n";
        }
        if (const Json& disk = memberOf(upload, "disk"); disk.is_object()) {
            const std::string free = base::formatBytes(integerOf(disk, "free_bytes"));
            out += "Free on " + textOf(disk, "host") + ": " + free + ".\n";
            if (const std::int64_t needed = integerOf(disk, "needed_bytes"); needed > integerOf(disk, "free_bytes")) {
                out += "Error: the run needs " + base::formatBytes(needed) + " on " + textOf(disk, "host") + " in " +
                       textOf(disk, "folder") + ", and " + free +
                       " are free there. Make room, clear the target's cache (trainyard-cli target clear-cache " +
                       textOf(result, "target") + ") or choose another work folder.\n";
            }
        }
        if (const std::string says = textOf(upload, "queue_says"); !says.empty()) {
            out += "The queue says: " + says + "\n";
        }
    }
    out += findingsText(memberOf(memberOf(result, "environment"), "findings"));
    const std::string why = textOf(result, "upload_error");
    return why.empty() ? out : out + "What the target lacks is not known: " + why + "\n";
}

std::string snapshotText(const Json& result) {
    if (result.contains("text")) {
        return memberOf(result, "text").is_string() ? memberOf(result, "text").get<std::string>()
                                                    : "Binary, " + base::formatBytes(integerOf(result, "size")) + ".\n";
    }
    std::string out;
    if (const Json& git = memberOf(result, "git"); git.is_object()) {
        out += "Commit " + textOf(git, "commit") + " " + textOf(git, "branch") +
               (memberOf(git, "dirty") == Json(true) ? ", changed" : "") + "\n";
    }
    const bool compares = result.contains("changes");
    for (const Json& file : memberOf(result, compares ? "changes" : "files")) {
        out += (compares ? textOf(file, "change") : base::formatBytes(integerOf(file, "size"))) + "\t" +
               textOf(file, "path") + "\n";
    }
    return compares && memberOf(result, "changes").empty() ? out + "The same source.\n" : out;
}

std::string linesText(const std::vector<std::string>& lines) {
    std::string out;
    for (const std::string& line : lines) {
        out += "  " + line + "\n";
    }
    return out;
}

/// "Source: differs", and below it what.
std::string comparedPart(const std::string& title, const Json& same, const std::vector<std::string>& lines) {
    const std::string out = title + ": " +
                            (same == Json(true)    ? "the same"
                             : same == Json(false) ? (title.ends_with("s") ? "differ" : "differs")
                                                   : "not known") +
                            "\n";
    return out + linesText(lines);
}

std::vector<std::string> changesOf(const Json& list, const char* name) {
    std::vector<std::string> lines;
    for (const Json& one : list) {
        const auto side = [&](const char* which) {
            return memberOf(one, which).is_null() ? std::string("none") : textOf(one, which);
        };
        lines.push_back(textOf(one, name) + ": " + side("left") + " -> " + side("right"));
    }
    return lines;
}

std::string metricLine(const Json& metric) {
    std::string line = textOf(metric, "name");
    if (!memberOf(metric, "rank").is_null()) {
        line += " (rank " + textOf(metric, "rank") + ")";
    }
    line += ": " + textOf(metric, "left") + " -> " + textOf(metric, "right");
    const Json& points = memberOf(metric, "points");
    if (points.is_object() && integerOf(points, "different") > 0) {
        line += "; " + textOf(points, "different") + " of " + textOf(points, "compared") +
                " points differ, the first at step " + textOf(points, "first_step");
        const std::optional<double> largest = numberOf(points, "largest");
        line += largest ? ", by " + base::formatSignificant(*largest) + " at most" : "";
    }
    return line;
}

std::string compareText(const Json& result) {
    const Json& same = memberOf(result, "same");
    std::string out = "Run " + textOf(memberOf(result, "left"), "number") + " and run " +
                      textOf(memberOf(result, "right"), "number") + "\n";
    out += comparedPart("Specification", memberOf(same, "spec"), changesOf(memberOf(result, "spec"), "path"));
    std::vector<std::string> files;
    for (const Json& one : memberOf(result, "files")) {
        files.push_back(textOf(one, "change") + " " + textOf(one, "path"));
    }
    out += comparedPart("Source", memberOf(same, "snapshot"), files);
    for (const auto& [title, key] : {std::pair{"Data", "data"}, {"Environment", "environment"}, {"Target", "target"}}) {
        if (same.contains(key)) {
            out += comparedPart(title, memberOf(same, key), changesOf(memberOf(result, key), "name"));
        }
    }
    std::vector<std::string> metrics, measured;
    for (const Json& one : memberOf(result, "metrics")) {
        const Json& points = memberOf(one, "points");
        if (memberOf(one, "equal") != Json(true) || (points.is_object() && integerOf(points, "different") > 0)) {
            (memberOf(one, "measured") == Json(true) ? measured : metrics).push_back(metricLine(one));
        }
    }
    out += comparedPart("Metrics", memberOf(same, "metrics"), metrics);
    if (!memberOf(same, "points").is_null()) {
        out += comparedPart("All points", memberOf(same, "points"), {});
    }
    out += comparedPart("Outcome", memberOf(same, "state"), {});
    return measured.empty() ? out : out + "Times and rates, which do not count:\n" + linesText(measured);
}

}  // namespace

std::optional<std::string> describeTarget(const std::string& action, const Json& result) {
    const std::string target = "Target " + textOf(result, "target");
    if (action == "target.list") return targetListText(result);
    if (action == "target.show") return base::dumpJsonPretty(result);
    if (action == "target.add") {
        return target + (memberOf(result, "created") == Json(false) ? " was there already.\n" : " was added.\n");
    }
    if (action == "target.edit") return target + " was changed.\n";
    if (action == "target.clone") return target + " was made.\n";
    if (action == "target.enable") return target + " takes runs again.\n";
    if (action == "target.disable") return target + " takes no more runs; those that are there go on.\n";
    if (action == "target.delete") return target + " was deleted.\n";
    if (action == "target.wait") return target + " is ready.\n";
    if (action == "target.doctor") return "Worst finding: " + textOf(result, "worst") + ".\n";
    if (action == "target.load") return loadText(result);
    if (action == "target.cache") return targetCacheText(result);
    if (action == "target.clear-cache") return base::formatBytes(integerOf(result, "freed_bytes")) + " were freed.\n";
    if (action == "target.build-engine") {
        return "The engine was built in " + textOf(result, "seconds") + " s against " + textOf(result, "libtorch") +
               ".\n";
    }
    if (action == "run.estimate") return estimateText(result);
    if (action == "run.snapshot") return snapshotText(result);
    if (action == "run.compare") return compareText(result);
    if (action == "run.reproduce") {
        return "Run " + textOf(result, "number") + " (" + textOf(result, "name") +
               ") was started. Compare them with: trainyard-cli run compare " + textOf(result, "reproduces") + " " +
               textOf(result, "number") + "\n";
    }
    if (action == "run.collect") return "The outputs of run " + textOf(result, "number") + " were brought here.\n";
    if (action == "run.give-up") return "Run " + textOf(result, "number") + " was given up.\n";
    return std::nullopt;
}

std::string doctorText(const Json& line) {
    std::string out = textOf(line, "finding");
    out.resize(std::max<std::size_t>(out.size(), 9), ' ');
    const std::string host = textOf(line, "host");
    const std::string remedy = textOf(line, "remedy");
    return out + (host.empty() ? "" : host + "  ") + textOf(line, "title") + ": " + textOf(line, "text") +
           (remedy.empty() ? "" : " " + remedy);
}

std::optional<int> exitCodeOfRun(const Json& run) {
    std::optional<int> code;
    for (const Json& rank : memberOf(run, "ranks")) {
        constexpr int kFirstSignal = 128;
        if (memberOf(rank, "exit").is_number() && integerOf(rank, "exit") != 0) {
            return static_cast<int>(integerOf(rank, "exit"));
        }
        if (memberOf(rank, "signal").is_number() && integerOf(rank, "signal") != 0) {
            code = kFirstSignal + static_cast<int>(integerOf(rank, "signal"));
        }
    }
    return code;
}

}  // namespace trainyard::cli
