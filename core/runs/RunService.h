#pragma once
// The runs of one workspace, seen from the main thread. Owns the store thread, where all writing, following and looking
// after runs is done.
#include <QObject>
#include <QString>
#include <QThread>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/runs/Journal.h"
#include "core/runs/RunChange.h"
#include "core/runs/RunWorker.h"
#include "core/runs/Workspace.h"
#include "core/spec/RunState.h"
#include "core/store/Writer.h"

namespace trainyard::runs {

/// Lives in the main thread, which runs an event loop. Callbacks arrive there, never inside the call; none arrives after
/// the service is gone.
class RunService : public QObject {
    Q_OBJECT
public:
    using Progress = std::function<void(double fraction, std::string text)>;

    RunService(Workspace workspace, ServiceOptions options, QObject* parent = nullptr);
    /// Leaves every run going and frees their locks. Waits for the transaction that is under way.
    ~RunService() override;

    /// Legal once, before everything else. Errors: store.*; afterwards workspace() says whether it is read-only.
    void open(std::function<void(base::Status)> done, Progress progress = {});
    [[nodiscard]] const Workspace& workspace() const { return m_workspace; }

    /// Answered when the run's agent was started. Errors: spec.*, run.*, target.*, file.*, store.*; when it was an error of
    /// the target, the run is in the history as Failed.
    void submit(base::Json document, std::function<void(base::Result<Submitted>)> done);
    /// Answered when the run was told; its end arrives later as a change. "run.ended" when it has ended already.
    void cancel(const base::RunId& run, std::function<void(base::Status)> done);
    /// Writes journal entries that do not touch the state: rename, notes, tags, archive.
    void edit(const base::RunId& run, std::vector<JournalEntry> entries, std::function<void(base::Status)> done);
    /// Removes a run with all its files, here and on its target. "run.running" while it has not ended. Answers with the
    /// bytes that were freed.
    void remove(const base::RunId& run, std::function<void(base::Result<std::int64_t>)> done);
    /// Answered when what lies at the targets now is in the index, or after `millis`.
    void settle(int millis, std::function<void()> done);
    /// Makes the index anew from the files. Following pauses meanwhile.
    void rebuild(std::function<void(base::Result<store::CatchUpReport>)> done, Progress progress = {});
    /// Runs in the store thread; the function it returns is called here.
    void write(std::function<std::function<void()>(base::Result<store::Writer*>)> work);

Q_SIGNALS:
    void changed(const QList<trainyard::runs::RunChange>& changes);
    void ended(const trainyard::base::RunId& run, trainyard::spec::RunState state, const QString& reason);
    void warned(const trainyard::base::RunId& run, const QString& code, const QString& message);
    void troubled(const QString& code, const QString& message);
    void modelsChanged();

private:
    void post(std::function<void(RunWorker&)> work);
    void here(std::function<void()> work);
    template <class T>
    std::function<void(T)> answerHere(std::function<void(T)> done);
    [[nodiscard]] Progress progressHere(Progress progress);

    Workspace m_workspace;
    QThread m_thread;
    QObject* m_context = nullptr;         ///< Lives in the store thread: where work is posted to.
    std::unique_ptr<RunWorker> m_worker;  ///< Made, used and destroyed in the store thread.
};

}  // namespace trainyard::runs
