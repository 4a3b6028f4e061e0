// Runs on a real Slurm cluster: what a person sends there and gets back.
#include <QTest>

#include "core/base/Content.h"
#include "core/base/Hash.h"
#include "core/runs/Fetchable.h"
#include "core/spec/RunSpec.h"
#include "tests/helpers/Archives.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/FileServer.h"
#include "tests/helpers/Png.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"
#include "tests/integration/slurm/SlurmRig.h"

using namespace trainyard;
using base::Json;
using test::SlurmRig;
using State = targets::SchedulerLook::State;

namespace {

constexpr const char* kImages = "/usr/share/datasets/fashion-mnist";

/// Data parallel training on four numbers a rank; every rank must end with the same weight.
constexpr const char* kDdpScript = R"PY(
import os, torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
torch.set_num_threads(1)
torch.manual_seed(0)
dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
assert rank == int(os.environ["RANK"]) and world == int(os.environ["WORLD_SIZE"]), os.environ
assert int(os.environ["LOCAL_WORLD_SIZE"]) * 2 == world
model = DistributedDataParallel(torch.nn.Linear(1, 1))
step = torch.optim.SGD(model.parameters(), lr=0.05)
x = torch.arange(4.0).reshape(4, 1) + rank
for _ in range(60):
    step.zero_grad()
    loss = ((model(x) - (2 * x + 1)) ** 2).mean()
    loss.backward()
    step.step()
total = torch.tensor([model.module.weight.item()])
dist.all_reduce(total)
same = abs(total.item() / world - model.module.weight.item()) < 1e-6
with open(os.environ["TRAINYARD_STREAM"], "a") as f:
    f.write('{"kind": "metric", "name": "loss", "value": %r, "step": 60}\n' % loss.item())
print("rank %d of %d on %s: same %s, loss %.3f" % (rank, world, os.uname().nodename, same, loss.item()), flush=True)
if rank == 0:
    torch.save(model.module.state_dict(), os.environ["TRAINYARD_OUTPUTS"] + "/weights.pt")
dist.destroy_process_group()
)PY";

targets::SnapshotFile snapshotOf(const std::string& path, const base::Path& local) {
    targets::SnapshotFile file;
    file.path = path;
    file.local = local;
    file.sha256 = base::sha256File(local).valueOr("");
    file.size = static_cast<std::int64_t>(std::filesystem::file_size(local));
    return file;
}

std::vector<targets::InputData::File> dataFiles() {
    std::vector<targets::InputData::File> files;
    const auto content = base::readContent(kImages);
    if (content.ok()) {
        for (const base::ContentFile& file : content->files) {
            files.push_back({file.path, file.sha256, file.size, base::Path(kImages) / file.path});
        }
    }
    return files;
}

/// A train task of a few steps whose data is sent to the cluster.
targets::LaunchPlan training(int nodes, int processes, int epochs = 1, int samples = 2000) {
    spec::RunSpec run;
    run.target = "cluster";
    run.train.dataset.trainImages = "$TRAINYARD_INPUT_DATASET/train-images-idx3-ubyte.gz";
    run.train.dataset.trainLabels = "$TRAINYARD_INPUT_DATASET/train-labels-idx1-ubyte.gz";
    run.train.dataset.valImages = "$TRAINYARD_INPUT_DATASET/t10k-images-idx3-ubyte.gz";
    run.train.dataset.valLabels = "$TRAINYARD_INPUT_DATASET/t10k-labels-idx1-ubyte.gz";
    run.train.dataset.trainLimit = samples;
    run.train.dataset.valLimit = 500;
    run.train.model.family = "mlp";
    run.train.epochs = epochs;
    run.train.threads = 1;
    run.train.device = "cpu";
    run.distribution.kind = nodes * processes > 1 ? "pytorch" : "none";
    run.distribution.nodes = nodes;
    run.distribution.processes = processes;
    targets::LaunchPlan launch =
        SlurmRig::plan({"$TRAINYARD_ENGINE", "train", "--spec", "$TRAINYARD_NODE_FOLDER/spec.json"});
    Json document = spec::toJson(run);
    document["resolved"] = {{"run", launch.plan.run.str()}, {"number", 1}, {"name", "a run"}, {"threads", 1}};
    launch.plan.nodes = nodes;
    launch.plan.processes = processes;
    launch.plan.cores = processes;
    launch.plan.engine = true;
    launch.plan.distribution = run.distribution.kind;
    launch.plan.backend = "gloo";
    launch.files = {{"spec.json", base::dumpJsonPretty(document)}};
    launch.needsEngine = true;
    targets::InputData data;
    data.name = "dataset";
    data.files = dataFiles();
    std::vector<base::ContentFile> hashed;
    for (const auto& file : data.files) {
        hashed.push_back({file.path, file.sha256, file.size});
    }
    data.sha256 = base::contentHash(hashed);
    launch.inputs = {data};
    return launch;
}

}  // namespace

class TestSlurmRuns : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase() {
        if (const std::string missing = test::SlurmLab::missing(); !missing.empty()) {
            TRAINYARD_SKIP(missing.c_str());
        }
        const auto isolated = test::SlurmLab::isolateNetwork();
        QVERIFY2(isolated.ok(), isolated.ok() ? "" : isolated.error().message.c_str());
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        m_guard = std::make_unique<test::ChildGuard>();
        m_rig = std::make_unique<SlurmRig>();
        const auto started = m_rig->start();
        QVERIFY2(started.ok(), started.ok() ? "" : started.error().message.c_str());
    }
    void cleanupTestCase() {
        m_rig.reset();
        if (m_guard) {
            QVERIFY2(m_guard->noneLeft(5000), m_guard->report().c_str());
        }
    }
    void cleanup() {
        if (QTest::currentTestFailed() && m_rig) {
            qWarning("%s\n%s", SlurmRig::jobOutput(m_rig->runFolder(m_run)).c_str(), m_rig->lab().logs().c_str());
        }
    }

    void script_onOneNode() {
        auto launch = SlurmRig::shell(
            "echo hello from $(hostname); echo oops >&2; echo kept > \"$TRAINYARD_OUTPUTS/kept.txt\"; exit 0");
        QVERIFY(begin(launch));
        const auto streams = m_rig->follow(m_run, SlurmRig::ended());
        QCOMPARE(outcome(streams), std::string("completed"));
        QVERIFY(SlurmRig::gapless(streams));
        QVERIFY(SlurmRig::logOf(streams).find("hello from n") != std::string::npos);
        QVERIFY(SlurmRig::logOf(streams).find("oops") != std::string::npos);
        QVERIFY(m_rig->waitForState(m_run, State::Completed));
        const auto look = m_rig->look(m_run);
        QVERIFY(look.ok() && look->scheduler);
        QVERIFY(!look->scheduler->job.empty());
        QCOMPARE(look->nodes.size(), std::size_t{1});
        QVERIFY(look->nodes[0].status == targets::AgentStatus::Gone);

        const auto listed = SlurmRig::await<targets::OutputList>([&](auto done) {
            return m_rig->target().listOutputs(m_run, base::Deadline::inMillis(10'000), std::move(done));
        });
        QVERIFY(listed.ok());
        const auto fetched = SlurmRig::await<targets::FetchReport>([&](auto done) {
            return m_rig->target().fetchOutputs(m_run, listed->files, *m_scratch / "outputs", {}, std::move(done));
        });
        QVERIFY(fetched.ok());
        QCOMPARE(m_scratch->read("outputs/kept.txt"), std::string("kept\n"));

        const auto removed = SlurmRig::await<void>([&](auto done) {
            return m_rig->target().removeRun(m_run, base::Deadline::inMillis(10'000), std::move(done));
        });
        QVERIFY2(removed.ok(), removed.ok() ? "" : removed.error().message.c_str());
        QVERIFY(!std::filesystem::exists(m_rig->runFolder(m_run)));
    }

    void launch_isNotRepeated() {
        auto launch = SlurmRig::shell("echo once >> \"$TRAINYARD_OUTPUTS/times.txt\"; sleep 2");
        QVERIFY(begin(launch));
        const auto job = m_rig->look(m_run);
        QVERIFY(begin(launch));
        // As after an answer of sbatch that never came: nothing says which job it was but its name.
        std::filesystem::remove(m_rig->runFolder(m_run) / "job");
        QVERIFY(begin(launch));
        QVERIFY(begin(launch));
        const auto again = m_rig->look(m_run);
        QVERIFY(job.ok() && again.ok());
        QCOMPARE(again->scheduler->job, job->scheduler->job);
        // And as by a second workbench in the same moment: the job that comes second ends without touching the run.
        const auto second = m_rig->lab().slurm({"sbatch", "--parsable", (m_rig->runFolder(m_run) / "job.sh").string()});
        QCOMPARE(second.exitCode, 0);
        const auto streams = m_rig->follow(m_run, SlurmRig::ended());
        QCOMPARE(outcome(streams), std::string("completed"));
        QVERIFY(test::waitFor([&] { return m_rig->lab().slurm({"squeue", "-h"}).out.empty(); }, 20'000));
        QCOMPARE(base::readFile(m_rig->runFolder(m_run) / "outputs" / "times.txt").valueOr(""), std::string("once\n"));
        QCOMPARE(streams.size(), std::size_t{1});
    }

    void source_inputsAndVariables_arrive() {
        const base::Path script = m_scratch->write(
            "source/main.sh", "#!/bin/sh\ncat \"$TRAINYARD_INPUT_WORDS\"; cat sub/more.txt; echo $GREETING; pwd\n");
        const base::Path more = m_scratch->write("source/sub/more.txt", "more\n");
        const base::Path words = m_scratch->write("words.txt", "some words\n");
        auto launch = SlurmRig::plan({"./main.sh"});
        launch.plan.variables = {{"GREETING", "it's \"me\"; $HOME `x`"}};
        launch.hasSource = true;
        for (const auto& [path, local] :
             {std::pair<std::string, base::Path>{"main.sh", script}, {"sub/more.txt", more}}) {
            launch.source.push_back(snapshotOf(path, local));
            launch.source.back().executable = path == "main.sh";
        }
        targets::InputData input;
        input.name = "words";
        input.isFolder = false;
        input.sha256 = base::sha256File(words).valueOr("");
        input.files = {{"words.txt", input.sha256, 11, words}};
        launch.inputs = {input};
        QVERIFY(begin(launch));
        const auto streams = m_rig->follow(m_run, SlurmRig::ended());
        QCOMPARE(outcome(streams), std::string("completed"));
        const std::string log = SlurmRig::logOf(streams);
        QVERIFY2(log.starts_with("some words\nmore\nit's \"me\"; $HOME `x`\n"), log.c_str());
        QVERIFY(log.find("/a1/n0/code") != std::string::npos);
    }

    void gpus_areTheSchedulers() {
        auto launch = SlurmRig::shell("echo devices $CUDA_VISIBLE_DEVICES");
        launch.plan.gpus = 1;
        QVERIFY(begin(launch));
        const auto streams = m_rig->follow(m_run, SlurmRig::ended());
        QCOMPARE(outcome(streams), std::string("completed"));
        QVERIFY2(SlurmRig::logOf(streams).find("devices 0\n") != std::string::npos, SlurmRig::logOf(streams).c_str());
    }

    void rankThatFails_endsTheRunOnEveryNode() {
        auto launch = SlurmRig::shell("if [ \"$RANK\" = 1 ]; then echo dying; exit 7; fi; sleep 60");
        launch.plan.nodes = 2;
        launch.plan.distribution = "pytorch";
        launch.plan.backend = "gloo";
        QVERIFY(begin(launch));
        const auto streams = m_rig->follow(m_run, SlurmRig::ended(), 40'000);
        QCOMPARE(outcome(streams), std::string("failed"));
        const std::string reason = SlurmRig::endOf(streams).value("reason", std::string());
        QVERIFY2(reason.find("7") != std::string::npos, reason.c_str());
        QVERIFY(test::waitFor([&] { return m_rig->lab().slurm({"squeue", "-h"}).out.empty(); }, 20'000));
    }

    void ddp_onTwoNodes() {
        if (test::runProgram("/usr/bin/python3", {"-c", "import torch"}).exitCode != 0) {
            TRAINYARD_SKIP("Needs python3-torch.");
        }
        const base::Path script = m_scratch->write("train.py", kDdpScript);
        auto launch = SlurmRig::plan({"/usr/bin/python3", "train.py"});
        launch.hasSource = true;
        launch.source = {snapshotOf("train.py", script)};
        launch.plan.nodes = 2;
        launch.plan.processes = 1;
        launch.plan.distribution = "pytorch";
        launch.plan.backend = "gloo";
        QVERIFY(begin(launch));
        const auto streams = m_rig->follow(m_run, SlurmRig::ended(), 90'000);
        const std::string log = SlurmRig::logOf(streams);
        QVERIFY2(outcome(streams) == "completed", log.c_str());
        for (const char* line : {"rank 0 of 2 on n1: same True", "rank 1 of 2 on n2: same True"}) {
            QVERIFY2(log.find(line) != std::string::npos, log.c_str());
        }
        QVERIFY(std::filesystem::exists(m_rig->runFolder(m_run) / "outputs" / "weights.pt"));
        QVERIFY(SlurmRig::gapless(streams));
        for (int node = 0; node < 2; ++node) {
            const auto& records = streams.at({1, node});
            QVERIFY(std::any_of(records.begin(), records.end(),
                                [](const Json& record) { return record.value("kind", std::string()) == "metrics"; }));
        }
    }

    void mpi_bySrun() {  // On two nodes: tst_Lan, where each has an address of its own.
        if (test::runProgram("/usr/bin/python3", {"-c", "import mpi4py"}).exitCode != 0) {
            TRAINYARD_SKIP("Needs python3-mpi4py.");
        }
        const base::Path script =
            m_scratch->write("mpi.py", "from mpi4py import MPI\nimport os, sys, time\nc = MPI.COMM_WORLD\n"
                                       "print('rank %d of %d, sum %d, %s %s' % (c.rank, c.size, c.allreduce(c.rank + "
                                       "1), os.environ['RANK'], os.environ['LOCAL_RANK']), flush=True)\n"
                                       "c.barrier()\n"
                                       "if sys.argv[1] == 'die':\n  if c.rank == 3: print('dying', file=sys.stderr, "
                                       "flush=True); os.kill(os.getpid(), 9)\n  time.sleep(200)\n");
        for (const char* what : {"live", "die"}) {
            auto launch = SlurmRig::plan({"/usr/bin/python3", "mpi.py", what});
            launch.hasSource = true;
            launch.source = {snapshotOf("mpi.py", script)};
            launch.plan.processes = 4;
            launch.plan.cores = 2;
            launch.plan.distribution = "mpi";
            QVERIFY(begin(launch));
            const auto streams = m_rig->follow(m_run, SlurmRig::ended(), 90'000);
            const std::string log = SlurmRig::logOf(streams);
            for (int rank = 0; rank < 4; ++rank) {
                const std::string number = std::to_string(rank);
                const std::string line = "rank " + number + " of 4, sum 10, " + number + " " + number + "\n";
                QVERIFY2(log.find(line) != std::string::npos, (log + base::dumpJson(SlurmRig::endOf(streams))).c_str());
            }
            if (std::string(what) == "live") {
                QVERIFY2(outcome(streams) == "completed", base::dumpJson(SlurmRig::endOf(streams)).c_str());
            } else {
                const Json end = SlurmRig::endOf(streams);
                QCOMPARE(end.value("code", std::string()), std::string("rank.signal"));
                QVERIFY2(end.value("reason", std::string()).starts_with("Rank 3 was killed by signal 9"),
                         base::dumpJson(end).c_str());
            }
            QVERIFY(test::waitFor([&] { return m_rig->lab().slurm({"squeue", "-h"}).out.empty(); }, 30'000));
        }
    }

    void mpirun_underSlurm_isRefused() {
        auto launch = SlurmRig::shell("true");
        launch.plan.distribution = "mpi";
        launch.plan.launcher = "mpirun";
        launch.plan.processes = 2;
        const auto refused = m_rig->launch(launch);
        QVERIFY(!refused.ok());
        QCOMPARE(refused.error().code, std::string("slurm.launcher"));
        QCOMPARE(refused.error().field, std::string("distribution.launcher"));
        QCOMPARE(m_rig->lab().slurm({"squeue", "-h"}).out, std::string());
    }

    void deadRank_theJobIsQueuedAgain() {
        auto launch = SlurmRig::shell("echo attempt $TRAINYARD_ATTEMPT; [ $TRAINYARD_ATTEMPT = 2 ] || kill -9 $$");
        launch.plan.maxRestarts = 1;
        QVERIFY(begin(launch));
        const auto streams = m_rig->follow(m_run, SlurmRig::ended(2), 90'000);
        const Json first = SlurmRig::endOf(streams);
        QVERIFY2(first.value("restart", false), base::dumpJson(first).c_str());
        QCOMPARE(SlurmRig::endOf(streams, 2).value("outcome", std::string()), std::string("completed"));
        QVERIFY(SlurmRig::logOf(streams, 2).find("attempt 2\n") != std::string::npos);
        QVERIFY(m_rig->waitForState(m_run, State::Completed));
        QCOMPARE(m_rig->look(m_run)->scheduler->restarts, 1);
    }

    void engine_onTwoNodes_withDataThatWasNeverThere() {
        if (!std::filesystem::exists(kImages) || !std::filesystem::exists(test::builtProgram("trainyard-engine"))) {
            TRAINYARD_SKIP("Needs trainyard-engine and the package dataset-fashion-mnist.");
        }
        QVERIFY(begin(training(2, 1)));
        const auto streams = m_rig->follow(m_run, SlurmRig::ended(), 90'000);
        QVERIFY2(outcome(streams) == "completed",
                 (SlurmRig::logOf(streams) + base::dumpJson(SlurmRig::endOf(streams))).c_str());
        const std::string log = SlurmRig::logOf(streams);
        QVERIFY2(log.find("2 processes") != std::string::npos, log.c_str());
        for (const char* file : {"model.pt", "model.safetensors", "checkpoints/last.ckpt"}) {
            QVERIFY2(std::filesystem::exists(m_rig->runFolder(m_run) / "outputs" / file), file);
        }
        QVERIFY(SlurmRig::gapless(streams));
        // Sent once: the second launch finds everything.
        const auto measured = SlurmRig::await<Json>([&](auto done) {
            return m_rig->target().measureUpload(training(2, 1), base::Deadline::inMillis(30'000), std::move(done));
        });
        QVERIFY2(measured.ok(), measured.ok() ? "" : measured.error().message.c_str());
        QCOMPARE(measured->at("bytes").get<std::int64_t>(), std::int64_t{0});
        QVERIFY2(measured->at("estimated_start").get<std::int64_t>() > 0, base::dumpJson(*measured).c_str());
    }

    /// Pictures in an archive: the cluster fetches it from its address, once for all nodes; another file is none.
    void engine_onPicturesThatTheClusterFetches() {
        if (!std::filesystem::exists(test::builtProgram("trainyard-engine"))) {
            TRAINYARD_SKIP("Needs trainyard-engine.");
        }
        std::vector<test::ArchiveItem> birds;
        for (int i = 0; i < 16; ++i) {
            const auto shade = static_cast<unsigned char>(12 * i);
            birds.push_back({std::string(i % 2 == 0 ? "hen/" : "wren/") + std::to_string(i) + ".png",
                             test::pngOf(40, 36, {shade, static_cast<unsigned char>(i % 2 * 200), 7})});
        }
        std::filesystem::create_directories(*m_scratch / "site");
        QVERIFY(test::writeArchive(*m_scratch / "site/birds.tar.gz", birds, "tar", "gzip"));
        const std::string hash = base::sha256File(*m_scratch / "site/birds.tar.gz").valueOr("");
        const test::FileServer server(*m_scratch / "site");
        QVERIFY(server.port() > 0);
        const auto launchOf = [&](const std::string& sha256) {
            targets::LaunchPlan launch = training(2, 1);
            Json document = base::parseJson(launch.files.front().second).valueOr({});
            document["task"]["dataset"] = {{"kind", "images"},
                                           {"folder", "$TRAINYARD_INPUT_DATASET"},
                                           {"image_size", 32},
                                           {"resize_size", 36},
                                           {"val_fraction", 0.25}};
            document["task"]["model"] = {{"family", "mobilenet_v3_small"}};
            document["task"]["batch_size"] = 4;
            launch.files.front().second = base::dumpJson(document);
            launch.inputs = {runs::addressInput("dataset", {server.address("birds.tar.gz"), sha256, true, {}})};
            return launch;
        };
        for (int round = 0; round < 2; ++round) {
            QVERIFY(begin(launchOf(hash)));
            const auto streams = m_rig->follow(m_run, SlurmRig::ended(), 90'000);
            QVERIFY2(outcome(streams) == "completed",
                     (SlurmRig::logOf(streams) + base::dumpJson(SlurmRig::endOf(streams))).c_str());
        }
        QCOMPARE(server.requests().size(), std::size_t{1});
        const auto wrong = m_rig->launch(launchOf(std::string(64, 'a')));
        QVERIFY(!wrong.ok());
        QVERIFY2(wrong.error().message.find("SHA-256") != std::string::npos, wrong.error().message.c_str());
    }

private:
    bool begin(const targets::LaunchPlan& launch) {
        m_run = launch.plan.run;
        const auto started = m_rig->launch(launch);
        if (!started.ok()) {
            qWarning("%s: %s", started.error().code.c_str(), started.error().message.c_str());
        }
        return started.ok();
    }
    static std::string outcome(const SlurmRig::Streams& streams) {
        return SlurmRig::endOf(streams).value("outcome", std::string("none"));
    }

    std::unique_ptr<test::ChildGuard> m_guard;
    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<SlurmRig> m_rig;
    base::RunId m_run;
};

QTEST_GUILESS_MAIN(TestSlurmRuns)
#include "tst_Runs.moc"
