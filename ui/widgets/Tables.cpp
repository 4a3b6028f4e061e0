#include "ui/widgets/Tables.h"

#include <QHeaderView>
#include <QPainter>
#include <QScrollBar>
#include <QTableView>
#include <QTreeView>

#include <algorithm>

#include "core/spec/RunState.h"
#include "ui/charts/Sparkline.h"
#include "ui/shell/Style.h"
#include "ui/widgets/Chips.h"

namespace trainyard::ui {
namespace {

void styleItems(QAbstractItemView* view, const QString& accessibleName) {
    view->setAccessibleName(accessibleName);
    view->setFrameShape(QFrame::NoFrame);
    view->setSelectionBehavior(QAbstractItemView::SelectRows);
    view->setVerticalScrollMode(QAbstractItemView::ScrollPerPixel);
    view->setHorizontalScrollMode(QAbstractItemView::ScrollPerPixel);
    view->setTextElideMode(Qt::ElideRight);
    view->setTabKeyNavigation(false);
    view->setMouseTracking(true);
    view->setItemDelegate(new CellDelegate(view));
}

void styleHeader(QHeaderView* header) {
    header->setHighlightSections(false);
    header->setDefaultAlignment(Qt::AlignLeading | Qt::AlignVCenter);
    header->setMinimumSectionSize(48);
    header->setFocusPolicy(Qt::NoFocus);
    // The arrow of the order takes room from the words.
    QObject::connect(header, &QHeaderView::sortIndicatorChanged, header, [header](int section) {
        if (section >= 0 && section < header->count())
            header->resizeSection(section, std::max(header->sectionSize(section), header->sectionSizeHint(section)));
    });
}

}  // namespace

void styleTable(QTableView* view, const QString& accessibleName) {
    styleItems(view, accessibleName);
    view->setShowGrid(false);
    view->setWordWrap(false);
    view->setCornerButtonEnabled(false);
    view->verticalHeader()->hide();
    view->verticalHeader()->setSectionResizeMode(QHeaderView::Fixed);
    view->verticalHeader()->setMinimumSectionSize(20);
    view->verticalHeader()->setDefaultSectionSize(Theme::current().rowHeight());
    styleHeader(view->horizontalHeader());
    view->horizontalHeader()->setSectionsMovable(true);
    QObject::connect(&Theme::current(), &Theme::changed, view,
                     [view] { view->verticalHeader()->setDefaultSectionSize(Theme::current().rowHeight()); });
}

void styleTree(QTreeView* view, const QString& accessibleName) {
    styleItems(view, accessibleName);
    view->setUniformRowHeights(true);
    view->setAllColumnsShowFocus(true);
    styleHeader(view->header());
}

QSize CellDelegate::sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const {
    const QSize size = QStyledItemDelegate::sizeHint(option, index);
    return {size.width(), Theme::current().rowHeight()};
}

void CellDelegate::paint(QPainter* painter, const QStyleOptionViewItem& given, const QModelIndex& index) const {
    QStyleOptionViewItem option = given;
    initStyleOption(&option, index);
    const Theme& theme = Theme::current();
    const QWidget* widget = option.widget;
    QStyle* style = widget->style();
    const qreal ratio = widget->devicePixelRatioF();
    painter->save();
    painter->setClipRect(option.rect);
    painter->setLayoutDirection(option.direction);
    style->drawPrimitive(QStyle::PE_PanelItemViewItem, &option, painter, widget);
    QRect cell = option.rect.adjusted(8, 0, -8, 0);

    if (const QVariant color = index.data(RunColorRole); color.isValid()) {
        const QRect dot(cell.left(), cell.center().y() - 4, 9, 9);
        draw::box(*painter, QStyle::visualRect(option.direction, cell, dot), 4.5, theme.runColor(color.toInt()),
                  QColor());
        cell = QStyle::visualRect(option.direction, cell, cell.adjusted(17, 0, 0, 0));
    }
    if (const QVariant state = index.data(StateRole); state.isValid()) {
        const StateLook look = lookOf(static_cast<spec::RunState>(state.toInt()));
        paintChip(*painter, cell, look.word, look.icon, look.ink, look.ground, ratio);
    } else if (const QVariant tags = index.data(TagsRole); tags.isValid()) {
        for (const QString& tag : tags.toStringList()) {
            if (cell.width() < 24) break;
            const int used = paintChip(*painter, cell, tag, {}, Role::Muted, Role::Sunken, ratio) + 4;
            cell = QStyle::visualRect(option.direction, cell, cell.adjusted(used, 0, 0, 0));
        }
    } else if (const QVariant spark = index.data(SparkRole); spark.isValid()) {
        Sparkline::draw(*painter, QRectF(cell).adjusted(0, 7, 0, -7), spark.value<QList<double>>(),
                        index.data(RunColorRole).toInt());
    } else {
        const bool number = index.data(NumberRole).toBool();
        painter->setFont(number ? theme.font(TextStyle::Mono) : option.font);
        const bool disabled = !(option.state & QStyle::State_Enabled);
        painter->setPen(disabled                         ? option.palette.color(QPalette::Disabled, QPalette::Text)
                        : index.data(MutedRole).toBool() ? theme.color(Role::Muted)
                                                         : theme.color(Role::Text));
        QRect textRect = cell;
        if (!option.icon.isNull()) {
            option.icon.paint(
                painter, QStyle::visualRect(option.direction, cell, QRect(cell.left(), cell.center().y() - 7, 16, 16)));
            textRect = QStyle::visualRect(option.direction, cell, cell.adjusted(22, 0, 0, 0));
        }
        const QVariant progress = index.data(ProgressRole);
        if (progress.isValid()) textRect.adjust(0, 0, 0, -5);
        const QString text = painter->fontMetrics().elidedText(option.text, option.textElideMode, textRect.width());
        painter->drawText(
            textRect, Qt::TextSingleLine | Qt::AlignVCenter | (number ? Qt::AlignTrailing : Qt::AlignLeading), text);
        if (progress.isValid()) {
            QRectF track(cell.left(), cell.bottom() - 6, cell.width(), 3);
            draw::box(*painter, track, 1.5, theme.color(Role::Border), QColor());
            track.setWidth(track.width() * std::clamp(progress.toDouble(), 0.0, 1.0));
            if (option.direction == Qt::RightToLeft) track.moveRight(cell.right());
            draw::box(*painter, track, 1.5, theme.color(Role::Accent), QColor());
        }
    }
    if (option.state & QStyle::State_HasFocus) {
        QStyleOptionFocusRect ring;
        ring.QStyleOption::operator=(option);
        ring.rect = option.rect;
        style->drawPrimitive(QStyle::PE_FrameFocusRect, &ring, painter, widget);
    }
    painter->restore();
}

}  // namespace trainyard::ui
