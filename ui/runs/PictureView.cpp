#include "ui/runs/PictureView.h"

#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QWheelEvent>
#include <algorithm>
#include <cmath>

#include "ui/shell/Theme.h"

namespace trainyard::ui {

namespace {
constexpr int kOverviewSide =
    1024;  ///< Longest side of what large pictures are shown from while they are small on the screen.
constexpr double kMostPictureZoom = 64;
constexpr double kPictureZoomStep = 1.25;
constexpr double kSharpZoom = 2;     ///< From this zoom on a pixel is a square.
constexpr double kPannedByKey = 48;  ///< By an arrow key, logical pixels.
}  // namespace

PictureView::PictureView(QWidget* parent) : QWidget(parent) {
    setFocusPolicy(Qt::StrongFocus);
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
    setCursor(Qt::OpenHandCursor);
}

void PictureView::setPicture(const QImage& picture) {
    const bool other = picture.size() != m_picture.size();
    m_picture = picture;
    m_overview = {};
    if (std::max(picture.width(), picture.height()) > 2 * kOverviewSide)
        m_overview = picture.scaled(kOverviewSide, kOverviewSide, Qt::KeepAspectRatio, Qt::FastTransformation);
    if (other) {
        m_zoom = 0;
        m_center = QPointF(picture.width(), picture.height()) / 2;
    }
    settle();
    update();
    Q_EMIT zoomChanged(zoom());
}

double PictureView::fitZoom() const {
    if (m_picture.isNull()) return 1;
    const double scale =
        std::min(width() / static_cast<double>(m_picture.width()), height() / static_cast<double>(m_picture.height()));
    // A small picture is worth enlarging by whole steps only: its pixels stay equal.
    return scale >= kSharpZoom ? std::min(8.0, std::floor(scale)) : std::max(scale, 1e-3);
}

double PictureView::zoom() const { return m_zoom > 0 ? m_zoom : fitZoom(); }

void PictureView::fit() {
    m_zoom = 0;
    settle();
    update();
    Q_EMIT zoomChanged(zoom());
}

void PictureView::zoomAround(double wanted, const QPointF& fixed) {
    if (m_picture.isNull()) return;
    const double before = zoom();
    const double after = std::clamp(wanted, std::min(1.0, fitZoom()), kMostPictureZoom);
    const QPointF offset = fixed - QPointF(width(), height()) / 2;
    m_center += offset / before - offset / after;
    m_zoom = after;
    settle();
    update();
    Q_EMIT zoomChanged(after);
}

void PictureView::pan(const QPointF& by) {
    m_center -= by / zoom();
    settle();
    update();
}

void PictureView::settle() {
    const double scale = zoom();
    const auto within = [scale](double at, int pixels, int room) {
        const double half = room / scale / 2;
        return 2 * half >= pixels ? pixels / 2.0 : std::clamp(at, half, pixels - half);
    };
    m_center = {within(m_center.x(), m_picture.width(), width()), within(m_center.y(), m_picture.height(), height())};
}

void PictureView::paintEvent(QPaintEvent*) {
    const Theme& theme = Theme::current();
    QPainter painter(this);
    painter.fillRect(rect(), theme.color(Role::Sunken));
    if (!m_picture.isNull()) {
        const double scale = zoom();
        const QPointF origin = QPointF(width(), height()) / 2 - m_center * scale;
        const QRectF whole(origin, QSizeF(m_picture.size()) * scale);
        const QRectF seen = whole.intersected(QRectF(rect()));
        const bool small = !m_overview.isNull() && scale * m_picture.width() <= m_overview.width();
        const QImage& source = small ? m_overview : m_picture;
        const double ratio = source.width() / whole.width();
        const QRectF part((seen.topLeft() - whole.topLeft()) * ratio, seen.size() * ratio);
        painter.setRenderHint(QPainter::SmoothPixmapTransform, scale < kSharpZoom);
        if (m_picture.hasAlphaChannel()) painter.fillRect(seen, Qt::white);
        painter.drawImage(seen, source, part);
        painter.setPen(QPen(theme.color(Role::Border), 1));
        painter.setBrush(Qt::NoBrush);
        painter.drawRect(whole.adjusted(-0.5, -0.5, 0.5, 0.5));
    }
    if (hasFocus()) {
        painter.setPen(QPen(theme.color(Role::Focus), 2));
        painter.setBrush(Qt::NoBrush);
        painter.drawRect(rect().adjusted(1, 1, -1, -1));
    }
}

void PictureView::resizeEvent(QResizeEvent* event) {
    QWidget::resizeEvent(event);
    settle();
    if (m_zoom <= 0) Q_EMIT zoomChanged(zoom());
}

void PictureView::wheelEvent(QWheelEvent* event) {
    const double turns = event->angleDelta().y() / 120.0;
    if (turns == 0) return event->ignore();
    zoomAround(zoom() * std::pow(kPictureZoomStep, turns), event->position());
}

void PictureView::mousePressEvent(QMouseEvent* event) {
    if (event->button() == Qt::LeftButton) m_dragged = event->position();
}

void PictureView::mouseMoveEvent(QMouseEvent* event) {
    if (!event->buttons().testFlag(Qt::LeftButton)) return;
    pan(event->position() - m_dragged);
    m_dragged = event->position();
}

void PictureView::mouseDoubleClickEvent(QMouseEvent* event) {
    if (m_zoom > 0) {
        fit();
    } else {
        zoomAround(std::max(1.0, 2 * zoom()), event->position());
    }
}

void PictureView::keyPressEvent(QKeyEvent* event) {
    switch (event->key()) {
    case Qt::Key_Plus:
    case Qt::Key_Equal: zoomBy(kPictureZoomStep); return;
    case Qt::Key_Minus: zoomBy(1 / kPictureZoomStep); return;
    case Qt::Key_0: fit(); return;
    case Qt::Key_1: zoomTo(1); return;
    case Qt::Key_Left: pan({kPannedByKey, 0}); return;
    case Qt::Key_Right: pan({-kPannedByKey, 0}); return;
    case Qt::Key_Up: pan({0, kPannedByKey}); return;
    case Qt::Key_Down: pan({0, -kPannedByKey}); return;
    default: QWidget::keyPressEvent(event);
    }
}

void PictureView::focusInEvent(QFocusEvent* event) {
    QWidget::focusInEvent(event);
    update();
}

void PictureView::focusOutEvent(QFocusEvent* event) {
    QWidget::focusOutEvent(event);
    update();
}

}  // namespace trainyard::ui
