#include "core/runs/Comparison.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "core/spec/RunSpec.h"
#include "core/wire/RunStream.h"

namespace trainyard::runs {

using base::Error;
using base::Json;
using base::Result;
using base::Status;

namespace {

constexpr std::int64_t kPointsARead = 20'000;

using Named = std::map<std::string, std::pair<Json, Json>>;  // Left and right; null where there is none.

/// What is not equal on both sides.
Json differing(const Named& values) {
    Json out = Json::array();
    for (const auto& [name, pair] : values) {
        if (pair.first != pair.second) {
            out.push_back({{"name", name}, {"left", pair.first}, {"right", pair.second}});
        }
    }
    return out;
}

Json refTo(const store::RunRow& row) { return Json{{"run", row.id.str()}, {"number", row.number}}; }

/// Times and rates differ from one run to the next whatever they compute. Only names that can mean nothing else: a run
/// must not be called the same because what it computed is called a time.
bool isMeasured(const std::string& name) {
    return name.find("seconds") != std::string::npos || name.find("per_second") != std::string::npos ||
           std::ranges::any_of(std::array{"timestamp", "duration", "elapsed", "runtime", "wall_time", "epoch_time",
                                          "step_time", "batch_time", "data_time", "train_time", "training_time"},
                               [&](const char* word) { return name.ends_with(word); });
}

// ---------------------------------------------------------------------------------------------------- surroundings

/// Content of the data by name; nothing while the run has not said it.
std::optional<std::map<std::string, Json>> dataOf(const store::Reader& reader, const base::RunId& run) {
    const auto events = reader.events(run, wire::kind::kInputs);
    if (!events.ok() || events->empty()) {
        return std::nullopt;
    }
    std::map<std::string, Json> data;
    base::ObjectReader body(events->back().body, "");
    for (const Json& one : body.array("data")) {
        base::ObjectReader input(one, "data");
        const std::string hash = input.string("sha256");
        data[input.string("name")] = hash.empty() ? Json() : Json(hash);
    }
    return data;
}

/// What the ranks really ran in, as the agents of the newest attempt found it.
std::map<std::string, Json> environmentOf(const std::string& pinned, const std::vector<store::ItemRow>& records,
                                          const std::vector<store::AttemptRow>& attempts,
                                          const std::vector<store::ParamRow>& params) {
    std::map<std::string, Json> found;
    if (!pinned.empty()) {
        found["name"] = pinned;
    }
    for (const store::AttemptRow& attempt : attempts) {
        if (attempt.attempt == attempts.back().attempt && attempt.node == 0 && !attempt.agentVersion.empty()) {
            found["agent"] = attempt.agentVersion;
        }
    }
    // The engine tells its libtorch itself.
    for (const store::ParamRow& param : params) {
        if (param.name == "libtorch") {
            found["libtorch"] = param.value;
        }
    }
    if (records.empty()) {
        return found;
    }
    const store::ItemRow* newest = &records.front();
    for (const store::ItemRow& record : records) {
        if (std::pair(record.attempt, -record.node) > std::pair(newest->attempt, -newest->node)) {
            newest = &record;
        }
    }
    for (const char* member : {"type", "hash", "image", "interpreter", "driver"}) {
        if (const auto value = newest->body.find(member); value != newest->body.end() && !value->is_null()) {
            found[member] = *value;
        }
    }
    if (const auto facts = newest->body.find("facts"); facts != newest->body.end() && facts->is_object()) {
        for (const auto& [name, value] : facts->items()) {
            if (!value.is_object()) {
                found[name] = value;
                continue;
            }
            for (const auto& [inner, deeper] : value.items()) {
                found[name + "." + inner] = deeper;
            }
        }
    }
    return found;
}

std::map<std::string, Json> targetOf(const store::RunRow& row, const std::vector<store::AttemptRow>& attempts) {
    std::map<std::string, Json> found{{"name", row.target}};
    std::set<std::string> hosts;
    for (const store::AttemptRow& attempt : attempts) {
        if (attempt.attempt != attempts.back().attempt) {
            continue;
        }
        hosts.insert(attempt.host);
        if (attempt.node == 0) {
            found["nodes"] = attempt.nodes;
            found["processes"] = attempt.worldSize;
        }
    }
    if (!hosts.empty()) {
        found["hosts"] = Json(std::vector<std::string>(hosts.begin(), hosts.end()));
    }
    return found;
}

void put(Named& values, const std::map<std::string, Json>& left, const std::map<std::string, Json>& right) {
    for (const auto& [name, value] : left) {
        values[name].first = value;
    }
    for (const auto& [name, value] : right) {
        values[name].second = value;
    }
}

// ---------------------------------------------------------------------------------------------------- points

/// The points of one metric of one rank, over its attempts, without what a later attempt told anew.
class CurvePoints {
public:
    CurvePoints(const store::Reader& reader, base::RunId run, std::vector<store::SeriesRow> parts)
        : m_reader(reader), m_run(std::move(run)), m_parts(std::move(parts)) {}

    /// Nothing at the end.
    Result<std::optional<store::PointRow>> next() {
        while (m_part < m_parts.size()) {
            if (m_at == m_read.size()) {
                auto read = m_reader.points(m_run, m_parts[m_part], m_first, kPointsARead);
                if (!read.ok()) {
                    return read.error();
                }
                m_first += static_cast<std::int64_t>(read->size());
                m_read = std::move(*read);
                m_at = 0;
                if (m_read.empty()) {
                    ++m_part;
                    m_first = 0;
                    continue;
                }
            }
            const store::PointRow& point = m_read[m_at++];
            const bool toldAnew =
                std::any_of(m_parts.begin() + static_cast<std::ptrdiff_t>(m_part) + 1, m_parts.end(),
                            [&](const store::SeriesRow& later) {
                                return later.attempt > m_parts[m_part].attempt && point.step >= later.firstStep;
                            });
            if (!toldAnew) {
                return std::optional(point);
            }
        }
        return std::optional<store::PointRow>();
    }

private:
    const store::Reader& m_reader;
    base::RunId m_run;
    std::vector<store::SeriesRow> m_parts;
    std::size_t m_part = 0;
    std::int64_t m_first = 0;
    std::vector<store::PointRow> m_read;
    std::size_t m_at = 0;
};

struct PointCount {
    std::int64_t compared = 0;
    std::int64_t different = 0;
    std::optional<std::int64_t> firstStep;
    double largest = 0;
};

/// Step by step; NaN equals NaN. What one side lacks is different, and what follows it is still compared with its like.
Status comparePoints(CurvePoints left, CurvePoints right, PointCount& count, std::int64_t& read,
                     const CompareReport& report) {
    auto one = left.next();
    auto other = right.next();
    for (;;) {
        if (!one.ok() || !other.ok()) {
            return one.ok() ? other.error() : one.error();
        }
        if (!*one && !*other) {
            return {};
        }
        if (++read % kPointsARead == 0 && report && !report(read)) {
            return Error{"canceled", "The comparison was stopped."};
        }
        ++count.compared;
        const bool takeOne = *one && (!*other || (*one)->step <= (*other)->step);
        const bool takeOther = *other && (!*one || (*other)->step <= (*one)->step);
        const bool both = takeOne && takeOther;
        const bool equal =
            both && ((*one)->value == (*other)->value || (std::isnan((*one)->value) && std::isnan((*other)->value)));
        if (!equal) {
            const std::int64_t step = takeOne ? (*one)->step : (*other)->step;
            ++count.different;
            count.firstStep = std::min(count.firstStep.value_or(step), step);
        }
        if (!equal && both && std::isfinite((*one)->value) && std::isfinite((*other)->value)) {
            count.largest = std::max(count.largest, std::abs((*one)->value - (*other)->value));
        }
        if (takeOne) {
            one = left.next();
        }
        if (takeOther) {
            other = right.next();
        }
    }
}

using Curves = std::map<std::pair<std::string, int>, std::vector<store::SeriesRow>>;

Result<Curves> curvesOf(const store::Reader& reader, const base::RunId& run) {
    auto series = reader.series(run);
    if (!series.ok()) {
        return series.error();
    }
    std::sort(series->begin(), series->end(), [](const store::SeriesRow& a, const store::SeriesRow& b) {
        return std::tie(a.name, a.rank, a.attempt, a.node) < std::tie(b.name, b.rank, b.attempt, b.node);
    });
    Curves curves;
    for (store::SeriesRow& one : *series) {
        curves[{one.name, one.rank}].push_back(std::move(one));
    }
    return curves;
}

/// By the metric's name: all ranks together.
Result<std::map<std::string, PointCount>> countPoints(const store::Reader& reader, const store::RunRow& left,
                                                      const store::RunRow& right, const CompareReport& report) {
    const auto ours = curvesOf(reader, left.id);
    const auto theirs = curvesOf(reader, right.id);
    if (!ours.ok() || !theirs.ok()) {
        return ours.ok() ? theirs.error() : ours.error();
    }
    std::set<std::pair<std::string, int>> keys;
    for (const Curves* curves : {&*ours, &*theirs}) {
        for (const auto& [key, parts] : *curves) {
            keys.insert(key);
        }
    }
    const auto partsOf = [](const Curves& curves, const std::pair<std::string, int>& key) {
        const auto found = curves.find(key);
        return found == curves.end() ? std::vector<store::SeriesRow>() : found->second;
    };
    std::map<std::string, PointCount> counts;
    std::int64_t read = 0;
    for (const auto& key : keys) {
        TRAINYARD_TRY(comparePoints({reader, left.id, partsOf(*ours, key)}, {reader, right.id, partsOf(*theirs, key)},
                                    counts[key.first], read, report));
    }
    return counts;
}

/// Two processes of one run report the same names, so a metric is told apart by its rank too.
Json metricsJson(const store::RunRow& left, const store::RunRow& right,
                 const std::optional<std::map<std::string, PointCount>>& points, bool& same, bool& samePoints) {
    std::map<std::pair<std::string, int>, std::pair<const store::MetricSummary*, const store::MetricSummary*>> both;
    for (const store::MetricSummary& metric : left.metrics) {
        both[{metric.name, metric.rank}].first = &metric;
    }
    for (const store::MetricSummary& metric : right.metrics) {
        both[{metric.name, metric.rank}].second = &metric;
    }
    Json out = Json::array();
    for (const auto& [key, pair] : both) {
        const auto value = [](const store::MetricSummary* metric) {
            return metric == nullptr ? Json() : base::numberToJson(metric->last);
        };
        // As JSON, so that NaN equals NaN.
        const auto shown = [](const store::MetricSummary& m) {
            return Json::array({m.count, m.lastStep, base::numberToJson(m.last), base::numberToJson(m.min),
                                base::numberToJson(m.max)});
        };
        const bool equal = pair.first != nullptr && pair.second != nullptr && shown(*pair.first) == shown(*pair.second);
        same = same && (equal || isMeasured(key.first));
        Json counted;
        if (points) {
            const auto found = points->find(key.first);
            const PointCount count = found == points->end() ? PointCount{} : found->second;
            samePoints = samePoints && (count.different == 0 || isMeasured(key.first));
            counted = Json{{"compared", count.compared},
                           {"different", count.different},
                           {"first_step", count.firstStep ? Json(*count.firstStep) : Json()},
                           {"largest", base::numberToJson(count.largest)}};
        }
        out.push_back({{"name", key.first},
                       {"rank", key.second == wire::kNoRank ? Json() : Json(key.second)},
                       {"left", value(pair.first)},
                       {"right", value(pair.second)},
                       {"equal", equal},
                       {"measured", isMeasured(key.first)},
                       {"points", std::move(counted)}});
    }
    return out;
}

}  // namespace

Json changesJson(const std::vector<SnapshotChange>& changes) {
    Json out = Json::array();
    for (const SnapshotChange& change : changes) {
        using Kind = SnapshotChange::Kind;
        out.push_back({{"path", change.path},
                       {"change", change.kind == Kind::Added     ? "added"
                                  : change.kind == Kind::Removed ? "removed"
                                                                 : "changed"},
                       {"left", change.left.empty() ? Json() : Json(change.left)},
                       {"right", change.right.empty() ? Json() : Json(change.right)}});
    }
    return out;
}

Result<Json> compareRuns(const wire::WorkspaceLayout& layout, const store::Reader& reader, const store::RunRow& left,
                         const store::RunRow& right, bool points, const CompareReport& report) {
    auto leftSpec = reader.spec(left.id);
    auto rightSpec = reader.spec(right.id);
    if (!leftSpec.ok() || !rightSpec.ok()) {
        return leftSpec.ok() ? rightSpec.error() : leftSpec.error();
    }
    for (const char* own : {"name", "description", "tags"}) {
        leftSpec->erase(own);
        rightSpec->erase(own);
    }
    Json specs = Json::array();
    for (const spec::Difference& one : spec::differences(*leftSpec, *rightSpec)) {
        specs.push_back({{"path", one.path}, {"left", one.left}, {"right", one.right}});
    }
    const auto leftSource = readSnapshot(layout, left.id);
    const auto rightSource = readSnapshot(layout, right.id);
    for (const auto* source : {&leftSource, &rightSource}) {
        if (!source->ok() && source->error().code != "snapshot.none") {
            return source->error();
        }
    }
    Json files = changesJson(compareSnapshots(leftSource.valueOr({}), rightSource.valueOr({})));

    const auto leftAttempts = reader.attempts(left.id);
    const auto rightAttempts = reader.attempts(right.id);
    const auto leftRecords = reader.items(left.id, wire::kind::kEnvironment);
    const auto rightRecords = reader.items(right.id, wire::kind::kEnvironment);
    const auto leftParams = reader.params(left.id);
    const auto rightParams = reader.params(right.id);
    const auto errorOf = [](const auto& result) { return result.ok() ? nullptr : &result.error(); };
    for (const Error* error : {errorOf(leftAttempts), errorOf(rightAttempts), errorOf(leftRecords),
                               errorOf(rightRecords), errorOf(leftParams), errorOf(rightParams)}) {
        if (error != nullptr) {
            return *error;
        }
    }
    Named environment, target, data;
    put(environment, environmentOf(left.environment, *leftRecords, *leftAttempts, *leftParams),
        environmentOf(right.environment, *rightRecords, *rightAttempts, *rightParams));
    put(target, targetOf(left, *leftAttempts), targetOf(right, *rightAttempts));
    const auto leftData = dataOf(reader, left.id);
    const auto rightData = dataOf(reader, right.id);
    bool dataKnown = leftData && rightData;
    if (dataKnown) {
        put(data, *leftData, *rightData);
        for (const auto& [name, pair] : data) {
            dataKnown = dataKnown && !pair.first.is_null() && !pair.second.is_null();
        }
    }
    const Json differentData = differing(data);

    std::optional<std::map<std::string, PointCount>> counts;
    if (points) {
        auto counted = countPoints(reader, left, right, report);
        if (!counted.ok()) {
            return counted.error();
        }
        counts = std::move(*counted);
    }
    bool metricsSame = true;
    bool pointsSame = true;
    Json metrics = metricsJson(left, right, counts, metricsSame, pointsSame);

    const Json* leftSeed = spec::valueAt(*leftSpec, "task.seed");
    const Json* rightSeed = spec::valueAt(*rightSpec, "task.seed");
    const bool ran = !leftAttempts->empty() && !rightAttempts->empty();
    const Json environments = differing(environment);
    Json answer{{"left", refTo(left)}, {"right", refTo(right)}};
    answer["same"] =
        Json{{"spec", specs.empty()},
             {"snapshot", files.empty()},
             {"data", !differentData.empty() ? Json(false)
                      : dataKnown            ? Json(true)
                                             : Json()},
             {"environment", !environments.empty() ? Json(false)
                             : ran                 ? Json(true)
                                                   : Json()},
             {"target", ran ? Json(differing(target).empty()) : Json()},
             {"seed", leftSeed != nullptr && rightSeed != nullptr ? Json(*leftSeed == *rightSeed) : Json()},
             {"metrics", metrics.empty() ? Json() : Json(metricsSame)},
             {"points", metrics.empty() || !points ? Json() : Json(pointsSame)},
             {"state", left.state == right.state}};
    answer["spec"] = std::move(specs);
    answer["files"] = std::move(files);
    answer["data"] = differentData;
    answer["environment"] = environments;
    answer["target"] = differing(target);
    answer["metrics"] = std::move(metrics);
    return answer;
}

}  // namespace trainyard::runs
