#include <QAbstractItemModelTester>
#include <QLineEdit>
#include <QTableView>

#include "tests/gui/WindowRig.h"
#include "ui/charts/ChartView.h"
#include "ui/runs/FilterCompleter.h"
#include "ui/runs/RunActions.h"
#include "ui/runs/RunsModel.h"
#include "ui/runs/RunsPage.h"
#include "ui/runs/SelectionPanel.h"
#include "ui/runs/RunCharts.h"

using namespace trainyard;
using base::Json;
using test::waitFor;
using test::WindowRig;
using ui::RunsModel;

class RunsPageTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_rig = std::make_unique<WindowRig>(WindowRig::Fill::Showcase);
        m_page = m_rig->go<ui::RunsPage>(QStringLiteral("runs"));
        QVERIFY(m_page);
        m_table = m_page->findChild<QTableView*>(QStringLiteral("runsTable"));
        QVERIFY(waitFor(
            [this] { return m_table->model()->rowCount() == static_cast<int>(m_rig->showcase().runs.size()); }, 20000));
    }
    void cleanup() { m_rig.reset(); }

    void model_keepsTheRules() {
        auto* model = m_page->findChild<RunsModel*>();
        QAbstractItemModelTester tester(model, QAbstractItemModelTester::FailureReportingMode::QtTest);
        model->sort(RunsModel::Name, Qt::AscendingOrder);
        QVERIFY(waitFor(
            [&] { return model->sortColumn() == RunsModel::Name && model->rowAt(0)->name <= model->rowAt(1)->name; },
            5000));
        model->setFilter(QStringLiteral("state:failed"), store::Archived::Hide);
        QVERIFY(waitFor([&] { return model->rowCount() == 1; }, 5000));
        model->setFilter({}, store::Archived::Hide);
        QVERIFY(waitFor([&] { return model->rowCount() == static_cast<int>(m_rig->showcase().runs.size()); }, 5000));
        // A rename from elsewhere arrives while the table is shown.
        const base::RunId id = model->rowAt(3)->id;
        m_rig->session().start("run.rename", {{"run", id.str()}, {"name", "renamed elsewhere"}});
        QVERIFY(waitFor([&] { return model->rowAt(model->rowOf(id))->name == "renamed elsewhere"; }, 10000));
    }

    void newestFirst_withItsFigures() {
        auto* model = m_page->findChild<RunsModel*>();
        QVERIFY(model->rowAt(0)->number > model->rowAt(1)->number);
        QCOMPARE(model->headerData(RunsModel::FirstMetric, Qt::Horizontal, Qt::DisplayRole).toString(),
                 QStringLiteral("Accuracy, best"));
        const int row = model->rowOf(m_rig->showcase().runs.front());
        const QString best = model->index(row, RunsModel::FirstMetric).data().toString();
        QVERIFY2(best.endsWith(QStringLiteral("%")), qPrintable(best));
    }

    void filterLine_filtersAndTellsMistakes() {
        auto* line = m_page->findChild<QLineEdit*>(QStringLiteral("runsFilterLine"));
        QTest::keyClicks(line, QStringLiteral("state:completed"));
        QVERIFY(waitFor(
            [&] {
                for (int i = 0; i < m_table->model()->rowCount(); ++i) {
                    if (m_page->findChild<RunsModel*>()->rowAt(i)->state != spec::RunState::Completed) return false;
                }
                return m_table->model()->rowCount() > 0;
            },
            5000));
        QCOMPARE(m_page->address().query, QStringLiteral("state:completed"));
        line->clear();
        QTest::keyClicks(line, QStringLiteral("zzz-no-such-run"));
        QVERIFY(waitFor([&] { return !m_table->isVisible(); }, 5000));
    }

    void completer_offersTheLanguage() {
        QLineEdit line;
        ui::FilterCompleter completer(&line);
        completer.setTags({QStringLiteral("baseline"), QStringLiteral("sweep=lr 2")});
        completer.setMetrics({QStringLiteral("val/accuracy")});
        QVERIFY(completer.candidates(QStringLiteral("sta"), 3).contains(QStringLiteral("state:")));
        QCOMPARE(completer.candidates(QStringLiteral("x state:fa"), 10), QStringList{QStringLiteral("state:failed")});
        QCOMPARE(completer.candidates(QStringLiteral("-tag:sw"), 7), QStringList{QStringLiteral("tag:\"sweep=lr 2\"")});
        QVERIFY(completer.candidates(QStringLiteral("val"), 3).contains(QStringLiteral("val/accuracy>")));
        QVERIFY(completer.candidates(QString(), 0).isEmpty());
    }

    void selection_overlaysTheirCurves() {
        auto* model = m_page->findChild<RunsModel*>();
        m_table->clearSelection();
        for (int number : {0, 1, 2}) {
            const int row = model->rowOf(m_rig->showcase().runs[static_cast<std::size_t>(number)]);
            m_table->selectionModel()->select(model->index(row, 0),
                                              QItemSelectionModel::Select | QItemSelectionModel::Rows);
        }
        auto* panel = m_page->findChild<ui::SelectionPanel*>();
        QCOMPARE(panel->charts()->runs().size(), 3U);
        QVERIFY(waitFor(
            [&] {
                ui::ChartView* chart = panel->charts()->chart(QStringLiteral("Accuracy"));
                return chart && chart->seriesKeys().size() == 3;
            },
            10000));
    }

    void remove_asksNamingWhatGoes() {
        auto* model = m_page->findChild<RunsModel*>();
        const base::RunId id = m_rig->showcase().runs.front();
        m_table->selectRow(model->rowOf(id));
        m_rig->questions().setNextAnswer(QStringLiteral("delete"));
        QTest::keyClick(m_table, Qt::Key_Delete);
        QVERIFY(waitFor([&] { return m_rig->questions().asked().contains(QStringLiteral("run.delete")); }, 5000));
        QVERIFY(m_rig->questions().texts().constLast().contains(QStringLiteral("freed")));
        QVERIFY(waitFor([&] { return model->rowOf(id) < 0; }, 10000));
        QVERIFY(!std::filesystem::exists(m_rig->layout().run(id)));
    }

    void editInPlace_renames() {
        auto* model = m_page->findChild<RunsModel*>();
        const base::RunId id = m_rig->showcase().runs[1];
        const QModelIndex index = model->index(model->rowOf(id), RunsModel::Name);
        m_table->setCurrentIndex(index);
        QTest::keyClick(m_table, Qt::Key_F2);
        auto* editor = m_table->viewport()->findChild<QLineEdit*>();
        QVERIFY(editor);
        editor->setText(QStringLiteral("a better name"));
        QTest::keyClick(editor, Qt::Key_Return);
        QVERIFY(waitFor(
            [&] {
                const auto journal = base::readFile(m_rig->layout().journal(id));
                return journal && journal->find("a better name") != std::string::npos;
            },
            5000));
    }

    void archive_hidesAndComesBackByUndo() {
        auto* model = m_page->findChild<RunsModel*>();
        const base::RunId id = m_rig->showcase().runs[1];
        ui::RunActions actions(m_rig->window().shell(), m_page);
        actions.archive({*model->rowAt(model->rowOf(id))}, true);
        QVERIFY(waitFor([&] { return model->rowOf(id) < 0; }, 5000));
        m_rig->go<ui::RunsPage>(QStringLiteral("runs?q=archived"));
        QVERIFY(waitFor([&] { return model->rowOf(id) >= 0; }, 5000));
    }

    void tags_areReadAsTheyAreWritten() {
        QCOMPARE(ui::tagsFromText(QStringLiteral("a, b=2 ,,a=3")), (store::Strings{{"b", "2"}, {"a", "3"}}));
        QCOMPARE(ui::tagsText({{"b", "2"}, {"a", ""}}), QStringLiteral("b=2, a"));
    }

    void state_survives() {
        auto* line = m_page->findChild<QLineEdit*>(QStringLiteral("runsFilterLine"));
        QTest::keyClicks(line, QStringLiteral("state:failed"));
        QVERIFY(waitFor([&] { return m_table->model()->rowCount() == 1; }, 5000));
        QVERIFY(m_rig->window().flushState());
        m_rig->open();
        m_page = m_rig->go<ui::RunsPage>(QStringLiteral("runs"));
        m_table = m_page->findChild<QTableView*>(QStringLiteral("runsTable"));
        QCOMPARE(m_page->findChild<QLineEdit*>(QStringLiteral("runsFilterLine"))->text(),
                 QStringLiteral("state:failed"));
        QVERIFY(waitFor([&] { return m_table->model()->rowCount() == 1; }, 5000));
    }

private:
    std::unique_ptr<WindowRig> m_rig;
    ui::RunsPage* m_page = nullptr;
    QTableView* m_table = nullptr;
};

TRAINYARD_GUI_TEST(RunsPageTest)
#include "tst_RunsPage.moc"
