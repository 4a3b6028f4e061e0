// A cluster behind a login node: every host with a network of its own, everything through ssh, as an ordinary user.
#include <QTest>
#include <cstdlib>

#include "tests/helpers/Children.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"
#include "tests/helpers/SlurmLan.h"
#include "tests/integration/slurm/SlurmRig.h"

using namespace trainyard;
using base::Json;
using test::SlurmDriver;
using State = targets::SchedulerLook::State;

namespace {

/// A line each tenth of a second, for as long as there is no file "stop".
constexpr const char* kTicking = "i=0; while [ ! -e \"$TRAINYARD_OUTPUTS/stop\" ]; do i=$((i + 1)); echo tick $i; "
                                 "sleep 0.1; done; echo done on $(hostname)";

}  // namespace

class TestSlurmLan : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase() {
        if (const std::string missing = test::SlurmLan::missing(); !missing.empty()) {
            TRAINYARD_SKIP(missing.c_str());
        }
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        m_guard = std::make_unique<test::ChildGuard>();
        m_lan = std::make_unique<test::SlurmLan>(2);
        const auto up = m_lan->up();
        QVERIFY2(up.ok(), up.ok() ? "" : up.error().message.c_str());
        m_driver = std::make_unique<SlurmDriver>();
        m_driver->use(spec());
    }
    void cleanupTestCase() {
        m_driver.reset();
        m_lan.reset();
        if (m_guard) {
            QVERIFY2(m_guard->noneLeft(10'000), m_guard->report().c_str());
        }
    }
    void cleanup() {
        if (m_lan && QTest::currentTestFailed()) {
            qWarning("%s\n%s", SlurmDriver::jobOutput(runFolder(m_run)).c_str(),
                     m_lan->slurm({"squeue", "-t", "all"}).c_str());
        }
    }

    void doctor_overTheLoginNode() {
        const auto lines = SlurmDriver::await<std::vector<targets::DoctorLine>>([&](auto done) {
            return m_driver->target().doctor(base::Deadline::inMillis(90'000), {}, std::move(done));
        });
        QVERIFY2(lines.ok(), lines.ok() ? "" : lines.error().message.c_str());
        int found = 0;
        for (const targets::DoctorLine& line : *lines) {
            if (line.id == "slurm" || line.id == "partition" || line.id == "nodes" || line.id == "shared" ||
                line.id == "compute") {
                ++found;
                QVERIFY2(line.finding == targets::Finding::Ok,
                         (line.id + ": " + line.text + " " + line.remedy).c_str());
            }
            if (line.id == "compute") {
                QVERIFY(line.host == "node2" || line.host == "node3");
            }
        }
        QCOMPARE(found, 5);
    }

    void twoNodes_findEachOther() {
        auto launch = SlurmDriver::shell("echo rank $RANK of $WORLD_SIZE on $(hostname) as $(id -un); [ -n "
                                         "\"$MASTER_ADDR\" ] && [ \"$MASTER_ADDR\" != 127.0.0.1 ]");
        launch.plan.nodes = 2;
        launch.plan.distribution = "pytorch";
        launch.plan.backend = "gloo";
        QVERIFY(begin(launch));
        const auto streams = m_driver->follow(m_run, SlurmDriver::ended());
        const std::string log = SlurmDriver::logOf(streams);
        QVERIFY2(SlurmDriver::endOf(streams).value("outcome", std::string()) == "completed", log.c_str());
        for (const char* line : {"rank 0 of 2 on node2 as lab", "rank 1 of 2 on node3 as lab"}) {
            QVERIFY2(log.find(line) != std::string::npos, log.c_str());
        }
        QVERIFY(SlurmDriver::gapless(streams));
    }

    void mpi_bySrun_overTwoNodes() {
        if (test::runProgram("/usr/bin/python3", {"-c", "import mpi4py"}).exitCode != 0) {
            TRAINYARD_SKIP("Needs python3-mpi4py.");
        }
        auto launch = SlurmDriver::plan({"/usr/bin/python3", "-c",
                                         "from mpi4py import MPI\nimport os\nc = MPI.COMM_WORLD\n"
                                         "print('rank %d of %d on %s: %d' % (c.rank, c.size, os.uname().nodename, "
                                         "c.allreduce(c.rank + 1)), flush=True)\n"});
        launch.plan.nodes = 2;
        launch.plan.processes = 2;
        launch.plan.distribution = "mpi";
        QVERIFY(begin(launch));
        const auto streams = m_driver->follow(m_run, SlurmDriver::ended());
        const std::string log = SlurmDriver::logOf(streams);
        QVERIFY2(SlurmDriver::endOf(streams).value("outcome", std::string()) == "completed",
                 (log + base::dumpJson(SlurmDriver::endOf(streams))).c_str());
        for (const char* line : {"rank 0 of 4 on node2: 10", "rank 1 of 4 on node2: 10", "rank 2 of 4 on node3: 10",
                                 "rank 3 of 4 on node3: 10"}) {
            QVERIFY2(log.find(line) != std::string::npos, log.c_str());
        }
    }

    void loginNode_cutAndBootedAnew_theRunGoesOn() {
        QVERIFY(begin(SlurmDriver::shell(kTicking)));
        QVERIFY(m_driver->waitForLog(m_run, "tick 5\n"));
        bool pulled = false;
        bool booted = false;
        const auto streams = m_driver->follow(
            m_run,
            [&](const SlurmDriver::Streams& seen) {
                if (!pulled) {
                    pulled = m_lan->lab().cut(1);
                    QTest::qWait(3000);
                    pulled = pulled && m_lan->lab().heal(1);
                } else if (!booted && SlurmDriver::logOf(seen).find("tick 60\n") != std::string::npos) {
                    booted = m_lan->lab().crash(1) && m_lan->boot(1).ok() &&
                             base::writeFileAtomically(runFolder(m_run) / "outputs" / "stop", "", 0644).ok();
                }
                return !SlurmDriver::endOf(seen).is_null();
            },
            120'000);
        QVERIFY(pulled && booted);
        QCOMPARE(SlurmDriver::endOf(streams).value("outcome", std::string()), std::string("completed"));
        QVERIFY(SlurmDriver::gapless(streams));
        // Every line once, in order.
        int next = 1;
        for (const std::string& line : base::split(SlurmDriver::logOf(streams), '\n')) {
            if (line.starts_with("tick ")) {
                QCOMPARE(line, "tick " + std::to_string(next++));
            }
        }
        QVERIFY(next > 60);
        QVERIFY(m_driver->waitForState(m_run, State::Completed));
    }

    void computeNode_withoutPower_theJobGoesToTheOther() {
        QVERIFY(begin(SlurmDriver::shell(kTicking)));
        QVERIFY(m_driver->waitForLog(m_run, "tick 5\n"));
        const auto look = m_driver->look(m_run);
        QVERIFY(look.ok() && look->nodes.size() == 1);
        const std::string node(
            base::trim(m_lan->slurm({"squeue", "-h", "-n", SlurmDriver::nameOf(m_run), "-o", "%N"})));
        QCOMPARE(look->nodes[0].host, node);
        const int host = node == "node2" ? 2 : 3;
        QVERIFY(m_lan->lab().cut(host) && m_lan->lab().crash(host));
        QVERIFY(m_driver->waitForLog(m_run, "tick 5\n", 2, 90'000));
        QVERIFY(base::writeFileAtomically(runFolder(m_run) / "outputs" / "stop", "", 0644).ok());
        const auto streams = m_driver->follow(m_run, SlurmDriver::ended(2));
        QCOMPARE(SlurmDriver::endOf(streams, 2).value("outcome", std::string()), std::string("completed"));
        QVERIFY(SlurmDriver::endOf(streams, 1).is_null());
        QVERIFY(SlurmDriver::logOf(streams, 2).find(host == 2 ? "done on node3" : "done on node2") !=
                std::string::npos);
        QVERIFY(m_lan->boot(host).ok());
    }

private:
    [[nodiscard]] static spec::TargetSpec spec() {
        spec::TargetSpec spec;
        spec.name = "cluster";
        spec.kind = spec::TargetKind::Slurm;
        spec.connectSeconds = 3;
        spec.aliveSeconds = 1;
        spec.slurm.login = "node1";
        spec.slurm.maxNodes = 2;
        return spec;
    }
    [[nodiscard]] base::Path runFolder(const base::RunId& run) const {
        return m_lan->home() / ".local" / "share" / "trainyard" / "work" / "runs" / run.str();
    }
    bool begin(const targets::LaunchPlan& launch) {
        m_run = launch.plan.run;
        const auto started = m_driver->launch(launch);
        if (!started.ok()) {
            qWarning("%s: %s", started.error().code.c_str(), started.error().message.c_str());
        }
        return started.ok();
    }

    std::unique_ptr<test::ChildGuard> m_guard;
    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<test::SlurmLan> m_lan;
    std::unique_ptr<SlurmDriver> m_driver;
    base::RunId m_run;
};

QTEST_GUILESS_MAIN(TestSlurmLan)
#include "tst_Lan.moc"
