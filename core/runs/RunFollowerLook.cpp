// RunFollower: looking after the machines, the scheduler and the connection.
#include <algorithm>
#include <utility>

#include "core/base/Clock.h"
#include "core/runs/FollowTimes.h"
#include "core/runs/RunFollower.h"
#include "core/wire/RunStream.h"

namespace trainyard::runs {

using base::Error;
using base::Json;
using base::Result;
using base::Status;
using spec::RunState;
using targets::AgentStatus;
using targets::SchedulerLook;

namespace {

const char* nameOf(SchedulerLook::State state) {
    switch (state) {
    case SchedulerLook::State::Pending: return "pending";
    case SchedulerLook::State::Running: return "running";
    case SchedulerLook::State::Ending: return "ending";
    case SchedulerLook::State::Completed: return "completed";
    case SchedulerLook::State::Failed: return "failed";
    case SchedulerLook::State::Canceled: return "canceled";
    case SchedulerLook::State::TimeLimit: return "time_limit";
    case SchedulerLook::State::NodeFailed: return "node_failed";
    case SchedulerLook::State::Preempted: return "preempted";
    case SchedulerLook::State::OutOfMemory: return "out_of_memory";
    case SchedulerLook::State::Unknown: break;
    }
    return "unknown";
}

/// What the job's end means for the run when its agents left no word.
const char* reasonOf(SchedulerLook::State state) {
    switch (state) {
    case SchedulerLook::State::Completed: return "The job has ended without a last word of its agents.";
    case SchedulerLook::State::Canceled: return "The job was canceled on the cluster.";
    case SchedulerLook::State::TimeLimit: return "The job reached its time limit and was ended by the scheduler.";
    case SchedulerLook::State::NodeFailed: return "A node of the job failed.";
    case SchedulerLook::State::Preempted: return "The job had to make way for another and was not begun anew.";
    case SchedulerLook::State::OutOfMemory: return "The job used more memory than it was given and was ended.";
    default: return "The job failed on the cluster without a last word of its agents.";
    }
}

bool isOver(SchedulerLook::State state) {
    return state != SchedulerLook::State::Pending && state != SchedulerLook::State::Running &&
           state != SchedulerLook::State::Ending && state != SchedulerLook::State::Unknown;
}

}  // namespace

bool RunFollower::isUnreachable(const Error& error) const {
    return error.code == "target.unreachable" || error.code == "target.deadline" || error.code == "target.refused" ||
           error.code == "target.unknown";
}

bool RunFollower::isScheduled() const {
    const auto definition = m_context.pool.definition(m_target);
    return definition.ok() && definition->kind == spec::TargetKind::Slurm;
}

void RunFollower::lookNow() {
    m_lastLookAt = base::monotonicNanos();
    targets::Target* target = place();
    if (target == nullptr) {
        return;
    }
    m_look = target->look(m_run, stepDeadline(), [this](const Result<targets::RunLook>& look) {
        const targets::OperationPtr ended = std::move(m_look);
        takeLook(look);
    });
}

void RunFollower::takeLook(const Result<targets::RunLook>& look) {
    if (m_phase != Phase::Following && m_phase != Phase::Lost) {
        return;
    }
    if (!look.ok()) {
        if (isUnreachable(look.error())) {
            noteUnreachable(look.error().message);
        } else {
            becomeLost(look.error().message);
        }
        return;
    }
    const auto lead = [](const targets::NodeLook& node) {
        return node.node == 0 && node.status == AgentStatus::Unknown;
    };
    const auto lives = [](const targets::NodeLook& node) { return node.status == AgentStatus::Alive; };
    if (!look->silent.empty() && (std::any_of(look->nodes.begin(), look->nodes.end(), lead) ||
                                  std::none_of(look->nodes.begin(), look->nodes.end(), lives))) {
        // What the others say tells nothing of how the run stands.
        noteUnreachable(targets::textOf(look->silent));
        return;
    }
    heard();
    noteSilent(look->silent);
    if (m_cancelAsked && !m_cancelSent && !m_command) {
        sendCancel();
    }
    if (look->scheduler) {
        takeScheduler(*look->scheduler);
    } else if (isScheduled()) {
        // The queue has forgotten the job, or never had it.
        SchedulerLook unknown;
        unknown.job = m_scheduler ? m_scheduler->job : std::string();
        unknown.restarts = m_scheduler ? m_scheduler->restarts : 0;
        takeScheduler(unknown);
    } else {
        takeNodes(look->nodes);
    }
}

void RunFollower::noteSilent(const std::vector<targets::SilentHost>& silent) {
    std::vector<JournalEntry> entries;
    for (const targets::SilentHost& one : silent) {
        if (!m_silentTold.insert(one.host).second) {
            continue;
        }
        Json nodes = Json::array();
        for (std::size_t node = 0; node < m_hosts.size(); ++node) {
            if (m_hosts[node] == one.host) {
                nodes.push_back(node);
            }
        }
        entries.push_back({wire::kind::kWarning,
                           Json{{"code", "run.host_silent"},
                                {"message", "The run's other hosts can be reached. " + targets::textOf({one})}}});
        entries.push_back({wire::kind::kHostSilent, Json{{"host", one.host},
                                                         {"nodes", std::move(nodes)},
                                                         {"since", base::wallMicros()},
                                                         {"reason", one.error.message}}});
    }
    std::erase_if(m_silentTold, [&](const std::string& host) {
        const bool back = std::none_of(silent.begin(), silent.end(),
                                       [&](const targets::SilentHost& one) { return one.host == host; });
        if (back) {
            entries.push_back({wire::kind::kHostBack, Json{{"host", host}}});
        }
        return back;
    });
    if (!entries.empty()) {
        journalOrRetry(std::move(entries), [this] { m_context.changed(m_run, RunPart::Warning); });
    }
}

void RunFollower::takeNodes(const std::vector<targets::NodeLook>& nodes) {
    const std::int64_t now = base::monotonicNanos();
    const auto any = [&](AgentStatus status) {
        return std::any_of(nodes.begin(), nodes.end(), [&](const targets::NodeLook& node) {
            return node.status == status && !m_nodesEnded.contains(node.node);
        });
    };
    const bool missing = nodes.empty() || std::all_of(nodes.begin(), nodes.end(), [](const targets::NodeLook& node) {
                             return node.status == AgentStatus::FolderMissing;
                         });
    if (missing) {
        if (m_cancelAsked && m_cancelSent) {
            close(RunState::Canceled, "Canceled; its folder on the target is not there any more.");
            return;
        }
        becomeLost(m_target == kLocalTarget ? "The run's folder on this machine is not there."
                                            : "The run's folder on " + m_target + " is not there.");
        return;
    }
    const bool gone = any(AgentStatus::Gone);
    if (gone || any(AgentStatus::OtherBoot)) {
        // Its last words may still be on their way into the copy: only a second look counts.
        if (!m_goneSeen) {
            m_goneSeen = true;
            retryIn(m_target == kLocalTarget ? 200 : 2000, [this] {
                if ((m_phase == Phase::Following || m_phase == Phase::Lost) && !m_look) {
                    lookNow();
                }
            });
        } else {
            revive(gone ? "The run's agent is gone and cannot be started again."
                        : "The machine was started anew and the run's agent cannot be.");
        }
        return;
    }
    if (any(AgentStatus::NotStarted) || any(AgentStatus::FolderMissing)) {
        if (now - m_agentStartedAt > kLaunchPatienceNanos) {
            revive("The run's agent never came up.");
        }
        return;
    }
    m_goneSeen = false;
    if (m_phase == Phase::Lost) {
        foundAgain();
    }
}

void RunFollower::takeScheduler(const SchedulerLook& look) {
    const bool same = m_scheduler && m_scheduler->job == look.job && m_scheduler->state == look.state &&
                      m_scheduler->reason == look.reason && m_scheduler->restarts == look.restarts &&
                      m_scheduler->estimatedStart / 60'000'000 == look.estimatedStart / 60'000'000;
    const auto before = std::exchange(m_scheduler, look);
    if (!same) {
        std::vector<JournalEntry> entries{{wire::kind::kScheduler, Json{{"job", look.job},
                                                                        {"state", nameOf(look.state)},
                                                                        {"reason", look.reason},
                                                                        {"estimated_start", look.estimatedStart},
                                                                        {"restarts", look.restarts}}}};
        const int attempt = look.restarts + 1;
        if (look.state == SchedulerLook::State::Pending) {
            entries.push_back(stateEntry(
                RunState::Queued,
                look.reason.empty() ? "Waits in the queue." : "Waits in the queue: " + look.reason + ".", attempt));
        } else if (look.state == SchedulerLook::State::Running && before &&
                   before->state == SchedulerLook::State::Pending) {
            entries.push_back(stateEntry(RunState::Preparing, "The job has begun; its agents come up.", attempt));
        }
        journalOrRetry(std::move(entries), [this] { m_context.changed(m_run, RunPart::State); });
    }
    if (m_phase == Phase::Lost && look.state != SchedulerLook::State::Unknown) {
        foundAgain();
    }
    if (isOver(look.state) || look.state == SchedulerLook::State::Unknown) {
        schedulerEnded(look);
    } else {
        m_schedulerEndedAt = 0;
        finalizeIfEnded();
    }
}

void RunFollower::schedulerEnded(const SchedulerLook& look) {
    const std::int64_t now = base::monotonicNanos();
    m_schedulerEndedAt = m_schedulerEndedAt == 0 ? now : m_schedulerEndedAt;
    const std::int64_t patience = isOver(look.state) ? kSchedulerEndNanos : kSchedulerGoneNanos;
    const bool quiet = now - m_lastBytesAt > kSchedulerEndNanos / 2;
    if (m_ended && !m_ended->goesOn) {
        finalizeIfEnded();
        return;
    }
    if (now - m_schedulerEndedAt < patience || !m_caughtUp || !quiet) {
        retryIn(2000, [this] {
            if ((m_phase == Phase::Following || m_phase == Phase::Lost) && !m_look) {
                lookNow();
            }
        });
        return;
    }
    // Without the agents' last word the scheduler's counts.
    Ended ended;
    ended.attempt = m_attempt;
    ended.outcome = look.state == SchedulerLook::State::Completed  ? "completed"
                    : look.state == SchedulerLook::State::Canceled ? "canceled"
                                                                   : "failed";
    ended.reason = look.state == SchedulerLook::State::Unknown
                       ? "The scheduler does not know the job any more, and its agents left no last word."
                   : look.state == SchedulerLook::State::Failed && !look.reason.empty()
                       ? std::string(reasonOf(look.state)) + " " + look.reason
                       : reasonOf(look.state);
    ended.listFirst = true;
    m_ended = std::move(ended);
    m_endedLive = true;
    finalize();
}

void RunFollower::revive(const std::string& why) {
    const std::int64_t now = base::monotonicNanos();
    if (m_phase == Phase::Lost && now - m_agentStartedAt < kRestartAgainNanos) {
        return;
    }
    if (m_phase == Phase::Following && m_restarts >= kMostRestarts) {
        becomeLost(why);
        return;
    }
    targets::Target* target = place();
    if (target == nullptr) {
        return;
    }
    ++m_restarts;
    m_goneSeen = false;
    m_agentStartedAt = now;
    m_lastBytesAt = now;
    m_work = target->revive(m_run, stepDeadline(), [this](const Status& started) {
        if (!started.ok() && isUnreachable(started.error())) {
            noteUnreachable(started.error().message);
        } else if (!started.ok()) {
            becomeLost(started.error().message);
        }
    });
}

void RunFollower::becomeLost(const std::string& reason) {
    if (m_phase == Phase::Lost && m_cancelSent) {
        return;
    }
    if (m_phase != Phase::Following) {
        return;
    }
    if (m_cancelSent) {
        close(RunState::Canceled, "Canceled while it could not be reached.");
        return;
    }
    m_phase = Phase::Lost;
    journalOrRetry({stateEntry(RunState::Lost, reason, m_attempt)}, [this] {
        m_context.changed(m_run, RunPart::State);
        Q_EMIT settled();
    });
}

void RunFollower::foundAgain() {
    m_phase = Phase::Following;
    m_lastBytesAt = base::monotonicNanos();
    journalOrRetry({stateEntry(m_streamState, "It was found again.", m_attempt)}, [this] {
        m_context.changed(m_run, RunPart::State);
        if (!m_stream && m_phase == Phase::Following) {
            follow();
        }
    });
}

// ---------------------------------------------------------------------------------------------------- connection

void RunFollower::noteUnreachable(const std::string& reason) {
    if (m_phase == Phase::Done) {
        return;
    }
    m_unreachableReason = reason;
    if (m_unreachableSince != 0) {
        return;
    }
    m_unreachableSince = base::wallMicros();
    if (!m_unreachableTold) {
        m_lostTimer.start();
    }
    Q_EMIT settled();
}

void RunFollower::noteReachable() {
    m_unreachableSince = 0;
    m_lostTimer.stop();
    if (!std::exchange(m_unreachableTold, false)) {
        return;
    }
    std::vector<JournalEntry> entries{{wire::kind::kReachable, Json{{"since", m_toldSince}}}};
    if (m_phase == Phase::Lost) {
        m_phase = Phase::Following;
        m_lastBytesAt = base::monotonicNanos();
        entries.push_back(stateEntry(m_streamState, "It can be reached again.", m_attempt));
    }
    journalOrRetry(std::move(entries), [this] {
        m_context.changed(m_run, RunPart::State);
        if (!m_stream && m_phase == Phase::Following) {
            follow();
        }
    });
}

void RunFollower::reachChanged(const targets::Reach& reach) {
    if (reach.state == targets::Reach::State::Unreachable || reach.state == targets::Reach::State::NeedsAnswer) {
        // Of several hosts another may be meant than this run's: a look tells.
        if (m_phase == Phase::Following) {
            lookNow();
        } else if (m_phase == Phase::Launching || m_phase == Phase::Finalizing) {
            noteUnreachable(reach.reason);
        }
        return;
    }
    if (reach.state != targets::Reach::State::Connected) {
        return;
    }
    if (m_phase == Phase::Launching) {
        heard();
        if (m_waitsToLaunch) {
            launchNow();
        }
        return;
    }
    if (m_phase != Phase::Following && m_phase != Phase::Lost) {
        return;
    }
    heard();
    if (!m_stream) {
        follow();
    }
    if (m_cancelAsked && !m_cancelSent) {
        sendCancel();
    }
    lookNow();
}

void RunFollower::leaveTarget() {
    m_stream.reset();
    m_look.reset();
    m_command.reset();
    const bool working = m_work != nullptr;
    m_work.reset();
    retryIn(0, [this, working] {
        if (m_phase == Phase::Following || m_phase == Phase::Lost) {
            follow();
        } else if (m_phase == Phase::Launching && m_plan) {
            launchNow();
        } else if (m_phase == Phase::Launching) {
            prepareLaunch();
        } else if (m_phase == Phase::Finalizing && working && m_ended) {
            finalize();
        }
    });
}

}  // namespace trainyard::runs
