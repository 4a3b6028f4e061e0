#pragma once
#include <vector>

#include "core/base/Files.h"
#include "core/engine/Guard.h"
#include "core/engine/distributed/ProcessGroup.h"

namespace trainyard::engine {

/// Gives every rank the file that rank 0 takes: the first of rank 0's `candidates` that exists. A rank that sees the
/// same bytes at one of its own candidates uses them there; to the others rank 0 sends them, and they write `copy`.
/// Empty when rank 0 has none. Collective; rank 0 holds the file in memory where it is sent. Errors: file.* of rank 0's
/// file, "train.peer", "resume.missing" (rank 0 could not read it; on the other ranks).
[[nodiscard]] Result<base::Path> shareFile(ProcessGroup& group, const std::vector<base::Path>& candidates,
                                           const base::Path& copy);

}  // namespace trainyard::engine
