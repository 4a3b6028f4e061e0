#include "core/runs/Launch.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "core/base/Content.h"
#include "core/runs/HashCache.h"
#include "core/runs/Inputs.h"
#include "core/runs/Snapshot.h"

namespace trainyard::runs {

using base::Error;
using base::Json;
using base::Result;

namespace {

constexpr const char* kSpecFile = "spec.json";

// Names of inputs that a launch adds by itself.
constexpr const char* kDatasetInput = "dataset";
constexpr const char* kResumeInput = "resume";

std::int64_t threadsPerRank(const spec::RunSpec& spec, const spec::TargetSpec& target) {
    if (spec.train.threads > 0) {
        return spec.train.threads;
    }
    // Elsewhere the engine counts the cores itself.
    const std::int64_t cores = target.kind == spec::TargetKind::Local ? usableCores() : target.cores;
    return cores == 0 ? 0 : std::max<std::int64_t>(1, cores / std::max<std::int64_t>(1, spec.distribution.processes));
}

/// argv of a command task. The script stands in the source's copy, whatever the working folder is.
std::vector<std::string> commandOf(const spec::CommandTask& task, const spec::TargetSpec& target) {
    if (task.script.empty()) {
        return task.command;
    }
    const bool inSource = !task.sourceFolder.empty() && !task.script.starts_with("/");
    const std::string script = inSource ? "$TRAINYARD_NODE_FOLDER/code/" + task.script : task.script;
    std::vector<std::string> command;
    if (task.interpreter != "none") {
        command.push_back(task.interpreter.empty() ? target.python : task.interpreter);
    }
    command.push_back(script);
    command.insert(command.end(), task.arguments.begin(), task.arguments.end());
    return command;
}

wire::Plan planOf(const NewRun& run, const spec::TargetSpec& target) {
    const spec::RunSpec& spec = run.spec;
    const bool train = spec.taskKind == spec::TaskKind::Train;
    wire::Plan plan;
    plan.run = run.id;
    plan.nodes = static_cast<int>(spec.distribution.nodes);
    plan.processes = static_cast<int>(spec.distribution.processes);
    plan.experiment = spec.experiment;
    plan.runName = run.name;
    plan.variables = target.variables;
    plan.variables.insert(plan.variables.end(), spec.variables.begin(), spec.variables.end());
    plan.priority = spec.priority;
    plan.maxSeconds = spec.limits.maxSeconds;
    plan.maxRestarts = spec.limits.maxRestarts;
    plan.graceSeconds = spec.limits.graceSeconds;
    plan.diskReserveBytes = spec.limits.diskReserveMiB << 20;
    plan.engine = train;
    plan.cores = plan.processes;
    plan.gpus = static_cast<int>(spec.distribution.gpus);
    plan.distribution = spec.distribution.kind;
    if (train) {
        plan.command = {"$TRAINYARD_ENGINE", "train", "--spec", std::string("$TRAINYARD_NODE_FOLDER/") + kSpecFile};
        const int threads = static_cast<int>(threadsPerRank(spec, target));
        plan.cores = threads * plan.processes;
        if (plan.gpus == 0 && spec.train.device == "cuda") {
            plan.gpus = plan.processes;
        }
    } else {
        plan.command = commandOf(spec.command, target);
        plan.workingFolder = spec.command.workingFolder;
    }
    if (plan.distribution == "pytorch") {
        plan.backend = spec.distribution.backend == "auto" ? (plan.gpus > 0 ? "nccl" : "gloo") : spec.distribution.backend;
    } else if (plan.distribution == "mpi") {
        plan.launcher = spec.distribution.launcher != "auto"                ? spec.distribution.launcher
                        : target.kind == spec::TargetKind::Slurm ? target.slurm.launcher
                                                                 : "mpirun";
    }
    return plan;
}

/// The files of a train task's dataset as one input; in the document their paths become paths inside it.
Result<targets::InputData> datasetOf(const spec::DatasetSpec& dataset, Json& document, const LaunchReport& report) {
    targets::InputData data;
    data.name = kDatasetInput;
    std::vector<base::ContentFile> files;
    std::set<std::string> names;
    std::map<std::string, std::string> placed;  // By path here: one file may serve twice.
    std::int64_t done = 0;
    for (const auto& [key, path] : {std::pair<const char*, const std::string&>{"train_images", dataset.trainImages},
                                    {"train_labels", dataset.trainLabels},
                                    {"val_images", dataset.valImages},
                                    {"val_labels", dataset.valLabels}}) {
        if (path.empty()) {
            continue;
        }
        if (!placed.contains(path)) {
            std::string name = base::Path(path).filename().string();
            name = names.contains(name) ? std::string(key) + "-" + name : name;
            auto hash = HashCache::shared().sha256(path, [&](std::int64_t bytes) { return report(done + bytes); });
            if (!hash.ok()) {
                return Error{hash.error().code, hash.error().message, std::string("task.dataset.") + key};
            }
            std::error_code error;
            const auto size = static_cast<std::int64_t>(std::filesystem::file_size(path, error));
            done += size;
            names.insert(name);
            files.push_back({name, *hash, size});
            data.files.push_back({name, *hash, size, path});
            placed[path] = std::move(name);
        }
        document["task"]["dataset"][key] = std::string("$TRAINYARD_INPUT_DATASET/") + placed[path];
    }
    data.sha256 = base::contentHash(files);
    return data;
}

/// What was taken when the run was submitted; taken now where that was not done or was cut off.
Result<Snapshot> snapshotOf(const wire::WorkspaceLayout& layout, const NewRun& run, const LaunchReport& report) {
    auto known = readSnapshot(layout, run.id);
    if (known.ok() || known.error().code != "snapshot.none") {
        return known;
    }
    auto taken = takeSnapshot(layout, run.spec.command.sourceFolder, report);
    // While a launch is only measured there is no run to keep it with.
    std::error_code error;
    if (taken.ok() && std::filesystem::is_directory(layout.run(run.id), error)) {
        TRAINYARD_TRY(writeSnapshot(layout, run.id, *taken));
    }
    return taken;
}

}  // namespace

Result<targets::LaunchPlan> makeLaunch(const wire::WorkspaceLayout& layout, const NewRun& run, const spec::TargetSpec& target,
                                       const LaunchReport& report) {
    const spec::RunSpec& spec = run.spec;
    const bool train = spec.taskKind == spec::TaskKind::Train;
    targets::LaunchPlan launch;
    launch.plan = planOf(run, target);
    launch.needsEngine = train;
    launch.needsCuda = train && (spec.train.device == "cuda" || (spec.train.device == "auto" && spec.distribution.gpus > 0));
    if (!report(0)) {
        return Error{"canceled", "Canceled while the launch was prepared."};
    }
    Json document = run.document;
    Json resolved{{"run", run.id.str()}, {"number", run.number}, {"name", run.name}};
    const bool here = target.kind == spec::TargetKind::Local;
    if (train) {
        resolved["threads"] = threadsPerRank(spec, target);
        resolved["resume_checkpoint"] = here ? run.resumeCheckpoint.string() : std::string();
    }
    if (train && !here) {
        auto dataset = datasetOf(spec.train.dataset, document, report);
        if (!dataset.ok()) {
            return dataset.error();
        }
        launch.inputs.push_back(std::move(*dataset));
    }
    if (!run.resumeCheckpoint.empty() && !(train && here)) {
        auto resume = dataHere(kResumeInput, run.resumeCheckpoint, report);
        if (!resume.ok()) {
            return resume.error();
        }
        launch.inputs.push_back(std::move(*resume));
        if (train) {
            resolved["resume_checkpoint"] = "$TRAINYARD_INPUT_RESUME";
        }
    }
    if (!train && !spec.command.sourceFolder.empty()) {
        auto snapshot = snapshotOf(layout, run, report);
        if (!snapshot.ok()) {
            return snapshot.error();
        }
        launch.hasSource = true;
        launch.source = std::move(snapshot->files);
    }
    auto inputs = resolveInputs(spec, here, report);
    if (!inputs.ok()) {
        return inputs.error();
    }
    launch.inputs.insert(launch.inputs.end(), std::make_move_iterator(inputs->begin()), std::make_move_iterator(inputs->end()));
    document["resolved"] = std::move(resolved);
    launch.files.emplace_back(kSpecFile, base::dumpJsonPretty(document));
    return launch;
}

}  // namespace trainyard::runs
