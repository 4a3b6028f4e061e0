// Runs through the channel: put, start, follow, command, look, outputs, download, remove, with real agents and ranks.
#include "tests/unit/agent/AgentRig.h"
#include "tests/unit/agent/ServeRig.h"

#include <sys/stat.h>

#include "core/base/Hash.h"
#include "core/wire/RunStream.h"
#include "tests/helpers/Children.h"

using namespace trainyard;
using base::Json;
using base::Path;
using test::ServeClient;

namespace {

Json runMembers(const wire::Plan& plan) { return {{"run", plan.run.str()}, {"attempt", 1}, {"node", 0}}; }

test::ServeAnswer putAndStart(ServeClient& client, const wire::Plan& plan) {
    const std::string text = base::dumpJsonPretty(toJson(plan));
    Json put = runMembers(plan);
    put["files"] = {{{"name", "plan.json"}, {"size", text.size()}}};
    auto answer = client.call("put", put, text);
    if (!answer.ok()) return answer;
    return client.call("start", runMembers(plan), {}, 20'000);
}

/// What a follow brought, by stream and segment; empty and a failed test when a piece is missing or comes twice.
class Collected {
public:
    void take(const test::ServeFrame& frame) {
        const Json& header = frame.header;
        if (!header.contains("event")) return;
        const std::string key = base::dumpJson(Json{header["attempt"], header["node"], header["segment"]});
        std::string& bytes = m_bytes[key];
        if (header["offset"].get<std::size_t>() != bytes.size() + m_start[key]) {
            QTest::qFail(("a gap or a repetition in " + key).c_str(), __FILE__, __LINE__);
        }
        bytes += frame.payload;
        m_received += static_cast<std::int64_t>(frame.payload.size());
    }
    void startAt(const std::string& key, std::size_t offset) { m_start[key] = offset; }
    [[nodiscard]] std::int64_t received() const { return m_received; }
    [[nodiscard]] const std::string& of(const std::string& key) { return m_bytes[key]; }
    [[nodiscard]] bool ended() const {
        return std::any_of(m_bytes.begin(), m_bytes.end(), [](const auto& entry) {
            return entry.second.find("\"kind\":\"ended\"") != std::string::npos;
        });
    }

private:
    std::map<std::string, std::string> m_bytes;
    std::map<std::string, std::size_t> m_start;
    std::int64_t m_received = 0;
};

bool followToEnd(ServeClient& client, std::int64_t id, Collected& collected, int millis = 20'000) {
    const auto deadline = base::Deadline::inMillis(millis);
    while (!collected.ended()) {
        const auto frame = client.nextOf(id, static_cast<int>(deadline.millisLeft()));
        if (!frame) return false;
        collected.take(*frame);
        client.send({{"id", id}, {"ack", collected.received()}});
    }
    return true;
}

std::string streamFile(const Path& work, const wire::Plan& plan, int attempt = 1) {
    return base::readFile(work / "runs" / plan.run.str() / ("a" + std::to_string(attempt)) / "n0/stream/000001.jsonl")
        .valueOr({});
}

}  // namespace

class TestServeRuns : public QObject {
    Q_OBJECT

private:
    test::ChildGuard m_guard;

private Q_SLOTS:
    void cleanup() { QVERIFY2(m_guard.noneLeft(20'000), m_guard.report().c_str()); }

    void run_goesItsWholeWay() {
        test::Scratch scratch;
        const Path work = scratch / "work";
        test::AgentRig rig(scratch);
        ServeClient client(work);
        auto plan = rig.shellPlan("echo hello; mkdir -p \"$TRAINYARD_OUTPUTS/sub\"; head -c 3000000 /dev/urandom > "
                                  "\"$TRAINYARD_OUTPUTS/sub/w.bin\"; echo t > \"$TRAINYARD_OUTPUTS/a.txt\"");
        plan.outputsFolder = (work / "runs" / plan.run.str() / "outputs").string();
        const auto id = client.begin("follow", {{"run", plan.run.str()}});
        QVERIFY(client.nextOf(id)->header["caught_up"].get<bool>());  // Before the run is there.
        const std::int64_t begun = base::monotonicNanos();
        const auto started = putAndStart(client, plan);
        QVERIFY2(started.ok(), started.text().c_str());
        QVERIFY(started.header["pid"].get<int>() > 1);
        Collected collected;
        QVERIFY(followToEnd(client, id, collected));
        qInfo("from put to the last record: %.0f ms", static_cast<double>(base::monotonicNanos() - begun) / 1e6);
        QCOMPARE(collected.of("[1,0,1]"), streamFile(work, plan));
        QVERIFY(collected.of("[1,0,1]").find("hello") != std::string::npos);
        client.send({{"cancel", id}});
        QCOMPARE(client.finish(id).code(), std::string("canceled"));

        const auto outputs = client.call("outputs", {{"run", plan.run.str()}});
        QCOMPARE(base::dumpJson(outputs.header["files"]),
                 std::string(R"([{"path":"a.txt","size":2},{"path":"sub/w.bin","size":3000000}])"));
        const std::string whole = base::readFile(Path(plan.outputsFolder) / "sub/w.bin").value();
        for (const std::size_t offset : {std::size_t{0}, std::size_t{1'234'567}, whole.size()}) {
            for (const bool hash : {true, false}) {
                const auto download = client.begin(
                    "download", {{"run", plan.run.str()}, {"path", "sub/w.bin"}, {"offset", offset}, {"hash", hash}});
                const auto answer = client.finish(download);
                QVERIFY2(answer.ok(), answer.text().c_str());
                std::string bytes = whole.substr(0, offset);
                for (const auto& event : answer.events) bytes += event.payload;
                QVERIFY(bytes == whole);
                QCOMPARE(answer.header.value("sha256", ""), hash ? base::sha256Hex(whole) : std::string());
                QCOMPARE(answer.header["size"].get<std::size_t>(), whole.size());
            }
        }
        QTRY_COMPARE_WITH_TIMEOUT(
            client.call("look", {{"run", plan.run.str()}}).header["nodes"][0]["status"].get<std::string>(),
            std::string("gone"), 5000);
        QCOMPARE(client.call("runs").header["runs"], (Json{plan.run.str()}));
        const auto removed = client.call("remove", {{"run", plan.run.str()}});
        QVERIFY(removed.header["freed_bytes"].get<std::int64_t>() >= 3'000'000);
        QVERIFY(client.call("runs").header["runs"].empty());
        QVERIFY(client.call("remove", {{"run", plan.run.str()}}).ok());
    }

    void start_twiceIsHarmless_andTheRunOutlivesTheChannel() {
        test::Scratch scratch;
        const Path work = scratch / "work";
        test::AgentRig rig(scratch);
        auto plan = rig.shellPlan(test::countingScript(300, 20, "0.05"));
        plan.outputsFolder = (work / "runs" / plan.run.str() / "outputs").string();
        int first = 0;
        {
            ServeClient client(work);
            const auto started = putAndStart(client, plan);
            QVERIFY2(started.ok(), started.text().c_str());
            first = started.header["pid"].get<int>();
            const auto again = client.call("start", runMembers(plan));
            QVERIFY2(again.ok(), again.text().c_str());
            QCOMPARE(again.header["pid"].get<int>(), first);
            QCOMPARE(client.call("look", {{"run", plan.run.str()}}).header["nodes"][0]["status"].get<std::string>(),
                     std::string("alive"));
            ::kill(client.pid(), SIGKILL);
        }
        // Cut again and again while it runs: no byte twice, none left out.
        Collected collected;
        std::size_t offset = 0;
        int cuts = 0;
        while (!collected.ended()) {
            ServeClient client(work);
            const auto id =
                client.begin("follow", {{"run", plan.run.str()},
                                        {"from", {{{"attempt", 1}, {"node", 0}, {"segment", 1}, {"offset", offset}}}}});
            for (int frames = 0; frames < 3 && !collected.ended(); ++frames) {
                const auto frame = client.nextOf(id, 5000);
                QVERIFY(frame.has_value());
                collected.take(*frame);
                offset = frame->header["offset"].get<std::size_t>() + frame->payload.size();
            }
            if (++cuts % 2 == 0) ::kill(client.pid(), SIGKILL);
        }
        QCOMPARE(collected.of("[1,0,1]"), streamFile(work, plan));
        QVERIFY2(cuts > 3, std::to_string(cuts).c_str());
    }

    void command_reachesTheNewestAttempt() {
        test::Scratch scratch;
        const Path work = scratch / "work";
        test::AgentRig rig(scratch);
        ServeClient client(work);
        auto plan = rig.shellPlan("sleep 60");
        plan.outputsFolder = (work / "runs" / plan.run.str() / "outputs").string();
        QCOMPARE(client.call("command", {{"run", plan.run.str()}, {"name", "cancel"}}).code(),
                 std::string("target.missing"));
        QVERIFY(putAndStart(client, plan).ok());
        QCOMPARE(client.call("command", {{"run", plan.run.str()}, {"name", "../cancel"}}).code(),
                 std::string("serve.command"));
        QCOMPARE(client.call("command", {{"run", plan.run.str()}, {"name", "checkpoint"}}).header["nodes"].get<int>(),
                 1);
        QCOMPARE(client.call("remove", {{"run", plan.run.str()}}).code(), std::string("target.busy"));
        QCOMPARE(client.call("command", {{"run", plan.run.str()}, {"name", "cancel"}}).header["nodes"].get<int>(), 1);
        const auto id = client.begin("follow", {{"run", plan.run.str()}});
        Collected collected;
        QVERIFY(followToEnd(client, id, collected));
        QVERIFY(collected.of("[1,0,1]").find("\"outcome\":\"canceled\"") != std::string::npos);
    }

    void follow_seesEveryStreamAndSegment() {
        test::Scratch scratch;
        const Path work = scratch / "work";
        const std::string run = base::newUuid7();
        ServeClient client(work);
        const auto id = client.begin("follow", {{"run", run}});
        QVERIFY(client.nextOf(id)->header["caught_up"].get<bool>());
        const auto write = [&](const std::string& place, const std::string& bytes) {
            std::filesystem::create_directories((work / "runs" / run / place).parent_path());
            std::ofstream(work / "runs" / run / place, std::ios::binary | std::ios::app) << bytes;
        };
        write("a1/n0/stream/000001.jsonl", "one\n");
        auto frame = client.nextOf(id);
        QVERIFY(frame.has_value());
        QCOMPARE(frame->payload, std::string("one\n"));
        QVERIFY(client.nextOf(id)->header.contains("caught_up"));
        write("a2/n3/stream/000001.jsonl", "other node\n");
        write("a1/n0/stream/000001.jsonl", "two\n");
        write("a1/n0/stream/000002.jsonl", "three\n");
        std::string told;
        bool closed = false;
        // It may have caught up in between, more than once.
        const auto whole = [&] {
            return closed && told.find("three") != std::string::npos && told.find("other node") != std::string::npos;
        };
        while (!whole()) {
            const auto next = client.nextOf(id, 3000);
            if (!next) break;
            const Json place{next->header["attempt"], next->header["node"], next->header["segment"]};
            told += base::dumpJson(place) + next->payload;
            closed = closed || next->header.contains("closed");
        }
        QVERIFY(closed);
        QVERIFY2(told.find("[1,0,1]two\n") != std::string::npos, told.c_str());
        QVERIFY2(told.find("[1,0,2]three\n") != std::string::npos, told.c_str());
        QVERIFY2(told.find("[2,3,1]other node\n") != std::string::npos, told.c_str());
    }

    void follow_keepsToTheWindow_andCarriesWhatTheFieldsSay() {
        test::Scratch scratch;
        const Path work = scratch / "work";
        const std::string run = base::newUuid7();
        const Path stream = work / "runs" / run / "a1/n0/stream";
        std::filesystem::create_directories(stream);
        std::string bytes(12 << 20, '\0');
        for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 2654435761U >> 13);
        std::ofstream(stream / "000001.jsonl", std::ios::binary) << bytes;
        ServeClient client(work);
        const auto id = client.begin("follow", {{"run", run}});
        std::string got;
        while (const auto frame = client.nextOf(id, 500)) got += frame->payload;
        QVERIFY2(got.size() > 2 << 20 && static_cast<std::int64_t>(got.size()) <= wire::kServeWindow,
                 std::to_string(got.size()).c_str());
        client.send({{"id", id}, {"ack", 1'000'000'000}});  // More than was sent counts as all of it.
        while (got.size() < bytes.size()) {
            const auto frame = client.nextOf(id, 3000);
            QVERIFY(frame.has_value());
            got += frame->payload;
            client.send({{"id", id}, {"ack", got.size()}});
        }
        QVERIFY(got == bytes);
        const auto short_ = client.call(
            "follow",
            {{"run", run}, {"from", {{{"attempt", 1}, {"node", 0}, {"segment", 1}, {"offset", bytes.size() + 1}}}}});
        QCOMPARE(short_.code(), std::string("target.stream"));
    }

    void absentRunsAndPathsThatLeadElsewhere_areRefused() {
        test::Scratch scratch;
        const Path work = scratch / "work";
        ServeClient client(work);
        const std::string run = base::newUuid7();
        QCOMPARE(client.call("start", {{"run", run}, {"attempt", 1}, {"node", 0}}).code(),
                 std::string("target.missing"));
        QCOMPARE(client.call("outputs", {{"run", run}}).code(), std::string("target.missing"));
        QCOMPARE(client.call("download", {{"run", run}, {"path", "a"}}).code(), std::string("target.missing"));
        const auto look = client.call("look", {{"run", run}});
        QVERIFY(look.ok());
        QVERIFY(!look.header["folder"].get<bool>());
        QVERIFY(look.header["nodes"].empty());

        const Path outputs = work / "runs" / run / "outputs";
        std::filesystem::create_directories(outputs);
        scratch.write("secret", "s");
        std::filesystem::create_symlink(scratch / "secret", outputs / "link");
        std::filesystem::create_directory_symlink(scratch.path(), outputs / "folder");
        QCOMPARE(::mkfifo((outputs / "pipe").c_str(), 0600), 0);
        QVERIFY(client.call("outputs", {{"run", run}}).header["files"].empty());
        for (const std::string path : {"link", "folder/secret", "../outputs/link", "/etc/passwd", "a/../../x"}) {
            QCOMPARE(client.call("download", {{"run", run}, {"path", path}}).code(), std::string("target.path"));
        }
        QCOMPARE(client.call("download", {{"run", run}, {"path", "pipe"}}).code(), std::string("file.kind"));
        scratch.write("work/runs/" + run + "/outputs/x", "abc");
        for (const bool hash : {true, false}) {
            QCOMPARE(client.call("download", {{"run", run}, {"path", "x"}, {"offset", 4}, {"hash", hash}}).code(),
                     std::string("target.range"));
        }
    }

    void planThatIsBad_failsItsRunNotTheChannel() {
        test::Scratch scratch;
        const Path work = scratch / "work";
        ServeClient client(work);
        const std::string run = base::newUuid7();
        QVERIFY(
            client.call("put", {{"run", run}, {"attempt", 1}, {"files", {{{"name", "plan.json"}, {"size", 3}}}}}, "{x}")
                .ok());
        QVERIFY(client.call("start", {{"run", run}, {"attempt", 1}}).ok());
        const auto id = client.begin("follow", {{"run", run}});
        Collected collected;
        QVERIFY(followToEnd(client, id, collected));
        QVERIFY(collected.of("[1,0,1]").find("\"outcome\":\"failed\"") != std::string::npos);
        QCOMPARE(client.call("start", {{"run", run}, {"attempt", 1}, {"wait_lead", 3000}}).code(),
                 std::string("target.lead"));
    }
};

QTEST_GUILESS_MAIN(TestServeRuns)
#include "tst_ServeRuns.moc"
