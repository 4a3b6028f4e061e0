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

#include "core/agent/NextAttempt.h"
#include "core/agent/Prepare.h"
#include "core/base/Text.h"
#include "core/wire/EngineStatus.h"

namespace trainyard::agent {

namespace kind = wire::kind;

namespace {

constexpr std::int64_t kTickMillis = 250;
constexpr std::int64_t kLookNanos = 1'000'000'000;
constexpr std::int64_t kPulseNanos = 50'000'000;
constexpr std::int64_t kFirstMillis = 10;
constexpr std::int64_t kMinReasonNanos = 1'000'000'000;
/// Between two looks at the rank files, so that a rank that writes line by line costs a few wake-ups, not thousands.
constexpr std::int64_t kSpacingNanos = 15'000'000;

// The states that an agent reports, spelled as in core/spec/RunState.h, which this room does not include. "Finalizing"
// is SupervisorFinish.cpp's.
constexpr const char* kPreparing = "Preparing";
constexpr const char* kQueued = "Queued";
constexpr const char* kRunning = "Running";

/// "a3" or "n0" of the folder's path → 3 or 0, for an attempt whose plan cannot be read.
int numberBehind(const std::string& name, char letter, int fallback) {
    int value = fallback;
    if (name.size() > 1 && name[0] == letter) std::from_chars(name.data() + 1, name.data() + name.size(), value);
    return value;
}

constexpr int kFirstPort = 20'000;  // Below the ports that the kernel gives to outgoing connections.
constexpr int kPorts = 12'000;
constexpr int kPortTries = 200;

/// A port that is free now at this address; 0 when there is none. It may be taken before the rank binds it, which is
/// why the engine binds its own, and why rank 0's shim looks once more.
int freePort(const std::string& address) {
    std::uint32_t number =
        static_cast<std::uint32_t>(base::monotonicNanos() / 1000) ^ (static_cast<std::uint32_t>(::getpid()) << 16);
    for (int i = 0; i < kPortTries; ++i) {
        number = number * 1664525U + 1013904223U;
        const int port = kFirstPort + static_cast<int>((number >> 8) % kPorts);
        const auto place = wire::numericAddress(address, port);
        if (!place.ok()) return 0;
        const base::UniqueFd fd(::socket(place->family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (fd.valid() && ::bind(fd.get(), place->generic(), place->length) == 0) return port;
    }
    return 0;
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
    if (verdict->code == "scheduler.ended") {
        // The scheduler knows what this was and what follows: another attempt, or the run's end.
        if (m_hub) order("stop");
        m_sink->flush();
        TRAINYARD_TRY(m_sink->sync());
        removeLocalRanks(m_layout);
        return SupervisorEnd::Left;
    }
    decideRestart(*verdict);
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
    json["host"] = m_machine.host;  // a login node that looks here is another one
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
    if (m_plan.nodes > 1 && m_plan.token.size() < 16) {
        return Verdict{"failed", "agent.token",
                       "The plan asks for " + std::to_string(m_plan.nodes) +
                           " nodes, but has no token by which they know each other."};
    }
    if (m_plan.distribution == "mpi" && m_plan.scheduler != (m_plan.launcher == "srun")) {
        return Verdict{
            "failed", "agent.mpi",
            m_plan.scheduler
                ? "In a scheduler's job MPI's ranks are started by srun; choose srun or Automatic as the MPI launcher."
                : "srun starts MPI's ranks in a Slurm job alone; choose mpirun or Automatic as the MPI launcher."};
    }
    if (m_plan.distribution == "mpi" && m_plan.scheduler) {
        if (const auto kind = srunMpi(); !kind.ok()) return Verdict{"failed", kind.error().code, kind.error().message};
    }
    if (!m_plan.scheduler && m_plan.gpus > m_machine.gpus) {
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
        const int global = m_plan.node * m_plan.processes + rank;
        m_tails.emplace_back(m_layout, rank, global);
        m_tails.back().maskWith(&m_masker);
        if (const auto wrong = m_tails.back().findWith(m_plan.patterns, m_translator); wrong && rank == 0) {
            m_sink->putWarning(wire::kNoRank, wrong->code, "A pattern for metrics is left out. " + wrong->message);
        }
        for (const auto& [file, offset] : m_resume.offsets) m_tails.back().resumeAt(file, offset);
        if (const auto said = m_resume.lastWords.find(global); said != m_resume.lastWords.end()) {
            m_tails.back().resumeWith(said->second);
        }
    }
    if (m_plan.cores == 0) m_plan.cores = std::min(m_plan.processes, m_machine.cores);
    const bool wantedMore = m_plan.cores > m_machine.cores;
    const int wanted = m_plan.cores;
    m_plan.cores = std::min(m_plan.cores, m_machine.cores);
    if (m_resume.state.empty()) {
        putState(kPreparing);
        if (wantedMore) {
            m_sink->putWarning(wire::kNoRank, "slots.cut",
                               "The run asks for " + std::to_string(wanted) + " cores; " + m_machine.host + " has " +
                                   std::to_string(m_machine.cores) + ", and it gets those.");
        }
    }
    if (auto refused = refuse()) return refused;
    if (!m_plan.scheduler) {
        auto slots = Slots::open(m_plan.slotsFolder, m_machine.cores, m_machine.gpus);
        if (!slots.ok()) return Verdict{"failed", slots.error().code, slots.error().message};
        m_slots.emplace(std::move(slots).value());
    }
    if (auto bad = openLinks()) return bad;

    if (const auto json = readJsonFile(launchFile(m_layout)); json.ok()) {
        if (auto launched = launchFromJson(*json); launched.ok()) m_launch = std::move(launched).value();
    }
    const bool wasRunning = m_resume.runningT > 0;
    if (auto bad = takeSecrets()) {
        if (!m_launch && !wasRunning) return bad;
        m_sink->putWarning(wire::kNoRank, bad->code, bad->reason + " It is not taken out of the logs any more.");
    }
    if (m_launch || wasRunning) {
        if (!m_launch || m_launch->bootId != base::bootId()) {
            m_ranks->giveUpAfterReboot();
            return {};
        }
        m_adopted = true;
        holdEnvironment();
        if (m_slots && !m_ranks->allEnded()) m_slots->adopt(slotRequest(), m_launch->gpus);
        // Killed between its decision and the record of it.
        if (m_resume.state.empty() || m_resume.state == kPreparing) putState(kQueued, "Its slots are free");
        m_sink->putNote("The agent was started again and took over " + std::to_string(m_ranks->adopted()) + " of " +
                        std::to_string(m_plan.processes) + " ranks.");
        return launch(m_launch->gpus);
    }
    if (auto bad = placeFiles()) return bad;
    if (m_leave) return {};
    if (auto bad = realise(); bad || m_leave) return bad;
    if (auto bad = gather(); bad || m_leave) return bad;
    return waitForSlots();
}

std::optional<Supervisor::Verdict> Supervisor::placeFiles() {
    std::int64_t lastReport = 0;
    std::int64_t lastLook = base::monotonicNanos();
    std::optional<Verdict> stopped;
    const auto progress = [&](const std::string& stage, std::int64_t done, std::int64_t total, const char* unit) {
        const std::int64_t now = base::monotonicNanos();
        if (now - lastLook < kPulseNanos) return true;
        lastLook = now;
        if (lastReport == 0 || now - lastReport >= kLookNanos) {
            lastReport = now;
            m_sink->put(wire::kNoRank, kind::kProgress,
                        Json{{"stage", stage}, {"done", done}, {"total", total}, {"unit", unit}});
            m_sink->flush();
            m_sink->syncIfDue();
        }
        wait(0);
        if (!stopped) stopped = canceled();
        if (!stopped) stopped = linkVerdict();
        return !stopped && !m_leave;
    };
    Status placed = placeSource(m_layout, m_plan, progress);
    if (placed.ok()) {
        auto inputs = findInputs(m_plan, progress);
        if (inputs.ok()) {
            m_inputs = std::move(inputs).value();
        } else {
            placed = inputs.error();
        }
    }
    if (m_leave) return {};
    if (stopped) return stopped;
    if (!placed.ok()) return Verdict{"failed", placed.error().code, placed.error().message};
    return {};
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
    if (!m_slots) {
        if (m_resume.state != kRunning) putState(kQueued, "The scheduler gave its nodes");
        return startTogether();
    }
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
        if (auto told = linkVerdict()) return told;
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
                if (shown.empty()) putState(kQueued, "Its slots are free");
                m_loop.unwatchSlots();
                m_waitsFor.clear();
                m_gpus = answer->gpuIndices;
                return startTogether();
            }
            if (!answer->reason.empty()) reason = answer->reason;
        }
        const std::int64_t now = base::monotonicNanos();
        if (reason != shown && (shownAt == 0 || now - shownAt >= kMinReasonNanos)) {
            putState(kQueued, reason);
            m_waitsFor = reason;
            shown = reason;
            shownAt = now;
        }
        m_sink->flush();
        m_sink->syncIfDue();
        wait(entered ? kTickMillis : 20);
        if (m_leave) return {};
    }
}

std::optional<Supervisor::Verdict> Supervisor::startTogether() {
    if (auto bad = lineUp(); bad || m_leave) return bad;
    return launch(m_gpus);
}

/// Rank 0 of a script first: only when its port has proved free do the others begin, here and on the other nodes.
std::optional<Supervisor::Verdict> Supervisor::startFirst() {
    for (int tries = 0; tries < kPortTries; ++tries) {
        m_ranks->startMissing(m_slots ? m_slots->ticketFd() : -1, 1);
        while (!m_ranks->firstIsDecided()) {
            m_ranks->look();
            if (canceled()) {
                m_controlTouched = true;  // follow() meets it again, and ends what was begun here.
                return {};
            }
            wait(kFirstMillis);
            if (m_leave) return {};
        }
        if (!m_ranks->firstFoundPortTaken()) return {};
        m_sink->putWarning(wire::kNoRank, "node.port",
                           "Port " + std::to_string(m_launch->masterPort) +
                               ", at which the ranks were to meet, was taken before they came; another is tried.");
        m_launch->masterPort = freePort(m_address);
        if (const auto written = replaceFile(launchFile(m_layout), base::dumpJsonPretty(toJson(*m_launch)));
            !written.ok()) {
            return Verdict{"failed", written.error().code, written.error().message};
        }
        m_ranks->forgetFirst();
    }
    return Verdict{"failed", "node.port", "No port was found at which the ranks could meet."};
}

std::optional<Supervisor::Verdict> Supervisor::launch(const std::vector<int>& gpus) {
    followLogs();
    m_intake.emplace(m_layout, m_plan, m_masker);
    if (!m_launch) {
        Launch decided;
        m_intake->prepare(decided, *m_sink);
        if (leads()) {
            decided.masterAddress = m_address;
            decided.masterPort = m_plan.engine ? 0 : freePort(m_address);
            if (m_plan.sharedFolder) {
                const Path file =
                    m_layout.root.parent_path().parent_path() / ("init-a" + std::to_string(m_plan.attempt));
                decided.initMethod = "file://" + file.string();
            }
        } else {
            const Json told = m_member->order().value("launch", Json::object());
            decided.masterAddress = told.value("master_address", std::string("127.0.0.1"));
            decided.masterPort = told.value("master_port", 0);
            decided.initMethod = told.value("init_method", std::string());
        }
        if (m_plan.nodes > 1) {
            const auto index = static_cast<std::size_t>(m_plan.node);
            const wire::PlanPeer self = index < m_plan.peers.size() ? m_plan.peers[index] : wire::PlanPeer{};
            decided.interface = self.interface.empty() ? interfaceOf(self.address.empty() ? ownAddress() : self.address)
                                                       : self.interface;
        }
        decided.inputs = m_inputs;
        decided.logs = m_logsBefore;
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
    m_intake->begin(*m_launch, m_resume.offsets, *m_sink);
    if (leads() && !m_plan.engine && m_plan.distribution != "mpi") {
        if (auto bad = startFirst(); bad || m_leave) return bad;
    }
    m_ranks->startMissing(m_slots ? m_slots->ticketFd() : -1);
    m_phase = "running";
    askFacts();
    tellStart();
    if (m_resume.runningT == 0) putState(kRunning);
    m_runningT = m_resume.runningT != 0 ? m_resume.runningT : m_launch->t;
    return {};
}

Supervisor::Verdict Supervisor::follow() {
    m_system.emplace(m_layout.root);
    if (m_plan.gpus > 0) m_system->watchGpus(m_launch ? m_launch->gpus : std::vector<int>());
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
        if (!verdict) verdict = linkVerdict();
        if (!verdict && !failed) verdict = driveMpi();
        if (m_plan.distribution == "mpi" && (verdict || orderedToStop() || othersFailed()))
            m_ranks->giveUpNotBegun("MPI's launcher did not start it");
        if (verdict && m_member && m_member->phase() != "finish" && m_ownVerdict.empty()) {
            m_ownVerdict = Json{{"outcome", verdict->outcome}, {"code", verdict->code}, {"reason", verdict->reason}};
        }
        if (verdict || m_ranks->anyFailed() || othersFailed() || orderedToStop()) {
            m_ranks->stop();
            if (m_hub) order("stop");
        }
        passRendezvous();
        tellStarted();
        if (m_facts) m_facts->service(*m_sink);
        lastDrain = base::monotonicNanos();
        watchDisk();
        drainTails();
        sampleSystem();
        if (m_giveUpOnDisk && m_ranks->allEnded()) m_sink->dropBallast();
        m_sink->flush();
        m_sink->syncIfDue();
        const bool told = verdict || !m_facts || m_facts->isTold();
        if (m_ranks->allEnded() && told && (tailsFinished() || (m_giveUpOnDisk && m_sink->blockedNanos() > 0))) {
            if (m_plan.nodes == 1 || (m_hub && othersEnded()) || (m_member && verdict)) break;
            m_phase = "ended";
        }

        const bool again = m_moreToRead && m_sink->mayTakeMore();
        const bool meeting = m_plan.nodes > 1 && m_plan.engine && m_rendezvous.is_null();
        Events events = wait(again ? 0 : meeting ? kFirstMillis : kTickMillis);
        const std::int64_t since = base::monotonicNanos() - lastDrain;
        if (!again && !m_leave && since < kSpacingNanos) {
            pause(kSpacingNanos - since);
            const Events late = wait(0);
            events.notes = events.notes || late.notes;
            events.child = events.child || late.child;
        }
        news = events.notes || events.child;
        if (m_leave) return {};
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

Supervisor::Verdict Supervisor::judgeRanks() {
    const Json culprit = firstCulprit();
    if (culprit.is_object()) {
        return {"failed", culprit.value("code", std::string("rank.exit")), culprit.value("reason", std::string())};
    }
    // It said that it fails, and then ended well.
    if (const Json said = firstFailure(); said.is_object()) {
        return {"failed", said.value("code", std::string("rank.said")), said.value("reason", std::string())};
    }
    if (const std::string& said = m_tails.front().lastWords().conclusion; !said.empty()) return {"completed", {}, said};
    const int count = m_plan.nodes * m_plan.processes;
    return {"completed",
            {},
            count == 1 ? "The command ended with exit status 0."
                       : "All " + std::to_string(count) + " ranks ended with exit status 0."};
}

Supervisor::Verdict Supervisor::judgeOwn(int rank) const {
    const RankExit& exit = *m_ranks->exitOf(rank);
    const int global = m_plan.node * m_plan.processes + rank;
    const std::string number = "ank " + std::to_string(global);
    const std::string where =
        m_plan.nodes > 1 ? " on node " + std::to_string(m_plan.node) + " (" + m_machine.host + ")" : std::string();
    if (const LastWords& said = m_tails[static_cast<std::size_t>(rank)].lastWords(); !said.failure.empty()) {
        return {"failed", said.code.empty() ? "rank.exit" : said.code, speaker(rank) + said.failure};
    }
    if (m_plan.engine && exit.kind == RankExit::Kind::Exited) {
        // Its last words were lost, most likely to a full disk; the status still tells the kind of trouble.
        if (auto verdict = engineVerdict(global, exit.code)) return *verdict;
    }
    const std::string reason =
        "R" + number + where + describe(global, exit, m_plan.graceSeconds).substr(number.size() + 1) + ".";
    const char* code = "rank.exit";
    if (exit.kind == RankExit::Kind::Signaled) code = "rank.signal";
    if (exit.kind == RankExit::Kind::NotStarted) code = "rank.spawn";
    if (exit.kind == RankExit::Kind::Vanished) code = "rank.lost";
    return {"failed", code, reason};
}

void Supervisor::drainTails() {
    m_moreToRead = false;
    const bool dropLogs = m_dropLogs || m_giveUpOnDisk;
    if (m_logs && m_logs->drain(*m_sink, dropLogs)) m_moreToRead = true;
    if (m_intake && m_intake->drain(*m_sink, m_translator)) m_moreToRead = true;
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

bool Supervisor::tailsFinished() {
    if (!std::all_of(m_tails.begin(), m_tails.end(), [](const RankTail& tail) { return tail.finished(); }))
        return false;
    const bool logs = !m_logs || m_logs->finish(*m_sink, m_dropLogs || m_giveUpOnDisk);
    const bool intake = !m_intake || m_intake->finish(*m_sink, m_translator);
    if (!logs || !intake) m_moreToRead = true;
    return logs && intake;
}

void Supervisor::followLogs() {
    std::vector<Path> folders{workingFolderOf(m_layout, m_plan) / "logs"};
    if (!m_plan.sourceManifest.empty()) folders.push_back(m_layout.code() / "logs");
    // Where all nodes see the same outputs, one of them is enough.
    if (leads() || !m_plan.sharedFolder) folders.push_back(Path(m_plan.outputsFolder) / "logs");
    m_logs.emplace(std::move(folders), m_plan.nodes * m_plan.processes);
    m_logs->maskWith(&m_masker);
    FolderOffsets offsets = m_logsBefore = m_launch ? m_launch->logs : m_logs->measure();
    for (const auto& [inode, offset] : m_resume.logOffsets) offsets[inode] = offset;
    m_logs->resumeAt(std::move(offsets), m_resume.logNames);
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
    if (!m_controlTouched && !m_schedulerEnds && now - m_lastCancelLook < kLookNanos) return {};
    m_controlTouched = false;
    m_lastCancelLook = now;
    passCheckpoint();
    std::error_code ignored;
    if (!std::filesystem::exists(m_layout.control() / wire::control::kCancel, ignored)) {
        if (!m_schedulerEnds) return {};
        return Verdict{
            "failed", "scheduler.ended",
            "The scheduler asked the job to end: its time is over, it was preempted, or it was canceled there."};
    }
    return Verdict{"canceled", "run.canceled", "The run was canceled."};
}

std::optional<Supervisor::Verdict> Supervisor::timeLimit() const {
    if (m_plan.maxSeconds <= 0 || !leads() || m_sink->now() - m_runningT < m_plan.maxSeconds * 1'000'000) return {};
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
