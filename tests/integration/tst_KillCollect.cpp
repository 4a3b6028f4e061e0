// The program that follows a run is killed while outputs come in, are compared, are written down: whoever comes next
// finds what the journal says, and ends it once.
#include <signal.h>
#include <unistd.h>

#include <QElapsedTimer>
#include <QProcess>
#include <QTest>
#include <algorithm>
#include <map>

#include "core/base/Hash.h"
#include "core/spec/RunState.h"
#include "core/wire/Layout.h"
#include "core/wire/RunStream.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Signal.h"
#include "tests/integration/SessionDriver.h"

using namespace trainyard;
using base::Json;

namespace {

constexpr int kFiles = 40;

/// Forty files of half a megabyte each, told apart by their first line, and a metric.
const std::string kScript =
    "i=0; while [ $i -lt 40 ]; do (echo \"file $i\"; head -c 500000 /dev/zero) > \"$TRAINYARD_OUTPUTS/f$i.bin\"; "
    "i=$((i+1)); done; echo '{\"kind\":\"metric\",\"name\":\"loss\",\"value\":0.5,\"step\":1}' >> "
    "\"$TRAINYARD_STREAM\"";

std::string contentOf(int file) { return "file " + std::to_string(file) + "\n" + std::string(500'000, '\0'); }

}  // namespace

class TestKillCollect : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        m_workspace = *m_scratch / "w";
        QCOMPARE(test::cli(m_workspace, {"workspace", "init", m_workspace.string()}).exitCode, 0);
    }
    void cleanup() { QVERIFY2(m_guard.noneLeft(15'000), m_guard.report().c_str()); }

    void killedAtAnyMoment_theJournalTellsTheTruth() {
        // One without a kill: the moments are shares of what the end takes on this machine.
        const Json whole = told({"run", "submit", "--wait", "--json", "--", "sh", "-c", kScript});
        QVERIFY(whole.is_object());
        const std::int64_t wholeMillis = endMillisOf(whole.at("run").get<std::string>());
        constexpr int kTries = 10;
        std::vector<std::string> runs;
        for (int i = 0; i < kTries; ++i) {
            // Reproductions: their end has one step more.
            const Json made =
                told(i % 2 == 0 ? std::vector<std::string>{"run", "submit", "--json", "--", "sh", "-c", kScript}
                                : std::vector<std::string>{"run", "reproduce", "--json", "1"});
            QVERIFY(made.is_object());
            const std::string run = made.at("run").get<std::string>();
            runs.push_back(run);
            QProcess cli;
            cli.start(QString::fromStdString(test::builtProgram("trainyard-cli").string()),
                      {QStringLiteral("--workspace"), QString::fromStdString(m_workspace.string()),
                       QStringLiteral("run"), QStringLiteral("wait"), QString::fromStdString(run)});
            QVERIFY(cli.waitForStarted());
            QVERIFY(test::waitFor([&] { return says(run, "ended", true) || isOver(run); }, 60'000));
            ::usleep(static_cast<useconds_t>(std::max<std::int64_t>(1, wholeMillis) * 1000 * i / kTries));
            test::sendSignal(cli, SIGKILL);
            QVERIFY(cli.waitForFinished(30'000));
            expectTruth(run);
        }
        test::SessionDriver driver;
        QVERIFY(driver.run("workspace.open", Json{{"folder", m_workspace.string()}}).ok());
        for (const std::string& run : runs) {
            const Json ended = driver.watch(run, 120'000);
            QCOMPARE(ended.value("state", "?"), "Completed");
            expectTruth(run);
            QCOMPARE(count(run, wire::kind::kCollected), 1);
            QCOMPARE(finalStates(run), 1);
            for (int file = 0; file < kFiles; ++file) {
                QVERIFY(base::readFile(outputs(run) / ("f" + std::to_string(file) + ".bin")).valueOr("") ==
                        contentOf(file));
            }
            const bool repeats = !ended.at("reproduces").is_null();
            QCOMPARE(count(run, wire::kind::kReproduced), repeats ? 1 : 0);
            QVERIFY(!repeats || ended.at("reproduced").at("same").at("points") == Json(true));
        }
    }

private:
    /// The result of a call that has --json in front of the run's own arguments.
    Json told(std::vector<std::string> arguments) {
        const auto parsed = base::parseJson(test::cli(m_workspace, std::move(arguments), 120'000).out);
        return parsed.ok() && parsed->contains("result") ? parsed->at("result") : Json();
    }
    [[nodiscard]] base::Path outputs(const std::string& run) const {
        return wire::WorkspaceLayout{m_workspace}.outputs(base::RunId(run));
    }

    /// Records of the journal, or of the copy of the only stream.
    [[nodiscard]] std::vector<Json> records(const std::string& run, bool ofStream) const {
        const wire::WorkspaceLayout layout{m_workspace};
        const base::Path file =
            ofStream ? layout.stream(base::RunId(run), 1, 0) / wire::segmentName(1) : layout.journal(base::RunId(run));
        const std::string bytes = base::readFile(file).valueOr("");
        std::vector<Json> found;
        for (std::size_t at = 0, end = bytes.find('\n'); end != std::string::npos;
             at = end + 1, end = bytes.find('\n', at)) {
            if (auto record = base::parseJson(bytes.substr(at, end - at)); record.ok()) {
                found.push_back(std::move(*record));
            }
        }
        return found;
    }
    [[nodiscard]] int count(const std::string& run, std::string_view kind, bool ofStream = false) const {
        const auto all = records(run, ofStream);
        return static_cast<int>(
            std::count_if(all.begin(), all.end(), [&](const Json& one) { return one.value("kind", "") == kind; }));
    }
    [[nodiscard]] bool says(const std::string& run, std::string_view kind, bool ofStream) const {
        return count(run, kind, ofStream) > 0;
    }
    [[nodiscard]] int finalStates(const std::string& run) const {
        const auto all = records(run, false);
        return static_cast<int>(std::count_if(all.begin(), all.end(), [](const Json& one) {
            const auto state = spec::runStateFromString(one.value("state", ""));
            return one.value("kind", "") == wire::kind::kState && state && spec::isFinal(*state);
        }));
    }
    [[nodiscard]] bool isOver(const std::string& run) const { return finalStates(run) > 0; }

    /// From the agents' last word to the journal's, by their own times.
    [[nodiscard]] std::int64_t endMillisOf(const std::string& run) const {
        std::int64_t ended = 0, last = 0;
        for (const Json& one : records(run, true)) {
            ended = one.value("kind", "") == wire::kind::kEnded ? one.value("t", std::int64_t{0}) : ended;
        }
        for (const Json& one : records(run, false)) {
            last = one.value("t", std::int64_t{0});
        }
        return (last - ended) / 1000;
    }

    /// What is called collected is here, whole; an end is never written before it, and nothing is written after one.
    void expectTruth(const std::string& run) {
        bool collected = false, over = false;
        for (const Json& one : records(run, false)) {
            QVERIFY2(!over, base::dumpJson(one).c_str());
            if (one.value("kind", "") == wire::kind::kCollected) {
                collected = true;
                QCOMPARE(one.at("outputs").size(), std::size_t{kFiles});
                for (const Json& file : one.at("outputs")) {
                    QCOMPARE(base::sha256File(outputs(run) / file.at("path").get<std::string>()).valueOr(""),
                             file.at("sha256").get<std::string>());
                }
            }
            const auto state = spec::runStateFromString(one.value("state", ""));
            over = one.value("kind", "") == wire::kind::kState && state && spec::isFinal(*state);
        }
        QVERIFY(!over || collected);
    }

    test::ChildGuard m_guard;
    std::unique_ptr<test::Scratch> m_scratch;
    base::Path m_workspace;
};

QTEST_GUILESS_MAIN(TestKillCollect)
#include "tst_KillCollect.moc"
