#include "ui/runs/RunTables.h"

#include <QHBoxLayout>
#include <QHeaderView>
#include <QTableWidget>
#include <QVBoxLayout>
#include <algorithm>
#include <csignal>

#include "core/commands/Session.h"
#include "ui/runs/OutputPreview.h"
#include "ui/shell/Theme.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"
#include "ui/widgets/Splitter.h"
#include "ui/widgets/Tables.h"

namespace trainyard::ui {

namespace {

QTableWidget* makeTable(const QStringList& headers, const QString& name, const QList<int>& widths, QWidget* parent) {
    auto* table = new QTableWidget(0, static_cast<int>(headers.size()), parent);
    table->setHorizontalHeaderLabels(headers);
    styleTable(table, name);
    table->setItemDelegate(new CellDelegate(table));
    table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    table->setSelectionBehavior(QAbstractItemView::SelectRows);
    for (int i = 0; i < widths.size(); ++i) table->setColumnWidth(i, widths[i]);
    table->horizontalHeader()->setStretchLastSection(true);
    return table;
}

void put(QTableWidget* table, int row, int column, const QString& text, bool number = false, const QString& tooltip = {}) {
    QTableWidgetItem* item = table->item(row, column);
    if (!item) {
        item = new QTableWidgetItem;
        table->setItem(row, column, item);
    }
    if (item->text() != text) item->setText(text);
    item->setData(NumberRole, number);
    if (number) table->horizontalHeaderItem(column)->setTextAlignment(Qt::AlignRight | Qt::AlignVCenter);
    item->setToolTip(tooltip.isEmpty() ? text : tooltip);
}

}  // namespace

RanksTab::RanksTab(QWidget* parent) : QWidget(parent) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(theme.space(4), theme.space(2), theme.space(4), theme.space(3));
    m_table = makeTable({tr("Rank"), tr("Node"), tr("Host"), tr("State"), tr("Exit"), tr("Samples/s"), tr("Log lines"), tr("Last word")},
                        tr("Ranks"), {64, 64, 170, 130, 150, 110, 100, 130}, this);
    m_table->setObjectName(QStringLiteral("ranksTable"));
    m_empty = new EmptyState(QStringLiteral("ranks"), tr("No process yet"), tr("Each process of the run gets a line here once it is started."), this);
    column->addWidget(m_table, 1);
    column->addWidget(m_empty, 1);
    connect(m_table, &QTableWidget::cellActivated, this, [this](int row) {
        Q_EMIT logRequested(m_table->item(row, 0)->data(Qt::UserRole).toInt());
    });
}

void RanksTab::setDetail(const RunDetail& detail) {
    std::vector<store::RankRow> rows;
    for (const store::RankRow& rank : detail.ranks) {
        if (rank.attempt == detail.row.attempts) rows.push_back(rank);
    }
    m_table->setVisible(!rows.empty());
    m_empty->setVisible(rows.empty());
    m_table->setRowCount(static_cast<int>(rows.size()));
    for (int i = 0; i < static_cast<int>(rows.size()); ++i) {
        const store::RankRow& rank = rows[static_cast<std::size_t>(i)];
        put(m_table, i, 0, QString::number(rank.rank), true);
        m_table->item(i, 0)->setData(Qt::UserRole, rank.rank);
        put(m_table, i, 1, QString::number(rank.node), true);
        put(m_table, i, 2, fromUtf8(rank.host));
        const bool well = rank.exitStatus && *rank.exitStatus == 0;
        const bool stopped = rank.signal && *rank.signal == SIGTERM && detail.row.state == spec::RunState::Canceled;
        const spec::RunState state = !rank.ended() ? (spec::isFinal(detail.row.state) ? detail.row.state : spec::RunState::Running)
                                     : well        ? spec::RunState::Completed
                                     : stopped     ? spec::RunState::Canceled
                                                   : spec::RunState::Failed;
        put(m_table, i, 3, QString(), false, fromUtf8(rank.reason));
        m_table->item(i, 3)->setData(StateRole, static_cast<int>(state));
        put(m_table, i, 4, rank.signal       ? tr("signal %1").arg(*rank.signal)
                           : rank.exitStatus ? tr("status %1").arg(*rank.exitStatus)
                                             : QString(), false, fromUtf8(rank.reason));
        double rate = 0;
        for (const store::SeriesRow& one : detail.series) {
            if (one.name == "train/samples_per_second" && one.rank == rank.rank && one.attempt == rank.attempt) rate = one.last;
        }
        put(m_table, i, 5, rate > 0 ? formatCount(static_cast<std::int64_t>(rate)) : QString(), true, rate > 0 ? exactNumber(rate) : QString());
        put(m_table, i, 6, formatExact(rank.logLines), true);
        put(m_table, i, 7, rank.lastAt == 0 ? QString() : formatAgo(rank.lastAt), false, rank.lastAt == 0 ? QString() : formatTime(rank.lastAt));
    }
}

OutputsTab::OutputsTab(commands::Session& session, QWidget* parent) : QWidget(parent), m_session(session) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(theme.space(4), theme.space(2), theme.space(4), theme.space(3));
    column->setSpacing(theme.space(1));
    auto* bar = new QHBoxLayout;
    m_sum = new TextLabel({}, TextStyle::Body, Role::Muted, this);
    m_download = new QuietButton(tr("Copy selected to…"), QStringLiteral("download"), this);
    m_all = new QuietButton(tr("Copy all to…"), QStringLiteral("download"), this);
    m_collect = new QuietButton(tr("Collect again"), QStringLiteral("refresh"), this);
    m_collect->setObjectName(QStringLiteral("collectButton"));
    m_collect->setToolTip(tr("Brings here what was left on the target"));
    m_collect->hide();
    bar->addWidget(m_sum, 1);
    bar->addWidget(m_collect);
    bar->addWidget(m_download);
    bar->addWidget(m_all);
    column->addLayout(bar);
    m_table = makeTable({tr("File"), tr("Size"), tr("State"), tr("SHA-256")}, tr("Output files"), {260, 100, 100, 200}, this);
    m_table->setObjectName(QStringLiteral("outputsTable"));
    m_table->setSelectionMode(QAbstractItemView::ExtendedSelection);
    m_empty = new EmptyState(QStringLiteral("folder"), tr("No files yet"),
                             tr("What the run writes into its outputs folder is brought here, with its hash, when it ends."), this);
    m_splitter = new Splitter(Qt::Horizontal, this);
    m_splitter->setFoldBelow(800);
    m_splitter->addWidget(m_table);
    m_preview = new OutputPreview(session, m_splitter);
    m_splitter->addWidget(m_preview);
    m_splitter->setSizes({640, 420});
    m_splitter->setStretchFactor(0, 3);
    m_splitter->setStretchFactor(1, 2);
    column->addWidget(m_splitter, 1);
    column->addWidget(m_empty, 1);
    connect(m_collect, &QuietButton::clicked, this, &OutputsTab::collectRequested);
    connect(m_download, &QuietButton::clicked, this, [this] { Q_EMIT downloadRequested(chosen()); });
    connect(m_all, &QuietButton::clicked, this, [this] { Q_EMIT downloadRequested({}); });
    connect(m_table, &QTableWidget::itemSelectionChanged, this, [this] {
        m_download->setEnabled(!chosen().isEmpty());
        preview();
    });
}

void OutputsTab::preview() {
    const QModelIndexList rows = m_table->selectionModel()->selectedRows(0);
    if (rows.size() != 1) return m_preview->clear(tr("Choose a file to see what it holds."));
    const QString path = rows.first().data(Qt::UserRole).toString();
    if (!m_table->item(rows.first().row(), 2)->data(Qt::UserRole).toBool()) return m_preview->clear(tr("This file is still on the target."));
    m_preview->showFile(m_session.workspace().layout.outputs(m_run) / path.toStdString(), path);
}

QStringList OutputsTab::chosen() const {
    QStringList paths;
    const QModelIndexList rows = m_table->selectionModel()->selectedRows(0);
    for (const QModelIndex& index : rows) paths << index.data(Qt::UserRole).toString();
    return paths;
}

void OutputsTab::setDetail(const RunDetail& detail) {
    QString signature;
    std::int64_t bytes = 0;
    for (const store::OutputRow& one : detail.outputs) {
        signature += fromUtf8(one.path) + (one.collected ? u'+' : u'-') + fromUtf8(one.sha256);
        bytes += one.size;
    }
    const bool none = detail.outputs.empty();
    m_run = detail.row.id;
    m_splitter->setVisible(!none);
    m_empty->setVisible(none);
    m_collect->setVisible(spec::isFinal(detail.row.state) &&
                          std::any_of(detail.outputs.begin(), detail.outputs.end(), [](const store::OutputRow& one) { return !one.collected; }));
    m_all->setVisible(!none);
    m_download->setVisible(!none);
    m_sum->setVisible(!none);
    if (signature == m_shown && !none) return;
    m_shown = signature;
    m_sum->setText(tr("%n file(s), %1", nullptr, static_cast<int>(detail.outputs.size())).arg(formatBytes(bytes)));
    m_download->setEnabled(false);
    m_table->clearSelection();
    m_table->setRowCount(static_cast<int>(detail.outputs.size()));
    for (int i = 0; i < static_cast<int>(detail.outputs.size()); ++i) {
        const store::OutputRow& one = detail.outputs[static_cast<std::size_t>(i)];
        put(m_table, i, 0, fromUtf8(one.path));
        m_table->item(i, 0)->setData(Qt::UserRole, fromUtf8(one.path));
        put(m_table, i, 1, formatBytes(one.size), true, tr("%1 bytes").arg(formatExact(one.size)));
        put(m_table, i, 2, one.collected ? tr("here") : tr("on the target"));
        m_table->item(i, 2)->setData(Qt::UserRole, one.collected);
        put(m_table, i, 3, fromUtf8(one.sha256));
        m_table->item(i, 3)->setData(MutedRole, true);
    }
}

}  // namespace trainyard::ui
