// Trying a model by clicks: a real small one is trained by the engine and registered, then pictures, an evaluation, its
// layers.
#include <QComboBox>
#include <QImage>
#include <QProcess>
#include <QPushButton>
#include <QScrollArea>
#include <QTabWidget>
#include <QTableWidget>

#include "core/registry/Registry.h"
#include "core/spec/RunSpec.h"
#include "core/store/Writer.h"
#include "tests/gui/Gestures.h"
#include "tests/helpers/Program.h"
#include "ui/charts/ConfusionMatrix.h"
#include "ui/forms/FormDocument.h"
#include "ui/models/ModelsPage.h"
#include "ui/runs/NewRunPage.h"
#include "ui/tryit/TryItPage.h"
#include "ui/tryit/TryItParts.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"

using namespace trainyard;
using base::Json;
using test::waitFor;
using test::WindowRig;

namespace {

constexpr int kSide = 16;

std::string bigEndian(unsigned value) {
    std::string bytes;
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>((value >> shift) & 0xFFU));
    return bytes;
}

/// Bright bars at one of four heights on noise.
std::string bar(unsigned label, unsigned& state, unsigned noise) {
    std::string pixels;
    for (unsigned y = 0; y < kSide; ++y) {
        for (unsigned x = 0; x < kSide; ++x) {
            state = state * 1664525U + 1013904223U;
            pixels.push_back(static_cast<char>((y / 4 == label ? 100U : 0U) + (state >> 24) % noise));
        }
    }
    return pixels;
}

void writeBars(const test::Scratch& scratch, const std::string& name, unsigned count, unsigned seed) {
    std::string images = std::string("\0\0\x08\x03", 4) + bigEndian(count) + bigEndian(kSide) + bigEndian(kSide);
    std::string labels = std::string("\0\0\x08\x01", 4) + bigEndian(count);
    for (unsigned i = 0; i < count; ++i) {
        labels.push_back(static_cast<char>(i % 4));
        images += bar(i % 4, seed, 200);
    }
    (void) scratch.write(name + "-images", images);
    (void) scratch.write(name + "-labels", labels);
}

}  // namespace

class TryItTest : public QObject {
    Q_OBJECT

    test::Scratch m_trained;
    Json m_spec;

    void addToIndex(WindowRig& rig, const std::string& name) {
        bool indexed = false;
        rig.session().write(
            this, [name](store::Writer& index) { return index.applyModel(name, 1); },
            [&](const base::Status& done) { indexed = done.ok(); });
        QVERIFY(waitFor([&] { return indexed; }, 10000));
    }
    void registerBars(WindowRig& rig, const std::string& name) {
        registry::NewVersion version;
        version.name = name;
        version.configuration = m_spec;
        for (const char* file : {"model.pt", "model.json", "model.safetensors"})
            version.files.push_back({m_trained / (std::string("outputs/") + file), file, {}});
        const auto added = registry::Registry(rig.layout()).add(version);
        QVERIFY2(added.ok(), added.ok() ? "" : added.error().message.c_str());
        addToIndex(rig, name);
    }

private Q_SLOTS:
    void initTestCase() {
        writeBars(m_trained, "train", 400, 1);
        writeBars(m_trained, "val", 120, 2);
        m_spec = spec::defaultRunSpecDocument();
        const auto set = [&](const char* path, Json value) { spec::setValueAt(m_spec, path, std::move(value)); };
        set("task.dataset.train_images", (m_trained / "train-images").string());
        set("task.dataset.train_labels", (m_trained / "train-labels").string());
        set("task.dataset.val_images", (m_trained / "val-images").string());
        set("task.dataset.val_labels", (m_trained / "val-labels").string());
        set("task.dataset.class_names",
            {"ceiling", "shelf", "table", "a floor with a name that goes on and on and does not end"});
        set("task.model.options.width", 4);
        set("task.augment", false);
        set("task.batch_size", 32);
        set("task.epochs", 1);
        set("task.threads", 1);
        const auto spec = m_trained.write("spec.json", base::dumpJson(m_spec));
        (void) m_trained.write("control/keep", "");
        test::ProgramOptions options;
        options.timeoutMillis = 90'000;
        options.variables = {{"RANK", "0"},
                             {"WORLD_SIZE", "1"},
                             {"TRAINYARD_STREAM", (m_trained / "stream").string()},
                             {"TRAINYARD_OUTPUTS", (m_trained / "outputs").string()},
                             {"TRAINYARD_CONTROL", (m_trained / "control").string()},
                             {"TRAINYARD_RENDEZVOUS", (m_trained / "rendezvous.json").string()}};
        const auto ran =
            test::runProgram(test::builtProgram("trainyard-engine"), {"train", "--spec", spec.string()}, options);
        QVERIFY2(ran.exitCode == 0, (ran.out + ran.err).c_str());
        unsigned state = 77;
        for (unsigned i = 0; i < 4; ++i) {
            const std::string pixels = bar(i, state, 60);
            QImage image(kSide, kSide, QImage::Format_Grayscale8);
            for (int y = 0; y < kSide; ++y)
                std::copy_n(pixels.data() + y * kSide, kSide, reinterpret_cast<char*>(image.scanLine(y)));
            const auto file = m_trained.write("pictures/picture " + std::to_string(i) + ".png", "");
            QVERIFY(image.save(QString::fromStdString(file.string())));
        }
        (void) m_trained.write("pictures/torn.png", "this is no picture at all");
    }

    void nothing_saysWhatToDo() {
        WindowRig rig(WindowRig::Fill::Nothing);
        auto* page = rig.go<ui::TryItPage>(QStringLiteral("try"));
        QVERIFY(page);
        QVERIFY(waitFor([&] { return rig.visible<ui::EmptyState>(QString()) != nullptr; }, 5000));
        QVERIFY(page->primaryAction() == nullptr);
        rig.picture(QStringLiteral("tryit-none-light"));
    }

    void otherModels_areRefusedInWords() {
        WindowRig rig(WindowRig::Fill::Nothing);
        registry::NewVersion version;
        version.name = "by-hand";
        const auto file = rig.scratch() / "notes.txt";
        QVERIFY(base::writeFileAtomically(file, "written down by hand").ok());
        version.files = {{file, "notes.txt", {}}};
        QVERIFY(registry::Registry(rig.layout()).add(version).ok());
        addToIndex(rig, "by-hand");
        auto* page = rig.go<ui::TryItPage>(QStringLiteral("try/by-hand:1"));
        auto* error = page->findChild<ui::InlineError*>(QStringLiteral("tryError"));
        QVERIFY(waitFor([&] { return error->isVisible(); }, 10000));
        QVERIFY(error->text().contains(QStringLiteral("by-hand:1")));
        rig.picture(QStringLiteral("tryit-refused-light"));
    }

    void pictures_evaluationAndLayers() {
        WindowRig rig(WindowRig::Fill::Nothing);
        registerBars(rig, "bars");
        // From the Models page.
        auto* models = rig.go<ui::ModelsPage>(QStringLiteral("models/bars/1"));
        QVERIFY(models);
        auto* tryIt = rig.action(QStringLiteral("tryModelAction"));
        QVERIFY(tryIt && waitFor([&] { return tryIt->isEnabled(); }, 10000));
        tryIt->trigger();
        auto* page = qobject_cast<ui::TryItPage*>(rig.window().page());
        QVERIFY(page);
        auto* facts = page->findChild<QLabel*>(QStringLiteral("tryFacts"));
        QVERIFY(waitFor([&] { return facts->text().contains(QStringLiteral("cnn")); }, 15000));
        rig.picture(QStringLiteral("tryit-empty-light"));

        // A picture, then a folder with one that is none.
        auto* choose = rig.visible<QPushButton>(QStringLiteral("tryChoosePicture"));
        QVERIFY(choose);
        rig.questions().setNextAnswer(QString::fromStdString((m_trained / "pictures/picture 2.png").string()));
        choose->click();
        auto* list = page->findChild<ui::PictureList*>(QStringLiteral("tryPictures"));
        QVERIFY(waitFor([&] { return list->count() == 1; }, 30000));
        auto* bars = page->findChild<ui::ProbabilityBars*>(QStringLiteral("tryBars"));
        QCOMPARE(bars->count(), 4);
        QVERIFY(list->item(0)->text().contains(QStringLiteral("picture 2.png")));
        QVERIFY(!page->findChild<QLabel*>(QStringLiteral("tryTimeLabel"))->text().isEmpty());
        rig.questions().setNextAnswer(QString::fromStdString((m_trained / "pictures").string()));
        auto* folder = rig.visible<QPushButton>(QStringLiteral("tryAddFolder"));
        QVERIFY(folder);
        folder->click();
        QVERIFY(waitFor([&] { return list->count() == 5; }, 30000));
        auto* bad = page->findChild<ui::InlineError*>(QStringLiteral("tryBadPicture"));
        list->setCurrentRow(4);
        QVERIFY(bad->isVisible());
        rig.picture(QStringLiteral("tryit-bad-light"));
        list->setCurrentRow(1);
        QVERIFY(!bad->isVisible());
        rig.picture(QStringLiteral("tryit-pictures-light"));
        ui::Theme::current().setChoice(ui::Theme::Choice::Dark);
        rig.picture(QStringLiteral("tryit-pictures-dark"));

        // The evaluation.
        auto* tabs = page->findChild<QTabWidget*>(QStringLiteral("tryTabs"));
        tabs->setCurrentIndex(1);
        rig.picture(QStringLiteral("tryit-evaluation-empty-dark"));
        QCOMPARE(page->primaryAction()->objectName(), QStringLiteral("tryEvaluateAction"));
        page->primaryAction()->trigger();
        auto* mistakes = page->findChild<ui::PictureList*>(QStringLiteral("evaluateMistakes"));
        auto* matrix = page->findChild<ui::ConfusionMatrix*>(QStringLiteral("evaluateConfusion"));
        QVERIFY(waitFor([&] { return matrix->data().size() == 4; }, 60000));
        QCOMPARE(matrix->data().all(), 120.0);
        QCOMPARE(mistakes->count(), static_cast<int>(120.0 - matrix->data().right()));
        auto* classes = page->findChild<QTableWidget*>(QStringLiteral("evaluateClasses"));
        QCOMPARE(classes->rowCount(), 4);
        rig.picture(QStringLiteral("tryit-evaluation-dark"));
        // From a cell of the matrix to its samples, and back to all.
        const int all = mistakes->count();
        int row = -1;
        int column = -1;
        for (int i = 0; i < 16 && row < 0; ++i) {
            if (i / 4 != i % 4 && matrix->data().count(i / 4, i % 4) > 0) {
                row = i / 4;
                column = i % 4;
            }
        }
        QVERIFY2(row >= 0 && all > 1, "The model makes no mistake; it was to learn little.");
        page->findChild<QScrollArea*>()->ensureWidgetVisible(matrix);
        QTest::mouseClick(matrix, Qt::LeftButton, {}, matrix->cellRect(row, column).center().toPoint());
        QCOMPARE(mistakes->count(), static_cast<int>(matrix->data().count(row, column)));
        const QString taken = matrix->data().classes[column];
        for (int i = 0; i < mistakes->count(); ++i)
            QVERIFY2(mistakes->item(i)->text().startsWith(taken), qPrintable(mistakes->item(i)->text()));
        QVERIFY(page->findChild<QLabel*>(QStringLiteral("evaluateMistakesLabel"))->text().contains(taken));
        rig.picture(QStringLiteral("tryit-evaluation-cell-dark"));
        auto* every = page->findChild<QPushButton*>(QStringLiteral("evaluateAllMistakes"));
        QVERIFY(every->isVisible());
        QTest::mouseClick(every, Qt::LeftButton);
        QCOMPARE(mistakes->count(), all);
        QVERIFY(!every->isVisible());
        ui::Theme::current().setChoice(ui::Theme::Choice::Light);
        rig.picture(QStringLiteral("tryit-evaluation-light"));

        // On a folder that is no such data: said at once, in place.
        auto* data = page->findChild<QComboBox*>(QStringLiteral("evaluateData"));
        rig.questions().setNextAnswer(QString::fromStdString((m_trained / "pictures").string()));
        data->setCurrentIndex(data->count() - 1);
        Q_EMIT data->activated(data->currentIndex());
        QVERIFY(waitFor([&] { return data->currentText().contains(QStringLiteral("pictures")); }, 5000));
        page->primaryAction()->trigger();
        auto* error = page->findChild<ui::InlineError*>(QStringLiteral("evaluateError"));
        QVERIFY(waitFor([&] { return error->isVisible(); }, 30000));

        // The layers.
        tabs->setCurrentIndex(2);
        auto* layers = page->findChild<QTableWidget*>(QStringLiteral("tryLayers"));
        QVERIFY(layers->rowCount() > 5);
        QVERIFY(layers->isVisible());
        rig.picture(QStringLiteral("tryit-layers-light"));
        // The address names the model, so the way back leads here again.
        QCOMPARE(page->address().parts, QStringList{QStringLiteral("bars:1")});

        // What it was found to be right in stands with the version.
        QVERIFY(rig.go<ui::ModelsPage>(QStringLiteral("models/bars/1")) == models);
        auto* kept = models->findChild<QTableWidget*>(QStringLiteral("modelEvaluations"));
        QVERIFY(waitFor([&] { return kept->rowCount() == 1; }, 10000));
        QCOMPARE(kept->item(0, 1)->text(), ui::formatPercent(matrix->data().right() / 120.0));
        QCOMPARE(kept->item(0, 4)->text(), QStringLiteral("120"));
        kept->selectRow(0);
        QCOMPARE(models->findChild<QTableWidget*>(QStringLiteral("modelEvaluationClasses"))->rowCount(), 4);
    }

    void newRun_offersWeightsAndComparesThem() {
        WindowRig rig(WindowRig::Fill::Nothing);
        auto* page = rig.go<ui::NewRunPage>(QStringLiteral("new"));
        QVERIFY(page);
        ui::FormDocument& document = page->document();
        Json other = m_spec;
        other["task"]["model"] = {{"family", "resnet18"}};
        document.setDocument(other);
        auto* published = page->findChild<QComboBox*>(QStringLiteral("publishedWeights"));
        QVERIFY(published && waitFor([&] { return published->count() == 2 && published->isVisible(); }, 10000));
        published->setCurrentIndex(1);
        Q_EMIT published->activated(1);
        QCOMPARE(document.value(QStringLiteral("task.model.weights.source")), Json("pretrained:resnet18-imagenet"));
        auto* error = page->findChild<ui::InlineError*>(QStringLiteral("weightsMatchError"));
        QVERIFY(waitFor([&] { return error->isVisible(); }, 20000));
        auto* fetch = error->findChild<QPushButton*>();
        QVERIFY(fetch && fetch->isVisible());
        rig.picture(QStringLiteral("tryit-weights-light"));

        // A file brought by hand, dropped on the window, is taken for them only if it is them.
        const auto brought = rig.scratch().write("by hand.pth", "these are no weights at all");
        QVERIFY(test::dropOn(rig, brought));
        QVERIFY2(
            waitFor(
                [&] { return error->isVisible() && !error->text().contains(QStringLiteral("have not been fetched")); },
                20000),
            qPrintable(error->text()));
        QCOMPARE(document.value(QStringLiteral("task.model.weights.source")), Json("pretrained:resnet18-imagenet"));
        rig.picture(QStringLiteral("tryit-weights-wrong-file-light"));
        // Where no published ones are chosen, the run starts from the file itself.
        document.setValue(QStringLiteral("task.model.weights.source"), "");
        QVERIFY(test::dropOn(rig, m_trained / "outputs/model.safetensors"));
        QCOMPARE(document.value(QStringLiteral("task.model.weights.source")),
                 Json((m_trained / "outputs/model.safetensors").string()));

        // Of the small model that was trained, on its own data but with one class more, the last layer begins anew.
        Json task = m_spec["task"];
        task["dataset"]["class_names"] = {"ceiling", "shelf", "table", "floor", "wall"};
        task["model"]["weights"] = {{"source", (m_trained / "outputs/model.safetensors").string()}};
        Json changed = m_spec;
        changed["task"] = task;
        document.setDocument(changed);
        auto* told = page->findChild<QWidget*>(QStringLiteral("weightsMatch"));
        QVERIFY(waitFor([&] { return told->isVisible(); }, 30000));
        QStringList lines;
        for (const QLabel* label : told->findChildren<QLabel*>()) lines << label->text();
        QVERIFY2(lines.join(u' ').contains(QStringLiteral("Taken over: ")), qPrintable(lines.join(u' ')));
        QVERIFY2(lines.join(u' ').contains(QStringLiteral("begin anew: 2 tensors")), qPrintable(lines.join(u' ')));
        rig.picture(QStringLiteral("tryit-match-light"));
    }
};

TRAINYARD_GUI_TEST(TryItTest)
#include "tst_TryIt.moc"
