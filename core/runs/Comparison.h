#pragma once
// What differs between two runs, and whether their metrics are equal: in the last and best values, or in all points.
#include <functional>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/runs/Snapshot.h"
#include "core/store/Reader.h"
#include "core/wire/Layout.h"

namespace trainyard::runs {

/// Asked between reads with points read; false: stop ("canceled").
using CompareReport = std::function<bool(std::int64_t)>;

/// [{path, change: "added", "removed" or "changed", left, right}]; the sides as SHA-256, null where it is not there.
[[nodiscard]] base::Json changesJson(const std::vector<SnapshotChange>& changes);

/// {left, right: {run, number}; same: {spec, snapshot, data, environment, target, seed, metrics, points, state}, each
/// null where it is not known of both; spec: [{path, left, right}]; files: [{path, change, left, right}]; data,
/// environment, target:
/// [{name, left, right}]; metrics: [{name, rank, left, right, equal, measured, points}]}. `points` of a metric:
/// {compared, different, first_step, largest} over every rank's curve as it is shown (what a later attempt told anew
/// counts once), null unless `points`. Names and notes do not count, and neither do durations and rates among the
/// metrics, which are `measured`. Reads snapshots and, with `points`, all of both runs' values: not for a thread that
/// must not wait. Errors: store.*, "snapshot.damaged", "canceled".
[[nodiscard]] base::Result<base::Json> compareRuns(const wire::WorkspaceLayout& layout, const store::Reader& reader,
                                                   const store::RunRow& left, const store::RunRow& right, bool points,
                                                   const CompareReport& report = {});

}  // namespace trainyard::runs
