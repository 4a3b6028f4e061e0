// Ending a run: cancel, time limit, processes that do not want to end or try to get away, the machine's queue.
#include "tests/helpers/Children.h"
#include "tests/unit/agent/AgentRig.h"

using namespace trainyard;
using namespace trainyard::test;

namespace {

void cancel(const NodeLayout& layout) {
    std::filesystem::create_directories(layout.control());
    std::ofstream(layout.root / "cancel.tmp") << "{}";
    std::filesystem::rename(layout.root / "cancel.tmp", layout.control() / wire::control::kCancel);
}

bool isRunning(const NodeLayout& layout) { return statesOf(recordsOf(layout)).ends_with("Running"); }

}  // namespace

class TestAgentStop : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() { m_guard = std::make_unique<ChildGuard>(); }
    void cleanup() { QVERIFY2(m_guard->noneLeft(20'000), m_guard->report().c_str()); }

    void cancel_whileRunning() {
        Scratch scratch;
        AgentRig rig(scratch);
        auto plan = rig.shellPlan("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done", 2);
        plan.graceSeconds = 10;
        const NodeLayout layout = rig.place(plan);
        AgentProcess agent(layout);
        QVERIFY(waitFor([&] { return linesOf(recordsOf(layout), 1, "stdout").size() == 1; }));
        cancel(layout);
        QCOMPARE(agent.wait(), 0);
        const auto records = recordsOf(layout);
        QCOMPARE(textOf(endedOf(records), "outcome"), std::string("canceled"));
        QCOMPARE(textOf(endedOf(records), "reason"), std::string("The run was canceled."));
        QCOMPARE(linesOf(records, 0, "stdout"), (std::vector<std::string>{"up", "bye"}));
        QVERIFY(processesWith(plan.run.str()).empty());
    }

    void cancel_ignoredByTheRank_isForced() {
        Scratch scratch;
        AgentRig rig(scratch);
        const auto plan = rig.shellPlan("trap '' TERM; echo up; while :; do sleep 0.05; done");
        const NodeLayout layout = rig.place(plan);
        AgentProcess agent(layout);
        QVERIFY(waitFor([&] { return linesOf(recordsOf(layout), 0, "stdout").size() == 1; }));
        cancel(layout);
        QCOMPARE(agent.wait(), 0);
        const Json ended = endedOf(recordsOf(layout));
        QCOMPARE(textOf(ended, "outcome"), std::string("canceled"));
        QCOMPARE(ended["ranks"][0]["signal"].get<int>(), SIGKILL);
        QVERIFY(textOf(ended["ranks"][0], "reason").find("still running 1 s after") != std::string::npos);
        QVERIFY(processesWith(plan.run.str()).empty());
    }

    void cancel_ofAStoppedRank() {
        Scratch scratch;
        AgentRig rig(scratch);
        auto plan = rig.shellPlan("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done");
        plan.graceSeconds = 20;
        const NodeLayout layout = rig.place(plan);
        AgentProcess agent(layout);
        QVERIFY(waitFor([&] { return linesOf(recordsOf(layout), 0, "stdout").size() == 1; }));
        ::kill(-pidOfRank(layout, 0, "process"), SIGSTOP);
        cancel(layout);
        QCOMPARE(agent.wait(), 0);
        QCOMPARE(linesOf(recordsOf(layout), 0, "stdout"), (std::vector<std::string>{"up", "bye"}));
    }

    void cancel_comesTooLate_forAFailedRun() {
        Scratch scratch;
        AgentRig rig(scratch);
        auto plan = rig.shellPlan("[ $RANK = 1 ] && exit 5; trap '' TERM; while :; do sleep 0.05; done", 2);
        const NodeLayout layout = rig.place(plan);
        AgentProcess agent(layout);
        QVERIFY(waitFor([&] { return std::filesystem::exists(layout.rankExit(1)); }));
        ::usleep(100'000);
        cancel(layout);  // Rank 0 still has its grace time.
        QCOMPARE(agent.wait(), 0);
        const Json ended = endedOf(recordsOf(layout));
        QCOMPARE(textOf(ended, "outcome"), std::string("failed"));
        QCOMPARE(textOf(ended, "reason"), std::string("Rank 1 ended with exit status 5."));
    }

    void cancel_isRememberedByTheNextAgent() {
        Scratch scratch;
        AgentRig rig(scratch);
        auto plan = rig.shellPlan("trap 'echo asked' TERM; echo up; while :; do sleep 0.05; done");
        const NodeLayout layout = rig.place(plan);
        {
            AgentProcess agent(layout);
            QVERIFY(waitFor([&] { return linesOf(recordsOf(layout), 0, "stdout").size() == 1; }));
            cancel(layout);
            QVERIFY(waitFor(
                [&] { return base::readFile(layout.rankOut(0)).valueOr({}).find("asked") != std::string::npos; }));
            agent.kill(SIGKILL);
        }
        // The shim carries the grace time out by itself.
        QVERIFY(waitFor([&] { return std::filesystem::exists(layout.rankExit(0)); }));
        QCOMPARE(AgentProcess(layout).wait(), 0);
        QCOMPARE(textOf(endedOf(recordsOf(layout)), "outcome"), std::string("canceled"));
    }

    void cancel_beforeTheAgentIsThere() {
        Scratch scratch;
        AgentRig rig(scratch);
        const auto plan = rig.shellPlan("echo never");
        const NodeLayout layout = rig.place(plan);
        cancel(layout);
        QCOMPARE(AgentProcess(layout).wait(), 0);
        const auto records = recordsOf(layout);
        QCOMPARE(textOf(endedOf(records), "outcome"), std::string("canceled"));
        QCOMPARE(statesOf(records), std::string("Preparing"));
        QVERIFY(linesOf(records, 0, "stdout").empty());
    }

    void cancel_whileFinalizing() {
        Scratch scratch;
        AgentRig rig(scratch);
        // A sparse file: large to hash, nothing to store.
        const auto plan = rig.shellPlan("truncate -s 12G \"$TRAINYARD_OUTPUTS/large\"");
        const NodeLayout layout = rig.place(plan);
        AgentProcess agent(layout);
        QVERIFY(waitFor([&] { return statesOf(recordsOf(layout)).ends_with("Finalizing"); }));
        cancel(layout);
        QCOMPARE(agent.wait(), 0);
        const Json ended = endedOf(recordsOf(layout));
        QCOMPARE(textOf(ended, "outcome"), std::string("canceled"));
        QCOMPARE(ended["ranks"][0]["exit"].get<int>(), 0);
        QVERIFY(ended["outputs"].empty());
    }

    void timeLimit_failsTheRun() {
        Scratch scratch;
        AgentRig rig(scratch);
        auto plan = rig.shellPlan("sleep 60");
        plan.maxSeconds = 1;
        const NodeLayout layout = rig.place(plan);
        QCOMPARE(AgentProcess(layout).wait(), 0);
        const Json ended = endedOf(recordsOf(layout));
        QCOMPARE(textOf(ended, "outcome"), std::string("failed"));
        QCOMPARE(textOf(ended, "code"), std::string("run.time_limit"));
        QVERIFY2(textOf(ended, "reason").starts_with("The time limit of 1"), textOf(ended, "reason").c_str());
    }

    void checkpoint_isASignalForThoseWhoHeedIt() {
        Scratch scratch;
        AgentRig rig(scratch);
        // Rank 0 heeds SIGUSR1; rank 1 would die of it. Below rank 0's shell there is a program that would, too.
        const auto plan = rig.shellPlan(
            "if [ $RANK = 0 ]; then trap 'echo saved' USR1; sleep 300 & echo up; while [ ! -e '" +
                (scratch / "go").string() + "' ]; do sleep 0.05; done; kill $!; else echo up; while [ ! -e '" +
                (scratch / "go").string() + "' ]; do sleep 0.05; done; fi; echo end",
            2);
        const NodeLayout layout = rig.place(plan);
        AgentProcess agent(layout);
        QVERIFY(waitFor([&] {
            return linesOf(recordsOf(layout), 0, "stdout").size() == 1 &&
                   linesOf(recordsOf(layout), 1, "stdout").size() == 1;
        }));
        for (std::size_t times = 1; times <= 2; ++times) {
            std::ofstream(layout.control() / ".checkpoint") << "";
            std::filesystem::rename(layout.control() / ".checkpoint", layout.control() / wire::control::kCheckpoint);
            const bool saved = waitFor([&] { return linesOf(recordsOf(layout), 0, "stdout").size() == 1 + times; });
            if (!saved) scratch.write("go", "");
            QVERIFY2(saved, base::readFile(layout.stream() / wire::segmentName(1)).valueOr({}).c_str());
        }
        scratch.write("go", "");
        QCOMPARE(agent.wait(), 0);
        const auto records = recordsOf(layout);
        QCOMPARE(textOf(endedOf(records), "outcome"), std::string("completed"));
        QCOMPARE(linesOf(records, 0, "stdout"), (std::vector<std::string>{"up", "saved", "saved", "end"}));
        QCOMPARE(linesOf(records, 1, "stdout"), (std::vector<std::string>{"up", "end"}));
        QVERIFY(linesOf(records, -1, "agent").at(0).find("SIGUSR1 was sent to 1 process") != std::string::npos);
    }

    void timeLimit_countsAcrossAgents() {
        Scratch scratch;
        AgentRig rig(scratch);
        auto plan = rig.shellPlan("sleep 600");
        plan.maxSeconds = 1800;
        const NodeLayout layout = rig.place(plan);
        {
            AgentProcess agent(layout);
            QVERIFY(waitFor([&] { return isRunning(layout) && pidOfRank(layout, 0, "process") > 0; }));
            agent.kill(SIGKILL);
        }
        // As if the first agent had begun an hour ago.
        const Path segment = layout.stream() / wire::segmentName(1);
        std::string text = base::readFile(segment).value();
        for (const Record& record : recordsOf(layout)) {
            const std::string t = std::to_string(record.t);
            const std::size_t at = text.find(t);
            QVERIFY(at != std::string::npos);
            text.replace(at, t.size(), std::to_string(record.t - std::int64_t{3600} * 1'000'000));
        }
        std::ofstream(segment, std::ios::binary) << text;
        QCOMPARE(AgentProcess(layout).wait(), 0);
        QCOMPARE(textOf(endedOf(recordsOf(layout)), "code"), std::string("run.time_limit"));
    }

    void leftovers_areGoneAfterwards_data() {
        QTest::addColumn<QByteArray>("script");
        QTest::newRow("child in the background") << QByteArray("sleep 61 & echo $! > pid; exit 0");
        QTest::newRow("own session, orphaned")
            << QByteArray("(setsid sh -c 'echo $$ > pid; exec sleep 62' &) ; sleep 0.2");
        QTest::newRow("ignores SIGTERM") << QByteArray(
            "setsid sh -c 'trap \"\" TERM; echo $$ > pid; sleep 63; sleep 63' & sleep 0.2");
        QTest::newRow("without its environment")
            << QByteArray("setsid env -i sh -c 'echo $$ > pid; exec sleep 64' & sleep 0.2");
    }
    void leftovers_areGoneAfterwards() {
        QFETCH(QByteArray, script);
        Scratch scratch;
        AgentRig rig(scratch);
        auto plan = rig.shellPlan(script.toStdString());
        plan.workingFolder = scratch.path().string();
        const NodeLayout layout = rig.place(plan);
        QCOMPARE(AgentProcess(layout).wait(), 0);
        QCOMPARE(textOf(endedOf(recordsOf(layout)), "outcome"), std::string("completed"));
        const pid_t pid = pidIn(scratch / "pid");
        QVERIFY(pid > 0);
        QVERIFY(isGone(pid));
        QVERIFY(processesWith(plan.run.str()).empty());
    }

    void terminatedAgent_leavesItsRanks() {
        Scratch scratch;
        AgentRig rig(scratch);
        const NodeLayout layout = rig.place(rig.shellPlan("echo up; while [ ! -e '" + (scratch / "go").string() +
                                                          "' ]; do sleep 0.02; done; echo down"));
        AgentProcess agent(layout);
        QVERIFY(waitFor([&] { return isRunning(layout) && pidOfRank(layout, 0, "process") > 0; }));
        agent.kill(SIGHUP);
        agent.kill(SIGTERM);
        QCOMPARE(agent.wait(), 0);
        QVERIFY(!isGone(pidOfRank(layout, 0, "process")));
        QVERIFY(endedOf(recordsOf(layout)).empty());
        scratch.write("go", "");
        QCOMPARE(AgentProcess(layout).wait(), 0);
        const auto records = recordsOf(layout);
        QCOMPARE(textOf(endedOf(records), "outcome"), std::string("completed"));
        QCOMPARE(linesOf(records, 0, "stdout"), (std::vector<std::string>{"up", "down"}));
    }

    void queue_secondRunWaits_andSaysForWhom() {
        Scratch scratch;
        AgentRig rig(scratch);
        const std::string waits = "while [ ! -e '" + (scratch / "go").string() + "' ]; do sleep 0.02; done";
        auto first = rig.shellPlan(waits);
        first.runName = "early bird";
        first.cores = 60'000;
        auto second = rig.shellPlan("true");
        const NodeLayout firstLayout = rig.place(first);
        const NodeLayout secondLayout = rig.place(second);
        AgentProcess one(firstLayout);
        QVERIFY(waitFor([&] { return isRunning(firstLayout); }));
        AgentProcess two(secondLayout);
        QVERIFY(waitFor([&] { return statesOf(recordsOf(secondLayout)).ends_with("Queued"); }));
        scratch.write("go", "");
        QCOMPARE(one.wait(), 0);
        QCOMPARE(two.wait(), 0);
        const auto records = recordsOf(secondLayout);
        QCOMPARE(statesOf(records), std::string("Preparing Queued Running Finalizing"));
        const std::string reason = textOf(ofKind(records, wire::kind::kState)[1].body, "reason");
        QVERIFY2(reason.find("busy: run early bird (") != std::string::npos, reason.c_str());
        const auto endedFirst = endedOf(recordsOf(firstLayout))["ranks"][0]["t"].get<std::int64_t>();
        const auto startedSecond = ofKind(records, wire::kind::kState)[2].t;
        QVERIFY2(startedSecond >= endedFirst, std::to_string(startedSecond - endedFirst).c_str());
    }

    void queue_cancelWhileWaiting() {
        Scratch scratch;
        AgentRig rig(scratch);
        auto first = rig.shellPlan("while [ ! -e '" + (scratch / "go").string() + "' ]; do sleep 0.02; done");
        first.cores = 60'000;
        const NodeLayout firstLayout = rig.place(first);
        AgentProcess one(firstLayout);
        QVERIFY(waitFor([&] { return isRunning(firstLayout); }));
        const NodeLayout layout = rig.place(rig.shellPlan("echo never"));
        AgentProcess two(layout);
        QVERIFY(waitFor([&] { return statesOf(recordsOf(layout)).ends_with("Queued"); }));
        cancel(layout);
        QCOMPARE(two.wait(), 0);
        QCOMPARE(textOf(endedOf(recordsOf(layout)), "outcome"), std::string("canceled"));
        QVERIFY(linesOf(recordsOf(layout), 0, "stdout").empty());
        scratch.write("go", "");
        QCOMPARE(one.wait(), 0);
        QCOMPARE(textOf(endedOf(recordsOf(firstLayout)), "outcome"), std::string("completed"));
    }

    void queue_neverTwoAtOnce_priorityFirst() {
        Scratch scratch;
        AgentRig rig(scratch);
        // Each run takes the whole machine, notes that it is in, and fails if another one is.
        const std::string script = "mkdir busy || exit 9; echo $TRAINYARD_RUN_NAME >> order; sleep 0.15; rmdir busy";
        auto blocker = rig.shellPlan("while [ ! -e '" + (scratch / "go").string() + "' ]; do sleep 0.02; done");
        blocker.cores = 60'000;
        const NodeLayout blocking = rig.place(blocker);
        AgentProcess block(blocking);
        QVERIFY(waitFor([&] { return isRunning(blocking); }));
        std::vector<std::unique_ptr<AgentProcess>> agents;
        std::vector<NodeLayout> layouts;
        for (int i = 0; i < 4; ++i) {
            auto plan = rig.shellPlan(script);
            plan.runName = std::to_string(i);
            plan.cores = 60'000;
            plan.priority = i == 3 ? 10 : 0;
            plan.workingFolder = scratch.path().string();
            layouts.push_back(rig.place(plan));
            agents.push_back(std::make_unique<AgentProcess>(layouts.back()));
            QVERIFY(waitFor([&] { return statesOf(recordsOf(layouts.back())).ends_with("Queued"); }));
        }
        scratch.write("go", "");
        for (auto& agent : agents) QCOMPARE(agent->wait(), 0);
        QCOMPARE(block.wait(), 0);
        for (const NodeLayout& layout : layouts) {
            QCOMPARE(textOf(endedOf(recordsOf(layout)), "outcome"), std::string("completed"));
        }
        QCOMPARE(scratch.read("order"), std::string("3\n0\n1\n2\n"));
    }

    void queue_killedAgent_holdsItsSlotsWhileItsRanksRun() {
        Scratch scratch;
        AgentRig rig(scratch);
        auto first = rig.shellPlan("while [ ! -e go ]; do sleep 0.02; done; date +%s%N > done");
        first.cores = 60'000;
        first.workingFolder = scratch.path().string();
        auto second = rig.shellPlan("cat done");
        second.workingFolder = first.workingFolder;
        const NodeLayout firstLayout = rig.place(first);
        const NodeLayout secondLayout = rig.place(second);
        AgentProcess one(firstLayout);
        QVERIFY(waitFor([&] { return pidOfRank(firstLayout, 0, "process") > 0; }));
        one.kill(SIGKILL);
        AgentProcess two(secondLayout);
        QVERIFY(waitFor([&] { return statesOf(recordsOf(secondLayout)).ends_with("Queued"); }));
        scratch.write("go", "");
        QCOMPARE(two.wait(), 0);
        QCOMPARE(textOf(endedOf(recordsOf(secondLayout)), "outcome"), std::string("completed"));
        QCOMPARE(AgentProcess(firstLayout).wait(), 0);
        QCOMPARE(textOf(endedOf(recordsOf(firstLayout)), "outcome"), std::string("completed"));
    }

private:
    std::unique_ptr<ChildGuard> m_guard;
};

QTEST_GUILESS_MAIN(TestAgentStop)
#include "tst_AgentStop.moc"
