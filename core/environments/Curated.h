#pragma once
// The environments that come with the program: resources/curated/environments, built in, read-only.
#include <string>
#include <vector>

#include "core/base/Result.h"
#include "core/spec/EnvironmentSpec.h"

namespace trainyard::environments {

/// What a run gets that names none.
inline constexpr const char* kDefaultEnvironment = "trainyard-engine";

struct Curated {
    spec::EnvironmentSpec spec;
    int version = 1;
};

/// Every version of all of them, by name and version. Read once, on first use; safe from any thread.
[[nodiscard]] const std::vector<Curated>& curatedEnvironments();
/// Version 0: the newest. nullptr for none.
[[nodiscard]] const Curated* findCurated(const std::string& name, int version);
[[nodiscard]] bool hasCuratedName(const std::string& name);

}  // namespace trainyard::environments
