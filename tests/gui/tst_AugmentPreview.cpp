// The preview of the augmentation in the form of a new run, by clicks, with the real engine.
#include <QImage>
#include <QLabel>
#include <QLineEdit>
#include <QPainter>
#include <QPushButton>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "tests/gui/WindowRig.h"
#include "tests/helpers/Children.h"
#include "ui/datasets/AugmentPanel.h"
#include "ui/forms/FieldRow.h"
#include "ui/forms/FormDocument.h"
#include "ui/runs/NewRunPage.h"
#include "ui/widgets/Basics.h"

using namespace trainyard;
using base::Json;
using base::Path;
using test::waitFor;
using test::WindowRig;

class AugmentPreviewTest : public QObject {
    Q_OBJECT

private:
    static constexpr int kPatience = 60'000;

    static QString text(const Path& path) { return QString::fromStdString(path.string()); }

    /// Pictures in which left and right, up and down differ.
    static Path birds(const Path& folder) {
        for (const char* name : {"a heron whose name goes on and on until nobody can read it in one line", "osprey"}) {
            std::filesystem::create_directories(folder / name);
            for (int i = 0; i < 9; ++i) {
                QImage image(220 + 10 * i, 180, QImage::Format_RGB32);
                image.fill(QColor::fromHsv(name[0] == 'a' ? 200 : 30, 90, 120 + 12 * i));
                QPainter painter(&image);
                painter.setPen(Qt::NoPen);
                painter.setBrush(QColor::fromHsv(40 * i, 200, 230));
                painter.drawEllipse(20, 20, 60, 40);
                painter.setBrush(Qt::white);
                painter.drawRect(120, 110, 70, 50);
                painter.end();
                const Path file = folder / name / (std::to_string(i) + (i % 2 ? ".jpg" : ".png"));
                if (!image.save(text(file))) qFatal("cannot write %s", file.c_str());
            }
        }
        return folder;
    }

    void open(WindowRig& rig, const Path& folder) {
        QVERIFY(rig.window().shell().open({QStringLiteral("new"), {}, QStringLiteral("folder=") + text(folder)}));
        m_page = qobject_cast<ui::NewRunPage*>(rig.window().page());
        QVERIFY(m_page);
        m_panel = m_page->findChild<ui::AugmentPanel*>();
        m_pairs = m_page->findChild<ui::SamplePairs*>();
        QVERIFY(m_panel && m_pairs);
        // A tall window: the panel stands below the training's fields.
        rig.window().resize(1500, 2600);
    }
    bool drawn() {
        return waitFor([&] { return !m_panel->isDrawing() && m_pairs->pairs().size() == 6; }, kPatience);
    }
    QString told() const {
        return error()->text() + u'|' + m_panel->findChild<QLabel*>(QStringLiteral("augmentToldLabel"))->text();
    }
    QList<QImage> changed() const {
        QList<QImage> images;
        for (const auto& pair : m_pairs->pairs()) images << pair.changed;
        return images;
    }
    /// The engines that run, as process ids.
    static std::vector<pid_t> engines() {
        std::vector<pid_t> pids;
        for (const std::string& child : test::liveChildren()) {
            if (child.find("trainyard-engine serve") != std::string::npos)
                pids.push_back(static_cast<pid_t>(std::atoll(child.c_str())));
        }
        return pids;
    }
    /// The form says where the data are, has no error that would keep it from a launch, and offers no other draw.
    bool nothingIsWrong(const char16_t* where) const {
        const auto* summary = m_page->findChild<QLabel*>(QStringLiteral("datasetSummaryLabel"));
        const bool told = waitFor([&] { return summary->text().contains(QStringView(where)); }, kPatience);
        const auto* again = m_panel->findChild<QPushButton*>(QStringLiteral("augmentAgainLink"));
        const auto* retry = error()->findChild<QPushButton*>();
        return told && m_page->document().errors().empty() && !again->isVisible() && !retry->isVisible();
    }
    ui::InlineError* error() const { return m_panel->findChild<ui::InlineError*>(QStringLiteral("augmentError")); }
    void click(const char* name) {
        auto* link = m_panel->findChild<QPushButton*>(QString::fromLatin1(name));
        QVERIFY(link && link->isVisible());
        QTest::mouseClick(link, Qt::LeftButton);
    }
    /// Types into a row of the form as a person would.
    void type(const QString& path, const QString& value) {
        for (ui::FieldRow* row : m_page->findChildren<ui::FieldRow*>()) {
            if (row->path() != path || !row->isVisible()) continue;
            QWidget* input = row->input();
            input->setFocus();
            QTest::keyClick(input, Qt::Key_A, Qt::ControlModifier);
            QTest::keyClicks(input, value);
            QTest::keyClick(input, Qt::Key_Tab);
            return;
        }
        QFAIL(qPrintable(path + QStringLiteral(" is nowhere in the form")));
    }

private Q_SLOTS:
    void cleanup() {
        m_page = nullptr;
        ui::Theme::current().setChoice(ui::Theme::Choice::Light);
    }

    void samples_followTheForm() {
        WindowRig rig(WindowRig::Fill::Nothing);
        open(rig, birds(rig.scratch() / "birds"));
        QVERIFY2(drawn(), qPrintable(told()));
        for (const auto& pair : m_pairs->pairs()) {
            QCOMPARE(pair.changed.size(), QSize(224, 224));
            QVERIFY(!pair.original.isNull() && pair.problem.isEmpty());
            QVERIFY(!pair.part.isNull());
        }
        rig.picture(QStringLiteral("augment-light"));
        const QList<QImage> first = changed();

        // Another draw is the next epoch's: of the same samples, and the same again after the way back.
        click("augmentAgainLink");
        QVERIFY(m_panel->isDrawing());
        QVERIFY2(drawn(), qPrintable(told()));
        QVERIFY(changed() != first);
        QCOMPARE(m_pairs->pairs().front().file.isEmpty(), false);
        QVERIFY(m_panel->findChild<QLabel*>(QStringLiteral("augmentToldLabel"))->text().contains(u"epoch 2"));

        // A field: the whole picture now, always upside down.
        const QString file = m_pairs->pairs().front().file;
        m_page->document().setValue(QStringLiteral("task.augmentation.crop"), false);
        type(QStringLiteral("task.augmentation.flip"), QStringLiteral("1"));
        QVERIFY2(drawn(), qPrintable(told()));
        QCOMPARE(m_pairs->pairs().front().file, file);
        for (const auto& pair : m_pairs->pairs())
            QVERIFY2(pair.change.contains(QStringLiteral("flipped")), qPrintable(pair.change));
        const QList<QImage> flipped = changed();
        type(QStringLiteral("task.augmentation.flip"), QStringLiteral("0"));
        QVERIFY2(drawn(), qPrintable(told()));
        QCOMPARE(changed().front().mirrored(true, false).convertToFormat(QImage::Format_RGB32),
                 flipped.front().convertToFormat(QImage::Format_RGB32));

        // Other samples, and the dark.
        click("augmentOthersLink");
        QVERIFY2(drawn(), qPrintable(told()));
        QVERIFY(m_pairs->pairs().front().file != file);
        ui::Theme::current().setChoice(ui::Theme::Choice::Dark);
        rig.picture(QStringLiteral("augment-dark"));
        rig.window().resize(760, 1400);
        rig.picture(QStringLiteral("augment-narrow-dark"));
    }

    /// Of many changes in a row only the newest is shown, and no engine stays behind.
    void newestState_wins() {
        WindowRig rig(WindowRig::Fill::Nothing);
        open(rig, birds(rig.scratch() / "birds"));
        for (int turn = 1; turn <= 9; ++turn) {
            m_page->document().setValue(QStringLiteral("task.augmentation.rotation"), 10 * turn);
            QTest::qWait(turn % 3 == 0 ? 700 : 30);
        }
        m_page->document().setValue(QStringLiteral("task.augmentation.rotation"), 0);
        m_page->document().setValue(QStringLiteral("task.augmentation.flip"), 1);
        QVERIFY2(drawn(), qPrintable(told()));
        for (const auto& pair : m_pairs->pairs()) {
            QVERIFY(pair.change.contains(QStringLiteral("flipped")));
            QVERIFY2(!pair.change.contains(QStringLiteral("turned")), qPrintable(pair.change));
        }
    }

    /// One engine draws for as long as the panel is seen, a new one where it was ended, and none stays behind.
    void oneEngine_isKeptWhileItIsSeen() {
        WindowRig rig(WindowRig::Fill::Nothing);
        open(rig, birds(rig.scratch() / "birds"));
        QVERIFY2(drawn(), qPrintable(told()));
        const std::vector<pid_t> first = engines();
        QCOMPARE(first.size(), std::size_t{1});
        for (int turn = 0; turn < 4; ++turn) {
            const QList<QImage> before = changed();
            click("augmentAgainLink");
            QVERIFY2(drawn(), qPrintable(told()));
            QVERIFY(changed() != before);
            QCOMPARE(engines(), first);
        }
        // Ended by others, as the kernel does where memory runs out: nobody sees more of it than a longer draw.
        QCOMPARE(::kill(first.front(), SIGKILL), 0);
        click("augmentAgainLink");
        QVERIFY2(drawn(), qPrintable(told()));
        QVERIFY(error()->isClear());
        const std::vector<pid_t> second = engines();
        QCOMPARE(second.size(), std::size_t{1});
        QVERIFY(second != first);
        // Out of sight: gone, also from the middle of a draw.
        m_page->document().setValue(QStringLiteral("task.kind"), "command");
        QVERIFY(waitFor([] { return engines().empty(); }, kPatience));
        m_page->document().setValue(QStringLiteral("task.kind"), "train");
        QVERIFY2(drawn(), qPrintable(told()));
        click("augmentAgainLink");
        QVERIFY(rig.window().shell().open({QStringLiteral("runs")}));
        QVERIFY(waitFor([] { return engines().empty(); }, kPatience));
        m_panel = nullptr;
    }

    void whatIsWrong_isSaid() {
        WindowRig rig(WindowRig::Fill::Nothing);
        const Path folder = birds(rig.scratch() / "birds");
        open(rig, folder);
        QVERIFY2(drawn(), qPrintable(told()));
        // Nothing chosen: no error, but what to do.
        m_page->document().setValue(QStringLiteral("task.dataset.folder"), "");
        QVERIFY(waitFor([&] { return m_pairs->pairs().empty() && !m_panel->isDrawing(); }, 5000));
        QVERIFY(error()->isClear());
        QVERIFY(m_panel->findChild<QLabel*>(QStringLiteral("augmentToldLabel"))->text().contains(u"Choose data"));
        rig.picture(QStringLiteral("augment-empty"));
        // A folder that is not there.
        m_page->document().setValue(QStringLiteral("task.dataset.folder"), (folder / "nowhere").string());
        QVERIFY(waitFor([&] { return !error()->isClear(); }, kPatience));
        QVERIFY2(error()->text().contains(u"is not there"), qPrintable(error()->text()));
        QVERIFY(m_pairs->pairs().empty());
        rig.picture(QStringLiteral("augment-error"));
        // On the target: nothing to be shown here, and no mistake.
        m_page->document().setValue(QStringLiteral("task.dataset.folder"), "target:/data/birds");
        QVERIFY(waitFor([&] { return error()->text().contains(u"target"); }, kPatience));
        QVERIFY(nothingIsWrong(u"lie on the target"));
        // At an address: whoever trains fetches it, and what to do to see samples is said.
        m_page->document().setValue(QStringLiteral("task.dataset.folder"),
                                    "https://pictures.example.org/birds.zip#sha256=" + std::string(64, 'a'));
        QVERIFY(waitFor([&] { return error()->text().contains(u"fetched on the machine that trains"); }, kPatience));
        QVERIFY2(error()->text().contains(u"add the address as a data set"), qPrintable(error()->text()));
        QVERIFY(nothingIsWrong(u"fetches the data from this address"));
        rig.picture(QStringLiteral("augment-address"));
        // One picture that cannot be read is said at its place.
        const auto whole = base::readFile(folder / "osprey/0.png");
        QVERIFY(whole.ok());
        for (int i = 0; i < 9; ++i)
            QVERIFY(base::writeFileAtomically(folder / "osprey" / (std::to_string(i) + (i % 2 ? ".jpg" : ".png")),
                                              whole->substr(0, whole->size() / 2))
                        .ok());
        m_page->document().setValue(QStringLiteral("task.dataset.folder"), folder.string());
        QVERIFY2(drawn(), qPrintable(told()));
        QVERIFY(error()->isClear());
        int wrong = 0;
        for (const auto& pair : m_pairs->pairs()) wrong += pair.problem.isEmpty() ? 0 : 1;
        QCOMPARE(wrong, 3);
        rig.picture(QStringLiteral("augment-unreadable"));
        // Without the engine: said, and mended by the button once it is there.
        const QByteArray programs = qgetenv("TRAINYARD_BIN");
        qputenv("TRAINYARD_BIN", QByteArray::fromStdString((rig.scratch() / "empty").string()));
        for (const pid_t engine : engines()) QCOMPARE(::kill(engine, SIGKILL), 0);
        click("augmentAgainLink");
        const bool said = waitFor([&] { return !error()->isClear(); }, kPatience);
        qputenv("TRAINYARD_BIN", programs);
        QVERIFY(said && error()->text().contains(u"trainyard-engine"));
        auto* retry = error()->findChild<QPushButton*>();
        QVERIFY(retry && retry->isVisible());
        QTest::mouseClick(retry, Qt::LeftButton);
        QVERIFY2(drawn(), qPrintable(told()));
    }

    void scriptsAndPlainData_haveNone() {
        WindowRig rig(WindowRig::Fill::Nothing);
        open(rig, birds(rig.scratch() / "birds"));
        QVERIFY(waitFor([&] { return m_panel->isVisible(); }, 5000));
        m_page->document().setValue(QStringLiteral("task.kind"), "command");
        QVERIFY(!m_panel->isVisible());
        m_page->document().setValue(QStringLiteral("task.kind"), "train");
        QVERIFY(m_panel->isVisible());
        // IDX files are changed only where that is asked for.
        m_page->document().setValue(QStringLiteral("task.dataset.kind"), "idx");
        m_page->document().setValue(QStringLiteral("task.augment"), false);
        QVERIFY(!m_panel->isVisible());
        m_page->document().setValue(QStringLiteral("task.augment"), true);
        QVERIFY(m_panel->isVisible());
    }

private:
    ui::NewRunPage* m_page = nullptr;
    ui::AugmentPanel* m_panel = nullptr;
    ui::SamplePairs* m_pairs = nullptr;
};

TRAINYARD_GUI_TEST(AugmentPreviewTest)
#include "tst_AugmentPreview.moc"
