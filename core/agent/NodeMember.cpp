#include "core/agent/NodeMember.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "core/base/Json.h"

namespace trainyard::agent {

namespace {

constexpr std::int64_t kRetryNanos = 200'000'000;
constexpr std::int64_t kConnectNanos = 3'000'000'000;

}  // namespace

NodeMember::NodeMember(const wire::Plan& plan, std::string host, Path leadFile)
    : m_plan(plan), m_host(std::move(host)), m_leadFile(std::move(leadFile)), m_heardAt(base::monotonicNanos()) {}

std::string NodeMember::phase() const { return base::jsonText(m_order, "phase"); }

void NodeMember::addDescriptors(std::vector<pollfd>& into) const {
    if (!m_socket.open()) return;
    const bool write = m_connecting || m_socket.wantsToWrite();
    into.push_back({m_socket.fd(), static_cast<short>(POLLIN | (write ? POLLOUT : 0)), 0});
}

void NodeMember::setStatus(Json status) {
    status["kind"] = "status";
    if (status == m_status) return;
    m_status = std::move(status);
    if (m_welcome && m_socket.open()) m_socket.send(m_status);
}

void NodeMember::connect() {
    const std::int64_t now = base::monotonicNanos();
    if (now < m_nextTry) return;
    m_nextTry = now + kRetryNanos;
    m_welcome = false;
    std::string address = m_plan.peers.empty() ? std::string() : m_plan.peers.front().address;
    int port = m_plan.leadPort;
    if (port == 0 || address.empty()) {
        const auto lead = readJsonFile(m_leadFile);
        if (!lead.ok() || !lead->is_object()) return;
        address = base::jsonText(*lead, "address");
        port = static_cast<int>(std::clamp<std::int64_t>(base::jsonInteger(*lead, "port"), 0, 65535));
    }
    const auto place = wire::numericAddress(address, port);
    if (!place.ok() || port == 0) return;
    base::UniqueFd fd(::socket(place->family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int yes = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (::connect(fd.get(), place->generic(), place->length) != 0 && errno != EINPROGRESS) return;
    m_socket = wire::LineSocket(std::move(fd), wire::kMaxNodeLine);
    m_connecting = true;
    m_nextTry = now + kConnectNanos;
}

void NodeMember::service(std::int64_t wallMicros) {
    const std::int64_t now = base::monotonicNanos();
    if (!m_socket.open()) {
        connect();
        if (!m_socket.open()) return;
    }
    if (m_connecting) {
        pollfd ready{m_socket.fd(), POLLOUT, 0};
        if (::poll(&ready, 1, 0) <= 0) {
            if (now > m_nextTry) m_socket.close();
            return;
        }
        int error = 0;
        socklen_t length = sizeof error;
        if (::getsockopt(m_socket.fd(), SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error != 0) {
            m_socket.close();
            m_nextTry = now + kRetryNanos;
            return;
        }
        m_connecting = false;
        m_socket.send(toJson(wire::NodeHello{m_plan.token, m_plan.run.str(), m_plan.attempt, m_plan.node, m_host}));
    }
    for (const std::string& line : m_socket.pump()) take(line, wallMicros);
    if (m_socket.open() && !m_welcome && now > m_nextTry) m_socket.close();
    if (!m_socket.open()) m_nextTry = now + kRetryNanos;
    const std::int64_t beat = std::min<std::int64_t>(wire::kNodeBeatMillis, m_plan.silenceSeconds * 250) * 1'000'000;
    if (m_welcome && m_socket.open() && now - m_lastBeat >= beat) {
        m_lastBeat = now;
        m_socket.send(Json{{"kind", "beat"}, {"t", wallMicros}});
        // A cut cable is noticed by the silence alone; a new connection may find its way.
        if (now - m_heardAt > 3 * beat) m_socket.close();
    }
}

void NodeMember::take(const std::string& line, std::int64_t wallMicros) {
    auto message = base::parseJson(line);
    if (!message.ok() || !message->is_object()) {
        m_socket.close();
        return;
    }
    m_heardAt = base::monotonicNanos();
    const std::string kind = base::jsonText(*message, "kind");
    if (kind == "welcome") {
        m_welcome = m_everConnected = true;
        m_refused.reset();
        if (!m_status.empty()) m_socket.send(m_status);
    } else if (kind == "refused") {
        m_refused = base::Error{base::jsonText(*message, "code"), base::jsonText(*message, "reason")};
        m_leadsAttempt =
            static_cast<int>(std::clamp<std::int64_t>(base::jsonInteger(*message, "attempt"), 0, 1'000'000));
        m_socket.close();
    } else if (kind == "order") {
        m_order = std::move(message).value();
    } else if (kind == "beat") {
        const std::int64_t sent = base::jsonInteger(*message, "t");
        const Offset found{base::jsonInteger(*message, "lead") - (sent + wallMicros) / 2, wallMicros - sent};
        if (!m_offset || found.roundTripMicros <= m_offset->roundTripMicros) m_offset = found;
    }
}

}  // namespace trainyard::agent
