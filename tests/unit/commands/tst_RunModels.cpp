// Models that a run's records ask for: registered once each, whatever ranks and tries say, and a warning where one
// cannot be.
#include <QtTest>

#include "core/base/Hash.h"
#include "core/commands/RunModels.h"
#include "core/registry/Registry.h"
#include "tests/unit/store/StoreFixture.h"

using namespace trainyard;
using base::Json;
using store::test::record;

class TestRunModels : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void eachNameAndPath_onceAndWithItsStory() {
        store::test::Workspace workspace;
        const base::RunId run = workspace.addRun(7, "birds-7", Json{{"experiment", "birds"}});
        const Json birds{{"name", "birds"},
                         {"path", "model.pt"},
                         {"tags", {{"area", "birds"}, {"top", 1}}},
                         {"properties", {{"author", "somebody"}}},
                         {"framework", "PyTorch"},
                         {"description", "Two classes"}};
        workspace.stream(run, {record(wire::kind::kModel, birds, 10, 0), record(wire::kind::kModel, birds, 11, 1),
                               record(wire::kind::kModel, Json{{"name", "folder"}, {"path", "all/"}}, 12, 0)});
        const auto here = put(workspace, run, {{"model.pt", "weights"}, {"all/a", "a"}, {"all/b", "b"}});
        const auto done = registered(workspace, run, here);
        QCOMPARE(done.size(), std::size_t(2));
        QCOMPARE(done[0].kind, std::string(wire::kind::kRegistered));
        QCOMPARE(done[0].body.dump(), std::string(R"({"model":"birds","number":1,"path":"model.pt"})"));
        const registry::Registry models(workspace.layout);
        const Json card = models.card({"birds", 1}).valueOr(Json::object());
        QCOMPARE(card.at("run").get<std::string>(), run.str());
        QCOMPARE(card.at("run_number").get<int>(), 7);
        QCOMPARE(card.at("description").get<std::string>(), std::string("Two classes"));
        QCOMPARE(card.at("tags").dump(),
                 std::string(R"({"area":"birds","top":"1","properties.author":"somebody","framework":"PyTorch"})"));
        QCOMPARE(models.card({"folder", 1}).valueOr(Json::object()).at("files").size(), std::size_t(2));

        // The program died before the journal knew: the same versions are found again.
        const auto again = registered(workspace, run, here);
        QCOMPARE(again.size(), std::size_t(2));
        QCOMPARE(again[0].body.dump(), done[0].body.dump());
        QCOMPARE(models.versions("birds").size(), std::size_t(1));

        // Known to the journal, it stays away even when a person has deleted it since.
        workspace.journal(run, {record(wire::kind::kRegistered, done[0].body, 20),
                                record(wire::kind::kRegistered, done[1].body, 20)});
        QVERIFY(models.remove({"birds", 1}).ok());
        QVERIFY(registered(workspace, run, here).empty());
        QVERIFY(models.versions("birds").empty());
    }

    void anotherRun_isTheNextVersion() {
        store::test::Workspace workspace;
        for (const int number : {1, 2}) {
            const base::RunId run = workspace.addRun(number, "r");
            workspace.stream(run, {record(wire::kind::kModel, Json{{"name", "same"}, {"path", "m"}}, 10, 0)});
            const auto done =
                registered(workspace, run, put(workspace, run, {{"m", "content " + std::to_string(number)}}));
            QCOMPARE(done.size(), std::size_t(1));
            QCOMPARE(done[0].body.at("number").get<int>(), number);
        }
    }

    void whatCannotBe_isAWarning_data() {
        QTest::addColumn<QString>("body");
        QTest::addColumn<QString>("says");
        QTest::newRow("a name that is none") << R"({"name":"two words","path":"m"})"
                                             << "letters, digits";
        QTest::newRow("out of the outputs") << R"({"name":"a","path":"../../spec.json"})"
                                            << "no file or folder";
        QTest::newRow("from the root") << R"({"name":"a","path":"/etc/passwd"})"
                                       << "no file or folder";
        QTest::newRow("nothing there") << R"({"name":"a","path":"gone"})"
                                       << "gone";
        QTest::newRow("no path") << R"({"name":"a"})"
                                 << "no file or folder";
        QTest::newRow("no texts") << R"({"name":1,"path":["m"]})"
                                  << "letters, digits";
        QTest::newRow("changed since") << R"({"name":"a","path":"changed"})"
                                       << "SHA-256";
    }
    void whatCannotBe_isAWarning() {
        QFETCH(QString, body);
        QFETCH(QString, says);
        store::test::Workspace workspace;
        const base::RunId run = workspace.addRun(1, "r");
        workspace.stream(run, {record(wire::kind::kModel, base::parseJson(body.toStdString()).value(), 10, 0)});
        auto here = put(workspace, run, {{"m", "m"}, {"changed", "before"}});
        store::test::Workspace::write(workspace.layout.outputs(run) / "changed", "after");
        const auto done = registered(workspace, run, here);
        QCOMPARE(done.size(), std::size_t(1));
        QCOMPARE(done[0].kind, std::string(wire::kind::kWarning));
        QCOMPARE(done[0].body.at("code").get<std::string>(), std::string("model.not_registered"));
        QVERIFY2(done[0].body.at("message").get<std::string>().find(says.toStdString()) != std::string::npos,
                 done[0].body.dump().c_str());
        QVERIFY(registry::Registry(workspace.layout).names().empty());
    }

private:
    static std::vector<targets::OutputFile> put(const store::test::Workspace& workspace, const base::RunId& run,
                                                const std::vector<std::pair<std::string, std::string>>& files) {
        std::vector<targets::OutputFile> here;
        for (const auto& [path, bytes] : files) {
            store::test::Workspace::write(workspace.layout.outputs(run) / path, bytes);
            here.push_back({path, static_cast<std::int64_t>(bytes.size()), base::sha256Hex(bytes)});
        }
        return here;
    }
    /// What is registered once the index has caught up with the files.
    static std::vector<runs::JournalEntry> registered(const store::test::Workspace& workspace, const base::RunId& run,
                                                      const std::vector<targets::OutputFile>& here) {
        auto writer = store::Writer::open(workspace.location);
        if (!writer.ok() || !writer->catchUp().ok()) qFatal("the index could not be made");
        return commands::registerModelsOf(workspace.layout, workspace.location)(run, here,
                                                                                [](std::int64_t) { return true; });
    }
};

QTEST_GUILESS_MAIN(TestRunModels)
#include "tst_RunModels.moc"
