#pragma once
// The same question to several hosts at once.
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/targets/Operations.h"

namespace trainyard::targets {

/// `start(i, done)` is called for each i below n; once all have answered, `done` gets the answers by i.
template <class T>
class Gather final : public Operation {
public:
    using Answers = std::vector<Result<T>>;

    Gather(std::size_t n, const std::function<OperationPtr(std::size_t, Done<T>)>& start, std::function<void(Answers)> done)
        : m_answers(n), m_done(std::move(done)) {
        if (n == 0) {
            m_parts.push_back(postResult<int>(0, [this](const Result<int>&) { finish(); }));
            return;
        }
        m_parts.resize(n);
        for (std::size_t i = 0; i < n; ++i) {
            m_parts[i] = start(i, [this, i](const Result<T>& answer) {
                m_answers[i] = answer;
                if (++m_count == m_answers.size()) {
                    finish();
                }
            });
        }
    }

private:
    void finish() {
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
    std::function<void(Answers)> m_done;
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
