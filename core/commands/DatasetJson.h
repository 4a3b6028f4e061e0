#pragma once
#include "core/commands/Command.h"
#include "core/datasets/DatasetBook.h"

namespace trainyard::commands {

/// A version as dataset.show and dataset.add answer it.
[[nodiscard]] Json datasetJson(const datasets::Dataset& dataset);
/// A line of dataset.list.
[[nodiscard]] Json datasetRow(const datasets::Dataset& dataset);
/// The parameter that names one.
[[nodiscard]] spec::Field datasetField();

void addDatasetCommands(CommandTable& table);
/// Adds "dataset.add"; the others are in DatasetCommands.cpp.
void addDatasetAddCommand(CommandTable& table);
/// Adds "dataset.preview".
void addDatasetPreviewCommand(CommandTable& table);

}  // namespace trainyard::commands
