// The verb "fetch": data and weights from an address into the cache, by the machine that trains.
#include <QScopeGuard>
#include <QStandardPaths>

#include <sys/mount.h>
#include <sys/stat.h>

#include "core/base/Content.h"
#include "tests/helpers/Archives.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/FileServer.h"
#include "tests/helpers/Skip.h"
#include "tests/unit/agent/ServeRig.h"

using namespace trainyard;
using namespace trainyard::test;

namespace {

const std::vector<ArchiveItem> kBirds = {{"birds-1.0/hen/1.png", "one"},
                                         {"birds-1.0/hen/2.png", "two"},
                                         {"birds-1.0/turkey/3.png", "three"},
                                         {"__MACOSX/birds-1.0/._x", "litter"}};

/// As datasets::readPlace hashes what is in kBirds.
std::string birdsHash() {
    std::vector<base::ContentFile> files;
    for (const auto& [path, bytes] : {std::pair{"hen/1.png", "one"}, {"hen/2.png", "two"}, {"turkey/3.png", "three"}}) {
        files.push_back({path, base::sha256Hex(bytes), static_cast<std::int64_t>(std::string_view(bytes).size())});
    }
    return base::contentHash(files);
}

std::string hashOf(const Path& file) { return base::sha256File(file).valueOr(""); }

}  // namespace

class TestServeFetch : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_guard = std::make_unique<ChildGuard>();
        m_scratch = std::make_unique<Scratch>();
        std::filesystem::create_directories(*m_scratch / "site");
        m_server = std::make_unique<FileServer>(*m_scratch / "site");
        QVERIFY(m_server->port() > 0);
    }
    void cleanup() {
        m_server.reset();
        m_scratch.reset();
        QVERIFY2(m_guard->noneLeft(20'000), m_guard->report().c_str());
    }

    void file_byWholeHashAndByPrefix() {
        const std::string bytes(200'000, 'w');
        m_scratch->write("site/resnet-0123.pth", bytes);
        const std::string hash = base::sha256Hex(bytes);
        ServeClient client(work());
        const Json order{{"name", "weights"},
                         {"address", m_server->address("resnet-0123.pth?x=$(id);&y")},
                         {"sha256", hash.substr(0, 8)}};
        const auto first = client.call("fetch", order);
        QVERIFY2(first.ok(), first.text().c_str());
        QCOMPARE(first.header.at("entry"), Json(hash));
        QCOMPARE(first.header.at("was_there"), Json(false));
        const Path file = first.header.at("path").get<std::string>();
        QCOMPARE(file.filename().string(), std::string("resnet-0123.pth"));
        QCOMPARE(base::readFile(file).valueOr(""), bytes);
        struct stat info {};
        QCOMPARE(::stat(file.c_str(), &info), 0);
        QCOMPARE(info.st_mode & 0222U, 0U);
        QVERIFY(client.call("have", {{"data", {hash}}}).header.at("data").empty());
        // From the cache, by either name, and without the server.
        m_server->stop();
        for (const std::string& known : {hash, hash.substr(0, 12)}) {
            Json again = order;
            again["sha256"] = known;
            const auto answer = client.call("fetch", again);
            QVERIFY2(answer.ok(), answer.text().c_str());
            QCOMPARE(answer.header.at("was_there"), Json(true));
            QCOMPARE(answer.header.at("path"), first.header.at("path"));
        }
        QCOMPARE(m_server->requests().size(), std::size_t{1});
    }

    void archives_data() {
        QTest::addColumn<QByteArray>("format");
        QTest::addColumn<QByteArray>("filter");
        QTest::newRow("zip") << QByteArray("zip") << QByteArray();
        QTest::newRow("tar") << QByteArray("tar") << QByteArray();
        for (const char* filter : {"gzip", "bzip2", "xz", "zstd", "lz4"})
            QTest::newRow(filter) << QByteArray("tar") << QByteArray(filter);
        QTest::newRow("7z") << QByteArray("7zip") << QByteArray();
    }
    /// What the entry must be known by is what the data set's version says: the folder around everything is left out.
    void archives() {
        QFETCH(QByteArray, format);
        QFETCH(QByteArray, filter);
        QVERIFY(writeArchive(*m_scratch / "site/birds", kBirds, format.toStdString(), filter.toStdString()));
        ServeClient client(work());
        const auto fetched = client.call("fetch", order("birds", birdsHash()));
        QVERIFY2(fetched.ok(), fetched.text().c_str());
        QCOMPARE(fetched.header.at("entry"), Json(birdsHash()));
        const Path folder = fetched.header.at("path").get<std::string>();
        QCOMPARE(base::readContent(folder)->sha256, birdsHash());
        QCOMPARE(leftovers(), 0);
        // Without a version that names it: the same.
        Json unknown = order("birds", "");
        const auto again = client.call("fetch", unknown);
        QVERIFY2(again.ok(), again.text().c_str());
        QCOMPARE(again.header.at("entry"), Json(birdsHash()));
        QCOMPARE(again.header.at("was_there"), Json(true));
        QCOMPARE(m_server->requests().size(), std::size_t{1});
    }

    void archive_ofWhichSomeFilesAreMeant() {
        QVERIFY(writeArchive(*m_scratch / "site/idx.tar",
                             {{"train-images", "i"}, {"train-labels", "l"}, {"README", "text"}}, "tar"));
        const std::string entry =
            base::contentHash({{"train-images", base::sha256Hex("i"), 1}, {"train-labels", base::sha256Hex("l"), 1}});
        Json wanted = order("idx.tar", entry);
        wanted["only"] = {"train-images", "train-labels"};
        ServeClient client(work());
        const auto fetched = client.call("fetch", wanted);
        QVERIFY2(fetched.ok(), fetched.text().c_str());
        QVERIFY(!std::filesystem::exists(Path(fetched.header.at("path").get<std::string>()) / "README"));
    }

    void redirect_andCutAndResume() {
        const std::string bytes(500'000, 'r');
        m_scratch->write("site/a.bin", bytes);
        ServeClient client(work());
        const std::string hash = base::sha256Hex(bytes);
        const auto cut =
            client.call("fetch", {{"name", "a"}, {"address", m_server->address("moved/half/a.bin")}, {"sha256", hash}});
        QVERIFY2(cut.ok(), cut.text().c_str());
        const auto requests = m_server->requests();
        QVERIFY(std::ranges::find(requests, "/half/a.bin bytes=250000-") != requests.end());
        const auto loop = client.call(
            "fetch", {{"name", "b"}, {"address", m_server->address("loop")}, {"sha256", std::string(64, 'b')}});
        QCOMPARE(loop.code(), std::string("input.fetch"));
    }

    /// The channel is gone in the middle; the next one goes on where it was, and says how far it is.
    void channel_cutInTheMiddle() {
        const std::string bytes(2'000'000, 's');
        m_scratch->write("site/s.bin", bytes);
        const std::string hash = base::sha256Hex(bytes);
        const Path part = work() / "incoming" / (hash + ".fetch");
        const auto arrived = [&] {
            std::error_code error;
            const auto size = std::filesystem::file_size(part, error);
            return error ? 0 : size;
        };
        {
            ServeClient client(work());
            client.begin("fetch", {{"name", "s"}, {"address", m_server->address("slow/s.bin")}, {"sha256", hash}});
            QVERIFY(waitFor([&] { return arrived() > 100'000; }, 30'000));
        }
        const auto before = arrived();
        QVERIFY(before < bytes.size());
        ServeClient client(work());
        const auto done =
            client.call("fetch", {{"name", "s"}, {"address", m_server->address("s.bin")}, {"sha256", hash}});
        QVERIFY2(done.ok(), done.text().c_str());
        const auto requests = m_server->requests();
        QVERIFY2(requests.back().starts_with("/s.bin bytes="), requests.back().c_str());
    }

    void progress_isTold_andCanceled() {
        const std::string bytes(3'000'000, 'p');
        m_scratch->write("site/p.bin", bytes);
        ServeClient client(work());
        const auto id = client.begin(
            "fetch", {{"name", "p"}, {"address", m_server->address("slow/p.bin")}, {"sha256", base::sha256Hex(bytes)}});
        bool told = false;
        while (!told) {
            const auto frame = client.nextOf(id);
            QVERIFY(frame && frame->header.contains("event"));
            told = frame->header.at("count").get<std::int64_t>() > 0 && frame->header.at("total") == Json(bytes.size());
        }
        client.send({{"cancel", id}});
        QCOMPARE(client.finish(id).code(), std::string("canceled"));
        QVERIFY(waitFor([&] { return liveChildren().size() <= 2; }, 10'000));  // The server and the agent; no curl.
    }

    void twoThatWantTheSame_shareIt() {
        const std::string bytes(300'000, 't');
        m_scratch->write("site/t.bin", bytes);
        const Json wanted{
            {"name", "t"}, {"address", m_server->address("slow/t.bin")}, {"sha256", base::sha256Hex(bytes)}};
        ServeClient one(work());
        ServeClient two(work());
        const auto first = one.begin("fetch", wanted);
        const auto second = two.begin("fetch", wanted);
        const auto a = one.finish(first);
        const auto b = two.finish(second);
        QVERIFY2(a.ok() && b.ok(), (a.text() + b.text()).c_str());
        QCOMPARE(a.header.at("path"), b.header.at("path"));
        QCOMPARE(m_server->requests().size(), std::size_t{1});
    }

    void wrongContent_isThrownAway() {
        m_scratch->write("site/x.bin", "not what was promised");
        ServeClient client(work());
        const auto other = client.call(
            "fetch", {{"name", "x"}, {"address", m_server->address("x.bin")}, {"sha256", std::string(64, 'a')}});
        QCOMPARE(other.code(), std::string("input.hash"));
        // An archive with the right hash and other files in it than the version has.
        QVERIFY(writeArchive(*m_scratch / "site/birds.tar", kBirds, "tar"));
        QCOMPARE(client.call("fetch", order("birds.tar", std::string(64, 'c'))).code(), std::string("input.hash"));
        const auto missing = client.call(
            "fetch", {{"name", "n"}, {"address", m_server->address("none")}, {"sha256", std::string(64, 'd')}});
        QCOMPARE(missing.code(), std::string("input.fetch"));
        QVERIFY2(missing.message().find("404") != std::string::npos, missing.message().c_str());
        QCOMPARE(leftovers(), 0);
        std::error_code error;
        QVERIFY(std::filesystem::is_empty(work() / "data", error));
    }

    void hostileArchive_leavesNothing() {
        QVERIFY(writeArchive(*m_scratch / "site/evil.tar", {{"hen/1.png", "one"}, {"../../evil", "x"}}, "tar"));
        QVERIFY(
            writeArchive(*m_scratch / "site/link.tar", {{"hen/1.png", "one"}, {"hen/out", "", "/etc/passwd"}}, "tar"));
        m_scratch->write("site/text.zip", "no archive at all");
        ServeClient client(work());
        QCOMPARE(client.call("fetch", order("evil.tar", "")).code(), std::string("archive.path"));
        QCOMPARE(client.call("fetch", order("link.tar", "")).code(), std::string("archive.link"));
        QCOMPARE(client.call("fetch", order("text.zip", "")).code(), std::string("archive.kind"));
        QVERIFY(!std::filesystem::exists(*m_scratch / "evil") && !std::filesystem::exists(work() / "evil"));
        QCOMPARE(leftovers(), 0);
    }

    void requests_thatAreWrong() {
        ServeClient client(work());
        const std::string hash(64, 'a');
        for (const char* address :
             {"file:///etc/passwd", "-oX", "ftp://127.0.0.1/x", "http://127.0.0.1/a b", "", "http://h/\nx"}) {
            QCOMPARE(client.call("fetch", {{"name", "x"}, {"address", address}, {"sha256", hash}}).code(),
                     std::string("input.address"));
        }
        for (const char* sha256 : {"", "abc", "../../../x", "ABCDEF0123456789"}) {
            QCOMPARE(
                client.call("fetch", {{"name", "x"}, {"address", "http://127.0.0.1/x"}, {"sha256", sha256}}).code(),
                std::string("serve.sha256"));
        }
        QCOMPARE(
            client
                .call("fetch", {{"name", "x"}, {"address", "http://127.0.0.1/x"}, {"sha256", hash}, {"entry", "../x"}})
                .code(),
            std::string("serve.sha256"));
    }

    /// The real wget where there is no curl: whole, gone on with after a cut, refused with its words, stopped.
    void wget_inThePlaceOfCurl() {
        const QString wget = QStandardPaths::findExecutable(QStringLiteral("wget"));
        if (wget.isEmpty()) TRAINYARD_SKIP("wget is not installed");
        std::filesystem::create_directories(*m_scratch / "only");
        std::filesystem::create_symlink(wget.toStdString(), *m_scratch / "only/wget");
        ServeStart start;
        start.environment = {{"PATH", (*m_scratch / "only").string()}, {"no_proxy", "127.0.0.1"}};
        ServeClient client(work(), start);
        const auto fetch = [&](const std::string& path, const std::string& bytes) {
            return client.call(
                "fetch", {{"name", "w"}, {"address", m_server->address(path)}, {"sha256", base::sha256Hex(bytes)}});
        };
        std::string bytes;
        for (int i = 0; i < 500'000; ++i) bytes += static_cast<char>(i * 31 / 7);
        m_scratch->write("site/w.bin", bytes);
        const auto cut = fetch("moved/half/w.bin?x=$(id);&y", bytes);
        QVERIFY2(cut.ok(), cut.text().c_str());
        QCOMPARE(base::readFile(Path(cut.header.at("path").get<std::string>())).valueOr(""), bytes);
        const auto requests = m_server->requests();
        QVERIFY(
            std::ranges::any_of(requests, [](const std::string& line) { return line.ends_with(" bytes=250000-"); }));
        const auto missing = fetch("none", "never");
        QCOMPARE(missing.code(), std::string("input.fetch"));
        QVERIFY2(missing.message().find("404") != std::string::npos, missing.message().c_str());
        m_scratch->write("site/other.bin", "not what was promised");
        QCOMPARE(fetch("other.bin", "what was promised").code(), std::string("input.hash"));
        m_scratch->write("site/slow.bin", std::string(3'000'000, 's'));
        const auto id = client.begin("fetch", {{"name", "s"},
                                               {"address", m_server->address("slow/slow.bin")},
                                               {"sha256", base::sha256Hex(std::string(3'000'000, 's'))}});
        while (true) {
            const auto frame = client.nextOf(id);
            QVERIFY(frame && frame->header.contains("event"));
            if (frame->header.at("count").get<std::int64_t>() > 0) break;
        }
        client.send({{"cancel", id}});
        QCOMPARE(client.finish(id).code(), std::string("canceled"));
        QVERIFY(waitFor([&] { return liveChildren().size() <= 2; }, 10'000));  // The server and the agent; no wget.
    }

    void withoutCurlAndWget() {
        ServeStart start;
        start.environment = {{"PATH", (*m_scratch / "nothing").string()}};
        ServeClient client(work(), start);
        const auto answer = client.call(
            "fetch", {{"name", "x"}, {"address", m_server->address("x")}, {"sha256", std::string(64, 'a')}});
        QCOMPARE(answer.code(), std::string("input.program"));
    }

    void fullDisk_isSeenBeforeAndOnTheWay() {
        if (::geteuid() != 0) TRAINYARD_SKIP("Mounting needs root.");
        std::filesystem::create_directories(work());
        QCOMPARE(::mount("tmpfs", work().c_str(), "tmpfs", 0, "size=100m"), 0);
        const auto gone = qScopeGuard([this] { ::umount2(work().c_str(), MNT_DETACH); });
        m_scratch->write("site/big.bin",
                         std::string(120'000'000, 'b'));  // Also where all has come before the first look at its size.
        ServeClient client(work());
        Json wanted = order("big.bin", "");
        wanted["size"] = 200'000'000;
        QCOMPARE(client.call("fetch", wanted).code(), std::string("target.disk_full"));
        QVERIFY(m_server->requests().empty());
        // Its size is known from the answer's headers only.
        wanted["unpack"] = false;
        wanted["size"] = 0;
        const auto onTheWay = client.call("fetch", wanted);
        QCOMPARE(onTheWay.code(), std::string("target.disk_full"));
        QVERIFY(onTheWay.message().find("clear-cache") != std::string::npos);
    }

private:
    Path work() const { return *m_scratch / "work"; }
    Json order(const std::string& name, const std::string& entry) const {
        return {{"name", "birds"},
                {"address", m_server->address(name)},
                {"sha256", hashOf(*m_scratch / "site" / name)},
                {"unpack", true},
                {"entry", entry}};
    }
    /// Downloads and half unpacked folders.
    int leftovers() const {
        int count = 0;
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator(work() / "incoming", error)) {
            count += entry.path().extension() != ".lock" ? 1 : 0;
        }
        return count;
    }

    std::unique_ptr<ChildGuard> m_guard;
    std::unique_ptr<Scratch> m_scratch;
    std::unique_ptr<FileServer> m_server;
};

QTEST_GUILESS_MAIN(TestServeFetch)
#include "tst_ServeFetch.moc"
