#pragma once
// The runs of one workspace, seen from the main thread. Owns the store thread, where all writing, following and looking
// after runs is done.
#include <QObject>
#include <QString>
#include <QThread>
#include <functional>
#include <map>
#include <memory>
#include <optional>
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

/// Lives in the main thread, which runs an event loop. Callbacks arrive there, never inside the call; none arrives
/// after the service is gone.
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

    /// Answered when the run's agent was started. Errors: spec.*, run.*, target.*, file.*, store.*; when it was an
    /// error of the target, the run is in the history as Failed. `snapshotFrom`, when valid: the source is the snapshot
    /// of that run ("snapshot.none" when it has none). `reproduces`, when valid: the run is kept as a repetition of
    /// that one and compared with it at its end. `onUpload` gets, until it is answered, what the journal says of the
    /// way to the target: an "upload" record.
    void submit(base::Json document, std::function<void(base::Result<Submitted>)> done, base::RunId snapshotFrom = {},
                base::RunId reproduces = {}, std::function<void(base::Json)> onUpload = {});
    /// Answered when the run was told; its end arrives later as a change. "run.ended" when it has ended already.
    void cancel(const base::RunId& run, std::function<void(base::Status)> done);
    /// Writes journal entries that do not touch the state: rename, notes, tags, archive.
    void edit(const base::RunId& run, std::vector<JournalEntry> entries, std::function<void(base::Status)> done);
    /// Ends a run that cannot be reached, without knowing what becomes of it there. "run.ended", "run.reachable",
    /// "lock.held" (another process follows it).
    void giveUp(const base::RunId& run, std::function<void(base::Status)> done);
    /// Removes a run with all its files, here and on its target. "run.running" while it has not ended;
    /// "run.target_unreachable" when its rest there cannot be removed now and `way` asks. Answers with the bytes that
    /// were freed here.
    void remove(const base::RunId& run, std::function<void(base::Result<std::int64_t>)> done,
                RemoveWay way = RemoveWay::Ask);
    /// Brings outputs of an ended run that were left on its target: after a collection that was canceled.
    void collectAgain(const base::RunId& run, std::function<void(base::Status)> done);
    /// Answered when what lies at the targets now is in the index, or after `millis`.
    void settle(int millis, std::function<void()> done);
    /// Makes the index anew from the files. Following pauses meanwhile.
    void rebuild(std::function<void(base::Result<store::CatchUpReport>)> done, Progress progress = {});
    /// Runs in the store thread; the function it returns is called here.
    void write(std::function<std::function<void()>(base::Result<store::Writer*>)> work);

    // Targets. Each call that returns a ticket can be stopped by it and then ends with "canceled". Errors:
    // "target.unknown" and those of targets::Target.
    [[nodiscard]] Ticket connectTarget(const std::string& target, std::function<void(base::Status)> done);
    [[nodiscard]] Ticket doctor(const std::string& target, std::function<void(targets::DoctorLine)> onLine,
                                std::function<void(base::Result<std::vector<targets::DoctorLine>>)> done);
    [[nodiscard]] Ticket load(const std::string& target, std::function<void(base::Result<base::Json>)> done);
    [[nodiscard]] Ticket cache(const std::string& target,
                               std::function<void(base::Result<std::vector<targets::CacheEntry>>)> done);
    [[nodiscard]] Ticket clearCache(const std::string& target, std::vector<targets::CacheEntry> entries,
                                    std::function<void(base::Result<std::int64_t>)> done);
    [[nodiscard]] Ticket buildEngine(const std::string& target, std::function<void(std::string)> onLine,
                                     std::function<void(base::Result<base::Json>)> done);
    /// What of a launch its target lacks, by a document as for submit(): as Target::measureUpload.
    [[nodiscard]] Ticket measureUpload(base::Json document, std::function<void(base::Result<base::Json>)> done);
    /// Asks the agents of a run on its target for something: Target::command.
    [[nodiscard]] Ticket tell(const base::RunId& run, const std::string& target, const std::string& command,
                              std::function<void(base::Status)> done);
    /// What lies in a run's outputs on its target now; of several hosts those that answer tell.
    [[nodiscard]] Ticket listRemoteOutputs(const base::RunId& run,
                                           std::function<void(base::Result<targets::OutputList>)> done);
    /// Brings one of them, also while the run goes on. Answers with the file here. `onProgress` gets bytes done.
    [[nodiscard]] Ticket fetchFile(const base::RunId& run, const std::string& path,
                                   std::function<void(std::int64_t)> onProgress,
                                   std::function<void(base::Result<base::Path>)> done);
    void stop(Ticket ticket);
    /// Of a target that was used since the workspace was opened; Unknown otherwise.
    [[nodiscard]] targets::Reach reach(const std::string& target) const;
    /// To be called when a definition was written or removed: the next use takes the new one.
    void targetChanged(const std::string& target);
    /// Nothing or an empty text means no.
    void answer(std::int64_t question, std::optional<std::string> text);

Q_SIGNALS:
    void reachChanged(const QString& target, const trainyard::targets::Reach& reach);
    /// Somebody must answer(); unanswered, it times out and means no.
    void questionAsked(std::int64_t question, const trainyard::targets::Question& what);
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
    template <class T>
    Ticket onTarget(const std::string& target,
                    std::function<targets::OperationPtr(targets::Target&, targets::Done<T>)> start,
                    std::function<void(base::Result<T>)> done);

    Workspace m_workspace;
    QThread m_thread;
    Ticket m_lastTicket = 0;
    std::map<std::string, targets::Reach> m_reach;
    QObject* m_context = nullptr;         ///< Lives in the store thread: where work is posted to.
    std::unique_ptr<RunWorker> m_worker;  ///< Made, used and destroyed in the store thread.
};

}  // namespace trainyard::runs
