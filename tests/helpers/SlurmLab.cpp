#include "tests/helpers/SlurmLab.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QStandardPaths>
#include <algorithm>
#include <array>
#include <cstdlib>

#include "core/base/Clock.h"
#include "core/base/Text.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Wait.h"

namespace trainyard::test {
namespace {

constexpr int kStartMillis = 30'000;
constexpr int kEndMillis = 5'000;
constexpr const char* kAddress = "10.98.0.1";

bool have(const char* program) {
    return !QStandardPaths::findExecutable(QLatin1String(program)).isEmpty() ||
           ::access((std::string("/usr/sbin/") + program).c_str(), X_OK) == 0;
}

base::Error system(const std::string& what) { return base::errnoError(errno, what, "Slurm"); }

}  // namespace

std::string SlurmLab::missing() {
    if (::geteuid() != 0) {
        return "a Slurm cluster is only made by root";
    }
    for (const char* program : {"munged", "slurmctld", "slurmd", "sbatch", "unshare", "hostname"}) {
        if (!have(program)) {
            return std::string(program) + " is not installed";
        }
    }
    return {};
}

base::Status SlurmLab::isolateNetwork() {
    if (::unshare(CLONE_NEWNET) != 0) {
        return system("make a network namespace for");
    }
    const base::UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq flags{};
    std::string_view("lo").copy(flags.ifr_name, sizeof(flags.ifr_name) - 1);
    flags.ifr_flags = IFF_UP | IFF_RUNNING;
    // Without an address beside 127.0.0.1, getaddrinfo(AI_ADDRCONFIG) knows no address at all, and Slurm none of its
    // hosts.
    ifreq address{};
    std::string_view("lo:1").copy(address.ifr_name, sizeof(address.ifr_name) - 1);
    auto* inet = reinterpret_cast<sockaddr_in*>(&address.ifr_addr);
    inet->sin_family = AF_INET;
    ::inet_pton(AF_INET, kAddress, &inet->sin_addr);
    if (!socket.valid() || ::ioctl(socket.get(), SIOCSIFFLAGS, &flags) != 0 ||
        ::ioctl(socket.get(), SIOCSIFADDR, &address) != 0) {
        return system("bring up loopback for");
    }
    return {};
}

SlurmLab::SlurmLab() {
    std::string folder = "/var/tmp/trainyard-slurm-XXXXXX";
    if (::mkdtemp(folder.data()) != nullptr) {
        m_root = folder;
        m_shared = m_root / "shared";
        std::filesystem::create_directories(m_shared);
    }
}

SlurmLab::~SlurmLab() {
    for (auto daemon = m_daemons.rbegin(); daemon != m_daemons.rend(); ++daemon) {
        end(*daemon);
    }
    ::unsetenv("SLURM_CONF");
    if (!m_root.empty()) {
        std::error_code ignored;
        std::filesystem::remove_all(m_root, ignored);
    }
}

std::string SlurmLab::conf() const {
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    std::string name(host.data());
    name = name.substr(0, name.find('.'));
    const std::string root = m_root.string();
    const std::string count = std::to_string(m_options.nodes);
    std::string text = "ClusterName=lab\n"
                       "SlurmctldHost=" +
                       name + "(" + kAddress +
                       ")\n"
                       "SlurmUser=root\n"
                       "SlurmctldPort=26817\n"
                       "AuthType=auth/munge\n"
                       "AuthInfo=socket=" +
                       root +
                       "/munge/socket,cred_expire=5\n"  // also how long a requeued job is held back
                       "CredType=cred/munge\n"
                       "StateSaveLocation=" +
                       root +
                       "/state\n"
                       "SlurmdSpoolDir=" +
                       root +
                       "/%n/spool\n"
                       "SlurmctldPidFile=" +
                       root +
                       "/slurmctld.pid\n"
                       "SlurmdPidFile=" +
                       root +
                       "/%n/slurmd.pid\n"
                       "SlurmctldLogFile=" +
                       root +
                       "/slurmctld.log\n"
                       "SlurmdLogFile=" +
                       root +
                       "/slurmd.%n.log\n"
                       "ProctrackType=proctrack/linuxproc\n"
                       "TaskPlugin=task/none\n"
                       "SchedulerType=sched/backfill\n"
                       "SelectType=select/cons_tres\n"
                       "SelectTypeParameters=CR_Core\n"
                       "MpiDefault=none\n"
                       "ReturnToService=2\n"
                       "SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1\n"
                       "AccountingStorageType=accounting_storage/none\n"
                       "JobCompType=jobcomp/filetxt\n"
                       "JobCompLoc=" +
                       root +
                       "/jobcomp.log\n"
                       "JobAcctGatherType=jobacct_gather/none\n"
                       "PreemptType=preempt/partition_prio\n"
                       "PreemptMode=REQUEUE\n"
                       "JobRequeue=1\n"
                       "KillWait=5\n"
                       "MinJobAge=300\n"
                       "SlurmdTimeout=5\n"
                       "MessageTimeout=5\n"
                       "TCPTimeout=2\n"
                       "SlurmdParameters=config_overrides\n";
    if (m_options.gpus > 0) {
        text += "GresTypes=gpu\n";
    }
    text += "NodeName=n[1-" + count + "] NodeAddr=" + std::string(kAddress) + " Port=[26901-" +
            std::to_string(26900 + m_options.nodes) + "] CPUs=" + std::to_string(m_options.cores) +
            " RealMemory=4000 State=UNKNOWN";
    text += m_options.gpus > 0 ? " Gres=gpu:fake:" + std::to_string(m_options.gpus) + "\n" : "\n";
    text += "PartitionName=p Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1\n"
            "PartitionName=hi Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10\n"
            "PartitionName=closed Nodes=ALL MaxTime=INFINITE State=UP AllowAccounts=nobody_has_this\n";
    if (m_options.maxMinutes > 0) {
        text += "PartitionName=short Nodes=ALL MaxTime=" + std::to_string(m_options.maxMinutes) +
                " State=UP PriorityTier=1\n";
    }
    return text;
}

base::Status SlurmLab::spawn(const std::string& name, const std::vector<std::string>& argv) {
    std::vector<char*> words;
    for (const std::string& word : argv) {
        words.push_back(const_cast<char*>(word.c_str()));
    }
    words.push_back(nullptr);
    const std::string log = (m_root / (name + ".out")).string();
    const pid_t test = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) {
        return system("start " + name + " of");
    }
    if (pid == 0) {
        ::setsid();
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        const int in = ::open("/dev/null", O_RDONLY);
        if (out < 0 || in < 0 || ::dup2(in, 0) < 0 || ::dup2(out, 1) < 0 || ::dup2(out, 2) < 0 || ::getppid() != test) {
            ::_exit(127);
        }
        ::execvp(words[0], words.data());
        ::_exit(127);
    }
    m_daemons.push_back({name, pid});
    return {};
}

void SlurmLab::end(Daemon& daemon) {
    if (daemon.pid <= 0) {
        return;
    }
    // A node's first process lies below `unshare --kill-child`: it dies with it, and its whole PID namespace.
    const bool node = daemon.name.starts_with('n');
    ::kill(daemon.pid, node ? SIGKILL : SIGTERM);
    const auto deadline = base::Deadline::inMillis(kEndMillis);
    while (::waitpid(daemon.pid, nullptr, WNOHANG) == 0) {
        if (deadline.passed()) {
            ::kill(daemon.pid, SIGKILL);
            ::waitpid(daemon.pid, nullptr, 0);
            break;
        }
        ::usleep(10'000);
    }
    daemon.pid = 0;
}

SlurmLab::Daemon* SlurmLab::find(const std::string& name) {
    const auto found = std::find_if(m_daemons.begin(), m_daemons.end(),
                                    [&](const Daemon& daemon) { return daemon.name == name && daemon.pid > 0; });
    return found == m_daemons.end() ? nullptr : &*found;
}

base::Status SlurmLab::start(const SlurmLabOptions& options) {
    m_options = options;
    if (m_root.empty()) {
        return base::Error{"lab.folder", "No folder could be made under /var/tmp."};
    }
    std::error_code error;
    std::filesystem::permissions(m_root, std::filesystem::perms(0755), error);
    for (const char* name : {"munge", "state", "dev"}) {
        std::filesystem::create_directories(m_root / name, error);
    }
    std::filesystem::permissions(m_root / "munge", std::filesystem::perms(0755), error);
    std::string gres;
    for (int i = 0; i < options.gpus; ++i) {
        const base::Path device = m_root / "dev" / ("gpu" + std::to_string(i));
        if (::mknod(device.c_str(), S_IFCHR | 0666, makedev(1, 3)) != 0) {
            return system("make a device for");
        }
        gres += "Name=gpu Type=fake File=" + device.string() + "\n";
    }
    std::string hosts = "127.0.0.1 localhost\n";
    for (int i = 1; i <= options.nodes; ++i) {
        hosts += std::string(kAddress) + " n" + std::to_string(i) + "\n";
    }
    TRAINYARD_TRY(base::writeFileAtomically(m_root / "hosts", hosts, 0644));
    TRAINYARD_TRY(base::writeFileAtomically(m_root / "gres.conf", gres, 0644));
    TRAINYARD_TRY(base::writeFileAtomically(m_root / "slurm.conf", conf(), 0644));
    const std::string key = (m_root / "munge" / "key").string();
    std::string secret(1024, '\0');
    const base::UniqueFd random(::open("/dev/urandom", O_RDONLY | O_CLOEXEC));
    if (::read(random.get(), secret.data(), secret.size()) != static_cast<ssize_t>(secret.size())) {
        return system("make a key for");
    }
    TRAINYARD_TRY(base::writeFileAtomically(key, secret, 0400));
    ::setenv("SLURM_CONF", (m_root / "slurm.conf").c_str(), 1);

    const std::string munge = (m_root / "munge").string();
    TRAINYARD_TRY(
        spawn("munged", {"/usr/sbin/munged", "--foreground", "--force", "--key-file=" + key,
                         "--socket=" + munge + "/socket", "--pid-file=" + munge + "/pid",
                         "--log-file=" + munge + "/log", "--seed-file=" + munge + "/seed", "--num-threads=2"}));
    if (!waitFor([&] { return std::filesystem::exists(munge + "/socket"); }, kStartMillis)) {
        return base::Error{"lab.munge", "munged did not start. " + logs()};
    }
    TRAINYARD_TRY(spawn("slurmctld", {"/usr/sbin/slurmctld", "-D", "-f", (m_root / "slurm.conf").string()}));
    for (int i = 1; i <= options.nodes; ++i) {
        TRAINYARD_TRY(boot(i));
    }
    const bool idle = waitFor(
        [&] {
            const ProgramResult states = slurm({"sinfo", "-h", "-N", "-p", "p", "-o", "%T"});
            int count = 0;
            for (const std::string& line : base::split(states.out, '\n')) {
                count += line == "idle" ? 1 : 0;
            }
            return count == options.nodes;
        },
        kStartMillis);
    return idle ? base::Status{} : base::Error{"lab.nodes", "The nodes did not become idle. " + logs()};
}

void SlurmLab::crash(int node) {
    if (Daemon* daemon = find("n" + std::to_string(node))) {
        end(*daemon);
    }
}

base::Status SlurmLab::boot(int node) {
    const std::string name = "n" + std::to_string(node);
    return spawn(name, {"unshare", "--pid", "--uts", "--mount", "--fork", "--kill-child",
                        (sourceFolder() / "tests/helpers/lab/slurm-node.sh").string(), m_root.string(), name});
}

ProgramResult SlurmLab::slurm(std::vector<std::string> argv, int timeoutMillis) const {
    ProgramOptions options;
    options.timeoutMillis = timeoutMillis;
    const std::string program = QStandardPaths::findExecutable(QString::fromStdString(argv.front())).toStdString();
    argv.erase(argv.begin());
    return runProgram(program, argv, options);
}

std::string SlurmLab::jobState(const std::string& name) const {
    const ProgramResult listed = slurm({"squeue", "-h", "-t", "all", "-S", "i", "-n", name, "-o", "%T"});
    std::string last;
    for (const std::string& line : base::split(listed.out, '\n')) {
        last = line.empty() ? last : line;
    }
    return last;
}

std::string SlurmLab::logs() const {
    std::string text;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(m_root, error)) {
        const std::string extension = entry.path().extension().string();
        if (extension != ".log" && extension != ".out") {
            continue;
        }
        const auto bytes = base::readFile(entry.path());
        if (bytes.ok() && !bytes->empty()) {
            constexpr std::size_t kTail = 1500;
            text += "\n--- " + entry.path().filename().string() + "\n" +
                    bytes->substr(bytes->size() > kTail ? bytes->size() - kTail : 0);
        }
    }
    return text;
}

}  // namespace trainyard::test
