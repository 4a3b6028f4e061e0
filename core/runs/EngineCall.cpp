#include "core/runs/EngineCall.h"

#include <utility>

#include "core/base/Text.h"
#include "core/targets/LocalTarget.h"
#include "core/wire/EngineProtocol.h"

namespace trainyard::runs {
namespace {

constexpr int kMaxLine = 16 << 20;
constexpr int kKeptWords = 4000;  // Bytes of stderr that are kept for a message.

}  // namespace

EngineCall::EngineCall(base::Path program, QObject* parent) : QObject(parent), m_program(std::move(program)) {
    if (m_program.empty()) {
        m_program = targets::LocalTarget::findProgram("trainyard-engine");
    }
    m_deadline.setSingleShot(true);
    m_kill.setSingleShot(true);
    connect(&m_process, &QProcess::readyReadStandardOutput, this, &EngineCall::readLines);
    connect(&m_process, &QProcess::readyReadStandardError, this, [this] {
        m_err += m_process.readAllStandardError();
        m_err = m_err.right(kKeptWords);
    });
    connect(&m_process, &QProcess::finished, this, &EngineCall::ended);
    connect(&m_process, &QProcess::started, this, [this] {
        if (!m_toSay.isEmpty()) {
            m_process.write(std::exchange(m_toSay, {}));
        }
    });
    connect(&m_process, &QProcess::errorOccurred, this, [this](QProcess::ProcessError error) {
        if (error == QProcess::FailedToStart) {
            finish(base::Error{"engine.missing",
                               "trainyard-engine does not start: " + m_process.errorString().toStdString()});
        }
    });
    connect(&m_deadline, &QTimer::timeout, this, [this] {
        stopWith({"engine.deadline", "The engine did not finish within the time it was given."});
    });
    connect(&m_kill, &QTimer::timeout, &m_process, &QProcess::kill);
}

EngineCall::~EngineCall() {
    m_process.disconnect(this);
    if (m_process.state() != QProcess::NotRunning) {
        m_process.kill();
        m_process.waitForFinished(1000);
    }
}

void EngineCall::start(const std::string& verb, const base::Json& request, int deadlineMillis) {
    Q_ASSERT(!m_started);
    m_started = true;
    const auto failLater = [this](base::Error error) {
        QMetaObject::invokeMethod(
            this, [this, error = std::move(error)] { finish(error); }, Qt::QueuedConnection);
    };
    if (m_program.empty()) {
        failLater(
            {"engine.missing", "trainyard-engine was found neither beside this program nor in ../lib/trainyard."});
        return;
    }
    m_folder = std::make_unique<QTemporaryDir>();
    const base::Path file = base::Path(m_folder->path().toStdString()) / "request.json";
    if (!m_folder->isValid()) {
        failLater({"file.io", "No temporary folder could be made: " + m_folder->errorString().toStdString()});
        return;
    }
    if (const base::Status written = base::writeFileAtomically(file, base::dumpJson(request)); !written.ok()) {
        failLater(written.error());
        return;
    }
    m_deadline.start(deadlineMillis);
    const QStringList arguments{QString::fromStdString(verb), QStringLiteral("--request"),
                                QString::fromStdString(file.string())};
    const auto mode = verb == "serve" ? QIODevice::ReadWrite : QIODevice::ReadOnly;
    QMetaObject::invokeMethod(
        this,
        [this, arguments, mode] {
            if (!m_stopped) {
                m_process.start(QString::fromStdString(m_program.string()), arguments, mode);
                return;
            }
            finish(*m_stopped);
        },
        Qt::QueuedConnection);
}

void EngineCall::say(const base::Json& line) {
    const QByteArray bytes = QByteArray::fromStdString(base::dumpJson(line) + '\n');
    if (m_process.state() == QProcess::Running) {
        m_process.write(bytes);
    } else {
        m_toSay += bytes;
    }
}

void EngineCall::cancel() {
    if (m_started && !m_finished) {
        stopWith({"canceled", "The engine was asked to stop."});
    }
}

void EngineCall::stopWith(base::Error error) {
    if (m_stopped || m_finished) {
        return;
    }
    m_stopped = std::move(error);
    if (m_process.state() != QProcess::NotRunning) {
        m_process.terminate();
        m_kill.start(2000);
    }
}

void EngineCall::readLines() {
    m_out += m_process.readAllStandardOutput();
    qsizetype begin = 0;
    for (qsizetype end = m_out.indexOf('\n'); end >= 0; end = m_out.indexOf('\n', begin)) {
        takeLine(m_out.mid(begin, end - begin));
        begin = end + 1;
    }
    m_out.remove(0, begin);
    if (m_out.size() > kMaxLine) {
        m_out.clear();
        stopWith({"engine.protocol", "The engine wrote a line that is too long."});
    }
}

void EngineCall::takeLine(const QByteArray& line) {
    if (m_answer || line.trimmed().isEmpty()) {
        return;
    }
    const auto message =
        wire::decodeEngineLine(std::string_view(line.constData(), static_cast<std::size_t>(line.size())));
    if (!message.ok()) {
        m_answer = base::Error{"engine.protocol", "The engine's answer cannot be read: " + message.error().message};
        return;
    }
    switch (message->kind) {
    case wire::EngineMessage::Kind::Progress: Q_EMIT progressed(message->body); break;
    case wire::EngineMessage::Kind::Result: m_answer = base::Result<base::Json>(message->body); break;
    case wire::EngineMessage::Kind::Failure: m_answer = message->error; break;
    }
}

void EngineCall::ended(int code, QProcess::ExitStatus how) {
    readLines();
    m_err += m_process.readAllStandardError();
    if (m_stopped) {
        finish(*m_stopped);
        return;
    }
    if (m_answer) {
        finish(*m_answer);
        return;
    }
    const std::string words = base::stripControl(m_err.right(kKeptWords).trimmed().toStdString());
    const std::string what = how == QProcess::CrashExit
                                 ? "The engine was ended by a signal; it may have run out of memory."
                                 : "The engine ended with status " + std::to_string(code) + " without an answer.";
    finish(base::Error{"engine.crashed", words.empty() ? what : what + " Its last words: " + words});
}

void EngineCall::finish(base::Result<base::Json> result) {
    if (m_finished) {
        return;
    }
    m_finished = true;
    m_deadline.stop();
    m_kill.stop();
    Q_EMIT done(result);
}

}  // namespace trainyard::runs
