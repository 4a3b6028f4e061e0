#pragma once
// Text that comes from outside and numbers as people read them. Formatting here is locale-free (C); the window
// localises through its own helpers.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard::base {

[[nodiscard]] bool isValidUtf8(std::string_view text);
/// Replaces each invalid byte by U+FFFD.
[[nodiscard]] std::string toValidUtf8(std::string_view text);
/// Removes ANSI escape sequences and control characters other than tab; for log lines that are shown or logged.
[[nodiscard]] std::string stripControl(std::string_view text);
[[nodiscard]] std::string base64(std::string_view bytes);
[[nodiscard]] std::vector<std::string> split(std::string_view text, char separator);
[[nodiscard]] std::string_view trim(std::string_view text);

/// 950 B, 1.2 KiB, 64.0 MiB.
[[nodiscard]] std::string formatBytes(std::int64_t bytes);
/// 0.42 s, 12 s, 3 min 12 s, 2 h 05 min, 3 d 4 h.
[[nodiscard]] std::string formatDuration(std::int64_t nanoseconds);
/// 950, 1.2 k, 1.2 M, 3.4 G (decimal).
[[nodiscard]] std::string formatCount(std::int64_t count);
/// Four significant digits: 0.3821, 1.234e-05, NaN.
[[nodiscard]] std::string formatSignificant(double value, int digits = 4);

/// Quotes one argument for a POSIX shell. The only function in the project that may build shell text from data.
[[nodiscard]] std::string shellQuote(std::string_view argument);

}  // namespace trainyard::base
