#include "ui/charts/LevelOfDetail.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace trainyard::ui {
namespace {
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
}  // namespace

struct LevelOfDetail::Fold {
    double min = kInfinity;
    double max = -kInfinity;
    double sum = 0;
    std::uint32_t finite = 0;

    void add(double value) {
        if (!std::isfinite(value)) return;
        min = std::min(min, value);
        max = std::max(max, value);
        sum += value;
        ++finite;
    }
    void add(double lo, double hi, double total, std::uint32_t n) {
        min = std::min(min, lo);
        max = std::max(max, hi);
        sum += total;
        finite += n;
    }
};

void LevelOfDetail::clear() {
    m_x.clear();
    m_y.clear();
    m_levels.clear();
}

std::optional<std::pair<double, double>> LevelOfDetail::extent() const {
    if (m_x.empty()) return std::nullopt;
    return std::pair(m_x.front(), m_x.back());
}

std::size_t LevelOfDetail::append(std::span<const double> x, std::span<const double> y) {
    const std::size_t before = m_x.size();
    const std::size_t n = std::min(x.size(), y.size());
    for (std::size_t i = 0; i < n; ++i) {
        // Written so that a NaN x is dropped too.
        if (!std::isfinite(x[i]) || (!m_x.empty() && !(x[i] > m_x.back()))) continue;
        m_x.push_back(x[i]);
        m_y.push_back(y[i]);
        std::size_t width = kBase;
        for (std::size_t level = 0; m_x.size() % width == 0; ++level, width *= kFactor) {
            if (level == m_levels.size()) m_levels.emplace_back();
            Fold whole;
            if (level == 0) {
                for (std::size_t j = m_x.size() - width; j < m_x.size(); ++j) whole.add(m_y[j]);
            } else {
                const Level& below = m_levels[level - 1];
                for (std::size_t j = below.min.size() - kFactor; j < below.min.size(); ++j) {
                    whole.add(below.min[j], below.max[j], below.sum[j], below.finite[j]);
                }
            }
            Level& here = m_levels[level];
            here.min.push_back(whole.min);
            here.max.push_back(whole.max);
            here.sum.push_back(whole.sum);
            here.finite.push_back(whole.finite);
        }
    }
    return m_x.size() - before;
}

/// Folds points [from, to), using buckets of `level` (1 = m_levels[0]) where they fit and smaller ones at the ends.
void LevelOfDetail::fold(std::size_t from, std::size_t to, std::size_t level, Fold& into) const {
    if (from >= to) return;
    if (level == 0) {
        for (std::size_t i = from; i < to; ++i) into.add(m_y[i]);
        return;
    }
    std::size_t width = kBase;
    for (std::size_t i = 1; i < level; ++i) width *= kFactor;
    const Level& here = m_levels[level - 1];
    const std::size_t first = (from + width - 1) / width;
    const std::size_t last = std::min(to / width, here.min.size());
    if (first >= last) {
        fold(from, to, level - 1, into);
        return;
    }
    fold(from, first * width, level - 1, into);
    for (std::size_t i = first; i < last; ++i) into.add(here.min[i], here.max[i], here.sum[i], here.finite[i]);
    fold(last * width, to, level - 1, into);
}

std::size_t LevelOfDetail::bucketSize(std::size_t points, std::size_t buckets) {
    const std::size_t wanted = (points + std::max<std::size_t>(1, buckets) - 1) / std::max<std::size_t>(1, buckets);
    // Powers of two: a count that followed the number of points closely would move all borders with every few points.
    std::size_t width = 1;
    while (width < wanted) width *= 2;
    return width;
}

Slice LevelOfDetail::slice(double from, double to, std::size_t buckets) const {
    Slice result;
    if (m_x.empty() || !(from <= to)) {
        result.raw = true;
        return result;
    }
    auto first = static_cast<std::size_t>(std::lower_bound(m_x.begin(), m_x.end(), from) - m_x.begin());
    auto last = static_cast<std::size_t>(std::upper_bound(m_x.begin(), m_x.end(), to) - m_x.begin());
    if (first > 0) --first;
    if (last < m_x.size()) ++last;
    const std::size_t points = last - first;
    if (points <= buckets) {
        result.raw = true;
        result.reserve(points);
        for (std::size_t i = first; i < last; ++i) {
            const double y = std::isfinite(m_y[i]) ? m_y[i] : kNaN;
            result.push(m_x[i], y, y, y, 1);
        }
        return result;
    }
    const std::size_t width = bucketSize(points, buckets);
    result.reserve(points / width + 2);
    for (std::size_t start = first / width * width; start < last; start += width) {
        const std::size_t end = std::min(start + width, m_x.size());
        Fold whole;
        fold(start, end, m_levels.size(), whole);
        const double x = (m_x[start] + m_x[end - 1]) / 2;
        const auto n = static_cast<std::uint32_t>(end - start);
        if (whole.finite == 0) {
            result.push(x, kNaN, kNaN, kNaN, n);
        } else {
            result.push(x, whole.min, whole.max, whole.sum / whole.finite, n);
        }
    }
    return result;
}

std::vector<double> smooth(const Slice& slice, double factor) {
    if (factor <= 0) return slice.mean;
    std::vector<double> result(slice.size(), kNaN);
    double value = 0, weight = 0;
    for (std::size_t i = 0; i < slice.size(); ++i) {
        if (!std::isfinite(slice.mean[i])) continue;
        const double keep = std::pow(factor, slice.count[i]);
        value = keep * value + (1 - keep) * slice.mean[i];
        weight = keep * weight + (1 - keep);
        result[i] = value / weight;
    }
    return result;
}

std::optional<std::pair<double, double>> valueRange(const Slice& slice, double from, double to, bool positiveOnly) {
    double low = kInfinity, high = -kInfinity;
    for (std::size_t i = 0; i < slice.size(); ++i) {
        if (slice.x[i] < from || slice.x[i] > to) continue;
        if (std::isfinite(slice.max[i]) && (!positiveOnly || slice.max[i] > 0)) high = std::max(high, slice.max[i]);
        // A bucket that reaches below zero still has a positive part worth showing on a logarithmic axis.
        const double least = positiveOnly && !(slice.min[i] > 0) ? slice.mean[i] : slice.min[i];
        if (std::isfinite(least) && (!positiveOnly || least > 0)) low = std::min(low, least);
    }
    if (low > high) return std::nullopt;
    return std::pair(low, high);
}

std::optional<std::size_t> nearestIndex(const Slice& slice, double x) {
    if (slice.x.empty()) return std::nullopt;
    const auto above = std::lower_bound(slice.x.begin(), slice.x.end(), x);
    if (above == slice.x.begin()) return 0;
    if (above == slice.x.end()) return slice.x.size() - 1;
    const auto index = static_cast<std::size_t>(above - slice.x.begin());
    return *above - x < x - slice.x[index - 1] ? index : index - 1;
}

}  // namespace trainyard::ui
