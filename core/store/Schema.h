#pragma once
// Room-internal: the tables, their versions, and how an older file becomes a newer one.
#include <SQLiteCpp/SQLiteCpp.h>

#include <span>
#include <string>

#include "core/store/Types.h"

namespace trainyard::store {

/// "TYRD"; tells our files from other SQLite databases.
inline constexpr int kApplicationId = 0x54595244;

/// Migration N (counted from 1) makes version N out of version N − 1. Never edited after a release.
[[nodiscard]] std::span<const char* const> migrations();
[[nodiscard]] inline int schemaVersion() { return static_cast<int>(migrations().size()); }

/// Makes or upgrades the tables in one transaction; before an upgrade a copy is kept as <file>.v<N>.backup.
/// Returns true when there is nothing in it: it was made just now, or the upgrade has emptied it. "store.foreign",
/// "store.newer". Throws SQLite::Exception.
[[nodiscard]] Result<bool> prepareForWriting(SQLite::Database& db, const Path& file,
                                             std::span<const char* const> steps = migrations());
/// "store.foreign", "store.newer", "store.outdated". Throws SQLite::Exception.
[[nodiscard]] Status checkForReading(SQLite::Database& db, const Path& file);

/// Empties every table but the counters, whose numbers were given away for good. Throws SQLite::Exception.
void clearTables(SQLite::Database& db);

/// Every table with every row, ordered by its key, as text: what the golden test of a rebuild compares.
[[nodiscard]] std::string dumpTables(SQLite::Database& db);
/// The schema as SQLite keeps it, sorted by name.
[[nodiscard]] std::string dumpSchema(SQLite::Database& db);

}  // namespace trainyard::store
