// The batch script and what may stand in it. The hostile values go through the real sbatch parser in tst_Slurm.
#include <QTest>

#include "core/base/Files.h"
#include "core/targets/SlurmLaunch.h"
#include "core/targets/SlurmQueue.h"
#include "core/targets/SlurmScript.h"
#include "tests/helpers/Hostile.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard;
using namespace trainyard::targets;

namespace {

SlurmJob aJob() {
    SlurmJob job;
    job.run = base::RunId::make();
    job.nodes = 2;
    job.cores = 4;
    job.runFolder = "/shared/work/runs/" + job.run.str();
    job.agent = "/shared/work/bin/abc/trainyard-agent";
    return job;
}

spec::SlurmSpec aSpec() {
    spec::SlurmSpec slurm;
    slurm.maxNodes = 4;
    return slurm;
}

std::string scriptOf(const spec::SlurmSpec& slurm, const SlurmJob& job) {
    const auto script = slurmScript(slurm, job);
    return script.ok() ? *script : "error: " + script.error().message;
}

bool hasLine(const std::string& script, const std::string& line) {
    return ("\n" + script).find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

class TestSlurmScript : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void everyField_isADirective() {
        spec::SlurmSpec slurm = aSpec();
        slurm.partition = "gpu,long";
        slurm.account = "proj-17";
        slurm.qos = "normal";
        slurm.constraint = "a100&(ib|eth)";
        slurm.gpuType = "a100";
        slurm.timeLimitMinutes = 90;
        slurm.signalSeconds = 60;
        slurm.extraLines = {"--exclusive", "--mail-type=END", "--mem 4G"};
        SlurmJob job = aJob();
        job.gpus = 2;
        const std::string script = scriptOf(slurm, job);
        for (const char* line :
             {"#SBATCH --partition=\"gpu,long\"", "#SBATCH --account=\"proj-17\"", "#SBATCH --qos=\"normal\"",
              "#SBATCH --constraint=\"a100&(ib|eth)\"", "#SBATCH --gres=gpu:a100:2", "#SBATCH --nodes=2",
              "#SBATCH --ntasks=2", "#SBATCH --ntasks-per-node=1", "#SBATCH --cpus-per-task=4", "#SBATCH --time=90",
              "#SBATCH --requeue", "#SBATCH --signal=B:USR1@60", "#SBATCH --exclusive", "#SBATCH --mail-type=END",
              "#SBATCH --mem 4G"}) {
            QVERIFY2(hasLine(script, line), (std::string(line) + "\n" + script).c_str());
        }
        QVERIFY(hasLine(script, "#SBATCH --job-name=" + slurmJobName(job.run)));
        QVERIFY(script.starts_with("#!/bin/bash\n"));
    }

    void theRunsTimeLimit_goesBeforeTheTargets() {
        spec::SlurmSpec slurm = aSpec();
        slurm.timeLimitMinutes = 90;
        SlurmJob job = aJob();
        job.minutes = 5;
        QVERIFY(hasLine(scriptOf(slurm, job), "#SBATCH --time=5"));
        slurm.timeLimitMinutes = 0;
        job.minutes = 0;
        QVERIFY(scriptOf(slurm, job).find("--time") == std::string::npos);
    }

    void lowPriority_goesToItsOwnPlace() {
        spec::SlurmSpec slurm = aSpec();
        slurm.partition = "main";
        slurm.lowPriority = true;
        QVERIFY(hasLine(scriptOf(slurm, aJob()), "#SBATCH --nice=10000"));
        slurm.lowPriorityPartition = "scavenge";
        slurm.lowPriorityQos = "preempt";
        const std::string script = scriptOf(slurm, aJob());
        QVERIFY(hasLine(script, "#SBATCH --partition=\"scavenge\""));
        QVERIFY(hasLine(script, "#SBATCH --qos=\"preempt\""));
        QVERIFY(script.find("--nice") == std::string::npos);
        slurm.lowPriority = false;
        QVERIFY(hasLine(scriptOf(slurm, aJob()), "#SBATCH --partition=\"main\""));
    }

    void bash_findsNoFaultInIt() {
        const test::Scratch scratch;
        for (const bool requeue : {false, true}) {
            for (const std::int64_t signal : {0, 5, 120}) {
                spec::SlurmSpec slurm = aSpec();
                slurm.requeueAtLimit = requeue;
                slurm.signalSeconds = signal;
                SlurmJob job = aJob();
                job.runFolder = "/shared/it's a $HOME `x` %j/" + job.run.str();
                const base::Path file = scratch.write("job.sh", scriptOf(slurm, job));
                const auto checked = test::runProgram("/bin/bash", {"-n", file.string()});
                QVERIFY2(checked.exitCode == 0, checked.err.c_str());
                QVERIFY(hasLine(scriptOf(slurm, job), "#SBATCH --output=\"/shared/it's a $HOME `x` %%j/" +
                                                          job.run.str() + "/slurm-%j.out\""));
            }
        }
    }

    void nodes_outsideTheRangeAreRefused() {
        spec::SlurmSpec slurm = aSpec();
        slurm.minNodes = 2;
        SlurmJob job = aJob();
        for (const int nodes : {1, 5}) {
            job.nodes = nodes;
            const auto script = slurmScript(slurm, job);
            QVERIFY(!script.ok());
            QCOMPARE(script.error().code, std::string("slurm.nodes"));
            QCOMPARE(script.error().field, std::string("distribution.nodes"));
        }
    }

    void hostileValues_areRefused_data() {
        QTest::addColumn<QString>("value");
        for (const char* value : {"a b", "a\nb", "a\n#SBATCH --uid=0", "$(touch x)", "`touch x`", "a;touch x", "a'b",
                                  "a\"b", "a\\b", "-o/etc/x", "--wrap=touch", "a#b", "naïve", "a\tb", "a>b", "a%j"}) {
            QTest::newRow(value) << QString::fromUtf8(value);
        }
        for (const test::HostileValue& value : test::hostileValues("/tmp/canary")) {
            if (!value.value.empty()) {
                QTest::newRow(value.name) << QString::fromStdString(value.value);
            }
        }
    }
    void hostileValues_areRefused() {
        QFETCH(QString, value);
        const std::string bad = value.toStdString();
        const std::vector<std::pair<std::string spec::SlurmSpec::*, std::string>> fields{
            {&spec::SlurmSpec::partition, "slurm.partition"},
            {&spec::SlurmSpec::account, "slurm.account"},
            {&spec::SlurmSpec::qos, "slurm.qos"},
            {&spec::SlurmSpec::constraint, "slurm.constraint"},
            {&spec::SlurmSpec::gpuType, "slurm.gpu_type"},
            {&spec::SlurmSpec::lowPriorityPartition, "slurm.low_priority_partition"},
            {&spec::SlurmSpec::lowPriorityQos, "slurm.low_priority_qos"}};
        for (const auto& [member, field] : fields) {
            spec::SlurmSpec slurm = aSpec();
            slurm.*member = bad;
            const auto checked = checkSlurmSpec(slurm);
            QVERIFY2(!checked.ok(), field.c_str());
            QCOMPARE(checked.error().code, std::string("slurm.value"));
            QCOMPARE(checked.error().field, field);
            QVERIFY(!slurmScript(slurm, aJob()).ok());
        }
    }

    void extraLines_data() {
        QTest::addColumn<QString>("line");
        QTest::addColumn<bool>("good");
        for (const char* line : {"--exclusive", "--mem=4G", "--mem 4G", "--nodelist=n1", "--comment=\"two words\"",
                                 "--time-min=10", "-x n3", "--hint=nomultithread"}) {
            QTest::newRow(line) << QString::fromUtf8(line) << true;
        }
        for (const char* line : {"exclusive",
                                 "",
                                 "-",
                                 "--",
                                 "--exclusive -- x",
                                 "--exclusive\n--uid=0",
                                 "--exclusive\r",
                                 "--exclusive --nodes=9",
                                 "-N9",
                                 "--node=9",
                                 "--wrap=touch",
                                 "--wra x",
                                 "--export=ALL",
                                 "--job-name=x",
                                 "-Jx",
                                 "--array=1-9",
                                 "-o/etc/passwd",
                                 "--output=/etc/passwd",
                                 "--partition=x",
                                 "-t 5",
                                 "--requ",
                                 "--no-requeue",
                                 "--signal=KILL@10",
                                 "-W",
                                 "--uid=0",
                                 "--chdir=/",
                                 "--test-only",
                                 "--parsable"}) {
            QTest::newRow(line) << QString::fromUtf8(line) << false;
        }
    }
    void extraLines() {
        QFETCH(QString, line);
        QFETCH(bool, good);
        spec::SlurmSpec slurm = aSpec();
        slurm.extraLines = {line.toStdString()};
        const auto script = slurmScript(slurm, aJob());
        QCOMPARE(script.ok(), good);
        if (good) {
            QVERIFY(hasLine(*script, "#SBATCH " + line.toStdString()));
        } else {
            QCOMPARE(script.error().code, std::string("slurm.line"));
            QCOMPARE(script.error().field, std::string("slurm.extra_lines"));
        }
    }

    void folders_thatSbatchCannotReadAreRefused() {
        for (const char* folder : {"relative/x", "", "/a\"b", "/a\\b", "/a\nb"}) {
            SlurmJob job = aJob();
            job.runFolder = folder;
            const auto script = slurmScript(aSpec(), job);
            QVERIFY2(!script.ok(), folder);
            QCOMPARE(script.error().code, std::string("slurm.path"));
            QCOMPARE(script.error().field, std::string("work_folder"));
        }
    }

    void secrets_areNoPartOfIt() {
        // The run's token is in plan.json alone; the script is a function of values that people may read.
        SlurmJob job = aJob();
        const std::string script = scriptOf(aSpec(), job);
        QVERIFY(script.find("token") == std::string::npos);
        QVERIFY(script.find("export") == std::string::npos);
    }

    void command_hidesThePersonsDefaults() {
        const std::vector<std::string> argv =
            slurmCommand({"sh", "-c", "echo ${SBATCH_PARTITION:-none} ${SQUEUE_FORMAT:-none}"});
        test::ProgramOptions options;
        options.variables = {{"SBATCH_PARTITION", "mine"}, {"SQUEUE_FORMAT", "%i"}};
        const auto ran = test::runProgram("/usr/bin/env", {argv.begin() + 1, argv.end()}, options);
        QCOMPARE(ran.out, std::string("none none\n"));
    }

    void partition_limits() {
        SlurmPartition p;
        p.name = "p";
        p.isDefault = true;
        p.up = true;
        p.maxSeconds = 3600;
        p.maxNodes = 2;
        p.nodes = 8;
        spec::SlurmSpec slurm = aSpec();
        QVERIFY(fitsPartition({p}, slurm, 2, 60).ok());
        QCOMPARE(fitsPartition({p}, slurm, 3, 0).error().code, std::string("slurm.nodes"));
        QCOMPARE(fitsPartition({p}, slurm, 2, 61).error().code, std::string("slurm.time"));
        slurm.partition = "q";
        const auto wrong = fitsPartition({p}, slurm, 1, 0);
        QCOMPARE(wrong.error().code, std::string("slurm.partition"));
        QCOMPARE(wrong.error().field, std::string("slurm.partition"));
        QVERIFY(wrong.error().message.find("it has: p") != std::string::npos);
        slurm.partition.clear();
        p.up = false;
        QCOMPARE(fitsPartition({p}, slurm, 1, 0).error().code, std::string("slurm.partition"));
        slurm.partition = "p,q";
        QVERIFY(fitsPartition({p}, slurm, 99, 0).ok());
    }
};

QTEST_GUILESS_MAIN(TestSlurmScript)
#include "tst_SlurmScript.moc"
