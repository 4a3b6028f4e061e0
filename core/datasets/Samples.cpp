#include "core/datasets/Samples.h"

#include <algorithm>
#include <deque>
#include <mutex>
#include <set>
#include <unordered_set>
#include <utility>

namespace trainyard::datasets {

namespace {

constexpr std::size_t kKeptLists = 2;

std::vector<std::string> classNames(const Dataset& dataset) {
    std::vector<std::string> names;
    for (const ClassCount& one : dataset.classes) {
        names.push_back(one.name);
    }
    return names;
}

}  // namespace

SampleList arrangeSamples(const Dataset& dataset, const std::vector<std::string>& classes,
                          const std::vector<base::ContentFile>& files) {
    SampleList list;
    std::set<std::string, std::less<>> names(classes.begin(), classes.end());
    for (const base::ContentFile& file : files) {
        const auto place =
            spec::isPictureName(file.path) ? spec::placeOfImage(file.path, dataset.layout) : std::nullopt;
        if (place && !names.contains(place->className)) {
            names.emplace(place->className);
        }
    }
    list.classes.assign(names.begin(), names.end());
    const std::unordered_set<std::string_view> unreadable(dataset.unreadable.begin(), dataset.unreadable.end());
    for (const base::ContentFile& file : files) {
        const auto place =
            spec::isPictureName(file.path) ? spec::placeOfImage(file.path, dataset.layout) : std::nullopt;
        if (!place) {
            continue;
        }
        const auto label = std::ranges::lower_bound(list.classes, place->className) - list.classes.begin();
        list.samples.push_back({file.path, static_cast<std::uint32_t>(label), place->validation,
                                !unreadable.contains(file.path), file.sha256});
    }
    std::ranges::sort(list.samples, {},
                      [](const Sample& sample) { return std::pair(sample.label, std::string_view(sample.path)); });
    if (dataset.layout.validation.empty()) {
        std::vector<spec::SplitSample> samples;
        std::vector<std::size_t> indices;
        for (std::size_t i = 0; i < list.samples.size(); ++i) {
            if (list.samples[i].readable) {
                samples.push_back({list.samples[i].label, list.samples[i].path});
                indices.push_back(i);
            }
        }
        const std::vector<bool> kept = spec::keptForValidation(samples, dataset.split, dataset.splitSeed);
        for (std::size_t i = 0; i < indices.size(); ++i) {
            list.samples[indices[i]].validation = kept[i];
        }
    }
    return list;
}

base::Result<std::shared_ptr<const SampleList>> samplesOf(const wire::WorkspaceLayout& layout, const Dataset& dataset) {
    struct Kept {
        std::string key;
        std::shared_ptr<const SampleList> list;
    };
    static std::mutex mutex;
    static std::deque<Kept> kept;
    const std::string key = layout.root.string() + "\n" + dataset.pinned() + "\n" + std::to_string(dataset.createdAt);
    {
        const std::lock_guard held(mutex);
        for (const Kept& one : kept) {
            if (one.key == key) {
                return one.list;
            }
        }
    }
    const auto files = readFiles(layout, dataset);
    if (!files.ok()) {
        return files.error();
    }
    auto list = std::make_shared<const SampleList>(arrangeSamples(dataset, classNames(dataset), *files));
    const std::lock_guard held(mutex);
    kept.push_front({key, list});
    if (kept.size() > kKeptLists) {
        kept.pop_back();
    }
    return list;
}

}  // namespace trainyard::datasets
