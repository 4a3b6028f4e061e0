#include "core/agent/NodeHub.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "core/base/Clock.h"

namespace trainyard::agent {

namespace {

constexpr std::size_t kMaxStrangers = 32;
constexpr std::int64_t kHelloMillis = 5000;

std::string textOf(const ifaddrs& entry) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (!entry.ifa_addr) return {};
    const void* bytes = nullptr;
    if (entry.ifa_addr->sa_family == AF_INET) bytes = &reinterpret_cast<const sockaddr_in*>(entry.ifa_addr)->sin_addr;
    if (entry.ifa_addr->sa_family == AF_INET6)
        bytes = &reinterpret_cast<const sockaddr_in6*>(entry.ifa_addr)->sin6_addr;
    if (!bytes || !::inet_ntop(entry.ifa_addr->sa_family, bytes, text.data(), text.size())) return {};
    return text.data();
}

struct Interfaces {
    Interfaces() {
        if (::getifaddrs(&first) != 0) first = nullptr;
    }
    Interfaces(const Interfaces&) = delete;
    Interfaces& operator=(const Interfaces&) = delete;
    ~Interfaces() {
        if (first) ::freeifaddrs(first);
    }
    ifaddrs* first = nullptr;
};

}  // namespace

std::string ownAddress() {
    const Interfaces all;
    for (const ifaddrs* entry = all.first; entry; entry = entry->ifa_next) {
        const bool up = (entry->ifa_flags & IFF_UP) != 0 && (entry->ifa_flags & IFF_LOOPBACK) == 0;
        if (up && entry->ifa_addr && entry->ifa_addr->sa_family == AF_INET) return textOf(*entry);
    }
    return "127.0.0.1";
}

std::string interfaceOf(const std::string& address) {
    if (address.starts_with("127.")) return "lo";
    const Interfaces all;
    for (const ifaddrs* entry = all.first; entry; entry = entry->ifa_next) {
        if (textOf(*entry) == address) return entry->ifa_name;
    }
    return {};
}

std::string NodeHub::Member::phase() const {
    const auto found = status.find("phase");
    return found != status.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Result<NodeHub> NodeHub::listen(const wire::Plan& plan, const std::string& address, int port) {
    auto place = wire::numericAddress(address, port);
    if (!place.ok()) return place.error();
    NodeHub hub;
    hub.m_token = plan.token;
    hub.m_run = plan.run.str();
    hub.m_attempt = plan.attempt;
    hub.m_peers = plan.peers;
    hub.m_members.resize(static_cast<std::size_t>(plan.nodes));
    for (Member& member : hub.m_members) member.heardAt = base::monotonicNanos();
    hub.m_listener.reset(::socket(place->family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int yes = 1;
    ::setsockopt(hub.m_listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (::bind(hub.m_listener.get(), place->generic(), place->length) != 0 || ::listen(hub.m_listener.get(), 64) != 0) {
        return base::Error{"node.listen", "Node 0 cannot listen on " + address + " port " + std::to_string(port) +
                                              ": " + std::strerror(errno)};
    }
    wire::NumericAddress bound;
    bound.length = sizeof bound.storage;
    if (::getsockname(hub.m_listener.get(), reinterpret_cast<sockaddr*>(&bound.storage), &bound.length) != 0) {
        return base::Error{"node.listen", std::string("getsockname: ") + std::strerror(errno)};
    }
    hub.m_port = ntohs(bound.family() == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&bound.storage)->sin6_port
                                                  : reinterpret_cast<const sockaddr_in*>(&bound.storage)->sin_port);
    return hub;
}

std::string NodeHub::name(int node) const {
    const auto index = static_cast<std::size_t>(node);
    std::string host = m_members[index].host;
    if (host.empty() && index < m_peers.size()) host = m_peers[index].host;
    return "node " + std::to_string(node) + (host.empty() ? "" : " (" + host + ")");
}

void NodeHub::addDescriptors(std::vector<pollfd>& into) const {
    if (m_strangers.size() < kMaxStrangers) into.push_back({m_listener.get(), POLLIN, 0});
    const auto add = [&into](const wire::LineSocket& socket) {
        if (socket.open())
            into.push_back({socket.fd(), static_cast<short>(POLLIN | (socket.wantsToWrite() ? POLLOUT : 0)), 0});
    };
    for (const Stranger& stranger : m_strangers) add(stranger.socket);
    for (const Member& member : m_members) add(member.socket);
}

void NodeHub::setOrder(int node, Json order) {
    Member& member = m_members[static_cast<std::size_t>(node)];
    if (member.order == order) return;
    member.order = std::move(order);
    member.socket.send(member.order);
}

std::optional<std::pair<int, std::string>> NodeHub::takeRefused() {
    if (m_refused == 0) return {};
    return std::pair(std::exchange(m_refused, 0), m_whyRefused);
}

void NodeHub::service(std::int64_t wallMicros) {
    acceptAll();
    m_wall = wallMicros;
    hearStrangers();
    for (Member& member : m_members) {
        if (!member.socket.open()) continue;
        for (const std::string& line : member.socket.pump()) take(member, line, wallMicros);
    }
}

void NodeHub::acceptAll() {
    while (m_strangers.size() < kMaxStrangers) {
        base::UniqueFd fd(::accept4(m_listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!fd.valid()) return;
        const int yes = 1;
        ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        m_strangers.push_back(
            {wire::LineSocket(std::move(fd), wire::kMaxHelloLine), base::Deadline::inMillis(kHelloMillis)});
    }
}

void NodeHub::refuse(Stranger& stranger, const char* code, const std::string& reason) {
    ++m_refused;
    m_whyRefused = reason;
    stranger.socket.send(Json{{"kind", "refused"}, {"code", code}, {"reason", reason}, {"attempt", m_attempt}});
    stranger.socket.close();
}

void NodeHub::hearStrangers() {
    for (Stranger& stranger : m_strangers) {
        std::vector<std::string> lines = stranger.socket.pump();
        if (!lines.empty()) {
            std::string first = std::move(lines.front());
            lines.erase(lines.begin());
            greet(stranger, first, std::move(lines), m_wall);
        } else if (stranger.until.passed()) {
            refuse(stranger, "node.silent", "A connection said nothing.");
        }
    }
    std::erase_if(m_strangers, [](const Stranger& stranger) { return !stranger.socket.open(); });
}

void NodeHub::greet(Stranger& stranger, const std::string& line, std::vector<std::string> rest,
                    std::int64_t wallMicros) {
    const auto hello = wire::helloFromLine(line);
    if (!hello.ok()) return refuse(stranger, "node.hello", hello.error().message);
    if (!wire::sameToken(hello->token, m_token) || hello->run != m_run) {
        return refuse(stranger, "node.token", "A connection did not know the run's token.");
    }
    if (hello->attempt != m_attempt) {
        return refuse(stranger, "node.attempt",
                      "Node " + std::to_string(hello->node) + " is at attempt " + std::to_string(hello->attempt) +
                          ", not " + std::to_string(m_attempt) + ".");
    }
    if (hello->node < 1 || hello->node >= count()) {
        return refuse(stranger, "node.number", "There is no node " + std::to_string(hello->node) + " in this run.");
    }
    Member& member = m_members[static_cast<std::size_t>(hello->node)];
    member.socket = std::move(stranger.socket);
    member.socket.setMaxLine(wire::kMaxNodeLine);
    member.joined = true;
    member.host = hello->host;
    member.heardAt = base::monotonicNanos();
    member.socket.send(Json{{"kind", "welcome"}});
    if (!member.order.empty()) member.socket.send(member.order);
    for (const std::string& next : rest) take(member, next, wallMicros);
}

void NodeHub::take(Member& member, const std::string& line, std::int64_t wallMicros) {
    auto message = base::parseJson(line);
    if (!message.ok() || !message->is_object()) {
        member.socket.close();
        return;
    }
    member.heardAt = base::monotonicNanos();
    const auto kind = message->find("kind");
    if (kind == message->end()) return;
    if (*kind == "beat") {
        member.socket.send(Json{{"kind", "beat"}, {"t", message->value("t", Json(0))}, {"lead", wallMicros}});
    } else if (*kind == "status") {
        member.status = std::move(message).value();
    }
}

}  // namespace trainyard::agent
