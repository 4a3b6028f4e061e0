#pragma once
// The batch script of a run's job, and what may stand in it. Pure functions of values: no machine is asked.
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/Ids.h"
#include "core/base/Result.h"
#include "core/spec/TargetSpec.h"

namespace trainyard::targets {

/// What one run asks of the queue.
struct SlurmJob {
    base::RunId run;
    int nodes = 1;
    int cores = 1;             ///< Of each node: ranks × threads.
    int gpus = 0;              ///< Of each node.
    std::int64_t minutes = 0;  ///< Time limit; 0: the definition's, without one the partition's.
    std::string runFolder;     ///< <work>/runs/<id>, absolute, seen by all nodes under this path.
    std::string agent;         ///< Absolute path of the agent's program in the work folder.
};

/// The job's name in the queue; made from the run's id alone, so that a job is found again by it.
[[nodiscard]] std::string slurmJobName(const base::RunId& run);

/// Looks at every value that reaches the script. Error codes: "slurm.value" and "slurm.line" with the field of the
/// definition ("slurm.partition", "slurm.extra_lines").
[[nodiscard]] base::Status checkSlurmSpec(const spec::SlurmSpec& slurm);

/// The partition and QOS that runs of this definition go to: those of low priority where that is chosen.
[[nodiscard]] std::string slurmPartition(const spec::SlurmSpec& slurm);
[[nodiscard]] std::string slurmQos(const spec::SlurmSpec& slurm);

/// Options for sbatch and srun that say where a job may run: partition, account, QOS, constraint. Each is one argument.
[[nodiscard]] std::vector<std::string> slurmPlace(const spec::SlurmSpec& slurm);

/// The whole script. Its body starts one agent a node by srun, and lets each agent make its folder from plan.json in
/// the run's folder. Exactly one job ever carries out a run: the first that writes the file `job` in the run's folder.
/// Errors: those of checkSlurmSpec; "slurm.nodes" (field "distribution.nodes") outside the definition's range;
/// "slurm.path" for a work folder whose name sbatch could not read.
[[nodiscard]] base::Result<std::string> slurmScript(const spec::SlurmSpec& slurm, const SlurmJob& job);

/// Variables of the person's own settings that would override or filter what is asked of a Slurm command.
[[nodiscard]] const std::vector<std::string>& slurmHiddenVariables();

/// argv of a Slurm command without those variables: `env -u … sbatch …`.
[[nodiscard]] std::vector<std::string> slurmCommand(std::vector<std::string> argv);

}  // namespace trainyard::targets
