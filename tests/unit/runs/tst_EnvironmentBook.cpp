#include <QTest>
#include <thread>

#include "core/base/Files.h"
#include "core/environments/Curated.h"
#include "core/runs/EnvironmentBook.h"
#include "core/runs/TargetBook.h"
#include "core/runs/Workspace.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard;
using namespace trainyard::runs;
using base::Json;

namespace {

spec::EnvironmentSpec venv(const std::string& name, const std::vector<std::string>& requirements) {
    spec::EnvironmentSpec spec;
    spec.name = name;
    spec.venv.requirements = requirements;
    return spec;
}

}  // namespace

class TestEnvironmentBook : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        m_layout = initWorkspace(*m_scratch / "w", "").value().layout;
    }

    void versions_areKept() {
        QCOMPARE(writeEnvironment(m_layout, venv("mine", {"a"})).value(), 1);
        QCOMPARE(writeEnvironment(m_layout, venv("mine", {"a", "b"})).value(), 2);
        QCOMPARE(readEnvironment(m_layout, "mine")->version, 2);
        QCOMPARE(readEnvironment(m_layout, "mine")->versions, (std::vector<int>{1, 2}));
        const auto first = readEnvironment(m_layout, "mine:1");
        QVERIFY(first.ok());
        QCOMPARE(first->spec.venv.requirements, std::vector<std::string>{"a"});
        QCOMPARE(first->pinned(), "mine:1");
        QVERIFY(first->writtenAt > 0);
        QCOMPARE(readEnvironment(m_layout, "mine:3").error().code, "environment.unknown");
        QCOMPARE(readEnvironment(m_layout, "other").error().code, "environment.unknown");
        QCOMPARE(readEnvironment(m_layout, "../mine").error().code, "spec.name");
        QVERIFY(removeEnvironment(m_layout, "mine").ok());
        QCOMPARE(readEnvironment(m_layout, "mine:1").error().code, "environment.unknown");
        QCOMPARE(removeEnvironment(m_layout, "mine").error().code, "environment.unknown");
        QCOMPARE(removeEnvironment(m_layout, "..").error().code, "environment.unknown");
        for (const EnvironmentDefinition& one : readEnvironments(m_layout)) QVERIFY(one.curated);
        // Kept runs name mine:1 and mine:2, which must never become something else.
        QCOMPARE(writeEnvironment(m_layout, venv("mine", {"c"})).value(), 3);
        QCOMPARE(readEnvironment(m_layout, "mine")->versions, std::vector<int>{3});
        QCOMPARE(readEnvironment(m_layout, "mine:1").error().code, "environment.unknown");
    }

    void curated_areThereAndStay() {
        const auto all = readEnvironments(m_layout);
        QVERIFY(all.size() >= 5);
        QCOMPARE(all.front().spec.name, environments::kDefaultEnvironment);
        for (const EnvironmentDefinition& one : all) {
            QVERIFY(one.curated && one.version >= 1 && !one.spec.description.empty());
            QVERIFY(one.spec.name.starts_with(spec::kCuratedPrefix));
            QVERIFY(spec::validateEnvironmentSpec(spec::toJson(one.spec)).empty());
            QCOMPARE(readEnvironment(m_layout, one.pinned())->spec.name, one.spec.name);
        }
        QCOMPARE(writeEnvironment(m_layout, venv("trainyard-mine", {"a"})).error().code, "environment.reserved");
        QCOMPARE(removeEnvironment(m_layout, "trainyard-engine").error().code, "environment.reserved");
        QCOMPARE(readEnvironment(m_layout, "trainyard-nothing").error().code, "environment.unknown");
        // A folder of such a name is nobody's.
        m_scratch->write("w/environments/trainyard-engine/9.json", "{}");
        QCOMPARE(readEnvironment(m_layout, "trainyard-engine")->version, 1);
        QCOMPARE(readEnvironments(m_layout).size(), all.size());
    }

    void damaged_areNamedAndLeftOut() {
        QVERIFY(writeEnvironment(m_layout, venv("good", {"a"})).ok());
        m_scratch->write("w/environments/bad/1.json", "{\"format\":");
        m_scratch->write("w/environments/liar/1.json", base::dumpJson(spec::toJson(venv("another", {"a"}))));
        m_scratch->write("w/environments/empty/notes.txt", "x");
        std::vector<base::Error> problems;
        const auto all = readEnvironments(m_layout, &problems);
        QCOMPARE(all.back().spec.name, "good");
        QCOMPARE(problems.size(), 2U);
        QVERIFY(problems[0].message.find("bad") != std::string::npos);
        QCOMPARE(problems[1].code, "environment.damaged");
    }

    void invalid_isNotWritten() {
        QCOMPARE(writeEnvironment(m_layout, venv("mine", {"a; touch x"})).error().code, "environment.requirement");
        QVERIFY(!std::filesystem::exists(m_layout.environments() / "mine"));
    }

    /// Two processes that save at once get two versions, and neither is lost.
    void writers_atOnce() {
        constexpr int kWriters = 8;
        std::vector<std::thread> threads;
        std::vector<int> versions(kWriters);
        for (int i = 0; i < kWriters; ++i) {
            threads.emplace_back([&, i] {
                versions[static_cast<std::size_t>(i)] =
                    writeEnvironment(m_layout, venv("mine", {"p" + std::to_string(i)})).valueOr(0);
            });
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
        std::sort(versions.begin(), versions.end());
        QCOMPARE(versions, (std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8}));
        QCOMPARE(readEnvironment(m_layout, "mine")->versions.size(), 8U);
    }

    void training_needsAnEngine() {
        spec::RunSpec run;
        QVERIFY(environmentOf(m_layout, run).ok());
        run.environment = "trainyard-engine-cuda:1";
        QVERIFY(environmentOf(m_layout, run).ok());
        run.environment = "trainyard-shell";
        QCOMPARE(environmentOf(m_layout, run).error().code, "environment.not_engine");
        run.taskKind = spec::TaskKind::Command;
        QVERIFY(environmentOf(m_layout, run).ok());
        run.environment = "nowhere";
        QCOMPARE(environmentOf(m_layout, run).error().code, "environment.unknown");
    }

    void facts_ofATarget() {
        QCOMPARE(targetFacts(m_layout, "local").examined, false);
        const Json doctor{{"t", 1},
                          {"lines", Json::array({Json{{"id", "python"},
                                                      {"host", ""},
                                                      {"finding", "ok"},
                                                      {"text", "3.11"},
                                                      {"values", {{"path", "/usr/bin/python3"}}}}})}};
        QVERIFY(writeTargetDoctor(m_layout, "local", doctor).ok());
        const auto facts = targetFacts(m_layout, "local");
        QVERIFY(facts.examined);
        QCOMPARE(facts.hosts.at(0).pythonPath, "/usr/bin/python3");
        QCOMPARE(targetFacts(m_layout, "unknown").python, "python3");
    }

private:
    std::unique_ptr<test::Scratch> m_scratch;
    wire::WorkspaceLayout m_layout;
};

QTEST_GUILESS_MAIN(TestEnvironmentBook)
#include "tst_EnvironmentBook.moc"
