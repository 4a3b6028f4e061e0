#include "core/base/Text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace trainyard::base {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

unsigned char byteAt(std::string_view text, std::size_t i) { return static_cast<unsigned char>(text[i]); }

/// Length of the well-formed UTF-8 sequence at `i` (RFC 3629: no overlong forms, no surrogates), 0 when there is none.
std::size_t sequenceLength(std::string_view text, std::size_t i) {
    const unsigned char first = byteAt(text, i);
    if (first < 0x80) {
        return 1;
    }
    std::size_t length = 0;
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    if (first >= 0xC2 && first <= 0xDF) {
        length = 2;
    } else if (first >= 0xE0 && first <= 0xEF) {
        length = 3;
        low = first == 0xE0 ? 0xA0 : 0x80;
        high = first == 0xED ? 0x9F : 0xBF;
    } else if (first >= 0xF0 && first <= 0xF4) {
        length = 4;
        low = first == 0xF0 ? 0x90 : 0x80;
        high = first == 0xF4 ? 0x8F : 0xBF;
    } else {
        return 0;
    }
    if (i + length > text.size() || byteAt(text, i + 1) < low || byteAt(text, i + 1) > high) {
        return 0;
    }
    for (std::size_t k = 2; k < length; ++k) {
        if ((byteAt(text, i + k) & 0xC0) != 0x80) {
            return 0;
        }
    }
    return length;
}

/// Length of a character at `i` that turns the direction of what stands beside it (Unicode's Bidi_Control), 0 when
/// there is none: with one a name can be shown as another.
std::size_t directionLength(std::string_view text, std::size_t i) {
    const std::string_view rest = text.substr(i);
    if (rest.starts_with("\xD8\x9C")) {
        return 2;  // U+061C
    }
    if (rest.size() < 3 || rest[0] != '\xE2') {
        return 0;
    }
    const unsigned char second = byteAt(rest, 1);
    const unsigned char third = byteAt(rest, 2);
    const bool mark = second == 0x80 && (third == 0x8E || third == 0x8F);     // U+200E, U+200F
    const bool embedding = second == 0x80 && third >= 0xAA && third <= 0xAE;  // U+202A to U+202E
    const bool isolate = second == 0x81 && third >= 0xA6 && third <= 0xA9;    // U+2066 to U+2069
    return mark || embedding || isolate ? 3 : 0;
}

/// Index after the escape sequence that begins at `i` (ECMA-48: CSI, strings such as OSC, and short ones).
std::size_t skipEscape(std::string_view text, std::size_t i) {
    std::size_t at = i + 1;
    if (at >= text.size()) {
        return at;
    }
    const char kind = text[at];
    if (kind == '[') {
        for (++at; at < text.size(); ++at) {
            if (byteAt(text, at) >= 0x40 && byteAt(text, at) <= 0x7E) {
                return at + 1;
            }
        }
        return at;
    }
    if (kind == ']' || kind == 'P' || kind == 'X' || kind == '^' || kind == '_') {
        for (++at; at < text.size(); ++at) {
            if (text[at] == '\a') {
                return at + 1;
            }
            if (text[at] == '\x1B') {
                return at + 1 < text.size() && text[at + 1] == '\\' ? at + 2 : at;
            }
        }
        return at;
    }
    while (at < text.size() && byteAt(text, at) >= 0x20 && byteAt(text, at) <= 0x2F) {
        ++at;
    }
    // What is no final byte belongs to the text: an escape before "é" must not take half of it.
    return at < text.size() && byteAt(text, at) >= 0x30 && byteAt(text, at) <= 0x7E ? at + 1 : at;
}

/// snprintf would follow the process's locale, which Qt sets.
std::string fixed(double value, int decimals) {
    std::array<char, 64> buffer{};
    const auto end =
        std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed, decimals);
    return end.ec == std::errc{} ? std::string(buffer.data(), end.ptr) : std::string("?");
}

std::string twoDigits(std::int64_t value) { return (value < 10 ? "0" : "") + std::to_string(value); }

}  // namespace

bool isValidUtf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t length = sequenceLength(text, i);
        if (length == 0) {
            return false;
        }
        i += length;
    }
    return true;
}

std::string toValidUtf8(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t length = sequenceLength(text, i);
        if (length == 0) {
            out += kReplacement;
            ++i;
        } else {
            out += text.substr(i, length);
            i += length;
        }
    }
    return out;
}

std::string stripControl(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size();) {
        const unsigned char c = byteAt(text, i);
        if (c == 0x1B) {
            i = skipEscape(text, i);
        } else if ((c < 0x20 && c != '\t') || c == 0x7F) {
            ++i;
        } else if (c == 0xC2 && i + 1 < text.size() && byteAt(text, i + 1) >= 0x80 && byteAt(text, i + 1) <= 0x9F) {
            i += 2;  // U+0080 to U+009F, the C1 controls
        } else if (const std::size_t turn = directionLength(text, i); turn > 0) {
            i += turn;
        } else {
            out += text[i];
            ++i;
        }
    }
    return out;
}

std::string base64(std::string_view bytes) {
    static constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t have = std::min<std::size_t>(3, bytes.size() - i);
        std::uint32_t group = 0;
        for (std::size_t k = 0; k < 3; ++k) {
            group = (group << 8) | (k < have ? byteAt(bytes, i + k) : 0U);
        }
        for (std::size_t k = 0; k < 4; ++k) {
            out += k <= have ? kDigits[(group >> (18 - 6 * k)) & 63] : '=';
        }
    }
    return out;
}

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    std::size_t from = 0;
    for (;;) {
        const std::size_t to = text.find(separator, from);
        parts.emplace_back(text.substr(from, to == std::string_view::npos ? to : to - from));
        if (to == std::string_view::npos) {
            return parts;
        }
        from = to + 1;
    }
}

std::string_view trim(std::string_view text) {
    constexpr std::string_view kBlank = " \t\r\n\v\f";
    const std::size_t from = text.find_first_not_of(kBlank);
    if (from == std::string_view::npos) {
        return {};
    }
    return text.substr(from, text.find_last_not_of(kBlank) - from + 1);
}

std::string formatBytes(std::int64_t bytes) {
    static constexpr std::array<const char*, 7> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    const double size = std::abs(static_cast<double>(bytes));
    if (size < 1024) {
        return std::to_string(bytes) + " B";
    }
    double value = size;
    std::size_t unit = 0;
    while (value >= 1023.95 && unit + 1 < kUnits.size()) {  // 1023.95 would be printed as 1024.0.
        value /= 1024;
        ++unit;
    }
    return (bytes < 0 ? "-" : "") + fixed(value, 1) + " " + kUnits[unit];
}

std::string formatDuration(std::int64_t nanoseconds) {
    if (nanoseconds < 0) {
        return "-" + formatDuration(nanoseconds == INT64_MIN ? INT64_MAX : -nanoseconds);
    }
    const double seconds = static_cast<double>(nanoseconds) / 1e9;
    if (nanoseconds == 0) {
        return "0 s";
    }
    if (seconds < 0.00995) {
        return fixed(seconds * 1e3, seconds < 0.000995 ? 2 : 1) + " ms";
    }
    if (seconds < 0.995) {
        return fixed(seconds, 2) + " s";
    }
    if (seconds < 9.95) {
        return fixed(seconds, 1) + " s";
    }
    const std::int64_t whole = (nanoseconds / 500'000'000 + 1) / 2;  // Rounded.
    if (whole < 60) {
        return std::to_string(whole) + " s";
    }
    if (whole < 3600) {
        return std::to_string(whole / 60) + " min " + twoDigits(whole % 60) + " s";
    }
    if (whole < 86400) {
        return std::to_string(whole / 3600) + " h " + twoDigits(whole % 3600 / 60) + " min";
    }
    return std::to_string(whole / 86400) + " d " + std::to_string(whole % 86400 / 3600) + " h";
}

std::string formatCount(std::int64_t count) {
    static constexpr std::array<const char*, 7> kUnits = {"", " k", " M", " G", " T", " P", " E"};
    const double size = std::abs(static_cast<double>(count));
    if (size < 1000) {
        return std::to_string(count);
    }
    double value = size;
    std::size_t unit = 0;
    while (value >= 999.95 && unit + 1 < kUnits.size()) {
        value /= 1000;
        ++unit;
    }
    return (count < 0 ? "-" : "") + fixed(value, 1) + kUnits[unit];
}

std::string formatSignificant(double value, int digits) {
    if (std::isnan(value)) {
        return "NaN";
    }
    if (std::isinf(value)) {
        return value > 0 ? "Infinity" : "-Infinity";
    }
    std::array<char, 64> buffer{};
    const auto end =
        std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::general, digits);
    return end.ec == std::errc{} ? std::string(buffer.data(), end.ptr) : std::string("?");
}

std::string shellQuote(std::string_view argument) {
    std::string out = "'";
    for (const char c : argument) {
        if (c == '\'') {
            out += "'\\''";
        } else if (c != '\0') {
            out += c;
        }
    }
    return out + "'";
}

}  // namespace trainyard::base
