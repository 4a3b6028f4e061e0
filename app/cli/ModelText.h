#pragma once
#include <optional>
#include <string>

#include "core/base/Json.h"

namespace trainyard::cli {

/// The result of a model.* action as text; nullopt for an action that has no text of its own.
[[nodiscard]] std::optional<std::string> describeModel(const std::string& action, const base::Json& result);

}  // namespace trainyard::cli
