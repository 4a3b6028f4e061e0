// Ranks in real containers: what they see, and that nothing of a container outlives its rank.
#include <QTemporaryDir>
#include <tuple>

#include "core/agent/Container.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Skip.h"
#include "tests/unit/agent/EnvironmentRig.h"

using namespace trainyard;
using namespace trainyard::test;

class TestAgentContainer : public QObject {
    Q_OBJECT

private:
    static constexpr const char* kImage = "localhost/trainyard-test-base";

    /// A shell and a few programs with their libraries: what a base image needs.
    bool makeImage() {
        const std::string script =
            "set -e; root=$1/root; mkdir -p $root/bin $root/tmp $root/proc $root/dev $root/sys $root/etc $root/run; "
            "for p in dash sleep cat env; do cp \"$(command -v $p)\" $root/bin/; done; ln -s dash $root/bin/sh; "
            "for l in $(ldd $root/bin/dash $root/bin/sleep $root/bin/cat $root/bin/env | grep -o '/[^ ]*' | grep -v : | sort -u); do "
            "mkdir -p $root$(dirname $l); cp -L $l $root$l; done; tar -C $root -cf $1/root.tar .; podman import -q $1/root.tar \"$2\"";
        const auto made = runProgram("/bin/sh", {"-c", script, "sh", m_folder->path().toStdString(), kImage});
        m_why = made.err;
        return made.exitCode == 0;
    }
    wire::Plan plan(const EnvironmentRig& rig, const std::string& script) const {
        auto plan = rig.plan("box:1", {"echo built > made"}, script);
        plan.environment.kind = "container";
        plan.environment.wrap = {"podman", "run", "--rm", "--network=host", "--env=TRAINYARD_STREAM", "--env=RANK", "--env=TOKEN",
                                 "--volume=" + rig.root().string() + ":" + rig.root().string(), "--workdir=" + rig.root().string(), kImage};
        return plan;
    }
    static std::string containers() { return runProgram("/usr/bin/podman", {"ps", "--all", "--format", "{{.Names}}"}).out; }

private Q_SLOTS:
    void initTestCase() {
        if (runProgram("/bin/sh", {"-c", "command -v podman && command -v runc"}).exitCode != 0) TRAINYARD_SKIP("podman or runc is missing");
        // Storage on an overlay: not below /tmp, which may be one itself.
        m_folder = std::make_unique<QTemporaryDir>(QStringLiteral("/var/tmp/trainyard-podman-XXXXXX"));
        QVERIFY(m_folder->isValid());
        const std::string root = m_folder->path().toStdString();
        const auto write = [&](const char* variable, const std::string& name, const std::string& text) {
            std::ofstream(root + "/" + name) << text;
            qputenv(variable, QByteArray::fromStdString(root + "/" + name));
        };
        write("CONTAINERS_CONF", "containers.conf",
              "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\nnetns = \"host\"\nlog_driver = \"k8s-file\"\n"
              "[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n");
        write("CONTAINERS_STORAGE_CONF", "storage.conf",
              "[storage]\ndriver = \"overlay\"\ngraphroot = \"" + root + "/store\"\nrunroot = \"" + root + "/run\"\n");
        write("CONTAINERS_REGISTRIES_CONF", "registries.conf", "unqualified-search-registries = []\nshort-name-mode = \"disabled\"\n");
        if (!makeImage()) QSKIP(("this machine makes no images: " + m_why).c_str());
        const auto tried = runProgram("/usr/bin/podman", {"run", "--rm", "--network=host", kImage, "/bin/sh", "-c", "echo fine"});
        if (tried.out != "fine\n") QSKIP(("this machine runs no containers: " + tried.err).c_str());
    }
    void cleanupTestCase() {
        if (!m_folder) return;
        const auto removed = runProgram("/usr/bin/podman", {"rm", "--all", "--force"});
        if (removed.exitCode != 0) qWarning("%s", removed.err.c_str());
        std::ignore = runProgram("/bin/sh", {"-c", "umount \"$1\"/store/overlay 2> /dev/null; umount \"$1\"/store 2> /dev/null; true", "sh", m_folder->path().toStdString()});
    }
    void init() { m_guard = std::make_unique<ChildGuard>(); }
    void cleanup() { QVERIFY2(m_guard->noneLeft(20'000), m_guard->report().c_str()); }

    void ranks_runInside_andReportFromThere() {
        Scratch scratch;
        EnvironmentRig rig(scratch);
        scratch.write("token", "a-secret-word\n");
        auto made = plan(rig, "[ -e /bin/dash ] && [ ! -e /usr/bin/python3 ] && echo inside, rank $RANK; echo \"token $TOKEN\"; "
                              "echo '{\"kind\":\"metric\",\"name\":\"n\",\"value\":1}' >> \"$TRAINYARD_STREAM\"");
        made.processes = 2;
        made.environment.secrets = {{"TOKEN", (scratch / "token").string(), ""}};
        const NodeLayout layout = rig.place(made);
        QCOMPARE(AgentProcess(layout).wait(), 0);
        const auto records = recordsOf(layout);
        QVERIFY2(textOf(endedOf(records), "outcome") == "completed", EnvironmentRig::streamText(layout).c_str());
        for (int rank = 0; rank < 2; ++rank) {
            QCOMPARE(linesOf(records, rank, "stdout"), (std::vector<std::string>{"inside, rank " + std::to_string(rank), "token ***"}));
            QCOMPARE(pointsOf(records, rank, "n").size(), std::size_t(1));
        }
        QCOMPARE(containers(), std::string());
    }

    void nothingOfAContainer_isLeft_data() {
        QTest::addColumn<QString>("how");
        for (const char* how : {"cancel", "deaf", "shim killed", "rank killed", "agent killed"}) QTest::newRow(how) << QString::fromLatin1(how);
    }
    void nothingOfAContainer_isLeft() {
        QFETCH(QString, how);
        Scratch scratch;
        EnvironmentRig rig(scratch);
        const std::string mark = "mark" + base::newUuid7();
        const auto made = plan(rig, std::string(how == u"deaf" ? "trap '' TERM; " : "trap 'echo bye; exit 0' TERM; ") + "(sleep 301 &); echo up; : " + mark +
                                        "; while :; do sleep 0.2; done");
        const NodeLayout layout = rig.place(made);
        auto agent = std::make_unique<AgentProcess>(layout);
        QVERIFY2(waitFor([&] { return linesOf(recordsOf(layout), 0, "stdout").size() == 1; }, 20'000), EnvironmentRig::streamText(layout).c_str());
        QCOMPARE(containers(), agent::containerName(made, 0) + "\n");
        QVERIFY(!processesThatSay(mark).empty());
        if (how == u"shim killed") {
            ::kill(pidOfRank(layout, 0, "shim"), SIGKILL);
        } else if (how == u"rank killed") {
            ::kill(pidOfRank(layout, 0, "process"), SIGKILL);
        } else {
            if (how == u"agent killed") {
                agent->kill(SIGKILL);
                agent = std::make_unique<AgentProcess>(layout);
            }
            std::ofstream(layout.control() / wire::control::kCancel) << "";
        }
        QCOMPARE(agent->wait(), 0);
        QCOMPARE(textOf(endedOf(recordsOf(layout)), "outcome"), std::string(how == u"rank killed" || how == u"shim killed" ? "failed" : "canceled"));
        if (how == u"cancel") QCOMPARE(linesOf(recordsOf(layout), 0, "stdout"), (std::vector<std::string>{"up", "bye"}));
        QVERIFY(processesThatSay(mark).empty());
        QCOMPARE(containers(), std::string());
    }

    void names_areGivenWhereThereIsNone() {
        std::vector<std::string> wrap{"/usr/bin/podman", "--log-level=error", "run", "--rm", "image"};
        auto found = agent::containerIn(wrap, "mine");
        QCOMPARE(found->name, std::string("mine"));
        QCOMPARE(wrap, (std::vector<std::string>{"/usr/bin/podman", "--log-level=error", "run", "--name=mine", "--rm", "image"}));
        wrap = {"docker", "run", "--name", "theirs", "image"};
        found = agent::containerIn(wrap, "mine");
        QCOMPARE(found->name, std::string("theirs"));
        QCOMPARE(agent::removalOf(*found), (std::vector<std::string>{"docker", "rm", "--force", "--volumes", "theirs"}));
        wrap = {"/usr/bin/env", "A=1"};
        QVERIFY(!agent::containerIn(wrap, "mine"));
        wrap = {"apptainer", "exec", "image"};
        QVERIFY(!agent::containerIn(wrap, "mine"));
    }

private:
    std::unique_ptr<ChildGuard> m_guard;
    std::unique_ptr<QTemporaryDir> m_folder;
    std::string m_why;
};

QTEST_GUILESS_MAIN(TestAgentContainer)
#include "tst_AgentContainer.moc"
