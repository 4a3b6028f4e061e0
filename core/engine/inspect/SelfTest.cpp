#include "core/engine/inspect/SelfTest.h"

#include <ATen/ATen.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "core/engine/distributed/ProcessGroup.h"
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
        return Error{"selftest.learning", "The loss did not fall: " + std::to_string(first) + " then " + std::to_string(later)};
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

template <class Check>
void record(Json& checks, const std::string& name, Check&& check) {
    const auto result = guarded(name, std::forward<Check>(check));
    checks.push_back({{"name", name}, {"passed", result.ok()}, {"detail", result.ok() ? *result : result.error().message}});
}

}  // namespace

Result<Json> runSelfTest() {
    std::error_code failed;
    std::string pattern = (std::filesystem::temp_directory_path(failed) / "trainyard-selftest-XXXXXX").string();
    ScratchFolder folder;
    if (failed || ::mkdtemp(pattern.data()) == nullptr) {
        return Error{"file.io", "Cannot make a folder for the self-test under the temporary folder."};
    }
    folder.path = pattern;
    Json checks = Json::array();
    record(checks, "model mlp", [&] { return checkFamily("mlp", folder.path); });
    record(checks, "model cnn", [&] { return checkFamily("cnn", folder.path); });
    record(checks, "optimizer update", [] { return checkFused(); });
    bool passed = true;
    for (const Json& check : checks) {
        passed = passed && check["passed"].get<bool>();
    }
    return Json{{"passed", passed}, {"checks", std::move(checks)}};
}

}  // namespace trainyard::engine
