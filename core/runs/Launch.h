#pragma once
// From a run's specification to what its target gets: the plan, the files beside it, the source, the data.
#include <cstdint>
#include <functional>

#include "core/base/Result.h"
#include "core/runs/Submission.h"
#include "core/spec/TargetSpec.h"
#include "core/targets/Target.h"
#include "core/wire/Layout.h"

namespace trainyard::runs {

/// Told how many bytes were read; false: stop ("canceled").
using LaunchReport = std::function<bool(std::int64_t)>;

/// Reads (and the first time makes) the run's snapshot, hashes its data. For a pool thread: may read all of both.
/// Calling it again for the same run gives the same plan, as long as the data are the same.
[[nodiscard]] base::Result<targets::LaunchPlan> makeLaunch(const wire::WorkspaceLayout& layout, const NewRun& run,
                                                           const spec::TargetSpec& target, const LaunchReport& report);

}  // namespace trainyard::runs
