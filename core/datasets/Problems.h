#pragma once
#include <vector>

#include "core/base/Json.h"
#include "core/datasets/Content.h"
#include "core/datasets/DatasetBook.h"
#include "core/datasets/Samples.h"

namespace trainyard::datasets {

/// Fills in what the engine found ("dataset"'s answer): classes, sizes, statistics, unreadable files. "engine.protocol"
/// when the answer cannot be read.
[[nodiscard]] base::Status takeLook(Dataset& dataset, const base::Json& answer);

/// All that is wrong with a data set that takeLook() has filled, worst first. Pure.
[[nodiscard]] std::vector<Problem> findProblems(const Dataset& dataset, const Place& place, const SampleList& samples,
                                                const base::Json& answer);

}  // namespace trainyard::datasets
