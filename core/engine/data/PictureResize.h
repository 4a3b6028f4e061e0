#pragma once
#include <cstdint>
#include <vector>

#include "core/engine/data/Picture.h"
#include "core/engine/data/PixelKernels.h"

namespace trainyard::engine {

/// Resizes as Pillow's BILINEAR does, with memory of its own that is used again. One thread.
class Resizer {
public:
    /// Kernels other than the best are for tests: the pixels are the same.
    explicit Resizer(const PixelKernels& kernels = bestKernels()) : m_kernels(kernels) {}

    /// `box` of `from` becomes width × height; of that, `cut` goes to `to`, mirrored left to right where that is asked
    /// for. Two passes in integers with 22 bits, rounded to 8 bits between them; what lies outside the box is not
    /// looked at. `to`: cut.height × cut.width × 3 bytes. Precondition: the box lies in the picture, the cut in what
    /// becomes of it; none is empty.
    void resize(const Picture& from, const Box& box, int width, int height, const Box& cut, bool mirrored,
                std::uint8_t* to);

private:
    const PixelKernels& m_kernels;
    SideFilter m_across;
    SideFilter m_down;
    std::vector<double> m_exact;          ///< One output's weights.
    std::vector<std::uint8_t> m_between;  ///< Rows of the picture, as wide as the cut.
    std::vector<std::uint8_t> m_edge;     ///< A last row, with room behind it to read.
};

}  // namespace trainyard::engine
