// What a node brings into place before its ranks start, and the port at which a script's ranks meet.
#include <QScopeGuard>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "core/agent/RankFiles.h"
#include "core/base/Content.h"
#include "core/base/Hash.h"
#include "core/wire/NodeLink.h"
#include "tests/helpers/Children.h"
#include "tests/unit/agent/AgentRig.h"

using namespace trainyard;
using namespace trainyard::test;

namespace {

Json fileEntry(const std::string& path, const std::string& bytes, bool executable = false) {
    return Json{{"path", path}, {"sha256", base::sha256Hex(bytes)}, {"size", bytes.size()}, {"executable", executable}};
}

/// A plan with a snapshot of these files; their objects are in the work folder.
NodeLayout placeWithSource(const Scratch& scratch, const AgentRig& rig, wire::Plan& plan, const Json& files,
                           const std::vector<std::string>& objects) {
    plan.workFolder = (scratch / "work").string();
    plan.sourceManifest = "snapshot.json";
    const NodeLayout layout = rig.place(plan);
    for (const std::string& bytes : objects) scratch.write("work/objects/" + base::sha256Hex(bytes), bytes);
    const Json manifest{{"format", wire::kSnapshotFormat}, {"version", wire::kSnapshotVersion}, {"files", files}};
    std::ofstream(layout.root / "snapshot.json") << base::dumpJson(manifest);
    return layout;
}

}  // namespace

class TestAgentPrepare : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() { m_guard = std::make_unique<ChildGuard>(); }
    void cleanup() { QVERIFY2(m_guard->noneLeft(20'000), m_guard->report().c_str()); }

    void source_isTheWorkingFolder() {
        Scratch scratch;
        AgentRig rig(scratch);
        const std::string script =
            "#!/bin/sh\npwd; cat data/x.txt; echo changed > data/x.txt; stat -c %a run.sh data/x.txt\n";
        auto plan = rig.commandPlan({"./run.sh"});
        const NodeLayout layout = placeWithSource(
            scratch, rig, plan, Json::array({fileEntry("run.sh", script, true), fileEntry("data/x.txt", "x\n")}),
            {script, "x\n"});
        QCOMPARE(AgentProcess(layout).wait(), 0);
        const auto records = recordsOf(layout);
        QCOMPARE(textOf(endedOf(records), "reason"), std::string("The command ended with exit status 0."));
        QCOMPARE(linesOf(records, 0, "stdout"), (std::vector<std::string>{layout.code().string(), "x", "700", "600"}));
        QCOMPARE(scratch.read("work/objects/" + base::sha256Hex("x\n")), std::string("x\n"));  // A copy was changed.
    }

    void source_inASubfolder() {
        Scratch scratch;
        AgentRig rig(scratch);
        auto plan = rig.shellPlan("cat here.txt");
        plan.workingFolder = "sub";
        const NodeLayout layout =
            placeWithSource(scratch, rig, plan, Json::array({fileEntry("sub/here.txt", "here\n")}), {"here\n"});
        QCOMPARE(AgentProcess(layout).wait(), 0);
        QCOMPARE(linesOf(recordsOf(layout), 0, "stdout"), std::vector<std::string>{"here"});
    }

    /// What a script of Azure ML's writes into ./outputs is an output; a source with such a folder of its own keeps it.
    void source_outputsOfAzureScripts() {
        for (const bool own : {false, true}) {
            Scratch scratch;
            AgentRig rig(scratch);
            auto plan = rig.shellPlan("mkdir -p outputs && echo model > outputs/model.pt");
            const Json files = own ? Json::array({fileEntry("outputs/here.txt", "here\n")})
                                   : Json::array({fileEntry("here.txt", "here\n")});
            const NodeLayout layout = placeWithSource(scratch, rig, plan, files, {"here\n"});
            QCOMPARE(AgentProcess(layout).wait(), 0);
            const Json ended = endedOf(recordsOf(layout));
            QCOMPARE(textOf(ended, "outcome"), std::string("completed"));
            QCOMPARE(ended.at("outputs").size(), std::size_t{own ? 0U : 1U});
        }
    }
    void source_thatIsWrong_data() {
        QTest::addColumn<QByteArray>("path");
        QTest::addColumn<QByteArray>("object");
        QTest::addColumn<QByteArray>("code");
        QTest::newRow("up") << QByteArray("../evil") << QByteArray("x") << QByteArray("source.path");
        QTest::newRow("absolute") << QByteArray("/tmp/evil") << QByteArray("x") << QByteArray("source.path");
        QTest::newRow("newline") << QByteArray("a\nb") << QByteArray("x") << QByteArray("source.path");
        QTest::newRow("not brought") << QByteArray("a") << QByteArray("other") << QByteArray("source.missing");
    }
    void source_thatIsWrong() {
        QFETCH(QByteArray, path);
        QFETCH(QByteArray, object);
        QFETCH(QByteArray, code);
        Scratch scratch;
        AgentRig rig(scratch);
        auto plan = rig.shellPlan("true");
        const NodeLayout layout = placeWithSource(scratch, rig, plan, Json::array({fileEntry(path.toStdString(), "x")}),
                                                  {object.toStdString()});
        QCOMPARE(AgentProcess(layout).wait(), 0);
        QCOMPARE(textOf(endedOf(recordsOf(layout)), "code"), code.toStdString());
        QVERIFY(!std::filesystem::exists(layout.code()));
        QVERIFY(!std::filesystem::exists(layout.root / "evil"));
    }

    void inputs_areChecked_andNamed() {
        Scratch scratch;
        AgentRig rig(scratch);
        const Path folder = scratch / "set";
        scratch.write("set/a.txt", "aaa");
        auto plan = rig.shellPlan("cat \"$TRAINYARD_INPUT_BIRDS/a.txt\"");
        plan.inputs = {{"birds", folder.string(), base::readContent(folder)->sha256, "", true}};
        NodeLayout layout = rig.place(plan);
        QCOMPARE(AgentProcess(layout).wait(), 0);
        QCOMPARE(linesOf(recordsOf(layout), 0, "stdout"), std::vector<std::string>{"aaa"});

        plan.run = base::RunId::make();
        scratch.write("set/a.txt", "bbb");
        layout = rig.place(plan);
        QCOMPARE(AgentProcess(layout).wait(), 0);
        QCOMPARE(textOf(endedOf(recordsOf(layout)), "code"), std::string("input.hash"));

        plan.run = base::RunId::make();
        plan.inputs[0].path = "/no/such/data";
        layout = rig.place(plan);
        QCOMPARE(AgentProcess(layout).wait(), 0);
        QCOMPARE(textOf(endedOf(recordsOf(layout)), "code"), std::string("input.missing"));
    }

    void input_ofOneFile_isItsContentWhateverItsName() {
        Scratch scratch;
        AgentRig rig(scratch);
        const std::string hash = base::sha256Hex("aaa");
        const std::string folder = "work/data/" + hash + "/files/";
        scratch.write(folder + "first.pth", "aaa");
        auto plan = rig.shellPlan("cat \"$TRAINYARD_INPUT_WEIGHTS\"");
        plan.inputs = {{"weights", (scratch / (folder + "renamed.pth")).string(), hash, "", false}};
        NodeLayout layout = rig.place(plan);
        QCOMPARE(AgentProcess(layout).wait(), 0);
        QCOMPARE(linesOf(recordsOf(layout), 0, "stdout"), std::vector<std::string>{"aaa"});
        // Elsewhere a name is a name, and of two nobody knows which.
        for (const bool elsewhere : {true, false}) {
            plan.run = base::RunId::make();
            plan.inputs[0].sha256 = elsewhere ? base::sha256Hex("another") : hash;
            if (!elsewhere) scratch.write(folder + "second.pth", "bbb");
            layout = rig.place(plan);
            QCOMPARE(AgentProcess(layout).wait(), 0);
            QCOMPARE(textOf(endedOf(recordsOf(layout)), "code"), std::string("input.missing"));
        }
    }

    void inputs_areFetched_once() {
        Scratch scratch;
        AgentRig rig(scratch);
        const std::string bytes(300'000, 'z');
        scratch.write("site/set.bin", bytes);
        const Path portFile = scratch / "port";
        const std::string server = "import http.server,functools,sys\n"
                                   "h=functools.partial(http.server.SimpleHTTPRequestHandler,directory=sys.argv[1])\n"
                                   "s=http.server.HTTPServer(('127.0.0.1',0),h)\n"
                                   "open(sys.argv[2],'w').write(str(s.server_port)); s.serve_forever()\n";
        const pid_t pid = ::fork();
        if (pid == 0) {
            const int null = ::open("/dev/null", O_RDWR);
            for (const int fd : {0, 1, 2}) ::dup2(null, fd);
            const std::string site = (scratch / "site").string();
            ::execl("/usr/bin/python3", "python3", "-c", server.c_str(), site.c_str(), portFile.c_str(), nullptr);
            ::_exit(127);
        }
        const auto ended = qScopeGuard([pid] {
            ::kill(pid, SIGKILL);
            ::waitpid(pid, nullptr, 0);
        });
        QVERIFY(waitFor([&] { return pidIn(portFile) > 0; }, 10'000));
        const std::string address = "http://127.0.0.1:" + std::to_string(pidIn(portFile)) + "/set.bin?x=$(id);";
        auto plan = rig.shellPlan("wc -c < \"$TRAINYARD_INPUT_SET\"");
        plan.workFolder = (scratch / "work").string();
        plan.inputs = {{"set", "", base::sha256Hex(bytes), address, false}};
        NodeLayout layout = rig.place(plan);
        // Half of it came before a break.
        scratch.write("work/incoming/" + base::sha256Hex(bytes) + ".fetch", bytes.substr(0, 1000));
        QCOMPARE(AgentProcess(layout).wait(), 0);
        QCOMPARE(linesOf(recordsOf(layout), 0, "stdout"), std::vector<std::string>{"300000"});

        plan.run = base::RunId::make();
        plan.inputs[0].sha256 = base::sha256Hex("another");
        layout = rig.place(plan);
        QCOMPARE(AgentProcess(layout).wait(), 0);
        QCOMPARE(textOf(endedOf(recordsOf(layout)), "code"), std::string("input.hash"));

        ::kill(pid, SIGKILL);
        plan.run = base::RunId::make();
        plan.inputs[0].sha256 = base::sha256Hex(bytes);
        layout = rig.place(plan);
        QCOMPARE(AgentProcess(layout).wait(), 0);  // The cache has it, without a server.
        QCOMPARE(textOf(endedOf(recordsOf(layout)), "outcome"), std::string("completed"));
    }

    void inputs_onlyOverHttp() {
        Scratch scratch;
        AgentRig rig(scratch);
        for (const char* address : {"file:///etc/passwd", "-oX", "ftp://127.0.0.1/x", "http://127.0.0.1/a b"}) {
            auto plan = rig.shellPlan("true");
            plan.workFolder = (scratch / "work").string();
            plan.inputs = {{"set", "", std::string(64, 'a'), address, false}};
            const NodeLayout layout = rig.place(plan);
            QCOMPARE(AgentProcess(layout).wait(), 0);
            QCOMPARE(textOf(endedOf(recordsOf(layout)), "code"), std::string("input.address"));
        }
    }

    void aTakenPort_isTriedAnew_beforeAnyCodeRuns() {
        Scratch scratch;
        AgentRig rig(scratch);
        const base::UniqueFd holder(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const auto place = wire::numericAddress("127.0.0.1", 0);
        QCOMPARE(::bind(holder.get(), place->generic(), place->length), 0);
        QCOMPARE(::listen(holder.get(), 1), 0);
        sockaddr_in bound{};
        socklen_t length = sizeof bound;
        QCOMPARE(::getsockname(holder.get(), reinterpret_cast<sockaddr*>(&bound), &length), 0);
        const auto plan = rig.shellPlan("echo $MASTER_PORT", 3);
        const NodeLayout layout = rig.place(plan);
        agent::Launch launch;
        launch.masterPort = ntohs(bound.sin_port);
        launch.bootId = base::bootId();
        launch.t = base::wallMicros();
        std::ofstream(agent::launchFile(layout)) << base::dumpJson(agent::toJson(launch));
        QCOMPARE(AgentProcess(layout).wait(), 0);
        const auto records = recordsOf(layout);
        QCOMPARE(textOf(endedOf(records), "outcome"), std::string("completed"));
        QCOMPARE(textOf(ofKind(records, wire::kind::kWarning).at(0).body, "code"), std::string("node.port"));
        for (int rank = 0; rank < 3; ++rank) {
            const auto lines = linesOf(records, rank, "stdout");
            QCOMPARE(lines.size(), std::size_t(1));
            QVERIFY(lines[0] != std::to_string(launch.masterPort) && lines == linesOf(records, 0, "stdout"));
        }
    }

private:
    std::unique_ptr<ChildGuard> m_guard;
};

QTEST_GUILESS_MAIN(TestAgentPrepare)
#include "tst_AgentPrepare.moc"
