#include <QtTest>

#include "core/agent/RankEnvironment.h"

using namespace trainyard;
using namespace trainyard::agent;

class TestRankEnvironment : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void expand_data() {
        QTest::addColumn<QString>("argument");
        QTest::addColumn<QString>("expected");
        QTest::newRow("name") << "$OUT/x"
                              << "/tmp/o o/x";
        QTest::newRow("braces") << "${OUT}x"
                                << "/tmp/o ox";
        QTest::newRow("twice") << "$N$N"
                               << "77";
        QTest::newRow("longest name") << "$NOT"
                                      << "$NOT";
        QTest::newRow("unknown stays") << "echo $i ${i}"
                                       << "echo $i ${i}";
        QTest::newRow("empty value") << "[$EMPTY]"
                                     << "[]";
        QTest::newRow("escaped") << "\\$N $N"
                                 << "$N 7";
        QTest::newRow("escaped unknown stays") << "foo\\$ \\$i"
                                               << "foo\\$ \\$i";
        QTest::newRow("value is not expanded again") << "$NESTED"
                                                     << "$N";
        QTest::newRow("open brace") << "${N"
                                    << "${N";
        QTest::newRow("digit") << "$1 $"
                               << "$1 $";
        QTest::newRow("pid") << "$$"
                             << "$$";
        QTest::newRow("no shell") << "$(N) `N` *"
                                  << "$(N) `N` *";
    }
    void expand() {
        QFETCH(QString, argument);
        QFETCH(QString, expected);
        const Variables variables{{"OUT", "/tmp/o o"}, {"N", "7"}, {"EMPTY", ""}, {"NESTED", "$N"}};
        QCOMPARE(QString::fromStdString(expandVariables(argument.toStdString(), variables)), expected);
    }

    void environment_ofARank() {
        wire::Plan plan;
        plan.run = base::RunId::make();
        plan.attempt = 3;
        plan.processes = 4;
        plan.experiment = "e";
        plan.runName = "r";
        plan.outputsFolder = "/w/out";
        plan.variables = {{"MINE", "1"}, {"RANK", "99"}, {"PATH", "/p"}};
        Launch launch;
        launch.masterPort = 1234;
        launch.cores = 8;
        launch.gpus = {1, 3};
        const NodeLayout layout{"/w/n0"};
        const Variables inherited{
            {"HOME", "/h"}, {"PATH", "/usr/bin"}, {"TRAINYARD_RUN_ID", "outer"}, {"NODE_RANK", "5"}};
        const Variables all = rankEnvironment(inherited, plan, layout, launch, 2);
        QCOMPARE(all.at("HOME"), std::string("/h"));
        QCOMPARE(all.at("PATH"), std::string("/p"));
        QCOMPARE(all.at("MINE"), std::string("1"));
        QCOMPARE(all.at("RANK"), std::string("2"));  // Nothing overrides what the launch decides.
        QCOMPARE(all.at("LOCAL_RANK"), std::string("2"));
        QCOMPARE(all.at("WORLD_SIZE"), std::string("4"));
        QCOMPARE(all.at("LOCAL_WORLD_SIZE"), std::string("4"));
        QCOMPARE(all.at("MASTER_ADDR"), std::string("127.0.0.1"));
        QCOMPARE(all.at("MASTER_PORT"), std::string("1234"));
        QCOMPARE(all.at("AZ_BATCHAI_TASK_INDEX"), std::string("2"));
        QCOMPARE(all.at("AZ_BATCHAI_PYTORCH_INIT_METHOD"), std::string("tcp://127.0.0.1:1234"));
        QCOMPARE(all.at("CUDA_VISIBLE_DEVICES"), std::string("1,3"));
        QCOMPARE(all.at("OMP_NUM_THREADS"), std::string("2"));
        QCOMPARE(all.at(wire::variable::kRunId), plan.run.str());
        QCOMPARE(all.at(wire::variable::kAttempt), std::string("3"));
        QCOMPARE(all.at(wire::variable::kOutputs), std::string("/w/out"));
        QCOMPARE(all.at(wire::variable::kStream), std::string("/w/n0/ranks/r2.stream"));
        QCOMPARE(all.at(wire::variable::kControl), std::string("/w/n0/control"));
        QCOMPARE(all.at(wire::variable::kRendezvous), std::string("/w/n0/rendezvous.json"));
        QVERIFY(!all.contains("NODE_RANK"));
    }

    void environment_planDecidesThreads() {
        wire::Plan plan;
        plan.processes = 2;
        plan.variables = {{"OMP_NUM_THREADS", "5"}};
        QCOMPARE(rankEnvironment({}, plan, NodeLayout{"/n"}, Launch{}, 0).at("OMP_NUM_THREADS"), std::string("5"));
        plan.variables.clear();
        plan.processes = 1;
        QVERIFY(!rankEnvironment({}, plan, NodeLayout{"/n"}, Launch{}, 0).contains("OMP_NUM_THREADS"));
        // How OpenMP's threads wait is said for the engine alone, and left to who has said it.
        QVERIFY(!rankEnvironment({}, plan, NodeLayout{"/n"}, Launch{}, 0).contains("GOMP_SPINCOUNT"));
        plan.engine = true;
        QCOMPARE(rankEnvironment({}, plan, NodeLayout{"/n"}, Launch{}, 0).at("GOMP_SPINCOUNT"), std::string("1000"));
        plan.variables = {{"GOMP_SPINCOUNT", "7"}};
        QCOMPARE(rankEnvironment({}, plan, NodeLayout{"/n"}, Launch{}, 0).at("GOMP_SPINCOUNT"), std::string("7"));
    }
};

QTEST_GUILESS_MAIN(TestRankEnvironment)
#include "tst_RankEnvironment.moc"
