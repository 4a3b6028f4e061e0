// What ranks write, in every shape, and a disk that is full.
#include <sys/mount.h>

#include <set>

#include "tests/helpers/Children.h"
#include "tests/helpers/Skip.h"
#include "tests/unit/agent/AgentRig.h"

using namespace trainyard;
using namespace trainyard::test;

namespace {

/// A small file system of its own, unmounted at the end.
class SmallDisk {
public:
    SmallDisk(Path folder, const std::string& size) : m_folder(std::move(folder)) {
        std::filesystem::create_directories(m_folder);
        m_mounted = ::mount("tmpfs", m_folder.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
    }
    SmallDisk(const SmallDisk&) = delete;
    SmallDisk& operator=(const SmallDisk&) = delete;
    ~SmallDisk() {
        if (m_mounted) ::umount2(m_folder.c_str(), MNT_DETACH);
    }
    [[nodiscard]] bool mounted() const { return m_mounted; }

private:
    Path m_folder;
    bool m_mounted = false;
};

}  // namespace

class TestAgentOutput : public QObject {
    Q_OBJECT

private:
    static std::vector<Record> carryOut(const AgentRig& rig, const wire::Plan& plan) {
        const NodeLayout layout = rig.place(plan);
        AgentProcess agent(layout);
        if (agent.wait(30'000) != 0) QTest::qFail("the agent did not end with 0", __FILE__, __LINE__);
        return recordsOf(layout);
    }

private Q_SLOTS:
    void init() { m_guard = std::make_unique<ChildGuard>(); }
    void cleanup() { QVERIFY2(m_guard->noneLeft(20'000), m_guard->report().c_str()); }

    void binary_isReplacedAndMarked() {
        Scratch scratch;
        AgentRig rig(scratch);
        const auto records = carryOut(rig, rig.shellPlan("head -c 300000 /dev/urandom; printf '\\nend\\n'"));
        QCOMPARE(textOf(endedOf(records), "outcome"), std::string("completed"));
        QCOMPARE(linesOf(records, 0, "stdout").back(), std::string("end"));
        bool replaced = false;
        for (const Record& record : ofKind(records, wire::kind::kLog)) {
            replaced = replaced || record.body.contains("replaced");
        }
        QVERIFY(replaced);
    }

    void hugeLine_isSplit() {
        Scratch scratch;
        AgentRig rig(scratch);
        const auto records = carryOut(rig, rig.shellPlan("head -c 10000000 /dev/zero | tr '\\0' x; echo; echo after"));
        const auto lines = linesOf(records, 0, "stdout");
        QCOMPARE(lines.size(), std::size_t(2));
        QCOMPARE(lines[0].size(), std::size_t(10'000'000));
        QCOMPARE(lines[1], std::string("after"));
        for (const Record& record : ofKind(records, wire::kind::kLog)) {
            for (const Json& line : record.body["lines"]) QVERIFY(line.get<std::string>().size() <= 65536);
        }
    }

    void promptWithoutNewline_isShownAfterASecond() {
        Scratch scratch;
        AgentRig rig(scratch);
        const NodeLayout layout = rig.place(rig.shellPlan("printf 'Continue? '; sleep 2.2; echo yes; printf last"));
        AgentProcess agent(layout);
        QVERIFY(waitFor(
            [&] { return linesOf(recordsOf(layout), 0, "stdout") == std::vector<std::string>{"Continue? "}; }, 2000));
        QCOMPARE(agent.wait(), 0);
        QCOMPARE(linesOf(recordsOf(layout), 0, "stdout"), (std::vector<std::string>{"Continue? yes", "last"}));
    }

    void progressBar_keepsItsLastState() {
        Scratch scratch;
        AgentRig rig(scratch);
        const auto records = carryOut(
            rig, rig.shellPlan(
                     "for i in 1 2 3 4 5 6 7 8 9; do printf '\\r%s0%%' $i; sleep 0.02; done; printf '\\r100%%\\n'"));
        QCOMPARE(linesOf(records, 0, "stdout"), std::vector<std::string>{"100%"});
    }

    void emptiedFiles_areReadOn() {
        Scratch scratch;
        AgentRig rig(scratch);
        const NodeLayout layout = rig.place(rig.shellPlan(
            "echo a long first line >&2; sleep 0.4; echo two > /dev/stderr; sleep 0.3; echo six > /dev/stderr; sleep "
            "0.3; "
            "echo three >&2; for i in 1 2 3; do echo '{\"kind\":\"metric\",\"name\":\"n\",\"value\":'$i'}' > "
            "\"$TRAINYARD_STREAM\"; sleep 0.3; done"));
        {
            // A restart in the middle goes on behind what it has of the new content.
            AgentProcess agent(layout);
            QVERIFY(waitFor([&] { return linesOf(recordsOf(layout), 0, "stderr").size() == 3; }));
            agent.kill(SIGKILL);
        }
        QCOMPARE(AgentProcess(layout).wait(), 0);
        const auto records = recordsOf(layout);
        QCOMPARE(linesOf(records, 0, "stderr"), (std::vector<std::string>{"a long first line", "two", "six", "three"}));
        const std::string points = wrongWithPoints(pointsOf(records, 0, "n"), 3);
        QVERIFY2(points.empty(), points.c_str());
        const auto warnings = ofKind(records, wire::kind::kWarning);
        QCOMPARE(warnings.size(), std::size_t(2));  // One for each file.
        QCOMPARE(textOf(warnings[0].body, "code"), std::string("rank.truncated"));
    }

    void clientLines_ofAllKinds() {
        Scratch scratch;
        AgentRig rig(scratch);
        const auto records = carryOut(rig, rig.shellPlan(R"(
            say() { printf '%s\n' "$1" >> "$TRAINYARD_STREAM"; }
            say '{"kind":"params","values":{"lr":0.1}}'
            say '{"kind":"metric","name":"loss","value":"0.5","step":7}'
            say '{"kind":"metric","name":"loss","value":"NaN"}'
            say '{"kind":"metrics","series":[{"name":"a","step":[1,2],"value":[1.5,2.5]}]}'
            say 'this is no JSON'
            say '{"kind":"ended","outcome":"completed"}'
            say '{"kind":"text","name":"note","text":"hello"}'
            say '{"kind":"progress","stage":"train","done":1,"total":2}'
            printf '{"kind":"metric","name":"last","value":1}' >> "$TRAINYARD_STREAM"
        )"));
        QCOMPARE(textOf(endedOf(records), "outcome"), std::string("completed"));
        QCOMPARE(ofKind(records, wire::kind::kParams).size(), std::size_t(1));
        const auto loss = pointsOf(records, 0, "loss");
        QCOMPARE(loss.size(), std::size_t(2));
        QCOMPARE(loss[0], (std::pair<std::int64_t, double>(7, 0.5)));
        QCOMPARE(loss[1].first, 8);
        QVERIFY(std::isnan(loss[1].second));
        QCOMPARE(pointsOf(records, 0, "a").size(), std::size_t(2));
        QCOMPARE(pointsOf(records, 0, "last").size(), std::size_t(1));
        QCOMPARE(ofKind(records, wire::kind::kText).size(), std::size_t(1));
        QCOMPARE(ofKind(records, wire::kind::kProgress).size(), std::size_t(1));
        const auto warnings = ofKind(records, wire::kind::kWarning);
        std::int64_t bad = 0;
        for (const Record& warning : warnings) {
            QCOMPARE(textOf(warning.body, "code"), std::string("client.line"));
            bad += warning.body["count"].get<std::int64_t>();
        }
        QCOMPARE(bad, 2);
    }

    void clientLine_reachesTheStreamAtOnce() {
        Scratch scratch;
        AgentRig rig(scratch);
        // The value is the time of writing; the record's place in the stream is read by the clock of this test.
        const NodeLayout layout = rig.place(rig.shellPlan(
            "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; "
            "echo '{\"kind\":\"metric\",\"name\":\"t\",\"value\":'$(date +%s%6N)'}' >> \"$TRAINYARD_STREAM\"; "
            "while [ ! -e '" +
            (scratch / "seen").string() + "'$i ]; do sleep 0.01; done; done"));
        AgentProcess agent(layout);
        std::vector<double> latencies;
        std::size_t seen = 0;
        wire::StreamFolderReader reader(layout.stream());
        std::vector<wire::StreamEntry> entries;
        const auto deadline = base::Deadline::inMillis(60'000);
        while (seen < 10 && !deadline.passed()) {
            entries.clear();
            const auto got = reader.read(entries);
            const auto now = base::wallMicros();
            for (const auto& entry : entries) {
                if (!got.ok() || entry.record.kind != wire::kind::kMetrics) continue;
                const auto series = wire::metricsFromBody(entry.record.body, entry.record.t);
                for (const double written : series.value()[0].value) {
                    latencies.push_back(static_cast<double>(now) - written);
                    ++seen;
                    // The next one is written only when this one has been seen: each is told at once, not at the end.
                    scratch.write("seen" + std::to_string(seen), "");
                }
            }
            ::usleep(1000);
        }
        QCOMPARE(agent.wait(), 0);
        QCOMPARE(seen, std::size_t(10));
        std::sort(latencies.begin(), latencies.end());
        qInfo("client line to stream: median %.1f ms, worst %.1f ms", latencies[5] / 1000, latencies[9] / 1000);
    }

    void logsFolders_streamWhileTheyGrow() {
        Scratch scratch;
        AgentRig rig(scratch);
        scratch.write("work/logs/old.txt", "from before\n");
        auto plan =
            rig.shellPlan("mkdir -p logs/sub \"$TRAINYARD_OUTPUTS/logs\"; echo more >> logs/old.txt; echo one > "
                          "logs/train.txt; printf 'a\\0b' > logs/binary; "
                          "echo x > logs/events.out.tfevents.1; echo of rank 0 > logs/sub/rank_0.txt; echo kept > "
                          "\"$TRAINYARD_OUTPUTS/logs/kept.txt\"; "
                          "ln -s /etc/passwd logs/link; while [ ! -e go1 ]; do sleep 0.02; done; "
                          // Rotated by name, then another emptied.
                          "echo two >> logs/train.txt; mv logs/train.txt logs/train.1; echo three > logs/train.txt; "
                          "while [ ! -e go2 ]; do sleep 0.02; done; : > logs/old.txt; echo anew >> logs/old.txt; "
                          "while [ ! -e go3 ]; do sleep 0.02; done; printf 'the end' >> logs/train.txt");
        plan.workingFolder = (scratch / "work").string();
        const NodeLayout layout = rig.place(plan);
        {
            AgentProcess agent(layout);
            QVERIFY(waitFor([&] {
                return linesOf(recordsOf(layout), -1, "logs/train.txt").size() == 1 &&
                       linesOf(recordsOf(layout), -1, "logs/kept.txt").size() == 1;
            }));
            agent.kill(SIGKILL);  // Another goes on where it was.
        }
        AgentProcess agent(layout);
        scratch.write("work/go1", "");
        const bool rotated = waitFor([&] {
            return linesOf(recordsOf(layout), -1, "logs/train.txt").size() == 3 &&
                   !linesOf(recordsOf(layout), -1, "logs/old.txt").empty();
        });
        scratch.write("work/go2", "");
        const bool emptied = waitFor([&] { return linesOf(recordsOf(layout), -1, "logs/old.txt").size() == 2; });
        scratch.write("work/go3", "");
        QVERIFY2(rotated && emptied, base::readFile(layout.stream() / wire::segmentName(1)).valueOr({}).c_str());
        QCOMPARE(agent.wait(), 0);
        const auto records = recordsOf(layout);
        QCOMPARE(linesOf(records, -1, "logs/train.txt"), (std::vector<std::string>{"one", "two", "three", "the end"}));
        QCOMPARE(linesOf(records, -1, "logs/old.txt"), (std::vector<std::string>{"more", "anew"}));
        QCOMPARE(linesOf(records, 0, "logs/sub/rank_0.txt"), (std::vector<std::string>{"of rank 0"}));
        QCOMPARE(linesOf(records, -1, "logs/kept.txt"), (std::vector<std::string>{"kept"}));
        for (const Record& record : ofKind(records, wire::kind::kLog)) {
            const std::string out = textOf(record.body, "out");
            QVERIFY2(out.find("binary") == std::string::npos && out.find("tfevents") == std::string::npos &&
                         out.find("link") == std::string::npos,
                     out.c_str());
        }
    }

    void logsFolders_haveTheirLimits() {
        Scratch scratch;
        AgentRig rig(scratch);
        auto plan = rig.shellPlan("mkdir logs; i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo x > logs/f$i; done; "
                                  "mkdir -p logs/1/2/3/4/5/6/7/8/9/10; echo deep > logs/1/2/3/4/5/6/7/8/9/10/f");
        plan.workingFolder = scratch.path().string();
        const auto records = carryOut(rig, plan);
        std::set<std::string> files;
        for (const Record& record : ofKind(records, wire::kind::kLog)) files.insert(textOf(record.body, "out"));
        QCOMPARE(files.size(), std::size_t(256));
        const auto warnings = ofKind(records, wire::kind::kWarning);
        QCOMPARE(std::count_if(warnings.begin(), warnings.end(),
                               [](const Record& record) { return textOf(record.body, "code") == "logs.files"; }),
                 std::ptrdiff_t(1));
    }

    void eightRanks_manyLines() {
        Scratch scratch;
        AgentRig rig(scratch);
        constexpr int kCount = 20'000;
        const auto plan = rig.commandPlan(
            {"/usr/bin/awk",
             "BEGIN{s=ENVIRON[\"TRAINYARD_STREAM\"];for(i=1;i<=20000;i++){print \"line \" i;"
             "print \"{\\\"kind\\\":\\\"metric\\\",\\\"name\\\":\\\"n\\\",\\\"value\\\":\" i \"}\" >> s}}"},
            8);
        const auto started = base::monotonicNanos();
        const auto records = carryOut(rig, plan);
        const double seconds = static_cast<double>(base::monotonicNanos() - started) / 1e9;
        for (int rank = 0; rank < 8; ++rank) {
            const std::string lines = wrongWithLines(linesOf(records, rank, "stdout"), kCount);
            QVERIFY2(lines.empty(), lines.c_str());
            const std::string points = wrongWithPoints(pointsOf(records, rank, "n"), kCount);
            QVERIFY2(points.empty(), points.c_str());
        }
        qInfo("%d log lines and as many client lines in %.2f s", 8 * kCount, seconds);
    }

    void diskReserve_dropsLogs_keepsMetrics() {
        Scratch scratch;
        AgentRig rig(scratch);
        auto plan = rig.shellPlan(countingScript(300, 100, "0.3"));
        plan.diskReserveBytes = std::int64_t{1} << 60;  // The disk is always below it.
        const auto records = carryOut(rig, plan);
        QVERIFY(linesOf(records, 0, "stdout").empty());
        const std::string points = wrongWithPoints(pointsOf(records, 0, "n"), 300);
        QVERIFY2(points.empty(), points.c_str());
        std::int64_t dropped = 0;
        for (const Record& warning : ofKind(records, wire::kind::kWarning)) {
            QCOMPARE(textOf(warning.body, "code"), std::string("disk.reserve"));
            dropped += warning.body["count"].get<std::int64_t>();
        }
        QCOMPARE(dropped, 300);
        QCOMPARE(textOf(endedOf(records), "outcome"), std::string("completed"));
    }

    void fullDisk_failsTheRun_andKeepsWhatWasThere() {
        if (::geteuid() != 0) TRAINYARD_SKIP("only root can mount a small disk");
        Scratch scratch;
        SmallDisk disk(scratch / "disk", "3m");
        if (!disk.mounted()) TRAINYARD_SKIP("this machine does not let us mount");
        AgentRig rig(scratch);
        auto plan = rig.shellPlan(countingScript(50, 50, "0.3") +
                                  "; cat /dev/zero > \"$TRAINYARD_OUTPUTS/zeros\"; echo full >&2; sleep 60");
        plan.diskReserveBytes = 0;
        plan.outputsFolder = (scratch / "disk" / "outputs").string();
        const NodeLayout layout{scratch / "disk" / "a1" / "n0"};
        std::filesystem::create_directories(layout.root);
        std::ofstream(layout.plan()) << base::dumpJsonPretty(toJson(plan));
        {
            AgentProcess agent(layout, {"--disk-full-seconds", "1"});
            QCOMPARE(agent.wait(), 0);
        }
        const auto records = recordsOf(layout, 3);
        const Json ended = endedOf(records);
        QCOMPARE(textOf(ended, "outcome"), std::string("failed"));
        QCOMPARE(textOf(ended, "code"), std::string("disk.full"));
        QVERIFY(textOf(ended, "reason").find("is full") != std::string::npos);
        QCOMPARE(ended["ranks"][0]["signal"].get<int>(), SIGTERM);
        const auto lines = linesOf(records, 0, "stdout");
        QVERIFY2(wrongWithLines(lines, 50).empty(), wrongWithLines(lines, 50).c_str());
        QVERIFY(wrongWithPoints(pointsOf(records, 0, "n"), 50).empty());
        QVERIFY(processesWith(plan.run.str()).empty());
    }

    void fullDisk_thatIsFreedAgain_losesNothing() {
        if (::geteuid() != 0) TRAINYARD_SKIP("only root can mount a small disk");
        Scratch scratch;
        SmallDisk disk(scratch / "disk", "3m");
        if (!disk.mounted()) TRAINYARD_SKIP("this machine does not let us mount");
        AgentRig rig(scratch);
        // The rank's own files lie on the full disk too, so it writes only before and after; meanwhile the agent, with
        // many system records, cannot write.
        auto plan =
            rig.shellPlan("cat /dev/zero > \"$TRAINYARD_OUTPUTS/zeros\"; sleep 1.5; rm \"$TRAINYARD_OUTPUTS/zeros\"; " +
                          countingScript(50, 50, "0.1"));
        plan.diskReserveBytes = 0;
        plan.systemIntervalMillis = 10;
        plan.outputsFolder = (scratch / "disk" / "outputs").string();
        const NodeLayout layout{scratch / "disk" / "a1" / "n0"};
        std::filesystem::create_directories(layout.root);
        std::ofstream(layout.plan()) << base::dumpJsonPretty(toJson(plan));
        AgentProcess agent(layout, {"--disk-full-seconds", "10"});
        QCOMPARE(agent.wait(), 0);
        const auto records = recordsOf(layout, 3);
        QCOMPARE(textOf(endedOf(records), "outcome"), std::string("completed"));
        const std::string lines = wrongWithLines(linesOf(records, 0, "stdout"), 50);
        QVERIFY2(lines.empty(), lines.c_str());
        QVERIFY(wrongWithPoints(pointsOf(records, 0, "n"), 50).empty());
        QCOMPARE(records.back().seq, static_cast<std::int64_t>(records.size()));
    }

private:
    std::unique_ptr<ChildGuard> m_guard;
};

QTEST_GUILESS_MAIN(TestAgentOutput)
#include "tst_AgentOutput.moc"
