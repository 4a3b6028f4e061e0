// Ranks that mpirun starts: real mpirun, real mpi4py, two nodes on the loopback.
#include "core/agent/MpiLauncher.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Skip.h"
#include "tests/unit/agent/NodesRig.h"

using namespace trainyard;
using namespace trainyard::test;

class TestAgentMpi : public QObject {
    Q_OBJECT

private:
    static wire::Plan pythonPlan(const Scratch& scratch, const std::string& code) {
        AgentRig shell(scratch);
        auto plan = shell.commandPlan(
            {"/usr/bin/python3", "-c", "from mpi4py import MPI\nimport os,sys,time\nc=MPI.COMM_WORLD\n" + code}, 2);
        plan.launcher = "mpirun";
        return plan;
    }

private Q_SLOTS:
    void init() { m_guard = std::make_unique<ChildGuard>(); }
    void cleanup() { QVERIFY2(m_guard->noneLeft(20'000), m_guard->report().c_str()); }
    void initTestCase() {
        if (runProgram("/bin/sh", {"-c", "command -v mpirun && /usr/bin/python3 -c 'import mpi4py'"}).exitCode != 0) {
            TRAINYARD_SKIP("mpirun or mpi4py is missing");
        }
    }

    void allReduce_overTwoNodes() {
        Scratch scratch;
        NodesRig rig(
            scratch,
            pythonPlan(
                scratch,
                "print(c.rank,c.size,c.allreduce(c.rank+1),os.environ['RANK'],os.environ['LOCAL_RANK'],flush=True)"),
            2);
        rig.plan().distribution = "mpi";
        QVERIFY(rig.startAll());
        QVERIFY(rig.waitAll());
        QCOMPARE(textOf(rig.ended(0), "reason"), std::string("All 4 ranks ended with exit status 0."));
        for (int rank = 0; rank < 4; ++rank) {
            const std::string number = std::to_string(rank);
            QCOMPARE(linesOf(rig.records(rank / 2), rank, "stdout"),
                     std::vector<std::string>{number + " 4 10 " + number + " " + std::to_string(rank % 2)});
        }
    }

    /// Data parallel by hand: the mean gradient of four ranks' shares is that of one process on all of the data.
    void training_equalsOneProcess() {
        const std::string code = "w=0.0\nn=c.size\ndata=[(x,3.0*x+1) for x in range(8)]\nmine=data[c.rank::n]\n"
                                 "for i in range(50):\n"
                                 "  g=sum(2*(w*x-y)*x for x,y in mine)\n"
                                 "  w-=0.001*c.allreduce(g)/len(data)\n"
                                 "if c.rank==0: print('%.9f'%w,flush=True)\n";
        std::vector<std::string> found;
        for (const int nodes : {1, 2}) {
            Scratch scratch;
            NodesRig rig(scratch, pythonPlan(scratch, code), nodes);
            rig.plan().distribution = "mpi";
            rig.plan().processes = nodes;
            QVERIFY(rig.startAll());
            QVERIFY(rig.waitAll());
            QCOMPARE(textOf(rig.ended(0), "outcome"), std::string("completed"));
            found.push_back(linesOf(rig.records(0), 0, "stdout").at(0));
        }
        QCOMPARE(found[0], found[1]);
    }

    void aRankThatDies_endsAll() {
        Scratch scratch;
        NodesRig rig(scratch,
                     pythonPlan(scratch, "c.barrier()\nif c.rank==3:\n  print('dying',file=sys.stderr,flush=True); "
                                         "os.kill(os.getpid(),9)\ntime.sleep(60)"),
                     2);
        rig.plan().distribution = "mpi";
        QVERIFY(rig.startAll());
        QVERIFY(rig.waitAll());
        const Json ended = rig.ended(0);
        QCOMPARE(textOf(ended, "code"), std::string("rank.signal"));
        QVERIFY2(textOf(ended, "reason").starts_with("Rank 3 on node 1 ("), textOf(ended, "reason").c_str());
        QCOMPARE(ended["stderr"]["lines"], Json::array({"dying"}));
        QCOMPARE(textOf(rig.ended(1), "reason"), textOf(ended, "reason"));
        QVERIFY(processesWith(rig.plan().run.str()).empty());
    }

    void cancel_endsTheLauncherToo() {
        Scratch scratch;
        NodesRig rig(scratch, pythonPlan(scratch, "print('up',flush=True)\ntime.sleep(60)"), 1);
        rig.plan().distribution = "mpi";
        QVERIFY(rig.startAll());
        QVERIFY(waitFor([&] { return linesOf(rig.records(0), 1, "stdout").size() == 1; }, 10'000));
        std::ofstream(rig.layout(0).control() / wire::control::kCancel) << "{}";
        QVERIFY(rig.waitAll());
        QCOMPARE(textOf(rig.ended(0), "outcome"), std::string("canceled"));
    }

    void aKilledLead_takesItsRanksUpAgain() {
        Scratch scratch;
        NodesRig rig(scratch,
                     pythonPlan(scratch, "print('up',flush=True)\nwhile not os.path.exists('" +
                                             (scratch / "go").string() +
                                             "'): time.sleep(0.05)\nprint(c.allreduce(1),flush=True)"),
                     1);
        rig.plan().distribution = "mpi";
        QVERIFY(rig.startAll());
        QVERIFY(waitFor([&] { return linesOf(rig.records(0), 1, "stdout").size() == 1; }, 10'000));
        rig.agent(0).kill(SIGKILL);
        rig.start(0);
        scratch.write("go", "");
        QVERIFY(rig.waitAll());
        QCOMPARE(textOf(rig.ended(0), "outcome"), std::string("completed"));
        QCOMPARE(linesOf(rig.records(0), 1, "stdout"), (std::vector<std::string>{"up", "2"}));
    }

    void aHostThatCannotBeReached_isSaid() {
        Scratch scratch;
        NodesRig rig(scratch, pythonPlan(scratch, "pass"), 2);
        rig.plan().distribution = "mpi";
        rig.plan().peers[1].address = "192.0.2.1";  // For documentation only: no host has it.
        const Path bin = scratch / "bin";
        scratch.write("bin/ssh",
                      "#!/bin/sh\necho 'ssh: connect to host 192.0.2.1 port 22: No route to host' >&2\nexit 255\n");
        std::filesystem::permissions(bin / "ssh", std::filesystem::perms::owner_all);
        const QByteArray before = qgetenv("PATH");
        qputenv("PATH", QByteArray::fromStdString(bin.string()) + ":" + before);
        const bool started = rig.startAll();
        qputenv("PATH", before);
        QVERIFY(started);
        QVERIFY(rig.waitAll());
        QCOMPARE(textOf(rig.ended(0), "code"), std::string("mpi.launch"));
        QVERIFY2(textOf(rig.ended(0), "reason").find("No route to host") != std::string::npos,
                 textOf(rig.ended(0), "reason").c_str());
    }

    void commandLine_holdsNothingOfTheUser() {
        wire::Plan plan;
        plan.processes = 4;
        plan.command = {"$(touch canary)"};
        plan.variables = {{"X", "; touch canary"}};
        const auto argv = agent::mpirunCommand(
            plan, {{"10.0.0.1", "/w/agent", "/w/a b/n0"}, {"10.0.0.2", "/v/agent", "/v/n1"}}, "10.0.0.0/24", true);
        const std::vector<std::string> tail(argv.end() - 15, argv.end());
        QCOMPARE(tail,
                 (std::vector<std::string>{"--host", "10.0.0.1:4", "-np", "4", "/w/agent", "rank", "/w/a b/n0", ":",
                                           "--host", "10.0.0.2:4", "-np", "4", "/v/agent", "rank", "/v/n1"}));
        for (const std::string& argument : argv) QVERIFY(argument.find("canary") == std::string::npos);
        QVERIFY(std::find(argv.begin(), argv.end(), "--allow-run-as-root") != argv.end());
        QVERIFY(std::find(argv.begin(), argv.end(), "10.0.0.0/24") != argv.end());
    }

private:
    std::unique_ptr<ChildGuard> m_guard;
};

QTEST_GUILESS_MAIN(TestAgentMpi)
#include "tst_AgentMpi.moc"
