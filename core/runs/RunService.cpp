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
    sink.reachChanged = [this](std::string target, targets::Reach reach) {
        here([this, target, reach] {
            m_reach[target] = reach;
            Q_EMIT reachChanged(QString::fromStdString(target), reach);
        });
    };
    sink.asked = [this](std::int64_t question, targets::Question what) {
        here([this, question, what] { Q_EMIT questionAsked(question, what); });
    };
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
    return [this, done = std::move(done)](T result) { here([done, result = std::move(result)] { done(result); }); };
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

void RunService::submit(base::Json document, std::function<void(Result<Submitted>)> done, RunId snapshotFrom,
                        RunId reproduces, std::function<void(base::Json)> onUpload) {
    post([document = std::move(document), snapshotFrom, reproduces,
          answer = answerHere<Result<Submitted>>(std::move(done)),
          tell = onUpload ? answerHere<base::Json>(std::move(onUpload)) : nullptr](RunWorker& worker) {
        worker.submit(document, answer, snapshotFrom, reproduces, tell);
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

void RunService::giveUp(const RunId& run, std::function<void(Status)> done) {
    post([run, answer = answerHere<Status>(std::move(done))](RunWorker& worker) { answer(worker.giveUp(run)); });
}

void RunService::remove(const RunId& run, std::function<void(Result<std::int64_t>)> done, RemoveWay way) {
    post([run, way, answer = answerHere<Result<std::int64_t>>(std::move(done))](RunWorker& worker) {
        worker.remove(run, way, answer);
    });
}

void RunService::collectAgain(const RunId& run, std::function<void(Status)> done) {
    post([run, answer = answerHere<Status>(std::move(done))](RunWorker& worker) { worker.collectAgain(run, answer); });
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

// ---------------------------------------------------------------------------------------------------- targets

template <class T>
Ticket RunService::onTarget(const std::string& target,
                            std::function<targets::OperationPtr(targets::Target&, targets::Done<T>)> start,
                            std::function<void(Result<T>)> done) {
    const Ticket ticket = ++m_lastTicket;
    post([ticket, target, start = std::move(start), answer = answerHere<Result<T>>(std::move(done))](
             RunWorker& worker) { worker.onTarget<T>(ticket, target, start, answer); });
    return ticket;
}

namespace {

constexpr int kAskMillis = 60'000;
constexpr int kDoctorMillis = 300'000;

}  // namespace

Ticket RunService::connectTarget(const std::string& target, std::function<void(Status)> done) {
    return onTarget<void>(
        target,
        [](targets::Target& there, targets::DoneStatus connected) {
            return there.connect(base::Deadline::inMillis(kAskMillis), std::move(connected));
        },
        std::move(done));
}

Ticket RunService::doctor(const std::string& target, std::function<void(targets::DoctorLine)> onLine,
                          std::function<void(Result<std::vector<targets::DoctorLine>>)> done) {
    const auto lineHere = [this, onLine = std::move(onLine)](const targets::DoctorLine& line) {
        if (onLine) {
            here([onLine, line] { onLine(line); });
        }
    };
    return onTarget<std::vector<targets::DoctorLine>>(
        target,
        [lineHere](targets::Target& there, targets::Done<std::vector<targets::DoctorLine>> examined) {
            return there.doctor(base::Deadline::inMillis(kDoctorMillis), lineHere, std::move(examined));
        },
        std::move(done));
}

Ticket RunService::load(const std::string& target, std::function<void(Result<base::Json>)> done) {
    return onTarget<base::Json>(
        target,
        [](targets::Target& there, targets::Done<base::Json> loaded) {
            return there.load(base::Deadline::inMillis(kAskMillis), std::move(loaded));
        },
        std::move(done));
}

Ticket RunService::cache(const std::string& target,
                         std::function<void(Result<std::vector<targets::CacheEntry>>)> done) {
    return onTarget<std::vector<targets::CacheEntry>>(
        target,
        [](targets::Target& there, targets::Done<std::vector<targets::CacheEntry>> listed) {
            return there.listCache(base::Deadline::inMillis(kAskMillis), std::move(listed));
        },
        std::move(done));
}

Ticket RunService::clearCache(const std::string& target, std::vector<targets::CacheEntry> entries,
                              std::function<void(Result<std::int64_t>)> done) {
    return onTarget<std::int64_t>(
        target,
        [entries = std::move(entries)](targets::Target& there, targets::Done<std::int64_t> cleared) {
            return there.clearCache(entries, base::Deadline::inMillis(kDoctorMillis), std::move(cleared));
        },
        std::move(done));
}

Ticket RunService::buildEngine(const std::string& target, std::function<void(std::string)> onLine,
                               std::function<void(Result<base::Json>)> done) {
    const auto lineHere = [this, onLine = std::move(onLine)](const std::string& line) {
        if (onLine) {
            here([onLine, line] { onLine(line); });
        }
    };
    return onTarget<base::Json>(
        target,
        [lineHere](targets::Target& there, targets::Done<base::Json> built) {
            return there.buildEngine(lineHere, std::move(built));
        },
        std::move(done));
}

Ticket RunService::measureUpload(base::Json document, std::function<void(Result<base::Json>)> done) {
    const Ticket ticket = ++m_lastTicket;
    post([ticket, document = std::move(document), answer = answerHere<Result<base::Json>>(std::move(done))](
             RunWorker& worker) { worker.measureUpload(ticket, document, answer); });
    return ticket;
}

Ticket RunService::tell(const RunId& run, const std::string& target, const std::string& command,
                        std::function<void(Status)> done) {
    return onTarget<void>(
        target,
        [run, command](targets::Target& there, targets::DoneStatus told) {
            return there.command(run, command, base::Deadline::inMillis(kAskMillis), std::move(told));
        },
        std::move(done));
}

Ticket RunService::listRemoteOutputs(const RunId& run, std::function<void(Result<targets::OutputList>)> done) {
    const Ticket ticket = ++m_lastTicket;
    post([ticket, run, answer = answerHere<Result<targets::OutputList>>(std::move(done))](RunWorker& worker) {
        worker.listRemoteOutputs(ticket, run, answer);
    });
    return ticket;
}

Ticket RunService::fetchFile(const RunId& run, const std::string& path, std::function<void(std::int64_t)> onProgress,
                             std::function<void(Result<base::Path>)> done) {
    const Ticket ticket = ++m_lastTicket;
    const auto progress = [this, onProgress = std::move(onProgress)](std::int64_t bytes) {
        if (onProgress) {
            here([onProgress, bytes] { onProgress(bytes); });
        }
    };
    post([ticket, run, path, progress, answer = answerHere<Result<base::Path>>(std::move(done))](RunWorker& worker) {
        worker.fetchFile(ticket, run, path, progress, answer);
    });
    return ticket;
}

void RunService::stop(Ticket ticket) {
    post([ticket](RunWorker& worker) { worker.stop(ticket); });
}

targets::Reach RunService::reach(const std::string& target) const {
    const auto found = m_reach.find(target);
    return found == m_reach.end() ? targets::Reach{} : found->second;
}

void RunService::targetChanged(const std::string& target) {
    post([target](RunWorker& worker) { worker.targetChanged(target); });
}

void RunService::answer(std::int64_t question, std::optional<std::string> text) {
    post([question, text = std::move(text)](RunWorker& worker) { worker.pool().answer(question, text); });
}

}  // namespace trainyard::runs
