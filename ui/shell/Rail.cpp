#include "ui/shell/Rail.h"

#include <QBoxLayout>
#include <QEnterEvent>
#include <QPainter>

#include "ui/shell/Icons.h"
#include "ui/shell/Style.h"
#include "ui/shell/Theme.h"

namespace trainyard::ui {
namespace {

int wide() { return Theme::current().scaled(84); }
int narrow() { return Theme::current().scaled(56); }

/// The workspace's initial on a coloured tile.
class WorkspaceButton final : public QAbstractButton {
public:
    explicit WorkspaceButton(QWidget* parent) : QAbstractButton(parent) {
        setFocusPolicy(Qt::StrongFocus);
        setCursor(Qt::PointingHandCursor);
        setFixedHeight(52);
    }

protected:
    void paintEvent(QPaintEvent*) override {
        QPainter painter(this);
        const Theme& theme = Theme::current();
        const QRect tile = QStyle::alignedRect(Qt::LeftToRight, Qt::AlignCenter, QSize(36, 36), rect());
        if (text().isEmpty()) {
            icon().paint(&painter, tile);
        } else {
            draw::box(painter, tile, 9, theme.color(Role::AccentFill), QColor());
            painter.setFont(theme.font(TextStyle::Section));
            painter.setPen(theme.color(Role::AccentText));
            painter.drawText(tile, Qt::AlignCenter, text());
        }
        const bool focused = draw::showsFocus(this);
        if (underMouse() || focused) {
            draw::box(painter, QRectF(tile).adjusted(-3, -3, 3, 3), 11, QColor(),
                      theme.color(focused ? Role::Focus : Role::Border), 2);
        }
    }
    void enterEvent(QEnterEvent*) override { update(); }
    void leaveEvent(QEvent*) override { update(); }
};

}  // namespace

RailButton::RailButton(const QString& iconName, const QString& label, QWidget* parent)
    : QAbstractButton(parent), m_icon(iconName), m_label(label) {
    setCheckable(true);
    setAutoExclusive(false);
    setFocusPolicy(Qt::StrongFocus);
    setCursor(Qt::PointingHandCursor);
    setText(label);
    describe();
}

void RailButton::describe() {
    setAccessibleName(m_badge > 0 ? tr("%1, %n running", nullptr, m_badge).arg(m_label) : m_label);
}

void RailButton::setBadge(int count) {
    if (count == m_badge) return;
    m_badge = count;
    describe();
    update();
}

void RailButton::setCollapsed(bool collapsed) {
    m_collapsed = collapsed;
    updateGeometry();
    update();
}

QSize RailButton::sizeHint() const {
    return {m_collapsed ? narrow() : wide(), Theme::current().scaled(m_collapsed ? 44 : 56)};
}

void RailButton::paintEvent(QPaintEvent*) {
    QPainter painter(this);
    const Theme& theme = Theme::current();
    const QRectF area = QRectF(rect()).adjusted(3, 2, -3, -2);
    if (isChecked()) {
        draw::box(painter, area, theme.radius() + 2, theme.color(Role::Selection), QColor());
    } else if (underMouse() && isEnabled()) {
        draw::box(painter, area, theme.radius() + 2,
                  Theme::blend(theme.color(Role::Sunken), theme.color(Role::Text), 0.06), QColor());
    }
    const int iconSize = 22;
    const QRect iconRect(rect().center().x() - iconSize / 2 + 1, m_collapsed ? (height() - iconSize) / 2 : 8, iconSize,
                         iconSize);
    draw::icon(painter, iconRect, m_icon, isChecked() ? Role::Accent : Role::Muted, iconSize, isEnabled());
    if (!m_collapsed) {
        QFont font = theme.font(TextStyle::MonoSmall);
        font.setFamilies(theme.font(TextStyle::Secondary).families());
        font.setWeight(isChecked() ? QFont::DemiBold : QFont::Medium);
        painter.setFont(font);
        painter.setPen(isEnabled() ? theme.color(isChecked() ? Role::Text : Role::Muted)
                                   : palette().color(QPalette::Disabled, QPalette::Text));
        const QRect place(4, 32, width() - 8, height() - 38);
        painter.drawText(place, Qt::AlignCenter,
                         painter.fontMetrics().elidedText(m_label, Qt::ElideRight, place.width()));
    }
    if (m_badge > 0) {
        QFont font = theme.font(TextStyle::MonoSmall);
        font.setPixelSize(theme.scaled(10));
        font.setWeight(QFont::Bold);
        painter.setFont(font);
        const QString text = m_badge > 99 ? QStringLiteral("99+") : QString::number(m_badge);
        const int width = std::max(16, QFontMetrics(font).horizontalAdvance(text) + 8);
        const QRect badge(iconRect.right() - 5, iconRect.top() - 6, width, 16);
        draw::box(painter, badge, 8, theme.color(Role::AccentFill), QColor());
        painter.setPen(theme.color(Role::AccentText));
        painter.drawText(badge, Qt::AlignCenter, text);
    }
    if (draw::showsFocus(this)) draw::focusRing(painter, area, theme.radius() + 2);
}

void RailButton::enterEvent(QEnterEvent*) { update(); }
void RailButton::leaveEvent(QEvent*) { update(); }

Rail::Rail(QWidget* parent) : QWidget(parent) {
    setObjectName(QStringLiteral("rail"));
    setAccessibleName(tr("Pages"));
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 8, 0, 8);
    column->setSpacing(2);
    m_workspace = new WorkspaceButton(this);
    m_workspace->setObjectName(QStringLiteral("workspaceButton"));
    connect(m_workspace, &QAbstractButton::clicked, this, &Rail::workspacePressed);
    column->addWidget(m_workspace);
    column->addSpacing(4);
    m_top = new QVBoxLayout;
    m_top->setSpacing(2);
    column->addLayout(m_top);
    column->addStretch();
    m_bottom = new QVBoxLayout;
    m_bottom->setSpacing(2);
    column->addLayout(m_bottom);
    setFixedWidth(wide());
    setWorkspaceName({});
}

RailButton* Rail::add(const QString& id, const QString& iconName, const QString& label, const QString& shortcut,
                      bool bottom) {
    auto* button = new RailButton(iconName, label, this);
    button->setObjectName(id + QStringLiteral("RailButton"));
    button->setToolTip(shortcut.isEmpty() ? label : QStringLiteral("%1  %2").arg(label, shortcut));
    button->setCollapsed(m_collapsed);
    (bottom ? m_bottom : m_top)->addWidget(button);
    connect(button, &QAbstractButton::clicked, this, [this, id, button] {
        button->setChecked(true);
        Q_EMIT chosen(id);
    });
    m_entries.push_back({id, button});
    return button;
}

RailButton* Rail::find(const QString& id) const {
    for (const Entry& entry : m_entries) {
        if (entry.id == id) return entry.button;
    }
    return nullptr;
}

void Rail::setCurrent(const QString& id) {
    for (const Entry& entry : m_entries) entry.button->setChecked(entry.id == id);
}

void Rail::setBadge(const QString& id, int count) {
    if (RailButton* button = find(id)) button->setBadge(count);
}

void Rail::setEntryEnabled(const QString& id, bool enabled) {
    if (RailButton* button = find(id)) button->setEnabled(enabled);
}

void Rail::setCollapsed(bool collapsed) {
    m_collapsed = collapsed;
    for (const Entry& entry : m_entries) entry.button->setCollapsed(collapsed);
    setFixedWidth(collapsed ? narrow() : wide());
}

void Rail::setWorkspaceName(const QString& name) {
    m_workspace->setText(name.left(1).toUpper());
    m_workspace->setIcon(ui::icon(QStringLiteral("trainyard")));
    m_workspace->setToolTip(name.isEmpty() ? tr("Open a workspace")
                                           : tr("Workspace %1: switch or open another").arg(name));
    m_workspace->setAccessibleName(m_workspace->toolTip());
    m_workspace->update();
}

void Rail::paintEvent(QPaintEvent*) {
    QPainter painter(this);
    const Theme& theme = Theme::current();
    painter.fillRect(rect(), theme.color(Role::Sunken));
    const bool leftToRight = layoutDirection() == Qt::LeftToRight;
    painter.fillRect(QRect(leftToRight ? width() - 1 : 0, 0, 1, height()), theme.color(Role::Border));
}

}  // namespace trainyard::ui
