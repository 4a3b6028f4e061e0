#pragma once
// Numbers and times as people read them, in the user's language. Exact values go into tooltips and copies.
#include <QString>

#include <cstdint>
#include <string_view>

namespace trainyard::ui {

[[nodiscard]] QString fromUtf8(std::string_view text);
[[nodiscard]] QString formatCount(std::int64_t count);     ///< 1.2 M
[[nodiscard]] QString formatExact(std::int64_t count);     ///< 1,234,567 (grouped by locale)
[[nodiscard]] QString formatTally(double count);           ///< Whole numbers in full, others to 4 digits.
[[nodiscard]] QString formatBytes(std::int64_t bytes);     ///< 31.2 MiB
[[nodiscard]] QString formatDuration(std::int64_t nanos);  ///< 3 min 12 s
[[nodiscard]] QString formatPercent(double fraction);      ///< 94.3 %
[[nodiscard]] QString formatNumber(double value);          ///< 4 significant digits
/// A metric's value by its name: accuracies as percent, the rest to 4 digits.
[[nodiscard]] QString formatMetric(std::string_view name, double value);
[[nodiscard]] QString exactNumber(double value);  ///< Shortest text that reads back the same.
/// "just now", "4 min ago", "yesterday 14:05", "12 Mar". `now` in microseconds UTC, 0 = the present.
[[nodiscard]] QString formatAgo(std::int64_t micros, std::int64_t now = 0);
[[nodiscard]] QString formatTime(std::int64_t micros);  ///< 23 Nov 2026 14:05:09, local time
/// A metric's name for people: "val/accuracy" → "Validation accuracy"; unknown names stay as they are.
[[nodiscard]] QString metricTitle(std::string_view name);
/// The text with each line cut at `most` characters, told at its end. A text editor lays out a line as a whole: one of
/// a
/// megabyte stops the window for seconds.
[[nodiscard]] QString shortLines(const QString& text, int most = 2000);

}  // namespace trainyard::ui
