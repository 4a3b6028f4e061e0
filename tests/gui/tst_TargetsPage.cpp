#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QProgressBar>
#include <QPushButton>
#include <QTableWidget>
#include <QTreeWidget>
#include <filesystem>

#include "tests/gui/WindowRig.h"
#include "ui/forms/FormDocument.h"
#include "ui/runs/NewRunPage.h"
#include "ui/runs/WherePanels.h"
#include "ui/targets/TargetForm.h"
#include "ui/targets/TargetPanels.h"
#include "ui/targets/TargetsPage.h"
#include "ui/widgets/Basics.h"

using namespace trainyard;
using base::Json;
using test::waitFor;
using test::WindowRig;

class TargetsPageTest : public QObject {
    Q_OBJECT

private:
    static void type(QLineEdit* line, const QString& text) {
        line->clear();
        QTest::keyClicks(line, text);
    }
    static bool shown(WindowRig& rig, const char* name) {
        return waitFor([&] { return rig.visible<QLineEdit>(QString::fromLatin1(name)) != nullptr; }, 5000);
    }
    /// Adds an SSH target through the form.
    static bool add(WindowRig& rig, ui::TargetsPage* page, const QString& name, const QString& host) {
        rig.action(QStringLiteral("addTargetAction"))->trigger();
        if (!shown(rig, "nameInput") || !shown(rig, "hostInput1")) return false;
        auto* nameLine = rig.visible<QLineEdit>(QStringLiteral("nameInput"));
        auto* hostLine = rig.visible<QLineEdit>(QStringLiteral("hostInput1"));
        type(nameLine, name);
        type(hostLine, host);
        page->primaryAction()->trigger();
        return waitFor(
            [&] {
                return page->address().parts == QStringList{name} &&
                       page->primaryAction()->objectName() == u"addTargetAction";
            },
            5000);
    }

private Q_SLOTS:
    void thisMachine_isThereWithItsLoadAndDoctor() {
        WindowRig rig(WindowRig::Fill::Nothing);
        auto* page = rig.go<ui::TargetsPage>(QStringLiteral("targets"));
        QVERIFY(page);
        auto* tree = page->findChild<QTreeWidget*>(QStringLiteral("targetsTree"));
        QVERIFY(waitFor([&] { return tree->topLevelItemCount() == 1; }, 5000));
        QVERIFY(waitFor([&] { return page->address().parts == QStringList{QStringLiteral("local")}; }, 5000));
        // Its load has a core at least, read live.
        auto* load = page->findChild<ui::LoadPanel*>();
        QVERIFY(waitFor([&] { return !load->findChildren<QProgressBar*>().isEmpty(); }, 20000));
        // This machine has no delete and no clone.
        for (QAction* action : page->contextActions()) QVERIFY(action->objectName() != u"deleteTargetAction");
        auto* examine = rig.visible<QPushButton>(QStringLiteral("doctorButton"));
        QVERIFY(examine);
        examine->click();
        QVERIFY(!examine->isEnabled());
        QVERIFY(waitFor([&] { return examine->isEnabled(); }, 60000));
        auto* error = page->findChild<ui::InlineError*>(QStringLiteral("doctorError"));
        QVERIFY2(error->isClear(), qPrintable(error->text()));
        QVERIFY(page->findChild<QWidget*>(QStringLiteral("doctorLine_disk")) ||
                page->findChild<QWidget*>(QStringLiteral("doctorLine_cores")));
        rig.picture(QStringLiteral("targets-local"));
    }

    void wrongValues_standAtTheirFields() {
        WindowRig rig(WindowRig::Fill::Nothing);
        auto* page = rig.go<ui::TargetsPage>(QStringLiteral("targets?q=new"));
        QVERIFY(page);
        auto* form = page->findChild<ui::TargetForm*>();
        QVERIFY(shown(rig, "hostInput1"));
        page->primaryAction()->trigger();
        auto* error = form->findChild<ui::InlineError*>(QStringLiteral("targetFormError"));
        QVERIFY(!error->isClear());
        type(rig.visible<QLineEdit>(QStringLiteral("nameInput")), QStringLiteral("lab"));
        auto* host = rig.visible<QLineEdit>(QStringLiteral("hostInput1"));
        QVERIFY(host);
        for (const QString& hostile :
             {QStringLiteral("-oProxyCommand=touch canary"), QStringLiteral("two words"), QStringLiteral("a;b'c\"")}) {
            type(host, hostile);
            page->primaryAction()->trigger();
            auto* label = form->findChild<QLabel*>(QStringLiteral("hostsErrorLabel"));
            QVERIFY2(!label->isHidden() && !label->text().isEmpty(), qPrintable(hostile));
            QVERIFY(host->property("invalid").toBool());
        }
        rig.picture(QStringLiteral("targets-form-error"));
        // Nothing was made of it.
        QVERIFY(!std::filesystem::exists(rig.layout().root / "targets" / "lab"));
    }

    void addEditCloneDisableDelete_byClicks() {
        WindowRig rig(WindowRig::Fill::Nothing);
        auto* page = rig.go<ui::TargetsPage>(QStringLiteral("targets"));
        QVERIFY(add(rig, page, QStringLiteral("lab"), QStringLiteral("nobody@127.0.0.1")));
        QVERIFY(std::filesystem::exists(rig.layout().root / "targets" / "lab" / "1.json"));
        auto* tree = page->findChild<QTreeWidget*>(QStringLiteral("targetsTree"));
        QVERIFY(waitFor([&] { return tree->topLevelItemCount() == 2; }, 5000));
        rig.picture(QStringLiteral("targets-ssh"));
        QVERIFY(
            waitFor([&] { return rig.visible<QLabel>(QStringLiteral("targetTitleLabel"))->text() == u"lab"; }, 5000));
        // Edit: the next version, under the same name.
        rig.action(QStringLiteral("editTargetAction"))->trigger();
        QVERIFY(
            waitFor([&] { return rig.visible<QPlainTextEdit>(QStringLiteral("descriptionInput")) != nullptr; }, 5000));
        auto* description = rig.visible<QPlainTextEdit>(QStringLiteral("descriptionInput"));
        QVERIFY(!rig.visible<QLineEdit>(QStringLiteral("nameInput"))->isEnabled());
        QTest::keyClicks(description, QStringLiteral("two hosts in the cellar"));
        page->primaryAction()->trigger();
        QVERIFY(
            waitFor([&] { return std::filesystem::exists(rig.layout().root / "targets" / "lab" / "2.json"); }, 5000));
        QVERIFY(waitFor(
            [&] { return rig.action(QStringLiteral("cloneTargetAction")) && page->contextActions().size() == 4; },
            5000));
        rig.questions().setNextAnswer(QStringLiteral("lab-b"));
        rig.action(QStringLiteral("cloneTargetAction"))->trigger();
        QVERIFY(waitFor([&] { return tree->topLevelItemCount() == 3; }, 5000));
        QVERIFY(waitFor([&] { return page->address().parts == QStringList{QStringLiteral("lab-b")}; }, 5000));
        QVERIFY(waitFor([&] { return page->contextActions().size() == 4; }, 5000));
        QTest::qWait(300);
        rig.action(QStringLiteral("disableTargetAction"))->trigger();
        QVERIFY(waitFor([&] { return rig.action(QStringLiteral("disableTargetAction"))->text() == u"Enable"; }, 5000));
        rig.questions().setNextAnswer(QStringLiteral("delete"));
        rig.action(QStringLiteral("deleteTargetAction"))->trigger();
        QVERIFY(waitFor([&] { return !std::filesystem::exists(rig.layout().root / "targets" / "lab-b"); }, 5000));
        QVERIFY(waitFor([&] { return tree->topLevelItemCount() == 2; }, 5000));
        QCOMPARE(rig.questions().asked().last(), QStringLiteral("target.delete"));
    }

    void unfinishedForm_survivesAStart() {
        WindowRig rig(WindowRig::Fill::Nothing);
        auto* page = rig.go<ui::TargetsPage>(QStringLiteral("targets?q=new"));
        QVERIFY(shown(rig, "nameInput"));
        type(rig.visible<QLineEdit>(QStringLiteral("nameInput")), QStringLiteral("half"));
        QVERIFY(rig.window().flushState());
        QTest::qWait(1200);
        QVERIFY(rig.window().flushState());
        rig.open();
        page = rig.go<ui::TargetsPage>(QStringLiteral("targets"));
        QVERIFY(page);
        QVERIFY(shown(rig, "nameInput"));
        auto* line = rig.visible<QLineEdit>(QStringLiteral("nameInput"));
        QCOMPARE(line->text(), QStringLiteral("half"));
    }

    void hostThatIsNotThere_saysSoAndOffersToTryAgain() {
        WindowRig rig(WindowRig::Fill::Nothing);
        auto* page = rig.go<ui::TargetsPage>(QStringLiteral("targets"));
        // Port 1 of this machine answers nobody.
        QVERIFY(add(rig, page, QStringLiteral("gone"), QStringLiteral("127.0.0.1")));
        QVERIFY(
            waitFor([&] { return rig.visible<QLabel>(QStringLiteral("targetTitleLabel"))->text() == u"gone"; }, 5000));
        rig.action(QStringLiteral("editTargetAction"))->trigger();
        QVERIFY(shown(rig, "hostInput1"));
        const QList<QLineEdit*> lines = page->findChildren<QLineEdit*>();
        QLineEdit* portLine = nullptr;
        for (QLineEdit* one : lines) {
            if (one->isVisible() && one->placeholderText() == u"port") portLine = one;
        }
        QVERIFY(portLine);
        type(portLine, QStringLiteral("1"));
        page->primaryAction()->trigger();
        QVERIFY(waitFor([&] { return page->primaryAction()->objectName() == u"addTargetAction"; }, 5000));
        auto* reach = page->findChild<ui::InlineError*>(QStringLiteral("targetReach"));
        QVERIFY(waitFor([&] { return reach->isVisible(); }, 5000));
        const auto button = [&]() -> QPushButton* {
            const auto all = reach->findChildren<QPushButton*>();
            for (QPushButton* one : all) {
                if (one->isVisible()) return one;
            }
            return nullptr;
        };
        QVERIFY(waitFor([&] { return button() != nullptr; }, 5000));
        button()->click();
        QVERIFY(waitFor([&] { return button() && button()->text() == u"Try now"; }, 90000));
        rig.picture(QStringLiteral("targets-unreachable"));
    }

    void run_isJudgedByWhatTheDoctorFound() {
        const Json run{{"task", {{"kind", "train"}, {"device", "cuda"}}},
                       {"distribution", {{"nodes", 2}, {"processes", 4}, {"gpus", 0}}}};
        const Json target{
            {"nodes", 1},
            {"disabled", false},
            {"doctor",
             {{"t", 1},
              {"lines", Json::array({Json{{"id", "gpus"}, {"finding", "ok"}, {"values", {{"gpus", 2}}}},
                                     Json{{"id", "cores"}, {"finding", "unknown"}, {"values", {{"cores", 1}}}}})}}}};
        const QStringList wrong = ui::misfits(run, target);
        QCOMPARE(wrong.size(), 2);
        QCOMPARE(wrong[0], QStringLiteral("This target has 1 machine, you ask for 2."));
        QCOMPARE(wrong[1], QStringLiteral("This target has 2 GPUs on a machine, you ask for 4."));
        // Nothing is said of what no probe could tell.
        QVERIFY(ui::misfits(run, Json{{"nodes", 2}, {"doctor", Json()}}).isEmpty());
    }

    void newRun_offersTargets() {
        WindowRig rig(WindowRig::Fill::Nothing);
        auto* targets = rig.go<ui::TargetsPage>(QStringLiteral("targets"));
        QVERIFY(add(rig, targets, QStringLiteral("lab"), QStringLiteral("127.0.0.1")));
        auto* page = rig.go<ui::NewRunPage>(QStringLiteral("new"));
        auto* combo = page->findChild<QComboBox*>(QStringLiteral("targetInput"));
        QVERIFY(waitFor([&] { return combo->count() == 2; }, 5000));
        const int lab = combo->findData(QStringLiteral("lab"));
        combo->setCurrentIndex(lab);
        Q_EMIT combo->activated(lab);
        QCOMPARE(page->document().value(QStringLiteral("target")), Json("lab"));
        page->document().setValue(QStringLiteral("distribution.nodes"), 3);
        auto* advice = page->findChild<ui::InlineError*>(QStringLiteral("targetAdvice"));
        QVERIFY(waitFor([&] { return advice->text().contains(QStringLiteral("you ask for 3")); }, 5000));
        rig.picture(QStringLiteral("new-run-target"));
    }
};

TRAINYARD_GUI_TEST(TargetsPageTest)
#include "tst_TargetsPage.moc"
