#include "core/store/Writer.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <sqlite3.h>
#include <thread>

#include "core/base/Clock.h"
#include "core/spec/RunState.h"
#include "core/store/Connection.h"
#include "core/store/Ingest.h"
#include "core/store/Models.h"
#include "core/store/Schema.h"
#include "core/wire/Layout.h"

namespace trainyard::store {
namespace {

using base::Error;

constexpr std::size_t kRecordsABatch = 16384;

/// Attempt and node of a folder named a<attempt>-n<node>.
std::optional<std::pair<int, int>> streamFolder(const std::string& name) {
    const auto number = [](std::string_view text) -> std::optional<int> {
        int value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        const bool whole = error == std::errc() && end == text.data() + text.size() && value >= 0;
        return whole ? std::optional(value) : std::nullopt;
    };
    const auto dash = name.find("-n");
    if (name.empty() || name[0] != 'a' || dash == std::string::npos) return std::nullopt;
    const auto attempt = number(std::string_view(name).substr(1, dash - 1));
    const auto node = number(std::string_view(name).substr(dash + 2));
    if (!attempt || !node || *attempt < 1) return std::nullopt;
    return std::pair(*attempt, *node);
}

wire::StreamCursor behindLastEntry(const StreamBatch& batch) {
    if (batch.entries.empty()) return batch.from;
    const wire::StreamEntry& last = batch.entries.back();
    return {last.segment, last.offset + last.length, last.record.seq};
}

bool damageComesLast(const StreamBatch& batch) {
    const wire::StreamCursor last = behindLastEntry(batch);
    return std::any_of(batch.damaged.begin(), batch.damaged.end(), [&](const wire::DamagedLine& line) {
        return std::pair(line.segment, line.offset) >= std::pair(last.segment, last.offset);
    });
}

/// The database goes first: an empty new one makes SQLite drop a log that was left beside it.
Status moveAside(const Path& database) {
    for (const char* suffix : {"", "-wal", "-shm"}) {
        const Path from = database.string() + suffix;
        const Path to = database.string() + ".old" + suffix;
        std::error_code error;
        std::filesystem::remove(to, error);
        std::filesystem::rename(from, to, error);
        if (error && error != std::errc::no_such_file_or_directory)
            return base::errnoError(error.value(), "move the old history aside", from);
    }
    return {};
}

/// Errors that the next run would meet too.
bool concernsWholeIndex(std::string_view code) {
    return code == "store.locked" || code == "store.readonly" || code == "store.full" || code == "store.corrupt" ||
           code == "store.io" || code == "store.internal";
}

}  // namespace

struct Writer::State {
    IndexLocation location;
    OpenOptions options;
    wire::WorkspaceLayout layout;
    std::unique_ptr<Connection> connection;
    bool created = false;
    bool inBatch = false;
    int changesBefore = 0;  ///< SQLite's count when the batch began.
    std::uint64_t changes = 0;

    Status ensureOpen() {
        if (connection && !connection->fileReplaced()) return {};
        if (inBatch) return Error{"store.io", "The history was replaced while it was being written."};
        connection.reset();
        auto opened = Connection::open(location.database, Connection::Mode::Write, options);
        if (!opened) return opened.error();
        connection = std::move(*opened);
        created = created || connection->wasCreated();
        return {};
    }

    Status run(const char* sql) {
        return guarded(location.database, connection->handle(), [&]() -> Status {
            connection->db().exec(sql);
            return {};
        });
    }

    /// Runs `body` (Connection& → Status) in a transaction of its own, or in a savepoint of the batch that is open.
    template <class Body>
    Status transaction(Body&& body) {
        TRAINYARD_TRY(ensureOpen());
        TRAINYARD_TRY(run(inBatch ? "SAVEPOINT step" : "BEGIN IMMEDIATE"));
        const int before = sqlite3_total_changes(connection->handle());
        Status status = guarded(location.database, connection->handle(), [&] { return body(*connection); });
        if (status) status = run(inBatch ? "RELEASE step" : "COMMIT");
        if (!status) {
            // A failure such as a full disk may have rolled back by itself.
            if (sqlite3_get_autocommit(connection->handle()) == 0)
                static_cast<void>(run(inBatch ? "ROLLBACK TO step; RELEASE step" : "ROLLBACK"));
            return status;
        }
        if (!inBatch && sqlite3_total_changes(connection->handle()) != before) ++changes;
        return {};
    }

    Status beginBatch() {
        TRAINYARD_TRY(ensureOpen());
        TRAINYARD_TRY(run("BEGIN IMMEDIATE"));
        changesBefore = sqlite3_total_changes(connection->handle());
        inBatch = true;
        return {};
    }

    Status endBatch() {
        inBatch = false;
        if (sqlite3_get_autocommit(connection->handle()) != 0)
            return Error{"store.io", "The history's transaction was broken off."};
        Status status = run("COMMIT");
        if (!status)
            static_cast<void>(run("ROLLBACK"));
        else if (sqlite3_total_changes(connection->handle()) != changesBefore)
            ++changes;
        return status;
    }

    Status apply(const StreamBatch& batch) {
        return transaction([&](Connection& open) { return Ingest(open, layout, batch).apply(); });
    }

    Result<wire::StreamCursor> cursor(const RunId& run, int attempt, int node) {
        TRAINYARD_TRY(ensureOpen());
        return guarded(location.database, connection->handle(), [&]() -> Result<wire::StreamCursor> {
            const auto number = numberOf(*connection, run);
            return number ? storedCursor(*connection, *number, attempt, node) : wire::StreamCursor{};
        });
    }

    Result<std::int64_t> follow(const RunId& run, int attempt, int node, const Path& path, bool finished,
                                std::int64_t maxRecords);
    Status catchUpRun(const RunId& run, CatchUpReport& report);
    Status catchUpStreams(const RunId& run, bool runOver, CatchUpReport& report);
    Result<bool> isOver(const RunId& run);
    void finishStreams(const RunId& run);
    Status removeVanished(const std::vector<std::string>& onDisk, CatchUpReport& report);
    Status catchUpModels(CatchUpReport& report);
};

Result<std::int64_t> Writer::State::follow(const RunId& run, int attempt, int node, const Path& path, bool finished,
                                           std::int64_t maxRecords) {
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) return std::int64_t{0};
    std::int64_t taken = 0;
    bool more = true;
    while (more && taken < maxRecords) {
        const auto start = cursor(run, attempt, node);
        if (!start) return start.error();
        StreamBatch batch;
        batch.run = run;
        batch.attempt = attempt;
        batch.node = node;
        batch.from = *start;
        // A reader of its own for each batch: what it had read ahead past the last record is read again. The cursor
        // stays in front of damage at the end, because how much is missing shows only with the next good record.
        wire::StreamFolderReader reader(path, *start);
        const auto wanted = std::min<std::int64_t>(static_cast<std::int64_t>(kRecordsABatch), maxRecords - taken);
        const auto count = reader.read(batch.entries, static_cast<std::size_t>(wanted));
        if (!count) return count.error();
        more = static_cast<std::int64_t>(*count) >= wanted;
        if (!more && finished) {
            if (const auto rest = reader.finish(batch.entries); !rest) return rest.error();
        }
        batch.damaged = reader.decoder().takeDamaged();
        batch.to = more || damageComesLast(batch) ? behindLastEntry(batch) : reader.decoder().cursor();
        if (batch.to == batch.from && batch.damaged.empty()) break;
        const Status applied = apply(batch);
        if (!applied) {
            if (applied.error().code != "store.cursor") return applied.error();
            more = true;  // Somebody else took these; look where they got to.
            continue;
        }
        taken += static_cast<std::int64_t>(batch.entries.size());
    }
    return taken;
}

Status Writer::State::catchUpRun(const RunId& run, CatchUpReport& report) {
    const auto journal = follow(run, kJournalAttempt, 0, layout.journal(run), false, INT64_MAX);
    if (!journal) return journal.error();
    report.records += *journal;

    const auto over = isOver(run);
    return over ? catchUpStreams(run, *over, report) : Status(over.error());
}

/// The journal has said the last word on the run.
Result<bool> Writer::State::isOver(const RunId& run) {
    return guarded(location.database, connection->handle(), [&]() -> Result<bool> {
        Query row(*connection,
                  "SELECT stages.state FROM stages JOIN runs ON run = number WHERE id = ? AND attempt = 0 "
                  "ORDER BY seq DESC LIMIT 1",
                  run.str());
        if (!row.next()) return false;
        const auto state = spec::runStateFromString(row.text(0));
        return state && spec::isFinal(*state);
    });
}

Status Writer::State::catchUpStreams(const RunId& run, bool runOver, CatchUpReport& report) {
    std::vector<std::pair<int, int>> streams;
    std::error_code ignored;
    for (const auto& folder : std::filesystem::directory_iterator(layout.run(run) / "stream", ignored)) {
        if (const auto place = streamFolder(folder.path().filename().string())) streams.push_back(*place);
    }
    std::sort(streams.begin(), streams.end());
    for (const auto& [attempt, node] : streams) {
        const bool finished = runOver || attempt < streams.back().first;
        const auto taken = follow(run, attempt, node, layout.stream(run, attempt, node), finished, INT64_MAX);
        if (!taken) return taken.error();
        report.records += *taken;
    }
    return {};
}

/// Once a run is over, its streams are read to their ends, torn tails included, as a rebuild would. What fails here is
/// tried again by the next catch-up; the journal's records are in already.
void Writer::State::finishStreams(const RunId& run) {
    CatchUpReport report;
    if (const auto over = isOver(run); over && *over) static_cast<void>(catchUpStreams(run, true, report));
}

Status Writer::State::removeVanished(const std::vector<std::string>& onDisk, CatchUpReport& report) {
    return transaction([&](Connection& open) -> Status {
        std::vector<std::int64_t> gone;
        {
            Query rows(open, "SELECT number, id FROM runs");
            while (rows.next()) {
                // The second look is for runs that were submitted since the folder was listed.
                std::error_code ignored;
                if (const std::string id = rows.text(1); !std::binary_search(onDisk.begin(), onDisk.end(), id) &&
                                                         !std::filesystem::exists(layout.run(RunId(id)), ignored))
                    gone.push_back(rows.integer(0));
            }
        }
        for (const std::int64_t number : gone) removeRun(open, number);
        report.removed += static_cast<std::int64_t>(gone.size());
        return {};
    });
}

Status Writer::State::catchUpModels(CatchUpReport& report) {
    const auto onDisk = modelCardsOnDisk(layout);
    return transaction([&](Connection& open) -> Status {
        std::vector<std::pair<std::string, int>> gone;
        {
            Query rows(open, "SELECT name, version FROM models");
            while (rows.next()) {
                std::pair<std::string, int> key(rows.text(0), rows.small(1));
                if (!std::binary_search(onDisk.begin(), onDisk.end(), key)) gone.push_back(std::move(key));
            }
        }
        for (const auto& [name, version] : gone)
            Query(open, "DELETE FROM models WHERE name = ? AND version = ?", name, version).run();
        report.removed += static_cast<std::int64_t>(gone.size());
        for (const auto& [name, version] : onDisk) {
            if (const Status taken = takeModelCard(open, layout, name, version); !taken)
                report.problems.push_back(taken.error());
            else
                ++report.models;
        }
        return {};
    });
}

Writer::Writer(std::unique_ptr<State> state) : m_state(std::move(state)) {}
Writer::Writer(Writer&&) noexcept = default;
Writer& Writer::operator=(Writer&&) noexcept = default;
Writer::~Writer() = default;

Result<Writer> Writer::open(const IndexLocation& location, const OpenOptions& options) {
    auto state = std::make_unique<State>();
    state->location = location;
    state->options = options;
    state->layout = {location.workspace};
    TRAINYARD_TRY(state->ensureOpen());
    return Writer(std::move(state));
}

Result<CatchUpReport> Writer::rebuild(const IndexLocation& location, const CatchUpProgress& progress,
                                      const OpenOptions& options) {
    // In place where that is possible: a file that others have open must not be moved away under them.
    auto writer = open(location, options);
    Status cleared = writer ? writer->m_state->transaction([](Connection& connection) -> Status {
        clearTables(connection.db());
        return {};
    })
                            : Status(writer.error());
    if (!cleared) {
        if (cleared.error().code != "store.corrupt") return cleared.error();
        writer = base::Error{};
        TRAINYARD_TRY(moveAside(location.database));
        writer = open(location, options);
        if (!writer) return writer.error();
    }
    return writer->catchUp(progress);
}

bool Writer::created() const { return m_state->created; }
std::uint64_t Writer::changeCount() const { return m_state->changes; }
const IndexLocation& Writer::location() const { return m_state->location; }

Result<std::int64_t> Writer::takeNumber() {
    std::int64_t number = 0;
    TRAINYARD_TRY(m_state->transaction([&](Connection& open) -> Status {
        number = takeNextNumber(open);
        return {};
    }));
    return number;
}

Status Writer::applyJournal(const StreamBatch& batch) {
    if (batch.attempt != kJournalAttempt)
        return Error{"store.batch", "A journal's batch has attempt " + std::to_string(kJournalAttempt) + "."};
    TRAINYARD_TRY(m_state->apply(batch));
    m_state->finishStreams(batch.run);
    return {};
}

Status Writer::ingest(const StreamBatch& batch) {
    if (batch.attempt <= kJournalAttempt) return Error{"store.batch", "A stream's batch has an attempt of 1 or more."};
    return m_state->apply(batch);
}

Result<wire::StreamCursor> Writer::cursor(const RunId& run, int attempt, int node) const {
    return m_state->cursor(run, attempt, node);
}

Result<std::int64_t> Writer::followJournal(const RunId& run) {
    auto taken = m_state->follow(run, kJournalAttempt, 0, m_state->layout.journal(run), false, INT64_MAX);
    if (taken && *taken > 0) m_state->finishStreams(run);
    return taken;
}

Result<std::int64_t> Writer::followStream(const RunId& run, int attempt, int node, bool finished,
                                          std::int64_t maxRecords) {
    const Path folder = m_state->layout.stream(run, attempt, node);
    auto taken = m_state->follow(run, attempt, node, folder, finished, maxRecords);
    if (taken || taken.error().code != "store.run_unknown") return taken;
    // The index was thrown away under us; the run comes back with its journal.
    if (auto journal = followJournal(run); !journal) return journal.error();
    return m_state->follow(run, attempt, node, folder, finished, maxRecords);
}

Status Writer::applyModel(const std::string& name, int version) {
    return m_state->transaction([&](Connection& open) { return takeModelCard(open, m_state->layout, name, version); });
}

Status Writer::deleteRun(const RunId& run) {
    return m_state->transaction([&](Connection& open) -> Status {
        if (const auto number = numberOf(open, run)) removeRun(open, *number);
        return {};
    });
}

Result<CatchUpReport> Writer::catchUp(const CatchUpProgress& progress) {
    constexpr std::int64_t kTurnMillis = 250;
    constexpr auto kGap = std::chrono::milliseconds(10);  // Long enough for a waiting writer to see it.
    CatchUpReport report;
    std::vector<std::string> ids;
    std::error_code error;
    for (const auto& folder : std::filesystem::directory_iterator(m_state->layout.runs(), error)) {
        if (std::string name = folder.path().filename().string(); base::isUuid7(name)) ids.push_back(std::move(name));
    }
    if (error && error != std::errc::no_such_file_or_directory)
        return base::errnoError(error.value(), "read the folder of runs", m_state->layout.runs());
    std::sort(ids.begin(), ids.end());  // By age, so that numbers come out the same each time.

    const auto total = static_cast<std::int64_t>(ids.size());
    for (std::int64_t done = 0; done < total;) {
        if (done > 0) std::this_thread::sleep_for(kGap);
        TRAINYARD_TRY(m_state->beginBatch());
        const auto turn = base::Deadline::inMillis(kTurnMillis);
        bool stopped = false;
        for (; done < total && !stopped && !turn.passed(); ++done) {
            if (progress && !progress(done, total)) {
                stopped = true;
                break;
            }
            const RunId run(ids[static_cast<std::size_t>(done)]);
            if (const Status taken = m_state->catchUpRun(run, report); !taken) {
                if (concernsWholeIndex(taken.error().code)) {
                    static_cast<void>(m_state->endBatch());
                    return taken.error();
                }
                report.problems.push_back(
                    {taken.error().code, "Run " + run.str() + ": " + taken.error().message, taken.error().field});
            }
            ++report.runs;
        }
        TRAINYARD_TRY(m_state->endBatch());
        if (stopped) return Error{"canceled", "Reading the workspace was stopped; what was read stays."};
    }
    TRAINYARD_TRY(m_state->removeVanished(ids, report));
    TRAINYARD_TRY(m_state->catchUpModels(report));
    if (progress) static_cast<void>(progress(total, total));
    m_state->created = false;
    return report;
}

}  // namespace trainyard::store
