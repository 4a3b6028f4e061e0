// Published weights: the list, fetching over loopback with every fault, files brought by hand.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <QtTest>
#include <atomic>
#include <filesystem>
#include <thread>

#include "core/base/Hash.h"
#include "core/runs/PretrainedWeights.h"
#include "core/spec/models/LayerTable.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"

using namespace trainyard;
using runs::PretrainedWeights;

namespace {

/// A web server of one file, in a thread of its own.
class WebServer {
public:
    enum class Manner { Whole, CutOnce, Elsewhere, Absent, NoParts, Slow };

    explicit WebServer(QByteArray content) : m_content(std::move(content)) {
        m_thread = std::thread([this] { serve(); });
        while (m_port == 0) {
            QThread::msleep(5);
        }
    }
    ~WebServer() {
        m_stop = true;
        m_thread.join();
    }
    [[nodiscard]] std::string base() const { return "http://127.0.0.1:" + std::to_string(m_port) + "/models"; }

    std::atomic<Manner> manner{Manner::Whole};
    std::atomic<int> asked{0};
    std::atomic<int> parts{0};  ///< Requests for a part of the file.

private:
    void serve() {
        const base::UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof address;
        const bool listens = ::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length) == 0 &&
                             ::listen(listener.get(), 8) == 0 &&
                             ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0;
        m_port = listens ? ntohs(address.sin_port) : -1;
        while (listens && !m_stop) {
            pollfd ready{listener.get(), POLLIN, 0};
            if (::poll(&ready, 1, 50) != 1) {
                continue;
            }
            const base::UniqueFd socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
            QByteArray head;
            pollfd asks{socket.get(), POLLIN, 0};
            while (!head.contains("\r\n\r\n") && ::poll(&asks, 1, 5000) == 1) {
                char buffer[4096];
                const ssize_t got = ::read(socket.get(), buffer, sizeof buffer);
                if (got <= 0) {
                    break;
                }
                head.append(buffer, got);
            }
            answer(socket.get(), head);
        }
    }

    /// False when the other side has gone.
    static bool put(int socket, const QByteArray& bytes) {
        for (qsizetype at = 0; at < bytes.size();) {
            const ssize_t sent =
                ::send(socket, bytes.constData() + at, static_cast<std::size_t>(bytes.size() - at), MSG_NOSIGNAL);
            if (sent <= 0) {
                return false;
            }
            at += sent;
        }
        return true;
    }

    void answer(int socket, const QByteArray& head) {
        ++asked;
        const Manner how = manner;
        if (how == Manner::Absent) {
            put(socket, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return;
        }
        if (how == Manner::Elsewhere && head.startsWith("GET /models/")) {
            put(socket, "HTTP/1.1 302 Found\r\nLocation: /moved" + head.mid(4, head.indexOf(" HTTP") - 4) +
                            "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return;
        }
        qsizetype from = 0;
        const qsizetype range = head.toLower().indexOf("range: bytes=");
        if (range >= 0 && how != Manner::NoParts) {
            from = head.mid(range + 13, head.indexOf('-', range) - range - 13).toLongLong();
            ++parts;
        }
        const QByteArray body = m_content.mid(from);
        const QByteArray size = QByteArray::number(m_content.size());
        const QByteArray first = from > 0 ? "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes " +
                                                QByteArray::number(from) + "-" +
                                                QByteArray::number(m_content.size() - 1) + "/" + size
                                          : QByteArray("HTTP/1.1 200 OK");
        put(socket, first + "\r\nContent-Length: " + QByteArray::number(body.size()) + "\r\nConnection: close\r\n\r\n");
        if (how == Manner::CutOnce) {
            manner = Manner::Whole;
            put(socket, body.left(body.size() / 3));
        } else if (how == Manner::Slow) {
            for (qsizetype at = 0; at < body.size() && !m_stop && put(socket, body.mid(at, 1000)); at += 1000) {
                QThread::msleep(50);
            }
        } else {
            put(socket, body);
        }
    }

    const QByteArray m_content;
    std::atomic<int> m_port{0};
    std::atomic<bool> m_stop{false};
    std::thread m_thread;
};

bool goOn(std::int64_t, std::int64_t) { return true; }

}  // namespace

class TestPretrainedWeights : public QObject {
    Q_OBJECT

    const QByteArray m_content = QByteArray("weights of a test ").repeated(20'000);
    const std::string m_hash =
        base::sha256Hex(std::string_view(m_content.constData(), static_cast<std::size_t>(m_content.size())));
    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<WebServer> m_server;

    /// Puts one entry into the user's list.
    [[nodiscard]] PretrainedWeights listed(const std::string& prefix, const base::Json& more = {}) const {
        base::Json list{{"format", "trainyard.pretrained-weights"},
                        {"version", 1},
                        {"weights",
                         {{{"id", "tiny"},
                           {"family", "cnn"},
                           {"address", m_server->base() + "/tiny-0.pth"},
                           {"sha256_prefix", prefix}}}}};
        if (more.is_object()) {
            list["weights"][0].update(more);
        }
        const base::Path file = base::xdgConfigHome() / "trainyard/weights.json";
        [[maybe_unused]] const auto made = base::makeDirs(file.parent_path());
        [[maybe_unused]] const auto written = base::writeFileAtomically(file, base::dumpJson(list));
        return runs::findPretrained("pretrained:tiny", "f").valueOr({});
    }

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        qputenv("no_proxy", "127.0.0.1");
        qunsetenv(runs::kWeightsBaseVariable);
        m_server = std::make_unique<WebServer>(m_content);
        if (QStandardPaths::findExecutable(QStringLiteral("curl")).isEmpty()) {
            TRAINYARD_SKIP("curl is not installed");
        }
    }
    void cleanup() { m_server.reset(); }

    void list_isWholeAndOfKnownFamilies() {
        const auto all = runs::pretrainedWeights();
        QCOMPARE(all.size(), std::size_t{6});
        for (const PretrainedWeights& one : all) {
            const auto table = spec::buildLayerTable(one.family, base::Json::object(), {3, 224, 224},
                                                     one.entry["classes"].get<std::int64_t>());
            QVERIFY2(table.ok(), one.id.c_str());
            QCOMPARE(table->parameters(), one.entry["parameters"].get<std::int64_t>());
            // torchvision's rule: the hash's beginning ends the file's name.
            QVERIFY(one.fileName.ends_with("-" + one.sha256Prefix + ".pth"));
            QCOMPARE(one.entry["mean"].size(), std::size_t{3});
        }
        const auto unknown = runs::findPretrained("pretrained:vgg", "task.model.weights.source");
        QCOMPARE(unknown.error().code, std::string("weights.unknown"));
        QVERIFY(unknown.error().message.find("resnet18-imagenet") != std::string::npos);
    }

    void list_ofTheUserIsChecked() {
        QCOMPARE(listed("0123456789").fileName, std::string("tiny-0.pth"));
        QCOMPARE(runs::pretrainedWeights().size(), std::size_t{7});
        (void) listed("xyz");
        base::Error problem;
        QCOMPARE(runs::pretrainedWeights(&problem).size(), std::size_t{6});
        QCOMPARE(problem.code, std::string("weights.list"));
        QVERIFY(problem.message.find("hex") != std::string::npos);
        // Weights that expect pictures to be normalised otherwise than training does.
        (void) listed("0123456789", {{"mean", {0.485, 0.456, 0.406}}, {"std", {0.229, 0.224, 0.225}}});
        QCOMPARE(runs::pretrainedWeights(&problem).size(), std::size_t{7});
        (void) listed("0123456789", {{"mean", {0.5, 0.5, 0.5}}});
        QCOMPARE(runs::pretrainedWeights(&problem).size(), std::size_t{6});
        QCOMPARE(problem.code, std::string("weights.list"));
        QVERIFY2(problem.message.find("normalises") != std::string::npos, problem.message.c_str());
        (void) listed("0123456789", {{"std", {1, 1, 1}}});
        QCOMPARE(runs::pretrainedWeights(&problem).size(), std::size_t{6});
    }

    void fetch_keepsWhatMatches() {
        const PretrainedWeights weights = listed(m_hash.substr(0, 8));
        QCOMPARE(runs::checkPretrained(weights, goOn).error().code, std::string("weights.absent"));
        const auto file = runs::fetchPretrained(weights, goOn);
        QVERIFY2(file.ok(), file.ok() ? "" : file.error().message.c_str());
        QCOMPARE(base::readFile(*file)->size(), static_cast<std::size_t>(m_content.size()));
        QCOMPARE(*runs::checkPretrained(weights, goOn), m_hash);
        const int before = m_server->asked;
        QVERIFY(runs::fetchPretrained(weights, goOn).ok());
        QCOMPARE(m_server->asked.load(), before);
        // A file that was damaged since is fetched anew.
        QVERIFY(base::writeFileAtomically(*file, "other bytes").ok());
        QCOMPARE(runs::checkPretrained(weights, goOn).error().code, std::string("weights.hash"));
        QVERIFY(runs::fetchPretrained(weights, goOn).ok());
        QCOMPARE(*runs::checkPretrained(weights, goOn), m_hash);
    }

    void fetch_throwsAnotherFileAway() {
        const PretrainedWeights weights = listed("00000000");
        const auto file = runs::fetchPretrained(weights, goOn);
        QCOMPARE(file.error().code, std::string("weights.hash"));
        QVERIFY(file.error().message.find(m_hash.substr(0, 8)) != std::string::npos);
        QVERIFY(!std::filesystem::exists(weights.file()));
        QVERIFY(!std::filesystem::exists(weights.file().string() + ".part"));
    }

    void fetch_goesOnAfterACut() {
        m_server->manner = WebServer::Manner::CutOnce;
        const PretrainedWeights weights = listed(m_hash);
        const auto file = runs::fetchPretrained(weights, goOn);
        QVERIFY2(file.ok(), file.ok() ? "" : file.error().message.c_str());
        QCOMPARE(m_server->asked.load(), 2);
        QCOMPARE(m_server->parts.load(), 1);
    }

    void fetch_fromAServerWithoutParts() {
        m_server->manner = WebServer::Manner::NoParts;
        const PretrainedWeights weights = listed(m_hash);
        QVERIFY(base::makeDirs(weights.file().parent_path()).ok());
        QVERIFY(base::writeFileAtomically(weights.file().string() + ".part", "the beginning of something").ok());
        QVERIFY(runs::fetchPretrained(weights, goOn).ok());
    }

    void fetch_followsARedirectAndABase() {
        m_server->manner = WebServer::Manner::Elsewhere;
        QVERIFY(runs::fetchPretrained(listed(m_hash), goOn).ok());
        QCOMPARE(m_server->asked.load(), 2);
        // A closed network's own server in the place of the published address.
        const auto shipped = runs::findPretrained("resnet18-imagenet", "");
        qputenv(runs::kWeightsBaseVariable, QByteArray::fromStdString(m_server->base() + "/mirror/"));
        QCOMPARE(shipped->source(), m_server->base() + "/mirror/resnet18-f37072fd.pth");
        m_server->manner = WebServer::Manner::Whole;
        QCOMPARE(runs::fetchPretrained(*shipped, goOn).error().code, std::string("weights.hash"));
        qputenv(runs::kWeightsBaseVariable, "ftp://somewhere");
        QCOMPARE(runs::fetchPretrained(*shipped, goOn).error().code, std::string("weights.address"));
    }

    void fetch_tellsWhatFailed() {
        m_server->manner = WebServer::Manner::Absent;
        const auto file = runs::fetchPretrained(listed(m_hash), goOn);
        QCOMPARE(file.error().code, std::string("weights.fetch"));
        QVERIFY(file.error().message.find("404") != std::string::npos);
        QVERIFY(file.error().message.find(runs::kWeightsBaseVariable) != std::string::npos);
    }

    void fetch_canBeCanceled() {
        m_server->manner = WebServer::Manner::Slow;
        const PretrainedWeights weights = listed(m_hash);
        const auto file = runs::fetchPretrained(weights, [](std::int64_t done, std::int64_t) { return done < 2000; });
        QCOMPARE(file.error().code, std::string("canceled"));
        QVERIFY(!std::filesystem::exists(weights.file()));
    }

    void take_acceptsTheFileAlone() {
        const PretrainedWeights weights = listed(m_hash.substr(0, 12));
        const base::Path good = m_scratch->write("brought/any name.bin", m_content.toStdString());
        const base::Path other = m_scratch->write("brought/other.pth", "something else");
        QCOMPARE(runs::takePretrained(weights, other, goOn).error().code, std::string("weights.hash"));
        QVERIFY(!std::filesystem::exists(weights.file()));
        QCOMPARE(runs::takePretrained(weights, good, goOn)->string(), weights.file().string());
        QCOMPARE(m_server->asked.load(), 0);
        QVERIFY(runs::fetchPretrained(weights, goOn).ok());
        QCOMPARE(m_server->asked.load(), 0);
    }
};

QTEST_GUILESS_MAIN(TestPretrainedWeights)
#include "tst_PretrainedWeights.moc"
