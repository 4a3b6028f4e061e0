#pragma once
// The streams of a run whose nodes live on several hosts. Inside this room only.
#include <memory>
#include <vector>

#include "core/targets/SshTarget.h"

namespace trainyard::targets {

[[nodiscard]] OperationPtr followOverSsh(std::shared_ptr<SshTarget::Shared> shared, const RunId& run,
                                         std::vector<StreamPosition> from, std::function<void(StreamChunk)> onChunk,
                                         std::function<void(base::Error)> onError);

}  // namespace trainyard::targets
