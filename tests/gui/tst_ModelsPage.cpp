#include <QLineEdit>
#include <QPushButton>
#include <QScrollArea>
#include <QTabWidget>
#include <QTableWidget>
#include <QTreeWidget>

#include "core/base/Clock.h"
#include "core/commands/ShowcaseFurniture.h"
#include "core/registry/Registry.h"
#include "core/store/Writer.h"
#include "tests/gui/WindowRig.h"
#include "ui/models/ModelFormat.h"
#include "ui/models/ModelPanels.h"
#include "ui/models/ModelsPage.h"
#include "ui/runs/RunsPage.h"
#include "ui/tryit/TryItPage.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"

using namespace trainyard;
using base::Json;
using test::waitFor;
using test::WindowRig;

class ModelsPageTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void empty_offersTheFirstStep() {
        WindowRig rig(WindowRig::Fill::Nothing);
        auto* page = rig.go<ui::ModelsPage>(QStringLiteral("models"));
        QVERIFY(page);
        auto* empty = page->findChild<ui::EmptyState*>();
        QVERIFY(empty);
        QVERIFY(waitFor([&] { return rig.visible<QTreeWidget>(QStringLiteral("modelsTree")) == nullptr; }, 5000));
    }

    void register_isFilledInFromItsRun() {
        WindowRig rig(WindowRig::Fill::Showcase, 2);
        const QString id = QString::fromStdString(rig.showcase().runs.front().str());
        auto* page = rig.go<ui::ModelsPage>(QStringLiteral("models?q=register=") + id);
        QVERIFY(page);
        QCOMPARE(page->primaryAction()->objectName(), QStringLiteral("registerModelAction"));
        auto* name = page->findChild<QLineEdit*>(QStringLiteral("nameInput"));
        QVERIFY(name);
        QVERIFY(waitFor([&] { return name->text() == QStringLiteral("fashion-mnist"); }, 5000));
        // A name that cannot be one is refused in place.
        name->clear();
        QTest::keyClicks(name, QStringLiteral("no/such:name"));
        page->primaryAction()->trigger();
        auto* error = page->findChild<ui::InlineError*>(QStringLiteral("model.registerError"));
        QVERIFY(waitFor([&] { return error->isVisible(); }, 10000));
    }

    void whatIsNoGraph_offersNoExport() {
        WindowRig rig(WindowRig::Fill::Nothing);
        // Any file can be a model; this one is no graph, so there is nothing to convert.
        const auto file = rig.scratch() / "notes.txt";
        QVERIFY(base::writeFileAtomically(file, "weights that somebody wrote down by hand").ok());
        registry::NewVersion version;
        version.name = "by-hand";
        version.files = {{file, "notes.txt", {}}};
        const auto added = registry::Registry(rig.layout()).add(version);
        QVERIFY2(added.ok(), added.ok() ? "" : added.error().message.c_str());
        bool indexed = false;
        rig.session().write(
            this, [](store::Writer& index) { return index.applyModel("by-hand", 1); },
            [&](const base::Status& done) { indexed = done.ok(); });
        QVERIFY(waitFor([&] { return indexed; }, 10000));
        auto* page = rig.go<ui::ModelsPage>(QStringLiteral("models/by-hand/1"));
        QVERIFY(page);
        auto* reason = page->findChild<ui::InlineError*>(QStringLiteral("notExportable"));
        QVERIFY(waitFor([&] { return !reason->isClear(); }, 10000));
        QVERIFY(!reason->text().isEmpty());
        QVERIFY(rig.visible<QPushButton>(QStringLiteral("model.exportButton")) == nullptr);
        // Its file is told by kind, and can be had alone.
        auto* files = rig.visible<QTableWidget>(QStringLiteral("modelFilesTable"));
        QVERIFY(files && files->rowCount() == 1);
        QVERIFY(!files->item(0, 2)->text().isEmpty());
        auto* copy = rig.visible<QPushButton>(QStringLiteral("copyFilesButton"));
        QVERIFY(copy && !copy->isEnabled());
        files->selectRow(0);
        QVERIFY(copy->isEnabled());
        const auto folder = rig.scratch() / "copied";
        rig.questions().setNextAnswer(QString::fromStdString(folder.string()));
        copy->click();
        QVERIFY(waitFor([&] { return base::readFile(folder / "notes.txt").ok(); }, 10000));
        QCOMPARE(base::readFile(folder / "notes.txt").value(), base::readFile(file).value());
    }

    void evaluations_standWithTheirVersion() {
        WindowRig rig(WindowRig::Fill::Showcase);
        const auto made = commands::addShowcaseModels(rig.layout(), rig.showcase().runs, base::wallMicros());
        QVERIFY2(made.ok(), made.ok() ? "" : made.error().message.c_str());
        int indexed = 0;
        for (const int version : {1, 3}) {
            rig.session().write(
                this, [version](store::Writer& index) { return index.applyModel("fashion-cnn", version); },
                [&](const base::Status& done) { indexed += done.ok() ? 1 : 0; });
        }
        QVERIFY(waitFor([&] { return indexed == 2; }, 10000));
        auto* page = rig.go<ui::ModelsPage>(QStringLiteral("models/fashion-cnn/3"));
        QVERIFY(page);
        auto* table = page->findChild<QTableWidget*>(QStringLiteral("modelEvaluations"));
        auto* classes = page->findChild<QTableWidget*>(QStringLiteral("modelEvaluationClasses"));
        auto* told = page->findChild<QLabel*>(QStringLiteral("modelEvaluationLabel"));
        QVERIFY(table && classes && told);
        QVERIFY(waitFor([&] { return table->isVisible() && table->rowCount() == 2; }, 10000));
        // The newest first: a folder that was given away by its path, then the data that the model knows.
        QStringList row;
        for (int column = 0; column < table->columnCount(); ++column) row << table->item(1, column)->text();
        QCOMPARE(row.mid(0, 5),
                 (QStringList{QStringLiteral("Own data, held back"), ui::formatPercent(0.919), ui::formatPercent(0.997),
                              QStringLiteral("0.2358"), ui::formatCount(10'000)}));
        QVERIFY(!row[5].isEmpty());
        QCOMPARE(table->item(0, 0)->text(), QStringLiteral("photographs-of-the-shop, all of it"));
        QCOMPARE(table->item(0, 0)->toolTip(), QStringLiteral("/data/photographs-of-the-shop"));
        QVERIFY(!classes->isVisible());
        rig.picture(QStringLiteral("models-evaluations-light"));

        // One that is clicked tells how it does on each class.
        page->findChild<QScrollArea*>()->ensureWidgetVisible(table);
        QTest::mouseClick(table->viewport(), Qt::LeftButton, {}, table->visualItemRect(table->item(1, 0)).center());
        QVERIFY(classes->isVisible());
        QCOMPARE(classes->rowCount(), 10);
        QCOMPARE(classes->item(9, 0)->text(), QStringLiteral("Ankle boot"));
        QCOMPARE(classes->item(9, 1)->text(), ui::formatExact(1000));
        QVERIFY2(told->text().startsWith(ui::formatExact(10'000) + u' ') && told->text().contains(u"on cpu, in "),
                 qPrintable(told->text()));
        page->findChild<QScrollArea*>()->ensureWidgetVisible(classes);
        rig.picture(QStringLiteral("models-evaluation-chosen-light"));

        // A version without any says so; its button leads to where it is evaluated.
        QVERIFY(rig.go<ui::ModelsPage>(QStringLiteral("models/fashion-cnn/1")) == page);
        auto* evaluate = page->findChild<QPushButton*>(QStringLiteral("modelEvaluateButton"));
        QVERIFY(evaluate && waitFor([&] { return table->rowCount() == 0 && evaluate->isVisible(); }, 10000));
        QVERIFY(!table->isVisible() && !classes->isVisible());
        page->findChild<QScrollArea*>()->ensureWidgetVisible(evaluate);
        QTest::mouseClick(evaluate, Qt::LeftButton);
        auto* trying = qobject_cast<ui::TryItPage*>(rig.window().page());
        QVERIFY(trying);
        QCOMPARE(trying->address().parts, QStringList{QStringLiteral("fashion-cnn:1")});
        QCOMPARE(trying->findChild<QTabWidget*>(QStringLiteral("tryTabs"))->currentIndex(), 1);
    }

    void proof_isTold() {
        const Json proof{{"passed", true},
                         {"checker", {{"name", "libonnx"}, {"version", "1.12.0"}, {"passed", true}}},
                         {"runtime", {{"name", "ONNX Runtime"}, {"version", "1.20.1"}, {"through", "Node.js"}}},
                         {"max_abs_diff", 3.1e-7},
                         {"cases", Json::array({Json{{"input", "zeros"},
                                                     {"batch", 1},
                                                     {"max_abs_diff", 3.1e-7},
                                                     {"allowed", 1e-4},
                                                     {"argmax_equal", true}},
                                                Json{{"input", "real"},
                                                     {"batch", 7},
                                                     {"max_abs_diff", "NaN"},
                                                     {"allowed", 1e-4},
                                                     {"argmax_equal", false}},
                                                Json{{"input", "real"}, {"batch", 9}, {"error", "wrong batch"}}})}};
        const ui::ProofFacts facts = ui::proofFacts(proof);
        QVERIFY(facts.passed);
        QVERIFY(facts.runtime.startsWith(QStringLiteral("ONNX Runtime 1.20.1")));
        QVERIFY(facts.checker.contains(QStringLiteral("libonnx 1.12.0")));
        QVERIFY(facts.verdict.contains(QStringLiteral("3.1e-07")));
        const auto cases = ui::proofCases(proof);
        QCOMPARE(cases.size(), 3U);
        QVERIFY(cases[0].well);
        QVERIFY(!cases[1].well);
        QCOMPARE(cases[2].difference, QStringLiteral("wrong batch"));
        QVERIFY(!ui::proofFacts(Json{{"passed", false}, {"reasons", Json::array({"one weight differs"})}}).passed);
    }

    void shapes_areWritten() {
        QCOMPARE(ui::shapeText(Json::array({1, 28, 28})), QStringLiteral("1×28×28"));
        QCOMPARE(ui::shapeText(Json()), QString());
    }
};

TRAINYARD_GUI_TEST(ModelsPageTest)
#include "tst_ModelsPage.moc"
