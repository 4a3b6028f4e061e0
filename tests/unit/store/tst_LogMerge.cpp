#include <QtTest>
#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "tests/unit/store/StoreFixture.h"

using namespace trainyard;
using namespace trainyard::store;
using namespace trainyard::store::test;

namespace {

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kHour = 3600 * kSecond;

struct Line {
    std::int64_t key = 0;
    std::int64_t at = 0;
    int node = 0, rank = 0;
    std::string out, text;
};

Record clockRecord(std::int64_t t, std::int64_t micros) {
    return record(wire::kind::kClock, Json{{"lead_offset_ns", micros * 1000}, {"round_trip_ns", 5000}}, t);
}

/// Lines of one node in the order of its stream, with the keys that the format prescribes.
std::vector<Line> keyed(const std::vector<Record>& records, int node) {
    std::vector<Line> lines;
    std::int64_t offset = 0;
    for (const Record& one : records) {
        if (one.kind != wire::kind::kClock) continue;
        offset = one.body.at("lead_offset_ns").get<std::int64_t>() / 1000;
        break;
    }
    std::int64_t key = INT64_MIN;
    for (const Record& one : records) {
        if (one.kind == wire::kind::kClock) offset = one.body.at("lead_offset_ns").get<std::int64_t>() / 1000;
        if (one.kind != wire::kind::kLog) continue;
        key = std::max(key, one.t + offset);
        for (const Json& text : one.body.at("lines"))
            lines.push_back(
                {key, one.t + offset, node, one.rank, one.body.at("out").get<std::string>(), text.get<std::string>()});
    }
    return lines;
}

std::vector<Line> merged(std::vector<std::vector<Line>> streams) {
    std::vector<Line> all;
    for (auto& stream : streams) all.insert(all.end(), stream.begin(), stream.end());
    std::stable_sort(all.begin(), all.end(),
                     [](const Line& a, const Line& b) { return std::pair(a.key, a.node) < std::pair(b.key, b.node); });
    return all;
}

bool passes(const LogFilter& filter, const Line& line) {
    return (!filter.rank || *filter.rank == line.rank) && (filter.out.empty() || filter.out == line.out);
}

}  // namespace

/// The log of a run on several machines whose clocks disagree.
class tst_LogMerge : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void pages_equalTheMergedLines_data();
    void pages_equalTheMergedLines();
    void tail_andNodes();
    void search_findsEveryMatchInOrder_data();
    void search_findsEveryMatchInOrder();
    void manyLinesOfOneMoment();
    void clock_saidLateCountsFromTheBeginning();
    void settled_onlyGrowsAndHolds();
    void after_givesEveryLineOnce();
    void after_goesOnWithTheNextAttempt();
    void place_asText();
    void charts_useTheLeadsClock();

private:
    std::vector<Line> expected(const LogFilter& filter) const {
        std::vector<Line> lines;
        std::copy_if(m_lines.begin(), m_lines.end(), std::back_inserter(lines),
                     [&](const Line& line) { return passes(filter, line); });
        return lines;
    }

    std::unique_ptr<Workspace> m_workspace;
    std::unique_ptr<Reader> m_reader;
    RunId m_run;
    std::vector<Line> m_lines;
};

void tst_LogMerge::initTestCase() {
    m_workspace = std::make_unique<Workspace>();
    m_run = m_workspace->addRun(1, "four nodes");
    std::mt19937 random(11);
    // Node 1 is an hour ahead, node 2 half an hour behind and drifting, node 3 says little and its clock is put back
    // once.
    const std::int64_t difference[] = {0, -kHour, kHour / 2, 20 * kSecond};
    std::vector<std::vector<Line>> streams;
    for (int node = 0; node < 4; ++node) {
        std::vector<Record> records;
        std::int64_t offset = difference[node];
        std::int64_t t = kHour + (node == 2 ? 40 * kSecond : 0);
        const int count = node == 3 ? 40 : 1800;
        if (node > 0) records.push_back(clockRecord(t - offset, offset));
        for (int i = 0; i < count; ++i) {
            t += static_cast<std::int64_t>(random() % (node == 3 ? 9'000'000 : 200'000));
            if (node == 3 && i == 20) t -= 50 * kSecond;
            if (node == 2 && i % 150 == 149) {
                offset += static_cast<std::int64_t>(random() % 9000);
                records.push_back(clockRecord(t - offset, offset));
            }
            const int rank =
                static_cast<int>(random() % 3) == 0 ? wire::kNoRank : node * 2 + static_cast<int>(random() % 2);
            const std::string out = rank < 0 ? "agent" : random() % 4 == 0 ? "stderr" : "stdout";
            std::vector<std::string> texts;
            for (auto n = 1 + random() % 4; n > 0; --n)
                texts.push_back("node " + std::to_string(node) + " line " + std::to_string(i) + "." +
                                std::to_string(n) + (random() % 80 == 0 ? " NEEDLE" : " hay") +
                                std::string(random() % 50, '.'));
            records.push_back(log(std::move(texts), t - offset, rank, out));
        }
        streams.push_back(keyed(records, node));
        m_workspace->stream(m_run, std::move(records), 1, node, 20'000);
    }
    m_lines = merged(std::move(streams));
    auto writer = Writer::open(m_workspace->location);
    STORE_OK(writer);
    STORE_OK(writer->catchUp());
    m_reader = std::make_unique<Reader>(*Reader::open(m_workspace->location));
    QCOMPARE(m_reader->run(m_run)->logLines, std::ssize(m_lines));
}

void tst_LogMerge::pages_equalTheMergedLines_data() {
    QTest::addColumn<int>("rank");
    QTest::addColumn<QString>("out");
    QTest::newRow("all") << -9 << "";
    QTest::newRow("the agents") << -1 << "";
    QTest::newRow("stderr") << -9 << "stderr";
    QTest::newRow("rank 5, of one node") << 5 << "";
}

void tst_LogMerge::pages_equalTheMergedLines() {
    QFETCH(int, rank);
    QFETCH(QString, out);
    LogFilter filter;
    if (rank != -9) filter.rank = rank;
    filter.out = out.toStdString();
    const std::vector<Line> right = expected(filter);
    QVERIFY(right.size() > 100);
    std::mt19937 random(3);
    std::vector<std::pair<std::int64_t, std::int64_t>> ranges{
        {0, 10000}, {-4, 6}, {std::ssize(right) - 2, 9}, {std::ssize(right), 3}, {4, 0}};
    for (int i = 0; i < 60; ++i)
        ranges.emplace_back(static_cast<std::int64_t>(random() % right.size()),
                            static_cast<std::int64_t>(random() % 700));
    for (const auto& [first, count] : ranges) {
        const auto page = m_reader->logPage(m_run, filter, first, count);
        STORE_OK(page);
        QCOMPARE(page->total, std::ssize(right));
        const std::int64_t from = std::max<std::int64_t>(first, 0);
        QCOMPARE(std::ssize(page->lines), std::clamp<std::int64_t>(std::ssize(right) - from, 0, count));
        for (const LogLine& line : page->lines) {
            const Line& wanted = right[static_cast<std::size_t>(from + (&line - page->lines.data()))];
            QCOMPARE(line.index, from + (&line - page->lines.data()));
            QCOMPARE(line.text, wanted.text);
            QCOMPARE(line.node, wanted.node);
            QCOMPARE(line.rank, wanted.rank);
            QCOMPARE(line.at, wanted.at);
        }
    }
}

void tst_LogMerge::tail_andNodes() {
    const auto page = m_reader->logTail(m_run, {}, 30);
    STORE_OK(page);
    QCOMPARE(page->lines.size(), std::size_t{30});
    QCOMPARE(page->lines.back().text, m_lines.back().text);
    LogFilter filter;
    filter.node = 2;
    const auto alone = m_reader->logPage(m_run, filter, 0, 10'000);
    STORE_OK(alone);
    QCOMPARE(alone->settled, alone->total);
    QCOMPARE(alone->total,
             std::count_if(m_lines.begin(), m_lines.end(), [](const Line& line) { return line.node == 2; }));
    QVERIFY(std::all_of(alone->lines.begin(), alone->lines.end(), [](const LogLine& line) { return line.node == 2; }));
}

void tst_LogMerge::search_findsEveryMatchInOrder_data() {
    QTest::addColumn<bool>("backward");
    QTest::addColumn<int>("millis");
    QTest::addColumn<QString>("out");
    QTest::newRow("forward") << false << 60'000 << "";
    QTest::newRow("backward") << true << 60'000 << "";
    QTest::newRow("forward, cut at every step") << false << 0 << "";
    QTest::newRow("backward, cut at every step") << true << 0 << "";
    QTest::newRow("forward in stderr") << false << 60'000 << "stderr";
    QTest::newRow("backward in stderr, cut") << true << 0 << "stderr";
}

void tst_LogMerge::search_findsEveryMatchInOrder() {
    QFETCH(bool, backward);
    QFETCH(int, millis);
    QFETCH(QString, out);
    LogFilter filter;
    filter.out = out.toStdString();
    const std::vector<Line> lines = expected(filter);
    std::vector<std::int64_t> right;
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (lines[i].text.find("NEEDLE") != std::string::npos) right.push_back(static_cast<std::int64_t>(i));
    }
    QVERIFY(right.size() > 5);
    LogSearch search;
    search.pattern = "needle";
    search.backward = backward;
    search.maxMillis = millis;
    search.from = backward ? std::ssize(lines) : 0;
    std::vector<std::int64_t> found;
    for (int calls = 0; calls < 100'000; ++calls) {
        const auto result = m_reader->searchLog(m_run, filter, search);
        STORE_OK(result);
        if (result->match) {
            const LogLine& line = result->match->line;
            QCOMPARE(line.text, lines[static_cast<std::size_t>(line.index)].text);
            found.push_back(line.index);
            search.from = line.index + (backward ? -1 : 1);
        } else if (result->continueAt) {
            QVERIFY(millis == 0);
            QVERIFY(backward ? *result->continueAt < search.from : *result->continueAt > search.from);
            search.from = *result->continueAt;
        } else {
            break;
        }
        if (search.from < 0) break;
    }
    if (backward) std::reverse(found.begin(), found.end());
    QCOMPARE(found, right);
}

/// A thousand lines with one time on each of two nodes: node 0's come first, and each page is right.
void tst_LogMerge::manyLinesOfOneMoment() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    std::vector<std::string> right;
    for (int node = 0; node < 2; ++node) {
        std::vector<Record> records;
        for (int i = 0; i < 1000; ++i) {
            right.push_back(std::to_string(node) + "/" + std::to_string(i));
            records.push_back(log({right.back()}, 77));
        }
        workspace.stream(run, std::move(records), 1, node);
    }
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->catchUp());
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    for (const std::int64_t first : {0, 1, 255, 256, 999, 1000, 1001, 1700}) {
        const auto page = reader->logPage(run, {}, first, 300);
        STORE_OK(page);
        for (const LogLine& line : page->lines) QCOMPARE(line.text, right[static_cast<std::size_t>(line.index)]);
    }
    for (const bool backward : {false, true}) {
        LogSearch search;
        search.pattern = "1/500";
        search.backward = backward;
        search.from = backward ? 1999 : 0;
        const auto found = reader->searchLog(run, {}, search);
        STORE_OK(found);
        QVERIFY(found->match);
        QCOMPARE(found->match->line.index, 1500);
    }
}

void tst_LogMerge::clock_saidLateCountsFromTheBeginning() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.stream(run, {log({"a"}, 10), log({"c"}, 30)}, 1, 0);
    workspace.stream(run, {log({"b"}, kHour + 20), clockRecord(kHour + 35, -kHour), log({"d"}, kHour + 40)}, 1, 1);
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    STORE_OK(writer->followStream(run, 1, 0));
    // Record by record, as it grows, gives the same index as all at once.
    while (*writer->followStream(run, 1, 1, false, 1) > 0) continue;
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    std::string text;
    const auto page = reader->logPage(run, {}, 0, 10);
    STORE_OK(page);
    for (const LogLine& line : page->lines) text += line.text;
    QCOMPARE(text, "abcd");
    const std::string grown = workspace.dump();
    STORE_OK(Writer::rebuild(workspace.location));
    QCOMPARE(workspace.dump(), grown);
}

void tst_LogMerge::settled_onlyGrowsAndHolds() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    std::mt19937 random(5);
    std::int64_t t[2] = {1000, 1000};
    workspace.stream(run, {record(wire::kind::kAttempt, Json{{"nodes", 2}, {"world_size", 2}}, 1)}, 1, 0);
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    std::vector<std::string> held;
    int number = 0;
    for (int turn = 0; turn < 60; ++turn) {
        const int node = static_cast<int>(random() % 2);
        std::vector<Record> records;
        for (auto n = random() % 40; n > 0; --n)
            records.push_back(
                log({"line " + std::to_string(number++)}, t[node] += static_cast<std::int64_t>(random() % 50)));
        workspace.stream(run, std::move(records), 1, node);
        for (int both = 0; both < 2; ++both) STORE_OK(writer->followStream(run, 1, both));
        const auto page = reader->logPage(run, {}, 0, 10'000);
        STORE_OK(page);
        QVERIFY(page->settled >= std::ssize(held) && page->settled <= page->total);
        for (std::size_t i = 0; i < held.size(); ++i) QCOMPARE(page->lines[i].text, held[i]);
        for (auto i = std::ssize(held); i < page->settled; ++i)
            held.push_back(page->lines[static_cast<std::size_t>(i)].text);
    }
    QVERIFY(held.size() > 300);
}

void tst_LogMerge::after_givesEveryLineOnce() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    std::mt19937 random(6);
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    LogPlace place;
    std::multiset<std::string> told, said;
    std::map<int, int> lastOfNode;
    for (int turn = 0; turn < 50; ++turn) {
        // Node 2 is cut off for a while: what it sends then is older than what was told already.
        const int node = static_cast<int>(random() % (turn > 30 ? 3 : 2));
        std::vector<Record> records;
        for (auto n = random() % 30; n > 0; --n) {
            said.insert(std::to_string(node) + ":" + std::to_string(said.size()));
            records.push_back(log({*said.find(std::to_string(node) + ":" + std::to_string(said.size() - 1))},
                                  node == 2 ? turn : 1000 * turn));
        }
        workspace.stream(run, std::move(records), 1, node);
        for (int each = 0; each < 3; ++each) STORE_OK(writer->followStream(run, 1, each));
        for (bool more = true; more;) {
            const auto news = reader->logAfter(run, {}, place, 7);
            STORE_OK(news);
            QVERIFY(news->lines.size() <= 7);
            for (const LogLine& line : news->lines) {
                told.insert(line.text);
                const int count = std::stoi(line.text.substr(2));
                QVERIFY(lastOfNode.try_emplace(line.node, -1).first->second < count);  // In order within the node.
                lastOfNode[line.node] = count;
            }
            const auto again = LogPlace::fromText(news->place.text());
            QVERIFY(again);
            place = *again;
            more = news->more;
        }
        QVERIFY(told == said);
    }
    QVERIFY(told.size() > 400);
}

void tst_LogMerge::after_goesOnWithTheNextAttempt() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.stream(run, {log({"old 0"}, 1)}, 1, 0);
    workspace.stream(run, {log({"old 1"}, 2)}, 1, 1);
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->catchUp());
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    auto news = reader->logAfter(run, {}, {}, 100);
    STORE_OK(news);
    QCOMPARE(news->lines.size(), std::size_t{2});
    workspace.stream(run, {log({"new 0"}, 1)}, 2, 0);
    workspace.stream(run, {log({"late of the old"}, 3)}, 1, 1);
    STORE_OK(writer->catchUp());
    news = reader->logAfter(run, {}, news->place, 100);
    STORE_OK(news);
    QCOMPARE(news->lines.size(), std::size_t{2});
    QCOMPARE(news->lines.at(0).text, "late of the old");
    QCOMPARE(news->lines.at(1).text, "new 0");
    QCOMPARE(news->lines.at(1).attempt, 2);
    QVERIFY(reader->logAfter(run, {}, news->place, 100)->lines.empty());
    // Without a place the newest attempt is shown, or the one that was asked for.
    QCOMPARE(reader->logAfter(run, {}, {}, 100)->lines.at(0).text, "new 0");
    LogFilter first;
    first.attempt = 1;
    QCOMPARE(reader->logAfter(run, first, {}, 100)->lines.size(), std::size_t{3});
}

void tst_LogMerge::place_asText() {
    LogPlace place;
    place.taken = {{{1, 0}, 120}, {{1, 11}, 0}, {{2, 0}, 7}};
    QCOMPARE(place.text(), "1.0:120,1.11:0,2.0:7");
    QVERIFY(LogPlace::fromText(place.text())->taken == place.taken);
    QVERIFY(LogPlace::fromText("")->taken.empty());
    for (const char* wrong :
         {"1", "1.0", "1.0:", "1.0:x", "0.0:1", "1.-1:1", "1.0:-1", "1.0:1,", ",1.0:1", "1.0:1 ", "1.0:1;2.0:1"})
        QVERIFY2(!LogPlace::fromText(wrong), wrong);
}

/// Both nodes' system series, apart from one another and on one time axis.
void tst_LogMerge::charts_useTheLeadsClock() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    const auto system = [](std::int64_t t, double cpu) {
        return record(wire::kind::kSystem, Json{{"values", Json{{"cpu_percent", cpu}, {"gpu0_memory_bytes", 5}}}}, t);
    };
    workspace.stream(run, {system(1000, 10), system(2000, 20)}, 1, 0);
    workspace.stream(run, {clockRecord(kHour, -kHour), system(kHour + 1500, 70)}, 1, 1);
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->catchUp());
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    const auto series = reader->systemSeries(run);
    STORE_OK(series);
    QCOMPARE(series->size(), std::size_t{4});
    ChartRequest request;
    request.curves = {{run, "cpu_percent", SeriesKind::System}};
    request.axis = ChartAxis::WallTime;
    const auto chart = reader->chart(request);
    STORE_OK(chart);
    QCOMPARE(chart->series.size(), std::size_t{2});
    QCOMPARE(chart->series.at(0).node, 0);
    QCOMPARE(chart->series.at(0).x, (std::vector<double>{1, 2}));
    QCOMPARE(chart->series.at(1).node, 1);
    QCOMPARE(chart->series.at(1).x, (std::vector<double>{1.5}));
    request.axis = ChartAxis::RelativeTime;
    request.from = 0.0001;
    request.to = 0.0009;
    QCOMPARE(reader->chart(request)->series.at(1).x, (std::vector<double>{0.0005}));
    request.curves.front().node = 1;
    QCOMPARE(reader->chart(request)->series.size(), std::size_t{1});
}

QTEST_GUILESS_MAIN(tst_LogMerge)
#include "tst_LogMerge.moc"
