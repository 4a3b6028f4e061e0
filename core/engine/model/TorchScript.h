#pragma once
// The one place that knows TorchScript. It is deprecated upstream, so it is a file format here, not the engine's core.
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/engine/Guard.h"
#include "core/engine/model/Network.h"

namespace trainyard::engine {

/// TorchScript source of one module, made from the layer table; for tests and for people who want to read it.
struct ModuleSource {
    std::string path;  ///< "" is the model itself, "features.0" a part.
    std::string source;
};
[[nodiscard]] std::vector<ModuleSource> torchScriptSource(const spec::LayerTable& table);

/// Writes `model.pt`: parameters and buffers as attributes under the network's names, train and eval both live, saved
/// in eval mode. Python opens it with torch.jit.load. The file appears by temp, fsync and rename. Call on the training
/// thread or with the network at rest. Weights are written as they are on the CPU.
[[nodiscard]] Status saveTorchScript(const Network& network, const base::Path& path);

/// A loaded TorchScript model, whoever made it. Not thread-safe.
class ScriptedModel {
public:
    /// Errors: "file.missing", "model.format" (no TorchScript archive), "engine.torch".
    [[nodiscard]] static Result<ScriptedModel> load(const base::Path& path, at::Device device = at::kCPU);
    ScriptedModel(ScriptedModel&&) noexcept;
    ScriptedModel& operator=(ScriptedModel&&) noexcept;
    ~ScriptedModel();

    void train(bool on);
    /// Throws what libtorch throws.
    [[nodiscard]] at::Tensor forward(const at::Tensor& images);
    /// Parameters and buffers by name.
    [[nodiscard]] NamedTensors state() const;
    /// Elements of all parameters.
    [[nodiscard]] std::int64_t parameters() const;
    /// The type's name as it stands in the archive.
    [[nodiscard]] std::string typeName() const;

private:
    struct Impl;
    explicit ScriptedModel(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> m_impl;
};

}  // namespace trainyard::engine
