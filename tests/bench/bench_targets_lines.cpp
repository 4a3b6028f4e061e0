// Eight ranks that print 10,000 lines a second each (--seconds N, 20 without it) on an SSH host over the loop: whether
// a line is lost, what the agent needs, how far behind we are. Starts an sshd of its own and needs sshd, ssh, python3.
#include <QCoreApplication>
#include <QTemporaryDir>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/bench/BenchSshd.h"
#include "tests/unit/targets/SshRig.h"

using namespace trainyard;
using namespace trainyard::bench;
using namespace trainyard::test::ssh;

namespace {

constexpr int kRanks = 8;
constexpr int kLinesPerSecond = 10'000;

struct AgentUse {
    double mostMegabytes = 0;
    double cpuSeconds = 0;
};

/// The run's agent, its shims not.
void lookAtAgent(const std::string& run, AgentUse& use) {
    std::error_code gone;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", gone)) {
        const std::string line = base::readFile(entry.path() / "cmdline").valueOr("");
        const std::string program = line.substr(0, line.find('\0'));
        const std::string verb = line.size() > program.size() ? line.substr(program.size() + 1, 4) : "";
        // In the background it goes by the name it was started anew with.
        const bool agent = program.ends_with("trainyard-agent") || program == "/proc/self/exe";
        if (!agent || verb != std::string("run\0", 4) || line.find(run) == std::string::npos) {
            continue;
        }
        const std::string status = base::readFile(entry.path() / "status").valueOr("");
        if (const auto at = status.find("VmHWM:"); at != std::string::npos) {
            use.mostMegabytes = std::max(use.mostMegabytes, std::stod(status.substr(at + 6)) / 1024);
        }
        const std::string stat = base::readFile(entry.path() / "stat").valueOr("");
        const auto fields = base::split(stat.substr(std::min(stat.size(), stat.rfind(')') + 2)), ' ');
        if (fields.size() > 13) {
            use.cpuSeconds =
                (std::stod(fields[11]) + std::stod(fields[12])) / static_cast<double>(::sysconf(_SC_CLK_TCK));
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    QCoreApplication application(argc, argv);
    const QStringList words = application.arguments();
    const bool json = words.contains(QStringLiteral("--json"));
    const auto at = words.indexOf(QStringLiteral("--seconds"));
    const int length = at > 0 && at + 1 < words.size() ? words.at(at + 1).toInt() : 20;
    const std::int64_t each = std::int64_t{length} * kLinesPerSecond;
    const QTemporaryDir folder(QStringLiteral("/var/tmp/ty-bench-XXXXXX"));
    const base::Path scratch = folder.path().toStdString();
    qputenv("XDG_RUNTIME_DIR", "/nonexistent");
    const Sshd sshd(scratch);
    SshTarget target(benchSpec(scratch / "work"));
    // A hundred lines each hundredth of a second; a rank that could not keep up says so by its own clock.
    LaunchPlan plan = planOf({"/usr/bin/python3", "-c",
                              "import os, sys, time\n"
                              "rank, n, begin = os.environ['RANK'], 0, time.monotonic()\n"
                              "while n < int(sys.argv[1]):\n"
                              "    sys.stdout.write(''.join('rank %s line %d step of a training that says much\\n' % "
                              "(rank, n + i) for i in range(100)))\n"
                              "    sys.stdout.flush()\n"
                              "    n += 100\n"
                              "    time.sleep(max(0, begin + n / 10000 - time.monotonic()))\n"
                              "sys.stderr.write('%f\\n' % (time.monotonic() - begin))\n",
                              std::to_string(each)});
    plan.plan.processes = kRanks;
    if (const Status launched = launch(target, plan); !launched.ok()) {
        stop(launched.error().message);
    }
    std::map<int, std::int64_t> next;
    std::int64_t wrong = 0;
    double slowestRank = 0;
    std::string pending;
    std::int64_t seq = 0;
    bool ended = false;
    std::string broken;
    std::int64_t behind = 0;
    AgentUse use;
    // Records are read one by one and dropped: the store does the same.
    const auto take = [&](const base::Json& record) {
        wrong += record.at("seq").get<std::int64_t>() == ++seq ? 0 : 1;
        const std::string kind = record.at("kind").get<std::string>();
        ended = ended || kind == "ended";
        if (kind != "log") {
            return;
        }
        behind = std::max(behind, base::wallMicros() - record.at("t").get<std::int64_t>());
        const int rank = record.at("rank").get<int>();
        for (const base::Json& line : record.at("lines")) {
            const std::string& text = line.get_ref<const std::string&>();
            if (record.at("out") == "stderr") {
                slowestRank = std::max(slowestRank, std::stod(text));
                continue;
            }
            const std::string begins =
                "rank " + std::to_string(rank) + " line " + std::to_string(next[rank]++) + " step";
            wrong += text.starts_with(begins) ? 0 : 1;
        }
    };
    const std::int64_t begin = base::monotonicNanos();
    const auto following = target.follow(
        plan.plan.run, {},
        [&](const StreamChunk& chunk) {
            pending += chunk.bytes;
            std::size_t from = 0;
            for (std::size_t to; (to = pending.find('\n', from)) != std::string::npos; from = to + 1) {
                const auto record = base::parseJson(std::string_view(pending).substr(from, to - from));
                if (!record.ok()) {
                    stop("a record cannot be read: " + record.error().message);
                }
                take(*record);
            }
            pending.erase(0, from);
        },
        [&](const base::Error& error) { broken = error.message; });
    std::int64_t looked = 0;
    while (!ended && broken.empty() &&
           base::monotonicNanos() - begin < std::int64_t{300 + 10 * length} * 1'000'000'000) {
        turn();
        if (base::monotonicNanos() - looked > 200'000'000) {
            looked = base::monotonicNanos();
            lookAtAgent(plan.plan.run.str(), use);
        }
    }
    const double took = seconds(base::monotonicNanos() - begin);
    if (!ended) {
        stop("the run did not end. " + broken);
    }
    std::int64_t lines = 0;
    for (const auto& [rank, count] : next) {
        lines += count;
    }
    wrong += std::abs(lines - each * kRanks);
    const base::Json result{{"bench", "targets_lines"},
                            {"ranks", kRanks},
                            {"lines", lines},
                            {"lines_lost_or_doubled", wrong},
                            {"lines_per_second", static_cast<double>(lines) / took},
                            {"slowest_rank_seconds", slowestRank},
                            {"wanted_seconds", length},
                            {"seconds", took},
                            {"agent_most_megabytes", use.mostMegabytes},
                            {"agent_cpu_seconds", use.cpuSeconds},
                            {"most_behind_seconds", static_cast<double>(behind) / 1e6}};
    if (json) {
        std::printf("%s\n", base::dumpJson(result).c_str());
    } else {
        std::printf(
            "%lld lines of %d ranks in %.1f s (the ranks took %.1f), %lld lost or doubled; agent %.1f MB at most, "
            "%.1f s of a core; at most %.2f s behind\n",
            static_cast<long long>(lines), kRanks, took, slowestRank, static_cast<long long>(wrong), use.mostMegabytes,
            use.cpuSeconds, static_cast<double>(behind) / 1e6);
    }
    return wrong == 0 ? 0 : 1;
}
