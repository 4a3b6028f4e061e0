#pragma once
// One request of `trainyard-agent serve` (resources/docs/protocol/serve.md). All live in the server's one thread; none
// may block for longer than a small local file takes. What takes longer is a ServeWorker.
#include <poll.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/wire/Layout.h"
#include "core/wire/Serve.h"

namespace trainyard::agent {

using base::Error;
using base::Json;
using base::Path;
using base::Result;
using base::Status;
using wire::RunId;

/// What goes to the client.
class ServeOut {
public:
    virtual ~ServeOut() = default;
    virtual void send(Json header, std::string_view payload) = 0;
    /// False while so much waits to be sent that whoever has a choice should wait.
    [[nodiscard]] virtual bool roomy() const = 0;
};

/// What all requests of one channel share.
struct ServeContext {
    wire::WorkLayout work;
    Path slots;  ///< The machine's queue.
    ServeOut* out = nullptr;
    bool unsynced = false;  ///< Uploaded files lie there that no sync has covered yet.
};

class ServeRequest {
public:
    static constexpr std::int64_t kNever = 60'000;

    ServeRequest(ServeContext& context, std::int64_t id) : m_context(context), m_id(id) {}
    ServeRequest(const ServeRequest&) = delete;
    ServeRequest& operator=(const ServeRequest&) = delete;
    virtual ~ServeRequest() = default;

    /// A frame of the client's for this request: payload or an acknowledgement.
    virtual void frame(const Json& header, std::string payload);
    /// Descriptors whose readiness should bring the next turn at once.
    virtual void watch(std::vector<pollfd>& polls) const { (void) polls; }
    /// Called in every turn of the loop; does what can be done without waiting.
    virtual void turn() {}
    /// Milliseconds after which a turn is due whatever happens.
    [[nodiscard]] virtual std::int64_t pause() const { return kNever; }

    [[nodiscard]] bool finished() const { return m_finished; }
    [[nodiscard]] std::int64_t id() const { return m_id; }

protected:
    void event(Json header, std::string_view payload = {});
    void done(Json header = Json::object());
    /// The codes file.full and file.denied become the target's, with a remedy.
    void fail(const Error& error);
    /// Whatever a worker says in our name.
    void relay(Json header, std::string_view payload);
    /// The answer was given by somebody else in our name.
    void finish() { m_finished = true; }
    [[nodiscard]] ServeContext& context() const { return m_context; }
    [[nodiscard]] const wire::WorkLayout& work() const { return m_context.work; }
    [[nodiscard]] ServeOut& out() const { return *m_context.out; }

private:
    ServeContext& m_context;
    std::int64_t m_id;
    bool m_finished = false;
};

using ServeRequestPtr = std::unique_ptr<ServeRequest>;

/// Counts what a client has not acknowledged yet.
class ServeCredit {
public:
    static constexpr std::size_t kChunkBytes = 256 << 10;  ///< Sent at once at most.

    void sent(std::size_t bytes) { m_sent += static_cast<std::int64_t>(bytes); }
    void acknowledged(const Json& header) {
        const auto it = header.find("ack");
        if (it == header.end() || !it->is_number_integer()) return;
        m_acknowledged = std::clamp(it->get<std::int64_t>(), m_acknowledged, m_sent);
    }
    [[nodiscard]] bool open() const {
        return m_sent - m_acknowledged + static_cast<std::int64_t>(kChunkBytes) <= wire::kServeWindow;
    }

private:
    std::int64_t m_sent = 0;
    std::int64_t m_acknowledged = 0;
};

/// An error as a request is answered with it.
[[nodiscard]] Error targetError(Error error);
[[nodiscard]] Json errorJson(const Error& error);

/// Reads the members of a request; the first thing that is wrong with it becomes its answer.
class ServeArguments {
public:
    explicit ServeArguments(const Json& request) : m_reader(request, "") {}
    [[nodiscard]] base::ObjectReader& reader() { return m_reader; }
    RunId run();
    int number(std::string_view key, int least, int most, int fallback);
    /// 64 lower-case hex characters.
    std::string sha256(std::string_view key);
    /// base::isPlainRelativePath.
    std::string relativePath(std::string_view key);
    [[nodiscard]] Status status() const { return m_reader.status(false); }

private:
    base::ObjectReader m_reader;
};

[[nodiscard]] bool isSha256(std::string_view text);
/// Key of an engine: letters, digits, '.', '_' and '-', no leading dot, at most 128.
[[nodiscard]] bool isCacheKey(std::string_view text);
/// The newest attempt that a run has a folder for; 0 when there is none.
[[nodiscard]] int newestAttempt(const Path& run);
/// Numbers N of the folders <letter>N in a folder, sorted.
[[nodiscard]] std::vector<int> numberedFolders(const Path& folder, char letter);
/// Opens a regular file inside a folder without following any link on the way ("target.path").
[[nodiscard]] Result<base::UniqueFd> openInside(const Path& folder, const std::string& relative);

/// Work that blocks, in a forked child that dies with us; what it says is passed on. `work` returns the members of the
/// request's `done`.
class ServeWorker final : public ServeRequest {
public:
    /// What the work may say while it goes on; false once the channel is gone.
    using Say = std::function<bool(const Json& event)>;
    using Work = std::function<Result<Json>(const Say&)>;

    ServeWorker(ServeContext& context, std::int64_t id, const Work& work);
    ~ServeWorker() override;
    void watch(std::vector<pollfd>& polls) const override;
    void turn() override;

private:
    struct Running;
    std::unique_ptr<Running> m_running;
};

/// Base of requests that collect what comes and then leave it to a worker, whose answer is theirs.
class ServeCollector : public ServeRequest {
public:
    using ServeRequest::ServeRequest;
    void watch(std::vector<pollfd>& polls) const override {
        if (m_worker) m_worker->watch(polls);
    }
    void turn() override {
        if (!m_worker) return;
        m_worker->turn();
        if (m_worker->finished()) finish();
    }

protected:
    [[nodiscard]] bool isAtWork() const { return m_worker != nullptr; }
    void setToWork(const ServeWorker::Work& work) { m_worker = std::make_unique<ServeWorker>(context(), id(), work); }

private:
    std::unique_ptr<ServeWorker> m_worker;
};

}  // namespace trainyard::agent
