#pragma once
// The engine's boundary: libtorch and the standard library throw; whoever calls the engine gets an Error.
#include <stdexcept>
#include <string>
#include <utility>

#include "core/base/Result.h"

namespace trainyard::engine {

using base::Error;
using base::Result;
using base::Status;

/// An Error on its way through code that throws; errorInFlight gives it out as it is.
class Failed : public std::runtime_error {
public:
    explicit Failed(Error error) : std::runtime_error(error.message), m_error(std::move(error)) {}
    [[nodiscard]] const Error& error() const { return m_error; }

private:
    Error m_error;
};

/// The Error that the exception in flight stands for: "engine.memory" (allocation failed, on the CPU or a GPU),
/// "engine.disk" (a write failed, disk full included), "engine.torch" (libtorch refused; first line of its text),
/// "engine.failed" (anything else), or the one of Failed. `doing` completes the sentence "… failed while …". Call only
/// inside a catch block.
[[nodiscard]] Error errorInFlight(const std::string& doing);

/// Runs `work` (a callable that returns a Result) and turns whatever it throws into an Error.
template <class Work>
[[nodiscard]] auto guarded(const std::string& doing, Work&& work) -> decltype(work()) {
    try {
        return std::forward<Work>(work)();
    } catch (...) {
        return errorInFlight(doing);
    }
}

}  // namespace trainyard::engine
