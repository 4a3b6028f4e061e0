// An SSH host over the loop: how long from submit to the first line of log, and how fast outputs come back against scp.
// Starts an sshd of its own on 127.0.0.1 and needs sshd, ssh, scp.
#include <QCoreApplication>
#include <QProcess>
#include <QTemporaryDir>
#include <QTimer>
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "core/base/Clock.h"
#include "core/base/Hash.h"
#include "core/base/Text.h"
#include "core/targets/SshTarget.h"
#include "tests/bench/FirstLine.h"
#include "tests/helpers/Await.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Wait.h"

using namespace trainyard;
using namespace trainyard::targets;
using namespace trainyard::bench;

namespace {

Deadline soon() { return Deadline::inMillis(60'000); }

double sourceLine(SshTarget& target, const base::Path& source) {
    LaunchPlan plan = linePlan();
    plan.hasSource = true;
    const std::string text = base::readFile(source).valueOr("");
    plan.source.push_back({"train.py", base::sha256Hex(text), static_cast<std::int64_t>(text.size()), false, source});
    return firstLine(target, std::move(plan));
}

}  // namespace

int main(int argc, char** argv) {
    QCoreApplication application(argc, argv);
    const bool json = std::find(argv, argv + argc, std::string("--json")) != argv + argc;
    const bool quick = std::find(argv, argv + argc, std::string("--quick")) != argv + argc;
    const std::int64_t size = quick ? 100'000'000 : 1'000'000'000;
    const int rounds = quick ? 3 : 7;
    // No spaces: ssh's configuration files are written here.
    const QTemporaryDir folder(QStringLiteral("/var/tmp/ty-bench-XXXXXX"));
    const base::Path scratch = folder.path().toStdString();
    qputenv("XDG_RUNTIME_DIR", "/nonexistent");
    const Sshd sshd(scratch);
    const base::Path source = scratch / "train.py";
    if (!base::writeFileAtomically(source, "print('hello')\n").ok()) {
        stop("cannot write " + source.string());
    }
    const base::Path work = scratch / "work";

    std::vector<double> cold;
    std::vector<double> warm;
    {
        SshTarget first(benchSpec(work));
        sourceLine(first, source);  // The agent is there from here on.
        for (int i = 0; i < rounds; ++i) {
            SshTarget fresh(benchSpec(work));
            cold.push_back(sourceLine(fresh, source));
            warm.push_back(sourceLine(first, source));
        }
    }

    // Outputs of a run: one large file and many small ones, as scp would bring them and as we do, in turn.
    const RunId run = RunId::make();
    const base::Path outputs = work / "runs" / run.str() / "outputs";
    std::vector<OutputFile> files;
    std::vector<double> ours;
    std::vector<double> theirs;
    std::vector<double> ratios;
    {
        std::string block(1 << 20, '\0');
        std::uint64_t state = 42;
        std::string bytes;
        bytes.reserve(static_cast<std::size_t>(size));
        while (static_cast<std::int64_t>(bytes.size()) < size) {
            for (std::size_t i = 0; i + 8 <= block.size(); i += 8) {
                state = state * 6364136223846793005u + 1442695040888963407u;
                std::copy_n(reinterpret_cast<const char*>(&state), 8, block.data() + i);
            }
            bytes.append(block, 0, std::min<std::size_t>(block.size(), static_cast<std::size_t>(size) - bytes.size()));
        }
        if (!base::makeDirs(outputs).ok() || !base::writeFileAtomically(outputs / "model.bin", bytes).ok()) {
            stop("cannot write the outputs");
        }
        files.push_back({"model.bin", size, base::sha256Hex(bytes)});
    }
    SshTarget target(benchSpec(work));
    if (!test::await<void>([&](DoneStatus done) { return target.connect(soon(), std::move(done)); }).ok()) {
        stop("cannot connect");
    }
    for (int i = 0; i < (quick ? 2 : 5); ++i) {
        const auto bring = [&] {
            const base::Path into = scratch / ("ours" + std::to_string(i));
            const std::int64_t begin = base::monotonicNanos();
            std::optional<Result<FetchReport>> report;
            const auto fetching =
                target.fetchOutputs(run, files, into, {}, [&](const Result<FetchReport>& result) { report = result; });
            while (!report && base::monotonicNanos() - begin < 300'000'000'000) {
                turn();
            }
            ours.push_back(seconds(base::monotonicNanos() - begin));
            if (!report || !report->ok() || (*report)->brought.size() != files.size()) {
                stop("the outputs did not come");
            }
            static_cast<void>(base::removeTree(into).ok());
        };
        const auto copy = [&] {
            const std::string into = (scratch / ("theirs" + std::to_string(i))).string();
            const std::int64_t begin = base::monotonicNanos();
            sshd.run("scp", {"-q", "-r", "-F", sshd.text("ssh_config"), "bench:" + outputs.string(), into});
            sshd.run("sync", {"-f", into});
            theirs.push_back(seconds(base::monotonicNanos() - begin));
            static_cast<void>(base::removeTree(into).ok());
        };
        if (i % 2 == 0) {
            bring();
            copy();
        } else {
            copy();
            bring();
        }
        ratios.push_back(theirs.back() / ours.back());
    }
    const base::Json result{{"bench", "targets_ssh"},
                            {"first_line_seconds", {{"new_connection", spread(cold)}, {"connected", spread(warm)}}},
                            {"outputs",
                             {{"bytes", size},
                              {"ours_seconds", spread(ours)},
                              {"scp_seconds", spread(theirs)},
                              {"speed_against_scp", spread(ratios)}}}};
    if (json) {
        std::printf("%s\n", base::dumpJson(result).c_str());
        return 0;
    }
    const auto median = [](const base::Json& of) { return of.at("median").get<double>(); };
    std::printf("submit to first line of log, new connection: %.2f s; connected: %.2f s\n",
                median(result["first_line_seconds"]["new_connection"]),
                median(result["first_line_seconds"]["connected"]));
    std::printf("%s of outputs: %.2f s, scp %.2f s: %.2f of its speed\n", base::formatBytes(size).c_str(),
                median(result["outputs"]["ours_seconds"]), median(result["outputs"]["scp_seconds"]),
                median(result["outputs"]["speed_against_scp"]));
    return 0;
}
