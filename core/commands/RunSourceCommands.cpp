// What a run was made from and what it leaves: estimate, snapshot, reproduce, compare, files, collect.
#include <map>
#include <optional>
#include <utility>

#include "core/base/Text.h"
#include "core/commands/RunCommand.h"
#include "core/commands/RunJson.h"
#include "core/commands/Session.h"
#include "core/runs/RunService.h"
#include "core/runs/Snapshot.h"
#include "core/runs/Submission.h"
#include "core/spec/RunSpec.h"
#include "core/store/Reader.h"
#include "core/targets/Operations.h"

namespace trainyard::commands {
namespace {

constexpr std::int64_t kMostShownBytes = 1 << 20;

Json runJson(const store::RunRow& row) {
    return Json{{"run", row.id.str()}, {"number", row.number}};
}

/// Two processes of one run report the same names, so a metric is told apart by its rank too.
Json compareMetrics(const store::RunRow& left, const store::RunRow& right, bool& same) {
    std::map<std::pair<std::string, int>, std::pair<const store::MetricSummary*, const store::MetricSummary*>> both;
    for (const store::MetricSummary& metric : left.metrics) {
        both[{metric.name, metric.rank}].first = &metric;
    }
    for (const store::MetricSummary& metric : right.metrics) {
        both[{metric.name, metric.rank}].second = &metric;
    }
    Json out = Json::array();
    for (const auto& [key, pair] : both) {
        const auto value = [](const store::MetricSummary* metric) { return metric == nullptr ? Json() : base::numberToJson(metric->last); };
        const auto equalMembers = [](const store::MetricSummary& a, const store::MetricSummary& b) {
            // As JSON, so that NaN equals NaN.
            const auto shown = [](const store::MetricSummary& m) {
                return Json::array({m.count, m.lastStep, base::numberToJson(m.last), base::numberToJson(m.min), base::numberToJson(m.max)});
            };
            return shown(a) == shown(b);
        };
        const bool equal = pair.first != nullptr && pair.second != nullptr && equalMembers(*pair.first, *pair.second);
        // Times and rates differ from one run to the next whatever they compute.
        const bool measured = key.first.find("seconds") != std::string::npos || key.first.find("per_second") != std::string::npos;
        same = same && (equal || measured);
        out.push_back({{"name", key.first},
                       {"rank", key.second == wire::kNoRank ? Json() : Json(key.second)},
                       {"left", value(pair.first)},
                       {"right", value(pair.second)},
                       {"equal", equal}});
    }
    return out;
}

Json changesJson(const std::vector<runs::SnapshotChange>& changes) {
    Json out = Json::array();
    for (const runs::SnapshotChange& change : changes) {
        using Kind = runs::SnapshotChange::Kind;
        out.push_back({{"path", change.path},
                       {"change", change.kind == Kind::Added ? "added" : change.kind == Kind::Removed ? "removed" : "changed"},
                       {"left", change.left.empty() ? Json() : Json(change.left)},
                       {"right", change.right.empty() ? Json() : Json(change.right)}});
    }
    return out;
}

class EstimateCommand final : public Command {
public:
    using Command::Command;

private:
    void run(const Json& parameters) override {
        m_document = parameters.at("spec");
        const Result<spec::RunSpec> spec = runs::checkForLaunch(m_document);
        if (!spec.ok()) {
            finish(spec.error());
            return;
        }
        m_answer = Json{{"target", spec->target},
                        {"nodes", spec->distribution.nodes},
                        {"gpus", spec->distribution.gpus},
                        {"source", nullptr},
                        {"upload", nullptr},
                        {"upload_error", nullptr}};
        const base::Path folder = spec->taskKind == spec::TaskKind::Command ? base::Path(spec->command.sourceFolder) : base::Path();
        if (folder.empty()) {
            measure();
            return;
        }
        m_listing = std::make_unique<targets::ThreadOperation<runs::SourceList>>(
            [folder](const targets::KeepGoing& report) { return runs::listSource(folder, report); },
            std::function<void(std::int64_t)>{}, ifWanted([this](const Result<runs::SourceList>& list) {
                if (!list.ok()) {
                    finish(Error{list.error().code, list.error().message, "task.source_folder"});
                    return;
                }
                m_answer["source"] = Json{{"files", list->files.size()},
                                          {"bytes", list->bytes},
                                          {"ignore_file", list->ignoreFile},
                                          {"warnings", list->warnings}};
                reportProgress({-1, "Asking the target what it lacks", m_answer});
                measure();
            }));
    }

    /// A target that cannot be reached leaves the rest of the answer as good as it was.
    void measure() {
        m_ticket = session().runs().measureUpload(m_document, ifWanted([this](const Result<Json>& upload) {
                                                      m_ticket.reset();
                                                      if (upload.ok()) {
                                                          m_answer["upload"] = *upload;
                                                      } else {
                                                          m_answer["upload_error"] = upload.error().message;
                                                      }
                                                      finish(m_answer);
                                                  }));
    }

    void abort() override {
        m_listing.reset();
        if (m_ticket) {
            session().runs().stop(*m_ticket);
        }
        Command::abort();
    }

    Json m_document;
    Json m_answer;
    targets::OperationPtr m_listing;
    std::optional<runs::Ticket> m_ticket;
};

class SnapshotCommand final : public RunCommand {
public:
    using RunCommand::RunCommand;

private:
    void runOn(const store::RunRow& row, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        const std::string path = reader.string("path");
        if (const std::string other = reader.string("with"); !other.empty()) {
            session().query(
                this, QStringLiteral("other"), [other](store::Reader& index) { return index.findRun(other); },
                ifWanted([this, row, path](const Result<store::RunRow>& found) {
                    if (found.ok()) {
                        read(row, path, found->id);
                    } else {
                        finish(Error{found.error().code, found.error().message, "with"});
                    }
                }));
            return;
        }
        read(row, path, {});
    }

    void read(const store::RunRow& row, const std::string& path, const base::RunId& other) {
        m_work = std::make_unique<targets::ThreadOperation<Json>>(
            [layout = session().workspace().layout, run = row.id, answer = runJson(row), path, other](const targets::KeepGoing&) {
                return shown(layout, run, answer, path, other);
            },
            std::function<void(std::int64_t)>{}, ifWanted([this](const Result<Json>& answer) { finish(answer); }));
    }

    static Result<Json> shown(const wire::WorkspaceLayout& layout, const base::RunId& run, Json answer, const std::string& path,
                              const base::RunId& other) {
        const auto snapshot = runs::readSnapshot(layout, run);
        if (!snapshot.ok()) {
            return snapshot.error();
        }
        if (!path.empty()) {
            return fileText(*snapshot, std::move(answer), path);
        }
        answer["folder"] = snapshot->folder.string();
        answer["taken_at"] = timeToJson(snapshot->t);
        answer["sha256"] = snapshot->sha256;
        answer["bytes"] = snapshot->bytes;
        answer["ignore_file"] = snapshot->ignoreFile;
        answer["warnings"] = snapshot->warnings;
        answer["git"] = snapshot->git;
        Json files = Json::array();
        for (const targets::SnapshotFile& file : snapshot->files) {
            files.push_back({{"path", file.path}, {"size", file.size}, {"sha256", file.sha256}, {"executable", file.executable}});
        }
        answer["files"] = std::move(files);
        if (other.isValid()) {
            const auto second = runs::readSnapshot(layout, other);
            if (!second.ok()) {
                return Error{second.error().code, second.error().message, "with"};
            }
            answer["changes"] = changesJson(runs::compareSnapshots(*snapshot, *second));
        }
        return answer;
    }

    static Result<Json> fileText(const runs::Snapshot& snapshot, Json answer, const std::string& path) {
        for (const targets::SnapshotFile& file : snapshot.files) {
            if (file.path != path) {
                continue;
            }
            const auto bytes = base::readFileRange(file.local, 0, kMostShownBytes);
            if (!bytes.ok()) {
                return bytes.error();
            }
            const bool binary = bytes->find('\0') != std::string::npos;
            answer["path"] = path;
            answer["size"] = file.size;
            answer["sha256"] = file.sha256;
            answer["binary"] = binary;
            answer["cut"] = file.size > static_cast<std::int64_t>(bytes->size());
            answer["text"] = binary ? Json() : Json(base::toValidUtf8(*bytes));
            return answer;
        }
        return Error{"run.output_unknown", "The snapshot has no file \"" + base::stripControl(path) + "\".", "path"};
    }

    void abort() override {
        m_work.reset();
        Command::abort();
    }

    targets::OperationPtr m_work;
};

class ReproduceCommand final : public RunCommand {
public:
    using RunCommand::RunCommand;

private:
    void runOn(const store::RunRow& row, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        session().query(
            this, QStringLiteral("spec"), [run = row.id](store::Reader& index) { return index.spec(run); },
            ifWanted([this, row, name = reader.string("name")](const Result<Json>& spec) { submit(row, name, spec); }));
    }

    void submit(const store::RunRow& row, const std::string& name, const Result<Json>& spec) {
        if (!spec.ok()) {
            finish(spec.error());
            return;
        }
        Json document = *spec;
        document["name"] = name.empty() ? row.name + " (again)" : name;
        spec::setValueAt(document, "tags.reproduces", std::to_string(row.number));
        const Json* source = spec::valueAt(document, "task.source_folder");
        const bool hasSource = source != nullptr && source->is_string() && !source->get_ref<const std::string&>().empty();
        std::error_code error;
        if (hasSource && !std::filesystem::exists(session().workspace().layout.snapshot(row.id), error)) {
            finish(Error{"snapshot.none", "Run " + std::to_string(row.number) + " has no snapshot of its source to run again.", "run"});
            return;
        }
        session().runs().submit(document, ifWanted([this, row](const Result<runs::Submitted>& submitted) {
            if (!submitted.ok()) {
                finish(submitted.error());
                return;
            }
            finish(Json{{"run", submitted->run.str()}, {"number", submitted->number}, {"name", submitted->name}, {"reproduces", row.number}});
        }), hasSource ? row.id : base::RunId());
    }
    void abort() override {}
};

class CompareCommand final : public RunCommand {
public:
    using RunCommand::RunCommand;

private:
    void runOn(const store::RunRow& row, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        session().query(
            this, QStringLiteral("compare"),
            [left = row, with = reader.string("with"), layout = session().workspace().layout](store::Reader& index) -> Result<Json> {
                const auto right = index.findRun(with);
                if (!right.ok()) {
                    return Error{right.error().code, right.error().message, "with"};
                }
                return compared(index, layout, left, *right);
            },
            ifWanted([this](const Result<Json>& answer) { finish(answer); }));
    }

    static Result<Json> compared(store::Reader& index, const wire::WorkspaceLayout& layout, const store::RunRow& left,
                                 const store::RunRow& right) {
        auto leftSpec = index.spec(left.id);
        auto rightSpec = index.spec(right.id);
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
        const auto leftSource = runs::readSnapshot(layout, left.id);
        const auto rightSource = runs::readSnapshot(layout, right.id);
        for (const auto* source : {&leftSource, &rightSource}) {
            if (!source->ok() && source->error().code != "snapshot.none") {
                return source->error();
            }
        }
        const Json files = changesJson(runs::compareSnapshots(leftSource.valueOr({}), rightSource.valueOr({})));
        bool metricsSame = !left.metrics.empty() || !right.metrics.empty();
        const Json metrics = compareMetrics(left, right, metricsSame);
        Json answer{{"left", runJson(left)}, {"right", runJson(right)}};
        answer["same"] = Json{{"spec", specs.empty()},
                              {"snapshot", files.empty()},
                              {"metrics", metrics.empty() ? Json() : Json(metricsSame)},
                              {"state", left.state == right.state}};
        answer["spec"] = std::move(specs);
        answer["files"] = files;
        answer["metrics"] = metrics;
        return answer;
    }
};

class FilesCommand final : public RunCommand {
public:
    using RunCommand::RunCommand;

private:
    void runOn(const store::RunRow& row, const Json&) override {
        m_row = row;
        session().query(
            this, QStringLiteral("outputs"), [run = row.id](store::Reader& index) { return index.outputs(run); },
            ifWanted([this](const Result<std::vector<store::OutputRow>>& outputs) {
                if (!outputs.ok()) {
                    finish(outputs.error());
                    return;
                }
                for (const store::OutputRow& output : *outputs) {
                    m_files[output.path] = Json{{"path", output.path}, {"size", output.size}, {"collected", output.collected}};
                }
                if (spec::isFinal(m_row.state)) {
                    answer();
                    return;
                }
                m_ticket = session().runs().listRemoteOutputs(
                    m_row.id, ifWanted([this](const Result<std::vector<targets::OutputFile>>& files) { add(files); }));
            }));
    }

    void add(const Result<std::vector<targets::OutputFile>>& files) {
        m_ticket.reset();
        if (!files.ok()) {
            finish(files.error());
            return;
        }
        for (const targets::OutputFile& file : *files) {
            m_files.try_emplace(file.path, Json{{"path", file.path}, {"size", file.size}, {"collected", false}});
        }
        answer();
    }

    void answer() {
        Json list = Json::array();
        for (auto& [path, file] : m_files) {
            list.push_back(std::move(file));
        }
        Json told = runJson(m_row);
        told["files"] = std::move(list);
        finish(std::move(told));
    }

    void abort() override {
        if (m_ticket) {
            session().runs().stop(*m_ticket);
        }
        Command::abort();
    }

    store::RunRow m_row;
    std::map<std::string, Json> m_files;
    std::optional<runs::Ticket> m_ticket;
};

/// run.collect and run.give-up: told to the service, which answers when it is done.
class CollectCommand final : public RunCommand {
public:
    using RunCommand::RunCommand;

private:
    void runOn(const store::RunRow& row, const Json&) override {
        const auto answer = ifWanted([this, row](const Status& done) { finish(done.ok() ? Result<Json>(runJson(row)) : done.error()); });
        if (info().id == "run.collect") {
            session().runs().collectAgain(row.id, answer);
        } else {
            session().runs().giveUp(row.id, answer);
        }
    }
};

CommandInfo info(const char* id, const char* title, const char* help, std::vector<spec::Field> parameters) {
    CommandInfo made;
    made.id = id;
    made.title = title;
    made.help = help;
    made.parameters = std::move(parameters);
    return made;
}

}  // namespace

void addRunSourceCommands(CommandTable& table) {
    using spec::FieldType;
    CommandInfo estimate = info("run.estimate", "Estimate run", "What would travel to the target, before anything does.", {});
    estimate.documents = {"spec"};
    table.add<EstimateCommand>(std::move(estimate));
    table.add<SnapshotCommand>(info(
        "run.snapshot", "Show source", "The source folder as the run took it with it.",
        {runField(), parameter("path", "File", FieldType::Text, "", "Shows this file of it."),
         parameter("with", "Other run", FieldType::Text, "", "Also what is different in the source of this run.")}));
    CommandInfo again = info("run.reproduce", "Reproduce run", "Submits a run again: the same source, data, target and seed.",
                             {runField(), parameter("name", "Name", FieldType::Text, "", "Empty: made from the run's name.")});
    again.writes = true;
    table.add<ReproduceCommand>(std::move(again));
    table.add<CompareCommand>(info("run.compare", "Compare runs", "What differs between two runs, and whether their metrics are equal.",
                                   {runField(), parameter("with", "Other run", FieldType::Text, Json(), "The run to compare with.", true)}));
    table.add<FilesCommand>(info("run.files", "List outputs", "A run's outputs, also while it goes on.", {runField()}));
    CommandInfo collect = info("run.collect", "Collect outputs", "Brings here what an ended run left on its target.", {runField()});
    collect.writes = true;
    table.add<CollectCommand>(std::move(collect));
    CommandInfo giveUp = info("run.give-up", "Give run up", "Ends a run that cannot be reached, whatever becomes of it there.", {runField()});
    giveUp.writes = true;
    giveUp.destructive = true;
    table.add<CollectCommand>(std::move(giveUp));
}

}  // namespace trainyard::commands
