#include "core/store/LogReader.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "core/base/Clock.h"
#include "core/store/LinePattern.h"

namespace trainyard::store {
namespace {

constexpr std::int64_t kMostLines = 10'000;

}  // namespace

std::vector<LogStream> openLogStreams(Connection& connection, const wire::WorkspaceLayout& layout, const RunId& run,
                                      std::int64_t number, int attempt, const LogFilter& filter) {
    std::set<int> nodes;
    if (filter.rank && *filter.rank >= 0) {
        // A rank's lines stand in the stream of its node.
        Query row(connection, "SELECT node FROM ranks WHERE run = ? AND attempt = ? AND rank = ?", number, attempt,
                  *filter.rank);
        nodes.insert(row.next() ? std::max(0, row.small(0)) : filter.node.value_or(0));
    } else if (filter.node) {
        nodes.insert(*filter.node);
    } else {
        Query rows(connection, "SELECT node FROM cursors WHERE run = ? AND attempt = ?", number, attempt);
        while (rows.next()) nodes.insert(rows.small(0));
    }
    std::vector<LogStream> streams;
    for (const int node : nodes) streams.emplace_back(connection, layout, run, number, attempt, node, filter);
    return streams;
}

// ---------------------------------------------------------------------------------------------------- merging

void LogMerge::add(const LogStream& stream, std::int64_t position) {
    m_heads.push_back({&stream, position, stream.placeOf(position)});
}

/// Of the next line, or what it is not below as long as its block was not read.
std::int64_t LogMerge::keyOf(const Head& head) {
    const LogStream::Place& place = head.stream->places()[head.place];
    return head.lines ? (*head.lines)[static_cast<std::size_t>(head.position - place.first)].key : place.low;
}

bool LogMerge::atEnd() const {
    return std::all_of(m_heads.begin(), m_heads.end(),
                       [](const Head& head) { return head.place >= head.stream->places().size(); });
}

Result<std::optional<LogLine>> LogMerge::next() {
    for (;;) {
        Head* least = nullptr;
        std::tuple<int, std::int64_t, int> leastKey;
        for (Head& head : m_heads) {
            if (head.place >= head.stream->places().size()) continue;
            const std::tuple key(head.stream->attempt(), keyOf(head), head.stream->node());
            if (least == nullptr || key < leastKey) {
                least = &head;
                leastKey = key;
            }
        }
        if (least == nullptr) return std::optional<LogLine>();
        const LogStream::Place& place = least->stream->places()[least->place];
        if (!least->lines) {
            auto lines = least->stream->linesAt(least->place);
            if (!lines) return lines.error();
            if (static_cast<std::int64_t>((*lines)->size()) < place.lines)
                throw CorruptIndex{"log lines of node " + std::to_string(least->stream->node())};
            least->lines = std::move(*lines);
            continue;
        }
        LogLine line = (*least->lines)[static_cast<std::size_t>(least->position - place.first)].line;
        if (++least->position == place.first + place.lines) {
            ++least->place;
            least->lines.reset();
        }
        return std::optional(std::move(line));
    }
}

// ---------------------------------------------------------------------------------------------------- one attempt

LogReader::LogReader(std::vector<LogStream> streams, int nodes) : m_streams(std::move(streams)) {
    m_complete = static_cast<int>(m_streams.size()) >= nodes;
    for (const LogStream& stream : m_streams) m_total += stream.total();
}

Result<std::int64_t> LogReader::settled() const {
    if (!m_complete) return std::int64_t{0};
    if (m_streams.size() <= 1) return m_total;
    std::optional<std::int64_t> least;
    for (const LogStream& stream : m_streams) {
        if (!stream.lastKey()) return std::int64_t{0};
        least = std::min(least.value_or(*stream.lastKey()), *stream.lastKey());
    }
    return countBefore(*least, 0, false);
}

/// Lines in front of (key, node) in the merged order, or up to it.
Result<std::int64_t> LogReader::countBefore(std::int64_t key, int node, bool inclusive) const {
    std::int64_t lines = 0;
    for (const LogStream& stream : m_streams) {
        const auto below = stream.countBelow(key, stream.node() < node || (inclusive && stream.node() == node));
        if (!below) return below.error();
        lines += *below;
    }
    return lines;
}

/// How many lines of each stream stand in front of a merged line. Reads a block or two of each stream: from the last
/// key that begins a block and has at most so many lines before it, it goes line by line.
Result<std::vector<std::int64_t>> LogReader::positionsAt(std::int64_t index) const {
    std::vector<std::int64_t> keys;
    for (const LogStream& stream : m_streams) {
        for (const LogStream::Place& place : stream.places()) keys.push_back(place.low);
    }
    std::sort(keys.begin(), keys.end());
    const auto mostBelow = [this](std::int64_t key) {
        std::int64_t lines = 0;
        for (const LogStream& stream : m_streams) {
            const auto& places = stream.places();
            const auto end = std::partition_point(places.begin(), places.end(),
                                                  [key](const LogStream::Place& p) { return p.low < key; });
            lines += end == places.begin() ? 0 : std::prev(end)->first + std::prev(end)->lines;
        }
        return lines;
    };
    const auto behind =
        std::partition_point(keys.begin(), keys.end(), [&](std::int64_t key) { return mostBelow(key) <= index; });
    LogMerge merge;
    std::int64_t at = 0;
    for (const LogStream& stream : m_streams) {
        const auto below =
            behind == keys.begin() ? Result<std::int64_t>(0) : stream.countBelow(*std::prev(behind), false);
        if (!below) return below.error();
        merge.add(stream, *below);
        at += *below;
    }
    for (; at < index; ++at) {
        const auto line = merge.next();
        if (!line) return line.error();
        if (!*line) break;
    }
    std::vector<std::int64_t> positions;
    for (std::size_t i = 0; i < m_streams.size(); ++i) positions.push_back(merge.position(i));
    return positions;
}

Result<std::vector<LogLine>> LogReader::lines(std::int64_t first, std::int64_t count, LogPlace& behind) const {
    first = std::clamp<std::int64_t>(first, 0, m_total);
    count = std::min(std::clamp<std::int64_t>(count, 0, kMostLines), m_total - first);
    if (m_streams.size() == 1) {
        behind.taken[{m_streams.front().attempt(), m_streams.front().node()}] = first + count;
        return m_streams.front().lines(first, count);
    }
    const auto positions = positionsAt(first);
    if (!positions) return positions.error();
    LogMerge merge;
    for (std::size_t i = 0; i < m_streams.size(); ++i) merge.add(m_streams[i], (*positions)[i]);
    std::vector<LogLine> out;
    out.reserve(static_cast<std::size_t>(count));
    for (std::int64_t index = first; index < first + count; ++index) {
        auto line = merge.next();
        if (!line) return line.error();
        if (!*line) break;
        (*line)->index = index;
        out.push_back(std::move(**line));
    }
    for (std::size_t i = 0; i < m_streams.size(); ++i)
        behind.taken[{m_streams[i].attempt(), m_streams[i].node()}] = merge.position(i);
    return out;
}

Result<LogSearchResult> LogReader::search(const LogSearch& search, const std::function<bool()>& stop) const {
    if (m_streams.size() == 1) return m_streams.front().search(search, stop);
    return searchAll(search, stop);
}

/// Block by block in the order of their times: every block is read once, and none behind the match.
Result<LogSearchResult> LogReader::searchAll(const LogSearch& search, const std::function<bool()>& stop) const {
    const auto pattern = LinePattern::make(search);
    if (!pattern) return pattern.error();
    LogSearchResult result;
    if (m_total == 0 || (!search.backward && search.from >= m_total)) return result;
    const auto deadline = base::Deadline::inMillis(std::max<std::int64_t>(0, search.maxMillis));
    const bool back = search.backward;
    const std::int64_t from = std::clamp<std::int64_t>(search.from, 0, m_total - 1);
    const auto begin = positionsAt(back ? from + 1 : from);
    if (!begin) return begin.error();

    std::vector<std::ptrdiff_t> at(m_streams.size());
    for (std::size_t i = 0; i < m_streams.size(); ++i)
        at[i] = back && (*begin)[i] == 0
                    ? -1
                    : static_cast<std::ptrdiff_t>(m_streams[i].placeOf((*begin)[i] - (back ? 1 : 0)));
    std::vector<bool> looked(m_streams.size(), false);
    std::optional<Found> best;
    const auto order = [&](std::int64_t key, int node) { return back ? std::pair(-key, -node) : std::pair(key, node); };
    for (;;) {
        // The stream whose next block comes first.
        std::optional<std::size_t> next;
        std::pair<std::int64_t, int> nextOrder;
        bool allLooked = true;
        for (std::size_t i = 0; i < m_streams.size(); ++i) {
            const auto& places = m_streams[i].places();
            if (at[i] < 0 || at[i] >= static_cast<std::ptrdiff_t>(places.size())) continue;
            allLooked = allLooked && looked[i];
            const LogStream::Place& place = places[static_cast<std::size_t>(at[i])];
            const auto mine = order(back ? place.high : place.low, m_streams[i].node());
            if (!next || mine < nextOrder) {
                next = i;
                nextOrder = mine;
            }
        }
        if (!next || (best && order(best->line.key, m_streams[best->stream].node()) < nextOrder)) break;
        if (stop()) return base::Error{"canceled", "The search was stopped."};
        const LogStream& stream = m_streams[*next];
        const std::size_t number = static_cast<std::size_t>(at[*next]);
        const LogStream::Place& place = stream.places()[number];
        // A block of every stream a call, so that going on gets on.
        if (allLooked && deadline.passed()) {
            const auto before = countBefore(back ? place.high : place.low, stream.node(), back);
            if (!before) return before.error();
            if (!back) {
                result.continueAt = std::max(*before, from + 1);
            } else if (const std::int64_t last = std::min(*before, from) - 1; last >= 0) {
                result.continueAt = last;
            }
            return result;
        }
        looked[*next] = true;
        at[*next] += back ? -1 : 1;
        const auto bytes = stream.bytesOf(place);
        if (!bytes) return bytes.error();
        if (!pattern->mayBeIn(*bytes)) continue;
        std::vector<KeyedLine> lines = stream.linesOf(place, *bytes);
        if (back) std::reverse(lines.begin(), lines.end());
        for (KeyedLine& line : lines) {
            if (back ? line.line.index >= (*begin)[*next] : line.line.index < (*begin)[*next]) continue;
            if (stop()) return base::Error{"canceled", "The search was stopped."};
            const auto match = pattern->find(line.line.text);
            if (!match) continue;
            const bool better =
                !best || order(line.key, stream.node()) < order(best->line.key, m_streams[best->stream].node());
            if (better) best = Found{std::move(line), *next, match->first, match->second};
            break;
        }
    }
    if (!best) return result;
    // Its own stream counts by place, for many lines may have one time.
    std::int64_t index = best->line.line.index;
    for (std::size_t i = 0; i < m_streams.size(); ++i) {
        if (i == best->stream) continue;
        const auto below =
            m_streams[i].countBelow(best->line.key, m_streams[i].node() < m_streams[best->stream].node());
        if (!below) return below.error();
        index += *below;
    }
    best->line.line.index = index;
    result.match = LogMatch{std::move(best->line.line), best->offset, best->length};
    return result;
}

Result<LogNews> readLogAfter(const std::vector<LogStream>& streams, const LogPlace& place, std::int64_t count) {
    LogNews news;
    news.place = place;
    count = std::clamp<std::int64_t>(count, 0, kMostLines);
    LogMerge merge;
    for (const LogStream& stream : streams) {
        const auto had = place.taken.find({stream.attempt(), stream.node()});
        merge.add(stream, had == place.taken.end() ? 0 : std::min(had->second, stream.total()));
    }
    while (static_cast<std::int64_t>(news.lines.size()) < count) {
        auto line = merge.next();
        if (!line) return line.error();
        if (!*line) break;
        (*line)->index = static_cast<std::int64_t>(news.lines.size());
        news.lines.push_back(std::move(**line));
    }
    for (std::size_t i = 0; i < streams.size(); ++i)
        news.place.taken[{streams[i].attempt(), streams[i].node()}] = merge.position(i);
    news.more = !merge.atEnd();
    return news;
}

}  // namespace trainyard::store
