#include "core/engine/data/PixelKernels.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#if defined(__x86_64__) && defined(__GNUC__)
#define TRAINYARD_WIDE __attribute__((target("avx2,fma")))
#define TRAINYARD_WIDEST __attribute__((target("avx2,fma,avx512f,avx512bw")))
// GCC 12's own intrinsics make registers with any content from themselves.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#endif

namespace trainyard::engine {

namespace {

constexpr std::int32_t kHalf = 1 << (SideFilter::kBits - 1);

int roundedUp(int value, int step) { return (value + step - 1) / step * step; }

std::uint8_t byteOf(std::int32_t sum) {
    return static_cast<std::uint8_t>(std::clamp(sum >> SideFilter::kBits, 0, 255));
}

void splitNothing(SideFilter& filter) { filter.split.clear(); }

void acrossPlain(const std::uint8_t* row, const SideFilter& filter, std::uint8_t* to) {
    const int* first = filter.first.data();
    const int* count = filter.count.data();
    const std::int32_t* weights = filter.weights.data();
    for (int i = 0; i < filter.outputs; ++i, weights += filter.taps, to += 3) {
        const std::uint8_t* from = row + static_cast<std::ptrdiff_t>(first[i]) * 3;
        std::int32_t red = kHalf;
        std::int32_t green = kHalf;
        std::int32_t blue = kHalf;
        for (int k = 0; k < count[i]; ++k, from += 3) {
            red += from[0] * weights[k];
            green += from[1] * weights[k];
            blue += from[2] * weights[k];
        }
        to[0] = byteOf(red);
        to[1] = byteOf(green);
        to[2] = byteOf(blue);
    }
}

void downPlain(const std::uint8_t* rows, std::size_t stride, const SideFilter& filter, int output, std::size_t bytes,
               std::uint8_t* to) {
    constexpr std::size_t kColumns = 256;
    const auto at = static_cast<std::size_t>(output);
    const std::int32_t* weights = filter.weights.data() + at * static_cast<std::size_t>(filter.taps);
    const std::uint8_t* top = rows + static_cast<std::size_t>(filter.first[at]) * stride;
    std::int32_t sums[kColumns];
    for (std::size_t x = 0; x < bytes; x += kColumns) {
        const std::size_t columns = std::min(kColumns, bytes - x);
        std::fill_n(sums, columns, kHalf);
        for (int k = 0; k < filter.count[at]; ++k) {
            const std::uint8_t* row = top + static_cast<std::size_t>(k) * stride + x;
            const std::int32_t weight = weights[k];
            for (std::size_t i = 0; i < columns; ++i) {
                sums[i] += row[i] * weight;
            }
        }
        for (std::size_t i = 0; i < columns; ++i) {
            to[x + i] = byteOf(sums[i]);
        }
    }
}

void planesPlain(const std::uint8_t* pixels, std::ptrdiff_t count, const PixelScale& scale, std::ptrdiff_t plane,
                 float* to) {
    const float* red = scale.tables[0].data();
    const float* green = scale.tables[1].data();
    const float* blue = scale.tables[2].data();
    for (std::ptrdiff_t i = 0; i < count; ++i, pixels += 3) {
        to[i] = red[pixels[0]];
        to[plane + i] = green[pixels[1]];
        to[2 * plane + i] = blue[pixels[2]];
    }
}

constexpr PixelKernels kPlain{splitNothing, splitNothing, acrossPlain, downPlain, planesPlain};

#ifdef TRAINYARD_WIDE

// A weight of 22 bits is two of 11, so that the sums are of 16-bit products (vpmaddwd) and still exact.
constexpr int kLowBits = 11;
constexpr std::int32_t kLowMask = (1 << kLowBits) - 1;
constexpr int kLanes = 16;  // 16-bit numbers in a register.

std::int16_t lowOf(std::int32_t weight) { return static_cast<std::int16_t>(weight & kLowMask); }
std::int16_t highOf(std::int32_t weight) { return static_cast<std::int16_t>(weight >> kLowBits); }

std::int16_t* roomFor(SideFilter& filter, std::size_t numbers) {
    constexpr std::size_t kLine = std::size(SideFilter::Line{}.values);
    filter.split.resize((numbers + kLine - 1) / kLine);
    return reinterpret_cast<std::int16_t*>(filter.split.data());
}

const std::int16_t* splitOf(const SideFilter& filter) {
    return reinterpret_cast<const std::int16_t*>(filter.split.data());
}

/// For each four taps two registers, low parts and high ones: taps 0 and 1 for each of four channels, then 2 and 3.
void splitAcrossWide(SideFilter& filter) {
    std::int16_t* to = roomFor(filter, filter.weights.size() * 8);
    for (std::size_t at = 0; at < filter.weights.size(); at += SideFilter::kGroup, to += 2 * kLanes) {
        for (int lane = 0; lane < kLanes; ++lane) {
            const std::int32_t weight = filter.weights[at + static_cast<std::size_t>(lane / 8 * 2 + lane % 2)];
            to[lane] = lowOf(weight);
            to[kLanes + lane] = highOf(weight);
        }
    }
}

/// For each two taps four numbers: their low parts, their high ones.
void splitDownWide(SideFilter& filter) {
    std::int16_t* to = roomFor(filter, filter.weights.size() * 2);
    for (std::size_t at = 0; at < filter.weights.size(); at += 2, to += 4) {
        to[0] = lowOf(filter.weights[at]);
        to[1] = lowOf(filter.weights[at + 1]);
        to[2] = highOf(filter.weights[at]);
        to[3] = highOf(filter.weights[at + 1]);
    }
}

TRAINYARD_WIDE inline __m256i loadWide(const void* from) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

/// One output's red, green and blue; in each half of the register a part of the sum.
TRAINYARD_WIDE inline __m256i acrossSum(const std::uint8_t* from, const std::int16_t* split, int groups) {
    const __m256i pick = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, 6, -1, 9, -1, 7, -1,
                                          10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
    __m256i low = _mm256_setzero_si256();
    __m256i high = _mm256_setzero_si256();
    for (int group = 0; group < groups; ++group, from += 3 * SideFilter::kGroup, split += 2 * kLanes) {
        const __m128i bytes = _mm_loadu_si128(static_cast<const __m128i*>(static_cast<const void*>(from)));
        const __m256i pixels = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), pick);
        low = _mm256_add_epi32(low, _mm256_madd_epi16(pixels, loadWide(split)));
        high = _mm256_add_epi32(high, _mm256_madd_epi16(pixels, loadWide(split + kLanes)));
    }
    return _mm256_add_epi32(_mm256_slli_epi32(high, kLowBits), low);
}

/// Two outputs beside each other, from their sums.
TRAINYARD_WIDE inline __m256i acrossPair(__m256i one, __m256i two) {
    const __m256i sum =
        _mm256_add_epi32(_mm256_permute2x128_si256(one, two, 0x20), _mm256_permute2x128_si256(one, two, 0x31));
    return _mm256_srai_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(kHalf)), SideFilter::kBits);
}

TRAINYARD_WIDE inline void acrossRow(const std::uint8_t* row, const SideFilter& filter, int groups, std::uint8_t* to) {
    const int* first = filter.first.data();
    const std::int16_t* split = splitOf(filter);
    constexpr std::ptrdiff_t kChannels = 3;
    const std::ptrdiff_t step = static_cast<std::ptrdiff_t>(groups) * 2 * kLanes;
    const __m128i pack = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    for (int i = 0; i < filter.outputs; i += SideFilter::kGroup, split += 4 * step, to += 3 * SideFilter::kGroup) {
        const __m256i left = acrossPair(acrossSum(row + first[i] * kChannels, split, groups),
                                        acrossSum(row + first[i + 1] * kChannels, split + step, groups));
        const __m256i right = acrossPair(acrossSum(row + first[i + 2] * kChannels, split + 2 * step, groups),
                                         acrossSum(row + first[i + 3] * kChannels, split + 3 * step, groups));
        const __m256i words = _mm256_packs_epi32(left, right);
        const __m256i bytes = _mm256_packus_epi16(words, words);
        const __m128i four = _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
        _mm_storeu_si128(static_cast<__m128i*>(static_cast<void*>(to)), _mm_shuffle_epi8(four, pack));
    }
}

TRAINYARD_WIDE void acrossWide(const std::uint8_t* row, const SideFilter& filter, std::uint8_t* to) {
    // Four taps are the most that pictures of up to twice the size need.
    if (filter.taps == SideFilter::kGroup) {
        acrossRow(row, filter, 1, to);
    } else {
        acrossRow(row, filter, filter.taps / SideFilter::kGroup, to);
    }
}

TRAINYARD_WIDE void downWide(const std::uint8_t* rows, std::size_t stride, const SideFilter& filter, int output,
                             std::size_t bytes, std::uint8_t* to) {
    constexpr std::size_t kBytes = 32;
    const auto at = static_cast<std::size_t>(output);
    const std::int16_t* weights = splitOf(filter) + at * static_cast<std::size_t>(filter.taps) * 2;
    const std::uint8_t* top = rows + static_cast<std::size_t>(filter.first[at]) * stride;
    const int pairs = (filter.count[at] + 1) / 2;
    const __m256i zero = _mm256_setzero_si256();
    const __m256i half = _mm256_set1_epi32(kHalf);
    for (std::size_t x = 0; x < bytes; x += kBytes) {
        __m256i low[4] = {half, half, half, half};
        __m256i high[4] = {zero, zero, zero, zero};
        const std::uint8_t* row = top + x;
        const std::int16_t* weight = weights;
        for (int pair = 0; pair < pairs; ++pair, row += 2 * stride, weight += 4) {
            std::int32_t lowWeights = 0;
            std::int32_t highWeights = 0;
            std::memcpy(&lowWeights, weight, sizeof lowWeights);
            std::memcpy(&highWeights, weight + 2, sizeof highWeights);
            const __m256i lowPair = _mm256_set1_epi32(lowWeights);
            const __m256i highPair = _mm256_set1_epi32(highWeights);
            const __m256i upper = loadWide(row);
            const __m256i lower = loadWide(row + stride);
            const __m256i left = _mm256_unpacklo_epi8(upper, lower);
            const __m256i right = _mm256_unpackhi_epi8(upper, lower);
            const __m256i parts[4] = {_mm256_unpacklo_epi8(left, zero), _mm256_unpackhi_epi8(left, zero),
                                      _mm256_unpacklo_epi8(right, zero), _mm256_unpackhi_epi8(right, zero)};
            for (int part = 0; part < 4; ++part) {
                low[part] = _mm256_add_epi32(low[part], _mm256_madd_epi16(parts[part], lowPair));
                high[part] = _mm256_add_epi32(high[part], _mm256_madd_epi16(parts[part], highPair));
            }
        }
        for (int part = 0; part < 4; ++part) {
            low[part] = _mm256_srai_epi32(_mm256_add_epi32(_mm256_slli_epi32(high[part], kLowBits), low[part]),
                                          SideFilter::kBits);
        }
        const __m256i sums =
            _mm256_packus_epi16(_mm256_packs_epi32(low[0], low[1]), _mm256_packs_epi32(low[2], low[3]));
        if (x + kBytes <= bytes) {
            _mm256_storeu_si256(static_cast<__m256i*>(static_cast<void*>(to + x)), sums);
        } else {
            alignas(kBytes) std::uint8_t last[kBytes];
            _mm256_store_si256(static_cast<__m256i*>(static_cast<void*>(last)), sums);
            std::memcpy(to + x, last, bytes - x);
        }
    }
}

/// value / divisor where `inverse` is 1 / divisor: a product, and what is left of it (Markstein 1990, without its proof
/// for every divisor; pixelScale() tries all values).
TRAINYARD_WIDE inline __m256 quotient(__m256 value, __m256 divisor, __m256 inverse) {
    const __m256 about = _mm256_mul_ps(value, inverse);
    return _mm256_fmadd_ps(_mm256_fnmadd_ps(about, divisor, value), inverse, about);
}

TRAINYARD_WIDE void planesComputed(const std::uint8_t* pixels, std::ptrdiff_t count, const PixelScale& scale,
                                   std::ptrdiff_t plane, float* to) {
    constexpr std::ptrdiff_t kPixels = 8;
    constexpr std::ptrdiff_t kRead = 32;  // Of which 24 bytes are wanted.
    const __m256i halves = _mm256_setr_epi32(0, 1, 2, 2, 3, 4, 5, 5);
    const __m256i spread = _mm256_setr_epi8(0, -1, -1, -1, 3, -1, -1, -1, 6, -1, -1, -1, 9, -1, -1, -1, 0, -1, -1, -1,
                                            3, -1, -1, -1, 6, -1, -1, -1, 9, -1, -1, -1);
    const __m256 most = _mm256_set1_ps(255.0F);
    const __m256 unit = _mm256_set1_ps(1.0F / 255.0F);
    __m256i pick[3];
    __m256 subtract[3];
    __m256 divisor[3];
    __m256 inverse[3];
    for (int c = 0; c < 3; ++c) {
        const auto channel = static_cast<std::size_t>(c);
        // The channel's byte of each pixel; what is negative becomes zero.
        pick[c] = _mm256_add_epi32(spread, _mm256_set1_epi32(c));
        subtract[c] = _mm256_set1_ps(scale.subtract[channel]);
        divisor[c] = _mm256_set1_ps(scale.divide[channel]);
        inverse[c] = _mm256_set1_ps(1.0F / scale.divide[channel]);
    }
    std::ptrdiff_t i = 0;
    for (; 3 * i + kRead <= 3 * count; i += kPixels) {
        const __m256i both = _mm256_permutevar8x32_epi32(loadWide(pixels + 3 * i), halves);
        for (int c = 0; c < 3; ++c) {
            const __m256 values = _mm256_cvtepi32_ps(_mm256_shuffle_epi8(both, pick[c]));
            const __m256 shifted = _mm256_sub_ps(quotient(values, most, unit), subtract[c]);
            _mm256_storeu_ps(to + c * plane + i, quotient(shifted, divisor[c], inverse[c]));
        }
    }
    planesPlain(pixels + 3 * i, count - i, scale, plane, to + i);
}

void planesWide(const std::uint8_t* pixels, std::ptrdiff_t count, const PixelScale& scale, std::ptrdiff_t plane,
                float* to) {
    if (scale.computes) {
        planesComputed(pixels, count, scale, plane, to);
    } else {
        planesPlain(pixels, count, scale, plane, to);
    }
}

constexpr PixelKernels kWide{splitAcrossWide, splitDownWide, acrossWide, downWide, planesWide};

constexpr std::size_t kWidestLanes = 32;  // 16-bit numbers in a register.

/// For each four outputs and four taps four registers, a quarter of each for an output: low parts of taps 0 and 1, of 2
/// and 3, then the high ones.
void splitAcrossWidest(SideFilter& filter) {
    const auto taps = static_cast<std::size_t>(filter.taps);
    std::int16_t* to = roomFor(filter, filter.weights.size() * 8);
    for (std::size_t output = 0; output < filter.first.size(); output += SideFilter::kGroup) {
        for (std::size_t tap = 0; tap < taps; tap += SideFilter::kGroup, to += 4 * kWidestLanes) {
            for (std::size_t lane = 0; lane < kWidestLanes; ++lane) {
                const std::int32_t* weights = filter.weights.data() + (output + lane / 8) * taps + tap + lane % 2;
                to[lane] = lowOf(weights[0]);
                to[kWidestLanes + lane] = lowOf(weights[2]);
                to[2 * kWidestLanes + lane] = highOf(weights[0]);
                to[3 * kWidestLanes + lane] = highOf(weights[2]);
            }
        }
    }
}

TRAINYARD_WIDEST inline __m512i loadWidest(const void* from) { return _mm512_loadu_si512(from); }

TRAINYARD_WIDEST inline __m128i loadFour(const std::uint8_t* from) {
    return _mm_loadu_si128(static_cast<const __m128i*>(static_cast<const void*>(from)));
}

TRAINYARD_WIDEST inline void acrossRowWidest(const std::uint8_t* row, const SideFilter& filter, int groups,
                                             std::uint8_t* to) {
    constexpr std::ptrdiff_t kChannels = 3;
    const int* first = filter.first.data();
    const std::int16_t* split = splitOf(filter);
    const __m512i pickNear =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1));
    const __m512i pickFar =
        _mm512_broadcast_i32x4(_mm_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1));
    const __m128i pack = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    for (int i = 0; i < filter.outputs; i += SideFilter::kGroup, to += 3 * SideFilter::kGroup) {
        __m512i low = _mm512_set1_epi32(kHalf);
        __m512i high = _mm512_setzero_si512();
        const std::uint8_t* from = row;
        for (int group = 0; group < groups; ++group, from += 3 * SideFilter::kGroup, split += 4 * kWidestLanes) {
            __m512i bytes = _mm512_castsi128_si512(loadFour(from + first[i] * kChannels));
            bytes = _mm512_inserti32x4(bytes, loadFour(from + first[i + 1] * kChannels), 1);
            bytes = _mm512_inserti32x4(bytes, loadFour(from + first[i + 2] * kChannels), 2);
            bytes = _mm512_inserti32x4(bytes, loadFour(from + first[i + 3] * kChannels), 3);
            const __m512i near = _mm512_shuffle_epi8(bytes, pickNear);
            const __m512i far = _mm512_shuffle_epi8(bytes, pickFar);
            low = _mm512_add_epi32(low, _mm512_madd_epi16(near, loadWidest(split)));
            high = _mm512_add_epi32(high, _mm512_madd_epi16(near, loadWidest(split + 2 * kWidestLanes)));
            low = _mm512_add_epi32(low, _mm512_madd_epi16(far, loadWidest(split + kWidestLanes)));
            high = _mm512_add_epi32(high, _mm512_madd_epi16(far, loadWidest(split + 3 * kWidestLanes)));
        }
        const __m512i sums =
            _mm512_srai_epi32(_mm512_add_epi32(_mm512_slli_epi32(high, kLowBits), low), SideFilter::kBits);
        const __m128i four = _mm_shuffle_epi8(_mm512_cvtusepi32_epi8(sums), pack);
        _mm_storeu_si128(static_cast<__m128i*>(static_cast<void*>(to)), four);
    }
}

TRAINYARD_WIDEST void acrossWidest(const std::uint8_t* row, const SideFilter& filter, std::uint8_t* to) {
    if (filter.taps == SideFilter::kGroup) {
        acrossRowWidest(row, filter, 1, to);
    } else {
        acrossRowWidest(row, filter, filter.taps / SideFilter::kGroup, to);
    }
}

TRAINYARD_WIDEST void downWidest(const std::uint8_t* rows, std::size_t stride, const SideFilter& filter, int output,
                                 std::size_t bytes, std::uint8_t* to) {
    constexpr std::size_t kBytes = 64;
    const auto at = static_cast<std::size_t>(output);
    const std::int16_t* weights = splitOf(filter) + at * static_cast<std::size_t>(filter.taps) * 2;
    const std::uint8_t* top = rows + static_cast<std::size_t>(filter.first[at]) * stride;
    const int pairs = (filter.count[at] + 1) / 2;
    const __m512i zero = _mm512_setzero_si512();
    const __m512i half = _mm512_set1_epi32(kHalf);
    for (std::size_t x = 0; x < bytes; x += kBytes) {
        __m512i low[4] = {half, half, half, half};
        __m512i high[4] = {zero, zero, zero, zero};
        const std::uint8_t* row = top + x;
        const std::int16_t* weight = weights;
        for (int pair = 0; pair < pairs; ++pair, row += 2 * stride, weight += 4) {
            std::int32_t lowWeights = 0;
            std::int32_t highWeights = 0;
            std::memcpy(&lowWeights, weight, sizeof lowWeights);
            std::memcpy(&highWeights, weight + 2, sizeof highWeights);
            const __m512i lowPair = _mm512_set1_epi32(lowWeights);
            const __m512i highPair = _mm512_set1_epi32(highWeights);
            const __m512i upper = loadWidest(row);
            const __m512i lower = loadWidest(row + stride);
            const __m512i left = _mm512_unpacklo_epi8(upper, lower);
            const __m512i right = _mm512_unpackhi_epi8(upper, lower);
            const __m512i parts[4] = {_mm512_unpacklo_epi8(left, zero), _mm512_unpackhi_epi8(left, zero),
                                      _mm512_unpacklo_epi8(right, zero), _mm512_unpackhi_epi8(right, zero)};
            for (int part = 0; part < 4; ++part) {
                low[part] = _mm512_add_epi32(low[part], _mm512_madd_epi16(parts[part], lowPair));
                high[part] = _mm512_add_epi32(high[part], _mm512_madd_epi16(parts[part], highPair));
            }
        }
        for (int part = 0; part < 4; ++part) {
            low[part] = _mm512_srai_epi32(_mm512_add_epi32(_mm512_slli_epi32(high[part], kLowBits), low[part]),
                                          SideFilter::kBits);
        }
        const __m512i sums =
            _mm512_packus_epi16(_mm512_packs_epi32(low[0], low[1]), _mm512_packs_epi32(low[2], low[3]));
        const std::size_t left = bytes - x;
        _mm512_mask_storeu_epi8(to + x, left >= kBytes ? ~std::uint64_t{0} : (std::uint64_t{1} << left) - 1, sums);
    }
}

constexpr PixelKernels kWidest{splitAcrossWidest, splitDownWide, acrossWidest, downWidest, planesWide};

#endif

}  // namespace

PixelScale pixelScale(const std::array<std::array<float, 256>, 3>& tables, const std::array<float, 3>& subtract,
                      const std::array<float, 3>& divide) {
    PixelScale scale{tables, subtract, divide, false};
    if (kernelsHere().size() == 1) {
        return scale;
    }
    constexpr std::size_t kValues = 256;
    constexpr std::size_t kSpare = 16;  // The wide loop leaves the last pixels to the plain one.
    std::array<std::uint8_t, (kValues + kSpare) * 3> pixels{};
    std::array<float, (kValues + kSpare) * 3> values{};
    for (std::size_t i = 0; i < kValues * 3; ++i) {
        pixels[i] = static_cast<std::uint8_t>(i / 3);
    }
    scale.computes = true;
    bestKernels().planes(pixels.data(), kValues + kSpare, scale, kValues + kSpare, values.data());
    for (std::size_t channel = 0; channel < 3; ++channel) {
        const float* own = values.data() + channel * (kValues + kSpare);
        scale.computes = scale.computes && std::memcmp(own, tables[channel].data(), sizeof tables[channel]) == 0;
    }
    return scale;
}

std::size_t acrossReach(const SideFilter& filter) {
    const int last = *std::ranges::max_element(filter.first);
    return static_cast<std::size_t>(3 * (last + filter.taps) + 4);
}

std::size_t acrossRoom(const SideFilter& filter) {
    return static_cast<std::size_t>(3 * roundedUp(filter.outputs, SideFilter::kGroup) + 4);
}

std::span<const PixelKernels* const> kernelsHere() {
    static const std::vector<const PixelKernels*> kernels = [] {
        std::vector<const PixelKernels*> able{&kPlain};
#ifdef TRAINYARD_WIDE
        if (__builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0) {
            able.push_back(&kWide);
            if (__builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0) {
                able.push_back(&kWidest);
            }
        }
#endif
        return able;
    }();
    return kernels;
}

const PixelKernels& bestKernels() { return *kernelsHere().back(); }

}  // namespace trainyard::engine
