// Several nodes of one attempt: how they find each other, start together, and end together.
#include <arpa/inet.h>
#include <sys/socket.h>

#include "core/wire/NodeLink.h"
#include "tests/helpers/Children.h"
#include "tests/unit/agent/NodesRig.h"

using namespace trainyard;
using namespace trainyard::test;

namespace {

/// A connection to the lead that says `text`; gives what it answers within two seconds.
std::string sayTo(int port, const std::string& text) {
    const base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto place = wire::numericAddress("127.0.0.1", port);
    const timeval limit{2, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (::connect(fd.get(), place->generic(), place->length) != 0) return "no connection";
    if (::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) < 0) return "not sent";
    std::string answer(4096, '\0');
    const ssize_t got = ::recv(fd.get(), answer.data(), answer.size(), 0);
    answer.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    return answer;
}

}  // namespace

class TestAgentNodes : public QObject {
    Q_OBJECT

private:
    static bool isUp(const NodesRig& rig, int node, int rank) {
        return !linesOf(rig.records(node), rank, "stdout").empty();
    }

private Q_SLOTS:
    void init() { m_guard = std::make_unique<ChildGuard>(); }
    void cleanup() { QVERIFY2(m_guard->noneLeft(20'000), m_guard->report().c_str()); }

    void nodes_startAndEndTogether() {
        Scratch scratch;
        AgentRig shell(scratch);
        NodesRig rig(scratch,
                     shell.shellPlan(
                         "echo $RANK $LOCAL_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE $GROUP_RANK $MASTER_ADDR $MASTER_PORT "
                         "$GLOO_SOCKET_IFNAME $NCCL_SOCKET_IFNAME $AZ_BATCHAI_TASK_INDEX; "
                         "echo data > \"$TRAINYARD_OUTPUTS/of-$RANK\"",
                         2),
                     2);
        QVERIFY(rig.startAll());
        QVERIFY(rig.waitAll());
        const Json ended = rig.ended(0);
        QCOMPARE(textOf(ended, "outcome"), std::string("completed"));
        QCOMPARE(textOf(ended, "reason"), std::string("All 4 ranks ended with exit status 0."));
        QCOMPARE(ended["ranks"].size(), std::size_t(4));
        QVERIFY(!ended.contains("node_only"));
        QVERIFY(rig.ended(1)["node_only"].get<bool>());
        QCOMPARE(rig.ended(1)["ranks"].size(), std::size_t(2));
        QCOMPARE(rig.ended(1)["outputs"].size(), std::size_t(2));
        QCOMPARE(statesOf(rig.records(0)), std::string("Preparing Queued Running Finalizing"));
        QCOMPARE(statesOf(rig.records(1)), std::string());
        QVERIFY(rig.records(0).back().t >= rig.records(1).back().t);  // The lead's last word comes last.
        QCOMPARE(ofKind(rig.records(1), "clock").size(), std::size_t(1));
        QVERIFY(std::abs(ofKind(rig.records(1), "clock")[0].body["lead_offset_ns"].get<std::int64_t>()) <
                1'000'000'000);
        std::string port;
        for (int rank = 0; rank < 4; ++rank) {
            const auto lines = linesOf(rig.records(rank / 2), rank, "stdout");
            QCOMPARE(lines.size(), std::size_t(1));
            std::istringstream words(lines[0]);
            std::vector<std::string> all{std::istream_iterator<std::string>(words), {}};
            QCOMPARE(all.size(), std::size_t(10));
            QCOMPARE(all[0], std::to_string(rank));
            QCOMPARE(all[1], std::to_string(rank % 2));
            QCOMPARE(all[2] + all[3] + all[4], "42" + std::to_string(rank / 2));
            QCOMPARE(all[5], std::string("127.0.0.1"));
            if (rank == 0) port = all[6];
            QVERIFY(all[6] != "0" && all[6] == port);
            QCOMPARE(all[7] + all[8], std::string("lolo"));
            QCOMPARE(all[9], std::to_string(rank));
        }
    }

    void aRankThatDies_endsAllNodes_andIsNamed() {
        Scratch scratch;
        AgentRig shell(scratch);
        NodesRig rig(
            scratch,
            shell.shellPlan(
                "echo up; [ $RANK = 3 ] && { sleep 0.5; echo the last words >&2; kill -9 $$; }; exec sleep 60", 2),
            2);
        QVERIFY(rig.startAll());
        QVERIFY(waitFor([&] { return isUp(rig, 0, 0) && isUp(rig, 1, 3); }, 10'000));
        QVERIFY(rig.waitAll());
        const Json ended = rig.ended(0);
        QCOMPARE(textOf(ended, "code"), std::string("rank.signal"));
        const std::string reason = textOf(ended, "reason");
        QVERIFY2(reason.starts_with("Rank 3 on node 1 (") &&
                     reason.find("killed by signal 9 (SIGKILL)") != std::string::npos,
                 reason.c_str());
        QCOMPARE(ended["stderr"]["rank"].get<int>(), 3);
        QCOMPARE(ended["stderr"]["node"].get<int>(), 1);
        QCOMPARE(ended["stderr"]["lines"], Json::array({"the last words"}));
        QCOMPARE(ended["ranks"].size(), std::size_t(4));
        QVERIFY(processesWith(rig.plan().run.str()).empty());
        QCOMPARE(textOf(rig.ended(1), "reason"), reason);
    }

    void strangers_areTurnedAway() {
        Scratch scratch;
        AgentRig shell(scratch);
        NodesRig rig(scratch, shell.shellPlan("echo fine"), 2);
        QVERIFY(rig.place(0));
        rig.start(0);
        QVERIFY(rig.place(1));
        const int port = rig.leadPort();
        const std::string run = rig.plan().run.str();
        const auto hello = [&](const std::string& token, int attempt, int node) {
            return base::dumpJson(toJson(wire::NodeHello{token, run, attempt, node, "h"})) + "\n";
        };
        QVERIFY(sayTo(port, hello(std::string(32, 'x'), 1, 1)).find("node.token") != std::string::npos);
        QVERIFY(sayTo(port, hello("", 1, 1)).find("node.token") != std::string::npos);
        QVERIFY(sayTo(port, hello(rig.plan().token, 2, 1)).find("node.attempt") != std::string::npos);
        QVERIFY(sayTo(port, hello(rig.plan().token, 1, 2)).find("node.number") != std::string::npos);
        QVERIFY(sayTo(port, "GET / HTTP/1.1\r\n\r\n").find("node.hello") != std::string::npos);
        QCOMPARE(sayTo(port, std::string(20'000, 'x')), std::string());
        std::vector<base::UniqueFd> crowd;
        const auto place = wire::numericAddress("127.0.0.1", port);
        for (int i = 0; i < 60; ++i) {
            crowd.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
            QCOMPARE(::connect(crowd.back().get(), place->generic(), place->length), 0);
        }
        rig.start(1);
        QVERIFY(rig.waitAll(25'000));
        QCOMPARE(textOf(rig.ended(0), "outcome"), std::string("completed"));
        bool told = false;
        for (const Record& record : ofKind(rig.records(0), wire::kind::kWarning))
            told = told || textOf(record.body, "code") == "node.refused";
        QVERIFY(told);
    }

    void aWrongToken_endsTheNodeThatHasIt() {
        Scratch scratch;
        AgentRig shell(scratch);
        NodesRig rig(scratch, shell.shellPlan("echo fine"), 2);
        rig.plan().joinSeconds = 3;
        QVERIFY(rig.place(0));
        rig.start(0);
        const std::string good = rig.plan().token;
        QVERIFY(waitFor([&] { return rig.leadPort() > 0; }));
        rig.plan().token = std::string(32, 'w');
        QVERIFY(rig.place(1));
        rig.start(1);
        QVERIFY(rig.waitAll());
        QCOMPARE(textOf(rig.ended(1), "code"), std::string("node.token"));
        QCOMPARE(textOf(rig.ended(0), "code"), std::string("node.missing"));
        QVERIFY(textOf(rig.ended(0), "reason").starts_with("Node 1"));
    }

    void aSilentNode_endsTheOthers() {
        Scratch scratch;
        AgentRig shell(scratch);
        NodesRig rig(scratch, shell.shellPlan("echo up; exec sleep 200"), 3);
        rig.plan().silenceSeconds = 5;
        QVERIFY(rig.startAll());
        QVERIFY(waitFor([&] { return isUp(rig, 0, 0) && isUp(rig, 1, 1) && isUp(rig, 2, 2); }, 10'000));
        rig.agent(2).kill(SIGSTOP);
        QCOMPARE(rig.agent(0).wait(), 0);
        QCOMPARE(rig.agent(1).wait(), 0);
        QCOMPARE(textOf(rig.ended(0), "code"), std::string("node.silent"));
        QVERIFY2(textOf(rig.ended(0), "reason").starts_with("Node 2 ("), textOf(rig.ended(0), "reason").c_str());
        // When it comes to itself it hears what was said meanwhile and ends its rank too.
        rig.agent(2).kill(SIGCONT);
        QCOMPARE(rig.agent(2).wait(), 0);
        QCOMPARE(textOf(rig.ended(2), "code"), std::string("node.silent"));
        QVERIFY(processesWith(rig.plan().run.str()).empty());
    }

    void aKilledAgent_rejoins_data() {
        QTest::addColumn<int>("node");
        QTest::newRow("lead") << 0;
        QTest::newRow("other") << 1;
    }
    void aKilledAgent_rejoins() {
        QFETCH(int, node);
        Scratch scratch;
        AgentRig shell(scratch);
        NodesRig rig(scratch,
                     shell.shellPlan("echo up; while [ ! -e '" + (scratch / "go").string() +
                                     "' ]; do sleep 0.05; done; echo done"),
                     2);
        QVERIFY(rig.startAll());
        QVERIFY(waitFor([&] { return isUp(rig, 0, 0) && isUp(rig, 1, 1); }, 10'000));
        for (int again = 0; again < 2; ++again) {
            rig.agent(node).kill(SIGKILL);
            rig.start(node);
            ::usleep(300'000);
        }
        scratch.write("go", "");
        QVERIFY(rig.waitAll());
        QCOMPARE(textOf(rig.ended(0), "outcome"), std::string("completed"));
        for (const int one : {0, 1})
            QCOMPARE(linesOf(rig.records(one), one, "stdout"), (std::vector<std::string>{"up", "done"}));
    }

    void cancel_onAnyNode_endsAll_data() {
        QTest::addColumn<int>("node");
        QTest::newRow("lead") << 0;
        QTest::newRow("other") << 1;
    }
    void cancel_onAnyNode_endsAll() {
        QFETCH(int, node);
        Scratch scratch;
        AgentRig shell(scratch);
        NodesRig rig(scratch, shell.shellPlan("echo up; exec sleep 60"), 2);
        QVERIFY(rig.startAll());
        QVERIFY(waitFor([&] { return isUp(rig, 0, 0) && isUp(rig, 1, 1); }, 10'000));
        std::ofstream(rig.layout(node).control() / wire::control::kCancel) << "{}";
        QVERIFY(rig.waitAll());
        QCOMPARE(textOf(rig.ended(0), "outcome"), std::string("canceled"));
        QCOMPARE(textOf(rig.ended(1), "outcome"), std::string("canceled"));
        QVERIFY(processesWith(rig.plan().run.str()).empty());
    }

    void timeLimit_reachesEveryNode() {
        Scratch scratch;
        AgentRig shell(scratch);
        NodesRig rig(scratch, shell.shellPlan("echo up; exec sleep 60"), 2);
        rig.plan().maxSeconds = 2;
        QVERIFY(rig.startAll());
        QVERIFY(rig.waitAll());
        QCOMPARE(textOf(rig.ended(0), "code"), std::string("run.time_limit"));
        QCOMPARE(textOf(rig.ended(1), "code"), std::string("run.time_limit"));
        QVERIFY(processesWith(rig.plan().run.str()).empty());
    }

    void slots_areTakenInOrder() {
        Scratch scratch;
        AgentRig shell(scratch);
        NodesRig rig(scratch, shell.shellPlan("echo fine"), 2);
        rig.plan().cores = 1;
        // Somebody has all of host 1.
        auto busy = shell.shellPlan("while [ ! -e '" + (scratch / "go").string() + "' ]; do sleep 0.05; done");
        busy.cores = 1000;
        busy.slotsFolder = (rig.work(1) / "slots").string();
        const NodeLayout other = shell.place(busy);
        AgentProcess holder(other);
        QVERIFY(waitFor([&] { return statesOf(recordsOf(other)).ends_with("Running"); }));
        QVERIFY(rig.startAll());
        const auto waits = [&] {
            for (const Record& record : ofKind(rig.records(0), wire::kind::kState)) {
                if (textOf(record.body, "reason").starts_with("Node 1 (")) return true;
            }
            return false;
        };
        QVERIFY(waitFor(waits, 10'000));
        QVERIFY(!isUp(rig, 0, 0));
        scratch.write("go", "");
        QVERIFY(rig.waitAll());
        QCOMPARE(holder.wait(), 0);
        QCOMPARE(textOf(rig.ended(0), "outcome"), std::string("completed"));
    }

    void aDeadRank_isTriedAgain_onAllNodes() {
        Scratch scratch;
        AgentRig shell(scratch);
        NodesRig rig(
            scratch,
            shell.shellPlan(
                "echo $TRAINYARD_ATTEMPT; [ $TRAINYARD_ATTEMPT = 2 ] || [ $RANK = 0 ] || kill -9 $$; sleep 0.3"),
            2);
        rig.plan().maxRestarts = 1;
        QVERIFY(rig.startAll());
        QVERIFY(rig.waitAll());
        QVERIFY(rig.ended(0)["restart"].get<bool>());
        QCOMPARE(textOf(rig.ended(0), "code"), std::string("rank.signal"));
        QCOMPARE(textOf(rig.ended(0, 2), "outcome"), std::string("completed"));
        QCOMPARE(linesOf(rig.records(1, 2), 1, "stdout"), std::vector<std::string>{"2"});
        QVERIFY(!rig.ended(0, 2).contains("restart"));
    }

    void restarts_areUsedUp_andNotForWhatCannotGetBetter() {
        Scratch scratch;
        AgentRig shell(scratch);
        auto plan = shell.shellPlan("exit 4");
        plan.maxRestarts = 2;
        NodeLayout first = shell.place(plan);
        QCOMPARE(AgentProcess(first).wait(), 0);
        for (int attempt = 1; attempt <= 3; ++attempt) {
            const Json ended = endedOf(
                recordsOf(NodeLayout{shell.root() / "runs" / plan.run.str() / ("a" + std::to_string(attempt)) / "n0"}));
            QCOMPARE(textOf(ended, "reason"), std::string("Rank 0 ended with exit status 4."));
            QCOMPARE(ended.contains("restart"), attempt < 3);
        }
        QVERIFY(!std::filesystem::exists(shell.root() / "runs" / plan.run.str() / "a4"));
        auto missing = shell.commandPlan({"/no/such/program"});
        missing.maxRestarts = 2;
        QCOMPARE(AgentProcess(shell.place(missing)).wait(), 0);
        QVERIFY(!std::filesystem::exists(shell.root() / "runs" / missing.run.str() / "a2"));
    }

    void scheduler_makesTheNodesFolders() {
        Scratch scratch;
        const Path run = scratch / "runs/shared";
        AgentRig shell(scratch);
        auto plan = shell.shellPlan(
            "cat \"$TRAINYARD_NODE_FOLDER/extra.txt\"; echo $TRAINYARD_ATTEMPT $RANK $CUDA_VISIBLE_DEVICES; "
            "echo $AZ_BATCHAI_PYTORCH_INIT_METHOD");
        plan.nodes = 2;
        plan.token = std::string(32, 't');
        plan.scheduler = plan.sharedFolder = true;
        plan.gpus = 1;
        std::filesystem::create_directories(run);
        std::ofstream(run / "plan.json") << base::dumpJsonPretty(toJson(plan));
        std::ofstream(run / "extra.txt") << "extra\n";
        std::ofstream(run / "job.sh") << "not for the nodes\n";
        std::filesystem::create_directories(scratch / "disk");
        const auto task = [&](int node) {
            return std::make_unique<AgentProcess>(
                NodeLayout{run}, std::vector<std::string>{"--scheduler"},
                std::vector<std::pair<std::string, std::string>>{{"SLURM_RESTART_COUNT", "1"},
                                                                 {"SLURM_NODEID", std::to_string(node)},
                                                                 {"SLURM_NNODES", "2"},
                                                                 {"SLURM_TMPDIR", (scratch / "disk").string()},
                                                                 {"CUDA_VISIBLE_DEVICES", "5"}});
        };
        const auto one = task(1);
        const auto zero = task(0);
        QCOMPARE(zero->wait(), 0);
        QCOMPARE(one->wait(), 0);
        const auto node = [&](int number) { return NodeLayout{run / "a2" / ("n" + std::to_string(number))}; };
        QCOMPARE(textOf(endedOf(recordsOf(node(0))), "outcome"), std::string("completed"));
        const auto lines = linesOf(recordsOf(node(1)), 1, "stdout");
        QCOMPARE(lines.size(), std::size_t(3));
        QCOMPARE(lines[0], std::string("extra"));
        QCOMPARE(lines[1], std::string("2 1 5"));
        QCOMPARE(lines[2], "file://" + (run / "init-a2").string());
        QVERIFY(!std::filesystem::exists(node(0).root / "job.sh"));
        // The ranks' files lay on the nodes' own disk, and are gone from there.
        QVERIFY(!std::filesystem::exists(std::filesystem::symlink_status(node(0).ranks())));
        QVERIFY(std::filesystem::is_empty(scratch / "disk"));
    }

    void scheduler_thatEndsTheJob_hasTheLastWord() {
        Scratch scratch;
        const Path run = scratch / "runs/shared";
        AgentRig shell(scratch);
        auto plan = shell.shellPlan("trap 'echo saved; exit 0' TERM; echo up; while :; do sleep 0.05; done");
        plan.graceSeconds = 5;
        plan.scheduler = plan.sharedFolder = true;
        std::filesystem::create_directories(run);
        std::ofstream(run / "plan.json") << base::dumpJsonPretty(toJson(plan));
        AgentProcess agent(NodeLayout{run}, {"--scheduler"}, {{"SLURM_NODEID", "0"}, {"SLURM_NNODES", "1"}});
        const NodeLayout node{run / "a1/n0"};
        QVERIFY(waitFor([&] { return linesOf(recordsOf(node), 0, "stdout").size() == 1; }));
        agent.kill(SIGTERM);
        QCOMPARE(agent.wait(), 0);
        const auto records = recordsOf(node);
        QCOMPARE(linesOf(records, 0, "stdout"), (std::vector<std::string>{"up", "saved"}));
        QVERIFY(ofKind(records, wire::kind::kEnded).empty());
        QCOMPARE(textOf(ofKind(records, wire::kind::kWarning).at(0).body, "code"), std::string("scheduler.signal"));
        QVERIFY(!std::filesystem::exists(std::filesystem::symlink_status(node.ranks())));
    }

    void aNodeThatWasAway_joinsTheNextAttempt() {
        Scratch scratch;
        AgentRig shell(scratch);
        NodesRig rig(scratch,
                     shell.shellPlan("echo attempt $TRAINYARD_ATTEMPT; [ $TRAINYARD_ATTEMPT = 2 ] || sleep 200"), 2);
        rig.plan().maxRestarts = 1;
        rig.plan().silenceSeconds = 5;
        QVERIFY(rig.startAll());
        QVERIFY(waitFor([&] { return isUp(rig, 0, 0) && isUp(rig, 1, 1); }, 10'000));
        // Its power goes.
        rig.agent(1).kill(SIGKILL);
        for (const char* which : {"shim", "process"}) signalRank(rig.layout(1), 0, which, SIGKILL);
        QVERIFY(waitFor([&] { return statesOf(rig.records(0, 2)) == "Preparing"; }, 20'000));
        QCOMPARE(textOf(rig.ended(0), "code"), std::string("node.silent"));
        // It comes back, and its agent is started on what it knows.
        rig.start(1);
        QVERIFY(rig.waitAll());
        QCOMPARE(textOf(rig.ended(1), "code"), std::string("node.attempt"));
        QVERIFY(rig.ended(1)["restart"].get<bool>());
        QCOMPARE(textOf(rig.ended(0, 2), "outcome"), std::string("completed"));
        QCOMPARE(linesOf(rig.records(1, 2), 1, "stdout"), std::vector<std::string>{"attempt 2"});
        QVERIFY(processesWith(rig.plan().run.str()).empty());
    }

    void coresNotSaid_areOneForEachRank() {
        Scratch scratch;
        AgentRig rig(scratch);
        auto plan = rig.shellPlan("cat \"$TRAINYARD_NODE_FOLDER/launch.json\"");
        plan.cores = 0;
        const NodeLayout layout = rig.place(plan);
        QCOMPARE(AgentProcess(layout).wait(), 0);
        const auto launch = base::parseJson(base::readFile(layout.root / "launch.json").valueOr({}));
        QCOMPARE((*launch)["cores"].get<int>(), 1);
    }

    void mpiLauncher_thatDoesNotFitThePlace_isRefused() {
        Scratch scratch;
        AgentRig rig(scratch);
        auto plan = rig.shellPlan("true");
        plan.distribution = "mpi";
        plan.launcher = "srun";
        const NodeLayout layout = rig.place(plan);
        QCOMPARE(AgentProcess(layout).wait(), 0);
        QCOMPARE(textOf(endedOf(recordsOf(layout)), "code"), std::string("agent.mpi"));
        QVERIFY(textOf(endedOf(recordsOf(layout)), "reason").find("in a Slurm job alone") != std::string::npos);
    }

private:
    std::unique_ptr<ChildGuard> m_guard;
};

QTEST_GUILESS_MAIN(TestAgentNodes)
#include "tst_AgentNodes.moc"
