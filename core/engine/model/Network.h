#pragma once
// The trainable form of a layer table: its tensors and the way through them.
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/Result.h"
#include "core/spec/models/LayerTable.h"

namespace trainyard::engine {

/// Tensors by name, in the order that PyTorch's state_dict has them.
using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// Not thread-safe. Parameters and buffers are owned here; everything that holds them (optimizer, reducer, TorchScript
/// mirror) shares their storage.
class Network {
public:
    /// Draws the initial weights from libtorch's default CPU generator, layer by layer in table order with the bounds
    /// of torch.nn.Conv2d and torch.nn.Linear (He et al. 2015, a = √5), so that at::manual_seed(s) gives the weights
    /// that torch.manual_seed(s) gives in Python. Families with torchvision's names draw in torchvision's order and
    /// manner (LayerTable::initialization). Weights are drawn on the CPU, then moved.
    explicit Network(spec::LayerTable table, at::Device device = at::kCPU);

    /// Images {N, C, H, W}, normalised → logits {N, classes}. Throws what libtorch throws.
    [[nodiscard]] at::Tensor forward(const at::Tensor& images);

    /// What batch normalisation works on while training.
    struct NormInput {
        const at::Tensor& x;  ///< {N, C, H, W}
        const at::Tensor& weight;
        const at::Tensor& bias;
        const at::Tensor& runningMean;  ///< Moved on by the operation, like the next.
        const at::Tensor& runningVar;
        double momentum = 0.1;
        double epsilon = 1e-5;
    };
    using TrainingNorm = std::function<at::Tensor(const NormInput&)>;
    /// Takes the place of at::batch_norm while training.
    void setTrainingNorm(TrainingNorm norm) { m_trainingNorm = std::move(norm); }
    /// Keeps convolutions' weights and all that flows between layers in channels-last order (NHWC). Call before
    /// anything shares the parameters' storage.
    void useChannelsLast();

    void train(bool on) { m_training = on; }
    [[nodiscard]] bool isTraining() const { return m_training; }
    [[nodiscard]] const spec::LayerTable& table() const { return m_table; }
    [[nodiscard]] at::Device device() const { return m_device; }

    /// Trainable tensors, in table order.
    [[nodiscard]] const std::vector<at::Tensor>& parameters() const { return m_parameters; }
    [[nodiscard]] const std::vector<std::string>& parameterNames() const { return m_parameterNames; }
    /// Running statistics and counters.
    [[nodiscard]] const std::vector<at::Tensor>& buffers() const { return m_buffers; }
    /// Parameters and buffers together, in state_dict order. They share storage with the network.
    [[nodiscard]] NamedTensors state() const;
    /// Copies values in; names, shapes and types must match exactly ("model.state").
    [[nodiscard]] base::Status load(const NamedTensors& state);

private:
    /// What one layer uses; undefined tensors where its kind has none.
    struct Slot {
        at::Tensor weight;
        at::Tensor bias;
        at::Tensor runningMean;
        at::Tensor runningVar;
        at::Tensor batches;
    };

    void draw(std::size_t index);
    void redraw(std::size_t index);
    void place();
    void findReaders();
    [[nodiscard]] at::Tensor run(const spec::Layer& layer, const Slot& slot, std::vector<at::Tensor>& outputs) const;

    spec::LayerTable m_table;
    at::Device m_device;
    bool m_training = true;
    bool m_channelsLast = false;
    TrainingNorm m_trainingNorm;  ///< Empty: at::batch_norm.
    std::vector<Slot> m_slots;
    std::vector<std::size_t> m_lastReader;  ///< The layer after which an output is no longer needed.
    std::vector<bool> m_mayOverwrite;       ///< The output may be changed in place by the one layer that reads it.
    std::vector<at::Tensor> m_parameters;
    std::vector<std::string> m_parameterNames;
    std::vector<at::Tensor> m_buffers;
};

/// torch.nn.functional.cross_entropy with mean over the batch; logits {N, K}, labels int64 {N}, `weights` float32 {K}
/// or undefined (then each class weighs 1).
[[nodiscard]] at::Tensor crossEntropy(const at::Tensor& logits, const at::Tensor& labels, double labelSmoothing,
                                      const at::Tensor& weights = {});

}  // namespace trainyard::engine
