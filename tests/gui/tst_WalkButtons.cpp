#include <QCheckBox>
#include <QDesktopServices>
#include <QListWidget>
#include <QMenu>
#include <QPushButton>
#include <QRadioButton>
#include <QTabWidget>
#include <QVBoxLayout>
#include <QtTest>

#include "tests/gui/ButtonWalk.h"
#include "tests/gui/WindowFixture.h"
#include "ui/forms/FormDocument.h"
#include "ui/shell/Header.h"
#include "ui/shell/NoticeBar.h"
#include "ui/shell/Palette.h"
#include "ui/shell/Rail.h"

using namespace trainyard;
using trainyard::test::ButtonWalk;
using trainyard::test::Notice;
using trainyard::test::WindowFixture;

/// Counts what the program wants to open elsewhere, instead of opening it.
class UrlCatcher : public QObject {
    Q_OBJECT
public:
    UrlCatcher() {
        for (const char* scheme : {"file", "http", "https"})
            QDesktopServices::setUrlHandler(QLatin1String(scheme), this, "catchUrl");
    }
    ~UrlCatcher() override {
        for (const char* scheme : {"file", "http", "https"}) QDesktopServices::unsetUrlHandler(QLatin1String(scheme));
    }
    Q_INVOKABLE void catchUrl(const QUrl&) { ++caught; }
    int caught = 0;
};

/// A button that a person can press and that then does nothing is a fault. Every one of every page and state is pressed
/// in a workspace that nobody needs.
class TestWalkButtons : public QObject {
    Q_OBJECT
    WindowFixture m_fixture;
    QString m_full, m_empty;
    UrlCatcher m_urls;

    void noteMore(Notice& seen) {
        // Looked at between a press and the next turn of the event loop, so every new one was started by the press.
        QStringList commands;
        for (auto* command : m_fixture.session->findChildren<commands::Command*>()) {
            commands << QStringLiteral("%1 %2")
                            .arg(QString::fromStdString(command->info().id))
                            .arg(quintptr(command), 0, 16);
        }
        seen.insert(QStringLiteral("commands"), commands.join(u' '));
        seen.insert(QStringLiteral("questions"), QString::number(m_fixture.questions.asked().size()));
        seen.insert(QStringLiteral("urls"), QString::number(m_urls.caught));
        seen.insert(QStringLiteral("told"), QString::number(m_fixture.desktop.titles.size()));
        const ui::Settings& settings = *m_fixture.settings;
        seen.insert(QStringLiteral("settings"), QStringLiteral("%1 %2 %3 %4 %5")
                                                    .arg(static_cast<int>(settings.theme()))
                                                    .arg(static_cast<int>(settings.density()))
                                                    .arg(settings.notifications())
                                                    .arg(settings.holdOffSleep())
                                                    .arg(settings.railCollapsed()));
        if (const ui::Page* page = m_fixture.window->page()) {
            seen.insert(QStringLiteral("address"), page->address().toString());
            for (const ui::FormDocument* form : page->findChildren<ui::FormDocument*>())
                seen.insert(QStringLiteral("form %1").arg(quintptr(form), 0, 16),
                            QString::fromStdString(form->document().dump()));
        }
    }

    /// A page that has asked for what it shows; what it does besides (training, examining) is not waited for.
    [[nodiscard]] bool isReading() const {
        const auto commands = m_fixture.session->findChildren<commands::Command*>();
        return std::any_of(commands.begin(), commands.end(), [](const commands::Command* command) {
            const std::string& id = command->info().id;
            return command->state() == commands::Command::State::Running &&
                   (id.ends_with(".list") || id.ends_with(".show") || id == "run.estimate");
        });
    }

    [[nodiscard]] bool isOpen(const QString& folder) const {
        return m_fixture.session->isOpen() &&
               QString::fromStdString(m_fixture.session->workspace().layout.root.string()) == folder;
    }

    /// Back to an address of a workspace, whatever the last press did; empty: the welcome page.
    void goTo(const QString& folder, const QString& address) {
        m_fixture.window->commandPalette().closeUp();
        // What the press before has told goes by itself, but later.
        for (auto* notice : m_fixture.window->findChildren<ui::NoticeBar*>()) notice->hide();
        for (auto* command : m_fixture.session->findChildren<commands::Command*>()) {
            const std::string& id = command->info().id;
            if (id == "target.doctor" || id == "target.build-engine" || id == "target.wait" || id == "run.check" ||
                id == "model.export")
                command->cancel();
        }
        if (folder.isEmpty()) {
            m_fixture.session->closeWorkspace();
            return;
        }
        if (!isOpen(folder)) QVERIFY(m_fixture.openWorkspace(folder));
        const auto where = ui::Address::fromString(QStringLiteral("trainyard://") + address);
        QVERIFY2(where && m_fixture.window->shell().open(*where), qPrintable(address));
    }

    [[nodiscard]] static bool isFrame(const QWidget* widget) {
        for (const QWidget* at = widget; at != nullptr; at = at->parentWidget()) {
            if (qobject_cast<const ui::Rail*>(at) != nullptr || at->objectName() == QLatin1String("statusBar"))
                return true;
            if (qobject_cast<const ui::Header*>(at) != nullptr) return !widget->inherits("QPushButton");
        }
        return false;
    }

private Q_SLOTS:
    void initTestCase() {
        ui::Theme::install(*qApp);
        // Its images are not to be had, so that "Train the sample" answers and nothing trains in the empty workspace.
        qputenv("TRAINYARD_FASHION_MNIST", "/nowhere");
        commands::ShowcaseOptions options;
        options.furnished = true;
        options.stepsPerRun = 400;
        options.logLines = 60;
        m_full = m_fixture.makeWorkspace("full", options);
        auto keep = std::move(m_fixture.showcase);
        m_empty = m_fixture.makeWorkspace("empty", std::nullopt);
        m_fixture.showcase = std::move(keep);
    }

    /// On a page that never stands still: texts, rows, widgets and the clipboard change all the time, but not by a
    /// press.
    void walkerTellsDeadFromAlive() {
        QWidget window;
        window.resize(400, 600);
        auto* column = new QVBoxLayout(&window);
        auto* label = new QLabel(QStringLiteral("before"), &window);
        column->addWidget(label);
        const auto add = [&](const char* name) {
            auto* button = new QPushButton(QLatin1String(name), &window);
            column->addWidget(button);
            return button;
        };
        auto* clock = new QLabel(&window);
        column->addWidget(clock);
        auto* list = new QListWidget(&window);
        column->addWidget(list);
        QTimer ticking;
        int ticks = 0;
        connect(&ticking, &QTimer::timeout, clock, [&] {
            clock->setText(QString::number(++ticks));
            list->addItem(QString::number(ticks));
            if (list->count() > 5) delete list->takeItem(0);
            clock->setVisible(ticks % 3 != 0);
            QGuiApplication::clipboard()->setText(clock->text());
        });
        ticking.start(3);
        add("dead");
        connect(add("text"), &QPushButton::clicked, label, [label] { label->setText(label->text() + u'.'); });
        // What comes much later, with nothing to show for it at once, is dead to who has pressed.
        connect(add("much later"), &QPushButton::clicked, label, [label] {
            QTimer::singleShot(60, label, [label] { label->setText(label->text() + QStringLiteral(" later")); });
        });
        connect(add("clipboard"), &QPushButton::clicked, label,
                [] { QGuiApplication::clipboard()->setText(QStringLiteral("copied")); });
        connect(add("url"), &QPushButton::clicked, label,
                [] { QDesktopServices::openUrl(QUrl(QStringLiteral("https://example.org"))); });
        QMenu menu;
        menu.addAction(QStringLiteral("choice"));
        connect(add("menu"), &QPushButton::clicked, &menu, [&menu] { menu.popup(QPoint(10, 10)); });
        connect(add("menu that waits"), &QPushButton::clicked, &menu, [&menu] { menu.exec(QPoint(10, 10)); });
        // A switch that only turns itself, a choice that only moves: as dead as a button that only looks pressed.
        auto* lonely = new QCheckBox(QStringLiteral("lonely"), &window);
        column->addWidget(lonely);
        auto* one = new QRadioButton(QStringLiteral("one"), &window);
        auto* other = new QRadioButton(QStringLiteral("other"), &window);
        one->setChecked(true);
        column->addWidget(one);
        column->addWidget(other);
        window.show();
        const int caught = m_urls.caught;
        ButtonWalk walker(
            window, [this](Notice& seen) { seen.insert(QStringLiteral("urls"), QString::number(m_urls.caught)); });
        QStringList dead = walker.walk(QStringLiteral("control"), [] {});
        QCOMPARE(m_urls.caught, caught + 1);
        QVERIFY(ticks > 10);
        QStringList names;
        for (const QString& line : dead) names << line.section(u'"', 1, 1);
        QCOMPARE(names, (QStringList{QStringLiteral("dead"), QStringLiteral("much later"), QStringLiteral("lonely"),
                                     QStringLiteral("other")}));
        QCOMPARE(walker.pressed, 9);
    }

    /// The same on real pages that read anew by themselves: a dead button planted there is found, and found to live
    /// once
    /// it does something.
    void deadButtonsAreFoundOnPagesThatRefresh() {
        m_fixture.openWindow({1280, 720});
        for (const char* address : {"home", "run/14", "run/14/log", "targets/local", "models/fashion-cnn/3"}) {
            goTo(m_full, QLatin1String(address));
            m_fixture.settle(60);
            ui::Page* page = m_fixture.window->page();
            auto* planted = new QPushButton(QStringLiteral("planted"), page);
            planted->setGeometry(40, 40, 90, 28);
            planted->show();
            planted->raise();
            QTimer refreshing;
            connect(&refreshing, &QTimer::timeout, page, [&] {
                page->deactivated();
                page->activated();
                m_fixture.session->start("target.list", base::Json::object());
            });
            refreshing.start(20);
            const auto walk = [&] {
                ButtonWalk walker(*m_fixture.window, [this](Notice& seen) { noteMore(seen); });
                return walker.walk(
                    QLatin1String(address), [] {}, [&](const QWidget* widget) { return widget == planted; });
            };
            const QStringList dead = walk();
            QVERIFY2(dead.size() == 1 && dead[0].contains(u"planted"),
                     qPrintable(QLatin1String(address) + dead.join(u'\n')));
            connect(planted, &QPushButton::clicked, page,
                    [this] { m_fixture.session->start("target.list", base::Json::object()); });
            const QStringList alive = walk();
            QVERIFY2(alive.isEmpty(), qPrintable(QLatin1String(address) + alive.join(u'\n')));
            refreshing.stop();
            delete planted;
        }
    }

    void everyButtonDoesSomething() {
        ui::Theme::current().setChoice(ui::Theme::Choice::Light);
        ui::MainWindow& window = m_fixture.openWindow({1280, 720});
        QStringList dead;
        ButtonWalk walker(
            window, [this](Notice& seen) { noteMore(seen); }, [this] { return isReading(); });
        const auto page = [](const QWidget* widget) { return !isFrame(widget); };
        const auto at = [&](const QString& state, const QString& folder, const QString& address,
                            const std::function<void()>& then = {}) {
            dead << walker.walk(
                state,
                [&] {
                    goTo(folder, address);
                    if (then) {
                        m_fixture.settle(60);
                        then();
                    }
                },
                page);
        };
        at(QStringLiteral("welcome"), {}, {});
        for (const char* name : {"home", "runs", "models", "data", "environments", "targets"})
            at(QStringLiteral("empty ") + QLatin1String(name), m_empty, QLatin1String(name));
        dead << walker.walk(
            QStringLiteral("frame"),
            [&] {
                goTo(m_full, QStringLiteral("targets"));
                goTo(m_full, QStringLiteral("models"));
                window.resize(1280, 720);
            },
            isFrame);
        at(QStringLiteral("home"), m_full, QStringLiteral("home"));
        at(QStringLiteral("runs"), m_full, QStringLiteral("runs"),
           [&] { window.page()->findChild<QAbstractItemView*>(QStringLiteral("runsTable"))->clearSelection(); });
        at(QStringLiteral("runs selected"), m_full, QStringLiteral("runs"),
           [&] { window.page()->findChild<QAbstractItemView*>(QStringLiteral("runsTable"))->selectAll(); });
        // A wrong form: launching tells why not, instead of training.
        at(QStringLiteral("new"), m_full, QStringLiteral("new"), [&] {
            window.page()->findChild<ui::FormDocument*>()->setValue(QStringLiteral("task.optimizer.learning_rate"), -1);
        });
        at(QStringLiteral("models"), m_full, QStringLiteral("models/fashion-cnn/3"));
        at(QStringLiteral("register"), m_full, QStringLiteral("models?q=register=3"));
        at(QStringLiteral("this machine"), m_full, QStringLiteral("targets/local"));
        at(QStringLiteral("target"), m_full, QStringLiteral("targets/two-gpu-rig"));
        at(QStringLiteral("new target"), m_full, QStringLiteral("targets?q=new"));
        at(QStringLiteral("dataset"), m_full, QStringLiteral("data/garden-flowers"));
        at(QStringLiteral("pictures of a dataset"), m_full, QStringLiteral("data/garden-flowers?q=samples"));
        at(QStringLiteral("new dataset"), m_full, QStringLiteral("data?q=add"));
        at(QStringLiteral("curated environment"), m_full, QStringLiteral("environments/trainyard-python-torch"));
        at(QStringLiteral("environment"), m_full, QStringLiteral("environments/vision"));
        at(QStringLiteral("new environment"), m_full, QStringLiteral("environments?q=new"));
        at(QStringLiteral("environment form"), m_full, QStringLiteral("environments?q=new=venv"));
        at(QStringLiteral("settings"), m_full, QStringLiteral("settings"));
        at(QStringLiteral("guide"), m_full, QStringLiteral("help"));
        for (const char* tab : {"metrics", "log", "system", "ranks", "outputs", "configuration", "code", "notes"})
            at(QStringLiteral("run, ") + QLatin1String(tab), m_full, QStringLiteral("run/4/") + QLatin1String(tab));
        for (const auto& [state, number] : {std::pair{"failed", 10},
                                            {"canceled", 11},
                                            {"lost", 12},
                                            {"running", 14},
                                            {"queued", 15},
                                            {"preparing", 16}})
            at(QLatin1String(state) + QStringLiteral(" run"), m_full, QStringLiteral("run/%1").arg(number));
        at(QStringLiteral("notice"), m_full, QStringLiteral("home"),
           [&] { window.shell().notice(QStringLiteral("Something happened."), [] {}); });
        at(QStringLiteral("error"), m_full, QStringLiteral("home"), [&] {
            window.shell().warn({"file.full", "The disk is full."});
        });
        qInfo("%d buttons pressed, %d not reached", walker.pressed, int(walker.missed.size()));
        QVERIFY2(walker.pressed > 200, qPrintable(QString::number(walker.pressed)));
        QVERIFY2(dead.isEmpty(), qPrintable(QLatin1Char('\n') + dead.join(QLatin1Char('\n'))));
    }
};

int main(int argc, char** argv) {
    QApplication application(argc, argv);
    TestWalkButtons test;
    return QTest::qExec(&test, argc, argv);
}
#include "tst_WalkButtons.moc"
