#include "core/engine/data/ImageFolder.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <optional>
#include <thread>

#include "core/base/Text.h"
#include "core/engine/data/FileReader.h"
#include "core/spec/ImageListing.h"

namespace trainyard::engine {

namespace {

namespace fs = std::filesystem;
using base::Path;

constexpr const char* kField = "task.dataset.folder";
constexpr std::size_t kMaxFiles = 20'000'000;
/// Enough of most files to know the picture's size.
constexpr std::int64_t kHeaderBytes = 64 << 10;

Error folderError(const char* code, std::string message) { return {code, std::move(message), kField}; }

std::string shown(const Path& path) { return "\"" + base::stripControl(path.string()) + "\""; }

/// Names of the folders in a folder, sorted; names with a leading dot are nobody's class.
Result<std::vector<std::string>> foldersIn(const Path& folder) {
    std::error_code error;
    std::vector<std::string> names;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
        const std::string name = at->path().filename().string();
        std::error_code ignored;
        if (!name.starts_with('.') && at->is_directory(ignored)) {
            names.push_back(name);
        }
    }
    if (error) {
        return folderError("data.folder", "The folder " + shown(folder) + " cannot be read: " + error.message() + ".");
    }
    std::ranges::sort(names);
    return names;
}

/// Appends the pictures under root/part, sorted by path.
Status collect(const Path& root, const Path& part, std::int64_t label, std::vector<ImageFile>& out,
               std::int64_t& ignored) {
    std::vector<std::string> paths;
    std::error_code error;
    fs::recursive_directory_iterator at(root / part, fs::directory_options::skip_permission_denied, error);
    for (const fs::recursive_directory_iterator end; !error && at != end; at.increment(error)) {
        std::error_code unreadable;
        if (at->path().filename().string().starts_with('.')) {
            at.disable_recursion_pending();
            continue;
        }
        if (!at->is_regular_file(unreadable)) {
            continue;
        }
        if (!spec::isPictureName(at->path().native())) {
            ++ignored;
            continue;
        }
        paths.push_back(at->path().lexically_relative(root).string());
        if (paths.size() > kMaxFiles) {
            return folderError("data.folder", "The folder " + shown(root) + " holds more than 20 million pictures.");
        }
    }
    if (error) {
        return folderError("data.folder",
                           "The folder " + shown(root / part) + " cannot be read: " + error.message() + ".");
    }
    if (paths.empty()) {
        return folderError("data.empty", "The class folder " + shown(root / part) +
                                             " has no JPEG or PNG file in it. Fill it or remove it.");
    }
    std::ranges::sort(paths);
    for (std::string& path : paths) {
        out.push_back({std::move(path), label, {}});
    }
    return {};
}

void split(ImageFolder& data, const spec::DatasetSpec& spec) {
    std::vector<ImageFile> all = std::move(data.training);
    data.training.clear();
    std::vector<spec::SplitSample> samples;
    samples.reserve(all.size());
    for (const ImageFile& file : all) {
        samples.push_back({file.label, file.path});
    }
    const std::vector<bool> kept = spec::keptForValidation(samples, spec.valFraction, spec.splitSeed);
    for (std::size_t i = 0; i < all.size(); ++i) {
        (kept[i] ? data.validation : data.training).push_back(std::move(all[i]));
    }
}

void limit(std::vector<ImageFile>& files, std::int64_t most, std::int64_t seed) {
    if (most <= 0 || most >= static_cast<std::int64_t>(files.size())) {
        return;
    }
    std::ranges::sort(files, {},
                      [&](const ImageFile& file) { return std::pair(spec::splitRank(file.path, seed), file.path); });
    files.resize(static_cast<std::size_t>(most));
    std::ranges::sort(files, {}, [](const ImageFile& file) { return std::pair(file.label, file.path); });
}

/// Reads headers in parallel; files without a sound one move to `bad`.
void readHeaders(ImageFolder& data, std::vector<ImageFile>& files, int threads) {
    std::vector<std::optional<std::string>> wrong(files.size());
    std::atomic<std::size_t> next{0};
    const auto work = [&] {
        FileReader reader;
        for (std::size_t i = next++; i < files.size(); i = next++) {
            const Path path = data.root / files[i].path;
            auto bytes = reader.read(path, kHeaderBytes);
            if (!bytes) {
                wrong[i] = bytes.error().message;
                continue;
            }
            auto info = readPictureInfo(*bytes);
            if (!info && static_cast<std::int64_t>(bytes->size()) == kHeaderBytes) {
                // What a camera puts before the picture may be long.
                bytes = reader.read(path);
                info = bytes ? readPictureInfo(*bytes) : Result<PictureInfo>(bytes.error());
            }
            if (info) {
                files[i].info = *info;
            } else {
                wrong[i] = info.error().message;
            }
        }
    };
    std::vector<std::thread> helpers;
    for (int i = 1; i < threads; ++i) {
        helpers.emplace_back(work);
    }
    work();
    for (std::thread& helper : helpers) {
        helper.join();
    }
    std::vector<ImageFile> good;
    good.reserve(files.size());
    for (std::size_t i = 0; i < files.size(); ++i) {
        if (wrong[i]) {
            data.bad.push_back({files[i].path, *wrong[i]});
        } else {
            good.push_back(std::move(files[i]));
        }
    }
    files = std::move(good);
}

}  // namespace

std::int64_t ImageFolder::pixelBytes() const {
    std::int64_t bytes = 0;
    for (const auto* files : {&training, &validation}) {
        for (const ImageFile& file : *files) {
            bytes += std::int64_t{3} * file.info.width * file.info.height;
        }
    }
    return bytes;
}

Result<ImageFolder> scanImageFolder(const spec::DatasetSpec& spec, int threads) {
    if (pictureCodecs().empty()) {
        return folderError("picture.kind",
                           "This engine was built without libjpeg and libpng, so it cannot read pictures.");
    }
    if (spec.folder.empty()) {
        return folderError("spec.required", "No image folder is given.");
    }
    ImageFolder data;
    data.root = spec.folder;
    std::error_code error;
    if (!fs::is_directory(data.root, error)) {
        return folderError("data.folder",
                           shown(data.root) + (fs::exists(data.root, error) ? " is no folder." : " is not there."));
    }
    const spec::ImageLayout layout =
        spec::imageLayout([&](const std::string& name) { return fs::is_directory(data.root / name, error); });
    const Path train = layout.train;
    const Path validation = layout.validation;
    auto classes = foldersIn(data.root / train);
    if (!classes) {
        return classes.error();
    }
    if (classes->size() < 2) {
        return folderError(
            "data.classes",
            "A classifier needs at least two classes, and " + shown(data.root / train) + " has " +
                (classes->empty() ? "no folder" : "one folder, \"" + base::stripControl(classes->front()) + "\"") +
                ". Put the pictures of each class into a folder of its own.");
    }
    data.classes = std::move(*classes);
    for (std::size_t i = 0; i < data.classes.size(); ++i) {
        TRAINYARD_TRY(
            collect(data.root, train / data.classes[i], static_cast<std::int64_t>(i), data.training, data.ignored));
    }
    if (!validation.empty()) {
        auto own = foldersIn(data.root / validation);
        if (!own) {
            return own.error();
        }
        for (const std::string& name : *own) {
            const auto known = std::ranges::find(data.classes, name);
            if (known == data.classes.end()) {
                return folderError("data.empty", "The class \"" + base::stripControl(name) + "\" of " +
                                                     shown(data.root / validation) + " is not in " +
                                                     shown(data.root / train) + ", so the model could never learn it.");
            }
            TRAINYARD_TRY(
                collect(data.root, validation / name, known - data.classes.begin(), data.validation, data.ignored));
        }
        std::ranges::stable_sort(data.validation, {}, &ImageFile::label);
    }
    const auto found = static_cast<double>(data.training.size() + data.validation.size());
    readHeaders(data, data.training, threads);
    readHeaders(data, data.validation, threads);
    if (static_cast<double>(data.bad.size()) > spec.maxBadFraction * found) {
        return folderError("data.bad", std::to_string(data.bad.size()) + " of " +
                                           std::to_string(static_cast<std::int64_t>(found)) +
                                           " pictures cannot be read, more than allowed. The first is " +
                                           shown(data.bad.front().path) + ": " + data.bad.front().why + ".");
    }
    if (validation.empty()) {
        split(data, spec);
    }
    limit(data.training, spec.trainLimit, spec.splitSeed);
    limit(data.validation, spec.valLimit, spec.splitSeed);
    if (data.training.empty() || data.validation.empty()) {
        return folderError("data.empty", std::string("No pictures are left for ") +
                                             (data.training.empty() ? "training." : "validation."));
    }
    return data;
}

}  // namespace trainyard::engine
