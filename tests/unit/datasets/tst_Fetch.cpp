// Downloads from a server on the loopback that cuts, redirects, refuses and forgets how to give parts.
#include <QScopeGuard>
#include <QTest>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "core/datasets/Fetch.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Wait.h"

using namespace trainyard;
using namespace trainyard::datasets;

namespace {

/// Serves one body at /data; one connection a request. Ends with the object.
class Server {
public:
    struct Manners {
        std::size_t cutAfter = 0;  ///< Bytes of a body after which the connection ends, `cuts` times.
        int cuts = 0;
        bool ranges = true;
        int status = 200;   ///< Other than 200: that, for every request.
        bool slow = false;  ///< Sends a little and then waits.
    };

    Server(std::string body, Manners manners) : m_body(std::move(body)), m_manners(manners), m_cuts(manners.cuts) {
        m_socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        const bool bound = ::bind(m_socket, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                           ::listen(m_socket, 8) == 0 &&
                           ::getsockname(m_socket, reinterpret_cast<sockaddr*>(&address), &size) == 0;
        m_port = bound ? ntohs(address.sin_port) : 0;
        m_thread = std::thread([this] { serve(); });
    }
    ~Server() {
        m_stop = true;
        m_thread.join();
        ::close(m_socket);
    }
    [[nodiscard]] std::string at(const std::string& path) const {
        return "http://127.0.0.1:" + std::to_string(m_port) + path;
    }
    [[nodiscard]] std::vector<std::string> requests() {
        const std::lock_guard held(m_mutex);
        return m_requests;
    }

private:
    void serve() {
        while (!m_stop) {
            pollfd ready{m_socket, POLLIN, 0};
            if (::poll(&ready, 1, 50) <= 0) continue;
            const int client = ::accept4(m_socket, nullptr, nullptr, SOCK_CLOEXEC);
            if (client >= 0) {
                answer(client);
                ::close(client);
            }
        }
    }
    void answer(int client) {
        std::string request;
        char buffer[4096];
        while (request.find("\r\n\r\n") == std::string::npos) {
            const ssize_t got = ::read(client, buffer, sizeof buffer);
            if (got <= 0) return;
            request.append(buffer, static_cast<std::size_t>(got));
        }
        {
            const std::lock_guard held(m_mutex);
            m_requests.push_back(request);
        }
        if (request.starts_with("GET /moved"))
            return send(client, "HTTP/1.1 302 Found\r\nLocation: /data\r\nContent-Length: 0\r\n\r\n");
        if (request.starts_with("GET /elsewhere"))
            return send(client, "HTTP/1.1 302 Found\r\nLocation: file:///etc/hostname\r\nContent-Length: 0\r\n\r\n");
        if (m_manners.status != 200)
            return send(client, "HTTP/1.1 " + std::to_string(m_manners.status) + " No\r\nContent-Length: 0\r\n\r\n");
        std::size_t from = 0;
        if (const std::size_t range = request.find("Range: bytes="); range != std::string::npos && m_manners.ranges) {
            from = static_cast<std::size_t>(std::atoll(request.c_str() + range + 13));
            if (from >= m_body.size())
                return send(client, "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n");
        }
        const std::string rest = m_body.substr(from);
        std::string head = from > 0
                               ? "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes " + std::to_string(from) + "-" +
                                     std::to_string(m_body.size() - 1) + "/" + std::to_string(m_body.size()) + "\r\n"
                               : "HTTP/1.1 200 OK\r\n";
        head += "Content-Length: " + std::to_string(rest.size()) + "\r\nConnection: close\r\n\r\n";
        send(client, head);
        if (m_manners.slow) {
            send(client, rest.substr(0, 200'000));  // More than the program keeps back before it writes.
            while (!m_stop) ::poll(nullptr, 0, 20);
            return;
        }
        send(client, m_cuts-- > 0 ? rest.substr(0, m_manners.cutAfter) : rest);
    }
    static void send(int client, const std::string& bytes) {
        for (std::size_t sent = 0; sent < bytes.size();) {
            const ssize_t now = ::send(client, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
            if (now <= 0) return;
            sent += static_cast<std::size_t>(now);
        }
    }

    std::string m_body;
    Manners m_manners;
    std::atomic<int> m_cuts;
    std::atomic<bool> m_stop{false};
    int m_socket = -1;
    int m_port = 0;
    std::mutex m_mutex;
    std::vector<std::string> m_requests;
    std::thread m_thread;
};

std::string noise(std::size_t size) {
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>((i * 2654435761U) >> 24);
    return bytes;
}

}  // namespace

class TestFetch : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        qputenv("NO_PROXY", "127.0.0.1");
        qputenv("no_proxy", "127.0.0.1");
        m_to = *m_scratch / "part";
    }
    void cleanup() { QVERIFY2(m_guard.noneLeft(10'000), m_guard.report().c_str()); }

    void whole_withProgress() {
        Server server(noise(300'000), {});
        QVERIFY(fetch(server.at("/data")).ok());
        QCOMPARE(m_scratch->read("part"), noise(300'000));
        QCOMPARE(m_last, (std::pair<std::int64_t, std::int64_t>{300'000, 300'000}));
        QVERIFY(!std::filesystem::exists(*m_scratch / "part.headers"));
    }

    void cut_isGoneOnWith() {
        Server server(noise(300'000), {.cutAfter = 100'000, .cuts = 2});
        const auto status = fetch(server.at("/data"));
        QVERIFY2(status.ok(), status.ok() ? "" : status.error().message.c_str());
        QCOMPARE(m_scratch->read("part"), noise(300'000));
        QCOMPARE(server.requests().size(), std::size_t{3});
        QVERIFY(server.requests()[1].find("Range: bytes=100000-") != std::string::npos);
        QCOMPARE(m_last.second, std::int64_t{300'000});  // Of all, not of the rest.
    }

    /// What a killed program left is gone on with, and a complete file is not fetched again.
    void rest_ofAnEarlierTry() {
        m_scratch->write("part", noise(200'000));
        Server server(noise(300'000), {});
        QVERIFY(fetch(server.at("/data")).ok());
        QCOMPARE(m_scratch->read("part"), noise(300'000));
        QVERIFY(fetch(server.at("/data")).ok());
        QCOMPARE(m_scratch->read("part"), noise(300'000));
    }

    void noRanges_isFetchedAnew() {
        Server server(noise(300'000), {.cutAfter = 100'000, .cuts = 1, .ranges = false});
        const auto status = fetch(server.at("/data"));
        QVERIFY2(status.ok(), status.ok() ? "" : status.error().message.c_str());
        QCOMPARE(m_scratch->read("part"), noise(300'000));
    }

    void redirection_isFollowed() {
        Server server(noise(1000), {});
        QVERIFY(fetch(server.at("/moved")).ok());
        QCOMPARE(m_scratch->read("part"), noise(1000));
        QCOMPARE(m_last.second, std::int64_t{1000});
    }

    /// A server cannot send us to a file of this machine.
    void redirection_toAFile_isRefused() {
        Server server(noise(1000), {});
        const auto status = fetch(server.at("/elsewhere"));
        QVERIFY(!status.ok());
        QCOMPARE(status.error().code, std::string("dataset.fetch"));
        QVERIFY(m_scratch->read("part").empty());
    }

    void notThere_isToldAtOnce() {
        Server server(noise(10), {.status = 404});
        const auto status = fetch(server.at("/data"));
        QCOMPARE(status.error().code, std::string("dataset.fetch"));
        QVERIFY2(status.error().message.find("404") != std::string::npos, status.error().message.c_str());
        QCOMPARE(status.error().field, std::string("source"));
        QCOMPARE(server.requests().size(), std::size_t{1});
    }

    void nobodyThere() {
        std::string address;
        {
            Server server(noise(10), {});
            address = server.at("/data");
        }
        const auto status = fetch(address);
        QCOMPARE(status.error().code, std::string("dataset.fetch"));
    }

    void withoutCurl_isSaid() {
        const QByteArray path = qgetenv("PATH");
        const auto back = qScopeGuard([&] { qputenv("PATH", path); });
        qputenv("PATH", QByteArray::fromStdString((*m_scratch / "nothing").string()));
        const auto status = fetch("http://127.0.0.1:9/data");
        QCOMPARE(status.error().code, std::string("dataset.fetch"));
        QVERIFY2(status.error().message.find("curl does not start") != std::string::npos,
                 status.error().message.c_str());
    }

    void cancel_endsCurl() {
        Server server(noise(300'000), {.slow = true});
        Fetch fetch({server.at("/data"), std::string(64, '0')}, m_to);
        std::optional<base::Status> ended;
        connect(&fetch, &Fetch::done, this, [&](const base::Status& status) { ended = status; });
        fetch.start();
        QVERIFY(test::waitFor([&] { return m_scratch->read("part").size() >= 50'000; }, 20'000));
        fetch.cancel();
        QVERIFY(test::waitFor([&] { return ended.has_value(); }, 10'000));
        QCOMPARE(ended->error().code, std::string("canceled"));
        QVERIFY(m_scratch->read("part").size() >= 50'000);  // Gone on with the next time.
    }

    void destroyed_endsCurl() {
        Server server(noise(300'000), {.slow = true});
        {
            Fetch fetch({server.at("/data"), std::string(64, '0')}, m_to);
            fetch.start();
            QVERIFY(test::waitFor([&] { return m_scratch->read("part").size() >= 50'000; }, 20'000));
        }
        QVERIFY2(m_guard.noneLeft(10'000), m_guard.report().c_str());
    }

    void addresses_data() {
        QTest::addColumn<QByteArray>("source");
        QTest::addColumn<QByteArray>("hash");
        QTest::addColumn<QByteArray>("field");
        const QByteArray hash(64, 'a');
        QTest::newRow("good") << QByteArray("https://example.org/birds.zip") << hash << QByteArray();
        QTest::newRow("upper case") << QByteArray("https://example.org/birds.zip") << QByteArray(64, 'A')
                                    << QByteArray();
        QTest::newRow("behind it") << QByteArray("https://example.org/birds.zip#sha256=" + hash) << QByteArray()
                                   << QByteArray();
        QTest::newRow("none") << QByteArray("https://example.org/birds.zip") << QByteArray() << QByteArray("sha256");
        QTest::newRow("short") << QByteArray("https://example.org/birds.zip") << QByteArray("abc")
                               << QByteArray("sha256");
        QTest::newRow("password") << QByteArray("https://me:secret@example.org/x") << hash << QByteArray("source");
        QTest::newRow("option") << QByteArray("http://-oProxy/x") << hash << QByteArray("source");
        QTest::newRow("blank") << QByteArray("http://example.org/a b") << hash << QByteArray("source");
        QTest::newRow("newline") << QByteArray("http://example.org/a\nb") << hash << QByteArray("source");
        QTest::newRow("shell") << QByteArray("http://example.org/`touch x`") << hash << QByteArray("source");
    }
    void addresses() {
        QFETCH(QByteArray, source);
        QFETCH(QByteArray, hash);
        QFETCH(QByteArray, field);
        const auto address = readAddress(source.toStdString(), hash.toStdString());
        QCOMPARE(address.ok(), field.isEmpty());
        if (address.ok()) {
            QCOMPARE(address->sha256, std::string(64, 'a'));
            QCOMPARE(address->url, std::string("https://example.org/birds.zip"));
        } else {
            QCOMPARE(address.error().field, field.toStdString());
        }
    }

private:
    base::Status fetch(const std::string& url) {
        Fetch fetch({url, std::string(64, '0')}, m_to);
        std::optional<base::Status> ended;
        connect(&fetch, &Fetch::progressed, this, [this](std::int64_t done, std::int64_t total) {
            m_last = {done, total};
        });
        connect(&fetch, &Fetch::done, this, [&](const base::Status& status) { ended = status; });
        fetch.start();
        if (!test::waitFor([&] { return ended.has_value(); }, 60'000)) {
            return base::Error{"test.timeout", "The download did not end."};
        }
        return *ended;
    }

    std::unique_ptr<test::Scratch> m_scratch;
    test::ChildGuard m_guard;
    base::Path m_to;
    std::pair<std::int64_t, std::int64_t> m_last;
};

QTEST_GUILESS_MAIN(TestFetch)
#include "tst_Fetch.moc"
