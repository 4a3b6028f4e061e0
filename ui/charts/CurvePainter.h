#pragma once
// Turns reduced curves into pixels: used by the worker for the live layer and directly for exported pictures.
#include <QColor>
#include <QPainter>
#include <QRectF>

#include <vector>

#include "ui/charts/ChartView.h"
#include "ui/charts/SeriesData.h"

namespace trainyard::ui {

/// What of the plane is shown. Values of y are mapped through log10 when `log`.
struct PlotWindow {
    double xLow = 0;
    double xHigh = 1;
    double yLow = 0;
    double yHigh = 1;
    bool log = false;

    [[nodiscard]] double px(const QRectF& area, double x) const {
        return area.left() + area.width() * (x - xLow) / (xHigh - xLow);
    }
    /// NaN for what a logarithmic axis cannot show.
    [[nodiscard]] double py(const QRectF& area, double y) const;
    bool operator==(const PlotWindow&) const = default;
};

struct Curve {
    Slice slice;
    std::vector<double> line;  ///< What the line follows: the means, smoothed or not.
    QColor color;
    LineKind kind = LineKind::Solid;
    bool markers = false;
    int shape = 0;     ///< Marker shape, fixed to the run as its colour is.
    bool band = true;  ///< Shades min to max.
};

/// Draws into `area`. `dense` uses hairlines only (1-pixel pens), whose cost does not explode with the number of
/// points.
void drawCurves(QPainter& painter, const QRectF& area, const PlotWindow& window, const std::vector<Curve>& curves,
                bool dense);
/// Circle, square, diamond, triangle, cross; used by plots and legends.
void drawMarker(QPainter& painter, const QPointF& at, int shape, const QColor& color, double size);
/// A short piece of line with its marker, for legends and tooltips.
void drawSample(QPainter& painter, const QRectF& rect, const QColor& color, LineKind kind, bool marker, int shape);

}  // namespace trainyard::ui
