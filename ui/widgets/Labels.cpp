// Texts, buttons and hairlines of Basics.h.
#include <QAction>
#include <QEvent>
#include <QHelpEvent>
#include <QMenu>
#include <QPainter>
#include <QToolTip>

#include "ui/shell/Icons.h"
#include "ui/shell/Style.h"
#include "ui/widgets/Basics.h"

namespace trainyard::ui {

TextLabel::TextLabel(const QString& text, TextStyle style, Role role, QWidget* parent)
    : QLabel(text, parent), m_style(style), m_role(role) {
    setTextFormat(Qt::PlainText);
    // By itself the text would decide where it begins; a name in Latin letters stands where the page's language begins.
    if (isRightToLeft()) setAlignment(Qt::AlignRight | Qt::AlignAbsolute | Qt::AlignVCenter);
    applyLook();
}

void TextLabel::setLook(TextStyle style, Role role) {
    m_style = style;
    m_role = role;
    applyLook();
}

void TextLabel::applyLook() {
    const Theme& theme = Theme::current();
    const QFont wanted = theme.font(m_style);
    if (font() != wanted) setFont(wanted);
    const QColor ink = theme.color(m_role);
    if (palette().color(QPalette::WindowText) != ink) {
        QPalette own = palette();
        own.setColor(QPalette::WindowText, ink);
        own.setColor(QPalette::Text, ink);
        setPalette(own);
    }
}

void TextLabel::changeEvent(QEvent* event) {
    // Setting the palette below comes back here; applyLook() ends that because nothing differs the second time.
    if (event->type() == QEvent::PaletteChange || event->type() == QEvent::StyleChange) applyLook();
    QLabel::changeEvent(event);
}

ElidedLabel::ElidedLabel(const QString& text, TextStyle style, Role role, QWidget* parent)
    : TextLabel(text, style, role, parent) {
    setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Fixed);
}

void ElidedLabel::setElideMode(Qt::TextElideMode mode) {
    m_mode = mode;
    update();
}

QSize ElidedLabel::minimumSizeHint() const {
    return {std::min(fontMetrics().horizontalAdvance(QStringLiteral("mmm…")), QLabel::sizeHint().width()),
            QLabel::minimumSizeHint().height()};
}

void ElidedLabel::paintEvent(QPaintEvent*) {
    QPainter painter(this);
    painter.setPen(palette().color(isEnabled() ? QPalette::Active : QPalette::Disabled, QPalette::WindowText));
    const QRect room = contentsRect();
    painter.drawText(room,
                     static_cast<int>(QStyle::visualAlignment(layoutDirection(), alignment())) | Qt::TextSingleLine,
                     fontMetrics().elidedText(text(), m_mode, room.width()));
}

bool ElidedLabel::event(QEvent* event) {
    if (event->type() == QEvent::ToolTip && toolTip().isEmpty() &&
        fontMetrics().horizontalAdvance(text()) > contentsRect().width()) {
        QToolTip::showText(static_cast<QHelpEvent*>(event)->globalPos(), text(), this);
        return true;
    }
    return TextLabel::event(event);
}

SectionTitle::SectionTitle(const QString& text, QWidget* parent)
    : TextLabel(text, TextStyle::Section, Role::Text, parent) {}

namespace {

void mirrorAction(QPushButton* button, QAction* action) {
    const auto take = [button, action] {
        button->setText(action->text());
        button->setIcon(action->icon());
        button->setEnabled(action->isEnabled());
        button->setVisible(action->isVisible());
        QString tip = action->toolTip() == action->text() ? QString() : action->toolTip();
        if (!action->shortcut().isEmpty()) {
            const QString keys = action->shortcut().toString(QKeySequence::NativeText);
            tip = tip.isEmpty() ? keys : tip + QStringLiteral("  ") + keys;
        }
        button->setToolTip(tip);
        button->setAccessibleName(action->text());
    };
    take();
    QObject::connect(action, &QAction::changed, button, take);
    // An action that has a menu does nothing by being triggered.
    QObject::connect(button, &QPushButton::clicked, action, [button, action] {
        if (QMenu* menu = action->menu()) {
            menu->popup(button->mapToGlobal(QPoint(0, button->height() + 2)));
        } else {
            action->trigger();
        }
    });
    button->setObjectName(action->objectName() + QStringLiteral("Button"));
}

}  // namespace

PrimaryButton::PrimaryButton(const QString& text, const QString& iconName, QWidget* parent)
    : QPushButton(ui::icon(iconName, Role::AccentText), text, parent) {
    setProperty("look", QStringLiteral("primary"));
}

void PrimaryButton::followAction(QAction* action) { mirrorAction(this, action); }

QuietButton::QuietButton(const QString& text, const QString& iconName, QWidget* parent)
    : QPushButton(ui::icon(iconName), text, parent) {}

void QuietButton::setDestructive(bool destructive) {
    setProperty("destructive", destructive);
    update();
}

void QuietButton::followAction(QAction* action) { mirrorAction(this, action); }

IconButton::IconButton(const QString& iconName, const QString& label, QWidget* parent) : QToolButton(parent) {
    setIconName(iconName);
    setToolTip(label);
    setAccessibleName(label);
    setAutoRaise(true);
    setFocusPolicy(Qt::StrongFocus);
    setPopupMode(QToolButton::InstantPopup);
}

void IconButton::setIconName(const QString& iconName) { setIcon(ui::icon(iconName, Role::Muted)); }

LinkButton::LinkButton(const QString& text, QWidget* parent) : QPushButton(text, parent) {
    setProperty("look", QStringLiteral("link"));
    setCursor(Qt::PointingHandCursor);
    setSizePolicy(QSizePolicy::Maximum, QSizePolicy::Fixed);
}

Separator::Separator(Qt::Orientation orientation, QWidget* parent) : QWidget(parent), m_orientation(orientation) {
    const bool horizontal = orientation == Qt::Horizontal;
    setSizePolicy(horizontal ? QSizePolicy::Expanding : QSizePolicy::Fixed,
                  horizontal ? QSizePolicy::Fixed : QSizePolicy::Expanding);
}

QSize Separator::sizeHint() const { return {1, 1}; }

void Separator::paintEvent(QPaintEvent*) { QPainter(this).fillRect(rect(), Theme::current().color(Role::Border)); }

}  // namespace trainyard::ui
