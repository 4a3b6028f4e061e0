#include <QtTest>

#include "core/base/Files.h"
#include "core/spec/EnvironmentSpec.h"
#include "core/spec/EnvironmentText.h"
#include "tests/helpers/Hostile.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard::spec;
using trainyard::base::dumpJson;
using trainyard::base::dumpJsonPretty;

namespace {

Json document(const char* kind) {
    Json made{
        {"format", kEnvironmentSpecFormat}, {"version", kEnvironmentSpecVersion}, {"name", "mine"}, {"kind", kind}};
    const std::string name = kind;
    if (name == "conda") {
        made["conda"] =
            Json{{"channels", {"conda-forge"}}, {"dependencies", {"python=3.11", "pip"}}, {"pip", {"numpy"}}};
    } else if (name == "container") {
        made["container"] = Json{{"image", "localhost/base:1"}};
    } else if (name == "setup") {
        made["setup"] = Json{{"script", "#!/bin/sh\ntrue\n"}};
    }
    return made;
}

const char* const kKinds[] = {"engine", "interpreter", "venv", "conda", "container", "setup"};

std::string errorOf(const Json& document, const std::string& field) {
    for (const Error& error : validateEnvironmentSpec(document)) {
        if (error.field == field) {
            return error.code;
        }
    }
    return {};
}

Json with(const char* kind, const char* path, const Json& value) {
    Json made = document(kind);
    setValueAt(made, path, value);
    return made;
}

}  // namespace

class TestEnvironmentSpec : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void fields_areDescribed() {
        for (const Field& field : environmentSpecFields()) {
            QVERIFY2(!field.label.empty() && !field.help.empty() && !field.group.empty(), field.path.c_str());
            const auto error = checkValue(field, &field.defaultValue);
            QVERIFY2(!error || field.required, field.path.c_str());
        }
    }

    void kinds_roundTrip() {
        for (const char* kind : kKinds) {
            const auto errors = validateEnvironmentSpec(document(kind));
            QVERIFY2(errors.empty(),
                     errors.empty() ? ""
                                    : (std::string(kind) + " " + errors[0].field + ": " + errors[0].message).c_str());
            const EnvironmentSpec spec = environmentSpecFromJson(document(kind)).value();
            QCOMPARE(environmentKindName(spec.kind), kind);
            const Json whole = toJson(spec);
            QVERIFY(validateEnvironmentSpec(whole).empty());
            QCOMPARE(dumpJson(toJson(environmentSpecFromJson(whole).value())), dumpJson(whole));
            // Only what its kind has.
            for (const char* other : kKinds) {
                QCOMPARE(whole.contains(other), std::string(other) == kind);
            }
        }
    }

    void requirement_grammar_data() {
        QTest::addColumn<QByteArray>("line");
        QTest::addColumn<QByteArray>("code");
        const auto row = [](const char* line, const char* code) {
            QTest::newRow(line) << QByteArray(line) << QByteArray(code);
        };
        for (const char* line : {"numpy",
                                 "torch==2.6.0",
                                 "torch == 2.6.0",
                                 "numpy>=1.24,<2",
                                 "numpy (>=1.24)",
                                 "requests[security,socks]>=2.8.1",
                                 "a ; python_version < \"3.9\"",
                                 "a>=1; (python_version >= '3.8' and sys_platform == 'linux') or extra == 'x'",
                                 "a; 'linux' in sys_platform",
                                 "a; platform_machine not in \"arm\"",
                                 "pip @ https://example.org/pip-22.whl#sha1=da39",
                                 "a @ git+https://example.org/a.git@main",
                                 "a===1.0-weird",
                                 "a==1.*",
                                 "a~=1.4.2",
                                 "a!=1.5",
                                 "--pre",
                                 "--no-binary :all:",
                                 "a==1 --hash=sha256:0123456789012345678901234567890123456789012345678901234567890123",
                                 "a.b_c-d==1!2.0+cu121",
                                 "numpy  # a comment"}) {
            row(line, "");
        }
        for (const char* line : {"-a", "--frobnicate", "-r more.txt", "-c c.txt", "--index-url https://example.org",
                                 "-e .", "--pre yes", "--no-binary"}) {
            row(line, "environment.option");
        }
        for (const char* line : {"numpy; touch /tmp/x",
                                 "numpy==",
                                 "==1",
                                 "numpy 1.0",
                                 "a[",
                                 "a[]",
                                 "a[b",
                                 "a==1;",
                                 "a; python_version",
                                 "a; python_version >",
                                 "a; nonsense == '1'",
                                 "a; python_version >= '3",
                                 "a==1 --hash=md5:1",
                                 "a==1 --hash=sha256:12",
                                 "./a.whl",
                                 "/a.whl",
                                 "~/a.whl",
                                 "a,b",
                                 "\xc3\xa4==1",
                                 "a>1<2",
                                 "a (>=1",
                                 "a <script>",
                                 "",
                                 "# only a comment",
                                 "'numpy'"}) {
            row(line, "environment.requirement");
        }
        for (const char* line : {"$(touch x)", "`touch x`", "a | b", "a && b", "a==1\ntouch x", "${HOME}", "a\\b"}) {
            row(line, "environment.shell");
        }
        row("a @ ftp://example.org/a", "environment.address");
        row("a @ https://me:hunter2@example.org/a.whl", "environment.secret");
    }
    void requirement_grammar() {
        QFETCH(QByteArray, line);
        QFETCH(QByteArray, code);
        const Status status = checkRequirement(line.toStdString());
        QCOMPARE(QByteArray::fromStdString(status.ok() ? "" : status.error().code), code);
        QVERIFY(status.ok() || status.error().message.find("hunter2") == std::string::npos);
    }

    /// A condition that is nested a million times deep ends with words, not with the program.
    void requirement_depth() {
        const std::string deep = "a; " + std::string(4000, '(') + "python_version>'3'" + std::string(80, ')');
        QCOMPARE(checkRequirement(deep).error().code, "environment.requirement");
        QCOMPARE(checkRequirement("a; " + std::string(1'000'000, '(')).error().code, "environment.requirement");
    }

    void conda_packages() {
        for (const char* text : {"python", "python=3.11", "numpy>=1.24,<2", "pytorch=2.6=cuda*", "conda-forge::numpy",
                                 "numpy 1.24.*", "_libgcc_mutex", "a!=1", "a=1|2"}) {
            if (std::string_view(text).find('|') == std::string_view::npos) {
                QVERIFY2(checkCondaPackage(text).ok(), text);
            } else {
                QCOMPARE(checkCondaPackage(text).error().code, "environment.shell");
            }
        }
        for (const char* text :
             {"", "-c", "--file=x", ".x", "=1", "a@b", "a;b", "a$(x)", "a'b", "a\nb", "a/b", "c d::a"}) {
            QVERIFY2(!checkCondaPackage(text).ok(), text);
        }
        for (const char* text :
             {"conda-forge", "pytorch/label/dev", "https://example.org/channel", "file:///srv/channel"}) {
            QVERIFY2(checkCondaChannel(text).ok(), text);
        }
        QCOMPARE(checkCondaChannel("-c").error().code, "environment.channel");
        QCOMPARE(checkCondaChannel("https://u:p@example.org/c").error().code, "environment.secret");
    }

    void image_names() {
        for (const char* text : {"python", "python:3.11", "localhost/a", "registry.example:5000/team/image:tag",
                                 "a/b/c@sha256:0123456789012345678901234567890123456789012345678901234567890123"}) {
            QVERIFY2(checkImageName(text, false).ok(), text);
        }
        for (const char* text : {"", "-v", "--privileged", "A", "a b", "a:", "a:b c", "a@sha256:12", "a;b", "$(x)",
                                 "a//b", "/abs.sif", "docker://a", "a:-x", "a\nb", ".a"}) {
            QVERIFY2(!checkImageName(text, false).ok(), text);
        }
        QVERIFY(checkImageName("docker://python:3.11", true).ok());
        QVERIFY(checkImageName("/srv/images/a.sif", true).ok());
    }

    void mounts_andPaths() {
        for (const char* text : {"/data:/data", "/data:/data:ro", "~/data:/home/data:rw", "/with blank:/x"}) {
            QVERIFY2(checkMount(text).ok(), text);
        }
        for (const char* text : {"", "/data", "data:/data", "/data:data", "/data:/", "/a:/b:rx", "/a:/b:ro:x",
                                 "/a,readonly=false:/b", "/a:/b/../c", "/a\n:/b", "/a:/b\""}) {
            QCOMPARE(checkMount(text).ok(), false);
        }
        QVERIFY(checkTargetPath("/a").ok() && checkTargetPath("~/a").ok());
        QVERIFY(!checkTargetPath("a").ok() && !checkTargetPath("~other/a").ok() && !checkTargetPath("/a\nb").ok());
    }

    /// What could be the secret itself is never said again.
    void secrets_byPlaceAlone() {
        for (const char* text : {"file:/etc/token", "file:~/token", "variable:WANDB_KEY"}) {
            QVERIFY2(checkSecretPlace(text).ok(), text);
        }
        for (const char* text : {"hunter2", "file:token", "variable:", "variable:1A", "variable:A B", ""}) {
            const Status status = checkSecretPlace(text);
            QVERIFY2(!status.ok(), text);
            QVERIFY(status.error().message.find("hunter2") == std::string::npos);
        }
        QCOMPARE(errorOf(with("venv", "secrets", Json{{"KEY", "hunter2"}}), "secrets"), "environment.secret");
        Json both = with("venv", "secrets", Json{{"KEY", "file:/k"}});
        both["variables"] = Json{{"KEY", "x"}};
        QCOMPARE(errorOf(both, "secrets"), "spec.exclusive");
        QCOMPARE(errorOf(with("venv", "venv.index_url", "https://me:pw@example.org/simple"), "venv.index_url"),
                 "environment.secret");
        QCOMPARE(errorOf(with("venv", "variables", Json{{"RANK", "1"}}), "variables"), "spec.variable");
        QCOMPARE(errorOf(with("venv", "variables", Json{{"LD PRELOAD", "1"}}), "variables"), "spec.variable");
    }

    void containerfile_namesTheLine_data() {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<QByteArray>("said");
        const auto row = [](const char* name, const char* text, const char* said) {
            QTest::newRow(name) << QByteArray(text) << QByteArray(said);
        };
        row("whole", "# syntax\nARG V=1\nFROM a:${V}\nRUN echo a \\\n  && echo b\nENV A=1\nCOPY --from=b /x /y\n", "");
        row("heredoc", "FROM a\nRUN <<EOF\nNOT an instruction\nEOF\nUSER x\n", "");
        row("lower case", "from a\nrun true\n", "");
        row("empty", "", "Line 1");
        row("comments", "# a\n# b\n", "Line 3");
        row("no FROM", "RUN true\n", "Line 1");
        row("unknown", "FROM a\n\nFETCH b\n", "Line 3");
        row("copy", "FROM a\nCOPY requirements.txt /\n", "Line 2");
        row("nothing behind", "FROM a\nRUN\n", "Line 2");
        row("open heredoc", "FROM a\nRUN <<EOF\nx\n", "Line 4");
        row("shell script", "#!/bin/sh\ntouch x\n", "Line 2");
    }
    void containerfile_namesTheLine() {
        QFETCH(QByteArray, text);
        QFETCH(QByteArray, said);
        const Status status = checkContainerfile(text.toStdString());
        QCOMPARE(status.ok(), said.isEmpty());
        QVERIFY2(status.ok() || status.error().message.starts_with(said.toStdString()),
                 status.ok() ? "" : status.error().message.c_str());
    }

    void values_data() {
        QTest::addColumn<QByteArray>("kind");
        QTest::addColumn<QByteArray>("path");
        QTest::addColumn<QByteArray>("value");
        QTest::addColumn<QByteArray>("code");
        const auto row = [](const char* kind, const char* path, const char* value, const char* code) {
            QTest::newRow((std::string(path) + " " + value).c_str())
                << QByteArray(kind) << QByteArray(path) << QByteArray(value) << QByteArray(code);
        };
        row("venv", "name", "\"Mine\"", "spec.name");
        row("venv", "name", "\"../x\"", "spec.name");
        row("venv", "name", "\"\"", "spec.required");
        row("venv", "kind", "\"virtualenv\"", "spec.choice");
        row("venv", "venv.wheel_folder", "\"wheels\"", "environment.path");
        row("venv", "venv.python", "\"-c\"", "environment.path");
        row("venv", "venv.python", "\"python3; x\"", "environment.path");
        row("venv", "venv.python", "\"/opt/python/bin/python3\"", "");
        row("venv", "venv.requirements", "\"numpy\"", "spec.type");
        row("venv", "venv.find_links", "[\"/srv/wheels\"]", "");
        row("venv", "venv.find_links", "[\"wheels\"]", "environment.address");
        row("venv", "venv.frobnicate", "1", "spec.unknown");
        row("venv", "need_mib", "-1", "spec.range");
        row("conda", "conda.dependencies", "[]", "spec.required");
        row("conda", "conda.dependencies", "[\"python\"]", "environment.conda_pip");
        row("conda", "conda.tool", "\"pip\"", "spec.choice");
        row("container", "container.image", "\"\"", "spec.required");
        row("container", "container.python", "\"-x\"", "environment.path");
        row("container", "container.mounts", "[\"x\"]", "environment.mount");
        row("interpreter", "interpreter.needs", "[\"torch; x\"]", "environment.module");
        row("interpreter", "interpreter.folder", "\"venv\"", "environment.path");
        row("setup", "setup.script", "\"\"", "spec.required");
        row("setup", "setup.python", "\"../../bin/python\"", "environment.path");
        row("setup", "setup.python", "\"bin/python\"", "");
    }
    void values() {
        QFETCH(QByteArray, kind);
        QFETCH(QByteArray, path);
        QFETCH(QByteArray, value);
        QFETCH(QByteArray, code);
        const Json made = with(kind.constData(), path.constData(), *trainyard::base::parseJson(value.toStdString()));
        QCOMPARE(QByteArray::fromStdString(errorOf(made, path.toStdString())), code);
        QCOMPARE(environmentSpecFromJson(made).ok(), code.isEmpty());
    }

    /// Nothing that a shell, an option parser or a line reader would take for more than a name gets into what is built.
    void hostile_values() {
        for (const auto& value : trainyard::test::hostileValues("/tmp/canary")) {
            if (value.value.empty()) {
                continue;
            }
            if (value.value != "# not a comment") {
                QVERIFY2(!checkRequirement(value.value).ok(), value.name);
            }
            QVERIFY2(!checkImageName(value.value, false).ok(), value.name);
            QVERIFY2(!checkCondaChannel(value.value).ok(), value.name);
            QVERIFY2(!checkMount(value.value).ok(), value.name);
            QVERIFY2(!checkSecretPlace(value.value).ok(), value.name);
            QVERIFY2(!checkAddress(value.value).ok(), value.name);
            QVERIFY2(!parseEnvironmentName(value.value).ok(), value.name);
            QVERIFY2(!environmentSpecFromJson(with("venv", "name", value.value)).ok(), value.name);
            QVERIFY2(value.value == "~/x" || !environmentSpecFromJson(with("venv", "venv.python", value.value)).ok(),
                     value.name);
        }
        for (const Json& value : {Json(), Json(1), Json::array(), Json::object(), Json(true)}) {
            for (const Field& field : environmentSpecFields()) {
                for (const char* kind : kKinds) {
                    // Whatever it says: it says it, and the round trip of what it takes stays the same.
                    const Json made = with(kind, field.path.c_str(), value);
                    const auto spec = environmentSpecFromJson(made);
                    QVERIFY(!spec.ok() || validateEnvironmentSpec(toJson(*spec)).empty());
                }
            }
        }
    }

    void names_withVersions() {
        QCOMPARE(parseEnvironmentName("my-torch")->version, 0);
        QCOMPARE(parseEnvironmentName("my-torch:3")->version, 3);
        for (const char* text : {"", ":", "a:", "a:0", "a:-1", "a:1:2", "a:x", "A", "a/b", "a:99999999999"}) {
            QCOMPARE(parseEnvironmentName(text).ok(), false);
        }
    }

    void upgrade_tooNew() {
        Json newer = document("venv");
        newer["version"] = kEnvironmentSpecVersion + 1;
        QCOMPARE(environmentSpecFromJson(newer).error().code, "format.newer");
        QCOMPARE(environmentSpecFromJson(Json::array()).ok(), false);
    }

    void schema_equalsTheFile() {
        const trainyard::base::Path file =
            trainyard::test::sourceFolder() / "resources/docs/protocol/environment.schema.json";
        const std::string schema = dumpJsonPretty(environmentSpecJsonSchema());
        if (qEnvironmentVariableIntValue("UPDATE_GOLDEN") == 1) {
            QVERIFY(trainyard::base::writeFileAtomically(file, schema, 0644).ok());
        }
        QVERIFY2(trainyard::base::readFile(file).valueOr({}) == schema,
                 "The schema has changed. Look at it, then run this test with UPDATE_GOLDEN=1 to write the file anew.");
    }
};

QTEST_GUILESS_MAIN(TestEnvironmentSpec)
#include "tst_EnvironmentSpec.moc"
