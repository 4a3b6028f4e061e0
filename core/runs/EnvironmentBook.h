#pragma once
// A workspace's environments: environments/<name>/<version>.json, and the curated ones that come with the program. A
// version is written once; the highest counts where none is named. Older ones stay: runs were made with them.
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/Result.h"
#include "core/environments/EnvironmentPlan.h"
#include "core/environments/TargetFacts.h"
#include "core/spec/EnvironmentSpec.h"
#include "core/spec/RunSpec.h"
#include "core/wire/Layout.h"

namespace trainyard::runs {

struct EnvironmentDefinition {
    spec::EnvironmentSpec spec;
    int version = 0;
    std::vector<int> versions;  ///< All that there are, rising.
    bool curated = false;
    std::int64_t writtenAt = 0;  ///< Microseconds UTC; 0 for a curated one.

    [[nodiscard]] std::string pinned() const { return spec.name + ":" + std::to_string(version); }
};

/// The newest version of each, curated ones first, then by name. Those that cannot be read are named in `problems`.
[[nodiscard]] std::vector<EnvironmentDefinition> readEnvironments(const wire::WorkspaceLayout& layout,
                                                                  std::vector<base::Error>* problems = nullptr);
/// By "name" or "name:3". Errors: "environment.unknown", "environment.damaged", "spec.name".
[[nodiscard]] base::Result<EnvironmentDefinition> readEnvironment(const wire::WorkspaceLayout& layout,
                                                                  const std::string& name);
/// Writes the next version and answers with it. "environment.reserved" for a curated name; spec.* and environment.* of
/// what is
/// wrong with the definition; two that write at once get two numbers.
[[nodiscard]] base::Result<int> writeEnvironment(const wire::WorkspaceLayout& layout,
                                                 const spec::EnvironmentSpec& spec);
/// Removes every version; the caller has seen to it that no run is going to need it. Numbers are not given again: kept
/// runs name
/// what they used by its number.
[[nodiscard]] base::Status removeEnvironment(const wire::WorkspaceLayout& layout, const std::string& name);

/// What a run of this specification would use, and whether it may: training needs an engine ("environment.not_engine").
[[nodiscard]] base::Result<EnvironmentDefinition> environmentOf(const wire::WorkspaceLayout& layout,
                                                                const spec::RunSpec& spec);
/// What the doctor found last on a target of this workspace.
[[nodiscard]] environments::TargetFacts targetFacts(const wire::WorkspaceLayout& layout, const std::string& target);

}  // namespace trainyard::runs
