#pragma once
// Room-internal: what a log is searched for. Plain text or a regular expression; neither takes exponential time, so a
// search meets its deadline whatever was typed.
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/store/Types.h"

namespace trainyard::store {

class LinePattern {
public:
    /// "store.regex" (field "pattern")
    [[nodiscard]] static Result<LinePattern> make(const LogSearch& search);
    LinePattern(LinePattern&&) noexcept;
    LinePattern& operator=(LinePattern&&) noexcept;
    ~LinePattern();

    /// Offset and length of the first place in the line, in bytes.
    [[nodiscard]] std::optional<std::pair<std::size_t, std::size_t>> find(std::string_view line) const;
    /// False only when no line inside these JSON Lines can match: they need not be decoded.
    [[nodiscard]] bool mayBeIn(std::string_view jsonLines) const;

private:
    struct State;
    explicit LinePattern(std::unique_ptr<State> state);
    std::unique_ptr<State> m_state;
};

}  // namespace trainyard::store
