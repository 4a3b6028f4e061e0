#pragma once
#include <cstdint>

namespace trainyard::base {

/// A well-mixed 64-bit value of two (SplitMix64 finaliser, Steele et al. 2014).
[[nodiscard]] constexpr std::uint64_t mixSeeds(std::uint64_t a, std::uint64_t b) {
    std::uint64_t z = a + 0x9E3779B97F4A7C15ULL * (b + 1);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

}  // namespace trainyard::base
