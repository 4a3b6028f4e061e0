#include "ui/charts/Ticks.h"

#include <QCoreApplication>
#include <QLocale>
#include <QSet>

#include <algorithm>
#include <array>
#include <cmath>

namespace trainyard::ui {
namespace {

QString trim(QString text) {
    const QString point = QLocale().decimalPoint();
    if (text.contains(point)) {
        while (text.endsWith(QLatin1Char('0'))) text.chop(1);
        if (text.endsWith(point)) text.chop(point.size());
    }
    return text;
}

QString scaled(double value, int decimals) {
    struct Unit {
        double size;
        const char* name;
    };
    static constexpr std::array<Unit, 4> kUnits = {{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}}};
    for (const Unit& unit : kUnits) {
        if (std::abs(value) >= unit.size && (unit.size > 1e3 || std::abs(value) >= 1e4)) {
            return trim(QLocale().toString(value / unit.size, 'f', decimals)) + QStringLiteral("\u00a0") +
                   QLatin1String(unit.name);
        }
    }
    return trim(QLocale().toString(value, 'f', decimals));
}

QString seconds(double value) {
    const auto whole = static_cast<long long>(std::llround(value));
    if (std::abs(value - static_cast<double>(whole)) > 1e-9 && std::abs(value) < 60) {
        return QStringLiteral("%1\u00a0s").arg(trim(QLocale().toString(value, 'f', 3)));
    }
    const auto translated = [](const char* text) { return QCoreApplication::translate("Ticks", text); };
    if (whole == 0) return QStringLiteral("0");
    if (std::llabs(whole) < 60) return translated("%1 s").arg(whole);
    if (std::llabs(whole) < 3600) {
        return whole % 60 == 0
                   ? translated("%1 min").arg(whole / 60)
                   : QStringLiteral("%1:%2").arg(whole / 60).arg(std::llabs(whole % 60), 2, 10, QLatin1Char('0'));
    }
    if (whole % 86400 == 0) return translated("%1 d").arg(whole / 86400);
    if (whole % 3600 == 0) return translated("%1 h").arg(whole / 3600);
    return QStringLiteral("%1:%2\u00a0h").arg(whole / 3600).arg(std::llabs(whole % 3600) / 60, 2, 10, QLatin1Char('0'));
}

QString label(double value, int decimals, TickFormat format, bool tiny) {
    switch (format) {
    case TickFormat::Seconds: return seconds(value);
    case TickFormat::Percent:
        return trim(QLocale().toString(value * 100, 'f', std::max(0, decimals - 2))) + QStringLiteral("\u00a0%");
    case TickFormat::Count:
    case TickFormat::Number: break;
    }
    if (value == 0) return QStringLiteral("0");
    if (tiny) return QString::number(value, 'g', std::max(1, decimals));
    return scaled(value, decimals);
}

/// Adds labels with as few decimals as keep them apart.
std::vector<Tick> labelled(const std::vector<double>& values, TickFormat format) {
    std::vector<Tick> ticks;
    double largest = 0;
    for (const double value : values) largest = std::max(largest, std::abs(value));
    const bool tiny = largest > 0 && largest < 1e-3 && format == TickFormat::Number;
    for (int decimals = tiny ? 1 : format == TickFormat::Percent ? 2 : 0; decimals <= 12; ++decimals) {
        ticks.clear();
        QSet<QString> seen;
        bool exact = true;
        for (const double value : values) {
            ticks.push_back({value, label(value, decimals, format, tiny)});
            seen.insert(ticks.back().label);
            const double shown =
                std::abs(value) >= 1e4 ? value / std::pow(1000, std::floor(std::log10(std::abs(value)) / 3)) : value;
            const double power = std::pow(10.0, decimals);
            exact = exact && (tiny || format == TickFormat::Seconds ||
                              std::abs(shown * power - std::round(shown * power)) <
                                  1e-6 * power * std::max(1e-6, std::abs(shown)));
        }
        if (exact && seen.size() == static_cast<qsizetype>(values.size())) break;
    }
    return ticks;
}

}  // namespace

double niceStep(double span, int most) {
    if (!(span > 0) || !std::isfinite(span)) return 1;
    const double rough = span / std::max(1, most);
    const double power = std::pow(10.0, std::floor(std::log10(rough)));
    for (const double factor : {1.0, 2.0, 2.5, 5.0, 10.0}) {
        if (factor * power >= rough * (1 - 1e-12)) return factor * power;
    }
    return 10 * power;
}

double niceSeconds(double span, int most) {
    static constexpr std::array<double, 19> kSteps = {1,   2,    5,    10,   15,    30,    60,    120,   300,   600,
                                                      900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800};
    const double rough = span / std::max(1, most);
    if (rough < 1) return niceStep(span, most);
    for (const double step : kSteps) {
        if (step >= rough) return step;
    }
    return 86400 * niceStep(span / 86400, most);
}

std::vector<Tick> linearTicks(double low, double high, int most, TickFormat format) {
    if (!(high > low)) return labelled({low}, format);
    double step = format == TickFormat::Seconds ? niceSeconds(high - low, most) : niceStep(high - low, most);
    if (format == TickFormat::Count) step = std::max(1.0, std::ceil(step));
    std::vector<double> values;
    const double first = std::ceil(low / step - 1e-9);
    for (double i = first; i * step <= high + step * 1e-9; ++i) values.push_back(i == 0 ? 0.0 : i * step);
    return labelled(values, format);
}

std::vector<Tick> logTicks(double low, double high, int most, TickFormat format) {
    const int from = static_cast<int>(std::floor(std::log10(low) + 1e-9));
    const int to = static_cast<int>(std::ceil(std::log10(high) - 1e-9));
    const int every = std::max(1, (to - from + most - 1) / std::max(1, most));
    std::vector<double> values;
    for (int power = from; power <= to; power += every) {
        for (const double factor : {1.0, 2.0, 5.0}) {
            if (factor > 1 && to - from >= 3) continue;
            const double value = factor * std::pow(10.0, power);
            if (value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9)) values.push_back(value);
        }
    }
    std::vector<Tick> ticks;
    for (const double value : values) {
        const double shown = format == TickFormat::Percent ? value * 100 : value;
        QString text =
            shown >= 1e-3 && shown < 1e6 ? trim(QLocale().toString(shown, 'f', 6)) : QString::number(shown, 'g', 3);
        if (format == TickFormat::Percent) text += QStringLiteral("\u00a0%");
        ticks.push_back({value, text});
    }
    return ticks;
}

std::pair<double, double> niceRange(double low, double high, int most) {
    if (!(high > low)) {
        const double pad = low == 0 ? 1 : std::abs(low) * 0.05;
        low -= pad;
        high += pad;
    }
    // Rounding outwards changes the span, and that may change the step the axis will take for it; both ends get their
    // mark once the step agrees with the range it made.
    std::pair<double, double> range(low, high);
    double step = niceStep(high - low, most);
    for (int round = 0; round < 8; ++round) {
        range = {std::floor(low / step + 1e-9) * step, std::ceil(high / step - 1e-9) * step};
        const double wanted = niceStep(range.second - range.first, most);
        if (std::abs(wanted - step) <= step * 1e-9) break;
        step = wanted;
    }
    return range;
}

int yMarks(double height, bool compact) { return std::clamp(static_cast<int>(height / (compact ? 30 : 40)), 1, 8); }

std::pair<double, double> niceLogRange(double low, double high) {
    const auto down = [](double value) {
        const double power = std::pow(10.0, std::floor(std::log10(value)));
        for (const double factor : {5.0, 2.0}) {
            if (factor * power <= value * (1 + 1e-9)) return factor * power;
        }
        return power;
    };
    const auto up = [](double value) {
        const double power = std::pow(10.0, std::floor(std::log10(value)));
        for (const double factor : {1.0, 2.0, 5.0}) {
            if (factor * power >= value * (1 - 1e-9)) return factor * power;
        }
        return 10 * power;
    };
    double from = down(low), to = up(high);
    if (!(to > from)) {
        from /= 2;
        to *= 2;
    }
    return {from, to};
}

}  // namespace trainyard::ui
