#pragma once
// Batch normalisation over the samples of all ranks. libtorch's C++ API has none (Python's SyncBatchNorm is Python).
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>

#include "core/engine/distributed/ProcessGroup.h"

namespace trainyard::engine {

/// Ioffe & Szegedy 2015 with mean and variance over the joint batch: one all-reduce of count, sum and squared sum
/// forwards, one of the gradient's two sums backwards, both in double. Shards may differ in size. Collective: every
/// rank normalises the same layers in the same order. The gradients of weight and bias are this rank's own part, as the
/// gradient reducer wants them. One thread; must outlive the backward pass.
class SyncBatchNorm {
public:
    /// `group` must outlive it.
    explicit SyncBatchNorm(ProcessGroup& group) : m_group(group) {}
    SyncBatchNorm(const SyncBatchNorm&) = delete;
    SyncBatchNorm& operator=(const SyncBatchNorm&) = delete;

    /// `x` {N, C, H, W} on the group's device → the same shape; the running statistics {C} move on by `momentum`, with
    /// the unbiased variance, and are equal on all ranks. Differentiable in x, weight and bias. Throws what libtorch
    /// throws, and std::runtime_error when all ranks together have fewer than two values a channel.
    [[nodiscard]] at::Tensor normalize(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                                       const at::Tensor& runningMean, const at::Tensor& runningVar, double momentum,
                                       double epsilon);

    /// Off: this rank's samples stand in for none. They add nothing to the statistics, and no gradient comes from them.
    /// To be left until after the backward pass.
    void setCounted(bool on) { m_counted = on; }
    [[nodiscard]] bool isCounted() const { return m_counted; }
    /// Elementwise sum over all ranks.
    void sum(at::Tensor& tensor);
    /// Nanoseconds in exchanges since the last call of this.
    [[nodiscard]] std::int64_t takeWaitedNanos() { return std::exchange(m_waited, 0); }

private:
    ProcessGroup& m_group;
    bool m_counted = true;
    std::int64_t m_waited = 0;
};

}  // namespace trainyard::engine
