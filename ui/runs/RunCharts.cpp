#include "ui/runs/RunCharts.h"

#include <QAbstractScrollArea>
#include <QEvent>
#include <QGridLayout>
#include <QPointer>
#include <algorithm>
#include <cmath>
#include <set>

#include "core/commands/Session.h"
#include "core/store/Reader.h"
#include "ui/runs/SystemPlots.h"
#include "ui/shell/Theme.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Json;
using base::Result;

namespace {

constexpr int kChartRefreshMillis = 50;
constexpr int kLargeHeight = 300;
constexpr int kSmallHeight = 190;
constexpr int kCompactHeight = 140;
constexpr int kSystemHeight = 240;
constexpr int kTwoColumnsFrom = 760;
constexpr std::size_t kMostPlots = 40;
constexpr int kMostRounds = 50;  ///< Of events that a layout is waited for.

struct Headline {
    const char* title;
    const char* training;
    const char* validation;
    bool percent;
};
constexpr Headline kHeadlines[] = {
    {QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "Loss"), "train/loss", "val/loss", false},
    {QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "Accuracy"), "train/accuracy", "val/accuracy", true}};

QString keyOf(const store::ChartSeries& series) {
    return QStringLiteral("%1/%2/%3/%4/%5")
        .arg(fromUtf8(series.run.str()), fromUtf8(series.name))
        .arg(series.attempt)
        .arg(series.node)
        .arg(series.rank);
}

Slice sliceOf(const store::ChartSeries& series, double scale) {
    Slice slice;
    slice.reserve(series.x.size());
    slice.raw = series.raw;
    const double gap = std::numeric_limits<double>::quiet_NaN();
    const auto finite = [gap, scale](double value) { return std::isfinite(value) ? value * scale : gap; };
    for (std::size_t i = 0; i < series.x.size(); ++i) {
        const double mean = finite(series.mean[i]);
        if (series.raw) {
            slice.push(series.x[i], mean, mean, mean, 1);
        } else {
            slice.push(series.x[i], finite(series.min[i]), finite(series.max[i]), mean,
                       static_cast<std::uint32_t>(std::min<std::int64_t>(series.pointsPerBucket, 1 << 30)));
        }
    }
    return slice;
}

/// In sight, or within half a page of it: a plot is filled before it is scrolled to.
bool isNear(const QWidget& widget) {
    for (const QWidget* up = widget.parentWidget(); up != nullptr; up = up->parentWidget()) {
        const auto* area = qobject_cast<const QAbstractScrollArea*>(up->parentWidget());
        if (area == nullptr || area->viewport() != up) continue;
        const int margin = up->height() / 2;
        if (!up->rect().adjusted(0, -margin, 0, margin).intersects({widget.mapTo(up, QPoint()), widget.size()}))
            return false;
    }
    return true;
}

}  // namespace

struct RunCharts::Plot {
    ChartPlan plan;
    ChartView* view = nullptr;
    bool large = false;
    bool shown = true;
    bool asked = false;
    bool askAgain = false;
    bool stale = true;  ///< What it shows is older than what was told; fetched when it comes near.
    std::optional<std::pair<double, double>> range;
};

RunCharts::RunCharts(commands::Session& session, Extent extent, QWidget* parent)
    : QWidget(parent), m_session(session), m_extent(extent), m_grid(new QGridLayout(this)) {
    m_grid->setContentsMargins(0, 0, 0, 0);
    m_grid->setSpacing(Theme::current().space(2));
    m_soon.setSingleShot(true);
    m_soon.setInterval(kChartRefreshMillis);
    connect(&m_soon, &QTimer::timeout, this, [this] {
        findMetrics();
        for (const auto& plot : m_plots) plot->stale = true;
        lookSoon();
    });
    // After the layout, which takes several rounds of events: until then plots lie one over the other at the top.
    m_look.setSingleShot(true);
    m_look.setInterval(0);
    connect(&m_look, &QTimer::timeout, this, [this] {
        if (height() < m_grid->minimumSize().height() && ++m_rounds < kMostRounds) return m_look.start();
        m_rounds = 0;
        for (const auto& plot : m_plots) {
            if (plot->stale) fetch(*plot);
        }
    });
    connect(&session, &commands::Session::runsChanged, this, &RunCharts::note);
    plan({});
}

RunCharts::~RunCharts() = default;

void RunCharts::setRuns(std::vector<RunRef> runs) {
    if (runs == m_runs) return;
    std::set<base::RunId> kept;
    for (const RunRef& run : runs) kept.insert(run.id);
    m_runs = std::move(runs);
    for (const auto& plot : m_plots) {
        const QStringList keys = plot->view->seriesKeys();
        for (const QString& key : keys) {
            if (!kept.contains(base::RunId(key.section(u'/', 0, 0).toStdString()))) plot->view->removeSeries(key);
        }
        plot->askAgain = plot->asked;
    }
    m_points = 0;
    m_filled = false;
    m_searchAgain = m_searching;
    m_soon.start(0);
}

void RunCharts::note(const QList<runs::RunChange>& changes) {
    const runs::RunPart part = m_extent == Extent::System ? runs::RunPart::System : runs::RunPart::Metrics;
    for (const runs::RunChange& change : changes) {
        if (!change.parts.testFlag(part)) continue;
        if (std::any_of(m_runs.begin(), m_runs.end(), [&](const RunRef& run) { return run.id == change.run; })) {
            if (!m_soon.isActive() && isVisible()) m_soon.start(kChartRefreshMillis);
            return;
        }
    }
}

void RunCharts::showEvent(QShowEvent* event) {
    QWidget::showEvent(event);
    // Whichever of them moves or grows brings plots into sight. Again where it is known: no second filter.
    for (QWidget* up = this; up != nullptr; up = up->parentWidget()) up->installEventFilter(this);
    m_soon.start(0);
}

bool RunCharts::eventFilter(QObject* watched, QEvent* event) {
    if (event->type() == QEvent::Move || event->type() == QEvent::Resize) lookSoon();
    return QWidget::eventFilter(watched, event);
}

void RunCharts::lookSoon() {
    if (!m_look.isActive() && isVisible()) m_look.start();
}

void RunCharts::findMetrics() {
    if (m_runs.empty() || m_extent == Extent::HeadlinesOnly) return;
    if (m_searching) {
        m_searchAgain = true;
        return;
    }
    m_searching = true;
    std::vector<base::RunId> ids;
    for (const RunRef& run : m_runs) ids.push_back(run.id);
    const store::SeriesKind kind = m_extent == Extent::System ? store::SeriesKind::System : store::SeriesKind::Metric;
    m_session.query(
        this, QStringLiteral("charts.names"),
        [ids, kind, node = m_node](store::Reader& reader) -> Result<std::vector<std::string>> {
            std::set<std::string> names;
            for (const base::RunId& id : ids) {
                auto rows = reader.series(id, kind);
                if (!rows) return rows.error();
                for (const store::SeriesRow& row : *rows) {
                    if (!node || row.node == *node) names.insert(row.name);
                }
            }
            return std::vector<std::string>(names.begin(), names.end());
        },
        [this](Result<std::vector<std::string>> names) {
            m_searching = false;
            if (names && *names != m_names) plan(*names);
            if (std::exchange(m_searchAgain, false)) findMetrics();
        });
}

void RunCharts::plan(const std::vector<std::string>& names) {
    m_names = names;
    std::vector<ChartPlan> plans;
    std::set<std::string> used;
    if (m_extent != Extent::System) {
        for (const Headline& headline : kHeadlines) {
            // A script that names its metrics otherwise needs no plots that stay empty.
            const bool told = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
                return name == headline.training || name == headline.validation;
            });
            if (m_extent == Extent::Whole && !names.empty() && !told) continue;
            plans.push_back({tr(headline.title), {headline.training, headline.validation}, headline.percent});
            used.insert({headline.training, headline.validation});
        }
    }
    if (m_extent == Extent::System) plans = systemPlans(names);
    for (const std::string& name : names) {
        if (m_extent == Extent::System || used.contains(name) || plans.size() >= kMostPlots) continue;
        ChartPlan one{metricTitle(name), {name}, name.find("accuracy") != std::string::npos};
        used.insert(name);
        // train/x and val/x share a plot.
        if (name.starts_with("train/")) {
            const std::string twin = "val/" + name.substr(6);
            if (std::find(names.begin(), names.end(), twin) != names.end()) {
                one.metrics.push_back(twin);
                one.title = metricTitle(name.substr(6));
                used.insert(twin);
            }
        }
        plans.push_back(std::move(one));
    }

    for (const auto& plot : m_plots) plot->shown = false;
    std::size_t place = 0;
    for (ChartPlan& wanted : plans) {
        const bool large = m_extent == Extent::HeadlinesOnly || (m_extent == Extent::Whole && place++ < 2);
        // A plot keeps its place when another metric joins it.
        const auto known = std::find_if(m_plots.begin(), m_plots.end(), [&](const auto& plot) {
            return std::find(wanted.metrics.begin(), wanted.metrics.end(), plot->plan.metrics.front()) !=
                   wanted.metrics.end();
        });
        if (known != m_plots.end()) {
            (*known)->plan = std::move(wanted);
            (*known)->view->setTitle((*known)->plan.title);
            (*known)->shown = true;
            if ((*known)->large != large) {
                (*known)->large = large;
                (*known)->view->setMinimumHeight(m_compact ? kCompactHeight : large ? kLargeHeight : kSmallHeight);
            }
            continue;
        }
        auto plot = std::make_unique<Plot>();
        plot->plan = std::move(wanted);
        plot->large = large;
        auto* view = new ChartView(plot->plan.title, this);
        plot->view = view;
        view->setObjectName(fromUtf8(plot->plan.metrics.front()) + QStringLiteral("Chart"));
        view->setAccessibleName(tr("Chart of %1").arg(plot->plan.title));
        view->setUnit(plot->plan.unit, plot->plan.percent);
        view->setXAxis(m_axis);
        view->setCompact(m_compact);
        view->setSmoothing(m_smoothing);
        view->setLogScale(m_log);
        view->setWaiting(m_waiting);
        view->setMinimumHeight(plot->large && !m_compact    ? kLargeHeight
                               : m_extent == Extent::System ? kSystemHeight
                                                            : kSmallHeight);
        if (m_restored.is_object()) {
            const std::string key = plot->plan.metrics.front();
            if (const auto saved = m_restored.find(key); saved != m_restored.end()) view->restoreState(*saved);
        }
        Plot* raw = plot.get();
        connect(view, &ChartView::rangeWanted, this, [this, raw](double from, double to, int) {
            raw->range = raw->view->range() ? std::optional(std::pair(from, to)) : std::nullopt;
            raw->stale = true;
            lookSoon();
        });
        connect(view, &ChartView::stateChanged, this, &RunCharts::stateChanged);
        connect(view, &ChartView::hovered, this, [this, raw](std::optional<double> x) {
            for (const auto& other : m_plots) {
                if (other.get() != raw) other->view->setCrosshair(x);
            }
        });
        view->installEventFilter(this);
        m_plots.push_back(std::move(plot));
    }
    // Large ones come first.
    std::stable_sort(m_plots.begin(), m_plots.end(),
                     [](const auto& a, const auto& b) { return a->large && !b->large; });
    for (const auto& plot : m_plots) plot->view->setVisible(plot->shown);
    m_arranged = 0;
    arrange();
    for (const auto& plot : m_plots) plot->stale = true;
    lookSoon();
}

void RunCharts::arrange() {
    const int columns = m_columns > 0 ? m_columns : width() >= kTwoColumnsFrom ? 2 : 1;
    const int key = columns * 1000 + static_cast<int>(m_plots.size());
    if (key == m_arranged) return;
    m_arranged = key;
    while (QLayoutItem* item = m_grid->takeAt(0)) delete item;
    const int smallColumns = m_extent == Extent::System ? columns : std::max(1, columns + (columns > 1 ? 1 : 0));
    const int units = columns * smallColumns;
    for (int i = 0; i < 16; ++i) m_grid->setColumnStretch(i, i < units ? 1 : 0);
    int row = 0;
    int at = 0;
    bool large = true;
    const auto largeOnes = static_cast<int>(
        std::count_if(m_plots.begin(), m_plots.end(), [](const auto& plot) { return plot->shown && plot->large; }));
    for (const auto& plot : m_plots) {
        if (!plot->shown) continue;
        const int span = plot->large ? units / std::clamp(largeOnes, 1, columns) : units / smallColumns;
        if (plot->large != large || at + span > units) {
            if (at > 0) ++row;
            at = 0;
            large = plot->large;
        }
        m_grid->addWidget(plot->view, row, at, 1, span);
        at += span;
    }
    for (int i = 0; i <= row; ++i) m_grid->setRowStretch(i, 1);
}

void RunCharts::resizeEvent(QResizeEvent* event) {
    QWidget::resizeEvent(event);
    arrange();
}

void RunCharts::fetch(Plot& plot) {
    plot.stale = true;
    if (m_runs.empty() || !isVisible() || !plot.shown || !isNear(*plot.view)) return;
    plot.stale = false;
    if (plot.asked) {
        plot.askAgain = true;
        return;
    }
    plot.asked = true;
    store::ChartRequest request;
    for (const RunRef& run : m_runs) {
        for (const std::string& metric : plot.plan.metrics) {
            store::ChartCurve curve;
            curve.run = run.id;
            curve.name = metric;
            curve.kind = m_extent == Extent::System ? store::SeriesKind::System : store::SeriesKind::Metric;
            curve.node = m_node;
            curve.attempt = m_attempt;
            request.curves.push_back(std::move(curve));
        }
    }
    request.axis =
        m_axis == XAxis::Step && m_extent != Extent::System ? store::ChartAxis::Step : store::ChartAxis::RelativeTime;
    if (plot.range) {
        request.from = plot.range->first;
        request.to = plot.range->second;
    }
    request.pixels = std::max(200, static_cast<int>(plot.view->width() * devicePixelRatioF()));
    m_session.query(
        this, QStringLiteral("chart.") + fromUtf8(plot.plan.metrics.front()),
        [request](store::Reader& reader) { return reader.chart(request); },
        [this, raw = &plot](Result<store::ChartData> answer) {
            raw->asked = false;
            if (answer) take(*raw, *answer);
            if (std::exchange(raw->askAgain, false)) fetch(*raw);
        });
}

void RunCharts::take(Plot& plot, const store::ChartData& answer) {
    std::map<std::pair<std::string, std::string>, std::set<int>> ranks;
    for (const store::ChartSeries& series : answer.series) ranks[{series.run.str(), series.name}].insert(series.rank);
    std::int64_t points = 0;
    for (const store::ChartSeries& series : answer.series) {
        const bool wanted =
            std::any_of(m_runs.begin(), m_runs.end(), [&](const RunRef& run) { return run.id == series.run; });
        if (!wanted || series.x.empty()) continue;
        if (m_runs.size() > 1 && series.name.starts_with("train/") &&
            ranks.contains({series.run.str(), "val/" + series.name.substr(6)})) {
            // Runs are compared by their validation; two curves of each would bury it.
            plot.view->removeSeries(keyOf(series));
            continue;
        }
        // An answer to what was asked before setPart().
        if ((m_node && series.node != *m_node) || (m_attempt && series.attempt != *m_attempt)) continue;
        points += series.points;
        const QString key = keyOf(series);
        plot.view->setSeries(key, lookOf(plot, series, ranks[{series.run.str(), series.name}].size() > 1));
        plot.view->setSlice(key, sliceOf(series, plot.plan.scale));
    }
    m_points = std::max(m_points, points);
    if (points > 0 && !m_filled) {
        m_filled = true;
        Q_EMIT filled();
    }
}

SeriesLook RunCharts::lookOf(const Plot& plot, const store::ChartSeries& series, bool severalRanks) const {
    const auto run =
        std::find_if(m_runs.begin(), m_runs.end(), [&](const RunRef& one) { return one.id == series.run; });
    const bool validation = series.name.starts_with("val/");
    const bool training = series.name.starts_with("train/");
    SeriesLook look;
    QStringList label;
    if (m_runs.size() > 1 && run != m_runs.end()) label << QStringLiteral("#%1").arg(run->number);
    if (validation) label << tr("validation");
    if (training) label << tr("training");
    const auto place =
        std::find(plot.plan.metrics.begin(), plot.plan.metrics.end(), series.name) - plot.plan.metrics.begin();
    if (place < plot.plan.labels.size()) {
        label << plot.plan.labels[place];
    } else if (!validation && !training) {
        label << metricTitle(series.name);
    }
    if (severalRanks)
        label << (series.rank == wire::kNoRank ? tr("node %1").arg(series.node) : tr("rank %1").arg(series.rank));
    if (series.attempt > 1 && !m_attempt) label << tr("attempt %1").arg(series.attempt);
    look.label = label.join(QStringLiteral(" · "));
    // The run's colour is its own everywhere. One run alone has a second colour to spare for its validation (or ranks);
    // over several runs the line's kind tells training from validation.
    const int spare = m_runs.size() > 1            ? 0
                      : m_extent == Extent::System ? static_cast<int>(place)
                      : validation                 ? 1
                      : severalRanks               ? std::max(0, series.rank)
                                                   : 0;
    look.runColor = runColorOf(series.number) + spare;
    look.line = m_runs.size() > 1 && training ? LineKind::Dash : LineKind::Solid;
    look.markers = validation;
    return look;
}

void RunCharts::setPart(std::optional<int> node, std::optional<int> attempt) {
    if (node == m_node && attempt == m_attempt) return;
    m_node = node;
    m_attempt = attempt;
    for (const auto& plot : m_plots) {
        plot->view->clearSeries();
        plot->askAgain = plot->asked;
    }
    m_points = 0;
    m_searchAgain = m_searching;
    m_soon.start(0);
}

void RunCharts::setXAxis(XAxis axis) {
    if (axis == m_axis) return;
    m_axis = axis;
    for (const auto& plot : m_plots) {
        plot->range.reset();
        plot->view->setRange(std::nullopt);
        plot->view->setXAxis(axis);
        plot->stale = true;
    }
    lookSoon();
    Q_EMIT stateChanged();
}

void RunCharts::setSmoothing(double factor) {
    m_smoothing = factor;
    for (const auto& plot : m_plots) plot->view->setSmoothing(factor);
    Q_EMIT stateChanged();
}

void RunCharts::setLogScale(bool on) {
    m_log = on;
    for (const auto& plot : m_plots) {
        if (!plot->plan.percent) plot->view->setLogScale(on);
    }
    Q_EMIT stateChanged();
}

void RunCharts::setCompact(bool compact) {
    m_compact = compact;
    for (const auto& plot : m_plots) {
        plot->view->setCompact(compact);
        plot->view->setMinimumHeight(compact ? kCompactHeight : plot->large ? kLargeHeight : kSmallHeight);
        plot->view->setMaximumHeight(compact ? kCompactHeight : QWIDGETSIZE_MAX);
    }
}

void RunCharts::setColumns(int columns) {
    m_columns = columns;
    arrange();
}

void RunCharts::setWaiting(const QString& text) {
    m_waiting = text;
    for (const auto& plot : m_plots) plot->view->setWaiting(text);
}

std::vector<ChartView*> RunCharts::charts() const {
    std::vector<ChartView*> views;
    for (const auto& plot : m_plots) views.push_back(plot->view);
    return views;
}

ChartView* RunCharts::chart(const QString& title) const {
    for (const auto& plot : m_plots) {
        if (plot->plan.title == title) return plot->view;
    }
    return nullptr;
}

Json RunCharts::saveState() const {
    Json charts = Json::object();
    for (const auto& plot : m_plots) charts[plot->plan.metrics.front()] = plot->view->saveState();
    return {{"axis", m_axis == XAxis::Step ? "step" : "time"},
            {"smoothing", m_smoothing},
            {"log", m_log},
            {"charts", charts}};
}

void RunCharts::restoreState(const Json& state) {
    if (!state.is_object()) return;
    const auto text = state.find("axis");
    if (text != state.end() && *text == "time") setXAxis(XAxis::RelativeTime);
    if (const auto value = state.find("smoothing"); value != state.end() && value->is_number()) {
        setSmoothing(std::clamp(value->get<double>(), 0.0, 0.99));
    }
    if (const auto value = state.find("log"); value != state.end() && value->is_boolean())
        setLogScale(value->get<bool>());
    if (const auto charts = state.find("charts"); charts != state.end() && charts->is_object()) {
        m_restored = *charts;
        for (const auto& plot : m_plots) {
            const auto saved = m_restored.find(plot->plan.metrics.front());
            if (saved != m_restored.end()) plot->view->restoreState(*saved);
        }
    }
}

}  // namespace trainyard::ui
