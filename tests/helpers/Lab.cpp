#include "tests/helpers/Lab.h"

#include <unistd.h>

#include <QStandardPaths>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"

namespace trainyard::test {
namespace {

constexpr int kUpMillis = 30'000;
constexpr int kOrderMillis = 60'000;

}  // namespace

std::string Lab::missing() {
    if (::geteuid() != 0) {
        return "Hosts in namespaces need root.";
    }
    for (const char* program : {"ssh", "ip", "nsenter", "unshare", "python3", "openssl", "/usr/sbin/sshd"}) {
        if (QStandardPaths::findExecutable(QString::fromUtf8(program)).isEmpty()) {
            return std::string(program) + " is missing.";
        }
    }
    return {};
}

Lab::Lab(LabOptions options) : m_options(options) {}

Lab::~Lab() {
    if (m_process.state() != QProcess::NotRunning) {
        m_process.closeWriteChannel();
        if (!m_process.waitForFinished(10'000)) {
            m_process.kill();
            m_process.waitForFinished(5000);
        }
    }
    if (!m_folder.empty()) {
        [[maybe_unused]] const base::Status removed = base::removeTree(m_folder);
    }
}

std::string Lab::giveEngine(int host) const {
    const base::Path there = home(host) / "trainyard-engine";
    std::error_code error;
    std::filesystem::copy_file(builtProgram("trainyard-engine"), there,
                               std::filesystem::copy_options::overwrite_existing, error);
    return error ? std::string() : "/home/lab/trainyard-engine";
}

base::Path Lab::home(int host) const { return m_folder / ("home." + std::to_string(m_options.shared ? 0 : host)); }

bool Lab::up() {
    // Not below /tmp, which each host has of its own; short, for the names of sockets.
    std::string pattern = "/var/tmp/ty-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) {
        m_error = "No folder below /var/tmp can be made.";
        return false;
    }
    m_folder = pattern;
    QStringList arguments{QStringLiteral("--net"),
                          QStringLiteral("--mount"),
                          QStringLiteral("--pid"),
                          QStringLiteral("--fork"),
                          QStringLiteral("--kill-child"),
                          QStringLiteral("/usr/bin/python3"),
                          QString::fromStdString((sourceFolder() / "tests/helpers/lab/lab.py").string()),
                          QString::fromStdString(m_folder.string()),
                          QString::number(m_options.hosts)};
    if (m_options.shared) {
        arguments << QStringLiteral("shared");
    }
    if (m_options.password) {
        arguments << QStringLiteral("password");
    }
    m_process.start(QStringLiteral("unshare"), arguments);
    const base::Json answer = ask({});
    if (!answer.is_object() || !answer.contains("up")) {
        m_error = "The lab does not come up. " + m_error;
        return false;
    }
    qputenv("TRAINYARD_SSH", QByteArray::fromStdString(ssh().string()));
    qputenv("XDG_RUNTIME_DIR", QByteArray::fromStdString((m_folder / "run").string()));
    return true;
}

base::Json Lab::ask(const base::Json& order) {
    if (!order.is_null() && !order.empty()) {
        m_process.write(QByteArray::fromStdString(base::dumpJson(order) + "\n"));
    }
    while (!m_process.canReadLine()) {
        if (!m_process.waitForReadyRead(order.empty() ? kUpMillis : kOrderMillis)) {
            m_error = "No answer from the lab. " + m_process.readAllStandardError().toStdString();
            return {};
        }
    }
    const base::Result<base::Json> answer = base::parseJson(m_process.readLine().toStdString());
    if (!answer.ok()) {
        m_error = answer.error().message;
        return {};
    }
    if (answer->is_object() && answer->contains("error")) {
        m_error = answer->at("error").get<std::string>();
    }
    return *answer;
}

bool Lab::order(const base::Json& order) {
    const base::Json answer = ask(order);
    return answer.is_object() && !answer.contains("error");
}

ProgramResult Lab::run(int host, const std::vector<std::string>& argv) {
    ProgramResult result;
    const base::Json answer = ask({{"do", "run"}, {"host", host}, {"argv", argv}});
    if (answer.is_object() && answer.contains("exit")) {
        result.started = true;
        result.exitCode = answer.at("exit").get<int>();
        result.out = answer.at("out").get<std::string>();
        result.err = answer.at("err").get<std::string>();
    }
    return result;
}

}  // namespace trainyard::test
