#pragma once
#include <cstdint>
#include <string>

namespace trainyard::base {

/// Wall clock, microseconds since 1970 UTC.
[[nodiscard]] std::int64_t wallMicros();

/// CLOCK_MONOTONIC in nanoseconds; only differences mean something.
[[nodiscard]] std::int64_t monotonicNanos();

/// The `t` of stream records: wall clock at construction plus the monotonic time since, so it never steps back.
class StreamClock {
public:
    StreamClock() : m_wallStart(wallMicros()), m_monotonicStart(monotonicNanos()) {}
    [[nodiscard]] std::int64_t micros() const { return m_wallStart + (monotonicNanos() - m_monotonicStart) / 1000; }

private:
    std::int64_t m_wallStart;
    std::int64_t m_monotonicStart;
};

/// A point in monotonic time after which a wait gives up. Every wait takes one.
class Deadline {
public:
    static Deadline inMillis(std::int64_t ms) { return Deadline(monotonicNanos() + ms * 1'000'000); }
    [[nodiscard]] bool passed() const { return monotonicNanos() >= m_at; }
    /// Milliseconds left, rounded up, at least 0.
    [[nodiscard]] std::int64_t millisLeft() const;

private:
    explicit Deadline(std::int64_t at) : m_at(at) {}
    std::int64_t m_at;
};

/// ISO 8601 in UTC with microseconds: "2026-11-23T06:20:19.000123Z".
[[nodiscard]] std::string isoTime(std::int64_t wallMicros);

}  // namespace trainyard::base
