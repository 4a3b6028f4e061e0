#include "core/engine/model/PoolKernel.h"

#include <algorithm>

#if defined(__x86_64__) && defined(__GNUC__) && defined(__linux__)
#define TRAINYARD_VECTOR __attribute__((target_clones("avx2", "default")))
#else
#define TRAINYARD_VECTOR
#endif

namespace trainyard::engine {

namespace {

/// Columns that are handled at a time; small enough for the places to stay in registers' reach as 32-bit numbers.
constexpr std::int64_t kColumns = 64;

TRAINYARD_VECTOR void poolRow(const float* __restrict upper, const float* __restrict lower, std::int64_t columns,
                              float* __restrict out, std::int32_t* __restrict place) {
    for (std::int64_t x = 0; x < columns; ++x) {
        float best = upper[2 * x];
        std::int32_t where = 0;
        const float second = upper[2 * x + 1];
        const bool takeSecond = (second > best) | (second != second);
        best = takeSecond ? second : best;
        where = takeSecond ? 1 : where;
        const float third = lower[2 * x];
        const bool takeThird = (third > best) | (third != third);
        best = takeThird ? third : best;
        where = takeThird ? 2 : where;
        const float fourth = lower[2 * x + 1];
        const bool takeFourth = (fourth > best) | (fourth != fourth);
        best = takeFourth ? fourth : best;
        where = takeFourth ? 3 : where;
        out[x] = best;
        place[x] = where;
    }
}

TRAINYARD_VECTOR void unpoolRow(const float* __restrict out, const std::int32_t* __restrict place, std::int64_t columns,
                                float* __restrict upper, float* __restrict lower) {
    for (std::int64_t x = 0; x < columns; ++x) {
        const float gradient = out[x];
        const std::int32_t where = place[x];
        upper[2 * x] = where == 0 ? gradient : 0.0F;
        upper[2 * x + 1] = where == 1 ? gradient : 0.0F;
        lower[2 * x] = where == 2 ? gradient : 0.0F;
        lower[2 * x + 1] = where == 3 ? gradient : 0.0F;
    }
}

}  // namespace

void poolPlane(const PoolShape& shape, const float* in, float* out, std::uint8_t* place) {
    std::int32_t wide[kColumns];
    const std::int64_t columns = shape.outWidth();
    for (std::int64_t y = 0; y < shape.outHeight(); ++y) {
        const float* upper = in + 2 * y * shape.width;
        for (std::int64_t x = 0; x < columns; x += kColumns) {
            const std::int64_t part = std::min(kColumns, columns - x);
            poolRow(upper + 2 * x, upper + shape.width + 2 * x, part, out + y * columns + x, wide);
            if (place != nullptr) {
                std::uint8_t* narrow = place + y * columns + x;
                for (std::int64_t i = 0; i < part; ++i) {
                    narrow[i] = static_cast<std::uint8_t>(wide[i]);
                }
            }
        }
    }
}

void unpoolPlane(const PoolShape& shape, const float* out, const std::uint8_t* place, float* in) {
    std::int32_t wide[kColumns];
    const std::int64_t columns = shape.outWidth();
    for (std::int64_t y = 0; y < shape.outHeight(); ++y) {
        float* upper = in + 2 * y * shape.width;
        for (std::int64_t x = 0; x < columns; x += kColumns) {
            const std::int64_t part = std::min(kColumns, columns - x);
            const std::uint8_t* narrow = place + y * columns + x;
            for (std::int64_t i = 0; i < part; ++i) {
                wide[i] = narrow[i];
            }
            unpoolRow(out + y * columns + x, wide, part, upper + 2 * x, upper + shape.width + 2 * x);
        }
        if (shape.width % 2 != 0) {
            upper[shape.width - 1] = 0.0F;
            upper[2 * shape.width - 1] = 0.0F;
        }
    }
    if (shape.height % 2 != 0) {
        std::fill_n(in + (shape.height - 1) * shape.width, shape.width, 0.0F);
    }
}

}  // namespace trainyard::engine
