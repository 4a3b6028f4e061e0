#include "core/engine/train/FusedUpdate.h"

#include <cmath>

#if defined(__x86_64__) && defined(__GNUC__)
#define TRAINYARD_FUSED __attribute__((target("avx2,fma")))
#else
#define TRAINYARD_FUSED
#endif

namespace trainyard::engine {

bool fusedUpdatesSupported() {
#if defined(__x86_64__) && defined(__GNUC__)
    return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
#else
    return false;
#endif
}

namespace {

// The switches are template parameters so that each loop has no branch inside and is vectorised.
template <bool Decay, bool Momentum, bool Nesterov, bool First>
TRAINYARD_FUSED void sgdLoop(const SgdStep& step, std::int64_t size, float* __restrict parameter,
                             const float* __restrict gradient, float* __restrict buffer) {
    const float rate = -step.learningRate;
    const float momentum = step.momentum;
    const float decay = step.weightDecay;
    for (std::int64_t i = 0; i < size; ++i) {
        float update = gradient[i];
        if constexpr (Decay) {
            update = __builtin_fmaf(parameter[i], decay, update);
        }
        if constexpr (Momentum) {
            const float velocity = First ? update : buffer[i] * momentum + update;
            buffer[i] = velocity;
            update = Nesterov ? __builtin_fmaf(velocity, momentum, update) : velocity;
        }
        parameter[i] = __builtin_fmaf(update, rate, parameter[i]);
    }
}

template <bool Decay>
void sgdWithDecay(const SgdStep& step, std::int64_t size, float* parameter, const float* gradient, float* buffer) {
    if (step.momentum == 0) {
        sgdLoop<Decay, false, false, false>(step, size, parameter, gradient, nullptr);
    } else if (step.nesterov) {
        step.firstStep ? sgdLoop<Decay, true, true, true>(step, size, parameter, gradient, buffer)
                       : sgdLoop<Decay, true, true, false>(step, size, parameter, gradient, buffer);
    } else {
        step.firstStep ? sgdLoop<Decay, true, false, true>(step, size, parameter, gradient, buffer)
                       : sgdLoop<Decay, true, false, false>(step, size, parameter, gradient, buffer);
    }
}

template <bool L2, bool Shrink>
TRAINYARD_FUSED void adamLoop(const AdamStep& step, std::int64_t size, float* __restrict parameter,
                              const float* __restrict gradient, float* __restrict average, float* __restrict square) {
    const AdamStep s = step;
    for (std::int64_t i = 0; i < size; ++i) {
        float value = parameter[i];
        if constexpr (Shrink) {
            value = value * s.shrink;
        }
        float g = gradient[i];
        if constexpr (L2) {
            g = __builtin_fmaf(value, s.l2, g);
        }
        const float m = __builtin_fmaf(g, s.oneMinusBeta1, average[i] * s.beta1);
        const float v = __builtin_fmaf(s.oneMinusBeta2 * g, g, square[i] * s.beta2);
        average[i] = m;
        square[i] = v;
        const float denominator = __builtin_sqrtf(v) / s.rootBiasCorrection2 + s.epsilon;
        parameter[i] = value + -s.stepSize * m / denominator;
    }
}

}  // namespace

void fusedSgd(const SgdStep& step, std::int64_t size, float* parameter, const float* gradient, float* buffer) {
    if (step.weightDecay != 0) {
        sgdWithDecay<true>(step, size, parameter, gradient, buffer);
    } else {
        sgdWithDecay<false>(step, size, parameter, gradient, buffer);
    }
}

void fusedAdam(const AdamStep& step, std::int64_t size, float* parameter, const float* gradient, float* average,
               float* square) {
    if (step.l2 != 0) {
        adamLoop<true, false>(step, size, parameter, gradient, average, square);
    } else if (step.shrink != 1) {
        adamLoop<false, true>(step, size, parameter, gradient, average, square);
    } else {
        adamLoop<false, false>(step, size, parameter, gradient, average, square);
    }
}

}  // namespace trainyard::engine
