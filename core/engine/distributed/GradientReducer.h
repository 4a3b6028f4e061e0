#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "core/engine/distributed/ProcessGroup.h"

namespace trainyard::engine {

/// c10d::Reducer over a network's parameters: gradients are averaged over the ranks bucket by bucket while the backward
/// pass still runs. In a world of one it does nothing. A step is: gradients cleared, beforeForward(), forward,
/// beforeBackward(), backward() — after which every rank holds the same gradients.
///
/// The average over ranks equals the gradient of the joint batch when each rank scales its mean loss by shardWeight().
class GradientReducer {
public:
    /// `group` must outlive the reducer. Throws what libtorch throws, when parameters differ in shape between ranks too.
    GradientReducer(ProcessGroup& group, const std::vector<at::Tensor>& parameters,
                    const std::vector<std::string>& names);
    ~GradientReducer();
    GradientReducer(const GradientReducer&) = delete;
    GradientReducer& operator=(const GradientReducer&) = delete;

    void beforeForward();
    void beforeBackward();

    /// local count × world / global count.
    [[nodiscard]] static double shardWeight(std::int64_t localCount, std::int64_t globalCount, int world);

private:
    struct Impl;
    std::unique_ptr<Impl> m_impl;
};

}  // namespace trainyard::engine
