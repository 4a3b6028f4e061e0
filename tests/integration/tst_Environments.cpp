// Environments from their definition to what a run reports: built once for all, kept, cleared; and a container on
// another host.
#include <QTest>

#include "core/base/Files.h"
#include "core/runs/TargetBook.h"
#include "tests/helpers/Containers.h"
#include "tests/helpers/Lab.h"
#include "tests/integration/SessionDriver.h"

using namespace trainyard;
using base::Json;

namespace {

constexpr const char* kPython = "/usr/bin/python3";
constexpr int kRunMillis = 120'000;

Json environment(const std::string& name, const char* kind, const char* part, const Json& members) {
    Json made{{"format", "trainyard.environment"}, {"version", 1}, {"name", name}, {"kind", kind}};
    if (*part != '\0') {
        made[part] = members;
    }
    return made;
}

}  // namespace

class TestEnvironments : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        qputenv("TRAINYARD_BIN", QByteArray::fromStdString(test::builtProgram("").string()));
        m_driver = std::make_unique<test::SessionDriver>();
        QVERIFY(!m_driver->get("workspace.init", {{"folder", (*m_scratch / "w").string()}}).is_null());
    }
    void cleanup() { m_driver.reset(); }

    /// Two runs that want the same at once build it once; a third finds it; the cache names it and is cleared.
    void build_onceForAll() {
        const std::string count = (*m_scratch / "count").string();
        Json made = environment("tools", "setup", "setup",
                                {{"script", "sleep 1\necho built >> \"$COUNT\"\nmkdir bin\nprintf '#!/bin/sh\\necho "
                                            "from the environment\\n' > bin/tool\nchmod +x bin/tool\n"}});
        made["build_variables"] = Json{{"COUNT", count}};
        made["variables"] = Json{{"FLAVOUR", "sweet"}};
        create(made);
        std::vector<std::string> runs;
        for (int i = 0; i < 2; ++i) {
            runs.push_back(m_driver->submit("tool; echo $FLAVOUR", {{"environment", "tools"}}));
        }
        for (const std::string& run : runs) {
            QVERIFY2(m_driver->waitForState(run, "Completed", kRunMillis), reason(run).c_str());
            const auto lines = m_driver->log(run, "stdout");
            QCOMPARE(lines, (std::vector<std::string>{"from the environment", "sweet"}));
        }
        QCOMPARE(m_scratch->read("count"), "built\n");

        // What the run used stays with it; an edit of what is not built takes the same build.
        made["variables"] = Json{{"FLAVOUR", "sour"}};
        QCOMPARE(m_driver->get("environment.edit", {{"environment", "tools"}, {"spec", made}})["version"], Json(2));
        const std::string third = m_driver->submit("tool; echo $FLAVOUR", {{"environment", "tools"}});
        QVERIFY2(m_driver->waitForState(third, "Completed", kRunMillis), reason(third).c_str());
        QCOMPARE(m_driver->log(third, "stdout").back(), "sour");
        QCOMPARE(m_scratch->read("count"), "built\n");
        QCOMPARE(m_driver->get("run.show", {{"run", runs[0]}})["environment"], Json("tools:1"));
        QCOMPARE(m_driver->get("run.show", {{"run", third}})["environment"], Json("tools:2"));

        const Json shown = m_driver->get("environment.show", {{"environment", "tools"}});
        QCOMPARE(shown["realised"].size(), 2U);
        QCOMPARE(shown["realised"][0]["target"], Json("local"));
        QCOMPARE(shown["realised"][0]["version"], Json(2));
        QCOMPARE(shown["last_used"]["version"], Json(2));

        const Json cache = m_driver->get("environment.cache", {{"target", "local"}});
        QCOMPARE(cache["entries"].size(), 1U);
        QCOMPARE(cache["entries"][0]["environment"], Json("tools:2"));
        QCOMPARE(m_driver->get("environment.clear", {{"target", "local"}})["entries"], Json(1));
        QCOMPARE(m_driver->get("environment.cache", {{"target", "local"}})["entries"].size(), 0U);
    }

    /// The words of the program that failed, the step, and nothing left of it; the next try begins anew.
    void build_thatFails() {
        create(environment("bad", "setup", "setup",
                           {{"script", "echo halfway > half\necho 'no compiler here' >&2\nexit 3\n"}}));
        for (int i = 0; i < 2; ++i) {
            const std::string run = m_driver->submit("true", {{"environment", "bad"}});
            QVERIFY(m_driver->waitForState(run, "Failed", kRunMillis));
            const std::string why = reason(run);
            QVERIFY2(why.find("bad:1") != std::string::npos && why.find("Run the setup script") != std::string::npos &&
                         why.find("no compiler here") != std::string::npos,
                     why.c_str());
            const auto log = m_driver->log(run, "environment");
            QVERIFY(std::find(log.begin(), log.end(), "no compiler here") != log.end());
        }
        QCOMPARE(m_driver->get("environment.cache", {{"target", "local"}})["entries"].size(), 0U);
    }

    /// A run that is canceled while its environment is built ends so, and leaves nothing of the build.
    void build_thatIsCanceled() {
        create(environment("slow", "setup", "setup", {{"script", "echo begun\nsleep 300\n"}}));
        const std::string run = m_driver->submit("true", {{"environment", "slow"}});
        QVERIFY2(test::waitFor([&] { return !m_driver->log(run, "environment").empty(); }, kRunMillis),
                 reason(run).c_str());
        QVERIFY2(reason(run).find("slow:1") != std::string::npos, reason(run).c_str());
        QVERIFY(!m_driver->get("run.cancel", {{"run", run}}).is_null());
        QVERIFY2(m_driver->waitForState(run, "Canceled", kRunMillis), reason(run).c_str());
        QCOMPARE(m_driver->get("environment.cache", {{"target", "local"}})["entries"].size(), 0U);
        // Not in use any more, so it may go.
        QVERIFY(!m_driver->get("environment.delete", {{"environment", "slow"}}).is_null());
    }

    void secret_isMaskedAndStoredNowhere() {
        const std::string secret = "hunter2-with-a-tail";
        const base::Path file = m_scratch->write("token", secret + "\n");
        Json made = environment("secret", "interpreter", "interpreter", {{"program", "sh"}, {"is_python", false}});
        made["secrets"] = Json{{"MY_TOKEN", "file:" + file.string()}, {"OTHER", "variable:THERE_ALREADY"}};
        create(made);
        qputenv("THERE_ALREADY", "also-a-secret");
        const std::string run = m_driver->submit(
            "echo \"it is $MY_TOKEN.\"; echo \"$OTHER\" >&2; test ${#MY_TOKEN} = 19", {{"environment", "secret"}});
        qunsetenv("THERE_ALREADY");
        QVERIFY2(m_driver->waitForState(run, "Completed", kRunMillis), reason(run).c_str());
        QCOMPARE(m_driver->log(run, "stdout"), std::vector<std::string>{"it is ***."});
        QCOMPARE(m_driver->log(run, "stderr"), std::vector<std::string>{"***"});
        for (const auto& entry : std::filesystem::recursive_directory_iterator(*m_scratch / "w")) {
            if (entry.is_regular_file()) {
                const std::string bytes = base::readFile(entry.path(), 256 << 20).valueOr({});
                QVERIFY2(bytes.find(secret) == std::string::npos && bytes.find("also-a-secret") == std::string::npos,
                         entry.path().c_str());
            }
        }
    }

    void venv_seesTheSystemsTorch() {
        if (test::runProgram(kPython, {"-c", "import torch, venv, ensurepip"}).exitCode != 0) {
            TRAINYARD_SKIP("Needs python3-torch and python3-venv.");
        }
        create(environment("torch", "venv", "venv", {{"python", kPython}, {"system_site_packages", true}}));
        m_scratch->write("src/train.py", "import os, sys, torch\nprint(torch.__version__, sys.prefix != "
                                         "sys.base_prefix, 'venv' in os.environ['VIRTUAL_ENV'])\n");
        const Json spec{
            {"format", "trainyard.run-spec"},
            {"version", 1},
            {"environment", "torch"},
            {"task", {{"kind", "command"}, {"source_folder", (*m_scratch / "src").string()}, {"script", "train.py"}}}};
        const Json submitted = m_driver->get("run.submit", {{"spec", spec}});
        QVERIFY2(submitted.is_object(), m_driver->lastError().c_str());
        const std::string run = submitted["run"].get<std::string>();
        QVERIFY2(m_driver->waitForState(run, "Completed", kRunMillis), reason(run).c_str());
        const auto lines = m_driver->log(run, "stdout");
        QCOMPARE(lines.size(), 1U);
        QVERIFY2(lines[0].ends_with("True True"), lines[0].c_str());
        const Json realised = m_driver->get("environment.show", {{"environment", "torch"}})["realised"];
        QCOMPARE(realised.size(), 1U);
        QCOMPARE(realised[0]["facts"]["torch"]["version"], Json(lines[0].substr(0, lines[0].find(' '))));
    }

    /// A folder that somebody else made on the target: nothing is built, its Python runs the script, and the run says
    /// so.
    void folder_thatIsThere() {
        const std::string folder = (*m_scratch / "theirs").string();
        if (test::runProgram(kPython, {"-m", "venv", "--without-pip", folder}).exitCode != 0) {
            TRAINYARD_SKIP("Needs python3-venv.");
        }
        create(environment("theirs", "interpreter", "interpreter", {{"folder", folder}}));
        m_scratch->write("src/where.py", "import sys\nprint(sys.prefix)\n");
        const Json spec{
            {"format", "trainyard.run-spec"},
            {"version", 1},
            {"environment", "theirs"},
            {"task", {{"kind", "command"}, {"source_folder", (*m_scratch / "src").string()}, {"script", "where.py"}}}};
        const Json submitted = m_driver->get("run.submit", {{"spec", spec}});
        QVERIFY2(submitted.is_object(), m_driver->lastError().c_str());
        const std::string run = submitted["run"].get<std::string>();
        QVERIFY2(m_driver->waitForState(run, "Completed", kRunMillis), reason(run).c_str());
        QCOMPARE(m_driver->log(run, "stdout"), std::vector<std::string>{folder});
        const Json realised = m_driver->get("environment.show", {{"environment", "theirs"}})["realised"];
        QCOMPARE(realised.size(), 1U);
        QCOMPARE(realised[0]["facts"]["prefix"], Json(folder));
        QCOMPARE(m_driver->get("environment.cache", {{"target", "local"}})["entries"].size(), 0U);
    }

    /// podman with runc on a host reached by ssh: an image from a Containerfile, two processes of
    /// DistributedDataParallel over Gloo in it, metrics, log and outputs back here.
    void container_dataParallelOverSsh() {
        if (const std::string missing = test::Lab::missing(); !missing.empty()) {
            TRAINYARD_SKIP(missing.c_str());
        }
        const test::ContainerProbe probe = test::probeContainers();
        TRAINYARD_NEED_CONTAINERS(probe);
        if (test::runProgram(kPython, {"-c", "import torch"}).exitCode != 0) {
            TRAINYARD_SKIP("Needs python3-torch.");
        }
        test::Lab lab({1, false, false});
        QVERIFY2(lab.up(), lab.error().c_str());
        const std::string home = "/home/lab";
        const base::Path here = lab.home(1);
        const auto write = [&](const char* name, const std::string& text) {
            QVERIFY(base::writeFileAtomically(here / name, text, 0644).ok());
        };
        write("containers.conf",
              "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\nlog_driver = \"k8s-file\"\n"
              "[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n");
        write("storage.conf",
              "[storage]\ndriver = \"vfs\"\ngraphroot = \"" + home + "/store\"\nrunroot = \"" + home + "/run\"\n");
        write("registries.conf", "unqualified-search-registries = []\nshort-name-mode = \"disabled\"\n");
        const Json variables{{"CONTAINERS_CONF", home + "/containers.conf"},
                             {"CONTAINERS_STORAGE_CONF", home + "/storage.conf"},
                             {"CONTAINERS_REGISTRIES_CONF", home + "/registries.conf"},
                             {"TMPDIR", home}};
        std::string exports;
        for (const auto& [name, value] : variables.items()) {
            exports += "export " + name + "=" + value.get<std::string>() + "; ";
        }
        // A base that has but links: the programs are the host's, seen through a mount.
        const auto base =
            lab.run(1, {"sh", "-c",
                        exports + "set -e; r=" + home +
                            "/root; mkdir -p $r/usr $r/etc/alternatives $r/tmp $r/proc $r/dev $r/sys $r/run $r/var; "
                            "for d in bin lib lib64 sbin; do ln -s usr/$d $r/$d; done; "
                            "tar -C $r -c . | podman import -q - localhost/links:1"});
        TRAINYARD_CONTAINER_STEP(probe, "podman import", base);
        const auto tried = lab.run(
            1, {"sh", "-c",
                exports + "podman run --rm --network=host --mount=type=bind,source=/usr,destination=/usr,readonly "
                          "localhost/links:1 /usr/bin/echo fine"});
        TRAINYARD_CONTAINER_STEP(probe, "podman run", tried);
        QCOMPARE(tried.out, "fine\n");

        spec::TargetSpec host;
        host.name = "host";
        host.kind = spec::TargetKind::Ssh;
        host.hosts = {{"root@node1", 0, "", ""}};
        host.workFolder = home + "/work";
        host.slotsFolder = home + "/slots";
        host.variables = {};
        for (const auto& [name, value] : variables.items()) {
            host.variables.emplace_back(name, value.get<std::string>());
        }
        QVERIFY(runs::writeTarget(m_driver->session().workspace().layout, host).ok());

        Json box = environment("box", "container", "container",
                               {{"source", "containerfile"},
                                {"containerfile", "FROM localhost/links:1\nADD https://127.0.0.1:1/nothing /nothing\n"},
                                {"engine", "podman"},
                                {"python", kPython},
                                {"mounts", {"/usr:/usr:ro", "/etc/alternatives:/etc/alternatives:ro"}}});
        box["build_variables"] = variables;
        create(box);
        // A Containerfile that fails half-way names its line and leaves no image.
        const std::string broken = m_driver->submit("true", {{"environment", "box"}, {"target", "host"}});
        QVERIFY2(m_driver->waitForState(broken, "Failed", kRunMillis), reason(broken).c_str());
        QVERIFY2(reason(broken).find("Build the image") != std::string::npos, reason(broken).c_str());
        const auto images = lab.run(1, {"sh", "-c", exports + "podman images -a --format '{{.Repository}}'"});
        QCOMPARE(images.out, "localhost/links\n");

        box["container"]["containerfile"] = "FROM localhost/links:1\nWORKDIR /made-by-the-build\n";
        QVERIFY(!m_driver->get("environment.edit", {{"environment", "box"}, {"spec", box}}).is_null());
        // Two processes that must end with the same weights, though each saw other samples.
        m_scratch->write("src/ddp.py", base::readFile(test::testData("scripts/ddp_gloo.py")).valueOr({}));
        const Json spec{
            {"format", "trainyard.run-spec"},
            {"version", 1},
            {"environment", "box"},
            {"target", "host"},
            {"distribution", {{"kind", "pytorch"}, {"processes", 2}, {"backend", "gloo"}}},
            {"task", {{"kind", "command"}, {"source_folder", (*m_scratch / "src").string()}, {"script", "ddp.py"}}}};
        const Json submitted = m_driver->get("run.submit", {{"spec", spec}});
        QVERIFY2(submitted.is_object(), m_driver->lastError().c_str());
        const std::string run = submitted["run"].get<std::string>();
        QVERIFY2(m_driver->waitForState(run, "Completed", kRunMillis),
                 (reason(run) + text(m_driver->log(run))).c_str());
        auto lines = m_driver->log(run, "stdout");
        std::sort(lines.begin(), lines.end());
        QCOMPARE(lines, (std::vector<std::string>{"rank 0 of 2 equal True inside True",
                                                  "rank 1 of 2 equal True inside True"}));
        const Json shown = m_driver->get("run.show", {{"run", run}});
        QVERIFY(std::any_of(shown["metrics"].begin(), shown["metrics"].end(),
                            [](const Json& metric) { return metric["name"] == Json("loss"); }));
        QCOMPARE(shown["outputs"].size(), 1U);
        QCOMPARE(shown["outputs"][0]["path"], Json("weights.pt"));
        const Json realised = m_driver->get("environment.show", {{"environment", "box"}})["realised"];
        QVERIFY(!realised.empty());
        QVERIFY2(realised[0]["image"].is_string() && realised[0]["image"].get<std::string>().starts_with("sha256:"),
                 base::dumpJson(realised[0]).c_str());
        // Nothing of it goes on there.
        const auto left = lab.run(1, {"sh", "-c", exports + "podman ps -aq"});
        QCOMPARE(left.out, std::string());
    }

private:
    void create(const Json& spec) {
        const Json made = m_driver->get("environment.create", {{"spec", spec}});
        QVERIFY2(made.is_object(), m_driver->lastError().c_str());
    }
    std::string reason(const std::string& run) {
        const Json shown = m_driver->get("run.show", {{"run", run}});
        return shown.is_object() ? shown["state"].get<std::string>() + ": " + base::dumpJson(shown["reason"])
                                 : m_driver->lastError();
    }
    static std::string text(const std::vector<std::string>& lines) {
        std::string out;
        for (const std::string& line : lines) {
            out += "\n" + line;
        }
        return out;
    }

    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<test::SessionDriver> m_driver;
};

QTEST_GUILESS_MAIN(TestEnvironments)
#include "tst_Environments.moc"
