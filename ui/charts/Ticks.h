#pragma once
// Where axis marks stand and how they read. Plain arithmetic.
#include <QString>

#include <utility>
#include <vector>

namespace trainyard::ui {

struct Tick {
    double at = 0;  ///< In axis units; on a logarithmic axis the value itself, not its logarithm.
    QString label;
};

enum class TickFormat { Number, Percent, Count, Seconds };

/// A step of 1, 2, 2.5 or 5 times a power of ten that gives at most `most` steps over `span` (> 0).
[[nodiscard]] double niceStep(double span, int most);
/// A step that reads well as time: 1, 2, 5, 10, 15, 30 s, the same minutes, 1, 2, 3, 6, 12, 24 h, then days.
[[nodiscard]] double niceSeconds(double span, int most);

/// Marks inside [low, high], at most `most` + 1 of them, with distinct labels.
[[nodiscard]] std::vector<Tick> linearTicks(double low, double high, int most, TickFormat format);
/// Marks at powers of ten; 2 and 5 between them where fewer than three decades show. Precondition: 0 < low < high.
[[nodiscard]] std::vector<Tick> logTicks(double low, double high, int most, TickFormat format);

/// A range that holds [low, high] with its ends on marks of linearTicks() wherever a step allows it, so that the axis
/// moves seldom while a curve grows, and says where it ends.
[[nodiscard]] std::pair<double, double> niceRange(double low, double high, int most);
/// How many marks a y axis of this height has room for.
[[nodiscard]] int yMarks(double height, bool compact);
/// The same as niceRange() on a logarithmic axis: ends on 1, 2 or 5 times a power of ten.
[[nodiscard]] std::pair<double, double> niceLogRange(double low, double high);

}  // namespace trainyard::ui
