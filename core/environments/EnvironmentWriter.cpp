#include "core/environments/EnvironmentWriter.h"

#include "core/base/Json.h"
#include "core/spec/EnvironmentText.h"

namespace trainyard::environments {

using base::Json;
using spec::EnvironmentKind;
using spec::EnvironmentSpec;

namespace {

/// JSON's quotes are YAML's: no text is taken for a number, a date or a truth value.
std::string quoted(const std::string& text) { return base::dumpJson(Json(text)); }

std::string listed(const std::vector<std::string>& items, const char* indent) {
    std::string out;
    for (const std::string& item : items) {
        out += std::string(indent) + "- " + quoted(item) + "\n";
    }
    return out;
}

}  // namespace

std::string requirementLines(const std::vector<std::string>& requirements) {
    std::string out;
    for (const std::string& line : requirements) {
        out += spec::requirementWithoutComment(line) + "\n";
    }
    return out;
}

std::string requirementsText(const EnvironmentSpec& spec) {
    std::string out;
    if (spec.kind == EnvironmentKind::Venv) {
        const auto& venv = spec.venv;
        out += venv.indexUrl.empty() ? "" : "--index-url " + venv.indexUrl + "\n";
        for (const std::string& url : venv.extraIndexUrls) {
            out += "--extra-index-url " + url + "\n";
        }
        for (const std::string& place : venv.findLinks) {
            out += "--find-links " + place + "\n";
        }
        out += venv.wheelFolder.empty() ? "" : "--no-index\n--find-links " + venv.wheelFolder + "\n";
        out += venv.constraints.empty() ? "" : "--constraint constraints.txt\n";
    }
    return out +
           requirementLines(spec.kind == EnvironmentKind::Venv ? spec.venv.requirements : spec.container.requirements);
}

std::string condaYaml(const EnvironmentSpec& spec) {
    const auto& conda = spec.conda;
    std::string out = "name: " + quoted(spec.name) + "\n";
    if (!conda.channels.empty()) {
        out += "channels:\n" + listed(conda.channels, "  ");
    }
    out += "dependencies:\n" + listed(conda.dependencies, "  ");
    if (!conda.pip.empty()) {
        std::vector<std::string> lines;
        for (const std::string& line : conda.pip) {
            lines.push_back(spec::requirementWithoutComment(line));
        }
        out += "  - pip:\n" + listed(lines, "      ");
    }
    return out;
}

std::string containerfileText(const EnvironmentSpec& spec) {
    const auto& container = spec.container;
    if (container.source != "image") {
        return container.containerfile.ends_with('\n') ? container.containerfile : container.containerfile + "\n";
    }
    std::string out = "FROM " + container.image + "\n";
    if (!container.requirements.empty()) {
        out += "COPY requirements.txt /tmp/trainyard-requirements.txt\nRUN " + container.python +
               " -m pip install --no-cache-dir --disable-pip-version-check --no-input --progress-bar off --requirement "
               "/tmp/trainyard-requirements.txt\n";
    }
    return out;
}

std::vector<std::pair<std::string, std::string>> definitionFiles(const EnvironmentSpec& spec) {
    std::vector<std::pair<std::string, std::string>> files{
        {spec.name + ".json", base::dumpJsonPretty(spec::toJson(spec))}};
    switch (spec.kind) {
    case EnvironmentKind::Conda: files.emplace_back("environment.yml", condaYaml(spec)); break;
    case EnvironmentKind::Venv:
        files.emplace_back("requirements.txt", requirementsText(spec));
        if (!spec.venv.constraints.empty()) {
            files.emplace_back("constraints.txt", requirementLines(spec.venv.constraints));
        }
        break;
    case EnvironmentKind::Container:
        files.emplace_back("Containerfile", containerfileText(spec));
        if (spec.container.source == "image" && !spec.container.requirements.empty()) {
            files.emplace_back("requirements.txt", requirementLines(spec.container.requirements));
        }
        break;
    case EnvironmentKind::Setup: files.emplace_back("setup.sh", spec.setup.script); break;
    default: break;
    }
    return files;
}

}  // namespace trainyard::environments
