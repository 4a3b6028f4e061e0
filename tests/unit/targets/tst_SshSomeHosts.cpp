// A run on several hosts of which one does not answer: the others tell what they have, and who did not is named.
#include <QTest>
#include <memory>

#include "core/wire/Layout.h"
#include "tests/helpers/Lab.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"
#include "tests/unit/targets/SshRig.h"

using namespace trainyard;
using namespace trainyard::test::ssh;
using test::await;
using test::waitFor;

namespace {

/// A host that does not answer takes as long as this.
Deadline shortly() { return Deadline::inMillis(5000); }

}  // namespace

class tst_SshSomeHosts : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        if (const std::string missing = test::Lab::missing(); !missing.empty()) TRAINYARD_SKIP(missing.c_str());
        m_lab = std::make_unique<test::Lab>(test::LabOptions{2, false, false});
        QVERIFY2(m_lab->up(), m_lab->error().c_str());
    }
    void cleanupTestCase() { m_lab.reset(); }

    void oneIsAway_theOtherTells() {
        SshTarget target(labSpec(2));
        LaunchPlan plan = planOf({"sh", "-c", "echo $RANK > \"$TRAINYARD_OUTPUTS/r$RANK\""}, 2);
        plan.plan.distribution = "pytorch";
        plan.plan.backend = "gloo";
        std::vector<std::string> placed;
        plan.onPlaced = [&](const std::vector<std::string>& hosts) {
            placed = hosts;
            return std::filesystem::exists(folder(1, plan.plan.run))
                       ? Status(base::Error{"test.late", "It was put there already."})
                       : Status();
        };
        const Status launched = launch(target, plan);
        QVERIFY2(launched.ok(), launched.ok() ? "" : launched.error().message.c_str());
        QCOMPARE(placed, (std::vector<std::string>{"node1", "node2"}));
        Following following(target, plan.plan.run);
        QVERIFY2(following.waitForEnd(2), following.broken.c_str());

        QVERIFY(m_lab->cut(2));
        QVERIFY(waitFor([&] { return target.reach().state == Reach::State::Unreachable; }, 20'000));
        QCOMPARE(target.reach().hosts, 2);
        QCOMPARE(target.reach().connected, 1);
        // One that knows nothing of the run, as a workbench that was just started.
        SshTarget other(labSpec(2));
        const auto looked = await<RunLook>(
            [&](Done<RunLook> done) { return other.look(plan.plan.run, shortly(), std::move(done)); }, 30'000);
        QVERIFY2(looked.ok(), looked.ok() ? "" : looked.error().message.c_str());
        QCOMPARE(looked->nodes.size(), std::size_t{2});
        QVERIFY(looked->nodes[0].status != AgentStatus::Unknown && looked->nodes[1].status == AgentStatus::Unknown);
        QCOMPARE(looked->silent.size(), std::size_t{1});
        QCOMPARE(looked->silent.front().host, std::string("node2"));
        QVERIFY(textOf(looked->silent).starts_with("node2 "));

        const auto listed = await<OutputList>(
            [&](Done<OutputList> done) { return other.listOutputs(plan.plan.run, shortly(), std::move(done)); },
            30'000);
        QVERIFY2(listed.ok(), listed.ok() ? "" : listed.error().message.c_str());
        QCOMPARE(listed->files.size(), std::size_t{1});
        QCOMPARE(listed->files.front().path, std::string("r0"));
        QCOMPARE(listed->silent.size(), std::size_t{1});

        const std::vector<OutputFile> both{{"r0", 2, base::sha256Hex("0\n")}, {"node-1/r1", 2, base::sha256Hex("1\n")}};
        const auto fetched = fetch(other, plan.plan.run, both);
        QVERIFY2(fetched.ok(), fetched.ok() ? "" : fetched.error().message.c_str());
        QCOMPARE(fetched->brought.size(), std::size_t{1});
        QCOMPARE(fetched->left.size(), std::size_t{1});
        QCOMPARE(fetched->left.front().path, std::string("node-1/r1"));
        QCOMPARE(fetched->silent.front().host, std::string("node2"));
        QCOMPARE(m_scratch->read("outputs/r0"), std::string("0\n"));
        const auto nothing = fetch(other, plan.plan.run, {both.back()});
        QCOMPARE(nothing.ok() ? "" : nothing.error().code, std::string("target.unreachable"));

        const Status half = remove(other, plan.plan.run);
        QCOMPARE(half.ok() ? "" : half.error().code, std::string("target.unreachable"));
        QVERIFY2(half.error().message.find("node2") != std::string::npos, half.error().message.c_str());
        QVERIFY(!std::filesystem::exists(folder(1, plan.plan.run)));
        QVERIFY(std::filesystem::exists(folder(2, plan.plan.run)));

        QVERIFY(m_lab->heal(2));
        QVERIFY(waitFor([&] { return remove(other, plan.plan.run).ok(); }, 60'000));
        QVERIFY(!std::filesystem::exists(folder(2, plan.plan.run)));
    }

    /// ssh takes minutes to notice that a host is silent; who asks is told by the others and who is silent is named.
    void silentHost_isNotWaitedFor() {
        spec::TargetSpec spec = labSpec(2);
        spec.aliveSeconds = 60;
        SshTarget target(spec);
        LaunchPlan plan = planOf({"true"}, 2);
        plan.plan.distribution = "pytorch";
        plan.plan.backend = "gloo";
        const Status launched = launch(target, plan);
        QVERIFY2(launched.ok(), launched.ok() ? "" : launched.error().message.c_str());
        Following following(target, plan.plan.run);
        QVERIFY2(following.waitForEnd(2), following.broken.c_str());
        QVERIFY(m_lab->cut(2));
        const auto late = [] { return Deadline::inMillis(120'000); };
        const auto looked = await<RunLook>(
            [&](Done<RunLook> done) { return target.look(plan.plan.run, late(), std::move(done)); }, 100'000);
        QVERIFY2(looked.ok(), looked.ok() ? "" : looked.error().message.c_str());
        QCOMPARE(looked->silent.size(), std::size_t{1});
        QCOMPARE(looked->silent.front().error.message, std::string("node2 has not answered for 5 s."));
        QVERIFY(target.reach().state == Reach::State::Connected);  // ssh has noticed nothing.
        const auto load =
            await<base::Json>([&](Done<base::Json> done) { return target.load(late(), std::move(done)); }, 100'000);
        QVERIFY2(load.ok(), load.ok() ? "" : load.error().message.c_str());
        QVERIFY(!load->at("hosts").at(0).contains("error"));
        QCOMPARE(load->at("hosts").at(1).at("error").at("code").get<std::string>(), std::string("target.unreachable"));
        // A run that needs only one of them goes to the one that answers.
        LaunchPlan single = planOf({"true"});
        std::vector<std::string> placed;
        single.onPlaced = [&](const std::vector<std::string>& hosts) {
            placed = hosts;
            return Status();
        };
        const Status alone = launch(target, single);
        QVERIFY2(alone.ok(), alone.ok() ? "" : alone.error().message.c_str());
        QCOMPARE(placed, std::vector<std::string>{"node1"});
        QVERIFY(m_lab->heal(2));
    }

    /// One host refuses the login: the other's stream comes all the same, and that one's as soon as it lets us in
    /// again.
    void refusedHost_theOtherIsFollowed() {
        LaunchPlan plan = planOf({"sh", "-c", "echo of $RANK"}, 2);
        plan.plan.distribution = "pytorch";
        plan.plan.backend = "gloo";
        {
            SshTarget target(labSpec(2));
            const Status launched = launch(target, plan);
            QVERIFY2(launched.ok(), launched.ok() ? "" : launched.error().message.c_str());
            Following following(target, plan.plan.run);
            QVERIFY2(following.waitForEnd(2), following.broken.c_str());
        }
        // Nobody has a login there that could be shared.
        QVERIFY(waitFor(
            [&] {
                return m_lab->run(2, {"pgrep", "-c", "-f", "^sshd: lab .priv."}).out == "0\n";
            },
            20'000));
        const auto move = [&](const char* from, const char* to) { return m_lab->run(2, {"mv", from, to}).exitCode; };
        QCOMPARE(move("/run/lab/authorized_keys", "/run/lab/away"), 0);
        SshTarget other(labSpec(2));
        Following following(other, plan.plan.run);
        const bool half = waitFor([&] { return following.streams.ended(0) || !following.broken.empty(); }, 30'000);
        QCOMPARE(move("/run/lab/away", "/run/lab/authorized_keys"), 0);
        QVERIFY2(half && following.broken.empty(), following.broken.c_str());
        QVERIFY(!following.streams.ended(1) && !following.streams.caughtUp());
        const Status connected =
            await<void>([&](DoneStatus done) { return other.connect(soon(), std::move(done)); }, 30'000);
        QVERIFY2(connected.ok(), connected.ok() ? "" : connected.error().message.c_str());
        QVERIFY2(following.waitForEnd(2), following.broken.c_str());
        QCOMPARE(following.streams.log(0) + following.streams.log(1), std::string("of 0\nof 1\n"));
        QCOMPARE(following.streams.wrong(), std::string());
        QVERIFY(waitFor([&] { return following.streams.caughtUp(); }, 20'000));
    }

    void placeThatIsGone_isSaid() {
        SshTarget target(labSpec(1));
        LaunchPlan plan = planOf({"true"});
        plan.hosts = {"node9"};
        const Status launched = launch(target, plan);
        QCOMPARE(launched.ok() ? "" : launched.error().code, std::string("target.hosts"));
        QVERIFY(launched.error().message.find("node9") != std::string::npos);
    }

    void placeThatCannotBeKept_startsNothing() {
        SshTarget target(labSpec(1));
        LaunchPlan plan = planOf({"true"});
        plan.onPlaced = [](const std::vector<std::string>&) {
            return Status(base::Error{"file.full", "The disk is full."});
        };
        const Status launched = launch(target, plan);
        QCOMPARE(launched.ok() ? "" : launched.error().code, std::string("file.full"));
        QVERIFY(!std::filesystem::exists(folder(1, plan.plan.run)));
    }

private:
    [[nodiscard]] base::Path folder(int host, const RunId& run) const {
        return wire::WorkLayout{m_lab->home(host) / ".local/share/trainyard/work"}.run(run);
    }
    Result<FetchReport> fetch(SshTarget& target, const RunId& run, const std::vector<OutputFile>& files) {
        return await<FetchReport>(
            [&](Done<FetchReport> done) {
                return target.fetchOutputs(run, files, *m_scratch / "outputs", {}, std::move(done));
            },
            60'000);
    }
    static Status remove(SshTarget& target, const RunId& run) {
        return await<void>([&](DoneStatus done) { return target.removeRun(run, shortly(), std::move(done)); }, 30'000);
    }

    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<test::Lab> m_lab;
};

QTEST_GUILESS_MAIN(tst_SshSomeHosts)
#include "tst_SshSomeHosts.moc"
