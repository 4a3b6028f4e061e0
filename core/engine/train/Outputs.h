#pragma once
#include <string>

#include "core/engine/train/Session.h"

namespace trainyard::engine {

/// What a training leaves in `folder` beside its checkpoints: model.pt, model.safetensors, weights.pth,
/// samples.safetensors and the card model.json. Errors: "file.*", "engine.disk".
[[nodiscard]] Status writeOutputs(Session& session, const TrainingState& state, const std::string& runId,
                                  const base::Path& folder);

}  // namespace trainyard::engine
