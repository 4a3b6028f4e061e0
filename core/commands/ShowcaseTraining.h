#pragma once
// The one model of the made-up workspace that is real: trained by the engine on drawn flowers, so that it can be tried.
#include "core/base/Files.h"
#include "core/base/Result.h"
#include "core/wire/Layout.h"

namespace trainyard::commands {

/// Draws flowers into `folder`/flowers (train/ and val/, a folder a class) and trains a small network on them with the
/// engine beside this program; its files lie in `folder`/outputs then. Some seconds, one minute at most. Blocks.
/// Errors: "engine.missing", "engine.failed", those of writing files.
[[nodiscard]] base::Status trainShowcaseModel(const base::Path& folder);

/// Registers what trainShowcaseModel() left in `folder` as "garden-flowers-cnn". Blocks.
[[nodiscard]] base::Status addTrainedModel(const wire::WorkspaceLayout& layout, const base::Path& folder);

}  // namespace trainyard::commands
