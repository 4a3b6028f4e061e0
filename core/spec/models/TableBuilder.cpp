#include "core/spec/models/TableBuilder.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

namespace trainyard::spec {

std::int64_t elementsOf(const std::vector<std::int64_t>& shape) {
    return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

namespace {

std::int64_t slid(std::int64_t size, std::int64_t kernel, std::int64_t stride, std::int64_t padding) {
    const std::int64_t room = size + 2 * padding - kernel;
    return room < 0 ? 0 : room / stride + 1;
}

}  // namespace

TableBuilder::TableBuilder(std::string family, std::vector<std::int64_t> inputShape, std::int64_t classes,
                           std::string remedy)
    : m_remedy(std::move(remedy)) {
    m_table.family = std::move(family);
    m_table.inputShape = inputShape;
    m_table.classes = classes;
    Layer input;
    input.outShape = std::move(inputShape);
    m_table.layers.push_back(std::move(input));
}

int TableBuilder::conv(std::string name, const ConvolutionShape& with) {
    Layer layer = next(std::move(name), LayerOp::Conv2d);
    const auto& in = shape();
    layer.inFeatures = in[0];
    layer.outFeatures = with.out;
    layer.kernel = with.kernel;
    layer.stride = with.stride;
    layer.padding = with.padding;
    layer.groups = with.groups;
    layer.bias = with.bias;
    layer.outShape = {with.out, slid(in[1], with.kernel, with.stride, with.padding),
                      slid(in[2], with.kernel, with.stride, with.padding)};
    const std::int64_t weights = with.out * (in[0] / with.groups) * with.kernel * with.kernel;
    layer.parameters = weights + (with.bias ? with.out : 0);
    layer.multiplyAdds = weights * layer.outShape[1] * layer.outShape[2];
    return push(std::move(layer));
}

int TableBuilder::batchNorm(std::string name, double epsilon, double momentum) {
    Layer layer = next(std::move(name), LayerOp::BatchNorm2d);
    layer.inFeatures = layer.outFeatures = shape()[0];
    layer.parameters = 2 * layer.inFeatures;
    layer.multiplyAdds = elementsOf(shape());
    layer.epsilon = epsilon;
    layer.momentum = momentum;
    layer.outShape = shape();
    return push(std::move(layer));
}

int TableBuilder::activation(std::string name, LayerOp op) {
    Layer layer = next(std::move(name), op);
    layer.outShape = shape();
    return push(std::move(layer));
}

int TableBuilder::maxPool(std::string name, std::int64_t kernel, std::int64_t stride, std::int64_t padding) {
    Layer layer = next(std::move(name), LayerOp::MaxPool2d);
    layer.kernel = kernel;
    layer.stride = stride;
    layer.padding = padding;
    layer.outShape = {shape()[0], slid(shape()[1], kernel, stride, padding), slid(shape()[2], kernel, stride, padding)};
    return push(std::move(layer));
}

int TableBuilder::globalAvgPool(std::string name) {
    Layer layer = next(std::move(name), LayerOp::GlobalAvgPool2d);
    layer.outShape = {shape()[0], 1, 1};
    return push(std::move(layer));
}

int TableBuilder::flatten(std::string name) {
    Layer layer = next(std::move(name), LayerOp::Flatten);
    layer.outShape = {elementsOf(shape())};
    return push(std::move(layer));
}

int TableBuilder::dropout(std::string name, double probability) {
    Layer layer = next(std::move(name), LayerOp::Dropout);
    layer.probability = probability;
    layer.outShape = shape();
    return push(std::move(layer));
}

int TableBuilder::linear(std::string name, std::int64_t out) {
    Layer layer = next(std::move(name), LayerOp::Linear);
    layer.inFeatures = shape()[0];
    layer.outFeatures = out;
    layer.parameters = layer.inFeatures * out + out;
    layer.multiplyAdds = layer.inFeatures * out;
    layer.outShape = {out};
    return push(std::move(layer));
}

int TableBuilder::join(std::string name, LayerOp op, int left, int right) {
    m_current = left;
    Layer layer = next(std::move(name), op);
    layer.inputs.push_back(right);
    layer.outShape = shape();
    return push(std::move(layer));
}

base::Result<LayerTable> TableBuilder::finish(Json options) {
    if (m_error) {
        return *m_error;
    }
    m_table.options = std::move(options);
    m_table.initialization = initialization;
    m_table.drawOrder = std::move(drawOrder);
    return std::move(m_table);
}

Layer TableBuilder::next(std::string name, LayerOp op) const {
    Layer layer;
    layer.name = std::move(name);
    layer.op = op;
    layer.inputs = {m_current};
    return layer;
}

int TableBuilder::push(Layer layer) {
    const bool empty = std::ranges::any_of(layer.outShape, [](std::int64_t n) { return n < 1; });
    if (empty && !m_error) {
        std::string dims;
        for (const std::int64_t n : m_table.inputShape) {
            dims += (dims.empty() ? "" : "×") + std::to_string(n);
        }
        m_error = base::Error{"model.empty",
                              "The input of " + dims + " is too small for this model: layer \"" + layer.name +
                                  "\" would have no output. " + m_remedy,
                              "options.blocks"};
    }
    if (m_error) {
        return 0;
    }
    m_table.layers.push_back(std::move(layer));
    m_current = static_cast<int>(m_table.layers.size()) - 1;
    return m_current;
}

}  // namespace trainyard::spec
