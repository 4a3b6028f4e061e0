// The command line as people and scripts see it: transcripts compared with tests/cli/golden, exit codes, signals.
// TRAINYARD_UPDATE_GOLDEN=1 writes the transcripts anew.
#include <signal.h>

#include <QProcess>
#include <QTest>
#include <algorithm>
#include <memory>

#include "tests/cli/CliRig.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Signal.h"
#include "tests/helpers/Skip.h"
#include "tests/helpers/Wait.h"

using namespace trainyard;
using base::Json;
using test::Arguments;
using test::cli;

class TestCli : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        m_workspace = (*m_scratch / "w").string();
        qunsetenv("TRAINYARD_WORKSPACE");
        m_transcript = std::make_unique<test::Transcript>(*m_scratch);
    }
    void cleanup() { QVERIFY2(m_guard.noneLeft(10'000), m_guard.report().c_str()); }

    void golden_usage() {
        say({"--help"});
        say({});
        say({"fly"});
        say({"run", "--help"});
        say({"run", "submit", "--help"});
        say({"run", "list", "--help"});
        say({"run", "tag", "--help"});
        say({"run", "rename", "1"});
        say({"run", "fly", "--json"});
        say({"run", "list", "--", "true"});
        say({"run", "submit", "--"});
        compare("usage");
    }

    void golden_workspace() {
        say({"workspace", "open"});
        say({"run", "list"});
        say({"workspace", "open", (*m_scratch / "nothing").string()});
        say({"workspace", "init", m_workspace, "--name", "Clothes"});
        say({"workspace", "init", m_workspace});
        say({"workspace", "show"});
        say({"workspace", "recent", "--json"});
        say({"workspace", "forget", m_workspace});
        say({"workspace", "show"});
        say({"workspace", "open", m_workspace});
        m_scratch->write("file", "x");
        say({"workspace", "init", (*m_scratch / "file").string()});
        compare("workspace");
    }

    void golden_runs() {
        QCOMPARE(cli({"workspace", "init", m_workspace}).exitCode, 0);
        say({"run", "list"});
        say({"run", "submit", "--wait", "--set", "name=first run", "--", "sh", "-c",
             "echo hello; echo 'and more' >&2; echo data > \"$TRAINYARD_OUTPUTS/data.txt\""});
        say({"run", "submit", "--wait", "--set", "experiment=bad", "--", "sh", "-c", "echo trouble; exit 4"});
        say({"run", "list"});
        say({"run", "list", "--filter", "state:failed"});
        say({"run", "list", "--filter", "duration>"});
        say({"run", "list", "--limit", "none"});
        say({"run", "show", "1"});
        say({"run", "show", "#2"});
        say({"run", "show", "first run"});
        say({"run", "show", "9"});
        say({"run", "logs", "1"});
        say({"run", "logs", "1", "--out", "stderr"});
        say({"run", "logs", "1", "--search", "MORE"});
        say({"run", "logs", "1", "--tail", "1"});
        say({"run", "logs", "1", "--follow"});
        say({"run", "watch", "2"});
        say({"run", "rename", "1", "best"});
        say({"run", "tag", "1", "--set", "quality=good", "--set", "seen"});
        say({"run", "tag", "1", "--remove", "seen"});
        say({"run", "tag", "1"});
        say({"run", "notes", "1", "--text", "Looks well."});
        say({"run", "show", "1"});
        say({"run", "archive", "2"});
        say({"run", "list"});
        say({"run", "list", "--archived", "only"});
        say({"run", "archive", "2", "--no-archived"});
        say({"run", "download", "1", (*m_scratch / "here").string()});
        say({"run", "download", "1", (*m_scratch / "here").string(), "--paths", "none.txt"});
        say({"run", "download", "2", (*m_scratch / "here").string()});
        say({"run", "cancel", "1"});
        say({"run", "resume", "1", "--wait"});
        say({"run", "delete", "2"});
        say({"run", "list"});
        say({"workspace", "rebuild"});
        say({"run", "list"});
        compare("runs");
        QCOMPARE(m_scratch->read("here/data.txt"), "data\n");
    }

    void golden_specs() {
        QCOMPARE(cli({"workspace", "init", m_workspace}).exitCode, 0);
        const std::string data = m_scratch->write("data.gz", "x").string();
        Arguments training{"run", "submit"};
        for (const char* key : {"train_images", "train_labels", "val_images", "val_labels"}) {
            training.insert(training.end(), {"--set", "task.dataset." + std::string(key) + "=" + data});
        }
        for (const char* wrong : {"task.epochs=-1", "task.epochs=many", "task.epoch=1", "task.model.family=transformer",
                                  "task.dataset.val_labels=/nowhere/labels.gz"}) {
            Arguments arguments = training;
            arguments.insert(arguments.end(), {"--set", wrong});
            say(arguments);
        }
        say({"run", "submit", "--set", "nonsense"});
        say({"run", "submit", "--file", (*m_scratch / "none.json").string()});
        const std::string broken = m_scratch->write("broken.json", "{\"format\": ").string();
        say({"run", "submit", "--file", broken});
        const std::string newer =
            m_scratch->write("newer.json", R"({"format":"trainyard.run-spec","version":99})").string();
        say({"run", "submit", "--file", newer});
        const std::string good =
            m_scratch
                ->write(
                    "good.json",
                    R"({"format":"trainyard.run-spec","version":1,"experiment":"e","task":{"kind":"command","command":["true"]}})")
                .string();
        say({"run", "submit", "--wait", "--file", good});
        say({"run", "submit", "--wait", "--file", good, "--set", "name=other", "--json"});
        say({"run", "submit", "--draft", "none"});
        say({"run", "check", "--file", good});
        say({"run", "duplicate", "1"});
        compare("specs");
    }

    void golden_json() {
        say({"workspace", "init", m_workspace, "--json"});
        say({"run", "submit", "--json", "--wait", "--", "sh", "-c",
             "echo one; echo two; echo x > \"$TRAINYARD_OUTPUTS/x\""});
        say({"run", "list", "--json"});
        say({"run", "logs", "1", "--json"});
        say({"run", "logs", "1", "--json", "--follow"});
        say({"run", "show", "nobody", "--json"});
        say({"run", "submit", "--json", "--wait", "--", "false"});
        say({"run", "submit", "--json", "--set", "task.epochs=x"});
        say({"run", "delete", "2", "--json"});
        compare("json");
    }

    void model_registerListDownloadExport() {
        if (!std::filesystem::exists("/usr/share/datasets/fashion-mnist") ||
            !std::filesystem::exists(test::builtProgram("trainyard-engine"))) {
            TRAINYARD_SKIP("Needs trainyard-engine and the package dataset-fashion-mnist.");
        }
        const Json made = test::cliJson({"workspace", "init", m_workspace, "--sample"});
        QVERIFY(made.contains("sample"));
        const Json checked = test::cliJson({"run", "check", "--draft", "fashion-mnist"});
        QVERIFY2(checked.contains("peak_memory_bytes"), checked.dump().c_str());
        const auto said = cli({"run", "check", "--draft", "fashion-mnist"});
        QVERIFY2(said.out.starts_with("It fits.\n") && said.out.find("An epoch") != std::string::npos,
                 said.out.c_str());
        QVERIFY2(said.out.find("Address space") == std::string::npos, said.out.c_str());
        // What limits is named: the memory that is free is not all that a process may have.
        const auto bound =
            test::runProgram("/bin/sh", {"-c", "ulimit -v 4718592; exec \"$0\" run check --draft fashion-mnist",
                                         test::builtProgram("trainyard-cli").string()});
        QVERIFY2(bound.out.find("of 4.5 GiB that ulimit -v leaves each process") != std::string::npos,
                 (bound.out + bound.err).c_str());
        const Json run =
            test::cliJson({"run", "submit", "--wait", "--draft", "fashion-mnist", "--set", "task.epochs=1", "--set",
                           "task.dataset.train_limit=1000", "--set", "task.dataset.val_limit=200"});
        QCOMPARE(run.value("state", std::string()), "Completed");
        QCOMPARE(test::cliJson({"model", "register", "1", "--name", "clothes"}).value("model", std::string()),
                 "clothes:1");
        QCOMPARE(test::cliJson({"model", "list"}).at("models").size(), std::size_t{1});
        const auto text = cli({"model", "show", "clothes"});
        QVERIFY2(text.out.find("model.safetensors") != std::string::npos, text.out.c_str());
        const Json copied = test::cliJson({"model", "download", "clothes", "--to", (*m_scratch / "copy").string()});
        QVERIFY(std::filesystem::exists(*m_scratch / "copy/model.pt"));
        QVERIFY(copied.at("files").size() >= 3);
        const auto exported = cli({"model", "export", "clothes", "--out", (*m_scratch / "clothes.onnx").string()});
        if (exported.exitCode != 0 && exported.err.find("untime") != std::string::npos) {
            TRAINYARD_SKIP("No runtime that could prove the export is here.");
        }
        QVERIFY2(exported.exitCode == 0, exported.err.c_str());
        QVERIFY2(exported.out.find("largest difference") != std::string::npos, exported.out.c_str());
        QVERIFY(std::filesystem::file_size(*m_scratch / "clothes.onnx") > 1000);
        QCOMPARE(cli({"model", "show", "nothing"}).exitCode, 3);
        QCOMPARE(cli({"model", "delete", "clothes:1"}).exitCode, 0);
        QVERIFY(test::cliJson({"model", "list"}).at("models").empty());
    }

    void specFromStandardInput() {
        QCOMPARE(cli({"workspace", "init", m_workspace}).exitCode, 0);
        const auto ran =
            cli({"run", "submit", "--file", "-", "--wait", "--json"},
                R"({"format":"trainyard.run-spec","version":1,"task":{"kind":"command","command":["true"]}})");
        QCOMPARE(ran.exitCode, 0);
        const Json answer = base::parseJson(ran.out).value();
        QCOMPARE(answer.at("format").get<std::string>(), "trainyard.cli");
        QCOMPARE(answer.at("version").get<int>(), 1);
        QCOMPARE(answer.at("result").at("state").get<std::string>(), "Completed");
    }

    void exitCodes_areAsDocumented() {
        QCOMPARE(cli({"run", "list"}).exitCode, 7);
        QCOMPARE(cli({"workspace", "init", m_workspace}).exitCode, 0);
        QCOMPARE(cli({"run", "fly"}).exitCode, 2);
        QCOMPARE(cli({"run", "list", "--limit", "0"}).exitCode, 2);
        QCOMPARE(cli({"run", "show", "7"}).exitCode, 3);
        QCOMPARE(cli({"model", "show", "none"}).exitCode, 3);
        QCOMPARE(cli({"target", "show", "none"}).exitCode, 3);
        QCOMPARE(cli({"run", "submit", "--draft", "none"}).exitCode, 3);
        QCOMPARE(cli({"run", "submit", "--set", "task.epochs=0"}).exitCode, 4);
        QCOMPARE(cli({"target", "add", "x", "--kind", "ssh"}).exitCode, 4);
        QCOMPARE(cli({"run", "submit", "--wait", "--", "true"}).exitCode, 0);
        QCOMPARE(cli({"run", "submit", "--wait", "--", "false"}).exitCode, 5);
        QCOMPARE(cli({"run", "watch", "2"}).exitCode, 5);
        QCOMPARE(cli({"model", "register", "1"}).exitCode, 1);
    }

    /// `run wait` can stand where the training itself would stand in a script.
    void wait_endsAsTheRunDid() {
        QCOMPARE(cli({"workspace", "init", m_workspace}).exitCode, 0);
        QCOMPARE(cli({"run", "submit", "--", "sh", "-c", "echo first; echo second; exit 42"}).exitCode, 0);
        const auto failed = cli({"run", "wait", "1"});
        QCOMPARE(failed.exitCode, 42);
        QVERIFY2(failed.out.find("first\nsecond\n") != std::string::npos, failed.out.c_str());
        QCOMPARE(cli({"run", "wait", "1", "--json"}).exitCode, 42);
        QCOMPARE(cli({"run", "submit", "--", "sh", "-c", "kill -9 $$"}).exitCode, 0);
        QCOMPARE(cli({"run", "wait", "2"}).exitCode, 128 + SIGKILL);
        QCOMPARE(cli({"run", "submit", "--", "true"}).exitCode, 0);
        QCOMPARE(cli({"run", "wait", "3"}).exitCode, 0);
        QCOMPARE(cli({"run", "submit", "--", "sleep", "600"}).exitCode, 0);
        QCOMPARE(cli({"run", "cancel", "4", "--wait"}).exitCode, 0);
        QCOMPARE(cli({"run", "wait", "4"}).exitCode, 6);
    }

    void runs_areFoundByTheBeginningOfTheirIds() {
        QCOMPARE(cli({"workspace", "init", m_workspace}).exitCode, 0);
        const std::string first = test::cliJson({"run", "submit", "--wait", "--", "true"}).at("run").get<std::string>();
        const std::string second =
            test::cliJson({"run", "submit", "--wait", "--", "true"}).at("run").get<std::string>();
        std::size_t common = 0;
        while (common < first.size() && first[common] == second[common]) {
            ++common;
        }
        const std::string prefix = first.substr(0, std::max<std::size_t>(common + 1, 6));
        for (const Arguments& arguments :
             {Arguments{"run", "show", prefix}, Arguments{"run", "logs", prefix}, Arguments{"run", "watch", prefix},
              Arguments{"run", "wait", prefix}, Arguments{"run", "files", prefix},
              Arguments{"run", "duplicate", prefix}, Arguments{"run", "rename", prefix, "renamed"},
              Arguments{"run", "compare", prefix, second}}) {
            const auto ran = cli(arguments);
            QVERIFY2(ran.exitCode == 0, (arguments[1] + ": " + ran.err).c_str());
        }
        const auto both = cli({"run", "show", first.substr(0, common)});
        QCOMPARE(both.exitCode, 3);
    }

    /// What a run took is no difference of what it computed: times stand apart.
    void compare_tellsTimesApart() {
        QCOMPARE(cli({"workspace", "init", m_workspace}).exitCode, 0);
        for (const auto& [loss, seconds] : {std::pair{"0.5", "1.5"}, {"0.5", "2.5"}, {"0.25", "2.5"}}) {
            std::string script;
            for (const auto& [name, value] : {std::pair{"loss", loss}, {"step_seconds", seconds}}) {
                script += std::string("echo '{\"kind\":\"metric\",\"name\":\"") + name + "\",\"value\":" + value +
                          ",\"step\":1}' >> \"$TRAINYARD_STREAM\"; ";
            }
            QCOMPARE(cli({"run", "submit", "--wait", "--", "sh", "-c", script}).exitCode, 0);
        }
        const std::string same = cli({"run", "compare", "1", "2"}).out;
        QVERIFY2(same.find("Metrics: the same\nOutcome: the same\n") != std::string::npos, same.c_str());
        QVERIFY2(same.ends_with("Times and rates, which do not count:\n  step_seconds (rank 0): 1.5 -> 2.5\n"),
                 same.c_str());
        const std::string other = cli({"run", "compare", "2", "3"}).out;
        QVERIFY2(other.find("Metrics: differ\n  loss (rank 0): 0.5 -> 0.25\nOutcome: the same\n") != std::string::npos,
                 other.c_str());
        QVERIFY2(other.ends_with("Outcome: the same\n"), other.c_str());
    }

    void exitCode_ofACanceledRun() {
        QCOMPARE(cli({"workspace", "init", m_workspace}).exitCode, 0);
        QProcess waiting;
        startCli(waiting, {"run", "submit", "--wait", "--", "sleep", "60"});
        QVERIFY(test::waitFor([&] { return stateOf("1") == "Running"; }, 10'000));
        QCOMPARE(cli({"run", "cancel", "1"}).exitCode, 0);
        QVERIFY(test::waitFor([&] { return waiting.state() == QProcess::NotRunning; }, 15'000));
        QCOMPARE(waiting.exitCode(), 6);
        QCOMPARE(cli({"run", "watch", "1"}).exitCode, 6);
    }

    void interrupt_leavesTheRunAndSaysHowToComeBack() {
        QCOMPARE(cli({"workspace", "init", m_workspace}).exitCode, 0);
        QProcess waiting;
        startCli(waiting, {"run", "submit", "--wait", "--", "sh", "-c", "sleep 1.5; echo over"});
        QVERIFY(test::waitFor([&] { return stateOf("1") == "Running"; }, 10'000));
        test::sendSignal(waiting, SIGINT);
        QVERIFY(test::waitFor([&] { return waiting.state() == QProcess::NotRunning; }, 5000));
        QCOMPARE(waiting.exitCode(), 130);
        const QString said = QString::fromUtf8(waiting.readAllStandardError());
        QVERIFY2(said.contains(QStringLiteral("trainyard-cli run watch 1")), qPrintable(said));
        QCOMPARE(stateOf("1"), "Running");
        const auto watched = cli({"run", "watch", "1", "--log"});
        QCOMPARE(watched.exitCode, 0);
        QVERIFY(watched.out.find("over") != std::string::npos);
    }

    void manyAtOnce_getTheirOwnNumbers() {
        QCOMPARE(cli({"workspace", "init", m_workspace}).exitCode, 0);
        constexpr int kPrograms = 6;
        std::vector<std::unique_ptr<QProcess>> programs;
        for (int i = 0; i < kPrograms; ++i) {
            programs.push_back(std::make_unique<QProcess>());
            startCli(*programs.back(), {"run", "submit", "--wait", "--json", "--", "echo", "hi"});
        }
        std::vector<int> numbers;
        for (const auto& program : programs) {
            QVERIFY(test::waitFor([&] { return program->state() == QProcess::NotRunning; }, 30'000));
            QCOMPARE(program->exitCode(), 0);
            const Json answer = base::parseJson(program->readAllStandardOutput().toStdString()).value();
            QCOMPARE(answer.at("result").at("state").get<std::string>(), "Completed");
            numbers.push_back(answer.at("result").at("number").get<int>());
        }
        std::sort(numbers.begin(), numbers.end());
        QCOMPARE(numbers, (std::vector<int>{1, 2, 3, 4, 5, 6}));
    }

    void progress_isDrawnOnATerminalOnly() {
        QCOMPARE(cli({"workspace", "init", m_workspace}).exitCode, 0);
        const std::string script =
            "for i in 1 2 3 4; do echo "
            "'{\"kind\":\"progress\",\"stage\":\"train\",\"epoch\":1,\"epochs\":2,\"step\":'$i',"
            "\"steps\":8,\"done\":'$i',\"total\":8,\"unit\":\"steps\",\"rate\":5.5,\"eta_ns\":61000000000}' >> "
            "\"$TRAINYARD_STREAM\"; "
            "echo '{\"kind\":\"metric\",\"name\":\"train/loss\",\"value\":0.5,\"step\":'$i'}' >> "
            "\"$TRAINYARD_STREAM\"; "
            "sleep 0.2; done";
        const Arguments arguments{"run", "submit", "--wait", "--", "sh", "-c", script};
        const auto plain = cli(arguments);
        QCOMPARE(plain.exitCode, 0);
        QVERIFY(plain.err.find('\r') == std::string::npos && plain.err.find("epoch") == std::string::npos);
        test::TerminalCall call(arguments);
        QCOMPARE(call.exitCode(), 0);
        const std::string& drawn = call.shown();
        for (const char* part :
             {"epoch 1/2", "step 4/8", "[##########----------]", "5.5 steps/s", "1 min 01 s left", "loss 0.5"}) {
            QVERIFY2(drawn.find(part) != std::string::npos, (std::string(part) + " in " + drawn).c_str());
        }
    }

private:
    void startCli(QProcess& process, const Arguments& arguments) {
        QStringList list;
        for (const std::string& argument : arguments) {
            list << QString::fromStdString(argument);
        }
        process.start(QString::fromStdString(test::builtProgram("trainyard-cli").string()), list);
        QVERIFY(process.waitForStarted());
    }

    std::string stateOf(const std::string& run) {
        const auto answer = base::parseJson(cli({"run", "show", run, "--json"}).out);
        return answer.ok() && answer->contains("result") ? answer->at("result").at("state").get<std::string>() : "";
    }

    void say(const Arguments& arguments) { m_transcript->say(arguments); }
    void compare(const char* name) {
        const QByteArray difference = m_transcript->difference(name);
        QVERIFY2(difference.isEmpty(), difference.constData());
    }

    test::ChildGuard m_guard;
    std::unique_ptr<test::Scratch> m_scratch;
    std::string m_workspace;
    std::unique_ptr<test::Transcript> m_transcript;
};

QTEST_GUILESS_MAIN(TestCli)
#include "tst_Cli.moc"
