#include <QtTest>

#include <sys/stat.h>
#include <unistd.h>

#include "core/agent/Manifest.h"
#include "core/agent/SystemMetrics.h"
#include "core/base/Clock.h"
#include "core/base/Hash.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard;
using agent::listOutputs;

class TestManifest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void files_withSizeAndHash() {
        test::Scratch scratch;
        scratch.write("out/model.pt", "weights");
        scratch.write("out/checkpoints/last.ckpt", "");
        scratch.write("out/b \xc3\xa4.txt", "x");
        const auto manifest = listOutputs(scratch / "out", {});
        QCOMPARE(manifest.files.size(), std::size_t(3));
        QCOMPARE(manifest.files[0].path, std::string("b \xc3\xa4.txt"));
        QCOMPARE(manifest.files[1].path, std::string("checkpoints/last.ckpt"));
        QCOMPARE(manifest.files[1].size, 0);
        QCOMPARE(manifest.files[2].sha256, base::sha256Hex("weights"));
        QCOMPARE(manifest.files[2].size, 7);
        QVERIFY(manifest.warnings.empty());
    }

    void linksAndSpecialFiles_areLeftOut() {
        test::Scratch scratch;
        scratch.write("secret/key", "secret");
        scratch.write("out/real", "x");
        QVERIFY(::symlink((scratch / "secret/key").c_str(), (scratch / "out/link").c_str()) == 0);
        QVERIFY(::symlink((scratch / "secret").c_str(), (scratch / "out/folder").c_str()) == 0);
        QVERIFY(::mkfifo((scratch / "out/pipe").c_str(), 0600) == 0);
        scratch.write("out/\xff", "name");
        const auto manifest = listOutputs(scratch / "out", {});
        QVERIFY(base::removeTree(scratch / "out").ok());  // QTemporaryDir cannot remove such a name.
        QCOMPARE(manifest.files.size(), std::size_t(1));
        QCOMPARE(manifest.files[0].path, std::string("real"));
        QCOMPARE(manifest.warnings.size(), std::size_t(4));
    }

    void cancel_stopsInTheMiddle() {
        test::Scratch scratch;
        scratch.write("out/a", std::string(3 << 20, 'x'));
        scratch.write("out/b", std::string(3 << 20, 'y'));
        std::int64_t total = 0;
        const auto manifest = listOutputs(scratch / "out", [&](std::int64_t done, std::int64_t all) {
            total = all;
            return done <= (4 << 20);
        });
        QVERIFY(manifest.canceled);
        QCOMPARE(total, 6 << 20);
        QCOMPARE(manifest.files.size(), std::size_t(1));
    }

    void missingFolder_isAWarning() {
        test::Scratch scratch;
        const auto manifest = listOutputs(scratch / "nowhere", {});
        QVERIFY(manifest.files.empty());
        QCOMPARE(manifest.warnings.size(), std::size_t(1));
    }

    void systemMetrics_seeThisMachine() {
        agent::SystemMetrics metrics("/");
        const auto first = metrics.sample({::getppid()});
        QVERIFY(!first.contains("cpu_percent"));  // Rates need two samples.
        volatile double sum = 0;
        const auto until = base::monotonicNanos() + 200'000'000;
        while (base::monotonicNanos() < until) sum = sum + 1;
        const auto second = metrics.sample({::getppid()});
        QVERIFY(second["cpu_percent"].get<double>() > 0 && second["cpu_percent"].get<double>() <= 100);
        QVERIFY(second["memory_bytes"].get<std::int64_t>() < second["memory_total_bytes"].get<std::int64_t>());
        QVERIFY(second["disk_free_bytes"].get<std::int64_t>() > 0);
        // This process is among its parent's children.
        QVERIFY(second["run_processes"].get<int>() >= 1);
        QVERIFY(second["run_cpu_percent"].get<double>() > 0);
        QVERIFY(second["run_memory_bytes"].get<std::int64_t>() > (1 << 20));
        QVERIFY(second["network_received_bytes_per_second"].get<std::int64_t>() >= 0);
    }
};

QTEST_GUILESS_MAIN(TestManifest)
#include "tst_Manifest.moc"
