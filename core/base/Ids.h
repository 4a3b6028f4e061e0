#pragma once
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/base/Result.h"

namespace trainyard::base {

/// A new UUIDv7 (RFC 9562) as 26 lower-case Crockford-free base32 characters (a-z2-7), sortable by creation time
/// to the millisecond, and strictly increasing within one process. Thread-safe.
[[nodiscard]] std::string newUuid7();

/// True for exactly 26 characters of the alphabet above whose bits form a UUIDv7.
[[nodiscard]] bool isUuid7(std::string_view text);

/// Milliseconds since 1970 UTC that the id was made at. Precondition: isUuid7(text).
[[nodiscard]] std::int64_t uuid7Millis(std::string_view text);

/// An id that cannot be mixed up with another kind of id.
template <class Tag>
class Id {
public:
    Id() = default;
    explicit Id(std::string text) : m_text(std::move(text)) {}
    static Id make() { return Id(newUuid7()); }

    [[nodiscard]] bool isValid() const { return isUuid7(m_text); }
    [[nodiscard]] bool isEmpty() const { return m_text.empty(); }
    [[nodiscard]] const std::string& str() const { return m_text; }
    auto operator<=>(const Id&) const = default;

private:
    std::string m_text;
};

using RunId = Id<struct RunTag>;
using ModelId = Id<struct ModelTag>;

}  // namespace trainyard::base

template <class Tag>
struct std::hash<trainyard::base::Id<Tag>> {
    std::size_t operator()(const trainyard::base::Id<Tag>& id) const { return std::hash<std::string>{}(id.str()); }
};
