#include <QAbstractButton>
#include <QApplication>
#include <QFile>
#include <QImage>
#include <QSvgRenderer>
#include <QtTest>

#include <cmath>

#include "tests/helpers/Scratch.h"
#include "tests/helpers/Wait.h"
#include "ui/charts/ChartView.h"
#include "ui/charts/LevelOfDetail.h"
#include "ui/shell/Theme.h"

using namespace trainyard;
using namespace trainyard::ui;
using trainyard::test::waitFor;

namespace {

struct Wave {
    std::vector<double> x, y;
};

Wave wave(int n, double offset = 0) {
    Wave made;
    for (int i = 0; i < n; ++i) {
        made.x.push_back(i);
        made.y.push_back(offset + 1 + std::sin(i * 0.01));
    }
    return made;
}

/// Pixels of about this colour.
int inked(const QImage& image, const QColor& color) {
    int count = 0;
    for (int y = 0; y < image.height(); ++y) {
        for (int x = 0; x < image.width(); ++x) {
            const QColor pixel = image.pixelColor(x, y);
            if (std::abs(pixel.red() - color.red()) + std::abs(pixel.green() - color.green()) +
                    std::abs(pixel.blue() - color.blue()) <
                40)
                ++count;
        }
    }
    return count;
}

}  // namespace

class TestCharts : public QObject {
    Q_OBJECT

    static std::unique_ptr<ChartView> shown(int points = 4000) {
        auto chart = std::make_unique<ChartView>(QStringLiteral("Loss"));
        chart->resize(700, 420);
        for (int s = 0; s < 2 && points > 0; ++s) {
            const QString key = QString::number(s);
            SeriesLook look;
            look.label = QStringLiteral("curve %1").arg(s);
            look.runColor = s;
            chart->setSeries(key, look);
            const Wave data = wave(points, s);
            chart->setPoints(key, data.x, data.y);
        }
        chart->show();
        chart->activateWindow();
        return chart;
    }
    static bool quiet(ChartView& chart) {
        return waitFor([&] { return !chart.isBusy(); }, 5000);
    }

private Q_SLOTS:
    void initTestCase() {
        Theme::install(*qApp);
        Theme::current().setChoice(Theme::Choice::Light);
    }

    void empty_saysWhatItWaitsFor() {
        auto chart = shown(0);
        chart->setWaiting(QStringLiteral("Waiting for the first point"));
        QVERIFY(quiet(*chart));
        const QImage before = chart->grab().toImage();
        QVERIFY(inked(before, Theme::current().runColor(0)) == 0);
        const Wave data = wave(3);
        chart->appendPoints(QStringLiteral("a"), data.x, data.y);
        QVERIFY(quiet(*chart));
        QVERIFY(inked(chart->grab().toImage(), Theme::current().runColor(0)) > 20);
    }

    void curves_areDrawnInTheirRunsColour() {
        auto chart = shown();
        QVERIFY(quiet(*chart));
        const QImage image = chart->grab().toImage();
        QVERIFY(inked(image, Theme::current().runColor(0)) > 200);
        QVERIFY(inked(image, Theme::current().runColor(1)) > 200);
        QVERIFY(inked(image, Theme::current().runColor(2)) == 0);
    }

    void theme_changeRecolours() {
        auto chart = shown();
        QVERIFY(quiet(*chart));
        Theme::current().setChoice(Theme::Choice::Dark);
        QVERIFY(quiet(*chart));
        QTest::qWait(50);
        const QImage image = chart->grab().toImage();
        QVERIFY(inked(image, Theme::current().runColor(0)) > 200);
        Theme::current().setChoice(Theme::Choice::Light);
    }

    void legend_hidesAndShows() {
        auto chart = shown();
        QVERIFY(quiet(*chart));
        QAbstractButton* entry = nullptr;
        for (auto* button : chart->findChildren<QAbstractButton*>()) {
            if (button->text() == QLatin1String("curve 1")) entry = button;
        }
        QVERIFY(entry != nullptr);
        QSignalSpy changed(chart.get(), &ChartView::stateChanged);
        QTest::mouseClick(entry, Qt::LeftButton);
        QVERIFY(quiet(*chart));
        QVERIFY(inked(chart->grab().toImage(), Theme::current().runColor(1)) < 5);
        QCOMPARE(changed.count(), 1);
        QTest::mouseClick(entry, Qt::LeftButton);
        QVERIFY(quiet(*chart));
        QVERIFY(inked(chart->grab().toImage(), Theme::current().runColor(1)) > 200);
    }

    void zoom_byWheelKeysAndDragDownToRawPoints() {
        auto chart = shown(100'000);
        chart->setFocus();
        QVERIFY(quiet(*chart));
        QSignalSpy wanted(chart.get(), &ChartView::rangeWanted);
        QVERIFY(!chart->range());
        for (int i = 0; i < 60; ++i) QTest::keyClick(chart.get(), Qt::Key_Plus);
        QVERIFY(quiet(*chart));
        QVERIFY(chart->range());
        const double span = chart->range()->second - chart->range()->first;
        QVERIFY2(span >= 2 && span < 6, qPrintable(QString::number(span)));
        QVERIFY(wanted.count() > 0);
        QTest::keyClick(chart.get(), Qt::Key_0);
        QVERIFY(!chart->range());
        QVERIFY(quiet(*chart));

        QTest::mousePress(chart.get(), Qt::LeftButton, {}, QPoint(250, 200));
        QTest::mouseMove(chart.get(), QPoint(400, 200));
        QTest::mouseRelease(chart.get(), Qt::LeftButton, {}, QPoint(400, 200));
        QVERIFY(chart->range());
        QVERIFY(quiet(*chart));
        QVERIFY(chart->range()->first > 10'000 && chart->range()->second < 90'000);
        QTest::mouseDClick(chart.get(), Qt::LeftButton, {}, QPoint(300, 200));
        QVERIFY(!chart->range());

        QWheelEvent wheel(QPointF(300, 200), chart->mapToGlobal(QPointF(300, 200)), QPoint(), QPoint(0, 240),
                          Qt::NoButton, Qt::NoModifier, Qt::NoScrollPhase, false);
        QApplication::sendEvent(chart.get(), &wheel);
        QVERIFY(chart->range());
    }

    void wheel_leavesAPageScrollableUntilClicked() {
        auto chart = shown();
        QVERIFY(quiet(*chart));
        chart->clearFocus();
        QWheelEvent wheel(QPointF(300, 200), chart->mapToGlobal(QPointF(300, 200)), QPoint(), QPoint(0, -120),
                          Qt::NoButton, Qt::NoModifier, Qt::NoScrollPhase, false);
        QApplication::sendEvent(chart.get(), &wheel);
        QVERIFY(!wheel.isAccepted());
        QVERIFY(!chart->range());
    }

    void crosshair_followsKeysAndTellsOthers() {
        auto chart = shown();
        QVERIFY(quiet(*chart));
        QSignalSpy spy(chart.get(), &ChartView::hovered);
        const QImage before = chart->grab().toImage();
        QTest::keyClick(chart.get(), Qt::Key_Right);
        QCOMPARE(spy.count(), 1);
        QTest::qWait(30);
        QVERIFY(chart->grab().toImage() != before);
        QTest::keyClick(chart.get(), Qt::Key_Escape);
        QCOMPARE(spy.count(), 2);
    }

    void logScale_dropsWhatHasNoLogarithm() {
        auto chart = shown(0);
        const std::vector<double> x = {1, 2, 3, 4, 5}, y = {0.001, 0, -3, 1, 100};
        chart->setPoints(QStringLiteral("a"), x, y);
        chart->setLogScale(true);
        QVERIFY(quiet(*chart));
        QVERIFY(chart->logScale());
        QVERIFY(inked(chart->grab().toImage(), Theme::current().runColor(0)) > 5);
    }

    void nan_isAGapNotACrash() {
        auto chart = shown(0);
        std::vector<double> x, y;
        for (int i = 0; i < 5000; ++i) {
            x.push_back(i);
            y.push_back(i > 2000 && i < 3000 ? std::nan("") : i == 4000 ? INFINITY : 1.0);
        }
        chart->setPoints(QStringLiteral("a"), x, y);
        QVERIFY(quiet(*chart));
        const Wave only = wave(1);
        chart->setPoints(QStringLiteral("b"), only.x, std::vector<double>{std::nan("")});
        QVERIFY(quiet(*chart));
        QVERIFY(inked(chart->grab().toImage(), Theme::current().runColor(0)) > 100);
    }

    void slices_keepTheWholeWhileZoomed() {
        auto chart = shown(0);
        Slice whole, part;
        for (int i = 0; i <= 1000; ++i) whole.push(i * 10, 1, 2, 1.5, 10);
        for (int i = 0; i <= 100; ++i) part.push(4000 + i, 1.2, 1.2, 1.2, 1);
        part.raw = true;
        chart->setSlice(QStringLiteral("a"), whole);
        QVERIFY(quiet(*chart));
        chart->setRange(std::pair(4000.0, 4100.0));
        chart->setSlice(QStringLiteral("a"), part);
        QVERIFY(quiet(*chart));
        chart->setRange(std::pair(0.0, 9000.0));
        QCOMPARE(chart->range().value(), (std::pair<double, double>(0, 9000)));
    }

    void state_roundTrips() {
        auto chart = shown();
        QVERIFY(quiet(*chart));
        chart->setLogScale(true);
        chart->setSmoothing(0.9);
        chart->setSeriesVisible(QStringLiteral("1"), false);
        chart->setRange(std::pair(100.0, 900.0));
        const base::Json state = chart->saveState();
        auto other = shown();
        other->restoreState(state);
        QVERIFY(quiet(*other));
        QVERIFY(other->logScale());
        QCOMPARE(other->smoothing(), 0.9);
        QCOMPARE(other->range().value(), (std::pair<double, double>(100, 900)));
        QVERIFY(inked(other->grab().toImage(), Theme::current().runColor(1)) < 5);
        other->restoreState(base::Json("nonsense"));
    }

    void export_writesEveryKind() {
        const test::Scratch scratch;
        auto chart = shown();
        QVERIFY(quiet(*chart));
        const QString base = QString::fromStdString((scratch / "chart").string());
        for (const char* suffix : {".png", ".svg", ".pdf"}) {
            const QString file = base + QLatin1String(suffix);
            QVERIFY2(chart->exportImage(file), suffix);
            QVERIFY(QFileInfo(file).size() > 1000);
        }
        const QImage png(base + QStringLiteral(".png"));
        QCOMPARE(png.size(), QSize(2400, 1500));
        QVERIFY(inked(png, Theme::current().runColor(0)) > 500);
        QVERIFY(QSvgRenderer(base + QStringLiteral(".svg")).isValid());
        QFile pdf(base + QStringLiteral(".pdf"));
        QVERIFY(pdf.open(QIODevice::ReadOnly));
        QVERIFY(pdf.read(5) == "%PDF-");
        QVERIFY(!chart->exportImage(QStringLiteral("/nowhere/at/all.png")));
    }

    void csv_holdsWhatIsSeen() {
        auto chart = shown(100);
        QVERIFY(quiet(*chart));
        chart->setRange(std::pair(10.0, 20.0));
        const QStringList lines = chart->toCsv().split(QLatin1Char('\n'), Qt::SkipEmptyParts);
        QCOMPARE(lines.size(), 1 + 2 * 11);
        QCOMPARE(lines[0], QStringLiteral("series,step,value"));
        QVERIFY(lines[1].startsWith(QStringLiteral("\"curve 0\",10,")));
    }

    void live_staysWithinItsFrame() {
        auto chart = std::make_unique<ChartView>(QStringLiteral("Loss"));
        chart->resize(1000, 600);
        for (int s = 0; s < 10; ++s) {
            const Wave data = wave(100'000, s);
            chart->setPoints(QString::number(s), data.x, data.y);
        }
        chart->show();
        QVERIFY(quiet(*chart));
        std::vector<std::int64_t> frames;
        for (int frame = 0; frame < 30; ++frame) {
            for (int s = 0; s < 10; ++s) {
                const double at = 100'000 + frame;
                chart->appendPoints(QString::number(s), std::vector<double>{at}, std::vector<double>{s + 1.0});
            }
            QVERIFY(quiet(*chart));
            QApplication::processEvents();
            frames.push_back(chart->lastFrameNanos());
        }
        std::nth_element(frames.begin(), frames.begin() + 15, frames.end());
        // The benchmark's bound is 8 ms; a machine that builds beside the test may be four times slower.
        QVERIFY2(frames[15] < 32'000'000, qPrintable(QString::number(frames[15])));
    }
};

QTEST_MAIN(TestCharts)
#include "tst_Charts.moc"
