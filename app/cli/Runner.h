#pragma once
#include <QObject>
#include <QTimer>
#include <functional>
#include <memory>
#include <string>

#include "app/cli/Request.h"
#include "app/cli/Terminal.h"
#include "core/commands/Session.h"

namespace trainyard::cli {

/// Carries one request out in the main thread's event loop and ends it with the exit code.
class Runner : public QObject {
    Q_OBJECT
public:
    explicit Runner(Request request);
    ~Runner() override;
    void start();
    /// Ctrl+C: lets go of what is waited for and says how to come back.
    void interrupt();

private:
    void openThen(std::function<void()> next);
    void carryOut();
    void submitOrCheck();
    void startWith(const base::Result<base::Json>& document);
    void defineTarget(const base::Json& present);
    void ask(std::int64_t question, const targets::Question& what);
    void startAction(base::Json parameters);
    /// How much travels to the target and how long that takes, once: when the time is known, or all is there.
    void tellUpload(const base::Json& upload);
    void take(const base::Result<base::Json>& result);
    void watch();
    void takeWatched(const base::Result<base::Json>& result);
    void nextLogs();
    void takeLogs(const base::Result<base::Json>& result);
    void finishWatch(const base::Json& shown);
    [[nodiscard]] bool confirmed() const;
    void succeed(const base::Json& result, int exitCode = kOk);
    /// `otherwise`: the exit code where the error's own code stands for none in particular.
    void fail(const base::Error& error, int otherwise = kActionFailed);
    void quit(int exitCode);
    void print(const std::string& text);

    Request m_request;
    commands::Session m_session;
    ProgressLine m_progress;
    QTimer m_logTimer;
    std::string m_run;  ///< Whole id of the run that is waited for.
    std::string m_runNumber;
    std::int64_t m_logNext = 0;  ///< Of a search, which counts lines;
    std::string m_logPlace;      ///< of everything else: what came in from slower machines meanwhile is not left out.
    bool m_logRuns = false;      ///< A query for lines is under way.
    bool m_manyRanks = false;
    std::unique_ptr<base::Json> m_shown;  ///< The run as it ended, once it has.
    std::string m_lastState;
    std::string m_lastTrouble;  ///< Printed already.
    bool m_uploadTold = false;
    bool m_finished = false;
};

}  // namespace trainyard::cli
