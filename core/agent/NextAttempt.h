#pragma once
// Folders of attempts that the agents begin by themselves: after a rank or node that died, or where a scheduler starts
// them.
#include "core/agent/RankFiles.h"
#include "core/wire/Plan.h"

namespace trainyard::agent {

/// Makes a<k+1>/n<i> beside a<k>/n<i>, with what was put there for the run, one restart less and what is left of the
/// time. `usedSeconds`: of the time limit. `leadPort`: where node 0's agent listens now and will again.
[[nodiscard]] Result<NodeLayout> makeNextAttempt(const NodeLayout& layout, const wire::Plan& plan,
                                                 std::int64_t usedSeconds, int leadPort);

/// Under a scheduler: makes a<k>/n<i> of this task in the run's folder from its plan.json, which names no node. The
/// attempt is SLURM_RESTART_COUNT + 1, the node SLURM_NODEID. Rank files lie on this machine's own disk (SLURM_TMPDIR,
/// TMPDIR, /tmp), behind a link. May be repeated. Errors: "scheduler.variables", "scheduler.nodes", file.*, those of
/// the plan.
[[nodiscard]] Result<NodeLayout> makeScheduledNode(const Path& runFolder);

/// The folder of this node in the attempt that the scheduler's job is at; not made here.
[[nodiscard]] Result<NodeLayout> scheduledNode(const Path& runFolder);

/// How many times the agents themselves had the job queued again; requeues by the scheduler do not count.
[[nodiscard]] std::int64_t restartsAsked(const NodeLayout& layout);
[[nodiscard]] Status noteRestartAsked(const NodeLayout& layout);

/// What the scheduler's script left on this machine's own disk for the node's ranks.
void removeLocalRanks(const NodeLayout& layout);

}  // namespace trainyard::agent
