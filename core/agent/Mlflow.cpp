#include "core/agent/Mlflow.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/Clock.h"
#include "core/base/Content.h"
#include "core/base/Ids.h"
#include "core/base/Json.h"

namespace trainyard::agent {

namespace {

constexpr std::string_view kApi = "/api/2.0/mlflow/";
constexpr std::string_view kArtifacts = "/api/2.0/mlflow-artifacts/artifacts";
constexpr const char* kExperimentId = "0";
constexpr std::size_t kMaxListed = 1000;

HttpAnswer good(Json body = Json::object()) {
    HttpAnswer answer;
    answer.body = base::dumpJson(body);
    return answer;
}

HttpAnswer bad(int status, const char* code, const std::string& message) {
    HttpAnswer answer;
    answer.status = status;
    answer.body = base::dumpJson(Json{{"error_code", code}, {"message", message}});
    return answer;
}

HttpAnswer invalid(const std::string& message) { return bad(400, "INVALID_PARAMETER_VALUE", message); }

/// Protocol buffers in JSON spell 64-bit numbers as texts.
std::int64_t integerOf(const Json& object, const char* name) {
    const auto found = object.find(name);
    if (found == object.end()) return 0;
    if (found->is_number_integer()) return found->get<std::int64_t>();
    const auto number = base::jsonToNumber(*found);
    return number && *number > -9e15 && *number < 9e15 ? static_cast<std::int64_t>(*number) : 0;
}

Json listOf(const Json& object, const char* name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_array() ? *found : Json::array();
}

Json pairs(const std::map<std::string, std::string>& map) {
    Json list = Json::array();
    for (const auto& [key, value] : map) list.push_back(Json{{"key", key}, {"value", value}});
    return list;
}

}  // namespace

Mlflow::Mlflow(const NodeLayout& layout, const wire::Plan& plan)
    : m_layout(layout), m_plan(plan), m_ownTaken(static_cast<std::size_t>(plan.processes), false) {
    TrackedRun own;
    own.id = plan.run.str();
    own.name = plan.runName;
    own.startMillis = base::wallMicros() / 1000;
    m_runs.emplace(own.id, std::move(own));
    const auto json = readJsonFile(m_layout.root / "tracking.json");
    if (!json.ok()) return;
    for (const Json& one : listOf(*json, "children")) {
        TrackedRun child;
        child.id = base::jsonText(one, "id");
        child.name = base::jsonText(one, "name");
        child.prefix = base::jsonText(one, "prefix");
        child.parent = base::jsonText(one, "parent");
        child.rank = static_cast<int>(integerOf(one, "rank"));
        child.startMillis = integerOf(one, "start");
        m_runs.emplace(child.id, std::move(child));
    }
    for (const Json& rank : listOf(*json, "own_taken")) {
        const std::size_t index = rank.is_number_unsigned() ? rank.get<std::size_t>() : m_ownTaken.size();
        if (index < m_ownTaken.size()) m_ownTaken[index] = true;
    }
}

void Mlflow::save() const {
    Json children = Json::array();
    for (const auto& [id, run] : m_runs) {
        if (run.rank >= 0) {
            children.push_back(Json{{"id", id},
                                    {"name", run.name},
                                    {"prefix", run.prefix},
                                    {"parent", run.parent},
                                    {"rank", run.rank},
                                    {"start", run.startMillis}});
        }
    }
    Json taken = Json::array();
    for (std::size_t rank = 0; rank < m_ownTaken.size(); ++rank) {
        if (m_ownTaken[rank]) taken.push_back(rank);
    }
    // Lost with a full disk: a restarted agent then does not know the children any more, and says so to whoever asks.
    (void) replaceFile(m_layout.root / "tracking.json",
                       base::dumpJson(Json{{"children", std::move(children)}, {"own_taken", std::move(taken)}}));
}

std::optional<HttpAnswer> Mlflow::put(int rank, Json line) {
    if (!line.contains("t")) line["t"] = base::wallMicros();
    base::UniqueFd& fd = m_streams[rank];
    if (!fd.valid()) fd.reset(::open(m_layout.rankStream(rank).c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
    bool& open = m_lineOpen[rank];
    const std::string bytes = (open ? "\n" : "") + base::dumpJson(line) + "\n";
    ssize_t put = -1;
    do {
        put = ::write(fd.get(), bytes.data(), bytes.size());
    } while (put < 0 && errno == EINTR);
    if (put == static_cast<ssize_t>(bytes.size())) {
        open = false;
        return {};
    }
    open = open || put > 0;
    return bad(507, "INTERNAL_ERROR", "What was told could not be written; the disk of the target may be full.");
}

TrackedRun* Mlflow::find(int rank, const std::string& id) {
    const auto found = m_runs.find(id);
    if (found == m_runs.end()) return nullptr;
    if (found->second.rank < 0) m_ownTaken[static_cast<std::size_t>(rank)] = true;
    return &found->second;
}

Json Mlflow::info(const TrackedRun& run) const {
    Json json{{"run_id", run.id},
              {"run_uuid", run.id},
              {"run_name", run.name},
              {"experiment_id", kExperimentId},
              {"user_id", ""},
              {"status", run.status},
              {"start_time", run.startMillis},
              {"artifact_uri", std::string("mlflow-artifacts:/") + kExperimentId + "/" + run.id + "/artifacts"},
              {"lifecycle_stage", "active"}};
    if (run.endMillis != 0) json["end_time"] = run.endMillis;
    return json;
}

Json Mlflow::describe(const TrackedRun& run) const {
    Json metrics = Json::array();
    for (const auto& [name, last] : run.metrics) {
        metrics.push_back(Json{{"key", name}, {"value", last.value}, {"timestamp", last.millis}, {"step", last.step}});
    }
    Json params = Json::array();
    for (const auto& [name, value] : run.params) params.push_back(Json{{"key", name}, {"value", value}});
    std::map<std::string, std::string> tags = run.tags;
    tags.emplace("mlflow.runName", run.name);
    if (!run.parent.empty()) tags.emplace("mlflow.parentRunId", run.parent);
    return Json{{"info", info(run)},
                {"data", Json{{"metrics", std::move(metrics)}, {"params", std::move(params)}, {"tags", pairs(tags)}}},
                {"inputs", Json::object()}};
}

Json Mlflow::experiment(const std::string& name) const {
    return Json{{"experiment_id", kExperimentId},
                {"name", name.empty() ? m_plan.experiment : name},
                {"artifact_location", std::string("mlflow-artifacts:/") + kExperimentId},
                {"lifecycle_stage", "active"},
                {"tags", Json::array()}};
}

std::optional<HttpAnswer> Mlflow::accept(HttpRequest& request) {
    if (request.method != "PUT" || !request.path.starts_with(std::string(kArtifacts) + "/")) return {};
    const auto place = placeOf(request.client, request.path.substr(kArtifacts.size() + 1));
    if (!place || place->empty()) return invalid("This is no name of a file of this run's artifacts.");
    if (const auto space = base::diskSpace(m_plan.outputsFolder);
        space.ok() && space->freeBytes < m_plan.diskReserveBytes) {
        return bad(507, "INTERNAL_ERROR", "The disk of the target is nearly full; no file is taken.");
    }
    const Path target = Path(m_plan.outputsFolder) / *place;
    if (const auto made = base::makeDirs(target.parent_path()); !made.ok())
        return bad(507, "INTERNAL_ERROR", made.error().message);
    request.file = target.string() + "." + std::to_string(++m_parts) + ".part";
    return {};
}

void Mlflow::abandoned(const HttpRequest& request) { ::unlink(request.file.c_str()); }

HttpAnswer Mlflow::answer(HttpRequest& request) {
    if (request.path.starts_with(kArtifacts)) return artifacts(request);
    if (request.path == "/health") return good(Json("OK"));
    if (request.path == "/version") return good(Json("2.0.0"));
    if (!request.path.starts_with(kApi))
        return bad(404, "ENDPOINT_NOT_FOUND", "Trainyard's tracking server does not know " + request.path + ".");
    Json body = Json::object();
    if (!request.body.empty()) {
        auto parsed = base::parseJson(request.body);
        if (!parsed.ok() || !parsed->is_object())
            return bad(400, "BAD_REQUEST", "The body of the request is no JSON object.");
        body = std::move(parsed).value();
    }
    for (const auto& [key, value] : request.query) body.emplace(key, value);
    return call(request.path.substr(kApi.size()), request, body);
}

HttpAnswer Mlflow::call(const std::string& name, const HttpRequest& request, const Body& body) {
    const int rank = request.client;
    const auto unknownRun = [&] {
        return bad(404, "RESOURCE_DOES_NOT_EXIST", "There is no run \"" + base::jsonText(body, "run_id") + "\" here.");
    };
    if (name == "experiments/create") return good(Json{{"experiment_id", kExperimentId}});
    if (name == "experiments/get-by-name")
        return good(Json{{"experiment", experiment(base::jsonText(body, "experiment_name"))}});
    if (name == "experiments/get") {
        if (base::jsonText(body, "experiment_id") != kExperimentId)
            return bad(404, "RESOURCE_DOES_NOT_EXIST", "There is one experiment here, the run's, with the id 0.");
        return good(Json{{"experiment", experiment({})}});
    }
    if (name == "experiments/search" || name == "experiments/list")
        return good(Json{{"experiments", Json::array({experiment({})})}});
    if (name == "experiments/set-experiment-tag") {
        if (auto failed =
                put(rank, Json{{"kind", "tags"},
                               {"values", Json{{base::jsonText(body, "key"), base::jsonText(body, "value")}}}}))
            return std::move(*failed);
        return good();
    }
    if (name == "runs/create") return createRun(rank, body);
    if (name == "runs/search") return searchRuns(rank);
    if (name == "runs/update") return updateRun(rank, body);

    static const std::vector<std::string> kOfRun = {"runs/get",           "runs/log-metric", "runs/log-batch",
                                                    "runs/log-parameter", "runs/set-tag",    "runs/delete-tag",
                                                    "runs/log-inputs",    "runs/log-model",  "artifacts/list"};
    if (std::find(kOfRun.begin(), kOfRun.end(), name) == kOfRun.end()) {
        return bad(404, "ENDPOINT_NOT_FOUND",
                   "Trainyard's tracking server does not cover " + name +
                       "; the guide's page \"Run your own script\" lists the calls it answers.");
    }
    const std::string id =
        base::jsonText(body, "run_id").empty() ? base::jsonText(body, "run_uuid") : base::jsonText(body, "run_id");
    TrackedRun* run = find(rank, id);
    if (!run) return unknownRun();
    if (name == "runs/get") return good(Json{{"run", describe(*run)}});
    if (name == "runs/log-metric") return logMetrics(rank, *run, Json::array({body}));
    if (name == "runs/log-parameter") return logParams(rank, *run, Json::array({body}));
    if (name == "runs/set-tag") return setTags(rank, *run, Json::array({body}));
    if (name == "runs/delete-tag") {
        run->tags.erase(base::jsonText(body, "key"));
        if (auto failed = put(
                rank, Json{{"kind", "tags"}, {"values", Json{{run->prefix + base::jsonText(body, "key"), nullptr}}}}))
            return std::move(*failed);
        return good();
    }
    if (name == "runs/log-batch") {
        HttpAnswer answer = logParams(rank, *run, listOf(body, "params"));
        if (answer.status == 200) answer = logMetrics(rank, *run, listOf(body, "metrics"));
        if (answer.status == 200) answer = setTags(rank, *run, listOf(body, "tags"));
        return answer;
    }
    if (name == "artifacts/list") return listArtifacts(request);
    // Data sets and model descriptions, as MLflow words them.
    Json said = body;
    said.erase("run_id");
    const std::string title = run->prefix + (name == "runs/log-model" ? "mlflow.model" : "mlflow.inputs");
    if (auto failed = put(rank, Json{{"kind", "text"}, {"name", title}, {"text", base::dumpJson(said)}}))
        return std::move(*failed);
    return good();
}

HttpAnswer Mlflow::createRun(int rank, const Body& body) {
    std::string name = base::jsonText(body, "run_name");
    std::string parent;
    for (const Json& tag : listOf(body, "tags")) {
        if (!tag.is_object()) continue;
        if (base::jsonText(tag, "key") == "mlflow.runName" && name.empty()) name = base::jsonText(tag, "value");
        if (base::jsonText(tag, "key") == "mlflow.parentRunId") parent = base::jsonText(tag, "value");
    }
    TrackedRun* run = nullptr;
    if (!m_ownTaken[static_cast<std::size_t>(rank)] && parent.empty()) {
        // A script that makes one run means the run that it is in.
        run = find(rank, m_plan.run.str());
    } else {
        if (m_runs.size() > kMaxChildren)
            return bad(429, "RESOURCE_EXHAUSTED",
                       "This run has " + std::to_string(kMaxChildren) + " children already.");
        TrackedRun child;
        child.id = base::newUuid7();
        child.rank = rank;
        child.parent = parent.empty() || !m_runs.contains(parent) ? m_plan.run.str() : parent;
        child.startMillis =
            integerOf(body, "start_time") > 0 ? integerOf(body, "start_time") : base::wallMicros() / 1000;
        child.name = name.empty() ? "child-" + std::to_string(m_runs.size()) : name;
        const std::string above = m_runs.at(child.parent).prefix;
        std::string prefix = above + child.name + "/";
        for (int number = 2; std::any_of(m_runs.begin(), m_runs.end(),
                                         [&](const auto& known) { return known.second.prefix == prefix; });
             ++number) {
            prefix = above + child.name + "-" + std::to_string(number) + "/";
        }
        child.prefix = prefix;
        if (auto failed = put(rank, Json{{"kind", "child"},
                                         {"id", child.id},
                                         {"name", prefix.substr(0, prefix.size() - 1)},
                                         {"parent", child.parent},
                                         {"state", "Running"}})) {
            return std::move(*failed);
        }
        run = &m_runs.emplace(child.id, std::move(child)).first->second;
    }
    save();
    if (HttpAnswer tagged = setTags(rank, *run, listOf(body, "tags")); tagged.status != 200) return tagged;
    return good(Json{{"run", describe(*run)}});
}

HttpAnswer Mlflow::updateRun(int rank, const Body& body) {
    TrackedRun* run = find(rank, base::jsonText(body, "run_id").empty() ? base::jsonText(body, "run_uuid")
                                                                        : base::jsonText(body, "run_id"));
    if (!run)
        return bad(404, "RESOURCE_DOES_NOT_EXIST", "There is no run \"" + base::jsonText(body, "run_id") + "\" here.");
    const std::string status = base::jsonText(body, "status");
    if (!status.empty()) run->status = status;
    if (const std::int64_t end = integerOf(body, "end_time"); end > 0) run->endMillis = end;
    if (const std::string name = base::jsonText(body, "run_name"); !name.empty()) run->name = name;
    if (run->rank >= 0 && !status.empty()) {
        const char* state = status == "FINISHED" ? "Completed"
                            : status == "FAILED" ? "Failed"
                            : status == "KILLED" ? "Canceled"
                                                 : "Running";
        if (auto failed = put(rank, Json{{"kind", "child"},
                                         {"id", run->id},
                                         {"name", run->prefix.substr(0, run->prefix.size() - 1)},
                                         {"parent", run->parent},
                                         {"state", state}})) {
            return std::move(*failed);
        }
    }
    return good(Json{{"run_info", info(*run)}});
}

HttpAnswer Mlflow::searchRuns(int rank) const {
    Json list = Json::array();
    for (const auto& [id, run] : m_runs) {
        if ((run.rank < 0 || run.rank == rank) && list.size() < kMaxListed) list.push_back(describe(run));
    }
    return good(Json{{"runs", std::move(list)}});
}

HttpAnswer Mlflow::logMetrics(int rank, TrackedRun& run, const Body& list) {
    if (list.empty()) return good();
    std::map<std::string, Json> series;
    for (const Json& one : list) {
        const std::string key = one.is_object() ? base::jsonText(one, "key") : std::string();
        const auto value = one.is_object() && one.contains("value") ? base::jsonToNumber(one["value"]) : std::nullopt;
        if (key.empty() || !value) return invalid("A metric needs a \"key\" and a \"value\" that is a number.");
        const std::int64_t step = integerOf(one, "step");
        const std::int64_t millis =
            integerOf(one, "timestamp") > 0 ? integerOf(one, "timestamp") : base::wallMicros() / 1000;
        Json& points = series[key];
        if (points.is_null())
            points = Json{
                {"name", run.prefix + key}, {"step", Json::array()}, {"value", Json::array()}, {"t", Json::array()}};
        points["step"].push_back(step);
        points["value"].push_back(base::numberToJson(*value));
        points["t"].push_back(millis * 1000);
        const auto known = run.metrics.find(key);
        if (known != run.metrics.end()) {
            if (step >= known->second.step) known->second = {base::numberToJson(*value), millis, step};
        } else if (run.metrics.size() < kMaxNames) {
            run.metrics[key] = {base::numberToJson(*value), millis, step};
        }
    }
    Json all = Json::array();
    for (auto& [key, points] : series) all.push_back(std::move(points));
    if (auto failed = put(rank, Json{{"kind", "metrics"}, {"series", std::move(all)}})) return std::move(*failed);
    return good();
}

HttpAnswer Mlflow::logParams(int rank, TrackedRun& run, const Body& list) {
    if (list.empty()) return good();
    Json values = Json::object();
    for (const Json& one : list) {
        const std::string key = one.is_object() ? base::jsonText(one, "key") : std::string();
        if (key.empty() || !one.contains("value")) return invalid("A parameter needs a \"key\" and a \"value\".");
        const auto known = run.params.find(key);
        if (known != run.params.end() && known->second != one["value"]) {
            return invalid("Changing param values is not allowed. Param with key='" + key +
                           "' was already logged with another value.");
        }
        if (run.params.size() < kMaxNames) run.params[key] = one["value"];
        values[run.prefix + key] = one["value"];
    }
    if (auto failed = put(rank, Json{{"kind", "params"}, {"values", std::move(values)}})) return std::move(*failed);
    return good();
}

HttpAnswer Mlflow::setTags(int rank, TrackedRun& run, const Body& list) {
    Json values = Json::object();
    for (const Json& one : list) {
        const std::string key = one.is_object() ? base::jsonText(one, "key") : std::string();
        if (key.empty()) return invalid("A tag needs a \"key\".");
        if (run.tags.size() < kMaxNames) run.tags[key] = base::jsonText(one, "value");
        values[run.prefix + key] = base::jsonText(one, "value");
    }
    if (values.empty()) return good();
    if (auto failed = put(rank, Json{{"kind", "tags"}, {"values", std::move(values)}})) return std::move(*failed);
    return good();
}

std::optional<std::string> Mlflow::placeOf(int rank, const std::string& artifact) const {
    // EXPERIMENT/RUN/artifacts[/PATH]
    const std::size_t first = artifact.find('/');
    const std::size_t second = first == std::string::npos ? first : artifact.find('/', first + 1);
    if (second == std::string::npos) return std::nullopt;
    const auto run = m_runs.find(artifact.substr(first + 1, second - first - 1));
    std::string rest = artifact.substr(second + 1);
    if (run == m_runs.end() || (run->second.rank >= 0 && run->second.rank != rank) || !rest.starts_with("artifacts"))
        return std::nullopt;
    rest.erase(0, std::string_view("artifacts").size());
    while (rest.starts_with('/')) rest.erase(0, 1);
    while (rest.ends_with('/')) rest.pop_back();
    const std::string whole = rest.empty() ? run->second.prefix : run->second.prefix + rest;
    if (whole.empty()) return whole;
    const std::string plain = whole.ends_with('/') ? whole.substr(0, whole.size() - 1) : whole;
    return base::isPlainRelativePath(plain) ? std::optional(plain) : std::nullopt;
}

HttpAnswer Mlflow::artifacts(HttpRequest& request) {
    if (request.method == "GET" && (request.path == kArtifacts || request.path == std::string(kArtifacts) + "/"))
        return listArtifacts(request);
    if (!request.path.starts_with(std::string(kArtifacts) + "/"))
        return bad(404, "ENDPOINT_NOT_FOUND", "Trainyard's tracking server does not know " + request.path + ".");
    const auto place = placeOf(request.client, request.path.substr(kArtifacts.size() + 1));
    if (!place || place->empty()) {
        abandoned(request);
        return bad(404, "RESOURCE_DOES_NOT_EXIST", "This run has no such file.");
    }
    const Path target = Path(m_plan.outputsFolder) / *place;
    if (request.method == "PUT") {
        if (::rename(request.file.c_str(), target.c_str()) != 0) {
            const std::string why = base::errnoError(errno, "The file cannot be kept", target).message;
            abandoned(request);
            return bad(507, "INTERNAL_ERROR", why);
        }
        if (auto failed =
                put(request.client, Json{{"kind", "artifact"}, {"path", *place}, {"size", request.fileBytes}}))
            return std::move(*failed);
        return good();
    }
    if (request.method != "GET") return bad(405, "BAD_REQUEST", "Files can be put and read here.");
    HttpAnswer answer;
    answer.file.reset(::open(target.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    struct stat about {};
    if (!answer.file.valid() || ::fstat(answer.file.get(), &about) != 0 || !S_ISREG(about.st_mode)) {
        return bad(404, "RESOURCE_DOES_NOT_EXIST", "This run has no file " + *place + ".");
    }
    answer.fileBytes = about.st_size;
    answer.type = "application/octet-stream";
    return answer;
}

HttpAnswer Mlflow::listArtifacts(const HttpRequest& request) const {
    const bool proxied = request.path.starts_with(kArtifacts);
    const std::string id = request.argument("run_id");
    const auto place =
        placeOf(request.client,
                proxied ? request.argument("path") : std::string("0/") + id + "/artifacts/" + request.argument("path"));
    if (!place) return bad(404, "RESOURCE_DOES_NOT_EXIST", "This run has no such folder.");
    Json files = Json::array();
    std::error_code error;
    const Path folder = Path(m_plan.outputsFolder) / *place;
    const std::string before =
        proxied || request.argument("path").empty() ? std::string() : request.argument("path") + "/";
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
        if (files.size() >= kMaxListed) break;
        std::error_code ignored;
        const bool isFolder = entry.is_directory(ignored);
        Json file{{"path", before + entry.path().filename().string()}, {"is_dir", isFolder}};
        if (!isFolder) file["file_size"] = static_cast<std::int64_t>(entry.file_size(ignored));
        files.push_back(std::move(file));
    }
    if (!proxied)
        return good(
            Json{{"root_uri", std::string("mlflow-artifacts:/0/") + id + "/artifacts"}, {"files", std::move(files)}});
    return good(Json{{"files", std::move(files)}});
}

}  // namespace trainyard::agent
