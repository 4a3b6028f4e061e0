// Predictions and evaluations of trained models by the real program, held against torchvision and against the training
// itself.
#include <ATen/ATen.h>

#include <QtTest>

#include <cmath>
#include <filesystem>

#include "core/engine/serve/Tally.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Skip.h"
#include "tests/unit/engine/Bench.h"

using namespace trainyard;
using namespace trainyard::engine;
using base::Json;
using test::Bench;

namespace {

/// Three classes of coloured noise, hard enough that some are taken for others; beside them files of every awkward
/// kind.
constexpr const char* kMakePictures = R"(
import os, random, sys
from PIL import Image
root = sys.argv[1]
for k, name in enumerate(["hen", "turkey", "wren"]):
    os.makedirs(root + "/birds/" + name)
    for i in range(24):
        side = (40 + i % 9, 38 + i % 7)
        parts = [Image.effect_noise(side, 90).point(lambda v, c=c: max(0, min(255, v - 128 + (132 if c == k else 116)))) for c in range(3)]
        Image.merge("RGB", parts).save(root + "/birds/%s/%03d.%s" % (name, i, "png" if i % 2 else "jpg"), quality=92)
os.makedirs(root + "/odd")
Image.effect_noise((61, 33), 80).save(root + "/odd/grey.png")
Image.open(root + "/birds/hen/000.jpg").resize((300, 41)).save(root + "/odd/wide.jpg", quality=95)
Image.open(root + "/birds/wren/001.png").resize((27, 140)).save(root + "/odd/tall.png")
)";

/// What torchvision and the TorchScript file say of the files that follow.
constexpr const char* kAsk = R"(
import json, sys, torch
from PIL import Image
from torchvision import transforms as T
model = torch.jit.load(sys.argv[1]).eval()
card = json.load(open(sys.argv[2]))
channels = card["normalization"]["channels"]
size = card["input_shape"][1]
make = T.Compose([T.Resize(card["resize"]), T.CenterCrop(size), T.ToTensor(),
                  T.Normalize([c["mean"] for c in channels], [c["std"] for c in channels])])
with torch.no_grad():
    print(json.dumps([model(make(Image.open(f).convert("RGB"))[None]).softmax(1)[0].tolist() for f in sys.argv[3:]]))
)";

struct Answer {
    int exitCode = -1;
    std::vector<Json> lines;
    [[nodiscard]] Json last() const { return lines.empty() ? Json::object() : lines.back(); }
};

}  // namespace

class TestServe : public QObject {
    Q_OBJECT

    Bench m_bench;
    test::ChildGuard m_guard;
    bool m_made = false;

    [[nodiscard]] std::string model(const std::string& run) const {
        return (m_bench.folder(run) / "outputs/model.pt").string();
    }
    [[nodiscard]] std::string picture(const std::string& name) const {
        return (m_bench.scratch() / ("pictures/" + name)).string();
    }
    [[nodiscard]] Json card(const std::string& run) const {
        return *base::parseJson(m_bench.scratch().read(run + "/outputs/model.json"));
    }

    Answer ask(const std::string& verb, const Json& request, const std::string& input = {}) const {
        const base::Path file = m_bench.scratch().write("request.json", base::dumpJson(request));
        test::ProgramOptions options;
        options.input = input;
        options.timeoutMillis = 60'000;
        const auto ran =
            test::runProgram(test::builtProgram("trainyard-engine"), {verb, "--request", file.string()}, options);
        Answer answer{ran.exitCode, {}};
        for (std::size_t at = 0; at < ran.out.size();) {
            const std::size_t end = std::min(ran.out.find('\n', at), ran.out.size());
            if (auto json = base::parseJson(std::string_view(ran.out).substr(at, end - at)); json.ok()) {
                answer.lines.push_back(std::move(*json));
            }
            at = end + 1;
        }
        return answer;
    }
    [[nodiscard]] Json birds(const std::string& folder = "birds") const {
        return {{"kind", "images"}, {"folder", picture(folder)}};
    }

private Q_SLOTS:
    void initTestCase() {
        test::ProgramOptions options;
        options.timeoutMillis = 60'000;
        const auto made = test::runProgram("/usr/bin/python3", {"-c", kMakePictures, picture("")}, options);
        m_made = made.exitCode == 0;
        if (!m_made && made.err.find("No module named") == std::string::npos) {
            QFAIL(made.err.c_str());
        }
        Json bars = m_bench.spec();
        spec::setValueAt(bars, "task.epochs", 1);
        spec::setValueAt(bars, "task.dataset.train_limit", 400);
        QCOMPARE(m_bench.run("bars", bars), 0);
        if (m_made) {
            Json document = spec::defaultRunSpecDocument();
            const auto set = [&](const char* path, Json value) { spec::setValueAt(document, path, std::move(value)); };
            set("task.dataset.kind", "images");
            set("task.dataset.folder", picture("birds"));
            set("task.dataset.image_size", 24);
            set("task.dataset.resize_size", 29);
            set("task.model.options.width", 4);
            set("task.batch_size", 16);
            set("task.epochs", 2);
            set("task.threads", 1);
            QCOMPARE(m_bench.run("birds", document), 0);
        }
    }
    void cleanup() { QVERIFY2(m_guard.noneLeft(), m_guard.report().c_str()); }

    void tally_countsByHand() {
        Tally tally(7);
        // Rows: right; wrong, the truth second; wrong, the truth last.
        const at::Tensor logits = at::zeros({3, 7});
        const auto set = [&](int row, std::vector<float> values) {
            for (std::size_t k = 0; k < values.size(); ++k) {
                logits[row][static_cast<std::int64_t>(k)] = values[k];
            }
        };
        set(0, {9, 0, 0, 0, 0, 0, 0});
        set(1, {4, 3, 0, 0, 0, 0, 0});
        set(2, {9, 8, 7, 6, 5, 4, -3});
        const at::Tensor labels = at::zeros({3}, at::kLong);
        labels[1] = 1;
        labels[2] = 6;
        tally.add(logits, labels, {10, 11, 12});
        QCOMPARE(tally.samples(), std::int64_t{3});
        QCOMPARE(tally.accuracy(), 1.0 / 3);
        QCOMPARE(tally.top5(), Json(2.0 / 3));
        const Json classes = tally.classes();
        QCOMPARE(classes[0]["predicted"], Json(3));
        QCOMPARE(classes[0]["precision"], Json(1.0 / 3));
        QCOMPARE(classes[0]["recall"], Json(1.0));
        QCOMPARE(classes[0]["f1"], Json(0.5));
        QVERIFY(classes[1]["precision"].is_null());
        QCOMPARE(classes[1]["recall"], Json(0.0));
        QVERIFY(classes[2]["recall"].is_null());
        QCOMPARE(tally.confusion()[6][0], Json(1));
        const auto worst = tally.worst(1);
        QCOMPARE(worst.size(), std::size_t{1});
        QCOMPARE(worst[0].sample, std::int64_t{12});
        const auto share = [&](int row, int label) { return logits.softmax(1)[row][label].item<double>(); };
        QVERIFY(std::abs(worst[0].trueProbability - share(2, 6)) < 1e-6);
        QVERIFY(std::abs(tally.loss() + (std::log(share(0, 0)) + std::log(share(1, 1)) + std::log(share(2, 6))) / 3) <
                1e-5);
    }

    void predict_agreesWithTorchvision() {
        if (!m_made) {
            TRAINYARD_SKIP("python3-pil is not installed");
        }
        const std::vector<std::string> files{picture("birds/hen/000.jpg"), picture("birds/wren/003.png"),
                                             picture("odd/grey.png"), picture("odd/wide.jpg"), picture("odd/tall.png")};
        const Answer answer =
            ask("predict", {{"model", model("birds")}, {"files", files}, {"top", 3}, {"device", "cpu"}});
        QCOMPARE(answer.exitCode, 0);
        QCOMPARE(answer.last()["failed"], Json(0));
        const Json rows = answer.last()["predictions"];
        QCOMPARE(rows.size(), files.size());
        std::vector<std::string> arguments{"-c", kAsk, model("birds"),
                                           (m_bench.folder("birds") / "outputs/model.json").string()};
        arguments.insert(arguments.end(), files.begin(), files.end());
        test::ProgramOptions options;
        options.timeoutMillis = 60'000;
        const auto asked = test::runProgram("/usr/bin/python3", arguments, options);
        if (asked.err.find("No module named") != std::string::npos) {
            TRAINYARD_SKIP("python3-torchvision is not installed");
        }
        QVERIFY2(asked.exitCode == 0, asked.err.c_str());
        const Json expected = *base::parseJson(asked.out);
        for (std::size_t i = 0; i < files.size(); ++i) {
            QCOMPARE(rows[i]["file"], Json(files[i]));
            QCOMPARE(rows[i]["top"].size(), std::size_t{3});
            double before = 1;
            for (const Json& one : rows[i]["top"]) {
                const auto label = one["index"].get<std::size_t>();
                const double probability = one["probability"].get<double>();
                QCOMPARE(one["label"], card("birds")["class_names"][label]);
                QVERIFY2(std::abs(probability - expected[i][label].get<double>()) < 2e-3, files[i].c_str());
                QVERIFY(probability <= before);
                before = probability;
            }
        }
    }

    void predict_namesBadFilesAndGoesOn() {
        if (!m_made) {
            TRAINYARD_SKIP("python3-pil is not installed");
        }
        const base::Path folder = m_bench.scratch() / "bad";
        std::filesystem::create_directories(folder);
        const std::string whole = m_bench.scratch().read("pictures/birds/hen/002.jpg");
        (void) m_bench.scratch().write("bad/a-text.jpg", "this is no picture");
        (void) m_bench.scratch().write("bad/b-cut.jpg", whole.substr(0, whole.size() / 2));
        (void) m_bench.scratch().write("bad/c-good.JPG", whole);
        (void) m_bench.scratch().write("bad/notes.txt", "left out");
        const Answer answer = ask(
            "predict", {{"model", model("birds")}, {"files", {folder.string(), picture("absent.png")}}, {"top", 99}});
        QCOMPARE(answer.exitCode, 0);
        const Json rows = answer.last()["predictions"];
        QCOMPARE(rows.size(), std::size_t{4});
        QCOMPARE(answer.last()["failed"], Json(3));
        QCOMPARE(rows[0]["error"]["code"], Json("picture.kind"));
        QCOMPARE(rows[1]["error"]["code"], Json("picture.damaged"));
        QCOMPARE(rows[2]["top"].size(), std::size_t{3});
        QCOMPARE(rows[3]["error"]["code"], Json("file.missing"));
        QVERIFY(!rows[3].contains("top"));
        QCOMPARE(ask("predict", {{"model", model("birds")}, {"files", Json::array()}}).last()["code"],
                 Json("predict.files"));
    }

    void predict_greyModelTakesAnyPicture() {
        if (!m_made) {
            TRAINYARD_SKIP("python3-pil is not installed");
        }
        const Answer answer =
            ask("predict", {{"model", model("bars")}, {"files", {picture("odd/wide.jpg"), picture("odd/grey.png")}}});
        QCOMPARE(answer.last()["failed"], Json(0));
        QCOMPARE(answer.last()["predictions"][0]["top"].size(), std::size_t{5});
        // The bars' classes have no names.
        const Json first = answer.last()["predictions"][0]["top"][0];
        QCOMPARE(first["label"], Json(std::to_string(first["index"].get<int>())));
    }

    void open_refusesOtherModels() {
        const auto codeOf = [&](const Json& request) { return ask("predict", request).last()["code"]; };
        const std::string own =
            m_bench.scratch().write("alone/model.pt", m_bench.scratch().read("bars/outputs/model.pt")).string();
        QCOMPARE(codeOf({{"model", own}, {"files", {"x.png"}}}), Json("model.card"));
        QCOMPARE(codeOf({{"model", own}, {"card", card("bars")}, {"files", {"x.png"}}}),
                 Json());  // A result: x.png is what is wrong.
        const std::string text = m_bench.scratch().write("text/model.pt", "no model").string();
        QCOMPARE(codeOf({{"model", text}, {"card", card("bars")}, {"files", {"x.png"}}}), Json("model.format"));
        Json other = card("bars");
        other["classes"] = 4;
        const Json dataset = m_bench.spec()["task"]["dataset"];
        QCOMPARE(ask("evaluate", {{"model", own}, {"card", other}, {"dataset", dataset}}).last()["code"],
                 Json("data.label"));
        other["classes"] = 12;
        QCOMPARE(ask("evaluate", {{"model", own}, {"card", other}, {"dataset", dataset}}).last()["code"],
                 Json("model.card"));
        constexpr const char* kForeign = "import torch, sys; torch.jit.script(torch.nn.Flatten()).save(sys.argv[1])";
        const std::string foreign = (m_bench.scratch() / "text/foreign.pt").string();
        const auto made = test::runProgram("/usr/bin/python3", {"-c", kForeign, foreign});
        if (made.exitCode != 0) {
            TRAINYARD_SKIP("python3-torch is not installed");
        }
        QCOMPARE(codeOf({{"model", foreign}, {"card", card("bars")}, {"files", {"x.png"}}}), Json("model.foreign"));
    }

    void serve_answersUntilItsInputEnds() {
        if (!m_made) {
            TRAINYARD_SKIP("python3-pil is not installed");
        }
        const std::string input =
            base::dumpJson({{"id", 1}, {"files", {picture("birds/hen/000.jpg")}}, {"top", 1}}) + "\nnonsense\n" +
            base::dumpJson({{"id", 3}, {"files", Json::array()}}) + "\n" +
            base::dumpJson({{"id", 4}, {"files", {picture("birds/wren/000.jpg"), picture("absent")}}}) + "\n";
        Answer answer = ask("serve", {{"model", model("birds")}}, input);
        QCOMPARE(answer.exitCode, 0);
        std::erase_if(answer.lines,
                      [](const Json& line) { return line.value("stage", "") == "predict"; });  // On a busy machine.
        QCOMPARE(answer.lines.size(), std::size_t{6});
        QCOMPARE(answer.lines[0]["stage"], Json("ready"));
        QCOMPARE(answer.lines[1]["id"], Json(1));
        QCOMPARE(answer.lines[1]["predictions"][0]["top"].size(), std::size_t{1});
        QCOMPARE(answer.lines[2]["error"]["code"], Json("json.syntax"));
        QCOMPARE(answer.lines[3]["error"]["code"], Json("predict.files"));
        QCOMPARE(answer.lines[3]["id"], Json(3));
        QCOMPARE(answer.lines[4]["failed"], Json(1));
        QCOMPARE(answer.lines[5]["served"], Json(2));
    }

    /// The other thing that it answers: samples under augmentation, with no model at all.
    void serve_drawsPreviews() {
        if (!m_made) {
            TRAINYARD_SKIP("python3-pil is not installed");
        }
        Json document = spec::defaultRunSpecDocument();
        document["task"]["dataset"] = birds();
        const auto line = [&](int id, double flip) {
            spec::setValueAt(document, "task.augmentation.flip", flip);
            return base::dumpJson({{"id", id}, {"spec", document}, {"count", 2}}) + "\n";
        };
        Answer answer = ask("serve", {{"previews", true}},
                            line(1, 0) + line(2, 1) + "{\"id\": 3}\n" + line(4, 9) + "\n" + line(5, 0));
        QCOMPARE(answer.exitCode, 0);
        std::erase_if(answer.lines, [](const Json& said) { return said.contains("text"); });
        QCOMPARE(answer.lines.size(), std::size_t{7});
        QCOMPARE(answer.lines[0]["stage"], Json("ready"));
        QCOMPARE(answer.lines[1]["id"], Json(1));
        QCOMPARE(answer.lines[1]["stage"], Json("samples"));
        QCOMPARE(answer.lines[1]["samples"][1]["change"]["flip"], Json(false));
        QCOMPARE(answer.lines[2]["samples"][1]["change"]["flip"], Json(true));
        QCOMPARE(answer.lines[3]["error"]["code"], Json("json.missing"));
        QCOMPARE(answer.lines[4]["error"]["code"], Json("spec.range"));
        QCOMPARE(answer.lines[5]["samples"], answer.lines[1]["samples"]);
        QCOMPARE(answer.lines[6]["served"], Json(3));
    }

    void evaluate_agreesWithTheTraining() {
        if (!m_made) {
            TRAINYARD_SKIP("python3-pil is not installed");
        }
        const Answer answer = ask("evaluate", {{"model", model("birds")}, {"dataset", birds()}, {"batch_size", 4}});
        QVERIFY2(answer.exitCode == 0, base::dumpJson(answer.last()).c_str());
        const Json result = answer.last();
        const Json last = card("birds")["metrics"]["last"];
        QCOMPARE(result["samples"], Json(15));
        QVERIFY(std::abs(result["accuracy"].get<double>() - last["val/accuracy"].get<double>()) < 1e-9);
        QVERIFY(std::abs(result["loss"].get<double>() - last["val/loss"].get<double>()) < 1e-4);
        QVERIFY(result["top5"].is_null());
        std::int64_t total = 0;
        for (const Json& row : result["confusion"]) {
            for (const Json& count : row) {
                total += count.get<std::int64_t>();
            }
        }
        QCOMPARE(total, std::int64_t{15});
        QCOMPARE(result["classes"][1]["name"], Json("turkey"));
        const auto wrong = static_cast<std::size_t>(std::llround(15 * (1 - result["accuracy"].get<double>())));
        QCOMPARE(result["mistakes"].size(), wrong);
        for (const Json& mistake : result["mistakes"]) {
            QVERIFY(std::filesystem::exists(mistake["file"].get<std::string>()));
            QVERIFY(mistake["file"].get<std::string>().find("/" + mistake["name"].get<std::string>() + "/") !=
                    std::string::npos);
            QVERIFY(mistake["true_probability"].get<double>() <= mistake["probability"].get<double>());
        }
        const Answer all =
            ask("evaluate", {{"model", model("birds")}, {"dataset", birds()}, {"split", "all"}, {"mistakes", 2}});
        QCOMPARE(all.last()["samples"], Json(72));
        QVERIFY(all.last()["mistakes"].size() <= 2);
    }

    void evaluate_badFilesAreNamed() {
        if (!m_made) {
            TRAINYARD_SKIP("python3-pil is not installed");
        }
        std::filesystem::copy(picture("birds"), picture("worn"), std::filesystem::copy_options::recursive);
        const std::string whole = m_bench.scratch().read("pictures/birds/hen/002.jpg");
        (void) m_bench.scratch().write("pictures/worn/hen/cut.jpg", whole.substr(0, whole.size() - 60));
        (void) m_bench.scratch().write("pictures/worn/hen/text.png", "no picture");
        const Json result =
            ask("evaluate", {{"model", model("birds")}, {"dataset", birds("worn")}, {"split", "all"}}).last();
        QCOMPARE(result["samples"], Json(72));
        QCOMPARE(result["bad_count"], Json(2));
        QVERIFY(base::dumpJson(result["bad"]).find("text.png") != std::string::npos);
        std::filesystem::create_directories(picture("worn/eagle"));
        (void) m_bench.scratch().write("pictures/worn/eagle/a.jpg", whole);
        const Json unknown =
            ask("evaluate", {{"model", model("birds")}, {"dataset", birds("worn")}, {"split", "all"}}).last();
        QCOMPARE(unknown["code"], Json("evaluate.classes"));
        QVERIFY(unknown["message"].get<std::string>().find("eagle") != std::string::npos);
        QCOMPARE(ask("evaluate", {{"model", model("birds")}, {"dataset", birds("nowhere")}}).last()["field"],
                 Json("dataset.folder"));
        QCOMPARE(ask("evaluate", {{"model", model("birds")}, {"dataset", birds()}, {"split", "best"}}).last()["code"],
                 Json("evaluate.split"));
    }

    void evaluate_idxFiles() {
        const Json dataset = m_bench.spec()["task"]["dataset"];
        const Answer answer = ask("evaluate", {{"model", model("bars")}, {"dataset", dataset}, {"mistakes", 3}});
        QVERIFY2(answer.exitCode == 0, base::dumpJson(answer.last()).c_str());
        const Json result = answer.last();
        QCOMPARE(result["samples"], Json(301));
        QVERIFY(std::abs(result["accuracy"].get<double>() -
                         card("bars")["metrics"]["last"]["val/accuracy"].get<double>()) < 1e-9);
        QVERIFY(result["top5"].get<double>() >= result["accuracy"].get<double>());
        QCOMPARE(result["mistakes"].size(), std::size_t{3});
        const Json worst = result["mistakes"][0];
        QCOMPARE(worst["pixels"]["width"], Json(20));
        const std::string images = m_bench.scratch().read("val-images");
        const auto index = worst["index"].get<std::size_t>();
        QCOMPARE(worst["pixels"]["data"],
                 Json(QByteArray(images.data() + 16 + index * 400, 400).toBase64().toStdString()));
        QCOMPARE(ask("evaluate", {{"model", model("bars")}, {"dataset", dataset}, {"split", "all"}}).last()["samples"],
                 Json(301 + 2005));
        if (m_made) {
            QCOMPARE(ask("evaluate", {{"model", model("birds")}, {"dataset", dataset}}).last()["code"],
                     Json("evaluate.shape"));
        }
    }

    void weights_compareWithAFamily() {
        const std::string file = (m_bench.folder("bars") / "outputs/model.safetensors").string();
        const Json spec = m_bench.spec();
        const Json request{{"source", file},
                           {"family", "cnn"},
                           {"options", spec["task"]["model"]["options"]},
                           {"input_shape", {1, 20, 20}},
                           {"classes", 10}};
        const Json same = ask("weights", request).last();
        QCOMPARE(same["reinitialised"]["count"], Json(0));
        QVERIFY(same["matched"]["count"].get<int>() > 4);
        Json fewer = request;
        fewer["classes"] = 4;
        const Json head = ask("weights", fewer).last();
        QCOMPARE(head["reinitialised"]["count"], Json(2));
        fewer["family"] = "resnet18";
        fewer["input_shape"] = {3, 64, 64};
        QCOMPARE(ask("weights", fewer).last()["code"], Json("weights.other"));
        fewer["family"] = "none";
        QCOMPARE(ask("weights", fewer).last()["code"], Json("model.family"));
    }
};

QTEST_GUILESS_MAIN(TestServe)
#include "tst_Serve.moc"
