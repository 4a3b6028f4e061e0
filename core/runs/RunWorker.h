#pragma once
// The store thread's object: the one writer of the index in this process, the targets, and a follower a run.
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
#include "core/runs/TargetPool.h"
#include "core/runs/Workspace.h"
#include "core/store/Reader.h"
#include "core/store/Writer.h"
#include "core/targets/LocalTarget.h"
#include "core/targets/Operations.h"

namespace trainyard::runs {

struct ServiceOptions {
    /// Take over the following of runs that nobody follows.
    bool followRuns = true;
    /// How often runs' folders on the targets are looked at for whether their time is over.
    int retentionMillis = 600'000;
    targets::LocalTargetOptions local;
    RegisterModels registerModels;        ///< Empty: records that ask for models are only kept.
    TargetPool::Make makeTarget;          ///< Empty: by the kind of the definition.
    TargetPool::Definitions definitions;  ///< Empty: the workspace's target book.
};

/// A run that was accepted.
struct Submitted {
    base::RunId run;
    std::int64_t number = 0;
    std::string name;
};

/// What becomes of a deleted run's rest on a target that cannot be reached.
enum class RemoveWay {
    Ask,       ///< Nothing is deleted: "run.target_unreachable".
    Remember,  ///< Deleted here; there once the target can be reached.
    Force,     ///< Deleted here; what is there is left.
};

/// Names something under way that can be stopped.
using Ticket = std::int64_t;

/// Told in the store thread.
struct WorkerSink {
    std::function<void(QList<RunChange>)> changed;
    std::function<void(base::RunId, spec::RunState, std::string)> ended;
    std::function<void(base::RunId, std::string, std::string)> warned;
    std::function<void(std::string, std::string)> troubled;
    std::function<void()> modelsChanged;
    std::function<void(std::string, targets::Reach)> reachChanged;
    std::function<void(std::int64_t, targets::Question)> asked;
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

    void submit(const base::Json& document, std::function<void(base::Result<Submitted>)> done,
                const base::RunId& snapshotFrom, const base::RunId& reproduces,
                std::function<void(const base::Json&)> onUpload);
    void cancel(const base::RunId& run, std::function<void(base::Status)> done);
    void edit(const base::RunId& run, std::vector<JournalEntry> entries, std::function<void(base::Status)> done);
    [[nodiscard]] base::Status giveUp(const base::RunId& run);
    /// Answers with the bytes that were freed.
    void remove(const base::RunId& run, RemoveWay way, std::function<void(base::Result<std::int64_t>)> done);
    /// Brings outputs of an ended run that were left on its target.
    void collectAgain(const base::RunId& run, std::function<void(base::Status)> done);
    /// Answered when what lies at the targets now is in the index, or after `millis`.
    void settle(int millis, std::function<void()> done);
    [[nodiscard]] base::Result<store::CatchUpReport> rebuild(const std::function<void(double, std::string)>& progress);
    /// "workspace.read_only" when there is none.
    [[nodiscard]] base::Result<store::Writer*> writer();

    [[nodiscard]] TargetPool& pool() { return m_pool; }
    /// Starts an operation on a target and keeps it until it has answered or is stopped. The error of a target that
    /// cannot be had is told like any other, from the event loop.
    template <class T>
    void onTarget(Ticket ticket, const std::string& target,
                  std::function<targets::OperationPtr(targets::Target&, targets::Done<T>)> start,
                  std::function<void(base::Result<T>)> done);
    void stop(Ticket ticket);
    void measureUpload(Ticket ticket, const base::Json& document, std::function<void(base::Result<base::Json>)> done);
    void listRemoteOutputs(Ticket ticket, const base::RunId& run,
                           std::function<void(base::Result<targets::OutputList>)> done);
    /// Brings one file of a run's outputs, also while the run goes on.
    void fetchFile(Ticket ticket, const base::RunId& run, const std::string& path,
                   std::function<void(std::int64_t)> onProgress, std::function<void(base::Result<base::Path>)> done);
    /// The definition of a target was written or removed.
    void targetChanged(const std::string& target);

private:
    [[nodiscard]] base::Status openIndex(const std::function<void(double, std::string)>& progress);
    [[nodiscard]] base::Status openReadOnly(const std::string& reason,
                                            const std::function<void(double, std::string)>& progress);
    void closeIndex();
    void makeContext();
    void sweep();
    [[nodiscard]] base::Result<std::vector<store::RunRow>> activeRuns();
    RunFollower& addFollower(const base::RunId& run, const std::string& target, base::FileLock lock);
    void dropFollower(const base::RunId& run);
    void retire(const base::RunId& run, int triesLeft);
    /// All that an ended run left on its target was brought here, or it never had anything there.
    [[nodiscard]] bool allIsHere(const store::RunRow& row) const;
    void sweepTarget(const std::string& target);
    void removeThere(const std::string& target, const base::RunId& run);
    [[nodiscard]] std::string targetOf(const base::RunId& run) const;
    void reachChanged(const std::string& target, const targets::Reach& reach);
    /// What hosts left that did not answer when the run ended; owed while they do not.
    void bringRest(const base::RunId& run);
    /// Something of the run is to be brought from there or removed there, and could not be: it is tried again and
    /// again, after growing pauses, and at once when the target is connected. paid() ends it.
    void owe(const std::string& name, const base::RunId& run);
    void paid(const std::string& name, const base::RunId& run);
    void collectDebts(const std::string& name);
    /// What an earlier program could not bring or remove.
    void findDebts();
    void copyStreams(const base::RunId& run, std::shared_ptr<base::FileLock> lock,
                     std::function<void(base::Status)> done);
    void collectOutputs(const base::RunId& run, std::shared_ptr<base::FileLock> lock,
                        std::function<void(base::Status)> done);
    void fetchLeft(const base::RunId& run, std::shared_ptr<base::FileLock> lock, std::vector<targets::OutputFile> files,
                   std::function<void(base::Status)> done);
    void cancelElsewhere(const base::RunId& run, base::Deadline deadline, std::function<void(base::Status)> done);
    void removeLocked(const base::RunId& run, RemoveWay way, base::Deadline deadline,
                      std::function<void(base::Result<std::int64_t>)> done);
    void removeThereAndHere(const base::RunId& run, std::shared_ptr<base::FileLock> lock, base::Deadline deadline,
                            std::function<void(base::Result<std::int64_t>)> done);
    /// Ends what is still at work there of a run that has ended here: it was given up.
    void endThere(const std::string& name, const base::RunId& run, std::function<void()> then);
    void removeHere(const base::RunId& run, std::function<void(base::Result<std::int64_t>)> done);
    void noteChange(const base::RunId& run, RunParts parts);
    void flushChanges();
    void watchOthers();
    void compareWithOthers(bool tell);
    void checkSettled();

    Workspace m_workspace;
    ServiceOptions m_options;
    WorkerSink m_sink;
    TargetPool m_pool;
    std::optional<store::Writer> m_writer;
    std::optional<store::Reader> m_reader;
    std::unique_ptr<FollowContext> m_context;
    std::map<base::RunId, std::unique_ptr<RunFollower>> m_followers;
    std::map<base::RunId, targets::OperationPtr> m_retiring;
    std::map<base::RunId, targets::OperationPtr> m_commands;
    std::map<base::RunId, targets::OperationPtr> m_registering;
    std::set<base::RunId> m_bringing;  ///< Their rest is on its way.
    std::map<std::string, targets::OperationPtr> m_targetSweeps;
    struct Debts {
        std::set<base::RunId> runs;
        int tries = 0;
        std::unique_ptr<QTimer> timer;
    };
    std::map<std::string, Debts> m_debts;  ///< By target.
    struct OnTarget {
        std::string target;
        targets::OperationPtr operation;
        std::function<void(base::Error)> fail;
    };
    std::map<Ticket, OnTarget> m_operations;
    Ticket m_lastOwnTicket = 0;  ///< Ours count downwards, the service's upwards.
    bool m_begun = false;
    bool m_unfollowed = false;  ///< Active runs are followed by others; they may let go.

    std::map<base::RunId, RunParts> m_changes;
    QTimer m_flush;
    std::int64_t m_lastFlush = 0;

    QTimer m_retention;
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

template <class T>
void RunWorker::onTarget(Ticket ticket, const std::string& target,
                         std::function<targets::OperationPtr(targets::Target&, targets::Done<T>)> start,
                         std::function<void(base::Result<T>)> done) {
    const auto finish = [this, ticket, done](const base::Result<T>& result) {
        const auto node = m_operations.extract(ticket);
        done(result);
    };
    const auto found = m_pool.get(target);
    OnTarget& one = m_operations[ticket];
    one.target = target;
    one.fail = [done](const base::Error& error) { done(error); };
    one.operation = found.ok() ? start(**found, finish) : targets::postResult<T>(found.error(), finish);
}

}  // namespace trainyard::runs
