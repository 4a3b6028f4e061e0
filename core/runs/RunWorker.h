#pragma once
// The store thread's object: the one writer of the index in this process, the target, and a follower a run.
#include <QHash>
#include <QObject>
#include <QTimer>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/runs/RunChange.h"
#include "core/runs/RunFollower.h"
#include "core/runs/Workspace.h"
#include "core/store/Reader.h"
#include "core/store/Writer.h"
#include "core/targets/LocalTarget.h"

namespace trainyard::runs {

struct ServiceOptions {
    /// Take over the following of runs that nobody follows.
    bool followRuns = true;
    targets::LocalTargetOptions local;
};

/// A run that was accepted.
struct Submitted {
    base::RunId run;
    std::int64_t number = 0;
    std::string name;
};

/// Told in the store thread.
struct WorkerSink {
    std::function<void(QList<RunChange>)> changed;
    std::function<void(base::RunId, spec::RunState, std::string)> ended;
    std::function<void(base::RunId, std::string, std::string)> warned;
    std::function<void(std::string, std::string)> troubled;
    std::function<void()> modelsChanged;
};

/// Every method is called in the store thread, every callback arrives in it.
class RunWorker : public QObject {
    Q_OBJECT
public:
    RunWorker(Workspace workspace, ServiceOptions options, WorkerSink sink);
    ~RunWorker() override;

    /// Opens the index, makes or rebuilds it where needed. Afterwards begin() must be called once.
    [[nodiscard]] base::Status open(const std::function<void(double, std::string)>& progress);
    /// Catches up with the files, takes over runs that nobody follows, sweeps.
    void begin();
    [[nodiscard]] const Workspace& workspace() const { return m_workspace; }

    void submit(const base::Json& document, std::function<void(base::Result<Submitted>)> done);
    void cancel(const base::RunId& run, std::function<void(base::Status)> done);
    void edit(const base::RunId& run, std::vector<JournalEntry> entries, std::function<void(base::Status)> done);
    /// Answers with the bytes that were freed.
    void remove(const base::RunId& run, std::function<void(base::Result<std::int64_t>)> done);
    /// Answered when what lies at the targets now is in the index, or after `millis`.
    void settle(int millis, std::function<void()> done);
    [[nodiscard]] base::Result<store::CatchUpReport> rebuild(const std::function<void(double, std::string)>& progress);
    /// "workspace.read_only" when there is none.
    [[nodiscard]] base::Result<store::Writer*> writer();

private:
    [[nodiscard]] base::Status openIndex(const std::function<void(double, std::string)>& progress);
    [[nodiscard]] base::Status openReadOnly(const std::string& reason,
                                            const std::function<void(double, std::string)>& progress);
    void closeIndex();
    void makeContext();
    void sweep();
    [[nodiscard]] base::Result<std::vector<store::RunRow>> activeRuns();
    RunFollower& addFollower(const base::RunId& run, base::FileLock lock);
    void dropFollower(const base::RunId& run);
    void retire(const base::RunId& run, int triesLeft);
    void sweepTarget();
    void cancelElsewhere(const base::RunId& run, base::Deadline deadline, std::function<void(base::Status)> done);
    void removeLocked(const base::RunId& run, base::Deadline deadline,
                      std::function<void(base::Result<std::int64_t>)> done);
    void noteChange(const base::RunId& run, RunParts parts);
    void flushChanges();
    void watchOthers();
    void compareWithOthers(bool tell);
    void checkSettled();

    Workspace m_workspace;
    ServiceOptions m_options;
    WorkerSink m_sink;
    targets::LocalTarget m_target;
    std::optional<store::Writer> m_writer;
    std::optional<store::Reader> m_reader;
    std::unique_ptr<FollowContext> m_context;
    std::map<base::RunId, std::unique_ptr<RunFollower>> m_followers;
    std::map<base::RunId, targets::OperationPtr> m_retiring;
    std::map<base::RunId, targets::OperationPtr> m_commands;
    targets::OperationPtr m_targetSweep;
    bool m_begun = false;
    bool m_unfollowed = false;  ///< Active runs are followed by others; they may let go.

    std::map<base::RunId, RunParts> m_changes;
    QTimer m_flush;
    std::int64_t m_lastFlush = 0;

    QTimer m_watch;
    std::int64_t m_dataVersion = 0;
    std::uint64_t m_ownChanges = 0;
    std::int64_t m_lastCompare = 0;
    std::int64_t m_lastSweep = 0;
    struct Seen {
        std::size_t meta = 0;
        std::size_t rest = 0;
        spec::RunState state = spec::RunState::Draft;
    };
    std::map<base::RunId, Seen> m_seen;
    std::size_t m_seenModels = 0;

    struct Settling {
        base::Deadline deadline;
        std::function<void()> done;
    };
    std::vector<Settling> m_settling;
    QTimer m_settleTimer;
};

}  // namespace trainyard::runs
