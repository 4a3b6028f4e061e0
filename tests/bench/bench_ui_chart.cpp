// Main-thread time a frame of a chart with 10 curves of 100,000 points each while new points arrive: taking the points
// in, asking the worker, taking its picture, painting, and the event loop's own share. Processor time of the main
// thread, so that a busy machine does not count. Prints one JSON object with --json.
#include <QElapsedTimer>
#include <QTimer>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <random>
#include <vector>

#include "core/base/Json.h"
#include "tests/bench/BenchWindow.h"
#include "ui/charts/ChartView.h"

using namespace trainyard;

namespace {

constexpr int kSeries = 10;
constexpr int kPoints = 100'000;
constexpr int kPerFrame = 20;

double threadMillis() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

double median(std::vector<double> values) {
    if (values.empty()) return 0;
    std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
    return values[values.size() / 2];
}

double percentile(std::vector<double> values, double share) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    return values[std::min(values.size() - 1, static_cast<std::size_t>(share * static_cast<double>(values.size())))];
}

}  // namespace

int main(int argc, char** argv) {
    const auto [json, frames] = bench::readOptions(argc, argv, "--frames", 120, 10);
    const bench::Application application(argc, argv);

    ui::ChartView chart(QStringLiteral("Loss"));
    chart.resize(1280, 720);
    std::mt19937 random(1);
    std::normal_distribution<double> noise(0, 0.05);
    std::vector<double> x, y;
    const auto value = [&](int series, int step) { return 0.2 * series + 2.0 / (1.0 + step / 9000.0) + noise(random); };
    for (int s = 0; s < kSeries; ++s) {
        x.clear();
        y.clear();
        for (int step = 0; step < kPoints; ++step) {
            x.push_back(step);
            y.push_back(value(s, step));
        }
        const QString key = QStringLiteral("run%1").arg(s);
        ui::SeriesLook look;
        look.label = key;
        look.runColor = s;
        chart.setSeries(key, look);
        chart.setPoints(key, x, y);
    }
    chart.show();
    // Waiting must not spin, or it would be counted; the timer ends a wait for nothing.
    QTimer wake;
    wake.start(100);
    QElapsedTimer patience;
    patience.start();
    while (chart.isBusy() && patience.elapsed() < 10'000)
        QApplication::processEvents(QEventLoop::AllEvents | QEventLoop::WaitForMoreEvents);

    std::vector<double> measured;
    int step = kPoints;
    for (int frame = 0; frame < frames; ++frame) {
        std::vector<std::vector<double>> arriving(kSeries);
        x.clear();
        for (int i = 0; i < kPerFrame; ++i) x.push_back(step + i);
        for (int s = 0; s < kSeries; ++s) {
            for (int i = 0; i < kPerFrame; ++i) arriving[static_cast<std::size_t>(s)].push_back(value(s, step + i));
        }
        step += kPerFrame;
        const double before = threadMillis();
        for (int s = 0; s < kSeries; ++s) {
            chart.appendPoints(QStringLiteral("run%1").arg(s), x, arriving[static_cast<std::size_t>(s)]);
        }
        patience.restart();
        while (chart.isBusy() && patience.elapsed() < 2'000)
            QApplication::processEvents(QEventLoop::AllEvents | QEventLoop::WaitForMoreEvents);
        QApplication::processEvents();
        measured.push_back(threadMillis() - before);
    }
    if (json) {
        base::Json result{{"benchmark", "ui_chart"},
                          {"series", kSeries},
                          {"points_per_series", kPoints},
                          {"new_points_per_frame", kSeries * kPerFrame},
                          {"frames", frames},
                          {"width", 1280},
                          {"height", 720},
                          {"main_thread_ms_median", median(measured)},
                          {"main_thread_ms_p95", percentile(measured, 0.95)},
                          {"main_thread_ms_max", percentile(measured, 1)},
                          {"raw_ms", measured}};
        std::printf("%s\n", base::dumpJson(result).c_str());
    } else {
        std::printf("%d series of %d points, %d new points a frame, %d frames: %.2f ms of the main thread a frame "
                    "(median), %.2f ms at 95 %%\n",
                    kSeries, kPoints, kSeries * kPerFrame, frames, median(measured), percentile(measured, 0.95));
    }
    return 0;
}
