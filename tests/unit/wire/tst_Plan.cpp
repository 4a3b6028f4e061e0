// plan.json: what is written is read back; what a plan cannot mean is refused by name.
#include <QtTest>

#include "core/wire/Plan.h"

using namespace trainyard;
using base::Json;

class TestPlan : public QObject {
    Q_OBJECT

private:
    static wire::Plan plan() {
        wire::Plan plan;
        plan.run = base::RunId::make();
        plan.command = {"$TRAINYARD_PYTHON", "train.py"};
        plan.outputsFolder = "/w/outputs";
        plan.slotsFolder = "/w/slots";
        plan.workFolder = "/w";
        return plan;
    }

    static wire::PlanEnvironment environment() {
        wire::PlanEnvironment environment;
        environment.name = "my-torch:3";
        environment.kind = "venv";
        environment.hash = std::string(64, 'a');
        environment.files = {{"requirements.txt", "numpy\n"}, {"sub/empty", ""}};
        environment.steps = {
            {"Make the environment", {"/usr/bin/python3", "-m", "venv", "$TRAINYARD_ENVIRONMENT/venv"}, {}, 600},
            {"Install the packages", {"pip", "install", "a b; touch c"}, {{"PIP_NO_INDEX", "1"}}, 3600}};
        environment.wrap = {"podman", "run", "--rm"};
        environment.interpreter = "$TRAINYARD_ENVIRONMENT/venv/bin/python";
        environment.pathPrefix = {"$TRAINYARD_ENVIRONMENT/venv/bin", "/opt/bin"};
        environment.variables = {{"A", "1"}, {"B", "x=y"}};
        environment.secrets = {{"TOKEN", "~/token", ""}, {"KEY", "", "MY_KEY"}};
        environment.facts = {"$TRAINYARD_PYTHON", "-c", "print()"};
        environment.needBytes = 123;
        return environment;
    }

    static Json json(const wire::PlanEnvironment& environment) {
        wire::Plan whole = plan();
        whole.environment = environment;
        return wire::toJson(whole);
    }

private Q_SLOTS:
    void environment_isReadBack() {
        const auto read = wire::planFromJson(*base::parseJson(base::dumpJson(json(environment()))));
        QVERIFY2(read.ok(), read.ok() ? "" : read.error().message.c_str());
        // Every member is in the text once more.
        QCOMPARE(base::dumpJson(json(read->environment)["environment"]),
                 base::dumpJson(json(environment())["environment"]));
        QCOMPARE(read->environment.steps.at(1).command.at(2), std::string("a b; touch c"));
        QCOMPARE(read->environment.steps.at(0).maxSeconds, std::int64_t{600});
        QCOMPARE(read->environment.secrets.at(1).fromVariable, std::string("MY_KEY"));
        QCOMPARE(read->environment.files.at(0).text, std::string("numpy\n"));
        QCOMPARE(read->environment.needBytes, std::int64_t{123});
    }

    void planOfAnOlderWorkbench_hasNone() {
        Json old = wire::toJson(plan());
        old.erase("environment");
        const auto read = wire::planFromJson(old);
        QVERIFY(read.ok());
        QVERIFY(read->environment.name.empty() && read->environment.hash.empty() && read->environment.steps.empty());
        QVERIFY(wire::planFromJson(wire::toJson(plan())).ok());
    }

    void whatItCannotMean_isRefused_data() {
        QTest::addColumn<QString>("pointer");
        QTest::addColumn<QString>("value");
        QTest::addColumn<QString>("path");
        const auto row = [](const char* name, const char* pointer, const char* value, const char* path) {
            QTest::newRow(name) << QString::fromUtf8(pointer) << QString::fromUtf8(value) << QString::fromUtf8(path);
        };
        row("hash", "/hash", "\"../../etc\"", "environment.hash");
        row("no hash", "/hash", "\"\"", "environment.hash");
        row("upwards", "/files/0/name", "\"../x\"", "environment.files.name");
        row("absolute", "/files/0/name", "\"/etc/x\"", "environment.files.name");
        row("twice", "/files/1/name", "\"requirements.txt\"", "environment.files.name");
        row("no program", "/steps/0/command", "[]", "environment.steps.command");
        row("empty program", "/steps/0/command/0", "\"\"", "environment.steps.command");
        row("zero", "/steps/1/command/2", "\"a\\u0000b\"", "environment.steps.command");
        row("for ever", "/steps/1/max_seconds", "0", "environment.steps.max_seconds");
        row("variable", "/steps/1/variables", "{\"A=B\":\"\"}", "environment.steps.variables");
        row("own variable", "/variables", "{\"\":\"\"}", "environment.variables");
        row("relative", "/path_prefix/0", "\"bin\"", "environment.path_prefix");
        row("secret both", "/secrets/0/from_variable", "\"X\"", "environment.secrets.file");
        row("secret none", "/secrets/1/from_variable", "\"\"", "environment.secrets.file");
        row("secret relative", "/secrets/0/file", "\"token\"", "environment.secrets.file");
        row("wrap", "/wrap/0", "\"\"", "environment.wrap");
        row("facts", "/facts/0", "\"\"", "environment.facts");
        row("bytes", "/need_bytes", "-1", "environment.need_bytes");
        row("no list", "/steps", "{}", "environment.steps");
    }
    void whatItCannotMean_isRefused() {
        QFETCH(QString, pointer);
        QFETCH(QString, value);
        QFETCH(QString, path);
        Json whole = json(environment());
        whole["environment"][Json::json_pointer(pointer.toStdString())] = *base::parseJson(value.toStdString());
        const auto read = wire::planFromJson(whole);
        QVERIFY(!read.ok());
        QCOMPARE(QString::fromStdString(read.error().field), path);
    }

    void environmentWithoutAWorkFolder_isRefused() {
        Json whole = json(environment());
        whole["work_folder"] = "";
        const auto read = wire::planFromJson(whole);
        QVERIFY(!read.ok());
        QCOMPARE(read.error().code, std::string("plan.environment"));
    }
};

QTEST_GUILESS_MAIN(TestPlan)
#include "tst_Plan.moc"
