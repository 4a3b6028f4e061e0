#pragma once
// What the agents of one attempt say to each other: JSON Lines over TCP, numeric addresses only. The text:
// resources/docs/protocol/node-link.md. Both sides say their whole state whenever it changes and after each new
// connection, so a lost connection or a restarted agent loses nothing.
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/base/Result.h"

namespace trainyard::wire {

inline constexpr std::size_t kMaxNodeLine = 4 << 20;
inline constexpr std::size_t kMaxHelloLine = 4096;  ///< Of a connection that has not said the token yet.
inline constexpr std::int64_t kNodeBeatMillis = 2000;

/// A node's first line.
struct NodeHello {
    std::string token;
    std::string run;
    int attempt = 1;
    int node = 0;
    std::string host;
};
[[nodiscard]] base::Json toJson(const NodeHello& hello);
/// Errors: "node.hello".
[[nodiscard]] base::Result<NodeHello> helloFromLine(std::string_view line);

/// Compares without telling by the time taken how much was right.
[[nodiscard]] bool sameToken(std::string_view a, std::string_view b);

struct NumericAddress {
    sockaddr_storage storage{};
    socklen_t length = 0;
    [[nodiscard]] const sockaddr* generic() const { return reinterpret_cast<const sockaddr*>(&storage); }
    [[nodiscard]] int family() const { return storage.ss_family; }
};
/// IPv4 or IPv6, never a name: the static agent has no name service. Errors: "node.address".
[[nodiscard]] base::Result<NumericAddress> numericAddress(const std::string& text, int port);

/// One connection, not blocking, in lines. A peer that sends a longer line than allowed or reads nothing is broken off.
class LineSocket {
public:
    LineSocket() = default;
    LineSocket(base::UniqueFd fd, std::size_t maxLine) : m_fd(std::move(fd)), m_maxLine(maxLine) {}

    [[nodiscard]] bool open() const { return m_fd.valid(); }
    [[nodiscard]] int fd() const { return m_fd.get(); }
    [[nodiscard]] bool wantsToWrite() const { return !m_out.empty(); }
    void setMaxLine(std::size_t bytes) { m_maxLine = bytes; }
    void close() { m_fd.reset(); }

    /// Queues a message and writes what goes.
    void send(const base::Json& message);
    /// Writes what waits, reads what is there; whole lines, without their '\n'. Closed afterwards when it broke.
    [[nodiscard]] std::vector<std::string> pump();

private:
    void flush();
    base::UniqueFd m_fd;
    std::size_t m_maxLine = kMaxNodeLine;
    std::string m_in;
    std::string m_out;
};

}  // namespace trainyard::wire
