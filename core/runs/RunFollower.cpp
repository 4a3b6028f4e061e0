#include "core/runs/RunFollower.h"

#include <algorithm>
#include <utility>

#include "core/base/Clock.h"
#include "core/wire/RunStream.h"

namespace trainyard::runs {

using base::Error;
using base::Json;
using base::Result;
using base::Status;
using spec::RunState;
using targets::AgentStatus;

namespace {

constexpr std::size_t kBatchRecords = 4096;
constexpr int kLookMillis = 1500;
constexpr std::int64_t kSilenceNanos = 2'000'000'000;          // Without a byte for so long, the machine is looked at.
constexpr std::int64_t kLostLookNanos = 5'000'000'000;         // How often a lost run is looked for.
constexpr std::int64_t kLaunchPatienceNanos = 5'000'000'000;   // For an agent that we started to say who it is.
constexpr std::int64_t kAdoptPatienceNanos = 2'000'000'000;    // The same for one that somebody else may have started.
constexpr std::int64_t kRestartAgainNanos = 30'000'000'000;    // Between tries to start the agent of a lost run.
constexpr int kLostCancelMillis = 5000;                        // For the end of a lost run that was told to cancel.
constexpr int kMostRestarts = 3;
constexpr std::int64_t kLiveMicros = 10'000'000;
constexpr int kStepMillis = 20'000;

base::Deadline stepDeadline() {
    return base::Deadline::inMillis(kStepMillis);
}

RunParts partsOf(const wire::Record& record) {
    const std::string& kind = record.kind;
    if (kind == wire::kind::kMetrics) return RunPart::Metrics;
    if (kind == wire::kind::kLog) return RunPart::Log;
    if (kind == wire::kind::kProgress) return RunPart::Progress;
    if (kind == wire::kind::kSystem) return RunPart::System;
    if (kind == wire::kind::kState || kind == wire::kind::kAttempt) return RunPart::State;
    if (kind == wire::kind::kEnded) return RunPart::State | RunPart::Outputs;
    if (kind == wire::kind::kWarning) return RunPart::Warning;
    if (kind == wire::kind::kArtifact) return RunPart::Outputs;
    return RunPart::Meta;
}

RunState stateOfOutcome(const std::string& outcome) {
    if (outcome == "completed") return RunState::Completed;
    if (outcome == "canceled") return RunState::Canceled;
    return RunState::Failed;
}

}  // namespace

RunFollower::RunFollower(FollowContext& context, base::RunId run, base::FileLock lock)
    : m_context(context), m_run(std::move(run)), m_lock(std::move(lock)) {
    m_node.run = m_run;
    m_lastBytesAt = base::monotonicNanos();
    m_lookTimer.setInterval(kLookMillis);
    connect(&m_lookTimer, &QTimer::timeout, this, [this] {
        const std::int64_t now = base::monotonicNanos();
        const bool silent = m_phase == Phase::Following && now - m_lastBytesAt > kSilenceNanos;
        const bool lost = m_phase == Phase::Lost && now - m_lastLookAt > kLostLookNanos;
        if (silent || lost) {
            lookNow();
        }
    });
}

RunFollower::~RunFollower() = default;

// ---------------------------------------------------------------------------------------------------- launch

void RunFollower::launch(NewRun run, std::function<void(Status)> launched) {
    m_phase = Phase::Launching;
    m_new = std::move(run);
    m_launched = std::move(launched);
    m_work = m_context.target.deploy(stepDeadline(), [this](const Result<targets::Programs>& programs) {
        if (!programs.ok()) {
            launchFailed(programs.error());
            return;
        }
        if (m_new.spec.taskKind == spec::TaskKind::Train && programs->engine.empty()) {
            launchFailed({"target.program",
                          "trainyard-engine was not found beside this program; without it no model can be trained."});
            return;
        }
        launchPut(*programs);
    });
}

void RunFollower::launchPut(const targets::Programs& programs) {
    m_work = m_context.target.putFiles(m_node, targetFiles(m_new, programs, m_context.target.workFolder()), stepDeadline(),
                                       [this](const Status& put) {
                                           if (!put.ok()) {
                                               launchFailed(put.error());
                                           } else if (m_cancelAsked) {
                                               launchFailed({"canceled", "Canceled before it was started."});
                                           } else {
                                               launchStart();
                                           }
                                       });
}

void RunFollower::launchStart() {
    // From here on nobody may say that the run was never handed over: whoever finds it so starts its agent.
    journalOrRetry({stateEntry(RunState::Preparing, "Handed to the machine's agent.", m_node.attempt)}, [this] {
        m_begun = true;
        m_work = m_context.target.startAgent(m_node, stepDeadline(), [this](const Status& started) {
            if (!started.ok()) {
                launchFailed(started.error());
                return;
            }
            m_agentStartedAt = base::monotonicNanos();
            m_lastBytesAt = m_agentStartedAt;
            m_phase = Phase::Following;
            m_lookTimer.start();
            follow();
            answerLaunch({});
            if (m_cancelAsked) {
                sendCancel();
            }
        });
    });
}

void RunFollower::launchFailed(const Error& error) {
    const bool canceled = error.code == "canceled";
    close(canceled ? RunState::Canceled : RunState::Failed, error.message);
    answerLaunch(error);
}

void RunFollower::answerLaunch(Status status) {
    const auto tell = std::exchange(m_launched, {});
    if (tell) {
        tell(std::move(status));
    }
}

void RunFollower::adopt() {
    m_adopted = true;
    if (const Status known = readIndex(); !known.ok()) {
        trouble(known.error());
        retryIn(1000, [this] { adopt(); });
        return;
    }
    if (m_ended) {
        finalize();
        return;
    }
    m_phase = m_phase == Phase::Lost ? Phase::Lost : Phase::Following;
    m_lookTimer.start();
    follow();
}

Status RunFollower::readIndex() {
    const auto row = m_context.reader.run(m_run);
    const auto stages = m_context.reader.stages(m_run);
    const auto attempts = m_context.reader.attempts(m_run);
    const auto outputs = m_context.reader.outputs(m_run);
    for (const Error* error : {row.ok() ? nullptr : &row.error(), stages.ok() ? nullptr : &stages.error(),
                               attempts.ok() ? nullptr : &attempts.error(), outputs.ok() ? nullptr : &outputs.error()}) {
        if (error != nullptr) {
            return *error;
        }
    }
    for (const store::StageRow& stage : *stages) {
        if (!stage.fromJournal) {
            m_streamState = stage.state;
        } else if (stage.attempt > 0) {
            m_begun = true;
        }
    }
    if (row->state == RunState::Lost) {
        m_phase = Phase::Lost;
    }
    for (const store::AttemptRow& attempt : *attempts) {
        if (attempt.node != 0 || attempt.attempt < m_node.attempt) {
            continue;
        }
        m_begun = true;
        m_node.attempt = attempt.attempt;
        m_ended.reset();
        if (!attempt.outcome.empty()) {
            m_ended = Ended{attempt.outcome, attempt.reason, {}};
        }
    }
    if (m_ended) {
        for (const store::OutputRow& output : *outputs) {
            m_ended->outputs.push_back({output.path, output.size, output.sha256});
        }
    }
    return {};
}

// ---------------------------------------------------------------------------------------------------- stream

void RunFollower::follow() {
    m_stream.reset();
    auto copy = StreamCopy::open(m_context.workspace.layout.stream(m_run, m_node.attempt, m_node.node));
    if (!copy.ok()) {
        retryFollow(copy.error());
        return;
    }
    m_copy = std::move(*copy);
    m_stream = m_context.target.followStream(
        m_node, m_copy->segment(), m_copy->size(),
        [this](targets::StreamChunk chunk) { takeChunk(std::move(chunk)); },
        [this](const Error& error) { retryFollow(error); });
}

void RunFollower::retryFollow(const Error& error) {
    trouble(error);
    m_stream.reset();
    retryIn(2000, [this] { follow(); });
}

void RunFollower::takeChunk(targets::StreamChunk chunk) {
    if (!chunk.bytes.empty()) {
        if (const Status copied = m_copy->append(chunk.segment, chunk.offset, chunk.bytes); !copied.ok()) {
            retryFollow(copied.error());
            return;
        }
        m_lastBytesAt = base::monotonicNanos();
        m_restarts = 0;
        m_goneSeen = false;
    }
    if (chunk.closed) {
        if (const Status closed = m_copy->closeSegment(); !closed.ok()) {
            retryFollow(closed.error());
            return;
        }
    }
    ingest();
    if (m_ended && (m_phase == Phase::Following || m_phase == Phase::Lost)) {
        finalize();
        return;
    }
    if (m_phase == Phase::Lost && !chunk.bytes.empty()) {
        foundAgain();
    }
    if (chunk.caughtUp && !m_caughtUp) {
        m_caughtUp = true;
        if (m_adopted && m_phase == Phase::Following) {
            lookNow();
        }
        Q_EMIT settled();
    }
}

void RunFollower::ingest() {
    const base::Path folder = m_context.workspace.layout.stream(m_run, m_node.attempt, m_node.node);
    const auto again = [this](const Error& error) {
        m_reader.reset();
        trouble(error);
        if (std::exchange(m_ingestAgain, true)) {
            return;
        }
        retryIn(500, [this] {
            m_ingestAgain = false;
            ingest();
            if (m_ended && m_phase == Phase::Following) {
                finalize();
            }
        });
    };
    for (int otherHands = 0;;) {
        if (!m_reader) {
            const auto cursor = m_context.writer.cursor(m_run, m_node.attempt, m_node.node);
            if (!cursor.ok()) {
                again(cursor.error());
                return;
            }
            m_reader = std::make_unique<wire::StreamFolderReader>(folder, *cursor);
        }
        store::StreamBatch batch;
        batch.run = m_run;
        batch.attempt = m_node.attempt;
        batch.node = m_node.node;
        batch.from = m_reader->decoder().cursor();
        const auto count = m_reader->read(batch.entries, kBatchRecords);
        if (!count.ok()) {
            if (m_reader->decoder().refused()) {
                becomeLost(count.error().message);
            } else {
                again(count.error());
            }
            return;
        }
        batch.damaged = m_reader->decoder().takeDamaged();
        batch.to = m_reader->decoder().cursor();
        if (batch.to == batch.from && batch.damaged.empty()) {
            break;
        }
        if (const Status taken = m_context.writer.ingest(batch); !taken.ok()) {
            // Somebody else took some of it (a rebuild, a catch-up); the stored cursor says where to go on.
            if (taken.error().code == "store.cursor" && ++otherHands < 10) {
                m_reader.reset();
                continue;
            }
            again(taken.error());
            return;
        }
        RunParts parts;
        for (const wire::StreamEntry& entry : batch.entries) {
            parts |= partsOf(entry.record);
            takeRecord(entry.record);
        }
        if (!batch.damaged.empty()) {
            parts |= RunPart::Warning;
        }
        m_context.changed(m_run, parts);
        well();
    }
}

void RunFollower::takeRecord(const wire::Record& record) {
    m_begun = true;
    if (record.kind == wire::kind::kState) {
        base::ObjectReader reader(record.body, "");
        m_streamState = spec::runStateFromString(reader.string("state")).value_or(m_streamState);
    } else if (record.kind == wire::kind::kEnded) {
        takeEnded(record);
    } else if (record.kind == wire::kind::kWarning && base::wallMicros() - record.t < kLiveMicros) {
        base::ObjectReader reader(record.body, "");
        m_context.warned(m_run, reader.string("code"), reader.string("message"));
    }
}

void RunFollower::takeEnded(const wire::Record& record) {
    base::ObjectReader reader(record.body, "");
    Ended ended;
    ended.outcome = reader.string("outcome");
    ended.reason = reader.string("reason");
    for (const Json& output : reader.array("outputs")) {
        base::ObjectReader file(output, "outputs");
        ended.outputs.push_back({file.string("path"), file.integer("size"), file.string("sha256")});
    }
    m_ended = std::move(ended);
    m_endedLive = base::wallMicros() - record.t < kLiveMicros;
}

// ---------------------------------------------------------------------------------------------------- looking after

void RunFollower::lookNow() {
    m_lastLookAt = base::monotonicNanos();
    m_look = m_context.target.look(m_node, stepDeadline(),
                                   [this](const Result<AgentStatus>& status) { takeLook(status); });
}

void RunFollower::takeLook(const Result<AgentStatus>& status) {
    if (m_phase != Phase::Following && m_phase != Phase::Lost) {
        return;
    }
    if (!status.ok()) {
        becomeLost(status.error().message);
        return;
    }
    const std::int64_t now = base::monotonicNanos();
    const auto lookAgain = [this](int millis) {
        QTimer::singleShot(millis, this, [this] {
            if (m_phase == Phase::Following || m_phase == Phase::Lost) {
                lookNow();
            }
        });
    };
    const bool neverStarted = *status == AgentStatus::NotStarted || *status == AgentStatus::FolderMissing;
    if (neverStarted && m_adopted && !m_begun) {
        m_notStartedSince = m_notStartedSince == 0 ? now : m_notStartedSince;
        if (now - m_notStartedSince < kAdoptPatienceNanos) {
            lookAgain(250);
            return;
        }
        // An agent that comes up after all finds this and starts nothing.
        m_command = m_context.target.sendCommand(m_node, wire::control::kCancel, stepDeadline(), [this](const Status&) {
            close(RunState::Failed, "The program that submitted this run was ended before the run was started.");
        });
        m_phase = Phase::Finalizing;
        return;
    }
    switch (*status) {
        case AgentStatus::FolderMissing:
            becomeLost("The run's folder in " + m_context.target.workFolder() + " is not there.");
            break;
        case AgentStatus::NotStarted:
            if (now - m_agentStartedAt > kLaunchPatienceNanos) {
                restartAgent("The run's agent never came up.");
            }
            break;
        case AgentStatus::Alive:
            m_goneSeen = false;
            if (m_phase == Phase::Lost) {
                foundAgain();
            }
            break;
        case AgentStatus::Gone:
        case AgentStatus::OtherBoot:
            // Its last words may still be on their way into the copy: only a second look counts.
            if (!m_goneSeen) {
                m_goneSeen = true;
                lookAgain(200);
            } else {
                restartAgent(*status == AgentStatus::Gone ? "The run's agent is gone and cannot be started again."
                                                          : "The machine was started anew and the run's agent cannot be.");
            }
            break;
    }
}

void RunFollower::restartAgent(const std::string& why) {
    const std::int64_t now = base::monotonicNanos();
    if (m_phase == Phase::Lost && now - m_agentStartedAt < kRestartAgainNanos) {
        return;
    }
    if (m_phase == Phase::Following && m_restarts >= kMostRestarts) {
        becomeLost(why);
        return;
    }
    ++m_restarts;
    m_goneSeen = false;
    m_agentStartedAt = now;
    m_lastBytesAt = now;
    m_work = m_context.target.startAgent(m_node, stepDeadline(), [this](const Status& started) {
        if (!started.ok()) {
            becomeLost(started.error().message);
        }
    });
}

void RunFollower::becomeLost(const std::string& reason) {
    if (m_cancelAsked) {
        giveUp();
        return;
    }
    if (m_phase != Phase::Following) {
        return;
    }
    m_phase = Phase::Lost;
    journalOrRetry({stateEntry(RunState::Lost, reason, m_node.attempt)}, [this] {
        m_context.changed(m_run, RunPart::State);
        Q_EMIT settled();
    });
}

void RunFollower::foundAgain() {
    m_phase = Phase::Following;
    m_lastBytesAt = base::monotonicNanos();
    journalOrRetry({stateEntry(m_streamState, "It was found again.", m_node.attempt)}, [this] {
        m_context.changed(m_run, RunPart::State);
        if (!m_stream && m_phase == Phase::Following) {
            follow();
        }
    });
}

// ---------------------------------------------------------------------------------------------------- cancel

void RunFollower::cancel(std::function<void(Status)> told) {
    switch (m_phase) {
        case Phase::Done:
            told(Error{"run.ended", "The run has ended already."});
            return;
        case Phase::New:
        case Phase::Launching:
            m_cancelAsked = true;
            m_cancelTold.push_back(std::move(told));
            return;
        case Phase::Following:
            m_cancelAsked = true;
            m_cancelTold.push_back(std::move(told));
            sendCancel();
            return;
        case Phase::Lost:
            m_cancelAsked = true;
            m_cancelTold.push_back(std::move(told));
            // It may be only out of sight: what can still be told is told, and its own end counts if it comes soon.
            m_command = m_context.target.sendCommand(m_node, wire::control::kCancel, stepDeadline(),
                                                     [this](const Status& sent) {
                                                         if (!sent.ok()) {
                                                             giveUp();
                                                             return;
                                                         }
                                                         m_agentStartedAt = 0;
                                                         lookNow();
                                                         QTimer::singleShot(kLostCancelMillis, this, [this] { giveUp(); });
                                                     });
            return;
        case Phase::Finalizing:
            if (!m_ended || !m_work) {
                // Its last state is being written this moment.
                told(Error{"run.ended", "The run has ended already."});
                return;
            }
            m_work.reset();
            m_cancelTold.push_back(std::move(told));
            close(RunState::Canceled, "Canceled while its outputs were being collected; the run itself had " +
                                          m_ended->outcome + ".",
                  {{wire::kind::kWarning, Json{{"code", "outputs.left"}, {"message", "Outputs were not collected."}}}});
            return;
    }
}

void RunFollower::sendCancel() {
    m_command = m_context.target.sendCommand(m_node, wire::control::kCancel, stepDeadline(), [this](const Status& sent) {
        if (!sent.ok() && sent.error().code == "target.unreachable") {
            giveUp();
            return;
        }
        tellCancel(sent);
        if (m_phase == Phase::Following) {
            lookNow();
        }
    });
}

void RunFollower::giveUp() {
    if (m_phase == Phase::Following || m_phase == Phase::Lost) {
        close(RunState::Canceled, "Canceled while it could not be reached.");
    }
}

void RunFollower::tellCancel(Status status) {
    for (const auto& tell : std::exchange(m_cancelTold, {})) {
        tell(status);
    }
}

// ---------------------------------------------------------------------------------------------------- the end

void RunFollower::finalize() {
    m_phase = Phase::Finalizing;
    m_stream.reset();
    m_look.reset();
    m_lookTimer.stop();
    if (m_copy) {
        if (const Status synced = m_copy->sync(); !synced.ok()) {
            trouble(synced.error());
            retryIn(2000, [this] { finalize(); });
            return;
        }
    }
    if (m_ended->outputs.empty()) {
        takeOutputs(targets::FetchReport{});
        return;
    }
    m_work = m_context.target.fetchOutputs(
        m_run, m_ended->outputs, m_context.workspace.layout.outputs(m_run), {},
        [this](const Result<targets::FetchReport>& report) { takeOutputs(report); });
}

void RunFollower::takeOutputs(const Result<targets::FetchReport>& report) {
    if (!report.ok()) {
        trouble(report.error());
        ++m_fetchTries;
        retryIn(std::min(1000 << std::min(m_fetchTries, 5), 30'000), [this] { finalize(); });
        return;
    }
    std::vector<JournalEntry> before;
    for (const Error& lost : report->lost) {
        before.push_back({wire::kind::kWarning, Json{{"code", lost.code}, {"message", lost.message}}});
    }
    Json files = Json::array();
    for (const targets::OutputFile& file : report->brought) {
        files.push_back(Json{{"path", file.path}, {"size", file.size}, {"sha256", file.sha256}});
    }
    before.push_back({wire::kind::kCollected, Json{{"attempt", m_node.attempt}, {"outputs", std::move(files)}}});
    close(stateOfOutcome(m_ended->outcome), m_ended->reason, std::move(before));
}

void RunFollower::close(RunState state, const std::string& reason, std::vector<JournalEntry> before) {
    m_phase = Phase::Finalizing;
    m_stream.reset();
    m_look.reset();
    m_lookTimer.stop();
    before.push_back(stateEntry(state, reason));
    const bool live = m_ended ? m_endedLive : !m_adopted || m_cancelAsked;
    journalOrRetry(std::move(before), [this, state, reason, live] {
        m_phase = Phase::Done;
        m_lock.release();
        m_context.changed(m_run, RunPart::State | RunPart::Outputs | RunPart::Warning);
        if (live) {
            m_context.ended(m_run, state, reason);
        }
        tellCancel({});
        Q_EMIT settled();
        Q_EMIT done();
    });
}

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
