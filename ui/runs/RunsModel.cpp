#include "ui/runs/RunsModel.h"

#include <QStringList>
#include <algorithm>
#include <cmath>
#include <set>

#include "core/base/Clock.h"
#include "core/commands/Session.h"
#include "core/store/Reader.h"
#include "ui/runs/RunRef.h"
#include "ui/widgets/Format.h"
#include "ui/widgets/Tables.h"

namespace trainyard::ui {

using base::Json;
using base::Result;
using store::MetricValue;
using store::RunRow;

namespace {

constexpr int kPage = 200;
/// A refresh reads this many rows at most in one go (the index's own limit); beyond it rows are refreshed one by one.
constexpr std::size_t kWholeRefresh = 10'000;
constexpr int kRefreshMillis = 250;

double valueOf(const store::MetricSummary& metric, MetricValue which) {
    switch (which) {
    case MetricValue::Last: return metric.last;
    case MetricValue::Min: return metric.min;
    case MetricValue::Max: return metric.max;
    case MetricValue::First: return metric.first;
    }
    return metric.last;
}

bool sameShown(const RunRow& a, const RunRow& b) {
    const auto progress = [](const RunRow& row) { return row.progress ? row.progress->at : 0; };
    if (a.state != b.state || a.name != b.name || a.tags != b.tags || a.startedAt != b.startedAt ||
        a.endedAt != b.endedAt || a.notes != b.notes || a.archived != b.archived || progress(a) != progress(b) ||
        a.stateReason != b.stateReason || a.metrics.size() != b.metrics.size() || a.warnings != b.warnings) {
        return false;
    }
    return std::equal(a.metrics.begin(), a.metrics.end(), b.metrics.begin(),
                      [](const auto& x, const auto& y) { return x.name == y.name && x.count == y.count; });
}

}  // namespace

RunsModel::RunsModel(commands::Session& session, QObject* parent)
    : QAbstractTableModel(parent), m_session(session), m_metrics{{"val/accuracy", MetricValue::Max},
                                                                 {"val/accuracy", MetricValue::Last},
                                                                 {"val/loss", MetricValue::Last}} {
    m_query.limit = kPage;
    m_soon.setSingleShot(true);
    m_soon.setInterval(kRefreshMillis);
    connect(&m_soon, &QTimer::timeout, this, &RunsModel::refresh);
    m_clock.setInterval(1000);
    connect(&m_clock, &QTimer::timeout, this, &RunsModel::tick);
    connect(&session, &commands::Session::runsChanged, this, &RunsModel::note);
}

int RunsModel::rowCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : static_cast<int>(m_rows.size());
}

int RunsModel::columnCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : FirstMetric + static_cast<int>(m_metrics.size());
}

const RunRow* RunsModel::rowAt(int row) const {
    return row >= 0 && row < static_cast<int>(m_rows.size()) ? &m_rows[static_cast<std::size_t>(row)] : nullptr;
}

int RunsModel::rowOf(const base::RunId& id) const {
    const auto at = std::find_if(m_rows.begin(), m_rows.end(), [&](const RunRow& row) { return row.id == id; });
    return at == m_rows.end() ? -1 : static_cast<int>(at - m_rows.begin());
}

Qt::ItemFlags RunsModel::flags(const QModelIndex& index) const {
    Qt::ItemFlags flags = QAbstractTableModel::flags(index);
    if (index.isValid() && index.column() == Name) flags |= Qt::ItemIsEditable;
    return flags;
}

bool RunsModel::setData(const QModelIndex& index, const QVariant& value, int role) {
    const RunRow* row = rowAt(index.row());
    if (!row || role != Qt::EditRole || index.column() != Name) return false;
    const QString name = value.toString().trimmed();
    if (name.isEmpty() || name == fromUtf8(row->name)) return false;
    m_session.start("run.rename", Json{{"run", row->id.str()}, {"name", name.toStdString()}}, this,
                    [this](const Result<Json>& result) {
                        if (!result) Q_EMIT renameFailed(result.error());
                    });
    m_rows[static_cast<std::size_t>(index.row())].name = name.toStdString();
    Q_EMIT dataChanged(index, index);
    return true;
}

QVariant RunsModel::metricData(const RunRow& row, const MetricColumn& column, int role) const {
    const store::MetricSummary* metric = metricOf(row, column.name);
    switch (role) {
    case NumberRole: return true;
    case Qt::DisplayRole: {
        if (!metric) return QString();
        const double value = valueOf(*metric, column.value);
        return std::isfinite(value) ? formatMetric(column.name, value) : tr("NaN");
    }
    case Qt::ToolTipRole: {
        if (!metric) return {};
        QString text = exactNumber(valueOf(*metric, column.value));
        if (column.value == MetricValue::Max) text += tr(" at step %1").arg(formatExact(metric->maxStep));
        if (column.value == MetricValue::Min) text += tr(" at step %1").arg(formatExact(metric->minStep));
        if (column.value == MetricValue::Last) text += tr(" at step %1").arg(formatExact(metric->lastStep));
        return text;
    }
    default: return {};
    }
}

QVariant RunsModel::data(const QModelIndex& index, int role) const {
    const RunRow* row = rowAt(index.row());
    if (!row) return {};
    if (index.column() >= FirstMetric) {
        return metricData(*row, m_metrics[static_cast<std::size_t>(index.column() - FirstMetric)], role);
    }
    const bool figures = index.column() == Number || index.column() == Duration;
    if (role == NumberRole) return figures;
    if (role == MutedRole) return index.column() == Experiment || index.column() == Started;
    switch (index.column()) {
    case State:
        if (role == StateRole) return static_cast<int>(row->state);
        if (role == Qt::ToolTipRole) return fromUtf8(row->stateReason);
        if (role == Qt::AccessibleTextRole) return fromUtf8(spec::toString(row->state));
        break;
    case Number:
        if (role == Qt::DisplayRole) return QString::number(row->number);
        break;
    case Name:
        if (role == Qt::DisplayRole || role == Qt::EditRole) return fromUtf8(row->name);
        if (role == RunColorRole) return runColorOf(row->number);
        if (role == Qt::ToolTipRole) {
            QStringList lines{fromUtf8(row->name)};
            if (!row->description.empty()) lines << fromUtf8(row->description);
            if (!row->notes.empty()) lines << fromUtf8(row->notes);
            return lines.join(u'\n');
        }
        break;
    case Experiment:
        if (role == Qt::DisplayRole || role == Qt::ToolTipRole) return fromUtf8(row->experiment);
        break;
    case Tags:
        if (role == TagsRole || role == Qt::ToolTipRole || role == Qt::AccessibleTextRole) {
            QStringList tags;
            for (const auto& [name, value] : row->tags) {
                tags << (value.empty() ? fromUtf8(name) : fromUtf8(name) + u'=' + fromUtf8(value));
            }
            if (role == TagsRole) return tags;
            return tags.join(QStringLiteral(", "));
        }
        break;
    case Progress: {
        const std::optional<double> fraction = fractionOf(*row);
        if (role == ProgressRole && fraction && !spec::isFinal(row->state)) return *fraction;
        if (role == Qt::DisplayRole) {
            if (row->state == spec::RunState::Completed) return QString();
            if (!fraction)
                return row->metrics.empty() ? QString() : tr("step %1").arg(formatExact(row->metrics.front().lastStep));
            return formatPercent(*fraction);
        }
        if (role == Qt::ToolTipRole && row->progress) return progressText(*row->progress);
        break;
    }
    case Duration: {
        const std::int64_t nanos = durationOf(*row, base::wallMicros());
        if (role == Qt::DisplayRole) return row->startedAt == 0 ? QString() : formatDuration(nanos);
        if (role == Qt::ToolTipRole && row->startedAt != 0) {
            return row->endedAt == 0 ? tr("since %1").arg(formatTime(row->startedAt))
                                     : tr("%1 to %2").arg(formatTime(row->startedAt), formatTime(row->endedAt));
        }
        break;
    }
    case Started: {
        const std::int64_t at = row->startedAt != 0 ? row->startedAt : row->createdAt;
        if (role == Qt::DisplayRole) return formatAgo(at);
        if (role == Qt::ToolTipRole) return formatTime(at);
        break;
    }
    default: break;
    }
    return {};
}

QVariant RunsModel::headerData(int section, Qt::Orientation orientation, int role) const {
    if (orientation != Qt::Horizontal) return {};
    const bool right = section == Number || section == Duration || section >= FirstMetric;
    if (role == Qt::TextAlignmentRole) return QVariant((right ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter);
    if (role == Qt::ToolTipRole && section >= FirstMetric && section < columnCount()) {
        return fromUtf8(m_metrics[static_cast<std::size_t>(section - FirstMetric)].name);
    }
    if (role != Qt::DisplayRole) return {};
    switch (section) {
    case State: return tr("State");
    case Number: return tr("#");
    case Name: return tr("Name");
    case Experiment: return tr("Experiment");
    case Tags: return tr("Tags");
    case Progress: return tr("Progress");
    case Duration: return tr("Duration");
    case Started: return tr("Started");
    default: break;
    }
    if (section < FirstMetric || section >= columnCount()) return {};
    const MetricColumn& column = m_metrics[static_cast<std::size_t>(section - FirstMetric)];
    // The validation is what a list is read for; its name goes without saying.
    QString title = metricTitle(column.name.starts_with("val/") ? column.name.substr(4) : column.name);
    if (!title.isEmpty()) title[0] = title[0].toUpper();
    switch (column.value) {
    case MetricValue::Last: return tr("%1, last").arg(title);
    case MetricValue::First: return tr("%1, first").arg(title);
    case MetricValue::Min:
        return smallerIsBetter(column.name) ? tr("%1, best").arg(title) : tr("%1, lowest").arg(title);
    case MetricValue::Max:
        return smallerIsBetter(column.name) ? tr("%1, highest").arg(title) : tr("%1, best").arg(title);
    }
    return title;
}

bool RunsModel::canFetchMore(const QModelIndex& parent) const {
    return !parent.isValid() && !m_next.empty() && !m_fetching;
}

void RunsModel::fetchMore(const QModelIndex& parent) {
    if (canFetchMore(parent)) load(false);
}

void RunsModel::sort(int column, Qt::SortOrder order) {
    using store::RunColumn;
    store::RunSort wanted;
    wanted.descending = order == Qt::DescendingOrder;
    switch (column) {
    case State: wanted.column = RunColumn::State; break;
    case Number: wanted.column = RunColumn::Number; break;
    case Name: wanted.column = RunColumn::Name; break;
    case Experiment: wanted.column = RunColumn::Experiment; break;
    case Duration: wanted.column = RunColumn::Duration; break;
    case Started: wanted.column = RunColumn::Started; break;
    default:
        if (column < FirstMetric || column >= columnCount()) return;
        wanted.column = RunColumn::Metric;
        wanted.metric = m_metrics[static_cast<std::size_t>(column - FirstMetric)].name;
        wanted.metricValue = m_metrics[static_cast<std::size_t>(column - FirstMetric)].value;
    }
    m_sortColumn = column;
    m_sortOrder = order;
    m_query.sort = wanted;
    if (m_live) load(true);
}

void RunsModel::setFilter(const QString& filter, store::Archived archived) {
    const std::string text = filter.trimmed().toStdString();
    if (text == m_query.filter && archived == m_query.archived && m_loadedOnce) return;
    m_query.filter = text;
    m_query.archived = archived;
    if (m_live) {
        load(true);
    } else {
        m_stale = true;
    }
}

void RunsModel::setMetricColumns(std::vector<MetricColumn> columns) {
    if (columns == m_metrics) return;
    beginResetModel();
    m_metrics = std::move(columns);
    endResetModel();
}

void RunsModel::setLive(bool live) {
    if (m_live == live) return;
    m_live = live;
    if (!live) {
        m_clock.stop();
        return;
    }
    m_clock.start();
    if (!m_loadedOnce || m_stale) {
        m_stale = false;
        load(true);
    } else {
        refresh();
    }
}

void RunsModel::note(const QList<runs::RunChange>& changes) {
    using runs::RunPart;
    constexpr runs::RunParts shown =
        RunPart::Added | RunPart::Removed | RunPart::State | RunPart::Metrics | RunPart::Progress | RunPart::Meta;
    const bool matters =
        std::any_of(changes.begin(), changes.end(), [&](const auto& change) { return change.parts & shown; });
    if (matters && m_live && !m_soon.isActive()) m_soon.start();
}

void RunsModel::load(bool replace) {
    m_fetching = true;
    store::RunQuery query = m_query;
    query.after = replace ? std::string() : m_next;
    if (replace) ++m_generation;
    struct Answer {
        store::RunPage page;
        std::int64_t total = -1;
    };
    m_session.query(
        this, QStringLiteral("runs.page"),
        [query, replace](store::Reader& reader) -> Result<Answer> {
            auto page = reader.listRuns(query);
            if (!page) return page.error();
            Answer answer{std::move(*page), -1};
            if (replace) {
                auto total = reader.countRuns(query);
                if (!total) return total.error();
                answer.total = *total;
            }
            return answer;
        },
        [this, replace, generation = m_generation](Result<Answer> answer) {
            if (generation != m_generation) return;
            m_fetching = false;
            if (!answer) {
                if (answer.error().code != "canceled") Q_EMIT failed(fromUtf8(answer.error().message));
                return;
            }
            Q_EMIT failed(QString());
            if (replace) {
                m_total = answer->total;
                takeFirst(std::move(answer->page));
                Q_EMIT totalChanged();
                return;
            }
            m_next = answer->page.next;
            // A run that moved since the page before may come twice.
            std::set<base::RunId> known;
            for (const RunRow& row : m_rows) known.insert(row.id);
            std::erase_if(answer->page.rows, [&](const RunRow& row) { return known.contains(row.id); });
            if (answer->page.rows.empty()) return;
            const int first = static_cast<int>(m_rows.size());
            beginInsertRows({}, first, first + static_cast<int>(answer->page.rows.size()) - 1);
            std::move(answer->page.rows.begin(), answer->page.rows.end(), std::back_inserter(m_rows));
            endInsertRows();
        });
}

void RunsModel::takeFirst(store::RunPage page) {
    beginResetModel();
    m_rows = std::move(page.rows);
    m_next = std::move(page.next);
    m_loadedOnce = true;
    endResetModel();
    Q_EMIT loaded();
}

void RunsModel::refresh() {
    if (!m_live) {
        m_stale = true;
        return;
    }
    if (!m_loadedOnce) return load(true);
    if (m_fetching || m_refreshing) {
        m_soon.start();
        return;
    }
    if (m_rows.size() > kWholeRefresh) return refreshInPlace();
    m_refreshing = true;
    store::RunQuery query = m_query;
    query.limit = static_cast<int>(std::clamp<std::size_t>(m_rows.size(), kPage, kWholeRefresh));
    struct Answer {
        store::RunPage page;
        std::int64_t total = 0;
    };
    m_session.query(
        this, QStringLiteral("runs.refresh"),
        [query](store::Reader& reader) -> Result<Answer> {
            auto page = reader.listRuns(query);
            if (!page) return page.error();
            auto total = reader.countRuns(query);
            if (!total) return total.error();
            return Answer{std::move(*page), *total};
        },
        [this, generation = m_generation](Result<Answer> answer) {
            m_refreshing = false;
            if (generation != m_generation || m_fetching || !answer) return;
            if (answer->total != m_total) {
                m_total = answer->total;
                Q_EMIT totalChanged();
            }
            m_next = answer->page.next;
            merge(std::move(answer->page.rows));
            Q_EMIT loaded();
        });
}

void RunsModel::refreshInPlace() {
    m_refreshing = true;
    std::vector<base::RunId> active;
    for (const RunRow& row : m_rows) {
        if (!spec::isFinal(row.state)) active.push_back(row.id);
    }
    m_session.query(
        this, QStringLiteral("runs.refresh"),
        [active](store::Reader& reader) -> Result<std::vector<RunRow>> {
            std::vector<RunRow> rows;
            for (const base::RunId& id : active) {
                auto row = reader.run(id);
                if (row) rows.push_back(std::move(*row));
            }
            return rows;
        },
        [this](const Result<std::vector<RunRow>>& rows) {
            m_refreshing = false;
            if (!rows) return;
            for (const RunRow& row : *rows) {
                const int at = rowOf(row.id);
                if (at < 0) continue;
                m_rows[static_cast<std::size_t>(at)] = row;
                Q_EMIT dataChanged(index(at, 0), index(at, columnCount() - 1));
            }
        });
}

void RunsModel::merge(std::vector<RunRow> rows) {
    std::set<base::RunId> wanted;
    for (const RunRow& row : rows) wanted.insert(row.id);
    for (int i = static_cast<int>(m_rows.size()) - 1; i >= 0; --i) {
        if (wanted.contains(m_rows[static_cast<std::size_t>(i)].id)) continue;
        int first = i;
        while (first > 0 && !wanted.contains(m_rows[static_cast<std::size_t>(first) - 1].id)) --first;
        beginRemoveRows({}, first, i);
        m_rows.erase(m_rows.begin() + first, m_rows.begin() + i + 1);
        endRemoveRows();
        i = first;
    }

    std::map<base::RunId, std::size_t> place;
    for (std::size_t i = 0; i < rows.size(); ++i) place[rows[i].id] = i;
    const auto before = [&](const RunRow& a, const RunRow& b) { return place[a.id] < place[b.id]; };
    if (!std::is_sorted(m_rows.begin(), m_rows.end(), before)) {
        Q_EMIT layoutAboutToBeChanged({}, QAbstractItemModel::VerticalSortHint);
        const QModelIndexList old = persistentIndexList();
        std::vector<base::RunId> ids;
        for (const QModelIndex& one : old) ids.push_back(m_rows[static_cast<std::size_t>(one.row())].id);
        std::sort(m_rows.begin(), m_rows.end(), before);
        QModelIndexList moved;
        for (qsizetype i = 0; i < old.size(); ++i) {
            moved << index(rowOf(ids[static_cast<std::size_t>(i)]), old[i].column());
        }
        changePersistentIndexList(old, moved);
        Q_EMIT layoutChanged({}, QAbstractItemModel::VerticalSortHint);
    }

    for (std::size_t i = 0; i < rows.size(); ++i) {
        const int at = static_cast<int>(i);
        if (i < m_rows.size() && m_rows[i].id == rows[i].id) {
            const bool same = sameShown(m_rows[i], rows[i]);
            m_rows[i] = std::move(rows[i]);
            if (!same) Q_EMIT dataChanged(index(at, 0), index(at, columnCount() - 1));
            continue;
        }
        std::size_t last = i;
        while (last + 1 < rows.size() && !(i < m_rows.size() && m_rows[i].id == rows[last + 1].id)) ++last;
        beginInsertRows({}, at, static_cast<int>(last));
        m_rows.insert(m_rows.begin() + at, std::make_move_iterator(rows.begin() + at),
                      std::make_move_iterator(rows.begin() + static_cast<int>(last) + 1));
        endInsertRows();
        i = last;
    }
}

void RunsModel::tick() {
    for (std::size_t i = 0; i < m_rows.size(); ++i) {
        if (m_rows[i].startedAt == 0 || spec::isFinal(m_rows[i].state)) continue;
        const QModelIndex at = index(static_cast<int>(i), Duration);
        Q_EMIT dataChanged(at, at, {Qt::DisplayRole});
    }
}

}  // namespace trainyard::ui
