#pragma once
// What one agent has to do on one node: plan.json. Written by the workspace's side, carried out with every workbench
// closed.
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

/// Data that the run reads, as its agent finds or fetches it; $TRAINYARD_INPUT_<NAME>.
struct PlanInput {
    std::string name;  ///< [A-Za-z0-9_]+; upper-cased in the variable's name.
    std::string path;  ///< Absolute, on the target: what the variable holds. Empty with `address` until it is fetched.
    std::string sha256;   ///< What `path` must have (wire::contentHash); empty: not looked at.
    std::string address;  ///< http(s) address to fetch it from into <work>/data/<sha256>/ when it is not there.
    bool verify =
        false;  ///< A declared path: its content is hashed before the ranks start (or known by an unchanged record).
    bool unpack = false;  ///< What lies at `address` is an archive, and `path` becomes the folder of what is in it.
};

/// One step of an environment's build, run by the agent in the environment's folder, without a shell.
struct PlanBuildStep {
    std::string title;  ///< For people: "Install the packages".
    std::vector<std::string>
        command;  ///< argv; $NAME inside an argument is expanded ($TRAINYARD_ENVIRONMENT: the folder).
    std::vector<std::pair<std::string, std::string>> variables;
    std::int64_t maxSeconds = 3600;
};

/// A small file that is written into the environment's folder before the first step (requirements.txt, Containerfile).
struct PlanBuildFile {
    std::string name;  ///< Relative, without "..".
    std::string text;
};

/// A variable whose value is read on the target when the ranks start, is in no file of ours, and is masked in the logs.
struct PlanSecret {
    std::string variable;
    std::string file;          ///< Absolute, or "~/…"; its content without the last newline. Either this,
    std::string fromVariable;  ///< or a variable of the agent's own environment.
};

/// What the ranks run in. Realised once under <work>/environments/<hash>/ (a lock beside it, `ready.json` written last;
/// a folder without it is a broken build and is removed), then used by every run with the same hash.
struct PlanEnvironment {
    std::string name;  ///< With its version: "my-torch:3".
    std::string
        kind;  ///< "engine", "interpreter", "venv", "conda", "container", "setup"; empty: as the plan's command says.
    std::string hash;  ///< SHA-256 of what is built; empty: nothing to build.
    std::vector<PlanBuildFile> files;
    std::vector<PlanBuildStep> steps;
    std::vector<std::string> wrap;  ///< argv put before every rank's command ("podman", "run", …); $NAME is expanded.
    std::string
        interpreter;  ///< What "$TRAINYARD_PYTHON" in the command stands for; $TRAINYARD_ENVIRONMENT is expanded.
    std::vector<std::string> pathPrefix;  ///< Folders put before PATH.
    std::vector<std::pair<std::string, std::string>> variables;
    std::vector<PlanSecret> secrets;
    std::vector<std::string>
        facts;  ///< argv whose standard output, one JSON object, is recorded as what the run really ran with.
    std::int64_t needBytes = 0;  ///< Free disk that a build must find.
};

/// A node as its peers reach it.
struct PlanPeer {
    std::string host;  ///< For people.
    std::string
        address;  ///< Numeric; for rendezvous and for the agents' own connection. Empty: the agent finds its own.
    std::string interface;  ///< GLOO_SOCKET_IFNAME, NCCL_SOCKET_IFNAME; empty: not set.
};

struct Plan {
    base::RunId run;
    int attempt = 1;
    int node = 0;  ///< 0 leads.
    int nodes = 1;
    int processes = 1;       ///< Ranks on each node; world size = nodes × processes.
    std::string experiment;  ///< For variables given to ranks.
    std::string runName;
    std::vector<std::string>
        command;  ///< argv of every rank; $NAME inside an argument is expanded by the shim, without a shell.
    std::vector<std::pair<std::string, std::string>> variables;
    std::string workingFolder;  ///< Absolute; empty: the snapshot's folder `code`, without one the outputs folder's
                                ///< parent. Relative: inside `code`.
    std::string outputsFolder;  ///< Absolute; made by the agent; TRAINYARD_OUTPUTS.
    std::string slotsFolder;    ///< <work>/slots
    int cores = 1;              ///< Slots asked for; more than the machine has are cut to it with a warning.
    int gpus = 0;
    std::int64_t priority = 0;
    std::int64_t maxSeconds = 0;  ///< 0 = none.
    std::int64_t graceSeconds = 10;
    std::int64_t diskReserveBytes = std::int64_t{1} << 30;
    std::int64_t systemIntervalMillis = 1000;
    bool engine =
        false;  ///< The command is trainyard-engine: it binds port 0 itself and publishes it in TRAINYARD_RENDEZVOUS.

    std::string distribution = "none";  ///< "none", "pytorch", "mpi"
    std::string backend;                ///< "gloo", "nccl", empty: not said.
    std::string launcher;               ///< mpi: "mpirun" or "srun".
    std::vector<PlanPeer> peers;        ///< By node; may be empty with one node.
    int leadPort = 0;   ///< Where node 0's agent listens; 0: it binds any and publishes it in NodeLayout::lead().
    std::string token;  ///< Every node of the run must know it; never in an argument or a variable.
    std::int64_t silenceSeconds = 15;  ///< A node that is not heard of for so long ends the attempt.
    std::int64_t joinSeconds = 300;    ///< For how long node 0 waits for the others to appear.
    bool sharedFolder = false;         ///< All nodes see the same work folder (Slurm, NFS).
    bool scheduler = false;            ///< Slots, GPUs and time limit are the scheduler's: no ticket is taken.
    std::string workFolder;            ///< <work>, absolute.
    std::string sourceManifest;        ///< Name of the file beside the plan that lists the snapshot; empty: no source.
    std::vector<PlanInput> inputs;
    std::vector<std::string> patterns;  ///< base::MetricPattern: what in a rank's log lines is a metric.
    PlanEnvironment environment;
    std::string resumeCheckpoint;  ///< Absolute, or empty.
    std::int64_t maxRestarts = 0;  ///< New attempts that the agents make by themselves after a node or rank that died.
};

/// The snapshot's list of files:
/// {"format":"trainyard.snapshot","version":1,"files":[{"path","sha256","size","executable"}]}.
inline constexpr const char* kSnapshotFormat = "trainyard.snapshot";
inline constexpr int kSnapshotVersion = 1;

[[nodiscard]] base::Json toJson(const Plan& plan);
[[nodiscard]] base::Result<Plan> planFromJson(const base::Json& json);

/// Environment variables that a shim sets for its rank, beside torchrun's (MASTER_ADDR MASTER_PORT RANK LOCAL_RANK
/// WORLD_SIZE LOCAL_WORLD_SIZE) and Azure's (AZ_BATCHAI_PYTORCH_INIT_METHOD, AZ_BATCHAI_TASK_INDEX).
namespace variable {
inline constexpr const char* kStream = "TRAINYARD_STREAM";    ///< File that client lines are appended to.
inline constexpr const char* kOutputs = "TRAINYARD_OUTPUTS";  ///< Folder whose content is kept.
inline constexpr const char* kRunId = "TRAINYARD_RUN_ID";
inline constexpr const char* kRunName = "TRAINYARD_RUN_NAME";
inline constexpr const char* kExperiment = "TRAINYARD_EXPERIMENT";
inline constexpr const char* kAttempt = "TRAINYARD_ATTEMPT";
inline constexpr const char* kRendezvous =
    "TRAINYARD_RENDEZVOUS";  ///< Engine: file in which rank 0 publishes {"host","port"}.
inline constexpr const char* kControl =
    "TRAINYARD_CONTROL";  ///< Engine: folder in which a "checkpoint" file asks for one.
inline constexpr const char* kInputPrefix =
    "TRAINYARD_INPUT_";                                 ///< + upper-case name of an input: its path on this node.
inline constexpr const char* kNode = "TRAINYARD_NODE";  ///< Node's index; MPI's ranks read theirs from the launcher.
}  // namespace variable

}  // namespace trainyard::wire
