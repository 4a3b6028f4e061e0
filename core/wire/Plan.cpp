#include "core/wire/Plan.h"

#include <algorithm>
#include <cctype>
#include <limits>

#include "core/base/Content.h"
#include "core/wire/PlanEnvironment.h"

namespace trainyard::wire {

using base::Json;
using base::ObjectReader;
using base::Result;

namespace {

constexpr int kMaxRanks = 65536;

std::int64_t inRange(ObjectReader& reader, const char* key, std::int64_t fallback, std::int64_t low,
                     std::int64_t high) {
    const std::int64_t value = reader.integer(key, fallback);
    if (value < low || value > high) {
        reader.fail("plan.range", key,
                    std::string(key) + " is " + std::to_string(value) + ", but must be from " + std::to_string(low) +
                        " to " + std::to_string(high) + ".");
        return fallback;
    }
    return value;
}

std::string absolutePath(ObjectReader& reader, const char* key, bool mayBeEmpty) {
    std::string path = reader.string(key);
    if (path.empty() ? !mayBeEmpty : path.front() != '/') {
        reader.fail("plan.path", key, std::string(key) + " must be an absolute path.");
    }
    if (path.find('\0') != std::string::npos) {
        reader.fail("plan.path", key, std::string(key) + " has a zero byte in it.");
    }
    return path;
}

}  // namespace

Json toJson(const Plan& plan) {
    Json variables = Json::object();
    for (const auto& [name, value] : plan.variables) {
        variables[name] = value;
    }
    Json peers = Json::array();
    for (const PlanPeer& peer : plan.peers) {
        peers.push_back({{"host", peer.host}, {"address", peer.address}, {"interface", peer.interface}});
    }
    Json inputs = Json::array();
    for (const PlanInput& input : plan.inputs) {
        inputs.push_back({{"name", input.name},
                          {"path", input.path},
                          {"sha256", input.sha256},
                          {"address", input.address},
                          {"verify", input.verify},
                          {"unpack", input.unpack}});
    }
    return Json{{"format", kPlanFormat},
                {"version", kPlanVersion},
                {"run", plan.run.str()},
                {"attempt", plan.attempt},
                {"node", plan.node},
                {"nodes", plan.nodes},
                {"processes", plan.processes},
                {"experiment", plan.experiment},
                {"run_name", plan.runName},
                {"command", plan.command},
                {"variables", std::move(variables)},
                {"working_folder", plan.workingFolder},
                {"outputs_folder", plan.outputsFolder},
                {"slots_folder", plan.slotsFolder},
                {"cores", plan.cores},
                {"gpus", plan.gpus},
                {"priority", plan.priority},
                {"max_seconds", plan.maxSeconds},
                {"grace_seconds", plan.graceSeconds},
                {"disk_reserve_bytes", plan.diskReserveBytes},
                {"system_interval_ms", plan.systemIntervalMillis},
                {"engine", plan.engine},
                {"distribution", plan.distribution},
                {"backend", plan.backend},
                {"launcher", plan.launcher},
                {"peers", std::move(peers)},
                {"lead_port", plan.leadPort},
                {"token", plan.token},
                {"silence_seconds", plan.silenceSeconds},
                {"join_seconds", plan.joinSeconds},
                {"shared_folder", plan.sharedFolder},
                {"scheduler", plan.scheduler},
                {"work_folder", plan.workFolder},
                {"source_manifest", plan.sourceManifest},
                {"inputs", std::move(inputs)},
                {"patterns", plan.patterns},
                {"environment", toJson(plan.environment)},
                {"resume_checkpoint", plan.resumeCheckpoint},
                {"max_restarts", plan.maxRestarts}};
}

Result<Plan> planFromJson(const Json& json) {
    TRAINYARD_TRY(base::checkFormat(json, kPlanFormat, kPlanVersion));
    constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();
    ObjectReader reader(json, "");
    Plan plan;
    plan.run = base::RunId(reader.string("run"));
    if (!plan.run.isValid()) {
        reader.fail("plan.run", "run", "run is not the id of a run.");
    }
    plan.attempt = static_cast<int>(inRange(reader, "attempt", 1, 1, 1'000'000));
    plan.nodes = static_cast<int>(inRange(reader, "nodes", 1, 1, kMaxRanks));
    plan.node = static_cast<int>(inRange(reader, "node", 0, 0, plan.nodes - 1));
    plan.processes = static_cast<int>(inRange(reader, "processes", 1, 1, kMaxRanks));
    plan.experiment = reader.string("experiment");
    plan.runName = reader.string("run_name");
    plan.command = reader.strings("command");
    if (plan.command.empty() || plan.command.front().empty()) {
        reader.fail("plan.command", "command", "command must name a program.");
    }
    for (const std::string& argument : plan.command) {
        if (argument.find('\0') != std::string::npos) {
            reader.fail("plan.command", "command", "An argument of the command has a zero byte in it.");
        }
    }
    plan.variables = reader.stringMap("variables");
    for (const auto& [name, value] : plan.variables) {
        if (name.empty() || name.find('=') != std::string::npos || (name + value).find('\0') != std::string::npos) {
            reader.fail("plan.variables", "variables", "\"" + name + "\" cannot be an environment variable.");
        }
    }
    plan.workingFolder = reader.string("working_folder");
    if (!plan.workingFolder.starts_with('/') && !plan.workingFolder.empty() &&
        !base::isPlainRelativePath(plan.workingFolder)) {
        reader.fail("plan.path", "working_folder", "working_folder must be an absolute path or one inside the source.");
    }
    plan.outputsFolder = absolutePath(reader, "outputs_folder", false);
    plan.slotsFolder = absolutePath(reader, "slots_folder", false);
    plan.cores = static_cast<int>(inRange(reader, "cores", 1, 0, kMaxRanks));
    plan.gpus = static_cast<int>(inRange(reader, "gpus", 0, 0, kMaxRanks));
    plan.priority = inRange(reader, "priority", 0, -1'000'000, 1'000'000);
    plan.maxSeconds = inRange(reader, "max_seconds", 0, 0, kNoLimit / 1'000'000'000);
    plan.maxRestarts = inRange(reader, "max_restarts", 0, 0, 1000);
    plan.graceSeconds = inRange(reader, "grace_seconds", plan.graceSeconds, 0, 86'400);
    plan.diskReserveBytes = inRange(reader, "disk_reserve_bytes", plan.diskReserveBytes, 0, kNoLimit);
    plan.systemIntervalMillis = inRange(reader, "system_interval_ms", plan.systemIntervalMillis, 10, 3'600'000);
    plan.engine = reader.boolean("engine");
    plan.distribution = reader.string("distribution", "none");
    if (plan.distribution != "none" && plan.distribution != "pytorch" && plan.distribution != "mpi") {
        reader.fail("plan.distribution", "distribution",
                    "\"" + plan.distribution + "\" is no distribution this agent knows.");
    }
    plan.backend = reader.string("backend");
    plan.launcher = reader.string("launcher");
    for (const Json& one : reader.array("peers")) {
        ObjectReader peer(one, "peers");
        plan.peers.push_back({peer.string("host"), peer.string("address"), peer.string("interface")});
        reader.merge(peer);
    }
    plan.leadPort = static_cast<int>(inRange(reader, "lead_port", 0, 0, 65535));
    plan.token = reader.string("token");
    plan.silenceSeconds = inRange(reader, "silence_seconds", plan.silenceSeconds, 1, 86'400);
    plan.joinSeconds = inRange(reader, "join_seconds", plan.joinSeconds, 1, 86'400);
    plan.sharedFolder = reader.boolean("shared_folder");
    plan.scheduler = reader.boolean("scheduler");
    plan.workFolder = absolutePath(reader, "work_folder", true);
    plan.sourceManifest = reader.string("source_manifest");
    if (!plan.sourceManifest.empty() &&
        (!base::isPlainRelativePath(plan.sourceManifest) || plan.sourceManifest.find('/') != std::string::npos)) {
        reader.fail("plan.path", "source_manifest", "source_manifest must be the name of a file beside the plan.");
    }
    for (const Json& one : reader.array("inputs")) {
        ObjectReader input(one, "inputs");
        PlanInput known{input.string("name"),    absolutePath(input, "path", true), input.string("sha256"),
                        input.string("address"), input.boolean("verify"),           input.boolean("unpack")};
        const bool named = !known.name.empty() &&
                           std::all_of(known.name.begin(), known.name.end(),
                                       [](unsigned char c) { return c < 0x80 && (std::isalnum(c) != 0 || c == '_'); });
        if (!named) {
            input.fail("plan.input", "name", "\"" + known.name + "\" cannot be part of a variable's name.");
        }
        reader.merge(input);
        plan.inputs.push_back(std::move(known));
    }
    plan.patterns = reader.strings("patterns");
    plan.environment = environmentFromJson(reader.raw("environment"), reader);
    if (!plan.environment.hash.empty() && plan.workFolder.empty()) {
        reader.fail("plan.environment", "work_folder",
                    "The environment is built in the work folder, which the plan does not name.");
    }
    plan.resumeCheckpoint = absolutePath(reader, "resume_checkpoint", true);
    TRAINYARD_TRY(reader.status(false));
    return plan;
}

}  // namespace trainyard::wire
