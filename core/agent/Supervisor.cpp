#include "core/agent/Supervisor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <ctime>

#include "core/base/Text.h"
#include "core/wire/EngineStatus.h"

namespace trainyard::agent {

namespace kind = wire::kind;

namespace {

constexpr std::int64_t kTickMillis = 250;
constexpr std::int64_t kLookNanos = 1'000'000'000;
constexpr std::int64_t kMinReasonNanos = 1'000'000'000;
/// Between two looks at the rank files, so that a rank that writes line by line costs a few wake-ups, not thousands.
constexpr std::int64_t kSpacingNanos = 15'000'000;

// The states that an agent reports, spelled as in core/spec/RunState.h, which this room does not include. "Finalizing" is
// SupervisorFinish.cpp's.
constexpr const char* kPreparing = "Preparing";
constexpr const char* kQueued = "Queued";
constexpr const char* kRunning = "Running";

/// "a3" or "n0" of the folder's path → 3 or 0, for an attempt whose plan cannot be read.
int numberBehind(const std::string& name, char letter, int fallback) {
    int value = fallback;
    if (name.size() > 1 && name[0] == letter) std::from_chars(name.data() + 1, name.data() + name.size(), value);
    return value;
}

/// A port that is free now on the loopback; 0 when there is none. It may be taken before the rank binds it, which is why
/// the engine binds its own.
int freePort() {
    const base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (!fd.valid() || ::bind(fd.get(), generic, length) != 0 || ::getsockname(fd.get(), generic, &length) != 0) return 0;
    return ntohs(address.sin_port);
}

void touch(const Path& path) {
    base::UniqueFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
}

}  // namespace

Result<SupervisorEnd> Supervisor::run() {
    auto resume = readOwnStream(m_layout, m_translator);
    if (!resume.ok()) return resume.error();
    m_resume = std::move(resume).value();
    if (m_resume.ended) {
        if (m_options.onStarted) m_options.onStarted();
        return SupervisorEnd::Done;
    }
    TRAINYARD_TRY(begin());
    const auto plan = readPlan();
    if (!m_resume.hasAttempt) writeAttempt(plan);
    if (!m_sink->flush()) return *m_sink->lastError();
    TRAINYARD_TRY(m_sink->sync());
    if (m_options.onStarted) m_options.onStarted();

    std::optional<Verdict> verdict;
    if (plan.ok()) {
        m_plan = *plan;
        verdict = prepare();
    } else {
        verdict = Verdict{"failed", plan.error().code, "The plan of this run cannot be used: " + plan.error().message};
    }
    if (!verdict && !m_leave) verdict = follow();
    if (m_leave) {
        m_sink->putNote("The agent was asked to stop; what runs goes on and can be taken up by another agent.");
        m_sink->flush();
        TRAINYARD_TRY(m_sink->sync());
        return SupervisorEnd::Left;
    }
    TRAINYARD_TRY(finalize(*verdict));
    return m_leave ? SupervisorEnd::Left : SupervisorEnd::Done;
}

Status Supervisor::begin() {
    for (const Path& folder : {m_layout.control(), m_layout.ranks(), m_layout.stream()}) {
        TRAINYARD_TRY(base::makeDirs(folder));
        TRAINYARD_TRY(base::checkOwnedByUs(folder));
    }
    TRAINYARD_TRY(reportIdentity());
    auto sink = StreamSink::open(m_layout);
    if (!sink.ok()) return sink.error();
    m_sink = std::move(sink).value();
    m_loop.watchControl(m_layout.control());
    m_loop.watchRanks(m_layout.ranks());
    return {};
}

Status Supervisor::reportIdentity() const {
    const auto self = base::identify(::getpid());
    if (!self) return base::Error{"agent.identity", "/proc does not know this process; is it mounted?"};
    Json json = Json::object();
    json["format"] = "trainyard.agent";
    json["version"] = 1;
    json["agent"] = TRAINYARD_VERSION;
    json["identity"] = base::toJson(*self);
    json["t"] = base::wallMicros();
    return replaceFile(m_layout.agent(), base::dumpJsonPretty(json));
}

Result<wire::Plan> Supervisor::readPlan() const {
    const auto text = base::readFile(m_layout.plan());
    if (!text.ok()) return text.error();
    const auto json = base::parseJson(*text);
    if (!json.ok()) return json.error();
    return wire::planFromJson(*json);
}

void Supervisor::writeAttempt(const Result<wire::Plan>& plan) {
    Json body = Json::object();
    if (plan.ok()) {
        body["run"] = plan->run.str();
        body["attempt"] = plan->attempt;
        body["node"] = plan->node;
        body["nodes"] = plan->nodes;
        body["world_size"] = plan->nodes * plan->processes;
    } else {
        body["attempt"] = numberBehind(m_layout.root.parent_path().filename().string(), 'a', 1);
        body["node"] = numberBehind(m_layout.root.filename().string(), 'n', 0);
    }
    body["host"] = m_machine.host;
    body["kernel"] = m_machine.kernel;
    body["cores"] = m_machine.cores;
    body["memory_bytes"] = m_machine.memoryBytes;
    body["gpus"] = m_machine.gpus;
    body["agent"] = TRAINYARD_VERSION;
    body["protocol"] = kAgentProtocol;
    if (const auto self = base::identify(::getpid())) body["identity"] = base::toJson(*self);
    m_sink->put(wire::kNoRank, kind::kAttempt, std::move(body));
}

std::optional<Supervisor::Verdict> Supervisor::refuse() const {
    if (m_plan.nodes > 1) {
        return Verdict{"failed", "agent.nodes",
                       "The plan asks for " + std::to_string(m_plan.nodes) + " nodes; this agent (version " +
                           TRAINYARD_VERSION + ") carries out plans of one node."};
    }
    if (m_plan.gpus > m_machine.gpus) {
        return Verdict{"failed", "agent.gpus",
                       "The run asks for " + std::to_string(m_plan.gpus) + " GPUs; " + m_machine.host + " has " +
                           std::to_string(m_machine.gpus) + "."};
    }
    if (const auto made = base::makeDirs(m_plan.outputsFolder); !made.ok()) {
        return Verdict{"failed", made.error().code, made.error().message};
    }
    return {};
}

std::optional<Supervisor::Verdict> Supervisor::prepare() {
    m_ranks.emplace(m_layout, m_plan);
    for (int rank = 0; rank < m_plan.processes; ++rank) {
        touch(m_layout.rankOut(rank));
        touch(m_layout.rankErr(rank));
        touch(m_layout.rankStream(rank));
        m_tails.emplace_back(m_layout, rank);
        for (const auto& [file, offset] : m_resume.offsets) m_tails.back().resumeAt(file, offset);
        if (const auto said = m_resume.lastWords.find(rank); said != m_resume.lastWords.end()) {
            m_tails.back().resumeWith(said->second);
        }
    }
    const bool wantedMore = m_plan.cores > m_machine.cores;
    const int wanted = m_plan.cores;
    m_plan.cores = std::min(m_plan.cores, m_machine.cores);
    if (m_resume.state.empty()) {
        m_sink->putState(kPreparing);
        if (wantedMore) {
            m_sink->putWarning(wire::kNoRank, "slots.cut",
                               "The run asks for " + std::to_string(wanted) + " cores; " + m_machine.host + " has " +
                                   std::to_string(m_machine.cores) + ", and it gets those.");
        }
    }
    if (auto refused = refuse()) return refused;
    auto slots = Slots::open(m_plan.slotsFolder, m_machine.cores, m_machine.gpus);
    if (!slots.ok()) return Verdict{"failed", slots.error().code, slots.error().message};
    m_slots.emplace(std::move(slots).value());

    if (const auto json = readJsonFile(launchFile(m_layout)); json.ok()) {
        if (auto launched = launchFromJson(*json); launched.ok()) m_launch = std::move(launched).value();
    }
    const bool wasRunning = m_resume.runningT > 0;
    if (m_launch || wasRunning) {
        if (!m_launch || m_launch->bootId != base::bootId()) {
            m_ranks->giveUpAfterReboot();
            return {};
        }
        if (!m_ranks->allEnded()) m_slots->adopt(slotRequest(), m_launch->gpus);
        // Killed between its decision and the record of it.
        if (m_resume.state.empty() || m_resume.state == kPreparing) m_sink->putState(kQueued, "Its slots are free");
        m_sink->putNote("The agent was started again and took over " + std::to_string(m_ranks->adopted()) + " of " +
                        std::to_string(m_plan.processes) + " ranks.");
        return launch(m_launch->gpus);
    }
    return waitForSlots();
}

SlotRequest Supervisor::slotRequest() const {
    SlotRequest request;
    request.ticket = m_plan.run.str() + "-a" + std::to_string(m_plan.attempt) + "-n" + std::to_string(m_plan.node);
    request.label = m_plan.runName.empty() ? m_plan.run.str() : m_plan.runName;
    request.cores = m_plan.cores;
    request.gpus = m_plan.gpus;
    request.priority = m_plan.priority;
    request.since = m_resume.hasAttempt ? m_resume.attemptT : m_sink->now();
    return request;
}

std::optional<Supervisor::Verdict> Supervisor::waitForSlots() {
    m_loop.watchSlots(m_plan.slotsFolder);
    const SlotRequest request = slotRequest();
    std::string shown;
    std::int64_t shownAt = 0;
    bool entered = false;
    while (true) {
        if (auto stop = canceled()) {
            stop->reason = "The run was canceled while it waited for its turn.";
            return stop;
        }
        if (auto full = diskFull()) return full;
        std::string reason = "Another agent is reading the queue";
        if (!entered) {
            const auto taken = m_slots->enter(request);
            entered = taken.ok();
            if (!entered && taken.error().code != "slots.busy" && taken.error().code != "slots.held") {
                return Verdict{"failed", taken.error().code, taken.error().message};
            }
        }
        if (entered) {
            const auto answer = m_slots->tryTake(m_sink->now());
            if (!answer.ok()) return Verdict{"failed", answer.error().code, answer.error().message};
            if (answer->granted) {
                if (shown.empty()) m_sink->putState(kQueued, "Its slots are free");
                m_loop.unwatchSlots();
                return launch(answer->gpuIndices);
            }
            if (!answer->reason.empty()) reason = answer->reason;
        }
        const std::int64_t now = base::monotonicNanos();
        if (reason != shown && (shownAt == 0 || now - shownAt >= kMinReasonNanos)) {
            m_sink->putState(kQueued, reason);
            shown = reason;
            shownAt = now;
        }
        m_sink->flush();
        m_sink->syncIfDue();
        const Events events = m_loop.wait(entered ? kTickMillis : 20);
        m_controlTouched = m_controlTouched || events.control;
        if (events.terminate) {
            m_leave = true;
            return {};
        }
    }
}

std::optional<Supervisor::Verdict> Supervisor::launch(const std::vector<int>& gpus) {
    if (!m_launch) {
        Launch decided;
        decided.masterPort = m_plan.engine ? 0 : freePort();
        decided.cores = m_plan.cores;
        decided.gpus = gpus;
        decided.bootId = base::bootId();
        decided.t = m_sink->now();
        if (const auto written = replaceFile(launchFile(m_layout), base::dumpJsonPretty(toJson(decided)));
            !written.ok()) {
            return Verdict{"failed", written.error().code, written.error().message};
        }
        m_launch = decided;
    }
    m_ranks->startMissing(m_slots->ticketFd());
    if (m_resume.runningT == 0) m_sink->putState(kRunning);
    m_runningT = m_resume.runningT != 0 ? m_resume.runningT : m_sink->now();
    return {};
}

Supervisor::Verdict Supervisor::follow() {
    m_system.emplace(m_layout.root);
    std::optional<Verdict> verdict;
    std::int64_t lastDrain = 0;
    std::int64_t lastLook = 0;
    bool news = true;
    while (true) {
        // Ranks first, files second: all that an ended rank wrote is then there to be read.
        if (news || base::monotonicNanos() - lastLook >= kTickMillis * 1'000'000) {
            m_ranks->look();
            lastLook = base::monotonicNanos();
        }
        // What came first counts: a rank that failed by itself is not made a canceled run by a late cancel.
        const bool failed = m_ranks->failedByItself();
        if (!verdict && !failed) verdict = canceled();
        if (!verdict && !failed) verdict = timeLimit();
        if (!verdict && (verdict = diskFull())) m_giveUpOnDisk = true;
        if (verdict || m_ranks->anyFailed()) m_ranks->stop();
        lastDrain = base::monotonicNanos();
        watchDisk();
        drainTails();
        sampleSystem();
        if (m_giveUpOnDisk && m_ranks->allEnded()) m_sink->dropBallast();
        m_sink->flush();
        m_sink->syncIfDue();
        if (m_ranks->allEnded() && (tailsFinished() || (m_giveUpOnDisk && m_sink->blockedNanos() > 0))) break;

        const bool again = m_moreToRead && m_sink->mayTakeMore();
        Events events = m_loop.wait(again ? 0 : kTickMillis);
        m_controlTouched = m_controlTouched || events.control;
        const std::int64_t since = base::monotonicNanos() - lastDrain;
        if (!again && !events.terminate && since < kSpacingNanos) {
            const timespec pause{0, static_cast<long>(kSpacingNanos - since)};
            ::nanosleep(&pause, nullptr);
            const Events late = m_loop.wait(0);
            m_controlTouched = m_controlTouched || late.control;
            events.terminate = late.terminate;
            events.notes = events.notes || late.notes;
            events.child = events.child || late.child;
        }
        news = events.notes || events.child;
        if (events.terminate) {
            m_leave = true;
            return {};
        }
    }
    return verdict ? *verdict : judgeRanks();
}

std::optional<Supervisor::Verdict> Supervisor::engineVerdict(int rank, int status) {
    const std::string who = "Rank " + std::to_string(rank);
    switch (status) {
    case wire::engine_status::kNotFinite:
        return Verdict{"failed", "train.nan", who + " met a loss that is no finite number."};
    case wire::engine_status::kPeer: return Verdict{"failed", "train.peer", who + " lost touch with another rank."};
    case wire::engine_status::kDisk:
        return Verdict{"failed", "file.full", who + " could not write its files; the disk is full or was."};
    case wire::engine_status::kMemory: return Verdict{"failed", "engine.memory", who + " ran out of memory."};
    default: return {};
    }
}

Supervisor::Verdict Supervisor::judgeRanks() const {
    const auto culprit = m_ranks->culprit();
    const int count = m_ranks->count();
    if (!culprit) {
        if (const std::string& said = m_tails.front().lastWords().conclusion; !said.empty()) {
            return {"completed", {}, said};
        }
        return {"completed", {}, count == 1 ? "The command ended with exit status 0."
                                            : "All " + std::to_string(count) + " ranks ended with exit status 0."};
    }
    const RankExit& exit = *m_ranks->exitOf(*culprit);
    if (const LastWords& said = m_tails[static_cast<std::size_t>(*culprit)].lastWords(); !said.failure.empty()) {
        const std::string who = count > 1 ? "Rank " + std::to_string(*culprit) + ": " : std::string();
        return {"failed", said.code.empty() ? "rank.exit" : said.code, who + said.failure};
    }
    if (m_plan.engine && exit.kind == RankExit::Kind::Exited) {
        // Its last words were lost, most likely to a full disk; the status still tells the kind of trouble.
        if (auto verdict = engineVerdict(*culprit, exit.code)) return *verdict;
    }
    std::string reason = describe(*culprit, exit, m_plan.graceSeconds) + ".";
    reason[0] = 'R';
    const char* code = "rank.exit";
    if (exit.kind == RankExit::Kind::Signaled) code = "rank.signal";
    if (exit.kind == RankExit::Kind::NotStarted) code = "rank.spawn";
    if (exit.kind == RankExit::Kind::Vanished) code = "rank.lost";
    return {"failed", code, reason};
}

void Supervisor::drainTails() {
    m_moreToRead = false;
    const bool dropLogs = m_dropLogs || m_giveUpOnDisk;
    for (int rank = 0; rank < m_ranks->count(); ++rank) {
        RankTail& tail = m_tails[static_cast<std::size_t>(rank)];
        if (tail.finished()) continue;
        m_moreToRead = tail.drain(*m_sink, m_translator, dropLogs) || m_moreToRead;
        if (m_ranks->exitOf(rank)) {
            if (tail.atEnd()) {
                tail.finish(*m_sink, m_translator, dropLogs);
            } else {
                m_moreToRead = true;
            }
        }
    }
}

bool Supervisor::tailsFinished() const {
    return std::all_of(m_tails.begin(), m_tails.end(), [](const RankTail& tail) { return tail.finished(); });
}

void Supervisor::watchDisk() {
    const std::int64_t now = base::monotonicNanos();
    if (m_lastDiskLook != 0 && now - m_lastDiskLook < kLookNanos) return;
    m_lastDiskLook = now;
    const auto space = base::diskSpace(m_layout.root);
    m_dropLogs = space.ok() && space->freeBytes < m_plan.diskReserveBytes;
}

void Supervisor::sampleSystem() {
    const std::int64_t now = base::monotonicNanos();
    if (m_lastSample != 0 && now - m_lastSample < m_plan.systemIntervalMillis * 1'000'000) return;
    // Not while the disk is full: these would fill the queue that metrics need.
    if (m_ranks->allEnded() || m_sink->blockedNanos() > 0) return;
    m_lastSample = now;
    Json body = Json::object();
    body["values"] = m_system->sample(m_ranks->shimPids());
    m_sink->put(wire::kNoRank, kind::kSystem, std::move(body));
}

std::optional<Supervisor::Verdict> Supervisor::canceled() {
    const std::int64_t now = base::monotonicNanos();
    if (!m_controlTouched && now - m_lastCancelLook < kLookNanos) return {};
    m_controlTouched = false;
    m_lastCancelLook = now;
    std::error_code ignored;
    if (!std::filesystem::exists(m_layout.control() / wire::control::kCancel, ignored)) return {};
    return Verdict{"canceled", "run.canceled", "The run was canceled."};
}

std::optional<Supervisor::Verdict> Supervisor::timeLimit() const {
    if (m_plan.maxSeconds <= 0 || m_sink->now() - m_runningT < m_plan.maxSeconds * 1'000'000) return {};
    // Ended in time; unless an agent before this one had stopped them, for which there is no other cause left.
    if (m_ranks->allEnded() && !m_ranks->anyFailed()) return {};
    return Verdict{"failed", "run.time_limit",
                   "The time limit of " + base::formatDuration(m_plan.maxSeconds * 1'000'000'000) + " was reached."};
}

std::optional<Supervisor::Verdict> Supervisor::diskFull() const {
    if (m_sink->blockedNanos() < m_options.diskFullMillis * 1'000'000) return {};
    const base::Error& error = *m_sink->lastError();
    if (error.code == "file.full") {
        return Verdict{"failed", "disk.full",
                       "The disk that holds the run's folder is full; everything reported until then is kept."};
    }
    return Verdict{"failed", "agent.stream", "The run's stream cannot be written. " + error.message};
}

}  // namespace trainyard::agent
