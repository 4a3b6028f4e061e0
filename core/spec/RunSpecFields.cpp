// The table that the form, the command line's help, the JSON schema and validation all read.
#include "core/spec/FieldTable.h"
#include "core/spec/RunSpec.h"
#include "core/spec/models/LayerTable.h"

namespace trainyard::spec {

namespace {

const Condition kTrain = {"task.kind", {"train"}};
const Condition kCommand = {"task.kind", {"command"}};
const Condition kIdx = {"task.dataset.kind", {"idx"}};
const Condition kImages = {"task.dataset.kind", {"images"}};

constexpr int kNameBytes = 200;

void addRun(FieldTable& table) {
    table.group("Run");
    Field& experiment = table.add("experiment", "Experiment", FieldType::Text, "default",
                                  "Runs that belong together stand under one experiment.");
    experiment.required = true;
    experiment.maxLength = kNameBytes;
    table
        .add("name", "Name", FieldType::Text, "",
             "Left empty, a name is made from the experiment and the run's number.")
        .maxLength = kNameBytes;
    table.add("description", "Description", FieldType::MultilineText, "", "What this run is for, in your own words.")
        .advanced = true;
    table.choice("task.kind", "Task", "train",
                 {{"train", "Train a model", "A model family on a dataset, by Trainyard's own engine."},
                  {"command", "Run a script or command", "A script of yours, or any program of the target."}},
                 "What the run does.");
    table.add("tags", "Tags", FieldType::TextMap, Json::object(), "Names and values to find the run by.").advanced =
        true;

    table.group("Script", {kCommand});
    table.add(
        "task.source_folder", "Source folder", FieldType::Folder, "",
        "The whole folder travels to the target, but for what .trainyardignore, .amlignore or .gitignore leaves out.");
    table.add("task.script", "Script", FieldType::Text, "",
              "The file in the source folder that is started, such as train.py.");
    Field& interpreter =
        table.add("task.interpreter", "Interpreter", FieldType::Text, "",
                  "Program on the target that runs the script. Empty: the target's Python. none: the script itself.");
    interpreter.advanced = true;
    Field& arguments =
        table.add("task.arguments", "Arguments", FieldType::TextList, Json::array(),
                  "Of the script, one a row. $NAME inside one is replaced on the target by the environment "
                  "variable; no shell is involved.");
    arguments.maxLength = 32768;
    Field& command =
        table.add("task.command", "Command", FieldType::TextList, Json::array(),
                  "Instead of a script: a program of the target and its arguments, one each. $NAME inside an argument "
                  "is replaced there by the environment variable; no shell is involved.");
    command.maxLength = 32768;
    Field& folder =
        table.add("task.working_folder", "Working folder", FieldType::Text, "",
                  "Relative: inside the source folder. Absolute: on the target. Empty: the source folder's copy there, "
                  "or the run's own folder.");
    folder.advanced = true;
    Field& patterns =
        table.add("task.patterns", "Metrics in the output", FieldType::TextList, Json::array(),
                  "Regular expressions, one a row, that find metrics in what the script prints: named groups become "
                  "metrics, (?<step>…) their step; or @keras, @lightning, … for a common trainer.");
    patterns.advanced = true;
}

void addImages(FieldTable& table) {
    const DatasetSpec defaults;
    table.group("Data", {kTrain, kImages});
    Field& folder =
        table.add("task.dataset.folder", "Image folder", FieldType::Folder, "",
                  "With train/ and val/ in it, each with a folder for every class; or with the classes' folders "
                  "themselves, from which "
                  "validation samples are then taken. Or dataset:NAME, or target:/path for a folder of the target.");
    folder.required = true;
    folder.elsewhere = {"dataset:", "target:", "http://", "https://"};
    Field& fraction = table.number("task.dataset.val_fraction", "Validation share", defaults.valFraction, 0, 0.9,
                                   "Share of each class that is kept for validation when there is no val/.");
    fraction.minimumExclusive = true;
    table
        .integer("task.dataset.split_seed", "Split seed", defaults.splitSeed, 0, 2'147'483'647, "",
                 "Which samples are kept for validation; the same seed takes the same.")
        .advanced = true;
    table.integer("task.dataset.image_size", "Image size", defaults.imageSize, 16, 1024, "pixels",
                  "Side of the square that the model sees.");
    table
        .integer("task.dataset.resize_size", "Resize to", defaults.resizeSize, 16, 2048, "pixels",
                 "For validation the short side becomes this long, then the centre is cut out.")
        .advanced = true;
    table
        .integer("task.dataset.cache_mib", "Keep decoded", defaults.cacheMiB, 0, 1'048'576, "MiB",
                 "Decoded images are kept in memory when all of them fit in this; 0 decodes them anew each time.")
        .advanced = true;
    table
        .number("task.dataset.max_bad_fraction", "Unreadable at most", defaults.maxBadFraction, 0, 1,
                "Images that cannot be read are left out and named; the run fails when more than this share of them "
                "are so.")
        .advanced = true;
}

void addData(FieldTable& table) {
    table.group("Data", {kTrain});
    table.choice("task.dataset.kind", "Kind of data", "idx",
                 {{"idx", "IDX files", "The format of MNIST and Fashion-MNIST, gzipped or not."},
                  {"images", "Image folder", "JPEG and PNG files, a folder for each class."}},
                 "How the samples are stored.");
    table
        .add("task.dataset.name", "Dataset name", FieldType::Text, "",
             "For people, and for the card of the model that comes out.")
        .maxLength = kNameBytes;
    addImages(table);
    table.group("Data", {kTrain, kIdx});
    const auto file = [&](const char* path, const char* label, const char* help) {
        Field& field = table.add(path, label, FieldType::File, "", help);
        field.required = true;
        field.elsewhere = {"dataset:"};
    };
    file("task.dataset.train_images", "Training images", "IDX file of the images that the model learns from.");
    file("task.dataset.train_labels", "Training labels", "IDX file with one label for each training image.");
    file("task.dataset.val_images", "Validation images", "IDX file of the images that the model is judged by.");
    file("task.dataset.val_labels", "Validation labels", "IDX file with one label for each validation image.");
    table.group("Data", {kTrain});
    table
        .integer("task.dataset.train_limit", "Use training samples", 0, 0, 1e9, "samples",
                 "Only the first so many; 0 takes all.")
        .advanced = true;
    table
        .integer("task.dataset.val_limit", "Use validation samples", 0, 0, 1e9, "samples",
                 "Only the first so many; 0 takes all.")
        .advanced = true;
    table.group("Data", {kTrain, kIdx});
    Field& names = table.add("task.dataset.class_names", "Class names", FieldType::TextList, Json::array(),
                             "One name for each label, beginning with label 0. May be left empty.");
    names.advanced = true;
    names.maxLength = kNameBytes;
}

void addModel(FieldTable& table) {
    table.group("Model", {kTrain});
    std::vector<Choice> families;
    for (const ModelFamily& family : modelFamilies()) {
        families.push_back({family.id, family.label, family.help});
    }
    table.choice("task.model.family", "Model", ModelSpec{}.family, std::move(families), "The kind of network.");
    for (const ModelFamily& family : modelFamilies()) {
        table.group("Model", {kTrain, {"task.model.family", {family.id}}});
        for (Field option : family.options) {
            option.path = "task.model.options." + option.path;
            for (Condition& condition : option.onlyWhen) {
                condition.path = "task.model.options." + condition.path;
            }
            table.splice(std::move(option));
        }
    }
    const WeightsSpec weights;
    table.group("Model", {kTrain});
    Field& source = table.add(
        "task.model.weights.source", "Start from weights", FieldType::File, "",
        "Trained weights: a state_dict of torch.save, safetensors or TorchScript; target:/path for a file of the "
        "target, run:<id> for the model of another run, pretrained:resnet18-imagenet for published ones. Empty: "
        "random.");
    source.maxLength = 4096;
    source.elsewhere = {"run:", "target:", "pretrained:"};
    table.add("task.model.weights.freeze", "Freeze all but the head", FieldType::Boolean, weights.freeze,
              "Only the last layer is trained; the rest stays as the weights have it.");
    table
        .integer("task.model.weights.unfreeze_epoch", "Unfreeze after", weights.unfreezeEpoch, 0, 100'000, "epochs",
                 "With frozen layers: from then on all are trained; 0 never.")
        .advanced = true;
    table
        .number("task.model.weights.backbone_rate", "Rate of the rest", weights.backboneRate, 0, 1,
                "Learning rate of all layers but the head, as a share of the head's.")
        .advanced = true;
}

void addOptimizer(FieldTable& table) {
    const OptimizerSpec defaults;
    table.group("Optimizer", {kTrain});
    table.choice("task.optimizer.kind", "Optimizer", defaults.kind,
                 {{"sgd", "SGD with momentum", "Often the best final accuracy; the rate matters."},
                  {"adam", "Adam", "Adapts the rate of each weight; forgiving."},
                  {"adamw", "AdamW", "Adam with weight decay apart from the gradient."}},
                 "How the weights follow the gradient.");
    const auto rates = [&](std::vector<std::string> kinds, double rate, double decay) {
        table.group("Optimizer", {kTrain, {"task.optimizer.kind", std::move(kinds)}});
        Field& learningRate = table.number("task.optimizer.learning_rate", "Learning rate", rate, 0, 100,
                                           "Size of a step; the highest one where a schedule changes it.");
        learningRate.minimumExclusive = true;
        table.number("task.optimizer.weight_decay", "Weight decay", decay, 0, 1,
                     "Pulls weights towards zero, against overfitting. 0 switches it off.");
    };
    rates({"sgd"}, defaults.learningRate, defaults.weightDecay);
    rates({"adam"}, 1e-3, 0);
    rates({"adamw"}, 1e-3, 1e-2);
    table.group("Optimizer", {kTrain, {"task.optimizer.kind", {"sgd"}}});
    table.number("task.optimizer.momentum", "Momentum", defaults.momentum, 0, 0.9999,
                 "Share of the last step that is kept in the next.");
    table
        .add("task.optimizer.nesterov", "Nesterov momentum", FieldType::Boolean, defaults.nesterov,
             "Looks ahead along the momentum. Needs a momentum above 0.")
        .advanced = true;
    table.group("Optimizer", {kTrain, {"task.optimizer.kind", {"adam", "adamw"}}});
    table.number("task.optimizer.beta1", "Beta 1", defaults.beta1, 0, 0.9999, "Memory of the mean of the gradient.")
        .advanced = true;
    table
        .number("task.optimizer.beta2", "Beta 2", defaults.beta2, 0, 0.999999,
                "Memory of the mean of the squared gradient.")
        .advanced = true;
    Field& epsilon = table.number("task.optimizer.epsilon", "Epsilon", defaults.epsilon, 0, 1,
                                  "Added to the divisor, so that it is never zero.");
    epsilon.minimumExclusive = true;
    epsilon.advanced = true;
}

void addSchedule(FieldTable& table) {
    const ScheduleSpec defaults;
    table.group("Schedule", {kTrain});
    table.choice("task.schedule.kind", "Learning rate schedule", defaults.kind,
                 {{"constant", "Constant", "The same rate from the first step to the last."},
                  {"step", "Steps", "Multiplied by a factor every so many epochs."},
                  {"multi_step", "Milestones", "Multiplied by a factor at chosen epochs."},
                  {"cosine", "Cosine", "Falls along half a cosine."},
                  {"one_cycle", "One cycle", "Rises, then falls below where it began; good for short trainings."}},
                 "How the learning rate changes over the run.");
    table.group("Schedule", {kTrain, {"task.schedule.kind", {"one_cycle"}}});
    Field& warmup = table.number("task.schedule.warmup_fraction", "Rising share", defaults.warmupFraction, 0, 1,
                                 "Share of all steps during which the rate rises.");
    warmup.advanced = true;
    table.group("Schedule", {kTrain, {"task.schedule.kind", {"step"}}});
    table.integer("task.schedule.step_epochs", "Step every", defaults.stepEpochs, 1, 1e6, "epochs",
                  "The rate is multiplied by the factor after each so many epochs.");
    table.group("Schedule", {kTrain, {"task.schedule.kind", {"multi_step"}}});
    table.add("task.schedule.milestones", "At epochs", FieldType::TextList, Json::array(),
              "Epochs, one a row, after which the rate is multiplied by the factor.");
    table.group("Schedule", {kTrain, {"task.schedule.kind", {"step", "multi_step"}}});
    Field& gamma =
        table.number("task.schedule.gamma", "Factor", defaults.gamma, 0, 1, "What the rate is multiplied by.");
    gamma.minimumExclusive = true;
    table.group("Schedule", {kTrain, {"task.schedule.kind", {"cosine"}}});
    table
        .number("task.schedule.minimum_factor", "Last rate", defaults.minimumFactor, 0, 1,
                "The last rate as a share of the first.")
        .advanced = true;
    table.group("Schedule", {kTrain, {"task.schedule.kind", {"constant", "step", "multi_step", "cosine"}}});
    table
        .integer("task.schedule.warmup_epochs", "Warm-up", defaults.warmupEpochs, 0, 1000, "epochs",
                 "The rate rises evenly from near zero over so many epochs.")
        .advanced = true;
    table.group("Schedule", {kTrain});
    table
        .choice(
            "task.schedule.span", "When going on from a run", defaults.span,
            {{"all", "As if planned so from the start", "The rate that a run of all these epochs has at that epoch."},
             {"rest", "Anew over the rest", "The schedule begins again and is spread over the epochs that are left."}},
            "How the schedule treats a run that goes on from another: with more epochs than that one had, a rate that "
            "has fallen "
            "rises again under either.")
        .advanced = true;
}

void addAugmentation(FieldTable& table) {
    const AugmentSpec defaults;
    table.group("Augmentation", {kTrain, kImages});
    table.add("task.augmentation.crop", "Random resized crop", FieldType::Boolean, defaults.crop,
              "A random part of each image, scaled to the image size; off: resized and cut from the centre as for "
              "validation.");
    Field& scale = table.number("task.augmentation.crop_scale_min", "Smallest part", defaults.cropScaleMin, 0, 1,
                                "Of the image's area.");
    scale.minimumExclusive = true;
    table
        .number("task.augmentation.crop_ratio_max", "Widest part", defaults.cropRatioMax, 1, 10,
                "Width by height lies between this and its inverse.")
        .advanced = true;
    table.number("task.augmentation.flip", "Horizontal flip", defaults.flip, 0, 1,
                 "How often; 0.5 is every other image.");
    const auto rare = [&](const char* path, const char* label, double value, double maximum, const char* help) {
        table.number(path, label, value, 0, maximum, help).advanced = true;
    };
    rare("task.augmentation.vertical_flip", "Vertical flip", defaults.verticalFlip, 1, "How often.");
    rare("task.augmentation.rotation", "Rotation", defaults.rotation, 180, "Degrees at most, either way.");
    rare("task.augmentation.brightness", "Brightness", defaults.brightness, 1, "Changed by at most this share.");
    rare("task.augmentation.contrast", "Contrast", defaults.contrast, 1, "Changed by at most this share.");
    rare("task.augmentation.saturation", "Saturation", defaults.saturation, 1, "Changed by at most this share.");
    rare("task.augmentation.hue", "Hue", defaults.hue, 0.5,
         "Turned by at most this share of the colour circle, either way.");
    rare("task.augmentation.erase", "Random erasing", defaults.erase, 1, "How often a random rectangle is blanked.");
}

void addClassBalance(FieldTable& table) {
    const TrainTask defaults;
    table
        .choice(
            "task.class_weights", "Class weights", defaults.classWeights,
            {{"none", "None", "Each sample weighs the same."},
             {"balanced", "Balanced", "Against each class's share of the training samples: rare classes weigh more."},
             {"list", "As listed", ""}},
            "What a sample of each class weighs in the training loss. Validation is not weighted.")
        .advanced = true;
    table.group("Training", {kTrain, {"task.class_weights", {"list"}}});
    table
        .add("task.class_weight_list", "Weights", FieldType::TextList, Json::array(),
             "One number above 0 for each class, one a row, in the order of the labels; for image folders the order of "
             "the folders' names.")
        .advanced = true;
    table.group("Training", {kTrain});
    table
        .choice(
            "task.sampling", "Samples of an epoch", defaults.sampling,
            {{"shuffle", "Each once", "In a new order each epoch."},
             {"balanced", "Classes equally often",
              "Drawn by class: samples of rare classes come several times, of frequent ones some do not."},
             {"weighted", "Classes as listed", ""}},
            "Which samples make up an epoch; as many as there are. The seed decides, whatever the number of processes.")
        .advanced = true;
    table.group("Training", {kTrain, {"task.sampling", {"weighted"}}});
    table
        .add("task.sampling_weights", "Shares", FieldType::TextList, Json::array(),
             "How often each class is drawn in relation to the others: one number from 0 for each class, one a row, in "
             "the order of the labels.")
        .advanced = true;
}

void addTraining(FieldTable& table) {
    const TrainTask defaults;
    table.group("Training", {kTrain});
    table.integer("task.epochs", "Epochs", defaults.epochs, 1, 100'000, "epochs", "Passes over the training data.");
    table.integer("task.batch_size", "Batch size", defaults.batchSize, 1, 1'048'576, "samples",
                  "Samples for one step, over all processes together.");
    table.integer("task.seed", "Seed", defaults.seed, 0, 2'147'483'647, "",
                  "The same seed gives the same run on the same machine with the same threads.");
    table
        .add("task.normalize", "Normalize", FieldType::Boolean, defaults.normalize,
             "Shift and scale the images by mean and standard deviation of the training images.")
        .advanced = true;
    table.group("Augmentation", {kTrain, kIdx});
    table.add("task.augment", "Augment", FieldType::Boolean, defaults.augment,
              "Random shifts by up to 2 pixels and horizontal flips, against overfitting.");
    addAugmentation(table);
    table.group("Training", {kTrain});
    table
        .number("task.label_smoothing", "Label smoothing", defaults.labelSmoothing, 0, 0.9,
                "Share of the target that is spread over all classes.")
        .advanced = true;
    table
        .number("task.clip_norm", "Clip gradients", defaults.clipNorm, 0, 1e6,
                "Largest norm of all gradients together; 0 leaves them as they are.")
        .advanced = true;
    table
        .add("task.decay_norms", "Decay norms and biases", FieldType::Boolean, defaults.decayNorms,
             "Weight decay on batch normalisation and biases as well; most recipes leave them out.")
        .advanced = true;
    table
        .integer("task.patience", "Stop early after", defaults.patience, 0, 100'000, "epochs",
                 "So many epochs without a lower validation loss end the training; 0 never.")
        .advanced = true;
    table
        .integer("task.accumulation", "Accumulate over", defaults.accumulation, 1, 1024, "parts",
                 "Each batch goes through the model in so many parts, whose gradients are added up: the step of the "
                 "whole batch with "
                 "the memory of one part. Batch normalisation sees each part by itself.")
        .advanced = true;
    addClassBalance(table);
    table.group("Training", {kTrain});
    table
        .choice("task.memory_format", "Memory format", defaults.memoryFormat,
                {{"contiguous", "Plane by plane", "PyTorch's own order (NCHW)."},
                 {"channels_last", "Channels last",
                  "NHWC: often quicker for convolutions, on GPUs and processors with vector units."}},
                "How images lie in memory. Results differ in the last digits only.")
        .advanced = true;
    table
        .integer("task.log_every_steps", "Report every", defaults.logEverySteps, 1, 1'000'000, "steps",
                 "How often loss and accuracy are reported.")
        .advanced = true;
    table
        .integer("task.checkpoint_every_epochs", "Checkpoint every", defaults.checkpointEveryEpochs, 0, 100'000,
                 "epochs", "How often the state is kept to go on from; 0 only at the end.")
        .advanced = true;
}

void addWhere(FieldTable& table) {
    const TrainTask train;
    const DistributionSpec distribution;
    table.group("Where");
    Field& target = table.add("target", "Target", FieldType::Text, "local",
                              "What does the work: local, which is this machine, or the name of a compute target.");
    target.required = true;
    target.maxLength = 64;
    Field& environment = table.add("environment", "Environment", FieldType::Text, "trainyard-engine",
                                   "The software that the run finds on the target: an environment's name, or "
                                   "NAME:VERSION for one that is not the newest.");
    environment.required = true;
    environment.maxLength = 80;
    table.group("Where", {kTrain});
    table.choice("task.device", "Device", train.device,
                 {{"auto", "Automatic", "A GPU when there is one, else the processor."},
                  {"cpu", "Processor", ""},
                  {"cuda", "NVIDIA GPU", "Fails when there is none; never falls back."}},
                 "What computes.");
    table
        .integer("task.threads", "Threads a process", train.threads, 0, 1024, "threads",
                 "0 divides the machine's cores among the processes.")
        .advanced = true;
    table.group("Where");
    table.choice("distribution.kind", "Distribution", distribution.kind,
                 {{"none", "One process", ""},
                  {"pytorch", "PyTorch data parallel", "Several processes, each on its share of every batch."},
                  {"mpi", "MPI", "Several processes started by mpirun or srun: Horovod, mpi4py. For scripts."}},
                 "Whether several processes work on the run together.");
    table.integer("distribution.processes", "Processes", distribution.processes, 1, 256, "processes",
                  "Processes on each machine. More than one needs a distribution.");
    table.integer("distribution.nodes", "Machines", distribution.nodes, 1, 1024, "machines",
                  "Machines that take part. This machine alone is one.");
    table.integer("distribution.gpus", "GPUs", distribution.gpus, 0, 64, "GPUs",
                  "GPUs on each machine. 0: none, or for training on NVIDIA GPUs one a process. A run never falls back "
                  "from a GPU "
                  "that it asked for.");
    table.group("Where", {{"distribution.kind", {"pytorch"}}});
    table
        .choice("distribution.backend", "Backend", distribution.backend,
                {{"auto", "Automatic", "NCCL between GPUs, else Gloo."},
                 {"gloo", "Gloo", "Processors, and GPUs by way of main memory."},
                 {"nccl", "NCCL", "NVIDIA GPUs. Not verified on several real GPUs."}},
                "What carries gradients between the processes.")
        .advanced = true;
    table.group("Where", {kTrain, {"distribution.kind", {"pytorch"}}});
    table
        .add("task.sync_batch_norm", "Synchronise batch normalisation", FieldType::Boolean, train.syncBatchNorm,
             "Batch normalisation takes mean and variance over the samples of all processes, as one process with the "
             "whole batch would. "
             "For few samples a process; costs two exchanges a layer.")
        .advanced = true;
    table.group("Where", {{"distribution.kind", {"mpi"}}});
    table
        .choice(
            "distribution.launcher", "Started by", distribution.launcher,
            {{"auto", "Automatic", "What the target has."}, {"mpirun", "mpirun", ""}, {"srun", "srun", "On Slurm."}},
            "The program that starts MPI's processes.")
        .advanced = true;
    table.group("Where");
    Field& variables = table.add("variables", "Environment variables", FieldType::TextMap, Json::object(),
                                 "Set for every process of the run.");
    variables.advanced = true;
    variables.maxLength = 32768;
    table
        .add("inputs", "Inputs", FieldType::TextMap, Json::object(),
             "Data by name: a path here (it travels, once), target:/path there, or an http address with #sha256=…. A "
             "process finds "
             "each in $TRAINYARD_INPUT_NAME.")
        .advanced = true;
    table
        .add("resume_from", "Go on from run", FieldType::Text, "",
             "The id of a run whose last checkpoint, or for a script whose outputs, this one goes on from.")
        .advanced = true;
}

void addLimits(FieldTable& table) {
    const LimitsSpec defaults;
    table.group("Limits");
    table.integer("priority", "Priority", 0, -1000, 1000, "", "A higher one goes first in the target's queue.")
        .advanced = true;
    table
        .integer("limits.max_seconds", "Time limit", defaults.maxSeconds, 0, 31'536'000, "seconds",
                 "The run is ended after so long; 0 is no limit.")
        .advanced = true;
    table
        .integer("limits.disk_reserve_mib", "Disk reserve", defaults.diskReserveMiB, 0, 1e9, "MiB",
                 "With less free space than this, log lines are dropped and counted; metrics go on.")
        .advanced = true;
    table
        .integer("limits.grace_seconds", "Grace period", defaults.graceSeconds, 0, 3600, "seconds",
                 "Time between asking a process to end and ending it.")
        .advanced = true;
    table
        .integer("limits.max_restarts", "Restarts", defaults.maxRestarts, 0, 1000, "restarts",
                 "How often the run is begun anew from its last checkpoint when a process or machine dies.")
        .advanced = true;
}

}  // namespace

const std::vector<Field>& runSpecFields() {
    static const std::vector<Field> fields = [] {
        FieldTable table;
        addRun(table);
        addData(table);
        addModel(table);
        addOptimizer(table);
        addSchedule(table);
        addTraining(table);
        addWhere(table);
        addLimits(table);
        return table.take();
    }();
    return fields;
}

}  // namespace trainyard::spec
