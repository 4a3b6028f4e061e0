#include "ui/targets/TargetPanels.h"

#include <QGridLayout>
#include <QLocale>
#include <QPlainTextEdit>
#include <QProgressBar>
#include <QVBoxLayout>
#include <algorithm>
#include <tuple>

#include "core/commands/Session.h"
#include "ui/forms/JsonRead.h"
#include "ui/seams/Questions.h"
#include "ui/shell/Shell.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Details.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Json;
using base::Result;

namespace {

constexpr int kMostLogLines = 5000;

QProgressBar* loadMeter(const QString& name, double fraction, QWidget* parent) {
    auto* bar = new QProgressBar(parent);
    bar->setRange(0, 1000);
    bar->setValue(static_cast<int>(std::clamp(fraction, 0.0, 1.0) * 1000));
    bar->setTextVisible(false);
    bar->setFixedHeight(6);
    bar->setAccessibleName(name);
    return bar;
}

int weightOf(const QString& finding) {
    return finding == u"failure" ? 0 : finding == u"warning" ? 1 : finding == u"unknown" ? 2 : 3;
}

ProgressStrip* addProgress(QVBoxLayout* column, const QString& title, QWidget* panel) {
    auto* progress = new ProgressStrip(panel);
    progress->setTitle(title);
    progress->setCancelable(true);
    progress->hide();
    column->addWidget(progress);
    return progress;
}

/// Cancels what a panel had started for another target.
void drop(QPointer<commands::Command>& command) {
    if (command) command->cancel();
    command = nullptr;
}

}  // namespace

LoadPanel::LoadPanel(QWidget* parent) : QWidget(parent) {
    m_column = panelColumn(this);
    m_column->setSpacing(Theme::current().space(2));
    m_note = new TextLabel({}, TextStyle::Body, Role::Muted, this);
    m_note->setObjectName(QStringLiteral("loadNoteLabel"));
    m_note->setWordWrap(true);
    m_column->addWidget(m_note);
}

void LoadPanel::setLoad(const Json& load, const QString& why) {
    for (QWidget* host : m_hosts) {
        m_column->removeWidget(host);
        host->hide();
        host->deleteLater();
    }
    m_hosts.clear();
    m_note->setText(why);
    m_note->setVisible(!why.isEmpty());
    const Theme& theme = Theme::current();
    for (const Json& host : readArray(load, "hosts")) {
        auto* block = new QWidget(this);
        auto* column = new QVBoxLayout(block);
        column->setContentsMargins(0, 0, 0, 0);
        column->setSpacing(theme.space(0));
        const QString name = readString(host, "host");
        if (!name.isEmpty()) column->addWidget(new ElidedLabel(name, TextStyle::BodyStrong, Role::Text, block));
        auto* grid = new QGridLayout;
        grid->setHorizontalSpacing(theme.space(3));
        grid->setVerticalSpacing(theme.space(0));
        grid->setColumnStretch(0, 1);
        grid->setColumnStretch(1, 1);
        int cell = 0;
        const auto add = [&](const QString& title, const QString& text, double fraction, const QString& tooltip = {}) {
            auto* label = new TextLabel(text, TextStyle::Secondary, Role::Text, block);
            label->setWordWrap(true);
            label->setToolTip(tooltip);
            grid->addWidget(label, cell / 2 * 2, cell % 2, Qt::AlignBottom);
            grid->addWidget(loadMeter(title, fraction, block), cell / 2 * 2 + 1, cell % 2);
            ++cell;
        };
        const std::int64_t cores = readInteger(host, "cores");
        const std::int64_t busy = readInteger(host, "cores_busy");
        if (cores > 0) {
            add(tr("Cores given to runs"),
                tr("%1 of %n core(s) given to runs, load %2", nullptr, static_cast<int>(cores))
                    .arg(busy)
                    .arg(QLocale().toString(readNumber(host, "load"), 'f', 1)),
                static_cast<double>(busy) / static_cast<double>(cores));
        }
        const std::int64_t memory = readInteger(host, "memory_bytes");
        const std::int64_t used = readInteger(host, "memory_used_bytes");
        if (memory > 0) {
            add(tr("Memory in use"), tr("Memory: %1 of %2").arg(formatBytes(used), formatBytes(memory)),
                static_cast<double>(used) / static_cast<double>(memory));
        }
        for (const Json& gpu : readArray(host, "gpus")) {
            const std::int64_t total = readInteger(gpu, "memory_bytes");
            const std::int64_t taken = readInteger(gpu, "memory_used_bytes");
            QString text =
                tr("GPU %1: %2 % busy, %3 of %4")
                    .arg(readInteger(gpu, "index"))
                    .arg(formatNumber(readNumber(gpu, "utilization_percent")), formatBytes(taken), formatBytes(total));
            const Json* lease = member(gpu, "lease");
            const Json* stranger = member(gpu, "stranger");
            const auto says = [](const Json* value) {
                return value && !value->is_null() && *value != false && *value != "" && *value != Json::object();
            };
            if (says(lease)) text += tr(" · given to a run");
            if (says(stranger)) text += tr(" · used by another program, not given to runs");
            add(tr("GPU %1").arg(readInteger(gpu, "index")), text, readNumber(gpu, "utilization_percent") / 100,
                readString(gpu, "name"));
        }
        column->addLayout(grid);
        QStringList facts;
        if (const std::int64_t free = readInteger(host, "disk_free_bytes"); free > 0)
            facts << tr("%1 of disk free").arg(formatBytes(free));
        if (const auto leases = readArray(host, "leases").size(); leases > 0)
            facts << tr("%n run(s) there", nullptr, static_cast<int>(leases));
        if (const auto waiting = readArray(host, "waiting").size(); waiting > 0)
            facts << tr("%n waiting", nullptr, static_cast<int>(waiting));
        if (!facts.isEmpty()) {
            auto* line = new TextLabel(facts.join(QStringLiteral(" · ")), TextStyle::Secondary, Role::Muted, block);
            line->setWordWrap(true);
            column->addWidget(line);
        }
        if (const QString error = readString(readObject(host, "error"), "message"); !error.isEmpty()) {
            auto* silent = new InlineError(block);
            silent->setObjectName(QStringLiteral("loadSilentHost"));
            silent->setMessage(InlineError::Kind::Warning, error);
            column->addWidget(silent);
        }
        m_column->addWidget(block);
        m_hosts.push_back(block);
    }
}

DoctorPanel::DoctorPanel(Shell& shell, QWidget* parent) : QWidget(parent), m_shell(shell) {
    m_when = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    m_when->setObjectName(QStringLiteral("doctorWhenLabel"));
    m_when->setWordWrap(true);
    m_start =
        panelButton(tr("Examine"), "check", "doctorButton", tr("Looks at everything that a run may need there"), this);
    auto* column = panelColumn(this, m_when, {m_start});
    m_progress = addProgress(column, tr("Examining"), this);
    m_error = addMessage(column, "doctorError", this);
    m_lines = new QVBoxLayout;
    m_lines->setSpacing(Theme::current().space(1));
    column->addLayout(m_lines);
    connect(m_start, &QuietButton::clicked, this, &DoctorPanel::examine);
    connect(m_progress, &ProgressStrip::cancelRequested, this, [this] {
        if (m_command) m_command->cancel();
    });
}

void DoctorPanel::setTarget(const QString& target, const Json& doctor) {
    if (target != m_target) {
        drop(m_command);
        m_target = target;
        m_progress->hide();
        m_start->setEnabled(true);
        m_error->clear();
        m_shown = Json();
        emptyLayout(m_lines);
    }
    if (m_command) return;
    const std::int64_t at = readInteger(doctor, "t");
    m_when->setText(at == 0 ? tr("Not examined yet. The doctor looks at reach, disk, cores, GPUs, software and clock, "
                                 "and says what to mend.")
                            : tr("Examined %1").arg(formatAgo(at)));
    m_when->setToolTip(at == 0 ? QString() : formatTime(at));
    const Json lines = readArray(doctor, "lines");
    if (lines != m_shown) showLines(lines);
}

void DoctorPanel::showLines(const Json& lines) {
    emptyLayout(m_lines);
    m_shown = lines;
    std::vector<const Json*> sorted;
    for (const Json& line : lines) sorted.push_back(&line);
    // The same thing of several hosts stands together, in the order in which things were looked at.
    std::vector<std::string> ids;
    for (const Json* line : sorted) {
        if (const std::string id = readText(*line, "id"); std::find(ids.begin(), ids.end(), id) == ids.end())
            ids.push_back(id);
    }
    const auto rank = [&](const Json* line) {
        return std::tuple(weightOf(readString(*line, "finding")),
                          std::find(ids.begin(), ids.end(), readText(*line, "id")), readText(*line, "host"));
    };
    std::stable_sort(sorted.begin(), sorted.end(), [&](const Json* a, const Json* b) { return rank(a) < rank(b); });
    for (const Json* line : sorted) addLine(*line);
}

void DoctorPanel::addLine(const Json& line) {
    const QString finding = readString(line, "finding");
    const FindingLook look = lookOfFinding(finding);
    auto* widget = new MarkedLine(look, this);
    widget->setObjectName(QStringLiteral("doctorLine_") + readString(line, "id"));
    QString title = readString(line, "title");
    if (const QString host = readString(line, "host"); !host.isEmpty()) title += QStringLiteral(" · ") + host;
    if (finding != u"ok") title = tr("%1: %2").arg(title, look.word);
    widget->say(title, TextStyle::BodyStrong, Role::Text);
    widget->say(readString(line, "text"), TextStyle::Secondary, Role::Muted);
    if (finding != u"ok") widget->say(readString(line, "remedy"), TextStyle::Secondary, Role::Text);
    m_lines->addWidget(widget);
}

void DoctorPanel::examine() {
    if (m_command) return;
    m_error->clear();
    emptyLayout(m_lines);
    m_shown = Json();
    m_start->setEnabled(false);
    m_progress->setFraction(std::nullopt);
    m_progress->show();
    m_command = m_shell.session()->start("target.doctor", {{"target", m_target.toStdString()}});
    commands::Command* mine = m_command;
    connect(mine, &commands::Command::progressed, this, [this, mine](const commands::CommandProgress& progress) {
        if (m_command != mine) return;
        m_progress->setDetail(fromUtf8(progress.text));
        if (progress.detail.is_object()) addLine(progress.detail);
    });
    connect(mine, &commands::Command::finished, this, [this, mine](const Result<Json>& result) {
        if (m_command != mine) return;
        m_command = nullptr;
        m_progress->hide();
        m_start->setEnabled(true);
        if (result) {
            showLines(readArray(*result, "lines"));
            m_when->setText(tr("Examined just now"));
            Q_EMIT examined();
        } else if (result.error().code != "canceled") {
            m_error->setError(result.error());
        }
    });
}

CachePanel::CachePanel(Shell& shell, QWidget* parent) : QWidget(parent), m_shell(shell) {
    m_kept = new KeptTable(
        QStringLiteral("cache"), tr("What is kept on the target"),
        tr("Agents, engines, environments, data and sources are sent or built once and kept there by their hash."),
        true, nullptr, this);
    panelColumn(this)->addWidget(m_kept);
    connect(m_kept, &KeptTable::listWanted, this, &CachePanel::list);
    connect(m_kept, &KeptTable::clearWanted, this, &CachePanel::clear);
}

void CachePanel::setTarget(const QString& target) {
    if (target == m_target) return;
    drop(m_command);
    m_target = target;
    m_kept->setEntries(Json());
}

void CachePanel::list() {
    if (m_command) return;
    m_kept->setBusy(tr("Looking…"));
    m_command = m_shell.session()->start("target.cache", {{"target", m_target.toStdString()}});
    commands::Command* mine = m_command;
    connect(mine, &commands::Command::finished, this, [this, mine](const Result<Json>& result) {
        if (m_command != mine) return;
        m_command = nullptr;
        if (result) return m_kept->setEntries(readArray(*result, "entries"));
        m_kept->setEntries(Json());
        if (result.error().code != "canceled") m_kept->setError(result.error());
    });
}

void CachePanel::clear(const std::vector<KeptTable::Entry>& entries, std::int64_t bytes) {
    Json keys = Json::array(), kinds = Json::array();
    for (const KeptTable::Entry& entry : entries) {
        keys.push_back(entry.key);
        kinds.push_back(entry.kind);
    }
    Question question;
    question.id = QStringLiteral("target.clear-cache");
    question.title = tr("Clear the cache of %1?").arg(m_target);
    question.text =
        tr("%1 are freed there. A run that needs some of it again has it sent anew.").arg(formatBytes(bytes));
    question.buttons = {{QStringLiteral("clear"), tr("Clear"), true}};
    m_shell.questions().ask(this, question, [this, keys, kinds, target = m_target](const QString& answer) {
        if (answer != u"clear" || target != m_target || m_command) return;
        m_kept->setBusy(tr("Clearing…"));
        m_command = m_shell.session()->start("target.clear-cache",
                                             {{"target", target.toStdString()}, {"kinds", kinds}, {"keys", keys}});
        commands::Command* mine = m_command;
        connect(mine, &commands::Command::finished, this, [this, mine](const Result<Json>& result) {
            if (m_command != mine) return;
            m_command = nullptr;
            if (!result) return m_kept->setError(result.error());
            m_shell.notice(tr("%1 freed on %2.").arg(formatBytes(readInteger(*result, "freed_bytes")), m_target));
            list();
        });
    });
}

EnginePanel::EnginePanel(Shell& shell, QWidget* parent) : QWidget(parent), m_shell(shell) {
    auto* hint =
        new TextLabel(tr("Runs on processors use the engine that is sent there. For GPUs it is built on the target "
                         "once, against the libtorch "
                         "with CUDA that is found there; with several GPUs this is not verified on real hardware."),
                      TextStyle::Secondary, Role::Muted, this);
    hint->setWordWrap(true);
    m_start = panelButton(tr("Build engine"), "cpu", "buildEngineButton",
                          tr("Compiles the engine there, once for each libtorch"), this);
    auto* column = panelColumn(this, hint, {m_start});
    m_progress = addProgress(column, tr("Building the engine there"), this);
    m_result = addMessage(column, "buildEngineResult", this);
    m_log = new QPlainTextEdit(this);
    m_log->setObjectName(QStringLiteral("buildEngineLog"));
    m_log->setReadOnly(true);
    m_log->setFont(Theme::current().font(TextStyle::MonoSmall));
    m_log->setLineWrapMode(QPlainTextEdit::NoWrap);
    m_log->setTabChangesFocus(true);
    m_log->setMaximumBlockCount(kMostLogLines);
    m_log->setAccessibleName(tr("Log of the build"));
    m_log->setFixedHeight(200);
    m_log->hide();
    column->addWidget(m_log);
    connect(m_start, &QuietButton::clicked, this, &EnginePanel::build);
    connect(m_progress, &ProgressStrip::cancelRequested, this, [this] {
        if (m_command) m_command->cancel();
    });
}

void EnginePanel::setTarget(const QString& target) {
    if (target == m_target) return;
    drop(m_command);
    m_target = target;
    m_start->setEnabled(true);
    m_progress->hide();
    m_result->clear();
    m_log->clear();
    m_log->hide();
}

void EnginePanel::build() {
    if (m_command) return;
    m_result->clear();
    m_log->clear();
    m_log->show();
    m_start->setEnabled(false);
    m_progress->setFraction(std::nullopt);
    m_progress->show();
    m_command = m_shell.session()->start("target.build-engine", {{"target", m_target.toStdString()}});
    commands::Command* mine = m_command;
    connect(mine, &commands::Command::progressed, this, [this, mine](const commands::CommandProgress& progress) {
        if (m_command == mine && !progress.text.empty()) m_log->appendPlainText(fromUtf8(progress.text));
    });
    connect(mine, &commands::Command::finished, this, [this, mine](const Result<Json>& result) {
        if (m_command != mine) return;
        m_command = nullptr;
        m_progress->hide();
        m_start->setEnabled(true);
        if (result) {
            const bool cuda = readFlag(*result, "cuda");
            m_result->setMessage(
                InlineError::Kind::Success,
                (cuda ? tr("Built with CUDA against %1 in %2.") : tr("Built without CUDA against %1 in %2."))
                    .arg(readString(*result, "libtorch"),
                         formatDuration(static_cast<std::int64_t>(readNumber(*result, "seconds") * 1e9))));
        } else if (result.error().code == "canceled") {
            m_result->setMessage(InlineError::Kind::Info, tr("The build was canceled."));
        } else {
            m_result->setError(result.error());
        }
    });
}

}  // namespace trainyard::ui
