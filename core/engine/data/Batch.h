#pragma once
// Cuts batches straight from memory into one buffer that is used again each step.
#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

#include "core/engine/data/Dataset.h"

namespace trainyard::engine {

/// Random shift by up to 2 pixels (zeros move in) and horizontal flip of one sample, from (seed, epoch, index) alone.
struct Augmentation {
    int dx = 0;
    int dy = 0;
    bool flip = false;
};
[[nodiscard]] Augmentation augmentationOf(std::int64_t seed, std::int64_t epoch, std::int64_t index);

/// A batch as the model takes it.
struct Batch {
    at::Tensor images;  ///< float32 {N, C, H, W}, normalised.
    at::Tensor labels;  ///< int64 {N}
};

/// Not thread-safe. The tensors of a batch are overwritten by the next call with the same number of samples; autograd
/// must be done with them by then, which it is after backward().
class BatchCutter {
public:
    BatchCutter(const ImageSet& set, const Normalization& normalization, at::Device device);

    /// Samples `indices[0..count)`.
    [[nodiscard]] const Batch& cut(const std::int64_t* indices, std::int64_t count);
    /// The same with each sample shifted and flipped.
    [[nodiscard]] const Batch& cutAugmented(const std::int64_t* indices, std::int64_t count, std::int64_t seed,
                                            std::int64_t epoch);
    /// Samples begin, begin + 1, … end − 1.
    [[nodiscard]] const Batch& cutRange(std::int64_t begin, std::int64_t end);

private:
    void prepare(std::int64_t count);
    [[nodiscard]] const Batch& finish();

    const ImageSet& m_set;
    std::array<float, 256> m_table;
    at::Device m_device;
    Batch m_host;
    Batch m_onDevice;
};

}  // namespace trainyard::engine
