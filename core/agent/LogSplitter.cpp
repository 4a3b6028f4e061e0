#include "core/agent/LogSplitter.h"

#include <algorithm>
#include <utility>

#include "core/base/Text.h"

namespace trainyard::agent {

namespace {

constexpr std::size_t kMaxPieceLines = 2000;
constexpr std::size_t kMaxPieceBytes = 256 << 10;

/// How many bytes at the end of `text` are the beginning of a UTF-8 sequence that is not whole yet (0 to 3).
std::size_t unfinishedUtf8(std::string_view text) {
    for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
        const auto byte = static_cast<unsigned char>(text[text.size() - back]);
        if ((byte & 0xC0) == 0x80) continue;
        const std::size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
        return length > back ? back : 0;
    }
    return 0;
}

}  // namespace

LogSplitter::LogSplitter(std::int64_t offset, std::optional<char> before)
    : m_fed(offset), m_given(offset), m_open(before && *before != '\n'), m_returned(before && *before == '\r') {}

void LogSplitter::feed(std::string_view bytes) {
    while (!bytes.empty()) {
        const std::size_t special = bytes.find_first_of("\n\r");
        const std::string_view text = bytes.substr(0, special);
        if (!text.empty() && m_pending.ends_with('\r')) {
            m_pending.clear();  // The text before the '\r' is overwritten.
            m_rewritten = true;
        }
        std::size_t done = 0;
        while (done < text.size()) {
            const std::size_t room = kMaxLogLineBytes - std::min(kMaxLogLineBytes, m_pending.size());
            const std::string_view part = text.substr(done, std::max<std::size_t>(room, 1));
            m_pending += part;
            m_fed += static_cast<std::int64_t>(part.size());
            done += part.size();
            if (m_pending.size() >= kMaxLogLineBytes) flush(false);
        }
        bytes.remove_prefix(text.size());
        if (bytes.empty()) return;
        ++m_fed;
        if (bytes.front() == '\n') {
            endLine();
        } else if (!m_pending.ends_with('\r')) {
            m_pending += '\r';
        }
        bytes.remove_prefix(1);
    }
}

void LogSplitter::endLine() {
    std::string_view text = m_pending;
    if (text.ends_with('\r')) text.remove_suffix(1);
    give(text, m_fed, true);
    m_pending.clear();
    m_rewritten = false;
}

void LogSplitter::flush(bool final) {
    if (m_pending.empty()) return;
    const bool returned = m_pending.ends_with('\r');
    std::string_view text = m_pending;
    if (returned) text.remove_suffix(1);
    const std::size_t keep = final || returned ? 0 : unfinishedUtf8(text);
    text.remove_suffix(keep);
    if (text.empty() && !returned) return;
    std::string rest = m_pending.substr(m_pending.size() - keep);
    if (!text.empty()) give(text, m_fed - static_cast<std::int64_t>(keep), false);
    m_returned = returned;
    m_pending = std::move(rest);
}

void LogSplitter::give(std::string_view text, std::int64_t to, bool lineEnds) {
    // Text after a '\r', and any state of a progress bar after the first, begins anew what was given out before.
    const bool continues = m_open && !(m_returned && !text.empty()) && !m_rewritten;
    const LogPiece* last = m_pieces.empty() ? nullptr : &m_pieces.back();
    if (m_newPiece || continues || !last || last->lines.size() >= kMaxPieceLines || last->bytes >= kMaxPieceBytes) {
        LogPiece piece;
        piece.from = m_given;
        piece.continues = continues;
        m_pieces.push_back(std::move(piece));
        m_newPiece = false;
    }
    LogPiece& piece = m_pieces.back();
    if (base::isValidUtf8(text)) {
        piece.lines.emplace_back(text);
    } else {
        piece.lines.push_back(base::toValidUtf8(text));
        piece.replaced = true;
    }
    piece.bytes += text.size();
    piece.to = to;
    m_given = to;
    m_open = !lineEnds;
    m_returned = false;
    m_rewritten = false;
}

std::int64_t LogSplitter::dropAll() {
    std::int64_t lines = m_pending.empty() ? 0 : 1;
    for (const LogPiece& piece : m_pieces) lines += static_cast<std::int64_t>(piece.lines.size());
    m_pieces.clear();
    m_open = m_open || !m_pending.empty();
    m_pending.clear();
    m_given = m_fed;
    return lines;
}

std::vector<LogPiece> LogSplitter::take() {
    m_newPiece = true;
    return std::exchange(m_pieces, {});
}

}  // namespace trainyard::agent
