// What a Supervisor has to do with the other nodes of its attempt. Both sides say their whole state and act on the
// other's latest, so it does not matter which of them was killed and started again in between.
#include <unistd.h>

#include <algorithm>

#include "core/agent/NextAttempt.h"
#include "core/agent/Supervisor.h"
#include "core/base/Json.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace kind = wire::kind;

namespace {

constexpr std::int64_t kMeetingTickMillis = 100;
constexpr std::int64_t kRefusalNanos = 10'000'000'000;
constexpr std::int64_t kStopMillis = 30'000;
constexpr std::int64_t kGoodbyeMillis = 3000;
constexpr std::int64_t kClockNanos = 30'000'000'000;
constexpr std::int64_t kClockMicros = 2000;
constexpr std::int64_t kMpiGoneNanos = 1'500'000'000;

std::string seconds(std::int64_t count) { return base::formatDuration(count * 1'000'000'000); }

bool boolOf(const Json& object, const char* name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_boolean() && found->get<bool>();
}

}  // namespace

void Supervisor::putState(std::string_view state, std::string_view reason) {
    if (leads()) m_sink->putState(state, reason);
}

Events Supervisor::wait(std::int64_t millis) {
    std::vector<pollfd> sockets;
    if (m_hub) m_hub->addDescriptors(sockets);
    if (m_member) m_member->addDescriptors(sockets);
    if (m_facts && m_facts->descriptor() >= 0) sockets.push_back({m_facts->descriptor(), POLLIN, 0});
    if (m_intake) m_intake->addDescriptors(sockets);
    m_loop.watchSockets(std::move(sockets));
    const Events events = m_loop.wait(m_hub || m_member ? std::min(millis, kMeetingTickMillis) : millis);
    m_controlTouched = m_controlTouched || events.control;
    if (events.terminate && m_plan.scheduler && !m_schedulerEnds) {
        m_schedulerEnds = true;
        m_sink->putWarning(wire::kNoRank, "scheduler.signal",
                           "The scheduler asked the job to end (SIGTERM); the ranks are ended.");
    } else if (events.terminate && !m_plan.scheduler) {
        m_leave = true;
    }
    serviceLinks();
    if (m_intake && events.sockets) m_intake->service();
    return events;
}

void Supervisor::pause(std::int64_t nanos) {
    const std::int64_t end = base::monotonicNanos() + nanos;
    std::vector<pollfd> sockets;
    while (m_intake && m_intake->hasConnections()) {
        const std::int64_t left = end - base::monotonicNanos();
        if (left <= 0) return;
        sockets.clear();
        m_intake->addDescriptors(sockets);
        const timespec rest{0, static_cast<long>(left)};
        if (::ppoll(sockets.data(), sockets.size(), &rest, nullptr) > 0) m_intake->service();
    }
    if (const std::int64_t left = end - base::monotonicNanos(); left > 0) {
        const timespec rest{0, static_cast<long>(left)};
        ::nanosleep(&rest, nullptr);
    }
}

std::optional<Supervisor::Verdict> Supervisor::openLinks() {
    if (m_plan.nodes == 1) return {};
    m_address =
        !m_plan.peers.empty() && !m_plan.peers.front().address.empty() ? m_plan.peers.front().address : ownAddress();
    if (!leads()) {
        m_member.emplace(m_plan, m_machine.host, NodeLayout{m_layout.root.parent_path() / "n0"}.lead());
        return {};
    }
    int port = m_plan.leadPort;
    // An agent before this one may have told the others its port already.
    if (const auto lead = readJsonFile(m_layout.lead()); lead.ok() && port == 0)
        port = static_cast<int>(std::clamp<std::int64_t>(base::jsonInteger(*lead, "port"), 0, 65535));
    auto hub = NodeHub::listen(m_plan, m_address, port);
    if (!hub.ok() && port != 0 && m_plan.leadPort == 0) hub = NodeHub::listen(m_plan, m_address, 0);
    if (!hub.ok()) return Verdict{"failed", hub.error().code, hub.error().message};
    m_hub.emplace(std::move(hub).value());
    const Json lead{{"address", m_address}, {"port", m_hub->port()}};
    if (const auto written = replaceFile(m_layout.lead(), base::dumpJsonPretty(lead)); !written.ok()) {
        return Verdict{"failed", written.error().code, written.error().message};
    }
    return {};
}

void Supervisor::serviceLinks() {
    if (m_hub) {
        m_hub->service(m_sink->now());
        const std::int64_t now = base::monotonicNanos();
        if (m_lastRefusal == 0 || now - m_lastRefusal > kRefusalNanos) {
            if (const auto refused = m_hub->takeRefused()) {
                m_lastRefusal = now;
                m_sink->put(wire::kNoRank, kind::kWarning,
                            Json{{"code", "node.refused"}, {"message", refused->second}, {"count", refused->first}});
            }
        }
    }
    if (m_member) {
        m_member->setStatus(nodeStatus());
        m_member->service(m_sink->now());
        noteClock();
    }
}

void Supervisor::noteClock() {
    const auto& offset = m_member->offset();
    const std::int64_t now = base::monotonicNanos();
    if (!offset || (m_lastClock != 0 &&
                    (now - m_lastClock < kClockNanos || std::abs(offset->micros - m_toldOffset) < kClockMicros)))
        return;
    m_lastClock = now;
    m_toldOffset = offset->micros;
    m_sink->put(wire::kNoRank, "clock",
                Json{{"lead_offset_ns", offset->micros * 1000}, {"round_trip_ns", offset->roundTripMicros * 1000}});
}

Json Supervisor::nodeStatus() const {
    Json status = Json::object();
    status["phase"] = m_phase;
    if (!m_waitsFor.empty()) status["reason"] = m_waitsFor;
    if (!m_ownVerdict.empty()) status["verdict"] = m_ownVerdict;
    if (m_ranks && m_launch) {
        status["ranks"] = m_ranks->describeAll();
        if (Json culprit = ownCulprit(); culprit.is_object()) status["culprit"] = std::move(culprit);
        if (Json failure = ownFailure(); failure.is_object()) status["failure"] = std::move(failure);
    }
    if (m_plan.distribution == "mpi" && m_ranks) {
        status["program"] = (base::executableFolder() / "trainyard-agent").string();
        status["folder"] = m_layout.root.string();
        status["waits_for_mpi"] = !m_ranks->anyBegun();
    }
    if (m_member && m_member->offset()) status["offset_us"] = m_toldOffset;
    return status;
}

std::optional<Supervisor::Verdict> Supervisor::linkVerdict() {
    if (m_member) {
        if (m_member->phase() == "finish") {
            const Json told = m_member->order().value("verdict", Json::object());
            m_restart = boolOf(m_member->order(), "restart");
            return Verdict{base::jsonText(told, "outcome"), base::jsonText(told, "code"),
                           base::jsonText(told, "reason")};
        }
        if (m_member->refused() && m_member->refused()->code == "node.attempt" &&
            m_member->leadsAttempt() > m_plan.attempt && !m_plan.scheduler) {
            // This machine was away while the others began again.
            m_restart = true;
            m_joins = m_member->leadsAttempt();
            return Verdict{"failed", "node.attempt",
                           "The run went on without this node, which joins it at attempt " + std::to_string(m_joins) +
                               "."};
        }
        if (m_member->refused() && m_member->refused()->code != "node.silent") {
            return Verdict{"failed", m_member->refused()->code,
                           "Node 0 refused this node: " + m_member->refused()->message};
        }
        const std::int64_t limit = m_member->everConnected() ? m_plan.silenceSeconds
                                   : m_adopted               ? m_plan.silenceSeconds
                                                             : m_plan.joinSeconds;
        if (m_member->silentNanos() > limit * 1'000'000'000) {
            return Verdict{"failed", "node.lead_silent", "Node 0 has not been heard of for " + seconds(limit) + "."};
        }
        return {};
    }
    for (int node = 1; m_hub && node < m_hub->count(); ++node) {
        const NodeHub::Member& member = m_hub->member(node);
        if (m_lostNodes.contains(node)) continue;
        if (const auto own = member.status.find("verdict"); own != member.status.end() && own->is_object()) {
            Verdict verdict{base::jsonText(*own, "outcome"), base::jsonText(*own, "code"),
                            base::jsonText(*own, "reason")};
            if (verdict.outcome == "failed") verdict.reason = "On " + m_hub->name(node) + ": " + verdict.reason;
            return verdict;
        }
        if (member.phase() == "finished") continue;
        const std::int64_t limit = member.joined || m_adopted ? m_plan.silenceSeconds : m_plan.joinSeconds;
        if (base::monotonicNanos() - member.heardAt > limit * 1'000'000'000) {
            m_lostNodes.insert(node);
            std::string who = m_hub->name(node);
            who[0] = 'N';
            if (!member.joined && !m_adopted) {
                return Verdict{"failed", "node.missing", who + " did not appear within " + seconds(limit) + "."};
            }
            return Verdict{"failed", "node.silent",
                           who + " has not been heard of for " + seconds(limit) +
                               "; its machine, its agent or the network is down."};
        }
    }
    return {};
}

std::optional<Supervisor::Verdict> Supervisor::gather() {
    if (m_plan.nodes == 1) return {};
    m_phase = "ready";
    int shown = -1;
    std::string shownReason;
    while (true) {
        if (auto stop = canceled()) return stop;
        if (auto full = diskFull()) return full;
        if (auto told = linkVerdict()) return told;
        if (m_member) {
            if (m_member->phase() == "take" || m_member->phase() == "start") return {};
        } else {
            int ready = 1;
            for (int node = 1; node < m_hub->count(); ++node) {
                const std::string phase = m_hub->member(node).phase();
                ready += phase == "ready" || phase == "holding" || phase == "running" ? 1 : 0;
                const std::string why =
                    phase == "preparing" ? base::jsonText(m_hub->member(node).status, "reason") : std::string();
                if (!why.empty() && why != shownReason) {
                    shownReason = why;
                    std::string who = m_hub->name(node);
                    who[0] = 'N';
                    putState("Preparing", who + ": " + why);
                }
            }
            if (ready == m_hub->count()) return {};
            if (ready != shown) {
                shown = ready;
                m_sink->put(
                    wire::kNoRank, kind::kProgress,
                    Json{
                        {"stage", "Waiting for nodes"}, {"done", ready}, {"total", m_hub->count()}, {"unit", "nodes"}});
            }
        }
        m_sink->flush();
        m_sink->syncIfDue();
        wait(kMeetingTickMillis);
        if (m_leave) return {};
    }
}

std::optional<Supervisor::Verdict> Supervisor::lineUp() {
    if (m_plan.nodes == 1) return {};
    m_phase = "holding";
    std::string shown;
    int node = 1;
    while (true) {
        if (auto stop = canceled()) return stop;
        if (auto full = diskFull()) return full;
        if (auto told = linkVerdict()) return told;
        if (m_member) {
            if (m_member->phase() == "start") return {};
        } else {
            while (node < m_hub->count()) {
                m_hub->setOrder(node, Json{{"kind", "order"}, {"phase", "take"}});
                const std::string phase = m_hub->member(node).phase();
                if (phase != "holding" && phase != "running") break;
                ++node;
            }
            if (node == m_hub->count()) {
                // One that was started again meanwhile has to take its slots anew.
                node = 1;
                const auto holds = [this](int other) {
                    const std::string phase = m_hub->member(other).phase();
                    return phase == "holding" || phase == "running";
                };
                bool all = true;
                for (int other = 1; other < m_hub->count(); ++other) all = all && holds(other);
                if (all) return {};
            } else if (const std::string why = base::jsonText(m_hub->member(node).status, "reason");
                       !why.empty() && why != shown) {
                shown = why;
                std::string who = m_hub->name(node);
                who[0] = 'N';
                putState("Queued", who + ": " + why);
            }
        }
        m_sink->flush();
        m_sink->syncIfDue();
        wait(kMeetingTickMillis);
        if (m_leave) return {};
    }
}

void Supervisor::order(const char* phase, const Json& more) {
    Json message{{"kind", "order"}, {"phase", phase}};
    message.update(more);
    for (int node = 1; m_hub && node < m_hub->count(); ++node) m_hub->setOrder(node, message);
}

void Supervisor::tellStart() {
    if (!m_hub) return;
    Json more = Json::object();
    more["launch"] = Json{{"master_address", m_launch->masterAddress},
                          {"master_port", m_launch->masterPort},
                          {"init_method", m_launch->initMethod}};
    if (!m_rendezvous.is_null()) more["rendezvous"] = m_rendezvous;
    order("start", more);
}

/// Rank 0 of the engine says in a file where the ranks meet; every other node gets the same file.
void Supervisor::passRendezvous() {
    if (m_plan.nodes == 1 || !m_plan.engine || !m_rendezvous.is_null()) return;
    if (m_hub) {
        auto file = readJsonFile(m_layout.rendezvous());
        if (!file.ok()) return;
        m_rendezvous = std::move(file).value();
        if (!m_stopUntil) tellStart();
    } else if (m_member->order().contains("rendezvous")) {
        m_rendezvous = m_member->order()["rendezvous"];
        if (const auto written = replaceFile(m_layout.rendezvous(), base::dumpJson(m_rendezvous)); !written.ok()) {
            m_sink->putWarning(wire::kNoRank, written.error().code, written.error().message);
        }
    }
}

std::optional<Supervisor::Verdict> Supervisor::driveMpi() {
    if (m_plan.distribution != "mpi" || !leads()) return {};
    if (!m_mpi) {
        const std::string program = (base::executableFolder() / "trainyard-agent").string();
        std::vector<MpiNode> nodes{{m_address, program, m_layout.root.string()}};
        for (int node = 1; node < m_plan.nodes; ++node) {
            const Json& status = m_hub->member(node).status;
            if (m_hub->member(node).phase() != "running") return {};
            const auto index = static_cast<std::size_t>(node);
            nodes.push_back({index < m_plan.peers.size() ? m_plan.peers[index].address : std::string(),
                             base::jsonText(status, "program"), base::jsonText(status, "folder")});
            if (nodes.back().address.empty() && !m_plan.scheduler)
                return Verdict{"failed", "mpi.address", "The plan names no address of " + m_hub->name(node) + "."};
        }
        m_mpi.emplace(m_layout);
        if (const auto started =
                m_mpi->start(m_plan.scheduler ? srunCommand(m_plan, program, m_layout.root.parent_path().parent_path())
                                              : mpirunCommand(m_plan, nodes, networkOf(m_address), ::geteuid() == 0));
            !started.ok()) {
            return Verdict{"failed", started.error().code, started.error().message};
        }
    }
    if (m_mpi->alive() || m_ranks->allEnded()) return {};
    const std::int64_t now = base::monotonicNanos();
    if (m_mpiGoneAt == 0) m_mpiGoneAt = now;
    bool waits = !m_ranks->anyBegun();
    for (int node = 1; m_hub && node < m_hub->count(); ++node)
        waits = waits || boolOf(m_hub->member(node).status, "waits_for_mpi");
    if (!waits || now - m_mpiGoneAt < kMpiGoneNanos) return {};
    return Verdict{"failed", "mpi.launch",
                   std::string(m_plan.scheduler ? "srun" : "mpirun") +
                       " ended before it had started all ranks: " + m_mpi->lastWords()};
}

bool Supervisor::othersFailed() {
    for (int node = 1; m_hub && node < m_hub->count(); ++node) {
        if (m_hub->member(node).status.contains("culprit")) return true;
    }
    return false;
}

bool Supervisor::othersEnded() {
    if (m_hub->member(1).order.value("phase", std::string()) == "stop" && !m_stopUntil) {
        m_stopUntil = base::Deadline::inMillis(m_plan.graceSeconds * 1000 + kStopMillis);
    }
    for (int node = 1; node < m_hub->count(); ++node) {
        const std::string phase = m_hub->member(node).phase();
        if (m_lostNodes.contains(node) || phase == "ended" || phase == "finished") continue;
        if (m_stopUntil && m_stopUntil->passed()) {
            m_lostNodes.insert(node);
            continue;
        }
        return false;
    }
    return true;
}

Json Supervisor::ownCulprit() const {
    const auto rank = m_ranks ? m_ranks->culprit() : std::nullopt;
    if (!rank) return {};
    const RankExit& exit = *m_ranks->exitOf(*rank);
    const Verdict verdict = judgeOwn(*rank);
    Json json = Json::object();
    json["rank"] = m_plan.node * m_plan.processes + *rank;
    json["node"] = m_plan.node;
    json["host"] = m_machine.host;
    json["stopped"] = exit.stopped;
    json["lost"] = exit.kind == RankExit::Kind::Vanished;
    json["t"] = exit.t;
    json["code"] = verdict.code;
    json["reason"] = verdict.reason;
    json["lines"] = lastLines(*rank);
    return json;
}

Json Supervisor::firstCulprit() {
    Json first = ownCulprit();
    const auto order = [](const Json& culprit) {
        return std::tuple(boolOf(culprit, "stopped"), !boolOf(culprit, "lost"), base::jsonInteger(culprit, "t"));
    };
    for (int node = 1; m_hub && node < m_hub->count(); ++node) {
        const Json& status = m_hub->member(node).status;
        const auto found = status.find("culprit");
        if (found == status.end() || !found->is_object()) continue;
        Json other = *found;
        other["t"] = base::jsonInteger(other, "t") + base::jsonInteger(status, "offset_us");
        if (!first.is_object() || order(other) < order(first)) first = std::move(other);
    }
    return first;
}

std::string Supervisor::speaker(int rank) const {
    if (m_plan.nodes * m_plan.processes == 1) return {};
    const std::string where =
        m_plan.nodes > 1 ? " on node " + std::to_string(m_plan.node) + " (" + m_machine.host + ")" : std::string();
    return "Rank " + std::to_string(m_plan.node * m_plan.processes + rank) + where + ": ";
}

Json Supervisor::ownFailure() const {
    for (std::size_t rank = 0; rank < m_tails.size(); ++rank) {
        const LastWords& said = m_tails[rank].lastWords();
        if (said.failure.empty()) continue;
        return Json{{"code", said.code.empty() ? "rank.said" : said.code},
                    {"reason", speaker(static_cast<int>(rank)) + said.failure}};
    }
    return {};
}

Json Supervisor::firstFailure() {
    if (Json own = ownFailure(); own.is_object()) return own;
    for (int node = 1; m_hub && node < m_hub->count(); ++node) {
        const Json& status = m_hub->member(node).status;
        const auto found = status.find("failure");
        if (found != status.end() && found->is_object())
            return Json{{"code", base::jsonText(*found, "code")}, {"reason", base::jsonText(*found, "reason")}};
    }
    return {};
}

/// The lead's `ended` comes last, so that all streams are complete when it is there.
void Supervisor::finishOthers() {
    const std::int64_t limit = m_plan.silenceSeconds * 1'000'000'000;
    while (true) {
        bool waiting = false;
        for (int node = 1; node < m_hub->count(); ++node) {
            const NodeHub::Member& member = m_hub->member(node);
            if (!member.joined || m_lostNodes.contains(node) || member.phase() == "finished") continue;
            if (base::monotonicNanos() - member.heardAt > limit) {
                m_lostNodes.insert(node);
                m_sink->putWarning(wire::kNoRank, "node.silent",
                                   "The end of " + m_hub->name(node) + " was not heard; its own records tell more.");
                continue;
            }
            waiting = true;
        }
        if (!waiting || m_leave) return;
        m_sink->flush();
        wait(kMeetingTickMillis);
    }
}

/// The other nodes' last word.
void Supervisor::leaveTogether(const Verdict& verdict) {
    if (m_restart && !m_plan.scheduler) {
        wire::Plan plan = m_plan;
        if (m_joins > 0) {
            plan.maxRestarts = std::max<std::int64_t>(1, plan.maxRestarts - (m_joins - 1 - plan.attempt));
            plan.attempt = m_joins - 1;
        }
        auto made = makeNextAttempt(m_layout, plan, m_runningT > 0 ? (m_sink->now() - m_runningT) / 1'000'000 : 0,
                                    m_hub ? m_hub->port() : m_plan.leadPort);
        if (made.ok()) {
            m_next = std::move(made).value();
        } else {
            std::fprintf(stderr, "trainyard-agent: the next attempt cannot be made: %s\n",
                         made.error().message.c_str());
        }
    }
    if (!m_member) return;
    m_ownVerdict = Json{{"outcome", verdict.outcome}, {"code", verdict.code}, {"reason", verdict.reason}};
    m_phase = "finished";
    const auto until = base::Deadline::inMillis(kGoodbyeMillis);
    serviceLinks();
    while (!m_member->flushed() && !m_member->refused() && !until.passed() && !m_leave) wait(20);
}

void Supervisor::decideRestart(const Verdict& verdict) {
    if (!leads() || m_plan.maxRestarts < 1 || verdict.outcome != "failed") return;
    if (m_plan.scheduler && restartsAsked(m_layout) >= m_plan.maxRestarts) return;
    const std::string& code = verdict.code;
    m_restart = code == "rank.exit" || code == "rank.signal" || code == "rank.lost" || code == "train.peer" ||
                code == "node.silent";
}

}  // namespace trainyard::agent
