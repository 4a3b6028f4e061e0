#include "core/agent/HttpServer.h"

#if TRAINYARD_HAVE_HTTP_PARSER

#include <fcntl.h>
#include <http_parser.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/Clock.h"
#include "core/base/Json.h"
#include "core/wire/NodeLink.h"

namespace trainyard::agent {

namespace {

constexpr std::size_t kHttpReadBytes = 64 << 10;
constexpr std::int64_t kLingerMillis = 2'000;
constexpr std::int64_t kLingerBytes = 64 << 20;
constexpr std::int64_t kMillion = 1'000'000;

const char* phraseOf(int status) {
    switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 413: return "Payload Too Large";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 507: return "Insufficient Storage";
    default: return "Error";
    }
}

HttpAnswer refusal(int status, const char* code, const std::string& message) {
    HttpAnswer answer;
    answer.status = status;
    answer.body = base::dumpJson(base::Json{{"error_code", code}, {"message", message}});
    return answer;
}

/// In a time that does not tell how much of it is right.
bool sameText(std::string_view left, std::string_view right) {
    if (left.size() != right.size()) return false;
    unsigned different = 0;
    for (std::size_t i = 0; i < left.size(); ++i) different |= static_cast<unsigned char>(left[i] ^ right[i]);
    return different == 0;
}

}  // namespace

struct HttpServer::Connection {
    Connection(int socket, HttpServer& owner) : fd(socket), server(&owner) {
        http_parser_init(&parser, HTTP_REQUEST);
        parser.data = this;
        since = base::monotonicNanos();
    }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() { forgetRequest(); }

    enum class Phase { Head, Body, Answer, Linger, Gone };

    base::UniqueFd fd;
    HttpServer* server;
    http_parser parser{};
    Phase phase = Phase::Head;
    std::int64_t since = 0;  ///< Monotonic ns of the last step forward.
    bool begun = false;      ///< A byte of the next request came.
    bool wholeRequest = false;
    bool keepAlive = true;
    std::string pending;  ///< Bytes read that belong to the next request.

    std::string url;
    std::string field;
    std::string value;
    std::string authorization;
    bool expectsContinue = false;
    bool inValue = false;
    std::size_t headerBytes = 0;
    HttpRequest request;
    std::optional<HttpAnswer> refused;
    base::UniqueFd bodyFile;
    std::size_t held = 0;  ///< Of the server's m_bodyBytes.

    std::string out;
    std::size_t sent = 0;
    base::UniqueFd outFile;
    std::int64_t outFileLeft = 0;
    std::int64_t forgotten = 0;  ///< Read after the last answer.

    static Connection& of(http_parser* parser) { return *static_cast<Connection*>(parser->data); }

    void forgetRequest() {
        if (bodyFile.valid() && !wholeRequest) server->m_handler->abandoned(request);
        bodyFile.reset();
        server->m_bodyBytes -= held;
        held = 0;
        request = {};
        refused.reset();
        url.clear();
        field.clear();
        value.clear();
        authorization.clear();
        expectsContinue = inValue = wholeRequest = false;
        headerBytes = 0;
    }

    void endHeader() {
        std::transform(field.begin(), field.end(), field.begin(),
                       [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
        if (field == "authorization") authorization = value;
        if (field == "expect") expectsContinue = value.starts_with("100-");
        field.clear();
        value.clear();
    }

    [[nodiscard]] std::optional<HttpAnswer> readHead() {
        const std::size_t question = url.find('?');
        const auto path = decodeUrl(std::string_view(url).substr(0, question), false);
        if (!path || !path->starts_with('/'))
            return refusal(400, "BAD_REQUEST", "The address of the request cannot be read.");
        request.path = *path;
        std::string_view rest =
            question == std::string::npos ? std::string_view() : std::string_view(url).substr(question + 1);
        while (!rest.empty()) {
            const std::string_view pair = rest.substr(0, rest.find('&'));
            rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
            const std::size_t equals = std::min(pair.find('='), pair.size());
            const auto key = decodeUrl(pair.substr(0, equals), true);
            const auto argument = decodeUrl(pair.substr(std::min(pair.size(), equals + 1)), true);
            if (!key || !argument) return refusal(400, "BAD_REQUEST", "The address of the request cannot be read.");
            request.query.emplace_back(*key, *argument);
        }
        request.method = http_method_str(static_cast<http_method>(parser.method));
        constexpr std::string_view kBearer = "Bearer ";
        for (std::size_t i = 0; i < server->m_tokens.size(); ++i) {
            if (authorization.starts_with(kBearer) &&
                sameText(std::string_view(authorization).substr(kBearer.size()), server->m_tokens[i])) {
                request.client = static_cast<int>(i);
            }
        }
        if (request.client < 0) {
            return refusal(
                401, "UNAUTHENTICATED",
                "This server answers the processes of one run alone; they send MLFLOW_TRACKING_TOKEN as bearer token.");
        }
        if (auto no = server->m_handler->accept(request)) return no;
        const bool known = (parser.flags & F_CONTENTLENGTH) != 0;
        const std::uint64_t most =
            request.file.empty() ? server->m_limits.bodyBytes : static_cast<std::uint64_t>(server->m_limits.fileBytes);
        if (known && parser.content_length > most) return tooLarge(most);
        if (!request.file.empty()) {
            bodyFile.reset(::open(request.file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
            if (!bodyFile.valid()) {
                return refusal(507, "INTERNAL_ERROR",
                               base::errnoError(errno, "The file cannot be written", request.file).message);
            }
        }
        return {};
    }

    static HttpAnswer tooLarge(std::uint64_t most) {
        return refusal(413, "INVALID_PARAMETER_VALUE",
                       "The body of a request may have " + std::to_string(most) + " bytes here.");
    }

    int onHead() {
        endHeader();
        phase = Phase::Body;
        refused = readHead();
        if (refused) {
            http_parser_pause(&parser, 1);
        } else if (expectsContinue) {
            out = "HTTP/1.1 100 Continue\r\n\r\n";
            sendSome();
        }
        return 0;
    }

    int onBody(const char* bytes, std::size_t size) {
        if (refused) return 0;
        if (bodyFile.valid()) {
            request.fileBytes += static_cast<std::int64_t>(size);
            if (request.fileBytes > server->m_limits.fileBytes) {
                refused = tooLarge(static_cast<std::uint64_t>(server->m_limits.fileBytes));
            } else if (const auto written = base::writeAll(bodyFile.get(), {bytes, size}, request.file);
                       !written.ok()) {
                refused = refusal(507, "INTERNAL_ERROR", written.error().message);
            }
        } else if (request.body.size() + size > server->m_limits.bodyBytes) {
            refused = tooLarge(server->m_limits.bodyBytes);
        } else if (server->m_bodyBytes + size > server->m_limits.allBodyBytes) {
            refused = refusal(503, "TEMPORARILY_UNAVAILABLE", "Too many requests are on their way at once.");
        } else {
            request.body.append(bytes, size);
            held += size;
            server->m_bodyBytes += size;
        }
        if (refused) http_parser_pause(&parser, 1);
        return 0;
    }

    /// Takes bytes up to the end of one request.
    void feed(std::string_view bytes) {
        static const http_parser_settings kSettings = [] {
            http_parser_settings made;
            http_parser_settings_init(&made);
            made.on_url = [](http_parser* p, const char* at, size_t n) {
                of(p).url.append(at, n);
                return of(p).count(n);
            };
            made.on_header_field = [](http_parser* p, const char* at, size_t n) {
                Connection& self = of(p);
                if (self.inValue) self.endHeader();
                self.inValue = false;
                self.field.append(at, n);
                return self.count(n);
            };
            made.on_header_value = [](http_parser* p, const char* at, size_t n) {
                of(p).inValue = true;
                of(p).value.append(at, n);
                return of(p).count(n);
            };
            made.on_headers_complete = [](http_parser* p) { return of(p).onHead(); };
            made.on_body = [](http_parser* p, const char* at, size_t n) { return of(p).onBody(at, n); };
            made.on_message_complete = [](http_parser* p) {
                Connection& self = of(p);
                self.wholeRequest = true;
                self.keepAlive = http_should_keep_alive(p) != 0;
                http_parser_pause(p, 1);
                return 0;
            };
            return made;
        }();
        begun = true;
        const std::size_t used = http_parser_execute(&parser, &kSettings, bytes.data(), bytes.size());
        const auto error = static_cast<http_errno>(parser.http_errno);
        if (refused) {
            keepAlive = false;
            reply(std::move(*refused));
        } else if (wholeRequest) {
            pending.assign(bytes.substr(std::min(bytes.size(), used)));
            http_parser_pause(&parser, 0);
            bodyFile.reset();
            HttpAnswer answer = server->m_handler->answer(request);
            reply(std::move(answer));
        } else if (headerBytes > server->m_limits.headerBytes || error == HPE_HEADER_OVERFLOW) {
            keepAlive = false;
            reply(refusal(431, "BAD_REQUEST", "The headers of the request are too long."));
        } else if (error != HPE_OK) {
            keepAlive = false;
            reply(refusal(400, "BAD_REQUEST",
                          std::string("This is no HTTP request: ") + http_errno_description(error) + "."));
        } else if (parser.upgrade != 0) {
            keepAlive = false;
            reply(refusal(501, "BAD_REQUEST", "Other protocols are not spoken here."));
        }
    }

    int count(std::size_t bytes) {
        headerBytes += bytes;
        return headerBytes > server->m_limits.headerBytes ? 1 : 0;
    }

    void reply(HttpAnswer answer) {
        const std::int64_t size =
            answer.file.valid() ? answer.fileBytes : static_cast<std::int64_t>(answer.body.size());
        const bool head = request.method == "HEAD";
        out.erase(0, sent);
        sent = 0;
        out += "HTTP/1.1 " + std::to_string(answer.status) + " " + phraseOf(answer.status) +
               "\r\nContent-Type: " + answer.type + "\r\nContent-Length: " + std::to_string(size) +
               (keepAlive ? "\r\n\r\n" : "\r\nConnection: close\r\n\r\n");
        if (!head && !answer.file.valid()) out += answer.body;
        if (!head && answer.file.valid()) {
            outFile = std::move(answer.file);
            outFileLeft = size;
        }
        phase = Phase::Answer;
        since = base::monotonicNanos();
        sendSome();
    }

    /// True when something went out.
    bool sendSome() {
        bool moved = false;
        while (true) {
            if (sent == out.size() && outFileLeft > 0) {
                out.resize(kHttpReadBytes);
                sent = 0;
                const ssize_t got = ::read(outFile.get(), out.data(),
                                           std::min<std::size_t>(out.size(), static_cast<std::size_t>(outFileLeft)));
                out.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
                if (got <= 0) {  // Shorter than it was: the client must not take it for whole.
                    phase = Phase::Gone;
                    return moved;
                }
                outFileLeft -= got;
            }
            if (sent == out.size()) break;
            const ssize_t put = ::send(fd.get(), out.data() + sent, out.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (put < 0 && errno == EINTR) continue;
            if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return moved;
            if (put <= 0) {
                phase = Phase::Gone;
                return moved;
            }
            sent += static_cast<std::size_t>(put);
            since = base::monotonicNanos();
            moved = true;
        }
        out.clear();
        sent = 0;
        outFile.reset();
        if (phase != Phase::Answer) return moved;
        forgetRequest();
        if (keepAlive) {
            phase = Phase::Head;
            begun = !pending.empty();
            http_parser_init(&parser, HTTP_REQUEST);
            parser.data = this;
        } else {
            // What the client still sends is read and forgotten, so that it meets the answer and not a reset.
            ::shutdown(fd.get(), SHUT_WR);
            phase = Phase::Linger;
        }
        return moved;
    }

    /// One step. True when it moved.
    bool step() {
        if (phase == Phase::Answer) return sendSome();
        if (phase == Phase::Head && !pending.empty()) {
            const std::string bytes = std::exchange(pending, {});
            since = base::monotonicNanos();
            feed(bytes);
            return true;
        }
        static std::string buffer(kHttpReadBytes, '\0');  // The agent has one thread.
        ssize_t got = 0;
        do {
            got = ::recv(fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        } while (got < 0 && errno == EINTR);
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
        if (got <= 0) {
            phase = Phase::Gone;
            return false;
        }
        if (phase == Phase::Linger) {
            forgotten += got;
            if (forgotten > kLingerBytes) phase = Phase::Gone;
            return true;
        }
        // The time for the headers counts from their first byte, whatever trickles in behind it.
        if (phase != Phase::Head || !begun) since = base::monotonicNanos();
        feed(std::string_view(buffer).substr(0, static_cast<std::size_t>(got)));
        return true;
    }

    void watchTime() {
        const HttpLimits& limits = server->m_limits;
        const std::int64_t millis = phase == Phase::Linger ? kLingerMillis
                                    : phase == Phase::Head ? (begun ? limits.headMillis : limits.idleMillis)
                                                           : limits.stallMillis;
        if (base::monotonicNanos() - since < millis * kMillion) return;
        if ((phase == Phase::Head && begun) || phase == Phase::Body) {
            keepAlive = false;
            reply(refusal(408, "REQUEST_TIMEOUT", "The request did not come to its end in time."));
        } else {
            phase = Phase::Gone;
        }
    }
};

base::Result<HttpServer> HttpServer::listen(const std::string& address, int port, std::vector<std::string> tokens,
                                            HttpHandler& handler, const HttpLimits& limits) {
    const auto place = wire::numericAddress(address, port);
    if (!place.ok()) return place.error();
    HttpServer server;
    server.m_tokens = std::move(tokens);
    server.m_handler = &handler;
    server.m_limits = limits;
    server.m_listener.reset(::socket(place->family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int yes = 1;
    ::setsockopt(server.m_listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (::bind(server.m_listener.get(), place->generic(), place->length) != 0 ||
        ::listen(server.m_listener.get(), 128) != 0) {
        return base::Error{"http.listen", "The agent cannot listen on " + address + " port " + std::to_string(port) +
                                              ": " + std::strerror(errno)};
    }
    wire::NumericAddress bound;
    bound.length = sizeof bound.storage;
    if (::getsockname(server.m_listener.get(), reinterpret_cast<sockaddr*>(&bound.storage), &bound.length) != 0) {
        return base::Error{"http.listen", std::string("getsockname: ") + std::strerror(errno)};
    }
    server.m_port = ntohs(bound.family() == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&bound.storage)->sin6_port
                                                     : reinterpret_cast<const sockaddr_in*>(&bound.storage)->sin_port);
    return server;
}

HttpServer::HttpServer(HttpServer&& other) noexcept { *this = std::move(other); }

HttpServer& HttpServer::operator=(HttpServer&& other) noexcept {
    m_connections.clear();
    m_listener = std::move(other.m_listener);
    m_port = other.m_port;
    m_tokens = std::move(other.m_tokens);
    m_handler = other.m_handler;
    m_limits = other.m_limits;
    m_bodyBytes = other.m_bodyBytes;
    m_connections = std::move(other.m_connections);
    for (auto& connection : m_connections) connection->server = this;
    return *this;
}

HttpServer::~HttpServer() = default;

void HttpServer::addDescriptors(std::vector<pollfd>& into) const {
    if (m_connections.size() < m_limits.connections) into.push_back({m_listener.get(), POLLIN, 0});
    for (const auto& connection : m_connections) {
        const bool writes = connection->phase == Connection::Phase::Answer;
        into.push_back({connection->fd.get(), static_cast<short>(writes ? POLLOUT : POLLIN), 0});
    }
}

void HttpServer::acceptNew() {
    while (m_connections.size() < m_limits.connections) {
        const int fd = ::accept4(m_listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) return;
        const int yes = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        m_connections.push_back(std::make_unique<Connection>(fd, *this));
    }
}

bool HttpServer::service(std::int64_t nanos) {
    const std::int64_t end = base::monotonicNanos() + nanos;
    bool moved = false;
    bool again = true;
    while (again) {
        again = false;
        acceptNew();
        for (const auto& connection : m_connections) again = connection->step() || again;
        for (const auto& connection : m_connections) connection->watchTime();
        std::erase_if(m_connections,
                      [](const auto& connection) { return connection->phase == Connection::Phase::Gone; });
        moved = moved || again;
        if (base::monotonicNanos() >= end) break;
    }
    return moved;
}

}  // namespace trainyard::agent

#else

namespace trainyard::agent {

struct HttpServer::Connection {};

base::Result<HttpServer> HttpServer::listen(const std::string&, int, std::vector<std::string>, HttpHandler&,
                                            const HttpLimits&) {
    return base::Error{"http.unavailable", "this agent was built without http-parser."};
}

HttpServer::HttpServer(HttpServer&&) noexcept = default;
HttpServer& HttpServer::operator=(HttpServer&&) noexcept = default;
HttpServer::~HttpServer() = default;

void HttpServer::addDescriptors(std::vector<pollfd>&) const {}

bool HttpServer::service(std::int64_t) { return false; }

}  // namespace trainyard::agent

#endif
