#include "core/engine/data/KeptData.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

namespace trainyard::engine {

namespace {

namespace fs = std::filesystem;

/// Some file systems count in whole seconds: what changed a moment before it was read may change again unseen.
constexpr std::int64_t kSettledNanos = 2'000'000'000;

std::int64_t wallNanos() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

base::Json keyOf(const spec::DatasetSpec& spec) {
    return base::Json::array({spec.kind, spec.folder, spec.valFraction, spec.splitSeed, spec.trainLimit, spec.valLimit,
                              spec.maxBadFraction, spec.trainImages, spec.trainLabels});
}

}  // namespace

KeptData::Stamp KeptData::stampOf(const base::Path& path) {
    struct stat found {};
    Stamp stamp{path, 0, -1, 0};
    if (::stat(path.c_str(), &found) == 0) {
        stamp.number = found.st_ino;
        stamp.bytes = found.st_size;
        stamp.changed = std::int64_t{found.st_ctim.tv_sec} * 1'000'000'000 + found.st_ctim.tv_nsec;
    }
    return stamp;
}

/// The data's folder, train/ and val/ and the classes' own may be links, as for scanImageFolder; what lies deeper not.
void KeptData::stampFolders(const base::Path& folder, int depth, std::vector<Stamp>& stamps) {
    constexpr int kLinksUpTo = 2;
    stamps.push_back(stampOf(folder));
    std::error_code error;
    for (fs::directory_iterator at(folder, fs::directory_options::skip_permission_denied, error), end;
         !error && at != end; at.increment(error)) {
        std::error_code unreadable;
        if (at->path().filename().native().starts_with('.') || !at->is_directory(unreadable) ||
            (depth >= kLinksUpTo && at->is_symlink(unreadable))) {
            continue;
        }
        stampFolders(at->path(), depth + 1, stamps);
    }
}

bool KeptData::forgetIfChanged(const spec::DatasetSpec& spec) {
    const bool same = (m_folder || m_samples) && !m_stamps.empty() && m_key == keyOf(spec) &&
                      std::ranges::all_of(m_stamps, [](const Stamp& stamp) { return stampOf(stamp.path) == stamp; });
    if (!same) {
        forget();
    }
    return !same;
}

void KeptData::forget() {
    m_folder.reset();
    m_samples.reset();
    m_stamps.clear();
}

void KeptData::keep(const spec::DatasetSpec& spec, std::vector<Stamp> stamps, std::int64_t begin) {
    const bool settled = std::ranges::all_of(
        stamps, [begin](const Stamp& stamp) { return stamp.bytes >= 0 && stamp.changed < begin - kSettledNanos; });
    m_key = keyOf(spec);
    m_stamps = settled ? std::move(stamps) : std::vector<Stamp>{};
}

Result<std::shared_ptr<const ImageFolder>> KeptData::folder(const spec::DatasetSpec& spec, int threads) {
    if (!m_folder) {
        const std::int64_t begin = wallNanos();
        std::vector<Stamp> stamps;
        stampFolders(spec.folder, 0, stamps);
        auto read = scanImageFolder(spec, threads);
        if (!read) {
            return read.error();
        }
        m_folder = std::make_shared<const ImageFolder>(std::move(*read));
        keep(spec, std::move(stamps), begin);
    }
    return m_folder;
}

Result<std::shared_ptr<const ImageSet>> KeptData::samples(const spec::DatasetSpec& spec) {
    if (!m_samples) {
        const std::int64_t begin = wallNanos();
        std::vector<Stamp> stamps{stampOf(spec.trainImages), stampOf(spec.trainLabels)};
        auto read = loadTrainingSet(spec);
        if (!read) {
            return read.error();
        }
        m_samples = std::make_shared<const ImageSet>(std::move(*read));
        keep(spec, std::move(stamps), begin);
    }
    return m_samples;
}

}  // namespace trainyard::engine
