#pragma once
// The history as a table over the index, page by page. Filtering and sorting are the index's work; this holds only the
// rows that were scrolled to.
#include <QAbstractTableModel>
#include <QTimer>
#include <map>
#include <vector>

#include "core/commands/Session.h"
#include "core/store/Types.h"

namespace trainyard::commands {
class Session;
}

namespace trainyard::ui {

class RunsModel : public QAbstractTableModel {
    Q_OBJECT

public:
    enum Column { State, Number, Name, Experiment, Tags, Progress, Duration, Started, FirstMetric };
    /// A metric column: its name and which of its values.
    struct MetricColumn {
        std::string name;
        store::MetricValue value = store::MetricValue::Last;
        bool operator==(const MetricColumn&) const = default;
    };

    explicit RunsModel(commands::Session& session, QObject* parent = nullptr);

    [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    [[nodiscard]] QVariant headerData(int section, Qt::Orientation orientation, int role) const override;
    [[nodiscard]] Qt::ItemFlags flags(const QModelIndex& index) const override;
    /// Renames a run, by the command.
    bool setData(const QModelIndex& index, const QVariant& value, int role) override;
    [[nodiscard]] bool canFetchMore(const QModelIndex& parent) const override;
    void fetchMore(const QModelIndex& parent) override;
    void sort(int column, Qt::SortOrder order) override;

    [[nodiscard]] const store::RunRow* rowAt(int row) const;
    [[nodiscard]] int rowOf(const base::RunId& id) const;

    void setFilter(const QString& filter, store::Archived archived);
    [[nodiscard]] QString filter() const { return QString::fromStdString(m_query.filter); }
    void setMetricColumns(std::vector<MetricColumn> columns);
    [[nodiscard]] const std::vector<MetricColumn>& metricColumns() const { return m_metrics; }
    /// All runs that match, loaded or not; -1 before the first answer.
    [[nodiscard]] std::int64_t total() const { return m_total; }
    [[nodiscard]] bool loadedOnce() const { return m_loadedOnce; }
    /// While hidden nothing is read; becoming live catches up.
    void setLive(bool live);
    /// Reads again what is loaded now.
    void refresh();

    [[nodiscard]] int sortColumn() const { return m_sortColumn; }
    [[nodiscard]] Qt::SortOrder sortOrder() const { return m_sortOrder; }

Q_SIGNALS:
    /// The first page of a new filter or order is there, or a refresh came in.
    void loaded();
    void totalChanged();
    /// The filter cannot be read, or the index cannot; an empty text when it is well again.
    void failed(const QString& text);
    void renameFailed(const trainyard::base::Error& error);

private:
    void note(const QList<runs::RunChange>& changes);
    void load(bool replace);
    void takeFirst(store::RunPage page);
    void merge(std::vector<store::RunRow> rows);
    void refreshInPlace();
    [[nodiscard]] QVariant metricData(const store::RunRow& row, const MetricColumn& column, int role) const;
    void tick();

    commands::Session& m_session;
    std::vector<store::RunRow> m_rows;
    std::vector<MetricColumn> m_metrics;
    store::RunQuery m_query;
    std::string m_next;
    int m_sortColumn = Number;
    Qt::SortOrder m_sortOrder = Qt::DescendingOrder;
    bool m_fetching = false;
    bool m_loadedOnce = false;
    bool m_live = false;
    bool m_stale = false;
    bool m_refreshing = false;
    quint64 m_generation = 0;
    std::int64_t m_total = -1;
    QTimer m_soon;
    QTimer m_clock;
};

}  // namespace trainyard::ui
