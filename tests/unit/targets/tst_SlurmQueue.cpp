// What Slurm 20.11 to 24 print, as taken from real clusters and their manuals, and what is no answer at all.
#include <QTest>

#include "core/targets/SlurmQueue.h"

using namespace trainyard;
using namespace trainyard::targets;
using State = SchedulerLook::State;

class TestSlurmQueue : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void states() {
        const std::vector<std::pair<const char*, State>> rows{{"PENDING", State::Pending},
                                                              {"CONFIGURING", State::Pending},
                                                              {"REQUEUED", State::Pending},
                                                              {"RUNNING", State::Running},
                                                              {"SUSPENDED", State::Running},
                                                              {"COMPLETING", State::Ending},
                                                              {"COMPLETED", State::Completed},
                                                              {"CANCELLED", State::Canceled},
                                                              {"CANCELLED by 1000", State::Canceled},
                                                              {"CANCELLED+", State::Canceled},
                                                              {"TIMEOUT", State::TimeLimit},
                                                              {"NODE_FAIL", State::NodeFailed},
                                                              {"PREEMPTED", State::Preempted},
                                                              {"OUT_OF_ME+", State::OutOfMemory},
                                                              {"OUT_OF_MEMORY", State::OutOfMemory},
                                                              {"FAILED", State::Failed},
                                                              {"BOOT_FAIL", State::NodeFailed},
                                                              {"SOMETHING_NEW", State::Unknown},
                                                              {"", State::Unknown}};
        for (const auto& [word, state] : rows) {
            QVERIFY2(slurmState(word) == state, word);
        }
        QVERIFY(!slurmStateIsFinal(State::Pending));
        QVERIFY(!slurmStateIsFinal(State::Ending));
        QVERIFY(slurmStateIsFinal(State::TimeLimit));
    }

    void times() {
        QCOMPARE(slurmTime("1970-01-02T00:00:01"), std::int64_t{86'401'000'000});
        QCOMPARE(slurmTime("2026-11-23T10:19:22"), std::int64_t{1'795'429'162'000'000});
        for (const char* none : {"Unknown", "N/A", "", "2026-11-23", "tomorrow at noon, perhaps"}) {
            QCOMPARE(slurmTime(none), std::int64_t{0});
        }
        QCOMPARE(*slurmSeconds("1-02:30:00"), std::int64_t{95'400});
        QCOMPARE(*slurmSeconds("365-00:00:00"), std::int64_t{365 * 86'400});
        QCOMPARE(*slurmSeconds("00:01:00"), std::int64_t{60});
        QCOMPARE(*slurmSeconds("45:00"), std::int64_t{2700});
        QCOMPARE(*slurmSeconds("45"), std::int64_t{2700});
        QCOMPARE(*slurmSeconds("2-12"), std::int64_t{216'000});
        QCOMPARE(*slurmSeconds("UNLIMITED"), std::int64_t{0});
        QVERIFY(!slurmSeconds("soon"));
        QVERIFY(!slurmSeconds("1:2:3:4"));
        QVERIFY(!slurmSeconds(""));
    }

    void job_running() {
        const auto look = slurmJobFromScontrol(
            "JobId=1 JobName=trainyard-aaa UserId=root(0) GroupId=root(0) MCS_label=N/A Priority=4294901759 Nice=0 "
            "Account=(null) QOS=(null) "
            "JobState=RUNNING Reason=None Dependency=(null) Requeue=1 Restarts=2 BatchFlag=1 Reboot=0 ExitCode=0:0 "
            "RunTime=00:00:01 "
            "TimeLimit=365-00:00:00 TimeMin=N/A SubmitTime=2026-11-23T10:19:22 StartTime=2026-11-23T10:19:22 "
            "Partition=p "
            "ReqB:S:C:T=0:0:*:* CPUs/Task=2 Command=/a path/job.sh TresPerNode=gres:gpu:fake:1 \n");
        QVERIFY(look.ok());
        QCOMPARE(look->job, std::string("1"));
        QVERIFY(look->state == State::Running);
        QCOMPARE(look->restarts, 2);
        QCOMPARE(look->estimatedStart, std::int64_t{0});
        QVERIFY(look->reason.empty());
    }

    void job_waiting() {
        const auto look = slurmJobFromScontrol("JobId=77 JobName=trainyard-x JobState=PENDING Reason=ReqNodeNotAvail, "
                                               "UnavailableNodes:n[1-2] Dependency=(null) Requeue=1 Restarts=0 "
                                               "StartTime=2026-11-24T00:00:00 EndTime=Unknown Command=(null)");
        QVERIFY(look.ok());
        QVERIFY(look->state == State::Pending);
        QCOMPARE(look->reason, std::string("ReqNodeNotAvail, UnavailableNodes:n[1-2]"));
        QVERIFY(look->estimatedStart > 0);
    }

    void job_noAnswer() {
        for (const char* text : {"", "slurm_load_jobs error: Invalid job id specified", "JobId=", "<html>",
                                 "JobId=1 Foo=Bar", "JobState=RUNNING"}) {
            const auto look = slurmJobFromScontrol(text);
            QVERIFY2(!look.ok(), text);
            QCOMPARE(look.error().code, std::string("slurm.answer"));
        }
    }

    void job_nameCannotPretend() {
        // The first of a key counts, and a later word of a value is no key unless it looks like one.
        const auto look = slurmJobFromScontrol(
            "JobId=5 JobName=x JobState=PENDING Reason=None Restarts=0 Comment=JobState=RUNNING JobId=6");
        QVERIFY(look.ok());
        QCOMPARE(look->job, std::string("5"));
        QVERIFY(look->state == State::Pending);
    }

    void squeue() {
        const auto looks = slurmJobsFromSqueue("8|FAILED|2026-11-23T10:19:23|2|BadConstraints\n"
                                               "9|PENDING|2027-11-23T10:19:26|2|Job's account not known, so it can't "
                                               "use this partition (closed allows nobody)\n"
                                               "10|RUNNING|2026-11-23T10:19:26|2|None\n"
                                               "slurm_load_jobs error: nonsense\n");
        QCOMPARE(looks.size(), std::size_t{3});
        QCOMPARE(looks[1].job, std::string("9"));
        QVERIFY(looks[1].reason.starts_with("Job's account not known"));
        QVERIFY(looks[1].estimatedStart > 0);
        QVERIFY(looks[2].reason.empty());
    }

    void sacct() {
        QVERIFY(slurmJobFromSacct("1|COMPLETED\n", "1")->state == State::Completed);
        QVERIFY(slurmJobFromSacct("1|REQUEUED\n1|CANCELLED by 0\n", "1")->state == State::Canceled);
        QVERIFY(!slurmJobFromSacct("1|COMPLETED\n", "2"));
        QVERIFY(!slurmJobFromSacct("Slurm accounting storage is disabled\n", "1"));
    }

    void jobNumber() {
        QCOMPARE(*slurmJobNumber("1234\n"), std::string("1234"));
        QCOMPARE(*slurmJobNumber("1234;cluster\n"), std::string("1234"));
        QCOMPARE(*slurmJobNumber("Welcome! Your quota is 5 %\n1234\n"), std::string("1234"));
        QCOMPARE(slurmJobNumber("").error().code, std::string("slurm.answer"));
        QCOMPARE(slurmJobNumber("$(reboot)").error().code, std::string("slurm.answer"));
    }

    void testedStart() {
        QCOMPARE(
            slurmTestedStart(
                "sbatch: Job 2 to start at 2026-11-23T10:19:22 using 4 processors on nodes n[1-2] in partition p\n"),
            std::int64_t{1'795'429'162'000'000});
        QCOMPARE(slurmTestedStart("allocation failure: Requested node configuration is not available"),
                 std::int64_t{0});
    }

    void complaints_data() {
        QTest::addColumn<QString>("said");
        QTest::addColumn<QString>("code");
        QTest::addColumn<QString>("field");
        const auto row = [](const char* said, const char* code, const char* field) {
            QTest::newRow(said) << QString::fromLatin1(said) << QString::fromLatin1(code) << QString::fromLatin1(field);
        };
        row("sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed: Invalid "
            "partition name specified\n",
            "slurm.partition", "slurm.partition");
        row("sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
            "slurm.account", "slurm.account");
        row("sbatch: error: Batch job submission failed: Invalid qos specification", "slurm.qos", "slurm.qos");
        row("sbatch: error: Batch job submission failed: Invalid feature specification", "slurm.constraint",
            "slurm.constraint");
        row("sbatch: error: Invalid generic resource (gres) specification", "slurm.gpus", "distribution.gpus");
        row("sbatch: error: Batch job submission failed: Requested time limit is invalid (missing or exceeds some "
            "limit)",
            "slurm.time", "limits.max_seconds");
        row("sbatch: error: Batch job submission failed: Node count specification invalid", "slurm.nodes",
            "distribution.nodes");
        row("sbatch: error: CPU count per node can not be satisfied", "slurm.cores", "distribution.processes");
        row("sbatch: error: Memory specification can not be satisfied\nsbatch: error: Batch job submission failed: "
            "Requested node configuration is not available",
            "slurm.policy", "slurm.extra_lines");
        row("sbatch: error: Batch job submission failed: Requested node configuration is not available", "slurm.nodes",
            "distribution.nodes");
        row("sbatch: unrecognized option '--foo'\nTry \"sbatch --help\" for more information", "slurm.line",
            "slurm.extra_lines");
        row("sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's "
            "size and/or time limits)",
            "slurm.policy", "slurm.account");
        row("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
            "target.unreachable", "");
        row("something entirely new", "slurm.refused", "");
        row("", "slurm.refused", "");
    }
    void complaints() {
        QFETCH(QString, said);
        QFETCH(QString, code);
        QFETCH(QString, field);
        const base::Error error = slurmComplaint("sbatch", said.toStdString());
        QCOMPARE(QString::fromStdString(error.code), code);
        QCOMPARE(QString::fromStdString(error.field), field);
        QVERIFY(!error.message.empty());
        QVERIFY(error.message.find('\n') == std::string::npos);
        QVERIFY(error.message.find("Try \"") == std::string::npos);
    }

    void partitions() {
        const auto list =
            slurmPartitions("PartitionName=p AllowGroups=ALL Default=YES DefaultTime=NONE MaxNodes=UNLIMITED "
                            "MaxTime=UNLIMITED State=UP TotalCPUs=8 TotalNodes=2 PriorityTier=1\n"
                            "PartitionName=short Default=NO DefaultTime=00:10:00 MaxNodes=1 MaxTime=1-00:00:00 "
                            "State=DRAIN TotalNodes=2 PriorityTier=7\n\n");
        QCOMPARE(list.size(), std::size_t{2});
        QVERIFY(list[0].isDefault && list[0].up);
        QCOMPARE(list[0].maxSeconds, std::int64_t{0});
        QCOMPARE(list[0].maxNodes, 0);
        QCOMPARE(list[1].maxSeconds, std::int64_t{86'400});
        QCOMPARE(list[1].defaultSeconds, std::int64_t{600});
        QCOMPARE(list[1].maxNodes, 1);
        QVERIFY(!list[1].up);
    }

    void nodes() {
        const auto list =
            slurmNodes("NodeName=n1 Arch=x86_64 CoresPerSocket=1  CPUAlloc=2 CPUEfctv=4 CPUTot=4 CPULoad=0.55 "
                       "Gres=gpu:fake:2(S:0-1) GresDrain=N/A "
                       "GresUsed=gpu:fake:1(IDX:0) NodeAddr=10.98.0.1 OS=Linux 6.18 #1 SMP @0  RealMemory=4000 "
                       "AllocMem=1000 State=MIXED ThreadsPerCore=1 "
                       "Partitions=p,hi  AllocTRES=cpu=4\n"
                       "NodeName=n2 CPUTot=4 State=IDLE+DRAIN Gres=(null) Partitions=p\n"
                       "NodeName=n3 CPUTot=4 State=IDLE+CLOUD+POWERED_DOWN Gres=gpu:a100:4,gpu:v100:1 Partitions=p\n"
                       "NodeName=n4 State=IDLE* AllocTRES=cpu=4,mem=2G,gres/gpu=3,gres/gpu:a100=3\n");
        QCOMPARE(list.size(), std::size_t{4});
        QCOMPARE(list[0].cores, 4);
        QCOMPARE(list[0].coresBusy, 2);
        QCOMPARE(list[0].gpus, 2);
        QCOMPARE(list[0].gpusBusy, 1);
        QCOMPARE(list[0].memoryBytes, std::int64_t{4000} << 20);
        QVERIFY(list[0].usable());
        const std::vector<std::string> partitions{"p", "hi"};
        QCOMPARE(list[0].partitions, partitions);
        QVERIFY(!list[1].usable());
        QCOMPARE(list[1].gpus, 0);
        QVERIFY(list[2].usable());
        QCOMPARE(list[2].gpus, 5);
        QCOMPARE(list[2].gpusByType.at("a100"), 4);
        QVERIFY(!list[3].usable());
        QCOMPARE(list[3].gpusBusy, 3);
        QCOMPARE(list[3].memoryBusyBytes, std::int64_t{2} << 30);
    }

    void gpus() {
        QCOMPARE(slurmGpus("gpu:2").at(""), 2);
        QCOMPARE(slurmGpus("gpu").at(""), 1);
        QCOMPARE(slurmGpus("gpu:tesla").at("tesla"), 1);
        QCOMPARE(slurmGpus("craynetwork:4,gpu:tesla:3(S:0,1)").at("tesla"), 3);
        QVERIFY(slurmGpus("(null)").empty());
    }

    void version() {
        QVERIFY(slurmVersion("slurm-wlm 22.05.8\n") == (std::pair{22, 5}));
        QVERIFY(slurmVersion("slurm 24.11.0-rc1") == (std::pair{24, 11}));
        QVERIFY(!slurmVersion("bash: sinfo: not found"));
    }

    void reasons() {
        QVERIFY(!slurmReasonText("Resources").empty());
        QVERIFY(!slurmReasonText("QOSMaxJobsPerUserLimit").empty());
        QVERIFY(slurmReasonText("SomethingNew").empty());
    }

    void queue() {
        const auto list = slurmQueue(
            "12|ann|PENDING|2|N/A|Priority|a|b|c\n13|bob|RUNNING|1|2026-11-23T10:19:22|None|train\nshort|line\n");
        QCOMPARE(list.size(), std::size_t{2});
        QCOMPARE(list[0].name, std::string("a|b|c"));
        QCOMPARE(list[0].reason, std::string("Priority"));
        QVERIFY(list[1].start > 0);
        QCOMPARE(list[1].nodes, 1);
    }
};

QTEST_GUILESS_MAIN(TestSlurmQueue)
#include "tst_SlurmQueue.moc"
