// One host over a pipe and over ssh: what it needs to be reached, what goes over its channel, and what refuses it.
#include <QProcess>
#include <QTest>
#include <algorithm>
#include <chrono>
#include <optional>

#include "core/base/Hash.h"
#include "core/base/Text.h"
#include "core/targets/Host.h"
#include "core/targets/HostCalls.h"
#include "tests/helpers/Await.h"
#include "tests/helpers/Lab.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"
#include "tests/helpers/Wait.h"

using namespace trainyard;
using namespace trainyard::targets;
using test::await;
using test::waitFor;

namespace {

Deadline soon() { return Deadline::inMillis(20'000); }

HostOptions sshOptions(const std::string& destination = "node1") {
    HostOptions options;
    options.target = "lab";
    options.overSsh = true;
    options.where.destination = destination;
    options.connectSeconds = 3;
    options.aliveSeconds = 1;
    return options;
}

base::Error connectError(Host& host, int timeoutMillis = 30'000) {
    const Status status =
        await<void>([&](DoneStatus done) { return host.connect(Deadline::inMillis(timeoutMillis), std::move(done)); },
                    timeoutMillis + 2000);
    return status.ok() ? base::Error{"none", "It connected."} : status.error();
}

std::string errorOf(const Result<ExecResult>& result) {
    return result.ok() ? "" : result.error().code + ": " + result.error().message;
}

Result<ExecResult> exec(Host& host, std::vector<std::string> argv) {
    ExecRequest request;
    request.argv = std::move(argv);
    return await<ExecResult>(
        [&](Done<ExecResult> done) { return host.exec(std::move(request), soon(), std::move(done)); });
}

}  // namespace

class tst_Host : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void cleanup();

    void pipe_helloExecUpload();
    void pipe_allGoOnWhenTheAgentDies();
    void ssh_helloExecUploadDownload();
    void ssh_sharedConnectionIsMadeAnew();
    void ssh_channelIsMadeAnew();
    void ssh_agentArrivesInPieces();
    void ssh_bannerAndSpacesInHome();
    void ssh_unknownKeyIsAsked();
    void ssh_changedKeyIsRefused();
    void ssh_passwordIsAsked();
    void ssh_passphraseIsAsked();
    void ssh_wrongUserIsRefused();
    void ssh_loginThatIsAllowedAgain();
    void ssh_deadHostAndDeadJump();
    void ssh_garbageIsNotAnAgent();
    void ssh_noexecFullAndMissingWorkFolders();
    void ssh_otherProcessor();
    void ssh_hostileDestinations_data();
    void ssh_hostileDestinations();
    void ssh_argumentsArriveAsTheyAre();

private:
    bool labIsThere();
    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<test::Lab> m_lab;
    std::string m_config;  ///< Of the lab as it was made.
    std::string m_known;
};

void tst_Host::initTestCase() {
    m_scratch = std::make_unique<test::Scratch>();
    m_scratch->isolate();
}

void tst_Host::cleanup() {
    if (m_lab) {
        QVERIFY(base::writeFileAtomically(m_lab->sshConfig(), m_config).ok());
        QVERIFY(base::writeFileAtomically(m_lab->knownHosts(), m_known).ok());
        m_lab->run(1, {"sh", "-c", "rm -rf /home/lab/.local /home/lab/.bashrc /home/lab/w*"});
    }
}

/// One lab for all tests here: it takes half a second to make.
bool tst_Host::labIsThere() {
    if (!m_lab) {
        m_lab = std::make_unique<test::Lab>(test::LabOptions{2, false, true});
        if (!m_lab->up()) {
            qWarning("%s", m_lab->error().c_str());
            m_lab.reset();
            return false;
        }
        m_config = base::readFile(m_lab->sshConfig()).valueOr("");
        m_known = base::readFile(m_lab->knownHosts()).valueOr("");
    }
    return true;
}

#define NEED_LAB()                                                                                                     \
    do {                                                                                                               \
        if (const std::string why = test::Lab::missing(); !why.empty()) {                                              \
            TRAINYARD_SKIP(why.c_str());                                                                               \
        }                                                                                                              \
        QVERIFY(labIsThere());                                                                                         \
    } while (false)

void tst_Host::pipe_helloExecUpload() {
    HostOptions options;
    options.workFolder = (*m_scratch / "pipe work").string();
    Host host(options);
    QCOMPARE(host.reach().state, Reach::State::Unknown);
    const auto said = exec(host, {"sh", "-c", "cat; echo err >&2; exit 3"});
    QVERIFY2(said.ok(), said.ok() ? "" : said.error().message.c_str());
    QCOMPARE(said->exit, 3);
    QCOMPARE(said->err, std::string("err\n"));
    QCOMPARE(host.reach().state, Reach::State::Connected);
    QCOMPARE(host.workFolder(), options.workFolder);
    QVERIFY(waitFor([&] { return host.latencyNanos() > 0; }));

    const std::string bytes(3'000'000, 'x');
    HostUpload upload;
    upload.local = m_scratch->write("big.bin", bytes);
    upload.sha256 = base::sha256Hex(bytes);
    upload.size = static_cast<std::int64_t>(bytes.size());
    std::int64_t told = 0;
    const Status sent = await<void>([&](DoneStatus done) {
        return host.upload(
            upload, [&told](std::int64_t n) { told = n; }, std::move(done));
    });
    QVERIFY2(sent.ok(), sent.ok() ? "" : sent.error().message.c_str());
    QCOMPARE(told, upload.size);
    QCOMPARE(base::sha256File(base::Path(options.workFolder) / "objects" / upload.sha256).valueOr(""), upload.sha256);
}

/// The agent dies under nine requests at once. Of the one that must not be repeated the callback asks for the next
/// channel at once; whoever may be repeated gets his answer on it, wherever he stands.
void tst_Host::pipe_allGoOnWhenTheAgentDies() {
    HostOptions options;
    options.workFolder = (*m_scratch / "dying").string();
    Host host(options);
    const auto start = [&](std::vector<std::string> argv, bool repeat, Done<ExecResult> done) {
        ExecRequest request;
        request.argv = std::move(argv);
        request.repeat = repeat;
        return host.exec(std::move(request), soon(), std::move(done));
    };
    int answered = 0;
    std::string broken;
    std::optional<Result<ExecResult>> next;
    OperationPtr after;
    std::vector<OperationPtr> operations;
    for (int i = 0; i < 9; ++i) {
        if (i == 4) {
            operations.push_back(
                start({"sh", "-c", "kill -9 $PPID; sleep 1"}, false, [&](const Result<ExecResult>& killed) {
                    broken = killed.ok() ? "answered" : killed.error().code;
                    after = start({"true"}, false, [&](const Result<ExecResult>& result) { next = result; });
                }));
            continue;
        }
        operations.push_back(start({"sh", "-c", "sleep 0.3; echo back"}, true, [&](const Result<ExecResult>& result) {
            answered += result.ok() && result->out == "back\n" ? 1 : 0;
        }));
    }
    QVERIFY(waitFor([&] { return answered == 8 && next.has_value(); }, 15'000));
    QCOMPARE(broken, std::string("target.unreachable"));
    QVERIFY2(next->ok(), next->ok() ? "" : next->error().message.c_str());
}

void tst_Host::ssh_helloExecUploadDownload() {
    NEED_LAB();
    Host host(sshOptions());
    std::vector<std::pair<std::int64_t, std::int64_t>> deploys;
    host.onDeploy([&](std::int64_t done, std::int64_t total) { deploys.emplace_back(done, total); });
    const auto said = exec(host, {"sh", "-c", "hostname; id -un; pwd"});
    QVERIFY2(said.ok(), said.ok() ? "" : said.error().message.c_str());
    QCOMPARE(said->out, std::string("node1\nlab\n/home/lab\n"));
    QCOMPARE(host.workFolder(), std::string("/home/lab/.local/share/trainyard/work"));
    QVERIFY(!deploys.empty());
    QCOMPARE(deploys.back().first, deploys.back().second);

    // A second host object finds the agent there.
    Host again(sshOptions());
    bool sent = false;
    again.onDeploy([&](std::int64_t, std::int64_t) { sent = true; });
    QVERIFY(exec(again, {"true"}).ok());
    QVERIFY(!sent);

    const RunId run = RunId::make();
    const std::string bytes = "first line\n" + std::string(5'000'000, 'y');
    const Status put = await<void>([&](DoneStatus done) {
        return putFiles(host, run, 1, 0, {{"plan.json", "{}"}, {"spec.json", std::string(2'500'000, 'z')}}, soon(),
                        std::move(done));
    });
    QVERIFY2(put.ok(), put.ok() ? "" : put.error().message.c_str());
    const base::Path there = m_lab->home(1) / ".local/share/trainyard/work/runs" / run.str();
    QCOMPARE(std::filesystem::file_size(there / "a1/n0/spec.json"), std::uintmax_t{2'500'000});
    QVERIFY(exec(host, {"mkdir", "-p", host.workFolder() + "/runs/" + run.str() + "/outputs"}).ok());
    QVERIFY(base::writeFileAtomically(there / "outputs/model.bin", bytes, 0644).ok());
    const auto listed = await<std::vector<OutputFile>>(
        [&](Done<std::vector<OutputFile>> done) { return listOutputs(host, run, soon(), std::move(done)); });
    QVERIFY(listed.ok());
    QCOMPARE(listed->size(), std::size_t{1});
    const base::Path into = *m_scratch / "fetched" / "model.bin";
    // Half of it lies here already, from an earlier try.
    m_scratch->write("fetched/.model.bin.part", bytes.substr(0, 2'000'000));
    const auto fetched = await<OutputFile>([&](Done<OutputFile> done) {
        return host.download({run, "model.bin", into, static_cast<std::int64_t>(bytes.size()), base::sha256Hex(bytes)},
                             {}, std::move(done));
    });
    QVERIFY2(fetched.ok(), fetched.ok() ? "" : fetched.error().message.c_str());
    QCOMPARE(base::sha256File(into).valueOr(""), base::sha256Hex(bytes));
    // What lies here of another file is started over.
    m_scratch->write("fetched/.other.bin.part", "not the same");
    const auto other = await<OutputFile>([&](Done<OutputFile> done) {
        return host.download({run, "model.bin", *m_scratch / "fetched" / "other.bin", -1, ""}, {}, std::move(done));
    });
    QVERIFY2(other.ok(), other.ok() ? "" : other.error().message.c_str());
    QCOMPARE(other->sha256, base::sha256Hex(bytes));
    const auto wrong = await<OutputFile>([&](Done<OutputFile> done) {
        return host.download({run, "model.bin", *m_scratch / "fetched" / "wrong.bin", -1, std::string(64, '0')}, {},
                             std::move(done));
    });
    QCOMPARE(wrong.ok() ? "" : wrong.error().code, std::string("target.hash"));
    const auto missing = await<OutputFile>([&](Done<OutputFile> done) {
        return host.download({run, "nothing.bin", *m_scratch / "fetched" / "nothing.bin", -1, ""}, {}, std::move(done));
    });
    QCOMPARE(missing.ok() ? "" : missing.error().code, std::string("target.missing"));
}

void tst_Host::ssh_channelIsMadeAnew() {
    NEED_LAB();
    Host host(sshOptions());
    std::vector<Reach::State> states;
    host.onReachChanged([&](const Reach& reach) { states.push_back(reach.state); });
    QCOMPARE(errorOf(exec(host, {"true"})), std::string());
    QVERIFY(m_lab->cut(1));
    // An idle host notices by itself; a request meanwhile fails with the reason.
    QVERIFY(waitFor([&] { return host.reach().state == Reach::State::Unreachable; }, 20'000));
    const auto cut = exec(host, {"true"});
    QCOMPARE(cut.ok() ? "" : cut.error().code, std::string("target.unreachable"));
    QVERIFY(host.reach().reason.find("node1") != std::string::npos);
    QVERIFY(m_lab->heal(1));
    host.connectNow();
    QVERIFY(waitFor([&] { return host.reach().state == Reach::State::Connected; }, 15'000));
    QCOMPARE(errorOf(exec(host, {"true"})), std::string());
    QVERIFY(!states.empty());
    QCOMPARE(states.back(), Reach::State::Connected);
}

/// Two programs share one login, and the one that made it ends: what the other asked is answered over a login of its
/// own.
void tst_Host::ssh_sharedConnectionIsMadeAnew() {
    NEED_LAB();
    const auto logins = [&] { return m_lab->run(1, {"pgrep", "-c", "-f", "^sshd: lab .priv."}).out; };
    QVERIFY(waitFor([&] { return logins() == "0\n"; }, 10'000));
    auto first = std::make_unique<Host>(sshOptions());
    QCOMPARE(errorOf(exec(*first, {"true"})), std::string());
    Host second(sshOptions());
    std::vector<Reach::State> states;
    second.onReachChanged([&](const Reach& reach) { states.push_back(reach.state); });
    QCOMPARE(errorOf(exec(second, {"true"})), std::string());
    QCOMPARE(logins(), std::string("1\n"));
    ExecRequest slow;
    slow.argv = {"sh", "-c", "sleep 1; echo back"};
    slow.repeat = true;
    std::optional<Result<ExecResult>> answer;
    const OperationPtr asked =
        second.exec(std::move(slow), Deadline::inMillis(60'000), [&](const auto& result) { answer = result; });
    QTest::qWait(100);
    first.reset();
    QVERIFY(waitFor([&] { return answer.has_value(); }, 20'000));
    QCOMPARE(errorOf(*answer), std::string());
    QCOMPARE((*answer)->out, std::string("back\n"));
    QCOMPARE(std::count(states.begin(), states.end(), Reach::State::Connected), 2);
    QVERIFY(std::count(states.begin(), states.end(), Reach::State::Unreachable) > 0);
}

void tst_Host::ssh_agentArrivesInPieces() {
    NEED_LAB();
    // Cut in the middle of sending the agent, and again: it goes on where it was.
    Host host(sshOptions());
    int cuts = 0;
    std::vector<std::int64_t> beginnings;
    std::int64_t last = -1;
    std::int64_t whole = 0;
    host.onDeploy([&](std::int64_t done, std::int64_t total) {
        if (last < 0 || done < last) {
            beginnings.push_back(done);
        }
        last = done;
        whole = total;
        if (done > total / 2 && cuts == 0) {
            ++cuts;
            m_lab->run(1, {"sh", "-c", "kill $(pgrep -u lab -f 'sshd: lab')"});
        }
    });
    const base::Error first = connectError(host);
    QCOMPARE(cuts, 1);
    QVERIFY2(whole > 0 && whole < 5'000'000, qPrintable(QString::number(whole)));
    last = -1;
    if (first.code != "none") {
        QCOMPARE(first.code, std::string("target.unreachable"));
        QCOMPARE(connectError(host).code, std::string("none"));
    }
    QVERIFY(exec(host, {"true"}).ok());
}

void tst_Host::ssh_bannerAndSpacesInHome() {
    NEED_LAB();
    QVERIFY(base::writeFileAtomically(m_lab->home(1) / ".bashrc",
                                      "echo 'Welcome to node1'; printf 'no end of line, TRAINYARD'\n"
                                      "yes 'a long banner' | head -n 2000\n",
                                      0644)
                .ok());
    HostOptions options = sshOptions();
    options.workFolder = "~/w o r k 'q\" $HOME `id` ü";
    Host host(options);
    const auto said = exec(host, {"sh", "-c", "pwd"});
    QVERIFY2(said.ok(), said.ok() ? "" : said.error().message.c_str());
    QCOMPARE(host.workFolder(), std::string("/home/lab/w o r k 'q\" $HOME `id` ü"));
    QVERIFY(std::filesystem::exists(m_lab->home(1) / "w o r k 'q\" $HOME `id` ü" / "bin"));
}

void tst_Host::ssh_unknownKeyIsAsked() {
    NEED_LAB();
    QVERIFY(base::writeFileAtomically(m_lab->knownHosts(), "").ok());
    {
        Host host(sshOptions());
        const base::Error nobody = connectError(host);
        QCOMPARE(nobody.code, std::string("target.refused"));
        QVERIFY2(nobody.message.find("not known") != std::string::npos, nobody.message.c_str());
    }
    std::vector<Question> questions;
    Host host(sshOptions());
    bool needed = false;
    host.onReachChanged([&](const Reach& reach) { needed = needed || reach.state == Reach::State::NeedsAnswer; });
    host.setAsk([&](const Question& question, const AnswerQuestion& answer) {
        questions.push_back(question);
        answer("yes");
    });
    QCOMPARE(connectError(host).code, std::string("none"));
    QCOMPARE(questions.size(), std::size_t{1});
    QCOMPARE(static_cast<int>(questions[0].kind), static_cast<int>(Question::Kind::HostKey));
    QCOMPARE(questions[0].keyType, std::string("ED25519"));
    const auto print = test::runProgram("/usr/bin/ssh-keygen", {"-lf", (m_lab->folder() / "hostkey.pub").string()});
    QVERIFY2(print.out.find(questions[0].fingerprint) != std::string::npos &&
                 questions[0].fingerprint.starts_with("SHA256:"),
             questions[0].fingerprint.c_str());
    QVERIFY(needed);
}

void tst_Host::ssh_changedKeyIsRefused() {
    NEED_LAB();
    const std::string other = base::readFile(m_lab->folder() / "otherkey.pub").valueOr("");
    QVERIFY(base::writeFileAtomically(m_lab->knownHosts(), "node1,10.77.0.11 " + other).ok());
    Host host(sshOptions());
    bool asked = false;
    host.setAsk([&](const Question&, const AnswerQuestion& answer) {
        asked = true;
        answer("yes");
    });
    const base::Error refused = connectError(host);
    QCOMPARE(refused.code, std::string("target.refused"));
    QVERIFY2(refused.message.find("ssh-keygen -R") != std::string::npos, refused.message.c_str());
    QVERIFY(!asked);
    QCOMPARE(host.reach().nextTryAt, std::int64_t{0});
}

void tst_Host::ssh_passwordIsAsked() {
    NEED_LAB();
    const std::string other = "Host *\n  PreferredAuthentications password\n" + m_config;
    QVERIFY(base::writeFileAtomically(m_lab->sshConfig(), other).ok());
    std::vector<Question> questions;
    {
        Host host(sshOptions());
        host.setAsk([&](const Question& question, const AnswerQuestion& answer) {
            questions.push_back(question);
            answer(questions.size() == 1 ? "wrong" : "open sesame");
        });
        const base::Error answered = connectError(host);
        QVERIFY2(answered.code == "none", answered.message.c_str());
        QCOMPARE(questions.size(), std::size_t{2});
        QCOMPARE(static_cast<int>(questions[0].kind), static_cast<int>(Question::Kind::Password));
        // Nobody else gets an answer from the socket.
        for (const auto& entry : std::filesystem::directory_iterator(m_lab->folder() / "run" / "trainyard")) {
            if (entry.path().filename().string().starts_with("ask-")) {
                QCOMPARE(static_cast<int>(entry.status().permissions()), 0600);
                QProcess stranger;
                QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
                environment.insert(QStringLiteral("TRAINYARD_ASKPASS_SOCKET"),
                                   QString::fromStdString(entry.path().string()));
                environment.insert(QStringLiteral("TRAINYARD_ASKPASS_TOKEN"), QStringLiteral("guess"));
                stranger.setProcessEnvironment(environment);
                stranger.start(QString::fromStdString(test::builtProgram("trainyard-agent").string()),
                               {QStringLiteral("lab's password:")});
                QVERIFY(waitFor([&] { return stranger.state() == QProcess::NotRunning; }));
                QCOMPARE(stranger.exitCode(), 1);
            }
        }
        QCOMPARE(questions.size(), std::size_t{2});
    }
    Host refused(sshOptions());
    refused.setAsk([](const Question&, const AnswerQuestion& answer) { answer(std::nullopt); });
    QCOMPARE(connectError(refused).code, std::string("target.refused"));
}

void tst_Host::ssh_passphraseIsAsked() {
    NEED_LAB();
    const std::string phrase = "it's a \"phrase\" $(touch canary) \xc3\xa4";
    const std::string key = (m_lab->folder() / "locked").string();
    QCOMPARE(test::runProgram("ssh-keygen", {"-q", "-t", "ed25519", "-N", phrase, "-f", key}).exitCode, 0);
    const std::string pub = base::readFile(key + ".pub").valueOr("");
    QCOMPARE(m_lab->run(1, {"sh", "-c", "printf %s \"$1\" >> /run/lab/authorized_keys", "sh", pub}).exitCode, 0);
    const std::string other = "Host node1\n  IdentityFile " + key + "\n" + m_config;
    // Of several identity files ssh tries each: the usual one is taken out.
    std::string only = other;
    const std::string usual = "  IdentityFile " + (m_lab->folder() / "id").string() + "\n";
    QVERIFY(only.find(usual) != std::string::npos);
    only.erase(only.find(usual), usual.size());
    QVERIFY(base::writeFileAtomically(m_lab->sshConfig(), only).ok());
    std::vector<Question> questions;
    {
        Host host(sshOptions());
        host.setAsk([&](const Question& question, const AnswerQuestion& answer) {
            questions.push_back(question);
            answer(questions.size() == 1 ? "wrong" : phrase);
        });
        const base::Error answered = connectError(host);
        QVERIFY2(answered.code == "none", answered.message.c_str());
        QCOMPARE(questions.size(), std::size_t{2});
        QCOMPARE(static_cast<int>(questions[0].kind), static_cast<int>(Question::Kind::Passphrase));
        QVERIFY2(questions[0].text.find("locked") != std::string::npos, questions[0].text.c_str());
        QCOMPARE(exec(host, {"hostname"}).value().out, std::string("node1\n"));
        // The phrase is in nobody's arguments and in no file of ours.
        QCOMPARE(test::runProgram("pgrep", {"-f", "a \"phrase\""}).out, std::string());
    }
    Host refused(sshOptions());
    refused.setAsk([](const Question&, const AnswerQuestion& answer) { answer(std::nullopt); });
    QCOMPARE(connectError(refused).code, std::string("target.refused"));
}

void tst_Host::ssh_wrongUserIsRefused() {
    NEED_LAB();
    Host host(sshOptions("nobody-here@node1"));
    const base::Error refused = connectError(host);
    QCOMPARE(refused.code, std::string("target.refused"));
    QVERIFY2(refused.message.find("IdentityFile") != std::string::npos, refused.message.c_str());
    // It is not tried again by itself, and requests are refused at once.
    const auto begin = std::chrono::steady_clock::now();
    const auto said = exec(host, {"true"});
    QCOMPARE(said.ok() ? "" : said.error().code, std::string("target.refused"));
    QVERIFY(std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(200));
}

void tst_Host::ssh_loginThatIsAllowedAgain() {
    NEED_LAB();
    HostOptions options = sshOptions();
    options.refusedPauseMillis = 300;
    Host host(options);
    const auto move = [&](const char* from, const char* to) { return m_lab->run(1, {"mv", from, to}).exitCode; };
    QCOMPARE(move("/run/lab/authorized_keys", "/run/lab/away"), 0);
    const std::string first = connectError(host).code;
    const auto second = exec(host, {"true"});
    QCOMPARE(move("/run/lab/away", "/run/lab/authorized_keys"), 0);
    QCOMPARE(first, std::string("target.refused"));
    QCOMPARE(second.ok() ? "" : second.error().code, std::string("target.refused"));
    const auto connects = [&] {
        const auto said = exec(host, {"hostname"});
        return said.ok() && said->out == "node1\n";
    };
    QTRY_VERIFY_WITH_TIMEOUT(connects(), 30'000);
}

void tst_Host::ssh_deadHostAndDeadJump() {
    NEED_LAB();
    QVERIFY(m_lab->cut(2));
    Host dead(sshOptions("node2"));
    QCOMPARE(connectError(dead).code, std::string("target.unreachable"));
    QVERIFY(base::writeFileAtomically(m_lab->sshConfig(),
                                      "Host behind\n  HostName 10.77.0.11\n  ProxyJump node2\n  ProxyUseFdpass no\n" +
                                          m_config)
                .ok());
    HostOptions options = sshOptions("behind");
    options.ssh = (m_lab->folder() / "jump").string();
    // A jump host is another ssh; it must be given the same configuration, as the user's own is.
    QVERIFY(base::writeFileAtomically(m_lab->folder() / "jump",
                                      "#!/bin/sh\nexec ssh -F " + m_lab->sshConfig().string() +
                                          " -o 'ProxyCommand=" + m_lab->ssh().string() + " -W %h:%p node2' \"$@\"\n",
                                      0700)
                .ok());
    Host behind(options);
    const base::Error jump = connectError(behind);
    QCOMPARE(jump.code, std::string("target.unreachable"));
    QVERIFY(m_lab->heal(2));
    base::Error healed;
    QVERIFY2(waitFor([&] { return (healed = connectError(behind)).code == "none"; }, 10'000), healed.message.c_str());
}

void tst_Host::ssh_garbageIsNotAnAgent() {
    NEED_LAB();
    for (const char* bashrc :
         {"echo This account is currently not available.; exit 1\n", "head -c 200000 /dev/urandom; exit 0\n",
          "printf 'TRAINYARD-BOOT need 99999999999999999999 x\\n'; sleep 2\n",
          "printf 'TRAINYARD-AGENT 1\\n\\377\\377\\377\\377garbage'; sleep 5\n",
          "printf 'TRAINYARD-AGENT 1\\n\\000\\000\\000\\002\\000\\000\\000\\000[]'; sleep 5\n"}) {
        QVERIFY(base::writeFileAtomically(m_lab->home(1) / ".bashrc", bashrc, 0644).ok());
        Host host(sshOptions());
        const base::Error garbage = connectError(host);
        QVERIFY2(garbage.code == "target.protocol",
                 (std::string(bashrc) + ": " + garbage.code + " " + garbage.message).c_str());
        QVERIFY(base::isValidUtf8(garbage.message));
    }
}

void tst_Host::ssh_noexecFullAndMissingWorkFolders() {
    NEED_LAB();
    // Mounted in the host's own namespace, which sshd's children share.
    const auto mounted = m_lab->run(1, {"sh", "-c",
                                        "mkdir -p /run/w/noexec /run/w/full /run/w/ro && "
                                        "mount -t tmpfs -o noexec,mode=777 tmpfs /run/w/noexec && "
                                        "mount -t tmpfs -o size=1m,mode=777 tmpfs /run/w/full && "
                                        "mount -t tmpfs -o ro tmpfs /run/w/ro"});
    QVERIFY2(mounted.exitCode == 0, mounted.err.c_str());
    const auto errorIn = [](const std::string& work) {
        HostOptions options = sshOptions();
        options.workFolder = work;
        Host host(options);
        return connectError(host);
    };
    const base::Error noexec = errorIn("/run/w/noexec/work");
    QVERIFY2(noexec.code == "target.program" && noexec.message.find("noexec") != std::string::npos,
             noexec.message.c_str());
    const base::Error full = errorIn("/run/w/full/work");
    QVERIFY2(full.code == "target.disk_full" && full.message.find("free") != std::string::npos, full.message.c_str());
    const base::Error readOnly = errorIn("/run/w/ro/work");
    QVERIFY2(readOnly.code == "file.denied", (readOnly.code + " " + readOnly.message).c_str());
    const base::Error nowhere = errorIn("/proc/nowhere/work");
    QVERIFY2(nowhere.code == "file.denied", (nowhere.code + " " + nowhere.message).c_str());
    m_lab->run(1, {"sh", "-c", "umount /run/w/noexec /run/w/full /run/w/ro"});
}

void tst_Host::ssh_otherProcessor() {
    NEED_LAB();
    QVERIFY(base::writeFileAtomically(m_lab->home(1) / ".bashrc", "uname() { echo Linux riscv64; }; export -f uname\n",
                                      0644)
                .ok());
    // dash does not take bash's functions; a program of that name in front of PATH does it.
    QVERIFY(exec(*std::make_unique<Host>(sshOptions()), {"true"}).ok());
    m_lab->run(1, {"sh", "-c",
                   "mkdir -p /home/lab/wbin; printf '#!/bin/sh\\necho Linux riscv64\\n' > /home/lab/wbin/uname; chmod "
                   "755 /home/lab/wbin/uname"});
    QVERIFY(base::writeFileAtomically(m_lab->home(1) / ".bashrc", "export PATH=/home/lab/wbin:$PATH\n", 0644).ok());
    Host host(sshOptions());
    const base::Error other = connectError(host);
    QVERIFY2(other.code == "target.program" && other.message.find("riscv64") != std::string::npos,
             other.message.c_str());
}

void tst_Host::ssh_hostileDestinations_data() {
    QTest::addColumn<QString>("destination");
    int n = 0;
    for (const char* text : {"-oProxyCommand=touch${IFS}CANARY", "--", "", "two words", "a\nb", "'; touch CANARY; '",
                             "$(touch CANARY)", "`touch CANARY`", "ho\"st", "h\tt", "-p22"}) {
        QTest::addRow("%d", n++) << QString::fromUtf8(text);
    }
}

void tst_Host::ssh_hostileDestinations() {
    NEED_LAB();
    QFETCH(QString, destination);
    const QString canary = QString::fromStdString((*m_scratch / "canary").string());
    destination.replace(QStringLiteral("CANARY"), canary);
    HostOptions options = sshOptions(destination.toStdString());
    // An ssh that notes its arguments: none may come for a refused name, and what comes must stand after "--".
    const base::Path log = *m_scratch / "ssh.log";
    std::filesystem::remove(log);
    options.ssh =
        m_scratch->write("ssh noting", "#!/bin/sh\nprintf '%s\\n' \"$@\" > '" + log.string() + "'\nexit 255\n")
            .string();
    std::filesystem::permissions(options.ssh, std::filesystem::perms::owner_all);
    Host host(options);
    const base::Error refused = connectError(host);
    QVERIFY2(refused.code == "target.refused" || refused.code == "target.unreachable", refused.code.c_str());
    if (refused.code == "target.unreachable") {
        const std::string noted = m_scratch->read("ssh.log");
        QVERIFY2(noted.find("--\n" + destination.toStdString() + "\n") != std::string::npos, noted.c_str());
    } else {
        QVERIFY(!std::filesystem::exists(log));
    }
    QVERIFY(!QFile::exists(canary));
}

void tst_Host::ssh_argumentsArriveAsTheyAre() {
    NEED_LAB();
    Host host(sshOptions());
    const std::vector<std::string> hostile{"a b",
                                           "$HOME",
                                           "`id`",
                                           "$(touch /home/lab/canary)",
                                           "'",
                                           "\"",
                                           "\\",
                                           "\n",
                                           "*",
                                           "~",
                                           ";",
                                           "|",
                                           "&",
                                           "<",
                                           ">",
                                           "ü€😀",
                                           "-rf",
                                           "",
                                           "!",
                                           "#",
                                           "%s",
                                           "\x01",
                                           "a'b\"c\\d$e`f"};
    std::vector<std::string> argv{"sh", "-c", "for a; do printf '%s\\0' \"$a\" | od -An -tx1 -v; done", "sh"};
    argv.insert(argv.end(), hostile.begin(), hostile.end());
    const auto said = exec(host, argv);
    QVERIFY2(said.ok(), said.ok() ? "" : said.error().message.c_str());
    std::string bytes;
    for (const std::string& word : base::split(said->out, ' ')) {
        for (const std::string& one : base::split(word, '\n')) {
            if (one.size() == 2) {
                bytes += static_cast<char>(std::stoi(one, nullptr, 16));
            }
        }
    }
    std::string expected;
    for (const std::string& word : hostile) {
        expected += word + '\0';
    }
    QCOMPARE(bytes, expected);
    QVERIFY(!std::filesystem::exists(m_lab->home(1) / "canary"));
}

QTEST_GUILESS_MAIN(tst_Host)
#include "tst_Host.moc"
