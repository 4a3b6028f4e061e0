#include "ui/targets/TargetPanels.h"

#include <QGridLayout>
#include <QHeaderView>
#include <QPlainTextEdit>
#include <QProgressBar>
#include <QTableWidget>
#include <QVBoxLayout>
#include <algorithm>
#include <tuple>

#include "core/commands/Session.h"
#include "ui/forms/JsonRead.h"
#include "ui/seams/Questions.h"
#include "ui/shell/Icons.h"
#include "ui/shell/Shell.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"
#include "ui/widgets/Tables.h"

namespace trainyard::ui {

using base::Json;
using base::Result;

namespace {

constexpr int kMostLogLines = 5000;

void empty(QLayout* layout) {
    while (QLayoutItem* item = layout->takeAt(0)) {
        if (QWidget* widget = item->widget()) {
            widget->hide();
            widget->deleteLater();
        }
        delete item;
    }
}

QProgressBar* meter(const QString& name, double fraction, QWidget* parent) {
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

/// A panel's column, whose first line tells what is known and has what can be done.
QVBoxLayout* makeColumn(QWidget* panel, TextLabel* known, std::initializer_list<QWidget*> buttons) {
    auto* column = new QVBoxLayout(panel);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(Theme::current().space(1));
    known->setWordWrap(true);
    auto* head = new QHBoxLayout;
    head->addWidget(known, 1);
    for (QWidget* button : buttons) head->addWidget(button, 0, Qt::AlignTop);
    column->addLayout(head);
    return column;
}

QuietButton* makeButton(const QString& text, const char* iconName, const char* object, const QString& hint, QWidget* panel) {
    auto* button = new QuietButton(text, QString::fromLatin1(iconName), panel);
    button->setObjectName(QString::fromLatin1(object));
    button->setToolTip(hint);
    return button;
}

ProgressStrip* addProgress(QVBoxLayout* column, const QString& title, QWidget* panel) {
    auto* progress = new ProgressStrip(panel);
    progress->setTitle(title);
    progress->setCancelable(true);
    progress->hide();
    column->addWidget(progress);
    return progress;
}

InlineError* addMessage(QVBoxLayout* column, const char* object, QWidget* panel) {
    auto* message = new InlineError(panel);
    message->setObjectName(QString::fromLatin1(object));
    message->clear();
    column->addWidget(message);
    return message;
}

/// Cancels what a panel had started for another target.
void drop(QPointer<commands::Command>& command) {
    if (command) command->cancel();
    command = nullptr;
}

}  // namespace

FindingLook lookOfFinding(const QString& finding) {
    if (finding == u"ok") return {QStringLiteral("success"), DoctorPanel::tr("OK"), Role::Success};
    if (finding == u"warning") return {QStringLiteral("warning"), DoctorPanel::tr("Warning"), Role::Warning};
    if (finding == u"failure") return {QStringLiteral("error"), DoctorPanel::tr("Failure"), Role::Danger};
    return {QStringLiteral("help"), DoctorPanel::tr("Unknown"), Role::Muted};
}

LoadPanel::LoadPanel(QWidget* parent) : QWidget(parent) {
    m_column = new QVBoxLayout(this);
    m_column->setContentsMargins(0, 0, 0, 0);
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
            grid->addWidget(meter(title, fraction, block), cell / 2 * 2 + 1, cell % 2);
            ++cell;
        };
        const std::int64_t cores = readInteger(host, "cores");
        const std::int64_t busy = readInteger(host, "cores_busy");
        if (cores > 0) {
            add(tr("Cores given to runs"), tr("%1 of %n core(s) given to runs, load %2", nullptr, static_cast<int>(cores)).arg(busy).arg(formatNumber(readNumber(host, "load"))),
                static_cast<double>(busy) / static_cast<double>(cores));
        }
        const std::int64_t memory = readInteger(host, "memory_bytes");
        const std::int64_t used = readInteger(host, "memory_used_bytes");
        if (memory > 0) {
            add(tr("Memory in use"), tr("Memory: %1 of %2").arg(formatBytes(used), formatBytes(memory)), static_cast<double>(used) / static_cast<double>(memory));
        }
        for (const Json& gpu : readArray(host, "gpus")) {
            const std::int64_t total = readInteger(gpu, "memory_bytes");
            const std::int64_t taken = readInteger(gpu, "memory_used_bytes");
            QString text = tr("GPU %1: %2 % busy, %3 of %4").arg(readInteger(gpu, "index")).arg(formatNumber(readNumber(gpu, "utilization_percent")), formatBytes(taken), formatBytes(total));
            const Json* lease = member(gpu, "lease");
            const Json* stranger = member(gpu, "stranger");
            const auto says = [](const Json* value) { return value && !value->is_null() && *value != false && *value != "" && *value != Json::object(); };
            if (says(lease)) text += tr(" · given to a run");
            if (says(stranger)) text += tr(" · used by another program, not given to runs");
            add(tr("GPU %1").arg(readInteger(gpu, "index")), text, readNumber(gpu, "utilization_percent") / 100, readString(gpu, "name"));
        }
        column->addLayout(grid);
        QStringList facts;
        if (const std::int64_t free = readInteger(host, "disk_free_bytes"); free > 0) facts << tr("%1 of disk free").arg(formatBytes(free));
        if (const auto leases = readArray(host, "leases").size(); leases > 0) facts << tr("%n run(s) there", nullptr, static_cast<int>(leases));
        if (const auto waiting = readArray(host, "waiting").size(); waiting > 0) facts << tr("%n waiting", nullptr, static_cast<int>(waiting));
        if (const QString error = readString(host, "error"); !error.isEmpty()) facts << error;
        if (!facts.isEmpty()) {
            auto* line = new TextLabel(facts.join(QStringLiteral(" · ")), TextStyle::Secondary, Role::Muted, block);
            line->setWordWrap(true);
            column->addWidget(line);
        }
        m_column->addWidget(block);
        m_hosts.push_back(block);
    }
}

DoctorPanel::DoctorPanel(Shell& shell, QWidget* parent) : QWidget(parent), m_shell(shell) {
    m_when = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    m_when->setObjectName(QStringLiteral("doctorWhenLabel"));
    m_start = makeButton(tr("Examine"), "check", "doctorButton", tr("Looks at everything that a run may need there"), this);
    auto* column = makeColumn(this, m_when, {m_start});
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
        empty(m_lines);
    }
    if (m_command) return;
    const std::int64_t at = readInteger(doctor, "t");
    m_when->setText(at == 0 ? tr("Not examined yet. The doctor looks at reach, disk, cores, GPUs, software and clock, and says what to mend.")
                            : tr("Examined %1").arg(formatAgo(at)));
    m_when->setToolTip(at == 0 ? QString() : formatTime(at));
    const Json lines = readArray(doctor, "lines");
    if (lines != m_shown) showLines(lines);
}

void DoctorPanel::showLines(const Json& lines) {
    empty(m_lines);
    m_shown = lines;
    std::vector<const Json*> sorted;
    for (const Json& line : lines) sorted.push_back(&line);
    // The same thing of several hosts stands together, in the order in which things were looked at.
    std::vector<std::string> ids;
    for (const Json* line : sorted) {
        if (const std::string id = readText(*line, "id"); std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
    }
    const auto rank = [&](const Json* line) {
        return std::tuple(weightOf(readString(*line, "finding")), std::find(ids.begin(), ids.end(), readText(*line, "id")), readText(*line, "host"));
    };
    std::stable_sort(sorted.begin(), sorted.end(), [&](const Json* a, const Json* b) { return rank(a) < rank(b); });
    for (const Json* line : sorted) addLine(*line);
}

void DoctorPanel::addLine(const Json& line) {
    const Theme& theme = Theme::current();
    const QString finding = readString(line, "finding");
    const FindingLook look = lookOfFinding(finding);
    auto* widget = new QWidget(this);
    widget->setObjectName(QStringLiteral("doctorLine_") + readString(line, "id"));
    auto* row = new QHBoxLayout(widget);
    row->setContentsMargins(0, 0, 0, 0);
    row->setSpacing(theme.space(1));
    auto* mark = new QLabel(widget);
    mark->setPixmap(icon(look.icon, look.ink).pixmap(16, 16));
    mark->setToolTip(look.word);
    mark->setAccessibleName(look.word);
    row->addWidget(mark, 0, Qt::AlignTop);
    auto* texts = new QVBoxLayout;
    texts->setSpacing(0);
    QString title = readString(line, "title");
    if (const QString host = readString(line, "host"); !host.isEmpty()) title += QStringLiteral(" · ") + host;
    auto* head = new TextLabel(finding == u"ok" ? title : tr("%1: %2").arg(title, look.word), TextStyle::BodyStrong, Role::Text, widget);
    head->setWordWrap(true);
    texts->addWidget(head);
    const auto say = [&](const QString& text, Role role) {
        if (text.isEmpty()) return;
        auto* label = new TextLabel(text, TextStyle::Secondary, role, widget);
        label->setWordWrap(true);
        label->setTextInteractionFlags(Qt::TextSelectableByMouse);
        texts->addWidget(label);
    };
    say(readString(line, "text"), Role::Muted);
    if (finding != u"ok") say(readString(line, "remedy"), Role::Text);
    row->addLayout(texts, 1);
    m_lines->addWidget(widget);
}

void DoctorPanel::examine() {
    if (m_command) return;
    m_error->clear();
    empty(m_lines);
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

CachePanel::CachePanel(Shell& shell, QWidget* parent) : QWidget(parent), m_shell(shell), m_entries(Json::array()) {
    m_sum = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    m_sum->setObjectName(QStringLiteral("cacheSumLabel"));
    m_list = makeButton(tr("List"), "refresh", "cacheListButton", tr("Lists agents, engines, environments, data and sources that are kept there"), this);
    m_clear = makeButton(tr("Clear…"), "trash", "cacheClearButton", tr("Removes what is selected, or everything that no run uses"), this);
    auto* column = makeColumn(this, m_sum, {m_list, m_clear});
    m_error = addMessage(column, "cacheError", this);
    m_table = new QTableWidget(0, 5, this);
    m_table->setObjectName(QStringLiteral("cacheTable"));
    m_table->setHorizontalHeaderLabels({tr("What"), tr("Name"), tr("Size"), tr("Last used"), tr("Host")});
    styleTable(m_table, tr("What is kept on the target"));
    m_table->setItemDelegate(new CellDelegate(m_table));
    m_table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    m_table->setSelectionBehavior(QAbstractItemView::SelectRows);
    m_table->setSelectionMode(QAbstractItemView::ExtendedSelection);
    m_table->horizontalHeaderItem(2)->setTextAlignment(Qt::AlignRight | Qt::AlignVCenter);
    const int widths[] = {110, 220, 100, 130, 100};
    for (int i = 0; i < 5; ++i) m_table->setColumnWidth(i, widths[i]);
    m_table->horizontalHeader()->setStretchLastSection(true);
    column->addWidget(m_table);
    connect(m_list, &QuietButton::clicked, this, &CachePanel::list);
    connect(m_clear, &QuietButton::clicked, this, &CachePanel::clear);
    show(Json());
}

void CachePanel::setTarget(const QString& target) {
    if (target == m_target) return;
    drop(m_command);
    m_target = target;
    m_list->setEnabled(true);
    m_error->clear();
    show(Json());
}

void CachePanel::list() {
    if (m_command) return;
    m_error->clear();
    m_list->setEnabled(false);
    m_sum->setText(tr("Looking…"));
    m_command = m_shell.session()->start("target.cache", {{"target", m_target.toStdString()}});
    commands::Command* mine = m_command;
    connect(mine, &commands::Command::finished, this, [this, mine](const Result<Json>& result) {
        if (m_command != mine) return;
        m_command = nullptr;
        m_list->setEnabled(true);
        if (result) return show(readArray(*result, "entries"));
        show(Json());
        if (result.error().code != "canceled") m_error->setError(result.error());
    });
}

void CachePanel::show(const Json& entries) {
    const bool known = entries.is_array();
    m_entries = known ? entries : Json::array();
    std::int64_t bytes = 0;
    std::int64_t unused = 0;
    m_table->clearSelection();
    m_table->setRowCount(static_cast<int>(m_entries.size()));
    int row = 0;
    for (const Json& entry : m_entries) {
        const std::int64_t size = readInteger(entry, "bytes");
        bytes += size;
        const bool inUse = readFlag(entry, "in_use");
        if (!inUse) unused += size;
        const std::string kind = readText(entry, "kind");
        const QString what = kind == "agent" ? tr("Agent") : kind == "engine" ? tr("Engine") : kind == "data" ? tr("Data") : kind == "objects" ? tr("Sources") : kind == "environment" ? tr("Environment") : fromUtf8(kind);
        QString name = readString(entry, "name");
        if (name.isEmpty()) name = readString(entry, "key").left(16);
        if (inUse) name += tr(" (in use)");
        const std::int64_t used = readInteger(entry, "last_use");
        const QString texts[] = {what, name, formatBytes(size), used > 0 ? formatAgo(used) : QString(), readString(entry, "host")};
        const QString hovers[] = {what, readString(entry, "key"), tr("%1 bytes").arg(formatExact(size)), used > 0 ? formatTime(used) : QString(), texts[4]};
        for (int i = 0; i < 5; ++i) {
            auto* item = new QTableWidgetItem(texts[i]);
            item->setToolTip(hovers[i]);
            item->setData(NumberRole, i == 2);
            item->setData(MutedRole, i > 2);
            m_table->setItem(row, i, item);
        }
        ++row;
    }
    m_table->setVisible(row > 0);
    m_clear->setVisible(unused > 0 || std::any_of(m_entries.begin(), m_entries.end(), [](const Json& e) { return !readFlag(e, "in_use"); }));
    m_table->setFixedHeight(m_table->horizontalHeader()->sizeHint().height() + std::min(8, std::max(1, row)) * Theme::current().rowHeight() + 6);
    m_sum->setText(!known     ? tr("Agents, engines, environments, data and sources are sent or built once and kept there by their hash.")
                   : row == 0 ? tr("Nothing is kept there.")
                              : tr("%n thing(s), %1; %2 that no run uses", nullptr, row).arg(formatBytes(bytes), formatBytes(unused)));
}

void CachePanel::clear() {
    Json keys = Json::array();
    Json kinds = Json::array();
    std::int64_t bytes = 0;
    const QModelIndexList chosen = m_table->selectionModel()->selectedRows();
    for (std::size_t i = 0; i < m_entries.size(); ++i) {
        const Json& entry = m_entries[i];
        if (readFlag(entry, "in_use")) continue;
        const bool selected = std::any_of(chosen.begin(), chosen.end(), [i](const QModelIndex& index) { return index.row() == static_cast<int>(i); });
        if (!chosen.isEmpty() && !selected) continue;
        bytes += readInteger(entry, "bytes");
        if (chosen.isEmpty()) continue;
        keys.push_back(readText(entry, "key"));
        kinds.push_back(readText(entry, "kind"));
    }
    if (!chosen.isEmpty() && keys.empty()) return m_error->setMessage(InlineError::Kind::Info, tr("A run uses what is selected."));
    Question question;
    question.id = QStringLiteral("target.clear-cache");
    question.title = tr("Clear the cache of %1?").arg(m_target);
    question.text = tr("%1 are freed there. A run that needs some of it again has it sent anew.").arg(formatBytes(bytes));
    question.buttons = {{QStringLiteral("clear"), tr("Clear"), true}};
    m_shell.questions().ask(this, question, [this, keys, kinds, target = m_target](const QString& answer) {
        if (answer != u"clear" || target != m_target || m_command) return;
        m_command = m_shell.session()->start("target.clear-cache", {{"target", target.toStdString()}, {"kinds", kinds}, {"keys", keys}});
        commands::Command* mine = m_command;
        connect(mine, &commands::Command::finished, this, [this, mine](const Result<Json>& result) {
            if (m_command != mine) return;
            m_command = nullptr;
            if (!result) return m_error->setError(result.error());
            m_shell.notice(tr("%1 freed on %2.").arg(formatBytes(readInteger(*result, "freed_bytes")), m_target));
            list();
        });
    });
}

EnginePanel::EnginePanel(Shell& shell, QWidget* parent) : QWidget(parent), m_shell(shell) {
    auto* hint = new TextLabel(tr("Runs on processors use the engine that is sent there. For GPUs it is built on the target once, against the libtorch "
                                  "with CUDA that is found there; with several GPUs this is not verified on real hardware."),
                               TextStyle::Secondary, Role::Muted, this);
    m_start = makeButton(tr("Build engine"), "cpu", "buildEngineButton", tr("Compiles the engine there, once for each libtorch"), this);
    auto* column = makeColumn(this, hint, {m_start});
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
            m_result->setMessage(InlineError::Kind::Success,
                                 (cuda ? tr("Built with CUDA against %1 in %2.") : tr("Built without CUDA against %1 in %2."))
                                     .arg(readString(*result, "libtorch"), formatDuration(static_cast<std::int64_t>(readNumber(*result, "seconds") * 1e9))));
        } else if (result.error().code == "canceled") {
            m_result->setMessage(InlineError::Kind::Info, tr("The build was canceled."));
        } else {
            m_result->setError(result.error());
        }
    });
}

}  // namespace trainyard::ui
