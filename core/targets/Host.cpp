#include "core/targets/Host.h"

#include <QPointer>
#include <algorithm>
#include <utility>

#include "core/base/Clock.h"
#include "core/base/Text.h"
#include "core/targets/AskServer.h"
#include "core/targets/Channel.h"
#include "core/targets/HostTask.h"
#include "core/targets/LocalTarget.h"
#include "core/targets/Ssh.h"

namespace trainyard::targets {
namespace {

constexpr int kFirstPauseMillis = 1000;
constexpr int kLongestPauseMillis = 60'000;
/// After a channel that ended without having carried anything.
constexpr int kFlapPauseMillis = 50;
constexpr int kTickMillis = 5000;
/// The id of a task that is about to be failed, since the channel that it was sent on is gone.
constexpr std::int64_t kBroken = -1;
constexpr std::int64_t kHelloNanos = std::int64_t{20} * 1'000'000'000;
/// An agent that is silent for so long after a ping is gone, whatever ssh thinks.
constexpr std::int64_t kSilenceNanos = std::int64_t{45} * 1'000'000'000;

std::int64_t integerIn(const base::Json& json, const char* key) {
    return json.contains(key) && json.at(key).is_number_integer() ? json.at(key).get<std::int64_t>() : 0;
}

std::string textIn(const base::Json& json, const char* key) {
    return json.contains(key) && json.at(key).is_string() ? json.at(key).get<std::string>() : std::string();
}

}  // namespace

std::optional<base::Error> answeredError(const base::Json& header) {
    if (!header.contains("error")) {
        return std::nullopt;
    }
    const base::Json& error = header.at("error");
    if (!error.is_object()) {
        return base::Error{"target.protocol", "The agent answered with an error that cannot be read."};
    }
    base::Error read{textIn(error, "code"), saidText(textIn(error, "message")), textIn(error, "field")};
    if (read.code == "file.full") {
        read.code = "target.disk_full";
    }
    if (read.code.empty()) {
        read.code = "target.protocol";
    }
    if (read.message.empty()) {
        read.message = "The agent answered with an error and did not say which.";
    }
    return read;
}

std::int64_t Host::Task::pending() const { return m_host && m_host->m_channel ? m_host->m_channel->pending() : 0; }

void Host::Task::breakChannel(base::Error error) {
    if (m_host && m_host->m_channel) {
        m_host->m_channel->fail(std::move(error));
    }
}

Host::Host(HostOptions options, QObject* parent)
    : QObject(parent), m_options(std::move(options)),
      m_label(m_options.overSsh ? m_options.where.destination : "this machine") {
    m_reach.since = base::wallMicros();
    m_retry.setSingleShot(true);
    QObject::connect(&m_retry, &QTimer::timeout, this, [this] {
        if (!m_channel && someoneWaits()) {
            begin();
        } else if (!m_channel) {
            setReach(Reach::State::Unreachable, m_reach.reason);
        }
    });
    m_ping.setInterval(kTickMillis);
    QObject::connect(&m_ping, &QTimer::timeout, this, &Host::ping);
    if (m_options.overSsh) {
        m_ask = std::make_unique<AskServer>(m_options.target, m_label);
        m_ask->onQuestion = [this](const std::string& text) {
            if (!m_channel || m_ready) {
                return;
            }
            m_asked = m_asked || m_ask->canAsk();
            m_channel->hold(!text.empty());
            if (text.empty()) {
                setReach(Reach::State::Connecting, {});
            } else {
                setReach(Reach::State::NeedsAnswer, text);
            }
        };
    }
}

Host::~Host() {
    m_onReach = {};
    m_tasks.clear();
    m_byId.clear();
    dropChannel();
}

void Host::dropChannel() {
    if (m_channel) {
        // This may run inside one of its signals.
        m_channel->abandon();
        m_channel.release()->deleteLater();
    }
}

void Host::setAsk(AskPerson ask) {
    if (m_ask) {
        m_ask->setAsk(std::move(ask));
    }
}

std::string Host::workFolder() const { return textIn(m_hello, "work"); }

void Host::connectNow() {
    if (m_channel) {
        return;
    }
    m_refused = false;
    m_failures = 0;
    begin();
}

bool Host::someoneWaits() const { return !m_tasks.empty(); }

void Host::add(Task* task) {
    if (task->id() != 0) {
        return;  // It was sent already, on a channel that was ready first.
    }
    m_tasks.insert(task);
    if (m_ready) {
        sendTo(*task);
        return;
    }
    if (m_channel) {
        return;
    }
    const bool pausing = base::monotonicNanos() < m_mayTryAt;
    if ((m_refused && (m_asked || pausing)) || (pausing && !task->patient())) {
        QMetaObject::invokeMethod(
            this,
            [this, task, error = m_lastError] {
                if (m_tasks.contains(task) && !m_ready && !m_channel) {
                    task->fail(error);
                } else if (m_tasks.contains(task) && m_ready && task->id() == 0) {
                    sendTo(*task);
                }
            },
            Qt::QueuedConnection);
        return;
    }
    if (pausing) {
        if (!m_retry.isActive()) {
            m_retry.start(static_cast<int>((m_mayTryAt - base::monotonicNanos()) / 1'000'000) + 1);
        }
        return;
    }
    begin();
}

void Host::remove(Task* task) {
    m_tasks.erase(task);
    if (task->id() != 0 && m_byId.erase(task->id()) > 0 && m_ready && m_channel) {
        m_channel->send({{"cancel", task->id()}}, {});
    }
    task->setId(0);
}

void Host::sendTo(Task& task) {
    const std::int64_t id = m_nextId++;
    task.setId(id);
    m_byId[id] = &task;
    task.open();
}

void Host::send(const base::Json& header, std::string_view payload) {
    if (m_channel) {
        m_channel->send(header, payload);
    }
}

void Host::begin() {
    m_retry.stop();
    m_asked = false;
    if (m_ask) {
        // Without the socket nobody can be asked, and ssh says what it misses.
        [[maybe_unused]] const Status listening = m_ask->listen();
    }
    Channel::Callbacks callbacks;
    callbacks.opened = [this] { channelOpened(); };
    callbacks.frame = [this](const wire::ServeFrameView& frame) { channelSaid(frame); };
    callbacks.ended = [this](base::Error error) { channelEnded(std::move(error)); };
    callbacks.deploying = [this](std::int64_t done, std::int64_t total) {
        if (m_onDeploy) {
            const auto tell = m_onDeploy;
            tell(done, total);
        }
    };
    // After a failure the shared connection may be the dead one: the next try logs in anew.
    const bool share = m_failures % 2 == 0;
    m_channel = std::make_unique<Channel>(
        m_options, m_label, share, m_ask && !m_ask->socket().empty() ? m_ask.get() : nullptr, std::move(callbacks));
    m_channel->onWritten = [this] {
        const std::vector<Task*> tasks(m_tasks.begin(), m_tasks.end());
        const QPointer<Host> self(this);
        for (Task* task : tasks) {
            if (self && m_tasks.contains(task) && task->id() != 0) {
                task->written();
            }
        }
    };
    setReach(Reach::State::Connecting, m_failures > 0 ? m_reach.reason : std::string());
    // From the event loop, so that a failing start is not reported inside the call that wanted it.
    QMetaObject::invokeMethod(
        m_channel.get(), [channel = m_channel.get()] { channel->start(); }, Qt::QueuedConnection);
}

void Host::channelOpened() {
    m_lastHeard = base::monotonicNanos();
    m_pingSentAt = m_lastHeard;
    m_ping.start();
    m_helloId = m_nextId++;
    base::Json hello = base::Json::object();
    hello["id"] = m_helloId;
    hello["verb"] = "hello";
    hello["protocol"] = wire::kServeProtocol;
    hello["client"] = TRAINYARD_VERSION;
    send(hello);
}

void Host::channelSaid(const wire::ServeFrameView& frame) {
    m_lastHeard = base::monotonicNanos();
    const base::Json& header = frame.header;
    if (!header.is_object()) {
        m_channel->fail({"target.protocol", m_label + " sent a frame without an object."});
        return;
    }
    if (header.contains("pong")) {
        const std::int64_t sent = integerIn(header, "pong");
        if (sent > 0 && sent == m_pingSentAt) {
            m_latencyNanos = m_lastHeard - sent;
            const std::int64_t there = integerIn(header, "t");
            m_clockOffset = there == 0 ? 0 : there - (base::wallMicros() - m_latencyNanos / 2000);
        }
        return;
    }
    const std::int64_t id = integerIn(header, "id");
    if (id == m_helloId && !m_ready) {
        helloAnswered(frame);
        return;
    }
    const auto found = m_byId.find(id);
    if (found == m_byId.end()) {
        return;  // Of a request that was given up.
    }
    Task* task = found->second;
    m_useful = true;
    if (header.contains("done") || header.contains("error")) {
        m_byId.erase(found);
        task->setId(0);
    }
    task->frame(frame);
}

void Host::helloAnswered(const wire::ServeFrameView& frame) {
    if (const auto error = answeredError(frame.header)) {
        m_channel->fail(*error);
        return;
    }
    if (integerIn(frame.header, "protocol") != wire::kServeProtocol) {
        m_channel->fail({"target.protocol", "The agent on " + m_label + " speaks protocol " +
                                                std::to_string(integerIn(frame.header, "protocol")) +
                                                ", this program " + std::to_string(wire::kServeProtocol) + "."});
        return;
    }
    const std::string sha256 = textIn(frame.header, "sha256");
    if (!sha256.empty() && sha256 != m_channel->agent().sha256) {
        m_channel->fail({"target.program", "The agent on " + m_label +
                                               " is not the one that was sent; remove the folder bin in " +
                                               textIn(frame.header, "work") + " there."});
        return;
    }
    m_hello = frame.header;
    m_hello.erase("id");
    m_hello.erase("done");
    m_ready = true;
    m_useful = false;
    m_failures = 0;
    m_mayTryAt = 0;
    m_pingSentAt = base::monotonicNanos();
    send({{"ping", m_pingSentAt}});
    setReach(Reach::State::Connected, {});
    const QPointer<Host> self(this);
    const std::vector<Task*> tasks(m_tasks.begin(), m_tasks.end());
    for (Task* task : tasks) {
        if (self && m_ready && m_tasks.contains(task) && task->id() == 0) {
            sendTo(*task);
        }
    }
}

void Host::ping() {
    const std::int64_t now = base::monotonicNanos();
    if (!m_channel) {
        m_ping.stop();
        return;
    }
    if (!m_ready) {
        if (now - m_lastHeard > kHelloNanos) {
            m_channel->fail({"target.protocol", "The agent on " + m_label + " started and then said nothing."});
        }
        return;
    }
    if (now - m_lastHeard > kSilenceNanos) {
        m_channel->fail({"target.unreachable", m_label + " has been silent for " +
                                                   std::to_string((now - m_lastHeard) / 1'000'000'000) + " s."});
        return;
    }
    if (now - m_pingSentAt > std::int64_t{wire::kServePingSeconds} * 1'000'000'000) {
        m_pingSentAt = now;
        send({{"ping", now}});
    }
}

void Host::channelEnded(base::Error error) {
    const bool wasReady = m_ready;
    m_ready = false;
    m_ping.stop();
    m_byId.clear();
    dropChannel();
    const bool settled = error.code != "target.unreachable";
    m_lastError = error;
    m_refused = error.code == "target.refused";
    // A channel that was of use is made anew at once; one that never was waits longer each time.
    m_failures = wasReady ? 0 : m_failures + 1;
    m_flaps = wasReady && !m_useful ? m_flaps + 1 : 0;
    const QPointer<Host> self(this);
    const std::vector<Task*> tasks(m_tasks.begin(), m_tasks.end());
    // All of them first: a callback below may ask for the next channel, and whoever had an id of this one would wait
    // for an answer on it for ever.
    for (Task* task : tasks) {
        if (task->id() != 0) {
            task->setId(task->survives() ? 0 : kBroken);
        }
    }
    for (Task* task : tasks) {
        if (self && m_tasks.contains(task) && task->id() == kBroken) {
            task->fail({"target.unreachable", error.message});
        }
    }
    if (!self || m_channel) {
        return;
    }
    if (wasReady && !settled) {
        const int pause =
            m_flaps == 0 ? 0 : std::min(kLongestPauseMillis, kFlapPauseMillis << std::clamp(m_flaps - 1, 0, 12));
        m_mayTryAt = base::monotonicNanos() + std::int64_t{pause} * 1'000'000;
        setReach(Reach::State::Unreachable, error.message);
        if (someoneWaits() && pause == 0) {
            begin();
        } else if (someoneWaits()) {
            m_retry.start(pause);
        }
        return;
    }
    const int doubled = std::clamp(m_failures - 1, 0, 10);
    const std::int64_t pause =
        m_refused ? std::int64_t{m_options.refusedPauseMillis} << std::min(doubled, 5)
                  : std::min<std::int64_t>(kLongestPauseMillis, std::int64_t{kFirstPauseMillis} << doubled);
    m_mayTryAt = base::monotonicNanos() + pause * 1'000'000;
    failWaiting(error, settled);
    if (!self || m_channel) {
        return;
    }
    const bool again = !m_refused && someoneWaits();
    setReach(Reach::State::Unreachable, error.message, again ? base::wallMicros() + pause * 1000 : 0);
    if (again) {
        m_retry.start(static_cast<int>(pause));
    }
}

void Host::failWaiting(const base::Error& error, bool alsoPatient) {
    const QPointer<Host> self(this);
    const std::vector<Task*> tasks(m_tasks.begin(), m_tasks.end());
    for (Task* task : tasks) {
        if (self && m_tasks.contains(task) && task->id() == 0 && (alsoPatient || !task->patient())) {
            task->fail(error);
        }
    }
}

void Host::setReach(Reach::State state, std::string reason, std::int64_t nextTryAt) {
    if (m_reach.state != state) {
        // Trying and failing in turn is one state to a person: it counts from the first failure.
        const auto away = [](Reach::State s) {
            return s == Reach::State::Unreachable || s == Reach::State::Connecting || s == Reach::State::NeedsAnswer;
        };
        if (!(away(m_reach.state) && away(state) && m_failures > 0)) {
            m_reach.since = base::wallMicros();
        }
    } else if (m_reach.reason == reason && m_reach.nextTryAt == nextTryAt) {
        return;
    }
    m_reach.state = state;
    m_reach.reason = std::move(reason);
    m_reach.nextTryAt = nextTryAt;
    QMetaObject::invokeMethod(
        this,
        [this, reach = m_reach] {
            if (m_onReach) {
                const auto tell = m_onReach;
                tell(reach);
            }
        },
        Qt::QueuedConnection);
}

}  // namespace trainyard::targets
