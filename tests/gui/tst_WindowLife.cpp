// Windows and the runs that live without them: told of on the desktop, kept or stopped at closing, shared with another
// window and the command line; and one window on several workspaces.
#include <QLabel>
#include <QMenu>
#include <QPushButton>
#include <QTableView>
#include <QtTest>

#include <set>

#include "core/spec/RunSpec.h"
#include "tests/gui/WindowFixture.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Skip.h"
#include "ui/runs/LogTab.h"
#include "ui/runs/LogView.h"
#include "ui/runs/MetricsTab.h"
#include "ui/runs/RunCharts.h"
#include "ui/runs/RunPage.h"
#include "ui/runs/RunsModel.h"
#include "ui/shell/Rail.h"
#include "ui/widgets/Basics.h"

using namespace trainyard;
using base::Json;
using test::waitFor;
using test::WindowFixture;

class TestWindowLife : public QObject {
    Q_OBJECT
    test::ChildGuard m_guard;
    std::unique_ptr<WindowFixture> m_fixture;
    QString m_folder;

    [[nodiscard]] commands::Session& session() { return *m_fixture->session; }
    [[nodiscard]] ui::MainWindow& window() { return *m_fixture->window; }

    /// The answer of an action; null when it failed or took too long.
    static Json call(commands::Session& session, std::string_view id, Json parameters) {
        std::optional<base::Result<Json>> answer;
        QObject context;
        session.start(id, std::move(parameters), &context, [&](const base::Result<Json>& result) { answer = result; });
        if (!waitFor([&] { return answer.has_value(); }, 60'000)) return {};
        if (!answer->ok()) qWarning("%s", answer->error().message.c_str());
        return answer->ok() ? **answer : Json();
    }
    [[nodiscard]] Json cli(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), {"--json", "--workspace", m_folder.toStdString()});
        const auto ran = test::runProgram(test::builtProgram("trainyard-cli"), arguments);
        const auto answer = base::parseJson(ran.out);
        return answer.ok() && answer->contains("result") ? answer->at("result") : Json();
    }
    std::string submit(const std::string& script) {
        const Json spec{{"format", "trainyard.run-spec"},
                        {"version", 1},
                        {"experiment", "windows"},
                        {"task", {{"kind", "command"}, {"command", {"sh", "-c", script}}}},
                        {"limits", {{"grace_seconds", 1}}}};
        const Json submitted = call(session(), "run.submit", {{"spec", spec}});
        return submitted.is_null() ? std::string() : submitted.at("run").get<std::string>();
    }
    static std::string state(commands::Session& session, const std::string& run) {
        const Json shown = call(session, "run.show", {{"run", run}});
        return shown.is_null() ? "?" : shown.at("state").get<std::string>();
    }
    bool waitForState(const std::string& run, const char* wanted, int millis = 30'000) {
        return waitFor([&] { return state(session(), run) == wanted; }, millis);
    }
    static ui::RunsModel* runsOf(ui::MainWindow& window) {
        if (!window.shell().open(ui::Address{QStringLiteral("runs")})) return nullptr;
        return window.page()->findChild<ui::RunsModel*>();
    }
    bool isOpen(const QString& folder) {
        return waitFor(
            [&] {
                return session().isOpen() && window().isReady() &&
                       QString::fromStdString(session().workspace().layout.root.string()) == folder;
            },
            15'000);
    }
    /// Presses an entry of the menu of workspaces.
    bool chooseInMenu(const QString& text) {
        QTest::mouseClick(window().findChild<ui::Rail*>()->workspaceButton(), Qt::LeftButton);
        QMenu* menu = nullptr;
        if (!waitFor([&] {
                menu = qobject_cast<QMenu*>(QApplication::activePopupWidget());
                return menu != nullptr;
            })) {
            return false;
        }
        for (QAction* action : menu->actions()) {
            if (action->text() != text) continue;
            QTest::mouseClick(menu, Qt::LeftButton, {}, menu->actionGeometry(action).center());
            return true;
        }
        menu->close();
        return false;
    }

private Q_SLOTS:
    void initTestCase() { ui::Theme::install(*qApp); }
    void init() {
        m_fixture = std::make_unique<WindowFixture>();
        m_folder = m_fixture->makeWorkspace("lab", std::nullopt);
        m_fixture->openWindow();
        QVERIFY(m_fixture->openWorkspace(m_folder));
    }
    void cleanup() {
        m_fixture.reset();
        QVERIFY2(m_guard.noneLeft(15'000), m_guard.report().c_str());
    }

    void ends_areToldOnTheDesktop() {
        if (!std::filesystem::exists("/usr/share/datasets/fashion-mnist") ||
            !std::filesystem::exists(test::builtProgram("trainyard-engine"))) {
            TRAINYARD_SKIP("Needs trainyard-engine and the package dataset-fashion-mnist.");
        }
        // Who looks at the window needs no notification.
        QWidget other;
        other.show();
        other.activateWindow();
        QVERIFY(waitFor([&] { return !window().isActiveWindow(); }));
        auto& desktop = m_fixture->desktop;
        const auto told = [&](const char* title, const char* part) {
            return waitFor(
                [&] {
                    for (qsizetype i = 0; i < desktop.titles.size(); ++i) {
                        if (desktop.titles[i] == QLatin1String(title) && desktop.texts[i].contains(QLatin1String(part)))
                            return true;
                    }
                    return false;
                },
                60'000);
        };
        QVERIFY(!submit("echo done").empty());
        QVERIFY(told("Run completed", "#1"));
        QVERIFY(!submit("exit 3").empty());
        QVERIFY(told("Run failed", "#2"));
        const std::string canceled = submit("sleep 60");
        QVERIFY(waitForState(canceled, "Running"));
        QVERIFY(!call(session(), "run.cancel", {{"run", canceled}}).is_null());
        QVERIFY(told("Run canceled", "#3"));

        // A training whose weights grow a hundredfold with each step.
        QVERIFY(!call(session(), "workspace.sample", Json::object()).is_null());
        Json spec = call(session(), "workspace.drafts", Json::object()).at("drafts").at(0).at("spec");
        const auto set = [&](const char* path, Json value) { spec::setValueAt(spec, path, std::move(value)); };
        set("task.model.family", "mlp");
        set("task.model.options", Json::object());
        set("task.dataset.train_limit", 8000);
        set("task.dataset.val_limit", 100);
        set("task.optimizer", {{"kind", "sgd"}, {"learning_rate", 100}, {"weight_decay", 1}});
        set("task.schedule", {{"kind", "constant"}});
        const Json submitted = call(session(), "run.submit", {{"spec", spec}});
        QVERIFY(!submitted.is_null());
        const std::string run = submitted.at("run").get<std::string>();
        QVERIFY2(told("A run meets NaN", "#4"), qPrintable(desktop.titles.join(u'|')));
        QVERIFY2(told("Run failed", "#4"), qPrintable(desktop.texts.join(u'|')));
        const Json shown = call(session(), "run.show", {{"run", run}});
        QCOMPARE(shown.at("state").get<std::string>(), "Failed");
        QVERIFY2(shown.at("reason").get<std::string>().find("no finite number") != std::string::npos,
                 shown.dump().c_str());
        QCOMPARE(desktop.titles.count(QStringLiteral("A run meets NaN")), 1);
        QCOMPARE(desktop.titles.count(QStringLiteral("Run failed")), 2);

        // A click on it leads to the run.
        desktop.activations.last()();
        QVERIFY(waitFor([&] {
            auto* page = qobject_cast<ui::RunPage*>(window().page());
            return page != nullptr && page->detail() && page->detail()->row.number == 4;
        }));
        // And it can be switched off.
        m_fixture->settings->setNotifications(false);
        other.activateWindow();
        const qsizetype before = desktop.titles.size();
        const std::string quiet = submit("true");
        QVERIFY(waitForState(quiet, "Completed"));
        QTest::qWait(300);
        QCOMPARE(desktop.titles.size(), before);
    }

    void closing_stopsWhatItIsToldTo() {
        const std::string running = submit("sleep 60");
        QVERIFY(waitForState(running, "Running"));
        QVERIFY(waitFor([&] { return m_fixture->desktop.awake; }));
        m_fixture->questions.setNextAnswer(QStringLiteral("stop"));
        window().close();
        QVERIFY(waitFor([&] { return !window().isVisible(); }, 30'000));
        QCOMPARE(m_fixture->questions.asked(), QStringList{QStringLiteral("window.close")});
        QVERIFY(waitForState(running, "Canceled"));
        QVERIFY(waitFor([&] { return !m_fixture->desktop.awake; }));
    }

    void keptRun_goesOnAlone_andIsShownWithoutAGap() {
        const std::string run =
            submit("i=0; while [ $i -lt 150 ]; do i=$((i+1)); echo line $i; "
                   "echo '{\"kind\":\"metric\",\"name\":\"train/loss\",\"value\":'$i',\"step\":'$i'}' >> "
                   "\"$TRAINYARD_STREAM\"; "
                   "sleep 0.02; done");
        QVERIFY(waitFor(
            [&] {
                const Json page = call(session(), "run.logs", {{"run", run}, {"out", "stdout"}});
                return page.is_object() && page.at("lines").size() > 10;
            },
            30'000));
        m_fixture->questions.setNextAnswer(QStringLiteral("keep"));
        QVERIFY(waitFor([&] { return m_fixture->desktop.awake; }));
        window().close();
        QVERIFY(waitFor([&] { return !window().isVisible(); }));
        m_fixture->window.reset();
        m_fixture->session.reset();
        // Nobody looks for a while.
        QTest::qWait(1000);
        m_fixture->openWindow();
        QVERIFY(m_fixture->openWorkspace(m_folder));
        QVERIFY(
            window().shell().open(ui::Address{QStringLiteral("run"), {QStringLiteral("1"), QStringLiteral("log")}}));
        auto* page = qobject_cast<ui::RunPage*>(window().page());
        QVERIFY(page);
        QVERIFY(
            waitFor([&] { return page->detail() && page->detail()->row.state == spec::RunState::Completed; }, 30'000));
        const Json log = call(session(), "run.logs", {{"run", run}, {"out", "stdout"}});
        QCOMPARE(log.at("lines").size(), std::size_t{150});
        for (std::size_t i = 0; i < 150; ++i)
            QCOMPARE(log.at("lines").at(i).at("text").get<std::string>(), "line " + std::to_string(i + 1));
        QVERIFY(waitFor([&] { return page->log()->view()->total() >= 150; }, 10'000));
        const Json metric = call(session(), "run.show", {{"run", run}}).at("metrics").at(0);
        QCOMPARE(metric.at("count").get<int>(), 150);
        QCOMPARE(metric.at("first_step").get<int>(), 1);
        QCOMPARE(metric.at("last_step").get<int>(), 150);
    }

    void twoWindowsAndTheCommandLine_seeTheSame() {
        commands::Session otherSession;
        ui::Settings otherSettings(m_fixture->scratch / "config/other");
        ui::PreparedQuestions otherQuestions;
        ui::RecordingDesktop otherDesktop;
        ui::MainWindow other(
            ui::WindowParts{otherSession, otherSettings, otherQuestions, otherDesktop, ui::allPages()});
        other.resize(1280, 720);
        other.show();
        other.openWorkspace(m_folder);
        QVERIFY(waitFor([&] { return otherSession.isOpen() && other.isReady(); }, 15'000));
        ui::RunsModel* here = runsOf(window());
        ui::RunsModel* there = runsOf(other);
        QVERIFY(here && there);
        const auto both = [&](const std::function<bool(const store::RunRow&)>& holds) {
            return waitFor(
                [&] {
                    return here->rowCount() > 0 && there->rowCount() > 0 && here->rowAt(0) && there->rowAt(0) &&
                           holds(*here->rowAt(0)) && holds(*there->rowAt(0));
                },
                30'000);
        };
        // Submitted by the command line, which ends: one of the windows follows.
        const Json submitted = cli({"run", "submit", "--", "sh", "-c", "echo seen; sleep 60"});
        QVERIFY(submitted.is_object());
        const std::string run = submitted.at("run").get<std::string>();
        QVERIFY(both([&](const auto& row) { return row.id.str() == run && row.state == spec::RunState::Running; }));
        for (commands::Session* one : {&session(), &otherSession}) {
            const auto hasItsLine = [&] {
                const Json page = call(*one, "run.logs", {{"run", run}, {"out", "stdout"}});
                return page.is_object() && page.at("lines").size() == 1;
            };
            QVERIFY(waitFor(hasItsLine, 15'000));
        }
        // Renamed in one, read in the other and by the command line.
        QVERIFY(here->setData(here->index(0, ui::RunsModel::Name), QStringLiteral("named here"), Qt::EditRole));
        QVERIFY(both([](const auto& row) { return row.name == "named here"; }));
        QCOMPARE(cli({"run", "show", "1"}).at("name").get<std::string>(), "named here");
        QVERIFY(cli({"run", "tag", "1", "--set", "from=outside"}).is_object());
        QVERIFY(both([](const auto& row) { return row.tags == store::Strings{{"from", "outside"}}; }));
        // Canceled in the other.
        QVERIFY(!call(otherSession, "run.cancel", {{"run", run}}).is_null());
        QVERIFY(both([](const auto& row) { return row.state == spec::RunState::Canceled; }));
        QCOMPARE(cli({"run", "show", "1"}).at("state").get<std::string>(), "Canceled");
        // All three at once: each run has a number of its own and ends.
        std::vector<std::string> ids{submit("echo one")};
        const Json second = call(otherSession, "run.submit", {{"spec", cli({"run", "duplicate", "1"}).at("spec")}});
        QVERIFY(second.is_object());
        ids.push_back(second.at("run").get<std::string>());
        ids.push_back(cli({"run", "submit", "--", "sh", "-c", "echo three"}).at("run").get<std::string>());
        QVERIFY(!call(session(), "run.cancel", {{"run", ids[1]}}).is_null());
        std::set<std::int64_t> numbers;
        for (const std::string& id : ids) {
            QVERIFY(waitForState(id, id == ids[1] ? "Canceled" : "Completed"));
            QCOMPARE(state(otherSession, id), state(session(), id));
            numbers.insert(call(otherSession, "run.show", {{"run", id}}).at("number").get<std::int64_t>());
        }
        QCOMPARE(numbers, (std::set<std::int64_t>{2, 3, 4}));
        QVERIFY(waitFor([&] { return here->rowCount() == 4 && there->rowCount() == 4; }, 10'000));
    }

    void workspaces_areSwitchedInTheWindow() {
        const QString second = m_fixture->makeWorkspace("second lab", std::nullopt);
        QVERIFY(m_fixture->openWorkspace(second));
        QVERIFY(isOpen(second));
        QVERIFY(window().shell().open(ui::Address{QStringLiteral("models")}));
        // The menu of the rail knows where one has been.
        QVERIFY(chooseInMenu(QStringLiteral("lab")));
        QVERIFY(isOpen(m_folder));
        QVERIFY(window().windowTitle().startsWith(QStringLiteral("lab ")));
        QVERIFY(chooseInMenu(QStringLiteral("second lab")));
        QVERIFY(isOpen(second));
        QCOMPARE(window().page()->id(), QStringLiteral("models"));  // As it was left.
        // Closed, the list of recent ones is what is there.
        QVERIFY(chooseInMenu(QStringLiteral("Close workspace")));
        QVERIFY(waitFor([&] { return !session().isOpen(); }));
        QList<ui::Card*> cards;
        QVERIFY(waitFor([&] {
            cards.clear();
            for (ui::Card* card : window().findChildren<ui::Card*>(QStringLiteral("recentCard"))) {
                if (card->isVisible()) cards << card;
            }
            return cards.size() == 2;
        }));
        QVERIFY(cards[1]->accessibleName().endsWith(QStringLiteral("lab")));
        QTest::mouseClick(cards[1], Qt::LeftButton, {}, QPoint(8, 8));
        QVERIFY(isOpen(m_folder));
    }
};

QTEST_MAIN(TestWindowLife)
#include "tst_WindowLife.moc"
