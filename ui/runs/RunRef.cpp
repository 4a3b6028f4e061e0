#include "ui/runs/RunRef.h"

#include <QCoreApplication>
#include <QStringList>
#include <algorithm>

#include "ui/shell/Theme.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

namespace {
QString tr(const char* text) { return QCoreApplication::translate("RunRef", text); }
}  // namespace

RunRef refOf(const store::RunRow& row) { return {row.id, row.number, fromUtf8(row.name)}; }

int runColorOf(std::int64_t number) {
    return static_cast<int>(std::max<std::int64_t>(number - 1, 0) % Theme::runColorCount());
}

std::int64_t durationOf(const store::RunRow& row, std::int64_t now) {
    if (row.startedAt == 0) return 0;
    const std::int64_t end = row.endedAt != 0 ? row.endedAt : spec::isFinal(row.state) ? row.startedAt : now;
    return std::max<std::int64_t>(0, end - row.startedAt) * 1000;
}

const store::MetricSummary* metricOf(const store::RunRow& row, std::string_view name) {
    const auto at = std::find_if(row.metrics.begin(), row.metrics.end(), [&](const auto& m) { return m.name == name; });
    return at == row.metrics.end() ? nullptr : &*at;
}

bool smallerIsBetter(std::string_view metric) {
    return metric.find("loss") != std::string_view::npos || metric.find("error") != std::string_view::npos;
}

double bestOf(const store::MetricSummary& metric) { return smallerIsBetter(metric.name) ? metric.min : metric.max; }

std::int64_t bestStepOf(const store::MetricSummary& metric) {
    return smallerIsBetter(metric.name) ? metric.minStep : metric.maxStep;
}

const store::MetricSummary* headMetric(const store::RunRow& row) {
    for (const std::string_view name : {"val/accuracy", "val/loss", "train/accuracy", "train/loss"}) {
        if (const auto* found = metricOf(row, name)) return found;
    }
    return row.metrics.empty() ? nullptr : &row.metrics.front();
}

const store::Progress* progressOf(const store::RunRow& row) {
    const bool stale = row.progress && row.state == spec::RunState::Running && row.progress->at < row.startedAt;
    return row.progress && !stale ? &*row.progress : nullptr;
}

std::optional<double> fractionOf(const store::RunRow& row) {
    if (row.state == spec::RunState::Completed) return 1.0;
    const store::Progress* progress = progressOf(row);
    if (!progress) return std::nullopt;
    const store::Progress& p = *progress;
    if (p.steps > 0) return std::clamp(static_cast<double>(p.step) / static_cast<double>(p.steps), 0.0, 1.0);
    if (p.total > 0) return std::clamp(p.done / p.total, 0.0, 1.0);
    return std::nullopt;
}

QString progressText(const store::Progress& progress) {
    QStringList parts;
    if (progress.epochs > 0) {
        parts << tr("epoch %1 of %2").arg(formatExact(progress.epoch), formatExact(progress.epochs));
    }
    if (progress.steps > 0) {
        parts << tr("step %1 of %2").arg(formatExact(progress.step), formatExact(progress.steps));
    } else if (progress.total > 0) {
        const QString unit = progress.unit.empty() ? QString() : u' ' + fromUtf8(progress.unit);
        parts << tr("%1 of %2").arg(formatNumber(progress.done), formatNumber(progress.total)) + unit;
    }
    if (progress.stage == "validate") parts << tr("validating");
    if (progress.stage == "save") parts << tr("saving");
    if (progress.rate > 0) {
        const QString unit = progress.unit.empty() ? tr("steps") : fromUtf8(progress.unit);
        parts << tr("%1 %2/s").arg(formatNumber(progress.rate), unit);
    }
    return parts.join(QStringLiteral(" · "));
}

}  // namespace trainyard::ui
