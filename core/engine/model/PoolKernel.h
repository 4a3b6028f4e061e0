#pragma once
// 2 × 2 maximum pooling with stride 2 in vector code. libtorch's kernel for contiguous input walks value by value and
// takes a sixth of a small CNN's step. Plain C++, compiled on its own at -O3.
#include <cstdint>

namespace trainyard::engine {

struct PoolShape {
    std::int64_t height = 0;  ///< Of one input plane; an odd last row or column is left out.
    std::int64_t width = 0;
    [[nodiscard]] std::int64_t outHeight() const { return height / 2; }
    [[nodiscard]] std::int64_t outWidth() const { return width / 2; }
};

/// One plane. `place` (may be null) gets 0 … 3 for where in its window each maximum was: the first of equals, and the
/// last NaN wins over everything, as in torch.nn.functional.max_pool2d.
void poolPlane(const PoolShape& shape, const float* in, float* out, std::uint8_t* place);
/// Writes every value of the plane's gradient `in`.
void unpoolPlane(const PoolShape& shape, const float* out, const std::uint8_t* place, float* in);

}  // namespace trainyard::engine
