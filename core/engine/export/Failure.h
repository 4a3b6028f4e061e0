#pragma once
// Inside core/engine/export an error is thrown, because it comes from deep inside the walk over a graph; Verbs.cpp
// turns it into an Error.
#include <stdexcept>
#include <string>

#include "core/base/Result.h"

namespace trainyard::engine {

class ExportFailure : public std::runtime_error {
public:
    ExportFailure(std::string code, const std::string& message, std::string field = {})
        : std::runtime_error(message), m_error{std::move(code), message, std::move(field)} {}
    explicit ExportFailure(base::Error error) : std::runtime_error(error.message), m_error(std::move(error)) {}
    [[nodiscard]] const base::Error& error() const { return m_error; }

private:
    base::Error m_error;
};

/// The value, or its Error thrown.
template <class T>
T orThrow(base::Result<T> result) {
    if (!result.ok()) {
        throw ExportFailure(result.error());
    }
    return std::move(result).value();
}
inline void orThrow(const base::Status& status) {
    if (!status.ok()) {
        throw ExportFailure(status.error());
    }
}

}  // namespace trainyard::engine
