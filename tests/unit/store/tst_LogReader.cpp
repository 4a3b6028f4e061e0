#include <QtTest>
#include <random>

#include "core/store/Fold.h"
#include "core/store/LinePattern.h"
#include "tests/unit/store/StoreFixture.h"

using namespace trainyard;
using namespace trainyard::store;
using namespace trainyard::store::test;

namespace {

struct Line {
    int rank;
    std::string out, text;
};

}  // namespace

class tst_LogReader : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void pages_equalTheLines_data();
    void pages_equalTheLines();
    void tail();
    void blocks_areIndependentOfBatches();
    void attempts();
    void ranksOfOtherNodes();
    void noLog();
    void otherOutputs();
    void missingSegment();
    void search_findsEveryMatchInOrder_data();
    void search_findsEveryMatchInOrder();
    void search_wrapsNowhere();
    void search_meetsItsDeadline();
    void search_canBeCanceled();
    void pattern_data();
    void pattern();
    void pattern_errors_data();
    void pattern_errors();
    void pattern_neverExplodes();
    void fold();

private:
    std::vector<Line> matching(const LogFilter& filter) const;
    std::unique_ptr<Workspace> m_workspace;
    std::unique_ptr<Reader> m_reader;
    RunId m_run;
    std::vector<Line> m_lines;
};

void tst_LogReader::initTestCase() {
    m_workspace = std::make_unique<Workspace>();
    m_run = m_workspace->addRun(1, "one");
    std::mt19937 random(7);
    std::vector<wire::Record> records;
    for (int i = 0; i < 1500; ++i) {
        const int rank = static_cast<int>(random() % 3) - 1;
        const std::string out = rank < 0 ? "agent" : random() % 3 == 0 ? "stderr" : "stdout";
        std::vector<std::string> texts;
        for (auto n = 1 + random() % 5; n > 0; --n) {
            texts.push_back("Line " + std::to_string(m_lines.size()) +
                            (random() % 100 == 0 ? " NEEDLE \xc3\x84rger \"quoted\" \\ tab\t" : " hay") +
                            std::string(random() % 60, '.'));
            m_lines.push_back({rank, out, texts.back()});
        }
        records.push_back(log(std::move(texts), i, rank, out));
        if (random() % 4 == 0) records.push_back(metrics({{"log", {i}, {1}, {i}}}, i));
    }
    // Some forty segments.
    m_workspace->stream(m_run, std::move(records), 1, 0, 8000);
    QVERIFY(std::filesystem::exists(m_workspace->layout.stream(m_run, 1, 0) / wire::segmentName(30)));
    auto writer = Writer::open(m_workspace->location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(m_run));
    STORE_OK(writer->followStream(m_run, 1, 0));
    m_reader = std::make_unique<Reader>(*Reader::open(m_workspace->location));
    QCOMPARE(m_reader->run(m_run)->logLines, std::ssize(m_lines));
}

std::vector<Line> tst_LogReader::matching(const LogFilter& filter) const {
    std::vector<Line> lines;
    for (const Line& line : m_lines) {
        if ((!filter.rank || *filter.rank == line.rank) && (filter.out.empty() || filter.out == line.out))
            lines.push_back(line);
    }
    return lines;
}

void tst_LogReader::pages_equalTheLines_data() {
    QTest::addColumn<int>("rank");
    QTest::addColumn<QString>("out");
    QTest::newRow("all") << -9 << "";
    QTest::newRow("rank 1") << 1 << "";
    QTest::newRow("the agent") << -1 << "";
    QTest::newRow("stderr") << -9 << "stderr";
    QTest::newRow("stdout of rank 0") << 0 << "stdout";
    QTest::newRow("nothing") << 5 << "";
}

void tst_LogReader::pages_equalTheLines() {
    QFETCH(int, rank);
    QFETCH(QString, out);
    LogFilter filter;
    if (rank != -9) filter.rank = rank;
    filter.out = out.toStdString();
    const std::vector<Line> expected = matching(filter);
    QCOMPARE(expected.empty(), rank == 5);
    for (const auto& [first, count] : {std::pair<std::int64_t, std::int64_t>{0, 10000},
                                       {0, 1},
                                       {1, 300},
                                       {700, 513},
                                       {999, 1},
                                       {std::ssize(expected) - 3, 100},
                                       {100000, 5},
                                       {-5, 7},
                                       {3, 0},
                                       {3, -4}}) {
        const auto page = m_reader->logPage(m_run, filter, first, count);
        STORE_OK(page);
        QCOMPARE(page->total, std::ssize(expected));
        QCOMPARE(page->attempt, 1);
        const std::int64_t from = std::max<std::int64_t>(first, 0);
        const std::int64_t wanted =
            std::clamp<std::int64_t>(std::ssize(expected) - from, 0, std::max<std::int64_t>(count, 0));
        QCOMPARE(std::ssize(page->lines), wanted);
        for (std::int64_t i = 0; i < wanted; ++i) {
            const LogLine& line = page->lines[static_cast<std::size_t>(i)];
            const Line& right = expected[static_cast<std::size_t>(from + i)];
            QCOMPARE(line.index, from + i);
            QCOMPARE(line.text, right.text);
            QCOMPARE(line.rank, right.rank);
            QCOMPARE(line.out, right.out);
            QCOMPARE(m_lines[static_cast<std::size_t>(line.number)].text, line.text);
        }
    }
}

void tst_LogReader::tail() {
    LogFilter filter;
    filter.out = "stderr";
    const std::vector<Line> expected = matching(filter);
    const auto page = m_reader->logTail(m_run, filter, 20);
    STORE_OK(page);
    QCOMPARE(page->lines.size(), std::size_t{20});
    QCOMPARE(page->lines.back().text, expected.back().text);
    QCOMPARE(page->lines.front().index, std::ssize(expected) - 20);
    QCOMPARE(m_reader->logTail(m_run, {}, 1'000'000)->lines.size(), std::min<std::size_t>(m_lines.size(), 10000));
}

void tst_LogReader::blocks_areIndependentOfBatches() {
    const std::string before = m_workspace->dump();
    for (const char* suffix : {"", "-wal", "-shm"})
        std::filesystem::remove(m_workspace->location.database.string() + suffix);
    auto writer = Writer::open(m_workspace->location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(m_run));
    for (;;) {
        const auto taken = writer->followStream(m_run, 1, 0, false, 11);
        STORE_OK(taken);
        if (*taken == 0) break;
    }
    QCOMPARE(m_workspace->dump(), before);
}

void tst_LogReader::attempts() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.stream(run, {log({"old"}, 1)}, 1);
    workspace.stream(run, {log({"new"}, 2)}, 2);
    workspace.stream(run, {log({"new too"}, 2, 1)}, 2, 1);
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->catchUp());
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    QCOMPARE(reader->logPage(run, {}, 0, 10)->total, 2);
    QCOMPARE(reader->logPage(run, {}, 0, 10)->lines.at(0).text, "new");
    QCOMPARE(reader->logPage(run, {}, 0, 10)->attempt, 2);
    LogFilter filter;
    filter.attempt = 1;
    QCOMPARE(reader->logPage(run, filter, 0, 10)->lines.at(0).text, "old");
    filter = {};
    filter.node = 1;
    QCOMPARE(reader->logPage(run, filter, 0, 10)->lines.at(0).text, "new too");
}

void tst_LogReader::ranksOfOtherNodes() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "two nodes");
    workspace.stream(run, {log({"zero"}, 1, 0)}, 1, 0);
    workspace.stream(run, {log({"one", "more"}, 2, 1)}, 1, 1);
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    STORE_OK(writer->followStream(run, 1, 0));
    STORE_OK(writer->followStream(run, 1, 1));
    const Reader reader = std::move(*Reader::open(workspace.location));
    const auto textOf = [&](LogFilter filter) {
        std::string text;
        const auto page = reader.logPage(run, filter, 0, 100);
        for (const auto& line : page.ok() ? page->lines : std::vector<LogLine>{}) text += line.text + ";";
        return text;
    };
    LogFilter filter;
    QCOMPARE(textOf(filter), "zero;one;more;");
    filter.node = 0;
    QCOMPARE(textOf(filter), "zero;");
    filter.node.reset();
    filter.rank = 1;
    QCOMPARE(textOf(filter), "one;more;");
    filter.rank = 0;
    QCOMPARE(textOf(filter), "zero;");
    filter.rank.reset();
    filter.node = 1;
    QCOMPARE(textOf(filter), "one;more;");
}

void tst_LogReader::noLog() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->catchUp());
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    const auto page = reader->logPage(run, {}, 0, 10);
    STORE_OK(page);
    QCOMPARE(page->total, 0);
    QCOMPARE(page->attempt, 0);
    LogSearch search;
    search.pattern = "x";
    const auto result = reader->searchLog(run, {}, search);
    STORE_OK(result);
    QVERIFY(!result->match && !result->continueAt);
}

/// The build of an environment and the files under logs/ are sources of their own.
void tst_LogReader::otherOutputs() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.stream(run, {log({"built"}, 1, wire::kNoRank, "environment"), log({"a", "b"}, 2, 0, "logs/train.txt"),
                           log({"c"}, 3, 1, "logs/deep/x"), log({"d"}, 4, 0, "stdout"), log({"e"}, 5, 0, "odd")});
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->catchUp());
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    for (const auto& [out, text] : {std::pair<std::string, std::string>{"environment", "built"},
                                    {"logs", "abc"},
                                    {"logs/train.txt", "ab"},
                                    {"logs/deep/x", "c"},
                                    {"logs/none", ""},
                                    {"stdout", "d"},
                                    {"", "builtabcde"}}) {
        LogFilter filter;
        filter.out = out;
        const auto page = reader->logPage(run, filter, 0, 10);
        STORE_OK(page);
        std::string found;
        for (const LogLine& line : page->lines) found += line.text;
        QCOMPARE(found, text);
        QCOMPARE(page->total, std::ssize(page->lines));
    }
    QCOMPARE(reader->logPage(run, {}, 1, 1)->lines.at(0).out, "logs/train.txt");
    const auto files = reader->logFiles(run, 0);
    STORE_OK(files);
    QCOMPARE(*files, (std::vector<std::string>{"logs/deep/x", "logs/train.txt"}));
    LogFilter one;
    one.out = "logs/train.txt";
    one.rank = 1;
    QCOMPARE(reader->logPage(run, one, 0, 10)->total, 0);
    // The last block grows.
    workspace.stream(run, {log({"f"}, 6, 0, "logs/train.txt")});
    STORE_OK(writer->catchUp());
    one.rank = 0;
    QCOMPARE(reader->logPage(run, one, 0, 10)->total, 3);
    LogSearch search;
    search.pattern = "f";
    const auto match = reader->searchLog(run, one, search);
    STORE_OK(match);
    QVERIFY(match->match);
    QCOMPARE(match->match->line.index, 2);
}

void tst_LogReader::missingSegment() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.stream(run, {log({"a"}, 1)});
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->catchUp());
    std::filesystem::remove(workspace.layout.stream(run, 1, 0) / wire::segmentName(1));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    QCOMPARE(reader->logPage(run, {}, 0, 10).error().code, "file.missing");
}

void tst_LogReader::search_findsEveryMatchInOrder_data() {
    QTest::addColumn<QString>("pattern");
    QTest::addColumn<bool>("regex");
    QTest::addColumn<bool>("caseSensitive");
    QTest::addColumn<QString>("contains");
    QTest::newRow("plain") << "needle" << false << false << "NEEDLE";
    QTest::newRow("case") << "NEEDLE" << false << true << "NEEDLE";
    QTest::newRow("other case") << "needle" << false << true << "no line has this";
    QTest::newRow("umlaut in another case")
        << QString::fromUtf8("ärger") << false << false << QString::fromUtf8("Ärger");
    QTest::newRow("quoted in JSON") << "\"quoted\" \\ tab\t" << false << true << "\"quoted\"";
    QTest::newRow("regex") << "^line \\d+ n[e]+dle" << true << false << "NEEDLE";
    QTest::newRow("regex, case") << "NEED(LE|LES)" << true << true << "NEEDLE";
}

void tst_LogReader::search_findsEveryMatchInOrder() {
    QFETCH(QString, pattern);
    QFETCH(bool, regex);
    QFETCH(bool, caseSensitive);
    QFETCH(QString, contains);
    for (const std::string out : {"", "stdout"}) {
        LogFilter filter;
        filter.out = out;
        const std::vector<Line> lines = matching(filter);
        std::vector<std::int64_t> expected;
        for (std::size_t i = 0; i < lines.size(); ++i) {
            if (lines[i].text.find(contains.toStdString()) != std::string::npos)
                expected.push_back(static_cast<std::int64_t>(i));
        }
        QCOMPARE(expected.empty(), contains.startsWith(u"no line"));
        for (const bool backward : {false, true}) {
            LogSearch search;
            search.pattern = pattern.toStdString();
            search.regex = regex;
            search.caseSensitive = caseSensitive;
            search.backward = backward;
            search.maxMillis = 60'000;
            search.from = backward ? std::ssize(lines) : 0;
            std::vector<std::int64_t> found;
            for (;;) {
                const auto result = m_reader->searchLog(m_run, filter, search);
                STORE_OK(result);
                QVERIFY(!result->continueAt);
                if (!result->match) break;
                const LogMatch& match = *result->match;
                QCOMPARE(match.line.text, lines[static_cast<std::size_t>(match.line.index)].text);
                QVERIFY(match.length > 0 && match.offset + match.length <= match.line.text.size());
                found.push_back(match.line.index);
                search.from = match.line.index + (backward ? -1 : 1);
                if (search.from < 0) break;
            }
            if (backward) std::reverse(found.begin(), found.end());
            QCOMPARE(found, expected);
        }
    }
}

void tst_LogReader::search_wrapsNowhere() {
    LogSearch search;
    search.pattern = "Line 0 ";
    search.from = 1;
    QVERIFY(!m_reader->searchLog(m_run, {}, search)->match);
    search.from = 0;
    QCOMPARE(m_reader->searchLog(m_run, {}, search)->match->line.index, 0);
    search.backward = true;
    QCOMPARE(m_reader->searchLog(m_run, {}, search)->match->line.index, 0);
    search.backward = false;
    search.from = std::ssize(m_lines);
    QVERIFY(!m_reader->searchLog(m_run, {}, search)->match);
}

void tst_LogReader::search_meetsItsDeadline() {
    // So little time that a call looks at one block or two; going on from where it stopped still sees every line.
    LogSearch search;
    search.pattern = "NEEDLE";
    search.regex = true;
    search.caseSensitive = true;
    search.maxMillis = 0;
    std::vector<std::int64_t> found;
    int calls = 0;
    for (; calls < 100'000; ++calls) {
        const auto result = m_reader->searchLog(m_run, {}, search);
        STORE_OK(result);
        if (result->match) {
            found.push_back(result->match->line.index);
            search.from = result->match->line.index + 1;
        } else if (result->continueAt) {
            QVERIFY(*result->continueAt > search.from);
            search.from = *result->continueAt;
        } else {
            break;
        }
    }
    std::vector<std::int64_t> expected;
    for (std::size_t i = 0; i < m_lines.size(); ++i) {
        if (m_lines[i].text.find("NEEDLE") != std::string::npos) expected.push_back(static_cast<std::int64_t>(i));
    }
    QCOMPARE(found, expected);
    QVERIFY(calls > std::ssize(expected));
}

void tst_LogReader::search_canBeCanceled() {
    CancelToken token;
    m_reader->setCancelToken(token);
    token.cancel();
    LogSearch search;
    search.pattern = "x";
    QCOMPARE(m_reader->searchLog(m_run, {}, search).error().code, "canceled");
    m_reader->setCancelToken({});
}

void tst_LogReader::pattern_data() {
    QTest::addColumn<QString>("pattern");
    QTest::addColumn<QString>("line");
    QTest::addColumn<int>("offset");
    QTest::addColumn<int>("length");
    const auto row = [](const char* pattern, const char* line, int offset, int length) {
        QTest::newRow(pattern) << QString::fromUtf8(pattern) << QString::fromUtf8(line) << offset << length;
    };
    row("\\d+", "loss 0.25", 5, 1);
    row("\\d+\\.\\d+", "loss 0.25", 5, 4);
    row("\\D", "12a", 2, 1);
    row("[\\d.]+$", "loss 0.25", 5, 4);
    row("[^\\d]+", "12ab3", 2, 2);
    row("[\\w]+\\s", "a_b c", 0, 4);
    row("\\bword\\b", "a word.", 2, 4);
    row("(?:ab)+", "xababy", 1, 4);
    row("[]x]", "a]", 1, 1);
    row("[[:digit:]]+", "a12", 1, 2);
    row("a{2,3}", "caaaat", 1, 3);
    row("\\(x\\)", "f(x)", 1, 3);
    row("a\\tb", "a\tb", 0, 3);
    row("nothing", "something", -1, 0);
}

void tst_LogReader::pattern() {
    QFETCH(QString, pattern);
    QFETCH(QString, line);
    QFETCH(int, offset);
    QFETCH(int, length);
    LogSearch search;
    search.regex = true;
    search.pattern = pattern.toStdString();
    const auto made = LinePattern::make(search);
    STORE_OK(made);
    const auto found = made->find(line.toStdString());
    QCOMPARE(found.has_value(), offset >= 0);
    if (found) {
        QCOMPARE(static_cast<int>(found->first), offset);
        QCOMPARE(static_cast<int>(found->second), length);
    }
}

void tst_LogReader::pattern_errors_data() {
    QTest::addColumn<QString>("pattern");
    for (const char* pattern :
         {"", "(", "[a", "a\\", "(a)\\1", "[\\]]", "x{2000}", "((x{100}){100}){100}", "[[:nonsense:]]", "[[:alpha"})
        QTest::newRow(pattern) << QString::fromUtf8(pattern);
    QTest::newRow("very long") << QString(5000, u'x');
}

void tst_LogReader::pattern_errors() {
    QFETCH(QString, pattern);
    LogSearch search;
    search.regex = true;
    search.pattern = pattern.toStdString();
    const auto made = LinePattern::make(search);
    QVERIFY(!made.ok());
    QCOMPARE(made.error().code, "store.regex");
    QCOMPARE(made.error().field, "pattern");
    QCOMPARE(m_reader->searchLog(m_run, {}, search).error().code, "store.regex");
}

void tst_LogReader::pattern_neverExplodes() {
    // What sends a backtracking engine to the end of time, on a line as long as lines get.
    LogSearch search;
    search.regex = true;
    const std::string line(64 << 10, 'a');
    for (const char* pattern : {"(a+)+b", "(a|a)*b", "(.*)*x", "(a|aa)+$b"}) {
        search.pattern = pattern;
        const auto made = LinePattern::make(search);
        STORE_OK(made);
        QElapsedTimer timer;
        timer.start();
        QVERIFY(!made->find(line));
        QVERIFY2(timer.elapsed() < 3000, pattern);
    }
}

void tst_LogReader::fold() {
    QCOMPARE(foldCase("ABC xyz 0"), "abc xyz 0");
    QCOMPARE(foldCase("\xc3\x84\xc3\x96 \xce\xa3 \xd0\x96"), "\xc3\xa4\xc3\xb6 \xcf\x83 \xd0\xb6");
    // Letters whose lower case has another length, and bytes that are no text, stay.
    for (const std::string text : {"\xc4\xb0", "\xff\xfe", "\xc3", "\xe2\x82", "\xf0\x9f\x98\x80"})
        QCOMPARE(foldCase(text), text);
    std::mt19937 random(1);
    for (int i = 0; i < 2000; ++i) {
        std::string text;
        for (int n = 0; n < 12; ++n) text += static_cast<char>(random());
        QCOMPARE(foldCase(text).size(), text.size());
        QCOMPARE(foldCase(foldCase(text)), foldCase(text));
    }
}

QTEST_APPLESS_MAIN(tst_LogReader)
#include "tst_LogReader.moc"
