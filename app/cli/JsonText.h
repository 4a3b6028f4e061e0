#pragma once
// Reading results for people: members that are missing are empty, control characters never reach a terminal.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/Json.h"

namespace trainyard::cli {

[[nodiscard]] std::string textOf(const base::Json& object, const char* key);
[[nodiscard]] std::int64_t integerOf(const base::Json& object, const char* key);
[[nodiscard]] std::optional<double> numberOf(const base::Json& object, const char* key);
/// The member, or null.
[[nodiscard]] const base::Json& memberOf(const base::Json& object, const char* key);
/// The last (or lowest, or highest) value of a metric among a "metrics" member; empty when there is none.
[[nodiscard]] std::string metricOf(const base::Json& object, const std::string& name, const char* which = "last");
/// "name=value, name"
[[nodiscard]] std::string tagsOf(const base::Json& tags);
/// "2026-11-23 07:14:13" of an ISO time.
[[nodiscard]] std::string shortTime(const std::string& iso);

/// Cut to so many columns.
[[nodiscard]] std::string clipText(const std::string& text, std::size_t columns);
/// Columns of their natural width, two blanks apart; `right` says which are aligned to the right.
[[nodiscard]] std::string tableText(const std::vector<std::vector<std::string>>& rows, const std::vector<bool>& right);

}  // namespace trainyard::cli
