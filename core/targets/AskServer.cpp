#include "core/targets/AskServer.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <QPointer>
#include <QRandomGenerator>
#include <cstring>
#include <optional>

#include "core/base/Json.h"
#include "core/base/Text.h"
#include "core/targets/Ssh.h"

namespace trainyard::targets {
namespace {

constexpr int kPersonMillis = 120'000;
constexpr std::size_t kLongestQuestion = 65536;

std::string randomHex(int words) {
    std::string out;
    for (int i = 0; i < words; ++i) {
        out += QString::number(QRandomGenerator::system()->generate(), 16)
                   .rightJustified(8, QLatin1Char('0'))
                   .toStdString();
    }
    return out;
}

/// Takes the same time wherever the two differ.
bool equalSecrets(const std::string& left, const std::string& right) {
    unsigned char differ = left.size() == right.size() ? 0 : 1;
    for (std::size_t i = 0; i < right.size(); ++i) {
        differ |= static_cast<unsigned char>((i < left.size() ? left[i] : '\0') ^ right[i]);
    }
    return differ == 0;
}

}  // namespace

Question readQuestion(const std::string& target, const std::string& host, const std::string& prompt) {
    Question question;
    question.target = target;
    question.host = host;
    for (const std::string& line : base::split(prompt, '\n')) {
        const std::string plain = saidText(line);
        question.text += (question.text.empty() ? "" : "\n") + plain;
        if (const auto at = plain.find(" key fingerprint is "); at != std::string::npos) {
            question.keyType = plain.substr(0, at);
            question.fingerprint = plain.substr(at + std::strlen(" key fingerprint is "));
            while (question.fingerprint.ends_with(".") || question.fingerprint.ends_with(" ")) {
                question.fingerprint.pop_back();
            }
        }
    }
    if (question.text.find("authenticity of host") != std::string::npos) {
        question.kind = Question::Kind::HostKey;
    } else if (question.text.find("assphrase for") != std::string::npos) {
        question.kind = Question::Kind::Passphrase;
    } else if (question.text.find("assword") != std::string::npos) {
        question.kind = Question::Kind::Password;
    }
    return question;
}

struct AskServer::Client {
    base::UniqueFd fd;
    std::string bytes;
    bool asked = false;
    std::unique_ptr<QSocketNotifier> notifier;
    QTimer limit;
};

AskServer::AskServer(std::string target, std::string host) : m_target(std::move(target)), m_host(std::move(host)) {}

AskServer::~AskServer() {
    if (m_listener.valid()) {
        ::unlink(m_path.c_str());
    }
}

Status AskServer::listen() {
    if (m_listener.valid()) {
        return {};
    }
    const base::Result<base::Path> folder = runtimeFolder();
    if (!folder.ok()) {
        return folder.error();
    }
    m_token = randomHex(8);
    m_path = *folder / ("ask-" + randomHex(2));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, m_path.c_str(), sizeof address.sun_path - 1);
    base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid() || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::chmod(m_path.c_str(), 0600) != 0 || ::listen(fd.get(), 8) != 0) {
        return base::errnoError(errno, "The socket for ssh's questions cannot be opened", m_path);
    }
    m_listener = std::move(fd);
    m_notifier = std::make_unique<QSocketNotifier>(m_listener.get(), QSocketNotifier::Read);
    connect(m_notifier.get(), &QSocketNotifier::activated, this, &AskServer::accept);
    return {};
}

void AskServer::accept() {
    base::UniqueFd fd(::accept4(m_listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd.valid()) {
        return;
    }
    const int id = m_nextClient++;
    auto client = std::make_unique<Client>();
    client->fd = std::move(fd);
    client->notifier = std::make_unique<QSocketNotifier>(client->fd.get(), QSocketNotifier::Read);
    connect(client->notifier.get(), &QSocketNotifier::activated, this, [this, id] { read(id); });
    client->limit.setSingleShot(true);
    connect(&client->limit, &QTimer::timeout, this, [this, id] { answer(id, std::nullopt); });
    client->limit.start(kPersonMillis);
    m_clients[id] = std::move(client);
}

void AskServer::read(int id) {
    const auto found = m_clients.find(id);
    if (found == m_clients.end()) {
        return;
    }
    Client& client = *found->second;
    char buffer[4096];
    const ssize_t got = ::read(client.fd.get(), buffer, sizeof buffer);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0 || client.asked) {  // It has gone, or talks out of turn.
        drop(id);
        return;
    }
    client.bytes.append(buffer, static_cast<std::size_t>(got));
    const auto end = client.bytes.find('\n');
    if (end == std::string::npos) {
        if (client.bytes.size() > kLongestQuestion) {
            drop(id);
        }
        return;
    }
    const base::Result<base::Json> said = base::parseJson(std::string_view(client.bytes).substr(0, end));
    if (!said.ok() || !said->is_object() || !said->contains("token") || !said->at("token").is_string() ||
        !said->contains("prompt") || !said->at("prompt").is_string() ||
        !equalSecrets(said->at("token").get<std::string>(), m_token)) {
        drop(id);
        return;
    }
    client.asked = true;
    const Question question = readQuestion(m_target, m_host, said->at("prompt").get<std::string>());
    if (++m_open == 1 && onQuestion) {
        onQuestion(question.text);
    }
    if (!m_ask) {
        answer(id, std::nullopt);
        return;
    }
    m_ask(question, [self = QPointer<AskServer>(this), id](std::optional<std::string> text) {
        if (self) {
            self->answer(id, text);
        }
    });
}

void AskServer::answer(int id, const std::optional<std::string>& text) {
    const auto found = m_clients.find(id);
    if (found == m_clients.end() || !found->second->asked) {
        drop(id);
        return;
    }
    base::Json reply = base::Json::object();
    if (text && text->find('\n') == std::string::npos) {
        reply["answer"] = *text;
    } else {
        reply["refused"] = true;
    }
    const std::string line = base::dumpJson(reply) + "\n";
    // A line fits into an empty socket's buffer; a peer that is gone is not our trouble.
    [[maybe_unused]] const ssize_t sent = ::send(found->second->fd.get(), line.data(), line.size(), MSG_NOSIGNAL);
    drop(id);
}

void AskServer::drop(int id) {
    const auto found = m_clients.find(id);
    if (found == m_clients.end()) {
        return;
    }
    const bool wasOpen = found->second->asked;
    // This may run inside the notifier's own signal.
    found->second->notifier->setEnabled(false);
    found->second->notifier.release()->deleteLater();
    m_clients.erase(found);
    if (wasOpen && --m_open == 0 && onQuestion) {
        onQuestion({});
    }
}

}  // namespace trainyard::targets
