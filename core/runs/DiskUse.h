#pragma once
#include <cstdint>

#include "core/base/Files.h"

namespace trainyard::runs {

/// Bytes that removing the folder would free: files with another hard link elsewhere do not count. Follows no links;
/// what cannot be read counts as nothing.
[[nodiscard]] std::int64_t diskUse(const base::Path& folder);

}  // namespace trainyard::runs
