#include "ui/runs/RunTables.h"

#include <QHeaderView>
#include <QTableWidget>
#include <QVBoxLayout>
#include <algorithm>
#include <csignal>
#include <map>
#include <string_view>
#include <tuple>

#include "ui/shell/Theme.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"
#include "ui/widgets/Tables.h"

namespace trainyard::ui {

namespace {

constexpr int kStepColumn = 8;
constexpr const char* kStepParts[] = {"train/step_seconds", "train/data_seconds", "train/exchange_seconds"};

QTableWidget* makeTable(const QStringList& headers, const QString& name, const QList<int>& widths, QWidget* parent) {
    auto* table = new QTableWidget(0, static_cast<int>(headers.size()), parent);
    table->setHorizontalHeaderLabels(headers);
    styleTable(table, name);
    table->setItemDelegate(new CellDelegate(table));
    table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    table->setSelectionBehavior(QAbstractItemView::SelectRows);
    for (int i = 0; i < widths.size(); ++i) table->setColumnWidth(i, Theme::current().scaled(widths[i]));
    table->horizontalHeader()->setStretchLastSection(true);
    return table;
}

void put(QTableWidget* table, int row, int column, const QString& text, bool number = false,
         const QString& tooltip = {}) {
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
    m_slow = new InlineError(this);
    m_slow->setObjectName(QStringLiteral("slowRanks"));
    m_slow->clear();
    column->addWidget(m_slow);
    m_table =
        makeTable({tr("Rank"), tr("Node"), tr("Host"), tr("Process"), tr("GPUs"), tr("State"), tr("Exit"),
                   tr("Samples/s"), tr("A step"), tr("Of it data"), tr("Exchange"), tr("Log lines"), tr("Last word")},
                  tr("Ranks"), {56, 56, 130, 84, 70, 120, 90, 90, 84, 90, 90, 90, 100}, this);
    m_table->setObjectName(QStringLiteral("ranksTable"));
    m_table->horizontalHeaderItem(kStepColumn)->setToolTip(tr("What a step took, with all that it waited for"));
    m_table->horizontalHeaderItem(kStepColumn + 1)->setToolTip(tr("What it waited for pictures of that"));
    m_table->horizontalHeaderItem(kStepColumn + 2)
        ->setToolTip(tr("What it waited for the other ranks' gradients: a slow rank waits little, the others for it"));
    m_empty = new EmptyState(QStringLiteral("ranks"), {}, {}, this);
    column->addWidget(m_table, 1);
    column->addWidget(m_empty, 1);
    connect(m_table, &QTableWidget::cellActivated, this,
            [this](int row) { Q_EMIT logRequested(m_table->item(row, 0)->data(Qt::UserRole).toInt()); });
}

void RanksTab::setDetail(const RunDetail& detail, int attempt) {
    const int wanted = attempt > 0 ? attempt : detail.row.attempts;
    const bool newest = wanted == detail.row.attempts;
    std::vector<store::RankRow> rows;
    for (const store::RankRow& rank : detail.ranks) {
        if (rank.attempt == wanted) rows.push_back(rank);
    }
    m_table->setVisible(!rows.empty());
    m_empty->setVisible(rows.empty());
    if (spec::isFinal(detail.row.state)) {
        m_empty->setTexts(tr("No process"), tr("The run ended before one was started."));
    } else {
        m_empty->setTexts(tr("No process yet"), tr("Each process of the run gets a line here once it is started."));
    }
    QStringList slow;
    for (const store::WarningRow& one : detail.warnings) {
        if (one.code == "train.slow_rank" && one.attempt == wanted) slow << fromUtf8(one.message);
    }
    m_slow->setMessage(InlineError::Kind::Warning, slow.join(u'\n'));
    m_table->setRowCount(static_cast<int>(rows.size()));
    // What no rank has is no column.
    // Filled once: with hundreds of ranks there are thousands of series.
    std::map<std::tuple<std::string_view, int, int>, double> lastOf;
    for (const store::SeriesRow& one : detail.series) lastOf[{one.name, one.rank, one.attempt}] = one.last;
    const auto newestOf = [&](const store::RankRow& rank, std::string_view name) {
        const auto found = lastOf.find({name, rank.rank, rank.attempt});
        return found == lastOf.end() ? 0.0 : found->second;
    };
    for (int i = 0; i < 3; ++i) {
        m_table->setColumnHidden(kStepColumn + i, std::none_of(rows.begin(), rows.end(), [&](const auto& rank) {
                                     return newestOf(rank, kStepParts[i]) > 0;
                                 }));
    }
    m_table->setColumnHidden(
        3, std::none_of(rows.begin(), rows.end(), [](const store::RankRow& rank) { return rank.pid.has_value(); }));
    m_table->setColumnHidden(
        4, std::all_of(rows.begin(), rows.end(), [](const store::RankRow& rank) { return rank.gpus.empty(); }));
    for (int i = 0; i < static_cast<int>(rows.size()); ++i) {
        const store::RankRow& rank = rows[static_cast<std::size_t>(i)];
        put(m_table, i, 0, QString::number(rank.rank), true);
        m_table->item(i, 0)->setData(Qt::UserRole, rank.rank);
        put(m_table, i, 1, QString::number(rank.node), true);
        put(m_table, i, 2, fromUtf8(rank.host));
        put(m_table, i, 3, rank.pid ? QString::number(*rank.pid) : QString(), true,
            rank.pid ? tr("Process %1 on %2").arg(*rank.pid).arg(fromUtf8(rank.host)) : QString());
        QStringList gpus;
        for (const int gpu : rank.gpus) gpus << QString::number(gpu);
        put(m_table, i, 4, gpus.join(QStringLiteral(", ")), true);
        const bool well = rank.exitStatus && *rank.exitStatus == 0;
        const bool stopped = rank.signal && *rank.signal == SIGTERM && detail.row.state == spec::RunState::Canceled;
        // What an older attempt left without an end was cut off.
        const spec::RunState state = !rank.ended() ? (!newest                           ? spec::RunState::Lost
                                                      : spec::isFinal(detail.row.state) ? detail.row.state
                                                                                        : spec::RunState::Running)
                                     : well        ? spec::RunState::Completed
                                     : stopped     ? spec::RunState::Canceled
                                                   : spec::RunState::Failed;
        put(m_table, i, 5, QString(), false, fromUtf8(rank.reason));
        m_table->item(i, 5)->setData(StateRole, static_cast<int>(state));
        put(m_table, i, 6,
            rank.signal       ? tr("signal %1").arg(*rank.signal)
            : rank.exitStatus ? tr("status %1").arg(*rank.exitStatus)
                              : QString(),
            false, fromUtf8(rank.reason));
        const double rate = newestOf(rank, "train/samples_per_second");
        put(m_table, i, 7, rate > 0 ? formatCount(static_cast<std::int64_t>(rate)) : QString(), true,
            rate > 0 ? exactNumber(rate) : QString());
        for (int part = 0; part < 3; ++part) {
            const double seconds = newestOf(rank, kStepParts[part]);
            put(m_table, i, kStepColumn + part,
                seconds > 0 ? formatDuration(static_cast<std::int64_t>(seconds * 1e9)) : QString(), true,
                seconds > 0 ? tr("%1 s").arg(exactNumber(seconds)) : QString());
        }
        put(m_table, i, 11, formatExact(rank.logLines), true);
        put(m_table, i, 12, rank.lastAt == 0 ? QString() : formatAgo(rank.lastAt), false,
            rank.lastAt == 0 ? QString() : formatTime(rank.lastAt));
    }
}

}  // namespace trainyard::ui
