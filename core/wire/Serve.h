#pragma once
// `trainyard-agent serve`: what a workbench and the agent of a machine say to each other over one byte channel (ssh, or
// a pipe on this machine). The text: resources/docs/protocol/serve.md.
//
// The agent first writes the greeting line; whatever came before it (a shell's banner) is skipped. Then frames in both
// directions: 4 bytes big-endian length of the JSON header, 4 bytes length of the payload, header, payload.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/base/Json.h"
#include "core/base/Result.h"

namespace trainyard::wire {

inline constexpr int kServeProtocol = 1;
inline constexpr std::string_view kServeGreeting = "TRAINYARD-AGENT 1\n";
inline constexpr std::size_t kServeGreetingSearch = 65536;  ///< Bytes of banner that are skipped at most.
inline constexpr std::size_t kServeMaxHeader = 1 << 20;
inline constexpr std::size_t kServeMaxPayload = 1 << 20;
inline constexpr std::int64_t kServeWindow =
    4 << 20;                                  ///< Payload bytes that a sender may have unacknowledged in one request.
inline constexpr int kServePingSeconds = 15;  ///< The client pings as often when it has nothing else to say.
inline constexpr int kServeSilenceSeconds = 120;  ///< The agent ends after such a silence.

struct ServeFrame {
    base::Json header;
    std::string payload;
};

/// A frame whose payload lies in the decoder that gave it.
struct ServeFrameView {
    base::Json header;
    std::string_view payload;
};

/// Errors: "serve.too_large".
[[nodiscard]] base::Result<std::string> encodeServeFrame(const base::Json& header, std::string_view payload = {});
/// The same at the end of `out`, which stays as it was after an error.
[[nodiscard]] base::Status appendServeFrame(std::string& out, const base::Json& header, std::string_view payload = {});

/// Takes bytes as they come, gives frames. Not thread-safe. After an error it gives nothing more.
/// Errors: "serve.greeting" (no greeting within the first bytes; the message holds what came instead),
/// "serve.too_large", "serve.json".
class ServeDecoder {
public:
    /// `greeting`: the agent's side of the channel is read, which begins with the greeting line.
    explicit ServeDecoder(bool greeting) : m_waiting(greeting) {}
    void feed(std::string_view bytes);
    /// Instead of feed(), without a copy: at least so many bytes to read into; then took() says how many were.
    [[nodiscard]] std::span<char> room(std::size_t atLeast);
    void took(std::size_t bytes) { m_end += bytes; }
    /// The next whole frame, or nothing yet.
    [[nodiscard]] base::Result<std::optional<ServeFrame>> next();
    /// The same; the payload is valid until the next call of anything here.
    [[nodiscard]] base::Result<std::optional<ServeFrameView>> nextView();
    /// True once the greeting was seen (or none is expected).
    [[nodiscard]] bool greeted() const { return !m_waiting; }
    /// What came before the greeting, cut to 4 KiB: for messages.
    [[nodiscard]] const std::string& banner() const { return m_banner; }

private:
    std::string m_bytes;  ///< All of it is room; what came lies in [m_read, m_end).
    std::size_t m_read = 0;
    std::size_t m_end = 0;
    std::string m_banner;
    bool m_waiting;
    std::optional<base::Error> m_error;
};

}  // namespace trainyard::wire
