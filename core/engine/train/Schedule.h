#pragma once
#include <cstdint>

#include "core/spec/RunSpec.h"

namespace trainyard::engine {

/// Learning rate of optimizer step `step` (from 0) out of `totalSteps`. Stateless, so a resumed run needs nothing.
/// "one_cycle" is torch.optim.lr_scheduler.OneCycleLR (Smith & Topin 2018; cosine, div_factor 25, final_div_factor 1e4,
/// momentum untouched) in the same order of operations; "cosine" goes per step to minimumFactor × base (Loshchilov &
/// Hutter 2017, one cycle).
[[nodiscard]] double learningRateAt(const spec::ScheduleSpec& schedule, double base, std::int64_t step,
                                    std::int64_t totalSteps, std::int64_t stepsPerEpoch);

}  // namespace trainyard::engine
