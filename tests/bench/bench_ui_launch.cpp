// From pressing Launch in the real window to the loss of the run's first optimizer step standing painted on its chart:
// the sample, all 60,000 images, the default CNN, real programs. Wall time; prints one JSON object with --json.
//   bench_ui_launch [--json] [--rounds N]
#include <QElapsedTimer>
#include <QPushButton>
#include <algorithm>
#include <cstdio>
#include <vector>

#include "core/base/Json.h"
#include "tests/bench/BenchWindow.h"
#include "ui/charts/ChartView.h"
#include "ui/forms/FormDocument.h"
#include "ui/home/HomePage.h"
#include "ui/runs/MetricsTab.h"
#include "ui/runs/NewRunPage.h"
#include "ui/runs/NewRunPanels.h"
#include "ui/runs/RunCharts.h"
#include "ui/runs/RunPage.h"

using namespace trainyard;
using test::waitFor;

namespace {

/// Counts the paint events of a widget.
class PaintCounter : public QObject {
public:
    bool eventFilter(QObject*, QEvent* event) override {
        m_paints += event->type() == QEvent::Paint ? 1 : 0;
        return false;
    }
    [[nodiscard]] int paints() const { return m_paints; }

private:
    int m_paints = 0;
};

bool fail(const char* what) {
    std::fprintf(stderr, "bench_ui_launch: %s\n", what);
    return false;
}

/// One launch in a workspace of its own; milliseconds until the first point is painted.
bool launchOnce(double& millis) {
    test::WindowRig rig(test::WindowRig::Fill::Nothing);
    if (!rig.go<ui::HomePage>(QStringLiteral("home")) ||
        !waitFor([&] { return rig.visible<QPushButton>(QStringLiteral("sampleFormButton")) != nullptr; }, 10'000)) {
        return fail("Home does not offer the sample");
    }
    rig.visible<QPushButton>(QStringLiteral("sampleFormButton"))->click();
    auto* form = qobject_cast<ui::NewRunPage*>(rig.window().page());
    if (!form || !waitFor([&] { return form->findChild<ui::DatasetPanel*>()->preview().has_value(); }, 30'000) ||
        !form->document().validateNow().empty()) {
        return fail("the form did not become ready");
    }
    QElapsedTimer clock;
    clock.start();
    rig.action(QStringLiteral("launchAction"))->trigger();
    if (!waitFor([&] { return qobject_cast<ui::RunPage*>(rig.window().page()) != nullptr; }, 20'000)) {
        return fail("the run's page did not open");
    }
    auto* run = qobject_cast<ui::RunPage*>(rig.window().page());
    const auto loss = [&] { return run->metrics()->charts()->chart(QStringLiteral("Loss")); };
    if (!waitFor([&] { return run->detail() && run->metrics()->charts()->points() > 0 && loss() != nullptr; },
                 60'000)) {
        return fail("no loss came");
    }
    PaintCounter counter;
    QList<QWidget*> parts = loss()->findChildren<QWidget*>();
    parts.append(loss());
    for (QWidget* part : parts) {
        part->installEventFilter(&counter);
    }
    loss()->update();
    if (!waitFor([&] { return counter.paints() > 0; }, 5'000)) {
        return fail("the chart was not painted");
    }
    millis = static_cast<double>(clock.nsecsElapsed()) / 1e6;
    const std::string id = run->detail()->row.id.str();
    rig.session().start("run.cancel", base::Json{{"run", id}});
    return waitFor([&] { return spec::isFinal(run->detail()->row.state); }, 60'000) || fail("the run did not end");
}

}  // namespace

int main(int argc, char** argv) {
    const auto [json, rounds] = bench::readOptions(argc, argv, "--rounds", 10, 1);
    const bench::Application application(argc, argv);
    std::vector<double> all;
    for (int round = 0; round <= rounds; ++round) {
        double millis = 0;
        if (!launchOnce(millis)) return 1;
        if (round > 0) all.push_back(millis);  // The first brings the programs into memory.
    }
    std::vector<double> sorted = all;
    std::ranges::sort(sorted);
    const double median = sorted[sorted.size() / 2];
    if (json) {
        const base::Json result{{"benchmark", "ui_launch"},
                                {"median_ms", median},
                                {"lowest_ms", sorted.front()},
                                {"highest_ms", sorted.back()},
                                {"raw_ms", all}};
        std::printf("%s\n", base::dumpJson(result).c_str());
    } else {
        std::printf("launch to first loss painted: %.0f ms (%.0f to %.0f, %zu rounds)\n", median, sorted.front(),
                    sorted.back(), all.size());
    }
    return 0;
}
