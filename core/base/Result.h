#pragma once
// Errors as values. Exceptions are used inside core/engine only (libtorch throws) and stop at its boundary.
#include <cassert>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace trainyard::base {

/// What went wrong, for a program (code), a person (message: what happened and what to do) and a form (field).
struct Error {
    std::string code;     ///< Dotted, stable, asserted by tests: "file.missing", "spec.range", "store.newer".
    std::string message;  ///< One or two sentences in plain words; names the file, line or value.
    std::string field{};  ///< Dotted path of the input it belongs to ("task.optimizer.learning_rate"), or empty.

    bool operator==(const Error&) const = default;
};

/// A value or an Error. Never both, never neither.
template <class T>
class [[nodiscard]] Result {
public:
    Result(T value) : m_state(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : m_state(std::in_place_index<1>, std::move(error)) {}

    [[nodiscard]] bool ok() const { return m_state.index() == 0; }
    explicit operator bool() const { return ok(); }

    T& value() & { return assert(ok()), *std::get_if<0>(&m_state); }
    const T& value() const& { return assert(ok()), *std::get_if<0>(&m_state); }
    T&& value() && { return assert(ok()), std::move(*std::get_if<0>(&m_state)); }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }
    T valueOr(T fallback) const& { return ok() ? value() : std::move(fallback); }

    [[nodiscard]] const Error& error() const& { return assert(!ok()), *std::get_if<1>(&m_state); }
    [[nodiscard]] Error error() && { return assert(!ok()), std::move(*std::get_if<1>(&m_state)); }

private:
    std::variant<T, Error> m_state;
};

/// Success without a value, or an Error.
template <>
class [[nodiscard]] Result<void> {
public:
    Result() = default;
    Result(Error error) : m_error(std::move(error)) {}

    [[nodiscard]] bool ok() const { return !m_error; }
    explicit operator bool() const { return ok(); }
    [[nodiscard]] const Error& error() const { return assert(m_error), *m_error; }

private:
    std::optional<Error> m_error;
};

using Status = Result<void>;

}  // namespace trainyard::base

/// Returns the error of a Result-valued expression from the enclosing function.
#define TRAINYARD_TRY(expression)                                                                                      \
    do {                                                                                                               \
        if (auto tryResult_ = (expression); !tryResult_.ok()) {                                                        \
            return tryResult_.error();                                                                                 \
        }                                                                                                              \
    } while (false)
