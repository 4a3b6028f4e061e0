#include "core/wire/PlanEnvironment.h"

#include <algorithm>
#include <set>

#include "core/base/Content.h"

namespace trainyard::wire {

using base::Json;
using base::ObjectReader;

namespace {

constexpr std::int64_t kMaxStepSeconds = 7 * 86'400;
constexpr std::int64_t kMostBytes = std::int64_t{1} << 60;
constexpr std::size_t kMaxFileBytes = 4 << 20;

Json mapOf(const std::vector<std::pair<std::string, std::string>>& variables) {
    Json map = Json::object();
    for (const auto& [name, value] : variables) map[name] = value;
    return map;
}

bool hasZero(const std::string& text) { return text.find('\0') != std::string::npos; }

bool isVariableName(const std::string& name) {
    return !name.empty() && name.find('=') == std::string::npos && !hasZero(name);
}

void checkArguments(ObjectReader& reader, const char* key, const std::vector<std::string>& arguments) {
    if (!arguments.empty() && arguments.front().empty())
        reader.fail("plan.environment", key, std::string(key) + " must begin with a program.");
    if (std::any_of(arguments.begin(), arguments.end(), hasZero)) {
        reader.fail("plan.environment", key, "An argument in " + std::string(key) + " has a zero byte in it.");
    }
}

std::vector<std::pair<std::string, std::string>> variablesIn(ObjectReader& reader) {
    auto variables = reader.stringMap("variables");
    for (const auto& [name, value] : variables) {
        if (!isVariableName(name) || hasZero(value))
            reader.fail("plan.environment", "variables", "\"" + name + "\" cannot be an environment variable.");
    }
    return variables;
}

/// Absolute, or from a variable on ("$TRAINYARD_ENVIRONMENT/bin").
bool leadsSomewhere(const std::string& path) { return path.starts_with('/') || path.starts_with('$'); }

void readFiles(ObjectReader& reader, PlanEnvironment& environment) {
    std::set<std::string> seen;
    for (const Json& one : reader.array("files")) {
        ObjectReader file(one, reader.pathOf("files"));
        PlanBuildFile known{file.string("name"), file.string("text")};
        if (!base::isPlainRelativePath(known.name) || !seen.insert(known.name).second) {
            file.fail("plan.environment", "name",
                      "\"" + known.name + "\" is no path of its own inside the environment's folder.");
        }
        if (known.text.size() > kMaxFileBytes)
            file.fail("plan.environment", "text", known.name + " is longer than 4 MiB.");
        reader.merge(file);
        environment.files.push_back(std::move(known));
    }
}

void readSteps(ObjectReader& reader, PlanEnvironment& environment) {
    for (const Json& one : reader.array("steps")) {
        ObjectReader step(one, reader.pathOf("steps"));
        PlanBuildStep known;
        known.title = step.string("title");
        known.command = step.strings("command");
        if (known.command.empty())
            step.fail("plan.environment", "command", "A step of the environment's build names no program.");
        checkArguments(step, "command", known.command);
        known.variables = variablesIn(step);
        known.maxSeconds = step.integer("max_seconds", known.maxSeconds);
        if (known.maxSeconds < 1 || known.maxSeconds > kMaxStepSeconds) {
            step.fail("plan.environment", "max_seconds", "A step's time limit must be from 1 second to 7 days.");
        }
        reader.merge(step);
        environment.steps.push_back(std::move(known));
    }
}

void readSecrets(ObjectReader& reader, PlanEnvironment& environment) {
    for (const Json& one : reader.array("secrets")) {
        ObjectReader secret(one, reader.pathOf("secrets"));
        PlanSecret known{secret.string("variable"), secret.string("file"), secret.string("from_variable")};
        if (!isVariableName(known.variable)) {
            secret.fail("plan.environment", "variable",
                        "\"" + known.variable + "\" cannot be an environment variable.");
        }
        if (known.file.empty() == known.fromVariable.empty()) {
            secret.fail("plan.environment", "file",
                        "The secret " + known.variable + " must come from a file or from a variable, not from both.");
        } else if (hasZero(known.file + known.fromVariable) ||
                   (!known.file.empty() && !known.file.starts_with('/') && !known.file.starts_with("~/"))) {
            secret.fail("plan.environment", "file",
                        "The file of the secret " + known.variable + " must be an absolute path or begin with ~/.");
        }
        reader.merge(secret);
        environment.secrets.push_back(std::move(known));
    }
}

}  // namespace

Json toJson(const PlanEnvironment& environment) {
    Json files = Json::array();
    for (const PlanBuildFile& file : environment.files) files.push_back({{"name", file.name}, {"text", file.text}});
    Json steps = Json::array();
    for (const PlanBuildStep& step : environment.steps) {
        steps.push_back({{"title", step.title},
                         {"command", step.command},
                         {"variables", mapOf(step.variables)},
                         {"max_seconds", step.maxSeconds}});
    }
    Json secrets = Json::array();
    for (const PlanSecret& secret : environment.secrets) {
        secrets.push_back(
            {{"variable", secret.variable}, {"file", secret.file}, {"from_variable", secret.fromVariable}});
    }
    return Json{{"name", environment.name},
                {"kind", environment.kind},
                {"hash", environment.hash},
                {"files", std::move(files)},
                {"steps", std::move(steps)},
                {"wrap", environment.wrap},
                {"interpreter", environment.interpreter},
                {"path_prefix", environment.pathPrefix},
                {"variables", mapOf(environment.variables)},
                {"secrets", std::move(secrets)},
                {"facts", environment.facts},
                {"need_bytes", environment.needBytes}};
}

PlanEnvironment environmentFromJson(const Json& json, ObjectReader& plan) {
    PlanEnvironment environment;
    if (json.is_null() || (json.is_object() && json.empty())) return environment;
    ObjectReader reader(json, plan.pathOf("environment"));
    environment.name = reader.string("name");
    environment.kind = reader.string("kind");
    environment.hash = reader.string("hash");
    if (!environment.hash.empty() && (environment.hash.size() != 64 ||
                                      environment.hash.find_first_not_of("0123456789abcdef") != std::string::npos)) {
        reader.fail("plan.environment", "hash", "hash is no SHA-256 in lower-case hexadecimal digits.");
    }
    readFiles(reader, environment);
    readSteps(reader, environment);
    if (environment.hash.empty() && !(environment.files.empty() && environment.steps.empty())) {
        reader.fail("plan.environment", "hash", "An environment that is built needs a hash.");
    }
    environment.wrap = reader.strings("wrap");
    checkArguments(reader, "wrap", environment.wrap);
    environment.interpreter = reader.string("interpreter");
    if (hasZero(environment.interpreter))
        reader.fail("plan.environment", "interpreter", "interpreter has a zero byte in it.");
    environment.pathPrefix = reader.strings("path_prefix");
    for (const std::string& folder : environment.pathPrefix) {
        if (!leadsSomewhere(folder) || hasZero(folder)) {
            reader.fail("plan.environment", "path_prefix", "\"" + folder + "\" is no absolute path.");
        }
    }
    environment.variables = variablesIn(reader);
    readSecrets(reader, environment);
    environment.facts = reader.strings("facts");
    checkArguments(reader, "facts", environment.facts);
    environment.needBytes = reader.integer("need_bytes", 0);
    if (environment.needBytes < 0 || environment.needBytes > kMostBytes) {
        reader.fail("plan.environment", "need_bytes", "need_bytes is no number of bytes that a disk could have.");
    }
    plan.merge(reader);
    return environment;
}

}  // namespace trainyard::wire
