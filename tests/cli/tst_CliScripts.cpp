// Scripts as people have them, submitted by the command line; what they told is read back from the history by it.
#include <QTest>
#include <memory>

#include "core/base/Text.h"
#include "tests/cli/CliRig.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Skip.h"

using namespace trainyard;
using base::Json;
using test::Arguments;
using test::cli;
using test::cliJson;

namespace {

std::string source(const std::string& name) {
    return base::readFile(test::sourceFolder() / "tests/data/scripts" / name).valueOr({});
}

/// "1 0.5 0.25": the values of a series, ranks one after the other.
std::string valuesOf(const std::string& run, const std::string& name) {
    std::string text;
    const Json answer = cliJson({"run", "metrics", run, "--name", name});
    if (!answer.contains("series")) return answer.dump();
    for (const Json& series : answer.at("series")) {
        for (const Json& value : series.at("value")) text += (text.empty() ? "" : " ") + value.dump();
    }
    return text;
}

/// The records of one kind and name.
Json items(const std::string& run, const std::string& kind, const std::string& name, bool data = false) {
    Arguments arguments{"run", "items", run, "--kind", kind, "--name", name};
    if (data) arguments.emplace_back("--data");
    const Json answer = cliJson(arguments);
    return answer.contains("items") ? answer.at("items") : Json::array({answer});
}

}  // namespace

class CliScriptsTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        qunsetenv("TRAINYARD_WORKSPACE");
        if (::access("/usr/bin/python3", X_OK) != 0) TRAINYARD_SKIP("no Python");
        QCOMPARE(cli({"workspace", "init", (*m_scratch / "w").string()}).exitCode, 0);
    }
    void cleanup() { QVERIFY2(m_guard.noneLeft(10'000), m_guard.report().c_str()); }

    /// Every call of azureml.core that the guide lists, by an SDK v1 script without an edit.
    void azureScript_isReadBack() {
        submit("sdk_v1_train.py", {}, {"--num_epochs", "4"});
        const Json shown = cliJson({"run", "show", "1"});
        QCOMPARE(shown.at("state").get<std::string>(), std::string("Completed"));
        QCOMPARE(shown.at("reason").get<std::string>(), std::string("The script completed the run."));
        QCOMPARE(valuesOf("1", "lr"), std::string("0.001"));
        QCOMPARE(valuesOf("1", "loss"), std::string("1.0 0.5 0.3333333333333333 0.25"));
        QCOMPARE(valuesOf("1", "accuracy in a string"), std::string("0.5 0.75 0.8333333333333334 0.875"));
        QCOMPARE(valuesOf("1", "halves"), std::string("1.0 0.5 0.25"));
        QCOMPARE(cliJson({"run", "metrics", "1", "--name", "best_val_acc"}).at("series").at(0).at("step").dump(),
                 std::string("[4]"));
        QCOMPARE(valuesOf("1", "fold-1/loss"), std::string("0.125"));
        QCOMPARE(items("1", "text", "verdict").at(0).at("text").get<std::string>(), std::string("good enough"));
        QCOMPARE(items("1", "table", "by epoch").size(), std::size_t(4));
        QCOMPARE(items("1", "table", "by epoch").at(1).at("rows").dump(), std::string("[[1,0.5]]"));
        QCOMPARE(items("1", "table", "squares").at(0).at("rows").dump(), std::string("[[1,1],[2,4],[3,9]]"));
        const Json confusion = items("1", "table", "confusion").at(0);
        QCOMPARE(confusion.at("type").get<std::string>() + confusion.at("columns").dump(),
                 std::string("confusion_matrix[\"chicken\",\"turkey\"]"));
        QCOMPARE(items("1", "histogram", "residuals").at(0).at("edges").dump(), std::string("[-1,0,1]"));
        const Json dot = items("1", "image", "dot").at(0);
        QVERIFY(dot.at("width").get<int>() == 1 && !dot.contains("data") &&
                dot.at("description").get<std::string>() == "one pixel");
        QVERIFY(items("1", "image", "plot", true).at(0).at("data").get<std::string>().starts_with("iVBORw0KGgo"));
        std::string outputs;
        for (const Json& output : shown.at("outputs")) outputs += output.at("path").get<std::string>() + " ";
        QCOMPARE(outputs, std::string("model.pt notes/a.txt report/a.txt report/deep/b.txt "));
        QCOMPARE(shown.at("tags").dump(),
                 std::string(R"({"classes":"2","data":"birds","properties.author":"somebody","quality":"high"})"));
        const Json model = items("1", "model", "pytorch-birds").at(0);
        QCOMPARE(model.at("path").get<std::string>() + model.at("tags").dump(),
                 std::string("model.pt{\"area\":\"birds\"}"));
        // What the script registered is in the registry now, with where it comes from.
        const Json birds = cliJson({"model", "show", "pytorch-birds"});
        QVERIFY2(birds.contains("run"), birds.dump().c_str());
        QCOMPARE(birds.at("model").get<std::string>() + " of run " + birds.at("run_number").dump(),
                 std::string("pytorch-birds:1 of run 1"));
        QCOMPARE(birds.at("tags").dump(), std::string(R"({"area":"birds"})"));
        QCOMPARE(birds.at("files").at(0).at("path").get<std::string>(), std::string("model.pt"));
        const Json children = items("1", "child", "fold-1");
        QCOMPARE(children.at(0).at("state").get<std::string>() + " " + children.at(1).at("state").get<std::string>(),
                 std::string("Running Completed"));
    }

    /// What a script says of its own end, and of a part's.
    void azureScript_failIsReadBack() {
        m_scratch->write("src/train.py", source("sdk_v1_fail.py"));
        const auto ran = cli({"run", "submit", "--wait", "--source", (*m_scratch / "src").string(), "--script",
                              "train.py", "--set", "task.interpreter=/usr/bin/python3"});
        QVERIFY2(ran.exitCode != 0, (ran.out + ran.err).c_str());
        const Json shown = cliJson({"run", "show", "1"});
        QCOMPARE(shown.at("state").get<std::string>() + ": " + shown.at("reason").get<std::string>(),
                 std::string("Failed: no birds were found"));
        QCOMPARE(shown.at("outputs").at(0).at("path").get<std::string>(), std::string("notes.txt"));
        QCOMPARE(items("1", "child", "fold-1").at(1).at("state").get<std::string>(), std::string("Completed"));
        const Json second = items("1", "child", "fold-2").at(1);
        QCOMPARE(second.at("state").get<std::string>(), std::string("Failed"));
        QVERIFY2(second.dump().find("the fold is empty") != std::string::npos, second.dump().c_str());
        QCOMPARE(valuesOf("1", "fold-1/loss"), std::string("0.5"));
    }

    /// The scripts above call whatever the guide's list, which is the shim's own, says that there is.
    void azureScripts_callAllThatTheGuideLists() {
        const std::string scripts = source("sdk_v1_train.py") + source("sdk_v1_fail.py");
        const std::string guide = base::readFile(test::sourceFolder() / "resources/docs/guide/scripts.md").valueOr({});
        int calls = 0;
        for (const std::string& line : base::split(guide, '\n')) {
            if (!line.starts_with("| `run.") && !line.starts_with("| `Run.")) continue;
            const std::string name = line.substr(6, line.find_first_of("(`", 6) - 6);
            QVERIFY2(scripts.find(name) != std::string::npos, name.c_str());
            ++calls;
        }
        QVERIFY2(calls >= 24, std::to_string(calls).c_str());
    }

    void azureScript_everyRankUnderOneName() {
        m_scratch->write("src/train.py", "import os\nfrom azureml.core import Run\nrun = Run.get_context()\nfor i in "
                                         "range(3):\n    run.log('loss', str(10 * int(os.environ['RANK']) + i))\n");
        const auto ran = cli({"run", "submit", "--wait", "--source", (*m_scratch / "src").string(), "--script",
                              "train.py", "--set", "task.interpreter=/usr/bin/python3", "--set",
                              "distribution.kind=pytorch", "--set", "distribution.processes=2"});
        QVERIFY2(ran.exitCode == 0, (ran.out + ran.err).c_str());
        QCOMPARE(valuesOf("1", "loss"), std::string("0.0 1.0 2.0 10.0 11.0 12.0"));
    }

    /// Two ranks ask for one model each time; what cannot be registered is a warning and fails nothing.
    void azureScript_registersOnceAndWarns() {
        m_scratch->write("src/train.py",
                         "import os\nfrom azureml.core import Run\nrun = Run.get_context()\n"
                         "os.makedirs('outputs/net', exist_ok=True)\n"
                         "for name in ('a', 'b'):\n"
                         "    open(os.path.join(os.environ['TRAINYARD_OUTPUTS'], name), 'w').write(name)\n"
                         "run.register_model('two', 'outputs/a')\nrun.register_model('not a name', 'b')\n");
        for (const int number : {1, 2}) {
            const auto ran = cli({"run", "submit", "--wait", "--source", (*m_scratch / "src").string(), "--script",
                                  "train.py", "--set", "task.interpreter=/usr/bin/python3", "--set",
                                  "distribution.kind=pytorch", "--set", "distribution.processes=2"});
            QVERIFY2(ran.exitCode == 0, (ran.out + ran.err).c_str());
            const std::string run = std::to_string(number);
            const Json shown = cliJson({"model", "show", "two"});
            QCOMPARE(shown.at("model").get<std::string>(), "two:" + run);
            const Json warnings = cliJson({"run", "show", run}).at("warning_list");
            QVERIFY2(warnings.dump().find("model.not_registered") != std::string::npos, warnings.dump().c_str());
        }
        QCOMPARE(cliJson({"model", "list"}).at("models").size(), std::size_t(1));
    }

    void mlflowCalls_areReadBack() {
        submit("mlflow_rest.py", {}, {});
        QCOMPARE(valuesOf("1", "acc"), std::string("0.0 0.1 0.2 0.3 0.4"));
        QCOMPARE(valuesOf("1", "loss"), std::string("0.5 \"NaN\""));
        QCOMPARE(valuesOf("1", "fold/loss"), std::string("2.0"));
        const Json shown = cliJson({"run", "show", "1"});
        QCOMPARE(shown.at("params").dump(), std::string(R"({"depth":"18","lr":"0.1"})"));
        QCOMPARE(shown.at("tags").at("phase").get<std::string>(), std::string("one"));
        QCOMPARE(shown.at("outputs").at(0).at("path").get<std::string>(), std::string("model/weights.bin"));
    }

    void everyClientCall_isReadBack() {
        submit("every_client_call.py", {}, {});
        const Json shown = cliJson({"run", "show", "1"});
        QCOMPARE(shown.at("reason").get<std::string>(), std::string("All calls were made."));
        QCOMPARE(shown.at("params").at("lr").get<double>(), 0.1);
        QCOMPARE(items("1", "histogram", "h").at(0).at("counts").dump(), std::string("[3,4]"));
        QCOMPARE(items("1", "image", "grey").size() + items("1", "image", "colour").size(), std::size_t(2));
    }

    void patterns_fromTheSpecification() {
        m_scratch->write(
            "src/train.sh",
            "echo 'Epoch 0/2'; echo 'train Loss: 0.7 Acc: 0.5'; echo 'Epoch 1/2'; echo 'train Loss: 0.4 Acc: 0.75'\n");
        const Arguments submitted{"run",
                                  "submit",
                                  "--wait",
                                  "--source",
                                  (*m_scratch / "src").string(),
                                  "--script",
                                  "train.sh",
                                  "--set",
                                  "task.interpreter=sh",
                                  "--set"};
        Arguments wrong = submitted;
        wrong.emplace_back("task.patterns=[\"loss (\"]");
        const auto refused = cli(wrong);
        QVERIFY2(refused.exitCode != 0 && refused.err.find("cannot be read at its character") != std::string::npos,
                 refused.err.c_str());
        Arguments right = submitted;
        right.emplace_back("task.patterns=[\"@pytorch-tutorial\"]");
        const auto ran = cli(right);
        QVERIFY2(ran.exitCode == 0, (ran.out + ran.err).c_str());
        QCOMPARE(valuesOf("1", "train/loss"), std::string("0.7 0.4"));
    }

private:
    void submit(const std::string& script, const Arguments& options, const Arguments& arguments) {
        m_scratch->write("src/train.py", source(script));
        Arguments all{"run",
                      "submit",
                      "--wait",
                      "--source",
                      (*m_scratch / "src").string(),
                      "--script",
                      "train.py",
                      "--set",
                      "task.interpreter=/usr/bin/python3",
                      "--set",
                      "limits.disk_reserve_mib=0"};
        all.insert(all.end(), options.begin(), options.end());
        if (!arguments.empty()) all.emplace_back("--");
        all.insert(all.end(), arguments.begin(), arguments.end());
        const auto ran = cli(all);
        QVERIFY2(ran.exitCode == 0, (ran.out + ran.err).c_str());
    }

    std::unique_ptr<test::Scratch> m_scratch;
    test::ChildGuard m_guard;
};

QTEST_GUILESS_MAIN(CliScriptsTest)
#include "tst_CliScripts.moc"
