// What goes over a real connection in bulk: outputs that go on after a cut, very many lines, a slow and lossy link.
#include <QTest>
#include <memory>
#include <string>

#include "core/base/Hash.h"
#include "tests/helpers/Lab.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"
#include "tests/unit/targets/SshRig.h"

using namespace trainyard;
using namespace trainyard::targets;
using namespace trainyard::test::ssh;
using test::await;
using test::waitFor;

namespace {

constexpr std::int64_t kBig = 96'000'000;
/// What a cut leaves on the way: in the window, in pipes and in sockets, sent and never taken.
constexpr std::int64_t kOnTheWay = 12'000'000;

}  // namespace

class tst_SshTransfer : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        if (const std::string why = test::Lab::missing(); !why.empty()) {
            TRAINYARD_SKIP(why.c_str());
        }
        m_lab = std::make_unique<test::Lab>(test::LabOptions{1, false, false});
        QVERIFY2(m_lab->up(), m_lab->error().c_str());
    }
    void cleanupTestCase() { m_lab.reset(); }

    void outputs_goOnAfterACut();
    void outputs_thatWereChangedThereAreNamed();
    void outputs_halfAFileOfAnotherRunIsNoHarm();
    void lines_ofEightRanks();
    void link_slowAndLossy();

private:
    /// Bytes that the host has sent by its cable since it was started.
    std::int64_t sentByHost() {
        const auto said =
            m_lab->run(1, {"sh", "-c", "grep eth0: /proc/net/dev | tr -s ' ' | sed 's/^ //' | cut -d' ' -f10"});
        return said.out.empty() ? -1 : std::stoll(said.out);
    }
    /// A run that has made outputs/big, with random bytes.
    RunId bigRun(SshTarget& target, std::string& sha256) {
        const LaunchPlan plan =
            planOf({"sh", "-c", "head -c " + std::to_string(kBig) + " /dev/urandom > \"$TRAINYARD_OUTPUTS/big\""});
        const Status launched = launch(target, plan);
        if (!launched.ok()) {
            qWarning("%s", launched.error().message.c_str());
            return {};
        }
        Following following(target, plan.plan.run);
        if (!following.waitForEnd()) {
            qWarning("%s", following.broken.c_str());
            return {};
        }
        const base::Json end = following.streams.end();
        sha256 = end.at("outputs").at(0).at("sha256").get<std::string>();
        return plan.plan.run;
    }

    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<test::Lab> m_lab;
};

void tst_SshTransfer::outputs_goOnAfterACut() {
    auto target = std::make_unique<SshTarget>(labSpec(1));
    std::string sha256;
    const RunId run = bigRun(*target, sha256);
    QVERIFY(!run.isEmpty());
    const std::vector<OutputFile> wanted{{"big", kBig, sha256}};
    const base::Path into = *m_scratch / "resumed";
    const std::int64_t before = sentByHost();
    QVERIFY(before > 0);

    // The workbench is closed after a third, another one goes on; its cable is pulled after two thirds.
    std::int64_t had = 0;
    {
        bool enough = false;
        const auto fetching = target->fetchOutputs(
            run, wanted, into,
            [&](std::int64_t bytes) {
                had = bytes;
                enough = enough || bytes > kBig / 3;
            },
            [](const Result<FetchReport>&) {});
        QVERIFY(waitFor([&] { return enough; }, 60'000));
    }
    target.reset();
    const std::int64_t third = static_cast<std::int64_t>(std::filesystem::file_size(into / ".big.part"));
    QVERIFY(third > kBig / 3);

    const std::int64_t cutOnce = sentByHost();
    SshTarget other(labSpec(1));
    std::optional<Result<FetchReport>> report;
    std::int64_t first = -1;
    std::int64_t atCut = -1;
    const auto fetching = other.fetchOutputs(
        run, wanted, into,
        [&](std::int64_t bytes) {
            // Hashing what is here comes first; then it goes on from there, never from the beginning.
            first = first < 0 && bytes > 0 ? bytes : first;
            if (atCut < 0 && bytes > std::max(third, kBig * 2 / 3) && bytes < kBig) {
                atCut = bytes;
                m_lab->cut(1);
            }
        },
        [&](const Result<FetchReport>& result) { report = result; });
    // Where all had come already the cable was not needed any more.
    QVERIFY(waitFor(
        [&] { return report.has_value() || (atCut > 0 && other.reach().state == Reach::State::Unreachable); }, 60'000));
    QVERIFY(m_lab->heal(1));
    QVERIFY(waitFor([&] { return report.has_value(); }, 60'000));
    QVERIFY2(report->ok(), report->ok() ? "" : report->error().message.c_str());
    QCOMPARE((*report)->brought.size(), std::size_t{1});
    QCOMPARE(base::sha256File(into / "big").valueOr(""), sha256);
    QVERIFY(!std::filesystem::exists(into / ".big.part"));
    const std::int64_t after = sentByHost();
    // Headers and repeated packets are some per cent; a second copy of anything large would be seen.
    const std::int64_t rest = kBig - third;
    QVERIFY2(after - cutOnce < rest + rest / 10 + kOnTheWay,
             qPrintable(QStringLiteral("%1 bytes for the last %2").arg(after - cutOnce).arg(rest)));
    QVERIFY2(after - before < kBig + kBig / 10 + 2 * kOnTheWay,
             qPrintable(QStringLiteral("%1 bytes for %2").arg(after - before).arg(kBig)));
    QVERIFY(after - before > kBig);
}

void tst_SshTransfer::outputs_thatWereChangedThereAreNamed() {
    SshTarget target(labSpec(1));
    const LaunchPlan plan =
        planOf({"sh", "-c",
                "cd \"$TRAINYARD_OUTPUTS\"; echo one > same; echo two > longer; echo three > link; echo four > ok"});
    QVERIFY(launch(target, plan).ok());
    Following following(target, plan.plan.run);
    QVERIFY2(following.waitForEnd(), following.broken.c_str());
    std::vector<OutputFile> wanted;
    const base::Json end = following.streams.end();
    for (const base::Json& file : end.at("outputs")) {
        wanted.push_back({file.at("path").get<std::string>(), file.at("size").get<std::int64_t>(),
                          file.at("sha256").get<std::string>()});
    }
    QCOMPARE(wanted.size(), std::size_t{4});
    const std::string folder = "/home/lab/.local/share/trainyard/work/runs/" + plan.plan.run.str() + "/outputs";
    const auto changed = m_lab->run(1, {"sh", "-c",
                                        "cd " + folder +
                                            " && printf ONE\\\\n > same && echo more >> longer && "
                                            "rm link && ln -s /etc/passwd link"});
    QVERIFY2(changed.exitCode == 0, changed.err.c_str());
    const auto report = await<FetchReport>([&](Done<FetchReport> done) {
        return target.fetchOutputs(plan.plan.run, wanted, *m_scratch / "changed", {}, std::move(done));
    });
    QVERIFY2(report.ok(), report.ok() ? "" : report.error().message.c_str());
    QCOMPARE(report->brought.size(), std::size_t{1});
    QCOMPARE(report->brought.front().path, std::string("ok"));
    QCOMPARE(report->lost.size(), std::size_t{3});
    int told = 0;
    for (const base::Error& lost : report->lost) {
        told += lost.message.find("was changed after the run had ended") != std::string::npos ? 1 : 0;
        QVERIFY2(lost.code == "target.hash" || lost.code == "target.path" || lost.code == "file.kind",
                 (lost.code + ": " + lost.message).c_str());
    }
    QCOMPARE(told, 2);
    for (const char* name : {"same", "longer", "link", ".same.part", ".longer.part", ".link.part"}) {
        QVERIFY2(!std::filesystem::exists(*m_scratch / "changed" / name), name);
    }
}

void tst_SshTransfer::outputs_halfAFileOfAnotherRunIsNoHarm() {
    SshTarget target(labSpec(1));
    const LaunchPlan plan = planOf({"sh", "-c", "cd \"$TRAINYARD_OUTPUTS\"; seq 200000 > numbers; echo x > short"});
    QVERIFY(launch(target, plan).ok());
    Following following(target, plan.plan.run);
    QVERIFY2(following.waitForEnd(), following.broken.c_str());
    std::vector<OutputFile> wanted;
    const base::Json end = following.streams.end();
    for (const base::Json& file : end.at("outputs")) {
        wanted.push_back({file.at("path").get<std::string>(), file.at("size").get<std::int64_t>(),
                          file.at("sha256").get<std::string>()});
    }
    // Other bytes, and more of them than there are.
    m_scratch->write("half/.numbers.part", std::string(100'000, 'z'));
    m_scratch->write("half/.short.part", std::string(100'000, 'z'));
    const auto report = await<FetchReport>([&](Done<FetchReport> done) {
        return target.fetchOutputs(plan.plan.run, wanted, *m_scratch / "half", {}, std::move(done));
    });
    QVERIFY2(report.ok(), report.ok() ? "" : report.error().message.c_str());
    QCOMPARE(report->brought.size(), std::size_t{2});
    for (const OutputFile& file : wanted) {
        QCOMPARE(base::sha256File(*m_scratch / "half" / file.path).valueOr(""), file.sha256);
    }
}

void tst_SshTransfer::lines_ofEightRanks() {
    SshTarget target(labSpec(1));
    constexpr int kLines = 10'000;
    LaunchPlan plan =
        planOf({"sh", "-c", "seq -f \"rank $RANK line %.0f of a run that says very much\" " + std::to_string(kLines)});
    plan.plan.processes = 8;
    const Status launched = launch(target, plan);
    QVERIFY2(launched.ok(), launched.ok() ? "" : launched.error().message.c_str());
    Following following(target, plan.plan.run);
    // The agent's memory, looked at while it works and once more at its end.
    std::int64_t most = 0;
    const auto look = [&] {
        const auto said = m_lab->run(
            1, {"sh", "-c", "for p in $(pgrep -x 'trainyard-agent|exe'); do grep VmHWM /proc/$p/status; done"});
        for (std::size_t at = 0; (at = said.out.find("VmHWM:", at)) != std::string::npos; ++at) {
            most = std::max<std::int64_t>(most, std::stoll(said.out.substr(at + 6)));
        }
    };
    QVERIFY2(waitFor(
                 [&] {
                     look();
                     return following.streams.ended() || !following.broken.empty();
                 },
                 60'000),
             following.broken.c_str());
    QVERIFY2(following.broken.empty(), following.broken.c_str());
    QVERIFY2(following.streams.wrong().empty(), following.streams.wrong().c_str());
    std::map<int, int> next;
    for (const base::Json& record : following.streams.records("log")) {
        const int rank = record.at("rank").get<int>();
        for (const base::Json& line : record.at("lines")) {
            QCOMPARE(line.get<std::string>(), "rank " + std::to_string(rank) + " line " + std::to_string(++next[rank]) +
                                                  " of a run that says very much");
        }
    }
    QCOMPARE(next.size(), std::size_t{8});
    for (const auto& [rank, lines] : next) {
        QCOMPARE(lines, kLines);
    }
    qInfo("the largest agent had %.1f MB", static_cast<double>(most) / 1024);
    QVERIFY2(most > 0 && most < 30 * 1024, qPrintable(QString::number(most)));
}

void tst_SshTransfer::link_slowAndLossy() {
    QVERIFY2(m_lab->slow(1, 0.04, 0.01), m_lab->error().c_str());
    SshTarget target(labSpec(1));
    const LaunchPlan plan = planOf({"sh", "-c", "seq 2000; seq 100000 > \"$TRAINYARD_OUTPUTS/numbers\""});
    const Status launched = launch(target, plan, 120'000);
    QVERIFY2(launched.ok(), launched.ok() ? "" : launched.error().message.c_str());
    Following following(target, plan.plan.run);
    QVERIFY2(following.waitForEnd(1, 60'000), following.broken.c_str());
    QVERIFY2(following.streams.wrong().empty(), following.streams.wrong().c_str());
    QCOMPARE(following.streams.lines(), std::size_t{2000});
    const base::Json end = following.streams.end();
    const base::Json& file = end.at("outputs").at(0);
    const auto report = await<FetchReport>(
        [&](Done<FetchReport> done) {
            return target.fetchOutputs(
                plan.plan.run, {{"numbers", file.at("size").get<std::int64_t>(), file.at("sha256").get<std::string>()}},
                *m_scratch / "slow", {}, std::move(done));
        },
        60'000);
    QVERIFY2(report.ok(), report.ok() ? "" : report.error().message.c_str());
    QCOMPARE(report->brought.size(), std::size_t{1});
    // The doctor tells how far away it is: there and back is twice the delay. Too far is worth a warning.
    const auto examine = [](SshTarget& at) {
        const auto lines = await<std::vector<DoctorLine>>(
            [&](Done<std::vector<DoctorLine>> done) { return at.doctor(soon(), {}, std::move(done)); }, 60'000);
        const auto all = lines.valueOr({});
        const auto found =
            std::find_if(all.begin(), all.end(), [](const DoctorLine& line) { return line.id == "latency"; });
        return found != all.end() ? *found : DoctorLine();
    };
    const DoctorLine near = examine(target);
    QVERIFY2(near.values.is_object() && near.values.at("nanos").get<std::int64_t>() > 70'000'000, near.text.c_str());
    QVERIFY2(m_lab->slow(1, 0.25, 0), m_lab->error().c_str());
    SshTarget again(labSpec(1));
    const DoctorLine far = examine(again);
    QVERIFY2(far.finding == Finding::Warning && far.remedy.find("Look at the network") != std::string::npos,
             far.text.c_str());
    QVERIFY2(m_lab->slow(1, 0, 0), m_lab->error().c_str());
}

QTEST_GUILESS_MAIN(tst_SshTransfer)
#include "tst_SshTransfer.moc"
