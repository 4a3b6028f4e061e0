#pragma once
// The run stream: append-only segments of JSON Lines, one record a line, one stream an attempt and node, seq from 1
// without gaps. The text of the protocol is resources/docs/protocol/run-stream.md. The journal has the same format.
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/base/Result.h"

namespace trainyard::wire {

using base::Error;
using base::Json;
using base::Path;
using base::Result;
using base::Status;

inline constexpr int kStreamMajor = 1;
inline constexpr std::int64_t kSegmentBytes = 64 << 20;
inline constexpr std::int64_t kMaxLineBytes = 16 << 20;  ///< A longer line is kept aside as damaged.
inline constexpr int kNoRank = -1;

/// Record kinds. A reader skips kinds it does not know.
namespace kind {
inline constexpr const char* kState = "state";        // state, reason
inline constexpr const char* kMetrics = "metrics";    // series: [{name, step[], value[], t[]?}]
inline constexpr const char* kParams = "params";      // values: {}
inline constexpr const char* kTags = "tags";          // values: {} (null removes)
inline constexpr const char* kLog = "log";            // out: "stdout"|"stderr"|"agent", lines: []
inline constexpr const char* kText = "text";          // name, text, step?
inline constexpr const char* kProgress = "progress";  // stage, done, total, unit, rate?, epoch?, epochs?
inline constexpr const char* kSystem = "system";      // values: {"cpu_percent": …, "memory_bytes": …}
inline constexpr const char* kArtifact = "artifact";  // path, size, sha256
inline constexpr const char* kImage = "image";
inline constexpr const char* kTable = "table";
inline constexpr const char* kHistogram = "histogram";
inline constexpr const char* kModel = "model";  // name, path: registration asked for
inline constexpr const char* kChild = "child";
inline constexpr const char* kWarning = "warning";  // code, message, count?
inline constexpr const char* kEnded =
    "ended";  // outcome, reason, ranks: [{rank, exit?, signal?, reason?}], outputs: [{path, size, sha256}]
inline constexpr const char* kAttempt =
    "attempt";  // first record of a stream: attempt, node, nodes, host, pid identity, world_size, agent version
inline constexpr const char* kClock =
    "clock";  // lead_offset_ns: added to this stream's times gives the lead's; round_trip_ns
inline constexpr const char* kStarted = "started";          // ranks: [{rank, pid, gpus: []}]: of this node
inline constexpr const char* kEnvironment = "environment";  // what the ranks really run in
// Journal only:
inline constexpr const char* kSubmit = "submit";        // number, experiment, name
inline constexpr const char* kRename = "rename";        // name
inline constexpr const char* kNotes = "notes";          // text
inline constexpr const char* kArchive = "archive";      // archived: bool
inline constexpr const char* kCollected = "collected";  // attempt, outputs
inline constexpr const char* kUpload =
    "upload";  // step, text, bytes_done, bytes_total, rate?, eta_ns?: on the way to and from the target
inline constexpr const char* kUnreachable = "unreachable";  // since, reason
inline constexpr const char* kReachable = "reachable";      // since: how long it could not be reached
inline constexpr const char* kHostSilent =
    "host_silent";  // host, nodes: [..], since, reason: the run's lead answers, this host does not
inline constexpr const char* kHostBack = "host_back";        // host
inline constexpr const char* kScheduler = "scheduler";       // job, state, reason, estimated_start, restarts
inline constexpr const char* kCancelAsked = "cancel_asked";  // carried out once the target can be told
inline constexpr const char* kInputs = "inputs";             // data: [{name, sha256, bytes}]: what the run was given
inline constexpr const char* kReproduced = "reproduced";     // the comparison with the run that this one repeats
inline constexpr const char* kPlaced = "placed";  // hosts: [..] by node: where the target is about to put the run
inline constexpr const char* kRegistered =
    "registered";  // model, number, path: what a record "model" asked for was done
}  // namespace kind

/// One record. `body` holds every member except v, seq, t, rank, kind.
struct Record {
    std::int64_t seq = 0;
    std::int64_t t = 0;  ///< Microseconds UTC.
    int rank = kNoRank;  ///< kNoRank: said by the agent itself or the workspace.
    std::string kind;
    Json body = Json::object();
};

/// One line with its '\n'. Never throws; invalid UTF-8 is replaced, NaN and infinities anywhere in the body are spelled
/// as text. Members of the body that have a reserved name are left out.
[[nodiscard]] std::string encode(const Record& record);
/// "stream.major" for another major version (both named), "stream.line" for anything that is no record.
[[nodiscard]] Result<Record> decode(std::string_view line);

/// Points of one series, as they stand in a metrics record. The three vectors have one length.
struct SeriesPoints {
    std::string name;
    std::vector<std::int64_t> step;
    std::vector<double> value;
    std::vector<std::int64_t> t;  ///< Microseconds UTC; for writing, empty means the record's time for all.
};
/// The times are left out where all of them are the record's.
[[nodiscard]] Json metricsBody(const std::vector<SeriesPoints>& series, std::int64_t recordT);
/// Points whose arrays disagree in length or type are an error ("stream.metrics").
[[nodiscard]] Result<std::vector<SeriesPoints>> metricsFromBody(const Json& body, std::int64_t recordT);

/// A line that was taken, with where it stood.
struct StreamEntry {
    Record record;
    int segment = 1;
    std::int64_t offset = 0;  ///< Of the line's first byte in its segment.
    std::int64_t length = 0;  ///< With its '\n'.
};
/// A line that could not be read. Kept aside, counted, shown; never fatal.
struct DamagedLine {
    int segment = 1;
    std::int64_t offset = 0;
    std::int64_t length = 0;
    Error error;
};

/// Where a reader stands; what ingest keeps in its transaction.
struct StreamCursor {
    int segment = 1;
    std::int64_t offset = 0;   ///< First byte not taken yet.
    std::int64_t lastSeq = 0;  ///< Last seq taken.
    bool operator==(const StreamCursor&) const = default;
};

/// Turns bytes into records, however they are cut. A line is taken only when it is whole and its seq is next: a lower
/// seq is skipped as seen before, a higher one is reported once as a gap (DamagedLine "stream.gap") and then taken,
/// unless as many damaged lines stood in between. Lines with zero bytes (a late NFS tail) are not taken before the
/// segment is closed. Call next() until it gives nothing before cursor() is kept. Not thread-safe.
class StreamDecoder {
public:
    explicit StreamDecoder(StreamCursor start = {}) : m_cursor(start) {}
    /// Bytes that follow the last ones fed, of the current segment.
    void feed(std::string_view bytes);
    /// Next whole record, or nullopt. Damaged lines on the way go to damaged().
    [[nodiscard]] std::optional<StreamEntry> next();
    /// The segment is closed: its rest (a torn line) is dropped as damaged, and the next segment begins at offset 0.
    void nextSegment();
    /// The stream is finished: a torn tail becomes damaged "stream.torn". next() may still have whole lines to give.
    void finish();
    /// Forgets the bytes fed but not taken; the next ones fed begin at cursor(). For a source that may have changed
    /// its end since (a torn tail that its writer cut off, zero bytes that NFS has filled by now).
    void dropPending();
    /// Whether zero bytes hold up what was fed.
    [[nodiscard]] bool waitsForZeros() const;
    [[nodiscard]] const StreamCursor& cursor() const { return m_cursor; }
    [[nodiscard]] std::vector<DamagedLine> takeDamaged();
    /// Set when a record of another major version was met: nothing more is taken.
    [[nodiscard]] const std::optional<Error>& refused() const { return m_refused; }
    /// Bytes fed but not taken.
    [[nodiscard]] std::int64_t pendingBytes() const { return static_cast<std::int64_t>(m_buffer.size() - m_head); }

private:
    [[nodiscard]] std::optional<StreamEntry> nextLine(bool closed);
    void close();
    void keepAside(std::int64_t offset, std::int64_t length, Error error);
    void consume(std::size_t bytes);

    StreamCursor m_cursor;
    std::string m_buffer;
    std::size_t m_head = 0;
    std::size_t m_searched = 0;        ///< No newline before this place of the buffer.
    std::int64_t m_skipFrom = -1;      ///< Offset at which a line began that is too long to be kept; -1: none.
    std::int64_t m_damagedInARow = 0;  ///< Since the last record taken.
    std::deque<StreamEntry> m_ready;   ///< Whole lines met when a segment was closed.
    std::vector<DamagedLine> m_damaged;
    std::optional<Error> m_refused;
};

/// Reads a folder of segments (000001.jsonl, …), or a single file (the journal), from a cursor to the present end.
/// Holds no file open and no unread byte between calls.
class StreamFolderReader {
public:
    explicit StreamFolderReader(Path folder, StreamCursor start = {});
    /// Appends up to `maxRecords` new records; returns how many. Call again later for more. A folder or file that does
    /// not exist yet has none. After a record of another major version: the error "stream.major".
    [[nodiscard]] Result<std::size_t> read(std::vector<StreamEntry>& out, std::size_t maxRecords = 4096);
    /// For a stream that has ended, once read() gives nothing more: reads the rest and calls decoder().finish();
    /// appends the records that stood behind zero bytes.
    [[nodiscard]] Result<std::size_t> finish(std::vector<StreamEntry>& out);
    [[nodiscard]] StreamDecoder& decoder() { return m_decoder; }

private:
    [[nodiscard]] Path fileOf(int segment) const;
    Path m_folder;
    StreamDecoder m_decoder;
};

/// Appends records. Opening takes up the end of what is there: a torn last line is cut off (and remembered as a
/// warning), seq goes on; a stream of another major version is not touched. One write(2) a call, so a record counts
/// once append returned. A write that fails half-way (a full disk) leaves a line that readers keep aside. Not
/// thread-safe.
class StreamWriter {
public:
    [[nodiscard]] static Result<StreamWriter> open(const Path& folder, std::int64_t segmentBytes = kSegmentBytes);
    /// Single-file form (the journal): no segments. Several processes may append: each append takes a flock on the
    /// file, for at most 10 s ("lock.held"), and goes on from the end it then finds.
    [[nodiscard]] static Result<StreamWriter> openFile(const Path& file);
    /// Gives the record its seq, writes it; returns the seq.
    [[nodiscard]] Result<std::int64_t> append(std::int64_t t, int rank, std::string_view kind, const Json& body);
    /// Several records in one write; gives them their seq. After an error those with seq up to lastSeq() are written.
    [[nodiscard]] Status appendAll(std::vector<Record>& records);
    [[nodiscard]] Status sync();
    [[nodiscard]] std::int64_t lastSeq() const { return m_lastSeq; }
    [[nodiscard]] bool cutTornTail() const { return m_cutTornTail; }

private:
    StreamWriter() = default;
    [[nodiscard]] Status openSegment(bool takeUp);
    [[nodiscard]] Status takeUpEnd();
    [[nodiscard]] Status rotateIfFull();
    [[nodiscard]] Status write(std::vector<Record>& records);
    Path m_folder;
    Path m_file;
    base::UniqueFd m_fd;
    int m_segment = 1;
    std::int64_t m_size = 0;
    std::int64_t m_segmentBytes = kSegmentBytes;
    std::int64_t m_lastSeq = 0;
    bool m_singleFile = false;
    bool m_cutTornTail = false;
    bool m_lineOpen = false;   ///< The last write failed within a line.
    bool m_sawRecord = false;  ///< Opening found a record, so m_lastSeq is known.
};

[[nodiscard]] std::string segmentName(int segment);  ///< "000001.jsonl"

}  // namespace trainyard::wire
