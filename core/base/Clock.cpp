#include "core/base/Clock.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

namespace trainyard::base {

namespace {

std::int64_t nanosOf(clockid_t clock) {
    timespec now{};
    clock_gettime(clock, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

std::int64_t wallMicros() { return nanosOf(CLOCK_REALTIME) / 1000; }

std::int64_t monotonicNanos() { return nanosOf(CLOCK_MONOTONIC); }

std::int64_t Deadline::millisLeft() const {
    const std::int64_t left = m_at - monotonicNanos();
    return std::max<std::int64_t>(0, (left + 999'999) / 1'000'000);
}

std::string isoTime(std::int64_t wallMicros) {
    std::int64_t seconds = wallMicros / 1'000'000;
    std::int64_t micros = wallMicros % 1'000'000;
    if (micros < 0) {
        micros += 1'000'000;
        --seconds;
    }
    const auto time = static_cast<std::time_t>(seconds);
    std::tm utc{};
    gmtime_r(&time, &utc);
    char text[64];
    std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", utc.tm_year + 1900, utc.tm_mon + 1,
                  utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, static_cast<int>(micros));
    return text;
}

}  // namespace trainyard::base
