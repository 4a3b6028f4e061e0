// The whole way of a run, with the real agent and the real engine.
#include <QElapsedTimer>
#include <QSignalSpy>
#include <QTest>
#include <algorithm>
#include <set>
#include <thread>

#include "core/base/Hash.h"
#include "core/spec/RunSpec.h"
#include "core/store/Reader.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Skip.h"
#include "tests/integration/SessionDriver.h"

using namespace trainyard;
using base::Json;
using test::SessionDriver;

class TestJourney : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase() { qputenv("TRAINYARD_BIN", QByteArray::fromStdString(test::builtProgram("").string())); }
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        m_workspace = *m_scratch / "w";
        m_driver = std::make_unique<SessionDriver>();
        QVERIFY2(!m_driver->get("workspace.init", {{"folder", m_workspace.string()}}).is_null(),
                 m_driver->lastError().c_str());
    }
    void cleanup() {
        m_driver.reset();
        QVERIFY2(m_guard.noneLeft(10'000), m_guard.report().c_str());
    }

    void command_fromSubmitToOutputs() {
        QSignalSpy ended(&m_driver->session(), &commands::Session::runEnded);
        const std::string run =
            m_driver->submit("echo out; echo err >&2; echo data > \"$TRAINYARD_OUTPUTS/result.txt\"");
        QVERIFY2(!run.empty(), m_driver->lastError().c_str());
        const Json shown = m_driver->watch(run);
        QCOMPARE(shown.at("state").get<std::string>(), "Completed");
        QCOMPARE(shown.at("number").get<int>(), 1);
        QCOMPARE(shown.at("outputs").size(), std::size_t{1});
        const Json output = shown.at("outputs").at(0);
        QCOMPARE(output.at("path").get<std::string>(), "result.txt");
        QCOMPARE(output.at("sha256").get<std::string>(), base::sha256Hex("data\n"));
        QCOMPARE(output.at("collected").get<bool>(), true);
        QCOMPARE(m_driver->log(run, "stdout"), std::vector<std::string>{"out"});
        QCOMPARE(m_driver->log(run, "stderr"), std::vector<std::string>{"err"});
        std::vector<std::string> states;
        for (const Json& stage : shown.at("stages")) {
            states.push_back(stage.at("state").get<std::string>());
        }
        QVERIFY(std::is_sorted(states.begin(), states.end(), [](const auto& a, const auto& b) {
            return *spec::runStateFromString(a) < *spec::runStateFromString(b);
        }));
        QVERIFY(test::waitFor([&] { return ended.size() == 1; }));
        QVERIFY(ended.at(0).at(1).value<spec::RunState>() == spec::RunState::Completed);
        // What is on the target goes once everything is here.
        QVERIFY(test::waitFor([&] { return !std::filesystem::exists(workFolder() / "runs" / run); }, 10'000));
        const Json copied = m_driver->get("run.download", {{"run", run}, {"to", (*m_scratch / "here").string()}});
        QCOMPARE(copied.at("files"), Json::array({"result.txt"}));
        QCOMPARE(m_scratch->read("here/result.txt"), "data\n");
    }

    void command_thatFailsSaysWhy() {
        const std::string run = m_driver->submit("echo about to fail; exit 3");
        const Json shown = m_driver->watch(run);
        QCOMPARE(shown.at("state").get<std::string>(), "Failed");
        QVERIFY2(shown.at("reason").get<std::string>().find('3') != std::string::npos, shown.dump().c_str());
        QCOMPARE(shown.at("ranks").at(0).at("exit").get<int>(), 3);
        const std::string missing = m_driver->submit("x", {{"task", {{"command", {"/no/such/program"}}}}});
        const Json gone = m_driver->watch(missing);
        QCOMPARE(gone.at("state").get<std::string>(), "Failed");
        QVERIFY2(gone.at("reason").get<std::string>().find("/no/such/program") != std::string::npos,
                 gone.dump().c_str());
    }

    void command_reportsMetricsAndProgress() {
        const std::string run =
            m_driver->submit("i=0; while [ $i -lt 50 ]; do i=$((i+1)); "
                             "echo '{\"kind\":\"metric\",\"name\":\"loss\",\"value\":'$((100-i))',\"step\":'$i'}' >> "
                             "\"$TRAINYARD_STREAM\"; "
                             "done; echo '{\"kind\":\"params\",\"values\":{\"lr\":0.1}}' >> \"$TRAINYARD_STREAM\"");
        const Json shown = m_driver->watch(run);
        const Json metric = shown.at("metrics").at(0);
        QCOMPARE(metric.at("name").get<std::string>(), "loss");
        QCOMPARE(metric.at("count").get<int>(), 50);
        QCOMPARE(metric.at("last").get<double>(), 50.0);
        QCOMPARE(metric.at("max").get<double>(), 99.0);
        QCOMPARE(shown.at("params").at("lr").get<double>(), 0.1);
    }

    void command_onSeveralProcesses() {
        const std::string run = m_driver->submit("echo \"rank $RANK of $WORLD_SIZE\"",
                                                 {{"distribution", {{"kind", "pytorch"}, {"processes", 3}}}});
        QVERIFY2(!run.empty(), m_driver->lastError().c_str());
        const Json shown = m_driver->watch(run);
        QCOMPARE(shown.at("state").get<std::string>(), "Completed");
        auto lines = m_driver->log(run, "stdout");
        std::sort(lines.begin(), lines.end());
        QCOMPARE(lines, (std::vector<std::string>{"rank 0 of 3", "rank 1 of 3", "rank 2 of 3"}));
        const Json one = m_driver->get("run.logs", {{"run", run}, {"rank", 1}, {"out", "stdout"}});
        QCOMPARE(one.at("lines").size(), std::size_t{1});
        QCOMPARE(one.at("lines").at(0).at("text").get<std::string>(), "rank 1 of 3");
    }

    void latency_submitToRunningAndFirstLine() {
        QElapsedTimer clock;
        qint64 added = -1, running = -1, logged = -1;
        std::string run;
        const auto look = [&](const QList<runs::RunChange>& changes) {
            for (const runs::RunChange& change : changes) {
                run = run.empty() ? change.run.str() : run;
                added = added < 0 && change.parts.testFlag(runs::RunPart::Added) ? clock.elapsed() : added;
                logged = logged < 0 && change.parts.testFlag(runs::RunPart::Log) ? clock.elapsed() : logged;
            }
            if (running < 0 && !run.empty()) {
                m_driver->session().query(
                    this, QStringLiteral("latency"),
                    [id = base::RunId(run)](store::Reader& index) { return index.run(id); },
                    [&](const base::Result<store::RunRow>& row) {
                        const bool is =
                            row.ok() && row->state != spec::RunState::Preparing && row->state != spec::RunState::Queued;
                        running = running < 0 && is ? clock.elapsed() : running;
                    });
            }
        };
        connect(&m_driver->session(), &commands::Session::runsChanged, this, look);
        clock.start();
        const std::string id = m_driver->submit("echo first; sleep 0.5");
        QVERIFY(test::waitFor([&] { return logged >= 0 && running >= 0; }));
        qInfo("submit to shown %lld ms, to Running %lld ms, to the first log line %lld ms", added, running, logged);
        QCOMPARE(m_driver->watch(id).at("state").get<std::string>(), "Completed");
    }

    void edits_andRebuild_bringTheSameBack() {
        const std::string one = m_driver->submit("echo one; echo x > \"$TRAINYARD_OUTPUTS/x\"");
        const std::string two = m_driver->submit("for i in 1 2 3 4 5; do echo $i; done; exit 1");
        const std::string three = m_driver->submit("sleep 60");
        QVERIFY(!m_driver->watch(one).is_null() && !m_driver->watch(two).is_null());
        QVERIFY(m_driver->waitForState(three, "Running"));
        QVERIFY(!m_driver->get("run.cancel", {{"run", three}}).is_null());
        QCOMPARE(m_driver->watch(three).at("state").get<std::string>(), "Canceled");
        QVERIFY(!m_driver->get("run.rename", {{"run", one}, {"name", "Best — größte"}}).is_null());
        QVERIFY(!m_driver->get("run.tag", {{"run", one}, {"set", {{"kind", "good"}, {"gone", "x"}}}}).is_null());
        QVERIFY(!m_driver->get("run.tag", {{"run", one}, {"remove", {"gone"}}}).is_null());
        QVERIFY(!m_driver->get("run.notes", {{"run", one}, {"text", "Line one\nline two"}}).is_null());
        QVERIFY(!m_driver->get("run.archive", {{"run", two}}).is_null());
        const auto everything = [&] {
            Json all = Json::array();
            for (const std::string& run : {one, two, three}) {
                all.push_back(m_driver->get("run.show", {{"run", run}}));
                all.push_back(m_driver->log(run));
            }
            all.push_back(m_driver->get("run.list", {{"archived", "include"}}));
            return all;
        };
        const Json before = everything();
        QCOMPARE(before.at(0).at("tags"), Json({{"kind", "good"}}));
        QCOMPARE(before.at(0).at("notes").get<std::string>(), "Line one\nline two");
        QVERIFY(!m_driver->get("workspace.rebuild", Json::object()).is_null());
        QCOMPARE(everything().dump(2), before.dump(2));
        // And with the file deleted while nobody has it open.
        QVERIFY(!m_driver->get("workspace.close", Json::object()).is_null());
        for (const char* name : {"history.sqlite", "history.sqlite-wal", "history.sqlite-shm"}) {
            QVERIFY(base::removeTree(m_workspace / name).ok());
        }
        QVERIFY2(!m_driver->get("workspace.open", {{"folder", m_workspace.string()}}).is_null(),
                 m_driver->lastError().c_str());
        QCOMPARE(everything().dump(2), before.dump(2));
    }

    void delete_takesTheFilesAlong() {
        const std::string run = m_driver->submit("sleep 60; echo x > \"$TRAINYARD_OUTPUTS/x\"");
        QVERIFY(m_driver->waitForState(run, "Running"));
        QCOMPARE(m_driver->run("run.delete", {{"run", run}}).error().code, "run.running");
        QVERIFY(!m_driver->get("run.cancel", {{"run", run}}).is_null());
        QVERIFY(!m_driver->watch(run).is_null());
        QVERIFY(std::filesystem::exists(m_workspace / "runs" / run));
        const Json deleted = m_driver->get("run.delete", {{"run", run}});
        QVERIFY2(!deleted.is_null(), m_driver->lastError().c_str());
        QVERIFY(deleted.at("freed_bytes").get<std::int64_t>() > 0);
        QVERIFY(!std::filesystem::exists(m_workspace / "runs" / run));
        QVERIFY(std::filesystem::is_empty(m_workspace / "trash"));
        QCOMPARE(m_driver->run("run.show", {{"run", run}}).error().code, "store.run_unknown");
        QVERIFY(test::waitFor([&] { return !std::filesystem::exists(workFolder() / "runs" / run); }));
        // Its number is not given again.
        const Json next = m_driver->watch(m_driver->submit("true"));
        QCOMPARE(next.at("number").get<int>(), 2);
    }

    void cancel_isFinalAndOnce() {
        const std::string run = m_driver->submit("trap '' TERM; echo ready; sleep 60");
        QVERIFY(test::waitFor([&] { return !m_driver->log(run).empty(); }));
        QVERIFY(!m_driver->get("run.cancel", {{"run", run}}).is_null());
        const Json shown = m_driver->watch(run);
        QCOMPARE(shown.at("state").get<std::string>(), "Canceled");
        QCOMPARE(shown.at("ranks").at(0).at("signal").get<int>(), 9);  // After the grace time; the script is deaf.
        QCOMPARE(m_driver->run("run.cancel", {{"run", run}}).error().code, "run.ended");
    }

    void twoSessions_seeEachOther() {
        SessionDriver other;
        QVERIFY(!other.get("workspace.open", {{"folder", m_workspace.string()}}).is_null());
        QSignalSpy changed(&other.session(), &commands::Session::runsChanged);
        QSignalSpy ended(&other.session(), &commands::Session::runEnded);
        const std::string run = m_driver->submit("echo hello; sleep 60");
        QVERIFY(test::waitFor([&] { return !changed.isEmpty(); }));
        QVERIFY(other.waitForState(run, "Running"));
        QVERIFY(test::waitFor([&] { return other.log(run).size() == 1; }));
        // Edits by the one that does not follow reach the one that does.
        QSignalSpy back(&m_driver->session(), &commands::Session::runsChanged);
        QVERIFY(!other.get("run.rename", {{"run", run}, {"name", "Renamed elsewhere"}}).is_null());
        QVERIFY(test::waitFor([&] {
            for (const auto& signal : back) {
                for (const auto& change : signal.at(0).value<QList<runs::RunChange>>()) {
                    if (change.run.str() == run && change.parts.testFlag(runs::RunPart::Meta)) {
                        return true;
                    }
                }
            }
            return false;
        }));
        QCOMPARE(m_driver->get("run.show", {{"run", run}}).at("name").get<std::string>(), "Renamed elsewhere");
        // Canceled by the one that does not follow it.
        QVERIFY2(!other.get("run.cancel", {{"run", run}}).is_null(), other.lastError().c_str());
        QCOMPARE(other.watch(run).at("state").get<std::string>(), "Canceled");
        QVERIFY(test::waitFor([&] { return ended.size() == 1; }));
    }

    void closing_leavesTheRunAndAnotherTakesOver() {
        SessionDriver other;
        QVERIFY(!other.get("workspace.open", {{"folder", m_workspace.string()}}).is_null());
        const std::string run = m_driver->submit("i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo $i; sleep 0.05; done");
        QVERIFY(test::waitFor([&] { return m_driver->log(run).size() > 3; }));
        m_driver = std::make_unique<SessionDriver>();
        const Json shown = other.watch(run);
        QCOMPARE(shown.at("state").get<std::string>(), "Completed");
        std::vector<std::string> expected;
        for (int i = 1; i <= 40; ++i) {
            expected.push_back(std::to_string(i));
        }
        QCOMPARE(other.log(run), expected);
    }

    void reopening_showsWhatHappenedMeanwhile() {
        const std::string run = m_driver->submit("sleep 0.4; echo late; echo x > \"$TRAINYARD_OUTPUTS/x\"");
        m_driver = std::make_unique<SessionDriver>();
        QTest::qWait(1200);
        QSignalSpy ended(&m_driver->session(), &commands::Session::runEnded);
        QVERIFY(!m_driver->get("workspace.open", {{"folder", m_workspace.string()}}).is_null());
        QVERIFY(m_driver->waitForState(run, "Completed"));
        QCOMPARE(m_driver->log(run), std::vector<std::string>{"late"});
        QVERIFY(std::filesystem::exists(m_workspace / "runs" / run / "outputs/x"));
    }

    void queue_oneAfterTheOther() {
        const int cores = static_cast<int>(std::thread::hardware_concurrency());
        const Json all{{"distribution", {{"kind", "pytorch"}, {"processes", cores}}}};
        const std::string first = m_driver->submit("sleep 1", all);
        QVERIFY(m_driver->waitForState(first, "Running"));
        const std::string second = m_driver->submit("true", all);
        QVERIFY(m_driver->waitForState(second, "Queued"));
        const std::string third = m_driver->submit("true", all);
        QVERIFY(!m_driver->get("run.cancel", {{"run", third}}).is_null());
        QCOMPARE(m_driver->watch(third).at("state").get<std::string>(), "Canceled");
        QCOMPARE(m_driver->watch(second).at("state").get<std::string>(), "Completed");
        QCOMPARE(m_driver->state(first), "Completed");
    }

    void training_thenResumed() {
        const base::Path images = "/usr/share/datasets/fashion-mnist";
        if (!std::filesystem::exists(images) || !std::filesystem::exists(test::builtProgram("trainyard-engine"))) {
            TRAINYARD_SKIP("Needs trainyard-engine and the package dataset-fashion-mnist.");
        }
        QVERIFY2(!m_driver->get("workspace.sample", Json::object()).is_null(), m_driver->lastError().c_str());
        Json spec = m_driver->get("workspace.drafts", Json::object()).at("drafts").at(0).at("spec");
        spec::setValueAt(spec, "task.model.family", "mlp");
        spec::setValueAt(spec, "task.model.options", Json::object());
        spec::setValueAt(spec, "task.dataset.train_limit", 4000);
        spec::setValueAt(spec, "task.dataset.val_limit", 500);
        spec::setValueAt(spec, "task.epochs", 2);
        const Json submitted = m_driver->get("run.submit", {{"spec", spec}});
        QVERIFY2(!submitted.is_null(), m_driver->lastError().c_str());
        const std::string run = submitted.at("run").get<std::string>();
        const Json shown = m_driver->watch(run, 60'000);
        QCOMPARE(shown.at("state").get<std::string>(), "Completed");
        std::set<std::string> files;
        for (const Json& output : shown.at("outputs")) {
            files.insert(output.at("path").get<std::string>());
        }
        for (const char* file : {"model.pt", "model.safetensors", "model.json", "checkpoints/last.ckpt"}) {
            QVERIFY2(files.contains(file), file);
        }
        const auto metric = [](const Json& of, const std::string& name) -> Json {
            for (const Json& one : of.at("metrics")) {
                if (one.at("name").get<std::string>() == name) {
                    return one;
                }
            }
            return {};
        };
        QVERIFY(metric(shown, "val/accuracy").at("max").get<double>() > 0.5);
        const std::int64_t steps = metric(shown, "train/loss").at("last_step").get<std::int64_t>();
        // Two more epochs from the checkpoint; the curve goes on where it ended.
        const Json child = m_driver->get("run.resume", {{"run", run}, {"epochs", 3}});
        QVERIFY2(!child.is_null(), m_driver->lastError().c_str());
        const Json resumed = m_driver->watch(child.at("run").get<std::string>(), 60'000);
        QVERIFY2(resumed.at("state").get<std::string>() == "Completed",
                 resumed.at("reason").get<std::string>().c_str());
        QCOMPARE(resumed.at("parent").get<std::string>(), run);
        QVERIFY(metric(resumed, "train/loss").at("first_step").get<std::int64_t>() > steps);
        const Json copy = m_driver->get("run.duplicate", {{"run", child.at("run").get<std::string>()}});
        QVERIFY(!copy.at("spec").contains("resume_from"));
        QVERIFY(spec::validateRunSpec(copy.at("spec")).empty());
    }

    void training_pausedAndGoneOnWith() {
        const base::Path images = "/usr/share/datasets/fashion-mnist";
        if (!std::filesystem::exists(images) || !std::filesystem::exists(test::builtProgram("trainyard-engine"))) {
            TRAINYARD_SKIP("Needs trainyard-engine and the package dataset-fashion-mnist.");
        }
        QVERIFY2(!m_driver->get("workspace.sample", Json::object()).is_null(), m_driver->lastError().c_str());
        Json spec = m_driver->get("workspace.drafts", Json::object()).at("drafts").at(0).at("spec");
        spec::setValueAt(spec, "task.model.family", "mlp");
        spec::setValueAt(spec, "task.model.options", Json::object());
        spec::setValueAt(spec, "task.dataset.train_limit", 4000);
        spec::setValueAt(spec, "task.dataset.val_limit", 200);
        spec::setValueAt(spec, "task.epochs", 5000);
        const Json submitted = m_driver->get("run.submit", {{"spec", spec}});
        QVERIFY2(!submitted.is_null(), m_driver->lastError().c_str());
        const std::string run = submitted.at("run").get<std::string>();
        QVERIFY(m_driver->waitForState(run, "Running"));
        const Json kept = m_driver->get("run.checkpoint", {{"run", run}});
        QVERIFY2(!kept.is_null(), m_driver->lastError().c_str());
        QCOMPARE(m_driver->state(run), "Running");
        const Json paused = m_driver->get("run.pause", {{"run", run}});
        QVERIFY2(!paused.is_null(), m_driver->lastError().c_str());
        const auto step = paused.at("step").get<std::int64_t>();
        QVERIFY(step > kept.at("step").get<std::int64_t>());
        QCOMPARE(m_driver->watch(run, 60'000).at("state").get<std::string>(), "Canceled");
        QCOMPARE(m_driver->run("run.pause", {{"run", run}}).error().code, "run.not_running");

        const Json child = m_driver->get("run.resume", {{"run", run}, {"more", 7}, {"schedule", "rest"}});
        QVERIFY2(!child.is_null(), m_driver->lastError().c_str());
        const std::string next = child.at("run").get<std::string>();
        std::int64_t from = -1;
        QVERIFY(test::waitFor([&] {
            for (const std::string& line : m_driver->log(next, "stdout")) {
                if (line.starts_with("going on from step ")) {
                    from = std::stoll(line.substr(19));
                }
            }
            return from >= 0;
        }));
        QVERIFY(from >= step);
        const Json asked = m_driver->get("run.show", {{"run", next}}).at("spec");
        QCOMPARE(*spec::valueAt(asked, "task.epochs"), Json(5007));
        QCOMPARE(*spec::valueAt(asked, "task.schedule.span"), Json("rest"));
        QVERIFY(!m_driver->get("run.cancel", {{"run", next}}).is_null());
        QCOMPARE(m_driver->watch(next, 60'000).at("state").get<std::string>(), "Canceled");
        // A script knows itself whether it can go on.
        const std::string script = m_driver->submit("sleep 60");
        QVERIFY(m_driver->waitForState(script, "Running"));
        QCOMPARE(m_driver->run("run.pause", {{"run", script}}).error().code, "run.script");
        const Json told = m_driver->get("run.checkpoint", {{"run", script}});
        QVERIFY(!told.is_null() && told.at("step").is_null());
        QVERIFY(!m_driver->get("run.cancel", {{"run", script}}).is_null());
        QCOMPARE(m_driver->watch(script).at("state").get<std::string>(), "Canceled");
    }

private:
    base::Path workFolder() const { return base::Path(qEnvironmentVariable("TRAINYARD_WORK").toStdString()); }

    test::ChildGuard m_guard;
    std::unique_ptr<test::Scratch> m_scratch;
    base::Path m_workspace;
    std::unique_ptr<SessionDriver> m_driver;
};

QTEST_GUILESS_MAIN(TestJourney)
#include "tst_Journey.moc"
