// A run in a real Slurm queue, as its page tells it: why it waits and when it may begin, then both nodes, then its end.
#include <QComboBox>
#include <QLabel>

#include "core/runs/TargetBook.h"
#include "core/spec/RunSpec.h"
#include "core/store/Reader.h"
#include "tests/gui/WindowRig.h"
#include "tests/helpers/Skip.h"
#include "tests/integration/slurm/SlurmRig.h"
#include "ui/forms/FieldEditors.h"
#include "ui/forms/FormDocument.h"
#include "ui/runs/NewRunPage.h"
#include "ui/runs/RunPage.h"
#include "ui/targets/TargetForm.h"
#include "ui/targets/TargetsPage.h"
#include "ui/widgets/Basics.h"

using namespace trainyard;
using base::Json;
using spec::RunState;
using test::SlurmLab;
using test::waitFor;
using test::WindowRig;

namespace {
constexpr int kSoon = 20'000;
constexpr int kLong = 90'000;
}  // namespace

class SlurmRunTest : public QObject {
    Q_OBJECT

private:
    static int offered(ui::NewRunPage* form) {
        auto* input = form->findChild<QWidget*>(QStringLiteral("distribution.launcherInput"));
        if (auto* combo = qobject_cast<QComboBox*>(input)) return combo->count();
        auto* segments = qobject_cast<ui::SegmentedControl*>(input);
        return segments ? segments->count() : -1;
    }

private Q_SLOTS:
    void initTestCase() {
        if (const std::string missing = SlurmLab::missing(); !missing.empty()) TRAINYARD_SKIP(missing.c_str());
        m_rig = std::make_unique<WindowRig>(WindowRig::Fill::Nothing);
        m_slurm = std::make_unique<test::SlurmRig>();
        const auto started = m_slurm->start();
        QVERIFY2(started.ok(), started.ok() ? "" : started.error().message.c_str());
        spec::TargetSpec target = m_slurm->spec();
        target.slurm.launcher = "mpirun";
        const auto written = runs::writeTarget(m_rig->layout(), target);
        QVERIFY2(written.ok(), written.ok() ? "" : written.error().message.c_str());
    }
    void cleanupTestCase() {
        m_rig.reset();
        m_slurm.reset();
    }

    void waits_thenRunsOnBothNodes() {
        const auto before = m_slurm->lab().slurm(
            {"sbatch", "--parsable", "-N2", "-n2", "-c4", "-t", "2", "-o", "/dev/null", "--wrap=sleep 120"});
        QCOMPARE(before.exitCode, 0);
        Json document = spec::defaultRunSpecDocument();
        const std::pair<const char*, Json> values[] = {
            {"task.kind", "command"},
            {"task.command", Json::array({"sh", "-c", "echo \"rank $RANK here\"; sleep 4"})},
            {"target", "cluster"},
            {"distribution.kind", "pytorch"},
            {"distribution.nodes", 2}};
        for (const auto& [path, value] : values) spec::setValueAt(document, path, value);
        QString made;
        m_rig->session().start("run.submit", {{"spec", document}}, this, [&](const base::Result<Json>& result) {
            if (result)
                made = QString::fromStdString(result->at("run").get<std::string>());
            else
                qWarning("%s", result.error().message.c_str());
        });
        QVERIFY(waitFor([&] { return !made.isEmpty(); }, kSoon));
        auto* page = m_rig->go<ui::RunPage>(QStringLiteral("run/") + made);
        QVERIFY(page);
        QVERIFY(waitFor([&] { return page->detail() && page->detail()->row.state == RunState::Queued; }, kLong));
        auto* queue = page->findChild<QLabel*>(QStringLiteral("runQueueLabel"));
        QVERIFY(waitFor(
            [&] {
                return queue->isVisible() && queue->text().contains(QStringLiteral("Resources")) &&
                       queue->text().contains(QStringLiteral("estimated start"));
            },
            kLong));
        QVERIFY(queue->text().startsWith(QStringLiteral("Job ")));
        m_rig->picture(QStringLiteral("slurm-queued"));
        const std::string job = before.out.substr(0, before.out.find_first_of("\n;"));
        QCOMPARE(m_slurm->lab().slurm({"scancel", job}).exitCode, 0);
        QVERIFY(waitFor([&] { return page->detail()->row.state == RunState::Running; }, kLong));
        QVERIFY(waitFor([&] { return !queue->isVisible(); }, kSoon));
        page = m_rig->go<ui::RunPage>(QStringLiteral("run/%1/system").arg(made));
        QVERIFY(waitFor([&] { return page->detail() && page->detail()->row.state == RunState::Completed; }, kLong));
        QVERIFY(waitFor(
            [&] {
                const auto titles = page->findChildren<QLabel*>(QStringLiteral("systemNodeTitle"));
                return std::count_if(titles.begin(), titles.end(), [](QLabel* one) { return one->isVisible(); }) == 2;
            },
            kSoon));
        m_rig->picture(QStringLiteral("slurm-nodes"));
    }

    /// Slurm jobs start MPI's processes by srun alone: neither form offers what would be refused.
    void mpirun_isNotOffered() {
        auto* form = m_rig->go<ui::NewRunPage>(QStringLiteral("new"));
        QVERIFY(form);
        form->document().setValue(QStringLiteral("task.kind"), "command");
        form->document().setValue(QStringLiteral("distribution.kind"), "mpi");
        form->document().setValue(QStringLiteral("distribution.nodes"), 2);
        QVERIFY(waitFor([&] { return offered(form) == 2; }, kSoon));
        form->document().setValue(QStringLiteral("target"), "cluster");
        auto* advice = form->findChild<ui::InlineError*>(QStringLiteral("targetAdvice"));
        QVERIFY(waitFor([&] { return advice->text().contains(QStringLiteral("asks for mpirun")); }, kSoon));
        QCOMPARE(offered(form), 2);
        form->document().setValue(QStringLiteral("distribution.launcher"), "mpirun");
        QCOMPARE(offered(form), 3);
        QVERIFY(waitFor([&] { return advice->text().contains(QStringLiteral("started by srun")); }, kSoon));
        form->document().setValue(QStringLiteral("distribution.launcher"), "srun");
        QVERIFY(waitFor([&] { return advice->isClear(); }, kSoon));
        // Saving the target from its form takes it out of the definition.
        auto* targets = m_rig->go<ui::TargetsPage>(QStringLiteral("targets/cluster"));
        QVERIFY(waitFor(
            [&] {
                return m_rig->action(QStringLiteral("editTargetAction")) != nullptr &&
                       targets->contextActions().size() >= 4;
            },
            kSoon));
        m_rig->action(QStringLiteral("editTargetAction"))->trigger();
        auto* target = targets->findChild<ui::TargetForm*>();
        QVERIFY(waitFor([&] { return target->isVisible(); }, kSoon));
        QCOMPARE(*spec::valueAt(target->document(), "slurm.launcher"), Json("srun"));
        QVERIFY(target->findChild<QWidget*>(QStringLiteral("slurm.launcherInput")) == nullptr);
        auto* note = target->findChild<QLabel*>(QStringLiteral("targetUnverifiedNote"));
        QVERIFY(note && note->isVisible() && note->text().contains(QStringLiteral("NCCL")));
        m_rig->picture(QStringLiteral("slurm-target-form"));
    }

private:
    std::unique_ptr<WindowRig> m_rig;
    std::unique_ptr<test::SlurmRig> m_slurm;
};

int main(int argc, char** argv) {
    // Before any thread is started, so that all of them have the cluster's network.
    if (SlurmLab::missing().empty()) {
        if (const auto isolated = SlurmLab::isolateNetwork(); !isolated.ok())
            qFatal("%s", isolated.error().message.c_str());
    }
    QApplication application(argc, argv);
    ui::Theme::install(application);
    SlurmRunTest test;
    return QTest::qExec(&test, argc, argv);
}
#include "tst_SlurmRun.moc"
