#include <QtTest>

#include <sys/stat.h>
#include <unistd.h>

#include "core/base/Content.h"
#include "core/base/Hash.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard;
using base::readContent;

class TestContent : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void oneFile_hasTheHashOfItsBytes() {
        test::Scratch scratch;
        const auto content = readContent(scratch.write("a file.bin", "hello"));
        QVERIFY(content.ok());
        QVERIFY(!content->isFolder);
        QCOMPARE(content->sha256, base::sha256Hex("hello"));
        QCOMPARE(content->size, std::int64_t{5});
        QCOMPARE(content->files.at(0).path, std::string("a file.bin"));
    }

    void folder_hasTheHashOfItsSortedList() {
        test::Scratch scratch;
        scratch.write("data/b", "2");
        scratch.write("data/a/z", "1");
        scratch.write("data/a.txt", "");
        const auto content = readContent(scratch / "data");
        QVERIFY(content.ok());
        // By bytes of the whole path: '.' comes before '/'.
        const std::string list =
            base::sha256Hex("") + " 0 a.txt\n" + base::sha256Hex("1") + " 1 a/z\n" + base::sha256Hex("2") + " 1 b\n";
        QCOMPARE(content->sha256, base::sha256Hex(list));
        QCOMPARE(content->size, std::int64_t{2});
        auto shuffled = content->files;
        std::swap(shuffled.front(), shuffled.back());
        QCOMPARE(base::contentHash(shuffled), content->sha256);
    }

    void emptyFolder_hasAHash() {
        test::Scratch scratch;
        std::filesystem::create_directories(scratch / "data");
        QCOMPARE(readContent(scratch / "data").value().sha256, base::sha256Hex(""));
    }

    void links_countAsFilesInsideAndAreRefusedOutside() {
        test::Scratch scratch;
        scratch.write("data/real", "x");
        scratch.write("outside", "secret");
        QCOMPARE(::symlink("real", (scratch / "data/link").c_str()), 0);
        const auto content = readContent(scratch / "data");
        QVERIFY(content.ok());
        QCOMPARE(content->files.size(), std::size_t{2});
        QCOMPARE(content->files[0].sha256, base::sha256Hex("x"));
        for (const char* target : {"../outside", "/etc/passwd", "nowhere", "."}) {
            ::unlink((scratch / "data/bad").c_str());
            QCOMPARE(::symlink(target, (scratch / "data/bad").c_str()), 0);
            const auto refused = readContent(scratch / "data");
            QVERIFY2(!refused.ok(), target);
            QCOMPARE(refused.error().code, std::string("content.link"));
            QVERIFY(refused.error().message.find("bad") != std::string::npos);
        }
    }

    void pipesAndBadNames_areRefused() {
        test::Scratch scratch;
        scratch.write("data/a", "x");
        QCOMPARE(::mkfifo((scratch / "data/pipe").c_str(), 0600), 0);
        QCOMPARE(readContent(scratch / "data").error().code, std::string("content.kind"));
        ::unlink((scratch / "data/pipe").c_str());
        scratch.write("data/new\nline", "x");
        QCOMPARE(readContent(scratch / "data").error().code, std::string("content.name"));
        QCOMPARE(readContent(scratch / "absent").error().code, std::string("file.missing"));
    }

    void progress_canCancel() {
        test::Scratch scratch;
        const auto path = scratch.write("a", std::string(5 << 20, 'x'));
        std::int64_t last = 0;
        std::int64_t total = 0;
        QVERIFY(readContent(path, [&](std::int64_t done, std::int64_t all) {
                    last = done;
                    total = all;
                    return true;
                }).ok());
        QCOMPARE(last, std::int64_t{5 << 20});
        QCOMPARE(total, std::int64_t{5 << 20});
        QCOMPARE(readContent(path, [](std::int64_t, std::int64_t) { return false; }).error().code,
                 std::string("canceled"));
    }

    void plainPaths_data() {
        QTest::addColumn<QString>("path");
        QTest::addColumn<bool>("plain");
        QTest::newRow("file") << QStringLiteral("a") << true;
        QTest::newRow("deep") << QStringLiteral("a/b c/ä") << true;
        QTest::newRow("dots in a name") << QStringLiteral("a..b/...") << true;
        QTest::newRow("empty") << QString() << false;
        QTest::newRow("absolute") << QStringLiteral("/a") << false;
        QTest::newRow("up") << QStringLiteral("a/../../b") << false;
        QTest::newRow("here") << QStringLiteral("./a") << false;
        QTest::newRow("twice") << QStringLiteral("a//b") << false;
        QTest::newRow("end") << QStringLiteral("a/") << false;
        QTest::newRow("control") << QStringLiteral("a\nb") << false;
        QTest::newRow("long name") << QString(256, QLatin1Char('x')) << false;
    }
    void plainPaths() {
        QFETCH(QString, path);
        QFETCH(bool, plain);
        QCOMPARE(base::isPlainRelativePath(path.toStdString()), plain);
        QVERIFY(!base::isPlainRelativePath(std::string("a\0b", 3)));
        QVERIFY(!base::isPlainRelativePath("\xff"));
    }
};

QTEST_APPLESS_MAIN(TestContent)
#include "tst_Content.moc"
