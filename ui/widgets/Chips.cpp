#include "ui/widgets/Chips.h"

#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>

#include "ui/shell/Icons.h"
#include "ui/shell/Style.h"

namespace trainyard::ui {
namespace {

// At the usual text size; all of them grow with the text.
constexpr int kChipHeight = 22;
constexpr int kChipPad = 8;
constexpr int kChipIcon = 14;
constexpr int kChipGap = 5;
constexpr int kCrossWidth = 18;

int grown(int size) { return Theme::current().scaled(size); }

QFont chipFont() {
    QFont font = Theme::current().font(TextStyle::Secondary);
    font.setWeight(QFont::Medium);
    return font;
}

}  // namespace

StateLook lookOf(spec::RunState state) {
    using spec::RunState;
    switch (state) {
    case RunState::Draft: return {QStringLiteral("draft"), Chip::tr("Draft"), Role::Muted, Role::Sunken};
    case RunState::Preparing: return {QStringLiteral("prepare"), Chip::tr("Preparing"), Role::Info, Role::InfoSoft};
    case RunState::Queued: return {QStringLiteral("queue"), Chip::tr("Queued"), Role::Warning, Role::WarningSoft};
    case RunState::Running: return {QStringLiteral("running"), Chip::tr("Running"), Role::Accent, Role::AccentSoft};
    case RunState::Finalizing: return {QStringLiteral("finalize"), Chip::tr("Finalizing"), Role::Info, Role::InfoSoft};
    case RunState::Completed:
        return {QStringLiteral("success"), Chip::tr("Completed"), Role::Success, Role::SuccessSoft};
    case RunState::Failed: return {QStringLiteral("error"), Chip::tr("Failed"), Role::Danger, Role::DangerSoft};
    case RunState::Canceled: return {QStringLiteral("cancel"), Chip::tr("Canceled"), Role::Muted, Role::Sunken};
    case RunState::Lost: return {QStringLiteral("lost"), Chip::tr("Lost"), Role::Warning, Role::WarningSoft};
    }
    return {};
}

int chipWidth(const QString& text, bool withIcon) {
    return QFontMetrics(chipFont()).horizontalAdvance(text) + 2 * grown(kChipPad) +
           (withIcon ? grown(kChipIcon) + grown(kChipGap) : 0);
}

int paintChip(QPainter& painter, const QRect& rect, const QString& text, const QString& iconName, Role ink, Role ground,
              qreal) {
    const Theme& theme = Theme::current();
    const bool withIcon = !iconName.isEmpty();
    const int width = std::min(chipWidth(text, withIcon), rect.width());
    const QRect box = QStyle::alignedRect(painter.layoutDirection(), Qt::AlignLeading | Qt::AlignVCenter,
                                          QSize(width, std::min(grown(kChipHeight), rect.height())), rect);
    draw::box(painter, box, box.height() / 2.0, theme.color(ground), QColor());
    QRect inner = box.adjusted(grown(kChipPad), 0, -grown(kChipPad), 0);
    if (withIcon) {
        const QRect where = QStyle::visualRect(painter.layoutDirection(), inner,
                                               QRect(inner.left() - 1, inner.top(), grown(kChipIcon), inner.height()));
        draw::icon(painter, where, iconName, ink, grown(kChipIcon));
        inner = QStyle::visualRect(painter.layoutDirection(), inner,
                                   inner.adjusted(grown(kChipIcon) + grown(kChipGap) - 1, 0, 0, 0));
    }
    painter.save();
    painter.setFont(chipFont());
    painter.setPen(theme.color(ink));
    painter.drawText(inner, Qt::AlignVCenter | Qt::AlignLeading | Qt::TextSingleLine,
                     QFontMetrics(chipFont()).elidedText(text, Qt::ElideRight, inner.width() + 1));
    painter.restore();
    return width;
}

Chip::Chip(const QString& text, QWidget* parent) : QWidget(parent), m_text(text) {
    setSizePolicy(QSizePolicy::Maximum, QSizePolicy::Fixed);
    setAccessibleName(text);
    setMouseTracking(true);
}

void Chip::setText(const QString& text) {
    if (text == m_text) return;
    m_text = text;
    setAccessibleName(text);
    updateGeometry();
    update();
}

void Chip::setIcon(const QString& name) {
    if (name == m_icon) return;
    m_icon = name;
    updateGeometry();
    update();
}

void Chip::setColors(Role ink, Role ground) {
    m_ink = ink;
    m_ground = ground;
    update();
}

void Chip::setRemovable(bool removable) {
    m_removable = removable;
    updateFocusPolicy();
    updateGeometry();
}

void Chip::setClickable(bool clickable) {
    m_clickable = clickable;
    updateFocusPolicy();
}

void Chip::updateFocusPolicy() {
    setFocusPolicy(m_clickable || m_removable ? Qt::StrongFocus : Qt::NoFocus);
    setCursor(m_clickable ? Qt::PointingHandCursor : Qt::ArrowCursor);
}

QSize Chip::sizeHint() const {
    return {chipWidth(m_text, !m_icon.isEmpty()) + (m_removable ? grown(kCrossWidth) - 4 : 0), grown(kChipHeight)};
}

QSize Chip::minimumSizeHint() const { return {std::min(sizeHint().width(), 48), grown(kChipHeight)}; }

QRect Chip::crossRect() const {
    return QStyle::visualRect(layoutDirection(), rect(),
                              QRect(width() - grown(kCrossWidth) - 2, 0, grown(kCrossWidth), height()));
}

void Chip::paintEvent(QPaintEvent*) {
    QPainter painter(this);
    const Theme& theme = Theme::current();
    if (m_removable) {
        draw::box(painter, rect(), height() / 2.0, theme.color(m_ground), QColor());
        paintChip(painter,
                  QStyle::visualRect(layoutDirection(), rect(), rect().adjusted(0, 0, -grown(kCrossWidth) + 6, 0)),
                  m_text, m_icon, m_ink, m_ground, devicePixelRatioF());
        draw::icon(painter, crossRect(), QStringLiteral("close"), underMouse() ? Role::Text : m_ink, 12);
    } else {
        paintChip(painter, rect(), m_text, m_icon, m_ink, m_ground, devicePixelRatioF());
    }
    if (draw::showsFocus(this)) draw::focusRing(painter, rect(), height() / 2.0);
}

void Chip::mouseReleaseEvent(QMouseEvent* event) {
    if (event->button() != Qt::LeftButton || !rect().contains(event->position().toPoint())) return;
    if (m_removable && crossRect().contains(event->position().toPoint())) {
        Q_EMIT removed();
    } else if (m_clickable) {
        Q_EMIT clicked();
    }
}

void Chip::mouseMoveEvent(QMouseEvent*) { update(); }

void Chip::keyPressEvent(QKeyEvent* event) {
    const int key = event->key();
    if (m_removable && (key == Qt::Key_Delete || key == Qt::Key_Backspace)) {
        Q_EMIT removed();
    } else if (m_clickable && (key == Qt::Key_Return || key == Qt::Key_Enter || key == Qt::Key_Space)) {
        Q_EMIT clicked();
    } else {
        QWidget::keyPressEvent(event);
    }
}

void Chip::focusInEvent(QFocusEvent*) { update(); }
void Chip::focusOutEvent(QFocusEvent*) { update(); }

StateChip::StateChip(spec::RunState state, QWidget* parent) : Chip({}, parent), m_state(state) {
    setObjectName(QStringLiteral("stateChip"));
    setState(state);
}

void StateChip::setState(spec::RunState state) {
    m_state = state;
    const StateLook look = lookOf(state);
    setText(look.word);
    setIcon(look.icon);
    setColors(look.ink, look.ground);
}

}  // namespace trainyard::ui
