// exec: a program without a shell; listen and reach: the two halves of the doctor's test of a pair of nodes.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "core/agent/Child.h"
#include "core/agent/ServeVerbs.h"
#include "core/base/Clock.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace {

constexpr std::size_t kMostKept = 1 << 20;
/// Both outputs together must fit into one frame's header.
constexpr std::size_t kMostAnswered = 450'000;
constexpr std::size_t kChunkBytes = 64 << 10;
/// After its end, for what it left behind to close its output.
constexpr std::int64_t kDrainMillis = 500;
constexpr int kMostMillis = 86'400'000;
constexpr std::size_t kMostNonce = 256;

class ExecRequest final : public ServeRequest {
public:
    ExecRequest(ServeContext& context, std::int64_t id, const ChildSpec& spec, std::string input,
                std::int64_t inputBytes, std::int64_t limitMillis, bool stream)
        : ServeRequest(context, id), m_input(std::move(input)), m_inputBytes(inputBytes),
          m_deadline(base::Deadline::inMillis(limitMillis)), m_stream(stream) {
        auto child = Child::start(spec);
        if (!child.ok()) {
            fail(child.error());
            return;
        }
        m_child.emplace(std::move(child).value());
    }

    void frame(const Json& header, std::string payload) override {
        m_credit.acknowledged(header);
        if (!header.contains("data")) return;
        m_input.erase(0, std::exchange(m_written, 0));
        m_input += payload;
    }

    void watch(std::vector<pollfd>& polls) const override {
        if (!m_child) return;
        if (mayTake()) {
            for (const int fd : {m_child->out.get(), m_child->err.get()}) {
                if (fd >= 0) polls.push_back({fd, POLLIN, 0});
            }
        }
        if (m_child->in.valid() && m_written < m_input.size()) polls.push_back({m_child->in.get(), POLLOUT, 0});
    }

    [[nodiscard]] std::int64_t pause() const override {
        return m_endedAt != 0 ? 10 : std::clamp<std::int64_t>(m_deadline.millisLeft(), 1, kNever);
    }

    void turn() override {
        if (finished() || !m_child) return;
        feed();
        const auto end = m_child->end();
        if (mayTake()) {
            take(m_child->out, m_out, "out");
            take(m_child->err, m_err, "err");
        }
        if (end) {
            const std::int64_t now = base::monotonicNanos();
            if (m_endedAt == 0) m_endedAt = now;
            const bool silent = !m_child->out.valid() && !m_child->err.valid();
            if (silent || now - m_endedAt >= kDrainMillis * 1'000'000) conclude(*end);
        } else if (m_deadline.passed()) {
            m_child->stop();
            fail({"target.deadline", "The program did not end in time and was ended."});
        }
    }

private:
    [[nodiscard]] bool mayTake() const { return !m_stream || (out().roomy() && m_credit.open()); }

    void feed() {
        if (!m_child->in.valid()) return;
        const std::int64_t before = m_given;
        while (m_written < m_input.size()) {
            const ssize_t put = ::write(m_child->in.get(), m_input.data() + m_written, m_input.size() - m_written);
            if (put < 0 && errno == EINTR) continue;
            if (put < 0 && errno == EAGAIN) break;
            if (put < 0) {
                m_child->in.reset();  // It does not read on; the rest is not needed.
                return;
            }
            m_written += static_cast<std::size_t>(put);
            m_given += put;
        }
        if (m_given >= m_inputBytes) {
            m_child->in.reset();
        } else if (m_given > before) {
            event({{"ack", m_given}});
        }
    }

    void take(base::UniqueFd& fd, std::string& kept, const char* name) {
        if (!fd.valid()) return;
        std::string fresh;
        if (!readAvailable(fd.get(), fresh, kChunkBytes)) fd.reset();
        if (m_stream) {
            m_credit.sent(fresh.size());
            if (!fresh.empty()) event({{"event", name}}, fresh);
            return;
        }
        const std::size_t room = kMostKept - std::min(kMostKept, kept.size());
        m_truncated = m_truncated || fresh.size() > room;
        kept.append(fresh, 0, room);
    }

    /// What fits, as JSON text: escapes make it longer.
    std::string answeredText(const std::string& kept) {
        std::string text = base::toValidUtf8(kept);
        while (base::dumpJson(Json(text)).size() > kMostAnswered) {
            text.resize(text.size() * 3 / 4);
            text = base::toValidUtf8(text);
            m_truncated = true;
        }
        return text;
    }

    void conclude(const ChildEnd& end) {
        Json answer = Json::object();
        answer["exit"] = end.signal != 0 ? -1 : end.exit;
        answer["signal"] = end.signal;
        answer["out"] = answeredText(m_out);
        answer["err"] = answeredText(m_err);
        answer["truncated"] = m_truncated;
        m_child->stop();
        done(std::move(answer));
    }

    std::string m_input;
    std::size_t m_written = 0;
    std::int64_t m_inputBytes;  ///< In all.
    std::int64_t m_given = 0;   ///< Of these, to the program.
    ServeCredit m_credit;
    base::Deadline m_deadline;
    bool m_stream;
    std::optional<Child> m_child;
    std::string m_out;
    std::string m_err;
    std::int64_t m_endedAt = 0;  ///< Monotonic ns.
    bool m_truncated = false;
};

/// A numeric address, IPv4 or IPv6, as a socket address; "%eth0" behind an IPv6 one is not taken.
struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t length = 0;
    [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
    [[nodiscard]] int family() const { return storage.ss_family; }

    [[nodiscard]] static Result<SocketAddress> of(const std::string& text, int port) {
        SocketAddress address;
        auto* const four = reinterpret_cast<sockaddr_in*>(&address.storage);
        auto* const six = reinterpret_cast<sockaddr_in6*>(&address.storage);
        if (::inet_pton(AF_INET, text.c_str(), &four->sin_addr) == 1) {
            four->sin_family = AF_INET;
            four->sin_port = htons(static_cast<std::uint16_t>(port));
            address.length = sizeof *four;
        } else if (::inet_pton(AF_INET6, text.c_str(), &six->sin6_addr) == 1) {
            six->sin6_family = AF_INET6;
            six->sin6_port = htons(static_cast<std::uint16_t>(port));
            address.length = sizeof *six;
        } else {
            return Error{"serve.address",
                         "\"" + base::stripControl(base::toValidUtf8(text.substr(0, 80))) + "\" is no numeric address.",
                         "address"};
        }
        return address;
    }

    [[nodiscard]] std::string text() const {
        std::array<char, INET6_ADDRSTRLEN> buffer{};
        const void* const from =
            family() == AF_INET ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr)
                                : static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr);
        const char* const text = ::inet_ntop(family(), from, buffer.data(), buffer.size());
        return text == nullptr ? std::string() : text;
    }
    [[nodiscard]] int port() const {
        return ntohs(family() == AF_INET ? reinterpret_cast<const sockaddr_in*>(&storage)->sin_port
                                         : reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port);
    }
};

/// Waits on a port of its own for one connection that says the nonce; others are dropped.
class ListenRequest final : public ServeRequest {
public:
    ListenRequest(ServeContext& context, std::int64_t id, SocketAddress address, std::string nonce,
                  std::int64_t limitMillis)
        : ServeRequest(context, id), m_nonce(std::move(nonce)), m_deadline(base::Deadline::inMillis(limitMillis)) {
        m_listener.reset(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (!m_listener.valid() || ::bind(m_listener.get(), address.get(), address.length) != 0 ||
            ::listen(m_listener.get(), 4) != 0) {
            fail({"pair.listen", "Cannot listen on " + address.text() + ": " + std::strerror(errno) +
                                     ". Is it an address of this host?"});
            return;
        }
        address.length = sizeof address.storage;
        if (::getsockname(m_listener.get(), address.get(), &address.length) != 0) {
            fail({"pair.listen", std::string("The port cannot be found out: ") + std::strerror(errno) + "."});
            return;
        }
        event({{"event", "listening"}, {"port", address.port()}});
    }

    void watch(std::vector<pollfd>& polls) const override {
        polls.push_back({m_listener.get(), POLLIN, 0});
        if (m_peer.valid()) polls.push_back({m_peer.get(), POLLIN, 0});
    }
    [[nodiscard]] std::int64_t pause() const override {
        return std::clamp<std::int64_t>(m_deadline.millisLeft(), 1, kNever);
    }

    void turn() override {
        if (finished()) return;
        if (m_deadline.passed()) {
            fail({"target.deadline", "Nobody connected in time."});
            return;
        }
        if (!m_peer.valid()) {
            SocketAddress from;
            from.length = sizeof from.storage;
            m_peer.reset(::accept4(m_listener.get(), from.get(), &from.length, SOCK_CLOEXEC | SOCK_NONBLOCK));
            m_heard.clear();
            if (!m_peer.valid()) return;
            m_from = from.text();
        }
        const bool open = readAvailable(m_peer.get(), m_heard, kMostNonce + 1);
        if (m_heard == m_nonce) {
            done({{"from", m_from}});
        } else if (!open || !m_nonce.starts_with(m_heard)) {
            m_peer.reset();
        }
    }

private:
    std::string m_nonce;
    base::Deadline m_deadline;
    base::UniqueFd m_listener;
    base::UniqueFd m_peer;
    std::string m_from;
    std::string m_heard;
};

class ReachRequest final : public ServeRequest {
public:
    ReachRequest(ServeContext& context, std::int64_t id, SocketAddress address, std::string nonce,
                 std::int64_t limitMillis)
        : ServeRequest(context, id), m_where(address.text() + " port " + std::to_string(address.port())),
          m_nonce(std::move(nonce)), m_begun(base::monotonicNanos()),
          m_deadline(base::Deadline::inMillis(limitMillis)) {
        m_socket.reset(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (!m_socket.valid() ||
            (::connect(m_socket.get(), address.get(), address.length) != 0 && errno != EINPROGRESS)) {
            unreachable(errno);
        }
    }

    void watch(std::vector<pollfd>& polls) const override { polls.push_back({m_socket.get(), POLLOUT, 0}); }
    [[nodiscard]] std::int64_t pause() const override {
        return std::clamp<std::int64_t>(m_deadline.millisLeft(), 1, kNever);
    }

    void turn() override {
        if (finished()) return;
        if (m_deadline.passed()) {
            unreachable(ETIMEDOUT);
            return;
        }
        pollfd ready{m_socket.get(), POLLOUT, 0};
        if (::poll(&ready, 1, 0) <= 0) return;
        int error = 0;
        socklen_t length = sizeof error;
        if (::getsockopt(m_socket.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error != 0) {
            unreachable(error == 0 ? errno : error);
            return;
        }
        const std::int64_t nanos = base::monotonicNanos() - m_begun;
        if (::send(m_socket.get(), m_nonce.data(), m_nonce.size(), MSG_NOSIGNAL) !=
            static_cast<ssize_t>(m_nonce.size())) {
            unreachable(errno);
            return;
        }
        done({{"nanos", nanos}});
    }

private:
    void unreachable(int error) {
        fail({"pair.reach",
              m_where + " cannot be reached from here: " + std::strerror(error) +
                  ". A firewall between the nodes, or the wrong address or interface in the target's definition."});
    }

    std::string m_where;
    std::string m_nonce;
    std::int64_t m_begun;  ///< Monotonic ns.
    base::Deadline m_deadline;
    base::UniqueFd m_socket;
};

std::string takeNonce(ServeArguments& arguments) {
    std::string nonce = arguments.reader().string("nonce");
    if (nonce.empty() || nonce.size() > kMostNonce) {
        arguments.reader().fail("serve.nonce", "nonce", "\"nonce\" must have 1 to 256 bytes.");
    }
    return nonce;
}

}  // namespace

MadeRequest serveExec(ServeContext& context, std::int64_t id, const Json& header, std::string payload) {
    ServeArguments arguments(header);
    ChildSpec spec;
    spec.argv = arguments.reader().strings("argv");
    spec.folder = arguments.reader().string("cwd");
    spec.environment = arguments.reader().stringMap("environment");
    const auto there = static_cast<std::int64_t>(payload.size());
    const std::int64_t inputBytes = std::max(there, arguments.reader().integer("stdin_bytes", there));
    spec.pipeIn = inputBytes > 0;
    const int limit = arguments.number("limit_ms", 1, kMostMillis, 60'000);
    const bool stream = arguments.reader().boolean("stream");
    if (spec.argv.empty()) arguments.reader().fail("serve.argv", "argv", "\"argv\" is empty.");
    const auto holdsNul = [](const std::string& text) { return text.find('\0') != std::string::npos; };
    bool nul = std::any_of(spec.argv.begin(), spec.argv.end(), holdsNul) || holdsNul(spec.folder);
    for (const auto& [name, value] : spec.environment) {
        nul = nul || holdsNul(name) || holdsNul(value);
        if (name.empty() || name.find('=') != std::string::npos) {
            arguments.reader().fail("serve.environment", "environment", "A variable's name is empty or holds '='.");
        }
    }
    if (nul) arguments.reader().fail("serve.argv", "argv", "An argument holds a NUL byte.");
    TRAINYARD_TRY(arguments.status());
    if (spec.folder.empty()) spec.folder = base::homeFolder().string();
    return ServeRequestPtr(
        std::make_unique<ExecRequest>(context, id, spec, std::move(payload), inputBytes, limit, stream));
}

MadeRequest serveListen(ServeContext& context, std::int64_t id, const Json& header, std::string) {
    ServeArguments arguments(header);
    const auto address = SocketAddress::of(arguments.reader().string("address", "0.0.0.0"), 0);
    const std::string nonce = takeNonce(arguments);
    const int limit = arguments.number("limit_ms", 1, 600'000, 10'000);
    TRAINYARD_TRY(arguments.status());
    if (!address.ok()) return address.error();
    return ServeRequestPtr(std::make_unique<ListenRequest>(context, id, *address, nonce, limit));
}

MadeRequest serveReach(ServeContext& context, std::int64_t id, const Json& header, std::string) {
    ServeArguments arguments(header);
    const auto address =
        SocketAddress::of(arguments.reader().string("address"), arguments.number("port", 1, 65'535, 1));
    const std::string nonce = takeNonce(arguments);
    const int limit = arguments.number("limit_ms", 1, 600'000, 5'000);
    TRAINYARD_TRY(arguments.status());
    if (!address.ok()) return address.error();
    return ServeRequestPtr(std::make_unique<ReachRequest>(context, id, *address, nonce, limit));
}

}  // namespace trainyard::agent
