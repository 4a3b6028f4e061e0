// Secrets that a script tells on other ways than its output: client lines, MLflow calls, event files, names of files,
// facts.
#include <QtTest>

#include "core/agent/Masker.h"
#include "core/base/Text.h"
#include "tests/helpers/Children.h"
#include "tests/unit/agent/EnvironmentRig.h"
#include "tests/unit/agent/EventWriter.h"
#include "tests/unit/agent/ScriptRig.h"

using namespace trainyard;
using namespace trainyard::test;

class TestMasking : public QObject {
    Q_OBJECT

private:
    static constexpr const char* kSecret = "s3cr\u00e9t \"of\" a/token";
    static constexpr const char* kPin = "80912736";

    /// The records of a run that was given the two secrets; none of its stream's files holds a trace of them.
    std::vector<Record> carryOut(wire::Plan plan) {
        m_scratch->write("token", std::string(kSecret) + "\n");
        m_scratch->write("pin", std::string(kPin) + "\n");
        plan.environment.name = "secret:1";
        plan.environment.kind = "interpreter";
        plan.environment.secrets = {{"TOKEN", (*m_scratch / "token").string(), ""},
                                    {"PIN", (*m_scratch / "pin").string(), ""}};
        const NodeLayout layout = m_rig->place(plan);
        if (const int status = AgentProcess(layout).wait(120'000); status != 0)
            QTest::qFail("the agent failed", __FILE__, __LINE__);
        const std::string stream = EnvironmentRig::streamText(layout);
        for (const char* trace : {"a/token", "s3cr", "80912736", "\\u00e9t"}) {
            if (stream.find(trace) != std::string::npos)
                QTest::qFail(("the stream holds " + std::string(trace) + ": " + stream).c_str(), __FILE__, __LINE__);
        }
        return recordsOf(layout);
    }

private Q_SLOTS:
    void init() {
        m_guard = std::make_unique<ChildGuard>();
        m_scratch = std::make_unique<Scratch>();
        m_rig = std::make_unique<AgentRig>(*m_scratch);
    }
    void cleanup() { QVERIFY2(m_guard->noneLeft(10'000), m_guard->report().c_str()); }

    void clientRecords() {
        if (testPython().empty()) TRAINYARD_SKIP("no Python");
        const auto records = carryOut(m_rig->commandPlan(
            {testPython(), "-c",
             "import os, trainyard as t\nS = os.environ['TOKEN']\n"
             "t.log('loss ' + S, 0.5)\nt.log('loss ' + S, 0.25)\nt.log_all({'acc ' + S: 1})\n"
             "t.params({'key ' + S: S, 'lr': 0.1, 'pin': int(os.environ['PIN'])})\nt.tags({'tag ' + S: 'is ' + S})\n"
             "t.text('note', 'a ' + S)\nt.table('t', ['c ' + S], [[S], [1.5]])\nt.progress('with ' + S, 1, 2)\n"
             "t.image('dot', [[0, 255]], description=S)\nt.histogram('h', [1], [0, 1], **{'by ' + S: "
             "S})\nt.child('c1', 'fold ' + S)\n"
             "t.warning('own.code', 'warned ' + S)\nt.model('net ' + S, 'a.pt', description=S)\nt.write('kind of "
             "mine', {'deep': [{S: [S]}]})\n"
             "open(os.environ['TRAINYARD_STREAM'], 'a').write('no JSON ' + S + '\\n')\nt.conclusion('done with ' + "
             "S)\n"}));
        QCOMPARE(textOf(endedOf(records), "outcome") + ": " + textOf(endedOf(records), "reason"),
                 std::string("completed: done with ***"));
        QCOMPARE(pointsOf(records, 0, "loss ***"), (std::vector<std::pair<std::int64_t, double>>{{0, 0.5}, {1, 0.25}}));
        QCOMPARE(pointsOf(records, 0, "acc ***").size(), std::size_t(1));
        QCOMPARE(ofKind(records, "params").at(0).body["values"],
                 (Json{{"key ***", "***"}, {"lr", 0.1}, {"pin", "***"}}));
        QCOMPARE(ofKind(records, "tags").at(0).body["values"], (Json{{"tag ***", "is ***"}}));
        QCOMPARE(textOf(named(records, "text", "note")->body, "text"), std::string("a ***"));
        QCOMPARE(base::dumpJson(named(records, "table", "t")->body["columns"]) +
                     base::dumpJson(named(records, "table", "t")->body["rows"]),
                 std::string("[\"c ***\"][[\"***\"],[1.5]]"));
        QCOMPARE(textOf(named(records, "image", "dot")->body, "description"), std::string("***"));
        QVERIFY(QByteArray::fromBase64(QByteArray::fromStdString(textOf(named(records, "image", "dot")->body, "data")))
                    .startsWith("\x89PNG"));
        QCOMPARE(textOf(named(records, "histogram", "h")->body, "by ***"), std::string("***"));
        QVERIFY(named(records, "child", "fold ***") && named(records, "model", "net ***"));
        QCOMPARE(base::dumpJson(ofKind(records, "kind of mine").at(0).body["deep"]),
                 std::string("[{\"***\":[\"***\"]}]"));
        QCOMPARE(textOf(ofKind(records, "progress").at(0).body, "stage"), std::string("with ***"));
        QVERIFY(warningsOf(records).find("own.code") != std::string::npos);
    }

    /// What a script says of its failure becomes the run's reason.
    void reasonOfTheEnd() {
        const auto records =
            carryOut(m_rig->shellPlan("printf '{\"kind\":\"warning\",\"fatal\":true,\"code\":\"a.b\",\"message\":\"no "
                                      "access with s3cr\\\\u00e9t \\\\\"of\\\\\" a\\\\/token\"}\\n' "
                                      ">> \"$TRAINYARD_STREAM\"; echo \"$TOKEN\" >&2; exit 4"));
        QCOMPARE(textOf(endedOf(records), "reason"), std::string("no access with ***"));
        QCOMPARE(endedOf(records)["stderr"]["lines"], Json::array({"***"}));
    }

    void mlflowCalls() {
        if (testPython().empty()) TRAINYARD_SKIP("no Python");
        const auto records = carryOut(m_rig->commandPlan(
            {testPython(), "-c",
             "import json, os, urllib.request as u\nS, R, U = os.environ['TOKEN'], os.environ['MLFLOW_RUN_ID'], "
             "os.environ['MLFLOW_TRACKING_URI']\n"
             "o = u.build_opener(u.ProxyHandler({}))\n"
             "def post(path, body):\n"
             "    h = {'Authorization': 'Bearer ' + os.environ['MLFLOW_TRACKING_TOKEN'], 'Content-Type': "
             "'application/json'}\n"
             "    return json.loads(o.open(u.Request(U + '/api/2.0/mlflow/' + path, json.dumps(body).encode(), h), "
             "timeout=60).read() or b'{}')\n"
             "post('runs/log-parameter', {'run_id': R, 'key': 'key', 'value': S})\n"
             "post('runs/log-batch', {'run_id': R, 'metrics': [{'key': 'm ' + S, 'value': 1, 'timestamp': "
             "1795400000000, 'step': 0}],\n"
             "     'params': [{'key': 'second', 'value': 'is ' + S}], 'tags': [{'key': 'team ' + S, 'value': S}]})\n"
             "post('runs/set-tag', {'run_id': R, 'key': 'note', 'value': 'a ' + S})\n"
             "post('runs/create', {'experiment_id': '0', 'run_name': 'fold ' + S, 'start_time': 1795400000000, 'tags': "
             "[{'key': 'mlflow.parentRunId', 'value': R}]})\n"}));
        QVERIFY2(textOf(endedOf(records), "outcome") == "completed", errorsOf(records).c_str());
        Json params = Json::object();
        Json tags = Json::object();
        for (const Record& record : ofKind(records, "params")) params.update(record.body["values"]);
        for (const Record& record : ofKind(records, "tags")) tags.update(record.body["values"]);
        QCOMPARE(params, (Json{{"key", "***"}, {"second", "is ***"}}));
        QCOMPARE(textOf(tags, "team ***") + ", " + textOf(tags, "note"), std::string("***, a ***"));
        QCOMPARE(pointsOf(records, 0, "m ***").size(), std::size_t(1));
        QVERIFY(named(records, "child", "fold ***"));
    }

    void eventFiles() {
        using W = EventWriter;
        const std::string secret = kSecret;
        m_scratch->write("events",
                         W::version() + W::framed(W::event(1, W::scalar("loss " + secret, 2))) +
                             W::framed(W::event(2, W::text(1, "note/text_summary") + W::plugin("text") +
                                                       W::text(8, W::whole(1, 7) + W::text(8, "it is " + secret)))));
        // The folder's name is part of the series' and of the source's.
        const auto records = carryOut(m_rig->shellPlan("mkdir -p \"logs/fold-$PIN\"; cp " +
                                                       base::shellQuote((*m_scratch / "events").string()) +
                                                       " \"logs/fold-$PIN/a.tfevents.1\""));
        QCOMPARE(pointsOf(records, 0, "fold-***/loss ***"), (std::vector<std::pair<std::int64_t, double>>{{1, 2.0}}));
        const Record* note = named(records, "text", "fold-***/note/text_summary");
        QVERIFY2(note, errorsOf(records).c_str());
        QCOMPARE(textOf(note->body, "text"), std::string("it is ***"));
        QCOMPARE(textOf(note->body["src"], "file"), std::string("logs/fold-***/a.tfevents.1"));
        QCOMPARE(warningsOf(records), std::string());
    }

    /// Told once, although the name under which an offset is kept is not that of the file.
    void eventFiles_afterAKilledAgent() {
        using W = EventWriter;
        m_scratch->write("events", W::version() + W::framed(W::event(1, W::scalar("n", 1))));
        m_scratch->write("pin", kPin);
        auto plan =
            m_rig->shellPlan("mkdir -p \"logs/$PIN\"; cp " + base::shellQuote((*m_scratch / "events").string()) +
                             " \"logs/$PIN/a.tfevents.1\"; "
                             "echo plain > \"logs/of $PIN.txt\"; while [ ! -e go ]; do sleep 0.05; done");
        plan.environment.name = "secret:1";
        plan.environment.secrets = {{"PIN", (*m_scratch / "pin").string(), ""}};
        const NodeLayout layout = m_rig->place(plan);
        {
            AgentProcess agent(layout);
            QVERIFY(waitFor(
                [&] {
                    return pointsOf(recordsOf(layout), 0, "***/n").size() == 1 &&
                           !linesOf(recordsOf(layout), -1, "logs/of ***.txt").empty();
                },
                30'000));
            agent.kill(SIGKILL);
        }
        std::ofstream(layout.root.parent_path().parent_path() / "go") << "go";
        QCOMPARE(AgentProcess(layout).wait(60'000), 0);
        QCOMPARE(pointsOf(recordsOf(layout), 0, "***/n").size(), std::size_t(1));
        QCOMPARE(linesOf(recordsOf(layout), -1, "logs/of ***.txt"), std::vector<std::string>{"plain"});
        QVERIFY(EnvironmentRig::streamText(layout).find(kPin) == std::string::npos);
    }

    void facts() {
        auto plan = m_rig->shellPlan("true");
        plan.environment.facts = {"/bin/sh", "-c",
                                  "echo '{\"packages\": [\"mine @ https://80912736@host/x\"], \"80912736\": 1}'"};
        const auto records = carryOut(plan);
        QCOMPARE(base::dumpJson(EnvironmentRig::environmentOf(records)["facts"]),
                 std::string("{\"packages\":[\"mine @ https://***@host/x\"],\"***\":1}"));
    }

    /// What the protocol needs to be read stays, though a secret is spelled like one of its words.
    void wordsOfTheProtocol_stay() {
        agent::Masker masker;
        for (const char* secret : {"metric", "name", "value", "iVBORw0K"}) QVERIFY(masker.add(secret));
        const auto masked = [&](const char* text) {
            Json line = *base::parseJson(text);
            masker.maskLine(line);
            return base::dumpJson(line);
        };
        QCOMPARE(masked(R"({"kind":"metric","name":"my name","value":1})"),
                 std::string(R"({"kind":"metric","name":"my ***","value":1})"));
        QCOMPARE(masked(R"({"kind":"metrics","series":[{"name":"name","value":[1]}]})"),
                 std::string(R"({"kind":"metrics","series":[{"name":"***","value":[1]}]})"));
        QCOMPARE(masked(R"({"kind":"params","values":{"name":2}})"),
                 std::string(R"({"kind":"params","values":{"***":2}})"));
        QCOMPARE(masked(R"({"kind":"image","name":"i","data":"iVBORw0KGgo="})"),
                 std::string(R"({"kind":"image","name":"i","data":"iVBORw0KGgo="})"));
        QCOMPARE(masked(R"(["name"])"), std::string(R"(["name"])"));
    }

private:
    std::unique_ptr<ChildGuard> m_guard;
    std::unique_ptr<Scratch> m_scratch;
    std::unique_ptr<AgentRig> m_rig;
};

QTEST_GUILESS_MAIN(TestMasking)
#include "tst_Masking.moc"
