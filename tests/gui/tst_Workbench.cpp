// The built workbench, started as installer/run starts it, on a display of its own with a window manager. What is
// pressed is found in the picture of the screen and pressed with the mouse; nothing of the program is linked but its
// colours.
#include <QApplication>
#include <QDir>
#include <QFile>
#include <QImage>
#include <QPixmap>
#include <QProcess>
#include <QScreen>
#include <QtTest>

#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Wait.h"
#include "ui/shell/Theme.h"

using namespace trainyard;
using base::Json;
using test::waitFor;

namespace {

constexpr const char* kDisplayIsOurs = "TRAINYARD_UNDER_XVFB";  ///< Set by under_xvfb.sh.
constexpr int kRailWidth = 110;
constexpr int kShortestButton = 70;

/// A real part of Debian's Fashion-MNIST, so that training takes seconds.
constexpr const char* kPart = R"(set -eu
cd "$1"
part() { zcat "$from/$1" | tail -c "+$2" | head -c "$3"; }
images() { { printf '\0\0\10\3\0\0'"$3"'\0\0\0\34\0\0\0\34'; part "$1" 17 $(($2 * 784)); } | gzip -1 >"$1"; }
labels() { { printf '\0\0\10\1\0\0'"$3"; part "$1" 9 "$2"; } | gzip -1 >"$1"; }
from=/usr/share/datasets/fashion-mnist
set +o pipefail
images train-images-idx3-ubyte.gz 2048 '\10\0'
labels train-labels-idx1-ubyte.gz 2048 '\10\0'
images t10k-images-idx3-ubyte.gz 512 '\2\0'
labels t10k-labels-idx1-ubyte.gz 512 '\2\0'
)";

QString run(const QString& program, const QStringList& arguments) {
    QProcess process;
    process.setProcessChannelMode(QProcess::SeparateChannels);
    process.start(program, arguments);
    if (!process.waitForFinished(60'000)) process.kill();
    return QString::fromUtf8(process.readAllStandardOutput());
}

}  // namespace

class WorkbenchTest : public QObject {
    Q_OBJECT
    test::Scratch m_scratch;
    QString m_workspace;
    QProcess m_program;
    QString m_window;

    [[nodiscard]] static QString built(const char* name) {
        return QString::fromStdString(test::builtProgram(name).string());
    }
    [[nodiscard]] Json cli(const QStringList& arguments) const {
        const QString text =
            run(built("trainyard-cli"),
                QStringList{QStringLiteral("--workspace"), m_workspace, QStringLiteral("--json")} + arguments);
        const auto document = base::parseJson(text.toStdString());
        return document.ok() ? *document : Json();
    }
    [[nodiscard]] static QString xdotool(const QStringList& arguments) {
        return run(QStringLiteral("xdotool"), arguments).trimmed();
    }
    [[nodiscard]] static QImage screen() {
        return QGuiApplication::primaryScreen()->grabWindow(0).toImage().convertToFormat(QImage::Format_RGB32);
    }
    static void keepPicture(const QString& name) {
        const QString folder = qEnvironmentVariable("TRAINYARD_PICTURES");
        if (!folder.isEmpty() && !screen().save(folder + u'/' + name + QStringLiteral(".png")))
            qWarning("no picture %s", qPrintable(name));
    }
    /// A place inside the filled button, of which a page has one; null when there is none.
    [[nodiscard]] static QPoint filledButton() {
        const QImage image = screen();
        const QRgb fill = ui::Theme::current().color(ui::Role::AccentFill).rgb();
        QPoint best;
        int longest = kShortestButton - 1;
        for (int y = 0; y < image.height(); ++y) {
            const auto* line = reinterpret_cast<const QRgb*>(image.constScanLine(y));
            for (int x = kRailWidth, run = 0; x < image.width(); ++x) {
                run = (line[x] | 0xff000000U) == fill ? run + 1 : 0;
                if (run > longest) longest = run, best = QPoint(x - run / 2, y);
            }
        }
        return best.isNull() ? best : best + QPoint(0, 3);
    }
    static void press(QPoint where) {
        (void) xdotool({QStringLiteral("mousemove"), QString::number(where.x()), QString::number(where.y()),
                        QStringLiteral("sleep"), QStringLiteral("0.2"), QStringLiteral("click"), QStringLiteral("1")});
    }
    /// What the window has kept of where it is; it does so within a second.
    [[nodiscard]] QString address() const {
        const auto text = base::readFile(m_workspace.toStdString() + "/views/window.json", 16 << 20);
        const auto document = text.ok() ? base::parseJson(*text) : base::Result<Json>(text.error());
        const Json::json_pointer place("/values/address");
        if (!document.ok() || !document->contains(place)) return {};
        return QString::fromStdString(document->at(place).get<std::string>());
    }

private Q_SLOTS:
    void initTestCase() {
        m_scratch.isolate();
        QDir().mkpath(qEnvironmentVariable("XDG_RUNTIME_DIR"));
        const QString images = QString::fromStdString((m_scratch / "images").string());
        QVERIFY(QDir().mkpath(images));
        QCOMPARE(QProcess::execute(QStringLiteral("bash"),
                                   {QStringLiteral("-c"), QLatin1String(kPart), QStringLiteral("part"), images}),
                 0);
        qputenv("TRAINYARD_FASHION_MNIST", images.toLocal8Bit());
        m_workspace = QString::fromStdString((m_scratch / "sample").string());
        // As installer/run does it.
        QCOMPARE(QProcess::execute(built("trainyard-cli"),
                                   {QStringLiteral("--quiet"), QStringLiteral("workspace"), QStringLiteral("init"),
                                    QStringLiteral("--sample"), m_workspace}),
                 0);
    }
    void cleanupTestCase() {
        if (m_program.state() == QProcess::NotRunning) return;
        m_program.kill();
        QVERIFY(m_program.waitForFinished(10'000));
    }

    void window_opens() {
        m_program.setProcessChannelMode(QProcess::ForwardedChannels);
        m_program.start(built("trainyard"), {m_workspace});
        QVERIFY(m_program.waitForStarted());
        QVERIFY(waitFor(
            [this] {
                m_window = xdotool({QStringLiteral("search"), QStringLiteral("--onlyvisible"), QStringLiteral("--pid"),
                                    QString::number(m_program.processId()), QStringLiteral("--name"),
                                    QStringLiteral("– Trainyard$")})
                               .section(u'\n', 0, 0);
                return !m_window.isEmpty();
            },
            60'000));
        (void) xdotool({QStringLiteral("windowactivate"), QStringLiteral("--sync"), m_window});
        // The window manager has given it a frame and the focus.
        QCOMPARE(xdotool({QStringLiteral("getactivewindow")}), m_window);
        QVERIFY2(waitFor([] { return !filledButton().isNull(); }, 30'000), "Home offers nothing to press");
        keepPicture(QStringLiteral("workbench-home"));
    }

    void readyExperiment_isLaunchedByOnePress() {
        press(filledButton());
        QVERIFY2(waitFor([this] { return address().contains(u"run/"); }, 60'000), qPrintable(address()));
    }

    void run_endsAndIsShown() {
        const auto state = [this] {
            const Json runs = cli({QStringLiteral("run"), QStringLiteral("list")});
            const Json::json_pointer first("/result/runs/0/state");
            return runs.contains(first) ? QString::fromStdString(runs.at(first).get<std::string>()) : QString();
        };
        QVERIFY2(waitFor(
                     [&] {
                         const QString now = state();
                         return now == u"Completed" || now == u"Failed" || now == u"Canceled";
                     },
                     240'000),
                 qPrintable(state()));
        QCOMPARE(state(), QStringLiteral("Completed"));
        const Json runs = cli({QStringLiteral("run"), QStringLiteral("list")});
        QCOMPARE(runs.at("result").at("runs").size(), std::size_t(1));
        // The window says so by itself: its chip has the colours of a run that completed.
        const auto hasChip = [] {
            const QImage image = screen();
            const QRgb ground = ui::Theme::current().color(ui::Role::SuccessSoft).rgb();
            int pixels = 0;
            for (int y = 0; y < image.height(); ++y) {
                const auto* line = reinterpret_cast<const QRgb*>(image.constScanLine(y));
                for (int x = kRailWidth; x < image.width(); ++x) pixels += (line[x] | 0xff000000U) == ground ? 1 : 0;
            }
            return pixels > 300;
        };
        QVERIFY(waitFor(hasChip, 30'000));
        QTest::qWait(1000);
        keepPicture(QStringLiteral("workbench-run"));
    }

    void window_closesWithoutAQuestion() {
        (void) xdotool({QStringLiteral("windowactivate"), QStringLiteral("--sync"), m_window, QStringLiteral("key"),
                        QStringLiteral("alt+F4")});
        QVERIFY(waitFor([this] { return m_program.state() == QProcess::NotRunning; }, 30'000));
        QCOMPARE(m_program.exitStatus(), QProcess::NormalExit);
        QCOMPARE(m_program.exitCode(), 0);
    }
};

int main(int argc, char** argv) {
    if (qgetenv(kDisplayIsOurs) != "yes") {
        const std::string script = (test::sourceFolder() / "tests/gui/under_xvfb.sh").string();
        const std::string self = (base::executableFolder() / "gui_Workbench").string();
        std::vector<char*> arguments{const_cast<char*>(script.c_str()), const_cast<char*>(self.c_str())};
        for (int i = 1; i < argc; ++i) arguments.push_back(argv[i]);
        arguments.push_back(nullptr);
        ::execv(script.c_str(), arguments.data());
        std::fprintf(stderr, "%s cannot be started\n", script.c_str());
        return 1;
    }
    QApplication application(argc, argv);
    ui::Theme::install(application);
    WorkbenchTest test;
    return QTest::qExec(&test, argc, argv);
}
#include "tst_Workbench.moc"
