#include <QTest>
#include <algorithm>

#include "core/environments/Curated.h"
#include "core/environments/EnvironmentCheck.h"
#include "core/environments/EnvironmentPlan.h"

using namespace trainyard;
using namespace trainyard::environments;
using base::Json;
using spec::EnvironmentKind;
using spec::EnvironmentSpec;

namespace {

Json line(const char* id, const char* finding, Json values = Json::object(), const char* text = "said") {
    return Json{{"id", id},
                {"title", id},
                {"host", "gpu1"},
                {"finding", finding},
                {"text", text},
                {"remedy", "Do."},
                {"values", std::move(values)}};
}

TargetFacts facts(std::vector<Json> lines) {
    return factsOf("lab", "python3", Json{{"t", 1}, {"lines", std::move(lines)}});
}

Json engines(std::vector<std::string> names) {
    Json list = Json::array();
    for (const std::string& name : names) {
        list.push_back({{"name", name}, {"version", "1"}});
    }
    return Json{{"engines", list}};
}

EnvironmentSpec make(EnvironmentKind kind) {
    EnvironmentSpec spec;
    spec.name = "mine";
    spec.kind = kind;
    spec.venv.requirements = {"numpy"};
    spec.conda.dependencies = {"python=3.11"};
    spec.container.image = "localhost/base:1";
    spec.setup.script = "true\n";
    return spec;
}

std::string hashOf(const EnvironmentSpec& spec, const TargetFacts& known = {}) {
    return planEnvironment(spec, 1, known).value().hash;
}

bool has(const std::vector<std::string>& list, const std::string& word) {
    return std::ranges::find(list, word) != list.end();
}

std::vector<std::string> codes(const EnvironmentSpec& spec, const TargetFacts& known) {
    std::vector<std::string> out;
    for (const EnvironmentFinding& finding : checkEnvironment(spec, known)) {
        out.push_back(finding.code);
    }
    return out;
}

}  // namespace

class TestPlan : public QObject {
    Q_OBJECT

private Q_SLOTS:
    /// Only what is built is in the hash: names, notes, variables and secrets are not.
    void hash_isOfWhatIsBuilt() {
        for (const EnvironmentKind kind :
             {EnvironmentKind::Venv, EnvironmentKind::Conda, EnvironmentKind::Container, EnvironmentKind::Setup}) {
            const EnvironmentSpec spec = make(kind);
            const std::string hash = hashOf(spec);
            QCOMPARE(hash.size(), 64U);
            EnvironmentSpec same = spec;
            same.name = "other";
            same.description = "notes";
            same.label = "x";
            same.variables = {{"A", "1"}};
            same.secrets = {{"B", "file:/b"}};
            same.needMiB = 77;
            same.container.mounts = {"/data:/data"};
            same.container.gpus = true;
            same.conda.tool = "mamba";
            QCOMPARE(hashOf(same), hash);
            QVERIFY(planEnvironment(same, 3, {})->name == "other:3");
            EnvironmentSpec changed = spec;
            changed.venv.requirements = {"numpy==1"};
            changed.conda.dependencies = {"python=3.12"};
            changed.container.image = "localhost/base:2";
            changed.setup.script = "false\n";
            QVERIFY(hashOf(changed) != hash);
            EnvironmentSpec built = spec;
            built.buildVariables = {{"A", "1"}};
            QVERIFY(hashOf(built) != hash);
        }
        EnvironmentSpec venv = make(EnvironmentKind::Venv);
        const std::string hash = hashOf(venv);
        QVERIFY(hashOf(venv, factsOf("x", "/opt/python", {})) != hash);
        venv.venv.systemSitePackages = true;
        QVERIFY(hashOf(venv) != hash);
    }

    void venv_offline() {
        EnvironmentSpec spec = make(EnvironmentKind::Venv);
        spec.venv.systemSitePackages = true;
        spec.venv.wheelFolder = "~/wheels";
        spec.venv.constraints = {"numpy<2  # why"};
        spec.secrets = {{"TOKEN", "file:~/t"}, {"KEY", "variable:MY_KEY"}};
        const auto plan = planEnvironment(spec, 2, {}).value();
        QCOMPARE(plan.steps.size(), 2U);
        QCOMPARE(plan.steps[0].command, (std::vector<std::string>{"python3", "-m", "venv", "--system-site-packages",
                                                                  "$TRAINYARD_ENVIRONMENT/venv"}));
        QVERIFY(has(plan.steps[1].command, "--no-index") && has(plan.steps[1].command, "$HOME/wheels"));
        QCOMPARE(plan.interpreter, "$TRAINYARD_ENVIRONMENT/venv/bin/python");
        QCOMPARE(plan.pathPrefix, std::vector<std::string>{"$TRAINYARD_ENVIRONMENT/venv/bin"});
        QCOMPARE(plan.files.size(), 2U);
        QCOMPARE(plan.files[0].text, "numpy<2\n");
        QCOMPARE(plan.secrets[0].file, "~/t");
        QCOMPARE(plan.secrets[1].fromVariable, "MY_KEY");
        QCOMPARE(plan.facts.front(), plan.interpreter);
        QVERIFY(plan.needBytes > 0);
        spec.venv.requirements.clear();
        QCOMPARE(planEnvironment(spec, 2, {})->steps.size(), 1U);
    }

    void interpreter_buildsNothing() {
        EnvironmentSpec spec = make(EnvironmentKind::Interpreter);
        auto plan = planEnvironment(spec, 1, factsOf("lab", "/opt/py/bin/python3", {})).value();
        QVERIFY(plan.hash.empty() && plan.steps.empty() && plan.needBytes == 0);
        QCOMPARE(plan.interpreter, "/opt/py/bin/python3");
        spec.interpreter.folder = "~/envs/torch";
        plan = planEnvironment(spec, 1, {}).value();
        QCOMPARE(plan.interpreter, "$HOME/envs/torch/bin/python");
        QCOMPARE(plan.pathPrefix, std::vector<std::string>{"$HOME/envs/torch/bin"});
        spec = findCurated("trainyard-shell", 0)->spec;
        plan = planEnvironment(spec, 1, {}).value();
        QCOMPARE(plan.interpreter, "sh");
        QVERIFY(plan.facts.empty());
        // The engine's environment leaves a run as it was.
        plan = planEnvironment(findCurated(kDefaultEnvironment, 0)->spec, 1, {}).value();
        QVERIFY(plan.interpreter.empty() && plan.facts.empty() && plan.hash.empty() && plan.wrap.empty());
    }

    void conda_byTheToolThatIsThere() {
        const EnvironmentSpec spec = make(EnvironmentKind::Conda);
        const auto toolOf = [&](const TargetFacts& known) {
            return planEnvironment(spec, 1, known)->steps.at(0).command;
        };
        QCOMPARE(toolOf({}).front(), "micromamba");
        QCOMPARE(toolOf(facts({line("conda", "ok", {{"tools", {{{"name", "conda"}}, {{"name", "mamba"}}}}})})).front(),
                 "mamba");
        const auto conda = toolOf(facts({line("conda", "ok", {{"tools", Json::array({Json{{"name", "conda"}}})}})}));
        QCOMPARE(conda, (std::vector<std::string>{"conda", "env", "create", "--prefix", "$TRAINYARD_ENVIRONMENT/conda",
                                                  "--file", "$TRAINYARD_ENVIRONMENT/environment.yml"}));
        // One cache, whichever of them filled it.
        QCOMPARE(hashOf(spec, facts({line("conda", "ok", {{"tools", Json::array({Json{{"name", "conda"}}})}})})),
                 hashOf(spec));
    }

    void container_seesWhatARunNeeds() {
        EnvironmentSpec spec = make(EnvironmentKind::Container);
        spec.container.mounts = {"~/data:/data:ro", "/scratch:/scratch"};
        spec.container.requirements = {"numpy"};
        spec.container.gpus = true;
        spec.secrets = {{"TOKEN", "file:/t"}};
        RunNeeds needs;
        needs.variables = {"MINE", "TRAINYARD_INPUT_X"};
        needs.paths = {"/srv/data"};
        const auto plan =
            planEnvironment(spec, 1, facts({line("containers", "ok", engines({"apptainer", "docker", "podman"}))}),
                            needs)
                .value();
        QCOMPARE(plan.wrap.front(), "podman");
        for (const char* word : {"--rm", "--env=MINE", "--env=TOKEN", "--env=RANK",
                                 "--mount=type=bind,source=$TRAINYARD_WORK,destination=$TRAINYARD_WORK",
                                 "--mount=type=bind,source=/srv/data,destination=/srv/data,readonly",
                                 "--mount=type=bind,source=$HOME/data,destination=/data,readonly",
                                 "--mount=type=bind,source=/scratch,destination=/scratch",
                                 "--workdir=$TRAINYARD_WORKING_FOLDER", "--device=nvidia.com/gpu=all"}) {
            QVERIFY2(has(plan.wrap, word), word);
        }
        QCOMPARE(plan.wrap.back(), "localhost/trainyard-environment:" + plan.hash);
        QCOMPARE(plan.interpreter, "python3");
        // The facts come out of the container.
        QVERIFY(std::equal(plan.wrap.begin(), plan.wrap.end(), plan.facts.begin()));
        const auto file = std::ranges::find(plan.files, std::string("Containerfile"), &wire::PlanBuildFile::name);
        QVERIFY(file != plan.files.end() && file->text.starts_with("FROM localhost/base:1\nCOPY requirements.txt"));
        QVERIFY(std::ranges::find(plan.files, std::string("remove.json"), &wire::PlanBuildFile::name) !=
                plan.files.end());
        // No secret's value or place is in a command.
        for (const std::string& word : plan.wrap) {
            QVERIFY(word.find("/t") != 0);
        }
        const auto docker = planEnvironment(spec, 1, facts({line("containers", "ok", engines({"docker"}))})).value();
        QVERIFY(has(plan.wrap, "--user=0:0") && !has(docker.wrap, "--ulimit=host"));
        QVERIFY(has(docker.wrap, "--user=$TRAINYARD_UID:$TRAINYARD_GID") && has(docker.wrap, "--gpus=all"));
        QVERIFY(docker.hash != plan.hash);
    }

    void container_apptainer() {
        EnvironmentSpec spec = make(EnvironmentKind::Container);
        spec.container.image = "docker://python:3.11";
        spec.container.engine = "apptainer";
        auto plan = planEnvironment(spec, 1, {}).value();
        QCOMPARE(plan.steps.at(0).command,
                 (std::vector<std::string>{"apptainer", "build", "$TRAINYARD_ENVIRONMENT/image.sif",
                                           "docker://python:3.11"}));
        QCOMPARE(plan.wrap.back(), "$TRAINYARD_ENVIRONMENT/image.sif");
        spec.container.image = "/srv/images/a.sif";
        plan = planEnvironment(spec, 1, {}).value();
        QVERIFY(plan.hash.empty() && plan.steps.empty());
        // Singularity, where that is what is there: the same words, and the same image in the cache.
        spec.container.image = "docker://python:3.11";
        const auto singularity = facts({line("containers", "ok", engines({"singularity"}))});
        for (const char* engine : {"auto", "apptainer"}) {
            spec.container.engine = engine;
            plan = planEnvironment(spec, 1, singularity).value();
            QCOMPARE(plan.steps.at(0).command.front() + " " + plan.wrap.front(), "singularity singularity");
            QVERIFY(codes(spec, singularity).empty());
        }
        QCOMPARE(plan.hash, hashOf(spec));
        spec.container.engine = "auto";
        spec.container.image = "a";
        spec.container.requirements = {"numpy"};
        QCOMPARE(planEnvironment(spec, 1, singularity).error().code, "environment.apptainer");
        QCOMPARE(codes(spec, singularity), std::vector<std::string>{"environment.apptainer"});
        QCOMPARE(planEnvironment(spec, 1, facts({line("containers", "ok", engines({"apptainer"}))})).error().code,
                 "environment.apptainer");
    }

    void setup_inItsFolder() {
        EnvironmentSpec spec = make(EnvironmentKind::Setup);
        spec.setup.python = "bin/python";
        const auto plan = planEnvironment(spec, 1, {}).value();
        QCOMPARE(plan.steps.at(0).command, (std::vector<std::string>{"bash", "$TRAINYARD_ENVIRONMENT/setup.sh"}));
        QCOMPARE(plan.interpreter, "$TRAINYARD_ENVIRONMENT/bin/python");
    }

    void check_saysWhatIsMissing() {
        const auto bare =
            facts({line("python", "warning"), line("torch", "warning"), line("containers", "warning", engines({})),
                   line("conda", "warning", {{"tools", Json::array()}}), line("gpus", "ok", {{"gpus", 0}}),
                   line("disk", "ok", {{"free_bytes", 1024}})});
        QCOMPARE(codes(make(EnvironmentKind::Venv), bare),
                 (std::vector<std::string>{"environment.no_python", "environment.disk"}));
        QCOMPARE(codes(make(EnvironmentKind::Conda), bare),
                 (std::vector<std::string>{"environment.no_conda", "environment.disk"}));
        EnvironmentSpec container = make(EnvironmentKind::Container);
        container.container.gpus = true;
        QCOMPARE(codes(container, bare),
                 (std::vector<std::string>{"environment.no_engine", "environment.no_gpu", "environment.disk"}));
        QCOMPARE(codes(findCurated("trainyard-python-torch", 0)->spec, bare),
                 (std::vector<std::string>{"environment.no_python", "environment.no_torch"}));
        QCOMPARE(codes(findCurated("trainyard-engine-cuda", 0)->spec, bare),
                 std::vector<std::string>{"environment.no_gpu"});
        QVERIFY(codes(findCurated("trainyard-shell", 0)->spec, bare).empty());
        for (const EnvironmentFinding& finding : checkEnvironment(container, bare)) {
            QVERIFY(!finding.remedy.empty() && !finding.field.empty());
            QCOMPARE(finding.host, "gpu1");
        }
    }

    void check_saysWhatIsNotKnown() {
        QCOMPARE(codes(make(EnvironmentKind::Venv), factsOf("lab", "python3", {})),
                 std::vector<std::string>{"environment.not_examined"});
        QVERIFY(codes(findCurated(kDefaultEnvironment, 0)->spec, factsOf("lab", "python3", {})).empty());
        const auto timedOut =
            facts({line("containers", "unknown"), line("python", "unknown"), line("disk", "unknown")});
        QVERIFY(codes(make(EnvironmentKind::Container), timedOut).empty());
        EnvironmentSpec other = make(EnvironmentKind::Venv);
        other.venv.python = "/opt/python3.12";
        QCOMPARE(codes(other, facts({line("python", "ok", {{"path", "/usr/bin/python3"}})})),
                 std::vector<std::string>{"environment.python"});
        other.venv.python = "/usr/bin/python3";
        QVERIFY(codes(other, facts({line("python", "ok", {{"path", "/usr/bin/python3"}})})).empty());
    }

    void check_anInterpreterOfItsOwn_data() {
        QTest::addColumn<QString>("python");
        QTest::addColumn<QString>("code");
        const QString missing = QStringLiteral("environment.no_python");
        const QString unknown = QStringLiteral("environment.python");
        QTest::newRow("in PATH") << QStringLiteral("python3.9") << QString();
        QTest::newRow("its file") << QStringLiteral("/usr/bin/python3.9") << QString();
        QTest::newRow("not in PATH") << QStringLiteral("python3.12") << missing;
        QTest::newRow("not in its folder") << QStringLiteral("/usr/bin/python3.12") << missing;
        QTest::newRow("a folder beside PATH") << QStringLiteral("/opt/bin/python3.12") << unknown;
        QTest::newRow("another name") << QStringLiteral("pypy3") << unknown;
    }
    /// By what the doctor found in the folders of PATH.
    void check_anInterpreterOfItsOwn() {
        QFETCH(QString, python);
        QFETCH(QString, code);
        EnvironmentSpec spec = make(EnvironmentKind::Interpreter);
        spec.interpreter.program = python.toStdString();
        const auto known =
            facts({line("python", "ok",
                        {{"path", "/usr/bin/python3"},
                         {"pythons", {"/usr/local/bin/python", "/usr/bin/python3", "/usr/bin/python3.9"}}})});
        QCOMPARE(codes(spec, known),
                 code.isEmpty() ? std::vector<std::string>{} : std::vector<std::string>{code.toStdString()});
        for (const EnvironmentFinding& finding : checkEnvironment(spec, known)) {
            if (finding.level == EnvironmentFinding::Level::Failure) {
                QVERIFY2(finding.message.find("/usr/bin/python3.9") != std::string::npos, finding.message.c_str());
            }
        }
        spec.venv.python = spec.interpreter.program;
        spec.kind = EnvironmentKind::Venv;
        QCOMPARE(codes(spec, known),
                 code.isEmpty() ? std::vector<std::string>{} : std::vector<std::string>{code.toStdString()});
    }

    void check_secretsInClear() {
        EnvironmentSpec spec = make(EnvironmentKind::Interpreter);
        spec.variables = {{"WANDB_API_KEY", "abc"}, {"TOKEN_FILE", "/etc/token"}, {"EPOCHS", "3"}};
        const auto findings = checkEnvironment(spec, facts({line("python", "ok", {{"path", "/usr/bin/python3"}})}));
        QCOMPARE(findings.size(), 1U);
        QCOMPARE(findings[0].code, "environment.in_clear");
        QVERIFY(findings[0].message.find("abc") == std::string::npos);
    }

    /// What a damaged doctor file holds is nothing that is known.
    void facts_ofAnything() {
        for (const char* text : {"null", "[]", "{}", "{\"lines\":3}", "{\"lines\":[1,null,{\"id\":4}]}",
                                 "{\"lines\":[{\"id\":\"containers\",\"values\":{\"engines\":[3,{\"name\":4}]}}]}"}) {
            const auto known = factsOf("lab", "", *base::parseJson(text));
            QCOMPARE(known.python, "python3");
            (void) checkEnvironment(make(EnvironmentKind::Container), known);
        }
    }
};

QTEST_GUILESS_MAIN(TestPlan)
#include "tst_Plan.moc"
