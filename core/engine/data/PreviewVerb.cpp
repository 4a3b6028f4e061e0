#include "core/engine/data/PreviewVerb.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <numeric>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Text.h"
#include "core/engine/Runtime.h"
#include "core/engine/data/BadPictures.h"
#include "core/engine/data/Batch.h"
#include "core/engine/data/CentreCrop.h"
#include "core/engine/data/Dataset.h"
#include "core/engine/data/FileReader.h"
#include "core/engine/data/ImageLoader.h"
#include "core/engine/data/KeptData.h"

namespace trainyard::engine {

namespace {

using base::Json;

constexpr std::int64_t kMostShown = 24;
constexpr std::int64_t kLeastSide = 32;
constexpr std::int64_t kMostSide = 512;  // Pixels; an answer is one line.
constexpr int kMostScanThreads = 4;
// Of the sheet, in pixels.
constexpr int kPairsAcross = 3;
constexpr int kPairGap = 4;
constexpr int kSheetGap = 16;
constexpr std::uint8_t kPaper = 255;

struct Asked {
    std::int64_t epoch = 0;  ///< From 0, as the trainer counts.
    std::int64_t count = 0;
    std::int64_t skip = 0;
    int side = 0;
    std::string sheet;
};

/// A sample that is shown.
struct Shown {
    std::int64_t index = 0;  ///< Among the training samples.
    std::string file;        ///< Empty where samples have no files of their own.
    std::string label;
    std::string wrong;  ///< Not empty: it cannot be read, and the pictures are empty.
    Picture original;
    Picture changed;
    int width = 0;  ///< Of the sample as it is stored; `original` may be smaller.
    int height = 0;
    Json change;
};

/// Each class in turn; within a class with steps that reach every sample, and are wide where there are many: pictures
/// that lie side by side are often of one series.
std::vector<std::int64_t> chosen(const std::vector<std::vector<std::int64_t>>& byClass, const Asked& asked) {
    std::vector<const std::vector<std::int64_t>*> classes;
    std::int64_t all = 0;
    for (const auto& one : byClass) {
        if (!one.empty()) {
            classes.push_back(&one);
        }
        all += static_cast<std::int64_t>(one.size());
    }
    std::vector<std::int64_t> indices;
    const auto across = static_cast<std::int64_t>(classes.size());
    const std::int64_t count = std::min(asked.count, all);
    for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t place = asked.skip + i;
        const auto& samples = *classes[static_cast<std::size_t>(place % across)];
        const auto size = static_cast<std::int64_t>(samples.size());
        std::int64_t stride = std::max<std::int64_t>(1, size * 5 / 8);
        while (std::gcd(stride, size) != 1) {
            ++stride;
        }
        indices.push_back(samples[static_cast<std::size_t>((place / across) % size * stride % size)]);
    }
    return indices;
}

Json boxJson(const Box& box) {
    return Json{{"left", box.left}, {"top", box.top}, {"width", box.width}, {"height", box.height}};
}

/// What validation cuts out, in the original's pixels.
Box centreBox(const PictureInfo& info, int size, int resize) {
    const CentrePlan plan = centreOf(info, size, resize);
    const double scale = static_cast<double>(info.width) / plan.width;
    const auto scaled = [scale](int value) { return static_cast<int>(std::lround(value * scale)); };
    return {scaled(plan.cut.left), scaled(plan.cut.top), scaled(size), scaled(size)};
}

Json changeJson(const spec::TrainTask& task, const ImageFile& file, std::int64_t epoch, std::int64_t index) {
    const auto size = static_cast<int>(task.dataset.imageSize);
    const ImageChange change = changeOf(task.augmentation, file.info, size, task.seed, epoch, index);
    const Box box =
        task.augmentation.crop ? change.box : centreBox(file.info, size, static_cast<int>(task.dataset.resizeSize));
    return Json{{"box", boxJson(box)},
                {"flip", change.flip},
                {"vertical_flip", change.verticalFlip},
                {"rotation", change.rotation},
                {"brightness", change.brightness},
                {"contrast", change.contrast},
                {"saturation", change.saturation},
                {"hue", change.hue},
                {"erased", change.erase ? boxJson(change.erased) : Json()}};
}

/// Planes of values that `normalization` made, as bytes. What was erased has the value 0: the mean colour.
Picture denormalised(const float* values, std::int64_t channels, std::int64_t height, std::int64_t width,
                     const ChannelNormalization& normalization) {
    Picture picture{static_cast<int>(width), static_cast<int>(height), {}};
    const std::int64_t plane = height * width;
    picture.pixels.resize(static_cast<std::size_t>(plane) * 3);
    for (std::int64_t c = 0; c < 3; ++c) {
        const Normalization& normal = normalization[static_cast<std::size_t>(c)];
        const float* from = values + (channels >= 3 ? c : 0) * plane;
        for (std::int64_t i = 0; i < plane; ++i) {
            const double value = (static_cast<double>(from[i]) * normal.deviation + normal.mean) * 255;
            picture.pixels[static_cast<std::size_t>(3 * i + c)] =
                static_cast<std::uint8_t>(std::clamp(std::lround(value), 0L, 255L));
        }
    }
    return picture;
}

/// No side longer than `side`; what is smaller stays as it is.
Picture fitted(Picture picture, int side) {
    const int longer = std::max(picture.width, picture.height);
    if (longer <= side) {
        return picture;
    }
    const auto scaled = [&](int value) {
        return std::max(1, static_cast<int>(std::lround(static_cast<double>(value) * side / longer)));
    };
    return resized(picture, {0, 0, picture.width, picture.height}, scaled(picture.width), scaled(picture.height));
}

Result<Picture> originalOf(std::string_view bytes, const PictureInfo& info, int side) {
    auto part = decodePart(bytes, info, {0, 0, info.width, info.height}, side);
    if (!part) {
        return part.error();
    }
    if (part->box.width == part->picture.width && part->box.height == part->picture.height) {
        return fitted(std::move(part->picture), side);
    }
    return fitted(resized(part->picture, part->box, part->box.width, part->box.height), side);
}

/// The samples with their originals. False: one of them is another picture than the list says.
bool readOriginals(const spec::TrainTask& task, const Asked& asked, const ImageFolder& folder,
                   const std::vector<std::int64_t>& indices, std::vector<Shown>& samples) {
    FileReader reader;
    bool asListed = true;
    for (const std::int64_t index : indices) {
        const ImageFile& file = folder.training[static_cast<std::size_t>(index)];
        Shown one;
        one.index = index;
        one.file = file.path;
        one.label = folder.classes[static_cast<std::size_t>(file.label)];
        one.width = file.info.width;
        one.height = file.info.height;
        one.change = changeJson(task, file, asked.epoch, index);
        const auto bytes = reader.read(folder.root / file.path);
        const auto found = bytes ? readPictureInfo(*bytes) : Result<PictureInfo>(bytes.error());
        asListed = asListed && found && *found == file.info;
        auto original = bytes ? originalOf(*bytes, file.info, asked.side) : Result<Picture>(bytes.error());
        if (original) {
            one.original = std::move(*original);
        } else {
            one.wrong = original.error().message;
        }
        samples.push_back(std::move(one));
    }
    return asListed;
}

Result<std::vector<Shown>> showFolder(const spec::TrainTask& task, const Asked& asked, const VerbProgress& progress,
                                      KeptData& data, Json& answer) {
    const auto threads = static_cast<int>(std::clamp<std::int64_t>(usableCores(), 1, kMostScanThreads));
    std::shared_ptr<const ImageFolder> folder;
    std::vector<std::int64_t> indices;
    std::vector<Shown> samples;
    for (;;) {
        const bool anew = data.forgetIfChanged(task.dataset);
        if (anew) {
            progress(Json{{"text", "Reading the list of pictures"}});
        }
        auto listed = data.folder(task.dataset, threads);
        if (!listed) {
            return listed.error();
        }
        folder = std::move(*listed);
        std::vector<std::vector<std::int64_t>> byClass(folder->classes.size());
        for (std::size_t i = 0; i < folder->training.size(); ++i) {
            byClass[static_cast<std::size_t>(folder->training[i].label)].push_back(static_cast<std::int64_t>(i));
        }
        indices = chosen(byClass, asked);
        progress(Json{{"text", "Drawing"}});
        samples.clear();
        if (readOriginals(task, asked, *folder, indices, samples) || anew) {
            break;
        }
        data.forget();
    }
    ImageLoaderOptions options = loaderOptions(task, *folder);
    options.augment = true;
    options.threads = threads;
    // A run counts them against its limit; here each is told of, and its stand-in is not shown.
    const std::size_t files = folder->training.size() + folder->validation.size();
    options.bad = std::make_shared<BadPictures>(files, files);
    std::mutex mutex;
    options.onBad = [&](const ImageFile& file, const std::string& why) {
        const std::lock_guard lock(mutex);
        for (Shown& one : samples) {
            if (one.file == file.path) {
                one.wrong = why;
            }
        }
    };
    const ChannelNormalization normalization = options.normalization;
    ImageLoader loader(folder->root, folder->training, std::move(options));
    loader.plan({indices}, asked.epoch);
    const Batch& batch = loader.next();
    const std::int64_t size = task.dataset.imageSize;
    for (std::size_t i = 0; i < samples.size(); ++i) {
        if (samples[i].wrong.empty()) {
            const float* values = batch.images.data_ptr<float>() + static_cast<std::int64_t>(i) * 3 * size * size;
            samples[i].changed = fitted(denormalised(values, 3, size, size, normalization), asked.side);
        }
    }
    answer["training"] = folder->training.size();
    answer["classes"] = folder->classes.size();
    answer["width"] = size;
    answer["height"] = size;
    return samples;
}

Result<std::vector<Shown>> showIdx(const spec::TrainTask& task, const Asked& asked, const VerbProgress& progress,
                                   KeptData& data, Json& answer) {
    if (data.forgetIfChanged(task.dataset)) {
        progress(Json{{"text", "Reading the samples"}});
    }
    const auto kept = data.samples(task.dataset);
    if (!kept) {
        return kept.error();
    }
    const std::shared_ptr<const ImageSet>& set = *kept;
    const auto classes = countClasses(task.dataset, *set);
    if (!classes) {
        return classes.error();
    }
    std::vector<std::vector<std::int64_t>> byClass(static_cast<std::size_t>(*classes));
    for (std::size_t i = 0; i < set->labels.size(); ++i) {
        byClass[set->labels[i]].push_back(static_cast<std::int64_t>(i));
    }
    const std::vector<std::int64_t> indices = chosen(byClass, asked);
    progress(Json{{"text", "Drawing"}});
    // Normalising changes values one by one, so nothing of what is drawn hangs on it.
    BatchCutter changing(*set, Normalization{}, at::kCPU);
    BatchCutter plain(*set, Normalization{}, at::kCPU);
    const auto count = static_cast<std::int64_t>(indices.size());
    const Batch& changed = task.augment ? changing.cutAugmented(indices.data(), count, task.seed, asked.epoch)
                                        : changing.cut(indices.data(), count);
    const Batch& original = plain.cut(indices.data(), count);
    std::vector<Shown> samples;
    for (std::size_t i = 0; i < indices.size(); ++i) {
        const auto pictureOf = [&](const Batch& batch) {
            const float* all = batch.images.data_ptr<float>();
            const float* values = all + static_cast<std::int64_t>(i) * set->pixelsPerSample();
            return fitted(denormalised(values, set->channels, set->height, set->width, {}), asked.side);
        };
        const std::uint8_t label = set->labels[static_cast<std::size_t>(indices[i])];
        Shown one;
        one.index = indices[i];
        one.label = label < task.dataset.classNames.size() ? task.dataset.classNames[label] : std::to_string(label);
        one.width = static_cast<int>(set->width);
        one.height = static_cast<int>(set->height);
        one.original = pictureOf(original);
        one.changed = pictureOf(changed);
        const Augmentation drawn = task.augment ? augmentationOf(task.seed, asked.epoch, indices[i]) : Augmentation{};
        one.change = {{"dx", drawn.dx}, {"dy", drawn.dy}, {"flip", drawn.flip}};
        samples.push_back(std::move(one));
    }
    answer["training"] = set->count;
    answer["classes"] = *classes;
    answer["width"] = set->width;
    answer["height"] = set->height;
    return samples;
}

void lay(const Picture& from, Picture& onto, int left, int top) {
    for (int y = 0; y < from.height; ++y) {
        std::copy_n(from.pixels.data() + static_cast<std::ptrdiff_t>(y) * from.width * 3, from.width * 3,
                    onto.pixels.data() + (static_cast<std::ptrdiff_t>(top + y) * onto.width + left) * 3);
    }
}

/// All pairs on one sheet of paper, the original on the left of each.
Picture sheetOf(const std::vector<Shown>& samples, int side) {
    const int count = static_cast<int>(samples.size());
    const int across = std::min(kPairsAcross, std::max(1, count));
    const int down = (count + across - 1) / across;
    const int pair = 2 * side + kPairGap;
    Picture sheet{across * (pair + kSheetGap) + kSheetGap, down * (side + kSheetGap) + kSheetGap, {}};
    sheet.pixels.assign(static_cast<std::size_t>(sheet.width) * static_cast<std::size_t>(sheet.height) * 3, kPaper);
    for (int i = 0; i < count; ++i) {
        const Shown& one = samples[static_cast<std::size_t>(i)];
        const int left = kSheetGap + i % across * (pair + kSheetGap);
        const int top = kSheetGap + i / across * (side + kSheetGap);
        lay(one.original, sheet, left + (side - one.original.width) / 2, top + (side - one.original.height) / 2);
        lay(one.changed, sheet, left + side + kPairGap + (side - one.changed.width) / 2,
            top + (side - one.changed.height) / 2);
    }
    return sheet;
}

Result<Json> embedded(const Picture& picture) {
    if (picture.pixels.empty()) {
        return Json();
    }
    const auto bytes = encodePng(picture);
    return bytes ? Result<Json>(base::base64(*bytes)) : bytes.error();
}

}  // namespace

Result<Json> runPreviewVerb(const Json& request, const VerbProgress& progress) {
    KeptData data;
    return drawPreview(request, data, progress);
}

Result<Json> drawPreview(const Json& request, KeptData& data, const VerbProgress& progress) {
    base::ObjectReader reader(request, "");
    reader.require("spec");
    const Json document = reader.object("spec");
    Asked asked;
    asked.epoch = std::clamp<std::int64_t>(reader.integer("epoch", 1), 1, std::numeric_limits<std::int32_t>::max()) - 1;
    asked.count = std::clamp<std::int64_t>(reader.integer("count", 6), 1, kMostShown);
    asked.skip = std::clamp<std::int64_t>(reader.integer("skip"), 0, std::numeric_limits<std::int32_t>::max());
    asked.side = static_cast<int>(std::clamp<std::int64_t>(reader.integer("side", 256), kLeastSide, kMostSide));
    asked.sheet = reader.string("sheet");
    TRAINYARD_TRY(reader.status(/*rejectUnknown=*/false));
    const auto spec = spec::runSpecFromJson(document);
    if (!spec) {
        return spec.error();
    }
    if (spec->taskKind != spec::TaskKind::Train) {
        return Error{"preview.task", "Only a training has samples to be shown; this run is a command.", "task.kind"};
    }
    const spec::TrainTask& task = spec->train;
    Json answer{{"kind", task.dataset.kind}, {"epoch", asked.epoch + 1}, {"seed", task.seed}};
    const auto samples = guarded("drawing the samples", [&] {
        return task.dataset.kind == "images" ? showFolder(task, asked, progress, data, answer)
                                             : showIdx(task, asked, progress, data, answer);
    });
    if (!samples) {
        return samples.error();
    }
    if (!asked.sheet.empty()) {
        const auto bytes = encodePng(sheetOf(*samples, asked.side));
        if (!bytes) {
            return bytes.error();
        }
        TRAINYARD_TRY(base::writeFileAtomically(asked.sheet, *bytes, 0644));
    }
    Json list = Json::array();
    for (const Shown& one : *samples) {
        const auto original = asked.sheet.empty() ? embedded(one.original) : Result<Json>(Json());
        const auto changed = asked.sheet.empty() ? embedded(one.changed) : Result<Json>(Json());
        if (!original || !changed) {
            return original ? changed.error() : original.error();
        }
        list.push_back({{"index", one.index},
                        {"file", base::toValidUtf8(one.file)},
                        {"label", base::toValidUtf8(one.label)},
                        {"problem", one.wrong.empty() ? Json() : Json(base::toValidUtf8(one.wrong))},
                        {"size", {{"width", one.width}, {"height", one.height}}},
                        {"original", *original},
                        {"augmented", *changed},
                        {"change", one.change}});
    }
    answer["samples"] = std::move(list);
    return answer;
}

}  // namespace trainyard::engine
