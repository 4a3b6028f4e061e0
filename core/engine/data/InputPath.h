#pragma once
#include <string>

#include "core/engine/Guard.h"

namespace trainyard::engine {

/// A path that begins with $TRAINYARD_INPUT_<NAME>, alone or before a '/', with that variable's value in its place; any
/// other path as it is. Only this prefix is ever taken from the environment. "env.input" when the variable is not set.
[[nodiscard]] Result<std::string> expandInputPath(const std::string& path, const std::string& field);

}  // namespace trainyard::engine
