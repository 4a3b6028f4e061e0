#include <ATen/ATen.h>
#include <torch/cuda.h>

#include <algorithm>
#include <cstdio>

#include "core/base/Clock.h"
#include "core/engine/inspect/SelfTestParts.h"
#include "core/engine/model/Network.h"
#include "core/engine/train/Optimizer.h"

namespace trainyard::engine {

namespace {

/// The GPU may add up in another order and, in convolutions, with 10 bits of mantissa (TF32).
constexpr double kTolerance = 2e-2;

double relativeDifference(const at::Tensor& there, const at::Tensor& here) {
    const double scale = std::max(1e-3, here.abs().max().item<double>());
    return (there.detach().to(at::kCPU) - here).abs().max().item<double>() / scale;
}

Error wrong(const std::string& what, double difference) {
    char text[64];
    std::snprintf(text, sizeof text, " (relative difference %.2g)", difference);
    return {"selftest.gpu", what + " is not the processor's" + text + "."};
}

}  // namespace

int visibleGpus() { return torch::cuda::is_available() ? static_cast<int>(torch::cuda::device_count()) : 0; }

Result<std::string> checkGpu(int index) {
    const std::int64_t begin = base::monotonicNanos();
    const at::Device device(at::kCUDA, static_cast<at::DeviceIndex>(index));
    at::manual_seed(3);
    const at::Tensor left = at::randn({256, 384});
    const at::Tensor right = at::randn({384, 128});
    if (const double d = relativeDifference(at::mm(left.to(device), right.to(device)), at::mm(left, right));
        !(d <= kTolerance)) {
        return wrong("A matrix product", d);
    }

    auto table = spec::buildLayerTable("cnn", base::Json::object(), {1, 28, 28}, 10);
    if (!table) {
        return table.error();
    }
    Network here(*table);
    Network there(std::move(*table), device);
    TRAINYARD_TRY(there.load(here.state()));
    const at::Tensor images = at::randn({32, 1, 28, 28});
    const at::Tensor labels = at::arange(32, at::kLong).remainder(10);
    // In evaluation mode no generator is drawn from, and the processor's and the GPU's differ.
    here.train(false);
    there.train(false);
    const at::Tensor lossHere = crossEntropy(here.forward(images), labels, 0.0);
    const at::Tensor lossThere = crossEntropy(there.forward(images.to(device)), labels.to(device), 0.0);
    if (const double d = relativeDifference(lossThere, lossHere.detach()); !(d <= kTolerance)) {
        return wrong("The loss of a network", d);
    }
    lossHere.backward();
    lossThere.backward();
    for (std::size_t i = 0; i < here.parameters().size(); ++i) {
        const double d = relativeDifference(there.parameters()[i].grad(), here.parameters()[i].grad());
        if (!(d <= kTolerance)) {
            return wrong("The gradient of " + here.parameterNames()[i], d);
        }
    }

    there.train(true);
    spec::OptimizerSpec sgd;
    Optimizer optimizer(sgd, there.parameters(), there.parameterNames());
    double last = 0;
    for (int i = 0; i < 10; ++i) {
        optimizer.clearGradients();
        const at::Tensor loss = crossEntropy(there.forward(images.to(device)), labels.to(device), 0.0);
        last = loss.item<double>();
        loss.backward();
        optimizer.step(0.02);
    }
    const double first = lossHere.item<double>();
    if (!(last < first)) {
        return Error{"selftest.gpu",
                     "The loss did not fall on the GPU: " + std::to_string(first) + " then " + std::to_string(last)};
    }
    return "loss " + std::to_string(first) + " to " + std::to_string(last) + ", " +
           std::to_string((base::monotonicNanos() - begin) / 1'000'000) + " ms";
}

}  // namespace trainyard::engine
