// The whole way in the real window with the real programs: sample, New run, launch, watch, history, register, export.
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QTableView>
#include <QTableWidget>
#include <QTreeWidget>

#include "tests/gui/WindowRig.h"
#include "ui/charts/ChartView.h"
#include "ui/forms/FormDocument.h"
#include "ui/home/HomePage.h"
#include "ui/models/ModelsPage.h"
#include "ui/runs/LogTab.h"
#include "ui/runs/LogView.h"
#include "ui/runs/MetricsTab.h"
#include "ui/runs/NewRunPage.h"
#include "ui/runs/NewRunPanels.h"
#include "ui/runs/RunCharts.h"
#include "ui/runs/RunPage.h"
#include "ui/runs/RunsModel.h"
#include "ui/runs/RunsPage.h"
#include "ui/widgets/Basics.h"

using namespace trainyard;
using base::Json;
using spec::RunState;
using test::waitFor;
using test::WindowRig;

class JourneyTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void fromTheSampleToAProvedOnnxFile() {
        WindowRig rig(WindowRig::Fill::Nothing);

        // Home is empty and offers the sample.
        QVERIFY(rig.go<ui::HomePage>(QStringLiteral("home")));
        QVERIFY(
            waitFor([&] { return rig.visible<QPushButton>(QStringLiteral("sampleFormButton")) != nullptr; }, 10000));
        QTest::mouseClick(rig.visible<QPushButton>(QStringLiteral("sampleFormButton")), Qt::LeftButton);
        auto* form = qobject_cast<ui::NewRunPage*>(rig.window().page());
        QVERIFY(form);
        QVERIFY(waitFor([&] { return form->findChild<ui::DatasetPanel*>()->preview().has_value(); }, 30000));

        // A part of the real data, so that it takes seconds.
        ui::FormDocument& document = form->document();
        document.setValue(QStringLiteral("task.dataset.train_limit"), 3000);
        document.setValue(QStringLiteral("task.dataset.val_limit"), 500);
        document.setValue(QStringLiteral("task.epochs"), 2);
        document.setValue(QStringLiteral("task.batch_size"), 64);
        document.setValue(QStringLiteral("task.model.family"), "mlp");
        document.setValue(QStringLiteral("name"), "journey");
        QVERIFY(document.validateNow().empty());

        // Check tries real steps.
        QTest::mouseClick(form->findChild<QPushButton*>(QStringLiteral("checkButton")), Qt::LeftButton);
        auto* checked = form->findChild<ui::InlineError*>(QStringLiteral("checkResult"));
        QVERIFY(waitFor([&] { return checked->isVisible(); }, 60000));
        QVERIFY2(checked->text().contains(QStringLiteral("an epoch")), qPrintable(checked->text()));

        rig.picture(QStringLiteral("journey-form"));

        // Launch leads to the run's page, where it is watched to its end.
        rig.action(QStringLiteral("launchAction"))->trigger();
        QVERIFY(waitFor([&] { return qobject_cast<ui::RunPage*>(rig.window().page()) != nullptr; }, 20000));
        auto* run = qobject_cast<ui::RunPage*>(rig.window().page());
        QVERIFY(waitFor([&] { return run->detail() && run->metrics()->charts()->points() > 0; }, 60000));
        QVERIFY(waitFor([&] { return spec::isFinal(run->detail()->row.state); }, 120000));
        QVERIFY2(run->detail()->row.state == RunState::Completed, run->detail()->row.stateReason.c_str());
        QVERIFY(waitFor(
            [&] { return run->metrics()->charts()->chart(QStringLiteral("Accuracy"))->seriesKeys().size() == 2; },
            10000));
        const base::RunId id = run->detail()->row.id;
        QVERIFY(waitFor([&] { return run->detail()->outputs.size() >= 4; }, 10000));
        rig.go<ui::RunPage>(QStringLiteral("run/%1/log").arg(QString::fromStdString(id.str())));
        QVERIFY(waitFor([&] { return run->log()->view()->total() > 0; }, 10000));

        // The history has it, with its figures.
        auto* runs = rig.go<ui::RunsPage>(QStringLiteral("runs"));
        auto* model = runs->findChild<ui::RunsModel*>();
        QVERIFY(waitFor([&] { return model->rowOf(id) >= 0; }, 10000));
        QVERIFY(!model->index(0, ui::RunsModel::FirstMetric).data().toString().isEmpty());

        // Registered under a name, and exported with a proof.
        run = rig.go<ui::RunPage>(QStringLiteral("run/") + QString::fromStdString(id.str()));
        QVERIFY(waitFor(
            [&] {
                return run->primaryAction() && run->primaryAction()->objectName() == QStringLiteral("registerAction");
            },
            10000));
        run->primaryAction()->trigger();
        auto* models = qobject_cast<ui::ModelsPage*>(rig.window().page());
        QVERIFY(models);
        auto* name = models->findChild<QLineEdit*>(QStringLiteral("nameInput"));
        QVERIFY(waitFor([&] { return !name->text().isEmpty(); }, 10000));
        name->clear();
        QTest::keyClicks(name, QStringLiteral("clothes"));
        rig.picture(QStringLiteral("journey-register"));
        models->primaryAction()->trigger();
        auto* title = models->findChild<QLabel*>(QStringLiteral("modelTitleLabel"));
        QVERIFY(
            waitFor([&] { return title->isVisible() && title->text().startsWith(QStringLiteral("clothes")); }, 30000));
        QVERIFY(models->findChild<QTableWidget*>(QStringLiteral("modelFilesTable"))->rowCount() >= 3);

        rig.picture(QStringLiteral("journey-model"));
        auto* button = models->findChild<QPushButton*>(QStringLiteral("model.exportButton"));
        QVERIFY(button);
        button->click();
        QVERIFY(waitFor(
            [&] {
                return rig.visible<QTableWidget>(QStringLiteral("proofTable")) != nullptr ||
                       rig.visible<ui::InlineError>(QStringLiteral("model.exportError")) != nullptr;
            },
            120000));
        auto* failed = rig.visible<ui::InlineError>(QStringLiteral("model.exportError"));
        QVERIFY2(!failed, failed ? qPrintable(failed->text()) : "");
        QVERIFY(rig.visible<QTableWidget>(QStringLiteral("proofTable"))->rowCount() >= 4);
        auto* verdict = models->findChild<ui::InlineError*>(QStringLiteral("proofVerdict"));
        QVERIFY2(verdict->text().contains(QStringLiteral("same answers")), qPrintable(verdict->text()));

        verdict->setFocus();
        rig.window().resize(1280, 1500);
        rig.picture(QStringLiteral("journey-proof"));

        // Copied out with its hashes checked.
        const QString folder = QString::fromStdString((rig.scratch() / "out").string());
        rig.questions().setNextAnswer(folder);
        rig.action(QStringLiteral("downloadModelAction"))->trigger();
        QVERIFY(waitFor(
            [&] {
                return std::filesystem::exists(rig.scratch() / "out" / "model.pt") ||
                       std::filesystem::exists(rig.scratch() / "out" / "clothes-1" / "model.pt");
            },
            20000));
    }
};

TRAINYARD_GUI_TEST(JourneyTest)
#include "tst_Journey.moc"
