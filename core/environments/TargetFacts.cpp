#include "core/environments/TargetFacts.h"

#include <algorithm>

namespace trainyard::environments {

using base::Json;
using base::ObjectReader;

namespace {

std::vector<std::string> namesIn(const Json& list) {
    std::vector<std::string> names;
    for (const Json& item : list) {
        ObjectReader one(item, "");
        names.push_back(one.string("name"));
    }
    return names;
}

/// In the order of `order`; others are left out.
std::vector<std::string> ordered(const std::vector<std::string>& found, const std::vector<std::string>& order) {
    std::vector<std::string> out;
    for (const std::string& one : order) {
        if (std::ranges::find(found, one) != found.end()) {
            out.push_back(one);
        }
    }
    return out;
}

/// A failure or a warning that says nothing of what is there means that it is not there.
Known presence(const std::string& finding, bool found) {
    return found ? Known::Yes : finding == "unknown" ? Known::Unknown : Known::No;
}

void take(HostFacts& host, const Json& json) {
    ObjectReader line(json, "");
    const std::string id = line.string("id");
    const std::string finding = line.string("finding");
    const std::string text = line.string("text");
    ObjectReader values(line.object("values"), "");
    if (id == "python") {
        host.pythonPath = values.string("path");
        host.pythonText = text;
        host.python = presence(finding, !host.pythonPath.empty());
        host.pythons = values.strings("pythons");
    } else if (id == "torch") {
        host.torchText = text;
        host.torch = presence(finding, !values.string("version").empty());
    } else if (id == "containers") {
        host.containerEngines =
            ordered(namesIn(values.array("engines")), {"podman", "docker", "apptainer", "singularity"});
        host.engines = presence(finding, !host.containerEngines.empty());
        host.enginesText = text;
        host.enginesRemedy = line.string("remedy");
    } else if (id == "conda") {
        host.condaTools = ordered(namesIn(values.array("tools")), {"micromamba", "mamba", "conda"});
        host.conda = presence(finding, !host.condaTools.empty());
    } else if (id == "gpus") {
        host.gpus = presence(finding, values.integer("gpus") > 0);
    } else if (id == "disk") {
        host.freeBytes = values.integer("free_bytes", -1);
    }
}

}  // namespace

TargetFacts factsOf(const std::string& target, const std::string& python, const Json& doctor) {
    TargetFacts facts;
    facts.target = target;
    facts.python = python.empty() ? facts.python : python;
    if (!doctor.is_object()) {
        return facts;
    }
    ObjectReader reader(doctor, "");
    for (const Json& json : reader.array("lines")) {
        if (!json.is_object()) {
            continue;
        }
        ObjectReader line(json, "");
        const std::string name = line.string("host");
        const auto found = std::ranges::find(facts.hosts, name, &HostFacts::host);
        HostFacts& host = found != facts.hosts.end() ? *found : facts.hosts.emplace_back();
        host.host = name;
        take(host, json);
        facts.examined = true;
    }
    return facts;
}

}  // namespace trainyard::environments
