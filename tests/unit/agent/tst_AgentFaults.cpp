// Everything is killed at every moment: no record is lost or told twice, no process is left, the end tells the truth.
#include <functional>
#include <random>

#include "core/base/Process.h"
#include "tests/helpers/Children.h"
#include "tests/unit/agent/AgentRig.h"

using namespace trainyard;
using namespace trainyard::test;

class TestAgentFaults : public QObject {
    Q_OBJECT

private:
    static void checkCounts(const std::vector<Record>& records, int processes, int count) {
        for (int rank = 0; rank < processes; ++rank) {
            const std::string lines = wrongWithLines(linesOf(records, rank, "stdout"), count);
            QVERIFY2(lines.empty(), lines.c_str());
            const std::string points = wrongWithPoints(pointsOf(records, rank, "n"), count);
            QVERIFY2(points.empty(), points.c_str());
        }
        for (std::size_t i = 0; i < records.size(); ++i) QCOMPARE(records[i].seq, static_cast<std::int64_t>(i) + 1);
    }

private Q_SLOTS:
    void init() { m_guard = std::make_unique<ChildGuard>(); }
    void cleanup() { QVERIFY2(m_guard->noneLeft(20'000), m_guard->report().c_str()); }

    void agent_killedAgainAndAgain_losesNothing() {
        Scratch scratch;
        AgentRig rig(scratch);
        constexpr int kCount = 4000;
        const auto plan = rig.shellPlan(countingScript(kCount, 20, "0.01"), 2);
        const NodeLayout layout = rig.place(plan);
        std::mt19937 random(20261123);
        int kills = 0;
        while (true) {
            AgentProcess agent(layout);
            // Longer and longer, so that the run ends on any machine.
            const int status = agent.wait(static_cast<int>(random() % 120) + kills * 5);
            if (status == 0) break;
            QCOMPARE(status, -1);
            agent.kill(SIGKILL);
            ++kills;
            QVERIFY2(kills < 500, "the run does not come to its end");
        }
        const auto records = recordsOf(layout);
        checkCounts(records, 2, kCount);
        QCOMPARE(statesOf(records), std::string("Preparing Queued Running Finalizing"));
        QCOMPARE(ofKind(records, wire::kind::kAttempt).size(), std::size_t(1));
        QCOMPARE(textOf(endedOf(records), "outcome"), std::string("completed"));
        QVERIFY2(kills >= 10, std::to_string(kills).c_str());
        qInfo("%d kills", kills);
    }

    void agent_killedAtEachMomentOfAShortRun() {
        // The moments around start and end matter most: each is waited for by what it leaves behind, then the agent is
        // killed. Up to `held` the ranks wait for the test, so such a kill is early on any machine.
        struct Moment {
            const char* name;
            bool held;
            std::function<bool(const NodeLayout&)> reached;
        };
        const auto exists = [](const Path& path) {
            std::error_code error;
            return std::filesystem::exists(path, error);
        };
        const auto state = [](const NodeLayout& layout, const char* name) {
            return statesOf(recordsOf(layout)).ends_with(name);
        };
        const std::vector<Moment> moments = {
            {"at once", true, [](const NodeLayout&) { return true; }},
            {"lock", true, [&](const NodeLayout& layout) { return exists(layout.agentLock()); }},
            {"identity", true, [&](const NodeLayout& layout) { return exists(layout.agent()); }},
            {"stream", true, [&](const NodeLayout& layout) { return exists(layout.stream() / wire::segmentName(1)); }},
            {"attempt", true, [&](const NodeLayout& layout) { return !recordsOf(layout).empty(); }},
            {"preparing", true, [&](const NodeLayout& layout) { return !statesOf(recordsOf(layout)).empty(); }},
            {"queued", true,
             [&](const NodeLayout& layout) { return statesOf(recordsOf(layout)).find("Queued") != std::string::npos; }},
            {"launch", true, [&](const NodeLayout& layout) { return exists(layout.root / "launch.json"); }},
            {"first shim", true, [&](const NodeLayout& layout) { return exists(layout.rankShim(0)); }},
            {"second shim", true, [&](const NodeLayout& layout) { return exists(layout.rankShim(1)); }},
            {"running", true, [&](const NodeLayout& layout) { return state(layout, "Running"); }},
            {"first line", true,
             [&](const NodeLayout& layout) { return !linesOf(recordsOf(layout), 0, "stdout").empty(); }},
            {"half", true,
             [&](const NodeLayout& layout) { return linesOf(recordsOf(layout), 1, "stdout").size() >= 10; }},
            {"first exit", false, [&](const NodeLayout& layout) { return exists(layout.rankExit(0)); }},
            {"second exit", false, [&](const NodeLayout& layout) { return exists(layout.rankExit(1)); }},
            {"finalizing", false, [&](const NodeLayout& layout) { return state(layout, "Finalizing"); }},
            {"ended", false, [&](const NodeLayout& layout) { return !endedOf(recordsOf(layout)).empty(); }}};
        Scratch scratch;
        AgentRig rig(scratch);
        const std::string go = (scratch / "go").string();
        for (const Moment& moment : moments) {
            for (const int micros : {0, 400, 1500, 5000}) {
                const std::string first = countingScript(10, 10, "0.005");
                const auto plan = rig.shellPlan(
                    first + "; while [ ! -e '" + go +
                        "' ]; do sleep 0.01; done; j=10; while [ $j -lt 20 ]; do "
                        "j=$((j+1)); echo \"line $j\"; echo '{\"kind\":\"metric\",\"name\":\"n\",\"value\":'$j'}' >> "
                        "\"$TRAINYARD_STREAM\"; done; echo x > \"$TRAINYARD_OUTPUTS/o\"; echo run >> \"" +
                        (scratch / "starts").string() + "\"",
                    2);
                const NodeLayout layout = rig.place(plan);
                if (!moment.held) scratch.write("go", "");
                {
                    AgentProcess agent(layout);
                    const auto deadline = base::Deadline::inMillis(60'000);
                    while (!moment.reached(layout) && !deadline.passed()) ::usleep(100);
                    QVERIFY2(!deadline.passed(), moment.name);
                    ::usleep(static_cast<useconds_t>(micros));
                    agent.kill(SIGKILL);
                }
                if (moment.held) QVERIFY2(endedOf(recordsOf(layout)).empty(), moment.name);
                scratch.write("go", "");
                QCOMPARE(AgentProcess(layout).wait(), 0);
                const auto records = recordsOf(layout);
                checkCounts(records, 2, 20);
                QCOMPARE(textOf(endedOf(records), "outcome"), std::string("completed"));
                QCOMPARE(endedOf(records)["outputs"].size(), std::size_t(1));
                QVERIFY2(statesOf(records) == "Preparing Queued Running Finalizing" ||
                             statesOf(records) == "Preparing Queued Queued Running Finalizing",
                         (moment.name + (": " + statesOf(records))).c_str());
                QVERIFY(processesWith(plan.run.str()).empty());
                // No rank was ever started twice.
                const std::string starts = scratch.read("starts");
                QCOMPARE(std::count(starts.begin(), starts.end(), '\n'), std::ptrdiff_t(2));
                std::filesystem::remove(scratch / "starts");
                std::filesystem::remove(go);
            }
        }
    }

    void rank_killed_isAnEventInTheStream() {
        Scratch scratch;
        AgentRig rig(scratch);
        const auto plan = rig.shellPlan("echo up; sleep 60; echo never", 3);
        const NodeLayout layout = rig.place(plan);
        AgentProcess agent(layout);
        QVERIFY(waitFor([&] { return linesOf(recordsOf(layout), 2, "stdout").size() == 1; }));
        signalRank(layout, 2, "process", SIGKILL);
        QCOMPARE(agent.wait(), 0);
        const Json ended = endedOf(recordsOf(layout));
        QCOMPARE(textOf(ended, "outcome"), std::string("failed"));
        QCOMPARE(textOf(ended, "reason"),
                 std::string("Rank 2 was killed by signal 9 (SIGKILL); out of memory is a common cause."));
        QVERIFY(processesWith(plan.run.str()).empty());
    }

    void allRanks_killed() {
        Scratch scratch;
        AgentRig rig(scratch);
        const auto plan = rig.shellPlan("echo up; exec sleep 60", 4);
        const NodeLayout layout = rig.place(plan);
        AgentProcess agent(layout);
        QVERIFY(waitFor([&] { return linesOf(recordsOf(layout), 3, "stdout").size() == 1; }));
        for (int rank = 0; rank < 4; ++rank) signalRank(layout, rank, "process", SIGKILL);
        QCOMPARE(agent.wait(), 0);
        const Json ended = endedOf(recordsOf(layout));
        QCOMPARE(textOf(ended, "outcome"), std::string("failed"));
        QCOMPARE(textOf(ended, "code"), std::string("rank.signal"));
        QCOMPARE(ended["ranks"].size(), std::size_t(4));
    }

    void shim_killed_takesItsRankAlong() {
        Scratch scratch;
        AgentRig rig(scratch);
        auto plan = rig.shellPlan("setsid sleep 65 & echo $! > child$RANK; echo up; sleep 60", 2);
        plan.workingFolder = scratch.path().string();
        const NodeLayout layout = rig.place(plan);
        AgentProcess agent(layout);
        QVERIFY(waitFor([&] { return linesOf(recordsOf(layout), 1, "stdout").size() == 1; }));
        const pid_t rank = pidOfRank(layout, 1, "process");
        signalRank(layout, 1, "shim", SIGKILL);
        QVERIFY(waitFor([&] { return isGone(rank); }));
        QCOMPARE(agent.wait(), 0);
        const Json ended = endedOf(recordsOf(layout));
        QCOMPARE(textOf(ended, "outcome"), std::string("failed"));
        QCOMPARE(textOf(ended, "code"), std::string("rank.lost"));
        QVERIFY2(textOf(ended, "reason").find("Rank 1 is lost: the process that watched over it was killed") == 0,
                 textOf(ended, "reason").c_str());
        QVERIFY(isGone(pidIn(scratch / "child0")) && isGone(pidIn(scratch / "child1")));
        QVERIFY(processesWith(plan.run.str()).empty());
    }

    void everything_killed_thenTheTruth() {
        Scratch scratch;
        AgentRig rig(scratch);
        const auto plan = rig.shellPlan("i=0; while :; do i=$((i+1)); echo \"line $i\"; sleep 0.01; done", 2);
        const NodeLayout layout = rig.place(plan);
        {
            AgentProcess agent(layout);
            QVERIFY(waitFor([&] { return linesOf(recordsOf(layout), 1, "stdout").size() > 10; }));
            agent.kill(SIGKILL);
        }
        for (int rank = 0; rank < 2; ++rank) signalRank(layout, rank, "shim", SIGKILL);
        QVERIFY(waitFor([&] { return processesWith(plan.run.str()).empty(); }));
        QCOMPARE(AgentProcess(layout).wait(), 0);
        const auto records = recordsOf(layout);
        QCOMPARE(textOf(endedOf(records), "outcome"), std::string("failed"));
        QCOMPARE(textOf(endedOf(records), "code"), std::string("rank.lost"));
        // All that the ranks wrote before is there.
        for (int rank = 0; rank < 2; ++rank) {
            const std::string out = base::readFile(layout.rankOut(rank)).value();
            const auto lines = static_cast<int>(std::count(out.begin(), out.end(), '\n'));
            const std::string wrong = wrongWithLines(linesOf(records, rank, "stdout"), lines);
            QVERIFY2(lines > 10 && wrong.empty(), wrong.c_str());
        }
    }

    void ranksEnded_whileNoAgentWasThere() {
        Scratch scratch;
        AgentRig rig(scratch);
        const NodeLayout layout = rig.place(rig.shellPlan(countingScript(500, 50, "0.02") + "; exit 4"));
        {
            AgentProcess agent(layout);
            QVERIFY(waitFor([&] { return !pointsOf(recordsOf(layout), 0, "n").empty(); }));
            agent.kill(SIGKILL);
        }
        QVERIFY(waitFor([&] { return std::filesystem::exists(layout.rankExit(0)); }));
        QCOMPARE(AgentProcess(layout).wait(), 0);
        const auto records = recordsOf(layout);
        checkCounts(records, 1, 500);
        QCOMPARE(textOf(endedOf(records), "reason"), std::string("Rank 0 ended with exit status 4."));
    }

    void cancel_whileNoAgentWasThere() {
        Scratch scratch;
        AgentRig rig(scratch);
        const auto plan = rig.shellPlan("sleep 60");
        const NodeLayout layout = rig.place(plan);
        {
            AgentProcess agent(layout);
            QVERIFY(waitFor([&] { return pidOfRank(layout, 0, "process") > 0; }));
            agent.kill(SIGKILL);
        }
        std::ofstream(layout.control() / wire::control::kCancel) << "";
        QCOMPARE(AgentProcess(layout).wait(), 0);
        QCOMPARE(textOf(endedOf(recordsOf(layout)), "outcome"), std::string("canceled"));
        QVERIFY(processesWith(plan.run.str()).empty());
    }

    void machineRestarted_isSaid() {
        // Another boot id in the notes stands for a machine that was restarted.
        Scratch scratch;
        AgentRig rig(scratch);
        const NodeLayout layout = rig.place(rig.shellPlan("sleep 0.3"));
        {
            AgentProcess agent(layout);
            QVERIFY(waitFor([&] { return statesOf(recordsOf(layout)).ends_with("Running"); }));
            agent.kill(SIGKILL);
        }
        QVERIFY(waitFor([&] { return std::filesystem::exists(layout.rankExit(0)); }));
        std::filesystem::remove(layout.rankExit(0));
        const std::string here = base::bootId();
        for (const Path& file : {layout.rankShim(0), layout.root / "launch.json"}) {
            std::string text = base::readFile(file).value();
            for (std::size_t at = text.find(here); at != std::string::npos; at = text.find(here)) {
                text.replace(at, here.size(), "00000000-0000-0000-0000-000000000000");
            }
            std::ofstream(file) << text;
        }
        QCOMPARE(AgentProcess(layout).wait(), 0);
        QCOMPARE(textOf(endedOf(recordsOf(layout)), "reason"),
                 std::string("Rank 0 is lost: the machine was restarted while it ran."));
    }

private:
    std::unique_ptr<ChildGuard> m_guard;
};

QTEST_GUILESS_MAIN(TestAgentFaults)
#include "tst_AgentFaults.moc"
