#pragma once
#include <QPixmap>
#include <QRectF>

#include <memory>

#include "ui/charts/CurvePainter.h"
#include "ui/charts/Ticks.h"

class QGraphicsScene;

QT_BEGIN_NAMESPACE
class QCategoryAxis;
class QChart;
QT_END_NAMESPACE

namespace trainyard::ui {

/// Axes, grid and labels by Qt Charts, drawn once into a picture and again only when something of them changed.
/// GUI thread.
class ChartAxes {
public:
    ChartAxes();
    ~ChartAxes();

    /// Whole size and what is to be seen; the plot area follows from the labels' widths. True when the plot area moved.
    bool layOut(const QSizeF& size, const PlotWindow& window, TickFormat xFormat, TickFormat yFormat,
                const QString& xTitle, bool compact);
    [[nodiscard]] QRectF plotArea() const { return m_plot; }
    /// The axes as an opaque picture on the surface's colour.
    [[nodiscard]] const QPixmap& picture(qreal devicePixelRatio);
    /// Draws the axes as vectors, for export.
    void draw(QPainter& painter, const QRectF& target);
    /// Takes the theme's colours and fonts anew.
    void restyle();

private:
    void fill();
    std::unique_ptr<QGraphicsScene> m_scene;
    QChart* m_chart = nullptr;  ///< Owned by the scene.
    QCategoryAxis* m_x = nullptr;
    QCategoryAxis* m_y = nullptr;
    QSizeF m_size;
    QRectF m_plot;
    PlotWindow m_window;
    TickFormat m_xFormat = TickFormat::Count;
    TickFormat m_yFormat = TickFormat::Number;
    QString m_xTitle;
    bool m_compact = false;
    bool m_laidOut = false;
    QPixmap m_picture;
    bool m_stale = true;
};

}  // namespace trainyard::ui
