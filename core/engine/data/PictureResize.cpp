// Pillow's resampling (src/libImaging/Resample.c, HPND licence), written anew from its description: the results are equal to the bit.
#include <algorithm>
#include <cmath>
#include <cstddef>

#include "core/engine/data/Picture.h"

namespace trainyard::engine {

namespace {

constexpr int kBits = 22;

struct Filter {
    std::vector<int> first;        ///< First source pixel of each output pixel.
    std::vector<int> count;        ///< Source pixels of each output pixel.
    std::vector<std::int32_t> weights;  ///< size × taps
    int taps = 0;
};

Filter makeFilter(int in, int out) {
    const double scale = static_cast<double>(in) / out;
    const double stretch = std::max(scale, 1.0);
    Filter filter;
    filter.taps = static_cast<int>(std::ceil(stretch)) * 2 + 1;
    filter.first.resize(static_cast<std::size_t>(out));
    filter.count.resize(static_cast<std::size_t>(out));
    filter.weights.assign(static_cast<std::size_t>(out) * static_cast<std::size_t>(filter.taps), 0);
    std::vector<double> raw(static_cast<std::size_t>(filter.taps));
    for (int i = 0; i < out; ++i) {
        const double center = (i + 0.5) * scale;
        const int first = std::max(0, static_cast<int>(center - stretch + 0.5));
        const int count = std::min(in, static_cast<int>(center + stretch + 0.5)) - first;
        double sum = 0;
        for (int k = 0; k < count; ++k) {
            const double distance = std::abs((k + first - center + 0.5) / stretch);
            raw[static_cast<std::size_t>(k)] = distance < 1.0 ? 1.0 - distance : 0.0;
            sum += raw[static_cast<std::size_t>(k)];
        }
        std::int32_t* weights = filter.weights.data() + static_cast<std::ptrdiff_t>(i) * filter.taps;
        for (int k = 0; k < count; ++k) {
            const double weight = sum != 0 ? raw[static_cast<std::size_t>(k)] / sum : raw[static_cast<std::size_t>(k)];
            weights[k] = static_cast<std::int32_t>(0.5 + weight * (1 << kBits));
        }
        filter.first[static_cast<std::size_t>(i)] = first;
        filter.count[static_cast<std::size_t>(i)] = count;
    }
    return filter;
}

std::uint8_t clipped(std::int32_t value) { return static_cast<std::uint8_t>(std::clamp(value >> kBits, 0, 255)); }

void horizontal(const std::uint8_t* row, const Filter& filter, int out, std::uint8_t* to) {
    for (int i = 0; i < out; ++i) {
        const std::int32_t* weights = filter.weights.data() + static_cast<std::ptrdiff_t>(i) * filter.taps;
        const std::uint8_t* from = row + static_cast<std::ptrdiff_t>(filter.first[static_cast<std::size_t>(i)]) * 3;
        std::int32_t red = 1 << (kBits - 1);
        std::int32_t green = red;
        std::int32_t blue = red;
        for (int k = 0; k < filter.count[static_cast<std::size_t>(i)]; ++k, from += 3) {
            red += from[0] * weights[k];
            green += from[1] * weights[k];
            blue += from[2] * weights[k];
        }
        to[3 * i] = clipped(red);
        to[3 * i + 1] = clipped(green);
        to[3 * i + 2] = clipped(blue);
    }
}

}  // namespace

void resizeInto(const Picture& from, const Box& box, int width, int height, std::uint8_t* to) {
    const auto rowBytes = static_cast<std::size_t>(width) * 3;
    const auto sourceRow = [&](int y) {
        return from.pixels.data() +
               (static_cast<std::ptrdiff_t>(box.top + y) * from.width + box.left) * 3;
    };
    std::vector<std::uint8_t> between(rowBytes * static_cast<std::size_t>(box.height));
    if (width == box.width) {
        for (int y = 0; y < box.height; ++y) {
            std::copy_n(sourceRow(y), rowBytes, between.data() + static_cast<std::size_t>(y) * rowBytes);
        }
    } else {
        const Filter filter = makeFilter(box.width, width);
        for (int y = 0; y < box.height; ++y) {
            horizontal(sourceRow(y), filter, width, between.data() + static_cast<std::size_t>(y) * rowBytes);
        }
    }
    if (height == box.height) {
        std::ranges::copy(between, to);
        return;
    }
    const Filter filter = makeFilter(box.height, height);
    std::vector<std::int32_t> sums(rowBytes);
    for (int y = 0; y < height; ++y) {
        const std::int32_t* weights = filter.weights.data() + static_cast<std::ptrdiff_t>(y) * filter.taps;
        std::ranges::fill(sums, 1 << (kBits - 1));
        for (int k = 0; k < filter.count[static_cast<std::size_t>(y)]; ++k) {
            const std::uint8_t* row =
                between.data() + static_cast<std::size_t>(filter.first[static_cast<std::size_t>(y)] + k) * rowBytes;
            const std::int32_t weight = weights[k];
            for (std::size_t x = 0; x < rowBytes; ++x) {
                sums[x] += row[x] * weight;
            }
        }
        std::uint8_t* out = to + static_cast<std::size_t>(y) * rowBytes;
        for (std::size_t x = 0; x < rowBytes; ++x) {
            out[x] = clipped(sums[x]);
        }
    }
}

Picture resized(const Picture& from, const Box& box, int width, int height) {
    Picture picture{width, height, {}};
    picture.pixels.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
    resizeInto(from, box, width, height, picture.pixels.data());
    return picture;
}

}  // namespace trainyard::engine
