#pragma once
// Room-internal: rows of runs. Everything throws SQLite::Exception or CorruptIndex.
#include "core/store/Connection.h"

namespace trainyard::store {

[[nodiscard]] Result<RunPage> listRunPage(Connection& connection, const RunQuery& query);
[[nodiscard]] Result<std::int64_t> countMatchingRuns(Connection& connection, const RunQuery& query);
/// "store.run_unknown", "store.run_ambiguous"
[[nodiscard]] Result<std::int64_t> findRunNumber(Connection& connection, std::string_view text);
[[nodiscard]] Result<RunRow> loadRun(Connection& connection, std::int64_t number, bool withMetrics);
[[nodiscard]] base::Error unknownRun(std::string_view text);

}  // namespace trainyard::store
