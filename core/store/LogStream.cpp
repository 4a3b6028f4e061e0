#include "core/store/LogStream.h"

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <tuple>

#include "core/base/Clock.h"
#include "core/base/Text.h"
#include "core/store/BodyReading.h"
#include "core/store/LinePattern.h"

namespace trainyard::store {
namespace {

/// Calls `take` with each log record of a block's bytes and its lines.
template <class Take>
void eachLogRecord(std::string_view bytes, const Take& take) {
    std::int64_t lastSeq = 0;
    while (!bytes.empty()) {
        const std::size_t end = bytes.find('\n');
        const std::string_view line = bytes.substr(0, end);
        bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
        if (line.find("\"log\"") == std::string_view::npos) continue;
        const auto record = wire::decode(line);
        // A record with a seq that was there before had not been counted either.
        if (!record || record->kind != wire::kind::kLog || record->seq <= lastSeq) continue;
        lastSeq = record->seq;
        const auto lines = record->body.find("lines");
        if (lines == record->body.end() || !lines->is_array()) continue;
        take(*record, *lines);
    }
}

/// Lines of each file under logs/, by rank and name.
using FileLines = std::map<std::pair<int, std::string>, std::int64_t>;

/// What the index keeps as one number is counted out of the block itself, once a process: a block never changes but the
/// last, which grows. Any thread.
std::shared_ptr<const FileLines> fileLinesOf(const Path& segment, const LogBlock& block) {
    constexpr std::size_t kMostKept = 65'536;
    using Key = std::tuple<std::string, std::int64_t, std::int64_t>;
    static std::mutex lock;
    static std::map<Key, std::shared_ptr<const FileLines>> kept;
    const Key key(segment.string(), block.offset, block.length);
    {
        const std::lock_guard guard(lock);
        if (const auto known = kept.find(key); known != kept.end()) return known->second;
    }
    auto counted = std::make_shared<FileLines>();
    if (const auto bytes = base::readFileRange(segment, block.offset, block.length)) {
        eachLogRecord(*bytes, [&](const wire::Record& record, const Json& lines) {
            const std::string out = textAt(record.body, "out");
            if (out.starts_with("logs/")) (*counted)[{record.rank, out}] += static_cast<std::int64_t>(lines.size());
        });
    }
    const std::lock_guard guard(lock);
    if (kept.size() >= kMostKept) kept.clear();
    kept[key] = counted;
    return counted;
}

}  // namespace

LogStream::LogStream(Connection& connection, const wire::WorkspaceLayout& layout, const RunId& run, std::int64_t number,
                     int attempt, int node, const LogFilter& filter)
    : m_folder(layout.stream(run, attempt, node)), m_filter(filter), m_oneFile(filter.out.starts_with("logs/")),
      m_attempt(attempt), m_node(node) {
    const int outClass = logOutClass(filter.out);
    const std::int64_t firstClock = clockOf(connection, number, attempt, node, true).value_or(0);
    std::int64_t before = std::numeric_limits<std::int64_t>::min();
    for (LogBlock& block : loadLogBlocks(connection, number, attempt, node)) {
        std::int64_t lines = 0;
        for (const auto& [source, count] : block.counts) {
            const bool pass =
                (!filter.rank || *filter.rank == source.first) && (filter.out.empty() || outClass == source.second);
            if (!pass) continue;
            lines += count;
        }
        if (m_oneFile && lines > 0) {
            lines = 0;
            for (const auto& [source, count] : *fileLinesOf(m_folder / wire::segmentName(block.segment), block)) {
                if (passes(source.first, source.second)) lines += count;
            }
        }
        Place place;
        place.offset = block.clock.value_or(firstClock);
        place.before = before;
        place.low = std::max(before, block.lowAt + place.offset);
        place.high = std::max(before, block.highAt + place.offset);
        before = place.high;
        m_lastKey = before;
        if (lines == 0) continue;
        place.block = std::move(block);
        place.first = m_total;
        place.lines = lines;
        m_total += lines;
        m_places.push_back(std::move(place));
    }
}

std::size_t LogStream::placeOf(std::int64_t line) const {
    return static_cast<std::size_t>(std::partition_point(m_places.begin(), m_places.end(),
                                                         [&](const Place& p) { return p.first + p.lines <= line; }) -
                                    m_places.begin());
}

Result<std::string> LogStream::bytesOf(const Place& place) const {
    return base::readFileRange(m_folder / wire::segmentName(place.block.segment), place.block.offset,
                               place.block.length);
}

bool LogStream::passes(int rank, const std::string& out) const {
    if (m_filter.rank && *m_filter.rank != rank) return false;
    return m_filter.out.empty() || (m_oneFile ? out == m_filter.out : logOutClass(out) == logOutClass(m_filter.out));
}

std::vector<KeyedLine> LogStream::linesOf(const Place& place, std::string_view bytes) const {
    std::vector<KeyedLine> found;
    std::int64_t index = place.first;
    std::int64_t number = place.block.firstLine;
    std::int64_t key = place.before;
    eachLogRecord(bytes, [&](const wire::Record& record, const Json& lines) {
        const std::int64_t at = record.t + place.offset;
        key = std::max(key, at);
        const std::string out = textAt(record.body, "out");
        const bool pass = passes(record.rank, out);
        for (const Json& text : lines) {
            if (pass)
                found.push_back({{index++, number, at, m_attempt, m_node, record.rank, out,
                                  text.is_string() ? text.get<std::string>() : base::dumpJson(text)},
                                 key});
            ++number;
        }
    });
    return found;
}

void LogStream::addFiles(std::set<std::string>& files) const {
    for (const Place& place : m_places) {
        for (const auto& [source, count] : *fileLinesOf(m_folder / wire::segmentName(place.block.segment), place.block))
            files.insert(source.second);
    }
}

Result<std::shared_ptr<const std::vector<KeyedLine>>> LogStream::linesAt(std::size_t place) const {
    if (m_kept && m_keptPlace == place) return m_kept;
    const auto bytes = bytesOf(m_places[place]);
    if (!bytes) return bytes.error();
    m_kept = std::make_shared<const std::vector<KeyedLine>>(linesOf(m_places[place], *bytes));
    m_keptPlace = place;
    return m_kept;
}

Result<std::int64_t> LogStream::countBelow(std::int64_t key, bool inclusive) const {
    const auto place = std::partition_point(m_places.begin(), m_places.end(),
                                            [&](const Place& p) { return inclusive ? p.high <= key : p.high < key; });
    if (place == m_places.end()) return m_total;
    if (inclusive ? place->low > key : place->low >= key) return place->first;
    const auto lines = linesAt(static_cast<std::size_t>(place - m_places.begin()));
    if (!lines) return lines.error();
    const auto below = std::partition_point((*lines)->begin(), (*lines)->end(), [&](const KeyedLine& line) {
        return inclusive ? line.key <= key : line.key < key;
    });
    return place->first + (below - (*lines)->begin());
}

Result<std::vector<LogLine>> LogStream::lines(std::int64_t first, std::int64_t count) const {
    std::vector<LogLine> out;
    const std::int64_t end = std::min(m_total, first + count);
    for (std::size_t at = placeOf(first); at < m_places.size() && m_places[at].first < end; ++at) {
        const auto bytes = bytesOf(m_places[at]);
        if (!bytes) return bytes.error();
        for (KeyedLine& one : linesOf(m_places[at], *bytes)) {
            if (one.line.index >= first && one.line.index < end) out.push_back(std::move(one.line));
        }
    }
    return out;
}

Result<LogSearchResult> LogStream::search(const LogSearch& search, const std::function<bool()>& stop) const {
    const auto pattern = LinePattern::make(search);
    if (!pattern) return pattern.error();
    LogSearchResult result;
    if (m_places.empty()) return result;
    const auto deadline = base::Deadline::inMillis(std::max<std::int64_t>(0, search.maxMillis));
    const std::int64_t from = std::clamp<std::int64_t>(search.from, 0, m_total - 1);
    if (!search.backward && search.from >= m_total) return result;
    auto at = static_cast<std::ptrdiff_t>(placeOf(from));
    const auto step = search.backward ? -1 : 1;
    bool looked = false;  // At least one line a call, so that going on gets on.
    for (; at >= 0 && at < static_cast<std::ptrdiff_t>(m_places.size()); at += step) {
        const Place& place = m_places[static_cast<std::size_t>(at)];
        if (stop()) return base::Error{"canceled", "The search was stopped."};
        if (looked && deadline.passed()) {
            result.continueAt = search.backward ? place.first + place.lines - 1 : place.first;
            return result;
        }
        const auto bytes = bytesOf(place);
        if (!bytes) return bytes.error();
        if (!pattern->mayBeIn(*bytes)) {
            looked = true;
            continue;
        }
        std::vector<KeyedLine> lines = linesOf(place, *bytes);
        if (search.backward) std::reverse(lines.begin(), lines.end());
        for (auto& [line, key] : lines) {
            if (search.backward ? line.index > from : line.index < from) continue;
            if (stop()) return base::Error{"canceled", "The search was stopped."};
            if (looked && deadline.passed()) {
                result.continueAt = line.index;
                return result;
            }
            looked = true;
            if (const auto match = pattern->find(line.text)) {
                result.match = LogMatch{std::move(line), match->first, match->second};
                return result;
            }
        }
    }
    return result;
}

}  // namespace trainyard::store
