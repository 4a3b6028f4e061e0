#include "core/store/LogIndex.h"

#include <algorithm>

namespace trainyard::store {
namespace {

constexpr std::int64_t kBlockLines = 256;
constexpr std::int64_t kBlockBytes = 512 << 10;  ///< Metrics between the lines count too: it bounds what a page reads.

LogBlock readBlock(const Query& row) {
    LogBlock block;
    block.ordinal = row.integer(0);
    block.firstLine = row.integer(1);
    block.lines = row.integer(2);
    block.segment = row.small(3);
    block.offset = row.integer(4);
    block.length = row.integer(5);
    block.lowAt = row.integer(6);
    block.highAt = row.integer(7);
    if (!row.isNull(8)) block.clock = row.integer(8);
    auto counts = decodeCounts(row.bytes(9));
    if (!counts) throw CorruptIndex{"counts of a log block"};
    block.counts = std::move(*counts);
    return block;
}

}  // namespace

int logOutClass(std::string_view out) {
    if (out == "stdout") return 0;
    if (out == "stderr") return 1;
    if (out == "agent") return 2;
    if (out == "environment") return 4;
    return out == "logs" || out.starts_with("logs/") ? 5 : 3;
}

Bytes encodeCounts(const LogCounts& counts) {
    Bytes out;
    for (const auto& [source, lines] : counts) {
        putVarint(out, zigzag(source.first));
        putVarint(out, static_cast<std::uint64_t>(source.second));
        putVarint(out, static_cast<std::uint64_t>(lines));
    }
    return out;
}

std::optional<LogCounts> decodeCounts(std::string_view bytes) {
    LogCounts counts;
    while (!bytes.empty()) {
        std::uint64_t rank = 0, out = 0, lines = 0;
        if (!takeVarint(bytes, rank) || !takeVarint(bytes, out) || !takeVarint(bytes, lines)) return std::nullopt;
        counts[{static_cast<int>(unzigzag(rank)), static_cast<int>(out)}] += static_cast<std::int64_t>(lines);
    }
    return counts;
}

LogIndexer::LogIndexer(Connection& connection, std::int64_t run, int attempt, int node)
    : m_connection(connection), m_run(run), m_attempt(attempt), m_node(node) {}

void LogIndexer::load() {
    m_loaded = true;
    Query row(
        m_connection,
        "SELECT ordinal, first_line, lines, segment, offset, length, low_at, high_at, clock, counts FROM log_blocks "
        "WHERE run = ? AND attempt = ? AND node = ? ORDER BY ordinal DESC LIMIT 1",
        m_run, m_attempt, m_node);
    m_open = row.next();
    if (m_open) m_block = readBlock(row);
    m_clock = clockOf(m_connection, m_run, m_attempt, m_node, false);
}

void LogIndexer::setClock(std::int64_t micros) {
    if (m_loaded) m_clock = micros;
}

void LogIndexer::add(const wire::StreamEntry& entry, int out, std::int64_t lines) {
    if (!m_loaded) load();
    const std::int64_t end = entry.offset + entry.length;
    if (!m_open || m_block.segment != entry.segment || m_block.lines >= kBlockLines ||
        end - m_block.offset > kBlockBytes || m_block.clock != m_clock) {
        flush();
        LogBlock next;
        next.ordinal = m_open ? m_block.ordinal + 1 : 0;
        next.firstLine = m_open ? m_block.firstLine + m_block.lines : 0;
        next.segment = entry.segment;
        next.offset = entry.offset;
        next.lowAt = next.highAt = entry.record.t;
        next.clock = m_clock;
        m_block = std::move(next);
        m_open = true;
    }
    m_block.length = end - m_block.offset;
    m_block.lines += lines;
    m_block.lowAt = std::min(m_block.lowAt, entry.record.t);
    m_block.highAt = std::max(m_block.highAt, entry.record.t);
    m_block.counts[{entry.record.rank, out}] += lines;
    m_dirty = true;
}

void LogIndexer::flush() {
    if (!m_dirty) return;
    m_dirty = false;
    Query(m_connection, "REPLACE INTO log_blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", m_run, m_attempt,
          m_node, m_block.ordinal, m_block.firstLine, m_block.lines, m_block.segment, m_block.offset, m_block.length,
          m_block.lowAt, m_block.highAt, m_block.clock, encodeCounts(m_block.counts))
        .run();
}

std::optional<std::int64_t> clockOf(Connection& connection, std::int64_t run, int attempt, int node, bool first) {
    Query row(connection,
              first ? "SELECT offset FROM clocks WHERE run = ? AND attempt = ? AND node = ? ORDER BY seq LIMIT 1"
                    : "SELECT offset FROM clocks WHERE run = ? AND attempt = ? AND node = ? ORDER BY seq DESC LIMIT 1",
              run, attempt, node);
    return row.next() ? std::optional(row.integer(0)) : std::nullopt;
}

std::vector<LogBlock> loadLogBlocks(Connection& connection, std::int64_t run, int attempt, int node) {
    std::vector<LogBlock> blocks;
    Query rows(
        connection,
        "SELECT ordinal, first_line, lines, segment, offset, length, low_at, high_at, clock, counts FROM log_blocks "
        "WHERE run = ? AND attempt = ? AND node = ? ORDER BY ordinal",
        run, attempt, node);
    while (rows.next()) blocks.push_back(readBlock(rows));
    return blocks;
}

}  // namespace trainyard::store
