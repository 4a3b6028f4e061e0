#include "core/store/RunList.h"

#include <algorithm>
#include <charconv>

#include "core/base/Clock.h"
#include "core/base/Text.h"
#include "core/store/BodyReading.h"
#include "core/store/Filter.h"

namespace trainyard::store {
namespace {

using base::Error;

constexpr int kMostRows = 10'000;

std::string metricColumn(MetricValue value) {
    switch (value) {
    case MetricValue::Last: return "last";
    case MetricValue::Min: return "min";
    case MetricValue::Max: return "max";
    case MetricValue::First: return "first";
    }
    return "last";
}

/// What runs are ordered by. Empty values (NULL) come last either way.
SqlCondition sortKey(const RunSort& sort, std::int64_t now) {
    switch (sort.column) {
    case RunColumn::Number: return {"number", {}};
    case RunColumn::Name: return {"name", {}};
    case RunColumn::Experiment: return {"experiment COLLATE NOCASE", {}};
    case RunColumn::State:
        return {
            "CASE state WHEN 'Running' THEN 0 WHEN 'Finalizing' THEN 1 WHEN 'Queued' THEN 2 WHEN 'Preparing' THEN 3 "
            "WHEN 'Lost' THEN 4 WHEN 'Failed' THEN 5 WHEN 'Canceled' THEN 6 WHEN 'Completed' THEN 7 ELSE 8 END",
            {}};
    case RunColumn::Created: return {"nullif(created_at, 0)", {}};
    case RunColumn::Started: return {"nullif(started_at, 0)", {}};
    case RunColumn::Ended: return {"nullif(ended_at, 0)", {}};
    case RunColumn::Duration: return {"iif(started_at > 0, iif(ended_at > 0, ended_at, ?) - started_at, NULL)", {now}};
    case RunColumn::Target: return {"target COLLATE NOCASE", {}};
    case RunColumn::Metric: break;  // Goes along the metric's own index.
    }
    return {"number", {}};
}

void bindAll(SQLite::Statement& statement, const std::vector<SqlValue>& values) {
    int index = 0;
    for (const SqlValue& value : values) std::visit([&](const auto& v) { statement.bind(++index, v); }, value);
}

const char* archivedCondition(Archived archived) {
    switch (archived) {
    case Archived::Hide: return "archived = 0";
    case Archived::Only: return "archived = 1";
    case Archived::Include: return "1";
    }
    return "1";
}

/// Where a page ended: the sort it belongs to, and the key and number of its last row.
struct PageEnd {
    std::int64_t now = 0;
    Json key;
    std::int64_t number = 0;
};

Json sortName(const RunSort& sort) {
    return Json{static_cast<int>(sort.column), sort.descending, sort.metric, static_cast<int>(sort.metricValue)};
}

Result<std::optional<PageEnd>> readPageEnd(const RunQuery& query) {
    if (query.after.empty()) return std::optional<PageEnd>();
    const auto parsed = base::parseJson(query.after);
    if (!parsed || !parsed->is_object() || !parsed->contains("sort") || (*parsed)["sort"] != sortName(query.sort) ||
        !parsed->contains("key"))
        return Error{"store.page", "The list was sorted differently before; begin with its first page."};
    return std::optional<PageEnd>(PageEnd{integerAt(*parsed, "now"), (*parsed)["key"], integerAt(*parsed, "number")});
}

SqlValue valueOf(const Json& key) {
    if (key.is_number_integer()) return key.get<std::int64_t>();
    if (key.is_object())  // A double, spelled so that infinities survive.
        return base::jsonToNumber(key.value("real", Json(0))).value_or(0);
    return key.is_string() ? key.get<std::string>() : std::string();
}

std::string writePageEnd(const RunSort& sort, std::int64_t now, const SQLite::Column& key, std::int64_t number) {
    Json json{{"sort", sortName(sort)}, {"now", now}, {"key", nullptr}, {"number", number}};
    if (key.isInteger())
        json["key"] = key.getInt64();
    else if (key.isFloat())
        json["key"] = Json{{"real", base::numberToJson(key.getDouble())}};
    else if (key.isText())
        json["key"] = key.getString();
    return base::dumpJson(json);
}

void readTags(Connection& connection, RunRow& row) {
    Query rows(connection, "SELECT name, value FROM tags WHERE run = ? AND value IS NOT NULL ORDER BY name",
               row.number);
    while (rows.next()) row.tags.emplace_back(rows.text(0), rows.text(1));
}

void readMetrics(Connection& connection, RunRow& row) {
    Query rows(connection,
               "SELECT name, rank, count, non_finite, first_step, first, last_step, last, min_step, min, max_step, max "
               "FROM run_metrics WHERE run = ? ORDER BY name",
               row.number);
    while (rows.next())
        row.metrics.push_back({rows.text(0), rows.small(1), rows.integer(2), rows.integer(3), rows.integer(4),
                               rows.real(5), rows.integer(6), rows.real(7), rows.integer(8), rows.real(9),
                               rows.integer(10), rows.real(11)});
}

Progress readProgress(const std::string& text, std::int64_t at) {
    Progress progress;
    progress.at = at;
    const auto body = base::parseJson(text);
    if (!body) return progress;
    progress.stage = textAt(*body, "stage");
    progress.done = numberAt(*body, "done");
    progress.total = numberAt(*body, "total");
    progress.unit = textAt(*body, "unit");
    progress.epoch = integerAt(*body, "epoch");
    progress.epochs = integerAt(*body, "epochs");
    progress.step = integerAt(*body, "step");
    progress.steps = integerAt(*body, "steps");
    progress.rate = numberAt(*body, "rate");
    progress.etaNanos = integerAt(*body, "eta_ns");
    return progress;
}

}  // namespace

Error unknownRun(std::string_view text) {
    return {"store.run_unknown", "There is no run " + std::string(text) + " in this workspace."};
}

Result<RunRow> loadRun(Connection& connection, std::int64_t number, bool withMetrics) {
    RunRow run;
    {
        Query row(
            connection,
            "SELECT id, experiment, name, description, state, state_reason, created_at, started_at, ended_at, "
            "attempts, target, environment, processes, task_kind, model_family, parent, notes, archived, log_lines, "
            "warnings, progress, progress_at, reproduces FROM runs WHERE number = ?",
            number);
        if (!row.next()) return unknownRun("#" + std::to_string(number));
        run.id = RunId(row.text(0));
        run.number = number;
        run.experiment = row.text(1);
        run.name = row.text(2);
        run.description = row.text(3);
        run.state = spec::runStateFromString(row.text(4)).value_or(spec::RunState::Draft);
        run.stateReason = row.text(5);
        run.createdAt = row.integer(6);
        run.startedAt = row.integer(7);
        run.endedAt = row.integer(8);
        run.attempts = row.small(9);
        run.target = row.text(10);
        run.environment = row.text(11);
        run.processes = row.small(12);
        run.taskKind = row.text(13);
        run.modelFamily = row.text(14);
        run.parent = row.text(15);
        run.notes = row.text(16);
        run.archived = row.small(17) != 0;
        run.logLines = row.integer(18);
        run.warnings = row.integer(19);
        if (!row.isNull(20)) run.progress = readProgress(row.text(20), row.integer(21));
        run.reproduces = row.text(22);
    }
    readTags(connection, run);
    if (withMetrics) readMetrics(connection, run);
    return run;
}

namespace {

/// A page while it is gathered, perhaps from two statements.
class PageBuilder {
public:
    PageBuilder(Connection& connection, const RunQuery& query, std::int64_t now)
        : m_connection(connection), m_query(query), m_now(now), m_limit(std::clamp(query.limit, 1, kMostRows)) {}

    /// Rows still wanted, and one more to see whether the page is the last.
    [[nodiscard]] int wanted() const { return m_limit + 1 - static_cast<int>(m_numbers.size()); }

    /// Takes (number, key) rows; `sql` ends in ORDER BY.
    void add(const std::string& sql, const std::vector<SqlValue>& values) {
        SQLite::Statement statement(m_connection.db(), sql + " LIMIT " + std::to_string(wanted()));
        bindAll(statement, values);
        while (statement.executeStep()) {
            m_numbers.push_back(statement.getColumn(0).getInt64());
            if (static_cast<int>(m_numbers.size()) == m_limit)
                m_end = writePageEnd(m_query.sort, m_now, statement.getColumn(1), m_numbers.back());
        }
    }

    [[nodiscard]] Result<RunPage> page() {
        RunPage page;
        if (static_cast<int>(m_numbers.size()) > m_limit) {
            m_numbers.pop_back();
            page.next = m_end;
        }
        for (const std::int64_t number : m_numbers) {
            auto row = loadRun(m_connection, number, m_query.withMetrics);
            if (!row) return row.error();
            page.rows.push_back(std::move(*row));
        }
        return page;
    }

private:
    Connection& m_connection;
    const RunQuery& m_query;
    std::int64_t m_now;
    int m_limit;
    std::vector<std::int64_t> m_numbers;
    std::string m_end;
};

/// By a metric: first along the metric's index, then the runs that do not have it. A key worked out for every run
/// would cost half a second in a workspace of 100,000 runs.
void addByMetric(PageBuilder& builder, const RunQuery& query, const SqlCondition& filter,
                 const std::optional<PageEnd>& end) {
    const std::string column = "m." + metricColumn(query.sort.metricValue);
    const std::string direction = query.sort.descending ? " DESC" : "";
    const std::string beyond = query.sort.descending ? "<" : ">";
    const std::string chosen = std::string(archivedCondition(query.archived)) + " AND " + filter.sql;
    if (!end || !end->key.is_null()) {
        std::string after;
        std::vector<SqlValue> values{query.sort.metric};
        if (end) {
            after = " AND " + column + " " + beyond + "= ? AND (" + column + " " + beyond + " ? OR number " + beyond +
                    " ?)";
            values.push_back(valueOf(end->key));
            values.push_back(valueOf(end->key));
            values.emplace_back(end->number);
        }
        values.insert(values.end(), filter.values.begin(), filter.values.end());
        builder.add("SELECT number, " + column +
                        " FROM run_metrics AS m CROSS JOIN runs ON number = m.run WHERE m.name = ? AND " + column +
                        " IS NOT NULL" + after + " AND " + chosen + " ORDER BY " + column + direction + ", m.run" +
                        direction,
                    values);
    }
    if (builder.wanted() <= 0) return;
    std::vector<SqlValue> values{query.sort.metric};
    values.insert(values.end(), filter.values.begin(), filter.values.end());
    std::string after;
    if (end && end->key.is_null()) {
        after = " AND number " + beyond + " ?";
        values.emplace_back(end->number);
    }
    builder.add(
        "SELECT number, NULL FROM runs WHERE NOT EXISTS (SELECT 1 FROM run_metrics AS m WHERE m.run = number AND "
        "m.name = ? AND " +
            column + " IS NOT NULL) AND " + chosen + after + " ORDER BY number" + direction,
        values);
}

void addByColumn(PageBuilder& builder, const RunQuery& query, const SqlCondition& filter,
                 const std::optional<PageEnd>& end, std::int64_t now) {
    const SqlCondition key = sortKey(query.sort, now);
    const std::string direction = query.sort.descending ? " DESC" : "";
    const std::string beyond = query.sort.descending ? "<" : ">";
    const bool byNumber = query.sort.column == RunColumn::Number;
    std::vector<SqlValue> values = key.values;
    values.insert(values.end(), filter.values.begin(), filter.values.end());
    std::string after;
    if (end && byNumber) {
        after = " WHERE number " + beyond + " ?";
        values.emplace_back(end->number);
    } else if (end && end->key.is_null()) {
        after = " WHERE k IS NULL AND number " + beyond + " ?";
        values.emplace_back(end->number);
    } else if (end) {
        after = " WHERE k IS NULL OR k " + beyond + " ? OR (k = ? AND number " + beyond + " ?)";
        values.push_back(valueOf(end->key));
        values.push_back(valueOf(end->key));
        values.emplace_back(end->number);
    }
    builder.add("SELECT number, k FROM (SELECT number, " + key.sql + " AS k FROM runs WHERE " +
                    archivedCondition(query.archived) + " AND " + filter.sql + ")" + after + " ORDER BY " +
                    (byNumber ? "" : "k IS NULL, k" + direction + ", ") + "number" + direction,
                values);
}

}  // namespace

Result<RunPage> listRunPage(Connection& connection, const RunQuery& query) {
    const auto end = readPageEnd(query);
    if (!end) return end.error();
    const std::int64_t now = *end ? (*end)->now : base::wallMicros();
    const auto filter = parseFilter(query.filter, now);
    if (!filter) return filter.error();
    PageBuilder builder(connection, query, now);
    if (query.sort.column == RunColumn::Metric)
        addByMetric(builder, query, *filter, *end);
    else
        addByColumn(builder, query, *filter, *end, now);
    return builder.page();
}

Result<std::int64_t> countMatchingRuns(Connection& connection, const RunQuery& query) {
    const auto filter = parseFilter(query.filter, base::wallMicros());
    if (!filter) return filter.error();
    SQLite::Statement statement(connection.db(), std::string("SELECT count(*) FROM runs WHERE ") +
                                                     archivedCondition(query.archived) + " AND " + filter->sql);
    bindAll(statement, filter->values);
    return statement.executeStep() ? statement.getColumn(0).getInt64() : std::int64_t{0};
}

Result<std::int64_t> findRunNumber(Connection& connection, std::string_view given) {
    const std::string text(base::trim(given));
    if (text.empty()) return unknownRun("\"\"");
    const std::string_view digits = text[0] == '#' ? std::string_view(text).substr(1) : std::string_view(text);
    std::int64_t number = 0;
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (!digits.empty() && error == std::errc() && stop == digits.data() + digits.size()) {
        Query row(connection, "SELECT 1 FROM runs WHERE number = ?", number);
        if (row.next()) return number;
    }
    constexpr int kShown = 5;
    std::vector<std::int64_t> found;
    std::string candidates;
    {
        Query rows(
            connection,
            "SELECT number, id, name FROM runs WHERE (id >= ?1 AND id < ?1 || '~') OR (name = ?1 COLLATE BINARY) "
            "ORDER BY number DESC LIMIT 6",
            text);
        while (rows.next()) {
            if (rows.text(1) == text) return rows.integer(0);
            found.push_back(rows.integer(0));
            if (static_cast<int>(found.size()) <= kShown)
                candidates += (candidates.empty() ? "" : ", ") + ("#" + std::to_string(rows.integer(0))) + " " +
                              rows.text(2) + " (" + rows.text(1) + ")";
        }
    }
    if (found.empty()) return unknownRun(text);
    if (found.size() == 1) return found.front();
    if (static_cast<int>(found.size()) > kShown) candidates += " and more";
    return Error{"store.run_ambiguous", "\"" + text + "\" means several runs: " + candidates + "."};
}

}  // namespace trainyard::store
