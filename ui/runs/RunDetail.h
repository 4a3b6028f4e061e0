#pragma once
// Everything that the run's page shows besides curves and log, read in one go.
#include <optional>
#include <vector>

#include "core/store/Types.h"

namespace trainyard::store {
class Reader;
}

namespace trainyard::ui {

struct RunDetail {
    store::RunRow row;
    std::vector<store::StageRow> stages;
    std::vector<store::AttemptRow> attempts;
    std::vector<store::RankRow> ranks;
    std::vector<store::OutputRow> outputs;
    std::vector<store::WarningRow> warnings;
    std::vector<store::SeriesRow> series;
    std::vector<store::EventRow> events;       ///< Oldest first.
    std::vector<store::ItemRow> environments;  ///< What the nodes really ran in, as their agents found it.
    std::vector<store::ItemRow> records;       ///< Heads of what was reported beside numbers; the newest of very many.
    std::vector<store::DescendantRow> descendants;
    base::Json spec;        ///< Null when it cannot be read.
    base::Json parentSpec;  ///< Null without a parent.
    std::optional<store::RunRow> parent;
    std::optional<store::RunRow> original;  ///< That this run repeats.
    std::vector<store::LogLine> lastLines;  ///< Of the rank that failed, when the run failed.
    int failedRank = -1;
};

/// `run` is a number, an id, its beginning, or a name. Called in a pool thread.
[[nodiscard]] base::Result<RunDetail> readRunDetail(store::Reader& reader, const std::string& run);

}  // namespace trainyard::ui
