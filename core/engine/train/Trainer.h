#pragma once
#include <cstdint>
#include <memory>
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
/// "train.peer" (another rank is gone or silent; names it), "file.*" and "engine.disk" (writing failed), "engine.memory",
/// "engine.device", "engine.backend", "resume.*".
[[nodiscard]] Result<TrainSummary> train(const TrainRequest& request, const RankContext& context, Reporter& reporter);

/// Steps timed one by one and the memory they took; what `check` answers.
struct StepProbe {
    std::int64_t parameters = 0;
    std::int64_t stepsPerEpoch = 0;
    std::int64_t totalSteps = 0;
    double firstStepSeconds = 0;
    double stepSeconds = 0;        ///< Median of the steps after the first.
    double validationSeconds = 0;  ///< For the whole validation set, from one batch.
    std::int64_t checkpointBytes = 0;
    std::string device;
    std::int64_t threads = 0;
};
/// Runs `steps` real steps of one rank's share on the chosen device and throws the model away.
[[nodiscard]] Result<StepProbe> probeSteps(const TrainRequest& request, int steps);

}  // namespace trainyard::engine
