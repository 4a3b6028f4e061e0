#pragma once
// Models, an export, compute targets and environments for the made-up workspace, beside its runs. As there, nothing was
// trained or examined; the values are invented.
#include <vector>

#include "core/base/Ids.h"
#include "core/base/Result.h"
#include "core/wire/Layout.h"

namespace trainyard::commands {

/// `runs` by number from 1; the models come from the first ones, which are finished. Times are microseconds UTC.
[[nodiscard]] base::Status addShowcaseModels(const wire::WorkspaceLayout& layout, const std::vector<base::RunId>& runs,
                                             std::int64_t now);
[[nodiscard]] base::Status addShowcaseTargets(const wire::WorkspaceLayout& layout, std::int64_t now);
[[nodiscard]] base::Status addShowcaseEnvironments(const wire::WorkspaceLayout& layout);

}  // namespace trainyard::commands
