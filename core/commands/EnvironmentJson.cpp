#include "core/commands/EnvironmentJson.h"

#include <algorithm>
#include <utility>

#include "core/commands/RunJson.h"
#include "core/environments/EnvironmentPlan.h"
#include "core/spec/RunState.h"

namespace trainyard::commands {

using base::Json;
using base::Result;

namespace {

constexpr int kMostRuns = 10'000;
constexpr int kMostLooked = 200;

Result<std::vector<store::RunRow>> runsOf(const store::Reader& index, const std::string& filter, int limit) {
    store::RunQuery query;
    query.filter = filter;
    query.archived = store::Archived::Include;
    query.limit = limit;
    query.withMetrics = false;
    auto page = index.listRuns(query);
    if (!page.ok()) {
        return page.error();
    }
    return std::move(page->rows);
}

/// As the engine tells it among its parameters; null where it was no engine that ran.
Json libtorchOf(const store::Reader& index, const base::RunId& run) {
    const auto params = index.params(run);
    for (const store::ParamRow& param : params.valueOr({})) {
        if (param.name == "libtorch") {
            return param.value;
        }
    }
    return {};
}

}  // namespace

Result<std::map<std::string, EnvironmentUse>> environmentUses(const store::Reader& index) {
    const auto rows = runsOf(index, {}, kMostRuns);
    if (!rows.ok()) {
        return rows.error();
    }
    std::map<std::string, EnvironmentUse> uses;
    for (const store::RunRow& row : *rows) {
        const auto name = spec::parseEnvironmentName(row.environment);
        if (!name.ok()) {
            continue;
        }
        EnvironmentUse& use = uses[name->name];
        ++use.runs;
        use.active += spec::isFinal(row.state) ? 0 : 1;
        // Newest first, so the first that started is the last one.
        if (use.last.is_null() && row.startedAt > 0) {
            use.last = Json{{"at", timeToJson(row.startedAt)},
                            {"target", row.target},
                            {"run", row.id.str()},
                            {"number", row.number},
                            {"version", name->version}};
        }
    }
    return uses;
}

Result<Json> realisedWhere(const store::Reader& index, const std::string& name) {
    const auto rows = runsOf(index, "environment:" + name, kMostLooked);
    if (!rows.ok()) {
        return rows.error();
    }
    Json realised = Json::array();
    for (const store::RunRow& row : *rows) {
        const auto used = spec::parseEnvironmentName(row.environment);
        if (!used.ok() || used->name != name) {
            continue;
        }
        const auto items = index.items(row.id, "environment");
        if (!items.ok()) {
            return items.error();
        }
        for (const store::ItemRow& item : *items) {
            const Json body = item.body.is_object() ? item.body : Json::object();
            base::ObjectReader reader(body, "");
            Json facts = reader.object("facts");
            if (const std::string driver = reader.string("driver"); !driver.empty()) {
                facts["driver"] = driver;
            }
            if (const Json libtorch = libtorchOf(index, row.id); !libtorch.is_null()) {
                facts["libtorch"] = libtorch;
            }
            Json one{{"target", row.target},          {"host", reader.string("host")},
                     {"at", timeToJson(item.at)},     {"run", row.id.str()},
                     {"number", row.number},          {"version", used->version},
                     {"hash", reader.string("hash")}, {"image", reader.string("image")},
                     {"facts", std::move(facts)}};
            const bool known = std::ranges::any_of(realised, [&](const Json& other) {
                return other["target"] == one["target"] && other["host"] == one["host"] &&
                       other["version"] == one["version"];
            });
            if (!known) {
                realised.push_back(std::move(one));
            }
        }
    }
    return realised;
}

Json environmentJson(const runs::EnvironmentDefinition& definition) {
    return Json{{"environment", definition.spec.name}, {"version", definition.version},
                {"versions", definition.versions},     {"kind", spec::environmentKindName(definition.spec.kind)},
                {"label", definition.spec.label},      {"description", definition.spec.description},
                {"curated", definition.curated},       {"written_at", timeToJson(definition.writtenAt)}};
}

Json findingsJson(const std::vector<environments::EnvironmentFinding>& findings) {
    Json list = Json::array();
    for (const environments::EnvironmentFinding& finding : findings) {
        list.push_back(environments::toJson(finding));
    }
    return list;
}

Json planJson(const spec::EnvironmentSpec& spec, int version, const environments::TargetFacts& facts) {
    const auto plan = environments::planEnvironment(spec, version, facts);
    if (!plan.ok()) {
        return Json{{"error", plan.error().message}};
    }
    Json steps = Json::array();
    for (const wire::PlanBuildStep& step : plan->steps) {
        steps.push_back({{"title", step.title}, {"command", step.command}});
    }
    Json files = Json::array();
    for (const wire::PlanBuildFile& file : plan->files) {
        files.push_back({{"name", file.name}, {"text", file.text}});
    }
    return Json{{"hash", plan->hash}, {"steps", std::move(steps)},        {"files", std::move(files)},
                {"wrap", plan->wrap}, {"interpreter", plan->interpreter}, {"need_bytes", plan->needBytes}};
}

Json environmentEstimate(const runs::EnvironmentDefinition& definition, const environments::TargetFacts& facts) {
    const auto plan = environments::planEnvironment(definition.spec, definition.version, facts);
    return Json{{"environment", definition.pinned()},
                {"kind", spec::environmentKindName(definition.spec.kind)},
                {"hash", plan.ok() ? plan->hash : std::string()},
                {"need_bytes", plan.ok() ? plan->needBytes : 0},
                {"findings", findingsJson(environments::checkEnvironment(definition.spec, facts))}};
}

}  // namespace trainyard::commands
