// What a run on another machine asks of the engine: inputs by variable, checkpoints by signal, new attempts, ranks that
// share no folder, addresses of nodes, the self-test.
#include <ATen/ATen.h>

#include <QtTest>
#include <algorithm>
#include <csignal>
#include <filesystem>

#include "core/engine/data/InputPath.h"
#include "core/engine/distributed/ProcessGroup.h"
#include "core/engine/train/Trainer.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Signal.h"
#include "tests/helpers/Wait.h"
#include "tests/unit/engine/Bench.h"

using namespace trainyard;
using base::Json;
using test::Bench;

namespace {

std::string lastStepOf(const Bench& bench, const std::string& run) {
    const auto checkpoint = bench.last(run);
    return checkpoint.ok() ? base::dumpJson((*base::parseJson(*checkpoint->meta("checkpoint")))["step"])
                           : checkpoint.error().message;
}

}  // namespace

class TestOnTarget : public QObject {
    Q_OBJECT

    test::ChildGuard m_guard;

private Q_SLOTS:
    void cleanup() { QVERIFY2(m_guard.noneLeft(), m_guard.report().c_str()); }

    void input_isTakenFromTheEnvironment() {
        using engine::expandInputPath;
        qputenv("TRAINYARD_INPUT_DATASET", "/data/a b");
        qputenv("TRAINYARD_OTHER", "/other");
        QCOMPARE(*expandInputPath("$TRAINYARD_INPUT_DATASET/x.gz", "f"), std::string("/data/a b/x.gz"));
        QCOMPARE(*expandInputPath("$TRAINYARD_INPUT_DATASET", "f"), std::string("/data/a b"));
        // Nothing else is: neither other variables, nor elsewhere in the path, nor another's spelling.
        for (const char* plain : {"$TRAINYARD_OTHER/x", "$HOME", "/x/$TRAINYARD_INPUT_DATASET",
                                  "${TRAINYARD_INPUT_DATASET}/x", "$trainyard_input_dataset", "", "/plain"}) {
            QCOMPARE(*expandInputPath(plain, "f"), std::string(plain));
        }
        for (const char* wrong : {"$TRAINYARD_INPUT_MISSING/x", "$TRAINYARD_INPUT_/x", "$TRAINYARD_INPUT_a",
                                  "$TRAINYARD_INPUT_DATASET$HOME/x", "$TRAINYARD_INPUT_A B"}) {
            const auto refused = expandInputPath(wrong, "task.dataset.train_images");
            QVERIFY2(!refused.ok(), wrong);
            QCOMPARE(refused.error().code, std::string("env.input"));
            QCOMPARE(refused.error().field, std::string("task.dataset.train_images"));
        }
        qunsetenv("TRAINYARD_INPUT_DATASET");
        qunsetenv("TRAINYARD_OTHER");
    }

    void input_trainsARun() {
        const Bench bench;
        Json document = bench.spec();
        spec::setValueAt(document, "task.epochs", 1);
        QCOMPARE(bench.run("plain", document), 0);
        for (const char* field : {"train_images", "train_labels", "val_images", "val_labels"}) {
            std::string name = field;
            std::replace(name.begin(), name.end(), '_', '-');
            spec::setValueAt(document, std::string("task.dataset.") + field, "$TRAINYARD_INPUT_DATASET/" + name);
        }
        QCOMPARE(bench.run("missing", document), 1);
        QVERIFY(bench.warned("missing", "env.input", "TRAINYARD_INPUT_DATASET"));
        const auto data = [&](int) {
            return std::vector<std::pair<std::string, std::string>>{
                {"TRAINYARD_INPUT_DATASET", bench.scratch().path().string()}};
        };
        QCOMPARE(bench.run("sent", document, 1, data), 0);
        QCOMPARE(bench.points("sent"), bench.points("plain"));
    }

    void signal_writesACheckpoint_data() {
        QTest::addColumn<int>("world");
        QTest::addColumn<int>("signalled");
        QTest::newRow("one process") << 1 << 0;
        QTest::newRow("two processes, rank 0") << 2 << 0;
        QTest::newRow("two processes, the other") << 2 << 1;
    }
    void signal_writesACheckpoint() {
        QFETCH(int, world);
        QFETCH(int, signalled);
        const Bench bench;
        Json document = bench.spec();
        spec::setValueAt(document, "task.epochs", 400);
        spec::setValueAt(document, "task.checkpoint_every_epochs", 0);
        if (world > 1) {
            spec::setValueAt(document, "distribution.kind", "pytorch");
            spec::setValueAt(document, "distribution.processes", world);
        }
        const auto ranks = bench.start("run", document, world);
        QVERIFY(test::waitFor([&] { return bench.lastStep("run") >= 10; }, 60000));
        const base::Path checkpoint = bench.folder("run") / "outputs/checkpoints/last.ckpt";
        QVERIFY(!std::filesystem::exists(checkpoint));
        test::sendSignal(*ranks[static_cast<std::size_t>(signalled)], SIGUSR1);
        QVERIFY(test::waitFor([&] { return std::filesystem::exists(checkpoint); }, 30000));
        const std::int64_t then = bench.lastStep("run");
        QVERIFY(test::waitFor([&] { return bench.lastStep("run") > then + 20; }, 30000));  // It goes on.
        for (const auto& rank : ranks) {
            test::sendSignal(*rank, SIGTERM);
        }
        for (const auto& rank : ranks) {
            QCOMPARE(Bench::finish(*rank), 143);
        }
    }

    void attempt_goesOnFromTheRunsOwnCheckpoint() {
        const Bench bench;
        Json document = bench.spec();
        spec::setValueAt(document, "task.epochs", 6);
        QCOMPARE(bench.run("whole", document), 0);
        {
            const auto ranks = bench.start("run", document);
            QVERIFY(test::waitFor([&] { return bench.lastStep("run") >= 70; }, 60000));
            test::sendSignal(*ranks[0], SIGKILL);  // As a lost node would; last.ckpt is the first epoch's.
            QCOMPARE(Bench::finish(*ranks[0]), -2);
        }
        const auto attempt = [](const char* number) {
            return [number](int) {
                return std::vector<std::pair<std::string, std::string>>{{"TRAINYARD_ATTEMPT", number}};
            };
        };
        // The request still names what the first attempt began with; the run's own checkpoint is newer.
        document["resolved"] = {{"resume_checkpoint", "/nowhere/first.ckpt"}};
        QCOMPARE(bench.run("run", document, 1, attempt("2")), 0);
        const auto whole = bench.last("whole");
        const auto again = bench.last("run");
        QVERIFY(whole.ok() && again.ok());
        for (const auto& [name, tensor] : whole->tensors) {
            QVERIFY2(at::equal(*again->find(name), tensor), name.c_str());
        }
        // Without one of its own it begins as the first attempt did.
        document.erase("resolved");
        spec::setValueAt(document, "task.epochs", 1);
        QCOMPARE(bench.run("early", document, 1, attempt("3")), 0);
        QCOMPARE(lastStepOf(bench, "early"), std::string("63"));
        document["resolved"] = {{"resume_checkpoint", "/nowhere/first.ckpt"}};
        QCOMPARE(bench.run("gone", document), 1);
        QVERIFY(bench.warned("gone", "resume.missing", "/nowhere/first.ckpt"));
    }

    void attempt_reachesRanksThatShareNoFolder() {
        const Bench bench;
        Json document = bench.spec();
        spec::setValueAt(document, "task.epochs", 3);
        spec::setValueAt(document, "distribution.kind", "pytorch");
        spec::setValueAt(document, "distribution.processes", 2);
        QCOMPARE(bench.run("whole", document, 2), 0);
        Json first = document;
        spec::setValueAt(first, "task.epochs", 2);
        // Constant, so that the shorter run's steps are the longer one's.
        for (Json* each : {&document, &first}) {
            spec::setValueAt(*each, "task.schedule.kind", "constant");
        }
        QCOMPARE(bench.run("straight", document, 2), 0);
        const auto apart = [&](const char* number) {
            return [&bench, number](int rank) {
                return std::vector<std::pair<std::string, std::string>>{
                    {"TRAINYARD_ATTEMPT", number},
                    {"TRAINYARD_OUTPUTS",
                     (bench.folder("apart") / ("outputs" + std::string(rank == 0 ? "" : "-1"))).string()}};
            };
        };
        QCOMPARE(bench.run("apart", first, 2, apart("1")), 0);
        // A stale file on the other machine must not be taken for rank 0's.
        (void) bench.scratch().write("apart/outputs-1/checkpoints/last.ckpt", "something else");
        QVERIFY(base::removeTree(bench.folder("apart") / "rendezvous.json").ok());
        QCOMPARE(bench.run("apart", document, 2, apart("2")), 0);
        const auto straight = bench.last("straight");
        const auto again = bench.last("apart");
        QVERIFY(straight.ok() && again.ok());
        for (const auto& [name, tensor] : straight->tensors) {
            QVERIFY2(at::equal(*again->find(name), tensor), name.c_str());
        }
        QVERIFY(!std::filesystem::exists(bench.folder("apart") / "outputs-1/checkpoints/.received-1"));
        // Rank 0 alone writes: nothing is on the other machine but what was put there.
        QVERIFY(std::filesystem::exists(bench.folder("apart") / "outputs/model.pt"));
        for (const auto& entry : std::filesystem::recursive_directory_iterator(bench.folder("apart") / "outputs-1")) {
            QVERIFY2(entry.is_directory() || entry.path().filename() == "last.ckpt", entry.path().c_str());
        }
        QCOMPARE(bench.scratch().read("apart/outputs-1/checkpoints/last.ckpt"), std::string("something else"));
    }

    void nodes_meetByAddressAndInterface_data() {
        QTest::addColumn<QString>("variable");
        QTest::addColumn<QString>("value");
        QTest::addColumn<QString>("address");
        QTest::newRow("interface") << QStringLiteral("GLOO_SOCKET_IFNAME") << QStringLiteral("lo")
                                   << QStringLiteral("127.0.0.1");
        QTest::newRow("two interfaces") << QStringLiteral("GLOO_SOCKET_IFNAME") << QStringLiteral("lo,lo")
                                        << QStringLiteral("127.0.0.1");
        // Loopback by an address that is not spelled as one: found by the way to it.
        QTest::newRow("found") << QStringLiteral("GLOO_SOCKET_IFNAME") << QString() << QStringLiteral("0x7f000001");
    }
    void nodes_meetByAddressAndInterface() {
        QFETCH(QString, variable);
        QFETCH(QString, value);
        QFETCH(QString, address);
        const Bench bench;
        Json document = bench.spec();
        spec::setValueAt(document, "task.epochs", 1);
        spec::setValueAt(document, "distribution.kind", "pytorch");
        spec::setValueAt(document, "distribution.processes", 2);
        const auto node = [&](int) {
            return std::vector<std::pair<std::string, std::string>>{{variable.toStdString(), value.toStdString()},
                                                                    {"MASTER_ADDR", address.toStdString()},
                                                                    {"LOCAL_RANK", "0"},
                                                                    {"LOCAL_WORLD_SIZE", "1"}};
        };
        QCOMPARE(bench.run("run", document, 2, node), 0);
        QCOMPARE(lastStepOf(bench, "run"), std::string("63"));
        const Json meeting = *base::parseJson(bench.scratch().read("run/rendezvous.json"));
        QCOMPARE(meeting["host"].get<std::string>(), address.toStdString());
    }

    void nodes_aWrongInterfaceIsNamed() {
        const Bench bench;
        Json document = bench.spec();
        spec::setValueAt(document, "distribution.kind", "pytorch");
        spec::setValueAt(document, "distribution.processes", 2);
        const auto ranks = bench.start("run", document, 2, {}, [](int) {
            return std::vector<std::pair<std::string, std::string>>{{"GLOO_SOCKET_IFNAME", "lo,nosuch0"}};
        });
        for (const auto& rank : ranks) {
            QCOMPARE(Bench::finish(*rank), 1);
        }
        QVERIFY(bench.warned("run", "engine.interface", "\"nosuch0\""));
        QVERIFY(bench.warned("run", "engine.interface", "it has"));
    }

    void device_cudaNeverFallsBack() {
        const Bench bench;
        Json document = bench.spec();
        spec::setValueAt(document, "task.device", "cuda");
        if (std::filesystem::exists("/dev/nvidia0")) {
            QSKIP("this machine has a GPU");
        }
        QCOMPARE(bench.run("cuda", document), 1);
        QVERIFY(bench.warned("cuda", "engine.device", "cuda"));
        spec::setValueAt(document, "distribution.kind", "pytorch");
        spec::setValueAt(document, "distribution.processes", 2);
        spec::setValueAt(document, "distribution.backend", "nccl");
        QCOMPARE(bench.run("nccl", document, 2), 1);
        QVERIFY(bench.warned("nccl", "engine.device", "cuda"));
        // NCCL never becomes Gloo, nor does it wait for anybody before it says so.
        engine::RankContext context;
        context.world = 2;
        context.rendezvous = bench.scratch() / "never";
        const auto joined = engine::ProcessGroup::join(context, "nccl", at::kCPU);
        QVERIFY(!joined.ok());
        QCOMPARE(joined.error().code, std::string("engine.backend"));
        QCOMPARE(joined.error().field, std::string("distribution.backend"));
    }

    void selftest_reports() {
        const base::Path engine = test::builtProgram("trainyard-engine");
        const auto plain = test::runProgram(engine, {"selftest"}, {.timeoutMillis = 120000});
        QVERIFY2(plain.exitCode == 0, plain.err.c_str());
        const Json result = *base::parseJson(plain.out);
        QCOMPARE(result["passed"], Json(true));
        std::vector<std::string> names;
        for (const Json& check : result["checks"]) {
            names.push_back(check["name"].get<std::string>());
            QVERIFY2(plain.err.find(names.back()) != std::string::npos, names.back().c_str());
        }
        for (const char* name : {"gradients", "model mlp", "model cnn", "optimizer update", "gloo"}) {
            QVERIFY2(std::ranges::find(names, name) != names.end(), name);
        }
        if (!std::filesystem::exists("/dev/nvidia0")) {
            const auto gpu = test::runProgram(engine, {"selftest", "--gpu"}, {.timeoutMillis = 120000});
            QCOMPARE(gpu.exitCode, 1);
            QVERIFY2(gpu.err.find("FAIL  cuda") != std::string::npos, gpu.err.c_str());
            QCOMPARE((*base::parseJson(gpu.out))["passed"], Json(false));
        }
        QCOMPARE(test::runProgram(engine, {"selftest", "--all"}).exitCode, 2);
        // A rank that is told nonsense says so.
        QCOMPARE(test::runProgram(engine, {"selftest", "--rank", "x"}).exitCode, 2);
    }
};

QTEST_GUILESS_MAIN(TestOnTarget)
#include "tst_OnTarget.moc"
