#pragma once
// Values of one curve and its reduction to what a screen can show. Plain arithmetic, no widgets.
#include <cstddef>
#include <cstdint>
#include <vector>

namespace trainyard::ui {

/// A stretch of a curve reduced to at most one entry a bucket. Raw points have min == max == mean and count 1.
struct Slice {
    std::vector<double> x;    ///< Ascending; of a bucket, the middle between its first and last point.
    std::vector<double> min;  ///< NaN marks a gap.
    std::vector<double> max;
    std::vector<double> mean;
    std::vector<std::uint32_t> count;
    bool raw = false;  ///< Every point of the range is there by itself.

    [[nodiscard]] std::size_t size() const { return x.size(); }
    void clear() {
        for (auto* values : {&x, &min, &max, &mean}) values->clear();
        count.clear();
    }
    void reserve(std::size_t n) {
        for (auto* values : {&x, &min, &max, &mean}) values->reserve(n);
        count.reserve(n);
    }
    void push(double atX, double lo, double hi, double middle, std::uint32_t points) {
        x.push_back(atX);
        min.push_back(lo);
        max.push_back(hi);
        mean.push_back(middle);
        count.push_back(points);
    }
};

}  // namespace trainyard::ui
