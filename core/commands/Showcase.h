#pragma once
// A workspace of made-up runs, written as files the way the workspace's side and an agent write them, so that pictures
// and tests of the window have something real to read. Nothing trains here; the values are drawn from formulas.
#include <vector>

#include "core/base/Files.h"
#include "core/base/Ids.h"
#include "core/base/Result.h"
#include "core/wire/Layout.h"

namespace trainyard::commands {

struct ShowcaseOptions {
    int completed = 9;
    bool active = true;    ///< One running, one queued, one preparing run.
    bool troubled = true;  ///< A failed, a canceled, a lost run and one with a very long name.
    int stepsPerRun = 1876;
    int logLines = 400;
    /// Models with an export, compute targets with a run each, environments and data sets as well.
    bool furnished = false;
    base::Path
        trained{};  ///< What trainShowcaseModel() left: becomes the model "garden-flowers-cnn", which can be tried.
    std::int64_t now = 0;  ///< Microseconds UTC that the newest record has; 0: the present.
};

/// What was made. The locks keep every session from following the active runs, whose target does not exist; they must
/// live as long as the workspace is shown.
struct Showcase {
    std::vector<base::RunId> runs;
    std::vector<base::FileLock> locks;
};

/// Fills an initialised workspace (its folders exist, its index need not). The same options give the same values.
[[nodiscard]] base::Result<Showcase> makeShowcase(const wire::WorkspaceLayout& layout,
                                                  const ShowcaseOptions& options = {});

}  // namespace trainyard::commands
