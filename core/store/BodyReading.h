#pragma once
// Room-internal: members of a record's body, which came from outside: what has the wrong type counts as absent.
#include <optional>
#include <string>

#include "core/base/Json.h"

namespace trainyard::store {

[[nodiscard]] inline std::string textAt(const base::Json& body, const char* name) {
    if (!body.is_object()) return {};
    const auto found = body.find(name);
    return found != body.end() && found->is_string() ? found->get<std::string>() : std::string();
}

[[nodiscard]] inline std::optional<std::int64_t> optionalIntegerAt(const base::Json& body, const char* name) {
    if (!body.is_object()) return std::nullopt;
    const auto found = body.find(name);
    if (found == body.end() || !found->is_number_integer()) return std::nullopt;
    return found->get<std::int64_t>();
}

[[nodiscard]] inline std::int64_t integerAt(const base::Json& body, const char* name, std::int64_t fallback = 0) {
    return optionalIntegerAt(body, name).value_or(fallback);
}

[[nodiscard]] inline double numberAt(const base::Json& body, const char* name) {
    if (!body.is_object()) return 0;
    const auto found = body.find(name);
    return found == body.end() ? 0 : base::jsonToNumber(*found).value_or(0);
}

[[nodiscard]] inline bool truthAt(const base::Json& body, const char* name) {
    if (!body.is_object()) return false;
    const auto found = body.find(name);
    return found != body.end() && found->is_boolean() && found->get<bool>();
}

}  // namespace trainyard::store
