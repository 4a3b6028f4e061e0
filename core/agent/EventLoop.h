#pragma once
// The agent's one place to wait: signals by signalfd, files by inotify, a time limit. inotify says nothing about what
// another machine writes over NFS, so whoever waits here looks for itself as well, now and then.
#include <cstdint>

#include "core/base/Files.h"
#include "core/base/Result.h"

namespace trainyard::agent {

struct Events {
    bool ranks = false;      ///< Something in ranks/ changed.
    bool control = false;    ///< Something came into control/.
    bool slots = false;      ///< A ticket changed.
    bool child = false;      ///< SIGCHLD.
    bool terminate = false;  ///< SIGTERM or SIGINT.
};

class EventLoop {
public:
    /// Blocks SIGTERM, SIGINT and SIGCHLD for the process and takes them here; ignores SIGHUP and SIGPIPE.
    [[nodiscard]] static base::Result<EventLoop> create();

    [[nodiscard]] base::Status watchRanks(const base::Path& folder) { return watch(folder, m_ranks); }
    [[nodiscard]] base::Status watchControl(const base::Path& folder) { return watch(folder, m_control); }
    [[nodiscard]] base::Status watchSlots(const base::Path& folder) { return watch(folder, m_slots); }
    void unwatchSlots();

    /// Returns at the first event or after `millis`.
    Events wait(std::int64_t millis);

private:
    EventLoop() = default;
    [[nodiscard]] base::Status watch(const base::Path& folder, int& handle);
    void readSignals(Events& events);
    void readNotes(Events& events);

    base::UniqueFd m_signals;
    base::UniqueFd m_notify;
    int m_ranks = -1;
    int m_control = -1;
    int m_slots = -1;
};

}  // namespace trainyard::agent
