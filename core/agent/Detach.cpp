#include "core/agent/Detach.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "core/base/Clock.h"

namespace trainyard::agent {

namespace {

constexpr int kFirstInherited = 3;

int complain(const std::string& message) {
    std::fprintf(stderr, "trainyard-agent: %s\n", message.c_str());
    return 1;
}

/// Reads "STATUS\nMESSAGE" until the other side closes.
int waitForWord(int pipe, std::int64_t limitMillis) {
    const auto deadline = base::Deadline::inMillis(limitMillis);
    std::string word;
    while (true) {
        pollfd ready{pipe, POLLIN, 0};
        const int count = ::poll(&ready, 1, static_cast<int>(deadline.millisLeft()));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) {
            return complain("The agent did not answer within " + std::to_string(limitMillis / 1000) +
                            " s; its agent.log may say why.");
        }
        std::array<char, 512> buffer{};
        const ssize_t got = ::read(pipe, buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        word.append(buffer.data(), static_cast<std::size_t>(got));
    }
    int status = 1;
    const auto parsed = std::from_chars(word.data(), word.data() + word.size(), status);
    if (parsed.ec != std::errc{}) return complain("The agent ended unexpectedly; its agent.log may say why.");
    if (status == 0) return 0;
    complain(word.substr(std::min(word.size(), word.find('\n') + 1)));
    return status;
}

void becomeBackground(const base::Path& log) {
    const int in = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    ::dup2(in, 0);
    ::dup2(out >= 0 ? out : in, 1);
    ::dup2(out >= 0 ? out : in, 2);
    if (in > 2) ::close(in);
    if (out > 2) ::close(out);
    if (::chdir("/") != 0) complain(std::string("chdir: ") + std::strerror(errno));
}

}  // namespace

void Handshake::say(const std::string& text) {
    // The front side may be gone; SIGPIPE is ignored and its absence changes nothing.
    if (m_pipe.valid() && ::write(m_pipe.get(), text.data(), text.size()) < 0 && errno != EPIPE) {
        complain(std::string("handshake: ") + std::strerror(errno));
    }
    m_pipe.reset();
}

void Handshake::succeed() { say("0\n"); }

void Handshake::fail(int status, const std::string& message) {
    if (!m_pipe.valid()) complain(message);
    say(std::to_string(status) + "\n" + message);
}

void closeInherited() {
    if (::syscall(SYS_close_range, kFirstInherited, ~0U, 0) == 0) return;
    const long limit = ::sysconf(_SC_OPEN_MAX);
    for (int fd = kFirstInherited; fd < (limit > 0 ? limit : 1024); ++fd) ::close(fd);
}

int runDetached(const base::Path& log, std::int64_t limitMillis, const std::function<int(Handshake&)>& work) {
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return complain(std::string("pipe: ") + std::strerror(errno));
    base::UniqueFd readEnd(pipe[0]);
    base::UniqueFd writeEnd(pipe[1]);
    const pid_t middle = ::fork();
    if (middle < 0) return complain(std::string("fork: ") + std::strerror(errno));
    if (middle > 0) {
        writeEnd.reset();
        while (::waitpid(middle, nullptr, 0) < 0 && errno == EINTR) {
        }
        return waitForWord(readEnd.get(), limitMillis);
    }
    readEnd.reset();
    ::setsid();
    const pid_t last = ::fork();
    if (last != 0) ::_exit(last < 0 ? 1 : 0);
    becomeBackground(log);
    Handshake handshake(std::move(writeEnd));
    ::_exit(work(handshake));
}

}  // namespace trainyard::agent
