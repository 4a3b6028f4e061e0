#include <QClipboard>
#include <QComboBox>
#include <QDropEvent>
#include <QElapsedTimer>
#include <QImage>
#include <QLabel>
#include <QLineEdit>
#include <QListView>
#include <QListWidget>
#include <QMimeData>
#include <QPainter>
#include <QProcess>
#include <QScrollBar>
#include <QTabWidget>
#include <QTableView>

#include <filesystem>
#include <fstream>

#include "core/base/Hash.h"
#include "core/datasets/DatasetBook.h"
#include "tests/gui/WindowRig.h"
#include "tests/helpers/FileServer.h"
#include "ui/datasets/AddDatasetPanel.h"
#include "ui/datasets/DatasetPanels.h"
#include "ui/datasets/DatasetsPage.h"
#include "ui/datasets/SampleGrid.h"
#include "ui/datasets/Thumbnails.h"
#include "ui/forms/FieldEditors.h"
#include "ui/forms/FieldRow.h"
#include "ui/forms/FormDocument.h"
#include "ui/runs/NewRunPage.h"
#include "ui/runs/NewRunPanels.h"
#include "ui/shell/Palette.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Chips.h"

using namespace trainyard;
using base::Json;
using base::Path;
using test::waitFor;
using test::WindowRig;

class DatasetsPageTest : public QObject {
    Q_OBJECT

private:
    static constexpr int kPatience = 60'000;

    static QString text(const Path& path) { return QString::fromStdString(path.string()); }

    static void picture(const Path& file, QColor colour, QSize size = {40, 32}) {
        std::filesystem::create_directories(file.parent_path());
        QImage image(size, QImage::Format_RGB888);
        image.fill(colour);
        // No two alike: copies are a finding of their own.
        static int count = 0;
        ++count;
        for (int bit = 0; bit < 16; ++bit) image.setPixelColor(bit, 0, (count >> bit) & 1 ? Qt::white : Qt::black);
        if (!image.save(text(file))) qFatal("cannot write %s", file.c_str());
    }

    /// Two classes, `each` pictures for training and two for validation in each.
    static Path birds(const Path& folder, int each = 6) {
        for (const char* name : {"heron", "osprey"}) {
            const QColor colour = name[0] == 'h' ? QColor(120, 130, 150) : QColor(90, 60, 30);
            for (int i = 0; i < each; ++i)
                picture(folder / "train" / name / ("a" + std::to_string(i) + ".png"), colour);
            for (int i = 0; i < 2; ++i) picture(folder / "val" / name / ("b" + std::to_string(i) + ".jpg"), colour);
        }
        return folder;
    }

    static bool stands(ui::Page* page, const QString& title) {
        auto* label = page->findChild<QLabel*>(QStringLiteral("datasetTitleLabel"));
        return waitFor([&] { return label->isVisible() && label->text() == title; }, kPatience);
    }
    static bool says(const QWidget* part, const QString& what) {
        return waitFor(
            [&] {
                const QList<QLabel*> labels = part->findChildren<QLabel*>();
                return std::any_of(labels.begin(), labels.end(), [&](const QLabel* label) {
                    return label->isVisible() && label->text().contains(what);
                });
            },
            10'000);
    }
    static ui::DatasetsPage* add(WindowRig& rig, const Path& source, const QString& name) {
        auto* page = rig.go<ui::DatasetsPage>(QStringLiteral("data?q=add"));
        if (page == nullptr) return nullptr;
        page->findChild<QLineEdit*>(QStringLiteral("datasetSourceInput"))->setText(text(source));
        page->findChild<ui::AddDatasetPanel*>()->findChild<ui::FormDocument*>()->setValue(QStringLiteral("name"),
                                                                                          name.toStdString());
        page->primaryAction()->trigger();
        return stands(page, name) ? page : nullptr;
    }
    /// Drags the file over the window and lets it go; whether the window took it.
    static bool drop(WindowRig& rig, const Path& file) {
        QMimeData dragged;
        dragged.setUrls({QUrl::fromLocalFile(text(file))});
        QDragEnterEvent enter({400, 300}, Qt::CopyAction, &dragged, Qt::LeftButton, Qt::NoModifier);
        enter.ignore();
        QApplication::sendEvent(&rig.window(), &enter);
        if (!enter.isAccepted()) return false;
        QDropEvent let(QPointF(400, 300), Qt::CopyAction, &dragged, Qt::LeftButton, Qt::NoModifier);
        QApplication::sendEvent(&rig.window(), &let);
        return let.isAccepted();
    }
    /// Birds, packed under this name; empty when tar could not.
    static Path pack(WindowRig& rig, const std::string& name) {
        const Path folder = birds(rig.scratch() / "inside");
        const Path archive = rig.scratch() / name;
        QProcess tar;
        tar.start(QStringLiteral("tar"), {QStringLiteral("-caf"), text(archive), QStringLiteral("-C"), text(folder),
                                          QStringLiteral("train"), QStringLiteral("val")});
        return tar.waitForFinished(30'000) && tar.exitCode() == 0 ? archive : Path();
    }
    /// Three classes of 8 × 8 pixels.
    static void writeIdx(WindowRig& rig, const std::string& prefix, unsigned count) {
        const auto number = [](unsigned value) {
            std::string bytes;
            for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>((value >> shift) & 0xFFU));
            return bytes;
        };
        std::string images = std::string("\0\0\x08\x03", 4) + number(count) + number(8) + number(8);
        std::string labels = std::string("\0\0\x08\x01", 4) + number(count);
        for (unsigned i = 0; i < count; ++i) {
            for (unsigned p = 0; p < 64; ++p)
                images.push_back(static_cast<char>(p / 8 == 2 * (i % 3) ? 200 : (i * 7 + p) % 90));
            labels.push_back(static_cast<char>(i % 3));
        }
        (void) rig.scratch().write(prefix + "-images-idx3-ubyte", images);
        (void) rig.scratch().write(prefix + "-labels-idx1-ubyte", labels);
    }
    /// What a row of a form is typed into.
    static QLineEdit* fieldInput(const QWidget* form, const QString& path) {
        for (ui::FieldRow* row : form->findChildren<ui::FieldRow*>()) {
            if (row->path() != path || !row->isVisible()) continue;
            if (auto* line = qobject_cast<QLineEdit*>(row->input())) return line;
            if (auto* line = row->findChild<QLineEdit*>()) return line;
        }
        return nullptr;
    }
    static QAction* action(ui::Page* page, const char* name) {
        return page->findChild<QAction*>(QString::fromLatin1(name));
    }

private Q_SLOTS:
    void firstDataset_isAddedFromTheEmptyPage() {
        WindowRig rig(WindowRig::Fill::Nothing);
        const Path folder = birds(rig.scratch() / "Vögel am See", 12);
        auto* page = rig.go<ui::DatasetsPage>(QStringLiteral("data"));
        QVERIFY(page);
        QVERIFY(says(page, QStringLiteral("No datasets yet")));
        rig.picture(QStringLiteral("data-empty"));
        const auto buttons = page->findChildren<ui::PrimaryButton*>();
        const auto first =
            std::find_if(buttons.begin(), buttons.end(), [](const ui::PrimaryButton* one) { return one->isVisible(); });
        QVERIFY(first != buttons.end());
        QTest::mouseClick(*first, Qt::LeftButton);
        auto* panel = page->findChild<ui::AddDatasetPanel*>();
        QVERIFY(waitFor([&] { return panel->isVisible(); }, 5000));

        // Nothing named: told at its place, nothing is started.
        page->primaryAction()->trigger();
        auto* sourceError = panel->findChild<ui::InlineError*>(QStringLiteral("datasetSourceError"));
        QVERIFY(!sourceError->isClear() && !panel->isRunning());
        rig.questions().setNextAnswer(text(folder));
        QTest::mouseClick(panel->findChild<QPushButton*>(QStringLiteral("chooseFolderButton")), Qt::LeftButton);
        auto* source = panel->findChild<QLineEdit*>(QStringLiteral("datasetSourceInput"));
        QVERIFY(waitFor([&] { return source->text() == text(folder); }, 5000));
        QVERIFY(sourceError->isClear());
        QCOMPARE(panel->findChild<ui::FormDocument*>()->document().value("name", std::string()),
                 std::string("vogel-am-see"));
        QVERIFY(says(panel, QStringLiteral("its own division")));
        rig.picture(QStringLiteral("data-add"));
        page->primaryAction()->trigger();
        QVERIFY(panel->isRunning());
        QVERIFY(stands(page, QStringLiteral("vogel-am-see")));

        QVERIFY(std::filesystem::exists(rig.layout().datasets() / "vogel-am-see" / "1.json"));
        auto* classes = page->findChild<QTableView*>(QStringLiteral("classesTable"))->model();
        QCOMPARE(classes->rowCount(), 2);
        QCOMPARE(classes->index(0, 0).data().toString(), QStringLiteral("heron"));
        QCOMPARE(classes->index(0, 1).data().toString(), QStringLiteral("12"));
        QCOMPARE(classes->index(0, 2).data().toString(), QStringLiteral("2"));
        QVERIFY(page->findChild<ui::InlineError*>(QStringLiteral("noProblemsLine"))->isVisible());
        QVERIFY(!page->findChild<ui::Chip*>(QStringLiteral("datasetProblemsChip"))->isVisible());
        QCOMPARE(page->findChild<ui::CopyField*>(QStringLiteral("datasetPathField"))->text(), text(folder));
        QVERIFY(says(page->findChild<ui::PicturesPanel*>(), QStringLiteral("40 × 32")));
        const QString hash = page->findChild<ui::CopyField*>(QStringLiteral("datasetHashField"))->text();
        QCOMPARE(hash.size(), 64);
        QTest::mouseClick(
            page->findChild<ui::CopyField*>(QStringLiteral("datasetHashField"))->findChild<QToolButton*>(),
            Qt::LeftButton);
        QCOMPARE(QApplication::clipboard()->text(), hash);
        auto* list = page->findChild<QListWidget*>(QStringLiteral("datasetsList"));
        QVERIFY(waitFor([&] { return list->count() == 1 && list->isVisible(); }, 10'000));
        rig.picture(QStringLiteral("data-overview"));
        // As its line, so its address.
        QCOMPARE(page->address().toString(), QStringLiteral("trainyard://data/vogel-am-see"));
    }

    void whatIsWrong_isCountedNamedAndShown() {
        WindowRig rig(WindowRig::Fill::Nothing);
        const Path folder = birds(rig.scratch() / "wrong");
        const std::string whole = base::readFile(folder / "val/heron/b0.jpg").value();
        std::ofstream(folder / "train/heron/cut.jpg") << whole.substr(0, whole.size() / 3);
        std::ofstream(folder / "train/heron/letter.jpg") << "Dear Sir, this is no picture.";
        std::filesystem::copy_file(folder / "train/osprey/a1.png", folder / "val/osprey/same.png");
        auto* page = add(rig, folder, QStringLiteral("wrong"));
        QVERIFY(page);
        auto* chip = page->findChild<ui::Chip*>(QStringLiteral("datasetProblemsChip"));
        QVERIFY(chip->isVisible());
        auto* panel = page->findChild<ui::ProblemsPanel*>();
        QVERIFY(panel->isVisible());
        const auto links = panel->findChildren<ui::LinkButton*>(QStringLiteral("problemFilesLink"));
        QVERIFY(links.size() >= 2);
        QStringList files;
        for (ui::LinkButton* link : links) QTest::mouseClick(link, Qt::LeftButton);
        for (ui::CopyField* field : panel->findChildren<ui::CopyField*>(QStringLiteral("problemFiles"))) {
            QVERIFY(field->isVisible());
            files << field->text();
        }
        const QString all = files.join(u'\n');
        for (const char* name : {"cut.jpg", "letter.jpg", "same.png"})
            QVERIFY2(all.contains(QLatin1String(name)), qPrintable(all));
        rig.picture(QStringLiteral("data-problems"));
        QTest::mouseClick(links.first(), Qt::LeftButton);
        QVERIFY(!panel->findChildren<ui::CopyField*>(QStringLiteral("problemFiles")).first()->isVisible());
    }

    void pictures_areShownByClassAndSplit() {
        WindowRig rig(WindowRig::Fill::Nothing);
        const Path folder = birds(rig.scratch() / "birds", 40);
        auto* page = add(rig, folder, QStringLiteral("birds"));
        QVERIFY(page);
        // From a line of the table to the pictures of its class.
        auto* table = page->findChild<QTableView*>(QStringLiteral("classesTable"));
        table->setCurrentIndex(table->model()->index(1, 0));
        table->setFocus();
        QTest::keyClick(table, Qt::Key_Return);
        auto* grid = page->findChild<ui::SampleGrid*>();
        QVERIFY(waitFor([&] { return grid->isVisible() && grid->samples().total() == 42; }, 10'000));
        QCOMPARE(page->findChild<QComboBox*>(QStringLiteral("sampleClassBox"))->currentData().toString(),
                 QStringLiteral("osprey"));
        QVERIFY(waitFor([&] { return grid->current() != nullptr && grid->current()->label == u"osprey"; }, 10'000));
        QVERIFY(waitFor([&] { return grid->pictureBytes() > 0; }, 10'000));
        rig.picture(QStringLiteral("data-pictures"));

        auto* classes = page->findChild<QComboBox*>(QStringLiteral("sampleClassBox"));
        classes->setCurrentIndex(0);
        Q_EMIT classes->activated(0);
        QVERIFY(waitFor([&] { return grid->samples().total() == 84; }, 10'000));
        auto* split = page->findChild<ui::SegmentedControl*>(QStringLiteral("sampleSplitControl"));
        split->setFocus();
        QTest::keyClick(split, Qt::Key_Right);
        QTest::keyClick(split, Qt::Key_Right);
        QCOMPARE(split->current(), 2);
        QVERIFY(waitFor([&] { return grid->samples().total() == 4 && grid->samples().at(3) != nullptr; }, 10'000));
        for (qint64 i = 0; i < 4; ++i) QCOMPARE(grid->samples().at(i)->split, QStringLiteral("val"));
        grid->setFocus();
        QTest::keyClick(grid, Qt::Key_End);
        QCOMPARE(grid->currentIndex(), 3);
        auto* path = page->findChild<ui::CopyField*>(QStringLiteral("samplePathField"));
        QVERIFY(path->isVisible());
        QCOMPARE(path->text(), text(folder / "val/osprey/b1.jpg"));
        QTest::mouseClick(grid->viewport(), Qt::LeftButton, {}, grid->cellRect(1).center());
        QCOMPARE(grid->currentIndex(), 1);
        // A picture that has gone since is told of, not hidden.
        std::filesystem::remove(folder / "val/heron/b0.jpg");
        const ui::Thumbnail gone = ui::readThumbnail(text(folder / "val/heron/b0.jpg"), 64);
        QVERIFY(gone.image.isNull() && gone.reason.contains(u"not there"));
    }

    void thumbnails_turnCropAndSayWhatIsWrong() {
        test::Scratch scratch;
        QImage halves(300, 200, QImage::Format_RGB888);
        halves.fill(Qt::blue);
        QPainter(&halves).fillRect(0, 0, 150, 200, Qt::red);
        const Path plain = scratch / "plain.jpg";
        QVERIFY(halves.save(text(plain), "JPG", 95));
        // To be turned by a quarter to the right, as cameras write it: what was left is above then.
        std::string bytes = base::readFile(plain).value();
        const std::string turn("\xff\xe1\x00\x22"
                               "Exif\0\0"
                               "II*\0\x08\0\0\0"
                               "\x01\0"
                               "\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"
                               "\0\0\0\0",
                               36);
        std::ofstream(scratch / "turned.jpg") << bytes.substr(0, 2) << turn << bytes.substr(2);
        const auto isRed = [](QColor c) { return c.red() > 180 && c.blue() < 80; };
        const QImage straight = ui::readThumbnail(text(plain), 64).image;
        QCOMPARE(straight.size(), QSize(64, 64));
        QVERIFY(isRed(straight.pixelColor(4, 32)) && !isRed(straight.pixelColor(60, 32)));
        const QImage turned = ui::readThumbnail(text(scratch / "turned.jpg"), 64).image;
        QVERIFY(isRed(turned.pixelColor(32, 4)) && !isRed(turned.pixelColor(32, 60)));

        std::ofstream(scratch / "text.jpg") << "no picture";
        std::ofstream(scratch / "empty.png").flush();
        std::ofstream(scratch / "cut.png") << std::string("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
        for (const char* name : {"text.jpg", "empty.png", "cut.png", "missing.jpg"}) {
            const ui::Thumbnail made = ui::readThumbnail(text(scratch / name), 64);
            QVERIFY2(made.image.isNull() && !made.reason.isEmpty(), name);
        }
        // A strip is no reason for a picture of gigabytes.
        QImage strip(12'000, 6, QImage::Format_RGB888);
        strip.fill(Qt::green);
        QVERIFY(strip.save(text(scratch / "strip.png")));
        QVERIFY(!ui::readThumbnail(text(scratch / "strip.png"), 64).image.isNull());
    }

    void thumbnails_stayWithinTheirLimitAndDropWhatIsNotWanted() {
        test::Scratch scratch;
        QStringList paths;
        for (int i = 0; i < 60; ++i) {
            picture(scratch / ("p" + std::to_string(i) + ".png"), QColor::fromHsv(i * 6, 200, 200), {80, 80});
            paths << text(scratch / ("p" + std::to_string(i) + ".png"));
        }
        constexpr qint64 kLimit = 400'000;  // Some twenty of them.
        ui::Thumbnails thumbnails(kLimit, nullptr);
        QStringList ready;
        connect(&thumbnails, &ui::Thumbnails::ready, this, [&ready](const QString& path) { ready << path; });
        thumbnails.want(paths, 64);
        thumbnails.want({paths.last()}, 64);
        QVERIFY(waitFor([&] { return thumbnails.find(paths.last()) != nullptr; }, 10'000));
        QTest::qWait(100);
        QVERIFY2(ready.size() <= 8,
                 qPrintable(QString::number(ready.size())));  // What two threads had begun, not all sixty.
        thumbnails.want(paths, 64);
        QVERIFY(waitFor([&] { return ready.contains(paths[58]); }, 20'000));
        QVERIFY(thumbnails.bytes() > kLimit / 2 && thumbnails.bytes() <= kLimit);
    }

    void hundredThousandSamples_areScrolledThrough() {
        WindowRig rig(WindowRig::Fill::Nothing);
        constexpr int kEach = 50'000;
        const Path folder = birds(rig.scratch() / "many", 1);
        datasets::Dataset many;
        many.name = "many";
        many.kind = "images";
        many.path = folder;
        many.source = folder.string();
        many.layout.train = "train";
        many.layout.validation = "val";
        std::vector<base::ContentFile> files;
        for (const char* name : {"heron", "osprey"}) {
            for (int i = 0; i < kEach; ++i)
                files.push_back(
                    {std::string("train/") + name + "/a" + std::to_string(i) + ".png", std::string(64, 'a'), 900});
            many.classes.push_back({name, kEach, 0, 0});
        }
        many.bytes = 900 * 2 * kEach;
        many.sha256 = base::contentHash(files);
        const auto written = datasets::writeDataset(rig.layout(), many, files);
        QVERIFY2(written.ok(), written.ok() ? "" : written.error().message.c_str());

        auto* page = rig.go<ui::DatasetsPage>(QStringLiteral("data/many?q=samples"));
        QVERIFY(page && stands(page, QStringLiteral("many")));
        auto* grid = page->findChild<ui::SampleGrid*>();
        QVERIFY(waitFor([&] { return grid->samples().total() == 2 * kEach; }, 30'000));
        // As a hand that drags the bar from end to end.
        QScrollBar* bar = grid->verticalScrollBar();
        QElapsedTimer each;
        qint64 longest = 0;
        for (int step = 0; step <= 300; ++step) {
            each.start();
            bar->setValue(static_cast<int>(qint64{bar->maximum()} * step / 300));
            QCoreApplication::processEvents(QEventLoop::AllEvents, 20);
            longest = std::max(longest, each.elapsed());
        }
        qInfo("longest step while scrolling through 100,000 samples: %lld ms", static_cast<long long>(longest));
        QVERIFY(waitFor([&] { return grid->samples().at(2 * kEach - 1) != nullptr; }, 30'000));
        QCOMPARE(grid->samples().at(2 * kEach - 1)->label, QStringLiteral("osprey"));
        // Only what is looked at is kept.
        QVERIFY(grid->samples().at(kEach / 2 + 3) == nullptr || grid->samples().at(kEach / 4) == nullptr);
        grid->setFocus();
        QTest::keyClick(grid, Qt::Key_Home);
        QVERIFY(waitFor([&] { return grid->currentIndex() == 0 && grid->current() != nullptr; }, 10'000));
    }

    void archive_isUnpackedAndAWrongHashIsSaidAtItsField() {
        WindowRig rig(WindowRig::Fill::Nothing);
        const Path archive = pack(rig, "birds of the lake.tar.gz");
        QVERIFY(!archive.empty());
        // Dropped on the window.
        QVERIFY(drop(rig, archive));
        auto* page = qobject_cast<ui::DatasetsPage*>(rig.window().page());
        QVERIFY(page);
        auto* panel = page->findChild<ui::AddDatasetPanel*>();
        QVERIFY(panel->isVisible());
        QCOMPARE(panel->findChild<QLineEdit*>(QStringLiteral("datasetSourceInput"))->text(), text(archive));
        auto* document = panel->findChild<ui::FormDocument*>();
        QCOMPARE(document->document().value("name", std::string()), std::string("birds-of-the-lake"));
        document->setValue(QStringLiteral("sha256"), std::string(64, '0'));
        page->primaryAction()->trigger();
        QVERIFY(waitFor([&] { return !panel->isRunning(); }, kPatience));
        QVERIFY2(!document->errorText(QStringLiteral("sha256")).isEmpty(), "the wrong hash is not said at its field");
        QVERIFY(!std::filesystem::exists(rig.layout().datasets() / "birds-of-the-lake"));
        rig.picture(QStringLiteral("data-wrong-hash"));
        document->setValue(QStringLiteral("sha256"), "");
        page->primaryAction()->trigger();
        QVERIFY(stands(page, QStringLiteral("birds-of-the-lake")));
        QVERIFY(page->findChild<ui::CopyField*>(QStringLiteral("datasetPathField"))
                    ->text()
                    .startsWith(text(rig.layout().datasets())));

        // What was unpacked goes with it, after a question.
        rig.questions().setNextAnswer(QStringLiteral("remove"));
        action(page, "removeDatasetAction")->trigger();
        QVERIFY(says(page, QStringLiteral("No datasets yet")));
        QVERIFY(rig.questions().asked().contains(QStringLiteral("dataset.remove")));
        QVERIFY(!std::filesystem::exists(rig.layout().datasets() / "birds-of-the-lake" / "1.json"));
    }

    void chosenArchive_isAdded() {
        WindowRig rig(WindowRig::Fill::Nothing);
        const Path archive = pack(rig, "Herons and Ospreys.tar.xz");
        QVERIFY(!archive.empty());
        auto* page = rig.go<ui::DatasetsPage>(QStringLiteral("data?q=add"));
        QVERIFY(page);
        rig.questions().setNextAnswer(text(archive));
        QTest::mouseClick(rig.visible<QPushButton>(QStringLiteral("chooseArchiveButton")), Qt::LeftButton);
        auto* panel = page->findChild<ui::AddDatasetPanel*>();
        auto* document = panel->findChild<ui::FormDocument*>();
        QVERIFY(
            waitFor([&] { return document->document().value("name", std::string()) == "herons-and-ospreys"; }, 5000));
        // The hash of an archive here is a wish, not a duty.
        page->primaryAction()->trigger();
        QVERIFY(stands(page, QStringLiteral("herons-and-ospreys")));
        QCOMPARE(page->findChild<QTableView*>(QStringLiteral("classesTable"))->model()->rowCount(), 2);
    }

    void address_isFetchedFromAServer() {
        WindowRig rig(WindowRig::Fill::Nothing);
        std::filesystem::create_directories(rig.scratch() / "site");
        const Path archive = pack(rig, "site/birds.tar.gz");
        QVERIFY(!archive.empty());
        const test::FileServer server(archive.parent_path());
        QVERIFY(server.port() != 0);
        auto* page = rig.go<ui::DatasetsPage>(QStringLiteral("data?q=add"));
        QVERIFY(page);
        auto* panel = page->findChild<ui::AddDatasetPanel*>();
        auto* source = panel->findChild<QLineEdit*>(QStringLiteral("datasetSourceInput"));
        source->setFocus();
        QTest::keyClicks(source, QString::fromStdString(server.address("lake/birds.tar.gz")));
        auto* document = panel->findChild<ui::FormDocument*>();
        QCOMPARE(document->document().value("name", std::string()), std::string("birds"));
        // Without its hash an address is not fetched; that is said at its field, before anything is asked of the
        // server.
        QTest::keyClick(source, Qt::Key_Return);
        QVERIFY(waitFor([&] { return !panel->isRunning() && !document->errorText(QStringLiteral("sha256")).isEmpty(); },
                        kPatience));
        QVERIFY(server.requests().empty());
        rig.picture(QStringLiteral("data-address-without-hash"));
        auto* sum = fieldInput(panel, QStringLiteral("sha256"));
        QVERIFY(sum);
        sum->setFocus();
        QTest::keyClicks(sum, QString::fromStdString(*base::sha256File(archive)));
        page->primaryAction()->trigger();
        QVERIFY(stands(page, QStringLiteral("birds")));
        QVERIFY(!server.requests().empty());
        const auto fields = page->findChild<ui::PlacePanel*>()->findChildren<ui::CopyField*>();
        QVERIFY2(std::any_of(fields.begin(), fields.end(),
                             [](ui::CopyField* field) { return field->text().contains(u"127.0.0.1"); }),
                 "The page does not say where the data came from.");
        rig.picture(QStringLiteral("data-from-address"));

        // One that is not there says what the server said, and leaves nothing.
        QVERIFY(rig.go<ui::DatasetsPage>(QStringLiteral("data?q=add")));
        panel->begin(QString::fromStdString(server.address("missing.zip")), {{"sha256", std::string(64, 'a')}});
        page->primaryAction()->trigger();
        auto* error = panel->findChild<ui::InlineError*>(QStringLiteral("datasetSourceError"));
        auto* other = panel->findChild<ui::InlineError*>(QStringLiteral("addDatasetError"));
        QVERIFY(waitFor([&] { return !panel->isRunning() && (!error->isClear() || !other->isClear()); }, kPatience));
        QVERIFY((error->text() + other->text()).contains(QStringLiteral("404")));
        QVERIFY(!std::filesystem::exists(rig.layout().datasets() / "missing" / "1.json"));
    }

    void idxFiles_areAddedAndShown() {
        WindowRig rig(WindowRig::Fill::Nothing);
        const Path folder = rig.scratch() / "digits";
        writeIdx(rig, "digits/train", 90);
        writeIdx(rig, "digits/t10k", 30);
        auto* page = rig.go<ui::DatasetsPage>(QStringLiteral("data?q=add"));
        QVERIFY(page);
        rig.questions().setNextAnswer(text(folder));
        QTest::mouseClick(rig.visible<QPushButton>(QStringLiteral("chooseFolderButton")), Qt::LeftButton);
        auto* document = page->findChild<ui::AddDatasetPanel*>()->findChild<ui::FormDocument*>();
        QVERIFY(waitFor([&] { return document->document().value("name", std::string()) == "digits"; }, 5000));
        page->primaryAction()->trigger();
        QVERIFY(stands(page, QStringLiteral("digits")));
        QVERIFY(says(page, QStringLiteral("IDX files")));
        auto* classes = page->findChild<QTableView*>(QStringLiteral("classesTable"))->model();
        QCOMPARE(classes->rowCount(), 3);
        QCOMPARE(classes->index(2, 1).data().toString(), QStringLiteral("30"));
        QCOMPARE(classes->index(2, 2).data().toString(), QStringLiteral("10"));
        QVERIFY(says(page->findChild<ui::PicturesPanel*>(), QStringLiteral("8 × 8")));
        rig.picture(QStringLiteral("data-idx"));
        // Their samples have no files: the pixels come from the set itself.
        page->findChild<QTabWidget*>()->setCurrentIndex(1);
        auto* grid = page->findChild<ui::SampleGrid*>();
        QVERIFY(waitFor([&] { return grid->samples().total() == 120 && grid->current() != nullptr; }, 20'000));
        QVERIFY(grid->current()->path.isEmpty());
        QCOMPARE(grid->current()->image.size(), QSize(8, 8));
        QVERIFY(!page->findChild<ui::CopyField*>(QStringLiteral("samplePathField"))->isVisible());
        rig.picture(QStringLiteral("data-idx-samples"));
        // And from here into the form.
        action(page, "trainOnDatasetAction")->trigger();
        auto* form = qobject_cast<ui::NewRunPage*>(rig.window().page());
        QVERIFY(form);
        QVERIFY(waitFor(
            [&] {
                return form->document().value(QStringLiteral("task.dataset.train_images")) ==
                       Json("dataset:digits/train-images-idx3-ubyte");
            },
            10'000));
        QVERIFY(waitFor([&] { return form->findChild<ui::DatasetPanel*>()->preview().has_value(); }, 20'000));
    }

    void cancel_addsNothing() {
        WindowRig rig(WindowRig::Fill::Nothing);
        const Path folder = birds(rig.scratch() / "birds", 30);
        auto* page = rig.go<ui::DatasetsPage>(QStringLiteral("data?q=add"));
        QVERIFY(page);
        auto* panel = page->findChild<ui::AddDatasetPanel*>();
        panel->findChild<QLineEdit*>(QStringLiteral("datasetSourceInput"))->setText(text(folder));
        page->primaryAction()->trigger();
        auto* progress = panel->findChild<ui::ProgressStrip*>(QStringLiteral("addDatasetProgress"));
        QVERIFY(progress->isVisible() && !page->primaryAction()->isEnabled());
        QTest::mouseClick(progress->findChild<QToolButton*>(), Qt::LeftButton);
        QVERIFY(waitFor([&] { return !panel->isRunning(); }, kPatience));
        QVERIFY(!progress->isVisible() && page->primaryAction()->isEnabled());
        auto* error = panel->findChild<ui::InlineError*>(QStringLiteral("addDatasetError"));
        QVERIFY(error->text().contains(u"Canceled"));
        QVERIFY(!std::filesystem::exists(rig.layout().datasets() / "birds" / "1.json"));
        // What was typed survives a restart of the window.
        QVERIFY(waitFor([&] { return rig.window().flushState(); }, 5000));
        rig.open();
        page = rig.go<ui::DatasetsPage>(QStringLiteral("data"));
        QVERIFY(page);
        panel = page->findChild<ui::AddDatasetPanel*>();
        QVERIFY(waitFor([&] { return panel->isVisible(); }, 5000));
        QCOMPARE(panel->findChild<QLineEdit*>(QStringLiteral("datasetSourceInput"))->text(), text(folder));
    }

    void nextVersion_comesOfLookingAgain() {
        WindowRig rig(WindowRig::Fill::Nothing);
        const Path folder = birds(rig.scratch() / "growing");
        auto* page = add(rig, folder, QStringLiteral("growing"));
        QVERIFY(page);
        picture(folder / "train/heron/new.png", Qt::darkCyan);
        action(page, "lookAgainAction")->trigger();
        QVERIFY(page->findChild<ui::AddDatasetPanel*>()->isVisible());
        QVERIFY(says(page, QStringLiteral("becomes its version 2")));
        page->primaryAction()->trigger();
        auto* versions = page->findChild<QComboBox*>(QStringLiteral("datasetVersionBox"));
        QVERIFY(waitFor([&] { return versions->isVisible() && versions->count() == 2; }, kPatience));
        auto* classes = page->findChild<QTableView*>(QStringLiteral("classesTable"))->model();
        QCOMPARE(classes->index(0, 1).data().toString(), QStringLiteral("7"));
        QVERIFY(rig.go<ui::DatasetsPage>(QStringLiteral("data/growing/1")));
        QVERIFY(waitFor([&] { return classes->index(0, 1).data().toString() == u"6"; }, 10'000));
        QCOMPARE(page->address().parts, (QStringList{QStringLiteral("growing"), QStringLiteral("1")}));
    }

    void trainOnThis_fillsTheFormIn() {
        WindowRig rig(WindowRig::Fill::Nothing);
        const Path folder = birds(rig.scratch() / "birds");
        auto* page = add(rig, folder, QStringLiteral("birds"));
        QVERIFY(page);
        action(page, "trainOnDatasetAction")->trigger();
        auto* form = qobject_cast<ui::NewRunPage*>(rig.window().page());
        QVERIFY(form);
        auto* data = form->findChild<ui::DatasetPanel*>();
        QVERIFY(waitFor([&] { return data->preview().has_value() && data->preview()->training == 12; }, 20'000));
        const Json dataset = form->document().document().at("task").at("dataset");
        QCOMPARE(dataset.at("kind").get<std::string>(), std::string("images"));
        QCOMPARE(dataset.at("folder").get<std::string>(), std::string("dataset:birds"));
        auto* box = form->findChild<QComboBox*>(QStringLiteral("datasetInput"));
        QVERIFY(
            waitFor([&] { return box->isVisible() && box->currentData().toString().startsWith(u"birds"); }, 10'000));
        rig.picture(QStringLiteral("new-run-dataset"));
        // Back to files of one's own.
        Q_EMIT box->activated(0);
        QVERIFY(waitFor([&] { return form->document().document().at("task").at("dataset").at("folder") == ""; }, 5000));

        // A folder that is dropped on the window is put in as it is.
        QVERIFY(drop(rig, folder));
        QCOMPARE(form->document().document().at("task").at("dataset").at("folder").get<std::string>(), folder.string());
        QVERIFY(waitFor([&] { return data->preview().has_value() && data->preview()->validation == 4; }, 20'000));
    }

    void palette_findsDatasets() {
        WindowRig rig(WindowRig::Fill::Nothing);
        QVERIFY(add(rig, birds(rig.scratch() / "birds"), QStringLiteral("waterfowl")));
        ui::Palette& palette = rig.window().commandPalette();
        const auto row = [&](const QString& title) {
            const QAbstractItemModel* hits = palette.findChild<QListView*>()->model();
            for (int i = 0; i < hits->rowCount(); ++i) {
                if (hits->index(i, 0).data().toString() == title) return i;
            }
            return -1;
        };
        palette.openOver(QStringLiteral("waterf"));
        QVERIFY(waitFor([&] { return row(QStringLiteral("waterfowl")) >= 0; }, 10'000));
        palette.openOver(QStringLiteral("Add a data"));
        QVERIFY(waitFor([&] { return row(QStringLiteral("Add a dataset…")) >= 0; }, 10'000));
        palette.closeUp();
    }

    void nameThatIsNotThere_isSaid() {
        WindowRig rig(WindowRig::Fill::Nothing);
        auto* page = rig.go<ui::DatasetsPage>(QStringLiteral("data/nobody-added-this"));
        QVERIFY(page);
        QVERIFY(says(page, QStringLiteral("nobody-added-this")));
        // Nor is anything else than a folder or an archive taken.
        const Path file = rig.scratch().write("notes.txt", "nothing");
        QVERIFY(!drop(rig, file));
    }
};

TRAINYARD_GUI_TEST(DatasetsPageTest)
#include "tst_DatasetsPage.moc"
