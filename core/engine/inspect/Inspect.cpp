#include "core/engine/inspect/Inspect.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <dlfcn.h>
#include <torch/cuda.h>
#include <torch/version.h>

#include <string>

#include "core/engine/Runtime.h"
#include "core/engine/distributed/ProcessGroup.h"
#include "core/engine/export/Verbs.h"
#include "core/engine/model/ModelCard.h"
#include "core/engine/model/TorchScript.h"

namespace trainyard::engine {

namespace {

using base::Json;

/// Which BLAS the process has really loaded; libtorch only knows what it was compiled against.
Json describeBlas() {
    using Text = char* (*) ();
    if (auto* config = reinterpret_cast<Text>(dlsym(RTLD_DEFAULT, "openblas_get_config")); config != nullptr) {
        auto* core = reinterpret_cast<Text>(dlsym(RTLD_DEFAULT, "openblas_get_corename"));
        return {{"name", "OpenBLAS"}, {"config", config()}, {"core", core != nullptr ? core() : ""}};
    }
    if (at::hasMKL()) {
        return {{"name", "MKL"}};
    }
    return {{"name", "reference"},
            {"hint",
             "Matrix products run on the reference BLAS; with OpenBLAS (libopenblas0-pthread) training is about "
             "twice as fast."}};
}

Json describeDevices() {
    Json devices = Json::array({{{"device", "cpu"}, {"cores", usableCores()}}});
    try {
        const auto count = torch::cuda::is_available() ? static_cast<int>(torch::cuda::device_count()) : 0;
        for (int i = 0; i < count; ++i) {
            devices.push_back({{"device", "cuda:" + std::to_string(i)}});
        }
    } catch (const std::exception& error) {
        devices.push_back({{"device", "cuda"}, {"error", error.what()}});
    }
    return devices;
}

}  // namespace

base::Json describeEngine() {
    return {{"engine", TRAINYARD_VERSION},      {"libtorch", TORCH_VERSION},        {"backends", distributedBackends()},
            {"devices", describeDevices()},     {"blas", describeBlas()},           {"onednn", at::hasMKLDNN()},
            {"cuda", TRAINYARD_HAVE_CUDA != 0}, {"threads", at::get_num_threads()}, {"export", describeExport()}};
}

Result<base::Json> describeModel(const base::Path& model) {
    auto loaded = ScriptedModel::load(model);
    if (!loaded) {
        return loaded.error();
    }
    return guarded("looking into the model \"" + model.string() + "\"", [&]() -> Result<Json> {
        Json tensors = Json::array();
        for (const auto& [name, tensor] : loaded->state()) {
            tensors.push_back(
                {{"name", name}, {"shape", tensor.sizes().vec()}, {"type", c10::toString(tensor.scalar_type())}});
        }
        Json body = {
            {"type", loaded->typeName()}, {"parameters", loaded->parameters()}, {"tensors", std::move(tensors)}};
        if (auto card = readModelCardOf(model); card.ok()) {
            body["card"] = toJson(*card);
        }
        return body;
    });
}

}  // namespace trainyard::engine
