// The way over ssh in the real window, by clicks: add a target of two hosts, answer for their keys, examine it, run a
// script on both, lose the network, get it back, cancel; then a run to its end, whose file becomes a model.
#include <QClipboard>
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QScrollArea>
#include <QScrollBar>
#include <QTableWidget>
#include <QTreeWidget>
#include <QTreeWidgetItemIterator>
#include <filesystem>
#include <set>

#include "core/runs/TargetBook.h"
#include "core/store/Reader.h"
#include "core/wire/RunStream.h"
#include "tests/gui/WindowRig.h"
#include "tests/helpers/Lab.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Skip.h"
#include "ui/forms/FieldEditors.h"
#include "ui/forms/FormDocument.h"
#include "ui/models/ModelsPage.h"
#include "ui/runs/LogTab.h"
#include "ui/runs/LogView.h"
#include "ui/runs/MetricsTab.h"
#include "ui/runs/NewRunPage.h"
#include "ui/runs/RunCharts.h"
#include "ui/runs/RunPage.h"
#include "ui/runs/SystemTab.h"
#include "ui/targets/TargetsPage.h"
#include "ui/widgets/Basics.h"

using namespace trainyard;
using spec::RunState;
using test::waitFor;
using test::WindowRig;

namespace {

constexpr int kSoon = 20'000;
constexpr int kLong = 90'000;
/// More than the test takes, so that only a cancel ends it.
constexpr const char* kEndless = "100000";
constexpr int kShort = 20;
constexpr int kHalfMinute = 500;  ///< Lines, one each 50 ms.

/// Counts aloud on every rank; rank 0 reports a loss and leaves files.
constexpr const char* kScript = R"(import json, os, sys, time
rank, count = int(os.environ["RANK"]), int(sys.argv[1])
stream = open(os.environ["TRAINYARD_STREAM"], "a")
if rank == 0:
    with open(os.path.join(os.environ["TRAINYARD_OUTPUTS"], "early.txt"), "w") as file:
        file.write("first words")
print(f"rank {rank} of {os.environ['WORLD_SIZE']} has begun", flush=True)
for i in range(count):
    print(f"rank {rank} line {i}", flush=True)
    if rank == 0:
        stream.write(json.dumps({"kind": "metric", "name": "loss", "value": 1 / (i + 1), "step": i}) + "\n")
        stream.flush()
    time.sleep(0.05)
if rank == 0:
    folder = os.path.join(os.environ["TRAINYARD_OUTPUTS"], "best")
    os.makedirs(folder)
    with open(os.path.join(folder, "result.json"), "w") as file:
        json.dump({"count": count, "said": "ünïcode <b>"}, file)
    with open(os.path.join(folder, "weights.bin"), "wb") as file:
        file.write(bytes(range(256)) * 40)
)";

}  // namespace

class RemoteJourneyTest : public QObject {
    Q_OBJECT

private:
    template <class W>
    W* shown(const QString& name, int millis = kSoon) {
        W* found = nullptr;
        (void) waitFor([&] { return (found = m_rig->visible<W>(name)) != nullptr; }, millis);
        return found;
    }
    bool click(const QString& button, int millis = kSoon) {
        QAbstractButton* found = nullptr;
        (void) waitFor(
            [&] { return (found = m_rig->visible<QAbstractButton>(button)) != nullptr && found->isEnabled(); }, millis);
        if (found == nullptr || !found->isEnabled()) return false;
        QTest::mouseClick(found, Qt::LeftButton);
        return true;
    }
    bool type(const QString& input, const QString& text) {
        auto* line = shown<QLineEdit>(input);
        if (line == nullptr) return false;
        QTest::mouseClick(line, Qt::LeftButton);
        line->selectAll();
        if (text.startsWith(u'/')) {
            // A path with letters that no key has is pasted.
            QGuiApplication::clipboard()->setText(text);
            QTest::keyClick(line, Qt::Key_V, Qt::ControlModifier);
        } else {
            QTest::keyClicks(line, text);
        }
        return line->text() == text;
    }
    /// By the keyboard, as the wheel and the popup do.
    static bool pick(QComboBox* combo, int index) {
        if (combo == nullptr || index < 0) return false;
        combo->setFocus();
        for (int i = 0; i < combo->count() && combo->currentIndex() != index; ++i) {
            QTest::keyClick(combo, combo->currentIndex() < index ? Qt::Key_Down : Qt::Key_Up);
        }
        return combo->currentIndex() == index;
    }
    bool openTab(const char* name) {
        auto* tabs = shown<QTabWidget>(QStringLiteral("runTabs"));
        if (tabs == nullptr) return false;
        for (int i = 0; i < tabs->count(); ++i) {
            if (tabs->widget(i)->objectName() != QLatin1String(name) || !tabs->isTabVisible(i)) continue;
            QTest::mouseClick(tabs->tabBar(), Qt::LeftButton, {}, tabs->tabBar()->tabRect(i).center());
            return tabs->currentIndex() == i;
        }
        return false;
    }
    /// The page of the run that was launched.
    ui::RunPage* launch(const QString& count) {
        auto* form = m_rig->go<ui::NewRunPage>(QStringLiteral("new"));
        if (form == nullptr) return nullptr;
        auto* task = form->findChild<QWidget*>(QStringLiteral("task.kindInput"));
        if (auto* segments = qobject_cast<ui::SegmentedControl*>(task)) {
            segments->setFocus();
            QTest::keyClick(segments, Qt::Key_Right);
        } else if (!pick(qobject_cast<QComboBox*>(task), 1)) {
            return nullptr;
        }
        auto* target = shown<QComboBox>(QStringLiteral("targetInput"));
        if (target == nullptr || !waitFor([&] { return target->findData(QStringLiteral("pair")) >= 0; }, kSoon))
            return nullptr;
        if (!pick(target, target->findData(QStringLiteral("pair")))) return nullptr;
        if (!type(QStringLiteral("task.source_folderInput"), m_source) ||
            !type(QStringLiteral("task.scriptInput"), QStringLiteral("count.py")) ||
            !type(QStringLiteral("distribution.nodesInput"), QStringLiteral("2"))) {
            return nullptr;
        }
        auto* row = form->findChild<QWidget*>(QStringLiteral("task.argumentsRow"));
        if (row == nullptr) return nullptr;
        auto* argument = row->findChild<QLineEdit*>();
        if (argument == nullptr) {
            QTest::mouseClick(row->findChild<ui::LinkButton*>(), Qt::LeftButton);
            argument = row->findChild<QLineEdit*>();
        }
        if (argument == nullptr) return nullptr;
        argument->selectAll();
        QTest::keyClicks(argument, count);
        if (!form->document().validateNow().empty()) {
            qWarning("%s", form->document().errors().front().message.c_str());
            return nullptr;
        }
        m_rig->picture(QStringLiteral("remote-form-") + count);
        if (!click(QStringLiteral("launchActionButton"))) return nullptr;
        if (!waitFor([&] { return qobject_cast<ui::RunPage*>(m_rig->window().page()) != nullptr; }, kSoon))
            return nullptr;
        return qobject_cast<ui::RunPage*>(m_rig->window().page());
    }
    static bool reaches(const ui::RunPage* page, RunState state, int millis) {
        const bool reached = waitFor([&] { return page->detail() && page->detail()->row.state == state; }, millis);
        if (!reached && page->detail())
            qWarning("the run is %s: %s", std::string(spec::toString(page->detail()->row.state)).c_str(),
                     page->detail()->row.stateReason.c_str());
        return reached;
    }
    /// The text of a notice on the run's page; empty while it is hidden.
    QString notice(const char* name) const {
        auto* label = m_rig->visible<ui::InlineError>(QString::fromLatin1(name));
        return label != nullptr ? label->text() : QString();
    }

private Q_SLOTS:
    void initTestCase() {
        if (const std::string missing = test::Lab::missing(); !missing.empty()) TRAINYARD_SKIP(missing.c_str());
        m_rig = std::make_unique<WindowRig>(WindowRig::Fill::Nothing);
        m_lab = std::make_unique<test::Lab>(test::LabOptions{2, false, false});
        QVERIFY2(m_lab->up(), m_lab->error().c_str());
        // Nobody has ever been there.
        QVERIFY(std::filesystem::remove(m_lab->knownHosts()));
        m_source =
            QString::fromStdString(m_rig->scratch().write("source folder/count.py", kScript).parent_path().string());
        m_rig->window().resize(1500, 950);
    }
    void cleanupTestCase() {
        m_rig.reset();
        m_lab.reset();
    }

    void target_isAddedAndExamined() {
        auto* page = m_rig->go<ui::TargetsPage>(QStringLiteral("targets"));
        QVERIFY(page);
        QVERIFY(click(QStringLiteral("addTargetActionButton")));
        QVERIFY(type(QStringLiteral("nameInput"), QStringLiteral("pair")));
        QVERIFY(type(QStringLiteral("hostInput1"), QStringLiteral("node1")));
        QVERIFY(click(QStringLiteral("addHostButton")));
        QVERIFY(type(QStringLiteral("hostInput2"), QStringLiteral("node2")));
        QVERIFY(click(QStringLiteral("ConnectionMoreButton")));
        QVERIFY(type(QStringLiteral("connect_secondsInput"), QStringLiteral("3")));
        QVERIFY(type(QStringLiteral("alive_secondsInput"), QStringLiteral("1")));
        QVERIFY(click(QStringLiteral("saveTargetActionButton")));
        QVERIFY(waitFor([&] { return page->address().parts == QStringList{QStringLiteral("pair")}; }, kSoon));

        // Both keys are unknown: each is shown and asked about, and only then is anything sent there.
        QVERIFY(click(QStringLiteral("doctorButton")));
        const auto real = test::runProgram("/usr/bin/ssh-keygen", {"-lf", (m_lab->folder() / "hostkey.pub").string()});
        QCOMPARE(real.exitCode, 0);
        auto* examine = shown<QPushButton>(QStringLiteral("doctorButton"));
        int answered = 0;
        QVERIFY(waitFor(
            [&] {
                if (auto* agree = m_rig->visible<QPushButton>(QStringLiteral("questionAgreeButton"))) {
                    auto* fingerprint = m_rig->visible<QLabel>(QStringLiteral("questionFingerprintLabel"));
                    if (fingerprint == nullptr || real.out.find(fingerprint->text().toStdString()) == std::string::npos)
                        return false;
                    if (answered++ == 0) m_rig->picture(QStringLiteral("remote-question"));
                    QTest::mouseClick(agree, Qt::LeftButton);
                }
                return examine->isEnabled();
            },
            kLong));
        QVERIFY(answered >= 2);
        QVERIFY(std::filesystem::exists(m_lab->knownHosts()));
        auto* error = page->findChild<ui::InlineError*>(QStringLiteral("doctorError"));
        QVERIFY2(error->isClear(), qPrintable(error->text()));
        QVERIFY(page->findChild<QWidget*>(QStringLiteral("doctorLine_reach")));
        QVERIFY(m_rig->session().reach("pair").state == targets::Reach::State::Connected);
        m_rig->picture(QStringLiteral("remote-doctor"));
    }

    void run_goesOnThroughACutAndIsCanceled() {
        ui::RunPage* page = launch(QString::fromLatin1(kEndless));
        QVERIFY(page);
        QVERIFY(reaches(page, RunState::Running, kLong));
        const base::RunId run = page->detail()->row.id;
        QVERIFY(openTab("log"));
        QVERIFY(waitFor([&] { return page->log()->view()->total() > 20; }, kSoon));
        // Two nodes: their lines stand in one log, and their processes on one page with host and number.
        auto* node = shown<QComboBox>(QStringLiteral("logNodeCombo"));
        QVERIFY(node);
        QCOMPARE(node->count(), 3);
        QVERIFY(openTab("ranks"));
        auto* ranks = shown<QTableWidget>(QStringLiteral("ranksTable"));
        QVERIFY(ranks);
        QVERIFY(waitFor([&] { return ranks->rowCount() == 2; }, kSoon));
        QCOMPARE(ranks->item(0, 2)->text(), QStringLiteral("node1"));
        QCOMPARE(ranks->item(1, 2)->text(), QStringLiteral("node2"));
        QVERIFY(openTab("metrics"));
        QVERIFY(waitFor([&] { return page->metrics()->charts()->points() > 5; }, kSoon));
        m_rig->picture(QStringLiteral("remote-running"));
        // What each machine uses, a block a node.
        QVERIFY(openTab("system"));
        QVERIFY(waitFor(
            [&] {
                int blocks = 0;
                const auto titles = page->findChildren<QLabel*>(QStringLiteral("systemNodeTitle"));
                for (const char* host : {"node1", "node2"}) {
                    for (QLabel* one : titles)
                        blocks += one->isVisible() && one->text().contains(QLatin1String(host)) ? 1 : 0;
                }
                return blocks == 2;
            },
            kSoon));
        auto* scroll = page->findChild<ui::SystemTab*>()->findChild<QScrollArea*>();
        QVERIFY(scroll);
        int filled = 0;
        for (ui::RunCharts* one : scroll->findChildren<ui::RunCharts*>()) {
            if (!one->isVisible()) continue;
            // Plots out of sight are not fetched.
            scroll->verticalScrollBar()->setValue(one->mapTo(scroll->widget(), QPoint()).y());
            QVERIFY(waitFor([&] { return one->points() > 0; }, kSoon));
            if (++filled == 1) m_rig->picture(QStringLiteral("remote-system"));
        }
        QCOMPARE(filled, 2);
        // What it has written so far is listed on demand, while it goes on.
        QVERIFY(openTab("outputs"));
        QVERIFY(click(QStringLiteral("outputsFirstLookButton")));
        auto* outputs = page->findChild<QTreeWidget*>(QStringLiteral("outputsTree"));
        QVERIFY(waitFor([&] { return outputs->isVisible() && outputs->topLevelItemCount() == 1; }, kSoon));
        QCOMPARE(outputs->topLevelItem(0)->text(0), QStringLiteral("early.txt"));
        QCOMPARE(outputs->topLevelItem(0)->text(2), QStringLiteral("on the target"));
        QVERIFY(click(QStringLiteral("outputsLookButton")));
        m_rig->picture(QStringLiteral("remote-look"));
        QVERIFY(openTab("metrics"));

        QVERIFY(m_lab->cut(0));
        QVERIFY(waitFor([&] { return notice("runReach").contains(QStringLiteral("cannot be reached since")); }, kLong));
        m_rig->picture(QStringLiteral("remote-cut"));
        const std::int64_t before = page->detail()->row.logLines;
        QVERIFY(m_lab->heal(0));
        QVERIFY(waitFor([&] { return notice("runReach").isEmpty() && page->detail()->row.state == RunState::Running; },
                        kLong));
        QVERIFY(waitFor([&] { return page->detail()->row.logLines > before + 20; }, kSoon));

        m_rig->questions().setNextAnswer(QStringLiteral("cancel"));
        QVERIFY(click(QStringLiteral("cancelRunActionButton")));
        QVERIFY(reaches(page, RunState::Canceled, kLong));
        QCOMPARE(m_rig->questions().asked().last(), QStringLiteral("run.cancel"));
        for (const int host : {1, 2}) {
            const auto left = m_lab->run(host, {"pgrep", "-f", "count.py"});
            QVERIFY2(left.exitCode != 0, left.out.c_str());
        }
        // Nothing is missing of what was said meanwhile: every record of each node, and every line of each rank.
        for (const int one : {0, 1}) {
            wire::StreamFolderReader copy(m_rig->layout().stream(run, 1, one));
            std::vector<wire::StreamEntry> entries;
            QVERIFY(copy.read(entries).ok());
            QVERIFY(!entries.empty());
            int lines = 0;
            for (std::size_t i = 0; i < entries.size(); ++i) {
                const wire::Record& record = entries[i].record;
                QCOMPARE(record.seq, static_cast<std::int64_t>(i + 1));
                if (record.kind != "log" || record.body.value("out", std::string()) != "stdout") continue;
                for (const base::Json& line : record.body.at("lines")) {
                    if (line.get<std::string>().find(" line ") == std::string::npos) continue;
                    QCOMPARE(line.get<std::string>(), "rank " + std::to_string(one) + " line " + std::to_string(lines));
                    ++lines;
                }
            }
            QVERIFY(lines > 5);
        }
        // Of the cut one host may have been noticed before the other; nothing else is worth a warning.
        for (const store::WarningRow& warning : page->detail()->warnings)
            QCOMPARE(warning.code, std::string("run.host_silent"));
        m_rig->picture(QStringLiteral("remote-canceled"));
    }

    void secondRun_leavesAFileThatBecomesAModel() {
        ui::RunPage* page = launch(QString::number(kShort));
        QVERIFY(page);
        QVERIFY(waitFor([&] { return page->detail() && page->detail()->row.number == 2; }, kSoon));
        QVERIFY(reaches(page, RunState::Completed, kLong));
        QVERIFY(openTab("log"));
        QVERIFY(waitFor([&] { return page->log()->view()->total() >= 2 * (kShort + 1); }, kSoon));
        QVERIFY(openTab("code"));
        auto* code = shown<QTreeWidget>(QStringLiteral("codeTree"));
        QVERIFY(code);
        QVERIFY(waitFor([&] { return code->topLevelItemCount() == 1; }, kSoon));
        QVERIFY(openTab("outputs"));
        auto* tree = shown<QTreeWidget>(QStringLiteral("outputsTree"));
        QVERIFY(tree);
        const auto choose = [&](const QString& name) {
            for (QTreeWidgetItemIterator at(tree); *at; ++at) {
                if ((*at)->text(0) != name) continue;
                tree->scrollToItem(*at);
                QTest::mouseClick(tree->viewport(), Qt::LeftButton, {}, tree->visualItemRect(*at).center());
                return (*at)->isSelected();
            }
            return false;
        };
        QVERIFY(waitFor([&] { return choose(QStringLiteral("result.json")); }, kSoon));
        auto* text = shown<QPlainTextEdit>(QStringLiteral("previewText"));
        QVERIFY(text);
        QVERIFY(waitFor([&] { return text->toPlainText().contains(QStringLiteral("ünïcode <b>")); }, kSoon));
        m_rig->picture(QStringLiteral("remote-outputs"));
        QVERIFY(choose(QStringLiteral("weights.bin")));
        auto* note = shown<QLabel>(QStringLiteral("previewNoteLabel"));
        QVERIFY(note);
        QVERIFY(waitFor([&] { return note->text().contains(QStringLiteral("no text")); }, kSoon));

        m_rig->questions().setNextAnswer(QStringLiteral("counted"));
        QVERIFY(click(QStringLiteral("registerFilesButton")));
        QVERIFY(waitFor([&] { return qobject_cast<ui::ModelsPage*>(m_rig->window().page()) != nullptr; }, kSoon));
        auto* title = shown<QLabel>(QStringLiteral("modelTitleLabel"));
        QVERIFY(title);
        QVERIFY(waitFor([&] { return title->text().startsWith(QStringLiteral("counted")); }, kSoon));
        auto* files = shown<QTableWidget>(QStringLiteral("modelFilesTable"));
        QVERIFY(files);
        bool named = false;
        for (int i = 0; i < files->rowCount(); ++i)
            named = named || files->item(i, 0)->text().contains(QStringLiteral("weights.bin"));
        QVERIFY(named);
        m_rig->picture(QStringLiteral("remote-model"));
    }

    /// The network goes and does not come back: the run is given up here, and what lies there stays.
    void unreachableRun_isGivenUp() {
        ui::RunPage* page = launch(QString::number(kHalfMinute));
        QVERIFY(page);
        QVERIFY(waitFor([&] { return page->detail() && page->detail()->row.number == 3; }, kSoon));
        QVERIFY(reaches(page, RunState::Running, kLong));
        const base::RunId run = page->detail()->row.id;
        const auto there = [&](int host) {
            const auto found =
                m_lab->run(host, {"sh", "-c", "ls -d /home/lab/.local/share/trainyard/work/runs/" + run.str()});
            return found.exitCode == 0;
        };
        QVERIFY(there(1));
        QVERIFY(m_lab->cut(0));
        QVERIFY(reaches(page, RunState::Lost, kLong));
        m_rig->picture(QStringLiteral("remote-lost"));
        // No is an answer.
        QVERIFY(click(QStringLiteral("giveUpActionButton")));
        QVERIFY(waitFor([&] { return m_rig->questions().asked().last() == u"run.give-up"; }, kSoon));
        QTest::qWait(300);
        QVERIFY(page->detail()->row.state == RunState::Lost);
        m_rig->questions().setNextAnswer(QStringLiteral("give-up"));
        QVERIFY(click(QStringLiteral("giveUpActionButton")));
        QVERIFY(reaches(page, RunState::Canceled, kLong));
        QVERIFY(page->detail()->row.stateReason.find("Given up") != std::string::npos);
        m_rig->picture(QStringLiteral("remote-given-up"));
        // What it does there it goes on doing.
        QVERIFY(there(1));

        // Deleted while it lies out of reach: what becomes of its rest is asked, and no answer deletes nothing.
        auto* remove = m_rig->action(QStringLiteral("deleteAction"));
        QVERIFY(remove && remove->isEnabled());
        m_rig->questions().setNextAnswer(QStringLiteral("delete"));
        remove->trigger();
        QVERIFY(waitFor([&] { return m_rig->questions().asked().last() == u"run.delete-rest"; }, kLong));
        QVERIFY(m_rig->questions().texts().last().contains(QStringLiteral("node1 ")));
        QTest::qWait(300);
        QVERIFY(page->detail() && page->detail()->row.id == run);
        m_rig->questions().setNextAnswer(QStringLiteral("delete"));
        m_rig->questions().setNextAnswer(QStringLiteral("leave"));
        remove->trigger();
        QVERIFY(waitFor([&] { return !std::filesystem::exists(m_rig->layout().run(run)); }, kLong));
        m_rig->picture(QStringLiteral("remote-deleted"));
        QVERIFY(m_lab->heal(0));
        QVERIFY(there(1));
    }

    /// Before the launch the form tells what travels, what room is there, and where that is too little.
    void form_tellsWhetherTheDiskHasRoom() {
        const auto mounted =
            m_lab->run(1, {"sh", "-c", "mkdir -p /run/tight && mount -t tmpfs -o size=40m,mode=777 tmpfs /run/tight"});
        QVERIFY2(mounted.exitCode == 0, mounted.err.c_str());
        spec::TargetSpec tight;
        tight.name = "tight";
        tight.kind = spec::TargetKind::Ssh;
        tight.hosts = {{"node1", 0, "", ""}};
        tight.workFolder = "/run/tight/work";
        QVERIFY(runs::writeTarget(m_rig->layout(), tight).ok());
        const base::Path data = m_rig->scratch().write("much.bin", std::string(20 << 20, 'm'));
        auto* form = m_rig->go<ui::NewRunPage>(QStringLiteral("new"));
        QVERIFY(form);
        form->document().setValue(QStringLiteral("distribution.kind"), "none");
        form->document().setValue(QStringLiteral("distribution.nodes"), 1);
        form->document().setValue(QStringLiteral("target"), "tight");
        form->document().setValue(QStringLiteral("inputs"), base::Json{{"much", data.string()}});
        auto* line = form->findChild<QLabel*>(QStringLiteral("uploadLabel"));
        auto* wrong = form->findChild<ui::InlineError*>(QStringLiteral("uploadWarning"));
        // Hidden for a moment whenever the form is changed on.
        QVERIFY(waitFor([&] { return line->text().contains(QStringLiteral("free on node1")) && wrong->isVisible(); },
                        kLong));
        QVERIFY2(line->text().contains(QStringLiteral("travel")), qPrintable(line->text()));
        QVERIFY2(wrong->isVisible() && wrong->text().contains(QStringLiteral("on node1 in /run/tight/work")),
                 qPrintable(wrong->text()));
        m_rig->picture(QStringLiteral("remote-no-room"));
        // With room the error goes; asked anew when the form comes back from the target's page, to which the error
        // leads.
        QTest::mouseClick(wrong->findChild<QPushButton*>(), Qt::LeftButton);
        QVERIFY(waitFor([&] { return qobject_cast<ui::TargetsPage*>(m_rig->window().page()) != nullptr; }, kSoon));
        QCOMPARE(m_lab->run(1, {"mount", "-o", "remount,size=400m", "/run/tight"}).exitCode, 0);
        QVERIFY(m_rig->go<ui::NewRunPage>(QStringLiteral("new")) == form);
        QVERIFY(
            waitFor([&] { return wrong->isClear() && line->text().contains(QStringLiteral("free on node1")); }, kLong));
        m_rig->picture(QStringLiteral("remote-room"));
        m_lab->run(1, {"umount", "-l", "/run/tight"});
    }

private:
    std::unique_ptr<WindowRig> m_rig;
    std::unique_ptr<test::Lab> m_lab;
    QString m_source;
};

TRAINYARD_GUI_TEST(RemoteJourneyTest)
#include "tst_RemoteJourney.moc"
