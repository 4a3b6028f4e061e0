#pragma once
// trainyard-engine serve, kept up for what is asked again and again: predictions of a model, so that it is loaded once,
// and samples of a data set under changing augmentation, so that its pictures are listed once.
#include <QObject>
#include <QPointer>
#include <QTimer>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>

#include "core/base/Json.h"
#include "core/base/Result.h"

namespace trainyard::runs {
class EngineCall;
}

namespace trainyard::commands {

class Session;

/// One engine. Lives in the main thread as a child of the session that it serves; goes by itself a minute after its
/// last answer and when the workspace is closed. What waits while it ends or crashes is answered with the error; the
/// next of() starts another one.
class EngineServer : public QObject {
    Q_OBJECT
public:
    enum class Kind {
        Predictions,  ///< Of the one model that it has loaded: a new one for each, and nothing is done for nobody.
        Samples,      ///< Of any data. Work for nobody is finished: it is mostly what the next answer needs too.
    };
    using Done = std::function<void(const base::Result<base::Json>&)>;
    using Report = std::function<void(const base::Json&)>;

    /// The one that has this (`key`: a model, a data set), or a new one, which `request` is the request of. Another of
    /// this kind that nobody waits for is put to it or ended.
    [[nodiscard]] static EngineServer& of(Session& session, Kind kind, const std::string& key,
                                          const base::Json& request);
    /// Ends those that nobody waits for.
    static void release(Session& session, Kind kind);

    /// Asks for an answer; answers come in order. Neither callback is called once `context` is gone. Errors: those of
    /// the verb and of EngineCall.
    void ask(base::Json request, QObject* context, Report report, Done done);
    /// Nobody wants what `context` asked for.
    void drop(const QObject* context);
    /// It has answered something: if it crashes now, that need not be the question's fault.
    [[nodiscard]] bool hasAnswered() const { return m_answered; }

private:
    EngineServer(Session& session, Kind kind, std::string key, const base::Json& request);
    [[nodiscard]] bool isWanted() const;
    void take(const base::Json& body);
    void end(const base::Error& error);
    void restAWhile();

    struct Question {
        std::int64_t id = 0;
        QPointer<QObject> context;
        Report report;
        Done done;
    };
    const Kind m_kind;
    std::string m_key;  ///< Empty: it is ending.
    runs::EngineCall* m_call;
    std::deque<Question> m_open;
    std::int64_t m_last = 0;
    bool m_answered = false;
    QTimer m_idle;
    QTimer m_silence;
};

}  // namespace trainyard::commands
