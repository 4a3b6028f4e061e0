#pragma once
// What Host carries over its channel. Inside this room only.
#include <QObject>
#include <QPointer>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/base/Json.h"
#include "core/targets/Host.h"
#include "core/wire/Serve.h"

namespace trainyard::targets {

/// Lives between add() and its end. A task may be sent several times, each time under a new id, when the channel broke.
class Host::Task : public Operation {
public:
    Task(Host& host, bool patient) : m_host(&host), m_patient(patient) {}
    ~Task() override {
        if (m_host) {
            m_host->remove(this);
        }
    }

    /// The channel is ready: send what there is to send.
    virtual void open() = 0;
    /// A frame under its id. May end and destroy it.
    virtual void frame(const wire::ServeFrameView& frame) { (void) frame; }
    /// The channel took bytes: more may be sent.
    virtual void written() {}
    /// The channel it was sent on is gone. True: it waits for the next one. False: it is to be failed.
    [[nodiscard]] virtual bool survives() { return true; }
    /// Ends it, through its callback.
    virtual void fail(const base::Error& error) = 0;

    [[nodiscard]] bool patient() const { return m_patient; }
    [[nodiscard]] std::int64_t id() const { return m_id; }
    void setId(std::int64_t id) { m_id = id; }

protected:
    void send(base::Json header, std::string_view payload = {}) {
        header["id"] = m_id;
        m_host->send(header, payload);
    }
    [[nodiscard]] std::int64_t pending() const;
    /// The channel breaks the rules.
    void breakChannel(base::Error error);
    /// Waits for the channel, or sends at once where it is ready. Again, after an answer, to ask anew.
    void join() {
        if (m_host) {
            m_host->add(this);
        }
    }
    [[nodiscard]] Host* host() const { return m_host; }
    /// Takes it off the host: no more frames.
    void leave() {
        if (m_host) {
            m_host->remove(this);
        }
        m_host = nullptr;
    }

private:
    QPointer<Host> m_host;
    bool m_patient;
    std::int64_t m_id = 0;  ///< 0 while it is not sent.
};

/// The error in an answer; nothing when it is none.
[[nodiscard]] std::optional<base::Error> answeredError(const base::Json& header);

}  // namespace trainyard::targets
