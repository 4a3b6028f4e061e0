#include <QtTest>
#include <cmath>

#include "tests/unit/store/StoreFixture.h"

using namespace trainyard;
using namespace trainyard::store;
using namespace trainyard::store::test;

namespace {

/// Everything of a stream folder in one batch.
StreamBatch batchOf(const Workspace& workspace, const RunId& run, int attempt, wire::StreamCursor from = {},
                    std::size_t most = 4096) {
    StreamBatch batch;
    batch.run = run;
    batch.attempt = attempt;
    batch.from = from;
    wire::StreamFolderReader reader(
        attempt == kJournalAttempt ? workspace.layout.journal(run) : workspace.layout.stream(run, attempt, 0), from);
    if (!reader.read(batch.entries, most)) qFatal("the stream could not be read");
    batch.damaged = reader.decoder().takeDamaged();
    batch.to = reader.decoder().cursor();
    return batch;
}

const MetricSummary* metricOf(const RunRow& row, const std::string& name) {
    for (const MetricSummary& metric : row.metrics) {
        if (metric.name == name) return &metric;
    }
    return nullptr;
}

}  // namespace

class tst_Ingest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void run_comesFromSpecAndSubmit();
    void replay_isHarmless();
    void cursorMismatch_writesNothing();
    void unknownRun_isRefused();
    void failureInTheMiddle_leavesNothing();
    void cutAtEveryRecord_endsTheSame();
    void cutAtEveryByte_endsTheSame();
    void states_data();
    void states();
    void times_andReasons();
    void metrics_summaries();
    void metrics_notFinite();
    void metrics_ofSeveralRanksAndAttempts();
    void metrics_newerAttemptHidesWhatItTellsAnew();
    void metrics_malformedAreDamage();
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
};

void tst_Ingest::run_comesFromSpecAndSubmit() {
    Workspace workspace;
    const Json spec{{"experiment", "fashion"},
                    {"name", "from spec"},
                    {"description", "what it is"},
                    {"task", Json{{"kind", "train"}, {"model", Json{{"family", "cnn"}}}}},
                    {"target", "local"},
                    {"environment", "trainyard-engine"},
                    {"distribution", Json{{"processes", 2}, {"nodes", 3}}},
                    {"resume_from", "abc"},
                    {"tags", Json{{"lr", "0.1"}, {"base", "yes"}}}};
    const RunId run = workspace.addRun(12, "my run", spec);
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    const auto taken = writer->followJournal(run);
    STORE_OK(taken);
    QCOMPARE(*taken, 1);
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    const auto row = reader->run(run);
    STORE_OK(row);
    QCOMPARE(row->id, run);
    QCOMPARE(row->number, 12);
    QCOMPARE(row->experiment, "fashion");
    QCOMPARE(row->name, "my run");
    QCOMPARE(row->description, "what it is");
    QCOMPARE(row->taskKind, "train");
    QCOMPARE(row->modelFamily, "cnn");
    QCOMPARE(row->target, "local");
    QCOMPARE(row->environment, "trainyard-engine");
    QCOMPARE(row->processes, 6);
    QCOMPARE(row->parent, "abc");
    QCOMPARE(row->createdAt, 12000);
    QCOMPARE(row->startedAt, 0);
    QVERIFY(row->state == spec::RunState::Draft);
    QCOMPARE(row->tags, (Strings{{"base", "yes"}, {"lr", "0.1"}}));
    QVERIFY(!row->progress);
    QCOMPARE(reader->spec(run)->dump(), spec.dump());

    const RunId unnamed = workspace.addRun(13, "", Json{{"experiment", "mnist"}});
    STORE_OK(writer->followJournal(unnamed));
    QCOMPARE(reader->run(unnamed)->name, "mnist-13");
    workspace.journal(unnamed, {record(wire::kind::kRename, Json{{"name", ""}}, 9)});
    STORE_OK(writer->followJournal(unnamed));
    QCOMPARE(reader->run(unnamed)->name, "mnist-13");
}

void tst_Ingest::replay_isHarmless() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.stream(run, {state("Running", 1), metrics({{"loss", {0, 1}, {3, 2}, {1, 2}}}, 5), log({"a", "b"}, 6),
                           record(wire::kind::kWarning, Json{{"code", "c"}, {"message", "m"}}, 7)});
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->applyJournal(batchOf(workspace, run, kJournalAttempt)));
    const StreamBatch batch = batchOf(workspace, run, 1);
    STORE_OK(writer->ingest(batch));
    const std::string after = workspace.dump();
    const auto changes = writer->changeCount();
    for (int i = 0; i < 3; ++i) {
        QCOMPARE(writer->ingest(batch).error().code, "store.cursor");
        QCOMPARE(*writer->followStream(run, 1, 0), 0);
        QCOMPARE(*writer->followJournal(run), 0);
    }
    QCOMPARE(workspace.dump(), after);
    QCOMPARE(writer->changeCount(), changes);
}

void tst_Ingest::cursorMismatch_writesNothing() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.stream(run, {state("Running", 1), metrics({{"loss", {0}, {3}, {1}}}, 5)});
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    StreamBatch batch = batchOf(workspace, run, 1);
    batch.from = {1, 17, 1};
    const std::string before = workspace.dump();
    QCOMPARE(writer->ingest(batch).error().code, "store.cursor");
    QCOMPARE(workspace.dump(), before);
    QCOMPARE(*writer->cursor(run, 1, 0), wire::StreamCursor{});
    batch.from = {};
    STORE_OK(writer->ingest(batch));
    QCOMPARE(*writer->cursor(run, 1, 0), batch.to);
    QCOMPARE(batch.to.lastSeq, 2);
}

void tst_Ingest::unknownRun_isRefused() {
    Workspace workspace;
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    StreamBatch batch;
    batch.run = RunId::make();
    QCOMPARE(writer->ingest(batch).error().code, "store.run_unknown");
    batch.attempt = kJournalAttempt;
    QCOMPARE(writer->ingest(batch).error().code, "store.batch");
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    QCOMPARE(reader->run(batch.run).error().code, "store.run_unknown");
    QCOMPARE(reader->stages(batch.run).error().code, "store.run_unknown");
}

void tst_Ingest::failureInTheMiddle_leavesNothing() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    workspace.stream(run, {state("Running", 1), metrics({{"loss", {0, 1}, {3, 2}, {1, 2}}}, 5)});
    STORE_OK(writer->followStream(run, 1, 0));
    {
        // A block whose bytes are nonsense: the next batch needs it and must not be taken half.
        SQLite::Database db(workspace.location.database.string(), SQLite::OPEN_READWRITE);
        db.exec("UPDATE blocks SET data = x'ffff'");
    }
    const std::string before = workspace.dump();
    workspace.stream(run, {log({"line"}, 6), metrics({{"loss", {2}, {1}, {3}}}, 7), state("Finalizing", 9)});
    const auto failed = writer->followStream(run, 1, 0);
    QVERIFY(!failed.ok());
    QCOMPARE(failed.error().code, "store.corrupt");
    QCOMPARE(workspace.dump(), before);
    STORE_OK(Writer::rebuild(workspace.location));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    QCOMPARE(metricOf(*reader->run(run), "loss")->count, 3);
}

void tst_Ingest::cutAtEveryRecord_endsTheSame() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    std::vector<wire::Record> records;
    for (int i = 0; i < 60; ++i) {
        records.push_back(metrics({{"loss", {i, i + 1, i + 2}, {1.0 / (i + 1), 2, 3}, {i, i, i}}}, i, i % 3));
        records.push_back(log({"line " + std::to_string(i)}, i, i % 2));
        if (i % 20 == 0) records.push_back(state(i == 0 ? "Preparing" : i == 20 ? "Queued" : "Running", i));
    }
    const auto count = static_cast<int>(records.size());
    workspace.stream(run, records);
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    std::string expected;
    for (int cut = 0; cut <= count; ++cut) {
        STORE_OK(writer->deleteRun(run));
        STORE_OK(writer->followJournal(run));
        STORE_OK(writer->followStream(run, 1, 0, false, cut));
        QCOMPARE(writer->cursor(run, 1, 0)->lastSeq, cut);
        STORE_OK(writer->followStream(run, 1, 0));
        const std::string dump = workspace.dump();
        if (cut == 0) expected = dump;
        QVERIFY2(dump == expected, qPrintable(QString::number(cut)));
    }
}

void tst_Ingest::cutAtEveryByte_endsTheSame() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.stream(run, {state("Running", 1), metrics({{"loss", {0, 1}, {3, 2}, {1, 2}}}, 5), log({"ä"}, 6)});
    const Path segment = workspace.layout.stream(run, 1, 0) / wire::segmentName(1);
    const std::string whole = *base::readFile(segment);
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    STORE_OK(writer->followStream(run, 1, 0));
    const std::string expected = workspace.dump();
    for (std::size_t cut = 0; cut < whole.size(); ++cut) {
        STORE_OK(writer->deleteRun(run));
        STORE_OK(writer->followJournal(run));
        Workspace::write(segment, whole.substr(0, cut));
        STORE_OK(writer->followStream(run, 1, 0));
        Workspace::write(segment, whole);
        STORE_OK(writer->followStream(run, 1, 0));
        QVERIFY2(workspace.dump() == expected, qPrintable(QString::number(cut)));
    }
}

void tst_Ingest::states_data() {
    QTest::addColumn<QStringList>("journal");
    QTest::addColumn<QStringList>("first");
    QTest::addColumn<QStringList>("second");
    QTest::addColumn<QString>("expected");
    const QStringList none;
    const auto words = [](const char* text) { return QString::fromLatin1(text).split(u' '); };
    QTest::newRow("submitted") << words("Preparing") << none << none << "Preparing";
    QTest::newRow("the agent is ahead") << words("Preparing") << words("Preparing Queued") << none << "Queued";
    QTest::newRow("the agent is behind") << words("Preparing Queued") << words("Preparing") << none << "Queued";
    QTest::newRow("running") << words("Preparing") << words("Preparing Queued Running") << none << "Running";
    QTest::newRow("ended but not collected") << words("Preparing") << words("Running ended") << none << "Finalizing";
    QTest::newRow("collected") << words("Preparing Completed") << words("Running ended") << none << "Completed";
    QTest::newRow("lost") << words("Preparing Lost") << words("Running") << none << "Lost";
    QTest::newRow("found") << words("Preparing Lost Running") << words("Running") << none << "Running";
    QTest::newRow("found at its end") << words("Lost Running") << words("Running Finalizing") << none << "Finalizing";
    QTest::newRow("second attempt") << words("Preparing") << words("Running ended") << words("Queued") << "Queued";
    QTest::newRow("second attempt announced")
        << words("Preparing Preparing@2") << words("Running") << none << "Preparing";
    QTest::newRow("canceled before the agent") << words("Preparing Canceled") << none << none << "Canceled";
}

void tst_Ingest::states() {
    QFETCH(QStringList, journal);
    QFETCH(QStringList, first);
    QFETCH(QStringList, second);
    QFETCH(QString, expected);
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    const auto said = [](const QStringList& names) {
        std::vector<wire::Record> records;
        for (const QString& name : names) {
            const QStringList parts = name.split(u'@');
            if (name == u"ended") {
                records.push_back(record(wire::kind::kEnded, Json{{"outcome", "completed"}}, 50));
                continue;
            }
            // Times that make no sense: the clocks of two machines need not agree.
            wire::Record one = state(parts[0].toStdString(), 1000 - static_cast<std::int64_t>(records.size()));
            if (parts.size() > 1) one.body["attempt"] = parts[1].toInt();
            records.push_back(std::move(one));
        }
        return records;
    };
    workspace.journal(run, said(journal));
    workspace.stream(run, said(first), 1);
    workspace.stream(run, said(second), 2);
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    STORE_OK(writer->followStream(run, 2, 0));
    STORE_OK(writer->followStream(run, 1, 0));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    QCOMPARE(QString::fromUtf8(spec::toString(reader->run(run)->state).data()), expected);
    QCOMPARE(reader->run(run)->attempts, second.isEmpty() ? (first.isEmpty() ? 0 : 1) : 2);
}

void tst_Ingest::times_andReasons() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    workspace.journal(run, {state("Preparing", 2000)});
    workspace.stream(run,
                     {state("Preparing", 3000), state("Queued", 4000, "waits for 2 cores"), state("Running", 5000)});
    STORE_OK(writer->followJournal(run));
    STORE_OK(writer->followStream(run, 1, 0));
    QCOMPARE(reader->run(run)->startedAt, 5000);
    QCOMPARE(reader->run(run)->endedAt, 0);
    workspace.stream(run,
                     {state("Finalizing", 8000),
                      record(wire::kind::kEnded, Json{{"outcome", "failed"}, {"reason", "rank 1 was killed"}}, 9000)});
    STORE_OK(writer->followStream(run, 1, 0));
    QCOMPARE(reader->run(run)->endedAt, 0);
    workspace.journal(run, {state("Failed", 12000, "Rank 1 was killed by signal 9.")});
    STORE_OK(writer->followJournal(run));
    const auto row = reader->run(run);
    QCOMPARE(row->endedAt, 9000);
    QCOMPARE(row->stateReason, "Rank 1 was killed by signal 9.");
    const auto stages = reader->stages(run);
    STORE_OK(stages);
    QCOMPARE(stages->size(), std::size_t{6});
    QVERIFY((*stages)[2].state == spec::RunState::Queued);
    QCOMPARE((*stages)[2].reason, "waits for 2 cores");
    QCOMPARE((*stages)[2].at, 4000);
    QVERIFY((*stages)[5].fromJournal);
}

void tst_Ingest::metrics_summaries() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.stream(run, {metrics({{"loss", {0, 10, 20}, {3, 1, 2}, {1, 2, 3}}, {"acc", {5}, {0.5}, {4}}}, 5),
                           metrics({{"loss", {30, 40}, {1, 5}, {6, 7}}}, 8)});
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    STORE_OK(writer->followStream(run, 1, 0));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    const auto row = reader->run(run);
    STORE_OK(row);
    QCOMPARE(row->metrics.size(), std::size_t{2});
    QCOMPARE(row->metrics[0].name, "acc");
    const MetricSummary& loss = row->metrics[1];
    QCOMPARE(loss.count, 5);
    QCOMPARE(loss.first, 3.0);
    QCOMPARE(loss.firstStep, 0);
    QCOMPARE(loss.last, 5.0);
    QCOMPARE(loss.lastStep, 40);
    QCOMPARE(loss.min, 1.0);
    QCOMPARE(loss.minStep, 10);  // Where it was met first.
    QCOMPARE(loss.max, 5.0);
    QCOMPARE(loss.maxStep, 40);
    QCOMPARE(*reader->metricNames(), (std::vector<std::string>{"acc", "loss"}));
}

void tst_Ingest::metrics_notFinite() {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const double inf = std::numeric_limits<double>::infinity();
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.stream(
        run, {metrics({{"a", {0, 1, 2, 3}, {nan, 2, -inf, inf}, {0, 0, 0, 0}}, {"b", {0, 1}, {nan, nan}, {0, 0}}}, 5)});
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    STORE_OK(writer->followStream(run, 1, 0));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    const auto row = reader->run(run);
    const MetricSummary* a = metricOf(*row, "a");
    QVERIFY(std::isnan(a->first));
    QCOMPARE(a->last, inf);
    QCOMPARE(a->min, 2.0);
    QCOMPARE(a->max, 2.0);
    QCOMPARE(a->nonFinite, 3);
    const MetricSummary* b = metricOf(*row, "b");
    QVERIFY(std::isnan(b->min) && std::isnan(b->max) && std::isnan(b->last));
    QCOMPARE(b->count, 2);
    ChartRequest request;
    request.curves = {{run, "a"}};
    const auto chart = reader->chart(request);
    STORE_OK(chart);
    const auto& values = chart->series.at(0).mean;
    QVERIFY(std::isnan(values[0]) && values[1] == 2 && values[2] == -inf && values[3] == inf);
}

void tst_Ingest::metrics_ofSeveralRanksAndAttempts() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.stream(run,
                     {metrics({{"loss", {0, 1}, {9, 4}, {1, 2}}}, 1, 0), metrics({{"loss", {0}, {0.1}, {1}}}, 1, 1),
                      metrics({{"speed", {0}, {7}, {1}}}, 1, 1)},
                     1);
    workspace.stream(run, {metrics({{"loss", {1, 2}, {5, 6}, {3, 4}}}, 3, 0)}, 2);
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    STORE_OK(writer->followStream(run, 2, 0));
    STORE_OK(writer->followStream(run, 1, 0));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    const auto row = reader->run(run);
    const MetricSummary* loss = metricOf(*row, "loss");
    QCOMPARE(loss->rank, 0);
    QCOMPARE(loss->count, 4);
    QCOMPARE(loss->first, 9.0);
    QCOMPARE(loss->last, 6.0);
    QCOMPARE(loss->min, 5.0);
    QCOMPARE(metricOf(*row, "speed")->rank, 1);
    const auto series = reader->series(run);
    STORE_OK(series);
    QCOMPARE(series->size(), std::size_t{4});
    QCOMPARE((*series)[2].attempt, 2);
    QCOMPARE((*series)[2].count, 2);
}

void tst_Ingest::metrics_newerAttemptHidesWhatItTellsAnew() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    constexpr std::int64_t kPoints = 100'000;  // So many that the pyramid is asked, not the points.
    constexpr std::int64_t kCut = 61'234;
    wire::SeriesPoints first{"loss", {}, {}, {}};
    for (std::int64_t i = 0; i < kPoints; ++i) {
        first.step.push_back(i);
        first.value.push_back(1e6 - static_cast<double>(i));
        first.t.push_back(i + 1);
    }
    first.value[5] = -1e9;              // Before the cut: counts.
    first.value[kCut + 7] = -2e9;       // After it: hidden.
    first.value[kCut - 1] = 3e9;
    first.value[kPoints - 1] = 4e9;
    workspace.stream(run, {metrics({first}, 1, 0), metrics({{"late", {90'000}, {1}, {1}}}, 1, 0)}, 1);
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    STORE_OK(writer->followStream(run, 1, 0));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    QCOMPARE(metricOf(*reader->run(run), "loss")->min, -2e9);
    workspace.stream(run, {metrics({{"loss", {kCut, kCut + 1}, {7, 8}, {kPoints + 1, kPoints + 2}}}, 3, 0)}, 2);
    STORE_OK(writer->followStream(run, 2, 0));
    const auto row = reader->run(run);
    const MetricSummary* loss = metricOf(*row, "loss");
    QCOMPARE(loss->min, -1e9);
    QCOMPARE(loss->minStep, 5);
    QCOMPARE(loss->max, 3e9);
    QCOMPARE(loss->maxStep, kCut - 1);
    QCOMPARE(loss->last, 8.0);
    QCOMPARE(loss->lastStep, kCut + 1);
    QCOMPARE(loss->count, kPoints + 2);
    // What the newer attempt has not spoken of yet stays.
    QCOMPARE(metricOf(*row, "late")->min, 1.0);
}

void tst_Ingest::events_areKeptInOrder() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.journal(run, {record(wire::kind::kUpload, Json{{"step", "upload"}, {"bytes_done", 5}}, 10),
                            record(wire::kind::kUnreachable, Json{{"since", 11}, {"reason", "No route."}}, 12),
                            record(wire::kind::kCancelAsked, Json::object(), 13), record("unheard-of", Json::object(), 14),
                            record(wire::kind::kReachable, Json{{"since", 11}}, 15),
                            record(wire::kind::kScheduler, Json{{"job", "7"}, {"state", "pending"}}, 16)});
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    const auto all = reader->events(run);
    STORE_OK(all);
    QCOMPARE(all->size(), std::size_t{5});
    QCOMPARE(all->at(0).kind, "upload");
    QCOMPARE(all->at(0).body.at("bytes_done").get<int>(), 5);
    QCOMPARE(all->at(1).at, 12);
    QCOMPARE(all->at(4).body.at("job").get<std::string>(), "7");
    QCOMPARE(reader->events(run, wire::kind::kCancelAsked)->size(), std::size_t{1});
    const auto newest = reader->events(run, {}, 2);
    QCOMPARE(newest->size(), std::size_t{2});
    QCOMPARE(newest->at(0).kind, "reachable");
    STORE_OK(writer->deleteRun(run));
    QVERIFY(!reader->events(run).ok());
}

void tst_Ingest::attempts_anotherNodesEndIsNotTheEnd() {
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
    workspace.stream(run, {record(wire::kind::kEnded, Json{{"outcome", "failed"}, {"reason", "Rank 1 died."}, {"restart", true}}, 4)},
                     1, 0);
    STORE_OK(writer->followStream(run, 1, 0));
    QVERIFY(reader->run(run)->state == spec::RunState::Preparing);
    QCOMPARE(reader->run(run)->stateReason, "Rank 1 died.");
    QVERIFY(reader->attempts(run)->at(0).goesOn);
}

void tst_Ingest::metrics_malformedAreDamage() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.stream(
        run, {record(wire::kind::kMetrics, Json{{"series", "what"}}, 1, 0), metrics({{"loss", {0}, {1}, {1}}}, 2)});
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    STORE_OK(writer->followStream(run, 1, 0));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    QCOMPARE(reader->run(run)->warnings, 1);
    QCOMPARE(reader->warnings(run)->at(0).code, "stream.metrics");
    QVERIFY(reader->warnings(run)->at(0).damagedLine);
    QCOMPARE(reader->run(run)->metrics.size(), std::size_t{1});
}

void tst_Ingest::edits_comeFromTheJournal() {
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

void tst_Ingest::tags_aPersonsWordIsLast() {
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

void tst_Ingest::params_lastWins() {
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

void tst_Ingest::progress_ofTheLowestRank() {
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

void tst_Ingest::ranks_andAttempts() {
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

void tst_Ingest::outputs_andCollection() {
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

void tst_Ingest::warnings_andDamage() {
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
    for (int i = 0; i < 2; ++i)
        STORE_OK(writer->followStream(run, 1, 0));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    QCOMPARE(reader->run(run)->warnings, 2);
    for (int i = 0; i < 2; ++i)
        STORE_OK(writer->followStream(run, 1, 0, true));
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

void tst_Ingest::items_areReadFromTheSegments() {
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
}

void tst_Ingest::system_seriesAreApart() {
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

void tst_Ingest::numbers_areNeverGivenTwice() {
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

void tst_Ingest::numberTaken_getsAnother() {
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

void tst_Ingest::spec_missingOrBroken() {
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

void tst_Ingest::wrongTypes_doNoHarm() {
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
            for (const char* member : members)
                body[member] = value;
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

QTEST_APPLESS_MAIN(tst_Ingest)
#include "tst_Ingest.moc"
