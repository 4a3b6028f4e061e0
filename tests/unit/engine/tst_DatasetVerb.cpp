// "dataset": what the trainer's decoder sees in a folder, next to Pillow; hostile files; the same whatever the number
// of threads.
#include <QtTest>

#include "core/base/Json.h"
#include "core/engine/data/DatasetVerb.h"
#include "core/engine/data/ImageFolder.h"
#include "tests/helpers/Png.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"

using namespace trainyard;
using namespace trainyard::engine;
using base::Json;

namespace {

/// Two classes of noise, and what Pillow says of them: mean and deviation, each picture counting alike.
constexpr const char* kNoiseFolder = R"(
import sys, os, json
from PIL import Image, ImageFilter
root = sys.argv[1]
sums = [[0.0, 0.0] for _ in range(3)]; count = 0
for name, base in [("hen", 60), ("turkey", 150)]:
    for part in ("train", "val"):
        os.makedirs("%s/%s/%s" % (root, part, name))
        for i in range(6):
            parts = [Image.effect_noise((40 + 7 * i, 30 + i), 60).point(lambda v: max(0, min(255, v - 128 + base + 9 * c))) for c in range(3)]
            path = "%s/%s/%s/%d.%s" % (root, part, name, i, "png" if i % 2 else "jpg")
            Image.merge("RGB", parts).save(path)
            if part == "train":
                data = Image.open(path).convert("RGB"); count += 1
                for c, band in enumerate(data.split()):
                    v = [x / 255.0 for x in band.getdata()]
                    sums[c][0] += sum(v) / len(v); sums[c][1] += sum(x * x for x in v) / len(v)
print(json.dumps({"mean": [s[0] / count for s in sums], "std": [(s[1] / count - (s[0] / count) ** 2) ** 0.5 for s in sums]}))
whole = open(root + "/train/hen/0.jpg", "rb").read()
open(root + "/train/hen/cut.jpg", "wb").write(whole[:len(whole) // 2])
)";

Json lookAt(const Json& dataset, int threads = 2) {
    const auto answer = runDatasetVerb(Json{{"dataset", dataset}, {"threads", threads}}, [](const Json&) {});
    return answer.ok() ? *answer : Json{{"code", answer.error().code}, {"field", answer.error().field}};
}

}  // namespace

class TestDatasetVerb : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() { m_scratch = std::make_unique<test::Scratch>(); }

    void statistics_arePillows() {
        const base::Path root = *m_scratch / "d";
        test::ProgramOptions options;
        options.timeoutMillis = 60'000;
        const auto made = test::runProgram("/usr/bin/python3", {"-c", kNoiseFolder, root.string()}, options);
        if (made.exitCode != 0 && made.err.find("No module named") != std::string::npos)
            TRAINYARD_SKIP("python3-pil is not installed");
        QVERIFY2(made.exitCode == 0, made.err.c_str());
        m_scratch->write("d/train/turkey/words.jpg", "no picture at all");
        m_scratch->write("d/train/turkey/notes.txt", "not even by name");
        const Json answer = lookAt({{"kind", "images"}, {"folder", root.string()}});
        const auto pillow = base::parseJson(made.out);
        for (const char* what : {"mean", "std"}) {
            for (std::size_t c = 0; c < 3; ++c) {
                const double ours = answer["statistics"][what][c].get<double>();
                QVERIFY2(std::abs(ours - (*pillow)[what][c].get<double>()) < 1e-3,
                         base::dumpJson(answer["statistics"]).c_str());
            }
        }
        QCOMPARE(answer["sizes"]["min"], (Json{{"width", 40}, {"height", 30}}));
        QCOMPARE(answer["sizes"]["median"], (Json{{"width", 54}, {"height", 32}}));
        QCOMPARE(answer["sizes"]["max"], (Json{{"width", 75}, {"height", 35}}));
        QCOMPARE(answer["classes"][0], (Json{{"name", "hen"}, {"train", 6}, {"val", 6}, {"unreadable", 1}}));
        QCOMPARE(answer["classes"][1], (Json{{"name", "turkey"}, {"train", 6}, {"val", 6}, {"unreadable", 1}}));
        QCOMPARE(answer["ignored"], Json(1));
        QCOMPARE(answer["unreadable_count"], Json(2));
        QCOMPARE(answer["unreadable"][0]["path"], Json("train/hen/cut.jpg"));
        QVERIFY(!answer["unreadable"][0]["why"].get<std::string>().empty());
        QCOMPARE(answer["unreadable"][1]["path"], Json("train/turkey/words.jpg"));
        for (const int threads : {1, 5}) {
            Json other = lookAt({{"kind", "images"}, {"folder", root.string()}}, threads);
            other["seconds"] = answer["seconds"];
            QVERIFY2(other == answer, "Another number of threads gave something else.");
        }
    }

    /// The split is the trainer's own, sample by sample, and unreadable files belong to neither side.
    void split_isTheTrainers() {
        for (int i = 0; i < 20; ++i) {
            const auto shade = static_cast<unsigned char>(10 * i);
            m_scratch->write("d/hen/" + std::to_string(i) + ".png", test::pngOf(20, 20, {shade, 0, 0}));
            m_scratch->write("d/turkey/" + std::to_string(i) + ".png", test::pngOf(20, 20, {0, shade, 0}));
        }
        m_scratch->write("d/hen/words.jpg", "no picture at all");
        spec::DatasetSpec spec;
        spec.kind = "images";
        spec.folder = (*m_scratch / "d").string();
        spec.valFraction = 0.25;
        spec.splitSeed = 7;
        spec.maxBadFraction = 1;
        const auto trained = scanImageFolder(spec, 1);
        QVERIFY(trained.ok());
        const Json answer =
            lookAt({{"kind", "images"}, {"folder", spec.folder}, {"val_fraction", 0.25}, {"split_seed", 7}});
        for (std::int64_t label = 0; label < 2; ++label) {
            const auto count = [&](const std::vector<ImageFile>& files) {
                return std::ranges::count(files, label, &ImageFile::label);
            };
            const auto at = static_cast<std::size_t>(label);
            QCOMPARE(answer["classes"][at]["train"].get<std::int64_t>(),
                     static_cast<std::int64_t>(count(trained->training)));
            QCOMPARE(answer["classes"][at]["val"].get<std::int64_t>(),
                     static_cast<std::int64_t>(count(trained->validation)));
        }
        QCOMPARE(answer["classes"][0]["unreadable"], Json(1));
    }

    /// What training refuses is counted here: the page is to say what is wrong.
    void folder_thatTrainingRefuses() {
        m_scratch->write("d/train/hen/a.png", test::pngOf(20, 20, {9, 9, 9}));
        m_scratch->write("d/val/goose/a.png", test::pngOf(20, 20, {9, 9, 9}));
        std::filesystem::create_directories(*m_scratch / "d/train/empty");
        const Json answer = lookAt({{"kind", "images"}, {"folder", (*m_scratch / "d").string()}});
        QCOMPARE(answer["classes"].size(), std::size_t{3});
        QCOMPARE(answer["classes"][0], (Json{{"name", "empty"}, {"train", 0}, {"val", 0}, {"unreadable", 0}}));
        QCOMPARE(answer["classes"][1], (Json{{"name", "goose"}, {"train", 0}, {"val", 1}, {"unreadable", 0}}));
    }

    void hostileFiles_areCounted() {
        m_scratch->write("d/hen/a.png", test::pngOf(20, 20, {9, 9, 9}));
        m_scratch->write("d/hen/huge.png",
                         test::pngHeader(60'000, 60'000) + test::pngChunk("IDAT", "x") + test::pngChunk("IEND", {}));
        m_scratch->write("d/hen/empty.jpg", "");
        m_scratch->write("d/turkey/cut.png", test::pngOf(20, 20, {9, 9, 9}).substr(0, 60));
        m_scratch->write("d/turkey/b.png", test::pngOf(30, 10, {9, 9, 9}));
        std::filesystem::create_symlink("/dev/zero", *m_scratch / "d/turkey/zero.jpg");
        const Json answer = lookAt({{"kind", "images"}, {"folder", (*m_scratch / "d").string()}});
        QCOMPARE(answer["unreadable_count"], Json(3));  // A device is no file, so nobody opens it.
        QCOMPARE(answer["classes"][0]["unreadable"], Json(2));
        std::string why;
        for (const Json& one : answer["unreadable"])
            why += one["path"] == Json("hen/huge.png") ? one["why"].get<std::string>() : "";
        QVERIFY2(why.find("60000") != std::string::npos || why.find("large") != std::string::npos ||
                     why.find("million") != std::string::npos,
                 why.c_str());
    }

    void noPictureCanBeRead() {
        m_scratch->write("d/hen/a.jpg", "words");
        m_scratch->write("d/turkey/b.jpg", "words");
        const Json answer = lookAt({{"kind", "images"}, {"folder", (*m_scratch / "d").string()}});
        QVERIFY(answer["sizes"].is_null() && answer["statistics"].is_null());
        QCOMPARE(answer["unreadable_count"], Json(2));
    }

    void wrongRequests() {
        QCOMPARE(lookAt({{"kind", "images"}, {"folder", "/no/such/folder"}})["code"], Json("data.folder"));
        QCOMPARE(lookAt({{"kind", "sound"}, {"folder", "/"}})["field"], Json("dataset.kind"));
        QVERIFY(!runDatasetVerb(Json::object(), [](const Json&) {}).ok());
    }

    void idx_isCountedAndLeaksAreFound() {
        const auto images = [](const std::vector<std::string>& samples) {
            std::string bytes("\0\0\x08\x03", 4);
            for (const std::uint32_t n : {static_cast<std::uint32_t>(samples.size()), 2U, 2U})
                bytes += test::bigEndian(n);
            for (const std::string& sample : samples) bytes += sample;
            return bytes;
        };
        const auto labels = [](const std::string& values) {
            return std::string("\0\0\x08\x01", 4) + test::bigEndian(static_cast<std::uint32_t>(values.size())) + values;
        };
        const Json dataset{{"kind", "idx"},
                           {"train_images", m_scratch->write("ti", images({"aaaa", "bbbb", "cccc"})).string()},
                           {"train_labels", m_scratch->write("tl", labels(std::string("\0\1\1", 3))).string()},
                           {"val_images", m_scratch->write("vi", images({"bbbb", "dddd"})).string()},
                           {"val_labels", m_scratch->write("vl", labels(std::string("\1\0", 2))).string()}};
        const Json answer = lookAt(dataset);
        QCOMPARE(answer["classes"][1], (Json{{"name", "1"}, {"train", 2}, {"val", 1}, {"unreadable", 0}}));
        QCOMPARE(answer["leaks"], Json(1));
        QCOMPARE(answer["channels"], Json(1));
        QCOMPARE(answer["sizes"]["max"], (Json{{"width", 2}, {"height", 2}}));
        QVERIFY(std::abs(answer["statistics"]["mean"][0].get<double>() - 98.0 / 255) < 1e-9);
    }

private:
    std::unique_ptr<test::Scratch> m_scratch;
};

QTEST_GUILESS_MAIN(TestDatasetVerb)
#include "tst_DatasetVerb.moc"
