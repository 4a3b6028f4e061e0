#include "core/targets/Channel.h"

#include <fcntl.h>
#include <unistd.h>

#include <QPointer>
#include <algorithm>
#include <utility>

#include "core/base/Hash.h"
#include "core/base/Process.h"
#include "core/base/Text.h"
#include "core/targets/AskServer.h"
#include "core/targets/LocalTarget.h"
#include "core/targets/Ssh.h"

namespace trainyard::targets {
namespace {

constexpr int kKeptWords = 8192;
constexpr int kLocalMillis = 15'000;
/// Beside ConnectTimeout: authentication, the login shell's start files, the agent's start.
constexpr int kLoginMillis = 20'000;
constexpr std::size_t kPipeBytes = 1 << 20;
/// Read at once; small enough to be in the processor's cache still when it is written on.
constexpr std::size_t kReadBytes = 256 << 10;
constexpr std::size_t kPrefaceBytes = 64 << 10;
constexpr ssize_t kMuchBytes = 32 << 10;
constexpr int kGatherMillis = 1;
constexpr std::int64_t kAgentBlock = 256 << 10;
constexpr std::int64_t kAgentAhead = 1 << 20;

}  // namespace

Channel::Channel(const HostOptions& options, std::string label, bool share, AskServer* ask, Callbacks callbacks)
    : m_options(options), m_label(std::move(label)), m_share(share), m_ask(ask), m_callbacks(std::move(callbacks)) {
    m_watch.setSingleShot(true);
    connect(&m_watch, &QTimer::timeout, this, [this] {
        fail({"target.unreachable",
              m_label + " did not answer within " + std::to_string(m_watch.interval() / 1000) + " s." + lastWords()});
    });
    m_gather.setSingleShot(true);
    m_gather.setTimerType(Qt::PreciseTimer);
    connect(&m_gather, &QTimer::timeout, this, &Channel::readOutput);
    connect(&m_process, &QProcess::readyReadStandardError, this, [this] {
        m_words += m_process.readAllStandardError().toStdString();
        if (m_words.size() > kKeptWords) {
            m_words.erase(0, m_words.size() - kKeptWords);
        }
        restartWatch();
    });
    connect(&m_process, &QProcess::bytesWritten, this, [this] {
        if (m_agentFd.valid()) {
            pumpAgent();
        } else if (onWritten) {
            const auto tell = onWritten;
            tell();
        }
    });
    connect(&m_process, &QProcess::finished, this, &Channel::processEnded);
    connect(&m_process, &QProcess::errorOccurred, this, [this](QProcess::ProcessError error) {
        if (error == QProcess::FailedToStart) {
            fail({"target.program", m_process.program().toStdString() +
                                        " does not start: " + m_process.errorString().toStdString() +
                                        (m_options.overSsh ? ". Install the OpenSSH client." : ".")});
        }
    });
}

Channel::~Channel() {
    m_process.disconnect(this);
    if (m_process.state() != QProcess::NotRunning) {
        // SIGTERM lets ssh remove the socket of its shared connection.
        m_process.terminate();
        if (!m_process.waitForFinished(300)) {
            m_process.kill();
            m_process.waitForFinished(1000);
        }
    }
}

void Channel::abandon() {
    m_ended = true;
    m_callbacks = {};
    onWritten = {};
    m_watch.stop();
    m_gather.stop();
    if (m_outNotifier) {
        m_outNotifier->setEnabled(false);
        m_outNotifier.release()->deleteLater();
    }
    m_out.reset();
    m_process.disconnect(this);
    if (m_process.state() != QProcess::NotRunning) {
        m_process.terminate();
    }
}

void Channel::start() {
    if (m_ended) {
        return;
    }
    base::Result<AgentFile> agent = findAgentFile(m_options.agent);
    if (!agent.ok()) {
        fail(agent.error());
        return;
    }
    m_agent = std::move(*agent);
    if (!openOutput()) {
        fail(base::errnoError(errno, "No pipe for the channel can be made to", m_label));
        return;
    }
    m_process.setStandardOutputFile(QProcess::nullDevice());
    // A signal from the terminal is for this program, not for its channels.
    m_process.setChildProcessModifier([fd = m_outOfChild.get()] {
        ::setsid();
        ::dup2(fd, STDOUT_FILENO);
    });
    if (!m_options.overSsh) {
        QStringList arguments{QStringLiteral("serve")};
        if (!m_options.workFolder.empty()) {
            arguments << QStringLiteral("--work") << QString::fromStdString(m_options.workFolder);
        }
        if (!m_options.slotsFolder.empty()) {
            arguments << QStringLiteral("--slots") << QString::fromStdString(m_options.slotsFolder);
        }
        m_process.setProgram(QString::fromStdString(m_agent.path.string()));
        m_process.setArguments(arguments);
    } else {
        SshCall call;
        call.program = m_options.ssh;
        call.where = m_options.where;
        call.connectSeconds = m_options.connectSeconds;
        call.aliveSeconds = m_options.aliveSeconds;
        call.share = m_share;
        call.shareKey =
            m_options.target + "\n" + m_options.where.destination + "\n" + std::to_string(m_options.where.port);
        call.remoteCommand = bootstrapCommand();
        if (m_ask != nullptr) {
            call.askProgram = m_agent.path;
            call.askSocket = m_ask->socket();
            call.askToken = m_ask->token();
        }
        const base::Result<SshCommandLine> line = sshCommandLine(call);
        if (!line.ok()) {
            fail({"target.refused", line.error().message, line.error().field});
            return;
        }
        if ((m_options.workFolder + m_options.slotsFolder).find('\n') != std::string::npos) {
            fail({"target.refused", "The name of the work folder or of the slots' folder has a line break.",
                  "work_folder"});
            return;
        }
        m_process.setProgram(line->program);
        m_process.setArguments(line->arguments);
        m_process.setProcessEnvironment(line->environment);
    }
    restartWatch();
    m_process.start(QIODevice::ReadWrite);
    m_outOfChild.reset();
    if (m_options.overSsh) {
        const std::string id = base::sha256Hex(base::bootId() + m_label + std::to_string(::getuid())).substr(0, 12);
        const std::string input = bootstrapInput(m_agent, m_options.workFolder, m_options.slotsFolder, id);
        m_process.write(input.data(), static_cast<qint64>(input.size()));
    }
}

void Channel::restartWatch() {
    if (m_ended || m_greeted || m_held) {
        m_watch.stop();
        return;
    }
    m_watch.start(m_options.overSsh ? static_cast<int>(m_options.connectSeconds) * 1000 + kLoginMillis : kLocalMillis);
}

void Channel::hold(bool held) {
    m_held = held;
    restartWatch();
}

void Channel::send(const base::Json& header, std::string_view payload) {
    if (m_ended) {
        return;
    }
    const base::Result<std::string> frame = wire::encodeServeFrame(header, payload);
    if (!frame.ok()) {
        fail({"target.protocol", "A request is too large: " + frame.error().message});
        return;
    }
    m_process.write(frame->data(), static_cast<qint64>(frame->size()));
}

void Channel::fail(base::Error error) {
    if (m_ended) {
        return;
    }
    m_ended = true;
    m_watch.stop();
    QMetaObject::invokeMethod(
        this,
        [this, error = std::move(error)] {
            if (const auto tell = m_callbacks.ended) {
                tell(error);
            }
        },
        Qt::QueuedConnection);
}

std::string Channel::lastWords() const {
    const std::string words = saidText(
        base::trim(std::string_view(m_words).substr(m_words.size() - std::min<std::size_t>(m_words.size(), 500))));
    return words.empty() ? std::string() : " Last words: " + words;
}

bool Channel::openOutput() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        return false;
    }
    m_out.reset(ends[0]);
    m_outOfChild.reset(ends[1]);
    ::fcntl(m_out.get(), F_SETFL, O_NONBLOCK);
    // More than the default is a favour that a user's limit may refuse.
    ::fcntl(m_out.get(), F_SETPIPE_SZ, static_cast<int>(kPipeBytes));
    m_outNotifier = std::make_unique<QSocketNotifier>(m_out.get(), QSocketNotifier::Read);
    connect(m_outNotifier.get(), &QSocketNotifier::activated, this, &Channel::readOutput);
    m_block.resize(kPrefaceBytes);
    return true;
}

void Channel::readOutput() {
    if (!m_out.valid()) {
        return;
    }
    // The other end's process runs on while we wait a moment; where much is there already, waiting would only stop it.
    m_outNotifier->setEnabled(false);
    const QPointer<Channel> self(this);
    const ssize_t got = readOnce();
    if (!self || !m_out.valid()) {
        return;
    }
    if (got <= 0) {
        // At its end the child's end, or the watch, says the rest.
        m_outNotifier->setEnabled(got < 0 && (errno == EAGAIN || errno == EINTR));
    } else if (got >= kMuchBytes && got < static_cast<ssize_t>(kReadBytes)) {
        m_gather.start(kGatherMillis);
    } else {
        m_outNotifier->setEnabled(true);
    }
}

ssize_t Channel::readOnce() {
    if (m_greeted) {
        const std::span<char> room = m_decoder.room(kReadBytes);
        const ssize_t got = ::read(m_out.get(), room.data(), std::min(room.size(), kReadBytes));
        if (got > 0 && !m_ended) {
            m_decoder.took(static_cast<std::size_t>(got));
            readFrames();
        }
        return got;
    }
    const ssize_t got = ::read(m_out.get(), m_block.data(), m_block.size());
    if (got > 0 && !m_ended) {
        restartWatch();
        readPreface(std::string_view(m_block).substr(0, static_cast<std::size_t>(got)));
    }
    return got;
}

void Channel::readPreface(std::string_view bytes) {
    m_preface += bytes;
    for (;;) {
        const auto greeting = m_preface.find(wire::kServeGreeting);
        const auto boot = m_preface.find("TRAINYARD-BOOT ");
        if (greeting != std::string::npos && (boot == std::string::npos || greeting < boot)) {
            break;
        }
        const auto word = takeBootWord(m_preface, m_label, m_options.workFolder);
        if (!word) {
            if (m_preface.size() > wire::kServeGreetingSearch) {
                fail({"target.protocol",
                      m_label + " does not answer as an agent does; it says: " + saidText(m_preface.substr(0, 200))});
            }
            return;
        }
        takeBoot(*word);
        if (m_ended) {
            return;
        }
    }
    m_greeted = true;
    m_agentFd.reset();
    restartWatch();
    m_decoder.feed(m_preface);
    m_preface.clear();
    const QPointer<Channel> self(this);
    const auto opened = m_callbacks.opened;
    opened();
    if (self) {
        readFrames();
    }
}

void Channel::takeBoot(const BootWord& word) {
    if (word.kind == BootWord::Kind::Error) {
        fail(word.error);
        return;
    }
    if (word.freeBytes >= 0 && word.freeBytes < m_agent.size - word.offset) {
        fail({"target.disk_full",
              "On " + m_label + " " + base::formatBytes(word.freeBytes) + " are free, and the agent needs " +
                  base::formatBytes(m_agent.size - word.offset) + ". Make room there or choose another work folder."});
        return;
    }
    m_agentFd.reset(::open(m_agent.path.c_str(), O_RDONLY | O_CLOEXEC));
    m_agentSent = word.offset;
    if (!m_agentFd.valid() || ::lseek(m_agentFd.get(), word.offset, SEEK_SET) < 0) {
        fail(base::errnoError(errno, "The agent's program cannot be read", m_agent.path));
        return;
    }
    pumpAgent();
}

void Channel::pumpAgent() {
    restartWatch();
    std::string block;
    while (m_agentSent < m_agent.size && m_process.bytesToWrite() < kAgentAhead) {
        block.resize(static_cast<std::size_t>(std::min(kAgentBlock, m_agent.size - m_agentSent)));
        const ssize_t got = ::read(m_agentFd.get(), block.data(), block.size());
        if (got <= 0) {
            fail(
                {"target.program", "The agent's program " + m_agent.path.string() + " was changed while it was sent."});
            return;
        }
        m_process.write(block.data(), got);
        m_agentSent += got;
    }
    if (m_callbacks.deploying) {
        const auto tell = m_callbacks.deploying;
        tell(std::max<std::int64_t>(0, m_agentSent - m_process.bytesToWrite()), m_agent.size);
    }
}

void Channel::readFrames() {
    const QPointer<Channel> self(this);
    while (self && !m_ended) {
        const base::Result<std::optional<wire::ServeFrameView>> frame = m_decoder.nextView();
        if (!frame.ok()) {
            fail({"target.protocol",
                  m_label + " answers something that is no frame: " + saidText(frame.error().message)});
            return;
        }
        if (!*frame) {
            return;
        }
        const auto tell = m_callbacks.frame;
        tell(**frame);
    }
}

void Channel::processEnded(int code, QProcess::ExitStatus how) {
    // What it said last is in the pipe still; a child of its own may hold the other end.
    const QPointer<Channel> self(this);
    while (m_out.valid() && readOnce() > 0) {
        if (!self) {
            return;
        }
    }
    m_words += m_process.readAllStandardError().toStdString();
    const int status = how == QProcess::NormalExit ? code : -1;
    if (!m_options.overSsh) {
        fail({m_greeted ? "target.unreachable" : "target.program",
              "The agent on this machine ended" +
                  (status < 0 ? std::string(" by a signal.") : " with status " + std::to_string(status) + ".") +
                  lastWords()});
        return;
    }
    if (m_greeted) {
        fail({"target.unreachable", "The connection to " + m_label + " was lost." + lastWords()});
        return;
    }
    if (status >= 0 && status != 255 && !base::trim(m_preface).empty()) {
        fail({"target.protocol", m_label + " ended the login with status " + std::to_string(status) +
                                     " and says: " + saidText(base::trim(m_preface).substr(0, 300))});
        return;
    }
    fail(explainSsh(m_label, status, m_words));
}

}  // namespace trainyard::targets
