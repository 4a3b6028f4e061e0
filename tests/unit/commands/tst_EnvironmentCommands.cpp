#include <QSignalSpy>
#include <QTest>

#include "core/base/Files.h"
#include "core/runs/TargetBook.h"
#include "tests/integration/SessionDriver.h"

using namespace trainyard;
using base::Json;

namespace {

Json venv(const std::string& name, const std::vector<std::string>& requirements) {
    return Json{{"format", "trainyard.environment"},
                {"version", 1},
                {"name", name},
                {"kind", "venv"},
                {"venv", {{"requirements", requirements}}}};
}

}  // namespace

class TestEnvironmentCommands : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        m_driver = std::make_unique<test::SessionDriver>();
        QVERIFY(!m_driver->get("workspace.init", {{"folder", (*m_scratch / "w").string()}}).is_null());
    }
    void cleanup() { m_driver.reset(); }

    void life_ofAnEnvironment() {
        QSignalSpy changed(&m_driver->session(), &commands::Session::environmentsChanged);
        const Json made = get("environment.create", {{"spec", venv("mine", {"numpy"})}});
        QCOMPARE(made["version"], Json(1));
        QCOMPARE(errorOf("environment.create", {{"spec", venv("mine", {"torch"})}}), "environment.exists");
        QCOMPARE(errorOf("environment.create", {{"spec", venv("trainyard-mine", {})}}), "environment.reserved");
        QCOMPARE(errorOf("environment.create", {{"spec", venv("bad", {"$(touch x)"})}}), "environment.shell");

        // An edit is a new version; the same once more is none.
        QCOMPARE(get("environment.edit", {{"environment", "mine"}, {"spec", venv("mine", {"numpy<2"})}})["version"],
                 Json(2));
        const Json same = get("environment.edit", {{"environment", "mine"}, {"spec", venv("mine", {"numpy<2"})}});
        QCOMPARE(same["created"], Json(false));
        QCOMPARE(same["versions"], Json(std::vector<int>{1, 2}));
        QCOMPARE(errorOf("environment.edit", {{"environment", "trainyard-shell"}, {"spec", venv("x", {})}}),
                 "environment.reserved");
        QCOMPARE(errorOf("environment.edit", {{"environment", "other"}, {"spec", venv("x", {})}}),
                 "environment.unknown");

        const Json diff = get("environment.diff", {{"environment", "mine"}});
        QCOMPARE(diff["left"], Json("mine:1"));
        QCOMPARE(diff["differences"].size(), 1U);
        QCOMPARE(get("environment.diff", {{"environment", "mine:1"}, {"with", "mine:1"}})["differences"].size(), 0U);
        QCOMPARE(errorOf("environment.diff", {{"environment", "mine:1"}}), "environment.unknown");

        const Json clone = get("environment.clone", {{"environment", "trainyard-torch-horovod"}, {"name", "horovod"}});
        QCOMPARE(clone["label"], Json(""));
        QCOMPARE(errorOf("environment.clone", {{"environment", "mine"}, {"name", "horovod"}}), "environment.exists");
        QCOMPARE(errorOf("environment.clone", {{"environment", "mine"}, {"name", "../x"}}), "spec.name");

        const Json shown = get("environment.show", {{"environment", "mine:1"}});
        QCOMPARE(shown["spec"]["venv"]["requirements"], Json(std::vector<std::string>{"numpy"}));
        QCOMPARE(shown["files"].size(), 2U);
        QCOMPARE(shown["realised"].size(), 0U);

        const Json list = get("environment.list", Json::object());
        QCOMPARE(list["environments"].size(), 7U);
        QCOMPARE(list["environments"][0]["environment"], Json("trainyard-engine"));
        QVERIFY(list["environments"][0]["last_used"].is_null());

        QCOMPARE(get("environment.delete", {{"environment", "mine"}})["environment"], Json("mine"));
        QCOMPARE(errorOf("environment.delete", {{"environment", "mine"}}), "environment.unknown");
        QCOMPARE(errorOf("environment.delete", {{"environment", "trainyard-engine"}}), "environment.reserved");
        QCOMPARE(errorOf("environment.delete", {{"environment", "horovod:1"}}), "environment.version");
        QCOMPARE(changed.count(), 4);
    }

    void save_andImport() {
        const base::Path folder = *m_scratch / "saved here";
        const Json saved =
            get("environment.save", {{"environment", "trainyard-torch-horovod"}, {"folder", folder.string()}});
        QCOMPARE(saved["files"].size(), 2U);
        QCOMPARE(errorOf("environment.save", {{"environment", "trainyard-torch-horovod"}, {"folder", folder.string()}}),
                 "file.exists");
        QVERIFY(!get("environment.save",
                     {{"environment", "trainyard-torch-horovod"}, {"folder", folder.string()}, {"overwrite", true}})
                     .is_null());
        QCOMPARE(errorOf("environment.save", {{"environment", "trainyard-shell"}, {"folder", "relative"}}),
                 "spec.path");

        m_scratch->write("in/environment.yml", "name: From Conda\ndependencies:\n  - python=3.11\n");
        const std::string file = (*m_scratch / "in/environment.yml").string();
        const Json shown = get("environment.import", {{"file", file}, {"keep", false}});
        QCOMPARE(shown["spec"]["name"], Json("from-conda"));
        QCOMPARE(errorOf("environment.show", {{"environment", "from-conda"}}), "environment.unknown");
        QCOMPARE(get("environment.import", {{"file", file}})["environment"], Json("from-conda"));
        QCOMPARE(errorOf("environment.import", {{"file", file}}), "environment.exists");

        m_scratch->write("in/requirements.txt", "numpy\n-r more.txt\n");
        m_scratch->write("in/more.txt", "torch\n");
        const Json imported =
            get("environment.import", {{"file", (*m_scratch / "in/requirements.txt").string()}, {"name", "reqs"}});
        QCOMPARE(imported["spec"]["venv"]["requirements"].size(), 2U);
        QCOMPARE(get("environment.import", {{"image", "localhost/base:1"}, {"name", "image"}})["kind"],
                 Json("container"));
        QCOMPARE(errorOf("environment.import", {{"name", "x"}}), "spec.required");
        QCOMPARE(errorOf("environment.import", {{"name", "x"}, {"image", "a"}, {"text", "b"}}), "spec.required");
        QCOMPARE(errorOf("environment.import", {{"name", "x"}, {"text", "b"}}), "spec.choice");
        QCOMPARE(errorOf("environment.import", {{"name", "x"}, {"file", (*m_scratch / "gone.yml").string()}}),
                 "file.missing");
        // A folder, a device or something huge is no definition.
        QCOMPARE(errorOf("environment.import", {{"name", "x"}, {"file", "/dev/zero"}, {"from", "conda"}}), "file.kind");
    }

    void check_beforeLaunch() {
        QVERIFY(!get("environment.create", {{"spec", venv("mine", {"numpy"})}}).is_null());
        Json checked = get("environment.check", {{"environment", "mine"}});
        QCOMPARE(checked["findings"][0]["code"], Json("environment.not_examined"));
        QCOMPARE(checked["plan"]["steps"].size(), 2U);
        const auto& layout = m_driver->session().workspace().layout;
        const Json line{{"id", "python"},
                        {"host", ""},
                        {"finding", "warning"},
                        {"text", "python3 is not there"},
                        {"values", Json::object()}};
        QVERIFY(runs::writeTargetDoctor(layout, "local", Json{{"t", 1}, {"lines", Json::array({line})}}).ok());
        checked = get("environment.check", {{"environment", "mine"}});
        QCOMPARE(checked["findings"][0]["code"], Json("environment.no_python"));
        QCOMPARE(checked["findings"][0]["finding"], Json("failure"));
        QCOMPARE(errorOf("environment.check", {{"environment", "mine"}, {"target", "nowhere"}}), "target.unknown");

        Json validated = get("environment.validate", {{"spec", venv("mine", {"a; x"})}});
        QCOMPARE(validated["errors"][0]["field"], Json("venv.requirements"));
        QVERIFY(validated["plan"].is_null());
        validated = get("environment.validate", {{"spec", venv("mine", {"a"})}});
        QVERIFY(validated["errors"].empty() && validated["plan"]["hash"].is_string() && !validated["files"].empty());

        const Json command{{"format", "trainyard.run-spec"},
                           {"version", 1},
                           {"environment", "mine"},
                           {"task", {{"kind", "command"}, {"command", {"true"}}}}};
        const Json estimate = get("run.estimate", {{"spec", command}});
        QCOMPARE(estimate["environment"]["environment"], Json("mine:1"));
        QCOMPARE(estimate["environment"]["findings"][0]["code"], Json("environment.no_python"));
        Json other = command;
        other["environment"] = "nowhere";
        QCOMPARE(errorOf("run.estimate", {{"spec", other}}), "environment.unknown");
        QCOMPARE(errorOf("run.submit", {{"spec", other}}), "environment.unknown");
        other["environment"] = "no/name";
        QCOMPARE(errorOf("run.submit", {{"spec", other}}), "spec.name");
    }

private:
    Json get(std::string_view id, const Json& parameters) {
        const auto result = m_driver->run(id, parameters);
        if (!result.ok()) {
            qWarning("%s: %s: %s", std::string(id).c_str(), result.error().code.c_str(),
                     result.error().message.c_str());
        }
        return result.ok() ? *result : Json();
    }
    std::string errorOf(std::string_view id, const Json& parameters) {
        const auto result = m_driver->run(id, parameters);
        return result.ok() ? "none" : result.error().code;
    }

    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<test::SessionDriver> m_driver;
};

QTEST_GUILESS_MAIN(TestEnvironmentCommands)
#include "tst_EnvironmentCommands.moc"
