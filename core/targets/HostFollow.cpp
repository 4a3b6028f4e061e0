// The streams of a run over a channel that may break at any moment.
#include <algorithm>
#include <map>
#include <utility>

#include "core/targets/HostTask.h"

namespace trainyard::targets {
namespace {

class FollowTask final : public Host::Task {
public:
    FollowTask(Host& host, const RunId& run, const std::vector<StreamPosition>& from,
               std::function<void(StreamChunk)> onChunk, std::function<void(base::Error)> onError)
        : Task(host, true), m_run(run.str()), m_onChunk(std::move(onChunk)), m_onError(std::move(onError)) {
        for (const StreamPosition& position : from) {
            m_at[{position.attempt, position.node}] = {position.segment, position.offset};
        }
        join();
    }

    void open() override {
        m_received = 0;
        base::Json from = base::Json::array();
        for (const auto& [stream, at] : m_at) {
            from.push_back(
                {{"attempt", stream.first}, {"node", stream.second}, {"segment", at.first}, {"offset", at.second}});
        }
        base::Json header{{"verb", "follow"}, {"run", m_run}};
        header["from"] = std::move(from);
        send(std::move(header));
    }

    void frame(const wire::ServeFrameView& frame) override {
        const base::Json& header = frame.header;
        if (const auto error = answeredError(header)) {
            end(*error);
            return;
        }
        if (header.contains("done")) {
            end({"target.protocol", "The agent stopped following the run by itself."});
            return;
        }
        base::ObjectReader reader(header, "");
        StreamChunk chunk;
        chunk.attempt = static_cast<int>(reader.integer("attempt", 1));
        chunk.node = static_cast<int>(reader.integer("node", 0));
        chunk.segment = static_cast<int>(reader.integer("segment", 1));
        chunk.offset = reader.integer("offset", 0);
        chunk.closed = reader.boolean("closed", false);
        chunk.caughtUp = reader.boolean("caught_up", false);
        chunk.bytes = std::string(frame.payload);
        if (!reader.status(false).ok() || chunk.attempt < 1 || chunk.node < 0) {
            end({"target.protocol", "The agent sent a piece of a stream that cannot be read."});
            return;
        }
        const bool carries = !chunk.bytes.empty() || chunk.closed;
        if (carries) {
            auto& at = m_at.try_emplace({chunk.attempt, chunk.node}, std::pair(1, std::int64_t{0})).first->second;
            if (at != std::pair(chunk.segment, chunk.offset)) {
                end({"target.protocol", "The agent sent a piece of a stream that does not follow the last one."});
                return;
            }
            at.second += static_cast<std::int64_t>(chunk.bytes.size());
            if (chunk.closed) {
                at = {chunk.segment + 1, 0};
            }
        }
        if (!chunk.bytes.empty()) {
            m_received += static_cast<std::int64_t>(chunk.bytes.size());
            send({{"ack", m_received}});
        }
        const auto deliver = m_onChunk;
        deliver(std::move(chunk));
    }

    void fail(const base::Error& error) override { end(error); }

private:
    void end(const base::Error& error) {
        if (!m_onError) {
            return;
        }
        leave();
        const auto tell = std::exchange(m_onError, {});
        tell(error);
    }

    std::string m_run;
    std::map<std::pair<int, int>, std::pair<int, std::int64_t>> m_at;  ///< By attempt and node: segment and offset.
    std::int64_t m_received = 0;                                       ///< Payload on this channel.
    std::function<void(StreamChunk)> m_onChunk;
    std::function<void(base::Error)> m_onError;
};

}  // namespace

OperationPtr Host::follow(const RunId& run, std::vector<StreamPosition> from, std::function<void(StreamChunk)> onChunk,
                          std::function<void(base::Error)> onError) {
    return std::make_unique<FollowTask>(*this, run, from, std::move(onChunk), std::move(onError));
}

}  // namespace trainyard::targets
