// The drawing of buttons, menus, tabs, headers, combo boxes and the like; Style.cpp holds primitives and metrics.
#include <QComboBox>
#include <QHeaderView>
#include <QLineEdit>
#include <QMenu>
#include <QPainter>
#include <QPushButton>
#include <QStyleOption>
#include <QTabBar>
#include <QToolButton>

#include "ui/shell/Icons.h"
#include "ui/shell/Style.h"

namespace trainyard::ui {
namespace {

QColor toneOf(Role role) { return Theme::current().color(role); }
bool controlEnabled(const QStyleOption& option) { return option.state & QStyle::State_Enabled; }
bool controlHovered(const QStyleOption& option) {
    return controlEnabled(option) && (option.state & QStyle::State_MouseOver);
}
/// Only once the keyboard was used: a pressed button needs no ring.
bool ringShown(const QStyleOption& option) {
    return (option.state & QStyle::State_HasFocus) && (option.state & QStyle::State_KeyboardFocusChange);
}

enum class Look { Outlined, Primary, Danger, Ghost, Link };

Look lookOf(const QWidget* widget) {
    if (widget == nullptr) return Look::Outlined;
    const QString name = widget->property("look").toString();
    if (name == QLatin1String("primary")) return Look::Primary;
    if (name == QLatin1String("danger")) return Look::Danger;
    if (name == QLatin1String("ghost")) return Look::Ghost;
    if (name == QLatin1String("link")) return Look::Link;
    return Look::Outlined;
}

constexpr int kMenuIcon = 16;
constexpr int kMenuLead = 34;  ///< Room for icon or check mark before a menu's text.

}  // namespace

void Style::drawButton(const QStyleOptionButton& option, QPainter& painter, const QWidget* widget) const {
    const Look look = lookOf(widget);
    const int radius = Theme::current().radius();
    const bool down = option.state & (State_Sunken | State_On);
    QColor fill = toneOf(Role::Surface), outline = Theme::blend(toneOf(Role::Border), toneOf(Role::BorderStrong), 0.55);
    switch (look) {
    case Look::Primary:
    case Look::Danger:
        fill = toneOf(look == Look::Primary ? Role::AccentFill : Role::DangerFill);
        // Darker when touched, so that the white text gains contrast rather than loses it.
        if (controlHovered(option)) fill = Theme::blend(fill, Qt::black, 0.10);
        if (down) fill = Theme::blend(fill, Qt::black, 0.22);
        outline = QColor();
        break;
    case Look::Ghost:
    case Look::Link:
        fill = outline = QColor();
        if (look == Look::Ghost && controlHovered(option)) fill = toneOf(Role::Hover);
        if (look == Look::Ghost && down) fill = Theme::blend(toneOf(Role::Hover), toneOf(Role::Accent), 0.14);
        break;
    case Look::Outlined:
        if (controlHovered(option)) fill = toneOf(Role::Hover);
        if (down) fill = Theme::blend(toneOf(Role::Hover), toneOf(Role::Accent), 0.14);
        if (option.state & State_On) outline = toneOf(Role::Accent);
        break;
    }
    if (!controlEnabled(option)) {
        fill = look == Look::Ghost || look == Look::Link ? QColor() : toneOf(Role::Sunken);
        outline = look == Look::Outlined ? toneOf(Role::Border) : QColor();
    }
    draw::box(painter, option.rect, radius, fill, outline);
    if (ringShown(option)) {
        if (look == Look::Primary || look == Look::Danger) {
            draw::box(painter, QRectF(option.rect).adjusted(2, 2, -2, -2), radius - 2, QColor(),
                      toneOf(Role::AccentText), 1.5);
        }
        draw::focusRing(painter, option.rect, radius);
    }
}

void Style::drawButtonLabel(const QStyleOptionButton& option, QPainter& painter, const QWidget* widget) const {
    const Look look = lookOf(widget);
    QColor ink = toneOf(Role::Text);
    if (look == Look::Primary || look == Look::Danger) ink = toneOf(Role::AccentText);
    if (look == Look::Link) ink = toneOf(Role::Accent);
    if (widget != nullptr && widget->property("destructive").toBool()) ink = toneOf(Role::Danger);
    if (!controlEnabled(option)) ink = option.palette.color(QPalette::Disabled, QPalette::ButtonText);
    painter.save();
    QFont font = painter.font();
    if (look != Look::Link) font.setWeight(QFont::Medium);
    if (look == Look::Link) font.setUnderline(controlHovered(option));
    painter.setFont(font);
    const QFontMetrics metrics(font);
    const bool hasIcon = !option.icon.isNull();
    const bool hasMenu = option.features & QStyleOptionButton::HasMenu;
    const int iconSize = option.iconSize.width() > 0 ? option.iconSize.width() : 16;
    const int gap = hasIcon && !option.text.isEmpty() ? 6 : 0;
    const int textWidth = option.text.isEmpty() ? 0 : metrics.size(Qt::TextShowMnemonic, option.text).width();
    const int total = textWidth + gap + (hasIcon ? iconSize : 0) + (hasMenu ? 18 : 0);
    const QRect inner = option.rect;
    int x = inner.left() + (inner.width() - total) / 2;
    x = std::max(x, inner.left() + (look == Look::Link ? 0 : 6));
    const auto mirrored = [&](const QRect& rect) { return visualRect(option.direction, inner, rect); };
    if (hasIcon) {
        const QRect where = mirrored(QRect(x, inner.center().y() - iconSize / 2 + 1, iconSize, iconSize));
        option.icon.paint(&painter, where, Qt::AlignCenter, controlEnabled(option) ? QIcon::Normal : QIcon::Disabled);
        x += iconSize + gap;
    }
    const int room = inner.right() - x - (hasMenu ? 18 : 0) + 1;
    const QRect textRect = mirrored(QRect(x, inner.top(), std::min(textWidth, room), inner.height()));
    painter.setPen(ink);
    const int flags = Qt::AlignVCenter | Qt::AlignLeft | Qt::TextSingleLine |
                      (styleHint(SH_UnderlineShortcut, &option, widget) ? Qt::TextShowMnemonic : Qt::TextHideMnemonic);
    painter.drawText(textRect, flags,
                     textWidth > room ? metrics.elidedText(option.text, Qt::ElideRight, room) : option.text);
    if (hasMenu) {
        draw::icon(painter, mirrored(QRect(x + std::min(textWidth, room) + 2, inner.top(), 16, inner.height())),
                   QStringLiteral("chevron-down"), look == Look::Primary ? Role::AccentText : Role::Muted, 14,
                   controlEnabled(option));
    }
    painter.restore();
}

void Style::drawMenuItem(const QStyleOptionMenuItem& option, QPainter& painter) const {
    const QRect rect = option.rect;
    if (option.menuItemType == QStyleOptionMenuItem::Separator) {
        painter.fillRect(QRect(rect.left() + 8, rect.center().y(), rect.width() - 16, 1), toneOf(Role::Border));
        return;
    }
    const bool enabled = controlEnabled(option);
    if (enabled && (option.state & State_Selected)) {
        draw::box(painter, rect.adjusted(0, 0, 0, 0), Theme::current().smallRadius(), toneOf(Role::Selection),
                  QColor());
    }
    const auto mirrored = [&](const QRect& part) { return visualRect(option.direction, rect, part); };
    const QRect lead = mirrored(QRect(rect.left() + 8, rect.top(), kMenuIcon + 4, rect.height()));
    if (option.checkType != QStyleOptionMenuItem::NotCheckable && option.checked) {
        draw::icon(painter, lead, QStringLiteral("check"), Role::Accent, 16, enabled);
    } else if (!option.icon.isNull()) {
        option.icon.paint(&painter, alignedRect(Qt::LeftToRight, Qt::AlignCenter, QSize(kMenuIcon, kMenuIcon), lead),
                          Qt::AlignCenter, enabled ? QIcon::Normal : QIcon::Disabled);
    }
    const QString text = option.text.section(QLatin1Char('\t'), 0, 0);
    const QString shortcut = option.text.section(QLatin1Char('\t'), 1);
    const QRect textRect = mirrored(rect.adjusted(kMenuLead, 0, -12, 0));
    painter.setFont(option.font);
    painter.setPen(enabled ? toneOf(Role::Text) : option.palette.color(QPalette::Disabled, QPalette::Text));
    const int hidden = Qt::TextSingleLine | Qt::TextHideMnemonic;
    painter.drawText(textRect, Qt::AlignVCenter | Qt::AlignLeading | hidden, text);
    if (!shortcut.isEmpty()) {
        painter.setPen(toneOf(Role::Muted));
        painter.drawText(textRect, Qt::AlignVCenter | Qt::AlignTrailing | hidden, shortcut);
    }
    if (option.menuItemType == QStyleOptionMenuItem::SubMenu) {
        draw::icon(painter, mirrored(QRect(rect.right() - 20, rect.top(), 16, rect.height())),
                   option.direction == Qt::LeftToRight ? QStringLiteral("chevron-right")
                                                       : QStringLiteral("chevron-left"),
                   Role::Muted, 14, enabled);
    }
}

void Style::drawTab(const QStyleOptionTab& option, QPainter& painter) const {
    const bool selected = option.state & State_Selected;
    const QRect rect = option.rect;
    if (controlHovered(option) && !selected) {
        draw::box(painter, QRectF(rect).adjusted(2, 4, -2, -4), Theme::current().radius(), toneOf(Role::Hover),
                  QColor());
    }
    painter.save();
    QFont font = painter.font();
    font.setWeight(selected ? QFont::DemiBold : QFont::Normal);
    painter.setFont(font);
    painter.setPen(!controlEnabled(option) ? option.palette.color(QPalette::Disabled, QPalette::Text)
                                           : toneOf(selected ? Role::Text : Role::Muted));
    QRect textRect = rect;
    if (!option.icon.isNull()) {
        const int width = QFontMetrics(font).horizontalAdvance(option.text) + 22;
        const QRect group = alignedRect(option.direction, Qt::AlignCenter, QSize(width, rect.height()), rect);
        const QRect where(group.left(), group.center().y() - 7, 16, 16);
        option.icon.paint(&painter, visualRect(option.direction, group, where));
        textRect = visualRect(option.direction, group, group.adjusted(22, 0, 0, 0));
    }
    painter.drawText(textRect, Qt::AlignCenter | Qt::TextSingleLine | Qt::TextHideMnemonic, option.text);
    painter.restore();
    if (selected) {
        draw::box(painter, QRectF(rect.left() + 8, rect.bottom() - 1, rect.width() - 16, 2), 1, toneOf(Role::Accent),
                  QColor());
    }
    if (ringShown(option)) {
        draw::focusRing(painter, QRectF(rect).adjusted(2, 4, -2, -5), Theme::current().radius());
    }
}

void Style::drawHeader(const QStyleOptionHeader& option, QPainter& painter) const {
    painter.fillRect(option.rect, toneOf(Role::Surface));
    if (controlHovered(option)) painter.fillRect(option.rect, toneOf(Role::Hover));
    painter.fillRect(QRect(option.rect.left(), option.rect.bottom(), option.rect.width(), 1), toneOf(Role::Border));
}

void Style::drawProgress(const QStyleOptionProgressBar& option, QPainter& painter) const {
    // One thin track; the text, if any, is the page's to show beside it.
    const int height = std::min(6, option.rect.height());
    const QRectF track(option.rect.left(), option.rect.center().y() - height / 2.0 + 0.5, option.rect.width(), height);
    const QColor ground = Theme::blend(toneOf(Role::Sunken), toneOf(Role::BorderStrong), 0.25);
    draw::box(painter, track, height / 2.0, ground, QColor());
    const bool unknown = option.maximum <= option.minimum;
    if (unknown) {
        painter.save();
        QPainterPath clip;
        clip.addRoundedRect(track, height / 2.0, height / 2.0);
        painter.setClipPath(clip);
        painter.fillRect(track, QBrush(toneOf(Role::Accent), Qt::BDiagPattern));
        painter.restore();
        return;
    }
    const double share = double(option.progress - option.minimum) / double(option.maximum - option.minimum);
    if (share <= 0) return;
    QRectF done = track;
    done.setWidth(std::max<double>(height, track.width() * std::min(1.0, share)));
    if (option.direction == Qt::RightToLeft) done.moveRight(track.right());
    draw::box(painter, done, height / 2.0, toneOf(Role::Accent), QColor());
}

void Style::drawComboBox(const QStyleOptionComboBox& option, QPainter& painter, const QWidget* widget) const {
    QStyleOption field = option;
    const auto* combo = qobject_cast<const QComboBox*>(widget);
    const bool focused =
        (option.state & State_HasFocus) || (combo != nullptr && combo->lineEdit() && combo->lineEdit()->hasFocus());
    QStyleOptionFrame frame;
    frame.QStyleOption::operator=(field);
    frame.lineWidth = 1;
    frame.state.setFlag(State_HasFocus, focused);
    proxy()->drawPrimitive(PE_PanelLineEdit, &frame, &painter, widget);
    draw::icon(painter, proxy()->subControlRect(CC_ComboBox, &option, SC_ComboBoxArrow, widget),
               QStringLiteral("chevron-down"), Role::Muted, 14, controlEnabled(option));
}

void Style::drawSpinBox(const QStyleOptionSpinBox& option, QPainter& painter, const QWidget* widget) const {
    QStyleOptionFrame frame;
    frame.QStyleOption::operator=(option);
    frame.lineWidth = 1;
    if (option.frame) proxy()->drawPrimitive(PE_PanelLineEdit, &frame, &painter, widget);
    if (option.buttonSymbols == QAbstractSpinBox::NoButtons) return;
    const auto button = [&](SubControl sub, const QString& name, QAbstractSpinBox::StepEnabledFlag flag) {
        const QRect rect = proxy()->subControlRect(CC_SpinBox, &option, sub, widget);
        const bool enabled = controlEnabled(option) && (option.stepEnabled & flag);
        if (enabled && controlHovered(option) && option.activeSubControls == sub) {
            draw::box(painter, QRectF(rect).adjusted(1, 1, -2, -1), 3, toneOf(Role::Hover), QColor());
        }
        draw::icon(painter, rect, name, Role::Muted, 11, enabled);
    };
    button(SC_SpinBoxUp, QStringLiteral("chevron-up"), QAbstractSpinBox::StepUpEnabled);
    button(SC_SpinBoxDown, QStringLiteral("chevron-down"), QAbstractSpinBox::StepDownEnabled);
}

void Style::drawScrollBar(const QStyleOptionSlider& option, QPainter& painter, const QWidget* widget) const {
    if (option.maximum <= option.minimum) return;
    const QRect handle = proxy()->subControlRect(CC_ScrollBar, &option, SC_ScrollBarSlider, widget);
    const bool active = controlHovered(option) || (option.state & State_Sunken);
    const int inset = active ? 2 : 3;
    const QColor ink = Theme::blend(toneOf(Role::Background), toneOf(Role::BorderStrong), active ? 1.0 : 0.65);
    const QRectF box = option.orientation == Qt::Vertical ? QRectF(handle).adjusted(inset, 2, -inset, -2)
                                                          : QRectF(handle).adjusted(2, inset, -2, -inset);
    draw::box(painter, box, std::min(box.width(), box.height()) / 2, ink, QColor());
}

void Style::drawSlider(const QStyleOptionSlider& option, QPainter& painter, const QWidget* widget) const {
    const QRect groove = proxy()->subControlRect(CC_Slider, &option, SC_SliderGroove, widget);
    const QRect handle = proxy()->subControlRect(CC_Slider, &option, SC_SliderHandle, widget);
    const bool horizontal = option.orientation == Qt::Horizontal;
    const QPointF middle = QRectF(groove).center();
    const QRectF track = horizontal ? QRectF(groove.left(), middle.y() - 2, groove.width(), 4)
                                    : QRectF(middle.x() - 2, groove.top(), 4, groove.height());
    draw::box(painter, track, 2, Theme::blend(toneOf(Role::Sunken), toneOf(Role::BorderStrong), 0.35), QColor());
    QRectF done = track;
    if (horizontal) {
        if (option.upsideDown) {
            done.setLeft(handle.center().x());
        } else {
            done.setRight(handle.center().x());
        }
    } else {
        done.setTop(handle.center().y());
    }
    draw::box(painter, done, 2, controlEnabled(option) ? toneOf(Role::Accent) : toneOf(Role::BorderStrong), QColor());
    const QRectF knob = QRectF(handle).adjusted(2, 2, -2, -2);
    draw::box(painter, knob, knob.width() / 2, toneOf(Role::Surface),
              controlEnabled(option) ? toneOf(Role::Accent) : toneOf(Role::Border), 2);
    if (ringShown(option)) draw::focusRing(painter, QRectF(handle), handle.width() / 2.0);
}

void Style::drawControl(ControlElement element, const QStyleOption* option, QPainter* painter,
                        const QWidget* widget) const {
    switch (element) {
    case CE_PushButtonBevel:
        if (const auto* button = qstyleoption_cast<const QStyleOptionButton*>(option)) {
            drawButton(*button, *painter, widget);
            return;
        }
        break;
    case CE_PushButton:
        if (const auto* button = qstyleoption_cast<const QStyleOptionButton*>(option)) {
            drawButton(*button, *painter, widget);
            drawButtonLabel(*button, *painter, widget);
            return;
        }
        break;
    case CE_PushButtonLabel:
        if (const auto* button = qstyleoption_cast<const QStyleOptionButton*>(option)) {
            drawButtonLabel(*button, *painter, widget);
            return;
        }
        break;
    case CE_MenuItem:
        if (const auto* item = qstyleoption_cast<const QStyleOptionMenuItem*>(option)) {
            drawMenuItem(*item, *painter);
            return;
        }
        break;
    case CE_MenuEmptyArea: return;
    case CE_TabBarTab:
        if (const auto* tab = qstyleoption_cast<const QStyleOptionTab*>(option)) {
            drawTab(*tab, *painter);
            return;
        }
        break;
    case CE_HeaderSection:
        if (const auto* header = qstyleoption_cast<const QStyleOptionHeader*>(option)) {
            drawHeader(*header, *painter);
            return;
        }
        break;
    case CE_HeaderEmptyArea:
        painter->fillRect(option->rect, toneOf(Role::Surface));
        painter->fillRect(QRect(option->rect.left(), option->rect.bottom(), option->rect.width(), 1),
                          toneOf(Role::Border));
        return;
    case CE_HeaderLabel:
        if (const auto* header = qstyleoption_cast<const QStyleOptionHeader*>(option)) {
            painter->save();
            painter->setFont(Theme::current().font(TextStyle::Secondary));
            painter->setPen(toneOf(header->sortIndicator == QStyleOptionHeader::None ? Role::Muted : Role::Text));
            const QRect room = header->rect;
            painter->drawText(room, static_cast<int>(header->textAlignment) | Qt::TextSingleLine,
                              painter->fontMetrics().elidedText(header->text, Qt::ElideRight, room.width()));
            painter->restore();
            return;
        }
        break;
    case CE_ProgressBar:
        if (const auto* bar = qstyleoption_cast<const QStyleOptionProgressBar*>(option)) {
            drawProgress(*bar, *painter);
            return;
        }
        break;
    case CE_ComboBoxLabel:
        if (const auto* combo = qstyleoption_cast<const QStyleOptionComboBox*>(option)) {
            const QRect edit = proxy()->subControlRect(CC_ComboBox, combo, SC_ComboBoxEditField, widget);
            painter->save();
            QRect textRect = edit;
            if (!combo->currentIcon.isNull()) {
                const QRect where =
                    alignedRect(combo->direction, Qt::AlignLeft | Qt::AlignVCenter, QSize(16, 16), edit);
                combo->currentIcon.paint(painter, where, Qt::AlignCenter,
                                         controlEnabled(*option) ? QIcon::Normal : QIcon::Disabled);
                textRect = visualRect(combo->direction, edit, edit.adjusted(22, 0, 0, 0));
            }
            if (!combo->editable) {
                painter->setPen(combo->palette.color(controlEnabled(*option) ? QPalette::Active : QPalette::Disabled,
                                                     QPalette::Text));
                painter->drawText(textRect, Qt::AlignVCenter | Qt::AlignLeading | Qt::TextSingleLine,
                                  combo->fontMetrics.elidedText(combo->currentText, Qt::ElideRight, textRect.width()));
            }
            painter->restore();
            return;
        }
        break;
    case CE_Splitter: {
        const bool vertical = option->state & State_Horizontal;  // A horizontal splitter's handle stands upright.
        const QRect rect = option->rect;
        const QRect line = vertical ? QRect(rect.center().x(), rect.top(), 1, rect.height())
                                    : QRect(rect.left(), rect.center().y(), rect.width(), 1);
        painter->fillRect(line, controlHovered(*option) ? toneOf(Role::Accent) : toneOf(Role::Border));
        return;
    }
    default: break;
    }
    QProxyStyle::drawControl(element, option, painter, widget);
}

void Style::drawComplexControl(ComplexControl control, const QStyleOptionComplex* option, QPainter* painter,
                               const QWidget* widget) const {
    switch (control) {
    case CC_ComboBox:
        if (const auto* combo = qstyleoption_cast<const QStyleOptionComboBox*>(option)) {
            drawComboBox(*combo, *painter, widget);
            return;
        }
        break;
    case CC_SpinBox:
        if (const auto* spin = qstyleoption_cast<const QStyleOptionSpinBox*>(option)) {
            drawSpinBox(*spin, *painter, widget);
            return;
        }
        break;
    case CC_ScrollBar:
        if (const auto* bar = qstyleoption_cast<const QStyleOptionSlider*>(option)) {
            drawScrollBar(*bar, *painter, widget);
            return;
        }
        break;
    case CC_Slider:
        if (const auto* slider = qstyleoption_cast<const QStyleOptionSlider*>(option)) {
            drawSlider(*slider, *painter, widget);
            return;
        }
        break;
    case CC_ToolButton:
        if (const auto* tool = qstyleoption_cast<const QStyleOptionToolButton*>(option)) {
            QStyleOption panel = *tool;
            proxy()->drawPrimitive(PE_PanelButtonTool, &panel, painter, widget);
            QStyleOptionToolButton label = *tool;
            label.rect = tool->rect;
            label.features &= ~QStyleOptionToolButton::HasMenu;
            proxy()->drawControl(CE_ToolButtonLabel, &label, painter, widget);
            if (ringShown(*tool)) draw::focusRing(*painter, tool->rect, Theme::current().radius());
            return;
        }
        break;
    default: break;
    }
    QProxyStyle::drawComplexControl(control, option, painter, widget);
}

QSize Style::sizeFromContents(ContentsType type, const QStyleOption* option, const QSize& size,
                              const QWidget* widget) const {
    const int control = Theme::current().controlHeight();
    switch (type) {
    case CT_PushButton:
        if (const auto* button = qstyleoption_cast<const QStyleOptionButton*>(option)) {
            QFont font = widget != nullptr ? widget->font() : QFont();
            font.setWeight(QFont::Medium);
            int width = QFontMetrics(font).size(Qt::TextShowMnemonic, button->text).width();
            if (!button->icon.isNull()) width += 16 + (button->text.isEmpty() ? 0 : 6);
            if (button->features & QStyleOptionButton::HasMenu) width += 18;
            const bool link = lookOf(widget) == Look::Link;
            return link ? QSize(width + 4, QFontMetrics(font).height() + 4) : QSize(width + 26, control);
        }
        break;
    case CT_LineEdit: return {size.width() + 4, std::max(control, size.height())};
    case CT_ComboBox: {
        const QSize base = QProxyStyle::sizeFromContents(type, option, size, widget);
        return {base.width() + 22, control};
    }
    case CT_SpinBox: return {size.width() + 34, control};
    case CT_TabBarTab: {
        QFont font = widget != nullptr ? widget->font() : QFont();
        font.setWeight(QFont::DemiBold);
        if (const auto* tab = qstyleoption_cast<const QStyleOptionTab*>(option)) {
            const int icon = tab->icon.isNull() ? 0 : 22;
            const int button = std::max(tab->leftButtonSize.width(), tab->rightButtonSize.width());
            return {QFontMetrics(font).size(Qt::TextHideMnemonic, tab->text).width() + 28 + icon + button, control + 6};
        }
        break;
    }
    case CT_HeaderSection: return {QProxyStyle::sizeFromContents(type, option, size, widget).width(), control};
    case CT_MenuItem:
        if (const auto* item = qstyleoption_cast<const QStyleOptionMenuItem*>(option)) {
            if (item->menuItemType == QStyleOptionMenuItem::Separator) return {10, 9};
            const QString text = item->text.section(QLatin1Char('\t'), 0, 0);
            const QString shortcut = item->text.section(QLatin1Char('\t'), 1);
            const QFontMetrics metrics(item->font);
            int width = kMenuLead + metrics.size(Qt::TextHideMnemonic, text).width() + 24;
            if (!shortcut.isEmpty()) width += metrics.horizontalAdvance(shortcut) + 32;
            if (item->menuItemType == QStyleOptionMenuItem::SubMenu) width += 20;
            return {width, control - 2};
        }
        break;
    case CT_ItemViewItem: {
        QSize base = QProxyStyle::sizeFromContents(type, option, size, widget);
        return {base.width(), std::max(base.height(), control - 4)};
    }
    case CT_ToolButton: {
        const QSize base = QProxyStyle::sizeFromContents(type, option, size, widget);
        return base.expandedTo(QSize(control, control));
    }
    case CT_ProgressBar: return {std::max(size.width(), 60), 8};
    default: break;
    }
    return QProxyStyle::sizeFromContents(type, option, size, widget);
}

QRect Style::subControlRect(ComplexControl control, const QStyleOptionComplex* option, SubControl sub,
                            const QWidget* widget) const {
    if (control == CC_ScrollBar) {
        if (const auto* bar = qstyleoption_cast<const QStyleOptionSlider*>(option)) {
            const bool horizontal = bar->orientation == Qt::Horizontal;
            const int length = horizontal ? bar->rect.width() : bar->rect.height();
            const qint64 range = qint64(bar->maximum) - bar->minimum;
            int handle = length;
            if (range > 0) {
                handle = static_cast<int>(qint64(bar->pageStep) * length / (range + bar->pageStep));
                handle = std::clamp(handle, std::min(pixelMetric(PM_ScrollBarSliderMin), length), length);
            }
            const int start = sliderPositionFromValue(bar->minimum, bar->maximum, bar->sliderPosition, length - handle,
                                                      bar->upsideDown);
            const auto piece = [&](int from, int to) {
                return horizontal ? QRect(bar->rect.left() + from, bar->rect.top(), to - from, bar->rect.height())
                                  : QRect(bar->rect.left(), bar->rect.top() + from, bar->rect.width(), to - from);
            };
            QRect rect;
            switch (sub) {
            case SC_ScrollBarSubPage: rect = piece(0, start); break;
            case SC_ScrollBarAddPage: rect = piece(start + handle, length); break;
            case SC_ScrollBarSlider: rect = piece(start, start + handle); break;
            case SC_ScrollBarGroove: rect = bar->rect; break;
            default: break;  // No arrows.
            }
            return visualRect(bar->direction, bar->rect, rect);
        }
    }
    if (control == CC_ComboBox) {
        const QRect rect = option->rect;
        const auto mirrored = [&](const QRect& part) { return visualRect(option->direction, rect, part); };
        switch (sub) {
        case SC_ComboBoxArrow: return mirrored(QRect(rect.right() - 27, rect.top(), 24, rect.height()));
        case SC_ComboBoxEditField: return mirrored(rect.adjusted(10, 1, -28, -1));
        case SC_ComboBoxFrame: return rect;
        case SC_ComboBoxListBoxPopup: return rect;
        default: break;
        }
    }
    if (control == CC_SpinBox) {
        const QRect rect = option->rect;
        const auto* spin = qstyleoption_cast<const QStyleOptionSpinBox*>(option);
        const bool buttons = spin == nullptr || spin->buttonSymbols != QAbstractSpinBox::NoButtons;
        const auto mirrored = [&](const QRect& part) { return visualRect(option->direction, rect, part); };
        const int half = rect.height() / 2;
        switch (sub) {
        case SC_SpinBoxUp: return buttons ? mirrored(QRect(rect.right() - 21, rect.top() + 2, 20, half - 2)) : QRect();
        case SC_SpinBoxDown:
            return buttons ? mirrored(QRect(rect.right() - 21, rect.top() + half, 20, half - 2)) : QRect();
        case SC_SpinBoxEditField: return mirrored(rect.adjusted(3, 1, buttons ? -22 : -3, -1));
        case SC_SpinBoxFrame: return rect;
        default: break;
        }
    }
    return QProxyStyle::subControlRect(control, option, sub, widget);
}

QRect Style::subElementRect(SubElement element, const QStyleOption* option, const QWidget* widget) const {
    switch (element) {
    case SE_LineEditContents: {
        const auto* edit = qobject_cast<const QLineEdit*>(widget);
        const bool framed = edit == nullptr || edit->hasFrame();
        return framed ? option->rect.adjusted(6, 1, -6, -1) : option->rect.adjusted(4, 0, -2, 0);
    }
    case SE_ProgressBarGroove:
    case SE_ProgressBarContents:
    case SE_ProgressBarLabel: return option->rect;
    case SE_PushButtonFocusRect: return option->rect;
    default: return QProxyStyle::subElementRect(element, option, widget);
    }
}

}  // namespace trainyard::ui
