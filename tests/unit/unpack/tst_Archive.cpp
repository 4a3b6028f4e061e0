#include <QTest>

#include <fstream>

#include "core/unpack/Archive.h"
#include "tests/helpers/Archives.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard;
using namespace trainyard::unpack;
using test::ArchiveItem;

class TestArchive : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_folder = *m_scratch / "out";
        std::filesystem::create_directories(m_folder);
    }

    void unpacks_data() {
        QTest::addColumn<QByteArray>("format");
        QTest::addColumn<QByteArray>("filter");
        QTest::newRow("zip") << QByteArray("zip") << QByteArray();
        QTest::newRow("tar") << QByteArray("tar") << QByteArray();
        QTest::newRow("7z") << QByteArray("7zip") << QByteArray();
        for (const char* filter : {"gzip", "bzip2", "xz", "zstd", "lz4"})
            QTest::newRow(filter) << QByteArray("tar") << QByteArray(filter);
    }
    void unpacks() {
        QFETCH(QByteArray, format);
        QFETCH(QByteArray, filter);
        const base::Path file = *m_scratch / "a.bin";  // The name says nothing.
        QVERIFY(test::writeArchive(file,
                                   {{"birds/hen/a.jpg", "aaa"},
                                    {"birds/Küken/ü b.jpg", "bb"},
                                    {"birds/empty/", "", "", "", AE_IFDIR},
                                    {"__MACOSX/birds/hen/._a.jpg", "x"},
                                    {"birds/.DS_Store", "x"}},
                                   format.toStdString(), filter.toStdString()));
        std::int64_t last = -1;
        const auto unpacked = unpack(file, {}, [&](std::int64_t permille) { return (last = permille) <= 1000; });
        QVERIFY2(unpacked.ok(), unpacked.ok() ? "" : unpacked.error().message.c_str());
        QCOMPARE(unpacked->files, std::int64_t{2});
        QCOMPARE(unpacked->bytes, std::int64_t{5});
        QVERIFY(last > 0);
        QCOMPARE(m_scratch->read("out/birds/hen/a.jpg"), std::string("aaa"));
        QCOMPARE(m_scratch->read("out/birds/Küken/ü b.jpg"), std::string("bb"));
        QVERIFY(std::filesystem::is_directory(m_folder / "birds/empty"));
        QVERIFY(!std::filesystem::exists(m_folder / "__MACOSX"));
    }

    void refuses_data() {
        QTest::addColumn<QByteArray>("format");
        QTest::addColumn<QByteArray>("path");
        QTest::addColumn<QByteArray>("link");
        QTest::addColumn<QByteArray>("hardlink");
        QTest::addColumn<QByteArray>("code");
        const auto row = [](const char* name, const char* format, const char* path, const char* link,
                            const char* hardlink, const char* code) {
            QTest::newRow(name) << QByteArray(format) << QByteArray(path) << QByteArray(link) << QByteArray(hardlink)
                                << QByteArray(code);
        };
        row("up, zip", "zip", "../evil.jpg", "", "", "archive.path");
        row("up, tar", "tar", "../evil.jpg", "", "", "archive.path");
        row("up inside", "tar", "birds/../../evil.jpg", "", "", "archive.path");
        row("absolute, tar", "tar", "/tmp/evil.jpg", "", "", "archive.path");
        row("absolute, zip", "zip", "/tmp/evil.jpg", "", "", "archive.path");
        row("dots", "tar", "birds/./.././../evil.jpg", "", "", "archive.path");
        row("newline", "tar", "birds/a\nb.jpg", "", "", "archive.path");
        row("link out", "tar", "birds/evil.jpg", "/etc/passwd", "", "archive.link");
        row("link in zip", "zip", "birds/evil.jpg", "../../x", "", "archive.link");
        row("hard link", "tar", "birds/evil.jpg", "", "/etc/passwd", "archive.link");
    }
    void refuses() {
        QFETCH(QByteArray, format);
        QFETCH(QByteArray, path);
        QFETCH(QByteArray, link);
        QFETCH(QByteArray, hardlink);
        QFETCH(QByteArray, code);
        const base::Path file = *m_scratch / "a.bin";
        QVERIFY(test::writeArchive(file,
                                   {{path.toStdString(), link.isEmpty() && hardlink.isEmpty() ? "evil" : "",
                                     link.toStdString(), hardlink.toStdString()}},
                                   format.toStdString()));
        const auto unpacked = unpack(file);
        QVERIFY(!unpacked.ok());
        QCOMPARE(unpacked.error().code, code.toStdString());
        QCOMPARE(unpacked.error().field, std::string("source"));
        QVERIFY(!std::filesystem::exists(*m_scratch / "evil.jpg"));
        QVERIFY(!std::filesystem::exists("/tmp/evil.jpg"));
        QVERIFY(std::filesystem::is_empty(m_folder) || std::filesystem::is_empty(m_folder / "birds"));
    }

    void pipe_isRefused() {
        const base::Path file = *m_scratch / "a.tar";
        QVERIFY(test::writeArchive(file, {{"birds/pipe.jpg", "", "", "", AE_IFIFO}}, "tar"));
        QCOMPARE(unpack(file).error().code, std::string("archive.link"));
    }

    void twice_isRefused() {
        const base::Path file = *m_scratch / "a.tar";
        QVERIFY(test::writeArchive(file, {{"hen/a.jpg", "1"}, {"./hen//a.jpg", "2"}}, "tar"));
        QCOMPARE(unpack(file).error().code, std::string("archive.twice"));
        QCOMPARE(m_scratch->read("out/hen/a.jpg"), std::string("1"));
    }

    /// 256 MiB of zeros in a quarter of a megabyte: stopped at the limit, long before the disk is full.
    void bomb_isStopped() {
        const base::Path file = *m_scratch / "bomb.zip";
        QVERIFY(test::writeArchive(file, {{"hen/a.jpg", std::string(256 << 20, '\0')}}, "zip"));
        QVERIFY(std::filesystem::file_size(file) < (1 << 20));
        const auto unpacked = unpack(file);
        QVERIFY(!unpacked.ok());
        QCOMPARE(unpacked.error().code, std::string("archive.bomb"));
        QVERIFY(std::filesystem::file_size(m_folder / "hen/a.jpg") < (80 << 20));
    }

    void limits_ofEntriesAndBytes() {
        const base::Path file = *m_scratch / "a.tar";
        QVERIFY(test::writeArchive(file, {{"hen/a.jpg", "11"}, {"hen/b.jpg", "22"}, {"hen/c.jpg", "33"}}, "tar"));
        ArchiveLimits limits;
        limits.entries = 2;
        QCOMPARE(unpack(file, limits).error().code, std::string("archive.bomb"));
        clear();
        limits.entries = 10;
        limits.bytes = 3;
        QCOMPARE(unpack(file, limits).error().code, std::string("archive.bomb"));
        clear();
        limits.bytes = 6;
        QVERIFY(unpack(file, limits).ok());
        clear();
        limits.reserve = std::int64_t{1} << 60;
        QCOMPARE(unpack(file, limits).error().code, std::string("file.full"));
    }

    void cutOff_isSaid_data() {
        QTest::addColumn<QByteArray>("format");
        QTest::addColumn<QByteArray>("filter");
        QTest::newRow("tar.gz") << QByteArray("tar") << QByteArray("gzip");
        QTest::newRow("tar.zst") << QByteArray("tar") << QByteArray("zstd");
        QTest::newRow("zip") << QByteArray("zip") << QByteArray();
    }
    void cutOff_isSaid() {
        QFETCH(QByteArray, format);
        QFETCH(QByteArray, filter);
        const base::Path file = *m_scratch / "a.bin";
        std::string noise;
        for (unsigned i = 0; i < 400'000; ++i) noise += static_cast<char>((i * 2654435761U) >> 24);
        QVERIFY(test::writeArchive(file, {{"hen/a.jpg", noise}, {"hen/b.jpg", noise}}, format.toStdString(),
                                   filter.toStdString()));
        std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
        const auto unpacked = unpack(file);
        QVERIFY(!unpacked.ok());
        QVERIFY2(unpacked.error().code == "archive.damaged" || unpacked.error().code == "archive.kind",
                 unpacked.error().code.c_str());
    }

    void noArchive_data() {
        QTest::addColumn<QByteArray>("bytes");
        QTest::newRow("text") << QByteArray("just words, no archive at all\n");
        QTest::newRow("empty") << QByteArray();
        QTest::newRow("zeros") << QByteArray(10, '\0');
    }
    void noArchive() {
        QFETCH(QByteArray, bytes);
        const base::Path file = m_scratch->write("a.zip", bytes.toStdString());
        const auto unpacked = unpack(file);
        QVERIFY(unpacked.ok() ? unpacked->files == 0
                              : unpacked.error().code == "archive.kind" || unpacked.error().code == "archive.damaged");
    }

    void cancel_stops() {
        const base::Path file = *m_scratch / "a.tar";
        QVERIFY(test::writeArchive(file, {{"hen/a.jpg", "1"}, {"hen/b.jpg", "2"}}, "tar"));
        QCOMPARE(unpack(file, {}, [](std::int64_t) { return false; }).error().code, std::string("canceled"));
    }

private:
    base::Result<Unpacked> unpack(
        const base::Path& file, const ArchiveLimits& limits = {},
        const Report& report = [](std::int64_t) { return true; }) {
        ArchiveLimits small = limits;
        if (limits.reserve == ArchiveLimits{}.reserve) {
            small.reserve = 1 << 20;  // A test machine's disk may be nearly full.
        }
        return unpackArchive(file, m_folder, small, report);
    }
    void clear() {
        std::filesystem::remove_all(m_folder);
        std::filesystem::create_directories(m_folder);
    }

    std::unique_ptr<test::Scratch> m_scratch;
    base::Path m_folder;
};

QTEST_GUILESS_MAIN(TestArchive)
#include "tst_Archive.moc"
