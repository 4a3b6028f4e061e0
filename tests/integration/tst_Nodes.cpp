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

    static std::string spec(int nodes, int processes) {
        const std::string data = kData;
        return base::dumpJson(Json{
            {"format", "trainyard.run-spec"},
            {"version", 1},
            {"experiment", "nodes"},
            {"target", "hosts"},
            {"distribution", {{"kind", "pytorch"}, {"backend", "gloo"}, {"processes", processes}, {"nodes", nodes}}},
            {"task",
             {{"kind", "train"},
              {"epochs", 2},
              {"seed", 7},
              {"batch_size", 64},
              {"model", {{"family", "mlp"}}},
              {"dataset",
               {{"train_images", data + "train-images-idx3-ubyte.gz"},
                {"train_labels", data + "train-labels-idx1-ubyte.gz"},
                {"val_images", data + "t10k-images-idx3-ubyte.gz"},
                {"val_labels", data + "t10k-labels-idx1-ubyte.gz"},
                {"train_limit", 2000},
                {"val_limit", 500}}}}},
            {"resolved", {{"threads", 1}}}});
    }

    static std::vector<std::pair<std::int64_t, double>> lossOf(const Scratch& scratch, int nodes, int processes) {
        AgentRig shell(scratch);
        auto plan = shell.commandPlan({builtProgram("trainyard-engine").string(), "train", "--spec", "$TRAINYARD_NODE_FOLDER/spec.json"}, processes);
        plan.engine = true;
        plan.backend = "gloo";
        NodesRig rig(scratch, plan, nodes);
        for (int node = 0; node < nodes; ++node) {
            if (!rig.place(node)) return {};
            std::ofstream(rig.layout(node).root / "spec.json") << spec(nodes, processes);
            rig.start(node);
        }
        if (!rig.waitAll(60'000)) return {};
        if (textOf(rig.ended(0), "outcome") != "completed") QTest::qFail(textOf(rig.ended(0), "reason").c_str(), __FILE__, __LINE__);
        auto all = pointsOf(rig.records(0), 0, "train/loss");
        const auto validation = pointsOf(rig.records(0), 0, "val/loss");
        all.insert(all.end(), validation.begin(), validation.end());
        return all;
    }

private Q_SLOTS:
    void init() { m_guard = std::make_unique<ChildGuard>(); }
    void cleanup() { QVERIFY2(m_guard->noneLeft(5000), m_guard->report().c_str()); }

    void engine_onTwoNodes_equalsTwoRanksOnOne() {
        if (!std::filesystem::exists(std::string(kData) + "train-images-idx3-ubyte.gz")) TRAINYARD_SKIP("dataset-fashion-mnist is missing");
        Scratch first;
        const auto one = lossOf(first, 1, 2);
        Scratch second;
        const auto two = lossOf(second, 2, 1);
        QVERIFY(one.size() >= 4);
        QCOMPARE(two, one);
        QVERIFY(one.back().second < 1.5);
    }

    void python_ddpOverTwoNodes() {
        if (runProgram("/usr/bin/python3", {"-c", "import torch.distributed"}).exitCode != 0) TRAINYARD_SKIP("python3-torch is missing");
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
        QVERIFY(rig.waitAll(60'000));
        QCOMPARE(textOf(rig.ended(0), "reason"), std::string("All 2 ranks ended with exit status 0."));
        for (const int node : {0, 1}) QCOMPARE(linesOf(rig.records(node), node, "stdout"), std::vector<std::string>{"[[1.0, 0.5]]"});
    }

private:
    std::unique_ptr<ChildGuard> m_guard;
};

QTEST_GUILESS_MAIN(TestNodes)
#include "tst_Nodes.moc"
