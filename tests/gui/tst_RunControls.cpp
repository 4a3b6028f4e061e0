// What is done with a training by clicks while it goes on and after: a checkpoint, a pause, going on for more epochs.
#include <QLabel>
#include <QMenu>
#include <QPushButton>
#include <QTimer>

#include "core/spec/RunSpec.h"
#include "core/store/Reader.h"
#include "tests/gui/WindowRig.h"
#include "tests/helpers/Skip.h"
#include "ui/forms/FormDocument.h"
#include "ui/runs/NewRunPage.h"
#include "ui/runs/NewRunPanels.h"
#include "ui/runs/RunPage.h"
#include "ui/runs/RunRef.h"

using namespace trainyard;
using base::Json;
using spec::RunState;
using test::waitFor;
using test::WindowRig;

namespace {
constexpr int kSoon = 20'000;
constexpr int kLong = 90'000;
/// More than the test takes, so that only a click ends it.
constexpr int kEndless = 5000;
}  // namespace

class RunControlsTest : public QObject {
    Q_OBJECT

private:
    bool click(const QString& button) {
        QAbstractButton* found = nullptr;
        (void) waitFor(
            [&] { return (found = m_rig->visible<QAbstractButton>(button)) != nullptr && found->isEnabled(); }, kSoon);
        if (found == nullptr || !found->isEnabled()) return false;
        QTest::mouseClick(found, Qt::LeftButton);
        return true;
    }
    /// Opens the menu behind the dots and clicks an entry, as a person does: the menu waits for it.
    bool choose(const QString& action) {
        bool chosen = false;
        QTimer look;
        int looks = 0;
        connect(&look, &QTimer::timeout, this, [&] {
            auto* menu = qobject_cast<QMenu*>(QApplication::activePopupWidget());
            if (menu == nullptr) return;
            for (QAction* one : menu->actions()) {
                if (one->objectName() != action || !one->isVisible() || !one->isEnabled()) continue;
                look.stop();
                chosen = true;
                return QTest::mouseClick(menu, Qt::LeftButton, {}, menu->actionGeometry(one).center());
            }
            if (++looks < 50) return;
            look.stop();
            menu->close();
        });
        look.start(20);
        return click(QStringLiteral("moreRunActionButton")) &&
               waitFor([&] { return chosen || !look.isActive(); }, kSoon) && chosen;
    }
    /// The number behind `words` in the notice at the window's edge; -1 while it says something else.
    std::int64_t told(const QString& words) const {
        auto* label = m_rig->visible<QLabel>(QStringLiteral("noticeLabel"));
        const QString text = label ? label->text() : QString();
        const qsizetype at = text.indexOf(words);
        if (at < 0) return -1;
        QString digits;
        for (const QChar c : text.mid(at + words.size())) {
            if (c.isDigit()) digits += c;
        }
        return digits.isEmpty() ? -1 : digits.toLongLong();
    }
    bool isIn(RunState state, int millis) const {
        const bool reached = waitFor([&] { return m_page->detail() && m_page->detail()->row.state == state; }, millis);
        if (!reached && m_page->detail()) qWarning("%s", m_page->detail()->row.stateReason.c_str());
        return reached;
    }
    bool showsRun(std::int64_t number) const {
        return waitFor([&] { return m_page->detail() && m_page->detail()->row.number == number; }, kSoon);
    }
    std::int64_t firstStep() const {
        const store::MetricSummary* loss = ui::metricOf(m_page->detail()->row, "train/loss");
        return loss ? loss->firstStep : -1;
    }
    /// Fills the form with the sample's data and a small model, and launches it.
    bool launch(int epochs) {
        auto* form = m_rig->go<ui::NewRunPage>(QStringLiteral("new?q=sample"));
        const auto filled = [&] {
            return !form->subtitle().isEmpty() && form->findChild<ui::DatasetPanel*>()->preview().has_value();
        };
        if (!form || !waitFor(filled, 30'000)) return false;
        const std::pair<const char*, Json> values[] = {{"task.model.family", "mlp"},
                                                       {"task.dataset.train_limit", 4000},
                                                       {"task.dataset.val_limit", 200},
                                                       {"task.epochs", epochs}};
        for (const auto& [path, value] : values) form->document().setValue(QString::fromLatin1(path), value);
        if (!form->document().validateNow().empty() || !click(QStringLiteral("launchActionButton"))) return false;
        if (!waitFor([&] { return qobject_cast<ui::RunPage*>(m_rig->window().page()) != nullptr; }, kSoon))
            return false;
        m_page = qobject_cast<ui::RunPage*>(m_rig->window().page());
        return true;
    }

private Q_SLOTS:
    void initTestCase() {
        if (!std::filesystem::exists("/usr/share/datasets/fashion-mnist"))
            TRAINYARD_SKIP("Needs the package dataset-fashion-mnist.");
        m_rig = std::make_unique<WindowRig>(WindowRig::Fill::Nothing);
        m_rig->window().resize(1500, 900);
    }
    void cleanupTestCase() { m_rig.reset(); }

    void training_keepsACheckpointPausesAndGoesOn() {
        QVERIFY(launch(kEndless));
        QVERIFY(isIn(RunState::Running, kLong));
        QVERIFY(waitFor([&] { return firstStep() >= 0; }, kLong));
        QVERIFY(choose(QStringLiteral("checkpointAction")));
        std::int64_t kept = -1;
        QVERIFY(waitFor([&] { return (kept = told(QStringLiteral("checkpoint at step "))) > 0; }, kLong));
        QVERIFY(m_page->detail()->row.state == RunState::Running);
        m_rig->picture(QStringLiteral("controls-checkpoint"));

        // No answer is no.
        QVERIFY(click(QStringLiteral("pauseRunActionButton")));
        QVERIFY(waitFor([&] { return m_rig->questions().asked().contains(QStringLiteral("run.pause")); }, kSoon));
        QTest::qWait(500);
        QVERIFY(m_page->detail()->row.state == RunState::Running);
        m_rig->questions().setNextAnswer(QStringLiteral("pause"));
        QVERIFY(click(QStringLiteral("pauseRunActionButton")));
        std::int64_t paused = -1;
        QVERIFY(waitFor([&] { return (paused = told(QStringLiteral("paused at step "))) > 0; }, kLong));
        QVERIFY2(paused > kept, qPrintable(QStringLiteral("%1 after %2").arg(paused).arg(kept)));
        QVERIFY(isIn(RunState::Canceled, kLong));
        QVERIFY(
            waitFor([&] { return m_page->primaryAction() && m_page->primaryAction()->objectName() == u"resumeAction"; },
                    kSoon));
        m_rig->picture(QStringLiteral("controls-paused"));

        // Resume leads to the run that goes on, from the step at which the other was left.
        QVERIFY(click(QStringLiteral("resumeActionButton")));
        QVERIFY(showsRun(2));
        QVERIFY(isIn(RunState::Running, kLong));
        QVERIFY(waitFor([&] { return firstStep() >= 0; }, kLong));
        QVERIFY2(firstStep() > paused, qPrintable(QString::number(firstStep())));
        QVERIFY(m_page->detail()->parent && m_page->detail()->parent->number == 1);
        m_rig->questions().setNextAnswer(QStringLiteral("cancel"));
        QVERIFY(click(QStringLiteral("cancelRunActionButton")));
        QVERIFY(isIn(RunState::Canceled, kLong));
    }

    void completed_trainsFurther() {
        QVERIFY(launch(1));
        QVERIFY(isIn(RunState::Completed, kLong));
        QVERIFY(waitFor([&] { return firstStep() >= 0; }, kSoon));
        const std::int64_t number = m_page->detail()->row.number;
        const store::MetricSummary* loss = ui::metricOf(m_page->detail()->row, "train/loss");
        QVERIFY(loss);
        const std::int64_t last = loss->lastStep;
        m_rig->questions().setNextAnswer(QStringLiteral("2"));
        QVERIFY(choose(QStringLiteral("extendAction")));
        QVERIFY(showsRun(number + 1));
        QVERIFY(m_rig->questions().asked().last().contains(QString::number(number)));
        QVERIFY(isIn(RunState::Completed, kLong));
        QCOMPARE(*spec::valueAt(m_page->detail()->spec, "task.epochs"), Json(3));
        QVERIFY(waitFor([&] { return firstStep() > last; }, kSoon));
        QCOMPARE(ui::metricOf(m_page->detail()->row, "val/accuracy")->count, std::int64_t{2});
        m_rig->picture(QStringLiteral("controls-further"));
    }

private:
    std::unique_ptr<WindowRig> m_rig;
    ui::RunPage* m_page = nullptr;
};

TRAINYARD_GUI_TEST(RunControlsTest)
#include "tst_RunControls.moc"
