// "preview": what is shown of a run's augmentation is what the run's own loader gives, pixel by pixel.
#include <QByteArray>
#include <QtTest>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>

#include "core/base/Json.h"
#include "core/engine/data/Batch.h"
#include "core/engine/data/Dataset.h"
#include "core/engine/data/ImageLoader.h"
#include "core/engine/data/KeptData.h"
#include "core/engine/data/PreviewVerb.h"
#include "core/engine/data/Sampler.h"
#include "core/spec/RunSpec.h"
#include "tests/helpers/Png.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"

using namespace trainyard;
using namespace trainyard::engine;
using base::Json;

namespace {

constexpr const char* kNoise = R"(
import sys, os
from PIL import Image
root = sys.argv[1]
for name, base in [("hen", 60), ("turkey", 150)]:
    os.makedirs("%s/%s" % (root, name))
    for i in range(9):
        bands = [Image.effect_noise((300 + 9 * i, 260 - i), 60).point(lambda v: max(0, min(255, v - 128 + base + 9 * c))) for c in range(3)]
        Image.merge("RGB", bands).save("%s/%s/%d.%s" % (root, name, i, "png" if i % 4 == 3 else "jpg"), quality=92)
)";

Result<Json> preview(Json request) {
    return runPreviewVerb(request, [](const Json&) {});
}

Picture pictureOf(const Json& sample, const char* key) {
    if (!sample.at(key).is_string()) {
        return {};
    }
    const QByteArray bytes = QByteArray::fromBase64(QByteArray::fromStdString(sample.at(key).get<std::string>()));
    auto picture = decodePicture({bytes.constData(), static_cast<std::size_t>(bytes.size())});
    return picture.ok() ? std::move(*picture) : Picture();
}

}  // namespace

class TestPreview : public QObject {
    Q_OBJECT

    void noise() {
        test::ProgramOptions options;
        options.timeoutMillis = 60'000;
        const auto made = test::runProgram("/usr/bin/python3", {"-c", kNoise, (*m_scratch / "d").string()}, options);
        if (made.exitCode != 0 && made.err.find("No module named") != std::string::npos)
            TRAINYARD_SKIP("python3-pil is not installed");
        QVERIFY2(made.exitCode == 0, made.err.c_str());
        m_spec = spec::defaultRunSpecDocument();
        set("task.dataset.kind", "images");
        set("task.dataset.folder", (*m_scratch / "d").string());
        set("task.dataset.image_size", 48);
        set("task.dataset.resize_size", 56);
    }
    void set(const char* path, Json value) { spec::setValueAt(m_spec, path, std::move(value)); }

    /// Every training sample of an epoch, in the order and the batches in which a run takes them, as bytes.
    std::map<std::string, Picture> trained(int epoch, int threads) const {
        const auto read = spec::runSpecFromJson(m_spec);
        if (!read.ok()) qFatal("%s", read.error().message.c_str());
        const spec::TrainTask& task = read->train;
        const auto folder = scanImageFolder(task.dataset, 1);
        if (!folder.ok()) qFatal("%s", folder.error().message.c_str());
        ImageLoaderOptions options = loaderOptions(task, *folder);
        options.augment = true;
        options.threads = threads;
        const ChannelNormalization normal = options.normalization;
        const auto size = static_cast<std::size_t>(task.dataset.imageSize);
        ImageLoader loader(folder->root, folder->training, std::move(options));
        Sampler sampler(static_cast<std::int64_t>(folder->training.size()), 4, task.seed, 0, 1);
        sampler.startEpoch(epoch);
        std::vector<std::vector<std::int64_t>> batches;
        for (std::int64_t step = 0; step < sampler.stepsPerEpoch(); ++step) {
            const auto shard = sampler.shard(step);
            batches.emplace_back(shard.indices, shard.indices + shard.count);
        }
        loader.plan(batches, epoch);
        std::map<std::string, Picture> all;
        for (const auto& indices : batches) {
            const float* values = loader.next().images.data_ptr<float>();
            for (const std::int64_t index : indices) {
                Picture picture{static_cast<int>(size), static_cast<int>(size), {}};
                picture.pixels.resize(3 * size * size);
                for (std::size_t c = 0; c < 3; ++c) {
                    for (std::size_t i = 0; i < size * size; ++i, ++values) {
                        const double unit = static_cast<double>(*values) * normal[c].deviation + normal[c].mean;
                        picture.pixels[3 * i + c] = static_cast<std::uint8_t>(std::lround(unit * 255));
                    }
                }
                all[folder->training[static_cast<std::size_t>(index)].path] = std::move(picture);
            }
        }
        return all;
    }

private Q_SLOTS:
    void init() { m_scratch = std::make_unique<test::Scratch>(); }

    void folder_isWhatARunGets_data() {
        QTest::addColumn<int>("cache");
        QTest::addColumn<bool>("crop");
        QTest::newRow("kept decoded") << 2048 << true;
        QTest::newRow("decoded in parts") << 0 << true;
        QTest::newRow("centre") << 0 << false;
    }
    void folder_isWhatARunGets() {
        QFETCH(int, cache);
        QFETCH(bool, crop);
        noise();
        set("task.dataset.cache_mib", cache);
        set("task.augmentation.crop", crop);
        set("task.augmentation.crop_scale_min", 0.3);
        set("task.augmentation.vertical_flip", 0.5);
        set("task.augmentation.rotation", 20);
        set("task.augmentation.brightness", 0.4);
        set("task.augmentation.contrast", 0.3);
        set("task.augmentation.saturation", 0.5);
        set("task.augmentation.hue", 0.2);
        set("task.augmentation.erase", 0.5);
        set("task.seed", 11);
        std::set<std::string> seen;
        std::vector<std::vector<std::uint8_t>> first;
        for (const int epoch : {0, 4}) {
            const auto expected = trained(epoch, epoch == 0 ? 1 : 3);
            for (int skip = 0; skip < 18; skip += 6) {
                const auto answer = preview({{"spec", m_spec}, {"epoch", epoch + 1}, {"skip", skip}});
                QVERIFY2(answer.ok(), answer.ok() ? "" : answer.error().message.c_str());
                QCOMPARE((*answer)["samples"].size(), std::size_t{6});
                for (const Json& sample : (*answer)["samples"]) {
                    const std::string file = sample["file"].get<std::string>();
                    const auto found = expected.find(file);
                    QVERIFY2(found != expected.end(), file.c_str());
                    const Picture shown = pictureOf(sample, "augmented");
                    QCOMPARE(shown.width, 48);
                    QVERIFY2(shown.pixels == found->second.pixels, (file + " is drawn otherwise").c_str());
                    const Picture original = pictureOf(sample, "original");
                    QCOMPARE(std::max(original.width, original.height), 256);
                    QVERIFY(file.starts_with(sample["label"].get<std::string>()));
                    seen.insert(file);
                }
                if (skip == 0) first.push_back(pictureOf((*answer)["samples"][0], "augmented").pixels);
            }
        }
        // 80 % of 9 in each class, and each of them came.
        QCOMPARE(seen.size(), trained(0, 1).size());
        QVERIFY2(first[0] != first[1], "Another epoch drew the same.");
    }

    /// Later draws of an unchanged folder read the pictures that they show and no other file's header.
    void unchangedFolder_isListedOnce() {
        noise();
        KeptData data;
        int listed = 0;
        const auto draw = [&](int epoch, int skip) {
            auto answer = drawPreview(
                {{"spec", m_spec}, {"epoch", epoch}, {"skip", skip}, {"count", 2}}, data,
                [&](const Json& body) { listed += body["text"].get<std::string>().starts_with("Reading") ? 1 : 0; });
            if (!answer.ok()) qFatal("%s", answer.error().message.c_str());
            return *answer;
        };
        // A folder that was changed this moment might be changed again unseen, so it is listed again.
        const Json first = draw(1, 0);
        QCOMPARE(draw(1, 0), first);
        QCOMPARE(listed, 2);
        QTest::qSleep(2100);
        QCOMPARE(draw(1, 0), first);
        QCOMPARE(listed, 3);
        // Of all others not even the header is there any more.
        const auto shown = [&](const std::string& file) {
            return std::ranges::any_of(first["samples"], [&](const Json& one) { return one["file"] == Json(file); });
        };
        std::vector<std::pair<base::Path, std::string>> others;
        for (const char* name : {"hen", "turkey"}) {
            for (int i = 0; i < 9; ++i) {
                const std::string file = std::string(name) + "/" + std::to_string(i) + (i % 4 == 3 ? ".png" : ".jpg");
                if (shown(file)) continue;
                others.emplace_back(*m_scratch / "d" / file, base::readFile(*m_scratch / "d" / file).valueOr({}));
                // In its place: the folder's own entry stays as it is.
                std::ofstream(others.back().first, std::ios::trunc) << "no picture";
            }
        }
        set("task.augmentation.rotation", 20);
        set("task.dataset.image_size", 40);
        const Json turned = draw(1, 0);
        QCOMPARE(listed, 3);
        QCOMPARE(turned["training"], first["training"]);
        QCOMPARE(turned["width"], Json(40));
        QCOMPARE(turned["samples"][0]["file"], first["samples"][0]["file"]);
        QVERIFY(turned["samples"][0]["change"]["rotation"] != Json(0.0));
        for (const auto& [path, bytes] : others) std::ofstream(path, std::ios::trunc | std::ios::binary) << bytes;
        const auto alone = preview({{"spec", m_spec}, {"epoch", 7}, {"count", 2}});
        QVERIFY(alone.ok());
        QCOMPARE(draw(7, 0), *alone);
        QCOMPARE(listed, 3);

        // A shown picture that was written over in its place is seen by its size, and all is read anew.
        const std::string file = first["samples"][0]["file"].get<std::string>();
        const Picture small{50, 31, std::vector<std::uint8_t>(50 * 31 * 3, 77)};
        const auto encoded = encodePng(small);
        QVERIFY(encoded.ok());
        std::ofstream(*m_scratch / "d" / file, std::ios::trunc | std::ios::binary) << *encoded;
        const Json other = draw(7, 0);
        QCOMPARE(listed, 4);
        QCOMPARE(other["samples"][0]["file"], Json(file));
        QCOMPARE(other["samples"][0]["size"], (Json{{"width", 50}, {"height", 31}}));
        QVERIFY(other["samples"][0]["problem"].is_null());

        // One more picture; a split by another seed; another folder.
        m_scratch->write("d/hen/new.png", *encoded);
        const Json more = draw(1, 0);
        QCOMPARE(more["training"].get<int>(), first["training"].get<int>() + 1);
        set("task.dataset.split_seed", 9);
        (void) draw(1, 0);
        QVERIFY(listed >= 6);
        QVERIFY(base::makeDirs(*m_scratch / "e").ok());
        set("task.dataset.folder", (*m_scratch / "e").string());
        const auto wrong = drawPreview({{"spec", m_spec}}, data, [](const Json&) {});
        QVERIFY(!wrong.ok());
        QCOMPARE(wrong.error().code, std::string("data.classes"));
    }

    void settings_areSeen() {
        noise();
        set("task.augmentation.crop", false);
        const auto shown = [&](const char* path, const Json& value) {
            set(path, value);
            const auto answer = preview({{"spec", m_spec}, {"count", 1}});
            return answer.ok() ? pictureOf((*answer)["samples"][0], "augmented") : Picture();
        };
        const Picture plain = shown("task.augmentation.flip", 0);
        const Picture flipped = shown("task.augmentation.flip", 1);
        QCOMPARE(plain.width, 48);
        QCOMPARE(flipped.width, 48);
        for (std::size_t y = 0; y < 48; ++y) {
            for (std::size_t x = 0; x < 48; ++x) {
                const auto* left = plain.pixels.data() + 3 * (48 * y + x);
                const auto* right = flipped.pixels.data() + 3 * (48 * y + 47 - x);
                QVERIFY(std::equal(left, left + 3, right));
            }
        }
        const Picture erased = shown("task.augmentation.erase", 1);
        std::size_t mean = 0;
        for (std::size_t i = 0; i < erased.pixels.size(); i += 3)
            mean += erased.pixels[i] == 124 && erased.pixels[i + 1] == 116 && erased.pixels[i + 2] == 104 ? 1 : 0;
        // Erased is the mean colour of what the values are normalised by, over at least 2 % of the picture.
        QVERIFY2(mean >= 40, std::to_string(mean).c_str());
    }

    void idx_isShiftedAndFlippedAsInARun() {
        std::string images =
            std::string("\0\0\x08\x03", 4) + test::bigEndian(12) + test::bigEndian(9) + test::bigEndian(9);
        std::string labels = std::string("\0\0\x08\x01", 4) + test::bigEndian(12);
        for (int i = 0; i < 12; ++i) {
            for (int p = 0; p < 81; ++p) images += static_cast<char>(1 + (i * 37 + p * 3) % 250);
            labels += static_cast<char>(i % 3);
        }
        m_spec = spec::defaultRunSpecDocument();
        for (const char* split : {"train", "val"}) {
            const std::string base = std::string("task.dataset.") + split;
            set((base + "_images").c_str(), m_scratch->write(std::string(split) + "-images", images).string());
            set((base + "_labels").c_str(), m_scratch->write(std::string(split) + "-labels", labels).string());
        }
        set("task.augment", true);
        set("task.seed", 5);
        const auto answer = preview({{"spec", m_spec}, {"epoch", 3}, {"count", 12}});
        QVERIFY2(answer.ok(), answer.ok() ? "" : answer.error().message.c_str());
        const auto read = spec::runSpecFromJson(m_spec);
        const auto data = loadTrainingSet(read->train.dataset);
        const Normalization normal = measureNormalization(*data);
        BatchCutter cutter(*data, normal, at::kCPU);
        std::set<std::int64_t> seen;
        for (const Json& sample : (*answer)["samples"]) {
            const auto index = sample["index"].get<std::int64_t>();
            seen.insert(index);
            const float* values = cutter.cutAugmented(&index, 1, 5, 2).images.data_ptr<float>();
            const Picture shown = pictureOf(sample, "augmented");
            const Picture original = pictureOf(sample, "original");
            QCOMPARE(shown.width, 9);
            QCOMPARE(sample["label"].get<std::string>(), std::to_string(index % 3));
            for (std::size_t i = 0; i < 81; ++i) {
                const double unit = static_cast<double>(values[i]) * normal.deviation + normal.mean;
                QCOMPARE(static_cast<int>(shown.pixels[3 * i + 1]), static_cast<int>(std::lround(unit * 255)));
                QCOMPARE(static_cast<int>(original.pixels[3 * i]),
                         static_cast<int>(1 + (index * 37 + static_cast<std::int64_t>(i) * 3) % 250));
            }
        }
        QCOMPARE(seen.size(), std::size_t{12});

        // Kept between draws, until the file is another one.
        KeptData kept;
        int reads = 0;
        const auto draw = [&] {
            const auto drawn = drawPreview({{"spec", m_spec}, {"count", 12}}, kept, [&](const Json& body) {
                reads += body["text"].get<std::string>().starts_with("Reading") ? 1 : 0;
            });
            return drawn.ok() ? (*drawn)["samples"] : Json(drawn.error().message);
        };
        QTest::qSleep(2100);
        const Json before = draw();
        QCOMPARE(draw(), before);
        QCOMPARE(reads, 1);
        images.back() = static_cast<char>(images.back() + 1);
        m_scratch->write("train-images", images);
        QVERIFY(draw() != before);
        QCOMPARE(reads, 2);
    }

    void whatCannotBeShown_isSaid() {
        noise();
        // Its header is sound, the rest is gone: a run leaves it out when it meets it, and so it is told of here.
        const auto whole = base::readFile(*m_scratch / "d/hen/0.jpg");
        QVERIFY(whole.ok());
        for (int i = 0; i < 9; ++i) {
            const std::string file = "d/hen/" + std::to_string(i) + (i % 4 == 3 ? ".png" : ".jpg");
            m_scratch->write(file, whole->substr(0, whole->size() / 2));
        }
        const auto answer = preview({{"spec", m_spec}});
        QVERIFY2(answer.ok(), answer.ok() ? "" : answer.error().message.c_str());
        for (const Json& sample : (*answer)["samples"]) {
            QCOMPARE(sample["problem"].is_string(), sample["label"] == "hen");
            QCOMPARE(sample["augmented"].is_string(), sample["label"] == "turkey");
        }
        const auto codeOf = [&](const Json& request) {
            const auto wrong = preview(request);
            return wrong.ok() ? std::string("none") : wrong.error().code;
        };
        QVERIFY(std::filesystem::remove_all(*m_scratch / "d/hen") > 0);
        QCOMPARE(codeOf({{"spec", m_spec}}), std::string("data.classes"));
        set("task.dataset.folder", (*m_scratch / "nowhere").string());
        QCOMPARE(codeOf({{"spec", m_spec}}), std::string("data.folder"));
        set("task.augmentation.flip", 3);
        QCOMPARE(codeOf({{"spec", m_spec}}), std::string("spec.range"));
        QCOMPARE(codeOf(Json::object()), std::string("json.missing"));
        Json command = spec::defaultRunSpecDocument();
        command["task"] = {{"kind", "command"}, {"command", {"true"}}};
        QCOMPARE(codeOf({{"spec", command}}), std::string("preview.task"));
    }

    void sheet_holdsAllPairs() {
        noise();
        const base::Path file = *m_scratch / "sheet.png";
        const auto answer = preview({{"spec", m_spec}, {"count", 4}, {"side", 64}, {"sheet", file.string()}});
        QVERIFY2(answer.ok(), answer.ok() ? "" : answer.error().message.c_str());
        QVERIFY((*answer)["samples"][0]["augmented"].is_null());
        const auto bytes = base::readFile(file);
        QVERIFY(bytes.ok());
        const auto sheet = decodePicture(*bytes);
        QVERIFY(sheet.ok());
        QCOMPARE(sheet->width, 3 * (2 * 64 + 4 + 16) + 16);
        QCOMPARE(sheet->height, 2 * (64 + 16) + 16);
        QCOMPARE(static_cast<int>(sheet->pixels[0]), 255);
    }

private:
    std::unique_ptr<test::Scratch> m_scratch;
    Json m_spec;
};

QTEST_GUILESS_MAIN(TestPreview)
#include "tst_Preview.moc"
