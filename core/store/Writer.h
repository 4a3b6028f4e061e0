#pragma once
// Writes the index. Everything in it comes from files of the workspace, so that it can be thrown away at any time.
#include <cstdint>
#include <functional>
#include <memory>

#include "core/store/Types.h"

namespace trainyard::store {

/// Attempt 0 stands for the journal (one file, segment 1, node 0).
inline constexpr int kJournalAttempt = 0;

/// Records of one stream, as a decoder gave them, with the cursor before the first and after the last of them.
struct StreamBatch {
    RunId run;
    int attempt = 1;
    int node = 0;
    std::vector<wire::StreamEntry> entries;
    std::vector<wire::DamagedLine> damaged;
    wire::StreamCursor from;
    wire::StreamCursor to;
};

struct CatchUpReport {
    std::int64_t runs = 0;     ///< Looked at.
    std::int64_t records = 0;  ///< Taken.
    std::int64_t models = 0;
    std::int64_t removed = 0;           ///< Runs and models whose files are gone.
    std::vector<base::Error> problems;  ///< Runs that could not be read; they are skipped, the rest is taken.
};

/// Called between runs with (done, total); return false to stop ("canceled"; what was taken stays).
using CatchUpProgress = std::function<bool(std::int64_t done, std::int64_t total)>;

/// One connection, used by one thread at a time. Each call is one short BEGIN IMMEDIATE transaction that is committed
/// or leaves nothing; several processes may write side by side. Errors of every call: "store.locked" (deadline of
/// OpenOptions), "store.readonly", "store.full", "store.corrupt" (remedy: rebuild), "store.io". No exception leaves it.
class Writer {
public:
    /// Makes the file when it is missing, upgrades an older one (a copy of it stays beside it as
    /// history.sqlite.v<N>.backup). Errors: "store.newer" (both versions named), "store.foreign", and those above.
    [[nodiscard]] static Result<Writer> open(const IndexLocation& location, const OpenOptions& options = {});
    /// Empties the index and catches up; others may have it open meanwhile and see it fill. A corrupt one is moved
    /// aside first (history.sqlite.old, replaced each time), and others notice and open the new one. The remedy for
    /// "store.corrupt".
    [[nodiscard]] static Result<CatchUpReport>
    rebuild(const IndexLocation& location, const CatchUpProgress& progress = {}, const OpenOptions& options = {});
    Writer(Writer&&) noexcept;
    Writer& operator=(Writer&&) noexcept;
    ~Writer();

    /// True when open() found no index: call catchUp().
    [[nodiscard]] bool created() const;

    /// Takes the next number for a run. A number is never given twice, even if the run it was meant for is never made.
    [[nodiscard]] Result<std::int64_t> takeNumber();

    /// Applies records of runs/<id>/journal.jsonl. batch.attempt must be kJournalAttempt. The run comes into being
    /// with its first batch, which reads runs/<id>/spec.json too. A last word (Completed, Failed, Canceled) makes the
    /// streams in the workspace be read to their ends, as followStream(…, finished) does. Errors: "store.cursor" when
    /// the stored cursor is not batch.from (somebody else was here: read cursor() and go on from there; nothing was
    /// written).
    [[nodiscard]] Status applyJournal(const StreamBatch& batch);
    /// Takes records of an agent's stream, as copied into the workspace. Errors: "store.cursor" as above,
    /// "store.run_unknown" before the run's journal was applied.
    [[nodiscard]] Status ingest(const StreamBatch& batch);
    /// Where the index stands in a stream; the beginning for one never seen.
    [[nodiscard]] Result<wire::StreamCursor> cursor(const RunId& run, int attempt, int node) const;

    /// Reads the journal in the workspace from the stored cursor to its present end and applies it. Returns the number
    /// of records taken. Somebody else doing the same at the same time is harmless.
    [[nodiscard]] Result<std::int64_t> followJournal(const RunId& run);
    /// The same for runs/<id>/stream/a<attempt>-n<node>. `finished`: nothing will be appended any more, so a torn tail
    /// is reported as damaged. At most `maxRecords` a call.
    [[nodiscard]] Result<std::int64_t> followStream(const RunId& run, int attempt, int node, bool finished = false,
                                                    std::int64_t maxRecords = 1 << 20);

    /// Reads models/<name>/<version>/card.json and takes it; a card that is gone is removed from the index.
    [[nodiscard]] Status applyModel(const std::string& name, int version);
    /// Removes a run from the index. Its files are the caller's to remove (first), or a rebuild brings it back.
    [[nodiscard]] Status deleteRun(const RunId& run);

    /// Takes everything in the workspace that the index does not have yet and removes what is gone: after a
    /// workspace was opened, copied or restored. Commits every quarter of a second, so others get their turn.
    [[nodiscard]] Result<CatchUpReport> catchUp(const CatchUpProgress& progress = {});

    /// Transactions committed through this object that changed something.
    [[nodiscard]] std::uint64_t changeCount() const;
    [[nodiscard]] const IndexLocation& location() const;

private:
    struct State;
    explicit Writer(std::unique_ptr<State> state);
    std::unique_ptr<State> m_state;
};

}  // namespace trainyard::store
