#include "core/store/Reader.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <map>
#include <mutex>
#include <set>
#include <sqlite3.h>

#include "core/store/Chart.h"
#include "core/store/Connection.h"
#include "core/store/LogReader.h"
#include "core/store/Models.h"
#include "core/store/RunList.h"
#include "core/store/SeriesStore.h"
#include "core/wire/Layout.h"

namespace trainyard::store {

using base::Error;

namespace {

constexpr std::int64_t kMostPoints = 100'000;

/// "0,2" as numbers.
std::vector<int> numbersOf(const std::string& text) {
    std::vector<int> numbers;
    int number = 0;
    const char* const end = text.data() + text.size();
    for (const char* at = text.data(); at < end; ++at) {
        const auto parsed = std::from_chars(at, end, number);
        if (parsed.ec != std::errc()) break;
        numbers.push_back(number);
        at = parsed.ptr;
    }
    return numbers;
}

ItemRow itemHead(const Query& row) {
    return {row.text(0),  row.text(1),  row.integer(2), row.integer(3), row.small(4),
            row.small(5), row.small(6), Json(),         row.integer(7)};
}

/// With its body, out of the segment that the columns behind those of a head name.
Result<ItemRow> wholeItem(const wire::WorkspaceLayout& layout, const RunId& run, const Query& row) {
    ItemRow item = itemHead(row);
    const Path segment = layout.stream(run, item.attempt, item.node) / wire::segmentName(row.small(8));
    const auto bytes = base::readFileRange(segment, row.integer(9), row.integer(10));
    if (!bytes) return bytes.error();
    auto record = wire::decode(*bytes);
    if (!record) return record.error();
    item.body = std::move(record->body);
    return item;
}

}  // namespace

struct Reader::State {
    IndexLocation location;
    OpenOptions options;
    wire::WorkspaceLayout layout;
    CancelToken token;
    std::atomic<bool> interrupted{false};
    std::mutex handleLock;  ///< Held by interrupt() and while the connection is changed.
    std::unique_ptr<Connection> connection;
    std::int64_t opened = 0;  ///< Files opened so far; SQLite counts versions anew in each.

    [[nodiscard]] bool stopped() const { return interrupted.load(std::memory_order_relaxed) || token.canceled(); }

    static int askWhetherToStop(void* state) { return static_cast<State*>(state)->stopped() ? 1 : 0; }

    Status ensureOpen() {
        std::error_code ignored;
        if (connection && (!connection->fileReplaced() || !std::filesystem::exists(location.database, ignored)))
            return {};
        auto fresh = Connection::open(location.database, Connection::Mode::Read, options);
        if (!fresh) return fresh.error();
        constexpr int kInstructions = 2000;
        sqlite3_progress_handler((*fresh)->handle(), kInstructions, &State::askWhetherToStop, this);
        const std::lock_guard guard(handleLock);
        connection = std::move(*fresh);
        ++opened;
        return {};
    }

    /// Runs `body` (Connection& → Result) on one consistent state of the index.
    template <class Body>
    auto query(Body&& body) -> decltype(body(*connection)) {
        interrupted = false;
        if (token.canceled()) return Error{"canceled", "The query was stopped."};
        TRAINYARD_TRY(ensureOpen());
        return guarded(location.database, connection->handle(), [&]() -> decltype(body(*connection)) {
            SQLite::Transaction snapshot(connection->db());  // Ends with a rollback: nothing was written.
            return body(*connection);
        });
    }

    /// The same for one run: body(Connection&, number).
    template <class Body>
    auto queryRun(const RunId& id, Body&& body) -> decltype(body(*connection, std::int64_t{0})) {
        return query([&](Connection& open) -> decltype(body(*connection, std::int64_t{0})) {
            std::int64_t number = 0;
            {
                Query row(open, "SELECT number FROM runs WHERE id = ?", id.str());
                if (!row.next()) return unknownRun(id.str());
                number = row.integer(0);
            }
            return body(open, number);
        });
    }

    static int newestAttempt(Connection& open, std::int64_t number) {
        Query row(open, "SELECT attempts FROM runs WHERE number = ?", number);
        return row.next() ? row.small(0) : 0;
    }

    template <class Body>
    auto queryLog(const RunId& id, const LogFilter& filter, Body&& body)
        -> decltype(body(std::declval<const LogReader&>(), 0)) {
        return queryRun(id, [&](Connection& open, std::int64_t number) {
            const int attempt = filter.attempt == 0 ? newestAttempt(open, number) : filter.attempt;
            int nodes = 0;
            if (!filter.node && (!filter.rank || *filter.rank < 0)) {
                Query row(open, "SELECT coalesce(max(nodes), 0) FROM attempts WHERE run = ? AND attempt = ?", number,
                          attempt);
                nodes = row.next() ? row.small(0) : 0;
            }
            return body(LogReader(openLogStreams(open, layout, id, number, attempt, filter), nodes), attempt);
        });
    }
};

Reader::Reader(std::unique_ptr<State> state) : m_state(std::move(state)) {}
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;
Reader::~Reader() = default;

Result<Reader> Reader::open(const IndexLocation& location, const OpenOptions& options) {
    auto state = std::make_unique<State>();
    state->location = location;
    state->options = options;
    state->layout = {location.workspace};
    TRAINYARD_TRY(state->ensureOpen());
    return Reader(std::move(state));
}

void Reader::interrupt() {
    m_state->interrupted = true;
    const std::lock_guard guard(m_state->handleLock);
    if (m_state->connection) sqlite3_interrupt(m_state->connection->handle());
}

void Reader::setCancelToken(CancelToken token) { m_state->token = std::move(token); }
const IndexLocation& Reader::location() const { return m_state->location; }

Result<RunPage> Reader::listRuns(const RunQuery& query) const {
    return m_state->query([&](Connection& open) { return listRunPage(open, query); });
}

Result<std::int64_t> Reader::countRuns(const RunQuery& query) const {
    return m_state->query([&](Connection& open) { return countMatchingRuns(open, query); });
}

Result<RunRow> Reader::run(const RunId& id) const {
    return m_state->queryRun(id, [](Connection& open, std::int64_t number) { return loadRun(open, number, true); });
}

Result<RunRow> Reader::findRun(std::string_view text) const {
    return m_state->query([&](Connection& open) -> Result<RunRow> {
        const auto number = findRunNumber(open, text);
        return number ? loadRun(open, *number, true) : Result<RunRow>(number.error());
    });
}

Result<Counts> Reader::counts() const {
    return m_state->query([](Connection& open) -> Result<Counts> {
        Counts counts;
        const std::map<std::string, std::int64_t*> places = {
            {"Draft", &counts.preparing}, {"Preparing", &counts.preparing}, {"Queued", &counts.queued},
            {"Running", &counts.running}, {"Finalizing", &counts.running},  {"Completed", &counts.completed},
            {"Failed", &counts.failed},   {"Canceled", &counts.canceled},   {"Lost", &counts.lost}};
        Query rows(open, "SELECT state, archived, count(*) FROM runs GROUP BY state, archived");
        while (rows.next()) {
            const std::int64_t runs = rows.integer(2);
            counts.all += runs;
            if (rows.small(1) != 0) counts.archived += runs;
            if (const auto place = places.find(rows.text(0)); place != places.end()) *place->second += runs;
        }
        return counts;
    });
}

Result<std::map<std::string, std::int64_t>> Reader::activeByTarget() const {
    return m_state->query([](Connection& open) -> Result<std::map<std::string, std::int64_t>> {
        std::map<std::string, std::int64_t> counts;
        Query rows(open, "SELECT target, count(*) FROM runs WHERE state IN ('Draft', 'Preparing', 'Queued', 'Running', "
                         "'Finalizing', 'Lost') GROUP BY target");
        while (rows.next()) counts[rows.text(0)] = rows.integer(1);
        return counts;
    });
}

Result<std::vector<RunId>> Reader::runsLeftBehind() const {
    return m_state->query([](Connection& open) -> Result<std::vector<RunId>> {
        std::vector<RunId> runs;
        Query rows(
            open,
            "SELECT runs.id FROM events JOIN runs ON runs.number = events.run WHERE events.kind = 'collected' AND "
            "json_type(events.body, '$.left') IS NOT NULL AND events.seq = (SELECT max(seq) FROM events AS later "
            "WHERE later.run = events.run AND later.kind = 'collected') ORDER BY runs.number");
        while (rows.next()) runs.emplace_back(rows.text(0));
        return runs;
    });
}

Result<std::vector<std::string>> Reader::metricNames() const {
    return m_state->query([](Connection& open) -> Result<std::vector<std::string>> {
        std::vector<std::string> names;
        // From name to name through the index, instead of over every run.
        Query rows(open, "WITH RECURSIVE n(x) AS (SELECT min(name) FROM run_metrics UNION ALL "
                         "SELECT (SELECT min(name) FROM run_metrics WHERE name > x) FROM n WHERE x IS NOT NULL) "
                         "SELECT x FROM n WHERE x IS NOT NULL");
        while (rows.next()) names.push_back(rows.text(0));
        return names;
    });
}

Result<std::vector<std::string>> Reader::experiments() const {
    return m_state->query([](Connection& open) -> Result<std::vector<std::string>> {
        std::vector<std::string> names;
        Query rows(open, "SELECT DISTINCT experiment FROM runs ORDER BY experiment");
        while (rows.next()) names.push_back(rows.text(0));
        return names;
    });
}

Result<std::vector<StageRow>> Reader::stages(const RunId& run) const {
    return m_state->queryRun(run, [](Connection& open, std::int64_t number) -> Result<std::vector<StageRow>> {
        std::vector<StageRow> stages;
        // Other nodes than the lead repeat what it says.
        Query rows(open,
                   "SELECT state, at, reason, said_attempt, attempt = 0 FROM stages WHERE run = ? AND node = 0 "
                   "ORDER BY at, attempt = 0, attempt, seq",
                   number);
        while (rows.next())
            stages.push_back({spec::runStateFromString(rows.text(0)).value_or(spec::RunState::Draft), rows.integer(1),
                              rows.text(2), rows.small(3), rows.small(4) != 0});
        return stages;
    });
}

Result<std::vector<AttemptRow>> Reader::attempts(const RunId& run) const {
    return m_state->queryRun(run, [](Connection& open, std::int64_t number) -> Result<std::vector<AttemptRow>> {
        std::vector<AttemptRow> attempts;
        Query rows(
            open,
            "SELECT attempt, node, host, world_size, nodes, agent, started_at, ended_at, outcome, reason, goes_on "
            "FROM attempts WHERE run = ? ORDER BY attempt, node",
            number);
        while (rows.next())
            attempts.push_back({rows.small(0), rows.small(1), rows.text(2), rows.small(3), rows.small(4), rows.text(5),
                                rows.integer(6), rows.integer(7), rows.text(8), rows.text(9), rows.small(10) != 0});
        return attempts;
    });
}

Result<std::vector<RankRow>> Reader::ranks(const RunId& run) const {
    return m_state->queryRun(run, [](Connection& open, std::int64_t number) -> Result<std::vector<RankRow>> {
        std::vector<RankRow> ranks;
        Query rows(
            open,
            "SELECT ranks.attempt, rank, ranks.node, coalesce(host, ''), last_at, log_lines, exit_status, signal, "
            "ranks.reason, pid, gpus FROM ranks LEFT JOIN attempts ON attempts.run = ranks.run AND "
            "attempts.attempt = ranks.attempt AND attempts.node = max(ranks.node, 0) WHERE ranks.run = ? "
            "ORDER BY ranks.attempt, rank",
            number);
        while (rows.next()) {
            RankRow rank;
            rank.attempt = rows.small(0);
            rank.rank = rows.small(1);
            rank.node = std::max(0, rows.small(2));
            rank.host = rows.text(3);
            rank.lastAt = rows.integer(4);
            rank.logLines = rows.integer(5);
            if (!rows.isNull(6)) rank.exitStatus = rows.small(6);
            if (!rows.isNull(7)) rank.signal = rows.small(7);
            rank.reason = rows.text(8);
            if (!rows.isNull(9)) rank.pid = rows.integer(9);
            rank.gpus = numbersOf(rows.text(10));
            ranks.push_back(std::move(rank));
        }
        return ranks;
    });
}

Result<std::vector<OutputRow>> Reader::outputs(const RunId& run) const {
    return m_state->queryRun(run, [](Connection& open, std::int64_t number) -> Result<std::vector<OutputRow>> {
        std::map<std::string, OutputRow> newest;
        std::map<int, bool> whollyCollected;
        Query rows(open,
                   "SELECT path, attempt, collected, size, sha256 FROM outputs WHERE run = ? "
                   "ORDER BY path, attempt, collected, node",
                   number);
        while (rows.next()) {
            const std::string path = rows.text(0);
            const bool collected = rows.small(2) != 0;
            if (path.empty()) {
                whollyCollected[rows.small(1)] = true;
                continue;
            }
            OutputRow& output = newest[path];
            if (output.attempt != rows.small(1)) output = {};
            output.path = path;
            output.attempt = rows.small(1);
            output.collected = output.collected || collected || whollyCollected.contains(output.attempt);
            output.size = std::max(output.size, rows.integer(3));
            if (const std::string hash = rows.text(4); !hash.empty()) output.sha256 = hash;
        }
        std::vector<OutputRow> outputs;
        outputs.reserve(newest.size());
        for (auto& [path, output] : newest) outputs.push_back(std::move(output));
        return outputs;
    });
}

Result<std::vector<WarningRow>> Reader::warnings(const RunId& run) const {
    return m_state->queryRun(run, [](Connection& open, std::int64_t number) -> Result<std::vector<WarningRow>> {
        std::vector<WarningRow> warnings;
        Query rows(open,
                   "SELECT at, attempt, node, rank, code, message, count, 0 AS damage, seq AS place FROM warnings "
                   "WHERE run = ?1 UNION ALL SELECT 0, attempt, node, -1, code, message || ' (segment ' || segment || "
                   "', byte ' || offset || ')', 1, 1, offset FROM damaged WHERE run = ?1 "
                   "ORDER BY attempt, node, damage, place",
                   number);
        while (rows.next())
            warnings.push_back({rows.integer(0), rows.small(1), rows.small(2), rows.small(3), rows.text(4),
                                rows.text(5), rows.integer(6), rows.small(7) != 0});
        return warnings;
    });
}

Result<std::vector<ParamRow>> Reader::params(const RunId& run) const {
    return m_state->queryRun(run, [](Connection& open, std::int64_t number) -> Result<std::vector<ParamRow>> {
        std::vector<ParamRow> params;
        Query rows(open, "SELECT name, value FROM params WHERE run = ? ORDER BY name", number);
        while (rows.next()) {
            auto value = base::parseJson(rows.text(1));
            params.push_back({rows.text(0), value ? std::move(*value) : Json(rows.text(1))});
        }
        return params;
    });
}

Result<Json> Reader::spec(const RunId& run) const {
    const auto bytes = base::readFile(m_state->layout.spec(run));
    if (!bytes) return bytes.error();
    return base::parseJson(*bytes);
}

Result<std::vector<EventRow>> Reader::events(const RunId& run, std::string_view kind, int limit) const {
    return m_state->queryRun(run, [&](Connection& open, std::int64_t number) -> Result<std::vector<EventRow>> {
        std::vector<EventRow> events;
        Query rows(
            open,
            "SELECT kind, at, body FROM events WHERE run = ?1 AND (?2 = '' OR kind = ?2) ORDER BY seq DESC LIMIT ?3",
            number, std::string(kind), limit);
        while (rows.next()) {
            auto body = base::parseJson(rows.text(2));
            events.push_back({rows.text(0), rows.integer(1), body ? std::move(*body) : Json::object()});
        }
        std::reverse(events.begin(), events.end());
        return events;
    });
}

Result<std::vector<ItemRow>> Reader::items(const RunId& run, std::string_view kind, int limit) const {
    return m_state->queryRun(run, [&](Connection& open, std::int64_t number) -> Result<std::vector<ItemRow>> {
        std::vector<ItemRow> items;
        Query rows(open,
                   "SELECT kind, name, at, step, attempt, node, rank, seq, segment, offset, length FROM items "
                   "WHERE run = ? AND kind = ? ORDER BY attempt, node, seq LIMIT ?",
                   number, std::string(kind), limit);
        while (rows.next()) {
            auto item = wholeItem(m_state->layout, run, rows);
            if (!item) return item.error();
            items.push_back(std::move(*item));
        }
        return items;
    });
}

Result<std::vector<ItemRow>> Reader::itemHeads(const RunId& run, const std::vector<std::string>& kinds,
                                               int limit) const {
    return m_state->queryRun(run, [&](Connection& open, std::int64_t number) -> Result<std::vector<ItemRow>> {
        std::vector<ItemRow> items;
        Query rows(open,
                   "SELECT kind, name, at, step, attempt, node, rank, seq FROM items "
                   "WHERE run = ? AND kind IN (SELECT value FROM json_each(?)) "
                   "ORDER BY attempt DESC, at DESC, node DESC, seq DESC LIMIT ?",
                   number, base::dumpJson(Json(kinds)), limit);
        while (rows.next()) items.push_back(itemHead(rows));
        std::reverse(items.begin(), items.end());
        return items;
    });
}

Result<ItemRow> Reader::item(const RunId& run, int attempt, int node, std::int64_t seq) const {
    return m_state->queryRun(run, [&](Connection& open, std::int64_t number) -> Result<ItemRow> {
        Query row(open,
                  "SELECT kind, name, at, step, attempt, node, rank, seq, segment, offset, length FROM items "
                  "WHERE run = ? AND attempt = ? AND node = ? AND seq = ?",
                  number, attempt, node, seq);
        if (!row.next()) return Error{"store.item_unknown", "The run has no such record."};
        return wholeItem(m_state->layout, run, row);
    });
}

Result<std::vector<SeriesRow>> Reader::series(const RunId& run, SeriesKind kind) const {
    return m_state->queryRun(run, [&](Connection& open, std::int64_t number) -> Result<std::vector<SeriesRow>> {
        std::vector<SeriesRow> series;
        Query rows(
            open,
            "SELECT name, attempt, node, rank, count, non_finite, first_step, last_step, first_at, last_at, first, "
            "last, min, max, min_step, max_step FROM series WHERE run = ? AND kind = ? "
            "ORDER BY name, attempt, node, rank",
            number, static_cast<int>(kind));
        while (rows.next())
            series.push_back({kind, rows.text(0), rows.small(1), rows.small(2), rows.small(3), rows.integer(4),
                              rows.integer(5), rows.integer(6), rows.integer(7), rows.integer(8), rows.integer(9),
                              rows.real(10), rows.real(11), rows.real(12), rows.real(13), rows.integer(14),
                              rows.integer(15)});
        return series;
    });
}

Result<std::vector<PointRow>> Reader::points(const RunId& run, const SeriesRow& series, std::int64_t first,
                                             std::int64_t count) const {
    return m_state->queryRun(run, [&](Connection& open, std::int64_t number) -> Result<std::vector<PointRow>> {
        std::int64_t id = 0, stored = 0;
        {
            Query row(
                open,
                "SELECT id, count FROM series WHERE run = ? AND kind = ? AND name = ? AND attempt = ? AND node = ? "
                "AND rank = ?",
                number, static_cast<int>(series.kind), series.name, series.attempt, series.node, series.rank);
            if (!row.next()) return std::vector<PointRow>();
            id = row.integer(0);
            stored = row.integer(1);
        }
        const std::int64_t begin = std::clamp<std::int64_t>(first, 0, stored);
        const std::int64_t end = begin + std::clamp<std::int64_t>(count, 0, std::min(kMostPoints, stored - begin));
        std::vector<PointRow> points;
        points.reserve(static_cast<std::size_t>(end - begin));
        for (const Point& point : loadPoints(open, id, begin, end))
            points.push_back({point.step, point.t, point.value});
        return points;
    });
}

Result<std::vector<DescendantRow>> Reader::descendants(const RunId& run) const {
    return m_state->query([&](Connection& open) -> Result<std::vector<DescendantRow>> {
        std::vector<DescendantRow> rows;
        Query found(
            open,
            "SELECT id, number, name, state, 0 FROM runs WHERE parent = ?1 AND parent <> '' UNION ALL "
            "SELECT id, number, name, state, 1 FROM runs WHERE reproduces = ?1 AND reproduces <> '' ORDER BY 2, 5",
            run.str());
        while (found.next())
            rows.push_back({RunId(found.text(0)), found.integer(1), found.text(2),
                            spec::runStateFromString(found.text(3)).value_or(spec::RunState::Draft),
                            found.small(4) != 0});
        return rows;
    });
}

Result<ChartData> Reader::chart(const ChartRequest& request) const {
    return m_state->query(
        [&](Connection& open) { return readChart(open, request, [this] { return m_state->stopped(); }); });
}

namespace {

Result<LogPage> pageOf(const LogReader& log, int attempt, std::int64_t first, std::int64_t count) {
    LogPage page;
    auto lines = log.lines(first, count, page.place);
    if (!lines) return lines.error();
    const auto settled = log.settled();
    if (!settled) return settled.error();
    page.lines = std::move(*lines);
    page.total = log.total();
    page.attempt = attempt;
    page.settled = *settled;
    if (attempt == 0) page.place = {};
    return page;
}

}  // namespace

Result<LogPage> Reader::logPage(const RunId& run, const LogFilter& filter, std::int64_t first,
                                std::int64_t count) const {
    return m_state->queryLog(run, filter, [&](const LogReader& log, int attempt) -> Result<LogPage> {
        return pageOf(log, attempt, first, count);
    });
}

Result<LogPage> Reader::logTail(const RunId& run, const LogFilter& filter, std::int64_t count) const {
    return m_state->queryLog(run, filter, [&](const LogReader& log, int attempt) -> Result<LogPage> {
        return pageOf(log, attempt, log.total() - std::clamp<std::int64_t>(count, 0, log.total()), count);
    });
}

Result<std::vector<std::string>> Reader::logFiles(const RunId& run, int attempt) const {
    return m_state->queryRun(run, [&](Connection& open, std::int64_t number) -> Result<std::vector<std::string>> {
        const int wanted = attempt == 0 ? State::newestAttempt(open, number) : attempt;
        LogFilter filter;
        filter.out = "logs";
        std::set<std::string> files;
        for (const LogStream& stream : openLogStreams(open, m_state->layout, run, number, wanted, filter)) {
            if (m_state->stopped()) return Error{"canceled", "The query was stopped."};
            stream.addFiles(files);
        }
        return std::vector<std::string>(files.begin(), files.end());
    });
}

Result<LogNews> Reader::logAfter(const RunId& run, const LogFilter& filter, const LogPlace& place,
                                 std::int64_t count) const {
    return m_state->queryRun(run, [&](Connection& open, std::int64_t number) -> Result<LogNews> {
        const int newest = State::newestAttempt(open, number);
        const int from = filter.attempt != 0   ? filter.attempt
                         : place.taken.empty() ? newest
                                               : place.taken.begin()->first.first;
        const int to = filter.attempt != 0 ? filter.attempt : newest;
        std::vector<LogStream> streams;
        for (int attempt = std::max(1, from); attempt <= to; ++attempt) {
            for (LogStream& stream : openLogStreams(open, m_state->layout, run, number, attempt, filter))
                streams.push_back(std::move(stream));
        }
        return readLogAfter(streams, place, count);
    });
}

Result<LogSearchResult> Reader::searchLog(const RunId& run, const LogFilter& filter, const LogSearch& search) const {
    return m_state->queryLog(run, filter, [&](const LogReader& log, int) {
        return log.search(search, [this] { return m_state->stopped(); });
    });
}

Result<std::vector<ModelRow>> Reader::models() const {
    return m_state->query([](Connection& open) -> Result<std::vector<ModelRow>> {
        std::vector<ModelRow> models;
        Query rows(open, "SELECT name, version, card FROM models ORDER BY name, version");
        while (rows.next()) {
            const std::string name = rows.text(0);
            if (models.empty() || models.back().name != name) models.push_back({name, 0, {}});
            ++models.back().versions;
            auto card = base::parseJson(rows.text(2));
            if (!card) return corruptError(open.file(), "the card of model " + name);
            models.back().latest = modelRow(name, rows.small(1), std::move(*card));
        }
        return models;
    });
}

Result<std::vector<ModelVersionRow>> Reader::modelVersions(const std::string& name) const {
    return m_state->query([&](Connection& open) -> Result<std::vector<ModelVersionRow>> {
        std::vector<ModelVersionRow> versions;
        Query rows(open, "SELECT version, card FROM models WHERE name = ? ORDER BY version DESC", name);
        while (rows.next()) {
            auto card = base::parseJson(rows.text(1));
            if (!card) return corruptError(open.file(), "the card of model " + name);
            versions.push_back(modelRow(name, rows.small(0), std::move(*card)));
        }
        return versions;
    });
}

Result<ModelVersionRow> Reader::modelVersion(const std::string& name, int version) const {
    auto versions = modelVersions(name);
    if (!versions) return versions.error();
    for (ModelVersionRow& row : *versions) {
        if (row.version == version) return std::move(row);
    }
    return Error{"store.model_unknown", "There is no model " + name + " version " + std::to_string(version) + "."};
}

Result<std::int64_t> Reader::dataVersion() const {
    m_state->interrupted = false;
    TRAINYARD_TRY(m_state->ensureOpen());
    return guarded(m_state->location.database, m_state->connection->handle(), [&]() -> Result<std::int64_t> {
        const std::int64_t version = m_state->connection->db().execAndGet("PRAGMA data_version").getInt64();
        return (m_state->opened << 32) + version;
    });
}

}  // namespace trainyard::store
