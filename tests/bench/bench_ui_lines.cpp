// The window while eight ranks print 10,000 lines a second each (--seconds N, 15 without it): for how long its thread
// never comes around, with the run's log open at its end, and whether every line is there. Wall time; one JSON object
// with --json.
//   bench_ui_lines [--json] [--seconds N]
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include <QTimer>

#include "core/base/Clock.h"
#include "core/base/Json.h"
#include "tests/bench/BenchWindow.h"
#include "ui/runs/LogTab.h"
#include "ui/runs/LogView.h"
#include "ui/runs/RunPage.h"

using namespace trainyard;
using bench::stop;
using test::waitFor;

namespace {

constexpr int kRanks = 8;
constexpr int kLinesPerSecond = 10'000;
constexpr int kBeatMillis = 5;

/// A hundred lines each hundredth of a second.
constexpr const char* kPrinter = "import os, sys, time\n"
                                 "rank, n, begin = os.environ['RANK'], 0, time.monotonic()\n"
                                 "while n < int(sys.argv[1]):\n"
                                 "    sys.stdout.write(''.join('rank %s line %d step of a training that says much\\n' "
                                 "% (rank, n + i) for i in range(100)))\n"
                                 "    sys.stdout.flush()\n"
                                 "    n += 100\n"
                                 "    time.sleep(max(0, begin + n / 10000 - time.monotonic()))\n";

}  // namespace

int main(int argc, char** argv) {
    const auto [json, seconds] = bench::readOptions(argc, argv, "--seconds", 15, 1);
    const bench::Application application(argc, argv);
    test::WindowRig rig(test::WindowRig::Fill::Nothing);
    const std::int64_t each = std::int64_t{seconds} * kLinesPerSecond;
    const std::string run = bench::submit(rig, {"/usr/bin/python3", "-c", kPrinter, std::to_string(each)},
                                          {{"kind", "pytorch"}, {"backend", "gloo"}, {"processes", kRanks}});
    auto* page = rig.go<ui::RunPage>(QStringLiteral("run/%1/log").arg(QString::fromStdString(run)));
    const auto state = [&] { return page->detail() ? page->detail()->row.state : spec::RunState::Draft; };
    if (!page || !waitFor([&] { return state() == spec::RunState::Running; }, 30'000)) stop("the run did not start");
    std::vector<double> gaps;
    const std::int64_t begin = base::monotonicNanos();
    std::int64_t last = begin;
    QTimer beat;
    beat.setTimerType(Qt::PreciseTimer);
    QObject::connect(&beat, &QTimer::timeout, &beat, [&] {
        const std::int64_t now = base::monotonicNanos();
        gaps.push_back(static_cast<double>(now - last) / 1e6);
        last = now;
    });
    beat.start(kBeatMillis);
    if (!waitFor([&] { return spec::isFinal(state()); }, seconds * 4000 + 60'000)) stop("the run did not end");
    beat.stop();
    const double rate = static_cast<double>(each * kRanks) * 1e9 / static_cast<double>(base::monotonicNanos() - begin);
    if (state() != spec::RunState::Completed) stop("the run failed: " + page->detail()->row.stateReason);
    const std::int64_t lines = each * kRanks;
    const ui::LogView* log = page->log()->view();
    const bool all = waitFor([&] { return log->total() == lines; }, 20'000);
    std::ranges::sort(gaps);
    const auto at = [&](double part) {
        return gaps[static_cast<std::size_t>(part * static_cast<double>(gaps.size() - 1))];
    };
    if (json) {
        const base::Json result{{"benchmark", "ui_lines"}, {"ranks", kRanks},          {"lines", log->total()},
                                {"wanted_lines", lines},   {"lines_per_second", rate}, {"beats", gaps.size()},
                                {"beat_ms", kBeatMillis},  {"median_ms", at(0.5)},     {"p99_ms", at(0.99)},
                                {"worst_ms", gaps.back()}};
        std::printf("%s\n", base::dumpJson(result).c_str());
    } else {
        std::printf("%lld of %lld lines in the log, %.0f a second; between two turns of the window's thread %.0f ms "
                    "(median), %.0f at "
                    "99 %%, %.0f at worst\n",
                    static_cast<long long>(log->total()), static_cast<long long>(lines), rate, at(0.5), at(0.99),
                    gaps.back());
    }
    return all ? 0 : 1;
}
