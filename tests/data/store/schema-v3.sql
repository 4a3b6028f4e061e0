CREATE INDEX run_metrics_by_last ON run_metrics (name, last);
CREATE INDEX run_metrics_by_max ON run_metrics (name, max);
CREATE INDEX run_metrics_by_min ON run_metrics (name, min);
CREATE INDEX runs_by_experiment ON runs (experiment, archived);
CREATE INDEX runs_by_parent ON runs (parent) WHERE parent <> '';
CREATE INDEX runs_by_reproduces ON runs (reproduces) WHERE reproduces <> '';
CREATE INDEX runs_by_state ON runs (state, archived);
CREATE INDEX series_by_name ON series (run, kind, name);
CREATE INDEX tags_by_name ON tags (name, value);
CREATE TABLE attempts (
  run INTEGER NOT NULL, attempt INTEGER NOT NULL, node INTEGER NOT NULL,
  started_at INTEGER NOT NULL, host TEXT NOT NULL, world_size INTEGER NOT NULL, nodes INTEGER NOT NULL,
  agent TEXT NOT NULL, ended_at INTEGER NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL, goes_on INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (run, attempt, node)
) STRICT, WITHOUT ROWID;
CREATE TABLE blocks (
  series INTEGER NOT NULL, level INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY (series, level, first)
) STRICT;
CREATE TABLE clocks (
  run INTEGER NOT NULL, attempt INTEGER NOT NULL, node INTEGER NOT NULL, seq INTEGER NOT NULL,
  at INTEGER NOT NULL, offset INTEGER NOT NULL, round_trip INTEGER NOT NULL,
  PRIMARY KEY (run, attempt, node, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE counters (
  name TEXT PRIMARY KEY, value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE cursors (
  run INTEGER NOT NULL, attempt INTEGER NOT NULL, node INTEGER NOT NULL,
  segment INTEGER NOT NULL, offset INTEGER NOT NULL, seq INTEGER NOT NULL,
  PRIMARY KEY (run, attempt, node)
) STRICT, WITHOUT ROWID;
CREATE TABLE damaged (
  run INTEGER NOT NULL, attempt INTEGER NOT NULL, node INTEGER NOT NULL,
  segment INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL,
  PRIMARY KEY (run, attempt, node, segment, offset, code)
) STRICT, WITHOUT ROWID;
CREATE TABLE events (
  run INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY (run, seq)
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
  segment INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
  low_at INTEGER NOT NULL, high_at INTEGER NOT NULL, clock INTEGER, counts BLOB NOT NULL,
  PRIMARY KEY (run, attempt, node, ordinal)
) STRICT, WITHOUT ROWID;
CREATE TABLE models (
  name TEXT NOT NULL, version INTEGER NOT NULL, run TEXT NOT NULL, created_at INTEGER NOT NULL,
  description TEXT NOT NULL, size INTEGER NOT NULL, archived INTEGER NOT NULL, card TEXT NOT NULL,
  PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE outputs (
  run INTEGER NOT NULL, path TEXT NOT NULL, attempt INTEGER NOT NULL, node INTEGER NOT NULL,
  collected INTEGER NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL,
  PRIMARY KEY (run, path, attempt, node, collected)
) STRICT, WITHOUT ROWID;
CREATE TABLE params (
  run INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
  at INTEGER NOT NULL, attempt INTEGER NOT NULL, node INTEGER NOT NULL, seq INTEGER NOT NULL,
  PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE ranks (
  run INTEGER NOT NULL, attempt INTEGER NOT NULL, rank INTEGER NOT NULL,
  node INTEGER NOT NULL, last_at INTEGER NOT NULL, log_lines INTEGER NOT NULL,
  exit_status INTEGER, signal INTEGER, reason TEXT NOT NULL, pid INTEGER, gpus TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (run, attempt, rank)
) STRICT, WITHOUT ROWID;
CREATE TABLE run_metrics (
  run INTEGER NOT NULL, name TEXT NOT NULL, rank INTEGER NOT NULL,
  count INTEGER NOT NULL, non_finite INTEGER NOT NULL,
  first_step INTEGER NOT NULL, first REAL, last_step INTEGER NOT NULL, last REAL,
  min_step INTEGER NOT NULL, min REAL, max_step INTEGER NOT NULL, max REAL,
  PRIMARY KEY (run, name)
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
, reproduces TEXT NOT NULL DEFAULT '') STRICT;
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
CREATE TABLE stages (
  run INTEGER NOT NULL, attempt INTEGER NOT NULL, node INTEGER NOT NULL, seq INTEGER NOT NULL,
  said_attempt INTEGER NOT NULL, at INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
  PRIMARY KEY (run, attempt, node, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE tags (
  run INTEGER NOT NULL, name TEXT NOT NULL, value TEXT,
  at INTEGER NOT NULL, attempt INTEGER NOT NULL, node INTEGER NOT NULL, seq INTEGER NOT NULL,
  PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE warnings (
  run INTEGER NOT NULL, attempt INTEGER NOT NULL, node INTEGER NOT NULL, seq INTEGER NOT NULL,
  at INTEGER NOT NULL, rank INTEGER NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (run, attempt, node, seq)
) STRICT, WITHOUT ROWID;
