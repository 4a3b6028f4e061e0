#include "core/commands/ModelServer.h"

#include <algorithm>
#include <utility>

#include "core/commands/Session.h"
#include "core/runs/EngineCall.h"

namespace trainyard::commands {

using base::Error;
using base::Json;
using base::Result;

namespace {

constexpr int kIdleMillis = 60'000;
/// An engine that says nothing for so long hangs; it reports several times a second between pictures.
constexpr int kSilenceMillis = 600'000;
constexpr int kLongestMillis = 24 * 3600 * 1000;

}  // namespace

ModelServer& ModelServer::of(Session& session, const base::Path& model, const Json& card, const std::string& device) {
    const std::string key = model.string() + '\n' + device;
    for (ModelServer* server : session.findChildren<ModelServer*>(QString(), Qt::FindDirectChildrenOnly)) {
        if (server->m_key == key) {
            return *server;
        }
        if (server->m_open.empty()) {
            server->m_key.clear();
            server->deleteLater();
        }
    }
    return *new ModelServer(session, model, card, device, key);
}

ModelServer::ModelServer(Session& session, const base::Path& model, const Json& card, const std::string& device,
                         std::string key)
    : QObject(&session), m_key(std::move(key)), m_call(new runs::EngineCall({}, this)) {
    m_idle.setSingleShot(true);
    m_idle.setInterval(kIdleMillis);
    m_silence.setSingleShot(true);
    m_silence.setInterval(kSilenceMillis);
    connect(&m_idle, &QTimer::timeout, this, [this] {
        m_key.clear();
        deleteLater();
    });
    connect(&m_silence, &QTimer::timeout, this, [this] {
        end({"engine.deadline", "The engine did not answer for ten minutes."});
    });
    connect(&session, &Session::workspaceClosed, this, [this] { end({"canceled", "The workspace was closed."}); });
    connect(m_call, &runs::EngineCall::progressed, this, &ModelServer::take);
    connect(m_call, &runs::EngineCall::done, this, [this](const Result<Json>& result) {
        end(result.ok() ? Error{"engine.crashed", "The engine ended before it had answered."} : result.error());
    });
    Json request{{"model", model.string()}, {"device", device}};
    if (card.is_object()) {
        request["card"] = card;
    }
    m_call->start("serve", request, kLongestMillis);
}

void ModelServer::ask(Json request, QObject* context, Report report, Done done) {
    request["id"] = ++m_last;
    m_open.push_back({m_last, context, std::move(report), std::move(done)});
    m_idle.stop();
    m_silence.start();
    m_call->say(request);
}

void ModelServer::drop(const QObject* context) {
    for (Question& question : m_open) {
        if (question.context == context) {
            question.context = nullptr;
        }
    }
    const bool wanted =
        std::any_of(m_open.begin(), m_open.end(), [](const Question& question) { return !question.context.isNull(); });
    if (!wanted && !m_open.empty()) {
        end({"canceled", "Nobody waits for the answer any more."});
    }
}

void ModelServer::take(const Json& body) {
    m_silence.start();
    const auto text = [&](const char* key) {
        return body.contains(key) && body[key].is_string() ? body[key].get<std::string>() : std::string();
    };
    if (text("stage") != "predictions") {
        if (!m_open.empty() && m_open.front().context && m_open.front().report) {
            m_open.front().report(body);
        }
        restAWhile();
        return;
    }
    if (m_open.empty() || !body.contains("id") || body["id"] != Json(m_open.front().id)) {
        return;
    }
    const Question question = std::move(m_open.front());
    m_open.pop_front();
    restAWhile();
    if (!question.context) {
        return;
    }
    if (!body.contains("error")) {
        question.done(body);
        return;
    }
    base::ObjectReader error(body["error"], "error");
    question.done(Error{error.string("code"), error.string("message"), error.string("field")});
}

void ModelServer::restAWhile() {
    if (m_open.empty()) {
        m_silence.stop();
        m_idle.start();
    }
}

void ModelServer::end(const Error& error) {
    m_key.clear();
    deleteLater();
    for (const Question& question : std::exchange(m_open, {})) {
        if (question.context) {
            question.done(error);
        }
    }
}

}  // namespace trainyard::commands
