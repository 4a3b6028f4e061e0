#include "core/agent/EventLoop.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <string_view>

namespace trainyard::agent {

namespace {

constexpr std::int64_t kByClockMillis = 40;

}  // namespace

base::Result<EventLoop> EventLoop::create() {
    ::signal(SIGHUP, SIG_IGN);
    ::signal(SIGPIPE, SIG_IGN);
    sigset_t set;
    ::sigemptyset(&set);
    for (const int signal : {SIGTERM, SIGINT, SIGCHLD}) ::sigaddset(&set, signal);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    EventLoop loop;
    loop.m_signals.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!loop.m_signals.valid()) return base::Error{"agent.signals", std::string("signalfd: ") + std::strerror(errno)};
    loop.m_notify.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    loop.m_byClock = !loop.m_notify.valid();
    return loop;
}

void EventLoop::watch(const base::Path& folder, int& handle) {
    constexpr std::uint32_t kMask = IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE | IN_ONLYDIR;
    handle = ::inotify_add_watch(m_notify.get(), folder.c_str(), kMask);
    m_byClock = m_byClock || handle < 0;
}

void EventLoop::unwatchSlots() {
    if (m_slots >= 0) ::inotify_rm_watch(m_notify.get(), m_slots);
    m_slots = -1;
}

Events EventLoop::wait(std::int64_t millis) {
    Events events;
    std::vector<pollfd> fds{pollfd{m_signals.get(), POLLIN, 0}, pollfd{m_notify.get(), POLLIN, 0}};
    fds.insert(fds.end(), m_sockets.begin(), m_sockets.end());
    const int limit = static_cast<int>(std::clamp<std::int64_t>(millis, 0, m_byClock ? kByClockMillis : 60'000));
    events.ranks = events.notes = events.control = events.slots = m_byClock;
    if (::poll(fds.data(), fds.size(), limit) <= 0) return events;
    if (fds[0].revents != 0) readSignals(events);
    if ((fds[1].revents & POLLIN) != 0) readNotes(events);
    events.sockets = std::any_of(fds.begin() + 2, fds.end(), [](const pollfd& fd) { return fd.revents != 0; });
    return events;
}

void EventLoop::readSignals(Events& events) {
    signalfd_siginfo info{};
    while (::read(m_signals.get(), &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCHLD) {
            events.child = true;
        } else {
            events.terminate = true;
        }
    }
}

void EventLoop::readNotes(Events& events) {
    alignas(inotify_event) std::array<char, 16 << 10> buffer;
    while (true) {
        const ssize_t got = ::read(m_notify.get(), buffer.data(), buffer.size());
        if (got <= 0) return;
        std::size_t at = 0;
        while (at < static_cast<std::size_t>(got)) {
            inotify_event event{};
            std::memcpy(&event, buffer.data() + at, sizeof event);
            const std::string_view name(buffer.data() + at + sizeof event,
                                        ::strnlen(buffer.data() + at + sizeof event, event.len));
            at += sizeof event + event.len;
            const bool lost = (event.mask & IN_Q_OVERFLOW) != 0;
            events.ranks = events.ranks || lost || event.wd == m_ranks;
            events.notes = events.notes || lost || (event.wd == m_ranks && (event.mask & IN_MOVED_TO) != 0);
            events.control = events.control || lost || event.wd == m_control;
            events.slots = events.slots || lost || (event.wd == m_slots && name.ends_with(".ticket"));
        }
    }
}

}  // namespace trainyard::agent
