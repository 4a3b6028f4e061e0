#include "core/store/Schema.h"

#include <array>
#include <sqlite3.h>

#include "core/store/Connection.h"

namespace trainyard::store {
namespace {

using base::Error;

// `run` is the run's number everywhere. (attempt, node, seq) names a record; attempt 0 is the journal.
constexpr const char* kMigration1 = R"sql(
CREATE TABLE counters (
  name TEXT PRIMARY KEY, value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
  experiment TEXT NOT NULL, name TEXT NOT NULL COLLATE NOCASE, description TEXT NOT NULL,
  state TEXT NOT NULL, state_reason TEXT NOT NULL,
  created_at INTEGER NOT NULL, started_at INTEGER NOT NULL, ended_at INTEGER NOT NULL, attempts INTEGER NOT NULL,
  target TEXT NOT NULL, environment TEXT NOT NULL, processes INTEGER NOT NULL,
  task_kind TEXT NOT NULL, model_family TEXT NOT NULL, parent TEXT NOT NULL,
  notes TEXT NOT NULL, archived INTEGER NOT NULL, log_lines INTEGER NOT NULL, warnings INTEGER NOT NULL,
  progress TEXT, progress_at INTEGER NOT NULL, progress_attempt INTEGER NOT NULL, progress_rank INTEGER NOT NULL,
  search TEXT NOT NULL
) STRICT;
CREATE INDEX runs_by_state ON runs (state, archived);
CREATE INDEX runs_by_experiment ON runs (experiment, archived);

CREATE TABLE cursors (
  run INTEGER NOT NULL, attempt INTEGER NOT NULL, node INTEGER NOT NULL,
  segment INTEGER NOT NULL, offset INTEGER NOT NULL, seq INTEGER NOT NULL,
  PRIMARY KEY (run, attempt, node)
) STRICT, WITHOUT ROWID;

CREATE TABLE stages (
  run INTEGER NOT NULL, attempt INTEGER NOT NULL, node INTEGER NOT NULL, seq INTEGER NOT NULL,
  said_attempt INTEGER NOT NULL, at INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
  PRIMARY KEY (run, attempt, node, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempts (
  run INTEGER NOT NULL, attempt INTEGER NOT NULL, node INTEGER NOT NULL,
  started_at INTEGER NOT NULL, host TEXT NOT NULL, world_size INTEGER NOT NULL, nodes INTEGER NOT NULL,
  agent TEXT NOT NULL, ended_at INTEGER NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL,
  PRIMARY KEY (run, attempt, node)
) STRICT, WITHOUT ROWID;

CREATE TABLE ranks (
  run INTEGER NOT NULL, attempt INTEGER NOT NULL, rank INTEGER NOT NULL,
  node INTEGER NOT NULL, last_at INTEGER NOT NULL, log_lines INTEGER NOT NULL,
  exit_status INTEGER, signal INTEGER, reason TEXT NOT NULL,
  PRIMARY KEY (run, attempt, rank)
) STRICT, WITHOUT ROWID;

CREATE TABLE tags (
  run INTEGER NOT NULL, name TEXT NOT NULL, value TEXT,
  at INTEGER NOT NULL, attempt INTEGER NOT NULL, node INTEGER NOT NULL, seq INTEGER NOT NULL,
  PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_by_name ON tags (name, value);

CREATE TABLE params (
  run INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
  at INTEGER NOT NULL, attempt INTEGER NOT NULL, node INTEGER NOT NULL, seq INTEGER NOT NULL,
  PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE outputs (
  run INTEGER NOT NULL, path TEXT NOT NULL, attempt INTEGER NOT NULL, node INTEGER NOT NULL,
  collected INTEGER NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL,
  PRIMARY KEY (run, path, attempt, node, collected)
) STRICT, WITHOUT ROWID;

CREATE TABLE warnings (
  run INTEGER NOT NULL, attempt INTEGER NOT NULL, node INTEGER NOT NULL, seq INTEGER NOT NULL,
  at INTEGER NOT NULL, rank INTEGER NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (run, attempt, node, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE damaged (
  run INTEGER NOT NULL, attempt INTEGER NOT NULL, node INTEGER NOT NULL,
  segment INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL,
  PRIMARY KEY (run, attempt, node, segment, offset, code)
) STRICT, WITHOUT ROWID;

CREATE TABLE items (
  run INTEGER NOT NULL, attempt INTEGER NOT NULL, node INTEGER NOT NULL, seq INTEGER NOT NULL,
  kind TEXT NOT NULL, name TEXT NOT NULL, at INTEGER NOT NULL, step INTEGER NOT NULL, rank INTEGER NOT NULL,
  segment INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
  PRIMARY KEY (run, attempt, node, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE log_blocks (
  run INTEGER NOT NULL, attempt INTEGER NOT NULL, node INTEGER NOT NULL, ordinal INTEGER NOT NULL,
  first_line INTEGER NOT NULL, lines INTEGER NOT NULL,
  segment INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL, counts BLOB NOT NULL,
  PRIMARY KEY (run, attempt, node, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE series (
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL, kind INTEGER NOT NULL, name TEXT NOT NULL,
  attempt INTEGER NOT NULL, node INTEGER NOT NULL, rank INTEGER NOT NULL,
  count INTEGER NOT NULL, non_finite INTEGER NOT NULL,
  first_step INTEGER NOT NULL, first_at INTEGER NOT NULL, first REAL,
  last_step INTEGER NOT NULL, last_at INTEGER NOT NULL, last REAL,
  min_step INTEGER NOT NULL, min REAL, max_step INTEGER NOT NULL, max REAL,
  low_step INTEGER NOT NULL, high_step INTEGER NOT NULL, low_at INTEGER NOT NULL, high_at INTEGER NOT NULL,
  ordered INTEGER NOT NULL
) STRICT;
CREATE INDEX series_by_name ON series (run, kind, name);

CREATE TABLE blocks (
  series INTEGER NOT NULL, level INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY (series, level, first)
) STRICT;

CREATE TABLE run_metrics (
  run INTEGER NOT NULL, name TEXT NOT NULL, rank INTEGER NOT NULL,
  count INTEGER NOT NULL, non_finite INTEGER NOT NULL,
  first_step INTEGER NOT NULL, first REAL, last_step INTEGER NOT NULL, last REAL,
  min_step INTEGER NOT NULL, min REAL, max_step INTEGER NOT NULL, max REAL,
  PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_metrics_by_last ON run_metrics (name, last);
CREATE INDEX run_metrics_by_min ON run_metrics (name, min);
CREATE INDEX run_metrics_by_max ON run_metrics (name, max);

CREATE TABLE models (
  name TEXT NOT NULL, version INTEGER NOT NULL, run TEXT NOT NULL, created_at INTEGER NOT NULL,
  description TEXT NOT NULL, size INTEGER NOT NULL, archived INTEGER NOT NULL, card TEXT NOT NULL,
  PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;
)sql";

// What the workspace's side notes on the way of a run (uploads, cuts, the scheduler's word), and whether an attempt
// that has ended is followed by another. Indexes of version 1 have none of it; nothing wrote it then.
constexpr const char* kMigration2 = R"sql(
CREATE TABLE events (
  run INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;
ALTER TABLE attempts ADD COLUMN goes_on INTEGER NOT NULL DEFAULT 0;
)sql";

// Logs of several nodes are merged by time, a run knows which one it repeats, a rank its process and GPUs. Older rows
// cannot be filled in here, so everything but the numbers goes and is read from the files again.
constexpr const char* kMigration3 = R"sql(
DROP TABLE log_blocks;
CREATE TABLE log_blocks (
  run INTEGER NOT NULL, attempt INTEGER NOT NULL, node INTEGER NOT NULL, ordinal INTEGER NOT NULL,
  first_line INTEGER NOT NULL, lines INTEGER NOT NULL,
  segment INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
  low_at INTEGER NOT NULL, high_at INTEGER NOT NULL, clock INTEGER, counts BLOB NOT NULL,
  PRIMARY KEY (run, attempt, node, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE clocks (
  run INTEGER NOT NULL, attempt INTEGER NOT NULL, node INTEGER NOT NULL, seq INTEGER NOT NULL,
  at INTEGER NOT NULL, offset INTEGER NOT NULL, round_trip INTEGER NOT NULL,
  PRIMARY KEY (run, attempt, node, seq)
) STRICT, WITHOUT ROWID;

ALTER TABLE runs ADD COLUMN reproduces TEXT NOT NULL DEFAULT '';
CREATE INDEX runs_by_parent ON runs (parent) WHERE parent <> '';
CREATE INDEX runs_by_reproduces ON runs (reproduces) WHERE reproduces <> '';

ALTER TABLE ranks ADD COLUMN pid INTEGER;
ALTER TABLE ranks ADD COLUMN gpus TEXT NOT NULL DEFAULT '';

DELETE FROM runs; DELETE FROM cursors; DELETE FROM stages; DELETE FROM attempts; DELETE FROM ranks; DELETE FROM tags;
DELETE FROM params; DELETE FROM outputs; DELETE FROM warnings; DELETE FROM damaged; DELETE FROM items; DELETE FROM series;
DELETE FROM blocks; DELETE FROM run_metrics; DELETE FROM models; DELETE FROM events;
)sql";

constexpr std::array kMigrations{kMigration1, kMigration2, kMigration3};

int pragma(SQLite::Database& db, const char* name) { return db.execAndGet(std::string("PRAGMA ") + name).getInt(); }

bool isEmpty(SQLite::Database& db) { return db.execAndGet("SELECT count(*) FROM sqlite_master").getInt() == 0; }

bool hasRows(SQLite::Database& db, const std::string& table) {
    return db.execAndGet("SELECT EXISTS (SELECT 1 FROM " + table + ")").getInt() != 0;
}

Status checkOwner(SQLite::Database& db, const Path& file) {
    if (pragma(db, "application_id") == kApplicationId) return {};
    return Error{"store.foreign", file.string() + " is an SQLite database of another program, not a Trainyard history. "
                                                  "Move it away; the history is then made anew from the workspace."};
}

Status checkNotNewer(int version, int supported, const Path& file) {
    if (version <= supported) return {};
    return Error{"store.newer", "The history " + file.string() + " has version " + std::to_string(version) +
                                    ", and this Trainyard reads versions up to " + std::to_string(supported) +
                                    ". Open it with the newer Trainyard that made it."};
}

/// VACUUM INTO gives a consistent copy while others read and write; it appears under its name only when whole.
void backUp(SQLite::Database& db, const Path& file, int version) {
    const Path target = file.string() + ".v" + std::to_string(version) + ".backup";
    const Path temporary = target.string() + ".tmp";
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    SQLite::Statement vacuum(db, "VACUUM INTO ?");
    vacuum.bind(1, temporary.string());
    vacuum.exec();
    std::filesystem::rename(temporary, target);
}

std::vector<std::string> tableNames(SQLite::Database& db) {
    std::vector<std::string> tables;
    SQLite::Statement names(db, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' "
                                "ORDER BY name");
    while (names.executeStep()) tables.push_back(names.getColumn(0).getString());
    return tables;
}

}  // namespace

std::span<const char* const> migrations() { return kMigrations; }

Result<bool> prepareForWriting(SQLite::Database& db, const Path& file, std::span<const char* const> steps) {
    const int supported = static_cast<int>(steps.size());
    if (isEmpty(db)) {
        db.exec("PRAGMA page_size=8192");
    } else {
        TRAINYARD_TRY(checkOwner(db, file));
        const int version = pragma(db, "user_version");
        TRAINYARD_TRY(checkNotNewer(version, supported, file));
        if (version == supported) return false;
        backUp(db, file, version);
    }
    SQLite::Transaction transaction(db, SQLite::TransactionBehavior::IMMEDIATE);
    const bool created = isEmpty(db);  // Another process may have been here while we waited.
    const int version = created ? 0 : pragma(db, "user_version");
    for (int step = version; step < supported; ++step) db.exec(steps[static_cast<std::size_t>(step)]);
    db.exec("PRAGMA application_id=" + std::to_string(kApplicationId));
    db.exec("PRAGMA user_version=" + std::to_string(std::max(version, supported)));
    const bool emptied = version < supported && db.tableExists("cursors") && !hasRows(db, "cursors");
    transaction.commit();
    return created || emptied;
}

Status checkForReading(SQLite::Database& db, const Path& file) {
    if (isEmpty(db)) return Error{"store.missing", "The history " + file.string() + " is empty yet."};
    TRAINYARD_TRY(checkOwner(db, file));
    const int version = pragma(db, "user_version");
    TRAINYARD_TRY(checkNotNewer(version, schemaVersion(), file));
    if (version < schemaVersion())
        return Error{"store.outdated", "The history " + file.string() + " has version " + std::to_string(version) +
                                           " and must be upgraded to version " + std::to_string(schemaVersion()) +
                                           " before it can be read; opening the workspace for writing does that."};
    return {};
}

std::string dumpSchema(SQLite::Database& db) {
    std::string text;
    SQLite::Statement all(db, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type, name");
    while (all.executeStep()) text += all.getColumn(0).getString() + ";\n";
    return text;
}

void clearTables(SQLite::Database& db) {
    for (const std::string& table : tableNames(db)) {
        if (table != "counters") db.exec("DELETE FROM " + table);
    }
}

std::string dumpTables(SQLite::Database& db) {
    std::string text;
    for (const std::string& table : tableNames(db)) {
        std::string columns, order;
        SQLite::Statement info(db, "SELECT name, pk FROM pragma_table_info(?)");
        info.bind(1, table);
        int keys = 0;
        std::vector<std::string> keyColumns(32);
        while (info.executeStep()) {
            const std::string column = info.getColumn(0).getString();
            columns += (columns.empty() ? "quote(" : ", quote(") + column + ")";
            if (const int place = info.getColumn(1).getInt(); place > 0) {
                keyColumns[static_cast<std::size_t>(place)] = column;
                keys = std::max(keys, place);
            }
        }
        for (int key = 1; key <= keys; ++key)
            order += (key == 1 ? "" : ", ") + keyColumns[static_cast<std::size_t>(key)];
        SQLite::Statement rows(db, "SELECT " + columns + " FROM " + table + " ORDER BY " + order);
        while (rows.executeStep()) {
            text += table;
            for (int column = 0; column < rows.getColumnCount(); ++column)
                text += "|" + rows.getColumn(column).getString();
            text += "\n";
        }
    }
    return text;
}

}  // namespace trainyard::store
