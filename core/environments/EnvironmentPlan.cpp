#include "core/environments/EnvironmentPlan.h"

#include <algorithm>
#include <utility>

#include "core/base/Hash.h"
#include "core/base/Json.h"
#include "core/environments/EnvironmentWriter.h"
#include "core/spec/Reading.h"

namespace trainyard::environments {

using base::Error;
using base::Json;
using base::Result;
using spec::EnvironmentKind;
using spec::EnvironmentSpec;
using wire::PlanBuildStep;
using wire::PlanEnvironment;

namespace {

/// A change of how definitions are built raises it: caches made the old way are then not taken for the new one.
constexpr int kRecipe = 1;
constexpr std::int64_t kMiB = 1 << 20;
constexpr std::int64_t kShortStep = 900;
constexpr std::int64_t kLongStep = 6 * 3600;

constexpr const char* kFolder = "$TRAINYARD_ENVIRONMENT";
constexpr const char* kWork = "$TRAINYARD_WORK";
constexpr const char* kWorkingFolder = "$TRAINYARD_WORKING_FOLDER";

/// What a Python says of itself as one line of JSON. torch is not imported: that takes seconds, and its version stands
/// in a file.
constexpr const char* kFacts = R"(import json, os, platform, sys
d = {"interpreter": sys.executable, "python": platform.python_version(), "prefix": sys.prefix, "platform": platform.platform()}
try:
    from importlib import metadata, util
    d["packages"] = sorted({"%s==%s" % (x.metadata["Name"], x.version) for x in metadata.distributions() if x.metadata["Name"]}, key=str.lower)[:5000]
    s = util.find_spec("torch")
    if s and s.origin:
        n = {}
        with open(os.path.join(os.path.dirname(s.origin), "version.py")) as f:
            exec(f.read(), n)
        d["torch"] = {"version": str(n.get("__version__")), "cuda": n.get("cuda"), "git": n.get("git_version"), "path": os.path.dirname(s.origin)}
except Exception as e:
    d["error"] = str(e)
c = os.path.join(sys.prefix, "conda-meta")
if os.path.isdir(c):
    d["conda"] = sorted(x[:-5] for x in os.listdir(c) if x.endswith(".json"))[:5000]
print(json.dumps(d)))";

/// Variables that ranks get, for engines that take no patterns.
constexpr const char* kRankNames[] = {"MASTER_ADDR",
                                      "MASTER_PORT",
                                      "RANK",
                                      "LOCAL_RANK",
                                      "WORLD_SIZE",
                                      "LOCAL_WORLD_SIZE",
                                      "GROUP_RANK",
                                      "NODE_RANK",
                                      "CUDA_VISIBLE_DEVICES",
                                      "CUDA_DEVICE_ORDER",
                                      "OMP_NUM_THREADS",
                                      "GLOO_SOCKET_IFNAME",
                                      "NCCL_SOCKET_IFNAME",
                                      "PYTHONPATH",
                                      "MLFLOW_TRACKING_URI",
                                      "MLFLOW_TRACKING_TOKEN",
                                      "MLFLOW_RUN_ID",
                                      "MLFLOW_EXPERIMENT_ID",
                                      "MLFLOW_EXPERIMENT_NAME",
                                      "AZ_BATCHAI_PYTORCH_INIT_METHOD",
                                      "AZ_BATCHAI_TASK_INDEX",
                                      "AZUREML_RUN_ID",
                                      "TRAINYARD_STREAM",
                                      "TRAINYARD_OUTPUTS",
                                      "TRAINYARD_RUN_ID",
                                      "TRAINYARD_RUN_NAME",
                                      "TRAINYARD_EXPERIMENT",
                                      "TRAINYARD_ATTEMPT",
                                      "TRAINYARD_RENDEZVOUS",
                                      "TRAINYARD_CONTROL",
                                      "TRAINYARD_NODE",
                                      "TRAINYARD_NODE_FOLDER",
                                      "TRAINYARD_CLIENTS",
                                      "TRAINYARD_RESUME"};
constexpr const char* kRankPatterns[] = {"TRAINYARD_*", "AZ_BATCHAI_*", "AZUREML_*", "MLFLOW_*",
                                         "OMPI_*",      "PMIX_*",       "PMI_*",     "SLURM_*"};

std::string in(const std::string& name) { return std::string(kFolder) + "/" + name; }

/// The first of `usual` that every host has; the first of them where nothing is known.
std::string chosen(const std::string& wanted, const TargetFacts& facts, const std::vector<std::string>& usual,
                   Known HostFacts::*known, std::vector<std::string> HostFacts::*names) {
    if (wanted != "auto") {
        return wanted;
    }
    for (const std::string& one : usual) {
        const bool everywhere =
            facts.examined && std::ranges::all_of(facts.hosts, [&](const HostFacts& host) {
                return host.*known == Known::Unknown || std::ranges::find(host.*names, one) != (host.*names).end();
            });
        const bool somewhere =
            std::ranges::any_of(facts.hosts, [&](const HostFacts& host) { return host.*known == Known::Yes; });
        if (everywhere && somewhere) {
            return one;
        }
    }
    return usual.front();
}

Json buildJson(const EnvironmentSpec& spec, const TargetFacts& facts) {
    Json document = spec::toJson(spec);
    Json built{{"recipe", kRecipe}, {"kind", spec::environmentKindName(spec.kind)}};
    const char* part = spec::environmentKindName(spec.kind);
    if (document.contains(part)) {
        built["part"] = document[part];
    }
    switch (spec.kind) {
    case EnvironmentKind::Venv: built["part"]["python"] = pythonOf(spec, facts); break;
    // The same packages whichever of the three puts them there.
    case EnvironmentKind::Conda: built["part"].erase("tool"); break;
    case EnvironmentKind::Container:
        // One image file, whichever of the two made it.
        built["part"]["engine"] =
            isApptainer(containerEngineOf(spec, facts)) ? "apptainer" : containerEngineOf(spec, facts);
        for (const char* later : {"gpus", "mounts"}) {
            built["part"].erase(later);
        }
        break;
    case EnvironmentKind::Setup: built["part"].erase("python"); break;
    default: break;
    }
    built["variables"] = spec::textMap(spec.buildVariables);
    return built;
}

void addFacts(PlanEnvironment& plan, const std::string& python, std::vector<std::string> before = {}) {
    plan.facts = std::move(before);
    plan.facts.insert(plan.facts.end(), {python, "-c", kFacts});
}

void planVenv(const EnvironmentSpec& spec, const TargetFacts& facts, PlanEnvironment& plan) {
    const auto& venv = spec.venv;
    const std::string python = in("venv/bin/python");
    PlanBuildStep make{
        "Make the virtual environment", {pythonOf(spec, facts), "-m", "venv"}, spec.buildVariables, kShortStep};
    if (venv.systemSitePackages) {
        make.command.emplace_back("--system-site-packages");
    }
    make.command.push_back(in("venv"));
    plan.steps.push_back(std::move(make));
    if (!venv.requirements.empty()) {
        PlanBuildStep install{
            "Install the packages",
            {python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"},
            spec.buildVariables,
            kLongStep};
        const auto option = [&](const char* name, const std::string& value) {
            install.command.insert(install.command.end(), {name, value});
        };
        if (!venv.wheelFolder.empty()) {
            install.command.emplace_back("--no-index");
            option("--find-links", expandedHome(venv.wheelFolder));
        }
        if (!venv.indexUrl.empty()) {
            option("--index-url", venv.indexUrl);
        }
        for (const std::string& url : venv.extraIndexUrls) {
            option("--extra-index-url", url);
        }
        for (const std::string& place : venv.findLinks) {
            option("--find-links", expandedHome(place));
        }
        if (!venv.constraints.empty()) {
            option("--constraint", in("constraints.txt"));
            plan.files.push_back({"constraints.txt", requirementLines(venv.constraints)});
        }
        option("--requirement", in("requirements.txt"));
        plan.files.push_back({"requirements.txt", requirementLines(venv.requirements)});
        plan.steps.push_back(std::move(install));
    }
    plan.interpreter = python;
    plan.pathPrefix = {in("venv/bin")};
    plan.variables.emplace_back("VIRTUAL_ENV", in("venv"));
    addFacts(plan, python);
}

void planConda(const EnvironmentSpec& spec, const TargetFacts& facts, PlanEnvironment& plan) {
    const std::string tool = condaToolOf(spec, facts);
    const std::string file = in("environment.yml");
    PlanBuildStep make{"Make the conda environment", {}, spec.buildVariables, kLongStep};
    if (tool == "micromamba") {
        make.command = {tool, "create", "--yes", "--prefix", in("conda"), "--file", file};
    } else {
        make.command = {tool, "env", "create", "--prefix", in("conda"), "--file", file};
        // Not every version of "env create" knows --yes; this variable all do.
        make.variables.emplace_back("CONDA_ALWAYS_YES", "true");
    }
    plan.files.push_back({"environment.yml", condaYaml(spec)});
    plan.steps.push_back(std::move(make));
    plan.interpreter = in("conda/bin/python");
    plan.pathPrefix = {in("conda/bin")};
    plan.variables.emplace_back("CONDA_PREFIX", in("conda"));
    addFacts(plan, plan.interpreter);
}

std::string tagOf(const PlanEnvironment& plan) { return "localhost/trainyard-environment:" + plan.hash; }

/// An image of podman or docker, built even when only named: so it is there under our own tag, and is fetched but once.
void buildImage(const EnvironmentSpec& spec, const std::string& engine, PlanEnvironment& plan) {
    plan.files.push_back({"Containerfile", containerfileText(spec)});
    // The context: what the Containerfile may copy. Never the environment's folder itself.
    plan.files.push_back({"context/requirements.txt", requirementLines(spec.container.requirements)});
    PlanBuildStep build{spec.container.source == "image" ? "Fetch the image" : "Build the image",
                        {engine, "build", "--network=host", "--tag", tagOf(plan), "--file", in("Containerfile"),
                         "--iidfile", in("image.id")},
                        spec.buildVariables,
                        kLongStep};
    if (spec.container.source == "image" && !spec.container.requirements.empty()) {
        build.title = "Put the packages on the image";
    }
    if (engine == "podman") {
        // Without layers of its own: a build that fails leaves no image behind. By argument and label the agent knows
        // again what one that was killed left in podman's storage. podman warns of an argument that no file asks for;
        // before all stages it is in none of them.
        plan.files.push_back({"mark/Containerfile", "ARG TRAINYARD_BUILD\n"});
        build.command.insert(std::ranges::find(build.command, "--file"), {"--file", in("mark/Containerfile")});
        build.command.insert(build.command.end(),
                             {"--layers=false", "--build-arg", std::string("TRAINYARD_BUILD=") + kFolder, "--label",
                              std::string("trainyard.build=") + kFolder});
    } else {
        build.command.emplace_back("--force-rm");
    }
    for (const auto& [name, value] : spec.buildVariables) {
        // Without a value: taken from the variables of the step, so that no '$' in it is taken for a name.
        build.command.insert(build.command.end(), {"--build-arg", name});
    }
    build.command.push_back(in("context"));
    plan.steps.push_back(std::move(build));
    Json remove{{"commands", Json::array({Json::array({engine, "image", "rm", "--force", tagOf(plan)})})}};
    if (engine == "podman") {
        remove["builder"] = engine;
    }
    plan.files.push_back({"remove.json", base::dumpJsonPretty(remove)});
}

void mountInto(std::vector<std::string>& command, const std::string& from, const std::string& to, bool readOnly) {
    command.push_back("--mount=type=bind,source=" + from + ",destination=" + to + (readOnly ? ",readonly" : ""));
}

std::vector<std::string> runCommand(const EnvironmentSpec& spec, const std::string& engine, const RunNeeds& needs,
                                    const PlanEnvironment& plan) {
    // The host's processes, memory and network: ranks signal, share and meet as they do without a container.
    std::vector<std::string> command{engine,           "run",        "--rm",       "--pull=never",
                                     "--network=host", "--ipc=host", "--pid=host", "--log-driver=none",
                                     "--entrypoint="};
    const bool podman = engine == "podman";
    if (podman) {
        // Root inside is who runs podman outside: without a daemon's rights the user himself, whose files a run's then
        // are. An image that names another user would write as one of his subordinate ids, and not into the run's
        // folders.
        command.insert(command.end(), {"--user=0:0", "--ulimit=host", "--security-opt=label=disable"});
    } else {
        // Docker's daemon is root: without this, so are the files that a run leaves.
        command.emplace_back("--user=$TRAINYARD_UID:$TRAINYARD_GID");
    }
    if (spec.container.gpus) {
        command.emplace_back(podman ? "--device=nvidia.com/gpu=all" : "--gpus=all");
    }
    mountInto(command, kWork, kWork, false);
    for (const std::string& path : needs.paths) {
        mountInto(command, path, path, true);
    }
    if (needs.mpi) {
        mountInto(command, "/tmp", "/tmp", false);
    }
    for (const std::string& mount : spec.container.mounts) {
        const std::size_t colon = mount.find(':');
        const std::size_t second = mount.find(':', colon + 1);
        const bool readOnly = second != std::string::npos && mount.substr(second + 1) == "ro";
        mountInto(command, expandedHome(mount.substr(0, colon)),
                  mount.substr(colon + 1, second == std::string::npos ? second : second - colon - 1), readOnly);
    }
    std::vector<std::string> names;
    if (podman) {
        names.assign(std::begin(kRankPatterns), std::end(kRankPatterns));
    }
    for (const char* name : kRankNames) {
        const std::string_view text = name;
        const bool covered = podman && std::ranges::any_of(kRankPatterns, [&](std::string_view pattern) {
                                 return text.starts_with(pattern.substr(0, pattern.size() - 1));
                             });
        if (!covered) {
            names.emplace_back(name);
        }
    }
    for (const auto& [name, value] : plan.variables) {
        names.push_back(name);
    }
    for (const wire::PlanSecret& secret : plan.secrets) {
        names.push_back(secret.variable);
    }
    names.insert(names.end(), needs.variables.begin(), needs.variables.end());
    for (const std::string& name : names) {
        command.push_back("--env=" + name);
    }
    command.push_back(std::string("--workdir=") + kWorkingFolder);
    command.push_back(tagOf(plan));
    return command;
}

void planApptainer(const EnvironmentSpec& spec, const std::string& program, const RunNeeds& needs,
                   PlanEnvironment& plan) {
    const std::string& name = spec.container.image;
    std::string image = expandedHome(name);
    if (name.starts_with('/') || name.starts_with("~/")) {
        plan.hash.clear();  // It is there; nothing is built.
    } else {
        const std::string source = name.find("://") == std::string::npos ? "docker://" + name : name;
        image = in("image.sif");
        plan.steps.push_back({"Fetch the image", {program, "build", image, source}, spec.buildVariables, kLongStep});
    }
    plan.wrap = {program, "exec", "--bind", kWork, "--pwd", kWorkingFolder};
    if (spec.container.gpus) {
        plan.wrap.emplace_back("--nv");
    }
    for (const std::string& path : needs.paths) {
        plan.wrap.insert(plan.wrap.end(), {"--bind", path + ":" + path + ":ro"});
    }
    for (const std::string& mount : spec.container.mounts) {
        plan.wrap.insert(plan.wrap.end(), {"--bind", expandedHome(mount)});
    }
    plan.wrap.push_back(image);
}

base::Status planContainer(const EnvironmentSpec& spec, const TargetFacts& facts, const RunNeeds& needs,
                           PlanEnvironment& plan) {
    const std::string engine = containerEngineOf(spec, facts);
    if (isApptainer(engine)) {
        if (spec.container.source != "image" || !spec.container.requirements.empty()) {
            return Error{"environment.apptainer",
                         "The target " + facts.target + " has " + engine +
                             " alone, which builds no Containerfile and adds no packages; install podman there, "
                             "or name an image that has all that is needed.",
                         "container.engine"};
        }
        planApptainer(spec, engine, needs, plan);
    } else {
        buildImage(spec, engine, plan);
        plan.wrap = runCommand(spec, engine, needs, plan);
    }
    plan.interpreter = spec.container.python;
    addFacts(plan, spec.container.python, plan.wrap);
    return {};
}

void planSetup(const EnvironmentSpec& spec, const TargetFacts& facts, PlanEnvironment& plan) {
    plan.files.push_back({"setup.sh", spec.setup.script});
    plan.steps.push_back({"Run the setup script", {spec.setup.shell, in("setup.sh")}, spec.buildVariables, kLongStep});
    plan.interpreter = pythonOf(spec, facts);
    plan.pathPrefix = {in("bin")};
    addFacts(plan, plan.interpreter);
}

void planInterpreter(const EnvironmentSpec& spec, const TargetFacts& facts, PlanEnvironment& plan) {
    plan.interpreter = pythonOf(spec, facts);
    if (!spec.interpreter.folder.empty()) {
        const std::string folder = expandedHome(spec.interpreter.folder);
        plan.pathPrefix = {folder + "/bin"};
        plan.variables.emplace_back("VIRTUAL_ENV", folder);
    }
    if (spec.interpreter.isPython) {
        addFacts(plan, plan.interpreter);
    }
}

}  // namespace

bool isApptainer(const std::string& engine) { return engine == "apptainer" || engine == "singularity"; }

std::string expandedHome(const std::string& path) { return path.starts_with("~/") ? "$HOME" + path.substr(1) : path; }

std::string containerEngineOf(const EnvironmentSpec& spec, const TargetFacts& facts) {
    const auto among = [&](const std::vector<std::string>& usual) {
        return chosen("auto", facts, usual, &HostFacts::engines, &HostFacts::containerEngines);
    };
    if (spec.container.engine == "auto") {
        return among({"podman", "docker", "apptainer", "singularity"});
    }
    // The older name of the same program, with the same words.
    return isApptainer(spec.container.engine) ? among({"apptainer", "singularity"}) : spec.container.engine;
}

std::string condaToolOf(const EnvironmentSpec& spec, const TargetFacts& facts) {
    return chosen(spec.conda.tool, facts, {"micromamba", "mamba", "conda"}, &HostFacts::conda, &HostFacts::condaTools);
}

std::string pythonOf(const EnvironmentSpec& spec, const TargetFacts& facts) {
    std::string python;
    switch (spec.kind) {
    case EnvironmentKind::Interpreter:
        python = spec.interpreter.folder.empty() ? spec.interpreter.program : spec.interpreter.folder + "/bin/python";
        break;
    case EnvironmentKind::Venv: python = spec.venv.python; break;
    case EnvironmentKind::Setup:
        python = spec.setup.python;
        if (!python.empty() && !python.starts_with('/') && !python.starts_with("~/")) {
            return in(python);
        }
        break;
    case EnvironmentKind::Container: return spec.container.python;
    case EnvironmentKind::Conda: return in("conda/bin/python");
    case EnvironmentKind::Engine: break;
    }
    return expandedHome(python.empty() ? facts.python : python);
}

std::int64_t neededBytes(const EnvironmentSpec& spec) {
    if (spec.needMiB > 0) {
        return spec.needMiB * kMiB;
    }
    // Rounded experience, not a promise: torch with CUDA takes 5 to 6 GiB, its pages while it unpacks not counted.
    constexpr std::int64_t kTorch = 6 * 1024;
    constexpr std::int64_t kPackage = 100;
    const auto packages = [](const std::vector<std::string>& list) {
        std::int64_t sum = 0;
        for (const std::string& one : list) {
            const std::string name = one.substr(0, one.find_first_of(" =<>!~[;@("));
            sum += name == "torch" || name == "pytorch" || name == "tensorflow" ? kTorch : kPackage;
        }
        return sum;
    };
    switch (spec.kind) {
    case EnvironmentKind::Venv:
        return (64 + (spec.venv.wheelFolder.empty()
                          ? packages(spec.venv.requirements)
                          : kPackage * static_cast<std::int64_t>(spec.venv.requirements.size()))) *
               kMiB;
    case EnvironmentKind::Conda: return (512 + packages(spec.conda.dependencies) + packages(spec.conda.pip)) * kMiB;
    case EnvironmentKind::Container: return (1024 + packages(spec.container.requirements)) * kMiB;
    case EnvironmentKind::Setup: return 256 * kMiB;
    default: return 0;
    }
}

Result<PlanEnvironment> planEnvironment(const EnvironmentSpec& spec, int version, const TargetFacts& facts,
                                        const RunNeeds& needs) {
    PlanEnvironment plan;
    plan.name = spec.name + (version > 0 ? ":" + std::to_string(version) : "");
    plan.kind = spec::environmentKindName(spec.kind);
    plan.variables = spec.variables;
    for (const auto& [variable, place] : spec.secrets) {
        const std::string value = place.substr(place.find(':') + 1);
        plan.secrets.push_back(place.starts_with("file:") ? wire::PlanSecret{variable, value, {}}
                                                          : wire::PlanSecret{variable, {}, value});
    }
    const bool builds = spec.kind != EnvironmentKind::Engine && spec.kind != EnvironmentKind::Interpreter;
    if (builds) {
        plan.hash = base::sha256Hex(base::dumpJson(buildJson(spec, facts)));
        plan.needBytes = neededBytes(spec);
    }
    switch (spec.kind) {
    case EnvironmentKind::Engine:
        if (needs.script) {
            addFacts(plan, facts.python);
        }
        break;
    case EnvironmentKind::Interpreter: planInterpreter(spec, facts, plan); break;
    case EnvironmentKind::Venv: planVenv(spec, facts, plan); break;
    case EnvironmentKind::Conda: planConda(spec, facts, plan); break;
    case EnvironmentKind::Container: TRAINYARD_TRY(planContainer(spec, facts, needs, plan)); break;
    case EnvironmentKind::Setup: planSetup(spec, facts, plan); break;
    }
    if (plan.hash.empty()) {
        plan.needBytes = 0;
    }
    return plan;
}

}  // namespace trainyard::environments
