#pragma once
// HTTP/1.1 on a numeric loopback address in the agent's own loop, for the few requests that a training script makes.
// Limits stand before everything else: connections, headers, bodies, memory, time. Every request must bring a bearer
// token. An agent that was built without http-parser has none: listen() says so ("http.unavailable").
#include <poll.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Result.h"

namespace trainyard::agent {

struct HttpLimits {
    std::size_t connections = 64;
    std::size_t headerBytes = 32 << 10;
    std::size_t bodyBytes = 8 << 20;                  ///< Of a body that is held in memory.
    std::size_t allBodyBytes = 64 << 20;              ///< Of all of them together.
    std::int64_t fileBytes = std::int64_t{64} << 30;  ///< Of a body that goes into a file.
    std::int64_t headMillis = 10'000;                 ///< From a request's first byte to the end of its headers.
    std::int64_t stallMillis = 30'000;                ///< Without a byte in the middle of a body or an answer.
    std::int64_t idleMillis = 300'000;                ///< Between requests.
};

struct HttpRequest {
    std::string method;
    std::string path;                                        ///< Decoded, without the query.
    std::vector<std::pair<std::string, std::string>> query;  ///< Decoded.
    std::string body;
    base::Path file;  ///< Where the body was put instead.
    std::int64_t fileBytes = 0;
    int client = -1;  ///< Whose token it was.

    [[nodiscard]] std::string argument(std::string_view name) const;
};

struct HttpAnswer {
    int status = 200;
    std::string body;
    std::string type = "application/json";
    base::UniqueFd file;  ///< Instead of `body`.
    std::int64_t fileBytes = 0;
};

/// Who answers. Called in the server's service(); must not wait.
class HttpHandler {
public:
    virtual ~HttpHandler() = default;
    /// The headers are there and the token is right. May refuse (an answer), or name a file that the body is put into
    /// (`request.file`; its folder is there).
    [[nodiscard]] virtual std::optional<HttpAnswer> accept(HttpRequest& request) = 0;
    [[nodiscard]] virtual HttpAnswer answer(HttpRequest& request) = 0;
    /// A body that went into a file was cut off.
    virtual void abandoned(const HttpRequest& request) = 0;
};

class HttpServer {
public:
    /// `tokens`: one for each client. Port 0: any.
    [[nodiscard]] static base::Result<HttpServer> listen(const std::string& address, int port,
                                                         std::vector<std::string> tokens, HttpHandler& handler,
                                                         const HttpLimits& limits = {});
    HttpServer(HttpServer&&) noexcept;
    HttpServer& operator=(HttpServer&&) noexcept;
    ~HttpServer();

    [[nodiscard]] int port() const { return m_port; }
    void addDescriptors(std::vector<pollfd>& into) const;
    /// Does what can be done without waiting, for `nanos` at most. True when it did something.
    bool service(std::int64_t nanos);
    [[nodiscard]] bool hasConnections() const { return !m_connections.empty(); }

private:
    struct Connection;
    HttpServer() = default;
    void acceptNew();

    base::UniqueFd m_listener;
    int m_port = 0;
    std::vector<std::string> m_tokens;
    HttpHandler* m_handler = nullptr;
    HttpLimits m_limits;
    std::size_t m_bodyBytes = 0;
    std::vector<std::unique_ptr<Connection>> m_connections;
};

/// "%20" and "+" of a query; nothing for a broken escape or a zero byte.
[[nodiscard]] std::optional<std::string> decodeUrl(std::string_view text, bool plusIsBlank);

}  // namespace trainyard::agent
