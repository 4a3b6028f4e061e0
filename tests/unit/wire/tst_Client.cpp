// What ranks report, the plan, and the engine's answers.
#include <QtTest>
#include <cmath>
#include <csignal>
#include <limits>
#include <sys/resource.h>
#include <thread>

#include "core/base/Text.h"
#include "core/wire/ClientLine.h"
#include "core/wire/EngineProtocol.h"
#include "core/wire/Layout.h"
#include "core/wire/Plan.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard::wire;
using trainyard::base::parseJson;
using trainyard::test::Scratch;

namespace {

std::vector<SeriesPoints> points(const Result<Record>& record) {
    return record.ok() ? metricsFromBody(record->body, record->t).valueOr({}) : std::vector<SeriesPoints>();
}

Plan fullPlan() {
    Plan plan;
    plan.run = trainyard::base::RunId::make();
    plan.attempt = 3;
    plan.node = 1;
    plan.nodes = 2;
    plan.processes = 4;
    plan.experiment = "birds";
    plan.runName = "birds-7";
    plan.command = {"/bin/echo", "$RANK", "", "é\n"};
    plan.variables = {{"B", "2"}, {"A", "x=y\nz"}};
    plan.workingFolder = "/w";
    plan.outputsFolder = "/o";
    plan.slotsFolder = "/s";
    plan.cores = 5;
    plan.gpus = 6;
    plan.priority = -7;
    plan.maxSeconds = 8;
    plan.graceSeconds = 9;
    plan.diskReserveBytes = 10;
    plan.systemIntervalMillis = 11;
    plan.engine = true;
    plan.distribution = "mpi";
    plan.backend = "gloo";
    plan.launcher = "srun";
    plan.peers = {{"one", "10.0.0.1", "eth0"}, {"two", "10.0.0.2", ""}};
    plan.leadPort = 4711;
    plan.token = "t";
    plan.silenceSeconds = 12;
    plan.joinSeconds = 13;
    plan.sharedFolder = true;
    plan.scheduler = true;
    plan.workFolder = "/work";
    plan.sourceManifest = "snapshot.json";
    plan.inputs = {{"data", "/work/data/x/files", "ab", "", true}, {"WEB_2", "", "cd", "https://example.org/x", false}};
    plan.patterns = {"@keras", "loss=(?<loss>\\S+)"};
    plan.environment.name = "my-torch:3";
    plan.environment.kind = "venv";
    plan.environment.hash = std::string(64, 'a');
    plan.environment.steps = {{"Install", {"pip", "install"}, {{"A", "b"}}, 5}};
    plan.environment.secrets = {{"TOKEN", "/etc/token", ""}};
    plan.resumeCheckpoint = "/c";
    plan.maxRestarts = 14;
    return plan;
}

}  // namespace

class tst_Client : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void writer_linesBecomeRecords();
    void writer_withoutAFileDoesNothing();
    void writer_fromEnvironment();
    void writer_manyThreads();
    void writer_fullDiskCountsAndGoesOn();
    void translate_metricForms();
    void translate_countsStepsByRankAndName();
    void translate_goesOnAfterARestart();
    void translate_otherKindsKeepTheirMembers();
    void translate_refuses_data();
    void translate_refuses();
    void plan_roundTrip();
    void plan_defaultsAreEnough();
    void plan_refuses_data();
    void plan_refuses();
    void engine_roundTrip();
    void engine_refuses_data();
    void engine_refuses();
    void layout_names();
};

void tst_Client::writer_linesBecomeRecords() {
    const Scratch scratch;
    {
        ClientWriter writer(scratch / "stream");
        QVERIFY(writer.enabled());
        writer.metric("loss", 0.5, 3);
        writer.metrics({{"a", {1, 2}, {std::nan(""), 2}, {}}, {"b", {1}, {1}, {77}}});
        writer.params(Json{{"lr", 0.1}});
        writer.progress(Json{{"stage", "train"}, {"done", 1}});
        writer.warning("data.small", "Few samples.");
        writer.failure("train.nan", "The loss became NaN.");
        writer.conclusion("Trained.");
        writer.text("note", "two\nlines \xff");
        writer.artifact("model.pt");
        writer.write("hologram", Json{{"x", 1}, {"kind", "ended"}});
        QCOMPARE(writer.dropped(), std::int64_t{0});
    }
    ClientLineTranslator translator;
    std::vector<Record> records;
    for (const std::string& line : trainyard::base::split(scratch.read("stream"), '\n')) {
        if (!line.empty()) {
            auto record = translator.translate(2, line, 99);
            QVERIFY2(record.ok(), record.ok() ? "" : record.error().message.c_str());
            QCOMPARE(record->rank, 2);
            QVERIFY(record->t > 1'000'000);
            records.push_back(*record);
        }
    }
    QCOMPARE(records.size(), std::size_t{10});
    QVERIFY(!records[4].body.contains("fatal"));
    QCOMPARE(records[5].kind, std::string("warning"));
    QCOMPARE(records[5].body["fatal"], Json(true));
    QCOMPARE(records[6].kind, std::string("conclusion"));
    QCOMPARE(records[6].body["message"], Json("Trained."));
    const auto one = points(records[0]);
    QCOMPARE(one[0].name, std::string("loss"));
    QCOMPARE(one[0].step, (std::vector<std::int64_t>{3}));
    QCOMPARE(one[0].value, (std::vector<double>{0.5}));
    QCOMPARE(one[0].t, (std::vector<std::int64_t>{records[0].t}));
    const auto two = points(records[1]);
    QCOMPARE(two.size(), std::size_t{2});
    QVERIFY(std::isnan(two[0].value[0]));
    QCOMPARE(two[0].t, (std::vector<std::int64_t>{records[1].t, records[1].t}));
    QCOMPARE(two[1].t, (std::vector<std::int64_t>{77}));
    QCOMPARE(records[2].body, (Json{{"values", {{"lr", 0.1}}}}));
    QCOMPARE(records[4].body["code"], Json("data.small"));
    QCOMPARE(records[7].body["text"], Json("two\nlines \xEF\xBF\xBD"));
    QCOMPARE(records[8].body, (Json{{"path", "model.pt"}}));
    QCOMPARE(records[9].kind, std::string("hologram"));
    QCOMPARE(records[9].body, (Json{{"x", 1}}));
}

void tst_Client::writer_withoutAFileDoesNothing() {
    ClientWriter none{Path()};
    none.metric("a", 1, 1);
    QVERIFY(!none.enabled());
    QCOMPARE(none.dropped(), std::int64_t{0});
    ClientWriter impossible("/proc/no/such/file");
    impossible.metric("a", 1, 1);
    QVERIFY(!impossible.enabled());
}

void tst_Client::writer_fromEnvironment() {
    const Scratch scratch;
    qputenv(variable::kStream, QByteArray::fromStdString((scratch / "s").string()));
    ClientWriter writer = ClientWriter::fromEnvironment();
    ClientWriter moved = std::move(writer);
    moved.metric("a", 1, 1);
    qunsetenv(variable::kStream);
    QVERIFY(!scratch.read("s").empty());
    QVERIFY(!ClientWriter::fromEnvironment().enabled());
}

void tst_Client::writer_manyThreads() {
    const Scratch scratch;
    ClientWriter writer(scratch / "s");
    const auto work = [&](const char* name) {
        for (int i = 0; i < 500; ++i) {
            writer.metric(name, i, i);
        }
    };
    std::thread other([&] { work("other"); });
    work("main");
    other.join();
    const auto lines = trainyard::base::split(scratch.read("s"), '\n');
    QCOMPARE(lines.size(), std::size_t{1001});
    ClientLineTranslator translator;
    for (std::size_t i = 0; i < 1000; ++i) {
        QVERIFY(translator.translate(0, lines[i], 0).ok());
    }
}

void tst_Client::writer_fullDiskCountsAndGoesOn() {
    const Scratch scratch;
    ClientWriter writer(scratch / "s");
    writer.text("a", "first");
    std::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    rlimit limit = before;
    limit.rlim_cur = scratch.read("s").size() + 20;
    setrlimit(RLIMIT_FSIZE, &limit);
    writer.text("a", "torn");
    writer.text("a", "refused");
    setrlimit(RLIMIT_FSIZE, &before);
    writer.text("a", "after");
    QCOMPARE(writer.dropped(), std::int64_t{2});
    ClientLineTranslator translator;
    std::vector<std::string> texts;
    int bad = 0;
    for (const std::string& line : trainyard::base::split(trainyard::base::trim(scratch.read("s")), '\n')) {
        const auto record = translator.translate(0, line, 0);
        if (record.ok()) {
            texts.push_back(record->body["text"].get<std::string>());
        } else {
            ++bad;
        }
    }
    QCOMPARE(texts, (std::vector<std::string>{"first", "after"}));
    QCOMPARE(bad, 1);
}

void tst_Client::translate_metricForms() {
    ClientLineTranslator translator;
    const auto single =
        translator.translate(0, R"({"kind":"metric","name":"loss","value":"1e-2","step":"12","t":5000})", 9);
    QVERIFY(single.ok());
    QCOMPARE(single->kind, std::string(kind::kMetrics));
    QCOMPARE(single->t, std::int64_t{5000});
    QCOMPARE(points(single)[0].value[0], 0.01);
    QCOMPARE(points(single)[0].step[0], std::int64_t{12});
    const auto values = translator.translate(0, R"({"kind":"metrics","values":{"a":1,"b":"NaN"},"step":4.0})", 9);
    QCOMPARE(points(values).size(), std::size_t{2});
    QCOMPARE(points(values)[1].step[0], std::int64_t{4});
    QCOMPARE(values->t, std::int64_t{9});
    const auto series = translator.translate(
        0,
        R"({"kind":"metrics","series":[{"name":"x","value":[1,2],"step":["7",8],"t":[1,2]},{"name":"y","value":[]}]})",
        9);
    QCOMPARE(points(series)[0].step, (std::vector<std::int64_t>{7, 8}));
    QCOMPARE(points(series)[0].t, (std::vector<std::int64_t>{1, 2}));
    QVERIFY(points(series)[1].value.empty());
}

void tst_Client::translate_countsStepsByRankAndName() {
    ClientLineTranslator translator;
    const auto stepOf = [&](int rank, const char* name) {
        return points(translator.translate(rank, std::string(R"({"kind":"metric","value":1,"name":")") + name + "\"}",
                                           0))[0]
            .step[0];
    };
    QCOMPARE(stepOf(0, "a"), std::int64_t{0});
    QCOMPARE(stepOf(0, "a"), std::int64_t{1});
    QCOMPARE(stepOf(1, "a"), std::int64_t{0});
    QCOMPARE(stepOf(0, "b"), std::int64_t{0});
    QVERIFY(translator.translate(0, R"({"kind":"metric","name":"a","value":1,"step":40})", 0).ok());
    QCOMPARE(stepOf(0, "a"), std::int64_t{41});
    QVERIFY(translator.translate(0, R"({"kind":"metric","name":"a","value":1,"step":3})", 0).ok());
    QCOMPARE(stepOf(0, "a"), std::int64_t{42});
    const auto batch = translator.translate(0, R"({"kind":"metrics","series":[{"name":"b","value":[1,2,3]}]})", 0);
    QCOMPARE(points(batch)[0].step, (std::vector<std::int64_t>{1, 2, 3}));
}

void tst_Client::translate_goesOnAfterARestart() {
    ClientLineTranslator translator;
    translator.noteStep(1, "a", 9);
    translator.noteStep(1, "a", 4);
    QCOMPARE(points(translator.translate(1, R"({"kind":"metric","name":"a","value":1})", 0))[0].step[0],
             std::int64_t{10});
    translator.noteStep(1, "end", std::numeric_limits<std::int64_t>::max());
    QVERIFY(translator.translate(1, R"({"kind":"metric","name":"end","value":1})", 0).ok());
}

void tst_Client::translate_otherKindsKeepTheirMembers() {
    ClientLineTranslator translator;
    const auto record =
        translator.translate(3, R"({"kind":"progress","stage":"train","rank":7,"seq":1,"v":9,"done":2})", 55);
    QVERIFY(record.ok());
    QCOMPARE(record->rank, 3);
    QCOMPARE(record->t, std::int64_t{55});
    QCOMPARE(record->body, (Json{{"stage", "train"}, {"done", 2}}));
}

void tst_Client::translate_refuses_data() {
    QTest::addColumn<QByteArray>("line");
    const auto row = [](const char* name, const char* line) { QTest::newRow(name) << QByteArray(line); };
    row("no JSON", "loss=0.5");
    row("no object", "[1]");
    row("no kind", R"({"name":"a"})");
    row("kind as number", R"({"kind":1})");
    row("ended is the agent's", R"({"kind":"ended","outcome":"completed"})");
    row("state is the agent's", R"({"kind":"state","state":"Completed"})");
    row("submit is the journal's", R"({"kind":"submit","number":1})");
    row("value missing", R"({"kind":"metric","name":"a"})");
    row("value as truth", R"({"kind":"metric","name":"a","value":true})");
    row("name missing", R"({"kind":"metric","value":1})");
    row("name empty", R"({"kind":"metric","name":"","value":1})");
    row("step as fraction", R"({"kind":"metric","name":"a","value":1,"step":1.5})");
    row("step NaN", R"({"kind":"metric","name":"a","value":1,"step":"NaN"})");
    row("step huge", R"({"kind":"metric","name":"a","value":1,"step":1e300})");
    row("time as word", R"({"kind":"metric","name":"a","value":1,"t":"now"})");
    row("neither values nor series", R"({"kind":"metrics"})");
    row("steps fewer than values", R"({"kind":"metrics","series":[{"name":"a","value":[1,2],"step":[1]}]})");
    row("series without name", R"({"kind":"metrics","series":[{"value":[1]}]})");
    row("params without values", R"({"kind":"params","lr":0.1})");
    row("tags as list", R"({"kind":"tags","values":[1]})");
}

void tst_Client::translate_refuses() {
    QFETCH(QByteArray, line);
    ClientLineTranslator translator;
    const auto record = translator.translate(0, line.toStdString(), 0);
    QVERIFY(!record.ok());
    QCOMPARE(record.error().code, std::string("client.line"));
}

void tst_Client::plan_roundTrip() {
    const Plan plan = fullPlan();
    const Json json = toJson(plan);
    const auto back = planFromJson(*parseJson(trainyard::base::dumpJson(json)));
    QVERIFY2(back.ok(), back.ok() ? "" : back.error().message.c_str());
    QCOMPARE(trainyard::base::dumpJson(toJson(*back)), trainyard::base::dumpJson(json));
    QCOMPARE(back->command, plan.command);
    QCOMPARE(back->variables, plan.variables);
    QCOMPARE(back->engine, true);
    QCOMPARE(back->priority, std::int64_t{-7});
    // Every member differs from its default, so a member that is not carried would show.
    const Json defaults = toJson(Plan());
    for (const auto& [name, value] : json.items()) {
        if (name != "format" && name != "version") {
            QVERIFY2(defaults[name] != value, name.c_str());
        }
    }
}

void tst_Client::plan_defaultsAreEnough() {
    const Json least = {{"format", kPlanFormat},   {"version", 1},           {"run", trainyard::base::newUuid7()},
                        {"command", {"true"}},     {"outputs_folder", "/o"}, {"slots_folder", "/s"},
                        {"of_a_later_minor", true}};
    const auto plan = planFromJson(least);
    QVERIFY2(plan.ok(), plan.ok() ? "" : plan.error().message.c_str());
    QCOMPARE(plan->processes, 1);
    QCOMPARE(plan->graceSeconds, std::int64_t{10});
    QCOMPARE(plan->diskReserveBytes, std::int64_t{1} << 30);
}

void tst_Client::plan_refuses_data() {
    QTest::addColumn<QByteArray>("member");
    QTest::addColumn<QByteArray>("value");
    QTest::addColumn<QByteArray>("code");
    const auto row = [](const char* name, const char* member, const char* value, const char* code) {
        QTest::newRow(name) << QByteArray(member) << QByteArray(value) << QByteArray(code);
    };
    row("newer", "version", "2", "format.newer");
    row("other file", "format", "\"trainyard.run-spec\"", "format.wrong");
    row("run", "run", "\"../x\"", "plan.run");
    row("no command", "command", "[]", "plan.command");
    row("no program", "command", "[\"\"]", "plan.command");
    row("zero byte", "command", "[\"a\\u0000b\"]", "plan.command");
    row("number in command", "command", "[\"a\",1]", "json.type");
    row("processes 0", "processes", "0", "plan.range");
    row("processes as text", "processes", "\"2\"", "json.type");
    row("node beyond nodes", "node", "2", "plan.range");
    row("relative folder", "outputs_folder", "\"o\"", "plan.path");
    row("no slots", "slots_folder", "\"\"", "plan.path");
    row("variable with =", "variables", "{\"a=b\":\"c\"}", "plan.variables");
    row("negative grace", "grace_seconds", "-1", "plan.range");
    row("working folder above", "working_folder", "\"../x\"", "plan.path");
    row("working folder with an end", "working_folder", "\"a/\"", "plan.path");
    row("distribution", "distribution", "\"telepathy\"", "plan.distribution");
    row("manifest elsewhere", "source_manifest", "\"../snapshot.json\"", "plan.path");
    row("input's name", "inputs", R"([{"name":"a b","path":"/x"}])", "plan.input");
    row("input's path", "inputs", R"([{"name":"a","path":"x"}])", "plan.path");
    row("peers as text", "peers", "\"here\"", "json.type");
    row("port", "lead_port", "65536", "plan.range");
    row("restarts", "max_restarts", "-1", "plan.range");
}

void tst_Client::plan_refuses() {
    QFETCH(QByteArray, member);
    QFETCH(QByteArray, value);
    QFETCH(QByteArray, code);
    Json json = toJson(fullPlan());
    json[member.toStdString()] = *parseJson(value.toStdString());
    const auto plan = planFromJson(json);
    QVERIFY(!plan.ok());
    QCOMPARE(QByteArray::fromStdString(plan.error().code), code);
    if (code.startsWith("plan.")) {
        const QByteArray field = QByteArray::fromStdString(plan.error().field);
        QVERIFY2(field == member || field.startsWith(member + '.'), field.constData());
    }
}

void tst_Client::engine_roundTrip() {
    const auto progress = decodeEngineLine(encodeEngineProgress(Json{{"stage", "train"}}));
    QVERIFY(progress->kind == EngineMessage::Kind::Progress);
    QCOMPARE(progress->body, (Json{{"stage", "train"}}));
    const auto result = decodeEngineLine(encodeEngineResult(Json{{"a", 1}, {"kind", "error"}}));
    QVERIFY(result->kind == EngineMessage::Kind::Result);
    QCOMPARE(result->body, (Json{{"a", 1}}));
    const Error error{"data.missing", "No such \"file\".", "task.dataset.train_images"};
    const auto failure = decodeEngineLine(encodeEngineError(error));
    QVERIFY(failure->kind == EngineMessage::Kind::Failure);
    QCOMPARE(failure->error, error);
    QCOMPARE(decodeEngineLine(encodeEngineError({"a", "b"}))->error, (Error{"a", "b"}));
}

void tst_Client::engine_refuses_data() {
    QTest::addColumn<QByteArray>("line");
    QTest::newRow("empty") << QByteArray();
    QTest::newRow("text") << QByteArray("Segmentation fault");
    QTest::newRow("no kind") << QByteArray("{}");
    QTest::newRow("other kind") << QByteArray(R"({"kind":"metrics"})");
    QTest::newRow("error without code") << QByteArray(R"({"kind":"error","message":"x"})");
    QTest::newRow("code as number") << QByteArray(R"({"kind":"error","code":1,"message":"x"})");
}

void tst_Client::engine_refuses() {
    QFETCH(QByteArray, line);
    QCOMPARE(decodeEngineLine(line.toStdString()).error().code, std::string("engine.line"));
}

void tst_Client::layout_names() {
    const RunId id(trainyard::base::newUuid7());
    const WorkspaceLayout workspace{"/w"};
    QCOMPARE(workspace.journal(id), Path("/w/runs") / id.str() / "journal.jsonl");
    QCOMPARE(workspace.stream(id, 2, 1), Path("/w/runs") / id.str() / "stream/a2-n1");
    QCOMPARE(workspace.modelCard("birds", 3), Path("/w/models/birds/3/card.json"));
    QCOMPARE((WorkLayout{"/t"}).attemptNode(id, 1, 0), Path("/t/runs") / id.str() / "a1/n0");
    QCOMPARE((NodeLayout{"/n"}).rankShim(4), Path("/n/ranks/r4.shim.json"));
}

QTEST_GUILESS_MAIN(tst_Client)
#include "tst_Client.moc"
