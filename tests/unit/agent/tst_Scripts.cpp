// Scripts of people under the real agent: the client modules, patterns on their output, and what they do wrong.
#include <QtTest>

#include <set>

#include "core/agent/Clients.h"
#include "core/base/Text.h"
#include "tests/helpers/Children.h"
#include "tests/unit/agent/NodesRig.h"
#include "tests/unit/agent/ScriptRig.h"

using namespace trainyard;
using namespace trainyard::test;

class TestScripts : public QObject {
    Q_OBJECT

private:
    std::vector<Record> carryOut(const wire::Plan& plan, int millis = 60'000) {
        const NodeLayout layout = m_rig->place(plan);
        AgentProcess agent(layout);
        const int status = agent.wait(millis);
        if (status != 0) QTest::qFail(("the agent ended with " + std::to_string(status)).c_str(), __FILE__, __LINE__);
        return recordsOf(layout);
    }
    std::vector<Record> python(const std::string& code, int processes = 1) {
        return carryOut(m_rig->commandPlan({testPython(), "-c", code}, processes), 120'000);
    }

private Q_SLOTS:
    void init() {
        m_guard = std::make_unique<ChildGuard>();
        m_scratch = std::make_unique<Scratch>();
        m_rig = std::make_unique<AgentRig>(*m_scratch);
        if (testPython().empty()) TRAINYARD_SKIP("no Python");
    }
    void cleanup() { QVERIFY2(m_guard->noneLeft(5000), m_guard->report().c_str()); }

    void pythonClient_everyCall() {
        const auto records = carryOut(m_rig->commandPlan({testPython(), scriptFile("every_client_call.py")}));
        QCOMPARE(textOf(endedOf(records), "outcome") + ": " + errorsOf(records),
                 std::string("completed: All calls were made.\ncareful"));
        const auto loss = pointsOf(records, 0, "loss");
        QCOMPARE(loss.size(), std::size_t(4));
        QCOMPARE(loss[0], (std::pair<std::int64_t, double>(7, 0.5)));
        QVERIFY(loss[1].first == 8 && std::isnan(loss[1].second));
        QVERIFY(std::isinf(loss[2].second));
        QCOMPARE(loss[3].second, 0.25);
        QCOMPARE(pointsOf(records, 0, "flag").front().second, 1.0);
        QCOMPARE(pointsOf(records, 0, "b").front(), (std::pair<std::int64_t, double>(2, 2.5)));
        QCOMPARE(ofKind(records, "params").front().body["values"]["odd"].get<std::string>(), std::string("NaN"));
        QCOMPARE(ofKind(records, "tags").front().body["values"]["number"].get<std::string>(), std::string("3"));
        const Record* grey = named(records, "image", "grey");
        QVERIFY(grey);
        QCOMPARE(grey->body["width"].get<int>(), 2);
        const QImageBytes picture(textOf(grey->body, "data"));
        QVERIFY(picture.isPng());
        QVERIFY(named(records, "image", "colour"));
        QCOMPARE(named(records, "table", "t")->body["rows"][1][0].get<double>(), 2.5);
        QCOMPARE(textOf(named(records, "table", "cm")->body, "type"), std::string("confusion_matrix"));
        QCOMPARE(named(records, "histogram", "h")->body["edges"].size(), std::size_t(3));
        QCOMPARE(textOf(ofKind(records, "artifact").front().body, "path"), std::string("deep/made.txt"));
        QCOMPARE(textOf(named(records, "model", "net")->body, "path"), std::string("deep/made.txt"));
        QCOMPARE(textOf(named(records, "child", "fold-1")->body, "state"), std::string("Running"));
        QCOMPARE(endedOf(records)["outputs"].size(), std::size_t(1));
    }

    void azureShim_unchangedScript() {
        const auto records =
            carryOut(m_rig->commandPlan({testPython(), scriptFile("sdk_v1_train.py"), "--num_epochs", "4"}));
        QVERIFY2(textOf(endedOf(records), "outcome") == "completed", errorsOf(records).c_str());
        QCOMPARE(pointsOf(records, 0, "loss").size(), std::size_t(4));
        QCOMPARE(pointsOf(records, 0, "fold-1/loss").size(), std::size_t(1));
        QVERIFY(named(records, "model", "pytorch-birds"));
        QVERIFY(named(records, "image", "dot") && named(records, "image", "plot"));
    }

    void azureShim_failMakesTheRunFail() {
        const auto records =
            python("from azureml.core import Run\nRun.get_context().fail('no birds were found', 'Data.Empty')");
        QCOMPARE(textOf(endedOf(records), "outcome"), std::string("failed"));
        QCOMPARE(textOf(endedOf(records), "reason"), std::string("no birds were found"));
        QCOMPARE(textOf(endedOf(records), "code"), std::string("Data.Empty"));
    }

    /// Whichever rank says it, on whichever node, and though every rank ends well.
    void azureShim_failOnAnyRankOfAnyNode_data() {
        QTest::addColumn<int>("rank");
        for (int rank = 0; rank < 4; ++rank) QTest::addRow("rank %d", rank) << rank;
    }
    void azureShim_failOnAnyRankOfAnyNode() {
        QFETCH(int, rank);
        NodesRig nodes(
            *m_scratch,
            m_rig->commandPlan({testPython(), "-c",
                                "import os\nfrom azureml.core import Run\nif os.environ['RANK'] == '" +
                                    std::to_string(rank) +
                                    "': Run.get_context().fail('no birds were found', 'Data.Empty')\nprint('goes on')"},
                               2),
            2);
        QVERIFY(nodes.startAll());
        QVERIFY(nodes.waitAll());
        for (int node = 0; node < 2; ++node) {
            const Json ended = nodes.ended(node);
            QCOMPARE(textOf(ended, "outcome"), std::string("failed"));
            QCOMPARE(textOf(ended, "code"), std::string("Data.Empty"));
            const std::string reason = textOf(ended, "reason");
            QVERIFY2(reason.starts_with("Rank " + std::to_string(rank) + " on node " + std::to_string(rank / 2)) &&
                         reason.ends_with(": no birds were found"),
                     reason.c_str());
            QVERIFY(!linesOf(nodes.records(node), 2 * node, "stdout").empty());
        }
    }

    /// A lead that was killed after the others had told it hears it again.
    void azureShim_failIsHeardByTheNextLead() {
        const std::string go = base::shellQuote((*m_scratch / "go").string());
        NodesRig nodes(
            *m_scratch,
            m_rig->shellPlan("[ \"$RANK\" = 0 ] || { echo '{\"kind\":\"warning\",\"fatal\":true,\"message\":\"told "
                             "early\"}' >> \"$TRAINYARD_STREAM\"; exit 0; }; "
                             "while [ ! -e " +
                             go + " ]; do sleep 0.02; done"),
            2);
        QVERIFY(nodes.startAll());
        QVERIFY(waitFor([&] { return !ofKind(nodes.records(1), "warning").empty(); }, 30'000));
        nodes.agent(0).kill(SIGKILL);
        nodes.start(0);
        m_scratch->write("go", "");
        QVERIFY(nodes.waitAll());
        QVERIFY2(textOf(nodes.ended(0), "reason").ends_with(": told early"), textOf(nodes.ended(0), "reason").c_str());
        QCOMPARE(textOf(nodes.ended(1), "outcome"), std::string("failed"));
    }

    void azureShim_offline() {
        ProgramOptions options;
        options.variables = {{"PYTHONPATH", (sourceFolder() / "resources/clients/python").string()},
                             {"PYTHONDONTWRITEBYTECODE", "1"},
                             {"TRAINYARD_STREAM", ""}};
        const auto ran = runProgram(testPython(),
                                    {"-c", "from azureml.core import Run\nr = Run.get_context()\nr.log('loss', "
                                           "0.5)\nassert r.id.startswith('OfflineRun_')\n"
                                           "try:\n    Run.get_context(allow_offline=False)\nexcept Exception as "
                                           "error:\n    print(type(error).__name__)"},
                                    options);
        QCOMPARE(ran.out, std::string("Attempted to log scalar metric loss:\n0.5\nRunEnvironmentException\n"));
    }

    /// The guide's list is the shim's own.
    void azureShim_guideListsWhatItCovers() {
        const std::string source = sourceFolder().string();
        ProgramOptions options;
        options.variables = {{"PYTHONPATH", source + "/resources/clients/python"}, {"PYTHONDONTWRITEBYTECODE", "1"}};
        const auto ran = runProgram(testPython(), {"-m", "azureml._covered"}, options);
        QVERIFY2(ran.exitCode == 0 && ran.out.size() > 1000, ran.err.c_str());
        const std::string guide = base::readFile(source + "/resources/docs/guide/scripts.md").valueOr({});
        QVERIFY2(guide.find(ran.out) != std::string::npos, "resources/docs/guide/scripts.md must hold what \"python3 "
                                                           "-m azureml._covered\" prints in resources/clients/python");
    }

    void cppClient_everyCall() {
        const std::string program = base::shellQuote((*m_scratch / "client").string());
        const Path source = scriptFile("every_client_call.cpp");
        const std::string script = "c++ -std=c++11 -Wall -Wextra -Werror -I \"$TRAINYARD_CLIENTS/cpp\" -o " + program +
                                   " " + base::shellQuote(source.string()) + " && " + program;
        const auto records = carryOut(m_rig->shellPlan(script), 120'000);
        QVERIFY2(textOf(endedOf(records), "reason") == "done", errorsOf(records).c_str());
        QCOMPARE(pointsOf(records, 0, "loss").front(), (std::pair<std::int64_t, double>(3, 0.1)));
        QCOMPARE(pointsOf(records, 0, "b\"").front().second, 2.0);
        QCOMPARE(ofKind(records, "params").size(), std::size_t(2));
        QVERIFY(named(records, "image", "i") && named(records, "table", "m") && named(records, "histogram", "h") &&
                named(records, "model", "net"));
    }

    /// Four processes beside forks and threads; one of them is killed in the middle. What was written is there, once
    /// and whole.
    void manyWriters_loseNothing() {
        const auto records = carryOut(m_rig->commandPlan({testPython(), scriptFile("many_writers.py")}), 180'000);
        QVERIFY2(textOf(endedOf(records), "outcome") == "completed", errorsOf(records).c_str());
        for (const char* name : {"one", "two", "three"})
            QCOMPARE(wrongWithPoints(pointsOf(records, 0, name), 5000), std::string());
        for (int i = 0; i < 64; ++i)
            QCOMPARE(wrongWithPoints(pointsOf(records, 0, "thread" + std::to_string(i)), 100), std::string());
        for (const char* name : {"parent", "child"})
            QCOMPARE(wrongWithPoints(pointsOf(records, 0, name), 1000), std::string());
        const auto killed = pointsOf(records, 0, "killed");
        QVERIFY(killed.size() > 2000);
        QCOMPARE(wrongWithPoints(killed, static_cast<int>(killed.size())), std::string());
        QCOMPARE(warningsOf(records), std::string());
    }

    void hostileNames_areRefusedInWords() {
        const auto records = carryOut(m_rig->commandPlan({testPython(), scriptFile("hostile_names.py")}), 180'000);
        QCOMPARE(textOf(endedOf(records), "outcome"), std::string("completed"));
        QCOMPARE(pointsOf(records, 0, "ok").size(), std::size_t(3));
        QCOMPARE(pointsOf(records, 0, "n99000").size(), std::size_t(1));
        QCOMPARE(pointsOf(records, 0, "n100500").size(), std::size_t(0));
        std::int64_t refused = 0;
        bool long1 = false, long2 = false, many = false;
        for (const Record& record : ofKind(records, "warning")) {
            const std::string message = textOf(record.body, "message");
            refused += record.body.value("count", std::int64_t{1});
            long1 = long1 || message.find("1000000 bytes") != std::string::npos;
            many = many || message.find("100000 other names") != std::string::npos;
            long2 = long2 || textOf(record.body, "code") == "client.long";
        }
        QVERIFY2(long1 && many && long2, errorsOf(records).substr(0, 2000).c_str());
        QVERIFY(refused >= 5000);
    }

    void patterns_findMetricsInTheOutput() {
        wire::Plan plan = m_rig->shellPlan(
            "echo 'Epoch 0/2'; echo 'train Loss: 0.7 Acc: 0.5'; echo 'Epoch 1/2'; echo 'train Loss: 0.4 Acc: 0.75'; "
            "for i in 1 2 3; do echo \"iter loss=$i\" >&2; done; printf 'iter loss=4' >&2");
        plan.patterns = {"@pytorch-tutorial", "iter loss=(?<iter_loss>[\\d.]+)", "broken ("};
        const auto records = carryOut(plan);
        const auto loss = pointsOf(records, 0, "train/loss");
        QCOMPARE(loss, (std::vector<std::pair<std::int64_t, double>>{{0, 0.7}, {1, 0.4}}));
        QCOMPARE(wrongWithPoints(pointsOf(records, 0, "iter_loss"), 4), std::string());
        QCOMPARE(linesOf(records, 0, "stdout").size(), std::size_t(4));
        QCOMPARE(warningsOf(records), std::string("pattern.syntax"));
    }

    void patterns_survivesAKilledAgent() {
        wire::Plan plan =
            m_rig->shellPlan("i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo \"step $i n=$i\"; sleep 0.01; done");
        plan.patterns = {"^step (?<step>\\d+) n=(?<n>\\d+)"};
        const NodeLayout layout = m_rig->place(plan);
        {
            AgentProcess agent(layout);
            QVERIFY(waitFor([&] { return pointsOf(recordsOf(layout), 0, "n").size() > 50; }, 30'000));
            agent.kill(SIGKILL);
        }
        QCOMPARE(AgentProcess(layout).wait(60'000), 0);
        std::set<std::int64_t> steps;
        for (const auto& [step, value] : pointsOf(recordsOf(layout), 0, "n")) steps.insert(step);
        QCOMPARE(steps.size(), std::size_t(300));
    }

    void clients_areUnpackedOnceAndMended() {
        const Path folder = *m_scratch / "clients";
        const auto first = agent::unpackClients(folder);
        QVERIFY(first.ok());
        std::ofstream(*first / "python" / "trainyard.py") << "changed";
        const auto again = agent::unpackClients(folder);
        QVERIFY(again.ok());
        QCOMPARE(*again, *first);
        QVERIFY(base::readFile(*first / "python" / "trainyard.py").valueOr({}).size() > 1000);
        QVERIFY(std::filesystem::exists(*first / "cpp" / "trainyard.h"));
        QCOMPARE(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
    }

private:
    struct QImageBytes {
        explicit QImageBytes(const std::string& base64)
            : bytes(QByteArray::fromBase64(QByteArray::fromStdString(base64))) {}
        [[nodiscard]] bool isPng() const {
            return bytes.startsWith("\x89PNG\r\n\x1a\n") && bytes.endsWith("IEND\xae\x42\x60\x82");
        }
        QByteArray bytes;
    };
    std::unique_ptr<ChildGuard> m_guard;
    std::unique_ptr<Scratch> m_scratch;
    std::unique_ptr<AgentRig> m_rig;
};

QTEST_GUILESS_MAIN(TestScripts)
#include "tst_Scripts.moc"
