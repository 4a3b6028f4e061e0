#include <QtTest>

#include <sys/socket.h>

#include <array>

#include "core/wire/NodeLink.h"

using namespace trainyard;
using namespace trainyard::wire;

class TestNodeLink : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void hello_roundTrip() {
        const auto read = helloFromLine(base::dumpJson(toJson(NodeHello{"secret", "run", 3, 2, "hôst"})));
        QVERIFY(read.ok());
        QCOMPARE(read->token, std::string("secret"));
        QCOMPARE(read->run, std::string("run"));
        QCOMPARE(read->attempt, 3);
        QCOMPARE(read->node, 2);
        QCOMPARE(read->host, std::string("hôst"));
    }

    void hello_bad_data() {
        QTest::addColumn<QByteArray>("line");
        for (const char* line : {"", "GET /", "[]", "{}", "{\"token\":1,\"run\":\"r\",\"attempt\":1,\"node\":1}",
                                 "{\"token\":\"t\",\"run\":\"r\",\"attempt\":0,\"node\":1}",
                                 "{\"token\":\"t\",\"run\":\"r\",\"attempt\":1,\"node\":-1}",
                                 "{\"token\":\"t\",\"run\":\"r\",\"attempt\":1,\"node\":9999999999}"}) {
            QTest::newRow(*line ? line : "empty") << QByteArray(line);
        }
    }
    void hello_bad() {
        QFETCH(QByteArray, line);
        const auto read = helloFromLine(line.toStdString());
        QVERIFY(!read.ok());
        QCOMPARE(read.error().code, std::string("node.hello"));
    }

    void token_compared() {
        QVERIFY(sameToken("abc", "abc"));
        QVERIFY(!sameToken("abc", "abd"));
        QVERIFY(!sameToken("abc", "ab"));
        QVERIFY(!sameToken("", ""));  // No token is no right one.
    }

    void address_numbersOnly() {
        QCOMPARE(numericAddress("10.1.2.3", 80)->family(), AF_INET);
        QCOMPARE(numericAddress("fe80::1", 80)->family(), AF_INET6);
        for (const char* bad : {"", "localhost", "host.example", "10.1.2", "10.1.2.3 ", "-oX"}) {
            const auto read = numericAddress(bad, 1);
            QVERIFY2(!read.ok() && read.error().code == "node.address", bad);
        }
    }

    void lines_howeverTheyAreCut() {
        std::array<int, 2> pair{};
        QCOMPARE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair.data()), 0);
        LineSocket left{base::UniqueFd(pair[0]), 1000};
        const base::UniqueFd right(pair[1]);
        QVERIFY(left.pump().empty());
        QCOMPARE(::write(right.get(), "one\ntw", 6), ssize_t(6));
        QCOMPARE(left.pump(), std::vector<std::string>{"one"});
        QCOMPARE(::write(right.get(), "o\n\n", 3), ssize_t(3));
        QCOMPARE(left.pump(), (std::vector<std::string>{"two", ""}));
        QVERIFY(left.open());
        const std::string tooLong(2000, 'x');
        QCOMPARE(::write(right.get(), tooLong.data(), tooLong.size()), ssize_t(2000));
        QVERIFY(left.pump().empty());
        QVERIFY(!left.open());
    }

    void lastLine_isHeardFromOneThatIsGone() {
        std::array<int, 2> pair{};
        QCOMPARE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair.data()), 0);
        LineSocket left{base::UniqueFd(pair[0]), 1000};
        LineSocket right{base::UniqueFd(pair[1]), 1000};
        right.send(base::Json{{"kind", "status"}});
        right.close();
        QCOMPARE(left.pump(), std::vector<std::string>{"{\"kind\":\"status\"}"});
        QVERIFY(!left.open());
    }

    void oneThatReadsNothing_isBrokenOff() {
        std::array<int, 2> pair{};
        QCOMPARE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair.data()), 0);
        LineSocket left{base::UniqueFd(pair[0]), 1000};
        const base::UniqueFd right(pair[1]);
        const base::Json message{{"text", std::string(1 << 20, 'x')}};
        for (int i = 0; i < 20 && left.open(); ++i) left.send(message);
        QVERIFY(!left.open());
    }
};

QTEST_GUILESS_MAIN(TestNodeLink)
#include "tst_NodeLink.moc"
