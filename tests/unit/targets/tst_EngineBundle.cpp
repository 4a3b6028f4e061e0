// The engine's CPU bundle on its way to a host: as it is built, through the agent's own channel, unpacked by the agent.
#include <QtTest>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/Hash.h"
#include "core/targets/Deploy.h"
#include "tests/helpers/Await.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"

using namespace trainyard;
using namespace trainyard::targets;
using test::await;

namespace {

Deadline soon() { return Deadline::inMillis(60'000); }

Result<ExecResult> exec(Host& host, std::vector<std::string> argv) {
    ExecRequest request;
    request.argv = std::move(argv);
    return await<ExecResult>(
        [&](Done<ExecResult> done) { return host.exec(std::move(request), soon(), std::move(done)); }, 60'000);
}

Result<Deployed> deployEngine(Host& host, std::vector<LaunchProgress>* progress = nullptr) {
    LaunchPlan plan;
    plan.needsEngine = true;
    return await<Deployed>(
        [&](Done<Deployed> done) {
            return deploy(
                host, plan, EngineChoice{},
                [progress](const LaunchProgress& now) {
                    if (progress != nullptr) {
                        progress->push_back(now);
                    }
                },
                std::move(done));
        },
        120'000);
}

}  // namespace

class TestEngineBundle : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void cleanup() { qunsetenv("TRAINYARD_ENGINE_BUNDLE"); }

    void bundle_arrivesOnceAndRuns() {
        const auto bundle = findEngineBundle();
        if (!bundle.ok()) {
            TRAINYARD_SKIP("the bundle was not built (target trainyard_engine_bundle)");
        }
        QVERIFY2(bundle->size < 70'000'000, std::to_string(bundle->size).c_str());
        QCOMPARE(*base::sha256File(bundle->archive), bundle->key);

        const test::Scratch scratch;
        HostOptions options;
        options.workFolder = (scratch / "the work").string();
        Host host(options);
        std::vector<LaunchProgress> progress;
        const auto deployed = deployEngine(host, &progress);
        QVERIFY2(deployed.ok(), deployed.ok() ? "" : deployed.error().message.c_str());
        QCOMPARE(deployed->engine, (scratch / "the work/engines" / bundle->key / "bin/trainyard-engine").string());
        QVERIFY(!progress.empty());
        QCOMPARE(progress.back().bytesTotal > 0 ? progress.back().bytesDone : 0, progress.back().bytesTotal);

        // From a path with spaces and other letters, through its own loader, whatever this machine preloads.
        const auto inspected = exec(host, {"/usr/bin/env", "LD_LIBRARY_PATH=/nowhere", deployed->engine, "inspect"});
        QVERIFY(inspected.ok());
        QVERIFY2(inspected->exit == 0, (inspected->out + inspected->err).c_str());
        const base::Json inspect = *base::parseJson(inspected->out);
        QCOMPARE(inspect["blas"]["name"], base::Json("OpenBLAS"));
        QCOMPARE(inspect["cuda"], base::Json(false));
        const std::string folder = (scratch / "the work/engines" / bundle->key).string();
        const auto maps = exec(host, {folder + "/lib/ld-linux-x86-64.so.2", "--inhibit-cache", "--library-path",
                                      folder + "/lib", "--list", folder + "/lib/trainyard-engine"});
        QVERIFY(maps.ok());
        std::size_t libraries = 0;
        for (std::size_t at = 0; (at = maps->out.find("=> ", at)) != std::string::npos; at += 3) {
            ++libraries;
            QVERIFY2(maps->out.compare(at + 3, folder.size(), folder) == 0, maps->out.substr(at, 200).c_str());
        }
        QVERIFY2(libraries >= 20, maps->out.c_str());

        progress.clear();
        const auto again = deployEngine(host, &progress);
        QVERIFY(again.ok());
        QCOMPARE(again->engine, deployed->engine);
        for (const LaunchProgress& step : progress) {
            QCOMPARE(step.bytesTotal, std::int64_t{0});
        }
    }

    void bundle_thatIsDamagedLeavesNothing() {
        const test::Scratch scratch;
        const base::Path archive =
            scratch.write("bundle.tar.zst", std::string("\x28\xb5\x2f\xfd", 4) + std::string(5000, 'x'));
        qputenv("TRAINYARD_ENGINE_BUNDLE", QByteArray::fromStdString(archive.string()));
        HostOptions options;
        options.workFolder = (scratch / "work").string();
        Host host(options);
        const auto deployed = deployEngine(host);
        QVERIFY(!deployed.ok());
        QVERIFY2(deployed.error().message.find("damaged") != std::string::npos, deployed.error().message.c_str());
        std::error_code missing;
        for (const auto& entry : std::filesystem::directory_iterator(scratch / "work/engines", missing)) {
            QFAIL(entry.path().c_str());
        }
    }
};

QTEST_GUILESS_MAIN(TestEngineBundle)
#include "tst_EngineBundle.moc"
