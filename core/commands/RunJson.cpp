#include "core/commands/RunJson.h"

#include "core/base/Clock.h"
#include "core/spec/RunState.h"

namespace trainyard::commands {

using base::Json;
using base::numberToJson;

namespace {

Json rankToJson(int rank) { return rank == wire::kNoRank ? Json() : Json(rank); }

}  // namespace

Json timeToJson(std::int64_t micros) { return micros == 0 ? Json() : Json(base::isoTime(micros)); }

Json toJson(const store::Progress& progress) {
    return Json{{"stage", progress.stage},
                {"done", numberToJson(progress.done)},
                {"total", numberToJson(progress.total)},
                {"unit", progress.unit},
                {"epoch", progress.epoch},
                {"epochs", progress.epochs},
                {"step", progress.step},
                {"steps", progress.steps},
                {"rate", numberToJson(progress.rate)},
                {"eta_ns", progress.etaNanos},
                {"at", timeToJson(progress.at)}};
}

Json toJson(const store::MetricSummary& metric) {
    return Json{{"name", metric.name},
                {"rank", rankToJson(metric.rank)},
                {"count", metric.count},
                {"non_finite", metric.nonFinite},
                {"first", numberToJson(metric.first)},
                {"first_step", metric.firstStep},
                {"last", numberToJson(metric.last)},
                {"last_step", metric.lastStep},
                {"min", numberToJson(metric.min)},
                {"min_step", metric.minStep},
                {"max", numberToJson(metric.max)},
                {"max_step", metric.maxStep}};
}

Json runReference(const store::RunRow& row) { return Json{{"run", row.id.str()}, {"number", row.number}}; }

Json toJson(const store::RunRow& row) {
    Json tags = Json::object();
    for (const auto& [name, value] : row.tags) {
        tags[name] = value;
    }
    Json metrics = Json::array();
    for (const store::MetricSummary& metric : row.metrics) {
        metrics.push_back(toJson(metric));
    }
    const std::int64_t end = row.endedAt != 0 ? row.endedAt : base::wallMicros();
    const Json duration = row.startedAt == 0 ? Json() : Json((end - row.startedAt) * 1000);
    return Json{{"run", row.id.str()},
                {"number", row.number},
                {"experiment", row.experiment},
                {"name", row.name},
                {"description", row.description},
                {"state", std::string(spec::toString(row.state))},
                {"reason", row.stateReason},
                {"created_at", timeToJson(row.createdAt)},
                {"started_at", timeToJson(row.startedAt)},
                {"ended_at", timeToJson(row.endedAt)},
                {"duration_ns", duration},
                {"attempts", row.attempts},
                {"target", row.target},
                {"environment", row.environment},
                {"processes", row.processes},
                {"task", row.taskKind},
                {"model_family", row.modelFamily},
                {"parent", row.parent.empty() ? Json() : Json(row.parent)},
                {"reproduces", row.reproduces.empty() ? Json() : Json(row.reproduces)},
                {"tags", std::move(tags)},
                {"notes", row.notes},
                {"archived", row.archived},
                {"log_lines", row.logLines},
                {"warnings", row.warnings},
                {"progress", row.progress ? toJson(*row.progress) : Json()},
                {"metrics", std::move(metrics)}};
}

Json toJson(const store::StageRow& stage) {
    return Json{{"state", std::string(spec::toString(stage.state))},
                {"at", timeToJson(stage.at)},
                {"reason", stage.reason},
                {"attempt", stage.attempt}};
}

Json toJson(const store::AttemptRow& attempt) {
    return Json{{"attempt", attempt.attempt},
                {"node", attempt.node},
                {"host", attempt.host},
                {"world_size", attempt.worldSize},
                {"agent", attempt.agentVersion},
                {"started_at", timeToJson(attempt.startedAt)},
                {"ended_at", timeToJson(attempt.endedAt)},
                {"outcome", attempt.outcome.empty() ? Json() : Json(attempt.outcome)},
                {"reason", attempt.reason}};
}

Json toJson(const store::RankRow& rank) {
    return Json{{"attempt", rank.attempt},
                {"rank", rank.rank},
                {"node", rank.node},
                {"host", rank.host},
                {"log_lines", rank.logLines},
                {"exit", rank.exitStatus ? Json(*rank.exitStatus) : Json()},
                {"signal", rank.signal ? Json(*rank.signal) : Json()},
                {"reason", rank.reason},
                {"pid", rank.pid ? Json(*rank.pid) : Json()},
                {"gpus", rank.gpus}};
}

Json toJson(const store::OutputRow& output) {
    return Json{{"path", output.path},
                {"size", output.size},
                {"sha256", output.sha256},
                {"attempt", output.attempt},
                {"collected", output.collected}};
}

Json toJson(const store::WarningRow& warning) {
    return Json{{"at", timeToJson(warning.at)},
                {"rank", rankToJson(warning.rank)},
                {"code", warning.code},
                {"message", warning.message},
                {"count", warning.count}};
}

Json toJson(const store::LogLine& line) {
    return Json{{"index", line.index}, {"at", timeToJson(line.at)},     {"attempt", line.attempt},
                {"node", line.node},   {"rank", rankToJson(line.rank)}, {"out", line.out},
                {"text", line.text}};
}

void addSilent(Json& answer, const std::vector<targets::SilentHost>& silent) {
    if (silent.empty()) {
        return;
    }
    Json hosts = Json::array();
    for (const targets::SilentHost& one : silent) {
        hosts.push_back(Json{{"host", one.host}, {"message", one.error.message}});
    }
    answer["silent"] = std::move(hosts);
}

}  // namespace trainyard::commands
