#include "ui/charts/ChartAxes.h"

#include <QCategoryAxis>
#include <QChart>
#include <QFontMetricsF>
#include <QGraphicsLayout>
#include <QGraphicsScene>
#include <QLegend>
#include <QLineSeries>
#include <QPainter>

#include <cmath>

#include "ui/shell/Theme.h"

namespace trainyard::ui {
namespace {

constexpr double kLabelGap = 8;

QFont labelFont() { return Theme::current().font(TextStyle::MonoSmall); }

void clear(QCategoryAxis* axis) {
    for (const QString& label : axis->categoriesLabels()) axis->remove(label);
}

}  // namespace

ChartAxes::ChartAxes() : m_scene(std::make_unique<QGraphicsScene>()) {
    m_chart = new QChart;
    m_scene->addItem(m_chart);
    m_chart->legend()->hide();
    m_chart->setBackgroundVisible(false);
    m_chart->setPlotAreaBackgroundVisible(false);
    m_chart->setAnimationOptions(QChart::NoAnimation);
    m_chart->setMargins(QMargins());
    m_chart->layout()->setContentsMargins(0, 0, 0, 0);
    m_x = new QCategoryAxis(m_chart);
    m_y = new QCategoryAxis(m_chart);
    for (QCategoryAxis* axis : {m_x, m_y}) {
        axis->setLabelsPosition(QCategoryAxis::AxisLabelsPositionOnValue);
        axis->setTruncateLabels(false);
    }
    m_chart->addAxis(m_x, Qt::AlignBottom);
    m_chart->addAxis(m_y, Qt::AlignLeft);
    // Axes without a series have no domain; this one is empty, the curves are drawn in a layer above.
    auto* series = new QLineSeries(m_chart);
    m_chart->addSeries(series);
    series->attachAxis(m_x);
    series->attachAxis(m_y);
    m_x->setGridLineVisible(false);
    restyle();
}

ChartAxes::~ChartAxes() = default;

void ChartAxes::restyle() {
    const Theme& theme = Theme::current();
    for (QCategoryAxis* axis : {m_x, m_y}) {
        axis->setLabelsFont(labelFont());
        axis->setLabelsColor(theme.color(Role::Muted));
        axis->setGridLinePen(QPen(theme.color(Role::Border), 1));
        axis->setLinePen(QPen(theme.color(Role::Border), 1));
        axis->setTitleFont(theme.font(TextStyle::MonoSmall));
        axis->setTitleBrush(theme.color(Role::Muted));
        axis->setShadesVisible(false);
    }
    m_x->setLinePen(QPen(Theme::blend(theme.color(Role::Border), theme.color(Role::BorderStrong), 0.5), 1));
    m_y->setLineVisible(false);
    m_stale = true;
}

bool ChartAxes::layOut(const QSizeF& size, const PlotWindow& window, TickFormat xFormat, TickFormat yFormat,
                       const QString& xTitle, bool compact) {
    if (m_laidOut && size == m_size && window == m_window && xFormat == m_xFormat && yFormat == m_yFormat &&
        xTitle == m_xTitle && compact == m_compact) {
        return false;
    }
    m_laidOut = true;
    m_size = size;
    m_window = window;
    m_xFormat = xFormat;
    m_yFormat = yFormat;
    m_xTitle = xTitle;
    m_compact = compact;
    const QRectF before = m_plot;
    fill();
    m_stale = true;
    return m_plot != before;
}

void ChartAxes::fill() {
    const QFontMetricsF metrics(labelFont());
    const double lineHeight = std::ceil(metrics.height());
    const double bottom = lineHeight + kLabelGap + (m_xTitle.isEmpty() ? 0 : lineHeight + 2);
    const double top = std::ceil(lineHeight / 2);
    const int yMost = yMarks(m_size.height() - top - bottom, m_compact);
    const auto yTicks = m_window.log ? logTicks(m_window.yLow, m_window.yHigh, yMost, m_yFormat)
                                     : linearTicks(m_window.yLow, m_window.yHigh, yMost, m_yFormat);
    double widest = metrics.horizontalAdvance(QStringLiteral("0.000"));
    for (const Tick& tick : yTicks) widest = std::max(widest, metrics.horizontalAdvance(tick.label));
    // In steps of 8, so that a label one figure longer does not move the plot each time.
    const double left = std::ceil((widest + kLabelGap + 2) / 8) * 8;
    m_plot =
        QRectF(left, top, std::max(20.0, m_size.width() - left - 14), std::max(20.0, m_size.height() - top - bottom));

    const int xMost = std::max(1, static_cast<int>(m_plot.width() / (m_compact ? 70 : 84)));
    const auto xTicks = linearTicks(m_window.xLow, m_window.xHigh, xMost, m_xFormat);
    m_chart->resize(m_size);
    clear(m_x);
    clear(m_y);
    m_x->setStartValue(m_window.xLow);
    for (const Tick& tick : xTicks) m_x->append(tick.label, tick.at);
    m_x->setRange(m_window.xLow, m_window.xHigh);
    const auto yAt = [this](double value) { return m_window.log ? std::log10(value) : value; };
    m_y->setStartValue(yAt(m_window.yLow));
    for (const Tick& tick : yTicks) m_y->append(tick.label, yAt(tick.at));
    m_y->setRange(yAt(m_window.yLow), yAt(m_window.yHigh));
    m_x->setTitleText(m_xTitle);
    m_x->setTitleVisible(!m_xTitle.isEmpty());
    m_chart->setPlotArea(m_plot);
    m_chart->layout()->activate();
}

const QPixmap& ChartAxes::picture(qreal ratio) {
    const QSize pixels = (m_size * ratio).toSize();
    if (m_stale || m_picture.size() != pixels) {
        m_picture = QPixmap(pixels);
        m_picture.setDevicePixelRatio(ratio);
        m_picture.fill(Theme::current().color(Role::Surface));
        QPainter painter(&m_picture);
        painter.setRenderHint(QPainter::Antialiasing);
        draw(painter, QRectF(QPointF(0, 0), m_size));
        m_stale = false;
    }
    return m_picture;
}

void ChartAxes::draw(QPainter& painter, const QRectF& target) {
    m_scene->setSceneRect(QRectF(QPointF(0, 0), m_size));
    m_scene->render(&painter, target, QRectF(QPointF(0, 0), m_size), Qt::IgnoreAspectRatio);
}

}  // namespace trainyard::ui
