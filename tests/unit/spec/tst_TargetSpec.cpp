#include <QtTest>

#include "core/spec/TargetSpec.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard::spec;
using trainyard::base::dumpJson;
using trainyard::base::dumpJsonPretty;
using trainyard::base::parseJson;

namespace {

Json ssh() {
    return *parseJson(
        R"({"format":"trainyard.compute-target","version":1,"name":"lab","kind":"ssh","hosts":["gpu1"]})");
}

Json slurm() {
    return *parseJson(R"({"format":"trainyard.compute-target","version":1,"name":"cluster","kind":"slurm"})");
}

std::string errorOf(const Json& document, const std::string& field) {
    for (const Error& error : validateTargetSpec(document)) {
        if (error.field == field || error.field.starts_with(field + ".")) {
            return error.code;
        }
    }
    return {};
}

}  // namespace

class TestTargetSpec : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void fields_areDescribed() {
        for (const Field& field : targetSpecFields()) {
            QVERIFY2(!field.label.empty() && !field.help.empty() && !field.group.empty(), field.path.c_str());
            const auto error = checkValue(field, &field.defaultValue);
            QVERIFY2(!error || field.required, field.path.c_str());
        }
    }

    void plain_documentsAreValid() {
        for (const Json& document : {ssh(), slurm()}) {
            const auto errors = validateTargetSpec(document);
            QVERIFY2(errors.empty(), errors.empty() ? "" : errors.front().message.c_str());
        }
    }

    /// What a shell, ssh or sbatch would take for something else reaches no machine.
    void hostile_destinationsAreRefused() {
        for (const char* text : {"",         "-oProxyCommand=touch x",
                                 "-x",       "a b",
                                 "a\nb",     "a\tb",
                                 "a;b",      "a|b",
                                 "a&b",      "$(x)",
                                 "`x`",      "a'b",
                                 "a\"b",     "a\\b",
                                 "a>b",      "a<b",
                                 "{a,b}",    "a*",
                                 "user@-oX", "@host",
                                 "user@",    "gr\xc3\xbc\xc3\x9f",
                                 "a\x7f"}) {
            Json document = ssh();
            document["hosts"] = Json::array({text});
            QVERIFY2(!errorOf(document, "hosts").empty(), text);
            document["hosts"] = Json::array({Json{{"destination", text}}});
            QVERIFY2(!errorOf(document, "hosts").empty(), text);
            if (*text != '\0') {
                Json cluster = slurm();
                setValueAt(cluster, "slurm.login", text);
                QVERIFY2(!errorOf(cluster, "slurm.login").empty(), text);
            }
        }
        for (const char* text : {"gpu1", "me@gpu-2.lab.example", "10.0.0.7", "fe80::1%eth0", "me+x@host_1"}) {
            QVERIFY2(checkDestination(text, "hosts").ok(), text);
        }
    }

    void hosts_membersAreChecked() {
        const auto with = [](const char* key, const Json& value) {
            Json document = ssh();
            document["hosts"] = Json::array({Json{{"destination", "a"}, {key, value}}});
            return errorOf(document, "hosts");
        };
        QVERIFY(with("port", 2222).empty());
        QCOMPARE(with("port", 65536), "spec.range");
        QCOMPARE(with("port", -1), "spec.range");
        QVERIFY(with("address", "10.0.0.2").empty());
        QVERIFY(with("address", "fe80::2%eth0").empty());
        for (const char* address : {"host", "10.0.0", "10.0.0.2;x", "dead.beef", "-1", "fe80::2%$(x)"}) {
            QCOMPARE(with("address", address), "spec.address");
        }
        QVERIFY(with("interface", "eth0.12").empty());
        for (const char* interface : {"-x", "eth 0", "a/b", "a123456789012345", "$(x)"}) {
            QCOMPARE(with("interface", interface), "spec.interface");
        }
        QVERIFY(!with("colour", "red").empty());
        Json twice = ssh();
        twice["hosts"] = Json::array({"a", "a"});
        QCOMPARE(errorOf(twice, "hosts"), "spec.host");
        twice["hosts"] = Json::array();
        QCOMPARE(errorOf(twice, "hosts"), "spec.required");
    }

    void values_data() {
        QTest::addColumn<bool>("cluster");
        QTest::addColumn<QByteArray>("path");
        QTest::addColumn<QByteArray>("value");
        QTest::addColumn<QByteArray>("code");
        const auto row = [](bool cluster, const char* path, const char* value, const char* code) {
            QTest::addRow("%s %s", path, value) << cluster << QByteArray(path) << QByteArray(value) << QByteArray(code);
        };
        row(false, "name", R"("Lab")", "spec.name");
        row(false, "name", R"("../x")", "spec.name");
        row(false, "name", R"("-x")", "spec.name");
        row(false, "name", R"("local")", "spec.name");
        row(false, "kind", R"("cloud")", "spec.choice");
        row(false, "work_folder", R"("~/work of mine")", "");
        row(false, "work_folder", R"("work")", "spec.path");
        row(false, "work_folder", R"("~root/x")", "spec.path");
        row(false, "work_folder", R"("/a\nb")", "spec.control");
        row(false, "slots_folder", R"("~/x")", "spec.path");
        row(false, "engine", R"("newest")", "spec.choice");
        row(false, "engine", R"("/opt/engine")", "");
        row(false, "python", R"("-c")", "spec.path");
        row(false, "python", R"("/opt/my python/bin/python3")", "");
        row(false, "variables", R"({"A":"x"})", "");
        row(false, "variables", R"({"A B":"x"})", "spec.variable");
        row(false, "variables", R"({"RANK":"x"})", "spec.variable");
        row(false, "connect_seconds", "0", "spec.range");
        row(false, "colour", "1", "spec.unknown");
        for (const char* path :
             {"slurm.partition", "slurm.account", "slurm.qos", "slurm.constraint", "slurm.gpu_type"}) {
            row(true, path, R"("a-b_1")", "");
            row(true, path, R"("--wrap=x")", "spec.word");
            row(true, path, R"("a b")", "spec.word");
            row(true, path, "\"a\\\"b\"", "spec.word");
            row(true, path, "\"$(x)\"", "spec.word");
            row(true, path, "\"a\\n#SBATCH --x\"", "spec.control");
        }
        row(true, "slurm.constraint", R"("[rack1|rack2]&a100")", "");
        row(true, "slurm.min_nodes", "2", "spec.range");
        row(true, "slurm.extra_lines", R"(["--exclusive","--mem=0"])", "");
        row(true, "slurm.extra_lines", R"(["echo hi"])", "spec.line");
        row(true, "slurm.extra_lines", R"(["--exclusive\ntouch x"])", "spec.line");
        row(true, "slurm.extra_lines", R"(["--wrap=touch x"])", "spec.line");
        row(true, "slurm.extra_lines", R"(["--output","x"])", "spec.line");
    }

    void values() {
        QFETCH(bool, cluster);
        QFETCH(QByteArray, path);
        QFETCH(QByteArray, value);
        QFETCH(QByteArray, code);
        Json document = cluster ? slurm() : ssh();
        setValueAt(document, path.toStdString(), *parseJson(value.toStdString()));
        QCOMPARE(QByteArray::fromStdString(errorOf(document, path.toStdString())), code);
        QCOMPARE(targetSpecFromJson(document).ok(), code.isEmpty());
    }

    void upgrade_tooNew() {
        Json document = ssh();
        document["version"] = kTargetSpecVersion + 1;
        QCOMPARE(targetSpecFromJson(document).error().code, "format.newer");
    }

    void schema_equalsTheFile() {
        const trainyard::base::Path file =
            trainyard::test::sourceFolder() / "resources/docs/protocol/compute-target.schema.json";
        const std::string schema = dumpJsonPretty(targetSpecJsonSchema());
        if (qEnvironmentVariableIntValue("UPDATE_GOLDEN") == 1) {
            QVERIFY(trainyard::base::writeFileAtomically(file, schema, 0644).ok());
        }
        QVERIFY2(trainyard::base::readFile(file).valueOr({}) == schema,
                 "The schema has changed. Look at it, then run this test with UPDATE_GOLDEN=1 to write the file anew.");
    }
};

QTEST_GUILESS_MAIN(TestTargetSpec)
#include "tst_TargetSpec.moc"
