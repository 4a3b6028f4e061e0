#pragma once
// An operation's answer, waited for.
#include <functional>
#include <memory>
#include <optional>

#include "core/base/Result.h"
#include "tests/helpers/Wait.h"

namespace trainyard::test {

/// `start` gets the callback and returns the operation; "test.timeout" when no answer came.
template <class T, class Start>
base::Result<T> await(Start start, int timeoutMillis = 20'000) {
    std::optional<base::Result<T>> answer;
    const auto operation = start([&answer](const base::Result<T>& result) { answer = result; });
    if (!waitFor([&] { return answer.has_value(); }, timeoutMillis)) {
        return base::Error{"test.timeout", "No answer came."};
    }
    return *answer;
}

}  // namespace trainyard::test
