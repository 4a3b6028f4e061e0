#pragma once
// The one JSON type of the project and the careful ways to read it. nlohmann_json throws on wrong types and bad
// UTF-8; nothing outside Json.cpp relies on that.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/Result.h"

namespace trainyard::base {

/// Keeps the order in which keys were written, so that files read as they were meant.
using Json = nlohmann::ordered_json;

/// Parses one JSON text. Errors ("json.syntax") name line and column. Nesting deeper than 200 is refused
/// ("json.depth"), duplicate keys too ("json.duplicate").
[[nodiscard]] Result<Json> parseJson(std::string_view text);

/// Compact form; invalid UTF-8 is replaced by U+FFFD, never thrown on.
[[nodiscard]] std::string dumpJson(const Json& value);
/// Two-space indented form with a newline at the end, for files that people read.
[[nodiscard]] std::string dumpJsonPretty(const Json& value);

/// Doubles as JSON: finite numbers as numbers, the rest spelled "NaN", "Infinity", "-Infinity".
[[nodiscard]] Json numberToJson(double value);
/// The reverse; numeric strings ("0.5", "1e-3", "nan", "-inf") count as numbers, anything else is nullopt.
[[nodiscard]] std::optional<double> jsonToNumber(const Json& value);

/// A text member of an object that needs no error: empty when it is absent or no text.
[[nodiscard]] std::string jsonText(const Json& object, const char* key);
/// An integer member of an object that needs no error: 0 when it is absent or no integer.
[[nodiscard]] std::int64_t jsonInteger(const Json& object, const char* key);

/// Reads members of one JSON object and collects what is wrong with them: wrong type, out of range, unknown key.
/// Every error carries the dotted path of its field. Not thread-safe; use one on the stack.
class ObjectReader {
public:
    /// `path` is the dotted path of `object` itself, "" at the top. A non-object is an error of that path.
    ObjectReader(const Json& object, std::string path);

    [[nodiscard]] bool has(std::string_view key) const;
    std::string string(std::string_view key, std::string fallback = {});
    std::int64_t integer(std::string_view key, std::int64_t fallback = 0);
    double number(std::string_view key, double fallback = 0);
    bool boolean(std::string_view key, bool fallback = false);
    std::vector<std::string> strings(std::string_view key);
    /// String to string; numbers and booleans as values are taken as their text.
    std::vector<std::pair<std::string, std::string>> stringMap(std::string_view key);
    /// The member as it is (null when absent); marks the key as known.
    Json raw(std::string_view key);
    /// A member object (an empty object when absent).
    Json object(std::string_view key);
    /// A member array (empty when absent).
    Json array(std::string_view key);
    /// The member must be there; otherwise "json.missing".
    void require(std::string_view key);
    /// Adds an error of a member from outside (range checks and the like).
    void fail(std::string code, std::string_view key, std::string message);
    /// Takes over the errors of a nested reader.
    void merge(const ObjectReader& nested);

    [[nodiscard]] std::string pathOf(std::string_view key) const;
    /// Errors so far; with `rejectUnknown`, also one "json.unknown" for each key that was never asked for.
    [[nodiscard]] std::vector<Error> errors(bool rejectUnknown = true) const;
    /// The first error, or success.
    [[nodiscard]] Status status(bool rejectUnknown = true) const;

private:
    const Json* find(std::string_view key);
    Json m_object;
    std::string m_path;
    std::vector<std::string> m_known;
    std::vector<Error> m_errors;
};

/// Checks {"format": F, "version": V} of a file: another format is "format.wrong", a higher version "format.newer"
/// (both versions named).
[[nodiscard]] Status checkFormat(const Json& document, std::string_view format, int supportedVersion);

}  // namespace trainyard::base
