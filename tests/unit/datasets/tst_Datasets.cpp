// Which folder is meant, its files, the splits, what is wrong, and the book of versions.
#include <QTest>

#include "core/base/Clock.h"
#include "core/base/Hash.h"
#include "core/datasets/Content.h"
#include "core/datasets/DatasetBook.h"
#include "core/datasets/Problems.h"
#include "core/datasets/Samples.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard;
using namespace trainyard::datasets;
using base::Json;

namespace {

base::Result<std::string> hashOf(const base::Path& file, const Report& report) {
    return base::sha256File(file, report);
}
bool goOn(std::int64_t) { return true; }

const Problem* find(const std::vector<Problem>& problems, const std::string& kind) {
    for (const Problem& problem : problems) {
        if (problem.kind == kind) return &problem;
    }
    return nullptr;
}

/// What the engine would say of a listing in which everything can be read but `bad`.
Json answerFor(const SampleList& list, const std::vector<std::string>& bad, std::int64_t ignored = 0) {
    std::vector<std::array<std::int64_t, 3>> counts(list.classes.size());
    for (const Sample& sample : list.samples)
        ++counts[sample.label][!sample.readable ? 2U : sample.validation ? 1U : 0U];
    Json classes = Json::array();
    for (std::size_t i = 0; i < counts.size(); ++i) {
        classes.push_back(
            {{"name", list.classes[i]}, {"train", counts[i][0]}, {"val", counts[i][1]}, {"unreadable", counts[i][2]}});
    }
    Json unreadable = Json::array();
    for (const std::string& path : bad) unreadable.push_back({{"path", path}, {"why", "it is no picture"}});
    return Json{{"classes", classes},
                {"ignored", ignored},
                {"channels", 3},
                {"sizes", nullptr},
                {"statistics", nullptr},
                {"unreadable", unreadable},
                {"unreadable_count", bad.size()},
                {"leaks", 0}};
}

}  // namespace

class TestDatasets : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_layout.root = *m_scratch / "w";
    }

    void place_ofClassFolders() {
        m_scratch->write("d/hen/a.jpg", "1");
        m_scratch->write("d/turkey/b.png", "2");
        m_scratch->write("d/.hidden/c.png", "3");
        std::filesystem::create_directories(*m_scratch / "d/empty");
        const auto place = findPlace(*m_scratch / "d");
        QVERIFY(place.ok());
        QCOMPARE(place->kind, std::string("images"));
        QCOMPARE(place->classFolders, (std::vector<std::string>{"empty", "hen", "turkey"}));
        QVERIFY(place->layout.train.empty() && place->layout.validation.empty());
    }

    void place_looksThroughASingleFolder() {
        m_scratch->write("d/birds-1.0/train/hen/a.jpg", "1");
        m_scratch->write("d/birds-1.0/valid/hen/a.jpg", "1");
        const auto place = findPlace(*m_scratch / "d");
        QVERIFY(place.ok());
        QCOMPARE(place->folder, *m_scratch / "d/birds-1.0");
        QCOMPARE(place->layout.train, std::string("train"));
        QCOMPARE(place->layout.validation, std::string("valid"));
    }

    /// One class alone is what is meant, and is told of; it is not taken for a wrapping.
    void place_oneClass() {
        m_scratch->write("d/hen/a.jpg", "1");
        const auto place = findPlace(*m_scratch / "d");
        QVERIFY(place.ok());
        QCOMPARE(place->folder, *m_scratch / "d");
        m_scratch->write("e/train/hen/a.jpg", "1");
        const auto trained = findPlace(*m_scratch / "e");
        QVERIFY(trained.ok());
        QCOMPARE(trained->folder, *m_scratch / "e");
        QCOMPARE(trained->classFolders, std::vector<std::string>{"hen"});
    }

    void place_ofIdxFiles() {
        for (const char* name : {"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
                                 "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz", "README"}) {
            m_scratch->write(std::string("d/fashion/") + name, name);
        }
        const auto place = findPlace(*m_scratch / "d");
        QVERIFY(place.ok());
        QCOMPARE(place->kind, std::string("idx"));
        QCOMPARE(place->files.size(), std::size_t{4});
        QCOMPARE(place->files[2], (std::pair<std::string, std::string>{"val_images", "t10k-images-idx3-ubyte.gz"}));
        const auto files = readPlace(*place, hashOf, goOn);
        QVERIFY(files.ok());
        QCOMPARE(files->files.size(), std::size_t{4});  // README is no part of it.
    }

    void place_thatHoldsNothing() {
        m_scratch->write("d/a.jpg", "1");
        QCOMPARE(findPlace(*m_scratch / "d").error().code, std::string("dataset.source"));
        QCOMPARE(findPlace(*m_scratch / "nowhere").error().field, std::string("source"));
        QCOMPARE(findPlace(*m_scratch / "d/a.jpg").error().code, std::string("dataset.source"));
    }

    void hash_isThatOfARunsInput() {
        m_scratch->write("d/hen/a.jpg", "1");
        m_scratch->write("d/turkey/b.png", "22");
        const auto files = readPlace(*findPlace(*m_scratch / "d"), hashOf, goOn);
        QVERIFY(files.ok());
        QCOMPARE(files->sha256, base::readContent(*m_scratch / "d")->sha256);
        QCOMPARE(files->bytes, std::int64_t{3});
        QCOMPARE(readPlace(*findPlace(*m_scratch / "d"), hashOf, [](std::int64_t) { return false; }).error().code,
                 std::string("canceled"));
    }

    void links_thatLeaveTheFolder() {
        m_scratch->write("d/hen/a.jpg", "1");
        std::filesystem::create_symlink("/etc/hostname", *m_scratch / "d/hen/b.jpg");
        QCOMPARE(readPlace(*findPlace(*m_scratch / "d"), hashOf, goOn).error().code, std::string("content.link"));
    }

    /// The same split as the trainer's, which is fixed by seed and path: these were its words before the rule was
    /// shared.
    void split_isStable() {
        std::vector<spec::SplitSample> samples;
        std::vector<std::string> paths;
        for (int i = 0; i < 10; ++i) paths.push_back("hen/" + std::to_string(i) + ".jpg");
        paths.push_back("turkey/only.jpg");
        for (const std::string& path : paths) samples.push_back({path.starts_with("hen") ? 0 : 1, path});
        const auto kept = spec::keptForValidation(samples, 0.3, 1);
        QCOMPARE(std::count(kept.begin(), kept.end(), true), 3);
        QVERIFY(!kept.back());  // The only one of its class is learnt from.
        QVERIFY(kept == spec::keptForValidation(samples, 0.3, 1));
        QVERIFY(kept != spec::keptForValidation(samples, 0.3, 2));
        const auto most = spec::keptForValidation(samples, 0.99, 1);
        QCOMPARE(std::count(most.begin(), most.end(), true), 9);  // Never all.
        // One picture more moves no other to the other side by more than the share asks for.
        paths.insert(paths.begin() + 10, "hen/new.jpg");
        samples.clear();
        for (const std::string& path : paths) samples.push_back({path.starts_with("hen") ? 0 : 1, path});
        const auto more = spec::keptForValidation(samples, 0.3, 1);
        int moved = 0;
        for (std::size_t i = 0; i < 10; ++i) moved += kept[i] != more[i] ? 1 : 0;
        QVERIFY(moved <= 1);
    }

    void samples_knowClassAndSplit() {
        Dataset dataset = imagesOf({"train", "val"}, {{"train/hen/a.jpg", "1"},
                                                      {"train/hen/sub/b.JPEG", "2"},
                                                      {"train/turkey/c.png", "3"},
                                                      {"val/hen/d.jpg", "4"},
                                                      {"train/hen/notes.txt", "5"},
                                                      {"train/hen/.x/e.jpg", "6"},
                                                      {"README.md", "7"}});
        dataset.unreadable = {"train/turkey/c.png"};
        const SampleList list = arrangeSamples(dataset, {"hen", "turkey"}, m_files);
        QCOMPARE(list.classes, (std::vector<std::string>{"hen", "turkey"}));
        QCOMPARE(list.samples.size(), std::size_t{4});
        QCOMPARE(list.samples[0].path, std::string("train/hen/a.jpg"));
        QVERIFY(!list.samples[0].validation);
        QVERIFY(list.samples[2].validation);
        QVERIFY(!list.samples[3].readable);
    }

    void problems_ofCopies() {
        Dataset dataset = imagesOf({"train", "val"}, {{"train/hen/a.jpg", "same"},
                                                      {"train/hen/a2.jpg", "same"},
                                                      {"val/hen/a3.jpg", "same"},
                                                      {"train/turkey/b.jpg", "both"},
                                                      {"train/hen/b.jpg", "both"},
                                                      {"val/turkey/c.jpg", "own"}});
        const auto problems = problemsOf(dataset, {"hen", "turkey"}, {});
        const Problem* leak = find(problems, "leak");
        QVERIFY(leak != nullptr);
        QCOMPARE(leak->count, std::int64_t{1});
        QCOMPARE(leak->files, std::vector<std::string>{"val/hen/a3.jpg"});
        QVERIFY2(leak->reasons[0].find("train/hen/a.jpg") != std::string::npos, leak->reasons[0].c_str());
        QCOMPARE(leak->severity, std::string("warning"));
        QCOMPARE(find(problems, "label_conflict")->count, std::int64_t{2});
        QCOMPARE(find(problems, "duplicate")->files, std::vector<std::string>{"train/hen/a2.jpg"});
        QCOMPARE(find(problems, "duplicate")->severity, std::string("info"));
    }

    void problems_ofClasses() {
        std::vector<std::pair<std::string, std::string>> files;
        for (int i = 0; i < 40; ++i)
            files.emplace_back("train/hen/" + std::to_string(i) + ".jpg", "h" + std::to_string(i));
        for (int i = 0; i < 3; ++i)
            files.emplace_back("train/turkey/" + std::to_string(i) + ".jpg", "t" + std::to_string(i));
        files.emplace_back("val/hen/x.jpg", "x");
        files.emplace_back("val/goose/y.jpg", "y");
        Dataset dataset = imagesOf({"train", "val"}, files);
        const auto problems = problemsOf(dataset, {"duck", "hen", "turkey"}, {}, 2);
        QVERIFY(find(problems, "empty_class") != nullptr &&
                find(problems, "empty_class")->text.find("\"duck\"") != std::string::npos);
        QVERIFY(find(problems, "unknown_class") != nullptr &&
                find(problems, "unknown_class")->text.find("\"goose\"") != std::string::npos);
        QCOMPARE(find(problems, "imbalance")->count, std::int64_t{13});
        QCOMPARE(find(problems, "imbalance")->severity, std::string("warning"));
        QVERIFY(find(problems, "small_class") != nullptr);
        QVERIFY(find(problems, "untested_class") != nullptr);
        QCOMPARE(find(problems, "ignored")->count, std::int64_t{2});
        QVERIFY(find(problems, "one_class") == nullptr);
        QCOMPARE(problems.front().severity, std::string("error"));  // The worst stands first.
        QCOMPARE(problems.back().severity, std::string("info"));
    }

    void problems_oneClass() {
        Dataset dataset = imagesOf({}, {{"hen/a.jpg", "1"}, {"hen/b.jpg", "2"}});
        const auto problems = problemsOf(dataset, {"hen"}, {});
        QVERIFY(find(problems, "one_class") != nullptr);
        QCOMPARE(find(problems, "one_class")->severity, std::string("error"));
    }

    void problems_unreadable_isAnErrorAboveWhatARunAllows() {
        std::vector<std::pair<std::string, std::string>> files;
        for (int i = 0; i < 20; ++i) {
            files.emplace_back("hen/" + std::to_string(i) + ".jpg", "h" + std::to_string(i));
            files.emplace_back("turkey/" + std::to_string(i) + ".jpg", "t" + std::to_string(i));
        }
        Dataset dataset = imagesOf({}, files);
        auto problems = problemsOf(dataset, {"hen", "turkey"}, {"hen/3.jpg"});
        QCOMPARE(find(problems, "unreadable")->severity, std::string("warning"));
        QCOMPARE(find(problems, "unreadable")->reasons, std::vector<std::string>{"it is no picture"});
        problems = problemsOf(dataset, {"hen", "turkey"}, {"hen/3.jpg", "hen/4.jpg", "turkey/1.jpg"});
        QCOMPARE(find(problems, "unreadable")->severity, std::string("error"));
    }

    void look_thatMakesNoSense() {
        Dataset dataset;
        QCOMPARE(takeLook(dataset, Json{{"classes", 3}}).error().code, std::string("engine.protocol"));
    }

    void book_keepsVersions() {
        Dataset dataset = imagesOf({}, {{"hen/a.jpg", "1"}, {"turkey/b.jpg", "2"}});
        dataset.classes = {{"hen", 1, 0, 0}, {"turkey", 1, 0, 0}};
        dataset.problems = {{"leak", "warning", 2, "text", {"hen/a.jpg"}, {"why"}}};
        dataset.createdAt = base::wallMicros();
        QCOMPARE(*writeDataset(m_layout, dataset, m_files), 1);
        const auto read = readDataset(m_layout, {"birds", 0});
        QVERIFY2(read.ok(), read.ok() ? "" : read.error().message.c_str());
        Json expected = toJson(dataset);
        QVERIFY2(toJson(*read) == expected, base::dumpJson(toJson(*read)).c_str());
        QCOMPARE(read->pinned(), std::string("birds:1"));
        QVERIFY(*readFiles(m_layout, *read) == m_files);
        QCOMPARE(*writeDataset(m_layout, dataset, m_files), 2);
        QCOMPARE(readDataset(m_layout, {"birds", 0})->versions, (std::vector<int>{1, 2}));
        QCOMPARE(readDatasets(m_layout).size(), std::size_t{1});
        QCOMPARE(readDataset(m_layout, {"birds", 7}).error().code, std::string("dataset.unknown"));
        QCOMPARE(removeDataset(m_layout, {"birds", 2})->versions, std::vector<int>{2});
        QVERIFY(readFiles(m_layout, *readDataset(m_layout, {"birds", 0})).ok());  // Version 1 needs the list as well.
        QCOMPARE(removeDataset(m_layout, {"birds", 0})->versions, std::vector<int>{1});
        QCOMPARE(removeDataset(m_layout, {"birds", 0}).error().code, std::string("dataset.unknown"));
        QVERIFY(readDatasets(m_layout).empty());
        QCOMPARE(*writeDataset(m_layout, dataset, m_files), 3);  // Kept runs name birds:1.
    }

    void book_damagedFiles() {
        Dataset dataset = imagesOf({}, {{"hen/a.jpg", "1"}, {"turkey/b.jpg", "2"}});
        QCOMPARE(*writeDataset(m_layout, dataset, m_files), 1);
        const auto read = readDataset(m_layout, {"birds", 1});
        m_scratch->write("w/datasets/birds/" + dataset.sha256 + ".files", "changed\n");
        QCOMPARE(readFiles(m_layout, *read).error().code, std::string("dataset.damaged"));
        for (const char* bytes : {"", "{", "[]", "{\"format\":\"trainyard.dataset\",\"version\":9}",
                                  "{\"format\":\"trainyard.dataset\",\"version\":1,\"name\":\"birds\"}"}) {
            m_scratch->write("w/datasets/birds/1.json", bytes);
            QVERIFY2(!readDataset(m_layout, {"birds", 1}).ok(), bytes);
            QCOMPARE(readDataset(m_layout, {"birds", 1}).error().code, std::string("dataset.damaged"));
        }
        std::vector<base::Error> problems;
        QVERIFY(readDatasets(m_layout, &problems).empty());
        QCOMPARE(problems.size(), std::size_t{1});
    }

    /// What was unpacked stays as long as any version of any data set names it.
    void remove_keepsSharedData() {
        Dataset dataset = imagesOf({}, {{"hen/a.jpg", "1"}, {"turkey/b.jpg", "2"}});
        dataset.managed = true;
        m_scratch->write("w/datasets/.data/" + dataset.sha256 + "/hen/a.jpg", "1");
        QCOMPARE(*writeDataset(m_layout, dataset, m_files), 1);
        dataset.name = "same";
        QCOMPARE(*writeDataset(m_layout, dataset, m_files), 1);
        QCOMPARE(readDataset(m_layout, {"same", 0})->path, dataFolder(m_layout, dataset.sha256));
        QCOMPARE(removeDataset(m_layout, {"birds", 0})->freedBytes, std::int64_t{0});
        QVERIFY(std::filesystem::is_directory(dataFolder(m_layout, dataset.sha256)));
        QCOMPARE(removeDataset(m_layout, {"same", 0})->freedBytes, std::int64_t{1});
        QVERIFY(!std::filesystem::exists(dataFolder(m_layout, dataset.sha256)));
    }

    void names_data() {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<bool>("good");
        for (const char* text :
             {"dataset:birds", "dataset:birds:2", "dataset:birds:2/train-images", "dataset:b-1.0_x/a/b"})
            QTest::newRow(text) << QByteArray(text) << true;
        for (const char* text : {"dataset:", "dataset:Birds", "dataset:../x", "dataset:birds:0", "dataset:birds:x",
                                 "dataset:birds/../x", "dataset:birds//x", "dataset:birds:2/", "dataset:.data"}) {
            QTest::newRow(text) << QByteArray(text) << false;
        }
    }
    void names() {
        QFETCH(QByteArray, text);
        QFETCH(bool, good);
        QCOMPARE(spec::parseDatasetLocation(text.toStdString(), "inputs.x").ok(), good);
    }

    void samples_of100000_arePagedFromMemory() {
        std::vector<std::pair<std::string, std::string>> files;
        for (int i = 0; i < 100'000; ++i)
            files.emplace_back((i % 2 == 0 ? "hen/" : "turkey/") + std::to_string(i) + ".jpg", std::string());
        Dataset dataset = imagesOf({}, files);
        dataset.classes = {{"hen", 1, 0, 0}, {"turkey", 1, 0, 0}};
        QCOMPARE(*writeDataset(m_layout, dataset, m_files), 1);
        const auto read = readDataset(m_layout, {"birds", 1});
        const auto list = samplesOf(m_layout, *read);
        QVERIFY(list.ok());
        QCOMPARE((*list)->samples.size(), std::size_t{100'000});
        QVERIFY(samplesOf(m_layout, *read)->get() == list->get());
        QCOMPARE(std::count_if((*list)->samples.begin(), (*list)->samples.end(),
                               [](const Sample& sample) { return sample.validation; }),
                 20'000);
    }

private:
    /// A data set "birds" of files with the hashes of these texts.
    Dataset imagesOf(spec::ImageLayout layout, const std::vector<std::pair<std::string, std::string>>& files) {
        m_files.clear();
        for (const auto& [path, bytes] : files)
            m_files.push_back({path, base::sha256Hex(bytes), static_cast<std::int64_t>(bytes.size())});
        std::ranges::sort(m_files, {}, &base::ContentFile::path);
        Dataset dataset;
        dataset.name = "birds";
        dataset.kind = "images";
        dataset.layout = std::move(layout);
        dataset.sha256 = base::contentHash(m_files);
        return dataset;
    }
    std::vector<Problem> problemsOf(Dataset& dataset, const std::vector<std::string>& classes,
                                    const std::vector<std::string>& bad, std::int64_t ignored = 0) {
        dataset.unreadable = bad;
        const SampleList list = arrangeSamples(dataset, classes, m_files);
        const Json answer = answerFor(list, bad, ignored);
        if (!takeLook(dataset, answer).ok()) return {};
        Place place;
        place.kind = "images";
        place.classFolders = classes;
        return findProblems(dataset, place, list, answer);
    }

    std::unique_ptr<test::Scratch> m_scratch;
    wire::WorkspaceLayout m_layout;
    std::vector<base::ContentFile> m_files;
};

QTEST_GUILESS_MAIN(TestDatasets)
#include "tst_Datasets.moc"
