#include "core/targets/Ssh.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "core/base/Hash.h"
#include "core/base/Text.h"

namespace trainyard::targets {
namespace {

/// sun_path holds 107 characters; ssh adds 17 of its own while it makes the socket, ours and %C take 50.
constexpr std::size_t kLongestFolder = 107 - 17 - 50;

bool isPlain(const std::string& path) {
    return std::all_of(path.begin(), path.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' || c == '-' ||
               c == '_' || c == '.';
    });
}

base::Status makePrivate(const base::Path& folder) {
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
        return base::errnoError(errno, "The folder for sockets cannot be made", folder);
    }
    struct stat info {};
    if (::lstat(folder.c_str(), &info) != 0) {
        return base::errnoError(errno, "The folder for sockets cannot be looked at", folder);
    }
    if (!S_ISDIR(info.st_mode) || info.st_uid != ::getuid() || (info.st_mode & 077) != 0) {
        return base::Error{"file.owner", folder.string() + " is not a private folder of this user; remove it."};
    }
    return {};
}

std::string lastLine(const std::string& words) {
    std::string last;
    for (const std::string& line : base::split(words, '\n')) {
        const std::string text = saidText(base::trim(line));
        // ssh tells of the far end of a jump last; the line before it has the cause.
        if (text.empty() || text.starts_with("Connection to ") || text.starts_with("Connection closed by UNKNOWN") ||
            text.starts_with("kex_exchange_identification: Connection closed by remote host") ||
            text.find("closed by remote host") != std::string::npos) {
            if (last.empty()) last = text;
            continue;
        }
        last = text;
    }
    return last;
}

bool says(const std::string& words, std::string_view what) { return words.find(what) != std::string::npos; }

}  // namespace

std::string saidText(std::string_view bytes) { return base::stripControl(base::toValidUtf8(bytes)); }

base::Result<base::Path> runtimeFolder() {
    const QByteArray runtime = qgetenv("XDG_RUNTIME_DIR");
    if (!runtime.isEmpty()) {
        const base::Path folder = base::Path(runtime.toStdString()) / "trainyard";
        if (folder.string().size() <= kLongestFolder && isPlain(folder.string()) && makePrivate(folder).ok()) {
            return folder;
        }
    }
    const base::Path folder = "/tmp/trainyard-" + std::to_string(::getuid());
    if (const base::Status made = makePrivate(folder); !made.ok()) {
        return made.error();
    }
    return folder;
}

base::Result<SshCommandLine> sshCommandLine(const SshCall& call) {
    TRAINYARD_TRY(spec::checkDestination(call.where.destination, "destination"));
    SshCommandLine line;
    line.environment = QProcessEnvironment::systemEnvironment();
    const QString chosen = line.environment.value(QStringLiteral("TRAINYARD_SSH"));
    line.program = !call.program.empty() ? QString::fromStdString(call.program)
                   : !chosen.isEmpty()   ? chosen
                                         : QStringLiteral("ssh");
    line.arguments << QStringLiteral("-T") << QStringLiteral("-a") << QStringLiteral("-x");
    const auto option = [&line](const std::string& text) {
        line.arguments << QStringLiteral("-o") << QString::fromStdString(text);
    };
    option("BatchMode=no");
    option("ConnectTimeout=" + std::to_string(std::max<std::int64_t>(1, call.connectSeconds)));
    option("ConnectionAttempts=1");
    option("ServerAliveInterval=" + std::to_string(std::max<std::int64_t>(1, call.aliveSeconds)));
    option("ServerAliveCountMax=3");
    option("TCPKeepAlive=yes");
    option("LogLevel=INFO");
    option("RemoteCommand=none");
    option("PermitLocalCommand=no");
    option("ClearAllForwardings=yes");
    option("ForkAfterAuthentication=no");
    option("StdinNull=no");
    option("SessionType=default");
    option("ControlPersist=no");
    const base::Result<base::Path> folder = runtimeFolder();
    if (call.share && folder.ok()) {
        const std::string own = base::sha256Hex(call.shareKey).substr(0, 8);
        option("ControlMaster=auto");
        option("ControlPath=" + (*folder / (own + "-%C")).string());
    } else {
        option("ControlMaster=no");
        option("ControlPath=none");
    }
    if (call.where.port > 0) {
        line.arguments << QStringLiteral("-p") << QString::number(call.where.port);
    }
    line.arguments << QStringLiteral("--") << QString::fromStdString(call.where.destination)
                   << QString::fromStdString(call.remoteCommand);
    line.environment.remove(QStringLiteral("TRAINYARD_ASKPASS_SOCKET"));
    line.environment.remove(QStringLiteral("TRAINYARD_ASKPASS_TOKEN"));
    if (call.askProgram.empty()) {
        // Nobody can be asked: ssh must not wait at a terminal it may have.
        line.environment.insert(QStringLiteral("SSH_ASKPASS"), QStringLiteral("/bin/false"));
    } else {
        line.environment.insert(QStringLiteral("SSH_ASKPASS"), QString::fromStdString(call.askProgram.string()));
        line.environment.insert(QStringLiteral("TRAINYARD_ASKPASS_SOCKET"),
                                QString::fromStdString(call.askSocket.string()));
        line.environment.insert(QStringLiteral("TRAINYARD_ASKPASS_TOKEN"), QString::fromStdString(call.askToken));
    }
    line.environment.insert(QStringLiteral("SSH_ASKPASS_REQUIRE"), QStringLiteral("force"));
    return line;
}

base::Error explainSsh(const std::string& destination, int status, const std::string& words) {
    const std::string last = lastLine(words);
    const std::string said = last.empty() ? std::string() : " ssh says: " + last;
    if (says(words, "REMOTE HOST IDENTIFICATION HAS CHANGED") || says(words, "Host key for") /* "... has changed" */) {
        return {"target.refused", "The host key of " + destination +
                                      " is not the one that is known: it was installed anew, or somebody stands in "
                                      "between. Nothing was sent. "
                                      "Ask its administrator for the new fingerprint; if it is right, remove the old "
                                      "key with: ssh-keygen -R " +
                                      base::shellQuote(destination.substr(destination.rfind('@') + 1))};
    }
    if (says(words, "Host key verification failed")) {
        return {"target.refused",
                "The host key of " + destination +
                    " is not known and was not accepted. Compare its fingerprint with the administrator's, "
                    "then connect again and accept it."};
    }
    if (says(words, "Permission denied (") || says(words, "Too many authentication failures") ||
        says(words, "No more authentication methods")) {
        return {"target.refused", destination + " refuses the login: wrong user, key or password. Try ssh " +
                                      base::shellQuote(destination) +
                                      " in a terminal and set User and IdentityFile in ~/.ssh/config." + said};
    }
    if (says(words, "Bad configuration option") || says(words, "Bad owner or permissions") ||
        says(words, "terminating, ") || says(words, "unsupported option")) {
        return {"target.refused", "ssh does not accept its configuration." + said};
    }
    if (says(words, "no matching ") || says(words, "Unable to negotiate")) {
        return {"target.refused", destination + " and this machine's ssh have no method in common." + said};
    }
    if (says(words, "Could not resolve hostname")) {
        return {"target.unreachable", "The name of " + destination +
                                          " is not known. Check its spelling, the network and " + "~/.ssh/config." +
                                          said};
    }
    if (status == 255 || status < 0) {
        return {"target.unreachable",
                destination + " cannot be reached." + (said.empty() ? " The connection ended without a word." : said)};
    }
    return {"target.program", "The login shell of " + destination + " ended with status " + std::to_string(status) +
                                  " instead of starting the agent." + said};
}

}  // namespace trainyard::targets
