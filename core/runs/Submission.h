#pragma once
// From a spec document to a run's folder in the workspace and to the two files that an agent is started on. Pure: no
// threads, no event loop, no index.
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Ids.h"
#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/spec/RunSpec.h"
#include "core/targets/ComputeTarget.h"
#include "core/wire/Layout.h"
#include "core/wire/Plan.h"

namespace trainyard::runs {

/// A run that is about to be made.
struct NewRun {
    base::RunId id;
    std::int64_t number = 0;
    std::string name;    ///< As given, or experiment and number.
    base::Json document; ///< What becomes spec.json: every field that applies, defaults filled in.
    spec::RunSpec spec;  ///< The same, typed.
    base::Path resumeCheckpoint;  ///< Empty, or the parent's checkpoint.
};

/// Validates a document for a local launch: the spec itself, and that its input files are there and can be read
/// ("spec.file_missing", "spec.file_denied", "spec.file_kind", with the field). The first error counts.
[[nodiscard]] base::Result<spec::RunSpec> checkForLaunch(const base::Json& document);

/// The newest checkpoint among a run's collected outputs; "run.no_checkpoint" when it has none.
[[nodiscard]] base::Result<base::Path> checkpointOf(const wire::WorkspaceLayout& layout, const base::RunId& run);

/// Makes runs/<id> with spec.json and a journal that says it was submitted; it appears whole or not at all. The returned
/// lock is the right to follow it.
[[nodiscard]] base::Result<base::FileLock> makeRunFolder(const wire::WorkspaceLayout& layout, const NewRun& run);

/// plan.json and spec.json for the target, as (name, bytes).
[[nodiscard]] std::vector<std::pair<std::string, std::string>> targetFiles(const NewRun& run,
                                                                           const targets::Programs& programs,
                                                                           const std::string& workFolder);
/// Cores that this process may use, at least 1.
[[nodiscard]] int usableCores();

/// Removes what submissions and deletions that were cut off have left in trash/. Slow for big runs: for a pool thread.
void sweepTrash(const wire::WorkspaceLayout& layout);

}  // namespace trainyard::runs
