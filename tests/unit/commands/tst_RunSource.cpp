// A run's source: what would travel, what travelled, the same again, and what differs.
#include <QTest>
#include <memory>

#include "tests/helpers/Children.h"
#include "tests/helpers/Scratch.h"
#include "tests/integration/SessionDriver.h"

using namespace trainyard;
using base::Json;

class TestRunSource : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        m_driver = std::make_unique<test::SessionDriver>();
        QVERIFY(m_driver->run("workspace.init", Json{{"folder", (*m_scratch / "w").string()}}).ok());
        m_scratch->write("source/train.sh", "echo hello $1; cat value.txt > \"$TRAINYARD_OUTPUTS/copy.txt\"\n"
                                            "echo '{\"metrics\":{\"loss\":0.25}}' >> \"$TRAINYARD_STREAM\"\n");
        m_scratch->write("source/value.txt", "first\n");
        m_scratch->write("source/big.bin", std::string(1000, '\0'));
        m_scratch->write("source/.gitignore", "*.tmp\n");
        m_scratch->write("source/left.tmp", "x");
    }
    void cleanup() {
        m_driver.reset();
        QVERIFY2(m_guard.noneLeft(10'000), m_guard.report().c_str());
    }

    void estimate_countsWhatTravels() {
        const Json told = m_driver->get("run.estimate", {{"spec", spec()}});
        QVERIFY2(told.is_object(), m_driver->lastError().c_str());
        QCOMPARE(told.at("source").at("ignore_file").get<std::string>(), ".gitignore");
        QCOMPARE(told.at("source").at("files").get<int>(), 4);
        QCOMPARE(told.at("target").get<std::string>(), "local");
        const Json disk = told.at("upload").at("disk");
        QVERIFY2(disk.at("host") == "this machine" && disk.at("free_bytes") > 0, base::dumpJson(told).c_str());
        QCOMPARE(disk.at("needed_bytes"), told.at("upload").at("bytes"));

        Json gone = spec();
        gone["task"]["source_folder"] = (*m_scratch / "nowhere").string();
        const auto refused = m_driver->run("run.estimate", {{"spec", gone}});
        QCOMPARE(refused.error().field, "task.source_folder");
    }

    void snapshot_isShownAndCompared() {
        const std::string first = submit(spec());
        QVERIFY(!first.empty());
        const Json shown = m_driver->get("run.snapshot", {{"run", first}});
        QVERIFY2(shown.is_object(), m_driver->lastError().c_str());
        QCOMPARE(shown.at("files").size(), std::size_t{4});
        QCOMPARE(m_driver->get("run.snapshot", {{"run", first}, {"path", "value.txt"}}).at("text").get<std::string>(),
                 "first\n");
        QVERIFY(m_driver->get("run.snapshot", {{"run", first}, {"path", "big.bin"}}).at("binary").get<bool>());
        for (const char* path : {"../w/trainyard.json", "/etc/passwd", "left.tmp"}) {
            QCOMPARE(m_driver->run("run.snapshot", {{"run", first}, {"path", path}}).error().field, "path");
        }

        m_scratch->write("source/value.txt", "second\n");
        const std::string second = submit(spec());
        const Json differ = m_driver->get("run.snapshot", {{"run", first}, {"with", second}});
        QCOMPARE(differ.at("changes").size(), std::size_t{1});
        QCOMPARE(differ.at("changes")[0].at("path").get<std::string>(), "value.txt");
        QCOMPARE(differ.at("changes")[0].at("change").get<std::string>(), "changed");
        const Json compared = m_driver->get("run.compare", {{"run", first}, {"with", second}});
        QVERIFY(compared.at("same").at("spec").get<bool>());
        QVERIFY(!compared.at("same").at("snapshot").get<bool>());
    }

    /// The folder has changed since, and then it is gone: the run takes what it was.
    void reproduce_takesTheSourceAsItWas() {
        const std::string first = submit(spec());
        m_scratch->write("source/value.txt", "second\n");
        std::filesystem::remove_all(*m_scratch / "source");
        const Json again = m_driver->get("run.reproduce", {{"run", first}});
        QVERIFY2(again.is_object(), m_driver->lastError().c_str());
        const std::string second = again.at("run").get<std::string>();
        const Json ended = m_driver->watch(second);
        QCOMPARE(ended.at("state").get<std::string>(), "Completed");
        QCOMPARE(m_scratch->read("w/runs/" + second + "/outputs/copy.txt"), "first\n");
        const Json compared = m_driver->get("run.compare", {{"run", first}, {"with", second}});
        QVERIFY2(compared.is_object(), m_driver->lastError().c_str());
        QVERIFY(compared.at("same").at("spec").get<bool>());
        QVERIFY(compared.at("same").at("snapshot").get<bool>());
        QVERIFY(compared.at("same").at("state").get<bool>());
    }

    void files_areListedAndFetchedWhileItRuns() {
        const std::string run = m_driver->submit("echo now > \"$TRAINYARD_OUTPUTS/now.txt\"; echo up; sleep 60.0124");
        QVERIFY(test::waitFor([&] { return !m_driver->log(run, "stdout").empty(); }, 15'000));
        const Json files = m_driver->get("run.files", {{"run", run}});
        QVERIFY2(files.is_object(), m_driver->lastError().c_str());
        QCOMPARE(files.at("files").size(), std::size_t{1});
        QVERIFY(!files.at("files")[0].at("collected").get<bool>());
        const Json got = m_driver->get("run.download",
                                       {{"run", run}, {"to", (*m_scratch / "here").string()}, {"paths", {"now.txt"}}});
        QVERIFY2(got.is_object(), m_driver->lastError().c_str());
        QCOMPARE(m_scratch->read("here/now.txt"), "now\n");
        QCOMPARE(
            m_driver
                ->run("run.download", {{"run", run}, {"to", (*m_scratch / "here").string()}, {"paths", {"../now.txt"}}})
                .error()
                .code,
            "run.output_unknown");
        QVERIFY(m_driver->run("run.cancel", {{"run", run}}).ok());
        QCOMPARE(m_driver->watch(run).at("state").get<std::string>(), "Canceled");
    }

private:
    Json spec() const {
        return Json{{"format", "trainyard.run-spec"},
                    {"version", 1},
                    {"task",
                     {{"kind", "command"},
                      {"source_folder", (*m_scratch / "source").string()},
                      {"script", "train.sh"},
                      {"interpreter", "sh"},
                      {"arguments", {"$(touch canary)"}}}}};
    }
    std::string submit(const Json& spec) {
        const Json told = m_driver->get("run.submit", {{"spec", spec}});
        if (!told.is_object()) {
            qWarning("%s", m_driver->lastError().c_str());
            return {};
        }
        const std::string run = told.at("run").get<std::string>();
        return m_driver->watch(run).value("state", "?") == "Completed" ? run : std::string();
    }

    test::ChildGuard m_guard;
    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<test::SessionDriver> m_driver;
};

QTEST_GUILESS_MAIN(TestRunSource)
#include "tst_RunSource.moc"
