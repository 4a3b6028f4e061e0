#pragma once
// Environments as people see them.
#include <optional>
#include <string>

#include "core/base/Json.h"

namespace trainyard::cli {

/// As describe(), for environment.*; nothing for other actions.
[[nodiscard]] std::optional<std::string> describeEnvironment(const std::string& action, const base::Json& result);
/// "warning  gpu1  There is no … Install …": what a check found, a line each; empty for none.
[[nodiscard]] std::string findingsText(const base::Json& findings);

}  // namespace trainyard::cli
