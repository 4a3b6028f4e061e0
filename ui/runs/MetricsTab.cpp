#include "ui/runs/MetricsTab.h"

#include <QCheckBox>
#include <QHBoxLayout>
#include <QScrollArea>
#include <QSlider>
#include <QVBoxLayout>
#include <cmath>

#include "core/commands/Session.h"
#include "ui/forms/FieldEditors.h"
#include "ui/runs/RunCharts.h"
#include "ui/runs/RunRef.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/FlowLayout.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Json;

MetricsTab::MetricsTab(commands::Session& session, QWidget* parent) : QWidget(parent) {
    const Theme& theme = Theme::current();
    auto* content = new QWidget(this);
    auto* column = new QVBoxLayout(content);
    column->setContentsMargins(theme.space(4), theme.space(2), theme.space(4), theme.space(4));
    column->setSpacing(theme.space(2));

    m_warning = new InlineError(content);
    m_warning->clear();
    column->addWidget(m_warning);

    auto* tiles = new QWidget(content);
    auto* row = new QHBoxLayout(tiles);
    row->setContentsMargins(0, 0, 0, 0);
    row->setSpacing(theme.space(2));
    for (StatTile*& tile : m_tiles) {
        auto* card = new Card(tiles);
        tile = new StatTile(QString(), card);
        card->body()->addWidget(tile);
        row->addWidget(card, 1);
    }
    column->addWidget(tiles);

    auto* bar = new QWidget(content);
    auto* flow = new FlowLayout(bar, theme.space(2), theme.space(0));
    m_axis = new SegmentedControl(bar);
    m_axis->setAccessibleName(tr("Horizontal axis"));
    m_axis->addSegment(tr("Step"));
    m_axis->addSegment(tr("Time"));
    m_axis->setFixedWidth(150);
    flow->addWidget(m_axis);
    auto* smoothing = new QWidget(bar);
    auto* smoothingLayout = new QHBoxLayout(smoothing);
    smoothingLayout->setContentsMargins(0, 0, 0, 0);
    smoothingLayout->addWidget(new TextLabel(tr("Smoothing"), TextStyle::Secondary, Role::Muted, smoothing));
    m_smoothing = new QSlider(Qt::Horizontal, smoothing);
    m_smoothing->setRange(0, 99);
    m_smoothing->setFixedWidth(140);
    m_smoothing->setFixedHeight(theme.controlHeight());
    m_smoothing->setAccessibleName(tr("Smoothing of the curves, in percent"));
    smoothingLayout->addWidget(m_smoothing);
    flow->addWidget(smoothing);
    m_log = new QCheckBox(tr("Logarithmic"), bar);
    m_log->setMinimumHeight(theme.controlHeight());
    flow->addWidget(m_log);
    column->addWidget(bar);

    m_charts = new RunCharts(session, RunCharts::Extent::Whole, content);
    m_charts->setObjectName(QStringLiteral("runCharts"));
    column->addWidget(m_charts, 1);

    auto* outer = new QVBoxLayout(this);
    outer->setContentsMargins(0, 0, 0, 0);
    outer->addWidget(makeScrollPage(content, 1800, this));

    connect(m_axis, &SegmentedControl::picked, m_charts,
            [this](int index) { m_charts->setXAxis(index == 0 ? XAxis::Step : XAxis::RelativeTime); });
    connect(m_smoothing, &QSlider::valueChanged, m_charts, [this](int percent) {
        m_smoothing->setToolTip(tr("%1 %").arg(percent));
        m_charts->setSmoothing(percent / 100.0);
    });
    connect(m_log, &QCheckBox::toggled, m_charts, &RunCharts::setLogScale);
    connect(m_charts, &RunCharts::stateChanged, this, &MetricsTab::stateChanged);
}

void MetricsTab::showTiles(const store::RunRow& row) {
    struct Wanted {
        const char* name;
        bool best;
    };
    std::vector<Wanted> wanted{{"val/accuracy", true}, {"val/loss", true}, {"train/loss", false}};
    std::size_t tile = 0;
    const auto put = [&](const QString& name, const QString& value, const QString& exact, const QString& detail) {
        if (tile >= std::size(m_tiles)) return;
        m_tiles[tile]->parentWidget()->show();
        m_tiles[tile]->setName(name);
        m_tiles[tile]->setValue(value, exact);
        m_tiles[tile]->setDetail(detail);
        ++tile;
    };
    const auto putMetric = [&](const store::MetricSummary& metric, bool best) {
        const double value = best ? bestOf(metric) : metric.last;
        const std::int64_t step = best ? bestStepOf(metric) : metric.lastStep;
        put(metricTitle(metric.name), std::isfinite(value) ? formatMetric(metric.name, value) : tr("not a number"),
            exactNumber(value),
            best ? tr("best, at step %1").arg(formatExact(step)) : tr("last, at step %1").arg(formatExact(step)));
    };
    for (const Wanted& one : wanted) {
        if (const store::MetricSummary* metric = metricOf(row, one.name)) putMetric(*metric, one.best);
    }
    if (row.taskKind == "train" && tile == 0) {
        put(tr("Validation accuracy"), tr("–"), {}, tr("after the first epoch"));
        put(tr("Training loss"), tr("–"), {}, tr("with the first steps"));
    }
    if (row.taskKind == "train" && tile == 1) put(tr("Validation accuracy"), tr("–"), {}, tr("after the first epoch"));
    if (const store::MetricSummary* rate = metricOf(row, "train/samples_per_second")) {
        put(tr("Throughput"), tr("%1 samples/s").arg(formatCount(static_cast<std::int64_t>(rate->last))),
            exactNumber(rate->last), tr("at most %1").arg(formatCount(static_cast<std::int64_t>(rate->max))));
    }
    for (const store::MetricSummary& metric : row.metrics) {
        const bool shown =
            std::any_of(wanted.begin(), wanted.end(), [&](const Wanted& one) { return metric.name == one.name; });
        if (shown || metric.name.starts_with("train/") || tile >= std::size(m_tiles)) continue;
        putMetric(metric, true);
    }
    for (; tile < std::size(m_tiles); ++tile) m_tiles[tile]->parentWidget()->hide();
}

void MetricsTab::setDetail(const RunDetail& detail) {
    showTiles(detail.row);
    // What changes the charts is of no use before there are any.
    m_log->parentWidget()->setVisible(!detail.row.metrics.empty());
    m_charts->setRuns({refOf(detail.row)});
    const bool over = spec::isFinal(detail.row.state);
    m_charts->setWaiting(over                                          ? tr("Nothing was reported.")
                         : detail.row.state == spec::RunState::Running ? tr("Waiting for the first steps…")
                         : detail.row.state == spec::RunState::Queued  ? tr("Waits in the queue")
                                                                       : tr("The run has not begun to train yet."));
    constexpr qsizetype kMostWarnings = 4;
    QStringList told;
    int others = 0;
    // The newest first.
    for (auto one = detail.warnings.rbegin(); one != detail.warnings.rend(); ++one) {
        // Which host is silent stands above the tabs for as long as it is.
        if (one->code == "run.host_silent") continue;
        if (one->damagedLine || told.size() == kMostWarnings) {
            ++others;
        } else {
            told << fromUtf8(one->message);
        }
    }
    if (told.isEmpty() || detail.row.state == spec::RunState::Failed) return m_warning->clear();
    if (others > 0) told << tr("(%n more warning(s))", nullptr, others);
    m_warning->setMessage(InlineError::Kind::Warning, told.join(u'\n'));
}

Json MetricsTab::saveState() const { return {{"smoothing", m_smoothing->value()}, {"charts", m_charts->saveState()}}; }

void MetricsTab::restoreState(const Json& state) {
    if (!state.is_object()) return;
    if (const auto charts = state.find("charts"); charts != state.end()) m_charts->restoreState(*charts);
    const auto percent = state.find("smoothing");
    if (percent != state.end() && percent->is_number_integer()) m_smoothing->setValue(percent->get<int>());
    m_axis->setCurrent(m_charts->xAxis() == XAxis::Step ? 0 : 1);
}

}  // namespace trainyard::ui
