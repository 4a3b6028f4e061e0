// What pages of runs say, worked out without a window: plots of measurements, how a run fits its target, long lines.
#include <QtTest>

#include "core/spec/RunSpec.h"
#include "ui/runs/PreflightPanel.h"
#include "ui/runs/SystemPlots.h"
#include "ui/runs/WherePanels.h"
#include "ui/widgets/Format.h"

using namespace trainyard;
using base::Json;

class RunTextsTest : public QObject {
    Q_OBJECT

private:
    static Json document(std::initializer_list<std::pair<const char*, Json>> values) {
        Json made = spec::defaultRunSpecDocument();
        for (const auto& [path, value] : values) spec::setValueAt(made, path, value);
        return made;
    }
    static Json target(const char* kind, int nodes, Json lines = Json::array()) {
        return Json{{"kind", kind},
                    {"nodes", nodes},
                    {"spec", {{"slurm", {{"min_nodes", 2}}}}},
                    {"doctor", {{"t", 1}, {"lines", std::move(lines)}}}};
    }

private Q_SLOTS:
    void plots_standByDevice() {
        const auto plans =
            ui::systemPlans({"cpu_percent", "disk_read_bytes_per_second", "disk_written_bytes_per_second",
                             "gpu0_memory_bytes", "gpu0_utilization_percent", "gpu10_utilization_percent",
                             "gpu2_temperature_celsius", "gpu_odd", "memory_bytes", "run_memory_bytes", "volts_bytes"});
        QStringList titles;
        for (const ui::ChartPlan& plan : plans) titles << plan.title;
        QCOMPARE(titles,
                 (QStringList{QStringLiteral("Processor, the machine"), QStringLiteral("Memory"),
                              QStringLiteral("GPU 0, busy"), QStringLiteral("GPU 0, memory"),
                              QStringLiteral("GPU 2, temperature"), QStringLiteral("GPU 10, busy"),
                              QStringLiteral("Disk"), QStringLiteral("gpu odd"), QStringLiteral("volts bytes")}));
        QCOMPARE(plans[1].metrics, (std::vector<std::string>{"run_memory_bytes", "memory_bytes"}));
        QCOMPARE(plans[1].unit, QStringLiteral("GiB"));
        QCOMPARE(plans[1].scale * (1 << 30), 1.0);
        QCOMPARE(plans[1].labels.size(), 2);
        QCOMPARE(plans[4].unit, QStringLiteral("°C"));
        QCOMPARE(plans[6].unit, QStringLiteral("MiB/s"));
        // Every name has a place, and only one.
        std::size_t names = 0;
        for (const ui::ChartPlan& plan : plans) names += plan.metrics.size();
        QCOMPARE(names, std::size_t{11});
    }

    void misfits_data() {
        QTest::addColumn<QString>("run");
        QTest::addColumn<QString>("where");
        QTest::addColumn<QString>("said");
        const auto row = [](const char* name, const Json& run, const Json& where, const char* said) {
            QTest::newRow(name) << QString::fromStdString(base::dumpJson(run))
                                << QString::fromStdString(base::dumpJson(where)) << QString::fromUtf8(said);
        };
        const Json gpus = Json::array({{{"id", "gpus"}, {"finding", "ok"}, {"values", {{"gpus", 2}}}}});
        row("fits", document({{"distribution.gpus", 2}}), target("ssh", 2, gpus), "");
        row("too many GPUs", document({{"distribution.gpus", 4}}), target("ssh", 2, gpus), "you ask for 4");
        row("a GPU a process", document({{"task.device", "cuda"}, {"distribution.processes", 3}}),
            target("ssh", 2, gpus), "you ask for 3");
        row("unknown is no no", document({{"distribution.gpus", 4}}),
            target("ssh", 2, Json::array({{{"id", "gpus"}, {"finding", "unknown"}, {"values", {{"gpus", 0}}}}})), "");
        row("the least host counts", document({{"distribution.gpus", 2}}),
            target("ssh", 2,
                   Json::array({{{"id", "gpus"}, {"finding", "ok"}, {"values", {{"gpus", 8}}}},
                                {{"id", "gpus"}, {"finding", "ok"}, {"values", {{"gpus", 1}}}}})),
            "you ask for 2");
        row("too many machines", document({{"distribution.nodes", 3}}), target("ssh", 2), "you ask for 3");
        row("too few machines", document({{"distribution.nodes", 1}}), target("slurm", 4), "at least 2");
        row("srun without Slurm", document({{"distribution.kind", "mpi"}, {"distribution.launcher", "srun"}}),
            target("ssh", 2), "part of Slurm");
        row("mpirun with Slurm",
            document({{"distribution.kind", "mpi"}, {"distribution.launcher", "mpirun"}, {"distribution.nodes", 2}}),
            target("slurm", 4), "started by srun");
        row("srun with Slurm",
            document({{"distribution.kind", "mpi"}, {"distribution.launcher", "srun"}, {"distribution.nodes", 2}}),
            target("slurm", 4), "");
        row("no MPI", document({{"distribution.kind", "mpi"}}),
            target("ssh", 2,
                   Json::array({{{"id", "mpi"}, {"finding", "warning"}, {"values", {{"mpirun", ""}, {"srun", ""}}}}})),
            "no MPI");
        row("half an MPI", document({{"distribution.kind", "mpi"}}),
            target(
                "ssh", 2,
                Json::array({{{"id", "mpi"}, {"finding", "warning"}, {"values", {{"mpirun", "4.1"}, {"srun", ""}}}}})),
            "");
        row("no Python", document({{"task.kind", "command"}, {"task.script", "train.py"}}),
            target("ssh", 2, Json::array({{{"id", "python"}, {"finding", "warning"}, {"values", Json::object()}}})),
            "no Python");
        row("another interpreter",
            document({{"task.kind", "command"}, {"task.script", "train.sh"}, {"task.interpreter", "bash"}}),
            target("ssh", 2, Json::array({{{"id", "python"}, {"finding", "warning"}, {"values", Json::object()}}})),
            "");
        Json disabled = target("ssh", 2);
        disabled["disabled"] = true;
        row("disabled", document({}), disabled, "disabled");
        row("nothing known", document({{"distribution.nodes", 9}}), Json(), "");
    }
    void misfits() {
        QFETCH(QString, run);
        QFETCH(QString, where);
        QFETCH(QString, said);
        const QString text =
            ui::misfits(*base::parseJson(run.toStdString()), *base::parseJson(where.toStdString())).join(u' ');
        QVERIFY2(said.isEmpty() ? text.isEmpty() : text.contains(said), qPrintable(text));
    }

    /// What travels, what the target fetches itself, and whether its disk has room.
    void uploadText_tellsSizeTimeAndRoom() {
        constexpr std::int64_t kMiB = 1 << 20;
        Json upload{
            {"files", 4},
            {"bytes", 30 * kMiB},
            {"bytes_per_second", 10 * kMiB},
            {"fetches", Json::array()},
            {"fetch_bytes", 0},
            {"disk",
             {{"host", "node1"}, {"folder", "/work"}, {"free_bytes", 900 * kMiB}, {"needed_bytes", 94 * kMiB}}}};
        const auto text = [&upload] {
            return ui::uploadText(
                {{"target", "lab"}, {"source", nullptr}, {"upload", upload}, {"upload_error", nullptr}});
        };
        const auto says = [&text](const QString& part) { return text().line.contains(part); };
        QVERIFY2(says(QStringLiteral("4 file")) &&
                     says(ui::formatBytes(30 * kMiB) + QStringLiteral(" travel, about 3")),
                 qPrintable(text().line));
        QVERIFY2(says(ui::formatBytes(900 * kMiB) + QStringLiteral(" free on node1")), qPrintable(text().line));
        QVERIFY(text().noRoom.isEmpty() && text().warnings.isEmpty() && !says(QStringLiteral("fetches")));
        upload["bytes_per_second"] = 0;
        QVERIFY2(says(QStringLiteral("how long is not known yet")), qPrintable(text().line));
        // Both figures, where, and what to do.
        upload["disk"]["needed_bytes"] = 901 * kMiB;
        for (const QString& part : {QStringLiteral("node1"), QStringLiteral("/work"), ui::formatBytes(901 * kMiB),
                                    ui::formatBytes(900 * kMiB), QStringLiteral("clear the target's cache")}) {
            QVERIFY2(text().noRoom.contains(part), qPrintable(text().noRoom));
        }
        upload["bytes"] = 0;
        QVERIFY(says(QStringLiteral("everything is there already")));
        upload["fetches"] = {"dataset", "weights"};
        upload["fetch_bytes"] = 800 * kMiB;
        QVERIFY2(says(QStringLiteral("nothing travels from here")), qPrintable(text().line));
        QVERIFY2(says(QStringLiteral("the target fetches dataset, weights itself (") + ui::formatBytes(800 * kMiB)),
                 qPrintable(text().line));
        upload["queue_says"] = "Invalid partition name specified";
        QCOMPARE(text().warnings, QStringList{QStringLiteral("The queue says: Invalid partition name specified")});
        // A target that cannot be asked.
        const ui::UploadText away =
            ui::uploadText({{"target", "lab"},
                            {"source", {{"files", 2}, {"bytes", 10}, {"warnings", Json::array({"Much."})}}},
                            {"upload", nullptr},
                            {"upload_error", "It is away."}});
        QVERIFY2(away.line.contains(QStringLiteral("2 file")) &&
                     away.line.contains(QStringLiteral("not known: It is away.")),
                 qPrintable(away.line));
        QVERIFY(away.noRoom.isEmpty());
        QCOMPARE(away.warnings, QStringList{QStringLiteral("Much.")});
    }

    void unverified_namesWhatWasNeverSeen() {
        QCOMPARE(ui::unverified(document({})), QStringList());
        QCOMPARE(ui::unverified(document({{"distribution.kind", "pytorch"}, {"distribution.nodes", 2}})),
                 QStringList());
        QCOMPARE(ui::unverified(document({{"task.device", "cuda"}})), QStringList{QStringLiteral("CUDA")});
        QCOMPARE(ui::unverified(document(
                     {{"task.device", "cuda"}, {"distribution.kind", "pytorch"}, {"distribution.processes", 2}})),
                 (QStringList{QStringLiteral("CUDA"), QStringLiteral("NCCL")}));
        QCOMPARE(ui::unverified(document({{"task.device", "cuda"},
                                          {"distribution.kind", "pytorch"},
                                          {"distribution.processes", 2},
                                          {"distribution.backend", "gloo"}})),
                 QStringList{QStringLiteral("CUDA")});
        QCOMPARE(ui::unverified(document({{"task.kind", "command"}, {"distribution.kind", "mpi"}})),
                 QStringList{QStringLiteral("Horovod")});
    }

    void preflight_saysWhatFitsAndWhatDoesNot() {
        using Kind = ui::InlineError::Kind;
        constexpr std::int64_t kGiB = std::int64_t{1} << 30;
        const auto has = [](const ui::PreflightText& text, const char* part) {
            return text.headline.contains(QString::fromUtf8(part));
        };
        const auto line = [](const ui::PreflightText& text, const char* finding, const char* part) {
            return std::any_of(text.lines.begin(), text.lines.end(), [&](const auto& one) {
                return one.first == QLatin1String(finding) && one.second.contains(QString::fromUtf8(part));
            });
        };
        Json found{{"device", "cpu"},           {"memory_bytes", 2 * kGiB},    {"memory_free_bytes", 6 * kGiB},
                   {"seconds_per_epoch", 12.0}, {"first_epoch_seconds", 30.0}, {"seconds_total", 150.0},
                   {"disk_bytes", kGiB},        {"largest_batch", 96},         {"fits", true},
                   {"measured", true},          {"messages", Json::array()}};
        const ui::PreflightText good = ui::preflightText(found, {});
        QVERIFY(good.kind == Kind::Success && !good.batch && good.lines.empty());
        for (const char* part :
             {"Works on the processor", "2 GiB of memory", "12 s an epoch (the first 30 s)", "2 min 30 s in all",
              "1 GiB on disk", "6 GiB of memory are free", "largest batch that fits: 96"}) {
            QString wanted = QString::fromUtf8(part);
            // As the formats write whole sizes.
            wanted.replace(QStringLiteral("2 GiB"), ui::formatBytes(2 * kGiB))
                .replace(QStringLiteral("6 GiB"), ui::formatBytes(6 * kGiB));
            wanted.replace(QStringLiteral("1 GiB on"), ui::formatBytes(kGiB) + QStringLiteral(" on"));
            QVERIFY2(good.headline.contains(wanted), qPrintable(good.headline + QStringLiteral(" | ") + wanted));
        }
        // Where the files come to lie there is less room than they take.
        const ui::PreflightText full = ui::preflightText(found, {{}, 0, kGiB / 2});
        QVERIFY(full.kind == Kind::Error && has(full, "Does not fit") && line(full, "failure", "workspace's disk"));
        // Too large a batch: which field, and one that fits.
        found["fits"] = false;
        found["measured"] = false;
        found["memory_bytes"] = 9 * kGiB;
        found["messages"] = Json::array(
            {{{"severity", "error"}, {"field", "task.batch_size"}, {"text", "Needs more memory than is free."}},
             {{"severity", "info"}, {"field", ""}, {"text", "Pictures are kept in memory."}}});
        const ui::PreflightText tight = ui::preflightText(found, {});
        QVERIFY(tight.kind == Kind::Error && has(tight, "Does not fit"));
        QVERIFY(tight.batch && *tight.batch == 96);
        QVERIFY(line(tight, "failure", "Batch size: Needs more memory") && line(tight, "", "Pictures are kept"));
        // The same run on a target with more memory, or with less.
        const ui::PreflightText big = ui::preflightText(found, {QStringLiteral("lab"), 64 * kGiB, 0});
        QVERIFY(big.kind == Kind::Warning && has(big, "On lab it needs") && !big.batch);
        const ui::PreflightText small = ui::preflightText(found, {QStringLiteral("lab"), 4 * kGiB, 0});
        QVERIFY(small.kind == Kind::Error && line(small, "failure", "A machine of lab"));
        // Memory is there, but the system's limit leaves too little of it to a process.
        Json limited = found;
        limited["memory_bytes"] = 2 * kGiB;
        limited["address_space_bytes"] = 5 * kGiB;
        limited["address_space_limit_bytes"] = 3 * kGiB;
        const ui::PreflightText bound = ui::preflightText(limited, {});
        QVERIFY2(
            bound.kind == Kind::Error &&
                bound.headline.contains(ui::formatBytes(5 * kGiB) +
                                        QStringLiteral(" of address space in each process")) &&
                bound.headline.contains(QStringLiteral("ulimit -v leaves each process ") + ui::formatBytes(3 * kGiB)),
            qPrintable(bound.headline));
        // An engine that tells less.
        const ui::PreflightText bare = ui::preflightText(Json{{"device", "cpu"}, {"epoch_seconds", 3.0}}, {});
        QVERIFY(bare.kind == Kind::Success && has(bare, "an epoch"));
    }

    void shortLines_cutsLinesAndNothingElse() {
        const QString plain = QStringLiteral("one\ntwo\n\nthree");
        QCOMPARE(ui::shortLines(plain, 5), plain);
        QCOMPARE(ui::shortLines(QStringLiteral("ab\nabcdef\nxy\n"), 3),
                 QStringLiteral("ab\nabc … (3 characters more)\nxy\n"));
        QCOMPARE(ui::shortLines(QStringLiteral("abcdef"), 3), QStringLiteral("abc … (3 characters more)"));
        QCOMPARE(ui::shortLines(QString(), 3), QString());
        // A letter of two halves stays whole.
        const QString smile = QString::fromUcs4(U"ab\U0001F600cdef");
        QVERIFY(!ui::shortLines(smile, 3).left(3).back().isHighSurrogate());
        QVERIFY(ui::shortLines(QString(1 << 20, u'x')).size() < 3000);
    }
};

QTEST_GUILESS_MAIN(RunTextsTest)
#include "tst_RunTexts.moc"
