// Runs on SSH hosts through the target: launched where nothing ever was, followed through cuts, fetched, canceled,
// removed.
#include <QTest>

#include "core/base/Hash.h"
#include "core/targets/HostCalls.h"
#include "core/targets/SshTarget.h"
#include "core/wire/RunStream.h"
#include "tests/helpers/Await.h"
#include "tests/helpers/Lab.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"
#include "tests/helpers/Wait.h"
#include "tests/unit/targets/SshRig.h"

using namespace trainyard;
using namespace trainyard::targets;
using namespace trainyard::test::ssh;
using test::await;
using test::waitFor;

class tst_SshTarget : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();

    void launch_onAHostThatNeverHadAnything();
    void follow_throughManyCuts();
    void command_reachesItAfterACut();
    void look_afterPowerLoss();
    void launch_twoNodes();
    void launch_hostileFieldsArriveAsTheyAre();
    void launch_mpirunOverTwoHosts();
    void launch_fullDiskIsSaidBefore();
    void doctor_looksAtEveryPair();
    void outputs_hostileNamesStayOut();

private:
    bool labIsThere();
    Status launch(SshTarget& target, const LaunchPlan& plan) {
        return await<void>(
            [&](DoneStatus done) {
                return target.launch(
                    plan, [this](const LaunchProgress& progress) { m_steps.push_back(progress.step); },
                    std::move(done));
            },
            60'000);
    }
    Result<RunLook> look(SshTarget& target, const RunId& run) {
        return await<RunLook>([&](Done<RunLook> done) { return target.look(run, soon(), std::move(done)); });
    }

    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<test::Lab> m_lab;
    std::vector<std::string> m_steps;
};

void tst_SshTarget::initTestCase() {
    m_scratch = std::make_unique<test::Scratch>();
    m_scratch->isolate();
}

bool tst_SshTarget::labIsThere() {
    if (!m_lab) {
        m_lab = std::make_unique<test::Lab>(test::LabOptions{2, false, false});
        if (!m_lab->up()) {
            qWarning("%s", m_lab->error().c_str());
            m_lab.reset();
            return false;
        }
    }
    return true;
}

#define NEED_LAB()                                                                                                     \
    do {                                                                                                               \
        if (const std::string why = test::Lab::missing(); !why.empty()) {                                              \
            TRAINYARD_SKIP(why.c_str());                                                                               \
        }                                                                                                              \
        QVERIFY(labIsThere());                                                                                         \
    } while (false)

void tst_SshTarget::launch_onAHostThatNeverHadAnything() {
    NEED_LAB();
    SshTarget target(labSpec(1));
    const std::string script = "import os, sys\nprint('data', open(os.environ['TRAINYARD_INPUT_TEXT']).read())\n"
                               "print('arguments', sys.argv[1:])\n"
                               "open(os.environ['TRAINYARD_OUTPUTS'] + '/result.txt', 'w').write('done')\n"
                               "os.mkdir(os.environ['TRAINYARD_OUTPUTS'] + '/sub'); "
                               "open(os.environ['TRAINYARD_OUTPUTS'] + '/sub/b', 'wb').write(b'x' * 3000000)\n";
    LaunchPlan plan = planOf({"/usr/bin/python3", "train.py", "a b", "it's", "$(touch canary)"});
    plan.hasSource = true;
    plan.source.push_back({"train.py", base::sha256Hex(script), static_cast<std::int64_t>(script.size()), false,
                           m_scratch->write("source/train.py", script)});
    InputData data;
    data.name = "text";
    data.isFolder = false;
    data.sha256 = base::sha256Hex("hello");
    data.files.push_back({"words.txt", data.sha256, 5, m_scratch->write("words.txt", "hello")});
    plan.inputs.push_back(data);
    plan.files.emplace_back("spec.json", "{}");

    const auto measured =
        await<base::Json>([&](Done<base::Json> done) { return target.measureUpload(plan, soon(), std::move(done)); });
    QVERIFY2(measured.ok(), measured.ok() ? "" : measured.error().message.c_str());
    QCOMPARE(measured->at("files").get<int>(), 2);
    QCOMPARE(measured->at("bytes").get<std::int64_t>(), static_cast<std::int64_t>(script.size()) + 5);

    const Status launched = launch(target, plan);
    QVERIFY2(launched.ok(), launched.ok() ? "" : launched.error().message.c_str());
    Streams streams;
    QString broken;
    const auto following = target.follow(
        plan.plan.run, {}, [&](const StreamChunk& chunk) { streams.take(chunk); },
        [&](const base::Error& error) { broken = QString::fromStdString(error.message); });
    QVERIFY2(waitFor([&] { return streams.ended() || !broken.isEmpty(); }, 20'000), qPrintable(broken));
    QVERIFY2(streams.wrong().empty(), streams.wrong().c_str());
    const base::Json ended = streams.records("ended").front();
    std::string log;
    for (const base::Json& record : streams.records("log")) {
        log += base::dumpJson(record);
    }
    QVERIFY2(log.find("data hello") != std::string::npos, (log + base::dumpJson(ended)).c_str());
    QVERIFY2(log.find("['a b', \\\"it's\\\", '$(touch canary)']") != std::string::npos, log.c_str());

    // Started again it is not started twice, and nothing is sent.
    m_steps.clear();
    QVERIFY(launch(target, plan).ok());
    QVERIFY(std::find(m_steps.begin(), m_steps.end(), "upload") == m_steps.end());

    const auto listed = await<OutputList>(
        [&](Done<OutputList> done) { return target.listOutputs(plan.plan.run, soon(), std::move(done)); });
    QVERIFY(listed.ok());
    QCOMPARE(listed->files.size(), std::size_t{2});
    std::vector<OutputFile> wanted{{"result.txt", 4, base::sha256Hex("done")},
                                   {"sub/b", 3'000'000, base::sha256Hex(std::string(3'000'000, 'x'))},
                                   {"gone.txt", 1, base::sha256Hex("g")}};
    std::int64_t told = 0;
    const auto fetch = [&] {
        return await<FetchReport>([&](Done<FetchReport> done) {
            return target.fetchOutputs(
                plan.plan.run, wanted, *m_scratch / "outputs", [&](std::int64_t n) { told = n; }, std::move(done));
        });
    };
    for (int i = 0; i < 2; ++i) {
        const auto report = fetch();
        QVERIFY2(report.ok(), report.ok() ? "" : report.error().message.c_str());
        QCOMPARE(report->brought.size(), std::size_t{2});
        QCOMPARE(report->lost.size(), std::size_t{1});
        QCOMPARE(report->lost.front().code, std::string("target.missing"));
    }
    QCOMPARE(told, std::int64_t{3'000'004});
    QCOMPARE(m_scratch->read("outputs/result.txt"), std::string("done"));

    const auto runs = await<std::vector<RunId>>(
        [&](Done<std::vector<RunId>> done) { return target.listRuns(soon(), std::move(done)); });
    QVERIFY(runs.ok());
    QCOMPARE(runs->size(), std::size_t{1});
    QVERIFY(
        await<void>([&](DoneStatus done) { return target.removeRun(plan.plan.run, soon(), std::move(done)); }).ok());
    const auto after = look(target, plan.plan.run);
    QVERIFY(after.ok());
    QCOMPARE(static_cast<int>(after->nodes.at(0).status), static_cast<int>(AgentStatus::FolderMissing));

    // The cache knows what was brought, and what nothing uses can go.
    const auto cache = await<std::vector<CacheEntry>>(
        [&](Done<std::vector<CacheEntry>> done) { return target.listCache(soon(), std::move(done)); });
    QVERIFY2(cache.ok(), cache.ok() ? "" : cache.error().message.c_str());
    std::vector<CacheEntry> dataEntries;
    for (const CacheEntry& entry : *cache) {
        if (entry.kind == "data") {
            dataEntries.push_back(entry);
        }
    }
    QCOMPARE(dataEntries.size(), std::size_t{1});
    const auto freed = await<std::int64_t>(
        [&](Done<std::int64_t> done) { return target.clearCache(dataEntries, soon(), std::move(done)); });
    QVERIFY2(freed.ok(), freed.ok() ? "" : freed.error().message.c_str());
    QVERIFY(*freed > 0);
}

void tst_SshTarget::follow_throughManyCuts() {
    NEED_LAB();
    SshTarget target(labSpec(1));
    constexpr int kLines = 3000;
    LaunchPlan plan = planOf(
        {"/usr/bin/python3", "-u", "-c",
         "import time\nfor i in range(" + std::to_string(kLines) + "):\n  print('line', i)\n  time.sleep(0.003)\n"});
    const Status launched = launch(target, plan);
    QVERIFY2(launched.ok(), launched.ok() ? "" : launched.error().message.c_str());
    Streams streams;
    QString broken;
    auto following = target.follow(
        plan.plan.run, {}, [&](const StreamChunk& chunk) { streams.take(chunk); },
        [&](const base::Error& error) { broken = QString::fromStdString(error.message); });
    // The far end of the connection dies, again and again; once in a while the workbench itself is started anew.
    int cuts = 0;
    while (!streams.ended() && cuts < 100 && broken.isEmpty()) {
        const std::size_t before = streams.lines();
        if (!waitFor([&] { return streams.lines() > before || streams.ended(); }, 5000) || streams.ended()) {
            break;
        }
        m_lab->run(1, {"pkill", "-9", "-u", "lab", "-f", "sshd: lab"});
        ++cuts;
        if (cuts % 10 == 0) {
            following.reset();
            following = target.follow(
                plan.plan.run, streams.positions(), [&](const StreamChunk& chunk) { streams.take(chunk); },
                [&](const base::Error& error) { broken = QString::fromStdString(error.message); });
        }
    }
    QVERIFY2(waitFor([&] { return streams.ended() || !broken.isEmpty(); }, 30'000), qPrintable(broken));
    QVERIFY2(broken.isEmpty(), qPrintable(broken));
    QVERIFY2(streams.wrong().empty(), streams.wrong().c_str());
    qInfo("%d cuts", cuts);
    QVERIFY(cuts >= 10);
    QCOMPARE(streams.lines(), std::size_t{kLines});
    QVERIFY(waitFor([&] { return streams.caughtUp(); }));
}

void tst_SshTarget::command_reachesItAfterACut() {
    NEED_LAB();
    SshTarget target(labSpec(1));
    const LaunchPlan plan = planOf({"sleep", "1000"});
    const Status launched = launch(target, plan);
    QVERIFY2(launched.ok(), launched.ok() ? "" : launched.error().message.c_str());
    Streams streams;
    const auto following = target.follow(
        plan.plan.run, {}, [&](const StreamChunk& chunk) { streams.take(chunk); }, [](const base::Error&) {});
    QVERIFY(waitFor([&] { return streams.records("state").size() >= 2; }, 10'000));
    QVERIFY(m_lab->cut(1));
    const Status unheard = await<void>([&](DoneStatus done) {
        return target.command(plan.plan.run, "cancel", Deadline::inMillis(4000), std::move(done));
    });
    // Which of the two depends on how soon the cut was noticed.
    QVERIFY2(!unheard.ok() && mayAnswerLater(unheard.error()), unheard.ok() ? "" : unheard.error().code.c_str());
    QVERIFY(waitFor([&] { return target.reach().state == Reach::State::Unreachable; }, 20'000));
    QVERIFY(target.reach().nextTryAt > 0);
    QVERIFY(m_lab->heal(1));
    QVERIFY(waitFor([&] { return target.reach().state == Reach::State::Connected; }, 30'000));
    QVERIFY(await<void>([&](DoneStatus done) {
                return target.command(plan.plan.run, "cancel", soon(), std::move(done));
            }).ok());
    QVERIFY(waitFor([&] { return streams.ended(); }, 15'000));
    QVERIFY2(streams.wrong().empty(), streams.wrong().c_str());
    QCOMPARE(m_lab->run(1, {"pgrep", "-x", "sleep"}).out, std::string());
}

void tst_SshTarget::look_afterPowerLoss() {
    NEED_LAB();
    SshTarget target(labSpec(1));
    const LaunchPlan plan = planOf({"sh", "-c", "echo begun; sleep 1000"});
    QVERIFY(launch(target, plan).ok());
    Streams streams;
    const auto following = target.follow(
        plan.plan.run, {}, [&](const StreamChunk& chunk) { streams.take(chunk); }, [](const base::Error&) {});
    QVERIFY(waitFor([&] { return streams.lines() == 1; }, 10'000));
    const auto alive = look(target, plan.plan.run);
    QVERIFY(alive.ok());
    QCOMPARE(static_cast<int>(alive->nodes.at(0).status), static_cast<int>(AgentStatus::Alive));
    QCOMPARE(alive->nodes.at(0).host, std::string("node1"));
    QVERIFY(m_lab->cut(1));
    QVERIFY(m_lab->crash(1));
    QVERIFY(waitFor([&] { return target.reach().state == Reach::State::Unreachable; }, 20'000));
    QVERIFY2(m_lab->boot(1), m_lab->error().c_str());
    QVERIFY(waitFor([&] { return target.reach().state == Reach::State::Connected; }, 30'000));
    const auto gone = look(target, plan.plan.run);
    QVERIFY2(gone.ok(), gone.ok() ? "" : gone.error().message.c_str());
    QCOMPARE(static_cast<int>(gone->nodes.at(0).status), static_cast<int>(AgentStatus::OtherBoot));
    // The agent that is started again says what became of the run.
    QVERIFY(await<void>([&](DoneStatus done) { return target.revive(plan.plan.run, soon(), std::move(done)); }).ok());
    QVERIFY(waitFor([&] { return streams.ended(); }, 15'000));
    QVERIFY2(streams.wrong().empty(), streams.wrong().c_str());
}

void tst_SshTarget::launch_twoNodes() {
    NEED_LAB();
    SshTarget target(labSpec(2));
    LaunchPlan plan =
        planOf({"/usr/bin/python3", "-c",
                "import os, socket, time\n"
                "r = int(os.environ['RANK']); at = (os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT']))\n"
                "print('rank', r, 'of', os.environ['WORLD_SIZE'], 'on', socket.gethostname())\n"
                "if r == 0:\n"
                "  s = socket.create_server(('', at[1])); c = s.accept()[0]; print('heard', c.recv(100).decode())\n"
                "else:\n"
                "  for i in range(200):\n"
                "    try: c = socket.create_connection(at); break\n"
                "    except OSError: time.sleep(0.05)\n"
                "  c.sendall(b'from rank 1'); c.close()\n"
                "open(os.environ['TRAINYARD_OUTPUTS'] + '/r%d' % r, 'w').write(str(r))\n"},
               2);
    plan.plan.distribution = "pytorch";
    plan.plan.backend = "gloo";
    const Status launched = launch(target, plan);
    QVERIFY2(launched.ok(), launched.ok() ? "" : launched.error().message.c_str());
    Streams streams;
    QString broken;
    const auto following = target.follow(
        plan.plan.run, {}, [&](const StreamChunk& chunk) { streams.take(chunk); },
        [&](const base::Error& error) { broken = QString::fromStdString(error.message); });
    QVERIFY2(waitFor([&] { return (streams.ended(0) && streams.ended(1)) || !broken.isEmpty(); }, 30'000),
             qPrintable(broken));
    QVERIFY2(streams.wrong().empty(), streams.wrong().c_str());
    std::string log;
    for (const int node : {0, 1}) {
        for (const base::Json& record : streams.records("log", node)) {
            log += base::dumpJson(record) + "\n";
        }
    }
    QVERIFY2(log.find("rank 0 of 2 on node1") != std::string::npos &&
                 log.find("rank 1 of 2 on node2") != std::string::npos &&
                 log.find("heard from rank 1") != std::string::npos,
             (log + base::dumpJson(streams.records("ended").front())).c_str());
    // Another workbench knows from the hosts themselves where the nodes are.
    SshTarget other(labSpec(2));
    const auto found = look(other, plan.plan.run);
    QVERIFY2(found.ok(), found.ok() ? "" : found.error().message.c_str());
    QCOMPARE(found->nodes.size(), std::size_t{2});
    QCOMPARE(found->nodes.at(1).host, std::string("node2"));
    const auto report = await<FetchReport>([&](Done<FetchReport> done) {
        return other.fetchOutputs(plan.plan.run,
                                  {{"r0", 1, base::sha256Hex("0")}, {"node-1/r1", 1, base::sha256Hex("1")}},
                                  *m_scratch / "both", {}, std::move(done));
    });
    QVERIFY2(report.ok(), report.ok() ? "" : report.error().message.c_str());
    QCOMPARE(report->lost.size(), std::size_t{0});
    QCOMPARE(m_scratch->read("both/node-1/r1"), std::string("1"));

    const Status tooMany = launch(target, planOf({"true"}, 3));
    QCOMPARE(tooMany.ok() ? "" : tooMany.error().code, std::string("target.nodes"));
}

void tst_SshTarget::launch_hostileFieldsArriveAsTheyAre() {
    NEED_LAB();
    spec::TargetSpec spec = labSpec(1);
    spec.workFolder = "~/w 'q\" $(touch canary) `touch canary` ; touch canary #";
    spec.variables = {{"FROM_TARGET", "'; touch /home/lab/canary; '"}};
    SshTarget target(spec);
    const std::vector<std::string> hostile{"a b",
                                           "'; touch /home/lab/canary; '",
                                           "`touch /home/lab/canary`",
                                           "$(touch /home/lab/canary)",
                                           "\"",
                                           "\\",
                                           "new\nline",
                                           "*",
                                           "~",
                                           "|",
                                           "&",
                                           ";",
                                           "-rf",
                                           "",
                                           "ü€😀",
                                           "#",
                                           "!"};
    const std::string folder = "sub 'dir\" ; touch canary";
    LaunchPlan plan = planOf({"/usr/bin/python3", "../show it.py"});
    plan.plan.command.insert(plan.plan.command.end(), hostile.begin(), hostile.end());
    plan.plan.variables = {{"HOSTILE", "$(touch /home/lab/canary)`touch /home/lab/canary`'\"\n;"}};
    plan.plan.workingFolder = folder;
    plan.plan.runName = "'; touch canary; '";
    plan.plan.experiment = "$(touch canary)";
    plan.hasSource = true;
    const std::string script =
        "import json, os, sys\nprint(json.dumps({'argv': sys.argv[1:], 'cwd': os.path.basename(os.getcwd()),"
        " 'hostile': os.environ['HOSTILE'], 'target': os.environ['FROM_TARGET'],"
        " 'run': os.environ['TRAINYARD_RUN_NAME']}))\n";
    plan.source.push_back({"show it.py", base::sha256Hex(script), static_cast<std::int64_t>(script.size()), false,
                           m_scratch->write("hostile source/show it.py", script)});
    plan.source.push_back(
        {folder + "/-x `touch canary`", base::sha256Hex("x"), 1, true, m_scratch->write("hostile source/x", "x")});
    const Status launched = launch(target, plan);
    QVERIFY2(launched.ok(), launched.ok() ? "" : launched.error().message.c_str());
    Streams streams;
    const auto following = target.follow(
        plan.plan.run, {}, [&](const StreamChunk& chunk) { streams.take(chunk); }, [](const base::Error&) {});
    QVERIFY(waitFor([&] { return streams.ended(); }, 20'000));
    QVERIFY2(!streams.records("log").empty(), base::dumpJson(streams.records("ended").front()).c_str());
    const base::Json log = streams.records("log").front();
    const auto shown = base::parseJson(log.at("lines").at(0).get<std::string>());
    QVERIFY2(shown.ok(), base::dumpJson(log).c_str());
    QCOMPARE(shown->at("argv").get<std::vector<std::string>>(), hostile);
    QCOMPARE(shown->at("cwd").get<std::string>(), folder);
    QCOMPARE(shown->at("hostile").get<std::string>(), plan.plan.variables[0].second);
    QCOMPARE(shown->at("target").get<std::string>(), spec.variables[0].second);
    QCOMPARE(shown->at("run").get<std::string>(), plan.plan.runName);
    QCOMPARE(m_lab->run(1, {"find", "/home/lab", "/tmp", "-name", "canary"}).out, std::string());
}

/// A linear model by gradient descent: each rank has its share of the data, the gradients are summed over all.
constexpr const char* kMpiScript = R"(import random
from mpi4py import MPI
comm = MPI.COMM_WORLD
rank, size = comm.Get_rank(), comm.Get_size()
random.seed(7)
data = []
for _ in range(240):
    x = [random.uniform(-1, 1) for _ in range(4)]
    data.append((x, 3 * x[0] - 2 * x[1] + 0.5 * x[2] + x[3] + random.gauss(0, 0.1)))
mine = data[rank::size]
w = [0.0] * 4
loss = 0.0
for step in range(60):
    g, l = [0.0] * 4, 0.0
    for x, y in mine:
        e = sum(a * b for a, b in zip(w, x)) - y
        l += e * e
        for i in range(4):
            g[i] += 2 * e * x[i]
    total = [comm.allreduce(v) for v in g + [l]]
    w = [a - 0.1 * b / len(data) for a, b in zip(w, total)]
    loss = total[4] / len(data)
names = comm.gather(MPI.Get_processor_name())
if rank == 0:
    print('hosts', ' '.join(sorted(set(names))))
    print('loss %.9f of %d' % (loss, size), flush=True)
)";

void tst_SshTarget::launch_mpirunOverTwoHosts() {
    NEED_LAB();
    if (test::runProgram("/usr/bin/python3", {"-c", "import mpi4py"}).exitCode != 0 ||
        !std::filesystem::exists("/usr/bin/mpirun")) {
        TRAINYARD_SKIP("mpirun or python3-mpi4py is missing.");
    }
    const auto lossOf = [&](int nodes, int processes, std::string& log) -> std::string {
        SshTarget target(labSpec(2));
        LaunchPlan plan = planOf({"/usr/bin/python3", "train.py"}, nodes);
        plan.plan.processes = processes;
        plan.plan.distribution = nodes > 1 ? "mpi" : "none";
        plan.plan.launcher = nodes > 1 ? "mpirun" : "";
        plan.hasSource = true;
        const std::string script = kMpiScript;
        plan.source.push_back({"train.py", base::sha256Hex(script), static_cast<std::int64_t>(script.size()), false,
                               m_scratch->write("mpi/train.py", script)});
        const Status launched = launch(target, plan);
        if (!launched.ok()) {
            log = launched.error().message;
            return {};
        }
        Streams streams;
        const auto following = target.follow(
            plan.plan.run, {}, [&](const StreamChunk& chunk) { streams.take(chunk); }, [](const base::Error&) {});
        const bool ended = waitFor([&] { return streams.ended(); }, 60'000);
        for (int node = 0; node < nodes; ++node) {
            for (const base::Json& record : streams.records("log", node)) {
                log += base::dumpJson(record) + "\n";
            }
        }
        log += ended ? base::dumpJson(streams.records("ended").front()) : "It did not end.";
        const auto at = log.find("loss ");
        return at == std::string::npos ? std::string() : log.substr(at, log.find(" of ", at) - at);
    };
    std::string alone;
    std::string together;
    const std::string one = lossOf(1, 1, alone);
    QVERIFY2(!one.empty(), alone.c_str());
    const std::string two = lossOf(2, 2, together);
    QVERIFY2(two == one, (one + " alone; together: " + together).c_str());
    QVERIFY2(together.find("hosts node1 node2") != std::string::npos, together.c_str());
    QVERIFY2(together.find(" of 4") != std::string::npos, together.c_str());
}

void tst_SshTarget::launch_fullDiskIsSaidBefore() {
    NEED_LAB();
    QCOMPARE(m_lab->run(1, {"sh", "-c", "mkdir -p /run/small && mount -t tmpfs -o size=40m,mode=777 tmpfs /run/small"})
                 .exitCode,
             0);
    spec::TargetSpec spec = labSpec(1);
    spec.workFolder = "/run/small/work";
    SshTarget target(spec);
    LaunchPlan plan = planOf({"true"});
    InputData data;
    data.name = "big";
    const std::string bytes(20'000'000, 'b');
    data.isFolder = false;
    data.sha256 = base::sha256Hex(bytes);
    data.files.push_back({"big", data.sha256, static_cast<std::int64_t>(bytes.size()), m_scratch->write("big", bytes)});
    plan.inputs.push_back(data);
    // The form is told before the launch is refused.
    const auto measured =
        await<base::Json>([&](Done<base::Json> done) { return target.measureUpload(plan, soon(), std::move(done)); });
    QVERIFY2(measured.ok(), measured.ok() ? "" : measured.error().message.c_str());
    const base::Json disk = measured->at("disk");
    QCOMPARE(disk.at("folder"), base::Json("/run/small/work"));
    QVERIFY2(disk.at("needed_bytes") > disk.at("free_bytes") && disk.at("free_bytes") > 0,
             base::dumpJson(disk).c_str());
    const Status full = launch(target, plan);
    QCOMPARE(full.ok() ? "" : full.error().code, std::string("target.disk_full"));
    QVERIFY2(full.error().message.find("free") != std::string::npos, full.error().message.c_str());
    m_lab->run(1, {"umount", "-l", "/run/small"});
}

void tst_SshTarget::doctor_looksAtEveryPair() {
    NEED_LAB();
    SshTarget target(labSpec(2));
    const auto examine = [&] {
        return await<std::vector<DoctorLine>>(
            [&](Done<std::vector<DoctorLine>> done) {
                return target.doctor(Deadline::inMillis(60'000), {}, std::move(done));
            },
            70'000);
    };
    const auto count = [](const std::vector<DoctorLine>& lines, const std::string& id, Finding finding) {
        return std::count_if(lines.begin(), lines.end(),
                             [&](const DoctorLine& line) { return line.id == id && line.finding == finding; });
    };
    const auto well = examine();
    QVERIFY(well.ok());
    QCOMPARE(count(*well, "reach", Finding::Ok), 2);
    QCOMPARE(count(*well, "latency", Finding::Ok), 2);
    QCOMPARE(count(*well, "clock", Finding::Ok), 2);
    QCOMPARE(count(*well, "pair", Finding::Ok), 2);
    for (const DoctorLine& line : *well) {
        QVERIFY2(line.finding == Finding::Ok || !line.remedy.empty(), (line.id + ": " + line.text).c_str());
    }
    // A firewall between the hosts, which ssh from outside does not see.
    QCOMPARE(m_lab->run(2, {"ip", "route", "add", "blackhole", "10.77.0.11/32"}).exitCode, 0);
    const auto walled = examine();
    QVERIFY(walled.ok());
    QVERIFY(count(*walled, "pair", Finding::Failure) >= 1);
    m_lab->run(2, {"ip", "route", "del", "blackhole", "10.77.0.11/32"});
    // A dead host is a failure of its own, and what could not be tried for it is not well.
    QVERIFY(m_lab->cut(2));
    const auto dead = examine();
    QVERIFY(dead.ok());
    QCOMPARE(count(*dead, "reach", Finding::Failure), 1);
    QCOMPARE(count(*dead, "pair", Finding::Ok), 0);
    QVERIFY(m_lab->heal(2));
}

void tst_SshTarget::outputs_hostileNamesStayOut() {
    NEED_LAB();
    SshTarget target(labSpec(1));
    const LaunchPlan plan =
        planOf({"sh", "-c", "cd \"$TRAINYARD_OUTPUTS\"; ln -s /etc/passwd link; mkdir d; ln -s / d/root; echo x > ok"});
    QVERIFY(launch(target, plan).ok());
    Streams streams;
    const auto following = target.follow(
        plan.plan.run, {}, [&](const StreamChunk& chunk) { streams.take(chunk); }, [](const base::Error&) {});
    QVERIFY(waitFor([&] { return streams.ended(); }, 15'000));
    std::vector<OutputFile> hostile;
    for (const char* path :
         {"../../../../etc/passwd", "/etc/passwd", "link", "d/root/etc/passwd", "a/../ok", "", ".", "a\nb", "ok/"}) {
        hostile.push_back({path, 1, ""});
    }
    const auto report = await<FetchReport>([&](Done<FetchReport> done) {
        return target.fetchOutputs(plan.plan.run, hostile, *m_scratch / "hostile", {}, std::move(done));
    });
    QVERIFY2(report.ok(), report.ok() ? "" : report.error().message.c_str());
    QCOMPARE(report->brought.size(), std::size_t{0});
    QCOMPARE(report->lost.size(), hostile.size());
}

QTEST_GUILESS_MAIN(tst_SshTarget)
#include "tst_SshTarget.moc"
