#include "core/targets/SshFollow.h"

#include <QTimer>
#include <algorithm>
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
        m_caughtUp.assign(hosts.size(), false);
        for (std::size_t i = 0; i < hosts.size(); ++i) {
            std::vector<StreamPosition> from;
            for (const StreamPosition& position : m_from) {
                const auto node = static_cast<std::size_t>(std::max(0, position.node));
                const std::size_t home = node < places.size() ? places[node] : hosts[0];
                if (m_shared->spec.shared || home == hosts[i]) {
                    from.push_back(position);
                }
            }
            m_parts.push_back(m_shared->hosts[hosts[i]]->follow(
                m_run, std::move(from), [this, i](StreamChunk chunk) { take(i, std::move(chunk)); },
                [this](const base::Error& error) { end(error); }));
        }
    }

    void take(std::size_t part, StreamChunk chunk) {
        m_caughtUp[part] = chunk.caughtUp;
        chunk.caughtUp = std::all_of(m_caughtUp.begin(), m_caughtUp.end(), [](bool one) { return one; });
        const auto deliver = m_onChunk;
        deliver(std::move(chunk));
    }

    void end(const base::Error& error) {
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
    std::vector<bool> m_caughtUp;
    std::vector<OperationPtr> m_parts;
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
