#include "core/agent/Shim.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <optional>

#include "core/agent/Container.h"
#include "core/agent/Environment.h"
#include "core/agent/ProcessTree.h"
#include "core/agent/RankEnvironment.h"
#include "core/agent/Secrets.h"
#include "core/base/Clock.h"
#include "core/wire/NodeLink.h"
#include "core/wire/Plan.h"

namespace trainyard::agent {

namespace {

/// What a rank's program left running gets this long between SIGTERM and SIGKILL.
constexpr std::int64_t kLeftoverMillis = 1000;
/// A process that survives SIGKILL for so long hangs in the kernel; the exit is written all the same.
constexpr std::int64_t kUnkillableMillis = 5000;
constexpr std::int64_t kExitWriteMillis = 60'000;
constexpr int kLookMillis = 50;
constexpr std::size_t kExitBytes = 4096;

enum class Stage : int { Folder = 1, Output = 2, Exec = 3 };
struct SpawnFailure {
    Stage stage;
    int error;
};

std::string spawnMessage(const SpawnFailure& failure, const std::string& program, const std::string& folder) {
    const std::string why = std::strerror(failure.error);
    if (failure.stage == Stage::Folder) return "its working folder " + folder + " cannot be entered: " + why;
    if (failure.stage == Stage::Output) return "its output files cannot be opened: " + why;
    if (failure.error == ENOENT) {
        struct stat info {};
        if (program.find('/') == std::string::npos) return "the command \"" + program + "\" was not found in PATH";
        if (::stat((base::Path(folder) / program).c_str(), &info) == 0) {
            return "the command " + program + " exists, but the interpreter or loader that it names does not";
        }
        return "the command " + program + " does not exist";
    }
    if (failure.error == EACCES) return "the command " + program + " is not executable (permission denied)";
    if (failure.error == E2BIG) return "the command line and the variables together are too long";
    return "the command " + program + " cannot be executed: " + why;
}

/// Everything the child needs, prepared before fork.
struct RankCommand {
    std::vector<std::string> arguments;
    std::vector<std::string> environment;
    std::string folder;
    std::string out;
    std::string err;
    std::string stream;
};

std::vector<char*> pointers(std::vector<std::string>& strings) {
    std::vector<char*> all;
    for (std::string& text : strings) all.push_back(text.data());
    all.push_back(nullptr);
    return all;
}

[[noreturn]] void failSpawn(int errorPipe, Stage stage, int error) {
    const SpawnFailure failure{stage, error};
    const ssize_t wrote = ::write(errorPipe, &failure, sizeof failure);
    ::_exit(wrote == sizeof failure ? 127 : 126);
}

[[noreturn]] void becomeRank(RankCommand& command, pid_t shim, int goPipe, int errorPipe) {
    ::setsid();
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != shim) ::_exit(126);
    char go = 0;
    ssize_t got = 0;
    do {
        got = ::read(goPipe, &go, 1);
    } while (got < 0 && errno == EINTR);
    if (got != 1) ::_exit(126);

    for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);

    const int in = ::open("/dev/null", O_RDONLY);
    const int out = ::open(command.out.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const int err = ::open(command.err.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const int stream = ::open(command.stream.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (in < 0 || out < 0 || err < 0 || stream < 0 || ::dup2(in, 0) < 0 || ::dup2(out, 1) < 0 || ::dup2(err, 2) < 0) {
        failSpawn(errorPipe, Stage::Output, errno);
    }
    if (in > 2) ::close(in);
    if (::chdir(command.folder.c_str()) != 0) failSpawn(errorPipe, Stage::Folder, errno);
    std::vector<char*> arguments = pointers(command.arguments);
    std::vector<char*> environment = pointers(command.environment);
    environ = environment.data();  // execvp then searches the PATH that the plan sets.
    ::execvp(arguments[0], arguments.data());
    failSpawn(errorPipe, Stage::Exec, errno);
}

/// What the agent handed down (the slot ticket) is held by the shim and not by the rank, whose children might outlive
/// it.
void keepFromRank() {
    if (::syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
    const long limit = ::sysconf(_SC_OPEN_MAX);
    for (int fd = 3; fd < (limit > 0 ? limit : 1024); ++fd) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

class Shim {
public:
    Shim(NodeLayout layout, int rank) : m_layout(std::move(layout)), m_rank(rank) {}

    int run() {
        auto lock = takeLock(rankLockFile(m_layout, m_rank));
        if (!lock.ok()) return lock.error().code == "lock.held" ? 0 : complain(lock.error().message);
        std::error_code ignored;
        if (std::filesystem::exists(m_layout.rankShim(m_rank), ignored) ||
            std::filesystem::exists(m_layout.rankExit(m_rank), ignored)) {
            return 0;
        }
        reserveExitFile();
        RankCommand command;
        if (auto prepared = prepare(command); !prepared.ok()) return notStarted(prepared.error().message);
        if (auto started = start(command); !started.ok()) return notStarted(started.error().message);
        waitForRank();
        endDescendants();
        // One that ended by itself has taken its container along.
        if (m_container && (m_stopAsked || m_exit.kind == RankExit::Kind::Signaled)) removeContainer(*m_container);
        return writeExit() ? 0 : 1;
    }

    [[nodiscard]] int statusOfRank() const {
        if (m_exit.kind == RankExit::Kind::Exited) return m_exit.code;
        return m_exit.kind == RankExit::Kind::Signaled ? 128 + m_exit.code : 127;
    }

private:
    int complain(const std::string& message) const {
        std::fprintf(stderr, "trainyard-agent shim %d: %s\n", m_rank, message.c_str());
        return 1;
    }

    int notStarted(const std::string& message) {
        m_exit.kind = RankExit::Kind::NotStarted;
        m_exit.message = message;
        m_exit.t = base::wallMicros();
        return writeExit() ? 0 : 1;
    }

    Path exitTemp() const {
        Path temp = m_layout.rankExit(m_rank);
        temp += ".tmp";
        return temp;
    }

    /// The blocks of the exit file are taken now: on a full disk the exit status must still find its place.
    void reserveExitFile() {
        m_exitFd.reset(::open(exitTemp().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!m_exitFd.valid()) return;
        const std::string blank(kExitBytes, ' ');
        if (!base::writeAll(m_exitFd.get(), blank, exitTemp()).ok()) m_exitFd.reset();
    }

    Status prepare(RankCommand& command) {
        const auto planJson = base::readFile(m_layout.plan());
        if (!planJson.ok()) return planJson.error();
        const auto parsed = base::parseJson(*planJson);
        if (!parsed.ok()) return parsed.error();
        const auto plan = wire::planFromJson(*parsed);
        if (!plan.ok()) return plan.error();
        const auto launchJson = readJsonFile(launchFile(m_layout));
        if (!launchJson.ok()) return launchJson.error();
        const auto launch = launchFromJson(*launchJson);
        if (!launch.ok()) return launch.error();
        m_graceSeconds = plan->graceSeconds;
        const Variables variables = rankEnvironment(currentEnvironment(), *plan, m_layout, *launch, m_rank);
        if (!plan->environment.hash.empty()) {
            auto used =
                base::FileLock::tryShared(environmentLock(wire::WorkLayout{plan->workFolder}, plan->environment.hash));
            if (!used.ok())
                return base::Error{"environment.gone",
                                   "its environment is being built anew or removed: " + used.error().message};
            m_environment = std::move(used).value();
        }
        for (const std::string& argument : plan->environment.wrap)
            command.arguments.push_back(expandVariables(argument, variables));
        m_container = containerIn(command.arguments, containerName(*plan, m_rank));
        for (const std::string& argument : plan->command) {
            command.arguments.push_back(expandVariables(argument, variables));
        }
        if (command.arguments.empty() || command.arguments[0].empty()) {
            return base::Error{"agent.command", "the plan names no command"};
        }
        auto secrets = readSecrets(plan->environment);
        if (!secrets.ok()) return secrets.error();
        Variables withSecrets = variables;  // Never part of an argument: those are everybody's to read.
        for (auto& [name, value] : *secrets) withSecrets[name] = std::move(value);
        command.environment = environmentStrings(withSecrets);
        command.folder = workingFolderOf(m_layout, *plan).string();
        if (const bool meets = m_rank == 0 && plan->node == 0 && !plan->engine && plan->distribution != "mpi" &&
                               launch->masterPort > 0;
            meets && isTaken(launch->masterAddress, launch->masterPort)) {
            m_exit.portTaken = true;
            return base::Error{"agent.port", "the port " + std::to_string(launch->masterPort) +
                                                 " at which the ranks are to meet is taken"};
        }
        command.out = m_layout.rankOut(m_rank).string();
        command.err = m_layout.rankErr(m_rank).string();
        command.stream = m_layout.rankStream(m_rank).string();
        return {};
    }

    /// Whether another process has the port. What else may be wrong is left to the rank, which will say it better.
    [[nodiscard]] static bool isTaken(const std::string& address, int port) {
        const auto place = wire::numericAddress(address, port);
        if (!place.ok()) return false;
        const base::UniqueFd fd(::socket(place->family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
        const int yes = 1;
        ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        return ::bind(fd.get(), place->generic(), place->length) != 0 && errno == EADDRINUSE;
    }

    Status start(RankCommand& command) {
        std::array<int, 2> go{};
        std::array<int, 2> failed{};
        if (::pipe2(go.data(), O_CLOEXEC) != 0) return base::errnoError(errno, "make a pipe for", m_layout.root);
        base::UniqueFd goRead(go[0]);
        base::UniqueFd goWrite(go[1]);
        if (::pipe2(failed.data(), O_CLOEXEC) != 0) return base::errnoError(errno, "make a pipe for", m_layout.root);
        base::UniqueFd failedRead(failed[0]);
        base::UniqueFd failedWrite(failed[1]);
        const pid_t self = ::getpid();
        m_process = ::fork();
        if (m_process < 0) return base::Error{"agent.fork", std::string("fork failed: ") + std::strerror(errno)};
        if (m_process == 0) {
            goWrite.reset();
            becomeRank(command, self, goRead.get(), failedWrite.get());
        }
        goRead.reset();
        failedWrite.reset();
        const auto shim = base::identify(self);
        const auto process = base::identify(m_process);
        Status noted = base::Error{"agent.fork", "the rank's process was gone at once"};
        if (shim && process) {
            noted = replaceFile(m_layout.rankShim(m_rank), base::dumpJsonPretty(toJson(ShimNote{*shim, *process})));
        }
        if (!noted.ok()) {
            goWrite.reset();
            ::kill(m_process, SIGKILL);
            ::waitpid(m_process, nullptr, 0);
            return noted;
        }
        const char byte = 1;
        if (::write(goWrite.get(), &byte, 1) != 1)
            return base::Error{"agent.fork", "the rank's process was gone at once"};
        SpawnFailure failure{};
        ssize_t got = 0;
        do {
            got = ::read(failedRead.get(), &failure, sizeof failure);
        } while (got < 0 && errno == EINTR);
        if (got == sizeof failure) {
            ::waitpid(m_process, nullptr, 0);
            return base::Error{"agent.spawn", spawnMessage(failure, command.arguments[0], command.folder)};
        }
        return {};
    }

    /// Collects every child that has ended, orphans that came to us included. True while any child is left.
    bool reap() {
        while (true) {
            int status = 0;
            const pid_t pid = ::waitpid(-1, &status, WNOHANG);
            if (pid == 0) return true;
            if (pid < 0) {
                if (errno == EINTR) continue;
                return false;
            }
            if (pid != m_process || m_ended) continue;
            m_ended = true;
            m_exit.t = base::wallMicros();
            m_exit.stopped = m_stopAsked.has_value();
            if (WIFSIGNALED(status)) {
                m_exit.kind = RankExit::Kind::Signaled;
                m_exit.code = WTERMSIG(status);
                m_exit.coreDumped = WCOREDUMP(status);
                m_exit.forced = m_forced && m_exit.code == SIGKILL;
            } else {
                m_exit.code = WEXITSTATUS(status);
            }
        }
    }

    /// Waits for SIGCHLD or SIGTERM; the latter asks the rank to end.
    void waitForSignal(std::int64_t millis) {
        sigset_t set;
        ::sigemptyset(&set);
        ::sigaddset(&set, SIGCHLD);
        ::sigaddset(&set, SIGTERM);
        const timespec limit{static_cast<time_t>(millis / 1000), static_cast<long>(millis % 1000) * 1'000'000};
        if (::sigtimedwait(&set, nullptr, &limit) == SIGTERM && !m_stopAsked && !m_ended) {
            m_stopAsked = base::Deadline::inMillis(m_graceSeconds * 1000);
            if (m_container) {
                // Its client passes the signal on into the container; what stands between them must live to bring the
                // last words out.
                ::kill(m_process, SIGTERM);
            } else {
                signalEverything(SIGTERM);
            }
            signalEverything(SIGCONT);  // One that was stopped could not heed it.
        }
    }

    void signalEverything(int signal) const {
        if (!m_ended) ::kill(-m_process, signal);
        for (const pid_t pid : descendantsOf(::getpid())) ::kill(pid, signal);
    }

    void waitForRank() {
        reap();
        while (!m_ended) {
            if (m_stopAsked && m_stopAsked->passed()) {
                m_forced = true;
                signalEverything(SIGKILL);
                waitForSignal(kLookMillis);
            } else {
                waitForSignal(m_stopAsked ? std::min<std::int64_t>(m_stopAsked->millisLeft() + 1, 1000) : 3'600'000);
            }
            reap();
        }
    }

    void endDescendants() {
        if (!reap()) return;
        signalEverything(SIGTERM);
        const auto gentle = base::Deadline::inMillis(std::min(kLeftoverMillis, m_graceSeconds * 1000));
        const auto hard = base::Deadline::inMillis(kLeftoverMillis + kUnkillableMillis);
        while (reap() && !hard.passed()) {
            if (gentle.passed()) signalEverything(SIGKILL);
            waitForSignal(gentle.passed() ? kLookMillis : std::min<std::int64_t>(gentle.millisLeft() + 1, kLookMillis));
        }
    }

    bool writeExit() {
        const std::string text = base::dumpJsonPretty(toJson(m_exit));
        const auto deadline = base::Deadline::inMillis(kExitWriteMillis);
        while (true) {
            if (m_exitFd.valid() && writeReserved(text)) return true;
            const auto written = replaceFile(m_layout.rankExit(m_rank), text);
            if (written.ok()) return true;
            if (deadline.passed()) {
                complain(written.error().message);
                return false;
            }
            const timespec pause{0, 200'000'000};
            ::nanosleep(&pause, nullptr);
        }
    }

    bool writeReserved(const std::string& text) {
        return ::pwrite(m_exitFd.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()) &&
               ::ftruncate(m_exitFd.get(), static_cast<off_t>(text.size())) == 0 &&
               ::rename(exitTemp().c_str(), m_layout.rankExit(m_rank).c_str()) == 0;
    }

    NodeLayout m_layout;
    int m_rank = 0;
    std::int64_t m_graceSeconds = 10;
    base::UniqueFd m_exitFd;
    pid_t m_process = -1;
    bool m_ended = false;
    bool m_forced = false;
    std::optional<base::Deadline> m_stopAsked;
    std::optional<Container> m_container;
    std::optional<base::FileLock> m_environment;  ///< Shared: nobody clears what a rank runs in.
    RankExit m_exit;
};

}  // namespace

namespace {

void becomeShim() {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    keepFromRank();
    ::signal(SIGHUP, SIG_IGN);
    ::signal(SIGPIPE, SIG_IGN);
    ::signal(SIGINT, SIG_IGN);
    sigset_t blocked;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGCHLD);
    ::sigaddset(&blocked, SIGTERM);
    ::sigprocmask(SIG_SETMASK, &blocked, nullptr);
}

}  // namespace

int runShim(const NodeLayout& layout, int rank) {
    becomeShim();
    return Shim(layout, rank).run();
}

int runMpiShim(const NodeLayout& layout, int rank) {
    becomeShim();
    Shim shim(layout, rank);
    const int status = shim.run();
    return status != 0 ? status : shim.statusOfRank();
}

}  // namespace trainyard::agent
