// Figures by class, parts of a batch, classes' weights, memory formats, going on with more epochs, and what goes wrong:
// by the real program.
#include <ATen/ATen.h>

#include <QtTest>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <set>
#include <thread>

#include "core/engine/data/Sampler.h"
#include "core/engine/model/Network.h"
#include "core/engine/train/ClassScores.h"
#include "core/engine/train/Mistakes.h"
#include "core/engine/train/RankTimes.h"
#include "core/spec/RunSpec.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Signal.h"
#include "tests/helpers/Skip.h"
#include "tests/helpers/Wait.h"
#include "tests/unit/engine/Bench.h"

using namespace trainyard;
using namespace trainyard::engine;
using base::Json;
using test::Bench;

namespace {

/// Largest difference of two runs' weights, relative to the largest weight of its tensor.
double difference(const Bench& bench, const std::string& left, const std::string& right) {
    const auto a = readSafeTensors(bench.folder(left) / "outputs/model.safetensors");
    const auto b = readSafeTensors(bench.folder(right) / "outputs/model.safetensors");
    if (!a.ok() || !b.ok() || a->tensors.size() != b->tensors.size()) {
        return 1e9;
    }
    double largest = 0;
    for (const auto& [name, tensor] : a->tensors) {
        const at::Tensor other = b->find(name)->to(at::kFloat);
        const double scale = std::max(1e-3, other.abs().max().item<double>());
        largest = std::max(largest, (tensor.to(at::kFloat) - other).abs().max().item<double>() / scale);
    }
    return largest;
}

}  // namespace

class TestTrainOptions : public QObject {
    Q_OBJECT

    Bench m_bench;
    test::ChildGuard m_guard;

    /// Few samples, no chance, one epoch.
    [[nodiscard]] Json brief() const {
        Json document = m_bench.spec();
        spec::setValueAt(document, "task.epochs", 1);
        spec::setValueAt(document, "task.augment", false);
        spec::setValueAt(document, "task.dataset.train_limit", 480);
        spec::setValueAt(document, "task.model.options.dropout", 0.0);
        return document;
    }
    static Json with(Json document, const char* path, Json value) {
        spec::setValueAt(document, path, std::move(value));
        return document;
    }

private Q_SLOTS:
    void initTestCase() { at::set_num_threads(1); }
    void cleanup() { QVERIFY2(m_guard.noneLeft(), m_guard.report().c_str()); }

    void classScores_count() {
        // Four samples of three classes; the third class is never seen and never named.
        const float inf = std::numeric_limits<float>::infinity();
        const at::Tensor logits =
            at::tensor({2.0F, 1.0F, 0.0F, 0.0F, 1.0F, 0.0F, 3.0F, 1.0F, 0.0F, 0.0F, 5.0F, -inf}).view({4, 3});
        const at::Tensor labels = at::tensor({std::int64_t{0}, std::int64_t{1}, std::int64_t{1}, std::int64_t{1}});
        ClassScores scores(3);
        scores.add(logits.slice(0, 0, 1), labels.slice(0, 0, 1));
        scores.add(logits.slice(0, 1), labels.slice(0, 1));
        QCOMPARE(scores.samples(), 4.0);
        QCOMPARE(scores.top5(), 1.0);
        const Json rows = scores.table({"a", "b"})["rows"];
        QCOMPARE(rows[0], Json({"a", 1, 0.5, 1.0, 2.0 / 3}));
        QCOMPARE(rows[1], Json({"b", 3, 1.0, 2.0 / 3, 0.8}));
        QCOMPARE(rows[2], Json({"2", 0, nullptr, nullptr, nullptr}));
        QVERIFY(std::abs(scores.macroF1() - (2.0 / 3 + 0.8) / 2) < 1e-12);
        const Json matrix = scores.matrix({"a", "b"});
        QCOMPARE(matrix["rows"], Json({{1, 0, 0}, {1, 2, 0}, {0, 0, 0}}));
        QCOMPARE(matrix["columns"], Json({"a", "b", "2"}));
        // Among five of seven: behind four, behind five of which one is equal and stands before, and a NaN, behind all.
        ClassScores seven(7);
        const float nan = std::numeric_limits<float>::quiet_NaN();
        seven.add(at::tensor({9.0F, 8.0F, 7.0F, 6.0F, 5.0F, 0.0F, 0.0F}).view({1, 7}), at::tensor({std::int64_t{4}}));
        QCOMPARE(seven.top5(), 1.0);
        seven.add(at::tensor({9.0F, 8.0F, 7.0F, 6.0F, 5.0F, 5.0F, 0.0F}).view({1, 7}), at::tensor({std::int64_t{5}}));
        seven.add(at::tensor({9.0F, 8.0F, 7.0F, 6.0F, nan, 5.0F, 0.0F}).view({1, 7}), at::tensor({std::int64_t{4}}));
        QCOMPARE(seven.top5(), 1.0 / 3);
        ClassScores many(ClassScores::kMostMatrix + 1);
        QVERIFY(!many.hasMatrix());
        many.add(at::zeros({2, ClassScores::kMostMatrix + 1}), at::zeros({2}, at::kLong));
        QCOMPARE(many.samples(), 2.0);
    }

    void mistakes_surestFirst() {
        Mistakes one;
        Mistakes other;
        const at::Tensor logits = at::zeros({400, 3});
        for (std::int64_t i = 0; i < 400; ++i) {
            logits[i][1] = static_cast<double>(i) / 100;
        }
        one.add(logits, at::zeros({400}, at::kLong), 1000);
        other.add(logits.slice(0, 0, 10) + 0.0, at::ones({10}, at::kLong),
                  5000);  // Right, but for the one without an answer.
        const auto merged = Mistakes::merged({one.packed(), other.packed()});
        QCOMPARE(merged.front().sample, std::int64_t{1399});
        QCOMPARE(merged.front().predicted, std::int64_t{1});
        QVERIFY(merged[0].probability > merged[1].probability);
        QCOMPARE(merged.size(), Mistakes::kMost + 1);
        QCOMPARE(merged.back().sample, std::int64_t{5000});
    }

    void sampler_drawsByClass() {
        std::vector<std::vector<std::int64_t>> members(3);
        for (std::int64_t i = 0; i < 1000; ++i) {
            members[i < 40 ? 0U : 1U].push_back(i);  // The third has none.
        }
        const auto epoch = [&](std::int64_t number, int rank, int world, std::vector<double> weights) {
            Sampler sampler(1000, 96, 5, rank, world);
            sampler.drawByClass(members, weights);
            sampler.startEpoch(number);
            std::vector<std::int64_t> all;
            for (std::int64_t step = 0; step < sampler.stepsPerEpoch(); ++step) {
                const auto shard = sampler.shard(step);
                all.insert(all.end(), shard.indices, shard.indices + shard.count);
            }
            return all;
        };
        const auto all = epoch(3, 0, 1, {1, 1, 1});
        QCOMPARE(all.size(), std::size_t{1000});
        QCOMPARE(epoch(3, 0, 1, {1, 1, 1}), all);
        QVERIFY(epoch(4, 0, 1, {1, 1, 1}) != all);
        std::vector<int> times(1000, 0);
        for (const std::int64_t sample : all) {
            ++times[static_cast<std::size_t>(sample)];
        }
        const auto rare = std::count_if(all.begin(), all.end(), [](std::int64_t sample) { return sample < 40; });
        QVERIFY2(rare > 430 && rare < 570, std::to_string(rare).c_str());
        const auto [least, most] = std::minmax_element(times.begin(), times.begin() + 40);
        QVERIFY(*most - *least <= 1);  // A class goes through all of its samples before any comes again.
        QVERIFY(*std::max_element(times.begin() + 40, times.end()) == 1);
        const auto none = epoch(3, 0, 1, {0, 1, 1});
        QVERIFY(std::none_of(none.begin(), none.end(), [](std::int64_t sample) { return sample < 40; }));
        // Each step's samples over three ranks are those of one process.
        std::multiset<std::int64_t> joint;
        for (int rank = 0; rank < 3; ++rank) {
            const auto part = epoch(3, rank, 3, {1, 1, 1});
            joint.insert(part.begin(), part.end());
        }
        QVERIFY(joint == std::multiset<std::int64_t>(all.begin(), all.end()));
    }

    void slowRanks_areNamedOnce() {
        SlowRanks watch;
        const std::vector<StepTimes> even{{0.5, 0.1, 0.1}, {0.5, 0.1, 0.15}, {0.5, 0.1, 0.05}};
        const std::vector<StepTimes> slow{{0.5, 0.0, 0.3}, {0.5, 0.3, 0.0}, {0.5, 0.0, 0.3}};
        QVERIFY(watch.look(slow).empty());
        QVERIFY(watch.look(slow).empty());
        QVERIFY(watch.look(even).empty());  // A hiccup that passes is none.
        QVERIFY(watch.look(slow).empty());
        QVERIFY(watch.look(slow).empty());
        const std::string said = watch.look(slow);
        QVERIFY2(said.starts_with("Rank 1 is slow") && said.find("500 ms") != std::string::npos &&
                     said.find("300 ms waiting for data") != std::string::npos,
                 said.c_str());
        QVERIFY(watch.look(slow).empty() && watch.look(slow).empty() && watch.look(slow).empty());
        QVERIFY(SlowRanks().look({{9, 0, 0}}).empty());
    }

    void metrics_byClassFromAllRanks() {
        Json document = with(brief(), "task.epochs", 2);
        spec::setValueAt(document, "task.optimizer.learning_rate", 0.0005);  // So that some answers stay wrong.
        QCOMPARE(m_bench.run("one", document), 0);
        spec::setValueAt(document, "distribution.kind", "pytorch");
        spec::setValueAt(document, "distribution.processes", 2);
        spec::setValueAt(document, "task.sync_batch_norm", true);
        QCOMPARE(m_bench.run("two", document, 2), 0);
        for (const std::string run : {"one", "two"}) {
            const auto matrices = m_bench.tables(run, "val/confusion");
            const auto classes = m_bench.tables(run, "val/classes");
            QCOMPARE(matrices.size(), std::size_t{2});
            QCOMPARE(classes.size(), std::size_t{2});
            QCOMPARE(matrices[0]["type"], Json("confusion_matrix"));
            QCOMPARE(matrices[1]["step"], Json(30));
            const Json& rows = matrices[1]["rows"];
            double all = 0;
            double hits = 0;
            double f1 = 0;
            for (std::size_t label = 0; label < 10; ++label) {
                double samples = 0;
                double named = 0;
                for (std::size_t other = 0; other < 10; ++other) {
                    samples += rows[label][other].get<double>();
                    named += rows[other][label].get<double>();
                }
                const double hit = rows[label][label].get<double>();
                all += samples;
                hits += hit;
                f1 += samples + named > 0 ? 2 * hit / (samples + named) / 10 : 0;
                const Json& row = classes[1]["rows"][label];
                QCOMPARE(row[1].get<double>(), samples);
                QVERIFY(std::abs(row[3].get<double>() - hit / samples) < 1e-12);
                QVERIFY(named == 0 ? row[2].is_null() : std::abs(row[2].get<double>() - hit / named) < 1e-12);
            }
            QCOMPARE(all, 301.0);
            QVERIFY(std::abs(m_bench.values(run, "val/accuracy").back() - hits / all) < 1e-12);
            QVERIFY(std::abs(m_bench.values(run, "val/f1").back() - f1) < 1e-12);
            QVERIFY(m_bench.values(run, "val/top5").back() >= hits / all);
            for (const Json& sample : matrices[1]["samples"]) {
                QVERIFY(sample["row"] != sample["column"]);
                QVERIFY(sample["path"].get<std::string>().find("val-images #") != std::string::npos);
                QVERIFY(rows[sample["row"].get<std::size_t>()][sample["column"].get<std::size_t>()].get<int>() > 0);
            }
            const auto named = static_cast<std::size_t>(all - hits);
            QCOMPARE(matrices[1]["samples"].size(), std::min(named, Mistakes::kMost * (run == "one" ? 1U : 2U)));
            QVERIFY(named > 0);
        }
        QVERIFY(m_bench.tables("two", "val/confusion", 1).empty());
        for (const int rank : {0, 1}) {
            const auto steps = m_bench.values("two", "train/step_seconds", rank);
            const auto data = m_bench.values("two", "train/data_seconds", rank);
            const auto exchange = m_bench.values("two", "train/exchange_seconds", rank);
            QVERIFY(!steps.empty() && steps.size() == data.size() && steps.size() == exchange.size());
            for (std::size_t i = 0; i < steps.size(); ++i) {
                QVERIFY(steps[i] > 0 && data[i] >= 0 && exchange[i] > 0 && data[i] + exchange[i] <= steps[i] * 1.0001);
            }
        }
        QVERIFY(m_bench.values("one", "train/exchange_seconds").empty());
        // Joint statistics and weighted shards make the two the same training but for rounding.
        QVERIFY2(difference(m_bench, "two", "one") < 0.05, std::to_string(difference(m_bench, "two", "one")).c_str());
    }

    void parts_areTheWholeBatch() {
        const Json document = with(brief(), "task.model.options.batch_norm", false);
        QCOMPARE(m_bench.run("whole-batch", document), 0);
        QCOMPARE(m_bench.run("parts", with(document, "task.accumulation", 5)), 0);
        QCOMPARE(m_bench.lastStep("parts"), m_bench.lastStep("whole-batch"));
        QVERIFY2(difference(m_bench, "parts", "whole-batch") < 1e-3,
                 std::to_string(difference(m_bench, "parts", "whole-batch")).c_str());
        // The counter-proof: another batch size is another training.
        QCOMPARE(m_bench.run("smaller", with(document, "task.batch_size", 16)), 0);
        QVERIFY(difference(m_bench, "smaller", "whole-batch") > 1e-2);
    }

    void decayClippingAndRates_areByGroup() {
        // Gradients that are clipped to nothing leave the decay alone, and of that is known what it comes to.
        constexpr int kSteps = 15;
        Json document = with(brief(), "task.clip_norm", 1e-9);
        spec::setValueAt(document, "task.optimizer.momentum", 0.0);
        spec::setValueAt(document, "task.optimizer.nesterov", false);
        spec::setValueAt(document, "task.optimizer.weight_decay", 1.0);
        spec::setValueAt(document, "task.schedule.kind", "constant");
        spec::setValueAt(document, "task.model.weights.backbone_rate", 0.5);
        const Json options = *spec::valueAt(document, "task.model.options");
        const auto table = spec::buildLayerTable("cnn", options, {1, 20, 20}, 10);
        QVERIFY(table.ok());
        at::manual_seed(1);  // The run's.
        const Network first(*table);
        for (const bool norms : {false, true}) {
            const std::string run = norms ? "all-decay" : "weights-decay";
            QCOMPARE(m_bench.run(run, with(document, "task.decay_norms", norms)), 0);
            QCOMPARE(m_bench.lastStep(run), std::int64_t{kSteps});
            const auto after = readSafeTensors(m_bench.folder(run) / "outputs/model.safetensors");
            QVERIFY(after.ok());
            for (std::size_t i = 0; i < first.parameters().size(); ++i) {
                const std::string& name = first.parameterNames()[i];
                const at::Tensor& before = first.parameters()[i];
                const double rate = name.starts_with(table->layers.back().name + ".") ? 0.02 : 0.01;
                const double left = norms || before.dim() > 1 ? std::pow(1 - rate, kSteps) : 1.0;
                QVERIFY2(at::allclose(*after->find(name), before.detach() * left, 1e-5, 1e-8), name.c_str());
            }
        }
    }

    void classWeights_weighTheLoss() {
        at::manual_seed(4);
        const at::Tensor logits = at::randn({6, 3});
        const at::Tensor labels = at::tensor(
            {std::int64_t{0}, std::int64_t{1}, std::int64_t{2}, std::int64_t{1}, std::int64_t{0}, std::int64_t{0}});
        const at::Tensor weights = at::tensor({0.5F, 2.0F, 1.0F});
        const at::Tensor each = -logits.log_softmax(1).gather(1, labels.unsqueeze(1)).squeeze(1);
        const at::Tensor own = weights.index_select(0, labels);
        QVERIFY(at::allclose(crossEntropy(logits, labels, 0.0, weights), (each * own).sum() / own.sum()));
        Json document = with(brief(), "task.class_weights", "list");
        spec::setValueAt(document, "task.class_weight_list", {"1", "2", "3"});
        QCOMPARE(m_bench.run("short-list", document), 1);
        QVERIFY(m_bench.warned("short-list", "data.classes", "3 numbers are listed, but the data has 10 classes"));
        // A model that is punished for one class alone learns to name it.
        spec::setValueAt(document, "task.class_weight_list",
                         {"100000", "1e-3", "1e-3", "1e-3", "1e-3", "1e-3", "1e-3", "1e-3", "1e-3", "1e-3"});
        QCOMPARE(m_bench.run("one-class", document), 0);
        const Json rows = m_bench.tables("one-class", "val/classes").back()["rows"];
        QVERIFY2(rows[0][3].get<double>() > 0.9, base::dumpJson(rows).c_str());
        QVERIFY(m_bench.values("one-class", "val/accuracy").back() < 0.5);
    }

    /// PyTorch's: a share of the truth is spread over all classes, in the loss of the formula and in that of a run.
    void labelSmoothing_isPyTorchs() {
        at::manual_seed(6);
        const at::Tensor logits = at::randn({7, 4});
        const at::Tensor labels = at::arange(7) % 4;
        const at::Tensor logs = logits.log_softmax(1);
        const at::Tensor truth = -logs.gather(1, labels.unsqueeze(1)).squeeze(1);
        QVERIFY(at::allclose(crossEntropy(logits, labels, 0.3, {}), (truth * 0.7 - logs.mean(1) * 0.3).mean()));
        QVERIFY(at::allclose(crossEntropy(logits, labels, 0.0, {}), truth.mean()));
        QCOMPARE(m_bench.run("sharp", with(brief(), "task.label_smoothing", 0.0)), 0);
        QCOMPARE(m_bench.run("smooth", with(brief(), "task.label_smoothing", 0.5)), 0);
        const std::vector<double> smooth = m_bench.values("smooth", "train/loss");
        QVERIFY(!smooth.empty() && smooth != m_bench.values("sharp", "train/loss"));
        // No model of ten classes gets below the entropy of 0.55 and nine times 0.05.
        QVERIFY(std::ranges::min(smooth) > 1.676);
    }

    void channelsLast_isTheSameTraining() {
        QCOMPARE(m_bench.run("planes", brief()), 0);
        QCOMPARE(m_bench.run("last", with(brief(), "task.memory_format", "channels_last")), 0);
        QVERIFY2(difference(m_bench, "last", "planes") < 0.05,
                 std::to_string(difference(m_bench, "last", "planes")).c_str());
        const auto evaluated = test::runProgram(
            test::builtProgram("trainyard-engine"),
            {"inspect", "--request",
             m_bench.scratch()
                 .write("inspect.json",
                        base::dumpJson({{"model", (m_bench.folder("last") / "outputs/model.pt").string()}}))
                 .string()});
        QVERIFY2(evaluated.exitCode == 0, evaluated.out.c_str());
    }

    void stateDict_opensInPython() {
        QVERIFY(std::filesystem::exists(m_bench.folder("last") / "outputs/weights.pth"));
        test::ProgramOptions options;
        options.timeoutMillis = 60'000;
        const auto python = test::runProgram("/usr/bin/python3",
                                             {"-c", R"(
import sys
try:
    import torch
except ImportError:
    print('no torch'); sys.exit(0)
import inspect
known = 'weights_only' in inspect.signature(torch.load).parameters
state = torch.load(sys.argv[1] + '/weights.pth', **({'weights_only': True} if known else {}))
other = torch.jit.load(sys.argv[1] + '/model.pt').state_dict()
assert list(state) == list(other), (list(state), list(other))
assert all(torch.equal(state[k], other[k]) and state[k].dtype == other[k].dtype for k in other)
assert type(state).__name__ == 'OrderedDict'
torch.jit.load(sys.argv[1] + '/model.pt').load_state_dict(state)
print('equal', known)
)",
                                              (m_bench.folder("last") / "outputs").string()},
                                             options);
        QVERIFY2(python.exitCode == 0, python.err.c_str());
        if (python.out == "no torch\n") {
            TRAINYARD_SKIP("no Python with torch on this machine");
        }
        QVERIFY2(python.out.starts_with("equal"), python.out.c_str());
    }

    void exchange_goesOnBehindTheBackwardPass() {
        // More gradients than go into the reducer's first bucket, so that it sends some while others are computed.
        Json document = with(brief(), "task.model.family", "resnet18");
        spec::setValueAt(document, "task.model.options", {{"small_stem", false}});
        spec::setValueAt(document, "task.dataset.train_limit", 176);
        spec::setValueAt(document, "task.dataset.val_limit", 20);
        spec::setValueAt(document, "task.batch_size", 8);
        spec::setValueAt(document, "distribution.kind", "pytorch");
        spec::setValueAt(document, "distribution.processes", 2);
        QCOMPARE(m_bench.run("hidden", document, 2), 0);
        for (const int rank : {0, 1}) {
            const auto hidden = m_bench.values("hidden", "train/exchange_hidden_seconds", rank);
            QVERIFY(!hidden.empty() && hidden.back() > 0);
            QVERIFY(hidden.back() < std::ranges::max(m_bench.values("hidden", "train/step_seconds", rank)));
        }
    }

    void lastBatch_ofOneSampleIsLeftOut() {
        // ResNet's last planes are 1 × 1 here, and 33 samples leave one for the second batch.
        Json document = with(brief(), "task.model.family", "resnet18");
        spec::setValueAt(document, "task.model.options", {{"small_stem", false}});
        spec::setValueAt(document, "task.dataset.train_limit", 33);
        spec::setValueAt(document, "task.dataset.val_limit", 20);
        QCOMPARE(m_bench.run("tail", document), 0);
        QVERIFY(m_bench.warned("tail", "train.tail", "of 1, is left out"));
        QCOMPARE(m_bench.lastStep("tail"), std::int64_t{1});
        spec::setValueAt(document, "task.batch_size", 1);
        QCOMPARE(m_bench.run("single", document), 1);
        QVERIFY(m_bench.warned("single", "train.batch_norm", "layer4.0.bn1"));
    }

    void outOfMemory_saysWhatToLower() {
        Json document = m_bench.spec();
        spec::setValueAt(document, "task.batch_size", 2005);
        spec::setValueAt(document, "task.model.options.width", 256);
        const auto ranks = m_bench.start("memory", document, 1, "ulimit -v 2600000");
        QCOMPARE(Bench::finish(*ranks[0]), 6);
        QVERIFY(m_bench.warned("memory", "engine.memory", "a batch of 2005 samples"));
        QVERIFY(m_bench.warned("memory", "engine.memory", "Set task.accumulation to 2"));
    }

    void moreEpochs_theScheduleDoesWhatItSays() {
        Json document = with(brief(), "task.schedule.kind", "cosine");
        spec::setValueAt(document, "task.log_every_steps", 1);
        const auto named = [](const char* id) {
            return [id](int) { return std::vector<std::pair<std::string, std::string>>{{"TRAINYARD_RUN_ID", id}}; };
        };
        QCOMPARE(m_bench.run("first", document, 1, named("a")), 0);
        QVERIFY(m_bench.values("first", "train/learning_rate").back() < 0.001);
        document["resolved"] = {
            {"resume_checkpoint", (m_bench.folder("first") / "outputs/checkpoints/last.ckpt").string()}};
        spec::setValueAt(document, "task.epochs", 3);
        QCOMPARE(m_bench.run("as-planned", document, 1, named("b")), 0);
        const auto planned = m_bench.values("as-planned", "train/learning_rate");
        QVERIFY(std::abs(planned.front() - 0.02 * (1 + std::cos(M_PI / 3)) / 2) < 1e-9);
        spec::setValueAt(document, "task.schedule.span", "rest");
        QCOMPARE(m_bench.run("anew", document, 1, named("c")), 0);
        const auto anew = m_bench.values("anew", "train/learning_rate");
        QCOMPARE(anew.size(), std::size_t{30});
        QCOMPARE(anew.front(), 0.02);
        QVERIFY(anew.back() < 0.0002);
        // A second attempt of the same run goes on with the schedule that its first began.
        {
            const auto ranks = m_bench.start("restarted", with(document, "task.epochs", 25), 1, {}, named("d"));
            QVERIFY(test::waitFor([&] { return m_bench.lastStep("restarted") >= 40; }, 60'000));
            test::sendSignal(*ranks[0], SIGTERM);
            QCOMPARE(Bench::finish(*ranks[0]), 143);
        }
        const double before = m_bench.values("restarted", "train/learning_rate").back();
        const auto again = [](int) {
            return std::vector<std::pair<std::string, std::string>>{{"TRAINYARD_RUN_ID", "d"},
                                                                    {"TRAINYARD_ATTEMPT", "2"}};
        };
        QCOMPARE(m_bench.run("restarted", with(document, "task.epochs", 25), 1, again), 0);
        const auto rates = m_bench.values("restarted", "train/learning_rate");
        const auto last = std::find(rates.begin(), rates.end(), before);
        QVERIFY(last != rates.end() && last + 1 != rates.end());
        QVERIFY(*(last + 1) < before && *(last + 1) > before - 2e-4);
    }

    void slowRank_isNamed() {
        Json document = with(brief(), "task.epochs", 400);
        spec::setValueAt(document, "distribution.kind", "pytorch");
        spec::setValueAt(document, "distribution.processes", 2);
        spec::setValueAt(document, "task.log_every_steps", 3);
        const auto ranks = m_bench.start("slow", document, 2);
        QVERIFY(test::waitFor([&] { return m_bench.lastStep("slow") >= 5; }, 60'000));
        // It runs for less than the steps of a look, and stands while the stream is read.
        const bool named = test::waitFor(
            [&] {
                test::sendSignal(*ranks[1], SIGCONT);
                std::this_thread::sleep_for(std::chrono::milliseconds(5));
                test::sendSignal(*ranks[1], SIGSTOP);
                std::this_thread::sleep_for(std::chrono::milliseconds(150));
                return m_bench.warned("slow", "train.slow_rank", "Rank 1 is slow");
            },
            60'000);
        test::sendSignal(*ranks[1], SIGCONT);
        for (const auto& rank : ranks) {
            test::sendSignal(*rank, SIGTERM);
        }
        for (const auto& rank : ranks) {
            QCOMPARE(Bench::finish(*rank), 143);
        }
        QVERIFY(named);
        QVERIFY(!m_bench.warned("slow", "train.slow_rank", "Rank 0 is slow"));
    }
};

QTEST_GUILESS_MAIN(TestTrainOptions)
#include "tst_TrainOptions.moc"
