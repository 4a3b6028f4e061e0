#include "core/store/Ingest.h"

#include <cmath>
#include <limits>

#include "core/spec/Field.h"
#include "core/store/BodyReading.h"
#include "core/store/Fold.h"

namespace trainyard::store {
namespace {

using base::Error;
using spec::RunState;
namespace kind = wire::kind;

constexpr int kNodeUnknown = -1;  ///< Of a rank that only the lead has spoken of so far.

/// Whose progress is shown: the lowest rank's and the leading agent's own, which speak one after the other in one
/// stream.
int progressOrder(int rank, int node) { return rank >= 0 ? rank : node == 0 ? 0 : std::numeric_limits<int>::max(); }

bool numberIsFree(Connection& connection, std::int64_t number) {
    Query row(connection, "SELECT 1 FROM runs WHERE number = ?", number);
    return !row.next();
}

void raiseCounter(Connection& connection, std::int64_t number) {
    Query(connection,
          "INSERT INTO counters VALUES ('last_number', ?1) ON CONFLICT (name) DO UPDATE SET value = max(value, ?1)",
          number)
        .run();
}

/// How far along a state is; a run that says less than was heard before is not believed.
int stageOrder(RunState state) {
    switch (state) {
    case RunState::Draft: return 0;
    case RunState::Preparing: return 1;
    case RunState::Queued:
    case RunState::Lost: return 2;
    case RunState::Running: return 3;
    case RunState::Finalizing: return 4;
    case RunState::Completed:
    case RunState::Failed:
    case RunState::Canceled: return 5;
    }
    return 0;
}

struct Said {
    RunState state = RunState::Draft;
    std::string reason;
    std::int64_t at = 0;
    int attempt = 1;
};

std::optional<Said> readSaid(Query& row) {
    if (!row.next()) return std::nullopt;
    Said said;
    said.state = spec::runStateFromString(row.text(0)).value_or(RunState::Draft);
    said.reason = row.text(1);
    said.at = row.integer(2);
    said.attempt = std::max(1, row.small(3));
    return said;
}

/// Which word counts: the journal's end, the journal's "lost", else the newer attempt, else the further stage. Clocks
/// play no part, for the two sides may sit on machines that disagree.
const Said* decide(const std::optional<Said>& journal, const std::optional<Said>& stream) {
    if (!journal || !stream) return journal ? &*journal : stream ? &*stream : nullptr;
    if (spec::isFinal(journal->state) || journal->state == RunState::Lost) return &*journal;
    if (journal->attempt != stream->attempt) return journal->attempt > stream->attempt ? &*journal : &*stream;
    return stageOrder(journal->state) > stageOrder(stream->state) ? &*journal : &*stream;
}

}  // namespace

std::optional<std::int64_t> numberOf(Connection& connection, const RunId& run) {
    Query row(connection, "SELECT number FROM runs WHERE id = ?", run.str());
    return row.next() ? std::optional(row.integer(0)) : std::nullopt;
}

std::int64_t takeNextNumber(Connection& connection) {
    std::int64_t next = 1;
    {
        Query row(connection, "SELECT max(coalesce((SELECT value FROM counters WHERE name = 'last_number'), 0), "
                              "coalesce((SELECT max(number) FROM runs), 0)) + 1");
        if (row.next()) next = row.integer(0);
    }
    raiseCounter(connection, next);
    return next;
}

wire::StreamCursor storedCursor(Connection& connection, std::int64_t run, int attempt, int node) {
    Query row(connection, "SELECT segment, offset, seq FROM cursors WHERE run = ? AND attempt = ? AND node = ?", run,
              attempt, node);
    if (!row.next()) return {};
    return {row.small(0), row.integer(1), row.integer(2)};
}

void removeRun(Connection& connection, std::int64_t run) {
    const auto [begin, end] = seriesIds(run);
    Query(connection, "DELETE FROM blocks WHERE series >= ? AND series < ?", begin, end).run();
    Query(connection, "DELETE FROM series WHERE id >= ? AND id < ?", begin, end).run();
    Query(connection, "DELETE FROM cursors WHERE run = ?", run).run();
    Query(connection, "DELETE FROM stages WHERE run = ?", run).run();
    Query(connection, "DELETE FROM attempts WHERE run = ?", run).run();
    Query(connection, "DELETE FROM ranks WHERE run = ?", run).run();
    Query(connection, "DELETE FROM tags WHERE run = ?", run).run();
    Query(connection, "DELETE FROM params WHERE run = ?", run).run();
    Query(connection, "DELETE FROM outputs WHERE run = ?", run).run();
    Query(connection, "DELETE FROM warnings WHERE run = ?", run).run();
    Query(connection, "DELETE FROM damaged WHERE run = ?", run).run();
    Query(connection, "DELETE FROM items WHERE run = ?", run).run();
    Query(connection, "DELETE FROM events WHERE run = ?", run).run();
    Query(connection, "DELETE FROM log_blocks WHERE run = ?", run).run();
    Query(connection, "DELETE FROM clocks WHERE run = ?", run).run();
    Query(connection, "DELETE FROM run_metrics WHERE run = ?", run).run();
    Query(connection, "DELETE FROM runs WHERE number = ?", run).run();
}

Ingest::Ingest(Connection& connection, const wire::WorkspaceLayout& layout, const StreamBatch& batch)
    : m_connection(connection), m_layout(layout), m_batch(batch) {}

Status Ingest::apply() {
    TRAINYARD_TRY(findOrMakeRun());
    const wire::StreamCursor stored = storedCursor(m_connection, m_run, m_batch.attempt, m_batch.node);
    if (!(stored == m_batch.from))
        return Error{"store.cursor", "The history already stands elsewhere in this stream (segment " +
                                         std::to_string(stored.segment) + ", byte " + std::to_string(stored.offset) +
                                         "): somebody else has read it meanwhile."};
    m_log.emplace(m_connection, m_run, m_batch.attempt, m_batch.node);
    for (const wire::StreamEntry& entry : m_batch.entries) take(entry);
    for (const wire::DamagedLine& line : m_batch.damaged) addDamage(line);
    m_log->flush();
    if (m_logLines > 0)
        Query(m_connection, "UPDATE runs SET log_lines = log_lines + ? WHERE number = ?", m_logLines, m_run).run();
    flushPoints();
    flushRanks();
    if (m_batch.attempt > kJournalAttempt && !m_batch.entries.empty())
        Query(m_connection, "UPDATE runs SET attempts = max(attempts, ?) WHERE number = ?", m_batch.attempt, m_run)
            .run();
    if (m_stateChanged) refreshState();
    if (m_textChanged) refreshText();
    if (!(m_batch.to == m_batch.from))
        Query(m_connection, "REPLACE INTO cursors VALUES (?, ?, ?, ?, ?, ?)", m_run, m_batch.attempt, m_batch.node,
              m_batch.to.segment, m_batch.to.offset, m_batch.to.lastSeq)
            .run();
    return {};
}

Status Ingest::findOrMakeRun() {
    if (const auto number = numberOf(m_connection, m_batch.run)) {
        m_run = *number;
        return {};
    }
    if (m_batch.attempt != kJournalAttempt)
        return Error{"store.run_unknown",
                     "The history has no run " + m_batch.run.str() + " yet; its journal comes first."};
    std::int64_t asked = 0;
    for (const wire::StreamEntry& entry : m_batch.entries) {
        if (entry.record.kind == kind::kSubmit) {
            asked = integerAt(entry.record.body, "number");
            break;
        }
    }
    const bool usable = asked >= 1 && asked <= kMaxRunNumber && numberIsFree(m_connection, asked);
    m_run = usable ? asked : takeNextNumber(m_connection);
    if (m_run > kMaxRunNumber) return Error{"store.number", "The workspace has no run numbers left."};
    raiseCounter(m_connection, m_run);
    const std::int64_t madeAt = m_batch.run.isValid() ? base::uuid7Millis(m_batch.run.str()) * 1000 : 0;
    Query(
        m_connection,
        "INSERT INTO runs VALUES (?, ?, '', '', '', 'Draft', '', ?, 0, 0, 0, '', '', 1, '', '', '', '', 0, 0, 0, NULL, "
        "0, 0, ?, '', '')",
        m_run, m_batch.run.str(), madeAt, std::numeric_limits<int>::max())
        .run();
    if (asked != 0 && !usable)
        addWarning(0, madeAt, wire::kNoRank, "store.number",
                   "The run was submitted as number " + std::to_string(asked) +
                       ", which another run of the workspace has.",
                   1);
    readSpec();
    m_textChanged = m_stateChanged = true;
    return {};
}

void Ingest::readSpec() {
    const auto bytes = base::readFile(m_layout.spec(m_batch.run));
    const auto parsed = bytes ? base::parseJson(*bytes) : Result<Json>(bytes.error());
    if (!parsed || !parsed->is_object()) {
        addWarning(-1, 0, wire::kNoRank, "store.spec",
                   "The run's configuration cannot be read" + (parsed ? "." : ": " + parsed.error().message), 1);
        return;
    }
    const Json& document = *parsed;
    const auto text = [&](std::string_view path) {
        const Json* value = spec::valueAt(document, path);
        return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
    };
    const auto integer = [&](std::string_view path) {
        const Json* value = spec::valueAt(document, path);
        return value != nullptr && value->is_number_integer() ? std::max<std::int64_t>(1, value->get<std::int64_t>())
                                                              : 1;
    };
    const std::string task = text("task.kind");
    Query(m_connection,
          "UPDATE runs SET experiment = ?, name = ?, description = ?, target = ?, environment = ?, processes = ?, "
          "task_kind = ?, model_family = ?, parent = ? WHERE number = ?",
          text("experiment"), text("name"), text("description"), text("target"), text("environment"),
          integer("distribution.processes") * integer("distribution.nodes"), task,
          task == "train" ? text("task.model.family") : std::string(), text("resume_from"), m_run)
        .run();
    if (const Json* tags = spec::valueAt(document, "tags"); tags != nullptr && tags->is_object()) {
        for (const auto& [name, value] : tags->items()) setTag(name, value, 0, 0);
    }
}

void Ingest::take(const wire::StreamEntry& entry) {
    const wire::Record& record = entry.record;
    if (record.rank >= 0) {
        RankSeen& seen = m_ranks[record.rank];
        seen.lastAt = std::max(seen.lastAt, record.t);
    }
    if (m_batch.attempt == kJournalAttempt) {
        takeJournal(record);
        return;
    }
    if (record.kind == kind::kMetrics) {
        takeMetrics(entry);
    } else if (record.kind == kind::kLog) {
        takeLog(entry);
    } else if (record.kind == kind::kSystem) {
        takeSystem(record);
    } else if (record.kind == kind::kProgress) {
        takeProgress(record);
    } else if (record.kind == kind::kState) {
        takeState(record);
    } else if (record.kind == kind::kAttempt) {
        takeAttempt(record);
    } else if (record.kind == kind::kStarted) {
        takeStarted(record);
    } else if (record.kind == kind::kClock) {
        takeClock(record);
    } else if (record.kind == kind::kEnded) {
        takeEnded(record);
    } else if (record.kind == kind::kParams) {
        takeParams(record);
    } else if (record.kind == kind::kTags) {
        takeTags(record);
    } else if (record.kind == kind::kWarning) {
        takeWarning(record);
    } else if (record.kind == kind::kArtifact) {
        takeOutput(record.body, m_batch.attempt, false);
    } else if (record.kind == kind::kText || record.kind == kind::kImage || record.kind == kind::kTable ||
               record.kind == kind::kHistogram || record.kind == kind::kModel || record.kind == kind::kChild ||
               record.kind == kind::kEnvironment) {
        takeItem(entry);
    }
}

void Ingest::takeJournal(const wire::Record& record) {
    const Json& body = record.body;
    if (record.kind == kind::kSubmit) {
        takeSubmit(record);
    } else if (record.kind == kind::kState) {
        takeState(record);
    } else if (record.kind == kind::kRename) {
        Query(m_connection, "UPDATE runs SET name = ? WHERE number = ?", textAt(body, "name"), m_run).run();
        m_textChanged = true;
    } else if (record.kind == kind::kNotes) {
        Query(m_connection, "UPDATE runs SET notes = ? WHERE number = ?", textAt(body, "text"), m_run).run();
        m_textChanged = true;
    } else if (record.kind == kind::kTags) {
        takeTags(record);
    } else if (record.kind == kind::kArchive) {
        Query(m_connection, "UPDATE runs SET archived = ? WHERE number = ?", truthAt(body, "archived"), m_run).run();
    } else if (record.kind == kind::kWarning) {
        takeWarning(record);
    } else if (record.kind == kind::kUpload || record.kind == kind::kUnreachable || record.kind == kind::kReachable ||
               record.kind == kind::kScheduler || record.kind == kind::kCancelAsked || record.kind == kind::kInputs ||
               record.kind == kind::kReproduced || record.kind == kind::kPlaced || record.kind == kind::kRegistered ||
               record.kind == kind::kHostSilent || record.kind == kind::kHostBack) {
        addEvent(record, body);
    } else if (record.kind == kind::kCollected) {
        const int attempt = static_cast<int>(std::max<std::int64_t>(1, integerAt(body, "attempt")));
        const auto outputs = body.find("outputs");
        Json event{{"attempt", attempt}, {"files", outputs != body.end() ? outputs->size() : 0}};
        if (const auto left = body.find("left"); left != body.end()) event["left"] = *left;
        addEvent(record, event);
        if (outputs != body.end() && outputs->is_array()) {
            for (const Json& output : *outputs) takeOutput(output, attempt, true);
        } else {
            takeOutput(Json{{"path", ""}}, attempt, true);  // Stands for all of the attempt.
        }
    }
}

void Ingest::addEvent(const wire::Record& record, const Json& body) {
    Query(m_connection, "REPLACE INTO events VALUES (?, ?, ?, ?, ?)", m_run, record.seq, record.t, record.kind,
          base::dumpJson(body))
        .run();
}

void Ingest::takeSubmit(const wire::Record& record) {
    Query(m_connection, "UPDATE runs SET created_at = ? WHERE number = ?", record.t, m_run).run();
    if (const std::string experiment = textAt(record.body, "experiment"); !experiment.empty())
        Query(m_connection, "UPDATE runs SET experiment = ? WHERE number = ?", experiment, m_run).run();
    if (const std::string name = textAt(record.body, "name"); !name.empty())
        Query(m_connection, "UPDATE runs SET name = ? WHERE number = ?", name, m_run).run();
    Query(m_connection, "UPDATE runs SET reproduces = ? WHERE number = ?", textAt(record.body, "reproduces"), m_run)
        .run();
    m_textChanged = true;
}

void Ingest::takeState(const wire::Record& record) {
    const std::string state = textAt(record.body, "state");
    if (!spec::runStateFromString(state)) {
        addWarning(record.seq, record.t, record.rank, "stream.state", "\"" + state + "\" is no state of a run.", 1);
        return;
    }
    const std::int64_t said = integerAt(record.body, "attempt", m_batch.attempt);
    Query(m_connection, "REPLACE INTO stages VALUES (?, ?, ?, ?, ?, ?, ?, ?)", m_run, m_batch.attempt, m_batch.node,
          record.seq, said, record.t, state, textAt(record.body, "reason"))
        .run();
    m_stateChanged = true;
}

void Ingest::takeAttempt(const wire::Record& record) {
    const Json& body = record.body;
    Query(
        m_connection,
        "INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, '', '', 0) ON CONFLICT (run, attempt, node) DO UPDATE "
        "SET started_at = excluded.started_at, host = excluded.host, world_size = excluded.world_size, "
        "nodes = excluded.nodes, agent = excluded.agent",
        m_run, m_batch.attempt, m_batch.node, record.t, textAt(body, "host"), integerAt(body, "world_size"),
        integerAt(body, "nodes"), textAt(body, "agent"))
        .run();
    m_stateChanged = true;
}

void Ingest::takeStarted(const wire::Record& record) {
    const auto ranks = record.body.find("ranks");
    if (ranks == record.body.end() || !ranks->is_array()) return;
    for (const Json& rank : *ranks) {
        const std::int64_t number = integerAt(rank, "rank", -1);
        if (number < 0) continue;
        std::string gpus;
        if (const auto given = rank.find("gpus"); given != rank.end() && given->is_array()) {
            for (const Json& gpu : *given) {
                if (gpu.is_number_integer())
                    gpus += (gpus.empty() ? "" : ",") + std::to_string(gpu.get<std::int64_t>());
            }
        }
        Query(m_connection,
              "INSERT INTO ranks VALUES (?, ?, ?, ?, 0, 0, NULL, NULL, '', ?, ?) ON CONFLICT (run, attempt, rank) DO "
              "UPDATE SET pid = iif(node < 0 OR excluded.node <= node, excluded.pid, pid), "
              "gpus = iif(node < 0 OR excluded.node <= node, excluded.gpus, gpus), "
              "node = iif(node < 0, excluded.node, min(node, excluded.node))",
              m_run, m_batch.attempt, number, m_batch.node, optionalIntegerAt(rank, "pid"), gpus)
            .run();
    }
}

void Ingest::takeClock(const wire::Record& record) {
    const auto offset = optionalIntegerAt(record.body, "lead_offset_ns");
    if (!offset || m_batch.node == 0) return;
    const std::int64_t micros = *offset / 1000;
    Query(m_connection, "REPLACE INTO clocks VALUES (?, ?, ?, ?, ?, ?, ?)", m_run, m_batch.attempt, m_batch.node,
          record.seq, record.t, micros, integerAt(record.body, "round_trip_ns") / 1000)
        .run();
    m_log->setClock(micros);
}

void Ingest::takeEnded(const wire::Record& record) {
    const Json& body = record.body;
    Query(
        m_connection,
        "INSERT INTO attempts VALUES (?, ?, ?, 0, '', 0, 0, '', ?, ?, ?, ?) ON CONFLICT (run, attempt, node) DO UPDATE "
        "SET ended_at = excluded.ended_at, outcome = excluded.outcome, reason = excluded.reason, "
        "goes_on = excluded.goes_on",
        m_run, m_batch.attempt, m_batch.node, record.t, textAt(body, "outcome"), textAt(body, "reason"),
        truthAt(body, "restart"))
        .run();
    flushRanks();
    if (const auto ranks = body.find("ranks"); ranks != body.end() && ranks->is_array()) {
        for (const Json& rank : *ranks) {
            if (!rank.is_object() || integerAt(rank, "rank", -1) < 0) continue;
            Query(m_connection,
                  "INSERT INTO ranks VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?, NULL, '') ON CONFLICT (run, attempt, rank) DO "
                  "UPDATE SET "
                  "exit_status = excluded.exit_status, signal = excluded.signal, reason = excluded.reason",
                  m_run, m_batch.attempt, integerAt(rank, "rank"), integerAt(rank, "node", kNodeUnknown), 0,
                  optionalIntegerAt(rank, "exit"), optionalIntegerAt(rank, "signal"), textAt(rank, "reason"))
                .run();
        }
    }
    if (const auto outputs = body.find("outputs"); outputs != body.end() && outputs->is_array()) {
        for (const Json& output : *outputs) {
            // Another node's outputs are collected in a folder of its own.
            Json placed = output;
            if (const std::string path = textAt(output, "path"); m_batch.node > 0 && !path.empty())
                placed["path"] = "node-" + std::to_string(m_batch.node) + "/" + path;
            takeOutput(placed, m_batch.attempt, false);
        }
    }
    m_stateChanged = true;
}

void Ingest::takeMetrics(const wire::StreamEntry& entry) {
    auto series = wire::metricsFromBody(entry.record.body, entry.record.t);
    if (!series) {
        addDamage({entry.segment, entry.offset, entry.length, series.error()});
        return;
    }
    for (wire::SeriesPoints& one : *series) {
        auto& points = m_points[{SeriesKind::Metric, entry.record.rank, std::move(one.name)}];
        for (std::size_t i = 0; i < one.value.size(); ++i) points.push_back({one.step[i], one.t[i], one.value[i]});
    }
}

void Ingest::takeSystem(const wire::Record& record) {
    const auto values = record.body.find("values");
    if (values == record.body.end() || !values->is_object()) return;
    for (const auto& [name, value] : values->items()) {
        if (const auto number = base::jsonToNumber(value))
            m_points[{SeriesKind::System, record.rank, name}].push_back({record.seq, record.t, *number});
    }
}

void Ingest::takeLog(const wire::StreamEntry& entry) {
    const auto lines = entry.record.body.find("lines");
    if (lines == entry.record.body.end() || !lines->is_array() || lines->empty()) return;
    const auto count = static_cast<std::int64_t>(lines->size());
    m_log->add(entry, logOutClass(textAt(entry.record.body, "out")), count);
    m_logLines += count;
    if (entry.record.rank >= 0) m_ranks[entry.record.rank].logLines += count;
}

void Ingest::takeProgress(const wire::Record& record) {
    Query(m_connection,
          "UPDATE runs SET progress = ?1, progress_at = ?2, progress_attempt = ?3, progress_rank = ?4 "
          "WHERE number = ?5 AND (progress_attempt < ?3 OR (progress_attempt = ?3 AND progress_rank >= ?4))",
          base::dumpJson(record.body), record.t, m_batch.attempt, progressOrder(record.rank, m_batch.node), m_run)
        .run();
}

void Ingest::takeParams(const wire::Record& record) {
    const auto values = record.body.find("values");
    if (values == record.body.end() || !values->is_object()) return;
    for (const auto& [name, value] : values->items()) {
        Query(m_connection,
              "INSERT INTO params VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run, name) DO UPDATE SET "
              "value = excluded.value, at = excluded.at, attempt = excluded.attempt, node = excluded.node, "
              "seq = excluded.seq WHERE (excluded.attempt, excluded.at, excluded.node, excluded.seq) >= "
              "(params.attempt, params.at, params.node, params.seq)",
              m_run, name, base::dumpJson(value), record.t, m_batch.attempt, m_batch.node, record.seq)
            .run();
    }
}

void Ingest::takeTags(const wire::Record& record) {
    const auto values = record.body.find("values");
    if (values == record.body.end() || !values->is_object()) return;
    for (const auto& [name, value] : values->items()) setTag(name, value, record.t, record.seq);
}

void Ingest::setTag(const std::string& name, const Json& value, std::int64_t at, std::int64_t seq) {
    // The specification's word is the weakest, a person's (the journal) the strongest, whatever the clocks say.
    const auto text = value.is_null()     ? std::nullopt
                      : value.is_string() ? std::optional(value.get<std::string>())
                                          : std::optional(base::dumpJson(value));
    Query(m_connection,
          "INSERT INTO tags VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run, name) DO UPDATE SET "
          "value = excluded.value, at = excluded.at, attempt = excluded.attempt, node = excluded.node, "
          "seq = excluded.seq WHERE "
          "(iif(excluded.attempt > 0, 1, iif(excluded.seq > 0, 2, 0)), excluded.attempt, "
          " iif(excluded.attempt > 0, excluded.at, 0), excluded.node, excluded.seq) >= "
          "(iif(tags.attempt > 0, 1, iif(tags.seq > 0, 2, 0)), tags.attempt, "
          " iif(tags.attempt > 0, tags.at, 0), tags.node, tags.seq)",
          m_run, name, text, at, m_batch.attempt, m_batch.node, seq)
        .run();
    m_textChanged = true;
}

void Ingest::takeItem(const wire::StreamEntry& entry) {
    const wire::Record& record = entry.record;
    Query(m_connection, "REPLACE INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", m_run, m_batch.attempt,
          m_batch.node, record.seq, record.kind, textAt(record.body, "name"), record.t, integerAt(record.body, "step"),
          record.rank, entry.segment, entry.offset, entry.length)
        .run();
}

void Ingest::takeWarning(const wire::Record& record) {
    addWarning(record.seq, record.t, record.rank, textAt(record.body, "code"), textAt(record.body, "message"),
               std::max<std::int64_t>(1, integerAt(record.body, "count", 1)));
}

void Ingest::takeOutput(const Json& output, int attempt, bool collected) {
    const std::string path = output.is_string() ? output.get<std::string>() : textAt(output, "path");
    if (path.empty() && !collected) return;
    Query(m_connection, "REPLACE INTO outputs VALUES (?, ?, ?, ?, ?, ?, ?)", m_run, path, attempt, m_batch.node,
          collected, integerAt(output, "size"), textAt(output, "sha256"))
        .run();
}

void Ingest::addWarning(std::int64_t seq, std::int64_t at, int rank, const std::string& code,
                        const std::string& message, std::int64_t count) {
    const int added = Query(m_connection, "INSERT OR IGNORE INTO warnings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", m_run,
                            m_batch.attempt, m_batch.node, seq, at, rank, code, message, count)
                          .run();
    Query(m_connection, "UPDATE runs SET warnings = warnings + ? WHERE number = ?", added, m_run).run();
}

void Ingest::addDamage(const wire::DamagedLine& line) {
    // A damaged end of a stream may be seen again from the same cursor.
    const int added =
        Query(m_connection, "INSERT OR IGNORE INTO damaged VALUES (?, ?, ?, ?, ?, ?, ?, ?)", m_run, m_batch.attempt,
              m_batch.node, line.segment, line.offset, line.length, line.error.code, line.error.message)
            .run();
    if (added > 0) Query(m_connection, "UPDATE runs SET warnings = warnings + ? WHERE number = ?", added, m_run).run();
}

void Ingest::flushPoints() {
    std::set<std::string> metrics;
    for (const auto& [key, points] : m_points) {
        const auto& [seriesKind, rank, name] = key;
        appendPoints(m_connection, {m_run, seriesKind, name, m_batch.attempt, m_batch.node, rank}, points);
        if (seriesKind == SeriesKind::Metric) metrics.insert(name);
    }
    for (const std::string& name : metrics) refreshRunMetric(m_connection, m_run, name);
    m_points.clear();
}

void Ingest::flushRanks() {
    if (m_batch.attempt > kJournalAttempt) {
        for (const auto& [rank, seen] : m_ranks)
            Query(m_connection,
                  "INSERT INTO ranks VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, '', NULL, '') ON CONFLICT (run, attempt, "
                  "rank) DO "
                  "UPDATE "
                  "SET node = iif(node < 0, excluded.node, min(node, excluded.node)), "
                  "last_at = max(last_at, excluded.last_at), "
                  "log_lines = log_lines + excluded.log_lines",
                  m_run, m_batch.attempt, rank, m_batch.node, seen.lastAt, seen.logLines)
                .run();
    }
    m_ranks.clear();
}

void Ingest::refreshState() {
    std::optional<Said> journal, stream;
    {
        Query row(m_connection,
                  "SELECT state, reason, at, said_attempt FROM stages WHERE run = ? AND attempt = 0 "
                  "ORDER BY seq DESC LIMIT 1",
                  m_run);
        journal = readSaid(row);
    }
    {
        // The lead's word; a stream of another node alone (the lead's is not here yet) is better than nothing.
        Query row(m_connection,
                  "SELECT state, reason, at, attempt FROM stages WHERE run = ? AND attempt > 0 "
                  "ORDER BY attempt DESC, node, seq DESC LIMIT 1",
                  m_run);
        stream = readSaid(row);
    }
    std::int64_t attemptEnded = 0;
    {
        Query row(m_connection,
                  "SELECT attempt, ended_at, reason, node, goes_on FROM attempts WHERE run = ? "
                  "ORDER BY attempt DESC, node LIMIT 1",
                  m_run);
        // Another node's end is not the attempt's.
        if (row.next() && row.integer(1) > 0 && row.small(3) == 0) {
            attemptEnded = row.integer(1);
            const int attempt = row.small(0);
            if (row.small(4) != 0)
                stream = Said{RunState::Preparing, row.text(2), attemptEnded, attempt + 1};
            else if (stream && stream->attempt == attempt && stageOrder(stream->state) < 4)
                stream = Said{RunState::Finalizing, row.text(2), attemptEnded, attempt};
        }
    }
    std::int64_t startedAt = 0;
    {
        Query row(m_connection,
                  "SELECT at FROM stages WHERE run = ? AND state = 'Running' ORDER BY attempt = 0, attempt, node, seq "
                  "LIMIT 1",
                  m_run);
        if (row.next()) startedAt = row.integer(0);
    }
    const Said* now = decide(journal, stream);
    if (now == nullptr) return;
    const bool ended = spec::isFinal(now->state);
    Query(m_connection, "UPDATE runs SET state = ?, state_reason = ?, started_at = ?, ended_at = ? WHERE number = ?",
          std::string(spec::toString(now->state)), now->reason, startedAt,
          !ended             ? 0
          : attemptEnded > 0 ? attemptEnded
                             : now->at,
          m_run)
        .run();
}

void Ingest::refreshText() {
    Query(m_connection,
          "UPDATE runs SET name = iif(experiment = '', 'run', experiment) || '-' || number WHERE number = ? AND name = "
          "''",
          m_run)
        .run();
    std::string text;
    {
        Query row(m_connection, "SELECT name, experiment, description, notes FROM runs WHERE number = ?", m_run);
        if (row.next()) {
            for (int column = 0; column < 4; ++column) text += row.text(column) + "\n";
        }
    }
    {
        Query rows(m_connection, "SELECT name, value FROM tags WHERE run = ? AND value IS NOT NULL ORDER BY name",
                   m_run);
        while (rows.next()) text += rows.text(0) + "=" + rows.text(1) + "\n";
    }
    Query(m_connection, "UPDATE runs SET search = ? WHERE number = ?", foldCase(text), m_run).run();
}

}  // namespace trainyard::store
