#include "core/agent/Slots.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <memory>
#include <tuple>

#include "core/agent/Machine.h"
#include "core/base/Clock.h"
#include "core/base/Ids.h"
#include "core/base/Json.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace {

constexpr const char* kTicketFormat = "trainyard.slot-ticket";
constexpr int kTicketVersion = 1;
constexpr const char* kSuffix = ".ticket";
/// A ticket always fills this, so that turning it from waiting to holding needs no new block on a full disk.
constexpr std::size_t kTicketBytes = 1024;
constexpr std::size_t kMaxLabelBytes = 80;
constexpr std::int64_t kAgingMicros = std::int64_t{15} * 60 * 1'000'000;
constexpr std::int64_t kQueueLockMillis = 50;
constexpr mode_t kShared = 01777;
constexpr int kMostTickets = 10'000;
constexpr int kMostGpus = 256;
constexpr std::int64_t kMostPriority = 1'000'000;
constexpr std::int64_t kGpuLookMillis = 2000;  ///< How old news of strangers on the GPUs may be.

std::string plural(int count, const char* noun) { return std::to_string(count) + " " + noun + (count == 1 ? "" : "s"); }

/// What is made here is for all users from its first moment on; a later chmod would let another agent fail in between.
/// The agent has one thread, so nothing else is made meanwhile.
class ForAll {
public:
    ForAll() : m_before(::umask(0)) {}
    ForAll(const ForAll&) = delete;
    ForAll& operator=(const ForAll&) = delete;
    ~ForAll() { ::umask(m_before); }

private:
    mode_t m_before;
};

/// The folder is there, is a folder and no link, and may be written to by us.
Status makeFolder(const Path& folder) {
    struct stat info {};
    if (::lstat(folder.c_str(), &info) != 0) {
        if (errno != ENOENT) return base::errnoError(errno, "look at", folder);
        TRAINYARD_TRY(base::makeDirs(folder.parent_path()));
        const ForAll open;
        if (::mkdir(folder.c_str(), kShared) != 0 && errno != EEXIST)
            return base::errnoError(errno, "make the folder", folder);
        if (::lstat(folder.c_str(), &info) != 0) return base::errnoError(errno, "look at", folder);
    }
    if (!S_ISDIR(info.st_mode)) {
        return base::Error{"slots.folder", folder.string() +
                                               " is a link or a file. Remove it, or name another slots folder in "
                                               "the target's definition."};
    }
    if (info.st_uid == ::geteuid() && (info.st_mode & 07777) != kShared) ::chmod(folder.c_str(), kShared);
    if (::access(folder.c_str(), R_OK | W_OK | X_OK) != 0) {
        return base::Error{"slots.folder",
                           folder.string() + " belongs to user " + userName(info.st_uid) +
                               " and may not be written to, so the queue of this machine cannot be used. Ask "
                               "for mode 1777, or name another slots folder in the target's definition."};
    }
    return {};
}

int bounded(std::int64_t value, std::int64_t most) {
    return static_cast<int>(std::clamp<std::int64_t>(value, 0, most));
}

/// What a ticket's text says; false when it cannot be read.
bool takeTicket(const std::string& text, int machineCores, SlotTicket& ticket) {
    const auto json = base::parseJson(base::trim(text));
    if (!json.ok() || !base::checkFormat(*json, kTicketFormat, kTicketVersion).ok()) return false;
    base::ObjectReader reader(*json, "");
    ticket.label = base::stripControl(base::toValidUtf8(reader.string("run"))).substr(0, kMaxLabelBytes);
    ticket.cores = bounded(reader.integer("cores"), machineCores);
    ticket.gpus = bounded(reader.integer("gpus"), kMostGpus);
    ticket.priority = std::clamp<std::int64_t>(reader.integer("priority"), -kMostPriority, kMostPriority);
    ticket.since = std::max<std::int64_t>(0, reader.integer("since"));
    ticket.holding = reader.string("state") == "holding";
    for (const base::Json& index : reader.array("gpu_indices")) {
        if (!index.is_number_integer()) continue;
        const auto number = index.get<std::int64_t>();
        if (number >= 0 && number < kMostGpus) ticket.gpuIndices.push_back(static_cast<int>(number));
    }
    return reader.status(false).ok();
}

/// All tickets whose holders live, but for the one named `except`. `sweep`: remove what the dead left; only under the
/// lock.
Result<std::vector<SlotTicket>> readTickets(const Path& folder, int machineCores, const Path& except, bool sweep) {
    std::vector<SlotTicket> tickets;
    std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), &::closedir);
    if (!dir && errno == ENOENT) return tickets;
    if (!dir) return base::errnoError(errno, "read", folder);
    int looked = 0;
    while (const dirent* entry = ::readdir(dir.get())) {
        const std::string_view file = entry->d_name;
        if (!file.ends_with(kSuffix) || except == file || ++looked > kMostTickets) continue;
        base::UniqueFd fd(
            ::openat(::dirfd(dir.get()), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
        struct stat info {};
        if (!fd.valid() || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
        if (::flock(fd.get(), LOCK_SH | LOCK_NB) == 0) {
            if (sweep)
                ::unlinkat(::dirfd(dir.get()), entry->d_name, 0);  // Its holder is dead. Another user's stays there.
            continue;
        }
        SlotTicket ticket;
        ticket.name =
            base::stripControl(base::toValidUtf8(file.substr(0, file.size() - std::string_view(kSuffix).size())));
        ticket.user = userName(info.st_uid);
        ticket.ours = info.st_uid == ::geteuid();
        std::string text(kTicketBytes, '\0');
        const ssize_t got = ::pread(fd.get(), text.data(), text.size(), 0);
        text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        if (!takeTicket(text, machineCores, ticket)) {
            // A live process holds it and what it holds is unknown (a newer agent, say): count the whole machine.
            ticket.holding = true;
            ticket.cores = machineCores;
            ticket.label = ticket.name + ", whose ticket cannot be read";
        }
        // Nobody gets ahead of others by claiming to have waited since long ago.
        const std::int64_t written =
            static_cast<std::int64_t>(info.st_ctim.tv_sec) * 1'000'000 + info.st_ctim.tv_nsec / 1000;
        if (!ticket.ours) ticket.since = std::max(ticket.since, written);
        if (ticket.label.empty()) ticket.label = ticket.name;
        tickets.push_back(std::move(ticket));
    }
    std::sort(tickets.begin(), tickets.end(), [](const SlotTicket& a, const SlotTicket& b) { return a.name < b.name; });
    return tickets;
}

/// Lower goes first.
auto orderOf(const SlotTicket& ticket, std::int64_t now) {
    return std::tuple(-(ticket.priority + std::max<std::int64_t>(0, now - ticket.since) / kAgingMicros), ticket.since,
                      std::string_view(ticket.name));
}

std::string labelOf(const SlotTicket& ticket) {
    return ticket.ours ? ticket.label : ticket.label + " of " + ticket.user;
}

}  // namespace

Result<Slots> Slots::open(const Path& folder, int machineCores, int machineGpus) {
    TRAINYARD_TRY(makeFolder(folder));
    Slots slots;
    slots.m_folder = folder;
    slots.m_cores = machineCores;
    slots.m_gpus = machineGpus;
    const Path lock = folder / "slots.lock";
    // Without O_CREAT first: in a folder like /tmp the kernel refuses it for a file of another user's.
    slots.m_queueLock.reset(::open(lock.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!slots.m_queueLock.valid() && errno == ENOENT) {
        const ForAll all;
        slots.m_queueLock.reset(::open(lock.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666));
        if (!slots.m_queueLock.valid() && errno == EEXIST) {
            slots.m_queueLock.reset(::open(lock.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
        }
    }
    if (!slots.m_queueLock.valid()) return base::errnoError(errno, "open", lock);
    struct stat info {};
    if (::fstat(slots.m_queueLock.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
        return base::Error{"slots.folder", lock.string() +
                                               " is no regular file. Remove it, or name another slots folder in "
                                               "the target's definition."};
    }
    return slots;
}

Result<std::vector<SlotTicket>> Slots::list(const Path& folder, int machineCores) {
    return readTickets(folder, machineCores, {}, false);
}

Slots::Slots(Slots&& other) noexcept
    : m_folder(std::move(other.m_folder)), m_cores(other.m_cores), m_gpus(other.m_gpus),
      m_queueLock(std::move(other.m_queueLock)), m_ticket(std::move(other.m_ticket)),
      m_ticketPath(std::move(other.m_ticketPath)), m_request(std::move(other.m_request)),
      m_last(std::move(other.m_last)), m_look(std::move(other.m_look)) {
    other.m_ticketPath.clear();
}

Slots::~Slots() {
    // Only a ticket that is ours alone goes: one whose slots are taken stays until leave(), since ranks may outlive us.
    if (!m_last.granted && m_ticket.valid()) leave();
}

bool Slots::lockQueue() {
    const auto deadline = base::Deadline::inMillis(kQueueLockMillis);
    while (::flock(m_queueLock.get(), LOCK_EX | LOCK_NB) != 0) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || deadline.passed()) return false;
        const timespec pause{0, 2'000'000};
        ::nanosleep(&pause, nullptr);
    }
    return true;
}

void Slots::unlockQueue() { ::flock(m_queueLock.get(), LOCK_UN); }

Status Slots::writeTicket(bool holding, const std::vector<int>& gpuIndices) {
    base::Json json = base::Json::object();
    json["format"] = kTicketFormat;
    json["version"] = kTicketVersion;
    json["state"] = holding ? "holding" : "waiting";
    json["run"] = m_request.label.substr(0, kMaxLabelBytes);
    json["cores"] = m_request.cores;
    json["gpus"] = m_request.gpus;
    json["gpu_indices"] = gpuIndices;
    json["priority"] = m_request.priority;
    json["since"] = m_request.since;
    if (const auto self = base::identify(::getpid())) json["agent"] = base::toJson(*self);
    std::string text = base::dumpJson(json);
    if (text.size() + 1 > kTicketBytes) return base::Error{"slots.ticket", "The slot ticket would be too long."};
    text.resize(kTicketBytes - 1, ' ');
    text += '\n';
    std::size_t done = 0;
    while (done < text.size()) {
        const ssize_t wrote =
            ::pwrite(m_ticket.get(), text.data() + done, text.size() - done, static_cast<off_t>(done));
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return base::errnoError(errno, "write", m_ticketPath);
        done += static_cast<std::size_t>(wrote);
    }
    return {};
}

Status Slots::openTicket() {
    m_ticketPath = m_folder / (m_request.ticket + kSuffix);
    const ForAll all;
    for (int attempt = 0; attempt < 2; ++attempt) {
        m_ticket.reset(::open(m_ticketPath.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644));
        const int error = errno;
        struct stat info {};
        if (m_ticket.valid() && ::fstat(m_ticket.get(), &info) == 0 && S_ISREG(info.st_mode) &&
            info.st_uid == ::geteuid()) {
            ::fchmod(m_ticket.get(), 0644);  // One that an older agent left was ours alone.
            return {};
        }
        m_ticket.reset();
        if (attempt > 0) return base::errnoError(error == 0 ? EACCES : error, "open", m_ticketPath);
        // Somebody else put something there under this name.
        m_ticketPath = m_folder / (m_request.ticket + "-" + base::newUuid7() + kSuffix);
    }
    return {};
}

Status Slots::enter(const SlotRequest& request) {
    if (!lockQueue()) return base::Error{"slots.busy", "The queue of this machine is being read by another agent."};
    m_request = request;
    if (const auto opened = openTicket(); !opened.ok()) {
        unlockQueue();
        return opened;
    }
    if (::flock(m_ticket.get(), LOCK_EX | LOCK_NB) != 0) {
        m_ticket.reset();
        unlockQueue();
        return base::Error{"slots.held",
                           "Another process holds this run's place in the queue: " + m_ticketPath.string()};
    }
    auto written = writeTicket(false, {});
    if (!written.ok()) {
        ::unlink(m_ticketPath.c_str());
        m_ticket.reset();
    }
    unlockQueue();
    return written;
}

Result<SlotAnswer> Slots::tryTake(std::int64_t now) {
    if (m_last.granted) return m_last;
    if (!m_ticket.valid()) return base::Error{"slots.ticket", "This run is not in the queue."};
    if (!lockQueue()) return m_last;
    auto others = readTickets(m_folder, m_cores, m_ticketPath.filename(), true);
    if (!others.ok()) {
        unlockQueue();
        return others.error();
    }
    SlotTicket own;
    own.name = m_request.ticket;
    own.priority = std::clamp(m_request.priority, -kMostPriority, kMostPriority);
    own.since = m_request.since;
    std::vector<SlotTicket> ahead;
    std::vector<SlotTicket> holders;
    std::vector<int> freeGpus;
    for (int index = 0; index < m_gpus; ++index) freeGpus.push_back(index);
    int busyCores = 0;
    for (const SlotTicket& ticket : *others) {
        if (ticket.holding) {
            busyCores = std::min(busyCores + ticket.cores, m_cores);
            for (const int index : ticket.gpuIndices) std::erase(freeGpus, index);
            holders.push_back(ticket);
        } else if (orderOf(ticket, now) < orderOf(own, now)) {
            ahead.push_back(ticket);
        }
    }
    SlotAnswer answer;
    const auto enoughGpus = [&] { return m_request.gpus <= static_cast<int>(freeGpus.size()); };
    const int busyGpus = m_gpus - static_cast<int>(freeGpus.size());
    if (!ahead.empty() || busyCores + m_request.cores > m_cores || !enoughGpus()) {
        answer.reason = explain(ahead, holders, busyCores, busyGpus);
    } else if (m_request.gpus > 0) {
        answer.reason = dropStrangers(freeGpus);
        if (!enoughGpus() && busyGpus > 0) answer.reason += "; " + explain(ahead, holders, busyCores, busyGpus);
    }
    if (ahead.empty() && busyCores + m_request.cores <= m_cores && enoughGpus()) {
        freeGpus.resize(static_cast<std::size_t>(m_request.gpus));
        const auto written = writeTicket(true, freeGpus);
        if (!written.ok()) {
            unlockQueue();
            return written.error();
        }
        answer.granted = true;
        answer.reason.clear();
        answer.gpuIndices = freeGpus;
    }
    unlockQueue();
    m_last = answer;
    return answer;
}

std::string Slots::dropStrangers(std::vector<int>& freeGpus) {
    const auto seen = m_look.recent(kGpuLookMillis);
    if (!seen) {
        freeGpus.clear();
        return "Looking whether somebody uses the GPUs";
    }
    std::string text;
    for (const Gpu& gpu : seen->gpus) {
        const auto process = std::find_if(seen->processes.begin(), seen->processes.end(),
                                          [&](const GpuProcess& one) { return one.uuid == gpu.uuid; });
        if (process == seen->processes.end() || std::erase(freeGpus, gpu.index) == 0) continue;
        const std::string name = Path(process->name).filename().string();
        text += (text.empty() ? "" : ", ") + ("GPU " + std::to_string(gpu.index)) + " is used by " +
                name.substr(0, kMaxLabelBytes) + " (process " + std::to_string(process->pid) +
                "), which holds no lease";
    }
    return text;
}

std::string Slots::explain(const std::vector<SlotTicket>& ahead, const std::vector<SlotTicket>& holders, int busyCores,
                           int busyGpus) const {
    std::string text =
        std::to_string(busyCores) + " of " + plural(m_cores, "core") + (busyCores == 1 ? " is" : " are") + " busy";
    if (m_request.gpus > 0) text += ", " + std::to_string(busyGpus) + " of " + plural(m_gpus, "GPU");
    const char* separator = ": ";
    for (const SlotTicket& holder : holders) {
        text += separator + ("run " + labelOf(holder)) + " (" + plural(holder.cores, "core");
        if (!holder.gpuIndices.empty()) text += ", " + plural(static_cast<int>(holder.gpuIndices.size()), "GPU");
        text += ")";
        separator = ", ";
    }
    text += "; this run asks for " + plural(m_request.cores, "core");
    if (m_request.gpus > 0) text += " and " + plural(m_request.gpus, "GPU");
    if (!ahead.empty()) {
        text += " and waits behind " + plural(static_cast<int>(ahead.size()), "run");
        separator = ": ";
        for (const SlotTicket& other : ahead) {
            text += separator + labelOf(other);
            separator = ", ";
        }
    }
    return text;
}

void Slots::leave() {
    if (!m_ticketPath.empty()) ::unlink(m_ticketPath.c_str());
    m_ticketPath.clear();
    m_ticket.reset();
    m_last = {};
}

void Slots::adopt(const SlotRequest& request, const std::vector<int>& gpuIndices) {
    m_request = request;
    m_last.granted = true;
    m_last.gpuIndices = gpuIndices;
    const bool locked = lockQueue();
    if (!openTicket().ok() || ::flock(m_ticket.get(), LOCK_EX | LOCK_NB) != 0 || !writeTicket(true, gpuIndices).ok()) {
        m_ticket.reset();
    }
    if (locked) unlockQueue();
}

}  // namespace trainyard::agent
