#include <sys/stat.h>
#include <unistd.h>

#include <QTest>
#include <fstream>
#include <map>
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

base::Deadline soon() { return base::Deadline::inMillis(5000); }

void append(const base::Path& file, std::string_view bytes) {
    std::ofstream(file, std::ios::app | std::ios::binary) << bytes;
}

}  // namespace

class TestLocalTarget : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_target = std::make_unique<LocalTarget>(
            LocalTargetOptions{*m_scratch / "work", *m_scratch / "bin", 10, *m_scratch / "slots"});
        m_run = base::RunId::make();
        m_work.root = *m_scratch / "work";
        m_folder = m_work.attemptNode(m_run, 1, 0);
    }
    void cleanup() {
        m_target.reset();
        QVERIFY2(m_guard.noneLeft(), m_guard.report().c_str());
    }

    void launch_namesWhatIsMissing() {
        const auto none = await<void>([&](auto done) { return m_target->launch(plan(), {}, done); });
        QCOMPARE(none.error().code, "target.program");
        QVERIFY(none.error().message.find("trainyard-agent") != std::string::npos);
        makeProgram("trainyard-agent", "exit 0");
        LaunchPlan training = plan();
        training.needsEngine = true;
        const auto noEngine = await<void>([&](auto done) { return m_target->launch(training, {}, done); });
        QCOMPARE(noEngine.error().code, "target.program");
        QVERIFY(noEngine.error().message.find("trainyard-engine") != std::string::npos);
        QVERIFY(!std::filesystem::exists(m_folder));
    }

    void launch_placesTheFilesAndStartsTheAgent() {
        makeProgram("trainyard-agent", "printf '%s|' \"$@\" > \"$2/said\"");
        makeProgram("trainyard-engine", "exit 0");
        LaunchPlan launch = plan();
        launch.needsEngine = true;
        launch.plan.command = {"$TRAINYARD_ENGINE", "train", "--spec", "$TRAINYARD_NODE_FOLDER/spec.json",
                               "$TRAINYARD_OUTPUTS"};
        launch.files = {{"spec.json", "[]"}};
        const base::Path object = m_scratch->write("objects/x", "print(1)");
        launch.hasSource = true;
        launch.source = {{"deep/a.py", base::sha256Hex("print(1)"), 8, false, object}};
        const base::Path data = m_scratch->write("data/train/images", "123");
        launch.inputs = {
            {"set",
             InputData::Origin::Here,
             "h1",
             {{"train/images", base::sha256Hex("123"), 3, data}},
             true,
             {},
             {},
             {}},
            {"one", InputData::Origin::Here, "h2", {{"images", base::sha256Hex("123"), 3, data}}, false, {}, {}, {}},
            {"there", InputData::Origin::OnTarget, "h3", {}, true, "/data/there", {}, {}}};
        QVERIFY(await<void>([&](auto done) { return m_target->launch(launch, {}, done); }).ok());
        QCOMPARE(base::readFile(m_folder / "said").valueOr(""), "run|" + m_folder.string() + "|--detach|");
        QCOMPARE(base::readFile(m_folder / "spec.json").valueOr(""), "[]");
        const auto placed =
            wire::planFromJson(base::parseJson(base::readFile(m_folder / "plan.json").value()).value()).value();
        QCOMPARE(placed.command,
                 (std::vector<std::string>{(*m_scratch / "bin/trainyard-engine").string(), "train", "--spec",
                                           "$TRAINYARD_NODE_FOLDER/spec.json", "$TRAINYARD_OUTPUTS"}));
        QCOMPARE(placed.outputsFolder, m_work.outputs(m_run).string());
        QCOMPARE(placed.slotsFolder, (*m_scratch / "slots").string());
        QCOMPARE(placed.workFolder, m_work.root.string());
        QCOMPARE(placed.inputs.size(), std::size_t{3});
        QCOMPARE(placed.inputs[0].path, (*m_scratch / "data").string());
        QCOMPARE(placed.inputs[1].path, data.string());
        QCOMPARE(placed.inputs[2].path, "/data/there");
        QVERIFY(placed.inputs[2].verify);
        const base::Json manifest = base::parseJson(base::readFile(m_folder / placed.sourceManifest).value()).value();
        QCOMPARE(manifest.at("files").at(0).at("path").get<std::string>(), "deep/a.py");
        QCOMPARE(base::readFile(m_work.object(base::sha256Hex("print(1)"))).valueOr(""), "print(1)");
        // Once more: what is there is left as it is, and the agent is asked again, which does nothing to one that runs.
        launch.files = {{"spec.json", "changed"}};
        QVERIFY(await<void>([&](auto done) { return m_target->launch(launch, {}, done); }).ok());
        QCOMPARE(base::readFile(m_folder / "spec.json").valueOr(""), "[]");
    }

    void launch_ofSeveralNodesGivesThemOneToken() {
        makeProgram("trainyard-agent", "touch \"$2/said\"");
        LaunchPlan launch = plan();
        launch.plan.nodes = 2;
        QVERIFY(await<void>([&](auto done) { return m_target->launch(launch, {}, done); }).ok());
        std::string token;
        for (int node = 0; node < 2; ++node) {
            const base::Path folder = m_work.attemptNode(m_run, 1, node);
            QVERIFY(std::filesystem::exists(folder / "said"));
            const auto placed =
                wire::planFromJson(base::parseJson(base::readFile(folder / "plan.json").value()).value()).value();
            QCOMPARE(placed.node, node);
            QVERIFY(placed.sharedFolder);
            QVERIFY(placed.token.size() >= 32);
            QVERIFY(token.empty() || token == placed.token);
            token = placed.token;
        }
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

    void launch_reportsTheAgentsWords() {
        makeProgram("trainyard-agent", "echo 'no plan here' >&2; exit 3");
        const auto started = await<void>([&](auto done) { return m_target->launch(plan(), {}, done); });
        QCOMPARE(started.error().code, "target.program");
        QVERIFY(started.error().message.find("status 3") != std::string::npos);
        QVERIFY(started.error().message.find("no plan here") != std::string::npos);
    }

    void revive_startsOnlyWhatDoesNotRun() {
        makeProgram("trainyard-agent", "touch \"$2/said\"");
        const auto missing = await<void>([&](auto done) { return m_target->revive(m_run, soon(), done); });
        QCOMPARE(missing.error().code, "target.missing");
        for (int node = 0; node < 2; ++node) {
            QVERIFY(base::makeDirs(m_work.attemptNode(m_run, 2, node)).ok());
        }
        QVERIFY(base::makeDirs(m_folder).ok());
        m_folder = m_work.attemptNode(m_run, 2, 0);
        writeAgent(*base::identify(::getpid()));
        QVERIFY(await<void>([&](auto done) { return m_target->revive(m_run, soon(), done); }).ok());
        QVERIFY(!std::filesystem::exists(m_folder / "said"));
        QVERIFY(std::filesystem::exists(m_work.attemptNode(m_run, 2, 1) / "said"));
        QVERIFY(!std::filesystem::exists(m_work.attemptNode(m_run, 1, 0) / "said"));
    }

    void revive_hasADeadline() {
        makeProgram("trainyard-agent", "exec sleep 60");
        QVERIFY(base::makeDirs(m_folder).ok());
        const auto started =
            await<void>([&](auto done) { return m_target->revive(m_run, base::Deadline::inMillis(100), done); });
        QCOMPARE(started.error().code, "target.deadline");
    }

    void destroyedOperation_staysSilent() {
        makeProgram("trainyard-agent", "exec sleep 60");
        bool called = false;
        auto start = m_target->launch(plan(), {}, [&](const Status&) { called = true; });
        auto look = m_target->look(m_run, soon(), [&](const Result<RunLook>&) { called = true; });
        look.reset();
        QTest::qWait(50);
        start.reset();
        QTest::qWait(50);
        QVERIFY(!called);
    }

    void command_leavesAFileForEveryNode() {
        const auto missing = await<void>([&](auto done) { return m_target->command(m_run, "cancel", soon(), done); });
        QCOMPARE(missing.error().code, "target.missing");
        QVERIFY(base::makeDirs(m_folder).ok());
        QVERIFY(base::makeDirs(m_work.attemptNode(m_run, 2, 0)).ok());
        QVERIFY(base::makeDirs(m_work.attemptNode(m_run, 2, 1)).ok());
        const auto sent = await<void>([&](auto done) { return m_target->command(m_run, "cancel", soon(), done); });
        QVERIFY(sent.ok());
        QVERIFY(!std::filesystem::exists(m_folder / "control/cancel"));
        QVERIFY(std::filesystem::exists(m_work.attemptNode(m_run, 2, 0) / "control/cancel"));
        QVERIFY(std::filesystem::exists(m_work.attemptNode(m_run, 2, 1) / "control/cancel"));
    }

    void follow_deliversEveryByteInOrder() {
        const base::Path stream = m_folder / "stream";
        QVERIFY(base::makeDirs(stream).ok());
        std::string got[2];
        int segment = 1;
        int caughtUp = 0;
        bool inOrder = true;
        const auto follow = m_target->follow(
            m_run, {},
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

    void follow_takesNewAttemptsAndNodes() {
        std::map<std::pair<int, int>, std::string> got;
        int caughtUp = 0;
        const auto follow = m_target->follow(
            m_run, {},
            [&](StreamChunk chunk) {
                got[{chunk.attempt, chunk.node}] += chunk.bytes;
                caughtUp += chunk.caughtUp ? 1 : 0;
            },
            [](const base::Error& error) { QFAIL(error.message.c_str()); });
        QVERIFY(test::waitFor([&] { return caughtUp == 1; }));
        const auto write = [&](int attempt, int node, const std::string& bytes) {
            const base::Path stream = wire::NodeLayout{m_work.attemptNode(m_run, attempt, node)}.stream();
            QVERIFY(base::makeDirs(stream).ok());
            append(stream / wire::segmentName(1), bytes);
        };
        write(1, 0, "one");
        QVERIFY(test::waitFor([&] { return got[std::pair(1, 0)] == "one"; }));
        write(1, 1, "two");
        write(1, 0, " more");
        QVERIFY(test::waitFor([&] { return got[std::pair(1, 1)] == "two" && got[std::pair(1, 0)] == "one more"; }));
        write(2, 0, "three");
        write(2, 1, "four");
        QVERIFY(test::waitFor([&] { return got[std::pair(2, 0)] == "three" && got[std::pair(2, 1)] == "four"; }));
        QVERIFY(test::waitFor([&] { return caughtUp > 1; }));
    }

    void follow_goesOnFromAPosition() {
        const base::Path stream = m_folder / "stream";
        QVERIFY(base::makeDirs(stream).ok());
        append(stream / wire::segmentName(3), "0123456789");
        std::string got;
        const auto follow = m_target->follow(
            m_run, {{1, 0, 3, 4}}, [&](StreamChunk chunk) { got += chunk.bytes; }, [](const base::Error&) {});
        QVERIFY(test::waitFor([&] { return got == "456789"; }));
    }

    void follow_refusesAShortenedSegment() {
        const base::Path stream = m_folder / "stream";
        QVERIFY(base::makeDirs(stream).ok());
        append(stream / wire::segmentName(1), "abc");
        std::optional<base::Error> error;
        const auto follow = m_target->follow(
            m_run, {{1, 0, 1, 100}}, [](const StreamChunk&) {}, [&](const base::Error& said) { error = said; });
        QVERIFY(test::waitFor([&] { return error.has_value(); }));
        QCOMPARE(error->code, "target.stream");
    }

    void fetchOutputs_checksEachFile() {
        const base::Path from = m_work.outputs(m_run);
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
            await<FetchReport>([&](auto done) { return m_target->fetchOutputs(m_run, files, into, {}, done); });
        QVERIFY(report.ok());
        QCOMPARE(report->brought.size(), std::size_t{2});
        QCOMPARE(report->lost.size(), std::size_t{3});
        QCOMPARE(report->lost[0].code, "target.hash");
        QCOMPARE(report->lost[1].code, "target.missing");
        QCOMPARE(report->lost[2].code, "target.path");
        QCOMPARE(base::readFile(into / "deep/also").valueOr(""), "also good");
        QVERIFY(!std::filesystem::exists(into / "changed"));
        QVERIFY(
            std::filesystem::equivalent(from / "good", into / "good"));  // One file, two names: no space is used twice.
        // Once more: nothing is brought twice, and a damaged copy is replaced.
        QVERIFY(base::removeTree(into / "good").ok());
        append(into / "good", "bad!");
        const auto again =
            await<FetchReport>([&](auto done) { return m_target->fetchOutputs(m_run, files, into, {}, done); });
        QCOMPARE(again->brought.size(), std::size_t{2});
        QCOMPARE(base::readFile(into / "good").valueOr(""), "good");
    }

    void listAndRemoveRun() {
        QVERIFY(base::makeDirs(m_folder).ok());
        QVERIFY(base::makeDirs(*m_scratch / "work/runs/not-a-run").ok());
        const auto runs = await<std::vector<base::RunId>>([&](auto done) { return m_target->listRuns(soon(), done); });
        QCOMPARE(runs->size(), std::size_t{1});
        QCOMPARE(runs->front(), m_run);
        QVERIFY(await<void>([&](auto done) { return m_target->removeRun(m_run, soon(), done); }).ok());
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
        return await<RunLook>([&](auto done) { return m_target->look(m_run, soon(), done); })->nodes.at(0).status;
    }
    void makeProgram(const char* name, const std::string& script) {
        const base::Path file = m_scratch->write(std::string("bin/") + name, "#!/bin/sh\n" + script + "\n");
        ::chmod(file.c_str(), 0700);
    }
    LaunchPlan plan() const {
        LaunchPlan launch;
        launch.plan.run = m_run;
        launch.plan.command = {"true"};
        return launch;
    }
    void writeAgent(const base::ProcessIdentity& identity) {
        const base::Json agent{{"format", "trainyard.agent"}, {"version", 1}, {"identity", base::toJson(identity)}};
        QVERIFY(base::writeFileAtomically(m_folder / "agent.json", base::dumpJson(agent)).ok());
    }

    test::ChildGuard m_guard;
    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<LocalTarget> m_target;
    base::RunId m_run;
    wire::WorkLayout m_work;
    base::Path m_folder;
};

QTEST_GUILESS_MAIN(TestLocalTarget)
#include "tst_LocalTarget.moc"
