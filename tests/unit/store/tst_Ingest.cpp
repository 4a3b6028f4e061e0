#include <QtTest>
#include <cmath>

#include "tests/unit/store/StoreFixture.h"

using namespace trainyard;
using namespace trainyard::store;
using namespace trainyard::store::test;

namespace {

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
    first.value[5] = -1e9;         // Before the cut: counts.
    first.value[kCut + 7] = -2e9;  // After it: hidden.
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

QTEST_APPLESS_MAIN(tst_Ingest)
#include "tst_Ingest.moc"
