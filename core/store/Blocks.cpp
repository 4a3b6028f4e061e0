#include "core/store/Blocks.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace trainyard::store {
namespace {

static_assert(std::endian::native == std::endian::little, "Blocks are little-endian as they lie in memory.");

constexpr unsigned char kSingles = 1;  ///< Doubles: every value is a float, kept in 4 bytes.

/// Steps and times: the first value, then differences of differences, which are 0 for an even beat. Sums wrap, so
/// that any int64 survives.
template <class Get>
void putIntegers(Bytes& out, std::size_t count, Get get) {
    std::uint64_t last = 0, lastDelta = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const auto value = static_cast<std::uint64_t>(get(i));
        const std::uint64_t delta = value - last;
        putVarint(out, zigzag(static_cast<std::int64_t>(delta - lastDelta)));
        last = value;
        lastDelta = i == 0 ? 0 : delta;
    }
}

template <class Set>
bool takeIntegers(std::string_view& in, std::size_t count, Set set) {
    std::uint64_t last = 0, lastDelta = 0;
    for (std::size_t i = 0; i < count; ++i) {
        std::uint64_t coded = 0;
        if (!takeVarint(in, coded)) return false;
        const std::uint64_t delta = static_cast<std::uint64_t>(unzigzag(coded)) + lastDelta;
        last += delta;
        lastDelta = i == 0 ? 0 : delta;
        set(i, static_cast<std::int64_t>(last));
    }
    return true;
}

template <class Get>
void putDoubles(Bytes& out, std::size_t count, Get get) {
    bool singles = true;
    for (std::size_t i = 0; i < count && singles; ++i) {
        const double value = get(i);
        singles = !std::isfinite(value) || (std::abs(value) <= std::numeric_limits<float>::max() &&
                                            static_cast<double>(static_cast<float>(value)) == value);
    }
    out.push_back(singles ? kSingles : 0);
    const std::size_t width = singles ? sizeof(float) : sizeof(double);
    std::size_t at = out.size();
    out.resize(at + count * width);
    for (std::size_t i = 0; i < count; ++i, at += width) {
        // One NaN for all: the sign and payload of a NaN carry nothing.
        const double value = std::isnan(get(i)) ? std::numeric_limits<double>::quiet_NaN() : get(i);
        if (singles) {
            const auto single = static_cast<float>(value);
            std::memcpy(out.data() + at, &single, width);
        } else {
            std::memcpy(out.data() + at, &value, width);
        }
    }
}

template <class Set>
bool takeDoubles(std::string_view& in, std::size_t count, Set set) {
    if (in.empty() || static_cast<unsigned char>(in.front()) > kSingles) return false;
    const bool singles = in.front() == static_cast<char>(kSingles);
    in.remove_prefix(1);
    const std::size_t width = singles ? sizeof(float) : sizeof(double);
    if (in.size() / width < count) return false;
    for (std::size_t i = 0; i < count; ++i) {
        if (singles) {
            float value = 0;
            std::memcpy(&value, in.data() + i * width, width);
            set(i, static_cast<double>(value));
        } else {
            double value = 0;
            std::memcpy(&value, in.data() + i * width, width);
            set(i, value);
        }
    }
    in.remove_prefix(count * width);
    return true;
}

}  // namespace

void Bucket::add(const Point& point) {
    Bucket one;
    one.stepLow = one.stepHigh = point.step;
    one.timeLow = one.timeHigh = point.t;
    one.count = 1;
    if (std::isfinite(point.value)) {
        one.min = one.max = one.sum = point.value;
        one.finite = 1;
    }
    add(one);
}

void Bucket::add(const Bucket& bucket) {
    if (count == 0) {
        *this = bucket;
        return;
    }
    stepLow = std::min(stepLow, bucket.stepLow);
    stepHigh = std::max(stepHigh, bucket.stepHigh);
    timeLow = std::min(timeLow, bucket.timeLow);
    timeHigh = std::max(timeHigh, bucket.timeHigh);
    min = std::fmin(min, bucket.min);  // fmin and fmax leave a NaN out.
    max = std::fmax(max, bucket.max);
    sum += bucket.sum;
    count += bucket.count;
    finite += bucket.finite;
}

std::int64_t pointsPerItem(int level) {
    std::int64_t points = 1;
    for (int i = 1; i <= level; ++i) points *= i == 1 ? kBaseFanout : kFanout;
    return points;
}

void putVarint(Bytes& out, std::uint64_t value) {
    while (value >= 0x80) {
        out.push_back(static_cast<unsigned char>(value) | 0x80);
        value >>= 7;
    }
    out.push_back(static_cast<unsigned char>(value));
}

bool takeVarint(std::string_view& in, std::uint64_t& value) {
    value = 0;
    for (unsigned shift = 0; shift < 64 && !in.empty(); shift += 7) {
        const auto byte = static_cast<unsigned char>(in.front());
        in.remove_prefix(1);
        value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) return true;
    }
    return false;
}

Bytes encodePoints(const Point* points, std::size_t count) {
    Bytes out;
    out.reserve(count * 14 + 16);
    putIntegers(out, count, [&](std::size_t i) { return points[i].step; });
    putIntegers(out, count, [&](std::size_t i) { return points[i].t; });
    putDoubles(out, count, [&](std::size_t i) { return points[i].value; });
    return out;
}

Bytes encodeBuckets(const Bucket* buckets, std::size_t count) {
    Bytes out;
    out.reserve(count * 36 + 16);
    putIntegers(out, count, [&](std::size_t i) { return buckets[i].stepLow; });
    putIntegers(out, count, [&](std::size_t i) { return buckets[i].stepHigh; });
    putIntegers(out, count, [&](std::size_t i) { return buckets[i].timeLow; });
    putIntegers(out, count, [&](std::size_t i) { return buckets[i].timeHigh; });
    putIntegers(out, count, [&](std::size_t i) { return buckets[i].count; });
    putIntegers(out, count, [&](std::size_t i) { return buckets[i].finite; });
    putDoubles(out, count, [&](std::size_t i) { return buckets[i].min; });
    putDoubles(out, count, [&](std::size_t i) { return buckets[i].max; });
    putDoubles(out, count, [&](std::size_t i) { return buckets[i].sum; });
    return out;
}

std::optional<std::vector<Point>> decodePoints(std::string_view bytes, std::size_t count) {
    if (count > static_cast<std::size_t>(kBlock)) return std::nullopt;
    std::vector<Point> points(count);
    if (!takeIntegers(bytes, count, [&](std::size_t i, std::int64_t v) { points[i].step = v; }) ||
        !takeIntegers(bytes, count, [&](std::size_t i, std::int64_t v) { points[i].t = v; }) ||
        !takeDoubles(bytes, count, [&](std::size_t i, double v) { points[i].value = v; }) || !bytes.empty())
        return std::nullopt;
    return points;
}

std::optional<std::vector<Bucket>> decodeBuckets(std::string_view bytes, std::size_t count) {
    if (count > static_cast<std::size_t>(kBlock)) return std::nullopt;
    std::vector<Bucket> buckets(count);
    if (!takeIntegers(bytes, count, [&](std::size_t i, std::int64_t v) { buckets[i].stepLow = v; }) ||
        !takeIntegers(bytes, count, [&](std::size_t i, std::int64_t v) { buckets[i].stepHigh = v; }) ||
        !takeIntegers(bytes, count, [&](std::size_t i, std::int64_t v) { buckets[i].timeLow = v; }) ||
        !takeIntegers(bytes, count, [&](std::size_t i, std::int64_t v) { buckets[i].timeHigh = v; }) ||
        !takeIntegers(bytes, count, [&](std::size_t i, std::int64_t v) { buckets[i].count = v; }) ||
        !takeIntegers(bytes, count, [&](std::size_t i, std::int64_t v) { buckets[i].finite = v; }) ||
        !takeDoubles(bytes, count, [&](std::size_t i, double v) { buckets[i].min = v; }) ||
        !takeDoubles(bytes, count, [&](std::size_t i, double v) { buckets[i].max = v; }) ||
        !takeDoubles(bytes, count, [&](std::size_t i, double v) { buckets[i].sum = v; }) || !bytes.empty())
        return std::nullopt;
    return buckets;
}

}  // namespace trainyard::store
