#include "core/agent/Child.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <map>

#include "core/agent/RankFiles.h"
#include "core/base/Clock.h"
#include "core/base/Text.h"

extern char** environ;

namespace trainyard::agent {

namespace {

constexpr std::size_t kMostOutput = 1 << 20;
constexpr std::int64_t kReapMillis = 1000;
constexpr std::size_t kMostQuoted = 300;  ///< Bytes of a program's words in a message.

struct Pipe {
    base::UniqueFd read;
    base::UniqueFd write;
    bool open() {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) return false;
        read.reset(ends[0]);
        write.reset(ends[1]);
        return true;
    }
};

void pauseMillis(long millis) {
    const timespec pause{0, millis * 1'000'000};
    ::nanosleep(&pause, nullptr);
}

void dontBlock(int fd) {
    if (fd >= 0) ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
}

std::vector<std::string> mergedEnvironment(const std::vector<std::pair<std::string, std::string>>& added) {
    std::map<std::string, std::string> extra(added.begin(), added.end());
    std::vector<std::string> all;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string text = *entry;
        if (!extra.contains(text.substr(0, text.find('=')))) all.push_back(text);
    }
    for (const auto& [name, value] : extra) all.push_back(name + "=" + value);
    return all;
}

std::vector<char*> pointersTo(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (std::string& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
}

base::Error startError(int stage, int error, const ChildSpec& spec) {
    const std::string program = base::stripControl(base::toValidUtf8(spec.argv.front()));
    if (stage == 'd') {
        return {"exec.folder", "The folder " + base::toValidUtf8(spec.folder) +
                                   " cannot be entered: " + std::string(std::strerror(error)) + "."};
    }
    if (error == ENOENT) return {"exec.missing", "The program " + program + " is not there."};
    if (error == EACCES || error == EPERM) {
        return {"exec.denied", "The program " + program +
                                   " may not be executed (no x bit, or its file system is mounted "
                                   "noexec)."};
    }
    return {"exec.start", "The program " + program + " did not start: " + std::string(std::strerror(error)) + "."};
}

/// In the child; never returns. What fails is told as a letter and errno.
[[noreturn]] void execute(const ChildSpec& spec, int in, int out, int err, int report, char* const* argv,
                          char* const* env) {
    const auto fail = [report](char stage) {
        std::array<int, 2> word{stage, errno};
        if (::write(report, word.data(), sizeof word) < 0) ::_exit(126);
        ::_exit(127);
    };
    ::setpgid(0, 0);
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (::dup2(in >= 0 ? in : null, 0) < 0 || ::dup2(out >= 0 ? out : null, 1) < 0) fail('p');
    if (::dup2(spec.mergeErr ? 1 : (err >= 0 ? err : null), 2) < 0) fail('p');
    if (!spec.folder.empty() && ::chdir(spec.folder.c_str()) != 0) fail('d');
    ::execvpe(argv[0], argv, env);
    fail('x');
    ::_exit(127);
}

}  // namespace

void becomeChild(pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    for (const int signal : {SIGPIPE, SIGHUP, SIGTERM, SIGINT, SIGCHLD}) ::signal(signal, SIG_DFL);
}

bool readAvailable(int fd, std::string& into, std::size_t limit) {
    std::array<char, 64 << 10> buffer;
    while (limit > 0) {
        const ssize_t got = ::read(fd, buffer.data(), std::min(limit, buffer.size()));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno == EAGAIN;
        if (got == 0) return false;
        into.append(buffer.data(), static_cast<std::size_t>(got));
        limit -= static_cast<std::size_t>(got);
    }
    return true;
}

base::Result<Child> Child::start(const ChildSpec& spec) {
    if (spec.argv.empty() || spec.argv.front().empty()) return base::Error{"exec.missing", "No program was named."};
    Pipe in;
    Pipe out;
    Pipe err;
    Pipe report;
    const bool wantErr = spec.pipeErr && !spec.mergeErr;
    if ((spec.pipeIn && !in.open()) || (spec.pipeOut && !out.open()) || (wantErr && !err.open()) || !report.open()) {
        return base::Error{"exec.start", std::string("No pipe: ") + std::strerror(errno) + "."};
    }
    std::vector<std::string> arguments = spec.argv;
    std::vector<std::string> variables = mergedEnvironment(spec.environment);
    const auto argv = pointersTo(arguments);
    const auto env = pointersTo(variables);
    const pid_t self = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0)
        return base::Error{"exec.start", std::string("No process could be made: ") + std::strerror(errno) + "."};
    if (pid == 0) {
        becomeChild(self);
        execute(spec, in.read.get(), out.write.get(), err.write.get(), report.write.get(), argv.data(), env.data());
    }
    ::setpgid(pid, pid);
    report.write.reset();
    std::array<int, 2> word{};
    ssize_t got = 0;
    while ((got = ::read(report.read.get(), word.data(), sizeof word)) < 0 && errno == EINTR) {
    }
    if (got == static_cast<ssize_t>(sizeof word)) {
        ::waitpid(pid, nullptr, 0);
        return startError(word[0], word[1], spec);
    }
    Child child;
    child.m_pid = pid;
    child.in = std::move(in.write);
    child.out = std::move(out.read);
    child.err = std::move(err.read);
    for (const int fd : {child.in.get(), child.out.get(), child.err.get()}) dontBlock(fd);
    return child;
}

Child::Child(Child&& other) noexcept
    : in(std::move(other.in)), out(std::move(other.out)), err(std::move(other.err)),
      m_pid(std::exchange(other.m_pid, -1)), m_end(other.m_end) {}

Child& Child::operator=(Child&& other) noexcept {
    if (this != &other) {
        stop();
        in = std::move(other.in);
        out = std::move(other.out);
        err = std::move(other.err);
        m_pid = std::exchange(other.m_pid, -1);
        m_end = other.m_end;
    }
    return *this;
}

Child::~Child() { stop(); }

std::optional<ChildEnd> Child::end() {
    if (m_end || m_pid <= 0) return m_end;
    int status = 0;
    const pid_t got = ::waitpid(m_pid, &status, WNOHANG);
    if (got < 0 && errno == ECHILD) m_end = ChildEnd{};  // Somebody who reaps everything was faster.
    if (got == m_pid) {
        m_end = ChildEnd{WIFEXITED(status) ? WEXITSTATUS(status) : 0, WIFSIGNALED(status) ? WTERMSIG(status) : 0};
    }
    return m_end;
}

void Child::stop(std::int64_t graceMillis) {
    if (m_pid <= 0) return;
    if (!end()) {
        ::kill(-m_pid, SIGTERM);
        const auto grace = base::Deadline::inMillis(graceMillis);
        while (!end() && !grace.passed()) pauseMillis(2);
    }
    // Also when it has ended: what it left behind in its group goes too. The group's id is not reused while one lives.
    ::kill(-m_pid, SIGKILL);
    const auto reap = base::Deadline::inMillis(kReapMillis);
    while (!end() && !reap.passed()) pauseMillis(1);
    m_pid = -1;
}

std::string ProgramResult::trouble(const std::string& name) const {
    if (!started)
        return error.empty() ? name + " did not start" : error.substr(0, error.size() - (error.ends_with('.') ? 1 : 0));
    if (timedOut) return name + " did not answer in time";
    if (end.signal != 0) return name + " was ended by " + signalName(end.signal);
    std::string text = name + " ended with status " + std::to_string(end.exit);
    std::string said(base::trim(err.empty() ? out : err));
    std::replace(said.begin(), said.end(), '\n', ' ');
    said = base::stripControl(base::toValidUtf8(said.substr(0, kMostQuoted)));
    if (!said.empty()) text += ": " + said;
    while (text.ends_with('.')) text.pop_back();
    return text;
}

ProgramResult runProgram(const ChildSpec& spec, std::int64_t limitMillis) {
    ProgramResult result;
    auto started = Child::start(spec);
    if (!started.ok()) {
        result.error = started.error().message;
        return result;
    }
    result.started = true;
    Child child = std::move(started).value();
    const auto deadline = base::Deadline::inMillis(limitMillis);
    // A grandchild may keep the pipes open; after the program's own end they are read once more and left.
    while (true) {
        const auto end = child.end();
        for (auto [fd, text] : {std::pair{&child.out, &result.out}, std::pair{&child.err, &result.err}}) {
            if (!fd->valid()) continue;
            std::string fresh;
            if (!readAvailable(fd->get(), fresh)) fd->reset();
            text->append(fresh, 0, kMostOutput - std::min(kMostOutput, text->size()));
        }
        if (end) {
            result.end = *end;
            return result;
        }
        if (deadline.passed()) {
            result.timedOut = true;
            return result;
        }
        std::array<pollfd, 2> polls{pollfd{child.out.get(), POLLIN, 0}, pollfd{child.err.get(), POLLIN, 0}};
        ::poll(polls.data(), polls.size(), static_cast<int>(std::min<std::int64_t>(deadline.millisLeft(), 5)));
    }
}

}  // namespace trainyard::agent
