#pragma once
#include <QColor>
#include <QString>
#include <string>
#include <vector>

namespace trainyard::ui {

/// A part of a line that a program coloured; positions are UTF-16 units of the text without escapes.
struct AnsiSpan {
    int from = 0;
    int length = 0;
    int color = -1;  ///< 0…15, black to bright white; -1: as the rest of the line.
    bool bold = false;
    bool operator==(const AnsiSpan&) const = default;
};

struct AnsiText {
    QString text;
    std::vector<AnsiSpan> spans;  ///< In order, without gaps in what is coloured; empty where nothing is.
};

/// A log line as a terminal shows it: escape sequences taken out (their 16 colours and bold kept, all others dropped),
/// tabs widened to 8, what a carriage return wrote over gone. Colours do not go on in the next line.
[[nodiscard]] AnsiText ansiText(const std::string& line);
/// The text alone.
[[nodiscard]] QString plainLogText(const std::string& line);

/// One of the 16 colours on this theme's surfaces: never below 4.5:1 on Surface and Selection, whatever a terminal
/// would do.
[[nodiscard]] QColor ansiColor(int index);

}  // namespace trainyard::ui
