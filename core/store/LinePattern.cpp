#include "core/store/LinePattern.h"

#include <cstdlib>
#include <regex.h>

#include "core/base/Json.h"
#include "core/store/Fold.h"

namespace trainyard::store {
namespace {

using base::Error;

constexpr std::size_t kLongestPattern = 1000;
constexpr long kMostRepeats = 1000;  ///< Of all bounds multiplied: the automaton grows with them.

Error patternError(std::string message) { return {"store.regex", std::move(message), "pattern"}; }

constexpr std::size_t kWindow = 4096;
constexpr std::size_t kOverlap = 1024;  ///< A match up to this long is found wherever it lies.

/// POSIX extended syntax out of what people write: adds \d \D \t, and \w \s \d inside brackets.
Result<std::string> toPosix(const std::string& pattern) {
    std::string out;
    bool inBracket = false;
    long repeats = 1;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        const char c = pattern[i];
        const char next = i + 1 < pattern.size() ? pattern[i + 1] : '\0';
        if (c == '\0') return patternError("The pattern holds a zero byte.");
        if (c == '\\') {
            if (next == '\0') return patternError("The pattern ends with a lone backslash.");
            ++i;
            if (next == 'd') {
                out += inBracket ? "0-9" : "[0-9]";
            } else if (next == 't') {
                out += '\t';
            } else if (next == 'D' && !inBracket) {
                out += "[^0-9]";
            } else if (next >= '1' && next <= '9') {
                return patternError("References back to a group are not supported.");
            } else if (!inBracket) {
                out += c;
                out += next;
            } else if (next == 'w') {
                out += "[:alnum:]_";
            } else if (next == 's') {
                out += "[:space:]";
            } else if (next == ']' || next == '-' || next == '^') {
                return patternError(
                    "Inside brackets write ] first, - last and ^ anywhere but first, without a backslash.");
            } else {
                out += next;
            }
            continue;
        }
        out += c;
        if (inBracket) {
            if (c == '[' && (next == ':' || next == '.' || next == '=')) {
                const std::size_t end = pattern.find(std::string{next, ']'}, i + 2);
                if (end == std::string::npos) return patternError("A class like [:alpha:] is not closed.");
                out += pattern.substr(i + 1, end + 1 - i);
                i = end + 1;
            } else if (c == ']') {
                inBracket = false;
            }
        } else if (c == '[') {
            inBracket = true;
            if (next == '^') {
                out += next;
                ++i;
            }
            if (i + 1 < pattern.size() && pattern[i + 1] == ']') {
                out += ']';
                ++i;
            }
        } else if (c == '(' && next == '?' && i + 2 < pattern.size() && pattern[i + 2] == ':') {
            i += 2;  // A group that captures nothing is a group like any other here.
        } else if (c == '{') {
            const std::size_t end = pattern.find('}', i);
            const std::string bounds = pattern.substr(i + 1, end == std::string::npos ? end : end - i - 1);
            long most = std::strtol(bounds.c_str(), nullptr, 10);
            if (const std::size_t comma = bounds.find(','); comma != std::string::npos)
                most = std::max(most, std::strtol(bounds.c_str() + comma + 1, nullptr, 10));
            repeats *= std::clamp(most, 1L, kMostRepeats + 1);
            if (repeats > kMostRepeats)
                return patternError("The pattern repeats something more than " + std::to_string(kMostRepeats) +
                                    " times.");
        }
    }
    return out;
}

}  // namespace

struct LinePattern::State {
    std::string text;    ///< Plain search; folded unless case counts.
    std::string inJson;  ///< The same as it stands inside a JSON string.
    bool caseSensitive = false;
    std::optional<regex_t> regex;
    ~State() {
        if (regex) ::regfree(&*regex);
    }
};

LinePattern::LinePattern(std::unique_ptr<State> state) : m_state(std::move(state)) {}
LinePattern::LinePattern(LinePattern&&) noexcept = default;
LinePattern& LinePattern::operator=(LinePattern&&) noexcept = default;
LinePattern::~LinePattern() = default;

Result<LinePattern> LinePattern::make(const LogSearch& search) {
    if (search.pattern.empty() || search.pattern.size() > kLongestPattern)
        return patternError("Write between 1 and " + std::to_string(kLongestPattern) + " bytes to search for.");
    auto state = std::make_unique<State>();
    state->caseSensitive = search.caseSensitive;
    if (!search.regex) {
        state->text = search.caseSensitive ? search.pattern : foldCase(search.pattern);
        const std::string json = base::dumpJson(Json(state->text));
        state->inJson = json.substr(1, json.size() - 2);
        return LinePattern(std::move(state));
    }
    const auto posix = toPosix(search.pattern);
    if (!posix) return posix.error();
    regex_t compiled;
    const int failed = ::regcomp(&compiled, posix->c_str(), REG_EXTENDED | (search.caseSensitive ? 0 : REG_ICASE));
    if (failed != 0) {
        char message[200] = "";
        ::regerror(failed, &compiled, message, sizeof message);
        return patternError("The regular expression cannot be read: " + std::string(message) + ".");
    }
    state->regex = compiled;
    return LinePattern(std::move(state));
}

std::optional<std::pair<std::size_t, std::size_t>> LinePattern::find(std::string_view line) const {
    if (m_state->regex) {
        // The time grows with the square of the length, so a long line is looked at through a window.
        for (std::size_t at = 0;; at += kWindow - kOverlap) {
            const bool last = at + kWindow >= line.size();
            const std::size_t length = last ? line.size() - at : kWindow;
            regmatch_t place{0, static_cast<regoff_t>(length)};
            const int flags = REG_STARTEND | (at > 0 ? REG_NOTBOL : 0) | (last ? 0 : REG_NOTEOL);
            if (::regexec(&*m_state->regex, line.data() + at, 1, &place, flags) == 0)
                return std::pair(at + static_cast<std::size_t>(place.rm_so),
                                 static_cast<std::size_t>(place.rm_eo - place.rm_so));
            if (last) return std::nullopt;
        }
    }
    const std::size_t at = m_state->caseSensitive ? line.find(m_state->text) : foldCase(line).find(m_state->text);
    return at == std::string::npos ? std::nullopt : std::optional(std::pair(at, m_state->text.size()));
}

bool LinePattern::mayBeIn(std::string_view jsonLines) const {
    if (m_state->regex) return true;
    return m_state->caseSensitive ? jsonLines.find(m_state->inJson) != std::string_view::npos
                                  : foldCase(jsonLines).find(m_state->inJson) != std::string::npos;
}

}  // namespace trainyard::store
