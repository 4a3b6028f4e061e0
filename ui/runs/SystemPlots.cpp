#include "ui/runs/SystemPlots.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "ui/widgets/Format.h"

namespace trainyard::ui {

namespace {

constexpr double kPerGiB = 1.0 / (1 << 30);
constexpr double kPerMiB = 1.0 / (1 << 20);

struct Curve {
    const char* name;
    const char* label;
};

/// `title` of a GPU's plot has its number as %1, and the names stand behind "gpuN_".
struct Recipe {
    const char* title;
    const char* unit;
    double scale;
    std::vector<Curve> curves;
};

const std::vector<Recipe>& machineRecipes() {
    static const std::vector<Recipe> kRecipes = {
        {QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "Processor, the machine"),
         "%",
         1,
         {{"cpu_percent", QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "all programs")}}},
        {QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "Processor, this run (100 % is one core)"),
         "%",
         1,
         {{"run_cpu_percent", QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "this run")}}},
        {QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "Memory"),
         "GiB",
         kPerGiB,
         {{"run_memory_bytes", QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "this run")},
          {"memory_bytes", QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "all programs")},
          {"memory_total_bytes", QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "there is")}}},
    };
    return kRecipes;
}

const std::vector<Recipe>& gpuRecipes() {
    static const std::vector<Recipe> kRecipes = {
        {QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "GPU %1, busy"),
         "%",
         1,
         {{"run_utilization_percent", QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "this run")},
          {"utilization_percent", QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "all programs")}}},
        {QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "GPU %1, memory"),
         "GiB",
         kPerGiB,
         {{"run_memory_bytes", QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "this run")},
          {"memory_bytes", QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "all programs")},
          {"memory_total_bytes", QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "there is")}}},
        {QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "GPU %1, memory traffic"),
         "%",
         1,
         {{"memory_utilization_percent", QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "busy")}}},
        {QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "GPU %1, temperature"),
         "°C",
         1,
         {{"temperature_celsius", QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "temperature")}}},
        {QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "GPU %1, power"),
         "W",
         1,
         {{"power_watts", QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "power")}}},
        {QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "GPU %1, strangers on it"),
         "",
         1,
         {{"other_processes", QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "processes")}}},
    };
    return kRecipes;
}

const std::vector<Recipe>& lastRecipes() {
    static const std::vector<Recipe> kRecipes = {
        {QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "Disk"),
         "MiB/s",
         kPerMiB,
         {{"disk_read_bytes_per_second", QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "read")},
          {"disk_written_bytes_per_second", QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "written")}}},
        {QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "Network"),
         "MiB/s",
         kPerMiB,
         {{"network_received_bytes_per_second", QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "received")},
          {"network_sent_bytes_per_second", QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "sent")}}},
        {QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "Free disk"),
         "GiB",
         kPerGiB,
         {{"disk_free_bytes", QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "free")}}},
        {QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "Processes of this run"),
         "",
         1,
         {{"run_processes", QT_TRANSLATE_NOOP("trainyard::ui::RunCharts", "processes")}}},
    };
    return kRecipes;
}

/// N of "gpuN_…", or -1.
int gpuOf(const std::string& name) {
    if (!name.starts_with("gpu")) return -1;
    int number = -1;
    const char* end = name.data() + name.size();
    const auto [after, wrong] = std::from_chars(name.data() + 3, end, number);
    return wrong == std::errc() && after != end && *after == '_' && number >= 0 ? number : -1;
}

}  // namespace

std::vector<ChartPlan> systemPlans(const std::vector<std::string>& names) {
    std::set<std::string> left(names.begin(), names.end());
    std::vector<ChartPlan> plans;
    const auto add = [&](const Recipe& recipe, const std::string& prefix, const QString& number) {
        ChartPlan plan;
        for (const Curve& curve : recipe.curves) {
            if (left.erase(prefix + curve.name) == 0) continue;
            plan.metrics.push_back(prefix + curve.name);
            plan.labels << RunCharts::tr(curve.label);
        }
        if (plan.metrics.empty()) return;
        plan.title = number.isEmpty() ? RunCharts::tr(recipe.title) : RunCharts::tr(recipe.title).arg(number);
        plan.unit = QString::fromUtf8(recipe.unit);
        plan.scale = recipe.scale;
        plans.push_back(std::move(plan));
    };
    for (const Recipe& recipe : machineRecipes()) add(recipe, {}, {});
    std::set<int> gpus;
    for (const std::string& name : names) {
        if (const int gpu = gpuOf(name); gpu >= 0) gpus.insert(gpu);
    }
    for (const int gpu : gpus) {
        for (const Recipe& recipe : gpuRecipes()) add(recipe, "gpu" + std::to_string(gpu) + "_", QString::number(gpu));
    }
    for (const Recipe& recipe : lastRecipes()) add(recipe, {}, {});
    for (const std::string& name : left) {
        ChartPlan plan{fromUtf8(name).replace(u'_', u' '), {name}};
        if (name.ends_with("_percent")) plan.unit = QStringLiteral("%");
        if (name.ends_with("_bytes")) {
            plan.unit = QStringLiteral("GiB");
            plan.scale = kPerGiB;
        }
        plans.push_back(std::move(plan));
    }
    return plans;
}

}  // namespace trainyard::ui
