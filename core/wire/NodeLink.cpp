#include "core/wire/NodeLink.h"

#include <arpa/inet.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace trainyard::wire {

using base::Error;
using base::Json;
using base::Result;

namespace {

constexpr std::size_t kMaxWaiting = 2 * kMaxNodeLine;

}  // namespace

Json toJson(const NodeHello& hello) {
    return Json{{"token", hello.token},
                {"run", hello.run},
                {"attempt", hello.attempt},
                {"node", hello.node},
                {"host", hello.host}};
}

Result<NodeHello> helloFromLine(std::string_view line) {
    const auto json = base::parseJson(line);
    if (!json.ok()) return Error{"node.hello", "The first line of a node is no JSON."};
    base::ObjectReader reader(*json, "");
    NodeHello hello;
    hello.token = reader.string("token");
    hello.run = reader.string("run");
    const std::int64_t attempt = reader.integer("attempt");
    const std::int64_t node = reader.integer("node");
    hello.host = reader.string("host");
    if (!reader.status(false).ok() || attempt < 1 || attempt > 1'000'000 || node < 0 || node > 65535) {
        return Error{"node.hello", "The first line of a node does not say token, run, attempt and node."};
    }
    hello.attempt = static_cast<int>(attempt);
    hello.node = static_cast<int>(node);
    return hello;
}

bool sameToken(std::string_view a, std::string_view b) {
    if (a.empty() || a.size() != b.size()) return false;
    unsigned char difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        difference = static_cast<unsigned char>(difference |
                                                (static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i])));
    }
    return difference == 0;
}

Result<NumericAddress> numericAddress(const std::string& text, int port) {
    NumericAddress address;
    auto* const four = reinterpret_cast<sockaddr_in*>(&address.storage);
    auto* const six = reinterpret_cast<sockaddr_in6*>(&address.storage);
    if (::inet_pton(AF_INET, text.c_str(), &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(static_cast<std::uint16_t>(port));
        address.length = sizeof *four;
        return address;
    }
    if (::inet_pton(AF_INET6, text.c_str(), &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(static_cast<std::uint16_t>(port));
        address.length = sizeof *six;
        return address;
    }
    return Error{"node.address", "\"" + text + "\" is no numeric address."};
}

void LineSocket::send(const Json& message) {
    if (!open()) return;
    m_out += base::dumpJson(message);
    m_out += '\n';
    flush();
    if (m_out.size() > kMaxWaiting) close();
}

void LineSocket::flush() {
    while (open() && !m_out.empty()) {
        const ssize_t sent = ::send(m_fd.get(), m_out.data(), m_out.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            m_out.erase(0, static_cast<std::size_t>(sent));
        } else if (sent < 0 && errno == EINTR) {
            continue;
        } else {
            if (errno != EAGAIN && errno != EWOULDBLOCK) close();
            return;
        }
    }
}

std::vector<std::string> LineSocket::pump() {
    std::vector<std::string> lines;
    flush();
    std::array<char, 16384> buffer{};
    bool over = false;
    while (open()) {
        const ssize_t got = ::recv(m_fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (got <= 0) {
            over = true;
            break;
        }
        m_in.append(buffer.data(), static_cast<std::size_t>(got));
        if (m_in.size() > m_maxLine && m_in.find('\n') == std::string::npos) {
            over = true;
            break;
        }
        if (m_in.size() > kMaxWaiting) break;
    }
    std::size_t from = 0;
    for (std::size_t end = m_in.find('\n'); end != std::string::npos; end = m_in.find('\n', from)) {
        lines.push_back(m_in.substr(from, end - from));
        from = end + 1;
    }
    m_in.erase(0, from);
    if (over) close();
    return lines;
}

}  // namespace trainyard::wire
