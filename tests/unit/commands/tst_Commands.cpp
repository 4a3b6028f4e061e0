#include <sys/stat.h>

#include <QProcess>
#include <QSignalSpy>
#include <QTest>
#include <atomic>
#include <optional>
#include <set>
#include <thread>

#include "core/commands/Command.h"
#include "core/commands/ReaderPool.h"
#include "core/commands/Session.h"
#include "core/spec/RunSpec.h"
#include "core/store/Reader.h"
#include "core/store/Writer.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Wait.h"

using namespace trainyard;
using namespace trainyard::commands;

class TestCommands : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        m_session = std::make_unique<Session>();
    }
    void cleanup() { m_session.reset(); }

    void table_idsAreUniqueAndDescribed() {
        std::set<std::string> ids;
        for (const CommandInfo* info : allCommands().all()) {
            QVERIFY2(ids.insert(info->id).second, info->id.c_str());
            QVERIFY2(!info->title.empty() && !info->help.empty(), info->id.c_str());
            for (const spec::Field& field : info->parameters) {
                QVERIFY2(!field.label.empty(), (info->id + " " + field.path).c_str());
                QVERIFY2(!(field.required && !field.defaultValue.is_null()), (info->id + " " + field.path).c_str());
            }
            const auto command = allCommands().make(info->id, *m_session);
            QVERIFY(command != nullptr);
            QVERIFY(command->state() == Command::State::Ready);
        }
        for (const char* id : {"workspace.init", "workspace.open", "run.submit", "run.check", "run.list", "run.show",
                               "run.logs", "run.watch", "run.cancel", "run.resume", "run.duplicate", "run.rename",
                               "run.tag", "run.notes", "run.archive", "run.delete", "run.download"}) {
            QVERIFY2(allCommands().find(id) != nullptr, id);
        }
    }

    void start_finishesLaterAndOnce() {
        Command* command = m_session->start("workspace.recent", base::Json::object());
        QSignalSpy finished(command, &Command::finished);
        QVERIFY(command->state() == Command::State::Running);
        QVERIFY(test::waitFor([&] { return !finished.isEmpty(); }));
        QTest::qWait(20);
        QCOMPARE(finished.size(), 1);
    }

    void start_unknown() { QCOMPARE(run("run.fly", base::Json::object()).error().code, "command.unknown"); }

    void start_withoutWorkspace() {
        const auto result = run("run.list", base::Json::object());
        QCOMPARE(result.error().code, "workspace.none");
    }

    void parameters_areCheckedBeforeTheWork_data() {
        QTest::addColumn<QByteArray>("action");
        QTest::addColumn<QByteArray>("parameters");
        QTest::addColumn<QByteArray>("code");
        QTest::addColumn<QByteArray>("field");
        const auto row = [](const char* action, const char* parameters, const char* code, const char* field) {
            QTest::addRow("%s %s", action, parameters)
                << QByteArray(action) << QByteArray(parameters) << QByteArray(code) << QByteArray(field);
        };
        row("workspace.init", "{}", "spec.required", "folder");
        row("workspace.init", R"({"folder":7})", "spec.type", "folder");
        row("workspace.init", R"({"folder":"x","colour":"red"})", "spec.unknown", "colour");
        row("run.list", R"({"limit":0})", "spec.range", "limit");
        row("run.list", R"({"archived":"maybe"})", "spec.choice", "archived");
        row("run.submit", "{}", "spec.required", "spec");
        row("run.submit", R"({"spec":"text"})", "spec.required", "spec");
        row("run.show", "[]", "spec.type", "");
    }
    void parameters_areCheckedBeforeTheWork() {
        QFETCH(QByteArray, action);
        QFETCH(QByteArray, parameters);
        QFETCH(QByteArray, code);
        QFETCH(QByteArray, field);
        const auto result = run(action.toStdString(), base::parseJson(parameters.toStdString()).value());
        QVERIFY(!result.ok());
        QCOMPARE(result.error().code, code.toStdString());
        QCOMPARE(result.error().field, field.toStdString());
    }

    void workspace_initOpenSwitchClose() {
        const std::string one = (*m_scratch / "one").string();
        const std::string two = (*m_scratch / "two").string();
        QSignalSpy opened(m_session.get(), &Session::workspaceOpened);
        QSignalSpy closed(m_session.get(), &Session::workspaceClosed);
        QVERIFY(run("workspace.init", {{"folder", one}, {"name", "First"}}).ok());
        QVERIFY(m_session->isOpen());
        QCOMPARE(m_session->workspace().name, "First");
        QVERIFY(run("workspace.init", {{"folder", two}}).ok());
        QCOMPARE(m_session->workspace().layout.root.string(), two);
        QCOMPARE(closed.size(), 1);
        QVERIFY(run("workspace.open", {{"folder", one}}).ok());
        QCOMPARE(opened.size(), 3);
        const auto recent = run("workspace.recent", base::Json::object());
        QCOMPARE(recent->at("workspaces").size(), std::size_t{2});
        QCOMPARE(recent->at("workspaces").at(0).at("root").get<std::string>(), one);
        QVERIFY(run("workspace.close", base::Json::object()).ok());
        QVERIFY(!m_session->isOpen());
        // Without a folder: the last one.
        QCOMPARE(run("workspace.open", base::Json::object())->at("root").get<std::string>(), one);
        const auto shown = run("workspace.show", base::Json::object());
        QCOMPARE(shown->at("runs").at("all").get<int>(), 0);
        QVERIFY(shown->at("disk_free_bytes").get<std::int64_t>() > 0);
    }

    void workspace_openFailsWithTheField() {
        const auto none = run("workspace.open", {{"folder", (*m_scratch / "nothing").string()}});
        QCOMPARE(none.error().code, "workspace.none");
        QCOMPARE(none.error().field, "folder");
        QVERIFY(!m_session->isOpen());
        QCOMPARE(run("workspace.open", base::Json::object()).error().code, "workspace.none");
    }

    void workspace_newerIndexIsRefused() {
        const std::string folder = (*m_scratch / "w").string();
        QVERIFY(run("workspace.init", {{"folder", folder}}).ok());
        QVERIFY(run("workspace.close", base::Json::object()).ok());
        const std::string script =
            "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); c.execute('PRAGMA user_version=999'); c.commit()";
        QCOMPARE(QProcess::execute(QStringLiteral("python3"), {QStringLiteral("-c"), QString::fromStdString(script),
                                                               QString::fromStdString(folder + "/history.sqlite")}),
                 0);
        const auto opened = run("workspace.open", {{"folder", folder}});
        QCOMPARE(opened.error().code, "store.newer");
        QVERIFY(opened.error().message.find("999") != std::string::npos);
    }

    void workspace_corruptIndexIsMadeAnew() {
        const std::string folder = (*m_scratch / "w").string();
        QVERIFY(run("workspace.init", {{"folder", folder}}).ok());
        QVERIFY(run("workspace.close", base::Json::object()).ok());
        for (const char* beside : {"w/history.sqlite-wal", "w/history.sqlite-shm"}) {
            QVERIFY(base::removeTree(*m_scratch / beside).ok());
        }
        std::string bytes = m_scratch->read("w/history.sqlite");
        QVERIFY(bytes.size() > 8192);
        std::fill(bytes.begin() + 100, bytes.begin() + 4096, '?');  // The schema's page, behind the file's header.
        m_scratch->write("w/history.sqlite", bytes);
        QSignalSpy troubled(m_session.get(), &Session::troubled);
        const auto opened = run("workspace.open", {{"folder", folder}});
        QVERIFY2(opened.ok(), opened.ok() ? "" : opened.error().code.c_str());
        QVERIFY(test::waitFor([&] { return !troubled.isEmpty(); }));
        QCOMPARE(troubled.at(0).at(0).toString(), QStringLiteral("store.rebuilt"));
        QVERIFY(run("workspace.show", base::Json::object()).ok());
    }

    void workspace_indexThatIsNoneOfOursIsLeftAlone() {
        const std::string folder = (*m_scratch / "w").string();
        QVERIFY(run("workspace.init", {{"folder", folder}}).ok());
        QVERIFY(run("workspace.close", base::Json::object()).ok());
        for (const char* name : {"w/history.sqlite", "w/history.sqlite-wal", "w/history.sqlite-shm"}) {
            QVERIFY(base::removeTree(*m_scratch / name).ok());
        }
        const std::string script =
            "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); c.execute('CREATE TABLE mine (a)'); c.commit()";
        QCOMPARE(QProcess::execute(QStringLiteral("python3"), {QStringLiteral("-c"), QString::fromStdString(script),
                                                               QString::fromStdString(folder + "/history.sqlite")}),
                 0);
        const std::string before = m_scratch->read("w/history.sqlite");
        QCOMPARE(run("workspace.open", {{"folder", folder}}).error().code, "store.foreign");
        QCOMPARE(m_scratch->read("w/history.sqlite"), before);
    }

    void workspace_sampleIsReadyToStart() {
        // Files of the sample's own, so that the test does not need the package.
        for (const char* name : {"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
                                 "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"}) {
            m_scratch->write(std::string("images/") + name, "x");
        }
        qputenv("TRAINYARD_FASHION_MNIST", QByteArray::fromStdString((*m_scratch / "images").string()));
        const auto made = run("workspace.init", {{"folder", (*m_scratch / "w").string()}, {"sample", true}});
        QVERIFY2(made.ok(), made.ok() ? "" : made.error().message.c_str());
        const auto drafts = run("workspace.drafts", base::Json::object());
        QCOMPARE(drafts->at("drafts").size(), std::size_t{1});
        QVERIFY(drafts->at("problems").empty());
        const base::Json& draft = drafts->at("drafts").at(0);
        QCOMPARE(draft.at("id").get<std::string>(), "fashion-mnist");
        QVERIFY(spec::validateRunSpec(draft.at("spec")).empty());
        qputenv("TRAINYARD_FASHION_MNIST", QByteArray::fromStdString((*m_scratch / "elsewhere").string()));
        QCOMPARE(run("workspace.sample", base::Json::object()).error().code, "sample.missing");
        // Again, on a workspace that has it: opened, and nothing is touched.
        m_scratch->write("w/views/drafts/fashion-mnist.json", "{}");
        const base::Json again{{"folder", (*m_scratch / "w").string()}, {"sample", true}};
        QVERIFY(run("workspace.init", again).ok());
        QVERIFY(m_session->isOpen());
        QCOMPARE(m_scratch->read("w/views/drafts/fashion-mnist.json"), std::string("{}"));
        // What is missing is added.
        std::filesystem::remove(*m_scratch / "w/views/drafts/fashion-mnist.json");
        QCOMPARE(run("workspace.init", again).error().code, "sample.missing");
        qputenv("TRAINYARD_FASHION_MNIST", QByteArray::fromStdString((*m_scratch / "images").string()));
        QVERIFY(run("workspace.init", again).ok());
        QVERIFY(m_scratch->read("w/views/drafts/fashion-mnist.json").size() > 100);
        // Not without the sample.
        QCOMPARE(run("workspace.init", {{"folder", again["folder"]}}).error().code, "workspace.exists");
        qunsetenv("TRAINYARD_FASHION_MNIST");
        m_scratch->write("w/views/drafts/broken.json", "{");
        QCOMPARE(run("workspace.drafts", base::Json::object())->at("problems").size(), std::size_t{1});
    }

    void query_newestWins() {
        QVERIFY(run("workspace.init", {{"folder", (*m_scratch / "w").string()}}).ok());
        QObject context;
        std::atomic<int> worked = 0;
        std::vector<int> answers;
        for (int i = 0; i < 20; ++i) {
            m_session->query(
                &context, QStringLiteral("key"),
                [i, &worked](store::Reader&) -> base::Result<int> {
                    ++worked;
                    std::this_thread::sleep_for(std::chrono::milliseconds(5));
                    return i;
                },
                [&answers](const base::Result<int>& answer) { answers.push_back(answer.value()); });
        }
        QVERIFY(test::waitFor([&] { return !answers.empty(); }));
        QTest::qWait(60);
        QCOMPARE(answers, std::vector<int>{19});
        QVERIFY(worked < 10);
    }

    void query_otherKeysAndContextsAreLeftAlone() {
        QVERIFY(run("workspace.init", {{"folder", (*m_scratch / "w").string()}}).ok());
        QObject one;
        auto two = std::make_unique<QObject>();
        int answers = 0;
        int dropped = 0;
        const auto work = [](store::Reader& index) { return index.counts(); };
        m_session->query(&one, QStringLiteral("a"), work, [&](const auto&) { ++answers; });
        m_session->query(&one, QStringLiteral("b"), work, [&](const auto&) { ++answers; });
        m_session->query(two.get(), QStringLiteral("a"), work, [&](const auto&) { ++dropped; });
        two.reset();
        QVERIFY(test::waitFor([&] { return answers == 2; }));
        QTest::qWait(50);
        QCOMPARE(dropped, 0);
    }

    void query_withoutWorkspace() {
        QObject context;
        std::optional<std::string> code;
        m_session->query(
            &context, QStringLiteral("a"), [](store::Reader& index) { return index.counts(); },
            [&](const base::Result<store::Counts>& counts) { code = counts.error().code; });
        QVERIFY(!code);
        QVERIFY(test::waitFor([&] { return code.has_value(); }));
        QCOMPARE(*code, "workspace.none");
    }

    void write_runsInOrder() {
        QVERIFY(run("workspace.init", {{"folder", (*m_scratch / "w").string()}}).ok());
        std::vector<std::int64_t> numbers;
        for (int i = 0; i < 5; ++i) {
            m_session->write(
                this, [](store::Writer& writer) { return writer.takeNumber(); },
                [&](const base::Result<std::int64_t>& number) { numbers.push_back(number.value()); });
        }
        QVERIFY(test::waitFor([&] { return numbers.size() == 5; }));
        QCOMPARE(numbers, (std::vector<std::int64_t>{1, 2, 3, 4, 5}));
    }

    void close_endsWhatWaits() {
        QVERIFY(run("workspace.init", {{"folder", (*m_scratch / "w").string()}}).ok());
        std::optional<base::Result<base::Json>> answer;
        Command* command = m_session->start("workspace.show", base::Json::object());
        connect(command, &Command::finished, this, [&](const base::Result<base::Json>& result) { answer = result; });
        m_session->closeWorkspace();
        QVERIFY(test::waitFor([&] { return answer.has_value(); }));
        QCOMPARE(answer->error().code, "workspace.closed");
    }

    void runActions_nameAnUnknownRun() {
        QVERIFY(run("workspace.init", {{"folder", (*m_scratch / "w").string()}}).ok());
        for (const char* action : {"run.show", "run.logs", "run.watch", "run.cancel", "run.delete", "run.resume",
                                   "run.duplicate", "run.archive", "run.notes"}) {
            const auto result = run(action, {{"run", "99"}});
            QCOMPARE(result.error().code, "store.run_unknown");
            QCOMPARE(result.error().field, "run");
        }
    }

private:
    base::Result<base::Json> run(std::string_view id, base::Json parameters) {
        std::optional<base::Result<base::Json>> answer;
        m_session->start(id, std::move(parameters), this,
                         [&](const base::Result<base::Json>& result) { answer = result; });
        if (!test::waitFor([&] { return answer.has_value(); }, 15'000)) {
            return base::Error{"test.timeout", "No answer came."};
        }
        return *answer;
    }

    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<Session> m_session;
};

QTEST_GUILESS_MAIN(TestCommands)
#include "tst_Commands.moc"
