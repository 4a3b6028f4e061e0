#include "core/runs/NamedData.h"

#include <map>
#include <utility>
#include <vector>

#include "core/datasets/Content.h"
#include "core/runs/HashCache.h"

namespace trainyard::runs {

using base::Error;
using base::Json;
using base::Result;
using base::Status;

namespace {

constexpr const char* kFolderKey = "folder";
constexpr const char* kIdxKeys[] = {"train_images", "train_labels", "val_images", "val_labels"};

/// Calls `each(value, resolved)` for every place of the document that names a data set, and may change the value.
template <class Each>
Status forEachNamed(const wire::WorkspaceLayout& layout, Json& document, Each each) {
    const auto visit = [&](Json& value, const std::string& field, const char* kind) -> Status {
        if (!value.is_string() || !spec::isDatasetLocation(value.get_ref<const std::string&>())) {
            return {};
        }
        auto resolved = datasets::resolveDataset(layout, value.get<std::string>(), field);
        if (!resolved.ok()) {
            return resolved.error();
        }
        if (kind != nullptr && resolved->dataset.kind != kind) {
            return Error{"dataset.kind",
                         resolved->dataset.pinned() +
                             (resolved->dataset.kind == "idx" ? " consists of IDX files" : " is a folder of pictures") +
                             "; choose the other kind of data for it.",
                         field};
        }
        each(value, *resolved);
        return {};
    };
    if (!document.is_object()) {
        return {};
    }
    if (const auto task = document.find("task"); task != document.end() && task->is_object()) {
        if (const auto dataset = task->find("dataset"); dataset != task->end() && dataset->is_object()) {
            const bool images = dataset->contains("kind") && (*dataset)["kind"] == "images";
            if (images && dataset->contains(kFolderKey)) {
                TRAINYARD_TRY(visit((*dataset)[kFolderKey], "task.dataset.folder", "images"));
            }
            for (const char* key : kIdxKeys) {
                if (!images && dataset->contains(key)) {
                    TRAINYARD_TRY(visit((*dataset)[key], std::string("task.dataset.") + key, "idx"));
                }
            }
        }
    }
    if (const auto inputs = document.find("inputs"); inputs != document.end() && inputs->is_object()) {
        for (auto& [name, value] : inputs->items()) {
            TRAINYARD_TRY(visit(value, "inputs." + name, nullptr));
        }
    }
    return {};
}

}  // namespace

Result<Json> pinDatasets(const wire::WorkspaceLayout& layout, const Json& document) {
    Json pinned = document;
    TRAINYARD_TRY(
        forEachNamed(layout, pinned, [](Json& value, const datasets::Resolved& found) { value = found.pinned; }));
    // The model's card tells people what was learned from.
    constexpr const char* kName = "task.dataset.name";
    const Json* kind = spec::valueAt(pinned, "task.dataset.kind");
    const Json* place = spec::valueAt(pinned, kind != nullptr && *kind == "images" ? "task.dataset.folder"
                                                                                   : "task.dataset.train_images");
    const Json* told = spec::valueAt(pinned, kName);
    const bool named =
        place != nullptr && place->is_string() && spec::isDatasetLocation(place->get_ref<const std::string&>());
    if (named && (told == nullptr || *told == "")) {
        const auto location = spec::parseDatasetLocation(place->get<std::string>(), "task.dataset");
        spec::setValueAt(pinned, kName, location.ok() ? location->dataset.name : std::string());
    }
    return pinned;
}

Result<Json> placeDatasets(const wire::WorkspaceLayout& layout, const Json& document) {
    Json placed = document;
    TRAINYARD_TRY(forEachNamed(layout, placed,
                               [](Json& value, const datasets::Resolved& found) { value = found.path.string(); }));
    return placed;
}

Result<spec::RunSpec> placeDatasets(const wire::WorkspaceLayout& layout, const spec::RunSpec& spec) {
    const auto placed = placeDatasets(layout, spec::toJson(spec));
    return placed.ok() ? spec::runSpecFromJson(*placed) : Result<spec::RunSpec>(placed.error());
}

std::vector<datasets::Dataset> namedDatasets(const wire::WorkspaceLayout& layout, const Json& document) {
    std::map<std::string, datasets::Dataset> named;
    Json copy = document;
    const Status read = forEachNamed(layout, copy, [&](Json&, const datasets::Resolved& found) {
        named.emplace(found.dataset.pinned(), found.dataset);
    });
    std::vector<datasets::Dataset> all;
    for (auto& [pinned, dataset] : named) {
        all.push_back(std::move(dataset));
    }
    return read.ok() ? all : std::vector<datasets::Dataset>();
}

Status checkDatasets(const wire::WorkspaceLayout& layout, const Json& document, const InputReport& report) {
    Json copy = document;
    TRAINYARD_TRY(forEachNamed(layout, copy, [](Json&, const datasets::Resolved&) {}));
    for (const datasets::Dataset& dataset : namedDatasets(layout, document)) {
        const datasets::Place place{dataset.kind, dataset.path, dataset.layout, dataset.files, {}};
        const auto hasher = [](const base::Path& file, const datasets::Report& each) {
            return HashCache::shared().sha256(file, each);
        };
        const auto now = datasets::readPlace(place, hasher, [&, bytes = dataset.bytes](std::int64_t permille) {
            return report(bytes / 1000 * permille);
        });
        if (!now.ok()) {
            return now.error();
        }
        if (now->sha256 != dataset.sha256) {
            return Error{"dataset.changed", "The data in " + dataset.path.string() + " are no longer those of " +
                                                dataset.pinned() +
                                                ". Add them again, which makes a new version, and name that one."};
        }
    }
    return {};
}

}  // namespace trainyard::runs
