#pragma once
// Room-internal: log lines out of the segments in the workspace, found through the blocks of the index.
#include <functional>

#include "core/store/LogIndex.h"
#include "core/wire/Layout.h"

namespace trainyard::store {

/// The lines of one node's stream in one attempt that pass a filter. Throws SQLite::Exception and CorruptIndex.
class LogReader {
public:
    LogReader(Connection& connection, const wire::WorkspaceLayout& layout, const RunId& run, std::int64_t number,
              int attempt, const LogFilter& filter);

    [[nodiscard]] std::int64_t total() const { return m_total; }
    /// Lines [first, first + count).
    [[nodiscard]] Result<std::vector<LogLine>> lines(std::int64_t first, std::int64_t count) const;
    /// "store.regex", "canceled" when `stop` says true.
    [[nodiscard]] Result<LogSearchResult> search(const LogSearch& search, const std::function<bool()>& stop) const;

private:
    struct Place {
        LogBlock block;
        std::int64_t first = 0;  ///< Filtered index of its first line.
        std::int64_t lines = 0;  ///< Filtered.
    };
    [[nodiscard]] Result<std::string> bytesOf(const Place& place) const;
    [[nodiscard]] std::vector<LogLine> linesOf(const Place& place, std::string_view bytes) const;

    Path m_folder;
    LogFilter m_filter;
    std::vector<Place> m_places;  ///< Those with lines that pass.
    std::int64_t m_total = 0;
};

}  // namespace trainyard::store
