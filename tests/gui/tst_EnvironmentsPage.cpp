#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QScrollArea>
#include <QTableWidget>
#include <QTreeWidget>
#include <filesystem>
#include <fstream>

#include "core/spec/EnvironmentSpec.h"
#include "tests/gui/WindowRig.h"
#include "ui/environments/EnvironmentForm.h"
#include "ui/environments/EnvironmentPanels.h"
#include "ui/environments/EnvironmentsPage.h"
#include "ui/environments/NewEnvironmentPanel.h"
#include "ui/forms/FormDocument.h"
#include "ui/widgets/Basics.h"

using namespace trainyard;
using base::Json;
using test::waitFor;
using test::WindowRig;

class EnvironmentsPageTest : public QObject {
    Q_OBJECT

private:
    static QAction* shownAction(ui::Page* page, const char* name) {
        for (QAction* action : page->contextActions() + QList<QAction*>{page->primaryAction()}) {
            if (action != nullptr && action->objectName() == QLatin1String(name)) return action;
        }
        return nullptr;
    }
    static bool stands(ui::Page* page, const QString& title) {
        auto* label = page->findChild<QLabel*>(QStringLiteral("environmentTitleLabel"));
        return waitFor([&] { return label->isVisible() && label->text() == title; }, 10000);
    }
    static bool says(QWidget* part, const QString& text) {
        return waitFor(
            [&] {
                const QList<QLabel*> labels = part->findChildren<QLabel*>();
                return std::any_of(labels.begin(), labels.end(), [&](const QLabel* label) {
                    return label->isVisible() && label->text().contains(text);
                });
            },
            10000);
    }
    static QStringList names(ui::Page* page) {
        QStringList found;
        auto* tree = page->findChild<QTreeWidget*>(QStringLiteral("environmentsTree"));
        for (int group = 0; group < tree->topLevelItemCount(); ++group) {
            for (int row = 0; row < tree->topLevelItem(group)->childCount(); ++row)
                found << tree->topLevelItem(group)->child(row)->text(0);
        }
        return found;
    }

private Q_SLOTS:
    void curatedOnes_areShownWholeAndReadOnly() {
        WindowRig rig(WindowRig::Fill::Nothing);
        auto* page = rig.go<ui::EnvironmentsPage>(QStringLiteral("environments/trainyard-python-torch"));
        QVERIFY(page);
        QVERIFY(stands(page, QStringLiteral("trainyard-python-torch")));
        QVERIFY(waitFor([&] { return names(page).contains(QStringLiteral("trainyard-shell")); }, 10000));
        QVERIFY(!shownAction(page, "editEnvironmentAction") && !shownAction(page, "deleteEnvironmentAction"));
        QVERIFY(shownAction(page, "cloneEnvironmentAction") && shownAction(page, "saveToFolderAction"));
        // Exactly what is in it: its modules, and the file that is its definition, to the letter.
        QVERIFY(says(page->findChild<ui::ContentPanel*>(), QStringLiteral("torch")));
        const QList<ui::CopyField*> files = page->findChild<ui::ContentPanel*>()->findChildren<ui::CopyField*>();
        QVERIFY(std::any_of(files.begin(), files.end(), [](const ui::CopyField* one) {
            const auto document = base::parseJson(one->text().toStdString());
            return document.ok() && document->value("name", std::string()) == "trainyard-python-torch";
        }));
        QVERIFY(page->findChild<QLabel*>(QStringLiteral("neverRealisedLabel"))->isVisible());
        // What it needs is judged by itself, on this machine first.
        QVERIFY(waitFor(
            [&] {
                return !page->findChild<ui::CheckPanel*>()
                            ->findChild<ui::EnvironmentFindings*>()
                            ->findChildren<QLabel*>()
                            .isEmpty();
            },
            10000));
        rig.picture(QStringLiteral("environments-curated"));
    }

    void saveToFolder_writesTheDefinitionAndAsksBeforeReplacing() {
        WindowRig rig(WindowRig::Fill::Nothing);
        auto* page = rig.go<ui::EnvironmentsPage>(QStringLiteral("environments/trainyard-shell"));
        QVERIFY(page && stands(page, QStringLiteral("trainyard-shell")));
        const auto folder = rig.scratch() / "säved here";
        rig.questions().setNextAnswer(QString::fromStdString(folder.string()));
        shownAction(page, "saveToFolderAction")->trigger();
        QVERIFY(waitFor([&] { return std::filesystem::exists(folder) && !std::filesystem::is_empty(folder); }, 10000));
        std::filesystem::path written;
        for (const auto& entry : std::filesystem::directory_iterator(folder)) {
            if (entry.path().extension() == ".json") written = entry.path();
        }
        QVERIFY(!written.empty());
        std::ofstream(written) << "mine";
        // Not replaced without being asked, replaced when told so.
        rig.questions().setNextAnswer(QString::fromStdString(folder.string()));
        rig.questions().setNextAnswer(QString());
        shownAction(page, "saveToFolderAction")->trigger();
        QVERIFY(
            waitFor([&] { return rig.questions().asked().contains(QStringLiteral("environment.overwrite")); }, 10000));
        QCOMPARE(base::readFile(written).value(), std::string("mine"));
        rig.questions().setNextAnswer(QString::fromStdString(folder.string()));
        rig.questions().setNextAnswer(QStringLiteral("replace"));
        shownAction(page, "saveToFolderAction")->trigger();
        QVERIFY(waitFor([&] { return base::readFile(written).value() != "mine"; }, 10000));
    }

    void cloneEditCompare_makesVersionsAndTellsThemApart() {
        WindowRig rig(WindowRig::Fill::Nothing);
        auto* page = rig.go<ui::EnvironmentsPage>(QStringLiteral("environments/trainyard-python-torch"));
        QVERIFY(page && stands(page, QStringLiteral("trainyard-python-torch")));
        rig.questions().setNextAnswer(QStringLiteral("mine"));
        shownAction(page, "cloneEnvironmentAction")->trigger();
        QVERIFY(stands(page, QStringLiteral("mine")));
        QVERIFY(waitFor([&] { return shownAction(page, "editEnvironmentAction") != nullptr; }, 10000));
        QVERIFY(!page->findChild<QComboBox*>(QStringLiteral("versionBox"))->isVisible());

        shownAction(page, "editEnvironmentAction")->trigger();
        auto* form = page->findChild<ui::EnvironmentForm*>();
        auto* document = form->findChild<ui::FormDocument*>();
        QVERIFY(waitFor([&] { return form->isVisible(); }, 5000));
        document->setValue(QStringLiteral("interpreter.needs"), Json::array({"torch", "numpy"}));
        page->primaryAction()->trigger();
        QVERIFY(stands(page, QStringLiteral("mine")));
        auto* versions = page->findChild<QComboBox*>(QStringLiteral("versionBox"));
        QVERIFY(waitFor([&] { return versions->isVisible() && versions->count() == 2; }, 10000));
        QVERIFY(std::filesystem::exists(rig.layout().environmentVersion("mine", 2)));
        // Compared with the version before at once.
        auto* table = page->findChild<QTableWidget*>(QStringLiteral("diffTable"));
        QVERIFY(waitFor([&] { return table->rowCount() == 1; }, 10000));
        QVERIFY2(table->item(0, 2)->text().contains(u"numpy") && !table->item(0, 1)->text().contains(u"numpy"),
                 qPrintable(table->item(0, 1)->text()));

        // The old version is still there to look at, under an address of its own.
        QVERIFY(rig.go<ui::EnvironmentsPage>(QStringLiteral("environments/mine/1")));
        QVERIFY(says(page, QStringLiteral("version 1 of 2")));
        QCOMPARE(page->address().parts, (QStringList{QStringLiteral("mine"), QStringLiteral("1")}));
        rig.picture(QStringLiteral("environments-versions"));

        rig.questions().setNextAnswer(QStringLiteral("delete"));
        shownAction(page, "deleteEnvironmentAction")->trigger();
        QVERIFY(waitFor([&] { return !names(page).contains(QStringLiteral("mine")); }, 10000));
        QVERIFY(rig.questions().asked().contains(QStringLiteral("environment.delete")));
    }

    void newFromForm_tellsWhatIsWrongAndWhatItWouldBuild() {
        WindowRig rig(WindowRig::Fill::Nothing);
        auto* page = rig.go<ui::EnvironmentsPage>(QStringLiteral("environments?q=new"));
        QVERIFY(page);
        auto* choices = page->findChild<ui::NewEnvironmentPanel*>();
        QVERIFY(waitFor([&] { return choices->isVisible(); }, 5000));
        auto* card = choices->findChild<ui::Card*>(QStringLiteral("newVenvCard"));
        card->setFocus();
        QTest::keyClick(card, Qt::Key_Return);
        auto* form = page->findChild<ui::EnvironmentForm*>();
        QVERIFY(waitFor([&] { return form->isVisible(); }, 5000));
        page->primaryAction()->trigger();
        auto* error = form->findChild<ui::InlineError*>(QStringLiteral("environmentFormError"));
        QVERIFY(!error->isClear());  // It has no name yet.
        auto* document = form->findChild<ui::FormDocument*>();
        document->setValue(QStringLiteral("name"), "With Capitals");
        page->primaryAction()->trigger();
        QVERIFY(!error->isClear());
        document->setValue(QStringLiteral("name"), "typed-by-hand");
        document->setValue(QStringLiteral("venv.requirements"), Json::array({"numpy>=1.24"}));
        // The steps of the build stand there before anything is kept.
        QVERIFY(says(form->findChild<ui::EnvironmentFindings*>(), QStringLiteral("1. ")));
        QVERIFY(!std::filesystem::exists(rig.layout().environments() / "typed-by-hand"));
        rig.picture(QStringLiteral("environments-form"));
        page->primaryAction()->trigger();
        QVERIFY(stands(page, QStringLiteral("typed-by-hand")));
        QVERIFY(std::filesystem::exists(rig.layout().environmentVersion("typed-by-hand", 1)));
        // A name that is taken is said at its field.
        QVERIFY(rig.go<ui::EnvironmentsPage>(QStringLiteral("environments?q=new=venv")));
        document->setValue(QStringLiteral("name"), "typed-by-hand");
        page->primaryAction()->trigger();
        QVERIFY(waitFor([&] { return !error->isClear() && error->text().contains(u"already"); }, 10000));
        QVERIFY(!document->errorText(QStringLiteral("name")).isEmpty());
        // What was typed survives a restart of the window.
        QVERIFY(waitFor([&] { return rig.window().flushState(); }, 5000));
        rig.open();
        page = rig.go<ui::EnvironmentsPage>(QStringLiteral("environments"));
        QVERIFY(page);
        QVERIFY(waitFor([&] { return page->findChild<ui::EnvironmentForm*>()->isVisible(); }, 5000));
        QCOMPARE(page->findChild<ui::EnvironmentForm*>()->document().value("name", std::string()),
                 std::string("typed-by-hand"));
    }

    void newFromFiles_readsThemOrSaysTheLine() {
        WindowRig rig(WindowRig::Fill::Nothing);
        const auto folder = rig.scratch() / "project";
        std::filesystem::create_directories(folder);
        std::ofstream(folder / "environment.yml") << "name: from-conda\nchannels:\n  - conda-forge\ndependencies:\n  - "
                                                     "python=3.11\n  - pip\n  - pip:\n      - einops==0.8.0\n";
        std::ofstream(folder / "requirements.txt") << "numpy>=1.24\n# a comment\nscipy\n";
        std::ofstream(folder / "Containerfile") << "FROM debian:12\nRUN apt-get update\n";
        std::ofstream(folder / "broken.yml") << "name: x\ndependencies: [python\n";
        auto* page = rig.go<ui::EnvironmentsPage>(QStringLiteral("environments?q=new"));
        QVERIFY(page);
        auto* choices = page->findChild<ui::NewEnvironmentPanel*>();
        auto* form = page->findChild<ui::EnvironmentForm*>();
        const auto choose = [&](const char* file) {
            QVERIFY(rig.go<ui::EnvironmentsPage>(QStringLiteral("environments?q=new")));
            rig.questions().setNextAnswer(QString::fromStdString((folder / file).string()));
            auto* card = choices->findChild<ui::Card*>(QStringLiteral("importFileCard"));
            card->setFocus();
            QTest::keyClick(card, Qt::Key_Return);
        };
        choose("broken.yml");
        auto* error = choices->findChild<ui::InlineError*>(QStringLiteral("importError"));
        QVERIFY(waitFor([&] { return !error->isClear(); }, 10000));
        QVERIFY2(error->text().contains(u"broken.yml"), qPrintable(error->text()));

        const auto read = [&](const char* kind) {
            return waitFor([&] { return form->isVisible() && form->document().value("kind", std::string()) == kind; },
                           10000);
        };
        choose("environment.yml");
        QVERIFY(read("conda"));
        QCOMPARE(form->document().at("name").get<std::string>(), std::string("from-conda"));
        QCOMPARE(form->document().at("conda").at("pip").size(), std::size_t(1));
        choose("Containerfile");
        QVERIFY(read("container"));
        choose("requirements.txt");
        QVERIFY(read("venv"));
        QCOMPARE(form->document().at("venv").at("requirements"), Json::array({"numpy>=1.24", "scipy"}));
        QVERIFY(!form->findChild<ui::InlineError*>(QStringLiteral("environmentFormNotes"))->isClear());
        page->primaryAction()->trigger();
        QVERIFY(stands(page, QStringLiteral("project")));
    }

    void cacheOfThisMachine_isListed() {
        WindowRig rig(WindowRig::Fill::Nothing);
        auto* page = rig.go<ui::EnvironmentsPage>(QStringLiteral("environments/trainyard-shell"));
        QVERIFY(page && stands(page, QStringLiteral("trainyard-shell")));
        auto* list = rig.visible<QPushButton>(QStringLiteral("builtListButton"));
        QVERIFY(list);
        list->click();
        QVERIFY(!list->isEnabled());
        QVERIFY(waitFor([&] { return list->isEnabled(); }, 30000));
        auto* sum = page->findChild<QLabel*>(QStringLiteral("builtSumLabel"));
        QCOMPARE(sum->text(), QStringLiteral("Nothing is kept there."));
        QVERIFY(!page->findChild<QPushButton*>(QStringLiteral("builtClearButton"))->isVisible());
    }

    void newFromAnImageName_takesIt() {
        WindowRig rig(WindowRig::Fill::Nothing);
        auto* page = rig.go<ui::EnvironmentsPage>(QStringLiteral("environments?q=new"));
        QVERIFY(page);
        auto* choices = page->findChild<ui::NewEnvironmentPanel*>();
        auto* form = page->findChild<ui::EnvironmentForm*>();
        const auto type = [&](const QString& image) {
            QVERIFY(rig.go<ui::EnvironmentsPage>(QStringLiteral("environments?q=new")));
            rig.questions().setNextAnswer(image);
            auto* card = choices->findChild<ui::Card*>(QStringLiteral("importImageCard"));
            card->setFocus();
            QTest::keyClick(card, Qt::Key_Return);
        };
        type(QStringLiteral("two words; rm -rf"));
        auto* error = choices->findChild<ui::InlineError*>(QStringLiteral("importError"));
        QVERIFY(waitFor([&] { return !error->isClear(); }, 10000));
        rig.picture(QStringLiteral("environments-wrong-image"));
        type(QStringLiteral("registry.example:5000/team/torch:2.6-cuda12"));
        QVERIFY(waitFor([&] { return form->isVisible(); }, 10000));
        QCOMPARE(form->document().at("kind").get<std::string>(), std::string("container"));
        QCOMPARE(form->document().at("container").at("image").get<std::string>(),
                 std::string("registry.example:5000/team/torch:2.6-cuda12"));
        QCOMPARE(form->document().at("name").get<std::string>(), std::string("torch"));
        rig.picture(QStringLiteral("environments-image-form"));
        page->primaryAction()->trigger();
        QVERIFY(stands(page, QStringLiteral("torch")));
        QVERIFY(std::filesystem::exists(rig.layout().environmentVersion("torch", 1)));
    }

    /// A real run builds it; then the page has where and when, and the cache with its size, which Clear empties.
    void realisedAndBuilt_areShownAndCleared() {
        WindowRig rig(WindowRig::Fill::Nothing);
        const Json tools{{"format", "trainyard.environment"},
                         {"version", 1},
                         {"name", "tools"},
                         {"kind", "setup"},
                         {"setup", {{"script", "head -c 3000000 /dev/zero > filler\n"}}}};
        bool created = false;
        rig.session().start("environment.create", {{"spec", tools}}, &rig.window(),
                            [&](const base::Result<Json>& done) { created = done.ok(); });
        QVERIFY(waitFor([&] { return created; }, 10000));
        auto* page = rig.go<ui::EnvironmentsPage>(QStringLiteral("environments/tools"));
        QVERIFY(page && stands(page, QStringLiteral("tools")));
        auto* never = page->findChild<QLabel*>(QStringLiteral("neverRealisedLabel"));
        QVERIFY(waitFor([&] { return never->isVisible(); }, 10000));

        const Json run{{"format", "trainyard.run-spec"},
                       {"version", 1},
                       {"experiment", "pictures"},
                       {"task", {{"kind", "command"}, {"command", {"sh", "-c", "ls"}}}},
                       {"environment", "tools"}};
        QString failed, state;
        rig.session().start("run.submit", {{"spec", run}}, &rig.window(), [&](const base::Result<Json>& done) {
            if (!done) failed = QString::fromStdString(done.error().message);
        });
        connect(&rig.session(), &commands::Session::runEnded, &rig.window(),
                [&](const base::RunId&, spec::RunState how, const QString& why) {
                    state = how == spec::RunState::Completed ? QStringLiteral("completed") : why;
                });
        QVERIFY(waitFor([&] { return !state.isEmpty() || !failed.isEmpty(); }, 120000));
        QVERIFY2(state == u"completed", qPrintable(state + failed));

        // The open page says so by itself.
        auto* realised = page->findChild<QTableWidget*>(QStringLiteral("realisedTable"));
        auto* tree = page->findChild<QTreeWidget*>(QStringLiteral("environmentsTree"));
        const auto lastRun = [tree] { return tree->topLevelItem(0)->child(0)->text(2); };
        QVERIFY2(waitFor([&] { return lastRun() != u"never"; }, 10000), qPrintable(lastRun()));
        QVERIFY(waitFor([&] { return realised->rowCount() == 1 && !never->isVisible(); }, 10000));
        QVERIFY(rig.go<ui::Page>(QStringLiteral("runs")));
        QVERIFY(rig.go<ui::EnvironmentsPage>(QStringLiteral("environments/tools/1")));
        QVERIFY(waitFor([&] { return realised->rowCount() == 1 && realised->isVisible(); }, 20000));
        QVERIFY(!never->isVisible());
        QVERIFY2(realised->item(0, 1)->text().startsWith(QStringLiteral("This machine")),
                 qPrintable(realised->item(0, 1)->text()));
        QCOMPARE(realised->item(0, 2)->text(), QStringLiteral("1"));
        // In words, not as a date that is cut.
        QVERIFY2(realised->item(0, 0)->text().contains(u"ago") || realised->item(0, 0)->text().contains(u"now"),
                 qPrintable(realised->item(0, 0)->text()));
        rig.picture(QStringLiteral("environments-realised"));

        auto* list = page->findChild<QPushButton*>(QStringLiteral("builtListButton"));
        auto* clear = page->findChild<QPushButton*>(QStringLiteral("builtClearButton"));
        auto* table = page->findChild<QTableWidget*>(QStringLiteral("builtTable"));
        auto* sum = page->findChild<QLabel*>(QStringLiteral("builtSumLabel"));
        QTest::mouseClick(list, Qt::LeftButton);
        QVERIFY(waitFor([&] { return table->rowCount() == 1; }, 30000));
        QCOMPARE(table->item(0, 0)->text(), QStringLiteral("tools:1"));
        QVERIFY2(table->item(0, 1)->text().contains(u"MiB") || table->item(0, 1)->text().contains(u"MB"),
                 qPrintable(table->item(0, 1)->text()));
        QVERIFY(!table->item(0, 2)->text().isEmpty() && clear->isVisible());
        for (QWidget* at = table->parentWidget(); at != nullptr; at = at->parentWidget()) {
            if (auto* area = qobject_cast<QScrollArea*>(at)) area->ensureWidgetVisible(table);
        }
        rig.picture(QStringLiteral("environments-built"));
        // Not without an answer.
        rig.questions().setNextAnswer(QString());
        QTest::mouseClick(clear, Qt::LeftButton);
        QVERIFY(waitFor([&] { return rig.questions().asked().contains(QStringLiteral("environment.clear")); }, 5000));
        QVERIFY2(rig.questions().texts().last().contains(u"M"), qPrintable(rig.questions().texts().last()));
        QCOMPARE(table->rowCount(), 1);
        rig.questions().setNextAnswer(QStringLiteral("clear"));
        QTest::mouseClick(clear, Qt::LeftButton);
        QVERIFY(waitFor([&] { return sum->text() == u"Nothing is kept there."; }, 30000));
        QVERIFY(!clear->isVisible() && !table->isVisible());

        // A kept run used it: that is said before it is deleted, and the run keeps what it had.
        rig.questions().setNextAnswer(QStringLiteral("delete"));
        shownAction(page, "deleteEnvironmentAction")->trigger();
        QVERIFY(waitFor([&] { return !names(page).contains(QStringLiteral("tools")); }, 10000));
        QVERIFY2(rig.questions().texts().last().contains(u"1 kept run used it"),
                 qPrintable(rig.questions().texts().last()));
    }

    void nameThatIsNotThere_isSaid() {
        WindowRig rig(WindowRig::Fill::Nothing);
        auto* page = rig.go<ui::EnvironmentsPage>(QStringLiteral("environments/nobody-made-this"));
        QVERIFY(page);
        QVERIFY(says(page, QStringLiteral("nobody-made-this")));
    }
};

TRAINYARD_GUI_TEST(EnvironmentsPageTest)
#include "tst_EnvironmentsPage.moc"
