#include "ui/shell/Style.h"

#include <QAbstractItemView>
#include <QAbstractSpinBox>
#include <QApplication>
#include <QCheckBox>
#include <QComboBox>
#include <QLineEdit>
#include <QMenu>
#include <QPainter>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QRadioButton>
#include <QScrollBar>
#include <QSlider>
#include <QSplitterHandle>
#include <QStyleFactory>
#include <QStyleOption>
#include <QTabBar>
#include <QToolButton>

#include "ui/shell/Icons.h"

namespace trainyard::ui {

namespace draw {

void box(QPainter& painter, const QRectF& rect, qreal radius, const QColor& fill, const QColor& outline, qreal width) {
    painter.save();
    painter.setRenderHint(QPainter::Antialiasing);
    painter.setBrush(fill.isValid() ? QBrush(fill) : QBrush(Qt::NoBrush));
    painter.setPen(outline.isValid() ? QPen(outline, width) : QPen(Qt::NoPen));
    const qreal inset = outline.isValid() ? width / 2 : 0;
    painter.drawRoundedRect(rect.adjusted(inset, inset, -inset, -inset), radius, radius);
    painter.restore();
}

bool showsFocus(const QWidget* widget) {
    return widget->hasFocus() && widget->window()->testAttribute(Qt::WA_KeyboardFocusChange);
}

void focusRing(QPainter& painter, const QRectF& rect, qreal radius) {
    box(painter, rect, radius, QColor(), Theme::current().color(Role::Focus), 2);
}

void icon(QPainter& painter, const QRect& rect, const QString& name, Role role, int size, bool enabled) {
    const QRect where = QStyle::alignedRect(Qt::LeftToRight, Qt::AlignCenter, QSize(size, size), rect);
    ui::icon(name, role).paint(&painter, where, Qt::AlignCenter, enabled ? QIcon::Normal : QIcon::Disabled);
}

}  // namespace draw

namespace {

QColor tone(Role role) { return Theme::current().color(role); }

bool isEnabled(const QStyleOption& option) { return option.state & QStyle::State_Enabled; }
bool isHovered(const QStyleOption& option) { return isEnabled(option) && (option.state & QStyle::State_MouseOver); }
bool hasFocus(const QStyleOption& option) { return option.state & QStyle::State_HasFocus; }

/// Outline of an input: focus, error (dynamic property "invalid"), hover, rest.
void drawField(QPainter& painter, const QStyleOption& option, const QWidget* widget, bool focused) {
    const QColor ground = isEnabled(option) ? tone(Role::Surface) : tone(Role::Background);
    const bool invalid = widget != nullptr && widget->property("invalid").toBool();
    QColor outline = isEnabled(option) ? tone(Role::BorderStrong) : tone(Role::Border);
    if (isHovered(option)) outline = Theme::blend(outline, tone(Role::Text), 0.35);
    if (invalid) outline = tone(Role::Danger);
    const int radius = Theme::current().radius();
    draw::box(painter, option.rect, radius, ground, outline, invalid ? 1.5 : 1);
    if (focused) draw::box(painter, option.rect, radius, QColor(), invalid ? tone(Role::Danger) : tone(Role::Focus), 2);
}

void drawCheckMark(QPainter& painter, const QStyleOption& option, bool radio) {
    const QRectF rect = QRectF(option.rect).adjusted(0.5, 0.5, -0.5, -0.5);
    const bool on = option.state & QStyle::State_On;
    const bool partly = option.state & QStyle::State_NoChange;
    QColor outline = tone(Role::BorderStrong), fill = tone(Role::Surface);
    if (isHovered(option)) outline = tone(Role::Accent);
    if (on || partly) fill = outline = tone(Role::AccentFill);
    if (!isEnabled(option)) {
        outline = tone(Role::Border);
        fill = on || partly ? Theme::blend(tone(Role::Surface), tone(Role::Muted), 0.5) : tone(Role::Background);
    }
    draw::box(painter, rect, radio ? rect.width() / 2 : Theme::current().smallRadius(), fill, outline, 1.3);
    painter.save();
    painter.setRenderHint(QPainter::Antialiasing);
    if (radio && on) {
        painter.setPen(Qt::NoPen);
        painter.setBrush(tone(Role::AccentText));
        painter.drawEllipse(rect.center(), rect.width() * 0.2, rect.width() * 0.2);
    } else if (on) {
        QPolygonF mark;
        const auto at = [&rect](qreal x, qreal y) {
            return QPointF(rect.left() + rect.width() * x, rect.top() + rect.height() * y);
        };
        mark << at(0.24, 0.53) << at(0.43, 0.71) << at(0.77, 0.31);
        painter.setPen(QPen(tone(Role::AccentText), 1.8, Qt::SolidLine, Qt::RoundCap, Qt::RoundJoin));
        painter.drawPolyline(mark);
    } else if (partly) {
        painter.setPen(QPen(tone(Role::AccentText), 1.8, Qt::SolidLine, Qt::RoundCap));
        painter.drawLine(QPointF(rect.left() + 4, rect.center().y()), QPointF(rect.right() - 4, rect.center().y()));
    }
    painter.restore();
}

void drawRow(QPainter& painter, const QStyleOptionViewItem& option) {
    const bool selected = option.state & QStyle::State_Selected;
    if (selected) {
        painter.fillRect(option.rect, tone(Role::Selection));
    } else if (isHovered(option)) {
        painter.fillRect(option.rect, tone(Role::Hover));
    }
}

QString arrowName(QStyle::PrimitiveElement element) {
    switch (element) {
    case QStyle::PE_IndicatorArrowUp: return QStringLiteral("chevron-up");
    case QStyle::PE_IndicatorArrowLeft: return QStringLiteral("chevron-left");
    case QStyle::PE_IndicatorArrowRight: return QStringLiteral("chevron-right");
    default: return QStringLiteral("chevron-down");
    }
}

}  // namespace

Style::Style() : QProxyStyle(QStyleFactory::create(QStringLiteral("Fusion"))) {
    setObjectName(QStringLiteral("trainyard"));
}

QPalette Style::standardPalette() const { return QApplication::palette(); }

void Style::polish(QWidget* widget) {
    QProxyStyle::polish(widget);
    if (qobject_cast<QPushButton*>(widget) || qobject_cast<QToolButton*>(widget) || qobject_cast<QCheckBox*>(widget) ||
        qobject_cast<QRadioButton*>(widget) || qobject_cast<QComboBox*>(widget) || qobject_cast<QLineEdit*>(widget) ||
        qobject_cast<QAbstractSpinBox*>(widget) || qobject_cast<QScrollBar*>(widget) ||
        qobject_cast<QSlider*>(widget) || qobject_cast<QTabBar*>(widget) || qobject_cast<QSplitterHandle*>(widget)) {
        widget->setAttribute(Qt::WA_Hover);
    }
    if (qobject_cast<QComboBox*>(widget)) {
        if (widget->focusPolicy() == Qt::WheelFocus) widget->setFocusPolicy(Qt::StrongFocus);
        widget->installEventFilter(this);
    }
}

void Style::unpolish(QWidget* widget) {
    if (qobject_cast<QComboBox*>(widget)) widget->removeEventFilter(this);
    QProxyStyle::unpolish(widget);
}

bool Style::eventFilter(QObject* watched, QEvent* event) {
    if (event->type() != QEvent::Wheel) return QProxyStyle::eventFilter(watched, event);
    const auto* box = qobject_cast<QComboBox*>(watched);
    if (box == nullptr || box->hasFocus()) return false;
    event->ignore();
    return true;
}

void Style::drawPrimitive(PrimitiveElement element, const QStyleOption* option, QPainter* painter,
                          const QWidget* widget) const {
    const Theme& theme = Theme::current();
    switch (element) {
    case PE_FrameFocusRect:
        if (qobject_cast<const QAbstractItemView*>(widget) != nullptr) {
            draw::focusRing(*painter, QRectF(option->rect).adjusted(1, 1, -1, -1), theme.smallRadius());
        } else {
            draw::focusRing(*painter, QRectF(option->rect).adjusted(-1, -1, 1, 1), theme.smallRadius());
        }
        return;
    case PE_PanelLineEdit:
        if (const auto* frame = qstyleoption_cast<const QStyleOptionFrame*>(option); frame && frame->lineWidth > 0) {
            drawField(*painter, *option, widget, hasFocus(*option));
        }
        return;
    case PE_FrameLineEdit: return;
    case PE_Frame:
        if (widget != nullptr && widget->inherits("QComboBoxPrivateContainer")) {
            painter->fillRect(option->rect, tone(Role::Raised));
            draw::box(*painter, option->rect, 0, QColor(), tone(Role::Border));
            return;
        }
        // Nearly square: a viewport fills its frame to the corners and would cut a larger arc off.
        if (hasFocus(*option)) {
            draw::focusRing(*painter, option->rect, 2);
        } else {
            const auto* text = qobject_cast<const QPlainTextEdit*>(widget);
            const bool editable = text != nullptr && !text->isReadOnly();
            draw::box(*painter, option->rect, 2, QColor(), tone(editable ? Role::BorderStrong : Role::Border));
        }
        return;
    case PE_FrameGroupBox: draw::box(*painter, option->rect, theme.radius(), QColor(), tone(Role::Border)); return;
    case PE_IndicatorCheckBox:
    case PE_IndicatorItemViewItemCheck: drawCheckMark(*painter, *option, false); return;
    case PE_IndicatorRadioButton: drawCheckMark(*painter, *option, true); return;
    case PE_PanelButtonTool: {
        const bool down = option->state & (State_Sunken | State_On);
        if (isEnabled(*option) && (down || isHovered(*option))) {
            draw::box(*painter, option->rect, theme.radius(),
                      down ? Theme::blend(tone(Role::Hover), tone(Role::Accent), 0.14) : tone(Role::Hover), QColor());
        }
        return;
    }
    case PE_PanelItemViewRow:
        if (const auto* item = qstyleoption_cast<const QStyleOptionViewItem*>(option)) drawRow(*painter, *item);
        return;
    case PE_PanelItemViewItem:
        if (const auto* item = qstyleoption_cast<const QStyleOptionViewItem*>(option)) {
            if (item->backgroundBrush.style() != Qt::NoBrush) painter->fillRect(item->rect, item->backgroundBrush);
            drawRow(*painter, *item);
        }
        return;
    case PE_PanelTipLabel:
        painter->fillRect(option->rect, tone(Role::Raised));
        draw::box(*painter, option->rect, 0, QColor(), tone(Role::Border));
        return;
    case PE_PanelMenu: painter->fillRect(option->rect, tone(Role::Raised)); return;
    case PE_FrameMenu: draw::box(*painter, option->rect, 0, QColor(), tone(Role::Border)); return;
    case PE_FrameTabWidget: return;
    case PE_FrameTabBarBase:
        painter->fillRect(QRect(option->rect.left(), option->rect.bottom(), option->rect.width(), 1),
                          tone(Role::Border));
        return;
    case PE_FrameStatusBarItem:
    case PE_PanelScrollAreaCorner: return;
    case PE_IndicatorArrowUp:
    case PE_IndicatorArrowDown:
    case PE_IndicatorArrowLeft:
    case PE_IndicatorArrowRight:
        draw::icon(*painter, option->rect, arrowName(element), Role::Muted, 14, isEnabled(*option));
        return;
    case PE_IndicatorHeaderArrow:
        if (const auto* header = qstyleoption_cast<const QStyleOptionHeader*>(option)) {
            const bool up = header->sortIndicator == QStyleOptionHeader::SortUp;
            draw::icon(*painter, option->rect, up ? QStringLiteral("chevron-up") : QStringLiteral("chevron-down"),
                       Role::Accent, 12);
        }
        return;
    case PE_IndicatorBranch:
        if (option->state & State_Children) {
            const bool leftToRight = option->direction == Qt::LeftToRight;
            draw::icon(*painter, option->rect,
                       option->state & State_Open ? QStringLiteral("chevron-down")
                       : leftToRight              ? QStringLiteral("chevron-right")
                                                  : QStringLiteral("chevron-left"),
                       Role::Muted, 14);
        }
        return;
    default: QProxyStyle::drawPrimitive(element, option, painter, widget);
    }
}

int Style::pixelMetric(PixelMetric metric, const QStyleOption* option, const QWidget* widget) const {
    switch (metric) {
    case PM_DefaultFrameWidth: return 1;
    case PM_SpinBoxFrameWidth:
    case PM_ComboBoxFrameWidth: return 1;
    case PM_IndicatorWidth:
    case PM_IndicatorHeight:
    case PM_ExclusiveIndicatorWidth:
    case PM_ExclusiveIndicatorHeight: return 17;
    case PM_CheckBoxLabelSpacing:
    case PM_RadioButtonLabelSpacing: return 8;
    case PM_ScrollBarExtent: return 12;
    case PM_ScrollBarSliderMin: return 32;
    case PM_ScrollView_ScrollBarSpacing: return 0;
    case PM_ButtonIconSize:
    case PM_SmallIconSize:
    case PM_ListViewIconSize:
    case PM_TabBarIconSize:
    case PM_ToolBarIconSize: return 16;
    case PM_ButtonShiftHorizontal:
    case PM_ButtonShiftVertical:
    case PM_TabBarTabShiftHorizontal:
    case PM_TabBarTabShiftVertical: return 0;
    case PM_MenuPanelWidth: return 1;
    case PM_MenuVMargin: return 4;
    case PM_MenuHMargin: return 4;
    case PM_SplitterWidth: return 9;
    case PM_TabBarTabHSpace: return 24;
    case PM_TabBarTabVSpace: return 14;
    case PM_TabBarTabOverlap:
    case PM_TabBarBaseOverlap: return 0;
    case PM_HeaderMargin: return 8;
    case PM_HeaderMarkSize: return 12;
    case PM_FocusFrameHMargin:
    case PM_FocusFrameVMargin: return 6;
    case PM_SliderThickness:
    case PM_SliderLength:
    case PM_SliderControlThickness: return 18;
    case PM_LayoutLeftMargin:
    case PM_LayoutRightMargin:
    case PM_LayoutTopMargin:
    case PM_LayoutBottomMargin: return Theme::current().space(2);
    case PM_LayoutHorizontalSpacing:
    case PM_LayoutVerticalSpacing: return Theme::current().space(1);
    case PM_ToolTipLabelFrameWidth: return 6;
    case PM_TextCursorWidth: return 1;
    case PM_TreeViewIndentation: return 20;
    default: return QProxyStyle::pixelMetric(metric, option, widget);
    }
}

int Style::styleHint(StyleHint hint, const QStyleOption* option, const QWidget* widget,
                     QStyleHintReturn* returned) const {
    switch (hint) {
    case SH_ComboBox_Popup: return 0;
    case SH_ItemView_ShowDecorationSelected: return 1;
    case SH_ItemView_ActivateItemOnSingleClick: return 0;
    case SH_ScrollBar_LeftClickAbsolutePosition: return 1;
    case SH_Slider_AbsoluteSetButtons: return Qt::LeftButton;
    case SH_ToolTip_WakeUpDelay: return 500;
    case SH_EtchDisabledText:
    case SH_DitherDisabledText: return 0;
    case SH_Header_ArrowAlignment: return Qt::AlignRight | Qt::AlignVCenter;
    case SH_DialogButtonBox_ButtonsHaveIcons: return 0;
    case SH_UnderlineShortcut: return 0;
    case SH_TabBar_ElideMode: return Qt::ElideNone;
    case SH_TabBar_Alignment: return Qt::AlignLeading;
    case SH_ComboBox_UseNativePopup: return 0;
    case SH_Widget_Animation_Duration: return 0;
    default: return QProxyStyle::styleHint(hint, option, widget, returned);
    }
}

QIcon Style::standardIcon(StandardPixmap standard, const QStyleOption* option, const QWidget* widget) const {
    switch (standard) {
    case SP_LineEditClearButton:
    case SP_DialogCloseButton:
    case SP_TitleBarCloseButton:
    case SP_DockWidgetCloseButton: return ui::icon(QStringLiteral("close"), Role::Muted);
    case SP_DirIcon:
    case SP_DirClosedIcon:
    case SP_DirOpenIcon:
    case SP_DirLinkIcon: return ui::icon(QStringLiteral("folder"), Role::Accent);
    case SP_DirHomeIcon:
    case SP_DesktopIcon: return ui::icon(QStringLiteral("home"));
    case SP_ComputerIcon:
    case SP_DriveHDIcon: return ui::icon(QStringLiteral("target"));
    case SP_FileIcon:
    case SP_FileLinkIcon: return ui::icon(QStringLiteral("file"), Role::Muted);
    case SP_FileDialogNewFolder: return ui::icon(QStringLiteral("plus"));
    case SP_FileDialogDetailedView: return ui::icon(QStringLiteral("list"));
    case SP_FileDialogListView: return ui::icon(QStringLiteral("grid"));
    case SP_FileDialogToParent:
    case SP_ArrowUp: return ui::icon(QStringLiteral("chevron-up"));
    case SP_FileDialogBack:
    case SP_ArrowBack:
    case SP_ArrowLeft: return ui::icon(QStringLiteral("arrow-left"));
    case SP_ArrowForward:
    case SP_ArrowRight: return ui::icon(QStringLiteral("arrow-right"));
    case SP_MessageBoxWarning: return ui::icon(QStringLiteral("warning"), Role::Warning);
    case SP_MessageBoxCritical: return ui::icon(QStringLiteral("error"), Role::Danger);
    case SP_MessageBoxInformation: return ui::icon(QStringLiteral("info"), Role::Info);
    case SP_MessageBoxQuestion: return ui::icon(QStringLiteral("help"), Role::Accent);
    case SP_TrashIcon: return ui::icon(QStringLiteral("trash"));
    default: return QProxyStyle::standardIcon(standard, option, widget);
    }
}

}  // namespace trainyard::ui
