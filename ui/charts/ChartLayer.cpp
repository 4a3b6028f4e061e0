#include "ui/charts/ChartLayer.h"

#include <QPainter>

#include <algorithm>
#include <cmath>

#include "ui/charts/Ticks.h"

namespace trainyard::ui {
namespace {

std::pair<double, double> yRange(const LayerRequest& request, const std::vector<std::pair<QString, Curve>>& curves) {
    std::optional<std::pair<double, double>> all;
    for (const auto& [key, curve] : curves) {
        const auto range = valueRange(curve.slice, request.xLow, request.xHigh, request.log);
        if (!range) continue;
        all = all ? std::pair(std::min(all->first, range->first), std::max(all->second, range->second)) : *range;
    }
    if (!all) return request.log ? std::pair(0.1, 1.0) : std::pair(0.0, 1.0);
    if (request.keepY && (request.log == (request.keepY->first > 0) || !request.log)) {
        // While a curve grows inside its axis the axis stays: no trembling, and no new labels to draw.
        const auto [low, high] = *request.keepY;
        const double used = request.log ? std::log(all->second / all->first) / std::log(high / low)
                                        : (all->second - all->first) / (high - low);
        if (all->first >= low && all->second <= high && used > 0.6) return *request.keepY;
    }
    if (request.log) return niceLogRange(all->first, all->second);
    auto range = niceRange(all->first, all->second, request.yMost);
    if (request.percent && all->second <= 1) range.second = std::min(range.second, 1.0);
    if (all->first >= 0) range.first = std::max(range.first, 0.0);
    return range;
}

}  // namespace

LayerResult makeLayer(const LayerRequest& request) {
    LayerResult result;
    const double wanted = request.size.isEmpty() ? request.width : request.size.width() * request.ratio;
    const auto buckets = static_cast<std::size_t>(std::max(64.0, wanted));
    for (const LayerCurve& given : request.curves) {
        Curve curve;
        {
            const std::scoped_lock lock(given.store->mutex);
            curve.slice = given.store->sliced ? given.store->slice
                                              : given.store->points.slice(request.xLow, request.xHigh, buckets);
        }
        if (curve.slice.size() == 0) continue;
        curve.line = smooth(curve.slice, request.smoothing);
        curve.color = given.color;
        curve.kind = given.kind;
        curve.markers = given.markers;
        curve.shape = given.shape;
        result.hasPoints = true;
        result.curves.emplace_back(given.key, std::move(curve));
    }
    const auto [low, high] = yRange(request, result.curves);
    result.window = PlotWindow{request.xLow, request.xHigh, low, high, request.log};
    if (request.size.isEmpty()) return result;

    const QSize pixels(static_cast<int>(std::ceil((request.size.width() + 2 * kLayerMargin) * request.ratio)),
                       static_cast<int>(std::ceil((request.size.height() + 2 * kLayerMargin) * request.ratio)));
    QImage image(pixels, QImage::Format_ARGB32_Premultiplied);
    image.setDevicePixelRatio(request.ratio);
    image.fill(Qt::transparent);
    QPainter painter(&image);
    std::vector<Curve> curves;
    curves.reserve(result.curves.size());
    for (const auto& [key, curve] : result.curves) {
        curves.push_back(curve);
        if (request.smoothing > 0 && curve.slice.raw) {
            // The raw points stay visible, faint, behind their smoothed line.
            Curve faint = curve;
            faint.line = curve.slice.mean;
            faint.color.setAlphaF(0.3F);
            faint.markers = false;
            curves.insert(curves.begin(), std::move(faint));
        }
    }
    drawCurves(painter, QRectF(QPointF(kLayerMargin, kLayerMargin), request.size), result.window, curves, true);
    painter.end();
    result.image = std::move(image);
    return result;
}

}  // namespace trainyard::ui
