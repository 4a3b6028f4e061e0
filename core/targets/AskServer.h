#pragma once
// Where ssh's questions arrive: SSH_ASKPASS is our agent's program, which asks back over a socket that only this user
// can open and with a token that only this ssh was given. Nothing is kept.
#include <QObject>
#include <QSocketNotifier>
#include <QTimer>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/base/Files.h"
#include "core/targets/Target.h"

namespace trainyard::targets {

/// Reads ssh's words: whose key it is, which fingerprint, a password's or a passphrase's prompt.
[[nodiscard]] Question readQuestion(const std::string& target, const std::string& host, const std::string& prompt);

/// Lives in one thread with an event loop. Questions without an answer after two minutes are answered no.
class AskServer : public QObject {
    Q_OBJECT
public:
    AskServer(std::string target, std::string host);
    ~AskServer() override;

    void setAsk(AskPerson ask) { m_ask = std::move(ask); }
    /// Opens the socket; once is enough. Errors: file.*.
    [[nodiscard]] Status listen();
    [[nodiscard]] const base::Path& socket() const { return m_path; }
    [[nodiscard]] const std::string& token() const { return m_token; }
    /// Somebody is there to answer.
    [[nodiscard]] bool canAsk() const { return static_cast<bool>(m_ask); }
    [[nodiscard]] bool questionIsOpen() const { return m_open > 0; }
    /// Told when the first question opens (with its text) and when the last is answered (empty).
    std::function<void(const std::string& text)> onQuestion;

private:
    struct Client;
    void accept();
    void read(int id);
    void answer(int id, const std::optional<std::string>& text);
    void drop(int id);

    std::string m_target;
    std::string m_host;
    AskPerson m_ask;
    base::Path m_path;
    std::string m_token;
    base::UniqueFd m_listener;
    std::unique_ptr<QSocketNotifier> m_notifier;
    std::map<int, std::unique_ptr<Client>> m_clients;
    int m_nextClient = 1;
    int m_open = 0;
};

}  // namespace trainyard::targets
