#include "core/engine/model/Network.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>

#include <cmath>

#include "core/engine/model/MaxPool.h"

namespace trainyard::engine {

namespace {

at::Tensor trainable(at::Tensor tensor, at::Device device) {
    tensor = tensor.to(device);
    tensor.set_requires_grad(true);
    return tensor;
}

/// Weight and bias as torch.nn draws them: first the weight, then the bias, both uniform.
void drawWeights(at::Tensor& weight, at::Tensor& bias, at::IntArrayRef shape, bool withBias, std::int64_t fanIn) {
    const double gain = std::sqrt(2.0 / (1.0 + std::sqrt(5.0) * std::sqrt(5.0)));
    const double deviation = gain / std::sqrt(static_cast<double>(fanIn));
    const double bound = std::sqrt(3.0) * deviation;
    weight = at::empty(shape, at::kFloat);
    weight.uniform_(-bound, bound);
    if (withBias) {
        const double biasBound = 1.0 / std::sqrt(static_cast<double>(fanIn));
        bias = at::empty({shape[0]}, at::kFloat);
        bias.uniform_(-biasBound, biasBound);
    }
}

}  // namespace

Network::Network(spec::LayerTable table, at::Device device) : m_table(std::move(table)), m_device(device) {
    m_slots.resize(m_table.layers.size());
    if (m_table.drawOrder.empty()) {
        for (std::size_t i = 0; i < m_table.layers.size(); ++i) {
            draw(i);
        }
    } else {
        for (const std::size_t i : m_table.drawOrder) {
            draw(i);
        }
    }
    if (m_table.initialization != spec::Initialization::Uniform) {
        for (std::size_t i = 0; i < m_table.layers.size(); ++i) {
            redraw(i);
        }
    }
    place();
    findReaders();
}

void Network::draw(std::size_t index) {
    const spec::Layer& layer = m_table.layers[index];
    Slot& slot = m_slots[index];
    if (layer.op == spec::LayerOp::Conv2d) {
        const std::int64_t inputs = layer.inFeatures / layer.groups;
        drawWeights(slot.weight, slot.bias, {layer.outFeatures, inputs, layer.kernel, layer.kernel}, layer.bias,
                    inputs * layer.kernel * layer.kernel);
    } else if (layer.op == spec::LayerOp::Linear) {
        drawWeights(slot.weight, slot.bias, {layer.outFeatures, layer.inFeatures}, layer.bias, layer.inFeatures);
    }
}

void Network::redraw(std::size_t index) {
    const spec::Layer& layer = m_table.layers[index];
    Slot& slot = m_slots[index];
    const bool mobile = m_table.initialization == spec::Initialization::MobileNetV3;
    if (layer.op == spec::LayerOp::Conv2d) {
        const auto fanOut = static_cast<double>(layer.outFeatures * layer.kernel * layer.kernel);
        slot.weight.normal_(0, std::sqrt(2.0) / std::sqrt(fanOut));
        if (slot.bias.defined() && mobile) {
            slot.bias.zero_();
        }
    } else if (layer.op == spec::LayerOp::Linear && mobile) {
        slot.weight.normal_(0, 0.01);
        slot.bias.zero_();
    }
}

void Network::place() {
    for (std::size_t i = 0; i < m_table.layers.size(); ++i) {
        const spec::Layer& layer = m_table.layers[i];
        Slot& slot = m_slots[i];
        if (layer.op == spec::LayerOp::BatchNorm2d) {
            slot.weight = at::ones({layer.outFeatures}, at::kFloat);
            slot.bias = at::zeros({layer.outFeatures}, at::kFloat);
            slot.runningMean = at::zeros({layer.outFeatures}, at::kFloat).to(m_device);
            slot.runningVar = at::ones({layer.outFeatures}, at::kFloat).to(m_device);
            slot.batches = at::zeros({}, at::kLong).to(m_device);
            m_buffers.insert(m_buffers.end(), {slot.runningMean, slot.runningVar, slot.batches});
        }
        for (const auto& [tensor, what] : {std::pair{&slot.weight, ".weight"}, std::pair{&slot.bias, ".bias"}}) {
            if (tensor->defined()) {
                *tensor = trainable(*tensor, m_device);
                m_parameters.push_back(*tensor);
                m_parameterNames.push_back(layer.name + what);
            }
        }
    }
}

void Network::findReaders() {
    m_lastReader.resize(m_table.layers.size());
    std::vector<int> uses(m_table.layers.size(), 0);
    for (std::size_t i = 0; i < m_table.layers.size(); ++i) {
        for (const int input : m_table.layers[i].inputs) {
            ++uses[static_cast<std::size_t>(input)];
            m_lastReader[static_cast<std::size_t>(input)] = i;
        }
    }
    // ReLU and addition may overwrite their (first) input only where nothing else, the backward pass of the layer
    // before included, needs it.
    m_mayOverwrite.resize(m_table.layers.size());
    for (std::size_t i = 0; i < m_table.layers.size(); ++i) {
        const spec::LayerOp op = m_table.layers[i].op;
        m_mayOverwrite[i] = uses[i] == 1 && (op == spec::LayerOp::Conv2d || op == spec::LayerOp::Linear ||
                                             op == spec::LayerOp::BatchNorm2d || op == spec::LayerOp::Add);
    }
}

void Network::useChannelsLast() {
    m_channelsLast = true;
    for (at::Tensor& parameter : m_parameters) {
        if (parameter.dim() == 4) {
            parameter.set_data(parameter.detach().contiguous(at::MemoryFormat::ChannelsLast));
        }
    }
}

at::Tensor Network::run(const spec::Layer& layer, const Slot& slot, std::vector<at::Tensor>& outputs) const {
    const auto first = static_cast<std::size_t>(layer.inputs.front());
    at::Tensor& x = outputs[first];
    switch (layer.op) {
    case spec::LayerOp::Input: break;
    case spec::LayerOp::Conv2d:
        return at::conv2d(x, slot.weight, slot.bias, {layer.stride, layer.stride}, {layer.padding, layer.padding},
                          {1, 1}, layer.groups);
    case spec::LayerOp::BatchNorm2d:
        if (m_training) {
            slot.batches.add_(1);
            if (m_trainingNorm) {
                return m_trainingNorm(
                    {x, slot.weight, slot.bias, slot.runningMean, slot.runningVar, layer.momentum, layer.epsilon});
            }
        }
        return at::batch_norm(x, slot.weight, slot.bias, slot.runningMean, slot.runningVar, m_training, layer.momentum,
                              layer.epsilon, at::globalContext().userEnabledCuDNN());
    case spec::LayerOp::ReLU: return m_mayOverwrite[first] ? at::relu_(x) : at::relu(x);
    case spec::LayerOp::Hardswish: return at::hardswish(x);
    case spec::LayerOp::Hardsigmoid: return at::hardsigmoid(x);
    case spec::LayerOp::MaxPool2d:
        if (layer.kernel == 2 && layer.stride == 2 && layer.padding == 0) {
            return maxPool2x2(x);
        }
        return at::max_pool2d(x, {layer.kernel, layer.kernel}, {layer.stride, layer.stride},
                              {layer.padding, layer.padding});
    case spec::LayerOp::GlobalAvgPool2d: return at::adaptive_avg_pool2d(x, {1, 1});
    case spec::LayerOp::Flatten: return x.flatten(1);
    case spec::LayerOp::Linear: return at::linear(x, slot.weight, slot.bias);
    case spec::LayerOp::Dropout: return at::dropout(x, layer.probability, m_training);
    case spec::LayerOp::Add: {
        const at::Tensor& other = outputs[static_cast<std::size_t>(layer.inputs[1])];
        return m_mayOverwrite[first] ? x.add_(other) : x + other;
    }
    case spec::LayerOp::Multiply: return x * outputs[static_cast<std::size_t>(layer.inputs[1])];
    }
    return x;
}

at::Tensor Network::forward(const at::Tensor& images) {
    std::vector<at::Tensor> outputs(m_table.layers.size());
    outputs[0] = m_channelsLast ? images.contiguous(at::MemoryFormat::ChannelsLast) : images;
    for (std::size_t i = 1; i < outputs.size(); ++i) {
        const spec::Layer& layer = m_table.layers[i];
        outputs[i] = run(layer, m_slots[i], outputs);
        for (const int input : layer.inputs) {
            if (m_lastReader[static_cast<std::size_t>(input)] == i) {
                outputs[static_cast<std::size_t>(input)].reset();
            }
        }
    }
    return outputs.back();
}

NamedTensors Network::state() const {
    NamedTensors named;
    for (std::size_t i = 0; i < m_slots.size(); ++i) {
        const std::string prefix = m_table.layers[i].name + ".";
        const Slot& slot = m_slots[i];
        const std::pair<const char*, const at::Tensor*> members[] = {{"weight", &slot.weight},
                                                                     {"bias", &slot.bias},
                                                                     {"running_mean", &slot.runningMean},
                                                                     {"running_var", &slot.runningVar},
                                                                     {"num_batches_tracked", &slot.batches}};
        for (const auto& [name, tensor] : members) {
            if (tensor->defined()) {
                named.emplace_back(prefix + name, tensor->detach());
            }
        }
    }
    return named;
}

base::Status Network::load(const NamedTensors& incoming) {
    const NamedTensors own = state();
    for (const auto& [name, target] : own) {
        const at::Tensor* source = nullptr;
        for (const auto& [otherName, tensor] : incoming) {
            if (otherName == name) {
                source = &tensor;
            }
        }
        if (source == nullptr) {
            return base::Error{"model.state",
                               "The weights have no tensor \"" + name + "\"; they belong to another model."};
        }
        if (source->sizes() != target.sizes() || source->scalar_type() != target.scalar_type()) {
            return base::Error{"model.state",
                               "The tensor \"" + name +
                                   "\" has another shape or type than the model's; the weights belong to "
                                   "another model."};
        }
    }
    if (incoming.size() != own.size()) {
        return base::Error{"model.state", "The weights hold " + std::to_string(incoming.size()) +
                                              " tensors, the model " + std::to_string(own.size()) +
                                              "; they belong to another model."};
    }
    const at::NoGradGuard noGrad;
    for (const auto& [name, target] : own) {
        for (const auto& [otherName, tensor] : incoming) {
            if (otherName == name) {
                at::Tensor(target).copy_(tensor);
            }
        }
    }
    return {};
}

at::Tensor crossEntropy(const at::Tensor& logits, const at::Tensor& labels, double labelSmoothing,
                        const at::Tensor& weights) {
    const auto given = weights.defined() ? c10::optional<at::Tensor>(weights) : c10::nullopt;
    return at::cross_entropy_loss(logits, labels, given, at::Reduction::Mean, -100, labelSmoothing);
}

}  // namespace trainyard::engine
