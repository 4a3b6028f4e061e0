#pragma once
// Operations that every target uses. Each lives in the thread that made it.
#include <QObject>
#include <QPointer>
#include <QThreadPool>
#include <atomic>
#include <functional>
#include <memory>
#include <utility>

#include "core/base/Clock.h"
#include "core/targets/Operation.h"
#include "core/targets/Target.h"

namespace trainyard::targets {

/// A result that is known already, delivered from the event loop.
template <class T>
class PostedOperation final : public Operation {
public:
    PostedOperation(Result<T> result, std::function<void(Result<T>)> done) {
        QMetaObject::invokeMethod(
            &m_context,
            [result = std::move(result), done = std::move(done)]() mutable {
                // The callback may destroy this operation and with it the closure that runs here.
                auto call = std::move(done);
                call(std::move(result));
            },
            Qt::QueuedConnection);
    }

private:
    QObject m_context;
};

template <class T>
[[nodiscard]] OperationPtr postResult(Result<T> result, std::function<void(Result<T>)> done) {
    return std::make_unique<PostedOperation<T>>(std::move(result), std::move(done));
}

/// The list of a target that is one machine.
[[nodiscard]] inline Done<std::vector<OutputFile>> asList(Done<OutputList> done) {
    return [done = std::move(done)](const Result<std::vector<OutputFile>>& files) {
        const auto call = done;
        call(files.ok() ? Result<OutputList>(OutputList{*files, {}}) : Result<OutputList>(files.error()));
    };
}

/// Told how far the work is (bytes); false: stop.
using KeepGoing = std::function<bool(std::int64_t)>;

/// Work in a pool thread that can be told to stop at its next report. Destroying it does not wait: the work keeps only
/// values and ends by itself.
template <class T>
class ThreadOperation final : public Operation {
public:
    ThreadOperation(std::function<Result<T>(const KeepGoing&)> work, std::function<void(std::int64_t)> onProgress,
                    std::function<void(Result<T>)> done)
        : m_stop(std::make_shared<std::atomic<bool>>(false)), m_context(std::make_unique<QObject>()) {
        // The pool thread may outlive this operation. It posts to a relay that lives in our thread until the work has
        // ended; only there, in our thread, is it looked whether the operation is still wanted.
        auto* relay = new QObject;
        const QPointer<QObject> context = m_context.get();
        QThreadPool::globalInstance()->start([stop = m_stop, work = std::move(work), onProgress = std::move(onProgress),
                                              done = std::move(done), relay, context] {
            std::int64_t lastReport = 0;
            const KeepGoing report = [&](std::int64_t bytes) {
                const std::int64_t now = base::monotonicNanos();
                if (onProgress && now - lastReport > 50'000'000) {
                    lastReport = now;
                    const auto tell = [context, onProgress, bytes] {
                        if (context) {
                            onProgress(bytes);
                        }
                    };
                    QMetaObject::invokeMethod(relay, tell, Qt::QueuedConnection);
                }
                return !stop->load();
            };
            const auto end = [context, done, relay, result = work(report)] {
                const auto call = done;
                relay->deleteLater();
                if (context) {
                    call(result);
                }
            };
            QMetaObject::invokeMethod(relay, end, Qt::QueuedConnection);
        });
    }
    ~ThreadOperation() override { m_stop->store(true); }

private:
    std::shared_ptr<std::atomic<bool>> m_stop;
    std::unique_ptr<QObject> m_context;
};

}  // namespace trainyard::targets
