#pragma once
// Brings a run to a Slurm cluster and hands it to the queue.
#include "core/spec/TargetSpec.h"
#include "core/targets/Host.h"

namespace trainyard::targets {

/// As Target::launch. What reached the queue is not submitted again: a job is found by its name or by the number in the
/// run's folder. Errors beside Target's: those of checkSlurmSpec, slurmScript and slurmComplaint.
[[nodiscard]] OperationPtr launchOnSlurm(Host& host, const spec::TargetSpec& target, LaunchPlan plan,
                                         std::function<void(LaunchProgress)> onProgress, DoneStatus done);

/// As Target::measureUpload, with "estimated_start": microseconds UTC at which the queue would start the job as things
/// stand (0: it does not say), and "queue_says": what it has against it, empty when nothing. The queue's view of the
/// moment: not a refusal.
[[nodiscard]] OperationPtr measureForSlurm(Host& host, const spec::TargetSpec& target, const LaunchPlan& plan,
                                           Deadline deadline, Done<base::Json> done);

/// Whether a partition can ever take the job, as far as its own limits say. Errors: "slurm.partition", "slurm.nodes",
/// "slurm.time".
struct SlurmPartition;
[[nodiscard]] Status fitsPartition(const std::vector<SlurmPartition>& partitions, const spec::SlurmSpec& slurm,
                                   int nodes, std::int64_t minutes);

}  // namespace trainyard::targets
