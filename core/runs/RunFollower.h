#pragma once
// One run's life from this side: launch, bring its stream here, take it into the index, look after its agent, collect
// its outputs, say how it ended. Holding the run's lock is what makes it the only one anywhere.
#include <QObject>
#include <QTimer>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/runs/Journal.h"
#include "core/runs/RunChange.h"
#include "core/runs/StreamCopy.h"
#include "core/runs/Submission.h"
#include "core/runs/Workspace.h"
#include "core/spec/RunState.h"
#include "core/store/Reader.h"
#include "core/store/Writer.h"
#include "core/targets/ComputeTarget.h"

namespace trainyard::runs {

/// What a follower works with; owned by the worker, used in its thread.
struct FollowContext {
    const Workspace& workspace;
    store::Writer& writer;
    store::Reader& reader;
    targets::ComputeTarget& target;
    std::function<void(const base::RunId&, RunParts)> changed;
    std::function<void(const base::RunId&, spec::RunState, const std::string& reason)> ended;
    std::function<void(const base::RunId&, const std::string& code, const std::string& message)> warned;
    /// Empty code: it is well again.
    std::function<void(const std::string& code, const std::string& message)> troubled;
};

/// Lives in the store thread.
class RunFollower : public QObject {
    Q_OBJECT
public:
    RunFollower(FollowContext& context, base::RunId run, base::FileLock lock);
    ~RunFollower() override;

    /// For a run that was just made. `launched` is called once its agent was started, or with the reason why not; the
    /// run is Failed (or Canceled) then.
    void launch(NewRun run, std::function<void(base::Status)> launched);
    /// For a run that was found without a follower.
    void adopt();
    /// Asks the run to end. Answered when the agent has been told, or the run has ended for another reason.
    void cancel(std::function<void(base::Status)> told);

    /// Everything that lies at the target now is in the index, and nothing is under way that ends by itself soon.
    [[nodiscard]] bool isSettled() const { return m_phase == Phase::Done || (m_caughtUp && m_phase != Phase::Finalizing); }
    [[nodiscard]] bool isDone() const { return m_phase == Phase::Done; }
    [[nodiscard]] const base::RunId& run() const { return m_run; }

Q_SIGNALS:
    void settled();
    /// The run has its final state in journal and index; the lock is free.
    void done();

private:
    struct Ended {
        std::string outcome;
        std::string reason;
        std::vector<targets::OutputFile> outputs;
    };
    enum class Phase { New, Launching, Following, Lost, Finalizing, Done };

    void launchPut(const targets::Programs& programs);
    void launchStart();
    void launchFailed(const base::Error& error);
    void answerLaunch(base::Status status);

    void follow();
    void takeChunk(targets::StreamChunk chunk);
    void ingest();
    void takeRecord(const wire::Record& record);
    void takeEnded(const wire::Record& record);
    [[nodiscard]] base::Status readIndex();
    void retryFollow(const base::Error& error);

    void lookNow();
    void takeLook(const base::Result<targets::AgentStatus>& status);
    void restartAgent(const std::string& why);
    void becomeLost(const std::string& reason);
    void foundAgain();

    void finalize();
    void takeOutputs(const base::Result<targets::FetchReport>& report);
    /// Writes the last entries into the journal, frees the lock. Tries again while the journal cannot be written.
    void close(spec::RunState state, const std::string& reason, std::vector<JournalEntry> before = {});
    void journalOrRetry(std::vector<JournalEntry> entries, std::function<void()> then);
    void indexJournal(std::function<void()> then);
    void retryIn(int millis, std::function<void()> work);
    void giveUp();
    void tellCancel(base::Status status);
    void sendCancel();
    void trouble(const base::Error& error);
    void well();

    FollowContext& m_context;
    base::RunId m_run;
    base::FileLock m_lock;
    targets::NodeRef m_node;
    Phase m_phase = Phase::New;
    NewRun m_new;
    std::function<void(base::Status)> m_launched;
    bool m_cancelAsked = false;
    std::vector<std::function<void(base::Status)>> m_cancelTold;

    targets::OperationPtr m_work;    ///< Launching, fetching: one step at a time.
    targets::OperationPtr m_stream;
    targets::OperationPtr m_look;
    targets::OperationPtr m_command;
    std::optional<StreamCopy> m_copy;
    std::unique_ptr<wire::StreamFolderReader> m_reader;
    QTimer m_lookTimer;

    bool m_adopted = false;
    bool m_caughtUp = false;
    bool m_isTroubled = false;
    bool m_begun = false;            ///< The index knows records of the stream, or the journal that an agent was started.
    bool m_ingestAgain = false;      ///< A retry is on its way.
    std::int64_t m_lastBytesAt = 0;  ///< Monotonic ns.
    std::int64_t m_agentStartedAt = 0;
    std::int64_t m_notStartedSince = 0;
    std::int64_t m_lastLookAt = 0;
    bool m_goneSeen = false;
    int m_restarts = 0;              ///< Without a new byte since.
    int m_fetchTries = 0;
    spec::RunState m_streamState = spec::RunState::Preparing;

    std::optional<Ended> m_ended;
    bool m_endedLive = false;
};

}  // namespace trainyard::runs
