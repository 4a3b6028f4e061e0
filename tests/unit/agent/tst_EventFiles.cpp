// TensorBoard's event files under the real agent: growing, damaged, torn, and an agent that is killed.
#include <QtTest>

#include "core/base/Text.h"
#include "tests/helpers/Children.h"
#include "tests/unit/agent/EventWriter.h"
#include "tests/unit/agent/ScriptRig.h"

using namespace trainyard;
using namespace trainyard::test;

class TestEventFiles : public QObject {
    Q_OBJECT

private:
    std::vector<Record> carryOut(const wire::Plan& plan) {
        const NodeLayout layout = m_rig->place(plan);
        AgentProcess agent(layout);
        if (agent.wait(60'000) != 0) QTest::qFail("the agent did not end with 0", __FILE__, __LINE__);
        return recordsOf(layout);
    }

private Q_SLOTS:
    void init() {
        m_guard = std::make_unique<ChildGuard>();
        m_scratch = std::make_unique<Scratch>();
        m_rig = std::make_unique<AgentRig>(*m_scratch);
    }
    void cleanup() { QVERIFY2(m_guard->noneLeft(5000), m_guard->report().c_str()); }

    void areReadAsTheyGrow() {
        using W = EventWriter;
        std::string first = W::version() + W::framed(W::event(1, W::scalar("loss", 0.5F))) +
                            W::framed(W::event(2, W::scalar("loss", 0.25F)));
        first += W::framed(W::event(2, W::text(1, "w") + W::text(5, W::real(1, 0) + W::real(2, 1) + W::real(3, 3) +
                                                                        W::reals(6, {0.5, 1}) + W::reals(7, {1, 2}))));
        first += W::framed(W::event(
            3, W::text(1, "pic") + W::text(4, W::whole(1, 4) + W::whole(2, 5) + W::text(4, "\x89PNG\r\n\x1a\n..."))));
        first += W::framed(W::event(3, W::text(1, "note/text_summary") + W::text(8, W::whole(1, 7) + W::text(8, "hi")) +
                                           W::plugin("text")));
        const std::string last = W::framed(W::event(4, W::scalar("loss", 0.125F)));
        const std::string half = last.substr(0, last.size() / 2), rest = last.substr(last.size() / 2);
        m_scratch->write("first", first);
        m_scratch->write("half", half);
        m_scratch->write("rest", rest);
        m_scratch->write("other", W::version() + W::framed(W::event(9, W::scalar("loss", 3))));
        const std::string here = base::shellQuote(m_scratch->path().string());
        // An earlier run's file lies there already.
        const wire::Plan plan = m_rig->shellPlan(
            "mkdir -p logs/val \"$TRAINYARD_OUTPUTS/tb\" runs/Nov23_host; cp " + here +
            "/first logs/events.out.tfevents.1.host; sleep 1.5; cat " + here +
            "/half >> logs/events.out.tfevents.1.host; sleep 0.5; cat " + here +
            "/rest >> logs/events.out.tfevents.1.host; cp " + here + "/other logs/val/events.out.tfevents.2; cp " +
            here + "/other \"$TRAINYARD_OUTPUTS/tb/events.out.tfevents.3\"; cp " + here +
            "/other runs/Nov23_host/events.out.tfevents.4; cp " + here +
            "/other old; touch -d '1 day ago' old; mv old logs/events.out.tfevents.9");
        const auto records = carryOut(plan);
        const auto loss = pointsOf(records, 0, "loss");
        QCOMPARE(loss.size(), std::size_t(5));  // logs/, outputs/tb/ and runs/DATE_HOST/ name none themselves.
        QCOMPARE(pointsOf(records, 0, "val/loss"), (std::vector<std::pair<std::int64_t, double>>{{9, 3.0}}));
        QVERIFY(std::count(loss.begin(), loss.end(), std::pair<std::int64_t, double>(4, 0.125)) == 1);
        QCOMPARE(named(records, "histogram", "w")->body["counts"].size(), std::size_t(2));
        QCOMPARE(named(records, "image", "pic")->body["height"].get<int>(), 4);
        QCOMPARE(textOf(named(records, "text", "note/text_summary")->body, "text"), std::string("hi"));
        QCOMPARE(warningsOf(records), std::string());
    }

    /// Not our idea of the format alone: torch.utils.tensorboard makes the messages, Google's library encodes them.
    void ofPyTorchsSummaryWriter() {
        const std::string python = testPython();
        if (runProgram("/bin/sh", {"-c", "command -v protoc"}).exitCode != 0 ||
            runProgram(python, {"-c", "import torch, six, google.protobuf, distutils.version, PIL"}).exitCode != 0) {
            TRAINYARD_SKIP("Needs python3-torch, python3-protobuf, python3-pil and protobuf-compiler.");
        }
        wire::Plan plan = m_rig->shellPlan("");
        plan.command = {python, scriptFile("summary_writer.py")};
        const auto records = carryOut(plan);
        QVERIFY2(textOf(endedOf(records), "outcome") == "completed", errorsOf(records).c_str());
        const auto loss = pointsOf(records, 0, "loss");
        QCOMPARE(loss.size(), std::size_t(20));
        for (const auto& [step, value] : loss) QCOMPARE(value, double(1.0F / static_cast<float>(step + 1)));
        using Points = std::vector<std::pair<std::int64_t, double>>;
        QCOMPARE(pointsOf(records, 0, "tensor"), (Points{{3, 0.75}}));
        QCOMPARE(pointsOf(records, 0, "exact"), (Points{{4, 0.1}}));
        // add_scalars makes a folder, and in it a file, for each of its curves.
        QCOMPARE(pointsOf(records, 0, "both_left/both"), (Points{{7, 1.5}}));
        QCOMPARE(pointsOf(records, 0, "both_right/both"), (Points{{7, 2.5}}));
        const Record* weights = named(records, "histogram", "weights");
        QVERIFY(weights != nullptr);
        double counted = 0;
        for (const Json& count : weights->body["counts"]) counted += count.get<double>();
        QCOMPARE(counted, 100.0);
        QCOMPARE(weights->body["edges"].front().get<double>() <= 0 && weights->body["edges"].back().get<double>() >= 99,
                 true);
        const Record* red = named(records, "image", "red");
        QVERIFY(red != nullptr);
        QCOMPARE(red->body["height"].get<int>(), 6);
        QCOMPARE(red->body["width"].get<int>(), 9);
        QCOMPARE(textOf(named(records, "text", "note/text_summary")->body, "text"),
                 std::string("what the run is *for*"));
        QCOMPARE(linesOf(records, 0, "stdout"), std::vector<std::string>{"sum 4950.0"});
        QCOMPARE(warningsOf(records), std::string());
    }

    void damagedTruncatedAndTorn() {
        using W = EventWriter;
        std::string damaged = W::version() + W::framed(W::event(1, W::scalar("d", 1))) +
                              W::framed(W::event(2, W::scalar("d", 2))) + W::framed(W::event(3, W::scalar("d", 3)));
        damaged[damaged.size() - W::framed(W::event(3, W::scalar("d", 3))).size() - 8] ^= 1;
        m_scratch->write("damaged", damaged);
        m_scratch->write("long", W::version() + W::framed(W::event(1, W::scalar("t", 1))) +
                                     W::framed(W::event(2, W::scalar("t", 2))));
        m_scratch->write("short", W::version() + W::framed(W::event(5, W::scalar("t", 5))));
        m_scratch->write("torn", W::version() + W::framed(W::event(1, W::scalar("e", 1))) +
                                     W::framed(W::event(2, W::scalar("e", 2))).substr(0, 20));
        const std::string here = base::shellQuote(m_scratch->path().string());
        const NodeLayout layout = m_rig->place(m_rig->shellPlan(
            "mkdir logs; cp " + here + "/damaged logs/a.tfevents.1; cp " + here + "/torn logs/c.tfevents.1; cp " +
            here + "/long logs/b.tfevents.1; while [ ! -e go ]; do sleep 0.05; done; cat " + here +
            "/short > logs/b.tfevents.1"));
        AgentProcess agent(layout);
        QVERIFY(waitFor([&] { return pointsOf(recordsOf(layout), 0, "t").size() == 2; }, 30'000));
        std::ofstream(layout.root.parent_path().parent_path() / "go") << "go";
        QCOMPARE(agent.wait(60'000), 0);
        const auto records = recordsOf(layout);
        QCOMPARE(textOf(endedOf(records), "outcome"), std::string("completed"));
        QCOMPARE(pointsOf(records, 0, "d"), (std::vector<std::pair<std::int64_t, double>>{{1, 1.0}, {3, 3.0}}));
        QCOMPARE(pointsOf(records, 0, "e").size(), std::size_t(1));
        QVERIFY(pointsOf(records, 0, "t").back() == (std::pair<std::int64_t, double>(5, 5.0)));
        const std::string warnings = warningsOf(records);
        for (const char* code : {"events.damaged", "events.truncated", "events.torn"})
            QVERIFY2(warnings.find(code) != std::string::npos, warnings.c_str());
    }

    void onceAfterAKilledAgent() {
        using W = EventWriter;
        std::string all = W::version();
        m_scratch->write("version", all);
        const std::string here = base::shellQuote(m_scratch->path().string());
        for (int i = 0; i < 40; ++i)
            m_scratch->write("r" + std::to_string(i),
                             W::framed(W::event(i, W::scalar("n", static_cast<float>(i + 1)))));
        const NodeLayout layout = m_rig->place(m_rig->shellPlan(
            "mkdir logs; cp " + here + "/version logs/x.tfevents.1; i=0; while [ $i -lt 40 ]; do cat " + here +
            "/r$i >> logs/x.tfevents.1; i=$((i+1)); sleep 0.1; done"));
        {
            AgentProcess agent(layout);
            QVERIFY(waitFor([&] { return pointsOf(recordsOf(layout), 0, "n").size() >= 5; }, 30'000));
            agent.kill(SIGKILL);
        }
        QCOMPARE(AgentProcess(layout).wait(60'000), 0);
        QCOMPARE(wrongWithPoints(pointsOf(recordsOf(layout), 0, "n"), 40), std::string());
    }

private:
    std::unique_ptr<ChildGuard> m_guard;
    std::unique_ptr<Scratch> m_scratch;
    std::unique_ptr<AgentRig> m_rig;
};

QTEST_GUILESS_MAIN(TestEventFiles)
#include "tst_EventFiles.moc"
