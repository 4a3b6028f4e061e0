#include <QTest>

#include "core/environments/Curated.h"
#include "core/environments/EnvironmentReader.h"
#include "core/environments/EnvironmentWriter.h"
#include "core/environments/Yaml.h"
#include "tests/helpers/Hostile.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard;
using namespace trainyard::environments;
using base::Json;

namespace {

constexpr const char* kConda = R"(# Azure's kind of file
name: My Project
channels:
  - pytorch
  - conda-forge
dependencies:
  - python=3.11   # the interpreter
  - pytorch>=2,<3
  - pip
  - pip:
      - azureml-defaults ; python_version >= "3.9"
      - horovod[pytorch]==0.28.1
)";

base::Error errorOf(const base::Result<Imported>& result) {
    return result.ok() ? base::Error{"none", "It was taken."} : result.error();
}

}  // namespace

class TestReaders : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void conda_isTakenOver() {
        const auto imported = importConda(kConda, "");
        QVERIFY2(imported.ok(), errorOf(imported).message.c_str());
        const auto spec = spec::environmentSpecFromJson(imported->document).value();
        QCOMPARE(spec.name, "my-project");
        QCOMPARE(spec.conda.channels, (std::vector<std::string>{"pytorch", "conda-forge"}));
        QCOMPARE(spec.conda.dependencies, (std::vector<std::string>{"python=3.11", "pytorch>=2,<3", "pip"}));
        QCOMPARE(spec.conda.pip, (std::vector<std::string>{"azureml-defaults ; python_version >= \"3.9\"",
                                                           "horovod[pytorch]==0.28.1"}));
        QVERIFY(imported->notes.empty());
        // What is written is read again as the same.
        const auto again = importConda(condaYaml(spec), "");
        QVERIFY2(again.ok(), errorOf(again).message.c_str());
        QCOMPARE(base::dumpJson(again->document), base::dumpJson(imported->document));
    }

    void conda_saysWhatItChanged() {
        const auto imported = importConda(
            "dependencies: [python=3.11, {pip: [numpy]}]\nprefix: /home/me/x\nvariables:\n  A: '1'\n", "mine");
        QVERIFY2(imported.ok(), errorOf(imported).message.c_str());
        QCOMPARE(imported->notes.size(), 2U);
        const auto spec = spec::environmentSpecFromJson(imported->document).value();
        QCOMPARE(spec.conda.dependencies.back(), "pip");
        QCOMPARE(spec.variables.at(0).second, "1");
    }

    void conda_errorsNameTheLine_data() {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<QByteArray>("code");
        QTest::addColumn<QByteArray>("line");
        const auto row = [](const char* name, const std::string& text, const char* code, const char* line) {
            QTest::newRow(name) << QByteArray::fromStdString(text) << QByteArray(code) << QByteArray(line);
        };
        row("no YAML", "dependencies:\n  - python\n - pip\n", "environment.yaml", "Line 3");
        row("a tab", "dependencies:\n\t- python\n", "environment.yaml", "Line 2");
        row("quote not closed", "name: \"x\ndependencies: [a]\n", "environment.yaml", "Line ");
        row("empty", "", "environment.yaml", "Line 1");
        row("a list", "- python\n", "environment.yaml", "Line 1");
        row("unknown key", "name: x\n\ndependancies:\n  - python\n", "environment.key", "Line 3");
        row("no dependencies", "name: x\n", "environment.key", "The file has no");
        row("twice", "dependencies: [a]\nname: x\ndependencies: [b]\n", "environment.yaml", "Line 3");
        row("dependencies a text", "dependencies: python\n", "environment.yaml", "Line 1");
        row("a map in it", "dependencies:\n  - python\n  - npm:\n      - x\n", "environment.key", "Line 3");
        row("shell in a package", "dependencies:\n  - python\n  - numpy; touch /tmp/x\n", "environment.shell",
            "Line 3");
        row("shell in pip", "dependencies:\n  - python\n  - pip\n  - pip:\n    - numpy\n    - $(touch x)\n",
            "environment.shell", "Line 6");
        row("pip option", "dependencies:\n  - python\n  - pip\n  - pip:\n    - -r requirements.txt\n",
            "environment.option", "Line 5");
        row("password", "channels: [\"https://u:p@example.org/c\"]\ndependencies: [python]\n", "environment.secret",
            "Line 1");
        row("channel as option", "channels:\n  - --override\ndependencies: [python]\n", "environment.channel",
            "Line 2");
        row("an alias", "a: &x [python]\ndependencies: *x\n", "environment.yaml", "Line 2");
        row("a tag", "dependencies: !!python/object/apply:os.system [\"touch x\"]\n", "environment.yaml", "Line 1");
        row("two documents", "dependencies: [a]\n---\ndependencies: [b]\n", "environment.yaml", "Line 2");
        std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
        for (int i = 1; i < 40; ++i) {
            const std::string before = "*a" + std::to_string(i - 1);
            bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before + "," + before + "," + before +
                    "]\n";
        }
        row("a bomb of aliases", bomb, "environment.yaml", "Line 2");
        row("deep", "dependencies: " + std::string(900, '['), "environment.yaml_limit", "Line 1");
        row(
            "deep map",
            [] {
                std::string deep;
                for (int i = 0; i < 60; ++i) {
                    deep += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
                }
                return deep;
            }(),
            "environment.yaml_limit", "Line ");
        std::string many = "dependencies:\n";
        for (int i = 0; i < 30'000; ++i) {
            many += "- a\n";
        }
        row("too many", many, "environment.yaml_limit", "Line ");
        row("too large", "# " + std::string(2 << 20, 'x'), "environment.yaml_limit", "The file is larger");
        row("no UTF-8", "name: \xff\xfe\n", "environment.yaml", "The file is not");
        row("variables a list", "dependencies: [a]\nvariables:\n  A: [1]\n", "environment.yaml", "Line 3");
    }
    void conda_errorsNameTheLine() {
        QFETCH(QByteArray, text);
        QFETCH(QByteArray, code);
        QFETCH(QByteArray, line);
        const auto error = errorOf(importConda(text.toStdString(), "mine"));
        QVERIFY2(error.code == code.toStdString(), (error.code + ": " + error.message).c_str());
        QVERIFY2(error.message.starts_with(line.toStdString()), error.message.c_str());
        QVERIFY(error.message.find("u:p@") == std::string::npos);
    }

    /// Bytes that are no YAML in every way: it ends, and with a result.
    void yaml_endsOnAnything() {
        const std::string whole = kConda;
        for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
            (void) parseYaml(whole.substr(0, cut)).ok();
            std::string changed = whole;
            if (cut < changed.size()) {
                changed[cut] = "\t:-[]{}&*!|>'\"%@`\0"[cut % 18];
                const auto result = importConda(changed, "mine");
                QVERIFY(result.ok() || !result.error().message.empty());
            }
        }
    }

    void requirements_areTakenOver() {
        const std::string text =
            "# mine\n--index-url https://example.org/simple\n--extra-index-url=https://example.org/more\n-f "
            "/srv/wheels\n"
            "numpy>=1.24 \\\n  ; python_version >= \"3.9\"  # joined\r\n-r more.txt\n-c limits.txt\n--pre\n";
        const auto beside = [](const std::string& path) -> base::Result<std::string> {
            if (path == "more.txt") return std::string("torch==2.6.0\n");
            if (path == "limits.txt") return std::string("numpy<2\n");
            return base::Error{"file.missing", path + " is not there."};
        };
        const auto imported = importRequirements(text, "mine", beside);
        QVERIFY2(imported.ok(), errorOf(imported).message.c_str());
        const auto spec = spec::environmentSpecFromJson(imported->document).value();
        QCOMPARE(spec.venv.indexUrl, "https://example.org/simple");
        QCOMPARE(spec.venv.extraIndexUrls, std::vector<std::string>{"https://example.org/more"});
        QCOMPARE(spec.venv.findLinks, std::vector<std::string>{"/srv/wheels"});
        QCOMPARE(spec.venv.constraints, std::vector<std::string>{"numpy<2"});
        QCOMPARE(spec.venv.requirements.size(), 3U);
        QCOMPARE(spec.venv.requirements[1], "torch==2.6.0");
        const auto again = importRequirements(requirementsText(spec), "mine", [](const std::string&) {
            return base::Result<std::string>(std::string("numpy<2\n"));
        });
        QVERIFY2(again.ok(), errorOf(again).message.c_str());
        QCOMPARE(base::dumpJson(again->document), base::dumpJson(imported->document));
    }

    void requirements_offline() {
        const auto imported = importRequirements("--no-index\n--find-links /srv/wheels\nnumpy\n", "mine", {});
        QVERIFY2(imported.ok(), errorOf(imported).message.c_str());
        QCOMPARE(spec::environmentSpecFromJson(imported->document)->venv.wheelFolder, "/srv/wheels");
        QCOMPARE(errorOf(importRequirements("--no-index\nnumpy\n", "mine", {})).code, "environment.option");
    }

    void requirements_errorsNameTheLine() {
        const auto beside = [](const std::string& path) -> base::Result<std::string> {
            if (path == "self.txt") return std::string("-r self.txt\n");
            if (path == "bad.txt") return std::string("numpy\n\n$(touch x)\n");
            return base::Error{"file.missing", path + " is not there."};
        };
        const auto said = [&](const std::string& text) { return errorOf(importRequirements(text, "mine", beside)); };
        QVERIFY(said("a\nb\nc | d\n").message.starts_with("Line 3: '|'"));
        QCOMPARE(said("a\n-r gone.txt\n").code, "file.missing");
        QVERIFY(said("a\n-r gone.txt\n").message.starts_with("Line 2"));
        QVERIFY2(said("-r bad.txt\n").message.starts_with("bad.txt, line 3"), said("-r bad.txt\n").message.c_str());
        QCOMPARE(said("-r self.txt\n").code, "environment.option");
        QCOMPARE(said("-r https://example.org/r.txt\n").code, "environment.option");
        QCOMPARE(said("-e .\n").code, "environment.option");
        QCOMPARE(said("--trusted-host x\n").code, "environment.option");
        QCOMPARE(said("--index-url https://me:pw@example.org/simple\n").code, "environment.secret");
        QVERIFY(said("--index-url https://me:pw@example.org/simple\n").message.find("pw") == std::string::npos);
        QCOMPARE(said(std::string("a\0b", 3)).code, "environment.requirement");
        for (const auto& value : test::hostileValues("/tmp/canary")) {
            const auto result = importRequirements("numpy\n" + value.value + "\n", "mine", beside);
            // A comment is taken, and left out.
            QVERIFY2(!result.ok() || base::dumpJson(result->document).find("canary") == std::string::npos, value.name);
            QVERIFY2(!result.ok() || value.value.empty() || value.value.find('#') != std::string::npos, value.name);
        }
    }

    void containersAndOurOwn() {
        const auto file = importContainerfile("FROM localhost/base:1\nRUN true\n", "mine");
        QVERIFY2(file.ok(), errorOf(file).message.c_str());
        QCOMPARE(containerfileText(*spec::environmentSpecFromJson(file->document)),
                 "FROM localhost/base:1\nRUN true\n");
        QCOMPARE(errorOf(importContainerfile("RUN true\n", "mine")).code, "environment.containerfile");
        const auto image = importImage("localhost/base:1", "mine");
        QVERIFY(image.ok());
        QCOMPARE(errorOf(importImage("--privileged", "mine")).code, "environment.image");
        QCOMPARE(errorOf(importImage("a", "../x")).field, "name");
        const auto own = importDefinition(base::dumpJson(image->document), "other");
        QVERIFY(own.ok());
        QCOMPARE(own->document["name"], Json("other"));
        QCOMPARE(errorOf(importDefinition("{", "x")).code, "json.syntax");
        QCOMPARE(errorOf(importDefinition("[]", "x")).field, "file");
    }

    void files_tellWhatTheyAre() {
        QCOMPARE(kindOfFile("/a/environment.yml"), "conda");
        QCOMPARE(kindOfFile("requirements.txt"), "requirements");
        QCOMPARE(kindOfFile("Dockerfile"), "containerfile");
        QCOMPARE(kindOfFile("a.json"), "definition");
        QCOMPARE(kindOfFile("a.sh"), "");
    }

    /// Each curated one shows all that is in it, and what it shows is read again.
    void curated_saveAndRead() {
        QVERIFY(curatedEnvironments().size() >= 5);
        for (const Curated& one : curatedEnvironments()) {
            const auto files = definitionFiles(one.spec);
            QCOMPARE(files.front().first, one.spec.name + ".json");
            const auto again = importDefinition(files.front().second, "");
            QVERIFY2(again.ok(), errorOf(again).message.c_str());
            QCOMPARE(base::dumpJson(again->document), base::dumpJson(spec::toJson(one.spec)));
            // The file that is shipped is that text too, so that nothing in it is without effect.
            const base::Path file = test::sourceFolder() / "resources/curated/environments" /
                                    (one.spec.name + "." + std::to_string(one.version) + ".json");
            if (qEnvironmentVariableIntValue("UPDATE_GOLDEN") == 1) {
                QVERIFY(base::writeFileAtomically(file, files.front().second, 0644).ok());
            }
            QCOMPARE(base::readFile(file).valueOr({}), files.front().second);
        }
        QCOMPARE(findCurated("trainyard-torch-horovod", 0)->spec.label, "Not verified");
    }
};

QTEST_GUILESS_MAIN(TestReaders)
#include "tst_Readers.moc"
