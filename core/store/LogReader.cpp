#include "core/store/LogReader.h"

#include <algorithm>

#include "core/base/Clock.h"
#include "core/base/Text.h"
#include "core/store/BodyReading.h"
#include "core/store/LinePattern.h"

namespace trainyard::store {
namespace {

constexpr std::int64_t kMostLines = 10'000;

bool passes(const LogFilter& filter, int rank, int outClass) {
    return (!filter.rank || *filter.rank == rank) && (filter.out.empty() || logOutClass(filter.out) == outClass);
}

}  // namespace

LogReader::LogReader(Connection& connection, const wire::WorkspaceLayout& layout, const RunId& run, std::int64_t number,
                     int attempt, const LogFilter& filter)
    : m_folder(layout.stream(run, attempt, filter.node)), m_filter(filter) {
    for (LogBlock& block : loadLogBlocks(connection, number, attempt, filter.node)) {
        std::int64_t lines = 0;
        for (const auto& [source, count] : block.counts) {
            if (passes(filter, source.first, source.second)) lines += count;
        }
        if (lines == 0) continue;
        m_places.push_back({std::move(block), m_total, lines});
        m_total += lines;
    }
}

Result<std::string> LogReader::bytesOf(const Place& place) const {
    return base::readFileRange(m_folder / wire::segmentName(place.block.segment), place.block.offset,
                               place.block.length);
}

std::vector<LogLine> LogReader::linesOf(const Place& place, std::string_view bytes) const {
    std::vector<LogLine> found;
    std::int64_t index = place.first;
    std::int64_t number = place.block.firstLine;
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
        const std::string out = textAt(record->body, "out");
        const bool pass = passes(m_filter, record->rank, logOutClass(out));
        for (const Json& text : *lines) {
            if (pass)
                found.push_back({index++, number, record->t, record->rank, out,
                                 text.is_string() ? text.get<std::string>() : base::dumpJson(text)});
            ++number;
        }
    }
    return found;
}

Result<std::vector<LogLine>> LogReader::lines(std::int64_t first, std::int64_t count) const {
    std::vector<LogLine> out;
    first = std::max<std::int64_t>(first, 0);
    const std::int64_t end = std::min(m_total, first + std::clamp<std::int64_t>(count, 0, kMostLines));
    auto place = std::partition_point(m_places.begin(), m_places.end(),
                                      [&](const Place& p) { return p.first + p.lines <= first; });
    for (; place != m_places.end() && place->first < end; ++place) {
        const auto bytes = bytesOf(*place);
        if (!bytes) return bytes.error();
        for (LogLine& line : linesOf(*place, *bytes)) {
            if (line.index >= first && line.index < end) out.push_back(std::move(line));
        }
    }
    return out;
}

Result<LogSearchResult> LogReader::search(const LogSearch& search, const std::function<bool()>& stop) const {
    const auto pattern = LinePattern::make(search);
    if (!pattern) return pattern.error();
    LogSearchResult result;
    if (m_places.empty()) return result;
    const auto deadline = base::Deadline::inMillis(std::max<std::int64_t>(0, search.maxMillis));
    const std::int64_t from = std::clamp<std::int64_t>(search.from, 0, m_total - 1);
    if (!search.backward && search.from >= m_total) return result;
    auto at = std::partition_point(m_places.begin(), m_places.end(),
                                   [&](const Place& p) { return p.first + p.lines <= from; }) -
              m_places.begin();
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
        std::vector<LogLine> lines = linesOf(place, *bytes);
        if (search.backward) std::reverse(lines.begin(), lines.end());
        for (LogLine& line : lines) {
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
