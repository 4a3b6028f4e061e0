#include <QHelpEvent>
#include <QKeyEvent>
#include <QPainter>
#include <QToolTip>

#include "ui/forms/FieldEditors.h"
#include "ui/shell/Theme.h"

namespace trainyard::ui {

namespace {
constexpr int kSidePadding = 12;
}  // namespace

SegmentedControl::SegmentedControl(QWidget* parent) : QWidget(parent) {
    setFocusPolicy(Qt::StrongFocus);
    setMouseTracking(true);
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
}

void SegmentedControl::addSegment(const QString& text, const QString& help) {
    m_segments.push_back({text, help});
    describe();
    updateGeometry();
    update();
}

void SegmentedControl::clear() {
    m_segments.clear();
    m_hover = -1;
    updateGeometry();
    update();
}

void SegmentedControl::setCurrent(int index) {
    m_current = index;
    describe();
    update();
}

void SegmentedControl::describe() {
    QStringList all;
    for (const Segment& segment : m_segments) all << segment.text;
    const QString now =
        m_current >= 0 && m_current < count() ? m_segments[static_cast<std::size_t>(m_current)].text : QString();
    setAccessibleDescription(tr("%1, chosen from %2").arg(now, all.join(QStringLiteral(", "))));
}

QSize SegmentedControl::sizeHint() const {
    int widest = 0;
    for (const Segment& segment : m_segments) widest = std::max(widest, fontMetrics().horizontalAdvance(segment.text));
    return {(widest + 2 * kSidePadding) * count() + 4, Theme::current().controlHeight()};
}

QSize SegmentedControl::minimumSizeHint() const {
    int total = 4;
    for (const Segment& segment : m_segments) total += fontMetrics().horizontalAdvance(segment.text) + 12;
    return {total, Theme::current().controlHeight()};
}

QRectF SegmentedControl::segmentRect(int index) const {
    // Shares of the width follow the texts, so that a long word is not cut while a short one has room to spare.
    std::vector<qreal> widths;
    qreal total = 0;
    for (const Segment& segment : m_segments) {
        widths.push_back(fontMetrics().horizontalAdvance(segment.text) + 2.0 * kSidePadding);
        total += widths.back();
    }
    const qreal spare = (width() - 4 - total) / std::max(1, count());
    qreal x = 2;
    for (int i = 0; i < count(); ++i) {
        const qreal w = widths[static_cast<std::size_t>(i)] + spare;
        if (i == index) {
            const qreal left = isRightToLeft() ? width() - x - w : x;
            return {left, 2, w, height() - 4.0};
        }
        x += w;
    }
    return {};
}

int SegmentedControl::segmentAt(const QPointF& position) const {
    for (int i = 0; i < count(); ++i) {
        if (segmentRect(i).contains(position)) return i;
    }
    return -1;
}

void SegmentedControl::paintEvent(QPaintEvent*) {
    const Theme& theme = Theme::current();
    const qreal radius = theme.radius();
    QPainter painter(this);
    painter.setRenderHint(QPainter::Antialiasing);
    const QRectF frame = QRectF(rect()).adjusted(0.5, 0.5, -0.5, -0.5);
    painter.setPen(QPen(theme.color(Role::Border), 1));
    painter.setBrush(theme.color(Role::Sunken));
    painter.drawRoundedRect(frame, radius, radius);
    for (int i = 0; i < count(); ++i) {
        const QRectF area = segmentRect(i);
        const bool chosen = i == m_current;
        if (chosen) {
            painter.setPen(QPen(theme.color(hasFocus() ? Role::Focus : Role::BorderStrong), hasFocus() ? 2 : 1));
            painter.setBrush(theme.color(Role::Surface));
            painter.drawRoundedRect(area.adjusted(0.5, 0.5, -0.5, -0.5), radius - 1.5, radius - 1.5);
        }
        const QFont font = theme.font(chosen ? TextStyle::BodyStrong : TextStyle::Body);
        painter.setFont(font);
        painter.setPen(theme.color(isEnabled() && (chosen || i == m_hover) ? Role::Text : Role::Muted));
        painter.drawText(area, Qt::AlignCenter,
                         QFontMetrics(font).elidedText(m_segments[static_cast<std::size_t>(i)].text, Qt::ElideRight,
                                                       static_cast<int>(area.width()) - 4));
    }
}

void SegmentedControl::pick(int index) {
    if (index < 0 || index >= count() || index == m_current) return;
    setCurrent(index);
    Q_EMIT picked(index);
}

void SegmentedControl::mousePressEvent(QMouseEvent* event) { pick(segmentAt(event->position())); }

void SegmentedControl::mouseMoveEvent(QMouseEvent* event) {
    const int hover = segmentAt(event->position());
    if (hover == m_hover) return;
    m_hover = hover;
    update();
}

void SegmentedControl::leaveEvent(QEvent*) {
    m_hover = -1;
    update();
}

void SegmentedControl::keyPressEvent(QKeyEvent* event) {
    const int forward = isRightToLeft() ? -1 : 1;
    switch (event->key()) {
    case Qt::Key_Right: pick(m_current + forward); return;
    case Qt::Key_Left: pick(m_current - forward); return;
    case Qt::Key_Down: pick(m_current + 1); return;
    case Qt::Key_Up: pick(m_current - 1); return;
    case Qt::Key_Home: pick(0); return;
    case Qt::Key_End: pick(count() - 1); return;
    default: QWidget::keyPressEvent(event);
    }
}

bool SegmentedControl::event(QEvent* event) {
    if (event->type() == QEvent::ToolTip) {
        const auto* help = static_cast<QHelpEvent*>(event);
        const int index = segmentAt(help->pos());
        const QString text = index < 0 ? QString() : m_segments[static_cast<std::size_t>(index)].help;
        if (!text.isEmpty()) {
            QToolTip::showText(help->globalPos(), text, this);
            return true;
        }
    }
    if (event->type() == QEvent::FocusIn || event->type() == QEvent::FocusOut) update();
    return QWidget::event(event);
}

}  // namespace trainyard::ui
