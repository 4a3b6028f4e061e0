#include "core/engine/data/DatasetVerb.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <set>
#include <string_view>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/base/Clock.h"
#include "core/base/Files.h"
#include "core/base/Text.h"
#include "core/engine/Runtime.h"
#include "core/engine/data/Dataset.h"
#include "core/engine/data/Picture.h"
#include "core/spec/ImageListing.h"

namespace trainyard::engine {

namespace {

namespace fs = std::filesystem;
using base::Json;
using base::Path;

constexpr std::int64_t kBudget = std::int64_t{1} << 30;  // Bytes of pixels that are decoded at once.
constexpr std::int64_t kMostFileBytes = std::int64_t{256} << 20;
constexpr std::size_t kMostNamed = 20'000;  // Unreadable files by name; an answer is one line.
constexpr int kReportMillis = 100;
constexpr std::int64_t kMostPictures = 20'000'000;

/// Lets work begin while all that goes on together fits; what is larger than everything goes alone.
class Budget {
public:
    void take(std::int64_t bytes) {
        std::unique_lock held(m_mutex);
        m_freed.wait(held, [&] { return m_taken == 0 || m_taken + bytes <= kBudget; });
        m_taken += bytes;
    }
    void give(std::int64_t bytes) {
        const std::lock_guard held(m_mutex);
        m_taken -= bytes;
        m_freed.notify_all();
    }

private:
    std::mutex m_mutex;
    std::condition_variable m_freed;
    std::int64_t m_taken = 0;
};

/// What is known of one picture once it was decoded.
struct Look {
    std::string path;
    std::int64_t label = 0;
    bool validation = false;
    std::string wrong;  ///< Not empty: it cannot be read.
    int width = 0;
    int height = 0;
    std::array<double, 3> mean{};     ///< Of pixel / 255.
    std::array<double, 3> squares{};  ///< Mean of (pixel / 255)².
};

struct Listing {
    std::vector<std::string> classes;
    std::vector<Look> pictures;  ///< By label, then by path.
    std::int64_t ignored = 0;
    spec::ImageLayout layout;
};

Error datasetFolderError(std::string message) { return {"data.folder", std::move(message), "dataset.folder"}; }

/// Every picture that has a class, also where the trainer would refuse the folder.
Result<Listing> listPictures(const Path& root) {
    std::error_code error;
    const std::string shown = "\"" + base::stripControl(base::toValidUtf8(root.string())) + "\"";
    if (!fs::is_directory(root, error)) {
        return datasetFolderError(shown + (fs::exists(root, error) ? " is no folder." : " is not there."));
    }
    Listing listing;
    listing.layout = spec::imageLayout([&](const std::string& name) {
        std::error_code ignored;
        return fs::is_directory(root / name, ignored);
    });
    std::vector<std::pair<std::string, bool>> paths;
    std::set<std::string> names;
    for (fs::directory_iterator at(root / listing.layout.train, error), end; !error && at != end; at.increment(error)) {
        std::error_code ignored;
        if (!at->path().filename().string().starts_with('.') && at->is_directory(ignored)) {
            names.insert(at->path().filename().string());
        }
    }
    fs::recursive_directory_iterator at(root, fs::directory_options::skip_permission_denied, error);
    for (const fs::recursive_directory_iterator end; !error && at != end; at.increment(error)) {
        std::error_code unreadable;
        if (at->path().filename().string().starts_with('.')) {
            at.disable_recursion_pending();
            continue;
        }
        if (!at->is_regular_file(unreadable)) {
            continue;
        }
        std::string path = at->path().lexically_relative(root).string();
        const auto place = spec::placeOfImage(path, listing.layout);
        if (!place || !spec::isPictureName(path)) {
            ++listing.ignored;
            continue;
        }
        names.insert(std::string(place->className));
        paths.emplace_back(std::move(path), place->validation);
        if (static_cast<std::int64_t>(paths.size()) > kMostPictures) {
            return datasetFolderError("The folder " + shown + " holds more than 20 million pictures.");
        }
    }
    if (error) {
        return datasetFolderError("The folder " + shown + " cannot be read: " + error.message() + ".");
    }
    listing.classes.assign(names.begin(), names.end());
    listing.pictures.reserve(paths.size());
    for (auto& [path, validation] : paths) {
        Look look;
        const auto place = spec::placeOfImage(path, listing.layout);
        look.label = std::ranges::lower_bound(listing.classes, place->className) - listing.classes.begin();
        look.validation = validation;
        look.path = std::move(path);
        listing.pictures.push_back(std::move(look));
    }
    std::ranges::sort(listing.pictures, {},
                      [](const Look& look) { return std::pair(look.label, std::string_view(look.path)); });
    return listing;
}

void measure(const Picture& picture, Look& look) {
    std::array<std::uint64_t, 3> sums{};
    std::array<std::uint64_t, 3> squares{};
    const std::uint8_t* at = picture.pixels.data();
    const std::size_t count = picture.pixels.size() / 3;
    for (std::size_t i = 0; i < count; ++i, at += 3) {
        for (std::size_t c = 0; c < 3; ++c) {
            sums[c] += at[c];
            squares[c] += static_cast<std::uint64_t>(at[c]) * at[c];
        }
    }
    const auto n = static_cast<double>(std::max<std::size_t>(count, 1));
    for (std::size_t c = 0; c < 3; ++c) {
        look.mean[c] = static_cast<double>(sums[c]) / n / 255.0;
        look.squares[c] = static_cast<double>(squares[c]) / n / (255.0 * 255.0);
    }
}

void lookAt(const Path& root, Look& look, Budget& budget) {
    const auto bytes = base::readFile(root / look.path, kMostFileBytes);
    if (!bytes.ok()) {
        look.wrong = bytes.error().message;
        return;
    }
    const auto info = readPictureInfo(*bytes);
    if (!info.ok()) {
        look.wrong = info.error().message;
        return;
    }
    // The decoder's own copy is counted too: turned pictures exist twice for a moment.
    const std::int64_t need = std::int64_t{6} * info->width * info->height;
    budget.take(need);
    const auto picture = guarded("decoding", [&] { return decodePicture(*bytes); });
    if (picture.ok()) {
        look.width = picture->width;
        look.height = picture->height;
        measure(*picture, look);
    } else {
        look.wrong = picture.error().message;
    }
    budget.give(need);
}

/// Decodes all on `threads` threads; progress is told by the calling one.
void lookAtAll(const Path& root, std::vector<Look>& pictures, std::int64_t threads, const VerbProgress& progress) {
    Budget budget;
    std::atomic<std::size_t> next{0};
    std::atomic<std::size_t> done{0};
    std::mutex mutex;
    std::condition_variable ended;
    std::int64_t working = threads;
    std::vector<std::thread> helpers;
    for (std::int64_t i = 0; i < threads; ++i) {
        helpers.emplace_back([&] {
            for (std::size_t at = next++; at < pictures.size(); at = next++) {
                lookAt(root, pictures[at], budget);
                ++done;
            }
            const std::lock_guard held(mutex);
            --working;
            ended.notify_all();
        });
    }
    {
        std::unique_lock held(mutex);
        while (!ended.wait_for(held, std::chrono::milliseconds(kReportMillis), [&] { return working == 0; })) {
            progress(Json{{"done", done.load()}, {"total", pictures.size()}, {"text", "Looking at the pictures"}});
        }
    }
    for (std::thread& helper : helpers) {
        helper.join();
    }
}

void splitOff(Listing& listing, double fraction, std::int64_t seed) {
    std::vector<spec::SplitSample> samples;
    std::vector<std::size_t> indices;
    for (std::size_t i = 0; i < listing.pictures.size(); ++i) {
        if (listing.pictures[i].wrong.empty()) {
            samples.push_back({listing.pictures[i].label, listing.pictures[i].path});
            indices.push_back(i);
        }
    }
    const std::vector<bool> kept = spec::keptForValidation(samples, fraction, seed);
    for (std::size_t i = 0; i < indices.size(); ++i) {
        listing.pictures[indices[i]].validation = kept[i];
    }
}

Json sizeJson(std::int64_t width, std::int64_t height) { return Json{{"width", width}, {"height", height}}; }

Json pictureSizes(const std::vector<Look>& pictures) {
    std::vector<int> widths;
    std::vector<int> heights;
    for (const Look& look : pictures) {
        if (look.wrong.empty()) {
            widths.push_back(look.width);
            heights.push_back(look.height);
        }
    }
    if (widths.empty()) {
        return {};
    }
    std::ranges::sort(widths);
    std::ranges::sort(heights);
    const std::size_t middle = (widths.size() - 1) / 2;
    return Json{{"min", sizeJson(widths.front(), heights.front())},
                {"median", sizeJson(widths[middle], heights[middle])},
                {"max", sizeJson(widths.back(), heights.back())}};
}

/// Summed in the pictures' order, so that the number of threads changes no bit.
Json statisticsOf(const std::vector<Look>& pictures) {
    std::array<double, 3> mean{};
    std::array<double, 3> squares{};
    double count = 0;
    for (const Look& look : pictures) {
        if (!look.wrong.empty() || look.validation) {
            continue;
        }
        ++count;
        for (std::size_t c = 0; c < 3; ++c) {
            mean[c] += look.mean[c];
            squares[c] += look.squares[c];
        }
    }
    if (count == 0) {
        return {};
    }
    Json means = Json::array();
    Json deviations = Json::array();
    for (std::size_t c = 0; c < 3; ++c) {
        const double m = mean[c] / count;
        means.push_back(m);
        deviations.push_back(std::sqrt(std::max(0.0, squares[c] / count - m * m)));
    }
    return Json{{"mean", std::move(means)}, {"std", std::move(deviations)}};
}

Result<Json> lookAtFolder(const spec::DatasetSpec& spec, std::int64_t threads, const VerbProgress& progress) {
    if (pictureCodecs().empty()) {
        return Error{"picture.kind", "This engine was built without libjpeg and libpng, so it cannot read pictures.",
                     "dataset.folder"};
    }
    auto listing = listPictures(spec.folder);
    if (!listing.ok()) {
        return listing.error();
    }
    lookAtAll(spec.folder, listing->pictures, threads, progress);
    if (listing->layout.validation.empty()) {
        splitOff(*listing, spec.valFraction, spec.splitSeed);
    }
    struct Count {
        std::int64_t train = 0;
        std::int64_t val = 0;
        std::int64_t unreadable = 0;
    };
    std::vector<Count> counts(listing->classes.size());
    Json unreadable = Json::array();
    std::int64_t wrong = 0;
    for (const Look& look : listing->pictures) {
        Count& count = counts[static_cast<std::size_t>(look.label)];
        ++(!look.wrong.empty() ? count.unreadable : look.validation ? count.val : count.train);
        if (!look.wrong.empty() && static_cast<std::size_t>(++wrong) <= kMostNamed) {
            unreadable.push_back({{"path", look.path}, {"why", look.wrong}});
        }
    }
    Json classes = Json::array();
    for (std::size_t i = 0; i < counts.size(); ++i) {
        classes.push_back({{"name", listing->classes[i]},
                           {"train", counts[i].train},
                           {"val", counts[i].val},
                           {"unreadable", counts[i].unreadable}});
    }
    return Json{{"kind", "images"},
                {"classes", std::move(classes)},
                {"ignored", listing->ignored},
                {"channels", 3},
                {"sizes", pictureSizes(listing->pictures)},
                {"statistics", statisticsOf(listing->pictures)},
                {"unreadable", std::move(unreadable)},
                {"unreadable_count", wrong},
                {"leaks", 0}};
}

Result<Json> lookAtIdx(const spec::DatasetSpec& spec) {
    const auto training = loadTrainingSet(spec);
    if (!training) {
        return training.error();
    }
    const auto validation = loadValidationSet(spec);
    if (!validation) {
        return validation.error();
    }
    const auto classes = countClasses(spec, *training);
    if (!classes) {
        return classes.error();
    }
    TRAINYARD_TRY(checkValidationSet(spec, *training, *validation, *classes));
    std::vector<std::int64_t> train(static_cast<std::size_t>(*classes), 0);
    std::vector<std::int64_t> val(train.size(), 0);
    for (const std::uint8_t label : training->labels) ++train[label];
    for (const std::uint8_t label : validation->labels) ++val[label];
    Json rows = Json::array();
    for (std::size_t i = 0; i < train.size(); ++i) {
        const std::string name = i < spec.classNames.size() ? spec.classNames[i] : std::to_string(i);
        rows.push_back({{"name", name}, {"train", train[i]}, {"val", val[i]}, {"unreadable", 0}});
    }
    const auto sample = [](const ImageSet& set, std::int64_t index) {
        const auto size = static_cast<std::size_t>(set.pixelsPerSample());
        return std::string_view(
            reinterpret_cast<const char*>(set.pixels.data()) + static_cast<std::size_t>(index) * size, size);
    };
    std::unordered_set<std::string_view> seen;
    for (std::int64_t i = 0; i < training->count; ++i) seen.insert(sample(*training, i));
    std::int64_t leaks = 0;
    for (std::int64_t i = 0; i < validation->count; ++i) leaks += seen.contains(sample(*validation, i)) ? 1 : 0;
    const Normalization normal = measureNormalization(*training);
    const Json size = sizeJson(training->width, training->height);
    return Json{{"kind", "idx"},
                {"classes", std::move(rows)},
                {"ignored", 0},
                {"channels", training->channels},
                {"sizes", {{"min", size}, {"median", size}, {"max", size}}},
                {"statistics", {{"mean", {normal.mean}}, {"std", {normal.deviation}}}},
                {"unreadable", Json::array()},
                {"unreadable_count", 0},
                {"leaks", leaks}};
}

}  // namespace

Result<Json> runDatasetVerb(const Json& request, const VerbProgress& progress) {
    base::ObjectReader reader(request, "");
    reader.require("dataset");
    const std::int64_t asked = reader.integer("threads");
    base::ObjectReader dataset(reader.object("dataset"), "dataset");
    spec::DatasetSpec spec;
    spec.kind = dataset.string("kind", "images");
    spec.folder = dataset.string("folder");
    spec.valFraction = std::clamp(dataset.number("val_fraction", spec.valFraction), 0.0, 0.9);
    spec.splitSeed = dataset.integer("split_seed", spec.splitSeed);
    spec.trainImages = dataset.string("train_images");
    spec.trainLabels = dataset.string("train_labels");
    spec.valImages = dataset.string("val_images");
    spec.valLabels = dataset.string("val_labels");
    spec.classNames = dataset.strings("class_names");
    TRAINYARD_TRY(dataset.status(/*rejectUnknown=*/false));
    TRAINYARD_TRY(reader.status(/*rejectUnknown=*/false));
    const std::int64_t begin = base::monotonicNanos();
    Result<Json> answer = Error{
        "spec.choice", "\"" + base::stripControl(spec.kind) + "\" is no kind of data; \"images\" and \"idx\" are.",
        "dataset.kind"};
    if (spec.kind == "images") {
        answer = lookAtFolder(spec, std::clamp<std::int64_t>(planThreads(asked, 1).threads, 1, 256), progress);
    } else if (spec.kind == "idx") {
        answer = lookAtIdx(spec);
    }
    if (answer.ok()) {
        (*answer)["seconds"] = static_cast<double>(base::monotonicNanos() - begin) * 1e-9;
    }
    return answer;
}

}  // namespace trainyard::engine
