#pragma once
#include <string_view>
#include <vector>

#include "core/wire/EngineStatus.h"

namespace trainyard::app {

namespace exit_status = wire::engine_status;

/// Carries out one command line (without the program's name). Never throws.
[[nodiscard]] int runEngine(const std::vector<std::string_view>& arguments);

}  // namespace trainyard::app
