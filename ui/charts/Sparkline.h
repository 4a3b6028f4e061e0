#pragma once
#include <QList>
#include <QWidget>

class QPainter;

namespace trainyard::ui {

/// A curve without axes, for cards and table cells.
class Sparkline : public QWidget {
    Q_OBJECT
public:
    explicit Sparkline(QWidget* parent = nullptr);
    void setValues(const QList<double>& values, int runColor);
    [[nodiscard]] QSize sizeHint() const override { return {120, 32}; }
    [[nodiscard]] QSize minimumSizeHint() const override { return {40, 20}; }
    static void draw(QPainter& painter, const QRectF& rect, const QList<double>& values, int runColor);

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    QList<double> m_values;
    int m_runColor = 0;
};

}  // namespace trainyard::ui
