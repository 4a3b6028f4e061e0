#pragma once
#include <QProcess>
#include <csignal>

namespace trainyard::test {

/// False when the process has ended. Its id is 0 then, and ::kill(0, …) is for the caller's whole group: test, ctest
/// and the script.
inline bool sendSignal(const QProcess& process, int signal) {
    const auto pid = static_cast<pid_t>(process.processId());
    return pid > 0 && ::kill(pid, signal) == 0;
}

}  // namespace trainyard::test
