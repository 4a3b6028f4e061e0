#include <QtTest>
#include <cmath>
#include <random>

#include "core/base/Clock.h"
#include "core/store/Filter.h"
#include "tests/unit/store/StoreFixture.h"

using namespace trainyard;
using namespace trainyard::store;
using namespace trainyard::store::test;

class tst_RunList : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void filter_data();
    void filter();
    void filter_errors_data();
    void filter_errors();
    void filter_anyBytes();
    void archived();
    void sort_data();
    void sort();
    void paging_showsEachRunOnce();
    void paging_staysRightWhenRunsAreAdded();
    void paging_refusesAnotherOrder();
    void find_data();
    void find();
    void find_ambiguous();
    void counts();
    void experiments();
    void hundredThousandRuns();

private:
    std::string numbers(const RunQuery& query, int expectedTotal = -1);
    std::unique_ptr<Workspace> m_workspace;
    std::unique_ptr<Reader> m_reader;
    std::vector<RunId> m_ids;
};

void tst_RunList::initTestCase() {
    m_workspace = std::make_unique<Workspace>();
    auto writer = Writer::open(m_workspace->location);
    STORE_OK(writer);
    const std::int64_t now = base::wallMicros();
    const std::int64_t hour = 3'600'000'000;
    struct Made {
        std::string name, experiment, family, end;
        double accuracy;
        std::int64_t age, hours;
    };
    const std::vector<Made> made = {
        {"first try", "fashion", "cnn", "Completed", 0.91, 50, 2},
        {"Second Try", "fashion", "mlp", "Failed", 0.42, 40, 1},
        {"große Änderung", "Fashion-Big", "cnn", "Completed", 0.95, 30, 10},
        {"100% \"quoted\"", "toys", "", "Canceled", std::numeric_limits<double>::quiet_NaN(), 20, 0},
        {"no metrics", "toys", "mlp", "", -1, 10, 3},
        {"hidden", "toys", "mlp", "Completed", 0.5, 5, 1}};
    int number = 0;
    for (const Made& one : made) {
        ++number;
        m_ids.push_back(m_workspace->addRun(
            number, one.name,
            Json{{"experiment", one.experiment},
                 {"description", "about " + std::to_string(number)},
                 {"target", number % 2 == 0 ? "cluster" : "local"},
                 {"environment", "trainyard-engine"},
                 {"task",
                  Json{{"kind", one.family.empty() ? "command" : "train"}, {"model", Json{{"family", one.family}}}}},
                 {"tags", Json{{"lr", std::to_string(number) + "e-3"}, {"owner", number < 4 ? "Ada" : "Grace"}}}}));
        const RunId& run = m_ids.back();
        const std::int64_t began = now - one.age * 24 * hour;
        // The submit record's time is small in the fixture; a second one carries the real time.
        m_workspace->journal(run, {record(wire::kind::kSubmit, Json{{"number", number}}, began)});
        m_workspace->stream(run, {state("Running", began + hour)});
        if (one.accuracy >= 0 || std::isnan(one.accuracy))
            m_workspace->stream(run,
                                {metrics({{"val/accuracy", {1, 2}, {one.accuracy / 2, one.accuracy}, {1, 2}}}, began)});
        m_workspace->stream(
            run, {record(wire::kind::kParams,
                         Json{{"values", Json{{"depth", number}, {"kind", "k" + std::to_string(number)}}}}, began, 0)});
        if (!one.end.empty()) {
            m_workspace->stream(run,
                                {record(wire::kind::kEnded, Json{{"outcome", "x"}}, began + hour + one.hours * hour)});
            m_workspace->journal(run, {state(one.end, began + hour + one.hours * hour + 5)});
        }
        if (number == 2)
            m_workspace->journal(run, {record(wire::kind::kNotes, Json{{"text", "learning rate too high"}}, 1)});
        if (number == 6) m_workspace->journal(run, {record(wire::kind::kArchive, Json{{"archived", true}}, 1)});
    }
    STORE_OK(writer->catchUp());
    m_reader = std::make_unique<Reader>(*Reader::open(m_workspace->location));
}

/// "3 2 1": the numbers of all rows, in order; "!" and the code for an error.
std::string tst_RunList::numbers(const RunQuery& query, int expectedTotal) {
    std::string text;
    RunQuery page = query;
    for (int i = 0; i < 100; ++i) {
        const auto rows = m_reader->listRuns(page);
        if (!rows.ok()) return "!" + rows.error().code;
        for (const RunRow& row : rows->rows) text += (text.empty() ? "" : " ") + std::to_string(row.number);
        if (rows->next.empty()) break;
        page.after = rows->next;
    }
    if (expectedTotal >= 0 && *m_reader->countRuns(query) != expectedTotal) return text + " but another count";
    return text;
}

void tst_RunList::filter_data() {
    QTest::addColumn<QString>("filter");
    QTest::addColumn<QString>("expected");
    const auto row = [](const char* filter, const char* expected) {
        QTest::newRow(filter) << QString::fromUtf8(filter) << QString::fromUtf8(expected);
    };
    row("", "5 4 3 2 1");
    row("   ", "5 4 3 2 1");
    row("try", "2 1");
    row("TRY", "2 1");
    row("first try", "1");
    row("\"first try\"", "1");
    row("\"try first\"", "");
    row("try -second", "1");
    row("-try", "5 4 3");
    row("GROSSE", "");
    row("GROßE", "3");
    row("änderung", "3");
    row("ÄNDERUNG", "3");
    row("100%", "4");
    row("rate", "2");
    row("ada", "3 2 1");
    row("4e-3", "4");
    row("#4", "4");
    row("4", "4");
    row("#40", "");
    row("state:completed", "3 1");
    row("state:FAILED", "2");
    row("-state:completed", "5 4 2");
    row("state:active", "5");
    row("state:running", "5");
    row("experiment:fashion", "3 2 1");
    row("experiment:big", "3");
    row("name:try", "2 1");
    row("notes:high", "2");
    row("description:\"about 3\"", "3");
    row("target:cluster", "4 2");
    row("environment:engine", "5 4 3 2 1");
    row("model:cnn", "3 1");
    row("task:command", "4");
    row("tag:owner", "5 4 3 2 1");
    row("tag:Ada", "3 2 1");
    row("tag:owner=Grace", "5 4");
    row("tag:owner=grace", "");
    row("owner:GRA", "5 4");
    row("owner=Grace", "5 4");
    row("owner!=Grace", "3 2 1");
    row("nobody:x", "");
    row("val/accuracy>0.9", "3 1");
    row("val/accuracy>90%", "3 1");
    row("val/accuracy>=0.95", "3");
    row("val/accuracy<0.5", "2");
    row("val/accuracy!=0.91", "3 2");
    row("val/accuracy=0.91", "1");
    row("val/accuracy.first>0.4", "3 1");
    row("val/accuracy.min<0.3", "2");
    row("val/accuracy.max>0.94 state:completed", "3");
    row("-val/accuracy>0.9", "5 4 2");
    row("no/such>0", "");
    row("param.depth>3", "5 4");
    row("param.depth=2", "2");
    row("param.kind=k3", "3");
    row("duration>90m", "5 3 1");
    row("duration>1.5h duration<1d", "3 1");
    row("duration<=1h", "4 2");
    row("created>35d", "5 4 3");
    row("created<35d", "2 1");
    row("number>2 number<=4", "4 3");
    row("created>=1980-01-01", "5 4 3 2 1");
    row("created<1980-01-01", "");
    row("a'b;DROP TABLE runs--", "");
    row("%", "4");
    row("_", "");
}

void tst_RunList::filter() {
    QFETCH(QString, filter);
    QFETCH(QString, expected);
    RunQuery query;
    query.filter = filter.toStdString();
    const int count = expected.isEmpty() ? 0 : static_cast<int>(expected.count(u' ')) + 1;
    QCOMPARE(QString::fromStdString(numbers(query, count)), expected);
    query.limit = 1;
    QCOMPARE(QString::fromStdString(numbers(query)), expected);
}

void tst_RunList::filter_errors_data() {
    QTest::addColumn<QString>("filter");
    QTest::addColumn<QString>("names");
    const auto row = [](const char* filter, const char* names) {
        QTest::newRow(filter) << QString::fromUtf8(filter) << QString::fromUtf8(names);
    };
    row("state:flying", "flying");
    row("\"open", "quotation");
    row("loss>", "loss>");
    row("loss>abc", "abc");
    row("duration>5", "90s");
    row("created>soon", "soon");
    row("created>2026-13-01", "2026-13-01");
    row("number>x", "x");
    row("#12x", "#12x");
}

void tst_RunList::filter_errors() {
    QFETCH(QString, filter);
    QFETCH(QString, names);
    RunQuery query;
    query.filter = filter.toStdString();
    const auto page = m_reader->listRuns(query);
    QVERIFY(!page.ok());
    QCOMPARE(page.error().code, "store.filter");
    QCOMPARE(page.error().field, "filter");
    QVERIFY2(page.error().message.find(names.toStdString()) != std::string::npos, page.error().message.c_str());
    QCOMPARE(m_reader->countRuns(query).error().code, "store.filter");
}

void tst_RunList::filter_anyBytes() {
    // Whatever is typed, the answer is rows or an error in words, never a broken statement.
    std::mt19937 random(1);
    const std::string_view letters = "ab:#\"-<>=!. 0159%'();\\/\xc3\xa9\xff\x01tag:state:param.duration>m";
    for (int i = 0; i < 1000; ++i) {
        RunQuery query;
        for (auto length = random() % 14; length > 0; --length) query.filter += letters[random() % letters.size()];
        const auto count = m_reader->countRuns(query);
        QVERIFY2(count.ok() || count.error().code == "store.filter",
                 (query.filter + " " + (count.ok() ? "" : count.error().message)).c_str());
    }
}

void tst_RunList::archived() {
    RunQuery query;
    query.archived = Archived::Only;
    QCOMPARE(numbers(query, 1), "6");
    query.archived = Archived::Include;
    QCOMPARE(numbers(query, 6), "6 5 4 3 2 1");
}

void tst_RunList::sort_data() {
    QTest::addColumn<int>("column");
    QTest::addColumn<bool>("descending");
    QTest::addColumn<int>("value");
    QTest::addColumn<QString>("expected");
    const auto row = [](const char* name, RunColumn column, bool descending, const char* expected,
                        MetricValue value = MetricValue::Last) {
        QTest::newRow(name) << static_cast<int>(column) << descending << static_cast<int>(value)
                            << QString::fromUtf8(expected);
    };
    row("number up", RunColumn::Number, false, "1 2 3 4 5");
    row("number down", RunColumn::Number, true, "5 4 3 2 1");
    row("name up", RunColumn::Name, false, "4 1 3 5 2");
    row("name down", RunColumn::Name, true, "2 5 3 1 4");
    row("experiment up", RunColumn::Experiment, false, "1 2 3 4 5");
    row("state up", RunColumn::State, false, "5 2 4 1 3");
    row("created up", RunColumn::Created, false, "1 2 3 4 5");
    row("ended up, open ones last", RunColumn::Ended, false, "1 2 3 4 5");
    row("ended down, open ones last", RunColumn::Ended, true, "4 3 2 1 5");
    row("duration up", RunColumn::Duration, false, "4 2 1 3 5");
    row("target up", RunColumn::Target, false, "2 4 1 3 5");
    row("metric down, without last", RunColumn::Metric, true, "3 1 2 5 4");
    row("metric up, without last", RunColumn::Metric, false, "2 1 3 4 5");
    row("first value down", RunColumn::Metric, true, "3 1 2 5 4", MetricValue::First);
    row("smallest down", RunColumn::Metric, true, "3 1 2 5 4", MetricValue::Min);
}

void tst_RunList::sort() {
    QFETCH(int, column);
    QFETCH(bool, descending);
    QFETCH(int, value);
    QFETCH(QString, expected);
    RunQuery query;
    query.sort = {static_cast<RunColumn>(column), descending, "val/accuracy", static_cast<MetricValue>(value)};
    for (const int limit : {200, 1, 2, 3}) {
        query.limit = limit;
        QCOMPARE(QString::fromStdString(numbers(query)), expected);
    }
}

void tst_RunList::paging_showsEachRunOnce() {
    Workspace workspace;
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    std::mt19937 random(3);
    for (int i = 1; i <= 60; ++i) {
        // Many equal values, and some runs with none.
        const RunId run = workspace.addRun(i, "name " + std::to_string(random() % 5),
                                           Json{{"experiment", std::string(1 + random() % 3, 'x')}});
        if (random() % 3 != 0)
            workspace.stream(run, {metrics({{"m",
                                             {0},
                                             {random() % 4 == 0 ? std::numeric_limits<double>::infinity()
                                                                : static_cast<double>(random() % 4)},
                                             {1}}},
                                           1)});
    }
    STORE_OK(writer->catchUp());
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    for (int column = 0; column <= static_cast<int>(RunColumn::Metric); ++column) {
        for (const bool descending : {true, false}) {
            RunQuery query;
            query.sort = {static_cast<RunColumn>(column), descending, "m", MetricValue::Last};
            const auto whole = reader->listRuns(query);
            STORE_OK(whole);
            QCOMPARE(whole->rows.size(), std::size_t{60});
            QVERIFY(whole->next.empty());
            query.limit = 7;
            std::vector<std::int64_t> paged;
            do {
                const auto page = reader->listRuns(query);
                STORE_OK(page);
                QVERIFY(page->rows.size() <= 7);
                for (const RunRow& row : page->rows) paged.push_back(row.number);
                query.after = page->next;
            } while (!query.after.empty());
            QCOMPARE(paged.size(), whole->rows.size());
            for (std::size_t i = 0; i < paged.size(); ++i) QCOMPARE(paged[i], whole->rows[i].number);
        }
    }
}

void tst_RunList::paging_staysRightWhenRunsAreAdded() {
    Workspace workspace;
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    for (int i = 1; i <= 6; ++i) static_cast<void>(workspace.addRun(i, "r"));
    STORE_OK(writer->catchUp());
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    RunQuery query;
    query.limit = 3;
    const auto first = reader->listRuns(query);
    for (int i = 7; i <= 9; ++i) static_cast<void>(workspace.addRun(i, "r"));
    STORE_OK(writer->catchUp());
    query.after = first->next;
    const auto second = reader->listRuns(query);
    QCOMPARE(second->rows.front().number, 3);
    QCOMPARE(second->rows.back().number, 1);
    QVERIFY(second->next.empty());
}

void tst_RunList::paging_refusesAnotherOrder() {
    RunQuery query;
    query.limit = 2;
    query.after = m_reader->listRuns(query)->next;
    QVERIFY(!query.after.empty());
    query.sort.descending = false;
    QCOMPARE(m_reader->listRuns(query).error().code, "store.page");
    query.after = "rubbish";
    QCOMPARE(m_reader->listRuns(query).error().code, "store.page");
}

void tst_RunList::find_data() {
    QTest::addColumn<QString>("text");
    QTest::addColumn<int>("number");
    QTest::newRow("number") << "3" << 3;
    QTest::newRow("number with mark") << " #3 " << 3;
    QTest::newRow("archived too") << "6" << 6;
    QTest::newRow("name") << "first try" << 1;
    QTest::newRow("name with umlauts") << QString::fromUtf8("große Änderung") << 3;
    QTest::newRow("whole id") << QString::fromStdString(m_ids[1].str()) << 2;
    QTest::newRow("unknown number") << "77" << 0;
    QTest::newRow("another case") << "FIRST TRY" << 0;
    QTest::newRow("empty") << "" << 0;
    QTest::newRow("mark alone") << "#" << 0;
    QTest::newRow("wildcards") << "%" << 0;
}

void tst_RunList::find() {
    QFETCH(QString, text);
    QFETCH(int, number);
    const auto row = m_reader->findRun(text.toStdString());
    if (number == 0) {
        QVERIFY(!row.ok());
        QCOMPARE(row.error().code, "store.run_unknown");
        return;
    }
    STORE_OK(row);
    QCOMPARE(row->number, number);
}

void tst_RunList::find_ambiguous() {
    const std::string prefix = m_ids[0].str().substr(0, 2);
    const auto several = m_reader->findRun(prefix);
    QVERIFY(!several.ok());
    QCOMPARE(several.error().code, "store.run_ambiguous");
    QVERIFY(several.error().message.find("#6") != std::string::npos);
    QVERIFY(several.error().message.find(m_ids[5].str()) != std::string::npos);
    QVERIFY(several.error().message.find("and more") != std::string::npos);
    // The shortest beginning that only one run has.
    std::size_t length = 1;
    const auto shared = [&](std::size_t n) {
        return std::count_if(m_ids.begin(), m_ids.end(),
                             [&](const RunId& id) { return id.str().starts_with(m_ids[3].str().substr(0, n)); });
    };
    while (shared(length) > 1) ++length;
    QCOMPARE(m_reader->findRun(m_ids[3].str().substr(0, length))->number, 4);
    QCOMPARE(m_reader->findRun(m_ids[3].str().substr(0, length - 1)).error().code, "store.run_ambiguous");
}

void tst_RunList::counts() {
    const auto counts = m_reader->counts();
    STORE_OK(counts);
    QCOMPARE(counts->all, 6);
    QCOMPARE(counts->archived, 1);
    QCOMPARE(counts->completed, 3);
    QCOMPARE(counts->failed, 1);
    QCOMPARE(counts->canceled, 1);
    QCOMPARE(counts->running, 1);
    QCOMPARE(counts->queued, 0);
}

void tst_RunList::experiments() {
    QCOMPARE(*m_reader->experiments(), (std::vector<std::string>{"Fashion-Big", "fashion", "toys"}));
}

void tst_RunList::hundredThousandRuns() {
    // Rows as ingest writes them, put in directly: the files of so many runs are not what is measured.
    Workspace workspace;
    STORE_OK(Writer::open(workspace.location));
    {
        SQLite::Database db(workspace.location.database.string(), SQLite::OPEN_READWRITE);
        db.exec("BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) "
                "INSERT INTO runs SELECT i, printf('%026d', i), 'exp' || (i % 50), 'run ' || i, '', "
                "CASE i % 3 WHEN 0 THEN 'Failed' ELSE 'Completed' END, '', i * 1000, i * 1000 + 5, i * 1000 + 5 + i % "
                "977, 1, 'local', '', 1, "
                "'train', 'cnn', '', '', 0, 100, 0, NULL, 0, 1, 0, 'run ' || i || ' exp' || (i % 50), '' FROM n;"
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000), m(name) AS (VALUES "
                "('train/loss'), "
                "('train/accuracy'), ('val/loss'), ('val/accuracy')) INSERT INTO run_metrics SELECT i, name, 0, 100, "
                "0, 0, 1, 99, "
                "(i * 7919 % 100003) / 100003.0, 50, 0.1, 60, 0.99 FROM n, m; COMMIT");
    }
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    const auto measure = [&](const char* what, const RunQuery& query, std::size_t rows) {
        QElapsedTimer timer;
        timer.start();
        const auto page = reader->listRuns(query);
        const auto nanos = timer.nsecsElapsed();
        QVERIFY2(page.ok(), what);
        QCOMPARE(page->rows.size(), rows);
        qInfo("%s: %.1f ms", what, static_cast<double>(nanos) / 1e6);
    };
    RunQuery query;
    measure("first page, cold", query, 200);
    measure("first page", query, 200);
    query.after = reader->listRuns(query)->next;
    measure("second page", query, 200);
    query.after.clear();
    query.sort = {RunColumn::Metric, true, "val/accuracy", MetricValue::Last};
    measure("by a metric", query, 200);
    query.after = reader->listRuns(query)->next;
    measure("by a metric, second page", query, 200);
    query.after.clear();
    query.sort.metricValue = MetricValue::Max;
    measure("by a metric's best", query, 200);
    query.sort.metric = "nobody has it";
    measure("by a metric nobody has", query, 200);
    query.sort = {RunColumn::Duration, true};
    measure("by duration", query, 200);
    query.sort = {};
    query.filter = "exp7 state:failed val/accuracy>0.9";
    measure("filtered", query, reader->listRuns(query)->rows.size());
    query.filter = "no such text anywhere";
    measure("no match", query, 0);
    QElapsedTimer timer;
    timer.start();
    QCOMPARE(reader->counts()->all, 100000);
    qInfo("counts: %.1f ms", static_cast<double>(timer.nsecsElapsed()) / 1e6);
    timer.start();
    QCOMPARE(reader->metricNames()->size(), std::size_t{4});
    qInfo("metric names: %.1f ms", static_cast<double>(timer.nsecsElapsed()) / 1e6);
    QCOMPARE(*reader->countRuns({}), 100000);
}

QTEST_APPLESS_MAIN(tst_RunList)
#include "tst_RunList.moc"
