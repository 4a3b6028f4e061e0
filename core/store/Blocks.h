#pragma once
// Room-internal: how points and buckets of the min/max/mean pyramid become bytes. Bytes of one list are always the
// same, so a rebuilt index equals the first one.
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

namespace trainyard::store {

using Bytes = std::vector<unsigned char>;

/// Level 0 of a series: points as reported, in order of arrival.
struct Point {
    std::int64_t step = 0;
    std::int64_t t = 0;  ///< Microseconds UTC.
    double value = 0;
};

/// Level L ≥ 1: what 16·4^(L−1) consecutive points come to.
struct Bucket {
    std::int64_t stepLow = 0, stepHigh = 0;
    std::int64_t timeLow = 0, timeHigh = 0;
    double min = std::numeric_limits<double>::quiet_NaN();  ///< Over finite values; NaN without any.
    double max = std::numeric_limits<double>::quiet_NaN();
    double sum = 0;
    std::int64_t count = 0;   ///< Points.
    std::int64_t finite = 0;  ///< Points with a finite value.

    void add(const Point& point);
    void add(const Bucket& bucket);
};

inline constexpr std::int64_t kBaseFanout = 16;  ///< Points in a bucket of level 1.
inline constexpr std::int64_t kFanout = 4;       ///< Buckets in a bucket of the next level.
inline constexpr std::int64_t kPiece = 256;   ///< Items of a block that is still young: bounds what an append rewrites.
inline constexpr std::int64_t kBlock = 4096;  ///< Items of a full block; sixteen pieces become one.

/// Points under one item of a level.
[[nodiscard]] std::int64_t pointsPerItem(int level);

[[nodiscard]] Bytes encodePoints(const Point* points, std::size_t count);
[[nodiscard]] Bytes encodeBuckets(const Bucket* buckets, std::size_t count);
/// nullopt for bytes that no encoder made, or another number of items.
[[nodiscard]] std::optional<std::vector<Point>> decodePoints(std::string_view bytes, std::size_t count);
[[nodiscard]] std::optional<std::vector<Bucket>> decodeBuckets(std::string_view bytes, std::size_t count);

/// Little-endian base-128 numbers, shared with the log index.
void putVarint(Bytes& out, std::uint64_t value);
[[nodiscard]] bool takeVarint(std::string_view& in, std::uint64_t& value);
[[nodiscard]] constexpr std::uint64_t zigzag(std::int64_t value) {
    return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
[[nodiscard]] constexpr std::int64_t unzigzag(std::uint64_t value) {
    return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
}

}  // namespace trainyard::store
