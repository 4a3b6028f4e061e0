#include "core/runs/Inputs.h"

#include <algorithm>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "core/base/Content.h"
#include "core/datasets/Fetch.h"
#include "core/runs/Fetchable.h"
#include "core/runs/HashCache.h"

namespace trainyard::runs {

using base::Error;
using base::Result;

Result<targets::InputData> dataHere(const std::string& name, const base::Path& path, const InputReport& report) {
    targets::InputData data;
    data.name = name;
    std::error_code error;
    data.isFolder = std::filesystem::is_directory(path, error);
    std::vector<base::ContentFile> files{{path.filename().string(), {}, 0}};
    if (data.isFolder) {
        auto listed = base::listContent(path);
        if (!listed.ok()) {
            return listed.error();
        }
        files = std::move(*listed);
    }
    std::int64_t done = 0;
    for (base::ContentFile& file : files) {
        const base::Path local = data.isFolder ? path / file.path : path;
        auto hash = HashCache::shared().sha256(local, [&](std::int64_t bytes) { return report(done + bytes); });
        if (!hash.ok()) {
            return hash.error();
        }
        file.sha256 = std::move(*hash);
        file.size = static_cast<std::int64_t>(std::filesystem::file_size(local, error));
        done += file.size;
        data.files.push_back({file.path, file.sha256, file.size, local});
    }
    data.sha256 = data.isFolder ? base::contentHash(files) : files.front().sha256;
    return data;
}

bool isDataElsewhere(const spec::DatasetSpec& dataset) {
    return dataset.folder.starts_with(kOnTargetPrefix) || datasets::isAddress(dataset.folder);
}

Result<targets::InputData> datasetHere(const spec::DatasetSpec& dataset, const InputReport& report,
                                       base::Json* document) {
    if (dataset.kind == "images" && isDataElsewhere(dataset)) {
        const auto location = spec::parseInputLocation(dataset.folder, "task.dataset.folder");
        if (!location.ok()) {
            return location.error();
        }
        targets::InputData there;
        if (location->kind == spec::InputLocation::Kind::Address) {
            there = addressInput(kDatasetInput, {location->location, location->sha256, true, {}});
            if (document != nullptr) {
                (*document)["task"]["dataset"]["folder"] = "$TRAINYARD_INPUT_DATASET";
            }
            return there;
        }
        there.name = kDatasetInput;
        there.origin = targets::InputData::Origin::OnTarget;
        there.location = location->location;
        there.sha256 = location->sha256;
        if (document != nullptr) {
            (*document)["task"]["dataset"]["folder"] = "$TRAINYARD_INPUT_DATASET";
        }
        return there;
    }
    if (dataset.kind == "images") {
        auto folder = dataHere(kDatasetInput, dataset.folder, report);
        if (!folder.ok()) {
            return Error{folder.error().code, folder.error().message, "task.dataset.folder"};
        }
        if (document != nullptr) {
            (*document)["task"]["dataset"]["folder"] = "$TRAINYARD_INPUT_DATASET";
        }
        return folder;
    }
    targets::InputData data;
    data.name = kDatasetInput;
    std::vector<base::ContentFile> files;
    std::set<std::string> names;
    std::map<std::string, std::string> placed;  // By path here: one file may serve twice.
    std::int64_t done = 0;
    for (const auto& [key, path] : {std::pair<const char*, const std::string&>{"train_images", dataset.trainImages},
                                    {"train_labels", dataset.trainLabels},
                                    {"val_images", dataset.valImages},
                                    {"val_labels", dataset.valLabels}}) {
        if (path.empty()) {
            continue;
        }
        if (!placed.contains(path)) {
            std::string name = base::Path(path).filename().string();
            name = names.contains(name) ? std::string(key) + "-" + name : name;
            auto hash = HashCache::shared().sha256(path, [&](std::int64_t bytes) { return report(done + bytes); });
            if (!hash.ok()) {
                return Error{hash.error().code, hash.error().message, std::string("task.dataset.") + key};
            }
            std::error_code error;
            const auto size = static_cast<std::int64_t>(std::filesystem::file_size(path, error));
            done += size;
            names.insert(name);
            files.push_back({name, *hash, size});
            data.files.push_back({name, *hash, size, path});
            placed[path] = std::move(name);
        }
        if (document != nullptr) {
            (*document)["task"]["dataset"][key] = std::string("$TRAINYARD_INPUT_DATASET/") + placed[path];
        }
    }
    data.sha256 = base::contentHash(files);
    return data;
}

Result<std::vector<targets::InputData>> resolveInputs(const spec::RunSpec& spec, bool thisMachine,
                                                      const InputReport& report) {
    std::vector<targets::InputData> inputs;
    for (const auto& [name, text] : spec.inputs) {
        const std::string field = "inputs." + name;
        auto location = spec::parseInputLocation(text, field);
        if (!location.ok()) {
            return location.error();
        }
        using Kind = spec::InputLocation::Kind;
        targets::InputData data;
        data.name = name;
        data.location = location->location;
        data.sha256 = location->sha256;
        if (location->kind == Kind::Address) {
            inputs.push_back(addressInput(name, {location->location, location->sha256, false, {}}));
            continue;
        }
        if (location->kind == Kind::OnTarget) {
            data.origin = targets::InputData::Origin::OnTarget;
            data.isFolder = false;
            inputs.push_back(std::move(data));
            continue;
        }
        std::error_code error;
        if (!std::filesystem::exists(location->location, error)) {
            return Error{"input.missing", location->location + " is not there, or may not be read by you.", field};
        }
        if (thisMachine) {
            data.origin = targets::InputData::Origin::OnTarget;
            data.isFolder = std::filesystem::is_directory(location->location, error);
            inputs.push_back(std::move(data));
            continue;
        }
        auto here = dataHere(name, location->location, report);
        if (!here.ok()) {
            return Error{here.error().code, here.error().message, field};
        }
        inputs.push_back(std::move(*here));
    }
    return inputs;
}

Result<base::Json> inputFacts(const spec::RunSpec& spec, std::vector<targets::InputData> inputs,
                              const InputReport& report) {
    const auto named = [&](const char* name) {
        return std::find_if(inputs.begin(), inputs.end(),
                            [name](const targets::InputData& data) { return data.name == name; });
    };
    if (spec.taskKind == spec::TaskKind::Train && named(kDatasetInput) == inputs.end()) {
        auto dataset = datasetHere(spec.train.dataset, report);
        if (!dataset.ok()) {
            return dataset.error();
        }
        inputs.insert(inputs.begin(), std::move(*dataset));
    }
    for (const auto& [name, text] : spec.inputs) {
        const auto location = spec::parseInputLocation(text, "inputs." + name);
        if (named(name.c_str()) == inputs.end() && location.ok()) {
            targets::InputData data;
            data.name = name;
            data.sha256 = location->sha256;
            inputs.push_back(std::move(data));
        }
    }
    base::Json facts = base::Json::array();
    for (targets::InputData& data : inputs) {
        // A path of this machine was given without being read; a path elsewhere stays what it was said to be.
        const auto declared = std::find_if(spec.inputs.begin(), spec.inputs.end(),
                                           [&](const auto& input) { return input.first == data.name; });
        if (data.sha256.empty() && declared != spec.inputs.end()) {
            const auto location = spec::parseInputLocation(declared->second, "inputs." + data.name);
            if (location.ok() && location->kind == spec::InputLocation::Kind::Here) {
                auto here = dataHere(data.name, location->location, report);
                if (!here.ok()) {
                    return here.error();
                }
                data = std::move(*here);
            }
        }
        std::int64_t bytes = 0;
        for (const targets::InputData::File& file : data.files) {
            bytes += file.size;
        }
        facts.push_back({{"name", data.name},
                         {"sha256", data.sha256.empty() ? base::Json() : base::Json(data.sha256)},
                         {"bytes", data.files.empty() ? base::Json() : base::Json(bytes)}});
    }
    return facts;
}

}  // namespace trainyard::runs
