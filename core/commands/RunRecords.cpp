// What a run reported besides numbers (pictures, tables, histograms, texts, models, children), and the numbers
// themselves.
#include <array>
#include <set>

#include "core/base/Clock.h"
#include "core/commands/RunCommand.h"
#include "core/commands/RunJson.h"
#include "core/commands/Session.h"
#include "core/store/Reader.h"

namespace trainyard::commands {

namespace {

constexpr int kMostItems = 10'000;
constexpr std::array kKinds = {"text", "image", "table", "histogram", "model", "child"};

Json itemJson(store::ItemRow item, bool withData) {
    Json shown = item.body.is_object() ? std::move(item.body) : Json::object();
    shown.erase("src");
    if (!withData) {
        shown.erase("data");
    }
    shown["kind"] = item.kind;
    shown["name"] = item.name;
    shown["at"] = timeToJson(item.at);
    shown["attempt"] = item.attempt;
    shown["node"] = item.node;
    shown["rank"] = item.rank == wire::kNoRank ? Json() : Json(item.rank);
    return shown;
}

class ItemsCommand final : public RunCommand {
public:
    using RunCommand::RunCommand;

private:
    void runOn(const store::RunRow& row, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        const std::string kind = reader.string("kind");
        const std::string name = reader.string("name");
        const bool withData = reader.boolean("data");
        const auto limit = static_cast<std::size_t>(reader.integer("limit", 100));
        session().query(
            this, QStringLiteral("items"),
            [run = row.id, kind, name, withData, limit](store::Reader& index) -> Result<Json> {
                Json list = Json::array();
                bool more = false;
                for (const char* one : kKinds) {
                    if (!kind.empty() && kind != one) {
                        continue;
                    }
                    auto items = index.items(run, one, name.empty() ? static_cast<int>(limit) + 1 : kMostItems);
                    if (!items.ok()) {
                        return items.error();
                    }
                    std::size_t taken = 0;
                    for (store::ItemRow& item : *items) {
                        if (!name.empty() && item.name != name) {
                            continue;
                        }
                        if (taken++ == limit) {
                            more = true;
                            break;
                        }
                        list.push_back(itemJson(std::move(item), withData));
                    }
                }
                return Json{{"items", std::move(list)}, {"more", more}};
            },
            ifWanted([this](const Result<Json>& items) { finish(items); }));
    }
};

class MetricsCommand final : public RunCommand {
public:
    using RunCommand::RunCommand;

private:
    void runOn(const store::RunRow& row, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        const std::string name = reader.string("name");
        const auto limit = static_cast<int>(reader.integer("limit", 1000));
        session().query(
            this, QStringLiteral("metrics"),
            [run = row.id, name, limit](store::Reader& index) -> Result<Json> {
                std::set<std::string> names;
                const auto known = index.series(run);
                if (!known.ok()) {
                    return known.error();
                }
                for (const store::SeriesRow& series : *known) {
                    if (name.empty() || series.name == name) {
                        names.insert(series.name);
                    }
                }
                store::ChartRequest request;
                request.pixels = limit;
                for (const std::string& one : names) {
                    store::ChartCurve curve;
                    curve.run = run;
                    curve.name = one;
                    request.curves.push_back(std::move(curve));
                }
                const auto chart = index.chart(request);
                if (!chart.ok()) {
                    return chart.error();
                }
                Json list = Json::array();
                for (const store::ChartSeries& series : chart->series) {
                    list.push_back(seriesJson(series));
                }
                return Json{{"series", std::move(list)}};
            },
            ifWanted([this](const Result<Json>& series) { finish(series); }));
    }

    static Json seriesJson(const store::ChartSeries& series) {
        Json steps = Json::array();
        Json values = Json::array();
        for (std::size_t i = 0; i < series.x.size(); ++i) {
            steps.push_back(static_cast<std::int64_t>(series.x[i]));
            values.push_back(base::numberToJson(series.mean[i]));
        }
        return Json{{"name", series.name},      {"attempt", series.attempt},
                    {"node", series.node},      {"rank", series.rank == wire::kNoRank ? Json() : Json(series.rank)},
                    {"points", series.points},  {"points_per_value", series.raw ? 1 : series.pointsPerBucket},
                    {"step", std::move(steps)}, {"value", std::move(values)}};
    }
};

}  // namespace

void addRunRecordCommands(CommandTable& table) {
    using spec::FieldType;
    spec::Field kind = parameter("kind", "Kind", FieldType::Choice, "", "Only records of this kind.");
    kind.choices = {{"", "All"},          {"text", "Texts"},           {"image", "Images"},
                    {"table", "Tables"},  {"histogram", "Histograms"}, {"model", "Models"},
                    {"child", "Children"}};
    spec::Field most = parameter("limit", "Limit", FieldType::Integer, 100, "Most records of each kind.");
    most.minimum = 1;
    most.maximum = kMostItems;
    CommandInfo items;
    items.id = "run.items";
    items.title = "Show records";
    items.help = "Pictures, tables, histograms, texts, models and children that a run reported.";
    items.parameters = {runField(), kind, parameter("name", "Name", FieldType::Text, "", "Only records of this name."),
                        parameter("data", "Data", FieldType::Boolean, false, "With the bytes of pictures, in base64."),
                        most};
    table.add<ItemsCommand>(std::move(items));

    spec::Field points = parameter("limit", "Limit", FieldType::Integer, 1000,
                                   "Values of a series; a longer one is given as means of so many points.");
    points.minimum = 1;
    points.maximum = 100'000;
    CommandInfo metrics;
    metrics.id = "run.metrics";
    metrics.title = "Show metrics";
    metrics.help = "Points of a run's metrics, a series for each attempt and rank.";
    metrics.parameters = {runField(), parameter("name", "Name", FieldType::Text, "", "Only this metric."), points};
    table.add<MetricsCommand>(std::move(metrics));
}

}  // namespace trainyard::commands
