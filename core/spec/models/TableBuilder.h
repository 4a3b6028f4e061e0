#pragma once
// Writes a layer table down layer by layer. For this folder alone.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/spec/models/LayerTable.h"

namespace trainyard::spec {

[[nodiscard]] std::int64_t elementsOf(const std::vector<std::int64_t>& shape);

struct ConvolutionShape {
    std::int64_t out = 0;
    std::int64_t kernel = 1;
    std::int64_t stride = 1;
    std::int64_t padding = 0;
    std::int64_t groups = 1;
    bool bias = false;
};

/// Each call appends one layer that reads the last one, fills in shape and cost, and answers its index, from which a
/// branch can begin (`from`). After the first error nothing is appended and every answer is 0.
class TableBuilder {
public:
    /// `remedy`: what to do when a layer would have no output.
    TableBuilder(std::string family, std::vector<std::int64_t> inputShape, std::int64_t classes, std::string remedy);

    /// The next layer reads `layer`.
    void from(int layer) { m_current = layer; }
    [[nodiscard]] int current() const { return m_current; }
    [[nodiscard]] std::int64_t channels() const { return shape().front(); }

    int conv(std::string name, const ConvolutionShape& shape);
    int batchNorm(std::string name, double epsilon = 1e-5, double momentum = 0.1);
    /// ReLU, Hardswish or Hardsigmoid.
    int activation(std::string name, LayerOp op);
    int relu(std::string name) { return activation(std::move(name), LayerOp::ReLU); }
    int maxPool(std::string name, std::int64_t kernel, std::int64_t stride, std::int64_t padding);
    int globalAvgPool(std::string name);
    int flatten(std::string name);
    int dropout(std::string name, double probability);
    int linear(std::string name, std::int64_t out);
    /// Add or Multiply of two layers.
    int join(std::string name, LayerOp op, int left, int right);

    [[nodiscard]] base::Result<LayerTable> finish(Json options);
    /// Only read by the family that made it; see LayerTable.
    Initialization initialization = Initialization::Uniform;
    std::vector<std::size_t> drawOrder;

private:
    [[nodiscard]] const std::vector<std::int64_t>& shape() const {
        return m_table.layers[static_cast<std::size_t>(m_current)].outShape;
    }
    [[nodiscard]] Layer next(std::string name, LayerOp op) const;
    int push(Layer layer);

    LayerTable m_table;
    std::string m_remedy;
    int m_current = 0;
    std::optional<base::Error> m_error;
};

}  // namespace trainyard::spec
