// The built workbench as a program: its command line, the charts that it draws without a window, and the pictures of
// its pages.
#include <QDir>
#include <QImage>
#include <QtTest>

#include "core/base/Files.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard;

class ProgramTest : public QObject {
    Q_OBJECT
    test::Scratch m_scratch;
    std::string m_workspace;

    static test::ProgramResult run(const std::vector<std::string>& arguments) {
        test::ProgramOptions options;
        options.timeoutMillis = 180'000;
        // As on a machine without a display, where only what needs none may work.
        options.variables = {{"QT_QPA_PLATFORM", "offscreen"}, {"DISPLAY", ""}};
        return test::runProgram(test::builtProgram("trainyard"), arguments, options);
    }
    [[nodiscard]] test::ProgramResult render(const std::string& what, const std::string& out,
                                             std::vector<std::string> more = {}) const {
        more.insert(more.begin(), {m_workspace, "--render", what, "--out", out});
        return run(more);
    }

private Q_SLOTS:
    void initTestCase() {
        m_scratch.isolate();
        m_workspace = (m_scratch / "made up").string();
        const auto made = run({"--make-showcase", m_workspace, "--runs", "2"});
        QVERIFY2(made.exitCode == 0, made.err.c_str());
    }

    void render_drawsEveryKind() {
        // The index is made of the files on the way: nobody has opened this workspace yet.
        const std::string png = (m_scratch / "für alle.png").string();
        const auto drawn = render("2", png, {"--size", "900x500"});
        QVERIFY2(drawn.exitCode == 0, drawn.err.c_str());
        const QImage image(QString::fromStdString(png));
        QCOMPARE(image.size(), QSize(1800, 1000));
        // Curves, not only a frame: more than a handful of colours.
        QSet<QRgb> colours;
        for (int y = 0; y < image.height(); y += 2) {
            for (int x = 0; x < image.width(); x += 2) colours.insert(image.pixel(x, y));
        }
        QVERIFY2(colours.size() > 50, qPrintable(QString::number(colours.size())));

        const auto again = render("2", (m_scratch / "dark.png").string(), {"--size=900x500", "--theme", "dark"});
        QVERIFY2(again.exitCode == 0, again.err.c_str());
        const QImage dark(QString::fromStdString((m_scratch / "dark.png").string()));
        QVERIFY(dark.pixelColor(4, 4).lightness() < 80 && image.pixelColor(4, 4).lightness() > 200);

        QCOMPARE(render("1", (m_scratch / "one.svg").string()).exitCode, 0);
        const std::string svg = m_scratch.read("one.svg");
        QVERIFY(svg.find("<svg") != std::string::npos && svg.find("Loss") != std::string::npos);
        QVERIFY(svg.find("<path") != std::string::npos || svg.find("<polyline") != std::string::npos);
        QCOMPARE(render("1", (m_scratch / "one.pdf").string()).exitCode, 0);
        const std::string pdf = m_scratch.read("one.pdf");
        QVERIFY(pdf.starts_with("%PDF-") && pdf.size() > 5000);
    }

    void render_saysWhatIsWrong() {
        const auto fails = [&](const test::ProgramResult& ran, int code, const char* says) {
            QCOMPARE(ran.exitCode, code);
            QVERIFY2(ran.err.find(says) != std::string::npos, ran.err.c_str());
        };
        fails(render("77", (m_scratch / "x.png").string()), 1, "77");
        fails(render("1", (m_scratch / "x.gif").string()), 2, ".png, .svg or .pdf");
        fails(render("1", (m_scratch / "x.png").string(), {"--size", "9x9"}), 2, "1280x900");
        fails(render("1", "/proc/nowhere/x.png"), 1, "/proc/nowhere/x.png");
        fails(run({(m_scratch / "no workspace").string(), "--render", "1", "--out", "x.png"}), 1, "no workspace");
        fails(run({"--render", "1"}), 2, "--render and --out");
        fails(run({"--frobnicate"}), 2, "--frobnicate");
        fails(run({"--only", "home"}), 2, "--screenshots");
        fails(run({"--theme"}), 2, "--theme needs a value");
        QVERIFY(!base::readFile(m_scratch / "x.png").ok());
    }

    void screenshots_areTaken() {
        const std::string folder = (m_scratch / "pictures").string();
        const auto taken = run({"--screenshots", folder, "--only", "settings-light-1280x720,run-log-dark-2560x1440"});
        QVERIFY2(taken.exitCode == 0, taken.err.c_str());
        const QDir pictures(QString::fromStdString(folder));
        // A name takes its looks along: larger text, right to left, twice the pixels.
        QCOMPARE(pictures.entryList(QDir::Files), (QStringList{QStringLiteral("run-log-dark-2560x1440-200.png"),
                                                               QStringLiteral("run-log-dark-2560x1440.png"),
                                                               QStringLiteral("settings-light-1280x720-large.png"),
                                                               QStringLiteral("settings-light-1280x720-rtl.png"),
                                                               QStringLiteral("settings-light-1280x720.png")}));
        const QImage light(pictures.filePath(QStringLiteral("settings-light-1280x720.png")));
        const QImage dark(pictures.filePath(QStringLiteral("run-log-dark-2560x1440.png")));
        QCOMPARE(light.size(), QSize(1280, 720));
        QCOMPARE(dark.size(), QSize(2560, 1440));
        QVERIFY(light.pixelColor(640, 715).lightness() > 200 && dark.pixelColor(1280, 1435).lightness() < 80);
        const auto none = run({"--screenshots", folder, "--only", "no-such-page"});
        QCOMPARE(none.exitCode, 1);
        QVERIFY2(none.err.find("no-such-page") != std::string::npos, none.err.c_str());
    }

    void help_andVersion() {
        const auto help = run({"--help"});
        QCOMPARE(help.exitCode, 0);
        for (const char* option : {"--render", "--out", "--theme", "--size", "--sample", "--screenshots", "--only",
                                   "--make-showcase", "--measure-start"}) {
            QVERIFY2(help.out.find(option) != std::string::npos, option);
        }
        QVERIFY(run({"--version"}).out.starts_with("trainyard "));
    }
};

QTEST_GUILESS_MAIN(ProgramTest)
#include "tst_Program.moc"
