// What a run was made from and what it leaves: estimate, snapshot, reproduce, compare, files, collect.
#include <map>
#include <optional>
#include <utility>

#include "core/base/Text.h"
#include "core/commands/EnvironmentJson.h"
#include "core/commands/RunCommand.h"
#include "core/commands/RunJson.h"
#include "core/commands/Session.h"
#include "core/runs/Comparison.h"
#include "core/runs/RunService.h"
#include "core/runs/Snapshot.h"
#include "core/runs/Submission.h"
#include "core/spec/RunSpec.h"
#include "core/store/Reader.h"
#include "core/targets/Operations.h"

namespace trainyard::commands {
namespace {

constexpr std::int64_t kMostShownBytes = 1 << 20;

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
        const auto environment = runs::environmentOf(session().workspace().layout, *spec);
        if (!environment.ok()) {
            finish(environment.error());
            return;
        }
        m_answer["environment"] =
            environmentEstimate(*environment, runs::targetFacts(session().workspace().layout, spec->target));
        const base::Path folder =
            spec->taskKind == spec::TaskKind::Command ? base::Path(spec->command.sourceFolder) : base::Path();
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
            [layout = session().workspace().layout, run = row.id, answer = runReference(row), path,
             other](const targets::KeepGoing&) { return shown(layout, run, answer, path, other); },
            std::function<void(std::int64_t)>{}, ifWanted([this](const Result<Json>& answer) { finish(answer); }));
    }

    static Result<Json> shown(const wire::WorkspaceLayout& layout, const base::RunId& run, Json answer,
                              const std::string& path, const base::RunId& other) {
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
            files.push_back(
                {{"path", file.path}, {"size", file.size}, {"sha256", file.sha256}, {"executable", file.executable}});
        }
        answer["files"] = std::move(files);
        if (other.isValid()) {
            const auto second = runs::readSnapshot(layout, other);
            if (!second.ok()) {
                return Error{second.error().code, second.error().message, "with"};
            }
            answer["changes"] = runs::changesJson(runs::compareSnapshots(*snapshot, *second));
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
        const Json* source = spec::valueAt(document, "task.source_folder");
        const bool hasSource =
            source != nullptr && source->is_string() && !source->get_ref<const std::string&>().empty();
        std::error_code error;
        if (hasSource && !std::filesystem::exists(session().workspace().layout.snapshot(row.id), error)) {
            finish(Error{"snapshot.none",
                         "Run " + std::to_string(row.number) + " has no snapshot of its source to run again.", "run"});
            return;
        }
        session().runs().submit(document, ifWanted([this, row](const Result<runs::Submitted>& submitted) {
                                    if (!submitted.ok()) {
                                        finish(submitted.error());
                                        return;
                                    }
                                    finish(Json{{"run", submitted->run.str()},
                                                {"number", submitted->number},
                                                {"name", submitted->name},
                                                {"reproduces", row.number}});
                                }),
                                hasSource ? row.id : base::RunId(), row.id);
    }
    void abort() override {}
};

class CompareCommand final : public RunCommand {
public:
    using RunCommand::RunCommand;

private:
    void runOn(const store::RunRow& row, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        m_work = std::make_unique<targets::ThreadOperation<Json>>(
            [left = row.id, with = reader.string("with"), points = reader.boolean("points"),
             workspace = session().workspace()](const targets::KeepGoing& report) {
                return compared(workspace, left, with, points, report);
            },
            [this](std::int64_t points) {
                reportProgress({-1, "Compared " + std::to_string(points) + " points", {}});
            },
            ifWanted([this](const Result<Json>& answer) { finish(answer); }));
    }

    static Result<Json> compared(const runs::Workspace& workspace, const base::RunId& run, const std::string& with,
                                 bool points, const targets::KeepGoing& report) {
        const auto index = store::Reader::open(workspace.index);
        if (!index.ok()) {
            return index.error();
        }
        const auto left = index->run(run);
        const auto right = index->findRun(with);
        if (!left.ok() || !right.ok()) {
            return left.ok() ? Error{right.error().code, right.error().message, "with"} : left.error();
        }
        return runs::compareRuns(workspace.layout, *index, *left, *right, points, report);
    }

    void abort() override {
        m_work.reset();
        Command::abort();
    }

    targets::OperationPtr m_work;
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
                    m_files[output.path] =
                        Json{{"path", output.path}, {"size", output.size}, {"collected", output.collected}};
                }
                if (spec::isFinal(m_row.state)) {
                    answer();
                    return;
                }
                m_ticket = session().runs().listRemoteOutputs(
                    m_row.id, ifWanted([this](const Result<targets::OutputList>& list) { add(list); }));
            }));
    }

    void add(const Result<targets::OutputList>& list) {
        m_ticket.reset();
        if (!list.ok()) {
            finish(list.error());
            return;
        }
        m_silent = list->silent;
        for (const targets::OutputFile& file : list->files) {
            m_files.try_emplace(file.path, Json{{"path", file.path}, {"size", file.size}, {"collected", false}});
        }
        answer();
    }

    void answer() {
        Json list = Json::array();
        for (auto& [path, file] : m_files) {
            list.push_back(std::move(file));
        }
        Json told = runReference(m_row);
        told["files"] = std::move(list);
        addSilent(told, m_silent);
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
    std::vector<targets::SilentHost> m_silent;
    std::optional<runs::Ticket> m_ticket;
};

/// run.collect and run.give-up: told to the service, which answers when it is done.
class CollectCommand final : public RunCommand {
public:
    using RunCommand::RunCommand;

private:
    void runOn(const store::RunRow& row, const Json&) override {
        const auto answer = ifWanted(
            [this, row](const Status& done) { finish(done.ok() ? Result<Json>(runReference(row)) : done.error()); });
        if (info().id == "run.collect") {
            session().runs().collectAgain(row.id, answer);
        } else {
            session().runs().giveUp(row.id, answer);
        }
    }
};

}  // namespace

void addRunSourceCommands(CommandTable& table) {
    using spec::FieldType;
    CommandInfo estimate =
        commandInfo("run.estimate", "Estimate run", "What would travel to the target, before anything does.", {});
    estimate.documents = {"spec"};
    table.add<EstimateCommand>(std::move(estimate));
    table.add<SnapshotCommand>(commandInfo(
        "run.snapshot", "Show source", "The source folder as the run took it with it.",
        {runField(), parameter("path", "File", FieldType::Text, "", "Shows this file of it."),
         parameter("with", "Other run", FieldType::Text, "", "Also what is different in the source of this run.")}));
    CommandInfo again = commandInfo(
        "run.reproduce", "Reproduce run",
        "Submits a run again: the same source, data, environment, target and seed; says at its end what was different.",
        {runField(), parameter("name", "Name", FieldType::Text, "", "Empty: made from the run's name.")});
    again.writes = true;
    table.add<ReproduceCommand>(std::move(again));
    table.add<CompareCommand>(commandInfo(
        "run.compare", "Compare runs", "What differs between two runs, and whether their metrics are equal.",
        {runField(), parameter("with", "Other run", FieldType::Text, Json(), "The run to compare with.", true),
         parameter("points", "All points", FieldType::Boolean, false,
                   "Compares every reported value, not the last and best alone.")}));
    table.add<FilesCommand>(
        commandInfo("run.files", "List outputs", "A run's outputs, also while it goes on.", {runField()}));
    CommandInfo collect = commandInfo("run.collect", "Collect outputs",
                                      "Brings here what an ended run left on its target.", {runField()});
    collect.writes = true;
    table.add<CollectCommand>(std::move(collect));
    CommandInfo giveUp = commandInfo("run.give-up", "Give run up",
                                     "Ends a run that cannot be reached, whatever becomes of it there.", {runField()});
    giveUp.writes = true;
    giveUp.destructive = true;
    table.add<CollectCommand>(std::move(giveUp));
}

}  // namespace trainyard::commands
