#include "core/base/Ids.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <sys/random.h>

#include "core/base/Clock.h"

namespace trainyard::base {

namespace {

// In ASCII order, so that the text sorts as the number does.
constexpr std::string_view kAlphabet = "234567abcdefghijklmnopqrstuvwxyz";
constexpr std::size_t kLength = 26;

__extension__ using Bits = unsigned __int128;

int digitOf(char c) {
    if (c >= '2' && c <= '7') {
        return c - '2';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 6;
    }
    return -1;
}

/// Precondition: 26 characters of the alphabet, the first below 8 (so that 128 bits hold them).
Bits bitsOf(std::string_view text) {
    Bits bits = 0;
    for (const char c : text) {
        bits = (bits << 5) | static_cast<unsigned>(digitOf(c));
    }
    return bits;
}

std::uint64_t randomBits() {
    std::uint64_t value = 0;
    auto* at = reinterpret_cast<unsigned char*>(&value);
    std::size_t done = 0;
    while (done < sizeof value) {
        const ssize_t got = getrandom(at + done, sizeof value - done, 0);
        if (got > 0) {
            done += static_cast<std::size_t>(got);
        } else if (errno != EINTR) {
            std::abort();  // A kernel without getrandom: ids would not be unique.
        }
    }
    return value;
}

std::mutex g_mutex;
std::int64_t g_lastMillis = 0;
unsigned g_counter = 0;

}  // namespace

std::string newUuid7() {
    const std::uint64_t random = randomBits();
    std::int64_t millis = wallMicros() / 1000;
    unsigned counter = 0;
    {
        // RFC 9562, section 6.2, method 1: rand_a counts within a millisecond, from a random start that leaves room;
        // when it overflows or the clock steps back, the time of the id runs ahead of the clock.
        const std::lock_guard lock(g_mutex);
        if (millis > g_lastMillis) {
            g_counter = static_cast<unsigned>(random >> 53) & 0x3ff;
        } else {
            millis = g_lastMillis;
            if (++g_counter > 0xfff) {
                ++millis;
                g_counter = 0;
            }
        }
        g_lastMillis = millis;
        counter = g_counter;
    }
    const Bits high = (static_cast<Bits>(millis & 0xffff'ffff'ffff) << 16) | 0x7000U | counter;
    const Bits low = (random & 0x3fff'ffff'ffff'ffffULL) | 0x8000'0000'0000'0000ULL;
    Bits bits = (high << 64) | low;
    std::string text(kLength, '\0');
    for (std::size_t i = kLength; i-- > 0;) {
        text[i] = kAlphabet[static_cast<std::size_t>(bits & 31)];
        bits >>= 5;
    }
    return text;
}

bool isUuid7(std::string_view text) {
    if (text.size() != kLength || digitOf(text.front()) >= 8) {
        return false;
    }
    for (const char c : text) {
        if (digitOf(c) < 0) {
            return false;
        }
    }
    const Bits bits = bitsOf(text);
    const auto version = static_cast<unsigned>((bits >> 76) & 0xf);
    const auto variant = static_cast<unsigned>((bits >> 62) & 0x3);
    return version == 7 && variant == 2;
}

std::int64_t uuid7Millis(std::string_view text) { return static_cast<std::int64_t>(bitsOf(text) >> 80); }

}  // namespace trainyard::base
