#include "core/targets/LocalOperations.h"

#include <sys/stat.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "core/wire/RunStream.h"

namespace trainyard::targets {

ProcessOperation::ProcessOperation(const QString& program, const QStringList& arguments, Deadline deadline,
                                   DoneStatus done)
    : m_done(std::move(done)) {
    m_process.setStandardInputFile(QProcess::nullDevice());
    m_process.setStandardOutputFile(QProcess::nullDevice());
    QObject::connect(&m_process, &QProcess::finished, &m_process, [this](int code, QProcess::ExitStatus how) {
        if (how == QProcess::NormalExit && code == 0) {
            end({});
            return;
        }
        const QString said = QString::fromUtf8(m_process.readAllStandardError().right(2000)).trimmed();
        const QString why = how == QProcess::CrashExit ? QStringLiteral("it crashed")
                                                       : QStringLiteral("it ended with status %1").arg(code);
        end(base::Error{"target.program", m_process.program().toStdString() + " could not do its work: " +
                                              why.toStdString() + (said.isEmpty() ? "." : ". " + said.toStdString())});
    });
    QObject::connect(&m_process, &QProcess::errorOccurred, &m_process, [this](QProcess::ProcessError error) {
        if (error == QProcess::FailedToStart) {
            end(base::Error{"target.program", m_process.program().toStdString() +
                                                  " does not start: " + m_process.errorString().toStdString()});
        }
    });
    m_deadline.setSingleShot(true);
    QObject::connect(&m_deadline, &QTimer::timeout, &m_process, [this] {
        end(base::Error{"target.deadline", m_process.program().toStdString() + " did not answer in time."});
    });
    const std::int64_t left = std::min<std::int64_t>(deadline.millisLeft(), std::numeric_limits<int>::max());
    m_deadline.start(static_cast<int>(left));
    // From the event loop, so that a failing start is not reported inside the call that made this operation.
    QMetaObject::invokeMethod(
        &m_process, [this, program, arguments] { m_process.start(program, arguments, QIODevice::ReadOnly); },
        Qt::QueuedConnection);
}

ProcessOperation::~ProcessOperation() {
    m_process.disconnect();
    if (m_process.state() != QProcess::NotRunning) {
        m_process.kill();
        m_process.waitForFinished(1000);
    }
}

void ProcessOperation::end(Status status) {
    if (m_ended) {
        return;
    }
    m_ended = true;
    m_deadline.stop();
    // Moved out first: the callback may destroy this operation.
    const DoneStatus done = std::move(m_done);
    QMetaObject::invokeMethod(
        &m_deadline,
        [done, status = std::move(status)] {
            const DoneStatus call = done;
            call(status);
        },
        Qt::QueuedConnection);
}

FollowOperation::FollowOperation(wire::WorkLayout work, RunId run, std::vector<StreamPosition> from,
                                 std::int64_t chunkBytes, int pollMillis, std::function<void(StreamChunk)> onChunk,
                                 std::function<void(base::Error)> onError)
    : m_work(std::move(work)), m_run(std::move(run)), m_chunkBytes(chunkBytes), m_pollMillis(pollMillis),
      m_onChunk(std::move(onChunk)), m_onError(std::move(onError)) {
    for (const StreamPosition& position : from) {
        m_streams[{position.attempt, position.node}].at = position;
    }
    m_timer.setSingleShot(true);
    m_timer.setTimerType(Qt::PreciseTimer);
    QObject::connect(&m_timer, &QTimer::timeout, &m_timer, [this] { poll(); });
    m_timer.start(0);
}

void FollowOperation::findStreams() {
    constexpr int kFullSearchPolls = 50;  // Folders that come in another order than by number.
    std::error_code error;
    const auto there = [&](int attempt, int node) {
        return std::filesystem::is_directory(m_work.attemptNode(m_run, attempt, node), error);
    };
    const auto add = [&](int attempt, int node) {
        StreamPosition& at = m_streams[{attempt, node}].at;
        at.attempt = attempt;
        at.node = node;
    };
    const bool all = m_polls++ % kFullSearchPolls == 0;
    const int newest = m_streams.empty() ? 0 : m_streams.rbegin()->first.first;
    for (int attempt = all ? 1 : std::max(1, newest); attempt <= newest || there(attempt, 0); ++attempt) {
        const auto last = m_streams.lower_bound({attempt + 1, 0});
        const bool any = last != m_streams.begin() && std::prev(last)->first.first == attempt;
        int node = all || !any ? 0 : std::prev(last)->first.second + 1;
        for (; there(attempt, node); ++node) {
            if (!m_streams.contains({attempt, node})) {
                add(attempt, node);
            }
        }
    }
}

Result<bool> FollowOperation::pollStream(Stream& stream, std::optional<StreamChunk>& chunk) {
    StreamPosition& at = stream.at;
    const base::Path folder = wire::NodeLayout{m_work.attemptNode(m_run, at.attempt, at.node)}.stream();
    const base::Path file = folder / wire::segmentName(at.segment);
    struct stat info {};
    const bool there = ::stat(file.c_str(), &info) == 0;
    if (there && info.st_size < at.offset) {
        return base::Error{"target.stream",
                           "The stream segment " + file.string() + " is shorter than what was read of it."};
    }
    if (there && info.st_size > at.offset) {
        Result<std::string> bytes = base::readFileRange(file, at.offset, m_chunkBytes);
        if (!bytes.ok()) {
            return bytes.error();
        }
        chunk = StreamChunk{at.attempt, at.node, at.segment, at.offset, std::move(*bytes), false, false};
        at.offset += static_cast<std::int64_t>(chunk->bytes.size());
        return at.offset < info.st_size;
    }
    // A segment is closed once the next one exists; what was written to it before that was read by one more look.
    const bool nextIsThere = ::stat((folder / wire::segmentName(at.segment + 1)).c_str(), &info) == 0;
    if (nextIsThere && stream.nextWasThere) {
        chunk = StreamChunk{at.attempt, at.node, at.segment, at.offset, {}, true, false};
        ++at.segment;
        at.offset = 0;
        stream.nextWasThere = false;
        return true;
    }
    stream.nextWasThere = nextIsThere;
    return nextIsThere;
}

void FollowOperation::poll() {
    findStreams();
    // One chunk a turn: the callback may end this operation.
    bool more = false;
    auto next = m_streams.upper_bound(m_turn);
    for (std::size_t looked = 0; looked < m_streams.size(); ++looked, ++next) {
        next = next == m_streams.end() ? m_streams.begin() : next;
        std::optional<StreamChunk> chunk;
        const Result<bool> polled = pollStream(next->second, chunk);
        if (!polled.ok()) {
            const auto tell = std::move(m_onError);
            tell(polled.error());
            return;
        }
        more = more || *polled;
        if (chunk) {
            m_turn = next->first;
            m_toldCaughtUp = false;
            m_timer.start(*polled || m_streams.size() > 1 ? 0 : m_pollMillis);
            const auto deliver = m_onChunk;
            deliver(std::move(*chunk));
            return;
        }
    }
    m_timer.start(more ? 0 : m_pollMillis);
    if (!more && !m_toldCaughtUp) {
        m_toldCaughtUp = true;
        StreamChunk nothing;
        nothing.caughtUp = true;
        if (!m_streams.empty()) {
            const StreamPosition& at = m_streams.rbegin()->second.at;
            nothing.attempt = at.attempt;
            nothing.node = at.node;
            nothing.segment = at.segment;
            nothing.offset = at.offset;
        }
        const auto deliver = m_onChunk;
        deliver(std::move(nothing));
    }
}

}  // namespace trainyard::targets
