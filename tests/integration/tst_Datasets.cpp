// Data sets as a face adds them: progress, cancel at each step, downloads, runs that need them.
#include <QTest>

#include <set>

#include "tests/helpers/Archives.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Png.h"
#include "tests/integration/SessionDriver.h"

using namespace trainyard;
using base::Json;
using commands::CommandProgress;

class TestDatasets : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        m_changes = 0;
        m_driver = std::make_unique<test::SessionDriver>();
        const Json made = m_driver->get("workspace.init", {{"folder", (*m_scratch / "w").string()}});
        QVERIFY2(!made.is_null(), m_driver->lastError().c_str());
    }
    void cleanup() {
        m_driver.reset();
        QVERIFY2(m_guard.noneLeft(20'000), m_guard.report().c_str());
    }

    void progress_tellsEachStep() {
        const auto answer = add(archiveOf(60));
        QVERIFY2(answer.ok(), answer.ok() ? "" : answer.error().message.c_str());
        QCOMPARE(m_phases, (std::vector<std::string>{"unpack", "read", "look"}));
        QVERIFY(m_rising);
        QCOMPARE(m_changes, 1);
        QCOMPARE((*answer)["changed"], Json(true));
        const auto again = add(*m_scratch / "birds.tar");
        QVERIFY(again.ok());
        QCOMPARE((*again)["changed"], Json(false));
        QCOMPARE(m_changes, 1);
        QVERIFY(test::waitFor([&] { return nothingLeftBehind(); }, 20'000));
    }

    /// Whenever it is canceled: no version, no process, nothing half unpacked.
    void cancel_data() {
        QTest::addColumn<QByteArray>("phase");
        for (const char* phase : {"unpack", "read", "look"}) {
            QTest::newRow(phase) << QByteArray(phase);
        }
    }
    void cancel() {
        QFETCH(QByteArray, phase);
        const auto answer = add(archiveOf(400), phase.toStdString());
        QVERIFY(!answer.ok());
        QCOMPARE(answer.error().code, std::string("canceled"));
        QVERIFY(test::waitFor([&] { return nothingLeftBehind(); }, 20'000));
        QVERIFY(!std::filesystem::exists(*m_scratch / "w/datasets/birds/1.json"));
        QCOMPARE(m_changes, 0);
    }

    void newVersion_andRemoval() {
        QVERIFY(add(folderOf(6)).ok());
        m_scratch->write("birds/hen/new.png", test::pngOf(30, 30, {1, 2, 3}));
        const auto second = add(*m_scratch / "birds");
        QVERIFY(second.ok());
        QCOMPARE((*second)["dataset"], Json("birds:2"));
        QCOMPARE((*second)["versions"], Json::array({1, 2}));
        QCOMPARE(m_driver->get("dataset.show", {{"dataset", "birds:1"}})["images"], Json(6));
        // A run that has not ended keeps its version, and no other.
        const std::string run = m_driver->submit("sleep 60", {{"inputs", {{"birds", "dataset:birds"}}}});
        QVERIFY2(!run.empty(), m_driver->lastError().c_str());
        QCOMPARE(m_driver->run("dataset.remove", {{"dataset", "birds:2"}}).error().code, std::string("dataset.in_use"));
        QCOMPARE(m_driver->run("dataset.remove", {{"dataset", "birds"}}).error().code, std::string("dataset.in_use"));
        QVERIFY(m_driver->run("dataset.remove", {{"dataset", "birds:1"}}).ok());
        QVERIFY(m_driver->run("run.cancel", {{"run", run}}).ok());
        QVERIFY(!m_driver->watch(run).is_null());
        QVERIFY(m_driver->run("dataset.remove", {{"dataset", "birds"}}).ok());
        QVERIFY(std::filesystem::is_directory(*m_scratch / "birds"));  // The person's own folder.
        QVERIFY(m_driver->get("dataset.list", Json::object())["datasets"].empty());
    }

    /// A script finds the pictures, and a changed folder is not passed off as the version.
    void script_getsThePictures() {
        QVERIFY(add(folderOf(6)).ok());
        const std::string run =
            m_driver->submit("ls \"$TRAINYARD_INPUT_BIRDS\"", {{"inputs", {{"birds", "dataset:birds"}}}});
        QVERIFY(!m_driver->watch(run).is_null());
        QCOMPARE(m_driver->log(run, "stdout"), (std::vector<std::string>{"hen", "turkey"}));
        m_scratch->write("birds/hen/0.png", "other bytes");
        const std::string late = m_driver->submit("true", {{"inputs", {{"birds", "dataset:birds:1"}}}});
        QVERIFY(late.empty());  // Told before it is started.
        QVERIFY2(m_driver->lastError().find("birds:1") != std::string::npos, m_driver->lastError().c_str());
    }

    void twoAtOnce_getTwoNumbers() {
        const base::Path folder = folderOf(6);
        std::vector<base::Result<Json>> answers;
        QObject context;
        for (const double split : {0.2, 0.5}) {
            m_driver->session().start("dataset.add", {{"name", "birds"}, {"source", folder.string()}, {"split", split}},
                                      &context, [&](const base::Result<Json>& answer) { answers.push_back(answer); });
        }
        QVERIFY(test::waitFor([&] { return answers.size() == 2; }, 60'000));
        std::set<std::string> names;
        for (const auto& answer : answers) {
            QVERIFY2(answer.ok(), answer.ok() ? "" : answer.error().message.c_str());
            names.insert((*answer)["dataset"].get<std::string>());
        }
        QCOMPARE(names, (std::set<std::string>{"birds:1", "birds:2"}));
    }

private:
    std::vector<test::ArchiveItem> items(int count) {
        std::vector<test::ArchiveItem> all;
        for (int i = 0; i < count; ++i) {
            const auto shade = static_cast<unsigned char>(i);
            all.push_back({(i % 2 == 0 ? "hen/" : "turkey/") + std::to_string(i) + ".png",
                           test::pngOf(60 + i % 9, 50, {shade, static_cast<unsigned char>(i / 256), 7})});
        }
        return all;
    }
    base::Path archiveOf(int count) {
        const base::Path file = *m_scratch / "birds.tar";
        return test::writeArchive(file, items(count), "tar") ? file : base::Path();
    }
    base::Path folderOf(int count) {
        for (const test::ArchiveItem& item : items(count)) {
            m_scratch->write("birds/" + item.path, item.bytes);
        }
        return *m_scratch / "birds";
    }

    /// Adds "birds"; cancels once the phase is told of.
    base::Result<Json> add(const base::Path& source, const std::string& cancelAt = {}) {
        m_phases.clear();
        m_rising = true;
        double last = -1;
        std::optional<base::Result<Json>> answer;
        QObject context;
        commands::Session& session = m_driver->session();
        connect(&session, &commands::Session::datasetsChanged, &context, [this] { ++m_changes; });
        commands::Command* command = session.start("dataset.add", {{"name", "birds"}, {"source", source.string()}});
        connect(command, &commands::Command::progressed, &context, [&](const CommandProgress& progress) {
            const std::string phase = progress.detail.is_object() ? progress.detail.value("phase", std::string()) : "";
            if (m_phases.empty() || m_phases.back() != phase) {
                m_phases.push_back(phase);
            }
            m_rising = m_rising && progress.fraction >= last && progress.fraction <= 1;
            last = progress.fraction;
            if (phase == cancelAt) {
                command->cancel();
            }
        });
        connect(command, &commands::Command::finished, &context,
                [&](const base::Result<Json>& result) { answer = result; });
        if (!test::waitFor([&] { return answer.has_value(); }, 60'000)) {
            return base::Error{"test.timeout", "No answer came."};
        }
        return *answer;
    }

    bool nothingLeftBehind() const {
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator(*m_scratch / "w/datasets/.incoming", error)) {
            std::error_code vanished;
            if (entry.is_directory(vanished)) {
                return false;
            }
        }
        return true;
    }

    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<test::SessionDriver> m_driver;
    test::ChildGuard m_guard;
    std::vector<std::string> m_phases;
    bool m_rising = true;
    int m_changes = 0;
};

QTEST_GUILESS_MAIN(TestDatasets)
#include "tst_Datasets.moc"
