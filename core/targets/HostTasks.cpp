// Connecting, requests and programs of Host. Files and streams: HostFiles.cpp, HostFollow.cpp.
#include <QTimer>
#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "core/base/Clock.h"
#include "core/base/Text.h"
#include "core/targets/HostTask.h"

namespace trainyard::targets {
namespace {

constexpr std::int64_t kLongestExecMillis = 86'400'000;

int timerMillis(const Deadline& deadline) {
    return static_cast<int>(std::min<std::int64_t>(deadline.millisLeft(), std::numeric_limits<int>::max()));
}

class ConnectTask final : public Host::Task {
public:
    ConnectTask(Host& host, Deadline deadline, DoneStatus done) : Task(host, false), m_done(std::move(done)) {
        m_deadline.setSingleShot(true);
        QObject::connect(&m_deadline, &QTimer::timeout, &m_deadline, [this] {
            const Host* at = this->host();
            const std::string why = at != nullptr ? at->reach().reason : std::string();
            end(base::Error{"target.deadline", (at != nullptr ? at->label() : std::string("The host")) +
                                                   " was not reached in time." + (why.empty() ? "" : " " + why)});
        });
        m_deadline.start(timerMillis(deadline));
        join();
    }

    void open() override {
        // It may be connected already: the callback is not called inside the call that made this.
        QMetaObject::invokeMethod(
            &m_deadline, [this] { end({}); }, Qt::QueuedConnection);
    }
    void fail(const base::Error& error) override { end(error); }

private:
    void end(const Status& status) {
        if (!m_done) {
            return;
        }
        leave();
        const DoneStatus done = std::exchange(m_done, {});
        done(status);
    }

    QTimer m_deadline;
    DoneStatus m_done;
};

class RequestTask final : public Host::Task {
public:
    RequestTask(Host& host, HostRequest request, Deadline deadline, Done<base::Json> done)
        : Task(host, request.patient), m_request(std::move(request)), m_done(std::move(done)) {
        m_deadline.setSingleShot(true);
        QObject::connect(&m_deadline, &QTimer::timeout, &m_deadline, [this] { late(); });
        m_deadline.start(timerMillis(deadline));
        join();
    }

    void open() override {
        base::Json header = m_request.header;
        if (m_request.inWorkFolder) {
            header["cwd"] = host()->workFolder();
        }
        m_acked = 0;
        m_sent = std::min(m_request.payload.size(), wire::kServeMaxPayload);
        send(std::move(header), std::string_view(m_request.payload).substr(0, m_sent));
        pump();
    }

    void frame(const wire::ServeFrameView& frame) override {
        const base::Json& header = frame.header;
        if (const auto error = answeredError(header)) {
            end(*error);
        } else if (header.contains("done")) {
            base::Json answer = header;
            answer.erase("id");
            answer.erase("done");
            end(std::move(answer));
        } else if (header.contains("ack") && header.at("ack").is_number_integer()) {
            m_acked = static_cast<std::size_t>(std::max<std::int64_t>(0, header.at("ack").get<std::int64_t>()));
            pump();
        } else if (m_request.onEvent) {
            const std::int64_t bytes = static_cast<std::int64_t>(frame.payload.size());
            if (bytes > 0) {
                m_received += bytes;
                send({{"ack", m_received}});
            }
            const auto tell = m_request.onEvent;
            tell(header, std::string(frame.payload));
        }
    }

    [[nodiscard]] bool survives() override {
        m_received = 0;
        return m_request.repeat;
    }
    void fail(const base::Error& error) override { end(error); }

private:
    /// The rest of a payload that is larger than one frame.
    void pump() {
        while (m_sent < m_request.payload.size() &&
               m_sent - std::min(m_acked, m_sent) < std::size_t{wire::kServeWindow}) {
            const std::size_t block = std::min(m_request.payload.size() - m_sent, wire::kServeMaxPayload);
            base::Json header{{"data", true}};
            if (m_sent + block == m_request.payload.size()) {
                header["end"] = true;
            }
            send(std::move(header), std::string_view(m_request.payload).substr(m_sent, block));
            m_sent += block;
        }
    }

    void late() {
        const Host* at = host();
        const std::string label = at != nullptr ? at->label() : "The host";
        if (at != nullptr && at->reach().state != Reach::State::Connected) {
            const std::string& why = at->reach().reason;
            end(base::Error{"target.unreachable", why.empty() ? label + " could not be reached in time." : why});
        } else {
            end(base::Error{"target.deadline", label + " did not answer in time."});
        }
    }

    void end(const Result<base::Json>& result) {
        if (!m_done) {
            return;
        }
        m_deadline.stop();
        leave();
        const Done<base::Json> done = std::exchange(m_done, {});
        done(result);
    }

    HostRequest m_request;
    Done<base::Json> m_done;
    QTimer m_deadline;
    std::size_t m_sent = 0;
    std::size_t m_acked = 0;
    std::int64_t m_received = 0;
};

ExecResult execResult(const base::Json& answer) {
    ExecResult result;
    base::ObjectReader reader(answer, "");
    result.exit = static_cast<int>(reader.integer("exit", -1));
    result.signal = static_cast<int>(reader.integer("signal", 0));
    result.out = reader.string("out");
    result.err = reader.string("err");
    result.truncated = reader.boolean("truncated", false);
    return result;
}

}  // namespace

OperationPtr Host::connect(Deadline deadline, DoneStatus done) {
    OperationPtr task = std::make_unique<ConnectTask>(*this, deadline, std::move(done));
    connectNow();
    return task;
}

OperationPtr Host::request(HostRequest request, Deadline deadline, Done<base::Json> done) {
    return std::make_unique<RequestTask>(*this, std::move(request), deadline, std::move(done));
}

OperationPtr Host::exec(ExecRequest exec, Deadline deadline, Done<ExecResult> done) {
    HostRequest request;
    request.repeat = exec.repeat;
    request.inWorkFolder = exec.inWorkFolder;
    base::Json& header = request.header;
    header["verb"] = "exec";
    header["argv"] = exec.argv;
    if (!exec.folder.empty()) {
        header["cwd"] = exec.folder;
    }
    base::Json environment = base::Json::object();
    for (const auto& [name, value] : exec.environment) {
        environment[name] = value;
    }
    header["environment"] = std::move(environment);
    header["limit_ms"] = std::clamp<std::int64_t>(deadline.millisLeft(), 1, kLongestExecMillis);
    if (!exec.input.empty()) {
        header["stdin_bytes"] = exec.input.size();
    }
    if (exec.onOutput) {
        header["stream"] = true;
        request.onEvent = [tell = std::move(exec.onOutput)](const base::Json& event, std::string bytes) {
            tell(event.contains("event") && event.at("event") == "err", std::move(bytes));
        };
    }
    request.payload = std::move(exec.input);
    // The agent ends the program at the limit and says so; we wait a little longer for its word.
    return this->request(std::move(request), Deadline::inMillis(deadline.millisLeft() + 5000),
                         [done = std::move(done)](Result<base::Json> answer) {
                             const auto call = done;
                             call(answer.ok() ? Result<ExecResult>(execResult(*answer))
                                              : Result<ExecResult>(answer.error()));
                         });
}

}  // namespace trainyard::targets
