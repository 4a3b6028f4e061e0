#pragma once
#include "core/base/Json.h"
#include "core/engine/Guard.h"

namespace trainyard::engine {

/// Request {"spec": a RunSpec document of a train task, "steps"?: 3}. Runs real steps of one rank's share on the chosen
/// device. Result {"device", "threads", "processes", "parameters", "steps_per_epoch", "total_steps", "first_step_seconds",
/// "step_seconds", "epoch_seconds", "total_seconds", "peak_memory_bytes" (all processes of this machine together),
/// "disk_bytes" (checkpoints and model files)}. Seconds are estimates from the steps; several processes on one machine
/// are reckoned as slow as one alone, without the exchange.
[[nodiscard]] Result<base::Json> runCheckVerb(const base::Json& request);

}  // namespace trainyard::engine
