// Data sets on the command line, with the engine that looks at them.
#include <QTest>
#include <memory>
#include <set>

#include "core/base/Hash.h"
#include "tests/cli/CliRig.h"
#include "tests/helpers/Archives.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Hostile.h"
#include "tests/helpers/Png.h"

using namespace trainyard;
using base::Json;
using test::Arguments;
using test::cli;
using test::cliJson;

namespace {

/// A picture that no other has.
std::string picture(int number) {
    return test::pngOf(24 + number % 7, 20,
                       {static_cast<unsigned char>(number), static_cast<unsigned char>(number >> 8), 90});
}

std::vector<test::ArchiveItem> birdItems(const std::string& top) {
    std::vector<test::ArchiveItem> items;
    for (int i = 0; i < 12; ++i) {
        items.push_back({top + (i % 2 == 0 ? "hen/" : "turkey/") + std::to_string(i) + ".png", picture(i)});
    }
    return items;
}

}  // namespace

class CliDatasetsTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        qunsetenv("TRAINYARD_WORKSPACE");
        m_transcript = std::make_unique<test::Transcript>(*m_scratch);
        QCOMPARE(cli({"workspace", "init", (*m_scratch / "w").string()}).exitCode, 0);
    }
    void cleanup() { QVERIFY2(m_guard.noneLeft(10'000), m_guard.report().c_str()); }

    void golden_datasets() {
        const std::string birds = folderOfBirds("birds");
        m_scratch->write("birds/hen/words.jpg", "no picture at all");
        m_scratch->write("birds/hen/notes.txt", "nor by name");
        m_scratch->write("birds/turkey/copy.png", picture(1));
        m_scratch->write("one/hen/1.png", picture(1));
        m_scratch->write("one/hen/2.png", picture(2));
        const base::Path zip = *m_scratch / "owls.zip";
        QVERIFY(test::writeArchive(zip, birdItems("owls-1.0/train/"), "zip"));
        const base::Path evil = *m_scratch / "evil.tar";
        QVERIFY(test::writeArchive(evil, {{"../evil.png", picture(1)}}, "tar"));
        say({"dataset", "list"});
        say({"dataset", "add", "birds", birds, "-q"});
        say({"dataset", "add", "birds", birds, "-q"});
        say({"dataset", "add", "birds", birds, "--split", "0.4", "-q"});
        say({"dataset", "show", "birds"});
        say({"dataset", "samples", "birds:1", "--class", "turkey", "--split", "val"});
        say({"dataset", "samples", "birds", "--class", "owl"});
        say({"dataset", "add", "one", (*m_scratch / "one").string(), "-q"});
        say({"dataset", "add", "owls", zip.string(), "--sha256", std::string(64, '0'), "-q"});
        say({"dataset", "add", "owls", zip.string(), "-q"});
        say({"dataset", "add", "evil", evil.string(), "-q"});
        say({"dataset", "add", "evil", (*m_scratch / "nowhere").string(), "-q"});
        say({"dataset", "add", "evil", m_scratch->write("words.zip", "no archive").string(), "-q"});
        say({"dataset", "add", "evil", "https://example.invalid/birds.zip", "-q"});
        say({"dataset", "add", "Bad Name", birds, "-q"});
        say({"dataset", "add", "birds:7", birds, "-q"});
        say({"dataset", "add", "birds", birds, "--split", "2", "-q"});
        say({"dataset", "list"});
        say({"dataset", "show", "nobody"});
        say({"dataset", "show", "birds:9", "--json"});
        say({"dataset", "remove", "birds:1"});
        say({"dataset", "remove", "owls"});
        say({"dataset", "remove", "owls"});
        say({"run", "submit", "--set", "task.dataset.kind=images", "--set", "task.dataset.folder=dataset:nobody"});
        say({"dataset", "list"});
        QCOMPARE(m_transcript->difference("datasets"), QByteArray());
        QVERIFY(!std::filesystem::exists(*m_scratch / "evil.png"));
        QVERIFY(std::filesystem::is_empty(*m_scratch / "w/datasets/.data"));
    }

    /// From an archive into the workspace, then a training that names it, to the end.
    void archive_isTrainedOn() {
        const base::Path file = *m_scratch / "birds.tar.zst";
        QVERIFY(test::writeArchive(file, birdItems("deep/birds/"), "tar", "zstd"));
        const Json added = cliJson({"dataset", "add", "birds", file.string(), "--sha256", *base::sha256File(file)});
        QVERIFY2(added.contains("managed"), base::dumpJson(added).c_str());
        QCOMPARE(added["managed"], Json(true));
        QCOMPARE(added["task_dataset"]["folder"], Json("dataset:birds:1"));
        QCOMPARE(added["training"].get<int>() + added["validation"].get<int>(), 12);
        std::filesystem::remove(file);
        Json document{{"format", "trainyard.run-spec"},
                      {"version", 1},
                      {"experiment", "e"},
                      {"task",
                       {{"kind", "train"},
                        {"dataset", added["task_dataset"]},
                        {"model", {{"family", "resnet18"}}},
                        {"epochs", 1},
                        {"batch_size", 4},
                        {"device", "cpu"}}}};
        document["task"]["dataset"]["image_size"] = 32;
        document["task"]["dataset"]["resize_size"] = 36;
        document["task"]["dataset"]["folder"] = "dataset:birds";
        const auto ran =
            cli({"run", "submit", "--file", m_scratch->write("spec.json", base::dumpJson(document)).string(), "--wait"},
                {}, 120'000);
        QVERIFY2(ran.exitCode == 0, (ran.out + ran.err).c_str());
        const Json shown = cliJson({"run", "show", "1"});
        QCOMPARE(shown["spec"]["task"]["dataset"]["folder"], Json("dataset:birds:1"));
        QCOMPARE(shown["data"][0]["sha256"], added["sha256"]);
    }

    void idx_isAddedAndShown() {
        const auto images = [](const std::string& values) {
            std::string bytes = std::string("\0\0\x08\x03", 4) +
                                test::bigEndian(static_cast<std::uint32_t>(values.size())) + test::bigEndian(2) +
                                test::bigEndian(2);
            for (const char value : values) bytes += std::string(4, value);
            return bytes;
        };
        const auto labels = [](const std::string& values) {
            return std::string("\0\0\x08\x01", 4) + test::bigEndian(static_cast<std::uint32_t>(values.size())) + values;
        };
        m_scratch->write("digits/train-images-idx3-ubyte", images("abcdef"));
        m_scratch->write("digits/train-labels-idx1-ubyte", labels(std::string("\0\1\2\0\1\2", 6)));
        m_scratch->write("digits/t10k-images-idx3-ubyte", images("xyz"));
        m_scratch->write("digits/t10k-labels-idx1-ubyte", labels(std::string("\0\1\2", 3)));
        const Json added = cliJson({"dataset", "add", "digits", (*m_scratch / "digits").string()});
        QVERIFY2(added.contains("kind"), base::dumpJson(added).c_str());
        QCOMPARE(added["kind"], Json("idx"));
        QCOMPARE(added["channels"], Json(1));
        QCOMPARE(added["classes"].size(), std::size_t{3});
        QCOMPARE(added["task_dataset"]["val_labels"], Json("dataset:digits:1/t10k-labels-idx1-ubyte"));
        const Json page = cliJson({"dataset", "samples", "digits", "--class", "2"});
        QCOMPARE(page["total"], Json(3));
        QCOMPARE(page["height"], Json(2));
        QCOMPARE(page["samples"][1]["pixels"], Json("ZmZmZg=="));  // Four times "f".
        QCOMPARE(
            page["samples"][2],
            (Json{{"index", 8}, {"path", ""}, {"file", ""}, {"label", "2"}, {"split", "val"}, {"pixels", "enp6eg=="}}));
        const Json second = cliJson({"dataset", "samples", "digits", "--offset", "7", "--limit", "1"});
        QCOMPARE(second["samples"][0]["pixels"], Json("eXl5eQ=="));
    }

    void preview_drawsSamplesAsARunGetsThem() {
        folderOfBirds("birds");
        QVERIFY(cliJson({"dataset", "add", "birds", (*m_scratch / "birds").string()}).contains("sha256"));
        const auto ask = [](Arguments more) {
            Arguments arguments{"dataset",
                                "preview",
                                "birds",
                                "--set",
                                "task.dataset.image_size=32",
                                "--set",
                                "task.dataset.resize_size=36",
                                "--set",
                                "task.augmentation.flip=1"};
            arguments.insert(arguments.end(), more.begin(), more.end());
            return arguments;
        };
        const Json answer = cliJson(ask({"--count", "4", "--epoch", "3"}));
        QVERIFY2(answer.contains("samples"), base::dumpJson(answer).c_str());
        QCOMPARE(answer["samples"].size(), std::size_t{4});
        QCOMPARE(answer["epoch"], Json(3));
        QCOMPARE(answer["width"], Json(32));
        QVERIFY(answer["file"].is_null());
        for (const Json& sample : answer["samples"]) {
            QCOMPARE(sample["change"]["flip"], Json(true));
            // A PNG file begins with these.
            QVERIFY(sample["augmented"].get<std::string>().starts_with("iVBORw0KGgo"));
        }
        const std::string sheet = (*m_scratch / "sheet.png").string();
        const auto drawn = cli(ask({"--out", sheet}));
        QVERIFY2(drawn.exitCode == 0, drawn.err.c_str());
        QVERIFY2(drawn.out.find("flipped") != std::string::npos && drawn.out.find(sheet) != std::string::npos,
                 drawn.out.c_str());
        QVERIFY(base::readFile(sheet).valueOr("").starts_with("\x89PNG"));
        QVERIFY(cliJson(ask({"--out", sheet, "--overwrite"}))["samples"][0]["augmented"].is_null());
        const auto codeOf = [](const Arguments& arguments) {
            const Json wrong = cliJson(arguments);
            return wrong.contains("error") ? wrong["error"]["code"].get<std::string>() : base::dumpJson(wrong);
        };
        QCOMPARE(codeOf(ask({"--out", sheet})), std::string("file.exists"));
        QCOMPARE(codeOf(ask({"--set", "task.augmentation.flip=7"})), std::string("spec.range"));
        QCOMPARE(codeOf({"dataset", "preview", "nobody"}), std::string("dataset.unknown"));
        QCOMPARE(codeOf({"dataset", "preview"}), std::string("spec.required"));
        QCOMPARE(codeOf({"dataset", "preview", "--", "true"}), std::string("preview.task"));
        // Data that are elsewhere: what to do is said, and nobody is asked for them.
        const auto elsewhere = [](const std::string& folder) {
            return cliJson(
                {"dataset", "preview", "--set", "task.dataset.kind=images", "--set", "task.dataset.folder=" + folder});
        };
        const Json fetched = elsewhere("http://127.0.0.1:9/birds.zip#sha256=" + std::string(64, 'a'));
        QVERIFY2(fetched.contains("error"), base::dumpJson(fetched).c_str());
        QCOMPARE(fetched["error"]["code"], Json("preview.elsewhere"));
        QCOMPARE(fetched["error"]["field"], Json("task.dataset.folder"));
        QVERIFY(fetched["error"]["message"].get<std::string>().find("add the address as a data set") !=
                std::string::npos);
        QCOMPARE(elsewhere("target:/data/birds")["error"]["code"], Json("preview.elsewhere"));
    }

    void pages_cover_everySampleOnce() {
        folderOfBirds("birds");
        QVERIFY(cliJson({"dataset", "add", "birds", (*m_scratch / "birds").string()}).contains("sha256"));
        std::set<std::string> seen;
        for (int offset = 0; offset < 14; offset += 5) {
            const Json page =
                cliJson({"dataset", "samples", "birds", "--offset", std::to_string(offset), "--limit", "5"});
            QCOMPARE(page["total"], Json(12));
            for (const Json& sample : page["samples"]) {
                QVERIFY(seen.insert(sample["path"].get<std::string>()).second);
                QVERIFY(std::filesystem::is_regular_file(sample["path"].get<std::string>()));
            }
        }
        QCOMPARE(seen.size(), std::size_t{12});
    }

    /// Whatever stands in a name or a source, nothing is run and the workspace holds nothing new but what was asked
    /// for.
    void hostile_values() {
        const base::Path canary = *m_scratch / "canary";
        for (const auto& value : test::hostileValues(canary.string())) {
            const Json named = cliJson({"dataset", "add", value.value, "/nowhere"});
            const Json sourced = cliJson({"dataset", "add", "birds", value.value});
            QVERIFY2(!named.contains("managed") && !sourced.contains("managed"), value.name);
            QVERIFY2(!std::filesystem::exists(canary), value.name);
        }
        const Json list = cliJson({"dataset", "list"});
        QVERIFY(list["datasets"].empty());
    }

private:
    void say(const Arguments& arguments) { m_transcript->say(arguments); }
    std::string folderOfBirds(const std::string& name) {
        for (const test::ArchiveItem& item : birdItems("")) m_scratch->write(name + "/" + item.path, item.bytes);
        return (*m_scratch / name).string();
    }

    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<test::Transcript> m_transcript;
    test::ChildGuard m_guard;
};

QTEST_GUILESS_MAIN(CliDatasetsTest)
#include "tst_CliDatasets.moc"
