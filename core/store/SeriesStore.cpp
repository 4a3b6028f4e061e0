#include "core/store/SeriesStore.h"

#include <cmath>
#include <limits>

namespace trainyard::store {
namespace {

constexpr int kHashBits = 36;

/// FNV-1a: any good mixing does, as long as it never changes.
std::uint64_t hashOf(const SeriesKey& key) {
    std::uint64_t hash = 0xcbf29ce484222325;
    const auto add = [&hash](std::string_view bytes) {
        for (const char c : bytes) {
            hash ^= static_cast<unsigned char>(c);
            hash *= 0x100000001b3;
        }
    };
    add(std::to_string(static_cast<int>(key.kind)) + "/" + std::to_string(key.attempt) + "/" +
        std::to_string(key.node) + "/" + std::to_string(key.rank) + "/");
    add(key.name);
    return hash ^ (hash >> kHashBits);
}

/// The row of a series in memory while points are added.
struct Summary {
    std::int64_t id = 0;
    std::int64_t count = 0, nonFinite = 0;
    Point first, last;
    std::int64_t minStep = 0, maxStep = 0;
    double min = std::numeric_limits<double>::quiet_NaN();
    double max = std::numeric_limits<double>::quiet_NaN();
    std::int64_t lowStep = 0, highStep = 0, lowAt = 0, highAt = 0;
    bool ordered = true;  ///< Neither steps nor times ever went back.

    void add(const Point& point) {
        if (count == 0) {
            first = point;
            lowStep = highStep = point.step;
            lowAt = highAt = point.t;
        } else {
            ordered = ordered && point.step >= last.step && point.t >= last.t;
            lowStep = std::min(lowStep, point.step);
            highStep = std::max(highStep, point.step);
            lowAt = std::min(lowAt, point.t);
            highAt = std::max(highAt, point.t);
        }
        last = point;
        ++count;
        if (!std::isfinite(point.value)) {
            ++nonFinite;
            return;
        }
        if (!(point.value >= min)) {  // Also while min is NaN.
            min = point.value;
            minStep = point.step;
        }
        if (!(point.value <= max)) {
            max = point.value;
            maxStep = point.step;
        }
    }
};

/// The id's row when it is there. Two series of one run whose hashes agree take neighbouring ids.
Summary findOrPlace(Connection& connection, const SeriesKey& key, bool& exists) {
    const auto [begin, end] = seriesIds(key.run);
    std::int64_t id = begin + static_cast<std::int64_t>(hashOf(key) & ((std::uint64_t{1} << kHashBits) - 1));
    for (;; id = id + 1 < end ? id + 1 : begin) {
        Query row(connection,
                  "SELECT kind, name, attempt, node, rank, count, non_finite, first_step, first_at, first, last_step, "
                  "last_at, last, min_step, min, max_step, max, low_step, high_step, low_at, high_at, ordered "
                  "FROM series WHERE id = ?",
                  id);
        Summary summary;
        summary.id = id;
        exists = row.next();
        if (!exists) return summary;
        if (row.small(0) != static_cast<int>(key.kind) || row.text(1) != key.name || row.small(2) != key.attempt ||
            row.small(3) != key.node || row.small(4) != key.rank)
            continue;
        summary.count = row.integer(5);
        summary.nonFinite = row.integer(6);
        summary.first = {row.integer(7), row.integer(8), row.real(9)};
        summary.last = {row.integer(10), row.integer(11), row.real(12)};
        summary.minStep = row.integer(13);
        summary.min = row.real(14);
        summary.maxStep = row.integer(15);
        summary.max = row.real(16);
        summary.lowStep = row.integer(17);
        summary.highStep = row.integer(18);
        summary.lowAt = row.integer(19);
        summary.highAt = row.integer(20);
        summary.ordered = row.integer(21) != 0;
        return summary;
    }
}

void save(Connection& connection, const SeriesKey& key, const Summary& summary, bool exists) {
    if (exists) {
        Query(
            connection,
            "UPDATE series SET count = ?, non_finite = ?, last_step = ?, last_at = ?, last = ?, min_step = ?, min = ?, "
            "max_step = ?, max = ?, low_step = ?, high_step = ?, low_at = ?, high_at = ?, ordered = ? WHERE id = ?",
            summary.count, summary.nonFinite, summary.last.step, summary.last.t, summary.last.value, summary.minStep,
            summary.min, summary.maxStep, summary.max, summary.lowStep, summary.highStep, summary.lowAt, summary.highAt,
            summary.ordered, summary.id)
            .run();
        return;
    }
    Query(connection,
          "INSERT INTO series VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
          summary.id, key.run, static_cast<int>(key.kind), key.name, key.attempt, key.node, key.rank, summary.count,
          summary.nonFinite, summary.first.step, summary.first.t, summary.first.value, summary.last.step,
          summary.last.t, summary.last.value, summary.minStep, summary.min, summary.maxStep, summary.max,
          summary.lowStep, summary.highStep, summary.lowAt, summary.highAt, summary.ordered)
        .run();
}

Bytes encode(const Point* items, std::size_t count) { return encodePoints(items, count); }
Bytes encode(const Bucket* items, std::size_t count) { return encodeBuckets(items, count); }
void decode(std::string_view bytes, std::size_t count, std::optional<std::vector<Point>>& out) {
    out = decodePoints(bytes, count);
}
void decode(std::string_view bytes, std::size_t count, std::optional<std::vector<Bucket>>& out) {
    out = decodeBuckets(bytes, count);
}

template <class Item>
std::vector<Item> load(Connection& connection, std::int64_t series, int level, std::int64_t begin, std::int64_t end) {
    std::vector<Item> items;
    if (begin >= end) return items;
    items.reserve(static_cast<std::size_t>(end - begin));
    Query rows(connection,
               "SELECT first, count, data FROM blocks WHERE series = ? AND level = ? AND first > ? AND first < ? "
               "ORDER BY first",
               series, level, begin - kBlock, end);
    while (rows.next()) {
        const std::int64_t first = rows.integer(0);
        const std::int64_t count = rows.integer(1);
        if (first + count <= begin) continue;
        std::optional<std::vector<Item>> block;
        decode(rows.bytes(2), static_cast<std::size_t>(std::max<std::int64_t>(count, 0)), block);
        if (!block)
            throw CorruptIndex{"block " + std::to_string(first) + " of level " + std::to_string(level) + " of series " +
                               std::to_string(series)};
        const auto from = std::max<std::int64_t>(begin - first, 0);
        const auto to = std::min(end - first, count);
        items.insert(items.end(), block->begin() + from, block->begin() + to);
    }
    return items;
}

/// Adds items behind the `stored` ones of a level and hands what that completes to the next level. Which blocks there
/// are depends on the number of items alone, not on how they came.
template <class Item>
void appendItems(Connection& connection, std::int64_t series, int level, std::int64_t stored,
                 const std::vector<Item>& added) {
    const std::int64_t total = stored + static_cast<std::int64_t>(added.size());
    const std::int64_t tail = stored - stored % kPiece;
    const std::int64_t start = total / kBlock > tail / kBlock ? tail - tail % kBlock : tail;
    std::vector<Item> items = load<Item>(connection, series, level, start, stored);
    if (static_cast<std::int64_t>(items.size()) != stored - start)
        throw CorruptIndex{"points of series " + std::to_string(series) + " are missing"};
    items.insert(items.end(), added.begin(), added.end());

    if (stored > start)
        Query(connection, "DELETE FROM blocks WHERE series = ? AND level = ? AND first >= ?", series, level, start)
            .run();
    for (std::int64_t first = start; first < total;) {
        const std::int64_t left = total - first;
        const std::int64_t count = first % kBlock == 0 && left >= kBlock ? kBlock : std::min(left, kPiece);
        Query(connection, "INSERT INTO blocks VALUES (?, ?, ?, ?, ?)", series, level, first, count,
              encode(items.data() + (first - start), static_cast<std::size_t>(count)))
            .run();
        first += count;
    }

    const std::int64_t fanout = level == 0 ? kBaseFanout : kFanout;
    std::vector<Bucket> completed;
    for (std::int64_t group = stored / fanout; group < total / fanout; ++group) {
        Bucket bucket;
        for (std::int64_t i = group * fanout; i < (group + 1) * fanout; ++i)
            bucket.add(items[static_cast<std::size_t>(i - start)]);
        completed.push_back(bucket);
    }
    if (!completed.empty()) appendItems(connection, series, level + 1, stored / fanout, completed);
}

}  // namespace

std::pair<std::int64_t, std::int64_t> seriesIds(std::int64_t run) { return {run << kHashBits, (run + 1) << kHashBits}; }

void appendPoints(Connection& connection, const SeriesKey& key, const std::vector<Point>& points) {
    if (points.empty()) return;
    bool exists = false;
    Summary summary = findOrPlace(connection, key, exists);
    const std::int64_t stored = summary.count;
    for (const Point& point : points) summary.add(point);
    save(connection, key, summary, exists);
    appendItems(connection, summary.id, 0, stored, points);
}

std::vector<Point> loadPoints(Connection& connection, std::int64_t series, std::int64_t begin, std::int64_t end) {
    return load<Point>(connection, series, 0, begin, end);
}

std::vector<Bucket> loadBuckets(Connection& connection, std::int64_t series, int level, std::int64_t begin,
                                std::int64_t end) {
    return load<Bucket>(connection, series, level, begin, end);
}

namespace {

/// What refreshRunMetric looks at of a row of `series`.
struct Part {
    std::int64_t id = 0;
    int rank = 0, attempt = 0;
    std::int64_t count = 0, nonFinite = 0;
    std::int64_t firstStep = 0, lastStep = 0, minStep = 0, maxStep = 0;
    double first = 0, last = 0, min = 0, max = 0;
    std::int64_t lowStep = 0, highStep = 0;
};

void takeMin(MetricSummary& total, std::int64_t step, double value) {
    if (!std::isnan(value) && !(value >= total.min)) {
        total.min = value;
        total.minStep = step;
    }
}

void takeMax(MetricSummary& total, std::int64_t step, double value) {
    if (!std::isnan(value) && !(value <= total.max)) {
        total.max = value;
        total.maxStep = step;
    }
}

/// Extremes of the points before a step. Reads a thousand buckets and the points under a few of them, however long the
/// series is, unless its steps go to and fro.
void takeExtremesBefore(Connection& connection, const Part& part, std::int64_t cut, MetricSummary& total) {
    const auto takePoints = [&](std::int64_t begin, std::int64_t end) {
        for (const Point& point : loadPoints(connection, part.id, begin, end)) {
            if (point.step >= cut || !std::isfinite(point.value)) continue;
            takeMin(total, point.step, point.value);
            takeMax(total, point.step, point.value);
        }
    };
    constexpr std::int64_t kMostBuckets = 1024;
    int level = 1;
    while (part.count / pointsPerItem(level) > kMostBuckets) ++level;
    const std::int64_t size = pointsPerItem(level);
    const std::int64_t whole = part.count / size;
    const std::vector<Bucket> buckets = loadBuckets(connection, part.id, level, 0, whole);
    std::int64_t least = -1, most = -1;
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(buckets.size()); ++i) {
        const auto at = [&](std::int64_t which) -> const Bucket& { return buckets[static_cast<std::size_t>(which)]; };
        const Bucket& bucket = at(i);
        if (bucket.stepLow >= cut) continue;
        if (bucket.stepHigh >= cut) {
            takePoints(i * size, (i + 1) * size);
            continue;
        }
        if (bucket.finite == 0) continue;
        if (least < 0 || bucket.min < at(least).min) least = i;
        if (most < 0 || bucket.max > at(most).max) most = i;
    }
    if (least >= 0) takePoints(least * size, (least + 1) * size);
    if (most >= 0 && most != least) takePoints(most * size, (most + 1) * size);
    takePoints(whole * size, part.count);
}

}  // namespace

void refreshRunMetric(Connection& connection, std::int64_t run, const std::string& name) {
    std::vector<Part> parts;
    {
        // Lowest rank first; within it attempts in order, so that the last one wins `last`.
        Query rows(connection,
                   "SELECT id, rank, attempt, count, non_finite, first_step, first, last_step, last, min_step, min, "
                   "max_step, max, low_step, high_step FROM series WHERE run = ? AND kind = 0 AND name = ? "
                   "ORDER BY rank < 0, rank, attempt, node",
                   run, name);
        while (rows.next()) {
            if (!parts.empty() && rows.small(1) != parts.front().rank) break;
            parts.push_back({rows.integer(0), rows.small(1), rows.small(2), rows.integer(3), rows.integer(4),
                             rows.integer(5), rows.integer(7), rows.integer(9), rows.integer(11), rows.real(6),
                             rows.real(8), rows.real(10), rows.real(12), rows.integer(13), rows.integer(14)});
        }
    }
    if (parts.empty()) return;
    MetricSummary total;
    total.min = total.max = std::numeric_limits<double>::quiet_NaN();
    total.rank = parts.front().rank;
    total.firstStep = parts.front().firstStep;
    total.first = parts.front().first;
    for (const Part& part : parts) {
        total.count += part.count;
        total.nonFinite += part.nonFinite;
        total.lastStep = part.lastStep;
        total.last = part.last;
        // A later attempt went on from a checkpoint: what this one reported from there on is told anew.
        std::int64_t cut = std::numeric_limits<std::int64_t>::max();
        for (const Part& later : parts) {
            if (later.attempt > part.attempt) cut = std::min(cut, later.lowStep);
        }
        if (part.lowStep >= cut) continue;
        if (part.minStep < cut) takeMin(total, part.minStep, part.min);
        if (part.maxStep < cut) takeMax(total, part.maxStep, part.max);
        const bool hidden = !std::isnan(part.min) && (part.minStep >= cut || part.maxStep >= cut);
        if (hidden) takeExtremesBefore(connection, part, cut, total);
    }
    Query(connection, "REPLACE INTO run_metrics VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", run, name, total.rank,
          total.count, total.nonFinite, total.firstStep, total.first, total.lastStep, total.last, total.minStep,
          total.min, total.maxStep, total.max)
        .run();
}

}  // namespace trainyard::store
