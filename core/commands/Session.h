#pragma once
// One face's view of one workspace: what is open, its runs, its index, and what changed. The window and the CLI own one
// each; several sessions, also of other processes, may have the same workspace open.
#include <QList>
#include <QObject>
#include <QPointer>
#include <QString>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Ids.h"
#include "core/base/Result.h"
#include "core/commands/Command.h"
#include "core/runs/RunChange.h"
#include "core/runs/Workspace.h"
#include "core/spec/RunState.h"
#include "core/targets/Target.h"

namespace trainyard::store {
class Reader;
class Writer;
}  // namespace trainyard::store
namespace trainyard::runs {
class RunService;
}

namespace trainyard::commands {

class ReaderPool;

struct SessionOptions {
    /// Take over the following of runs that nobody follows (the window: yes; one-shot CLI actions: only to catch up).
    bool followRuns = true;
    /// Threads that read the index, 1–4.
    int readers = 2;
};

/// Lives in the main thread, which must run an event loop; every signal and callback arrives there.
class Session : public QObject {
    Q_OBJECT
public:
    explicit Session(SessionOptions options = {}, QObject* parent = nullptr);
    /// Leaves every run going. Waits for the store thread to finish its present transaction (well below a second).
    ~Session() override;

    [[nodiscard]] bool isOpen() const { return m_workspace.has_value(); }
    /// Legal while isOpen(): root, name, id, whether and why it is read-only.
    [[nodiscard]] const runs::Workspace& workspace() const { return *m_workspace; }
    /// Legal while isOpen(). What the run.* commands use; the faces have no need of it.
    [[nodiscard]] runs::RunService& runs() const { return *m_runs; }

    /// Starts an action by its id ("run.submit"); the session owns the command and deletes it after finished().
    /// An unknown id gives a command that ends with "command.unknown".
    Command* start(std::string_view id, Json parameters);
    /// The same with a callback, which is dropped when `context` goes first.
    Command* start(std::string_view id, Json parameters, QObject* context,
                   std::function<void(const Result<Json>&)> done);

    /// Reads the index in a pool thread: `work(store::Reader&)` returns a Result<T>, `done(Result<T>)` is called in the
    /// main thread. The newest wins: a later query with the same context and key interrupts this one, whose `done` is
    /// then never called; nor is it when `context` is deleted or the workspace is closed meanwhile. Without an open
    /// workspace `done` gets "workspace.none". `work` must keep no reference to main-thread objects.
    template <class Work, class Done>
    void query(QObject* context, const QString& key, Work work, Done done) {
        using R = std::invoke_result_t<Work, store::Reader&>;
        enqueueQuery(
            context, key,
            [work = std::move(work), done = std::move(done)](Result<store::Reader*> reader) -> std::function<void()> {
                R result = reader.ok() ? work(*reader.value()) : R(reader.error());
                return [done, result = std::move(result)]() mutable { done(std::move(result)); };
            });
    }
    /// Writes through the one writer, in its thread, after everything asked before: `work(store::Writer&)` returns a
    /// Result<T>. `done` as in query(), but the work itself is never dropped once asked for.
    template <class Work, class Done>
    void write(QObject* context, Work work, Done done) {
        using R = std::invoke_result_t<Work, store::Writer&>;
        enqueueWrite(
            context,
            [work = std::move(work), done = std::move(done)](Result<store::Writer*> writer) -> std::function<void()> {
                R result = writer.ok() ? work(*writer.value()) : R(writer.error());
                return [done, result = std::move(result)]() mutable { done(std::move(result)); };
            });
    }

    /// Workspaces opened before, newest first, from $XDG_CONFIG_HOME/trainyard/recent.json.
    [[nodiscard]] static std::vector<runs::RecentWorkspace> recentWorkspaces();

    /// For the commands. Closes what is open, then opens `folder`; `done` in the main thread.
    void openWorkspace(const base::Path& folder, QObject* context, std::function<void(Status)> done,
                       std::function<void(double fraction, std::string text)> progress = {});
    void closeWorkspace();
    /// For the commands that write models, datasets or drafts: tells every page.
    void noteModelsChanged();
    void noteDatasetsChanged();
    void noteDraftsChanged();
    void noteTargetsChanged();
    void noteEnvironmentsChanged();

    /// Whether a target that was used since the workspace was opened answers; Unknown otherwise, and while none is
    /// open.
    [[nodiscard]] targets::Reach reach(const std::string& target) const;
    /// Answers what questionAsked() asked. Nothing, or an empty text, means no.
    void answerQuestion(std::int64_t question, std::optional<std::string> text);

Q_SIGNALS:
    void workspaceOpened();
    void workspaceClosed();
    /// After the change is in the index, at most about 25 times a second; runs that other processes wrote to included.
    /// An empty list: many things may have changed, read anew.
    void runsChanged(const QList<trainyard::runs::RunChange>& changes);
    /// Once for each run that this session saw reach Completed, Failed or Canceled (not on catching up with the past).
    void runEnded(const trainyard::base::RunId& run, trainyard::spec::RunState state, const QString& reason);
    /// A warning record arrived live: "train.nan", "log.dropped", …
    void runWarned(const trainyard::base::RunId& run, const QString& code, const QString& message);
    void modelsChanged();
    void datasetsChanged();
    void draftsChanged();
    /// Targets were defined, changed, removed or examined.
    void targetsChanged();
    /// Environments were defined, changed or removed.
    void environmentsChanged();
    void targetReachChanged(const QString& target, const trainyard::targets::Reach& reach);
    /// A host key, a password: somebody must answerQuestion(); unanswered, it times out and means no.
    void questionAsked(std::int64_t question, const trainyard::targets::Question& what);
    /// Something the session does by itself went wrong (disk full while copying a stream, index locked for long, …);
    /// shown in the status line. Empty code: it is well again.
    void troubled(const QString& code, const QString& message);

private:
    using QueryWork = std::function<std::function<void()>(Result<store::Reader*>)>;
    using WriteWork = std::function<std::function<void()>(Result<store::Writer*>)>;
    void enqueueQuery(QObject* context, const QString& key, QueryWork work);
    void enqueueWrite(QObject* context, WriteWork work);

    SessionOptions m_options;
    std::optional<runs::Workspace> m_workspace;
    std::unique_ptr<runs::RunService> m_runs;
    std::unique_ptr<ReaderPool> m_readers;
    std::vector<std::unique_ptr<CommandInfo>> m_unknown;  ///< Of commands that do not exist but were started.
};

}  // namespace trainyard::commands
