// Real plans of real definitions, carried out by the real agent over stand-ins for the tools: killed and out of disk at
// each stage of a build, and spoken to with the words that their documentation knows.
#include <QTest>
#include <sys/mount.h>

#include <map>

#include "core/base/Text.h"
#include "core/environments/EnvironmentPlan.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Skip.h"
#include "tests/unit/agent/EnvironmentRig.h"

using namespace trainyard;
using namespace trainyard::test;
using spec::EnvironmentKind;
using spec::EnvironmentSpec;

namespace {

/// Stages as every tool has them. Half of something lies there after each; a stage stops, or fills the disk, where the
/// test says so.
constexpr const char* kStages = R"sh(
stage() {
    echo "stage $1"
    if [ "$1" = download ]; then for left in "$TRAINYARD_ENVIRONMENT"/half-*; do [ ! -e "$left" ] || { echo "Error: $left is left of another build"; exit 9; }; done; fi
    printf half > "$TRAINYARD_ENVIRONMENT/half-$1"
    if [ "$(cat "$CONTROL/fill" 2>/dev/null)" = "$1" ]; then
        head -c 64000000 /dev/zero > "$TRAINYARD_ENVIRONMENT/tmp/filler" || exit 1
    fi
    if [ "$(cat "$CONTROL/stop" 2>/dev/null)" = "$1" ]; then
        setsid sh -c 'trap "" TERM; while :; do printf late >> "$TRAINYARD_ENVIRONMENT/half-late"; sleep 0.05; done' &
        : > "$CONTROL/at"
        while :; do sleep 0.05; done
    fi
}
stages() {
    for one in download unpack install verify; do stage $one; done
    rm "$TRAINYARD_ENVIRONMENT"/half-*
    echo whole > "$TRAINYARD_ENVIRONMENT/whole"
    case "$(cat "$CONTROL/stop" 2>/dev/null)" in
    ready) i=0; while [ $i -lt 3000 ]; do : > "$TRAINYARD_ENVIRONMENT/tmp/$i"; i=$((i+1)); done ;;
    esac
    if [ "$(cat "$CONTROL/fill" 2>/dev/null)" = ready ]; then head -c 64000000 /dev/zero > "$TRAINYARD_ENVIRONMENT/filler" 2> /dev/null; fi
    return 0
}
)sh";

/// python -m venv FOLDER, python -m pip install …, python -c FACTS
constexpr const char* kPython = R"sh(#!/bin/sh
. "$TOOLS/stages.sh"
case "$1 $2" in
"-m venv") for folder; do :; done; mkdir -p "$folder/bin" && cp "$0" "$folder/bin/python" ;;
"-m pip") stages ;;
*) echo '{"python": "stand-in"}' ;;
esac
)sh";

constexpr const char* kMicromamba = R"sh(#!/bin/sh
. "$TOOLS/stages.sh"
[ "$1 $2 $3 $5" = "create --yes --prefix --file" ] && [ $# = 6 ] || { echo "The following arguments were not expected: $*"; exit 109; }
mkdir -p "$4/bin" && cp "$TOOLS/python3" "$4/bin/python" && stages
)sh";

/// Logs its words byte for byte. What "run" or "exec" would do inside is done here.
constexpr const char* kEngine = R"sh(#!/bin/sh
. "$TOOLS/stages.sh"
printf '%s\0' "${0##*/}" "$@" '' >> "$CONTROL/calls"
case "$1" in
build)
    if [ -s "$CONTROL/says" ]; then cat "$CONTROL/says" >&2; exit 125; fi
    if [ "${0##*/}" = podman ] || [ "${0##*/}" = docker ]; then
        while [ "$1" != --iidfile ]; do shift; done
        echo sha256:0123 > "$2" && stages
    else
        : > "$2" && stages
    fi ;;
run|exec)
    while [ $# -gt 0 ]; do
        case "$1" in localhost/trainyard-environment:*|*.sif) shift; exec "$@" ;; esac
        shift
    done
    exit 125 ;;
esac
)sh";

/// Living processes with this in their environment.
std::vector<pid_t> processesHolding(const std::string& variable) {
    std::vector<pid_t> found;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
        const std::string name = entry.path().filename().string();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        const auto variables = base::split(base::readFile(entry.path() / "environ").valueOr({}), '\0');
        if (std::find(variables.begin(), variables.end(), variable) != variables.end())
            found.push_back(std::stoi(name));
    }
    return found;
}

}  // namespace

class TestEnvironmentBuilds : public QObject {
    Q_OBJECT

private:
    /// One definition with its own work folder, so that a disk is its own.
    struct Site {
        EnvironmentSpec spec;
        std::string step;         ///< In which all stages are.
        bool isEstimated = true;  ///< False: the agent asks for no room before it begins.
        std::unique_ptr<EnvironmentRig> rig;
        base::Path control;
        wire::Plan plan;
        NodeLayout layout;
        std::unique_ptr<AgentProcess> agent;
    };

    void tool(const std::string& name, const char* text) {
        std::filesystem::permissions(m_scratch->write("tools/" + name, text), std::filesystem::perms::owner_all);
    }

    std::vector<Site> sites() {
        std::vector<Site> all(4);
        const char* names[] = {"venv", "conda", "container", "setup"};
        const EnvironmentKind kinds[] = {EnvironmentKind::Venv, EnvironmentKind::Conda, EnvironmentKind::Container,
                                         EnvironmentKind::Setup};
        const char* steps[] = {"\"Install the packages\" (step 2 of 2)", "\"Make the conda environment\" (step 1 of 1)",
                               "\"Fetch the image\" (step 1 of 1)", "\"Run the setup script\" (step 1 of 1)"};
        for (std::size_t i = 0; i < all.size(); ++i) {
            Site& site = all[i];
            site.spec.name = names[i];
            site.spec.kind = kinds[i];
            site.spec.needMiB = 1;
            site.spec.venv.requirements = {"numpy"};
            site.spec.conda.dependencies = {"python=3.11"};
            site.spec.container.engine = "podman";
            site.spec.container.image = "localhost/base:1";
            site.spec.setup.shell = "sh";
            site.spec.setup.script = ". \"$TOOLS/stages.sh\"\nstages\n";
            site.step = steps[i];
            site.rig = std::make_unique<EnvironmentRig>(*m_scratch, *m_scratch / names[i]);
            site.control = *m_scratch / (std::string("control-") + names[i]);
            std::filesystem::create_directories(site.control);
            std::filesystem::create_directories(*m_scratch / names[i]);
        }
        return all;
    }

    void start(Site& site) {
        site.plan =
            site.rig->plan(site.spec.name, {},
                           "cat \"$TRAINYARD_ENVIRONMENT/whole\"; ls \"$TRAINYARD_ENVIRONMENT\" | grep half; true");
        auto planned = environments::planEnvironment(site.spec, 1, environments::factsOf("here", "python3", {}));
        QVERIFY2(planned.ok(), planned.ok() ? "" : planned.error().message.c_str());
        site.plan.environment = *planned;
        if (!site.isEstimated) site.plan.environment.needBytes = 0;
        site.layout = site.rig->place(site.plan);
        site.agent = std::make_unique<AgentProcess>(site.layout, std::vector<std::string>{}, variables(site));
    }
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> variables(const Site& site) const {
        const std::string tools = (*m_scratch / "tools").string();
        return {{"PATH", tools + ":/usr/bin:/bin"}, {"TOOLS", tools}, {"CONTROL", site.control.string()}};
    }
    void set(const Site& site, const char* what, const std::string& stage) const {
        QVERIFY(base::writeFileAtomically(site.control / what, stage).ok());
    }
    /// Nothing but locks is in the cache.
    [[nodiscard]] static std::string leftOf(const Site& site) {
        std::string left;
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator(site.rig->work().environments(), error)) {
            if (entry.path().extension() != ".lock") left += entry.path().filename().string() + "\n";
        }
        return left;
    }
    /// A new run builds anew, and what it finds is whole.
    void buildsAnew(Site& site) {
        set(site, "stop", "");
        set(site, "fill", "");
        start(site);
        QCOMPARE(site.agent->wait(60'000), 0);
        const auto records = recordsOf(site.layout);
        QVERIFY2(textOf(endedOf(records), "outcome") == "completed",
                 (site.spec.name + ": " + textOf(endedOf(records), "reason")).c_str());
        QCOMPARE(linesOf(records, 0, "stdout"), std::vector<std::string>{"whole"});
        QVERIFY(processesHolding("CONTROL=" + site.control.string()).empty());
    }

private Q_SLOTS:
    void init() {
        m_guard = std::make_unique<ChildGuard>();
        m_scratch = std::make_unique<Scratch>();
        m_scratch->write("tools/stages.sh", kStages);
        tool("python3", kPython);
        tool("micromamba", kMicromamba);
        for (const char* engine : {"podman", "docker", "apptainer", "singularity"}) tool(engine, kEngine);
    }
    void cleanup() { QVERIFY2(m_guard->noneLeft(20'000), m_guard->report().c_str()); }

    void killed_atEachStage_data() {
        QTest::addColumn<bool>("agentToo");
        QTest::addColumn<QString>("stage");
        for (const char* stage : {"download", "unpack", "install", "verify", "ready"}) {
            QTest::addRow("agent, %s", stage) << true << QString::fromLatin1(stage);
            QTest::addRow("builder, %s", stage) << false << QString::fromLatin1(stage);
        }
    }
    /// kill -9 of the agent, or of all that the build is made of but one deaf program that writes on. Four kinds at
    /// once.
    void killed_atEachStage() {
        QFETCH(bool, agentToo);
        QFETCH(QString, stage);
        std::vector<Site> all = sites();
        for (Site& site : all) {
            set(site, "stop", stage.toStdString());
            start(site);
        }
        for (Site& site : all) {
            // The last stage is the agent's own: its reason says that it is there, and it may be over before the kill.
            const auto isThere = [&] {
                return stage == u"ready"
                           ? EnvironmentRig::reasonsOf(recordsOf(site.layout)).find("keeping what was built") !=
                                 std::string::npos
                           : std::filesystem::exists(site.control / "at");
            };
            QVERIFY2(waitFor(isThere, 30'000), site.spec.name.c_str());
            if (agentToo) {
                site.agent->kill(SIGKILL);
            } else {
                for (const pid_t pid : processesBelow(site.agent->pid())) {
                    if (base::readFile("/proc/" + std::to_string(pid) + "/cmdline").valueOr({}).find("half-late") ==
                        std::string::npos)
                        ::kill(pid, SIGKILL);
                }
            }
        }
        for (Site& site : all) {
            if (agentToo) {
                QVERIFY(waitFor([&] { return processesHolding("CONTROL=" + site.control.string()).empty(); }, 30'000));
                if (stage != u"ready") QCOMPARE(leftOf(site), std::string());
            } else {
                QCOMPARE(site.agent->wait(60'000), 0);
                const Json ended = endedOf(recordsOf(site.layout));
                const std::string reason = textOf(ended, "reason");
                if (stage != u"ready") {
                    QCOMPARE(textOf(ended, "code"), std::string("environment.step"));
                    QVERIFY2(reason.find(site.step) != std::string::npos &&
                                 reason.find("killed by SIGKILL") != std::string::npos &&
                                 reason.find("builds anew") != std::string::npos,
                             reason.c_str());
                }
                if (textOf(ended, "outcome") == "failed") {
                    QVERIFY2(stage != u"ready" || reason.find("after its last step") != std::string::npos ||
                                 textOf(ended, "code").starts_with("rank."),
                             reason.c_str());
                    QCOMPARE(textOf(ended, "code").starts_with("rank.") ? std::string() : leftOf(site), std::string());
                }
            }
        }
        for (Site& site : all) buildsAnew(site);
    }

    void diskFull_atEachStage_data() {
        QTest::addColumn<QString>("stage");
        for (const char* stage : {"begin", "files", "download", "unpack", "install", "verify", "ready"})
            QTest::newRow(stage) << QString::fromLatin1(stage);
    }
    /// A small disk for each kind, really full at that stage.
    void diskFull_atEachStage() {
        QFETCH(QString, stage);
        std::vector<Site> all = sites();
        std::vector<base::Path> disks;
        const auto unmount = qScopeGuard([&] {
            for (const base::Path& disk : disks) ::umount2(disk.c_str(), MNT_DETACH);
        });
        for (Site& site : all) {
            const base::Path disk = *m_scratch / site.spec.name;
            if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=8m") != 0)
                TRAINYARD_SKIP("A file system cannot be mounted.");
            disks.push_back(disk);
            if (stage == u"files") site.spec.setup.script += "# " + std::string(200'000, 'x') + "\n";
            if (stage == u"begin" || stage == u"files") {
                // For "files" what the lock and the small ones need is left.
                std::ofstream(disk / "other", std::ios::binary)
                    << std::string(stage == u"begin" ? 16 << 20 : (8 << 20) - (96 << 10), 'x');
                site.isEstimated = false;
            }
            set(site, "fill", stage.toStdString());
        }
        for (Site& site : all) {
            if (stage == u"files" && site.spec.kind != EnvironmentKind::Setup) continue;
            start(site);
        }
        for (Site& site : all) {
            if (!site.agent) continue;
            QCOMPARE(site.agent->wait(60'000), 0);
            const Json ended = endedOf(recordsOf(site.layout));
            const std::string reason = textOf(ended, "reason");
            QVERIFY2(textOf(ended, "code") == "environment.disk",
                     (site.spec.name + ": " + textOf(ended, "code") + ": " + reason).c_str());
            const std::string where = stage == u"begin"   ? "before it began"
                                      : stage == u"files" ? "before its first step"
                                      : stage == u"ready" ? "after its last step"
                                                          : site.step;
            QVERIFY2(reason.find(where) != std::string::npos && reason.find("full") != std::string::npos &&
                         reason.find("Clear the target's cache") != std::string::npos,
                     reason.c_str());
            QCOMPARE(leftOf(site), std::string());
        }
        for (Site& site : all) {
            std::filesystem::remove(*m_scratch / site.spec.name / "other");
            buildsAnew(site);
        }
    }

    void images_thatCannotBeHad_data() {
        QTest::addColumn<QString>("engine");
        QTest::addColumn<QByteArray>("says");
        QTest::addColumn<QByteArray>("words");
        QTest::newRow("podman, half-way")
            << QStringLiteral("podman")
            << QByteArray("STEP 2/2: RUN exit 3\nError: building at STEP \"RUN exit 3\": while running runtime: exit "
                          "status 3\n")
            << QByteArray(
                   "Error: building at STEP \"RUN exit 3\": while running runtime: exit status 3. Mend the definition");
        QTest::newRow("podman, no image") << QStringLiteral("podman")
                                          << QByteArray("Error: creating build container: initializing source "
                                                        "docker://localhost/nothere:1: connection refused\n")
                                          << QByteArray("nothere:1: connection refused. Check the image's name");
        QTest::newRow("docker, no image")
            << QStringLiteral("docker")
            << QByteArray("pull access denied for nothere, repository does not exist or may require 'docker login'\n")
            << QByteArray("Check the image's name");
        QTest::newRow("apptainer, no image")
            << QStringLiteral("apptainer")
            << QByteArray("FATAL:   While performing build: conveyor failed to get: manifest unknown\n")
            << QByteArray("manifest unknown. Check the image's name");
        QTest::newRow("podman, its storage is full")
            << QStringLiteral("podman")
            << QByteArray("Error: writing blob: storing blob to file \"/var/tmp/x\": no space left on device\nError: "
                          "exit 125\n")
            << QByteArray("the disk is full: Error: writing blob");
    }
    /// The engine's own words as it documents them, the step, and what helps.
    void images_thatCannotBeHad() {
        QFETCH(QString, engine);
        QFETCH(QByteArray, says);
        QFETCH(QByteArray, words);
        Site site = std::move(sites()[2]);
        site.spec.container.engine = engine.toStdString();
        set(site, "says", says.toStdString());
        start(site);
        QCOMPARE(site.agent->wait(), 0);
        const std::string reason = textOf(endedOf(recordsOf(site.layout)), "reason");
        QVERIFY2(reason.find(site.step) != std::string::npos && reason.find(words.toStdString()) != std::string::npos,
                 reason.c_str());
        QCOMPARE(leftOf(site), std::string());
        set(site, "says", "");
        buildsAnew(site);
    }

    void containerEngines_areSpokenToAsDocumented_data() {
        QTest::addColumn<QString>("engine");
        QTest::addColumn<QString>("documentation");
        for (const char* engine : {"podman", "docker", "apptainer", "singularity"}) {
            QTest::newRow(engine) << QString::fromLatin1(engine)
                                  << QString::fromLatin1(std::string_view(engine) == "singularity" ? "apptainer"
                                                                                                   : engine);
        }
    }
    /// Every word that the engine gets, byte for byte, and each option against what its documentation lists.
    void containerEngines_areSpokenToAsDocumented() {
        QFETCH(QString, engine);
        QFETCH(QString, documentation);
        const std::string name = engine.toStdString();
        const bool apptainer = documentation == u"apptainer";
        Site site = std::move(sites()[2]);
        site.spec.container.engine = apptainer ? "apptainer" : name;
        site.spec.container.gpus = true;
        site.spec.container.mounts = {"/usr/share:/usr/share:ro", "/opt:/opt"};
        site.spec.variables = {{"COLOUR", "it's red"}};
        site.spec.buildVariables = {{"FLAVOUR", "a $ and a space"}};
        site.plan = site.rig->plan("box", {}, "");
        const Json line{{"id", "containers"},
                        {"host", ""},
                        {"finding", "ok"},
                        {"values", Json{{"engines", Json::array({Json{{"name", name}}})}}}};
        const auto facts = environments::factsOf("here", "python3", Json{{"t", 1}, {"lines", Json::array({line})}});
        auto planned = environments::planEnvironment(site.spec, 1, facts, {{"MINE"}, {"/srv/data"}, false, true});
        QVERIFY2(planned.ok(), planned.ok() ? "" : planned.error().message.c_str());
        site.plan.environment = *planned;
        site.plan.environment.facts.clear();
        site.plan.variables = {{"WHOLE", site.rig->folder(site.plan).string()}};
        site.plan.command = {
            "/bin/sh", "-c",         "cat \"$(printenv WHOLE)/whole\"; printf '%s|' \"$(printenv COLOUR)\" \"$@\"",
            "sh",      "two  words", "",
            "\u00fc\n"};
        site.layout = site.rig->place(site.plan);
        QCOMPARE(AgentProcess(site.layout, {}, variables(site)).wait(60'000), 0);
        const auto records = recordsOf(site.layout);
        QVERIFY2(textOf(endedOf(records), "outcome") == "completed", textOf(endedOf(records), "reason").c_str());
        QCOMPARE(linesOf(records, 0, "stdout"),
                 (std::vector<std::string>{"whole", "it's red|two  words||\u00fc", "|"}));

        // An empty word ends a call; one argument of the script is empty too.
        const std::vector<std::string> words = base::split(base::readFile(site.control / "calls").valueOr({}), '\0');
        const std::string work = site.rig->work().root.string();
        const std::string folder = site.rig->folder(site.plan).string();
        const std::string image = "localhost/trainyard-environment:" + site.plan.environment.hash;
        const std::string at = site.layout.root.parent_path().parent_path().string();
        std::vector<std::string> build{name, "build"};
        std::vector<std::string> run{name};
        if (apptainer) {
            build.insert(build.end(), {folder + "/image.sif", "docker://localhost/base:1", ""});
            run.insert(run.end(), {"exec", "--bind", work, "--pwd", at, "--nv", "--bind", "/srv/data:/srv/data:ro",
                                   "--bind", "/usr/share:/usr/share:ro", "--bind", "/opt:/opt", folder + "/image.sif"});
        } else {
            build.insert(build.end(), {"--network=host", "--tag", image});
            if (name == "podman") build.insert(build.end(), {"--file", folder + "/mark/Containerfile"});
            build.insert(build.end(), {"--file", folder + "/Containerfile", "--iidfile", folder + "/image.id"});
            if (name == "podman") {
                build.insert(build.end(), {"--layers=false", "--build-arg", "TRAINYARD_BUILD=" + folder, "--label",
                                           "trainyard.build=" + folder});
            } else {
                build.emplace_back("--force-rm");
            }
            build.insert(build.end(), {"--build-arg", "FLAVOUR", folder + "/context", ""});
            run.insert(run.end(), {"run", "--name=trainyard-" + site.plan.run.str() + "-a1-r0", "--rm", "--pull=never",
                                   "--network=host", "--ipc=host", "--pid=host", "--log-driver=none", "--entrypoint="});
            if (name == "podman") {
                run.insert(run.end(), {"--user=0:0", "--ulimit=host", "--security-opt=label=disable",
                                       "--device=nvidia.com/gpu=all"});
            } else {
                run.insert(run.end(),
                           {"--user=" + std::to_string(::geteuid()) + ":" + std::to_string(::getegid()), "--gpus=all"});
            }
            run.insert(run.end(), {"--mount=type=bind,source=" + work + ",destination=" + work,
                                   "--mount=type=bind,source=/srv/data,destination=/srv/data,readonly",
                                   "--mount=type=bind,source=/usr/share,destination=/usr/share,readonly",
                                   "--mount=type=bind,source=/opt,destination=/opt"});
        }
        QVERIFY2(words.size() > build.size() + run.size(), base::dumpJson(Json(words)).c_str());
        QCOMPARE(std::vector<std::string>(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(build.size())),
                 build);
        const auto second = words.begin() + static_cast<std::ptrdiff_t>(build.size());
        QCOMPARE(std::vector<std::string>(second, second + static_cast<std::ptrdiff_t>(run.size())), run);
        const std::vector<std::string> rest(second + static_cast<std::ptrdiff_t>(run.size()), words.end());
        std::vector<std::string> end{
            "--workdir=" + at, image, "/bin/sh", "-c", site.plan.command[2], "sh", "two  words", "",
            "\u00fc\n",        "",    ""};
        if (apptainer) end.erase(end.begin(), end.begin() + 2);
        QVERIFY2(rest.size() >= end.size(), base::dumpJson(Json(rest)).c_str());
        QCOMPARE(std::vector<std::string>(rest.end() - static_cast<std::ptrdiff_t>(end.size()), rest.end()), end);
        // Between them are the names of variables alone, without a value: that is taken from the client's own
        // environment.
        for (auto word = rest.begin(); word != rest.end() - static_cast<std::ptrdiff_t>(end.size()); ++word) {
            QVERIFY2(word->starts_with("--env=") && word->find('=', 6) == std::string::npos, word->c_str());
        }
        if (!apptainer) {
            for (const char* variable : {"--env=MINE", "--env=COLOUR"})
                QVERIFY2(std::find(rest.begin(), rest.end(), variable) != rest.end(), variable);
        }

        std::map<std::string, std::string> known;
        for (const std::string& entry : base::split(
                 base::readFile(testData("containers/" + documentation.toStdString() + ".txt")).valueOr({}), '\n')) {
            const auto parts = base::split(entry, ' ');
            if (parts.size() == 3) known[parts[0] + " " + parts[1]] = parts[2];
        }
        QVERIFY(known.size() > 30);
        QCOMPARE(undocumented(build, known), std::string());
        run.insert(run.end(), rest.begin(), rest.end());
        QCOMPARE(undocumented(run, known), std::string());
        if (!apptainer) {
            const Json remove = *base::parseJson(
                std::ranges::find(planned->files, std::string("remove.json"), &wire::PlanBuildFile::name)->text);
            std::vector<std::string> removal = remove["commands"][0].get<std::vector<std::string>>();
            QCOMPARE(removal, (std::vector<std::string>{name, "image", "rm", "--force", image}));
            QCOMPARE(undocumented({name, "image-rm", "--force", image}, known), std::string());
            QCOMPARE(undocumented({name, "rm", "--force", "--volumes", "x"}, known), std::string());
        }
    }

private:
    /// The first option of a call that the documentation does not have, or that it takes another way; empty: none.
    /// Options end at the first word that is none.
    static std::string undocumented(const std::vector<std::string>& call,
                                    const std::map<std::string, std::string>& known) {
        for (std::size_t i = 2; i < call.size(); ++i) {
            if (!call[i].starts_with("--")) return {};
            const std::size_t equals = call[i].find('=');
            const auto found = known.find(call[1] + " " + call[i].substr(0, equals));
            if (found == known.end()) return call[i];
            // "--flag=false" is how a switch is turned off.
            if (found->second == "flag" && equals != std::string::npos && call[i].substr(equals) != "=false" &&
                call[i].substr(equals) != "=true")
                return call[i];
            if (found->second == "value" && equals == std::string::npos) ++i;
        }
        return {};
    }

    std::unique_ptr<ChildGuard> m_guard;
    std::unique_ptr<Scratch> m_scratch;
};

QTEST_GUILESS_MAIN(TestEnvironmentBuilds)
#include "tst_EnvironmentBuilds.moc"
