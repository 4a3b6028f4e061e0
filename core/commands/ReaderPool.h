#pragma once
#include <QObject>
#include <QPointer>
#include <QString>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "core/base/Result.h"
#include "core/store/Reader.h"

namespace trainyard::commands {

/// Threads that read the index, a Reader each. Made, used and destroyed in the main thread.
class ReaderPool : public QObject {
    Q_OBJECT
public:
    /// What is called in a pool thread; it returns what is called in the main thread.
    using Work = std::function<std::function<void()>(base::Result<store::Reader*>)>;

    ReaderPool(store::IndexLocation location, int threads);
    /// Interrupts what runs and waits for the threads.
    ~ReaderPool() override;

    /// See Session::query. Queries with the same context and key: the newest wins.
    void enqueue(QObject* context, const QString& key, Work work);

private:
    struct Job {
        std::uint64_t id = 0;
        const void* contextAddress = nullptr;
        QPointer<QObject> context;  ///< Looked at in the main thread only.
        bool hasContext = false;
        QString key;
        Work work;
        store::CancelToken token;
    };
    struct Thread {
        std::thread thread;
        std::optional<store::Reader> reader;
        std::shared_ptr<Job> current;
    };

    void loop(Thread& self);
    void deliver(const std::shared_ptr<Job>& job, std::function<void()> finish);

    store::IndexLocation m_location;
    std::mutex m_mutex;
    std::condition_variable m_wake;
    std::deque<std::shared_ptr<Job>> m_queue;
    std::vector<std::unique_ptr<Thread>> m_threads;
    bool m_stop = false;
};

}  // namespace trainyard::commands
