#pragma once
#include <QImage>
#include <QPointF>
#include <QWidget>

namespace trainyard::ui {

/// A picture with zoom (wheel, + and -, 0 fits, 1 is pixel by pixel) and pan (drag, arrow keys). Pixels stay sharp when
/// they are large. Paints from the part in sight alone.
class PictureView : public QWidget {
    Q_OBJECT

public:
    explicit PictureView(QWidget* parent);
    /// A picture of the same size keeps zoom and place, so that steps can be compared.
    void setPicture(const QImage& picture);
    [[nodiscard]] const QImage& picture() const { return m_picture; }
    /// Logical pixels of the screen a pixel of the picture; what fits while the person has not chosen.
    [[nodiscard]] double zoom() const;
    void fit();
    [[nodiscard]] bool fits() const { return m_zoom <= 0; }
    void zoomTo(double zoom) { zoomAround(zoom, QPointF(width(), height()) / 2); }
    void zoomBy(double factor) { zoomTo(zoom() * factor); }
    [[nodiscard]] QSize sizeHint() const override { return {480, 360}; }
    [[nodiscard]] QSize minimumSizeHint() const override { return {120, 100}; }

Q_SIGNALS:
    void zoomChanged(double zoom);

protected:
    void paintEvent(QPaintEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;
    void wheelEvent(QWheelEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mouseDoubleClickEvent(QMouseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void focusInEvent(QFocusEvent* event) override;
    void focusOutEvent(QFocusEvent* event) override;

private:
    [[nodiscard]] double fitZoom() const;
    void zoomAround(double zoom, const QPointF& fixed);
    void pan(const QPointF& by);
    void settle();

    QImage m_picture;
    QImage m_overview;  ///< Scaled down once, for zooms at which it is enough.
    double m_zoom = 0;  ///< 0: fits.
    QPointF m_center;   ///< Of the view, in pixels of the picture.
    QPointF m_dragged;
};

}  // namespace trainyard::ui
