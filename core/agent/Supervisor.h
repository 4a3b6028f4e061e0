#pragma once
// Carries out one plan on one node, from the first record of its stream to the last. Single-threaded; everything waits in
// one EventLoop. It may be killed at any moment and started again on the same folder: what it knows is in the stream, in
// launch.json and in ranks/, and the ranks live on under their shims meanwhile.
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/agent/EventLoop.h"
#include "core/agent/Machine.h"
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
    Done,   ///< The stream has its `ended` record.
    Left,   ///< Asked to stop (SIGTERM); the ranks go on.
};

class Supervisor {
public:
    /// The caller holds agent.lock.
    Supervisor(NodeLayout layout, SupervisorOptions options, EventLoop loop)
        : m_layout(std::move(layout)), m_options(std::move(options)), m_loop(std::move(loop)),
          m_machine(inspectMachine()) {}

    /// An error only where not even the stream can be written.
    [[nodiscard]] Result<SupervisorEnd> run();

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
    [[nodiscard]] std::optional<Verdict> refuse() const;
    [[nodiscard]] std::optional<Verdict> waitForSlots();
    [[nodiscard]] std::optional<Verdict> launch(const std::vector<int>& gpus);
    [[nodiscard]] Verdict follow();
    [[nodiscard]] Verdict judgeRanks() const;
    /// What an exit status of Trainyard's engine means; nothing where it says no more than "failed".
    [[nodiscard]] static std::optional<Verdict> engineVerdict(int rank, int status);
    [[nodiscard]] Status finalize(Verdict verdict);
    [[nodiscard]] Status writeEnded(const Verdict& verdict, const Json& outputs);
    [[nodiscard]] SlotRequest slotRequest() const;

    /// Things of every pass through the loop.
    void drainTails();
    void watchDisk();
    void sampleSystem();
    [[nodiscard]] std::optional<Verdict> canceled();
    [[nodiscard]] std::optional<Verdict> timeLimit() const;
    [[nodiscard]] std::optional<Verdict> diskFull() const;
    [[nodiscard]] bool tailsFinished() const;
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
    std::vector<RankTail> m_tails;
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
};

}  // namespace trainyard::agent
