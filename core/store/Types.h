#pragma once
// Values that come out of the index. No SQLite type appears in this room's public headers (Types.h, ChartTypes.h,
// Reader.h, Writer.h), so a window may include its read side without knowing how the index is kept.
// Times are microseconds UTC, durations nanoseconds, sizes bytes, steps int64. An optional time is 0 when not known.
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Ids.h"
#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/spec/RunState.h"
#include "core/wire/RunStream.h"

namespace trainyard::store {

using base::Json;
using base::Path;
using base::Result;
using base::RunId;
using base::Status;
using Strings = std::vector<std::pair<std::string, std::string>>;

/// Where the index of a workspace lies: `history.sqlite` in the workspace, or in the user's cache folder when the
/// workspace is on a network file system, where WAL cannot be trusted.
struct IndexLocation {
    Path workspace;
    Path database;
    bool cached = false;  ///< The index lies in the cache folder; the window says so.

    /// Looks at the file system of `workspace` (which must exist).
    [[nodiscard]] static IndexLocation of(const Path& workspace);
};

/// Asks a query to stop. Copies share one flag; every member may be called from any thread.
/// A query that was stopped returns the error "canceled".
class CancelToken {
public:
    CancelToken() : m_flag(std::make_shared<std::atomic<bool>>(false)) {}
    void cancel() { m_flag->store(true, std::memory_order_relaxed); }
    [[nodiscard]] bool canceled() const { return m_flag->load(std::memory_order_relaxed); }

private:
    std::shared_ptr<std::atomic<bool>> m_flag;
};

struct OpenOptions {
    std::int64_t lockMillis = 5000;  ///< How long to wait for another process's transaction before "store.locked".
};

// ---------------------------------------------------------------------------------------------------- runs

/// What is known of one metric of a run without looking at its points: over all attempts, of the lowest rank that
/// reports it. What an attempt reported at or after the step that a later one went on from plays no part, but in count
/// and nonFinite, which are of all points. Values are NaN when no finite value was reported (last and first may be NaN
/// or infinite by themselves).
struct MetricSummary {
    std::string name;
    int rank = 0;
    std::int64_t count = 0;      ///< Points, not finite ones included.
    std::int64_t nonFinite = 0;  ///< NaN and infinities among them.
    std::int64_t firstStep = 0;
    double first = 0;
    std::int64_t lastStep = 0;  ///< Of the newest attempt.
    double last = 0;
    std::int64_t minStep = 0;  ///< Where the smallest finite value was met first.
    double min = 0;
    std::int64_t maxStep = 0;
    double max = 0;
};

/// The newest progress record of the lowest rank of the newest attempt. Members that were not reported are 0 or empty.
struct Progress {
    std::string stage;  ///< "prepare", "train", "validate", "save", or what a script calls it.
    double done = 0;
    double total = 0;
    std::string unit;
    std::int64_t epoch = 0;
    std::int64_t epochs = 0;
    std::int64_t step = 0;
    std::int64_t steps = 0;
    double rate = 0;  ///< Units a second.
    std::int64_t etaNanos = 0;
    std::int64_t at = 0;  ///< When it was reported.
};

struct RunRow {
    RunId id;
    std::int64_t number = 0;  ///< For people; unique in the workspace.
    std::string experiment;
    std::string name;  ///< Never empty: experiment and number when nobody gave one.
    std::string description;
    spec::RunState state = spec::RunState::Draft;
    std::string stateReason;     ///< One sentence, or empty.
    std::int64_t createdAt = 0;  ///< When it was submitted.
    std::int64_t startedAt = 0;  ///< First time Running; 0 before.
    std::int64_t endedAt = 0;    ///< When the last attempt ended; 0 while the run goes on.
    int attempts = 0;
    std::string target;
    std::string environment;
    int processes = 1;        ///< Ranks over all nodes, as asked for.
    std::string taskKind;     ///< "train", "command"
    std::string modelFamily;  ///< Of a train task.
    std::string parent;       ///< Run id that this run resumes, or empty.
    std::string reproduces;   ///< Run id that this run repeats, or empty.
    Strings tags;             ///< By name.
    std::string notes;
    bool archived = false;
    std::int64_t logLines = 0;  ///< Over all attempts and nodes.
    std::int64_t warnings = 0;  ///< Warnings and damaged lines.
    std::optional<Progress> progress;
    std::vector<MetricSummary> metrics;  ///< By name.
};

enum class RunColumn { Number, Name, Experiment, State, Created, Started, Ended, Duration, Target, Metric };
enum class MetricValue { Last, Min, Max, First };
enum class Archived { Hide, Only, Include };

struct RunSort {
    RunColumn column = RunColumn::Number;
    bool descending = true;
    std::string metric{};  ///< When column is Metric. Runs without it come last either way.
    MetricValue metricValue = MetricValue::Last;
};

/// Which runs, in what order, from where.
struct RunQuery {
    /// Terms separated by blanks; all must hold; a leading '-' turns one round; "double quotes" keep blanks together.
    ///   word            in name, experiment, description, notes, a tag, or the number or the id's beginning
    ///   #12             the run's number
    ///   state:failed    also experiment: name: notes: target: environment: model: task: id: (contains; state equals)
    ///   tag:NAME  tag:NAME=VALUE  NAME:VALUE       a tag (NAME or its value; exactly; value contains)
    ///   val/accuracy>0.9                           a metric's last value; also >= < <= = != and .min .max .first
    ///   duration>10m  created>=2026-11-01  created>2d   s m h d; a date is UTC; an age means "younger than"
    ///   param.NAME=VALUE                           a reported parameter (numbers compare as numbers)
    std::string filter{};
    Archived archived = Archived::Hide;
    RunSort sort{};
    std::string after{};  ///< `RunPage::next` of the page before; empty for the first page.
    int limit = 200;      ///< 1 to 10,000.
    bool withMetrics = true;
};

struct RunPage {
    std::vector<RunRow> rows;
    std::string next;  ///< Empty on the last page.
};

/// One state that a run was in, in the order in which they came.
struct StageRow {
    spec::RunState state = spec::RunState::Draft;
    std::int64_t at = 0;
    std::string reason;
    int attempt = 0;  ///< 0 when the workspace's side said it without an attempt.
    bool fromJournal = false;
};

/// One node's part in one attempt.
struct AttemptRow {
    int attempt = 1;
    int node = 0;
    std::string host;
    int worldSize = 0;
    int nodes = 0;
    std::string agentVersion;
    std::int64_t startedAt = 0;
    std::int64_t endedAt = 0;  ///< 0 without an `ended` record.
    std::string outcome;       ///< "completed", "failed", "canceled", or empty.
    std::string reason;
    bool goesOn = false;  ///< Its agents begin the next attempt by themselves.
};

struct RankRow {
    int attempt = 1;
    int rank = 0;
    int node = 0;
    std::string host;
    std::int64_t lastAt = 0;  ///< Time of its newest record.
    std::int64_t logLines = 0;
    std::optional<int> exitStatus;
    std::optional<int> signal;
    std::string reason;
    std::optional<std::int64_t> pid;  ///< Of the rank's own process on its host, once its agent has said it.
    std::vector<int> gpus;            ///< The host's numbers of the GPUs it was given.
    [[nodiscard]] bool ended() const { return exitStatus || signal; }
};

enum class SeriesKind { Metric = 0, System = 1 };

/// One series of points: of one name, from one rank (or, for system series, one node) in one attempt.
struct SeriesRow {
    SeriesKind kind = SeriesKind::Metric;
    std::string name;
    int attempt = 1;
    int node = 0;
    int rank = 0;  ///< wire::kNoRank for what an agent measured.
    std::int64_t count = 0;
    std::int64_t nonFinite = 0;
    std::int64_t firstStep = 0, lastStep = 0, firstAt = 0, lastAt = 0;
    double first = 0, last = 0, min = 0, max = 0;
    std::int64_t minStep = 0, maxStep = 0;
};

/// What the workspace's side noted on the way: kinds "upload", "unreachable", "reachable", "scheduler", "cancel_asked",
/// "inputs", "reproduced", "placed", "registered", "host_silent", "host_back", with their members as run-stream.md has
/// them; and "collected" {attempt, files: how many, left?}.
struct EventRow {
    std::string kind;
    std::int64_t at = 0;
    Json body;
};

/// A run that came out of another: it resumes or reproduces it.
struct DescendantRow {
    RunId id;
    std::int64_t number = 0;
    std::string name;
    spec::RunState state = spec::RunState::Draft;
    bool reproduces = false;  ///< Else it resumes.
};

/// One reported value.
struct PointRow {
    std::int64_t step = 0;
    std::int64_t at = 0;
    double value = 0;
};

struct ParamRow {
    std::string name;
    Json value;
};

struct OutputRow {
    std::string path;  ///< Relative to the run's outputs folder, with '/'.
    std::int64_t size = 0;
    std::string sha256;
    int attempt = 1;
    bool collected = false;  ///< The workspace has it.
};

struct WarningRow {
    std::int64_t at = 0;  ///< 0 for a damaged line.
    int attempt = 0;      ///< 0: from the journal.
    int node = 0;
    int rank = wire::kNoRank;
    std::string code;
    std::string message;
    std::int64_t count = 1;
    bool damagedLine = false;
};

/// A record of kind text, image, table, histogram, model, child or environment, with its body as it stands in the
/// stream.
struct ItemRow {
    std::string kind;
    std::string name;
    std::int64_t at = 0;
    std::int64_t step = 0;
    int attempt = 1;
    int node = 0;
    int rank = 0;
    Json body;             ///< Null where only the heads were asked for.
    std::int64_t seq = 0;  ///< With attempt and node: which record it is.
};

struct Counts {
    std::int64_t all = 0;  ///< Archived ones included.
    std::int64_t archived = 0;
    std::int64_t preparing = 0;
    std::int64_t queued = 0;
    std::int64_t running = 0;  ///< Running and Finalizing.
    std::int64_t completed = 0;
    std::int64_t failed = 0;
    std::int64_t canceled = 0;
    std::int64_t lost = 0;
};

// ---------------------------------------------------------------------------------------------------- log

/// Lines of one attempt, optionally of one node, one rank or one of "stdout", "stderr", "agent", "environment" (its
/// build) and "logs" (the files that the script writes under logs/; "logs/train.txt" is one of them). Lines of several
/// nodes are merged by the lead's clock.
struct LogFilter {
    int attempt = 0;            ///< 0: the newest.
    std::optional<int> node{};  ///< Empty: every node.
    std::optional<int> rank{};
    std::string out{};
};

struct LogLine {
    std::int64_t index = 0;   ///< Position among the lines that pass the filter, from 0.
    std::int64_t number = 0;  ///< Position among all lines of the node, from 0.
    std::int64_t at = 0;      ///< By the lead's clock, as far as the node's difference from it is known.
    int attempt = 1;
    int node = 0;
    int rank = wire::kNoRank;
    std::string out;
    std::string text;  ///< Valid UTF-8 without the line's end; may hold ANSI sequences.
};

/// How much of each stream somebody who follows a log has had: (attempt, node) → lines that pass the filter. What
/// arrives late comes late, but nothing comes twice or is left out.
struct LogPlace {
    std::map<std::pair<int, int>, std::int64_t> taken;

    /// "1.0:120,1.1:95"; empty for the beginning.
    [[nodiscard]] std::string text() const;
    /// Nothing for a text that text() does not make.
    [[nodiscard]] static std::optional<LogPlace> fromText(std::string_view text);
};

struct LogPage {
    std::vector<LogLine> lines;
    std::int64_t total = 0;  ///< Lines that pass the filter now.
    int attempt = 0;         ///< The attempt that was read (0: the run has no stream yet).
    /// Lines before this one stay where they are; behind it, what a slower node still sends may come in between. With
    /// one node it is `total`.
    std::int64_t settled = 0;
    LogPlace place{};  ///< Behind the last line of the page.
};

/// Lines behind a place; their indexes count within the answer.
struct LogNews {
    std::vector<LogLine> lines;
    LogPlace place;     ///< Behind them.
    bool more = false;  ///< There are further lines now.
};

struct LogSearch {
    std::string pattern;
    /// POSIX extended plus \d \w \s \b: no pattern takes exponential time. A match of up to 1 KiB is always found.
    bool regex = false;
    bool caseSensitive = false;
    bool backward = false;
    std::int64_t from = 0;          ///< Filtered index of the first line looked at.
    std::int64_t maxMillis = 2000;  ///< 0: the least a call can do, one line or one block without a match.
};

struct LogMatch {
    LogLine line;
    std::size_t offset = 0;  ///< Bytes of the text.
    std::size_t length = 0;
};

struct LogSearchResult {
    std::optional<LogMatch> match;
    /// Time was up before the end: go on from this index. Empty when all was searched.
    std::optional<std::int64_t> continueAt;
};

// ---------------------------------------------------------------------------------------------------- models

/// models/<name>/<version>/card.json. Members read here: "run" (id), "created_at" (microseconds), "description",
/// "tags" (object of strings), "aliases" (array of strings), "size" (bytes), "archived" (bool).
struct ModelVersionRow {
    std::string name;
    int version = 1;
    std::string run;  ///< Run id, or empty.
    std::int64_t createdAt = 0;
    std::string description;
    Strings tags;
    std::vector<std::string> aliases;
    std::int64_t size = 0;
    bool archived = false;
    Json card;  ///< The whole file.
};

struct ModelRow {
    std::string name;
    int versions = 0;
    ModelVersionRow latest;  ///< Highest version.
};

}  // namespace trainyard::store
