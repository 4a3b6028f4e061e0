#include "core/runs/TargetBook.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "core/base/Files.h"
#include "core/base/VersionFiles.h"

namespace trainyard::runs {

using base::Error;
using base::Json;
using base::Result;
using base::Status;

namespace {

constexpr const char* kLocal = "local";

/// Versions of a definition, 0 without one.
int newestVersion(const wire::WorkspaceLayout& layout, const std::string& name) {
    return base::pickVersion(base::versionsIn(layout.targets() / name), 0);
}

/// No name leads out of the folder of definitions.
bool isName(const std::string& name) {
    return !name.empty() && name.find('/') == std::string::npos && name.front() != '.';
}

}  // namespace

Result<TargetDefinition> readTarget(const wire::WorkspaceLayout& layout, const std::string& name) {
    TargetDefinition found;
    found.version = isName(name) ? newestVersion(layout, name) : 0;
    if (found.version == 0) {
        if (name != kLocal) {
            return Error{"target.unknown", "There is no target \"" + name + "\" in this workspace.", "target"};
        }
        found.spec.name = kLocal;
        found.spec.kind = spec::TargetKind::Local;
    } else {
        auto spec = base::readVersion(layout.target(name, found.version), "target", name, spec::targetSpecFromJson);
        if (!spec.ok()) {
            return spec.error();
        }
        found.spec = std::move(*spec);
    }
    if (const auto text = base::readFile(layout.targetDoctor(name)); text.ok()) {
        if (auto json = base::parseJson(*text); json.ok()) {
            found.doctor = std::move(*json);
        }
    }
    return found;
}

std::vector<TargetDefinition> readTargets(const wire::WorkspaceLayout& layout, std::vector<Error>* problems) {
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(layout.targets(), error)) {
        const std::string name = entry.path().filename().string();
        if (name != kLocal && newestVersion(layout, name) > 0) {
            names.push_back(name);
        }
    }
    std::sort(names.begin(), names.end());
    names.insert(names.begin(), kLocal);
    std::vector<TargetDefinition> all;
    for (const std::string& name : names) {
        base::keepRead(readTarget(layout, name), all, problems);
    }
    return all;
}

Result<int> writeTarget(const wire::WorkspaceLayout& layout, const spec::TargetSpec& spec) {
    const Json document = spec::toJson(spec);
    if (const std::vector<Error> errors = spec::validateTargetSpec(document); !errors.empty()) {
        return errors.front();
    }
    return base::addVersion(layout.targets() / spec.name, document);
}

Status removeTarget(const wire::WorkspaceLayout& layout, const std::string& name) {
    if (!isName(name) || newestVersion(layout, name) == 0) {
        return Error{"target.unknown", "There is no target \"" + name + "\" in this workspace.", "target"};
    }
    return base::removeTree(layout.targets() / name);
}

Status writeTargetDoctor(const wire::WorkspaceLayout& layout, const std::string& name, const Json& found) {
    const base::Path file = layout.targetDoctor(name);
    TRAINYARD_TRY(base::makeDirs(file.parent_path()));
    return base::writeFileAtomically(file, base::dumpJsonPretty(found));
}

}  // namespace trainyard::runs
