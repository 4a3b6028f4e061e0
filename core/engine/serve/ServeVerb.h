#pragma once
#include "core/base/Json.h"
#include "core/engine/Guard.h"
#include "core/engine/export/Verbs.h"

namespace trainyard::engine {

/// "predict" or "preview" for as long as standard input is open. Request: as that of "predict" without files, and the
/// model is loaded once; or {"previews": true}, and data are read once. After the progress {"stage": "ready"} each line
/// of the input, a request with an "id", is answered by progress {"stage": "predictions" or "samples", "id", and the
/// result's or "error"}. Result {"served"}.
[[nodiscard]] Result<base::Json> runServeVerb(const base::Json& request, const VerbProgress& progress);

}  // namespace trainyard::engine
