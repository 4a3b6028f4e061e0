// Environments on the command line.
#include <QTest>
#include <memory>

#include "tests/cli/CliRig.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Hostile.h"

using namespace trainyard;
using base::Json;
using test::Arguments;
using test::cli;
using test::cliJson;

class CliEnvironmentsTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        qunsetenv("TRAINYARD_WORKSPACE");
        m_transcript = std::make_unique<test::Transcript>(*m_scratch);
        QCOMPARE(cli({"workspace", "init", (*m_scratch / "w").string()}).exitCode, 0);
    }
    void cleanup() { QVERIFY2(m_guard.noneLeft(10'000), m_guard.report().c_str()); }

    void golden_environments() {
        const std::string conda =
            m_scratch
                ->write("environment.yml",
                        "name: birds\nchannels: [conda-forge]\ndependencies:\n  - python=3.11\n  - pip: [numpy]\n")
                .string();
        const std::string wrong =
            m_scratch->write("wrong.yml", "dependencies:\n  - python\n  - numpy; touch x\n").string();
        say({"environment", "list"});
        say({"environment", "show", "trainyard-torch-horovod"});
        say({"environment", "import", "--file", conda});
        say({"environment", "import", "--file", conda});
        say({"environment", "import", "--file", wrong, "--name", "wrong"});
        say({"environment", "import", "--image", "localhost/base:1", "--name", "box", "--no-keep"});
        say({"environment", "check", "birds"});
        say({"environment", "create", "mine", "--kind", "venv", "--set", "venv.requirements=[\"numpy\"]"});
        say({"environment", "create", "mine", "--kind", "venv"});
        say({"environment", "create", "trainyard-mine", "--kind", "venv"});
        say({"environment", "create", "Bad Name", "--kind", "venv"});
        say({"environment", "edit", "mine", "--set", "venv.wheel_folder=~/wheels", "--set",
             "variables={\"API_KEY\":\"x\"}"});
        say({"environment", "edit", "mine", "--set", "venv.wheel_folder=wheels"});
        say({"environment", "edit", "trainyard-shell", "--set", "description=x"});
        say({"environment", "diff", "mine"});
        say({"environment", "diff", "mine:1", "--with", "mine:1"});
        say({"environment", "show", "mine"});
        say({"environment", "check", "mine"});
        say({"environment", "validate", "x", "--kind", "container"});
        say({"environment", "validate", "x", "--kind", "interpreter"});
        say({"environment", "clone", "trainyard-python-torch", "torch"});
        say({"environment", "save", "mine", (*m_scratch / "saved").string()});
        say({"environment", "save", "mine", (*m_scratch / "saved").string()});
        say({"environment", "cache", "local"});
        say({"environment", "delete", "torch"});
        say({"environment", "delete", "torch"});
        say({"environment", "delete", "trainyard-shell"});
        say({"environment", "show", "mine:9"});
        say({"environment", "show", "mine:9", "--json"});
        say({"run", "submit", "--set", "environment=nowhere", "--", "true"});
        say({"run", "submit", "--set", "environment=no name", "--", "true"});
        say({"environment", "list"});
        QCOMPARE(m_transcript->difference("environments"), QByteArray());
    }

    /// Each value arrives byte for byte where text is free, and is refused where it is not; none is run.
    void hostile_values() {
        const base::Path canary = *m_scratch / "canary";
        for (const auto& value : test::hostileValues(canary.string())) {
            Json document{{"format", "trainyard.environment"},
                          {"version", 1},
                          {"name", "h"},
                          {"kind", "setup"},
                          {"setup", {{"script", "true\n" + value.value}}}};
            document["build_variables"] = Json{{"V", value.value}};
            const std::string file = m_scratch->write("h.json", base::dumpJson(document)).string();
            const Json made = cliJson({"environment", "create", "--file", file});
            if (made.contains("environment")) {
                const Json shown = cliJson({"environment", "show", "h"});
                QVERIFY2(shown["spec"]["setup"]["script"] == document["setup"]["script"] &&
                             shown["spec"]["build_variables"]["V"] == Json(value.value),
                         value.name);
                QVERIFY2(cli({"environment", "delete", "h", "--yes"}).exitCode == 0, value.name);
            } else {
                QVERIFY2(made.contains("error") && !made["error"]["field"].get<std::string>().empty(),
                         (value.name + base::dumpJson(made)).c_str());
            }
        }
        QVERIFY(!std::filesystem::exists(canary));
    }

private:
    void say(const Arguments& arguments) { m_transcript->say(arguments); }

    test::ChildGuard m_guard;
    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<test::Transcript> m_transcript;
};

QTEST_GUILESS_MAIN(CliEnvironmentsTest)
#include "tst_CliEnvironments.moc"
