#include "core/spec/models/LayerTable.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "core/spec/models/Families.h"
#include "core/spec/models/TableBuilder.h"

namespace trainyard::spec {

using base::Result;

Field integerOption(std::string path, std::string label, std::int64_t value, double minimum, double maximum,
                    std::string unit, std::string help) {
    Field field;
    field.path = std::move(path);
    field.label = std::move(label);
    field.type = FieldType::Integer;
    field.defaultValue = value;
    field.help = std::move(help);
    field.unit = std::move(unit);
    field.group = "Model";
    field.minimum = minimum;
    field.maximum = maximum;
    return field;
}

Field booleanOption(std::string path, std::string label, bool value, std::string help) {
    Field field;
    field.path = std::move(path);
    field.label = std::move(label);
    field.type = FieldType::Boolean;
    field.defaultValue = value;
    field.help = std::move(help);
    field.group = "Model";
    return field;
}

Field dropoutOption(double value) {
    Field field;
    field.path = "dropout";
    field.label = "Dropout";
    field.type = FieldType::Number;
    field.defaultValue = value;
    field.help = "Share of the activations that is set to zero in training, before each linear layer that follows a "
                 "hidden one. 0 switches it off.";
    field.group = "Model";
    field.minimum = 0;
    field.maximum = 0.9;
    return field;
}

namespace {

std::vector<ModelFamily> makeFamilies() {
    ModelFamily cnn;
    cnn.id = "cnn";
    cnn.label = "Small CNN";
    cnn.help = "Blocks of 3×3 convolutions, each block halving the image and doubling the channels, then a linear "
               "classifier. The choice for images.";
    cnn.options.push_back(integerOption("width", "Width", 16, 1, 512, "channels",
                                        "Channels of the first block; each further block doubles them."));
    cnn.options.push_back(integerOption("blocks", "Blocks", 2, 1, 5, "blocks",
                                        "Each block ends in a 2×2 max pooling, so the image is halved as often."));
    cnn.options.push_back(integerOption("convolutions", "Convolutions a block", 2, 1, 4, "layers",
                                        "3×3 convolutions before each pooling."));
    cnn.options.push_back(
        booleanOption("batch_norm", "Batch normalisation", true,
                      "Normalises each channel over the batch after every convolution: allows higher learning rates."));
    cnn.options.push_back(integerOption("hidden", "Hidden features", 0, 0, 8192, "features",
                                        "Width of a hidden linear layer before the classifier; 0 leaves it out."));
    cnn.options.push_back(dropoutOption(0.0));

    ModelFamily mlp;
    mlp.id = "mlp";
    mlp.label = "Multilayer perceptron";
    mlp.help = "Linear layers with ReLU between them, over the flattened input. Very fast, no sense of neighbourhood.";
    mlp.options.push_back(integerOption("hidden1", "First hidden layer", 128, 0, 16384, "features",
                                        "Width of the first hidden layer; 0 leaves it out."));
    mlp.options.push_back(integerOption("hidden2", "Second hidden layer", 64, 0, 16384, "features",
                                        "Width of the second hidden layer; 0 leaves it out."));
    mlp.options.push_back(dropoutOption(0.0));

    std::vector<ModelFamily> families;
    families.push_back(std::move(cnn));
    families.push_back(std::move(mlp));
    for (ModelFamily& family : resNetFamilies()) {
        families.push_back(std::move(family));
    }
    for (ModelFamily& family : mobileNetFamilies()) {
        families.push_back(std::move(family));
    }
    return families;
}

bool hasOption(const ModelFamily& family, const std::string& key) {
    return std::ranges::find(family.options, key, &Field::path) != family.options.end();
}

Error inputError(std::string message) { return {"model.input", std::move(message), "input_shape"}; }

Result<LayerTable> buildCnn(const Json& options, const std::vector<std::int64_t>& inputShape, std::int64_t classes) {
    const auto width = options.at("width").get<std::int64_t>();
    const auto blocks = options.at("blocks").get<int>();
    const auto convolutions = options.at("convolutions").get<int>();
    const auto hidden = options.at("hidden").get<std::int64_t>();
    const auto dropout = options.at("dropout").get<double>();
    const bool batchNorm = options.at("batch_norm").get<bool>();

    TableBuilder builder("cnn", inputShape, classes, "Take fewer blocks or larger images.");
    int feature = 0;
    const auto featureName = [&feature] { return "features." + std::to_string(feature++); };
    std::int64_t channels = width;
    for (int block = 0; block < blocks; ++block, channels *= 2) {
        for (int conv = 0; conv < convolutions; ++conv) {
            builder.conv(featureName(), {.out = channels, .kernel = 3, .padding = 1, .bias = !batchNorm});
            if (batchNorm) {
                builder.batchNorm(featureName());
            }
            builder.relu(featureName());
        }
        builder.maxPool(featureName(), 2, 2, 0);
    }
    int position = 0;
    const auto headName = [&position] { return "classifier." + std::to_string(position++); };
    builder.flatten("flatten");
    if (hidden > 0) {
        builder.linear(headName(), hidden);
        builder.relu(headName());
    }
    if (dropout > 0) {
        builder.dropout(headName(), dropout);
    }
    builder.linear(headName(), classes);
    return builder.finish(options);
}

Result<LayerTable> buildMlp(const Json& options, const std::vector<std::int64_t>& inputShape, std::int64_t classes) {
    const auto dropout = options.at("dropout").get<double>();
    TableBuilder builder("mlp", inputShape, classes, "Take larger images.");
    int position = 0;
    const auto name = [&position] { return "layers." + std::to_string(position++); };
    builder.flatten("flatten");
    for (const char* option : {"hidden1", "hidden2"}) {
        const auto features = options.at(option).get<std::int64_t>();
        if (features == 0) {
            continue;
        }
        builder.linear(name(), features);
        builder.relu(name());
        if (dropout > 0) {
            builder.dropout(name(), dropout);
        }
    }
    builder.linear(name(), classes);
    return builder.finish(options);
}

}  // namespace

std::int64_t LayerTable::parameters() const {
    return std::accumulate(layers.begin(), layers.end(), std::int64_t{0},
                           [](std::int64_t sum, const Layer& layer) { return sum + layer.parameters; });
}

std::int64_t LayerTable::multiplyAdds() const {
    return std::accumulate(layers.begin(), layers.end(), std::int64_t{0},
                           [](std::int64_t sum, const Layer& layer) { return sum + layer.multiplyAdds; });
}

std::int64_t LayerTable::activations() const {
    return std::accumulate(layers.begin(), layers.end(), std::int64_t{0}, [](std::int64_t sum, const Layer& layer) {
        return layer.op == LayerOp::Flatten ? sum : sum + elementsOf(layer.outShape);
    });
}

const std::vector<ModelFamily>& modelFamilies() {
    static const std::vector<ModelFamily> families = makeFamilies();
    return families;
}

base::Result<LayerTable> buildLayerTable(const std::string& family, const Json& options,
                                         const std::vector<std::int64_t>& inputShape, std::int64_t classes) {
    const auto& families = modelFamilies();
    const auto found = std::ranges::find(families, family, &ModelFamily::id);
    if (found == families.end()) {
        return Error{"model.family", "There is no model family \"" + family + "\".", "family"};
    }
    if (inputShape.size() != 3 || std::ranges::any_of(inputShape, [](std::int64_t n) { return n < 1; })) {
        return inputError("A model takes an input of channels × height × width, each at least 1.");
    }
    // Shapes above these limits would overflow the products below or no machine's memory could hold them.
    if (inputShape[0] > 4096 || inputShape[1] > 65536 || inputShape[2] > 65536) {
        return inputError("The input is larger than 4096 channels or 65536 pixels a side.");
    }
    if (classes < 2 || classes > 1'000'000) {
        return Error{"model.classes",
                     "A classifier needs between 2 and 1,000,000 classes; here are " + std::to_string(classes) + ".",
                     "classes"};
    }
    if (!options.is_object() && !options.is_null()) {
        return Error{"spec.type", "The model's options are not an object.", "options"};
    }
    Json filled = defaultsOf(found->options);
    if (options.is_object()) {
        for (const auto& item : options.items()) {
            const std::string& key = item.key();
            // A form that has switched families keeps what was typed for the other one.
            if (hasOption(*found, key) ||
                std::ranges::none_of(families, [&](const ModelFamily& other) { return hasOption(other, key); })) {
                filled[key] = item.value();
            }
        }
    }
    const auto errors = checkDocument(found->options, filled);
    if (!errors.empty()) {
        Error error = errors.front();
        error.field = "options." + error.field;
        return error;
    }
    // A number that stands for an integer ("16.0") has passed the check; the table wants the integer.
    for (const Field& field : found->options) {
        if (field.type == FieldType::Integer && filled[field.path].is_number_float()) {
            filled[field.path] = static_cast<std::int64_t>(filled[field.path].get<double>());
        }
    }
    if (family == "cnn") {
        return buildCnn(filled, inputShape, classes);
    }
    if (family == "mlp") {
        return buildMlp(filled, inputShape, classes);
    }
    return family.starts_with("resnet") ? buildResNet(family, filled, inputShape, classes)
                                        : buildMobileNetV3(family, filled, inputShape, classes);
}

}  // namespace trainyard::spec
