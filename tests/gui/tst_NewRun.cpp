#include <QClipboard>
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QTableWidget>

#include "core/spec/RunSpec.h"
#include "tests/gui/WindowRig.h"
#include "ui/forms/FieldRow.h"
#include "ui/forms/FormDocument.h"
#include "ui/forms/FormView.h"
#include "ui/runs/NewRunPage.h"
#include "ui/runs/NewRunPanels.h"
#include "ui/runs/PatternPanel.h"
#include "ui/runs/PreflightPanel.h"
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
        QVERIFY(std::none_of(preview.samples.begin(), preview.samples.end(),
                             [](const std::string& one) { return one.empty(); }));
        QVERIFY(waitFor(
            [this] {
                return m_page->findChild<QLabel*>(QStringLiteral("summaryStepsLabel"))
                    ->text()
                    .contains(QStringLiteral("1,876"));
            },
            5000));
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
        const auto told =
            std::count_if(rows.begin(), rows.end(), [](ui::FieldRow* row) { return !row->errorText().isEmpty(); });
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
        QVERIFY(waitFor(
            [&] {
                return m_page->document()
                    .errorText(QStringLiteral("task.dataset.train_labels"))
                    .contains(QStringLiteral("swapped"));
            },
            10000));
    }

    void truncatedFile_isTold() {
        fillSample();
        const auto bytes = base::readFileRange(text("task.dataset.train_images"), 0, 100'000);
        QVERIFY(bytes.ok());
        const base::Path cut = m_rig->scratch().write("cut.gz", *bytes);
        m_page->document().setValue(QStringLiteral("task.dataset.train_images"), cut.string());
        QVERIFY(waitFor(
            [&] { return !m_page->document().errorText(QStringLiteral("task.dataset.train_images")).isEmpty(); },
            10000));
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

    void patterns_areTriedAsTheAgentTriesThem() {
        const auto trial = ui::PatternPanel::tryOn({"@pytorch-tutorial", "(?<speed>\\d+) images"},
                                                   "Epoch 3/24\ntrain Loss: 0.6123 Acc: 0.6844\nnothing\n");
        QVERIFY(!trial.error);
        QCOMPARE(trial.found.size(), std::size_t{2});
        QCOMPARE(trial.found[0].metric.name, std::string("train/loss"));
        QCOMPARE(*trial.found[0].metric.step, std::int64_t{3});
        QCOMPARE(trial.found[0].line, 1);
        QCOMPARE(trial.found[0].from, 12);
        QCOMPARE(trial.linesWithMetrics, 1);
        QCOMPARE(trial.idle, std::vector<std::string>{"(?<speed>\\d+) images"});
        const auto wrong = ui::PatternPanel::tryOn({"(?<loss>"}, "loss 1");
        QVERIFY(wrong.error && wrong.found.empty() && wrong.idle.empty());
        const auto umlaut = ui::PatternPanel::tryOn({"verlust=(?<loss>[0-9.]+)"}, "größe verlust=0.5");
        QCOMPARE(umlaut.found.at(0).from, 14);
        QVERIFY(ui::PatternPanel::tryOn({"@any"}, std::string(2000, '\n') + "a=1").cut);
    }

    void patterns_showWhatTheyFindInPastedLines() {
        m_page->document().setValue(QStringLiteral("task.kind"), "command");
        auto* toggle = m_rig->visible<QPushButton>(QStringLiteral("patternsToggle"));
        QVERIFY(toggle);
        QTest::mouseClick(toggle, Qt::LeftButton);
        // A ready one brings lines of such a trainer along.
        auto* ready = m_rig->visible<QComboBox>(QStringLiteral("readyPatternCombo"));
        QVERIFY(ready);
        const int keras = ready->findData(QStringLiteral("@keras"));
        ready->setCurrentIndex(keras);
        Q_EMIT ready->activated(keras);
        QCOMPARE(m_page->document().value(QStringLiteral("task.patterns")), Json::array({"@keras"}));
        auto* table = m_page->findChild<QTableWidget*>(QStringLiteral("patternTable"));
        QVERIFY(waitFor([&] { return table->isVisible() && table->rowCount() == 3; }, 10000));
        QCOMPARE(table->item(0, 0)->text(), QStringLiteral("loss"));
        QCOMPARE(table->item(0, 1)->text(), QStringLiteral("2"));
        QCOMPARE(table->item(2, 0)->text(), QStringLiteral("val_loss"));
        m_rig->picture(QStringLiteral("patterns-ready"));
        // Lines of one's own, pasted, and a pattern typed into the field itself.
        auto* sample = m_rig->visible<QPlainTextEdit>(QStringLiteral("sampleLinesEdit"));
        QGuiApplication::clipboard()->setText(QStringLiteral("it 10 | gen=0.5 dis=1.25\nit 20 | gen=0.25 dis=1e-3\n"));
        sample->setFocus();
        QTest::keyClick(sample, Qt::Key_A, Qt::ControlModifier);
        QTest::keyClick(sample, Qt::Key_V, Qt::ControlModifier);
        auto* summary = m_rig->visible<QLabel>(QStringLiteral("patternSummaryLabel"));
        QVERIFY(waitFor([&] { return summary->text().contains(QStringLiteral("“@keras” finds nothing")); }, 10000));
        m_page->document().setValue(QStringLiteral("task.patterns"),
                                    Json::array({"it (?<step>\\d+) .*gen=(?<gen>[0-9.]+)"}));
        QVERIFY(waitFor([&] { return table->rowCount() == 2; }, 10000));
        QCOMPARE(table->item(1, 1)->text(), QStringLiteral("20"));
        QCOMPARE(table->item(1, 2)->text(), QStringLiteral("0.25"));
        QCOMPARE(sample->extraSelections().size(), 2);
        QCOMPARE(sample->extraSelections().at(1).cursor.selectedText(), QStringLiteral("0.25"));
        // What cannot be read is told here and at the field.
        m_page->document().setValue(QStringLiteral("task.patterns"), Json::array({"gen=(?<gen>[0-9.]+"}));
        auto* error = m_page->findChild<ui::InlineError*>(QStringLiteral("patternError"));
        QVERIFY(waitFor([&] { return error->isVisible(); }, 10000));
        QVERIFY(
            waitFor([&] { return !m_page->document().errorText(QStringLiteral("task.patterns")).isEmpty(); }, 5000));
        m_rig->picture(QStringLiteral("patterns-error"));
        // The pasted lines are there after the program's end.
        QTest::qWait(1500);
        QVERIFY(m_rig->window().flushState());
        m_rig->open();
        m_page = m_rig->go<ui::NewRunPage>(QStringLiteral("new"));
        QVERIFY(waitFor(
            [&] {
                return m_page->findChild<QPlainTextEdit*>(QStringLiteral("sampleLinesEdit"))
                    ->toPlainText()
                    .startsWith(QStringLiteral("it 10"));
            },
            5000));
    }

    /// What would travel is told before anything does, and a folder that is too much for a run is warned of.
    void source_isMeasuredBeforeItTravels() {
        const base::Path source = m_rig->scratch().write("project/train.py", "print(1)\n").parent_path();
        m_rig->scratch().write("project/data.bin", std::string(3 << 20, 'x'));
        m_rig->scratch().write("project/left out.log", "not this one");
        m_rig->scratch().write("project/.gitignore", "*.log\n");
        m_page->document().setValue(QStringLiteral("task.kind"), "command");
        m_page->document().setValue(QStringLiteral("task.source_folder"), source.string());
        m_page->document().setValue(QStringLiteral("task.script"), "train.py");
        auto* upload = m_page->findChild<QLabel*>(QStringLiteral("uploadLabel"));
        auto* warning = m_page->findChild<ui::InlineError*>(QStringLiteral("uploadWarning"));
        QVERIFY(waitFor(
            [&] { return upload->isVisible() && upload->text().startsWith(QStringLiteral("Source: 3 files, 3")); },
            20'000));
        QVERIFY(warning->isClear());
        for (int i = 0; i < 2001; ++i) m_rig->scratch().write("project/many/" + std::to_string(i), "x");
        // The folder itself is chosen anew, as a person does who looks again.
        m_page->document().setValue(QStringLiteral("task.source_folder"), "");
        m_page->document().setValue(QStringLiteral("task.source_folder"), source.string());
        QVERIFY(waitFor([&] { return upload->text().contains(QStringLiteral("2004 files")); }, 20'000));
        QVERIFY2(warning->isVisible() && warning->text().contains(QStringLiteral("files")),
                 qPrintable(warning->text()));
        m_rig->picture(QStringLiteral("new-many-files"));
    }

    void unseenHardware_isLabelled() {
        auto* note = m_page->findChild<ui::InlineError*>(QStringLiteral("unverifiedNote"));
        QVERIFY(note->isClear());
        m_page->document().setValue(QStringLiteral("task.device"), "cuda");
        QVERIFY(waitFor([&] { return !note->isClear(); }, 5000));
        QVERIFY2(note->text().contains(QStringLiteral("Not verified on real hardware: CUDA")),
                 qPrintable(note->text()));
        m_page->document().setValue(QStringLiteral("task.device"), "cpu");
        QVERIFY(waitFor([&] { return note->isClear(); }, 5000));
    }

    /// Quotes only show where a word begins and ends; what travels are the words themselves.
    void arguments_showTheirQuotes() {
        m_page->document().setValue(QStringLiteral("task.kind"), "command");
        m_page->document().setValue(QStringLiteral("task.arguments"),
                                    Json::array({"--name", "two words", "it's", "$HOME"}));
        auto* label = m_page->findChild<QLabel*>(QStringLiteral("task.argumentsQuotedLabel"));
        QVERIFY(label);
        QVERIFY(waitFor([&] { return label->text() == QStringLiteral("--name 'two words' 'it'\\''s' $HOME"); }, 5000));
    }

    /// By the real engine: what the run needs; then one click takes the batch that fits.
    void preflight_isShownAndItsBatchTaken() {
        fillSample();
        m_page->document().setValue(QStringLiteral("task.model.family"), "mlp");
        m_page->document().setValue(QStringLiteral("task.dataset.train_limit"), 2000);
        auto* check = m_rig->visible<QPushButton>(QStringLiteral("checkButton"));
        QVERIFY(check && check->isEnabled());
        QTest::mouseClick(check, Qt::LeftButton);
        auto* panel = m_page->findChild<ui::PreflightPanel*>();
        auto* result = panel->findChild<ui::InlineError*>(QStringLiteral("checkResult"));
        QVERIFY(waitFor([&] { return result->isVisible(); }, 60'000));
        for (const char* part : {" of memory", " an epoch", " in all", " on disk"})
            QVERIFY2(result->text().contains(QLatin1String(part)), qPrintable(result->text()));
        m_rig->picture(QStringLiteral("preflight-fits"));
        ui::PreflightText tight;
        tight.kind = ui::InlineError::Kind::Error;
        tight.headline = QStringLiteral(
            "Does not fit. It needs 19.3 GiB of memory. 3.1 GiB of memory are free. The largest batch that fits: 24.");
        tight.lines = {
            {QStringLiteral("failure"),
             QStringLiteral(
                 "Batch size: 19.3 GiB for 256 pictures at 224 pixels; take a smaller batch or smaller pictures.")},
            {QStringLiteral("warning"), QStringLiteral("Threads: more than this machine has cores.")}};
        tight.batch = 24;
        panel->setText(tight);
        m_rig->picture(QStringLiteral("preflight-tight"));
        auto* take = result->findChild<QPushButton*>();
        QVERIFY(take && take->isVisible());
        QTest::mouseClick(take, Qt::LeftButton);
        QVERIFY(waitFor([&] { return m_page->document().value(QStringLiteral("task.batch_size")) == Json(24); }, 5000));
        // What was said held for the form as it was.
        QVERIFY(waitFor([&] { return !panel->isVisible(); }, 5000));
        auto* undo = m_rig->visible<QAbstractButton>(QStringLiteral("undoButton"));
        QVERIFY(undo);
        QTest::mouseClick(undo, Qt::LeftButton);
        QVERIFY(waitFor([&] { return m_page->document().value(QStringLiteral("task.batch_size")) != Json(24); }, 5000));
    }

    void columns_foldWithTheWidth() {
        auto* what = m_page->findChildren<ui::FormView*>().at(0);
        auto* how = m_page->findChildren<ui::FormView*>().at(1);
        m_rig->window().resize(1400, 800);
        QVERIFY(
            waitFor([&] { return how->mapTo(m_page, QPoint()).x() > what->mapTo(m_page, QPoint()).x() + 100; }, 2000));
        m_page->setMaximumWidth(620);
        QVERIFY(waitFor([&] { return how->mapTo(m_page, QPoint()).x() == what->mapTo(m_page, QPoint()).x(); }, 2000));
    }

private:
    std::unique_ptr<WindowRig> m_rig;
    ui::NewRunPage* m_page = nullptr;
};

TRAINYARD_GUI_TEST(NewRunTest)
#include "tst_NewRun.moc"
