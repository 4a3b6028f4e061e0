// From the write of a TensorBoard event to its point standing painted on the chart of the run's page: 10,000 metrics a
// second (100 of them, of which the page shows 40 charts), real script, agent, index and window. Wall time; one JSON
// object with --json.
//   bench_ui_events [--json] [--seconds N]
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "core/base/Clock.h"
#include "core/base/Files.h"
#include "core/base/Json.h"
#include "tests/bench/BenchWindow.h"
#include "ui/charts/ChartView.h"
#include "ui/runs/MetricsTab.h"
#include "ui/runs/RunCharts.h"
#include "ui/runs/RunPage.h"

using namespace trainyard;
using bench::stop;
using test::waitFor;

namespace {

constexpr int kMetrics = 100;
constexpr int kWindowWidth = 2560;  ///< So wide that the chart shows each point of 10 s by itself.

struct Frame {
    std::int64_t at = 0;  ///< Microseconds UTC.
    std::int64_t newest = -1;
};

/// Notes which step a chart showed last whenever its curves are painted and nothing newer waits to be drawn.
class FrameNotes : public QObject {
public:
    explicit FrameNotes(const ui::ChartView& chart) : m_chart(chart) {}

    bool eventFilter(QObject*, QEvent* event) override {
        if (event->type() != QEvent::Paint || m_chart.isBusy()) return false;
        const QStringList row = m_chart.toCsv().trimmed().section(u'\n', -1).split(u',');
        bool isNumber = false;
        const auto step = row.size() < 3 ? 0 : static_cast<std::int64_t>(row[row.size() - 2].toDouble(&isNumber));
        if (isNumber && (m_frames.empty() || step > m_frames.back().newest))
            m_frames.push_back({base::wallMicros(), step});
        return false;
    }
    [[nodiscard]] const std::vector<Frame>& frames() const { return m_frames; }

private:
    const ui::ChartView& m_chart;
    std::vector<Frame> m_frames;
};

/// When each step was written, as the script left it.
std::vector<std::int64_t> writtenTimes(const base::Path& file) {
    const std::string bytes = base::readFile(file).valueOr({});
    std::vector<std::int64_t> times;
    for (std::size_t at = 0; at + sizeof(double) <= bytes.size(); at += sizeof(double)) {
        double seconds = 0;
        std::memcpy(&seconds, bytes.data() + at, sizeof seconds);
        times.push_back(static_cast<std::int64_t>(seconds * 1e6));
    }
    return times;
}

}  // namespace

int main(int argc, char** argv) {
    const auto [json, seconds] = bench::readOptions(argc, argv, "--seconds", 10, 1);
    const bench::Application application(argc, argv);
    test::WindowRig rig(test::WindowRig::Fill::Nothing);
    rig.window().resize(kWindowWidth, 1300);
    const base::Path times = rig.scratch() / "times";
    const base::Path go = rig.scratch() / "go";
    const std::string run = bench::submit(rig, {"/usr/bin/python3", test::testData("scripts/event_rate.py").string(),
                                                std::to_string(seconds), times.string(), go.string()});
    auto* page = rig.go<ui::RunPage>(QStringLiteral("run/") + QString::fromStdString(run));
    if (!page ||
        !waitFor([&] { return page->detail() && page->detail()->row.state == spec::RunState::Running; }, 30'000)) {
        stop("the run did not start");
    }
    if (!base::writeFileAtomically(go, "").ok()) stop("the script cannot be told to begin");
    const auto chart = [&] { return page->metrics()->charts()->findChild<ui::ChartView*>(QStringLiteral("m0Chart")); };
    if (!waitFor([&] { return chart() != nullptr; }, 30'000)) stop("no chart came");
    FrameNotes notes(*chart());
    const QList<QWidget*> parts = chart()->findChildren<QWidget*>();
    for (QWidget* part : parts) part->installEventFilter(&notes);
    if (!waitFor([&] { return spec::isFinal(page->detail()->row.state); }, seconds * 1000 + 60'000)) {
        stop("the run did not end");
    }
    const std::vector<std::int64_t> written = writtenTimes(times);
    const auto last = static_cast<std::int64_t>(written.size()) - 1;
    const auto& frames = notes.frames();
    if (!waitFor([&] { return !frames.empty() && frames.back().newest >= last; }, 10'000)) {
        stop("the chart ends at step " + std::to_string(frames.empty() ? -1 : frames.back().newest) + " of " +
             std::to_string(last));
    }
    std::vector<double> delays;
    for (std::size_t step = 0, frame = 0; step < written.size(); ++step) {
        while (frames[frame].newest < static_cast<std::int64_t>(step)) ++frame;
        delays.push_back(static_cast<double>(frames[frame].at - written[step]) / 1e3);
    }
    std::ranges::sort(delays);
    const double median = delays[delays.size() / 2];
    const double most = delays[delays.size() * 99 / 100];
    const double rate = kMetrics * static_cast<double>(written.size()) / seconds;
    if (json) {
        const base::Json result{{"benchmark", "ui_events"},  {"events", written.size()}, {"metrics_per_second", rate},
                                {"frames", frames.size()},   {"median_ms", median},      {"p99_ms", most},
                                {"worst_ms", delays.back()}, {"raw_ms", delays}};
        std::printf("%s\n", base::dumpJson(result).c_str());
    } else {
        std::printf(
            "%.0f metrics a second, %zu frames: from the write to the painted chart %.0f ms (median), %.0f at 99 %%, "
            "%.0f at worst\n",
            rate, frames.size(), median, most, delays.back());
    }
    return 0;
}
