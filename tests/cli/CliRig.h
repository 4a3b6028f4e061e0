#pragma once
// What the tests of the command line share: calls, transcripts that are compared with tests/cli/golden, and calls on a
// terminal. TRAINYARD_UPDATE_GOLDEN=1 writes the transcripts anew.
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <QRegularExpression>
#include <QTest>
#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/Json.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"

namespace trainyard::test {

using Arguments = std::vector<std::string>;

inline ProgramResult cli(const Arguments& arguments, const std::string& input = {}, int timeoutMillis = 60'000) {
    ProgramOptions options;
    options.input = input;
    options.timeoutMillis = timeoutMillis;
    return runProgram(builtProgram("trainyard-cli"), arguments, options);
}

/// The answer of a call with --json: its result, or the whole document when it tells an error; null when it is no JSON.
inline base::Json cliJson(Arguments arguments) {
    // What follows -- is the user's program.
    arguments.insert(std::find(arguments.begin(), arguments.end(), "--"), "--json");
    const auto answer = base::parseJson(cli(arguments).out);
    return !answer.ok() ? base::Json() : answer->contains("result") ? answer->at("result") : *answer;
}

/// One call after the other as a person would see them, without what differs from one time to the next.
class Transcript {
public:
    explicit Transcript(const Scratch& scratch) : m_scratch(scratch.path().string()) {}

    void say(const Arguments& arguments) {
        const auto ran = cli(arguments);
        QString shown = QStringLiteral("$ trainyard-cli");
        for (const std::string& argument : arguments) {
            const QString text = QString::fromStdString(argument);
            const bool plain = !text.isEmpty() && !text.contains(QRegularExpression(QStringLiteral("[\\s\"'$;<>{}#]")));
            shown += plain ? QStringLiteral(" ") + text : QStringLiteral(" '%1'").arg(text);
        }
        shown += QLatin1Char('\n') + QString::fromStdString(ran.out);
        for (const QString& line : QString::fromStdString(ran.err).split(QLatin1Char('\n'), Qt::SkipEmptyParts)) {
            shown += QStringLiteral("! ") + line + QLatin1Char('\n');
        }
        if (ran.exitCode != 0) {
            shown += QStringLiteral("[exit %1]\n").arg(ran.exitCode);
        }
        m_text += shown + QLatin1Char('\n');
    }

    /// The first difference from tests/cli/golden/NAME.txt; empty when there is none.
    [[nodiscard]] QByteArray difference(const char* name) const {
        const base::Path file = sourceFolder() / "tests/cli/golden" / (std::string(name) + ".txt");
        const std::string now = normalised().toStdString();
        if (qEnvironmentVariableIsSet("TRAINYARD_UPDATE_GOLDEN") && !base::writeFileAtomically(file, now, 0644).ok()) {
            return "The transcript cannot be written.";
        }
        const std::string golden = base::readFile(file).valueOr("");
        const QStringList left = QString::fromStdString(golden).split(QLatin1Char('\n'));
        const QStringList right = QString::fromStdString(now).split(QLatin1Char('\n'));
        for (qsizetype i = 0; i < std::max(left.size(), right.size()); ++i) {
            if (left.value(i) != right.value(i)) {
                return QStringLiteral(
                           "%1.txt line %2\n expected: %3\n actual:   %4\nTRAINYARD_UPDATE_GOLDEN=1 writes it anew.")
                    .arg(QString::fromLatin1(name))
                    .arg(i + 1)
                    .arg(left.value(i), right.value(i))
                    .toUtf8();
            }
        }
        return {};
    }

private:
    [[nodiscard]] QString normalised() const {
        QString text = m_text;
        text.replace(QString::fromStdString(m_scratch), QStringLiteral("<scratch>"));
        const std::pair<const char*, const char*> rules[] = {
            {"\\b[0-9a-f]{64}\\b", "<sha256>"},
            {"\\b[a-z2-7]{26}\\b", "<id>"},
            {"\\d{4}-\\d\\d-\\d\\d[T ]\\d\\d:\\d\\d:\\d\\d(\\.\\d+Z)?", "<time>"},
            {"\"(duration_ns|disk_free_bytes|freed_bytes|seconds)\":[0-9.e-]+", "\"\\1\":<number>"},
            {"(seconds|disk_free_bytes)( +)[0-9.e-]+", "\\1\\2<number>"},
            {" *\\d+(\\.\\d+)? m?s\\b", " <duration>"},
            {"freed [0-9.]+ \\w+", "freed <size>"},
            {"records +\\d+", "records  <number>"},
            {"\"pid\":\\d+", "\"pid\":<number>"},
            {"\"host\":\"[^\"]*\"", "\"host\":\"<host>\""},
            {"0\\.1\\.0", "<version>"},
        };
        for (const auto& [pattern, replacement] : rules) {
            text.replace(QRegularExpression(QString::fromLatin1(pattern)), QString::fromLatin1(replacement));
        }
        // Which states a short run is seen in is a matter of luck.
        text.replace(QRegularExpression(QStringLiteral("! Run \\d+ (Preparing|Queued|Running|Finalizing)\\n")),
                     QString());
        text.replace(QRegularExpression(QStringLiteral("<time> +")), QStringLiteral("<time> "));
        return text;
    }

    std::string m_scratch;
    QString m_text;
};

/// A call on a pseudo-terminal of 200 columns, which is its controlling one. Killed, should it still run at the end.
class TerminalCall {
public:
    explicit TerminalCall(const Arguments& arguments) {
        const std::string program = builtProgram("trainyard-cli").string();
        std::vector<char*> argv{const_cast<char*>(program.c_str())};
        for (const std::string& argument : arguments) {
            argv.push_back(const_cast<char*>(argument.c_str()));
        }
        argv.push_back(nullptr);
        winsize size{};
        size.ws_col = 200;
        size.ws_row = 50;
        m_child = ::forkpty(&m_master, nullptr, nullptr, &size);
        if (m_child == 0) {
            ::execv(program.c_str(), argv.data());
            ::_exit(127);
        }
    }
    ~TerminalCall() {
        if (m_child > 0 && !m_ended) {
            ::kill(m_child, SIGKILL);
            ::waitpid(m_child, nullptr, 0);
        }
        ::close(m_master);
    }
    TerminalCall(const TerminalCall&) = delete;
    TerminalCall& operator=(const TerminalCall&) = delete;

    /// True once it has shown this text so many times; false when it ended or the time is over before.
    bool shows(const std::string& text, int millis = 60'000, int times = 1) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(millis);
        const auto enough = [&] {
            int seen = 0;
            for (std::size_t at = 0; (at = m_shown.find(text, at)) != std::string::npos; ++at) {
                ++seen;
            }
            return seen >= times;
        };
        while (!enough()) {
            if (std::chrono::steady_clock::now() > end || !readSome()) {
                return enough();
            }
        }
        return true;
    }
    [[nodiscard]] bool type(const std::string& text) {
        return ::write(m_master, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    }
    /// Its exit code once it has ended; -1 when the time is over or a signal ended it. What it left behind may hold the
    /// terminal on.
    int exitCode(int millis = 60'000) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(millis);
        int status = 0;
        while (!m_ended && std::chrono::steady_clock::now() < end) {
            if (!readSome()) {
                QTest::qSleep(20);
            }
            m_ended = ::waitpid(m_child, &status, WNOHANG) == m_child;
        }
        while (readSome(0)) {
        }
        return m_ended && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }
    [[nodiscard]] const std::string& shown() const { return m_shown; }
    /// Whether the terminal shows what is typed.
    [[nodiscard]] bool echoes() const {
        termios how{};
        return ::tcgetattr(m_master, &how) == 0 && (how.c_lflag & ECHO) != 0;
    }

private:
    /// False once nobody has the terminal any more (EIO); with a wait of 0 also when there is nothing to read.
    bool readSome(int waitMillis = 100) {
        pollfd waiting{m_master, POLLIN, 0};
        if (::poll(&waiting, 1, waitMillis) == 0) {
            return waitMillis > 0;
        }
        char buffer[4096];
        const ssize_t got = ::read(m_master, buffer, sizeof buffer);
        if (got > 0) {
            m_shown.append(buffer, static_cast<std::size_t>(got));
        }
        return got > 0;
    }

    int m_master = -1;
    pid_t m_child = -1;
    bool m_ended = false;
    std::string m_shown;
};

}  // namespace trainyard::test
