#include "ui/runs/RecordTable.h"

#include <QClipboard>
#include <QGuiApplication>
#include <QHeaderView>
#include <QKeyEvent>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "ui/shell/Theme.h"
#include "ui/widgets/Format.h"
#include "ui/widgets/Tables.h"

namespace trainyard::ui {

namespace {

constexpr int kMeasuredRows = 60;
constexpr int kWidestColumn = 340;
constexpr int kNarrowestColumn = 70;

/// Numbers as figures, whole ones in full; the exact text stands in the tooltip and in copies.
QString shownCell(const TableCell& cell) {
    if (!cell.isNumber || !std::isfinite(cell.number)) return cell.text;
    const bool whole = cell.number == std::floor(cell.number) && std::abs(cell.number) < 1e15;
    return whole ? QString::number(cell.number, 'f', 0) : formatNumber(cell.number);
}

/// What comes first when sorting upwards: numbers, then texts, then nothing.
int cellRank(const TableCell& cell) {
    return cell.isNumber && !std::isnan(cell.number) ? 0 : !cell.text.isEmpty() ? 1 : 2;
}

}  // namespace

void RecordTableModel::setTable(std::shared_ptr<const TableContent> table) {
    beginResetModel();
    const bool same = table->columns == m_table->columns;
    m_table = std::move(table);
    m_order.resize(m_table->rows.size());
    std::iota(m_order.begin(), m_order.end(), 0);
    if (!same) m_sorted = -1;
    endResetModel();
    if (m_sorted >= 0) sort(m_sorted, m_direction);
}

int RecordTableModel::rowCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : static_cast<int>(m_order.size());
}

int RecordTableModel::columnCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : static_cast<int>(m_table->columns.size());
}

const TableCell& RecordTableModel::cell(const QModelIndex& index) const {
    const int row = m_order[static_cast<std::size_t>(index.row())];
    return m_table->rows[static_cast<std::size_t>(row)][static_cast<std::size_t>(index.column())];
}

QVariant RecordTableModel::data(const QModelIndex& index, int role) const {
    if (!index.isValid()) return {};
    const TableCell& one = cell(index);
    switch (role) {
    case Qt::DisplayRole: return shownCell(one);
    case Qt::ToolTipRole: return one.text;
    case NumberRole: return one.isNumber;
    default: return {};
    }
}

QVariant RecordTableModel::headerData(int section, Qt::Orientation orientation, int role) const {
    if (orientation != Qt::Horizontal) return {};
    if (role == Qt::DisplayRole || role == Qt::ToolTipRole) return m_table->columns.value(section);
    if (role == Qt::TextAlignmentRole) {
        const bool number = !m_table->rows.empty() && m_table->rows.front()[static_cast<std::size_t>(section)].isNumber;
        return QVariant::fromValue((number ? Qt::AlignTrailing : Qt::AlignLeading) | Qt::AlignVCenter);
    }
    return {};
}

void RecordTableModel::sort(int column, Qt::SortOrder order) {
    Q_EMIT layoutAboutToBeChanged();
    const QModelIndexList before = persistentIndexList();
    const std::vector<int> places = m_order;
    m_sorted = column;
    m_direction = order;
    std::iota(m_order.begin(), m_order.end(), 0);
    if (column >= 0 && column < columnCount()) {
        const auto& rows = m_table->rows;
        const auto at = static_cast<std::size_t>(column);
        std::stable_sort(m_order.begin(), m_order.end(), [&](int a, int b) {
            const TableCell& left = rows[static_cast<std::size_t>(a)][at];
            const TableCell& right = rows[static_cast<std::size_t>(b)][at];
            const int kinds = cellRank(left) - cellRank(right);
            // What is no number stays behind those that are, and what is empty at the end, either way.
            if (kinds != 0) return kinds < 0;
            if (cellRank(left) == 0)
                return order == Qt::AscendingOrder ? left.number < right.number : left.number > right.number;
            const int texts = left.text.compare(right.text, Qt::CaseInsensitive);
            return order == Qt::AscendingOrder ? texts < 0 : texts > 0;
        });
    }
    std::vector<int> newPlace(m_order.size());
    for (std::size_t i = 0; i < m_order.size(); ++i)
        newPlace[static_cast<std::size_t>(m_order[i])] = static_cast<int>(i);
    QModelIndexList after;
    for (const QModelIndex& one : before)
        after << index(newPlace[static_cast<std::size_t>(places[static_cast<std::size_t>(one.row())])], one.column());
    changePersistentIndexList(before, after);
    Q_EMIT layoutChanged();
}

RecordTable::RecordTable(QWidget* parent) : QTableView(parent), m_model(new RecordTableModel(this)) {
    styleTable(this, tr("Reported table"));
    setModel(m_model);
    setSelectionMode(QAbstractItemView::ExtendedSelection);
    setEditTriggers(QAbstractItemView::NoEditTriggers);
    horizontalHeader()->setSortIndicatorClearable(true);
    horizontalHeader()->setSortIndicator(-1, Qt::AscendingOrder);
    setSortingEnabled(true);
}

void RecordTable::setTable(std::shared_ptr<const TableContent> table) {
    const bool same = table->columns == m_model->table()->columns;
    m_model->setTable(std::move(table));
    if (same) return;
    horizontalHeader()->setSortIndicator(-1, Qt::AscendingOrder);
    const QFontMetrics body(Theme::current().font(TextStyle::Body));
    const QFontMetrics mono(Theme::current().font(TextStyle::Mono));
    const TableContent& shownTable = *m_model->table();
    for (int column = 0; column < m_model->columnCount(); ++column) {
        int width = body.horizontalAdvance(shownTable.columns[column]) + 40;
        for (int row = 0; row < std::min(kMeasuredRows, m_model->rowCount()); ++row) {
            const TableCell& one = shownTable.rows[static_cast<std::size_t>(row)][static_cast<std::size_t>(column)];
            width = std::max(width, (one.isNumber ? mono : body).horizontalAdvance(shownCell(one)) + 24);
        }
        setColumnWidth(column, std::clamp(width, kNarrowestColumn, kWidestColumn));
    }
}

void RecordTable::keyPressEvent(QKeyEvent* event) {
    if (event->matches(QKeySequence::Copy)) return copySelection();
    QTableView::keyPressEvent(event);
}

void RecordTable::copySelection() {
    // Tabs between cells: what spreadsheets take.
    QString text = m_model->table()->columns.join(u'\t') + u'\n';
    QModelIndexList rows = selectionModel()->selectedRows();
    if (rows.isEmpty()) return;
    std::sort(rows.begin(), rows.end());
    for (const QModelIndex& one : std::as_const(rows)) {
        QStringList cells;
        const int row = m_model->order()[static_cast<std::size_t>(one.row())];
        for (const TableCell& cell : m_model->table()->rows[static_cast<std::size_t>(row)])
            cells << QString(cell.text).replace(u'\t', u' ').replace(u'\n', u' ');
        text += cells.join(u'\t') + u'\n';
    }
    QGuiApplication::clipboard()->setText(text);
}

}  // namespace trainyard::ui
