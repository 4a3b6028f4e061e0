#include "core/runs/RunFollower.h"

#include <algorithm>
#include <utility>

#include "core/base/Clock.h"
#include "core/runs/FollowTimes.h"
#include "core/runs/Launch.h"
#include "core/targets/Operations.h"
#include "core/wire/RunStream.h"

namespace trainyard::runs {

using base::Error;
using base::Json;
using base::Result;
using base::Status;
using spec::RunState;
using targets::AgentStatus;

namespace {

constexpr int kLookMillis = 1500;
constexpr int kLostAfterMillis = 3000;  // Shorter cuts are not worth a state of their own.
constexpr std::int64_t kProgressToldNanos = 2'000'000'000;
constexpr const char* kHandedOver =
    "handed_over";  // Step of the last "upload" record: from here on the run is the target's.

}  // namespace

RunFollower::RunFollower(FollowContext& context, base::RunId run, std::string target, base::FileLock lock)
    : m_context(context), m_run(std::move(run)), m_target(target.empty() ? kLocalTarget : std::move(target)),
      m_lock(std::move(lock)), m_copies(context.workspace.layout, m_run) {
    m_lastBytesAt = base::monotonicNanos();
    m_lookTimer.setInterval(kLookMillis);
    connect(&m_lookTimer, &QTimer::timeout, this, [this] {
        const std::int64_t now = base::monotonicNanos();
        const bool local = m_target == kLocalTarget;
        const bool silent = m_phase == Phase::Following &&
                            now - m_lastBytesAt > (local ? kSilenceNanos : kRemoteSilenceNanos) &&
                            (local || now - m_lastLookAt > kRemoteLookNanos);
        const bool lost = m_phase == Phase::Lost &&
                          now - m_lastLookAt > (m_unreachableSince == 0 ? kLostLookNanos : kUnreachableLookNanos);
        const bool scheduled = m_phase == Phase::Following && m_scheduler && now - m_lastLookAt > kSchedulerLookNanos;
        // A look that takes long is waited for: begun anew each time, it would never come to its answer or its
        // deadline.
        if (!m_look && (silent || lost || scheduled)) {
            lookNow();
        }
    });
    m_lostTimer.setSingleShot(true);
    m_lostTimer.setInterval(kLostAfterMillis);
    connect(&m_lostTimer, &QTimer::timeout, this, [this] {
        if (m_unreachableSince == 0 || m_unreachableTold || m_phase == Phase::Done) {
            return;
        }
        m_unreachableTold = true;
        m_toldSince = m_unreachableSince;
        std::vector<JournalEntry> entries{
            {wire::kind::kUnreachable, Json{{"since", m_unreachableSince}, {"reason", m_unreachableReason}}}};
        if (m_phase == Phase::Following) {
            m_phase = Phase::Lost;
            entries.push_back(stateEntry(RunState::Lost, m_unreachableReason, m_attempt));
        } else if (m_phase == Phase::Launching) {
            entries.push_back(stateEntry(RunState::Preparing, m_unreachableReason));
        }
        journalOrRetry(std::move(entries), [this] { m_context.changed(m_run, RunPart::State); });
        Q_EMIT settled();
    });
}

RunFollower::~RunFollower() = default;

targets::Target* RunFollower::place() {
    const Result<targets::Target*> target = m_context.pool.get(m_target);
    if (target.ok()) {
        return *target;
    }
    noteUnreachable(target.error().message);
    return nullptr;
}

// ---------------------------------------------------------------------------------------------------- launch

void RunFollower::launch(NewRun run, std::function<void(Status)> launched, std::function<void(const Json&)> onUpload) {
    m_phase = Phase::Launching;
    m_new = std::move(run);
    m_launched = std::move(launched);
    m_onUpload = std::move(onUpload);
    prepareLaunch();
}

void RunFollower::prepareLaunch() {
    m_waitsToLaunch = false;
    const auto definition = m_context.pool.definition(m_target);
    if (!definition.ok()) {
        launchFailed(definition.error());
        return;
    }
    m_work = std::make_unique<targets::ThreadOperation<targets::LaunchPlan>>(
        [layout = m_context.workspace.layout, run = m_new, target = *definition](const targets::KeepGoing& report) {
            return makeLaunch(layout, run, target, report);
        },
        [this](std::int64_t bytes) {
            noteProgress({"prepare", "Reading the source and the data.", bytes, 0});
        },
        [this](const Result<targets::LaunchPlan>& plan) {
            if (!plan.ok()) {
                launchFailed(plan.error());
                return;
            }
            m_plan = *plan;
            m_plan->onFetched = [this](const std::string& input, const std::string& sha256) {
                for (targets::InputData& data : m_plan->inputs) {
                    data.sha256 = data.name == input ? sha256 : data.sha256;
                }
            };
            m_plan->onPlaced = [this](const std::vector<std::string>& hosts) { return notePlaced(hosts); };
            launchNow();
        });
}

Status RunFollower::notePlaced(const std::vector<std::string>& hosts) {
    if (!m_placed || hosts != m_hosts) {
        TRAINYARD_TRY(
            appendJournal(m_context.workspace.layout, m_run, {{wire::kind::kPlaced, Json{{"hosts", hosts}}}}));
    }
    m_placed = true;
    m_hosts = hosts;
    return {};
}

void RunFollower::launchNow() {
    m_waitsToLaunch = false;
    if (m_cancelAsked) {
        undoLaunch();
        return;
    }
    targets::Target* target = place();
    if (target == nullptr) {
        launchFailed(m_context.pool.get(m_target).error());
        return;
    }
    m_plan->hosts = m_hosts;
    m_work = target->launch(
        *m_plan, [this](const targets::LaunchProgress& progress) { noteProgress(progress); },
        [this](const Status& status) { launchEnded(status); });
}

void RunFollower::noteProgress(const targets::LaunchProgress& progress) {
    const std::int64_t now = base::monotonicNanos();
    const bool isNew = progress.step != m_progressStep;
    if (isNew) {
        m_progressStep = progress.step;
        m_progressBeganAt = now;
        m_progressFrom = progress.bytesDone;
    }
    if (isNew && m_target == kLocalTarget) {
        // Here most steps are over before anybody could read of them.
        m_progressToldAt = now;
        return;
    }
    const bool whole = m_target != kLocalTarget && progress.bytesTotal > 0 && progress.bytesDone >= progress.bytesTotal;
    if (!isNew && !whole && now - m_progressToldAt < kProgressToldNanos) {
        return;
    }
    m_progressToldAt = now;
    Json body{{"step", progress.step},
              {"text", progress.text},
              {"bytes_done", progress.bytesDone},
              {"bytes_total", progress.bytesTotal}};
    const double seconds = static_cast<double>(now - m_progressBeganAt) / 1e9;
    if (seconds > 0.5 && progress.bytesDone > m_progressFrom) {
        const double rate = static_cast<double>(progress.bytesDone - m_progressFrom) / seconds;
        body["rate"] = rate;
        if (progress.bytesTotal > progress.bytesDone) {
            body["eta_ns"] =
                static_cast<std::int64_t>(static_cast<double>(progress.bytesTotal - progress.bytesDone) / rate * 1e9);
        }
    }
    if (m_onUpload) {
        m_onUpload(body);
    }
    // A record that cannot be written is only one step of a bar less.
    if (appendJournal(m_context.workspace.layout, m_run, {{wire::kind::kUpload, std::move(body)}}).ok()) {
        indexJournal([this] { m_context.changed(m_run, RunPart::State | RunPart::Progress); });
    }
}

void RunFollower::launchEnded(const Status& status) {
    if (!status.ok()) {
        // A target that nobody has seen yet may be misspelt: that is said at once. One that was there is waited for.
        const bool known =
            m_adopted || m_launchTries > 0 || m_progressStep == "upload" || m_context.pool.wasReached(m_target);
        if (!isUnreachable(status.error()) || !known) {
            launchFailed(status.error());
            return;
        }
        m_waitsToLaunch = true;
        noteUnreachable(status.error().message);
        answerLaunch({});
        retryIn(pauseMillis(m_launchTries++), [this] {
            if (m_phase == Phase::Launching && m_waitsToLaunch) {
                launchNow();
            }
        });
        return;
    }
    m_launchTries = 0;
    heard();
    // Until this is written, whoever finds the run launches it again, which does nothing to one that is there.
    // It is no state: the agent is telling its own meanwhile, and its records must not stand behind ours.
    journalOrRetry(
        {{wire::kind::kUpload, Json{{"step", kHandedOver},
                                    {"text", m_target == kLocalTarget ? std::string("Handed to the machine's agent.")
                                                                      : "Handed to " + m_target + "."}}}},
        [this] {
            if (m_phase != Phase::Launching) {
                return;
            }
            m_begun = true;
            if (m_plan) {
                tellInputs(m_new.spec, std::move(m_plan->inputs));
            }
            m_plan.reset();
            m_agentStartedAt = base::monotonicNanos();
            m_lastBytesAt = m_agentStartedAt;
            m_phase = Phase::Following;
            m_lookTimer.start();
            m_context.changed(m_run, RunPart::State);
            follow();
            answerLaunch({});
            if (isScheduled()) {
                lookNow();  // Why it waits is what people want to know first.
            }
            if (m_cancelAsked) {
                sendCancel();
            }
        });
}

void RunFollower::launchFailed(const Error& error) {
    if (m_placed) {
        findRest(error);
    } else {
        failLaunch(error);
    }
}

void RunFollower::failLaunch(const Error& error, std::vector<JournalEntry> before) {
    const bool canceled = error.code == "canceled" || m_cancelAsked;
    close(canceled ? RunState::Canceled : RunState::Failed, error.message, std::move(before));
    answerLaunch(error);
}

JournalEntry RunFollower::leftThere() const {
    return {
        wire::kind::kWarning,
        Json{{"code", kLeftThere}, {"message", "What is left of the run on " + m_target + " may still be running."}}};
}

void RunFollower::findRest(const Error& error) {
    m_work.reset();
    m_launchError = error;
    targets::Target* target = place();
    if (target == nullptr) {
        failLaunch(error, {leftThere()});
        return;
    }
    m_look = target->look(m_run, stepDeadline(), [this](const Result<targets::RunLook>& look) {
        const targets::OperationPtr ended = std::move(m_look);
        takeRest(look);
    });
}

void RunFollower::takeRest(const Result<targets::RunLook>& look) {
    if (m_phase != Phase::Launching || !m_launchError) {
        return;
    }
    const Error error = *m_launchError;
    if (!look.ok() || !look->silent.empty()) {
        // Whether something runs there decides what is true.
        noteUnreachable(look.ok() ? targets::textOf(look->silent) : look.error().message);
        answerLaunch({});
        retryIn(pauseMillis(m_launchTries++), [this, error] {
            if (m_phase == Phase::Launching && !m_look && !m_command) {
                findRest(error);
            }
        });
        return;
    }
    const auto begun = [](const targets::NodeLook& node) {
        return node.status != AgentStatus::NotStarted && node.status != AgentStatus::FolderMissing;
    };
    const auto started = static_cast<std::int64_t>(std::count_if(look->nodes.begin(), look->nodes.end(), begun));
    const bool handedOver = look->scheduler.has_value();
    if (started == 0 && !handedOver) {
        heard();
        failLaunch(error, error.code == "target.hosts" ? std::vector{leftThere()} : std::vector<JournalEntry>());
        return;
    }
    if (handedOver || started >= static_cast<std::int64_t>(m_hosts.size())) {
        // It was started whole before: what went wrong here since does not concern it.
        m_launchError.reset();
        launchEnded({});
        return;
    }
    targets::Target* target = place();
    if (target == nullptr) {
        findRest(error);
        return;
    }
    m_command = target->command(m_run, wire::control::kCancel, stepDeadline(), [this, error](const Status& sent) {
        const targets::OperationPtr ended = std::move(m_command);
        if (!sent.ok()) {
            retryIn(pauseMillis(m_launchTries++), [this, error] { findRest(error); });
            return;
        }
        m_cancelSent = true;
        launchEnded({});
    });
}

void RunFollower::undoLaunch() {
    m_work.reset();
    m_look.reset();
    m_launchError.reset();
    const Error canceled{"canceled", "Canceled before it was started."};
    if (!m_placed) {
        launchFailed(canceled);
        return;
    }
    targets::Target* target = place();
    if (target == nullptr) {
        findRest(canceled);
        return;
    }
    m_command = target->command(m_run, wire::control::kCancel, stepDeadline(), [this, canceled](const Status& sent) {
        const targets::OperationPtr ended = std::move(m_command);
        if (sent.ok()) {
            m_cancelSent = true;
            tellCancel({});
            lookAfterUndo(true);
        } else if (isUnreachable(sent.error())) {
            m_waitsToLaunch = true;
            noteUnreachable(sent.error().message);
            tellCancel({});
            answerLaunch({});
            retryIn(pauseMillis(m_launchTries++), [this] {
                if (m_phase == Phase::Launching && m_waitsToLaunch) {
                    launchNow();
                }
            });
        } else {
            findRest(canceled);
        }
    });
}

void RunFollower::lookAfterUndo(bool again) {
    targets::Target* target = place();
    if (target == nullptr) {
        findRest({"canceled", "Canceled before it was started."});
        return;
    }
    m_look = target->look(m_run, stepDeadline(), [this, again](const Result<targets::RunLook>& look) {
        const targets::OperationPtr ended = std::move(m_look);
        afterUndo(look, again);
    });
}

void RunFollower::afterUndo(const Result<targets::RunLook>& look, bool again) {
    if (m_phase != Phase::Launching) {
        return;
    }
    const auto lives = [](const targets::NodeLook& node) { return node.status == AgentStatus::Alive; };
    const bool begun = look.ok() && (look->scheduler || std::any_of(look->nodes.begin(), look->nodes.end(), lives));
    if (begun) {
        launchEnded({});
        return;
    }
    if (again) {
        // An agent whose start was under way may come up yet.
        retryIn(300, [this] {
            if (m_phase == Phase::Launching) {
                lookAfterUndo(false);
            }
        });
        return;
    }
    findRest({"canceled", "Canceled before it was started."});
}

void RunFollower::answerLaunch(Status status) {
    m_onUpload = {};
    const auto tell = std::exchange(m_launched, {});
    if (tell) {
        tell(std::move(status));
    }
}

void RunFollower::adopt() {
    m_adopted = true;
    // Whoever followed it may have died between the journal and the index.
    const auto taken = m_context.writer.followJournal(m_run);
    if (const Status known = taken.ok() ? readIndex() : Status(taken.error()); !known.ok()) {
        trouble(known.error());
        retryIn(1000, [this] { adopt(); });
        return;
    }
    if (m_ended && !m_ended->goesOn) {
        m_phase = Phase::Following;
        m_endedAt = base::monotonicNanos() - kNodesEndNanos;
        finalizeIfEnded();
        return;
    }
    if (!m_begun) {
        m_phase = Phase::Launching;
        if (m_cancelAsked) {
            undoLaunch();
            return;
        }
        Result<NewRun> made = readRun(m_context.workspace.layout, m_context.reader, m_run);
        if (!made.ok()) {
            launchFailed({made.error().code,
                          "The program that submitted this run was ended before the run was started, and it cannot "
                          "be started now: " +
                              made.error().message});
            return;
        }
        m_new = std::move(*made);
        prepareLaunch();
        return;
    }
    m_phase = m_phase == Phase::Lost ? Phase::Lost : Phase::Following;
    m_lookTimer.start();
    follow();
    const auto told = m_context.reader.events(m_run, wire::kind::kInputs);
    const auto document = m_context.reader.spec(m_run);
    const auto spec = document.ok() ? spec::runSpecFromJson(*document) : Result<spec::RunSpec>(document.error());
    if (told.ok() && told->empty() && spec.ok()) {
        tellInputs(*spec, {});  // Whoever launched it went before it was known.
    }
}

Status RunFollower::readIndex() {
    const auto row = m_context.reader.run(m_run);
    const auto stages = m_context.reader.stages(m_run);
    const auto attempts = m_context.reader.attempts(m_run);
    const auto outputs = m_context.reader.outputs(m_run);
    const auto events = m_context.reader.events(m_run);
    for (const Error* error : {row.ok() ? nullptr : &row.error(), stages.ok() ? nullptr : &stages.error(),
                               attempts.ok() ? nullptr : &attempts.error(), outputs.ok() ? nullptr : &outputs.error(),
                               events.ok() ? nullptr : &events.error()}) {
        if (error != nullptr) {
            return *error;
        }
    }
    for (const store::StageRow& stage : *stages) {
        if (stage.fromJournal && stage.attempt > 0) {
            m_begun = true;
        }
    }
    for (const store::EventRow& event : *events) {
        if (event.kind == wire::kind::kCancelAsked) {
            m_cancelAsked = true;
        } else if (event.kind == wire::kind::kUpload) {
            base::ObjectReader reader(event.body, "");
            m_begun = m_begun || reader.string("step") == kHandedOver;
        } else if (event.kind == wire::kind::kPlaced) {
            base::ObjectReader reader(event.body, "");
            m_placed = true;
            m_hosts = reader.strings("hosts");
        } else if (event.kind == wire::kind::kUnreachable) {
            m_unreachableTold = true;
            base::ObjectReader reader(event.body, "");
            m_toldSince = reader.integer("since", event.at);
        } else if (event.kind == wire::kind::kReachable) {
            m_unreachableTold = false;
        } else if (event.kind == wire::kind::kHostSilent) {
            m_silentTold.insert(base::ObjectReader(event.body, "").string("host"));
        } else if (event.kind == wire::kind::kHostBack) {
            m_silentTold.erase(base::ObjectReader(event.body, "").string("host"));
        }
    }
    if (row->state == RunState::Lost) {
        m_phase = Phase::Lost;
    }
    for (const store::AttemptRow& attempt : *attempts) {
        m_begun = true;
        beginAttempt(std::max(m_attempt, attempt.attempt));
        if (attempt.attempt != m_attempt) {
            continue;
        }
        m_nodes = std::max(m_nodes, attempt.nodes);
        if (attempt.outcome.empty()) {
            continue;
        }
        if (attempt.node != 0) {
            m_nodesEnded.insert(attempt.node);
            continue;
        }
        m_ended = Ended{attempt.attempt, attempt.outcome, attempt.reason, {}, false, attempt.goesOn};
    }
    for (const store::StageRow& stage : *stages) {
        if (!stage.fromJournal && stage.attempt == m_attempt) {
            m_streamState = stage.state;
        }
    }
    if (m_ended) {
        for (const store::OutputRow& output : *outputs) {
            m_ended->outputs.push_back({output.path, output.size, output.sha256});
        }
    }
    return {};
}

// ---------------------------------------------------------------------------------------------------- cancel

void RunFollower::cancel(std::function<void(Status)> told) {
    if (m_phase == Phase::Done || (m_phase == Phase::Finalizing && (!m_ended || !m_work || m_comparing))) {
        // Its last state is being written this moment.
        told(Error{"run.ended", "The run has ended already."});
        return;
    }
    if (m_phase == Phase::Finalizing) {
        m_work.reset();
        m_cancelTold.push_back(std::move(told));
        close(RunState::Canceled,
              "Canceled while its outputs were being collected; the run itself had " + m_ended->outcome + ".",
              {{wire::kind::kWarning, Json{{"code", "outputs.left"}, {"message", "Outputs were not collected."}}}});
        return;
    }
    m_cancelTold.push_back(std::move(told));
    if (!std::exchange(m_cancelAsked, true)) {
        // Written first: whoever follows the run later carries it out.
        if (const Status written =
                appendJournal(m_context.workspace.layout, m_run, {{wire::kind::kCancelAsked, Json::object()}});
            !written.ok()) {
            trouble(written.error());
        } else {
            indexJournal([this] { m_context.changed(m_run, RunPart::State); });
        }
    }
    if (m_phase == Phase::Launching) {
        undoLaunch();
    } else if (m_phase != Phase::New) {
        sendCancel();
    }
}

void RunFollower::lookAtJournal() {
    if (m_cancelAsked || m_phase == Phase::Done || m_phase == Phase::Finalizing || m_phase == Phase::New) {
        return;
    }
    const auto asked = m_context.reader.events(m_run, wire::kind::kCancelAsked);
    if (!asked.ok() || asked->empty()) {
        return;
    }
    m_cancelAsked = true;
    if (m_phase == Phase::Launching) {
        undoLaunch();
    } else {
        sendCancel();
    }
}

void RunFollower::sendCancel() {
    targets::Target* target = place();
    if (target == nullptr) {
        tellCancel({});
        return;
    }
    m_command = target->command(m_run, wire::control::kCancel, stepDeadline(), [this](const Status& sent) {
        const targets::OperationPtr ended = std::move(m_command);
        takeCancelSent(sent);
    });
}

void RunFollower::takeCancelSent(const Status& sent) {
    if (m_phase != Phase::Following && m_phase != Phase::Lost) {
        return;
    }
    if (sent.ok()) {
        m_cancelSent = true;
        tellCancel({});
        m_agentStartedAt = 0;
        lookNow();
        if (m_phase == Phase::Lost) {
            // It may be only out of sight: its own end counts if it comes soon.
            QTimer::singleShot(kLostCancelMillis, this, [this] {
                if (m_phase == Phase::Lost && m_unreachableSince == 0) {
                    close(RunState::Canceled, "Canceled while it could not be reached.");
                }
            });
        }
        return;
    }
    if (isUnreachable(sent.error())) {
        noteUnreachable(sent.error().message);
        tellCancel({});
        return;
    }
    if (sent.error().code == "target.missing") {
        close(RunState::Canceled, "Canceled; nothing of it was left on the target.");
        return;
    }
    tellCancel(sent);
    retryIn(5000, [this] {
        if ((m_phase == Phase::Following || m_phase == Phase::Lost) && !m_cancelSent) {
            sendCancel();
        }
    });
}

Status RunFollower::giveUp() {
    if (m_phase == Phase::Done || m_phase == Phase::Finalizing) {
        return Error{"run.ended", "The run has ended already."};
    }
    if (m_phase != Phase::Lost && m_unreachableSince == 0) {
        return Error{"run.reachable", "The run can be reached; cancel it instead."};
    }
    m_work.reset();
    m_command.reset();
    close(RunState::Canceled, "Given up while " + m_target + " could not be reached.", {leftThere()});
    answerLaunch(Error{"canceled", "Given up."});
    return {};
}

void RunFollower::tellCancel(Status status) {
    for (const auto& tell : std::exchange(m_cancelTold, {})) {
        tell(status);
    }
}

// ---------------------------------------------------------------------------------------------------- writing it down

void RunFollower::journalOrRetry(std::vector<JournalEntry> entries, std::function<void()> then) {
    if (const Status written = appendJournal(m_context.workspace.layout, m_run, entries); !written.ok()) {
        trouble(written.error());
        retryIn(2000, [this, entries = std::move(entries), then = std::move(then)] { journalOrRetry(entries, then); });
        return;
    }
    indexJournal(std::move(then));
}

void RunFollower::indexJournal(std::function<void()> then) {
    if (const auto taken = m_context.writer.followJournal(m_run); !taken.ok()) {
        trouble(taken.error());
        retryIn(500, [this, then = std::move(then)] { indexJournal(then); });
        return;
    }
    well();
    then();
}

void RunFollower::retryIn(int millis, std::function<void()> work) {
    QTimer::singleShot(millis, this, [this, work = std::move(work)] {
        if (m_phase != Phase::Done) {
            work();
        }
    });
}

void RunFollower::trouble(const Error& error) {
    m_isTroubled = true;
    m_context.troubled(error.code, error.message);
}

void RunFollower::well() {
    if (std::exchange(m_isTroubled, false)) {
        m_context.troubled({}, {});
    }
}

}  // namespace trainyard::runs
