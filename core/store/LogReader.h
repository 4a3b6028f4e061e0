#pragma once
// Room-internal: the log of a run: the lines of its nodes' streams, merged by (attempt, time of the lead's clock, node,
// seq). Of each stream only the blocks around what is asked for are read.
#include <functional>

#include "core/store/LogStream.h"

namespace trainyard::store {

/// Streams of one attempt whose lines can pass the filter: one where a rank or a node is named. Throws.
[[nodiscard]] std::vector<LogStream> openLogStreams(Connection& connection, const wire::WorkspaceLayout& layout,
                                                    const RunId& run, std::int64_t number, int attempt,
                                                    const LogFilter& filter);

/// Takes lines of several streams one after the other. The streams outlive it.
class LogMerge {
public:
    /// Begins at a filtered line of a stream.
    void add(const LogStream& stream, std::int64_t position);
    /// The next line; nothing at the end.
    [[nodiscard]] Result<std::optional<LogLine>> next();
    /// Next line of the stream that was added as the n-th.
    [[nodiscard]] std::int64_t position(std::size_t n) const { return m_heads[n].position; }
    [[nodiscard]] bool atEnd() const;

private:
    struct Head {
        const LogStream* stream = nullptr;
        std::int64_t position = 0;
        std::size_t place = 0;
        std::shared_ptr<const std::vector<KeyedLine>> lines{};  ///< Of the place; nothing before it is needed.
    };
    [[nodiscard]] static std::int64_t keyOf(const Head& head);
    std::vector<Head> m_heads;
};

/// One attempt's lines that pass a filter. Throws SQLite::Exception and CorruptIndex.
class LogReader {
public:
    /// `nodes`: of so many nodes streams are to be expected, though not all may be here yet.
    LogReader(std::vector<LogStream> streams, int nodes);

    [[nodiscard]] std::int64_t total() const { return m_total; }
    /// Lines before this one stay where they are when more is appended to the streams.
    [[nodiscard]] Result<std::int64_t> settled() const;
    /// Lines [first, first + count); 10,000 at most. `behind`: the place after them.
    [[nodiscard]] Result<std::vector<LogLine>> lines(std::int64_t first, std::int64_t count, LogPlace& behind) const;
    /// "store.regex", "canceled" when `stop` says true.
    [[nodiscard]] Result<LogSearchResult> search(const LogSearch& search, const std::function<bool()>& stop) const;

private:
    struct Found {
        KeyedLine line;
        std::size_t stream = 0;
        std::size_t offset = 0, length = 0;
    };
    [[nodiscard]] Result<std::vector<std::int64_t>> positionsAt(std::int64_t index) const;
    [[nodiscard]] Result<std::int64_t> countBefore(std::int64_t key, int node, bool inclusive) const;
    [[nodiscard]] Result<LogSearchResult> searchAll(const LogSearch& search, const std::function<bool()>& stop) const;

    std::vector<LogStream> m_streams;
    std::int64_t m_total = 0;
    bool m_complete = true;  ///< No node's stream is missing.
};

/// Lines behind a place in the streams of the place's and all newer attempts. Throws.
[[nodiscard]] Result<LogNews> readLogAfter(const std::vector<LogStream>& streams, const LogPlace& place,
                                           std::int64_t count);

}  // namespace trainyard::store
