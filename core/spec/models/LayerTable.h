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

enum class LayerOp {
    Input,
    Conv2d,
    BatchNorm2d,
    ReLU,
    Hardswish,
    Hardsigmoid,
    MaxPool2d,
    GlobalAvgPool2d,
    Flatten,
    Linear,
    Dropout,
    Add,
    Multiply  ///< The second input is broadcast over height and width.
};

/// One layer. Shapes are without the batch dimension: {C, H, W} or {F}.
struct Layer {
    std::string
        name;  ///< Dotted module path and parameter prefix, torchvision's names where it has them ("layer1.0.conv1").
    LayerOp op = LayerOp::Input;
    std::vector<int> inputs;      ///< Indices into LayerTable::layers.
    std::int64_t inFeatures = 0;  ///< Channels or features.
    std::int64_t outFeatures = 0;
    std::int64_t kernel = 0;
    std::int64_t stride = 1;
    std::int64_t padding = 0;
    std::int64_t groups = 1;  ///< Convolution; inFeatures and outFeatures are those of all groups together.
    bool bias = true;
    double probability = 0;  ///< Dropout.
    double epsilon = 1e-5;   ///< Batch normalisation.
    double momentum = 0.1;   ///< Batch normalisation: share of the newest batch in the running statistics.
    std::vector<std::int64_t> outShape;
    std::int64_t parameters = 0;    ///< Trainable elements.
    std::int64_t multiplyAdds = 0;  ///< For one sample, forward.
};

/// How the first weights are drawn. The order matters: it is what makes them torchvision's for the same seed.
enum class Initialization {
    Uniform,     ///< What torch.nn's layers do by themselves (He et al. 2015 with a = √5).
    Residual,    ///< The same, then convolutions anew: normal, fan out (torchvision's ResNet).
    MobileNetV3  ///< The same, then convolutions as above, linear layers normal with deviation 0.01, biases zero.
};

struct LayerTable {
    std::string family;
    Initialization initialization = Initialization::Uniform;
    /// Indices of the layers with weights in the order in which the reference makes them; empty: the table's order.
    std::vector<std::size_t> drawOrder;
    Json options;                          ///< Every option, defaults filled in.
    std::vector<std::int64_t> inputShape;  ///< {C, H, W}
    std::int64_t classes = 0;
    std::vector<Layer> layers;  ///< Topological order; the last one gives the logits.

    [[nodiscard]] std::int64_t parameters() const;
    [[nodiscard]] std::int64_t multiplyAdds() const;
    /// Elements of all outputs for one sample: what training keeps for the backward pass.
    [[nodiscard]] std::int64_t activations() const;
};

struct ModelFamily {
    std::string id;     ///< "cnn", "resnet18"
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
