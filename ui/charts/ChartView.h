#pragma once
#include <QColor>
#include <QImage>
#include <QString>
#include <QWidget>

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/base/Json.h"
#include "ui/charts/SeriesData.h"

class QPainter;

namespace trainyard::ui {

enum class XAxis { Step, RelativeTime };
enum class LineKind { Solid, Dash, Dot, DashDot };

/// How one curve is told apart: colour of its run, line style and marker of its kind (training, validation).
struct SeriesLook {
    QString label;  ///< In the legend and tooltip.
    int runColor = 0;
    LineKind line = LineKind::Solid;
    bool markers = false;  ///< For few points (validation once an epoch).
};

class ChartView;

/// What a window that holds charts does for them: asks where a picture shall go, and has the chart write it.
class ChartHost {
public:
    virtual ~ChartHost() = default;
    virtual void exportChart(ChartView& chart) = 0;
};

/// One chart of one metric for one or several runs. Axes, grid, title and theme are Qt Charts'; the curves are drawn
/// in a layer of our own inside the plot area, by a worker, from points reduced to pixels. GUI thread; the points are
/// copied in.
///
/// Keyboard: arrows move the crosshair, + and - zoom, 0 resets, L logarithmic, E export.
class ChartView : public QWidget {
    Q_OBJECT
public:
    explicit ChartView(const QString& title, QWidget* parent = nullptr);
    ~ChartView() override;

    void setTitle(const QString& title);
    [[nodiscard]] QString title() const;
    /// "accuracy", "loss", "images/s": at the y axis and in the tooltip. Percent shows fractions as percent.
    void setUnit(const QString& unit, bool percent = false);
    void setXAxis(XAxis axis);
    void setCompact(bool compact);  ///< No legend, few ticks: for grids and Home.

    /// Adds a curve or changes its look. `key` is the caller's ("<run id>/val/loss").
    void setSeries(const QString& key, const SeriesLook& look);
    void removeSeries(const QString& key);
    void clearSeries();
    [[nodiscard]] QStringList seriesKeys() const;

    /// All points of a curve, replacing what was there. x ascending (steps, or seconds since start); equal sizes.
    void setPoints(const QString& key, std::span<const double> x, std::span<const double> y);
    /// Points that arrived, each x above the last one so far; 70 ns a point, drawn with the next frame.
    void appendPoints(const QString& key, std::span<const double> x, std::span<const double> y);
    /// For a curve whose points stay in the store: what was asked for by rangeWanted().
    void setSlice(const QString& key, Slice slice);

    /// Shown in the plot area while no curve has a point.
    void setWaiting(const QString& text);

    void setSeriesVisible(const QString& key, bool visible);
    void setLogScale(bool on);
    [[nodiscard]] bool logScale() const;
    /// Exponential smoothing of the mean line, 0 (none) … 0.99; the raw band stays visible behind it.
    void setSmoothing(double factor);
    [[nodiscard]] double smoothing() const;
    /// Visible x range; nothing: all.
    void setRange(std::optional<std::pair<double, double>> range);
    [[nodiscard]] std::optional<std::pair<double, double>> range() const;
    /// Shows the crosshair at x, without emitting hovered(); nothing hides it. For charts that move together.
    void setCrosshair(std::optional<double> x);

    /// Legend toggles, log scale, smoothing, range; for a page's saveState().
    [[nodiscard]] base::Json saveState() const;
    void restoreState(const base::Json& state);

    /// Draws the chart, axes and legend included, at any size, at once, in the theme's colours. For PNG, SVG, PDF.
    void renderTo(QPainter& painter, const QRectF& target);
    /// Saves by the name's suffix (png, svg, pdf); false when it could not be written.
    bool exportImage(const QString& path, QSize size = {1200, 750});
    /// Series, x and y of the visible range as CSV text.
    [[nodiscard]] QString toCsv() const;

    [[nodiscard]] QSize sizeHint() const override;
    [[nodiscard]] QSize minimumSizeHint() const override;

    /// Main-thread time of the last frame in nanoseconds: taking in points, asking for and blitting the layer.
    [[nodiscard]] std::int64_t lastFrameNanos() const;
    /// True while the worker draws or a frame is due. Tests wait for it to become false.
    [[nodiscard]] bool isBusy() const;

Q_SIGNALS:
    /// The visible range or width changed: a caller that feeds slices fetches [from, to] reduced to `buckets`.
    void rangeWanted(double from, double to, int buckets);
    void hovered(std::optional<double> x);
    void rangeChanged();
    void stateChanged();

protected:
    void paintEvent(QPaintEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void mouseDoubleClickEvent(QMouseEvent* event) override;
    void wheelEvent(QWheelEvent* event) override;
    void leaveEvent(QEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void focusInEvent(QFocusEvent* event) override;
    void focusOutEvent(QFocusEvent* event) override;
    void changeEvent(QEvent* event) override;
    void showEvent(QShowEvent* event) override;
    void contextMenuEvent(QContextMenuEvent* event) override;
    bool event(QEvent* event) override;

private:
    struct Private;
    std::unique_ptr<Private> d;
};

}  // namespace trainyard::ui
