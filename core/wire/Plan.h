#pragma once
// What one agent has to do on one node: plan.json. Written by the workspace's side, carried out with every workbench closed.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/base/Ids.h"
#include "core/base/Json.h"
#include "core/base/Result.h"

namespace trainyard::wire {

inline constexpr const char* kPlanFormat = "trainyard.plan";
inline constexpr int kPlanVersion = 1;

struct Plan {
    base::RunId run;
    int attempt = 1;
    int node = 0;   ///< 0 leads.
    int nodes = 1;
    int processes = 1;             ///< Ranks on each node; world size = nodes × processes.
    std::string experiment;        ///< For variables given to ranks.
    std::string runName;
    std::vector<std::string> command;  ///< argv of every rank; $NAME inside an argument is expanded by the shim, without a shell.
    std::vector<std::pair<std::string, std::string>> variables;
    std::string workingFolder;     ///< Absolute, or empty for the outputs folder's parent.
    std::string outputsFolder;     ///< Absolute; made by the agent; TRAINYARD_OUTPUTS.
    std::string slotsFolder;       ///< <work>/slots
    int cores = 1;                 ///< Slots asked for; more than the machine has are cut to it with a warning.
    int gpus = 0;
    std::int64_t priority = 0;
    std::int64_t maxSeconds = 0;   ///< 0 = none.
    std::int64_t graceSeconds = 10;
    std::int64_t diskReserveBytes = std::int64_t{1} << 30;
    std::int64_t systemIntervalMillis = 1000;
    bool engine = false;           ///< The command is trainyard-engine: it binds port 0 itself and publishes it in TRAINYARD_RENDEZVOUS.
};

[[nodiscard]] base::Json toJson(const Plan& plan);
[[nodiscard]] base::Result<Plan> planFromJson(const base::Json& json);

/// Environment variables that a shim sets for its rank, beside torchrun's (MASTER_ADDR MASTER_PORT RANK LOCAL_RANK
/// WORLD_SIZE LOCAL_WORLD_SIZE) and Azure's (AZ_BATCHAI_PYTORCH_INIT_METHOD, AZ_BATCHAI_TASK_INDEX).
namespace variable {
inline constexpr const char* kStream = "TRAINYARD_STREAM";          ///< File that client lines are appended to.
inline constexpr const char* kOutputs = "TRAINYARD_OUTPUTS";        ///< Folder whose content is kept.
inline constexpr const char* kRunId = "TRAINYARD_RUN_ID";
inline constexpr const char* kRunName = "TRAINYARD_RUN_NAME";
inline constexpr const char* kExperiment = "TRAINYARD_EXPERIMENT";
inline constexpr const char* kAttempt = "TRAINYARD_ATTEMPT";
inline constexpr const char* kRendezvous = "TRAINYARD_RENDEZVOUS";  ///< Engine: file in which rank 0 publishes {"host","port"}.
inline constexpr const char* kControl = "TRAINYARD_CONTROL";        ///< Engine: folder in which a "checkpoint" file asks for one.
}  // namespace variable

}  // namespace trainyard::wire
