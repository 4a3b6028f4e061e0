// The workbench: reads the command line, builds the object graph, runs.
#include <QApplication>
#include <QIcon>
#include <QTimer>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "app/workbench/Render.h"
#include "app/workbench/Screenshots.h"
#include "app/workbench/StartReport.h"
#include "core/commands/Session.h"
#include "ui/Pages.h"
#include "ui/seams/Desktop.h"
#include "ui/seams/Questions.h"
#include "ui/shell/Icons.h"
#include "ui/shell/MainWindow.h"
#include "ui/shell/Settings.h"
#include "ui/shell/Theme.h"

using namespace trainyard;

namespace {

constexpr const char* kHelp =
    "Usage: trainyard [WORKSPACE] [ADDRESS]\n"
    "       trainyard [WORKSPACE] --render RUN --out FILE [--theme light|dark] [--size WxH]\n"
    "       trainyard --screenshots FOLDER [--only NAME,…]\n"
    "\n"
    "Opens the workbench on a workspace (a folder); without one, the workspace opened last.\n"
    "ADDRESS is a place in it, such as trainyard://run/12.\n"
    "\n"
    "  --render RUN         draw the charts of a run (its number, id or name) and exit; needs no display\n"
    "  --out FILE           where to: .png, .svg or .pdf\n"
    "  --theme light|dark   colours of the drawing, or of the window for this time\n"
    "  --size WxH           size of the drawing, 320x240 to 8000x8000; a .png has twice as many pixels each way. "
    "Without it:\n"
    "                       1280 wide, and 110 and 380 for each two charts high (1280x490 for one or two, 1280x870 for "
    "three)\n"
    "  --sample             open the sample workspace, made when it is not there yet\n"
    "  --screenshots FOLDER picture every page and state of the window there; needs no display\n"
    "  --only NAME,…        of those, only these: run-log, or run-log-light-1280x720 for one look of it\n"
    "  --make-showcase FOLDER [--runs N]\n"
    "                       make a workspace of N made-up runs (1000), to try things out, and exit\n"
    "  --measure-start      print how long the start took until a page was painted and a click answered, and exit\n"
    "  --version, --help    say so and exit\n"
    "\n"
    "Exit status: 0 done, 1 it failed, 2 the command line is wrong.\n";

struct Options {
    std::string workspace, address, render, out, theme, size, screenshots, only, showcase;
    int runs = 1000;
    bool sample = false;
    bool measureStart = false;
};

/// Exits by itself for --help, --version and mistakes: a QApplication would cost a display and a tenth of a second.
Options parse(int argc, char** argv) {
    Options options;
    const auto fail = [](const std::string& what) {
        std::fprintf(stderr, "trainyard: %s\nTry 'trainyard --help'.\n", what.c_str());
        std::exit(2);
    };
    for (int i = 1; i < argc; ++i) {
        std::string word = argv[i];
        std::optional<std::string> attached;
        if (word.starts_with("--")) {
            if (const auto equals = word.find('='); equals != std::string::npos) {
                attached = word.substr(equals + 1);
                word.resize(equals);
            }
        }
        const auto value = [&]() -> std::string {
            if (attached) return *attached;
            if (i + 1 >= argc) fail(word + " needs a value.");
            return argv[++i];
        };
        if (word == "--version") {
            std::printf("trainyard %s\n", TRAINYARD_VERSION);
            std::exit(0);
        } else if (word == "--help" || word == "-h") {
            std::fputs(kHelp, stdout);
            std::exit(0);
        } else if (word == "--render") {
            options.render = value();
        } else if (word == "--out") {
            options.out = value();
        } else if (word == "--theme") {
            options.theme = value();
            if (options.theme != "light" && options.theme != "dark") fail("--theme is light or dark.");
        } else if (word == "--size") {
            options.size = value();
        } else if (word == "--screenshots") {
            options.screenshots = value();
        } else if (word == "--only") {
            options.only = value();
        } else if (word == "--make-showcase") {
            options.showcase = value();
        } else if (word == "--runs") {
            options.runs = std::atoi(value().c_str());
            if (options.runs < 1 || options.runs > 100'000) fail("--runs is a number from 1 to 100000.");
        } else if (word == "--measure-start") {
            options.measureStart = true;
        } else if (word == "--sample") {
            options.sample = true;
        } else if (word.starts_with("--")) {
            fail("there is no option " + word + ".");
        } else if (word.starts_with("trainyard://")) {
            options.address = word;
        } else if (options.workspace.empty()) {
            options.workspace = word;
        } else {
            fail("there is one workspace too many: " + word + ".");
        }
    }
    if (options.render.empty() != options.out.empty()) fail("--render and --out go together.");
    if (!options.only.empty() && options.screenshots.empty()) fail("--only goes with --screenshots.");
    return options;
}

/// Root in a container has no runtime folder, and nothing here needs one: not worth a line.
void quietMessages(QtMsgType type, const QMessageLogContext& context, const QString& text) {
    if (text.startsWith(QLatin1String("QStandardPaths: XDG_RUNTIME_DIR not set"))) return;
    std::fprintf(stderr, "%s\n", qPrintable(qFormatLogMessage(type, context, text)));
}

}  // namespace

int main(int argc, char** argv) {
    const Options options = parse(argc, argv);
    qInstallMessageHandler(quietMessages);
    if (!options.showcase.empty()) return workbench::makeShowcaseWorkspace(options.showcase, options.runs);
    if (!options.screenshots.empty()) return workbench::takeScreenshots(argc, argv, options.screenshots, options.only);
    if (!options.render.empty()) {
        qputenv("QT_QPA_PLATFORM", "offscreen");
    }

    QApplication::setAttribute(Qt::AA_DontShowIconsInMenus, false);
    QApplication application(argc, argv);
    QApplication::setApplicationName(QStringLiteral("trainyard"));
    QApplication::setApplicationDisplayName(QStringLiteral("Trainyard"));
    QApplication::setApplicationVersion(QStringLiteral(TRAINYARD_VERSION));
    QApplication::setDesktopFileName(QStringLiteral("org.trainyard.Trainyard"));
    ui::Theme& theme = ui::Theme::install(application);
    QApplication::setWindowIcon(ui::icon(QStringLiteral("trainyard")));

    if (!options.render.empty()) {
        theme.setChoice(options.theme == "dark" ? ui::Theme::Choice::Dark : ui::Theme::Choice::Light);
        return workbench::renderRun({options.workspace, options.render, options.out, options.size});
    }

    ui::Settings settings(ui::Settings::defaultFolder());
    theme.setChoice(options.theme == "dark"    ? ui::Theme::Choice::Dark
                    : options.theme == "light" ? ui::Theme::Choice::Light
                                               : settings.theme());
    theme.setDensity(settings.density());
    commands::Session session;
    ui::DialogQuestions questions;
    ui::DBusDesktop desktop;
    ui::MainWindow window({session, settings, questions, desktop, ui::allPages()});
    if (const auto address = ui::Address::fromString(QString::fromStdString(options.address)))
        window.openWhenReady(*address);
    if (options.sample) {
        window.openSample();
    } else if (!options.workspace.empty()) {
        window.openWorkspace(QString::fromStdString(options.workspace));
    } else if (const auto recent = commands::Session::recentWorkspaces(); !recent.empty()) {
        window.openWorkspace(QString::fromStdString(recent.front().root.string()));
    }
    if (options.measureStart) workbench::reportStart(window, session);
    window.show();
    // After the first frame: a desktop that answers slowly must not hold up the window.
    QTimer::singleShot(300, &desktop, [&desktop] { desktop.watchScheme(); });
    return QApplication::exec();
}
