#pragma once
// All ranks of the attempt on this node: starts their shims, recognises shims that an earlier agent started, sees how
// ranks end, stops them. A rank counts as ended when nothing of it runs any more.
#include <sys/types.h>

#include <optional>
#include <vector>

#include "core/agent/Child.h"
#include "core/agent/RankFiles.h"
#include "core/base/Clock.h"
#include "core/wire/Plan.h"

namespace trainyard::agent {

class RankSet {
public:
    RankSet(const NodeLayout& layout, const wire::Plan& plan);

    /// Starts a shim for every rank that has neither a shim nor an exit yet, or for the first `most` ranks. `ticketFd`
    /// (or -1) is inherited by them.
    void startMissing(int ticketFd, int most = 1 << 30);
    /// Rank 0 of this node has begun, or never will.
    [[nodiscard]] bool firstIsDecided() const { return m_ranks.front().note || m_ranks.front().exit; }
    [[nodiscard]] bool firstFoundPortTaken() const { return m_ranks.front().exit && m_ranks.front().exit->portTaken; }
    /// For a rank whose code has not run: it may be started again.
    void forgetFirst();
    [[nodiscard]] bool anyBegun() const;
    /// MPI's launcher will not start them any more.
    void giveUpNotBegun(const std::string& message);
    /// Ranks that run cannot be ours any more: the machine was restarted since.
    void giveUpAfterReboot();
    /// Reads what is new in ranks/, collects children, notices shims that are gone. Cheap; call it often.
    void look();
    /// Asks every shim to end its rank (SIGTERM, SIGKILL after the grace time). May be called again and again: shims
    /// that came up later are asked too, and what outlives grace and shim is killed from here.
    void stop();

    [[nodiscard]] bool allEnded() const;
    [[nodiscard]] bool anyFailed() const;
    /// A rank failed without having been asked to end.
    [[nodiscard]] bool failedByItself() const;
    /// The rank that failed first and by itself, not because it was stopped.
    [[nodiscard]] std::optional<int> culprit() const;
    [[nodiscard]] const std::optional<RankExit>& exitOf(int rank) const {
        return m_ranks[static_cast<std::size_t>(rank)].exit;
    }
    [[nodiscard]] int count() const { return static_cast<int>(m_ranks.size()); }
    /// Shims that an earlier agent started and that still live.
    [[nodiscard]] int adopted() const;
    [[nodiscard]] std::vector<pid_t> shimPids() const;
    /// {"rank","pid"} of each; null until all have begun or ended.
    [[nodiscard]] Json started() const;
    /// The `ranks` member of the ended record.
    [[nodiscard]] Json describeAll() const;

private:
    struct Rank {
        pid_t child = -1;  ///< The shim as our child; -1 when another agent started it.
        bool childGone = false;
        std::optional<base::Deadline> startBy;
        std::optional<ShimNote> note;
        std::optional<RankExit> exit;
        std::optional<std::string> vanished;  ///< The shim is gone; sweeping up what it left.
        std::optional<base::Deadline> sweepUntil;
        bool asked = false;            ///< SIGTERM was sent to the shim.
        std::optional<Child> removal;  ///< Of the container that a vanished shim left.
    };

    void reapChildren();
    void lookAt(int index);
    void readNotes(int index);
    void vanish(Rank& rank, std::string message);
    void sweep(Rank& rank);
    [[nodiscard]] pid_t startShim(int rank, int ticketFd) const;

    NodeLayout m_layout;
    wire::Plan m_plan;
    std::vector<Rank> m_ranks;
    std::optional<base::Deadline> m_forceAfter;
};

}  // namespace trainyard::agent
