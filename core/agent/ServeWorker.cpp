#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <optional>

#include "core/agent/Child.h"
#include "core/agent/Detach.h"
#include "core/agent/ServeRequest.h"
#include "core/base/Clock.h"
#include "core/wire/Serve.h"

namespace trainyard::agent {

namespace {

constexpr std::int64_t kReapMillis = 1000;

bool sayFrame(const Json& header) {
    const auto frame = wire::encodeServeFrame(header);
    return frame.ok() && base::writeAll(STDOUT_FILENO, *frame, "the channel").ok();
}

[[noreturn]] void workHere(int pipe, pid_t parent, const ServeWorker::Work& work) {
    becomeChild(parent);
    const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (::dup2(null, 0) < 0 || ::dup2(pipe, STDOUT_FILENO) < 0) ::_exit(1);
    closeInherited();
    const auto result = work(sayFrame);
    Json last = result.ok() ? *result : Json::object();
    if (result.ok()) {
        last["done"] = true;
    } else {
        last["error"] = errorJson(targetError(result.error()));
    }
    if (!sayFrame(last)) {
        Json error = Json::object();
        error["error"] = errorJson({"serve.too_large", "The answer is too large for one frame."});
        sayFrame(error);
    }
    ::_exit(0);
}

}  // namespace

struct ServeWorker::Running {
    pid_t pid = -1;
    base::UniqueFd pipe;
    wire::ServeDecoder decoder{false};
};

ServeWorker::ServeWorker(ServeContext& context, std::int64_t id, const Work& work)
    : ServeRequest(context, id), m_running(std::make_unique<Running>()) {
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) {
        fail({"serve.worker", std::string("No pipe: ") + std::strerror(errno) + "."});
        return;
    }
    m_running->pipe.reset(pipe[0]);
    const base::UniqueFd writeEnd(pipe[1]);
    const pid_t self = ::getpid();
    m_running->pid = ::fork();
    if (m_running->pid < 0) {
        fail({"serve.worker", std::string("No process could be made: ") + std::strerror(errno) + "."});
        return;
    }
    if (m_running->pid == 0) workHere(writeEnd.get(), self, work);
    ::fcntl(m_running->pipe.get(), F_SETFL, O_NONBLOCK);
}

ServeWorker::~ServeWorker() {
    if (m_running->pid <= 0) return;
    ::kill(m_running->pid, SIGKILL);
    const auto deadline = base::Deadline::inMillis(kReapMillis);
    while (::waitpid(m_running->pid, nullptr, WNOHANG) == 0 && !deadline.passed()) {
        const timespec pause{0, 500'000};
        ::nanosleep(&pause, nullptr);
    }
}

void ServeWorker::watch(std::vector<pollfd>& polls) const {
    if (out().roomy()) polls.push_back({m_running->pipe.get(), POLLIN, 0});
}

void ServeWorker::turn() {
    if (finished() || !out().roomy()) return;
    std::string bytes;
    const bool open = readAvailable(m_running->pipe.get(), bytes);
    m_running->decoder.feed(bytes);
    while (!finished()) {
        auto frame = m_running->decoder.next();
        if (!frame.ok()) {
            fail(frame.error());
            return;
        }
        if (!*frame) break;
        relay(std::move((*frame)->header), (*frame)->payload);
    }
    if (!open && !finished()) fail({"serve.worker", "The part of the agent that worked on this ended unexpectedly."});
}

}  // namespace trainyard::agent
