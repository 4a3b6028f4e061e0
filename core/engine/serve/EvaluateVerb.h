#pragma once
#include "core/base/Json.h"
#include "core/engine/Guard.h"
#include "core/engine/export/Verbs.h"

namespace trainyard::engine {

/// Request {"model", "card"?, "dataset": a RunSpec's task.dataset, "split"?: "validation" ("training", "all"),
/// "mistakes"?: 48, "batch_size"?, "device"?, "threads"?}; only the files of the split are read. Classes of an image
/// folder are the model's of the same name. Result {"samples", "loss", "accuracy", "top5", "classes": [{"label",
/// "name", "samples", "correct", "predicted", "precision", "recall", "f1"}] (null where nothing is divided by),
/// "confusion": [[…]] (rows are true labels), "mistakes":
/// [{"file", "index", "label", "name", "predicted", "predicted_name", "probability", "true_probability", "pixels"?}]
/// (least probable truth first; "pixels" {width, height, channels, data: base64} of IDX samples), "bad": [{"file",
/// "why"}], "bad_count", "seconds"}. "top5" is null with five classes or fewer. Errors: those of ServedModel::open and
/// of the data; "evaluate.shape" (images do not fit the model), "evaluate.classes" (a class the model does not know),
/// "evaluate.split", "evaluate.empty" (nothing could be read).
[[nodiscard]] Result<base::Json> runEvaluateVerb(const base::Json& request, const VerbProgress& progress);

}  // namespace trainyard::engine
