#pragma once
// The attempt's stream as the supervisor writes it: records are queued, written in one go, synced at state records and
// once a second. When the disk is full the queue waits in memory and in order; nothing that was counted is torn or
// lost.
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>

#include "core/base/Clock.h"
#include "core/wire/Layout.h"
#include "core/wire/RunStream.h"

namespace trainyard::agent {

class StreamSink {
public:
    /// Opens the stream's folder and keeps `ballast` bytes of disk back for the last records.
    [[nodiscard]] static base::Result<StreamSink> open(const wire::NodeLayout& layout);

    /// Queues a record of now.
    void put(int rank, std::string_view kind, base::Json body);
    /// Queues a record with a time of its own.
    void put(wire::Record record);
    /// A state record; flush() then syncs.
    void putState(std::string_view state, std::string_view reason = {});
    void putWarning(int rank, std::string_view code, std::string_view message);
    /// What the agent itself has to say, as a log record.
    void putNote(std::string_view text);

    /// Writes what is queued. True when nothing is left. While the disk is full it tries four times a second.
    bool flush();
    /// fdatasync when something was written and the last one is a second ago.
    void syncIfDue();
    [[nodiscard]] base::Status sync();

    /// Nanoseconds for which writing has failed without a break; 0 when it works.
    [[nodiscard]] std::int64_t blockedNanos() const;
    [[nodiscard]] const std::optional<base::Error>& lastError() const { return m_error; }
    /// About the bytes queued. Whoever reads rank files stops above kMaxQueuedBytes: their bytes are safe where they
    /// are.
    [[nodiscard]] std::int64_t queuedBytes() const { return m_queuedBytes; }
    [[nodiscard]] bool mayTakeMore() const { return m_queuedBytes < kMaxQueuedBytes; }
    /// Gives the disk space back that was kept for the last records.
    void dropBallast();

    [[nodiscard]] std::int64_t now() const { return m_clock.micros(); }

    static constexpr std::int64_t kMaxQueuedBytes = 2 << 20;

private:
    explicit StreamSink(wire::StreamWriter writer) : m_writer(std::move(writer)) {}
    [[nodiscard]] bool writeQueued();

    wire::StreamWriter m_writer;
    base::StreamClock m_clock;
    base::Path m_ballast;
    std::deque<wire::Record> m_queue;
    std::int64_t m_queuedBytes = 0;
    std::int64_t m_blockedSince = 0;  ///< Monotonic ns.
    std::int64_t m_lastTry = 0;
    std::int64_t m_lastSync = 0;
    bool m_dirty = false;
    bool m_syncWanted = false;
    std::optional<base::Error> m_error;
};

}  // namespace trainyard::agent
