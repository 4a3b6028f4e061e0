#pragma once
#include <QAbstractTableModel>
#include <QTableView>
#include <memory>

#include "ui/runs/Records.h"

namespace trainyard::ui {

/// Rows of a reported table; sorting orders row numbers, numbers before texts, empty cells last.
class RecordTableModel : public QAbstractTableModel {
    Q_OBJECT

public:
    using QAbstractTableModel::QAbstractTableModel;
    void setTable(std::shared_ptr<const TableContent> table);
    [[nodiscard]] const std::shared_ptr<const TableContent>& table() const { return m_table; }
    /// Rows of the table as they stand one below the other.
    [[nodiscard]] const std::vector<int>& order() const { return m_order; }

    [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] QVariant data(const QModelIndex& index, int role) const override;
    [[nodiscard]] QVariant headerData(int section, Qt::Orientation orientation, int role) const override;
    void sort(int column, Qt::SortOrder order) override;

private:
    [[nodiscard]] const TableCell& cell(const QModelIndex& index) const;

    std::shared_ptr<const TableContent> m_table = std::make_shared<TableContent>();
    std::vector<int> m_order;
    int m_sorted = -1;
    Qt::SortOrder m_direction = Qt::AscendingOrder;
};

/// The table itself: a click on a header sorts (a third one takes the order back), Ctrl+C copies what is selected.
class RecordTable : public QTableView {
    Q_OBJECT

public:
    explicit RecordTable(QWidget* parent);
    /// The same columns as before keep widths and order.
    void setTable(std::shared_ptr<const TableContent> table);
    [[nodiscard]] const RecordTableModel& records() const { return *m_model; }

protected:
    void keyPressEvent(QKeyEvent* event) override;

private:
    void copySelection();

    RecordTableModel* m_model;
};

}  // namespace trainyard::ui
