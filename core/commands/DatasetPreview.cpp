#include "core/commands/DatasetPreview.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <cmath>
#include <memory>
#include <optional>

#include "core/base/Text.h"
#include "core/datasets/Fetch.h"
#include "core/spec/ImageListing.h"

namespace trainyard::commands {

using base::Error;
using base::Json;

namespace {

constexpr int kMostClasses = 1000;
constexpr std::int64_t kMostPixels = 1 << 20;
/// Of a specification's task.dataset, what names files or folders.
constexpr const char* kPlaces[] = {"folder", "train_images", "train_labels", "val_images", "val_labels"};

struct File {
    std::vector<std::int64_t> dims;
    std::string bytes;        ///< The first `kept` bytes after the header.
    std::int64_t length = 0;  ///< All bytes after the header.
};

Error fail(const std::string& field, std::string message) { return {"data.preview", std::move(message), field}; }

using GzFile = std::unique_ptr<gzFile_s, int (*)(gzFile)>;

/// Opens an IDX file of unsigned bytes, gzipped or not, and reads its header into `dims`; their product is `expected`.
base::Result<GzFile> openIdx(const std::string& path, const std::string& field, std::size_t wantedDims,
                             std::vector<std::int64_t>& dims, std::int64_t& expected) {
    if (path.empty()) return fail(field, "Choose a file.");
    std::error_code code;
    if (!std::filesystem::is_regular_file(path, code)) return fail(field, "There is no such file.");
    GzFile file(gzopen(path.c_str(), "rb"), gzclose);
    if (!file) return fail(field, "The file cannot be read.");
    gzbuffer(file.get(), 1 << 17);
    std::array<unsigned char, 4> magic{};
    if (gzread(file.get(), magic.data(), 4) != 4 || magic[0] != 0 || magic[1] != 0)
        return fail(field, "This is no IDX file.");
    if (magic[2] != 0x08) return fail(field, "Only IDX files of unsigned bytes can be used.");
    if (magic[3] != wantedDims && !(wantedDims == 3 && magic[3] == 4)) {
        return fail(field, wantedDims == 1 ? "This file holds no labels; are images and labels swapped?"
                                           : "This file holds no images; are images and labels swapped?");
    }
    expected = 1;
    for (int i = 0; i < magic[3]; ++i) {
        std::array<unsigned char, 4> raw{};
        if (gzread(file.get(), raw.data(), 4) != 4) return fail(field, "The file is cut off.");
        const std::int64_t dim = (std::int64_t{raw[0]} << 24) | (raw[1] << 16) | (raw[2] << 8) | raw[3];
        dims.push_back(dim);
        if (dim <= 0 || dim > (std::int64_t{1} << 31) || expected > (std::int64_t{1} << 42) / dim)
            return fail(field, "The file's header makes no sense.");
        expected *= dim;
    }
    return file;
}

/// The header, the first `kept` bytes and the whole length of an IDX file.
base::Result<File> readIdx(const std::string& path, const std::string& field, std::size_t wantedDims,
                           std::int64_t kept) {
    File made;
    std::int64_t expected = 1;
    const auto opened = openIdx(path, field, wantedDims, made.dims, expected);
    if (!opened) return opened.error();
    const GzFile& file = *opened;
    std::string block(1 << 18, '\0');
    for (;;) {
        const int got = gzread(file.get(), block.data(), static_cast<unsigned>(block.size()));
        if (got < 0) return fail(field, "The file is damaged.");
        if (got == 0) break;
        if (static_cast<std::int64_t>(made.bytes.size()) < kept) {
            made.bytes.append(block, 0,
                              static_cast<std::size_t>(
                                  std::min<std::int64_t>(got, kept - static_cast<std::int64_t>(made.bytes.size()))));
        }
        made.length += got;
        if (made.length > expected) return fail(field, "The file is longer than its header says.");
    }
    if (made.length < expected) {
        return fail(field, "The file is cut off: " + std::to_string(made.length) + " of " + std::to_string(expected) +
                               " bytes are there.");
    }
    return made;
}

/// Single samples of a file of images, asked for in rising order.
class IdxPixels {
public:
    base::Status open(const std::string& path) {
        std::int64_t expected = 0;
        auto opened = openIdx(path, "dataset", 3, m_dims, expected);
        if (!opened) return opened.error();
        m_file = std::move(*opened);
        m_begin = 4 + 4 * static_cast<std::int64_t>(m_dims.size());
        m_size = expected / m_dims.front();
        if (m_size > kMostPixels) return fail("dataset", "The images are too large to be shown.");
        return {};
    }
    [[nodiscard]] std::int64_t height() const { return m_dims[m_dims.size() - 2]; }
    [[nodiscard]] std::int64_t width() const { return m_dims.back(); }
    base::Result<std::string> sample(std::int64_t index) {
        std::string bytes(static_cast<std::size_t>(m_size), '\0');
        const auto place = static_cast<z_off_t>(m_begin + index * m_size);
        if (gzseek(m_file.get(), place, SEEK_SET) != place ||
            gzread(m_file.get(), bytes.data(), static_cast<unsigned>(bytes.size())) != static_cast<int>(bytes.size())) {
            return fail("dataset", "The file of images is damaged or cut off.");
        }
        return bytes;
    }

private:
    GzFile m_file{nullptr, gzclose};
    std::vector<std::int64_t> m_dims;
    std::int64_t m_begin = 0;
    std::int64_t m_size = 0;
};

/// Data that the machine that trains reads or fetches: nothing of them is here, and nothing is wrong with that.
std::optional<Error> whereElse(const Json& dataset) {
    for (const char* key : kPlaces) {
        const auto value = dataset.is_object() ? dataset.find(key) : dataset.end();
        if (value == dataset.end() || !value->is_string()) continue;
        const auto& text = value->get_ref<const std::string&>();
        const bool address = datasets::isAddress(text);
        if (!address && !text.starts_with("target:")) continue;
        return Error{"data.elsewhere",
                     address ? "The machine that trains fetches the data from this address."
                             : "The data lie on the target and are read there.",
                     std::string("task.dataset.") + key};
    }
    return std::nullopt;
}

/// As the engine finds them: train/ and val/ with a folder a class, or the classes' folders themselves.
base::Result<DatasetPreview> previewFolder(const Json& dataset) {
    namespace fs = std::filesystem;
    constexpr const char* kFolder = "task.dataset.folder";
    const auto number = [&](const char* key, double fallback) {
        const auto found = dataset.find(key);
        return found != dataset.end() && found->is_number() ? found->get<double>() : fallback;
    };
    const auto given = dataset.find("folder");
    const fs::path root = given != dataset.end() && given->is_string() ? given->get<std::string>() : std::string();
    if (root.empty()) return fail(kFolder, "Choose a folder.");
    std::error_code error;
    if (!fs::is_directory(root, error)) return fail(kFolder, "There is no such folder.");
    const spec::ImageLayout layout = spec::imageLayout([&](const std::string& name) {
        std::error_code ignored;
        return fs::is_directory(root / name, ignored);
    });
    DatasetPreview preview;
    preview.channels = 3;
    preview.width = preview.height = static_cast<std::int64_t>(number("image_size", 224));
    const auto pictures = [&](const fs::path& folder, std::string* first) {
        std::int64_t count = 0;
        std::error_code code;
        for (fs::recursive_directory_iterator at(folder, fs::directory_options::skip_permission_denied, code), end;
             !code && at != end; at.increment(code)) {
            if (at->path().filename().native().starts_with('.')) {
                at.disable_recursion_pending();
                continue;
            }
            std::error_code unreadable;
            if (!spec::isPictureName(at->path().native()) || !at->is_regular_file(unreadable)) continue;
            if (first != nullptr && (first->empty() || at->path().string() < *first)) *first = at->path().string();
            ++count;
        }
        return count;
    };
    for (fs::directory_iterator at(root / layout.train, error), end; !error && at != end; at.increment(error)) {
        const std::string name = at->path().filename().string();
        if (!name.starts_with('.') && at->is_directory(error)) preview.classNames.push_back(name);
        error.clear();
    }
    if (error) return fail(kFolder, "The folder cannot be read.");
    if (preview.classNames.size() < 2) return fail(kFolder, "A folder for each class is expected in it, at least two.");
    std::sort(preview.classNames.begin(), preview.classNames.end());
    const double share = number("val_fraction", 0.2);
    for (const std::string& name : preview.classNames) {
        std::string first;
        const std::int64_t count = pictures(root / layout.train / name, &first);
        if (count == 0)
            return fail(kFolder,
                        "The class folder \"" + base::stripControl(name) + "\" has no JPEG or PNG file in it.");
        const bool splits = layout.validation.empty();
        const std::int64_t kept =
            splits && count > 1
                ? std::clamp<std::int64_t>(std::llround(static_cast<double>(count) * share), 1, count - 1)
                : 0;
        preview.perClass.push_back(count - kept);
        preview.training += count - kept;
        preview.validation += kept + (splits ? 0 : pictures(root / layout.validation / name, nullptr));
        preview.samplePaths.push_back(std::move(first));
    }
    preview.classes = static_cast<int>(preview.classNames.size());
    return preview;
}

}  // namespace

base::Result<DatasetPreview> previewDataset(const Json& given, std::vector<Error>& problems,
                                            const base::Path& workspace) {
    Json dataset = given;
    if (!workspace.empty() && dataset.is_object()) {
        for (const char* key : kPlaces) {
            const auto value = dataset.find(key);
            if (value == dataset.end() || !value->is_string() ||
                !spec::isDatasetLocation(value->get_ref<const std::string&>()))
                continue;
            const auto resolved =
                datasets::resolveDataset({workspace}, value->get<std::string>(), std::string("task.dataset.") + key);
            if (!resolved) {
                problems.push_back(resolved.error());
                return resolved.error();
            }
            *value = resolved->path.string();
        }
    }
    if (const auto elsewhere = whereElse(dataset)) return *elsewhere;
    if (dataset.is_object() && dataset.value("kind", Json()) == "images") {
        auto preview = previewFolder(dataset);
        if (!preview) problems.push_back(preview.error());
        return preview;
    }
    DatasetPreview preview;
    const auto path = [&](const char* key) {
        const auto found = dataset.is_object() ? dataset.find(key) : dataset.end();
        return found != dataset.end() && found->is_string() ? found->get<std::string>() : std::string();
    };
    const auto field = [](const char* key) { return std::string("task.dataset.") + key; };
    constexpr std::int64_t kAll = std::int64_t{1} << 30;
    const auto labels = readIdx(path("train_labels"), field("train_labels"), 1, kAll);
    const auto valLabels = readIdx(path("val_labels"), field("val_labels"), 1, 0);
    // Samples of each class stand early in any shuffled set; what does not show up within these is left out.
    constexpr std::int64_t kKept = 4 << 20;
    const auto images = readIdx(path("train_images"), field("train_images"), 3, kKept);
    const auto valImages = readIdx(path("val_images"), field("val_images"), 3, 0);
    if (!images) problems.push_back(images.error());
    if (!labels) problems.push_back(labels.error());
    if (!valImages) problems.push_back(valImages.error());
    if (!valLabels) problems.push_back(valLabels.error());
    if (!problems.empty()) return problems.front();

    const auto mismatch = [&](const File& some, const File& other, const char* key) {
        if (some.dims[0] == other.dims[0]) return;
        problems.push_back(fail(field(key), std::to_string(other.dims[0]) + " labels for " +
                                                std::to_string(some.dims[0]) + " images."));
    };
    mismatch(*images, *labels, "train_labels");
    mismatch(*valImages, *valLabels, "val_labels");
    if (!std::equal(images->dims.begin() + 1, images->dims.end(), valImages->dims.begin() + 1, valImages->dims.end())) {
        problems.push_back(fail(field("val_images"), "These images have another size than the training images."));
    }
    if (!problems.empty()) return problems.front();

    const bool colored = images->dims.size() == 4;
    preview.training = images->dims[0];
    preview.validation = valImages->dims[0];
    preview.channels = colored ? images->dims[1] : 1;
    preview.height = images->dims[colored ? 2 : 1];
    preview.width = images->dims[colored ? 3 : 2];
    int most = 0;
    for (const char label : labels->bytes) most = std::max(most, static_cast<int>(static_cast<unsigned char>(label)));
    preview.classes = std::min(most + 1, kMostClasses);
    preview.perClass.assign(static_cast<std::size_t>(preview.classes), 0);
    preview.samples.resize(static_cast<std::size_t>(preview.classes));
    const std::int64_t pixels = preview.height * preview.width;
    const std::int64_t sample = pixels * preview.channels;
    for (std::size_t i = 0; i < labels->bytes.size(); ++i) {
        const auto label = static_cast<std::size_t>(static_cast<unsigned char>(labels->bytes[i]));
        ++preview.perClass[label];
        const auto offset = static_cast<std::size_t>(sample) * i;
        if (!preview.samples[label].empty() || pixels > kMostPixels ||
            offset + static_cast<std::size_t>(sample) > images->bytes.size())
            continue;
        preview.samples[label] = images->bytes.substr(offset, static_cast<std::size_t>(sample));
    }
    return preview;
}

base::Result<Json> idxSamples(const datasets::Dataset& dataset, const SampleQuery& query) {
    constexpr std::int64_t kAll = std::int64_t{1} << 30;
    const auto fileOf = [&](const std::string& key) {
        const auto found = std::ranges::find(dataset.files, key, &std::pair<std::string, std::string>::first);
        return found == dataset.files.end() ? std::string() : (dataset.path / found->second).string();
    };
    Json answer{{"total", 0},
                {"channels", dataset.channels},
                {"height", nullptr},
                {"width", nullptr},
                {"samples", Json::array()}};
    std::int64_t total = 0;
    std::int64_t before = 0;  // Samples of the splits that came earlier.
    for (const std::string split : {"train", "val"}) {
        const auto labels = readIdx(fileOf(split + "_labels"), "dataset", 1, kAll);
        if (!labels) return labels.error();
        std::vector<std::pair<std::int64_t, std::string>> wanted;
        for (std::size_t i = 0; i < labels->bytes.size(); ++i) {
            const auto label = static_cast<std::size_t>(static_cast<unsigned char>(labels->bytes[i]));
            const std::string name =
                label < dataset.classes.size() ? dataset.classes[label].name : std::to_string(label);
            if ((!query.split.empty() && query.split != split) || (!query.className.empty() && query.className != name))
                continue;
            if (total >= query.offset && total < query.offset + query.limit)
                wanted.emplace_back(static_cast<std::int64_t>(i), name);
            ++total;
        }
        if (!wanted.empty()) {
            IdxPixels pixels;
            if (const base::Status opened = pixels.open(fileOf(split + "_images")); !opened.ok()) return opened.error();
            answer["height"] = pixels.height();
            answer["width"] = pixels.width();
            for (const auto& [index, name] : wanted) {
                const auto bytes = pixels.sample(index);
                if (!bytes) return bytes.error();
                answer["samples"].push_back({{"index", before + index},
                                             {"path", ""},
                                             {"file", ""},
                                             {"label", name},
                                             {"split", split},
                                             {"pixels", base::base64(*bytes)}});
            }
        }
        before += static_cast<std::int64_t>(labels->bytes.size());
    }
    answer["total"] = total;
    return answer;
}

}  // namespace trainyard::commands
