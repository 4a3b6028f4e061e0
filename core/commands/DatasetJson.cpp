#include "core/commands/DatasetJson.h"

#include <algorithm>
#include <system_error>

#include "core/base/Clock.h"
#include "core/commands/RunCommand.h"

namespace trainyard::commands {

namespace {

/// What a specification's task.dataset needs to train on this version.
Json taskDataset(const datasets::Dataset& dataset) {
    const std::string place = std::string(spec::kDatasetPrefix) + dataset.pinned();
    Json task{{"kind", dataset.kind}, {"name", dataset.name}};
    if (dataset.kind == "images") {
        task["folder"] = place;
        if (dataset.layout.validation.empty()) {
            task["val_fraction"] = dataset.split;
            task["split_seed"] = dataset.splitSeed;
        }
    }
    for (const auto& [key, path] : dataset.files) {
        task[key] = place + "/" + path;
    }
    return task;
}

Json headOf(const datasets::Dataset& dataset) {
    return Json{{"dataset", dataset.pinned()},  {"name", dataset.name}, {"version", dataset.version},
                {"versions", dataset.versions}, {"kind", dataset.kind}, {"path", dataset.path.string()}};
}

}  // namespace

Json datasetJson(const datasets::Dataset& dataset) {
    Json answer = headOf(dataset);
    std::error_code error;
    Json classes = Json::array();
    for (const datasets::ClassCount& one : dataset.classes) {
        classes.push_back(
            {{"name", one.name}, {"train", one.training}, {"val", one.validation}, {"unreadable", one.unreadable}});
    }
    Json problems = Json::array();
    for (const datasets::Problem& problem : dataset.problems) {
        problems.push_back({{"kind", problem.kind},
                            {"severity", problem.severity},
                            {"count", problem.count},
                            {"text", problem.text},
                            {"files", problem.files},
                            {"reasons", problem.reasons}});
    }
    answer["managed"] = dataset.managed;
    answer["there"] = std::filesystem::is_directory(dataset.path, error);
    answer["source"] = dataset.source;
    answer["source_sha256"] = dataset.sourceSha256.empty() ? Json() : Json(dataset.sourceSha256);
    answer["sha256"] = dataset.sha256;
    answer["classes"] = std::move(classes);
    answer["images"] = dataset.training() + dataset.validation();
    answer["training"] = dataset.training();
    answer["validation"] = dataset.validation();
    answer["ignored"] = dataset.ignored;
    answer["bytes"] = dataset.bytes;
    answer["split"] = dataset.split;
    answer["split_seed"] = dataset.splitSeed;
    answer["own_validation"] = dataset.kind == "idx" || !dataset.layout.validation.empty();
    answer["channels"] = dataset.channels;
    answer["sizes"] = dataset.sizes;
    answer["statistics"] = dataset.statistics;
    answer["problems"] = std::move(problems);
    answer["task_dataset"] = taskDataset(dataset);
    answer["created"] = base::isoTime(dataset.createdAt);
    return answer;
}

Json datasetRow(const datasets::Dataset& dataset) {
    Json row = headOf(dataset);
    row["classes"] = dataset.classes.size();
    row["images"] = dataset.training() + dataset.validation();
    row["bytes"] = dataset.bytes;
    row["created"] = base::isoTime(dataset.createdAt);
    row["problems"] = std::ranges::count_if(
        dataset.problems, [](const datasets::Problem& problem) { return problem.severity != "info"; });
    return row;
}

spec::Field datasetField() {
    return parameter("dataset", "Data set", spec::FieldType::Text, Json(),
                     "NAME for the newest version, or NAME:NUMBER.", true);
}

}  // namespace trainyard::commands
