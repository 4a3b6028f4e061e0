#pragma once
// Room-internal: log lines of one node in one attempt out of the segments in the workspace, found through the blocks of
// the index.
#include <functional>
#include <memory>
#include <set>

#include "core/store/LogIndex.h"
#include "core/wire/Layout.h"

namespace trainyard::store {

/// A line with what it is ordered by: the time of the lead's clock up to which its stream had come. Never goes back in
/// a stream.
struct KeyedLine {
    LogLine line;
    std::int64_t key = 0;
};

/// The lines of one stream that pass a filter. Throws SQLite::Exception and CorruptIndex.
class LogStream {
public:
    /// Lines of one block.
    struct Place {
        LogBlock block;
        std::int64_t first = 0;   ///< Filtered index of its first line.
        std::int64_t lines = 0;   ///< Filtered.
        std::int64_t before = 0;  ///< Key of the last line in front of it.
        std::int64_t low = 0;     ///< No key in it is lower,
        std::int64_t high = 0;    ///< none is higher.
        std::int64_t offset = 0;  ///< From the node's clock to the lead's, microseconds.
    };

    LogStream(Connection& connection, const wire::WorkspaceLayout& layout, const RunId& run, std::int64_t number,
              int attempt, int node, const LogFilter& filter);

    [[nodiscard]] int attempt() const { return m_attempt; }
    [[nodiscard]] int node() const { return m_node; }
    [[nodiscard]] std::int64_t total() const { return m_total; }
    /// Key of the last line, whether or not it passes; nothing without a line.
    [[nodiscard]] std::optional<std::int64_t> lastKey() const { return m_lastKey; }
    /// Those with lines that pass.
    [[nodiscard]] const std::vector<Place>& places() const { return m_places; }
    /// Index of the place that holds a filtered line; places().size() behind the end.
    [[nodiscard]] std::size_t placeOf(std::int64_t line) const;

    /// The bytes of a place.
    [[nodiscard]] Result<std::string> bytesOf(const Place& place) const;
    [[nodiscard]] std::vector<KeyedLine> linesOf(const Place& place, std::string_view bytes) const;
    /// The same at once; the last one asked for is kept.
    [[nodiscard]] Result<std::shared_ptr<const std::vector<KeyedLine>>> linesAt(std::size_t place) const;
    /// Names of the files under logs/ that lines of it come from.
    void addFiles(std::set<std::string>& files) const;
    /// Lines with a key below `key`, or up to it.
    [[nodiscard]] Result<std::int64_t> countBelow(std::int64_t key, bool inclusive) const;

    /// Lines [first, first + count).
    [[nodiscard]] Result<std::vector<LogLine>> lines(std::int64_t first, std::int64_t count) const;
    /// "store.regex", "canceled" when `stop` says true.
    [[nodiscard]] Result<LogSearchResult> search(const LogSearch& search, const std::function<bool()>& stop) const;

private:
    [[nodiscard]] bool passes(int rank, const std::string& out) const;

    Path m_folder;
    LogFilter m_filter;
    bool m_oneFile = false;  ///< Of logs/, which the index counts as one.
    int m_attempt = 1;
    int m_node = 0;
    std::vector<Place> m_places;
    std::int64_t m_total = 0;
    std::optional<std::int64_t> m_lastKey;
    mutable std::size_t m_keptPlace = 0;
    mutable std::shared_ptr<const std::vector<KeyedLine>> m_kept;
};

}  // namespace trainyard::store
