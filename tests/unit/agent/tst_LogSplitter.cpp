#include <QtTest>

#include "core/agent/LogSplitter.h"
#include "core/base/Text.h"

using namespace trainyard::agent;

namespace {

/// Feeds `bytes` in parts of `size`, flushes, and puts continued lines together again.
std::vector<std::string> linesOf(std::string_view bytes, std::size_t size) {
    LogSplitter splitter;
    for (std::size_t at = 0; at < bytes.size(); at += size) splitter.feed(bytes.substr(at, size));
    splitter.flush(true);
    std::vector<std::string> lines;
    for (const LogPiece& piece : splitter.take()) {
        bool continues = piece.continues;
        for (const std::string& line : piece.lines) {
            if (continues) {
                lines.back() += line;
            } else {
                lines.push_back(line);
            }
            continues = false;
        }
    }
    return lines;
}

using Lines = std::vector<std::string>;

}  // namespace

class TestLogSplitter : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void lines_data() {
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<QByteArrayList>("expected");
        QTest::newRow("plain") << QByteArray("a\nb\n") << QByteArrayList{"a", "b"};
        QTest::newRow("empty lines") << QByteArray("\n\na\n\n") << QByteArrayList{"", "", "a", ""};
        QTest::newRow("unfinished") << QByteArray("a\nb") << QByteArrayList{"a", "b"};
        QTest::newRow("dos") << QByteArray("a\r\nb\r\n") << QByteArrayList{"a", "b"};
        QTest::newRow("bar, return first") << QByteArray("\r 10%\r 50%\r100%\n") << QByteArrayList{"100%"};
        QTest::newRow("bar, return last") << QByteArray("10%\r50%\r100%\r\ndone\n") << QByteArrayList{"100%", "done"};
        QTest::newRow("bar unfinished") << QByteArray("10%\r50%\r") << QByteArrayList{"50%"};
        QTest::newRow("returns only") << QByteArray("\r\r\r\nx\n") << QByteArrayList{"", "x"};
        QTest::newRow("utf-8") << QByteArray("gr\xc3\xbc\xc3\x9f\n\xf0\x9f\x9a\x82\n")
                               << QByteArrayList{"gr\xc3\xbc\xc3\x9f", "\xf0\x9f\x9a\x82"};
    }
    void lines() {
        QFETCH(QByteArray, bytes);
        QFETCH(QByteArrayList, expected);
        Lines wanted;
        for (const QByteArray& line : expected) wanted.push_back(line.toStdString());
        // However the bytes are cut, the lines are the same.
        for (std::size_t size = 1; size <= static_cast<std::size_t>(bytes.size()); ++size) {
            QCOMPARE(linesOf({bytes.data(), static_cast<std::size_t>(bytes.size())}, size), wanted);
        }
    }

    void partial_continues() {
        LogSplitter splitter;
        splitter.feed("Loading");
        splitter.flush(false);
        auto first = splitter.take();
        QCOMPARE(first.size(), std::size_t(1));
        QCOMPARE(first[0].lines, Lines{"Loading"});
        QVERIFY(!first[0].continues);
        splitter.feed(" done\nnext\n");
        auto second = splitter.take();
        QCOMPARE(second.size(), std::size_t(1));
        QCOMPARE(second[0].lines, (Lines{" done", "next"}));
        QVERIFY(second[0].continues);
        QCOMPARE(second[0].from, 7);
        QCOMPARE(second[0].to, 18);
    }

    void partialBar_isReplaced() {
        for (const std::string_view bar : {"10%\r", "10%"}) {
            LogSplitter splitter;
            splitter.feed(bar);
            splitter.flush(false);
            (void) splitter.take();
            splitter.feed(bar.ends_with('\r') ? "20%\n" : "\r20%\n");
            const auto pieces = splitter.take();
            QCOMPARE(pieces.size(), std::size_t(1));
            QCOMPARE(pieces[0].lines, Lines{"20%"});
            QVERIFY(!pieces[0].continues);
        }
    }

    void partialThenEnd_closesTheLine() {
        LogSplitter splitter;
        splitter.feed("50%\r");
        splitter.flush(false);
        (void) splitter.take();
        splitter.feed("\nnext\n");
        const auto pieces = splitter.take();
        QVERIFY(pieces[0].continues);
        QCOMPARE(pieces[0].lines, (Lines{"", "next"}));
    }

    void resumed_knowsAnOpenLine() {
        LogSplitter open(3, 'x');
        open.feed("yz\n");
        QVERIFY(open.take()[0].continues);
        LogSplitter closed(3, '\n');
        closed.feed("yz\n");
        QVERIFY(!closed.take()[0].continues);
        LogSplitter returned(3, '\r');
        returned.feed("yz\n");
        QVERIFY(!returned.take()[0].continues);
    }

    void longLine_isSplitBetweenCharacters() {
        const std::string text = [] {
            std::string all = "x";
            while (all.size() < 5 * kMaxLogLineBytes) all += "\xe2\x82\xac";  // 3 bytes, so the limit falls inside one
            return all;
        }();
        LogSplitter splitter;
        splitter.feed(text + "\nshort\n");
        const auto pieces = splitter.take();
        std::string joined;
        for (const LogPiece& piece : pieces) {
            QVERIFY(!piece.replaced);
            for (const std::string& line : piece.lines) QVERIFY(line.size() <= kMaxLogLineBytes);
            if (&piece != &pieces.back()) QCOMPARE(piece.lines.size(), std::size_t(1));
            joined += piece.lines[0];
        }
        QCOMPARE(joined, text);
        QCOMPARE(pieces.back().lines.back(), std::string("short"));
        QVERIFY(pieces.size() >= 6);
    }

    void invalidUtf8_isReplacedAndMarked() {
        LogSplitter splitter;
        splitter.feed("ok\n");
        (void) splitter.take();
        splitter.feed(std::string_view("\xff\xfe\x00z\n", 5));
        const auto pieces = splitter.take();
        QVERIFY(pieces[0].replaced);
        QVERIFY(trainyard::base::isValidUtf8(pieces[0].lines[0]));
    }

    void flush_keepsAnUnfinishedCharacter() {
        LogSplitter splitter;
        splitter.feed("a\xe2\x82");
        splitter.flush(false);
        QCOMPARE(splitter.take()[0].lines, Lines{"a"});
        splitter.feed("\xac\n");
        const auto pieces = splitter.take();
        QCOMPARE(pieces[0].lines, Lines{"\xe2\x82\xac"});
        QVERIFY(pieces[0].continues && !pieces[0].replaced);
    }

    void ranges_coverTheFileOnce() {
        LogSplitter splitter;
        std::int64_t at = 0;
        std::int64_t bytes = 0;
        const std::vector<std::string> parts{"a\nbc", "\r", "d\n", "10%\r20%", "\r\n", std::string(200'000, 'x'),
                                             "\n\n",  "end"};
        for (const std::string& part : parts) {
            splitter.feed(part);
            bytes += static_cast<std::int64_t>(part.size());
            splitter.flush(false);
            for (const LogPiece& piece : splitter.take()) {
                QCOMPARE(piece.from, at);
                QVERIFY(piece.to > piece.from);
                at = piece.to;
            }
        }
        splitter.flush(true);
        QCOMPARE(at, bytes);
        QCOMPARE(splitter.fedTo(), bytes);
    }

    void dropAll_counts() {
        LogSplitter splitter;
        splitter.feed("a\nb\nc");
        QCOMPARE(splitter.dropAll(), 3);
        QVERIFY(splitter.take().empty());
        splitter.feed("d\n");
        QCOMPARE(splitter.take()[0].from, 5);
    }
};

QTEST_GUILESS_MAIN(TestLogSplitter)
#include "tst_LogSplitter.moc"
