#include <QtTest>

#include <cmath>
#include <random>

#include "ui/charts/Ticks.h"

using namespace trainyard::ui;

namespace {

QStringList labels(const std::vector<Tick>& ticks) {
    QStringList list;
    for (const Tick& tick : ticks) list << QString(tick.label).replace(QChar(0xa0), QLatin1Char(' '));
    return list;
}

}  // namespace

class TestTicks : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { QLocale::setDefault(QLocale::c()); }

    void niceStep_isNiceAndEnough() {
        std::mt19937 random(1);
        for (int i = 0; i < 2000; ++i) {
            const double span = std::pow(10.0, static_cast<double>(random() % 1600) / 100.0 - 8) *
                                (1 + static_cast<double>(random() % 100) / 100.0);
            const int most = 1 + static_cast<int>(random() % 9);
            const double step = niceStep(span, most);
            QVERIFY(span / step <= most * (1 + 1e-9));
            QVERIFY(span / step > most / 2.6);
            const double mantissa = step / std::pow(10.0, std::floor(std::log10(step) + 1e-9));
            bool nice = false;
            for (const double good : {1.0, 2.0, 2.5, 5.0}) nice = nice || std::abs(mantissa - good) < 1e-6;
            QVERIFY2(nice, qPrintable(QString::number(step)));
        }
    }

    void linearTicks_stayInsideWithDistinctLabels() {
        std::mt19937 random(2);
        for (int i = 0; i < 2000; ++i) {
            const double low =
                (static_cast<double>(random() % 2000) - 1000) * std::pow(10.0, static_cast<double>(random() % 9) - 5);
            const double high = low + std::pow(10.0, static_cast<double>(random() % 1000) / 100.0 - 4);
            if (!(high - low > std::abs(low) * 1e-6)) continue;
            const auto ticks = linearTicks(low, high, 6, TickFormat::Number);
            QVERIFY(!ticks.empty() || niceStep(high - low, 6) > high - low);
            QVERIFY(ticks.size() <= 7);
            QSet<QString> seen;
            for (const Tick& tick : ticks) {
                QVERIFY(tick.at >= low - (high - low) * 1e-6 && tick.at <= high + (high - low) * 1e-6);
                seen.insert(tick.label);
            }
            QCOMPARE(static_cast<std::size_t>(seen.size()), ticks.size());
        }
    }

    void linearTicks_read_data() {
        QTest::addColumn<double>("low");
        QTest::addColumn<double>("high");
        QTest::addColumn<int>("format");
        QTest::addColumn<QStringList>("expected");
        const auto row = [](const char* name, double low, double high, TickFormat format, const QStringList& expected) {
            QTest::newRow(name) << low << high << static_cast<int>(format) << expected;
        };
        row("loss", 0, 2.5, TickFormat::Number,
            {QStringLiteral("0"), QStringLiteral("0.5"), QStringLiteral("1"), QStringLiteral("1.5"),
             QStringLiteral("2"), QStringLiteral("2.5")});
        row("percent", 0.5, 1, TickFormat::Percent,
            {QStringLiteral("50 %"), QStringLiteral("60 %"), QStringLiteral("70 %"), QStringLiteral("80 %"),
             QStringLiteral("90 %"), QStringLiteral("100 %")});
        row("narrow percent", 0.9, 0.92, TickFormat::Percent,
            {QStringLiteral("90 %"), QStringLiteral("90.5 %"), QStringLiteral("91 %"), QStringLiteral("91.5 %"),
             QStringLiteral("92 %")});
        row("steps", 0, 50000, TickFormat::Count,
            {QStringLiteral("0"), QStringLiteral("10 k"), QStringLiteral("20 k"), QStringLiteral("30 k"),
             QStringLiteral("40 k"), QStringLiteral("50 k")});
        row("few steps", 0, 3, TickFormat::Count,
            {QStringLiteral("0"), QStringLiteral("1"), QStringLiteral("2"), QStringLiteral("3")});
        row("seconds", 0, 60, TickFormat::Seconds,
            {QStringLiteral("0"), QStringLiteral("15 s"), QStringLiteral("30 s"), QStringLiteral("45 s"),
             QStringLiteral("1 min")});
        row("hours", 0, 4 * 3600, TickFormat::Seconds,
            {QStringLiteral("0"), QStringLiteral("1 h"), QStringLiteral("2 h"), QStringLiteral("3 h"),
             QStringLiteral("4 h")});
        row("tiny", 0, 5e-5, TickFormat::Number,
            {QStringLiteral("0"), QStringLiteral("1e-05"), QStringLiteral("2e-05"), QStringLiteral("3e-05"),
             QStringLiteral("4e-05"), QStringLiteral("5e-05")});
    }
    void linearTicks_read() {
        QFETCH(double, low);
        QFETCH(double, high);
        QFETCH(int, format);
        QFETCH(QStringList, expected);
        QCOMPARE(labels(linearTicks(low, high, 5, static_cast<TickFormat>(format))), expected);
    }

    void logTicks_standOnPowers() {
        QCOMPARE(
            labels(logTicks(0.01, 1, 8, TickFormat::Number)),
            QStringList({QStringLiteral("0.01"), QStringLiteral("0.02"), QStringLiteral("0.05"), QStringLiteral("0.1"),
                         QStringLiteral("0.2"), QStringLiteral("0.5"), QStringLiteral("1")}));
        for (const Tick& tick : logTicks(1e-6, 1e6, 6, TickFormat::Number)) {
            const double power = std::log10(tick.at);
            QVERIFY(std::abs(power - std::round(power)) < 1e-9);
        }
    }

    void ranges_endOnMarks() {
        for (const auto& [low, high] : std::vector<std::pair<double, double>>{
                 {0.2, 2.3}, {0.1, 0.93}, {-3, 7}, {24100, 26800}, {1e-5, 9.1e-4}, {0, 0.1}}) {
            for (const int most : {3, 5, 8}) {
                const auto range = niceRange(low, high, most);
                const auto ticks = linearTicks(range.first, range.second, most, TickFormat::Number);
                const double slack = (range.second - range.first) * 1e-6;
                QVERIFY2(std::abs(ticks.front().at - range.first) < slack &&
                             std::abs(ticks.back().at - range.second) < slack,
                         qPrintable(QStringLiteral("%1 … %2 in %3").arg(low).arg(high).arg(most)));
            }
        }
    }

    void ranges_holdTheirValues() {
        std::mt19937 random(3);
        for (int i = 0; i < 2000; ++i) {
            const double low = (static_cast<double>(random() % 2000) - 1000) / 7.0;
            const double high = low + static_cast<double>(random() % 1000) / 13.0;
            const auto range = niceRange(low, high, 5);
            QVERIFY(range.first <= low + 1e-6 && range.second >= high - 1e-6 && range.second > range.first);
            const double small = std::pow(10.0, static_cast<double>(random() % 800) / 100.0 - 6),
                         large = small * (1 + static_cast<double>(random() % 1000));
            const auto log = niceLogRange(small, large);
            QVERIFY(log.first > 0 && log.first <= small * (1 + 1e-6) && log.second >= large * (1 - 1e-6) &&
                    log.second > log.first);
        }
    }
};

QTEST_GUILESS_MAIN(TestTicks)
#include "tst_Ticks.moc"
