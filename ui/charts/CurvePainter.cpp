#include "ui/charts/CurvePainter.h"

#include <QLineF>
#include <QList>
#include <QPolygonF>

#include <cmath>

namespace trainyard::ui {
namespace {

/// Lengths of dashes and gaps in pixels; empty for a solid line.
const std::vector<double>& pattern(LineKind kind) {
    static const std::vector<double> kSolid, kDash = {7, 4}, kDot = {2, 3.5}, kDashDot = {8, 3.5, 2, 3.5};
    switch (kind) {
    case LineKind::Solid: return kSolid;
    case LineKind::Dash: return kDash;
    case LineKind::Dot: return kDot;
    case LineKind::DashDot: return kDashDot;
    }
    return kSolid;
}

/// Cuts a polyline into dashes by itself: Qt's dashing goes through the path stroker, which is the slow way.
void appendDashes(const QPolygonF& points, const std::vector<double>& lengths, QList<QLineF>& out) {
    std::size_t index = 0;
    double left = lengths[0];
    for (qsizetype i = 1; i < points.size(); ++i) {
        QPointF from = points[i - 1];
        double rest = QLineF(from, points[i]).length();
        if (rest <= 0) continue;
        const QPointF unit = (points[i] - from) / rest;
        while (rest > 0) {
            const double step = std::min(rest, left);
            const QPointF to = from + unit * step;
            if (index % 2 == 0) out.append(QLineF(from, to));
            from = to;
            rest -= step;
            left -= step;
            if (left <= 1e-9) {
                index = (index + 1) % lengths.size();
                left = lengths[index];
            }
        }
    }
}

void drawLine(QPainter& painter, const QPolygonF& points, const Curve& curve, bool dense) {
    if (points.size() == 1 && !curve.markers) {
        drawMarker(painter, points[0], curve.shape, curve.color, 5);
        return;
    }
    if (points.size() < 2) return;
    const auto& lengths = pattern(curve.kind);
    if (!dense) {
        QPen pen(curve.color, 1.7, Qt::SolidLine, Qt::RoundCap, Qt::RoundJoin);
        painter.setPen(pen);
        if (lengths.empty()) {
            painter.drawPolyline(points);
        } else {
            QList<QLineF> lines;
            appendDashes(points, lengths, lines);
            painter.drawLines(lines);
        }
        return;
    }
    // Two hairlines half a pixel apart read as one line of 1.5 pixels, at a thirtieth of the cost of such a pen.
    const double ratio = painter.device()->devicePixelRatioF();
    painter.setPen(QPen(curve.color, 0));
    QList<QLineF> lines;
    if (!lengths.empty()) appendDashes(points, lengths, lines);
    for (const double shift : {-0.25, 0.25}) {
        painter.translate(0, shift * 2 / ratio);
        if (lengths.empty()) {
            painter.drawPolyline(points);
        } else {
            painter.drawLines(lines);
        }
        painter.translate(0, -shift * 2 / ratio);
    }
}

}  // namespace

double PlotWindow::py(const QRectF& area, double y) const {
    double low = yLow, high = yHigh;
    if (log) {
        if (!(y > 0)) return std::numeric_limits<double>::quiet_NaN();
        y = std::log10(y);
        low = std::log10(low);
        high = std::log10(high);
    }
    const double at = area.bottom() - area.height() * (y - low) / (high - low);
    // Far outside the plot the exact place does not matter, and the rasteriser's integers must not overflow.
    return std::clamp(at, area.top() - 4 * area.height() - 100, area.bottom() + 4 * area.height() + 100);
}

void drawMarker(QPainter& painter, const QPointF& at, int shape, const QColor& color, double size) {
    const double r = size / 2;
    painter.setPen(Qt::NoPen);
    painter.setBrush(color);
    switch (((shape % 5) + 5) % 5) {
    case 0: painter.drawEllipse(at, r, r); break;
    case 1: painter.drawRect(QRectF(at.x() - r * 0.9, at.y() - r * 0.9, r * 1.8, r * 1.8)); break;
    case 2: {
        const QPointF points[] = {{at.x(), at.y() - r * 1.25},
                                  {at.x() + r * 1.25, at.y()},
                                  {at.x(), at.y() + r * 1.25},
                                  {at.x() - r * 1.25, at.y()}};
        painter.drawPolygon(points, 4);
        break;
    }
    case 3: {
        const QPointF points[] = {
            {at.x(), at.y() - r * 1.2}, {at.x() + r * 1.1, at.y() + r * 0.9}, {at.x() - r * 1.1, at.y() + r * 0.9}};
        painter.drawPolygon(points, 3);
        break;
    }
    default: {
        const QPointF points[] = {
            {at.x(), at.y() + r * 1.2}, {at.x() + r * 1.1, at.y() - r * 0.9}, {at.x() - r * 1.1, at.y() - r * 0.9}};
        painter.drawPolygon(points, 3);
    }
    }
    painter.setBrush(Qt::NoBrush);
}

void drawSample(QPainter& painter, const QRectF& rect, const QColor& color, LineKind kind, bool marker, int shape) {
    painter.save();
    painter.setRenderHint(QPainter::Antialiasing);
    const double y = rect.center().y();
    QPolygonF points;
    points << QPointF(rect.left(), y) << QPointF(rect.right(), y);
    painter.setPen(QPen(color, 2, Qt::SolidLine, Qt::FlatCap));
    const auto& lengths = pattern(kind);
    if (lengths.empty()) {
        painter.drawPolyline(points);
    } else {
        QList<QLineF> lines;
        appendDashes(points, lengths, lines);
        painter.drawLines(lines);
    }
    if (marker) drawMarker(painter, rect.center(), shape, color, 6.5);
    painter.restore();
}

void drawCurves(QPainter& painter, const QRectF& area, const PlotWindow& window, const std::vector<Curve>& curves,
                bool dense) {
    painter.save();
    painter.setClipRect(area.adjusted(-1, -1, 1, 1));
    painter.setBrush(Qt::NoBrush);
    for (const Curve& curve : curves) {
        if (!curve.band || curve.slice.raw) continue;
        QColor band = curve.color;
        band.setAlphaF(0.28F);
        painter.setRenderHint(QPainter::Antialiasing, false);
        painter.setPen(QPen(band, 0));
        QList<QLineF> lines;
        lines.reserve(static_cast<qsizetype>(curve.slice.size()));
        for (std::size_t i = 0; i < curve.slice.size(); ++i) {
            const double top = window.py(area, curve.slice.max[i]);
            double bottom = window.py(area, curve.slice.min[i]);
            if (!std::isfinite(bottom)) bottom = area.bottom();
            if (!std::isfinite(top) || std::abs(bottom - top) < 0.5) continue;
            const double x = window.px(area, curve.slice.x[i]);
            lines.append(QLineF(x, top, x, bottom));
        }
        painter.drawLines(lines);
    }
    painter.setRenderHint(QPainter::Antialiasing);
    for (const Curve& curve : curves) {
        QPolygonF points;
        points.reserve(static_cast<qsizetype>(curve.slice.size()));
        const bool markers = curve.markers && curve.slice.size() <= 120;
        const auto flush = [&] {
            painter.setClipRect(area.adjusted(-1, -1, 1, 1));
            drawLine(painter, points, curve, dense && curve.slice.size() > 300);
            if (markers) {
                // A marker on the edge is whole; one beyond it does not show.
                painter.setClipRect(area.adjusted(-5, -5, 5, 5));
                for (const QPointF& point : points) {
                    if (area.adjusted(-0.5, -0.5, 0.5, 0.5).contains(point))
                        drawMarker(painter, point, curve.shape, curve.color, 6.5);
                }
            }
            points.clear();
        };
        for (std::size_t i = 0; i < curve.slice.size(); ++i) {
            const double y = window.py(area, curve.line[i]);
            if (std::isfinite(y)) {
                points.append(QPointF(window.px(area, curve.slice.x[i]), y));
            } else {
                flush();
            }
        }
        flush();
    }
    painter.restore();
}

}  // namespace trainyard::ui
