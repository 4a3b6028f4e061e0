// A workspace's runs on a real Slurm cluster, as a person has them: the queue's word, attempts, cancel, outputs; by the
// commands of the window and by trainyard-cli.
#include <QTest>
#include <algorithm>
#include <memory>

#include "core/runs/TargetBook.h"
#include "core/store/Reader.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"
#include "tests/integration/SessionDriver.h"
#include "tests/integration/slurm/SlurmRig.h"

using namespace trainyard;
using base::Json;
using test::SlurmLab;

namespace {

/// Counts on from where the attempt before was, until it is told to stop.
constexpr const char* kCounting =
    "n=$(cat \"$TRAINYARD_OUTPUTS/n\" 2>/dev/null || echo 0); echo \"attempt $TRAINYARD_ATTEMPT from $n on "
    "$(hostname)\"; "
    "echo '{\"kind\":\"metric\",\"name\":\"loss\",\"value\":0.5,\"step\":'$TRAINYARD_ATTEMPT'}' >> "
    "\"$TRAINYARD_STREAM\"; "
    "while [ $n -lt 10000 ]; do n=$((n + 1)); echo $n > \"$TRAINYARD_OUTPUTS/n\"; [ -e \"$TRAINYARD_OUTPUTS/stop\" ] "
    "&& exit 0; sleep 0.1; done";

}  // namespace

class TestCluster : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase() {
        if (const std::string missing = SlurmLab::missing(); !missing.empty()) {
            TRAINYARD_SKIP(missing.c_str());
        }
        const auto isolated = SlurmLab::isolateNetwork();
        QVERIFY2(isolated.ok(), isolated.ok() ? "" : isolated.error().message.c_str());
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        m_rig = std::make_unique<test::SlurmRig>();
        const auto started = m_rig->start();
        QVERIFY2(started.ok(), started.ok() ? "" : started.error().message.c_str());
        m_workspace = *m_scratch / "w";
        m_driver = std::make_unique<test::SessionDriver>();
        QVERIFY(m_driver->run("workspace.init", Json{{"folder", m_workspace.string()}}).ok());
        spec::TargetSpec low = m_rig->spec();
        low.name = "low";
        low.slurm.lowPriority = true;
        low.slurm.lowPriorityPartition = "p";
        for (const spec::TargetSpec& target : {m_rig->spec(), low}) {
            const auto written = runs::writeTarget({m_workspace}, target);
            QVERIFY2(written.ok(), written.ok() ? "" : written.error().message.c_str());
        }
    }
    void cleanupTestCase() {
        m_driver.reset();
        m_rig.reset();
    }
    void cleanup() {
        if (QTest::currentTestFailed() && m_rig && !m_run.empty()) {
            qWarning("%s\n%s", base::dumpJson(m_driver->get("run.show", {{"run", m_run}})).c_str(),
                     m_rig->lab().logs().c_str());
        }
        m_run.clear();
    }

    /// The queue's own reason and its estimate reach the run; then it runs, and what it left is here.
    void waits_saysWhy_runs_andBringsItsOutputs() {
        const auto before = m_rig->lab().slurm(
            {"sbatch", "--parsable", "-N2", "-n2", "-c4", "-t", "2", "-o", "/dev/null", "--wrap=sleep 120"});
        QCOMPARE(before.exitCode, 0);
        m_run = submit(
            "echo \"I am rank $RANK of $WORLD_SIZE on $(hostname)\"; echo done > \"$TRAINYARD_OUTPUTS/r-$RANK.txt\"",
            "cluster", 2);
        QVERIFY2(!m_run.empty(), m_driver->lastError().c_str());
        QVERIFY(test::waitFor(
            [&] {
                const Json shown = m_driver->get("run.show", {{"run", m_run}});
                return shown.is_object() && shown.value("state", "") == "Queued" &&
                       shown.value("reason", "").find("Resources") != std::string::npos;
            },
            60'000));
        const Json scheduler = lastEvent("scheduler");
        QCOMPARE(scheduler.value("state", "?"), "pending");
        QVERIFY(!scheduler.value("job", "").empty());
        QVERIFY2(
            test::waitFor([&] { return lastEvent("scheduler").value("estimated_start", std::int64_t{0}) > 0; }, 60'000),
            base::dumpJson(lastEvent("scheduler")).c_str());
        QCOMPARE(m_rig->lab().slurm({"scancel", before.out.substr(0, before.out.find_first_of("\n;"))}).exitCode, 0);

        const Json ended = m_driver->watch(m_run, 120'000);
        QCOMPARE(ended.value("state", "?"), "Completed");
        QCOMPARE(base::readFile(m_workspace / "runs" / m_run / "outputs" / "r-0.txt").valueOr(""), "done\n");
        QCOMPARE(ended.at("attempt_list").size(), std::size_t{2});
        for (const char* state : {"Preparing", "Queued", "Running", "Finalizing", "Completed"}) {
            const Json& stages = ended.at("stages");
            QVERIFY2(std::any_of(stages.begin(), stages.end(),
                                 [&](const Json& stage) { return stage.at("state") == state; }),
                     state);
        }
        // Both nodes' lines in one log, each with its node and rank.
        const Json log = m_driver->get("run.logs", {{"run", m_run}, {"out", "stdout"}});
        QCOMPARE(log.at("nodes").get<int>(), 2);
        QCOMPARE(log.at("lines").size(), std::size_t{2});
        for (const Json& line : log.at("lines")) {
            const std::string text = line.at("text").get<std::string>();
            QCOMPARE(text.substr(0, 19), "I am rank " + std::to_string(line.at("rank").get<int>()) + " of 2 on");
            QCOMPARE(text.substr(20), "n" + std::to_string(line.at("node").get<int>() + 1));
        }
    }

    void canceledInTheQueue_leavesNothingThere() {
        const auto before = m_rig->lab().slurm(
            {"sbatch", "--parsable", "-N2", "-n2", "-c4", "-t", "2", "-o", "/dev/null", "--wrap=sleep 120"});
        QCOMPARE(before.exitCode, 0);
        m_run = submit("echo never", "cluster", 2);
        QVERIFY(m_driver->waitForState(m_run, "Queued", 60'000));
        QVERIFY(m_driver->run("run.cancel", {{"run", m_run}}, 60'000).ok());
        QCOMPARE(m_driver->watch(m_run, 60'000).value("state", "?"), "Canceled");
        QVERIFY(m_driver->log(m_run, "stdout").empty());
        QCOMPARE(m_rig->lab().slurm({"scancel", before.out.substr(0, before.out.find_first_of("\n;"))}).exitCode, 0);
        QVERIFY(test::waitFor([&] { return m_rig->lab().slurm({"squeue", "-h"}).out.empty(); }, 60'000));
    }

    /// A job that has to make way: the run waits again, and what comes then is its second attempt, in state, attempts,
    /// log and metrics.
    void preempted_isASecondAttemptOfTheSameRun() {
        m_run = submit(kCounting, "low", 1);
        QVERIFY(waitForLog("attempt 1 from 0"));
        const auto high = m_rig->lab().slurm(
            {"sbatch", "--parsable", "-p", "hi", "-N2", "-n2", "-c4", "-o", "/dev/null", "--wrap=sleep 5"});
        QCOMPARE(high.exitCode, 0);
        QVERIFY(test::waitFor([&] { return lastEvent("scheduler").value("restarts", 0) == 1; }, 90'000));
        QVERIFY(m_driver->state(m_run) != "Failed");
        QVERIFY(waitForLog("attempt 2 from "));
        QVERIFY(m_driver->waitForState(m_run, "Running", 60'000));
        const Json first = m_driver->get("run.logs", {{"run", m_run}, {"attempt", 1}, {"out", "stdout"}});
        QCOMPARE(first.at("lines").at(0).at("text").get<std::string>().substr(0, 16), "attempt 1 from 0");
        const Json newest = m_driver->get("run.logs", {{"run", m_run}, {"out", "stdout"}});
        QVERIFY(newest.at("lines").at(0).at("text").get<std::string>().starts_with("attempt 2 from "));
        QVERIFY(!newest.at("lines").at(0).at("text").get<std::string>().starts_with("attempt 2 from 0 "));

        QVERIFY(base::writeFileAtomically(m_rig->runFolder(base::RunId(m_run)) / "outputs" / "stop", "").ok());
        const Json ended = m_driver->watch(m_run, 120'000);
        QCOMPARE(ended.value("state", "?"), "Completed");
        QCOMPARE(ended.value("attempts", 0), 2);
        QCOMPARE(ended.at("attempt_list").size(), std::size_t{2});
        QVERIFY(ended.at("attempt_list").at(0).at("outcome").is_null());
        QCOMPARE(ended.at("attempt_list").at(1).at("outcome").get<std::string>(), "completed");
        QCOMPARE(ended.at("metrics").at(0).at("count").get<int>(), 2);
        QVERIFY(std::filesystem::exists(m_workspace / "runs" / m_run / "outputs" / "n"));
        // The journal alone tells the same story.
        QVERIFY(m_driver->run("workspace.rebuild", Json::object()).ok());
        const Json again = m_driver->get("run.show", {{"run", m_run}});
        QCOMPARE(again.value("state", "?"), "Completed");
        QCOMPARE(again.at("attempt_list"), ended.at("attempt_list"));
    }

    /// The same by trainyard-cli, each call a program of its own.
    void commandLine_submitWatchCancelDownload() {
        m_driver.reset();
        const base::Path spec = m_scratch->write(
            "job.json",
            base::dumpJson(document("echo by the cli; echo 7 > \"$TRAINYARD_OUTPUTS/seven\"; exit 3", "cluster", 1)));
        const auto submitted = test::cli(m_workspace, {"run", "submit", "--file", spec.string(), "--watch"}, 180'000);
        QCOMPARE(submitted.exitCode, 5);
        QVERIFY2(submitted.out.find("by the cli") != std::string::npos, submitted.out.c_str());
        const Json runs = test::cliJson(m_workspace, {"run", "list", "--limit", "1"});
        const std::string number = std::to_string(runs.at("runs").at(0).at("number").get<std::int64_t>());
        QCOMPARE(runs.at("runs").at(0).at("state").get<std::string>(), "Failed");
        QCOMPARE(test::cli(m_workspace, {"run", "wait", number, "--quiet"}, 60'000).exitCode, 3);
        QCOMPARE(test::cli(m_workspace, {"run", "download", number, (*m_scratch / "here").string()}).exitCode, 0);
        QCOMPARE(m_scratch->read("here/seven"), std::string("7\n"));

        const base::Path waits =
            m_scratch->write("waits.json", base::dumpJson(document("echo up; sleep 300.0777", "cluster", 1)));
        const Json second = test::cliJson(m_workspace, {"run", "submit", "--file", waits.string()}, 60'000);
        QVERIFY(second.is_object());
        const std::string run = second.at("run").get<std::string>();
        // Nobody follows it now; the job runs all the same, and the next program finds it.
        QVERIFY(test::waitFor(
            [&] { return m_rig->lab().jobState(test::SlurmRig::nameOf(base::RunId(run))) == "RUNNING"; }, 60'000));
        const auto canceled = test::cli(m_workspace, {"run", "cancel", run, "--wait"}, 120'000);
        QVERIFY2(canceled.exitCode == 0, (canceled.out + canceled.err).c_str());
        QCOMPARE(test::cliJson(m_workspace, {"run", "show", run}).at("state").get<std::string>(), "Canceled");
        QVERIFY(test::waitFor([&] { return m_rig->lab().slurm({"squeue", "-h"}).out.empty(); }, 60'000));
    }

private:
    static Json document(const std::string& script, const std::string& target, int nodes) {
        Json spec{{"format", "trainyard.run-spec"},
                  {"version", 1},
                  {"target", target},
                  {"task", {{"kind", "command"}, {"command", {"sh", "-c", script}}}},
                  {"limits", {{"grace_seconds", 2}, {"max_seconds", 600}, {"disk_reserve_mib", 0}}}};
        if (nodes > 1) {
            spec["distribution"] = Json{{"kind", "pytorch"}, {"nodes", nodes}, {"processes", 1}, {"backend", "gloo"}};
        }
        return spec;
    }
    std::string submit(const std::string& script, const std::string& target, int nodes) {
        const Json made = m_driver->get("run.submit", {{"spec", document(script, target, nodes)}}, 60'000);
        return made.is_object() ? made.at("run").get<std::string>() : std::string();
    }
    Json lastEvent(std::string_view kind) {
        const auto reader = store::Reader::open(m_driver->session().workspace().index);
        const auto events = reader.ok() ? reader->events(base::RunId(m_run), kind, 1)
                                        : base::Result<std::vector<store::EventRow>>(reader.error());
        return events.ok() && !events->empty() ? events->back().body : Json::object();
    }
    bool waitForLog(const std::string& text) {
        return test::waitFor(
            [&] {
                const auto lines = m_driver->log(m_run, "stdout");
                return std::any_of(lines.begin(), lines.end(),
                                   [&](const std::string& line) { return line.starts_with(text); });
            },
            90'000);
    }

    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<test::SlurmRig> m_rig;
    std::unique_ptr<test::SessionDriver> m_driver;
    base::Path m_workspace;
    std::string m_run;
};

QTEST_GUILESS_MAIN(TestCluster)
#include "tst_Cluster.moc"
