// Scripts of people under the real agent: the client modules, event files, patterns, and what they do wrong.
#include <QtTest>

#include "core/agent/Clients.h"
#include "tests/helpers/Children.h"
#include "tests/unit/agent/EventWriter.h"
#include "tests/unit/agent/ScriptRig.h"

using namespace trainyard;
using namespace trainyard::test;

namespace {

const Record* named(const std::vector<Record>& records, const char* kind, const std::string& name) {
    for (const Record& record : records) {
        if (record.kind == kind && textOf(record.body, "name") == name) return &record;
    }
    return nullptr;
}

std::string warningsOf(const std::vector<Record>& records) {
    std::string codes;
    for (const Record& record : ofKind(records, wire::kind::kWarning)) codes += (codes.empty() ? "" : " ") + textOf(record.body, "code");
    return codes;
}

}  // namespace

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
        QCOMPARE(textOf(endedOf(records), "outcome") + ": " + errorsOf(records), std::string("completed: All calls were made.\ncareful"));
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
        const auto records = carryOut(m_rig->commandPlan({testPython(), scriptFile("sdk_v1_train.py"), "--num_epochs", "4"}));
        QVERIFY2(textOf(endedOf(records), "outcome") == "completed", errorsOf(records).c_str());
        QCOMPARE(pointsOf(records, 0, "loss").size(), std::size_t(4));
        QCOMPARE(pointsOf(records, 0, "fold-1/loss").size(), std::size_t(1));
        QVERIFY(named(records, "model", "pytorch-birds"));
        QVERIFY(named(records, "image", "dot") && named(records, "image", "plot"));
    }

    void azureShim_failMakesTheRunFail() {
        const auto records = python("from azureml.core import Run\nRun.get_context().fail('no birds were found', 'Data.Empty')");
        QCOMPARE(textOf(endedOf(records), "outcome"), std::string("failed"));
        QCOMPARE(textOf(endedOf(records), "reason"), std::string("no birds were found"));
        QCOMPARE(textOf(endedOf(records), "code"), std::string("Data.Empty"));
    }

    void azureShim_offline() {
        ProgramOptions options;
        options.variables = {{"PYTHONPATH", std::string(qgetenv("TRAINYARD_SOURCE").constData()) + "/resources/clients/python"}, {"PYTHONDONTWRITEBYTECODE", "1"}, {"TRAINYARD_STREAM", ""}};
        const auto ran = runProgram(testPython(), {"-c", "from azureml.core import Run\nr = Run.get_context()\nr.log('loss', 0.5)\nassert r.id.startswith('OfflineRun_')\n"
                                                         "try:\n    Run.get_context(allow_offline=False)\nexcept Exception as error:\n    print(type(error).__name__)"}, options);
        QCOMPARE(ran.out, std::string("Attempted to log scalar metric loss:\n0.5\nRunEnvironmentException\n"));
    }

    /// The guide's list is the shim's own.
    void azureShim_guideListsWhatItCovers() {
        const std::string source = qgetenv("TRAINYARD_SOURCE").constData();
        ProgramOptions options;
        options.variables = {{"PYTHONPATH", source + "/resources/clients/python"}, {"PYTHONDONTWRITEBYTECODE", "1"}};
        const auto ran = runProgram(testPython(), {"-m", "azureml._covered"}, options);
        QVERIFY2(ran.exitCode == 0 && ran.out.size() > 1000, ran.err.c_str());
        const std::string guide = base::readFile(source + "/resources/docs/guide/scripts.md").valueOr({});
        QVERIFY2(guide.find(ran.out) != std::string::npos,
                 "resources/docs/guide/scripts.md must hold what \"python3 -m azureml._covered\" prints in resources/clients/python");
    }

    void cppClient_everyCall() {
        const Path program = *m_scratch / "client";
        const Path source = m_scratch->write("client.cpp", R"(
            #include <cmath>
            #include "trainyard.h"
            int main() {
                trainyard::Client run;
                run.metric("loss", 0.1, 3); run.metric("loss", NAN); run.metrics({{"a", 1}, {"b\"", 2}}, 4);
                run.param("lr", 0.5); run.param("name", "x\\y"); run.tag("t", "v"); run.text("n", "two\nlines");
                run.progress("train", 1, 2, "epochs"); run.image("i", "\x89PNGx"); run.table("t", {"c"}, std::vector<std::vector<double>>{{1}});
                run.confusionMatrix("m", {"a", "b"}, {{1, 2}, {3, 4}}); run.histogram("h", {1}, {0, 1});
                run.artifact("a.txt"); run.model("net", "a.txt"); run.conclusion("done");
                return run.active() && run.dropped() == 0 ? 0 : 1;
            })");
        const std::string script = "c++ -std=c++11 -Wall -Wextra -Werror -I \"$TRAINYARD_CLIENTS/cpp\" -o " + program.string() + " " + source.string() + " && " + program.string();
        const auto records = carryOut(m_rig->shellPlan(script), 120'000);
        QVERIFY2(textOf(endedOf(records), "reason") == "done", errorsOf(records).c_str());
        QCOMPARE(pointsOf(records, 0, "loss").front(), (std::pair<std::int64_t, double>(3, 0.1)));
        QCOMPARE(pointsOf(records, 0, "b\"").front().second, 2.0);
        QCOMPARE(ofKind(records, "params").size(), std::size_t(2));
        QVERIFY(named(records, "image", "i") && named(records, "table", "m") && named(records, "histogram", "h") && named(records, "model", "net"));
    }

    /// Four processes beside forks and threads; one of them is killed in the middle. What was written is there, once and whole.
    void manyWriters_loseNothing() {
        const auto records = python(R"(
import os, signal, subprocess, sys, threading
import trainyard
code = '''
import sys, trainyard
which = sys.argv[1]
for i in range(int(sys.argv[2])):
    trainyard.log(which, i + 1)
    if which == "killed" and i == 5000:
        print("ready", flush=True)
'''
children = [subprocess.Popen([sys.executable, "-c", code, name, "20000"]) for name in ("one", "two", "three")]
killed = subprocess.Popen([sys.executable, "-c", code, "killed", "100000000"], stdout=subprocess.PIPE)
killed.stdout.readline()
killed.kill()
threads = [threading.Thread(target=lambda n=n: [trainyard.log("thread%d" % n, i + 1) for i in range(100)]) for n in range(64)]
for thread in threads: thread.start()
for thread in threads: thread.join()
forked = os.fork()
for i in range(1000): trainyard.log("parent" if forked else "child", i + 1)
if not forked: os._exit(0)
os.waitpid(forked, 0)
for child in children: assert child.wait() == 0
killed.wait()
)");
        QVERIFY2(textOf(endedOf(records), "outcome") == "completed", errorsOf(records).c_str());
        for (const char* name : {"one", "two", "three"}) QCOMPARE(wrongWithPoints(pointsOf(records, 0, name), 20000), std::string());
        for (int i = 0; i < 64; ++i) QCOMPARE(wrongWithPoints(pointsOf(records, 0, "thread" + std::to_string(i)), 100), std::string());
        for (const char* name : {"parent", "child"}) QCOMPARE(wrongWithPoints(pointsOf(records, 0, name), 1000), std::string());
        const auto killed = pointsOf(records, 0, "killed");
        QVERIFY(killed.size() > 5000);
        QCOMPARE(wrongWithPoints(killed, static_cast<int>(killed.size())), std::string());
        QCOMPARE(warningsOf(records), std::string());
    }

    void hostileNames_areRefusedInWords() {
        const auto records = python(R"(
import os, trainyard
trainyard.log("x" * 1000000, 1)
trainyard.log("ok", 1)
with open(os.environ["TRAINYARD_STREAM"], "ab") as stream:
    for block in range(30):
        stream.write(b"".join(b'{"kind":"metrics","values":{"n%d":1}}\n' % (block * 5000 + i) for i in range(5000)))
trainyard.log("ok", 2)
trainyard.write("text", {"name": "long", "text": "y" * (9 << 20)})
trainyard.log("ok", 3)
)");
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
        QVERIFY(refused >= 50'000);
    }

    void patterns_findMetricsInTheOutput() {
        wire::Plan plan = m_rig->shellPlan("echo 'Epoch 0/2'; echo 'train Loss: 0.7 Acc: 0.5'; echo 'Epoch 1/2'; echo 'train Loss: 0.4 Acc: 0.75'; "
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
        wire::Plan plan = m_rig->shellPlan("i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo \"step $i n=$i\"; sleep 0.01; done");
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

    void eventFiles_areReadAsTheyGrow() {
        using W = EventWriter;
        std::string first = W::version() + W::framed(W::event(1, W::scalar("loss", 0.5F))) + W::framed(W::event(2, W::scalar("loss", 0.25F)));
        first += W::framed(W::event(2, W::text(1, "w") + W::text(5, W::real(1, 0) + W::real(2, 1) + W::real(3, 3) + W::reals(6, {0.5, 1}) + W::reals(7, {1, 2}))));
        first += W::framed(W::event(3, W::text(1, "pic") + W::text(4, W::whole(1, 4) + W::whole(2, 5) + W::text(4, "\x89PNG\r\n\x1a\n..."))));
        first += W::framed(W::event(3, W::text(1, "note/text_summary") + W::text(8, W::whole(1, 7) + W::text(8, "hi")) + W::plugin("text")));
        const std::string last = W::framed(W::event(4, W::scalar("loss", 0.125F)));
        const std::string half = last.substr(0, last.size() / 2), rest = last.substr(last.size() / 2);
        m_scratch->write("first", first);
        m_scratch->write("half", half);
        m_scratch->write("rest", rest);
        m_scratch->write("other", W::version() + W::framed(W::event(9, W::scalar("loss", 3))));
        const std::string here = m_scratch->path().string();
        // An earlier run's file lies there already.
        const wire::Plan plan = m_rig->shellPlan("mkdir -p logs/val \"$TRAINYARD_OUTPUTS/tb\" runs/Nov23_host; cp " + here + "/first logs/events.out.tfevents.1.host; sleep 1.5; cat " + here +
                                                 "/half >> logs/events.out.tfevents.1.host; sleep 0.5; cat " + here + "/rest >> logs/events.out.tfevents.1.host; cp " + here +
                                                 "/other logs/val/events.out.tfevents.2; cp " + here + "/other \"$TRAINYARD_OUTPUTS/tb/events.out.tfevents.3\"; cp " + here +
                                                 "/other runs/Nov23_host/events.out.tfevents.4; cp " + here + "/other logs/events.out.tfevents.9; touch -d '1 day ago' logs/events.out.tfevents.9");
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

    void eventFiles_damagedTruncatedAndTorn() {
        using W = EventWriter;
        std::string damaged = W::version() + W::framed(W::event(1, W::scalar("d", 1))) + W::framed(W::event(2, W::scalar("d", 2))) + W::framed(W::event(3, W::scalar("d", 3)));
        damaged[damaged.size() - W::framed(W::event(3, W::scalar("d", 3))).size() - 8] ^= 1;
        m_scratch->write("damaged", damaged);
        m_scratch->write("long", W::version() + W::framed(W::event(1, W::scalar("t", 1))) + W::framed(W::event(2, W::scalar("t", 2))));
        m_scratch->write("short", W::version() + W::framed(W::event(5, W::scalar("t", 5))));
        m_scratch->write("torn", W::version() + W::framed(W::event(1, W::scalar("e", 1))) + W::framed(W::event(2, W::scalar("e", 2))).substr(0, 20));
        const std::string here = m_scratch->path().string();
        const auto records = carryOut(m_rig->shellPlan("mkdir logs; cp " + here + "/damaged logs/a.tfevents.1; cp " + here + "/torn logs/c.tfevents.1; cp " + here +
                                                       "/long logs/b.tfevents.1; sleep 2.5; cat " + here + "/short > logs/b.tfevents.1; sleep 0.6"));
        QCOMPARE(textOf(endedOf(records), "outcome"), std::string("completed"));
        QCOMPARE(pointsOf(records, 0, "d"), (std::vector<std::pair<std::int64_t, double>>{{1, 1.0}, {3, 3.0}}));
        QCOMPARE(pointsOf(records, 0, "e").size(), std::size_t(1));
        QVERIFY(pointsOf(records, 0, "t").back() == (std::pair<std::int64_t, double>(5, 5.0)));
        const std::string warnings = warningsOf(records);
        for (const char* code : {"events.damaged", "events.truncated", "events.torn"}) QVERIFY2(warnings.find(code) != std::string::npos, warnings.c_str());
    }

    void eventFiles_onceAfterAKilledAgent() {
        using W = EventWriter;
        std::string all = W::version();
        m_scratch->write("version", all);
        const std::string here = m_scratch->path().string();
        for (int i = 0; i < 40; ++i) m_scratch->write("r" + std::to_string(i), W::framed(W::event(i, W::scalar("n", static_cast<float>(i + 1)))));
        const NodeLayout layout = m_rig->place(m_rig->shellPlan("mkdir logs; cp " + here + "/version logs/x.tfevents.1; i=0; while [ $i -lt 40 ]; do cat " + here +
                                                                "/r$i >> logs/x.tfevents.1; i=$((i+1)); sleep 0.1; done"));
        {
            AgentProcess agent(layout);
            QVERIFY(waitFor([&] { return pointsOf(recordsOf(layout), 0, "n").size() >= 5; }, 30'000));
            agent.kill(SIGKILL);
        }
        QCOMPARE(AgentProcess(layout).wait(60'000), 0);
        QCOMPARE(wrongWithPoints(pointsOf(recordsOf(layout), 0, "n"), 40), std::string());
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
        explicit QImageBytes(const std::string& base64) : bytes(QByteArray::fromBase64(QByteArray::fromStdString(base64))) {}
        [[nodiscard]] bool isPng() const { return bytes.startsWith("\x89PNG\r\n\x1a\n") && bytes.endsWith("IEND\xae\x42\x60\x82"); }
        QByteArray bytes;
    };
    std::unique_ptr<ChildGuard> m_guard;
    std::unique_ptr<Scratch> m_scratch;
    std::unique_ptr<AgentRig> m_rig;
};

QTEST_GUILESS_MAIN(TestScripts)
#include "tst_Scripts.moc"
