#include <QTest>
#include <fstream>
#include <thread>

#include "core/base/Hash.h"
#include "core/runs/DiskUse.h"
#include "core/runs/HashCache.h"
#include "core/runs/Journal.h"
#include "core/runs/Launch.h"
#include "core/runs/StreamCopy.h"
#include "core/runs/Submission.h"
#include "core/runs/Workspace.h"
#include "core/wire/RunStream.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard;
using namespace trainyard::runs;

namespace {

base::Json commandDocument() {
    return base::Json{{"format", spec::kRunSpecFormat},
                      {"version", spec::kRunSpecVersion},
                      {"experiment", "e"},
                      {"task", {{"kind", "command"}, {"command", {"echo", "hi"}}}}};
}

NewRun newRun(const base::Json& document) {
    NewRun run;
    run.id = base::RunId::make();
    run.number = 7;
    run.spec = checkForLaunch(document).value();
    run.document = spec::toJson(run.spec);
    run.name = "e-7";
    return run;
}

spec::TargetSpec localTarget() {
    spec::TargetSpec target;
    target.name = "local";
    target.kind = spec::TargetKind::Local;
    return target;
}

std::vector<wire::Record> readJournal(const base::Path& file) {
    wire::StreamFolderReader reader(file);
    std::vector<wire::StreamEntry> entries;
    const auto count = reader.read(entries);
    std::vector<wire::Record> records;
    for (const auto& entry : entries) {
        records.push_back(entry.record);
    }
    return count.ok() ? records : std::vector<wire::Record>{};
}

}  // namespace

class TestSubmission : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        m_layout = initWorkspace(*m_scratch / "w", "").value().layout;
    }

    void check_namesTheField_data() {
        QTest::addColumn<QByteArray>("path");
        QTest::addColumn<QByteArray>("value");
        QTest::addColumn<QByteArray>("code");
        QTest::newRow("missing file") << QByteArray("task.dataset.train_images") << QByteArray("\"/nowhere/x.gz\"")
                                      << QByteArray("spec.file_missing");
        QTest::newRow("folder instead of file")
            << QByteArray("task.dataset.train_images") << QByteArray("\"/tmp\"") << QByteArray("spec.file_kind");
        QTest::newRow("negative epochs") << QByteArray("task.epochs") << QByteArray("-1") << QByteArray("spec.range");
        QTest::newRow("text for a number")
            << QByteArray("task.epochs") << QByteArray("\"x\"") << QByteArray("spec.type");
    }
    void check_namesTheField() {
        QFETCH(QByteArray, path);
        QFETCH(QByteArray, value);
        QFETCH(QByteArray, code);
        const base::Path file = m_scratch->write("data", "x");
        base::Json document = spec::defaultRunSpecDocument();
        for (const char* key : {"train_images", "train_labels", "val_images", "val_labels"}) {
            spec::setValueAt(document, std::string("task.dataset.") + key, file.string());
        }
        const auto well = checkForLaunch(document);
        QVERIFY2(well.ok(), well.ok() ? "" : well.error().message.c_str());
        spec::setValueAt(document, path.toStdString(), base::parseJson(value.toStdString()).value());
        const auto checked = checkForLaunch(document);
        QVERIFY(!checked.ok());
        QCOMPARE(checked.error().code, code.toStdString());
        QCOMPARE(checked.error().field, path.toStdString());
    }

    void makeRunFolder_isWholeAndLocked() {
        const NewRun run = newRun(commandDocument());
        auto lock = makeRunFolder(m_layout, run);
        QVERIFY(lock.ok());
        const auto records = readJournal(m_layout.journal(run.id));
        QCOMPARE(records.size(), std::size_t{2});
        QCOMPARE(records[0].kind, "submit");
        QCOMPARE(records[0].body.at("number").get<int>(), 7);
        QCOMPARE(records[1].body.at("state").get<std::string>(), "Preparing");
        QCOMPARE(base::parseJson(base::readFile(m_layout.spec(run.id)).value()).value(), run.document);
        // The lock moved with the folder.
        QCOMPARE(base::FileLock::tryExclusive(m_layout.lock(run.id)).error().code, "lock.held");
        lock->release();
        QVERIFY(base::FileLock::tryExclusive(m_layout.lock(run.id)).ok());
        QVERIFY(std::filesystem::is_empty(m_layout.trash()));
    }

    void makeRunFolder_leavesNothingWhenItFails() {
        const NewRun run = newRun(commandDocument());
        QVERIFY(base::makeDirs(m_layout.run(run.id) / "in the way").ok());
        QVERIFY(!makeRunFolder(m_layout, run).ok());
        QVERIFY(std::filesystem::is_empty(m_layout.trash()));
    }

    void makeLaunch_carriesThePlan() {
        const NewRun run = newRun(commandDocument());
        spec::TargetSpec target = localTarget();
        target.variables = {{"PLACE", "here"}};
        const auto launch = makeLaunch(m_layout, run, target, [](std::int64_t) { return true; });
        QVERIFY(launch.ok());
        QCOMPARE(launch->plan.command, (std::vector<std::string>{"echo", "hi"}));
        QCOMPARE(launch->plan.runName, "e-7");
        QCOMPARE(launch->plan.variables, (std::vector<std::pair<std::string, std::string>>{{"PLACE", "here"}}));
        QVERIFY(!launch->plan.engine);
        QVERIFY(!launch->needsEngine);
        QCOMPARE(launch->files.size(), std::size_t{1});
        QCOMPARE(launch->files[0].first, "spec.json");
        QCOMPARE(makeLaunch(m_layout, run, target, [](std::int64_t) { return false; }).error().code, "canceled");
    }

    void makeLaunch_ofTrainingNamesTheEngineAndTheCheckpoint() {
        base::Json document = spec::defaultRunSpecDocument();
        const base::Path file = m_scratch->write("data", "x");
        for (const char* key : {"train_images", "train_labels", "val_images", "val_labels"}) {
            spec::setValueAt(document, std::string("task.dataset.") + key, file.string());
        }
        spec::setValueAt(document, "task.threads", 1);
        spec::setValueAt(document, "distribution.kind", "pytorch");
        spec::setValueAt(document, "distribution.processes", 2);
        NewRun run = newRun(document);
        run.resumeCheckpoint = "/w/last.ckpt";
        const auto launch = makeLaunch(m_layout, run, localTarget(), [](std::int64_t) { return true; });
        QVERIFY(launch.ok());
        QCOMPARE(launch->plan.command, (std::vector<std::string>{"$TRAINYARD_ENGINE", "train", "--spec",
                                                                 "$TRAINYARD_NODE_FOLDER/spec.json"}));
        QVERIFY(launch->plan.engine);
        QVERIFY(launch->needsEngine);
        QCOMPARE(launch->plan.processes, 2);
        QCOMPARE(launch->plan.cores, 2);
        QCOMPARE(launch->plan.backend, "gloo");
        QVERIFY(launch->inputs.empty());  // On this machine data are used where they lie.
        const base::Json spec = base::parseJson(launch->files[0].second).value();
        QCOMPARE(spec.at("resolved").at("resume_checkpoint").get<std::string>(), "/w/last.ckpt");
        QCOMPARE(spec.at("resolved").at("threads").get<int>(), 1);
    }

    void makeLaunch_elsewhereBringsDataAndCheckpoint() {
        base::Json document = spec::defaultRunSpecDocument();
        const base::Path images = m_scratch->write("train/images.gz", "train images");
        const base::Path labels = m_scratch->write("train/labels.gz", "train labels");
        const base::Path valImages = m_scratch->write("val/images.gz", "val images");
        spec::setValueAt(document, "task.dataset.train_images", images.string());
        spec::setValueAt(document, "task.dataset.train_labels", labels.string());
        spec::setValueAt(document, "task.dataset.val_images", valImages.string());
        spec::setValueAt(document, "task.dataset.val_labels", labels.string());
        NewRun run = newRun(document);
        run.resumeCheckpoint = m_scratch->write("last.ckpt", "weights");
        spec::TargetSpec target = localTarget();
        target.kind = spec::TargetKind::Ssh;
        const auto launch = makeLaunch(m_layout, run, target, [](std::int64_t) { return true; });
        QVERIFY2(launch.ok(), launch.ok() ? "" : launch.error().message.c_str());
        QCOMPARE(launch->inputs.size(), std::size_t{2});
        const targets::InputData& data = launch->inputs[0];
        QCOMPARE(data.name, "dataset");
        QVERIFY(data.isFolder);
        QCOMPARE(data.files.size(), std::size_t{3});  // The labels are one file with two uses.
        const base::Json spec = base::parseJson(launch->files[0].second).value();
        const base::Json& paths = spec.at("task").at("dataset");
        QCOMPARE(paths.at("train_images").get<std::string>(), "$TRAINYARD_INPUT_DATASET/images.gz");
        QCOMPARE(paths.at("val_images").get<std::string>(), "$TRAINYARD_INPUT_DATASET/val_images-images.gz");
        QCOMPARE(paths.at("val_labels"), paths.at("train_labels"));
        QCOMPARE(spec.at("resolved").at("resume_checkpoint").get<std::string>(), "$TRAINYARD_INPUT_RESUME");
        QVERIFY(!launch->inputs[1].isFolder);
        QCOMPARE(launch->inputs[1].sha256, base::sha256Hex("weights"));
        // The key is the content's, wherever it lies.
        m_scratch->write("elsewhere/images.gz", "train images");
        spec::setValueAt(document, "task.dataset.train_images", (*m_scratch / "elsewhere/images.gz").string());
        NewRun again = newRun(document);
        QCOMPARE(makeLaunch(m_layout, again, target, [](std::int64_t) { return true; })->inputs[0].sha256, data.sha256);
    }

    void makeLaunch_bringsPicturesAndWeights() {
        base::Json document = spec::defaultRunSpecDocument();
        const base::Path folder = m_scratch->write("birds/hen/1.jpg", "one").parent_path().parent_path();
        m_scratch->write("birds/wren/2.png", "two");
        const base::Path weights = m_scratch->write("w.pth", "numbers");
        const base::RunId other = base::RunId::make();
        spec::setValueAt(document, "task.dataset.kind", "images");
        spec::setValueAt(document, "task.dataset.folder", folder.string());
        spec::setValueAt(document, "task.model.weights.source", weights.string());
        spec::TargetSpec target = localTarget();
        const auto launched = [&] {
            return makeLaunch(m_layout, newRun(document), target, [](std::int64_t) { return true; });
        };
        const auto sourceOf = [](const targets::LaunchPlan& launch) {
            return base::parseJson(launch.files[0].second)
                .value()
                .at("task")
                .at("model")
                .at("weights")
                .at("source")
                .get<std::string>();
        };
        // On this machine both are used where they lie.
        QVERIFY(checkForLaunch(document, false).ok());
        auto here = launched();
        QVERIFY2(here.ok(), here.ok() ? "" : here.error().message.c_str());
        QVERIFY(here->inputs.empty());
        QCOMPARE(sourceOf(*here), weights.string());

        target.kind = spec::TargetKind::Ssh;
        auto there = launched();
        QVERIFY2(there.ok(), there.ok() ? "" : there.error().message.c_str());
        QCOMPARE(there->inputs.size(), std::size_t{2});
        QCOMPARE(there->inputs[0].name, "dataset");
        QVERIFY(there->inputs[0].isFolder);
        QCOMPARE(there->inputs[0].files.size(), std::size_t{2});
        QCOMPARE(there->inputs[1].name, "weights");
        QCOMPARE(there->inputs[1].sha256, base::sha256Hex("numbers"));
        QCOMPARE(sourceOf(*there), std::string("$TRAINYARD_INPUT_WEIGHTS"));
        const base::Json spec = base::parseJson(there->files[0].second).value();
        QCOMPARE(spec.at("task").at("dataset").at("folder").get<std::string>(),
                 std::string("$TRAINYARD_INPUT_DATASET"));

        spec::setValueAt(document, "task.model.weights.source", "target:/there/w.pth");
        QVERIFY(checkForLaunch(document, false).ok());
        QCOMPARE(sourceOf(*launched()), std::string("/there/w.pth"));
        spec::setValueAt(document, "task.model.weights.source", "run:" + other.str());
        QVERIFY(checkForLaunch(document, false).ok());
        QCOMPARE(launched().error().code, std::string("input.missing"));
        QVERIFY(base::makeDirs(m_layout.outputs(other)).ok());
        QVERIFY(base::writeFileAtomically(m_layout.outputs(other) / "model.safetensors", "tensors").ok());
        QCOMPARE(launched()->inputs[1].sha256, base::sha256Hex("tensors"));
        spec::setValueAt(document, "task.model.weights.source", "run:12");
        QCOMPARE(checkForLaunch(document, false).error().field, std::string("task.model.weights.source"));
    }

    void hashCache_readsOnlyWhatWasTouched() {
        using namespace std::chrono_literals;
        const base::Path file = m_scratch->write("data", "one");
        // Old enough to be remembered; the change itself is now, so a moment has to pass.
        std::this_thread::sleep_for(2100ms);
        HashCache cache(*m_scratch / "cache/hashes.jsonl");
        QCOMPARE(cache.sha256(file).value(), base::sha256Hex("one"));
        int reads = 0;
        const auto count = [&](std::int64_t) {
            ++reads;
            return true;
        };
        HashCache later(*m_scratch / "cache/hashes.jsonl");
        QCOMPARE(later.sha256(file, count).value(), base::sha256Hex("one"));
        QCOMPARE(reads, 0);
        m_scratch->write("data", "two");
        QCOMPARE(later.sha256(file, count).value(), base::sha256Hex("two"));
        QCOMPARE(later.sha256(file).value(), base::sha256Hex("two"));
        QCOMPARE(later.sha256(*m_scratch / "missing").error().code, "file.missing");
        m_scratch->write("cache/hashes.jsonl", "not json\n{\"path\":1}\n");
        HashCache damaged(*m_scratch / "cache/hashes.jsonl");
        QCOMPARE(damaged.sha256(file).value(), base::sha256Hex("two"));
    }

    void journal_manyHandsLoseNothing() {
        const NewRun run = newRun(commandDocument());
        const auto lock = makeRunFolder(m_layout, run);
        constexpr int kHands = 4;
        constexpr int kEach = 20;
        std::vector<std::thread> hands;
        std::atomic<int> failed = 0;
        for (int hand = 0; hand < kHands; ++hand) {
            hands.emplace_back([&, hand] {
                for (int i = 0; i < kEach; ++i) {
                    const auto written =
                        appendJournal(m_layout, run.id, {{"notes", {{"text", std::to_string(hand * kEach + i)}}}});
                    failed += written.ok() ? 0 : 1;
                }
            });
        }
        for (std::thread& hand : hands) {
            hand.join();
        }
        QCOMPARE(failed.load(), 0);
        const auto records = readJournal(m_layout.journal(run.id));
        QCOMPARE(records.size(), std::size_t{2 + kHands * kEach});
        for (std::size_t i = 0; i < records.size(); ++i) {
            QCOMPARE(records[i].seq, static_cast<std::int64_t>(i + 1));
        }
    }

    void streamCopy_goesOnWhereItStood() {
        const base::Path folder = *m_scratch / "copy";
        {
            auto copy = StreamCopy::open(folder).value();
            QVERIFY(copy.append(1, 0, "abc").ok());
            QCOMPARE(copy.append(1, 2, "x").error().code, "copy.position");
            QCOMPARE(copy.append(2, 3, "x").error().code, "copy.position");
            QVERIFY(copy.closeSegment().ok());
            QVERIFY(copy.append(2, 0, "de").ok());
        }
        auto copy = StreamCopy::open(folder).value();
        QCOMPARE(copy.segment(), 2);
        QCOMPARE(copy.size(), std::int64_t{2});
        QVERIFY(copy.append(2, 2, "f").ok());
        QCOMPARE(base::readFile(folder / wire::segmentName(1)).value() +
                     base::readFile(folder / wire::segmentName(2)).value(),
                 "abcdef");
    }

    void sweepTrash_leavesWhatIsBeingMade() {
        const base::Path old = m_layout.trash() / ("new-" + base::newUuid7());
        const base::Path live = m_layout.trash() / ("new-" + base::newUuid7());
        const base::Path deleted = m_layout.trash() / base::newUuid7();
        const base::Path foreign = m_layout.trash() / "mine";
        for (const base::Path& folder : {old, live, deleted, foreign}) {
            QVERIFY(base::makeDirs(folder).ok());
        }
        const auto lock = base::FileLock::tryExclusive(live / "lock");
        using namespace std::chrono_literals;
        for (const base::Path& folder : {old, live}) {
            std::filesystem::last_write_time(folder, std::filesystem::file_time_type::clock::now() - 1h);
        }
        sweepTrash(m_layout);
        QVERIFY(!std::filesystem::exists(old));
        QVERIFY(!std::filesystem::exists(deleted));
        QVERIFY(std::filesystem::exists(live));
        QVERIFY(std::filesystem::exists(foreign));
    }

    void diskUse_countsWhatWouldBeFreed() {
        const base::Path file = m_scratch->write("d/a", std::string(100'000, 'x'));
        QVERIFY(diskUse(*m_scratch / "d") >= 100'000);
        std::filesystem::create_hard_link(file, *m_scratch / "other");
        QCOMPARE(diskUse(*m_scratch / "d"), std::int64_t{0});
        QCOMPARE(diskUse(*m_scratch / "missing"), std::int64_t{0});
    }

private:
    std::unique_ptr<test::Scratch> m_scratch;
    wire::WorkspaceLayout m_layout;
};

QTEST_GUILESS_MAIN(TestSubmission)
#include "tst_Submission.moc"
