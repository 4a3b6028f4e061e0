#pragma once
// What a definition lacks on a target, as far as that can be told before a run is launched.
#include <string>
#include <vector>

#include "core/base/Json.h"
#include "core/environments/TargetFacts.h"
#include "core/spec/EnvironmentSpec.h"

namespace trainyard::environments {

struct EnvironmentFinding {
    enum class Level { Failure, Warning, Unknown };
    Level level = Level::Failure;
    std::string code;   ///< "environment.no_engine", …
    std::string field;  ///< Of the definition.
    std::string host;   ///< Empty: the target as a whole.
    std::string message;
    std::string remedy;
};

/// Failures first. Nothing is asked of the target: what the doctor found last counts, and what it never looked at is
/// Unknown.
[[nodiscard]] std::vector<EnvironmentFinding> checkEnvironment(const spec::EnvironmentSpec& spec,
                                                               const TargetFacts& facts);
[[nodiscard]] base::Json toJson(const EnvironmentFinding& finding);

}  // namespace trainyard::environments
