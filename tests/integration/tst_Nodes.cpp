// The engine on several nodes: two agents with one rank each come to the same values as one agent with two ranks.
#include "tests/helpers/Children.h"
#include "tests/helpers/Skip.h"
#include "tests/unit/agent/NodesRig.h"

using namespace trainyard;
using namespace trainyard::test;

class TestNodes : public QObject {
    Q_OBJECT

private:
    static constexpr const char* kData = "/usr/share/datasets/fashion-mnist/";

    static std::string spec(int nodes, int processes, int epochs = 2, int samples = 2000) {
        const std::string data = kData;
        return base::dumpJson(Json{
            {"format", "trainyard.run-spec"},
            {"version", 1},
            {"experiment", "nodes"},
            {"target", "hosts"},
            {"distribution", {{"kind", "pytorch"}, {"backend", "gloo"}, {"processes", processes}, {"nodes", nodes}}},
            {"task",
             {{"kind", "train"},
              {"epochs", epochs},
              {"seed", 7},
              {"batch_size", 64},
              {"model", {{"family", "mlp"}}},
              {"dataset",
               {{"train_images", data + "train-images-idx3-ubyte.gz"},
                {"train_labels", data + "train-labels-idx1-ubyte.gz"},
                {"val_images", data + "t10k-images-idx3-ubyte.gz"},
                {"val_labels", data + "t10k-labels-idx1-ubyte.gz"},
                {"train_limit", samples},
                {"val_limit", 500}}}}},
            {"resolved", {{"threads", 1}}}});
    }

    static std::vector<std::pair<std::int64_t, double>> lossOf(const Scratch& scratch, int nodes, int processes) {
        AgentRig shell(scratch);
        auto plan = shell.commandPlan(
            {builtProgram("trainyard-engine").string(), "train", "--spec", "$TRAINYARD_NODE_FOLDER/spec.json"},
            processes);
        plan.engine = true;
        plan.backend = "gloo";
        NodesRig rig(scratch, plan, nodes);
        for (int node = 0; node < nodes; ++node) {
            if (!rig.place(node)) return {};
            std::ofstream(rig.layout(node).root / "spec.json") << spec(nodes, processes);
            rig.start(node);
        }
        if (!rig.waitAll()) return {};
        if (textOf(rig.ended(0), "outcome") != "completed")
            QTest::qFail(textOf(rig.ended(0), "reason").c_str(), __FILE__, __LINE__);
        auto all = pointsOf(rig.records(0), 0, "train/loss");
        const auto validation = pointsOf(rig.records(0), 0, "val/loss");
        all.insert(all.end(), validation.begin(), validation.end());
        return all;
    }

private Q_SLOTS:
    void init() { m_guard = std::make_unique<ChildGuard>(); }
    void cleanup() { QVERIFY2(m_guard->noneLeft(20'000), m_guard->report().c_str()); }

    void engine_onTwoNodes_equalsTwoRanksOnOne() {
        if (!std::filesystem::exists(std::string(kData) + "train-images-idx3-ubyte.gz"))
            TRAINYARD_SKIP("dataset-fashion-mnist is missing");
        Scratch first;
        const auto one = lossOf(first, 1, 2);
        Scratch second;
        const auto two = lossOf(second, 2, 1);
        QVERIFY(one.size() >= 4);
        QCOMPARE(two, one);
        QVERIFY(one.back().second < 1.5);
    }

    void aKilledRank_goesOnFromTheCheckpoint_inTheNextAttempt() {
        if (!std::filesystem::exists(std::string(kData) + "train-images-idx3-ubyte.gz"))
            TRAINYARD_SKIP("dataset-fashion-mnist is missing");
        // Long enough that a look every few milliseconds finds it well before its end.
        constexpr int kEpochs = 8;
        constexpr int kSamples = 30'000;
        std::vector<std::vector<std::pair<std::int64_t, double>>> curves;
        for (const bool killed : {false, true}) {
            Scratch scratch;
            AgentRig rig(scratch);
            auto plan = rig.commandPlan(
                {builtProgram("trainyard-engine").string(), "train", "--spec", "$TRAINYARD_NODE_FOLDER/spec.json"});
            plan.engine = true;
            plan.maxRestarts = 1;
            const NodeLayout first = rig.place(plan);
            const NodeLayout second{first.root.parent_path().parent_path() / "a2" / "n0"};
            std::ofstream(first.root / "spec.json") << spec(1, 1, kEpochs, kSamples);
            AgentProcess agent(first);
            if (killed) {
                const Path checkpoint = Path(plan.outputsFolder) / "checkpoints/last.ckpt";
                QVERIFY(waitFor(
                    [&] { return std::filesystem::exists(checkpoint) || !endedOf(recordsOf(first)).empty(); }, 30'000));
                signalRank(first, 0, "process", SIGKILL);
            }
            QCOMPARE(agent.wait(120'000), 0);
            auto curve = pointsOf(recordsOf(first), 0, "val/loss");
            if (killed) {
                const auto records = recordsOf(second);
                QVERIFY2(textOf(endedOf(records), "outcome") == "completed",
                         (textOf(endedOf(recordsOf(first)), "reason") + textOf(endedOf(records), "reason")).c_str());
                QCOMPARE(textOf(endedOf(recordsOf(first)), "code"), std::string("rank.signal"));
                const auto rest = pointsOf(records, 0, "val/loss");
                QVERIFY(!rest.empty() && rest.size() < static_cast<std::size_t>(kEpochs));
                // What was told by both attempts is the later one's.
                std::erase_if(curve, [&](const auto& point) { return point.first >= rest.front().first; });
                curve.insert(curve.end(), rest.begin(), rest.end());
            }
            curves.push_back(std::move(curve));
        }
        QCOMPARE(curves[0].size(), static_cast<std::size_t>(kEpochs));
        QCOMPARE(curves[1], curves[0]);
    }

    void python_ddpOverTwoNodes() {
        if (runProgram("/usr/bin/python3", {"-c", "import torch.distributed"}).exitCode != 0)
            TRAINYARD_SKIP("python3-torch is missing");
        const std::string code = "import torch,torch.distributed as d\n"
                                 "d.init_process_group('gloo')\n"
                                 "torch.manual_seed(0)\n"
                                 "m=torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2,1))\n"
                                 "x=torch.tensor([[1.,d.get_rank()]])\n"
                                 "m(x).sum().backward()\n"
                                 "print(m.module.weight.grad.tolist(),flush=True)\n";
        Scratch scratch;
        AgentRig shell(scratch);
        NodesRig rig(scratch, shell.commandPlan({"/usr/bin/python3", "-c", code}), 2);
        QVERIFY(rig.startAll());
        QVERIFY(rig.waitAll());
        QCOMPARE(textOf(rig.ended(0), "reason"), std::string("All 2 ranks ended with exit status 0."));
        for (const int node : {0, 1})
            QCOMPARE(linesOf(rig.records(node), node, "stdout"), std::vector<std::string>{"[[1.0, 0.5]]"});
    }

private:
    std::unique_ptr<ChildGuard> m_guard;
};

QTEST_GUILESS_MAIN(TestNodes)
#include "tst_Nodes.moc"
