#include "core/runs/Launch.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <system_error>
#include <utility>

#include "core/runs/EnvironmentBook.h"
#include "core/runs/Fetchable.h"
#include "core/runs/Inputs.h"
#include "core/runs/NamedData.h"
#include "core/runs/PretrainedWeights.h"
#include "core/runs/Snapshot.h"

namespace trainyard::runs {

using base::Error;
using base::Json;
using base::Result;

namespace {

constexpr const char* kSpecFile = "spec.json";
constexpr const char* kEnvironmentPython = "$TRAINYARD_PYTHON";

std::int64_t threadsPerRank(const spec::RunSpec& spec, const spec::TargetSpec& target) {
    if (spec.train.threads > 0) {
        return spec.train.threads;
    }
    // Elsewhere the engine counts the cores itself.
    const std::int64_t cores = target.kind == spec::TargetKind::Local ? usableCores() : target.cores;
    return cores == 0 ? 0 : std::max<std::int64_t>(1, cores / std::max<std::int64_t>(1, spec.distribution.processes));
}

/// A script of such a name goes by a variable, which is not expanded again.
constexpr const char* kScriptVariable = "TRAINYARD_SCRIPT";
bool hasDollar(const std::string& text) { return text.find('$') != std::string::npos; }

/// argv of a command task. The script stands in the source's copy, whatever the working folder is.
std::vector<std::string> commandOf(const spec::CommandTask& task, const std::string& python) {
    if (task.script.empty()) {
        return task.command;
    }
    const bool inSource = !task.sourceFolder.empty() && !task.script.starts_with("/");
    const std::string name = hasDollar(task.script) ? "$" + std::string(kScriptVariable) : task.script;
    const std::string script = inSource ? "$TRAINYARD_NODE_FOLDER/code/" + name : name;
    std::vector<std::string> command;
    if (task.interpreter != "none") {
        command.push_back(task.interpreter.empty() ? python : task.interpreter);
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
        plan.command = commandOf(spec.command, target.python);
        if (hasDollar(spec.command.script)) {
            plan.variables.emplace_back(kScriptVariable, spec.command.script);
        }
        plan.workingFolder = spec.command.workingFolder;
        plan.patterns = spec.command.patterns;
    }
    if (plan.distribution == "pytorch") {
        plan.backend =
            spec.distribution.backend == "auto" ? (plan.gpus > 0 ? "nccl" : "gloo") : spec.distribution.backend;
    } else if (plan.distribution == "mpi") {
        plan.launcher = spec.distribution.launcher != "auto"     ? spec.distribution.launcher
                        : target.kind == spec::TargetKind::Slurm ? target.slurm.launcher
                                                                 : "mpirun";
    }
    return plan;
}

/// Names of variables and paths there that a container must be told of.
environments::RunNeeds needsOf(const wire::Plan& plan, const spec::CommandTask& script,
                               const std::vector<targets::InputData>& inputs) {
    environments::RunNeeds needs;
    for (const auto& [name, value] : plan.variables) {
        needs.variables.push_back(name);
    }
    for (const targets::InputData& input : inputs) {
        std::string variable = wire::variable::kInputPrefix + input.name;
        std::ranges::transform(variable, variable.begin(),
                               [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
        needs.variables.push_back(std::move(variable));
        if (input.origin == targets::InputData::Origin::OnTarget) {
            needs.paths.push_back(input.location);
        }
    }
    needs.mpi = plan.distribution == "mpi";
    needs.script = !plan.engine && !script.script.empty() && script.interpreter.empty();
    return needs;
}

/// The run's environment, planned for its target; a script without an interpreter of its own gets the environment's.
base::Status addEnvironment(const wire::WorkspaceLayout& layout, const spec::RunSpec& spec,
                            const spec::TargetSpec& target, targets::LaunchPlan& launch) {
    const auto definition = environmentOf(layout, spec);
    if (!definition.ok()) {
        return definition.error();
    }
    auto planned =
        environments::planEnvironment(definition->spec, definition->version, targetFacts(layout, target.name),
                                      needsOf(launch.plan, spec.command, launch.inputs));
    if (!planned.ok()) {
        return planned.error();
    }
    launch.needsCuda = launch.needsCuda || (launch.needsEngine && definition->spec.engine.cuda);
    if (!launch.needsEngine && !planned->interpreter.empty()) {
        launch.plan.command = commandOf(spec.command, kEnvironmentPython);
    }
    launch.plan.environment = std::move(*planned);
    return {};
}

/// Published weights as an input that the target fetches, or that is fetched and checked here where it cannot.
targets::InputData publishedInput(const PretrainedWeights& weights, const LaunchReport& checking) {
    // Where they lie here too, the whole hash is known.
    const auto whole = checkPretrained(weights, [&](std::int64_t done, std::int64_t) { return checking(done); });
    targets::InputData data =
        addressInput(kWeightsInput, {weights.source(), whole.ok() ? *whole : weights.sha256Prefix, false, {}});
    data.bringHere = [weights](const std::function<bool(std::int64_t)>& report) -> Result<targets::InputData> {
        const auto file = fetchPretrained(weights, [&](std::int64_t done, std::int64_t) { return report(done); });
        return file.ok() ? dataHere(kWeightsInput, *file, report) : Result<targets::InputData>(file.error());
    };
    return data;
}

/// Of what lies here and has an address, the target is told it; where it is to be sent, what has only an address is
/// fetched here.
base::Status offerAddresses(const wire::WorkspaceLayout& layout, const Json& named, const spec::TargetSpec& target,
                            const LaunchReport& report, std::vector<targets::InputData>& inputs) {
    const auto addresses =
        target.fetchHere ? std::map<std::string, targets::InputData::Fetch>() : fetchableDatasets(layout, named);
    for (targets::InputData& input : inputs) {
        const auto address = addresses.find(input.sha256);
        if (input.origin == targets::InputData::Origin::Here && address != addresses.end()) {
            input.fetch = address->second;
        }
        if (target.fetchHere && input.origin == targets::InputData::Origin::Address) {
            auto brought = input.bringHere(report);
            if (!brought.ok()) {
                return brought.error();
            }
            input = std::move(*brought);
        }
    }
    return {};
}

/// The weights that a training starts from: another run's model, published ones, which are fetched, a file here (all of
/// these travel as an input), or a file there.
base::Status addWeights(const wire::WorkspaceLayout& layout, const spec::RunSpec& spec, const spec::TargetSpec& target,
                        const LaunchReport& report, Json& document, targets::LaunchPlan& launch) {
    constexpr const char* kField = "task.model.weights.source";
    constexpr std::string_view kOnTarget = "target:";
    constexpr std::string_view kOfRun = "run:";
    constexpr const char* kWeightsVariable = "$TRAINYARD_INPUT_WEIGHTS";
    const bool here = target.kind == spec::TargetKind::Local;
    const std::string& source = spec.train.model.weights.source;
    Json& place = document["task"]["model"]["weights"]["source"];
    if (source.empty()) {
        return {};
    }
    if (source.starts_with(kOnTarget)) {
        place = source.substr(kOnTarget.size());
        return {};
    }
    base::Path file = source;
    if (source.starts_with(kOfRun)) {
        file = layout.outputs(base::RunId(source.substr(kOfRun.size()))) / "model.safetensors";
    }
    if (source.starts_with(kPretrainedPrefix)) {
        const auto published = findPretrained(source, kField);
        if (!published.ok()) {
            return published.error();
        }
        if (!here && !target.fetchHere) {
            launch.inputs.push_back(publishedInput(*published, report));
            place = kWeightsVariable;
            return {};
        }
        const auto fetched = fetchPretrained(*published, [&](std::int64_t done, std::int64_t) { return report(done); });
        if (!fetched.ok()) {
            return Error{fetched.error().code, fetched.error().message, kField};
        }
        file = *fetched;
    }
    std::error_code error;
    if (!std::filesystem::is_regular_file(file, error)) {
        return Error{"input.missing",
                     file.string() + (source.starts_with(kOfRun) ? " is not there: that run has left no model."
                                                                 : " is not there, or may not be read by you."),
                     kField};
    }
    if (here) {
        place = file.string();
        return {};
    }
    auto weights = dataHere(kWeightsInput, file, report);
    if (!weights.ok()) {
        return Error{weights.error().code, weights.error().message, kField};
    }
    launch.inputs.push_back(std::move(*weights));
    place = kWeightsVariable;
    return {};
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

/// The run with its data sets in the place of their names.
Result<NewRun> withData(const wire::WorkspaceLayout& layout, const NewRun& named, const LaunchReport& report) {
    NewRun run = named;
    auto document = placeDatasets(layout, named.document);
    if (!document.ok()) {
        return document.error();
    }
    if (*document == named.document) {
        return run;
    }
    TRAINYARD_TRY(checkDatasets(layout, named.document, report));
    auto spec = spec::runSpecFromJson(*document);
    if (!spec.ok()) {
        return spec.error();
    }
    run.document = std::move(*document);
    run.spec = std::move(*spec);
    return run;
}

}  // namespace

Result<targets::LaunchPlan> makeLaunch(const wire::WorkspaceLayout& layout, const NewRun& named,
                                       const spec::TargetSpec& target, const LaunchReport& report) {
    const auto placed = withData(layout, named, report);
    if (!placed.ok()) {
        return placed.error();
    }
    const NewRun& run = *placed;
    const spec::RunSpec& spec = run.spec;
    const bool train = spec.taskKind == spec::TaskKind::Train;
    targets::LaunchPlan launch;
    launch.plan = planOf(run, target);
    launch.needsEngine = train;
    launch.needsCuda =
        train && (spec.train.device == "cuda" || (spec.train.device == "auto" && spec.distribution.gpus > 0));
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
    if (train && (!here || isDataElsewhere(spec.train.dataset))) {
        auto dataset = datasetHere(spec.train.dataset, report, &document);
        if (!dataset.ok()) {
            return dataset.error();
        }
        launch.inputs.push_back(std::move(*dataset));
    }
    if (train) {
        TRAINYARD_TRY(addWeights(layout, spec, target, report, document, launch));
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
    launch.inputs.insert(launch.inputs.end(), std::make_move_iterator(inputs->begin()),
                         std::make_move_iterator(inputs->end()));
    if (!here) {
        TRAINYARD_TRY(offerAddresses(layout, named.document, target, report, launch.inputs));
    }
    TRAINYARD_TRY(addEnvironment(layout, spec, target, launch));
    document["resolved"] = std::move(resolved);
    launch.files.emplace_back(kSpecFile, base::dumpJsonPretty(document));
    return launch;
}

}  // namespace trainyard::runs
