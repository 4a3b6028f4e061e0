#include "app/cli/Ask.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/base/Clock.h"
#include "core/base/Files.h"
#include "core/base/Text.h"

namespace trainyard::cli {

namespace {

constexpr int kAnswerMillis = 300'000;
constexpr int kPollMillis = 200;
constexpr std::size_t kMostAnswer = 4096;
constexpr std::array kSignals{SIGINT, SIGTERM, SIGHUP, SIGQUIT};

volatile sig_atomic_t g_signal = 0;

extern "C" void noteSignal(int signal) { g_signal = signal; }

/// Takes the signals that would end the program, so that a terminal is never left without its echo; passes them on at
/// the end.
class SignalsHeld {
public:
    SignalsHeld() {
        g_signal = 0;
        struct sigaction mine {};
        mine.sa_handler = noteSignal;
        sigemptyset(&mine.sa_mask);
        for (std::size_t i = 0; i < kSignals.size(); ++i) {
            ::sigaction(kSignals[i], &mine, &m_before[i]);
        }
    }
    ~SignalsHeld() {
        for (std::size_t i = 0; i < kSignals.size(); ++i) {
            ::sigaction(kSignals[i], &m_before[i], nullptr);
        }
        if (g_signal != 0) {
            ::raise(g_signal);
        }
    }
    SignalsHeld(const SignalsHeld&) = delete;
    SignalsHeld& operator=(const SignalsHeld&) = delete;

private:
    std::array<struct sigaction, kSignals.size()> m_before{};
};

/// The terminal without echo for as long as this lives.
class EchoOff {
public:
    EchoOff(int tty, bool wanted) : m_tty(tty), m_off(wanted && ::tcgetattr(tty, &m_before) == 0) {
        if (m_off) {
            termios quiet = m_before;
            quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
            ::tcsetattr(m_tty, TCSAFLUSH, &quiet);
        }
    }
    ~EchoOff() {
        if (m_off) {
            ::tcsetattr(m_tty, TCSAFLUSH, &m_before);
            [[maybe_unused]] const auto ended = base::writeAll(m_tty, "\n", "/dev/tty");
        }
    }
    EchoOff(const EchoOff&) = delete;
    EchoOff& operator=(const EchoOff&) = delete;

private:
    int m_tty;
    termios m_before{};
    bool m_off;
};

base::UniqueFd openTerminal() { return base::UniqueFd(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)); }

std::optional<std::string> readLine(int tty) {
    const auto deadline = base::Deadline::inMillis(kAnswerMillis);
    std::string answer;
    while (g_signal == 0 && !deadline.passed() && answer.size() <= kMostAnswer) {
        pollfd waiting{tty, POLLIN, 0};
        if (::poll(&waiting, 1, kPollMillis) <= 0) {
            continue;
        }
        char c = 0;
        const ssize_t got = ::read(tty, &c, 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return std::nullopt;
        }
        if (c == '\n') {
            return answer;
        }
        answer += c;
    }
    return std::nullopt;
}

}  // namespace

bool hasTerminal() { return openTerminal().valid(); }

std::optional<std::string> askOnTerminal(const targets::Question& question) {
    const base::UniqueFd tty = openTerminal();
    if (!tty.valid()) {
        return std::nullopt;
    }
    const bool secret =
        question.kind == targets::Question::Kind::Password || question.kind == targets::Question::Kind::Passphrase;
    const std::string text = base::stripControl(question.target) + ": " + base::toValidUtf8(question.text) + " ";
    const SignalsHeld held;
    const EchoOff hidden(tty.get(), secret);
    if (!base::writeAll(tty.get(), text, "/dev/tty").ok()) {
        return std::nullopt;
    }
    return readLine(tty.get());
}

}  // namespace trainyard::cli
