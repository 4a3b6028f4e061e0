#include "core/engine/inspect/SelfTest.h"

#include <ATen/ATen.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "core/base/Text.h"
#include "core/engine/distributed/ProcessGroup.h"
#include "core/engine/inspect/SelfTestParts.h"
#include "core/engine/model/Network.h"
#include "core/engine/model/SafeTensors.h"
#include "core/engine/model/TorchScript.h"
#include "core/engine/train/Optimizer.h"

namespace trainyard::engine {

namespace {

using base::Json;
using base::Path;

const std::vector<std::int64_t> kShape{1, 28, 28};
constexpr std::int64_t kClasses = 10;

/// Removed with everything in it at the end.
struct ScratchFolder {
    Path path;
    ~ScratchFolder() {
        if (!path.empty()) {
            (void) base::removeTree(path);
        }
    }
};

double lossAfterSteps(Network& network, const at::Tensor& images, const at::Tensor& labels, int steps) {
    spec::OptimizerSpec sgd;
    Optimizer optimizer(sgd, network.parameters(), network.parameterNames());
    double loss = 0;
    for (int i = 0; i <= steps; ++i) {
        optimizer.clearGradients();
        const at::Tensor value = crossEntropy(network.forward(images), labels, 0.0);
        loss = value.item<double>();
        value.backward();
        optimizer.step(0.02);
    }
    return loss;
}

Result<std::string> checkFamily(const std::string& family, const Path& folder) {
    auto table = spec::buildLayerTable(family, Json::object(), kShape, kClasses);
    if (!table) {
        return table.error();
    }
    at::manual_seed(1);
    Network network(std::move(*table));
    const at::Tensor images = at::randn({16, 1, 28, 28});
    const at::Tensor labels = at::arange(16, at::kLong).remainder(kClasses);
    const double first = lossAfterSteps(network, images, labels, 0);
    const double later = lossAfterSteps(network, images, labels, 8);
    if (!(later < first)) {
        return Error{"selftest.learning",
                     "The loss did not fall: " + std::to_string(first) + " then " + std::to_string(later)};
    }
    network.train(false);
    const at::NoGradGuard noGrad;
    const at::Tensor expected = network.forward(images);
    TRAINYARD_TRY(saveTorchScript(network, folder / (family + ".pt")));
    auto scripted = ScriptedModel::load(folder / (family + ".pt"));
    if (!scripted) {
        return scripted.error();
    }
    if (!at::equal(scripted->forward(images), expected)) {
        return Error{"selftest.torchscript", "The TorchScript file computes something else than the network."};
    }
    TRAINYARD_TRY(writeSafeTensors({network.state(), {}}, folder / (family + ".safetensors")));
    auto weights = readSafeTensors(folder / (family + ".safetensors"));
    if (!weights) {
        return weights.error();
    }
    Network second(network.table());
    TRAINYARD_TRY(second.load(weights->tensors));
    second.train(false);
    if (!at::equal(second.forward(images), expected)) {
        return Error{"selftest.weights", "Weights read back compute something else."};
    }
    return "loss " + std::to_string(first) + " to " + std::to_string(later);
}

Result<std::string> checkFused() {
    spec::OptimizerSpec sgd;
    const at::Tensor weights = at::zeros({64});
    const Optimizer optimizer(sgd, {weights}, {"w"});
    return std::string(optimizer.isFused() ? "one pass" : "libtorch's operations");
}

/// The backward pass against differences of the loss, in double precision.
Result<std::string> checkGradients() {
    at::manual_seed(5);
    const at::Tensor images = at::randn({2, 2, 6, 6}, at::kDouble);
    const at::Tensor weight = at::randn({3, 2, 3, 3}, at::kDouble).requires_grad_(true);
    const at::Tensor linear = at::randn({4, 12}, at::kDouble);
    const at::Tensor labels = at::arange(2, at::kLong);
    const auto lossOf = [&](const at::Tensor& kernel) {
        const at::Tensor pooled = at::adaptive_avg_pool2d(at::tanh(at::conv2d(images, kernel, {}, 1, 1)), {2, 2});
        return at::cross_entropy_loss(at::linear(pooled.flatten(1), linear), labels);
    };
    lossOf(weight).backward();
    const at::NoGradGuard noGrad;
    const at::Tensor gradient = weight.grad().flatten();
    constexpr double kStep = 1e-5;
    double largest = 0;
    for (std::int64_t i = 0; i < gradient.numel(); i += 5) {
        const at::Tensor up = weight.detach().clone();
        const at::Tensor down = weight.detach().clone();
        up.view(-1)[i] += kStep;
        down.view(-1)[i] -= kStep;
        const double expected = (lossOf(up).item<double>() - lossOf(down).item<double>()) / (2 * kStep);
        largest = std::max(largest, std::abs(gradient[i].item<double>() - expected));
    }
    if (!(largest < 1e-7)) {
        return Error{"selftest.gradient",
                     "The backward pass differs from differences of the loss by " + std::to_string(largest)};
    }
    return "largest difference " + base::formatSignificant(largest);
}

class Report {
public:
    explicit Report(const CheckSeen& seen) : m_seen(seen) {}

    template <class Check>
    void record(const std::string& name, Check&& check) {
        const auto result = guarded(name, std::forward<Check>(check));
        add(name, result.ok(), result.ok() ? *result : result.error().message);
    }
    /// What could not be tried is neither right nor wrong.
    void skip(const std::string& name, const std::string& why) { add(name, nullptr, why); }
    void fail(const std::string& name, const std::string& why) { add(name, false, why); }

    [[nodiscard]] Json result() && {
        const bool passed =
            std::ranges::none_of(m_checks, [](const Json& check) { return check["passed"] == Json(false); });
        return Json{{"passed", passed}, {"checks", std::move(m_checks)}};
    }

private:
    void add(const std::string& name, Json passed, const std::string& detail) {
        m_checks.push_back({{"name", name}, {"passed", std::move(passed)}, {"detail", detail}});
        m_seen(m_checks.back());
    }

    const CheckSeen& m_seen;
    Json m_checks = Json::array();
};

bool hasBackend(const std::string& name) {
    const auto backends = distributedBackends();
    return std::ranges::find(backends, name) != backends.end();
}

void checkGpus(Report& report, const Path& folder) {
    if (TRAINYARD_HAVE_CUDA == 0) {
        report.fail("cuda", "This engine is built without CUDA.");
        return;
    }
    const int gpus = visibleGpus();
    if (gpus == 0) {
        report.fail("cuda",
                    "CUDA shows no GPU: none is there, its driver does not answer, or CUDA_VISIBLE_DEVICES hides all.");
        return;
    }
    for (int i = 0; i < gpus; ++i) {
        report.record("gpu " + std::to_string(i), [i] { return checkGpu(i); });
    }
    if (!hasBackend("nccl")) {
        report.fail("nccl", "This engine is built without NCCL: its headers or CUDA's were not found.");
    } else if (gpus < 2) {
        report.skip("nccl", "not tried: it connects two GPUs, and there is one");
    } else {
        constexpr int kMostRanks = 8;
        report.record("nccl", [&] { return checkCollectives(folder, "nccl", std::min(gpus, kMostRanks)); });
    }
}

}  // namespace

Result<Json> runSelfTest(bool gpu, const CheckSeen& seen) {
    std::error_code failed;
    std::string pattern = (std::filesystem::temp_directory_path(failed) / "trainyard-selftest-XXXXXX").string();
    ScratchFolder folder;
    if (failed || ::mkdtemp(pattern.data()) == nullptr) {
        return Error{"file.io", "Cannot make a folder for the self-test under the temporary folder."};
    }
    folder.path = pattern;
    Report report(seen);
    report.record("gradients", [] { return checkGradients(); });
    report.record("model mlp", [&] { return checkFamily("mlp", folder.path); });
    report.record("model cnn", [&] { return checkFamily("cnn", folder.path); });
    report.record("optimizer update", [] { return checkFused(); });
    if (hasBackend("gloo")) {
        report.record("gloo", [&] { return checkCollectives(folder.path, "gloo", 2); });
    } else {
        report.skip("gloo", "not tried: this engine is built without Gloo");
    }
    if (gpu) {
        checkGpus(report, folder.path);
    }
    return std::move(report).result();
}

}  // namespace trainyard::engine
