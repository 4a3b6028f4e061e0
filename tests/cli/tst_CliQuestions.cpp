// What ssh asks, asked on the terminal: an unknown host key, a password. Real sshd, real pseudo-terminals; and without
// one.
#include <QTest>
#include <memory>

#include "tests/cli/CliRig.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Lab.h"
#include "tests/helpers/Skip.h"

using namespace trainyard;
using base::Json;
using test::Arguments;

class CliQuestionsTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase() {
        if (const std::string missing = test::Lab::missing(); !missing.empty()) {
            TRAINYARD_SKIP(missing.c_str());
        }
    }
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        qunsetenv("TRAINYARD_WORKSPACE");
        test::LabOptions options;
        options.password = true;
        m_lab = std::make_unique<test::Lab>(options);
        QVERIFY2(m_lab->up(), m_lab->error().c_str());
        QCOMPARE(test::cli({"workspace", "init", (*m_scratch / "w").string()}).exitCode, 0);
        const auto added = test::cli({"target", "add", "lab", "--kind", "ssh", "--host", "node1"});
        QVERIFY2(added.exitCode == 0, added.err.c_str());
    }
    void cleanup() {
        m_lab.reset();
        QVERIFY2(m_guard.noneLeft(20'000), m_guard.report().c_str());
    }

    void hostKey_isAskedOnTheTerminal() {
        QVERIFY(base::writeFileAtomically(m_lab->knownHosts(), "").ok());
        const auto print = test::runProgram("/usr/bin/ssh-keygen", {"-lf", (m_lab->folder() / "hostkey.pub").string()});
        const std::size_t begin = print.out.find("SHA256:");
        QVERIFY(begin != std::string::npos);
        const std::string fingerprint = print.out.substr(begin, print.out.find(' ', begin) - begin);
        {
            test::TerminalCall refused({"target", "wait", "lab"});
            QVERIFY2(refused.shows(fingerprint), refused.shown().c_str());
            QVERIFY(refused.type("no\n"));
            QCOMPARE(refused.exitCode(), 1);
            QVERIFY2(refused.shown().find("trainyard-cli: ") != std::string::npos, refused.shown().c_str());
            QCOMPARE(base::readFile(m_lab->knownHosts()).valueOr("x"), std::string());
        }
        test::TerminalCall taken({"target", "wait", "lab"});
        QVERIFY2(taken.shows(fingerprint), taken.shown().c_str());
        QVERIFY2(taken.shown().find("lab: ") != std::string::npos, taken.shown().c_str());
        QVERIFY(taken.type("yes\n"));
        QVERIFY2(taken.exitCode() == 0, taken.shown().c_str());
        QVERIFY2(taken.shown().find("Target lab is ready.") != std::string::npos, taken.shown().c_str());
        QVERIFY(base::readFile(m_lab->knownHosts()).valueOr("").find("ssh-ed25519") != std::string::npos);
        // Known now: nobody is asked.
        test::TerminalCall again({"target", "wait", "lab"});
        QCOMPARE(again.exitCode(), 0);
        QVERIFY2(again.shown().find("SHA256:") == std::string::npos, again.shown().c_str());
    }

    void password_isAskedAndNotShown() {
        askForPasswords();
        test::TerminalCall call({"target", "wait", "lab"});
        QVERIFY2(call.shows("password:"), call.shown().c_str());
        QVERIFY(call.type("wrong one\n"));
        QVERIFY2(call.shows("password:", 60'000, 2), call.shown().c_str());
        QVERIFY(call.type("open sesame\n"));
        QVERIFY2(call.exitCode() == 0, call.shown().c_str());
        QVERIFY2(call.shown().find("sesame") == std::string::npos &&
                     call.shown().find("wrong one") == std::string::npos,
                 call.shown().c_str());
        QVERIFY2(call.shown().find("Target lab is ready.") != std::string::npos, call.shown().c_str());
    }

    void interrupt_leavesTheTerminalAsItWas() {
        askForPasswords();
        test::TerminalCall call({"target", "wait", "lab"});
        QVERIFY2(call.shows("password:"), call.shown().c_str());
        QVERIFY(!call.echoes());
        QVERIFY(call.type("\x03"));
        QCOMPARE(call.exitCode(), 130);
        QVERIFY(call.echoes());
    }

    void noTerminal_isAClearError() {
        QVERIFY(base::writeFileAtomically(m_lab->knownHosts(), "").ok());
        const auto text = withoutTerminal({"target", "wait", "lab"});
        QCOMPARE(text.exitCode, 1);
        QVERIFY2(text.err.find("There is no terminal to ask on, so the answer is no.") != std::string::npos,
                 text.err.c_str());
        QVERIFY2(text.err.find("not known") != std::string::npos, text.err.c_str());
        const auto json = withoutTerminal({"target", "wait", "lab", "--json"});
        QCOMPARE(json.exitCode, 1);
        const auto answer = base::parseJson(json.out);
        QVERIFY2(answer.ok() && answer->contains("error"), json.out.c_str());
        QCOMPARE(answer->at("error").at("code").get<std::string>(), std::string("target.refused"));
        QCOMPARE(base::readFile(m_lab->knownHosts()).valueOr("x"), std::string());
        // Nor is there a password to be had.
        QVERIFY(base::writeFileAtomically(m_lab->knownHosts(), "").ok());
        askForPasswords();
        QCOMPARE(withoutTerminal({"target", "wait", "lab"}).exitCode, 1);
    }

private:
    /// As a program of a service would be called: in a session without a terminal.
    static test::ProgramResult withoutTerminal(const Arguments& arguments) {
        Arguments all{"-w", test::builtProgram("trainyard-cli").string()};
        all.insert(all.end(), arguments.begin(), arguments.end());
        test::ProgramOptions options;
        options.timeoutMillis = 120'000;
        return test::runProgram("/usr/bin/setsid", all, options);
    }

    void askForPasswords() {
        const std::string config = base::readFile(m_lab->sshConfig()).valueOr("");
        QVERIFY(base::writeFileAtomically(m_lab->sshConfig(), "Host *\n  PreferredAuthentications password\n" + config)
                    .ok());
    }

    test::ChildGuard m_guard;
    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<test::Lab> m_lab;
};

QTEST_GUILESS_MAIN(CliQuestionsTest)
#include "tst_CliQuestions.moc"
