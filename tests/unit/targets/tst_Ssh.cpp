// How ssh is called, what its words mean, what it asks, and the script that finds the agent: without any host.
#include <QTest>
#include <algorithm>

#include "core/base/Text.h"
#include "core/targets/AskServer.h"
#include "core/targets/Bootstrap.h"
#include "core/targets/Ssh.h"
#include "core/wire/Serve.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard;
using namespace trainyard::targets;

class tst_Ssh : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        qunsetenv("TRAINYARD_SSH");
    }

    void commandLine_keepsTheDestinationFromBeingAnOption() {
        SshCall call;
        call.where = {"user@host", 2222, "", ""};
        call.connectSeconds = 7;
        call.aliveSeconds = 4;
        call.remoteCommand = "true";
        const auto line = sshCommandLine(call);
        QVERIFY(line.ok());
        QCOMPARE(line->program, QStringLiteral("ssh"));
        const QStringList& arguments = line->arguments;
        QCOMPARE(arguments.mid(arguments.size() - 5),
                 QStringList({QStringLiteral("-p"), QStringLiteral("2222"), QStringLiteral("--"),
                              QStringLiteral("user@host"), QStringLiteral("true")}));
        for (const char* option :
             {"BatchMode=no", "ConnectTimeout=7", "ServerAliveInterval=4", "ClearAllForwardings=yes"}) {
            QVERIFY2(arguments.contains(QString::fromUtf8(option)), option);
        }
        QCOMPARE(line->environment.value(QStringLiteral("SSH_ASKPASS_REQUIRE")), QStringLiteral("force"));
        QCOMPARE(line->environment.value(QStringLiteral("SSH_ASKPASS")), QStringLiteral("/bin/false"));
    }

    void commandLine_refusesWhatIsNoDestination() {
        for (const char* destination : {"", "-oProxyCommand=true", "-", "a b", "a\tb", "a\nb", "a'b", "a\"b"}) {
            SshCall call;
            call.where.destination = destination;
            const auto line = sshCommandLine(call);
            QVERIFY2(!line.ok() && line.error().code == "spec.destination", destination);
        }
    }

    void commandLine_sharesOnlyOneDefinitionsConnection() {
        const auto path = [](const std::string& key, bool share) {
            SshCall call;
            call.where.destination = "host";
            call.shareKey = key;
            call.share = share;
            const QStringList arguments = sshCommandLine(call)->arguments;
            const auto found = std::find_if(arguments.begin(), arguments.end(), [](const QString& one) {
                return one.startsWith(QStringLiteral("ControlPath="));
            });
            return found == arguments.end() ? QString() : *found;
        };
        QVERIFY(path("one", true).endsWith(QStringLiteral("-%C")));
        QVERIFY(path("one", true) != path("two", true));
        QCOMPARE(path("one", false), QStringLiteral("ControlPath=none"));
        // Sockets have short names: whatever XDG_RUNTIME_DIR is, the path fits.
        QVERIFY(path("one", true).size() < 100);
    }

    void runtimeFolder_isPrivate() {
        const auto folder = runtimeFolder();
        QVERIFY2(folder.ok(), folder.ok() ? "" : folder.error().message.c_str());
        QCOMPARE(static_cast<int>(std::filesystem::status(*folder).permissions()), 0700);
    }

    void explain_data() {
        QTest::addColumn<QString>("words");
        QTest::addColumn<int>("status");
        QTest::addColumn<QString>("code");
        QTest::addColumn<QString>("part");
        const auto row = [](const char* name, const char* words, int status, const char* code, const char* part) {
            QTest::addRow("%s", name) << QString::fromUtf8(words) << status << QString::fromUtf8(code)
                                      << QString::fromUtf8(part);
        };
        row("changed", "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\r\n", 255,
            "target.refused", "ssh-keygen -R 'host'");
        row("unknown", "Host key verification failed.\r\n", 255, "target.refused", "not known");
        row("denied", "user@host: Permission denied (publickey).\r\n", 255, "target.refused", "IdentityFile");
        row("name", "ssh: Could not resolve hostname hots: Name or service not known\r\n", 255, "target.unreachable",
            "spelling");
        row("refused", "ssh: connect to host host port 22: Connection refused\r\n", 255, "target.unreachable",
            "Connection refused");
        row("jump",
            "ssh: connect to host jump port 22: No route to host\r\nkex_exchange_identification: Connection closed by "
            "remote host\r\n"
            "Connection closed by UNKNOWN port 65535\r\n",
            255, "target.unreachable", "connect to host jump");
        row("config", "/home/u/.ssh/config: line 3: Bad configuration option: foo\r\n", 255, "target.refused",
            "line 3");
        row("silent", "", 255, "target.unreachable", "without a word");
        row("shell", "sh: 1: Syntax error\n", 2, "target.program", "status 2");
        row("binary", "\x01\x1b[31mred\xff\n", 255, "target.unreachable", "red");
    }
    void explain() {
        QFETCH(QString, words);
        QFETCH(int, status);
        QFETCH(QString, code);
        QFETCH(QString, part);
        const base::Error error = explainSsh("user@host", status, words.toStdString());
        QCOMPARE(QString::fromStdString(error.code), code);
        QVERIFY2(error.message.find(part.toStdString()) != std::string::npos, error.message.c_str());
        QVERIFY(base::isValidUtf8(error.message));
    }

    void question_kindAndFingerprint() {
        const Question key = readQuestion("t", "h",
                                          "The authenticity of host 'h (10.0.0.1)' can't be established.\nED25519 key "
                                          "fingerprint is SHA256:abc/def+1.\n"
                                          "This key is not known by any other names.\nAre you sure you want to "
                                          "continue connecting (yes/no/[fingerprint])? ");
        QCOMPARE(static_cast<int>(key.kind), static_cast<int>(Question::Kind::HostKey));
        QCOMPARE(key.keyType, std::string("ED25519"));
        QCOMPARE(key.fingerprint, std::string("SHA256:abc/def+1"));
        QCOMPARE(static_cast<int>(readQuestion("t", "h", "u@h's password: ").kind),
                 static_cast<int>(Question::Kind::Password));
        QCOMPARE(static_cast<int>(readQuestion("t", "h", "Enter passphrase for key '/k': ").kind),
                 static_cast<int>(Question::Kind::Passphrase));
        QCOMPARE(static_cast<int>(readQuestion("t", "h", "One-time code: ").kind),
                 static_cast<int>(Question::Kind::Other));
    }

    void boot_words() {
        std::string bytes = "banner TRAINYARD\nTRAINYARD-BOOT need 12 345\nrest";
        const auto need = takeBootWord(bytes, "h", "");
        QVERIFY(need.has_value());
        QCOMPARE(need->offset, std::int64_t{12});
        QCOMPARE(need->freeBytes, std::int64_t{345 * 1024});
        QCOMPARE(bytes, std::string("rest"));
        QVERIFY(!takeBootWord(bytes, "h", "").has_value());
        const auto code = [](const char* line) {
            std::string text = std::string("TRAINYARD-BOOT ") + line + "\n";
            const auto word = takeBootWord(text, "h", "/w");
            return word && word->kind == BootWord::Kind::Error ? word->error.code : std::string("none");
        };
        QCOMPARE(code("need x y"), std::string("target.protocol"));
        QCOMPARE(code("need -1 5"), std::string("target.protocol"));
        QCOMPARE(code("error"), std::string("target.protocol"));
        QCOMPARE(code("error machine Linux aarch64"), std::string("target.program"));
        QCOMPARE(code("error work no"), std::string("file.denied"));
        QCOMPARE(code("error full no"), std::string("target.disk_full"));
        QCOMPARE(code("error start 126 no"), std::string("target.program"));
        QCOMPARE(code("error hash 00"), std::string("target.unreachable"));
    }

    /// The script under each shell that is here, with a home folder whose name needs quoting, and an agent that is
    /// damaged on its way.
    void boot_scriptInEveryShell() {
        const auto agent = findAgentFile();
        QVERIFY2(agent.ok(), agent.ok() ? "" : agent.error().message.c_str());
        const std::string bytes = base::readFile(agent->path).valueOr("");
        const std::string ping = wire::encodeServeFrame({{"ping", 1}}).value();
        int shells = 0;
        for (const char* shell :
             {"/bin/sh", "/bin/bash", "/bin/dash", "/bin/zsh", "/usr/bin/fish", "/bin/tcsh", "/bin/busybox"}) {
            if (!std::filesystem::exists(shell)) {
                continue;
            }
            ++shells;
            const base::Path home = *m_scratch / (std::string("ho'me \"$x` ") + std::to_string(shells));
            QVERIFY(base::makeDirs(home).ok());
            test::ProgramOptions options;
            options.variables = {{"HOME", home.string()}, {"XDG_DATA_HOME", ""}};
            std::vector<std::string> arguments{"-c", bootstrapCommand()};
            if (std::string(shell).ends_with("busybox")) {
                arguments.insert(arguments.begin(), "sh");
            }
            const auto run = [&](const std::string& more) {
                // A ping after it, which the agent answers before it sees the end of its input.
                options.input = bootstrapInput(*agent, "~/my work", "", "client") + more + ping;
                return test::runProgram(shell, arguments, options);
            };
            options.input = bootstrapInput(*agent, "~/my work", "", "client") + bytes.substr(0, bytes.size() / 2);
            const auto half = test::runProgram(shell, arguments, options);
            QVERIFY2(half.out.find("TRAINYARD-BOOT need 0 ") != std::string::npos, (half.out + half.err).c_str());
            QVERIFY2(half.out.find("error short") != std::string::npos, half.out.c_str());
            const auto rest = run(bytes.substr(bytes.size() / 2));
            QVERIFY2(rest.out.find("need " + std::to_string(bytes.size() / 2)) != std::string::npos, rest.out.c_str());
            QVERIFY2(rest.out.find("TRAINYARD-AGENT 1\n") != std::string::npos, (rest.out + rest.err).c_str());
            QVERIFY(std::filesystem::exists(home / "my work" / "bin" / agent->sha256 / "trainyard-agent"));
            QVERIFY(run("").out.starts_with("TRAINYARD-AGENT 1\n"));
            std::filesystem::remove_all(home);
            std::string damaged = bytes;
            damaged[damaged.size() / 3] ^= 1;
            const auto wrong = run(damaged);
            QVERIFY2(wrong.out.find("error hash") != std::string::npos, wrong.out.c_str());
            QVERIFY(!std::filesystem::exists(home / "my work" / "bin" / agent->sha256 / "trainyard-agent"));
        }
        QVERIFY(shells >= 2);
    }

private:
    std::unique_ptr<test::Scratch> m_scratch;
};

QTEST_GUILESS_MAIN(tst_Ssh)
#include "tst_Ssh.moc"
