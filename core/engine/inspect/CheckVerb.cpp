#include "core/engine/inspect/CheckVerb.h"

#include <algorithm>

#include "core/engine/Runtime.h"
#include "core/engine/train/Trainer.h"

namespace trainyard::engine {

Result<base::Json> runCheckVerb(const base::Json& request) {
    base::ObjectReader reader(request, "");
    reader.require("spec");
    const base::Json document = reader.object("spec");
    const auto steps = static_cast<int>(std::clamp<std::int64_t>(reader.integer("steps", 3), 2, 100));
    TRAINYARD_TRY(reader.status(/*rejectUnknown=*/false));
    auto train = trainRequestFromJson(document);
    if (!train) {
        return train.error();
    }
    auto probe = probeSteps(*train, steps);
    if (!probe) {
        return probe.error();
    }
    const spec::RunSpec& spec = train->spec;
    const auto processes = std::max<std::int64_t>(1, spec.distribution.processes);
    const double epoch = probe->stepSeconds * static_cast<double>(probe->stepsPerEpoch) + probe->validationSeconds;
    // last.ckpt and best.ckpt, and for the moment of writing a third; model.pt, model.safetensors and weights.pth
    // hold the weights alone.
    const std::int64_t weights = probe->parameters * 4;
    constexpr std::int64_t kSmallFiles = 1 << 20;
    return base::Json{{"device", probe->device},
                      {"threads", probe->threads},
                      {"processes", processes},
                      {"parameters", probe->parameters},
                      {"steps_per_epoch", probe->stepsPerEpoch},
                      {"total_steps", probe->totalSteps},
                      {"first_step_seconds", probe->firstStepSeconds},
                      {"step_seconds", probe->stepSeconds},
                      {"epoch_seconds", epoch},
                      {"total_seconds", epoch * static_cast<double>(spec.train.epochs)},
                      {"peak_memory_bytes", peakResidentBytes() * processes},
                      {"disk_bytes", probe->checkpointBytes * 3 + weights * 3 + kSmallFiles}};
}

}  // namespace trainyard::engine
