#include <sys/stat.h>

#include <QTest>
#include <optional>

#include "core/runs/EngineCall.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Wait.h"

using namespace trainyard;
using namespace trainyard::runs;

class TestEngineCall : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() { m_scratch = std::make_unique<test::Scratch>(); }
    void cleanup() { QVERIFY2(m_guard.noneLeft(), m_guard.report().c_str()); }

    void result_afterProgress() {
        const auto answer = call(R"sh(
            echo '{"kind":"progress","done":1}'
            echo '{"kind":"progress","done":2}'
            printf '{"kind":"result","verb":"%s","request":%s}\n' "$1" "$(cat "$3")")sh");
        QVERIFY2(answer.ok(), answer.ok() ? "" : answer.error().message.c_str());
        QCOMPARE(answer->at("verb").get<std::string>(), "check");
        QCOMPARE(answer->at("request").at("a").get<int>(), 1);
        QCOMPARE(m_progress, 2);
    }
    void error_ofTheEngine() {
        const auto answer =
            call(R"(echo '{"kind":"error","code":"data.idx","message":"Bad.","field":"task"}'; exit 1)");
        QCOMPARE(answer.error(), (base::Error{"data.idx", "Bad.", "task"}));
    }
    void crash_bringsItsLastWords() {
        const auto answer = call("echo 'out of memory' >&2; kill -9 $$");
        QCOMPARE(answer.error().code, "engine.crashed");
        QVERIFY(answer.error().message.find("out of memory") != std::string::npos);
    }
    void silence_isNoAnswer() { QCOMPARE(call("exit 0").error().code, "engine.crashed"); }
    void nonsense_isNamed() { QCOMPARE(call("echo hello").error().code, "engine.protocol"); }
    void deadline_ends() { QCOMPARE(call("exec sleep 60", 200).error().code, "engine.deadline"); }
    void deadline_killsWhatDoesNotListen() {
        QCOMPARE(call("trap '' TERM; while :; do sleep 0.1; done", 100).error().code, "engine.deadline");
    }
    void missing_program() {
        EngineCall missing(*m_scratch / "nowhere");
        std::optional<base::Result<base::Json>> answer;
        connect(&missing, &EngineCall::done, this, [&](const auto& result) { answer = result; });
        missing.start("check", base::Json::object(), 5000);
        QVERIFY(!answer.has_value());
        QVERIFY(test::waitFor([&] { return answer.has_value(); }));
        QCOMPARE(answer->error().code, "engine.missing");
    }
    void cancel_atOnceAndLater() {
        for (const int wait : {0, 100}) {
            EngineCall running(program("exec sleep 60"));
            std::optional<base::Result<base::Json>> answer;
            connect(&running, &EngineCall::done, this, [&](const auto& result) { answer = result; });
            running.start("check", base::Json::object(), 30'000);
            if (wait > 0) {
                QTest::qWait(wait);
            }
            running.cancel();
            QVERIFY(test::waitFor([&] { return answer.has_value(); }));
            QCOMPARE(answer->error().code, "canceled");
        }
    }
    void destroyed_endsTheEngine() {
        auto running = std::make_unique<EngineCall>(program("exec sleep 60"));
        running->start("check", base::Json::object(), 30'000);
        QTest::qWait(100);
        running.reset();
        QVERIFY2(m_guard.noneLeft(1500), m_guard.report().c_str());
    }

private:
    base::Path program(const std::string& script) {
        const base::Path file = m_scratch->write("engine", "#!/bin/sh\n" + script + "\n");
        ::chmod(file.c_str(), 0700);
        return file;
    }
    base::Result<base::Json> call(const std::string& script, int deadline = 10'000) {
        m_progress = 0;
        EngineCall engine(program(script));
        std::optional<base::Result<base::Json>> answer;
        connect(&engine, &EngineCall::done, this, [&](const auto& result) { answer = result; });
        connect(&engine, &EngineCall::progressed, this, [&] { ++m_progress; });
        engine.start("check", base::Json{{"a", 1}}, deadline);
        if (!test::waitFor([&] { return answer.has_value(); }, 15'000)) {
            return base::Error{"test.timeout", "No answer came."};
        }
        return *answer;
    }

    test::ChildGuard m_guard;
    std::unique_ptr<test::Scratch> m_scratch;
    int m_progress = 0;
};

QTEST_GUILESS_MAIN(TestEngineCall)
#include "tst_EngineCall.moc"
