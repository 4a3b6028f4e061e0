#pragma once
// How the system's OpenSSH client is called, and what it means when it ends.
#include <QProcessEnvironment>
#include <QStringList>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/Files.h"
#include "core/base/Result.h"
#include "core/spec/TargetSpec.h"

namespace trainyard::targets {

struct SshCall {
    std::string program;  ///< Empty: $TRAINYARD_SSH, else "ssh".
    spec::HostSpec where;
    std::int64_t connectSeconds = 10;
    std::int64_t aliveSeconds = 5;
    std::string shareKey;   ///< Tells shared connections of different definitions apart.
    bool share = true;      ///< One login for all programs of this user (ControlMaster).
    base::Path askProgram;  ///< trainyard-agent, which asks back over `askSocket`; empty: no questions.
    base::Path askSocket;
    std::string askToken;
    std::string remoteCommand;  ///< For the login shell there: a constant text, never one that holds data.
};

struct SshCommandLine {
    QString program;
    QStringList arguments;
    QProcessEnvironment environment;
};

/// Errors: "spec.destination" for what ssh must not be given.
[[nodiscard]] base::Result<SshCommandLine> sshCommandLine(const SshCall& call);

/// Folder for sockets of this user, 0700, short enough for them: $XDG_RUNTIME_DIR/trainyard, else /tmp/trainyard-<uid>.
/// "file.owner" when somebody else made it.
[[nodiscard]] base::Result<base::Path> runtimeFolder();

/// What the other end said, as it may stand in a message: valid UTF-8 without control characters.
[[nodiscard]] std::string saidText(std::string_view bytes);

/// What ssh's last words mean. `status`: its exit status, 255 for its own errors. Codes: "target.refused",
/// "target.unreachable", "target.program".
[[nodiscard]] base::Error explainSsh(const std::string& destination, int status, const std::string& words);

}  // namespace trainyard::targets
