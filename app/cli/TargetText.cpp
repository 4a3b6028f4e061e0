#include "app/cli/TargetText.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

#include "app/cli/JsonText.h"
#include "core/base/Files.h"
#include "core/base/Text.h"

namespace trainyard::cli {

using base::Json;

namespace {

std::string hostsOf(const Json& target) {
    std::string text;
    for (const Json& host : memberOf(target, "hosts")) {
        const std::string one = host.is_string() ? base::stripControl(host.get<std::string>()) : textOf(host, "destination");
        text += (text.empty() ? "" : ", ") + one;
    }
    return text;
}

std::string listText(const Json& result) {
    std::vector<std::vector<std::string>> rows{{"TARGET", "KIND", "STATE", "RUNS", "HOSTS", "DESCRIPTION"}};
    for (const Json& target : memberOf(result, "targets")) {
        const std::string state = memberOf(target, "disabled") == Json(true) ? "disabled" : textOf(memberOf(target, "reach"), "state");
        rows.push_back({textOf(target, "target"), textOf(target, "kind"), state, textOf(target, "runs_active"), clipText(hostsOf(target), 40),
                        clipText(textOf(target, "description"), 40)});
    }
    std::string out = tableText(rows, {false, false, false, true, false, false});
    for (const Json& problem : memberOf(result, "problems")) {
        out += (problem.is_string() ? base::stripControl(problem.get<std::string>()) : textOf(problem, "message")) + "\n";
    }
    return out;
}

std::string estimateText(const Json& result) {
    std::string out;
    if (const Json& source = memberOf(result, "source"); source.is_object()) {
        out += "Source: " + textOf(source, "files") + " files, " + base::formatBytes(integerOf(source, "bytes")) + ".\n";
        for (const Json& warning : memberOf(source, "warnings")) {
            out += "Warning: " + base::stripControl(warning.get<std::string>()) + "\n";
        }
    }
    if (const Json& upload = memberOf(result, "upload"); upload.is_object()) {
        const std::int64_t bytes = integerOf(upload, "bytes");
        const std::int64_t speed = integerOf(upload, "bytes_per_second");
        out += "To be sent: " + textOf(upload, "files") + " files, " + base::formatBytes(bytes) +
               (speed > 0 && bytes > 0 ? ", about " + base::formatDuration(bytes * 1'000'000'000 / speed) : "") + ".\n";
    }
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
        out += "Commit " + textOf(git, "commit") + " " + textOf(git, "branch") + (memberOf(git, "dirty") == Json(true) ? ", changed" : "") + "\n";
    }
    const bool compares = result.contains("changes");
    for (const Json& file : memberOf(result, compares ? "changes" : "files")) {
        out += (compares ? textOf(file, "change") : base::formatBytes(integerOf(file, "size"))) + "\t" + textOf(file, "path") + "\n";
    }
    return compares && memberOf(result, "changes").empty() ? out + "The same source.\n" : out;
}

std::string compareText(const Json& result) {
    std::string out;
    for (const Json& one : memberOf(result, "spec")) {
        out += textOf(one, "path") + ": " + textOf(one, "left") + " -> " + textOf(one, "right") + "\n";
    }
    for (const Json& one : memberOf(result, "files")) {
        out += "Source " + textOf(one, "change") + ": " + textOf(one, "path") + "\n";
    }
    for (const Json& one : memberOf(result, "metrics")) {
        if (memberOf(one, "equal") != Json(true)) {
            out += textOf(one, "name") + ": " + textOf(one, "left") + " -> " + textOf(one, "right") + "\n";
        }
    }
    const Json& same = memberOf(result, "same");
    const Json& metrics = memberOf(same, "metrics");
    return out + "Specification " + (memberOf(same, "spec") == Json(true) ? "the same" : "differs") + ", source " +
           (memberOf(same, "snapshot") == Json(true) ? "the same" : "differs") +
           (metrics.is_null() ? "." : metrics == Json(true) ? ", metrics equal." : ", metrics differ.") + "\n";
}

}  // namespace

std::optional<std::string> describeTarget(const std::string& action, const Json& result) {
    const std::string target = "Target " + textOf(result, "target");
    if (action == "target.list") return listText(result);
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
    if (action == "target.clear-cache") return base::formatBytes(integerOf(result, "freed_bytes")) + " were freed.\n";
    if (action == "target.build-engine") {
        return "The engine was built in " + textOf(result, "seconds") + " s against " + textOf(result, "libtorch") + ".\n";
    }
    if (action == "run.estimate") return estimateText(result);
    if (action == "run.snapshot") return snapshotText(result);
    if (action == "run.compare") return compareText(result);
    if (action == "run.reproduce") {
        return "Run " + textOf(result, "number") + " (" + textOf(result, "name") + ") was started. Compare them with: trainyard-cli run compare " +
               textOf(result, "reproduces") + " " + textOf(result, "number") + "\n";
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
    return out + (host.empty() ? "" : host + "  ") + textOf(line, "title") + ": " + textOf(line, "text") + (remedy.empty() ? "" : " " + remedy);
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

std::optional<std::string> askOnTerminal(const targets::Question& question) {
    const base::UniqueFd tty(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
    if (!tty.valid()) {
        return std::nullopt;
    }
    const bool secret = question.kind == targets::Question::Kind::Password || question.kind == targets::Question::Kind::Passphrase;
    const std::string text = base::stripControl(question.target) + ": " + base::toValidUtf8(question.text) + " ";
    if (!base::writeAll(tty.get(), text, "/dev/tty").ok()) {
        return std::nullopt;
    }
    termios before{};
    const bool hidden = secret && ::tcgetattr(tty.get(), &before) == 0;
    if (hidden) {
        termios quiet = before;
        quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        ::tcsetattr(tty.get(), TCSAFLUSH, &quiet);
    }
    std::string answer;
    bool whole = false;
    for (char c = 0; !whole;) {
        const ssize_t got = ::read(tty.get(), &c, 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        whole = c == '\n';
        if (!whole) {
            answer += c;
        }
    }
    if (hidden) {
        ::tcsetattr(tty.get(), TCSAFLUSH, &before);
        [[maybe_unused]] const auto ended = base::writeAll(tty.get(), "\n", "/dev/tty");
    }
    return whole ? std::optional(answer) : std::nullopt;
}

}  // namespace trainyard::cli
