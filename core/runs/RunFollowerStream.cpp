// RunFollower: the streams' bytes, and what their records say.
#include <algorithm>
#include <utility>

#include "core/base/Clock.h"
#include "core/runs/FollowTimes.h"
#include "core/runs/RunFollower.h"
#include "core/wire/RunStream.h"

namespace trainyard::runs {

using base::Error;
using base::Json;
using base::Status;

namespace {

constexpr std::size_t kBatchRecords = 4096;
constexpr std::int64_t kLiveMicros = 10'000'000;

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

}  // namespace

void RunFollower::follow() {
    m_stream.reset();
    m_readers.clear();
    auto positions = m_copies.positions();
    if (!positions.ok()) {
        retryFollow(positions.error());
        return;
    }
    targets::Target* target = place();
    if (target == nullptr) {
        retryIn(pauseMillis(m_followTries++), [this] { follow(); });
        return;
    }
    // What is here already may not be in the index yet: somebody else's work that was cut off.
    for (const targets::StreamPosition& position : *positions) {
        ingest(position.attempt, position.node);
    }
    m_stream = target->follow(
        m_run, std::move(*positions), [this](const targets::StreamChunk& chunk) { takeChunk(chunk); },
        [this](const Error& error) { retryFollow(error); });
}

void RunFollower::retryFollow(const Error& error) {
    m_stream.reset();
    if (isUnreachable(error)) {
        noteUnreachable(error.message);
    } else {
        trouble(error);
    }
    retryIn(std::max(2000, pauseMillis(m_followTries++)), [this] {
        if (!m_stream && (m_phase == Phase::Following || m_phase == Phase::Lost)) {
            follow();
        }
    });
}

void RunFollower::takeChunk(const targets::StreamChunk& chunk) {
    m_followTries = 0;
    if (!chunk.bytes.empty() || chunk.closed) {
        if (const Status copied = m_copies.append(chunk); !copied.ok()) {
            retryFollow(copied.error());
            return;
        }
        m_lastBytesAt = base::monotonicNanos();
        m_restarts = 0;
        m_goneSeen = false;
        heard();
        ingest(chunk.attempt, chunk.node);
        finalizeIfEnded();
        if (m_phase == Phase::Lost && m_unreachableSince == 0) {
            foundAgain();
        }
    }
    if (m_phase != Phase::Following && m_phase != Phase::Lost) {
        return;
    }
    if (chunk.caughtUp && !m_caughtUp) {
        m_caughtUp = true;
        if (m_adopted && m_phase == Phase::Following) {
            lookNow();
        }
        if (m_cancelAsked && !m_cancelSent) {
            sendCancel();
        }
        Q_EMIT settled();
    }
}

void RunFollower::ingest(int attempt, int node) {
    std::unique_ptr<wire::StreamFolderReader>& reader = m_readers[{attempt, node}];
    const auto again = [this, attempt, node](const Error& error) {
        m_readers[{attempt, node}].reset();
        trouble(error);
        if (std::exchange(m_ingestAgain, true)) {
            return;
        }
        retryIn(500, [this] {
            m_ingestAgain = false;
            for (const auto& [stream, ignored] : std::exchange(m_readers, {})) {
                ingest(stream.first, stream.second);
            }
            finalizeIfEnded();
        });
    };
    for (int otherHands = 0;;) {
        if (!reader) {
            const auto cursor = m_context.writer.cursor(m_run, attempt, node);
            if (!cursor.ok()) {
                again(cursor.error());
                return;
            }
            reader = std::make_unique<wire::StreamFolderReader>(m_context.workspace.layout.stream(m_run, attempt, node),
                                                                *cursor);
        }
        store::StreamBatch batch;
        batch.run = m_run;
        batch.attempt = attempt;
        batch.node = node;
        batch.from = reader->decoder().cursor();
        const auto count = reader->read(batch.entries, kBatchRecords);
        if (!count.ok()) {
            if (reader->decoder().refused()) {
                becomeLost(count.error().message);
            } else {
                again(count.error());
            }
            return;
        }
        batch.damaged = reader->decoder().takeDamaged();
        batch.to = reader->decoder().cursor();
        if (batch.to == batch.from && batch.damaged.empty()) {
            break;
        }
        if (const Status taken = m_context.writer.ingest(batch); !taken.ok()) {
            // Somebody else took some of it (a rebuild, a catch-up); the stored cursor says where to go on.
            if (taken.error().code == "store.cursor" && ++otherHands < 10) {
                reader.reset();
                continue;
            }
            again(taken.error());
            return;
        }
        RunParts parts;
        for (const wire::StreamEntry& entry : batch.entries) {
            parts |= partsOf(entry.record);
            takeRecord(attempt, node, entry.record);
        }
        if (!batch.damaged.empty()) {
            parts |= RunPart::Warning;
        }
        m_context.changed(m_run, parts);
        well();
    }
}

void RunFollower::beginAttempt(int attempt) {
    if (attempt <= m_attempt) {
        return;
    }
    m_attempt = attempt;
    m_nodes = 1;
    m_nodesEnded.clear();
    m_nodesLeft.clear();
    m_nodeOutputs.clear();
    m_ended.reset();
    m_endedAt = 0;
    m_schedulerEndedAt = 0;
    m_restarts = 0;
    m_goneSeen = false;
    m_streamState = spec::RunState::Preparing;
    // A new attempt may begin although the one before was told to end.
    m_cancelSent = false;
}

void RunFollower::takeRecord(int attempt, int node, const wire::Record& record) {
    m_begun = true;
    beginAttempt(attempt);
    base::ObjectReader reader(record.body, "");
    if (record.kind == wire::kind::kAttempt && attempt == m_attempt) {
        m_nodes = std::max(m_nodes, static_cast<int>(reader.integer("nodes", 1)));
        if (node == 0 && m_scheduler) {
            // The job has left the queue, perhaps not for the first time.
            retryIn(0, [this] {
                if ((m_phase == Phase::Following || m_phase == Phase::Lost) && !m_look) {
                    lookNow();
                }
            });
        }
    } else if (record.kind == wire::kind::kState && node == 0 && attempt == m_attempt) {
        m_streamState = spec::runStateFromString(reader.string("state")).value_or(m_streamState);
    } else if (record.kind == wire::kind::kEnded && attempt == m_attempt) {
        takeEnded(attempt, node, record);
    } else if (record.kind == wire::kind::kWarning && base::wallMicros() - record.t < kLiveMicros) {
        m_context.warned(m_run, reader.string("code"), reader.string("message"));
    }
}

void RunFollower::takeEnded(int attempt, int node, const wire::Record& record) {
    base::ObjectReader reader(record.body, "");
    std::vector<targets::OutputFile> outputs;
    const std::string prefix = node == 0 ? "" : "node-" + std::to_string(node) + "/";
    for (const Json& output : reader.array("outputs")) {
        base::ObjectReader file(output, "outputs");
        outputs.push_back({prefix + file.string("path"), file.integer("size"), file.string("sha256")});
    }
    if (node != 0) {
        m_nodesEnded.insert(node);
        m_nodeOutputs.insert(m_nodeOutputs.end(), outputs.begin(), outputs.end());
        return;
    }
    m_ended = Ended{attempt, reader.string("outcome"), reader.string("reason"), std::move(outputs),
                    false,   reader.boolean("restart")};
    m_endedLive = base::wallMicros() - record.t < kLiveMicros;
    m_endedAt = base::monotonicNanos();
}

void RunFollower::finalizeIfEnded() {
    if (!m_ended || m_ended->goesOn || m_endWaits || (m_phase != Phase::Following && m_phase != Phase::Lost)) {
        return;
    }
    const auto wait = [this](int millis, bool look) {
        m_endWaits = true;
        retryIn(millis, [this, look] {
            m_endWaits = false;
            if (look && !m_look && (m_phase == Phase::Following || m_phase == Phase::Lost)) {
                lookNow();
            } else {
                finalizeIfEnded();
            }
        });
    };
    const bool everybody = static_cast<int>(m_nodesEnded.size()) + 1 >= m_nodes;
    if (!everybody && base::monotonicNanos() - m_endedAt < kNodesEndNanos) {
        wait(500, false);
        return;
    }
    // A scheduler may begin the run anew by itself: its word is waited for, unless all went well or somebody wanted the
    // end.
    const bool asWanted = m_ended->outcome == "completed" || (m_ended->outcome == "canceled" && m_cancelAsked);
    if (m_scheduler && !asWanted && m_schedulerEndedAt == 0) {
        wait(1000, true);
        return;
    }
    m_ended->outputs.insert(m_ended->outputs.end(), m_nodeOutputs.begin(), m_nodeOutputs.end());
    m_nodeOutputs.clear();
    for (int node = 1; node < m_nodes; ++node) {
        if (!m_nodesEnded.contains(node)) {
            m_nodesLeft.insert(node);
        }
    }
    finalize();
}

}  // namespace trainyard::runs
