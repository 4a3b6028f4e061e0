#pragma once
#include "core/base/Json.h"
#include "core/engine/Guard.h"
#include "core/engine/export/Verbs.h"

namespace trainyard::engine {

/// Pre-flight. Request {"spec": a RunSpec document of a train task}. Runs the run's own steps, validation and saving in
/// as many processes as this machine would have ranks, first with few samples, then, where that fits into memory, with
/// the run's own batch. What they took is the estimate. Result as in resources/docs/protocol/engine.md. Exchange with
/// other machines is not in it. Errors are those of a run that could not begin; memory that does not suffice is a
/// result with "fits": false.
[[nodiscard]] Result<base::Json> runCheckVerb(const base::Json& request, const VerbProgress& progress);

}  // namespace trainyard::engine
