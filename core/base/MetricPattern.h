#pragma once
// Metrics in what a program prints: regular expressions with named groups, and ready ones for common trainers. Pure
// functions; the agent applies them to log lines, the form to a person's sample lines.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/LineRegex.h"

namespace trainyard::base {

/// A number found in a line.
struct FoundMetric {
    std::string name;
    double value = 0;
    std::optional<std::int64_t> step;
    std::size_t offset = 0;  ///< Where the number stands in the line, bytes.
    std::size_t length = 0;
};

/// What people write in the field: an expression, or "@name" for a ready pattern (several expressions).
///   (?<metric>…) with (?<value>…)   a name and its number; found again and again in one line
///   (?<loss>…)                      any other group: its number is the metric of the group's name
///   (?<step>…)                      step of the line's metrics; alone on a line, of the lines that follow
///   (?<prefix>…)                    "prefix/" before the names
class MetricPattern {
public:
    /// Errors: "pattern.syntax", "pattern.long", "pattern.group" (no group that gives a number), "pattern.unknown".
    [[nodiscard]] static Result<MetricPattern> parse(std::string_view text);

    struct Ready {
        std::string name;   ///< "@keras"
        std::string title;  ///< For people.
        std::vector<std::string> expressions;
        std::vector<std::string> ignored;  ///< Names that are no metrics.
        std::vector<std::string> sample;   ///< Lines of such a trainer.
    };
    [[nodiscard]] static const std::vector<Ready>& ready();

private:
    friend class MetricFinder;
    std::vector<LineRegex> m_expressions;
    std::vector<std::string> m_ignored;
};

/// Applies patterns to the lines of one output in their order. Not thread-safe.
class MetricFinder {
public:
    static constexpr std::size_t kMaxLine = 2048;  ///< Bytes of a line that are looked at.
    static constexpr std::size_t kMaxFound = 256;  ///< Metrics of one line.

    MetricFinder() = default;
    explicit MetricFinder(std::vector<MetricPattern> patterns) : m_patterns(std::move(patterns)) {}
    /// Takes those that can be read; the first error of the others in `error`.
    [[nodiscard]] static MetricFinder ofTexts(const std::vector<std::string>& patterns, std::optional<Error>& error);

    [[nodiscard]] bool empty() const { return m_patterns.empty(); }
    /// What the line says. Colours (ANSI) are passed over: then offsets are those of base::stripControl(line).
    [[nodiscard]] std::vector<FoundMetric> find(std::string_view line);

private:
    std::vector<MetricPattern> m_patterns;
    std::optional<std::int64_t> m_step;  ///< From a line that said only the step.
};

}  // namespace trainyard::base
