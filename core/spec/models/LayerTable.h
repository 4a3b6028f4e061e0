#pragma once
// A model family is one layer table: data, no libtorch. The form takes options, ranges, parameters, shapes and
// multiply-adds from it; the engine builds the module and its TorchScript source from it; tests hold them equal.
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/spec/Field.h"

namespace trainyard::spec {

enum class LayerOp { Input, Conv2d, BatchNorm2d, ReLU, MaxPool2d, GlobalAvgPool2d, Flatten, Linear, Dropout, Add };

/// One layer. Shapes are without the batch dimension: {C, H, W} or {F}.
struct Layer {
    std::string name;         ///< Dotted module path and parameter prefix, torchvision's names where it has them ("layer1.0.conv1").
    LayerOp op = LayerOp::Input;
    std::vector<int> inputs;  ///< Indices into LayerTable::layers.
    std::int64_t inFeatures = 0;   ///< Channels or features.
    std::int64_t outFeatures = 0;
    std::int64_t kernel = 0;
    std::int64_t stride = 1;
    std::int64_t padding = 0;
    bool bias = true;
    double probability = 0;  ///< Dropout.
    std::vector<std::int64_t> outShape;
    std::int64_t parameters = 0;  ///< Trainable elements.
    std::int64_t multiplyAdds = 0;  ///< For one sample, forward.
};

struct LayerTable {
    std::string family;
    Json options;                         ///< Every option, defaults filled in.
    std::vector<std::int64_t> inputShape; ///< {C, H, W}
    std::int64_t classes = 0;
    std::vector<Layer> layers;            ///< Topological order; the last one gives the logits.

    [[nodiscard]] std::int64_t parameters() const;
    [[nodiscard]] std::int64_t multiplyAdds() const;
    /// Elements of all outputs for one sample: what training keeps for the backward pass.
    [[nodiscard]] std::int64_t activations() const;
};

struct ModelFamily {
    std::string id;     ///< "cnn"
    std::string label;  ///< "Small CNN"
    std::string help;
    /// The family's options; paths are relative ("width", "dropout").
    std::vector<Field> options;
};

[[nodiscard]] const std::vector<ModelFamily>& modelFamilies();
/// Errors name "options.<name>", "family" or the input's shape when a layer's output would be empty.
[[nodiscard]] base::Result<LayerTable> buildLayerTable(const std::string& family, const Json& options,
                                                       const std::vector<std::int64_t>& inputShape,
                                                       std::int64_t classes);

}  // namespace trainyard::spec
