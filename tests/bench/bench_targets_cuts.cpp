// One run whose connection is broken N times (--cuts N, 1,000 without it): no record may be lost or come twice. Starts
// an sshd of its own on 127.0.0.1 and needs sshd, ssh, python3.
#include <QCoreApplication>
#include <QTemporaryDir>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/bench/BenchSshd.h"
#include "tests/unit/targets/SshRig.h"

using namespace trainyard;
using namespace trainyard::bench;
using namespace trainyard::test::ssh;

namespace {

constexpr std::int64_t kConnectNanos = 120'000'000'000;

}  // namespace

int main(int argc, char** argv) {
    QCoreApplication application(argc, argv);
    const QStringList words = application.arguments();
    const bool json = words.contains(QStringLiteral("--json"));
    const auto at = words.indexOf(QStringLiteral("--cuts"));
    const int cuts = at > 0 && at + 1 < words.size() ? words.at(at + 1).toInt() : 1000;
    const QTemporaryDir folder(QStringLiteral("/var/tmp/ty-bench-XXXXXX"));
    const base::Path scratch = folder.path().toStdString();
    qputenv("XDG_RUNTIME_DIR", "/nonexistent");
    const Sshd sshd(scratch);
    SshTarget target(benchSpec(scratch / "work"));
    const std::string end = (scratch / "end").string();
    // 300 lines a second until it is told to end; the last line says how many there were.
    const LaunchPlan plan = planOf({"/usr/bin/python3", "-u", "-c",
                                    "import os, sys, time\nn = 0\n"
                                    "while not os.path.exists(sys.argv[1]):\n"
                                    "    n += 1\n    print('line', n)\n    time.sleep(0.0033)\n"
                                    "print('lines', n)\n",
                                    end});
    if (const Status launched = launch(target, plan); !launched.ok()) {
        stop(launched.error().message);
    }
    Following following(target, plan.plan.run);
    std::vector<double> pauses;
    int restarts = 0;
    const std::int64_t begin = base::monotonicNanos();
    // However it ends, the run that counts lines ends too.
    const auto giveUp = [&](const std::string& why) {
        static_cast<void>(base::writeFileAtomically(end, "").ok());
        static_cast<void>(following.waitForEnd(1, 20'000));
        stop("after " + std::to_string(pauses.size()) + " cuts " + why + " " + following.broken);
    };
    std::int64_t last = base::monotonicNanos();
    while (static_cast<int>(pauses.size()) < cuts) {
        const std::size_t before = following.streams.lines();
        if (sshd.breakConnections() == 0) {
            if (base::monotonicNanos() - last > kConnectNanos) {
                giveUp("nobody connects any more.");
            }
            turn();
            continue;
        }
        const std::int64_t cut = base::monotonicNanos();
        // Lines that were on the way may still come: it is there again when many have.
        if (!test::waitFor([&] { return following.streams.lines() > before + 5 || !following.broken.empty(); },
                           60'000) ||
            !following.broken.empty()) {
            giveUp("nothing comes any more.");
        }
        last = base::monotonicNanos();
        pauses.push_back(seconds(last - cut));
        if (pauses.size() % 10 == 0) {
            following.start(target, plan.plan.run);  // As another workbench would go on.
            ++restarts;
        }
        if (pauses.size() % 100 == 0) {
            std::fprintf(stderr, "%zu cuts\n", pauses.size());
        }
    }
    const double took = seconds(base::monotonicNanos() - begin);
    if (!base::writeFileAtomically(end, "").ok() || !following.waitForEnd(1, 60'000)) {
        stop("the run does not end. " + following.broken);
    }
    if (!following.streams.wrong().empty()) {
        stop(following.streams.wrong());
    }
    // The records' numbers are without a gap; now the lines themselves.
    const QStringList lines =
        QString::fromStdString(following.streams.log()).split(QLatin1Char('\n'), Qt::SkipEmptyParts);
    std::int64_t wrong = 0;
    for (qsizetype i = 0; i + 1 < lines.size(); ++i) {
        wrong += lines.at(i) == QStringLiteral("line %1").arg(i + 1) ? 0 : 1;
    }
    wrong += !lines.isEmpty() && lines.back() == QStringLiteral("lines %1").arg(lines.size() - 1) ? 0 : 1;
    if (json) {
        const base::Json result{{"bench", "targets_cuts"},
                                {"cuts", cuts},
                                {"followed_anew", restarts},
                                {"seconds", took},
                                {"lines", lines.size()},
                                {"lines_lost_or_doubled", wrong},
                                {"cut_to_next_lines_seconds", spread(pauses)}};
        std::printf("%s\n", base::dumpJson(result).c_str());
    } else {
        std::printf("%d cuts in %.0f s, %lld lines, %lld lost or doubled; lines again after %.2f s\n", cuts, took,
                    static_cast<long long>(lines.size()), static_cast<long long>(wrong),
                    spread(pauses)["median"].get<double>());
    }
    return wrong == 0 ? 0 : 1;
}
