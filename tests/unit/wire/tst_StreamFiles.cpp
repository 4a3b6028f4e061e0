// Writer and folder reader, on real files.
#include <QtTest>
#include <csignal>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "core/base/Clock.h"
#include "core/wire/RunStream.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"

using namespace trainyard::wire;
using trainyard::test::Scratch;

namespace {

std::vector<std::int64_t> seqsOf(const std::vector<StreamEntry>& entries) {
    std::vector<std::int64_t> out;
    for (const StreamEntry& entry : entries) {
        out.push_back(entry.record.seq);
    }
    return out;
}

std::vector<std::int64_t> range(std::int64_t from, std::int64_t to) {
    std::vector<std::int64_t> out;
    for (std::int64_t i = from; i <= to; ++i) {
        out.push_back(i);
    }
    return out;
}

std::vector<StreamEntry> readAll(StreamFolderReader& reader, std::size_t atATime = 4096) {
    std::vector<StreamEntry> out;
    for (;;) {
        const auto got = reader.read(out, atATime);
        if (!got.ok()) {
            qFatal("%s", got.error().message.c_str());
        }
        if (*got == 0) {
            return out;
        }
    }
}

std::vector<StreamEntry> readAll(const Path& folder) {
    StreamFolderReader reader(folder);
    return readAll(reader);
}

void append(StreamWriter& writer, int count) {
    for (int i = 0; i < count; ++i) {
        const auto seq = writer.append(1000, kNoRank, kind::kText, Json{{"name", "n"}, {"text", std::string(40, 'x')}});
        QVERIFY2(seq.ok(), seq.ok() ? "" : seq.error().message.c_str());
    }
}

void appendBytes(const Path& file, const std::string& bytes) {
    FILE* out = fopen(file.c_str(), "ab");
    fwrite(bytes.data(), 1, bytes.size(), out);
    fclose(out);
}

unsigned modeOf(const Path& path) {
    struct stat info {};
    return stat(path.c_str(), &info) == 0 ? info.st_mode & 07777U : 0;
}

}  // namespace

class tst_StreamFiles : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void write_thenRead();
    void reader_followsAGrowingStream();
    void reader_takesAFewAtATime();
    void reader_missingFolderHasNothing();
    void reader_resumesFromEveryCursor();
    void reader_zeroTailOfAnOpenSegment();
    void reader_finishTakesTheRest();
    void reader_otherMajorIsAnError();
    void segments_rotateAndRead();
    void writer_goesOnAfterRestart();
    void writer_cutsATornTail();
    void writer_cutsEveryPossibleTear();
    void writer_findsTheSeqBehindAnEmptySegment();
    void writer_findsTheSeqBehindALongLine();
    void writer_countsDamagedLinesAtTheEnd();
    void writer_refusesAnotherMajor();
    void writer_appendAll();
    void writer_fullDiskLosesOnlyWhatItSays();
    void writer_refusesForeignFiles();
    void journal_twoWritersInTurn();
    void journal_manyProcessesAtOnce();
    void journal_tornByADeadWriter();
    void reader_besideAWriterThread();
};

void tst_StreamFiles::write_thenRead() {
    const Scratch scratch;
    auto writer = StreamWriter::open(scratch / "s");
    QVERIFY(writer.ok());
    QCOMPARE(*writer->append(5, 2, kind::kState, Json{{"state", "Running"}}), std::int64_t{1});
    QCOMPARE(*writer->append(6, kNoRank, kind::kWarning, Json{{"code", "a.b"}}), std::int64_t{2});
    QVERIFY(writer->sync().ok());
    const auto entries = readAll(scratch / "s");
    QCOMPARE(seqsOf(entries), range(1, 2));
    QCOMPARE(entries[0].record.rank, 2);
    QCOMPARE(entries[0].record.t, std::int64_t{5});
    QCOMPARE(entries[0].record.body, (Json{{"state", "Running"}}));
    QCOMPARE(modeOf(scratch / "s"), 0700U);
    QCOMPARE(modeOf(scratch / "s/000001.jsonl"), 0600U);
}

void tst_StreamFiles::reader_followsAGrowingStream() {
    const Scratch scratch;
    StreamFolderReader reader(scratch / "s");
    QVERIFY(readAll(reader).empty());
    auto writer = StreamWriter::open(scratch / "s", 500);
    std::vector<std::int64_t> seen;
    for (int i = 0; i < 50; ++i) {
        append(*writer, 1);
        for (const std::int64_t seq : seqsOf(readAll(reader))) {
            seen.push_back(seq);
        }
        QCOMPARE(seen, range(1, i + 1));
    }
    QVERIFY(reader.decoder().cursor().segment > 5);
    QVERIFY(reader.decoder().takeDamaged().empty());
}

void tst_StreamFiles::reader_takesAFewAtATime() {
    const Scratch scratch;
    auto writer = StreamWriter::open(scratch / "s", 700);
    append(*writer, 100);
    StreamFolderReader reader(scratch / "s");
    std::vector<StreamEntry> out;
    QCOMPARE(*reader.read(out, 7), std::size_t{7});
    QCOMPARE(*reader.read(out, 7), std::size_t{7});
    const auto rest = readAll(reader, 9);
    out.insert(out.end(), rest.begin(), rest.end());
    QCOMPARE(seqsOf(out), range(1, 100));
}

void tst_StreamFiles::reader_missingFolderHasNothing() {
    const Scratch scratch;
    StreamFolderReader reader(scratch / "no");
    std::vector<StreamEntry> out;
    QCOMPARE(*reader.read(out), std::size_t{0});
    QCOMPARE(*reader.finish(out), std::size_t{0});
}

void tst_StreamFiles::reader_resumesFromEveryCursor() {
    const Scratch scratch;
    auto writer = StreamWriter::open(scratch / "s", 400);
    append(*writer, 30);
    StreamCursor cursor;
    for (std::int64_t seq = 1; seq <= 30; ++seq) {
        StreamFolderReader reader(scratch / "s", cursor);
        std::vector<StreamEntry> out;
        QCOMPARE(*reader.read(out, 1), std::size_t{1});
        QCOMPARE(out[0].record.seq, seq);
        cursor = reader.decoder().cursor();
    }
}

void tst_StreamFiles::reader_zeroTailOfAnOpenSegment() {
    const Scratch scratch;
    auto writer = StreamWriter::open(scratch / "s");
    append(*writer, 2);
    const Path file = scratch / "s/000001.jsonl";
    const auto whole = std::filesystem::file_size(file);
    append(*writer, 2);
    const std::string bytes = scratch.read("s/000001.jsonl");
    // As NFS may show it: the size is there already, the bytes are not.
    std::string late = bytes;
    std::fill(late.begin() + static_cast<std::ptrdiff_t>(whole), late.end() - 1, '\0');
    scratch.write("s/000001.jsonl", late);
    StreamFolderReader reader(scratch / "s");
    QCOMPARE(seqsOf(readAll(reader)), range(1, 2));
    QVERIFY(readAll(reader).empty());
    scratch.write("s/000001.jsonl", bytes);
    QCOMPARE(seqsOf(readAll(reader)), range(3, 4));
    QVERIFY(reader.decoder().takeDamaged().empty());
}

void tst_StreamFiles::reader_finishTakesTheRest() {
    const Scratch scratch;
    auto writer = StreamWriter::open(scratch / "s");
    append(*writer, 3);
    Record last;
    last.seq = 5;
    last.kind = kind::kEnded;
    appendBytes(scratch / "s/000001.jsonl", std::string(20, '\0') + "\n" + encode(last) + "{\"v\":1,");
    StreamFolderReader reader(scratch / "s");
    QCOMPARE(seqsOf(readAll(reader)), range(1, 3));
    std::vector<StreamEntry> out;
    QCOMPARE(*reader.finish(out), std::size_t{1});
    QCOMPARE(out[0].record.kind, std::string(kind::kEnded));
    const auto damaged = reader.decoder().takeDamaged();
    QCOMPARE(damaged.size(), std::size_t{2});
    QCOMPARE(damaged[1].error.code, std::string("stream.torn"));
}

void tst_StreamFiles::reader_otherMajorIsAnError() {
    const Scratch scratch;
    auto writer = StreamWriter::open(scratch / "s");
    append(*writer, 2);
    appendBytes(scratch / "s/000001.jsonl", "{\"v\":9}\n");
    StreamFolderReader reader(scratch / "s");
    std::vector<StreamEntry> out;
    QCOMPARE(*reader.read(out), std::size_t{2});
    QCOMPARE(reader.read(out).error().code, std::string("stream.major"));
}

void tst_StreamFiles::segments_rotateAndRead() {
    const Scratch scratch;
    auto writer = StreamWriter::open(scratch / "s", 1000);
    append(*writer, 60);
    const auto entries = readAll(scratch / "s");
    QCOMPARE(seqsOf(entries), range(1, 60));
    QVERIFY(entries.back().segment >= 4);
    for (int segment = 1; segment < entries.back().segment; ++segment) {
        const auto size = static_cast<std::int64_t>(std::filesystem::file_size(scratch / "s" / segmentName(segment)));
        QVERIFY(size >= 1000 && size < 1200);
    }
    QCOMPARE(segmentName(1), std::string("000001.jsonl"));
    QCOMPARE(segmentName(1234567), std::string("1234567.jsonl"));
}

void tst_StreamFiles::writer_goesOnAfterRestart() {
    const Scratch scratch;
    for (int round = 0; round < 20; ++round) {
        auto writer = StreamWriter::open(scratch / "s", 600);
        QVERIFY(writer.ok());
        QCOMPARE(writer->lastSeq(), std::int64_t{round} * 3);
        QVERIFY(!writer->cutTornTail());
        append(*writer, 3);
    }
    QCOMPARE(seqsOf(readAll(scratch / "s")), range(1, 60));
}

void tst_StreamFiles::writer_cutsATornTail() {
    const Scratch scratch;
    {
        auto writer = StreamWriter::open(scratch / "s");
        append(*writer, 3);
    }
    StreamFolderReader follower(scratch / "s");
    appendBytes(scratch / "s/000001.jsonl", "{\"v\":1,\"seq\":4,\"t\":5,\"kind\":\"half");
    QCOMPARE(seqsOf(readAll(follower)), range(1, 3));
    auto writer = StreamWriter::open(scratch / "s");
    QVERIFY(writer->cutTornTail());
    append(*writer, 1);
    QCOMPARE(seqsOf(readAll(follower)), range(4, 4));
    QVERIFY(follower.decoder().takeDamaged().empty());
    appendBytes(scratch / "s/000001.jsonl", std::string(100, '\0'));
    QVERIFY(StreamWriter::open(scratch / "s")->cutTornTail());
    QVERIFY(!StreamWriter::open(scratch / "s")->cutTornTail());
    QCOMPARE(seqsOf(readAll(scratch / "s")), range(1, 4));
}

void tst_StreamFiles::writer_cutsEveryPossibleTear() {
    const Scratch scratch;
    {
        auto writer = StreamWriter::open(scratch / "s");
        append(*writer, 4);
    }
    const std::string bytes = scratch.read("s/000001.jsonl");
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
        scratch.write("s/000001.jsonl", bytes.substr(0, cut));
        const std::int64_t whole = std::count(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(cut), '\n');
        auto writer = StreamWriter::open(scratch / "s");
        QCOMPARE(writer->lastSeq(), whole);
        QCOMPARE(writer->cutTornTail(), cut > 0 && bytes[cut - 1] != '\n');
        append(*writer, 1);
        QCOMPARE(seqsOf(readAll(scratch / "s")), range(1, whole + 1));
    }
}

void tst_StreamFiles::writer_findsTheSeqBehindAnEmptySegment() {
    const Scratch scratch;
    {
        auto writer = StreamWriter::open(scratch / "s", 200);
        append(*writer, 10);
    }
    int last = 1;
    while (std::filesystem::exists(scratch / "s" / segmentName(last + 1))) {
        ++last;
    }
    scratch.write("s/" + segmentName(last + 1), "");
    scratch.write("s/" + segmentName(last + 2), "torn");
    auto writer = StreamWriter::open(scratch / "s", 200);
    QCOMPARE(writer->lastSeq(), std::int64_t{10});
    append(*writer, 2);
    QCOMPARE(seqsOf(readAll(scratch / "s")), range(1, 12));
}

void tst_StreamFiles::writer_findsTheSeqBehindALongLine() {
    const Scratch scratch;
    {
        auto writer = StreamWriter::open(scratch / "s");
        append(*writer, 3);
        QVERIFY(writer->append(1, 0, kind::kText, Json{{"text", std::string(3 << 20, 'x')}}).ok());
        appendBytes(scratch / "s/000001.jsonl", std::string(1 << 20, 'y'));
    }
    auto writer = StreamWriter::open(scratch / "s");
    QCOMPARE(writer->lastSeq(), std::int64_t{4});
}

void tst_StreamFiles::writer_countsDamagedLinesAtTheEnd() {
    const Scratch scratch;
    {
        auto writer = StreamWriter::open(scratch / "s");
        append(*writer, 3);
    }
    appendBytes(scratch / "s/000001.jsonl", "damaged\ndamaged\n");
    auto writer = StreamWriter::open(scratch / "s");
    append(*writer, 1);
    StreamFolderReader reader(scratch / "s");
    QCOMPARE(seqsOf(readAll(reader)), (std::vector<std::int64_t>{1, 2, 3, 6}));
    QCOMPARE(reader.decoder().takeDamaged().size(), std::size_t{2});
}

void tst_StreamFiles::writer_refusesAnotherMajor() {
    const Scratch scratch;
    const std::string newer = "{\"v\":2,\"seq\":1}\ntorn";
    scratch.write("s/000001.jsonl", newer);
    QCOMPARE(StreamWriter::open(scratch / "s").error().code, std::string("stream.major"));
    QCOMPARE(scratch.read("s/000001.jsonl"), newer);
}

void tst_StreamFiles::writer_appendAll() {
    const Scratch scratch;
    auto writer = StreamWriter::open(scratch / "s");
    std::vector<Record> records(3);
    for (Record& record : records) {
        record.kind = kind::kText;
    }
    QVERIFY(writer->appendAll(records).ok());
    QCOMPARE(records[2].seq, std::int64_t{3});
    records.clear();
    QVERIFY(writer->appendAll(records).ok());
    QCOMPARE(writer->lastSeq(), std::int64_t{3});
    QCOMPARE(seqsOf(readAll(scratch / "s")), range(1, 3));
}

void tst_StreamFiles::writer_fullDiskLosesOnlyWhatItSays() {
    const Scratch scratch;
    auto writer = StreamWriter::open(scratch / "s");
    append(*writer, 2);
    const std::int64_t size = static_cast<std::int64_t>(std::filesystem::file_size(scratch / "s/000001.jsonl"));
    std::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    rlimit limit = before;
    limit.rlim_cur = static_cast<rlim_t>(size + 150);  // One record and a part of the next.
    setrlimit(RLIMIT_FSIZE, &limit);
    std::vector<Record> records(3);
    for (Record& record : records) {
        record.kind = kind::kText;
        record.body = Json{{"text", std::string(50, 'y')}};
    }
    const auto status = writer->appendAll(records);
    const auto again = writer->append(1, 0, kind::kText, Json::object());
    setrlimit(RLIMIT_FSIZE, &before);
    QVERIFY(!status.ok() && !again.ok());
    QCOMPARE(writer->lastSeq(), std::int64_t{3});
    append(*writer, 2);
    StreamFolderReader reader(scratch / "s");
    QCOMPARE(seqsOf(readAll(reader)), range(1, 5));
    const auto damaged = reader.decoder().takeDamaged();
    QCOMPARE(damaged.size(), std::size_t{1});
    QCOMPARE(damaged[0].error.code, std::string("stream.line"));
}

void tst_StreamFiles::writer_refusesForeignFiles() {
    const Scratch scratch;
    if (geteuid() != 0) {
        TRAINYARD_SKIP("Only root can make a file of another user.");
    }
    scratch.write("s/000001.jsonl", "");
    QCOMPARE(chown((scratch / "s/000001.jsonl").c_str(), 12345, 12345), 0);
    QCOMPARE(StreamWriter::open(scratch / "s").error().code, std::string("file.owner"));
}

void tst_StreamFiles::journal_twoWritersInTurn() {
    const Scratch scratch;
    auto one = StreamWriter::openFile(scratch / "run/journal.jsonl");
    auto two = StreamWriter::openFile(scratch / "run/journal.jsonl");
    QVERIFY(one.ok() && two.ok());
    for (int i = 0; i < 10; ++i) {
        QCOMPARE(*one->append(1, kNoRank, kind::kRename, Json{{"name", "a"}}), std::int64_t{2 * i + 1});
        QCOMPARE(*two->append(1, kNoRank, kind::kNotes, Json{{"text", "b"}}), std::int64_t{2 * i + 2});
    }
    QCOMPARE(seqsOf(readAll(scratch / "run/journal.jsonl")), range(1, 20));
}

void tst_StreamFiles::journal_manyProcessesAtOnce() {
    const Scratch scratch;
    const Path file = scratch / "journal.jsonl";
    constexpr int kProcesses = 4;
    constexpr int kEach = 100;
    std::vector<pid_t> children;
    for (int i = 0; i < kProcesses; ++i) {
        const pid_t child = fork();
        if (child == 0) {
            auto writer = StreamWriter::openFile(file);
            bool good = writer.ok();
            for (int k = 0; good && k < kEach; ++k) {
                good = writer->append(1, kNoRank, kind::kTags, Json{{"values", {{"k", k}}}}).ok();
            }
            _exit(good ? 0 : 1);
        }
        children.push_back(child);
    }
    for (const pid_t child : children) {
        int status = 0;
        waitpid(child, &status, 0);
        QCOMPARE(status, 0);
    }
    StreamFolderReader reader(file);
    QCOMPARE(seqsOf(readAll(reader)), range(1, kProcesses * kEach));
    QVERIFY(reader.decoder().takeDamaged().empty());
}

void tst_StreamFiles::journal_tornByADeadWriter() {
    const Scratch scratch;
    auto writer = StreamWriter::openFile(scratch / "journal.jsonl");
    append(*writer, 2);
    appendBytes(scratch / "journal.jsonl", "{\"v\":1,\"seq\":3");
    append(*writer, 1);
    QVERIFY(writer->cutTornTail());
    QCOMPARE(seqsOf(readAll(scratch / "journal.jsonl")), range(1, 3));
}

void tst_StreamFiles::reader_besideAWriterThread() {
    const Scratch scratch;
    constexpr int kRecords = 3000;
    std::thread writing([&] {
        auto writer = StreamWriter::open(scratch / "s", 20'000);
        for (int i = 0; i < kRecords; ++i) {
            if (!writer->append(i, 0, kind::kText, Json{{"text", std::string(static_cast<std::size_t>(i % 300), 'z')}})
                     .ok()) {
                return;
            }
        }
    });
    StreamFolderReader reader(scratch / "s");
    std::vector<StreamEntry> out;
    const auto deadline = trainyard::base::Deadline::inMillis(20'000);
    while (out.size() < kRecords && !deadline.passed()) {
        const auto got = reader.read(out, 50);
        if (!got.ok()) {
            break;
        }
    }
    writing.join();
    QCOMPARE(seqsOf(out), range(1, kRecords));
    QVERIFY(reader.decoder().takeDamaged().empty());
}

QTEST_GUILESS_MAIN(tst_StreamFiles)
#include "tst_StreamFiles.moc"
