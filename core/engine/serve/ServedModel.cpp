#include "core/engine/serve/ServedModel.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/engine/Runtime.h"
#include "core/engine/data/CentreCrop.h"
#include "core/engine/data/PictureResize.h"

namespace trainyard::engine {

namespace {

/// As many as a picture itself may have; one that is thousands of times as wide as high would become larger.
constexpr std::int64_t kMostPixels = 179'000'000;
/// What the top module of saveTorchScript() is called.
constexpr std::string_view kOwnTypes = "__torch__.trainyard.";

Error modelError(const std::string& code, const std::string& message) { return Error{code, message, "model"}; }

/// Validation's usual relation of both sizes, for cards that were written before they named it.
int resizeOf(const ModelCard& card) {
    const std::int64_t size = card.inputShape[1];
    const auto usual = static_cast<std::int64_t>(std::llround(static_cast<double>(size) * 256 / 224));
    return static_cast<int>(std::max(size, card.resize > 0 ? card.resize : usual));
}

}  // namespace

ModelChoice modelChoiceFrom(base::ObjectReader& reader) {
    ModelChoice choice;
    reader.require("model");
    choice.model = reader.string("model");
    choice.card = reader.raw("card");
    choice.device = reader.string("device", "auto");
    choice.threads = reader.integer("threads");
    return choice;
}

ServedModel::ServedModel(ModelCard card, ScriptedModel model, at::Device device)
    : m_card(std::move(card)), m_model(std::move(model)), m_device(device) {
    for (std::int64_t c = 0; c < m_card.inputShape[0]; ++c) {
        const auto channel = static_cast<std::size_t>(c);
        m_tables.push_back(
            (channel < m_card.channels.size() ? m_card.channels[channel] : m_card.normalization).table());
    }
}

Result<ServedModel> ServedModel::open(const ModelChoice& choice) {
    auto card = choice.card.is_object() ? modelCardFromJson(choice.card) : readModelCardOf(choice.model);
    if (!card) {
        const bool absent = card.error().code == "file.missing";
        return modelError("model.card",
                          absent ? "Beside \"" + choice.model.string() +
                                       "\" lies no card that says how a picture becomes its input. Only models that "
                                       "Trainyard trained have one."
                                 : "The model's card cannot be read: " + card.error().message);
    }
    constexpr std::int64_t kMostSide = 8192;
    const auto& shape = card->inputShape;
    if (shape.size() != 3 || (shape[0] != 1 && shape[0] != 3) || std::max(shape[1], shape[2]) > kMostSide ||
        card->classes < 2) {
        return modelError("model.card",
                          "The model's card speaks of an input that is no picture, or of fewer than two classes.");
    }
    auto device = chooseDevice(choice.device, 0);
    if (!device) {
        return device.error();
    }
    const std::int64_t threads = planThreads(choice.threads, 1).threads;
    setThreads(threads, threads);
    auto model = ScriptedModel::load(choice.model, *device);
    if (!model) {
        return modelError(model.error().code, model.error().message);
    }
    if (!model->typeName().starts_with(kOwnTypes)) {
        return modelError("model.foreign", "\"" + choice.model.string() +
                                               "\" is a TorchScript model of another origin (" + model->typeName() +
                                               "). Only models of Trainyard's own families can be tried here.");
    }
    return ServedModel(std::move(*card), std::move(*model), *device);
}

std::string ServedModel::nameOf(std::int64_t label) const {
    const auto at = static_cast<std::size_t>(label);
    return at < m_card.classNames.size() ? m_card.classNames[at] : std::to_string(label);
}

std::int64_t ServedModel::inputSize() const {
    return m_card.inputShape[0] * m_card.inputShape[1] * m_card.inputShape[2];
}

Status ServedModel::prepareInto(std::string_view bytes, float* to) const {
    const auto info = readPictureInfo(bytes);
    if (!info) {
        return info.error();
    }
    const auto height = static_cast<int>(m_card.inputShape[1]);
    const auto width = static_cast<int>(m_card.inputShape[2]);
    const bool centre = !m_card.channels.empty() && height == width;
    CentrePlan plan{width, height, {0, 0, width, height}};
    if (centre) {
        plan = centreOf(*info, width, resizeOf(m_card));
        if (static_cast<std::int64_t>(plan.width) * plan.height > kMostPixels) {
            return Error{"picture.large", "the picture is too narrow: its short side has " +
                                              std::to_string(std::min(info->width, info->height)) +
                                              " pixels, its long one " +
                                              std::to_string(std::max(info->width, info->height))};
        }
    }
    auto part = decodePart(bytes, *info, {0, 0, info->width, info->height}, std::min(plan.width, plan.height));
    if (!part) {
        return part.error();
    }
    std::vector<std::uint8_t> small(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
    Resizer().resize(part->picture, part->box, plan.width, plan.height, plan.cut, false, small.data());
    const bool grey = m_tables.size() == 1;
    const std::int64_t plane = static_cast<std::int64_t>(width) * height;
    for (int y = 0; y < height; ++y) {
        const std::uint8_t* row = small.data() + static_cast<std::ptrdiff_t>(y) * width * 3;
        float* out = to + static_cast<std::ptrdiff_t>(y) * width;
        for (int x = 0; x < width; ++x, row += 3) {
            if (grey) {
                // Pillow's L: ITU-R 601-2 in 16 bits.
                out[x] = m_tables[0][(row[0] * 19595U + row[1] * 38470U + row[2] * 7471U + 0x8000U) >> 16];
                continue;
            }
            for (std::size_t c = 0; c < 3; ++c) {
                out[static_cast<std::int64_t>(c) * plane + x] = m_tables[c][row[c]];
            }
        }
    }
    return {};
}

Result<at::Tensor> ServedModel::logits(const at::Tensor& images) {
    const at::NoGradGuard noGrad;
    at::Tensor logits = m_model.forward(images.to(m_device)).to(at::kCPU, at::kFloat).contiguous();
    if (logits.dim() != 2 || logits.size(0) != images.size(0) || logits.size(1) != m_card.classes) {
        return modelError("model.card", "The model does not give the " + std::to_string(m_card.classes) +
                                            " classes that its card speaks of; the two do not belong together.");
    }
    return logits;
}

}  // namespace trainyard::engine
