#pragma once
// Targets and a run's source as people see them.
#include <optional>
#include <string>

#include "core/base/Json.h"

namespace trainyard::cli {

/// As describe(), for target.* and what concerns a run's source; nothing for other actions.
[[nodiscard]] std::optional<std::string> describeTarget(const std::string& action, const base::Json& result);
/// One line of the doctor: "warning  gpu1  Clock: 3 s ahead. Set …"
[[nodiscard]] std::string doctorText(const base::Json& line);
/// What the run ended with, as a shell would say it: a rank's exit code, 128 + its signal; nothing when no rank says.
[[nodiscard]] std::optional<int> exitCodeOfRun(const base::Json& run);

}  // namespace trainyard::cli
