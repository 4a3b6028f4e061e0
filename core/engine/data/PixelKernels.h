#pragma once
// The inner loops of picture loading, plain and for AVX2 and AVX-512, with results that are equal to the bit. Pure
// functions, any thread.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace trainyard::engine {

/// Which source samples make each output along one side of a resized picture, and with what weights.
struct SideFilter {
    static constexpr int kBits = 22;  ///< Weights are in units of 1 / 2^22 and never negative.
    static constexpr int kGroup = 4;

    int outputs = 0;
    int taps = 0;            ///< Weights kept for an output, a multiple of kGroup; those that it does not need are 0.
    std::vector<int> first;  ///< Source sample of an output's first weight; room for outputs rounded up to kGroup.
    std::vector<int> count;  ///< Weights that an output needs; room as in `first`.
    std::vector<std::int32_t> weights;  ///< Room as in `first`, × taps.
    struct alignas(64) Line {
        std::int16_t values[32];
    };
    std::vector<Line>
        split;  ///< The weights as PixelKernels::splitAcross or splitDown leave them, on cache lines of their own.
};

/// What the 256 pixel values become: (pixel / 255 − subtract) / divide in float32, by channel.
struct PixelScale {
    std::array<std::array<float, 256>, 3> tables{};
    std::array<float, 3> subtract{};
    std::array<float, 3> divide{};
    bool computes = false;  ///< The wide loop's arithmetic gives the tables' bits for every value.
};
/// Tries the wide loop, where there is one, with all values.
[[nodiscard]] PixelScale pixelScale(const std::array<std::array<float, 256>, 3>& tables,
                                    const std::array<float, 3>& subtract, const std::array<float, 3>& divide);

/// Pixels are 8-bit RGB, interleaved.
struct PixelKernels {
    /// Fill SideFilter::split, for `across` and for `down`.
    void (*splitAcross)(SideFilter& filter);
    void (*splitDown)(SideFilter& filter);
    /// One row, resized to filter.outputs pixels. Reads no further than acrossReach() bytes, writes no more than
    /// acrossRoom().
    void (*across)(const std::uint8_t* row, const SideFilter& filter, std::uint8_t* to);
    /// Output row `output`, `bytes` long, of rows that begin `stride` apart, a multiple of 64; reads whole rows and the
    /// one behind the last that is needed.
    void (*down)(const std::uint8_t* rows, std::size_t stride, const SideFilter& filter, int output, std::size_t bytes,
                 std::uint8_t* to);
    /// `count` pixels as floats in three planes that begin `plane` floats apart.
    void (*planes)(const std::uint8_t* pixels, std::ptrdiff_t count, const PixelScale& scale, std::ptrdiff_t plane,
                   float* to);
};

[[nodiscard]] std::size_t acrossReach(const SideFilter& filter);
[[nodiscard]] std::size_t acrossRoom(const SideFilter& filter);

/// Those that this processor can run: the plain ones first, the quickest last.
[[nodiscard]] std::span<const PixelKernels* const> kernelsHere();
[[nodiscard]] const PixelKernels& bestKernels();

}  // namespace trainyard::engine
