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

/// Data of a train task. `kind` decides which members mean something; "idx" is MNIST's format, gzipped or not; "images"
/// is a folder of JPEG and PNG files, a class a folder.
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
    std::string folder;          ///< images: train/ and val/ with a folder a class, or the classes' folders themselves.
    double valFraction = 0.2;    ///< images without val/: share of each class kept for validation.
    std::int64_t splitSeed = 1;  ///< images without val/: which samples those are.
    std::int64_t imageSize = 224;   ///< images: side of what the model sees, pixels.
    std::int64_t resizeSize = 256;  ///< images: validation resizes the short side to this, then crops the centre.
    std::int64_t cacheMiB = 2048;   ///< images: decoded samples are kept in memory when all fit in this; 0 = never.
    double maxBadFraction = 0.05;   ///< images: the run fails when more samples than this cannot be read.
};

/// Random changes of the training images, as in torchvision's reference training.
struct AugmentSpec {
    bool crop = true;               ///< Random resized crop; else resize and centre crop as for validation.
    double cropScaleMin = 0.08;     ///< Share of the image's area.
    double cropRatioMax = 4.0 / 3;  ///< Width by height lies in [1/x, x].
    double flip = 0.5;              ///< Chance of a horizontal flip.
    double verticalFlip = 0.0;
    double rotation = 0.0;    ///< Degrees either way.
    double brightness = 0.0;  ///< Factor in [1-x, 1+x]; contrast and saturation likewise.
    double contrast = 0.0;
    double saturation = 0.0;
    double hue = 0.0;    ///< Share of the colour circle, either way.
    double erase = 0.0;  ///< Chance of random erasing.
};

/// What a model's parameters start from.
struct WeightsSpec {
    std::string source;   ///< Empty: random. A file here, "target:/path", "run:<id>", or "pretrained:<name>".
    bool freeze = false;  ///< Only the head is trained,
    std::int64_t unfreezeEpoch = 0;  ///< until this epoch begins (0 = never).
    double backboneRate = 1.0;       ///< Learning rate of all but the head, as a share of the head's.
};

struct ModelSpec {
    std::string family = "cnn";  ///< "mlp", "cnn"; the tables in core/spec/models know the families.
    Json options = Json::object();
    WeightsSpec weights;
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
    std::string kind = "one_cycle";  ///< "constant", "step", "multi_step", "cosine", "one_cycle"
    double warmupFraction = 0.3;     ///< one_cycle: share of all steps that the rate rises.
    std::int64_t stepEpochs = 10;    ///< step: multiply by `gamma` every so many epochs.
    double gamma = 0.1;
    double minimumFactor = 0.0;            ///< cosine: last rate as a share of the first.
    std::vector<std::int64_t> milestones;  ///< multi_step: epochs at which the rate is multiplied by `gamma`.
    std::int64_t warmupEpochs =
        0;  ///< constant, step, multi_step, cosine: the rate rises linearly over so many epochs.
    std::string span =
        "all";  ///< Of a run that goes on from another: "all" epochs from the first on, or the "rest" alone, anew.
};

struct TrainTask {
    DatasetSpec dataset;
    ModelSpec model;
    OptimizerSpec optimizer;
    ScheduleSpec schedule;
    std::int64_t epochs = 4;
    std::int64_t batchSize = 128;  ///< Samples a step, over all ranks together (the global batch).
    std::int64_t seed = 1;
    std::string device = "auto";  ///< "auto", "cpu", "cuda". "cuda" never falls back.
    std::int64_t threads = 0;     ///< Threads a rank; 0 = the machine's cores divided by the ranks on it.
    std::int64_t logEverySteps = 10;
    std::int64_t checkpointEveryEpochs = 1;  ///< 0 = only at the end.
    bool normalize = true;                   ///< By mean and standard deviation of the training images.
    bool augment = false;  ///< IDX files: random shift by up to 2 pixels and horizontal flip. Images: `augmentation`.
    double labelSmoothing = 0.0;
    AugmentSpec augmentation;   ///< Image folders.
    double clipNorm = 0.0;      ///< Largest norm of all gradients together; 0 = none.
    bool decayNorms = true;     ///< Weight decay on norms and biases as well.
    std::int64_t patience = 0;  ///< Early stopping after so many epochs without a better validation loss; 0 = never.
    std::int64_t accumulation = 1;  ///< A batch goes through the model in so many parts, whose gradients are added up.
    std::string classWeights = "none";    ///< In the loss: "none", "balanced" (against the classes' shares), "list".
    std::vector<double> classWeightList;  ///< classWeights "list": one a class, in the order of the labels.
    std::string sampling =
        "shuffle";  ///< "shuffle": each sample once an epoch; "balanced", "weighted": drawn by class.
    std::vector<double> samplingWeights;      ///< sampling "weighted": share of the draws, one a class.
    std::string memoryFormat = "contiguous";  ///< "contiguous" (NCHW), "channels_last" (NHWC)
    bool syncBatchNorm = false;               ///< Batch normalisation by the statistics of all ranks' samples together.
};

/// A script of the user's, or any command. Either `script` or `command` is set.
struct CommandTask {
    std::string sourceFolder;  ///< Folder here that is snapshotted and becomes the working folder there; may be empty.
    std::string script;        ///< Entry script, relative to the source folder.
    std::string
        interpreter;  ///< Program that runs the script; empty: the target's (python3). "none": the script itself.
    std::vector<std::string> arguments;  ///< Of the script; one each, $NAME inside one is expanded on the target.
    std::vector<std::string>
        command;  ///< argv; the first is looked up in PATH on the target. $NAME inside an argument is expanded there.
    std::string workingFolder;  ///< Relative: inside the source folder. Absolute: on the target. Empty: the source
                                ///< folder's copy, else the run's folder.
    std::vector<std::string> patterns;  ///< Regular expressions that find metrics in log lines (base::MetricPattern).
};

struct DistributionSpec {
    std::string kind = "none";      ///< "none", "pytorch", "mpi"
    std::string backend = "auto";   ///< pytorch: "auto", "gloo", "nccl"
    std::string launcher = "auto";  ///< mpi: "auto" (the target's), "mpirun", "srun"
    std::int64_t processes = 1;     ///< Ranks a node.
    std::int64_t nodes = 1;
    std::int64_t gpus = 0;  ///< GPUs a node. 0: none, but one a process for a train task on "cuda".
};

struct LimitsSpec {
    std::int64_t maxSeconds = 0;         ///< Wall time of all attempts; 0 = none.
    std::int64_t diskReserveMiB = 1024;  ///< Below this much free space logs are dropped with a counted warning.
    std::int64_t graceSeconds = 10;      ///< From SIGTERM to SIGKILL.
    std::int64_t maxRestarts =
        0;  ///< New attempts after a node or rank that died; a scheduler's requeue does not count.
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
