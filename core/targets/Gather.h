#pragma once
// The same question to several hosts at once.
#include <QTimer>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/targets/Operations.h"

namespace trainyard::targets {

/// How long those who have not answered yet are waited for once `enough` have: a host that is silent is no reason to
/// know nothing of the others. What such a one is taken to have answered is `silent`'s to say.
struct Patience {
    int millis = 0;
    std::function<base::Error(std::size_t)> silent;
    std::size_t enough = 1;
};

/// `start(i, done)` is called for each i below n; once all have answered, `done` gets the answers by i. With patience
/// it is not waited for all of them.
template <class T>
class Gather final : public Operation {
public:
    using Answers = std::vector<Result<T>>;

    Gather(std::size_t n, const std::function<OperationPtr(std::size_t, Done<T>)>& start,
           std::function<void(Answers)> done, Patience patience = {})
        : m_answers(n), m_done(std::move(done)), m_silent(std::move(patience.silent)), m_enough(patience.enough) {
        m_patience.setSingleShot(true);
        m_patience.setInterval(patience.millis);
        QObject::connect(&m_patience, &QTimer::timeout, &m_patience, [this] { giveUp(); });
        if (n == 0) {
            m_parts.push_back(postResult<int>(0, [this](const Result<int>&) { finish(); }));
            return;
        }
        m_parts.resize(n);
        for (std::size_t i = 0; i < n; ++i) {
            m_parts[i] = start(i, [this, i](const Result<T>& answer) {
                m_answers[i] = answer;
                m_good += answer.ok() ? 1 : 0;
                if (++m_count == m_answers.size()) {
                    finish();
                } else if (m_silent && m_good >= m_enough && !m_patience.isActive()) {
                    m_patience.start();
                }
            });
        }
    }

private:
    void giveUp() {
        for (std::size_t i = 0; i < m_answers.size(); ++i) {
            if (!m_answers[i]) {
                m_parts[i].reset();
                m_answers[i] = m_silent(i);
            }
        }
        finish();
    }

    void finish() {
        m_patience.stop();
        Answers answers;
        answers.reserve(m_answers.size());
        for (std::optional<Result<T>>& answer : m_answers) {
            answers.push_back(std::move(*answer));
        }
        const auto done = std::move(m_done);
        done(std::move(answers));
    }

    std::vector<std::optional<Result<T>>> m_answers;
    std::size_t m_count = 0;
    std::size_t m_good = 0;
    std::function<void(Answers)> m_done;
    std::function<base::Error(std::size_t)> m_silent;
    std::size_t m_enough;
    QTimer m_patience;
    std::vector<OperationPtr> m_parts;
};

/// Nothing, as a value.
struct Nothing {};

/// A status as a Result<Nothing>, for Gather.
[[nodiscard]] inline DoneStatus asStatus(Done<Nothing> done) {
    return [done = std::move(done)](const Status& status) {
        const auto call = done;
        call(status.ok() ? Result<Nothing>(Nothing{}) : Result<Nothing>(status.error()));
    };
}

}  // namespace trainyard::targets
