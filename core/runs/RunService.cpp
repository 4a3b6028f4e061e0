#include "core/runs/RunService.h"

#include <utility>

namespace trainyard::runs {

using base::Result;
using base::RunId;
using base::Status;

RunService::RunService(Workspace workspace, ServiceOptions options, QObject* parent)
    : QObject(parent), m_workspace(workspace) {
    m_thread.setObjectName(QStringLiteral("store"));
    m_context = new QObject;
    m_context->moveToThread(&m_thread);
    WorkerSink sink;
    sink.changed = [this](QList<RunChange> changes) { here([this, changes] { Q_EMIT changed(changes); }); };
    sink.ended = [this](RunId run, spec::RunState state, std::string reason) {
        here([this, run, state, reason] { Q_EMIT ended(run, state, QString::fromStdString(reason)); });
    };
    sink.warned = [this](RunId run, std::string code, std::string message) {
        here([this, run, code, message] {
            Q_EMIT warned(run, QString::fromStdString(code), QString::fromStdString(message));
        });
    };
    sink.troubled = [this](std::string code, std::string message) {
        here([this, code, message] { Q_EMIT troubled(QString::fromStdString(code), QString::fromStdString(message)); });
    };
    sink.modelsChanged = [this] { here([this] { Q_EMIT modelsChanged(); }); };
    m_thread.start();
    QMetaObject::invokeMethod(
        m_context,
        [this, workspace = std::move(workspace), options = std::move(options), sink = std::move(sink)] {
            m_worker = std::make_unique<RunWorker>(workspace, options, sink);
        },
        Qt::QueuedConnection);
}

RunService::~RunService() {
    // Followers, locks and the index are let go in their own thread; the context goes with it.
    QMetaObject::invokeMethod(
        m_context,
        [this] {
            m_worker.reset();
            m_context->deleteLater();
            m_thread.quit();
        },
        Qt::QueuedConnection);
    constexpr unsigned long kMostMillis = 30'000;
    if (!m_thread.wait(kMostMillis)) {
        m_thread.terminate();
        m_thread.wait(1000);
    }
}

void RunService::post(std::function<void(RunWorker&)> work) {
    QMetaObject::invokeMethod(
        m_context, [this, work = std::move(work)] { work(*m_worker); }, Qt::QueuedConnection);
}

void RunService::here(std::function<void()> work) {
    QMetaObject::invokeMethod(this, std::move(work), Qt::QueuedConnection);
}

template <class T>
std::function<void(T)> RunService::answerHere(std::function<void(T)> done) {
    return [this, done = std::move(done)](T result) {
        here([done, result = std::move(result)] { done(result); });
    };
}

RunService::Progress RunService::progressHere(Progress progress) {
    return [this, progress = std::move(progress)](double fraction, std::string text) {
        if (progress) {
            here([progress, fraction, text] { progress(fraction, text); });
        }
    };
}

void RunService::open(std::function<void(Status)> done, Progress progress) {
    post([this, done = std::move(done), progress = progressHere(std::move(progress))](RunWorker& worker) {
        Status opened = worker.open(progress);
        here([this, done, opened, workspace = worker.workspace()] {
            m_workspace = workspace;
            done(opened);
        });
        if (opened.ok()) {
            worker.begin();
        }
    });
}

void RunService::submit(base::Json document, std::function<void(Result<Submitted>)> done) {
    post([document = std::move(document), answer = answerHere<Result<Submitted>>(std::move(done))](RunWorker& worker) {
        worker.submit(document, answer);
    });
}

void RunService::cancel(const RunId& run, std::function<void(Status)> done) {
    post([run, answer = answerHere<Status>(std::move(done))](RunWorker& worker) { worker.cancel(run, answer); });
}

void RunService::edit(const RunId& run, std::vector<JournalEntry> entries, std::function<void(Status)> done) {
    post([run, entries = std::move(entries), answer = answerHere<Status>(std::move(done))](RunWorker& worker) {
        worker.edit(run, entries, answer);
    });
}

void RunService::remove(const RunId& run, std::function<void(Result<std::int64_t>)> done) {
    post([run, answer = answerHere<Result<std::int64_t>>(std::move(done))](RunWorker& worker) {
        worker.remove(run, answer);
    });
}

void RunService::settle(int millis, std::function<void()> done) {
    post([this, millis, done = std::move(done)](RunWorker& worker) {
        worker.settle(millis, [this, done] { here(done); });
    });
}

void RunService::rebuild(std::function<void(Result<store::CatchUpReport>)> done, Progress progress) {
    post([answer = answerHere<Result<store::CatchUpReport>>(std::move(done)),
          progress = progressHere(std::move(progress))](RunWorker& worker) { answer(worker.rebuild(progress)); });
}

void RunService::write(std::function<std::function<void()>(Result<store::Writer*>)> work) {
    post([this, work = std::move(work)](RunWorker& worker) { here(work(worker.writer())); });
}

}  // namespace trainyard::runs
