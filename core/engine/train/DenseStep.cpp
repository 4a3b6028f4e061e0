#include "core/engine/train/DenseStep.h"

#include <ATen/ATen.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

namespace trainyard::engine {

/// One linear layer with its buffers, which take a new shape when the batch does.
struct DenseStep::Layer {
    at::Tensor weight;  ///< {out, in}, sharing the network's storage.
    at::Tensor bias;
    at::Tensor weightGradient;  ///< These two are the parameters' .grad.
    at::Tensor biasGradient;
    at::Tensor parameterWeight;
    at::Tensor parameterBias;
    at::Tensor output;  ///< After ReLU, except of the last layer.
    at::Tensor outputGradient;
};

DenseStep::DenseStep(std::vector<Layer> layers) : m_layers(std::move(layers)) {}
DenseStep::~DenseStep() = default;

std::unique_ptr<DenseStep> DenseStep::forNetwork(const Network& network) {
    const auto& table = network.table().layers;
    const auto& parameters = network.parameters();
    if (!network.device().is_cpu()) {
        return nullptr;
    }
    std::vector<Layer> layers;
    bool wantsLinear = true;  // Linear and ReLU take turns, behind one Flatten.
    for (std::size_t i = 1; i < table.size(); ++i) {
        const spec::Layer& layer = table[i];
        if (layer.inputs.size() != 1 || layer.inputs[0] != static_cast<int>(i) - 1) {
            return nullptr;
        }
        if (i == 1) {
            if (layer.op != spec::LayerOp::Flatten) {
                return nullptr;
            }
        } else if (layer.op == spec::LayerOp::Linear && layer.bias && wantsLinear) {
            const std::size_t at = layers.size() * 2;
            Layer made;
            made.parameterWeight = parameters[at];
            made.parameterBias = parameters[at + 1];
            made.weight = parameters[at].detach();
            made.bias = parameters[at + 1].detach();
            made.weightGradient = at::empty_like(made.weight);
            made.biasGradient = at::empty_like(made.bias);
            layers.push_back(std::move(made));
            wantsLinear = false;
        } else if (layer.op == spec::LayerOp::ReLU && !wantsLinear && i + 1 < table.size()) {
            wantsLinear = true;
        } else {
            return nullptr;
        }
    }
    if (layers.empty() || table.back().op != spec::LayerOp::Linear) {
        return nullptr;
    }
    return std::unique_ptr<DenseStep>(new DenseStep(std::move(layers)));
}

DenseStep::Result DenseStep::run(const Batch& batch) {
    // Nothing here is recorded, so the dispatcher may skip autograd's layer altogether.
    const at::AutoDispatchBelowADInplaceOrView belowAutograd;
    const std::int64_t count = batch.images.size(0);
    const at::Tensor input = batch.images.reshape({count, -1});
    for (Layer& layer : m_layers) {
        if (!layer.output.defined() || layer.output.size(0) != count) {
            layer.output = at::empty({count, layer.weight.size(0)}, layer.weight.options());
            layer.outputGradient = at::empty_like(layer.output);
        }
    }
    const at::Tensor* x = &input;
    for (std::size_t i = 0; i < m_layers.size(); ++i) {
        Layer& layer = m_layers[i];
        at::addmm_out(layer.output, layer.bias, *x, layer.weight.t());
        if (i + 1 < m_layers.size()) {
            at::clamp_min_(layer.output, 0);  // What relu_ is.
        }
        x = &layer.output;
    }
    Layer& last = m_layers.back();
    const at::Tensor logProbabilities = at::_log_softmax(last.output, 1, /*half_to_float=*/false);
    const auto [loss, totalWeight] =
        at::nll_loss_forward(logProbabilities, batch.labels, {}, at::Reduction::Mean, /*ignore_index=*/-100);

    const at::Tensor one = at::ones_like(loss);
    const at::Tensor byProbability =
        at::nll_loss_backward(one, logProbabilities, batch.labels, {}, at::Reduction::Mean, -100, totalWeight);
    at::_log_softmax_backward_data_out(last.outputGradient, byProbability, logProbabilities, 1, at::kFloat);
    for (std::size_t i = m_layers.size(); i-- > 0;) {
        Layer& layer = m_layers[i];
        const at::Tensor& layerInput = i > 0 ? m_layers[i - 1].output : input;
        at::sum_out(layer.biasGradient, layer.outputGradient, at::IntArrayRef{0}, /*keepdim=*/false);
        at::mm_out(layer.weightGradient, layer.outputGradient.t(), layerInput);
        if (i > 0) {
            Layer& below = m_layers[i - 1];
            at::mm_out(below.outputGradient, layer.outputGradient, layer.weight);
            at::threshold_backward_out(below.outputGradient, below.outputGradient, below.output, 0);
        }
        layer.parameterWeight.mutable_grad() = layer.weightGradient;
        layer.parameterBias.mutable_grad() = layer.biasGradient;
    }
    return {loss, last.output};
}

}  // namespace trainyard::engine
