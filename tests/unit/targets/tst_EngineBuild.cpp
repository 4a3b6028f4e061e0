// Building the engine on a host: the sources' way there, the build's log, its answer, its errors and its end. What
// compiles is tested by tests/package/build_engine.sh; here a small script stands for it, on this machine's own agent.
#include <QtTest>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/base/Text.h"
#include "core/targets/EngineBuild.h"
#include "core/targets/EngineChoice.h"
#include "tests/helpers/Await.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Wait.h"

using namespace trainyard;
using namespace trainyard::targets;
using test::waitFor;

namespace {

/// An archive of engine sources whose build-engine.sh is `script`.
void packSources(const test::Scratch& scratch, const std::string& script) {
    (void) scratch.write("sources/build-engine.sh", "#!/bin/sh\n" + script);
    const auto packed = test::runProgram(
        "/bin/tar", {"-czf", (scratch / "src.tar.gz").string(), "-C", (scratch / "sources").string(), "."});
    QCOMPARE(packed.exitCode, 0);
    qputenv("TRAINYARD_ENGINE_SOURCES", QByteArray::fromStdString((scratch / "src.tar.gz").string()));
}

struct Built {
    std::optional<Result<base::Json>> result;
    std::vector<std::string> lines;
    OperationPtr operation;
};

void start(Built& built, Host& host, EngineBuildOptions options = {}) {
    built.operation = buildEngine(
        host, std::move(options), [&](const std::string& line) { built.lines.push_back(line); },
        [&](const Result<base::Json>& result) { built.result = result; });
}

HostOptions here(const test::Scratch& scratch) {
    HostOptions options;
    options.workFolder = (scratch / "the work").string();
    return options;
}

}  // namespace

class TestEngineBuild : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void cleanup() { qunsetenv("TRAINYARD_ENGINE_SOURCES"); }

    void build_bringsTheSourcesAndTheAnswer() {
        const test::Scratch scratch;
        packSources(scratch, "printf '%s\\n' \"$@\" >\"$(dirname \"$0\")/../arguments\"\n"
                             "echo 'one'; echo 'two' >&2; printf 'three\\rfour'; sleep 0.2; echo\n"
                             "echo 'RESULT {\"key\":\"k\",\"cuda\":true,\"built\":true}'\n");
        Host host(here(scratch));
        Built built;
        EngineBuildOptions options;
        // Nothing of a definition reaches a shell as anything but an argument.
        options.torch = "/opt/a b'; touch \"$(pwd)/canary\" `id` $HOME";
        options.python = "-c import os";
        options.cuda = true;
        start(built, host, options);
        QVERIFY(waitFor([&] { return built.result.has_value(); }, 30000));
        QVERIFY2(built.result->ok(), built.result->ok() ? "" : built.result->error().message.c_str());
        QCOMPARE((**built.result)["key"], base::Json("k"));
        std::vector<std::string> said = built.lines;
        for (const char* line : {"one", "two", "three", "four"}) {
            QVERIFY2(std::ranges::find(said, line) != said.end(), line);
        }
        QVERIFY(std::ranges::none_of(said, [](const std::string& line) { return line.starts_with("RESULT"); }));
        std::vector<std::string> arguments = base::split(scratch.read("the work/build/arguments"), '\n');
        arguments.pop_back();
        const auto sources = findEngineSources();
        QVERIFY(sources.ok());
        QCOMPARE(arguments, (std::vector<std::string>{"--work", host.workFolder(), "--sources", sources->sha256,
                                                      "--python", options.python, "--torch", options.torch, "--cuda"}));
        QVERIFY(!std::filesystem::exists(scratch / "the work/canary"));
    }

    void build_sameSourcesAreUnpackedOnce() {
        const test::Scratch scratch;
        packSources(scratch, "echo x >>\"$(dirname \"$0\")/times\"; echo 'RESULT {\"key\":\"k\"}'\n");
        Host host(here(scratch));
        (void) scratch.write("the work/build/sources-older/VERSION", "0.0.1");
        (void) scratch.write("the work/build/sources-newer/VERSION", "0.0.2");
        const auto twoDaysAgo = std::filesystem::file_time_type::clock::now() - std::chrono::hours(48);
        std::filesystem::last_write_time(scratch / "the work/build/sources-older", twoDaysAgo);
        for (int i = 0; i < 2; ++i) {
            Built built;
            start(built, host);
            QVERIFY(waitFor([&] { return built.result.has_value(); }, 30000));
            QVERIFY2(built.result->ok(), built.result->ok() ? "" : built.result->error().message.c_str());
        }
        QVERIFY(!std::filesystem::exists(scratch / "the work/build/sources-older"));
        QVERIFY(std::filesystem::exists(scratch / "the work/build/sources-newer"));
        QCOMPARE(scratch.read("the work/build/sources-" + findEngineSources()->sha256 + "/times"),
                 std::string("x\nx\n"));
    }

    void build_errorsKeepTheirCode_data() {
        QTest::addColumn<QString>("script");
        QTest::addColumn<QString>("code");
        QTest::addColumn<QString>("part");
        QTest::newRow("named") << QStringLiteral("echo 'ERROR engine.tools Missing: cmake'; exit 1\n")
                               << QStringLiteral("engine.tools") << QStringLiteral("Missing: cmake");
        QTest::newRow("only a status") << QStringLiteral("echo 'some compiler said no'; exit 7\n")
                                       << QStringLiteral("engine.compile")
                                       << QStringLiteral("status 7: some compiler said no");
        QTest::newRow("a signal") << QStringLiteral("kill -9 $$\n") << QStringLiteral("engine.compile")
                                  << QStringLiteral("signal 9");
        QTest::newRow("no result") << QStringLiteral("exit 0\n") << QStringLiteral("engine.compile")
                                   << QStringLiteral("status 0");
        QTest::newRow("garbage") << QStringLiteral("echo 'RESULT {'\n") << QStringLiteral("json.syntax") << QString();
    }
    void build_errorsKeepTheirCode() {
        QFETCH(QString, script);
        QFETCH(QString, code);
        QFETCH(QString, part);
        const test::Scratch scratch;
        packSources(scratch, script.toStdString());
        Host host(here(scratch));
        Built built;
        start(built, host);
        QVERIFY(waitFor([&] { return built.result.has_value(); }, 30000));
        QVERIFY(!built.result->ok());
        const base::Error& error = built.result->error();
        QCOMPARE(QString::fromStdString(error.code), code);
        QVERIFY2(QString::fromStdString(error.message).contains(part), error.message.c_str());
    }

    void build_endsWithItsOperation() {
        const test::Scratch scratch;
        packSources(scratch,
                    "echo $$ >\"$(dirname \"$0\")/../pid\"; trap 'rm \"$(dirname \"$0\")/../pid\"; exit 143' TERM HUP\n"
                    "echo begun; sleep 300 & wait\n");
        Host host(here(scratch));
        Built built;
        start(built, host);
        QVERIFY(waitFor([&] { return std::ranges::find(built.lines, "begun") != built.lines.end(); }, 30000));
        const int pid = std::stoi(scratch.read("the work/build/pid"));
        built.operation.reset();
        QVERIFY2(waitFor([&] { return ::kill(pid, 0) != 0; }, 15000), "the build goes on");
        QVERIFY2(!std::filesystem::exists(scratch / "the work/build/pid"), "the build was not asked to clean up");
        QVERIFY(!built.result.has_value());
    }

    void choice_takesTheRightEngine() {
        const test::Scratch scratch;
        packSources(scratch, "exit 0\n");
        const std::string own = findEngineSources()->sha256;
        Host host(here(scratch));
        const auto choose = [&](const char* setting, bool cuda) {
            return test::await<ChosenEngine>([&](Done<ChosenEngine> done) {
                return chooseEngine(host, {setting, cuda}, Deadline::inMillis(20'000), std::move(done));
            });
        };
        const auto put = [&](const std::string& key, bool cuda, bool bundle, const std::string& sources) {
            base::Json description = {
                {"format", "trainyard.engine"}, {"version", 1}, {"cuda", cuda}, {"bundle", bundle}};
            if (!sources.empty()) {
                description["sources"] = sources;
            }
            (void) scratch.write("the work/engines/" + key + "/engine.json", base::dumpJson(description));
            (void) scratch.write("the work/engines/" + key + "/bin/trainyard-engine", "");
        };
        QVERIFY(test::await<void>([&](DoneStatus done) {
                    return host.connect(Deadline::inMillis(20'000), std::move(done));
                }).ok());
        const auto sentence = [](const Result<ChosenEngine>& chosen) {
            return chosen.ok() ? "took " + chosen->key : chosen.error().message;
        };

        QCOMPARE(choose("auto", true).error().code, std::string("target.engine"));
        put("bundle", false, true, {});
        put("plain", false, false, own);
        const auto none = choose("auto", true);
        QVERIFY2(!none.ok() && none.error().message.find("never falls back") != std::string::npos,
                 sentence(none).c_str());
        const auto plain = choose("built", false);
        QVERIFY2(plain.ok() && plain->key == "plain", sentence(plain).c_str());
        put("older", true, false, "another");
        const auto older = choose("auto", true);
        QVERIFY2(!older.ok() && older.error().message.find("another version") != std::string::npos,
                 sentence(older).c_str());
        put("cuda", true, false, own);
        const auto chosen = choose("auto", true);
        QVERIFY2(chosen.ok() && chosen->key == "cuda" && !chosen->fromBundle, sentence(chosen).c_str());
        QCOMPARE(chosen->program, (scratch / "the work/engines/cuda/bin/trainyard-engine").string());
        QCOMPARE(choose("/opt/engine", true)->program, std::string("/opt/engine"));
    }

    void build_saysWhereSourcesShouldBe() {
        const test::Scratch scratch;
        qputenv("TRAINYARD_ENGINE_SOURCES", QByteArray::fromStdString((scratch / "missing").string()));
        Host host(here(scratch));
        Built built;
        start(built, host);
        QVERIFY(waitFor([&] { return built.result.has_value(); }, 30000));
        QCOMPARE(built.result->error().code, std::string("target.program"));
        QVERIFY(!std::filesystem::exists(scratch / "the work/build"));
    }
};

QTEST_GUILESS_MAIN(TestEngineBuild)
#include "tst_EngineBuild.moc"
