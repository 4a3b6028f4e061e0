#pragma once
// Bytes of stdout or stderr → lines for `log` records. Pure: no files, no clock.
//
// '\n' and "\r\n" end a line. A lone '\r' rewrites the line, as a terminal would, so of a progress bar only the last
// state is kept. A line over 64 KiB is split (not inside a UTF-8 sequence). Text that had to be given out before its
// line ended (split or flushed) is continued by the next piece, which says so.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard::agent {

inline constexpr std::size_t kMaxLogLineBytes = 64 << 10;

/// What becomes one log record.
struct LogPiece {
    std::vector<std::string> lines;  ///< Valid UTF-8.
    bool continues = false;          ///< The first line goes on from the last line of the piece before.
    bool replaced = false;           ///< Bytes that are no UTF-8 were replaced.
    std::int64_t from = 0;           ///< Range of the file that the piece stands for.
    std::int64_t to = 0;
    std::size_t bytes = 0;  ///< Of all lines.
};

class LogSplitter {
public:
    /// Goes on at `offset`; `before` is the file's last byte in front of it, if any: it tells whether a line is open.
    explicit LogSplitter(std::int64_t offset = 0, std::optional<char> before = {});

    /// Bytes that follow the last ones fed.
    void feed(std::string_view bytes);
    /// Counts `bytes` of the file (or counts some back) that are shown as something else, which was fed in their place.
    void skip(std::int64_t bytes) { m_fed += bytes; }
    /// Gives out the unfinished line. At the end of the file (`final`) also a UTF-8 sequence that never became whole.
    void flush(bool final);
    /// Forgets lines and unfinished text; returns how many lines those were. For logs that are dropped.
    std::int64_t dropAll();

    [[nodiscard]] std::vector<LogPiece> take();
    /// True when text waits for its line's end.
    [[nodiscard]] bool hasPartial() const { return !m_pending.empty(); }
    /// True when the waiting text has already been rewritten by '\r': a progress bar.
    [[nodiscard]] bool isRewriting() const { return m_rewritten; }
    /// First byte of the file that was not fed yet.
    [[nodiscard]] std::int64_t fedTo() const { return m_fed; }

private:
    void endLine();
    void give(std::string_view text, std::int64_t to, bool lineEnds);

    std::string m_pending;  ///< Of the unfinished line, without what '\r' has overwritten.
    std::int64_t m_fed = 0;
    std::int64_t m_given = 0;  ///< Everything before it has been given out.
    bool m_open = false;       ///< The line was given out in part.
    bool m_returned = false;   ///< The part given out ended with '\r': new text replaces it.
    bool m_rewritten = false;
    std::vector<LogPiece> m_pieces;
    bool m_newPiece = true;
};

}  // namespace trainyard::agent
