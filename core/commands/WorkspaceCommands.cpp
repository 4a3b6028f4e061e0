#include <QPointer>
#include <system_error>
#include <utility>

#include "core/base/Clock.h"
#include "core/commands/RunCommand.h"
#include "core/commands/RunJson.h"
#include "core/commands/Sample.h"
#include "core/commands/Session.h"
#include "core/runs/RunService.h"
#include "core/store/Reader.h"

namespace trainyard::commands {
namespace {

Json workspaceJson(const runs::Workspace& workspace) {
    return Json{{"root", workspace.layout.root.string()},
                {"name", workspace.name},
                {"id", workspace.id},
                {"read_only", workspace.readOnly},
                {"reason", workspace.readOnlyReason},
                {"index", workspace.index.database.string()}};
}

base::Path absolutePath(const std::string& text) {
    std::error_code error;
    return std::filesystem::absolute(base::Path(text), error);
}

/// Opens a folder in the session and ends with what it is.
class OpeningCommand : public Command {
public:
    using Command::Command;

protected:
    void open(const base::Path& folder, Json extra = Json::object()) {
        session().openWorkspace(folder, this, ifWanted([this, extra](const Status& opened) {
                                    if (!opened.ok()) {
                                        finish(opened.error());
                                        return;
                                    }
                                    Json result = workspaceJson(session().workspace());
                                    result.update(extra);
                                    finish(std::move(result));
                                }),
                                ifWanted([this](double fraction, const std::string& text) {
                                    reportProgress({fraction, text, {}});
                                }));
    }
    /// Once its parts are being opened it cannot be stopped half-way.
    void abort() override {}
};

class InitCommand final : public OpeningCommand {
public:
    using OpeningCommand::OpeningCommand;

private:
    void run(const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        const std::string folder = reader.string("folder");
        const bool sample = reader.boolean("sample");
        const std::string name = reader.string("name");
        Result<runs::Workspace> made = runs::initWorkspace(absolutePath(folder), name);
        const bool existed = !made.ok() && made.error().code == "workspace.exists";
        if (sample && existed && name.empty()) {
            made = runs::openWorkspace(absolutePath(folder));
        }
        if (!made.ok()) {
            finish(made.error());
            return;
        }
        Json extra = Json::object();
        if (sample) {
            Result<Json> files = makeSample(made->layout, existed ? SampleFiles::Missing : SampleFiles::All);
            if (!files.ok()) {
                finish(files.error());
                return;
            }
            extra["sample"] = std::move(*files);
        }
        open(made->layout.root, std::move(extra));
    }
};

class OpenCommand final : public OpeningCommand {
public:
    using OpeningCommand::OpeningCommand;

private:
    void run(const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        const std::string folder = reader.string("folder");
        if (!folder.empty()) {
            open(absolutePath(folder));
            return;
        }
        const std::vector<runs::RecentWorkspace> recent = Session::recentWorkspaces();
        if (recent.empty()) {
            finish(Error{"workspace.none", "No workspace was opened before; name its folder.", "folder"});
            return;
        }
        open(recent.front().root);
    }
};

class CloseCommand final : public Command {
public:
    using Command::Command;

private:
    void run(const Json&) override {
        session().closeWorkspace();
        finish(Json::object());
    }
};

class ShowCommand final : public Command {
public:
    using Command::Command;

private:
    struct Numbers {
        store::Counts runs;
        std::int64_t models = 0;
    };

    void run(const Json&) override {
        session().query(
            this, QStringLiteral("show"),
            [](store::Reader& index) -> Result<Numbers> {
                Numbers numbers;
                const auto counts = index.counts();
                if (!counts.ok()) {
                    return counts.error();
                }
                const auto models = index.models();
                if (!models.ok()) {
                    return models.error();
                }
                numbers.runs = *counts;
                numbers.models = static_cast<std::int64_t>(models->size());
                return numbers;
            },
            ifWanted([this](const Result<Numbers>& numbers) { answer(numbers); }));
    }

    void answer(const Result<Numbers>& numbers) {
        if (!numbers.ok()) {
            finish(numbers.error());
            return;
        }
        Json result = workspaceJson(session().workspace());
        const store::Counts& runs = numbers->runs;
        result["runs"] = Json{{"all", runs.all},       {"archived", runs.archived}, {"preparing", runs.preparing},
                              {"queued", runs.queued}, {"running", runs.running},   {"completed", runs.completed},
                              {"failed", runs.failed}, {"canceled", runs.canceled}, {"lost", runs.lost}};
        result["models"] = numbers->models;
        const auto space = base::diskSpace(session().workspace().layout.root);
        result["disk_free_bytes"] = space.ok() ? Json(space->freeBytes) : Json();
        finish(std::move(result));
    }
};

class RecentCommand final : public Command {
public:
    using Command::Command;

private:
    void run(const Json&) override {
        Json list = Json::array();
        for (const runs::RecentWorkspace& one : Session::recentWorkspaces()) {
            std::error_code error;
            list.push_back(Json{{"root", one.root.string()},
                                {"name", one.name},
                                {"opened_at", timeToJson(one.openedAt)},
                                {"exists", std::filesystem::exists(wire::WorkspaceLayout{one.root}.marker(), error)}});
        }
        finish(Json{{"workspaces", std::move(list)}});
    }
};

class ForgetCommand final : public Command {
public:
    using Command::Command;

private:
    void run(const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        const Status forgotten = runs::forgetRecentWorkspace(absolutePath(reader.string("folder")));
        finish(forgotten.ok() ? Result<Json>(Json::object()) : forgotten.error());
    }
};

class SampleCommand final : public Command {
public:
    using Command::Command;

private:
    void run(const Json&) override {
        Result<Json> made = makeSample(session().workspace().layout);
        if (made.ok()) {
            session().noteDraftsChanged();
            session().noteDatasetsChanged();
        }
        finish(std::move(made));
    }
};

class DraftsCommand final : public Command {
public:
    using Command::Command;

private:
    void run(const Json&) override { finish(listDrafts(session().workspace().layout)); }
};

class RebuildCommand final : public Command {
public:
    using Command::Command;

private:
    void run(const Json&) override {
        m_startedAt = base::monotonicNanos();
        session().runs().rebuild(ifWanted([this](const Result<store::CatchUpReport>& report) { answer(report); }),
                                 ifWanted([this](double fraction, const std::string& text) {
                                     reportProgress({fraction, text, {}});
                                 }));
    }
    void answer(const Result<store::CatchUpReport>& report) {
        if (!report.ok()) {
            finish(report.error());
            return;
        }
        Json problems = Json::array();
        for (const Error& problem : report->problems) {
            problems.push_back(Json{{"code", problem.code}, {"message", problem.message}});
        }
        finish(Json{{"runs", report->runs},
                    {"records", report->records},
                    {"models", report->models},
                    {"problems", std::move(problems)},
                    {"seconds", static_cast<double>(base::monotonicNanos() - m_startedAt) / 1e9}});
    }
    /// The old index is gone already: it has to come to its end.
    void abort() override {}

    std::int64_t m_startedAt = 0;
};

CommandInfo outside(CommandInfo made) {
    made.needsWorkspace = false;
    return made;
}

CommandInfo writing(CommandInfo made) {
    made.writes = true;
    return made;
}

}  // namespace

void addWorkspaceCommands(CommandTable& table) {
    using spec::FieldType;
    const spec::Field folder =
        parameter("folder", "Folder", FieldType::Folder, Json(), "The workspace's folder.", true);
    spec::Field anyFolder = parameter("folder", "Folder", FieldType::Folder, "",
                                      "The workspace's folder; empty for the one that was opened last.");
    table.add<InitCommand>(outside(commandInfo(
        "workspace.init", "New workspace",
        "Makes a workspace in an empty or a new folder and opens it. With the sample, an existing workspace is "
        "opened and gets what it lacks of it.",
        {folder, parameter("name", "Name", FieldType::Text, "", "For people; empty for the folder's name."),
         parameter("sample", "Sample", FieldType::Boolean, false,
                   "Puts an experiment on Fashion-MNIST into it that is ready to be started.")})));
    table.add<OpenCommand>(outside(commandInfo("workspace.open", "Open workspace", "Opens a workspace.", {anyFolder})));
    table.add<CloseCommand>(
        outside(commandInfo("workspace.close", "Close workspace", "Closes the workspace; its runs go on.")));
    table.add<ShowCommand>(commandInfo("workspace.show", "Show workspace", "Where it is, how much is in it."));
    table.add<RecentCommand>(
        outside(commandInfo("workspace.recent", "Recent workspaces", "Workspaces opened before.")));
    table.add<ForgetCommand>(
        outside(commandInfo("workspace.forget", "Forget workspace",
                            "Takes a workspace off the list of recent ones; its files stay.", {folder})));
    table.add<SampleCommand>(writing(
        commandInfo("workspace.sample", "Add the sample", "Puts an experiment on Fashion-MNIST into the workspace.")));
    table.add<DraftsCommand>(commandInfo("workspace.drafts", "Drafts", "Experiments that are ready to be started."));
    table.add<RebuildCommand>(writing(
        commandInfo("workspace.rebuild", "Rebuild the index", "Makes the index anew from the workspace's files.")));
}

}  // namespace trainyard::commands
