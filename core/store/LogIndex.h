#pragma once
// Room-internal: where log lines lie in the segments. A block is a run of bytes of one segment that holds some hundred
// lines; its row keeps how many there are of each rank and output, so that a filtered page is found without reading
// text.
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "core/store/Blocks.h"
#include "core/store/Connection.h"

namespace trainyard::store {

/// Rank and output class of a line.
using LogSource = std::pair<int, int>;
using LogCounts = std::map<LogSource, std::int64_t>;

/// 0 stdout, 1 stderr, 2 agent, 3 anything else, 4 environment, 5 "logs" or a file under it ("logs/train.txt").
[[nodiscard]] int logOutClass(std::string_view out);

struct LogBlock {
    std::int64_t ordinal = 0;
    std::int64_t firstLine = 0;
    std::int64_t lines = 0;
    int segment = 1;
    std::int64_t offset = 0;
    std::int64_t length = 0;
    std::int64_t lowAt = 0;  ///< Times of its records by the node's own clock.
    std::int64_t highAt = 0;
    std::optional<std::int64_t>
        clock;  ///< What makes them the lead's, microseconds; nothing before the node has said it.
    LogCounts counts;
};

[[nodiscard]] Bytes encodeCounts(const LogCounts& counts);
[[nodiscard]] std::optional<LogCounts> decodeCounts(std::string_view bytes);

/// Adds log records of one stream, in order. Where blocks begin depends on the records alone, not on the batches.
class LogIndexer {
public:
    LogIndexer(Connection& connection, std::int64_t run, int attempt, int node);
    void add(const wire::StreamEntry& entry, int out, std::int64_t lines);
    /// The node's difference from the lead's clock from here on, which is in the table already. Another difference
    /// begins another block.
    void setClock(std::int64_t micros);
    /// Writes what is not written yet. Throws.
    void flush();

private:
    void load();
    Connection& m_connection;
    std::int64_t m_run;
    int m_attempt;
    int m_node;
    LogBlock m_block;
    std::optional<std::int64_t> m_clock;
    bool m_loaded = false;
    bool m_open = false;
    bool m_dirty = false;
};

/// The newest difference that a node has told, or the first one, in microseconds.
[[nodiscard]] std::optional<std::int64_t> clockOf(Connection& connection, std::int64_t run, int attempt, int node,
                                                  bool first);

/// All blocks of a stream, in order. Throws.
[[nodiscard]] std::vector<LogBlock> loadLogBlocks(Connection& connection, std::int64_t run, int attempt, int node);

}  // namespace trainyard::store
