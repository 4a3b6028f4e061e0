#include <algorithm>
#include <array>
#include <iterator>
#include <string>
#include <utility>

#include "core/spec/models/Families.h"
#include "core/spec/models/TableBuilder.h"

namespace trainyard::spec {

namespace {

struct Variant {
    const char* id;
    const char* label;
    bool bottleneck;
    std::array<int, 4> blocks;
};

constexpr Variant kVariants[] = {
    {"resnet18", "ResNet-18", false, {2, 2, 2, 2}},
    {"resnet34", "ResNet-34", false, {3, 4, 6, 3}},
    {"resnet50", "ResNet-50", true, {3, 4, 6, 3}},
    {"resnet101", "ResNet-101", true, {3, 4, 23, 3}},
};

/// One block. torchvision makes the shortcut's layers before the block's own, but lists them after.
void addBlock(TableBuilder& table, const std::string& name, bool bottleneck, std::int64_t width, std::int64_t stride) {
    const int input = table.current();
    const std::int64_t out = bottleneck ? 4 * width : width;
    const bool shortcut = stride != 1 || table.channels() != out;
    std::vector<int> own;
    const auto convNorm = [&](const std::string& number, const ConvolutionShape& shape) {
        own.push_back(table.conv(name + ".conv" + number, shape));
        return table.batchNorm(name + ".bn" + number);
    };
    if (bottleneck) {
        convNorm("1", {.out = width});
        table.relu(name + ".relu");
        convNorm("2", {.out = width, .kernel = 3, .stride = stride, .padding = 1});
        table.relu(name + ".relu");
        convNorm("3", {.out = out});
    } else {
        convNorm("1", {.out = width, .kernel = 3, .stride = stride, .padding = 1});
        table.relu(name + ".relu");
        convNorm("2", {.out = width, .kernel = 3, .padding = 1});
    }
    const int main = table.current();
    int other = input;
    if (shortcut) {
        table.from(input);
        const int conv = table.conv(name + ".downsample.0", {.out = out, .stride = stride});
        other = table.batchNorm(name + ".downsample.1");
        table.drawOrder.push_back(static_cast<std::size_t>(conv));
    }
    std::ranges::copy(own, std::back_inserter(table.drawOrder));
    table.join(name + ".add", LayerOp::Add, main, other);
    table.relu(name + ".relu");
}

}  // namespace

std::vector<ModelFamily> resNetFamilies() {
    std::vector<ModelFamily> families;
    for (const Variant& variant : kVariants) {
        ModelFamily family;
        family.id = variant.id;
        family.label = variant.label;
        family.help = std::string("A residual network, with the layers and names of torchvision's ") + variant.id +
                      ", so that weights trained elsewhere fit.";
        family.options.push_back(
            booleanOption("small_stem", "Stem for small images", false,
                          "Begins with a 3×3 convolution instead of a 7×7 one and a pooling that quarter the image: "
                          "for images of about 32 "
                          "pixels. Weights trained with the usual stem then fit all layers but the first."));
        families.push_back(std::move(family));
    }
    return families;
}

base::Result<LayerTable> buildResNet(const std::string& family, const Json& options,
                                     const std::vector<std::int64_t>& inputShape, std::int64_t classes) {
    const Variant& variant = *std::ranges::find_if(kVariants, [&](const Variant& known) { return family == known.id; });
    TableBuilder table(family, inputShape, classes, "Take larger images.");
    table.initialization = Initialization::Residual;
    const bool small = options.at("small_stem").get<bool>();
    const int first = small ? table.conv("conv1", {.out = 64, .kernel = 3, .padding = 1})
                            : table.conv("conv1", {.out = 64, .kernel = 7, .stride = 2, .padding = 3});
    table.drawOrder.push_back(static_cast<std::size_t>(first));
    table.batchNorm("bn1");
    table.relu("relu");
    if (!small) {
        table.maxPool("maxpool", 3, 2, 1);
    }
    std::int64_t width = 64;
    for (std::size_t stage = 0; stage < variant.blocks.size(); ++stage, width *= 2) {
        for (int block = 0; block < variant.blocks[stage]; ++block) {
            addBlock(table, "layer" + std::to_string(stage + 1) + "." + std::to_string(block), variant.bottleneck,
                     width, stage > 0 && block == 0 ? 2 : 1);
        }
    }
    table.globalAvgPool("avgpool");
    table.flatten("flatten");
    table.drawOrder.push_back(static_cast<std::size_t>(table.linear("fc", classes)));
    return table.finish(options);
}

}  // namespace trainyard::spec
