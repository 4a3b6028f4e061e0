// A run on two real hosts in the window while one of them goes silent, and while both do: which, since when, what it
// owes; and a cancel by a click that has to wait for them.
#include <QComboBox>
#include <QLabel>
#include <QPushButton>

#include "core/runs/TargetBook.h"
#include "core/spec/RunSpec.h"
#include "tests/gui/WindowRig.h"
#include "tests/helpers/Lab.h"
#include "tests/helpers/LabTarget.h"
#include "tests/helpers/Skip.h"
#include "ui/runs/RunPage.h"
#include "ui/widgets/Basics.h"

using namespace trainyard;
using base::Json;
using spec::RunState;
using test::waitFor;
using test::WindowRig;

namespace {
constexpr int kSoon = 30'000;
constexpr int kLong = 90'000;
}  // namespace

class SilentHostTest : public QObject {
    Q_OBJECT

private:
    /// The text of a notice on the run's page; empty while it is hidden.
    QString notice(const char* name) const {
        auto* label = m_rig->visible<ui::InlineError>(QString::fromLatin1(name));
        return label ? label->text() : QString();
    }
    bool isIn(RunState state) const {
        const bool reached = waitFor([&] { return m_page->detail() && m_page->detail()->row.state == state; }, kLong);
        if (!reached && m_page->detail()) qWarning("%s", m_page->detail()->row.stateReason.c_str());
        return reached;
    }

private Q_SLOTS:
    void initTestCase() {
        if (const std::string missing = test::Lab::missing(); !missing.empty()) TRAINYARD_SKIP(missing.c_str());
        m_rig = std::make_unique<WindowRig>(WindowRig::Fill::Nothing);
        m_lab = std::make_unique<test::Lab>(test::LabOptions{2, false, false});
        QVERIFY2(m_lab->up(), m_lab->error().c_str());
        const auto written = runs::writeTarget(m_rig->layout(), test::labTarget("pair", 1, 2));
        QVERIFY2(written.ok(), written.ok() ? "" : written.error().message.c_str());
        Json document = spec::defaultRunSpecDocument();
        const std::pair<const char*, Json> values[] = {
            {"task.kind", "command"},
            {"task.command",
             Json::array({"sh", "-c",
                          "i=0; while [ $i -lt 6000 ]; do i=$((i+1)); echo \"rank $RANK line $i\"; sleep 0.1; done"})},
            {"target", "pair"},
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
        QVERIFY(waitFor([&] { return !made.isEmpty(); }, kLong));
        m_page = m_rig->go<ui::RunPage>(QStringLiteral("run/") + made);
        QVERIFY(m_page);
        QVERIFY(isIn(RunState::Running));
        QVERIFY(waitFor([&] { return m_page->detail()->ranks.size() == 2 && m_page->detail()->ranks[1].logLines > 0; },
                        kSoon));
    }
    void cleanupTestCase() {
        m_rig.reset();
        m_lab.reset();
    }

    void oneHost_isNamedWithWhatItOwes() {
        QVERIFY(m_lab->cut(2));
        QVERIFY(waitFor(
            [&] { return notice("runSilentHosts").contains(QStringLiteral("node2 does not answer since ")); }, kLong));
        const QString text = notice("runSilentHosts");
        QVERIFY2(text.contains(QStringLiteral("rank 1 reported after ")) &&
                     !text.contains(QStringLiteral("node1 does not")),
                 qPrintable(text));
        // The run goes on with the other, and nothing says otherwise.
        QVERIFY2(notice("runReach").isEmpty(), qPrintable(notice("runReach")));
        QVERIFY(m_page->detail()->row.state == RunState::Running);
        m_rig->picture(QStringLiteral("silent-one"));
        QVERIFY(m_lab->heal(2));
        auto* again = m_rig->visible<ui::InlineError>(QStringLiteral("runSilentHosts"))->findChild<QPushButton*>();
        if (again && again->isVisible()) QTest::mouseClick(again, Qt::LeftButton);
        QVERIFY(waitFor([&] { return notice("runSilentHosts").isEmpty(); }, kLong));
        QVERIFY(isIn(RunState::Running));
        const std::int64_t before = m_page->detail()->ranks[1].logLines;
        QVERIFY(waitFor([&] { return m_page->detail()->ranks[1].logLines > before + 5; }, kSoon));
    }

    void cancelWhileBothAreAway_isRememberedAndCarriedOut() {
        QVERIFY(m_lab->cut(0));
        QVERIFY(waitFor([&] { return notice("runReach").contains(QStringLiteral("cannot be reached since")); }, kLong));
        QVERIFY(isIn(RunState::Lost));
        m_rig->questions().setNextAnswer(QStringLiteral("cancel"));
        auto* cancel = m_rig->visible<QAbstractButton>(QStringLiteral("cancelRunActionButton"));
        QVERIFY(cancel);
        QTest::mouseClick(cancel, Qt::LeftButton);
        QVERIFY(waitFor([&] { return notice("runCancelRemembered").contains(QStringLiteral("remembered")); }, kSoon));
        QVERIFY(m_page->detail()->row.state == RunState::Lost);
        m_rig->picture(QStringLiteral("silent-cancel-remembered"));
        QVERIFY(m_lab->heal(0));
        QVERIFY(isIn(RunState::Canceled));
        QVERIFY(notice("runCancelRemembered").isEmpty());
        for (const int host : {1, 2}) {
            const auto left = m_lab->run(host, {"pgrep", "-f", "lt 6000"});
            QVERIFY2(left.exitCode != 0, left.out.c_str());
        }
    }

private:
    std::unique_ptr<WindowRig> m_rig;
    std::unique_ptr<test::Lab> m_lab;
    ui::RunPage* m_page = nullptr;
};

TRAINYARD_GUI_TEST(SilentHostTest)
#include "tst_SilentHost.moc"
