#include "ui/charts/ChartView.h"

#include <QBoxLayout>
#include <QPainter>
#include <QThreadPool>

#include <algorithm>
#include <cmath>

#include "core/base/Clock.h"
#include "ui/charts/ChartPrivate.h"
#include "ui/shell/Style.h"
#include "ui/shell/Theme.h"
#include "ui/widgets/FlowLayout.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {
namespace {

constexpr int kFrameMillis = 33;
constexpr int kSettleMillis = 1500;

/// Where the curves are; all events stay with the chart itself.
class Canvas final : public QWidget {
public:
    Canvas(QWidget* parent, std::function<void(QPainter&)> paint) : QWidget(parent), m_paint(std::move(paint)) {
        setAttribute(Qt::WA_TransparentForMouseEvents);
        // A frame repaints this and nothing below it: large antialiased grounds would cost more than all curves.
        setAttribute(Qt::WA_OpaquePaintEvent);
        setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
        setMinimumSize(60, 50);
    }

protected:
    void paintEvent(QPaintEvent*) override {
        QPainter painter(this);
        m_paint(painter);
    }

private:
    std::function<void(QPainter&)> m_paint;
};

/// Adds the time of a scope to a counter.
class Meter {
public:
    explicit Meter(std::int64_t& total) : m_total(total), m_start(base::monotonicNanos()) {}
    ~Meter() { m_total += base::monotonicNanos() - m_start; }
    Meter(const Meter&) = delete;
    Meter& operator=(const Meter&) = delete;

private:
    std::int64_t& m_total;
    std::int64_t m_start;
};

}  // namespace

ChartView::ChartView(const QString& title, QWidget* parent) : QWidget(parent), d(std::make_unique<Private>(this)) {
    setFocusPolicy(Qt::StrongFocus);
    setMouseTracking(true);
    setAccessibleName(tr("Chart: %1").arg(title));
    setAccessibleDescription(
        tr("Arrows move the crosshair, plus and minus zoom, 0 resets, L switches the logarithmic axis."));
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(12, 8, 8, 8);
    column->setSpacing(4);
    auto* head = new QHBoxLayout;
    head->setSpacing(4);
    d->title = new TextLabel(title, TextStyle::BodyStrong, Role::Text, this);
    d->unitLabel = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    head->addWidget(d->title);
    head->addWidget(d->unitLabel);
    head->addStretch();
    d->resetButton = new IconButton(QStringLiteral("zoom-reset"), tr("Show the whole range"), this);
    d->resetButton->setObjectName(QStringLiteral("resetZoomButton"));
    d->moreButton = new IconButton(QStringLiteral("more"), tr("%1: scale, smoothing, export").arg(title), this);
    d->moreButton->setObjectName(QStringLiteral("chartMenuButton"));
    head->addWidget(d->resetButton);
    head->addWidget(d->moreButton);
    for (IconButton* button : {d->resetButton, d->moreButton}) button->setFixedSize(26, 24);
    connect(d->resetButton, &QToolButton::clicked, this, [this] { d->setZoom({}); });
    column->addLayout(head);
    d->canvas = new Canvas(this, [this](QPainter& painter) {
        {
            const Meter meter(d->pendingNanos);
            d->paintCanvas(painter);
        }
        d->frameNanos = std::exchange(d->pendingNanos, 0);
    });
    column->addWidget(d->canvas, 1);
    d->legend = new QWidget;
    d->legend->setLayout(new FlowLayout(d->legend, 4, 0));
    QSizePolicy policy(QSizePolicy::Preferred, QSizePolicy::Minimum);
    policy.setHeightForWidth(true);
    d->legend->setSizePolicy(policy);
    d->legendArea = new QScrollArea(this);
    d->legendArea->setFrameShape(QFrame::NoFrame);
    d->legendArea->setWidgetResizable(true);
    d->legendArea->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    d->legendArea->setFocusPolicy(Qt::NoFocus);
    d->legendArea->viewport()->setAutoFillBackground(false);
    d->legend->setAutoFillBackground(false);
    d->legendArea->setWidget(d->legend);
    d->legend->setAutoFillBackground(false);
    column->addWidget(d->legendArea);
    d->waiting = tr("Waiting for the first point");
    d->frame.setSingleShot(true);
    d->frame.setInterval(kFrameMillis);
    d->settle.setSingleShot(true);
    d->settle.setInterval(kSettleMillis);
    connect(&d->frame, &QTimer::timeout, this, [this] { d->startFrame(); });
    connect(&d->settle, &QTimer::timeout, this, [this] {
        d->headroomEnd.reset();
        d->changed();
    });
    connect(&Theme::current(), &Theme::changed, this, [this] {
        d->axes.restyle();
        d->changed();
    });
    d->buildMenu();
    d->updateHeader();
}

ChartView::~ChartView() = default;

ChartView::Private::Series* ChartView::Private::find(const QString& key) {
    const auto it = std::find_if(series.begin(), series.end(), [&key](const auto& s) { return s->key == key; });
    return it == series.end() ? nullptr : it->get();
}

ChartView::Private::Series& ChartView::Private::findOrAdd(const QString& key) {
    if (Series* known = find(key)) return *known;
    series.push_back(std::make_unique<Series>());
    Series& added = *series.back();
    added.key = key;
    added.look.label = key;
    added.visible = !hiddenKeys.contains(key);
    added.entry = new LegendEntry(legend);
    added.entry->setChecked(added.visible);
    added.entry->setLook(added.look);
    legend->layout()->addWidget(added.entry);
    QObject::connect(added.entry, &QAbstractButton::toggled, q, [this, key](bool on) { q->setSeriesVisible(key, on); });
    sizeLegend();
    return added;
}

void ChartView::setTitle(const QString& title) {
    d->title->setText(title);
    setAccessibleName(tr("Chart: %1").arg(title));
    d->moreButton->setToolTip(tr("%1: scale, smoothing, export").arg(title));
    d->moreButton->setAccessibleName(d->moreButton->toolTip());
}

QString ChartView::title() const { return d->title->text(); }

void ChartView::setUnit(const QString& unit, bool percent) {
    d->unit = unit;
    d->percent = percent;
    d->unitLabel->setText(unit);
    d->unitLabel->setVisible(!unit.isEmpty());
    d->changed();
}

void ChartView::setXAxis(XAxis axis) {
    if (d->xAxis == axis) return;
    d->xAxis = axis;
    d->headroomEnd.reset();
    for (const auto& series : d->series) {
        // The old values of x mean something else now; the caller brings new ones.
        const std::scoped_lock lock(series->store->mutex);
        series->store->points.clear();
        series->store->slice.clear();
        series->extent.reset();
    }
    d->changed();
}

void ChartView::setCompact(bool compact) {
    d->compact = compact;
    d->sizeLegend();
    d->moreButton->setVisible(!compact);
    layout()->setContentsMargins(compact ? 8 : 12, compact ? 4 : 8, compact ? 4 : 8, compact ? 4 : 8);
    updateGeometry();
    d->changed();
}

void ChartView::setSeries(const QString& key, const SeriesLook& look) {
    Private::Series& series = d->findOrAdd(key);
    series.look = look;
    series.entry->setLook(look);
    d->sizeLegend();
    d->changed();
}

void ChartView::removeSeries(const QString& key) {
    const auto it = std::find_if(d->series.begin(), d->series.end(), [&key](const auto& s) { return s->key == key; });
    if (it == d->series.end()) return;
    delete (*it)->entry;
    d->series.erase(it);
    d->sizeLegend();
    d->headroomEnd.reset();
    d->changed();
}

void ChartView::clearSeries() {
    for (const QString& key : seriesKeys()) removeSeries(key);
}

QStringList ChartView::seriesKeys() const {
    QStringList keys;
    for (const auto& series : d->series) keys << series->key;
    return keys;
}

void ChartView::setPoints(const QString& key, std::span<const double> x, std::span<const double> y) {
    const Meter meter(d->pendingNanos);
    Private::Series& series = d->findOrAdd(key);
    // A new store, so that a worker still reading the old points is not disturbed.
    series.store = std::make_shared<CurveStore>();
    series.store->points.append(x, y);
    series.extent = series.store->points.extent();
    d->changed();
}

void ChartView::appendPoints(const QString& key, std::span<const double> x, std::span<const double> y) {
    const Meter meter(d->pendingNanos);
    Private::Series& series = d->findOrAdd(key);
    {
        const std::scoped_lock lock(series.store->mutex);
        series.store->sliced = false;
        series.store->points.append(x, y);
        series.extent = series.store->points.extent();
    }
    d->settle.start();
    d->changed();
}

void ChartView::setSlice(const QString& key, Slice slice) {
    const Meter meter(d->pendingNanos);
    Private::Series& series = d->findOrAdd(key);
    if (!slice.x.empty()) {
        const std::pair extent(slice.x.front(), slice.x.back());
        if (series.extent && extent.second > series.extent->second) d->settle.start();
        // A slice of a zoomed range does not make the whole smaller.
        series.extent = series.extent && d->zoomed ? std::pair(std::min(series.extent->first, extent.first),
                                                               std::max(series.extent->second, extent.second))
                                                   : extent;
    }
    auto store = std::make_shared<CurveStore>();
    store->slice = std::move(slice);
    store->sliced = true;
    series.store = std::move(store);
    d->changed();
}

void ChartView::setWaiting(const QString& text) {
    d->waiting = text;
    d->canvas->update();
}

void ChartView::setSeriesVisible(const QString& key, bool visible) {
    Private::Series* series = d->find(key);
    if (series == nullptr) return;
    if (series->entry->isChecked() != visible) {
        series->entry->setChecked(visible);
        return;  // toggled() comes back here.
    }
    series->visible = visible;
    d->hiddenKeys.removeAll(key);
    if (!visible) d->hiddenKeys << key;
    d->headroomEnd.reset();
    d->changed();
    Q_EMIT stateChanged();
}

void ChartView::setLogScale(bool on) {
    if (d->log == on) return;
    d->log = on;
    d->changed();
    Q_EMIT stateChanged();
}

bool ChartView::logScale() const { return d->log; }

void ChartView::setSmoothing(double factor) {
    factor = std::clamp(factor, 0.0, 0.99);
    if (factor == d->smoothing) return;
    d->smoothing = factor;
    d->changed();
    Q_EMIT stateChanged();
}

double ChartView::smoothing() const { return d->smoothing; }

void ChartView::setRange(std::optional<std::pair<double, double>> range) { d->setZoom(range); }
std::optional<std::pair<double, double>> ChartView::range() const { return d->zoomed; }
void ChartView::setCrosshair(std::optional<double> x) { d->moveCrosshair(x, false); }
std::int64_t ChartView::lastFrameNanos() const { return d->frameNanos; }
bool ChartView::isBusy() const { return d->dirty || d->inFlight; }

std::pair<double, double> ChartView::Private::fullRange(bool keepHeadroom) {
    std::optional<std::pair<double, double>> all;
    for (const auto& s : series) {
        if (!s->visible || !s->extent) continue;
        all = all ? std::pair(std::min(all->first, s->extent->first), std::max(all->second, s->extent->second))
                  : *s->extent;
    }
    if (!all) return {0, 1};
    auto [low, high] = *all;
    if (xAxis == XAxis::RelativeTime) low = std::min(low, 0.0);
    if (xAxis == XAxis::Step && low > 0 && low < (high - low) * 0.1) low = 0;
    if (!(high > low)) return {low - 0.5, high + 0.5};
    if (!keepHeadroom || !settle.isActive()) return {low, high};
    // Each new extent would mean new axes; a little room ahead makes that a matter of every tenth frame or rarer.
    const double span = high - low;
    if (!headroomEnd || high > *headroomEnd || *headroomEnd > high + span * 0.2) headroomEnd = high + span * 0.06;
    return {low, *headroomEnd};
}

std::pair<double, double> ChartView::Private::shownRange() { return zoomed ? *zoomed : fullRange(true); }

LayerRequest ChartView::Private::request(const QSizeF& size, qreal ratio, std::pair<double, double> range) const {
    LayerRequest wanted;
    const Theme& theme = Theme::current();
    for (const auto& s : series) {
        if (!s->visible) continue;
        wanted.curves.push_back(
            {s->key, s->store, theme.runColor(s->look.runColor), s->look.line, s->look.markers, s->look.runColor});
    }
    wanted.size = size;
    wanted.ratio = ratio;
    wanted.xLow = range.first;
    wanted.xHigh = range.second;
    wanted.log = log;
    wanted.percent = percent;
    wanted.yMost = yMarks(size.isEmpty() ? canvas->height() : size.height(), compact);
    wanted.smoothing = smoothing;
    if (haveLayer && layer.window.log == log && layer.hasPoints) {
        wanted.keepY = std::pair(layer.window.yLow, layer.window.yHigh);
    }
    return wanted;
}

void ChartView::Private::changed() {
    dirty = true;
    if (!inFlight && !frame.isActive() && q->isVisible()) frame.start(haveLayer ? kFrameMillis : 0);
}

void ChartView::Private::startFrame() {
    if (inFlight || !q->isVisible()) return;
    const Meter meter(pendingNanos);
    dirty = false;
    inFlight = true;
    const auto range = shownRange();
    PlotWindow window = haveLayer ? layer.window : PlotWindow{range.first, range.second, log ? 0.1 : 0.0, 1, log};
    window.xLow = range.first;
    window.xHigh = range.second;
    if (window.log != log) window = PlotWindow{range.first, range.second, log ? 0.1 : 0.0, 1, log};
    axes.layOut(canvas->size(), window, xAxis == XAxis::Step ? TickFormat::Count : TickFormat::Seconds,
                percent ? TickFormat::Percent : TickFormat::Number, xTitle(), compact);
    const QSizeF size = axes.plotArea().size();
    if (lastRange != range || lastSize != size) {
        lastRange = range;
        lastSize = size;
        Q_EMIT q->rangeWanted(range.first, range.second, static_cast<int>(size.width() * q->devicePixelRatioF()));
    }
    const int number = ++generation;
    QThreadPool::globalInstance()->start(
        [wanted = request(size, q->devicePixelRatioF(), range), guard = QPointer<ChartView>(q), number] {
            auto made = std::make_shared<LayerResult>(makeLayer(wanted));
            QMetaObject::invokeMethod(
                qApp,
                [guard, made, number] {
                    if (guard && guard->d->generation == number) guard->d->takeLayer(std::move(*made));
                },
                Qt::QueuedConnection);
        });
}

void ChartView::Private::takeLayer(LayerResult result) {
    const Meter meter(pendingNanos);
    inFlight = false;
    layer = std::move(result);
    const bool first = !haveLayer;
    haveLayer = true;
    // New labels may be wider than the old ones; then the picture is of another width and is asked for again.
    const bool moved =
        axes.layOut(canvas->size(), layer.window, xAxis == XAxis::Step ? TickFormat::Count : TickFormat::Seconds,
                    percent ? TickFormat::Percent : TickFormat::Number, xTitle(), compact);
    if (moved) dirty = true;
    if (dirty) frame.start(first || moved ? 0 : kFrameMillis);
    canvas->update();
}

QString ChartView::Private::xTitle() const {
    if (compact) return {};
    return xAxis == XAxis::Step ? ChartView::tr("step") : ChartView::tr("time since start");
}

QString ChartView::Private::xText(double x) const {
    return xAxis == XAxis::Step ? formatExact(std::llround(x)) : formatDuration(static_cast<std::int64_t>(x * 1e9));
}

QString ChartView::Private::yText(double y) const { return percent ? formatPercent(y) : formatNumber(y); }

void ChartView::Private::sizeLegend() {
    const bool wanted = !compact && !series.empty();
    legendArea->setVisible(wanted);
    if (!wanted) return;
    const int width = q->width() - 24;
    const int full = legend->layout()->heightForWidth(std::max(100, width));
    const int most = std::max(LegendEntry::kHeight, q->height() / 4 / LegendEntry::kHeight * LegendEntry::kHeight);
    legendArea->setFixedHeight(std::min(full, most));
}

void ChartView::Private::updateHeader() {
    unitLabel->setVisible(!unit.isEmpty());
    resetButton->setVisible(zoomed.has_value());
    sizeLegend();
}

void ChartView::Private::paintCanvas(QPainter& painter) {
    const Theme& theme = Theme::current();
    if (!haveLayer || !layer.hasPoints) {
        painter.fillRect(canvas->rect(), theme.color(Role::Surface));
        draw::box(painter, QRectF(canvas->rect()).adjusted(0, 2, 0, -2), theme.radius(),
                  Theme::blend(theme.color(Role::Surface), theme.color(Role::Sunken), 0.6), QColor());
        painter.setFont(theme.font(TextStyle::Secondary));
        painter.setPen(theme.color(Role::Muted));
        painter.drawText(canvas->rect().adjusted(8, 0, -8, 0), Qt::AlignCenter | Qt::TextWordWrap, waiting);
        return;
    }
    painter.drawPixmap(0, 0, axes.picture(q->devicePixelRatioF()));
    const QRectF plot = axes.plotArea();
    painter.drawImage(plot.topLeft() - QPointF(kLayerMargin, kLayerMargin), layer.image);
    if (dragStart && !panning) {
        const double left = std::clamp(std::min(dragStart->x(), dragNow.x()), plot.left(), plot.right());
        const double right = std::clamp(std::max(dragStart->x(), dragNow.x()), plot.left(), plot.right());
        QColor shade = theme.color(Role::Accent);
        shade.setAlphaF(0.15F);
        painter.fillRect(QRectF(left, plot.top(), right - left, plot.height()), shade);
        painter.setPen(QPen(theme.color(Role::Accent), 1));
        painter.drawLine(QPointF(left, plot.top()), QPointF(left, plot.bottom()));
        painter.drawLine(QPointF(right, plot.top()), QPointF(right, plot.bottom()));
    }
    if (crosshair) paintCrosshair(painter, plot);
}

void ChartView::Private::paintCrosshair(QPainter& painter, const QRectF& plot) {
    const Theme& theme = Theme::current();
    // All curves are read at the x of the nearest point of any of them.
    std::optional<double> snapped;
    for (const auto& [key, curve] : layer.curves) {
        const auto index = nearestIndex(curve.slice, *crosshair);
        if (index && (!snapped || std::abs(curve.slice.x[*index] - *crosshair) < std::abs(*snapped - *crosshair))) {
            snapped = curve.slice.x[*index];
        }
    }
    if (!snapped || *snapped < layer.window.xLow || *snapped > layer.window.xHigh) return;
    const double x = layer.window.px(plot, *snapped);
    painter.setRenderHint(QPainter::Antialiasing);
    painter.setPen(QPen(theme.color(Role::BorderStrong), 1, Qt::DashLine));
    painter.drawLine(QPointF(x, plot.top()), QPointF(x, plot.bottom()));

    struct Row {
        const Curve* curve;
        QString label, value;
    };
    std::vector<Row> rows;
    const double reach = (layer.window.xHigh - layer.window.xLow) * 0.02;
    for (const auto& [key, curve] : layer.curves) {
        const auto index = nearestIndex(curve.slice, *snapped);
        const Series* s = find(key);
        if (!index || s == nullptr || rows.size() >= 14) continue;
        // A curve that ended earlier, or has few points, has no value here.
        if (std::abs(curve.slice.x[*index] - *snapped) > reach && !curve.markers) continue;
        const double value = curve.line[*index];
        QString text = std::isfinite(value) ? yText(value) : QStringLiteral("NaN");
        if (!curve.slice.raw && curve.slice.max[*index] > curve.slice.min[*index]) {
            text += QStringLiteral("  (%1 … %2)").arg(yText(curve.slice.min[*index]), yText(curve.slice.max[*index]));
        }
        rows.push_back({&curve, s->look.label, text});
        const double y = layer.window.py(plot, value);
        if (std::isfinite(y) && plot.adjusted(-2, -2, 2, 2).contains(QPointF(x, y))) {
            drawMarker(painter, QPointF(layer.window.px(plot, curve.slice.x[*index]), y), curve.shape, curve.color, 8);
        }
    }
    const QFont font = theme.font(TextStyle::Secondary), mono = theme.font(TextStyle::MonoSmall);
    const QFontMetricsF metrics(font), figures(mono);
    const QString head = (xAxis == XAxis::Step ? ChartView::tr("Step %1") : QStringLiteral("%1")).arg(xText(*snapped));
    double labels = 0, values = 0;
    for (const Row& row : rows) {
        labels = std::max(labels, std::min(200.0, metrics.horizontalAdvance(row.label)));
        values = std::max(values, figures.horizontalAdvance(row.value));
    }
    const double lineHeight = std::ceil(metrics.height()) + 3;
    const QSizeF size(std::max(metrics.horizontalAdvance(head) + 20, 10 + 20 + 6 + labels + 14 + values + 10),
                      12 + lineHeight * static_cast<double>(rows.size() + 1));
    QPointF corner(x + 12, plot.top() + 4);
    if (corner.x() + size.width() > canvas->width()) corner.setX(x - 12 - size.width());
    corner.setX(std::max(2.0, corner.x()));
    const QRectF box(corner, size);
    draw::box(painter, box, theme.radius(), theme.color(Role::Raised), theme.color(Role::Border));
    painter.setFont(font);
    painter.setPen(theme.color(Role::Muted));
    double y = box.top() + 6;
    painter.drawText(QRectF(box.left() + 10, y, box.width() - 20, lineHeight), Qt::AlignVCenter | Qt::AlignLeft, head);
    for (const Row& row : rows) {
        y += lineHeight;
        drawSample(painter, QRectF(box.left() + 10, y, 20, lineHeight), row.curve->color, row.curve->kind,
                   row.curve->markers, row.curve->shape);
        painter.setFont(font);
        painter.setPen(theme.color(Role::Text));
        painter.drawText(QRectF(box.left() + 36, y, labels + 2, lineHeight),
                         Qt::AlignVCenter | Qt::AlignLeft | Qt::TextSingleLine,
                         metrics.elidedText(row.label, Qt::ElideRight, labels + 2));
        painter.setFont(mono);
        painter.drawText(QRectF(box.right() - 10 - values - 2, y, values + 2, lineHeight),
                         Qt::AlignVCenter | Qt::AlignRight, row.value);
    }
}

void ChartView::paintEvent(QPaintEvent*) {
    QPainter painter(this);
    const Theme& theme = Theme::current();
    draw::box(painter, rect(), theme.radius() + 2, theme.color(Role::Surface), theme.color(Role::Border));
    if (draw::showsFocus(this)) draw::focusRing(painter, rect(), theme.radius() + 2);
}

QSize ChartView::sizeHint() const { return d->compact ? QSize(260, 160) : QSize(420, 280); }
QSize ChartView::minimumSizeHint() const { return d->compact ? QSize(140, 96) : QSize(220, 150); }

}  // namespace trainyard::ui
