#pragma once
// Members of answers and saved states, read without exceptions: a member that is missing or of another type gives the
// fallback.
#include <QString>
#include <cstdint>
#include <string_view>

#include "core/base/Json.h"

namespace trainyard::ui {

[[nodiscard]] inline const base::Json* member(const base::Json& object, std::string_view key) {
    if (!object.is_object()) return nullptr;
    const auto found = object.find(key);
    return found == object.end() ? nullptr : &*found;
}

[[nodiscard]] inline std::string readText(const base::Json& object, std::string_view key, std::string fallback = {}) {
    const base::Json* found = member(object, key);
    return found && found->is_string() ? found->get<std::string>() : fallback;
}

[[nodiscard]] inline QString readString(const base::Json& object, std::string_view key) {
    return QString::fromStdString(readText(object, key));
}

[[nodiscard]] inline std::int64_t readInteger(const base::Json& object, std::string_view key,
                                              std::int64_t fallback = 0) {
    const base::Json* found = member(object, key);
    return found && found->is_number_integer() ? found->get<std::int64_t>() : fallback;
}

[[nodiscard]] inline double readNumber(const base::Json& object, std::string_view key, double fallback = 0) {
    const base::Json* found = member(object, key);
    return found && found->is_number() ? found->get<double>() : fallback;
}

[[nodiscard]] inline bool readFlag(const base::Json& object, std::string_view key, bool fallback = false) {
    const base::Json* found = member(object, key);
    return found && found->is_boolean() ? found->get<bool>() : fallback;
}

/// An empty array when it is none.
[[nodiscard]] inline base::Json readArray(const base::Json& object, std::string_view key) {
    const base::Json* found = member(object, key);
    return found && found->is_array() ? *found : base::Json::array();
}

/// An empty object when it is none.
[[nodiscard]] inline base::Json readObject(const base::Json& object, std::string_view key) {
    const base::Json* found = member(object, key);
    return found && found->is_object() ? *found : base::Json::object();
}

}  // namespace trainyard::ui
