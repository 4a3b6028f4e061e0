#include "core/spec/ImageListing.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/base/Seeds.h"

namespace trainyard::spec {

namespace {

std::uint64_t textSeed(std::string_view text) {
    std::uint64_t hash = 0xCBF29CE484222325ULL;  // FNV-1a
    for (const char c : text) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
    }
    return hash;
}

/// What follows "folder/" in a path; nothing where it lies elsewhere. An empty folder holds everything.
std::optional<std::string_view> inside(std::string_view path, std::string_view folder) {
    if (folder.empty()) {
        return path;
    }
    if (path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/') {
        return path.substr(folder.size() + 1);
    }
    return std::nullopt;
}

}  // namespace

bool isPictureName(std::string_view path) {
    const std::string_view name = path.substr(path.rfind('/') + 1);
    const std::size_t dot = name.rfind('.');
    if (dot == std::string_view::npos || dot == 0) {
        return false;
    }
    std::string ending(name.substr(dot));
    std::ranges::transform(ending, ending.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return ending == ".jpg" || ending == ".jpeg" || ending == ".png";
}

ImageLayout imageLayout(const std::function<bool(const std::string&)>& isFolder) {
    ImageLayout layout;
    if (!isFolder("train")) {
        return layout;
    }
    layout.train = "train";
    for (const char* name : {"val", "valid", "validation", "test"}) {
        if (layout.validation.empty() && isFolder(name)) {
            layout.validation = name;
        }
    }
    return layout;
}

std::optional<ImagePlace> placeOfImage(std::string_view path, const ImageLayout& layout) {
    bool validation = false;
    auto rest = inside(path, layout.train);
    if (!rest && !layout.validation.empty()) {
        rest = inside(path, layout.validation);
        validation = true;
    }
    if (!rest || rest->starts_with('.') || rest->find("/.") != std::string_view::npos) {
        return std::nullopt;
    }
    const std::size_t slash = rest->find('/');
    if (slash == std::string_view::npos || slash == 0) {
        return std::nullopt;
    }
    return ImagePlace{rest->substr(0, slash), validation};
}

std::uint64_t splitRank(std::string_view path, std::int64_t seed) {
    return base::mixSeeds(static_cast<std::uint64_t>(seed) ^ 0x5EEDF01DE5ULL, textSeed(path));
}

std::vector<bool> keptForValidation(const std::vector<SplitSample>& samples, double fraction, std::int64_t seed) {
    std::vector<bool> kept(samples.size(), false);
    for (std::size_t begin = 0; begin < samples.size();) {
        std::size_t end = begin;
        while (end < samples.size() && samples[end].label == samples[begin].label) {
            ++end;
        }
        const std::size_t count = end - begin;
        std::vector<std::pair<std::uint64_t, std::size_t>> order(count);
        for (std::size_t i = 0; i < count; ++i) {
            order[i] = {splitRank(samples[begin + i].path, seed), begin + i};
        }
        std::ranges::sort(order);
        const auto wanted = static_cast<std::size_t>(std::llround(static_cast<double>(count) * fraction));
        const std::size_t taken = count < 2 ? 0 : std::clamp<std::size_t>(wanted, 1, count - 1);
        for (std::size_t i = 0; i < taken; ++i) {
            kept[order[i].second] = true;
        }
        begin = end;
    }
    return kept;
}

}  // namespace trainyard::spec
