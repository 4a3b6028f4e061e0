// trainyard-cli: the actions of core/commands without a window.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <QCoreApplication>
#include <QSocketNotifier>
#include <QTimer>
#include <cstdio>

#include "app/cli/Request.h"
#include "app/cli/Runner.h"

namespace {

int g_signalPipe[2] = {-1, -1};

/// The first one is told to the event loop; the second ends the program at once. Runs go on either way.
extern "C" void onSignal(int) {
    static volatile sig_atomic_t seen = 0;
    if (seen != 0) {
        _exit(trainyard::cli::kInterrupted);
    }
    seen = 1;
    const char byte = 1;
    [[maybe_unused]] const ssize_t written = ::write(g_signalPipe[1], &byte, 1);
}

void catchSignals() {
    if (::pipe2(g_signalPipe, O_CLOEXEC | O_NONBLOCK) != 0) {
        return;
    }
    struct sigaction action {};
    action.sa_handler = onSignal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        ::sigaction(signal, &action, nullptr);
    }
    ::signal(SIGPIPE, SIG_IGN);
}

}  // namespace

int main(int argc, char** argv) {
    using namespace trainyard::cli;
    auto parsed = parseCommandLine(argc, argv);
    if (const Answer* answer = std::get_if<Answer>(&parsed)) {
        std::fputs(answer->out.c_str(), stdout);
        std::fputs(answer->err.c_str(), stderr);
        return answer->exitCode;
    }
    QCoreApplication application(argc, argv);
    catchSignals();
    Runner runner(std::get<Request>(std::move(parsed)));
    QSocketNotifier notifier(g_signalPipe[0], QSocketNotifier::Read);
    QObject::connect(&notifier, &QSocketNotifier::activated, &runner, [&] {
        notifier.setEnabled(false);
        runner.interrupt();
    });
    QTimer::singleShot(0, &runner, [&runner] { runner.start(); });
    return QCoreApplication::exec();
}
