// A small model is trained, tried, evaluated and inspected by the command line; published weights are listed and
// refused.
#include <QTest>
#include <cmath>
#include <memory>

#include "tests/cli/CliRig.h"
#include "tests/helpers/Children.h"

using namespace trainyard;
using base::Json;
using test::cli;
using test::cliJson;

namespace {

/// Bright bars on noise as MNIST's four files, and some of them as PNG; needs no module that Python does not have by
/// itself.
constexpr const char* kMakeBars = R"(
import os, random, struct, sys, zlib
root = sys.argv[1]
random.seed(1)
def sample(label):
    return bytes(min(255, (140 if y // 4 == label else 0) + random.randrange(100)) for y in range(16) for x in range(16))
def write(name, count):
    labels = bytes(i % 4 for i in range(count))
    images = [sample(label) for label in labels]
    open(root + "/" + name + "-images-idx3-ubyte", "wb").write(struct.pack(">IIII", 0x803, count, 16, 16) + b"".join(images))
    open(root + "/" + name + "-labels-idx1-ubyte", "wb").write(struct.pack(">II", 0x801, count) + labels)
    return images
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
os.makedirs(root + "/pictures")
write("train", 800)
for i, image in enumerate(write("t10k", 200)[:4]):
    rows = b"".join(b"\0" + image[y * 16:y * 16 + 16] for y in range(16))
    open(root + "/pictures/bar%d.png" % i, "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0)) +
                                                       chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
)";

}  // namespace

class CliTryItTest : public QObject {
    Q_OBJECT

    test::ChildGuard m_guard;
    std::unique_ptr<test::Scratch> m_scratch;

    [[nodiscard]] std::string path(const std::string& name) const { return (*m_scratch / name).string(); }

private Q_SLOTS:
    void initTestCase() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        qunsetenv("TRAINYARD_WORKSPACE");
        QCOMPARE(cli({"workspace", "init", path("w")}).exitCode, 0);
        (void) m_scratch->write("bars/keep", "");
        const auto made = test::runProgram("/usr/bin/python3", {"-c", kMakeBars, path("bars")});
        QVERIFY2(made.exitCode == 0, made.err.c_str());
        test::Arguments submit{"run", "submit", "--wait"};
        for (const auto& [field, file] : {std::pair{"train_images", "train-images-idx3"},
                                          {"train_labels", "train-labels-idx1"},
                                          {"val_images", "t10k-images-idx3"},
                                          {"val_labels", "t10k-labels-idx1"}}) {
            submit.insert(submit.end(),
                          {"--set", std::string("task.dataset.") + field + "=" + path("bars/") + file + "-ubyte"});
        }
        for (const char* set : {"task.dataset.class_names=[\"top\",\"high\",\"low\",\"bottom\"]",
                                "task.model.options.width=4", "task.epochs=3", "task.batch_size=32",
                                "task.augment=false", "task.optimizer.learning_rate=0.02", "task.threads=1"}) {
            submit.insert(submit.end(), {"--set", set});
        }
        const auto ran = cli(submit, {}, 120'000);
        QVERIFY2(ran.exitCode == 0, (ran.out + ran.err + cli({"run", "logs", "1"}).out).c_str());
        QCOMPARE(cli({"model", "register", "1", "--name", "bars"}).exitCode, 0);
    }
    void cleanup() { QVERIFY2(m_guard.noneLeft(10'000), m_guard.report().c_str()); }

    void predict_filesAndFolders() {
        const Json told = cliJson({"model", "predict", "bars", path("bars/pictures"), "--top", "2"});
        QCOMPARE(told.at("model"), Json("bars:1"));
        QCOMPARE(told.at("predictions").size(), std::size_t{4});
        const char* const names[] = {"top", "high", "low", "bottom"};
        int right = 0;
        for (std::size_t i = 0; i < 4; ++i) {
            const Json& one = told.at("predictions")[i];
            QCOMPARE(one.at("top").size(), std::size_t{2});
            right += one.at("top")[0].at("label") == Json(names[i]) ? 1 : 0;
        }
        QVERIFY(right >= 3);
        // Of a run's own model, with a file that is none: it is named, and a script notices.
        (void) m_scratch->write("bars/text.png", "no picture");
        const auto mixed = cli({"model", "predict", "run:1", path("bars/pictures/bar0.png"), path("bars/text.png")});
        QCOMPARE(mixed.exitCode, 1);
        QVERIFY2(mixed.out.find("bar0.png") != std::string::npos && mixed.out.find("text.png") != std::string::npos,
                 mixed.out.c_str());
        QCOMPARE(cli({"model", "predict", "nothing", path("bars/pictures")}).exitCode, 3);
        QCOMPARE(cli({"model", "predict", "bars"}).exitCode, 2);
        QCOMPARE(cliJson({"model", "predict", "run:7", "x.png"}).at("error").at("field"), Json("model"));
    }

    void evaluate_onOwnDataAndFolders() {
        const Json own = cliJson({"model", "evaluate", "bars", "own"});
        QCOMPARE(own.at("samples"), Json(200));
        QCOMPARE(own.at("split"), Json("validation"));
        const Json shown = cliJson({"model", "show", "bars"});
        double last = -1;
        for (const Json& metric : shown.at("metrics")) {
            last = metric.at("name") == Json("val/accuracy") ? metric.at("last").get<double>() : last;
        }
        QVERIFY(std::abs(own.at("accuracy").get<double>() - last) < 1e-6);
        // It stands with the version from then on, by words too; what a run left has no place for it.
        QCOMPARE(shown.at("evaluations").size(), std::size_t{1});
        const Json kept = shown.at("evaluations").at(0);
        QCOMPARE(kept.at("id"), own.at("evaluation"));
        QCOMPARE(kept.at("accuracy"), own.at("accuracy"));
        QCOMPARE(kept.at("dataset"), Json("own"));
        QCOMPARE(kept.at("classes").size(), std::size_t{4});
        const auto words = cli({"model", "show", "bars"});
        QVERIFY2(words.out.find("own (validation, 200 samples)") != std::string::npos, words.out.c_str());
        const Json folder = cliJson({"model", "evaluate", "run:1", path("bars"), "--split", "all"});
        QVERIFY(folder.at("evaluation").is_null());
        QCOMPARE(folder.at("samples"), Json(1000));
        QCOMPARE(folder.at("confusion").size(), std::size_t{4});
        const auto text = cli({"model", "evaluate", "bars", path("bars")});
        QVERIFY2(text.out.find("PRECISION") != std::string::npos && text.out.find("bottom") != std::string::npos,
                 text.out.c_str());
        QCOMPARE(cliJson({"model", "evaluate", "bars", path("nowhere")}).at("error").at("field"), Json("dataset"));
        QCOMPARE(cliJson({"model", "evaluate", "bars", path("bars/pictures")}).at("error").at("code"),
                 Json("data.classes"));
    }

    void inspect_listsLayers() {
        const Json told = cliJson({"model", "inspect", "bars"});
        QCOMPARE(told.at("family"), Json("cnn"));
        std::int64_t parameters = 0;
        for (const Json& layer : told.at("layers")) {
            parameters += layer.at("parameters").get<std::int64_t>();
        }
        QCOMPARE(told.at("parameters"), Json(parameters));
        QVERIFY(told.at("multiply_adds").get<std::int64_t>() > 0);
        // Memory: four bytes a number, of the parameters and of what each layer hands on.
        QCOMPARE(told.at("weights_bytes"), Json(4 * parameters));
        std::int64_t all = 0;
        std::int64_t largest = 0;
        for (const Json& layer : told.at("layers")) {
            std::int64_t bytes = 4;
            for (const Json& size : layer.at("shape")) {
                bytes *= size.get<std::int64_t>();
            }
            QCOMPARE(layer.at("bytes"), Json(bytes));
            all += bytes;
            largest = std::max(largest, bytes);
        }
        QCOMPARE(told.at("largest_bytes"), Json(largest));
        QVERIFY(told.at("activation_bytes").get<std::int64_t>() > largest);
        QVERIFY(told.at("activation_bytes").get<std::int64_t>() <= all);
        QVERIFY(cli({"model", "inspect", "bars"}).out.find("Linear") != std::string::npos);
    }

    void weights_listedMatchedRefused() {
        const Json list = cliJson({"weights", "list"});
        QCOMPARE(list.at("weights").size(), std::size_t{6});
        QCOMPARE(list.at("weights")[0].at("fetched"), Json(false));
        QCOMPARE(cli({"weights", "fetch", "vgg"}).exitCode, 3);
        const Json other = cliJson({"weights", "fetch", "resnet18-imagenet", "--file", path("bars/text.png")});
        QCOMPARE(other.at("error").at("code"), Json("weights.hash"));
        QCOMPARE(other.at("error").at("field"), Json("file"));

        const Json again = cliJson({"run", "duplicate", "1"});
        Json spec = again.at("spec");
        spec["task"]["model"]["weights"]["source"] =
            "run:" + cliJson({"run", "show", "1"}).at("run").get<std::string>();
        (void) m_scratch->write("again.json", base::dumpJson(spec));
        const Json match = cliJson({"weights", "match", "--file", path("again.json")});
        QCOMPARE(match.at("missing").at("count"), Json(0));
        QVERIFY(match.at("matched").at("count").get<int>() > 4);
        spec["task"]["model"]["weights"]["source"] = "pretrained:resnet18-imagenet";
        (void) m_scratch->write("again.json", base::dumpJson(spec));
        QCOMPARE(cliJson({"weights", "match", "--file", path("again.json")}).at("error").at("code"),
                 Json("weights.absent"));
        // The model of the run is another than the weights'.
        const auto submitted = cli({"run", "submit", "--file", path("again.json")});
        QCOMPARE(submitted.exitCode, 1);
        QVERIFY2(submitted.err.find("resnet18") != std::string::npos, submitted.err.c_str());
    }
};

QTEST_GUILESS_MAIN(CliTryItTest)
#include "tst_CliTryIt.moc"
