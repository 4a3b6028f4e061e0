#pragma once
#include <QMetaType>
#include <QString>

#include "core/base/Ids.h"
#include "core/store/Types.h"

namespace trainyard::ui {

/// A run as charts and lists name it.
struct RunRef {
    base::RunId id;
    std::int64_t number = 0;
    QString name;
    bool operator==(const RunRef&) const = default;
};

[[nodiscard]] RunRef refOf(const store::RunRow& row);
/// The run's colour of the palette, the same everywhere.
[[nodiscard]] int runColorOf(std::int64_t number);
/// From Running to its end, or to `now` (microseconds UTC) while it goes on; 0 before it ran. Nanoseconds.
[[nodiscard]] std::int64_t durationOf(const store::RunRow& row, std::int64_t now);
[[nodiscard]] const store::MetricSummary* metricOf(const store::RunRow& row, std::string_view name);
/// Losses and errors are best when small, all else when large.
[[nodiscard]] bool smallerIsBetter(std::string_view metric);
[[nodiscard]] double bestOf(const store::MetricSummary& metric);
[[nodiscard]] std::int64_t bestStepOf(const store::MetricSummary& metric);
/// The metric that stands for the run in one figure: validation accuracy where there is one. Null without metrics.
[[nodiscard]] const store::MetricSummary* headMetric(const store::RunRow& row);
/// What the run reported of its progress; null when nothing, or nothing since it began to run: that was of its
/// preparation.
[[nodiscard]] const store::Progress* progressOf(const store::RunRow& row);
/// 0…1 over all epochs; nothing while it is not known.
[[nodiscard]] std::optional<double> fractionOf(const store::RunRow& row);
/// "epoch 2 of 4 · step 620 of 1,876 · 41 steps/s"
[[nodiscard]] QString progressText(const store::Progress& progress);

}  // namespace trainyard::ui
