#pragma once
// What the benchmarks over SSH share: an sshd of their own on the loop, a target on it, figures as they are told.
#include <signal.h>

#include <QCoreApplication>
#include <QProcess>
#include <QTimer>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/base/Clock.h"
#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/base/Text.h"
#include "core/spec/TargetSpec.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Wait.h"

namespace trainyard::bench {

/// Of the sshd that runs, or 0: nothing of a benchmark that fails goes on behind it.
inline qint64 g_sshd = 0;

[[noreturn]] inline void stop(const std::string& why) {
    if (g_sshd != 0) {
        ::kill(static_cast<pid_t>(g_sshd), SIGTERM);
    }
    std::fprintf(stderr, "%s: %s\n", QCoreApplication::applicationName().toUtf8().constData(), why.c_str());
    std::exit(1);
}

inline double seconds(std::int64_t nanos) { return static_cast<double>(nanos) / 1e9; }

/// Waits for the next event, as a window does; a time limit for the call would make Qt spin.
inline void turn() {
    QTimer wake;
    wake.start(100);
    QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents | QEventLoop::AllEvents);
}

inline base::Json spread(std::vector<double> values) {
    base::Json all = values;
    std::sort(values.begin(), values.end());
    return {
        {"median", values[values.size() / 2]}, {"lowest", values.front()}, {"highest", values.back()}, {"all", all}};
}

/// An sshd on the loop with keys of its own.
class Sshd {
public:
    explicit Sshd(const base::Path& folder) : m_folder(folder) {
        for (const char* key : {"hostkey", "id"}) {
            run("ssh-keygen", {"-q", "-t", "ed25519", "-N", "", "-f", (folder / key).string()});
        }
        m_port = 20000 + static_cast<int>(base::monotonicNanos() / 1000 % 20000);
        write("sshd_config", "Port " + std::to_string(m_port) + "\nListenAddress 127.0.0.1\nHostKey " +
                                 text("hostkey") + "\nAuthorizedKeysFile " + text("id.pub") +
                                 "\nStrictModes no\nUsePAM no\nPidFile none\n" +
                                 "PasswordAuthentication no\nSubsystem sftp internal-sftp\n");
        write("ssh_config", "Host bench\n  HostName 127.0.0.1\n  Port " + std::to_string(m_port) + "\n  IdentityFile " +
                                text("id") + "\n  IdentitiesOnly yes\n  UserKnownHostsFile " + text("known") +
                                "\n  StrictHostKeyChecking accept-new\n  GlobalKnownHostsFile none\n");
        write("ssh", "#!/bin/sh\nexec ssh -F '" + text("ssh_config") + "' \"$@\"\n", 0700);
        // As root sshd wants its folder in /run, which a machine without a running sshd does not have.
        const QString start =
            QStringLiteral("[ \"$(id -u)\" != 0 ] || [ -d /run/sshd ] || "
                           "exec unshare --mount sh -c 'mount -t tmpfs tmpfs /run && mkdir /run/sshd && "
                           "exec /usr/sbin/sshd -D -e -f \"$0\"' \"$0\"; exec /usr/sbin/sshd -D -e -f \"$0\"");
        m_process.start(QStringLiteral("sh"),
                        {QStringLiteral("-c"), start, QString::fromStdString(text("sshd_config"))});
        if (!m_process.waitForStarted(5000)) {
            stop("sshd does not start");
        }
        g_sshd = m_process.processId();
        qputenv("TRAINYARD_SSH", QByteArray::fromStdString(text("ssh")));
        if (!test::waitFor([&] { return run(text("ssh"), {"bench", "true"}, false) == 0; }, 5000)) {
            stop("sshd does not answer: " + m_process.readAllStandardError().toStdString());
        }
    }
    ~Sshd() {
        g_sshd = 0;
        m_process.terminate();
        m_process.waitForFinished(3000);
    }
    /// Ends the connections that stand, as a broken network does: without a word.
    int breakConnections() const {
        int broken = 0;
        const std::string pid = std::to_string(m_process.processId());
        const std::string children = base::readFile("/proc/" + pid + "/task/" + pid + "/children").valueOr("");
        for (const std::string& child : base::split(base::trim(children), ' ')) {
            if (!child.empty() && ::kill(std::stoi(child), SIGKILL) == 0) {
                ++broken;
            }
        }
        return broken;
    }
    [[nodiscard]] std::string text(const char* name) const { return (m_folder / name).string(); }
    int run(const std::string& program, const std::vector<std::string>& arguments, bool must = true) const {
        test::ProgramOptions options;
        options.timeoutMillis = 300'000;
        const auto ended = test::runProgram(program, arguments, options);
        if (must && ended.exitCode != 0) {
            stop(program + ": " + ended.err);
        }
        return ended.exitCode;
    }

private:
    void write(const char* name, const std::string& bytes, int mode = 0600) const {
        if (!base::writeFileAtomically(m_folder / name, bytes, mode).ok()) {
            stop("cannot write " + text(name));
        }
    }
    base::Path m_folder;
    int m_port = 0;
    QProcess m_process;
};

inline spec::TargetSpec benchSpec(const base::Path& work) {
    spec::TargetSpec spec;
    spec.name = "bench";
    spec.workFolder = work.string();
    spec.slotsFolder = (work.parent_path() / "slots").string();
    spec.hosts.push_back({"bench", 0, "", ""});
    return spec;
}

}  // namespace trainyard::bench
