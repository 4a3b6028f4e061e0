#pragma once
// A curve of any length answered at the width of a screen. Plain arithmetic; thread rules are the caller's.
#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "ui/charts/SeriesData.h"

namespace trainyard::ui {

/// Points that only ever grow at the end, with a pyramid of min, max and sum kept up to date: base 16, then four times
/// as many a level, 6 % of the points' own memory, about 70 ns a point.
class LevelOfDetail {
public:
    /// Points whose x is not above the last one's are dropped, so that x stays ascending; returns how many were kept.
    std::size_t append(std::span<const double> x, std::span<const double> y);
    void clear();

    [[nodiscard]] std::size_t size() const { return m_x.size(); }
    [[nodiscard]] std::optional<std::pair<double, double>> extent() const;

    /// The part of the curve in [from, to], with one neighbour on each side so that lines reach the edges, as raw
    /// points while they are at most `buckets`, otherwise as buckets of equal point count. Bucket borders are multiples
    /// of that count from the first point on, so appending does not make a drawn curve shimmer.
    [[nodiscard]] Slice slice(double from, double to, std::size_t buckets) const;

    /// Points a bucket for `points` points in at most `buckets` buckets: a power of two.
    [[nodiscard]] static std::size_t bucketSize(std::size_t points, std::size_t buckets);

private:
    struct Level {
        std::vector<double> min, max, sum;
        std::vector<std::uint32_t> finite;
    };
    struct Fold;
    void fold(std::size_t from, std::size_t to, std::size_t level, Fold& into) const;

    static constexpr std::size_t kBase = 16;
    static constexpr std::size_t kFactor = 4;
    std::vector<double> m_x, m_y;
    std::vector<Level> m_levels;
};

/// Exponential moving average of a slice's means, unbiased at the start; `factor` is the weight kept for each point,
/// 0 … 0.99. A bucket of n points counts as n points. Gaps stay gaps and do not disturb what follows.
[[nodiscard]] std::vector<double> smooth(const Slice& slice, double factor);

/// Smallest and largest finite value; nothing when there is none. `positiveOnly` for a logarithmic axis.
[[nodiscard]] std::optional<std::pair<double, double>> valueRange(const Slice& slice, double from, double to,
                                                                  bool positiveOnly);

/// Index of the entry whose x is nearest; nothing for an empty slice.
[[nodiscard]] std::optional<std::size_t> nearestIndex(const Slice& slice, double x);

}  // namespace trainyard::ui
