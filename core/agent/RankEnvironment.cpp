#include "core/agent/RankEnvironment.h"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "core/agent/Environment.h"

namespace trainyard::agent {

namespace {

constexpr std::array kLaunchNames = {"MASTER_ADDR", "MASTER_PORT",      "RANK",       "LOCAL_RANK",
                                     "WORLD_SIZE",  "LOCAL_WORLD_SIZE", "GROUP_RANK", "NODE_RANK"};

bool isNameStart(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; }
bool isNamePart(char c) { return isNameStart(c) || (c >= '0' && c <= '9'); }

/// Length of the reference that begins with the '$' at `at` ("$NAME" or "${NAME}"), or 0; its name in `name`.
std::size_t referenceAt(std::string_view text, std::size_t at, std::string& name) {
    std::size_t i = at + 1;
    const bool braces = i < text.size() && text[i] == '{';
    if (braces) ++i;
    const std::size_t from = i;
    if (i >= text.size() || !isNameStart(text[i])) return 0;
    while (i < text.size() && isNamePart(text[i])) ++i;
    name = std::string(text.substr(from, i - from));
    if (!braces) return i - at;
    return i < text.size() && text[i] == '}' ? i + 1 - at : 0;
}

/// Where Python finds our modules, and MLflow's client the agent. A tracking address that the run names itself stays.
void addClients(Variables& all, const wire::Plan& plan, const Launch& launch, int rank) {
    if (!launch.clients.empty()) {
        all["TRAINYARD_CLIENTS"] = launch.clients;
        std::string& path = all["PYTHONPATH"];
        path = launch.clients + "/python" + (path.empty() ? "" : ":" + path);
    }
    const auto isTracking = [](const auto& entry) { return entry.first == "MLFLOW_TRACKING_URI"; };
    const bool named = std::any_of(plan.variables.begin(), plan.variables.end(), isTracking) ||
                       std::any_of(plan.environment.variables.begin(), plan.environment.variables.end(), isTracking);
    if (launch.trackingPort == 0 || named) return;
    all["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:" + std::to_string(launch.trackingPort);
    all["MLFLOW_TRACKING_TOKEN"] = launch.trackingToken + "-" + std::to_string(rank);
    all["MLFLOW_RUN_ID"] = plan.run.str();
    for (const char* name :
         {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"})
        all.erase(name);
    // A proxy of the site must not be asked for our own address.
    for (const char* name : {"no_proxy", "NO_PROXY"}) {
        std::string& hosts = all[name];
        hosts = "127.0.0.1" + (hosts.empty() ? "" : "," + hosts);
    }
}

}  // namespace

Variables rankEnvironment(const Variables& inherited, const wire::Plan& plan, const NodeLayout& layout,
                          const Launch& launch, int rank) {
    namespace variable = wire::variable;
    Variables all = inherited;
    // A run started from inside another run must not see that run's names.
    std::erase_if(all, [](const auto& entry) {
        return entry.first.starts_with("TRAINYARD_") || entry.first.starts_with("AZ_BATCHAI_");
    });
    for (const char* name : kLaunchNames) all.erase(name);
    if (!launch.gpus.empty()) {
        std::string devices;
        for (const int index : launch.gpus) devices += (devices.empty() ? "" : ",") + std::to_string(index);
        all["CUDA_VISIBLE_DEVICES"] = devices;
        all["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID";  // The lease counts as nvidia-smi does; CUDA's own order is by speed.
    }
    if (plan.processes > 1 && !plan.engine && !all.contains("OMP_NUM_THREADS")) {
        all["OMP_NUM_THREADS"] = std::to_string(std::max(1, launch.cores / plan.processes));
    }
    if (plan.engine && !all.contains("OMP_WAIT_POLICY")) {
        // OpenMP's threads spin for milliseconds by default; on a busy machine that costs more than the work. The
        // engine would set it itself, at the price of starting twice.
        all.emplace("GOMP_SPINCOUNT", "1000");
    }
    const Variables names = environmentNames(layout, plan);
    for (const auto& [name, value] : plan.environment.variables) all[name] = expandVariables(value, names);
    for (const auto& [name, value] : plan.variables) all[name] = value;
    std::string before;
    for (const std::string& folder : plan.environment.pathPrefix) before += expandVariables(folder, names) + ":";
    if (!before.empty()) all["PATH"] = before + (all["PATH"].empty() ? "/usr/local/bin:/usr/bin:/bin" : all["PATH"]);
    all.insert(names.begin(), names.end());
    if (!plan.environment.interpreter.empty())
        all["TRAINYARD_PYTHON"] = expandVariables(plan.environment.interpreter, names);

    addClients(all, plan, launch, rank);

    const int global = plan.node * plan.processes + rank;
    all[variable::kStream] = layout.rankStream(rank).string();
    all[variable::kOutputs] = plan.outputsFolder;
    all[variable::kRunId] = plan.run.str();
    all[variable::kRunName] = plan.runName;
    all[variable::kExperiment] = plan.experiment;
    all[variable::kAttempt] = std::to_string(plan.attempt);
    all[variable::kRendezvous] = layout.rendezvous().string();
    all[variable::kControl] = layout.control().string();
    all["TRAINYARD_NODE_FOLDER"] = layout.root.string();
    all[variable::kNode] = std::to_string(plan.node);
    for (const auto& [name, path] : launch.inputs) {
        std::string upper = name;
        std::transform(upper.begin(), upper.end(), upper.begin(),
                       [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
        all[variable::kInputPrefix + upper] = path;
    }
    if (!launch.interface.empty()) {
        all.emplace("GLOO_SOCKET_IFNAME", launch.interface);
        all.emplace("NCCL_SOCKET_IFNAME", launch.interface);
    }
    all["MASTER_ADDR"] = launch.masterAddress;
    all["MASTER_PORT"] = std::to_string(launch.masterPort);
    all["RANK"] = std::to_string(global);
    all["LOCAL_RANK"] = std::to_string(rank);
    all["WORLD_SIZE"] = std::to_string(plan.nodes * plan.processes);
    all["LOCAL_WORLD_SIZE"] = std::to_string(plan.processes);
    all["AZ_BATCHAI_TASK_INDEX"] = std::to_string(global);
    all["GROUP_RANK"] = std::to_string(plan.node);
    if (!launch.initMethod.empty()) {
        all["AZ_BATCHAI_PYTORCH_INIT_METHOD"] = launch.initMethod;
    } else if (launch.masterPort > 0) {
        const bool six = launch.masterAddress.find(':') != std::string::npos;
        all["AZ_BATCHAI_PYTORCH_INIT_METHOD"] = "tcp://" +
                                                (six ? "[" + launch.masterAddress + "]" : launch.masterAddress) + ":" +
                                                std::to_string(launch.masterPort);
    } else {
        all.erase("AZ_BATCHAI_PYTORCH_INIT_METHOD");
    }
    return all;
}

Path workingFolderOf(const NodeLayout& layout, const wire::Plan& plan) {
    if (plan.workingFolder.starts_with('/')) return plan.workingFolder;
    if (!plan.sourceManifest.empty())
        return plan.workingFolder.empty() ? layout.code() : layout.code() / plan.workingFolder;
    const Path run = Path(plan.outputsFolder).parent_path();
    return plan.workingFolder.empty() ? run : run / plan.workingFolder;
}

std::string expandVariables(std::string_view argument, const Variables& variables) {
    std::string out;
    std::string name;
    std::size_t at = 0;
    while (at < argument.size()) {
        const bool escaped = argument[at] == '\\' && at + 1 < argument.size() && argument[at + 1] == '$';
        const std::size_t dollar = at + (escaped ? 1 : 0);
        if (argument[dollar] == '$') {
            const std::size_t length = referenceAt(argument, dollar, name);
            const auto found = length > 0 ? variables.find(name) : variables.end();
            if (found != variables.end()) {
                out += escaped ? std::string(argument.substr(dollar, length)) : found->second;
                at = dollar + length;
                continue;
            }
        }
        out += argument[at++];
    }
    return out;
}

Variables currentEnvironment() {
    Variables all;
    for (char** entry = environ; entry && *entry; ++entry) {
        const std::string_view text = *entry;
        const std::size_t equals = text.find('=');
        if (equals != std::string_view::npos && equals > 0) {
            all.emplace(text.substr(0, equals), text.substr(equals + 1));
        }
    }
    return all;
}

std::vector<std::string> environmentStrings(const Variables& variables) {
    std::vector<std::string> strings;
    strings.reserve(variables.size());
    for (const auto& [name, value] : variables) strings.push_back(name + "=" + value);
    return strings;
}

}  // namespace trainyard::agent
