#include "ui/runs/RunPage.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLineEdit>
#include <QMenu>
#include <QProgressBar>
#include <QTabWidget>
#include <QVBoxLayout>

#include "core/base/Clock.h"
#include "core/commands/Session.h"
#include "ui/forms/JsonRead.h"
#include "ui/runs/CodeTab.h"
#include "ui/runs/ConfigurationTab.h"
#include "ui/runs/EnvironmentTab.h"
#include "ui/runs/FailurePanel.h"
#include "ui/runs/LogTab.h"
#include "ui/runs/LogView.h"
#include "ui/runs/MetricsTab.h"
#include "ui/runs/OutputsTab.h"
#include "ui/runs/RecordsTab.h"
#include "ui/runs/ReproductionNotice.h"
#include "ui/runs/RunActions.h"
#include "ui/runs/RunNotices.h"
#include "ui/runs/RunRef.h"
#include "ui/runs/RunTables.h"
#include "ui/runs/StageStrip.h"
#include "ui/runs/SystemTab.h"
#include "ui/shell/Icons.h"
#include "ui/shell/Shell.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Chips.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Json;
using base::Result;
using spec::RunState;

namespace {
constexpr int kReadMillis = 100;
constexpr int kProgressScale = 1000;
}  // namespace

RunPage::RunPage(Shell& shell, QWidget* parent)
    : Page(QStringLiteral("run"), parent), m_shell(shell), m_actions(new RunActions(shell, this)) {
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    m_body = new QWidget(this);
    auto* body = new QVBoxLayout(m_body);
    body->setContentsMargins(0, 0, 0, 0);
    body->setSpacing(0);
    body->addWidget(buildHead());
    buildTabs();
    body->addWidget(m_tabs, 1);
    column->addWidget(m_body, 1);
    m_missing = new EmptyState(QStringLiteral("search"), tr("No such run"),
                               tr("It may have been deleted, or belong to another workspace."), this);
    connect(m_missing->addSecondary(tr("All runs")), &QPushButton::clicked, this,
            [this] { m_shell.open({QStringLiteral("runs")}); });
    m_missing->hide();
    column->addWidget(m_missing, 1);
    m_body->hide();
    buildActions();

    m_soon.setSingleShot(true);
    m_soon.setInterval(kReadMillis);
    connect(&m_soon, &QTimer::timeout, this, &RunPage::read);
    m_clock.setInterval(1000);
    connect(&m_clock, &QTimer::timeout, this, &RunPage::showTime);
    connect(shell.session(), &commands::Session::runsChanged, this, &RunPage::note);
    connect(m_actions, &RunActions::removed, this, [this](const base::RunId& run) {
        // Who has gone on to another page meanwhile stays there.
        if (m_active && m_wanted == fromUtf8(run.str())) m_shell.open({QStringLiteral("runs")});
    });
}

QWidget* RunPage::buildHead() {
    const Theme& theme = Theme::current();
    auto* head = new QWidget(m_body);
    auto* column = new QVBoxLayout(head);
    column->setContentsMargins(theme.space(4), theme.space(0), theme.space(4), theme.space(1));
    column->setSpacing(theme.space(1));

    auto* line = new QHBoxLayout;
    line->setSpacing(theme.space(2));
    m_name = new QLineEdit(head);
    m_name->setObjectName(QStringLiteral("runNameLine"));
    m_name->setAccessibleName(tr("Name of the run"));
    m_name->setToolTip(tr("Click or press F2 to rename"));
    m_name->setFont(theme.font(TextStyle::Title));
    m_name->setFrame(false);
    m_name->setProperty("quiet", true);
    m_name->setMaxLength(200);
    m_name->installEventFilter(this);
    m_chip = new StateChip(RunState::Draft, head);
    m_chip->setObjectName(QStringLiteral("runStateChip"));
    m_attempts = new QComboBox(head);
    m_attempts->setObjectName(QStringLiteral("runAttemptCombo"));
    m_attempts->setAccessibleName(tr("Attempt"));
    m_attempts->setToolTip(tr("Which attempt log, ranks and measurements are shown of"));
    m_attempts->setSizeAdjustPolicy(QComboBox::AdjustToContents);
    m_attempts->hide();
    line->addWidget(m_name, 1);
    line->addWidget(m_attempts);
    line->addWidget(m_chip);
    column->addLayout(line);

    m_reason = new ElidedLabel({}, TextStyle::Body, Role::Muted, head);
    m_reason->setObjectName(QStringLiteral("runReasonLabel"));
    column->addWidget(m_reason);

    m_attemptText = new ElidedLabel({}, TextStyle::Secondary, Role::Muted, head);
    m_attemptText->setObjectName(QStringLiteral("runAttemptLabel"));
    m_attemptText->hide();
    column->addWidget(m_attemptText);

    m_stages = new StageStrip(head);
    column->addWidget(m_stages);
    m_notices = new RunNotices(m_shell, head);
    column->addWidget(m_notices);
    m_reproduction = new ReproductionNotice(m_shell, head);
    column->addWidget(m_reproduction);

    auto* progress = new QHBoxLayout;
    progress->setSpacing(theme.space(2));
    m_progress = new QProgressBar(head);
    m_progress->setObjectName(QStringLiteral("runProgressBar"));
    m_progress->setRange(0, kProgressScale);
    m_progress->setTextVisible(false);
    m_progress->setFixedHeight(6);
    m_progress->setAccessibleName(tr("Progress of the run"));
    column->addWidget(m_progress);
    m_progressText = new ElidedLabel({}, TextStyle::Secondary, Role::Muted, head);
    m_progressText->setObjectName(QStringLiteral("runProgressLabel"));
    m_timeLeft = new TextLabel({}, TextStyle::Secondary, Role::Text, head);
    m_timeLeft->setObjectName(QStringLiteral("runTimeLeftLabel"));
    progress->addWidget(m_progressText, 1);
    progress->addWidget(m_timeLeft);
    column->addLayout(progress);

    connect(m_name, &QLineEdit::editingFinished, this, &RunPage::rename);
    connect(m_attempts, &QComboBox::activated, this, [this] {
        m_attempt = m_attempts->currentData().toInt();
        showAttempts();
        showParts();
    });
    return head;
}

void RunPage::buildTabs() {
    commands::Session& session = *m_shell.session();
    m_tabs = new QTabWidget(m_body);
    m_tabs->setObjectName(QStringLiteral("runTabs"));
    m_tabs->setDocumentMode(true);
    m_tabs->setUsesScrollButtons(true);
    m_failure = new FailurePanel(m_tabs);
    m_metrics = new MetricsTab(session, m_tabs);
    m_records = new RecordsTab(m_shell, m_tabs);
    m_log = new LogTab(session, m_tabs);
    m_system = new SystemTab(session, m_tabs);
    m_ranks = new RanksTab(m_tabs);
    m_outputs = new OutputsTab(session, m_tabs);
    m_environment = new EnvironmentTab(session, m_tabs);
    m_configuration = new ConfigurationTab(m_tabs);
    m_code = new CodeTab(m_shell, m_tabs);
    m_notes = new NotesTab(m_tabs);
    m_failure->setObjectName(QStringLiteral("why"));
    m_metrics->setObjectName(QStringLiteral("metrics"));
    m_records->setObjectName(QStringLiteral("records"));
    m_log->setObjectName(QStringLiteral("log"));
    m_system->setObjectName(QStringLiteral("system"));
    m_ranks->setObjectName(QStringLiteral("ranks"));
    m_outputs->setObjectName(QStringLiteral("outputs"));
    m_environment->setObjectName(QStringLiteral("environment"));
    m_configuration->setObjectName(QStringLiteral("configuration"));
    m_code->setObjectName(QStringLiteral("code"));
    m_notes->setObjectName(QStringLiteral("notes"));
    m_tabs->addTab(m_failure, tr("Why it failed"));
    m_tabs->addTab(m_metrics, tr("Metrics"));
    m_tabs->addTab(m_records, tr("Records"));
    m_tabs->addTab(m_log, tr("Log"));
    m_tabs->addTab(m_system, tr("System"));
    m_tabs->addTab(m_ranks, tr("Ranks"));
    m_tabs->addTab(m_outputs, tr("Outputs"));
    m_tabs->addTab(m_environment, tr("Environment"));
    m_tabs->addTab(m_configuration, tr("Configuration"));
    m_tabs->addTab(m_code, tr("Code"));
    m_tabs->addTab(m_notes, tr("Notes"));
    m_tabs->setTabVisible(0, false);
    m_tabs->setTabVisible(m_tabs->indexOf(m_environment), false);
    m_tabs->setTabVisible(m_tabs->indexOf(m_records), false);
    m_tabs->setCurrentWidget(m_metrics);

    connect(m_tabs, &QTabWidget::currentChanged, this, [this] {
        Q_EMIT stateChanged();
        Q_EMIT addressChanged();
    });
    connect(m_metrics, &MetricsTab::stateChanged, this, &RunPage::stateChanged);
    const auto showRank = [this](int rank) {
        m_log->showRank(rank);
        m_tabs->setCurrentWidget(m_log);
    };
    connect(m_failure, &FailurePanel::logRequested, this, showRank);
    connect(m_ranks, &RanksTab::logRequested, this, showRank);
    connect(m_failure, &FailurePanel::duplicateRequested, this, [this] { m_duplicate->trigger(); });
    connect(m_failure, &FailurePanel::resumeRequested, this, [this] { m_resume->trigger(); });
    connect(m_outputs, &OutputsTab::downloadRequested, this, [this](const QStringList& paths) {
        if (m_detail) m_actions->download(m_detail->row.id, paths);
    });
    connect(m_outputs, &OutputsTab::registerRequested, this, [this](const QStringList& paths) {
        if (m_detail) m_actions->registerFiles(m_detail->row, paths);
    });
    connect(m_outputs, &OutputsTab::collectRequested, this, [this] {
        if (m_detail) m_actions->collect(m_detail->row.id);
    });
    connect(m_configuration, &ConfigurationTab::parentRequested, m_actions, &RunActions::open);
    connect(m_notes, &NotesTab::notesEdited, this, [this](const QString& text) {
        if (m_detail) m_actions->setNotes(m_detail->row.id, text);
    });
    connect(m_notes, &NotesTab::tagsEdited, this, [this](const store::Strings& tags) {
        if (m_detail) m_actions->setTags(m_detail->row, tags);
    });
}

void RunPage::buildActions() {
    const auto make = [this](const char* iconName, const QString& text, const char* object, auto slot) {
        auto* action = new QAction(icon(QString::fromLatin1(iconName)), text, this);
        action->setObjectName(QString::fromLatin1(object));
        connect(action, &QAction::triggered, this, [this, slot] {
            if (m_detail) slot();
        });
        return action;
    };
    m_register =
        make("models", tr("Register model"), "registerAction", [this] { m_actions->registerModel(m_detail->row.id); });
    m_try = make("tryit", tr("Try it"), "tryRunAction", [this] {
        m_shell.open({QStringLiteral("try"), {QStringLiteral("run:") + QString::number(m_detail->row.number)}});
    });
    m_resume = make("play", tr("Resume"), "resumeAction", [this] { m_actions->resume(m_detail->row); });
    m_pause = make("pause", tr("Pause"), "pauseRunAction", [this] { m_actions->pause(m_detail->row); });
    m_pause->setToolTip(tr("Writes a checkpoint and ends the run; Resume goes on from there"));
    m_cancel = make("stop", tr("Cancel"), "cancelRunAction", [this] { m_actions->cancel(m_detail->row); });
    m_giveUp = make("lost", tr("Give up"), "giveUpAction", [this] { m_actions->giveUp(m_detail->row); });
    m_giveUp->setToolTip(tr("Ends the run here without knowing what becomes of it on its target"));
    m_duplicate =
        make("duplicate", tr("Duplicate"), "duplicateAction", [this] { m_actions->duplicate(m_detail->row.id); });
    m_more = new QAction(icon(QStringLiteral("more")), tr("More"), this);
    m_more->setObjectName(QStringLiteral("moreRunAction"));
    auto* menu = new QMenu(this);
    menu->addAction(make("edit", tr("Rename"), "renameAction", [this] {
        m_name->setFocus(Qt::ShortcutFocusReason);
        m_name->selectAll();
    }));
    QAction* reproduce =
        make("refresh", tr("Reproduce"), "reproduceAction", [this] { m_actions->reproduce(m_detail->row.id); });
    reproduce->setToolTip(tr("Submits the same code, data and seed again, as a run of its own"));
    menu->addAction(reproduce);
    QAction* checkpoint =
        make("finalize", tr("Checkpoint now"), "checkpointAction", [this] { m_actions->checkpoint(m_detail->row); });
    checkpoint->setToolTip(tr("Keeps the state of the training at the next step's end"));
    menu->addAction(checkpoint);
    QAction* extend = make("plus", tr("Train further…"), "extendAction", [this] { m_actions->extend(m_detail->row); });
    extend->setToolTip(tr("Goes on from the last checkpoint for more epochs, as a new run"));
    menu->addAction(extend);
    QAction* goOn =
        make("play", tr("Go on from its outputs…"), "goOnAction", [this] { m_actions->goOn(m_detail->row.id); });
    goOn->setToolTip(tr("A new run of the same script that finds what this one left"));
    menu->addAction(goOn);
    menu->addAction(make("download", tr("Copy outputs to…"), "downloadAction",
                         [this] { m_actions->download(m_detail->row.id, {}); }));
    menu->addAction(
        make("link", tr("Copy address"), "copyAddressAction", [this] { m_actions->copyAddress(m_detail->row.id); }));
    menu->addSeparator();
    QAction* archive = make("archive", tr("Archive"), "archiveAction",
                            [this] { m_actions->archive({m_detail->row}, !m_detail->row.archived); });
    QAction* remove = make("trash", tr("Delete…"), "deleteAction", [this] { m_actions->remove({m_detail->row}); });
    menu->addAction(archive);
    menu->addAction(remove);
    connect(menu, &QMenu::aboutToShow, this, [this, archive, remove, reproduce, checkpoint, extend, goOn] {
        const bool over = m_detail && spec::isFinal(m_detail->row.state);
        const bool train = m_detail && m_detail->row.taskKind == "train";
        checkpoint->setVisible(train && !over);
        checkpoint->setEnabled(train && m_detail->row.state == RunState::Running);
        extend->setVisible(train && over && hasCheckpoint(*m_detail));
        goOn->setVisible(m_detail && !train && over && !m_detail->outputs.empty());
        archive->setEnabled(over);
        reproduce->setEnabled(over);
        archive->setText(m_detail && m_detail->row.archived ? tr("Take out of the archive") : tr("Archive"));
        remove->setEnabled(over);
    });
    m_more->setMenu(menu);
    showActions();
}

QString RunPage::title() const { return m_detail ? tr("Run #%1").arg(m_detail->row.number) : tr("Run"); }

QString RunPage::subtitle() const { return m_detail ? fromUtf8(m_detail->row.experiment) : QString(); }

bool RunPage::openAddress(const Address& address) {
    if (address.head != id() || address.parts.isEmpty()) return false;
    m_tabWanted = address.parts.value(1);
    const QString number = m_detail ? QString::number(m_detail->row.number) : QString();
    if (m_detail && (m_wanted == address.parts.first() || number == address.parts.first())) {
        showTab(m_tabWanted);
        return true;
    }
    m_wanted = address.parts.first();
    if (m_detail && fromUtf8(m_detail->row.id.str()) != m_wanted) {
        m_detail.reset();
        m_body->hide();
    }
    m_missing->hide();
    read();
    return true;
}

Address RunPage::address() const {
    const QString tab = m_tabs->currentWidget() ? m_tabs->currentWidget()->objectName() : QString();
    QStringList parts{m_detail ? fromUtf8(m_detail->row.id.str()) : m_wanted};
    if (tab != u"metrics") parts << tab;
    return {id(), parts};
}

void RunPage::activated() {
    m_active = true;
    m_clock.start();
    if (!m_wanted.isEmpty()) read();
}

void RunPage::deactivated() {
    m_active = false;
    m_clock.stop();
}

QWidget* RunPage::firstFocus() { return m_tabs; }

void RunPage::note(const QList<runs::RunChange>& changes) {
    if (!m_active || !m_detail) return;
    for (const runs::RunChange& change : changes) {
        if (change.run != m_detail->row.id) continue;
        if (change.parts & runs::RunPart::Log) m_log->refresh();
        if (!m_soon.isActive()) m_soon.start();
        return;
    }
}

void RunPage::read() {
    if (m_reading) {
        m_readAgain = true;
        return;
    }
    m_reading = true;
    const std::string wanted = m_wanted.toStdString();
    m_shell.session()->query(
        this, QStringLiteral("run.detail"), [wanted](store::Reader& reader) { return readRunDetail(reader, wanted); },
        [this, wanted](Result<RunDetail> detail) {
            m_reading = false;
            const bool again = std::exchange(m_readAgain, false);
            if (wanted == m_wanted.toStdString()) {
                if (detail) {
                    take(std::move(*detail));
                } else if (detail.error().code != "canceled") {
                    m_detail.reset();
                    m_body->hide();
                    m_missing->setTexts(tr("No such run"), fromUtf8(detail.error().message));
                    m_missing->show();
                    showActions();
                    Q_EMIT titleChanged();
                }
            }
            if (again) read();
        });
}

void RunPage::take(RunDetail detail) {
    const bool other = !m_detail || m_detail->row.id != detail.row.id;
    const bool wasFailed = m_detail && !other && m_detail->row.state == RunState::Failed;
    m_detail = std::move(detail);
    m_wanted = fromUtf8(m_detail->row.id.str());
    const bool failed = m_detail->row.state == RunState::Failed;
    m_missing->hide();
    m_tabs->setTabVisible(0, failed);
    showHead();
    if (failed) m_failure->setDetail(*m_detail);
    m_metrics->setDetail(*m_detail);
    if (other) m_attempt = 0;
    showAttempts();
    showParts();
    m_reproduction->setDetail(*m_detail);
    m_outputs->setDetail(*m_detail);
    m_configuration->setDetail(*m_detail);
    m_code->setDetail(*m_detail);
    m_notes->setDetail(*m_detail);
    m_tabs->setTabText(m_tabs->indexOf(m_outputs),
                       m_detail->outputs.empty() ? tr("Outputs") : tr("Outputs (%1)").arg(m_detail->outputs.size()));
    m_body->show();
    if (other) {
        if (m_tabWanted.isEmpty()) m_tabWanted = failed ? QStringLiteral("why") : QString();
        showTab(m_tabWanted);
    } else if (failed && !wasFailed && m_tabs->currentWidget() == m_metrics) {
        m_tabs->setCurrentWidget(m_failure);
    }
    showActions();
    Q_EMIT titleChanged();
    if (other) Q_EMIT addressChanged();
}

void RunPage::showAttempts() {
    const int newest = m_detail->row.attempts;
    if (m_attempt > newest) m_attempt = 0;
    m_attempts->setVisible(newest > 1);
    if (newest > 1 && m_attempts->count() != newest) {
        m_attempts->clear();
        m_attempts->addItem(tr("Newest attempt (%1)").arg(newest), 0);
        for (int i = newest - 1; i >= 1; --i) m_attempts->addItem(tr("Attempt %1").arg(i), i);
    }
    m_attempts->setCurrentIndex(std::max(0, m_attempts->findData(m_attempt)));
    QStringList parts;
    QStringList hosts;
    if (m_attempt > 0) {
        for (const store::AttemptRow& one : m_detail->attempts) {
            if (one.attempt != m_attempt) continue;
            if (!one.host.empty() && !hosts.contains(fromUtf8(one.host))) hosts << fromUtf8(one.host);
            if (one.node != 0) continue;
            if (one.startedAt != 0) parts << tr("began %1").arg(formatTime(one.startedAt));
            if (one.startedAt != 0 && one.endedAt != 0)
                parts << tr("ran %1").arg(formatDuration((one.endedAt - one.startedAt) * 1000));
            parts << (one.reason.empty()
                          ? (one.outcome.empty() ? tr("was cut off without a word") : fromUtf8(one.outcome))
                          : fromUtf8(one.reason));
        }
        if (!hosts.isEmpty()) parts.prepend(tr("on %1").arg(hosts.join(QStringLiteral(", "))));
        parts.prepend(tr("Attempt %1").arg(m_attempt));
    }
    m_attemptText->setText(parts.join(QStringLiteral(" · ")));
    m_attemptText->setVisible(!parts.isEmpty());
}

void RunPage::showParts() {
    m_log->setDetail(*m_detail, m_attempt);
    m_tabs->setTabVisible(m_tabs->indexOf(m_records), m_records->setDetail(*m_detail, m_attempt));
    m_system->setDetail(*m_detail, m_attempt);
    m_ranks->setDetail(*m_detail, m_attempt);
    m_tabs->setTabVisible(m_tabs->indexOf(m_environment), m_environment->setDetail(*m_detail, m_attempt));
}

void RunPage::showTab(const QString& name) {
    for (int i = 0; i < m_tabs->count(); ++i) {
        if (m_tabs->widget(i)->objectName() == name && m_tabs->isTabVisible(i)) return m_tabs->setCurrentIndex(i);
    }
    if (m_tabs->currentWidget() == m_failure || name.isEmpty()) m_tabs->setCurrentWidget(m_metrics);
}

void RunPage::showHead() {
    const store::RunRow& row = m_detail->row;
    if (!m_name->hasFocus()) {
        m_name->setText(fromUtf8(row.name));
        m_name->setCursorPosition(0);
    }
    m_chip->setState(row.state);
    // A reason is worth a line where it explains something; a failed run tells its own below.
    const bool tell = !row.stateReason.empty() && row.state != RunState::Failed;
    m_reason->setVisible(tell);
    m_reason->setText(fromUtf8(row.stateReason));
    m_stages->setRun(row, m_detail->stages);
    m_notices->setDetail(*m_detail);
    showTime();
}

void RunPage::showTime() {
    if (!m_detail) return;
    const store::RunRow& row = m_detail->row;
    const std::optional<double> fraction = fractionOf(row);
    const bool over = spec::isFinal(row.state);
    const store::Progress* reported = progressOf(row);
    // A bar that never moves says nothing.
    m_progress->setVisible(!over && (fraction || row.state != RunState::Running));
    m_progress->setValue(fraction ? static_cast<int>(*fraction * kProgressScale) : 0);
    QStringList parts;
    if (reported && row.state != RunState::Completed) {
        store::Progress progress = *reported;
        if (over || row.state == RunState::Lost) progress.rate = 0;
        parts << progressText(progress);
    }
    if (over) {
        if (row.startedAt != 0) parts << tr("ran %1").arg(formatDuration(durationOf(row, base::wallMicros())));
        if (row.endedAt != 0) parts << tr("ended %1").arg(formatAgo(row.endedAt));
    } else if (row.state == RunState::Lost) {
        if (reported) parts << tr("last heard of %1").arg(formatAgo(reported->at));
    } else if (row.startedAt != 0) {
        parts << tr("running for %1").arg(formatDuration(durationOf(row, base::wallMicros())));
    }
    m_progressText->setText(parts.join(QStringLiteral(" · ")));
    QString left;
    // Nobody knows how far a Lost run has come.
    const bool lost = row.state == RunState::Lost;
    if (!over && !lost && reported && reported->etaNanos > 0) {
        // The estimate ages between two reports.
        const std::int64_t since = (base::wallMicros() - reported->at) * 1000;
        left = tr("%1 left").arg(
            formatDuration(std::max<std::int64_t>(0, reported->etaNanos - std::max<std::int64_t>(0, since))));
        if (fraction) left = formatPercent(*fraction) + QStringLiteral(" · ") + left;
    }
    m_timeLeft->setText(left);
}

void RunPage::showActions() {
    QAction* primary = nullptr;
    QList<QAction*> actions;
    if (m_detail) {
        const store::RunRow& row = m_detail->row;
        const bool over = spec::isFinal(row.state);
        const bool model = row.state == RunState::Completed && row.taskKind == "train";
        if (model) primary = m_register;
        const bool resumable = over && row.taskKind == "train" && hasCheckpoint(*m_detail);
        if (resumable && !model) primary = m_resume;
        if (over && !primary) primary = m_duplicate;
        if (row.state == RunState::Running && row.taskKind == "train") actions << m_pause;
        if (!over) actions << m_cancel;
        if (row.state == RunState::Lost) actions << m_giveUp;
        if (model) actions << m_try;
        if (primary != m_duplicate) actions << m_duplicate;
        if (resumable && primary != m_resume) actions << m_resume;
        actions << m_more;
    }
    const bool same = primary == primaryAction() && actions == contextActions();
    if (same) return;
    for (QAction* action : {m_register, m_resume, m_duplicate}) {
        const char* name = action == m_register ? "models" : action == m_resume ? "play" : "duplicate";
        action->setIcon(icon(QString::fromLatin1(name), action == primary ? Role::AccentText : Role::Text));
    }
    setPrimaryAction(primary);
    setContextActions(actions);
}

void RunPage::rename() {
    if (!m_detail) return;
    const std::string name = m_name->text().trimmed().toStdString();
    if (name.empty()) {
        m_name->setText(fromUtf8(m_detail->row.name));
        return;
    }
    if (name == m_detail->row.name) return;
    const std::string before = std::exchange(m_detail->row.name, name);
    m_shell.session()->start("run.rename", Json{{"run", m_detail->row.id.str()}, {"name", name}}, this,
                             [this, before](const Result<Json>& result) {
                                 if (result) return;
                                 m_shell.warn(result.error());
                                 if (m_detail) m_detail->row.name = before;
                                 m_name->setText(fromUtf8(before));
                             });
}

bool RunPage::eventFilter(QObject* watched, QEvent* event) {
    if (watched == m_name && event->type() == QEvent::KeyPress) {
        const auto* key = static_cast<QKeyEvent*>(event);
        if (key->key() == Qt::Key_Escape && m_detail) {
            m_name->setText(fromUtf8(m_detail->row.name));
            m_name->clearFocus();
            return true;
        }
        if (key->key() == Qt::Key_Return || key->key() == Qt::Key_Enter) {
            rename();
            m_tabs->setFocus(Qt::OtherFocusReason);
            return true;
        }
    }
    return Page::eventFilter(watched, event);
}

Json RunPage::saveState() const {
    return {{"run", m_wanted.toStdString()},
            {"tab", m_tabs->currentWidget() ? m_tabs->currentWidget()->objectName().toStdString() : std::string()},
            {"metrics", m_metrics->saveState()},
            {"system", m_system->saveState()}};
}

void RunPage::restoreState(const Json& state) {
    if (const Json* metrics = member(state, "metrics")) m_metrics->restoreState(*metrics);
    if (m_wanted.isEmpty()) {
        m_wanted = readString(state, "run");
        m_tabWanted = readString(state, "tab");
    }
}

}  // namespace trainyard::ui
