// Whole trainings on folders of pictures, from random and from given weights, by the real program.
#include <ATen/ATen.h>

#include <QtTest>

#include <sched.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "core/engine/train/Optimizer.h"
#include "core/engine/train/Schedule.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Png.h"
#include "tests/helpers/Signal.h"
#include "tests/helpers/Skip.h"
#include "tests/helpers/Wait.h"
#include "tests/unit/engine/Bench.h"

using namespace trainyard;
using namespace trainyard::engine;
using base::Json;
using test::Bench;

namespace {

/// Three classes of coloured noise, JPEG and PNG mixed, sizes mixed.
constexpr const char* kMakeBirds = R"(
import sys, os
from PIL import Image
root, count = sys.argv[1], int(sys.argv[2])
for k, name in enumerate(["hen", "turkey", "wren"]):
    os.makedirs(root + "/" + name)
    for i in range(count):
        side = (40 + i % 9, 38 + i % 7)
        parts = [Image.effect_noise(side, 50).point(lambda v, c=c: max(0, min(255, v - 128 + (170 if c == k else 70)))) for c in range(3)]
        Image.merge("RGB", parts).save(root + "/%s/%03d.%s" % (name, i, "png" if i % 2 else "jpg"), quality=92)
)";

}  // namespace

class TestImageTraining : public QObject {
    Q_OBJECT

    Bench m_bench;
    test::ChildGuard m_guard;
    bool m_made = false;

    [[nodiscard]] base::Path birds() const { return m_bench.scratch() / "birds"; }

    [[nodiscard]] Json spec() const {
        Json document = spec::defaultRunSpecDocument();
        const auto set = [&](const char* path, Json value) { spec::setValueAt(document, path, std::move(value)); };
        set("task.dataset.kind", "images");
        set("task.dataset.name", "Birds");
        set("task.dataset.folder", birds().string());
        set("task.dataset.image_size", 24);
        set("task.dataset.resize_size", 28);
        set("task.model.options.width", 6);
        set("task.batch_size", 16);
        set("task.epochs", 4);
        set("task.threads", 1);
        set("task.optimizer.learning_rate", 0.05);
        return document;
    }
    /// With every change of the pictures that there is.
    [[nodiscard]] static Json changed(Json document) {
        const std::pair<const char*, double> changes[] = {
            {"vertical_flip", 0.3}, {"rotation", 15}, {"brightness", 0.4}, {"contrast", 0.4},      {"saturation", 0.4},
            {"hue", 0.2},           {"erase", 0.5},   {"flip", 0.5},       {"crop_scale_min", 0.3}};
        for (const auto& [name, value] : changes) {
            spec::setValueAt(document, std::string("task.augmentation.") + name, value);
        }
        spec::setValueAt(document, "task.label_smoothing", 0.1);
        return document;
    }
    void compareLast(const std::string& run, const std::string& expected) const {
        const auto whole = m_bench.last(expected);
        const auto other = m_bench.last(run);
        QVERIFY(whole.ok() && other.ok());
        QCOMPARE(other->tensors.size(), whole->tensors.size());
        for (const auto& [name, tensor] : whole->tensors) {
            QVERIFY2(at::equal(*other->find(name), tensor), name.c_str());
        }
        QCOMPARE(*other->meta("checkpoint"), *whole->meta("checkpoint"));
    }
    [[nodiscard]] Json card(const std::string& run) const {
        return *base::parseJson(m_bench.scratch().read(run + "/outputs/model.json"));
    }
    [[nodiscard]] Json params(const std::string& run) const {
        for (const Json& line : m_bench.stream(run)) {
            if (line["kind"] == "params") {
                return line["values"];
            }
        }
        return {};
    }
    [[nodiscard]] SafeTensors weights(const std::string& run) const {
        return readSafeTensors(m_bench.folder(run) / "outputs/model.safetensors").valueOr({});
    }

private Q_SLOTS:
    void initTestCase() {
        test::ProgramOptions options;
        options.timeoutMillis = 60'000;
        const auto made = test::runProgram("/usr/bin/python3", {"-c", kMakeBirds, birds().string(), "30"}, options);
        m_made = made.exitCode == 0;
        if (!m_made && made.err.find("No module named") == std::string::npos) {
            QFAIL(made.err.c_str());
        }
    }
    void init() {
        if (!m_made) {
            TRAINYARD_SKIP("python3-pil is not installed");
        }
    }
    void cleanup() { QVERIFY2(m_guard.noneLeft(), m_guard.report().c_str()); }

    void train_learnsAndRepeats() {
        QCOMPARE(m_bench.run("a", spec()), 0);
        const Json first = card("a");
        QVERIFY2(first["metrics"]["last"]["val/accuracy"].get<double>() > 0.9, base::dumpJson(first).c_str());
        QCOMPARE(first["class_names"], Json({"hen", "turkey", "wren"}));
        QCOMPARE(first["input_shape"], Json({3, 24, 24}));
        QCOMPARE(first["normalization"]["channels"].size(), std::size_t{3});
        QCOMPARE(first["dataset"]["train_samples"], Json(72));
        QCOMPARE(first["dataset"]["val_samples"], Json(18));
        const auto samples = readSafeTensors(m_bench.folder("a") / "outputs/samples.safetensors");
        QVERIFY(samples.ok());
        QCOMPARE(samples->find("images")->sizes().vec(), (std::vector<std::int64_t>{18, 3, 24, 24}));
        // The same seed gives the same run to the last bit, whichever thread decoded what; so does decoding anew each
        // time.
        Json again = spec();
        spec::setValueAt(again, "task.dataset.cache_mib", 0);
        QCOMPARE(m_bench.run("b", again), 0);
        QCOMPARE(m_bench.points("b"), m_bench.points("a"));
    }

    void evaluated_onAnotherDataSet() {
        // Two of its three classes, so that their numbers in the folder are not the model's.
        std::filesystem::create_directories(m_bench.scratch() / "other-birds");
        for (const char* kind : {"turkey", "wren"}) {
            std::filesystem::copy(birds() / kind, m_bench.scratch() / "other-birds" / kind,
                                  std::filesystem::copy_options::recursive);
        }
        const base::Path request = m_bench.scratch().write(
            "evaluate.json",
            base::dumpJson({{"model", (m_bench.folder("a") / "outputs/model.pt").string()},
                            {"dataset", {{"kind", "images"}, {"folder", (m_bench.scratch() / "other-birds").string()}}},
                            {"split", "all"}}));
        const auto ran =
            test::runProgram(test::builtProgram("trainyard-engine"), {"evaluate", "--request", request.string()});
        QVERIFY2(ran.exitCode == 0, ran.out.c_str());
        const std::string said = ran.out.substr(0, ran.out.find_last_not_of('\n') + 1);
        const Json result = *base::parseJson(said.substr(said.rfind('\n') + 1));  // Progress stands before it.
        QCOMPARE(result["samples"], Json(60));
        QVERIFY2(result["accuracy"].get<double>() > 0.85, said.c_str());
        const std::int64_t expected[] = {0, 30, 30};
        for (std::size_t label = 0; label < 3; ++label) {
            std::int64_t samples = 0;
            for (const Json& count : result["confusion"][label]) {
                samples += count.get<std::int64_t>();
            }
            QCOMPARE(samples, expected[label]);
        }
    }

    void loaderThreads_changeNothing() {
        // As many threads as there are cores, and one: the first of those that this process may use.
        cpu_set_t cores;
        QCOMPARE(sched_getaffinity(0, sizeof cores, &cores), 0);
        int core = 0;
        while (!CPU_ISSET(core, &cores)) {
            ++core;
        }
        Json document = changed(spec());
        spec::setValueAt(document, "task.dataset.cache_mib", 0);
        QCOMPARE(m_bench.run("threads", document), 0);
        const auto alone =
            m_bench.start("thread", document, 1, "taskset -pc " + std::to_string(core) + " $$ > /dev/null");
        QCOMPARE(Bench::finish(*alone.front()), 0);
        QVERIFY(m_bench.points("thread").size() > 20);
        QCOMPARE(m_bench.points("thread"), m_bench.points("threads"));
        compareLast("thread", "threads");
        // Another seed draws other changes.
        spec::setValueAt(document, "task.seed", 2);
        QCOMPARE(m_bench.run("seed", document), 0);
        QVERIFY(m_bench.points("seed") != m_bench.points("threads"));
    }

    void ranks_trainTheSameModel() {
        Json document = spec();
        spec::setValueAt(document, "distribution.kind", "pytorch");
        spec::setValueAt(document, "distribution.processes", 2);
        spec::setValueAt(document, "task.epochs", 2);
        QCOMPARE(m_bench.run("two", document, 2), 0);
        QVERIFY(card("two")["metrics"]["last"]["val/accuracy"].get<double>() > 0.5);
    }

    void resume_equalsTheUninterruptedRun_data() {
        QTest::addColumn<int>("world");
        QTest::addColumn<int>("batch");
        QTest::newRow("one process") << 1 << 16;
        QTest::newRow("two processes") << 2 << 4;
    }
    void resume_equalsTheUninterruptedRun() {
        QFETCH(int, world);
        QFETCH(int, batch);
        // Frozen at first, so that the cut lies after the optimizer was made anew.
        QVERIFY(std::filesystem::exists(m_bench.folder("a") / "outputs/model.safetensors"));
        const std::string ranked = std::to_string(world);
        const int stepsPerEpoch = 72 / batch + (72 % batch > 0 ? 1 : 0);
        Json document = changed(spec());
        spec::setValueAt(document, "task.batch_size", batch);
        spec::setValueAt(document, "task.log_every_steps", 3);
        if (world > 1) {
            spec::setValueAt(document, "distribution.kind", "pytorch");
            spec::setValueAt(document, "distribution.processes", world);
        }
        spec::setValueAt(document, "task.epochs", 300 / stepsPerEpoch);
        spec::setValueAt(document, "task.model.weights.source",
                         (m_bench.folder("a") / "outputs/model.safetensors").string());
        spec::setValueAt(document, "task.model.weights.freeze", true);
        spec::setValueAt(document, "task.model.weights.unfreeze_epoch", 2);
        QCOMPARE(m_bench.run("whole" + ranked, document, world), 0);
        // Until it is cut in the middle of an epoch: between two there is less to go on with.
        std::string cut;
        for (int round = 0; round < 8 && cut.empty(); ++round) {
            const std::string name = "cut" + ranked + std::to_string(round);
            const auto ranks = m_bench.start(name, document, world);
            QVERIFY(test::waitFor([&] { return m_bench.lastStep(name) >= 2 * stepsPerEpoch + 1; }, 60'000));
            for (const auto& rank : ranks) {
                test::sendSignal(*rank, SIGTERM);
            }
            for (const auto& rank : ranks) {
                QCOMPARE(Bench::finish(*rank), 143);
            }
            const auto last = m_bench.last(name);
            QVERIFY(last.ok());
            cut = (*base::parseJson(*last->meta("checkpoint")))["step_in_epoch"] == 0 ? std::string() : name;
        }
        QVERIFY(!cut.empty());
        document["resolved"] = {
            {"resume_checkpoint", (m_bench.folder(cut) / "outputs/checkpoints/last.ckpt").string()}};
        QCOMPARE(m_bench.run("rest" + ranked, document, world), 0);
        compareLast("rest" + ranked, "whole" + ranked);
        std::vector<std::string> joined = m_bench.points(cut);
        const auto after = m_bench.points("rest" + ranked);
        joined.insert(joined.end(), after.begin(), after.end());
        QCOMPARE(joined, m_bench.points("whole" + ranked));
    }

    void frozen_trainsTheHeadAlone() {
        Json document = spec();
        spec::setValueAt(document, "task.epochs", 1);
        spec::setValueAt(document, "task.model.weights.source", (m_bench.folder("a") / "outputs/model.pt").string());
        spec::setValueAt(document, "task.model.weights.freeze", true);
        QCOMPARE(m_bench.run("frozen", document), 0);
        QCOMPARE(params("frozen")["weights"], Json("torchscript"));
        const SafeTensors before = weights("a");
        const SafeTensors after = weights("frozen");
        QVERIFY(!before.tensors.empty());
        for (const auto& [name, tensor] : before.tensors) {
            if (name.find("running") != std::string::npos || name.find("batches") != std::string::npos) {
                continue;
            }
            QCOMPARE(at::equal(*after.find(name), tensor), !name.starts_with("classifier"));
        }
    }

    void frozen_untilItsEpochBegins() {
        Json document = spec();
        spec::setValueAt(document, "task.model.weights.source",
                         (m_bench.folder("a") / "outputs/model.safetensors").string());
        spec::setValueAt(document, "task.model.weights.freeze", true);
        spec::setValueAt(document, "task.model.weights.unfreeze_epoch", 2);
        for (const int epochs : {2, 3}) {
            const std::string run = "thaw" + std::to_string(epochs);
            spec::setValueAt(document, "task.epochs", epochs);
            QCOMPARE(m_bench.run(run, document), 0);
            const SafeTensors before = weights("a");
            const SafeTensors after = weights(run);
            QVERIFY(!before.tensors.empty());
            QCOMPARE(at::equal(*after.find("features.0.weight"), *before.find("features.0.weight")), epochs == 2);
        }
    }

    void slowBackbone_movesLess() {
        Json document = spec();
        spec::setValueAt(document, "task.epochs", 1);
        spec::setValueAt(document, "task.model.weights.source",
                         (m_bench.folder("a") / "outputs/model.safetensors").string());
        const auto moved = [&](double rate) {
            spec::setValueAt(document, "task.model.weights.backbone_rate", rate);
            const std::string name = "rate" + std::to_string(rate);
            if (m_bench.run(name, document) != 0) {
                return -1.0;
            }
            return (*weights(name).find("features.0.weight") - *weights("a").find("features.0.weight"))
                .norm()
                .item<double>();
        };
        const double full = moved(1.0);
        const double slow = moved(0.01);
        QVERIFY2(full > 0 && slow >= 0 && slow < full / 5, (std::to_string(full) + " " + std::to_string(slow)).c_str());
    }

    void badWeights_endTheRunClearly() {
        Json document = spec();
        spec::setValueAt(document, "task.model.weights.source", (birds() / "hen/000.jpg").string());
        QCOMPARE(m_bench.run("bad", document), 1);
        QVERIFY(m_bench.warned("bad", "weights.kind"));
        spec::setValueAt(document, "task.model.family", "resnet18");
        spec::setValueAt(document, "task.model.weights.source",
                         (m_bench.folder("a") / "outputs/model.safetensors").string());
        QCOMPARE(m_bench.run("other", document), 1);
        QVERIFY(m_bench.warned("other", "weights.other"));
    }

    void badPictures_areNamedAndLeftOut() {
        const base::Path copy = m_bench.scratch() / "spoiled-birds";
        std::filesystem::copy(birds(), copy, std::filesystem::copy_options::recursive);
        QVERIFY(base::writeFileAtomically(copy / "hen/zz.jpg", "no picture").ok());
        // Its header alone; and one of which the header is sound, and half of the rest is missing.
        QVERIFY(base::writeFileAtomically(copy / "hen/huge.png", test::pngHeader(60'000, 60'000) +
                                                                     test::pngChunk("IDAT", "x") +
                                                                     test::pngChunk("IEND", {}))
                    .ok());
        std::filesystem::resize_file(copy / "wren/002.jpg", std::filesystem::file_size(copy / "wren/002.jpg") / 2);
        Json document = spec();
        spec::setValueAt(document, "task.epochs", 1);
        spec::setValueAt(document, "task.dataset.folder", copy.string());
        QCOMPARE(m_bench.run("spoiled", document), 0);
        QVERIFY(m_bench.warned("spoiled", "data.bad", "hen/zz.jpg"));
        QVERIFY(m_bench.warned("spoiled", "data.bad", "hen/huge.png"));
        QVERIFY(m_bench.warned("spoiled", "data.bad", "wren/002.jpg"));
        QCOMPARE(params("spoiled")["unreadable"], Json(2));  // The third is met when it is decoded.
        spec::setValueAt(document, "task.dataset.max_bad_fraction", 0.001);
        QCOMPARE(m_bench.run("strict", document), 1);
        QVERIFY(m_bench.warned("strict", "data.bad", "more than allowed"));
    }

    void picturesThatGoInMidRun() {
        const auto started = [&](const char* name, const base::Path& folder) {
            std::filesystem::copy(birds(), folder, std::filesystem::copy_options::recursive);
            Json document = spec();
            spec::setValueAt(document, "task.dataset.folder", folder.string());
            spec::setValueAt(document, "task.dataset.cache_mib", 0);
            spec::setValueAt(document, "task.epochs", 2000);
            auto ranks = m_bench.start(name, document);
            (void) test::waitFor([&] { return m_bench.lastStep(name) >= 10; }, 60'000);
            return ranks;
        };
        // The folder goes.
        const base::Path moved = m_bench.scratch() / "moved-birds";
        const auto gone = started("gone", moved);
        std::filesystem::rename(moved, m_bench.scratch() / "elsewhere");
        QCOMPARE(Bench::finish(*gone.front()), 1);
        QVERIFY(m_bench.warned("gone", "data.gone", "moved-birds"));
        // Single pictures: named and stood in for, up to the limit, which is 4.
        const base::Path thinned = m_bench.scratch() / "thinned-birds";
        const auto fewer = started("fewer", thinned);
        std::filesystem::remove(thinned / "wren/003.png");
        QVERIFY(test::waitFor([&] { return m_bench.warned("fewer", "data.bad", "003.png"); }, 30'000));
        QVERIFY(fewer.front()->state() == QProcess::Running);
        for (const char* kind : {"hen", "wren"}) {
            for (const char* file : {"005.png", "007.png", "009.png", "011.png", "013.png", "015.png"}) {
                std::filesystem::remove(thinned / kind / file);
            }
        }
        QCOMPARE(Bench::finish(*fewer.front()), 1);
        QVERIFY(m_bench.warned("fewer", "data.bad", "more than allowed"));
    }

    void picturesThatAreCutShortInMidRun() {
        const base::Path folder = m_bench.scratch() / "cut-birds";
        std::filesystem::copy(birds(), folder, std::filesystem::copy_options::recursive);
        Json document = spec();
        spec::setValueAt(document, "task.dataset.folder", folder.string());
        spec::setValueAt(document, "task.dataset.cache_mib", 0);
        spec::setValueAt(document, "task.dataset.max_bad_fraction", 1.0);
        spec::setValueAt(document, "task.epochs", 100'000);
        const auto ranks = m_bench.start("cut", document);
        QVERIFY(test::waitFor([&] { return m_bench.lastStep("cut") >= 10; }, 60'000));
        // While it reads them, again and again, to nothing and to a half; the rest of the pictures stand in.
        for (int round = 0; round < 200; ++round) {
            for (const char* file : {"hen/000.jpg", "turkey/002.jpg", "wren/001.png", "wren/004.jpg"}) {
                const auto whole = std::filesystem::file_size(birds() / file);
                std::filesystem::resize_file(folder / file, round % 2 == 0 ? 0 : whole / 2);
            }
        }
        for (const char* file : {"000.jpg", "002.jpg", "001.png", "004.jpg"}) {
            QVERIFY2(test::waitFor([&] { return m_bench.warned("cut", "data.bad", file); }, 30'000), file);
        }
        const std::int64_t step = m_bench.lastStep("cut");
        QVERIFY(test::waitFor([&] { return m_bench.lastStep("cut") > step; }, 30'000));
        QCOMPARE(ranks.front()->state(), QProcess::Running);
        ranks.front()->terminate();
        QCOMPARE(Bench::finish(*ranks.front()), 143);
    }

    void badPictures_countOverAllRanks() {
        // Six bad of 90 with 5 allowed: no rank sees more than it may by itself in the first epoch, the run does.
        const base::Path folder = m_bench.scratch() / "shared-birds";
        std::filesystem::copy(birds(), folder, std::filesystem::copy_options::recursive);
        Json document = spec();
        spec::setValueAt(document, "task.dataset.folder", folder.string());
        spec::setValueAt(document, "task.dataset.cache_mib", 0);
        spec::setValueAt(document, "task.dataset.max_bad_fraction", 0.06);
        spec::setValueAt(document, "task.epochs", 100'000);
        spec::setValueAt(document, "task.log_every_steps", 1);
        spec::setValueAt(document, "distribution.kind", "pytorch");
        spec::setValueAt(document, "distribution.processes", 2);
        auto ranks = m_bench.start("shared", document, 2);
        QVERIFY(test::waitFor([&] { return m_bench.lastStep("shared") >= 10; }, 60'000));
        // One that both ranks meet in the course of time counts once: the run goes on.
        const auto spoil = [&](const char* file) { std::filesystem::resize_file(folder / file, 9); };
        for (const char* file : {"hen/000.jpg", "hen/002.jpg", "turkey/004.jpg", "wren/006.jpg"}) {
            spoil(file);
        }
        const auto named = [&](const char* file) {
            return m_bench.warned("shared", "data.bad", file, 0) || m_bench.warned("shared", "data.bad", file, 1);
        };
        QVERIFY(test::waitFor(
            [&] { return named("hen/000") && named("hen/002") && named("turkey/004") && named("wren/006"); }, 60'000));
        const std::int64_t step = m_bench.lastStep("shared");
        QVERIFY(test::waitFor([&] { return m_bench.lastStep("shared") > step + 20; }, 60'000));
        for (const char* file : {"hen/008.jpg", "turkey/010.jpg"}) {
            spoil(file);
        }
        for (const auto& rank : ranks) {
            QVERIFY(Bench::finish(*rank) > 0);
        }
        QVERIFY(m_bench.warned("shared", "data.bad", "more than allowed", 0) ||
                m_bench.warned("shared", "data.bad", "more than allowed", 1));
    }

    void patience_endsTheTrainingEarly() {
        Json document = spec();
        spec::setValueAt(document, "task.epochs", 40);
        spec::setValueAt(document, "task.optimizer.learning_rate", 1e-9);  // Nothing gets better.
        spec::setValueAt(document, "task.patience", 2);
        spec::setValueAt(document, "task.schedule.kind", "constant");
        spec::setValueAt(document, "task.model.options.batch_norm", false);
        QCOMPARE(m_bench.run("early", document), 0);
        const auto losses = m_bench.values("early", "val/loss");
        QCOMPARE(card("early")["training"]["epochs"], Json(losses.size()));
        QVERIFY(losses.size() < 40);
        // Two in a row without a lower one, at the end and nowhere before.
        std::size_t lowest = 0;
        for (std::size_t i = 1; i < losses.size(); ++i) {
            lowest = losses[i] < losses[lowest] ? i : lowest;
            QCOMPARE(i - lowest == 2, i + 1 == losses.size());
        }
        // The best checkpoint is the most accurate epoch's, the last one the last's.
        const auto accuracies = m_bench.values("early", "val/accuracy");
        const auto epochOf = [&](const char* file) {
            const auto kept = readSafeTensors(m_bench.folder("early") / "outputs/checkpoints" / file);
            return kept.ok() ? (*base::parseJson(*kept->meta("checkpoint")))["epoch"].get<std::ptrdiff_t>() : -1;
        };
        QCOMPARE(epochOf("best.ckpt"), std::ranges::max_element(accuracies) - accuracies.begin() + 1);
        QCOMPARE(epochOf("last.ckpt"), static_cast<std::ptrdiff_t>(losses.size()));
    }

    void clipped_isPyTorchs() {
        test::ProgramOptions options;
        options.timeoutMillis = 60'000;
        const auto python = test::runProgram("/usr/bin/python3", {"-c", R"(
import torch
a = torch.sin(torch.arange(1, 51).float()); b = torch.cos(torch.arange(1, 31).float())
p = [torch.nn.Parameter(torch.zeros(50)), torch.nn.Parameter(torch.zeros(30))]
p[0].grad, p[1].grad = a, b
torch.nn.utils.clip_grad_norm_(p, 2.5)
print(*['%.9g' % v for v in torch.cat([p[0].grad, p[1].grad]).tolist()])
)"},
                                             options);
        if (python.exitCode != 0) {
            TRAINYARD_SKIP("no Python with torch on this machine");
        }
        const at::Tensor a = at::zeros({50});
        const at::Tensor b = at::zeros({30});
        a.mutable_grad() = at::sin(at::arange(1, 51, at::kFloat));
        b.mutable_grad() = at::cos(at::arange(1, 31, at::kFloat));
        Optimizer optimizer(spec::OptimizerSpec{}, {a, b}, {"a", "b"});
        optimizer.clipGradients(2.5);
        const at::Tensor joined = at::cat({a.grad(), b.grad()});
        std::istringstream numbers(python.out);
        for (std::int64_t i = 0; i < 80; ++i) {
            double expected = 0;
            QVERIFY(static_cast<bool>(numbers >> expected));
            QVERIFY(std::abs(joined[i].item<double>() - expected) < 1e-6);
        }
    }

    void schedules_warmUpAndStep() {
        spec::ScheduleSpec schedule;
        schedule.kind = "multi_step";
        schedule.milestones = {3, 5};
        schedule.gamma = 0.1;
        const auto at = [&](std::int64_t epoch) { return learningRateAt(schedule, 1.0, epoch * 10, 80, 10); };
        QCOMPARE(at(2), 1.0);
        QCOMPARE(at(3), 0.1);
        QVERIFY(std::abs(at(5) - 0.01) < 1e-12);
        schedule.kind = "cosine";
        schedule.warmupEpochs = 2;
        QVERIFY(learningRateAt(schedule, 1.0, 0, 80, 10) < 0.1);
        QVERIFY(learningRateAt(schedule, 1.0, 19, 80, 10) > 0.9);
        QCOMPARE(learningRateAt(schedule, 1.0, 20, 80, 10), 1.0);
        QVERIFY(learningRateAt(schedule, 1.0, 79, 80, 10) < 0.01);
    }
};

QTEST_GUILESS_MAIN(TestImageTraining)
#include "tst_ImageTraining.moc"
