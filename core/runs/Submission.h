#pragma once
// From a spec document to a run's folder in the workspace. Pure: no threads, no event loop.
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Ids.h"
#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/spec/RunSpec.h"
#include "core/spec/TargetSpec.h"
#include "core/store/Reader.h"
#include "core/wire/Layout.h"

namespace trainyard::runs {

/// A run that is about to be made.
struct NewRun {
    base::RunId id;
    std::int64_t number = 0;
    std::string name;             ///< As given, or experiment and number.
    base::Json document;          ///< What becomes spec.json: every field that applies, defaults filled in.
    spec::RunSpec spec;           ///< The same, typed.
    base::RunId snapshotFrom;     ///< Set: the run's source is the snapshot of that run, whatever the folder holds now.
    base::RunId reproduces;       ///< Set: the run that this one repeats.
    base::Path resumeCheckpoint;  ///< Empty, or the parent's checkpoint; of a command task the folder of its outputs.
};

/// Validates a document for a local launch: the spec itself, and that its input files are there and can be read
/// ("spec.file_missing", "spec.file_denied", "spec.file_kind", with the field). The first error counts. `sourceIsKept`:
/// the source is a snapshot that is here already, so its folder may be gone.
[[nodiscard]] base::Result<spec::RunSpec> checkForLaunch(const base::Json& document, bool sourceIsKept = false);

/// Whether a target takes such a run at all: "target.disabled", "spec.nodes", with the field.
[[nodiscard]] base::Status checkTarget(const spec::RunSpec& spec, const spec::TargetSpec& target);

/// What a run of this kind goes on from: the newest checkpoint among a run's collected outputs, or for a command all of
/// them. "run.no_checkpoint" when there is none.
[[nodiscard]] base::Result<base::Path> checkpointOf(const wire::WorkspaceLayout& layout, const base::RunId& run,
                                                    spec::TaskKind kind = spec::TaskKind::Train);

/// Makes runs/<id> with spec.json and a journal that says it was submitted; it appears whole or not at all. The
/// returned lock is the right to follow it.
[[nodiscard]] base::Result<base::FileLock> makeRunFolder(const wire::WorkspaceLayout& layout, const NewRun& run);

/// The run as its folder and the index know it: for a launch that another process had begun.
[[nodiscard]] base::Result<NewRun> readRun(const wire::WorkspaceLayout& layout, const store::Reader& reader,
                                           const base::RunId& run);

/// Cores that this process may use, at least 1.
[[nodiscard]] int usableCores();

/// Removes what submissions and deletions that were cut off have left in trash/. Slow for big runs: for a pool thread.
void sweepTrash(const wire::WorkspaceLayout& layout);

}  // namespace trainyard::runs
