#pragma once
#include "core/base/Json.h"
#include "core/engine/Guard.h"
#include "core/engine/export/Verbs.h"

namespace trainyard::engine {

/// "dataset": looks at every sample of the request's {"dataset": a specification's task.dataset, "threads"} with the
/// trainer's own decoder. What training would refuse (a class without pictures, one class alone, too many unreadable
/// files) is counted here and no error. The result stands in resources/docs/protocol/engine.md. At most 1 GiB of pixels
/// and one file a thread are in memory. Errors: "data.folder"; of IDX files those of loadTrainingSet and
/// loadValidationSet.
[[nodiscard]] Result<base::Json> runDatasetVerb(const base::Json& request, const VerbProgress& progress);

}  // namespace trainyard::engine
