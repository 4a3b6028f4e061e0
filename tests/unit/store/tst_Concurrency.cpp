#include <QtTest>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "core/base/Clock.h"
#include "tests/unit/store/StoreFixture.h"

using namespace trainyard;
using namespace trainyard::store;
using namespace trainyard::store::test;

class tst_Concurrency : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void twoWritersAndAReader_inThreads();
    void writersInProcesses_takeEachRecordOnce();
    void manyOpenAFreshIndexAtOnce();
    void killedWriter_leavesAWholeIndex();
    void dataVersion_tellsOfOthers();
    void interrupt_stopsALongQuery();
    void rebuildUnderAReader();
    void catchUp_letsOthersWriteInBetween();
};

namespace {

std::vector<Record> someRecords(int count, int from) {
    std::vector<Record> records;
    for (int i = from; i < from + count; ++i)
        records.push_back(i % 3 == 0 ? log({"line " + std::to_string(i)}, i)
                                     : metrics({{"loss", {i}, {1.0 / (i + 1)}, {i}}}, i));
    return records;
}

}  // namespace

void tst_Concurrency::twoWritersAndAReader_inThreads() {
    Workspace workspace;
    const RunId one = workspace.addRun(1, "one"), two = workspace.addRun(2, "two");
    STORE_OK(Writer::open(workspace.location));
    std::atomic<bool> done{false};
    std::atomic<int> failures{0};
    const auto write = [&](const RunId& run) {
        auto writer = Writer::open(workspace.location);
        if (!writer.ok() || !writer->followJournal(run).ok()) {
            ++failures;
            return;
        }
        for (int i = 0; i < 40; ++i) {
            workspace.stream(run, someRecords(9, i * 9));
            if (!writer->followStream(run, 1, 0).ok()) ++failures;
        }
    };
    std::thread first(write, one), second(write, two);
    std::thread reading([&] {
        auto reader = Reader::open(workspace.location);
        if (!reader.ok()) {
            ++failures;
            return;
        }
        while (!done) {
            // What is seen is always whole: a batch of nine records is six points and three lines.
            for (const RunId& run : {one, two}) {
                const auto row = reader->run(run);
                if (!row.ok()) continue;  // Not there yet.
                const std::int64_t points = row->metrics.empty() ? 0 : row->metrics[0].count;
                if (points != 2 * row->logLines || points % 6 != 0) ++failures;
                ChartRequest request;
                request.curves = {{run, "loss"}};
                const auto chart = reader->chart(request);
                if (!chart.ok() || (!chart->series.empty() &&
                                    chart->series[0].x.size() != static_cast<std::size_t>(chart->series[0].points)))
                    ++failures;
            }
        }
    });
    first.join();
    second.join();
    done = true;
    reading.join();
    QCOMPARE(failures.load(), 0);
    const std::string grown = workspace.dump();
    STORE_OK(Writer::rebuild(workspace.location));
    QCOMPARE(workspace.dump(), grown);
}

void tst_Concurrency::writersInProcesses_takeEachRecordOnce() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.stream(run, someRecords(900, 0));
    std::vector<pid_t> children;
    for (int i = 0; i < 3; ++i) {
        const pid_t child = ::fork();
        if (child == 0) {
            auto writer = Writer::open(workspace.location);
            if (!writer.ok() || !writer->followJournal(run).ok()) ::_exit(1);
            const auto deadline = base::Deadline::inMillis(20'000);
            while (!deadline.passed()) {
                const auto taken = writer->followStream(run, 1, 0, false, 7);
                if (!taken.ok()) ::_exit(2);
                if (*taken == 0) ::_exit(0);
            }
            ::_exit(3);
        }
        children.push_back(child);
    }
    for (const pid_t child : children) {
        int status = 0;
        QCOMPARE(::waitpid(child, &status, 0), child);
        QVERIFY(WIFEXITED(status));
        QCOMPARE(WEXITSTATUS(status), 0);
    }
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    QCOMPARE(reader->run(run)->logLines, 300);
    QCOMPARE(reader->run(run)->metrics.at(0).count, 600);
    const std::string grown = workspace.dump();
    STORE_OK(Writer::rebuild(workspace.location));
    QCOMPARE(workspace.dump(), grown);
}

void tst_Concurrency::manyOpenAFreshIndexAtOnce() {
    for (int round = 0; round < 5; ++round) {
        Workspace workspace;
        std::vector<std::thread> threads;
        std::atomic<int> created{0}, failures{0};
        for (int i = 0; i < 4; ++i)
            threads.emplace_back([&] {
                const auto writer = Writer::open(workspace.location);
                if (!writer.ok())
                    ++failures;
                else if (writer->created())
                    ++created;
            });
        for (std::thread& thread : threads) thread.join();
        QCOMPARE(failures.load(), 0);
        QCOMPARE(created.load(), 1);
    }
}

void tst_Concurrency::killedWriter_leavesAWholeIndex() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    workspace.stream(run, someRecords(3000, 0));
    for (int round = 0; round < 8; ++round) {
        const pid_t child = ::fork();
        if (child == 0) {
            auto writer = Writer::open(workspace.location);
            if (writer.ok() && writer->followJournal(run).ok())
                while (writer->followStream(run, 1, 0, false, 40).ok()) {
                }
            ::_exit(0);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(20 + 15 * round));
        ::kill(child, SIGKILL);
        int status = 0;
        QCOMPARE(::waitpid(child, &status, 0), child);
    }
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(run));
    STORE_OK(writer->followStream(run, 1, 0));
    {
        SQLite::Database db(workspace.location.database.string(), SQLite::OPEN_READONLY);
        QCOMPARE(db.execAndGet("PRAGMA integrity_check").getString(), std::string("ok"));
    }
    const std::string grown = workspace.dump();
    STORE_OK(Writer::rebuild(workspace.location));
    QCOMPARE(workspace.dump(), grown);
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    QCOMPARE(reader->run(run)->metrics.at(0).count, 2000);
}

void tst_Concurrency::dataVersion_tellsOfOthers() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    const auto before = reader->dataVersion();
    STORE_OK(before);
    QCOMPARE(*reader->dataVersion(), *before);
    STORE_OK(writer->followJournal(run));
    QVERIFY(*reader->dataVersion() != *before);
    QElapsedTimer timer;
    timer.start();
    for (int i = 0; i < 1000; ++i) QVERIFY(reader->dataVersion().ok());
    QVERIFY(timer.elapsed() < 1000);
}

void tst_Concurrency::interrupt_stopsALongQuery() {
    Workspace workspace;
    STORE_OK(Writer::open(workspace.location));
    {
        SQLite::Database db(workspace.location.database.string(), SQLite::OPEN_READWRITE);
        db.exec(
            "BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 15000) INSERT INTO runs "
            "SELECT i, printf('%026d', i), '', 'run', hex(zeroblob(300)), 'Completed', '', 1, 1, 2, 1, '', '', 1, '', "
            "'', '', "
            "hex(zeroblob(300)), 0, 0, 0, NULL, 0, 1, 0, hex(zeroblob(600)), '' FROM n; COMMIT");
    }
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    RunQuery slow;
    slow.filter = "-notes:zz -notes:zy -notes:zx -notes:zw -notes:zv -notes:zu -notes:zt -notes:zs -notes:zr -notes:zq "
                  "-notes:zp -notes:zo -notes:zn -notes:zm -notes:zl -notes:zk -notes:zj -notes:zi -notes:zh -none";
    QElapsedTimer timer;
    timer.start();
    STORE_OK(reader->countRuns(slow));
    const auto undisturbed = timer.elapsed();
    for (const bool byToken : {false, true}) {
        CancelToken token;
        reader->setCancelToken(token);
        std::atomic<bool> started{false};
        std::thread stopper([&] {
            while (!started) std::this_thread::yield();
            std::this_thread::sleep_for(std::chrono::milliseconds(std::max<qint64>(1, undisturbed / 10)));
            if (byToken)
                token.cancel();
            else
                reader->interrupt();
        });
        timer.start();
        started = true;
        const auto stopped = reader->countRuns(slow);
        const auto took = timer.elapsed();
        stopper.join();
        QVERIFY(!stopped.ok());
        QCOMPARE(stopped.error().code, "canceled");
        QVERIFY2(took < undisturbed * 3 / 4 + 5, qPrintable(QStringLiteral("%1 of %2 ms").arg(took).arg(undisturbed)));
    }
    reader->setCancelToken({});
    STORE_OK(reader->countRuns({}));
}

void tst_Concurrency::rebuildUnderAReader() {
    Workspace workspace;
    for (int i = 1; i <= 20; ++i) workspace.stream(workspace.addRun(i, "run"), someRecords(30, 0));
    STORE_OK(Writer::rebuild(workspace.location));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    std::atomic<bool> done{false};
    std::atomic<int> failures{0}, queries{0};
    std::thread reading([&] {
        while (!done) {
            // In between the list may be shorter, or the file too young to be read; it never breaks.
            const auto page = reader->listRuns({});
            if (page.ok() ? page->rows.size() > 20 : page.error().code != "store.missing") {
                ++failures;
                qWarning("%s", page.ok() ? "too many runs" : page.error().message.c_str());
            }
            ++queries;
        }
    });
    for (int i = 0; i < 5; ++i) STORE_OK(Writer::rebuild(workspace.location));
    done = true;
    reading.join();
    QCOMPARE(failures.load(), 0);
    QVERIFY(queries > 10);
}

void tst_Concurrency::catchUp_letsOthersWriteInBetween() {
    Workspace workspace;
    for (int i = 1; i <= 60; ++i) static_cast<void>(workspace.addRun(i, "run"));
    OpenOptions options;
    options.lockMillis = 700;  // Well below what catching up takes in all, above one turn of it.
    auto impatient = Writer::open(workspace.location, options);
    STORE_OK(impatient);
    std::atomic<bool> done{false};
    std::thread catchingUp([&] {
        auto writer = Writer::open(workspace.location);
        const auto report = writer->catchUp([](std::int64_t, std::int64_t) {
            std::this_thread::sleep_for(std::chrono::milliseconds(25));
            return true;
        });
        done = report.ok();
    });
    int numbers = 0, refused = 0;
    const auto deadline = base::Deadline::inMillis(20'000);
    while (!done && !deadline.passed()) {
        ++(impatient->takeNumber().ok() ? numbers : refused);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    catchingUp.join();
    QVERIFY(done);
    QCOMPARE(refused, 0);
    QVERIFY(numbers >= 4);
}

QTEST_APPLESS_MAIN(tst_Concurrency)
#include "tst_Concurrency.moc"
