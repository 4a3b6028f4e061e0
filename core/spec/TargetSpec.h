#pragma once
// A compute target's definition: workspace/targets/<name>/<version>.json. "local" exists without one; a definition of
// that name only changes its settings.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/spec/Field.h"

namespace trainyard::spec {

using base::Result;

inline constexpr const char* kTargetSpecFormat = "trainyard.compute-target";
inline constexpr int kTargetSpecVersion = 1;

enum class TargetKind { Local, Ssh, Slurm };

/// One machine of an SSH target, in the order of the nodes.
struct HostSpec {
    std::string destination;  ///< As given to ssh: "alias", "host", "user@host". Never begins with '-'.
    std::int64_t port = 0;    ///< 0: as the user's ssh configuration says.
    std::string address;      ///< Numeric address for the other nodes; empty: found by the agent.
    std::string interface;    ///< Network interface for collectives; empty: the one that has the address.
};

struct SlurmSpec {
    std::string login;  ///< Destination of the login node; empty: Slurm's commands are on this machine.
    std::int64_t loginPort = 0;
    std::string partition;
    std::string account;
    std::string qos;
    std::string constraint;
    std::int64_t minNodes = 1;  ///< A run asks for a number of nodes within these.
    std::int64_t maxNodes = 1;
    std::string gpuType;               ///< GRES type: --gpus-per-node=<type>:<n>; empty: any.
    bool lowPriority = false;          ///< Preemptible: requeued, goes on from its checkpoint.
    std::string lowPriorityPartition;  ///< The preemptible jobs' partition or, with lowPriorityQos, QOS.
    std::string lowPriorityQos;
    std::int64_t timeLimitMinutes = 0;    ///< When the run names none; 0: the partition's.
    std::int64_t signalSeconds = 120;     ///< Warning before the time limit: a checkpoint is written.
    bool requeueAtLimit = false;          ///< Goes on in a new attempt when the time limit is reached.
    std::string launcher = "srun";        ///< For MPI: "srun" or "mpirun".
    std::vector<std::string> extraLines;  ///< "#SBATCH" lines without the word: "--exclusive".
};

struct TargetSpec {
    std::string name;  ///< [a-z0-9][a-z0-9._-]*, 64 at most.
    TargetKind kind = TargetKind::Ssh;
    std::string description;
    bool disabled = false;    ///< Runs are refused; those that are there go on.
    std::string workFolder;   ///< On the target; absolute or beginning with "~/"; empty: ~/.local/share/trainyard/work.
    std::string slotsFolder;  ///< Where all users of a machine share its slots; empty: /var/tmp/trainyard-slots.
    std::int64_t cores = 0;   ///< Cores of each host that runs may have; 0: all.
    std::int64_t maxGpus = -1;       ///< GPUs of each host that runs may have; -1: all.
    bool shared = false;             ///< The hosts see the same work folder.
    std::vector<HostSpec> hosts;     ///< Ssh.
    SlurmSpec slurm;                 ///< Slurm.
    std::string engine = "auto";     ///< "auto" (bundle, or the one built there when a GPU is asked for), "bundle",
                                     ///< "built", or an absolute path there.
    std::string torch;               ///< Absolute path of a libtorch there, for building the engine; empty: looked for.
    std::string python = "python3";  ///< Default interpreter of scripts.
    std::int64_t dataCacheGiB = 0;   ///< Oldest unused data goes above it; 0: no limit.
    bool fetchHere = false;          ///< Addresses are fetched on this machine and sent there: for closed networks.
    std::string retention =
        "collected";  ///< When a run's folder goes from the target: "collected" (once all is here), "keep", "days".
    std::int64_t retentionDays = 7;
    std::int64_t connectSeconds = 10;  ///< For one try to connect.
    std::int64_t aliveSeconds = 5;     ///< ServerAliveInterval; three unanswered ones are a cut.
    std::vector<std::pair<std::string, std::string>> variables;  ///< For every run there.
};

[[nodiscard]] const char* targetKindName(TargetKind kind);
/// Every field of a definition, as runSpecFields() for runs.
[[nodiscard]] const std::vector<Field>& targetSpecFields();
[[nodiscard]] std::vector<Error> validateTargetSpec(const Json& document);
[[nodiscard]] Result<TargetSpec> targetSpecFromJson(const Json& document);
[[nodiscard]] Json toJson(const TargetSpec& spec);
[[nodiscard]] Json targetSpecJsonSchema();
/// True for what ssh may be given as a destination: no leading '-', no white space, control characters or quotes.
/// "spec.destination" names what is wrong with it.
[[nodiscard]] base::Status checkDestination(const std::string& destination, const std::string& field);

}  // namespace trainyard::spec
