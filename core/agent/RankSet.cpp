#include "core/agent/RankSet.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <set>
#include <tuple>

#include "core/agent/Container.h"
#include "core/agent/ProcessTree.h"

namespace trainyard::agent {

namespace {

/// A shim that has not said a word by then did not come up.
constexpr std::int64_t kStartMillis = 20'000;
constexpr std::int64_t kMpiStartMillis = 120'000;
constexpr std::int64_t kSweepMillis = 5000;
constexpr std::int64_t kContainerMillis = 15'000;
/// Beyond the grace time, for a shim to end its rank and say so, before the agent does it itself.
constexpr std::int64_t kShimMillis = 25'000;

}  // namespace

RankSet::RankSet(const NodeLayout& layout, const wire::Plan& plan)
    : m_layout(layout), m_plan(plan), m_ranks(static_cast<std::size_t>(plan.processes)) {
    for (int index = 0; index < count(); ++index) readNotes(index);
}

pid_t RankSet::startShim(int rank, int ticketFd) const {
    // Everything that allocates happens before fork.
    const std::string program = (base::executableFolder() / "trainyard-agent").string();
    const std::string folder = m_layout.root.string();
    const std::string number = std::to_string(rank);
    const std::string log = m_layout.agentLog().string();
    std::array<const char*, 5> arguments{"trainyard-agent", "shim", folder.c_str(), number.c_str(), nullptr};
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    ::setsid();
    const int in = ::open("/dev/null", O_RDWR);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(in, 0);
    ::dup2(out >= 0 ? out : in, 1);
    ::dup2(out >= 0 ? out : in, 2);
    if (in > 2) ::close(in);
    if (out > 2) ::close(out);
    if (ticketFd >= 0) ::fcntl(ticketFd, F_SETFD, 0);
    ::execv(program.c_str(), const_cast<char* const*>(arguments.data()));
    ::execv("/proc/self/exe", const_cast<char* const*>(arguments.data()));  // The file was moved since we started.
    ::_exit(127);
}

void RankSet::forgetFirst() {
    std::error_code ignored;
    std::filesystem::remove(m_layout.rankExit(0), ignored);
    reapChildren();
    m_ranks.front() = Rank{};
}

void RankSet::startMissing(int ticketFd, int most) {
    for (int index = 0; index < std::min(count(), most); ++index) {
        Rank& rank = m_ranks[static_cast<std::size_t>(index)];
        if (rank.note || rank.exit || (rank.child > 0 && !rank.childGone)) continue;
        if (m_plan.distribution == "mpi") {  // MPI's launcher starts them.
            rank.startBy = base::Deadline::inMillis(kMpiStartMillis);
            continue;
        }
        rank.child = startShim(index, ticketFd);
        rank.childGone = rank.child < 0;
        rank.startBy = base::Deadline::inMillis(kStartMillis);
    }
}

void RankSet::giveUpAfterReboot() {
    for (Rank& rank : m_ranks) {
        if (rank.exit) continue;
        RankExit exit;
        exit.kind = RankExit::Kind::Vanished;
        exit.message = "the machine was restarted while it ran";
        exit.t = base::wallMicros();
        rank.exit = exit;
    }
}

void RankSet::reapChildren() {
    while (true) {
        const pid_t pid = ::waitpid(-1, nullptr, WNOHANG);
        if (pid < 0 && errno == EINTR) continue;
        if (pid <= 0) return;
        for (Rank& rank : m_ranks) rank.childGone = rank.childGone || rank.child == pid;
    }
}

void RankSet::readNotes(int index) {
    Rank& rank = m_ranks[static_cast<std::size_t>(index)];
    if (!rank.note) {
        if (const auto json = readJsonFile(m_layout.rankShim(index)); json.ok()) {
            if (auto note = shimNoteFromJson(*json); note.ok()) rank.note = std::move(note).value();
        }
    }
    if (!rank.exit) {
        if (const auto json = readJsonFile(m_layout.rankExit(index)); json.ok()) {
            if (auto exit = rankExitFromJson(*json); exit.ok()) {
                rank.exit = std::move(exit).value();
            } else {
                vanish(rank, "what its shim wrote about its end cannot be read");
            }
        }
    }
}

void RankSet::look() {
    reapChildren();
    for (int index = 0; index < count(); ++index) lookAt(index);
}

void RankSet::lookAt(int index) {
    Rank& rank = m_ranks[static_cast<std::size_t>(index)];
    if (rank.exit) return;
    if (rank.vanished) {
        sweep(rank);
        return;
    }
    // Liveness first, files second: a shim writes its files before it ends, so what is missing then stays missing.
    const auto alive = rank.note ? base::liveness(rank.note->shim) : base::Liveness::Alive;
    const bool childGone = rank.childGone;
    readNotes(index);
    if (rank.exit || rank.vanished) return;
    if (rank.note) {
        if (alive == base::Liveness::OtherBoot) {
            vanish(rank, "the machine was restarted while it ran");
        } else if (alive == base::Liveness::Gone) {
            vanish(rank, "the process that watched over it was killed, so its exit status is unknown");
        }
    } else if (rank.child < 0 && rank.childGone) {
        vanish(rank, "no process could be made for it");
    } else if (rank.startBy && (rank.startBy->passed() || (childGone && rank.child > 0))) {
        // A shim that finds another one of its rank ends without a word; then the other's note appears.
        if (rank.startBy->passed()) {
            vanish(rank, "the process that watches over it did not come up");
        } else if (childGone) {
            rank.child = -1;
            rank.childGone = false;
            rank.startBy = base::Deadline::inMillis(2000);
        }
    }
}

void RankSet::vanish(Rank& rank, std::string message) {
    rank.vanished = std::move(message);
    rank.sweepUntil = base::Deadline::inMillis(kSweepMillis);
    std::vector<std::string> wrap = m_plan.environment.wrap;
    const int index = static_cast<int>(&rank - m_ranks.data());
    if (const auto container = containerIn(wrap, containerName(m_plan, index))) {
        ChildSpec spec;
        spec.argv = removalOf(*container);
        spec.pipeErr = false;
        spec.pipeOut = true;  // Its end tells the program's end.
        if (auto child = Child::start(spec); child.ok()) {
            rank.removal.emplace(std::move(child).value());
            rank.sweepUntil = base::Deadline::inMillis(kContainerMillis);
        }
    }
    sweep(rank);
}

/// The rank itself died with its shim (PR_SET_PDEATHSIG); what it had started did not.
void RankSet::sweep(Rank& rank) {
    bool left = false;
    if (rank.note) left = signalProcess(rank.note->process, SIGKILL);
    std::set<pid_t> spared;
    const auto spare = [&spared](pid_t shim) {
        spared.insert(shim);
        for (const pid_t pid : descendantsOf(shim)) spared.insert(pid);
    };
    // What the shim left behind came to us (we are a subreaper too), unless an earlier agent had started it.
    std::vector<pid_t> candidates = descendantsOf(::getpid());
    for (const pid_t pid : processesOfRun(m_plan.run.str(), m_plan.attempt)) candidates.push_back(pid);
    if (!candidates.empty()) {
        for (const pid_t shim : shimPids()) spare(shim);
        for (const Rank& other : m_ranks) {
            if (other.child > 0 && !other.childGone) spare(other.child);
            if (other.removal) spare(other.removal->pid());
        }
    }
    for (const pid_t pid : candidates) {
        if (spared.contains(pid)) continue;
        ::kill(pid, SIGKILL);
        left = true;
    }
    if (rank.removal) {
        std::string said;
        left = readAvailable(rank.removal->out.get(), said) || left;
    }
    if (left && !rank.sweepUntil->passed()) return;
    rank.removal.reset();
    RankExit exit;
    exit.kind = RankExit::Kind::Vanished;
    exit.message = *rank.vanished;
    exit.stopped = rank.asked;
    exit.t = base::wallMicros();
    rank.exit = exit;
}

bool RankSet::anyBegun() const {
    return std::any_of(m_ranks.begin(), m_ranks.end(), [](const Rank& rank) { return rank.note || rank.exit; });
}

void RankSet::giveUpNotBegun(const std::string& message) {
    for (Rank& rank : m_ranks) {
        if (rank.note || rank.exit) continue;
        RankExit exit;
        exit.kind = RankExit::Kind::NotStarted;
        exit.message = message;
        exit.stopped = true;
        exit.t = base::wallMicros();
        rank.exit = exit;
    }
}

void RankSet::stop() {
    if (!m_forceAfter) m_forceAfter = base::Deadline::inMillis(m_plan.graceSeconds * 1000 + kShimMillis);
    for (Rank& rank : m_ranks) {
        if (rank.exit || !rank.note) continue;
        if (!rank.asked) {
            rank.asked = true;
            signalProcess(rank.note->shim, SIGTERM);
        } else if (m_forceAfter->passed() && !rank.vanished) {
            for (const pid_t pid : descendantsOf(static_cast<pid_t>(rank.note->shim.pid))) ::kill(pid, SIGKILL);
            signalProcess(rank.note->shim, SIGKILL);
        }
    }
}

bool RankSet::allEnded() const {
    return std::all_of(m_ranks.begin(), m_ranks.end(), [](const Rank& rank) { return rank.exit.has_value(); });
}

bool RankSet::anyFailed() const {
    return std::any_of(m_ranks.begin(), m_ranks.end(),
                       [](const Rank& rank) { return rank.vanished || (rank.exit && !rank.exit->succeeded()); });
}

bool RankSet::failedByItself() const {
    return std::any_of(m_ranks.begin(), m_ranks.end(), [](const Rank& rank) {
        return (rank.vanished && !rank.asked) || (rank.exit && !rank.exit->succeeded() && !rank.exit->stopped);
    });
}

std::optional<int> RankSet::culprit() const {
    // A vanished rank is noticed late, when others have perhaps failed already for want of it: it comes first.
    const auto order = [](const RankExit& exit) {
        return std::tuple(exit.stopped, exit.kind != RankExit::Kind::Vanished, exit.t);
    };
    std::optional<int> first;
    for (int index = 0; index < count(); ++index) {
        const auto& exit = exitOf(index);
        if (!exit || exit->succeeded()) continue;
        if (!first || order(*exit) < order(*exitOf(*first))) first = index;
    }
    return first;
}

int RankSet::adopted() const {
    return static_cast<int>(std::count_if(m_ranks.begin(), m_ranks.end(), [](const Rank& rank) {
        return rank.child < 0 && rank.note && !rank.exit && base::liveness(rank.note->shim) == base::Liveness::Alive;
    }));
}

std::vector<pid_t> RankSet::shimPids() const {
    std::vector<pid_t> pids;
    for (const Rank& rank : m_ranks) {
        if (rank.note && !rank.exit && !rank.vanished) pids.push_back(static_cast<pid_t>(rank.note->shim.pid));
    }
    return pids;
}

Json RankSet::started() const {
    Json list = Json::array();
    for (int index = 0; index < count(); ++index) {
        const Rank& rank = m_ranks[static_cast<std::size_t>(index)];
        if (!rank.note && !rank.exit) return {};
        if (rank.note)
            list.push_back({{"rank", m_plan.node * m_plan.processes + index}, {"pid", rank.note->process.pid}});
    }
    return list;
}

Json RankSet::describeAll() const {
    Json list = Json::array();
    for (int index = 0; index < count(); ++index) {
        const auto& exit = exitOf(index);
        if (!exit) continue;
        Json item = Json::object();
        item["rank"] = m_plan.node * m_plan.processes + index;
        if (exit->kind == RankExit::Kind::Exited) item["exit"] = exit->code;
        if (exit->kind == RankExit::Kind::Signaled) {
            item["signal"] = exit->code;
            item["core"] = exit->coreDumped;
        }
        if (!exit->succeeded())
            item["reason"] = describe(m_plan.node * m_plan.processes + index, *exit, m_plan.graceSeconds);
        if (exit->stopped) item["stopped"] = true;
        if (exit->kind == RankExit::Kind::Vanished) item["lost"] = true;
        item["t"] = exit->t;
        list.push_back(std::move(item));
    }
    return list;
}

}  // namespace trainyard::agent
