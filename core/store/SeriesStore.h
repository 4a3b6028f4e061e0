#pragma once
// Room-internal: the points of a series and the pyramid over them, as rows of `series` and `blocks`.
#include <string>
#include <vector>

#include "core/store/Blocks.h"
#include "core/store/Connection.h"

namespace trainyard::store {

/// Numbers of runs lie below this, so that ids of series, made of the number and a hash, fit 63 bits.
inline constexpr std::int64_t kMaxRunNumber = (std::int64_t{1} << 27) - 2;

struct SeriesKey {
    std::int64_t run = 0;
    SeriesKind kind = SeriesKind::Metric;
    std::string name;
    int attempt = 1;
    int node = 0;
    int rank = 0;
};

/// First and one past the last id that series of a run may have.
[[nodiscard]] std::pair<std::int64_t, std::int64_t> seriesIds(std::int64_t run);

/// Appends points, in order of arrival, within the caller's transaction. All these functions throw (SQLite::Exception,
/// CorruptIndex).
void appendPoints(Connection& connection, const SeriesKey& key, const std::vector<Point>& points);

/// Items [begin, end) of a level, as far as they are stored. Level 0 through loadPoints.
[[nodiscard]] std::vector<Point> loadPoints(Connection& connection, std::int64_t series, std::int64_t begin,
                                            std::int64_t end);
[[nodiscard]] std::vector<Bucket> loadBuckets(Connection& connection, std::int64_t series, int level,
                                              std::int64_t begin, std::int64_t end);

/// Works the row of `run_metrics` out anew from the rows of `series`.
void refreshRunMetric(Connection& connection, std::int64_t run, const std::string& name);

}  // namespace trainyard::store
