#include "core/agent/MpiLauncher.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <set>

#include "core/agent/Child.h"
#include "core/agent/ProcessTree.h"
#include "core/base/Clock.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace {

/// Its ranks have ended by then; what it still waits for is its own time limits.
constexpr std::int64_t kEndMillis = 1000;
constexpr std::int64_t kLogBytes = 4096;
constexpr std::size_t kLogLines = 12;
constexpr std::int64_t kListMillis = 10'000;

}  // namespace

std::vector<std::string> mpirunCommand(const wire::Plan& plan, const std::vector<MpiNode>& nodes,
                                       const std::string& interfaceNetwork, bool asRoot) {
    std::vector<std::string> argv{"mpirun"};
    const auto set = [&argv](const char* name, const std::string& value) {
        argv.insert(argv.end(), {"--mca", name, value});
    };
    if (asRoot) argv.emplace_back("--allow-run-as-root");
    argv.insert(argv.end(), {"--bind-to", "none", "--oversubscribe"});
    set("plm", "rsh");
    set("plm_rsh_agent", "ssh -o BatchMode=yes -o ConnectTimeout=15");
    set("plm_rsh_no_tree_spawn", "1");
    set("orte_keep_fqdn_hostnames", "1");
    // A cut cable would hang it for ever, deaf to SIGTERM.
    set("oob_tcp_keepalive_time", "2");
    set("oob_tcp_keepalive_intvl", "1");
    set("oob_tcp_keepalive_probes", "3");
    // The shims keep the grace time themselves; mpirun's own second would kill them first.
    set("odls_base_sigkill_timeout", std::to_string(plan.graceSeconds + 10));
    if (!interfaceNetwork.empty()) {
        set("oob_tcp_if_include", interfaceNetwork);
        set("btl_tcp_if_include", interfaceNetwork);
    }
    const std::string count = std::to_string(plan.processes);
    bool first = true;
    for (const MpiNode& node : nodes) {
        if (!first) argv.emplace_back(":");
        first = false;
        const auto same = std::count_if(nodes.begin(), nodes.end(),
                                        [&](const MpiNode& other) { return other.address == node.address; });
        argv.insert(argv.end(), {"--host", node.address + ":" + std::to_string(plan.processes * same), "-np", count,
                                 node.program, "rank", node.folder});
    }
    return argv;
}

Result<std::string> srunMpi() {
    ChildSpec spec;
    spec.argv = {"srun", "--mpi=list"};
    spec.mergeErr = true;
    const ProgramResult result = runProgram(spec, kListMillis);
    if (!result.succeeded())
        return base::Error{
            "mpi.srun", "Slurm cannot be asked how it starts MPI's ranks: " + result.trouble("srun --mpi=list") + "."};
    std::string text = result.out;
    std::replace_if(
        text.begin(), text.end(), [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0 || c == ','; },
        ' ');
    const std::vector<std::string> words = base::split(text, ' ');
    for (const char* kind : {"pmix", "pmi2"}) {
        if (std::find(words.begin(), words.end(), kind) != words.end()) return std::string(kind);
    }
    return base::Error{"mpi.srun", "This Slurm has neither pmix nor pmi2 (srun --mpi=list), so it cannot start MPI's "
                                   "ranks. Use PyTorch's distribution."};
}

std::vector<std::string> srunCommand(const wire::Plan& plan, const std::string& program, const Path& runFolder) {
    const auto number = [](int value) { return std::to_string(value); };
    return {"srun",
            "--mpi=" + srunMpi().valueOr("pmix"),
            "--overlap",
            "--overcommit",
            "--nodes=" + number(plan.nodes),
            "--ntasks=" + number(plan.nodes * plan.processes),
            "--ntasks-per-node=" + number(plan.processes),
            "--cpus-per-task=" + number(std::max(1, plan.cores / plan.processes)),
            "--distribution=block",
            "--cpu-bind=none",
            "--kill-on-bad-exit=0",
            "--wait=0",
            "--input=none",
            program,
            "rank",
            "--scheduler",
            runFolder.string()};
}

std::string networkOf(const std::string& address) {
    if (address.starts_with("127.")) return {};
    in_addr wanted{};
    if (::inet_pton(AF_INET, address.c_str(), &wanted) != 1) return {};
    ifaddrs* all = nullptr;
    if (::getifaddrs(&all) != 0) return {};
    std::string network;
    for (const ifaddrs* entry = all; entry; entry = entry->ifa_next) {
        if (!entry->ifa_addr || !entry->ifa_netmask || entry->ifa_addr->sa_family != AF_INET) continue;
        const auto own = reinterpret_cast<const sockaddr_in*>(entry->ifa_addr)->sin_addr;
        const auto mask = reinterpret_cast<const sockaddr_in*>(entry->ifa_netmask)->sin_addr;
        if (own.s_addr != wanted.s_addr) continue;
        const in_addr base{own.s_addr & mask.s_addr};
        std::array<char, INET_ADDRSTRLEN> text{};
        if (::inet_ntop(AF_INET, &base, text.data(), text.size()))
            network = std::string(text.data()) + "/" + std::to_string(std::popcount(mask.s_addr));
    }
    ::freeifaddrs(all);
    return network;
}

Result<int> mpiLocalRank(const wire::Plan& plan) {
    for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"}) {
        const char* text = std::getenv(name);
        if (!text) continue;
        const std::string_view all(text);
        int global = -1;
        const auto parsed = std::from_chars(all.data(), all.data() + all.size(), global);
        const int local = global - plan.node * plan.processes;
        if (parsed.ec != std::errc{} || parsed.ptr != all.data() + all.size() || local < 0 || local >= plan.processes) {
            return base::Error{"mpi.variables", std::string(name) + " is \"" + text + "\", which is no rank of node " +
                                                    std::to_string(plan.node) + "."};
        }
        return local;
    }
    return base::Error{"mpi.variables", "No variable of MPI's launcher says which rank this is."};
}

Status MpiLauncher::start(const std::vector<std::string>& command) {
    if (const auto json = readJsonFile(noteFile()); json.ok()) {
        if (auto identity = base::processIdentityFromJson(*json); identity.ok()) {
            m_process = std::move(identity).value();
            return {};
        }
    }
    std::vector<std::string> strings = command;
    std::vector<char*> arguments;
    for (std::string& text : strings) arguments.push_back(text.data());
    arguments.push_back(nullptr);
    const std::string logFile = log().string();
    std::array<int, 2> failed{};
    if (::pipe2(failed.data(), O_CLOEXEC) != 0)
        return base::Error{"mpi.start", std::string("pipe: ") + std::strerror(errno)};
    const base::UniqueFd failedRead(failed[0]);
    base::UniqueFd failedWrite(failed[1]);
    const pid_t pid = ::fork();
    if (pid < 0) return base::Error{"mpi.start", std::string("fork: ") + std::strerror(errno)};
    if (pid == 0) {
        ::setsid();
        for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
        sigset_t none;
        ::sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
        const int in = ::open("/dev/null", O_RDONLY);
        const int out = ::open(logFile.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        ::dup2(in, 0);
        ::dup2(out, 1);
        ::dup2(out, 2);
        ::execvp(arguments[0], arguments.data());
        const int error = errno;
        const ssize_t wrote = ::write(failedWrite.get(), &error, sizeof error);
        ::_exit(wrote == sizeof error ? 127 : 126);
    }
    failedWrite.reset();
    int error = 0;
    if (::read(failedRead.get(), &error, sizeof error) == sizeof error) {
        return base::Error{
            "mpi.start",
            error == ENOENT ? command.front() + " is not installed on this machine (Debian: openmpi-bin, slurm-client)."
                            : command.front() + " cannot be started: " + std::strerror(error)};
    }
    m_process = base::identify(pid);
    if (!m_process) return {};  // It has ended already; alive() says so, its log says why.
    return replaceFile(noteFile(), base::dumpJson(base::toJson(*m_process)));
}

bool MpiLauncher::alive() const { return m_process && base::liveness(*m_process) == base::Liveness::Alive; }

void MpiLauncher::end(const std::function<void()>& pause) {
    const auto gone = [&](std::int64_t millis) {
        const auto limit = base::Deadline::inMillis(millis);
        while (alive() && !limit.passed()) pause();
        return !alive();
    };
    if (gone(kEndMillis)) return;
    signalProcess(*m_process, SIGTERM);
    if (gone(kEndMillis)) return;
    ::kill(static_cast<pid_t>(-m_process->pid), SIGKILL);
    signalProcess(*m_process, SIGKILL);
}

std::string MpiLauncher::lastWords() const {
    std::error_code error;
    const auto size = static_cast<std::int64_t>(std::filesystem::file_size(log(), error));
    if (error) return {};
    const std::string text =
        base::readFileRange(log(), std::max<std::int64_t>(0, size - kLogBytes), kLogBytes).valueOr({});
    std::string words;
    std::size_t count = 0;
    for (const std::string& line : base::split(text, '\n')) {
        const std::string clean = base::stripControl(base::toValidUtf8(base::trim(line)));
        if (clean.empty() || clean.find_first_not_of("-=* ") == std::string::npos || ++count > kLogLines) continue;
        words += (words.empty() ? "" : " ") + clean;
    }
    return words;
}

}  // namespace trainyard::agent
