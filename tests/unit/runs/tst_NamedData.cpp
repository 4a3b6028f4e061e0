// Data sets by name in a run's specification: pinned, put into place, checked, and what a target gets of them.
#include <QTest>

#include "core/base/Hash.h"
#include "core/datasets/Content.h"
#include "core/datasets/DatasetBook.h"
#include "core/runs/Launch.h"
#include "core/runs/NamedData.h"
#include "core/runs/Submission.h"
#include "core/runs/Workspace.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard;
using namespace trainyard::runs;
using base::Json;

class TestNamedData : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        m_layout = initWorkspace(*m_scratch / "w", "").value().layout;
        m_scratch->write("birds/hen/1.jpg", "one");
        m_scratch->write("birds/wren/2.png", "two");
        add("birds", "images", *m_scratch / "birds");
        for (const char* name : {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                                 "t10k-labels-idx1-ubyte"}) {
            m_scratch->write(std::string("digits/") + name, name);
        }
        add("digits", "idx", *m_scratch / "digits");
    }

    void pinned_andPlaced() {
        const Json document = imagesDocument("dataset:birds");
        const auto pinned = pinDatasets(m_layout, document);
        QVERIFY2(pinned.ok(), pinned.ok() ? "" : pinned.error().message.c_str());
        QCOMPARE(folderOf(*pinned), std::string("dataset:birds:1"));
        QCOMPARE(pinned->at("task").at("dataset").at("name"), Json("birds"));
        // A later version changes nothing of what was pinned.
        m_scratch->write("birds/wren/3.png", "three");
        add("birds", "images", *m_scratch / "birds");
        QCOMPARE(folderOf(*pinDatasets(m_layout, *pinned)), std::string("dataset:birds:1"));
        QCOMPARE(folderOf(*pinDatasets(m_layout, document)), std::string("dataset:birds:2"));
        QCOMPARE(folderOf(*placeDatasets(m_layout, document)), (*m_scratch / "birds").string());
        QVERIFY(checkForLaunch(*pinned).ok());
        QVERIFY(spec::validateRunSpec(*pinned).empty());
    }

    void refused_data() {
        QTest::addColumn<QByteArray>("path");
        QTest::addColumn<QByteArray>("value");
        QTest::addColumn<QByteArray>("code");
        QTest::newRow("unknown") << QByteArray("task.dataset.folder") << QByteArray("dataset:nobody")
                                 << QByteArray("dataset.unknown");
        QTest::newRow("unknown version") << QByteArray("task.dataset.folder") << QByteArray("dataset:birds:9")
                                         << QByteArray("dataset.unknown");
        QTest::newRow("no name") << QByteArray("task.dataset.folder") << QByteArray("dataset:../x")
                                 << QByteArray("spec.name");
        QTest::newRow("climbs") << QByteArray("task.dataset.folder") << QByteArray("dataset:birds/../../x")
                                << QByteArray("spec.path");
        QTest::newRow("not inside") << QByteArray("task.dataset.folder") << QByteArray("dataset:birds/owl")
                                    << QByteArray("dataset.missing");
        QTest::newRow("another kind") << QByteArray("task.dataset.folder") << QByteArray("dataset:digits")
                                      << QByteArray("dataset.kind");
        QTest::newRow("input") << QByteArray("inputs.mine") << QByteArray("dataset:nobody")
                               << QByteArray("dataset.unknown");
    }
    void refused() {
        QFETCH(QByteArray, path);
        QFETCH(QByteArray, value);
        QFETCH(QByteArray, code);
        Json document = imagesDocument("dataset:birds");
        spec::setValueAt(document, path.toStdString(), value.toStdString());
        const auto pinned = pinDatasets(m_layout, document);
        QVERIFY(!pinned.ok());
        QCOMPARE(pinned.error().code, code.toStdString());
        QCOMPARE(pinned.error().field, path.toStdString());
    }

    void noObject_isLeftToValidation() {
        for (const char* text : {"3", "[]", "{\"task\":3}", "{\"task\":{\"dataset\":[]}}", "{\"inputs\":\"x\"}"}) {
            const Json document = base::parseJson(text).value();
            QVERIFY2(pinDatasets(m_layout, document).value() == document, text);
        }
    }

    /// The content hash is the input's: what a target has under it is not sent again.
    void launch_elsewhere() {
        spec::TargetSpec target;
        target.name = "far";
        target.kind = spec::TargetKind::Ssh;
        const auto launch =
            makeLaunch(m_layout, newRun(imagesDocument("dataset:birds")), target, [](std::int64_t) { return true; });
        QVERIFY2(launch.ok(), launch.ok() ? "" : launch.error().message.c_str());
        QCOMPARE(launch->inputs.size(), std::size_t{1});
        QCOMPARE(launch->inputs[0].sha256, datasets::readDataset(m_layout, {"birds", 1})->sha256);
        QCOMPARE(launch->inputs[0].files.size(), std::size_t{2});
        QCOMPARE(folderOf(base::parseJson(launch->files[0].second).value()), std::string("$TRAINYARD_INPUT_DATASET"));

        Json document = spec::defaultRunSpecDocument();
        const datasets::Dataset named = datasets::readDataset(m_layout, {"digits", 1}).value();
        for (const auto& [key, path] : named.files) {
            spec::setValueAt(document, "task.dataset." + key, "dataset:digits/" + path);
        }
        const auto digits =
            makeLaunch(m_layout, newRun(*pinDatasets(m_layout, document)), target, [](std::int64_t) { return true; });
        QVERIFY2(digits.ok(), digits.ok() ? "" : digits.error().message.c_str());
        QCOMPARE(digits->inputs[0].sha256, datasets::readDataset(m_layout, {"digits", 1})->sha256);
    }

    void launch_here_usesItWhereItLies() {
        spec::TargetSpec target;
        target.name = "local";
        target.kind = spec::TargetKind::Local;
        const auto launch =
            makeLaunch(m_layout, newRun(imagesDocument("dataset:birds")), target, [](std::int64_t) { return true; });
        QVERIFY2(launch.ok(), launch.ok() ? "" : launch.error().message.c_str());
        QVERIFY(launch->inputs.empty());
        QCOMPARE(folderOf(base::parseJson(launch->files[0].second).value()), (*m_scratch / "birds").string());
    }

    /// A folder of the target is used where it lies, and nothing of it is looked for here.
    void launch_ofAFolderThere() {
        for (const auto kind : {spec::TargetKind::Local, spec::TargetKind::Ssh}) {
            spec::TargetSpec target;
            target.name = "far";
            target.kind = kind;
            const auto launch = makeLaunch(m_layout, newRun(imagesDocument("target:/data/birds")), target,
                                           [](std::int64_t) { return true; });
            QVERIFY2(launch.ok(), launch.ok() ? "" : launch.error().message.c_str());
            QCOMPARE(launch->inputs.size(), std::size_t{1});
            QVERIFY(launch->inputs[0].origin == targets::InputData::Origin::OnTarget);
            QCOMPARE(launch->inputs[0].location, std::string("/data/birds"));
            QCOMPARE(folderOf(base::parseJson(launch->files[0].second).value()),
                     std::string("$TRAINYARD_INPUT_DATASET"));
        }
        QCOMPARE(checkForLaunch(imagesDocument("target:data")).error().field, std::string("task.dataset.folder"));
        QCOMPARE(checkForLaunch(imagesDocument("target:/data/../etc")).error().code, std::string("spec.input"));
    }

    void launch_ofAScript() {
        Json document{{"format", spec::kRunSpecFormat},
                      {"version", spec::kRunSpecVersion},
                      {"experiment", "e"},
                      {"inputs", {{"birds", "dataset:birds"}}},
                      {"task", {{"kind", "command"}, {"command", {"ls", "$TRAINYARD_INPUT_BIRDS"}}}}};
        QVERIFY(spec::validateRunSpec(document).empty());
        spec::TargetSpec target;
        target.name = "far";
        target.kind = spec::TargetKind::Ssh;
        const auto launch =
            makeLaunch(m_layout, newRun(*pinDatasets(m_layout, document)), target, [](std::int64_t) { return true; });
        QVERIFY2(launch.ok(), launch.ok() ? "" : launch.error().message.c_str());
        QCOMPARE(launch->inputs[0].sha256, datasets::readDataset(m_layout, {"birds", 1})->sha256);
        const auto placed = placeDatasets(m_layout, newRun(document).spec);
        QVERIFY(placed.ok());
        const auto facts = inputFacts(*placed, {}, [](std::int64_t) { return true; });
        QCOMPARE((*facts)[0].at("sha256"), Json(launch->inputs[0].sha256));
    }

    /// Data that changed since they were added are not trained on under the old name.
    void launch_ofChangedData() {
        spec::TargetSpec target;
        target.name = "local";
        target.kind = spec::TargetKind::Local;
        const NewRun run = newRun(imagesDocument("dataset:birds:1"));
        m_scratch->write("birds/wren/2.png", "another");
        const auto launch = makeLaunch(m_layout, run, target, [](std::int64_t) { return true; });
        QCOMPARE(launch.error().code, std::string("dataset.changed"));
        std::filesystem::remove_all(*m_scratch / "birds");
        QCOMPARE(makeLaunch(m_layout, run, target, [](std::int64_t) { return true; }).error().code,
                 std::string("dataset.missing"));
    }

private:
    void add(const std::string& name, const std::string& kind, const base::Path& folder) {
        const auto place = datasets::findPlace(folder);
        QVERIFY(place.ok());
        QCOMPARE(place->kind, kind);
        const auto files = datasets::readPlace(
            *place,
            [](const base::Path& file, const datasets::Report& report) { return base::sha256File(file, report); },
            [](std::int64_t) { return true; });
        datasets::Dataset dataset;
        dataset.name = name;
        dataset.kind = kind;
        dataset.path = place->folder;
        dataset.files = place->files;
        dataset.sha256 = files->sha256;
        QVERIFY(datasets::writeDataset(m_layout, dataset, files->files).ok());
    }
    static Json imagesDocument(const std::string& folder) {
        Json document = spec::defaultRunSpecDocument();
        spec::setValueAt(document, "task.dataset.kind", "images");
        spec::setValueAt(document, "task.dataset.folder", folder);
        return document;
    }
    static std::string folderOf(const Json& document) {
        return document.at("task").at("dataset").at("folder").get<std::string>();
    }
    NewRun newRun(const Json& document) {
        NewRun run;
        run.id = base::RunId::make();
        run.number = 7;
        run.spec = checkForLaunch(document).value();
        run.document = spec::toJson(run.spec);
        run.name = "e-7";
        return run;
    }

    std::unique_ptr<test::Scratch> m_scratch;
    wire::WorkspaceLayout m_layout;
};

QTEST_GUILESS_MAIN(TestNamedData)
#include "tst_NamedData.moc"
