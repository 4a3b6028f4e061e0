#include "core/agent/TreeChild.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <utility>

#include "core/agent/ProcessTree.h"
#include "core/base/Clock.h"

extern char** environ;

namespace trainyard::agent {

namespace {

constexpr std::int64_t kOrphanGraceMillis = 500;
constexpr std::int64_t kLeftoverMillis = 1000;
constexpr std::int64_t kUnkillableMillis = 5000;
constexpr std::int64_t kLookMillis = 50;

/// What the keeper tells: one word, at the end of all.
struct Report {
    int error = 0;  ///< errno of a program that did not start.
    int exit = 0;
    int signal = 0;
};

/// Everything is closed but 0 to 2 and these: what we hold (other locks, sockets) must not outlive us in a keeper.
void closeOthers(std::array<int, 2> kept) {
    std::sort(kept.begin(), kept.end());
    unsigned from = 3;
    for (const int fd : kept) {
        if (fd < 3) continue;
        if (static_cast<unsigned>(fd) > from) ::syscall(SYS_close_range, from, static_cast<unsigned>(fd) - 1, 0);
        from = static_cast<unsigned>(fd) + 1;
    }
    ::syscall(SYS_close_range, from, ~0U, 0);
}

std::vector<char*> pointersTo(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (std::string& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
}

void defaultSignals() {
    for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

class Keeper {
public:
    Keeper(TreeSpec spec, std::function<int()> work, pid_t agent, int report)
        : m_spec(std::move(spec)), m_work(std::move(work)), m_agent(agent), m_report(report) {}

    [[noreturn]] void run() {
        ::setsid();
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
        sigset_t set;
        ::sigemptyset(&set);
        ::sigaddset(&set, SIGCHLD);
        ::sigaddset(&set, SIGTERM);
        ::sigprocmask(SIG_SETMASK, &set, nullptr);
        ::prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (::getppid() != m_agent) ::_exit(1);
        closeOthers({m_report, m_spec.held});
        std::array<int, 2> failed{-1, -1};
        if (::pipe2(failed.data(), O_CLOEXEC) != 0) tell({errno, 0, 0});
        m_program = ::fork();
        if (m_program < 0) tell({errno, 0, 0});
        if (m_program == 0) becomeProgram(failed[1]);
        ::close(failed[1]);
        int error = 0;
        ssize_t got = 0;
        do {
            got = ::read(failed[0], &error, sizeof error);
        } while (got < 0 && errno == EINTR);
        if (got == static_cast<ssize_t>(sizeof error)) {
            ::waitpid(m_program, nullptr, 0);
            tell({error, 0, 0});
        }
        follow();
        if (m_spec.abandoned && ::getppid() != m_agent) m_spec.abandoned();
        tell(m_result);
    }

private:
    [[noreturn]] void tell(const Report& report) const {
        const ssize_t wrote = ::write(m_report, &report, sizeof report);
        ::_exit(wrote == static_cast<ssize_t>(sizeof report) ? 0 : 1);
    }

    [[noreturn]] void becomeProgram(int failed) {
        const pid_t keeper = ::getppid();
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != keeper) ::_exit(126);
        ::setpgid(0, 0);
        defaultSignals();
        const auto fail = [failed] {
            const int error = errno;
            const ssize_t wrote = ::write(failed, &error, sizeof error);
            ::_exit(wrote == static_cast<ssize_t>(sizeof error) ? 127 : 126);
        };
        const int in = ::open("/dev/null", O_RDWR | O_CLOEXEC);
        const int out = m_spec.log.empty()
                            ? in
                            : ::open(m_spec.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (in < 0 || out < 0 || ::dup2(in, 0) < 0 || ::dup2(out, 1) < 0 || ::dup2(out, 2) < 0) fail();
        if (!m_spec.folder.empty() && ::chdir(m_spec.folder.c_str()) != 0) fail();
        if (m_work) {
            ::close(failed);
            ::_exit(m_work());
        }
        std::vector<char*> arguments = pointersTo(m_spec.argv);
        std::vector<char*> variables = pointersTo(m_spec.environment);
        environ = variables.data();
        ::execvp(arguments[0], arguments.data());
        fail();
        ::_exit(127);
    }

    bool reap() {
        while (true) {
            int status = 0;
            const pid_t pid = ::waitpid(-1, &status, WNOHANG);
            if (pid == 0) return true;
            if (pid < 0 && errno == EINTR) continue;
            if (pid < 0) return false;
            if (pid != m_program || m_ended) continue;
            m_ended = true;
            m_result.exit = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
            m_result.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        }
    }

    static void signalAll(int signal) {
        for (const pid_t pid : descendantsOf(::getpid())) ::kill(pid, signal);
    }

    void follow() {
        bool left = reap();
        std::optional<base::Deadline> force;
        const auto begun = [&](std::int64_t millis) {
            signalAll(SIGTERM);
            signalAll(SIGCONT);
            force = base::Deadline::inMillis(millis);
        };
        std::optional<base::Deadline> giveUp;
        while (left) {
            if (m_ended && !giveUp) {  // What the program left behind: seconds, not the grace time.
                begun(std::min(kLeftoverMillis, m_spec.graceMillis));
                giveUp = base::Deadline::inMillis(kLeftoverMillis + kUnkillableMillis);
            }
            if (giveUp && giveUp->passed()) return;
            if (force && force->passed()) signalAll(SIGKILL);
            sigset_t set;
            ::sigemptyset(&set);
            ::sigaddset(&set, SIGCHLD);
            ::sigaddset(&set, SIGTERM);
            const std::int64_t millis = force ? kLookMillis : 60'000;
            const timespec limit{static_cast<time_t>(millis / 1000), static_cast<long>(millis % 1000) * 1'000'000};
            if (::sigtimedwait(&set, nullptr, &limit) == SIGTERM && !force) {
                begun(::getppid() == m_agent ? m_spec.graceMillis : kOrphanGraceMillis);
            }
            left = reap();
        }
    }

    TreeSpec m_spec;
    std::function<int()> m_work;
    pid_t m_agent;
    int m_report;
    pid_t m_program = -1;
    bool m_ended = false;
    Report m_result;
};

}  // namespace

base::Result<TreeChild> TreeChild::start(const TreeSpec& spec) { return call(spec, {}); }

base::Result<TreeChild> TreeChild::call(const TreeSpec& spec, std::function<int()> work) {
    std::array<int, 2> report{};
    if (::pipe2(report.data(), O_CLOEXEC) != 0)
        return base::Error{"exec.start", std::string("No pipe: ") + std::strerror(errno) + "."};
    TreeChild child;
    child.m_report.reset(report[0]);
    base::UniqueFd write(report[1]);
    Keeper keeper(spec, std::move(work), ::getpid(), write.get());  // All that allocates happens before fork.
    const pid_t pid = ::fork();
    if (pid < 0)
        return base::Error{"exec.start", std::string("No process could be made: ") + std::strerror(errno) + "."};
    if (pid == 0) keeper.run();
    child.m_keeper = pid;
    ::fcntl(child.m_report.get(), F_SETFL, O_NONBLOCK);
    return child;
}

TreeChild::TreeChild(TreeChild&& other) noexcept
    : m_keeper(std::exchange(other.m_keeper, -1)), m_report(std::move(other.m_report)), m_end(other.m_end),
      m_error(other.m_error) {}

TreeChild& TreeChild::operator=(TreeChild&& other) noexcept {
    if (this != &other) {
        ask();
        m_keeper = std::exchange(other.m_keeper, -1);
        m_report = std::move(other.m_report);
        m_end = other.m_end;
        m_error = other.m_error;
    }
    return *this;
}

std::optional<ChildEnd> TreeChild::end() {
    if (m_end || m_keeper <= 0) return m_end;
    Report report;
    const ssize_t got = ::read(m_report.get(), &report, sizeof report);
    if (got < 0) return {};
    m_end = ChildEnd{report.exit, report.signal};
    m_error = report.error;
    if (got != static_cast<ssize_t>(sizeof report)) m_end = ChildEnd{0, SIGKILL};  // The keeper was killed.
    ::waitpid(m_keeper, nullptr, 0);
    m_keeper = -1;
    return m_end;
}

void TreeChild::ask() {
    if (m_keeper > 0) ::kill(m_keeper, SIGTERM);
}

}  // namespace trainyard::agent
