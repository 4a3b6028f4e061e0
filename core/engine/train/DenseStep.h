#pragma once
// Loss and gradients of networks of linear layers and ReLU without autograd. Their arithmetic is so short that building
// and walking the graph costs as much as a third of a step. The same kernels of libtorch run in the same order, so
// every bit is the same; results go into buffers that stay.
#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "core/engine/data/Batch.h"
#include "core/engine/model/Network.h"

namespace trainyard::engine {

/// Not thread-safe. The network must outlive it.
class DenseStep {
public:
    /// Null when the network holds anything but Flatten, Linear with bias, and ReLU behind each Linear but the last, or
    /// is not float32 on the CPU.
    [[nodiscard]] static std::unique_ptr<DenseStep> forNetwork(const Network& network);
    ~DenseStep();

    struct Result {
        at::Tensor loss;    ///< Scalar: mean cross entropy.
        at::Tensor logits;  ///< {N, classes}; valid until the next step.
    };
    /// Forward and backward; leaves the parameters' gradients as backward() would, overwriting what was there.
    [[nodiscard]] Result run(const Batch& batch);

private:
    struct Layer;
    explicit DenseStep(std::vector<Layer> layers);
    std::vector<Layer> m_layers;
};

}  // namespace trainyard::engine
