#pragma once
// trainyard-engine called outside a run: `trainyard-engine VERB --request FILE`, answers as JSON Lines on stdout.
#include <QByteArray>
#include <QObject>
#include <QProcess>
#include <QTemporaryDir>
#include <QTimer>
#include <memory>
#include <optional>
#include <string>

#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/base/Result.h"

namespace trainyard::runs {

/// One call. Lives in one thread with an event loop. done() is emitted exactly once after start(), always from the
/// event loop. Destroying it ends the engine.
/// Errors: what the engine said, "engine.missing", "engine.crashed" (signal or no answer, with its last words),
/// "engine.protocol", "engine.deadline", "canceled".
class EngineCall : public QObject {
    Q_OBJECT
public:
    /// `program`: empty looks for trainyard-engine beside the running program and in ../lib/trainyard.
    explicit EngineCall(base::Path program = {}, QObject* parent = nullptr);
    ~EngineCall() override;

    /// Legal once. `deadlineMillis` counts from now.
    void start(const std::string& verb, const base::Json& request, int deadlineMillis);
    /// A line on the engine's standard input, for a verb that reads it ("serve"). Legal after start().
    void say(const base::Json& line);
    /// SIGTERM, and SIGKILL two seconds later. Ends with "canceled".
    void cancel();

Q_SIGNALS:
    void progressed(const trainyard::base::Json& body);
    void done(const trainyard::base::Result<trainyard::base::Json>& result);

private:
    void readLines();
    void takeLine(const QByteArray& line);
    void ended(int code, QProcess::ExitStatus how);
    void stopWith(base::Error error);
    void finish(base::Result<base::Json> result);

    base::Path m_program;
    QProcess m_process;
    QTimer m_deadline;
    QTimer m_kill;
    std::unique_ptr<QTemporaryDir> m_folder;
    QByteArray m_toSay;  ///< Until the engine runs.
    QByteArray m_out;
    QByteArray m_err;
    std::optional<base::Result<base::Json>> m_answer;
    std::optional<base::Error> m_stopped;  ///< Why we ended it ourselves.
    bool m_started = false;
    bool m_finished = false;
};

}  // namespace trainyard::runs
