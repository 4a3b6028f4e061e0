// What goes wrong on real machines: processes killed at any moment, disks that fill, folders that vanish. Each case
// must end in a state that tells the truth, without an orphan, without a lost record, without a hang.
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <QElapsedTimer>
#include <QProcess>
#include <QSignalSpy>
#include <QTest>
#include <algorithm>
#include <fstream>
#include <set>

#include "core/base/Process.h"
#include "core/spec/RunSpec.h"
#include "core/wire/Layout.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Signal.h"
#include "tests/helpers/Skip.h"
#include "tests/integration/SessionDriver.h"

using namespace trainyard;
using base::Json;
using test::SessionDriver;

namespace {

/// A file system of its own, unmounted at the end. Needs the right to mount.
class Mount {
public:
    Mount(base::Path folder, const char* options) : m_folder(std::move(folder)) {
        m_ok = base::makeDirs(m_folder).ok() && ::mount("tmpfs", m_folder.c_str(), "tmpfs", 0, options) == 0;
    }
    ~Mount() {
        if (m_ok) {
            ::umount2(m_folder.c_str(), MNT_DETACH);
        }
    }
    Mount(const Mount&) = delete;
    Mount& operator=(const Mount&) = delete;
    [[nodiscard]] bool ok() const { return m_ok; }
    [[nodiscard]] bool remount(const char* options, unsigned long flags) const {
        return ::mount("tmpfs", m_folder.c_str(), "tmpfs", MS_REMOUNT | flags, options) == 0;
    }

private:
    base::Path m_folder;
    bool m_ok = false;
};

std::int64_t pidIn(const base::Path& file, const char* member) {
    const auto text = base::readFile(file);
    const auto json = text.ok() ? base::parseJson(*text) : base::Result<Json>(base::Error{});
    if (!json.ok() || !json->contains(member)) {
        return 0;
    }
    const auto identity = base::processIdentityFromJson(json->at(member));
    return identity.ok() && base::liveness(*identity) == base::Liveness::Alive ? identity->pid : 0;
}

constexpr const char* kFashion = "/usr/share/datasets/fashion-mnist";

bool canTrain() {
    return std::filesystem::exists(kFashion) && std::filesystem::exists(test::builtProgram("trainyard-engine"));
}

/// An IDX file of `values` bytes that says it has `shape` of them.
std::string idx(const std::vector<std::uint32_t>& shape, std::size_t values) {
    std::string bytes("\0\0\x08", 3);
    bytes.push_back(static_cast<char>(shape.size()));
    for (const std::uint32_t size : shape) {
        for (int shift = 24; shift >= 0; shift -= 8) {
            bytes.push_back(static_cast<char>((size >> shift) & 0xFF));
        }
    }
    for (std::size_t i = 0; i < values; ++i) {
        bytes.push_back(static_cast<char>(i * 7 % 10));
    }
    return bytes;
}

/// Processes whose command line holds the text.
std::vector<pid_t> processesWith(const std::string& text) {
    std::vector<pid_t> pids;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
        const std::string name = entry.path().filename().string();
        if (!std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; })) {
            continue;
        }
        std::ifstream file(entry.path() / "cmdline", std::ios::binary);
        const std::string line((std::istreambuf_iterator<char>(file)), {});
        const pid_t pid = static_cast<pid_t>(std::stol(name));
        if (pid != ::getpid() && line.find(text) != std::string::npos) {
            pids.push_back(pid);
        }
    }
    return pids;
}

}  // namespace

class TestFaults : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase() { qputenv("TRAINYARD_BIN", QByteArray::fromStdString(test::builtProgram("").string())); }
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        m_workspace = *m_scratch / "w";
        m_driver = std::make_unique<SessionDriver>();
    }
    void cleanup() {
        m_driver.reset();
        QVERIFY2(m_guard.noneLeft(15'000), m_guard.report().c_str());
    }

    void kill_cliAtAnyMomentOfSubmit() {
        QCOMPARE(test::cli(m_workspace, {"workspace", "init", m_workspace.string()}).exitCode, 0);
        constexpr int kTries = 30;
        int refused = 0;
        // One whole submission first: the moments are shares of what it takes on this machine.
        QElapsedTimer clock;
        clock.start();
        QCOMPARE(test::cli(m_workspace, {"run", "submit", "--", "sh", "-c", "echo begun; echo over"}).exitCode, 0);
        const auto step = static_cast<useconds_t>(std::max<qint64>(1, clock.elapsed()) * 1000 / kTries);
        for (int i = 0; i < kTries; ++i) {
            QProcess cli;
            cli.start(QString::fromStdString(test::builtProgram("trainyard-cli").string()),
                      {QStringLiteral("--workspace"), QString::fromStdString(m_workspace.string()),
                       QStringLiteral("run"), QStringLiteral("submit"), QStringLiteral("--wait"), QStringLiteral("--"),
                       QStringLiteral("sh"), QStringLiteral("-c"), QStringLiteral("echo begun; sleep 0.2; echo over")});
            QVERIFY(cli.waitForStarted());
            ::usleep(step * static_cast<useconds_t>(i));
            test::sendSignal(cli, SIGKILL);
            QVERIFY(cli.waitForFinished(5000));
        }
        QVERIFY(open());
        const auto active = [&] {
            int count = 0;
            for (const Json& run : all()) {
                const std::string state = run.at("state").get<std::string>();
                count += state == "Completed" || state == "Failed" ? 0 : 1;
            }
            return count;
        };
        QVERIFY(test::waitFor([&] { return active() == 0; }, 20'000));
        std::set<std::int64_t> numbers;
        for (const Json& run : all()) {
            QVERIFY(numbers.insert(run.at("number").get<std::int64_t>()).second);
            const std::string id = run.at("run").get<std::string>();
            const auto log = m_driver->log(id);
            if (run.at("state").get<std::string>() == "Completed") {
                QCOMPARE(log, (std::vector<std::string>{"begun", "over"}));
            } else {
                ++refused;
                // It says that it never began, and it never did.
                QVERIFY2(run.at("reason").get<std::string>().find("before the run was started") != std::string::npos,
                         run.dump().c_str());
                QVERIFY(log.empty());
            }
        }
        qInfo("%d submissions killed: %zu runs, %d of them never started", kTries, numbers.size(), refused);
        QVERIFY(!numbers.empty());
    }

    void kill_agentAtAnyMoment() {
        QVERIFY(init_workspace());
        std::vector<std::string> runs;
        for (int i = 0; i < 4; ++i) {
            runs.push_back(m_driver->submit("i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo $i; sleep 0.01; done"));
            QVERIFY(!runs.back().empty());
            ::usleep(static_cast<useconds_t>(i * 70'000));
            const std::int64_t agent = agentOf(runs.back());
            if (agent > 0) {
                ::kill(static_cast<pid_t>(agent), SIGKILL);
            }
        }
        std::vector<std::string> expected;
        for (int i = 1; i <= 200; ++i) {
            expected.push_back(std::to_string(i));
        }
        for (const std::string& run : runs) {
            const Json shown = m_driver->watch(run, 40'000);
            QVERIFY2(shown.at("state").get<std::string>() == "Completed", shown.dump().c_str());
            QCOMPARE(m_driver->log(run, "stdout"), expected);
        }
    }

    void kill_workbenchAtAnyMoment() {
        const base::Path workbench = test::builtProgram("trainyard");
        QVERIFY(std::filesystem::exists(workbench));
        QCOMPARE(test::cli(m_workspace, {"workspace", "init", m_workspace.string()}).exitCode, 0);
        QCOMPARE(test::cli(m_workspace,
                           {"run", "submit", "--", "sh", "-c",
                            "i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo $i; echo '{\"kind\":\"metric\",\"name\":"
                            "\"loss\",\"value\":'$i',\"step\":'$i'}' >> \"$TRAINYARD_STREAM\"; sleep 0.02; done"})
                     .exitCode,
                 0);
        constexpr int kTries = 12;
        constexpr useconds_t kStep = 120'000;
        int working = 0;
        for (int i = 0; i < kTries; ++i) {
            QProcess program;
            program.setProcessChannelMode(QProcess::ForwardedChannels);
            program.start(QString::fromStdString(workbench.string()),
                          {QString::fromStdString(m_workspace.string()), QStringLiteral("trainyard://run/1")});
            QVERIFY(program.waitForStarted());
            ::usleep(kStep * static_cast<useconds_t>(i));
            QCOMPARE(program.state(), QProcess::Running);
            test::sendSignal(program, SIGKILL);
            QVERIFY(program.waitForFinished(5000));
            const auto views = base::readFile(m_workspace / "views/window.json");
            if (views.ok()) {
                QVERIFY2(base::parseJson(*views).ok(), "What the window keeps of itself is torn.");
                ++working;
            }
        }
        qInfo("%d times killed, %d times after it had kept where it is", kTries, working);
        QVERIFY(open());
        const std::string run = all().at(0).at("run").get<std::string>();
        const Json shown = m_driver->watch(run, 60'000);
        QVERIFY2(shown.at("state").get<std::string>() == "Completed", shown.dump().c_str());
        QCOMPARE(shown.at("warnings").get<int>(), 0);
        QCOMPARE(shown.at("metrics").at(0).at("count").get<int>(), 400);
        std::vector<std::string> expected;
        for (int i = 1; i <= 400; ++i) {
            expected.push_back(std::to_string(i));
        }
        QCOMPARE(m_driver->log(run, "stdout"), expected);
    }

    void kill_rank() {
        QVERIFY(init_workspace());
        const std::string run = m_driver->submit("echo up; kill -9 $$");
        const Json shown = m_driver->watch(run);
        QCOMPARE(shown.at("state").get<std::string>(), "Failed");
        QCOMPARE(shown.at("ranks").at(0).at("signal").get<int>(), 9);
        QVERIFY2(shown.at("reason").get<std::string>().find("9") != std::string::npos ||
                     shown.at("reason").get<std::string>().find("KILL") != std::string::npos,
                 shown.at("reason").get<std::string>().c_str());
        QCOMPARE(m_driver->log(run, "stdout"), std::vector<std::string>{"up"});
    }

    void kill_oneOfSeveralRanksEndsAll() {
        QVERIFY(init_workspace());
        const std::string mark = "mark" + base::newUuid7();
        const std::string run = m_driver->submit(": " + mark + "; [ $RANK = 1 ] && sleep 0.3 && kill -9 $$; sleep 60",
                                                 {{"distribution", {{"kind", "pytorch"}, {"processes", 2}}}});
        const Json shown = m_driver->watch(run);
        QCOMPARE(shown.at("state").get<std::string>(), "Failed");
        QVERIFY(test::waitFor([&] { return processesWith(mark).empty(); }));
    }

    void kill_aTrainingsRank_data() {
        QTest::addColumn<int>("kills");
        QTest::newRow("as often as may be") << 1;
        QTest::newRow("once too often") << 2;
    }
    /// The attempt ends with the rank's name; the run goes on from its last checkpoint, as often as it was asked to.
    void kill_aTrainingsRank() {
        QFETCH(int, kills);
        if (!canTrain()) {
            TRAINYARD_SKIP("Needs trainyard-engine and the package dataset-fashion-mnist.");
        }
        const int epochs = kills == 1 ? 150 : 5000;  // Enough to be met alive each time.
        QVERIFY(init_workspace());
        Json spec = sampleSpec();
        spec::setValueAt(spec, "task.epochs", epochs);
        spec::setValueAt(spec, "distribution.kind", "pytorch");
        spec::setValueAt(spec, "distribution.processes", 2);
        spec::setValueAt(spec, "limits.max_restarts", 1);
        const Json submitted = m_driver->get("run.submit", {{"spec", spec}});
        QVERIFY2(!submitted.is_null(), m_driver->lastError().c_str());
        const std::string run = submitted.at("run").get<std::string>();
        const auto pidOf = [&](int attempt) -> pid_t {
            const Json shown = m_driver->get("run.show", {{"run", run}});
            for (const Json& rank : shown.is_null() ? Json::array() : shown.at("ranks")) {
                if (rank.at("attempt") == Json(attempt) && rank.at("rank") == Json(1) && rank.at("pid").is_number()) {
                    return rank.at("pid").get<pid_t>();
                }
            }
            return 0;
        };
        QVERIFY(test::waitFor([&] { return hasCheckpoint(run); }, 60'000));
        for (int attempt = 1; attempt <= kills; ++attempt) {
            pid_t pid = 0;
            QVERIFY(test::waitFor([&] { return (pid = pidOf(attempt)) > 0; }, 60'000));
            QCOMPARE(::kill(pid, SIGKILL), 0);
        }
        const Json shown = m_driver->watch(run, 120'000);
        QVERIFY2(shown.at("state") == Json(kills == 1 ? "Completed" : "Failed"), shown.dump().c_str());
        QCOMPARE(shown.at("attempts"), Json(2));
        QCOMPARE(shown.at("attempt_list").size(), std::size_t{2});
        const auto reasonOf = [&](std::size_t attempt) {
            return shown.at("attempt_list").at(attempt).at("reason").get<std::string>();
        };
        QVERIFY2(reasonOf(0).find("Rank 1") != std::string::npos, shown.dump().c_str());
        if (kills == 2) {
            QVERIFY2(reasonOf(1).find("Rank 1") != std::string::npos, shown.dump().c_str());
            QVERIFY2(shown.at("reason").get<std::string>().find("Rank 1") != std::string::npos, shown.dump().c_str());
            return;
        }
        const auto log = m_driver->log(run, "stdout");
        QVERIFY(std::any_of(log.begin(), log.end(),
                            [](const std::string& line) { return line.starts_with("going on from step "); }));
        // Every epoch once, also those that both attempts told.
        Json told;
        for (const Json& metric : shown.at("metrics")) {
            told = metric.at("name") == Json("val/loss") ? metric.at("count") : told;
        }
        QCOMPARE(told, Json(epochs));
    }

    void kill_everythingOfTheRun() {
        QVERIFY(init_workspace());
        const std::string run = m_driver->submit("echo up; sleep 60");
        QVERIFY(test::waitFor([&] { return !m_driver->log(run).empty(); }));
        const std::vector<pid_t> all = processesWith(run);
        QVERIFY(all.size() >= 2);  // The agent and a shim name the run's folder.
        for (const pid_t pid : all) {
            ::kill(pid, SIGKILL);
        }
        const Json shown = m_driver->watch(run, 40'000);
        QVERIFY2(shown.at("state").get<std::string>() == "Failed", shown.dump().c_str());
        QVERIFY(!shown.at("reason").get<std::string>().empty());
        QCOMPARE(m_driver->log(run, "stdout"), std::vector<std::string>{"up"});
    }

    void kill_followerAndAnotherTakesOver() {
        QCOMPARE(test::cli(m_workspace, {"workspace", "init", m_workspace.string()}).exitCode, 0);
        QProcess follower;
        follower.start(QString::fromStdString(test::builtProgram("trainyard-cli").string()),
                       {QStringLiteral("--workspace"), QString::fromStdString(m_workspace.string()),
                        QStringLiteral("run"), QStringLiteral("submit"), QStringLiteral("--wait"), QStringLiteral("--"),
                        QStringLiteral("sh"), QStringLiteral("-c"),
                        QStringLiteral("i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo line $i of a longer text; "
                                       "sleep 0.005; done; echo x > \"$TRAINYARD_OUTPUTS/x\"")});
        QVERIFY(follower.waitForStarted());
        QVERIFY(open());
        QVERIFY(test::waitFor([&] { return !all().empty(); }));
        const std::string run = all().at(0).at("run").get<std::string>();
        QVERIFY(test::waitFor([&] { return m_driver->log(run).size() > 20; }));
        test::sendSignal(follower, SIGKILL);
        QVERIFY(follower.waitForFinished(5000));
        const Json shown = m_driver->watch(run, 30'000);
        QCOMPARE(shown.at("state").get<std::string>(), "Completed");
        QCOMPARE(m_driver->log(run, "stdout").size(), std::size_t{300});
        QCOMPARE(shown.at("outputs").size(), std::size_t{1});
        QCOMPARE(shown.at("warnings").get<int>(), 0);
    }

    void cancel_whilePreparing() {
        QVERIFY(init_workspace());
        for (int i = 0; i < 5; ++i) {
            // Asked for before submit has answered: the session knows the run from its first change.
            std::string seen;
            const auto connection = connect(&m_driver->session(), &commands::Session::runsChanged, this,
                                            [&](const QList<runs::RunChange>& changes) {
                                                for (const auto& change : changes) {
                                                    if (seen.empty() && change.parts.testFlag(runs::RunPart::Added)) {
                                                        seen = change.run.str();
                                                        m_driver->session().start("run.cancel", {{"run", seen}});
                                                    }
                                                }
                                            });
            m_driver->submit("echo ran; sleep 60");
            QVERIFY(test::waitFor([&] { return !seen.empty(); }));
            disconnect(connection);
            const Json shown = m_driver->watch(seen);
            QVERIFY2(shown.at("state").get<std::string>() == "Canceled", shown.dump().c_str());
        }
    }

    void cancel_whileFinalizing() {
        QVERIFY(init_workspace());
        const std::string run = m_driver->submit("head -c 300000000 /dev/zero > \"$TRAINYARD_OUTPUTS/big\"");
        QVERIFY(m_driver->waitForState(run, "Finalizing"));
        const auto told = m_driver->run("run.cancel", {{"run", run}});
        QVERIFY(told.ok() || told.error().code == "run.ended");
        const Json shown = m_driver->watch(run);
        const std::string state = shown.at("state").get<std::string>();
        QVERIFY2(state == "Canceled" || state == "Completed", shown.dump().c_str());
        const bool collected = std::filesystem::exists(m_workspace / "runs" / run / "outputs/big");
        QVERIFY2(state == "Canceled" || collected, "A completed run has its outputs here.");
    }

    void lost_whenTheTargetsFolderVanishes_thenFoundAgain() {
        QVERIFY(init_workspace());
        const std::string run =
            m_driver->submit("i=0; while [ ! -e \"$TRAINYARD_OUTPUTS/../stop\" ] && [ $i -lt 600 ]; "
                             "do i=$((i+1)); sleep 0.05; done; echo over");
        QVERIFY(m_driver->waitForState(run, "Running"));
        const base::Path folder = work().run(base::RunId(run));
        const base::Path away = folder.parent_path() / "away";
        // A renamed folder is what an unmounted disk looks like from here.
        std::filesystem::rename(folder, away);
        QVERIFY2(m_driver->waitForState(run, "Lost", 15'000), m_driver->state(run).c_str());
        std::filesystem::rename(away, folder);
        QVERIFY2(m_driver->waitForState(run, "Running", 15'000), m_driver->state(run).c_str());
        std::ofstream(folder / "stop") << "";
        const Json shown = m_driver->watch(run, 30'000);
        QVERIFY2(shown.at("state").get<std::string>() == "Completed", shown.dump().c_str());
    }

    void lost_thenCanceled() {
        QVERIFY(init_workspace());
        const std::string run = m_driver->submit("exec sleep 60.0123");
        QVERIFY(m_driver->waitForState(run, "Running"));
        const base::Path folder = work().run(base::RunId(run));
        std::vector<pid_t> all = processesWith(run);
        const std::vector<pid_t> ranks = processesWith("60.0123");
        all.insert(all.end(), ranks.begin(), ranks.end());
        QVERIFY(base::removeTree(folder).ok());
        QVERIFY(m_driver->waitForState(run, "Lost", 15'000));
        QVERIFY(!m_driver->get("run.cancel", {{"run", run}}).is_null());
        QCOMPARE(m_driver->watch(run).at("state").get<std::string>(), "Canceled");
        for (const pid_t pid : all) {
            ::kill(pid, SIGKILL);
        }
    }

    void fullDisk_ofTheWorkspace() {
        const Mount disk(m_workspace, "size=6m");
        if (!disk.ok()) {
            TRAINYARD_SKIP("Needs the right to mount a file system.");
        }
        QVERIFY(init_workspace());
        QSignalSpy troubled(&m_driver->session(), &commands::Session::troubled);
        std::ofstream(m_workspace / "filler") << std::string(3 << 20, 'x');
        const std::string run = m_driver->submit(
            "i=0; while [ $i -lt 400 ]; do i=$((i+1)); head -c 10000 /dev/zero | tr '\\0' a; echo; done; echo over");
        QVERIFY2(!run.empty(), m_driver->lastError().c_str());
        const auto sawFull = [&] {
            return std::any_of(troubled.begin(), troubled.end(), [](const QList<QVariant>& signal) {
                return signal.at(0).toString() == QStringLiteral("file.full") ||
                       signal.at(0).toString() == QStringLiteral("store.full");
            });
        };
        QVERIFY(test::waitFor(sawFull, 20'000));
        QVERIFY(m_driver->state(run) != "Completed");
        // Room again: everything arrives, nothing twice.
        QVERIFY(disk.remount("size=64m", 0));
        const Json shown = m_driver->watch(run, 40'000);
        QVERIFY2(shown.at("state").get<std::string>() == "Completed", shown.dump().c_str());
        QCOMPARE(shown.at("log_lines").get<int>(), 401);
        QCOMPARE(shown.at("warnings").get<int>(), 0);
    }

    void fullDisk_ofTheTarget() {
        const Mount disk(work().root, "size=4m");
        if (!disk.ok()) {
            TRAINYARD_SKIP("Needs the right to mount a file system.");
        }
        QVERIFY(init_workspace());
        const std::string run = m_driver->submit(
            "echo before; head -c 20000000 /dev/zero > \"$TRAINYARD_OUTPUTS/big\" || { echo full; exit 7; }",
            {{"limits", {{"disk_reserve_mib", 0}}}});
        QVERIFY2(!run.empty(), m_driver->lastError().c_str());
        const Json shown = m_driver->watch(run);
        QCOMPARE(shown.at("state").get<std::string>(), "Failed");
        QCOMPARE(shown.at("ranks").at(0).at("exit").get<int>(), 7);
        QCOMPARE(m_driver->log(run, "stdout"), (std::vector<std::string>{"before", "full"}));
        // Let go of the target before its file system goes.
        QVERIFY(test::waitFor([&] { return !std::filesystem::exists(work().run(base::RunId(run))); }, 10'000));
    }

    void fullDisk_beforeTheRunIsThere() {
        const Mount disk(m_workspace, "size=2m");
        if (!disk.ok()) {
            TRAINYARD_SKIP("Needs the right to mount a file system.");
        }
        QVERIFY(init_workspace());
        std::ofstream filler(m_workspace / "filler");
        filler << std::string(4 << 20, 'x');
        filler.close();
        const auto refused = m_driver->run("run.submit", {{"spec", commandSpec("echo never")}});
        QVERIFY(!refused.ok());
        QVERIFY2(refused.error().code == "file.full" || refused.error().code == "store.full",
                 refused.error().code.c_str());
        QVERIFY(base::removeTree(m_workspace / "filler").ok());
        QCOMPARE(m_driver->watch(m_driver->submit("echo now")).at("state").get<std::string>(), "Completed");
        QCOMPARE(all().size(), std::size_t{1});
    }

    /// The disk fills in the middle of a training: the run fails as such, what it had is kept, and it can be gone on
    /// with.
    void fullDisk_whileTraining() {
        const Mount disk(work().root, "size=24m");
        if (!disk.ok()) {
            TRAINYARD_SKIP("Needs the right to mount a file system.");
        }
        if (!canTrain()) {
            TRAINYARD_SKIP("Needs trainyard-engine and the package dataset-fashion-mnist.");
        }
        QVERIFY(init_workspace());
        Json spec = sampleSpec();
        spec::setValueAt(spec, "task.epochs", 3000);
        spec::setValueAt(spec, "limits.disk_reserve_mib", 0);
        const Json submitted = m_driver->get("run.submit", {{"spec", spec}});
        QVERIFY2(!submitted.is_null(), m_driver->lastError().c_str());
        const std::string run = submitted.at("run").get<std::string>();
        QVERIFY(test::waitFor([&] { return hasCheckpoint(run); }, 60'000));
        // Room for the stream, but not for another checkpoint.
        constexpr std::uintmax_t kLeft = 300'000;
        const base::Path filler = work().root / "filler";
        const auto fill = [&] {
            const auto room = std::filesystem::space(work().root).available;
            if (room > kLeft) {
                std::ofstream(filler, std::ios::binary | std::ios::app) << std::string(room - kLeft, 'x');
            }
        };
        // Again and again: what a checkpoint that was under way lets go of must not be room for the next one.
        QVERIFY(test::waitFor(
            [&] {
                fill();
                return m_driver->state(run) != "Running";
            },
            60'000));
        const Json shown = m_driver->watch(run, 60'000);
        QVERIFY2(shown.at("state").get<std::string>() == "Failed", shown.dump().c_str());
        QVERIFY2(shown.at("reason").get<std::string>().find("full") != std::string::npos, shown.dump().c_str());
        QVERIFY(!shown.at("metrics").empty() && shown.at("metrics").at(0).at("count").get<int>() > 0);
        QVERIFY(std::filesystem::file_size(m_workspace / "runs" / run / "outputs/checkpoints/last.ckpt") > kLeft);
        // With room again it goes on from there.
        QVERIFY(base::removeTree(filler).ok());
        const Json child = m_driver->get("run.resume", {{"run", run}});
        QVERIFY2(!child.is_null(), m_driver->lastError().c_str());
        const std::string next = child.at("run").get<std::string>();
        QVERIFY(test::waitFor(
            [&] {
                const auto log = m_driver->log(next, "stdout");
                return std::any_of(log.begin(), log.end(),
                                   [](const std::string& line) { return line.starts_with("going on from step "); });
            },
            60'000));
        QVERIFY(!m_driver->get("run.cancel", {{"run", next}}).is_null());
        QCOMPARE(m_driver->watch(next, 60'000).at("state").get<std::string>(), "Canceled");
        // Let go of the target before its file system goes.
        QVERIFY(test::waitFor([&] { return !std::filesystem::exists(work().run(base::RunId(next))); }, 15'000));
    }

    void badImages_areNamed_data() {
        QTest::addColumn<QString>("field");
        QTest::addColumn<QString>("file");
        QTest::addColumn<QString>("says");
        const auto row = [](const char* name, const char* field, const char* file, const char* says) {
            QTest::newRow(name) << QString::fromLatin1(field) << QString::fromLatin1(file) << QString::fromLatin1(says);
        };
        row("missing", "train_images", "nowhere", "nowhere");
        row("empty", "val_images", "empty", "empty");
        row("truncated", "train_images", "cut", "cut");
        row("oversized", "train_images", "long", "long");
        row("labels as images", "train_images", "labels", "swapped");
        row("images as labels", "val_labels", "images", "swapped");
        row("labels of other images", "train_labels", "few", "few");
        row("no IDX file", "val_labels", "text", "text");
        row("a folder", "train_labels", "folder", "folder");
    }
    /// Whatever is wrong with the files, nothing is trained and the answer names the file or what is the matter with
    /// it.
    void badImages_areNamed() {
        QFETCH(QString, field);
        QFETCH(QString, file);
        QFETCH(QString, says);
        if (!canTrain()) {
            TRAINYARD_SKIP("Needs trainyard-engine and the package dataset-fashion-mnist.");
        }
        constexpr std::size_t kImages = 40;
        constexpr std::size_t kPixels = kImages * 28 * 28;
        m_scratch->write("data/images", idx({kImages, 28, 28}, kPixels));
        m_scratch->write("data/labels", idx({kImages}, kImages));
        m_scratch->write("data/empty", "");
        m_scratch->write("data/cut", idx({kImages, 28, 28}, kPixels - 1));
        m_scratch->write("data/long", idx({kImages, 28, 28}, kPixels + 1));
        m_scratch->write("data/few", idx({kImages - 1}, kImages - 1));
        m_scratch->write("data/text", "no images at all, only words");
        QVERIFY(base::makeDirs(*m_scratch / "data/folder").ok());
        QVERIFY(init_workspace());
        Json spec = sampleSpec();
        spec::setValueAt(spec, "task.dataset.train_limit", 0);
        spec::setValueAt(spec, "task.dataset.val_limit", 0);
        const base::Path data = *m_scratch / "data";
        for (const char* part : {"train", "val"}) {
            const std::string key = std::string("task.dataset.") + part;
            spec::setValueAt(spec, key + "_images", (data / "images").string());
            spec::setValueAt(spec, key + "_labels", (data / "labels").string());
        }
        spec::setValueAt(spec, "task.dataset." + field.toStdString(), (data / file.toStdString()).string());
        const auto submitted = m_driver->run("run.submit", {{"spec", spec}});
        std::string told;
        if (submitted.ok()) {
            const Json shown = m_driver->watch(submitted->at("run").get<std::string>(), 60'000);
            QVERIFY2(shown.at("state").get<std::string>() == "Failed", shown.dump().c_str());
            QVERIFY(shown.at("metrics").empty());
            told = shown.at("reason").get<std::string>();
        } else {
            QCOMPARE(submitted.error().field, "task.dataset." + field.toStdString());
            QVERIFY(all().empty());
            told = submitted.error().message;
        }
        QVERIFY2(told.find(says.toStdString()) != std::string::npos, told.c_str());
    }

    void readOnlyWorkspace_showsAndRefuses() {
        const Mount disk(m_workspace, "size=32m");
        if (!disk.ok()) {
            TRAINYARD_SKIP("Needs the right to mount a file system.");
        }
        QVERIFY(init_workspace());
        const std::string run = m_driver->submit("echo seen");
        QCOMPARE(m_driver->watch(run).at("state").get<std::string>(), "Completed");
        QVERIFY(!m_driver->get("workspace.close", Json::object()).is_null());
        QVERIFY(disk.remount("size=32m", MS_RDONLY));
        const Json opened = m_driver->get("workspace.open", {{"folder", m_workspace.string()}});
        QVERIFY2(!opened.is_null(), m_driver->lastError().c_str());
        QCOMPARE(opened.at("read_only").get<bool>(), true);
        QVERIFY(!opened.at("reason").get<std::string>().empty());
        QCOMPARE(m_driver->log(run), std::vector<std::string>{"seen"});
        m_driver->submit("true");
        QVERIFY(!m_driver->lastError().empty());
        QCOMPARE(m_driver->run("run.rename", {{"run", run}, {"name", "x"}}).error().code, "workspace.read_only");
        QVERIFY(!m_driver->get("workspace.close", Json::object()).is_null());
    }

    void lockedIndex_isWaitedForAndThenNamed() {
        QVERIFY(init_workspace());
        const auto hold = [&](QProcess& holder, double seconds) {
            holder.start(
                QStringLiteral("python3"),
                {QStringLiteral("-c"),
                 QStringLiteral("import sqlite3,sys,time\nc=sqlite3.connect(sys.argv[1],isolation_level=None)\n"
                                "c.execute('BEGIN EXCLUSIVE')\nprint('held',flush=True)\ntime.sleep(%1)")
                     .arg(seconds),
                 QString::fromStdString((m_workspace / "history.sqlite").string())});
            return holder.waitForStarted() && holder.waitForReadyRead(10'000);
        };
        QProcess brief;
        QVERIFY(hold(brief, 1));
        const std::string run = m_driver->submit("echo in time");
        QVERIFY2(!run.empty(), m_driver->lastError().c_str());
        QCOMPARE(m_driver->watch(run).at("state").get<std::string>(), "Completed");
        QVERIFY(test::waitFor([&] { return brief.state() == QProcess::NotRunning; }));
        QProcess lengthy;
        QVERIFY(hold(lengthy, 8));
        const auto refused = m_driver->run("run.submit", {{"spec", commandSpec("echo late")}});
        QVERIFY(!refused.ok());
        QCOMPARE(refused.error().code, "store.locked");
        QVERIFY(test::waitFor([&] { return lengthy.state() == QProcess::NotRunning; }, 15'000));
        QCOMPARE(all().size(), std::size_t{1});
    }

    void damagedStreamInTheWorkspace_isCountedAndShown() {
        QVERIFY(init_workspace());
        const std::string run = m_driver->submit("echo one; echo two");
        QCOMPARE(m_driver->watch(run).at("state").get<std::string>(), "Completed");
        QVERIFY(!m_driver->get("workspace.close", Json::object()).is_null());
        const base::Path segment = m_workspace / "runs" / run / "stream/a1-n0/000001.jsonl";
        std::string bytes = base::readFile(segment).value();
        const std::size_t second = bytes.find('\n') + 1;
        bytes[second] = '?';
        QVERIFY(base::writeFileAtomically(segment, bytes).ok());
        QVERIFY(base::removeTree(m_workspace / "history.sqlite").ok());
        QVERIFY(open());
        const Json shown = m_driver->get("run.show", {{"run", run}});
        QCOMPARE(shown.at("state").get<std::string>(), "Completed");
        QVERIFY(shown.at("warnings").get<int>() >= 1);
    }

private:
    bool open() { return !m_driver->get("workspace.open", {{"folder", m_workspace.string()}}).is_null(); }
    bool init_workspace() {
        if (m_driver->get("workspace.init", {{"folder", m_workspace.string()}}).is_null()) {
            qWarning("%s", m_driver->lastError().c_str());
            return false;
        }
        return true;
    }
    Json all() {
        const Json listed = m_driver->get("run.list", {{"archived", "include"}, {"limit", 1000}});
        return listed.is_null() ? Json::array() : listed.at("runs");
    }
    static Json commandSpec(const std::string& script) {
        return Json{{"format", "trainyard.run-spec"},
                    {"version", 1},
                    {"task", {{"kind", "command"}, {"command", {"sh", "-c", script}}}}};
    }
    /// The sample's training, made small.
    Json sampleSpec() {
        if (m_driver->get("workspace.sample", Json::object()).is_null()) {
            qWarning("%s", m_driver->lastError().c_str());
        }
        Json spec = m_driver->get("workspace.drafts", Json::object()).at("drafts").at(0).at("spec");
        spec::setValueAt(spec, "task.model.family", "mlp");
        spec::setValueAt(spec, "task.model.options", Json::object());
        spec::setValueAt(spec, "task.dataset.train_limit", 2000);
        spec::setValueAt(spec, "task.dataset.val_limit", 100);
        return spec;
    }
    /// Whether the target holds a checkpoint of the run.
    static bool hasCheckpoint(const std::string& run) {
        std::error_code error;
        for (auto at = std::filesystem::recursive_directory_iterator(work().run(base::RunId(run)), error);
             !error && at != std::filesystem::recursive_directory_iterator(); at.increment(error)) {
            if (at->path().filename() == "last.ckpt") {
                return true;
            }
        }
        return false;
    }
    static wire::WorkLayout work() { return {base::Path(qEnvironmentVariable("TRAINYARD_WORK").toStdString())}; }
    static std::int64_t agentOf(const std::string& run) {
        return pidIn(wire::NodeLayout{work().attemptNode(base::RunId(run), 1, 0)}.agent(), "identity");
    }

    test::ChildGuard m_guard;
    std::unique_ptr<test::Scratch> m_scratch;
    base::Path m_workspace;
    std::unique_ptr<SessionDriver> m_driver;
};

QTEST_GUILESS_MAIN(TestFaults)
#include "tst_Faults.moc"
