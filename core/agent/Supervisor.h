#pragma once
// Carries out one plan on one node, from the first record of its stream to the last. Single-threaded; everything waits
// in one EventLoop. It may be killed at any moment and started again on the same folder: what it knows is in the
// stream, in launch.json and in ranks/, and the ranks live on under their shims meanwhile.
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/agent/Environment.h"
#include "core/agent/EnvironmentFacts.h"
#include "core/agent/EventLoop.h"
#include "core/agent/Intake.h"
#include "core/agent/FolderTail.h"
#include "core/agent/Machine.h"
#include "core/agent/MpiLauncher.h"
#include "core/agent/NodeHub.h"
#include "core/agent/NodeMember.h"
#include "core/agent/RankSet.h"
#include "core/agent/RankTail.h"
#include "core/agent/Resume.h"
#include "core/agent/Slots.h"
#include "core/agent/StreamSink.h"
#include "core/agent/SystemMetrics.h"

namespace trainyard::agent {

struct SupervisorOptions {
    /// For how long a full disk is waited for before the run fails.
    std::int64_t diskFullMillis = 10'000;
    /// Called once, when the stream's first record is written and synced.
    std::function<void()> onStarted;
};

enum class SupervisorEnd {
    Done,  ///< The stream has its `ended` record.
    Left,  ///< Asked to stop (SIGTERM); the ranks go on.
};

class Supervisor {
public:
    /// The caller holds agent.lock.
    Supervisor(NodeLayout layout, SupervisorOptions options, EventLoop loop)
        : m_layout(std::move(layout)), m_options(std::move(options)), m_loop(std::move(loop)),
          m_machine(inspectMachine()) {}

    /// An error only where not even the stream can be written.
    [[nodiscard]] Result<SupervisorEnd> run();
    /// After Done: the folder of the attempt that follows this one here, made and ready; none when the run has ended.
    [[nodiscard]] const std::optional<NodeLayout>& next() const { return m_next; }

private:
    /// Why and how the attempt ends.
    struct Verdict {
        std::string outcome;  ///< "completed", "failed", "canceled"
        std::string code;     ///< Dotted, for programs; empty when completed.
        std::string reason;   ///< One sentence.
    };
    using Step = Result<std::optional<Verdict>>;  ///< No verdict: go on.

    [[nodiscard]] Status begin();
    [[nodiscard]] Result<wire::Plan> readPlan() const;
    void writeAttempt(const Result<wire::Plan>& plan);
    [[nodiscard]] Status reportIdentity() const;
    [[nodiscard]] std::optional<Verdict> prepare();
    [[nodiscard]] std::optional<Verdict> placeFiles();
    /// SupervisorEnvironment.cpp
    [[nodiscard]] std::optional<Verdict> takeSecrets();
    [[nodiscard]] std::optional<Verdict> realise();
    void holdEnvironment();
    void askFacts();
    void tellStarted();
    [[nodiscard]] std::optional<Verdict> startTogether();
    [[nodiscard]] std::optional<Verdict> startFirst();
    [[nodiscard]] std::optional<Verdict> refuse() const;
    [[nodiscard]] std::optional<Verdict> waitForSlots();
    [[nodiscard]] std::optional<Verdict> launch(const std::vector<int>& gpus);
    [[nodiscard]] Verdict follow();
    [[nodiscard]] Verdict judgeRanks();
    [[nodiscard]] Verdict judgeOwn(int rank) const;
    void putState(std::string_view state, std::string_view reason = {});
    /// The loop's wait; speaks with the other nodes and with scripts meanwhile.
    Events wait(std::int64_t millis);
    /// Lets rank files fill before they are looked at again; scripts' requests are answered meanwhile.
    void pause(std::int64_t nanos);

    /// Several nodes (SupervisorNodes.cpp).
    [[nodiscard]] bool leads() const { return m_plan.node == 0; }
    [[nodiscard]] std::optional<Verdict> openLinks();
    void serviceLinks();
    [[nodiscard]] Json nodeStatus() const;
    /// Why another node ends the attempt, or why this one must.
    [[nodiscard]] std::optional<Verdict> linkVerdict();
    /// Waits until all nodes are prepared; not the lead: until it is told to take its slots.
    [[nodiscard]] std::optional<Verdict> gather();
    /// With its own slots taken. Lead: has the others take theirs, one after the other. Others: wait for the start.
    [[nodiscard]] std::optional<Verdict> lineUp();
    void order(const char* phase, const Json& more = Json::object());
    void tellStart();
    void passRendezvous();
    /// MPI: starts the launcher once all nodes are ready for their ranks; a verdict when it ended before they came up.
    [[nodiscard]] std::optional<Verdict> driveMpi();
    [[nodiscard]] bool othersFailed();
    [[nodiscard]] bool othersEnded();
    [[nodiscard]] bool orderedToStop() const {
        return m_member && (m_member->phase() == "stop" || m_member->phase() == "finish");
    }
    /// The rank that failed first on this node: {"rank","node","host","stopped","lost","t","code","reason","lines"};
    /// null: none.
    [[nodiscard]] Json ownCulprit() const;
    [[nodiscard]] Json firstCulprit();
    /// The first rank of this node that said that it fails, whatever its exit status: {"code","reason"}; null: none.
    [[nodiscard]] Json ownFailure() const;
    /// The same of all nodes.
    [[nodiscard]] Json firstFailure();
    /// "Rank 3 on node 1 (host): " where there are several ranks.
    [[nodiscard]] std::string speaker(int rank) const;
    void finishOthers();
    void leaveTogether(const Verdict& verdict);
    void decideRestart(const Verdict& verdict);
    /// Under a scheduler another attempt is the job queued again; without that there is none.
    void askScheduler();
    /// What an exit status of Trainyard's engine means; nothing where it says no more than "failed".
    [[nodiscard]] static std::optional<Verdict> engineVerdict(int rank, int status);
    [[nodiscard]] Status finalize(Verdict verdict);
    [[nodiscard]] Status writeEnded(const Verdict& verdict, const Json& outputs);
    [[nodiscard]] SlotRequest slotRequest() const;

    /// Things of every pass through the loop.
    void followLogs();
    void drainTails();
    void watchDisk();
    void sampleSystem();
    [[nodiscard]] std::optional<Verdict> canceled();
    [[nodiscard]] std::optional<Verdict> timeLimit() const;
    void noteClock();
    [[nodiscard]] std::optional<Verdict> diskFull() const;
    [[nodiscard]] bool tailsFinished();
    /// Scripts that heed SIGUSR1 are told that a checkpoint is wanted; the engine looks for itself.
    void passCheckpoint();
    [[nodiscard]] Json lastLines(int rank) const;

    NodeLayout m_layout;
    SupervisorOptions m_options;
    EventLoop m_loop;
    Machine m_machine;
    wire::Plan m_plan;
    Resume m_resume;
    wire::ClientLineTranslator m_translator;
    std::optional<StreamSink> m_sink;
    std::optional<Slots> m_slots;
    std::optional<Launch> m_launch;
    std::optional<RankSet> m_ranks;
    std::optional<Intake> m_intake;
    std::vector<RankTail> m_tails;
    std::optional<FolderTail> m_logs;
    FolderOffsets m_logsBefore;
    std::pair<ino_t, std::int64_t> m_checkpointSeen{};  ///< Inode and time of the request that was passed on last.
    std::optional<SystemMetrics> m_system;
    std::int64_t m_runningT = 0;      ///< Microseconds UTC.
    std::int64_t m_lastDiskLook = 0;  ///< Monotonic ns, as the next ones.
    std::int64_t m_lastSample = 0;
    std::int64_t m_lastCancelLook = 0;
    bool m_controlTouched = true;
    bool m_dropLogs = false;
    bool m_giveUpOnDisk = false;
    bool m_moreToRead = false;
    bool m_leave = false;
    bool m_schedulerEnds = false;  ///< The scheduler's SIGTERM came.

    std::optional<NodeHub> m_hub;         ///< The lead's, with several nodes.
    std::optional<NodeMember> m_member;   ///< The others'.
    std::string m_address = "127.0.0.1";  ///< Of node 0.
    std::string m_phase = "preparing";
    std::string m_waitsFor;  ///< Why this node's slots are not free.
    Json m_ownVerdict = Json::object();
    std::map<std::string, std::string> m_inputs;
    std::vector<int> m_gpus;
    std::set<int> m_lostNodes;
    std::optional<base::Deadline> m_stopUntil;
    Json m_rendezvous;
    std::string m_ordered;
    bool m_adopted = false;  ///< Taken over from an agent before this one, with its launch.
    bool m_restart = false;
    int m_joins = 0;  ///< The attempt that the others are at; 0: the next one.
    std::int64_t m_lastRefusal = 0;
    std::int64_t m_lastClock = 0;
    std::int64_t m_toldOffset = 0;
    std::optional<NodeLayout> m_next;
    std::optional<MpiLauncher> m_mpi;
    std::int64_t m_mpiGoneAt = 0;  ///< Monotonic ns.

    Masker m_masker;
    EnvironmentBuild::Values m_secrets;
    std::optional<EnvironmentBuild> m_environment;  ///< Held for the run's life.
    std::optional<EnvironmentFacts> m_facts;
    std::int64_t m_prepareNanos = 0;
};

}  // namespace trainyard::agent
