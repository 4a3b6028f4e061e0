#include "core/agent/StreamSink.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "core/agent/RankFiles.h"

namespace trainyard::agent {

namespace {

constexpr std::size_t kBallastBytes = 256 << 10;
constexpr std::size_t kMaxBatch = 64;
constexpr std::int64_t kRetryNanos = 250'000'000;
constexpr std::int64_t kSyncNanos = 1'000'000'000;

/// Memory that a value takes, roughly: short lines cost more by their string objects than by their text.
std::int64_t roughSize(const base::Json& value) {
    constexpr std::int64_t kNode = 16;
    constexpr std::int64_t kString = 64;
    if (value.is_string())
        return static_cast<std::int64_t>(value.get_ref<const std::string&>().size()) + kNode + kString;
    std::int64_t size = kNode;
    if (value.is_object()) size += static_cast<std::int64_t>(value.size()) * kString;
    if (value.is_structured()) {
        for (const base::Json& item : value) size += roughSize(item);
    }
    return size;
}

/// Real bytes, not a hole: what is freed later must be there. Failing is no error: the disk is nearly full already.
void makeBallast(const base::Path& path) {
    base::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.valid()) return;
    const std::string bytes(kBallastBytes, '\0');
    if (!base::writeAll(fd.get(), bytes, path).ok()) ::unlink(path.c_str());
}

}  // namespace

base::Result<StreamSink> StreamSink::open(const wire::NodeLayout& layout) {
    auto writer = wire::StreamWriter::open(layout.stream());
    if (!writer.ok()) return writer.error();
    StreamSink sink(std::move(writer).value());
    sink.m_ballast = ballastFile(layout);
    makeBallast(sink.m_ballast);
    return sink;
}

void StreamSink::put(wire::Record record) {
    m_queuedBytes += roughSize(record.body);
    m_queue.push_back(std::move(record));
}

void StreamSink::put(int rank, std::string_view kind, base::Json body) {
    wire::Record record;
    record.t = now();
    record.rank = rank;
    record.kind = kind;
    record.body = std::move(body);
    put(std::move(record));
}

void StreamSink::putState(std::string_view state, std::string_view reason) {
    base::Json body = base::Json::object();
    body["state"] = state;
    if (!reason.empty()) body["reason"] = reason;
    put(wire::kNoRank, wire::kind::kState, std::move(body));
    m_syncWanted = true;
}

void StreamSink::putWarning(int rank, std::string_view code, std::string_view message) {
    base::Json body = base::Json::object();
    body["code"] = code;
    body["message"] = message;
    put(rank, wire::kind::kWarning, std::move(body));
}

void StreamSink::putNote(std::string_view text) {
    base::Json body = base::Json::object();
    body["out"] = "agent";
    body["lines"] = base::Json::array({text});
    put(wire::kNoRank, wire::kind::kLog, std::move(body));
}

bool StreamSink::flush() {
    const std::int64_t nowNanos = base::monotonicNanos();
    if (!m_queue.empty()) {
        if (m_blockedSince != 0 && nowNanos - m_lastTry < kRetryNanos) return false;
        m_lastTry = nowNanos;
        if (!writeQueued()) {
            if (m_blockedSince == 0) m_blockedSince = nowNanos;
            return false;
        }
        m_blockedSince = 0;
    }
    if (m_syncWanted && m_dirty) {
        // A failed sync is tried again a second later; the records themselves are written.
        m_syncWanted = !sync().ok();
    }
    return true;
}

bool StreamSink::writeQueued() {
    while (!m_queue.empty()) {
        // While the disk is full, one by one: a short record may still fit where a batch does not.
        const std::size_t count = m_blockedSince != 0 ? 1 : std::min(m_queue.size(), kMaxBatch);
        std::vector<wire::Record> batch(m_queue.begin(), m_queue.begin() + static_cast<std::ptrdiff_t>(count));
        const std::int64_t before = m_writer.lastSeq();
        const auto written = m_writer.appendAll(batch);
        const std::int64_t took = m_writer.lastSeq() - before;
        for (std::int64_t i = 0; i < took; ++i) {
            m_queuedBytes -= roughSize(m_queue.front().body);
            m_queue.pop_front();
        }
        m_dirty = m_dirty || took > 0;
        if (!written.ok()) {
            m_error = written.error();
            return false;
        }
    }
    return true;
}

base::Status StreamSink::sync() {
    m_lastSync = base::monotonicNanos();
    m_dirty = false;
    return m_writer.sync();
}

void StreamSink::syncIfDue() {
    if (!m_dirty || base::monotonicNanos() - m_lastSync < kSyncNanos) return;
    if (auto synced = sync(); !synced.ok()) {
        std::fprintf(stderr, "trainyard-agent: %s\n", synced.error().message.c_str());
        m_dirty = true;
    }
}

std::int64_t StreamSink::blockedNanos() const {
    return m_blockedSince == 0 ? 0 : std::max<std::int64_t>(1, base::monotonicNanos() - m_blockedSince);
}

void StreamSink::dropBallast() { ::unlink(m_ballast.c_str()); }

}  // namespace trainyard::agent
