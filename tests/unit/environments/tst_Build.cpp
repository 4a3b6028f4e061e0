// What is planned, carried out with the real programs, a step after the other as an agent does it: venv and pip with
// wheels made here, a stand-in for micromamba with its documented command line and words.
#include <QTest>
#include <map>

#include "core/environments/EnvironmentPlan.h"
#include "core/environments/EnvironmentReader.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"

using namespace trainyard;
using namespace trainyard::environments;
using base::Json;
using spec::EnvironmentKind;
using spec::EnvironmentSpec;

namespace {

constexpr const char* kPython = "/usr/bin/python3";
constexpr int kStepMillis = 120'000;

/// Wheels are zip files with three texts in them.
constexpr const char* kMakeWheel = R"(import sys, zipfile
folder, name, version, tag, needs = sys.argv[1:6]
info = f"{name}-{version}.dist-info"
with zipfile.ZipFile(f"{folder}/{name}-{version}-{tag}.whl", "w") as z:
    z.writestr(f"{name}.py", f"value = '{version}'\n")
    z.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + (f"Requires-Dist: {needs}\n" if needs else ""))
    z.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n")
    z.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
)";

/// create --yes --prefix P --file F: what micromamba's guide says of it, and what it says when it finds no solution.
constexpr const char* kMicromamba = R"(#!/bin/sh
[ "$1" = --version ] && { echo 1.5.8; exit 0; }
[ "$1" = create ] && [ "$2" = --yes ] && [ "$3" = --prefix ] && [ "$5" = --file ] && [ $# = 6 ] || { echo "The following arguments were not expected: $*" >&2; exit 109; }
if grep -q nosuchpackage "$6"; then
    echo 'error    libmamba Could not solve for environment specs' >&2
    echo '    The following package could not be installed' >&2
    echo '    └─ nosuchpackage does not exist (perhaps a typo or a missing channel).' >&2
    echo 'critical libmamba Could not solve for environment specs' >&2
    exit 1
fi
/usr/bin/python3 -m venv --without-pip "$4" || exit
mkdir -p "$4/conda-meta"
grep -o '"python=[^"]*"' "$6" | tr -d '"' >"$4/seen"
echo '{}' >"$4/conda-meta/python-3.11.2-h0_0.json"
)";

/// env create --prefix P --file F, with CONDA_ALWAYS_YES for its questions: conda's and mamba's own words.
constexpr const char* kConda = R"(#!/bin/sh
[ "$1" = --version ] && { echo "${0##*/} 23.11.0"; exit 0; }
[ "$1" = env ] && [ "$2" = create ] && [ "$3" = --prefix ] && [ "$5" = --file ] && [ $# = 6 ] ||
    { echo "usage: ${0##*/} [-h] [-v] [--no-plugins] [-V] COMMAND ..." >&2; echo "${0##*/}: error: unrecognized arguments: $*" >&2; exit 2; }
[ "$CONDA_ALWAYS_YES" = true ] || { echo "Proceed ([y]/n)? " >&2; exit 1; }
[ ! -e "$4" ] || { echo "CondaValueError: prefix already exists: $4" >&2; exit 1; }
cp "$6" "$4.seen"
if grep -q nosuchpackage "$6"; then
    echo 'Solving environment: failed'
    printf 'PackagesNotFoundError: The following packages are not available from current channels:\n\n  - nosuchpackage\n\nCurrent channels:\n\n  - defaults\n' >&2
    exit 1
fi
if grep -q impossible "$6"; then
    printf 'LibMambaUnsatisfiableError: Encountered problems while solving:\n  - package impossible-2.0 requires python >=3.14, but none of the providers can be installed\n' >&2
    exit 1
fi
if grep -q nosuchwheel "$6"; then
    printf 'Pip subprocess error:\nERROR: No matching distribution found for nosuchwheel\n\nfailed\n\nCondaEnvException: Pip failed\n' >&2
    exit 1
fi
/usr/bin/python3 -m venv --without-pip "$4" && mkdir -p "$4/conda-meta" && echo '{}' >"$4/conda-meta/python-3.11.2-h0_0.json"
)";

}  // namespace

class TestBuild : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        m_variables = {{"TRAINYARD_ENVIRONMENT", (*m_scratch / "env").string()},
                       {"PATH", (*m_scratch / "bin").string() + ":/usr/bin:/bin"},
                       {"HOME", m_scratch->path().string()},
                       {"PIP_CONFIG_FILE", "/dev/null"}};
        std::filesystem::create_directories(*m_scratch / "bin");
        std::filesystem::create_directories(*m_scratch / "wheels");
        if (!std::filesystem::exists(kPython)) {
            TRAINYARD_SKIP("There is no /usr/bin/python3 here.");
        }
    }

    /// Debian's torch, seen through a virtual environment, and told without importing it.
    void venv_overTheSystemsTorch() {
        const auto tried = test::runProgram(kPython, {"-c", "import torch, venv, ensurepip"});
        if (tried.exitCode != 0) {
            TRAINYARD_SKIP(("No torch or no venv here: " + tried.err).c_str());
        }
        EnvironmentSpec spec = venv({});
        spec.venv.systemSitePackages = true;
        const auto plan = planEnvironment(spec, 1, factsOf("here", kPython, {})).value();
        QVERIFY2(build(plan), m_said.c_str());
        const Json facts = factsFrom(plan);
        QCOMPARE(facts["interpreter"], Json((*m_scratch / "env/venv/bin/python").string()));
        const auto version = test::runProgram((*m_scratch / "env/venv/bin/python").string(),
                                              {"-c", "import torch; print(torch.__version__, end='')"});
        QCOMPARE(facts["torch"]["version"], Json(version.out));
        QVERIFY(!facts["packages"].empty());
    }

    void venv_offlineWheels() {
        wheel("lowlevel", "1.2", "py3-none-any", "");
        wheel("toplevel", "2.0", "py3-none-any", "lowlevel>=1.0");
        EnvironmentSpec spec = venv({"toplevel==2.0"});
        spec.venv.wheelFolder = "~/wheels";
        const auto plan = planEnvironment(spec, 1, factsOf("here", kPython, {})).value();
        QVERIFY2(build(plan), m_said.c_str());
        const Json facts = factsFrom(plan);
        const std::string packages = base::dumpJson(facts["packages"]);
        QVERIFY2(packages.find("toplevel==2.0") != std::string::npos &&
                     packages.find("lowlevel==1.2") != std::string::npos,
                 packages.c_str());
        const auto used = test::runProgram((*m_scratch / "env/venv/bin/python").string(),
                                           {"-c", "import toplevel, lowlevel; print(toplevel.value, lowlevel.value)"});
        QCOMPARE(used.out, "2.0 1.2\n");
    }

    /// One virtual environment for all: only what is to be installed differs.
    void venv_theResolversOwnErrors() {
        wheel("lowlevel", "1.2", "py3-none-any", "");
        wheel("toplevel", "2.0", "py3-none-any", "lowlevel>=5");
        wheel("ancient", "1.0", "cp27-cp27m-manylinux1_x86_64", "");
        m_scratch->write("wheels/broken-1.0-py3-none-any.whl", "no zip file");
        EnvironmentSpec spec = venv({});
        spec.venv.wheelFolder = (*m_scratch / "wheels").string();
        QVERIFY2(build(planEnvironment(spec, 1, factsOf("here", kPython, {})).value()), m_said.c_str());
        const auto saysWith = [&](const std::vector<std::string>& requirements) {
            spec.venv.requirements = requirements;
            auto plan = planEnvironment(spec, 1, factsOf("here", kPython, {})).value();
            plan.steps.erase(plan.steps.begin());
            const bool built = build(plan);
            return built || m_step != "Install the packages" ? "It was built." : m_said;
        };
        const auto holds = [](const std::string& text, const char* part) {
            return text.find(part) != std::string::npos;
        };
        const std::string missing = saysWith({"nosuchpackage"});
        QVERIFY2(holds(missing, "No matching distribution found for nosuchpackage"), missing.c_str());
        const std::string version = saysWith({"lowlevel==9"});
        QVERIFY2(holds(version, "No matching distribution found for lowlevel==9"), version.c_str());
        const std::string other = saysWith({"ancient"});
        QVERIFY2(holds(other, "No matching distribution found for ancient"), other.c_str());
        const std::string conflict = saysWith({"toplevel", "lowlevel==1.2"});
        QVERIFY2(holds(conflict, "conflicting dependencies"), conflict.c_str());
        const std::string broken = saysWith({"broken"});
        QVERIFY2(holds(broken, "broken"), broken.c_str());
    }

    void conda_standIn() {
        standIn("micromamba", kMicromamba);
        EnvironmentSpec spec;
        spec.name = "mine";
        spec.kind = EnvironmentKind::Conda;
        spec.conda.channels = {"conda-forge"};
        spec.conda.dependencies = {"python=3.11", "pip"};
        spec.conda.pip = {"numpy"};
        const auto plan = planEnvironment(spec, 1, {}).value();
        QVERIFY2(build(plan), m_said.c_str());
        QCOMPARE(m_scratch->read("env/conda/seen"), "python=3.11\n");
        const Json facts = factsFrom(plan);
        QCOMPARE(facts["conda"], Json::array({"python-3.11.2-h0_0"}));
        QCOMPARE(facts["interpreter"], Json((*m_scratch / "env/conda/bin/python").string()));
    }

    void conda_itsOwnErrors() {
        standIn("micromamba", kMicromamba);
        EnvironmentSpec spec;
        spec.name = "mine";
        spec.kind = EnvironmentKind::Conda;
        spec.conda.dependencies = {"nosuchpackage"};
        QVERIFY(!build(planEnvironment(spec, 1, {}).value()));
        QCOMPARE(m_step, "Make the conda environment");
        QVERIFY(m_said.find("perhaps a typo or a missing channel") != std::string::npos);
    }

    /// Each of the three with its own command line; the file that it reads is the definition, unchanged.
    void conda_eachTool_data() {
        QTest::addColumn<QString>("tool");
        QTest::newRow("conda") << QStringLiteral("conda");
        QTest::newRow("mamba") << QStringLiteral("mamba");
    }
    void conda_eachTool() {
        QFETCH(QString, tool);
        standIn(tool.toStdString(), kConda);
        EnvironmentSpec spec;
        spec.name = "mine";
        spec.kind = EnvironmentKind::Conda;
        spec.conda.tool = tool.toStdString();
        spec.conda.channels = {"pytorch", "conda-forge", "https://conda.example/own"};
        spec.conda.dependencies = {"python=3.11", "pytorch>=2,<3", "conda-forge::numpy>=1.24", "pip"};
        spec.conda.pip = {"horovod[pytorch]==0.28.1", "mine ; python_version >= \"3.9\""};
        const auto plan = planEnvironment(spec, 1, {}).value();
        QVERIFY2(build(plan), m_said.c_str());
        const auto read = importConda(m_scratch->read("env/conda.seen"), "mine");
        QVERIFY2(read.ok(), read.ok() ? "" : read.error().message.c_str());
        const auto seen = spec::environmentSpecFromJson(read->document);
        QVERIFY(seen.ok());
        QCOMPARE(seen->conda.channels, spec.conda.channels);
        QCOMPARE(seen->conda.dependencies, spec.conda.dependencies);
        QCOMPARE(seen->conda.pip, spec.conda.pip);
        QCOMPARE(factsFrom(plan)["conda"], Json::array({"python-3.11.2-h0_0"}));
    }

    void conda_eachTool_itsOwnErrors_data() {
        QTest::addColumn<QString>("tool");
        QTest::addColumn<QString>("dependency");
        QTest::addColumn<QString>("words");
        for (const char* tool : {"conda", "mamba"}) {
            QTest::addRow("%s, not there", tool) << QString::fromLatin1(tool) << QStringLiteral("nosuchpackage")
                                                 << QStringLiteral("PackagesNotFoundError");
            QTest::addRow("%s, excluded", tool) << QString::fromLatin1(tool) << QStringLiteral("impossible")
                                                << QStringLiteral("LibMambaUnsatisfiableError");
            QTest::addRow("%s, pip", tool) << QString::fromLatin1(tool) << QStringLiteral("nosuchwheel")
                                           << QStringLiteral("No matching distribution found for nosuchwheel");
        }
    }
    void conda_eachTool_itsOwnErrors() {
        QFETCH(QString, tool);
        QFETCH(QString, dependency);
        QFETCH(QString, words);
        standIn(tool.toStdString(), kConda);
        EnvironmentSpec spec;
        spec.name = "mine";
        spec.kind = EnvironmentKind::Conda;
        spec.conda.tool = tool.toStdString();
        spec.conda.dependencies = {"python", dependency.toStdString()};
        QVERIFY(!build(planEnvironment(spec, 1, {}).value()));
        QCOMPARE(m_step, "Make the conda environment");
        QVERIFY2(QString::fromStdString(m_said).contains(words), m_said.c_str());
    }

    /// As their documentation says: an unknown word is an error, so the stand-in does not take what the tool would not.
    void conda_standInsAreStrict() {
        std::filesystem::create_directories(*m_scratch / "env");
        standIn("conda", kConda);
        standIn("micromamba", kMicromamba);
        QCOMPARE(carriedOut({"conda", "create", "--yes", "--prefix", "/x", "--file", "/y"}, {}).exitCode, 2);
        QCOMPARE(carriedOut({"micromamba", "env", "create", "--prefix", "/x", "--file", "/y"}, {}).exitCode, 109);
    }

    void setup_script() {
        EnvironmentSpec spec;
        spec.name = "mine";
        spec.kind = EnvironmentKind::Setup;
        spec.setup.script =
            "mkdir -p \"$TRAINYARD_ENVIRONMENT/bin\"\nln -s /usr/bin/python3 "
            "\"$TRAINYARD_ENVIRONMENT/bin/python\"\necho \"$FLAVOUR\" >\"$TRAINYARD_ENVIRONMENT/made\"\n";
        spec.setup.python = "bin/python";
        spec.buildVariables = {{"FLAVOUR", "it's $(odd)"}};
        const auto plan = planEnvironment(spec, 1, {}).value();
        QVERIFY2(build(plan), m_said.c_str());
        QCOMPARE(m_scratch->read("env/made"), "it's $(odd)\n");
        QVERIFY(factsFrom(plan).contains("python"));
    }

private:
    static EnvironmentSpec venv(const std::vector<std::string>& requirements) {
        EnvironmentSpec spec;
        spec.name = "mine";
        spec.venv.requirements = requirements;
        return spec;
    }

    void wheel(const std::string& name, const std::string& version, const std::string& tag, const std::string& needs) {
        const auto made =
            test::runProgram(kPython, {"-c", kMakeWheel, (*m_scratch / "wheels").string(), name, version, tag, needs});
        QVERIFY2(made.exitCode == 0, made.err.c_str());
    }

    void standIn(const std::string& name, const char* text) {
        const base::Path file = m_scratch->write("bin/" + name, text);
        std::filesystem::permissions(file, std::filesystem::perms::owner_all);
    }

    [[nodiscard]] std::string expanded(std::string text) const {
        for (const auto& [name, value] : m_variables) {
            const std::string reference = "$" + name;
            for (std::size_t at = text.find(reference); at != std::string::npos;
                 at = text.find(reference, at + value.size())) {
                text.replace(at, reference.size(), value);
            }
        }
        return text;
    }

    [[nodiscard]] test::ProgramResult carriedOut(const std::vector<std::string>& command,
                                                 const std::vector<std::pair<std::string, std::string>>& more) const {
        std::vector<std::string> arguments;
        for (const std::string& word : command) {
            arguments.push_back(expanded(word));
        }
        std::string program = arguments.front();
        if (program.find('/') == std::string::npos) {
            const base::Path own = *m_scratch / "bin" / program;
            program = std::filesystem::exists(own) ? own.string() : "/usr/bin/" + program;
        }
        arguments.erase(arguments.begin());
        test::ProgramOptions options;
        options.variables = m_variables;
        options.variables.insert(options.variables.end(), more.begin(), more.end());
        options.folder = *m_scratch / "env";
        options.timeoutMillis = kStepMillis;
        return test::runProgram(program, arguments, options);
    }

    bool build(const wire::PlanEnvironment& plan) {
        std::filesystem::create_directories(*m_scratch / "env");
        for (const wire::PlanBuildFile& file : plan.files) {
            m_scratch->write("env/" + file.name, file.text);
        }
        for (const wire::PlanBuildStep& step : plan.steps) {
            const auto result = carriedOut(step.command, step.variables);
            m_step = step.title;
            m_said = result.out + result.err;
            if (result.exitCode != 0) {
                return false;
            }
        }
        return true;
    }

    [[nodiscard]] Json factsFrom(const wire::PlanEnvironment& plan) const {
        const auto result = carriedOut(plan.facts, {});
        const auto json = base::parseJson(result.out);
        return json.ok() ? *json : Json{{"error", result.out + result.err}};
    }

    std::unique_ptr<test::Scratch> m_scratch;
    std::vector<std::pair<std::string, std::string>> m_variables;
    std::string m_step;
    std::string m_said;
};

QTEST_GUILESS_MAIN(TestBuild)
#include "tst_Build.moc"
