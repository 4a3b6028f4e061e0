#include <QClipboard>
#include <QLabel>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QTabWidget>
#include <QTreeWidget>
#include <QTreeWidgetItemIterator>

#include "core/spec/RunSpec.h"
#include "tests/gui/WindowRig.h"
#include "ui/charts/ChartView.h"
#include "ui/forms/FormDocument.h"
#include "ui/runs/FailurePanel.h"
#include "ui/runs/LogTab.h"
#include "ui/runs/LogView.h"
#include "ui/runs/MetricsTab.h"
#include "ui/runs/NewRunPage.h"
#include "ui/runs/RunCharts.h"
#include "ui/runs/RunPage.h"
#include "ui/widgets/Chips.h"

using namespace trainyard;
using base::Json;
using spec::RunState;
using test::waitFor;
using test::WindowRig;

class RunPageTest : public QObject {
    Q_OBJECT

private:
    ui::RunPage* show(const QString& run) {
        auto* page = m_rig->go<ui::RunPage>(QStringLiteral("run/") + run);
        return page && waitFor([&] { return page->detail().has_value(); }, 10000) ? page : nullptr;
    }
    base::RunId runIn(RunState state) {
        for (const base::RunId& id : m_rig->showcase().runs) {
            auto* page = show(QString::fromStdString(id.str()));
            if (page && waitFor([&] { return page->detail() && page->detail()->row.id == id; }, 5000) &&
                page->detail()->row.state == state)
                return id;
        }
        return {};
    }
    QString tab() const {
        return m_page->findChild<QTabWidget*>(QStringLiteral("runTabs"))->currentWidget()->objectName();
    }

private Q_SLOTS:
    void initTestCase() { m_rig = std::make_unique<WindowRig>(WindowRig::Fill::Showcase, 3); }
    void cleanupTestCase() { m_rig.reset(); }

    void completed_showsItsCurvesAndFigures() {
        m_page = show(QStringLiteral("1"));
        QVERIFY(m_page);
        QCOMPARE(tab(), QStringLiteral("metrics"));
        QVERIFY(m_page->findChild<ui::StateChip*>(QStringLiteral("runStateChip"))->state() == RunState::Completed);
        ui::RunCharts* charts = m_page->metrics()->charts();
        QVERIFY(waitFor([&] { return charts->points() > 0; }, 10000));
        QVERIFY(waitFor([&] { return charts->chart(QStringLiteral("Loss"))->seriesKeys().size() == 2; }, 10000));
        QVERIFY(waitFor([&] { return charts->charts().size() >= 4; }, 10000));
        QCOMPARE(m_page->primaryAction()->objectName(), QStringLiteral("registerAction"));
    }

    void log_isReadSearchedAndCopied() {
        m_page = show(QStringLiteral("1"));
        m_page = m_rig->go<ui::RunPage>(QStringLiteral("run/1/log"));
        QCOMPARE(tab(), QStringLiteral("log"));
        ui::LogView* view = m_page->log()->view();
        QVERIFY(waitFor([&] { return view->total() > 100; }, 10000));
        QVERIFY(waitFor([&] { return !view->lineText(0).isEmpty(); }, 10000));
        QSignalSpy searched(view, &ui::LogView::searched);
        auto* line = m_page->findChild<QLineEdit*>(QStringLiteral("logSearchLine"));
        QTest::keyClicks(line, QStringLiteral("accuracy"));
        QVERIFY(waitFor(
            [&] {
                return !searched.isEmpty() && searched.constLast().at(0).toString().startsWith(QStringLiteral("Line "));
            },
            5000));
        const QString first = searched.constLast().at(0).toString();
        QTest::keyClick(m_page->log(), Qt::Key_F3);
        const bool moved = waitFor([&] { return searched.constLast().at(0).toString() != first; }, 5000);
        QVERIFY2(moved, qPrintable(QStringLiteral("%1 answers, the last %2").arg(searched.size()).arg(first)));
        line->clear();
        QTest::keyClicks(line, QStringLiteral("zzz not there"));
        QVERIFY(waitFor([&] { return !searched.constLast().at(1).toBool(); }, 5000));
        view->setFocus();
        QTest::keyClick(view, Qt::Key_Home);
        QTest::keyClick(view, Qt::Key_Down, Qt::ShiftModifier);
        QSignalSpy copied(view, &ui::LogView::copied);
        QTest::keyClick(view, Qt::Key_C, Qt::ControlModifier);
        QVERIFY(waitFor([&] { return !copied.isEmpty(); }, 5000));
        QCOMPARE(copied.constFirst().at(0).toInt(), 2);
        QVERIFY(QApplication::clipboard()->text().startsWith(view->lineText(0)));
    }

    void logText_losesItsEscapes() {
        QCOMPARE(ui::plainLogText("\x1b[31mred\x1b[0m"), QStringLiteral("red"));
        QCOMPARE(ui::plainLogText("10%\r20%\r30%"), QStringLiteral("30%"));
        QCOMPARE(ui::plainLogText("a\tb"), QStringLiteral("a       b"));
    }

    void colours_areKeptAndReadable() {
        using ui::AnsiSpan;
        const ui::AnsiText text =
            ui::ansiText("a\x1b[31mred\x1b[1mbold\x1b[0m\tz\x1b[38;5;9mq\x1b[38;2;1;2;3mw\x1b[39;22m.");
        QCOMPARE(text.text, QStringLiteral("aredboldzqw.").replace(u'z', QStringLiteral("        z")));
        QCOMPARE(text.spans.size(), std::size_t{3});
        QVERIFY((text.spans[0] == AnsiSpan{1, 3, 1, false}));
        QVERIFY((text.spans[1] == AnsiSpan{4, 4, 1, true}));
        QCOMPARE(text.spans[2].color, 9);
        QVERIFY(ui::ansiText("\x1b[32mgone\rstays").spans.size() == 1);
        QCOMPARE(ui::ansiText("\x1b[32mgone\rstays").text, QStringLiteral("stays"));
        // Torn, foreign and empty sequences leave nothing behind.
        for (const char* torn : {"\x1b", "\x1b[", "\x1b[3", "\x1b[;;;m", "\x1b[999999999999m", "\x1b]0;title",
                                 "\x1b[38;5m", "\x1b[2K\x1b[1A"})
            QVERIFY2(!ui::ansiText(torn).text.contains(QChar(0x1b)), torn);
        for (const auto choice : {ui::Theme::Choice::Light, ui::Theme::Choice::Dark}) {
            ui::Theme::current().setChoice(choice);
            for (int i = 0; i < 16; ++i) {
                for (const ui::Role ground : {ui::Role::Surface, ui::Role::Selection})
                    QVERIFY(ui::Theme::contrast(ui::ansiColor(i), ui::Theme::current().color(ground)) >= 4.5);
            }
        }
        ui::Theme::current().setChoice(ui::Theme::Choice::System);
    }

    void failed_opensOnWhy() {
        const base::RunId id = runIn(RunState::Failed);
        QVERIFY(!id.isEmpty());
        m_page = qobject_cast<ui::RunPage*>(m_rig->window().page());
        QCOMPARE(tab(), QStringLiteral("why"));
        QVERIFY(!m_page->findChild<QLabel*>(QStringLiteral("failureReasonLabel"))->text().isEmpty());
        QVERIFY(!m_page->detail()->lastLines.empty());
        QVERIFY(ui::adviceFor(*m_page->detail()).constFirst().contains(QStringLiteral("learning rate")));
        QTest::mouseClick(m_page->findChild<QPushButton*>(QStringLiteral("failureDuplicateButton")), Qt::LeftButton);
        QVERIFY(waitFor([&] { return qobject_cast<ui::NewRunPage*>(m_rig->window().page()) != nullptr; }, 5000));
        // The form comes filled in as the run was.
        auto* form = qobject_cast<ui::NewRunPage*>(m_rig->window().page());
        const Json kept = *base::parseJson(base::readFile(m_rig->layout().spec(id)).value());
        for (const char* path : {"experiment", "task.dataset.train_images", "task.model.family", "task.epochs",
                                 "task.batch_size", "task.seed", "task.optimizer.learning_rate"}) {
            const Json* was = spec::valueAt(kept, path);
            QVERIFY2(was, path);
            QVERIFY2(waitFor([&] { return form->document().value(QLatin1String(path)) == *was; }, 5000), path);
        }
    }

    void advice_followsTheCause() {
        ui::RunDetail detail;
        detail.row.stateReason = "Rank 1 was killed: out of memory";
        QVERIFY(ui::adviceFor(detail).constFirst().contains(QStringLiteral("batch size")));
        detail.row.stateReason = "No space left on device";
        QVERIFY(ui::adviceFor(detail).constFirst().contains(QStringLiteral("disk")));
        detail.row.stateReason = "?";
        QCOMPARE(ui::adviceFor(detail).size(), 1);
    }

    void running_showsProgressAndCancel() {
        QVERIFY(!runIn(RunState::Running).isEmpty());
        m_page = qobject_cast<ui::RunPage*>(m_rig->window().page());
        QVERIFY(m_page->contextActions().contains(m_rig->action(QStringLiteral("cancelRunAction"))));
        QVERIFY(
            m_page->findChild<QLabel*>(QStringLiteral("runProgressLabel"))->text().contains(QStringLiteral("epoch")));
        m_rig->action(QStringLiteral("cancelRunAction"))->trigger();
        QVERIFY(waitFor([&] { return m_rig->questions().asked().contains(QStringLiteral("run.cancel")); }, 5000));
    }

    void name_isEditedInPlace() {
        m_page = show(QStringLiteral("2"));
        QVERIFY(waitFor([&] { return m_page->detail() && m_page->detail()->row.number == 2; }, 5000));
        auto* name = m_page->findChild<QLineEdit*>(QStringLiteral("runNameLine"));
        name->setFocus();
        name->selectAll();
        QTest::keyClicks(name, QStringLiteral("second try"));
        QTest::keyClick(name, Qt::Key_Return);
        const base::RunId id = m_page->detail()->row.id;
        QVERIFY(waitFor(
            [&] {
                const auto journal = base::readFile(m_rig->layout().journal(id));
                return journal && journal->find("second try") != std::string::npos;
            },
            5000));
    }

    void notesAndTags_areKept() {
        m_page = show(QStringLiteral("3"));
        m_page = m_rig->go<ui::RunPage>(QStringLiteral("run/3/notes"));
        QVERIFY(waitFor([&] { return m_page->detail() && m_page->detail()->row.number == 3; }, 5000));
        auto* notes = m_page->findChild<QPlainTextEdit*>(QStringLiteral("notesEdit"));
        notes->setPlainText(QStringLiteral("worth keeping"));
        auto* tag = m_page->findChild<QLineEdit*>(QStringLiteral("newTagLine"));
        QTest::keyClicks(tag, QStringLiteral("keep=yes"));
        QTest::keyClick(tag, Qt::Key_Return);
        QVERIFY(waitFor(
            [&] {
                const auto& row = m_page->detail()->row;
                return row.notes == "worth keeping" &&
                       std::find(row.tags.begin(), row.tags.end(),
                                 std::pair<std::string, std::string>("keep", "yes")) != row.tags.end();
            },
            10000));
    }

    void outputs_areListed() {
        m_page = show(QStringLiteral("1"));
        m_page = m_rig->go<ui::RunPage>(QStringLiteral("run/1/outputs"));
        QVERIFY(waitFor([&] { return m_page->detail() && m_page->detail()->row.number == 1; }, 5000));
        auto* tree = m_page->findChild<QTreeWidget*>(QStringLiteral("outputsTree"));
        int files = 0;
        for (QTreeWidgetItemIterator at(tree); *at; ++at) files += (*at)->childCount() == 0 ? 1 : 0;
        QCOMPARE(files, static_cast<int>(m_page->detail()->outputs.size()));
        QVERIFY(files > 0);
    }

    void unknownRun_saysSo() {
        auto* page = m_rig->go<ui::RunPage>(QStringLiteral("run/98765"));
        QVERIFY(page);
        QVERIFY(waitFor([&] { return !page->detail().has_value() && page->title() == QStringLiteral("Run"); }, 5000));
    }

private:
    std::unique_ptr<WindowRig> m_rig;
    ui::RunPage* m_page = nullptr;
};

TRAINYARD_GUI_TEST(RunPageTest)
#include "tst_RunPage.moc"
