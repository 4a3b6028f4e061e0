#pragma once
// The agent's one place to wait: signals by signalfd, files by inotify, a time limit. inotify says nothing about what
// another machine writes over NFS, so whoever waits here looks for itself as well, now and then. Where the user's
// inotify instances or watches are used up, it looks by the clock instead: at most 40 ms later, at a little more CPU.
#include <poll.h>

#include <cstdint>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Result.h"

namespace trainyard::agent {

struct Events {
    bool ranks = false;      ///< Something in ranks/ changed.
    bool notes = false;      ///< A whole file appeared in ranks/: a shim has something to say.
    bool control = false;    ///< Something came into control/.
    bool slots = false;      ///< A ticket changed.
    bool child = false;      ///< SIGCHLD.
    bool terminate = false;  ///< SIGTERM or SIGINT.
    bool sockets = false;    ///< One of the watched sockets.
};

class EventLoop {
public:
    /// Blocks SIGTERM, SIGINT and SIGCHLD for the process and takes them here; ignores SIGHUP and SIGPIPE.
    [[nodiscard]] static base::Result<EventLoop> create();

    void watchRanks(const base::Path& folder) { watch(folder, m_ranks); }
    void watchControl(const base::Path& folder) { watch(folder, m_control); }
    void watchSlots(const base::Path& folder) { watch(folder, m_slots); }
    void unwatchSlots();
    /// Replaces the sockets that end a wait.
    void watchSockets(std::vector<pollfd> sockets) { m_sockets = std::move(sockets); }

    /// Returns at the first event or after `millis`.
    Events wait(std::int64_t millis);

private:
    EventLoop() = default;
    void watch(const base::Path& folder, int& handle);
    void readSignals(Events& events);
    void readNotes(Events& events);

    base::UniqueFd m_signals;
    base::UniqueFd m_notify;
    int m_ranks = -1;
    int m_control = -1;
    int m_slots = -1;
    bool m_byClock = false;
    std::vector<pollfd> m_sockets;
};

}  // namespace trainyard::agent
