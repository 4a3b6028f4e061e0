#include "ui/charts/HistogramChart.h"

#include <QHelpEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QToolTip>
#include <algorithm>
#include <cmath>

#include "ui/charts/Ticks.h"
#include "ui/shell/Theme.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

namespace {

constexpr int kHistogramMapRows = 96;
constexpr int kBarsLeft = 64;
constexpr int kBarsRight = 16;
constexpr int kBelowBars = 26;
constexpr int kMapTitle = 22;

}  // namespace

HistogramChart::HistogramChart(QWidget* parent) : QWidget(parent) {
    setMouseTracking(true);
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
}

void HistogramChart::setData(const HistogramData& histogram) {
    m_data = histogram;
    m_hover = -1;
    double all = 0;
    for (const double count : histogram.counts) all += count;
    if (!histogram.edges.empty()) {
        setAccessibleDescription(
            tr("%1 values from %2 to %3 in %n bin(s)", nullptr, static_cast<int>(histogram.counts.size()))
                .arg(formatTally(all), formatNumber(histogram.edges.front()), formatNumber(histogram.edges.back())));
    }
    update();
}

void HistogramChart::setSteps(std::vector<HistogramData> steps) {
    m_steps = std::move(steps);
    makeMap();
    update();
}

/// Each histogram is spread over the map's rows by how much its bins overlap them, whatever its edges are.
void HistogramChart::makeMap() {
    m_map = {};
    if (m_steps.size() < 2) return;
    m_low = m_steps.front().edges.front();
    m_high = m_steps.front().edges.back();
    for (const HistogramData& one : m_steps) {
        m_low = std::min(m_low, one.edges.front());
        m_high = std::max(m_high, one.edges.back());
    }
    if (!(m_high > m_low)) m_high = m_low + 1;
    const int columns = static_cast<int>(m_steps.size());
    std::vector<double> cells(static_cast<std::size_t>(columns) * kHistogramMapRows, 0);
    double most = 0;
    for (int x = 0; x < columns; ++x) {
        const HistogramData& one = m_steps[static_cast<std::size_t>(x)];
        double sum = 0;
        for (const double count : one.counts) sum += count;
        if (!(sum > 0)) continue;
        double* column = cells.data() + static_cast<std::size_t>(x) * kHistogramMapRows;
        for (std::size_t i = 0; i < one.counts.size(); ++i) {
            const double from = (one.edges[i] - m_low) / (m_high - m_low) * kHistogramMapRows;
            const double to = (one.edges[i + 1] - m_low) / (m_high - m_low) * kHistogramMapRows;
            const double density = one.counts[i] / sum / std::max(to - from, 1e-9);
            for (int y = std::max(0, static_cast<int>(from)); y < kHistogramMapRows && y < to; ++y) {
                const double overlap = std::min<double>(to, y + 1) - std::max<double>(from, y);
                column[y] += density * std::max(0.0, overlap);
            }
            // A bin narrower than a row, at its very end.
            if (to - from < 1e-9)
                column[std::min(kHistogramMapRows - 1, std::max(0, static_cast<int>(from)))] += one.counts[i] / sum;
        }
        most = std::max(most, *std::max_element(column, column + kHistogramMapRows));
    }
    m_map = QImage(columns, kHistogramMapRows, QImage::Format_Alpha8);
    for (int y = 0; y < kHistogramMapRows; ++y) {
        uchar* line = m_map.scanLine(kHistogramMapRows - 1 - y);
        for (int x = 0; x < columns; ++x) {
            const double share =
                most > 0 ? cells[static_cast<std::size_t>(x) * kHistogramMapRows + static_cast<std::size_t>(y)] / most
                         : 0;
            line[x] = static_cast<uchar>(std::lround(255 * std::sqrt(share)));
        }
    }
}

QRectF HistogramChart::barsRect() const {
    const Theme& theme = Theme::current();
    const double height = m_map.isNull() ? this->height() : this->height() * 0.58;
    return {static_cast<double>(theme.scaled(kBarsLeft)), 8,
            static_cast<double>(width() - theme.scaled(kBarsLeft) - kBarsRight),
            std::max(20.0, height - 8 - theme.scaled(kBelowBars))};
}

QRectF HistogramChart::mapRect() const {
    if (m_map.isNull()) return {};
    const Theme& theme = Theme::current();
    const QRectF bars = barsRect();
    const double top = bars.bottom() + theme.scaled(kBelowBars) + theme.scaled(kMapTitle);
    return {bars.left(), top, bars.width(), std::max(20.0, height() - top - theme.scaled(kBelowBars))};
}

int HistogramChart::barAt(const QPointF& position) const {
    const QRectF area = barsRect();
    if (m_data.counts.empty() || !area.contains(position)) return -1;
    const double low = m_data.edges.front();
    const double high = m_data.edges.back();
    const double value = low + (position.x() - area.left()) / area.width() * (high - low);
    const auto edge = std::upper_bound(m_data.edges.begin(), m_data.edges.end(), value);
    const auto bar = static_cast<int>(edge - m_data.edges.begin()) - 1;
    return std::clamp(bar, 0, static_cast<int>(m_data.counts.size()) - 1);
}

int HistogramChart::columnAt(const QPointF& position) const {
    const QRectF area = mapRect();
    if (m_map.isNull() || !area.contains(position)) return -1;
    const double share = (position.x() - area.left()) / area.width();
    return std::clamp(static_cast<int>(share * static_cast<double>(m_steps.size())), 0,
                      static_cast<int>(m_steps.size()) - 1);
}

QString HistogramChart::barText(const QPointF& position) const {
    const int bar = barAt(position);
    if (bar < 0) return {};
    const auto at = static_cast<std::size_t>(bar);
    return tr("%1 values from %2 to %3")
        .arg(formatTally(m_data.counts[at]), formatNumber(m_data.edges[at]), formatNumber(m_data.edges[at + 1]));
}

void HistogramChart::paintBars(QPainter& painter) const {
    const Theme& theme = Theme::current();
    const QRectF area = barsRect();
    const double most = std::max(*std::max_element(m_data.counts.begin(), m_data.counts.end()), 1e-300);
    const auto [ignored, top] = niceRange(0, most, 4);
    const QFont font = theme.font(TextStyle::Secondary);
    const QFontMetrics metrics(font);
    painter.setFont(font);
    for (const Tick& tick : linearTicks(0, top, 4, TickFormat::Count)) {
        const double y = area.bottom() - tick.at / top * area.height();
        painter.setPen(QPen(theme.color(Role::Border), 1));
        painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y));
        painter.setPen(theme.color(Role::Muted));
        painter.drawText(QRectF(0, y - metrics.height() / 2.0, area.left() - 8, metrics.height()),
                         Qt::AlignRight | Qt::AlignVCenter, tick.label);
    }
    const double low = m_data.edges.front();
    const double span = std::max(m_data.edges.back() - low, 1e-300);
    const auto xOf = [&](double value) { return area.left() + (value - low) / span * area.width(); };
    for (std::size_t i = 0; i < m_data.counts.size(); ++i) {
        const double left = xOf(m_data.edges[i]);
        const double right =
            std::max(left + 1,
                     xOf(m_data.edges[i + 1]) - (area.width() / static_cast<double>(m_data.counts.size()) > 4 ? 1 : 0));
        const double height = m_data.counts[i] / top * area.height();
        painter.fillRect(QRectF(left, area.bottom() - height, right - left, height),
                         theme.color(static_cast<int>(i) == m_hover ? Role::Text : Role::Accent));
    }
    painter.setPen(QPen(theme.color(Role::BorderStrong), 1));
    painter.drawLine(area.bottomLeft(), area.bottomRight());
    painter.setPen(theme.color(Role::Muted));
    const int marks = std::max(2, static_cast<int>(area.width() / theme.scaled(90)));
    for (const Tick& tick : linearTicks(low, low + span, marks, TickFormat::Number)) {
        const double half = metrics.horizontalAdvance(tick.label) / 2.0;
        const double x = std::clamp(xOf(tick.at), half, width() - half - 1);
        painter.drawText(QRectF(x - half - 2, area.bottom() + 4, 2 * half + 4, metrics.height()), Qt::AlignCenter,
                         tick.label);
    }
}

void HistogramChart::paintMap(QPainter& painter) const {
    const Theme& theme = Theme::current();
    const QRectF area = mapRect();
    const QFont font = theme.font(TextStyle::Secondary);
    const QFontMetrics metrics(font);
    painter.setFont(font);
    painter.setPen(theme.color(Role::Muted));
    painter.drawText(QRectF(area.left(), area.top() - theme.scaled(kMapTitle), area.width(), theme.scaled(kMapTitle)),
                     Qt::AlignLeft | Qt::AlignVCenter, tr("Over all steps"));
    painter.fillRect(area, theme.color(Role::Sunken));
    QImage tinted(m_map.size(), QImage::Format_ARGB32_Premultiplied);
    tinted.fill(theme.color(Role::Accent));
    tinted.setAlphaChannel(m_map);
    painter.setRenderHint(QPainter::SmoothPixmapTransform, true);
    painter.drawImage(area, tinted);
    for (const Tick& tick : linearTicks(m_low, m_high, 3, TickFormat::Number)) {
        const double y = area.bottom() - (tick.at - m_low) / (m_high - m_low) * area.height();
        painter.drawText(QRectF(0, y - metrics.height() / 2.0, area.left() - 8, metrics.height()),
                         Qt::AlignRight | Qt::AlignVCenter, tick.label);
    }
    const QString first = tr("step %1").arg(formatExact(m_steps.front().step));
    const QString last = tr("step %1").arg(formatExact(m_steps.back().step));
    const QRectF below(area.left(), area.bottom() + 4, area.width(), metrics.height());
    painter.drawText(below, Qt::AlignLeft | Qt::AlignVCenter, first);
    painter.drawText(below, Qt::AlignRight | Qt::AlignVCenter, last);
    // The step that the bars show, or the one taken that is nearest to it.
    std::size_t shown = 0;
    for (std::size_t i = 0; i < m_steps.size(); ++i) {
        if (std::abs(m_steps[i].step - m_data.step) < std::abs(m_steps[shown].step - m_data.step)) shown = i;
    }
    const double width = area.width() / static_cast<double>(m_steps.size());
    painter.setPen(QPen(theme.color(Role::Text), 1));
    painter.setBrush(Qt::NoBrush);
    painter.drawRect(
        QRectF(area.left() + static_cast<double>(shown) * width, area.top(), std::max(width, 2.0), area.height())
            .adjusted(0, 0, -1, -1));
}

void HistogramChart::paintEvent(QPaintEvent*) {
    if (m_data.counts.empty()) return;
    QPainter painter(this);
    paintBars(painter);
    if (!m_map.isNull()) paintMap(painter);
}

void HistogramChart::mousePressEvent(QMouseEvent* event) {
    const int column = columnAt(event->position());
    if (event->button() == Qt::LeftButton && column >= 0)
        Q_EMIT stepChosen(m_steps[static_cast<std::size_t>(column)].step);
}

void HistogramChart::mouseMoveEvent(QMouseEvent* event) {
    const int hover = barAt(event->position());
    if (hover == m_hover) return;
    m_hover = hover;
    update();
}

void HistogramChart::leaveEvent(QEvent*) {
    m_hover = -1;
    update();
}

bool HistogramChart::event(QEvent* event) {
    if (event->type() == QEvent::ToolTip) {
        const auto* help = static_cast<QHelpEvent*>(event);
        QString text = barText(help->pos());
        if (const int column = columnAt(help->pos()); column >= 0)
            text = tr("Step %1; a click shows it").arg(formatExact(m_steps[static_cast<std::size_t>(column)].step));
        if (text.isEmpty())
            QToolTip::hideText();
        else
            QToolTip::showText(help->globalPos(), text, this);
        return true;
    }
    return QWidget::event(event);
}

}  // namespace trainyard::ui
