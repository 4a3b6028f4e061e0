// Scripts that behave badly on a real host, hosts that are not all there, hosts with one folder, an agent that lies.
#include <QTest>
#include <memory>
#include <string>

#include "core/base/Hash.h"
#include "core/base/Text.h"
#include "core/targets/Host.h"
#include "core/targets/HostCalls.h"
#include "tests/helpers/Lab.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"
#include "tests/unit/targets/SshRig.h"

using namespace trainyard;
using namespace trainyard::targets;
using namespace trainyard::test::ssh;
using test::await;
using test::waitFor;

class tst_SshFaults : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        if (const std::string why = test::Lab::missing(); !why.empty()) {
            TRAINYARD_SKIP(why.c_str());
        }
        m_lab = std::make_unique<test::Lab>(test::LabOptions{2, false, false});
        QVERIFY2(m_lab->up(), m_lab->error().c_str());
        m_ssh = qgetenv("TRAINYARD_SSH");
    }
    void cleanup() {
        qputenv("TRAINYARD_SSH", m_ssh);
        // A test that failed in the middle leaves no cable out for the next.
        if (m_lab) {
            m_lab->heal(2);
        }
    }
    void cleanupTestCase() { m_lab.reset(); }

    void script_thatIsBad_data();
    void script_thatIsBad();
    void script_thatIgnoresTheSignal();
    void script_thatFillsTheDisk();
    void script_ofOneLineOf100MB();
    void oneHostOfTwo_isNotThere();
    void oneHostOfTwo_vanishesInTheMiddle();
    void moreNodesThanHosts();
    void agent_thatAnswersGarbage_data();
    void agent_thatAnswersGarbage();
    void hosts_withOneFolder();

private:
    std::string left(int host, const std::string& what) { return m_lab->run(host, {"pgrep", "-f", what}).out; }

    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<test::Lab> m_lab;
    QByteArray m_ssh;
};

void tst_SshFaults::script_thatIsBad_data() {
    QTest::addColumn<QString>("name");  // Of the script's file; empty: no source.
    QTest::addColumn<QByteArray>("text");
    QTest::addColumn<bool>("executable");
    QTest::addColumn<QStringList>("command");
    QTest::addColumn<QString>("outcome");
    QTest::addColumn<QString>("reason");  // Part of it.
    QTest::addColumn<QString>("line");    // The last line of the log.
    const QString done = QStringLiteral("completed");
    const QString failed = QStringLiteral("failed");
    const QString py = QStringLiteral("/usr/bin/python3");
    QTest::newRow("is not there") << QStringLiteral("other.sh") << QByteArray("true") << true
                                  << QStringList{QStringLiteral("./train.sh")} << failed
                                  << QStringLiteral("./train.sh does not exist") << QString();
    QTest::newRow("is not executable") << QStringLiteral("train.sh") << QByteArray("#!/bin/sh\necho never\n") << false
                                       << QStringList{QStringLiteral("./train.sh")} << failed
                                       << QStringLiteral("is not executable") << QString();
    QTest::newRow("interpreter is not there") << QStringLiteral("train.sh") << QByteArray("#!/no/such/interpreter\n")
                                              << true << QStringList{QStringLiteral("./train.sh")} << failed
                                              << QStringLiteral("the interpreter or loader") << QString();
    QTest::newRow("python script is not there")
        << QStringLiteral("other.py") << QByteArray("pass") << false << QStringList{py, QStringLiteral("train.py")}
        << failed << QStringLiteral("status 2") << QString();
    QTest::newRow("line ends of Windows")
        << QStringLiteral("train.sh") << QByteArray("#!/bin/sh\r\necho never\r\n") << true
        << QStringList{QStringLiteral("./train.sh")} << failed << QStringLiteral("interpreter") << QString();
    QTest::newRow("forks and detaches") << QStringLiteral("train.py")
                                        << QByteArray("import os, sys, time\n"
                                                      "if os.fork() == 0:\n"
                                                      "    os.setsid()\n"
                                                      "    if os.fork() == 0:\n"
                                                      "        os.execvp('sleep', ['sleep', '7777'])\n"
                                                      "    os._exit(0)\n"
                                                      "print('the parent ends', flush=True)\n")
                                        << false << QStringList{py, QStringLiteral("train.py")} << done << QString()
                                        << QStringLiteral("the parent ends");
    QTest::newRow("prints binary") << QStringLiteral("train.sh")
                                   << QByteArray(
                                          "head -c 200000 /dev/urandom; printf '\\n\\000\\377\\376\\nthe end\\n'")
                                   << false << QStringList{QStringLiteral("sh"), QStringLiteral("train.sh")} << done
                                   << QString() << QStringLiteral("the end");
    QTest::newRow("writes outside its outputs")
        << QStringLiteral("train.sh")
        << QByteArray("echo x > ../beside; mkdir -p /home/lab/elsewhere; echo x > /home/lab/elsewhere/file;"
                      "ln -s /etc \"$TRAINYARD_OUTPUTS/etc\"; ln -s ../../../beside \"$TRAINYARD_OUTPUTS/up\";"
                      "mkfifo \"$TRAINYARD_OUTPUTS/pipe\"; echo x > \"$TRAINYARD_OUTPUTS/own\"; echo written")
        << false << QStringList{QStringLiteral("sh"), QStringLiteral("train.sh")} << done << QString()
        << QStringLiteral("written");
    QTest::newRow("removes its own folder")
        << QStringLiteral("train.sh") << QByteArray("rm -rf \"$PWD\" \"$TRAINYARD_OUTPUTS\"; echo gone") << false
        << QStringList{QStringLiteral("sh"), QStringLiteral("train.sh")} << done << QString() << QStringLiteral("gone");
}

void tst_SshFaults::script_thatIsBad() {
    QFETCH(QString, name);
    QFETCH(QByteArray, text);
    QFETCH(bool, executable);
    QFETCH(QStringList, command);
    QFETCH(QString, outcome);
    QFETCH(QString, reason);
    QFETCH(QString, line);
    SshTarget target(labSpec(1));
    std::vector<std::string> words;
    for (const QString& word : command) {
        words.push_back(word.toStdString());
    }
    LaunchPlan plan = planOf(words);
    plan.hasSource = true;
    plan.source.push_back({name.toStdString(), base::sha256Hex(text.toStdString()), text.size(), executable,
                           m_scratch->write("bad/" + name.toStdString(), text.toStdString())});
    const Status launched = launch(target, plan);
    QVERIFY2(launched.ok(), launched.ok() ? "" : launched.error().message.c_str());
    Following following(target, plan.plan.run);
    QVERIFY2(following.waitForEnd(), following.broken.c_str());
    QVERIFY2(following.streams.wrong().empty(), following.streams.wrong().c_str());
    const base::Json end = following.streams.end();
    QCOMPARE(QString::fromStdString(end.at("outcome").get<std::string>()), outcome);
    QVERIFY2(QString::fromStdString(end.at("reason").get<std::string>()).contains(reason), base::dumpJson(end).c_str());
    const QStringList lines =
        QString::fromStdString(following.streams.log()).split(QLatin1Char('\n'), Qt::SkipEmptyParts);
    if (!line.isEmpty()) {
        QVERIFY(!lines.isEmpty());
        QCOMPARE(lines.back(), line);
    }
    // Of a run only regular files in its own folder come back, and nothing of it goes on.
    const base::Json outputs = end.value("outputs", base::Json::array());
    for (const base::Json& file : outputs) {
        QCOMPARE(file.at("path").get<std::string>(), std::string("own"));
    }
    QCOMPARE(left(1, "sleep 7777"), std::string());
    QVERIFY(waitFor([&] { return left(1, plan.plan.run.str()).empty(); }));
}

void tst_SshFaults::script_thatIgnoresTheSignal() {
    SshTarget target(labSpec(1));
    const LaunchPlan plan = planOf(
        {"/usr/bin/python3", "-u", "-c",
         "import os, signal, subprocess, time\n"
         "for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(s, signal.SIG_IGN)\n"
         "subprocess.Popen(['sh', '-c', 'trap \"\" TERM; while :; do sleep 7778; done'], start_new_session=True)\n"
         "print('up')\n"
         "while True: time.sleep(1)\n"});
    QVERIFY(launch(target, plan).ok());
    Following following(target, plan.plan.run);
    QVERIFY(waitFor([&] { return following.streams.lines() == 1; }));
    QVERIFY(await<void>([&](DoneStatus done) {
                return target.command(plan.plan.run, "cancel", soon(), std::move(done));
            }).ok());
    QVERIFY2(following.waitForEnd(), following.broken.c_str());
    QCOMPARE(following.streams.end().at("outcome").get<std::string>(), std::string("canceled"));
    QCOMPARE(left(1, "sleep 7778"), std::string());
}

void tst_SshFaults::script_thatFillsTheDisk() {
    const auto mounted =
        m_lab->run(1, {"sh", "-c", "mkdir -p /run/tight && mount -t tmpfs -o size=48m,mode=777 tmpfs /run/tight"});
    QVERIFY2(mounted.exitCode == 0, mounted.err.c_str());
    spec::TargetSpec spec = labSpec(1);
    spec.workFolder = "/run/tight/work";
    {
        SshTarget target(spec);
        LaunchPlan plan =
            planOf({"sh", "-c", "echo begun; cat /dev/zero > \"$TRAINYARD_OUTPUTS/zeros\"; echo full; sleep 7779"});
        plan.plan.diskReserveBytes = 0;
        const Status launched = launch(target, plan);
        QVERIFY2(launched.ok(), launched.ok() ? "" : launched.error().message.c_str());
        Following following(target, plan.plan.run);
        following.streams.mayBeTorn = true;
        QVERIFY2(following.waitForEnd(1, 60'000), following.broken.c_str());
        QVERIFY2(following.streams.wrong().empty(), following.streams.wrong().c_str());
        const base::Json end = following.streams.end();
        QCOMPARE(end.at("outcome").get<std::string>(), std::string("failed"));
        QVERIFY2(end.at("reason").get<std::string>().find("is full") != std::string::npos, base::dumpJson(end).c_str());
        QVERIFY(following.streams.log().starts_with("begun\n"));
        QCOMPARE(left(1, "sleep 7779"), std::string());
        // It can be looked at, commanded and taken away, and the next run has room.
        QVERIFY(await<RunLook>([&](Done<RunLook> done) {
                    return target.look(plan.plan.run, soon(), std::move(done));
                }).ok());
        const Status removed =
            await<void>([&](DoneStatus done) { return target.removeRun(plan.plan.run, soon(), std::move(done)); });
        QVERIFY2(removed.ok(), removed.ok() ? "" : removed.error().message.c_str());
        LaunchPlan next = planOf({"echo", "there is room"});
        QVERIFY(launch(target, next).ok());
        Following again(target, next.plan.run);
        QVERIFY2(again.waitForEnd(), again.broken.c_str());
        QCOMPARE(again.streams.log(), std::string("there is room\n"));
    }
    m_lab->run(1, {"umount", "-l", "/run/tight"});
}

void tst_SshFaults::script_ofOneLineOf100MB() {
    SshTarget target(labSpec(1));
    const LaunchPlan plan = planOf({"sh", "-c", "head -c 100000000 /dev/zero | tr '\\000' x; echo; echo after"});
    QVERIFY(launch(target, plan).ok());
    Following following(target, plan.plan.run);
    following.streams.countOnly = true;
    QVERIFY2(following.waitForEnd(1, 60'000), following.broken.c_str());
    QVERIFY2(following.streams.wrong().empty(), following.streams.wrong().c_str());
    QCOMPARE(following.streams.end().at("outcome").get<std::string>(), std::string("completed"));
    QCOMPARE(following.streams.textBytes(), std::size_t{100'000'000 + 5});
}

void tst_SshFaults::oneHostOfTwo_isNotThere() {
    // A run that both hosts have had, then one of them is gone; and what a new workbench can do meanwhile.
    const LaunchPlan both = planOf({"sh", "-c", "echo here; exec sleep 7780"}, 2);
    {
        SshTarget target(labSpec(2));
        QVERIFY(launch(target, both).ok());
        Following following(target, both.plan.run);
        QVERIFY2(waitFor([&] { return following.streams.lines(0) == 1 && following.streams.lines(1) == 1; }),
                 following.broken.c_str());
    }
    QVERIFY(m_lab->cut(2));
    SshTarget target(labSpec(2));
    // A run of one node goes to the host that answers.
    const LaunchPlan one = planOf({"hostname"});
    const Status launched = launch(target, one, 120'000);
    QVERIFY2(launched.ok(), launched.ok() ? "" : launched.error().message.c_str());
    Following following(target, one.plan.run);
    QVERIFY2(following.waitForEnd(), following.broken.c_str());
    QCOMPARE(following.streams.log(), std::string("node1\n"));
    const auto runs = await<std::vector<RunId>>(
        [&](Done<std::vector<RunId>> done) { return target.listRuns(soon(), std::move(done)); });
    QVERIFY2(runs.ok(), runs.ok() ? "" : runs.error().message.c_str());
    for (const RunId& run : {both.plan.run, one.plan.run}) {
        QVERIFY(std::find(runs->begin(), runs->end(), run) != runs->end());
    }
    const auto cache = await<std::vector<CacheEntry>>(
        [&](Done<std::vector<CacheEntry>> done) { return target.listCache(soon(), std::move(done)); });
    QVERIFY2(cache.ok(), cache.ok() ? "" : cache.error().message.c_str());
    QVERIFY(!cache->empty());
    const auto load = await<base::Json>([&](Done<base::Json> done) { return target.load(soon(), std::move(done)); });
    QVERIFY(load.ok());
    QVERIFY(load->at("hosts").at(1).contains("error"));
    // The run of both is still told to end by way of the one that hears, and its log goes on.
    const Status told =
        await<void>([&](DoneStatus done) { return target.command(both.plan.run, "cancel", soon(), std::move(done)); });
    QVERIFY2(told.ok(), told.ok() ? "" : told.error().message.c_str());
    Following half(target, both.plan.run);
    QVERIFY2(half.waitForEnd(1, 60'000), half.broken.c_str());
    QCOMPARE(half.streams.log(0), std::string("here\n"));
    // Where there are too few hosts, the error names the one that is missing.
    const Status two = launch(target, planOf({"true"}, 2), 120'000);
    QVERIFY(!two.ok());
    QCOMPARE(two.error().code, std::string("target.unreachable"));
    QVERIFY2(two.error().message.find("node2") != std::string::npos, two.error().message.c_str());
    QVERIFY(m_lab->heal(2));
    QVERIFY2(half.waitForEnd(2, 60'000), half.broken.c_str());
    QVERIFY2(half.streams.wrong().empty(), half.streams.wrong().c_str());
    QVERIFY(waitFor([&] { return left(2, "sleep 7780").empty(); }));
}

void tst_SshFaults::oneHostOfTwo_vanishesInTheMiddle() {
    SshTarget target(labSpec(2));
    LaunchPlan plan = planOf({"sh", "-c", "echo here; exec sleep 7781"}, 2);
    plan.plan.silenceSeconds = 3;
    QVERIFY(launch(target, plan).ok());
    Following following(target, plan.plan.run);
    QVERIFY2(waitFor([&] { return following.streams.lines(0) == 1 && following.streams.lines(1) == 1; }),
             following.broken.c_str());
    // Without its partner no node of a run goes on for ever, and each says why.
    QVERIFY(m_lab->cut(2));
    QVERIFY2(following.waitForEnd(1, 60'000), following.broken.c_str());
    QCOMPARE(following.streams.end(0).at("outcome").get<std::string>(), std::string("failed"));
    QVERIFY2(following.streams.end(0).at("reason").get<std::string>().find("node2") != std::string::npos,
             base::dumpJson(following.streams.end(0)).c_str());
    QVERIFY(m_lab->heal(2));
    QVERIFY2(following.waitForEnd(2, 60'000), following.broken.c_str());
    QCOMPARE(left(1, "sleep 7781"), std::string());
    QVERIFY(waitFor([&] { return left(2, "sleep 7781").empty(); }));
}

void tst_SshFaults::moreNodesThanHosts() {
    SshTarget target(labSpec(2));
    const Status refused = launch(target, planOf({"true"}, 3));
    QVERIFY(!refused.ok());
    QCOMPARE(refused.error().code, std::string("target.nodes"));
    QCOMPARE(refused.error().field, std::string("distribution.nodes"));
    QVERIFY2(refused.error().message.find("3 nodes") != std::string::npos &&
                 refused.error().message.find("2 hosts") != std::string::npos,
             refused.error().message.c_str());
}

void tst_SshFaults::agent_thatAnswersGarbage_data() {
    QTest::addColumn<QByteArray>("answer");  // Python: frames for a request `q` that is not hello.
    QTest::newRow("bytes") << QByteArray("out(b'\\x00\\xff' * 5000)");
    QTest::newRow("text") << QByteArray("out(b'Segmentation fault (core dumped)\\n' * 40)");
    QTest::newRow("a list") << QByteArray("frame([1, 2])");
    QTest::newRow("an error that is none") << QByteArray("frame({'id': q['id'], 'error': 'no'})");
    QTest::newRow("an error of numbers") << QByteArray("frame({'id': q['id'], 'error': {'code': 1, 'message': {}}})");
    QTest::newRow("a length without end") << QByteArray("out(b'\\x7f\\xff\\xff\\xff\\x00\\x00\\x00\\x00')");
    QTest::newRow("half a frame") << QByteArray("out(b'\\x00\\x00\\x00\\x10\\x00'); sys.exit(0)");
    QTest::newRow("the end") << QByteArray("sys.exit(3)");
    QTest::newRow("other ids, then the end")
        << QByteArray("[frame({'id': i, 'done': True}) for i in (-1, 0, 2 ** 60, 'x', None)]; sys.exit(0)");
    QTest::newRow("more than was asked for") << QByteArray(
        "frame({'id': q['id'], 'event': 'data'}, b'x' * 1000); frame({'id': q['id'], 'done': True, 'size': 3})");
    QTest::newRow("another size") << QByteArray("frame({'id': q['id'], 'done': True, 'size': -5, 'sha256': 7})");
    QTest::newRow("no size") << QByteArray("frame({'id': q['id'], 'done': True})");
    QTest::newRow("control characters") << QByteArray(
        "frame({'id': q['id'], 'error': {'code': 'x.y', 'message': '\\x1b[2J\\x07evil'}})");
}

void tst_SshFaults::agent_thatAnswersGarbage() {
    QFETCH(QByteArray, answer);
    // In place of ssh a program that greets like an agent that is there, and then does as the row says.
    const base::Path ssh = m_scratch->write(
        "ssh-liar",
        "#!/usr/bin/python3\nimport json, struct, sys\n"
        "i, o = sys.stdin.buffer, sys.stdout.buffer\n"
        "def out(b):\n    o.write(b); o.flush()\n"
        "def frame(h, p=b''):\n    t = json.dumps(h).encode(); out(struct.pack('>II', len(t), len(p)) + t + p)\n"
        "out(b'TRAINYARD-AGENT 1\\n')\n"
        // Lines for the bootstrap script; frames begin with a zero.
        "while i.peek(1)[:1] not in (b'\\0', b''): i.readline()\n"
        "while True:\n"
        "    n = i.read(8)\n"
        "    if len(n) < 8: sys.exit(0)\n"
        "    h, p = struct.unpack('>II', n); q = json.loads(i.read(h)); i.read(p)\n"
        "    if q.get('verb') == 'hello':\n"
        "        frame({'id': q['id'], 'done': True, 'protocol': 1, 'version': '0', 'host': 'liar', 'user': 'u', "
        "'work': '/w'})\n"
        "    elif 'ping' in q:\n        frame({'pong': q['ping'], 't': 0})\n"
        "    elif 'verb' in q:\n        " +
            answer.toStdString() + "\n");
    std::filesystem::permissions(ssh, std::filesystem::perms::owner_all);
    qputenv("TRAINYARD_SSH", QByteArray::fromStdString(ssh.string()));
    HostOptions options;
    options.target = "lab";
    options.overSsh = true;
    options.where.destination = "liar";
    Host host(options);
    const auto downloaded = await<OutputFile>(
        [&](Done<OutputFile> done) {
            HostDownload file;
            file.run = RunId::make();
            file.path = "model.pt";
            file.to = *m_scratch / "garbage" / "model.pt";
            file.size = 3;
            file.sha256 = base::sha256Hex("abc");
            return host.download(std::move(file), {}, std::move(done));
        },
        // A channel that breaks is patiently made anew; the error is then the host's state.
        500);
    QVERIFY(!downloaded.ok());
    const std::string said = downloaded.error().message + host.reach().reason;
    QVERIFY2(base::isValidUtf8(said) && said.find('\x1b') == std::string::npos &&
                 said.find('\x07') == std::string::npos,
             said.c_str());
    QVERIFY(!std::filesystem::exists(*m_scratch / "garbage" / "model.pt"));
    // A question with an answer of its own ends too, in time and in words.
    const auto asked = await<ExecResult>(
        [&](Done<ExecResult> done) {
            ExecRequest request;
            request.argv = {"true"};
            return host.exec(std::move(request), Deadline::inMillis(3000), std::move(done));
        },
        20'000);
    if (asked.ok()) {
        // An answer that says nothing counts as no success.
        QVERIFY(asked->exit != 0);
    } else {
        QVERIFY(asked.error().code != "test.timeout");
        QVERIFY(!asked.error().message.empty());
    }
}

void tst_SshFaults::hosts_withOneFolder() {
    m_lab.reset();
    m_lab = std::make_unique<test::Lab>(test::LabOptions{2, true, false});
    QVERIFY2(m_lab->up(), m_lab->error().c_str());
    m_ssh = qgetenv("TRAINYARD_SSH");
    spec::TargetSpec spec = labSpec(2);
    spec.shared = true;
    SshTarget target(spec);
    const std::string script = "echo \"node $TRAINYARD_NODE on $(hostname)\"; cat \"$TRAINYARD_INPUT_WORDS\";"
                               "echo \"$RANK\" > \"$TRAINYARD_OUTPUTS/r$RANK\"\n";
    LaunchPlan plan = planOf({"sh", "train.sh"}, 2);
    plan.plan.distribution = "pytorch";
    plan.plan.backend = "gloo";
    plan.hasSource = true;
    plan.source.push_back({"train.sh", base::sha256Hex(script), static_cast<std::int64_t>(script.size()), false,
                           m_scratch->write("shared/train.sh", script)});
    InputData data;
    data.name = "words";
    data.isFolder = false;
    data.sha256 = base::sha256Hex("words\n");
    data.files.push_back({"words.txt", data.sha256, 6, m_scratch->write("shared/words.txt", "words\n")});
    plan.inputs.push_back(data);
    const auto measured =
        await<base::Json>([&](Done<base::Json> done) { return target.measureUpload(plan, soon(), std::move(done)); });
    QVERIFY2(measured.ok(), measured.ok() ? "" : measured.error().message.c_str());
    QCOMPARE(measured->at("files").get<int>(), 2);  // Once for both.
    const Status launched = launch(target, plan);
    QVERIFY2(launched.ok(), launched.ok() ? "" : launched.error().message.c_str());
    Following following(target, plan.plan.run);
    QVERIFY2(following.waitForEnd(2), following.broken.c_str());
    QVERIFY2(following.streams.wrong().empty(), following.streams.wrong().c_str());
    QCOMPARE(following.streams.end(0).at("outcome").get<std::string>(), std::string("completed"));
    QCOMPARE(following.streams.log(0), std::string("node 0 on node1\nwords\n"));
    QCOMPARE(following.streams.log(1), std::string("node 1 on node2\nwords\n"));
    // The outputs of both lie in one folder and are brought once.
    const auto listed = await<OutputList>(
        [&](Done<OutputList> done) { return target.listOutputs(plan.plan.run, soon(), std::move(done)); });
    QVERIFY(listed.ok());
    QCOMPARE(listed->files.size(), std::size_t{2});
    const auto report = await<FetchReport>([&](Done<FetchReport> done) {
        return target.fetchOutputs(plan.plan.run, listed->files, *m_scratch / "one folder", {}, std::move(done));
    });
    QVERIFY2(report.ok(), report.ok() ? "" : report.error().message.c_str());
    QCOMPARE(report->brought.size(), std::size_t{2});
    QCOMPARE(m_scratch->read("one folder/r1"), std::string("1\n"));
    // Both hosts' agents are looked at; taken away once.
    const auto looked =
        await<RunLook>([&](Done<RunLook> done) { return target.look(plan.plan.run, soon(), std::move(done)); });
    QVERIFY2(looked.ok(), looked.ok() ? "" : looked.error().message.c_str());
    QCOMPARE(looked->nodes.size(), std::size_t{2});
    const Status removed =
        await<void>([&](DoneStatus done) { return target.removeRun(plan.plan.run, soon(), std::move(done)); });
    QVERIFY2(removed.ok(), removed.ok() ? "" : removed.error().message.c_str());
    QVERIFY(!std::filesystem::exists(m_lab->home(1) / ".local/share/trainyard/work/runs" / plan.plan.run.str()));
}

QTEST_GUILESS_MAIN(tst_SshFaults)
#include "tst_SshFaults.moc"
