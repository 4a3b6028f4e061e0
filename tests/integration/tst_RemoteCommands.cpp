// The actions of a target and of its runs as every face calls them, on a real host whose cable can be pulled: get or
// create, refused deletion, waiting until it is ready, deleting a run whose rest is out of reach.
#include <QTest>

#include "core/spec/TargetSpec.h"
#include "tests/helpers/Lab.h"
#include "tests/helpers/Skip.h"
#include "tests/integration/SessionDriver.h"

using namespace trainyard;
using base::Json;

namespace {

Json labDocument(const std::string& host = "node1") {
    return Json{{"format", spec::kTargetSpecFormat},
                {"version", spec::kTargetSpecVersion},
                {"name", "lab"},
                {"kind", "ssh"},
                {"hosts", Json::array({{{"destination", host}}})},
                {"connect_seconds", 3},
                {"alive_seconds", 1}};
}

}  // namespace

class TestRemoteCommands : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        if (const std::string missing = test::Lab::missing(); !missing.empty()) TRAINYARD_SKIP(missing.c_str());
        m_lab = std::make_unique<test::Lab>();
        QVERIFY2(m_lab->up(), m_lab->error().c_str());
        m_driver = std::make_unique<test::SessionDriver>();
        const base::Path folder = *m_scratch / "w";
        QVERIFY(m_driver->run("workspace.init", {{"folder", folder.string()}}).ok());
        QVERIFY(m_driver->run("workspace.open", {{"folder", folder.string()}}).ok());
    }
    void cleanupTestCase() {
        m_driver.reset();
        m_lab.reset();
    }

    void getOrCreate_makesOneOnce() {
        const Json made = m_driver->get("target.add", {{"spec", labDocument()}, {"get_or_create", true}});
        QVERIFY2(made.is_object(), m_driver->lastError().c_str());
        QCOMPARE(made.at("created").get<bool>(), true);
        const Json again = m_driver->get("target.add", {{"spec", labDocument()}, {"get_or_create", true}});
        QVERIFY2(again.is_object(), m_driver->lastError().c_str());
        QCOMPARE(again.at("created").get<bool>(), false);
        QCOMPARE(again.at("version"), made.at("version"));
        for (const bool getOrCreate : {false, true}) {
            const auto other =
                m_driver->run("target.add", {{"spec", labDocument("node2")}, {"get_or_create", getOrCreate}});
            QCOMPARE(other.ok() ? "" : other.error().code,
                     std::string(getOrCreate ? "target.differs" : "target.exists"));
            QCOMPARE(other.error().field, std::string("name"));
        }
    }

    /// Nobody answers at first; whoever waits is told when somebody does.
    void wait_untilItIsReady() {
        QVERIFY(m_lab->cut(1));
        const auto never = m_driver->run("target.wait", {{"target", "lab"}, {"seconds", 1}}, 60'000);
        QCOMPARE(never.ok() ? "" : never.error().code, std::string("target.unreachable"));
        std::optional<base::Result<Json>> answer;
        QObject context;
        m_driver->session().start("target.wait", {{"target", "lab"}, {"seconds", 120}}, &context,
                                  [&](const base::Result<Json>& result) { answer = result; });
        QTest::qWait(1000);
        QVERIFY(!answer);
        QVERIFY(m_lab->heal(1));
        QVERIFY(test::waitFor([&] { return answer.has_value(); }, 90'000));
        QVERIFY2(answer->ok(), answer->ok() ? "" : answer->error().message.c_str());
        QCOMPARE((*answer)->at("reach").at("state").get<std::string>(), std::string("connected"));
    }

    void delete_isRefusedWhileRunsUseIt() {
        const std::string run = m_driver->submit("echo up; exec sleep 331", {{"target", "lab"}});
        QVERIFY2(!run.empty(), m_driver->lastError().c_str());
        QVERIFY(m_driver->waitForState(run, "Running", 60'000));
        const auto refused = m_driver->run("target.delete", {{"target", "lab"}});
        QCOMPARE(refused.ok() ? "" : refused.error().code, std::string("target.in_use"));
        QVERIFY2(refused.error().message.starts_with("1 run uses"), refused.error().message.c_str());
        QVERIFY(m_driver->run("run.cancel", {{"run", run}}).ok());
        QCOMPARE(m_driver->watch(run, 60'000).value("state", "?"), "Canceled");
        QVERIFY(m_driver->run("target.clone", {{"target", "lab"}, {"name", "copy"}}).ok());
        QVERIFY(m_driver->run("target.delete", {{"target", "copy"}}).ok());
        QCOMPARE(m_driver->run("target.show", {{"target", "copy"}}).error().code, std::string("target.unknown"));
    }

    /// The rest of a run that was given up is out of reach: nothing goes unasked; what is chosen is done at once,
    /// however long nobody answers there.
    void deleteOfARun_whoseRestIsOutOfReach_data() {
        QTest::addColumn<QString>("way");
        QTest::newRow("later") << QStringLiteral("later");
        QTest::newRow("left there") << QStringLiteral("leave");
    }
    void deleteOfARun_whoseRestIsOutOfReach() {
        QFETCH(QString, way);
        const base::RunId run(m_driver->submit("echo up; exec sleep 332", {{"target", "lab"}}));
        QVERIFY(run.isValid());
        QVERIFY(m_driver->waitForState(run.str(), "Running", 60'000));
        const auto there = [&] {
            return std::filesystem::exists(wire::WorkLayout{m_lab->home(1) / ".local/share/trainyard/work"}.run(run));
        };
        QVERIFY(there());
        QVERIFY(m_lab->cut(1));
        QVERIFY(m_driver->waitForState(run.str(), "Lost", 60'000));
        QVERIFY2(m_driver->run("run.give-up", {{"run", run.str()}}).ok(), m_driver->lastError().c_str());
        QVERIFY(m_driver->waitForState(run.str(), "Canceled", 30'000));
        const auto asked = m_driver->run("run.delete", {{"run", run.str()}}, 90'000);
        QCOMPARE(asked.ok() ? "" : asked.error().code, std::string("run.target_unreachable"));
        QCOMPARE(m_driver->state(run.str()), std::string("Canceled"));
        const auto chosen = m_driver->run("run.delete", {{"run", run.str()}, {"target", way.toStdString()}}, 90'000);
        QVERIFY2(chosen.ok(), chosen.ok() ? "" : chosen.error().message.c_str());
        QCOMPARE(m_driver->run("run.show", {{"run", run.str()}}).error().code, std::string("store.run_unknown"));
        QVERIFY(there());
        QVERIFY(m_lab->heal(1));
        if (way == u"later") {
            QVERIFY(test::waitFor([&] { return !there(); }, 90'000));
            const auto left = m_lab->run(1, {"pgrep", "-f", "sleep 332"});
            QVERIFY2(left.exitCode != 0, left.out.c_str());
        } else {
            QVERIFY(m_driver->run("target.wait", {{"target", "lab"}, {"seconds", 60}}, 90'000).ok());
            QTest::qWait(500);
            QVERIFY(there());
        }
    }

private:
    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<test::Lab> m_lab;
    std::unique_ptr<test::SessionDriver> m_driver;
};

QTEST_GUILESS_MAIN(TestRemoteCommands)
#include "tst_RemoteCommands.moc"
