// The agent's small HTTP server against clients that send what they should not: half requests, too much, too many,
// garbage.
#include <QtTest>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/agent/HttpServer.h"
#include "core/base/Clock.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard;
using agent::HttpAnswer;
using agent::HttpLimits;
using agent::HttpRequest;
using agent::HttpServer;

namespace {

class Echo final : public agent::HttpHandler {
public:
    std::optional<HttpAnswer> accept(HttpRequest& request) override {
        if (request.path == "/file") request.file = folder / "upload.part";
        return {};
    }
    HttpAnswer answer(HttpRequest& request) override {
        ++answered;
        HttpAnswer answer;
        answer.type = "text/plain";
        answer.body =
            std::to_string(request.client) + " " + request.method + " " + request.path + " " + request.argument("a") +
            " " +
            std::to_string(request.file.empty() ? static_cast<std::int64_t>(request.body.size()) : request.fileBytes);
        return answer;
    }
    void abandoned(const HttpRequest& request) override {
        ++cut;
        ::unlink(request.file.c_str());
    }
    base::Path folder;
    int answered = 0;
    int cut = 0;
};

/// A client in the test's own thread: while it waits, the server works.
class Client {
public:
    explicit Client(HttpServer& server) : m_server(server), m_fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in place{};
        place.sin_family = AF_INET;
        place.sin_port = htons(static_cast<std::uint16_t>(server.port()));
        ::inet_pton(AF_INET, "127.0.0.1", &place.sin_addr);
        m_open = ::connect(m_fd.get(), reinterpret_cast<sockaddr*>(&place), sizeof place) == 0;
    }
    /// Sends all, or until the server closes or answers; returns what was sent.
    std::size_t send(std::string_view bytes, int millis = 30'000) {
        const auto deadline = base::Deadline::inMillis(millis);
        std::size_t sent = 0;
        while (sent < bytes.size() && !deadline.passed()) {
            const ssize_t put =
                ::send(m_fd.get(), bytes.data() + sent, bytes.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (put > 0) sent += static_cast<std::size_t>(put);
            if (put < 0 && errno != EAGAIN) break;
            m_server.service(1'000'000);
        }
        return sent;
    }
    /// Status of the next answer; its body in body(). 0: closed without one, -1: nothing in time.
    int answer(int millis = 30'000) {
        int status = -1;
        take(1, millis, [&](int told, std::string_view body) {
            status = told;
            m_body = body;
        });
        return status == -1 && m_closed ? 0 : status;
    }
    /// How many of the next `count` answers are good, in as few steps as can be.
    int goodAnswers(int count) {
        int good = 0;
        take(count, 30'000, [&](int status, std::string_view) { good += status == 200 ? 1 : 0; });
        return good;
    }
    bool closed(int millis = 30'000) {
        const auto deadline = base::Deadline::inMillis(millis);
        while (!deadline.passed()) {
            if (!more()) return true;
        }
        return false;
    }
    [[nodiscard]] const std::string& body() const { return m_body; }
    [[nodiscard]] bool open() const { return m_open; }
    void shut() { m_fd.reset(); }

private:
    template <class Told>
    void take(int count, int millis, const Told& told) {
        const auto deadline = base::Deadline::inMillis(millis);
        std::size_t at = 0;
        while (count > 0 && !m_closed && !deadline.passed()) {
            const std::size_t head = m_in.find("\r\n\r\n", at);
            const std::size_t length = head == std::string::npos ? head : m_in.find("Content-Length: ", at);
            const std::size_t size =
                length < head ? static_cast<std::size_t>(std::atol(m_in.c_str() + length + 16)) : 0;
            if (head == std::string::npos || m_in.size() < head + 4 + size) {
                m_closed = !more();
                continue;
            }
            told(std::atoi(m_in.c_str() + at + 9), std::string_view(m_in).substr(head + 4, size));
            at = head + 4 + size;
            --count;
        }
        m_in.erase(0, at);
    }
    bool more() {
        m_server.service(1'000'000);
        char buffer[65536];
        const ssize_t got = ::recv(m_fd.get(), buffer, sizeof buffer, MSG_DONTWAIT);
        if (got > 0) m_in.append(buffer, static_cast<std::size_t>(got));
        if (got < 0 && errno == EAGAIN) ::usleep(200);
        return got > 0 || (got < 0 && errno == EAGAIN);
    }
    HttpServer& m_server;
    base::UniqueFd m_fd;
    bool m_open = false;
    bool m_closed = false;
    std::string m_in;
    std::string m_body;
};

std::string request(const std::string& method, const std::string& path, const std::string& body = {},
                    const std::string& token = "secret-1") {
    return method + " " + path + " HTTP/1.1\r\nHost: x\r\nauthorization: Bearer " + token +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

long residentKiB() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

}  // namespace

class TestHttpServer : public QObject {
    Q_OBJECT

private:
    void listen(const HttpLimits& limits = {}) {
        m_echo.folder = m_scratch->path();
        auto server = HttpServer::listen("127.0.0.1", 0, {"secret-0", "secret-1"}, m_echo, limits);
        QVERIFY(server.ok());
        m_server.emplace(std::move(server).value());
    }

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_echo = Echo();
    }
    void cleanup() { m_server.reset(); }

    void requests_areAnsweredInOrderOnOneConnection() {
        listen();
        Client client(*m_server);
        client.send(request("GET", "/a%20b?a=1%2B1+x&b") + request("POST", "/c", "12345") +
                    request("GET", "/d", "", "secret-0"));
        QCOMPARE(client.answer(), 200);
        QCOMPARE(client.body(), std::string("1 GET /a b 1+1 x 0"));
        QCOMPARE(client.answer(), 200);
        QCOMPARE(client.body(), std::string("1 POST /c  5"));
        QCOMPARE(client.answer(), 200);
        QCOMPARE(client.body(), std::string("0 GET /d  0"));
    }

    void requests_mayComeByteByByteAndInChunks() {
        listen();
        Client client(*m_server);
        for (const char c : request("POST", "/slow", "abc")) client.send({&c, 1});
        QCOMPARE(client.answer(), 200);
        client.send("POST /chunks HTTP/1.1\r\nAuthorization: Bearer secret-1\r\nTransfer-Encoding: "
                    "chunked\r\n\r\n4\r\nabcd\r\n3\r\nefg\r\n0\r\n\r\n");
        QCOMPARE(client.answer(), 200);
        QCOMPARE(client.body(), std::string("1 POST /chunks  7"));
    }

    void expectContinue_isAnswered() {
        listen();
        Client client(*m_server);
        client.send(
            "POST /e HTTP/1.1\r\nAuthorization: Bearer secret-1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
        QCOMPARE(client.answer(), 100);
        client.send("abc");
        QCOMPARE(client.answer(), 200);
    }

    void wrong_data() {
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<int>("status");
        const auto row = [](const char* name, const std::string& bytes, int status) {
            QTest::newRow(name) << QByteArray::fromStdString(bytes) << status;
        };
        row("no token", "POST / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n", 401);
        row("wrong token", request("GET", "/", "", "secret-2"), 401);
        row("a beginning of the token", request("GET", "/", "", "secret"), 401);
        row("another scheme", "GET / HTTP/1.1\r\nAuthorization: Basic secret-1\r\n\r\n", 401);
        row("no HTTP", "hello there\r\n\r\n", 400);
        row("TLS", std::string("\x16\x03\x01\x02\x00\x01\x00\x01", 8), 400);
        row("broken address", "GET /%zz HTTP/1.1\r\nAuthorization: Bearer secret-1\r\n\r\n", 400);
        row("zero in the address", "GET /a%00b HTTP/1.1\r\nAuthorization: Bearer secret-1\r\n\r\n", 400);
        row("gigabyte announced",
            "POST / HTTP/1.1\r\nAuthorization: Bearer secret-1\r\nContent-Length: 1073741824\r\n\r\n", 413);
        row("long header", "GET / HTTP/1.1\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n", 431);
        row("long address", "GET /" + std::string(100'000, 'x') + " HTTP/1.1\r\n\r\n", 431);
        row("two lengths", "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400);
        row("length and chunks", "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
    }
    void wrong() {
        QFETCH(QByteArray, bytes);
        QFETCH(int, status);
        listen();
        Client client(*m_server);
        client.send(bytes.toStdString());
        QCOMPARE(client.answer(), status);
        QVERIFY(client.closed());
        QCOMPARE(m_echo.answered, 0);
        Client next(*m_server);
        next.send(request("GET", "/"));
        QCOMPARE(next.answer(), 200);
    }

    void endlessBody_isCutWithoutTakingMemory() {
        listen();
        Client client(*m_server);
        const long before = residentKiB();
        client.send("POST / HTTP/1.1\r\nAuthorization: Bearer secret-1\r\nTransfer-Encoding: chunked\r\n\r\n");
        const std::string chunk = "100000\r\n" + std::string(1 << 20, 'x') + "\r\n";
        std::size_t sent = 0;
        for (int i = 0; i < 1024; ++i) {
            const std::size_t now = client.send(chunk, 3000);
            sent += now;
            if (now < chunk.size()) break;
        }
        QVERIFY(sent < (std::size_t{1} << 30));
        QCOMPARE(client.answer(), 413);
        QVERIFY2(residentKiB() - before < 100'000, std::to_string(residentKiB() - before).c_str());
    }

    void halfRequests_holdNobodyUp() {
        HttpLimits limits;
        limits.headMillis = 300;
        limits.stallMillis = 300;
        limits.connections = 8;
        listen(limits);
        std::vector<std::unique_ptr<Client>> halves;
        for (int i = 0; i < 20; ++i) {
            halves.push_back(std::make_unique<Client>(*m_server));
            halves.back()->send(
                i % 2 == 0 ? "POST / HT"
                           : "POST / HTTP/1.1\r\nAuthorization: Bearer secret-1\r\nContent-Length: 10\r\n\r\nabc");
        }
        // More than all connections are held by halves; one that comes behind them is answered once they are ended.
        Client client(*m_server);
        client.send(request("GET", "/"));
        QCOMPARE(client.answer(), 200);
        QCOMPARE(halves.front()->answer(), 408);
        QCOMPARE(halves[1]->answer(), 408);
        QCOMPARE(m_echo.answered, 1);
    }

    void aMillionRequests_areAllAnswered() {
        listen();
        std::vector<std::unique_ptr<Client>> clients;
        for (int i = 0; i < 4; ++i) clients.push_back(std::make_unique<Client>(*m_server));
        constexpr int kEach = 250'000;
        constexpr int kAtOnce = 250;
        std::string many;
        for (int i = 0; i < kAtOnce; ++i) many += request("POST", "/m", "{}");
        const long before = residentKiB();
        int good = 0;
        for (int i = 0; i < kEach; i += kAtOnce) {
            for (const auto& client : clients) client->send(many);
            for (const auto& client : clients) good += client->goodAnswers(kAtOnce);
        }
        QCOMPARE(good, 4 * kEach);
        QCOMPARE(m_echo.answered, 4 * kEach);
        QVERIFY2(residentKiB() - before < 20'000, std::to_string(residentKiB() - before).c_str());
    }

    /// A million requests of one that reads no answers: it is not read on, costs no memory, and holds nobody up.
    void aMillionRequests_ofOneWhoReadsNothing() {
        listen();
        Client flood(*m_server);
        const long before = residentKiB();
        const std::string one = request("POST", "/m", "{}");
        std::string thousand;
        for (int i = 0; i < 1000; ++i) thousand += one;
        std::size_t sent = 0;
        for (int i = 0; i < 1000; ++i) {
            const std::size_t now = flood.send(thousand, 1000);
            sent += now;
            if (now < thousand.size()) break;
        }
        QVERIFY2(sent < 1000 * thousand.size(), "all were taken, though nobody read the answers");
        QVERIFY2(residentKiB() - before < 100'000, std::to_string(residentKiB() - before).c_str());
        Client other(*m_server);
        other.send(request("GET", "/"));
        QCOMPARE(other.answer(), 200);
        for (int i = 0; i < 1000; ++i) QCOMPARE(flood.answer(), 200);
    }

    void files_goToDiskAndACutOneIsAbandoned() {
        listen();
        const std::string data(20 << 20, 'f');
        Client client(*m_server);
        client.send(request("PUT", "/file", data));
        QCOMPARE(client.answer(), 200);
        QCOMPARE(client.body(), "1 PUT /file  " + std::to_string(data.size()));
        QCOMPARE(std::filesystem::file_size(m_scratch->path() / "upload.part"), data.size());
        Client cut(*m_server);
        cut.send(request("PUT", "/file", data).substr(0, 1 << 20));
        cut.shut();
        const auto deadline = base::Deadline::inMillis(30'000);
        while (m_echo.cut == 0 && !deadline.passed()) m_server->service(1'000'000);
        QCOMPARE(m_echo.cut, 1);
        QVERIFY(!std::filesystem::exists(m_scratch->path() / "upload.part"));
    }

    void budget_isKept() {
        listen();
        Client client(*m_server);
        std::string many;
        for (int i = 0; i < 300; ++i) many += request("GET", "/m");
        client.send(many.substr(0, 200));
        // A service of no time still does one round, so that everything moves on.
        for (int i = 0; i < 10; ++i) m_server->service(0);
        QVERIFY(m_echo.answered >= 1);
    }

private:
    std::unique_ptr<test::Scratch> m_scratch;
    Echo m_echo;
    std::optional<HttpServer> m_server;
};

QTEST_GUILESS_MAIN(TestHttpServer)
#include "tst_HttpServer.moc"
