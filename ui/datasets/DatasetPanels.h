#pragma once
// The cards of a dataset's overview, and its line in the list.
#include <QAbstractTableModel>
#include <QStyledItemDelegate>
#include <QWidget>

#include <vector>

#include "core/base/Json.h"

class QTableView;
class QVBoxLayout;

namespace trainyard::ui {

class CopyField;
class KeyValueGrid;
class TextLabel;

/// "Image folder", "IDX files".
[[nodiscard]] QString datasetKindWord(const std::string& kind);
/// How many findings that are more than a hint an answer of dataset.list (a number) or dataset.show (a list) tells of.
[[nodiscard]] int problemCount(const base::Json& dataset);
/// The numbers of its versions, oldest first, of an answer of dataset.list or dataset.show.
[[nodiscard]] std::vector<int> datasetVersions(const base::Json& dataset);

/// When it was added, in microseconds UTC; 0 when that is not told.
[[nodiscard]] std::int64_t datasetTime(const base::Json& dataset);

/// A dataset in the list: its name with what is wrong, what it is below.
class DatasetRowDelegate : public QStyledItemDelegate {
    Q_OBJECT

public:
    enum Role { FactsRole = Qt::UserRole + 1, ProblemsRole };

    using QStyledItemDelegate::QStyledItemDelegate;
    void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override;
    [[nodiscard]] QSize sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const override;
};

/// Classes with their samples in each split; sorts by its columns.
class ClassModel : public QAbstractTableModel {
    Q_OBJECT

public:
    enum Column { Name, Training, Validation, Share, ColumnCount };
    enum Role { TrainRole = Qt::UserRole + 1, ValRole, MostRole };
    struct Line {
        QString name;
        qint64 train = 0;
        qint64 val = 0;
    };

    using QAbstractTableModel::QAbstractTableModel;
    void setClasses(std::vector<Line> lines);
    [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] QVariant data(const QModelIndex& index, int role) const override;
    [[nodiscard]] QVariant headerData(int section, Qt::Orientation orientation, int role) const override;
    void sort(int column, Qt::SortOrder order) override;

private:
    std::vector<Line> m_lines;
    qint64 m_most = 0;
    qint64 m_all = 0;
};

class ClassesPanel : public QWidget {
    Q_OBJECT

public:
    explicit ClassesPanel(QWidget* parent);
    void setDataset(const base::Json& detail);

Q_SIGNALS:
    void chosen(const QString& label);

private:
    ClassModel* m_model;
    QTableView* m_table;
};

/// Sizes of the pictures and the statistics of their channels.
class PicturesPanel : public QWidget {
    Q_OBJECT

public:
    explicit PicturesPanel(QWidget* parent);
    /// False when nothing of the kind is known.
    bool setDataset(const base::Json& detail);

private:
    KeyValueGrid* m_facts;
};

/// Where the files lie, where they came from, and the hash of their content.
class PlacePanel : public QWidget {
    Q_OBJECT

public:
    explicit PlacePanel(QWidget* parent);
    void setDataset(const base::Json& detail);

private:
    void add(const QString& name, const QString& value, const QString& object);

    KeyValueGrid* m_facts;
};

/// What is wrong with a dataset: each finding with its number, its remedy and, on demand, its files.
class ProblemsPanel : public QWidget {
    Q_OBJECT

public:
    explicit ProblemsPanel(QWidget* parent);
    void setDataset(const base::Json& detail);

private:
    void addProblem(const base::Json& problem);

    QVBoxLayout* m_lines;
};

}  // namespace trainyard::ui
