#include "core/commands/Session.h"

#include <utility>

#include "core/commands/ReaderPool.h"
#include "core/commands/RunModels.h"
#include "core/runs/RunService.h"

namespace trainyard::commands {
namespace {

/// What start() gives for an id that no action has.
class UnknownCommand final : public Command {
public:
    using Command::Command;

private:
    void run(const Json&) override { finish(Error{"command.unknown", "There is no action \"" + info().id + "\"."}); }
};

CommandInfo unknownInfo(std::string_view id) {
    CommandInfo info;
    info.id = std::string(id);
    info.needsWorkspace = false;
    return info;
}

}  // namespace

Session::Session(SessionOptions options, QObject* parent) : QObject(parent), m_options(options) {}

Session::~Session() {
    // Commands hold a reference to this session, so they go before its parts.
    qDeleteAll(findChildren<Command*>(QString(), Qt::FindDirectChildrenOnly));
    m_readers.reset();
    m_runs.reset();
}

Command* Session::start(std::string_view id, Json parameters) {
    std::unique_ptr<Command> made = allCommands().make(id, *this);
    if (!made) {
        m_unknown.push_back(std::make_unique<CommandInfo>(unknownInfo(id)));
        made = std::make_unique<UnknownCommand>(*m_unknown.back(), *this);
        parameters = Json::object();
    }
    Command* command = made.release();
    command->setParent(this);
    connect(command, &Command::finished, command, &QObject::deleteLater);
    command->start(std::move(parameters));
    return command;
}

Command* Session::start(std::string_view id, Json parameters, QObject* context,
                        std::function<void(const Result<Json>&)> done) {
    Command* command = start(id, std::move(parameters));
    connect(command, &Command::finished, context,
            [done = std::move(done)](const Result<Json>& result) { done(result); });
    return command;
}

std::vector<runs::RecentWorkspace> Session::recentWorkspaces() { return runs::readRecentWorkspaces(); }

void Session::openWorkspace(const base::Path& folder, QObject* context, std::function<void(Status)> done,
                            std::function<void(double, std::string)> progress) {
    closeWorkspace();
    const QPointer<QObject> guard = context;
    const auto answer = [guard, done = std::move(done)](const Status& status) {
        if (guard) {
            done(status);
        }
    };
    Result<runs::Workspace> found = runs::openWorkspace(folder);
    if (!found.ok()) {
        const Error error = found.error();
        QMetaObject::invokeMethod(
            this, [answer, error] { answer(error); }, Qt::QueuedConnection);
        return;
    }
    runs::ServiceOptions options;
    options.followRuns = m_options.followRuns;
    options.registerModels = registerModelsOf(found->layout, found->index);
    m_runs = std::make_unique<runs::RunService>(*found, options);
    runs::RunService* service = m_runs.get();
    connect(service, &runs::RunService::changed, this, &Session::runsChanged);
    connect(service, &runs::RunService::ended, this, &Session::runEnded);
    connect(service, &runs::RunService::warned, this, &Session::runWarned);
    connect(service, &runs::RunService::troubled, this, &Session::troubled);
    connect(service, &runs::RunService::modelsChanged, this, &Session::modelsChanged);
    connect(service, &runs::RunService::reachChanged, this, &Session::targetReachChanged);
    connect(service, &runs::RunService::questionAsked, this, &Session::questionAsked);
    service->open(
        [this, service, answer](const Status& opened) {
            if (!opened.ok()) {
                m_runs.release()->deleteLater();
                answer(opened);
                return;
            }
            m_workspace = service->workspace();
            m_readers = std::make_unique<ReaderPool>(m_workspace->index, m_options.readers);
            if (const Status noted = runs::noteRecentWorkspace(*m_workspace); !noted.ok()) {
                Q_EMIT troubled(QString::fromStdString(noted.error().code),
                                QString::fromStdString(noted.error().message));
            }
            Q_EMIT workspaceOpened();
            answer(opened);
        },
        [guard, progress = std::move(progress)](double fraction, const std::string& text) {
            if (guard && progress) {
                progress(fraction, text);
            }
        });
}

void Session::closeWorkspace() {
    const bool wasOpen = m_workspace.has_value();
    // What they wait for will never come.
    for (Command* command : findChildren<Command*>(QString(), Qt::FindDirectChildrenOnly)) {
        if (command->info().needsWorkspace) {
            command->finish(Error{"workspace.closed", "The workspace was closed meanwhile."});
        }
    }
    m_readers.reset();
    m_runs.reset();
    m_workspace.reset();
    if (wasOpen) {
        Q_EMIT workspaceClosed();
    }
}

void Session::noteModelsChanged() { Q_EMIT modelsChanged(); }
void Session::noteDatasetsChanged() { Q_EMIT datasetsChanged(); }
void Session::noteDraftsChanged() { Q_EMIT draftsChanged(); }

void Session::noteTargetsChanged() { Q_EMIT targetsChanged(); }

void Session::noteEnvironmentsChanged() { Q_EMIT environmentsChanged(); }

targets::Reach Session::reach(const std::string& target) const {
    return m_runs ? m_runs->reach(target) : targets::Reach();
}

void Session::answerQuestion(std::int64_t question, std::optional<std::string> text) {
    if (m_runs) {
        m_runs->answer(question, std::move(text));
    }
}

void Session::enqueueQuery(QObject* context, const QString& key, QueryWork work) {
    if (m_readers) {
        m_readers->enqueue(context, key, std::move(work));
        return;
    }
    QMetaObject::invokeMethod(
        context == nullptr ? this : context,
        [work = std::move(work)] {
            work(Error{"workspace.none", "No workspace is open."})();
        },
        Qt::QueuedConnection);
}

void Session::enqueueWrite(QObject* context, WriteWork work) {
    if (!m_runs) {
        QMetaObject::invokeMethod(
            context == nullptr ? this : context,
            [work = std::move(work)] {
                work(Error{"workspace.none", "No workspace is open."})();
            },
            Qt::QueuedConnection);
        return;
    }
    const QPointer<QObject> guard = context;
    m_runs->write([work = std::move(work), guard, any = context == nullptr](Result<store::Writer*> writer) {
        return std::function<void()>([guard, any, finish = work(std::move(writer))] {
            if (any || guard) {
                finish();
            }
        });
    });
}

}  // namespace trainyard::commands
