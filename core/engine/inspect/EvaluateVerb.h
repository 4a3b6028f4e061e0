#pragma once
#include "core/base/Json.h"
#include "core/engine/Guard.h"

namespace trainyard::engine {

/// Request {"model": path of model.pt, "dataset": a RunSpec's task.dataset, "batch_size"?: 256, "threads"?: 0}; only the
/// validation files of the dataset are read. Normalisation comes from the model's card.
/// Result {"samples", "loss", "accuracy", "classes": [{"label","name","samples","correct"}], "confusion": [[…]], "seconds"}.
/// Errors: "evaluate.request", "evaluate.shape" (images do not fit the model), those of data and model.
[[nodiscard]] Result<base::Json> runEvaluateVerb(const base::Json& request);

}  // namespace trainyard::engine
