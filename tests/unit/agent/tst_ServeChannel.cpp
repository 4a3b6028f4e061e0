#include "tests/unit/agent/ServeRig.h"

#include <random>

#include "core/base/Ids.h"
#include "tests/helpers/Wait.h"

using namespace trainyard;
using base::Json;
using test::ServeClient;
using test::ServeStart;

namespace {

bool isGone(pid_t pid) {
    const auto stat = base::readFile("/proc/" + std::to_string(pid) + "/stat");
    return !stat.ok() || stat->find(") Z ") != std::string::npos;
}

pid_t pidIn(const base::Path& file) { return std::atoi(base::readFile(file).valueOr({}).c_str()); }

}  // namespace

class TestServeChannel : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void endsWithItsInput() {
        test::Scratch scratch;
        ServeClient client(scratch / "work");
        QVERIFY(client.call("runs").ok());
        client.closeInput();
        QCOMPARE(client.wait(30'000), 0);
    }

    void endsAfterASilence_andPingsKeepItUp() {
        test::Scratch scratch;
        ServeClient client(scratch / "work", {{"--silence-seconds", "5"}});
        for (int i = 0; i < 6; ++i) {
            client.send({{"ping", i}});
            const auto pong = client.next();
            QVERIFY(pong.has_value());
            QCOMPARE(pong->header["pong"].get<int>(), i);
            QTest::qSleep(1000);
        }
        QCOMPARE(client.wait(30'000), 0);
    }

    void garbage_isAnsweredWithItsReasonAndTheEnd() {
        test::Scratch scratch;
        std::mt19937 random(5);
        for (const std::string& bytes :
             {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(8, '\xff'), std::string("\0\0\0\2\0\0\0\0[]", 10),
              std::string("\0\0\0\3\0\0\0\0{\"a", 11)}) {
            ServeClient client(scratch / "work");
            client.sendBytes(bytes);
            const auto answer = client.next();
            QVERIFY(answer.has_value());
            QVERIFY(answer->header["error"]["code"].get<std::string>().starts_with("serve."));
            QCOMPARE(client.wait(30'000), 0);
        }
        for (int round = 0; round < 20; ++round) {
            ServeClient client(scratch / "work");
            std::string bytes(200, '\0');
            for (char& c : bytes) c = static_cast<char>(random());
            client.sendBytes(bytes);
            client.closeInput();
            QCOMPARE(client.wait(30'000), 0);
        }
    }

    void oddFrames_areAnsweredAndTheChannelLives() {
        test::Scratch scratch;
        ServeClient client(scratch / "work");
        client.send(Json::object());
        QCOMPARE(client.next()->header["error"]["code"].get<std::string>(), std::string("serve.id"));
        client.send({{"id", 900}, {"verb", "fly"}});
        QCOMPARE(client.next()->header["error"]["code"].get<std::string>(), std::string("serve.verb"));
        client.send({{"id", 900}, {"verb", 7}});
        QCOMPARE(client.next()->header["error"]["code"].get<std::string>(), std::string("serve.verb"));
        client.send({{"id", 900}, {"verb", "put"}, {"run", 5}, {"files", "x"}});
        QVERIFY(client.next()->header.contains("error"));
        client.send({{"id", 900}, {"data", true}}, "for nobody");
        client.send({{"cancel", 900}});
        const auto follow = client.begin("follow", {{"run", base::newUuid7()}});
        QVERIFY(client.nextOf(follow).has_value());
        client.send({{"id", follow}, {"verb", "runs"}});
        QCOMPARE(client.nextOf(follow)->header["error"]["code"].get<std::string>(), std::string("serve.id"));
        QVERIFY(client.call("runs").ok());
    }

    void cancel_endsARequest() {
        test::Scratch scratch;
        ServeClient client(scratch / "work");
        const auto id = client.begin(
            "exec", {{"argv", {"sh", "-c", "echo $$ > '" + (scratch / "pid").string() + "'; sleep 60 & wait"}}});
        QVERIFY(test::waitFor([&] { return pidIn(scratch / "pid") > 0; }));
        const pid_t pid = pidIn(scratch / "pid");
        client.send({{"cancel", id}});
        QCOMPARE(client.finish(id).code(), std::string("canceled"));
        QVERIFY(test::waitFor([&] { return isGone(pid); }));
    }

    void exec_hasNoShellAndKeepsEveryArgument() {
        test::Scratch scratch;
        ServeClient client(scratch / "work");
        const std::vector<std::string> hostile{
            "$(touch canary)", "; touch canary", "a b", "'\"", "", "-n", "*", "ä\n\x01", "`id`"};
        Json argv = {"printf", "%s\\n"};
        for (const std::string& argument : hostile) argv.push_back(argument);
        const auto answer = client.call(
            "exec", {{"argv", argv}, {"cwd", scratch.path().string()}, {"environment", {{"X", "$(touch canary)"}}}});
        QVERIFY2(answer.ok(), answer.text().c_str());
        std::string expected;
        for (const std::string& argument : hostile) expected += argument + "\n";
        QCOMPARE(answer.header["out"].get<std::string>(), expected);
        QVERIFY(!std::filesystem::exists(scratch / "canary"));
    }

    void exec_tellsHowItEnded() {
        test::Scratch scratch;
        ServeClient client(scratch / "work");
        auto answer = client.call("exec", {{"argv", {"sh", "-c", "echo out; echo err >&2; exit 3"}}});
        QCOMPARE(answer.header["exit"].get<int>(), 3);
        QCOMPARE(answer.header["out"].get<std::string>(), std::string("out\n"));
        QCOMPARE(answer.header["err"].get<std::string>(), std::string("err\n"));
        answer = client.call("exec", {{"argv", {"sh", "-c", "kill -TERM $$"}}});
        QCOMPARE(answer.header["signal"].get<int>(), SIGTERM);
        QCOMPARE(client.call("exec", {{"argv", {"no-such-program-here"}}}).code(), std::string("exec.missing"));
        QCOMPARE(client.call("exec", {{"argv", {scratch.write("no-x", "x").string()}}}).code(),
                 std::string("exec.denied"));
        QCOMPARE(client.call("exec", {{"argv", {"true"}}, {"cwd", "/no/such"}}).code(), std::string("exec.folder"));
        QCOMPARE(client.call("exec", {{"argv", Json::array()}}).code(), std::string("serve.argv"));
        QCOMPARE(client.call("exec", {{"argv", {"sleep", "60"}}, {"limit_ms", 200}}).code(),
                 std::string("target.deadline"));
    }

    void exec_takesInputAndStreams() {
        test::Scratch scratch;
        ServeClient client(scratch / "work");
        const std::string input(3'000'000, 'i');
        const auto id =
            client.begin("exec", {{"argv", {"wc", "-c"}}, {"stdin_bytes", input.size()}}, input.substr(0, 1'000'000));
        client.send({{"id", id}, {"data", true}}, input.substr(0, 1'000'000));
        client.send({{"id", id}, {"data", true}, {"end", true}}, input.substr(0, 1'000'000));
        const auto counted = client.finish(id);
        QVERIFY2(counted.ok(), counted.text().c_str());
        QCOMPARE(std::atoi(counted.header["out"].get<std::string>().c_str()), 3'000'000);

        const auto streaming = client.begin(
            "exec", {{"argv", {"sh", "-c", "echo one; sleep 0.3; echo two >&2; cat"}}, {"stream", true}}, "three");
        auto frame = client.nextOf(streaming, 250);
        QVERIFY(frame.has_value());  // Before the program has ended.
        QCOMPARE(frame->header["event"].get<std::string>(), std::string("out"));
        QCOMPARE(frame->payload, std::string("one\n"));
        const auto end = client.finish(streaming);
        QVERIFY(end.ok());
        std::string err;
        std::string out;
        for (const auto& event : end.events) (event.header["event"] == "err" ? err : out) += event.payload;
        QCOMPARE(err, std::string("two\n"));
        QCOMPARE(out, std::string("three"));
    }

    void exec_floodIsCutOrHeldBack() {
        test::Scratch scratch;
        ServeClient client(scratch / "work");
        auto answer = client.call("exec", {{"argv", {"sh", "-c", "head -c 50000000 /dev/urandom"}}}, {}, 30'000);
        QVERIFY2(answer.ok(), answer.text().c_str());
        QVERIFY(answer.header["truncated"].get<bool>());
        // A client that does not acknowledge gets no more than the window.
        const auto id = client.begin("exec", {{"argv", {"sh", "-c", "cat /dev/zero"}}, {"stream", true}});
        std::int64_t got = 0;
        while (const auto frame = client.nextOf(id, 500)) got += static_cast<std::int64_t>(frame->payload.size());
        QVERIFY2(got > 1 << 20 && got <= wire::kServeWindow, std::to_string(got).c_str());
        client.send({{"cancel", id}});
        QCOMPARE(client.finish(id).code(), std::string("canceled"));
    }

    void vanishedClient_takesItsProgramsAlong() {
        test::Scratch scratch;
        pid_t program = 0;
        for (const int how : {0, SIGKILL}) {
            ServeClient client(scratch / "work");
            ::unlink((scratch / "pid").c_str());
            client.begin("exec", {{"argv",
                                   {"sh", "-c",
                                    "echo $$ > '" + (scratch / "pid").string() +
                                        "'; trap '' TERM; while :; do sleep 0.1; done"}}});
            client.begin("hash", {{"path", "/usr"}});
            QVERIFY(test::waitFor([&] { return pidIn(scratch / "pid") > 0; }));
            program = pidIn(scratch / "pid");
            if (how == 0) {
                client.closeInput();
                QCOMPARE(client.wait(30'000), 0);
            } else {
                ::kill(client.pid(), how);
                QCOMPARE(client.wait(30'000), 1000 + how);
            }
            QVERIFY(test::waitFor([&] { return isGone(program); }));
        }
    }

    void readerThatStops_costsNoMemory() {
        test::Scratch scratch;
        ServeClient client(scratch / "work");
        QVERIFY(client.call("runs").ok());
        for (int i = 0; i < 20; ++i) client.begin("exec", {{"argv", {"cat", "/dev/zero"}}, {"stream", true}});
        QTest::qSleep(1000);
        const auto status = base::readFile("/proc/" + std::to_string(client.pid()) + "/status").value();
        const std::size_t at = status.find("VmHWM:");
        QVERIFY(at != std::string::npos);
        const int kibibytes = std::atoi(status.c_str() + at + 6);
        QVERIFY2(kibibytes < 30 * 1024, std::to_string(kibibytes).c_str());
    }

    void pairOfNodes_isTestedForReal() {
        test::Scratch scratch;
        ServeClient listening(scratch / "one");
        ServeClient reaching(scratch / "two");
        const auto id = listening.begin("listen", {{"address", "127.0.0.1"}, {"nonce", "word"}, {"limit_ms", 5000}});
        const auto frame = listening.nextOf(id);
        QVERIFY(frame.has_value());
        const int port = frame->header["port"].get<int>();
        QVERIFY(reaching.call("reach", {{"address", "127.0.0.1"}, {"port", port}, {"nonce", "wrong"}}).ok());
        const auto reached = reaching.call("reach", {{"address", "127.0.0.1"}, {"port", port}, {"nonce", "word"}});
        QVERIFY2(reached.ok(), reached.text().c_str());
        QVERIFY(reached.header["nanos"].get<std::int64_t>() > 0);
        const auto heard = listening.finish(id);
        QCOMPARE(heard.header["from"].get<std::string>(), std::string("127.0.0.1"));
        const auto closed = reaching.call("reach", {{"address", "127.0.0.1"}, {"port", port}, {"nonce", "word"}});
        QCOMPARE(closed.code(), std::string("pair.reach"));
        QVERIFY(closed.message().find("firewall") != std::string::npos);
        QCOMPARE(listening.call("listen", {{"nonce", "x"}, {"limit_ms", 100}}).code(), std::string("target.deadline"));
        QCOMPARE(listening.call("listen", {{"address", "192.0.2.77"}, {"nonce", "x"}}).code(),
                 std::string("pair.listen"));
        QCOMPARE(listening.call("reach", {{"address", "host;rm"}, {"port", 1}, {"nonce", "x"}}).code(),
                 std::string("serve.address"));
    }

    void idle_costsNothing() {
        test::Scratch scratch;
        ServeClient client(scratch / "work");
        for (int i = 0; i < 5; ++i)
            QVERIFY(client.nextOf(client.begin("follow", {{"run", base::newUuid7()}})).has_value());
        const auto ticks = [&] {
            const auto stat = base::readFile("/proc/" + std::to_string(client.pid()) + "/stat").value();
            std::istringstream in(stat.substr(stat.rfind(')') + 2));
            std::string skip;
            long user = 0;
            long system = 0;
            for (int i = 0; i < 11; ++i) in >> skip;
            in >> user >> system;
            return user + system;
        };
        const long before = ticks();
        QTest::qSleep(2000);
        QVERIFY(ticks() - before <= 10);  // Of 200: it does not look by the clock. What it costs is measured elsewhere.
    }
};

QTEST_GUILESS_MAIN(TestServeChannel)
#include "tst_ServeChannel.moc"
