#pragma once
#include "core/base/Json.h"
#include "core/engine/Guard.h"
#include "core/engine/export/Verbs.h"

namespace trainyard::engine {

class ServedModel;

/// Request {"model", "card"?, "files": [paths of pictures, or of folders of them], "top"?: 5, "device"?, "threads"?}.
/// Result
/// {"predictions": [{"file", "top": [{"label", "index", "probability"}], "seconds"}], "failed", "device",
/// "load_seconds"}; a file that cannot be read has "error" {code, message} in the place of "top". Seconds are those of
/// reading, decoding and the model together. Errors: those of ServedModel::open, "predict.files" (none given, a folder
/// without pictures, too many).
[[nodiscard]] Result<base::Json> runPredictVerb(const base::Json& request, const VerbProgress& progress);

/// The same of a model that is open: {"files", "top"?} → {"predictions", "failed", "device"}.
[[nodiscard]] Result<base::Json> predictWith(ServedModel& model, const base::Json& request,
                                             const VerbProgress& progress);

}  // namespace trainyard::engine
