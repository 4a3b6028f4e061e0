#include <QApplication>
#include <QClipboard>
#include <QLabel>
#include <QLineEdit>
#include <QListView>
#include <QProcess>
#include <QPushButton>
#include <QtTest>

#include <csignal>

#include "tests/gui/WindowFixture.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Signal.h"
#include "tests/helpers/Skip.h"
#include "ui/shell/Palette.h"
#include "ui/shell/WorkList.h"
#include "ui/widgets/Basics.h"

using namespace trainyard;
using trainyard::test::waitFor;
using trainyard::test::WindowFixture;

class TestShell : public QObject {
    Q_OBJECT
    WindowFixture m_fixture;
    QString m_folder;

    QString title() { return m_fixture.window->findChild<QLabel*>(QStringLiteral("pageTitle"))->text(); }
    QString pageId() { return m_fixture.window->page() == nullptr ? QString() : m_fixture.window->page()->id(); }
    bool open(const char* address) {
        return m_fixture.window->shell().open(
            *ui::Address::fromString(QStringLiteral("trainyard://") + QLatin1String(address)));
    }

private Q_SLOTS:
    void initTestCase() {
        ui::Theme::install(*qApp);
        commands::ShowcaseOptions options;
        options.completed = 5;
        options.stepsPerRun = 400;
        m_folder = m_fixture.makeWorkspace("lab", options);
    }
    void init() { m_fixture.openWindow(); }

    void welcome_standsWhileNothingIsOpen() {
        QCOMPARE(title(), QStringLiteral("Welcome"));
        QVERIFY(!m_fixture.window->findChild<QAbstractButton*>(QStringLiteral("runsRailButton"))->isEnabled());
        QVERIFY(m_fixture.window->findChild<QAbstractButton*>(QStringLiteral("settingsRailButton"))->isEnabled());
        QVERIFY(!open("runs"));
    }

    void welcome_saysWhyAFolderIsNoWorkspace() {
        m_fixture.window->openWorkspace(QString::fromStdString((m_fixture.scratch / "nowhere").string()));
        auto* error = m_fixture.window->findChild<ui::InlineError*>(QStringLiteral("welcomeError"));
        QVERIFY(waitFor([&] { return error->isVisible(); }));
        QVERIFY(!error->text().isEmpty());
        QVERIFY(!m_fixture.session->isOpen());
    }

    void welcome_createsAWorkspace() {
        const QString folder = QString::fromStdString((m_fixture.scratch / "made here").string());
        m_fixture.questions.setNextAnswer(folder);
        auto* card = m_fixture.window->findChild<ui::Card*>(QStringLiteral("createCard"));
        QTest::mouseClick(card, Qt::LeftButton);
        QVERIFY(waitFor([&] { return m_fixture.session->isOpen() && m_fixture.window->isReady(); }));
        QVERIFY(QFile::exists(folder + QStringLiteral("/trainyard.json")));
        QVERIFY(m_fixture.window->windowTitle().contains(QStringLiteral("made here")));
    }

    void rail_opensPagesAndMarksThem() {
        QVERIFY(m_fixture.openWorkspace(m_folder));
        auto* runs = m_fixture.window->findChild<QAbstractButton*>(QStringLiteral("runsRailButton"));
        QTest::mouseClick(runs, Qt::LeftButton);
        QCOMPARE(pageId(), QStringLiteral("runs"));
        QVERIFY(runs->isChecked());
        QVERIFY(open("run/2"));
        QCOMPARE(pageId(), QStringLiteral("run"));
        QVERIFY(runs->isChecked());
        QVERIFY(waitFor([&] { return runs->accessibleName().contains(QStringLiteral("1 running")); }));
    }

    void backAndForward_byKeys() {
        QVERIFY(m_fixture.openWorkspace(m_folder));
        QVERIFY(open("home"));
        QVERIFY(open("runs"));
        QVERIFY(open("settings"));
        QTest::keyClick(m_fixture.window.get(), Qt::Key_Left, Qt::AltModifier);
        QCOMPARE(pageId(), QStringLiteral("runs"));
        QTest::keyClick(m_fixture.window.get(), Qt::Key_Left, Qt::AltModifier);
        QCOMPARE(pageId(), QStringLiteral("home"));
        QTest::keyClick(m_fixture.window.get(), Qt::Key_Right, Qt::AltModifier);
        QCOMPARE(pageId(), QStringLiteral("runs"));
        QTest::keyClick(m_fixture.window.get(), Qt::Key_C, Qt::ControlModifier | Qt::ShiftModifier);
        QVERIFY(QApplication::clipboard()->text().startsWith(QStringLiteral("trainyard://runs")));
    }

    void palette_findsPagesActionsAndRuns() {
        QVERIFY(m_fixture.openWorkspace(m_folder));
        QVERIFY(open("home"));
        QTest::keyClick(m_fixture.window.get(), Qt::Key_K, Qt::ControlModifier);
        auto& palette = m_fixture.window->commandPalette();
        QVERIFY(palette.isVisible());
        auto* edit = palette.findChild<QLineEdit*>(QStringLiteral("paletteEdit"));
        auto* list = palette.findChild<QListView*>(QStringLiteral("paletteList"));
        QVERIFY(edit->hasFocus());
        QTest::keyClicks(edit, QStringLiteral("setti"));
        QVERIFY(waitFor([&] { return list->model()->rowCount() > 0; }));
        QCOMPARE(list->model()->index(0, 0).data().toString(), QStringLiteral("Settings"));
        QTest::keyClick(edit, Qt::Key_Return);
        QVERIFY(!palette.isVisible());
        QCOMPARE(pageId(), QStringLiteral("settings"));

        palette.openOver(QStringLiteral("high-learning"));
        QVERIFY(waitFor([&] {
            return list->model()->rowCount() > 0 &&
                   list->model()->index(0, 0).data().toString().contains(QStringLiteral("cnn-high-learning-rate"));
        }));
        QTest::keyClick(edit, Qt::Key_Return);
        QCOMPARE(pageId(), QStringLiteral("run"));

        palette.openOver(QStringLiteral("no such thing at all"));
        QVERIFY(waitFor([&] { return list->model()->rowCount() == 0; }));
        QTest::keyClick(edit, Qt::Key_Escape);
        QVERIFY(!palette.isVisible());

        palette.openOver(QStringLiteral("trainyard://runs"));
        QTest::keyClick(edit, Qt::Key_Return);
        QCOMPARE(pageId(), QStringLiteral("runs"));
    }

    void address_thatDoesNotExistIsSaid() {
        QVERIFY(m_fixture.openWorkspace(m_folder));
        QVERIFY(open("runs"));
        QVERIFY(!open("nothing/here"));
        QCOMPARE(pageId(), QStringLiteral("runs"));
    }

    void state_survivesWithoutAGoodbye() {
        QVERIFY(m_fixture.openWorkspace(m_folder));
        QVERIFY(open("run/3"));
        m_fixture.settle();
        const QString address = m_fixture.window->page()->address().toString();
        m_fixture.window->shell().store(QStringLiteral("test.draft"), "half a sentence");
        // Only the clock may save it: a killed process says no goodbye.
        const QString file = m_folder + QStringLiteral("/views/window.json");
        QByteArray found;
        const bool saved = waitFor(
            [&] {
                QFile now(file);
                if (!now.open(QIODevice::ReadOnly)) return false;
                found = now.readAll();
                return found.contains("half a sentence") && found.contains(address.toUtf8());
            },
            1500);
        QVERIFY2(saved, found.constData());
        const QByteArray kept = [&] {
            QFile now(file);
            (void) now.open(QIODevice::ReadOnly);
            return now.readAll();
        }();
        m_fixture.openWindow();
        {
            // What the closing window wrote does not count.
            QFile back(file);
            QVERIFY(back.open(QIODevice::WriteOnly));
            back.write(kept);
        }
        QVERIFY(m_fixture.openWorkspace(m_folder));
        QCOMPARE(pageId(), QStringLiteral("run"));
        QVERIFY(waitFor([&] { return m_fixture.window->page()->address().toString() == address; }));
        QCOMPARE(m_fixture.window->shell().stored(QStringLiteral("test.draft")).get<std::string>(),
                 std::string("half a sentence"));
    }

    void notices_offerUndoAndErrorsStay() {
        QVERIFY(m_fixture.openWorkspace(m_folder));
        int undone = 0;
        m_fixture.window->shell().notice(QStringLiteral("Archived"), [&undone] { ++undone; });
        auto* undo = m_fixture.window->findChild<QPushButton*>(QStringLiteral("undoButton"));
        QVERIFY(undo->isVisible());
        QTest::mouseClick(undo, Qt::LeftButton);
        QCOMPARE(undone, 1);
        QVERIFY(!undo->isVisible());
        m_fixture.window->shell().warn({"file.full", "The disk is full."});
        QCOMPARE(m_fixture.window->findChild<QLabel*>(QStringLiteral("noticeLabel"))->text(),
                 QStringLiteral("The disk is full."));
        QVERIFY(!undo->isVisible());
    }

    void work_showsAtTheFoot() {
        auto& work = m_fixture.window->shell().work();
        bool canceled = false;
        const int id = work.begin(QStringLiteral("Copying a model"), [&canceled] { canceled = true; });
        auto* strip = m_fixture.window->findChild<ui::ProgressStrip*>(QStringLiteral("workStrip"));
        QVERIFY(strip->isVisible());
        work.progress(id, 0.5, 42'000'000'000);
        QStringList texts;
        for (const QLabel* label : strip->findChildren<QLabel*>()) texts << label->text();
        QVERIFY2(texts.join(QLatin1Char('|')).contains(QStringLiteral("42 s")),
                 qPrintable(texts.join(QLatin1Char('|'))));
        QTest::mouseClick(strip->findChild<QToolButton*>(), Qt::LeftButton);
        QVERIFY(canceled);
        work.finish(id);
        QVERIFY(!strip->isVisible());
    }

    void theme_changesFromTheSettings() {
        m_fixture.settings->setTheme(ui::Theme::Choice::Dark);
        QVERIFY(ui::Theme::current().isDark());
        m_fixture.settings->setTheme(ui::Theme::Choice::Light);
        QVERIFY(!ui::Theme::current().isDark());
    }

    void chart_isExportedWhereAsked() {
        QVERIFY(m_fixture.openWorkspace(m_folder));
        QVERIFY(open("run/2"));
        ui::ChartView* chart = nullptr;
        QVERIFY(waitFor([&] {
            for (auto* one : m_fixture.window->findChildren<ui::ChartView*>()) {
                if (one->isVisible() && !one->seriesKeys().isEmpty() && !one->isBusy()) chart = one;
            }
            return chart != nullptr;
        }));
        const QString file = QString::fromStdString((m_fixture.scratch / "chart.svg").string());
        m_fixture.questions.setNextAnswer(file);
        chart->findChild<QAction*>(QStringLiteral("exportChartAction"))->trigger();
        QVERIFY(waitFor([&] { return QFileInfo(file).size() > 1000; }));
        QVERIFY(m_fixture.window->findChild<QLabel*>(QStringLiteral("noticeLabel"))->text().contains(file));
    }

    void sleep_isHeldOffWhileARunWorks() {
        QVERIFY(m_fixture.openWorkspace(m_folder));
        QVERIFY(waitFor([&] { return m_fixture.desktop.awake; }));
        m_fixture.settings->setHoldOffSleep(false);
        QVERIFY(!m_fixture.desktop.awake);
        m_fixture.settings->setHoldOffSleep(true);
        QVERIFY(m_fixture.desktop.awake);
    }

    /// A run elsewhere needs neither this machine nor this window.
    void remoteRuns_holdOffNothing() {
        auto kept = std::move(m_fixture.showcase);
        const auto back = qScopeGuard([&] {
            m_fixture.window->close();
            m_fixture.showcase = std::move(kept);
        });
        commands::ShowcaseOptions options;
        options.completed = 1;
        options.stepsPerRun = 400;
        options.troubled = false;
        const QString folder = m_fixture.makeWorkspace("elsewhere", options);
        const wire::WorkspaceLayout layout{base::Path(folder.toStdString())};
        for (const base::RunId& run : m_fixture.showcase.runs) {
            auto spec = base::parseJson(base::readFile(layout.spec(run)).value());
            QVERIFY(spec.ok());
            (*spec)["target"] = "two-gpu-rig";
            QVERIFY(base::writeFileAtomically(layout.spec(run), base::dumpJson(*spec)).ok());
        }
        QVERIFY(m_fixture.openWorkspace(folder));
        auto* active = m_fixture.window->findChild<QAbstractButton*>(QStringLiteral("activeRunsButton"));
        QVERIFY(waitFor([&] { return active->text().contains(QStringLiteral("1 running")); }, 10'000));
        QVERIFY(!m_fixture.desktop.awake);
        const qsizetype asked = m_fixture.questions.asked().size();
        m_fixture.window->close();
        QVERIFY(!m_fixture.window->isVisible());
        QCOMPARE(m_fixture.questions.asked().size(), asked);
    }

    void closing_asksOnceAndKeeps() {
        QVERIFY(m_fixture.openWorkspace(m_folder));
        QVERIFY(waitFor([&] { return m_fixture.desktop.awake; }));
        m_fixture.window->close();
        QVERIFY(waitFor([&] { return m_fixture.questions.asked().contains(QStringLiteral("window.close")); }));
        QTest::qWait(50);
        QVERIFY(m_fixture.window->isVisible());  // Cancel was the answer.
        m_fixture.questions.setNextAnswer(QStringLiteral("keep"));
        m_fixture.window->close();
        QVERIFY(waitFor([&] { return !m_fixture.window->isVisible(); }));
        QCOMPARE(m_fixture.questions.asked().count(QStringLiteral("window.close")), 2);
    }

    void program_survivesKillNine() {
        const QString program = QString::fromStdString(test::builtProgram("trainyard").string());
        if (!QFile::exists(program)) TRAINYARD_SKIP("The workbench is not built.");
        m_fixture.window->close();
        QProcess process;
        process.start(program, {m_folder, QStringLiteral("trainyard://run/2")});
        QVERIFY(process.waitForStarted());
        const QString file = m_folder + QStringLiteral("/views/window.json");
        const bool saved = waitFor(
            [&] {
                QFile now(file);
                return now.open(QIODevice::ReadOnly) && now.readAll().contains("trainyard://run/2");
            },
            15'000);
        test::sendSignal(process, SIGKILL);
        QVERIFY(process.waitForFinished(5000));
        QVERIFY(saved);
        QVERIFY(m_fixture.openWorkspace(m_folder));
        QCOMPARE(pageId(), QStringLiteral("run"));
    }
};

QTEST_MAIN(TestShell)
#include "tst_Shell.moc"
