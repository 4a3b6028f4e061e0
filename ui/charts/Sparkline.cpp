#include "ui/charts/Sparkline.h"

#include <QPainter>
#include <QPainterPath>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ui/shell/Theme.h"

namespace trainyard::ui {

Sparkline::Sparkline(QWidget* parent) : QWidget(parent) {
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Preferred);
}

void Sparkline::setValues(const QList<double>& values, int runColor) {
    m_values = values;
    m_runColor = runColor;
    update();
}

void Sparkline::paintEvent(QPaintEvent*) {
    QPainter painter(this);
    draw(painter, QRectF(rect()).adjusted(1, 2, -1, -2), m_values, m_runColor);
}

void Sparkline::draw(QPainter& painter, const QRectF& rect, const QList<double>& values, int runColor) {
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (const double value : values) {
        if (!std::isfinite(value)) continue;
        low = std::min(low, value);
        high = std::max(high, value);
    }
    if (values.size() < 2 || low > high || rect.width() < 4) return;
    const double span = high > low ? high - low : 1;
    const auto at = [&](qsizetype i) {
        return QPointF(rect.left() + rect.width() * double(i) / double(values.size() - 1),
                       rect.bottom() - rect.height() * (high > low ? (values[i] - low) / span : 0.5));
    };
    const QColor color = Theme::current().runColor(runColor);
    QPainterPath line;
    bool open = false;
    for (qsizetype i = 0; i < values.size(); ++i) {
        if (!std::isfinite(values[i])) {
            open = false;
        } else if (open) {
            line.lineTo(at(i));
        } else {
            line.moveTo(at(i));
            open = true;
        }
    }
    painter.save();
    painter.setRenderHint(QPainter::Antialiasing);
    painter.setBrush(Qt::NoBrush);
    painter.setPen(QPen(color, 1.4, Qt::SolidLine, Qt::RoundCap, Qt::RoundJoin));
    painter.drawPath(line);
    if (std::isfinite(values.last())) {
        painter.setPen(Qt::NoPen);
        painter.setBrush(color);
        painter.drawEllipse(at(values.size() - 1), 2.2, 2.2);
    }
    painter.restore();
}

}  // namespace trainyard::ui
