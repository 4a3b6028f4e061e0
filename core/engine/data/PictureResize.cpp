// Pillow's resampling (src/libImaging/Resample.c, HPND licence), written anew from its description: the results are
// equal to the bit.
#include "core/engine/data/PictureResize.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace trainyard::engine {

namespace {

/// Outputs begin … begin + outputs − 1 of `in` samples resized to `out`, in turned order where `mirrored`.
void makeFilter(int in, int out, int begin, int outputs, bool mirrored, SideFilter& filter,
                std::vector<double>& exact) {
    const double scale = static_cast<double>(in) / out;
    const double stretch = std::max(scale, 1.0);
    const auto room =
        static_cast<std::size_t>((outputs + SideFilter::kGroup - 1) / SideFilter::kGroup * SideFilter::kGroup);
    filter.outputs = outputs;
    filter.first.assign(room, 0);
    filter.count.assign(room, 0);
    const auto placeOf = [&](int i) { return static_cast<std::size_t>(mirrored ? outputs - 1 - i : i); };
    const auto centreOfOutput = [&](int i) { return (begin + i + 0.5) * scale; };
    int most = 1;
    for (int i = 0; i < outputs; ++i) {
        const double centre = centreOfOutput(i);
        const int first = std::max(0, static_cast<int>(centre - stretch + 0.5));
        filter.first[placeOf(i)] = first;
        filter.count[placeOf(i)] = std::min(in, static_cast<int>(centre + stretch + 0.5)) - first;
        most = std::max(most, filter.count[placeOf(i)]);
    }
    filter.taps = (most + SideFilter::kGroup - 1) / SideFilter::kGroup * SideFilter::kGroup;
    filter.weights.assign(room * static_cast<std::size_t>(filter.taps), 0);
    exact.resize(static_cast<std::size_t>(most));
    for (int i = 0; i < outputs; ++i) {
        const double centre = centreOfOutput(i);
        const int first = filter.first[placeOf(i)];
        const auto count = static_cast<std::size_t>(filter.count[placeOf(i)]);
        double sum = 0;
        for (std::size_t k = 0; k < count; ++k) {
            const double distance = std::abs((static_cast<int>(k) + first - centre + 0.5) / stretch);
            exact[k] = distance < 1.0 ? 1.0 - distance : 0.0;
            sum += exact[k];
        }
        std::int32_t* weights = filter.weights.data() + placeOf(i) * static_cast<std::size_t>(filter.taps);
        for (std::size_t k = 0; k < count; ++k) {
            const double weight = sum != 0 ? exact[k] / sum : exact[k];
            weights[k] = static_cast<std::int32_t>(0.5 + weight * (1 << SideFilter::kBits));
        }
    }
}

}  // namespace

void Resizer::resize(const Picture& from, const Box& box, int width, int height, const Box& cut, bool mirrored,
                     std::uint8_t* to) {
    constexpr std::size_t kAlign = 64;
    makeFilter(box.width, width, cut.left, cut.width, mirrored, m_across, m_exact);
    makeFilter(box.height, height, cut.top, cut.height, false, m_down, m_exact);
    m_kernels.splitAcross(m_across);
    m_kernels.splitDown(m_down);

    // Only the rows that the cut is made of.
    const auto last = static_cast<std::size_t>(cut.height - 1);
    const int top = m_down.first.front();
    const int rows = m_down.first[last] + m_down.count[last] - top;
    for (int& first : m_down.first) {
        first -= top;
    }
    const std::size_t stride = (acrossRoom(m_across) + kAlign - 1) / kAlign * kAlign;
    if (const std::size_t wanted = stride * (static_cast<std::size_t>(rows) + 1); m_between.size() < wanted) {
        m_between.resize(wanted);
    }
    const std::size_t reach = acrossReach(m_across);
    for (int y = 0; y < rows; ++y) {
        const std::size_t at = (static_cast<std::size_t>(box.top + top + y) * static_cast<std::size_t>(from.width) +
                                static_cast<std::size_t>(box.left)) *
                               3;
        const std::uint8_t* row = from.pixels.data() + at;
        if (at + reach > from.pixels.size()) {
            m_edge.resize(reach);
            std::copy_n(row, from.pixels.size() - at, m_edge.begin());
            row = m_edge.data();
        }
        m_kernels.across(row, m_across, m_between.data() + static_cast<std::size_t>(y) * stride);
    }
    const std::size_t bytes = static_cast<std::size_t>(cut.width) * 3;
    for (int y = 0; y < cut.height; ++y) {
        m_kernels.down(m_between.data(), stride, m_down, y, bytes, to + static_cast<std::size_t>(y) * bytes);
    }
}

Picture resized(const Picture& from, const Box& box, int width, int height) {
    Picture picture{width, height, {}};
    picture.pixels.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
    Resizer().resize(from, box, width, height, {0, 0, width, height}, false, picture.pixels.data());
    return picture;
}

}  // namespace trainyard::engine
