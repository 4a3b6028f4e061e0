// Optimizers and schedules against PyTorch, and whole trainings by the real program.
#include <ATen/ATen.h>
#include <unistd.h>

#include <QProcess>
#include <QtTest>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "core/engine/model/SafeTensors.h"
#include "core/engine/train/DenseStep.h"
#include "core/engine/train/Optimizer.h"
#include "core/engine/train/Schedule.h"
#include "core/engine/train/Trainer.h"
#include "core/spec/RunSpec.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Signal.h"
#include "tests/helpers/Wait.h"
#include "tests/helpers/Skip.h"
#include "tests/unit/engine/Bench.h"

using namespace trainyard;
using namespace trainyard::engine;
using base::Json;
using test::Bench;

namespace {

spec::OptimizerSpec optimizerOf(const std::string& kind, double momentum, bool nesterov, double decay) {
    spec::OptimizerSpec spec;
    spec.kind = kind;
    spec.momentum = momentum;
    spec.nesterov = nesterov;
    spec.weightDecay = decay;
    return spec;
}

}  // namespace

class TestTrain : public QObject {
    Q_OBJECT

    test::ChildGuard m_guard;

    static void addOptimizers() {
        QTest::addColumn<QString>("kind");
        QTest::addColumn<double>("momentum");
        QTest::addColumn<bool>("nesterov");
        QTest::addColumn<double>("decay");
        const auto row = [](const char* name, const char* kind, double momentum, bool nesterov, double decay) {
            QTest::newRow(name) << QString::fromLatin1(kind) << momentum << nesterov << decay;
        };
        row("sgd", "sgd", 0, false, 0);
        row("sgd decay", "sgd", 0, false, 5e-4);
        row("sgd momentum", "sgd", 0.9, false, 0);
        row("sgd nesterov decay", "sgd", 0.9, true, 5e-4);
        row("adam", "adam", 0, false, 0);
        row("adam decay", "adam", 0, false, 1e-2);
        row("adamw", "adamw", 0, false, 1e-2);
    }

private Q_SLOTS:
    void cleanup() { QVERIFY2(m_guard.noneLeft(), m_guard.report().c_str()); }

    void optimizer_equalsPyTorchsBitForBit_data() { addOptimizers(); }
    void optimizer_equalsPyTorchsBitForBit() {
        QFETCH(QString, kind);
        QFETCH(double, momentum);
        QFETCH(bool, nesterov);
        QFETCH(double, decay);
        const test::Scratch scratch;
        const at::Tensor start = at::sin(at::arange(1, 1004, at::kFloat) * 1.7);
        std::vector<at::Tensor> gradients;
        for (int i = 0; i < 6; ++i) {
            gradients.push_back(at::cos(at::arange(1, 1004, at::kFloat) * (0.3 + i)) * 0.01);
        }
        NamedTensors results;
        for (const bool fused : {true, false}) {
            const at::Tensor weights = start.clone();
            Optimizer optimizer(optimizerOf(kind.toStdString(), momentum, nesterov, decay), {weights}, {"w"});
            optimizer.setFused(fused);
            for (int i = 0; i < 6; ++i) {
                weights.mutable_grad() = gradients[static_cast<std::size_t>(i)];
                optimizer.step(0.1 / (i + 1));
            }
            results.emplace_back(fused ? "fused" : "plain", weights);
        }
        QVERIFY(at::equal(results[0].second, results[1].second));
        QVERIFY(!at::equal(results[0].second, start));
        NamedTensors all = results;
        all.emplace_back("start", start);
        for (std::size_t i = 0; i < gradients.size(); ++i) {
            all.emplace_back("gradient" + std::to_string(i), gradients[i]);
        }
        QVERIFY(writeSafeTensors({all, {}}, scratch / "o.safetensors").ok());
        test::ProgramOptions options;
        options.timeoutMillis = 60000;
        const auto python = test::runProgram("/usr/bin/python3",
                                             {"-c", R"(
import json, struct, sys
try:
    import torch
except ImportError:
    print('no torch'); sys.exit(0)
raw = open(sys.argv[1], 'rb').read(); n = struct.unpack('<Q', raw[:8])[0]
io = {k: torch.frombuffer(bytearray(raw[8 + n + e['data_offsets'][0]:8 + n + e['data_offsets'][1]]), dtype=torch.float32)
      for k, e in json.loads(raw[8:8 + n]).items()}
kind, momentum, nesterov, decay = sys.argv[2], float(sys.argv[3]), sys.argv[4] == '1', float(sys.argv[5])
w = io['start'].clone().requires_grad_()
o = {'sgd': lambda: torch.optim.SGD([w], 0.1, momentum, nesterov=nesterov, weight_decay=decay),
     'adam': lambda: torch.optim.Adam([w], 0.1, weight_decay=decay),
     'adamw': lambda: torch.optim.AdamW([w], 0.1, weight_decay=decay)}[kind]()
for i in range(6):
    o.param_groups[0]['lr'] = 0.1 / (i + 1)
    w.grad = io['gradient%d' % i]; o.step()
print('equal' if torch.equal(w, io['fused']) else (w - io['fused']).abs().max().item())
)",
                                              (scratch / "o.safetensors").string(), kind.toStdString(),
                                              std::to_string(momentum), nesterov ? "1" : "0", std::to_string(decay)},
                                             options);
        QVERIFY2(python.exitCode == 0, python.err.c_str());
        if (python.out == "no torch\n") {
            TRAINYARD_SKIP("no Python with torch on this machine");
        }
        QCOMPARE(python.out, std::string("equal\n"));
    }

    void optimizer_refusesAnothersState() {
        const at::Tensor weights = at::ones({4});
        Optimizer sgd(optimizerOf("sgd", 0.9, true, 0), {weights}, {"w"});
        Optimizer adam(optimizerOf("adam", 0, false, 0), {weights}, {"w"});
        Optimizer wider(optimizerOf("sgd", 0.9, true, 0), {at::ones({5})}, {"w"});
        QCOMPARE(sgd.load(adam.state(), 1).error().code, std::string("resume.optimizer"));
        QCOMPARE(sgd.load(wider.state(), 1).error().code, std::string("resume.optimizer"));
        QVERIFY(sgd.load(Optimizer(optimizerOf("sgd", 0.9, true, 0), {weights}, {"w"}).state(), 1).ok());
    }

    void denseStep_equalsAutograd() {
        for (const Json& options : {Json::object(), Json{{"hidden2", 0}}, Json{{"hidden1", 0}, {"hidden2", 0}}}) {
            auto table = spec::buildLayerTable("mlp", options, {1, 20, 20}, 10);
            QVERIFY(table.ok());
            at::manual_seed(3);
            Network network(*table);
            const auto dense = DenseStep::forNetwork(network);
            QVERIFY(dense != nullptr);
            for (const std::int64_t count : {32, 5, 32, 1}) {
                const Batch batch{at::randn({count, 1, 20, 20}), at::arange(count, at::kLong).remainder(10)};
                const auto direct = dense->run(batch);
                std::vector<at::Tensor> gradients;
                for (const at::Tensor& parameter : network.parameters()) {
                    gradients.push_back(parameter.grad().clone());
                    parameter.mutable_grad().reset();
                }
                const at::Tensor logits = network.forward(batch.images);
                const at::Tensor loss = crossEntropy(logits, batch.labels, 0.0);
                loss.backward();
                QVERIFY(at::equal(direct.loss, loss.detach()));
                QVERIFY(at::equal(direct.logits, logits.detach()));
                for (std::size_t i = 0; i < gradients.size(); ++i) {
                    QVERIFY2(at::equal(gradients[i], network.parameters()[i].grad()),
                             network.parameterNames()[i].c_str());
                }
            }
        }
        const auto other = [](const char* family, const Json& options) {
            Network network(*spec::buildLayerTable(family, options, {1, 20, 20}, 10));
            return DenseStep::forNetwork(network) == nullptr;
        };
        QVERIFY(other("cnn", Json::object()));
        QVERIFY(other("mlp", {{"dropout", 0.5}}));
    }

    void schedule_equalsPyTorchs() {
        test::ProgramOptions options;
        options.timeoutMillis = 60000;
        const auto python = test::runProgram("/usr/bin/python3", {"-c", R"(
import torch, warnings
warnings.simplefilter('ignore')
w = torch.zeros(1, requires_grad=True)
def rates(make, n):
    o = torch.optim.SGD([w], 0.4); s = make(o); out = []
    for _ in range(n):
        out.append(o.param_groups[0]['lr']); o.step(); s.step() if len(out) < n else None
    print(*['%.17g' % r for r in out])
rates(lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.4, total_steps=40, pct_start=0.3, cycle_momentum=False), 40)
rates(lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda s: 0.1 + 0.9 * (1 + __import__('math').cos(__import__('math').pi * s / 40)) / 2), 40)
rates(lambda o: torch.optim.lr_scheduler.StepLR(o, 16, 0.5), 40)
)"},
                                             options);
        if (python.exitCode != 0) {
            TRAINYARD_SKIP("no Python with torch on this machine");
        }
        std::istringstream numbers(python.out);
        spec::ScheduleSpec schedule;
        for (const char* kind : {"one_cycle", "cosine", "step"}) {
            schedule.kind = kind;
            schedule.minimumFactor = 0.1;
            schedule.stepEpochs = 2;
            schedule.gamma = 0.5;
            for (std::int64_t step = 0; step < 40; ++step) {
                double expected = 0;
                QVERIFY(static_cast<bool>(numbers >> expected));
                const double rate = learningRateAt(schedule, 0.4, step, 40, 8);
                QVERIFY2(std::abs(rate - expected) <= 1e-13, (std::string(kind) + std::to_string(step)).c_str());
            }
        }
        schedule.kind = "constant";
        QCOMPARE(learningRateAt(schedule, 0.4, 33, 40, 8), 0.4);
        schedule.kind = "one_cycle";
        for (const double warmup : {0.0, 1.0}) {  // No division by nothing at the edges.
            schedule.warmupFraction = warmup;
            for (const std::int64_t total : {1, 2}) {
                for (std::int64_t step = 0; step < total; ++step) {
                    QVERIFY(std::isfinite(learningRateAt(schedule, 0.4, step, total, 1)));
                }
            }
        }
    }

    void train_wholeRun() {
        const Bench bench;
        Json document = bench.spec();
        spec::setValueAt(document, "task.augment", false);  // A shifted bar is another label's.
        QCOMPARE(bench.run("run", document), 0);
        for (const char* file : {"model.pt", "model.safetensors", "model.json", "samples.safetensors",
                                 "checkpoints/last.ckpt", "checkpoints/best.ckpt"}) {
            QVERIFY2(std::filesystem::exists(bench.folder("run") / "outputs" / file), file);
        }
        const std::vector<Json> lines = bench.stream("run");
        QCOMPARE(lines.front()["kind"], Json("progress"));
        QCOMPARE(lines.front()["stage"], Json("prepare"));
        const auto points = bench.points("run");
        QVERIFY(points.front().starts_with("train/loss [1] "));  // The first step is told at once.
        QCOMPARE(bench.lastStep("run"), std::int64_t{4 * 63});   // 2005 samples in batches of 32.
        const Json card = *base::parseJson(bench.scratch().read("run/outputs/model.json"));
        const double accuracy = card["metrics"]["last"]["val/accuracy"].get<double>();
        QVERIFY2(accuracy > 0.9, std::to_string(accuracy).c_str());

        // What the model file computes is what was reported.
        const base::Path request = bench.scratch().write(
            "evaluate.json", base::dumpJson({{"model", (bench.folder("run") / "outputs/model.pt").string()},
                                             {"threads", 1},
                                             {"dataset",
                                              {{"val_images", (bench.scratch() / "val-images").string()},
                                               {"val_labels", (bench.scratch() / "val-labels").string()}}}}));
        const auto evaluated =
            test::runProgram(test::builtProgram("trainyard-engine"), {"evaluate", "--request", request.string()});
        QVERIFY2(evaluated.exitCode == 0, evaluated.out.c_str());
        const std::string answer = evaluated.out.substr(0, evaluated.out.find_last_not_of('\n') + 1);
        const auto parsed = base::parseJson(answer.substr(answer.rfind('\n') + 1));  // Progress stands before it.
        QVERIFY2(parsed.ok(), evaluated.out.c_str());
        const Json& result = *parsed;
        QCOMPARE(result["accuracy"].get<double>(), accuracy);
        QCOMPARE(result["samples"], Json(301));
        const auto samples = readSafeTensors(bench.folder("run") / "outputs/samples.safetensors");
        QVERIFY(samples.ok());
        QCOMPARE(samples->find("images")->sizes().vec(), (std::vector<std::int64_t>{32, 1, 20, 20}));
    }

    void resume_equalsTheUninterruptedRun_data() {
        QTest::addColumn<int>("world");
        QTest::addColumn<QString>("optimizer");
        QTest::addColumn<bool>("options");
        QTest::newRow("one process") << 1 << QStringLiteral("sgd") << false;
        QTest::newRow("one process, AdamW") << 1 << QStringLiteral("adamw") << false;
        QTest::newRow("two processes") << 2 << QStringLiteral("sgd") << false;
        QTest::newRow("one process, parts, drawn by class") << 1 << QStringLiteral("adamw") << true;
        QTest::newRow("two processes, joint statistics") << 2 << QStringLiteral("sgd") << true;
    }
    void resume_equalsTheUninterruptedRun() {
        QFETCH(int, world);
        QFETCH(QString, optimizer);
        QFETCH(bool, options);
        const Bench bench;
        Json document = bench.spec();
        if (options) {
            spec::setValueAt(document, "task.accumulation", 3);
            spec::setValueAt(document, "task.class_weights", "balanced");
            spec::setValueAt(document, "task.sampling", "balanced");
            spec::setValueAt(document, "task.memory_format", "channels_last");
            spec::setValueAt(document, "task.sync_batch_norm", true);
        }
        spec::setValueAt(document, "task.optimizer.kind", optimizer.toStdString());
        spec::setValueAt(document, "task.epochs", 8);
        if (world > 1) {
            spec::setValueAt(document, "distribution.kind", "pytorch");
            spec::setValueAt(document, "distribution.processes", world);
        }
        QCOMPARE(bench.run("whole", document, world), 0);

        const auto ranks = bench.start("cut", document, world);
        QVERIFY(test::waitFor([&] { return bench.lastStep("cut") >= 70; }, 60000));  // In the second epoch of 63 steps.
        for (const auto& rank : ranks) {
            test::sendSignal(*rank, SIGTERM);
        }
        for (const auto& rank : ranks) {
            QCOMPARE(Bench::finish(*rank), 143);
        }
        const auto cut = bench.last("cut");
        QVERIFY(cut.ok());
        const Json where = *base::parseJson(*cut->meta("checkpoint"));
        QVERIFY2(where["step"].get<int>() < 8 * 63, "the run had ended before it was interrupted");
        QVERIFY(!std::filesystem::exists(bench.folder("cut") / "outputs/model.pt"));

        document["resolved"] = {
            {"resume_checkpoint", (bench.folder("cut") / "outputs/checkpoints/last.ckpt").string()}};
        QCOMPARE(bench.run("rest", document, world), 0);

        const auto whole = bench.last("whole");
        const auto rest = bench.last("rest");
        QVERIFY(whole.ok() && rest.ok());
        QCOMPARE(rest->tensors.size(), whole->tensors.size());
        for (const auto& [name, tensor] : whole->tensors) {
            QVERIFY2(at::equal(*rest->find(name), tensor), name.c_str());
        }
        QCOMPARE(*rest->meta("checkpoint"), *whole->meta("checkpoint"));
        std::vector<std::string> joined = bench.points("cut");
        const auto after = bench.points("rest");
        joined.insert(joined.end(), after.begin(), after.end());
        QCOMPARE(joined, bench.points("whole"));
    }

    void resume_refusesAnotherRuns() {
        const Bench bench;
        Json document = bench.spec();
        spec::setValueAt(document, "task.epochs", 1);
        QCOMPARE(bench.run("first", document), 0);
        document["resolved"] = {
            {"resume_checkpoint", (bench.folder("first") / "outputs/checkpoints/last.ckpt").string()}};
        Json wider = document;
        spec::setValueAt(wider, "task.model.options.width", 8);
        QCOMPARE(bench.run("wider", wider), 1);
        QVERIFY(bench.warned("wider", "resume.model", "options"));
        Json adam = document;
        spec::setValueAt(adam, "task.optimizer.kind", "adam");
        QCOMPARE(bench.run("adam", adam), 1);
        QVERIFY(bench.warned("adam", "resume.optimizer"));
        document["resolved"]["resume_checkpoint"] = (bench.scratch() / "train-images").string();
        QCOMPARE(bench.run("noise", document), 1);
        QVERIFY(bench.warned("noise", "weights.format"));
        // More epochs than before go on where the finished run stood.
        document["resolved"]["resume_checkpoint"] = (bench.folder("first") / "outputs/checkpoints/last.ckpt").string();
        spec::setValueAt(document, "task.epochs", 2);
        QCOMPARE(bench.run("longer", document), 0);
        QVERIFY(!bench.points("longer").front().starts_with("train/loss [1]"));
        QCOMPARE(bench.lastStep("longer"), std::int64_t{2 * 63});
    }

    void checkpoint_askedForWhileItRuns() {
        const Bench bench;
        Json document = bench.spec();
        spec::setValueAt(document, "task.epochs", 200);
        spec::setValueAt(document, "task.checkpoint_every_epochs", 0);
        const auto ranks = bench.start("run", document);
        QVERIFY(test::waitFor([&] { return bench.lastStep("run") >= 5; }, 30000));
        QVERIFY(!std::filesystem::exists(bench.folder("run") / "outputs/checkpoints/last.ckpt"));
        (void) bench.scratch().write("run/control/checkpoint", "");
        QVERIFY(
            test::waitFor([&] { return !std::filesystem::exists(bench.folder("run") / "control/checkpoint"); }, 20000));
        QVERIFY(bench.last("run").ok());
        test::sendSignal(*ranks[0], SIGTERM);
        QCOMPARE(Bench::finish(*ranks[0]), 143);
    }

    void fault_lossNotFinite() {
        const Bench bench;
        Json document = bench.spec();
        spec::setValueAt(document, "task.optimizer.learning_rate", 100);
        spec::setValueAt(document, "task.schedule.kind", "constant");
        spec::setValueAt(document, "task.model.options.batch_norm", false);
        QCOMPARE(bench.run("run", document), 3);
        QVERIFY(bench.warned("run", "train.nan", "at step "));
        const auto lines = bench.stream("run");
        QVERIFY(std::any_of(lines.begin(), lines.end(), [](const Json& line) { return line.value("fatal", false); }));
        QVERIFY(
            std::none_of(lines.begin(), lines.end(), [](const Json& line) { return line["kind"] == "conclusion"; }));
        QVERIFY(!bench.points("run").empty());  // What came before is kept.
    }

    void fault_badFiles() {
        const Bench bench;
        const auto fails = [&](const char* name, const char* path, const std::string& file, const char* code) {
            Json document = bench.spec();
            spec::setValueAt(document, path, file);
            QVERIFY(bench.run(name, document) == 1);
            QVERIFY2(bench.warned(name, code, file), code);
        };
        const auto in = [&](const char* name) { return (bench.scratch() / name).string(); };
        fails("missing", "task.dataset.train_images", in("nowhere"), "file.missing");
        fails("swapped", "task.dataset.train_images", in("train-labels"), "idx.swapped");
        fails("mixed", "task.dataset.train_labels", in("val-labels"), "data.count");
        (void) bench.scratch().write("cut", bench.scratch().read("train-images").substr(0, 5000));
        fails("truncated", "task.dataset.train_images", in("cut"), "idx.truncated");
    }

    void fault_diskFull() {
        const Bench bench;
        // A limit on the size of files stands in for a full disk: the stream fits, the checkpoint does not.
        Json document = bench.spec();
        spec::setValueAt(document, "task.model.options.width", 16);
        spec::setValueAt(document, "task.log_every_steps", 30);
        const auto ranks = bench.start("run", document, 1, "trap '' XFSZ; ulimit -f 100");
        QCOMPARE(Bench::finish(*ranks[0]), 5);
        QVERIFY(bench.warned("run", "file.full", ".ckpt"));
        QVERIFY(!bench.points("run").empty());
        for (const auto& entry : std::filesystem::directory_iterator(bench.folder("run") / "outputs/checkpoints")) {
            QFAIL(("half a file is left: " + entry.path().string()).c_str());
        }
    }

    void ranks_moreThanCores() {
        const Bench bench;
        Json document = bench.spec();
        spec::setValueAt(document, "task.epochs", 1);
        spec::setValueAt(document, "task.dataset.train_limit", 200);
        spec::setValueAt(document, "distribution.kind", "pytorch");
        const auto many = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)) + 1;
        if (many > 9) {
            QSKIP("too many cores to have more processes than that");
        }
        spec::setValueAt(document, "distribution.processes", many);
        QCOMPARE(bench.run("run", document, many), 0);
        QVERIFY(bench.warned("run", "train.cores", "cores"));
        // Only rank 0 tells losses; the others their own throughput and times.
        for (const Json& line : bench.stream("run", 1)) {
            QVERIFY(line["kind"] != "table");
            if (line["kind"] == "metrics") {
                QVERIFY(line["series"].size() >= std::size_t{4});
                QCOMPARE(line["series"][0]["name"], Json("train/samples_per_second"));
                QCOMPARE(line["series"][3]["name"], Json("train/exchange_seconds"));
            }
        }
    }

    void verbs_answer() {
        const Bench bench;
        const base::Path engine = test::builtProgram("trainyard-engine");
        const auto ask = [&](const std::string& verb, const Json& request) {
            return test::runProgram(
                engine, {verb, "--request", bench.scratch().write("request.json", base::dumpJson(request)).string()});
        };
        const auto checked = ask("check", {{"spec", bench.spec()}});
        QVERIFY2(checked.exitCode == 0, checked.out.c_str());
        const std::string said = checked.out.substr(0, checked.out.find_last_not_of('\n') + 1);
        const Json check = *base::parseJson(said.substr(said.rfind('\n') + 1));  // Progress stands before it.
        QCOMPARE(check["steps_per_epoch"], Json(63));
        QCOMPARE(check["total_steps"], Json(252));
        QVERIFY(check["step_seconds"].get<double>() > 0);
        QVERIFY(check["total_seconds"].get<double>() > check["epoch_seconds"].get<double>());
        QVERIFY(check["peak_memory_bytes"].get<std::int64_t>() > 10'000'000);
        QVERIFY(check["disk_bytes"].get<std::int64_t>() > check["parameters"].get<std::int64_t>() * 16);

        const auto inspected = test::runProgram(engine, {"inspect"});
        QCOMPARE(inspected.exitCode, 0);
        const Json inspect = *base::parseJson(inspected.out);
        QCOMPARE(inspect["kind"], Json("result"));
        QVERIFY(inspect.contains("libtorch") && inspect.contains("blas") && !inspect["devices"].empty());

        const auto self = test::runProgram(engine, {"selftest"});
        QCOMPARE(self.exitCode, 0);
        QCOMPARE((*base::parseJson(self.out))["passed"], Json(true));

        const auto wrong = ask("check", {{"spec", {{"task", 3}}}});
        QCOMPARE(wrong.exitCode, 1);
        QCOMPARE((*base::parseJson(wrong.out))["kind"], Json("error"));
        QCOMPARE(test::runProgram(engine, {}).exitCode, 2);
        QCOMPARE(test::runProgram(engine, {"dance"}).exitCode, 2);
        QCOMPARE(test::runProgram(engine, {"check"}).exitCode, 2);
        QCOMPARE(test::runProgram(engine, {"train", "--request", "x"}).exitCode, 2);
        QCOMPARE(test::runProgram(engine, {"--version"}).exitCode, 0);
    }
};

QTEST_GUILESS_MAIN(TestTrain)
#include "tst_Train.moc"
