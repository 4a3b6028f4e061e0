// The command line as people and scripts see it: transcripts compared with tests/cli/golden, exit codes, signals.
// TRAINYARD_UPDATE_GOLDEN=1 writes the transcripts anew.
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QProcess>
#include <QRegularExpression>
#include <QTest>
#include <algorithm>

#include "core/base/Json.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Wait.h"
#include "tests/helpers/Skip.h"

using namespace trainyard;
using base::Json;

namespace {

using Arguments = std::vector<std::string>;

test::ProgramResult cli(const Arguments& arguments, const std::string& input = {}) {
    test::ProgramOptions options;
    options.input = input;
    return test::runProgram(test::builtProgram("trainyard-cli"), arguments, options);
}

}  // namespace

class TestCli : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        m_workspace = (*m_scratch / "w").string();
        qunsetenv("TRAINYARD_WORKSPACE");
        m_transcript.clear();
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
        const std::string newer = m_scratch->write("newer.json", R"({"format":"trainyard.run-spec","version":99})").string();
        say({"run", "submit", "--file", newer});
        const std::string good =
            m_scratch
                ->write("good.json", R"({"format":"trainyard.run-spec","version":1,"experiment":"e","task":{"kind":"command","command":["true"]}})")
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
        say({"run", "submit", "--json", "--wait", "--", "sh", "-c", "echo one; echo two; echo x > \"$TRAINYARD_OUTPUTS/x\""});
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
        const Json made = json({"workspace", "init", m_workspace, "--sample"});
        QVERIFY(made.contains("sample"));
        const Json checked = json({"run", "check", "--draft", "fashion-mnist"});
        QVERIFY2(checked.contains("peak_memory_bytes"), checked.dump().c_str());
        const Json run = json({"run", "submit", "--wait", "--draft", "fashion-mnist", "--set", "task.epochs=1", "--set",
                               "task.dataset.train_limit=1000", "--set", "task.dataset.val_limit=200"});
        QCOMPARE(run.value("state", std::string()), "Completed");
        QCOMPARE(json({"model", "register", "1", "--name", "clothes"}).value("model", std::string()), "clothes:1");
        QCOMPARE(json({"model", "list"}).at("models").size(), std::size_t{1});
        const auto text = cli({"model", "show", "clothes"});
        QVERIFY2(text.out.find("model.safetensors") != std::string::npos, text.out.c_str());
        const Json copied = json({"model", "download", "clothes", "--to", (*m_scratch / "copy").string()});
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
        QVERIFY(json({"model", "list"}).at("models").empty());
    }

    void specFromStandardInput() {
        QCOMPARE(cli({"workspace", "init", m_workspace}).exitCode, 0);
        const auto ran = cli({"run", "submit", "--file", "-", "--wait", "--json"},
                             R"({"format":"trainyard.run-spec","version":1,"task":{"kind":"command","command":["true"]}})");
        QCOMPARE(ran.exitCode, 0);
        const Json answer = base::parseJson(ran.out).value();
        QCOMPARE(answer.at("format").get<std::string>(), "trainyard.cli");
        QCOMPARE(answer.at("version").get<int>(), 1);
        QCOMPARE(answer.at("result").at("state").get<std::string>(), "Completed");
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
        ::kill(static_cast<pid_t>(waiting.processId()), SIGINT);
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
            "for i in 1 2 3 4; do echo '{\"kind\":\"progress\",\"stage\":\"train\",\"epoch\":1,\"epochs\":2,\"step\":'$i',"
            "\"steps\":8,\"done\":'$i',\"total\":8,\"unit\":\"steps\",\"rate\":5.5,\"eta_ns\":61000000000}' >> "
            "\"$TRAINYARD_STREAM\"; "
            "echo '{\"kind\":\"metric\",\"name\":\"train/loss\",\"value\":0.5,\"step\":'$i'}' >> \"$TRAINYARD_STREAM\"; "
            "sleep 0.2; done";
        const Arguments arguments{"run", "submit", "--wait", "--", "sh", "-c", script};
        const auto plain = cli(arguments);
        QCOMPARE(plain.exitCode, 0);
        QVERIFY(plain.err.find('\r') == std::string::npos && plain.err.find("epoch") == std::string::npos);
        const std::string drawn = onTerminal(arguments);
        for (const char* part : {"epoch 1/2", "step 4/8", "[##########----------]", "5.5 steps/s", "1 min 01 s left", "loss 0.5"}) {
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

    /// What the program writes to a pseudo-terminal of 200 columns.
    static std::string onTerminal(const Arguments& arguments) {
        winsize size{};
        size.ws_col = 200;
        size.ws_row = 50;
        int master = -1;
        const std::string program = test::builtProgram("trainyard-cli").string();
        std::vector<char*> argv{const_cast<char*>(program.c_str())};
        for (const std::string& argument : arguments) {
            argv.push_back(const_cast<char*>(argument.c_str()));
        }
        argv.push_back(nullptr);
        const pid_t child = ::forkpty(&master, nullptr, nullptr, &size);
        if (child == 0) {
            ::execv(program.c_str(), argv.data());
            ::_exit(127);
        }
        std::string out;
        char buffer[4096];
        // Reading ends with EIO once the program has.
        for (ssize_t got = 0; (got = ::read(master, buffer, sizeof buffer)) > 0;) {
            out.append(buffer, static_cast<std::size_t>(got));
        }
        ::close(master);
        ::waitpid(child, nullptr, 0);
        return out;
    }

    static Json json(Arguments arguments) {
        arguments.emplace_back("--json");
        const auto answer = base::parseJson(cli(arguments).out);
        return !answer.ok() ? Json() : answer->contains("result") ? answer->at("result") : *answer;
    }

    void say(const Arguments& arguments) {
        const auto ran = cli(arguments);
        QString shown = QStringLiteral("$ trainyard-cli");
        for (const std::string& argument : arguments) {
            const QString text = QString::fromStdString(argument);
            const bool plain = !text.isEmpty() && !text.contains(QRegularExpression(QStringLiteral("[\\s\"'$;<>{}#]")));
            shown += plain ? QStringLiteral(" ") + text : QStringLiteral(" '%1'").arg(text);
        }
        shown += QLatin1Char('\n') + QString::fromStdString(ran.out);
        for (const QString& line : QString::fromStdString(ran.err).split(QLatin1Char('\n'), Qt::SkipEmptyParts)) {
            shown += QStringLiteral("! ") + line + QLatin1Char('\n');
        }
        if (ran.exitCode != 0) {
            shown += QStringLiteral("[exit %1]\n").arg(ran.exitCode);
        }
        m_transcript += shown + QLatin1Char('\n');
    }

    QString normalised() const {
        QString text = m_transcript;
        text.replace(QString::fromStdString(m_scratch->path().string()), QStringLiteral("<scratch>"));
        const std::pair<const char*, const char*> rules[] = {
            {"\\b[0-9a-f]{64}\\b", "<sha256>"},
            {"\\b[a-z2-7]{26}\\b", "<id>"},
            {"\\d{4}-\\d\\d-\\d\\d[T ]\\d\\d:\\d\\d:\\d\\d(\\.\\d+Z)?", "<time>"},
            {"\"(duration_ns|disk_free_bytes|freed_bytes|seconds)\":[0-9.e-]+", "\"\\1\":<number>"},
            {"(seconds|disk_free_bytes)( +)[0-9.e-]+", "\\1\\2<number>"},
            {" *\\d+(\\.\\d+)? m?s\\b", " <duration>"},
            {"freed [0-9.]+ \\w+", "freed <size>"},
            {"records +\\d+", "records  <number>"},
            {"\"host\":\"[^\"]*\"", "\"host\":\"<host>\""},
            {"0\\.1\\.0", "<version>"},
        };
        for (const auto& [pattern, replacement] : rules) {
            text.replace(QRegularExpression(QString::fromLatin1(pattern)), QString::fromLatin1(replacement));
        }
        // Which states a short run is seen in is a matter of luck.
        text.replace(QRegularExpression(QStringLiteral("! Run \\d+ (Preparing|Queued|Running|Finalizing)\\n")), QString());
        text.replace(QRegularExpression(QStringLiteral("<time> +")), QStringLiteral("<time> "));
        return text;
    }

    void compare(const char* name) {
        const base::Path file = test::sourceFolder() / "tests/cli/golden" / (std::string(name) + ".txt");
        const std::string now = normalised().toStdString();
        if (qEnvironmentVariableIsSet("TRAINYARD_UPDATE_GOLDEN")) {
            QVERIFY(base::writeFileAtomically(file, now, 0644).ok());
        }
        const std::string golden = base::readFile(file).valueOr("");
        const QStringList left = QString::fromStdString(golden).split(QLatin1Char('\n'));
        const QStringList right = QString::fromStdString(now).split(QLatin1Char('\n'));
        for (qsizetype i = 0; i < std::max(left.size(), right.size()); ++i) {
            const QString expected = left.value(i);
            const QString actual = right.value(i);
            QVERIFY2(expected == actual, qPrintable(QStringLiteral("%1.txt line %2\n expected: %3\n actual:   %4\n"
                                                                   "TRAINYARD_UPDATE_GOLDEN=1 writes it anew.")
                                                        .arg(QString::fromLatin1(name))
                                                        .arg(i + 1)
                                                        .arg(expected, actual)));
        }
    }

    test::ChildGuard m_guard;
    std::unique_ptr<test::Scratch> m_scratch;
    std::string m_workspace;
    QString m_transcript;
};

QTEST_GUILESS_MAIN(TestCli)
#include "tst_Cli.moc"
