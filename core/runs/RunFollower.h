#pragma once
// One run's life from this side: launch, bring its streams here, take them into the index, look after its agents,
// collect its outputs, say how it ended. Holding the run's lock is what makes it the only one anywhere.
#include <QObject>
#include <QTimer>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/base/Clock.h"
#include "core/base/Files.h"
#include "core/runs/Collection.h"
#include "core/runs/Journal.h"
#include "core/runs/RunChange.h"
#include "core/runs/StreamCopy.h"
#include "core/runs/Submission.h"
#include "core/runs/TargetPool.h"
#include "core/runs/Workspace.h"
#include "core/spec/RunState.h"
#include "core/store/Reader.h"
#include "core/store/Writer.h"
#include "core/targets/Target.h"

namespace trainyard::runs {

/// What a follower works with; owned by the worker, used in its thread.
struct FollowContext {
    const Workspace& workspace;
    store::Writer& writer;
    store::Reader& reader;
    TargetPool& pool;
    std::function<void(const base::RunId&, RunParts)> changed;
    std::function<void(const base::RunId&, spec::RunState, const std::string& reason)> ended;
    std::function<void(const base::RunId&, const std::string& code, const std::string& message)> warned;
    /// Empty code: it is well again.
    std::function<void(const std::string& code, const std::string& message)> troubled;
    RegisterModels registerModels;  ///< Empty: records that ask for models are only kept.
    std::function<void()> modelsChanged;
};

/// Lives in the store thread. State comes from the newest attempt; a requeue or restart is the next attempt.
class RunFollower : public QObject {
    Q_OBJECT
public:
    RunFollower(FollowContext& context, base::RunId run, std::string target, base::FileLock lock);
    ~RunFollower() override;

    /// For a run that was just made. `launched` is called once the target has it, or with the reason why not; the run
    /// is Failed (or Canceled) then. A target that was reached before and cannot be now is waited for. Until then
    /// `onUpload` gets each "upload" record of the journal.
    void launch(NewRun run, std::function<void(base::Status)> launched,
                std::function<void(const base::Json&)> onUpload);
    /// For a run that was found without a follower. One that was not handed over yet is launched.
    void adopt();
    /// Asks the run to end; that it was asked is in the journal first. Answered when the target has been told, when it
    /// cannot be reached (it is told once it can), or when the run has ended for another reason.
    void cancel(std::function<void(base::Status)> told);
    /// Says that the run has ended, although nobody knows what became of it there. "run.ended"; for one that is not
    /// Lost "run.reachable".
    [[nodiscard]] base::Status giveUp();

    /// Another process wrote to the journal: was it asked to end?
    void lookAtJournal();
    void reachChanged(const targets::Reach& reach);
    /// The target's object goes; what is under way with it is dropped and begun anew.
    void leaveTarget();

    /// Everything that lies at the target now is in the index, and nothing is under way that ends by itself soon.
    [[nodiscard]] bool isSettled() const {
        return m_phase == Phase::Done || m_unreachableSince != 0 || (m_caughtUp && m_phase != Phase::Finalizing);
    }
    [[nodiscard]] bool isDone() const { return m_phase == Phase::Done; }
    [[nodiscard]] const base::RunId& run() const { return m_run; }
    [[nodiscard]] const std::string& target() const { return m_target; }

Q_SIGNALS:
    void settled();
    /// The run has its final state in journal and index; the lock is free.
    void done();

private:
    struct Ended {
        int attempt = 1;
        std::string outcome;
        std::string reason;
        std::vector<targets::OutputFile> outputs;
        bool listFirst = false;  ///< Nobody left a list of the outputs: what lies there counts.
        bool goesOn = false;     ///< The agents start the next attempt by themselves.
    };
    enum class Phase { New, Launching, Following, Lost, Finalizing, Done };

    void prepareLaunch();
    void launchNow();
    void launchEnded(const base::Status& status);
    /// Nothing of the run can be there: it ends. Where something may be, findRest() looks first.
    void launchFailed(const base::Error& error);
    /// What a launch that cannot go on left on its target: a run that was started whole goes on, a part of one is
    /// ended.
    void findRest(const base::Error& error);
    void takeRest(const base::Result<targets::RunLook>& look);
    void failLaunch(const base::Error& error, std::vector<JournalEntry> before = {});
    [[nodiscard]] JournalEntry leftThere() const;
    /// The target is about to put the run on these hosts.
    [[nodiscard]] base::Status notePlaced(const std::vector<std::string>& hosts);
    void undoLaunch();
    void lookAfterUndo(bool again);
    void afterUndo(const base::Result<targets::RunLook>& look, bool again);
    void answerLaunch(base::Status status);
    /// Reads the content of what the run was given and notes it in the journal; `inputs`: as far as the launch knows
    /// it.
    void tellInputs(const spec::RunSpec& spec, std::vector<targets::InputData> inputs);
    void takeInputs(const base::Result<base::Json>& facts);
    void noteProgress(const targets::LaunchProgress& progress);

    void follow();
    void takeChunk(const targets::StreamChunk& chunk);
    void ingest(int attempt, int node);
    void takeRecord(int attempt, int node, const wire::Record& record);
    void takeEnded(int attempt, int node, const wire::Record& record);
    void beginAttempt(int attempt);
    [[nodiscard]] base::Status readIndex();
    void retryFollow(const base::Error& error);
    /// Finalizes when everybody's last word is here (or was waited for).
    void finalizeIfEnded();

    void lookNow();
    void takeLook(const base::Result<targets::RunLook>& look);
    /// Hosts that do not answer while the run's lead does: said once, each time they are lost or answer again.
    void noteSilent(const std::vector<targets::SilentHost>& silent);
    void takeNodes(const std::vector<targets::NodeLook>& nodes);
    void takeScheduler(const targets::SchedulerLook& look);
    void schedulerEnded(const targets::SchedulerLook& look);
    void revive(const std::string& why);
    void becomeLost(const std::string& reason);
    void foundAgain();
    void noteUnreachable(const std::string& reason);
    void noteReachable();
    /// The target answered.
    void heard() {
        if (m_unreachableSince != 0 || m_unreachableTold) {
            noteReachable();
        }
    }
    [[nodiscard]] bool isUnreachable(const base::Error& error) const;
    [[nodiscard]] bool isScheduled() const;

    void finalize();
    void fetchOutputs();
    void takeOutputs(const base::Result<targets::FetchReport>& report);
    /// Compares with the run that this one repeats, if there is one, and ends.
    void compareAndClose(std::vector<JournalEntry> before);
    /// Writes the last entries into the journal, frees the lock. Tries again while the journal cannot be written.
    void close(spec::RunState state, const std::string& reason, std::vector<JournalEntry> before = {});
    void journalOrRetry(std::vector<JournalEntry> entries, std::function<void()> then);
    void indexJournal(std::function<void()> then);
    void retryIn(int millis, std::function<void()> work);
    void tellCancel(base::Status status);
    void sendCancel();
    void takeCancelSent(const base::Status& sent);
    void trouble(const base::Error& error);
    void well();
    /// The target's object; without one (its definition cannot be read) the run cannot be reached.
    [[nodiscard]] targets::Target* place();

    FollowContext& m_context;
    base::RunId m_run;
    std::string m_target;
    base::FileLock m_lock;
    Phase m_phase = Phase::New;
    NewRun m_new;
    std::optional<targets::LaunchPlan> m_plan;
    std::function<void(base::Status)> m_launched;
    std::function<void(const base::Json&)> m_onUpload;
    bool m_placed = false;  ///< The target may have something of the run, on these hosts by node:
    std::vector<std::string> m_hosts;
    std::optional<base::Error> m_launchError;  ///< Why a run that was started in part is being ended.
    int m_launchTries = 0;
    bool m_waitsToLaunch = false;
    bool m_cancelAsked = false;
    bool m_cancelSent = false;
    std::vector<std::function<void(base::Status)>> m_cancelTold;

    targets::OperationPtr m_work;  ///< Launching, reviving, fetching: one step at a time.
    targets::OperationPtr m_stream;
    targets::OperationPtr m_look;
    targets::OperationPtr m_command;
    targets::OperationPtr m_facts;  ///< Reading the content of the run's data.
    RunCopies m_copies;
    std::map<std::pair<int, int>, std::unique_ptr<wire::StreamFolderReader>> m_readers;  ///< By attempt and node.
    QTimer m_lookTimer;
    QTimer m_lostTimer;

    bool m_adopted = false;
    bool m_caughtUp = false;
    bool m_isTroubled = false;
    bool m_begun = false;  ///< The target has the run: the index knows records of its streams, or the journal says so.
    bool m_ingestAgain = false;  ///< A retry is on its way.
    int m_attempt = 1;
    int m_nodes = 1;             ///< Of the newest attempt.
    std::set<int> m_nodesEnded;  ///< Nodes of it other than 0 that said their last word.
    std::vector<targets::OutputFile> m_nodeOutputs;
    std::set<int> m_nodesLeft;       ///< Of which nothing was heard at the end.
    std::int64_t m_lastBytesAt = 0;  ///< Monotonic ns.
    std::int64_t m_agentStartedAt = 0;
    std::int64_t m_lastLookAt = 0;
    std::int64_t m_endedAt = 0;
    bool m_goneSeen = false;
    int m_restarts = 0;  ///< Without a new byte since.
    int m_fetchTries = 0;
    spec::RunState m_streamState = spec::RunState::Preparing;

    std::int64_t m_unreachableSince = 0;  ///< Microseconds UTC.
    std::string m_unreachableReason;
    std::set<std::string> m_silentTold;  ///< Hosts that the journal says are silent.
    bool m_unreachableTold = false;      ///< The journal says so, since:
    std::int64_t m_toldSince = 0;
    int m_followTries = 0;

    std::optional<targets::SchedulerLook> m_scheduler;
    std::int64_t m_schedulerEndedAt = 0;  ///< Monotonic ns of the first look that said so.

    std::string m_progressStep;
    std::int64_t m_progressBeganAt = 0;
    std::int64_t m_progressFrom = 0;
    std::int64_t m_progressToldAt = 0;

    std::optional<Ended> m_ended;
    bool m_endedLive = false;
    bool m_comparing = false;  ///< Outputs are here; only models and the comparison with the original are missing.
    std::optional<base::Deadline> m_factsUntil;  ///< For how long the end waits for them.
    bool m_endWaits = false;                     ///< finalizeIfEnded() is on its way.
};

}  // namespace trainyard::runs
