#include <QtTest>
#include <random>

#include "tests/unit/store/StoreFixture.h"

using namespace trainyard;
using namespace trainyard::store;
using namespace trainyard::store::test;

namespace {

/// A run as eventful as they come: two attempts, two nodes, edits in between, damage, a torn end.
class Life {
public:
    Life(Workspace& workspace, std::int64_t number, unsigned seed)
        : m_workspace(workspace), m_random(seed),
          m_run(workspace.addRun(
              number, number % 3 == 0 ? "" : "run " + std::to_string(number),
              Json{{"experiment", number % 2 == 0 ? "even" : "odd"}, {"tags", Json{{"seed", seed}}}})) {}

    [[nodiscard]] const RunId& run() const { return m_run; }

    /// Writes some more records somewhere.
    void goOn() {
        const std::int64_t t = ++m_time * 1000;
        const int attempt = m_time > 60 ? 2 : 1;
        const int node = static_cast<int>(m_random() % 2);
        switch (m_random() % 8) {
        case 0:
            m_workspace.journal(m_run, {record(wire::kind::kNotes, Json{{"text", "note " + std::to_string(t)}}, t)});
            break;
        case 1:
            m_workspace.journal(m_run,
                                {record(wire::kind::kTags, Json{{"values", Json{{"who", "person"}, {"t", t}}}}, t)});
            break;
        case 2:
            m_workspace.stream(
                m_run,
                {record(wire::kind::kTags, Json{{"values", Json{{"who", "script"}, {"x", t}}}}, t, 0),
                 record(wire::kind::kParams, Json{{"values", Json{{"lr", 1.0 / static_cast<double>(t)}}}}, t, 0)},
                attempt, node);
            break;
        case 3: m_workspace.stream(m_run, {state(m_time < 20 ? "Queued" : "Running", t)}, attempt, node); break;
        case 4:
            m_workspace.stream(
                m_run, {log({"a " + std::to_string(t), "b"}, t, node), log({"agent"}, t, wire::kNoRank, "agent")},
                attempt, node, 900);
            break;
        case 5:
            m_workspace.stream(m_run,
                               {record(wire::kind::kSystem, Json{{"values", Json{{"cpu_percent", t}}}}, t),
                                record(wire::kind::kProgress, Json{{"stage", "train"}, {"done", t}}, t, node),
                                record(wire::kind::kWarning, Json{{"code", "w"}, {"message", "m"}}, t)},
                               attempt, node);
            break;
        case 6:
            m_workspace.stream(
                m_run,
                {record(wire::kind::kArtifact, Json{{"path", "f" + std::to_string(t % 7)}, {"size", t}}, t),
                 record(wire::kind::kText, Json{{"name", "n"}, {"text", "x"}}, t, node)},
                attempt, node);
            break;
        default: {
            wire::SeriesPoints points{"loss", {}, {}, {}};
            const auto count = 1 + m_random() % 600;
            for (std::size_t i = 0; i < count; ++i) {
                points.step.push_back(static_cast<std::int64_t>(m_step++));
                points.value.push_back(m_random() % 50 == 0 ? std::numeric_limits<double>::quiet_NaN()
                                                            : static_cast<double>(m_random() % 1000) / 10);
                points.t.push_back(t + static_cast<std::int64_t>(i));
            }
            m_workspace.stream(m_run, {metrics({points, {"acc", {t}, {0.5}, {t}}}, t, node)}, attempt, node);
        }
        }
    }

    void end() {
        const std::int64_t t = ++m_time * 1000;
        m_workspace.stream(
            m_run,
            {record(wire::kind::kEnded,
                    Json{{"outcome", "completed"},
                         {"reason", ""},
                         {"ranks", Json::array({Json{{"rank", 0}, {"exit", 0}}, Json{{"rank", 1}, {"exit", 1}}})},
                         {"outputs", Json::array({Json{{"path", "model.pt"}, {"size", 3}, {"sha256", "s"}}})}},
                    t)},
            2, 0);
        // Node 1 was killed in the middle of a line.
        m_workspace.stream(m_run, {log({"last words"}, t, 1)}, 2, 1);
        const Path folder = m_workspace.layout.stream(m_run, 2, 1);
        int last = 1;
        while (std::filesystem::exists(folder / wire::segmentName(last + 1))) ++last;
        const Path segment = folder / wire::segmentName(last);
        Workspace::write(segment, *base::readFile(segment) + "damaged\n{\"v\":1,\"seq\":99,\"t\":5,\"ki");
        m_workspace.journal(
            m_run, {record(wire::kind::kCollected,
                           Json{{"attempt", 2},
                                {"outputs", Json::array({Json{{"path", "model.pt"}, {"size", 3}, {"sha256", "s"}}})}},
                           t),
                    state("Completed", t)});
    }

private:
    Workspace& m_workspace;
    std::mt19937 m_random;
    RunId m_run;
    std::int64_t m_time = 0;
    std::size_t m_step = 0;
};

}  // namespace

class tst_Rebuild : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void rebuilt_equalsTheOneThatGrew();
    void catchUp_takesWhatIsNewAndDropsWhatIsGone();
    void catchUp_goesOnWithTheRest();
    void catchUp_canBeStopped();
    void catchUp_doesNotDisturbWhenNothingIsNew();
    void deletedRun_comesBackOnlyWithItsFiles();
    void models_fromTheirCards();
};

void tst_Rebuild::rebuilt_equalsTheOneThatGrew() {
    Workspace workspace;
    Workspace::write(workspace.layout.modelCard("fashion", 1),
                     R"({"format":"x","run":"r","created_at":5,"aliases":["best"],"tags":{"a":"b"}})");
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->applyModel("fashion", 1));
    std::vector<Life> lives;
    std::mt19937 random(11);
    for (unsigned i = 1; i <= 4; ++i) {
        const auto number = writer->takeNumber();
        STORE_OK(number);
        lives.emplace_back(workspace, *number, i);
        STORE_OK(writer->followJournal(lives.back().run()));
    }
    // Records come and are taken in any order, at any moment.
    for (int round = 0; round < 480; ++round) {
        Life& life = lives[random() % lives.size()];
        life.goOn();
        const Life& other = lives[random() % lives.size()];
        switch (random() % 4) {
        case 0: STORE_OK(writer->followJournal(other.run())); break;
        case 1:
            STORE_OK(
                writer->followStream(other.run(), 1 + static_cast<int>(random() % 2), static_cast<int>(random() % 2)));
            break;
        case 2: STORE_OK(writer->followStream(life.run(), 1, 0, false, 2)); break;
        default: break;
        }
    }
    for (Life& life : lives) {
        life.end();
        STORE_OK(writer->followJournal(life.run()));
    }
    const std::string grown = workspace.dump();
    QVERIFY(grown.find("stream.torn") != std::string::npos);
    QVERIFY(grown.size() > 100'000);
    for (int i = 0; i < 3; ++i) {
        if (i == 1) {
            for (const char* suffix : {"", "-wal", "-shm"})
                std::filesystem::remove(workspace.location.database.string() + suffix);
        }
        const auto report = Writer::rebuild(workspace.location);
        STORE_OK(report);
        QCOMPARE(report->runs, 4);
        QCOMPARE(report->models, 1);
        QVERIFY(report->problems.empty());
        const std::string rebuilt = workspace.dump();
        if (rebuilt != grown) {
            const QStringList a = QString::fromStdString(grown).split(u'\n'),
                              b = QString::fromStdString(rebuilt).split(u'\n');
            for (qsizetype line = 0; line < std::min(a.size(), b.size()); ++line)
                QCOMPARE(b[line].left(400), a[line].left(400));
            QFAIL("the rebuilt index has another number of rows");
        }
    }
}

void tst_Rebuild::catchUp_takesWhatIsNewAndDropsWhatIsGone() {
    Workspace workspace;
    const RunId one = workspace.addRun(1, "one");
    const RunId two = workspace.addRun(2, "two");
    Workspace::write(workspace.layout.modelCard("m", 1), "{}");
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->catchUp());
    workspace.stream(two, {state("Running", 5)});
    const RunId three = workspace.addRun(3, "three");
    STORE_OK(base::removeTree(workspace.layout.run(one)));
    STORE_OK(base::removeTree(workspace.layout.models() / "m"));
    Workspace::write(workspace.layout.modelCard("n", 2), R"({"description":"d"})");
    const auto report = writer->catchUp();
    STORE_OK(report);
    QCOMPARE(report->removed, 2);
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    QCOMPARE(reader->run(one).error().code, "store.run_unknown");
    QVERIFY(reader->run(two)->state == spec::RunState::Running);
    STORE_OK(reader->run(three));
    QCOMPARE(reader->models()->size(), std::size_t{1});
    QCOMPARE(reader->models()->at(0).latest.description, "d");
}

void tst_Rebuild::catchUp_goesOnWithTheRest() {
    Workspace workspace;
    const RunId newer = workspace.addRun(1, "of a newer version");
    Workspace::write(workspace.layout.journal(newer), "{\"v\":9,\"seq\":1,\"t\":1,\"kind\":\"submit\"}\n");
    const RunId headless = RunId::make();
    workspace.stream(headless, {state("Running", 1)});
    std::filesystem::create_directories(workspace.layout.runs() / "not a run");
    Workspace::write(workspace.layout.modelCard("broken", 1), "{");
    const RunId good = workspace.addRun(2, "good");
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    const auto report = writer->catchUp();
    STORE_OK(report);
    QCOMPARE(report->problems.size(), std::size_t{3});
    QCOMPARE(report->problems[0].code, "stream.major");
    QVERIFY(report->problems[0].message.find(newer.str()) != std::string::npos);
    QCOMPARE(report->problems[1].code, "store.run_unknown");
    QCOMPARE(report->problems[2].code, "store.model_card");
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    QCOMPARE(reader->run(good)->number, 2);
    QCOMPARE(reader->counts()->all, 1);
}

void tst_Rebuild::catchUp_canBeStopped() {
    Workspace workspace;
    for (int i = 1; i <= 5; ++i) static_cast<void>(workspace.addRun(i, "run"));
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    const auto stopped = writer->catchUp([](std::int64_t done, std::int64_t) { return done < 3; });
    QCOMPARE(stopped.error().code, "canceled");
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    QCOMPARE(reader->counts()->all, 3);
    std::vector<std::pair<std::int64_t, std::int64_t>> seen;
    STORE_OK(writer->catchUp([&](std::int64_t done, std::int64_t total) {
        seen.emplace_back(done, total);
        return true;
    }));
    QCOMPARE(seen.size(), std::size_t{6});
    QCOMPARE(seen.back(), std::pair(std::int64_t{5}, std::int64_t{5}));
    QCOMPARE(reader->counts()->all, 5);
}

void tst_Rebuild::catchUp_doesNotDisturbWhenNothingIsNew() {
    Workspace workspace;
    Life life(workspace, 1, 3);
    for (int i = 0; i < 80; ++i) life.goOn();
    Workspace::write(workspace.layout.modelCard("m", 1), "{}");
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->catchUp());
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    const auto version = reader->dataVersion();
    const auto changes = writer->changeCount();
    STORE_OK(writer->catchUp());
    QCOMPARE(*reader->dataVersion(), *version);
    QCOMPARE(writer->changeCount(), changes);
}

void tst_Rebuild::deletedRun_comesBackOnlyWithItsFiles() {
    Workspace workspace;
    Life life(workspace, 1, 5);
    Life other(workspace, 2, 6);
    for (int i = 0; i < 100; ++i) {
        life.goOn();
        other.goOn();
    }
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->catchUp());
    const std::string before = workspace.dump();
    STORE_OK(writer->deleteRun(life.run()));
    STORE_OK(writer->deleteRun(life.run()));
    const std::string without = workspace.dump();
    QVERIFY(without.find(life.run().str()) == std::string::npos);
    for (const QString& line : QString::fromStdString(without).split(u'\n'))
        QVERIFY2(line.startsWith(u"counters") || line.isEmpty() ||
                     !line.contains(QRegularExpression(QStringLiteral("^[a-z_]+\\|1\\|"))),
                 qPrintable(line));
    STORE_OK(writer->catchUp());
    QCOMPARE(workspace.dump(), before);
    std::filesystem::rename(workspace.layout.run(life.run()), workspace.layout.root / "elsewhere");
    STORE_OK(Writer::rebuild(workspace.location));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    QCOMPARE(reader->counts()->all, 1);
}

void tst_Rebuild::models_fromTheirCards() {
    Workspace workspace;
    const auto card = [&](const std::string& name, int version, const std::string& text) {
        Workspace::write(workspace.layout.modelCard(name, version), text);
    };
    card(
        "b model", 2,
        R"({"run":"r2","created_at":20,"description":"second","tags":{"z":"1","a":"2"},"aliases":["prod"],"size":99,"archived":true,"more":[1]})");
    card("b model", 1, R"({"run":"r1","created_at":10})");
    card("a", 10, "{}");
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    for (const auto& [name, version] : {std::pair("b model", 1), {"b model", 2}, {"a", 10}})
        STORE_OK(writer->applyModel(name, version));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    const auto models = reader->models();
    STORE_OK(models);
    QCOMPARE(models->size(), std::size_t{2});
    QCOMPARE((*models)[0].name, "a");
    QCOMPARE((*models)[1].versions, 2);
    const ModelVersionRow& latest = (*models)[1].latest;
    QCOMPARE(latest.version, 2);
    QCOMPARE(latest.run, "r2");
    QCOMPARE(latest.tags, (Strings{{"a", "2"}, {"z", "1"}}));
    QCOMPARE(latest.aliases, (std::vector<std::string>{"prod"}));
    QCOMPARE(latest.size, 99);
    QVERIFY(latest.archived);
    QCOMPARE(latest.card["more"][0].get<int>(), 1);
    QCOMPARE(reader->modelVersions("b model")->at(0).version, 2);
    QCOMPARE(reader->modelVersion("b model", 1)->run, "r1");
    QCOMPARE(reader->modelVersion("b model", 3).error().code, "store.model_unknown");
    card("b model", 1, R"({"run":"changed"})");
    STORE_OK(writer->applyModel("b model", 1));
    QCOMPARE(reader->modelVersion("b model", 1)->run, "changed");
    std::filesystem::remove(workspace.layout.modelCard("b model", 2));
    STORE_OK(writer->applyModel("b model", 2));
    QCOMPARE(reader->models()->at(1).versions, 1);
    card("b model", 1, "[]");
    QCOMPARE(writer->applyModel("b model", 1).error().code, "store.model_card");
}

QTEST_APPLESS_MAIN(tst_Rebuild)
#include "tst_Rebuild.moc"
