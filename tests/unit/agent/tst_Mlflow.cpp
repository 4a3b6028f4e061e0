// MLflow's REST interface of the real agent, called as its clients call it.
#include <QtTest>

#include <set>

#include "tests/helpers/Children.h"
#include "tests/unit/agent/ScriptRig.h"

using namespace trainyard;
using namespace trainyard::test;

class TestMlflow : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_guard = std::make_unique<ChildGuard>();
        if (testPython().empty()) TRAINYARD_SKIP("no Python");
    }
    void cleanup() { QVERIFY2(m_guard->noneLeft(5000), m_guard->report().c_str()); }

    void everyCall_reachesTheStream() {
        Scratch scratch;
        AgentRig rig(scratch);
        wire::Plan plan = rig.commandPlan({testPython(), scriptFile("mlflow_rest.py")});
        plan.diskReserveBytes = 0;
        const NodeLayout layout = rig.place(plan);
        QCOMPARE(AgentProcess(layout, {}, {{"http_proxy", "http://127.0.0.1:9"}}).wait(60'000), 0);
        const auto records = recordsOf(layout);
        QVERIFY2(textOf(endedOf(records), "outcome") == "completed", errorsOf(records).c_str());
        const auto loss = pointsOf(records, 0, "loss");
        QCOMPARE(loss.size(), std::size_t(2));
        QCOMPARE(loss[0], (std::pair<std::int64_t, double>(3, 0.5)));
        QVERIFY(loss[1].first == 4 && std::isnan(loss[1].second));
        QCOMPARE(pointsOf(records, 0, "acc").size(), std::size_t(5));
        QCOMPARE(pointsOf(records, 0, "fold/loss").front().second, 2.0);
        Json params = Json::object();
        for (const Record& record : ofKind(records, "params")) params.update(record.body["values"]);
        QCOMPARE(params, (Json{{"lr", "0.1"}, {"depth", "18"}}));
        Json tags = Json::object();
        for (const Record& record : ofKind(records, "tags")) tags.update(record.body["values"]);
        QCOMPARE(tags["team"].get<std::string>() + tags["phase"].get<std::string>(), std::string("birdsone"));
        const auto children = ofKind(records, "child");
        QCOMPARE(textOf(children.front().body, "state") + " " + textOf(children.back().body, "state"),
                 std::string("Running Completed"));
        QCOMPARE(textOf(ofKind(records, "artifact").front().body, "path"), std::string("model/weights.bin"));
        const Json outputs = endedOf(records)["outputs"];
        QCOMPARE(outputs.size(), std::size_t(1));
        QCOMPARE(outputs[0]["size"].get<int>(), 1 << 20);
        // The point's own time, not that of the reading.
        for (const Record& record : ofKind(records, "metrics")) QVERIFY(record.t > 0);
        QVERIFY(!std::filesystem::exists(rig.root() / "runs" / "plan.json"));
    }

    void ranks_haveEachTheirOwnToken() {
        Scratch scratch;
        AgentRig rig(scratch);
        const auto plan = rig.commandPlan({testPython(), "-c", R"(
import json, os, urllib.request
body = {"run_id": os.environ["MLFLOW_RUN_ID"], "key": "rank", "value": int(os.environ["RANK"]), "timestamp": 1795400000000, "step": 0}
request = urllib.request.Request(os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/runs/log-metric", json.dumps(body).encode(),
                                 {"Authorization": "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"]})
assert urllib.request.urlopen(request, timeout=60).status == 200
)"},
                                          3);
        const NodeLayout layout = rig.place(plan);
        QCOMPARE(AgentProcess(layout).wait(60'000), 0);
        const auto records = recordsOf(layout);
        for (int rank = 0; rank < 3; ++rank) {
            const auto points = pointsOf(records, rank, "rank");
            QVERIFY2(points.size() == 1 && points.front().second == rank, errorsOf(records).c_str());
        }
    }

    /// The address stays when the agent is killed and started again, and what was answered is there.
    void killedAgent_losesNothingThatWasAnswered() {
        Scratch scratch;
        AgentRig rig(scratch);
        const auto plan = rig.commandPlan({testPython(), "-c", R"(
import json, os, time, urllib.request
answered = 0
limit = time.time() + 60
for i in range(600):
    body = {"run_id": os.environ["MLFLOW_RUN_ID"], "key": "n", "value": i + 1, "timestamp": 1795400000000, "step": i}
    request = urllib.request.Request(os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/runs/log-metric", json.dumps(body).encode(),
                                     {"Authorization": "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"]})
    while time.time() < limit:
        try:
            assert urllib.request.urlopen(request, timeout=60).status == 200
            break
        except OSError:
            time.sleep(0.02)
    time.sleep(0.002)
)"});
        const NodeLayout layout = rig.place(plan);
        {
            AgentProcess agent(layout);
            QVERIFY(waitFor([&] { return pointsOf(recordsOf(layout), 0, "n").size() > 100; }, 30'000));
            agent.kill(SIGKILL);
        }
        QCOMPARE(AgentProcess(layout).wait(120'000), 0);
        const auto records = recordsOf(layout);
        QVERIFY2(textOf(endedOf(records), "outcome") == "completed", errorsOf(records).c_str());
        std::set<std::int64_t> steps;
        for (const auto& [step, value] : pointsOf(records, 0, "n")) steps.insert(step);
        QCOMPARE(steps.size(), std::size_t(600));
    }

    void ownTrackingAddress_stays() {
        Scratch scratch;
        AgentRig rig(scratch);
        wire::Plan plan = rig.shellPlan("echo \"$MLFLOW_TRACKING_URI ${MLFLOW_TRACKING_TOKEN-none}\"");
        plan.variables = {{"MLFLOW_TRACKING_URI", "http://tracking.example"}};
        const NodeLayout layout = rig.place(plan);
        QCOMPARE(AgentProcess(layout).wait(), 0);
        QCOMPARE(linesOf(recordsOf(layout), 0, "stdout"), std::vector<std::string>{"http://tracking.example none"});
    }

private:
    std::unique_ptr<ChildGuard> m_guard;
};

QTEST_GUILESS_MAIN(TestMlflow)
#include "tst_Mlflow.moc"
