#include "ui/runs/RunDetail.h"

#include <algorithm>

#include "core/store/Reader.h"
#include "ui/runs/Records.h"

namespace trainyard::ui {

namespace {

constexpr std::int64_t kLastLines = 24;
constexpr int kMostRecords = 10'000;

/// The rank whose end is the cause: the first with an exit status or signal that is not the supervisor's own SIGTERM.
int failedRankOf(const RunDetail& detail) {
    const int attempt = detail.row.attempts;
    int fallback = -1;
    for (const store::RankRow& rank : detail.ranks) {
        if (rank.attempt != attempt) continue;
        constexpr int kTerminated = 15;
        if ((rank.exitStatus && *rank.exitStatus != 0 && *rank.exitStatus != 128 + kTerminated) ||
            (rank.signal && *rank.signal != kTerminated)) {
            return rank.rank;
        }
        if (fallback < 0) fallback = rank.rank;
    }
    return fallback;
}

}  // namespace

base::Result<RunDetail> readRunDetail(store::Reader& reader, const std::string& run) {
    RunDetail detail;
    auto row = reader.findRun(run);
    if (!row) return row.error();
    detail.row = std::move(*row);
    const base::RunId& id = detail.row.id;
    auto stages = reader.stages(id);
    if (!stages) return stages.error();
    detail.stages = std::move(*stages);
    auto attempts = reader.attempts(id);
    if (!attempts) return attempts.error();
    detail.attempts = std::move(*attempts);
    auto ranks = reader.ranks(id);
    if (!ranks) return ranks.error();
    detail.ranks = std::move(*ranks);
    auto outputs = reader.outputs(id);
    if (!outputs) return outputs.error();
    detail.outputs = std::move(*outputs);
    auto warnings = reader.warnings(id);
    if (!warnings) return warnings.error();
    detail.warnings = std::move(*warnings);
    auto series = reader.series(id);
    if (!series) return series.error();
    detail.series = std::move(*series);
    auto events = reader.events(id);
    if (!events) return events.error();
    detail.events = std::move(*events);
    auto environments = reader.items(id, "environment");
    if (!environments) return environments.error();
    detail.environments = std::move(*environments);
    auto records = reader.itemHeads(id, recordKinds(), kMostRecords);
    if (!records) return records.error();
    detail.records = std::move(*records);
    auto descendants = reader.descendants(id);
    if (!descendants) return descendants.error();
    detail.descendants = std::move(*descendants);
    // A configuration that cannot be read does not take the rest of the run away from its page.
    detail.spec = reader.spec(id).valueOr(base::Json());
    if (!detail.row.parent.empty()) {
        if (auto parent = reader.run(base::RunId(detail.row.parent)); parent) {
            detail.parentSpec = reader.spec(parent->id).valueOr(base::Json());
            detail.parent = std::move(*parent);
        }
    }
    if (!detail.row.reproduces.empty()) {
        if (auto original = reader.run(base::RunId(detail.row.reproduces)); original)
            detail.original = std::move(*original);
    }
    if (detail.row.state == spec::RunState::Failed) {
        detail.failedRank = failedRankOf(detail);
        store::LogFilter filter;
        if (detail.failedRank >= 0) filter.rank = detail.failedRank;
        filter.out = "stderr";
        auto lines = reader.logTail(id, filter, kLastLines);
        if (lines && lines->lines.empty()) {
            filter.out.clear();
            lines = reader.logTail(id, filter, kLastLines);
        }
        if (lines && lines->lines.empty()) lines = reader.logTail(id, {}, kLastLines);
        if (lines) detail.lastLines = std::move(lines->lines);
    }
    return detail;
}

}  // namespace trainyard::ui
