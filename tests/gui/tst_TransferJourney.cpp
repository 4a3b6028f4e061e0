// The article's whole job by clicks, with the real programs: photographs in folders and a file of trained weights are
// dropped on the window, the form is set up for fine-tuning, looked at, checked and launched; then the run's mistakes
// are looked at one by one, and the model is tried.
#include <QCheckBox>
#include <QComboBox>
#include <QImage>
#include <QLabel>
#include <QPainter>
#include <QPushButton>
#include <QWheelEvent>
#include <filesystem>

#include "core/spec/RunSpec.h"
#include "tests/gui/Gestures.h"
#include "tests/helpers/Program.h"
#include "ui/charts/ConfusionMatrix.h"
#include "ui/datasets/AugmentPanel.h"
#include "ui/forms/FormDocument.h"
#include "ui/runs/NewRunPage.h"
#include "ui/runs/NewRunPanels.h"
#include "ui/runs/PictureView.h"
#include "ui/runs/RecordsTab.h"
#include "ui/runs/RunPage.h"
#include "ui/tryit/TryItPage.h"
#include "ui/tryit/TryItParts.h"
#include "ui/widgets/Basics.h"

using namespace trainyard;
using base::Json;
using base::Path;
using spec::RunState;
using test::dropOn;
using test::inputOf;
using test::pasteInto;
using test::waitFor;
using test::WindowRig;

namespace {
constexpr int kSoon = 20'000;
constexpr int kLong = 120'000;

/// A ring, a cross or bars, at a place and in a colour of its own, on a ground that is never the same.
void writePhotograph(const Path& file, int kind, int variant) {
    QImage image(72 + variant % 5, 60, QImage::Format_RGB32);
    image.fill(QColor::fromHsv((variant * 47) % 360, 60, 130));
    QPainter painter(&image);
    painter.translate(10 + variant % 3 * 6, 6 + variant % 4 * 3);
    painter.setPen(QPen(QColor::fromHsv((variant * 91 + 120) % 360, 220, 235), 7));
    if (kind == 0) painter.drawEllipse(4, 4, 36, 36);
    if (kind == 1) painter.drawLine(2, 2, 42, 42), painter.drawLine(42, 2, 2, 42);
    for (int i = 0; kind == 2 && i < 4; ++i) painter.drawLine(2, 4 + i * 13, 44, 4 + i * 13);
    painter.end();
    std::filesystem::create_directories(file.parent_path());
    if (!image.save(QString::fromStdString(file.string()))) qFatal("cannot write %s", file.c_str());
}
}  // namespace

class TransferJourneyTest : public QObject {
    Q_OBJECT

private:
    /// What the weights come from: three kinds of pictures, a ResNet-18, one epoch.
    Path trainedWeights() {
        const char* names[] = {"bars", "crosses", "rings"};
        for (int kind = 0; kind < 3; ++kind) {
            for (int i = 0; i < 8; ++i)
                writePhotograph(m_before / "pictures" / names[kind] / (std::to_string(i) + ".png"), kind, i);
        }
        Json document = spec::defaultRunSpecDocument();
        const std::pair<const char*, Json> values[] = {{"task.dataset.kind", "images"},
                                                       {"task.dataset.folder", (m_before / "pictures").string()},
                                                       {"task.dataset.image_size", 32},
                                                       {"task.model.family", "resnet18"},
                                                       {"task.batch_size", 8},
                                                       {"task.epochs", 1},
                                                       {"task.threads", 1}};
        for (const auto& [path, value] : values) spec::setValueAt(document, path, value);
        const Path file = m_before.write("spec.json", base::dumpJson(document));
        (void) m_before.write("control/keep", "");
        test::ProgramOptions options;
        options.timeoutMillis = kLong;
        options.variables = {{"RANK", "0"},
                             {"WORLD_SIZE", "1"},
                             {"TRAINYARD_STREAM", (m_before / "stream").string()},
                             {"TRAINYARD_OUTPUTS", (m_before / "outputs").string()},
                             {"TRAINYARD_CONTROL", (m_before / "control").string()},
                             {"TRAINYARD_RENDEZVOUS", (m_before / "rendezvous.json").string()}};
        const auto ran =
            test::runProgram(test::builtProgram("trainyard-engine"), {"train", "--spec", file.string()}, options);
        if (ran.exitCode != 0) qWarning("%s", (ran.out + ran.err).c_str());
        return m_before / "outputs/weights.pth";
    }
    /// Two classes; one file is no picture, and one picture stands in both classes of the validation, so that one of
    /// the two is a mistake whatever is learned.
    static Path photographs(const Path& folder) {
        for (int i = 0; i < 12; ++i) {
            writePhotograph(folder / "train/rings" / ("r" + std::to_string(i) + ".jpg"), 0, i);
            writePhotograph(folder / "train/crosses" / ("c" + std::to_string(i) + ".png"), 1, i);
        }
        for (int i = 0; i < 3; ++i) {
            writePhotograph(folder / "val/rings" / ("r" + std::to_string(i) + ".jpg"), 0, 30 + i);
            writePhotograph(folder / "val/crosses" / ("c" + std::to_string(i) + ".png"), 1, 30 + i);
        }
        for (const char* name : {"rings", "crosses"}) writePhotograph(folder / "val" / name / "both.png", 0, 40);
        if (!base::writeFileAtomically(folder / "train/rings/torn.jpg", "this is no picture at all").ok())
            qFatal("cannot write");
        return folder;
    }
    bool says(const QWidget* part, const QString& what) {
        return waitFor(
            [&] {
                const QList<QLabel*> labels = part->findChildren<QLabel*>();
                return std::any_of(labels.begin(), labels.end(), [&](const QLabel* label) {
                    return label->isVisible() && label->text().contains(what);
                });
            },
            kSoon);
    }
    bool click(WindowRig& rig, const QString& name) {
        QAbstractButton* button = nullptr;
        if (!waitFor([&] { return (button = rig.visible<QAbstractButton>(name)) && button->isEnabled(); }, kSoon))
            return false;
        QTest::mouseClick(button, Qt::LeftButton);
        return true;
    }
    Json value(const char* path) const { return m_form->document().value(QString::fromLatin1(path)); }

private Q_SLOTS:
    void photographs_areLearnedFromTrainedWeights() {
        const Path weights = trainedWeights();
        QVERIFY(std::filesystem::exists(weights));
        WindowRig rig(WindowRig::Fill::Nothing);
        rig.window().resize(1280, 2600);
        QVERIFY(rig.go<ui::NewRunPage>(QStringLiteral("new")));

        // The folder and the weights are dropped; the form says what it found in them.
        QVERIFY(dropOn(rig, photographs(rig.scratch() / "rings and crosses")));
        m_form = qobject_cast<ui::NewRunPage*>(rig.window().page());
        QVERIFY(m_form);
        auto* data = m_form->findChild<ui::DatasetPanel*>();
        QVERIFY(waitFor([&] { return data->preview().has_value() && data->preview()->classes == 2; }, kSoon));
        QCOMPARE(value("task.model.family"), Json("resnet18"));
        QVERIFY(says(m_form, QStringLiteral("are few to learn from alone")));
        QVERIFY(dropOn(rig, weights));
        QCOMPARE(value("task.model.weights.source"), Json(weights.string()));
        QVERIFY(says(m_form, QStringLiteral("Taken over: ")));
        QVERIFY(says(m_form, QStringLiteral("begin anew: 2 tensors, fc.weight, fc.bias")));

        // One click sets it up; another takes that back.
        QVERIFY(click(rig, QStringLiteral("fineTuneLink")));
        QCOMPARE(value("task.epochs"), Json(30));
        QCOMPARE(value("task.model.weights.backbone_rate"), Json(0.1));
        QCOMPARE(value("task.model.weights.source"), Json(weights.string()));
        QVERIFY(m_form->document().errors().empty());
        QVERIFY(click(rig, QStringLiteral("undoButton")));
        QVERIFY(value("task.epochs") != Json(30));
        QVERIFY(click(rig, QStringLiteral("fineTuneLink")));

        // The rest by hand: smaller and shorter, the body frozen for an epoch, then at half the head's rate.
        QVERIFY(click(rig, QStringLiteral("ModelMoreButton")));
        const std::pair<const char*, const char*> filled[] = {{"task.dataset.image_size", "32"},
                                                              {"task.epochs", "2"},
                                                              {"task.batch_size", "8"},
                                                              {"task.model.weights.unfreeze_epoch", "1"},
                                                              {"task.model.weights.backbone_rate", "0.5"}};
        for (const auto& [path, text] : filled)
            QVERIFY2(pasteInto(m_form, QString::fromLatin1(path), QString::fromLatin1(text)), path);
        auto* freeze = qobject_cast<QCheckBox*>(inputOf(m_form, QStringLiteral("task.model.weights.freeze")));
        QVERIFY(freeze);
        QTest::mouseClick(freeze, Qt::LeftButton, {}, QPoint(8, freeze->height() / 2));
        QCOMPARE(value("task.model.weights.freeze"), Json(true));
        auto* pairs = m_form->findChild<ui::SamplePairs*>();
        QVERIFY(waitFor([&] { return pairs->isVisible() && pairs->pairs().size() == 6; }, kLong));
        rig.picture(QStringLiteral("transfer-form"));

        // What merely lies under the pointer while the page scrolls stays as it is.
        for (const char* name : {"publishedWeights", "targetInput", "task.optimizer.kindInput"}) {
            auto* box = rig.visible<QComboBox>(QString::fromLatin1(name));
            QVERIFY2(box && !box->hasFocus(), name);
            const int before = box->currentIndex();
            for (const int turn : {-120, 120, 120}) {
                QWheelEvent wheel(box->rect().center(), box->mapToGlobal(box->rect().center()), {}, {0, turn},
                                  Qt::NoButton, Qt::NoModifier, Qt::NoScrollPhase, false);
                QApplication::sendEvent(box, &wheel);
                QCOMPARE(box->currentIndex(), before);
            }
        }

        // The keyboard stays where it was while real steps are tried.
        rig.window().resize(1280, 900);
        rig.window().activateWindow();
        auto* check = rig.visible<QPushButton>(QStringLiteral("checkButton"));
        QVERIFY(check);
        check->setFocus(Qt::TabFocusReason);
        QVERIFY(waitFor([&] { return check->hasFocus(); }, kSoon));
        QTest::keyClick(check, Qt::Key_Space);
        QVERIFY(!check->isEnabled());
        QVERIFY(QApplication::focusWidget() && QApplication::focusWidget()->accessibleName().startsWith(u"Cancel"));
        auto* checked = m_form->findChild<ui::InlineError*>(QStringLiteral("checkResult"));
        QVERIFY(waitFor([&] { return checked->isVisible(); }, kLong));
        QVERIFY2(checked->text().startsWith(QStringLiteral("Works on the processor")), qPrintable(checked->text()));
        QVERIFY(check->hasFocus());
        QVERIFY(says(m_form, QStringLiteral(", as tried")));
        rig.picture(QStringLiteral("transfer-checked"));

        QVERIFY(click(rig, QStringLiteral("launchActionButton")));
        QVERIFY(waitFor([&] { return qobject_cast<ui::RunPage*>(rig.window().page()) != nullptr; }, kSoon));
        auto* run = qobject_cast<ui::RunPage*>(rig.window().page());
        QVERIFY(waitFor([&] { return run->detail() && spec::isFinal(run->detail()->row.state); }, kLong));
        QVERIFY2(run->detail()->row.state == RunState::Completed, run->detail()->row.stateReason.c_str());
        QVERIFY(says(run, QStringLiteral("torn.jpg")));
        rig.picture(QStringLiteral("transfer-run"));

        // From the matrix to the picture that was taken for something else.
        const QString id = QString::fromStdString(run->detail()->row.id.str());
        run = rig.go<ui::RunPage>(QStringLiteral("run/%1/records").arg(id));
        auto* records = run->findChild<ui::RecordsTab*>();
        QVERIFY(waitFor([&] { return records->isVisible() && records->open(QStringLiteral("val/confusion")); }, kSoon));
        auto* matrix = run->findChild<ui::ConfusionMatrix*>(QStringLiteral("confusionMatrix"));
        QVERIFY(waitFor([&] { return matrix->isVisible() && matrix->data().size() == 2; }, kSoon));
        QCOMPARE(matrix->data().all(), 8.0);
        const int wrong = matrix->data().count(0, 1) > 0 ? 0 : 1;
        QVERIFY(matrix->data().count(wrong, 1 - wrong) > 0);
        QTest::mouseClick(matrix, Qt::LeftButton, {}, matrix->cellRect(wrong, 1 - wrong).center().toPoint());
        auto* samples = run->findChild<ui::PictureList*>(QStringLiteral("confusionSamples"));
        QCOMPARE(samples->count(), static_cast<int>(matrix->data().count(wrong, 1 - wrong)));
        QVERIFY2(samples->item(0)->text().startsWith(matrix->data().classes[wrong] + u'/'),
                 qPrintable(samples->item(0)->text()));
        QVERIFY(waitFor(
            [&] {
                const auto views = records->findChildren<ui::PictureView*>();
                return std::any_of(views.begin(), views.end(), [](const ui::PictureView* view) {
                    return view->isVisible() && view->picture().height() == 60;
                });
            },
            kSoon));
        rig.picture(QStringLiteral("transfer-mistake"));

        QVERIFY(click(rig, QStringLiteral("tryRunActionButton")));
        // A picture chosen while the model is still being looked at waits for it.
        auto* page = qobject_cast<ui::TryItPage*>(rig.window().page());
        QVERIFY(page);
        rig.questions().setNextAnswer(
            QString::fromStdString((rig.scratch() / "rings and crosses/val/rings/r1.jpg").string()));
        QVERIFY(click(rig, QStringLiteral("tryChoosePicture")));
        auto* bars = page->findChild<ui::ProbabilityBars*>(QStringLiteral("tryBars"));
        const auto* refused = page->findChild<ui::InlineError*>(QStringLiteral("predictError"));
        QVERIFY(waitFor([&] { return !refused->isClear() || (bars->isVisible() && bars->count() == 2); }, kLong));
        QVERIFY2(refused->isClear(), qPrintable(refused->text()));
        rig.picture(QStringLiteral("transfer-tried"));

        // Another run starts from what this one left, by a choice in the form.
        QVERIFY(rig.go<ui::NewRunPage>(QStringLiteral("new")) == m_form);
        auto* weightsBox = rig.visible<QComboBox>(QStringLiteral("publishedWeights"));
        QVERIFY(weightsBox);
        int row = -1;
        QVERIFY(waitFor([&] { return (row = weightsBox->findData(QStringLiteral("run:") + id)) > 0; }, kSoon));
        QVERIFY(weightsBox->itemText(row).startsWith(QStringLiteral("Run #1, ")));
        weightsBox->setCurrentIndex(row);
        Q_EMIT weightsBox->activated(row);
        QCOMPARE(value("task.model.weights.source"), Json("run:" + id.toStdString()));
        QVERIFY(says(m_form, QStringLiteral("Taken over: 122 tensors")));

        // A file that describes a model is not one.
        QVERIFY(pasteInto(m_form, QStringLiteral("task.model.weights.source"),
                          QString::fromStdString((m_before / "outputs/model.json").string())));
        QVERIFY(says(m_form, QStringLiteral("Take model.safetensors, model.pt or weights.pth")));
    }

private:
    test::Scratch m_before;
    ui::NewRunPage* m_form = nullptr;
};

TRAINYARD_GUI_TEST(TransferJourneyTest)
#include "tst_TransferJourney.moc"
