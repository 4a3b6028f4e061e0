#include "core/runs/EnvironmentBook.h"

#include <sys/stat.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/base/VersionFiles.h"
#include "core/environments/Curated.h"
#include "core/runs/TargetBook.h"

namespace trainyard::runs {

using base::Error;
using base::Json;
using base::Path;
using base::Result;
using base::Status;

namespace {

std::vector<int> versionsOf(const wire::WorkspaceLayout& layout, const std::string& name) {
    return base::versionsIn(layout.environments() / name);
}

EnvironmentDefinition definitionOf(const environments::Curated& curated) {
    EnvironmentDefinition definition;
    definition.spec = curated.spec;
    definition.version = curated.version;
    definition.curated = true;
    for (const environments::Curated& one : environments::curatedEnvironments()) {
        if (one.spec.name == curated.spec.name) {
            definition.versions.push_back(one.version);
        }
    }
    return definition;
}

Error unknown(const std::string& name) {
    return {"environment.unknown", "There is no environment \"" + name + "\" in this workspace.", "environment"};
}

Result<EnvironmentDefinition> readVersion(const wire::WorkspaceLayout& layout, const std::string& name, int version,
                                          std::vector<int> versions) {
    const Path file = layout.environmentVersion(name, version);
    auto spec = base::readVersion(file, "environment", name, spec::environmentSpecFromJson);
    if (!spec.ok()) {
        return spec.error();
    }
    EnvironmentDefinition found;
    found.spec = std::move(*spec);
    found.version = version;
    found.versions = std::move(versions);
    struct stat info {};
    if (::stat(file.c_str(), &info) == 0) {
        found.writtenAt = std::int64_t{info.st_mtim.tv_sec} * 1'000'000 + info.st_mtim.tv_nsec / 1000;
    }
    return found;
}

}  // namespace

std::vector<EnvironmentDefinition> readEnvironments(const wire::WorkspaceLayout& layout, std::vector<Error>* problems) {
    std::vector<EnvironmentDefinition> all;
    for (const environments::Curated& one : environments::curatedEnvironments()) {
        if (environments::findCurated(one.spec.name, 0) == &one) {
            all.push_back(definitionOf(one));
        }
    }
    // The default comes first: it is what most runs use.
    std::stable_sort(all.begin(), all.end(), [](const EnvironmentDefinition& a, const EnvironmentDefinition& b) {
        return (a.spec.name == environments::kDefaultEnvironment) > (b.spec.name == environments::kDefaultEnvironment);
    });
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(layout.environments(), error)) {
        const std::string name = entry.path().filename().string();
        if (!environments::hasCuratedName(name) && spec::parseEnvironmentName(name).ok()) {
            names.push_back(name);
        }
    }
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
        if (const std::vector<int> versions = versionsOf(layout, name); !versions.empty()) {
            base::keepRead(readVersion(layout, name, versions.back(), versions), all, problems);
        }
    }
    return all;
}

Result<EnvironmentDefinition> readEnvironment(const wire::WorkspaceLayout& layout, const std::string& text) {
    const auto name = spec::parseEnvironmentName(text);
    if (!name.ok()) {
        return name.error();
    }
    if (environments::hasCuratedName(name->name)) {
        const environments::Curated* curated = environments::findCurated(name->name, name->version);
        return curated == nullptr ? Result<EnvironmentDefinition>(unknown(text)) : definitionOf(*curated);
    }
    std::vector<int> versions = versionsOf(layout, name->name);
    const int version = base::pickVersion(versions, name->version);
    if (version == 0) {
        return unknown(text);
    }
    return readVersion(layout, name->name, version, std::move(versions));
}

Result<int> writeEnvironment(const wire::WorkspaceLayout& layout, const spec::EnvironmentSpec& spec) {
    if (environments::hasCuratedName(spec.name)) {
        return Error{
            "environment.reserved",
            "Names that begin with " + std::string(spec::kCuratedPrefix) +
                " are those of the environments that come with Trainyard; clone one under another name to change it.",
            "name"};
    }
    const Json document = spec::toJson(spec);
    if (const std::vector<Error> errors = spec::validateEnvironmentSpec(document); !errors.empty()) {
        return errors.front();
    }
    return base::addVersion(layout.environments() / spec.name, document);
}

Status removeEnvironment(const wire::WorkspaceLayout& layout, const std::string& name) {
    if (environments::hasCuratedName(name)) {
        return Error{"environment.reserved", "The environments that come with Trainyard cannot be deleted.",
                     "environment"};
    }
    if (!spec::parseEnvironmentName(name).ok() || name.find(':') != std::string::npos) {
        return unknown(name);
    }
    const std::vector<int> versions = versionsOf(layout, name);
    if (versions.empty()) {
        return unknown(name);
    }
    // Kept runs name what they used as name:number, so a number never comes back for something else.
    return base::removeVersions(layout.environments() / name, versions);
}

Result<EnvironmentDefinition> environmentOf(const wire::WorkspaceLayout& layout, const spec::RunSpec& spec) {
    auto found = readEnvironment(layout, spec.environment);
    if (found.ok() && spec.taskKind == spec::TaskKind::Train && found->spec.kind != spec::EnvironmentKind::Engine) {
        return Error{
            "environment.not_engine",
            "Training with Trainyard's engine uses its own environments, trainyard-engine or trainyard-engine-cuda; " +
                spec.environment + " is for scripts and commands.",
            "environment"};
    }
    return found;
}

environments::TargetFacts targetFacts(const wire::WorkspaceLayout& layout, const std::string& target) {
    const auto found = readTarget(layout, target);
    return found.ok() ? environments::factsOf(target, found->spec.python, found->doctor)
                      : environments::factsOf(target, {}, {});
}

}  // namespace trainyard::runs
