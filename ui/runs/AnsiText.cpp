#include "ui/runs/AnsiText.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "ui/shell/Theme.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

namespace {

constexpr double kReadableContrast = 4.5;
constexpr int kTabWidth = 8;

/// What "select graphic rendition" has set so far.
struct AnsiRendition {
    int color = -1;
    bool bold = false;
    bool operator==(const AnsiRendition&) const = default;

    /// The parameters between "ESC [" and "m".
    void apply(QStringView parameters) {
        QList<int> codes;
        const auto parts = parameters.split(u';');
        for (const QStringView part : parts) codes << part.toInt();
        for (int i = 0; i < codes.size(); ++i) {
            const int code = codes[i];
            if (code == 0) *this = {};
            if (code == 1) bold = true;
            if (code == 22) bold = false;
            if (code == 39) color = -1;
            if (code >= 30 && code <= 37) color = code - 30;
            if (code >= 90 && code <= 97) color = code - 90 + 8;
            if (code == 38 || code == 48) {
                // 5;N is one of 256, of which the first 16 are ours; 2;R;G;B any, which is left out.
                const int kind = codes.value(i + 1, -1);
                if (code == 38) color = kind == 5 && codes.value(i + 2, 16) < 16 ? codes.value(i + 2) : -1;
                i += kind == 5 ? 2 : kind == 2 ? 4 : 1;
            }
        }
    }
};

}  // namespace

AnsiText ansiText(const std::string& line) {
    const QString raw = fromUtf8(line);
    AnsiText made;
    made.text.reserve(raw.size());
    AnsiRendition now;
    const auto begun = [&] {
        if (now == AnsiRendition{}) return;
        const int at = static_cast<int>(made.text.size());
        AnsiSpan* last = made.spans.empty() ? nullptr : &made.spans.back();
        if (last && last->from + last->length == at && last->color == now.color && last->bold == now.bold) return;
        made.spans.push_back({at, 0, now.color, now.bold});
    };
    const auto put = [&](QChar c) {
        begun();
        made.text += c;
        if (!(now == AnsiRendition{})) ++made.spans.back().length;
    };
    for (qsizetype i = 0; i < raw.size(); ++i) {
        const QChar c = raw[i];
        if (c == u'\x1b') {
            if (i + 1 < raw.size() && raw[i + 1] == u']') {
                // A title or a link; it ends with a bell.
                const qsizetype end = raw.indexOf(u'\a', i);
                if (end > 0) i = end;
                continue;
            }
            if (i + 1 >= raw.size() || raw[i + 1] != u'[') continue;
            const qsizetype start = i + 2;
            i = start;
            while (i < raw.size() && !(raw[i] >= u'@' && raw[i] <= u'~')) ++i;
            if (i < raw.size() && raw[i] == u'm') now.apply(QStringView(raw).mid(start, i - start));
        } else if (c == u'\t') {
            do put(u' ');
            while (made.text.size() % kTabWidth != 0);
        } else if (c == u'\r') {
            // A progress bar writes over its own line; what stood there last is what a terminal shows.
            if (i + 1 < raw.size()) {
                made.text.clear();
                made.spans.clear();
            }
        } else if (c >= u' ') {
            put(c);
        }
    }
    std::erase_if(made.spans, [](const AnsiSpan& span) { return span.length == 0; });
    return made;
}

QString plainLogText(const std::string& line) { return ansiText(line).text; }

namespace {

QColor readableAnsiColor(int index) {
    // Hues as terminals have them; how light they are follows from the ground.
    static constexpr std::array<QRgb, 16> kColors = {
        0xff3b4048, 0xffc03028, 0xff2e7d32, 0xff8a6100, 0xff2b5fc7, 0xff9b30a8, 0xff00707c, 0xff6d7480,
        0xff707988, 0xffe5484d, 0xff3fa34d, 0xffb8860b, 0xff4b83f0, 0xffc25bd0, 0xff1a9aa8, 0xffa0a8b4};
    const Theme& theme = Theme::current();
    QColor color = QColor::fromRgb(kColors[static_cast<std::size_t>(index)]);
    const QColor towards = theme.isDark() ? QColor(Qt::white) : QColor(Qt::black);
    const auto readable = [&](const QColor& one) {
        return Theme::contrast(one, theme.color(Role::Surface)) >= kReadableContrast &&
               Theme::contrast(one, theme.color(Role::Selection)) >= kReadableContrast;
    };
    const QColor base = color;
    for (double share = 0.05; !readable(color) && share < 1; share += 0.05) color = Theme::blend(base, towards, share);
    return color;
}

}  // namespace

QColor ansiColor(int index) {
    static std::array<QColor, 16> made;
    static bool dark = false;
    if (!made[0].isValid() || dark != Theme::current().isDark()) {
        dark = Theme::current().isDark();
        for (int i = 0; i < 16; ++i) made[static_cast<std::size_t>(i)] = readableAnsiColor(i);
    }
    return made[static_cast<std::size_t>(std::clamp(index, 0, 15))];
}

}  // namespace trainyard::ui
