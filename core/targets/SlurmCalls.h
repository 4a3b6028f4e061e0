#pragma once
// Slurm's commands on the machine that has them, as calls with typed answers.
#include <optional>
#include <string>
#include <vector>

#include "core/targets/Host.h"

namespace trainyard::targets {

/// Runs one of Slurm's commands (argv without a shell, the person's own SBATCH_… settings hidden). An exit status other
/// than 0 is an error: slurmComplaint() of what it said. "target.program" when the machine has no such command.
struct SlurmCall {
    std::vector<std::string> argv;
    bool reads = true;     ///< Its output is read: UTC and C locale, which a job must not inherit. May be repeated.
    std::string folder{};  ///< Working folder.
    std::string input{};
};
[[nodiscard]] OperationPtr slurmCall(Host& host, SlurmCall call, Deadline deadline, Done<ExecResult> done);

/// The number of the job that carries the run out or waits to; nothing when none was ever submitted.
[[nodiscard]] OperationPtr findSlurmJob(Host& host, const RunId& run, Deadline deadline,
                                        Done<std::optional<std::string>> done);

/// What the queue says of the run's job, or the accounting when the queue has forgotten it. `job` empty: none was
/// submitted, or nobody knows one; state Unknown with a `job`: it is in the queue no more, and no record says how it
/// ended.
[[nodiscard]] OperationPtr lookAtSlurmJob(Host& host, const RunId& run, Deadline deadline, Done<SchedulerLook> done);

/// Takes the run's job off the queue, or ends it. No job is success.
[[nodiscard]] OperationPtr cancelSlurmJob(Host& host, const RunId& run, Deadline deadline, DoneStatus done);

}  // namespace trainyard::targets
