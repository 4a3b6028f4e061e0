// A run's life when the way to its target is cut, when it has several attempts or nodes, when a scheduler has it.
#include <signal.h>
#include <unistd.h>

#include <QTest>
#include <algorithm>
#include <atomic>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>

#include "core/base/Hash.h"
#include "core/base/Process.h"
#include "core/runs/RunService.h"
#include "core/runs/Workspace.h"
#include "core/store/Reader.h"
#include "core/wire/RunStream.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Wait.h"
#include "tests/unit/runs/CutTarget.h"

using namespace trainyard;
using namespace trainyard::runs;
using base::Json;
using spec::RunState;

class TestFollower : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase() { qputenv("TRAINYARD_BIN", QByteArray::fromStdString(test::builtProgram("").string())); }
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        m_workspace = initWorkspace(*m_scratch / "w", "").value();
        m_cable = std::make_shared<test::Cable>();
        m_local = {*m_scratch / "far", {}, 10, *m_scratch / "slots"};
        m_days = 7;
        m_follow = true;
        open();
    }
    void cleanup() {
        close();
        QVERIFY2(m_guard.noneLeft(15'000), m_guard.report().c_str());
    }

    void cut_isSeenAndHealed() {
        const base::RunId run = submit("i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo $i; sleep 0.02; done");
        QVERIFY(waitForState(run, RunState::Running));
        setCut(true);
        QVERIFY(waitForState(run, RunState::Lost, 10'000));
        const auto events = reader().events(run, wire::kind::kUnreachable);
        QCOMPARE(events->size(), std::size_t{1});
        QCOMPARE(events->at(0).body.at("reason").get<std::string>(), "The cable is out.");
        QVERIFY(base::wallMicros() - events->at(0).body.at("since").get<std::int64_t>() < 20'000'000);
        setCut(false);
        QVERIFY(waitForState(run, RunState::Running, 5000));
        QVERIFY(waitForState(run, RunState::Completed, 20'000));
        QCOMPARE(reader().events(run, wire::kind::kReachable)->size(), std::size_t{1});
        expectLines(run, 300);
    }

    void cuts_inGreatNumberLoseNothing() {
        const base::RunId run = submit("i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo $i; sleep 0.005; done");
        for (int i = 0; i < 100; ++i) {
            setCut(true);
            QTest::qWait(5);
            setCut(false);
            QTest::qWait(15);
        }
        QVERIFY(waitForState(run, RunState::Completed, 20'000));
        expectLines(run, 400);
        QCOMPARE(reader().run(run)->warnings, std::int64_t{0});
        // Cuts that are too short to be noticed by a person are no states.
        QVERIFY(reader().events(run, wire::kind::kUnreachable)->empty());
    }

    void cancelWhileUnreachable_isCarriedOutByALaterProgram() {
        const base::RunId run = submit("echo up; exec sleep 60.0321");
        QVERIFY(waitForState(run, RunState::Running));
        setCut(true);
        QVERIFY(waitForState(run, RunState::Lost, 10'000));
        QVERIFY(cancel(run).ok());
        QVERIFY(reader().run(run)->state == RunState::Lost);
        QCOMPARE(reader().events(run, wire::kind::kCancelAsked)->size(), std::size_t{1});
        close();
        open();
        QTest::qWait(300);
        QVERIFY(reader().run(run)->state == RunState::Lost);
        setCut(false);
        QVERIFY(waitForState(run, RunState::Canceled, 15'000));
        QCOMPARE(reader().events(run, wire::kind::kCancelAsked)->size(), std::size_t{1});
    }

    void launch_ofAPlaceNobodyHasSeenFailsAtOnce() {
        setCut(true);
        const auto answer = trySubmit("true");
        QVERIFY(answer && !answer->ok());
        QCOMPARE(answer->error().code, "target.unreachable");
        const auto page = reader().listRuns({});
        QVERIFY(page->rows.at(0).state == RunState::Failed);
        QCOMPARE(page->rows.at(0).stateReason, "The cable is out.");
    }

    /// Whoever submits hears what the journal says of the way there: how much travels, and how far it is.
    void submit_tellsWhatTravels() {
        const std::string text = "Sending 3 files to far";
        inStore([&] {
            m_cable->uploads = {
                {"connect", "Connecting to far", 0, 0}, {"upload", text, 0, 1000}, {"upload", text, 1000, 1000}};
        });
        std::vector<Json> told;
        const auto answer = trySubmit("true", Json::object(), [&](const Json& upload) { told.push_back(upload); });
        QVERIFY(answer && answer->ok());
        std::vector<Json> sent;
        std::ranges::copy_if(told, std::back_inserter(sent),
                             [](const Json& one) { return one.at("step") == "upload"; });
        QCOMPARE(sent.size(), std::size_t{2});
        QCOMPARE(sent[0].at("text").get<std::string>(), text);
        QCOMPARE(sent[0].at("bytes_done").get<int>(), 0);
        QCOMPARE(sent[1].at("bytes_done").get<int>(), 1000);
        QCOMPARE(sent[1].at("bytes_total").get<int>(), 1000);
        QVERIFY(waitForState((*answer)->run, RunState::Completed));
        const auto events = reader().events((*answer)->run, wire::kind::kUpload);
        QVERIFY(events.ok());
        std::size_t before = 0;
        for (const store::EventRow& event : *events) {
            const auto step = event.body.at("step").get<std::string>();
            before += step != "handed_over" && step != "collect" ? 1 : 0;
        }
        QCOMPARE(told.size(), before);
    }

    void launch_thatWasCutGoesOn() {
        QVERIFY(waitForState(submit("true"), RunState::Completed));
        setCut(true);
        const base::RunId run = submit("echo late");
        QVERIFY(test::waitFor([&] { return !reader().events(run, wire::kind::kUnreachable)->empty(); }, 10'000));
        QVERIFY(reader().run(run)->state == RunState::Preparing);
        close();
        open();
        QTest::qWait(200);
        QVERIFY(reader().run(run)->state == RunState::Preparing);
        setCut(false);
        QVERIFY(waitForState(run, RunState::Completed, 15'000));
        expectLines(run, {"late"});
        QCOMPARE(reader().events(run, wire::kind::kReachable)->size(), std::size_t{1});
        QCOMPARE(reader().run(run)->attempts, 1);
    }

    void launch_thatWasCutCanBeCanceled() {
        QVERIFY(waitForState(submit("true"), RunState::Completed));
        setCut(true);
        const base::RunId run = submit("echo never");
        QVERIFY(cancel(run).ok());
        setCut(false);
        QVERIFY(waitForState(run, RunState::Canceled, 15'000));
        QVERIFY(reader().attempts(run)->empty());
    }

    void giveUp_onlyOfWhatCannotBeReached() {
        const base::RunId run = submit("exec sleep 60.0322");
        QVERIFY(waitForState(run, RunState::Running));
        QCOMPARE(giveUp(run).error().code, "run.reachable");
        setCut(true);
        QVERIFY(waitForState(run, RunState::Lost, 10'000));
        QVERIFY(giveUp(run).ok());
        QVERIFY(waitForState(run, RunState::Canceled, 5000));
        QCOMPARE(reader().warnings(run)->at(0).code, "run.left");
        QCOMPARE(giveUp(run).error().code, "run.ended");
        for (const auto& pid : ranksOf(run)) {
            ::kill(pid, SIGKILL);
        }
    }

    void remove_ofAnUnreachableRunIsAskedOnceAndRemembered() {
        const base::RunId run = submit("echo x > \"$TRAINYARD_OUTPUTS/x\"", {{"target", "kept"}});
        QVERIFY(waitForState(run, RunState::Completed));
        const base::Path there = wire::WorkLayout{*m_scratch / "far"}.run(run);
        QVERIFY(std::filesystem::exists(there));
        setCut(true);
        QCOMPARE(remove(run, RemoveWay::Ask).error().code, "run.target_unreachable");
        QVERIFY(reader().run(run).ok());
        QVERIFY(remove(run, RemoveWay::Remember).ok());
        QVERIFY(!reader().run(run).ok());
        QVERIFY(std::filesystem::exists(there));
        close();
        open();
        setCut(false);
        // Nobody uses the target: what was put off is done by itself.
        QVERIFY(test::waitFor([&] { return !std::filesystem::exists(there); }, 20'000));
        QVERIFY(test::waitFor([&] { return std::filesystem::is_empty(m_workspace.layout.trash() / "there"); }));
    }

    void twoAttempts_theNewestCounts() {
        const base::RunId run = submitQuiet({{"distribution", {{"kind", "pytorch"}, {"nodes", 1}}}});
        stream(run, 1, 0, {attempt(1, 1), state("Running"), metrics(0, {9, 8, 1}), ended("failed", {}, true)});
        QVERIFY(waitForState(run, RunState::Preparing));
        QTest::qWait(200);
        QVERIFY(!reader().attempts(run)->at(0).outcome.empty());
        QVERIFY(!spec::isFinal(reader().run(run)->state));
        output(run, "model.pt", "weights");
        stream(run, 2, 0, {attempt(2, 1), state("Running"), metrics(2, {5, 4})});
        QVERIFY(waitForState(run, RunState::Running));
        QCOMPARE(reader().run(run)->attempts, 2);
        stream(run, 2, 0, {ended("completed", {{"model.pt", "weights"}})});
        QVERIFY(waitForState(run, RunState::Completed));
        const auto row = *reader().run(run);
        QCOMPARE(row.metrics.at(0).min,
                 4.0);  // The first attempt's 1 was reported at a step that the second told anew.
        QCOMPARE(base::readFile(m_workspace.layout.outputs(run) / "model.pt").valueOr(""), "weights");
    }

    void twoNodes_bothLastWordsAreWaitedFor() {
        const base::RunId run = submitQuiet({{"distribution", {{"kind", "pytorch"}, {"nodes", 2}}}});
        output(run, "a", "lead");
        output(run, "node-1/b", "other");
        stream(run, 1, 0, {attempt(1, 2), state("Running")});
        stream(run, 1, 1, {attempt(1, 2)});
        QVERIFY(waitForState(run, RunState::Running));
        stream(run, 1, 0, {ended("completed", {{"a", "lead"}})});
        QTest::qWait(700);
        QVERIFY(reader().run(run)->state == RunState::Finalizing);
        Json last = ended("completed", {{"b", "other"}}).body;
        last["node_only"] = true;
        stream(run, 1, 1, {record(wire::kind::kEnded, last)});
        QVERIFY(waitForState(run, RunState::Completed));
        QCOMPARE(base::readFile(m_workspace.layout.outputs(run) / "a").valueOr(""), "lead");
        QCOMPARE(base::readFile(m_workspace.layout.outputs(run) / "node-1/b").valueOr(""), "other");
        const auto outputs = reader().outputs(run);
        QVERIFY(std::all_of(outputs->begin(), outputs->end(), [](const auto& one) { return one.collected; }));
        QVERIFY(std::filesystem::exists(m_workspace.layout.stream(run, 1, 1)));
    }

    void scheduler_itsWordCountsWithoutTheAgents() {
        inStore([this] {
            m_cable->scheduler = [this]() -> std::optional<targets::SchedulerLook> {
                targets::SchedulerLook look;
                look.job = "4711";
                look.reason = m_jobRuns ? "" : "Resources";
                look.estimatedStart = 1'800'000'000'000'000;
                look.state = m_jobState;
                return look;
            };
        });
        m_jobState = targets::SchedulerLook::State::Pending;
        const base::RunId run = submitQuiet({});
        QVERIFY(waitForState(run, RunState::Queued, 20'000));
        QVERIFY(reader().run(run)->stateReason.find("Resources") != std::string::npos);
        const auto said = reader().events(run, wire::kind::kScheduler);
        QCOMPARE(said->size(), std::size_t{1});
        QCOMPARE(said->at(0).body.at("job").get<std::string>(), "4711");
        QCOMPARE(said->at(0).body.at("estimated_start").get<std::int64_t>(), 1'800'000'000'000'000);
        m_jobRuns = true;
        m_jobState = targets::SchedulerLook::State::Running;
        stream(run, 1, 0, {attempt(1, 1), state("Running")});
        QVERIFY(waitForState(run, RunState::Running));
        output(run, "left", "behind");
        m_jobState = targets::SchedulerLook::State::TimeLimit;
        QVERIFY(waitForState(run, RunState::Failed, 40'000));
        QVERIFY(reader().run(run)->stateReason.find("time limit") != std::string::npos);
        QCOMPARE(base::readFile(m_workspace.layout.outputs(run) / "left").valueOr(""), "behind");
    }

    /// A scheduler that takes longer to answer than the time between two looks.
    void look_thatTakesLongIsWaitedFor() {
        inStore([this] {
            m_cable->lookMillis = 9500;
            m_cable->scheduler = []() -> std::optional<targets::SchedulerLook> {
                targets::SchedulerLook look;
                look.job = "4712";
                look.reason = "Priority";
                look.state = targets::SchedulerLook::State::Pending;
                return look;
            };
        });
        const base::RunId run = submitQuiet({});
        QVERIFY(waitForState(run, RunState::Queued, 15'000));
        QVERIFY(reader().run(run)->stateReason.find("Priority") != std::string::npos);
    }

    void collectAgain_bringsWhatWasLeft() {
        const base::RunId run = submitQuiet({}, "kept");
        output(run, "big", "bytes");
        stream(run, 1, 0, {attempt(1, 1), state("Running")});
        QVERIFY(waitForState(run, RunState::Running));
        QCOMPARE(collectAgain(run).error().code, "run.running");
        // Cut before the last word can come: it arrives together with the cut of the collection.
        setCut(true);
        stream(run, 1, 0, {ended("completed", {{"big", "bytes"}})});
        QVERIFY(waitForState(run, RunState::Lost, 10'000));
        QVERIFY(giveUp(run).ok());
        QVERIFY(waitForState(run, RunState::Canceled));
        QCOMPARE(collectAgain(run).error().code, "target.unreachable");
        QVERIFY(reader().attempts(run)->at(0).outcome.empty());
        setCut(false);
        QCOMPARE(collectAgain(run).error().code, "run.running");
        agentIsGone(run);
        QVERIFY(collectAgain(run).ok());
        QCOMPARE(base::readFile(m_workspace.layout.outputs(run) / "big").valueOr(""), "bytes");
        QVERIFY(reader().outputs(run)->at(0).collected);
        // Its records came too.
        QCOMPARE(reader().attempts(run)->at(0).outcome, "completed");
    }

    /// What is left there of a run that was given up stays until it has been brought; only then it goes, by the clock.
    void retention_whatIsNotHereStays() {
        const base::RunId run = submitQuiet({});
        const base::Path there = wire::WorkLayout{*m_scratch / "far"}.run(run);
        output(run, "big", "bytes");
        stream(run, 1, 0, {attempt(1, 1), state("Running")});
        QVERIFY(waitForState(run, RunState::Running));
        setCut(true);
        stream(run, 1, 0, {ended("completed", {{"big", "bytes"}})});
        QVERIFY(waitForState(run, RunState::Lost, 10'000));
        QVERIFY(giveUp(run).ok());
        QVERIFY(waitForState(run, RunState::Canceled));
        setCut(false);
        agentIsGone(run);
        QTest::qWait(700);  // Two sweeps; the folder must outlive every one of them.
        QVERIFY(std::filesystem::exists(there / "a1"));
        QVERIFY(collectAgain(run).ok());
        QVERIFY(test::waitFor([&] { return !std::filesystem::exists(there); }, 20'000));
        QCOMPARE(base::readFile(m_workspace.layout.outputs(run) / "big").valueOr(""), "bytes");
    }

    /// A definition that keeps folders for days: their time comes while the target stays connected.
    void retention_daysAreCountedWhileConnected() {
        m_days = 1;
        const base::RunId run = submit("echo x > \"$TRAINYARD_OUTPUTS/x\"", {{"target", "days"}});
        QVERIFY(waitForState(run, RunState::Completed, 20'000));
        const base::Path there = wire::WorkLayout{*m_scratch / "far"}.run(run);
        QVERIFY(std::filesystem::exists(there));
        m_days = 0;
        QVERIFY(test::waitFor([&] { return !std::filesystem::exists(there); }, 20'000));
        QVERIFY(std::filesystem::exists(m_workspace.layout.outputs(run) / "x"));
    }

    /// Lost by an earlier program, and nobody follows it: it can be given up all the same.
    void giveUp_ofARunThatNobodyFollows() {
        const base::RunId run = submitQuiet({});
        stream(run, 1, 0, {attempt(1, 1), state("Running")});
        QVERIFY(waitForState(run, RunState::Running));
        setCut(true);
        QVERIFY(waitForState(run, RunState::Lost, 10'000));
        close();
        m_follow = false;
        open();
        QVERIFY(reader().run(run)->state == RunState::Lost);
        QVERIFY(giveUp(run).ok());
        QVERIFY(waitForState(run, RunState::Canceled));
        QCOMPARE(reader().warnings(run)->at(0).code, "run.left");
    }

    void fetchFile_whileTheRunGoesOn() {
        const base::RunId run = submit("echo so far > \"$TRAINYARD_OUTPUTS/now\"; exec sleep 60.0323");
        QVERIFY(test::waitFor(
            [&] { return std::filesystem::exists(wire::WorkLayout{*m_scratch / "far"}.outputs(run) / "now"); }));
        std::optional<base::Result<base::Path>> fetched;
        const Ticket ticket = m_service->fetchFile(run, "now", {}, [&](const auto& result) { fetched = result; });
        QVERIFY(ticket > 0);
        QVERIFY(test::waitFor([&] { return fetched.has_value(); }));
        QVERIFY2(fetched->ok(), fetched->ok() ? "" : fetched->error().message.c_str());
        QCOMPARE(base::readFile(**fetched).valueOr(""), "so far\n");
        QVERIFY(cancel(run).ok());
        QVERIFY(waitForState(run, RunState::Canceled));
    }

    void target_unknownNamesItself() {
        const auto answer = trySubmit("true", {{"target", "nowhere"}});
        QVERIFY(answer && !answer->ok());
        QCOMPARE(answer->error().code, "target.unknown");
        QCOMPARE(answer->error().field, "target");
        const auto closed = trySubmit("true", {{"target", "closed"}});
        QCOMPARE(closed->error().code, "target.disabled");
        const auto many = trySubmit("true", {{"distribution", {{"kind", "pytorch"}, {"nodes", 3}}}});
        QCOMPARE(many->error().code, "spec.nodes");
        QVERIFY(reader().listRuns({})->rows.empty());
    }

private:
    void open() {
        ServiceOptions options;
        options.local = m_local;
        options.followRuns = m_follow;
        options.retentionMillis = 300;
        options.definitions = [this](const std::string& name) -> base::Result<spec::TargetSpec> {
            if (name != "far" && name != "kept" && name != "closed" && name != "days") {
                return base::Error{"target.unknown", "There is no target \"" + name + "\"."};
            }
            spec::TargetSpec far;
            far.name = name;
            far.kind = spec::TargetKind::Ssh;
            far.hosts.resize(2);
            far.disabled = name == "closed";
            far.retention = name == "kept" ? "keep" : name == "days" ? "days" : "collected";
            far.retentionDays = m_days;
            return far;
        };
        options.makeTarget = [this](const spec::TargetSpec& spec,
                                    const targets::LocalTargetOptions& local) -> std::unique_ptr<targets::Target> {
            if (spec.kind == spec::TargetKind::Local) {
                return std::make_unique<targets::LocalTarget>(local, spec);
            }
            return std::make_unique<test::CutTarget>(spec.name, m_cable, local);
        };
        m_service = std::make_unique<RunService>(m_workspace, options);
        bool opened = false;
        m_service->open([&](const base::Status& status) { opened = status.ok(); });
        QVERIFY(test::waitFor([&] { return opened; }));
        m_reader.emplace(store::Reader::open(m_workspace.index).value());
    }
    void close() {
        m_reader.reset();
        m_service.reset();
    }
    store::Reader& reader() { return *m_reader; }
    void inStore(std::function<void()> work) {
        std::atomic<bool> done = false;
        m_service->write([&](base::Result<store::Writer*>) {
            work();
            return std::function<void()>([&] { done = true; });
        });
        QVERIFY(test::waitFor([&] { return done.load(); }));
    }
    void setCut(bool cut) {
        inStore([this, cut] {
            m_cable->cut = cut;
            if (m_cable->changed) {
                m_cable->changed();
            }
        });
    }
    std::optional<base::Result<Submitted>> trySubmit(const std::string& script, Json more = Json::object(),
                                                     std::function<void(Json)> onUpload = {}) {
        Json spec{{"format", spec::kRunSpecFormat},
                  {"version", spec::kRunSpecVersion},
                  {"experiment", "test"},
                  {"target", "far"},
                  {"task", {{"kind", "command"}, {"command", {"sh", "-c", script}}}},
                  {"limits", {{"grace_seconds", 1}}}};
        spec.update(more, true);
        std::optional<base::Result<Submitted>> answer;
        m_service->submit(
            spec, [&](const auto& result) { answer = result; }, {}, {}, std::move(onUpload));
        return test::waitFor([&] { return answer.has_value(); }, 15'000) ? answer : std::nullopt;
    }
    base::RunId submit(const std::string& script, Json more = Json::object()) {
        const auto answer = trySubmit(script, std::move(more));
        if (!answer || !answer->ok()) {
            qWarning("%s", answer ? answer->error().message.c_str() : "no answer");
            return {};
        }
        return (*answer)->run;
    }
    /// A run whose agent does nothing but to look alive: the test writes its streams.
    /// As submitQuiet() has made it, but of a process that is not there.
    void agentIsGone(const base::RunId& run) {
        auto identity = *base::identify(::getpid());
        ++identity.startTicks;
        const Json gone{{"format", "trainyard.agent"}, {"version", 1}, {"identity", base::toJson(identity)}};
        QVERIFY(base::writeFileAtomically(wire::WorkLayout{*m_scratch / "far"}.attemptNode(run, 1, 0) / "agent.json",
                                          base::dumpJson(gone))
                    .ok());
    }
    base::RunId submitQuiet(Json more, const std::string& target = "far") {
        const base::Path agent = m_scratch->write("quiet/trainyard-agent",
                                                  "#!/bin/sh\n[ \"$1\" = run ] || exit 0\ncp \"" +
                                                      (*m_scratch / "alive.json").string() + "\" \"$2/agent.json\"\n");
        std::filesystem::permissions(agent, std::filesystem::perms::owner_all);
        const Json alive{
            {"format", "trainyard.agent"}, {"version", 1}, {"identity", base::toJson(*base::identify(::getpid()))}};
        m_scratch->write("alive.json", base::dumpJson(alive));
        m_local.programs = *m_scratch / "quiet";
        close();
        open();
        more["target"] = target;
        return submit("true", std::move(more));
    }
    static wire::Record record(std::string_view kind, Json body) {
        wire::Record one;
        one.t = base::wallMicros();
        one.kind = std::string(kind);
        one.body = std::move(body);
        return one;
    }
    static wire::Record state(const char* name) { return record(wire::kind::kState, {{"state", name}}); }
    static wire::Record attempt(int attempt, int nodes) {
        return record(wire::kind::kAttempt,
                      {{"attempt", attempt}, {"nodes", nodes}, {"world_size", nodes}, {"host", "h"}});
    }
    static wire::Record metrics(std::int64_t first, std::vector<double> values) {
        wire::SeriesPoints points{"loss", {}, std::move(values), {}};
        for (std::size_t i = 0; i < points.value.size(); ++i) {
            points.step.push_back(first + static_cast<std::int64_t>(i));
        }
        wire::Record one = record(wire::kind::kMetrics, Json::object());
        one.body = wire::metricsBody({points}, one.t);
        one.rank = 0;
        return one;
    }
    static wire::Record ended(const char* outcome, const std::vector<std::pair<std::string, std::string>>& outputs,
                              bool restarts = false) {
        Json list = Json::array();
        for (const auto& [path, bytes] : outputs) {
            list.push_back({{"path", path}, {"size", bytes.size()}, {"sha256", base::sha256Hex(bytes)}});
        }
        Json body{{"outcome", outcome}, {"reason", ""}, {"outputs", std::move(list)}};
        if (restarts) {
            body["restart"] = true;
        }
        return record(wire::kind::kEnded, std::move(body));
    }
    void stream(const base::RunId& run, int attempt, int node, const std::vector<wire::Record>& records) {
        const base::Path folder = wire::WorkLayout{*m_scratch / "far"}.attemptNode(run, attempt, node);
        auto writer = wire::StreamWriter::open(wire::NodeLayout{folder}.stream());
        QVERIFY(writer.ok());
        std::vector<wire::Record> all = records;
        QVERIFY(writer->appendAll(all).ok());
        std::filesystem::copy_file(*m_scratch / "alive.json", folder / "agent.json",
                                   std::filesystem::copy_options::overwrite_existing);
    }
    void output(const base::RunId& run, const std::string& path, const std::string& bytes) {
        const base::Path file = wire::WorkLayout{*m_scratch / "far"}.outputs(run) / path;
        QVERIFY(base::makeDirs(file.parent_path()).ok());
        QVERIFY(base::writeFileAtomically(file, bytes).ok());
    }
    template <class T, class Start>
    base::Result<T> await(Start start) {
        std::optional<base::Result<T>> answer;
        start([&](const base::Result<T>& result) { answer = result; });
        if (!test::waitFor([&] { return answer.has_value(); }, 15'000)) {
            return base::Error{"test.timeout", "No answer came."};
        }
        return *answer;
    }
    base::Status cancel(const base::RunId& run) {
        return await<void>([&](auto done) { m_service->cancel(run, done); });
    }
    base::Status giveUp(const base::RunId& run) {
        return await<void>([&](auto done) { m_service->giveUp(run, done); });
    }
    base::Status collectAgain(const base::RunId& run) {
        return await<void>([&](auto done) { m_service->collectAgain(run, done); });
    }
    base::Result<std::int64_t> remove(const base::RunId& run, RemoveWay way) {
        return await<std::int64_t>([&](auto done) { m_service->remove(run, done, way); });
    }
    bool waitForState(const base::RunId& run, RunState wanted, int millis = 15'000) {
        const bool reached = test::waitFor(
            [&] {
                const auto row = reader().run(run);
                return row.ok() && row->state == wanted;
            },
            millis);
        if (!reached) {
            const auto row = reader().run(run);
            qWarning("state is %s (%s)", row.ok() ? std::string(spec::toString(row->state)).c_str() : "unknown",
                     row.ok() ? row->stateReason.c_str() : row.error().message.c_str());
        }
        return reached;
    }
    void expectLines(const base::RunId& run, int count) {
        std::vector<std::string> lines;
        for (int i = 1; i <= count; ++i) {
            lines.push_back(std::to_string(i));
        }
        expectLines(run, lines);
    }
    void expectLines(const base::RunId& run, const std::vector<std::string>& expected) {
        store::LogFilter filter;
        filter.out = "stdout";
        const auto page = reader().logPage(run, filter, 0, 10'000);
        QVERIFY(page.ok());
        std::vector<std::string> lines;
        for (const store::LogLine& line : page->lines) {
            lines.push_back(line.text);
        }
        QCOMPARE(lines, expected);
        // Numbers without a gap, each once, in the copy.
        wire::StreamFolderReader copy(m_workspace.layout.stream(run, 1, 0));
        std::vector<wire::StreamEntry> entries;
        QVERIFY(copy.read(entries).ok());
        for (std::size_t i = 0; i < entries.size(); ++i) {
            QCOMPARE(entries[i].record.seq, static_cast<std::int64_t>(i + 1));
        }
    }
    static std::set<pid_t> ranksOf(const base::RunId& run) {
        std::set<pid_t> pids;
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
            const std::string name = entry.path().filename().string();
            if (!std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; })) {
                continue;
            }
            for (const char* file : {"cmdline", "environ"}) {
                std::ifstream in(entry.path() / file, std::ios::binary);
                const std::string text((std::istreambuf_iterator<char>(in)), {});
                const pid_t pid = static_cast<pid_t>(std::stol(name));
                if (pid != ::getpid() && text.find(run.str()) != std::string::npos) {
                    pids.insert(pid);
                }
            }
        }
        return pids;
    }

    test::ChildGuard m_guard;
    std::atomic<int> m_days = 7;
    bool m_follow = true;
    std::unique_ptr<test::Scratch> m_scratch;
    Workspace m_workspace;
    std::shared_ptr<test::Cable> m_cable;
    targets::LocalTargetOptions m_local;
    std::unique_ptr<RunService> m_service;
    std::optional<store::Reader> m_reader;
    std::atomic<targets::SchedulerLook::State> m_jobState = targets::SchedulerLook::State::Pending;
    std::atomic<bool> m_jobRuns = false;
};

QTEST_GUILESS_MAIN(TestFollower)
#include "tst_Follower.moc"
