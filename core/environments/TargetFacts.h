#pragma once
// What the doctor found on a target, as far as environments are concerned.
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/Json.h"

namespace trainyard::environments {

/// A probe's answer: found, not found, or not known (never asked, or it could not look).
enum class Known { Unknown, No, Yes };

struct HostFacts {
    std::string host;  ///< Empty: the target as a whole, or its only machine.
    Known python = Known::Unknown;
    std::string pythonPath;
    std::string pythonText;            ///< As the doctor said it.
    std::vector<std::string> pythons;  ///< All in its PATH, with their folders; none where the doctor did not look.
    Known torch = Known::Unknown;
    std::string torchText;
    Known engines = Known::Unknown;
    std::vector<std::string> containerEngines;  ///< Those that work, best first.
    std::string enginesText;
    std::string enginesRemedy;
    Known conda = Known::Unknown;
    std::vector<std::string> condaTools;  ///< micromamba, mamba, conda
    Known gpus = Known::Unknown;
    std::int64_t freeBytes = -1;  ///< Of the work folder's disk; -1: not known.
};

struct TargetFacts {
    std::string target;
    std::string python = "python3";  ///< The target's own, by its definition.
    bool examined = false;
    std::vector<HostFacts> hosts;
};

/// From what was kept of the doctor's last visit ({"t","lines"}, or null) and the interpreter of the target's
/// definition.
[[nodiscard]] TargetFacts factsOf(const std::string& target, const std::string& python, const base::Json& doctor);

}  // namespace trainyard::environments
