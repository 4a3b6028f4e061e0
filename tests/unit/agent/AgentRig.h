#pragma once
// Runs the real trainyard-agent on small shell scripts as ranks and reads back what it wrote.
#include <QtTest>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "core/base/Clock.h"
#include "core/base/Files.h"
#include "core/base/Ids.h"
#include "core/wire/Layout.h"
#include "core/wire/Plan.h"
#include "core/wire/RunStream.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Wait.h"

namespace trainyard::test {

using base::Json;
using base::Path;
using wire::NodeLayout;
using wire::Record;

/// An agent in the foreground as a child of the test; killed at the end of its life if it still runs.
class AgentProcess {
public:
    explicit AgentProcess(const NodeLayout& layout, std::vector<std::string> options = {},
                          const std::vector<std::pair<std::string, std::string>>& variables = {}) {
        std::vector<std::string> arguments{builtProgram("trainyard-agent").string(), "run", layout.root.string()};
        arguments.insert(arguments.end(), options.begin(), options.end());
        std::vector<char*> pointers;
        for (std::string& argument : arguments) pointers.push_back(argument.data());
        pointers.push_back(nullptr);
        const std::string log = layout.agentLog().string();
        m_pid = ::fork();
        if (m_pid == 0) {
            const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
            ::dup2(fd, 1);
            ::dup2(fd, 2);
            for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
            ::execv(pointers[0], pointers.data());
            ::_exit(127);
        }
    }
    AgentProcess(const AgentProcess&) = delete;
    AgentProcess& operator=(const AgentProcess&) = delete;
    ~AgentProcess() { kill(SIGKILL); }

    [[nodiscard]] pid_t pid() const { return m_pid; }

    /// Exit status; -1 when it still runs after the limit; 1000 + signal when a signal ended it.
    int wait(int millis = 60'000) {
        const auto deadline = base::Deadline::inMillis(millis);
        while (m_pid > 0) {
            int status = 0;
            if (::waitpid(m_pid, &status, WNOHANG) == m_pid) {
                m_pid = -1;
                m_status = WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
            } else if (deadline.passed()) {
                return -1;
            } else {
                ::usleep(2000);
            }
        }
        return m_status;
    }

    void kill(int signal) {
        if (m_pid <= 0) return;
        ::kill(m_pid, signal);
        if (signal == SIGKILL) wait(5000);
    }

private:
    pid_t m_pid = -1;
    int m_status = 0;
};

class AgentRig {
public:
    explicit AgentRig(const Scratch& scratch) : m_root(scratch.path()) {}

    [[nodiscard]] wire::Plan shellPlan(const std::string& script, int processes = 1) const {
        return commandPlan({"/bin/sh", "-c", script}, processes);
    }

    [[nodiscard]] wire::Plan commandPlan(std::vector<std::string> command, int processes = 1) const {
        wire::Plan plan;
        plan.run = base::RunId::make();
        plan.processes = processes;
        plan.runName = "trial";
        plan.experiment = "agent";
        plan.command = std::move(command);
        plan.outputsFolder = (m_root / "runs" / plan.run.str() / "outputs").string();
        plan.slotsFolder = (m_root / "slots").string();
        plan.graceSeconds = 1;
        return plan;
    }

    [[nodiscard]] NodeLayout place(const wire::Plan& plan) const {
        return placeText(plan.run.str(), base::dumpJsonPretty(toJson(plan)));
    }

    [[nodiscard]] NodeLayout placeText(const std::string& run, const std::string& planText) const {
        const NodeLayout layout{m_root / "runs" / run / "a1" / "n0"};
        std::filesystem::create_directories(layout.root);
        std::ofstream(layout.plan(), std::ios::binary) << planText;
        return layout;
    }

    [[nodiscard]] const Path& root() const { return m_root; }

private:
    Path m_root;
};

/// All records so far; fails the test on a gap, or on more damaged lines than allowed. (A full disk may tear a line; it
/// never counted, is ended by a newline and its record follows whole.)
inline std::vector<Record> recordsOf(const NodeLayout& layout, std::size_t allowedTorn = 0) {
    std::vector<Record> records;
    wire::StreamFolderReader reader(layout.stream());
    std::vector<wire::StreamEntry> entries;
    while (true) {
        entries.clear();
        const auto got = reader.read(entries);
        if (!got.ok() || *got == 0) break;
        for (wire::StreamEntry& entry : entries) records.push_back(std::move(entry.record));
    }
    const auto torn = reader.decoder().takeDamaged();
    for (const auto& damaged : torn) {
        if (torn.size() <= allowedTorn && damaged.error.code == "stream.line") continue;
        QTest::qFail(("damaged line in the stream: " + damaged.error.message).c_str(), __FILE__, __LINE__);
    }
    return records;
}

inline std::vector<Record> ofKind(const std::vector<Record>& records, const std::string& kind) {
    std::vector<Record> found;
    for (const Record& record : records) {
        if (record.kind == kind) found.push_back(record);
    }
    return found;
}

/// "Preparing Queued Running Finalizing"
inline std::string statesOf(const std::vector<Record>& records) {
    std::string text;
    for (const Record& record : ofKind(records, wire::kind::kState)) {
        text += (text.empty() ? "" : " ") + record.body["state"].get<std::string>();
    }
    return text;
}

/// Body of the one `ended` record; an empty object when there is none or more than one.
inline Json endedOf(const std::vector<Record>& records) {
    const auto ended = ofKind(records, wire::kind::kEnded);
    return ended.size() == 1 ? ended.front().body : Json::object();
}

inline std::string textOf(const Json& body, const char* member) {
    return body.contains(member) && body[member].is_string() ? body[member].get<std::string>() : std::string();
}

/// Log lines of one rank and output, with continued lines put together again.
inline std::vector<std::string> linesOf(const std::vector<Record>& records, int rank, const std::string& out) {
    std::vector<std::string> lines;
    for (const Record& record : ofKind(records, wire::kind::kLog)) {
        if (record.rank != rank || record.body["out"].get<std::string>() != out) continue;
        bool continues = record.body.contains("continues");
        for (const Json& line : record.body["lines"]) {
            if (continues && !lines.empty()) {
                lines.back() += line.get<std::string>();
            } else {
                lines.push_back(line.get<std::string>());
            }
            continues = false;
        }
    }
    return lines;
}

/// Points of one metric of one rank in the order of the stream: (step, value).
inline std::vector<std::pair<std::int64_t, double>> pointsOf(const std::vector<Record>& records, int rank,
                                                             const std::string& name) {
    std::vector<std::pair<std::int64_t, double>> points;
    for (const Record& record : ofKind(records, wire::kind::kMetrics)) {
        if (record.rank != rank) continue;
        const auto series = wire::metricsFromBody(record.body, record.t);
        if (!series.ok()) continue;
        for (const auto& one : *series) {
            if (one.name != name) continue;
            for (std::size_t i = 0; i < one.value.size(); ++i) points.emplace_back(one.step[i], one.value[i]);
        }
    }
    return points;
}

/// What is wrong with numbered lines "line 1" … "line N"; empty when each is there once, in order.
inline std::string wrongWithLines(const std::vector<std::string>& lines, int count) {
    for (int i = 0; i < std::max(count, static_cast<int>(lines.size())); ++i) {
        const std::string wanted = i < count ? "line " + std::to_string(i + 1) : "nothing";
        const std::string got = i < static_cast<int>(lines.size()) ? lines[static_cast<std::size_t>(i)] : "nothing";
        if (wanted != got) return "at " + std::to_string(i + 1) + ": \"" + got + "\" instead of \"" + wanted + "\"";
    }
    return {};
}

/// The same for points (0, 1), (1, 2) … (N - 1, N).
inline std::string wrongWithPoints(const std::vector<std::pair<std::int64_t, double>>& points, int count) {
    if (static_cast<int>(points.size()) != count) {
        return std::to_string(points.size()) + " points instead of " + std::to_string(count);
    }
    for (int i = 0; i < count; ++i) {
        const auto& [step, value] = points[static_cast<std::size_t>(i)];
        if (step != i || value != i + 1) {
            return "point " + std::to_string(i) + " is (" + std::to_string(step) + ", " + std::to_string(value) + ")";
        }
    }
    return {};
}

/// A script that writes "line 1".."line COUNT" to stdout and client lines of the metric "n" without a step, with a
/// pause after every `burst` of them.
inline std::string countingScript(int count, int burst, const std::string& pause) {
    std::ostringstream script;
    script << "i=0; while [ $i -lt " << count << " ]; do i=$((i+1)); echo \"line $i\"; "
           << "echo '{\"kind\":\"metric\",\"name\":\"n\",\"value\":'$i'}' >> \"$TRAINYARD_STREAM\"; "
           << "[ $((i % " << burst << ")) -ne 0 ] || sleep " << pause << "; done";
    return script.str();
}

/// Processes that have the run's id in their start environment: its ranks and what they started.
inline std::vector<pid_t> processesWith(const std::string& run) {
    std::vector<pid_t> found;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
        const std::string name = entry.path().filename().string();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        std::ifstream in(entry.path() / "environ", std::ios::binary);
        std::stringstream text;
        text << in.rdbuf();
        if (text.str().find("TRAINYARD_RUN_ID=" + run) != std::string::npos) found.push_back(std::stoi(name));
    }
    return found;
}

/// Pid from a file that a rank wrote; 0 when it is not there yet.
inline pid_t pidIn(const Path& file) {
    std::ifstream in(file);
    pid_t pid = 0;
    in >> pid;
    return pid;
}

/// "shim" or "process" of r<rank>.shim.json; 0 when it is not there yet.
inline pid_t pidOfRank(const NodeLayout& layout, int rank, const char* which) {
    const auto text = base::readFile(layout.rankShim(rank));
    if (!text.ok()) return 0;
    const auto json = base::parseJson(*text);
    return json.ok() ? (*json)[which]["pid"].get<pid_t>() : 0;
}

/// False when the rank has no process yet: ::kill(0, …) would be for the test's own group.
inline bool signalRank(const NodeLayout& layout, int rank, const char* which, int signal) {
    const pid_t pid = pidOfRank(layout, rank, which);
    return pid > 0 && ::kill(pid, signal) == 0;
}

inline bool isGone(pid_t pid) {
    const auto stat = base::readFile("/proc/" + std::to_string(pid) + "/stat");
    return !stat.ok() || stat->find(") Z ") != std::string::npos;
}

}  // namespace trainyard::test
