// What `check` says before a launch, against arithmetic and against what the run then takes.
#include <QtTest>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "core/base/Clock.h"
#include "core/engine/inspect/Preflight.h"
#include "tests/helpers/Children.h"
#include "tests/unit/engine/Bench.h"

using namespace trainyard;
using namespace trainyard::engine;
using base::Json;
using test::Bench;

namespace {

constexpr std::int64_t kMiB = std::int64_t{1} << 20;

/// The last line: what stands before it is progress.
Json answerOf(const test::ProgramResult& ran) {
    const std::string text = ran.out.substr(0, ran.out.find_last_not_of('\n') + 1);
    const std::size_t line = text.rfind('\n');
    return base::parseJson(line == std::string::npos ? text : text.substr(line + 1)).valueOr(Json::object());
}

std::string firstMessage(const Json& answer, const char* severity) {
    for (const Json& message : answer.value("messages", Json::array())) {
        if (message["severity"] == severity) {
            return message["field"].get<std::string>() + ": " + message["text"].get<std::string>();
        }
    }
    return {};
}

}  // namespace

class TestPreflight : public QObject {
    Q_OBJECT

    Bench m_bench;
    test::ChildGuard m_guard;

    [[nodiscard]] test::ProgramResult check(const Json& spec, const std::string& shellBefore = {}) const {
        const base::Path request = m_bench.scratch().write("request.json", base::dumpJson(Json{{"spec", spec}}));
        const base::Path engine = test::builtProgram("trainyard-engine");
        test::ProgramOptions options;
        options.timeoutMillis = 120'000;
        if (shellBefore.empty()) {
            return test::runProgram(engine, {"check", "--request", request.string()}, options);
        }
        return test::runProgram(
            "/bin/bash",
            {"-c", shellBefore + "; exec \"$0\" check --request \"$1\"", engine.string(), request.string()}, options);
    }

    /// Peak resident memory of a training by the real program, in bytes; 0 when it failed.
    [[nodiscard]] std::int64_t trainedPeak(const std::string& name, const Json& spec) const {
        const base::Path file = m_bench.scratch().write(name + "/spec.json", base::dumpJson(spec));
        const std::string engine = test::builtProgram("trainyard-engine").string();
        const std::string outputs = m_bench.folder(name).string();
        const pid_t child = ::fork();
        if (child == 0) {
            ::setenv("TRAINYARD_OUTPUTS", outputs.c_str(), 1);
            ::unsetenv("TRAINYARD_STREAM");
            ::execl(engine.c_str(), engine.c_str(), "train", "--spec", file.c_str(), nullptr);
            ::_exit(127);
        }
        int status = 0;
        rusage usage{};
        const auto deadline = base::Deadline::inMillis(120'000);
        while (::wait4(child, &status, WNOHANG, &usage) == 0) {
            if (deadline.passed()) {
                ::kill(child, SIGKILL);
            }
            QTest::qSleep(10);
        }
        return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? std::int64_t{usage.ru_maxrss} * 1024 : 0;
    }

private Q_SLOTS:
    void cleanup() { QVERIFY2(m_guard.noneLeft(), m_guard.report().c_str()); }

    void pace_goesOnEvenly() {
        const Pace pace{2.0, 4, 0.25};
        QCOMPARE(pace.whole(4), 2.0);
        QCOMPARE(pace.whole(10), 3.5);
        QCOMPARE(pace.whole(2), 1.0);
        QCOMPARE((Pace{0.5, 0, 0.25}).whole(8), 2.5);
        QCOMPARE(Pace{}.whole(100), 0.0);
    }

    void memory_isAFixedPartAndOneASample() {
        const MemoryModel model({8, 300 * kMiB, 310 * kMiB}, {64, 860 * kMiB, 870 * kMiB}, 1000, 50 * kMiB);
        QCOMPARE(model.perSample(), 10 * kMiB);
        QCOMPARE(model.at(64), 920 * kMiB);
        QCOMPARE(model.at(100), (920 + 360) * kMiB);
        QCOMPARE(model.mostWithin(920 * kMiB), std::int64_t{64});
        QCOMPARE(model.mostWithin(1000 * kMiB), std::int64_t{72});
        QCOMPARE(model.mostWithin(999 * kMiB), std::int64_t{71});
        QCOMPARE(model.mostWithin(500 * kMiB), std::int64_t{22});
        QCOMPARE(model.mostWithin(300 * kMiB), std::int64_t{0});
        for (const std::int64_t bytes : {400, 777, 5000}) {
            const std::int64_t most = model.mostWithin(bytes * kMiB);
            QVERIFY(model.at(most) <= bytes * kMiB);
            QVERIFY(model.at(most + 1) > bytes * kMiB);
        }
    }

    void memory_ofSamplesIsNeverFree() {
        // The larger batch took less by chance.
        const MemoryModel model({8, 301 * kMiB, 301 * kMiB}, {64, 300 * kMiB, 300 * kMiB}, kMiB, 0);
        QCOMPARE(model.perSample(), kMiB);
        QVERIFY(model.mostWithin(400 * kMiB) == 164);
        // Where validation takes more than small batches, the smaller batch takes no less than that.
        const MemoryModel flat({8, 100 * kMiB, 500 * kMiB}, {64, 156 * kMiB, 500 * kMiB}, 1, 0);
        QCOMPARE(flat.at(16), 500 * kMiB);
        QCOMPARE(flat.perSample(), kMiB);
    }

    void groups_leaveWhatTheirLimitsSay() {
        QCOMPARE(roomOfGroup("max\n", "1000\n", ""), std::int64_t{-1});
        QCOMPARE(roomOfGroup("9223372036854771712\n", "1000\n", ""), std::int64_t{-1});
        QCOMPARE(roomOfGroup("", "", ""), std::int64_t{-1});
        QCOMPARE(roomOfGroup("1000000\n", "400000\n", "anon 1\ninactive_file 100000\n"), std::int64_t{700000});
        QCOMPARE(roomOfGroup("1000000\n", "400000\n", "inactive_file 1\ntotal_inactive_file 100000\n"),
                 std::int64_t{700000});
        QCOMPARE(roomOfGroup("1000\n", "4000\n", ""), std::int64_t{0});
        const MemoryRoom room = memoryRoom();
        QVERIFY(room.freeBytes > 10 * kMiB);
        QVERIFY(room.limit == "machine" || room.limit == "cgroup");
    }

    void estimate_isWhatTheRunThenTakes() {
        Json spec = m_bench.spec();
        spec::setValueAt(spec, "task.epochs", 2);
        spec::setValueAt(spec, "task.model.options.width", 16);
        const auto ran = check(spec);
        const Json answer = answerOf(ran);
        QVERIFY2(ran.exitCode == 0, ran.out.c_str());
        QVERIFY(ran.out.find("\"kind\":\"progress\"") != std::string::npos);
        QCOMPARE(answer["fits"], Json(true));
        QCOMPARE(answer["measured"], Json(true));
        QVERIFY(answer["largest_batch"].is_null());  // The data's size is the limit here.
        QCOMPARE(answer["messages"], Json::array());
        QVERIFY(answer["seconds_total"].get<double>() >
                answer["setup_seconds"].get<double>() + answer["seconds_per_epoch"].get<double>());
        QCOMPARE(answer["seconds_total"], answer["total_seconds"]);
        const auto estimate = answer["memory_bytes"].get<double>();
        const auto taken = static_cast<double>(trainedPeak("whole", spec));
        QVERIFY(taken > 0);
        const std::string both = std::to_string(estimate / taken);
        QVERIFY2(std::abs(estimate / taken - 1) < 0.1, both.c_str());
    }

    void ranks_areTriedTogether() {
        Json spec = m_bench.spec();
        spec::setValueAt(spec, "distribution.kind", "pytorch");
        spec::setValueAt(spec, "distribution.processes", 2);
        const base::Path temporary = m_bench.scratch() / "tmp";
        QVERIFY(base::makeDirs(temporary).ok());
        const auto two = answerOf(check(spec, "export TMPDIR='" + temporary.string() + "'"));
        QCOMPARE(two["processes"], Json(2));
        QCOMPARE(two["steps_per_epoch"], Json(63));
        QCOMPARE(two["fits"], Json(true));
        QVERIFY(two["memory_bytes"].get<std::int64_t>() > 200 * kMiB);
        QVERIFY(std::filesystem::is_empty(temporary));  // Trials leave nothing behind.
    }

    void batch_thatDoesNotFitIsRefusedWithTheLargestThatDoes() {
        // A limit of the kernel's, not a pretended one: nobody may have more address space than this.
        Json spec = m_bench.spec();
        spec::setValueAt(spec, "task.model.options.width", 96);
        spec::setValueAt(spec, "task.batch_size", 2005);
        constexpr const char* kLimit = "ulimit -v 4718592";
        const auto ran = check(spec, kLimit);
        const Json answer = answerOf(ran);
        QVERIFY2(ran.exitCode == 0, ran.out.c_str());
        QCOMPARE(answer["fits"], Json(false));
        QCOMPARE(answer["measured"], Json(false));
        QCOMPARE(answer["seconds_total"], Json(0.0));
        QVERIFY2(answer["largest_batch"].is_number_integer(), base::dumpJson(answer).c_str());
        QCOMPARE(answer["address_space_limit_bytes"], Json(std::int64_t{4718592} * 1024));
        QVERIFY2(answer["address_space_bytes"] > answer["address_space_limit_bytes"], base::dumpJson(answer).c_str());
        const auto most = answer["largest_batch"].get<std::int64_t>();
        const std::string said = firstMessage(answer, "error");
        QVERIFY2(said.starts_with("task.batch_size: A batch of 2005 needs about "), said.c_str());
        QVERIFY2(said.find("largest batch that fits is " + std::to_string(most)) != std::string::npos, said.c_str());
        QVERIFY2(said.find("task.accumulation") != std::string::npos && said.find("ulimit -v") != std::string::npos,
                 said.c_str());
        QVERIFY2(most >= 50 && most < 2005, said.c_str());
        // It is true, within the tenth that an estimate of memory may be wrong by: this one trains under the limit.
        spec::setValueAt(spec, "task.batch_size", most * 9 / 10);
        spec::setValueAt(spec, "task.epochs", 1);
        auto ranks = m_bench.start("most", spec, 1, kLimit);
        const int code = Bench::finish(*ranks.front());
        QVERIFY2(code == 0, (std::to_string(most) + ": " + std::to_string(code)).c_str());
    }

    void model_thatNeverFitsIsRefusedToo() {
        Json spec = m_bench.spec();
        spec::setValueAt(spec, "task.model.family", "mlp");
        spec::setValueAt(spec, "task.model.options", Json{{"hidden1", 16384}, {"hidden2", 16384}});
        const Json none = answerOf(check(spec, "ulimit -v 3145728"));
        QCOMPARE(none["fits"], Json(false));
        QVERIFY2(none["largest_batch"].is_null(), base::dumpJson(none).c_str());
        QVERIFY2(firstMessage(none, "error").find("smaller model") != std::string::npos, base::dumpJson(none).c_str());
    }

    void batch_largerThanTheDataIsSaid() {
        Json spec = m_bench.spec();
        spec::setValueAt(spec, "task.batch_size", 4000);
        const Json answer = answerOf(check(spec));
        QCOMPARE(answer["fits"], Json(true));
        QCOMPARE(answer["steps_per_epoch"], Json(1));
        QVERIFY(firstMessage(answer, "warning").find("larger than the training data") != std::string::npos);
    }

    void run_thatCouldNotBeginIsAnError() {
        Json spec = m_bench.spec();
        spec::setValueAt(spec, "task.dataset.train_images", "/nowhere/images");
        const auto wrong = check(spec);
        QCOMPARE(wrong.exitCode, 1);
        const Json error = answerOf(wrong);
        QCOMPARE(error["kind"], Json("error"));
        QCOMPARE(error["code"], Json("file.missing"));
        QCOMPARE(error["field"], Json("task.dataset.train_images"));
    }
};

QTEST_GUILESS_MAIN(TestPreflight)
#include "tst_Preflight.moc"
