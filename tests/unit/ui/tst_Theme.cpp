#include <QGlyphRun>
#include <QTextLayout>
#include <QtTest>

#include <QApplication>
#include <QDirIterator>
#include <QIcon>
#include <QRegularExpression>
#include <QSvgRenderer>

#include "tests/helpers/Scratch.h"
#include "ui/shell/Icons.h"
#include "ui/shell/Plurals.h"
#include "ui/shell/Theme.h"

using namespace trainyard::ui;

class TestTheme : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { Theme::install(*qApp); }

    void contrast_holdsInBothThemes_data() {
        QTest::addColumn<bool>("dark");
        QTest::newRow("light") << false;
        QTest::newRow("dark") << true;
    }
    void contrast_holdsInBothThemes() {
        QFETCH(bool, dark);
        Theme& theme = Theme::current();
        theme.setChoice(dark ? Theme::Choice::Dark : Theme::Choice::Light);
        QCOMPARE(theme.isDark(), dark);
        const auto atLeast = [&](Role ink, Role ground, double ratio) {
            const double got = Theme::contrast(theme.color(ink), theme.color(ground));
            QVERIFY2(got >= ratio,
                     qPrintable(QStringLiteral("role %1 on %2: %3").arg(int(ink)).arg(int(ground)).arg(got)));
        };
        for (const Role ground :
             {Role::Background, Role::Surface, Role::Raised, Role::Sunken, Role::Selection, Role::Hover}) {
            atLeast(Role::Text, ground, 7);
            atLeast(Role::Muted, ground, 4.5);
            atLeast(Role::Accent, ground, 4.5);
            atLeast(Role::Focus, ground, 3);
        }
        for (const Role ground : {Role::Background, Role::Surface}) {
            for (const Role ink : {Role::Success, Role::Warning, Role::Danger, Role::Info}) atLeast(ink, ground, 4.5);
            atLeast(Role::BorderStrong, ground, 3);
        }
        atLeast(Role::Success, Role::SuccessSoft, 4.5);
        atLeast(Role::Warning, Role::WarningSoft, 4.5);
        atLeast(Role::Danger, Role::DangerSoft, 4.5);
        atLeast(Role::Info, Role::InfoSoft, 4.5);
        atLeast(Role::Accent, Role::AccentSoft, 4.5);
        for (const Role ground : {Role::SuccessSoft, Role::WarningSoft, Role::DangerSoft, Role::InfoSoft})
            atLeast(Role::Text, ground, 7);
        atLeast(Role::AccentText, Role::AccentFill, 4.5);
        atLeast(Role::AccentText, Role::DangerFill, 4.5);
        for (int i = 0; i < Theme::runColorCount(); ++i) {
            QVERIFY(Theme::contrast(theme.runColor(i), theme.color(Role::Surface)) >= 3.0);
            for (int j = 0; j < i; ++j) QVERIFY(theme.runColor(i) != theme.runColor(j));
        }
        QCOMPARE(theme.runColor(10), theme.runColor(0));
        QCOMPARE(theme.runColor(-1), theme.runColor(9));
    }

    void contrast_isWcags() {
        QCOMPARE(Theme::contrast(Qt::white, Qt::black), 21.0);
        QCOMPARE(Theme::contrast(Qt::white, Qt::white), 1.0);
        QVERIFY(std::abs(Theme::contrast(QColor(0x76, 0x76, 0x76), Qt::white) - 4.54) < 0.01);
    }

    void change_isToldAndReachesThePalette() {
        Theme& theme = Theme::current();
        theme.setChoice(Theme::Choice::Light);
        QSignalSpy spy(&theme, &Theme::changed);
        theme.setChoice(Theme::Choice::Dark);
        QCOMPARE(spy.count(), 1);
        QCOMPARE(QApplication::palette().color(QPalette::Window), theme.color(Role::Background));
        theme.setChoice(Theme::Choice::Dark);
        QCOMPARE(spy.count(), 1);
        theme.setChoice(Theme::Choice::System);
        theme.setSystemDark(true);
        QVERIFY(theme.isDark());
        theme.setSystemDark(false);
        QVERIFY(!theme.isDark());
        const int comfortable = theme.rowHeight();
        theme.setDensity(Theme::Density::Compact);
        QVERIFY(theme.rowHeight() < comfortable);
        theme.setDensity(Theme::Density::Comfortable);
    }

    void icons_areDrawnInTheThemesInk() {
        const QStringList names = iconNames();
        QVERIFY(names.size() >= 40);
        Theme::current().setChoice(Theme::Choice::Light);
        for (const QString& name : names) {
            QVERIFY2(QSvgRenderer(QStringLiteral(":/trainyard/icons/%1.svg").arg(name)).isValid(), qPrintable(name));
            const QImage image = icon(name, Role::Danger).pixmap(QSize(48, 48), 1.0).toImage();
            QCOMPARE(image.size(), QSize(48, 48));
            int inked = 0, tinted = 0;
            for (int y = 0; y < 48; ++y) {
                for (int x = 0; x < 48; ++x) {
                    const QColor pixel = image.pixelColor(x, y);
                    if (pixel.alpha() < 250) continue;
                    ++inked;
                    const QColor ink = Theme::current().color(Role::Danger);
                    const auto near = [](int a, int b) { return std::abs(a - b) <= 4; };
                    if (near(pixel.red(), ink.red()) && near(pixel.green(), ink.green()) &&
                        near(pixel.blue(), ink.blue()))
                        ++tinted;
                }
            }
            QVERIFY2(inked > 8, qPrintable(name));
            if (name != QLatin1String("trainyard")) QVERIFY2(tinted == inked, qPrintable(name));
        }
    }

    void icons_namedInTheSourcesExist() {
        // A misspelt name would be an empty place on a button.
        const QRegularExpression call(
            QStringLiteral("(?:\\bicon|setIconName|setIcon|IconButton|PrimaryButton|QuietButton|addPrimary|"
                           "addSecondary)\\((?:[^;]*?)QStringLiteral\\(\"([a-z-]+)\"\\)"));
        const QStringList names = iconNames();
        int looked = 0;
        QDirIterator files(QString::fromStdString((trainyard::test::sourceFolder() / "ui").string()),
                           {QStringLiteral("*.cpp")}, QDir::Files, QDirIterator::Subdirectories);
        while (files.hasNext()) {
            QFile file(files.next());
            QVERIFY(file.open(QIODevice::ReadOnly));
            for (const QByteArray& line : file.readAll().split('\n')) {
                const auto match = call.match(QString::fromUtf8(line));
                const QString name = match.captured(1);
                // Two words on such a line may be an object's name or a property instead.
                if (!match.hasMatch() || line.contains("setObjectName") || line.contains("setProperty")) continue;
                ++looked;
                QVERIFY2(names.contains(name), qPrintable(file.fileName() + QStringLiteral(": ") + name));
            }
        }
        QVERIFY(looked > 30);
    }

    void plurals_followTheCount() {
        QCOMPARE(tr("%n run(s)", nullptr, 1), QStringLiteral("1 run"));
        QCOMPARE(tr("%n run(s)", nullptr, 2), QStringLiteral("2 runs"));
        QCOMPARE(tr("%n process(es) of run(s)", nullptr, 0), QStringLiteral("0 processes of runs"));
        QCOMPARE(tr("text(s) without a count"), QStringLiteral("text(s) without a count"));
    }

    void fonts_areTheThemes() {
        QCOMPARE(QApplication::font().pixelSize(), 13);
        QCOMPARE(Theme::current().font(TextStyle::Title).pixelSize(), 20);
        QVERIFY(QFontInfo(Theme::current().font(TextStyle::Mono)).fixedPitch());
        QCOMPARE(Theme::current().space(3), 16);
    }

    void code_isDrawnSignBySign() {
        const auto glyphs = [](const QString& text, const QFont& font) {
            QTextLayout layout(text, font);
            layout.beginLayout();
            layout.createLine();
            layout.endLayout();
            QList<quint32> all;
            for (const QGlyphRun& run : layout.glyphRuns()) all << run.glyphIndexes();
            return all;
        };
        const QFont mono = Theme::current().font(TextStyle::Mono);
        for (const QString& joined :
             {QStringLiteral("=="), QStringLiteral("->"), QStringLiteral("!="), QStringLiteral(">=")}) {
            QList<quint32> apart;
            for (const QChar sign : joined) apart << glyphs(QString(sign), mono);
            QCOMPARE(glyphs(joined, mono), apart);
        }
    }
};

QTEST_MAIN(TestTheme)
#include "tst_Theme.moc"
