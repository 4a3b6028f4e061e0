#pragma once
// The queue of one machine: a folder of flock'ed ticket files, shared by the agents of all workspaces and users. No
// daemon: every waiting agent reads the tickets under slots.lock and takes its slots itself when it is first in line
// and they are free. The kernel releases a ticket when the last process that holds its lock is gone: the agent, and
// after it the shims, which inherit the descriptor, so that killing an agent does not free cores that its ranks still
// use.
//
// The folder is open to all users (mode 1777), so nothing in it is believed beyond what a hostile neighbour could do
// anyway, which is to hold slots: links, pipes and folders among the tickets are passed over, numbers are cut to what
// is possible, a ticket of somebody else's counts from when it was written, and names are cleaned before they are
// shown. A GPU on which a process computes that holds no ticket is shown and not given, where nvidia-smi tells of such
// processes.
//
// Order: higher priority first, then older first. Every 15 minutes of waiting count as one step of priority, so nobody
// starves. Only the first in line may take slots; a smaller run behind it does not overtake, or a large one would
// starve.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/agent/Gpus.h"
#include "core/base/Files.h"
#include "core/base/Process.h"

namespace trainyard::agent {

using base::Path;
using base::Result;
using base::Status;

struct SlotRequest {
    std::string ticket;  ///< File name without suffix, one an attempt and node: "<run>-a1-n0".
    std::string label;   ///< Run name, for the reason that others are shown.
    int cores = 1;       ///< At most the machine's.
    int gpus = 0;
    std::int64_t priority = 0;
    std::int64_t since = 0;  ///< Microseconds UTC: when the attempt asked first; survives a restart of the agent.
};

struct SlotAnswer {
    bool granted = false;
    std::vector<int> gpuIndices;  ///< When granted.
    std::string reason;           ///< When not: "2 of 4 cores are busy: run mnist-3 (2 cores)".
};

/// A living ticket as anybody may see it.
struct SlotTicket {
    std::string name;   ///< File name without suffix.
    std::string label;  ///< For people.
    std::string user;   ///< Who made it.
    bool ours = true;   ///< Made by this user.
    int cores = 0;
    int gpus = 0;                 ///< Asked for.
    std::vector<int> gpuIndices;  ///< Held.
    std::int64_t priority = 0;
    std::int64_t since = 0;
    bool holding = false;
};

/// One agent's place in the queue. Not thread-safe. Leaves the queue at the end of its life.
class Slots {
public:
    /// Makes the folder for all users when it is not there. Errors: "slots.folder" (a link, a file, or not writable).
    [[nodiscard]] static Result<Slots> open(const Path& folder, int machineCores, int machineGpus);
    /// Who holds slots of this machine and who waits, in order of name; nobody where there is no folder.
    [[nodiscard]] static Result<std::vector<SlotTicket>> list(const Path& folder, int machineCores);
    Slots(Slots&& other) noexcept;
    Slots& operator=(Slots&&) = delete;
    ~Slots();

    /// Puts the ticket into the folder (or takes over the one that a killed agent of the same attempt left).
    /// "slots.busy" when another agent is reading the tickets right now and stays at it: try again.
    [[nodiscard]] Status enter(const SlotRequest& request);
    /// Looks at the queue once, without waiting, and takes the slots when it is this ticket's turn.
    [[nodiscard]] Result<SlotAnswer> tryTake(std::int64_t now);
    /// Gives the slots back. Also right for a ticket whose lock only the shims still hold.
    void leave();
    /// For a restarted agent whose ranks already have their slots: takes the ticket up again, or only notes it where
    /// the shims hold its lock. leave() will remove it.
    void adopt(const SlotRequest& request, const std::vector<int>& gpuIndices);
    /// Inherited by shims; -1 when there is no ticket.
    [[nodiscard]] int ticketFd() const { return m_ticket.get(); }

private:
    Slots() = default;
    [[nodiscard]] bool lockQueue();
    void unlockQueue();
    [[nodiscard]] Status openTicket();
    [[nodiscard]] Status writeTicket(bool holding, const std::vector<int>& gpuIndices);
    /// Takes the GPUs that strangers use off the list; what it says is empty, or why none may be given yet.
    [[nodiscard]] std::string dropStrangers(std::vector<int>& freeGpus);
    [[nodiscard]] std::string explain(const std::vector<SlotTicket>& ahead, const std::vector<SlotTicket>& holders,
                                      int busyCores, int busyGpus) const;

    Path m_folder;
    int m_cores = 1;
    int m_gpus = 0;
    base::UniqueFd m_queueLock;  ///< Stays open: opening it for every look would wake every watcher of the folder.
    base::UniqueFd m_ticket;
    Path m_ticketPath;
    SlotRequest m_request;
    SlotAnswer m_last;
    GpuLook m_look;
};

}  // namespace trainyard::agent
