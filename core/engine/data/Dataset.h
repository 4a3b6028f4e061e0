#pragma once
// Labelled images in memory as they are in their files: one byte a pixel. Batches are normalised on the fly.
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/engine/data/IdxFile.h"
#include "core/spec/RunSpec.h"

namespace trainyard::engine {

/// One split. Read-only after loading, so any thread may read it.
struct ImageSet {
    std::int64_t count = 0;
    std::int64_t channels = 1;
    std::int64_t height = 0;
    std::int64_t width = 0;
    std::vector<std::uint8_t> pixels;  ///< count × channels × height × width
    std::vector<std::uint8_t> labels;  ///< count

    [[nodiscard]] std::int64_t pixelsPerSample() const { return channels * height * width; }
    [[nodiscard]] std::vector<std::int64_t> sampleShape() const { return {channels, height, width}; }
};

/// value = (pixel / 255 − mean) / standard deviation, in float32 and in this order: the bits of torchvision's
/// ToTensor followed by Normalize.
struct Normalization {
    double mean = 0.0;
    double deviation = 1.0;

    bool operator==(const Normalization&) const = default;
    /// The value of each of the 256 pixel values.
    [[nodiscard]] std::array<float, 256> table() const;
};

/// Mean and (population) standard deviation of pixel / 255 over a set, exact in integers until the last division.
/// A set of one single grey value gets deviation 1.
[[nodiscard]] Normalization measureNormalization(const ImageSet& set);

/// The first `limit` samples (0 = all) of a pair of IDX files.
/// Errors: those of readIdxFile, "data.count" (images and labels differ in number), "data.limit". The error's field is
/// the spec's path of the file that is wrong.
[[nodiscard]] Result<ImageSet> loadTrainingSet(const spec::DatasetSpec& spec);
[[nodiscard]] Result<ImageSet> loadValidationSet(const spec::DatasetSpec& spec);

/// Classes of a training set: class names if there are any, else the largest label + 1 (at least 2).
/// "data.label" when a label has no class name; it names file and byte.
[[nodiscard]] Result<std::int64_t> countClasses(const spec::DatasetSpec& spec, const ImageSet& training);
/// The validation set must have the training set's image size ("data.shape") and no label that training never had a
/// class for ("data.label").
[[nodiscard]] Status checkValidationSet(const spec::DatasetSpec& spec, const ImageSet& training,
                                        const ImageSet& validation, std::int64_t classes);

}  // namespace trainyard::engine
