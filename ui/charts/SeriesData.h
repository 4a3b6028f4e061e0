#pragma once
// Values of one curve and its reduction to what a screen can show. Plain arithmetic, no widgets.
#include <cstddef>
#include <cstdint>
#include <vector>

namespace trainyard::ui {

/// A stretch of a curve reduced to at most one entry a bucket. Raw points have min == max == mean and count 1.
struct Slice {
    std::vector<double> x;      ///< Ascending; of a bucket, the mean of its points' x.
    std::vector<double> min;    ///< NaN marks a gap.
    std::vector<double> max;
    std::vector<double> mean;
    std::vector<std::uint32_t> count;
    bool raw = false;  ///< Every point of the range is there by itself.

    [[nodiscard]] std::size_t size() const { return x.size(); }
    void clear();
    void reserve(std::size_t n);
    void push(double atX, double lo, double hi, double middle, std::uint32_t points);
};

}  // namespace trainyard::ui
