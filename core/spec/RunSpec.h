#pragma once
// What to run, with what, where. A RunSpec is a value: made by a form, a JSON file or the CLI, validated here without
// libtorch, kept as runs/<id>/spec.json. Its JSON is the truth; the struct is a typed reading of it.
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/spec/Field.h"

namespace trainyard::spec {

using base::Result;
using base::Status;

inline constexpr const char* kRunSpecFormat = "trainyard.run-spec";
inline constexpr int kRunSpecVersion = 1;

enum class TaskKind { Train, Command };

/// Data of a train task. `kind` decides which members mean something; "idx" is MNIST's format, gzipped or not.
/// Image folders and CSV come as further kinds with members of their own.
struct DatasetSpec {
    std::string kind = "idx";
    std::string name;         ///< For people and for the model card ("Fashion-MNIST").
    std::string trainImages;  ///< Paths of IDX files.
    std::string trainLabels;
    std::string valImages;
    std::string valLabels;
    std::int64_t trainLimit = 0;  ///< Use only the first N samples; 0 = all.
    std::int64_t valLimit = 0;
    std::vector<std::string> classNames;  ///< Optional; index = label.
};

struct ModelSpec {
    std::string family = "cnn";  ///< "mlp", "cnn"; the tables in core/spec/models know the families.
    Json options = Json::object();
};

struct OptimizerSpec {
    std::string kind = "sgd";  ///< "sgd", "adam", "adamw"
    double learningRate = 0.1;
    double momentum = 0.9;
    bool nesterov = true;
    double weightDecay = 5e-4;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double epsilon = 1e-8;
};

struct ScheduleSpec {
    std::string kind = "one_cycle";  ///< "constant", "step", "cosine", "one_cycle"
    double warmupFraction = 0.3;     ///< one_cycle: share of all steps that the rate rises.
    std::int64_t stepEpochs = 10;    ///< step: multiply by `gamma` every so many epochs.
    double gamma = 0.1;
    double minimumFactor = 0.0;  ///< cosine: last rate as a share of the first.
};

struct TrainTask {
    DatasetSpec dataset;
    ModelSpec model;
    OptimizerSpec optimizer;
    ScheduleSpec schedule;
    std::int64_t epochs = 4;
    std::int64_t batchSize = 128;  ///< Samples a step, over all ranks together (the global batch).
    std::int64_t seed = 1;
    std::string device = "auto";   ///< "auto", "cpu", "cuda". "cuda" never falls back.
    std::int64_t threads = 0;      ///< Threads a rank; 0 = the machine's cores divided by the ranks on it.
    std::int64_t logEverySteps = 10;
    std::int64_t checkpointEveryEpochs = 1;  ///< 0 = only at the end.
    bool normalize = true;         ///< By mean and standard deviation of the training images.
    bool augment = false;          ///< Random shift by up to 2 pixels and horizontal flip.
    double labelSmoothing = 0.0;
};

/// A script of the user's, or any command. Either `script` or `command` is set.
struct CommandTask {
    std::string sourceFolder;          ///< Folder here that is snapshotted and becomes the working folder there; may be empty.
    std::string script;                ///< Entry script, relative to the source folder.
    std::string interpreter;           ///< Program that runs the script; empty: the target's (python3). "none": the script itself.
    std::vector<std::string> arguments;  ///< Of the script; one each, $NAME inside one is expanded on the target.
    std::vector<std::string> command;  ///< argv; the first is looked up in PATH on the target. $NAME inside an argument is expanded there.
    std::string workingFolder;         ///< Relative: inside the source folder. Absolute: on the target. Empty: the source folder's copy, else the run's folder.
};

struct DistributionSpec {
    std::string kind = "none";     ///< "none", "pytorch", "mpi"
    std::string backend = "auto";  ///< pytorch: "auto", "gloo", "nccl"
    std::string launcher = "auto"; ///< mpi: "auto" (the target's), "mpirun", "srun"
    std::int64_t processes = 1;    ///< Ranks a node.
    std::int64_t nodes = 1;
    std::int64_t gpus = 0;         ///< GPUs a node. 0: none, but one a process for a train task on "cuda".
};

struct LimitsSpec {
    std::int64_t maxSeconds = 0;        ///< Wall time of all attempts; 0 = none.
    std::int64_t diskReserveMiB = 1024; ///< Below this much free space logs are dropped with a counted warning.
    std::int64_t graceSeconds = 10;     ///< From SIGTERM to SIGKILL.
    std::int64_t maxRestarts = 0;       ///< New attempts after a node or rank that died; a scheduler's requeue does not count.
};

struct RunSpec {
    std::string experiment = "default";
    std::string name;  ///< Empty: a name is made from the experiment and the run's number.
    std::string description;
    TaskKind taskKind = TaskKind::Train;
    TrainTask train;      ///< When taskKind is Train.
    CommandTask command;  ///< When taskKind is Command.
    std::string environment = "trainyard-engine";
    std::string target = "local";
    DistributionSpec distribution;
    LimitsSpec limits;
    std::int64_t priority = 0;  ///< Higher goes first in the target's queue.
    std::vector<std::pair<std::string, std::string>> tags;
    std::vector<std::pair<std::string, std::string>> variables;  ///< Environment variables of every rank.
    /// Data by name: a path here, "target:/absolute/path" there (with "#sha256=…" verified), or an http(s) address with
    /// "#sha256=…". Ranks find each in $TRAINYARD_INPUT_<NAME>.
    std::vector<std::pair<std::string, std::string>> inputs;
    std::string resumeFrom;  ///< Run id whose last checkpoint this run goes on from; empty: from the start.
};

/// Every field of a RunSpec document with label, unit, default, range and help, model families' options included.
/// The form, the CLI, the schema and validation all come from this list.
[[nodiscard]] const std::vector<Field>& runSpecFields();
/// A document with every default; what the New run form opens with.
[[nodiscard]] Json defaultRunSpecDocument();
/// All that is wrong with a document, in field order; empty when it can be launched. Does not look at the disk.
[[nodiscard]] std::vector<Error> validateRunSpec(const Json& document);
/// Typed reading of a document; the first error of validateRunSpec otherwise. Older versions are upgraded first,
/// newer ones refused ("format.newer").
[[nodiscard]] Result<RunSpec> runSpecFromJson(const Json& document);
[[nodiscard]] Json toJson(const RunSpec& spec);
/// One of RunSpec::inputs, read.
struct InputLocation {
    enum class Kind { Here, OnTarget, Address };
    Kind kind = Kind::Here;
    std::string location;  ///< Absolute path here or there, or the http(s) address without its fragment.
    std::string sha256;    ///< Content hash that it must have; may be empty but for an address.
};
/// Errors: "spec.input", with `field`.
[[nodiscard]] Result<InputLocation> parseInputLocation(const std::string& text, const std::string& field);

/// The machine-readable schema that stands in resources/docs/protocol/run-spec.schema.json (a test holds them equal).
[[nodiscard]] Json runSpecJsonSchema();

/// Paths that differ between two documents, with both values: for "duplicate run" and comparisons.
struct Difference {
    std::string path;
    Json left;
    Json right;
};
[[nodiscard]] std::vector<Difference> differences(const Json& left, const Json& right);

}  // namespace trainyard::spec
