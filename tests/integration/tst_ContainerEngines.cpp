// Environments in containers by the engines that others use: docker with a daemon of the test's own, and podman of a
// user without rights, whom the test makes. Real plans of real definitions, carried out by the real agent.
#include <QProcess>
#include <QTemporaryDir>
#include <QTest>
#include <sys/stat.h>

#include <tuple>
#include <utility>

#include "core/agent/Environment.h"
#include "core/base/Text.h"
#include "core/environments/EnvironmentPlan.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Containers.h"
#include "tests/unit/agent/EnvironmentRig.h"

using namespace trainyard;
using namespace trainyard::test;
using spec::EnvironmentKind;
using spec::EnvironmentSpec;

namespace {

constexpr const char* kImage = "localhost/base:1";
constexpr int kMillis = 120'000;
constexpr const char* kQueues = "/dev/mqueue";

/// A shell and a few programs with their libraries, as an archive: what a base image needs.
constexpr const char* kBase =
    "set -e; r=$1/root; mkdir -p $r/bin $r/tmp $r/proc $r/dev $r/sys $r/etc $r/run; chmod 1777 $r/tmp; "
    "for p in dash sleep cat id; do cp \"$(command -v $p)\" $r/bin/; done; ln -s dash $r/bin/sh; "
    "for l in $(ldd $r/bin/dash $r/bin/sleep $r/bin/cat $r/bin/id | grep -o '/[^ ]*' | grep -v : | sort -u); do "
    "mkdir -p $r$(dirname $l); cp -L $l $r$l; done; tar -C $r -cf $1/root.tar .";

/// What a rank says of where it is, reports, and leaves.
constexpr const char* kScript = "echo \"$(cat /made) rank $RANK of $WORLD_SIZE as $(id -u) $COLOUR\"; "
                                "echo '{\"kind\":\"metric\",\"name\":\"n\",\"value\":1}' >> \"$TRAINYARD_STREAM\"; "
                                "echo kept > \"$TRAINYARD_OUTPUTS/of-$RANK\"";

bool isInstalled(const char* program) {
    return runProgram("/bin/sh", {"-c", std::string("command -v ") + program}).exitCode == 0;
}

}  // namespace

class TestContainerEngines : public QObject {
    Q_OBJECT

private:
    using Variables = std::vector<std::pair<std::string, std::string>>;

    /// An engine that is ready, and whoever uses it.
    struct Site {
        std::string engine;
        std::string user;  ///< Empty: who runs the test.
        uid_t uid = 0;
        Variables variables;
    };

    /// The agent beside another user's rights: as his own process.
    class SiteAgent {
    public:
        SiteAgent(const Site& site, const base::Path& agent, const NodeLayout& layout) {
            QStringList words{QStringLiteral("run"), QString::fromStdString(layout.root.string())};
            QString program = QString::fromStdString(agent.string());
            if (!site.user.empty()) {
                words.prepend(program);
                words = QStringList{QStringLiteral("--reuid"),       QString::fromStdString(site.user),
                                    QStringLiteral("--regid"),       QString::fromStdString(site.user),
                                    QStringLiteral("--init-groups"), QStringLiteral("--")} +
                        words;
                program = QStringLiteral("setpriv");
            }
            QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
            for (const auto& [name, value] : site.variables)
                environment.insert(QString::fromStdString(name), QString::fromStdString(value));
            m_process.setProcessEnvironment(environment);
            m_process.setProcessChannelMode(QProcess::ForwardedChannels);
            m_process.setWorkingDirectory(QStringLiteral("/"));
            m_process.start(program, words);
        }
        ~SiteAgent() { kill(); }
        SiteAgent(const SiteAgent&) = delete;
        SiteAgent& operator=(const SiteAgent&) = delete;

        /// Exit status; -1 when it still runs after the limit.
        int wait() {
            const bool ended = waitFor([this] { return m_process.state() == QProcess::NotRunning; }, kMillis);
            return ended && m_process.exitStatus() == QProcess::NormalExit ? m_process.exitCode() : -1;
        }
        void kill() {
            m_process.kill();
            m_process.waitForFinished(10'000);
        }
        [[nodiscard]] pid_t pid() const { return static_cast<pid_t>(m_process.processId()); }

    private:
        QProcess m_process;
    };

    [[nodiscard]] base::Path place(const char* name) const { return base::Path(m_folder->path().toStdString()) / name; }

    ProgramResult ask(const Site& site, const std::vector<std::string>& words) const {
        ProgramOptions options;
        options.variables = site.variables;
        options.timeoutMillis = kMillis;
        options.folder = "/";
        if (site.user.empty()) return runProgram("/usr/bin/env", words, options);
        std::vector<std::string> all{"--reuid", site.user, "--regid", site.user, "--init-groups", "--"};
        all.insert(all.end(), words.begin(), words.end());
        return runProgram("/usr/bin/setpriv", all, options);
    }
    [[nodiscard]] std::string images(const Site& site) const {
        return ask(site, {site.engine, "images", "--all", "--no-trunc", "--quiet"}).out;
    }
    [[nodiscard]] std::string containers(const Site& site) const {
        std::vector<std::string> words{site.engine, "ps", "--all", "--quiet"};
        if (site.engine == "podman") words.emplace_back("--external");
        return ask(site, words).out;
    }

    /// A run of `script` in an image of this Containerfile, on a machine of its own as far as folders go.
    struct Trial {
        wire::Plan plan;
        NodeLayout layout;
        base::Path folder;
    };
    Trial trial(const Site& site, const std::string& containerfile, const std::string& script, int processes) {
        EnvironmentSpec spec;
        spec.name = "box";
        spec.kind = EnvironmentKind::Container;
        spec.needMiB = 1;
        spec.container.engine = site.engine;
        spec.container.source = "containerfile";
        spec.container.containerfile = containerfile;
        spec.container.python = "/bin/sh";
        spec.variables = {{"COLOUR", "it's red"}};
        auto planned = environments::planEnvironment(spec, 1, environments::factsOf("here", "python3", {}));
        if (!planned.ok()) qFatal("%s", planned.error().message.c_str());
        planned->facts.clear();
        const wire::WorkLayout work{place("work")};
        Trial made;
        made.plan.run = base::RunId::make();
        made.plan.runName = "trial";
        made.plan.processes = processes;
        made.plan.command = {"/bin/sh", "-c", script};
        made.plan.workFolder = work.root.string();
        made.plan.slotsFolder = place("slots").string();
        made.plan.outputsFolder = (work.runs() / made.plan.run.str() / "outputs").string();
        made.plan.cores = 0;
        made.plan.graceSeconds = 1;
        made.plan.environment = *planned;
        made.layout = NodeLayout{work.runs() / made.plan.run.str() / "a1" / "n0"};
        made.folder = work.environment(planned->hash);
        std::filesystem::create_directories(made.layout.root);
        if (!base::writeFileAtomically(made.layout.plan(), base::dumpJsonPretty(toJson(made.plan))).ok())
            qFatal("no plan");
        std::filesystem::create_directories(place("slots"));
        own(site, work.root);
        own(site, place("slots"));
        return made;
    }
    /// Why it ended, and what its ranks and its build complained about.
    static std::string saidBy(const std::vector<Record>& records) {
        std::string text = textOf(endedOf(records), "reason");
        for (const auto& [rank, out] : {std::pair(0, "stderr"), std::pair(1, "stderr"), std::pair(-1, "environment")}) {
            for (const std::string& line : linesOf(records, rank, out)) text += "\n" + line;
        }
        return text;
    }
    static std::vector<pid_t> processesOf(uid_t uid) {
        std::vector<pid_t> found;
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
            const std::string name = entry.path().filename().string();
            struct stat info {};
            if (name.find_first_not_of("0123456789") == std::string::npos && ::stat(entry.path().c_str(), &info) == 0 &&
                info.st_uid == uid)
                found.push_back(std::stoi(name));
        }
        return found;
    }
    /// Gives all below a folder to the site's user.
    static void own(const Site& site, const base::Path& folder) {
        if (site.user.empty()) return;
        std::error_code error;
        std::ignore = ::lchown(folder.c_str(), site.uid, site.uid);
        for (std::filesystem::recursive_directory_iterator it(folder, error), end; !error && it != end;
             it.increment(error))
            std::ignore = ::lchown(it->path().c_str(), site.uid, site.uid);
    }

    void dockerSite(Site& site) {
        if (!isInstalled("dockerd") || !isInstalled("docker")) TRAINYARD_SKIP("docker.io is missing");
        const std::string root = place("docker").string();
        std::filesystem::create_directories(root);
        // Its mounts are its own and go with it; no bridge, no packet filter: this machine's network stays as it is.
        m_daemon = std::make_unique<QProcess>();
        m_daemon->setStandardErrorFile(QString::fromStdString(root + "/log"));
        QStringList words{QStringLiteral("--mount"), QStringLiteral("dockerd")};
        for (const std::string& word :
             {std::string("--iptables=false"), std::string("--bridge=none"), std::string("--storage-driver=vfs"),
              "--host=unix://" + root + "/socket", "--data-root=" + root + "/data", "--exec-root=" + root + "/exec",
              "--pidfile=" + root + "/pid"})
            words << QString::fromStdString(word);
        m_daemon->start(QStringLiteral("unshare"), words);
        site.engine = "docker";
        site.variables = {{"DOCKER_HOST", "unix://" + root + "/socket"},
                          {"DOCKER_CONFIG", root},
                          {"PATH", "/usr/bin:/bin:/usr/sbin"}};
        const bool up = waitFor(
            [&] {
                return m_daemon->state() == QProcess::NotRunning || ask(site, {"docker", "info"}).exitCode == 0;
            },
            60'000);
        QVERIFY2(up && m_daemon->state() == QProcess::Running,
                 ("dockerd does not come up, although containers run here (" + m_probe.probed +
                  "): " + base::readFile(root + "/log").valueOr({}).substr(0, 4000))
                     .c_str());
        const auto imported = ask(site, {"docker", "import", place("root.tar").string(), kImage});
        TRAINYARD_CONTAINER_STEP(m_probe, "docker import", imported);
    }

    void rootlessSite(Site& site) {
        if (::geteuid() != 0 || !isInstalled("newuidmap") || !isInstalled("useradd") || !isInstalled("setpriv"))
            TRAINYARD_SKIP("Needs root, uidmap and passwd.");
        site.engine = "podman";
        m_user = site.user = "ty" + base::newUuid7().substr(20);
        const base::Path home = place("home");
        const auto added = runProgram("/usr/sbin/useradd",
                                      {"--create-home", "--home-dir", home.string(), "--shell", "/bin/sh", m_user});
        QVERIFY2(added.exitCode == 0, added.err.c_str());
        struct stat info {};
        QCOMPARE(::stat(home.c_str(), &info), 0);
        m_uid = site.uid = info.st_uid;
        const auto put = [&](const char* name, const std::string& text) {
            if (!base::writeFileAtomically(home / name, text).ok()) qFatal("%s cannot be written", name);
            return (home / name).string();
        };
        for (const char* folder : {"run", "tmp"}) std::filesystem::create_directories(home / folder);
        site.variables = {
            {"HOME", home.string()},
            {"XDG_RUNTIME_DIR", (home / "run").string()},
            {"TMPDIR", (home / "tmp").string()},
            {"PATH", "/usr/bin:/bin:/usr/sbin"},
            {"CONTAINERS_CONF",
             put("containers.conf",
                 "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n"
                 "log_driver = \"k8s-file\"\n[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\n"
                 "events_logger = \"file\"\n")},
            {"CONTAINERS_STORAGE_CONF",
             put("storage.conf", "[storage]\ndriver = \"vfs\"\ngraphroot = \"" + (home / "store").string() +
                                     "\"\nrunroot = \"" + (home / "run/store").string() + "\"\n")},
            {"CONTAINERS_REGISTRIES_CONF",
             put("registries.conf", "unqualified-search-registries = []\nshort-name-mode = \"disabled\"\n")}};
        own(site, home);
        // podman shows a container without rights the host's message queues; a bare machine has no folder for them.
        m_madeQueues = ::mkdir(kQueues, 0755) == 0;
        const auto unshared = ask(site, {"podman", "unshare", "cat", "/proc/self/uid_map"});
        if (unshared.exitCode != 0)
            QSKIP(("this machine gives users no namespaces of their own: " + unshared.err).c_str());
        const auto imported = ask(site, {"podman", "import", "-q", place("root.tar").string(), kImage});
        TRAINYARD_CONTAINER_STEP(m_probe, "podman import", imported);
    }

private Q_SLOTS:
    void initTestCase() {
        m_probe = probeContainers();
        if (!m_probe.possible) return;
        // Not below /tmp, which may be an overlay itself; and where another user gets to as well.
        m_folder = std::make_unique<QTemporaryDir>(QStringLiteral("/var/tmp/trainyard-engines-XXXXXX"));
        QVERIFY(m_folder->isValid());
        std::filesystem::permissions(m_folder->path().toStdString(), std::filesystem::perms(0755));
        const auto made = runProgram("/bin/sh", {"-c", kBase, "sh", m_folder->path().toStdString()});
        QVERIFY2(made.exitCode == 0, made.err.c_str());
        std::filesystem::copy_file(builtProgram("trainyard-agent"), place("agent"));
        std::filesystem::permissions(place("agent"), std::filesystem::perms(0755));
        std::filesystem::permissions(place("root.tar"), std::filesystem::perms(0644));
    }
    void init() { m_guard = std::make_unique<ChildGuard>(); }
    void cleanup() {
        if (m_daemon) {
            m_daemon->terminate();
            if (!m_daemon->waitForFinished(20'000)) m_daemon->kill();
            m_daemon->waitForFinished(5'000);
            m_daemon.reset();
        }
        // All of the user that was made here: podman leaves a process that holds his namespaces.
        for (const pid_t pid : m_user.empty() ? std::vector<pid_t>{} : processesOf(m_uid)) ::kill(pid, SIGKILL);
        const bool none = m_guard->noneLeft(20'000);
        if (std::exchange(m_madeQueues, false)) std::ignore = ::rmdir(kQueues);
        if (!m_user.empty()) {
            const auto removed = runProgram("/usr/sbin/userdel", {"--remove", m_user});
            m_user.clear();
            QVERIFY2(removed.exitCode == 0 || removed.exitCode == 12,
                     removed.err.c_str());  // 12: no mail box, a part of the home.
        }
        QVERIFY2(none, m_guard->report().c_str());
    }

    void engines_data() {
        QTest::addColumn<QString>("which");
        for (const char* which : {"docker", "podman without rights"})
            QTest::newRow(which) << QString::fromLatin1(which);
    }
    /// Built, run by two ranks, kept and used again; a broken one leaves nothing; a build whose agent and builder are
    /// both killed, and a run whose shim is, leave nothing either.
    void engines() {
        TRAINYARD_NEED_CONTAINERS(m_probe);
        QFETCH(QString, which);
        Site site;
        which == u"docker" ? dockerSite(site) : rootlessSite(site);
        if (site.variables.empty() || QTest::currentTestFailed()) return;
        std::filesystem::remove_all(place("work"));
        std::filesystem::remove_all(place("slots"));
        const std::string from = std::string("FROM ") + kImage + "\n";

        const std::string whole = from + "RUN echo built > /made\n";
        for (const bool cached : {false, true}) {
            const Trial good = trial(site, whole, kScript, 2);
            QCOMPARE(SiteAgent(site, place("agent"), good.layout).wait(), 0);
            const auto records = recordsOf(good.layout);
            QVERIFY2(textOf(endedOf(records), "outcome") == "completed", saidBy(records).c_str());
            // Docker's daemon is root, so the ranks are not; without rights root inside is the user outside.
            const std::string inside = std::to_string(site.engine == "docker" ? ::geteuid() : 0U);
            for (int rank = 0; rank < 2; ++rank) {
                QCOMPARE(linesOf(records, rank, "stdout"),
                         std::vector<std::string>{"built rank " + std::to_string(rank) + " of 2 as " + inside +
                                                  " it's red"});
                QCOMPARE(pointsOf(records, rank, "n").size(), std::size_t(1));
                struct stat info {};
                QCOMPARE(::stat((base::Path(good.plan.outputsFolder) / ("of-" + std::to_string(rank))).c_str(), &info),
                         0);
                QCOMPARE(info.st_uid, site.uid);
            }
            QCOMPARE(EnvironmentRig::environmentOf(records)["cached"], Json(cached));
            QVERIFY(textOf(EnvironmentRig::environmentOf(records), "image").starts_with("sha256:"));
            QCOMPARE(containers(site), std::string());
        }

        const std::string kept = images(site);
        const Trial broken = trial(site, from + "ENV A=1\nRUN echo not today >&2; exit 3\n", "true", 1);
        QCOMPARE(SiteAgent(site, place("agent"), broken.layout).wait(), 0);
        const std::string reason = textOf(endedOf(recordsOf(broken.layout)), "reason");
        QVERIFY2(reason.find("\"Build the image\" (step 1 of 1)") != std::string::npos &&
                     reason.find("exit 3") != std::string::npos,
                 reason.c_str());
        QVERIFY(!std::filesystem::exists(broken.folder));
        QCOMPARE(containers(site), std::string());
        // Docker keeps the steps that went well as its cache, for whoever builds the like.
        if (site.engine == "podman") QCOMPARE(images(site), kept);

        const std::string mark = "mark" + base::newUuid7();
        const Trial slow =
            trial(site, from + "RUN echo building; : " + mark + "; while [ ! -e /tmp/never ]; do sleep 0.1; done\n",
                  "true", 1);
        {
            SiteAgent agent(site, place("agent"), slow.layout);
            QVERIFY2(waitFor([&] { return !processesThatSay(mark).empty(); }, 60'000),
                     EnvironmentRig::streamText(slow.layout).c_str());
            std::vector<pid_t> victims = processesBelow(agent.pid());
            std::erase_if(victims, [](pid_t pid) {
                return base::readFile("/proc/" + std::to_string(pid) + "/cmdline").valueOr({}).find("while [") !=
                       std::string::npos;
            });
            agent.kill();
            for (const pid_t pid : victims) ::kill(pid, SIGKILL);
        }
        // podman is nobody's child any more; docker's daemon is there, and ends what its client has begun.
        if (site.engine == "podman") QVERIFY(!processesThatSay(mark).empty() && std::filesystem::exists(slow.folder));
        const std::string loop = "loop" + base::newUuid7();
        const Trial long1 = trial(site, whole + "ENV B=1\n",
                                  "echo up; : " + loop + "; while [ ! -e /tmp/never ]; do sleep 0.1; done", 1);
        SiteAgent agent(site, place("agent"), long1.layout);
        QVERIFY2(waitFor([&] { return !linesOf(recordsOf(long1.layout), 0, "stdout").empty(); }, 60'000),
                 EnvironmentRig::streamText(long1.layout).c_str());
        // Nobody of ours was left to clear up after the killed build: docker's daemon has, podman's was ended by this
        // run, which also removed the folder and the container that the image was made in.
        QVERIFY(waitFor([&] { return processesThatSay(mark).empty(); }, 30'000));
        QVERIFY(!std::filesystem::exists(slow.folder));
        const std::string running = containers(site);
        QVERIFY2(std::ranges::count(running, '\n') == 1, running.c_str());
        signalRank(long1.layout, 0, "shim", SIGKILL);
        QCOMPARE(agent.wait(), 0);
        QCOMPARE(textOf(endedOf(recordsOf(long1.layout)), "outcome"), std::string("failed"));
        QVERIFY(waitFor([&] { return processesThatSay(loop).empty() && containers(site).empty(); }, 30'000));
    }

private:
    std::unique_ptr<ChildGuard> m_guard;
    std::unique_ptr<QTemporaryDir> m_folder;
    std::unique_ptr<QProcess> m_daemon;
    std::string m_user;
    uid_t m_uid = 0;
    bool m_madeQueues = false;
    ContainerProbe m_probe;
};

QTEST_GUILESS_MAIN(TestContainerEngines)
#include "tst_ContainerEngines.moc"
