#include "ui/widgets/Format.h"

#include <QCoreApplication>
#include <QDateTime>
#include <QLocale>

#include <array>
#include <cmath>

#include "core/base/Clock.h"
#include "core/base/Text.h"

namespace trainyard::ui {
namespace {

QString tr(const char* text) { return QCoreApplication::translate("Format", text); }

/// Replaces the C point by the user's.
QString localized(const std::string& text) {
    QString result = fromUtf8(text);
    const QString point = QLocale().decimalPoint();
    if (point != QLatin1String(".")) result.replace(QLatin1Char('.'), point);
    return result;
}

}  // namespace

QString fromUtf8(std::string_view text) { return QString::fromUtf8(text.data(), static_cast<qsizetype>(text.size())); }
QString formatCount(std::int64_t count) { return localized(base::formatCount(count)); }
QString formatExact(std::int64_t count) { return QLocale().toString(static_cast<qlonglong>(count)); }
QString formatTally(double count) {
    const bool whole = count == std::floor(count) && std::abs(count) < 1e15;
    return whole ? formatExact(static_cast<std::int64_t>(count)) : formatNumber(count);
}

QString formatBytes(std::int64_t bytes) { return localized(base::formatBytes(bytes)); }
QString formatDuration(std::int64_t nanos) { return localized(base::formatDuration(nanos)); }

QString formatPercent(double fraction) {
    if (!std::isfinite(fraction)) return localized(base::formatSignificant(fraction));
    const double percent = fraction * 100;
    // 99.96 must not read as 100.0.
    const int digits = percent > 99.9 && percent < 100 ? 2 : 1;
    const QString figure = QLocale().toString(percent, 'f', digits);
    return QStringLiteral("%1\u00a0%").arg(figure);
}

QString formatNumber(double value) { return localized(base::formatSignificant(value)); }

QString formatMetric(std::string_view name, double value) {
    return name.ends_with("accuracy") ? formatPercent(value) : formatNumber(value);
}

QString exactNumber(double value) {
    return std::isfinite(value) ? QString::number(value, 'g', QLocale::FloatingPointShortest)
                                : fromUtf8(base::formatSignificant(value));
}

QString formatAgo(std::int64_t micros, std::int64_t now) {
    if (micros <= 0) return QStringLiteral("–");
    if (now == 0) now = base::wallMicros();
    const std::int64_t seconds = (now - micros) / 1'000'000;
    if (seconds < 45) return tr("just now");
    if (seconds < 3600) return tr("%1 min ago").arg(std::max<std::int64_t>(1, (seconds + 30) / 60));
    const QDateTime at = QDateTime::fromMSecsSinceEpoch(micros / 1000);
    const QDateTime today = QDateTime::fromMSecsSinceEpoch(now / 1000);
    if (seconds < 6 * 3600) return tr("%1 h ago").arg((seconds + 1800) / 3600);
    const qint64 days = at.date().daysTo(today.date());
    const QString clock = QLocale().toString(at.time(), QStringLiteral("HH:mm"));
    if (days == 0) return tr("today %1").arg(clock);
    if (days == 1) return tr("yesterday %1").arg(clock);
    if (at.date().year() == today.date().year()) return QLocale().toString(at.date(), QStringLiteral("d MMM"));
    return QLocale().toString(at.date(), QStringLiteral("d MMM yyyy"));
}

QString formatTime(std::int64_t micros) {
    if (micros <= 0) return QStringLiteral("–");
    return QLocale().toString(QDateTime::fromMSecsSinceEpoch(micros / 1000), QStringLiteral("d MMM yyyy HH:mm:ss"));
}

QString metricTitle(std::string_view name) {
    struct Known {
        std::string_view name;
        const char* title;
    };
    static constexpr std::array<Known, 12> kKnown = {{
        {"train/loss", QT_TRANSLATE_NOOP("Format", "Training loss")},
        {"val/loss", QT_TRANSLATE_NOOP("Format", "Validation loss")},
        {"train/accuracy", QT_TRANSLATE_NOOP("Format", "Training accuracy")},
        {"val/accuracy", QT_TRANSLATE_NOOP("Format", "Validation accuracy")},
        {"val/top5", QT_TRANSLATE_NOOP("Format", "Validation, within five")},
        {"val/f1", QT_TRANSLATE_NOOP("Format", "Validation F1")},
        {"train/learning_rate", QT_TRANSLATE_NOOP("Format", "Learning rate")},
        {"train/samples_per_second", QT_TRANSLATE_NOOP("Format", "Samples per second")},
        {"train/step_seconds", QT_TRANSLATE_NOOP("Format", "Seconds a step")},
        {"train/data_seconds", QT_TRANSLATE_NOOP("Format", "Seconds waiting for data")},
        {"train/exchange_seconds", QT_TRANSLATE_NOOP("Format", "Seconds exchanging gradients")},
        {"train/exchange_hidden_seconds", QT_TRANSLATE_NOOP("Format", "Exchange hidden behind work")},
    }};
    for (const Known& known : kKnown) {
        if (known.name == name) return tr(known.title);
    }
    return fromUtf8(name);
}

QString shortLines(const QString& text, int most) {
    QString out;
    qsizetype from = 0;
    bool cut = false;
    while (from < text.size()) {
        qsizetype end = text.indexOf(u'\n', from);
        if (end < 0) end = text.size();
        if (end - from > most) {
            if (!cut) out = text.left(from);
            cut = true;
            // Not in the middle of a letter of two halves.
            const qsizetype kept = most - (text[from + most - 1].isHighSurrogate() ? 1 : 0);
            out += text.mid(from, kept) + QStringLiteral(" … ") +
                   tr("(%1 characters more)").arg(formatExact(end - from - kept));
            if (end < text.size()) out += u'\n';
        } else if (cut) {
            out += text.mid(from, end - from + 1);
        }
        from = end + 1;
    }
    return cut ? out : text;
}

}  // namespace trainyard::ui
