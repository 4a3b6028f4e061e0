#include "app/workbench/Screenshots.h"

#include <QAbstractButton>
#include <QAbstractItemView>
#include <QAction>
#include <QApplication>
#include <QComboBox>
#include <QDateTime>
#include <QDir>
#include <QDragEnterEvent>
#include <QDropEvent>
#include <QElapsedTimer>
#include <QFileInfo>
#include <QLineEdit>
#include <QListWidget>
#include <QMimeData>
#include <QProcess>
#include <QScrollArea>
#include <QScrollBar>
#include <QTabWidget>
#include <QTableWidget>
#include <QTemporaryDir>
#include <QTimer>
#include <QTreeWidget>
#include <QUrl>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <vector>

#include "core/commands/Command.h"
#include "core/commands/Session.h"
#include "core/commands/Showcase.h"
#include "core/commands/ShowcaseTraining.h"
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
#include "ui/shell/WorkList.h"

namespace trainyard::workbench {
namespace {

constexpr const char* kPassVariable = "TRAINYARD_SCREENSHOTS_SCALE";
constexpr const char* kLookVariable = "TRAINYARD_SCREENSHOTS_LOOK";
constexpr const char* kTrainedVariable = "TRAINYARD_SCREENSHOTS_TRAINED";  ///< What trainShowcaseModel() left.
constexpr const char* kTriedPictures = "tryit";                            ///< The ones that are of that model.
constexpr int kPassMillis = 20 * 60 * 1000;
constexpr int kTickMillis = 60;
constexpr int kQuietMillis = 420;      ///< A picture is taken after so long without a busy chart,
constexpr int kPatienceMillis = 6000;  ///< and after so long in any case.
constexpr int kAnswerMillis = 20'000;  ///< For what the engine has to answer first.

/// Whether a picture's name (without its ending) is one of those asked for, or begins with one up to a dash.
bool isWanted(const QString& picture, const QStringList& only) {
    return only.isEmpty() || std::any_of(only.begin(), only.end(), [&picture](const QString& word) {
               return picture == word || picture.startsWith(word + u'-');
           });
}

struct Step {
    QString name;  ///< Of the picture; empty: nothing is taken.
    std::function<void()> prepare;
    std::function<bool()> ready;  ///< What has to be there first; empty: nothing.
};

/// Goes through the steps from the event loop: prepares one, waits until the window is quiet, takes the picture.
class Photographer : public QObject {
public:
    Photographer(QWidget& window, const commands::Session& session, QDir folder, QString suffix, QStringList only)
        : m_window(window), m_session(session), m_folder(std::move(folder)), m_suffix(std::move(suffix)),
          m_only(std::move(only)) {
        connect(&m_timer, &QTimer::timeout, this, [this] { tick(); });
        m_timer.setInterval(kTickMillis);
    }
    void add(const QString& name, std::function<void()> prepare, std::function<bool()> ready = {}) {
        m_steps.push_back({name, std::move(prepare), std::move(ready)});
    }
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
    /// A page that has asked for what it shows; what it does besides is not waited for.
    [[nodiscard]] bool isReading() const {
        const auto asked = m_session.findChildren<commands::Command*>();
        return std::any_of(asked.begin(), asked.end(), [](const commands::Command* command) {
            const std::string& id = command->info().id;
            return command->state() == commands::Command::State::Running &&
                   (id.ends_with(".list") || id.ends_with(".show"));
        });
    }
    void tick() {
        for (const ui::ChartView* chart : m_window.findChildren<ui::ChartView*>()) {
            if (chart->isVisible() && chart->isBusy()) m_quiet.start();
        }
        if (isReading()) m_quiet.start();
        const Step& step = m_steps[m_at];
        // What is passed through on the way to another picture needs no rest, but a workspace has to be open, and what
        // the next one builds on has to stand.
        const bool nextTaken = m_at + 1 < m_steps.size() && isTaken(m_steps[m_at + 1]);
        const bool passing = !step.name.isEmpty() && !isTaken(step) && !nextTaken && !step.ready;
        if (step.ready && !step.ready() && m_waiting.elapsed() < kAnswerMillis) {
            m_quiet.start();
            return;
        }
        if (!passing && m_quiet.elapsed() < kQuietMillis && m_waiting.elapsed() < kPatienceMillis) return;
        if (isTaken(step)) {
            const QString file = m_folder.filePath(pictureOf(step) + QStringLiteral(".png"));
            QCoreApplication::sendPostedEvents(nullptr, QEvent::LayoutRequest);
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
    const commands::Session& m_session;
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

std::function<void()> opening(ui::MainWindow& window, const QString& address) {
    return [&window, address] {
        const auto where = ui::Address::fromString(QStringLiteral("trainyard://") + address);
        if (where) window.shell().open(*where);
    };
}

/// As if a person had dragged a file or folder onto it.
void drop(QWidget& onto, const QString& path) {
    QMimeData dragged;
    dragged.setUrls({QUrl::fromLocalFile(path)});
    QDragEnterEvent enter(QPoint(400, 300), Qt::CopyAction, &dragged, Qt::LeftButton, Qt::NoModifier);
    QApplication::sendEvent(&onto, &enter);
    QDropEvent let(QPointF(400, 300), Qt::CopyAction, &dragged, Qt::LeftButton, Qt::NoModifier);
    QApplication::sendEvent(&onto, &let);
}

/// A part of the page by its name, where it is to be seen.
template <class T>
T* shownPart(ui::MainWindow& window, const char* name) {
    auto* part = window.page()->findChild<T*>(QLatin1String(name));
    return part != nullptr && part->isVisible() ? part : nullptr;
}

/// What a model says of pictures, of data and of itself: the engine really answers. `folder`: of pictures.
void addTryItSteps(Photographer& camera, ui::MainWindow& window, const QString& folder) {
    const QString name = QString::fromLatin1(kTriedPictures);
    const auto tab = [&window](int index) {
        if (auto* tabs = window.page()->findChild<QTabWidget*>(QStringLiteral("tryTabs"))) tabs->setCurrentIndex(index);
    };
    camera.add(name + QStringLiteral("-model"), opening(window, QStringLiteral("models/garden-flowers-cnn/1")));
    // Its files are noise: its card can be read, the model not be run.
    const auto canTry = [&window] { return shownPart<QWidget>(window, "tryChoosePicture") != nullptr; };
    camera.add({}, opening(window, QStringLiteral("try/fashion-cnn:3")), canTry);
    camera.add(
        name + QStringLiteral("-error"), [&window, folder] { drop(*window.page(), folder); },
        [&window] { return shownPart<QWidget>(window, "predictError") != nullptr; });
    camera.add(
        name,
        [&window, tab] {
            opening(window, QStringLiteral("try/garden-flowers-cnn:1"))();
            tab(0);
            if (auto* clear = shownPart<QAbstractButton>(window, "tryClear")) clear->click();
        },
        canTry);
    camera.add(
        name + QStringLiteral("-pictures"), [&window, folder] { drop(*window.page(), folder); },
        [&window] {
            const auto* list = shownPart<QListWidget>(window, "tryPictures");
            return list != nullptr && list->count() > 0 && shownPart<QWidget>(window, "tryBars") != nullptr;
        });
    camera.add(name + QStringLiteral("-evaluate"), [tab] { tab(1); });
    camera.add(
        name + QStringLiteral("-evaluated"),
        [&window] {
            auto* data = shownPart<QComboBox>(window, "evaluateData");
            if (data == nullptr) return;
            data->setCurrentIndex(data->findData(QStringLiteral("dataset:garden-flowers")));
            if (auto* part = shownPart<QComboBox>(window, "evaluateSplit"))
                part->setCurrentIndex(part->findData(QStringLiteral("all")));
            if (QAction* evaluate = window.page()->primaryAction()) evaluate->trigger();
        },
        [&window] { return shownPart<QWidget>(window, "evaluateConfusion") != nullptr; });
    camera.add(name + QStringLiteral("-mistakes"), [&window] { scrollTo(window, QStringLiteral("evaluateMistakes")); });
    camera.add(name + QStringLiteral("-layers"), [tab] { tab(2); });
}

/// Every page and state worth seeing, in an order in which each builds on the one before.
void addSteps(Photographer& camera, ui::MainWindow& window, int runs, const QString& trained) {
    const auto open = [&window](const QString& address) { return opening(window, address); };
    camera.add(QStringLiteral("home"), open(QStringLiteral("home")));
    camera.add(QStringLiteral("runs"), open(QStringLiteral("runs")));
    camera.add(QStringLiteral("runs-selected"), [&window] {
        if (auto* view = window.page()->findChild<QAbstractItemView*>(QStringLiteral("runsTable"))) view->selectAll();
    });
    camera.add(QStringLiteral("runs-none-found"), open(QStringLiteral("runs?q=state:failed tag:nobody-has-this")));
    camera.add({}, [&window] {
        if (auto* filter = shownPart<QLineEdit>(window, "runsFilterLine")) filter->clear();
    });
    camera.add(QStringLiteral("new-run"), open(QStringLiteral("new")));
    const auto run = [&](const QString& name, int number) {
        camera.add(name, open(QStringLiteral("run/%1").arg(number)));
    };
    run(QStringLiteral("run-completed"), 4);
    run(QStringLiteral("run-failed"), runs - 8);
    run(QStringLiteral("run-canceled"), runs - 7);
    run(QStringLiteral("run-lost"), runs - 6);
    run(QStringLiteral("run-long-names"), runs - 5);
    run(QStringLiteral("run-running"), runs - 4);
    run(QStringLiteral("run-queued"), runs - 3);
    run(QStringLiteral("run-preparing"), runs - 2);
    run(QStringLiteral("run-unreachable"), runs - 1);
    run(QStringLiteral("run-waiting"), runs);
    run(QStringLiteral("run-unknown"), 9999);
    for (const char* tab :
         {"records", "log", "system", "ranks", "outputs", "environment", "configuration", "code", "notes"}) {
        camera.add(QStringLiteral("run-%1").arg(QLatin1String(tab)),
                   open(QStringLiteral("run/4/%1").arg(QLatin1String(tab))));
    }
    camera.add(QStringLiteral("models"), open(QStringLiteral("models/fashion-mlp/1")), [&window] {
        const auto* tree = shownPart<QTreeWidget>(window, "modelsTree");
        return tree != nullptr && tree->topLevelItemCount() > 0;
    });
    camera.add(QStringLiteral("models-exported"), open(QStringLiteral("models/fashion-cnn/3")));
    camera.add(QStringLiteral("models-proof"), [&window] { scrollTo(window, QStringLiteral("proofTable")); });
    camera.add(QStringLiteral("models-evaluations"), [&window] {
        if (auto* table = shownPart<QTableWidget>(window, "modelEvaluations")) table->selectRow(0);
        scrollTo(window, QStringLiteral("modelEvaluationClasses"));
    });
    camera.add(QStringLiteral("models-files"), [&window] { scrollTo(window, QStringLiteral("modelFilesTable")); });
    camera.add(QStringLiteral("models-long-names"),
               open(QStringLiteral("models/a-name-as-long-as-names-may-be-for-the-comparison-of-schedules-1/1")));
    if (!trained.isEmpty()) addTryItSteps(camera, window, trained + QStringLiteral("/flowers/val"));
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
    // Last of all the pages: the engine draws for the first, and drafts are kept.
    camera.add(QStringLiteral("new-run-images"), open(QStringLiteral("new?q=dataset=garden-flowers")), [&window] {
        const auto* drawn = shownPart<QWidget>(window, "augmentPairs");
        return drawn != nullptr && drawn->height() > 40;
    });
    camera.add(QStringLiteral("new-run-augment"), [&window] { scrollTo(window, QStringLiteral("augmentPanel")); });
    camera.add(QStringLiteral("new-run-script"), [&window] {
        auto* form = window.page()->findChild<ui::FormDocument*>();
        if (form == nullptr) return;
        for (const char* field : {"dataset.kind", "dataset.name", "dataset.folder", "model.family"})
            form->reset(QStringLiteral("task.") + QLatin1String(field));
        form->setValue(QStringLiteral("task.kind"), "command");
        for (auto* area : window.page()->findChildren<QScrollArea*>()) area->verticalScrollBar()->setValue(0);
    });
    camera.add({}, [&window] {
        auto* form = window.page()->findChild<ui::FormDocument*>();
        if (form == nullptr) return;
        form->reset(QStringLiteral("task.kind"));
        form->setDocument(form->document());  // Nothing was touched.
    });
    camera.add(QStringLiteral("palette"), [&window] { window.commandPalette().openOver(); });
    camera.add(QStringLiteral("palette-search"),
               [&window] { window.commandPalette().openOver(QStringLiteral("cnn")); });
    camera.add(QStringLiteral("notice"), [&window] {
        window.commandPalette().closeUp();
        window.shell().notice(QStringLiteral("3 runs were moved to the trash; 1.2 GiB are free again"), [] {});
    });
    camera.add(QStringLiteral("work"), [&window] {
        ui::WorkList& work = window.shell().work();
        work.progress(work.begin(QStringLiteral("Copying fashion-cnn:3 to /home/ada/models"), [] {}), 0.42,
                      95'000'000'000);
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
    const QString trained = qEnvironmentVariable(kTrainedVariable);
    options.trained = trained.toStdString();
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
                                       .arg(scale > 1        ? QStringLiteral("-200")
                                            : look.isEmpty() ? QString()
                                                             : u'-' + QString::fromLatin1(look));
            Photographer camera(window, session, QDir(folder), suffix, only);
            camera.add(QStringLiteral("welcome"), [] {});
            const auto openWorkspace = [&](const base::Path& workspace) {
                camera.add(
                    {}, [&window, workspace] { window.openWorkspace(QString::fromStdString(workspace.string())); },
                    [&window, &session, workspace] {
                        std::error_code ignored;
                        return session.isOpen() && window.isReady() && window.page() != nullptr &&
                               std::filesystem::equivalent(session.workspace().layout.root, workspace, ignored);
                    });
            };
            openWorkspace(empty->layout.root);
            for (const char* page : {"home", "runs", "models", "data", "environments", "targets"}) {
                camera.add(QStringLiteral("empty-%1").arg(QLatin1String(page)),
                           [&window, page] { window.shell().open(ui::Address{QString::fromLatin1(page)}); });
            }
            openWorkspace(made->layout.root);
            addSteps(camera, window, static_cast<int>(shown->runs.size()), trained);
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
    const QTemporaryDir trained;
    bool tried = words.isEmpty() || std::any_of(words.begin(), words.end(), [](const QString& word) {
                     return word.startsWith(QLatin1String(kTriedPictures));
                 });
    if (tried) {
        const base::Status done = commands::trainShowcaseModel(trained.path().toStdString());
        if (!done.ok()) std::fprintf(stderr, "trainyard: no pictures of Try it: %s\n", done.error().message.c_str());
        tried = done.ok();
    }
    // Scaling is fixed for the life of a process.
    const QString program = QString::fromStdString((base::executableFolder() / "trainyard").string());
    constexpr std::pair<const char*, const char*> kPasses[] = {{"1", ""}, {"2", ""}, {"1", "rtl"}, {"1", "large"}};
    for (const auto& [scale, look] : kPasses) {
        QProcess child;
        QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
        environment.insert(QString::fromLatin1(kPassVariable), QString::fromLatin1(scale));
        environment.insert(QString::fromLatin1(kLookVariable), QString::fromLatin1(look));
        environment.insert(QString::fromLatin1(kTrainedVariable), tried ? trained.path() : QString());
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
