// IDX files, their faults, the sampler and the cutting of batches.
#include <zlib.h>

#include <QtTest>
#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "core/engine/data/Batch.h"
#include "core/engine/data/Dataset.h"
#include "core/engine/data/IdxFile.h"
#include "core/engine/data/Sampler.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"

using namespace trainyard;
using namespace trainyard::engine;

namespace {

std::string bigEndian(std::uint32_t value) {
    std::string bytes;
    for (int shift = 24; shift >= 0; shift -= 8) {
        bytes.push_back(static_cast<char>((value >> shift) & 0xFF));
    }
    return bytes;
}

std::string imagesFile(std::uint32_t count, std::uint32_t side, std::size_t values) {
    std::string bytes = std::string("\0\0\x08\x03", 4) + bigEndian(count) + bigEndian(side) + bigEndian(side);
    for (std::size_t i = 0; i < values; ++i) {
        bytes.push_back(static_cast<char>(i * 7 % 251));
    }
    return bytes;
}

std::string labelsFile(std::uint32_t count, const std::string& labels) {
    return std::string("\0\0\x08\x01", 4) + bigEndian(count) + labels;
}

std::string gzip(const std::string& bytes) {
    std::string out(bytes.size() + 1024, '\0');
    z_stream stream{};
    if (deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        return {};
    }
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

ImageSet smallSet(std::int64_t count, std::int64_t side) {
    ImageSet set;
    set.count = count;
    set.height = set.width = side;
    for (std::int64_t i = 0; i < count * side * side; ++i) {
        set.pixels.push_back(static_cast<std::uint8_t>(i * 13 % 256));
    }
    for (std::int64_t i = 0; i < count; ++i) {
        set.labels.push_back(static_cast<std::uint8_t>(i % 10));
    }
    return set;
}

}  // namespace

class TestData : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void read_plainAndGzipped() {
        const test::Scratch scratch;
        const std::string bytes = imagesFile(3, 4, 48);
        for (const auto& [name, content] : {std::pair{"plain", bytes}, std::pair{"packed", gzip(bytes)}}) {
            const auto array = readIdxFile(scratch.write(name, content), IdxContent::Images);
            QVERIFY2(array.ok(), name);
            QCOMPARE(array->shape, (std::vector<std::int64_t>{3, 4, 4}));
            QCOMPARE(array->values.size(), std::size_t{48});
            QCOMPARE(int{array->values[40]}, 40 * 7 % 251);
        }
    }

    void read_faults_data() {
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<bool>("images");
        QTest::addColumn<QString>("code");
        QTest::addColumn<QString>("says");
        const auto row = [](const char* name, const std::string& bytes, bool images, const char* code,
                            const char* says) {
            QTest::newRow(name) << QByteArray::fromStdString(bytes) << images << QString::fromLatin1(code)
                                << QString::fromLatin1(says);
        };
        const std::string good = imagesFile(3, 4, 48);
        row("empty", "", true, "idx.empty", "empty");
        row("header cut at 2", good.substr(0, 2), true, "idx.truncated", "byte 2");
        row("header cut at 10", good.substr(0, 10), true, "idx.truncated", "byte 10");
        row("values cut", good.substr(0, 40), true, "idx.truncated", "byte 40");
        row("one byte short", good.substr(0, good.size() - 1), true, "idx.truncated", "byte 63");
        row("one byte over", good + "x", true, "idx.oversized", "byte 64");
        row("labels as images", labelsFile(3, "\1\2\3"), true, "idx.swapped", "swapped");
        row("images as labels", good, false, "idx.swapped", "swapped");
        row("text", "hello, world, this is text", true, "idx.magic", "byte 0");
        row("float values", std::string("\0\0\x0D\x03", 4) + good.substr(4), true, "idx.type", "byte 2");
        row("two dimensions", std::string("\0\0\x08\x02", 4) + good.substr(4), true, "idx.magic", "byte 3");
        row("no samples", imagesFile(0, 4, 0), true, "idx.size", "byte 4");
        row("zero side", imagesFile(3, 0, 0), true, "idx.size", "byte 8");
        row("side too large", imagesFile(3, 5000, 0), true, "idx.size", "byte 8");
        row("lies about its size", imagesFile(4000000000U, 4096, 100), true, "idx.size", "8 GiB");
        row("promises more than it has", imagesFile(100000, 28, 100), true, "idx.truncated", "byte 116");
        const std::string packed = gzip(good + std::string(5000, 'a'));
        row("gzip cut", gzip(imagesFile(100, 28, 78400)).substr(0, 300), true, "idx.truncated", "compressed");
        std::string broken = gzip(good);
        broken[broken.size() - 6] = static_cast<char>(broken[broken.size() - 6] ^ 0x55);  // Its checksum.
        row("gzip checksum", broken, true, "idx.gzip", "damaged");
        row("gzip oversized", packed, true, "idx.oversized", "byte 64");
    }
    void read_faults() {
        QFETCH(QByteArray, bytes);
        QFETCH(bool, images);
        QFETCH(QString, code);
        QFETCH(QString, says);
        const test::Scratch scratch;
        const base::Path file = scratch.write("file", bytes.toStdString());
        const auto array = readIdxFile(file, images ? IdxContent::Images : IdxContent::Labels);
        QVERIFY(!array.ok());
        QCOMPARE(QString::fromStdString(array.error().code), code);
        const QString message = QString::fromStdString(array.error().message);
        QVERIFY2(message.contains(says), qPrintable(message));
        QVERIFY2(message.contains(QString::fromStdString(file.string())), qPrintable(message));
    }

    void read_missingAndFolder() {
        const test::Scratch scratch;
        QCOMPARE(readIdxFile(scratch / "nowhere", IdxContent::Images).error().code, std::string("file.missing"));
        QCOMPARE(readIdxFile(scratch.path(), IdxContent::Images).error().code, std::string("file.kind"));
    }

    void set_faults() {
        const test::Scratch scratch;
        spec::DatasetSpec spec;
        spec.trainImages = scratch.write("i", imagesFile(3, 4, 48)).string();
        spec.trainLabels = scratch.write("l", labelsFile(2, "\1\2")).string();
        QCOMPARE(loadTrainingSet(spec).error().code, std::string("data.count"));
        QCOMPARE(loadTrainingSet(spec).error().field, std::string("task.dataset.train_labels"));
        spec.trainLabels = scratch.write("l3", labelsFile(3, "\1\2\5")).string();
        auto set = loadTrainingSet(spec);
        QVERIFY(set.ok());
        QCOMPARE(*countClasses(spec, *set), std::int64_t{6});
        spec.classNames = {"a", "b", "c"};
        const auto tooHigh = countClasses(spec, *set);
        QCOMPARE(tooHigh.error().code, std::string("data.label"));
        QVERIFY(tooHigh.error().message.find("byte 10") != std::string::npos);

        ImageSet validation = *set;
        validation.labels = {1, 9, 0};
        spec.classNames.clear();
        spec.valLabels = "v";
        QCOMPARE(checkValidationSet(spec, *set, validation, 6).error().code, std::string("data.label"));
        validation.labels = {1, 2, 0};
        QVERIFY(checkValidationSet(spec, *set, validation, 6).ok());
        validation.width = 5;
        QCOMPARE(checkValidationSet(spec, *set, validation, 6).error().code, std::string("data.shape"));

        spec.trainLimit = 2;
        set = loadTrainingSet(spec);
        QCOMPARE(set->count, std::int64_t{2});
        QCOMPARE(set->pixels.size(), std::size_t{32});
        spec.trainImages.clear();
        QCOMPARE(loadTrainingSet(spec).error().field, std::string("task.dataset.train_images"));
    }

    void normalization_matchesTorchvision() {
        ImageSet set = smallSet(7, 5);
        const Normalization normalization = measureNormalization(set);
        double sum = 0;
        double squares = 0;
        for (const std::uint8_t pixel : set.pixels) {
            sum += pixel / 255.0;
            squares += pixel / 255.0 * (pixel / 255.0);
        }
        const auto n = static_cast<double>(set.pixels.size());
        QVERIFY(std::abs(normalization.mean - sum / n) < 1e-12);
        QVERIFY(std::abs(normalization.deviation - std::sqrt(squares / n - sum / n * sum / n)) < 1e-9);
        // float32 in torchvision's order: /255, minus mean, over deviation.
        const auto table = normalization.table();
        const float expected =
            (200.0F / 255.0F - static_cast<float>(normalization.mean)) / static_cast<float>(normalization.deviation);
        QCOMPARE(table[200], expected);
        set.pixels.assign(set.pixels.size(), 9);
        QCOMPARE(measureNormalization(set).deviation, 1.0);
    }

    void sampler_eachSampleOnce_data() {
        QTest::addColumn<int>("count");
        QTest::addColumn<int>("batch");
        QTest::addColumn<int>("world");
        QTest::newRow("even") << 64 << 16 << 2;
        QTest::newRow("uneven end") << 67 << 16 << 2;
        QTest::newRow("three ranks") << 100 << 17 << 3;
        QTest::newRow("last batch of one") << 33 << 16 << 4;
        QTest::newRow("one batch") << 5 << 100 << 2;
    }
    void sampler_eachSampleOnce() {
        QFETCH(int, count);
        QFETCH(int, batch);
        QFETCH(int, world);
        std::vector<Sampler> ranks;
        for (int rank = 0; rank < world; ++rank) {
            ranks.emplace_back(count, batch, 3, rank, world);
            ranks.back().startEpoch(5);
        }
        std::multiset<std::int64_t> seen;
        for (std::int64_t step = 0; step < ranks[0].stepsPerEpoch(); ++step) {
            std::int64_t global = 0;
            std::int64_t smallest = count;
            std::int64_t largest = 0;
            for (const Sampler& rank : ranks) {
                const auto shard = rank.shard(step);
                seen.insert(shard.indices, shard.indices + shard.count);
                global += shard.count;
                smallest = std::min(smallest, shard.count);
                largest = std::max(largest, shard.count);
            }
            QCOMPARE(global, ranks[0].shard(step).globalCount);
            QVERIFY(largest - smallest <= 1);
        }
        QCOMPARE(seen.size(), static_cast<std::size_t>(count));
        QCOMPARE(std::set<std::int64_t>(seen.begin(), seen.end()).size(), static_cast<std::size_t>(count));
    }

    void sampler_orderDependsOnSeedAndEpochAlone() {
        const auto order = [](std::int64_t seed, std::int64_t epoch, std::int64_t batch) {
            Sampler sampler(50, batch, seed, 0, 1);
            sampler.startEpoch(1);  // What was drawn before does not matter.
            sampler.startEpoch(epoch);
            std::vector<std::int64_t> all;
            for (std::int64_t step = 0; step < sampler.stepsPerEpoch(); ++step) {
                const auto shard = sampler.shard(step);
                all.insert(all.end(), shard.indices, shard.indices + shard.count);
            }
            return all;
        };
        QCOMPARE(order(1, 2, 7), order(1, 2, 50));
        QVERIFY(order(1, 2, 7) != order(1, 3, 7));
        QVERIFY(order(1, 2, 7) != order(2, 2, 7));
    }

    void sampler_equalsPythonsRandperm() {
        test::ProgramOptions options;
        options.timeoutMillis = 60000;
        const auto python =
            test::runProgram("/usr/bin/python3",
                             {"-c", "import torch; print(*torch.randperm(40, generator=torch.Generator().manual_seed(" +
                                        std::to_string(Sampler::orderSeed(11, 4)) + ")).tolist())"},
                             options);
        if (!python.started || python.exitCode != 0) {
            TRAINYARD_SKIP("no Python with torch on this machine");
        }
        Sampler sampler(40, 40, 11, 0, 1);
        sampler.startEpoch(4);
        std::string ours;
        for (std::int64_t i = 0; i < 40; ++i) {
            ours += (i == 0 ? "" : " ") + std::to_string(sampler.shard(0).indices[i]);
        }
        QCOMPARE(ours + "\n", python.out);
    }

    void batch_holdsWhatWasAskedFor() {
        const ImageSet set = smallSet(9, 6);
        const Normalization normalization{0.3, 0.25};
        BatchCutter cutter(set, normalization, at::kCPU);
        const std::vector<std::int64_t> indices{8, 0, 3};
        const Batch& batch = cutter.cut(indices.data(), 3);
        QCOMPARE(batch.images.sizes().vec(), (std::vector<std::int64_t>{3, 1, 6, 6}));
        const auto table = normalization.table();
        const float* images = batch.images.data_ptr<float>();
        for (std::size_t i = 0; i < 3; ++i) {
            QCOMPARE(batch.labels.data_ptr<std::int64_t>()[i], indices[i] % 10);
            for (std::size_t p = 0; p < 36; ++p) {
                QCOMPARE(images[i * 36 + p], table[set.pixels[static_cast<std::size_t>(indices[i]) * 36 + p]]);
            }
        }
        const void* before = batch.images.data_ptr();
        QCOMPARE(cutter.cutRange(2, 5).images.data_ptr(), before);
        QCOMPARE(cutter.cutRange(2, 5).labels.data_ptr<std::int64_t>()[0], std::int64_t{2});
    }

    void augmentation_dependsOnSeedEpochIndex() {
        std::set<std::array<int, 3>> seen;
        for (int index = 0; index < 2000; ++index) {
            const Augmentation change = augmentationOf(1, 2, index);
            QVERIFY(std::abs(change.dx) <= 2 && std::abs(change.dy) <= 2);
            seen.insert({change.dx, change.dy, change.flip ? 1 : 0});
        }
        QCOMPARE(seen.size(), std::size_t{50});  // Every one of 5 × 5 × 2.

        const ImageSet set = smallSet(3, 6);
        const Normalization normalization{0.3, 0.25};
        BatchCutter cutter(set, normalization, at::kCPU);
        const auto table = normalization.table();
        for (std::int64_t index = 0; index < 3; ++index) {
            const Augmentation change = augmentationOf(7, 1, index);
            const float* image = cutter.cutAugmented(&index, 1, 7, 1).images.data_ptr<float>();
            for (int y = 0; y < 6; ++y) {
                for (int x = 0; x < 6; ++x) {
                    const int fromY = y - change.dy;
                    int fromX = x - change.dx;
                    const bool inside = fromY >= 0 && fromY < 6 && fromX >= 0 && fromX < 6;
                    fromX = change.flip ? 5 - fromX : fromX;
                    const float expected =
                        inside ? table[set.pixels[static_cast<std::size_t>((index * 6 + fromY) * 6 + fromX)]]
                               : table[0];
                    QCOMPARE(image[y * 6 + x], expected);
                }
            }
        }
    }
};

QTEST_GUILESS_MAIN(TestData)
#include "tst_Data.moc"
