// What a real script reports beside numbers, on the page of its run: pictures, tables, histograms, confusion matrices,
// texts; and what its log shows: colours, and the files under logs/ one by one.
#include <QClipboard>
#include <QComboBox>
#include <QHeaderView>
#include <QLabel>
#include <QListWidget>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QSlider>
#include <QTreeWidget>

#include "core/spec/RunSpec.h"
#include "core/store/Reader.h"
#include "tests/gui/WindowRig.h"
#include "tests/helpers/Skip.h"
#include "ui/forms/FieldEditors.h"
#include "ui/runs/LogTab.h"
#include "ui/runs/LogView.h"
#include "ui/runs/PictureView.h"
#include "ui/runs/RecordTable.h"
#include "ui/runs/RecordsTab.h"
#include "ui/runs/RunPage.h"
#include "ui/widgets/Basics.h"

using namespace trainyard;
using base::Json;
using spec::RunState;
using test::waitFor;
using test::WindowRig;
using Kind = ui::RecordContent::Kind;

namespace {

constexpr int kSoon = 15'000;

/// Reports one of everything.
std::string reportingScript() {
    return base::readFile(test::testData("scripts/report_records.py")).valueOr(std::string());
}

}  // namespace

class RecordsTest : public QObject {
    Q_OBJECT

private:
    bool ends(const QString& run, RunState state) {
        m_page = m_rig->go<ui::RunPage>(QStringLiteral("run/") + run);
        return m_page &&
               waitFor([&] { return m_page->detail() && spec::isFinal(m_page->detail()->row.state); }, 90'000) &&
               m_page->detail()->row.state == state;
    }
    QString submit(const std::string& text) {
        const base::Path source = m_rig->scratch().write("source/train.py", text).parent_path();
        Json document = spec::defaultRunSpecDocument();
        const std::pair<const char*, Json> values[] = {
            {"task.kind", "command"}, {"task.source_folder", source.string()}, {"task.script", "train.py"}};
        for (const auto& [path, value] : values) spec::setValueAt(document, path, value);
        QString made;
        bool answered = false;
        m_rig->session().start("run.submit", {{"spec", document}}, this, [&](const base::Result<Json>& result) {
            answered = true;
            if (result)
                made = QString::fromStdString(result->at("run").get<std::string>());
            else
                qWarning("%s", result.error().message.c_str());
        });
        return waitFor([&] { return answered; }, 30'000) ? made : QString();
    }
    /// Chooses a name in the list by the mouse and waits until it is read.
    bool choose(const QString& name, Kind kind) {
        auto* tree = m_rig->visible<QTreeWidget>(QStringLiteral("recordTree"));
        if (tree == nullptr) return false;
        for (int i = 0; i < tree->topLevelItemCount(); ++i) {
            QTreeWidgetItem* item = tree->topLevelItem(i);
            if (item->text(0) != name) continue;
            tree->scrollToItem(item);
            QTest::mouseClick(tree->viewport(), Qt::LeftButton, {}, tree->visualItemRect(item).center());
            auto* title = m_rig->visible<QLabel>(QStringLiteral("recordTitleLabel"));
            return title && title->text() == name && waitFor([&] { return m_tab->content().kind == kind; }, kSoon);
        }
        return false;
    }
    template <class W>
    W* part(const char* name) {
        W* found = nullptr;
        (void) waitFor([&] { return (found = m_rig->visible<W>(QString::fromLatin1(name))) != nullptr; }, kSoon);
        return found;
    }
    QString place() { return part<QLabel>("recordPlaceLabel")->text(); }

private Q_SLOTS:
    void initTestCase() {
        if (!QFileInfo::exists(QStringLiteral("/usr/bin/python3"))) TRAINYARD_SKIP("Needs python3.");
        m_rig = std::make_unique<WindowRig>(WindowRig::Fill::Nothing);
        m_run = submit(reportingScript());
        QVERIFY(!m_run.isEmpty());
        QVERIFY(ends(m_run, RunState::Completed));
        m_page = m_rig->go<ui::RunPage>(QStringLiteral("run/%1/records").arg(m_run));
        m_tab = m_page->findChild<ui::RecordsTab*>();
        QVERIFY(m_tab);
        QVERIFY(waitFor([&] { return m_tab->isVisible() && m_tab->series().size() == 12; }, kSoon));
    }
    void cleanupTestCase() { m_rig.reset(); }

    void picture_isBrowsedAndZoomed() {
        QVERIFY(choose(QStringLiteral("val/samples"), Kind::Picture));
        QCOMPARE(m_tab->content().picture.size(), QSize(48, 48));
        QCOMPARE(part<QLabel>("recordDescriptionLabel")->text(), QStringLiteral("What the model saw"));
        QVERIFY2(place().startsWith(QStringLiteral("Step 4 · 5 of 5")), qPrintable(place()));
        const QRgb last = m_tab->content().picture.pixel(0, 0);
        auto* slider = part<QSlider>("recordSlider");
        slider->setFocus();
        QTest::keyClick(slider, Qt::Key_Home);
        QVERIFY(waitFor([&] { return m_tab->content().picture.pixel(0, 0) != last; }, kSoon));
        QVERIFY(place().startsWith(QStringLiteral("Step 0 · 1 of 5")));
        QVERIFY(!part<QToolButton>("recordPreviousButton")->isEnabled());
        QTest::mouseClick(part<QToolButton>("recordNextButton"), Qt::LeftButton);
        QVERIFY(waitFor([&] { return qBlue(m_tab->content().picture.pixel(0, 0)) == 40; }, kSoon));
        auto* view = part<ui::PictureView>("recordPicture");
        const double fits = view->zoom();
        QTest::mouseClick(part<QToolButton>("recordLargerButton"), Qt::LeftButton);
        QVERIFY(view->zoom() > fits);
        QVERIFY(part<QLabel>("recordZoomLabel")->text().startsWith(QStringLiteral("48 × 48 pixels")));
        view->setFocus();
        QTest::keyClick(view, Qt::Key_1);
        QCOMPARE(view->zoom(), 1.0);
        QTest::keyClick(view, Qt::Key_0);
        QCOMPARE(view->zoom(), fits);
        m_rig->picture(QStringLiteral("records-picture"));
    }

    void matrix_saysWhatACellMeans() {
        QVERIFY(choose(QStringLiteral("Confusion matrix"), Kind::Confusion));
        auto* matrix = part<ui::ConfusionMatrix>("confusionMatrix");
        QCOMPARE(matrix->data().size(), 3);
        QCOMPARE(matrix->cellText(0, 0), QStringLiteral("94"));
        QCOMPARE(matrix->cellText(1, 2), QStringLiteral("8.5"));
        QVERIFY(part<QLabel>("recordSumLabel")->text().contains(QStringLiteral("3 classes · 300 samples · 274 right")));
        QTest::mouseClick(matrix, Qt::LeftButton, {}, matrix->cellRect(0, 1).center().toPoint());
        auto* meaning = part<QLabel>("confusionMeaningLabel");
        QVERIFY2(meaning->text().startsWith(QStringLiteral("6 of 100 samples of “cat” were taken for “dog” (6")),
                 qPrintable(meaning->text()));
        auto* samples = part<QListWidget>("confusionSamples");
        QCOMPARE(samples->count(), 2);
        QVERIFY(samples->item(0)->text().contains(QStringLiteral("cats/1.png")));
        // A sample that lies here is shown.
        samples->setCurrentRow(0);
        QVERIFY(waitFor(
            [&] {
                const auto views = m_tab->findChildren<ui::PictureView*>();
                return std::any_of(views.begin(), views.end(), [](ui::PictureView* view) {
                    return view->isVisible() && view->picture().width() == 16;
                });
            },
            kSoon));
        m_rig->picture(QStringLiteral("records-matrix"));
        QTest::keyClick(matrix, Qt::Key_Left);
        QVERIFY(meaning->text().startsWith(QStringLiteral("94 of 100 samples of “cat” were recognised")));
        QVERIFY(!m_rig->visible<QListWidget>(QStringLiteral("confusionSamples")));
        QCOMPARE(matrix->accessibleDescription(), matrix->data().meaning(0, 0));
        QVERIFY(matrix->data().meaning(-1, 1).startsWith(
            QStringLiteral("186 samples were taken for “dog”; 180 of them are (precision 96.8")));
        QVERIFY(matrix->data().meaning(2, -1).contains(QStringLiteral("(recall –)")));
        auto* cells = part<ui::SegmentedControl>("recordCellsControl");
        cells->setFocus();
        QTest::keyClick(cells, Qt::Key_Right);
        QCOMPARE(matrix->cellText(1, 2), QStringLiteral("17"));
        QTest::keyClick(cells, Qt::Key_Right);
        QCOMPARE(part<ui::RecordTable>("recordTable")->model()->rowCount(), 3);
        QTest::keyClick(cells, Qt::Key_Home);
        QVERIFY(part<ui::ConfusionMatrix>("confusionMatrix"));
        // Many classes are a map; each cell of it still says what it means.
        QVERIFY(choose(QStringLiteral("big classes"), Kind::Confusion));
        QVERIFY(waitFor([&] { return matrix->data().size() == 120; }, kSoon));
        QTest::mouseClick(matrix, Qt::LeftButton, {}, matrix->cellRect(60, 60).center().toPoint());
        QCOMPARE(matrix->chosenRow(), 60);
        m_rig->picture(QStringLiteral("records-matrix-large"));
        // What calls itself a matrix and is none is a table.
        QVERIFY(choose(QStringLiteral("lopsided"), Kind::Table));
    }

    void table_isSortedAndCopied() {
        QVERIFY(choose(QStringLiteral("per class"), Kind::Table));
        auto* table = part<ui::RecordTable>("recordTable");
        QVERIFY(waitFor([&] { return table->model()->rowCount() == 4; }, kSoon));
        const auto first = [&](int column) { return table->model()->index(0, column).data().toString(); };
        QCOMPARE(first(0), QStringLiteral("cat"));
        const auto header = [&](int column) {
            QHeaderView* head = table->horizontalHeader();
            QTest::mouseClick(head->viewport(), Qt::LeftButton, {},
                              {head->sectionViewportPosition(column) + 20, head->height() / 2});
        };
        header(1);
        QCOMPARE(first(1), QStringLiteral("0.1"));
        header(1);
        QCOMPARE(first(1), QStringLiteral("0.97"));
        // What is no number comes after them either way, and what is empty last.
        QCOMPARE(table->model()->index(3, 1).data().toString(), QStringLiteral("NaN"));
        header(2);
        QCOMPARE(table->model()->index(3, 2).data().toString(), QString());
        QCOMPARE(table->model()->index(2, 1).data(Qt::ToolTipRole).toString(), QStringLiteral("0.123456789"));
        m_rig->picture(QStringLiteral("records-table"));
        table->setFocus();
        table->selectRow(0);
        QTest::keyClick(table, Qt::Key_C, Qt::ControlModifier);
        QCOMPARE(QApplication::clipboard()->text(),
                 QStringLiteral("class\tprecision\trecall\tsupport\n\tNaN\t0.5\t10\n"));
        QTest::mouseClick(part<QPushButton>("recordCopyButton"), Qt::LeftButton);
        QVERIFY(waitFor(
            [&] {
                return QApplication::clipboard()->text().contains(
                    QStringLiteral("\"a very long name of a class, \"\"quoted\"\"\",0.123456789,1,200\r\n"));
            },
            kSoon));
        const QString file = QString::fromStdString((m_rig->scratch() / "saved table.csv").string());
        m_rig->questions().setNextAnswer(file);
        QTest::mouseClick(part<QPushButton>("recordSaveButton"), Qt::LeftButton);
        QVERIFY(waitFor([&] { return QFileInfo(file).size() > 20; }, kSoon));
        QCOMPARE(QString::fromStdString(*base::readFile(file.toStdString())), QApplication::clipboard()->text());
        // Rows that were reported one by one are one table.
        QVERIFY(choose(QStringLiteral("rows"), Kind::Table));
        QVERIFY(waitFor([&] { return table->model()->rowCount() == 5; }, kSoon));
        QVERIFY(!m_rig->visible<QSlider>(QStringLiteral("recordSlider")));
    }

    void histogram_goesOverItsSteps() {
        QVERIFY(choose(QStringLiteral("weights/head"), Kind::Histogram));
        auto* chart = part<ui::HistogramChart>("recordHistogram");
        QVERIFY(waitFor([&] { return chart->steps() == 5; }, kSoon));
        QCOMPARE(m_tab->content().histogram.counts.size(), std::size_t{24});
        QVERIFY(chart->barText(QPointF(chart->width() / 2.0, 40)).contains(QStringLiteral(" values from ")));
        m_rig->picture(QStringLiteral("records-histogram"));
        const QRectF map = chart->mapRect();
        QTest::mouseClick(chart, Qt::LeftButton, {},
                          QPointF(map.left() + map.width() * 0.3, map.center().y()).toPoint());
        QVERIFY(waitFor([&] { return place().startsWith(QStringLiteral("Step 1 ·")); }, kSoon));
    }

    void text_isPlain() {
        QVERIFY(choose(QStringLiteral("summary"), Kind::Text));
        QVERIFY(part<QPlainTextEdit>("recordText")->toPlainText().endsWith(QStringLiteral("<b>no markup</b>")));
    }

    void whatCannotBeShown_saysWhy() {
        for (const char* name : {"damaged", "outside", "broken"}) {
            QVERIFY2(choose(QString::fromLatin1(name), Kind::Nothing), name);
            QVERIFY(part<QWidget>("recordNothing"));
            QVERIFY2(waitFor([&] { return !m_tab->content().text.isEmpty(); }, kSoon), name);
        }
        m_rig->picture(QStringLiteral("records-broken"));
        auto* search = part<QLineEdit>("recordSearchLine");
        QTest::keyClicks(search, QStringLiteral("slashes"));
        auto* tree = part<QTreeWidget>("recordTree");
        QVERIFY(waitFor([&] { return tree->topLevelItemCount() == 1; }, kSoon));
        search->clear();
        QVERIFY(waitFor([&] { return tree->topLevelItemCount() == 12; }, kSoon));
    }

    void log_hasColoursAndFilesOfItsOwn() {
        m_page = m_rig->go<ui::RunPage>(QStringLiteral("run/%1/log").arg(m_run));
        ui::LogView* view = m_page->log()->view();
        auto* source = part<QComboBox>("logSourceCombo");
        QVERIFY(waitFor(
            [&] {
                return source->findData(QStringLiteral("logs/eval.txt")) >= 0 &&
                       source->findData(QStringLiteral("logs/train.txt")) >= 0;
            },
            kSoon));
        const auto pick = [&](const char* data, int lines) {
            source->setCurrentIndex(source->findData(QString::fromLatin1(data)));
            Q_EMIT source->activated(source->currentIndex());
            return waitFor([&] { return view->total() == lines && !view->lineText(0).isEmpty(); }, kSoon);
        };
        QVERIFY(pick("logs", 33));
        QVERIFY(pick("logs/eval.txt", 3));
        QCOMPARE(view->lineText(2), QStringLiteral("eval.txt line 2"));
        QVERIFY(pick("logs/train.txt", 30));
        QCOMPARE(view->lineText(29), QStringLiteral("train.txt line 29"));
        QVERIFY(pick("stdout", 2));
        QCOMPARE(view->lineText(0), QStringLiteral("green at last"));
        m_rig->picture(QStringLiteral("log-colours"));
    }

    void runWithoutRecords_hasNoSuchTab() {
        const QString plain = submit("print('nothing')\n");
        QVERIFY(!plain.isEmpty());
        QVERIFY(ends(plain, RunState::Completed));
        auto* tabs = m_page->findChild<QTabWidget*>(QStringLiteral("runTabs"));
        QVERIFY(!tabs->isTabVisible(tabs->indexOf(m_tab)));
        m_page = m_rig->go<ui::RunPage>(QStringLiteral("run/") + m_run);
        QVERIFY(waitFor([&] { return tabs->isTabVisible(tabs->indexOf(m_tab)); }, kSoon));
    }

    /// A run whose first attempt dies: what was told again is shown once, and each attempt's log can be looked at.
    void secondAttempt_isAChoiceOfItsOwn() {
        Json document = spec::defaultRunSpecDocument();
        const std::string script = "echo \"this is attempt $TRAINYARD_ATTEMPT\"; for s in 0 1 2; do echo "
                                   "'{\"kind\":\"text\",\"name\":\"note\",\"text\":\"of "
                                   "'$TRAINYARD_ATTEMPT'\",\"step\":'$s'}' >> \"$TRAINYARD_STREAM\"; done; "
                                   "[ $TRAINYARD_ATTEMPT = 2 ] || exit 7";
        const std::pair<const char*, Json> values[] = {
            {"task.kind", "command"}, {"task.command", Json::array({"sh", "-c", script})}, {"limits.max_restarts", 1}};
        for (const auto& [path, value] : values) spec::setValueAt(document, path, value);
        QString made;
        m_rig->session().start("run.submit", {{"spec", document}}, this, [&](const base::Result<Json>& result) {
            if (result) made = QString::fromStdString(result->at("run").get<std::string>());
        });
        QVERIFY(waitFor([&] { return !made.isEmpty(); }, 30'000));
        QVERIFY(ends(made, RunState::Completed));
        m_page = m_rig->go<ui::RunPage>(QStringLiteral("run/%1/log").arg(made));
        auto* attempts = part<QComboBox>("runAttemptCombo");
        QVERIFY(attempts);
        QCOMPARE(attempts->count(), 2);
        ui::LogView* view = m_page->log()->view();
        const auto says = [&](const char* text) {
            return waitFor(
                [&] {
                    for (int i = 0; i < view->total(); ++i) {
                        if (view->lineText(i) == QLatin1String(text)) return true;
                    }
                    return false;
                },
                kSoon);
        };
        QVERIFY(says("this is attempt 2"));
        QCOMPARE(m_tab->series().at(0).places.size(), std::size_t{3});
        QCOMPARE(m_tab->series().at(0).places.at(0).attempt, 2);
        attempts->setFocus();
        QTest::keyClick(attempts, Qt::Key_Down);
        QVERIFY(says("this is attempt 1"));
        QVERIFY(part<QLabel>("runAttemptLabel")->text().startsWith(QStringLiteral("Attempt 1 · ")));
        QCOMPARE(m_tab->series().at(0).places.at(0).attempt, 1);
        m_rig->picture(QStringLiteral("attempts"));
    }

private:
    std::unique_ptr<WindowRig> m_rig;
    QString m_run;
    ui::RunPage* m_page = nullptr;
    ui::RecordsTab* m_tab = nullptr;
};

TRAINYARD_GUI_TEST(RecordsTest)
#include "tst_Records.moc"
