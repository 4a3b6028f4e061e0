#include "core/engine/data/Dataset.h"

#include <algorithm>
#include <cmath>

namespace trainyard::engine {

namespace {

constexpr std::int64_t kLabelHeaderBytes = 8;

Error withField(Error error, const char* field) {
    error.field = field;
    return error;
}

Result<ImageSet> loadPair(const std::string& images, const char* imagesField, const std::string& labels,
                          const char* labelsField, std::int64_t limit) {
    if (images.empty() || labels.empty()) {
        const bool first = images.empty();
        return Error{"spec.required", std::string("No file of ") + (first ? "images" : "labels") + " is given.",
                     first ? imagesField : labelsField};
    }
    auto pixels = readIdxFile(images, IdxContent::Images);
    if (!pixels) {
        return withField(std::move(pixels).error(), imagesField);
    }
    auto classes = readIdxFile(labels, IdxContent::Labels);
    if (!classes) {
        return withField(std::move(classes).error(), labelsField);
    }
    if (pixels->shape[0] != classes->shape[0]) {
        return Error{"data.count",
                     "\"" + images + "\" holds " + std::to_string(pixels->shape[0]) + " images, but \"" + labels +
                         "\" holds " + std::to_string(classes->shape[0]) + " labels (byte 4 of each). They do not " +
                         "belong together.",
                     labelsField};
    }
    ImageSet set;
    set.count = pixels->shape[0];
    set.height = pixels->shape[1];
    set.width = pixels->shape[2];
    set.pixels = std::move(pixels->values);
    set.labels = std::move(classes->values);
    if (limit > 0 && limit < set.count) {
        set.count = limit;
        set.pixels.resize(static_cast<std::size_t>(limit * set.pixelsPerSample()));
        set.pixels.shrink_to_fit();
        set.labels.resize(static_cast<std::size_t>(limit));
    }
    return set;
}

Status checkLabels(const std::string& file, const char* field, const ImageSet& set, std::int64_t classes,
                   const std::string& why) {
    const auto bad = std::ranges::find_if(set.labels, [classes](std::uint8_t label) { return label >= classes; });
    if (bad == set.labels.end()) {
        return {};
    }
    const auto index = bad - set.labels.begin();
    return Error{"data.label",
                 "\"" + file + "\" has label " + std::to_string(*bad) + " at byte " +
                     std::to_string(kLabelHeaderBytes + index) + " (sample " + std::to_string(index) + "), but " + why +
                     ".",
                 field};
}

}  // namespace

std::array<float, 256> Normalization::table() const {
    std::array<float, 256> values{};
    const auto subtract = static_cast<float>(mean);
    const auto divide = static_cast<float>(deviation);
    for (int i = 0; i < 256; ++i) {
        const float unit = static_cast<float>(i) / 255.0F;
        values[static_cast<std::size_t>(i)] = (unit - subtract) / divide;
    }
    return values;
}

Normalization measureNormalization(const ImageSet& set) {
    std::array<std::int64_t, 256> counts{};
    for (const std::uint8_t pixel : set.pixels) {
        ++counts[pixel];
    }
    double sum = 0;
    double squares = 0;
    for (std::size_t value = 0; value < counts.size(); ++value) {
        const double v = static_cast<double>(value);
        sum += v * static_cast<double>(counts[value]);
        squares += v * v * static_cast<double>(counts[value]);
    }
    const double n = static_cast<double>(std::max<std::size_t>(set.pixels.size(), 1));
    const double mean = sum / n;
    const double variance = std::max(0.0, squares / n - mean * mean);
    Normalization normalization;
    normalization.mean = mean / 255.0;
    normalization.deviation = variance > 0 ? std::sqrt(variance) / 255.0 : 1.0;
    return normalization;
}

Result<ImageSet> loadTrainingSet(const spec::DatasetSpec& spec) {
    return loadPair(spec.trainImages, "task.dataset.train_images", spec.trainLabels, "task.dataset.train_labels",
                    spec.trainLimit);
}

Result<ImageSet> loadValidationSet(const spec::DatasetSpec& spec) {
    return loadPair(spec.valImages, "task.dataset.val_images", spec.valLabels, "task.dataset.val_labels",
                    spec.valLimit);
}

Result<std::int64_t> countClasses(const spec::DatasetSpec& spec, const ImageSet& training) {
    if (!spec.classNames.empty()) {
        const auto classes = static_cast<std::int64_t>(spec.classNames.size());
        if (classes < 2) {
            return Error{"data.classes", "One class name is given; a classifier needs at least two.",
                         "task.dataset.class_names"};
        }
        TRAINYARD_TRY(checkLabels(spec.trainLabels, "task.dataset.train_labels", training, classes,
                                  "only " + std::to_string(classes) + " class names are given"));
        return classes;
    }
    const std::int64_t largest = *std::ranges::max_element(training.labels);
    return std::max<std::int64_t>(largest + 1, 2);
}

Status checkValidationSet(const spec::DatasetSpec& spec, const ImageSet& training, const ImageSet& validation,
                          std::int64_t classes) {
    if (validation.height != training.height || validation.width != training.width) {
        return Error{"data.shape",
                     "The validation images in \"" + spec.valImages + "\" are " + std::to_string(validation.width) +
                         " × " + std::to_string(validation.height) + " pixels, the training images " +
                         std::to_string(training.width) + " × " + std::to_string(training.height) + ".",
                     "task.dataset.val_images"};
    }
    return checkLabels(spec.valLabels, "task.dataset.val_labels", validation, classes,
                       "training has only " + std::to_string(classes) + " classes");
}

}  // namespace trainyard::engine
