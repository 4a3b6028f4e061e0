#include "core/spec/TargetSpec.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <tuple>

#include "core/spec/Reading.h"

namespace trainyard::spec {

using base::ObjectReader;
using base::Status;

namespace {

// Hosts are a list of objects, which no field describes: checked here.
const std::vector<std::string> kTargetFreePaths = {"format", "version", "hosts"};

TargetKind kindOf(const std::string& name) {
    return name == "local" ? TargetKind::Local : name == "slurm" ? TargetKind::Slurm : TargetKind::Ssh;
}

bool isInterface(const std::string& text) {
    const auto fits = [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_' || c == ':';
    };
    return text.size() <= 15 && std::ranges::all_of(text, fits) && !text.starts_with('-');
}

bool isAddress(const std::string& text) {
    if (text.empty()) {
        return true;
    }
    in6_addr bytes{};
    if (::inet_pton(AF_INET, text.c_str(), &bytes) == 1) {
        return true;
    }
    const std::size_t scope = text.find('%');
    const bool plain = scope == std::string::npos || isInterface(text.substr(scope + 1));
    return plain && ::inet_pton(AF_INET6, text.substr(0, scope).c_str(), &bytes) == 1;
}

/// Each host is an object, or its destination alone.
std::vector<HostSpec> hostsOf(const Json& document, std::vector<Error>& errors) {
    std::vector<HostSpec> hosts;
    const Json* list = valueAt(document, "hosts");
    if (list == nullptr || list->is_null()) {
        return hosts;
    }
    if (!list->is_array()) {
        errors.push_back({"spec.type", "Hosts must be a list.", "hosts"});
        return hosts;
    }
    for (std::size_t i = 0; i < list->size(); ++i) {
        const Json& item = (*list)[i];
        const std::string field = "hosts." + std::to_string(i);
        HostSpec host;
        if (item.is_string()) {
            host.destination = item.get<std::string>();
        } else {
            ObjectReader reader(item, field);
            host.destination = reader.string("destination");
            host.port = reader.integer("port");
            host.address = reader.string("address");
            host.interface = reader.string("interface");
            for (Error& error : reader.errors()) {
                errors.push_back({"spec.type", error.message, field});
            }
        }
        if (const Status named = checkDestination(host.destination, field); !named.ok()) {
            errors.push_back(named.error());
        }
        if (host.port < 0 || host.port > 65535) {
            errors.push_back({"spec.range", "A port is from 1 to 65535; 0 leaves it to the ssh configuration.", field});
        }
        if (!isAddress(host.address)) {
            errors.push_back({"spec.address", "The address for the other nodes must be numeric.", field});
        }
        if (!isInterface(host.interface)) {
            errors.push_back(
                {"spec.interface", "\"" + host.interface + "\" is no name of a network interface.", field});
        }
        hosts.push_back(std::move(host));
    }
    return hosts;
}

/// A word of sbatch: no blanks, quotes or control characters, no option.
bool isSlurmWord(const std::string& word) {
    const auto fits = [](unsigned char c) {
        return c > 0x20 && c < 0x7f && c != '"' && c != '\'' && c != '\\' && c != '`' && c != '$';
    };
    return word.empty() || (word.front() != '-' && std::ranges::all_of(word, fits));
}

/// Why a line cannot follow #SBATCH, or nullptr.
const char* wrongWithLine(const std::string& line) {
    // Trainyard writes these itself; another value would take the run out of its hands.
    static constexpr std::array kOwn = {"--wrap",      "--array", "--job-name", "--output",          "--error",
                                        "--input",     "--chdir", "--export",   "--requeue",         "--no-requeue",
                                        "--open-mode", "--nodes", "--ntasks",   "--ntasks-per-node", "--signal",
                                        "--parsable",  "--wait",  "--clusters"};
    if (!line.starts_with('-')) {
        return "An extra line is an option of sbatch and begins with '-'.";
    }
    if (std::ranges::any_of(line, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; })) {
        return "An extra line is one line, without control characters.";
    }
    const std::string option = line.substr(0, line.find_first_of("= "));
    if (std::ranges::find(kOwn, option) != kOwn.end()) {
        return "One of the extra lines is an option that Trainyard sets itself.";
    }
    return nullptr;
}

/// Rules that look at several members, and forms that a field's type does not say.
void crossChecks(const TargetSpec& spec, std::vector<Error>& errors) {
    if (!isTargetName(spec.name)) {
        errors.push_back(
            {"spec.name",
             "A target's name has small letters, digits, '.', '-' and '_', and begins with a letter or digit.",
             "name"});
    } else if ((spec.name == "local") != (spec.kind == TargetKind::Local)) {
        errors.push_back({"spec.name", "The name local is this machine's, and this machine has no other.", "name"});
    }
    for (const auto& [path, value, home] :
         {std::tuple<const char*, const std::string&, bool>{"work_folder", spec.workFolder, true},
          {"slots_folder", spec.slotsFolder, false},
          {"torch", spec.torch, true}}) {
        const bool fits = value.empty() || value.starts_with('/') || (home && value.starts_with("~/"));
        if (!fits) {
            errors.push_back(
                {"spec.path",
                 home ? "A path there must be absolute, or begin with ~/." : "A path there must be absolute.", path});
        }
    }
    if (spec.engine != "auto" && spec.engine != "bundle" && spec.engine != "built" && !spec.engine.starts_with('/')) {
        errors.push_back({"spec.choice", "The engine is auto, bundle, built, or an absolute path there.", "engine"});
    }
    if (spec.python.starts_with('-') || spec.python.empty()) {
        errors.push_back({"spec.path", "Python is the name or path of a program there.", "python"});
    }
    for (Error& error : checkVariables(spec.variables, "variables")) {
        errors.push_back(std::move(error));
    }
    std::set<std::pair<std::string, std::int64_t>> places;
    for (const HostSpec& host : spec.hosts) {
        if (!places.emplace(host.destination, host.port).second) {
            errors.push_back({"spec.host", "The host " + host.destination + " is named twice.", "hosts"});
            break;
        }
    }
    if (spec.kind == TargetKind::Ssh && spec.hosts.empty()) {
        errors.push_back({"spec.required", "An SSH target needs a host.", "hosts"});
    }
    if (spec.kind != TargetKind::Slurm) {
        return;
    }
    if (!spec.slurm.login.empty()) {
        if (const Status named = checkDestination(spec.slurm.login, "slurm.login"); !named.ok()) {
            errors.push_back(named.error());
        }
    }
    if (spec.slurm.minNodes > spec.slurm.maxNodes) {
        errors.push_back({"spec.range", "The fewest nodes are more than the most.", "slurm.min_nodes"});
    }
    for (const auto& [path, value] :
         {std::pair<const char*, const std::string&>{"slurm.partition", spec.slurm.partition},
          {"slurm.account", spec.slurm.account},
          {"slurm.qos", spec.slurm.qos},
          {"slurm.constraint", spec.slurm.constraint},
          {"slurm.gpu_type", spec.slurm.gpuType},
          {"slurm.low_priority_partition", spec.slurm.lowPriorityPartition},
          {"slurm.low_priority_qos", spec.slurm.lowPriorityQos}}) {
        if (!isSlurmWord(value)) {
            errors.push_back({"spec.word", "This is one word, without blanks and quotes.", path});
        }
    }
    for (const std::string& line : spec.slurm.extraLines) {
        if (const char* wrong = wrongWithLine(line); wrong != nullptr) {
            errors.push_back({"spec.line", wrong, "slurm.extra_lines"});
            break;
        }
    }
}

TargetSpec readTarget(const Json& document, std::vector<Error>& errors) {
    const Json complete = withDefaults(targetSpecFields(), document);
    const Reading in(complete, targetSpecFields());
    TargetSpec spec;
    std::string kind;
    in.get("name", spec.name);
    in.get("kind", kind);
    spec.kind = kindOf(kind);
    in.get("description", spec.description);
    in.get("disabled", spec.disabled);
    in.get("work_folder", spec.workFolder);
    in.get("slots_folder", spec.slotsFolder);
    in.get("cores", spec.cores);
    in.get("max_gpus", spec.maxGpus);
    in.get("shared", spec.shared);
    spec.hosts = hostsOf(complete, errors);
    in.get("slurm.login", spec.slurm.login);
    in.get("slurm.login_port", spec.slurm.loginPort);
    in.get("slurm.partition", spec.slurm.partition);
    in.get("slurm.account", spec.slurm.account);
    in.get("slurm.qos", spec.slurm.qos);
    in.get("slurm.constraint", spec.slurm.constraint);
    in.get("slurm.min_nodes", spec.slurm.minNodes);
    in.get("slurm.max_nodes", spec.slurm.maxNodes);
    in.get("slurm.gpu_type", spec.slurm.gpuType);
    in.get("slurm.low_priority", spec.slurm.lowPriority);
    in.get("slurm.low_priority_partition", spec.slurm.lowPriorityPartition);
    in.get("slurm.low_priority_qos", spec.slurm.lowPriorityQos);
    in.get("slurm.time_limit_minutes", spec.slurm.timeLimitMinutes);
    in.get("slurm.signal_seconds", spec.slurm.signalSeconds);
    in.get("slurm.requeue_at_limit", spec.slurm.requeueAtLimit);
    in.get("slurm.launcher", spec.slurm.launcher);
    in.get("slurm.extra_lines", spec.slurm.extraLines);
    in.get("engine", spec.engine);
    in.get("torch", spec.torch);
    in.get("python", spec.python);
    in.get("data_cache_gib", spec.dataCacheGiB);
    in.get("fetch_here", spec.fetchHere);
    in.get("retention", spec.retention);
    in.get("retention_days", spec.retentionDays);
    in.get("connect_seconds", spec.connectSeconds);
    in.get("alive_seconds", spec.aliveSeconds);
    in.get("variables", spec.variables);
    return spec;
}

}  // namespace

const char* targetKindName(TargetKind kind) {
    switch (kind) {
    case TargetKind::Local: return "local";
    case TargetKind::Ssh: return "ssh";
    case TargetKind::Slurm: return "slurm";
    }
    return "";
}

std::vector<Error> validateTargetSpec(const Json& document) {
    if (const Status format = base::checkFormat(document, kTargetSpecFormat, kTargetSpecVersion); !format.ok()) {
        return {format.error()};
    }
    std::vector<Error> errors = checkDocument(targetSpecFields(), document, kTargetFreePaths);
    std::vector<Error> more;
    const TargetSpec spec = readTarget(document, more);
    crossChecks(spec, more);
    for (Error& error : more) {
        if (std::ranges::none_of(errors, [&](const Error& known) { return known.field == error.field; })) {
            errors.push_back(std::move(error));
        }
    }
    return errors;
}

Result<TargetSpec> targetSpecFromJson(const Json& document) {
    if (const std::vector<Error> errors = validateTargetSpec(document); !errors.empty()) {
        return errors.front();
    }
    std::vector<Error> none;
    return readTarget(document, none);
}

Json toJson(const TargetSpec& spec) {
    Json document{{"format", kTargetSpecFormat},
                  {"version", kTargetSpecVersion},
                  {"name", spec.name},
                  {"kind", targetKindName(spec.kind)},
                  {"description", spec.description},
                  {"disabled", spec.disabled},
                  {"cores", spec.cores},
                  {"max_gpus", spec.maxGpus},
                  {"work_folder", spec.workFolder},
                  {"slots_folder", spec.slotsFolder},
                  {"engine", spec.engine},
                  {"torch", spec.torch},
                  {"python", spec.python},
                  {"variables", textMap(spec.variables)},
                  {"data_cache_gib", spec.dataCacheGiB},
                  {"retention", spec.retention}};
    if (spec.retention == "days") {
        document["retention_days"] = spec.retentionDays;
    }
    if (spec.kind != TargetKind::Local) {
        document["fetch_here"] = spec.fetchHere;
        document["connect_seconds"] = spec.connectSeconds;
        document["alive_seconds"] = spec.aliveSeconds;
    }
    if (spec.kind == TargetKind::Ssh) {
        Json hosts = Json::array();
        for (const HostSpec& host : spec.hosts) {
            hosts.push_back({{"destination", host.destination},
                             {"port", host.port},
                             {"address", host.address},
                             {"interface", host.interface}});
        }
        document["hosts"] = std::move(hosts);
        document["shared"] = spec.shared;
    }
    if (spec.kind == TargetKind::Slurm) {
        const SlurmSpec& slurm = spec.slurm;
        document["slurm"] = Json{{"login", slurm.login},
                                 {"login_port", slurm.loginPort},
                                 {"partition", slurm.partition},
                                 {"account", slurm.account},
                                 {"qos", slurm.qos},
                                 {"constraint", slurm.constraint},
                                 {"min_nodes", slurm.minNodes},
                                 {"max_nodes", slurm.maxNodes},
                                 {"gpu_type", slurm.gpuType},
                                 {"low_priority", slurm.lowPriority},
                                 {"time_limit_minutes", slurm.timeLimitMinutes},
                                 {"signal_seconds", slurm.signalSeconds},
                                 {"requeue_at_limit", slurm.requeueAtLimit},
                                 {"launcher", slurm.launcher},
                                 {"extra_lines", slurm.extraLines}};
        if (slurm.lowPriority) {
            document["slurm"]["low_priority_partition"] = slurm.lowPriorityPartition;
            document["slurm"]["low_priority_qos"] = slurm.lowPriorityQos;
        }
    }
    return document;
}

Json targetSpecJsonSchema() {
    Json schema = jsonSchema(targetSpecFields(), "Trainyard compute target", "trainyard.compute-target");
    schema["properties"]["hosts"] = Json{{"type", "array"},
                                         {"items",
                                          {{"type", Json::array({"string", "object"})},
                                           {"properties",
                                            {{"destination", {{"type", "string"}}},
                                             {"port", {{"type", "integer"}}},
                                             {"address", {{"type", "string"}}},
                                             {"interface", {{"type", "string"}}}}}}}};
    return schema;
}

Status checkDestination(const std::string& destination, const std::string& field) {
    const auto refuse = [&](const char* why) { return Error{"spec.destination", why, field}; };
    if (destination.empty()) {
        return refuse("A host has no name.");
    }
    if (destination.front() == '-') {
        return refuse("A host's name cannot begin with '-': ssh would take it for an option.");
    }
    if (destination.size() > 512) {
        return refuse("A host's name is too long.");
    }
    // Through a ProxyCommand of the user's configuration, ssh hands these on to a shell.
    constexpr std::string_view kShell = "\"'`\\$;&|<>(){}[]!*?#~";
    const bool bracketed = destination.find('[') != std::string::npos;
    for (const char c : destination) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte <= 0x20 || byte >= 0x7f) {
            return refuse("A host's name has a blank, a control character or a letter beyond ASCII in it.");
        }
        if (kShell.find(c) != std::string_view::npos) {
            return refuse(bracketed && (c == '[' || c == ']')
                              ? "Write an IPv6 address without brackets; the port has a field of its own."
                              : "A host's name has a quote or another sign in it that a shell would take up.");
        }
    }
    if (destination.find("@-") != std::string::npos || destination.starts_with('@') || destination.ends_with('@')) {
        return refuse("Write user@host.");
    }
    return {};
}

}  // namespace trainyard::spec
