#pragma once
// Variables whose values are read on this machine, when they are needed, and are written nowhere.
#include <string>
#include <utility>
#include <vector>

#include "core/base/Result.h"
#include "core/wire/Plan.h"

namespace trainyard::agent {

/// Name and value of each. Errors: "environment.secret", naming the variable and where its value should have been.
[[nodiscard]] base::Result<std::vector<std::pair<std::string, std::string>>>
readSecrets(const wire::PlanEnvironment& environment);

}  // namespace trainyard::agent
