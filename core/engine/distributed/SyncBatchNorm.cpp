#include "core/engine/distributed/SyncBatchNorm.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <array>
#include <stdexcept>
#include <string>

#include "core/base/Clock.h"

namespace trainyard::engine {

namespace {

/// All dimensions but the channels'.
constexpr std::array<std::int64_t, 3> kOthers = {0, 2, 3};

/// {C} as {1, C, 1, 1} in float32.
at::Tensor spread(const at::Tensor& values) { return values.to(at::kFloat).view({1, -1, 1, 1}); }

/// torch.nn.BatchNorm2d's formulas with sums over all ranks in place of sums over the batch.
class JointNorm : public torch::autograd::Function<JointNorm> {
public:
    static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                              const at::Tensor& bias, at::Tensor runningMean, at::Tensor runningVar, double momentum,
                              double epsilon, std::int64_t ownerAddress) {
        auto* owner = reinterpret_cast<SyncBatchNorm*>(ownerAddress);
        const std::int64_t channels = x.size(1);
        at::Tensor sums = at::zeros({2 * channels + 1}, x.options().dtype(at::kDouble));
        if (owner->isCounted()) {
            // The squared sum by way of the rank's own variance: summing squares in float32 would lose it where means
            // are large.
            const auto [variance, mean] = at::var_mean(x, at::IntArrayRef(kOthers), /*unbiased=*/false);
            const at::Tensor ownMean = mean.to(at::kDouble);
            const double count = static_cast<double>(x.numel() / channels);
            sums.slice(0, 0, channels).copy_(ownMean * count);
            sums.slice(0, channels, 2 * channels).copy_((variance.to(at::kDouble) + ownMean * ownMean) * count);
            sums[2 * channels] = count;
        }
        owner->sum(sums);
        const auto total = sums[2 * channels].item<double>();
        if (total < 2) {
            throw std::runtime_error("batch normalisation needs two values a channel, and all ranks together have " +
                                     std::to_string(static_cast<std::int64_t>(total)));
        }
        const at::Tensor mean = sums.slice(0, 0, channels) / total;
        const at::Tensor variance = (sums.slice(0, channels, 2 * channels) / total - mean * mean).clamp_min(0);
        runningMean.mul_(1 - momentum).add_(mean.to(at::kFloat), momentum);
        runningVar.mul_(1 - momentum).add_((variance * (total / (total - 1))).to(at::kFloat), momentum);
        const at::Tensor inverse = (variance + epsilon).rsqrt();
        context->save_for_backward({x, weight, mean, inverse});
        context->saved_data["total"] = total;
        context->saved_data["owner"] = ownerAddress;
        return at::batch_norm(x, weight, bias, mean.to(at::kFloat), variance.to(at::kFloat), /*training=*/false, 0.0,
                              epsilon,
                              /*cudnn_enabled=*/false);
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                   torch::autograd::variable_list outputs) {
        auto* owner = reinterpret_cast<SyncBatchNorm*>(context->saved_data["owner"].toInt());
        const double total = context->saved_data["total"].toDouble();
        const auto saved = context->get_saved_variables();
        const at::Tensor& x = saved[0];
        const at::Tensor& weight = saved[1];
        const at::Tensor& inverse = saved[3];
        const at::Tensor& gradient = outputs[0];
        const std::int64_t channels = x.size(1);

        const at::Tensor centred = x - spread(saved[2]);
        at::Tensor sums = at::zeros({2, channels}, x.options().dtype(at::kDouble));
        if (owner->isCounted()) {
            sums[0].copy_(gradient.sum(at::IntArrayRef(kOthers), false, at::kDouble));
            sums[1].copy_((gradient * centred).sum(at::IntArrayRef(kOthers), false, at::kDouble));
        }
        const at::Tensor biasGradient = sums[0].to(at::kFloat);
        const at::Tensor weightGradient = (sums[1] * inverse).to(at::kFloat);
        owner->sum(sums);
        at::Tensor inputGradient;
        if (owner->isCounted()) {
            const at::Tensor slope = sums[1] / total * inverse * inverse;
            inputGradient = (gradient - spread(sums[0] / total) - centred * spread(slope)) *
                            spread(weight.to(at::kDouble) * inverse);
        } else {
            inputGradient = at::zeros_like(x);
        }
        return {inputGradient, weightGradient, biasGradient, {}, {}, {}, {}, {}};
    }
};

}  // namespace

at::Tensor SyncBatchNorm::normalize(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                                    const at::Tensor& runningMean, const at::Tensor& runningVar, double momentum,
                                    double epsilon) {
    return JointNorm::apply(x, weight, bias, runningMean, runningVar, momentum, epsilon,
                            reinterpret_cast<std::int64_t>(this));
}

void SyncBatchNorm::sum(at::Tensor& tensor) {
    const std::int64_t begin = base::monotonicNanos();
    m_group.sumTensor(tensor);
    m_waited += base::monotonicNanos() - begin;
}

}  // namespace trainyard::engine
