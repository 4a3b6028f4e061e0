#include "core/targets/SshFollow.h"

#include <QTimer>
#include <algorithm>
#include <map>
#include <utility>

#include "core/targets/SshPlaces.h"

namespace trainyard::targets {
namespace {

constexpr int kAgainMillis = 2000;
constexpr std::int64_t kAskMillis = 60'000;

class SshFollow final : public Operation {
public:
    SshFollow(std::shared_ptr<SshTarget::Shared> shared, RunId run, std::vector<StreamPosition> from,
              std::function<void(StreamChunk)> onChunk, std::function<void(base::Error)> onError)
        : m_shared(std::move(shared)), m_run(std::move(run)), m_from(std::move(from)), m_onChunk(std::move(onChunk)),
          m_onError(std::move(onError)) {
        m_again.setSingleShot(true);
        QObject::connect(&m_again, &QTimer::timeout, &m_again, [this] { find(); });
        find();
    }

private:
    /// The streams of the nodes of one host.
    struct Part {
        std::size_t host = 0;
        std::map<std::pair<int, int>, StreamPosition> at;  ///< By attempt and node.
        bool caughtUp = false;
        OperationPtr stream;
        QTimer again;  ///< Runs while the host refuses.
    };

    void find() {
        m_step = findPlaces(
            m_shared, m_run, Deadline::inMillis(kAskMillis), [this](const Result<std::vector<std::size_t>>& places) {
                if (places.ok()) {
                    begin(*places);
                } else if (places.error().code == "target.unreachable" || places.error().code == "target.deadline") {
                    m_again.start(kAgainMillis);  // A run's streams are worth waiting for.
                } else {
                    end(places.error());
                }
            });
    }

    void begin(const std::vector<std::size_t>& places) {
        std::vector<std::size_t> hosts = distinct(places);
        if (m_shared->spec.shared) {
            hosts.resize(1);
        }
        for (const std::size_t host : hosts) {
            m_parts.push_back(std::make_unique<Part>());
            Part& part = *m_parts.back();
            part.host = host;
            for (const StreamPosition& position : m_from) {
                const auto node = static_cast<std::size_t>(std::max(0, position.node));
                const std::size_t home = node < places.size() ? places[node] : hosts[0];
                if (m_shared->spec.shared || home == host) {
                    part.at[{position.attempt, position.node}] = position;
                }
            }
            part.again.setSingleShot(true);
            QObject::connect(&part.again, &QTimer::timeout, &part.again, [this, &part] { followPart(part); });
        }
        for (const std::unique_ptr<Part>& part : m_parts) {
            followPart(*part);
        }
    }

    void followPart(Part& part) {
        std::vector<StreamPosition> from;
        for (const auto& [stream, position] : part.at) {
            from.push_back(position);
        }
        part.stream = m_shared->hosts[part.host]->follow(
            m_run, std::move(from), [this, &part](StreamChunk chunk) { take(part, std::move(chunk)); },
            [this, &part](const base::Error& error) { partEnded(part, error); });
    }

    void take(Part& part, StreamChunk chunk) {
        if (!chunk.bytes.empty() || chunk.closed) {
            part.at[{chunk.attempt, chunk.node}] =
                chunk.closed ? StreamPosition{chunk.attempt, chunk.node, chunk.segment + 1, 0}
                             : StreamPosition{chunk.attempt, chunk.node, chunk.segment,
                                              chunk.offset + static_cast<std::int64_t>(chunk.bytes.size())};
        }
        part.caughtUp = chunk.caughtUp;
        chunk.caughtUp = std::all_of(m_parts.begin(), m_parts.end(), [](const auto& one) { return one->caughtUp; });
        const auto deliver = m_onChunk;
        deliver(std::move(chunk));
    }

    /// A host that refuses the login is no reason to hear nothing of the others.
    void partEnded(Part& part, const base::Error& error) {
        part.again.start(kAgainMillis);
        const bool all =
            std::all_of(m_parts.begin(), m_parts.end(), [](const auto& one) { return one->again.isActive(); });
        if (all || !mayAnswerLater(error)) {
            end(error);
        }
    }

    void end(const base::Error& error) {
        for (const std::unique_ptr<Part>& part : m_parts) {
            part->again.stop();
        }
        const auto tell = std::exchange(m_onError, {});
        if (tell) {
            tell(error);
        }
    }

    std::shared_ptr<SshTarget::Shared> m_shared;
    RunId m_run;
    std::vector<StreamPosition> m_from;
    std::function<void(StreamChunk)> m_onChunk;
    std::function<void(base::Error)> m_onError;
    QTimer m_again;
    OperationPtr m_step;
    std::vector<std::unique_ptr<Part>> m_parts;
};

}  // namespace

OperationPtr followOverSsh(std::shared_ptr<SshTarget::Shared> shared, const RunId& run,
                           std::vector<StreamPosition> from, std::function<void(StreamChunk)> onChunk,
                           std::function<void(base::Error)> onError) {
    if (shared->hosts.size() == 1) {
        return shared->hosts.front()->follow(run, std::move(from), std::move(onChunk), std::move(onError));
    }
    return std::make_unique<SshFollow>(std::move(shared), run, std::move(from), std::move(onChunk), std::move(onError));
}

}  // namespace trainyard::targets
