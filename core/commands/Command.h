#pragma once
// One user action: a stable id, a parameter schema, an asynchronous start. The window and the CLI call only these, so
// what one can do the other can do too. An instance is one invocation and is used once.
#include <QObject>
#include <QPointer>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/spec/Field.h"

namespace trainyard::commands {

using base::Error;
using base::Json;
using base::Result;
using base::Status;

class Session;

/// What an action is, for palettes, menus, help texts and forms.
struct CommandInfo {
    std::string id;     ///< "run.submit": stable; also the action id of the window.
    std::string title;  ///< "Submit run"
    std::string help;   ///< One sentence.
    /// Parameters by their top-level name. Values are checked against it before the action starts.
    std::vector<spec::Field> parameters{};
    /// Parameters that hold a whole document (an object) which the action validates itself: "spec".
    std::vector<std::string> documents{};
    bool needsWorkspace = true;
    bool writes = false;       ///< Refused with "workspace.read_only" while the workspace cannot be written.
    bool destructive = false;  ///< The faces ask before they start it.
};

struct CommandProgress {
    double fraction = -1;  ///< 0–1; negative while it is not known.
    std::string text;      ///< What is being done, for people; may be empty.
    Json detail;  ///< Action-specific members (run.watch: the run's progress record); null when there are none.
};

/// Lives in the session's thread (the main thread). finished() is emitted exactly once, always later than start()
/// returned, so connecting after start() is safe.
class Command : public QObject {
    Q_OBJECT
public:
    enum class State { Ready, Running, Finished };

    Command(const CommandInfo& info, Session& session);
    ~Command() override;

    [[nodiscard]] const CommandInfo& info() const { return m_info; }
    [[nodiscard]] State state() const { return m_state; }
    /// Legal while Ready. Wrong parameters end it with the field's error; a missing workspace with "workspace.none".
    void start(Json parameters);
    /// Asks it to end early. Legal at any time; what cannot be undone any more still finishes with its result. A
    /// command that stops ends with the error "canceled".
    void cancel();
    /// Legal once Finished.
    [[nodiscard]] const Result<Json>& result() const { return *m_result; }

Q_SIGNALS:
    void progressed(const trainyard::commands::CommandProgress& progress);
    void finished(const trainyard::base::Result<trainyard::base::Json>& result);

protected:
    /// Begins the work and returns soon; `parameters` has passed the schema and has its defaults filled in.
    virtual void run(const Json& parameters) = 0;
    /// Called at most once, while Running. The default ends the command at once with "canceled".
    virtual void abort();

    void reportProgress(CommandProgress progress);
    /// Ends the command; later calls are ignored. May be called inside run().
    void finish(Result<Json> result);
    [[nodiscard]] Session& session() const { return m_session; }
    [[nodiscard]] bool cancelAsked() const { return m_cancelAsked; }
    /// Wraps a callback so that it does nothing once this command is gone or has ended.
    template <class F>
    [[nodiscard]] auto ifWanted(F call) {
        return [guard = QPointer<Command>(this), call = std::move(call)](auto&&... arguments) {
            if (guard && guard->m_state == State::Running && !guard->m_pending) {
                call(std::forward<decltype(arguments)>(arguments)...);
            }
        };
    }

private:
    friend class Session;
    const CommandInfo& m_info;
    Session& m_session;
    State m_state = State::Ready;
    bool m_cancelAsked = false;
    std::optional<Result<Json>> m_pending;  ///< Set by finish(), emitted from the event loop.
    std::optional<Result<Json>> m_result;
};

/// Every action of the program. Filled once by allCommands(); never changes afterwards.
class CommandTable {
public:
    using Maker = std::function<std::unique_ptr<Command>(const CommandInfo&, Session&)>;

    void add(CommandInfo info, Maker maker);
    /// Adds a class whose constructor is (const CommandInfo&, Session&).
    template <class C>
    void add(CommandInfo info) {
        add(std::move(info), [](const CommandInfo& i, Session& s) { return std::make_unique<C>(i, s); });
    }
    [[nodiscard]] const CommandInfo* find(std::string_view id) const;
    /// nullptr for an unknown id.
    [[nodiscard]] std::unique_ptr<Command> make(std::string_view id, Session& session) const;
    [[nodiscard]] std::vector<const CommandInfo*> all() const;

private:
    struct Entry {
        CommandInfo info;
        Maker maker;
    };
    std::vector<std::unique_ptr<Entry>> m_entries;
};

[[nodiscard]] const CommandTable& allCommands();

/// The groups, each in a file of its own.
void addWorkspaceCommands(CommandTable& table);
void addRunCommands(CommandTable& table);
void addRunEditCommands(CommandTable& table);
void addRunSourceCommands(CommandTable& table);
void addRunRecordCommands(CommandTable& table);
void addModelCommands(CommandTable& table);
void addTargetCommands(CommandTable& table);
void addEnvironmentCommands(CommandTable& table);

}  // namespace trainyard::commands
