#pragma once
#include <torch/script.h>

#include "core/base/Files.h"

namespace trainyard::engine {

/// Opens a TorchScript file on the CPU and puts it into eval mode. Throws ExportFailure "file.…" or "export.model".
[[nodiscard]] torch::jit::Module loadScript(const base::Path& path);

}  // namespace trainyard::engine
