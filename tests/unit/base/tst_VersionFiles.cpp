// Numbered versions in a folder: numbers rise, are given out once, and do not come back.
#include <QtTest>
#include <algorithm>
#include <set>
#include <thread>

#include "core/base/VersionFiles.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard::base;
using trainyard::test::Scratch;

class tst_VersionFiles : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void numbers_riseAndDoNotComeBack() {
        const Scratch scratch;
        const Path folder = scratch / "names/birds";
        QVERIFY(versionsIn(folder).empty());
        for (int version = 1; version <= 11; ++version)
            QCOMPARE(addVersion(folder, Json{{"n", version}}).valueOr(0), version);
        QCOMPARE(readFile(versionFile(folder, 10)).valueOr({}), dumpJsonPretty(Json{{"n", 10}}));
        QVERIFY(removeVersions(folder, {10, 11}).ok());
        QCOMPARE(versionsIn(folder), (std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9}));
        QCOMPARE(addVersion(folder, Json::object()).valueOr(0), 12);
        QVERIFY(removeVersions(folder, versionsIn(folder)).ok());
        QVERIFY(versionsIn(folder).empty());
        QCOMPARE(addVersion(folder, Json::object()).valueOr(0), 13);
    }
    void aVersionIsPicked() {
        QCOMPARE(pickVersion({}, 0), 0);
        QCOMPARE(pickVersion({}, 2), 0);
        QCOMPARE(pickVersion({2, 3, 7}, 0), 7);
        QCOMPARE(pickVersion({2, 3, 7}, 3), 3);
        QCOMPARE(pickVersion({2, 3, 7}, 4), 0);
    }
    void whatNamesAnother_isDamaged() {
        struct Bird {
            std::string name;
        };
        const auto parse = [](const Json& json) -> Result<Bird> {
            if (!json.contains("name")) return Error{"bird.nameless", "it has no name."};
            return Bird{json.at("name").get<std::string>()};
        };
        const Scratch scratch;
        std::vector<Bird> all;
        std::vector<Error> problems;
        for (const char* text : {R"({"name":"owl"})", R"({"name":"kite"})", "{}", "{", ""}) {
            scratch.write("owl/1.json", text);
            keepRead(readVersion(scratch / "owl/1.json", "bird", "owl", parse), all, &problems);
        }
        keepRead(readVersion(scratch / "owl/2.json", "bird", "owl", parse), all, &problems);
        QCOMPARE(all.size(), std::size_t{1});
        QCOMPARE(problems.size(), std::size_t{5});
        for (const Error& problem : problems) {
            QCOMPARE(problem.code, "bird.damaged");
            QCOMPARE(problem.field, "bird");
            QVERIFY2(problem.message.find("owl/") != std::string::npos, problem.message.c_str());
        }
        QVERIFY(problems[0].message.find("\"kite\"") != std::string::npos);
        QVERIFY(problems[1].message.find("no name") != std::string::npos);
        keepRead(Result<Bird>(problems[0]), all, nullptr);
        QCOMPARE(all.size(), std::size_t{1});
    }
    void otherFiles_areNoVersions() {
        const Scratch scratch;
        for (const char* name :
             {"7.json", "0.json", "-3.json", "8.json.old", "9", "x9.json", ".json", "99999999999.json", "last"})
            scratch.write(std::string("v/") + name, "no number");
        QCOMPARE(versionsIn(scratch / "v"), (std::vector<int>{7}));
        QCOMPARE(addVersion(scratch / "v", Json::object()).valueOr(0), 8);
    }
    void manyAtOnce_getTheirOwn() {
        const Scratch scratch;
        constexpr int kThreads = 4;
        constexpr int kEach = 12;
        std::vector<std::vector<int>> got(kThreads);
        std::vector<std::thread> threads;
        for (std::vector<int>& mine : got) {
            threads.emplace_back([&] {
                for (int i = 0; i < kEach; ++i) mine.push_back(addVersion(scratch / "v", Json{{"i", i}}).valueOr(-1));
            });
        }
        for (std::thread& thread : threads) thread.join();
        std::set<int> all;
        for (const std::vector<int>& mine : got) {
            QVERIFY(std::ranges::is_sorted(mine));
            all.insert(mine.begin(), mine.end());
        }
        QCOMPARE(all.size(), std::size_t(kThreads * kEach));
        QCOMPARE(*all.begin(), 1);
        QCOMPARE(*all.rbegin(), kThreads * kEach);
    }
    void folderThatCannotBe_isSaid() {
        const Scratch scratch;
        scratch.write("v", "a file");
        const auto added = addVersion(scratch / "v/w", Json::object());
        QVERIFY(!added.ok());
        QVERIFY2(added.error().message.find((scratch / "v").string()) != std::string::npos,
                 added.error().message.c_str());
    }
};

QTEST_GUILESS_MAIN(tst_VersionFiles)
#include "tst_VersionFiles.moc"
