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

#include "core/base/Clock.h"
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

std::string plural(int count, const char* noun) {
    return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

}  // namespace

struct Slots::Ticket {
    std::string name;
    std::string label;
    int cores = 0;
    std::vector<int> gpuIndices;  ///< Held.
    std::int64_t priority = 0;
    std::int64_t since = 0;
    bool holding = false;
    bool readable = true;

    [[nodiscard]] auto order(std::int64_t now) const {
        return std::tuple(-(priority + std::max<std::int64_t>(0, now - since) / kAgingMicros), since, std::string_view(name));
    }
};

Result<Slots> Slots::open(const Path& folder, int machineCores, int machineGpus) {
    TRAINYARD_TRY(base::makeDirs(folder));
    TRAINYARD_TRY(base::checkOwnedByUs(folder));
    Slots slots;
    slots.m_folder = folder;
    slots.m_cores = machineCores;
    slots.m_gpus = machineGpus;
    const Path lock = folder / "slots.lock";
    slots.m_queueLock.reset(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!slots.m_queueLock.valid()) return base::errnoError(errno, "open", lock);
    return slots;
}

Slots::Slots(Slots&& other) noexcept
    : m_folder(std::move(other.m_folder)), m_cores(other.m_cores), m_gpus(other.m_gpus),
      m_queueLock(std::move(other.m_queueLock)), m_ticket(std::move(other.m_ticket)),
      m_ticketPath(std::move(other.m_ticketPath)), m_request(std::move(other.m_request)), m_last(std::move(other.m_last)) {
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
        const ssize_t wrote = ::pwrite(m_ticket.get(), text.data() + done, text.size() - done, static_cast<off_t>(done));
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return base::errnoError(errno, "write", m_ticketPath);
        done += static_cast<std::size_t>(wrote);
    }
    return {};
}

Status Slots::enter(const SlotRequest& request) {
    if (!lockQueue()) return base::Error{"slots.busy", "The queue of this machine is being read by another agent."};
    m_request = request;
    m_ticketPath = m_folder / (request.ticket + kSuffix);
    m_ticket.reset(::open(m_ticketPath.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!m_ticket.valid()) {
        const auto error = base::errnoError(errno, "open", m_ticketPath);
        unlockQueue();
        return error;
    }
    if (::flock(m_ticket.get(), LOCK_EX | LOCK_NB) != 0) {
        m_ticket.reset();
        unlockQueue();
        return base::Error{"slots.held", "Another process holds this run's place in the queue: " + m_ticketPath.string()};
    }
    auto written = writeTicket(false, {});
    if (!written.ok()) {
        ::unlink(m_ticketPath.c_str());
        m_ticket.reset();
    }
    unlockQueue();
    return written;
}

Result<std::vector<Slots::Ticket>> Slots::readOthers() {
    std::vector<Ticket> tickets;
    std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(m_folder.c_str()), &::closedir);
    if (!dir) return base::errnoError(errno, "read", m_folder);
    while (const dirent* entry = ::readdir(dir.get())) {
        const std::string_view file = entry->d_name;
        if (!file.ends_with(kSuffix) || m_ticketPath.filename() == file) continue;
        const Path path = m_folder / file;
        base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        if (!fd.valid()) continue;
        if (::flock(fd.get(), LOCK_SH | LOCK_NB) == 0) {
            ::unlink(path.c_str());  // Its holder is dead.
            continue;
        }
        Ticket ticket;
        ticket.name = std::string(file.substr(0, file.size() - std::string_view(kSuffix).size()));
        std::string text(kTicketBytes, '\0');
        const ssize_t got = ::pread(fd.get(), text.data(), text.size(), 0);
        text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        const auto json = base::parseJson(base::trim(text));
        if (json.ok() && base::checkFormat(*json, kTicketFormat, kTicketVersion).ok()) {
            base::ObjectReader reader(*json, "");
            ticket.label = reader.string("run");
            ticket.cores = static_cast<int>(reader.integer("cores"));
            ticket.priority = reader.integer("priority");
            ticket.since = reader.integer("since");
            ticket.holding = reader.string("state") == "holding";
            for (const base::Json& index : reader.array("gpu_indices")) {
                if (index.is_number_integer()) ticket.gpuIndices.push_back(index.get<int>());
            }
            ticket.readable = reader.status(false).ok();
        } else {
            ticket.readable = false;
        }
        if (!ticket.readable) {
            // A live process holds it and what it holds is unknown (a newer agent, say): count the whole machine.
            ticket.holding = true;
            ticket.cores = m_cores;
            ticket.label = ticket.name + ", whose ticket cannot be read";
        }
        if (ticket.label.empty()) ticket.label = ticket.name;
        tickets.push_back(std::move(ticket));
    }
    return tickets;
}

Result<SlotAnswer> Slots::tryTake(std::int64_t now) {
    if (m_last.granted) return m_last;
    if (!m_ticket.valid()) return base::Error{"slots.ticket", "This run is not in the queue."};
    if (!lockQueue()) return m_last;
    auto others = readOthers();
    if (!others.ok()) {
        unlockQueue();
        return others.error();
    }
    Ticket own;
    own.name = m_request.ticket;
    own.priority = m_request.priority;
    own.since = m_request.since;
    std::vector<Ticket> ahead;
    std::vector<Ticket> holders;
    std::vector<int> freeGpus;
    for (int index = 0; index < m_gpus; ++index) freeGpus.push_back(index);
    int busyCores = 0;
    for (const Ticket& ticket : *others) {
        if (ticket.holding) {
            busyCores += ticket.cores;
            for (const int index : ticket.gpuIndices) std::erase(freeGpus, index);
            holders.push_back(ticket);
        } else if (ticket.order(now) < own.order(now)) {
            ahead.push_back(ticket);
        }
    }
    SlotAnswer answer;
    const bool fits = busyCores + m_request.cores <= m_cores && m_request.gpus <= static_cast<int>(freeGpus.size());
    if (ahead.empty() && fits) {
        freeGpus.resize(static_cast<std::size_t>(m_request.gpus));
        const auto written = writeTicket(true, freeGpus);
        if (!written.ok()) {
            unlockQueue();
            return written.error();
        }
        answer.granted = true;
        answer.gpuIndices = freeGpus;
    } else {
        answer.reason = explain(ahead, holders, busyCores, m_gpus - static_cast<int>(freeGpus.size()));
    }
    unlockQueue();
    m_last = answer;
    return answer;
}

std::string Slots::explain(const std::vector<Ticket>& ahead, const std::vector<Ticket>& holders, int busyCores,
                           int busyGpus) const {
    std::string text = std::to_string(busyCores) + " of " + plural(m_cores, "core") + (busyCores == 1 ? " is" : " are") +
                       " busy";
    if (m_request.gpus > 0) text += ", " + std::to_string(busyGpus) + " of " + plural(m_gpus, "GPU");
    const char* separator = ": ";
    for (const Ticket& holder : holders) {
        text += separator + ("run " + holder.label) + " (" + plural(holder.cores, "core") + ")";
        separator = ", ";
    }
    text += "; this run asks for " + plural(m_request.cores, "core");
    if (m_request.gpus > 0) text += " and " + plural(m_request.gpus, "GPU");
    if (!ahead.empty()) {
        text += " and waits behind " + plural(static_cast<int>(ahead.size()), "run");
        separator = ": ";
        for (const Ticket& other : ahead) {
            text += separator + other.label;
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
    m_ticketPath = m_folder / (request.ticket + kSuffix);
    m_last.granted = true;
    m_last.gpuIndices = gpuIndices;
    const bool locked = lockQueue();
    m_ticket.reset(::open(m_ticketPath.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (m_ticket.valid() && (::flock(m_ticket.get(), LOCK_EX | LOCK_NB) != 0 || !writeTicket(true, gpuIndices).ok())) {
        m_ticket.reset();
    }
    if (locked) unlockQueue();
}

}  // namespace trainyard::agent
