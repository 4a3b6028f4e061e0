#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "core/engine/data/Batch.h"
#include "core/engine/train/StepMeter.h"

namespace trainyard::engine {

struct EvaluateOptions {
    std::int64_t begin = 0;
    std::int64_t end = 0;
    std::int64_t batchSize = 256;
    /// counts[label × classes + prediction]; filled when not null.
    std::vector<std::int64_t>* confusion = nullptr;
    /// Called after each batch with its logits, its labels and the number of its first sample.
    std::function<void(const at::Tensor&, const at::Tensor&, std::int64_t)> onLogits{};
    /// Called after each batch with the samples done; false stops early.
    std::function<bool(std::int64_t)> onBatch{};
};

/// Loss (cross entropy without smoothing) and accuracy over samples begin … end − 1, without gradients. `forward` must
/// be in eval mode; `cut` gives samples [first, last), asked for in order. Throws what libtorch throws.
[[nodiscard]] Scores evaluate(const std::function<at::Tensor(const at::Tensor&)>& forward,
                              const std::function<const Batch&(std::int64_t, std::int64_t)>& cut,
                              const EvaluateOptions& options);

}  // namespace trainyard::engine
