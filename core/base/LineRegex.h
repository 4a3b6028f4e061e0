#pragma once
// Regular expressions with named groups for one line of text, in time proportional to line × expression whatever the
// expression is (Thompson's construction, simulated with captures as in R. Cox, "Regular Expression Matching: the
// Virtual Machine Approach", 2009). std::regex and PCRE go back on their steps, and a person's expression could then
// stop an agent.
#include <array>
#include <bitset>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/Result.h"

namespace trainyard::base {

/// Perl's syntax without look-around and back references: . [] [^] \d \w \s \D \W \S \b \B \t ^ $ | ( ) (?: ) (?<name>
/// )
/// (?P<name> ) * + ? {m,n} and their lazy forms, (?i) at the beginning. Bytes are matched: a letter outside ASCII is
/// fine as itself, not inside []. The first match from the left wins; among alternatives the first. A value; const
/// members may be used from several threads.
class LineRegex {
public:
    static constexpr std::size_t kMaxPattern = 2000;  ///< Bytes.
    static constexpr std::size_t kMaxProgram = 1500;  ///< Instructions; {m,n} counts as often as it repeats.
    static constexpr std::size_t kMaxGroups = 32;

    /// Errors: "pattern.syntax" with the place, "pattern.long".
    [[nodiscard]] static Result<LineRegex> compile(std::string_view pattern);

    struct Span {
        std::size_t begin = std::string_view::npos;  ///< npos: the group took no part.
        std::size_t end = std::string_view::npos;
        [[nodiscard]] bool taken() const { return begin != std::string_view::npos; }
    };
    /// The first match at or behind `from`; element 0 is the whole match. '^' means the line's beginning, not `from`.
    [[nodiscard]] std::optional<std::vector<Span>> search(std::string_view line, std::size_t from = 0) const;
    /// By group; empty where a group has no name, and for 0.
    [[nodiscard]] const std::vector<std::string>& groupNames() const { return m_names; }

private:
    friend class RegexCompiler;
    enum class Code : std::uint8_t { Byte, Set, Split, Jump, Save, LineStart, LineEnd, WordEdge, NoWordEdge, Match };
    struct Instruction {
        Code code = Code::Match;
        std::uint32_t x = 0;  ///< Byte, set, slot, or where to go (first choice of Split).
        std::uint32_t y = 0;  ///< Second choice of Split.
    };
    struct Threads;
    void add(Threads& threads, std::uint32_t start, std::string_view line, std::size_t at,
             std::vector<std::size_t>& slots) const;
    void findFirstBytes();

    std::vector<Instruction> m_program;
    std::vector<std::bitset<256>> m_sets;
    std::vector<std::string> m_names;
    std::bitset<256> m_first;  ///< Bytes that a match can begin with,
    bool m_anyFirst = false;   ///< unless it can be empty.
};

}  // namespace trainyard::base
