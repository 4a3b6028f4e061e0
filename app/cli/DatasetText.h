#pragma once
// Data sets as people see them.
#include <optional>
#include <string>

#include "core/base/Json.h"

namespace trainyard::cli {

/// As describe(), for dataset.*; nothing for other actions.
[[nodiscard]] std::optional<std::string> describeDataset(const std::string& action, const base::Json& result);

}  // namespace trainyard::cli
