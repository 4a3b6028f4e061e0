#pragma once
// Room-internal: the filter line of the list of runs as a condition in SQL. Values are always bound, never spelled.
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/store/Types.h"

namespace trainyard::store {

using SqlValue = std::variant<std::int64_t, double, std::string>;

struct SqlCondition {
    std::string sql;  ///< "1" for an empty filter; speaks of the table `runs`.
    std::vector<SqlValue> values;
};

/// `now`: microseconds UTC, for ages and running durations. "store.filter", field "filter".
[[nodiscard]] Result<SqlCondition> parseFilter(std::string_view text, std::int64_t now);

}  // namespace trainyard::store
