#pragma once
#include <string>
#include <vector>

#include "ui/runs/RunCharts.h"

namespace trainyard::ui {

/// Plots of what an agent measured (records of kind "system", resources/docs/protocol/run-stream.md), in the order in
/// which people look: processor, memory, each GPU by itself, disk, network, then what has no place of its own. Figures
/// that belong together share a plot.
[[nodiscard]] std::vector<ChartPlan> systemPlans(const std::vector<std::string>& names);

}  // namespace trainyard::ui
