#include "core/targets/LocalOperations.h"

#include <sys/stat.h>

#include <algorithm>
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
            end(base::Error{"target.program", m_process.program().toStdString() + " does not start: " +
                                                  m_process.errorString().toStdString()});
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
        &m_deadline, [done, status = std::move(status)] {
            const DoneStatus call = done;
            call(status);
        },
        Qt::QueuedConnection);
}

FollowOperation::FollowOperation(base::Path folder, int segment, std::int64_t offset, std::int64_t chunkBytes,
                                 int pollMillis, std::function<void(StreamChunk)> onChunk,
                                 std::function<void(base::Error)> onError)
    : m_folder(std::move(folder)),
      m_segment(segment),
      m_offset(offset),
      m_chunkBytes(chunkBytes),
      m_pollMillis(pollMillis),
      m_onChunk(std::move(onChunk)),
      m_onError(std::move(onError)) {
    m_timer.setSingleShot(true);
    m_timer.setTimerType(Qt::PreciseTimer);
    QObject::connect(&m_timer, &QTimer::timeout, &m_timer, [this] { poll(); });
    m_timer.start(0);
}

void FollowOperation::poll() {
    const base::Path file = m_folder / wire::segmentName(m_segment);
    struct stat info {};
    const bool there = ::stat(file.c_str(), &info) == 0;
    if (there && info.st_size < m_offset) {
        m_timer.stop();
        const auto tell = std::move(m_onError);
        tell(base::Error{"target.stream", "The stream segment " + file.string() + " is shorter than what was read of it."});
        return;
    }
    if (there && info.st_size > m_offset) {
        Result<std::string> bytes = base::readFileRange(file, m_offset, m_chunkBytes);
        if (!bytes.ok()) {
            const auto tell = std::move(m_onError);
            tell(bytes.error());
            return;
        }
        StreamChunk chunk{m_segment, m_offset, std::move(*bytes), false, false};
        m_offset += static_cast<std::int64_t>(chunk.bytes.size());
        m_timer.start(m_offset < info.st_size ? 0 : m_pollMillis);
        m_toldCaughtUp = false;
        const auto deliver = m_onChunk;
        deliver(std::move(chunk));
        return;
    }
    // A segment is closed once the next one exists; what was written to it before that was read by one more look.
    const bool nextIsThere = ::stat((m_folder / wire::segmentName(m_segment + 1)).c_str(), &info) == 0;
    if (nextIsThere && m_nextWasThere) {
        StreamChunk chunk{m_segment, m_offset, {}, true, false};
        ++m_segment;
        m_offset = 0;
        m_nextWasThere = false;
        m_timer.start(0);
        const auto deliver = m_onChunk;
        deliver(std::move(chunk));
        return;
    }
    m_nextWasThere = nextIsThere;
    m_timer.start(nextIsThere ? 0 : m_pollMillis);
    if (!nextIsThere && !m_toldCaughtUp) {
        m_toldCaughtUp = true;
        const auto deliver = m_onChunk;
        deliver(StreamChunk{m_segment, m_offset, {}, false, true});
    }
}

}  // namespace trainyard::targets
