#include "core/datasets/Content.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>

#include "core/base/Text.h"

namespace trainyard::datasets {

namespace fs = std::filesystem;
using base::Error;
using base::Path;
using base::Result;

namespace {

constexpr int kMostLookedThrough = 8;
constexpr unsigned kMostThreads = 8;

Error sourceError(std::string message) { return {"dataset.source", std::move(message), "source"}; }

std::string shown(const Path& path) { return "\"" + base::stripControl(base::toValidUtf8(path.string())) + "\""; }

struct Names {
    std::vector<std::string> folders;
    std::vector<std::string> files;
};
/// What lies in a folder, by name; what begins with a dot is left out.
Result<Names> namesIn(const Path& folder) {
    Names names;
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
        const std::string name = at->path().filename().string();
        std::error_code ignored;
        if (name.starts_with('.')) {
            continue;
        }
        (at->is_directory(ignored) ? names.folders : names.files).push_back(name);
    }
    if (error) {
        return sourceError("The folder " + shown(folder) + " cannot be read: " + error.message() + ".");
    }
    std::ranges::sort(names.folders);
    std::ranges::sort(names.files);
    return names;
}

/// MNIST's four files by what their names say: train-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte, …
std::optional<std::vector<std::pair<std::string, std::string>>> idxFiles(const Names& names) {
    std::vector<std::pair<std::string, std::string>> found;
    for (const bool training : {true, false}) {
        for (const char* what : {"images", "labels"}) {
            const auto fits = [&](const std::string& name) {
                const auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
                const bool held = has("t10k") || has("test") || has("val");
                return has(what) && (has("ubyte") || has("idx")) && (training ? has("train") && !held : held);
            };
            const auto file = std::ranges::find_if(names.files, fits);
            if (file == names.files.end()) {
                return std::nullopt;
            }
            found.emplace_back(std::string(training ? "train_" : "val_") + what, *file);
        }
    }
    return found;
}

}  // namespace

Result<Place> findPlace(const Path& folder) {
    Place place;
    std::error_code error;
    place.folder = folder;
    if (!fs::is_directory(place.folder, error)) {
        return sourceError(shown(folder) + (fs::exists(folder, error) ? " is no folder."
                                                                      : " is not there, or may not be read by you."));
    }
    for (int depth = 0; depth <= kMostLookedThrough; ++depth) {
        const auto names = namesIn(place.folder);
        if (!names.ok()) {
            return names.error();
        }
        if (auto idx = idxFiles(*names)) {
            place.kind = "idx";
            place.files = std::move(*idx);
            return place;
        }
        // "birds-1.0/" around everything; but train/ alone, or one class with its pictures, is what is meant itself.
        if (names->folders.size() == 1 && names->files.empty() && names->folders.front() != "train") {
            const auto below = namesIn(place.folder / names->folders.front());
            if (below.ok() && (!below->folders.empty() || idxFiles(*below))) {
                place.folder /= names->folders.front();
                continue;
            }
        }
        break;
    }
    place.kind = "images";
    place.layout = spec::imageLayout([&](const std::string& name) {
        std::error_code ignored;
        return fs::is_directory(place.folder / name, ignored);
    });
    auto classes = namesIn(place.folder / place.layout.train);
    if (!classes.ok()) {
        return classes.error();
    }
    if (classes->folders.empty()) {
        return sourceError("In " + shown(place.folder / place.layout.train) +
                           " there is no folder. The pictures of each class belong into a folder of their own.");
    }
    place.classFolders = std::move(classes->folders);
    return place;
}

Result<Files> readPlace(const Place& place, const Hasher& hasher, const Report& report) {
    Files out;
    if (place.kind == "idx") {
        for (const auto& [key, name] : place.files) {
            std::error_code error;
            const auto size = fs::file_size(place.folder / name, error);
            if (error) {
                return base::errnoError(error.value(), "look at", place.folder / name);
            }
            out.files.push_back({name, {}, static_cast<std::int64_t>(size)});
        }
    } else {
        auto listed = base::listContent(place.folder);
        if (!listed.ok()) {
            return listed.error();
        }
        out.files = std::move(*listed);
    }
    for (const base::ContentFile& file : out.files) {
        out.bytes += file.size;
    }
    std::atomic<std::size_t> next{0};
    std::atomic<std::int64_t> done{0};
    std::atomic<bool> stopped{false};
    std::mutex mutex;
    std::optional<Error> wrong;
    const auto work = [&](bool reports) {
        for (std::size_t i = next++; i < out.files.size() && !stopped; i = next++) {
            base::ContentFile& file = out.files[i];
            std::int64_t told = 0;
            auto hash = hasher(place.folder / file.path, [&](std::int64_t bytes) {
                done += bytes - told;
                told = bytes;
                const bool goOn =
                    !reports ||
                    report(out.bytes > 0 ? std::min<std::int64_t>(done.load() * 1000 / out.bytes, 1000) : 0);
                stopped = stopped || !goOn;
                return !stopped;
            });
            done += file.size - told;
            if (hash.ok()) {
                file.sha256 = std::move(*hash);
            } else {
                const std::lock_guard held(mutex);
                wrong = wrong ? wrong : hash.error();
                stopped = true;
            }
            // A file that the cache knows tells nothing on the way.
            if (reports && !report(out.bytes > 0 ? std::min<std::int64_t>(done.load() * 1000 / out.bytes, 1000) : 0)) {
                stopped = true;
            }
        }
    };
    std::vector<std::thread> helpers;
    for (unsigned i = 1; i < std::clamp(std::thread::hardware_concurrency(), 1U, kMostThreads); ++i) {
        helpers.emplace_back(work, false);
    }
    work(true);
    for (std::thread& helper : helpers) {
        helper.join();
    }
    if (wrong) {
        return *wrong;
    }
    if (stopped) {
        return Error{"canceled", "The action was canceled."};
    }
    out.sha256 = base::contentHash(out.files);
    return out;
}

}  // namespace trainyard::datasets
