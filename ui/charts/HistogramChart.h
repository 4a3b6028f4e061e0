#pragma once
#include <QImage>
#include <QWidget>
#include <cstdint>
#include <vector>

namespace trainyard::ui {

/// Counts of values between edges; `edges` has one more than `counts`, rising.
struct HistogramData {
    std::int64_t step = 0;
    std::vector<double> edges;
    std::vector<double> counts;
};

/// One histogram as bars, and below it all steps of it as a map: steps from left to right, values upwards, dense where
/// many values lie. A click on the map chooses a step.
class HistogramChart : public QWidget {
    Q_OBJECT

public:
    explicit HistogramChart(QWidget* parent);
    void setData(const HistogramData& histogram);
    /// Of all steps, or of some evenly taken; fewer than two draw no map.
    void setSteps(std::vector<HistogramData> steps);
    [[nodiscard]] std::size_t steps() const { return m_steps.size(); }
    [[nodiscard]] QSize sizeHint() const override { return {560, 420}; }
    [[nodiscard]] QSize minimumSizeHint() const override { return {220, 200}; }
    /// What the bar under a point says; empty beside the bars.
    [[nodiscard]] QString barText(const QPointF& position) const;
    [[nodiscard]] QRectF mapRect() const;

Q_SIGNALS:
    void stepChosen(qint64 step);

protected:
    void paintEvent(QPaintEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void leaveEvent(QEvent* event) override;
    bool event(QEvent* event) override;

private:
    [[nodiscard]] QRectF barsRect() const;
    [[nodiscard]] int barAt(const QPointF& position) const;
    [[nodiscard]] int columnAt(const QPointF& position) const;
    void makeMap();
    void paintBars(QPainter& painter) const;
    void paintMap(QPainter& painter) const;

    HistogramData m_data;
    std::vector<HistogramData> m_steps;
    QImage m_map;  ///< Alpha by density, a column a step.
    double m_low = 0;
    double m_high = 1;
    int m_hover = -1;
};

}  // namespace trainyard::ui
