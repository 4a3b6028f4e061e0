#pragma once
// Optimizer updates in one pass over memory instead of one pass an operation. Plain C++: compiled on its own at -O3
// without contraction, so that every rounding is written down here.
#include <cstdint>

namespace trainyard::engine {

/// Whether this processor has what the loops are compiled for (AVX2 and FMA; always false elsewhere).
[[nodiscard]] bool fusedUpdatesSupported();

struct SgdStep {
    float learningRate = 0;
    float momentum = 0;     ///< 0: `buffer` is not touched and may be null.
    float weightDecay = 0;  ///< 0: left out.
    bool nesterov = false;
    bool firstStep = false;  ///< The momentum buffer takes the gradient as it is.
};
/// torch.optim.SGD (Sutskever et al. 2013) with dampening 0.
void fusedSgd(const SgdStep& step, std::int64_t size, float* parameter, const float* gradient, float* buffer);

struct AdamStep {
    float beta1 = 0;
    float oneMinusBeta1 = 0;
    float beta2 = 0;
    float oneMinusBeta2 = 0;
    float epsilon = 0;
    float stepSize = 0;             ///< learning rate / (1 − β1^t)
    float rootBiasCorrection2 = 1;  ///< √(1 − β2^t)
    float l2 = 0;                   ///< Adam's weight decay, added to the gradient.
    float shrink = 1;               ///< AdamW's: 1 − learning rate × weight decay.
};
/// torch.optim.Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019), without amsgrad.
void fusedAdam(const AdamStep& step, std::int64_t size, float* parameter, const float* gradient, float* average,
               float* square);

}  // namespace trainyard::engine
