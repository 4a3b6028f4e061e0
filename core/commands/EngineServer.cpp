#include "core/commands/EngineServer.h"

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
constexpr const char* kNobodyWaits = "Nobody waits for the answer any more.";

}  // namespace

EngineServer& EngineServer::of(Session& session, Kind kind, const std::string& key, const Json& request) {
    EngineServer* found = nullptr;
    for (EngineServer* server : session.findChildren<EngineServer*>(QString(), Qt::FindDirectChildrenOnly)) {
        if (server->m_kind != kind || server->m_key.empty()) {
            continue;
        }
        if (server->m_key == key || (kind == Kind::Samples && server->m_open.empty())) {
            server->m_key = key;
            found = server;
        } else if (!server->isWanted()) {
            server->end({"canceled", kNobodyWaits});
        }
    }
    return found != nullptr ? *found : *new EngineServer(session, kind, key, request);
}

void EngineServer::release(Session& session, Kind kind) {
    for (EngineServer* server : session.findChildren<EngineServer*>(QString(), Qt::FindDirectChildrenOnly)) {
        if (server->m_kind == kind && !server->m_key.empty() && !server->isWanted()) {
            server->end({"canceled", kNobodyWaits});
        }
    }
}

EngineServer::EngineServer(Session& session, Kind kind, std::string key, const Json& request)
    : QObject(&session), m_kind(kind), m_key(std::move(key)), m_call(new runs::EngineCall({}, this)) {
    m_idle.setSingleShot(true);
    m_idle.setInterval(kIdleMillis);
    m_silence.setSingleShot(true);
    m_silence.setInterval(kSilenceMillis);
    connect(&m_idle, &QTimer::timeout, this, [this] { end({"canceled", kNobodyWaits}); });
    connect(&m_silence, &QTimer::timeout, this, [this] {
        end({"engine.deadline", "The engine did not answer for ten minutes."});
    });
    connect(&session, &Session::workspaceClosed, this, [this] { end({"canceled", "The workspace was closed."}); });
    connect(m_call, &runs::EngineCall::progressed, this, &EngineServer::take);
    connect(m_call, &runs::EngineCall::done, this, [this](const Result<Json>& result) {
        end(result.ok() ? Error{"engine.crashed", "The engine ended before it had answered."} : result.error());
    });
    m_call->start("serve", request, kLongestMillis);
}

void EngineServer::ask(Json request, QObject* context, Report report, Done done) {
    request["id"] = ++m_last;
    m_open.push_back({m_last, context, std::move(report), std::move(done)});
    m_idle.stop();
    m_silence.start();
    m_call->say(request);
}

void EngineServer::drop(const QObject* context) {
    for (Question& question : m_open) {
        if (question.context == context) {
            question.context = nullptr;
        }
    }
    if (m_kind == Kind::Predictions && !isWanted() && !m_open.empty()) {
        end({"canceled", kNobodyWaits});
    }
}

bool EngineServer::isWanted() const {
    return std::any_of(m_open.begin(), m_open.end(),
                       [](const Question& question) { return !question.context.isNull(); });
}

void EngineServer::take(const Json& body) {
    m_silence.start();
    if (!body.contains("id")) {
        if (!m_open.empty() && m_open.front().context && m_open.front().report) {
            m_open.front().report(body);
        }
        restAWhile();
        return;
    }
    if (m_open.empty() || body["id"] != Json(m_open.front().id)) {
        return;
    }
    const Question question = std::move(m_open.front());
    m_open.pop_front();
    m_answered = true;
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

void EngineServer::restAWhile() {
    if (m_open.empty()) {
        m_silence.stop();
        m_idle.start();
    }
}

void EngineServer::end(const Error& error) {
    m_key.clear();
    deleteLater();
    for (const Question& question : std::exchange(m_open, {})) {
        if (question.context) {
            question.done(error);
        }
    }
}

}  // namespace trainyard::commands
