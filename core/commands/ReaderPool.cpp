#include "core/commands/ReaderPool.h"

#include <algorithm>
#include <utility>

namespace trainyard::commands {

ReaderPool::ReaderPool(store::IndexLocation location, int threads) : m_location(std::move(location)) {
    for (int i = 0; i < std::clamp(threads, 1, 4); ++i) {
        m_threads.push_back(std::make_unique<Thread>());
    }
    for (const auto& one : m_threads) {
        one->thread = std::thread([this, self = one.get()] { loop(*self); });
    }
}

ReaderPool::~ReaderPool() {
    {
        const std::lock_guard guard(m_mutex);
        m_stop = true;
        m_queue.clear();
        for (const auto& one : m_threads) {
            if (one->current) {
                one->current->token.cancel();
            }
        }
    }
    m_wake.notify_all();
    for (const auto& one : m_threads) {
        one->thread.join();
    }
}

void ReaderPool::enqueue(QObject* context, const QString& key, Work work) {
    auto job = std::make_shared<Job>();
    job->contextAddress = context;
    job->context = context;
    job->hasContext = context != nullptr;
    job->key = key;
    job->work = std::move(work);
    const auto replaced = [&](const std::shared_ptr<Job>& other) {
        return other && !key.isEmpty() && other->contextAddress == context && other->key == key;
    };
    {
        const std::lock_guard guard(m_mutex);
        std::erase_if(m_queue, replaced);
        for (const auto& one : m_threads) {
            if (replaced(one->current)) {
                one->current->token.cancel();
            }
        }
        m_queue.push_back(std::move(job));
    }
    m_wake.notify_one();
}

void ReaderPool::loop(Thread& self) {
    for (;;) {
        std::shared_ptr<Job> job;
        {
            std::unique_lock guard(m_mutex);
            m_wake.wait(guard, [this] { return m_stop || !m_queue.empty(); });
            if (m_stop) {
                return;
            }
            job = std::move(m_queue.front());
            m_queue.pop_front();
            self.current = job;
        }
        if (!self.reader) {
            if (auto opened = store::Reader::open(m_location); opened.ok()) {
                self.reader.emplace(std::move(*opened));
            } else {
                deliver(job, job->work(opened.error()));
                continue;
            }
        }
        self.reader->setCancelToken(job->token);
        deliver(job, job->work(&*self.reader));
    }
}

void ReaderPool::deliver(const std::shared_ptr<Job>& job, std::function<void()> finish) {
    {
        const std::lock_guard guard(m_mutex);
        for (const auto& one : m_threads) {
            if (one->current == job) {
                one->current.reset();
            }
        }
    }
    QMetaObject::invokeMethod(
        this,
        [job, finish = std::move(finish)] {
            const bool wanted = !job->token.canceled() && (!job->hasContext || job->context);
            if (wanted) {
                finish();
            }
        },
        Qt::QueuedConnection);
}

}  // namespace trainyard::commands
