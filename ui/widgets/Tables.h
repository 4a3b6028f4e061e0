#pragma once
#include <QStyledItemDelegate>

class QTableView;
class QTreeView;
class QAbstractItemView;

namespace trainyard::ui {

/// Roles that the delegates below read from any model.
enum TableRole {
    StateRole = Qt::UserRole + 100,  ///< int of spec::RunState: drawn as a chip.
    RunColorRole,                    ///< int index of the run palette: drawn as a dot with the run's marker.
    NumberRole,                      ///< bool: right-aligned, monospaced figures.
    MutedRole,                       ///< bool: secondary colour.
    TagsRole,                        ///< QStringList: drawn as chips.
    ProgressRole,                    ///< double 0…1: drawn as a thin bar under the text.
    SparkRole                        ///< QVariant of QList<double>: drawn as a spark line in the run's colour.
};

/// Rows, header, grid, focus, scrolling per pixel, row height by density; keyboard and accessible names in place.
/// Never measures all rows: give the columns their widths.
void styleTable(QTableView* view, const QString& accessibleName);
void styleTree(QTreeView* view, const QString& accessibleName);

/// Paints every role above; use it for whole tables.
class CellDelegate : public QStyledItemDelegate {
    Q_OBJECT
public:
    using QStyledItemDelegate::QStyledItemDelegate;
    void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override;
    [[nodiscard]] QSize sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const override;
};

}  // namespace trainyard::ui
