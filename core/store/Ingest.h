#pragma once
// Room-internal: what each kind of record does to the tables. All within the caller's transaction; everything throws
// SQLite::Exception or CorruptIndex.
#include <map>
#include <set>
#include <string>

#include "core/store/Connection.h"
#include "core/store/LogIndex.h"
#include "core/store/SeriesStore.h"
#include "core/store/Writer.h"
#include "core/wire/Layout.h"

namespace trainyard::store {

/// The number of a run, if the index has it.
[[nodiscard]] std::optional<std::int64_t> numberOf(Connection& connection, const RunId& run);
/// The next number, which is marked as given.
[[nodiscard]] std::int64_t takeNextNumber(Connection& connection);
[[nodiscard]] wire::StreamCursor storedCursor(Connection& connection, std::int64_t run, int attempt, int node);
/// Removes every row of a run.
void removeRun(Connection& connection, std::int64_t run);

/// Applies one batch to one run.
class Ingest {
public:
    Ingest(Connection& connection, const wire::WorkspaceLayout& layout, const StreamBatch& batch);
    /// "store.cursor", "store.run_unknown", "store.number" (no number is left).
    [[nodiscard]] Status apply();

private:
    [[nodiscard]] Status findOrMakeRun();
    void readSpec();
    void take(const wire::StreamEntry& entry);
    void takeJournal(const wire::Record& record);
    void addEvent(const wire::Record& record, const Json& body);
    void takeSubmit(const wire::Record& record);
    void takeState(const wire::Record& record);
    void takeAttempt(const wire::Record& record);
    void takeStarted(const wire::Record& record);
    void takeClock(const wire::Record& record);
    void takeEnded(const wire::Record& record);
    void takeMetrics(const wire::StreamEntry& entry);
    void takeSystem(const wire::Record& record);
    void takeLog(const wire::StreamEntry& entry);
    void takeProgress(const wire::Record& record);
    void takeParams(const wire::Record& record);
    void takeTags(const wire::Record& record);
    void takeItem(const wire::StreamEntry& entry);
    void takeWarning(const wire::Record& record);
    void takeOutput(const Json& output, int attempt, bool collected);
    void setTag(const std::string& name, const Json& value, std::int64_t at, std::int64_t seq);
    void addWarning(std::int64_t seq, std::int64_t at, int rank, const std::string& code, const std::string& message,
                    std::int64_t count);
    void addDamage(const wire::DamagedLine& line);
    void flushPoints();
    void flushRanks();
    void refreshState();
    void refreshText();

    struct RankSeen {
        std::int64_t lastAt = 0;
        std::int64_t logLines = 0;
    };
    Connection& m_connection;
    const wire::WorkspaceLayout& m_layout;
    const StreamBatch& m_batch;
    std::int64_t m_run = 0;
    std::optional<LogIndexer> m_log;
    std::int64_t m_logLines = 0;
    std::map<std::tuple<SeriesKind, int, std::string>, std::vector<Point>> m_points;
    std::map<int, RankSeen> m_ranks;
    bool m_stateChanged = false;
    bool m_textChanged = false;
};

}  // namespace trainyard::store
