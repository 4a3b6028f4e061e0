// One agent, one run: how it starts, what ranks get, how it ends.
#include "tests/helpers/Children.h"
#include "tests/unit/agent/AgentRig.h"

#include <sys/stat.h>

using namespace trainyard;
using namespace trainyard::test;

class TestAgentRun : public QObject {
    Q_OBJECT

private:
    /// Runs a plan to its end; the records of its stream.
    static std::vector<Record> carryOut(const AgentRig& rig, const wire::Plan& plan) {
        const NodeLayout layout = rig.place(plan);
        AgentProcess agent(layout);
        if (agent.wait() != 0) QTest::qFail("the agent did not end with 0", __FILE__, __LINE__);
        return recordsOf(layout);
    }

    /// Shell text with which a rank reports one client line; '$RANK' within the line's texts is its rank.
    static QByteArray say(const Json& line) {
        return "printf '%s\\n' '" + QByteArray::fromStdString(base::dumpJson(line)) + "' >> \"$TRAINYARD_STREAM\"; ";
    }

private Q_SLOTS:
    void init() { m_guard = std::make_unique<ChildGuard>(); }
    void cleanup() { QVERIFY2(m_guard->noneLeft(20'000), m_guard->report().c_str()); }

    void completed_inOrder() {
        Scratch scratch;
        AgentRig rig(scratch);
        const auto plan = rig.shellPlan("echo hello; echo oops >&2; echo data > \"$TRAINYARD_OUTPUTS/a.txt\"", 2);
        const auto records = carryOut(rig, plan);
        QCOMPARE(records.front().kind, std::string(wire::kind::kAttempt));
        const Json& attempt = records.front().body;
        QCOMPARE(attempt["world_size"].get<int>(), 2);
        QCOMPARE(textOf(attempt, "run"), plan.run.str());
        for (const char* member : {"host", "kernel", "cores", "memory_bytes", "agent", "identity"}) {
            QVERIFY2(attempt.contains(member), member);
        }
        QCOMPARE(statesOf(records), std::string("Preparing Queued Running Finalizing"));
        QCOMPARE(records.back().kind, std::string(wire::kind::kEnded));
        const Json ended = endedOf(records);
        QCOMPARE(textOf(ended, "outcome"), std::string("completed"));
        QCOMPARE(ended["ranks"].size(), std::size_t(2));
        QCOMPARE(ended["ranks"][1]["exit"].get<int>(), 0);
        QCOMPARE(ended["outputs"].size(), std::size_t(1));
        QCOMPARE(textOf(ended["outputs"][0], "path"), std::string("a.txt"));
        QCOMPARE(ended["outputs"][0]["size"].get<int>(), 5);
        for (const int rank : {0, 1}) {
            QCOMPARE(linesOf(records, rank, "stdout"), std::vector<std::string>{"hello"});
            QCOMPARE(linesOf(records, rank, "stderr"), std::vector<std::string>{"oops"});
        }
        for (std::size_t i = 0; i < records.size(); ++i) QCOMPARE(records[i].seq, static_cast<std::int64_t>(i) + 1);
        QVERIFY(!ofKind(records, wire::kind::kSystem).empty());
        // The queue is left.
        QVERIFY(!std::filesystem::exists(rig.root() / "slots" / (plan.run.str() + "-a1-n0.ticket")));
    }

    void endedAlready_changesNothing() {
        Scratch scratch;
        AgentRig rig(scratch);
        const NodeLayout layout = rig.place(rig.shellPlan("true"));
        QCOMPARE(AgentProcess(layout).wait(), 0);
        const auto before = recordsOf(layout).size();
        QCOMPARE(AgentProcess(layout).wait(), 0);
        QCOMPARE(recordsOf(layout).size(), before);
    }

    void exitStatus_failsTheRun_andEndsTheOthers() {
        Scratch scratch;
        AgentRig rig(scratch);
        const auto plan =
            rig.shellPlan("if [ $RANK = 1 ]; then echo first >&2; echo 'bad thing' >&2; exit 3; fi; exec sleep 60", 2);
        const Json ended = endedOf(carryOut(rig, plan));
        QCOMPARE(textOf(ended, "outcome"), std::string("failed"));
        QCOMPARE(textOf(ended, "code"), std::string("rank.exit"));
        QCOMPARE(textOf(ended, "reason"), std::string("Rank 1 ended with exit status 3."));
        QCOMPARE(ended["stderr"]["rank"].get<int>(), 1);
        QCOMPARE(ended["stderr"]["lines"], Json::array({"first", "bad thing"}));
        QCOMPARE(ended["ranks"][0]["signal"].get<int>(), SIGTERM);
        QVERIFY(ended["ranks"][0]["stopped"].get<bool>());
        QCOMPARE(ended["ranks"][1]["exit"].get<int>(), 3);
    }

    void lastWords_areTheReason_data() {
        QTest::addColumn<QByteArray>("script");
        QTest::addColumn<int>("processes");
        QTest::addColumn<QByteArray>("code");
        QTest::addColumn<QByteArray>("reason");
        const auto warning = [](const char* warningCode, const char* message) {
            return say(Json{{"kind", "warning"}, {"code", warningCode}, {"message", message}, {"fatal", true}});
        };
        const QByteArray harmless = say(Json{{"kind", "warning"}, {"code", "x"}, {"message", "Careful."}});
        const auto conclusion = [](const char* message) {
            return say(Json{{"kind", "conclusion"}, {"message", message}});
        };
        const QByteArray nan = warning("train.nan", "The loss became NaN.\nHelp.");
        const QByteArray exitCode("rank.exit");
        QTest::newRow("fatal") << nan + "exit 3" << 1 << QByteArray("train.nan") << QByteArray("The loss became NaN.");
        QTest::newRow("a later warning is none")
            << nan + harmless + "exit 3" << 1 << QByteArray("train.nan") << QByteArray("The loss became NaN.");
        QTest::newRow("without a code") << warning("", "No data.") + "exit 1" << 1 << exitCode
                                        << QByteArray("No data.");
        QTest::newRow("of the rank that failed first")
            << warning("c'$RANK'", "I am '$RANK'.") + "[ $RANK = 1 ] && exit 1; sleep 60" << 2 << QByteArray("c1")
            << QByteArray("Rank 1: I am 1.");
        QTest::newRow("only a warning") << harmless + "exit 3" << 1 << exitCode
                                        << QByteArray("Rank 0 ended with exit status 3.");
        QTest::newRow("fatal, but it ended well")
            << nan << 1 << QByteArray("train.nan") << QByteArray("The loss became NaN.");
        QTest::newRow("conclusion") << conclusion("Trained 4 epochs.") << 1 << QByteArray()
                                    << QByteArray("Trained 4 epochs.");
        QTest::newRow("rank 0 concludes") << conclusion("I am '$RANK'.") << 2 << QByteArray() << QByteArray("I am 0.");
        QTest::newRow("concluded, but it failed")
            << conclusion("Trained.") + "exit 2" << 1 << exitCode << QByteArray("Rank 0 ended with exit status 2.");
    }
    void lastWords_areTheReason() {
        QFETCH(QByteArray, script);
        QFETCH(int, processes);
        QFETCH(QByteArray, code);
        QFETCH(QByteArray, reason);
        Scratch scratch;
        AgentRig rig(scratch);
        const Json ended = endedOf(carryOut(rig, rig.shellPlan(script.toStdString(), processes)));
        QCOMPARE(textOf(ended, "reason"), reason.toStdString());
        QCOMPARE(ended.value("code", std::string()), code.toStdString());
    }

    void lastWords_surviveTheAgent() {
        Scratch scratch;
        AgentRig rig(scratch);
        const QByteArray why = say(Json{{"kind", "warning"}, {"code", "c"}, {"message", "Why."}, {"fatal", true}});
        const auto plan = rig.shellPlan(why.toStdString() + "while [ ! -e \"" + (scratch / "go").string() +
                                        "\" ]; do sleep 0.02; done; exit 1");
        const NodeLayout layout = rig.place(plan);
        {
            AgentProcess agent(layout);
            QVERIFY(waitFor([&] { return ofKind(recordsOf(layout), wire::kind::kWarning).size() == 1; }));
            agent.kill(SIGKILL);
        }
        scratch.write("go", "");
        QCOMPARE(AgentProcess(layout).wait(), 0);
        QCOMPARE(textOf(endedOf(recordsOf(layout)), "reason"), std::string("Why."));
    }

    void engine_statusSpeaksWhereWordsWereLost() {
        Scratch scratch;
        AgentRig rig(scratch);
        auto plan = rig.shellPlan("exit 5");
        plan.engine = true;
        const Json ended = endedOf(carryOut(rig, plan));
        QCOMPARE(textOf(ended, "code"), std::string("file.full"));
        QCOMPARE(textOf(ended, "reason"), std::string("Rank 0 could not write its files; the disk is full or was."));
    }

    void signal_isNamedInWords() {
        Scratch scratch;
        AgentRig rig(scratch);
        const Json ended = endedOf(carryOut(rig, rig.shellPlan("[ $RANK = 0 ] && sleep 60; kill -9 $$", 2)));
        QCOMPARE(textOf(ended, "reason"),
                 std::string("Rank 1 was killed by signal 9 (SIGKILL); out of memory is a common cause."));
        QCOMPARE(textOf(ended, "code"), std::string("rank.signal"));
        QCOMPARE(ended["ranks"][1]["signal"].get<int>(), SIGKILL);
    }

    void spawn_failures_data() {
        QTest::addColumn<QByteArray>("command");
        QTest::addColumn<QByteArray>("reason");
        QTest::newRow("missing") << QByteArray("/no/such/program")
                                 << QByteArray("the command /no/such/program does not exist");
        QTest::newRow("not in PATH") << QByteArray("no-such-program")
                                     << QByteArray("the command \"no-such-program\" was not found in PATH");
        QTest::newRow("not executable") << QByteArray("/etc/passwd")
                                        << QByteArray("is not executable (permission denied)");
        QTest::newRow("a folder") << QByteArray("/tmp") << QByteArray("is not executable (permission denied)");
    }
    void spawn_failures() {
        QFETCH(QByteArray, command);
        QFETCH(QByteArray, reason);
        Scratch scratch;
        AgentRig rig(scratch);
        const Json ended = endedOf(carryOut(rig, rig.commandPlan({command.toStdString()}, 2)));
        QCOMPARE(textOf(ended, "outcome"), std::string("failed"));
        QCOMPARE(textOf(ended, "code"), std::string("rank.spawn"));
        QVERIFY2(textOf(ended, "reason").find(reason.toStdString()) != std::string::npos,
                 textOf(ended, "reason").c_str());
        QVERIFY(textOf(ended, "reason").starts_with("Rank "));
    }

    void spawn_missingInterpreterAndFolder() {
        Scratch scratch;
        AgentRig rig(scratch);
        const Path script = scratch.write("script", "#!/no/such/interpreter\n");
        ::chmod(script.c_str(), 0700);
        auto plan = rig.commandPlan({script.string()});
        QVERIFY(textOf(endedOf(carryOut(rig, plan)), "reason").find("the interpreter or loader") != std::string::npos);
        plan = rig.shellPlan("true");
        plan.workingFolder = "/no/such/folder";
        QVERIFY(textOf(endedOf(carryOut(rig, plan)), "reason")
                    .find("its working folder /no/such/folder cannot be entered") != std::string::npos);
    }

    void variables_andArguments() {
        Scratch scratch;
        AgentRig rig(scratch);
        auto plan =
            rig.commandPlan({"/usr/bin/printf", "%s|", "$MY_NAME", "${MY_NAME}/x", "$RANK", "$UNKNOWN", "a b"}, 2);
        plan.variables = {{"MY_NAME", "with space"}};
        plan.workingFolder = scratch.path().string();
        const auto records = carryOut(rig, plan);
        QCOMPARE(linesOf(records, 1, "stdout"), std::vector<std::string>{"with space|with space/x|1|$UNKNOWN|a b|"});

        auto env = rig.shellPlan("pwd; env | sort", 2);
        env.workingFolder = scratch.path().string();
        const auto envRecords = carryOut(rig, env);
        const auto lines = linesOf(envRecords, 1, "stdout");
        const auto has = [&](const std::string& line) {
            return std::find(lines.begin(), lines.end(), line) != lines.end();
        };
        QCOMPARE(lines.front(), scratch.path().string());
        QVERIFY(has("RANK=1") && has("LOCAL_RANK=1") && has("WORLD_SIZE=2") && has("LOCAL_WORLD_SIZE=2"));
        QVERIFY(has("MASTER_ADDR=127.0.0.1") && has("AZ_BATCHAI_TASK_INDEX=1"));
        QVERIFY(has("TRAINYARD_RUN_ID=" + env.run.str()) && has("TRAINYARD_OUTPUTS=" + env.outputsFolder));
        const auto port = [&](int rank) {
            for (const std::string& line : linesOf(envRecords, rank, "stdout")) {
                if (line.starts_with("MASTER_PORT=")) return line;
            }
            return std::string();
        };
        QVERIFY(port(0).size() > 12 && port(0) != "MASTER_PORT=0");
        QCOMPARE(port(0), port(1));
    }

    void rank_hasNoOpenFilesOfTheAgent() {
        Scratch scratch;
        AgentRig rig(scratch);
        const auto lines = linesOf(carryOut(rig, rig.shellPlan("ls /proc/self/fd | tr '\\n' ' '")), 0, "stdout");
        QCOMPARE(lines, std::vector<std::string>{"0 1 2 3 "});  // 3 is ls itself reading the folder.
    }

    void badPlan_endsWithAReason_data() {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<QByteArray>("part");
        QTest::newRow("no JSON") << QByteArray("{\"format\":") << QByteArray("The plan of this run cannot be used");
        QTest::newRow("other format") << QByteArray("{\"format\":\"x\",\"version\":1}") << QByteArray("trainyard.plan");
        QTest::newRow("newer") << QByteArray("{\"format\":\"trainyard.plan\",\"version\":99}") << QByteArray("99");
        QTest::newRow("no command") << QByteArray("{\"format\":\"trainyard.plan\",\"version\":1}")
                                    << QByteArray("cannot be used");
    }
    void badPlan_endsWithAReason() {
        QFETCH(QByteArray, text);
        QFETCH(QByteArray, part);
        Scratch scratch;
        AgentRig rig(scratch);
        const NodeLayout layout = rig.placeText("bad", text.toStdString());
        QCOMPARE(AgentProcess(layout).wait(), 0);
        const auto records = recordsOf(layout);
        QCOMPARE(records.front().kind, std::string(wire::kind::kAttempt));
        QCOMPARE(textOf(endedOf(records), "outcome"), std::string("failed"));
        QVERIFY2(textOf(endedOf(records), "reason").find(part.toStdString()) != std::string::npos,
                 textOf(endedOf(records), "reason").c_str());
    }

    void severalNodesWithoutAToken_andMissingGpus_areRefused() {
        Scratch scratch;
        AgentRig rig(scratch);
        auto plan = rig.shellPlan("true");
        plan.nodes = 2;
        QCOMPARE(textOf(endedOf(carryOut(rig, plan)), "code"), std::string("agent.token"));
        plan = rig.shellPlan("true");
        plan.gpus = 60'000;
        QCOMPARE(textOf(endedOf(carryOut(rig, plan)), "code"), std::string("agent.gpus"));
    }

    void moreCoresThanThereAre_areCut() {
        Scratch scratch;
        AgentRig rig(scratch);
        auto plan = rig.shellPlan("true");
        plan.cores = 60'000;
        const auto records = carryOut(rig, plan);
        const auto warnings = ofKind(records, wire::kind::kWarning);
        QCOMPARE(warnings.size(), std::size_t(1));
        QCOMPARE(textOf(warnings[0].body, "code"), std::string("slots.cut"));
        QCOMPARE(textOf(endedOf(records), "outcome"), std::string("completed"));
    }

    void secondAgent_isTurnedAway() {
        Scratch scratch;
        AgentRig rig(scratch);
        const NodeLayout layout =
            rig.place(rig.shellPlan("while [ ! -e '" + (scratch / "go").string() + "' ]; do sleep 0.02; done"));
        AgentProcess first(layout);
        QVERIFY(waitFor([&] { return !recordsOf(layout).empty(); }));
        const auto second = runProgram(builtProgram("trainyard-agent"), {"run", layout.root.string()});
        QCOMPARE(second.exitCode, 3);
        QVERIFY2(second.err.find("Another agent is at work") != std::string::npos, second.err.c_str());
        scratch.write("go", "");
        QCOMPARE(first.wait(), 0);
    }

    void detach_answersAndGoesOn() {
        Scratch scratch;
        AgentRig rig(scratch);
        const NodeLayout layout =
            rig.place(rig.shellPlan("while [ ! -e '" + (scratch / "go").string() + "' ]; do sleep 0.02; done"));
        // Descriptors above 2 and the pipes on 1 and 2 must not stay open in the agent: reading ends at once.
        const auto result = runProgram(builtProgram("trainyard-agent"), {"run", layout.root.string(), "--detach"});
        QCOMPARE(result.exitCode, 0);
        QCOMPARE(recordsOf(layout).front().kind, std::string(wire::kind::kAttempt));
        const auto again = runProgram(builtProgram("trainyard-agent"), {"run", layout.root.string(), "--detach"});
        QCOMPARE(again.exitCode, 3);
        QVERIFY(again.err.find("Another agent is at work") != std::string::npos);
        QVERIFY(endedOf(recordsOf(layout)).empty());
        scratch.write("go", "");
        QVERIFY(waitFor([&] { return !endedOf(recordsOf(layout)).empty(); }, 10'000));
        QCOMPARE(textOf(endedOf(recordsOf(layout)), "outcome"), std::string("completed"));
    }

    void detach_tellsAnError() {
        Scratch scratch;
        scratch.write("run/a1/n0/plan.json", "{}");
        scratch.write("run/a1/n0/stream", "a file where the folder belongs");
        const auto result =
            runProgram(builtProgram("trainyard-agent"), {"run", (scratch / "run/a1/n0").string(), "--detach"});
        QCOMPARE(result.exitCode, 1);
        QVERIFY2(result.err.find("stream is not a folder") != std::string::npos, result.err.c_str());
    }

    void commandLine() {
        const Path agent = builtProgram("trainyard-agent");
        QCOMPARE(runProgram(agent, {}).exitCode, 2);
        QCOMPARE(runProgram(agent, {"dance"}).exitCode, 2);
        QCOMPARE(runProgram(agent, {"run"}).exitCode, 2);
        QCOMPARE(runProgram(agent, {"run", "/tmp", "--unknown"}).exitCode, 2);
        QCOMPARE(runProgram(agent, {"run", "/tmp", "--disk-full-seconds", "x"}).exitCode, 2);
        QCOMPARE(runProgram(agent, {"shim", "/tmp"}).exitCode, 2);
        QCOMPARE(runProgram(agent, {"run", "/no/such/folder"}).exitCode, 1);
        QVERIFY(runProgram(agent, {"--help"}).out.starts_with("Usage: trainyard-agent"));
        QVERIFY(runProgram(agent, {"--version"}).out.starts_with("trainyard-agent "));
        const auto info = runProgram(agent, {"info", "--json"});
        QCOMPARE(info.exitCode, 0);
        const auto json = base::parseJson(info.out);
        QVERIFY(json.ok());
        QVERIFY((*json)["cores"].get<int>() >= 1);
        QVERIFY((*json)["memory_bytes"].get<std::int64_t>() > (64 << 20));
        QCOMPARE((*json)["protocol"].get<int>(), 1);
    }

private:
    std::unique_ptr<ChildGuard> m_guard;
};

QTEST_GUILESS_MAIN(TestAgentRun)
#include "tst_AgentRun.moc"
