#pragma once
// trainyard-engine serve, kept up for the models that pictures are being tried on, so that each is loaded once.
#include <QObject>
#include <QPointer>
#include <QTimer>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>

#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/base/Result.h"

namespace trainyard::runs {
class EngineCall;
}

namespace trainyard::commands {

class Session;

/// One engine with one model loaded. Lives in the main thread as a child of the session that it serves; goes by itself
/// a minute after its last answer, when another model is asked for, and when the workspace is closed.
class ModelServer : public QObject {
    Q_OBJECT
public:
    using Done = std::function<void(const base::Result<base::Json>&)>;
    using Report = std::function<void(const base::Json&)>;

    /// The one that has this model loaded, or a new one.
    [[nodiscard]] static ModelServer& of(Session& session, const base::Path& model, const base::Json& card,
                                         const std::string& device);

    /// Asks for predictions: {"files", "top"}. Answers come in order. Neither callback is called once `context` is
    /// gone. Errors: those of the verb and of EngineCall.
    void ask(base::Json request, QObject* context, Report report, Done done);
    /// Nobody wants what `context` asked for; an engine that works on nothing else is ended.
    void drop(const QObject* context);

private:
    ModelServer(Session& session, const base::Path& model, const base::Json& card, const std::string& device,
                std::string key);
    void take(const base::Json& body);
    void end(const base::Error& error);
    void restAWhile();

    struct Question {
        std::int64_t id = 0;
        QPointer<QObject> context;
        Report report;
        Done done;
    };
    std::string m_key;
    runs::EngineCall* m_call;
    std::deque<Question> m_open;
    std::int64_t m_last = 0;
    QTimer m_idle;
    QTimer m_silence;
};

}  // namespace trainyard::commands
