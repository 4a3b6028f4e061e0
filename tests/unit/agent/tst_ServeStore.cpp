#include "tests/unit/agent/ServeRig.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "core/base/Content.h"
#include "core/base/Ids.h"
#include "tests/helpers/Skip.h"
#include "tests/helpers/Wait.h"

using namespace trainyard;
using base::Json;
using base::Path;
using base::sha256Hex;
using test::ServeClient;

namespace {

constexpr const char* kZeroHash = "0000000000000000000000000000000000000000000000000000000000000000";

std::string pattern(std::size_t size, unsigned seed = 1) {
    std::string bytes(size, '\0');
    for (char& c : bytes) {
        seed = seed * 1664525 + 1013904223;
        c = static_cast<char>(seed >> 24);
    }
    return bytes;
}

Json entryOf(const std::vector<std::pair<std::string, std::string>>& files) {
    Json list = Json::array();
    for (const auto& [path, bytes] : files)
        list.push_back({{"path", path}, {"size", bytes.size()}, {"sha256", sha256Hex(bytes)}});
    return list;
}

std::string hashOf(const std::vector<std::pair<std::string, std::string>>& files) {
    std::vector<base::ContentFile> list;
    for (const auto& [path, bytes] : files)
        list.push_back({path, sha256Hex(bytes), static_cast<std::int64_t>(bytes.size())});
    return base::contentHash(list);
}

mode_t modeOf(const Path& path) {
    struct stat info {};
    return ::lstat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
}

bool isThere(const Path& path) {
    struct stat info {};
    return ::lstat(path.c_str(), &info) == 0;
}

}  // namespace

class TestServeStore : public QObject {
    Q_OBJECT

private:
    bool m_ownMounts = false;

private Q_SLOTS:
    void initTestCase() {
        // Mounts of these tests are seen by nobody else and go with this process.
        m_ownMounts = ::geteuid() == 0 && ::unshare(CLONE_NEWNS) == 0 &&
                      ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    }

    void hello_tellsWhatTheMachineIs() {
        test::Scratch scratch;
        ServeClient client(scratch / "work");
        const auto answer = client.call("hello", {{"protocol", 1}, {"client", "test"}});
        QVERIFY2(answer.ok(), answer.text().c_str());
        QCOMPARE(answer.header["work"].get<std::string>(), (scratch / "work").string());
        QVERIFY(answer.header["libc"].get<std::string>().starts_with("glibc 2."));
        QCOMPARE(answer.header["machine"].get<std::string>(), std::string("x86_64"));
        QVERIFY(answer.header["cores"].get<int>() >= 1);
        QVERIFY(answer.header["memory_bytes"].get<std::int64_t>() > 1 << 20);
        QCOMPARE(answer.header["sha256"].get<std::string>(),
                 base::sha256File(test::builtProgram("trainyard-agent")).value());
        QVERIFY(std::llabs(answer.header["t"].get<std::int64_t>() - base::wallMicros()) < 10'000'000);
        QCOMPARE(modeOf(scratch / "work"), mode_t{0700});
        QCOMPARE(client.call("hello", {{"protocol", 2}}).code(), std::string("serve.protocol"));
    }

    void upload_putsAnObjectInItsPlace() {
        test::Scratch scratch;
        ServeClient client(scratch / "work");
        const std::string bytes = pattern(1'000'000);
        const std::string hash = sha256Hex(bytes);
        QCOMPARE(client.call("have", {{"objects", {hash, kZeroHash}}}).header["objects"].size(), std::size_t{2});
        const auto sent = client.upload(bytes, {{"to", "object"}, {"executable", true}});
        QVERIFY2(sent.ok(), sent.text().c_str());
        QCOMPARE(base::readFile(scratch / ("work/objects/" + hash)).value(), bytes);
        QCOMPARE(modeOf(scratch / ("work/objects/" + hash)), mode_t{0700});
        QCOMPARE(client.call("have", {{"objects", {hash, kZeroHash}}}).header["objects"], (Json{kZeroHash}));
        // What is there is not asked for again.
        const auto again = client.call("upload", {{"to", "object"}, {"sha256", hash}, {"size", bytes.size()}});
        QVERIFY(again.ok());
        QVERIFY(again.events.empty());
        QVERIFY(client.upload("", {{"to", "object"}}).ok());
        QVERIFY(isThere(scratch / ("work/objects/" + sha256Hex(""))));
    }

    void upload_goesOnAfterACut() {
        test::Scratch scratch;
        const std::string bytes = pattern(6'000'000);
        {
            ServeClient client(scratch / "work");
            const auto id = client.begin("upload", {{"sha256", sha256Hex(bytes)}, {"size", bytes.size()}});
            QCOMPARE(client.nextOf(id)->header["offset"].get<int>(), 0);
            for (int piece = 0; piece < 5; ++piece) {
                client.send({{"id", id}, {"data", true}},
                            std::string_view(bytes).substr(static_cast<std::size_t>(piece) * 1'000'000, 1'000'000));
                QCOMPARE(client.nextOf(id)->header["ack"].get<int>(), (piece + 1) * 1'000'000);
            }
            ::kill(client.pid(), SIGKILL);
        }
        ServeClient client(scratch / "work");
        const auto sent = client.upload(bytes);
        QVERIFY2(sent.ok(), sent.text().c_str());
        QCOMPARE(client.lastOffset(), std::size_t{5'000'000});
        QCOMPARE(base::readFile(scratch / ("work/objects/" + sha256Hex(bytes))).value(), bytes);
        QVERIFY(std::filesystem::is_empty(scratch / "work/incoming"));
    }

    void upload_withTheWrongHash_leavesNothing() {
        test::Scratch scratch;
        ServeClient client(scratch / "work");
        QCOMPARE(client.upload("abc", {{"sha256", kZeroHash}}).code(), std::string("upload.hash"));
        QVERIFY(!isThere(scratch / ("work/objects/" + std::string(kZeroHash))));
        QVERIFY(std::filesystem::is_empty(scratch / "work/incoming"));
        QCOMPARE(client.upload("abc", {{"size", 2}}).code(), std::string("upload.size"));
        QCOMPARE(client.upload("abc", {{"size", 4}}).code(), std::string("upload.size"));
        QVERIFY(client.upload("abc").ok());
    }

    void upload_ofOneFileByTwo_isSentOnce() {
        test::Scratch scratch;
        ServeClient first(scratch / "work");
        ServeClient second(scratch / "work");
        const std::string bytes = pattern(100'000);
        const Json members = {{"sha256", sha256Hex(bytes)}, {"size", bytes.size()}};
        const auto one = first.begin("upload", members);
        QVERIFY(first.nextOf(one)->header.contains("event"));
        const auto two = second.begin("upload", members);
        QVERIFY(!second.nextOf(two, 300));  // It waits, and says nothing meanwhile.
        first.send({{"id", one}, {"data", true}, {"end", true}}, bytes);
        QVERIFY(first.finish(one).ok());
        const auto answer = second.finish(two, 2000);
        QVERIFY(answer.ok());
        QVERIFY(answer.events.empty());
    }

    void dataEntry_isCompleteReadOnlyAndItsHashChecked() {
        test::Scratch scratch;
        ServeClient client(scratch / "work");
        const std::vector<std::pair<std::string, std::string>> files{
            {"train/a.bin", pattern(50'000)}, {"ä b.txt", "text"}, {"empty", ""}};
        const std::string entry = hashOf(files);
        const Json finish = {{"entry", entry}, {"name", "trial"}, {"files", entryOf(files)}};
        QCOMPARE(client.call("finish_data", finish).code(), std::string("upload.missing"));
        for (const auto& [path, bytes] : files) {
            const auto sent = client.upload(bytes, {{"to", "data"}, {"entry", entry}, {"path", path}});
            QVERIFY2(sent.ok(), sent.text().c_str());
        }
        QCOMPARE(client.call("have", {{"data", {entry}}}).header["data"].size(), std::size_t{1});
        // A file that does not belong to it, left by an earlier try, goes.
        QVERIFY(base::writeFileAtomically(scratch / ("work/data/" + entry + "/files/stray"), "x").ok());
        const auto done = client.call("finish_data", finish);
        QVERIFY2(done.ok(), done.text().c_str());
        const Path folder = done.header["path"].get<std::string>();
        QCOMPARE(folder, scratch / ("work/data/" + entry + "/files"));
        QVERIFY(!isThere(folder / "stray"));
        QCOMPARE(modeOf(folder / "train/a.bin"), mode_t{0400});
        QCOMPARE(modeOf(folder / "train"), mode_t{0500});
        QCOMPARE(base::readContent(folder).value().sha256, entry);
        QCOMPARE(client.call("have", {{"data", {entry}}}).header["data"].size(), std::size_t{0});
        QVERIFY(client.call("finish_data", finish).ok());
        const auto hashed = client.call("hash", {{"path", folder.string()}});
        QCOMPARE(hashed.header["sha256"].get<std::string>(), entry);
        QCOMPARE(hashed.header["files"].get<int>(), 3);
        QVERIFY(hashed.header["is_folder"].get<bool>());
    }

    void dataEntry_ofOneFile_hasItsHash_andALongListComesAsPayload() {
        test::Scratch scratch;
        ServeClient client(scratch / "work");
        const std::string bytes = pattern(1000);
        QVERIFY(client.upload(bytes, {{"to", "data"}, {"entry", sha256Hex(bytes)}, {"path", "one.bin"}}).ok());
        const std::string list = base::dumpJson(entryOf({{"one.bin", bytes}}));
        const auto id = client.begin(
            "finish_data", {{"entry", sha256Hex(bytes)}, {"name", "one"}, {"bytes", list.size()}}, list.substr(0, 10));
        client.send({{"id", id}, {"data", true}}, list.substr(10));
        const auto done = client.finish(id);
        QVERIFY2(done.ok(), done.text().c_str());
    }

    void dataEntry_withAnotherHash_isRefused() {
        test::Scratch scratch;
        ServeClient client(scratch / "work");
        QVERIFY(client.upload("abc", {{"to", "data"}, {"entry", kZeroHash}, {"path", "a"}}).ok());
        QCOMPARE(client.call("finish_data", {{"entry", kZeroHash}, {"name", "x"}, {"files", entryOf({{"a", "abc"}})}})
                     .code(),
                 std::string("upload.hash"));
        // Claiming another content for the file that was sent does not help.
        const std::string entry = hashOf({{"a", "xyz"}});
        QVERIFY(client.upload("abc", {{"to", "data"}, {"entry", entry}, {"path", "a"}}).ok());
        QCOMPARE(
            client.call("finish_data", {{"entry", entry}, {"name", "x"}, {"files", entryOf({{"a", "xyz"}})}}).code(),
            std::string("upload.missing"));
    }

    void engine_isUnpackedOnce() {
        test::Scratch scratch;
        scratch.write("bundle/bin/trainyard-engine", "#!/bin/sh\necho engine\n");
        scratch.write("bundle/lib/" + std::string(150, 'n') + "/libx.so.1", pattern(700'000));
        std::filesystem::permissions(scratch / "bundle/bin/trainyard-engine", std::filesystem::perms::owner_all);
        std::filesystem::create_symlink("libx.so.1", scratch / ("bundle/lib/" + std::string(150, 'n') + "/libx.so"));
        std::vector<std::vector<std::string>> kinds{{"-cf"}, {"--zstd", "-cf"}, {"--format=posix", "-cf"}};
        int number = 0;
        for (std::vector<std::string> arguments : kinds) {
            ServeClient client(scratch / "work");
            const Path archive = scratch / ("bundle" + std::to_string(number) + ".tar");
            arguments.push_back(archive.string());
            arguments.insert(arguments.end(), {"-C", (scratch / "bundle").string(), "."});
            const auto packed = test::runProgram("tar", arguments);
            QVERIFY2(packed.exitCode == 0, packed.err.c_str());
            const std::string bytes = base::readFile(archive).value();
            QVERIFY(client.upload(bytes, {{"to", "engine"}, {"key", "cpu"}}).ok());
            const std::string key = "cpu-" + std::to_string(number++);
            const auto done = client.call("finish_engine", {{"key", key}, {"archive", sha256Hex(bytes)}});
            QVERIFY2(done.ok(), done.text().c_str());
            const Path engine = done.header["path"].get<std::string>();
            QCOMPARE(test::runProgram(engine / "bin/trainyard-engine", {}).out, std::string("engine\n"));
            const Path library = engine / "lib" / std::string(150, 'n');
            QCOMPARE(base::readFile(library / "libx.so").value(), pattern(700'000));
            QVERIFY(std::filesystem::is_symlink(library / "libx.so"));
            QVERIFY(!isThere(scratch / ("work/objects/" + sha256Hex(bytes))));
            QVERIFY(client.call("have", {{"engines", {key}}}).header["engines"].empty());
            QVERIFY(client.call("finish_engine", {{"key", key}, {"archive", kZeroHash}}).ok());
        }
    }

    void engine_archiveThatIsBad_leavesNothing_data() {
        QTest::addColumn<QString>("script");
        QTest::addColumn<QString>("code");
        QTest::newRow("way out") << QStringLiteral("tar -P -cf a.tar --transform 's,^,../,' bin")
                                 << QStringLiteral("tar.path");
        QTest::newRow("absolute") << QStringLiteral("tar -P -cf a.tar \"$PWD/bin\"") << QStringLiteral("tar.path");
        QTest::newRow("link out") << QStringLiteral("ln -s ../../etc bin/l; tar -cf a.tar bin")
                                  << QStringLiteral("tar.path");
        QTest::newRow("absolute link") << QStringLiteral("ln -s /etc bin/l; tar -cf a.tar bin")
                                       << QStringLiteral("tar.path");
        QTest::newRow("pipe") << QStringLiteral("mkfifo bin/p; tar -cf a.tar bin") << QStringLiteral("tar.kind");
        QTest::newRow("hard link") << QStringLiteral("ln bin/trainyard-engine bin/x; tar -cf a.tar bin")
                                   << QStringLiteral("tar.kind");
        QTest::newRow("cut off") << QStringLiteral("tar -cf b.tar bin; head -c 700 b.tar > a.tar")
                                 << QStringLiteral("tar.damaged");
        QTest::newRow("garbage") << QStringLiteral("head -c 5000 /dev/urandom > a.tar")
                                 << QStringLiteral("tar.damaged");
        QTest::newRow("cut zstd") << QStringLiteral("tar --zstd -cf b.tar bin; head -c 60 b.tar > a.tar")
                                  << QStringLiteral("tar.damaged");
        QTest::newRow("no engine") << QStringLiteral("mv bin/trainyard-engine bin/x; tar -cf a.tar bin")
                                   << QStringLiteral("engine.archive");
        QTest::newRow("empty") << QStringLiteral(": > a.tar") << QStringLiteral("engine.archive");
    }
    void engine_archiveThatIsBad_leavesNothing() {
        QFETCH(QString, script);
        QFETCH(QString, code);
        test::Scratch scratch;
        scratch.write("bin/trainyard-engine", std::string(2000, 'e'));
        test::ProgramOptions options;
        options.folder = scratch.path();
        const auto made = test::runProgram("sh", {"-c", script.toStdString()}, options);
        QVERIFY2(made.exitCode == 0, made.err.c_str());
        const std::string bytes = base::readFile(scratch / "a.tar").value();
        ServeClient client(scratch / "work");
        QVERIFY(client.upload(bytes).ok());
        const auto done = client.call("finish_engine", {{"key", "k"}, {"archive", sha256Hex(bytes)}});
        QCOMPARE(QString::fromStdString(done.code()), code);
        QVERIFY(std::filesystem::is_empty(scratch / "work/engines"));
        QVERIFY(!isThere(scratch / "work/bin"));
    }

    void put_writesWholeFiles() {
        test::Scratch scratch;
        ServeClient client(scratch / "work");
        const std::string run = base::newUuid7();
        const std::string large = pattern(2'500'000);
        QVERIFY(client.upload("checkpoint").ok());
        const std::string all = "{}" + large;
        const auto id = client.begin("put",
                                     {{"run", run},
                                      {"attempt", 2},
                                      {"node", 1},
                                      {"files",
                                       {{{"name", "spec.json"}, {"size", 2}},
                                        {{"name", "resume.ckpt"}, {"sha256", sha256Hex("checkpoint")}},
                                        {{"name", "big"}, {"size", large.size()}}}}},
                                     all.substr(0, 1'000'000));
        client.send({{"id", id}, {"data", true}}, all.substr(1'000'000, 1'000'000));
        client.send({{"id", id}, {"data", true}, {"end", true}}, all.substr(2'000'000));
        const auto done = client.finish(id);
        QVERIFY2(done.ok(), done.text().c_str());
        const Path node = scratch / ("work/runs/" + run + "/a2/n1");
        QCOMPARE(base::readFile(node / "spec.json").value(), std::string("{}"));
        QCOMPARE(base::readFile(node / "resume.ckpt").value(), std::string("checkpoint"));
        QCOMPARE(base::readFile(node / "big").value(), large);
        QVERIFY(client.call("put", {{"run", run}, {"files", {{{"name", "plan.json"}, {"size", 1}}}}}, "x").ok());
        QVERIFY(isThere(scratch / ("work/runs/" + run + "/plan.json")));
    }

    void namesThatLeadElsewhere_areRefused() {
        test::Scratch scratch;
        ServeClient client(scratch / "work");
        const std::string run = base::newUuid7();
        for (const std::string name : {"../x", "/x", "a/b", "", ".", "..", "a\nb"}) {
            const auto answer =
                client.call("put", {{"run", run}, {"attempt", 1}, {"files", {{{"name", name}, {"size", 1}}}}}, "x");
            QVERIFY2(!answer.ok(), name.c_str());
            QCOMPARE(answer.code(), std::string("target.path"));
        }
        for (const std::string path : {"../x", "/x", "", "a/../b", "a//b"}) {
            QCOMPARE(
                client
                    .call("upload",
                          {{"to", "data"}, {"entry", kZeroHash}, {"path", path}, {"size", 1}, {"sha256", kZeroHash}})
                    .code(),
                std::string("target.path"));
        }
        for (const std::string bad : {"../../etc", "x", "", std::string(64, 'Z').c_str()}) {
            QCOMPARE(client.call("upload", {{"sha256", bad}, {"size", 1}}).code(), std::string("serve.sha256"));
            QCOMPARE(client.call("look", {{"run", bad}}).code(), std::string("serve.run"));
            QCOMPARE(client.call("finish_engine", {{"key", "../" + bad}, {"archive", kZeroHash}}).code(),
                     std::string("serve.key"));
        }
        QVERIFY(!isThere(scratch / "x"));
        QVERIFY(!isThere(scratch / "work/runs"));
    }

    void linksInTheStore_areNotFollowed() {
        test::Scratch scratch;
        scratch.write("outside/file", "secret");
        std::filesystem::create_directories(scratch / "work/incoming");
        const std::string bytes = pattern(1000);
        std::filesystem::create_symlink(scratch / "outside/file",
                                        scratch / ("work/incoming/" + sha256Hex(bytes) + ".part"));
        ServeClient client(scratch / "work");
        QCOMPARE(client.upload(bytes).code(), std::string("file.kind"));
        QCOMPARE(scratch.read("outside/file"), std::string("secret"));
    }

    void fullDisk_isSaidBeforeAndDuringAnUpload() {
        if (!m_ownMounts) TRAINYARD_SKIP("mounts need root");
        test::Scratch scratch;
        std::filesystem::create_directories(scratch / "work");
        QCOMPARE(::mount("tmpfs", (scratch / "work").c_str(), "tmpfs", 0, "size=40m"), 0);
        {
            ServeClient client(scratch / "work");
            const auto refused = client.call("upload", {{"sha256", kZeroHash}, {"size", 100 << 20}});
            QCOMPARE(refused.code(), std::string("target.disk_full"));
            QVERIFY2(refused.message().find("100.0 MiB") != std::string::npos, refused.message().c_str());
            QVERIFY(refused.message().find("clear") != std::string::npos);

            const std::string bytes = pattern(20 << 20);
            const auto id = client.begin("upload", {{"sha256", sha256Hex(bytes)}, {"size", bytes.size()}});
            QVERIFY(client.nextOf(id)->header.contains("event"));
            QVERIFY(base::writeFileAtomically(scratch / "work/filler", std::string(36 << 20, 'x')).ok());
            for (std::size_t at = 0; at < bytes.size(); at += 1 << 20) {
                client.send({{"id", id}, {"data", true}}, std::string_view(bytes).substr(at, 1 << 20));
            }
            const auto full = client.finish(id);
            QCOMPARE(full.code(), std::string("target.disk_full"));
            QVERIFY(full.message().find("clear-cache") != std::string::npos);
            QVERIFY(std::filesystem::is_empty(scratch / "work/incoming"));
            const std::string large(6 << 20, 'a');  // About 4 MiB are free again.
            const auto put = client.begin(
                "put",
                {{"run", base::newUuid7()}, {"attempt", 1}, {"files", {{{"name", "a"}, {"size", large.size()}}}}});
            for (std::size_t at = 0; at < large.size(); at += 1 << 20) {
                client.send({{"id", put}, {"data", true}}, std::string_view(large).substr(at, 1 << 20));
            }
            QCOMPARE(client.finish(put).code(), std::string("target.disk_full"));
            ::unlink((scratch / "work/filler").c_str());
            QVERIFY(client.upload(bytes).ok());
        }
        QCOMPARE(::umount2((scratch / "work").c_str(), MNT_DETACH), 0);
    }

    void workFolderThatCannotBe_isSaid() {
        if (::geteuid() != 0) TRAINYARD_SKIP("another user's folder needs root");
        test::Scratch scratch;
        scratch.write("file", "x");
        {
            ServeClient client(scratch / "file/work");
            const auto hello = client.call("hello");
            QVERIFY(hello.ok());
            QCOMPARE(hello.header["work_error"]["code"].get<std::string>(), std::string("file.kind"));
            QVERIFY(!client.call("upload", {{"sha256", kZeroHash}, {"size", 1}}).ok());
        }
        std::filesystem::create_directories(scratch / "theirs");
        QCOMPARE(::chown((scratch / "theirs").c_str(), 12345, 12345), 0);
        ServeClient client(scratch / "theirs");
        QCOMPARE(client.call("hello").header["work_error"]["code"].get<std::string>(), std::string("file.owner"));
        QCOMPARE(client.call("upload", {{"sha256", kZeroHash}, {"size", 1}}).code(), std::string("file.owner"));
    }

    void cache_isListedAndClearedButNotWhatIsInUse() {
        test::Scratch scratch;
        ServeClient client(scratch / "work");
        const std::vector<std::pair<std::string, std::string>> used{{"a", pattern(90'000, 3)}};
        const std::vector<std::pair<std::string, std::string>> unused{{"b", pattern(90'000, 4)}};
        for (const auto& files : {used, unused}) {
            const std::string entry = hashOf(files);
            QVERIFY(client.upload(files[0].second, {{"to", "data"}, {"entry", entry}, {"path", files[0].first}}).ok());
            QVERIFY(client.call("finish_data", {{"entry", entry}, {"name", files[0].first}, {"files", entryOf(files)}})
                        .ok());
        }
        // A run that was sent and has not been started yet reads the first.
        const std::string path = (scratch / ("work/data/" + hashOf(used) + "/files")).string();
        const std::string plan = base::dumpJson(Json{{"inputs", {{{"path", path}}}}});
        QVERIFY(client
                    .call("put",
                          {{"run", base::newUuid7()},
                           {"attempt", 1},
                           {"files", {{{"name", "plan.json"}, {"size", plan.size()}}}}},
                          plan)
                    .ok());
        const auto listed = client.call("cache");
        QVERIFY(listed.ok());
        int seen = 0;
        Json all = Json::array();
        for (const Json& entry : listed.header["entries"]) {
            all.push_back({{"kind", entry["kind"]}, {"key", entry["key"]}});
            if (entry["kind"] != "data") continue;
            ++seen;
            QCOMPARE(entry["in_use"].get<bool>(), entry["key"] == hashOf(used));
            QVERIFY(entry["bytes"].get<std::int64_t>() >= 90'000);
            QCOMPARE(entry["name"].get<std::string>(), std::string(entry["key"] == hashOf(used) ? "a" : "b"));
        }
        QCOMPARE(seen, 2);
        const auto cleared = client.call("clear", {{"entries", all}});
        QVERIFY2(cleared.ok(), cleared.text().c_str());
        QVERIFY(cleared.header["freed_bytes"].get<std::int64_t>() >= 90'000);
        QVERIFY(isThere(scratch / ("work/data/" + hashOf(used))));
        QVERIFY(!isThere(scratch / ("work/data/" + hashOf(unused))));
    }

    void hash_refusesWhatLeavesTheFolder() {
        test::Scratch scratch;
        ServeClient client(scratch / "work");
        scratch.write("data/a", "x");
        std::filesystem::create_symlink("/etc/passwd", scratch / "data/l");
        QCOMPARE(client.call("hash", {{"path", (scratch / "data").string()}}).code(), std::string("content.link"));
        QCOMPARE(client.call("hash", {{"path", "data"}}).code(), std::string("serve.path"));
        QCOMPARE(client.call("hash", {{"path", (scratch / "absent").string()}}).code(), std::string("file.missing"));
    }
};

QTEST_GUILESS_MAIN(TestServeStore)
#include "tst_ServeStore.moc"
