#include "core/engine/train/Schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace trainyard::engine {

namespace {

double annealCosine(double start, double end, double share) {
    const double cosine = std::cos(std::numbers::pi * share) + 1.0;
    return end + (start - end) / 2.0 * cosine;
}

double oneCycle(double base, double warmup, std::int64_t step, std::int64_t totalSteps) {
    constexpr double kInitialDivisor = 25.0;
    constexpr double kFinalDivisor = 1e4;
    const double initial = base / kInitialDivisor;
    const double peakAt = warmup * static_cast<double>(totalSteps) - 1.0;
    const double endAt = static_cast<double>(totalSteps) - 1.0;
    const auto at = static_cast<double>(step);
    if (at <= peakAt) {
        return annealCosine(initial, base, peakAt > 0 ? at / peakAt : 1.0);
    }
    const double length = endAt - peakAt;
    return annealCosine(base, initial / kFinalDivisor, length > 0 ? (at - peakAt) / length : 1.0);
}

}  // namespace

double learningRateAt(const spec::ScheduleSpec& schedule, double base, std::int64_t step, std::int64_t totalSteps,
                      std::int64_t stepsPerEpoch) {
    const std::int64_t warmup = schedule.kind == "one_cycle" ? 0 : schedule.warmupEpochs * stepsPerEpoch;
    if (step < warmup) {
        return base * static_cast<double>(step + 1) / static_cast<double>(warmup + 1);
    }
    if (schedule.kind == "one_cycle") {
        return oneCycle(base, schedule.warmupFraction, step, totalSteps);
    }
    if (schedule.kind == "cosine") {
        const double share =
            static_cast<double>(step - warmup) / static_cast<double>(std::max<std::int64_t>(totalSteps - warmup, 1));
        return annealCosine(base, base * schedule.minimumFactor, share);
    }
    if (schedule.kind == "step") {
        const std::int64_t epoch = step / std::max<std::int64_t>(stepsPerEpoch, 1);
        return base *
               std::pow(schedule.gamma, static_cast<double>(epoch / std::max<std::int64_t>(schedule.stepEpochs, 1)));
    }
    if (schedule.kind == "multi_step") {
        const std::int64_t epoch = step / std::max<std::int64_t>(stepsPerEpoch, 1);
        const auto passed =
            std::ranges::count_if(schedule.milestones, [epoch](std::int64_t at) { return epoch >= at; });
        return base * std::pow(schedule.gamma, static_cast<double>(passed));
    }
    return base;
}

}  // namespace trainyard::engine
