#include "core/runs/Git.h"

#include <QProcess>
#include <QProcessEnvironment>
#include <QStringList>
#include <algorithm>
#include <optional>

namespace trainyard::runs {

using base::Deadline;
using base::Json;

namespace {

constexpr qint64 kMostPatch = 10 << 20;

struct Answer {
    int status = 0;
    QByteArray out;
    QByteArray err;
    bool cut = false;
};

class Git {
public:
    Git(const base::Path& folder, Deadline deadline)
        : m_folder(QString::fromStdString(folder.string())), m_deadline(deadline) {
        // A repository may name programs to be run by git; a folder that somebody was sent must not get to do so.
        m_safe = {QStringLiteral("-c"),
                  QStringLiteral("core.fsmonitor=false"),
                  QStringLiteral("-c"),
                  QStringLiteral("core.hooksPath=/dev/null"),
                  QStringLiteral("-c"),
                  QStringLiteral("core.pager=cat"),
                  QStringLiteral("-c"),
                  QStringLiteral("core.sshCommand=false"),
                  QStringLiteral("-c"),
                  QStringLiteral("diff.external="),
                  QStringLiteral("-c"),
                  QStringLiteral("core.quotePath=true"),
                  QStringLiteral("-c"),
                  QStringLiteral("submodule.recurse=false"),
                  QStringLiteral("--no-optional-locks")};
    }

    /// Nothing when git is missing or too slow; why() tells.
    std::optional<Answer> ask(const QStringList& arguments) {
        QProcess process;
        QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
        environment.insert(QStringLiteral("GIT_TERMINAL_PROMPT"), QStringLiteral("0"));
        environment.insert(QStringLiteral("GIT_OPTIONAL_LOCKS"), QStringLiteral("0"));
        environment.insert(QStringLiteral("LC_ALL"), QStringLiteral("C"));
        for (const char* name : {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_EXTERNAL_DIFF", "GIT_PAGER",
                                 "GIT_CONFIG_PARAMETERS"}) {
            environment.remove(QLatin1String(name));
        }
        process.setProcessEnvironment(environment);
        process.setWorkingDirectory(m_folder);
        process.start(QStringLiteral("git"), m_safe + arguments, QIODevice::ReadOnly);
        if (!process.waitForStarted(static_cast<int>(m_deadline.millisLeft()))) {
            m_why = "git could not be started, so the run does not know its commit.";
            return std::nullopt;
        }
        Answer answer;
        while (process.state() != QProcess::NotRunning || process.bytesAvailable() > 0) {
            if (m_deadline.passed()) {
                process.kill();
                process.waitForFinished(1000);
                m_why = "git took too long, so the run does not know all of its commit.";
                return std::nullopt;
            }
            process.waitForReadyRead(static_cast<int>(std::min<std::int64_t>(50, m_deadline.millisLeft())));
            answer.out += process.readAllStandardOutput();
            if (answer.out.size() > kMostPatch) {
                answer.cut = true;
                process.kill();
                process.waitForFinished(1000);
                return answer;
            }
        }
        answer.status = process.exitStatus() == QProcess::NormalExit ? process.exitCode() : -1;
        answer.err = process.readAllStandardError();
        return answer;
    }

    /// The first line of a successful answer; empty otherwise.
    std::string line(const QStringList& arguments) {
        const std::optional<Answer> answer = ask(arguments);
        return answer && answer->status == 0 ? answer->out.trimmed().toStdString() : std::string();
    }

    /// Programs that the repository's own configuration names for reading files and making differences are left out.
    void disarm() {
        const std::optional<Answer> answer =
            ask({QStringLiteral("config"), QStringLiteral("--local"), QStringLiteral("--null"),
                 QStringLiteral("--name-only"), QStringLiteral("--get-regexp"), QStringLiteral("^(filter|diff)\\.")});
        if (!answer || answer->status != 0) {
            return;
        }
        for (const QByteArray& key : answer->out.split('\0')) {
            const QString name = QString::fromUtf8(key);
            if (name.endsWith(QStringLiteral(".clean")) || name.endsWith(QStringLiteral(".smudge")) ||
                name.endsWith(QStringLiteral(".process")) || name.endsWith(QStringLiteral(".command")) ||
                name.endsWith(QStringLiteral(".textconv"))) {
                m_safe << QStringLiteral("-c") << name + QLatin1Char('=');
            } else if (name.endsWith(QStringLiteral(".required"))) {
                m_safe << QStringLiteral("-c") << name + QStringLiteral("=false");
            }
        }
    }

    [[nodiscard]] const std::string& why() const { return m_why; }

private:
    QString m_folder;
    Deadline m_deadline;
    QStringList m_safe;
    std::string m_why;
};

}  // namespace

std::string withoutCredentials(const std::string& address) {
    std::string text = address.substr(0, address.find_first_of("?#"));
    const std::size_t scheme = text.find("://");
    if (scheme == std::string::npos) {
        return text;  // "git@host:path" and plain paths: the user's name there is no secret.
    }
    const std::size_t host = scheme + 3;
    const std::size_t end = text.find('/', host);
    const std::size_t at = text.rfind('@', end == std::string::npos ? text.size() : end);
    if (at != std::string::npos && at >= host) {
        text.erase(host, at - host + 1);
    }
    return text;
}

GitState readGit(const base::Path& folder, Deadline deadline) {
    GitState state;
    Git git(folder, deadline);
    const std::optional<Answer> inside =
        git.ask({QStringLiteral("rev-parse"), QStringLiteral("--is-inside-work-tree")});
    if (!inside || inside->status != 0 || inside->out.trimmed() != "true") {
        if (!inside) {
            state.warning = git.why();
        } else if (inside->err.contains("dubious ownership")) {
            state.warning = "The source lies in a git repository of another user; git does not read it, so the run "
                            "does not know its commit.";
        }
        return state;
    }
    state.repository = true;
    git.disarm();
    state.commit = git.line(
        {QStringLiteral("rev-parse"), QStringLiteral("--verify"), QStringLiteral("--quiet"), QStringLiteral("HEAD")});
    state.branch = git.line(
        {QStringLiteral("symbolic-ref"), QStringLiteral("--quiet"), QStringLiteral("--short"), QStringLiteral("HEAD")});
    state.remote = withoutCredentials(
        git.line({QStringLiteral("config"), QStringLiteral("--get"), QStringLiteral("remote.origin.url")}));
    if (!state.commit.empty()) {
        const std::optional<Answer> patch = git.ask(
            {QStringLiteral("diff"), QStringLiteral("--no-ext-diff"), QStringLiteral("--no-textconv"),
             QStringLiteral("--no-color"), QStringLiteral("--binary"), QStringLiteral("--ignore-submodules=all"),
             QStringLiteral("HEAD"), QStringLiteral("--"), QStringLiteral(".")});
        if (patch && (patch->cut || patch->status == 0)) {
            state.dirty = !patch->out.isEmpty();
            state.patchCut = patch->cut;
            state.patch = patch->cut ? std::string() : patch->out.toStdString();
        } else if (patch) {
            state.warning =
                "git could not compare the source with its commit: " + patch->err.trimmed().left(200).toStdString();
        }
    }
    if (!git.why().empty()) {
        state.warning = git.why();
    }
    return state;
}

Json toJson(const GitState& state) {
    return Json{{"commit", state.commit}, {"branch", state.branch},      {"remote", state.remote},
                {"dirty", state.dirty},   {"patch_cut", state.patchCut}, {"warning", state.warning}};
}

}  // namespace trainyard::runs
