#pragma once
// Follows the three files of one rank (stdout, stderr, client lines) by offset and turns what is new into records. Each
// record names file and range in `src`; a restarted agent goes on behind the highest `to` that its stream holds.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/agent/LastWords.h"
#include "core/agent/LogSplitter.h"
#include "core/agent/Masker.h"
#include "core/agent/StreamSink.h"
#include "core/base/MetricPattern.h"
#include "core/wire/ClientLine.h"
#include "core/wire/Layout.h"

namespace trainyard::agent {

inline constexpr const char* kSource = "src";  ///< Member of records taken from rank files: {"file","from","to"}.

/// Notices a rank that empties one of its own files, which are meant to be appended to: "echo … > /dev/stderr" in a
/// shell does that, since it opens the file anew. What was not read yet is gone then; what comes is read from the
/// beginning.
class RewriteGuard {
public:
    /// To be asked when all up to `offset` has been read. True once for each time the file was found rewritten: it is
    /// shorter than what was read of it, or was written to without growing.
    [[nodiscard]] bool wasRewritten(int fd, std::int64_t offset);
    /// A change without growth was seen, and whether it was an append on its way shows at the next look.
    [[nodiscard]] bool isUndecided() const { return m_suspectedAt != 0; }
    /// A shorter file alone is an emptied one: those who write in the middle of a file of their own may.
    [[nodiscard]] bool wasEmptied(int fd, std::int64_t offset) const;
    /// Reports it, the first time.
    void report(StreamSink& sink, int rank, const std::string& what);

private:
    std::int64_t m_offset = -1;
    std::int64_t m_modifiedNanos = 0;
    std::int64_t m_suspectedAt = 0;  ///< Monotonic ns.
    bool m_reported = false;
};

/// stdout or stderr.
class LogTail {
public:
    LogTail(base::Path file, int rank, std::string out)
        : m_path(std::move(file)), m_rank(rank), m_out(std::move(out)) {}

    [[nodiscard]] std::string fileName() const { return m_path.filename().string(); }
    void resumeAt(std::int64_t offset) { m_offset = offset; }
    /// Secrets are taken out, also where a look at the file cuts them in two. Must outlive this.
    void maskWith(const Masker* masker) { m_masker = masker; }
    /// What the patterns find in the lines becomes metrics. `translator` must outlive this.
    void findWith(base::MetricFinder finder, wire::ClientLineTranslator& translator) {
        m_finder = std::move(finder);
        m_translator = &translator;
    }
    /// A script's own file, known by `inode`: it may be emptied and renamed, which nobody is told.
    void followsAFile(std::string inode) { m_inode = std::move(inode); }
    /// False when it cannot be read.
    bool open();
    /// Reads up to `maxBytes`; `dropping`: counts lines instead of giving them out. Returns the bytes read.
    std::int64_t drain(StreamSink& sink, std::int64_t maxBytes, bool dropping);
    /// Gives out the unfinished line when it has been quiet, or being rewritten, for long enough; at the end, in any
    /// case.
    void flushPartial(StreamSink& sink, bool final, bool dropping);
    /// Reports lines that were dropped, at most every ten seconds (at the end in any case).
    void reportDropped(StreamSink& sink, bool final);
    /// Everything written so far has been read.
    [[nodiscard]] bool atEnd() const;

private:
    void emit(StreamSink& sink, bool dropping);
    void feed(std::string_view bytes);
    void feedMasked(std::string_view text);
    void putMetrics(StreamSink& sink, const LogPiece& piece);

    base::Path m_path;
    int m_rank = 0;
    std::string m_out;
    std::string m_inode;  ///< Of a script's own file; empty: a rank's stdout or stderr.
    base::UniqueFd m_fd;
    std::int64_t m_offset = 0;
    std::optional<LogSplitter> m_splitter;
    base::MetricFinder m_finder;
    wire::ClientLineTranslator* m_translator = nullptr;
    const Masker* m_masker = nullptr;
    std::string m_undecided;       ///< Read, and perhaps the beginning of a secret.
    std::int64_t m_lastBytes = 0;  ///< Monotonic ns of the last bytes read.
    std::int64_t m_lastPart = 0;   ///< Monotonic ns at which an unfinished line was given out or began.
    std::int64_t m_droppedLines = 0;
    std::int64_t m_droppedFrom = 0;
    std::int64_t m_droppedTo = 0;
    std::int64_t m_lastReport = 0;
    RewriteGuard m_guard;
};

/// The file named in TRAINYARD_STREAM.
class ClientTail {
public:
    ClientTail(base::Path file, int rank) : m_path(std::move(file)), m_rank(rank) {}

    [[nodiscard]] std::string fileName() const { return m_path.filename().string(); }
    void resumeAt(std::int64_t offset) { m_taken = m_read = offset; }
    std::int64_t drain(StreamSink& sink, wire::ClientLineTranslator& translator, std::int64_t maxBytes);
    /// A last line without '\n' is taken when it is whole JSON, otherwise reported.
    void finish(StreamSink& sink, wire::ClientLineTranslator& translator);
    [[nodiscard]] bool atEnd() const;
    [[nodiscard]] const LastWords& lastWords() const { return m_lastWords; }
    void resumeWith(LastWords words) { m_lastWords = std::move(words); }
    void maskWith(const Masker* masker) { m_masker = masker; }

private:
    void takeLine(std::string_view line, std::int64_t end, StreamSink& sink, wire::ClientLineTranslator& translator);
    [[nodiscard]] base::Result<wire::Record> translated(std::string_view line, std::int64_t now,
                                                        wire::ClientLineTranslator& translator) const;
    void flushMetrics(StreamSink& sink);
    void flushErrors(StreamSink& sink);
    [[nodiscard]] base::Json source(std::int64_t from, std::int64_t to) const;

    base::Path m_path;
    int m_rank = 0;
    base::UniqueFd m_fd;
    std::string m_buffer;  ///< From m_taken on, without whole lines.
    std::int64_t m_taken = 0;
    std::int64_t m_read = 0;
    bool m_skipping = false;  ///< Inside a line that is too long.
    const Masker* m_masker = nullptr;
    RewriteGuard m_guard;
    LastWords m_lastWords;

    std::vector<wire::SeriesPoints> m_series;  ///< Metrics of the lines since m_seriesFrom, for one record.
    std::unordered_map<std::string, std::size_t> m_seriesAt;  ///< Its places, by name.
    std::size_t m_points = 0;
    std::int64_t m_seriesFrom = 0;
    std::int64_t m_seriesTo = 0;

    std::int64_t m_badLines = 0;
    std::string m_badMessage;
    std::int64_t m_badFrom = 0;
    std::int64_t m_badTo = 0;
};

/// The three together.
class RankTail {
public:
    /// `index`: of the rank on this node, as in its files' names; `rank`: global, as in records.
    RankTail(const wire::NodeLayout& layout, int index, int rank);

    /// Where the stream's records of this file end.
    void resumeAt(const std::string& fileName, std::int64_t offset);
    /// What an earlier agent had heard from it.
    void resumeWith(LastWords words) { m_client.resumeWith(std::move(words)); }
    [[nodiscard]] const LastWords& lastWords() const { return m_client.lastWords(); }
    /// Must outlive this.
    void maskWith(const Masker* masker);
    /// Must outlive this. What cannot be read of the patterns comes back.
    [[nodiscard]] std::optional<base::Error> findWith(const std::vector<std::string>& patterns,
                                                      wire::ClientLineTranslator& translator);
    /// Reads what is new, a bounded amount a file so that no rank starves another. True when more is waiting.
    bool drain(StreamSink& sink, wire::ClientLineTranslator& translator, bool dropLogs);
    /// The rank has ended and all bytes are read: gives out what is unfinished. Once.
    void finish(StreamSink& sink, wire::ClientLineTranslator& translator, bool dropLogs);
    [[nodiscard]] bool atEnd() const;
    [[nodiscard]] bool finished() const { return m_finished; }

private:
    std::array<LogTail, 2> m_logs;
    ClientTail m_client;
    bool m_finished = false;
};

}  // namespace trainyard::agent
