#pragma once
// The layer of curves: what to draw, as a value that crosses to a worker, and what comes back.
#include <QImage>
#include <QSizeF>
#include <QString>

#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "ui/charts/CurvePainter.h"
#include "ui/charts/LevelOfDetail.h"

namespace trainyard::ui {

/// A curve's points, shared between the GUI thread, which appends, and the worker, which reads. Hold the mutex.
struct CurveStore {
    std::mutex mutex;
    LevelOfDetail points;
    Slice slice;  ///< Given from outside instead of points.
    bool sliced = false;
};

struct LayerCurve {
    QString key;
    std::shared_ptr<CurveStore> store;
    QColor color;
    LineKind kind = LineKind::Solid;
    bool markers = false;
    int shape = 0;
};

struct LayerRequest {
    std::vector<LayerCurve> curves;  ///< Visible ones only.
    QSizeF size;                     ///< Of the plot area, logical pixels; empty: reduce, but draw nothing.
    int width = 640;                 ///< Buckets wanted when nothing is drawn.
    qreal ratio = 1;
    double xLow = 0, xHigh = 1;
    bool log = false;
    bool percent = false;
    int yMost = 5;  ///< Marks the y axis has room for.
    double smoothing = 0;
    std::optional<std::pair<double, double>> keepY;  ///< The present y range, kept while the curves fill it well.
};

/// The picture reaches so far beyond the plot area on each side, that a marker on the edge is whole.
inline constexpr int kLayerMargin = 6;

struct LayerResult {
    QImage image;
    PlotWindow window;
    std::vector<std::pair<QString, Curve>> curves;
    bool hasPoints = false;
};

/// Reduces and, unless `size` is empty, draws. Runs anywhere; takes each store's mutex in turn, for well below a
/// millisecond.
[[nodiscard]] LayerResult makeLayer(const LayerRequest& request);

}  // namespace trainyard::ui
