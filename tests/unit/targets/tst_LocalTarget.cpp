#include <sys/stat.h>
#include <unistd.h>

#include <QTest>
#include <fstream>
#include <optional>

#include "core/base/Hash.h"
#include "core/base/Process.h"
#include "core/targets/LocalFiles.h"
#include "core/targets/LocalTarget.h"
#include "core/wire/RunStream.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Wait.h"

using namespace trainyard;
using namespace trainyard::targets;

namespace {

base::Deadline soon() {
    return base::Deadline::inMillis(5000);
}

void append(const base::Path& file, std::string_view bytes) {
    std::ofstream(file, std::ios::app | std::ios::binary) << bytes;
}

}  // namespace

class TestLocalTarget : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_target = std::make_unique<LocalTarget>(LocalTargetOptions{*m_scratch / "work", *m_scratch / "bin", 10});
        m_node.run = base::RunId::make();
        m_folder = wire::WorkLayout{*m_scratch / "work"}.attemptNode(m_node.run, 1, 0);
    }
    void cleanup() {
        m_target.reset();
        QVERIFY2(m_guard.noneLeft(), m_guard.report().c_str());
    }

    void deploy_namesWhatIsMissing() {
        const auto programs = await<Programs>([&](auto done) { return m_target->deploy(soon(), done); });
        QVERIFY(!programs.ok());
        QCOMPARE(programs.error().code, "target.program");
        makeProgram("trainyard-agent", "exit 0");
        const auto now = await<Programs>([&](auto done) { return m_target->deploy(soon(), done); });
        QVERIFY(now.ok());
        QCOMPARE(now->agent, (*m_scratch / "bin/trainyard-agent").string());
        QVERIFY(now->engine.empty());
    }

    void putFiles_makesTheFolder() {
        const auto put = await<void>([&](auto done) {
            return m_target->putFiles(m_node, {{"plan.json", "{}"}, {"spec.json", "[]"}}, soon(), done);
        });
        QVERIFY(put.ok());
        QCOMPARE(base::readFile(m_folder / "plan.json").valueOr(""), "{}");
        QCOMPARE(base::readFile(m_folder / "spec.json").valueOr(""), "[]");
    }

    void look_tellsTheStatesApart() {
        QCOMPARE(lookNow(), AgentStatus::FolderMissing);
        QVERIFY(base::makeDirs(m_folder).ok());
        QCOMPARE(lookNow(), AgentStatus::NotStarted);
        base::ProcessIdentity identity = *base::identify(::getpid());
        writeAgent(identity);
        QCOMPARE(lookNow(), AgentStatus::Alive);
        identity.startTicks += 1;
        writeAgent(identity);
        QCOMPARE(lookNow(), AgentStatus::Gone);
        identity.bootId = "00000000-0000-0000-0000-000000000000";
        writeAgent(identity);
        QCOMPARE(lookNow(), AgentStatus::OtherBoot);
    }

    void startAgent_passesTheFolder() {
        makeProgram("trainyard-agent", "printf '%s|' \"$@\" > \"$2/said\"");
        QVERIFY(base::makeDirs(m_folder).ok());
        const auto started = await<void>([&](auto done) { return m_target->startAgent(m_node, soon(), done); });
        QVERIFY(started.ok());
        QCOMPARE(base::readFile(m_folder / "said").valueOr(""), "run|" + m_folder.string() + "|--detach|");
    }

    void startAgent_reportsItsWords() {
        makeProgram("trainyard-agent", "echo 'no plan here' >&2; exit 3");
        const auto started = await<void>([&](auto done) { return m_target->startAgent(m_node, soon(), done); });
        QCOMPARE(started.error().code, "target.program");
        QVERIFY(started.error().message.find("status 3") != std::string::npos);
        QVERIFY(started.error().message.find("no plan here") != std::string::npos);
    }

    void startAgent_hasADeadline() {
        makeProgram("trainyard-agent", "exec sleep 60");
        const auto started = await<void>(
            [&](auto done) { return m_target->startAgent(m_node, base::Deadline::inMillis(100), done); });
        QCOMPARE(started.error().code, "target.deadline");
    }

    void destroyedOperation_staysSilent() {
        makeProgram("trainyard-agent", "exec sleep 60");
        bool called = false;
        auto start = m_target->startAgent(m_node, soon(), [&](const Status&) { called = true; });
        auto put = m_target->putFiles(m_node, {{"a", "b"}}, soon(), [&](const Status&) { called = true; });
        put.reset();
        QTest::qWait(50);
        start.reset();
        QTest::qWait(50);
        QVERIFY(!called);
    }

    void sendCommand_leavesAFile() {
        const auto missing = await<void>([&](auto done) { return m_target->sendCommand(m_node, "cancel", soon(), done); });
        QCOMPARE(missing.error().code, "target.unreachable");
        QVERIFY(base::makeDirs(m_folder).ok());
        const auto sent = await<void>([&](auto done) { return m_target->sendCommand(m_node, "cancel", soon(), done); });
        QVERIFY(sent.ok());
        QVERIFY(std::filesystem::exists(m_folder / "control/cancel"));
    }

    void followStream_deliversEveryByteInOrder() {
        const base::Path stream = m_folder / "stream";
        QVERIFY(base::makeDirs(stream).ok());
        std::string got[2];
        int segment = 1;
        int caughtUp = 0;
        bool inOrder = true;
        const auto follow = m_target->followStream(
            m_node, 1, 0,
            [&](StreamChunk chunk) {
                inOrder = inOrder && chunk.segment == segment &&
                          chunk.offset == static_cast<std::int64_t>(got[segment - 1].size());
                got[segment - 1] += chunk.bytes;
                segment += chunk.closed ? 1 : 0;
                caughtUp += chunk.caughtUp ? 1 : 0;
            },
            [](const base::Error& error) { QFAIL(error.message.c_str()); });
        QVERIFY(test::waitFor([&] { return caughtUp == 1; }));
        std::string expected;
        for (int i = 0; i < 50; ++i) {
            const std::string piece(static_cast<std::size_t>(1 + i * 997 % 5000), static_cast<char>('a' + i % 26));
            append(stream / wire::segmentName(1), piece);
            expected += piece;
            if (i % 7 == 0) {
                QTest::qWait(3);
            }
        }
        append(stream / wire::segmentName(2), "second");
        QVERIFY(test::waitFor([&] { return got[1] == "second"; }));
        QCOMPARE(got[0], expected);
        QVERIFY(inOrder);
    }

    void followStream_goesOnFromAPosition() {
        const base::Path stream = m_folder / "stream";
        QVERIFY(base::makeDirs(stream).ok());
        append(stream / wire::segmentName(3), "0123456789");
        std::string got;
        const auto follow = m_target->followStream(
            m_node, 3, 4, [&](StreamChunk chunk) { got += chunk.bytes; }, [](const base::Error&) {});
        QVERIFY(test::waitFor([&] { return got == "456789"; }));
    }

    void followStream_refusesAShortenedSegment() {
        const base::Path stream = m_folder / "stream";
        QVERIFY(base::makeDirs(stream).ok());
        append(stream / wire::segmentName(1), "abc");
        std::optional<base::Error> error;
        const auto follow = m_target->followStream(
            m_node, 1, 100, [](const StreamChunk&) {}, [&](const base::Error& said) { error = said; });
        QVERIFY(test::waitFor([&] { return error.has_value(); }));
        QCOMPARE(error->code, "target.stream");
    }

    void fetchOutputs_checksEachFile() {
        const base::Path from = wire::WorkLayout{*m_scratch / "work"}.outputs(m_node.run);
        QVERIFY(base::makeDirs(from / "deep").ok());
        append(from / "good", "good");
        append(from / "deep/also", "also good");
        append(from / "changed", "before!");
        const std::vector<OutputFile> files{{"good", 4, base::sha256Hex("good")},
                                            {"deep/also", 9, base::sha256Hex("also good")},
                                            {"changed", 7, base::sha256Hex("another")},
                                            {"gone", 1, base::sha256Hex("x")},
                                            {"../out", 1, base::sha256Hex("x")}};
        const base::Path into = *m_scratch / "outputs";
        const auto report =
            await<FetchReport>([&](auto done) { return m_target->fetchOutputs(m_node.run, files, into, {}, done); });
        QVERIFY(report.ok());
        QCOMPARE(report->brought.size(), std::size_t{2});
        QCOMPARE(report->lost.size(), std::size_t{3});
        QCOMPARE(report->lost[0].code, "target.hash");
        QCOMPARE(report->lost[1].code, "target.missing");
        QCOMPARE(report->lost[2].code, "target.path");
        QCOMPARE(base::readFile(into / "deep/also").valueOr(""), "also good");
        QVERIFY(!std::filesystem::exists(into / "changed"));
        QVERIFY(std::filesystem::equivalent(from / "good", into / "good"));  // One file, two names: no space is used twice.
        // Once more: nothing is brought twice, and a damaged copy is replaced.
        QVERIFY(base::removeTree(into / "good").ok());
        append(into / "good", "bad!");
        const auto again =
            await<FetchReport>([&](auto done) { return m_target->fetchOutputs(m_node.run, files, into, {}, done); });
        QCOMPARE(again->brought.size(), std::size_t{2});
        QCOMPARE(base::readFile(into / "good").valueOr(""), "good");
    }

    void listAndRemoveRun() {
        QVERIFY(base::makeDirs(m_folder).ok());
        QVERIFY(base::makeDirs(*m_scratch / "work/runs/not-a-run").ok());
        const auto runs = await<std::vector<base::RunId>>([&](auto done) { return m_target->listRuns(soon(), done); });
        QCOMPARE(runs->size(), std::size_t{1});
        QCOMPARE(runs->front(), m_node.run);
        QVERIFY(await<void>([&](auto done) { return m_target->removeRun(m_node.run, soon(), done); }).ok());
        QVERIFY(!std::filesystem::exists(m_folder));
    }

    void safeRelativePath_data() {
        QTest::addColumn<QByteArray>("path");
        QTest::addColumn<bool>("safe");
        QTest::newRow("plain") << QByteArray("a") << true;
        QTest::newRow("deep") << QByteArray("a/b.c/d") << true;
        QTest::newRow("dots in a name") << QByteArray("a..b/...c") << true;
        QTest::newRow("empty") << QByteArray() << false;
        QTest::newRow("absolute") << QByteArray("/etc/passwd") << false;
        QTest::newRow("up") << QByteArray("../a") << false;
        QTest::newRow("up inside") << QByteArray("a/../../b") << false;
        QTest::newRow("here") << QByteArray("./a") << false;
        QTest::newRow("folder") << QByteArray("a/") << false;
        QTest::newRow("newline") << QByteArray("a\nb") << false;
        QTest::newRow("zero byte") << QByteArray("a\0b", 3) << false;
    }
    void safeRelativePath() {
        QFETCH(QByteArray, path);
        QTEST(isSafeRelativePath(path.toStdString()), "safe");
    }

private:
    template <class T, class Start>
    Result<T> await(Start start) {
        std::optional<Result<T>> answer;
        const OperationPtr operation = start([&](const Result<T>& result) { answer = result; });
        if (!test::waitFor([&] { return answer.has_value(); }, 10'000)) {
            return base::Error{"test.timeout", "No answer came."};
        }
        return *answer;
    }
    AgentStatus lookNow() {
        return await<AgentStatus>([&](auto done) { return m_target->look(m_node, soon(), done); }).value();
    }
    void makeProgram(const char* name, const std::string& script) {
        const base::Path file = m_scratch->write(std::string("bin/") + name, "#!/bin/sh\n" + script + "\n");
        ::chmod(file.c_str(), 0700);
    }
    void writeAgent(const base::ProcessIdentity& identity) {
        const base::Json agent{{"format", "trainyard.agent"}, {"version", 1}, {"identity", base::toJson(identity)}};
        QVERIFY(base::writeFileAtomically(m_folder / "agent.json", base::dumpJson(agent)).ok());
    }

    test::ChildGuard m_guard;
    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<LocalTarget> m_target;
    NodeRef m_node;
    base::Path m_folder;
};

QTEST_GUILESS_MAIN(TestLocalTarget)
#include "tst_LocalTarget.moc"
