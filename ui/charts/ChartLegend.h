#pragma once
#include <QAbstractButton>
#include <QWidget>

#include "ui/charts/ChartView.h"

namespace trainyard::ui {

/// One entry: a sample of the line and its name; pressed, it hides and shows the curve.
class LegendEntry final : public QAbstractButton {
    Q_OBJECT
public:
    explicit LegendEntry(QWidget* parent);
    void setLook(const SeriesLook& look);
    [[nodiscard]] QSize sizeHint() const override;
    /// Draws an entry for export; returns its width.
    static double draw(QPainter& painter, const QPointF& topLeft, const SeriesLook& look, bool shown);
    static constexpr int kHeight = 22;

protected:
    void paintEvent(QPaintEvent* event) override;
    void enterEvent(QEnterEvent* event) override;
    void leaveEvent(QEvent* event) override;

private:
    SeriesLook m_look;
};

}  // namespace trainyard::ui
