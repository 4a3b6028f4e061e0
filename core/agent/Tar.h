#pragma once
// Unpacks the one kind of archive that the agent gets: tar (ustar, GNU long names, pax paths), plain or as zstd.
#include <cstdint>
#include <functional>

#include "core/base/Files.h"
#include "core/base/Result.h"

namespace trainyard::agent {

/// Into an empty folder of ours. Files become 0600 or 0700. Links are taken when they stay inside the folder; every
/// other kind of entry is refused, as are paths that lead out ("tar.path"). `progress(files)` may return false
/// ("canceled"). Errors: "tar.damaged", "tar.kind", "tar.path", "tar.unavailable" (compressed, and
/// the build had no libzstd), file.*.
[[nodiscard]] base::Status unpackTar(const base::Path& archive, const base::Path& folder,
                                     const std::function<bool(std::int64_t)>& progress);

}  // namespace trainyard::agent
