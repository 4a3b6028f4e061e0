#include <QtTest>
#include <cmath>

#include "tests/unit/store/StoreFixture.h"

using namespace trainyard;
using namespace trainyard::store;
using namespace trainyard::store::test;

/// What each kind of record does to the tables.
class tst_IngestRecords : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void events_areKeptInOrder();
    void attempts_anotherNodesEndIsNotTheEnd();
    void edits_comeFromTheJournal();
    void tags_aPersonsWordIsLast();
    void params_lastWins();
    void progress_ofTheLowestRank();
    void ranks_andAttempts();
    void outputs_andCollection();
    void warnings_andDamage();
    void items_areReadFromTheSegments();
    void system_seriesAreApart();
    void numbers_areNeverGivenTwice();
    void numberTaken_getsAnother();
    void spec_missingOrBroken();
    void wrongTypes_doNoHarm();
    void ranks_whatTheirNodesSayOfThem();
    void lineage_andEnvironment();
    void points_asReported();
    void activeRuns_byTarget();
};

void tst_IngestRecords::events_areKeptInOrder() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.journal(run,
                      {record(wire::kind::kUpload, Json{{"step", "upload"}, {"bytes_done", 5}}, 10),
                       record(wire::kind::kUnreachable, Json{{"since", 11}, {"reason", "No route."}}, 12),
                       record(wire::kind::kCancelAsked, Json::object(), 13), record("unheard-of", Json::object(), 14),
                       record(wire::kind::kReachable, Json{{"since", 11}}, 15),
                       record(wire::kind::kScheduler, Json{{"job", "7"}, {"state", "pending"}}, 16),
                       record(wire::kind::kHostSilent, Json{{"host", "b"}, {"nodes", {1}}, {"since", 17}}, 17),
                       record(wire::kind::kHostBack, Json{{"host", "b"}}, 18)});
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    const auto all = reader->events(run);
    STORE_OK(all);
    QCOMPARE(all->size(), std::size_t{7});
    QCOMPARE(all->at(0).kind, "upload");
    QCOMPARE(all->at(0).body.at("bytes_done").get<int>(), 5);
    QCOMPARE(all->at(1).at, 12);
    QCOMPARE(all->at(4).body.at("job").get<std::string>(), "7");
    QCOMPARE(reader->events(run, wire::kind::kCancelAsked)->size(), std::size_t{1});
    const auto newest = reader->events(run, {}, 2);
    QCOMPARE(newest->size(), std::size_t{2});
    QCOMPARE(newest->at(0).kind, "host_silent");
    QCOMPARE(newest->at(0).body.at("nodes"), Json::array({1}));
    STORE_OK(writer->deleteRun(run));
    QVERIFY(!reader->events(run).ok());
}

void tst_IngestRecords::attempts_anotherNodesEndIsNotTheEnd() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.journal(run, {state("Preparing", 1)});
    workspace.stream(run, {state("Running", 2)}, 1, 0);
    workspace.stream(run,
                     {record(wire::kind::kEnded,
                             Json{{"node_only", true},
                                  {"outcome", "completed"},
                                  {"outputs", Json::array({Json{{"path", "x"}, {"size", 1}, {"sha256", "h"}}})}},
                             3)},
                     1, 1);
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    STORE_OK(writer->followStream(run, 1, 1));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    QVERIFY(reader->run(run)->state == spec::RunState::Preparing);
    STORE_OK(writer->followStream(run, 1, 0));
    QVERIFY(reader->run(run)->state == spec::RunState::Running);
    QCOMPARE(reader->outputs(run)->at(0).path, "node-1/x");
    // An attempt that its agents follow up by another is not the end either.
    workspace.stream(
        run,
        {record(wire::kind::kEnded, Json{{"outcome", "failed"}, {"reason", "Rank 1 died."}, {"restart", true}}, 4)}, 1,
        0);
    STORE_OK(writer->followStream(run, 1, 0));
    QVERIFY(reader->run(run)->state == spec::RunState::Preparing);
    QCOMPARE(reader->run(run)->stateReason, "Rank 1 died.");
    QVERIFY(reader->attempts(run)->at(0).goesOn);
}

void tst_IngestRecords::edits_comeFromTheJournal() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.journal(run, {record(wire::kind::kRename, Json{{"name", "Zwei"}}, 1),
                            record(wire::kind::kNotes, Json{{"text", "first"}}, 2),
                            record(wire::kind::kNotes, Json{{"text", "second\nline"}}, 3),
                            record(wire::kind::kTags, Json{{"values", Json{{"a", "1"}, {"b", 2}, {"c", "3"}}}}, 4),
                            record(wire::kind::kTags, Json{{"values", Json{{"a", nullptr}, {"c", "4"}}}}, 5),
                            record(wire::kind::kArchive, Json{{"archived", true}}, 6)});
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    auto row = reader->run(run);
    STORE_OK(row);
    QCOMPARE(row->name, "Zwei");
    QCOMPARE(row->notes, "second\nline");
    QCOMPARE(row->tags, (Strings{{"b", "2"}, {"c", "4"}}));
    QVERIFY(row->archived);
    QCOMPARE(reader->counts()->archived, 1);
    workspace.journal(run, {record(wire::kind::kArchive, Json{{"archived", false}}, 7)});
    STORE_OK(writer->followJournal(run));
    QVERIFY(!reader->run(run)->archived);
}

void tst_IngestRecords::tags_aPersonsWordIsLast() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one", Json{{"tags", Json{{"x", "spec"}, {"y", "spec"}, {"z", "spec"}}}});
    workspace.journal(run, {record(wire::kind::kTags, Json{{"values", Json{{"x", "person"}, {"w", nullptr}}}}, 5)});
    workspace.stream(run, {record(wire::kind::kTags,
                                  Json{{"values", Json{{"x", "script"}, {"y", "script"}, {"w", "script"}}}}, 9999, 0)});
    for (const bool journalFirst : {true, false}) {
        for (const char* suffix : {"", "-wal", "-shm"})
            std::filesystem::remove(workspace.location.database.string() + suffix);
        auto writer = Writer::open(workspace.location);
        STORE_OK(writer);
        StreamBatch all = batchOf(workspace, run, kJournalAttempt);
        if (journalFirst) {
            STORE_OK(writer->applyJournal(all));
            STORE_OK(writer->followStream(run, 1, 0));
        } else {
            STORE_OK(writer->applyJournal(batchOf(workspace, run, kJournalAttempt, {}, 1)));
            STORE_OK(writer->followStream(run, 1, 0));
            STORE_OK(writer->followJournal(run));
        }
        auto reader = Reader::open(workspace.location);
        STORE_OK(reader);
        QCOMPARE(reader->run(run)->tags, (Strings{{"x", "person"}, {"y", "script"}, {"z", "spec"}}));
    }
}

void tst_IngestRecords::params_lastWins() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.stream(run,
                     {record(wire::kind::kParams, Json{{"values", Json{{"lr", 0.1}, {"sizes", Json{1, 2}}}}}, 1, 0),
                      record(wire::kind::kParams, Json{{"values", Json{{"lr", 0.2}}}}, 2, 0)});
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    STORE_OK(writer->followStream(run, 1, 0));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    const auto params = reader->params(run);
    STORE_OK(params);
    QCOMPARE(params->size(), std::size_t{2});
    QCOMPARE((*params)[0].value.dump(), "0.2");
    QCOMPARE((*params)[1].value.dump(), "[1,2]");
}

void tst_IngestRecords::progress_ofTheLowestRank() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    const auto progress = [](double done, int rank) {
        return record(wire::kind::kProgress,
                      Json{{"stage", "train"},
                           {"done", done},
                           {"total", 10},
                           {"unit", "steps"},
                           {"epoch", 2},
                           {"epochs", 4},
                           {"rate", 41.5},
                           {"eta_ns", 123}},
                      static_cast<std::int64_t>(done), rank);
    };
    workspace.stream(run, {progress(1, 1), progress(2, 0), progress(3, 1), progress(4, 0), progress(5, 1)});
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    STORE_OK(writer->followStream(run, 1, 0));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    auto shown = reader->run(run)->progress;
    QVERIFY(shown);
    QCOMPARE(shown->done, 4.0);
    QCOMPARE(shown->stage, "train");
    QCOMPARE(shown->epoch, 2);
    QCOMPARE(shown->rate, 41.5);
    QCOMPARE(shown->etaNanos, 123);
    QCOMPARE(shown->at, 4);
    // The leading agent speaks for itself after the ranks.
    workspace.stream(run, {progress(6, wire::kNoRank)});
    STORE_OK(writer->followStream(run, 1, 0));
    QCOMPARE(reader->run(run)->progress->done, 6.0);
}

void tst_IngestRecords::ranks_andAttempts() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.stream(
        run,
        {record(wire::kind::kAttempt, Json{{"host", "box"}, {"world_size", 2}, {"nodes", 1}, {"agent", "0.1.0"}}, 100),
         log({"x", "y"}, 200, 1), metrics({{"loss", {0}, {1}, {1}}}, 300, 0),
         record(wire::kind::kEnded,
                Json{{"outcome", "failed"},
                     {"reason", "why"},
                     {"ranks", Json::array({Json{{"rank", 0}, {"exit", 0}},
                                            Json{{"rank", 1}, {"signal", 9}, {"reason", "killed"}}})}},
                400)});
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    STORE_OK(writer->followStream(run, 1, 0));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    const auto ranks = reader->ranks(run);
    STORE_OK(ranks);
    QCOMPARE(ranks->size(), std::size_t{2});
    QCOMPARE((*ranks)[0].exitStatus, std::optional<int>(0));
    QCOMPARE((*ranks)[0].lastAt, 300);
    QCOMPARE((*ranks)[1].signal, std::optional<int>(9));
    QVERIFY(!(*ranks)[1].exitStatus);
    QCOMPARE((*ranks)[1].logLines, 2);
    QCOMPARE((*ranks)[1].reason, "killed");
    QCOMPARE((*ranks)[1].host, "box");
    const auto attempts = reader->attempts(run);
    STORE_OK(attempts);
    QCOMPARE(attempts->at(0).worldSize, 2);
    QCOMPARE(attempts->at(0).agentVersion, "0.1.0");
    QCOMPARE(attempts->at(0).outcome, "failed");
    QCOMPARE(attempts->at(0).endedAt, 400);
}

void tst_IngestRecords::outputs_andCollection() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.stream(
        run, {record(wire::kind::kArtifact, Json{{"path", "model.pt"}, {"size", 10}, {"sha256", "old"}}, 1),
              record(wire::kind::kEnded,
                     Json{{"outputs", Json::array({Json{{"path", "model.pt"}, {"size", 20}, {"sha256", "new"}},
                                                   Json{{"path", "logs/x.txt"}, {"size", 3}, {"sha256", "x"}}})}},
                     2)});
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    STORE_OK(writer->followStream(run, 1, 0));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    auto outputs = reader->outputs(run);
    STORE_OK(outputs);
    QCOMPARE(outputs->size(), std::size_t{2});
    QCOMPARE((*outputs)[1].path, "model.pt");
    QCOMPARE((*outputs)[1].size, 20);
    QCOMPARE((*outputs)[1].sha256, "new");
    QVERIFY(!(*outputs)[1].collected);
    workspace.journal(
        run, {record(wire::kind::kCollected,
                     Json{{"attempt", 1},
                          {"outputs", Json::array({Json{{"path", "model.pt"}, {"size", 20}, {"sha256", "new"}}})}},
                     3)});
    STORE_OK(writer->followJournal(run));
    outputs = reader->outputs(run);
    QVERIFY(!(*outputs)[0].collected);
    QVERIFY((*outputs)[1].collected);
    QCOMPARE((*outputs)[1].sha256, "new");
}

void tst_IngestRecords::warnings_andDamage() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.stream(run, {state("Running", 1),
                           record(wire::kind::kWarning,
                                  Json{{"code", "disk.low"}, {"message", "little space"}, {"count", 5}}, 2, 1)});
    const Path segment = workspace.layout.stream(run, 1, 0) / wire::segmentName(1);
    const std::string whole = *base::readFile(segment);
    // A line of noise in between, and a torn one at the end.
    const std::size_t newline = whole.find('\n') + 1;
    Workspace::write(segment, whole.substr(0, newline) + "noise\n" + whole.substr(newline) + "{\"v\":1,\"seq\":3,");
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    for (int i = 0; i < 2; ++i) STORE_OK(writer->followStream(run, 1, 0));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    QCOMPARE(reader->run(run)->warnings, 2);
    for (int i = 0; i < 2; ++i) STORE_OK(writer->followStream(run, 1, 0, true));
    const auto warnings = reader->warnings(run);
    STORE_OK(warnings);
    QCOMPARE(warnings->size(), std::size_t{3});
    QCOMPARE((*warnings)[0].code, "disk.low");
    QCOMPARE((*warnings)[0].count, 5);
    QCOMPARE((*warnings)[0].rank, 1);
    QCOMPARE((*warnings)[1].code, "stream.line");
    QCOMPARE((*warnings)[2].code, "stream.torn");
    QVERIFY((*warnings)[2].damagedLine);
    QCOMPARE(reader->run(run)->warnings, 3);
}

void tst_IngestRecords::items_areReadFromTheSegments() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.stream(run,
                     {record(wire::kind::kText, Json{{"name", "summary"}, {"text", "long\ntext"}, {"step", 7}}, 1, 0),
                      log({"between"}, 2), record(wire::kind::kModel, Json{{"name", "m"}, {"path", "model.pt"}}, 3, 0)},
                     1, 0, 200);
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    STORE_OK(writer->followStream(run, 1, 0));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    const auto texts = reader->items(run, wire::kind::kText);
    STORE_OK(texts);
    QCOMPARE(texts->size(), std::size_t{1});
    QCOMPARE(texts->at(0).name, "summary");
    QCOMPARE(texts->at(0).step, 7);
    QCOMPARE(texts->at(0).body["text"].get<std::string>(), "long\ntext");
    QCOMPARE(reader->items(run, wire::kind::kModel)->at(0).body["path"].get<std::string>(), "model.pt");
    QVERIFY(reader->items(run, wire::kind::kTable)->empty());
    // Heads need no body, and each leads to its record.
    const auto heads = reader->itemHeads(run, {"text", "model"}, 10);
    STORE_OK(heads);
    QCOMPARE(heads->size(), std::size_t{2});
    QCOMPARE(heads->at(0).name, "summary");
    QVERIFY(heads->at(0).body.is_null());
    const auto whole = reader->item(run, heads->at(1).attempt, heads->at(1).node, heads->at(1).seq);
    STORE_OK(whole);
    QCOMPARE(whole->body["path"].get<std::string>(), "model.pt");
    QCOMPARE(reader->itemHeads(run, {"text", "model"}, 1)->at(0).kind, "model");
    QVERIFY(reader->itemHeads(run, {"table"}, 10)->empty());
    QCOMPARE(reader->item(run, 1, 0, 99).error().code, "store.item_unknown");
}

void tst_IngestRecords::system_seriesAreApart() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.stream(
        run, {record(wire::kind::kSystem,
                     Json{{"values", Json{{"cpu_percent", 50}, {"memory_bytes", 1e9}, {"host", "not a number"}}}}, 10),
              record(wire::kind::kSystem, Json{{"values", Json{{"cpu_percent", 70}}}}, 20)});
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    STORE_OK(writer->followStream(run, 1, 0));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    QVERIFY(reader->run(run)->metrics.empty());
    QVERIFY(reader->series(run)->empty());
    const auto system = reader->systemSeries(run);
    STORE_OK(system);
    QCOMPARE(system->size(), std::size_t{2});
    QCOMPARE(system->at(0).max, 70.0);
    ChartRequest request;
    request.curves = {{run, "cpu_percent", SeriesKind::System}};
    request.axis = ChartAxis::WallTime;
    QCOMPARE(reader->chart(request)->series.at(0).x, (std::vector<double>{0.01, 0.02}));
}

void tst_IngestRecords::numbers_areNeverGivenTwice() {
    Workspace workspace;
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    auto other = Writer::open(workspace.location);
    STORE_OK(other);
    QCOMPARE(*writer->takeNumber(), 1);
    QCOMPARE(*other->takeNumber(), 2);
    QCOMPARE(*writer->takeNumber(), 3);
    const RunId run = workspace.addRun(70, "far ahead");
    STORE_OK(writer->followJournal(run));
    QCOMPARE(*other->takeNumber(), 71);
    STORE_OK(writer->deleteRun(run));
    QCOMPARE(*other->takeNumber(), 72);
}

void tst_IngestRecords::numberTaken_getsAnother() {
    Workspace workspace;
    const RunId first = workspace.addRun(5, "first");
    const RunId second = workspace.addRun(5, "copied from elsewhere");
    const RunId silly = workspace.addRun(std::int64_t{1} << 50, "silly");
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->catchUp());
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    QCOMPARE(reader->run(first)->number, 5);
    QCOMPARE(reader->run(second)->number, 6);
    QCOMPARE(reader->run(silly)->number, 7);
    QCOMPARE(reader->warnings(second)->at(0).code, "store.number");
}

void tst_IngestRecords::spec_missingOrBroken() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    std::filesystem::remove(workspace.layout.spec(run));
    const RunId other = workspace.addRun(2, "two");
    Workspace::write(workspace.layout.spec(other), "{\"experiment\": ");
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    STORE_OK(writer->followJournal(other));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    QCOMPARE(reader->run(run)->name, "one");
    QCOMPARE(reader->warnings(run)->at(0).code, "store.spec");
    QCOMPARE(reader->warnings(other)->at(0).code, "store.spec");
    QCOMPARE(reader->spec(run).error().code, "file.missing");
    QCOMPARE(reader->spec(other).error().code, "json.syntax");
}

void tst_IngestRecords::wrongTypes_doNoHarm() {
    // Every kind with a body in which each member has a wrong type.
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    const std::vector<Json> odd = {
        Json(nullptr), Json(-5), Json(1e300), Json("x"), Json::array({1, "a", nullptr}), Json{{"a", Json::array()}},
        Json(true)};
    const std::vector<const char*> members = {"state", "reason",  "series", "values",   "out",   "lines",   "name",
                                              "text",  "stage",   "done",   "total",    "path",  "size",    "sha256",
                                              "code",  "message", "count",  "outcome",  "ranks", "outputs", "attempt",
                                              "node",  "host",    "number", "archived", "step"};
    const std::vector<const char*> kinds = {"state",    "metrics", "params",   "tags",      "log",          "text",
                                            "progress", "system",  "artifact", "image",     "table",        "histogram",
                                            "model",    "child",   "warning",  "ended",     "attempt",      "submit",
                                            "rename",   "notes",   "archive",  "collected", "something new"};
    std::vector<wire::Record> records;
    for (const char* kind : kinds) {
        for (const Json& value : odd) {
            Json body = Json::object();
            for (const char* member : members) body[member] = value;
            records.push_back(record(kind, body, 1, 0));
        }
    }
    workspace.journal(run, records);
    workspace.stream(run, records);
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    STORE_OK(writer->followStream(run, 1, 0));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    STORE_OK(reader->run(run));
    STORE_OK(reader->listRuns({}));
    STORE_OK(reader->logPage(run, {}, 0, 100));
    STORE_OK(reader->outputs(run));
    STORE_OK(reader->ranks(run));
    const std::string before = workspace.dump();
    STORE_OK(Writer::rebuild(workspace.location));
    QCOMPARE(workspace.dump(), before);
}

void tst_IngestRecords::ranks_whatTheirNodesSayOfThem() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.stream(run,
                     {record("started",
                             Json{{"ranks", Json::array({Json{{"rank", 0}, {"pid", 77}, {"gpus", {0, 3}}},
                                                         Json{{"rank", 1}, {"pid", 78}}, Json{{"rank", -4}, {"pid", 1}},
                                                         Json("nonsense")})}},
                             100)},
                     1, 0);
    workspace.stream(
        run,
        {log({"up"}, 200, 2),
         record("started", Json{{"ranks", Json::array({Json{{"rank", 2}, {"pid", 77}, {"gpus", "all"}}})}}, 300)},
        1, 1);
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->catchUp());
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    const auto ranks = reader->ranks(run);
    STORE_OK(ranks);
    QCOMPARE(ranks->size(), std::size_t{3});
    QCOMPARE(ranks->at(0).pid, std::optional<std::int64_t>(77));
    QCOMPARE(ranks->at(0).gpus, (std::vector<int>{0, 3}));
    QCOMPARE(ranks->at(1).pid, std::optional<std::int64_t>(78));
    QVERIFY(ranks->at(1).gpus.empty());
    QCOMPARE(ranks->at(2).node, 1);
    QCOMPARE(ranks->at(2).pid, std::optional<std::int64_t>(77));
    QCOMPARE(ranks->at(2).logLines, 1);
    // The other order of the streams gives the same rows.
    const std::string before = workspace.dump();
    for (const char* suffix : {"", "-wal", "-shm"})
        std::filesystem::remove(workspace.location.database.string() + suffix);
    auto again = Writer::open(workspace.location);
    STORE_OK(again);
    STORE_OK(again->followJournal(run));
    STORE_OK(again->followStream(run, 1, 1));
    STORE_OK(again->followStream(run, 1, 0));
    QCOMPARE(workspace.dump(), before);
}

/// What a run repeats, what came out of it, and what its agents found it to run in.
void tst_IngestRecords::lineage_andEnvironment() {
    Workspace workspace;
    const RunId first = workspace.addRun(1, "first");
    const RunId second = RunId::make();
    Workspace::write(workspace.layout.spec(second), "{}");
    workspace.journal(
        second,
        {record(wire::kind::kSubmit,
                Json{{"number", 2}, {"experiment", "e"}, {"name", "second"}, {"reproduces", first.str()}}, 10),
         record(wire::kind::kInputs, Json{{"data", Json::array({Json{{"name", "d"}, {"sha256", "ab"}, {"bytes", 5}}})}},
                20),
         record(wire::kind::kCollected, Json{{"attempt", 1}, {"outputs", Json::array({Json{{"path", "a"}}})}}, 30),
         record(wire::kind::kReproduced, Json{{"same", Json{{"metrics", true}}}}, 40)});
    const RunId third = workspace.addRun(3, "third", Json{{"resume_from", first.str()}});
    workspace.stream(
        second,
        {record("environment", Json{{"name", "torch:3"}, {"type", "venv"}, {"facts", Json{{"python", "3.11"}}}}, 15)});
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->catchUp());
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    QCOMPARE(reader->run(second)->reproduces, first.str());
    QVERIFY(reader->run(second)->parent.empty());
    const auto children = reader->descendants(first);
    STORE_OK(children);
    QCOMPARE(children->size(), std::size_t{2});
    QCOMPARE(children->at(0).id, second);
    QVERIFY(children->at(0).reproduces);
    QCOMPARE(children->at(1).id, third);
    QVERIFY(!children->at(1).reproduces);
    QVERIFY(reader->descendants(second)->empty());
    QCOMPARE(reader->events(second, wire::kind::kInputs)->at(0).body.at("data").at(0).at("sha256").get<std::string>(),
             "ab");
    QCOMPARE(reader->events(second, wire::kind::kCollected)->at(0).body.at("files").get<int>(), 1);
    QVERIFY(reader->events(second, wire::kind::kReproduced)->at(0).body.at("same").at("metrics").get<bool>());
    const auto environments = reader->items(second, wire::kind::kEnvironment);
    STORE_OK(environments);
    QCOMPARE(environments->size(), std::size_t{1});
    QCOMPARE(environments->at(0).name, "torch:3");
    QCOMPARE(environments->at(0).body.at("facts").at("python").get<std::string>(), "3.11");
    // Gone with its run.
    STORE_OK(writer->deleteRun(second));
    QCOMPARE(reader->descendants(first)->size(), std::size_t{1});
}

/// Points as they were reported, from anywhere in the series.
void tst_IngestRecords::points_asReported() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    std::vector<Record> records;
    for (int i = 0; i < 9000; ++i)
        records.push_back(metrics({{"loss", {i}, {i % 7 == 0 ? std::nan("") : i * 0.1}, {1000 + i}}}, 1000 + i, 3));
    workspace.stream(run, std::move(records));
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->catchUp());
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    const auto series = reader->series(run);
    STORE_OK(series);
    for (const auto& [first, count] :
         {std::pair<std::int64_t, std::int64_t>{0, 20'000}, {4090, 20}, {8999, 5}, {9000, 5}, {-3, 2}, {5, 0}}) {
        const auto points = reader->points(run, series->at(0), first, count);
        STORE_OK(points);
        const std::int64_t from = std::max<std::int64_t>(0, first);
        QCOMPARE(std::ssize(*points), std::clamp<std::int64_t>(9000 - from, 0, count));
        for (std::size_t i = 0; i < points->size(); ++i) {
            const std::int64_t step = from + static_cast<std::int64_t>(i);
            QCOMPARE(points->at(i).step, step);
            QCOMPARE(points->at(i).at, 1000 + step);
            QVERIFY(step % 7 == 0 ? std::isnan(points->at(i).value)
                                  : points->at(i).value == static_cast<double>(step) * 0.1);
        }
    }
    SeriesRow unknown = series->at(0);
    unknown.rank = 4;
    QVERIFY(reader->points(run, unknown, 0, 10)->empty());
}

void tst_IngestRecords::activeRuns_byTarget() {
    Workspace workspace;
    int number = 0;
    for (const auto& [target, word] : {std::pair<const char*, const char*>{"here", "Running"},
                                       {"here", "Queued"},
                                       {"there", "Lost"},
                                       {"there", "Failed"},
                                       {"gone", "Completed"}}) {
        ++number;
        const RunId run = workspace.addRun(number, "r" + std::to_string(number), Json{{"target", target}});
        workspace.journal(run, {state(word, number)});
    }
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->catchUp());
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    const auto active = reader->activeByTarget();
    STORE_OK(active);
    QVERIFY((*active == std::map<std::string, std::int64_t>{{"here", 2}, {"there", 1}}));
}

QTEST_APPLESS_MAIN(tst_IngestRecords)
#include "tst_IngestRecords.moc"
