#pragma once
// Typed reading of a document that a list of fields describes; for the specs' own files alone.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/spec/Field.h"

namespace trainyard::spec {

[[nodiscard]] inline Json textMap(const std::vector<std::pair<std::string, std::string>>& pairs) {
    Json out = Json::object();
    for (const auto& [name, value] : pairs) {
        out[name] = value;
    }
    return out;
}

/// Reads typed members of a complete document. What does not apply may hold anything, so a value of the wrong type
/// leaves the default.
class Reading {
public:
    Reading(const Json& document, const std::vector<Field>& fields) : m_document(document), m_fields(fields) {}

    void get(std::string_view path, std::string& out) const {
        if (const Json* value = valueAt(m_document, path); value != nullptr && value->is_string()) {
            out = value->get<std::string>();
        }
    }
    void get(std::string_view path, bool& out) const {
        if (const Json* value = valueAt(m_document, path); value != nullptr && value->is_boolean()) {
            out = value->get<bool>();
        }
    }
    void get(std::string_view path, double& out) const {
        if (const Json* value = valueAt(m_document, path); value != nullptr && value->is_number()) {
            out = value->get<double>();
        }
    }
    void get(std::string_view path, std::int64_t& out) const {
        // 4.0 is a whole number too; the value has passed its range, so the cast is safe.
        const Json* value = valueAt(m_document, path);
        if (value != nullptr && value->is_number_integer()) {
            out = value->get<std::int64_t>();
        } else if (value != nullptr && value->is_number_float() && inRange(path, *value)) {
            out = static_cast<std::int64_t>(value->get<double>());
        }
    }
    void get(std::string_view path, std::vector<std::string>& out) const {
        if (const Json* value = valueAt(m_document, path); value != nullptr && value->is_array()) {
            for (const Json& item : *value) {
                if (item.is_string()) {
                    out.push_back(item.get<std::string>());
                }
            }
        }
    }
    void get(std::string_view path, std::vector<std::pair<std::string, std::string>>& out) const {
        if (const Json* value = valueAt(m_document, path); value != nullptr && value->is_object()) {
            for (const auto& [name, item] : value->items()) {
                out.emplace_back(name, item.is_string() ? item.get<std::string>() : base::dumpJson(item));
            }
        }
    }

private:
    [[nodiscard]] bool inRange(std::string_view path, const Json& value) const {
        return std::ranges::any_of(
            m_fields, [&](const Field& field) { return field.path == path && !checkValue(field, &value); });
    }

    const Json& m_document;
    const std::vector<Field>& m_fields;
};

/// Names that a shell, a container or a scheduler takes for an environment variable's too.
[[nodiscard]] bool isVariableName(std::string_view name);
/// "spec.variable" for a name that cannot be one or is set by Trainyard itself.
[[nodiscard]] std::vector<Error> checkVariables(const std::vector<std::pair<std::string, std::string>>& variables,
                                                const std::string& field);

/// [a-z0-9][a-z0-9._-]*, 64 at most.
[[nodiscard]] bool isTargetName(const std::string& name);

}  // namespace trainyard::spec
