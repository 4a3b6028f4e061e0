#pragma once
// What a rank settles before it trains; the same for a run and for its trial.
#include <c10/core/Device.h>

#include <cstdint>
#include <string>

#include "core/engine/Runtime.h"
#include "core/engine/train/Session.h"

namespace trainyard::engine {

/// "gloo" or "nccl": the spec's, or NCCL where ranks have GPUs and this build has it.
[[nodiscard]] std::string backendOf(const spec::RunSpec& spec, at::Device device);

/// Sets this process's threads, as many as are worth their waiting for each other, and returns their number. What the
/// spec asks for is taken as it is. `world`: ranks that share a batch.
std::int64_t settleThreads(const ThreadPlan& plan, bool asked, const spec::TrainTask& task, const LoadedData& data,
                           int world);

}  // namespace trainyard::engine
