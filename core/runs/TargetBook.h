#pragma once
// The definitions of a workspace's compute targets: targets/<name>/<version>.json, the highest version counts. Older
// ones stay: runs were made with them.
#include <string>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/spec/TargetSpec.h"
#include "core/wire/Layout.h"

namespace trainyard::runs {

struct TargetDefinition {
    spec::TargetSpec spec;
    int version = 0;    ///< 0: "local" without a definition.
    base::Json doctor;  ///< What the doctor found last: {"t", "lines"}; null when it was never asked.
};

/// By name, "local" first, which is always there. Definitions that cannot be read are left out and named in `problems`.
[[nodiscard]] std::vector<TargetDefinition> readTargets(const wire::WorkspaceLayout& layout,
                                                        std::vector<base::Error>* problems = nullptr);
/// "target.unknown"; "target.damaged" when its newest definition cannot be read.
[[nodiscard]] base::Result<TargetDefinition> readTarget(const wire::WorkspaceLayout& layout, const std::string& name);
/// Writes the next version and answers with its number; two that write at once get two. Errors: spec.* (checked first),
/// file.*.
[[nodiscard]] base::Result<int> writeTarget(const wire::WorkspaceLayout& layout, const spec::TargetSpec& spec);
/// Removes every version; the caller has seen to it that no run needs it. "target.unknown".
[[nodiscard]] base::Status removeTarget(const wire::WorkspaceLayout& layout, const std::string& name);
[[nodiscard]] base::Status writeTargetDoctor(const wire::WorkspaceLayout& layout, const std::string& name,
                                             const base::Json& found);

}  // namespace trainyard::runs
