#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/Files.h"
#include "core/base/Result.h"

namespace trainyard::base {

/// Streaming SHA-256 (libcrypto's block function; works in the static agent).
class Sha256 {
public:
    Sha256();
    ~Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;
    void add(std::string_view bytes);
    /// 64 lower-case hex characters; the object must not be used afterwards.
    [[nodiscard]] std::string hex();

private:
    struct State;
    std::unique_ptr<State> m_state;
};

[[nodiscard]] std::string sha256Hex(std::string_view bytes);
/// Hash of a regular file; `progress(bytesDone)` may return false to cancel ("canceled").
[[nodiscard]] Result<std::string> sha256File(const Path& path, const std::function<bool(std::int64_t)>& progress = {});

}  // namespace trainyard::base
