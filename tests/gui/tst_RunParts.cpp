// Parts of a run's page over real files and real runs: preview of outputs, code with git's word, notices, a run done
// again.
#include <QComboBox>
#include <QImage>
#include <QLabel>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QProgressBar>
#include <QPushButton>
#include <QScrollArea>
#include <QScrollBar>
#include <QTableWidget>
#include <QTreeWidget>
#include <QTreeWidgetItemIterator>

#include "core/base/Clock.h"
#include "core/spec/RunSpec.h"
#include "core/store/Reader.h"
#include "tests/gui/WindowRig.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Skip.h"
#include "ui/charts/ChartView.h"
#include "ui/forms/FormDocument.h"
#include "ui/runs/LogTab.h"
#include "ui/runs/LogView.h"
#include "ui/runs/MetricsTab.h"
#include "ui/runs/NewRunPage.h"
#include "ui/runs/OutputPreview.h"
#include "ui/runs/Pictures.h"
#include "ui/runs/ReproductionNotice.h"
#include "ui/runs/RunCharts.h"
#include "ui/runs/RunNotices.h"
#include "ui/runs/RunPage.h"
#include "ui/runs/RunTables.h"
#include "ui/runs/StageStrip.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"

using namespace trainyard;
using base::Json;
using spec::RunState;
using test::waitFor;
using test::WindowRig;
using Content = ui::OutputPreview::Content;
using Kind = Content::Kind;

class RunPartsTest : public QObject {
    Q_OBJECT

private:
    Content read(const char* name, std::string_view bytes) {
        return ui::OutputPreview::read(m_rig->scratch().write(std::string("outputs/") + name, bytes),
                                       QString::fromUtf8(name));
    }
    static std::string png(QSize size) {
        QImage image(size, QImage::Format_RGB32);
        image.fill(Qt::darkCyan);
        QByteArray bytes;
        QBuffer buffer(&bytes);
        buffer.open(QIODevice::WriteOnly);
        image.save(&buffer, "PNG");
        return bytes.toStdString();
    }
    bool git(const std::vector<std::string>& arguments) {
        std::vector<std::string> all{"-C", m_source.string(),    "-c", "user.name=Ada",
                                     "-c", "user.email=ada@lab", "-c", "init.defaultBranch=trunk"};
        all.insert(all.end(), arguments.begin(), arguments.end());
        return test::runProgram("/usr/bin/git", all).exitCode == 0;
    }
    /// Submits the source folder's script here and waits for its end. Empty on failure.
    QString runScript(const char* environment = "trainyard-engine") {
        Json document = spec::defaultRunSpecDocument();
        spec::setValueAt(document, "environment", environment);
        const std::pair<const char*, Json> values[] = {
            {"task.kind", "command"}, {"task.source_folder", m_source.string()}, {"task.script", "train.py"}};
        for (const auto& [path, value] : values) spec::setValueAt(document, path, value);
        QString made;
        bool answered = false;
        m_rig->session().start("run.submit", {{"spec", document}}, this, [&](const base::Result<Json>& result) {
            answered = true;
            if (result) {
                made = QString::fromStdString(result->at("run").get<std::string>());
            } else {
                qWarning("%s", result.error().message.c_str());
            }
        });
        if (!waitFor([&] { return answered; }, 30'000) || made.isEmpty()) return {};
        return ended(made) ? made : QString();
    }
    ui::RunPage* page(const QString& run) {
        auto* page = m_rig->go<ui::RunPage>(QStringLiteral("run/") + run);
        return page && waitFor([&] { return page->detail() && page->detail()->row.id.str() == run.toStdString(); },
                               10'000)
                   ? page
                   : nullptr;
    }
    bool ended(const QString& run) {
        ui::RunPage* shown = page(run);
        return shown && waitFor([&] { return spec::isFinal(shown->detail()->row.state); }, 60'000) &&
               shown->detail()->row.state == RunState::Completed;
    }
    static QTreeWidgetItem* named(QTreeWidget* tree, const QString& name) {
        for (QTreeWidgetItemIterator at(tree); *at; ++at) {
            if ((*at)->text(0) == name) return *at;
        }
        return nullptr;
    }

private Q_SLOTS:
    void initTestCase() { m_rig = std::make_unique<WindowRig>(WindowRig::Fill::Nothing); }
    void cleanupTestCase() { m_rig.reset(); }

    void preview_knowsAFileByItsContent() {
        QCOMPARE(read("log.txt", "two\nlines <b>").kind, Kind::Text);
        QCOMPARE(read("log.txt", "two\nlines <b>").text, QStringLiteral("two\nlines <b>"));
        QVERIFY(read("a.json", R"({"b":[1,2]})").text.contains(QStringLiteral("\n")));
        QCOMPARE(read("a.json", R"({"b":[1,)").text, QStringLiteral(R"({"b":[1,)"));
        // The name says nothing against the content.
        QCOMPARE(read("picture.txt", png({40, 30})).kind, Kind::Picture);
        QCOMPARE(read("picture.txt", png({40, 30})).picture.size(), QSize(40, 30));
        QCOMPARE(read("picture.png", "no picture").kind, Kind::Text);
        const Content binary = read("weights.bin", std::string_view("\x7f\0\1\2", 4));
        QCOMPARE(binary.kind, Kind::None);
        QVERIFY(!binary.text.isEmpty());
        QCOMPARE(read("empty.txt", "").kind, Kind::Text);
        QVERIFY(read("latin.txt", "gr\xfc\xdf").text.startsWith(QStringLiteral("gr")));
    }

    void preview_takesOnlyAPart() {
        const Content text = read("long.txt", std::string(2 << 20, 'x'));
        QVERIFY(text.cut);
        QVERIFY(text.text.size() < (1 << 20));
        std::string rows = "step,loss\n";
        for (int i = 0; i < 5000; ++i) rows += std::to_string(i) + ",0.5\n";
        const Content table = read("long.csv", rows);
        QCOMPARE(table.kind, Kind::Table);
        QVERIFY(table.cut);
        QVERIFY(table.rows.size() < 1000);
    }

    void preview_readsTables() {
        const Content table = read("t.csv", "name,note\r\n\"a, b\",\"said \"\"so\"\"\"\r\nshort\r\n");
        QCOMPARE(table.kind, Kind::Table);
        QCOMPARE(table.rows.size(), 3);
        QCOMPARE(table.rows[1], (QStringList{QStringLiteral("a, b"), QStringLiteral("said \"so\"")}));
        QCOMPARE(table.rows[2], QStringList{QStringLiteral("short")});
        ui::OutputPreview preview(m_rig->session(), nullptr);
        preview.resize(500, 400);
        preview.show();
        preview.showFile(m_rig->scratch().write("outputs/t.csv", "a,b\n1,2\n3\n"), QStringLiteral("t.csv"));
        auto* shown = preview.findChild<QTableWidget*>(QStringLiteral("previewTable"));
        QVERIFY(waitFor([&] { return shown->isVisible() && shown->rowCount() == 2; }, 10'000));
        QCOMPARE(shown->horizontalHeaderItem(1)->text(), QStringLiteral("b"));
        QCOMPARE(shown->item(0, 1)->text(), QStringLiteral("2"));
    }

    void preview_survivesDamagedPictures() {
        const std::string whole = png({400, 300});
        const Content half = read("half.png", whole.substr(0, 60));
        QCOMPARE(half.kind, Kind::None);
        QVERIFY(!half.text.isEmpty());
        // A few bytes that would be 11 GiB of pixels.
        const Content huge = read("huge.ppm", "P6\n60000 60000\n255\n");
        QCOMPARE(huge.kind, Kind::None);
        QVERIFY(!huge.text.isEmpty());
    }

    /// As a telephone held upright writes them: the pixels lie, and a mark says how to turn them.
    void pictures_areTurnedAsTheCameraNoted() {
        QImage lying(40, 20, QImage::Format_RGB32);
        lying.fill(Qt::white);
        for (int y = 0; y < 20; ++y) {
            for (int x = 0; x < 20; ++x) lying.setPixel(x, y, qRgb(200, 0, 0));
        }
        QByteArray bytes;
        QBuffer buffer(&bytes);
        buffer.open(QIODevice::WriteOnly);
        QVERIFY(lying.save(&buffer, "JPEG", 95));
        // Behind the first marker: Exif, little-endian, one entry, orientation 6 (a quarter turn to the right).
        constexpr char kTurned[] = "\xff\xe1\x00\x22"
                                   "Exif\0\0II*\0\x08\0\0\0"
                                   "\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        bytes.insert(2, QByteArray(kTurned, sizeof kTurned - 1));
        const auto turned = ui::decodePicture(bytes);
        QVERIFY2(turned.ok(), turned.ok() ? "" : turned.error().message.c_str());
        QCOMPARE(turned->size(), QSize(20, 40));
        QVERIFY(qRed(turned->pixel(10, 5)) > 150 && qGreen(turned->pixel(10, 5)) < 80);
        QVERIFY(qGreen(turned->pixel(10, 35)) > 200);
    }

    void pictures_cutOffAreToldWithoutTheDecoder() {
        const QByteArray whole = QByteArray::fromStdString(png({400, 300}));
        QVERIFY(ui::decodePicture(whole).ok());
        // What some programs write behind a picture does it no harm.
        QVERIFY(ui::decodePicture(whole + QByteArray(200, 'x')).ok());
        const auto half = ui::decodePicture(whole.left(whole.size() / 2));
        QVERIFY(!half.ok());
        QCOMPARE(half.error().code, std::string("picture.damaged"));
        QVERIFY2(half.error().message.find("cut off") != std::string::npos, half.error().message.c_str());
    }

    void preview_showsThePicture() {
        ui::OutputPreview preview(m_rig->session(), nullptr);
        preview.resize(500, 400);
        preview.show();
        preview.showFile(m_rig->scratch().write("outputs/p.png", png({64, 48})), QStringLiteral("p.png"));
        auto* shown = preview.findChild<QLabel*>(QStringLiteral("previewPicture"));
        QVERIFY(shown);
        QVERIFY(waitFor([&] { return shown->isVisible() && !shown->pixmap().isNull(); }, 10'000));
        QCOMPARE(shown->pixmap().toImage().pixelColor(5, 5), QColor(Qt::darkCyan));
    }

    void preview_newestFileWins() {
        ui::OutputPreview preview(m_rig->session(), nullptr);
        preview.resize(500, 400);
        preview.show();
        auto* text = preview.findChild<QPlainTextEdit*>(QStringLiteral("previewText"));
        for (int i = 0; i < 20; ++i) {
            const std::string name = "f" + std::to_string(i) + ".txt";
            preview.showFile(m_rig->scratch().write("outputs/" + name, name), QString::fromStdString(name));
        }
        QVERIFY(waitFor([&] { return text->toPlainText() == u"f19.txt"; }, 10'000));
        preview.clear(QStringLiteral("none"));
        QVERIFY(!text->isVisible());
        QCOMPARE(preview.findChild<QLabel*>(QStringLiteral("previewNoteLabel"))->text(), QStringLiteral("none"));
    }

    void code_showsFilesGitAndPatch_andWhatDiffers() {
        if (!QFileInfo::exists(QStringLiteral("/usr/bin/git"))) TRAINYARD_SKIP("Needs git.");
        m_source = m_rig->scratch().write("source/train.py", "print('first')\n").parent_path();
        m_rig->scratch().write("source/lib/nets.py", "WIDTH = 8\n");
        QVERIFY(git({"init", "-q"}) && git({"add", "-A"}) && git({"commit", "-q", "-m", "begin"}));
        m_rig->scratch().write("source/train.py", "print('changed')\n");
        m_first = runScript();
        QVERIFY(!m_first.isEmpty());
        auto* shown = m_rig->go<ui::RunPage>(QStringLiteral("run/%1/code").arg(m_first));
        QVERIFY(shown);
        auto* tree = shown->findChild<QTreeWidget*>(QStringLiteral("codeTree"));
        QVERIFY(waitFor([&] { return named(tree, QStringLiteral("nets.py")) != nullptr; }, 10'000));
        auto* facts = shown->findChild<QLabel*>(QStringLiteral("codeFactsLabel"));
        QVERIFY2(facts->text().contains(QStringLiteral("branch trunk")), qPrintable(facts->text()));
        auto* text = shown->findChild<QPlainTextEdit*>(QStringLiteral("codeText"));
        tree->setCurrentItem(named(tree, QStringLiteral("nets.py")));
        QVERIFY(waitFor([&] { return text->toPlainText() == u"WIDTH = 8\n"; }, 10'000));
        QTreeWidgetItem* patch = tree->topLevelItem(0);
        tree->setCurrentItem(patch);
        QVERIFY(waitFor([&] { return text->toPlainText().contains(QStringLiteral("+print('changed')")); }, 10'000));
        QVERIFY(text->toPlainText().contains(QStringLiteral("-print('first')")));
        m_rig->picture(QStringLiteral("code-patch"));

        m_rig->scratch().write("source/lib/nets.py", "WIDTH = 16\n");
        m_rig->scratch().write("source/new.py", "");
        const QString second = runScript();
        QVERIFY(!second.isEmpty());
        shown = m_rig->go<ui::RunPage>(QStringLiteral("run/%1/code").arg(second));
        QVERIFY(waitFor([&] { return named(tree, QStringLiteral("new.py")) != nullptr; }, 10'000));
        auto* with = shown->findChild<QLineEdit*>(QStringLiteral("codeCompareLine"));
        QTest::keyClicks(with, QStringLiteral("#1"));
        QTest::keyClick(with, Qt::Key_Return);
        QVERIFY(waitFor([&] { return !named(tree, QStringLiteral("nets.py"))->text(2).isEmpty(); }, 10'000));
        QVERIFY(!named(tree, QStringLiteral("new.py"))->text(2).isEmpty());
        QVERIFY(named(tree, QStringLiteral("train.py"))->text(2).isEmpty());
    }

    void reproduced_saysWhetherItCameToTheSame() {
        if (m_first.isEmpty()) TRAINYARD_SKIP("Needs git.");
        QVERIFY(page(m_first));
        m_rig->action(QStringLiteral("reproduceAction"))->trigger();
        auto* shown = qobject_cast<ui::RunPage*>(m_rig->window().page());
        QVERIFY(shown);
        QVERIFY(waitFor([&] { return shown->detail() && shown->detail()->row.number == 3; }, 30'000));
        QVERIFY(waitFor([&] { return spec::isFinal(shown->detail()->row.state); }, 60'000));
        auto* notice = shown->findChild<ui::ReproductionNotice*>();
        QVERIFY(waitFor(
            [&] { return notice->isVisible() && notice->text().startsWith(QStringLiteral("The same as run #1")); },
            20'000));
        m_rig->picture(QStringLiteral("reproduced"));
        // Its button leads to the original, whose page says nothing of the kind.
        auto* button = notice->findChild<QPushButton*>();
        QTest::mouseClick(button, Qt::LeftButton);
        QVERIFY(waitFor([&] { return shown->detail() && shown->detail()->row.number == 1; }, 10'000));
        QVERIFY(notice->isClear());
    }

    /// What a script does that no seed holds: the page of its repetition says what came out otherwise.
    void reproduced_saysWhatDiffers() {
        m_rig->scratch().write("odd/train.py", R"(import json, os, time
with open(os.environ["TRAINYARD_STREAM"], "a") as stream:
    for step in range(3):
        value = 1.0 if step == 0 else time.time()
        stream.write(json.dumps({"kind": "metric", "name": "odd", "value": value, "step": step}) + "\n")
)");
        m_source = m_rig->scratch() / "odd";
        const QString first = runScript();
        QVERIFY(!first.isEmpty());
        ui::RunPage* shown = page(first);
        QVERIFY(shown);
        const std::int64_t number = shown->detail()->row.number;
        m_rig->action(QStringLiteral("reproduceAction"))->trigger();
        QVERIFY(waitFor([&] { return shown->detail() && shown->detail()->row.number == number + 1; }, 30'000));
        auto* notice = shown->findChild<ui::ReproductionNotice*>();
        QVERIFY(waitFor(
            [&] { return notice->text().startsWith(QStringLiteral("Not the same as run #%1").arg(number)); }, 60'000));
        for (const char* part : {"What differs: 1 metric (odd: ", " there, ", " here, from step 1 on)"})
            QVERIFY2(notice->text().contains(QLatin1String(part)), qPrintable(notice->text()));
        m_rig->picture(QStringLiteral("reproduced-otherwise"));
    }

    void outputs_areCopiedByClicks() {
        m_rig->scratch().write("left/train.py", R"(import os
os.makedirs(os.path.join(os.environ["TRAINYARD_OUTPUTS"], "deep"))
for name in ("a.txt", "deep/b.txt"):
    with open(os.path.join(os.environ["TRAINYARD_OUTPUTS"], name), "w") as file:
        file.write(name)
)");
        m_source = m_rig->scratch() / "left";
        const QString run = runScript();
        QVERIFY(!run.isEmpty());
        m_left = run;
        auto* shown = m_rig->go<ui::RunPage>(QStringLiteral("run/%1/outputs").arg(run));
        auto* tree = shown->findChild<QTreeWidget*>(QStringLiteral("outputsTree"));
        QVERIFY(waitFor([&] { return named(tree, QStringLiteral("b.txt")) != nullptr; }, 10'000));
        const auto copy = [&](const char* button, const char* folder) {
            const base::Path to = m_rig->scratch() / folder;
            std::filesystem::create_directories(to);
            m_rig->questions().setNextAnswer(QString::fromStdString(to.string()));
            auto* found = m_rig->visible<QPushButton>(QString::fromLatin1(button));
            if (found && found->isEnabled()) QTest::mouseClick(found, Qt::LeftButton);
        };
        const auto holds = [&](const char* file, const std::string& text) {
            return base::readFile(m_rig->scratch() / file).valueOr(std::string()) == text;
        };
        tree->setCurrentItem(named(tree, QStringLiteral("b.txt")));
        copy("copySelectedButton", "one");
        QVERIFY(waitFor([&] { return holds("one/deep/b.txt", "deep/b.txt"); }, 20'000));
        QVERIFY(!std::filesystem::exists(m_rig->scratch() / "one/a.txt"));
        copy("copyAllButton", "all");
        QVERIFY(waitFor([&] { return holds("all/a.txt", "a.txt") && holds("all/deep/b.txt", "deep/b.txt"); }, 20'000));
    }

    /// Plots out of sight cost nothing until they are scrolled to.
    void plots_areFetchedWhenTheyComeIntoSight() {
        m_rig->scratch().write("many/train.py", R"(import json, os
with open(os.environ["TRAINYARD_STREAM"], "a") as stream:
    for step in range(5):
        for name in range(36):
            stream.write(json.dumps({"kind": "metric", "name": f"m{name:02}", "value": step * name, "step": step}) + "\n")
)");
        m_source = m_rig->scratch() / "many";
        const QString run = runScript();
        QVERIFY(!run.isEmpty());
        auto* shown = m_rig->go<ui::RunPage>(QStringLiteral("run/%1/metrics").arg(run));
        ui::RunCharts* charts = shown->metrics()->charts();
        const auto filled = [&](const char* name) {
            auto* view = charts->findChild<ui::ChartView*>(QString::fromLatin1(name));
            return view && view->isVisible() && !view->seriesKeys().isEmpty();
        };
        QVERIFY(
            waitFor([&] { return filled("m00Chart") && charts->findChild<ui::ChartView*>(QStringLiteral("m35Chart")); },
                    20'000));
        QTest::qWait(500);
        QVERIFY(!filled("m35Chart"));
        QVERIFY(!filled("m20Chart"));
        QScrollArea* page = nullptr;
        for (QWidget* up = charts; up && !page; up = up->parentWidget()) page = qobject_cast<QScrollArea*>(up);
        QVERIFY(page);
        page->verticalScrollBar()->setValue(page->verticalScrollBar()->maximum());
        QVERIFY(waitFor([&] { return filled("m35Chart"); }, 20'000));
        // Others come with the size of the window.
        QVERIFY(!filled("m12Chart"));
        m_rig->window().resize(1280, 4000);
        QVERIFY(waitFor([&] { return filled("m12Chart") && filled("m20Chart"); }, 20'000));
        m_rig->window().resize(1280, 800);
    }

    /// A run that ended will write no more: what is empty is not said to be so "yet".
    void emptyTabs_sayWhetherAnythingMayCome() {
        m_rig->scratch().write("silent/train.py", "");
        m_source = m_rig->scratch() / "silent";
        const QString run = runScript();
        QVERIFY(!run.isEmpty());
        auto* shown = m_rig->go<ui::RunPage>(QStringLiteral("run/%1/log").arg(run));
        ui::LogView* log = shown->log()->view();
        QVERIFY(waitFor([&] { return log->total() == 0; }, 10'000));
        QCOMPARE(log->emptyText(), QStringLiteral("Nothing was written."));
        auto* source = m_rig->visible<QComboBox>(QStringLiteral("logSourceCombo"));
        source->setFocus();
        QTest::keyClick(source, Qt::Key_End);
        QVERIFY(source->currentIndex() > 0);
        QVERIFY(waitFor(
            [&] { return log->total() == 0 && log->emptyText() == u"Nothing was written by what is chosen above."; },
            10'000));
        ui::RanksTab ranks(nullptr);
        ui::RunDetail detail;
        detail.row.state = RunState::Queued;
        const auto says = [&ranks](const char* text) {
            const QList<QLabel*> labels = ranks.findChildren<QLabel*>();
            return std::any_of(labels.begin(), labels.end(),
                               [&](const QLabel* label) { return label->text() == QLatin1String(text); });
        };
        ranks.setDetail(detail, 0);
        QVERIFY(says("No process yet"));
        detail.row.state = RunState::Failed;
        ranks.setDetail(detail, 0);
        QVERIFY(says("No process") && says("The run ended before one was started."));
    }

    /// Where each rank's time goes, and which of them holds the others up.
    void ranks_tellWhatTheirStepsTake() {
        ui::RunDetail detail;
        detail.row.state = RunState::Running;
        detail.row.attempts = 2;
        for (const int attempt : {1, 2}) {
            for (const int rank : {0, 1}) {
                store::RankRow row;
                row.attempt = attempt;
                row.rank = rank;
                detail.ranks.push_back(row);
                const std::pair<const char*, double> last[] = {{"train/step_seconds", 0.25},
                                                               {"train/data_seconds", rank == 1 ? 0.2 : 0.001},
                                                               {"train/exchange_seconds", rank == 1 ? 0.002 : 0.19}};
                for (const auto& [name, value] : last) {
                    // The second attempt has no times yet.
                    if (attempt == 2) continue;
                    store::SeriesRow series;
                    series.name = name;
                    series.attempt = attempt;
                    series.rank = rank;
                    series.last = value;
                    detail.series.push_back(series);
                }
            }
        }
        store::WarningRow slow;
        slow.attempt = 1;
        slow.code = "train.slow_rank";
        slow.message = "Rank 1 is slow, and the others wait for it.";
        detail.warnings.push_back(slow);
        ui::RanksTab ranks(nullptr);
        auto* table = ranks.findChild<QTableWidget*>(QStringLiteral("ranksTable"));
        auto* told = ranks.findChild<ui::InlineError*>(QStringLiteral("slowRanks"));
        const auto column = [table](const char* title) {
            for (int i = 0; i < table->columnCount(); ++i) {
                if (table->horizontalHeaderItem(i)->text() == QLatin1String(title)) return i;
            }
            return -1;
        };
        const int step = column("A step"), data = column("Of it data"), exchange = column("Exchange");
        QVERIFY(step > 0 && data > 0 && exchange > 0);
        ranks.setDetail(detail, 1);
        QVERIFY(!told->isClear());
        QVERIFY(told->text().contains(QStringLiteral("Rank 1 is slow")));
        QCOMPARE(table->item(0, step)->text(), ui::formatDuration(250'000'000));
        QCOMPARE(table->item(1, data)->text(), ui::formatDuration(200'000'000));
        QCOMPARE(table->item(0, exchange)->text(), ui::formatDuration(190'000'000));
        ranks.setDetail(detail, 0);
        QVERIFY(told->isClear());
        QVERIFY(table->isColumnHidden(step) && table->isColumnHidden(data) && table->isColumnHidden(exchange));
    }

    /// What one run really ran in against what another did, by name.
    void environments_areCompared() {
        m_rig->scratch().write("silent/train.py", "");
        m_source = m_rig->scratch() / "silent";
        const QString python = runScript();
        const QString shell = runScript("trainyard-shell");
        QVERIFY(!python.isEmpty() && !shell.isEmpty());
        QVERIFY(page(python));
        const std::int64_t number = page(python)->detail()->row.number;
        auto* shown = m_rig->go<ui::RunPage>(QStringLiteral("run/%1/environment").arg(shell));
        QVERIFY(
            waitFor([&] { return shown->detail() && shown->detail()->row.id.str() == shell.toStdString(); }, 10'000));
        auto* with = shown->findChild<QLineEdit*>(QStringLiteral("environmentCompareLine"));
        auto* said = shown->findChild<QLabel*>(QStringLiteral("environmentComparedLabel"));
        QVERIFY(waitFor([&] { return with->isVisible(); }, 10'000));
        const auto compare = [&](const QString& run) {
            with->clear();
            QTest::keyClicks(with, run);
            QTest::keyClick(with, Qt::Key_Return);
        };
        compare(QStringLiteral("#%1").arg(number));
        QVERIFY(
            waitFor([&] { return said->text().contains(QStringLiteral("differ from run #%1").arg(number)); }, 10'000));
        QStringList texts;
        for (const QLabel* one :
             shown->findChild<QWidget*>(QStringLiteral("environmentDifferences"))->findChildren<QLabel*>())
            texts << one->text();
        const QString all = texts.join(u'\n');
        QVERIFY2(all.contains(QStringLiteral("trainyard-shell:1 here, trainyard-engine there")), qPrintable(all));
        m_rig->picture(QStringLiteral("environment-compared"));
        compare(QStringLiteral("#%1").arg(shown->detail()->row.number));
        QVERIFY(waitFor([&] { return said->text().startsWith(QStringLiteral("The same")); }, 10'000));
        compare(QStringLiteral("#4711"));
        QVERIFY(waitFor(
            [&] {
                return said->text().contains(QStringLiteral("4711")) &&
                       !said->text().contains(QStringLiteral("differ"));
            },
            10'000));
    }

    /// A script goes on from what an earlier run of it left: its form comes filled.
    void script_goesOnFromItsOutputs() {
        QVERIFY(page(m_left));
        QVERIFY(m_rig->action(QStringLiteral("goOnAction")));
        m_rig->action(QStringLiteral("goOnAction"))->trigger();
        auto* form = qobject_cast<ui::NewRunPage*>(m_rig->window().page());
        QVERIFY(form);
        QVERIFY(
            waitFor([&] { return form->document().value(QStringLiteral("resume_from")) == Json(m_left.toStdString()); },
                    10'000));
        QCOMPARE(form->document().value(QStringLiteral("task.script")), Json("train.py"));
        m_rig->scratch().write("left/train.py", R"(import os
with open(os.path.join(os.environ["TRAINYARD_INPUT_RESUME"], "deep/b.txt")) as file:
    print("found", file.read())
)");
        QVERIFY(form->document().validateNow().empty());
        m_rig->action(QStringLiteral("launchAction"))->trigger();
        QVERIFY(waitFor([&] { return qobject_cast<ui::RunPage*>(m_rig->window().page()) != nullptr; }, 20'000));
        auto* shown = qobject_cast<ui::RunPage*>(m_rig->window().page());
        QVERIFY(waitFor(
            [&] {
                return shown->detail() && shown->detail()->row.id.str() != m_left.toStdString() &&
                       spec::isFinal(shown->detail()->row.state);
            },
            60'000));
        QVERIFY2(shown->detail()->row.state == RunState::Completed, shown->detail()->row.stateReason.c_str());
        QCOMPARE(shown->detail()->row.parent, m_left.toStdString());
    }

    void stages_haveTheirTimes() {
        ui::StageStrip strip(nullptr);
        strip.resize(700, 44);
        store::RunRow row;
        row.state = RunState::Completed;
        constexpr std::int64_t kSecond = 1'000'000;
        constexpr std::int64_t kBegin = 1'000 * kSecond;
        row.endedAt = kBegin + 100 * kSecond;
        // Two attempts: preparing belongs to the run, all else to the newest.
        const std::vector<store::StageRow> stages{
            {RunState::Preparing, kBegin, "", 0, true},
            {RunState::Running, kBegin + 5 * kSecond, "", 1, false},
            {RunState::Queued, kBegin + 20 * kSecond, "Waits for a GPU.", 2, false},
            {RunState::Running, kBegin + 50 * kSecond, "", 2, false},
            {RunState::Finalizing, kBegin + 95 * kSecond, "", 2, false},
            {RunState::Completed, kBegin + 100 * kSecond, "", 0, true}};
        strip.setRun(row, stages);
        const auto told = [](const char* word, std::int64_t seconds) {
            return QString::fromLatin1(word) + u' ' + ui::formatDuration(seconds * 1'000'000'000);
        };
        QCOMPARE(
            strip.accessibleDescription(),
            (QStringList{told("Preparing", 20), told("Queued", 30), told("Running", 45), told("Finalizing", 5)}.join(
                QStringLiteral(", "))));
        // While a stage lasts its time grows.
        row.state = RunState::Running;
        row.endedAt = 0;
        const std::int64_t now = base::wallMicros();
        strip.setRun(row, {{RunState::Preparing, now - 90 * kSecond, "", 0, true},
                           {RunState::Running, now - 60 * kSecond, "", 1, false}});
        QVERIFY2(strip.accessibleDescription().startsWith(told("Preparing", 30) + QStringLiteral(", Running 1 min")),
                 qPrintable(strip.accessibleDescription()));
    }

    void notices_nameSilentHostsAndWhatTheyOwe() {
        ui::RunNotices notices(m_rig->window().shell(), nullptr);
        notices.resize(700, 200);
        const std::int64_t now = base::wallMicros();
        ui::RunDetail detail;
        detail.row.target = "pair";
        detail.row.state = RunState::Running;
        detail.row.attempts = 1;
        for (int rank = 0; rank < 4; ++rank) {
            store::RankRow one;
            one.rank = rank;
            one.node = rank / 2;
            one.lastAt = now - 30'000'000;
            detail.ranks.push_back(one);
        }
        for (int node = 0; node < 2; ++node) {
            store::AttemptRow one;
            one.node = node;
            one.host = "node" + std::to_string(node + 1);
            detail.attempts.push_back(one);
        }
        detail.events.push_back(
            {"host_silent",
             now,
             {{"host", "node2"}, {"nodes", {1}}, {"since", now - 20'000'000}, {"reason", "No route to host"}}});
        notices.setDetail(detail);
        auto* silent = notices.findChild<ui::InlineError*>(QStringLiteral("runSilentHosts"));
        QVERIFY(!notices.isHidden());
        const QStringList parts{QStringLiteral("node2 does not answer since ") + ui::formatTime(now - 20'000'000),
                                QStringLiteral("No route to host."),
                                QStringLiteral("ranks 2 and 3 reported after ") + ui::formatTime(now - 30'000'000)};
        for (const QString& part : parts) QVERIFY2(silent->text().contains(part), qPrintable(silent->text()));
        QVERIFY(notices.findChild<ui::InlineError*>(QStringLiteral("runReach"))->isClear());
        // It answers again.
        detail.events.push_back({"host_back", now + 1, {{"host", "node2"}}});
        notices.setDetail(detail);
        QVERIFY(notices.isHidden());
        // The run has ended without it, and then its rest is here.
        detail.row.state = RunState::Failed;
        detail.events.push_back({"collected", now + 2, {{"attempt", 1}, {"files", 1}, {"left", {1}}}});
        notices.setDetail(detail);
        QVERIFY2(silent->text().startsWith(QStringLiteral("Nothing was heard of node2 at the run's end.")),
                 qPrintable(silent->text()));
        QVERIFY(silent->text().contains(QStringLiteral("when pair can be reached")));
        detail.events.push_back({"collected", now + 3, {{"attempt", 1}, {"files", 2}}});
        notices.setDetail(detail);
        QVERIFY(notices.isHidden());
    }

    void notices_tellWhatStandsInBetween() {
        ui::RunNotices notices(m_rig->window().shell(), nullptr);
        notices.resize(700, 200);
        ui::RunDetail detail;
        detail.row.target = "cluster";
        detail.row.state = RunState::Preparing;
        const std::int64_t now = base::wallMicros();
        notices.setDetail(detail);
        QVERIFY(notices.isHidden());
        detail.events.push_back(
            {"upload",
             now,
             {{"text", "Sending 3 files"}, {"bytes_done", 50 << 20}, {"bytes_total", 200 << 20}, {"rate", 10 << 20}}});
        notices.setDetail(detail);
        QVERIFY(!notices.isHidden());
        auto* upload = notices.findChild<QLabel*>(QStringLiteral("runUploadLabel"));
        QVERIFY2(upload->text().startsWith(QStringLiteral("Sending 3 files · 50")), qPrintable(upload->text()));
        QVERIFY(upload->text().contains(ui::formatDuration(15'000'000'000)));
        QCOMPARE(notices.findChild<QProgressBar*>()->value(), 250);
        // The queue's own words.
        detail.row.state = RunState::Queued;
        detail.events.push_back(
            {"scheduler",
             now,
             {{"job", "17"}, {"reason", "Resources"}, {"estimated_start", now + 600'000'000}, {"restarts", 1}}});
        notices.setDetail(detail);
        auto* queue = notices.findChild<QLabel*>(QStringLiteral("runQueueLabel"));
        for (const char* part : {"Job 17", "Resources", "estimated start in ", "requeued 1"})
            QVERIFY2(queue->text().contains(QLatin1String(part)), qPrintable(queue->text()));
        // A cut, and a cancel that waits for its end.
        detail.row.state = RunState::Lost;
        detail.events.push_back({"unreachable", now, {{"since", now - 60'000'000}, {"reason", "No route."}}});
        notices.setDetail(detail);
        auto* reach = notices.findChild<ui::InlineError*>(QStringLiteral("runReach"));
        QVERIFY2(reach->text().contains(QStringLiteral("cluster cannot be reached since")), qPrintable(reach->text()));
        QVERIFY(reach->text().contains(QStringLiteral("No route.")));
        auto* remembered = notices.findChild<ui::InlineError*>(QStringLiteral("runCancelRemembered"));
        QVERIFY(remembered->isClear());
        detail.events.push_back({"cancel_asked", now, Json::object()});
        notices.setDetail(detail);
        QVERIFY(!remembered->isClear());
        // It came back, and then it ended.
        detail.row.state = RunState::Running;
        detail.events.push_back({"reachable", now + 1, {{"since", now - 60'000'000}}});
        notices.setDetail(detail);
        QVERIFY(notices.isHidden());
        detail.row.state = RunState::Completed;
        detail.events.push_back({"unreachable", now + 2, {{"since", now}, {"reason", "No route."}}});
        notices.setDetail(detail);
        QVERIFY(notices.isHidden());
    }

private:
    std::unique_ptr<WindowRig> m_rig;
    base::Path m_source;
    QString m_first;
    QString m_left;  ///< A run that has outputs.
};

TRAINYARD_GUI_TEST(RunPartsTest)
#include "tst_RunParts.moc"
