// Compute targets on the command line, and what every action says of itself with --help.
#include <QTest>
#include <memory>
#include <set>

#include "tests/cli/CliRig.h"
#include "tests/helpers/Children.h"

using namespace trainyard;
using base::Json;
using test::Arguments;
using test::cli;
using test::cliJson;

class CliTargetsTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        qunsetenv("TRAINYARD_WORKSPACE");
        m_transcript = std::make_unique<test::Transcript>(*m_scratch);
    }
    void cleanup() { QVERIFY2(m_guard.noneLeft(10'000), m_guard.report().c_str()); }

    void golden_targets() {
        QCOMPARE(cli({"workspace", "init", (*m_scratch / "w").string()}).exitCode, 0);
        say({"target", "list"});
        say({"target", "add", "lab", "--kind", "ssh", "--host", "node1", "--host", "me@node2", "--set",
             "description=Two hosts"});
        say({"target", "add", "lab", "--kind", "ssh", "--host", "node1"});
        say({"target", "add", "lab", "--kind", "ssh", "--host", "node1", "--get-or-create"});
        say({"target", "add", "lab2", "--kind", "ssh"});
        say({"target", "add", "lab2", "--kind", "ssh", "--host", "-oProxyCommand=true"});
        say({"target", "add", "lab2", "--kind", "cloud", "--host", "a"});
        say({"target", "add", "lab2", "--kind", "ssh", "--host", "a", "--set", "slots=many"});
        say({"target", "add"});
        say({"target", "list"});
        say({"target", "show", "lab"});
        say({"target", "edit", "lab", "--set", "description=Changed"});
        say({"target", "edit", "nobody", "--set", "description=x"});
        say({"target", "clone", "lab", "copy"});
        say({"target", "disable", "copy"});
        say({"target", "list"});
        say({"run", "submit", "--target", "copy", "--", "true"});
        say({"target", "enable", "copy"});
        say({"target", "delete", "copy"});
        say({"target", "delete", "copy"});
        say({"target", "delete", "local"});
        say({"target", "wait", "local"});
        say({"target", "wait", "nobody"});
        say({"target", "show", "nobody", "--json"});
        QCOMPARE(m_transcript->difference("targets"), QByteArray());
    }

    /// Each action's help, whatever actions there are: a new one is put into the transcript by writing it anew.
    void golden_help() {
        for (const char* group : {"workspace", "run", "model", "weights", "target", "environment"}) {
            const auto help = cli({group, "--help"});
            if (help.exitCode != 0) {
                continue;
            }
            say({group, "--help"});
            const std::vector<std::string> verbs = verbsOf(help.out);
            QVERIFY2(verbs.size() > 2, help.out.c_str());
            for (const std::string& verb : verbs) {
                say({group, verb, "--help"});
            }
        }
        QCOMPARE(m_transcript->difference("help"), QByteArray());
    }

    void guide_namesEveryAction() {
        const std::string guide = base::readFile(test::sourceFolder() / "resources/docs/guide/cli.md").valueOr("");
        const std::string protocol =
            base::readFile(test::sourceFolder() / "resources/docs/protocol/cli.md").valueOr("");
        for (const char* group : {"workspace", "run", "model", "weights", "target", "environment"}) {
            const auto help = cli({group, "--help"});
            for (const std::string& verb : help.exitCode == 0 ? verbsOf(help.out) : std::vector<std::string>()) {
                const std::string words = std::string(group) + " " + verb;
                QVERIFY2(guide.find(words) != std::string::npos, ("guide/cli.md does not tell of " + words).c_str());
                const bool described = protocol.find(std::string(group) + "." + verb) != std::string::npos ||
                                       protocol.find(std::string("`") + group + ".*`") != std::string::npos;
                QVERIFY2(described, ("protocol/cli.md does not tell of " + words).c_str());
            }
        }
    }

    void local_isExamined() {
        QCOMPARE(cli({"workspace", "init", (*m_scratch / "w").string()}).exitCode, 0);
        const auto doctor = cli({"target", "doctor", "local"});
        QCOMPARE(doctor.exitCode, 0);
        QVERIFY2(doctor.out.starts_with("Worst finding: "), doctor.out.c_str());
        QVERIFY2(doctor.err.find("Processor") != std::string::npos || doctor.err.find("cores") != std::string::npos,
                 doctor.err.c_str());
        const Json load = cliJson({"target", "load", "local"});
        QVERIFY2(load.contains("hosts") && load.at("hosts").size() == 1, load.dump().c_str());
        QVERIFY(load.at("hosts").at(0).at("cores").get<int>() >= 1);
        QCOMPARE(cli({"run", "submit", "--wait", "--", "true"}).exitCode, 0);
        const auto cache = cli({"target", "cache", "local"});
        QCOMPARE(cache.exitCode, 0);
        // Times are for people: no count of microseconds.
        QVERIFY2(!QRegularExpression(QStringLiteral("\\d{14}")).match(QString::fromStdString(cache.out)).hasMatch(),
                 cache.out.c_str());
        QCOMPARE(cli({"target", "clear-cache", "local", "--yes"}).exitCode, 0);
    }

private:
    static std::vector<std::string> verbsOf(const std::string& help) {
        std::vector<std::string> verbs;
        const QString text = QString::fromStdString(help);
        const QRegularExpression line(QStringLiteral("^  ([a-z-]+) "), QRegularExpression::MultilineOption);
        for (auto each = line.globalMatch(text.mid(text.indexOf(QStringLiteral("Subcommands:")))); each.hasNext();) {
            verbs.push_back(each.next().captured(1).toStdString());
        }
        return verbs;
    }

    void say(const Arguments& arguments) { m_transcript->say(arguments); }

    test::ChildGuard m_guard;
    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<test::Transcript> m_transcript;
};

QTEST_GUILESS_MAIN(CliTargetsTest)
#include "tst_CliTargets.moc"
