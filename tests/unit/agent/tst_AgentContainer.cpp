// Ranks in real containers: what they see, and that nothing of a container outlives its rank.
#include <QProcess>
#include <QScopeGuard>
#include <QTemporaryDir>
#include <sys/mount.h>
#include <tuple>

#include "core/agent/Container.h"
#include "core/agent/Environment.h"
#include "core/base/Text.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Containers.h"
#include "tests/unit/agent/EnvironmentRig.h"

using namespace trainyard;
using namespace trainyard::test;

class TestAgentContainer : public QObject {
    Q_OBJECT

private:
    static constexpr const char* kImage = "localhost/trainyard-test-base";

    /// A shell and a few programs with their libraries: what a base image needs.
    ProgramResult makeImage() const {
        const std::string script =
            "set -e; root=$1/root; mkdir -p $root/bin $root/tmp $root/proc $root/dev $root/sys $root/etc $root/run; "
            "for p in dash sleep cat env; do cp \"$(command -v $p)\" $root/bin/; done; ln -s dash $root/bin/sh; "
            "for l in $(ldd $root/bin/dash $root/bin/sleep $root/bin/cat $root/bin/env | grep -o '/[^ ]*' | grep -v : "
            "| sort -u); do "
            "mkdir -p $root$(dirname $l); cp -L $l $root$l; done; tar -C $root -cf $1/root.tar .; podman import -q "
            "$1/root.tar \"$2\"";
        return runProgram("/bin/sh", {"-c", script, "sh", m_folder->path().toStdString(), kImage});
    }
    wire::Plan plan(const EnvironmentRig& rig, const std::string& script) const {
        auto plan = rig.plan("box:1", {"echo built > made"}, script);
        plan.environment.kind = "container";
        plan.environment.wrap = {"podman",
                                 "run",
                                 "--rm",
                                 "--network=host",
                                 "--env=TRAINYARD_STREAM",
                                 "--env=RANK",
                                 "--env=TOKEN",
                                 "--volume=" + rig.root().string() + ":" + rig.root().string(),
                                 "--workdir=" + rig.root().string(),
                                 kImage};
        return plan;
    }
    /// What core/environments plans for a Containerfile.
    wire::Plan buildPlan(const EnvironmentRig& rig, const std::string& file) const {
        auto plan = rig.plan("image:1", {file}, "true");
        const std::string tag = "localhost/trainyard-environment:" + plan.environment.hash;
        plan.environment.kind = "container";
        plan.environment.steps[0] = {
            "Build the image",
            {"podman", "build", "--network=host", "--tag", tag, "--file", "$TRAINYARD_ENVIRONMENT/mark/Containerfile",
             "--file", "$TRAINYARD_ENVIRONMENT/Containerfile", "--iidfile", "$TRAINYARD_ENVIRONMENT/image.id",
             "--layers=false", "--build-arg", "TRAINYARD_BUILD=$TRAINYARD_ENVIRONMENT", "--label",
             "trainyard.build=$TRAINYARD_ENVIRONMENT", "$TRAINYARD_ENVIRONMENT/context"},
            {},
            600};
        plan.environment.files = {{"Containerfile", file},
                                  {"mark/Containerfile", "ARG TRAINYARD_BUILD\n"},
                                  {"context/requirements.txt", ""},
                                  {"remove.json", "{\"commands\": [[\"podman\", \"image\", \"rm\", \"--force\", \"" +
                                                      tag + "\"]], \"builder\": \"podman\"}"}};
        return plan;
    }
    /// Another user of the same storage, whose podman was killed as ours is; the program in its container goes on and
    /// says what is returned.
    static std::string killedBuildOfAStranger(const Scratch& scratch) {
        const std::string mark = "stranger" + base::newUuid7();
        scratch.write("theirs/Containerfile", "FROM " + std::string(kImage) + "\nRUN : " + mark +
                                                  "; while [ ! -e /tmp/never ]; do sleep 0.1; done\n");
        QProcess podman;
        QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
        environment.insert(QStringLiteral("TMPDIR"), QString::fromStdString((scratch / "theirs").string()));
        podman.setProcessEnvironment(environment);
        podman.start(QStringLiteral("/usr/bin/podman"),
                     {QStringLiteral("build"), QStringLiteral("--network=host"), QStringLiteral("--layers=false"),
                      QStringLiteral("--build-arg"), QStringLiteral("TRAINYARD_BUILD=/elsewhere"),
                      QString::fromStdString((scratch / "theirs").string())});
        if (!waitFor([&] { return !processesThatSay(mark).empty(); }, 30'000))
            QTest::qFail("the other build did not begin", __FILE__, __LINE__);
        const std::vector<pid_t> victims = allButInside(processesBelow(static_cast<pid_t>(podman.processId())));
        podman.kill();
        for (const pid_t pid : victims) ::kill(pid, SIGKILL);
        podman.waitForFinished(10'000);
        return mark;
    }
    /// Without what runs in the container.
    static std::vector<pid_t> allButInside(std::vector<pid_t> processes) {
        std::erase_if(processes, [](pid_t pid) {
            return base::readFile("/proc/" + std::to_string(pid) + "/cmdline").valueOr({}).find("while [") !=
                   std::string::npos;
        });
        return processes;
    }
    static std::string allImages() {
        return runProgram("/usr/bin/podman", {"images", "--all", "--format", "{{.ID}} {{.Repository}}"}).out;
    }
    /// Those in which images are built, too.
    static std::vector<std::string> allContainers() {
        const auto listed = runProgram("/usr/bin/podman", {"ps", "--all", "--external", "--quiet", "--no-trunc"});
        std::vector<std::string> ids = base::split(listed.out, '\n');
        std::erase(ids, std::string());
        return ids;
    }
    static std::string containers() {
        return runProgram("/usr/bin/podman", {"ps", "--all", "--format", "{{.Names}}"}).out;
    }

private Q_SLOTS:
    void initTestCase() {
        m_probe = probeContainers();
        if (!m_probe.possible) return;
        // Storage on an overlay: not below /tmp, which may be one itself.
        m_folder = std::make_unique<QTemporaryDir>(QStringLiteral("/var/tmp/trainyard-podman-XXXXXX"));
        QVERIFY(m_folder->isValid());
        const std::string root = m_folder->path().toStdString();
        const auto write = [&](const char* variable, const std::string& name, const std::string& text) {
            std::ofstream(root + "/" + name) << text;
            qputenv(variable, QByteArray::fromStdString(root + "/" + name));
        };
        write("CONTAINERS_CONF", "containers.conf",
              "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\nnetns = "
              "\"host\"\nlog_driver = \"k8s-file\"\n"
              "[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n");
        write("CONTAINERS_STORAGE_CONF", "storage.conf",
              "[storage]\ndriver = \"overlay\"\ngraphroot = \"" + root + "/store\"\nrunroot = \"" + root + "/run\"\n");
        write("CONTAINERS_REGISTRIES_CONF", "registries.conf",
              "unqualified-search-registries = []\nshort-name-mode = \"disabled\"\n");
        const auto made = makeImage();
        TRAINYARD_CONTAINER_STEP(m_probe, "podman import", made);
        const auto tried =
            runProgram("/usr/bin/podman", {"run", "--rm", "--network=host", kImage, "/bin/sh", "-c", "echo fine"});
        TRAINYARD_CONTAINER_STEP(m_probe, "podman run", tried);
        QCOMPARE(tried.out, std::string("fine\n"));
    }
    void cleanupTestCase() {
        if (!m_folder) return;
        const auto removed = runProgram("/usr/bin/podman", {"rm", "--all", "--force"});
        if (removed.exitCode != 0) qWarning("%s", removed.err.c_str());
        std::ignore =
            runProgram("/bin/sh", {"-c",
                                   "umount \"$1\"/store/overlay/*/merged 2> /dev/null; umount \"$1\"/store/overlay 2> "
                                   "/dev/null; umount \"$1\"/store 2> /dev/null; true",
                                   "sh", m_folder->path().toStdString()});
    }
    void init() { m_guard = std::make_unique<ChildGuard>(); }
    void cleanup() { QVERIFY2(m_guard->noneLeft(20'000), m_guard->report().c_str()); }

    void ranks_runInside_andReportFromThere() {
        TRAINYARD_NEED_CONTAINERS(m_probe);
        Scratch scratch;
        EnvironmentRig rig(scratch);
        scratch.write("token", "a-secret-word\n");
        auto made = plan(
            rig, "[ -e /bin/dash ] && [ ! -e /usr/bin/python3 ] && echo inside, rank $RANK; echo \"token $TOKEN\"; "
                 "echo '{\"kind\":\"metric\",\"name\":\"n\",\"value\":1}' >> \"$TRAINYARD_STREAM\"");
        made.processes = 2;
        made.environment.secrets = {{"TOKEN", (scratch / "token").string(), ""}};
        const NodeLayout layout = rig.place(made);
        QCOMPARE(AgentProcess(layout).wait(), 0);
        const auto records = recordsOf(layout);
        QVERIFY2(textOf(endedOf(records), "outcome") == "completed", EnvironmentRig::streamText(layout).c_str());
        for (int rank = 0; rank < 2; ++rank) {
            QCOMPARE(linesOf(records, rank, "stdout"),
                     (std::vector<std::string>{"inside, rank " + std::to_string(rank), "token ***"}));
            QCOMPARE(pointsOf(records, rank, "n").size(), std::size_t(1));
        }
        QCOMPARE(containers(), std::string());
    }

    void nothingOfAContainer_isLeft_data() {
        QTest::addColumn<QString>("how");
        for (const char* how : {"cancel", "deaf", "shim killed", "rank killed", "agent killed"})
            QTest::newRow(how) << QString::fromLatin1(how);
    }
    void nothingOfAContainer_isLeft() {
        TRAINYARD_NEED_CONTAINERS(m_probe);
        QFETCH(QString, how);
        Scratch scratch;
        EnvironmentRig rig(scratch);
        const std::string mark = "mark" + base::newUuid7();
        const auto made = plan(rig, std::string(how == u"deaf" ? "trap '' TERM; " : "trap 'echo bye; exit 0' TERM; ") +
                                        "(sleep 301 &); echo up; : " + mark + "; while :; do sleep 0.2; done");
        const NodeLayout layout = rig.place(made);
        auto agent = std::make_unique<AgentProcess>(layout);
        QVERIFY2(waitFor([&] { return linesOf(recordsOf(layout), 0, "stdout").size() == 1; }, 20'000),
                 EnvironmentRig::streamText(layout).c_str());
        QCOMPARE(containers(), agent::containerName(made, 0) + "\n");
        QVERIFY(!processesThatSay(mark).empty());
        if (how == u"shim killed") {
            signalRank(layout, 0, "shim", SIGKILL);
        } else if (how == u"rank killed") {
            signalRank(layout, 0, "process", SIGKILL);
        } else {
            if (how == u"agent killed") {
                agent->kill(SIGKILL);
                agent = std::make_unique<AgentProcess>(layout);
            }
            std::ofstream(layout.control() / wire::control::kCancel) << "";
        }
        QCOMPARE(agent->wait(), 0);
        QCOMPARE(textOf(endedOf(recordsOf(layout)), "outcome"),
                 std::string(how == u"rank killed" || how == u"shim killed" ? "failed" : "canceled"));
        if (how == u"cancel")
            QCOMPARE(linesOf(recordsOf(layout), 0, "stdout"), (std::vector<std::string>{"up", "bye"}));
        QVERIFY(processesThatSay(mark).empty());
        QCOMPARE(containers(), std::string());
    }

    void image_thatCannotBeBuilt_data() {
        QTest::addColumn<QByteArray>("file");
        QTest::addColumn<QByteArray>("words");
        QTest::newRow("half-way") << QByteArray("FROM " + QByteArray(kImage) +
                                                "\nENV A=1\nRUN echo not today >&2; exit 3\n")
                                  << QByteArray("exit 3");
        QTest::newRow("no such image") << QByteArray("FROM localhost/trainyard-nothere:1\n")
                                       << QByteArray("trainyard-nothere");
    }
    /// podman's own words, the step and a remedy; no image and no folder stays.
    void image_thatCannotBeBuilt() {
        TRAINYARD_NEED_CONTAINERS(m_probe);
        QFETCH(QByteArray, file);
        QFETCH(QByteArray, words);
        Scratch scratch;
        const EnvironmentRig rig(scratch);
        const std::string images = allImages();
        const auto made = buildPlan(rig, file.toStdString());
        const NodeLayout layout = rig.place(made);
        QCOMPARE(AgentProcess(layout).wait(), 0);
        const Json ended = endedOf(recordsOf(layout));
        QCOMPARE(textOf(ended, "code"), std::string("environment.step"));
        const std::string reason = textOf(ended, "reason");
        QVERIFY2(reason.find("\"Build the image\" (step 1 of 1)") != std::string::npos &&
                     reason.find(words.toStdString()) != std::string::npos,
                 reason.c_str());
        QVERIFY(rig.isGoneOf(made));
        QCOMPARE(allImages(), images);
        QCOMPARE(containers(), std::string());
    }

    void buildKilled_inTheMiddle_data() {
        QTest::addColumn<QString>("killed");
        for (const char* killed : {"agent", "builder", "both"}) QTest::newRow(killed) << QString::fromLatin1(killed);
    }
    /// kill -9 while podman runs a step of the second stage of a Containerfile: no process, folder, working container
    /// or image of it stays, and the next run builds. Where agent and builder are both gone, that next run, of
    /// whichever environment, is the one that clears. What others build is not touched.
    void buildKilled_inTheMiddle() {
        TRAINYARD_NEED_CONTAINERS(m_probe);
        QFETCH(QString, killed);
        Scratch scratch;
        const EnvironmentRig rig(scratch);
        const std::string strangers = killed == u"both" ? killedBuildOfAStranger(scratch) : std::string();
        const std::string images = allImages();
        const std::vector<std::string> before = allContainers();
        const std::string mark = "mark" + base::newUuid7();
        auto made = buildPlan(rig, "FROM " + std::string(kImage) +
                                       " AS first\nENV A=1\nFROM first\nRUN echo building; : " + mark +
                                       "; while [ ! -e /tmp/never ]; do sleep 0.1; done\n");
        const NodeLayout layout = rig.place(made);
        AgentProcess agent(layout);
        QVERIFY2(waitFor(
                     [&] {
                         const auto lines = linesOf(recordsOf(layout), -1, "environment");
                         return std::find(lines.begin(), lines.end(), "building") != lines.end();
                     },
                     30'000),
                 EnvironmentRig::streamText(layout).c_str());
        QVERIFY(allContainers().size() > before.size());
        if (killed == u"agent") {
            agent.kill(SIGKILL);
        } else {
            const std::vector<pid_t> victims = allButInside(processesBelow(agent.pid()));
            if (killed == u"both") agent.kill(SIGKILL);
            for (const pid_t pid : victims) ::kill(pid, SIGKILL);
        }
        if (killed == u"builder") {
            QCOMPARE(agent.wait(), 0);
            QVERIFY2(textOf(endedOf(recordsOf(layout)), "reason").find("killed by SIGKILL") != std::string::npos,
                     textOf(endedOf(recordsOf(layout)), "reason").c_str());
        }
        const auto isCleared = [&] {
            return processesThatSay(mark).empty() && rig.isGoneOf(made) && allContainers() == before &&
                   allImages() == images;
        };
        if (killed == u"both") {
            QVERIFY(!processesThatSay(mark).empty() && !rig.isGoneOf(made) && allContainers().size() > before.size());
        } else {
            QVERIFY(waitFor(isCleared, 30'000));
        }
        const auto other = buildPlan(rig, "FROM " + std::string(kImage) + "\nENV WHOLE=1\n");
        const NodeLayout again = rig.place(other);
        QCOMPARE(AgentProcess(again).wait(), 0);
        QVERIFY2(textOf(endedOf(recordsOf(again)), "outcome") == "completed",
                 textOf(endedOf(recordsOf(again)), "reason").c_str());
        for (const std::string& line : linesOf(recordsOf(again), -1, "environment")) {
            QVERIFY2(line.find("not consumed") == std::string::npos, line.c_str());
        }
        QVERIFY(agent::removeEnvironment(rig.folder(other)).ok());
        QVERIFY2(isCleared(), (allImages() + "instead of " + images).c_str());
        if (!strangers.empty()) {
            QCOMPARE(before.size(), std::size_t(1));
            QVERIFY(!processesThatSay(strangers).empty());
            for (const pid_t pid : processesThatSay(strangers)) ::kill(pid, SIGKILL);
            QCOMPARE(runProgram("/usr/bin/podman", {"rm", "--force", before.front()}).exitCode, 0);
        }
    }

    /// The disk of podman's storage is really full in the middle of a step: said as such, and nothing stays there
    /// either.
    void storage_thatIsFull() {
        TRAINYARD_NEED_CONTAINERS(m_probe);
        const std::string place = m_folder->path().toStdString() + "/small";
        QVERIFY(std::filesystem::create_directory(place));
        if (::mount("tmpfs", place.c_str(), "tmpfs", 0, "size=32m") != 0)
            TRAINYARD_SKIP("A file system cannot be mounted.");
        const auto unmount = qScopeGuard([&] { ::umount2(place.c_str(), MNT_DETACH); });
        const std::string configuration = place + ".conf";
        std::ofstream(configuration) << "[storage]\ndriver = \"vfs\"\ngraphroot = \"" << place
                                     << "/store\"\nrunroot = \"" << place << "-run\"\n";
        ProgramOptions there;
        there.variables = {{"CONTAINERS_STORAGE_CONF", configuration}};
        const auto made = runProgram("/usr/bin/podman",
                                     {"import", "-q", m_folder->path().toStdString() + "/root.tar", kImage}, there);
        TRAINYARD_CONTAINER_STEP(m_probe, "podman import", made);
        const auto held = [&] {
            return runProgram("/usr/bin/podman", {"ps", "--all", "--external", "--quiet"}, there).out +
                   runProgram("/usr/bin/podman", {"images", "--all", "--quiet"}, there).out;
        };
        const std::string before = held();
        Scratch scratch;
        const EnvironmentRig rig(scratch);
        for (const char* name : {"1", "2", "3"}) {
            const auto build =
                buildPlan(rig, "FROM " + std::string(kImage) + "\nENV A=" + name + "\nRUN cat /dev/zero > /filler\n");
            const NodeLayout layout = rig.place(build);
            QCOMPARE(AgentProcess(layout, {}, there.variables).wait(60'000), 0);
            const Json ended = endedOf(recordsOf(layout));
            const std::string reason = textOf(ended, "reason");
            QVERIFY2(textOf(ended, "code") == "environment.disk" &&
                         reason.find("\"Build the image\" (step 1 of 1)") != std::string::npos,
                     (textOf(ended, "code") + ": " + reason).c_str());
            QVERIFY(rig.isGoneOf(build));
            const std::string after = held();
            QVERIFY2(
                after == before,
                (after + base::readFile(layout.agentLog()).valueOr({}) + EnvironmentRig::streamText(layout)).c_str());
        }
    }

    /// podman empties a working container that it cannot remove for want of disk: only its log says whose that was.
    void containerThatPodmanEmptied_isRemoved() {
        TRAINYARD_NEED_CONTAINERS(m_probe);
        Scratch scratch;
        const std::string strangers = killedBuildOfAStranger(scratch);
        for (const pid_t pid : processesThatSay(strangers)) ::kill(pid, SIGKILL);
        QVERIFY(waitFor([&] { return processesThatSay(strangers).empty(); }, 30'000));
        const std::vector<std::string> left = allContainers();
        QCOMPARE(left.size(), std::size_t(1));
        const std::string store =
            m_folder->path().toStdString() + "/store/overlay-containers/" + left.front() + "/userdata";
        const auto removal = [&](const std::string& log) {
            scratch.write("env/build.log", log);
            scratch.write("env/remove.json", R"({"commands": [], "builder": "podman"})");
            return agent::removeEnvironment(scratch / "env").ok();
        };
        const std::string says = "Error: deleting build container \"" + left.front() + "\": 1 error occurred:\n";
        QVERIFY(removal(says));
        QCOMPARE(allContainers(), left);  // Whole, so it is somebody's.
        for (const auto& entry : std::filesystem::directory_iterator(store)) std::filesystem::remove_all(entry.path());
        QVERIFY(removal("Error: something else\n"));
        QCOMPARE(allContainers(), left);
        QVERIFY(removal(says));
        QCOMPARE(allContainers(), std::vector<std::string>{});
    }

    /// A stand-in for the engine, so that a machine that runs no containers still tests what the agent has to do with
    /// one: the name it gives, what it runs, and how it removes one whose client was killed.
    void standIn_isNamed_run_andRemoved_data() {
        QTest::addColumn<QString>("engine");
        QTest::addColumn<bool>("killed");
        for (const char* engine : {"podman", "docker"}) {
            QTest::addRow("%s", engine) << QString::fromLatin1(engine) << false;
            QTest::addRow("%s killed", engine) << QString::fromLatin1(engine) << true;
        }
    }
    void standIn_isNamed_run_andRemoved() {
        QFETCH(QString, engine);
        QFETCH(bool, killed);
        Scratch scratch;
        EnvironmentRig rig(scratch);
        const std::string program = engine.toStdString();
        std::filesystem::permissions(
            scratch.write(
                "bin/" + program,
                "#!/bin/sh\nprintf '%s\\0' \"$@\" end >> \"$CALLS\"\n"
                "[ \"$1\" = run ] || exit 0\nwhile [ \"$1\" != an/image ]; do shift; done; shift\nexec \"$@\"\n"),
            std::filesystem::perms::owner_all);
        auto made =
            rig.plan("box:1", {"echo built > made"}, killed ? "echo up; sleep 300" : "echo \"a  b\"; printenv RANK");
        made.environment.kind = "container";
        made.environment.wrap = {program, "run", "--rm", "--workdir=$TRAINYARD_WORKING_FOLDER", "an/image"};
        const NodeLayout layout = rig.place(made);
        AgentProcess agent(
            layout, {},
            {{"PATH", (scratch / "bin").string() + ":/usr/bin:/bin"}, {"CALLS", (scratch / "calls").string()}});
        const std::string name = agent::containerName(made, 0);
        if (killed) {
            QVERIFY(waitFor([&] { return !linesOf(recordsOf(layout), 0, "stdout").empty(); }, 20'000));
            signalRank(layout, 0, "shim", SIGKILL);
        }
        QCOMPARE(agent.wait(), 0);
        std::vector<std::vector<std::string>> calls(1);
        for (const std::string& word : base::split(scratch.read("calls"), '\0')) {
            if (word == "end") {
                calls.emplace_back();
            } else {
                calls.back().push_back(word);
            }
        }
        QCOMPARE(calls.front(),
                 (std::vector<std::string>{"run", "--name=" + name, "--rm",
                                           "--workdir=" + (layout.root.parent_path().parent_path()).string(),
                                           "an/image", "/bin/sh", "-c", made.command.back()}));
        if (killed) {
            QCOMPARE(textOf(endedOf(recordsOf(layout)), "outcome"), std::string("failed"));
            QVERIFY(std::find(calls.begin(), calls.end(),
                              (std::vector<std::string>{"rm", "--force", "--volumes", name})) != calls.end());
        } else {
            QCOMPARE(linesOf(recordsOf(layout), 0, "stdout"), (std::vector<std::string>{"a  b", "0"}));
        }
    }

    void names_areGivenWhereThereIsNone() {
        std::vector<std::string> wrap{"/usr/bin/podman", "--log-level=error", "run", "--rm", "image"};
        auto found = agent::containerIn(wrap, "mine");
        QCOMPARE(found->name, std::string("mine"));
        QCOMPARE(wrap, (std::vector<std::string>{"/usr/bin/podman", "--log-level=error", "run", "--name=mine", "--rm",
                                                 "image"}));
        wrap = {"docker", "run", "--name", "theirs", "image"};
        found = agent::containerIn(wrap, "mine");
        QCOMPARE(found->name, std::string("theirs"));
        QCOMPARE(agent::removalOf(*found),
                 (std::vector<std::string>{"docker", "rm", "--force", "--volumes", "theirs"}));
        wrap = {"/usr/bin/env", "A=1"};
        QVERIFY(!agent::containerIn(wrap, "mine"));
        wrap = {"apptainer", "exec", "image"};
        QVERIFY(!agent::containerIn(wrap, "mine"));
    }

private:
    std::unique_ptr<ChildGuard> m_guard;
    std::unique_ptr<QTemporaryDir> m_folder;
    ContainerProbe m_probe;
};

QTEST_GUILESS_MAIN(TestAgentContainer)
#include "tst_AgentContainer.moc"
