#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/engine/distributed/ProcessGroup.h"

namespace trainyard::engine {

/// c10d::Reducer over a network's parameters: gradients are averaged over the ranks bucket by bucket while the backward
/// pass still runs. In a world of one it does nothing. A step is: gradients cleared, beforeForward(), forward,
/// backward(loss) — after which every rank holds the same gradients. Parts of a batch whose gradients are only added up
/// go through forward and loss.backward() before that, without a word to the reducer; then nothing is exchanged for
/// them.
///
/// The average over ranks equals the gradient of the joint batch when each rank scales its mean loss by shardWeight().
class GradientReducer {
public:
    /// `group` must outlive the reducer. Throws what libtorch throws, when parameters differ in shape between ranks
    /// too.
    GradientReducer(ProcessGroup& group, const std::vector<at::Tensor>& parameters,
                    const std::vector<std::string>& names);
    ~GradientReducer();
    GradientReducer(const GradientReducer&) = delete;
    GradientReducer& operator=(const GradientReducer&) = delete;

    void beforeForward();
    /// loss.backward() with the exchange. Throws what libtorch throws.
    void backward(const at::Tensor& loss);
    /// Nanoseconds that backward() waited for the exchange after its own computing was done, since the last call of
    /// this. What of the exchange was hidden under the computing is not in it.
    [[nodiscard]] std::int64_t takeWaitedNanos() { return std::exchange(m_waited, 0); }

    /// Seconds of a step's exchange, from the first bucket's start on, that lie under the backward pass: libtorch's own
    /// figure, mean over every tenth step so far. 0 until known, and in a world of one.
    [[nodiscard]] double hiddenSeconds();

    /// local count × world / global count.
    [[nodiscard]] static double shardWeight(std::int64_t localCount, std::int64_t globalCount, int world);

private:
    struct Impl;
    std::unique_ptr<Impl> m_impl;
    std::int64_t m_waited = 0;
};

}  // namespace trainyard::engine
