#include <QtTest>

#include "core/wire/RunStream.h"

using namespace trainyard::wire;

namespace {

std::string line(std::int64_t seq, const std::string& text = "héllo\n{}") {
    Record record;
    record.seq = seq;
    record.t = 1000 + seq;
    record.kind = kind::kText;
    record.body = Json{{"name", "n"}, {"text", text}};
    return encode(record);
}

std::string lines(std::int64_t from, std::int64_t to) {
    std::string out;
    for (std::int64_t seq = from; seq <= to; ++seq) {
        out += line(seq);
    }
    return out;
}

std::vector<std::int64_t> drain(StreamDecoder& decoder) {
    std::vector<std::int64_t> seqs;
    while (const auto entry = decoder.next()) {
        seqs.push_back(entry->record.seq);
    }
    return seqs;
}

std::vector<std::int64_t> range(std::int64_t from, std::int64_t to) {
    std::vector<std::int64_t> out;
    for (std::int64_t i = from; i <= to; ++i) {
        out.push_back(i);
    }
    return out;
}

std::vector<std::string> codes(StreamDecoder& decoder) {
    std::vector<std::string> out;
    for (const DamagedLine& damaged : decoder.takeDamaged()) {
        out.push_back(damaged.error.code);
    }
    return out;
}

using Codes = std::vector<std::string>;
using Seqs = std::vector<std::int64_t>;

}  // namespace

class tst_StreamDecoder : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void byteAtATime();
    void cutAtEveryOffset();
    void restartAtEveryRecord();
    void entriesTellWhereTheyStood();
    void tornTail_waitsThenIsDropped();
    void zeroTail_waits();
    void zeroTail_isFilledLater();
    void zeroTail_ofAClosedSegmentIsDamage();
    void zeroBytesWithinALine_wait();
    void gap_isReportedOnce();
    void gap_isExplainedByDamagedLines();
    void duplicateSeq_isSkipped();
    void damagedLine_isKeptAside();
    void otherMajor_refusesAllThatFollows();
    void tooLongLine_isKeptAsideInLittleMemory();
    void longestLine_isTaken();
    void emptyLineAndCarriageReturn();
    void muchTaken_isForgotten();
    void segments_continue();
    void segments_keepWholeLinesLeftOver();
};

void tst_StreamDecoder::byteAtATime() {
    const std::string bytes = lines(1, 20);
    StreamDecoder decoder;
    Seqs seqs;
    for (const char c : bytes) {
        decoder.feed({&c, 1});
        for (const std::int64_t seq : drain(decoder)) {
            QCOMPARE(c, '\n');
            seqs.push_back(seq);
        }
    }
    QCOMPARE(seqs, range(1, 20));
    QCOMPARE(decoder.cursor(), (StreamCursor{1, static_cast<std::int64_t>(bytes.size()), 20}));
    QCOMPARE(decoder.pendingBytes(), std::int64_t{0});
    QVERIFY(decoder.takeDamaged().empty());
}

void tst_StreamDecoder::cutAtEveryOffset() {
    const std::string bytes = lines(1, 4);
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
        StreamDecoder decoder;
        decoder.feed(std::string_view(bytes).substr(0, cut));
        Seqs seqs = drain(decoder);
        const StreamCursor between = decoder.cursor();
        QCOMPARE(between.offset + decoder.pendingBytes(), static_cast<std::int64_t>(cut));

        // The same reader goes on.
        decoder.feed(std::string_view(bytes).substr(cut));
        const Seqs rest = drain(decoder);
        Seqs all = seqs;
        all.insert(all.end(), rest.begin(), rest.end());
        QCOMPARE(all, range(1, 4));

        // A new reader goes on from the cursor that was kept.
        StreamDecoder restarted(between);
        restarted.feed(std::string_view(bytes).substr(static_cast<std::size_t>(between.offset)));
        QCOMPARE(drain(restarted), rest);
        QVERIFY(decoder.takeDamaged().empty() && restarted.takeDamaged().empty());
    }
}

void tst_StreamDecoder::restartAtEveryRecord() {
    const std::string bytes = lines(1, 30);
    StreamCursor cursor;
    for (std::int64_t seq = 1; seq <= 30; ++seq) {
        StreamDecoder decoder(cursor);
        decoder.feed(std::string_view(bytes).substr(static_cast<std::size_t>(cursor.offset)));
        const auto entry = decoder.next();
        QVERIFY(entry.has_value());
        QCOMPARE(entry->record.seq, seq);
        cursor = decoder.cursor();
    }
    QCOMPARE(cursor.offset, static_cast<std::int64_t>(bytes.size()));
}

void tst_StreamDecoder::entriesTellWhereTheyStood() {
    const std::string bytes = line(1, "a") + line(2, std::string(500, 'b')) + line(3, "c");
    StreamDecoder decoder;
    decoder.feed(bytes);
    while (const auto entry = decoder.next()) {
        const auto at = bytes.substr(static_cast<std::size_t>(entry->offset), static_cast<std::size_t>(entry->length));
        const auto again = decode(at);
        QVERIFY(again.ok());
        QCOMPARE(again->seq, entry->record.seq);
        QCOMPARE(entry->segment, 1);
    }
}

void tst_StreamDecoder::tornTail_waitsThenIsDropped() {
    StreamDecoder decoder;
    decoder.feed(lines(1, 2) + R"({"v":1,"seq":3,"t":5,"ki)");
    QCOMPARE(drain(decoder), range(1, 2));
    QVERIFY(decoder.takeDamaged().empty());
    QVERIFY(decoder.pendingBytes() > 0);
    decoder.finish();
    QCOMPARE(drain(decoder), Seqs());
    const auto damaged = decoder.takeDamaged();
    QCOMPARE(damaged.size(), std::size_t{1});
    QCOMPARE(damaged[0].error.code, std::string("stream.torn"));
    QCOMPARE(damaged[0].offset, static_cast<std::int64_t>(lines(1, 2).size()));
    QCOMPARE(damaged[0].length, std::int64_t{24});
    QCOMPARE(decoder.pendingBytes(), std::int64_t{0});
    decoder.finish();
    QVERIFY2(decoder.takeDamaged().empty(), "reported once");
}

void tst_StreamDecoder::zeroTail_waits() {
    StreamDecoder decoder;
    decoder.feed(lines(1, 2) + std::string(4096, '\0'));
    QCOMPARE(drain(decoder), range(1, 2));
    QVERIFY(decoder.waitsForZeros());
    QCOMPARE(decoder.cursor().offset, static_cast<std::int64_t>(lines(1, 2).size()));
    QVERIFY(decoder.takeDamaged().empty());
}

void tst_StreamDecoder::zeroTail_isFilledLater() {
    StreamDecoder decoder;
    decoder.feed(lines(1, 2) + std::string(10, '\0') + "\n" + line(4));
    QCOMPARE(drain(decoder), range(1, 2));
    decoder.dropPending();
    QVERIFY(!decoder.waitsForZeros());
    decoder.feed(lines(3, 4));
    QCOMPARE(drain(decoder), range(3, 4));
    QCOMPARE(decoder.cursor().offset, static_cast<std::int64_t>(lines(1, 4).size()));
    QVERIFY(decoder.takeDamaged().empty());
}

void tst_StreamDecoder::zeroTail_ofAClosedSegmentIsDamage() {
    StreamDecoder decoder;
    decoder.feed(line(1) + std::string(10, '\0') + "\n" + line(3) + std::string(7, '\0'));
    QCOMPARE(drain(decoder), range(1, 1));
    decoder.finish();
    QCOMPARE(drain(decoder), range(3, 3));
    QCOMPARE(codes(decoder), (Codes{"stream.line", "stream.torn"}));
}

void tst_StreamDecoder::zeroBytesWithinALine_wait() {
    std::string bytes = lines(1, 2);
    std::string late = bytes;
    late[line(1).size() + 20] = '\0';
    StreamDecoder decoder;
    decoder.feed(late);
    QCOMPARE(drain(decoder), range(1, 1));
    decoder.dropPending();
    decoder.feed(line(2));
    QCOMPARE(drain(decoder), range(2, 2));
}

void tst_StreamDecoder::gap_isReportedOnce() {
    StreamDecoder decoder;
    decoder.feed(lines(1, 2) + lines(5, 6));
    QCOMPARE(drain(decoder), (Seqs{1, 2, 5, 6}));
    const auto damaged = decoder.takeDamaged();
    QCOMPARE(damaged.size(), std::size_t{1});
    QCOMPARE(damaged[0].error.code, std::string("stream.gap"));
    QVERIFY(damaged[0].error.message.find("3 to 4") != std::string::npos);
    StreamDecoder headless;
    headless.feed(line(2));
    QCOMPARE(drain(headless), (Seqs{2}));
    QCOMPARE(codes(headless), (Codes{"stream.gap"}));
}

void tst_StreamDecoder::gap_isExplainedByDamagedLines() {
    StreamDecoder decoder;
    decoder.feed(line(1) + "garbage\n" + line(3) + "garbage\n" + line(6));
    QCOMPARE(drain(decoder), (Seqs{1, 3, 6}));
    QCOMPARE(codes(decoder), (Codes{"stream.line", "stream.line", "stream.gap"}));
}

void tst_StreamDecoder::duplicateSeq_isSkipped() {
    StreamDecoder decoder;
    decoder.feed(lines(1, 3) + lines(2, 4) + line(4) + line(1));
    QCOMPARE(drain(decoder), range(1, 4));
    QVERIFY(decoder.takeDamaged().empty());
    QCOMPARE(decoder.cursor().lastSeq, std::int64_t{4});
    QCOMPARE(decoder.pendingBytes(), std::int64_t{0});
}

void tst_StreamDecoder::damagedLine_isKeptAside() {
    const std::string bad = "{\"v\":1,\"seq\":2,\"t\":5,\"kind\":\xff}\n";
    StreamDecoder decoder;
    decoder.feed(line(1) + bad + line(3));
    QCOMPARE(drain(decoder), (Seqs{1, 3}));
    const auto damaged = decoder.takeDamaged();
    QCOMPARE(damaged.size(), std::size_t{1});
    QCOMPARE(damaged[0].offset, static_cast<std::int64_t>(line(1).size()));
    QCOMPARE(damaged[0].length, static_cast<std::int64_t>(bad.size()));
    QVERIFY2(decoder.takeDamaged().empty(), "taken once");
}

void tst_StreamDecoder::otherMajor_refusesAllThatFollows() {
    StreamDecoder decoder;
    decoder.feed(line(1) + "{\"v\":2,\"seq\":2}\n" + line(3));
    QCOMPARE(drain(decoder), (Seqs{1}));
    QVERIFY(decoder.refused().has_value());
    QCOMPARE(decoder.refused()->code, std::string("stream.major"));
    decoder.feed(line(4));
    decoder.finish();
    QCOMPARE(drain(decoder), Seqs());
    QCOMPARE(decoder.cursor().offset, static_cast<std::int64_t>(line(1).size()));
}

void tst_StreamDecoder::tooLongLine_isKeptAsideInLittleMemory() {
    StreamDecoder decoder;
    decoder.feed(line(1));
    const std::string chunk(1 << 20, 'x');
    std::int64_t most = 0;
    for (int i = 0; i < 40; ++i) {
        decoder.feed(chunk);
        QVERIFY(!(i > 0 && decoder.next()));
        most = std::max(most, decoder.pendingBytes());
        if (i == 0) {
            QCOMPARE(drain(decoder), range(1, 1));
        }
    }
    QVERIFY(most <= kMaxLineBytes + static_cast<std::int64_t>(chunk.size()));
    decoder.feed("\n" + line(3));
    QCOMPARE(drain(decoder), range(3, 3));
    const auto damaged = decoder.takeDamaged();
    QCOMPARE(damaged.size(), std::size_t{1});
    QCOMPARE(damaged[0].offset, static_cast<std::int64_t>(line(1).size()));
    QCOMPARE(damaged[0].length, std::int64_t{40 * (1 << 20) + 1});
}

void tst_StreamDecoder::longestLine_isTaken() {
    const std::string empty = line(1, "");
    const std::string longest = line(1, std::string(static_cast<std::size_t>(kMaxLineBytes) - empty.size(), 'x'));
    QCOMPARE(static_cast<std::int64_t>(longest.size()), kMaxLineBytes);
    StreamDecoder decoder;
    decoder.feed(longest);
    QCOMPARE(drain(decoder), range(1, 1));
}

void tst_StreamDecoder::emptyLineAndCarriageReturn() {
    StreamDecoder decoder;
    std::string dos = line(1);
    dos.insert(dos.size() - 1, "\r");
    decoder.feed(dos + "\n" + line(2));
    QCOMPARE(drain(decoder), range(1, 2));
    QCOMPARE(codes(decoder), (Codes{"stream.line"}));
}

void tst_StreamDecoder::muchTaken_isForgotten() {
    // Enough for the buffer's taken part to be dropped again and again, each time with half a line waiting.
    StreamDecoder decoder;
    std::string bytes;
    for (std::int64_t seq = 1; seq <= 200; ++seq) {
        bytes += line(seq, std::string(50'000, 'x'));
    }
    std::int64_t taken = 0;
    for (std::size_t at = 0; at < bytes.size(); at += 1'500'007) {
        decoder.feed(std::string_view(bytes).substr(at, 1'500'007));
        while (const auto entry = decoder.next()) {
            QCOMPARE(entry->record.seq, ++taken);
        }
        QVERIFY(decoder.pendingBytes() < 60'000);
        decoder.feed("");
    }
    QCOMPARE(taken, std::int64_t{200});
}

void tst_StreamDecoder::segments_continue() {
    StreamDecoder decoder;
    decoder.feed(lines(1, 2) + "torn");
    QCOMPARE(drain(decoder), range(1, 2));
    decoder.nextSegment();
    QCOMPARE(decoder.cursor(), (StreamCursor{2, 0, 2}));
    decoder.feed(lines(3, 4));
    const auto entry = decoder.next();
    QCOMPARE(entry->segment, 2);
    QCOMPARE(entry->offset, std::int64_t{0});
    QCOMPARE(drain(decoder), range(4, 4));
    const auto damaged = decoder.takeDamaged();
    QCOMPARE(damaged.size(), std::size_t{1});
    QCOMPARE(damaged[0].segment, 1);
}

void tst_StreamDecoder::segments_keepWholeLinesLeftOver() {
    StreamDecoder decoder;
    decoder.feed(lines(1, 3));
    decoder.nextSegment();
    decoder.feed(lines(4, 5));
    QCOMPARE(drain(decoder), range(1, 5));
}

QTEST_GUILESS_MAIN(tst_StreamDecoder)
#include "tst_StreamDecoder.moc"
