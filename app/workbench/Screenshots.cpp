#include "app/workbench/Screenshots.h"

#include <QAbstractItemView>
#include <QApplication>
#include <QDateTime>
#include <QDir>
#include <QElapsedTimer>
#include <QFileInfo>
#include <QProcess>
#include <QScrollArea>
#include <QTemporaryDir>
#include <QTimer>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <vector>

#include "core/commands/Session.h"
#include "core/commands/Showcase.h"
#include "core/runs/Workspace.h"
#include "ui/Pages.h"
#include "ui/charts/ChartView.h"
#include "ui/forms/FormDocument.h"
#include "ui/seams/Desktop.h"
#include "ui/seams/Questions.h"
#include "ui/shell/Icons.h"
#include "ui/shell/MainWindow.h"
#include "ui/shell/Palette.h"
#include "ui/shell/Settings.h"
#include "ui/shell/Theme.h"

namespace trainyard::workbench {
namespace {

constexpr const char* kPassVariable = "TRAINYARD_SCREENSHOTS_SCALE";
constexpr const char* kLookVariable = "TRAINYARD_SCREENSHOTS_LOOK";
constexpr int kPassMillis = 10 * 60 * 1000;
constexpr int kTickMillis = 60;
constexpr int kQuietMillis = 420;      ///< A picture is taken after so long without a busy chart,
constexpr int kPatienceMillis = 6000;  ///< and after so long in any case.

/// Whether a picture's name (without its ending) is one of those asked for, or begins with one up to a dash.
bool isWanted(const QString& picture, const QStringList& only) {
    return only.isEmpty() || std::any_of(only.begin(), only.end(), [&picture](const QString& word) {
               return picture == word || picture.startsWith(word + u'-');
           });
}

struct Step {
    QString name;  ///< Of the picture; empty: nothing is taken.
    std::function<void()> prepare;
};

/// Goes through the steps from the event loop: prepares one, waits until the window is quiet, takes the picture.
class Photographer : public QObject {
public:
    Photographer(QWidget& window, QDir folder, QString suffix, QStringList only)
        : m_window(window), m_folder(std::move(folder)), m_suffix(std::move(suffix)), m_only(std::move(only)) {
        connect(&m_timer, &QTimer::timeout, this, [this] { tick(); });
        m_timer.setInterval(kTickMillis);
    }
    void add(const QString& name, std::function<void()> prepare) { m_steps.push_back({name, std::move(prepare)}); }
    /// Drops what comes after the last picture asked for; false when there is none.
    [[nodiscard]] bool isNeeded() {
        while (!m_steps.empty() && !isTaken(m_steps.back())) m_steps.pop_back();
        return !m_steps.empty();
    }
    void start(std::function<void()> done) {
        m_done = std::move(done);
        next();
        m_timer.start();
    }
    [[nodiscard]] int failed() const { return m_failed; }

private:
    [[nodiscard]] QString pictureOf(const Step& step) const { return step.name + u'-' + m_suffix; }
    [[nodiscard]] bool isTaken(const Step& step) const {
        return !step.name.isEmpty() && isWanted(pictureOf(step), m_only);
    }
    void next() {
        m_waiting.start();
        m_quiet.start();
        m_steps[m_at].prepare();
    }
    void tick() {
        for (const ui::ChartView* chart : m_window.findChildren<ui::ChartView*>()) {
            if (chart->isVisible() && chart->isBusy()) m_quiet.start();
        }
        const Step& step = m_steps[m_at];
        // What is passed through on the way to another picture needs no rest, but a workspace has to be open, and what
        // the next one builds on has to stand.
        const bool nextTaken = m_at + 1 < m_steps.size() && isTaken(m_steps[m_at + 1]);
        const bool passing = !step.name.isEmpty() && !isTaken(step) && !nextTaken;
        if (!passing && m_quiet.elapsed() < kQuietMillis && m_waiting.elapsed() < kPatienceMillis) return;
        if (isTaken(step)) {
            const QString file = m_folder.filePath(pictureOf(step) + QStringLiteral(".png"));
            if (!m_window.grab().save(file, "PNG")) {
                std::fprintf(stderr, "trainyard: cannot write %s\n", qPrintable(file));
                ++m_failed;
            }
        }
        if (++m_at < m_steps.size()) {
            next();
            return;
        }
        m_timer.stop();
        m_done();
    }

    QWidget& m_window;
    QDir m_folder;
    QString m_suffix;
    QStringList m_only;
    std::vector<Step> m_steps;
    std::size_t m_at = 0;
    QTimer m_timer;
    QElapsedTimer m_waiting, m_quiet;
    std::function<void()> m_done;
    int m_failed = 0;
};

/// Brings a part of the page into view, for what lies further down.
void scrollTo(ui::MainWindow& window, const QString& name) {
    for (QWidget* part : window.page()->findChildren<QWidget*>(name)) {
        if (!part->isVisible()) continue;
        for (QWidget* at = part->parentWidget(); at != nullptr; at = at->parentWidget()) {
            if (auto* area = qobject_cast<QScrollArea*>(at)) area->ensureWidgetVisible(part, 0, 60);
        }
    }
}

/// Every page and state worth seeing, in an order in which each builds on the one before.
void addSteps(Photographer& camera, ui::MainWindow& window, int runs) {
    const auto open = [&window](const QString& address) {
        return [&window, address] {
            const auto where = ui::Address::fromString(QStringLiteral("trainyard://") + address);
            if (where) window.shell().open(*where);
        };
    };
    camera.add(QStringLiteral("home"), open(QStringLiteral("home")));
    camera.add(QStringLiteral("runs"), open(QStringLiteral("runs")));
    camera.add(QStringLiteral("runs-selected"), [&window] {
        if (auto* view = window.page()->findChild<QAbstractItemView*>(QStringLiteral("runsTable"))) view->selectAll();
    });
    camera.add(QStringLiteral("new-run"), open(QStringLiteral("new")));
    const auto run = [&](const QString& name, int number) {
        camera.add(name, open(QStringLiteral("run/%1").arg(number)));
    };
    run(QStringLiteral("run-completed"), 4);
    run(QStringLiteral("run-failed"), runs - 6);
    run(QStringLiteral("run-canceled"), runs - 5);
    run(QStringLiteral("run-lost"), runs - 4);
    run(QStringLiteral("run-long-names"), runs - 3);
    run(QStringLiteral("run-running"), runs - 2);
    run(QStringLiteral("run-queued"), runs - 1);
    run(QStringLiteral("run-preparing"), runs);
    for (const char* tab : {"records", "log", "system", "ranks", "outputs", "configuration", "code", "notes"}) {
        camera.add(QStringLiteral("run-%1").arg(QLatin1String(tab)),
                   open(QStringLiteral("run/4/%1").arg(QLatin1String(tab))));
    }
    camera.add(QStringLiteral("models"), open(QStringLiteral("models/fashion-mlp/1")));
    camera.add(QStringLiteral("models-exported"), open(QStringLiteral("models/fashion-cnn/3")));
    camera.add(QStringLiteral("models-proof"), [&window] { scrollTo(window, QStringLiteral("proofTable")); });
    camera.add(QStringLiteral("models-files"), [&window] { scrollTo(window, QStringLiteral("modelFilesTable")); });
    camera.add(QStringLiteral("models-long-names"),
               open(QStringLiteral("models/a-name-as-long-as-names-may-be-for-the-comparison-of-schedules-1/1")));
    camera.add(QStringLiteral("tryit"), open(QStringLiteral("try/fashion-cnn:3")));
    camera.add(QStringLiteral("models-register"), open(QStringLiteral("models?q=register=3")));
    camera.add(QStringLiteral("data"), open(QStringLiteral("data/garden-flowers")));
    camera.add(QStringLiteral("data-pictures"), open(QStringLiteral("data/garden-flowers?q=samples")));
    const QString longData = QStringLiteral("data/a-data-set-with-a-name-as-long-as-the-names-of-data-sets-may-be");
    camera.add(QStringLiteral("data-problems"), open(longData));
    camera.add(QStringLiteral("data-problems-pictures"), open(longData + QStringLiteral("?q=samples")));
    camera.add(QStringLiteral("data-add"), open(QStringLiteral("data?q=add")));
    camera.add(QStringLiteral("environments"), open(QStringLiteral("environments/vision")));
    camera.add(QStringLiteral("environments-diff"), [&window] { scrollTo(window, QStringLiteral("diffTable")); });
    camera.add(QStringLiteral("environments-curated"), open(QStringLiteral("environments/trainyard-python-torch")));
    camera.add(QStringLiteral("environments-realised"), open(QStringLiteral("environments/trainyard-engine")));
    camera.add(QStringLiteral("environments-long-names"),
               open(QStringLiteral("environments/an-environment-with-a-name-as-long-as-a-name-may-be-for-pictures")));
    camera.add(QStringLiteral("environments-new"), open(QStringLiteral("environments?q=new")));
    camera.add(QStringLiteral("environments-form"), open(QStringLiteral("environments?q=new=container")));
    camera.add(QStringLiteral("targets"), open(QStringLiteral("targets/local")));
    camera.add(QStringLiteral("targets-findings"), open(QStringLiteral("targets/two-gpu-rig")));
    camera.add(QStringLiteral("targets-cluster"), open(QStringLiteral("targets/university-cluster")));
    camera.add(QStringLiteral("targets-long-names"),
               open(QStringLiteral("targets/a-machine-with-a-very-long-name-in-the-basement-of-the-old-house")));
    camera.add(QStringLiteral("targets-new"), open(QStringLiteral("targets?q=new")));
    camera.add(QStringLiteral("new-run-wrong"), [&window, open] {
        open(QStringLiteral("new"))();
        if (auto* form = window.page()->findChild<ui::FormDocument*>()) {
            form->setValue(QStringLiteral("task.optimizer.learning_rate"), -1);
            form->setValue(QStringLiteral("task.dataset.train_images"), "/nowhere/train-images-idx3-ubyte.gz");
            form->showAllErrors();
        }
    });
    // Drafts are kept: the next window must not begin with this one.
    camera.add({}, [&window] {
        if (auto* form = window.page()->findChild<ui::FormDocument*>()) {
            form->reset(QStringLiteral("task.optimizer.learning_rate"));
            form->reset(QStringLiteral("task.dataset.train_images"));
        }
    });
    camera.add(QStringLiteral("guide"), open(QStringLiteral("help")));
    camera.add(QStringLiteral("settings"), open(QStringLiteral("settings")));
    camera.add(QStringLiteral("palette"), [&window] { window.commandPalette().openOver(); });
    camera.add(QStringLiteral("palette-search"),
               [&window] { window.commandPalette().openOver(QStringLiteral("cnn")); });
    camera.add(QStringLiteral("notice"), [&window] {
        window.commandPalette().closeUp();
        window.shell().notice(QStringLiteral("3 runs were moved to the trash; 1.2 GiB are free again"), [] {});
    });
    camera.add(QStringLiteral("error"), [&window] {
        window.shell().warn(
            {"file.full",
             "The disk is full: /home/ada/trainyard/runs could not be written. Free some space and try again."});
    });
}

int takePass(int argc, char** argv, const QString& folder, const QStringList& only, int scale) {
    QApplication application(argc, argv);
    QApplication::setApplicationName(QStringLiteral("trainyard"));
    ui::Theme& theme = ui::Theme::install(application);
    QApplication::setWindowIcon(ui::icon(QStringLiteral("trainyard")));
    // Beside the usual look: a language that is written from right to left, and a desktop with larger text.
    const QByteArray look = qgetenv(kLookVariable);
    if (look == "rtl") QApplication::setLayoutDirection(Qt::RightToLeft);
    if (look == "large") theme.setTextScale(1.4);

    QTemporaryDir scratch;
    const base::Path root = scratch.path().toStdString();
    // The pictures must not depend on, or touch, what the person at this machine has.
    qputenv("XDG_CONFIG_HOME", (root / "config").string().c_str());
    qputenv("XDG_DATA_HOME", (root / "data").string().c_str());
    qputenv("XDG_CACHE_HOME", (root / "cache").string().c_str());

    const auto made = runs::initWorkspace(root / "vision-lab", "Vision lab");
    const auto empty = runs::initWorkspace(root / "empty", "Empty");
    if (!made.ok() || !empty.ok()) {
        std::fprintf(stderr, "trainyard: %s\n", (made.ok() ? empty.error() : made.error()).message.c_str());
        return 1;
    }
    commands::ShowcaseOptions options;
    options.furnished = true;
    const auto shown = commands::makeShowcase(made->layout, options);
    if (!shown.ok()) {
        std::fprintf(stderr, "trainyard: %s\n", shown.error().message.c_str());
        return 1;
    }
    (void) runs::noteRecentWorkspace(*empty);
    (void) runs::noteRecentWorkspace(*made);

    int failed = 0;
    const std::vector<QSize> sizes =
        scale == 1 && look.isEmpty() ? std::vector<QSize>{{1280, 720}, {2560, 1440}} : std::vector<QSize>{{1280, 720}};
    for (const QSize& size : sizes) {
        for (const bool dark : {false, true}) {
            if (dark && !look.isEmpty()) continue;
            theme.setChoice(dark ? ui::Theme::Choice::Dark : ui::Theme::Choice::Light);
            ui::Settings settings(root / "config" / (dark ? "dark" : "light"));
            settings.setTheme(theme.choice());
            commands::Session session;
            ui::PreparedQuestions questions;
            ui::RecordingDesktop desktop;
            ui::MainWindow window({session, settings, questions, desktop, ui::allPages()});
            window.resize(size);
            window.show();
            const QString suffix = QStringLiteral("%1-%2x%3%4")
                                       .arg(dark ? QStringLiteral("dark") : QStringLiteral("light"))
                                       .arg(size.width() * scale)
                                       .arg(size.height() * scale)
                                       .arg(scale > 1         ? QStringLiteral("-200")
                                            : look.isEmpty() ? QString()
                                                             : u'-' + QString::fromLatin1(look));
            Photographer camera(window, QDir(folder), suffix, only);
            camera.add(QStringLiteral("welcome"), [] {});
            camera.add({}, [&] { window.openWorkspace(QString::fromStdString(empty->layout.root.string())); });
            for (const char* page : {"home", "runs", "models", "data", "environments", "targets"}) {
                camera.add(QStringLiteral("empty-%1").arg(QLatin1String(page)),
                           [&window, page] { window.shell().open(ui::Address{QString::fromLatin1(page)}); });
            }
            camera.add({}, [&] { window.openWorkspace(QString::fromStdString(made->layout.root.string())); });
            addSteps(camera, window, static_cast<int>(shown->runs.size()));
            if (!camera.isNeeded()) continue;
            // Not quit(): that asks the window first, which would ask about its running runs.
            camera.start([] { QApplication::exit(); });
            QApplication::exec();
            failed += camera.failed();
        }
    }
    return failed == 0 ? 0 : 1;
}

}  // namespace

int makeShowcaseWorkspace(const std::string& folder, int runs) {
    const auto made = runs::initWorkspace(folder, {});
    base::Status filled;
    if (made.ok()) {
        commands::ShowcaseOptions options;
        options.completed = runs;
        options.active = options.troubled = false;
        options.stepsPerRun = 400;
        options.logLines = 20;
        const auto shown = commands::makeShowcase(made->layout, options);
        if (!shown.ok()) filled = shown.error();
    }
    if (made.ok() && filled.ok()) return 0;
    std::fprintf(stderr, "trainyard: %s\n", (made.ok() ? filled.error() : made.error()).message.c_str());
    return 1;
}

int takeScreenshots(int argc, char** argv, const std::string& folder, const std::string& only) {
    const QString place = QString::fromStdString(folder);
    const QStringList words = QString::fromStdString(only).split(u',', Qt::SkipEmptyParts);
    const QByteArray pass = qgetenv(kPassVariable);
    if (!pass.isEmpty()) return takePass(argc, argv, place, words, pass.toInt());
    if (!QDir().mkpath(place)) {
        std::fprintf(stderr, "trainyard: the folder %s cannot be made.\n", folder.c_str());
        return 1;
    }
    const QDateTime begun = QDateTime::currentDateTime();
    // Scaling is fixed for the life of a process.
    const QString program = QString::fromStdString((base::executableFolder() / "trainyard").string());
    constexpr std::pair<const char*, const char*> kPasses[] = {{"1", ""}, {"2", ""}, {"1", "rtl"}, {"1", "large"}};
    for (const auto& [scale, look] : kPasses) {
        QProcess child;
        QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
        environment.insert(QString::fromLatin1(kPassVariable), QString::fromLatin1(scale));
        environment.insert(QString::fromLatin1(kLookVariable), QString::fromLatin1(look));
        environment.insert(QStringLiteral("QT_QPA_PLATFORM"), QStringLiteral("offscreen"));
        environment.insert(QStringLiteral("QT_SCALE_FACTOR"), QString::fromLatin1(scale));
        child.setProcessEnvironment(environment);
        child.setProcessChannelMode(QProcess::ForwardedChannels);
        QStringList arguments{QStringLiteral("--screenshots"), place};
        if (!words.isEmpty()) arguments << QStringLiteral("--only") << words.join(u',');
        child.start(program, arguments);
        if (!child.waitForFinished(kPassMillis) || child.exitStatus() != QProcess::NormalExit ||
            child.exitCode() != 0) {
            std::fprintf(stderr, "trainyard: the pictures at %s00 %% are not complete.\n", scale);
            return 1;
        }
    }
    QStringList taken;
    for (const QFileInfo& file : QDir(place).entryInfoList({QStringLiteral("*.png")}, QDir::Files)) {
        if (file.lastModified() >= begun) taken << file.completeBaseName();
    }
    for (const QString& word : words) {
        if (std::any_of(taken.begin(), taken.end(), [&](const QString& picture) { return isWanted(picture, {word}); }))
            continue;
        std::fprintf(stderr, "trainyard: there is no picture %s.\n", qPrintable(word));
        return 1;
    }
    return 0;
}

}  // namespace trainyard::workbench
