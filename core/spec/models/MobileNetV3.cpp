#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "core/spec/models/Families.h"
#include "core/spec/models/TableBuilder.h"

namespace trainyard::spec {

namespace {

constexpr double kEpsilon = 1e-3;
constexpr double kMomentum = 0.01;
constexpr std::int64_t kStem = 16;

/// A row of tables 1 and 2 of the paper.
struct Row {
    std::int64_t kernel;
    std::int64_t expanded;
    std::int64_t out;
    bool squeeze;
    bool hardswish;
    std::int64_t stride;
};

constexpr Row kSmall[] = {
    {3, 16, 16, true, false, 2}, {3, 72, 24, false, false, 2}, {3, 88, 24, false, false, 1},
    {5, 96, 40, true, true, 2},  {5, 240, 40, true, true, 1},  {5, 240, 40, true, true, 1},
    {5, 120, 48, true, true, 1}, {5, 144, 48, true, true, 1},  {5, 288, 96, true, true, 2},
    {5, 576, 96, true, true, 1}, {5, 576, 96, true, true, 1},
};
constexpr Row kLarge[] = {
    {3, 16, 16, false, false, 1}, {3, 64, 24, false, false, 2}, {3, 72, 24, false, false, 1},
    {5, 72, 40, true, false, 2},  {5, 120, 40, true, false, 1}, {5, 120, 40, true, false, 1},
    {3, 240, 80, false, true, 2}, {3, 200, 80, false, true, 1}, {3, 184, 80, false, true, 1},
    {3, 184, 80, false, true, 1}, {3, 480, 112, true, true, 1}, {3, 672, 112, true, true, 1},
    {5, 672, 160, true, true, 2}, {5, 960, 160, true, true, 1}, {5, 960, 160, true, true, 1},
};

/// The nearest multiple of 8, and not less than nine tenths of `value`.
std::int64_t divisibleBy8(std::int64_t value) {
    const std::int64_t near = std::max<std::int64_t>(8, (value + 4) / 8 * 8);
    return near * 10 < value * 9 ? near + 8 : near;
}

void convNorm(TableBuilder& table, const std::string& name, ConvolutionShape shape) {
    shape.padding = (shape.kernel - 1) / 2;
    table.conv(name + ".0", shape);
    table.batchNorm(name + ".1", kEpsilon, kMomentum);
}

/// Squeeze and excitation (Hu et al. 2018): each channel is scaled by a factor made from all channels' means.
void squeezeExcite(TableBuilder& table, const std::string& name) {
    const int input = table.current();
    const std::int64_t channels = table.channels();
    table.globalAvgPool(name + ".avgpool");
    table.conv(name + ".fc1", {.out = divisibleBy8(channels / 4), .bias = true});
    table.relu(name + ".activation");
    table.conv(name + ".fc2", {.out = channels, .bias = true});
    const int scale = table.activation(name + ".scale_activation", LayerOp::Hardsigmoid);
    table.join(name + ".scale", LayerOp::Multiply, input, scale);
}

void addBlock(TableBuilder& table, const std::string& name, const Row& row) {
    const int input = table.current();
    const std::int64_t in = table.channels();
    const LayerOp activation = row.hardswish ? LayerOp::Hardswish : LayerOp::ReLU;
    int part = 0;
    const auto partName = [&] { return name + ".block." + std::to_string(part++); };
    if (row.expanded != in) {
        const std::string expand = partName();
        convNorm(table, expand, {.out = row.expanded});
        table.activation(expand + ".2", activation);
    }
    const std::string depthwise = partName();
    convNorm(table, depthwise,
             {.out = row.expanded, .kernel = row.kernel, .stride = row.stride, .groups = row.expanded});
    table.activation(depthwise + ".2", activation);
    if (row.squeeze) {
        squeezeExcite(table, partName());
    }
    convNorm(table, partName(), {.out = row.out});
    if (row.stride == 1 && in == row.out) {
        table.join(name + ".add", LayerOp::Add, table.current(), input);
    }
}

}  // namespace

std::vector<ModelFamily> mobileNetFamilies() {
    std::vector<ModelFamily> families;
    for (const auto& [id, label] :
         {std::pair{"mobilenet_v3_small", "MobileNetV3 small"}, std::pair{"mobilenet_v3_large", "MobileNetV3 large"}}) {
        ModelFamily family;
        family.id = id;
        family.label = label;
        family.help = std::string("A network for weak machines, with the layers and names of torchvision's ") + id +
                      ", so that weights trained elsewhere fit.";
        family.options.push_back(dropoutOption(0.2));
        families.push_back(std::move(family));
    }
    return families;
}

base::Result<LayerTable> buildMobileNetV3(const std::string& family, const Json& options,
                                          const std::vector<std::int64_t>& inputShape, std::int64_t classes) {
    const bool small = family == "mobilenet_v3_small";
    const auto dropout = options.at("dropout").get<double>();
    TableBuilder table(family, inputShape, classes, "Take larger images.");
    table.initialization = Initialization::MobileNetV3;
    int feature = 0;
    const auto featureName = [&] { return "features." + std::to_string(feature++); };
    std::string name = featureName();
    convNorm(table, name, {.out = kStem, .kernel = 3, .stride = 2});
    table.activation(name + ".2", LayerOp::Hardswish);
    for (const Row& row : small ? std::span<const Row>(kSmall) : std::span<const Row>(kLarge)) {
        addBlock(table, featureName(), row);
    }
    name = featureName();
    convNorm(table, name, {.out = 6 * table.channels()});
    table.activation(name + ".2", LayerOp::Hardswish);
    table.globalAvgPool("avgpool");
    table.flatten("flatten");
    table.linear("classifier.0", small ? 1024 : 1280);
    table.activation("classifier.1", LayerOp::Hardswish);
    if (dropout > 0) {
        table.dropout("classifier.2", dropout);
    }
    table.linear("classifier.3", classes);
    return table.finish(options);
}

}  // namespace trainyard::spec
