#pragma once
// The inside of ChartView, shared by its source files and nobody else.
#include <QPointer>
#include <QScrollArea>
#include <QTimer>

#include <map>

#include "ui/charts/ChartAxes.h"
#include "ui/charts/ChartLayer.h"
#include "ui/charts/ChartLegend.h"
#include "ui/charts/ChartView.h"
#include "ui/widgets/Basics.h"

namespace trainyard::ui {

struct ChartView::Private {
    explicit Private(ChartView* view) : q(view) {}

    struct Series {
        QString key;
        SeriesLook look;
        std::shared_ptr<CurveStore> store = std::make_shared<CurveStore>();
        std::optional<std::pair<double, double>> extent;
        bool visible = true;
        LegendEntry* entry = nullptr;
    };

    [[nodiscard]] Series* find(const QString& key);
    Series& findOrAdd(const QString& key);
    /// A change to be drawn: at once when idle, else with the next frame.
    void changed();
    void startFrame();
    void takeLayer(LayerResult result);
    /// The x range of all curves, with room to grow while points arrive.
    [[nodiscard]] std::pair<double, double> fullRange(bool keepHeadroom);
    [[nodiscard]] std::pair<double, double> shownRange();
    [[nodiscard]] LayerRequest request(const QSizeF& size, qreal ratio, std::pair<double, double> range) const;
    [[nodiscard]] QString xText(double x) const;
    [[nodiscard]] QString yText(double y) const;
    [[nodiscard]] QString xTitle() const;
    void zoom(double factor, double around);
    void setZoom(std::optional<std::pair<double, double>> range);
    void moveCrosshair(std::optional<double> x, bool tell);
    void paintCanvas(QPainter& painter);
    void paintCrosshair(QPainter& painter, const QRectF& plot);
    [[nodiscard]] double xAt(double px) const;
    [[nodiscard]] QRectF plotOnView() const;
    void updateHeader();
    void buildMenu();

    ChartView* q;
    TextLabel* title = nullptr;
    TextLabel* unitLabel = nullptr;
    IconButton* resetButton = nullptr;
    IconButton* moreButton = nullptr;
    QWidget* canvas = nullptr;
    QWidget* legend = nullptr;
    QScrollArea* legendArea = nullptr;  ///< Many curves must not push the plot away.
    void sizeLegend();
    QString unit;
    QString waiting;
    bool percent = false;
    bool compact = false;
    bool log = false;
    double smoothing = 0;
    XAxis xAxis = XAxis::Step;
    std::vector<std::unique_ptr<Series>> series;
    QStringList hiddenKeys;  ///< From a saved state, for curves that come later.
    std::optional<std::pair<double, double>> zoomed;
    std::optional<double> headroomEnd;
    std::optional<std::pair<double, double>> lastRange;
    QSizeF lastSize;

    ChartAxes axes;
    LayerResult layer;
    bool haveLayer = false;
    bool inFlight = false;
    bool dirty = false;
    int generation = 0;
    QTimer frame;
    QTimer settle;  ///< Takes the headroom away once no more points arrive.
    std::int64_t pendingNanos = 0;
    std::int64_t frameNanos = 0;

    std::optional<double> crosshair;
    std::optional<QPointF> dragStart;
    QPointF dragNow;
    bool panning = false;
    std::pair<double, double> panFrom;
};

}  // namespace trainyard::ui
