#include "core/store/Fold.h"

#include <clocale>
#include <cwctype>

namespace trainyard::store {
namespace {

/// glibc's own UTF-8 locale needs no installed language; null (ASCII only) elsewhere. Lives as long as the program.
locale_t unicodeLocale() {
    static const locale_t locale = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return locale;
}

struct Decoded {
    char32_t code = 0;
    std::size_t length = 0;  ///< 0: no valid sequence here.
};

Decoded decodeAt(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
    const unsigned char lead = byte(0);
    const std::size_t length = lead >= 0xf0 && lead < 0xf8 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 0;
    if (length == 0 || lead >= 0xf8 || at + length > text.size()) return {};
    char32_t code = lead & (0xffu >> (length + 1));
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xc0) != 0x80) return {};
        code = (code << 6) | (byte(i) & 0x3fu);
    }
    return {code, length};
}

std::size_t encodedLength(char32_t code) { return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4; }

void append(std::string& out, char32_t code, std::size_t length) {
    static constexpr unsigned char kLead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (std::size_t i = 0; i < length; ++i) {
        const auto shift = static_cast<unsigned>(6 * (length - 1 - i));
        out += static_cast<char>(i == 0 ? kLead[length] | (code >> shift) : 0x80 | ((code >> shift) & 0x3f));
    }
}

}  // namespace

std::string foldCase(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const char c = text[at];
        if (static_cast<unsigned char>(c) < 0x80) {
            out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
            ++at;
            continue;
        }
        const Decoded letter = decodeAt(text, at);
        if (letter.length == 0) {
            out += c;
            ++at;
            continue;
        }
        const locale_t locale = unicodeLocale();
        const auto lower = locale == nullptr
                               ? letter.code
                               : static_cast<char32_t>(::towlower_l(static_cast<wint_t>(letter.code), locale));
        append(out, encodedLength(lower) == letter.length ? lower : letter.code, letter.length);
        at += letter.length;
    }
    return out;
}

}  // namespace trainyard::store
