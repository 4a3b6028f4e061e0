#pragma once
// Drawn pictures of flowers, and data sets of them, for the made-up workspace. Nobody took them.
#include <string>

#include "core/base/Result.h"
#include "core/wire/Layout.h"

namespace trainyard::commands {

/// A PNG file, `side` by `side` pixels in RGB. The same numbers give the same bytes.
[[nodiscard]] std::string drawFlower(int kind, unsigned variant, int side);

/// One data set in two versions, and one of which much is wrong. `now`: microseconds UTC.
[[nodiscard]] base::Status addShowcaseDatasets(const wire::WorkspaceLayout& layout, std::int64_t now);

}  // namespace trainyard::commands
