// What the queue does with a run: it waits, is put back, loses a node, reaches its limit, is ended by somebody else.
#include <QTest>

#include "core/spec/RunSpec.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Hostile.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"
#include "tests/integration/slurm/SlurmRig.h"

using namespace trainyard;
using base::Json;
using test::SlurmRig;
using State = targets::SchedulerLook::State;

namespace {

/// Counts on from what the attempt before left, which is how a script resumes.
constexpr const char* kCounting =
    "n=$(cat \"$TRAINYARD_OUTPUTS/n\" 2>/dev/null || echo 0); echo attempt $TRAINYARD_ATTEMPT from $n on $(hostname); "
    "while [ $n -lt 10000 ]; do n=$((n + 1)); echo $n > \"$TRAINYARD_OUTPUTS/n\"; [ -e \"$TRAINYARD_OUTPUTS/stop\" ] "
    "&& exit 0; sleep 0.1; done";

}  // namespace

class TestSlurmQueue : public QObject {
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
        test::SlurmLabOptions options;
        options.maxMinutes = 10;
        const auto started = m_rig->start(options);
        QVERIFY2(started.ok(), started.ok() ? "" : started.error().message.c_str());
    }
    void cleanupTestCase() {
        m_rig.reset();
        if (m_guard) {
            QVERIFY2(m_guard->noneLeft(5000), m_guard->report().c_str());
        }
    }
    void init() { m_rig->use(m_rig->spec()); }
    void cleanup() {
        if (!m_rig) {
            return;
        }
        if (QTest::currentTestFailed()) {
            qWarning("%s\n%s", SlurmRig::jobOutput(m_rig->runFolder(m_run)).c_str(), m_rig->lab().logs().c_str());
        }
        [[maybe_unused]] const auto ended = m_rig->lab().slurm({"scancel", "--user=root"});
        QVERIFY(test::waitFor([&] { return m_rig->lab().slurm({"squeue", "-h"}).out.empty(); }, 30'000));
    }

    void refusals_nameTheField_data() {
        QTest::addColumn<QString>("change");
        QTest::addColumn<QString>("code");
        QTest::addColumn<QString>("field");
        QTest::newRow("partition") << "partition"
                                   << "slurm.partition"
                                   << "slurm.partition";
        QTest::newRow("constraint") << "constraint"
                                    << "slurm.constraint"
                                    << "slurm.constraint";
        QTest::newRow("gpu type") << "gpu_type"
                                  << "slurm.nodes"
                                  << "distribution.nodes";
        QTest::newRow("nodes of the target") << "nodes"
                                             << "slurm.nodes"
                                             << "distribution.nodes";
        QTest::newRow("nodes of the partition") << "many_nodes"
                                                << "slurm.nodes"
                                                << "distribution.nodes";
        QTest::newRow("time") << "time"
                              << "slurm.time"
                              << "limits.max_seconds";
        QTest::newRow("extra line") << "line"
                                    << "slurm.line"
                                    << "slurm.extra_lines";
        QTest::newRow("owned line") << "owned"
                                    << "slurm.line"
                                    << "slurm.extra_lines";
        QTest::newRow("memory") << "memory"
                                << "slurm.policy"
                                << "slurm.extra_lines";
    }
    void refusals_nameTheField() {
        QFETCH(QString, change);
        QFETCH(QString, code);
        QFETCH(QString, field);
        spec::TargetSpec spec = m_rig->spec();
        auto launch = SlurmRig::shell("true");
        if (change == u"partition") {
            spec.slurm.partition = "nope";
        } else if (change == u"constraint") {
            spec.slurm.constraint = "nosuchfeature";
        } else if (change == u"gpu_type") {
            spec.slurm.gpuType = "h100";
            launch.plan.gpus = 1;
        } else if (change == u"nodes") {
            launch.plan.nodes = 3;
        } else if (change == u"many_nodes") {
            spec.slurm.maxNodes = 99;
            launch.plan.nodes = 7;
        } else if (change == u"time") {
            spec.slurm.partition = "short";
            launch.plan.maxSeconds = 3600;
        } else if (change == u"line") {
            spec.slurm.extraLines = {"--no-such-option"};
        } else if (change == u"owned") {
            spec.slurm.extraLines = {"--nodes=9"};
        } else {
            spec.slurm.extraLines = {"--mem=9999G"};
        }
        m_rig->use(spec);
        m_run = launch.plan.run;
        const auto started = m_rig->launch(launch);
        QVERIFY(!started.ok());
        QVERIFY2(QString::fromStdString(started.error().code) == code, started.error().message.c_str());
        QCOMPARE(QString::fromStdString(started.error().field), field);
        QCOMPARE(m_rig->lab().slurm({"squeue", "-h", "-t", "PENDING,RUNNING"}).out, std::string());
    }

    void account_thatMayNotUseThePartition_saysSoWhileItWaits() {
        spec::TargetSpec spec = m_rig->spec();
        spec.slurm.partition = "closed";
        m_rig->use(spec);
        QVERIFY(begin(SlurmRig::shell("true")));
        const auto look = m_rig->look(m_run);
        QVERIFY(look.ok() && look->scheduler);
        QVERIFY(look->scheduler->state == State::Pending);
        QVERIFY2(look->scheduler->reason.find("account") != std::string::npos, look->scheduler->reason.c_str());
    }

    void waiting_hasTheQueuesReason_andCanBeCanceled() {
        auto first = SlurmRig::shell("sleep 60");
        first.plan.nodes = 2;
        first.plan.cores = 4;
        first.plan.maxSeconds = 120;  // without a limit of those before it, Slurm expects no start
        QVERIFY(begin(first));
        QVERIFY(m_rig->waitForState(first.plan.run, State::Running));
        auto second = SlurmRig::shell("true");
        second.plan.nodes = 2;
        second.plan.cores = 4;
        second.plan.maxSeconds = 60;
        QVERIFY(begin(second));
        QVERIFY(test::waitFor(
            [&] {
                const auto look = m_rig->look(m_run);
                return look.ok() && look->scheduler && look->scheduler->reason.starts_with("Resources (waits") &&
                       look->scheduler->estimatedStart > 0;
            },
            20'000));
        QVERIFY(m_rig->look(m_run)->nodes.empty());
        const auto load = SlurmRig::await<Json>(
            [&](auto done) { return m_rig->target().load(base::Deadline::inMillis(10'000), std::move(done)); });
        QVERIFY2(load.ok(), load.ok() ? "" : load.error().message.c_str());
        QCOMPARE(load->at("hosts").size(), std::size_t{2});
        QCOMPARE(load->at("hosts")[0].at("cores_busy").get<int>(), 4);
        QCOMPARE(load->at("queue").at("running").get<int>(), 1);
        QCOMPARE(load->at("queue").at("pending").get<int>(), 1);
        QVERIFY(m_rig->command(m_run, "cancel").ok());
        QVERIFY(m_rig->waitForState(m_run, State::Canceled));
        QVERIFY(!std::filesystem::exists(m_rig->runFolder(m_run) / "a1"));
        QVERIFY(m_rig->state(first.plan.run) == State::Running);
        // And one that runs: its agents say canceled, politely.
        QVERIFY(m_rig->command(first.plan.run, "cancel").ok());
        const auto streams = m_rig->follow(first.plan.run, SlurmRig::ended());
        QCOMPARE(SlurmRig::endOf(streams).value("outcome", std::string()), std::string("canceled"));
        QVERIFY(m_rig->waitForState(first.plan.run, State::Canceled));
    }

    void script_thatIgnoresSigterm_isEndedAllTheSame() {
        QVERIFY(begin(SlurmRig::shell("trap '' TERM; echo deaf; while :; do sleep 1; done")));
        QVERIFY(m_rig->waitForLog(m_run, "deaf"));
        QVERIFY(m_rig->command(m_run, "cancel").ok());
        QVERIFY(m_rig->waitForState(m_run, State::Canceled, 30'000));
    }

    void scancel_outsideOfUs_isSeen() {
        QVERIFY(begin(SlurmRig::shell("echo up; sleep 60")));
        QVERIFY(m_rig->waitForLog(m_run, "up"));
        QVERIFY(m_rig->lab().slurm({"scancel", "--name=" + m_rig->nameOf(m_run)}).exitCode == 0);
        QVERIFY(m_rig->waitForState(m_run, State::Canceled));
        const auto look = m_rig->look(m_run);
        QVERIFY(std::none_of(look->nodes.begin(), look->nodes.end(),
                             [](const auto& node) { return node.status == targets::AgentStatus::Alive; }));
    }

    void preempted_itGoesOnInAnotherAttempt() {
        auto low = SlurmRig::shell(kCounting);
        low.plan.cores = 4;
        low.plan.nodes = 2;
        spec::TargetSpec spec = m_rig->spec();
        spec.slurm.lowPriority = true;
        spec.slurm.lowPriorityPartition = "p";
        m_rig->use(spec);
        QVERIFY(begin(low));
        QVERIFY(m_rig->waitForLog(m_run, "attempt 1"));
        const auto high = m_rig->lab().slurm(
            {"sbatch", "--parsable", "-p", "hi", "-N2", "-n2", "-c4", "-o", "/dev/null", "--wrap=sleep 3"});
        QCOMPARE(high.exitCode, 0);
        QVERIFY(test::waitFor(
            [&] {
                const auto look = m_rig->look(m_run);
                return look.ok() && look->scheduler && look->scheduler->state == State::Pending &&
                       look->scheduler->restarts == 1;
            },
            30'000));
        finishCounting(2);
    }

    void killedNode_itGoesOnOnTheOther() {
        QVERIFY(begin(SlurmRig::shell(kCounting)));
        const auto streams = m_rig->follow(m_run, [](const SlurmRig::Streams& seen) {
            return SlurmRig::logOf(seen).find("attempt 1") != std::string::npos;
        });
        const bool first = SlurmRig::logOf(streams).find("on n1") != std::string::npos;
        m_rig->lab().crash(first ? 1 : 2);
        finishCounting(2);
        QVERIFY(m_rig->lab().boot(first ? 1 : 2).ok());
        QVERIFY(test::waitFor(
            [&] {
                return m_rig->lab().slurm({"sinfo", "-h", "-N", "-p", "p", "-t", "idle", "-o", "%N"}).out == "n1\nn2\n";
            },
            30'000));
    }

    void timeLimit_aCheckpointIsWritten_andTrainingGoesOn() {
        const base::Path images = "/usr/share/datasets/fashion-mnist";
        if (!std::filesystem::exists(images) || !std::filesystem::exists(test::builtProgram("trainyard-engine"))) {
            TRAINYARD_SKIP("Needs trainyard-engine and the package dataset-fashion-mnist.");
        }
        spec::TargetSpec spec = m_rig->spec();
        spec.slurm.timeLimitMinutes = 1;
        spec.slurm.signalSeconds = 50;  // of sixty: Slurm sends it up to a minute early
        spec.slurm.requeueAtLimit = true;
        m_rig->use(spec);
        spec::RunSpec run;
        run.train.dataset.trainImages = (images / "train-images-idx3-ubyte.gz").string();
        run.train.dataset.trainLabels = (images / "train-labels-idx1-ubyte.gz").string();
        run.train.dataset.valImages = (images / "t10k-images-idx3-ubyte.gz").string();
        run.train.dataset.valLabels = (images / "t10k-labels-idx1-ubyte.gz").string();
        run.train.dataset.valLimit = 100;
        run.train.dataset.trainLimit = 4000;
        run.train.model.family = "mlp";
        run.train.epochs = 10'000;
        run.train.threads = 1;
        run.train.checkpointEveryEpochs = 0;  // only when asked
        auto launch = SlurmRig::plan({"$TRAINYARD_ENGINE", "train", "--spec", "$TRAINYARD_NODE_FOLDER/spec.json"});
        Json document = spec::toJson(run);
        document["resolved"] = {{"run", launch.plan.run.str()}, {"number", 1}, {"name", "a run"}, {"threads", 1}};
        launch.plan.engine = true;
        launch.needsEngine = true;
        launch.files = {{"spec.json", base::dumpJsonPretty(document)}};
        QVERIFY(begin(launch));
        QVERIFY(
            test::waitFor([&] { return std::filesystem::exists(m_rig->runFolder(m_run) / "a1" / "warned"); }, 70'000));
        QVERIFY(test::waitFor(
            [&] { return std::filesystem::exists(m_rig->runFolder(m_run) / "outputs" / "checkpoints" / "last.ckpt"); },
            20'000));
        QVERIFY(m_rig->waitForLog(m_run, "going on from step ", 2));
        const auto streams =
            m_rig->follow(m_run, [](const SlurmRig::Streams& seen) { return !SlurmRig::logOf(seen, 2).empty(); });
        QVERIFY(SlurmRig::endOf(streams, 1).is_null());
    }

    void doctor_findsWhatThereIs() {
        const auto lines = doctor();
        QVERIFY(lines.contains("slurm"));
        for (const char* id : {"reach", "slurm", "partition", "nodes", "shared", "compute"}) {
            QVERIFY2(lines.contains(id), id);
            QVERIFY2(lines.at(id).finding == targets::Finding::Ok,
                     (std::string(id) + ": " + lines.at(id).text + " " + lines.at(id).remedy).c_str());
            QVERIFY(lines.at(id).remedy.empty());
        }
        QCOMPARE(lines.at("nodes").values.at("gpus").get<int>(), 2);
        QCOMPARE(lines.at("nodes").values.at("cores").get<int>(), 4);
        for (const auto& entry : std::filesystem::directory_iterator(m_rig->lab().shared() / "work")) {
            QVERIFY2(!entry.path().filename().string().starts_with(".doctor"), entry.path().c_str());
        }
    }

    void doctor_failuresAreSeen() {
        spec::TargetSpec spec = m_rig->spec();
        spec.slurm.partition = "nope";
        spec.slurm.gpuType = "h100";
        m_rig->use(spec);
        auto lines = doctor();
        QVERIFY(lines.at("partition").finding == targets::Finding::Failure);
        QVERIFY(lines.at("nodes").finding == targets::Finding::Failure);
        QVERIFY(lines.at("shared").finding == targets::Finding::Failure);

        // Each node has a /tmp of its own: what is written there on one is not on the other.
        spec = m_rig->spec();
        const test::Scratch local;
        spec.workFolder = (local / "work").string();
        m_rig->use(spec);
        lines = doctor();
        QVERIFY2(lines.at("shared").finding == targets::Finding::Failure, lines.at("shared").text.c_str());
        QVERIFY(lines.at("shared").remedy.find("same path") != std::string::npos);

        spec = m_rig->spec();
        spec.slurm.maxNodes = 9;
        m_rig->use(spec);
        lines = doctor();
        QVERIFY(lines.at("partition").finding == targets::Finding::Warning);
        QVERIFY(lines.at("nodes").finding == targets::Finding::Warning);
    }

    void oddFolders_andHostileNames_reachNoShell() {
        spec::TargetSpec spec = m_rig->spec();
        const base::Path canary = m_rig->lab().shared() / "canary";
        spec.workFolder =
            (m_rig->lab().shared() / "it's a $(touch canary) `touch canary` %j; touch canary #x Größe").string();
        m_rig->use(spec);
        auto launch =
            SlurmRig::plan({"/bin/echo", "$(touch canary)", "`touch canary`", "; touch canary", "it's", "a \"b\""});
        launch.plan.runName = "x\n#SBATCH --uid=0";
        launch.plan.experiment = "$(touch canary)";
        launch.plan.workingFolder = m_rig->lab().shared().string();
        QVERIFY(begin(launch));
        const auto streams = m_rig->follow(m_run, SlurmRig::ended());
        QCOMPARE(SlurmRig::endOf(streams).value("outcome", std::string()), std::string("completed"));
        QCOMPARE(SlurmRig::logOf(streams), std::string("$(touch canary) `touch canary` ; touch canary it's a \"b\"\n"));
        QVERIFY(!std::filesystem::exists(canary));
        const base::Path output = base::Path(spec.workFolder) / "runs" / m_run.str();
        bool named = false;
        for (const auto& entry : std::filesystem::directory_iterator(output)) {
            named = named || entry.path().filename().string().starts_with("slurm-");
            QVERIFY(entry.path().filename() != "canary");
        }
        QVERIFY(named);
    }

    /// Through the batch script and srun, byte for byte.
    void everyHostileValue_arrivesAsItIs() {
        const base::Path canary = m_rig->lab().shared() / "canary-of-values";
        auto launch = SlurmRig::plan(
            {"/usr/bin/python3", "-c",
             "import json, os, sys\n"
             "told = {'argv': sys.argv[1:], 'variables': {k: v for k, v in os.environ.items() if k.startswith('H_')}}\n"
             "json.dump(told, open(os.path.join(os.environ['TRAINYARD_OUTPUTS'], 'told.json'), 'w'))\n"});
        std::vector<std::string> arguments;
        Json variables = Json::object();
        for (const test::HostileValue& value : test::hostileValues(canary.string())) {
            arguments.push_back(value.value);
            variables["H_" + std::to_string(arguments.size())] = value.value;
            launch.plan.command.push_back(value.value);
            launch.plan.variables.emplace_back("H_" + std::to_string(arguments.size()), value.value);
        }
        QVERIFY(begin(launch));
        const auto streams = m_rig->follow(m_run, SlurmRig::ended());
        QCOMPARE(SlurmRig::endOf(streams).value("outcome", std::string()), std::string("completed"));
        const auto told =
            base::parseJson(base::readFile(m_rig->runFolder(m_run) / "outputs" / "told.json").valueOr(""));
        QVERIFY(told.ok());
        QCOMPARE(told->at("argv").get<std::vector<std::string>>(), arguments);
        const Json different = Json::diff(variables, told->at("variables"));  // The order of the names does not matter.
        QVERIFY2(different.empty(), base::dumpJson(different).c_str());
        QVERIFY(!std::filesystem::exists(canary));
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
    /// The attempt goes on from where the one before was, and ends well when it is told to.
    void finishCounting(int attempt) {
        const std::string mark = "attempt " + std::to_string(attempt) + " from ";
        const auto seen = m_rig->follow(
            m_run,
            [&](const SlurmRig::Streams& streams) {
                return SlurmRig::logOf(streams, attempt).find(mark) != std::string::npos;
            },
            60'000);
        const std::string log = SlurmRig::logOf(seen, attempt);
        QVERIFY2(log.find(mark) != std::string::npos, log.c_str());
        QVERIFY2(log.find(mark + "0 ") == std::string::npos, log.c_str());
        QVERIFY(SlurmRig::endOf(seen, attempt - 1).is_null());
        QVERIFY(base::writeFileAtomically(m_rig->runFolder(m_run) / "outputs" / "stop", "").ok());
        const auto streams = m_rig->follow(m_run, SlurmRig::ended(attempt));
        QCOMPARE(SlurmRig::endOf(streams, attempt).value("outcome", std::string()), std::string("completed"));
        QVERIFY(SlurmRig::gapless(streams));
        QVERIFY(m_rig->waitForState(m_run, State::Completed));
        QCOMPARE(m_rig->look(m_run)->scheduler->restarts, attempt - 1);
    }
    std::map<std::string, targets::DoctorLine> doctor() {
        std::map<std::string, targets::DoctorLine> lines;
        const auto result = SlurmRig::await<std::vector<targets::DoctorLine>>(
            [&](auto done) { return m_rig->target().doctor(base::Deadline::inMillis(60'000), {}, std::move(done)); });
        for (const targets::DoctorLine& line : result.valueOr({})) {
            lines[line.id] = line;
        }
        return lines;
    }

    std::unique_ptr<test::ChildGuard> m_guard;
    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<SlurmRig> m_rig;
    base::RunId m_run;
};

QTEST_GUILESS_MAIN(TestSlurmQueue)
#include "tst_Queue.moc"
