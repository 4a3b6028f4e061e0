// Runs of a workspace on a real host over ssh: there and back, through a pulled cable, a closed workbench, a cancel
// meanwhile.
#include <QTest>
#include <optional>

#include "core/runs/RunService.h"
#include "core/runs/TargetBook.h"
#include "core/store/Reader.h"
#include "core/wire/RunStream.h"
#include "tests/helpers/Lab.h"
#include "tests/helpers/LabTarget.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"
#include "tests/helpers/Wait.h"

using namespace trainyard;
using namespace trainyard::runs;
using base::Json;
using spec::RunState;

class TestRemote : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase() {
        qputenv("TRAINYARD_BIN", QByteArray::fromStdString(test::builtProgram("").string()));
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        if (const std::string missing = test::Lab::missing(); !missing.empty()) {
            TRAINYARD_SKIP(missing.c_str());
        }
        m_lab = std::make_unique<test::Lab>(test::LabOptions{2, false, false});
        QVERIFY2(m_lab->up(), m_lab->error().c_str());
        m_workspace = initWorkspace(*m_scratch / "w", "").value();
        const spec::TargetSpec lab = test::labTarget("lab", 1, 1);
        spec::TargetSpec pair = test::labTarget("pair", 1, 2);
        for (const int host : {1, 2}) {
            pair.engine = m_lab->giveEngine(host);
            QVERIFY(!pair.engine.empty());
        }
        spec::TargetSpec keeper = pair;
        keeper.name = "keeper";
        keeper.retention = "keep";
        for (const spec::TargetSpec& target : {lab, pair, keeper}) {
            const auto written = writeTarget(m_workspace.layout, target);
            QVERIFY2(written.ok(), written.ok() ? "" : written.error().message.c_str());
        }
        open();
    }
    void cleanupTestCase() {
        close();
        m_lab.reset();
    }

    void run_onAHostThatNeverHadAnything() {
        const base::RunId run = submit("echo \"on $(hostname)\"; echo result > \"$TRAINYARD_OUTPUTS/r.txt\"");
        QVERIFY(waitForState(run, RunState::Completed, 60'000));
        QCOMPARE(base::readFile(m_workspace.layout.outputs(run) / "r.txt").valueOr(""), "result\n");
        QCOMPARE(lines(run), std::size_t{1});
        QVERIFY(!reader().events(run, wire::kind::kUpload)->empty());
        QVERIFY(m_service->reach("lab").state == targets::Reach::State::Connected);
        // All is here: nothing of it is left there.
        const base::Path there = wire::WorkLayout{m_lab->home(1) / ".local/share/trainyard/work"}.run(run);
        QVERIFY(test::waitFor([&] { return !std::filesystem::exists(there); }, 10'000));
    }

    void cable_pulledAndPutBack() {
        const base::RunId run = submit("i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo line $i; sleep 0.05; done");
        QVERIFY(waitForState(run, RunState::Running, 30'000));
        QVERIFY(m_lab->cut(1));
        QVERIFY(waitForState(run, RunState::Lost, 40'000));
        QVERIFY(!reader().run(run)->stateReason.empty());
        QVERIFY(!reader().events(run, wire::kind::kUnreachable)->empty());
        QVERIFY(m_lab->heal(1));
        QVERIFY(waitForState(run, RunState::Completed, 90'000));
        QCOMPARE(lines(run), std::size_t{400});
        QCOMPARE(reader().run(run)->warnings, std::int64_t{0});
        wire::StreamFolderReader copy(m_workspace.layout.stream(run, 1, 0));
        std::vector<wire::StreamEntry> entries;
        QVERIFY(copy.read(entries).ok());
        for (std::size_t i = 0; i < entries.size(); ++i) {
            QCOMPARE(entries[i].record.seq, static_cast<std::int64_t>(i + 1));
        }
    }

    void cancel_whileTheCableIsOutIsCarriedOutByTheNextProgram() {
        const base::RunId run = submit("echo up; exec sleep 300");
        QVERIFY(waitForState(run, RunState::Running, 30'000));
        QVERIFY(m_lab->cut(1));
        QVERIFY(waitForState(run, RunState::Lost, 40'000));
        std::optional<base::Status> told;
        m_service->cancel(run, [&](const base::Status& status) { told = status; });
        QVERIFY(test::waitFor([&] { return told.has_value(); }, 30'000));
        QVERIFY2(told->ok(), told->ok() ? "" : told->error().message.c_str());
        close();
        QVERIFY(m_lab->heal(1));
        open();
        QVERIFY(waitForState(run, RunState::Canceled, 60'000));
        QCOMPARE(lines(run), std::size_t{1});
        const auto left = m_lab->run(1, {"pgrep", "-f", "sleep 300"});
        QVERIFY2(left.exitCode != 0, left.out.c_str());
    }

    void training_onOneAndOnTwoHostsThatNeverHadTheData() {
        const base::Path data = "/usr/share/datasets/fashion-mnist";
        if (!std::filesystem::exists(data / "train-images-idx3-ubyte.gz")) {
            TRAINYARD_SKIP("Needs the package dataset-fashion-mnist.");
        }
        for (const int nodes : {1, 2}) {
            Json document = spec::defaultRunSpecDocument();
            const std::pair<const char*, Json> values[] = {
                {"target", "pair"},
                {"task.dataset.train_images", (data / "train-images-idx3-ubyte.gz").string()},
                {"task.dataset.train_labels", (data / "train-labels-idx1-ubyte.gz").string()},
                {"task.dataset.val_images", (data / "t10k-images-idx3-ubyte.gz").string()},
                {"task.dataset.val_labels", (data / "t10k-labels-idx1-ubyte.gz").string()},
                {"task.dataset.train_limit", 512},
                {"task.dataset.val_limit", 256},
                {"task.model.family", "mlp"},
                {"task.epochs", 1},
                {"task.threads", 1},
                {"task.device", "cpu"},
                {"limits.disk_reserve_mib", 1},
                {"distribution.kind", nodes == 1 ? "none" : "pytorch"},
                {"distribution.nodes", nodes}};
            for (const auto& [path, value] : values) {
                spec::setValueAt(document, path, value);
            }
            document.at("task").at("model").erase("options");
            const base::RunId run = submitDocument(document);
            QVERIFY(!run.isEmpty());
            QVERIFY(waitForState(run, RunState::Completed, 120'000));
            QVERIFY(std::filesystem::exists(m_workspace.layout.outputs(run) / "model.pt"));
            QCOMPARE(static_cast<int>(reader().attempts(run)->size()), nodes);
            QCOMPARE(static_cast<int>(reader().ranks(run)->size()), nodes);
            QVERIFY(!reader().run(run)->metrics.empty());
        }
    }

    /// One of a run's two hosts is away: nothing is deleted unasked; what cannot be deleted now is deleted on its
    /// return.
    void delete_whileOneHostIsAway() {
        const base::RunId run = submitDocument(onTwo("keeper", "echo $RANK > \"$TRAINYARD_OUTPUTS/r$RANK\""));
        QVERIFY(waitForState(run, RunState::Completed, 60'000));
        QVERIFY(std::filesystem::exists(m_workspace.layout.outputs(run) / "node-1/r1"));
        QVERIFY(std::filesystem::exists(folder(1, run)) && std::filesystem::exists(folder(2, run)));
        QVERIFY(m_lab->cut(2));
        const auto asked = remove(run, RemoveWay::Ask);
        QCOMPARE(asked.ok() ? "" : asked.error().code, std::string("run.target_unreachable"));
        QVERIFY2(asked.error().message.find("node2 ") != std::string::npos, asked.error().message.c_str());
        QVERIFY(std::filesystem::exists(folder(1, run)) && reader().run(run).ok());
        const auto later = remove(run, RemoveWay::Remember);
        QVERIFY2(later.ok(), later.ok() ? "" : later.error().message.c_str());
        QVERIFY(!reader().run(run).ok());
        QVERIFY(test::waitFor([&] { return !std::filesystem::exists(folder(1, run)); }, 30'000));
        QVERIFY(std::filesystem::exists(folder(2, run)));
        // The program that remembers it is not the one that was asked.
        close();
        QVERIFY(m_lab->heal(2));
        open();
        QVERIFY(test::waitFor([&] { return !std::filesystem::exists(folder(2, run)); }, 60'000));
    }

    /// Given up while nothing of it can be reached, and deleted: here at once, there by the next program as soon as its
    /// hosts answer, and what still runs there ends.
    void givenUpRun_isDeletedHereAndLaterThere() {
        const base::RunId run = submitDocument(onTwo("pair", "echo up; exec sleep 311"));
        QVERIFY(waitForState(run, RunState::Running, 60'000));
        QVERIFY(m_lab->cut(0));
        QVERIFY(waitForState(run, RunState::Lost, 60'000));
        std::optional<base::Status> given;
        m_service->giveUp(run, [&](const base::Status& status) { given = status; });
        QVERIFY(test::waitFor([&] { return given.has_value(); }, 30'000));
        QVERIFY2(given->ok(), given->ok() ? "" : given->error().message.c_str());
        QVERIFY(waitForState(run, RunState::Canceled, 30'000));
        const auto asked = remove(run, RemoveWay::Ask);
        QCOMPARE(asked.ok() ? "" : asked.error().code, std::string("run.target_unreachable"));
        QVERIFY(reader().run(run).ok());
        const auto later = remove(run, RemoveWay::Remember);
        QVERIFY2(later.ok(), later.ok() ? "" : later.error().message.c_str());
        QVERIFY(!reader().run(run).ok());
        QVERIFY(!std::filesystem::exists(m_workspace.layout.run(run)));
        QVERIFY(std::filesystem::exists(folder(1, run)) && std::filesystem::exists(folder(2, run)));
        close();
        QVERIFY(m_lab->heal(0));
        open();
        QVERIFY(test::waitFor(
            [&] { return !std::filesystem::exists(folder(1, run)) && !std::filesystem::exists(folder(2, run)); },
            90'000));
        for (const int host : {1, 2}) {
            const auto left = m_lab->run(host, {"pgrep", "-f", "sleep 311"});
            QVERIFY2(left.exitCode != 0, left.out.c_str());
        }
        QVERIFY(test::waitFor([&] { return std::filesystem::is_empty(m_workspace.layout.trash() / "there"); }, 30'000));
    }

    /// A host falls away and the run ends without its last words: what it left comes when it is back, and only then
    /// goes there.
    void outputsOfAHostThatWasAway_comeLater() {
        const base::RunId run =
            submitDocument(onTwo("pair", "echo $RANK > \"$TRAINYARD_OUTPUTS/r$RANK\"; echo up; sleep 300"));
        QVERIFY(waitForState(run, RunState::Running, 60'000));
        QVERIFY(test::waitFor([&] { return lines(run) == 2; }, 30'000));
        QVERIFY(m_lab->cut(2));
        QVERIFY(waitForState(run, RunState::Failed, 90'000));
        QVERIFY(std::filesystem::exists(m_workspace.layout.outputs(run) / "r0"));
        QVERIFY(!std::filesystem::exists(m_workspace.layout.outputs(run) / "node-1/r1"));
        const auto warnings = reader().warnings(run);
        QVERIFY(std::any_of(warnings->begin(), warnings->end(),
                            [](const store::WarningRow& one) { return one.code == "run.nodes_left"; }));
        // Another program goes on with it, and finds the host silent first; nobody uses the target.
        close();
        open();
        QVERIFY(reader().runsLeftBehind().valueOr({}) == std::vector<base::RunId>{run});
        QTest::qWait(2000);
        QVERIFY(m_lab->heal(2));
        QVERIFY(test::waitFor(
            [&] { return base::readFile(m_workspace.layout.outputs(run) / "node-1/r1").valueOr("") == "1\n"; },
            90'000));
        QVERIFY(test::waitFor(
            [&] { return !std::filesystem::exists(folder(1, run)) && !std::filesystem::exists(folder(2, run)); },
            60'000));
        QVERIFY(reader().run(run)->state == RunState::Failed);
        QVERIFY(reader().runsLeftBehind()->empty());
    }

    void doctorAndLoad_answer() {
        std::optional<base::Result<std::vector<targets::DoctorLine>>> found;
        int told = 0;
        QVERIFY(m_service->doctor(
                    "lab", [&](const targets::DoctorLine&) { ++told; }, [&](const auto& lines) { found = lines; }) > 0);
        QVERIFY(test::waitFor([&] { return found.has_value(); }, 60'000));
        QVERIFY2(found->ok(), found->ok() ? "" : found->error().message.c_str());
        QVERIFY((*found)->size() > 5);
        QVERIFY(told > 5);
        std::optional<base::Result<Json>> load;
        QVERIFY(m_service->load("lab", [&](const auto& result) { load = result; }) > 0);
        QVERIFY(test::waitFor([&] { return load.has_value(); }, 30'000));
        QVERIFY2(load->ok(), load->ok() ? "" : load->error().message.c_str());
        QCOMPARE((*load)->at("hosts").size(), std::size_t{1});
    }

private:
    void open() {
        m_service = std::make_unique<RunService>(m_workspace, ServiceOptions{});
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
    base::RunId submit(const std::string& script) {
        return submitDocument(Json{{"format", spec::kRunSpecFormat},
                                   {"version", spec::kRunSpecVersion},
                                   {"experiment", "remote"},
                                   {"target", "lab"},
                                   {"task", {{"kind", "command"}, {"command", {"sh", "-c", script}}}},
                                   {"limits", {{"grace_seconds", 1}, {"disk_reserve_mib", 1}}}});
    }
    static Json onTwo(const char* target, const std::string& script) {
        return Json{{"format", spec::kRunSpecFormat},
                    {"version", spec::kRunSpecVersion},
                    {"experiment", "remote"},
                    {"target", target},
                    {"task", {{"kind", "command"}, {"command", {"sh", "-c", script}}}},
                    {"distribution", {{"kind", "pytorch"}, {"backend", "gloo"}, {"nodes", 2}}},
                    {"limits", {{"grace_seconds", 1}, {"disk_reserve_mib", 1}}}};
    }
    [[nodiscard]] base::Path folder(int host, const base::RunId& run) const {
        return wire::WorkLayout{m_lab->home(host) / ".local/share/trainyard/work"}.run(run);
    }
    base::Result<std::int64_t> remove(const base::RunId& run, RemoveWay way) {
        std::optional<base::Result<std::int64_t>> answer;
        m_service->remove(
            run, [&](const base::Result<std::int64_t>& freed) { answer = freed; }, way);
        return test::waitFor([&] { return answer.has_value(); }, 60'000)
                   ? *answer
                   : base::Result<std::int64_t>(base::Error{"test.timeout", "No answer came."});
    }
    base::RunId submitDocument(const Json& spec) {
        std::optional<base::Result<Submitted>> answer;
        m_service->submit(spec, [&](const auto& result) { answer = result; });
        if (!test::waitFor([&] { return answer.has_value(); }, 60'000) || !answer->ok()) {
            qWarning("%s", answer ? answer->error().message.c_str() : "no answer");
            return {};
        }
        return (*answer)->run;
    }
    bool waitForState(const base::RunId& run, RunState wanted, int millis) {
        if (run.isEmpty()) {
            return false;  // It was not accepted, as was said.
        }
        const auto is = [&] {
            const auto row = reader().run(run);
            return row.ok() && row->state == wanted;
        };
        const bool reached = test::waitFor(is, millis);
        if (!reached) {
            const auto row = reader().run(run);
            qWarning("state is %s (%s)", row.ok() ? std::string(spec::toString(row->state)).c_str() : "unknown",
                     row.ok() ? row->stateReason.c_str() : row.error().message.c_str());
        }
        return reached;
    }
    std::size_t lines(const base::RunId& run) {
        store::LogFilter filter;
        filter.out = "stdout";
        const auto page = reader().logPage(run, filter, 0, 10'000);
        return page.ok() ? page->lines.size() : 0;
    }

    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<test::Lab> m_lab;
    Workspace m_workspace;
    std::unique_ptr<RunService> m_service;
    std::optional<store::Reader> m_reader;
};

QTEST_GUILESS_MAIN(TestRemote)
#include "tst_Remote.moc"
