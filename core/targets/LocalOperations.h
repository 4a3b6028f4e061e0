#pragma once
// Operations of LocalTarget. Each lives in the thread that made it.
#include <QProcess>
#include <QTimer>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "core/targets/Operations.h"
#include "core/targets/Target.h"
#include "core/wire/Layout.h"

namespace trainyard::targets {

/// A program that must end with status 0 before the deadline.
class ProcessOperation final : public Operation {
public:
    ProcessOperation(const QString& program, const QStringList& arguments, Deadline deadline, DoneStatus done);
    ~ProcessOperation() override;

private:
    void end(Status status);

    QProcess m_process;
    QTimer m_deadline;
    DoneStatus m_done;
    bool m_ended = false;
};

/// Reads the streams of all attempts and nodes of a run as they grow. Polls: a stat of one file a stream each time,
/// about 2 µs; a watch would need a second way anyway for segments and folders that are not there yet.
class FollowOperation final : public Operation {
public:
    FollowOperation(wire::WorkLayout work, RunId run, std::vector<StreamPosition> from, std::int64_t chunkBytes,
                    int pollMillis, std::function<void(StreamChunk)> onChunk, std::function<void(base::Error)> onError);

private:
    struct Stream {
        StreamPosition at;
        bool nextWasThere = false;  ///< The following segment was seen before the last read: this one is closed.
    };
    void poll();
    void findStreams();
    /// True when there may be more at once. `chunk` is set when there is something to deliver.
    [[nodiscard]] Result<bool> pollStream(Stream& stream, std::optional<StreamChunk>& chunk);

    wire::WorkLayout m_work;
    RunId m_run;
    std::int64_t m_chunkBytes;
    int m_pollMillis;
    std::map<std::pair<int, int>, Stream> m_streams;  ///< By attempt and node.
    std::pair<int, int> m_turn;                       ///< Whose turn it is, so that no stream keeps the others waiting.
    int m_polls = 0;
    bool m_toldCaughtUp = false;
    std::function<void(StreamChunk)> m_onChunk;
    std::function<void(base::Error)> m_onError;
    QTimer m_timer;
};

}  // namespace trainyard::targets
