#include "core/store/Chart.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/store/LogIndex.h"
#include "core/store/SeriesStore.h"

namespace trainyard::store {
namespace {

constexpr std::int64_t kEverything = std::numeric_limits<std::int64_t>::max();
constexpr double kMicrosASecond = 1e6;
constexpr double kMicrosAMilli = 1e3;

/// One row of `series`, as a chart needs it.
struct Source {
    std::int64_t id = 0;
    int attempt = 1, node = 0, rank = 0;
    std::int64_t count = 0;
    std::int64_t firstStep = 0;
    std::int64_t lowStep = 0, highStep = 0, lowAt = 0, highAt = 0;
    bool ordered = true;
    std::int64_t clock = 0;              ///< Added to its times makes them the lead's.
    std::int64_t stepEnd = kEverything;  ///< Points at this step and after it were gone over again by a newer attempt.
};

struct Span {
    std::int64_t begin = 0, end = 0;
};

/// One bucket to draw; a single point is a bucket of one.
struct Drawn {
    Bucket bucket;
    double value = 0;        ///< Of a single point, NaN and infinities as they are.
    std::int64_t index = 0;  ///< Of the item within its level.
};

std::vector<Source> sourcesOf(Connection& connection, std::int64_t run, const ChartCurve& curve, bool showReplaced) {
    std::vector<Source> sources;
    Query rows(connection,
               "SELECT id, attempt, node, rank, count, first_step, low_step, high_step, low_at, high_at, ordered "
               "FROM series WHERE run = ? AND kind = ? AND name = ? ORDER BY attempt, node, rank",
               run, static_cast<int>(curve.kind), curve.name);
    while (rows.next())
        sources.push_back({rows.integer(0), rows.small(1), rows.small(2), rows.small(3), rows.integer(4),
                           rows.integer(5), rows.integer(6), rows.integer(7), rows.integer(8), rows.integer(9),
                           rows.integer(10) != 0});
    for (Source& source : sources) {
        if (source.node > 0) source.clock = clockOf(connection, run, source.attempt, source.node, false).value_or(0);
    }
    if (!showReplaced && !curve.attempt && curve.kind == SeriesKind::Metric) {
        for (Source& older : sources) {
            for (const Source& newer : sources) {
                if (newer.rank == older.rank && newer.attempt > older.attempt)
                    older.stepEnd = std::min(older.stepEnd, newer.firstStep);
            }
        }
    }
    std::erase_if(sources, [&](const Source& source) {
        return (curve.rank && source.rank != *curve.rank) || (curve.node && source.node != *curve.node) ||
               (curve.attempt && source.attempt != *curve.attempt) || source.lowStep >= source.stepEnd ||
               source.count == 0;
    });
    return sources;
}

class CurveReader {
public:
    CurveReader(Connection& connection, const Source& source, const ChartRequest& request, std::int64_t zeroTime)
        : m_connection(connection), m_source(source), m_axis(request.axis), m_zeroTime(zeroTime),
          m_most(2 * std::clamp<std::int64_t>(request.pixels, 16, 16384)) {
        m_count = source.count;
        if (source.stepEnd != kEverything && source.ordered && source.highStep >= source.stepEnd)
            m_count = pointsBelow(source.stepEnd);
        m_low = request.from ? toTicks(*request.from, true) : std::numeric_limits<std::int64_t>::min();
        m_high = request.to ? toTicks(*request.to, false) : kEverything;
    }

    void read(ChartSeries& out);

private:
    [[nodiscard]] bool usesSteps() const { return m_axis == ChartAxis::Step; }
    [[nodiscard]] double toAxis(std::int64_t ticks) const {
        switch (m_axis) {
        case ChartAxis::Step: return static_cast<double>(ticks);
        case ChartAxis::RelativeTime: return static_cast<double>(ticks + m_source.clock - m_zeroTime) / kMicrosASecond;
        case ChartAxis::WallTime: return static_cast<double>(ticks + m_source.clock) / kMicrosAMilli;
        }
        return 0;
    }
    [[nodiscard]] std::int64_t toTicks(double x, bool up) const {
        double ticks = x;
        if (m_axis == ChartAxis::RelativeTime)
            ticks = x * kMicrosASecond + static_cast<double>(m_zeroTime - m_source.clock);
        else if (m_axis == ChartAxis::WallTime)
            ticks = x * kMicrosAMilli - static_cast<double>(m_source.clock);
        ticks = up ? std::ceil(ticks) : std::floor(ticks);
        constexpr double kLimit = 9e18;
        return static_cast<std::int64_t>(std::isnan(ticks) ? 0.0 : std::clamp(ticks, -kLimit, kLimit));
    }
    [[nodiscard]] std::int64_t low(const Bucket& bucket) const { return usesSteps() ? bucket.stepLow : bucket.timeLow; }
    [[nodiscard]] std::int64_t high(const Bucket& bucket) const {
        return usesSteps() ? bucket.stepHigh : bucket.timeHigh;
    }
    [[nodiscard]] bool visible(const Bucket& bucket) const {
        return high(bucket) >= m_low && low(bucket) <= m_high && bucket.stepLow < m_source.stepEnd;
    }
    [[nodiscard]] std::int64_t itemsAt(int level) const {
        const std::int64_t size = pointsPerItem(level);
        return (m_count + size - 1) / size;
    }
    [[nodiscard]] int topLevel() const {
        int level = 0;
        while (pointsPerItem(level + 1) <= m_count) ++level;
        return level;
    }
    std::vector<Drawn> load(int level, Span span) const;
    [[nodiscard]] Bucket unfinished(int level) const;
    [[nodiscard]] std::int64_t pointsBelow(std::int64_t step) const;
    [[nodiscard]] static std::vector<Drawn> grouped(const std::vector<Drawn>& points, std::int64_t group);
    void put(ChartSeries& out, std::vector<Drawn> items, std::int64_t pointsEach) const;

    Connection& m_connection;
    const Source& m_source;
    ChartAxis m_axis;
    std::int64_t m_zeroTime;
    std::int64_t m_most;       ///< Entries to return at most, give or take the edges.
    std::int64_t m_count = 0;  ///< Points that may be shown.
    std::int64_t m_low = 0, m_high = 0;
};

/// What the points behind the last whole bucket of a level come to; they are few on each level below.
Bucket CurveReader::unfinished(int level) const {
    Bucket rest;
    std::int64_t at = m_count - m_count % pointsPerItem(level);
    for (int finer = level - 1; finer >= 1; --finer) {
        const std::int64_t size = pointsPerItem(finer);
        for (const Bucket& bucket : loadBuckets(m_connection, m_source.id, finer, at / size, m_count / size))
            rest.add(bucket);
        at = m_count - m_count % size;
    }
    for (const Point& point : loadPoints(m_connection, m_source.id, at, m_count)) rest.add(point);
    return rest;
}

std::vector<Drawn> CurveReader::load(int level, Span span) const {
    std::vector<Drawn> items;
    items.reserve(static_cast<std::size_t>(span.end - span.begin));
    if (level == 0) {
        for (const Point& point : loadPoints(m_connection, m_source.id, span.begin, std::min(span.end, m_count))) {
            Drawn drawn;
            drawn.bucket.add(point);
            drawn.value = point.value;
            drawn.index = span.begin + static_cast<std::int64_t>(items.size());
            items.push_back(drawn);
        }
        return items;
    }
    const std::int64_t whole = m_count / pointsPerItem(level);
    for (const Bucket& bucket : loadBuckets(m_connection, m_source.id, level, span.begin, std::min(span.end, whole)))
        items.push_back({bucket, 0, span.begin + static_cast<std::int64_t>(items.size())});
    if (span.end > whole && m_count % pointsPerItem(level) != 0) items.push_back({unfinished(level), 0, whole});
    return items;
}

/// Points before the first one at `step` or later, in a series whose steps never go back.
std::int64_t CurveReader::pointsBelow(std::int64_t step) const {
    int level = topLevel();
    Span span{0, m_count / pointsPerItem(level)};
    std::int64_t below = 0;
    for (; level >= 1; --level) {
        std::int64_t first = span.begin;
        for (const Bucket& bucket : loadBuckets(m_connection, m_source.id, level, span.begin, span.end)) {
            if (bucket.stepHigh >= step) break;
            ++first;
        }
        const std::int64_t ratio = pointsPerItem(level) / pointsPerItem(level - 1);
        span = {first * ratio, std::min((first + 1) * ratio, m_count / pointsPerItem(level - 1))};
    }
    below = span.begin;
    for (const Point& point : loadPoints(m_connection, m_source.id, span.begin, span.end)) {
        if (point.step >= step) break;
        ++below;
    }
    return below;
}

std::vector<Drawn> CurveReader::grouped(const std::vector<Drawn>& points, std::int64_t group) {
    std::vector<Drawn> groups;
    for (const Drawn& point : points) {
        const std::int64_t index = point.index / group;
        if (groups.empty() || groups.back().index != index) groups.push_back({{}, 0, index});
        groups.back().bucket.add(point.bucket);
    }
    return groups;
}

void CurveReader::put(ChartSeries& out, std::vector<Drawn> items, std::int64_t pointsEach) const {
    if (!m_source.ordered)
        std::stable_sort(items.begin(), items.end(),
                         [this](const Drawn& a, const Drawn& b) { return low(a.bucket) < low(b.bucket); });
    out.raw = pointsEach == 1;
    out.pointsPerBucket = pointsEach;
    double lastX = -std::numeric_limits<double>::infinity();
    for (const Drawn& item : items) {
        const Bucket& bucket = item.bucket;
        // The middle of what the bucket stands for; overlapping buckets of an unordered series must not go back.
        lastX = std::max(lastX, (toAxis(low(bucket)) + toAxis(high(bucket))) / 2);
        out.x.push_back(lastX);
        if (out.raw) {
            out.mean.push_back(item.value);
            continue;
        }
        out.min.push_back(bucket.min);
        out.max.push_back(bucket.max);
        out.mean.push_back(bucket.finite > 0 ? bucket.sum / static_cast<double>(bucket.finite)
                                             : std::numeric_limits<double>::quiet_NaN());
        out.nonFinite.push_back(bucket.count - bucket.finite);
    }
}

void CurveReader::read(ChartSeries& out) {
    out.points = m_source.count;
    out.xFirst = toAxis(usesSteps() ? m_source.lowStep : m_source.lowAt);
    out.xLast = toAxis(usesSteps() ? std::min(m_source.highStep, m_source.stepEnd - 1) : m_source.highAt);
    if (m_count == 0) return;
    if (m_count < m_source.count && !usesSteps()) {
        const auto last = loadPoints(m_connection, m_source.id, m_count - 1, m_count);
        out.xLast = last.empty() ? out.xLast : toAxis(last.front().t);
    }
    int level = topLevel();
    Span span{0, itemsAt(level)};
    for (;;) {
        std::vector<Drawn> items = load(level, span);
        // From the first visible item to the last, and one more on each side for the line to the edge.
        std::size_t first = items.size(), last = 0;
        for (std::size_t i = 0; i < items.size(); ++i) {
            if (visible(items[i].bucket)) {
                first = std::min(first, i);
                last = i + 1;
            }
        }
        if (first >= last) {
            // Nothing in sight: the neighbours of the gap still draw the line that crosses it.
            const auto beyond = std::find_if(items.begin(), items.end(),
                                             [this](const Drawn& item) { return low(item.bucket) > m_high; });
            first = last = static_cast<std::size_t>(beyond - items.begin());
        }
        first = first > 0 ? first - 1 : 0;
        last = std::min(last + 1, items.size());
        if (last > items.size() || first >= last) return;
        items = std::vector<Drawn>(items.begin() + static_cast<std::ptrdiff_t>(first),
                                   items.begin() + static_cast<std::ptrdiff_t>(last));
        // Points of an unordered series at hidden steps may lie between visible ones.
        std::erase_if(items, [this](const Drawn& item) { return item.bucket.stepLow >= m_source.stepEnd; });
        if (items.empty()) return;
        const auto count = static_cast<std::int64_t>(items.size());
        if (level == 0) {
            std::int64_t group = 1;
            while (count / group > m_most) group *= 2;
            put(out, group == 1 ? std::move(items) : grouped(items, group), group);
            return;
        }
        // Sixteen points a bucket is a large step: below it the points themselves are read and reduced here.
        const std::int64_t ratio = pointsPerItem(level) / pointsPerItem(level - 1);
        const std::int64_t most = level == 1 ? kBaseFanout / 4 * m_most : m_most;
        if (count * ratio > most) {
            put(out, std::move(items), pointsPerItem(level));
            return;
        }
        span = {items.front().index * ratio, std::min((items.back().index + 1) * ratio, itemsAt(level - 1))};
        --level;
    }
}

std::int64_t zeroTimeOf(std::int64_t startedAt, const std::vector<Source>& sources) {
    if (startedAt > 0 || sources.empty()) return startedAt;
    const auto first = std::min_element(sources.begin(), sources.end(), [](const Source& a, const Source& b) {
        return a.lowAt + a.clock < b.lowAt + b.clock;
    });
    return first->lowAt + first->clock;
}

}  // namespace

Result<ChartData> readChart(Connection& connection, const ChartRequest& request, const std::function<bool()>& stop) {
    ChartData data;
    for (const ChartCurve& curve : request.curves) {
        std::int64_t run = 0, startedAt = 0;
        {
            Query row(connection, "SELECT number, started_at FROM runs WHERE id = ?", curve.run.str());
            if (!row.next()) continue;
            run = row.integer(0);
            startedAt = row.integer(1);
        }
        const std::vector<Source> sources = sourcesOf(connection, run, curve, request.showReplaced);
        for (const Source& source : sources) {
            if (stop()) return base::Error{"canceled", "The query was stopped."};
            ChartSeries series;
            series.run = curve.run;
            series.number = run;
            series.name = curve.name;
            series.attempt = source.attempt;
            series.node = source.node;
            series.rank = source.rank;
            CurveReader(connection, source, request, zeroTimeOf(startedAt, sources)).read(series);
            data.series.push_back(std::move(series));
        }
    }
    return data;
}

}  // namespace trainyard::store
