#include <QClipboard>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>

#include "core/spec/RunSpec.h"
#include "tests/gui/WindowRig.h"
#include "ui/forms/FieldRow.h"
#include "ui/forms/FormDocument.h"
#include "ui/forms/FormView.h"
#include "ui/runs/NewRunPage.h"
#include "ui/runs/NewRunPanels.h"
#include "ui/widgets/Basics.h"

using namespace trainyard;
using base::Json;
using test::waitFor;
using test::WindowRig;

class NewRunTest : public QObject {
    Q_OBJECT

private:
    std::string text(const char* path) {
        const Json* value = spec::valueAt(m_page->document().document(), path);
        return value && value->is_string() ? value->get<std::string>() : std::string();
    }
    void fillSample() {
        m_page = m_rig->go<ui::NewRunPage>(QStringLiteral("new?q=sample"));
        QVERIFY(m_page);
        QVERIFY(waitFor([this] { return text("task.dataset.name") == "Fashion-MNIST"; }, 10000));
        QVERIFY(waitFor([this] { return m_page->findChild<ui::DatasetPanel*>()->preview().has_value(); }, 20000));
    }

private Q_SLOTS:
    void init() {
        m_rig = std::make_unique<WindowRig>(WindowRig::Fill::Nothing);
        m_page = m_rig->go<ui::NewRunPage>(QStringLiteral("new"));
        QVERIFY(m_page);
    }
    void cleanup() { m_rig.reset(); }

    void sample_showsItsDataAndModel() {
        fillSample();
        const auto& preview = *m_page->findChild<ui::DatasetPanel*>()->preview();
        QCOMPARE(preview.training, std::int64_t{60000});
        QCOMPARE(preview.validation, std::int64_t{10000});
        QCOMPARE(preview.classes, 10);
        QVERIFY(std::none_of(preview.samples.begin(), preview.samples.end(), [](const std::string& one) { return one.empty(); }));
        QVERIFY(waitFor([this] { return m_page->findChild<QLabel*>(QStringLiteral("summaryStepsLabel"))->text().contains(QStringLiteral("1,876")); }, 5000));
        const auto& table = m_page->findChild<ui::ModelPanel*>()->table();
        QVERIFY(table && table->parameters() > 1000);
        QVERIFY(m_page->document().errors().empty());
    }

    void model_followsItsOptions() {
        fillSample();
        const std::int64_t before = m_page->findChild<ui::ModelPanel*>()->table()->parameters();
        m_page->document().setValue(QStringLiteral("task.model.family"), "mlp");
        QVERIFY(m_page->findChild<ui::ModelPanel*>()->table()->parameters() != before);
        QCOMPARE(m_page->findChild<ui::ModelPanel*>()->table()->family, std::string("mlp"));
    }

    void launch_withAMistake_goesToItsField() {
        m_page->document().setValue(QStringLiteral("task.epochs"), -3);
        m_rig->action(QStringLiteral("launchAction"))->trigger();
        auto* error = m_page->findChild<ui::InlineError*>(QStringLiteral("newRunError"));
        QVERIFY(waitFor([&] { return error->isVisible(); }, 2000));
        QVERIFY(qobject_cast<QLineEdit*>(QApplication::focusWidget()) || !error->text().isEmpty());
        const QList<ui::FieldRow*> rows = m_page->findChildren<ui::FieldRow*>();
        const auto told = std::count_if(rows.begin(), rows.end(), [](ui::FieldRow* row) { return !row->errorText().isEmpty(); });
        QVERIFY2(told >= 5, "the four files and the epochs");
    }

    void missingFile_isToldAtItsField() {
        fillSample();
        const QString path = QStringLiteral("task.dataset.train_images");
        m_page->document().setValue(path, "/no/such/file");
        QVERIFY(waitFor([&] { return !m_page->document().errorText(path).isEmpty(); }, 10000));
    }

    void swappedFiles_areTold() {
        fillSample();
        const std::string images = text("task.dataset.train_images");
        m_page->document().setValue(QStringLiteral("task.dataset.train_labels"), images);
        QVERIFY(waitFor([&] {
            return m_page->document().errorText(QStringLiteral("task.dataset.train_labels")).contains(QStringLiteral("swapped"));
        }, 10000));
    }

    void truncatedFile_isTold() {
        fillSample();
        const auto bytes = base::readFileRange(text("task.dataset.train_images"), 0, 100'000);
        QVERIFY(bytes.ok());
        const base::Path cut = m_rig->scratch().write("cut.gz", *bytes);
        m_page->document().setValue(QStringLiteral("task.dataset.train_images"), cut.string());
        QVERIFY(waitFor([&] { return !m_page->document().errorText(QStringLiteral("task.dataset.train_images")).isEmpty(); }, 10000));
    }

    void processes_bringTheirDistribution() {
        m_page->document().setValue(QStringLiteral("distribution.processes"), 2);
        QCOMPARE(text("distribution.kind"), std::string("pytorch"));
        m_page->document().setValue(QStringLiteral("distribution.kind"), "none");
        QCOMPARE(*spec::valueAt(m_page->document().document(), "distribution.processes"), Json(1));
    }

    void draft_survivesTheEndOfTheProgram() {
        m_page->document().setValue(QStringLiteral("name"), "half typed");
        m_page->document().setValue(QStringLiteral("task.epochs"), 17);
        QTest::qWait(500);
        QVERIFY(m_rig->window().flushState());
        m_rig->open();
        m_page = m_rig->go<ui::NewRunPage>(QStringLiteral("new"));
        QCOMPARE(text("name"), std::string("half typed"));
        QCOMPARE(*spec::valueAt(m_page->document().document(), "task.epochs"), Json(17));
    }

    void commandLine_holdsTheWholeSpec() {
        fillSample();
        const QString line = m_page->commandLine();
        QVERIFY(line.startsWith(QStringLiteral("trainyard-cli run submit --file - ")));
        const QString body = line.section(u'\n', 1, -3);
        const auto json = base::parseJson(body.toStdString());
        QVERIFY(json.ok());
        QCOMPARE(*json, m_page->document().document());
    }

    void columns_foldWithTheWidth() {
        auto* what = m_page->findChildren<ui::FormView*>().at(0);
        auto* how = m_page->findChildren<ui::FormView*>().at(1);
        m_rig->window().resize(1400, 800);
        QVERIFY(waitFor([&] { return how->mapTo(m_page, QPoint()).x() > what->mapTo(m_page, QPoint()).x() + 100; }, 2000));
        m_page->setMaximumWidth(620);
        QVERIFY(waitFor([&] { return how->mapTo(m_page, QPoint()).x() == what->mapTo(m_page, QPoint()).x(); }, 2000));
    }

private:
    std::unique_ptr<WindowRig> m_rig;
    ui::NewRunPage* m_page = nullptr;
};

TRAINYARD_GUI_TEST(NewRunTest)
#include "tst_NewRun.moc"
