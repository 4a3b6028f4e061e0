#pragma once
// What Slurm's commands print, read tolerantly: 20.11 and later. Times are asked for in UTC (TZ=UTC0 in the command's
// environment). Pure functions of text.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/targets/Target.h"

namespace trainyard::targets {

/// Variables for a command whose output is read here.
[[nodiscard]] const std::vector<std::pair<std::string, std::string>>& slurmReadingEnvironment();

/// "PENDING", "CANCELLED by 1000", "OUT_OF_ME+"… → the state; Unknown for words nobody knows.
[[nodiscard]] SchedulerLook::State slurmState(std::string_view word);
/// Neither waiting, running nor ending.
[[nodiscard]] bool slurmStateIsFinal(SchedulerLook::State state);

/// "2026-11-23T10:00:00" in UTC → microseconds; 0 for "Unknown", "N/A" and anything else.
[[nodiscard]] std::int64_t slurmTime(std::string_view text);
/// "1-02:30:00", "45:00", "UNLIMITED" → seconds; 0 = no limit, nothing when it cannot be read.
[[nodiscard]] std::optional<std::int64_t> slurmSeconds(std::string_view text);

/// One line of `scontrol --oneliner show …`: Key=Value words; a value goes on up to the next Key=. The first of a key
/// counts.
[[nodiscard]] std::map<std::string, std::string, std::less<>> slurmFields(std::string_view line);

/// `scontrol --oneliner show job N`.
[[nodiscard]] Result<SchedulerLook> slurmJobFromScontrol(std::string_view output);

/// argv (without the program's hidden variables) and reader of the jobs of one name that the queue remembers, newest
/// last.
[[nodiscard]] std::vector<std::string> squeueByName(const std::string& name);
[[nodiscard]] std::vector<SchedulerLook> slurmJobsFromSqueue(std::string_view output);

/// argv and reader of one job's record in the accounting. Nothing when it has none.
[[nodiscard]] std::vector<std::string> sacctOfJob(const std::string& job, bool fromCompletionLog);
[[nodiscard]] std::optional<SchedulerLook> slurmJobFromSacct(std::string_view output, const std::string& job);

/// "1234" or "1234;cluster" → "1234". Errors: "slurm.answer".
[[nodiscard]] Result<std::string> slurmJobNumber(std::string_view sbatchOutput);
/// "sbatch: Job 5 to start at 2026-11-23T10:00:00 using …" → microseconds UTC; 0 when it does not say.
[[nodiscard]] std::int64_t slurmTestedStart(std::string_view sbatchErrors);

/// What sbatch or srun complained of, as one sentence with the field it belongs to. Codes: "slurm.partition",
/// "slurm.account", "slurm.qos", "slurm.constraint", "slurm.nodes", "slurm.gpus", "slurm.time", "slurm.cores",
/// "slurm.line", "slurm.policy", "target.unreachable" (the controller does not answer), "slurm.refused" for what nobody
/// knows.
[[nodiscard]] base::Error slurmComplaint(std::string_view program, std::string_view errors);

/// What the queue's own word for why a job waits means: "Resources" → "waits until enough nodes are free".
/// Empty for words nobody knows.
[[nodiscard]] std::string slurmReasonText(std::string_view reason);

struct SlurmPartition {
    std::string name;
    bool isDefault = false;
    bool up = false;
    std::int64_t maxSeconds = 0;  ///< 0: no limit.
    std::int64_t defaultSeconds = 0;
    int maxNodes = 0;  ///< Of a job; 0: no limit.
    int nodes = 0;
    int priorityTier = 0;
};
/// `scontrol --oneliner show partition`.
[[nodiscard]] std::vector<SlurmPartition> slurmPartitions(std::string_view output);

struct SlurmNode {
    std::string name;
    std::string state;  ///< "IDLE", "MIXED+DRAIN"
    int cores = 0;
    int coresBusy = 0;
    std::int64_t memoryBytes = 0;
    std::int64_t memoryBusyBytes = 0;
    double load = 0;
    int gpus = 0;
    int gpusBusy = 0;
    std::map<std::string, int> gpusByType;  ///< "" where the type is not named.
    std::vector<std::string> partitions;
    [[nodiscard]] bool usable() const;  ///< Not down, drained or failing.
};
/// `scontrol --details --oneliner show node`.
[[nodiscard]] std::vector<SlurmNode> slurmNodes(std::string_view output);

/// "gpu:2,gpu:tesla:1(S:0),craynetwork:4" → {"":2, "tesla":1}.
[[nodiscard]] std::map<std::string, int> slurmGpus(std::string_view gres);

/// "slurm 22.05.8", "slurm-wlm 22.05.8" → {22, 5}.
[[nodiscard]] std::optional<std::pair<int, int>> slurmVersion(std::string_view text);

/// One waiting or running job of a partition, for a target's load.
struct SlurmQueued {
    std::string job;
    std::string user;
    std::string name;
    SchedulerLook::State state = SchedulerLook::State::Unknown;
    int nodes = 0;
    std::string reason;
    std::int64_t start = 0;
};
[[nodiscard]] std::vector<std::string> squeueOfPartition(const std::string& partition);
[[nodiscard]] std::vector<SlurmQueued> slurmQueue(std::string_view output);

}  // namespace trainyard::targets
