#pragma once
#include <cstdint>
#include <string>

#include "core/base/Json.h"
#include "core/engine/Guard.h"
#include "core/engine/distributed/RankContext.h"
#include "core/engine/train/Reporter.h"
#include "core/spec/RunSpec.h"

namespace trainyard::engine {

/// What `trainyard-engine train --spec FILE` reads: a RunSpec document and, beside it, "resolved".
struct TrainRequest {
    spec::RunSpec spec;
    base::Path resumeCheckpoint;  ///< Empty: from the start.
    std::int64_t threads = 0;     ///< Over the spec's; 0 leaves it to the spec.
};
/// "format.*", "spec.*" and "resolved.*" errors.
[[nodiscard]] Result<TrainRequest> trainRequestFromJson(base::Json document);

struct TrainSummary {
    bool stopped = false;  ///< Ended early by SIGTERM, with a checkpoint.
    std::int64_t steps = 0;
    double seconds = 0;
    double valLoss = 0;
    double valAccuracy = 0;
    double bestAccuracy = 0;
};

/// Trains one rank's part of a run from start to end, in the calling thread. Outputs go to `context.outputs`.
/// Errors: those of the data ("idx.*", "data.*"), "train.nan" (the loss is no finite number any more; names the step),
/// "train.peer" (another rank is gone or silent; names it), "file.*" and "engine.disk" (writing failed),
/// "engine.memory", "engine.device", "engine.backend", "resume.*".
[[nodiscard]] Result<TrainSummary> train(const TrainRequest& request, const RankContext& context, Reporter& reporter);

}  // namespace trainyard::engine
