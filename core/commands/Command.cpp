#include "core/commands/Command.h"

#include <algorithm>
#include <utility>

#include "core/commands/DatasetJson.h"
#include "core/commands/Session.h"

namespace trainyard::commands {

Command::Command(const CommandInfo& info, Session& session) : m_info(info), m_session(session) {}

Command::~Command() = default;

void Command::start(Json parameters) {
    Q_ASSERT(m_state == State::Ready);
    m_state = State::Running;
    if (parameters.is_null()) {
        parameters = Json::object();
    }
    if (!parameters.is_object()) {
        finish(Error{"spec.type", "The parameters of an action are an object."});
        return;
    }
    for (const spec::Field& field : m_info.parameters) {
        if (spec::valueAt(parameters, field.path) == nullptr && !field.defaultValue.is_null()) {
            spec::setValueAt(parameters, field.path, field.defaultValue);
        }
    }
    for (const std::string& document : m_info.documents) {
        if (!parameters.contains(document) || !parameters[document].is_object()) {
            finish(Error{"spec.required", "\"" + document + "\" is missing; it is an object.", document});
            return;
        }
    }
    if (const std::vector<Error> errors = spec::checkDocument(m_info.parameters, parameters, m_info.documents);
        !errors.empty()) {
        finish(errors.front());
        return;
    }
    if (m_info.needsWorkspace && !m_session.isOpen()) {
        finish(Error{"workspace.none", "No workspace is open."});
        return;
    }
    if (m_info.writes && m_info.needsWorkspace && m_session.workspace().readOnly) {
        finish(Error{"workspace.read_only", m_session.workspace().readOnlyReason});
        return;
    }
    run(parameters);
}

void Command::cancel() {
    if (m_state != State::Running || m_pending || m_cancelAsked) {
        return;
    }
    m_cancelAsked = true;
    abort();
}

void Command::abort() { finish(Error{"canceled", "The action was canceled."}); }

void Command::reportProgress(CommandProgress progress) {
    if (m_state == State::Running && !m_pending) {
        Q_EMIT progressed(progress);
    }
}

void Command::finish(Result<Json> result) {
    if (m_state != State::Running || m_pending) {
        return;
    }
    m_pending = std::move(result);
    QMetaObject::invokeMethod(
        this,
        [this] {
            m_result = std::move(m_pending);
            m_pending.reset();
            m_state = State::Finished;
            Q_EMIT finished(*m_result);
        },
        Qt::QueuedConnection);
}

void CommandTable::add(CommandInfo info, Maker maker) {
    m_entries.push_back(std::make_unique<Entry>(Entry{std::move(info), std::move(maker)}));
}

const CommandInfo* CommandTable::find(std::string_view id) const {
    const auto found =
        std::find_if(m_entries.begin(), m_entries.end(), [&](const auto& entry) { return entry->info.id == id; });
    return found == m_entries.end() ? nullptr : &(*found)->info;
}

std::unique_ptr<Command> CommandTable::make(std::string_view id, Session& session) const {
    for (const auto& entry : m_entries) {
        if (entry->info.id == id) {
            return entry->maker(entry->info, session);
        }
    }
    return nullptr;
}

std::vector<const CommandInfo*> CommandTable::all() const {
    std::vector<const CommandInfo*> infos;
    infos.reserve(m_entries.size());
    for (const auto& entry : m_entries) {
        infos.push_back(&entry->info);
    }
    return infos;
}

const CommandTable& allCommands() {
    static const CommandTable table = [] {
        CommandTable filled;
        addWorkspaceCommands(filled);
        addRunCommands(filled);
        addRunEditCommands(filled);
        addRunSourceCommands(filled);
        addRunRecordCommands(filled);
        addModelCommands(filled);
        addTargetCommands(filled);
        addEnvironmentCommands(filled);
        addDatasetCommands(filled);
        return filled;
    }();
    return table;
}

}  // namespace trainyard::commands
