#include "core/wire/Plan.h"

#include <limits>

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
                          {"verify", input.verify}});
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
    plan.workingFolder = absolutePath(reader, "working_folder", true);
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
    TRAINYARD_TRY(reader.status(false));
    return plan;
}

}  // namespace trainyard::wire
