// What a Supervisor does about the environment of its ranks: secrets, the build, the record of what was really there;
// and about what its scripts are told.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <utility>

#include "core/agent/ProcessTree.h"
#include "core/agent/Supervisor.h"
#include "core/agent/Secrets.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace kind = wire::kind;

namespace {

constexpr const char* kStatePreparing = "Preparing";
constexpr std::int64_t kBuildLookMillis = 20;

/// Whether the process has a handler of its own for the signal: without one, SIGUSR1 would end it.
bool heeds(pid_t pid, int signal) {
    const std::string text = base::readFile("/proc/" + std::to_string(pid) + "/status").valueOr({});
    const std::size_t at = text.find("\nSigCgt:");
    if (at == std::string::npos) return false;
    const unsigned long long caught = std::strtoull(text.c_str() + at + 8, nullptr, 16);
    return ((caught >> (signal - 1)) & 1U) != 0;
}

/// Programs around a script: those that are written in Go catch everything and pass it on, also to what would die of
/// it.
bool isWrapper(pid_t pid) {
    static constexpr std::array kNames{"podman",      "conmon", "docker", "runc",  "crun", "catatonit",
                                       "docker-init", "tini",   "mpirun", "orted", "srun"};
    const std::string name(base::readFile("/proc/" + std::to_string(pid) + "/comm").valueOr({}));
    return std::any_of(kNames.begin(), kNames.end(), [&](const char* other) { return base::trim(name) == other; });
}

}  // namespace

std::optional<Supervisor::Verdict> Supervisor::takeSecrets() {
    auto secrets = readSecrets(m_plan.environment);
    if (!secrets.ok()) return Verdict{"failed", secrets.error().code, secrets.error().message};
    m_secrets = std::move(secrets).value();
    for (const auto& [name, value] : m_secrets) {
        if (m_masker.add(value) || value.empty()) continue;
        m_sink->putWarning(wire::kNoRank, "environment.secret",
                           "The secret " + name + " is shorter than " + std::to_string(Masker::kLeast) +
                               " characters and is not taken out of the logs.");
    }
    return {};
}

std::optional<Supervisor::Verdict> Supervisor::realise() {
    if (m_plan.environment.hash.empty()) return {};
    const std::int64_t begun = base::monotonicNanos();
    const std::string holder = (m_plan.runName.empty() ? m_plan.run.str() : m_plan.runName) + " on " + m_machine.host;
    m_environment.emplace(m_layout, m_plan, m_secrets, m_masker, holder);
    std::string shown;
    std::optional<Verdict> stopped;
    while (true) {
        const auto ready = m_environment->advance(*m_sink);
        if (!ready.ok()) {
            m_environment.reset();
            m_waitsFor.clear();
            if (stopped || m_leave) return stopped;
            return Verdict{"failed", ready.error().code, ready.error().message};
        }
        if (*ready) break;
        if (const std::string& reason = m_environment->reason(); reason != shown) {
            shown = m_waitsFor = reason;
            putState(kStatePreparing, reason);
        }
        if (!stopped) stopped = canceled();
        if (!stopped) stopped = diskFull();
        if (!stopped) stopped = linkVerdict();
        if (stopped || m_leave) m_environment->cancel();
        m_sink->flush();
        m_sink->syncIfDue();
        wait(kBuildLookMillis);
    }
    m_waitsFor.clear();
    m_prepareNanos = base::monotonicNanos() - begun;
    return stopped;
}

/// After a restart: the ranks' shims hold it as well, and it cannot be gone.
void Supervisor::holdEnvironment() {
    if (m_plan.environment.hash.empty()) return;
    m_environment.emplace(m_layout, m_plan, m_secrets, m_masker, std::string());
    if (const auto ready = m_environment->advance(*m_sink); !ready.ok() || !*ready) m_environment.reset();
}

void Supervisor::askFacts() {
    const wire::PlanEnvironment& environment = m_plan.environment;
    if (m_resume.environmentTold || (environment.name.empty() && environment.facts.empty())) return;
    m_facts.emplace(m_layout, m_plan, m_machine, m_masker);
    m_facts->start(!m_environment || m_environment->wasCached(), m_prepareNanos);
}

void Supervisor::tellStarted() {
    if (m_resume.startedTold) return;
    Json ranks = m_ranks->started();
    if (ranks.is_null()) return;
    m_resume.startedTold = true;
    const std::vector<int> gpus = m_launch ? m_launch->gpus : std::vector<int>();
    for (Json& rank : ranks) {
        const auto index = static_cast<std::size_t>(rank["rank"].get<int>() - m_plan.node * m_plan.processes);
        // As scripts take them: the one with the rank's own number where each has one.
        rank["gpus"] = gpus.size() == static_cast<std::size_t>(m_plan.processes) ? std::vector<int>{gpus[index]} : gpus;
    }
    m_sink->put(wire::kNoRank, kind::kStarted, Json{{"ranks", std::move(ranks)}});
}

void Supervisor::passCheckpoint() {
    if (m_plan.engine || !m_ranks || !m_launch) return;
    const Path asked = m_layout.control() / wire::control::kCheckpoint;
    // The file stays: scripts may look for it instead, and take it away.
    struct stat info {};
    if (::lstat(asked.c_str(), &info) != 0) return;
    const std::pair seen{info.st_ino, std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec};
    if (std::exchange(m_checkpointSeen, seen) == seen) return;
    int told = 0;
    for (const pid_t shim : m_ranks->shimPids()) {
        for (const pid_t pid : descendantsOf(shim)) {
            if (!heeds(pid, SIGUSR1) || isWrapper(pid)) continue;
            told += ::kill(pid, SIGUSR1) == 0 ? 1 : 0;
        }
    }
    m_sink->putNote(
        told == 0
            ? std::string(
                  "A checkpoint was asked for; no process of the run has a handler for SIGUSR1, so none was told.")
            : "A checkpoint was asked for: SIGUSR1 was sent to " + std::to_string(told) +
                  (told == 1 ? " process." : " processes."));
}

}  // namespace trainyard::agent
