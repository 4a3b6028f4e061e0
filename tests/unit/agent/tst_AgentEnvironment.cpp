// Environments: built once, shared, cached, given up cleanly at any moment; what is secret stays so.
#include <sys/mount.h>
#include <sys/stat.h>

#include <functional>
#include <tuple>

#include "core/agent/Environment.h"
#include "core/agent/Masker.h"
#include "core/base/Text.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Skip.h"
#include "tests/unit/agent/EnvironmentRig.h"
#include "tests/unit/agent/GpuStandIn.h"
#include "tests/unit/agent/ServeRig.h"

using namespace trainyard;
using namespace trainyard::test;

class TestAgentEnvironment : public QObject {
    Q_OBJECT

private:
    static std::string quoted(const Path& path) { return "'" + path.string() + "'"; }
    static std::string waitFor(const Path& path) { return "while [ ! -e " + quoted(path) + " ]; do sleep 0.02; done"; }

private Q_SLOTS:
    void init() { m_guard = std::make_unique<ChildGuard>(); }
    void cleanup() { QVERIFY2(m_guard->noneLeft(20'000), m_guard->report().c_str()); }

    void build_isToldAndKept_andUsedAgain() {
        Scratch scratch;
        EnvironmentRig rig(scratch);
        auto plan = rig.plan("tools:1",
                             {"echo making tools; cat sub/words.txt; mkdir bin; printf '#!/bin/sh\\necho tool $1\\n' > "
                              "bin/tool; echo x >> " +
                                  quoted(scratch / "built"),
                              "chmod +x bin/tool; echo to stderr >&2; [ \"$TRAINYARD_ENVIRONMENT\" = \"$PWD\" ]"},
                             "tool one; echo $COLOUR $OWN $TRAINYARD_PYTHON");
        plan.environment.files = {{"sub/words.txt", "some words\n"}};
        plan.environment.pathPrefix = {"$TRAINYARD_ENVIRONMENT/bin"};
        plan.environment.interpreter = "$TRAINYARD_ENVIRONMENT/bin/python";
        plan.environment.variables = {{"COLOUR", "red"}, {"OWN", "theirs"}};
        plan.variables = {{"OWN", "mine"}};
        plan.environment.facts = {"/bin/sh", "-c",
                                  "echo asked >> " + quoted(scratch / "asked") + "; echo '{\"tool\": 1}'"};
        for (int again = 0; again < 2; ++again) {
            plan.run = base::RunId::make();
            plan.outputsFolder = (scratch / "runs" / plan.run.str() / "outputs").string();
            const NodeLayout layout = rig.place(plan);
            QCOMPARE(AgentProcess(layout).wait(), 0);
            const auto records = recordsOf(layout);
            QCOMPARE(textOf(endedOf(records), "outcome"), std::string("completed"));
            QCOMPARE(linesOf(records, 0, "stdout"),
                     (std::vector<std::string>{"tool one", "red mine " + (rig.folder(plan) / "bin/python").string()}));
            const Json told = EnvironmentRig::environmentOf(records);
            QCOMPARE(textOf(told, "name"), std::string("tools:1"));
            QCOMPARE(textOf(told, "type"), std::string("setup"));
            QCOMPARE(told["cached"].get<bool>(), again == 1);
            QCOMPARE(base::dumpJson(told["facts"]), std::string("{\"tool\":1}"));
            const auto built = linesOf(records, -1, "environment");
            const std::string reasons = EnvironmentRig::reasonsOf(records);
            if (again == 0) {
                QCOMPARE(built, (std::vector<std::string>{"making tools", "some words", "to stderr"}));
                QVERIFY2(reasons.find("Building environment tools:1: Step 1 (1 of 2)") != std::string::npos,
                         reasons.c_str());
                QVERIFY2(reasons.find("Building environment tools:1: Step 2 (2 of 2)") != std::string::npos,
                         reasons.c_str());
            } else {
                QVERIFY(built.empty());
                QCOMPARE(statesOf(records), std::string("Preparing Queued Running Finalizing"));
                qInfo("a cached environment was ready after %.2f ms",
                      static_cast<double>(told["prepare_ns"].get<std::int64_t>()) / 1e6);
            }
        }
        QCOMPARE(scratch.read("built"), std::string("x\n"));
        QCOMPARE(scratch.read("asked"), std::string("asked\n"));
        QVERIFY(!std::filesystem::exists(rig.folder(plan) / "tmp"));
    }

    void whatCannotBeBuilt_saysWhy_andLeavesNothing_data() {
        QTest::addColumn<QString>("change");
        QTest::addColumn<QString>("code");
        QTest::addColumn<QString>("words");
        QTest::newRow("a failing step") << "step"
                                        << "environment.step"
                                        << "failed at \"Step 2\" (step 2 of 2): exit status 3: ERROR: no such package";
        QTest::newRow("a killed step") << "kill"
                                       << "environment.step"
                                       << "it was killed by SIGKILL";
        QTest::newRow("a missing program") << "program"
                                           << "environment.program"
                                           << "the program /nowhere/conda is not on this machine.";
        QTest::newRow("too slow") << "time"
                                  << "environment.time"
                                  << "it took longer than 1";
        QTest::newRow("too little disk") << "disk"
                                         << "environment.disk"
                                         << "free. Clear the target's cache";
        QTest::newRow("no secret") << "secret"
                                   << "environment.secret"
                                   << "The secret TOKEN is not to be had";
    }
    void whatCannotBeBuilt_saysWhy_andLeavesNothing() {
        QFETCH(QString, change);
        QFETCH(QString, code);
        QFETCH(QString, words);
        Scratch scratch;
        EnvironmentRig rig(scratch);
        const std::string mark = "mark" + base::newUuid7();
        auto plan = rig.plan("broken:1",
                             {"echo begun > made; (setsid sh -c ': " + mark + "; sleep 300' &)",
                              change == u"step"   ? "echo 'ERROR: no such package'; echo 'see the log'; exit 3"
                              : change == u"kill" ? "kill -9 $$"
                              : change == u"time" ? "trap '' TERM; : " + mark + "; while :; do sleep 1; done"
                                                  : "true"},
                             "echo never");
        if (change == u"program") plan.environment.steps[1].command = {"/nowhere/conda", "create"};
        if (change == u"time") plan.environment.steps[1].maxSeconds = 1;
        if (change == u"disk") plan.environment.needBytes = std::int64_t{1} << 59;
        if (change == u"secret") plan.environment.secrets = {{"TOKEN", (scratch / "nowhere").string(), ""}};
        const NodeLayout layout = rig.place(plan);
        QCOMPARE(AgentProcess(layout).wait(), 0);
        const Json ended = endedOf(recordsOf(layout));
        QCOMPARE(textOf(ended, "outcome"), std::string("failed"));
        QCOMPARE(QString::fromStdString(textOf(ended, "code")), code);
        QVERIFY2(QString::fromStdString(textOf(ended, "reason")).contains(words), textOf(ended, "reason").c_str());
        QVERIFY(linesOf(recordsOf(layout), 0, "stdout").empty());
        QVERIFY(rig.isGoneOf(plan));
        QVERIFY(processesThatSay(mark).empty());
    }

    void runsThatWantTheSame_shareOneBuild() {
        Scratch scratch;
        EnvironmentRig rig(scratch);
        std::vector<NodeLayout> layouts;
        std::vector<std::unique_ptr<AgentProcess>> agents;
        for (int i = 0; i < 4; ++i) {
            auto plan = rig.plan(
                "shared:1",
                {"echo x >> " + quoted(scratch / "built") + "; " + waitFor(scratch / "go") + "; echo done > made"},
                "cat \"$TRAINYARD_ENVIRONMENT/made\"");
            plan.runName = "run " + std::to_string(i);
            layouts.push_back(rig.place(plan));
            agents.push_back(std::make_unique<AgentProcess>(layouts.back()));
        }
        // Three wait and say for what; then the builder may go on.
        QVERIFY(test::waitFor(
            [&] {
                return std::count_if(layouts.begin(), layouts.end(), [](const NodeLayout& layout) {
                           return EnvironmentRig::reasonsOf(recordsOf(layout))
                                      .find("Waiting for another run that builds environment shared:1 (run ") !=
                                  std::string::npos;
                       }) == 3;
            },
            30'000));
        scratch.write("go", "");
        for (std::size_t i = 0; i < layouts.size(); ++i) {
            QCOMPARE(agents[i]->wait(), 0);
            QCOMPARE(linesOf(recordsOf(layouts[i]), 0, "stdout"), (std::vector<std::string>{"done"}));
        }
        QCOMPARE(scratch.read("built"), std::string("x\n"));
    }

    /// One that waits is canceled at once, and the one that builds does not notice.
    void cancel_whileAnotherBuilds() {
        Scratch scratch;
        EnvironmentRig rig(scratch);
        const std::string step = waitFor(scratch / "go") + "; echo done > made";
        const NodeLayout builds = rig.place(rig.plan("shared:1", {step}, "cat \"$TRAINYARD_ENVIRONMENT/made\""));
        AgentProcess first(builds);
        QVERIFY(test::waitFor(
            [&] { return EnvironmentRig::reasonsOf(recordsOf(builds)).find("Step 1") != std::string::npos; }, 20'000));
        const NodeLayout waits = rig.place(rig.plan("shared:1", {step}, "echo never"));
        AgentProcess second(waits);
        QVERIFY(test::waitFor(
            [&] {
                return EnvironmentRig::reasonsOf(recordsOf(waits)).find("Waiting for another run") != std::string::npos;
            },
            20'000));
        std::ofstream(waits.control() / wire::control::kCancel) << "";
        QCOMPARE(second.wait(), 0);
        QCOMPARE(textOf(endedOf(recordsOf(waits)), "outcome"), std::string("canceled"));
        scratch.write("go", "");
        QCOMPARE(first.wait(), 0);
        QCOMPARE(linesOf(recordsOf(builds), 0, "stdout"), (std::vector<std::string>{"done"}));
    }

    /// Where the one that builds is canceled, or its agent killed, the one that waits builds.
    void theOneThatWaits_takesOver_data() {
        QTest::addColumn<bool>("killed");
        QTest::newRow("canceled") << false;
        QTest::newRow("killed") << true;
    }
    void theOneThatWaits_takesOver() {
        QFETCH(bool, killed);
        Scratch scratch;
        EnvironmentRig rig(scratch);
        const std::string step = "[ ! -e half ] || exit 9; echo x >> " + quoted(scratch / "begun") +
                                 "; echo half > half; " + waitFor(scratch / "go") + "; rm half; echo done > made";
        const NodeLayout builds = rig.place(rig.plan("shared:1", {step}, "true"));
        AgentProcess first(builds);
        QVERIFY(test::waitFor([&] { return scratch.read("begun") == "x\n"; }, 20'000));
        const NodeLayout waits = rig.place(rig.plan("shared:1", {step}, "cat \"$TRAINYARD_ENVIRONMENT/made\""));
        AgentProcess second(waits);
        QVERIFY(test::waitFor(
            [&] {
                return EnvironmentRig::reasonsOf(recordsOf(waits)).find("Waiting for another run") != std::string::npos;
            },
            20'000));
        if (killed) {
            first.kill(SIGKILL);
        } else {
            std::ofstream(builds.control() / wire::control::kCancel) << "";
            QCOMPARE(first.wait(), 0);
            QCOMPARE(textOf(endedOf(recordsOf(builds)), "outcome"), std::string("canceled"));
        }
        QVERIFY(test::waitFor([&] { return scratch.read("begun") == "x\nx\n"; }, 30'000));
        scratch.write("go", "");
        QCOMPARE(second.wait(), 0);
        const auto records = recordsOf(waits);
        QVERIFY2(textOf(endedOf(records), "outcome") == "completed", textOf(endedOf(records), "reason").c_str());
        QCOMPARE(linesOf(records, 0, "stdout"), (std::vector<std::string>{"done"}));
        QVERIFY(EnvironmentRig::reasonsOf(records).find("Step 1 (1 of 1)") != std::string::npos);
    }

    /// The same hash below another work folder is another build, which the first look of a builder leaves alone.
    void otherWorkFolders_areLeftAlone() {
        Scratch scratch;
        const EnvironmentRig here(scratch, scratch / "here");
        const EnvironmentRig there(scratch, scratch / "there");
        const std::vector<std::string> steps{"echo x >> " + quoted(scratch / "begun") + "; " + waitFor(scratch / "go") +
                                             "; echo done > made"};
        const NodeLayout one = here.place(here.plan("same:1", steps, "cat \"$TRAINYARD_ENVIRONMENT/made\""));
        AgentProcess first(one);
        QVERIFY(test::waitFor([&] { return scratch.read("begun") == "x\n"; }, 20'000));
        const NodeLayout other = there.place(there.plan("same:1", steps, "cat \"$TRAINYARD_ENVIRONMENT/made\""));
        AgentProcess second(other);
        QVERIFY(test::waitFor([&] { return scratch.read("begun") == "x\nx\n"; }, 20'000));
        scratch.write("go", "");
        for (AgentProcess* agent : {&first, &second}) QCOMPARE(agent->wait(), 0);
        for (const NodeLayout& layout : {one, other}) {
            QVERIFY2(textOf(endedOf(recordsOf(layout)), "outcome") == "completed",
                     textOf(endedOf(recordsOf(layout)), "reason").c_str());
        }
    }

    /// Two users of one machine build each their own at once; what another user built is nobody's to trust.
    void users_buildEachTheirOwn() {
        if (::geteuid() != 0) TRAINYARD_SKIP("Only root can be two users.");
        constexpr uid_t kOther = 65534;
        Scratch ours;
        Scratch theirs;
        for (const Scratch* scratch : {&ours, &theirs}) {
            for (const Path& folder : {scratch->path().parent_path(), scratch->path()}) {
                std::filesystem::permissions(folder, std::filesystem::perms(0755));
            }
        }
        const Path program = theirs / "agent";
        std::filesystem::copy_file(builtProgram("trainyard-agent"), program);
        const EnvironmentRig rig(ours);
        const std::vector<std::string> steps{"echo x; " + waitFor(ours / "go") + "; echo done > made"};
        const NodeLayout layout = rig.place(rig.plan("same:1", steps, "true"));
        AgentProcess agent(layout);
        QVERIFY(test::waitFor([&] { return !linesOf(recordsOf(layout), -1, "environment").empty(); }, 20'000));
        // The same definition, and so the same hash, which the other user's step does not wait for.
        const auto asOther = [&](const Path& work) {
            const EnvironmentRig other(theirs, work);
            auto plan = other.plan("same:1", steps, "cat \"$TRAINYARD_ENVIRONMENT/made\"");
            plan.environment.steps[0].command = {"/bin/sh", "-c", "echo theirs > made"};
            const NodeLayout placed = other.place(plan);
            for (const auto& entry : std::filesystem::recursive_directory_iterator(theirs.path()))
                std::ignore = ::lchown(entry.path().c_str(), kOther, kOther);
            std::ignore = ::chown(theirs.path().c_str(), kOther, kOther);
            ProgramOptions options;
            options.variables = {{"HOME", theirs.path().string()}};
            options.folder = "/";
            const auto ran = runProgram(
                "/usr/bin/setpriv",
                {"--reuid=65534", "--regid=65534", "--clear-groups", program.string(), "run", placed.root.string()},
                options);
            if (ran.exitCode != 0) QTest::qFail(ran.err.c_str(), __FILE__, __LINE__);
            return recordsOf(placed);
        };
        const auto own = asOther(theirs / "work");
        QVERIFY2(textOf(endedOf(own), "outcome") == "completed", textOf(endedOf(own), "reason").c_str());
        QCOMPARE(linesOf(own, 0, "stdout"), (std::vector<std::string>{"theirs"}));
        const Json refused = endedOf(asOther(rig.work().root));
        QCOMPARE(textOf(refused, "outcome"), std::string("failed"));
        QVERIFY2(textOf(refused, "reason").find(rig.work().environments().string()) != std::string::npos,
                 textOf(refused, "reason").c_str());
        ours.write("go", "");
        QCOMPARE(agent.wait(), 0);
        QCOMPARE(textOf(endedOf(recordsOf(layout)), "outcome"), std::string("completed"));
    }

    void agentKilled_atEachStageOfABuild_data() {
        QTest::addColumn<QString>("stage");
        for (const char* stage : {"lock", "folder", "first", "second", "ready", "launch"})
            QTest::newRow(stage) << QString::fromLatin1(stage);
    }
    void agentKilled_atEachStageOfABuild() {
        QFETCH(QString, stage);
        Scratch scratch;
        EnvironmentRig rig(scratch);
        const std::string mark = "mark" + base::newUuid7();
        // A step that leaves a process of its own behind, deaf to SIGTERM, which would go on writing.
        const std::string deaf =
            "setsid sh -c 'trap \"\" TERM; : " + mark + "; while :; do echo bad >> half; sleep 0.01; done' & ";
        auto plan =
            rig.plan("killed:1",
                     {"[ ! -e half ] || exit 9; echo one; [ -e " + quoted(scratch / "second try") + " ] || { " + deaf +
                          " " + waitFor(scratch / "go1") + "; }",
                      "echo two; " + waitFor(scratch / "go2") + "; [ ! -e half ] || rm half; echo whole > made"},
                     "cat \"$TRAINYARD_ENVIRONMENT/made\"; [ ! -e \"$TRAINYARD_ENVIRONMENT/half\" ]");
        const Path folder = rig.folder(plan);
        const auto exists = [](const Path& path) {
            std::error_code error;
            return std::filesystem::exists(path, error);
        };
        const NodeLayout layout = rig.place(plan);
        if (stage != u"first" && stage != u"lock" && stage != u"folder") scratch.write("go1", "");
        if (stage == u"ready" || stage == u"launch") scratch.write("go2", "");
        {
            AgentProcess agent(layout);
            QVERIFY(test::waitFor(
                [&] {
                    if (stage == u"lock") return exists(agent::environmentLock(rig.work(), plan.environment.hash));
                    if (stage == u"folder") return exists(folder);
                    if (stage == u"first") return exists(folder / "half");
                    if (stage == u"second")
                        return base::readFile(folder / "build.log").valueOr({}).find("two") != std::string::npos;
                    if (stage == u"ready") return exists(folder / "ready.json");
                    return exists(layout.root / "launch.json");
                },
                20'000));
            agent.kill(SIGKILL);
        }
        scratch.write("second try", "");
        scratch.write("go1", "");
        scratch.write("go2", "");
        QCOMPARE(AgentProcess(layout).wait(), 0);
        const auto records = recordsOf(layout);
        QVERIFY2(textOf(endedOf(records), "outcome") == "completed", textOf(endedOf(records), "reason").c_str());
        QCOMPARE(linesOf(records, 0, "stdout"), (std::vector<std::string>{"whole"}));
        QVERIFY(processesThatSay(mark).empty());
        QVERIFY(agent::isReadyEnvironment(folder, plan.environment.hash));
    }

    void cancel_endsTheWholeBuild() {
        Scratch scratch;
        EnvironmentRig rig(scratch);
        const std::string mark = "mark" + base::newUuid7();
        const auto plan =
            rig.plan("slow:1",
                     {"(setsid sh -c ': " + mark + "; sleep 300' &); trap 'echo asked' TERM; echo up; : " + mark +
                      "; while :; do sleep 0.1; done"},
                     "echo never");
        const NodeLayout layout = rig.place(plan);
        AgentProcess agent(layout);
        QVERIFY(test::waitFor([&] { return !linesOf(recordsOf(layout), -1, "environment").empty(); }, 20'000));
        QVERIFY(!processesThatSay(mark).empty());
        std::ofstream(layout.control() / wire::control::kCancel) << "";
        QCOMPARE(agent.wait(), 0);
        const auto records = recordsOf(layout);
        QCOMPARE(textOf(endedOf(records), "outcome"), std::string("canceled"));
        const auto lines = linesOf(records, -1, "environment");  // The shell may say "Terminated" of its own children.
        QVERIFY2(lines.front() == "up" && std::count(lines.begin(), lines.end(), "asked") == 1,
                 EnvironmentRig::streamText(layout).c_str());
        QVERIFY(processesThatSay(mark).empty());
        QVERIFY(rig.isGoneOf(plan));
    }

    void fullDisk_isSaid_andLeavesNothing() {
        Scratch scratch;
        const Path disk = scratch / "disk";
        std::filesystem::create_directories(disk);
        if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=8m") != 0)
            TRAINYARD_SKIP("a file system cannot be mounted");
        const auto unmount = qScopeGuard([&] { ::umount2(disk.c_str(), MNT_DETACH); });
        EnvironmentRig rig(scratch, disk);
        for (const bool second : {false, true}) {
            const auto plan =
                rig.plan("big:1", {second ? "echo small > made" : "head -c 20000000 /dev/zero > made"}, "echo ran");
            const NodeLayout layout = rig.place(plan);
            QCOMPARE(AgentProcess(layout).wait(), 0);
            const Json ended = endedOf(recordsOf(layout));
            QCOMPARE(textOf(ended, "outcome"), std::string(second ? "completed" : "failed"));
            if (second) continue;
            QCOMPARE(textOf(ended, "code"), std::string("environment.disk"));
            QVERIFY2(textOf(ended, "reason").find("the disk is full") != std::string::npos,
                     textOf(ended, "reason").c_str());
            QVERIFY(rig.isGoneOf(plan));
        }
    }

    void secrets_reachTheRanks_andNothingElse() {
        Scratch scratch;
        EnvironmentRig rig(scratch);
        const std::string secret = "s3cret\"value/of-a-token";
        const std::string key = "line one of a key\nline two of a key";
        scratch.write("token", secret + "\n");
        scratch.write("key", key);
        auto plan = rig.plan(
            "secret:1",
            {"echo \"with $TOKEN in it\"; printf %s \"$TOKEN\" | head -c 7; sleep 0.3; printf %s \"$TOKEN\" | tail -c "
             "+8; echo; "
             "printf %s \"$TOKEN\" > token; wc -c < token; rm token"},
            "printf %s \"$TOKEN\" | wc -c; echo \"out $TOKEN and $TOKEN.\"; echo \"$KEY\"; echo \"err $WORD\" >&2; "
            // In pieces, as a slow program prints it: between them the file is looked at.
            "printf 's3cr'; sleep 1.5; printf 'et\"value'; sleep 1.5; echo '/of-a-token'; printf 's3cret'; sleep 1.5; "
            "echo ' of another kind'; "
            "echo '{\"kind\":\"text\",\"name\":\"note\",\"text\":\"it is s3cret\\\"value/of-a-token\"}' >> "
            "\"$TRAINYARD_STREAM\"; "
            "echo ABC; echo \"$0\"; echo \"last $WORD\" >&2; exit 5");
        plan.command.push_back("$TOKEN");
        plan.environment.secrets = {{"TOKEN", (scratch / "token").string(), ""},
                                    {"KEY", (scratch / "key").string(), ""},
                                    {"WORD", "", "RIG_WORD"},
                                    {"TINY", "", "RIG_TINY"}};
        const NodeLayout layout = rig.place(plan);
        QCOMPARE(AgentProcess(layout, {}, {{"RIG_WORD", "xyzzy-plugh"}, {"RIG_TINY", "ABC"}}).wait(), 0);
        const auto records = recordsOf(layout);
        QCOMPARE(linesOf(records, -1, "environment"), (std::vector<std::string>{"with *** in it", "***", "23"}));
        QCOMPARE(linesOf(records, 0, "stdout"), (std::vector<std::string>{"23", "out *** and ***.", "***", "***",
                                                                          "s3cret of another kind", "ABC", "$TOKEN"}));
        QCOMPARE(linesOf(records, 0, "stderr"), (std::vector<std::string>{"err ***", "last ***"}));
        QCOMPARE(textOf(ofKind(records, wire::kind::kText).at(0).body, "text"), std::string("it is ***"));
        QCOMPARE(endedOf(records)["stderr"]["lines"], Json::array({"err ***", "last ***"}));
        const auto warnings = ofKind(records, wire::kind::kWarning);
        QVERIFY(std::any_of(warnings.begin(), warnings.end(), [](const Record& record) {
            return textOf(record.body, "message").find("TINY is shorter than") != std::string::npos;
        }));
        // Nothing that is kept or copied has them; what the ranks wrote themselves stays on the target.
        QVERIFY(EnvironmentRig::streamText(layout).find("of-a-token") == std::string::npos);
        for (const std::string& value : {secret, std::string("line two"), std::string("xyzzy")}) {
            QVERIFY(EnvironmentRig::streamText(layout).find(value) == std::string::npos);
            for (const Path& file : {layout.plan(), layout.root / "launch.json", layout.agentLog()}) {
                QVERIFY(base::readFile(file).valueOr({}).find(value) == std::string::npos);
            }
        }
    }

    void masker_looksAtEveryCut() {
        agent::Masker masker;
        QVERIFY(!masker.add("abc"));
        QVERIFY(masker.add("abcd") && masker.add("abcdef") && masker.add("xxab"));
        QCOMPARE(masker.mask("1abcd2abcdef3xxabcdef4"), std::string("1***2***3***cdef4"));
        QCOMPARE(masker.undecided("say abcd"), std::size_t(4));
        QCOMPARE(masker.undecided("say xx"), std::size_t(2));
        QCOMPARE(masker.undecided("say"), std::size_t(0));
        QCOMPARE(masker.mask(""), std::string());
    }

    void realVenv_overTheSystemsTorch() {
        if (runProgram("/usr/bin/python3", {"-c", "import torch, ensurepip"}).exitCode != 0)
            TRAINYARD_SKIP("python3-torch or python3-venv is missing");
        Scratch scratch;
        EnvironmentRig rig(scratch);
        auto plan = rig.plan("my-torch:3", {}, "true");
        plan.environment.kind = "venv";
        plan.environment.steps = {
            {"Make the environment",
             {"/usr/bin/python3", "-m", "venv", "--system-site-packages", "$TRAINYARD_ENVIRONMENT/venv"},
             {},
             600},
            {"Check the packages", {"$TRAINYARD_ENVIRONMENT/venv/bin/python", "-m", "pip", "--version"}, {}, 600}};
        plan.environment.interpreter = "$TRAINYARD_ENVIRONMENT/venv/bin/python";
        plan.environment.pathPrefix = {"$TRAINYARD_ENVIRONMENT/venv/bin"};
        plan.environment.facts = {
            "$TRAINYARD_PYTHON", "-c",
            "import json, sys, torch; print(json.dumps({'prefix': sys.prefix, 'torch': torch.__version__}))"};
        plan.command = {"$TRAINYARD_PYTHON", "-c",
                        "import sys, torch; print(sys.prefix); print(float(torch.ones(3).sum()))"};
        const NodeLayout layout = rig.place(plan);
        QCOMPARE(AgentProcess(layout).wait(120'000), 0);
        const auto records = recordsOf(layout);
        const std::string prefix = (rig.folder(plan) / "venv").string();
        QCOMPARE(linesOf(records, 0, "stdout"), (std::vector<std::string>{prefix, "3.0"}));
        const Json told = EnvironmentRig::environmentOf(records);
        QCOMPARE(textOf(told["facts"], "prefix"), prefix);
        QVERIFY(textOf(told["facts"], "torch").starts_with("1."));
        QCOMPARE(textOf(told, "interpreter"), prefix + "/bin/python");
    }

    void facts_ofAnExistingInterpreter_areAskedBesideTheRanks() {
        Scratch scratch;
        EnvironmentRig rig(scratch);
        auto plan = rig.plan("python:1", {}, "echo ran > " + quoted(scratch / "ran"));
        plan.environment.hash.clear();
        plan.environment.kind = "interpreter";
        // It answers only when the rank has run.
        plan.environment.facts = {"/bin/sh", "-c", waitFor(scratch / "ran") + "; echo '{\"version\": \"3\"}'"};
        NodeLayout layout = rig.place(plan);
        QCOMPARE(AgentProcess(layout).wait(), 0);
        QCOMPARE(textOf(EnvironmentRig::environmentOf(recordsOf(layout))["facts"], "version"), std::string("3"));
        plan.environment.facts = {"/bin/sh", "-c", "echo no json"};
        plan.run = base::RunId::make();
        layout = rig.place(plan);
        QCOMPARE(AgentProcess(layout).wait(), 0);
        const Json told = EnvironmentRig::environmentOf(recordsOf(layout));
        QCOMPARE(textOf(told, "facts_error"), std::string("/bin/sh answered no JSON object: no json"));
        QCOMPARE(textOf(endedOf(recordsOf(layout)), "outcome"), std::string("completed"));
    }

    /// A stand-in for nvidia-smi; a machine with a real card says what its kernel has loaded.
    void driver_isInTheRecord() {
        Scratch scratch;
        EnvironmentRig rig(scratch);
        const GpuStandIn smi(scratch);
        const std::string loaded(base::trim(base::readFile("/sys/module/nvidia/version", 256).valueOr({})));
        auto plan = rig.plan("python:1", {}, "true");
        plan.environment.hash.clear();
        const NodeLayout layout = rig.place(plan);
        QCOMPARE(AgentProcess(layout, {}, {{"PATH", smi.path()}}).wait(), 0);
        QCOMPARE(textOf(EnvironmentRig::environmentOf(recordsOf(layout)), "driver"),
                 loaded.empty() ? std::string("535.104.05") : loaded);
    }

    void wrap_standsBeforeEveryRank() {
        Scratch scratch;
        EnvironmentRig rig(scratch);
        auto plan = rig.plan("wrapped:1", {"echo x > made"}, "echo $WRAPPED in $(pwd)");
        plan.processes = 2;
        plan.environment.wrap = {"/usr/bin/env", "WRAPPED=rank $RANK of $TRAINYARD_RUN_ID"};
        plan.workingFolder = scratch.path().string();
        const NodeLayout layout = rig.place(plan);
        QCOMPARE(AgentProcess(layout).wait(), 0);
        for (int rank = 0; rank < 2; ++rank) {
            QCOMPARE(linesOf(recordsOf(layout), rank, "stdout"),
                     (std::vector<std::string>{"rank " + std::to_string(rank) + " of " + plan.run.str() + " in " +
                                               scratch.path().string()}));
        }
    }

    void cache_isListed_andClearedWhenNobodyUsesIt() {
        Scratch scratch;
        EnvironmentRig rig(scratch);
        const auto plan = rig.plan("kept:2",
                                   {"head -c 3000000 /dev/urandom > made; echo '{\"commands\": [[\"/bin/sh\", \"-c\", "
                                    "\"echo removed > \\\"$0\\\"\", \"" +
                                    (scratch / "told").string() + "\"], [\"/nowhere\"]]}' > remove.json"},
                                   waitFor(scratch / "go"));
        const NodeLayout layout = rig.place(plan);
        ServeClient client(rig.work().root);
        const auto entry = [&](const std::string& key) {
            const Json entries = client.call("cache").header["entries"];
            for (const Json& one : entries) {
                if (one["kind"] == "environment" && one["key"] == key) return one;
            }
            return Json();
        };
        AgentProcess agent(layout);
        QVERIFY(test::waitFor(
            [&] { return statesOf(recordsOf(layout)).ends_with("Running") && pidOfRank(layout, 0, "process") > 0; },
            20'000));
        agent.kill(SIGKILL);  // The ranks alone hold it.
        // What a killed build left; the next build would clear it too.
        std::filesystem::create_directories(rig.work().environment(std::string(64, 'b')));
        const Json used = entry(plan.environment.hash);
        QVERIFY2(used.is_object(), client.call("cache").text().c_str());
        QCOMPARE(textOf(used, "name"), std::string("kept:2"));
        QVERIFY(used["in_use"].get<bool>());
        QVERIFY(used["bytes"].get<std::int64_t>() >= 3'000'000);
        QVERIFY(used["last_use"].get<std::int64_t>() > base::wallMicros() - std::int64_t{600} * 1'000'000);
        QCOMPARE(textOf(entry(std::string(64, 'b')), "name"), std::string("not complete"));
        const Json all = {{"entries",
                           {{{"kind", "environment"}, {"key", plan.environment.hash}},
                            {{"kind", "environment"}, {"key", std::string(64, 'b')}}}}};
        auto cleared = client.call("clear", all);
        QCOMPARE(cleared.header["kept"].size(), std::size_t(1));
        QVERIFY(agent::isReadyEnvironment(rig.folder(plan), plan.environment.hash));
        scratch.write("go", "");
        QCOMPARE(AgentProcess(layout).wait(), 0);
        QVERIFY(!entry(plan.environment.hash)["in_use"].get<bool>());
        cleared = client.call("clear", all);
        QVERIFY(cleared.header["kept"].empty());
        QVERIFY(cleared.header["freed_bytes"].get<std::int64_t>() >= 3'000'000);
        QCOMPARE(scratch.read("told"), std::string("removed\n"));
        QVERIFY(rig.isGoneOf(plan));
    }

private:
    std::unique_ptr<ChildGuard> m_guard;
};

QTEST_GUILESS_MAIN(TestAgentEnvironment)
#include "tst_AgentEnvironment.moc"
