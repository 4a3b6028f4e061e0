// The program that launches a run on one of several hosts is killed on the way: whoever comes next goes on where it
// was, starts nothing twice and nothing elsewhere, and what is said of the run in the end is what happened.
#include <signal.h>
#include <unistd.h>

#include <QProcess>
#include <QTest>
#include <algorithm>
#include <memory>

#include "core/runs/TargetBook.h"
#include "core/spec/RunState.h"
#include "core/wire/Layout.h"
#include "core/wire/RunStream.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Lab.h"
#include "tests/helpers/LabTarget.h"
#include "tests/helpers/Signal.h"
#include "tests/helpers/Skip.h"
#include "tests/integration/SessionDriver.h"

using namespace trainyard;
using base::Json;

namespace {

constexpr int kHosts = 3;
constexpr const char* kWork = ".local/share/trainyard/work";

}  // namespace

class TestKillLaunch : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase() {
        qputenv("TRAINYARD_BIN", QByteArray::fromStdString(test::builtProgram("").string()));
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        if (const std::string missing = test::Lab::missing(); !missing.empty()) {
            TRAINYARD_SKIP(missing.c_str());
        }
        m_lab = std::make_unique<test::Lab>(test::LabOptions{kHosts, false, false});
        QVERIFY2(m_lab->up(), m_lab->error().c_str());
        m_workspace = *m_scratch / "w";
        QCOMPARE(test::cli(m_workspace, {"workspace", "init", m_workspace.string()}).exitCode, 0);
        QVERIFY(runs::writeTarget(layout(), test::labTarget("trio", 1, kHosts)).ok());
        // Every answer takes a while, so that there is a time between the steps.
        for (int host = 1; host <= kHosts; ++host) {
            QVERIFY(m_lab->slow(host, 0.03, 0));
        }
    }
    void cleanupTestCase() {
        m_lab.reset();
        QVERIFY2(m_guard.noneLeft(20'000), m_guard.report().c_str());
    }
    void cleanup() {
        if (m_lab) {
            for (int host = 1; host <= kHosts; ++host) {
                m_lab->heal(host);
            }
        }
    }

    void killedAtEachStep_goesOnOnce_data() {
        QTest::addColumn<QString>("step");
        for (const char* step : {"submit", "connect", "deploy", "upload", "placed", "start", "handed_over"}) {
            QTest::newRow(step) << QString::fromLatin1(step);
        }
    }
    void killedAtEachStep_goesOnOnce() {
        QFETCH(QString, step);
        const std::string mark = "at-" + step.toStdString();
        m_scratch->write("data/" + mark, mark + std::string(600'000, 'x'));
        const std::string run = submitAndKill(
            "echo once >> ~/" + mark + "; sleep 0.2; head -c 20 \"$TRAINYARD_INPUT_WORDS\" > \"$TRAINYARD_OUTPUTS/r\"",
            mark, [&](const std::string& id) { return says(id, step.toStdString()) || count(mark) > 0; });
        QVERIFY(!run.empty());
        test::SessionDriver driver;
        QVERIFY(driver.run("workspace.open", Json{{"folder", m_workspace.string()}}).ok());
        const Json ended = watched(driver, run, 90'000);
        QCOMPARE(ended.value("state", "?"), "Completed");
        QCOMPARE(count(mark), 1);
        QCOMPARE(base::readFile(layout().outputs(base::RunId(run)) / "r").valueOr("").substr(0, mark.size()), mark);
        // Nothing of it is left on any host.
        QVERIFY(test::waitFor([&] { return hostsWith(run).empty(); }, 20'000));
    }

    void hostIsCutMeanwhile_itIsWaitedForAndNoOtherTaken() {
        const std::string run = submitAndKill("echo once >> ~/cut; echo x > \"$TRAINYARD_OUTPUTS/r\"", "",
                                              [&](const std::string& id) { return says(id, "placed"); });
        QVERIFY(!run.empty());
        const std::vector<std::string> placed = placedOn(run);
        QCOMPARE(placed.size(), std::size_t{1});
        const int host = std::stoi(placed.front().substr(4));
        const int before = count("cut");
        QVERIFY(m_lab->cut(host));
        test::SessionDriver driver;
        QVERIFY(driver.run("workspace.open", Json{{"folder", m_workspace.string()}}).ok());
        QVERIFY(test::waitFor([&] { return says(run, "unreachable"); }, 60'000));
        QCOMPARE(driver.state(run), std::string("Preparing"));
        for (const int other : hostsWith(run)) {
            QCOMPARE(other, host);
        }
        QCOMPARE(count("cut"), std::max(before, count("cut", host)));
        QVERIFY(m_lab->heal(host));
        QCOMPARE(watched(driver, run, 120'000).value("state", "?"), "Completed");
        QCOMPARE(count("cut"), 1);
        QCOMPARE(placedOn(run), placed);
    }

    void dataAreGoneMeanwhile_whatWasStartedGoesOn() {
        m_scratch->write("data/gone", "words");
        const std::string run = submitAndKill("echo once >> ~/gone; sleep 3; echo x > \"$TRAINYARD_OUTPUTS/r\"", "gone",
                                              [&](const std::string&) { return count("gone") > 0; });
        QVERIFY(!run.empty());
        std::filesystem::remove(*m_scratch / "data/gone");
        test::SessionDriver driver;
        QVERIFY(driver.run("workspace.open", Json{{"folder", m_workspace.string()}}).ok());
        QCOMPARE(watched(driver, run, 90'000).value("state", "?"), "Completed");
        QCOMPARE(count("gone"), 1);
    }

    void dataAreGoneBeforeItWasStarted_failsAndLeavesNothing() {
        m_scratch->write("data/early", std::string(600'000, 'y'));
        const std::string run =
            submitAndKill("echo once >> ~/early", "early", [&](const std::string& id) { return says(id, "upload"); });
        QVERIFY(!run.empty());
        std::filesystem::remove(*m_scratch / "data/early");
        test::SessionDriver driver;
        QVERIFY(driver.run("workspace.open", Json{{"folder", m_workspace.string()}}).ok());
        const Json ended = watched(driver, run, 90'000);
        // Where the kill came too late, it was started and goes on.
        const bool begun = count("early") > 0;
        QCOMPARE(ended.value("state", "?"), begun ? "Completed" : "Failed");
        QVERIFY2(begun || ended.value("reason", "").find("early") != std::string::npos, ended.dump().c_str());
        QVERIFY(test::waitFor([&] { return hostsWith(run).empty(); }, 20'000));
    }

private:
    [[nodiscard]] wire::WorkspaceLayout layout() const { return wire::WorkspaceLayout{m_workspace}; }

    /// Submits by the command line and kills it once `when` holds; the run's id, or empty.
    std::string submitAndKill(const std::string& script, const std::string& data,
                              const std::function<bool(const std::string&)>& when) {
        const auto known = runs();
        QStringList arguments{QStringLiteral("--workspace"), QString::fromStdString(m_workspace.string()),
                              QStringLiteral("run"),         QStringLiteral("submit"),
                              QStringLiteral("--target"),    QStringLiteral("trio"),
                              QStringLiteral("--set"),       QStringLiteral("limits.disk_reserve_mib=1")};
        if (!data.empty()) {
            arguments << QStringLiteral("--set")
                      << QString::fromStdString("inputs.words=" + (*m_scratch / "data" / data).string());
        }
        arguments << QStringLiteral("--") << QStringLiteral("sh") << QStringLiteral("-c")
                  << QString::fromStdString(script);
        QProcess cli;
        cli.start(QString::fromStdString(test::builtProgram("trainyard-cli").string()), arguments);
        if (!cli.waitForStarted()) {
            return {};
        }
        std::string run;
        for (int i = 0; i < 60'000 && cli.state() == QProcess::Running; ++i) {
            for (const std::string& one : runs()) {
                run = std::find(known.begin(), known.end(), one) == known.end() ? one : run;
            }
            if (!run.empty() && when(run)) {
                break;
            }
            ::usleep(1000);
            cli.waitForFinished(0);
        }
        test::sendSignal(cli, SIGKILL);
        cli.waitForFinished(10'000);
        return run;
    }

    [[nodiscard]] std::vector<std::string> runs() const {
        std::vector<std::string> all;
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator(layout().runs(), error)) {
            all.push_back(entry.path().filename().string());
        }
        return all;
    }
    [[nodiscard]] std::vector<Json> journal(const std::string& run) const {
        const std::string bytes = base::readFile(layout().journal(base::RunId(run))).valueOr("");
        std::vector<Json> found;
        for (std::size_t at = 0, end = bytes.find('\n'); end != std::string::npos;
             at = end + 1, end = bytes.find('\n', at)) {
            if (auto record = base::parseJson(bytes.substr(at, end - at)); record.ok()) {
                found.push_back(std::move(*record));
            }
        }
        return found;
    }
    /// A record of that kind, or of a step of that name.
    [[nodiscard]] bool says(const std::string& run, const std::string& what) const {
        const auto all = journal(run);
        return std::any_of(all.begin(), all.end(), [&](const Json& one) {
            return one.value("kind", "") == what ||
                   (one.value("kind", "") == wire::kind::kUpload && one.value("step", "") == what);
        });
    }
    /// The run's end; the index may still have to find what the killed process only began.
    static Json watched(test::SessionDriver& driver, const std::string& run, int timeoutMillis) {
        if (!test::waitFor([&] { return driver.state(run) != "?"; }, timeoutMillis)) {
            return Json::object();
        }
        const Json ended = driver.watch(run, timeoutMillis);
        return ended.is_object() ? ended : Json{{"state", driver.lastError()}};
    }
    [[nodiscard]] std::vector<std::string> placedOn(const std::string& run) const {
        std::vector<std::string> hosts;
        for (const Json& one : journal(run)) {
            if (one.value("kind", "") == wire::kind::kPlaced) {
                hosts = one.at("hosts").get<std::vector<std::string>>();
            }
        }
        return hosts;
    }
    /// How often a script wrote its line, on all hosts or on one.
    [[nodiscard]] int count(const std::string& mark, int host = 0) const {
        std::ptrdiff_t lines = 0;
        for (int i = 1; i <= kHosts; ++i) {
            const std::string text = base::readFile(m_lab->home(i) / mark).valueOr("");
            lines += host == 0 || host == i ? std::count(text.begin(), text.end(), '\n') : 0;
        }
        return static_cast<int>(lines);
    }
    [[nodiscard]] std::vector<int> hostsWith(const std::string& run) const {
        std::vector<int> hosts;
        for (int i = 1; i <= kHosts; ++i) {
            if (std::filesystem::exists(wire::WorkLayout{m_lab->home(i) / kWork}.run(base::RunId(run)))) {
                hosts.push_back(i);
            }
        }
        return hosts;
    }

    test::ChildGuard m_guard;
    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<test::Lab> m_lab;
    base::Path m_workspace;
};

QTEST_GUILESS_MAIN(TestKillLaunch)
#include "tst_KillLaunch.moc"
