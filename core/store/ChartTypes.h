#pragma once
// What a chart asks for and gets: curves of any length reduced to a screen's worth.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/store/Types.h"

namespace trainyard::store {

/// Unit of x: Step: optimizer steps (or what the script counts); RelativeTime: seconds since the run was first
/// Running (its first point when it never was); WallTime: milliseconds since 1970 UTC.
enum class ChartAxis { Step, RelativeTime, WallTime };

/// One metric of one run; gives one ChartSeries for each attempt and rank that reports it.
struct ChartCurve {
    RunId run;
    std::string name;
    SeriesKind kind = SeriesKind::Metric;
    std::optional<int> rank{};     ///< Empty: every rank. For system series: wire::kNoRank or empty.
    std::optional<int> node{};     ///< Empty: every node.
    std::optional<int> attempt{};  ///< Empty: every attempt.
};

struct ChartRequest {
    std::vector<ChartCurve> curves;
    ChartAxis axis = ChartAxis::Step;
    std::optional<double> from{};  ///< Visible part of the axis, in its unit; empty: from the beginning.
    std::optional<double> to{};
    int pixels = 1280;  ///< Width of the plot area in device pixels.
    /// Points of an older attempt at steps that a newer attempt went over again are kept but hidden by default.
    bool showReplaced = false;
};

/// The vectors have one length, at most about twice ChartRequest::pixels. x never decreases.
/// One neighbour on each side of [from, to] is included, so that a line reaches the edge of the plot.
struct ChartSeries {
    RunId run;
    std::int64_t number = 0;  ///< The run's.
    std::string name;
    int attempt = 1;
    int node = 0;
    int rank = 0;
    /// True: `mean` holds the points as they were reported (NaN and infinities included), min and max are empty.
    /// False: each entry stands for a bucket of consecutive points: min, max and mean of its finite values, NaN when
    /// it has none.
    bool raw = true;
    std::vector<double> x;
    std::vector<double> min;
    std::vector<double> max;
    std::vector<double> mean;
    /// Buckets only: points that were NaN or infinite in each.
    std::vector<std::int64_t> nonFinite;
    std::int64_t points = 0;  ///< Of the whole series, hidden ones included.
    std::int64_t pointsPerBucket = 1;
    double xFirst = 0, xLast = 0;  ///< Extent of the whole visible series, whatever part was asked for.
};

struct ChartData {
    std::vector<ChartSeries> series;  ///< In the order of the curves, then attempt, node, rank.
};

}  // namespace trainyard::store
