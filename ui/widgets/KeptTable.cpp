#include "ui/widgets/KeptTable.h"

#include <QTableWidget>
#include <QVBoxLayout>

#include <algorithm>

#include "ui/forms/JsonRead.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Details.h"
#include "ui/widgets/Format.h"
#include "ui/widgets/Tables.h"

namespace trainyard::ui {

namespace {

std::vector<PanelColumn> keptColumns(bool severalKinds) {
    std::vector<PanelColumn> columns;
    if (severalKinds) columns.push_back({KeptTable::tr("What"), 110});
    columns.push_back({KeptTable::tr("Name"), severalKinds ? 220 : 290});
    columns.push_back({KeptTable::tr("Size"), 100, true});
    columns.push_back({KeptTable::tr("Last used"), 130});
    columns.push_back({KeptTable::tr("Host")});
    return columns;
}

QString keptWord(const std::string& kind) {
    if (kind == "agent") return KeptTable::tr("Agent");
    if (kind == "engine") return KeptTable::tr("Engine");
    if (kind == "data") return KeptTable::tr("Data");
    if (kind == "objects") return KeptTable::tr("Sources");
    if (kind == "environment") return KeptTable::tr("Environment");
    return fromUtf8(kind);
}

KeptTable::Entry keptEntry(const base::Json& one) {
    KeptTable::Entry entry;
    entry.key = readText(one, "key");
    entry.kind = readText(one, "kind");
    // Of an environment that this workspace defines, its name tells more than what the target calls it.
    entry.name = readString(one, "environment");
    if (entry.name.isEmpty()) entry.name = readString(one, "name");
    entry.what = keptWord(entry.kind);
    entry.host = readString(one, "host");
    entry.bytes = readInteger(one, "bytes");
    entry.lastUse = readInteger(one, "last_use");
    entry.inUse = readFlag(one, "in_use");
    return entry;
}

}  // namespace

KeptTable::KeptTable(const QString& prefix, const QString& tableName, const QString& unknown, bool severalKinds,
                     QWidget* leading, QWidget* parent)
    : QWidget(parent), m_unknown(unknown), m_severalKinds(severalKinds) {
    const auto object = [&prefix](const char* part) { return (prefix + QLatin1String(part)).toLatin1(); };
    m_sum = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    m_sum->setObjectName(prefix + QStringLiteral("SumLabel"));
    m_sum->setWordWrap(true);
    m_list =
        panelButton(tr("List"), "refresh", object("ListButton").constData(), tr("Looks at what is kept there"), this);
    m_clear = panelButton(tr("Clear…"), "trash", object("ClearButton").constData(),
                          tr("Removes what is selected, or everything that no run uses"), this);
    auto* column = panelColumn(this, leading == nullptr ? m_sum : leading, {m_list, m_clear});
    if (leading != nullptr) column->addWidget(m_sum);
    m_error = addMessage(column, object("Error").constData(), this);
    m_table = panelTable(keptColumns(severalKinds), tableName, object("Table").constData(), this);
    m_table->setSelectionMode(QAbstractItemView::ExtendedSelection);
    column->addWidget(m_table);
    connect(m_list, &QuietButton::clicked, this, &KeptTable::listWanted);
    connect(m_clear, &QuietButton::clicked, this, &KeptTable::askToClear);
    refresh();
}

void KeptTable::setEntries(const base::Json& entries) {
    m_entries.reset();
    if (entries.is_array()) {
        m_entries.emplace();
        for (const base::Json& one : entries) m_entries->push_back(keptEntry(one));
    }
    m_error->clear();
    refresh();
}

void KeptTable::setBusy(const QString& text) {
    m_error->clear();
    m_list->setEnabled(false);
    m_clear->setEnabled(false);
    m_sum->setText(text);
}

void KeptTable::setError(const base::Error& error) {
    refresh();
    m_error->setError(error);
}

void KeptTable::refresh() {
    m_list->setEnabled(true);
    m_clear->setEnabled(true);
    const std::vector<Entry> entries = m_entries.value_or(std::vector<Entry>{});
    std::int64_t bytes = 0, unused = 0;
    bool clearable = false;
    m_table->clearSelection();
    m_table->setRowCount(static_cast<int>(entries.size()));
    int row = 0;
    for (const Entry& entry : entries) {
        bytes += entry.bytes;
        if (!entry.inUse) unused += entry.bytes, clearable = true;
        int column = 0;
        if (m_severalKinds) putCell(m_table, row, column++, entry.what);
        const QString key = fromUtf8(entry.key);
        const QString name = entry.name.isEmpty() ? key.left(16) : entry.name;
        putCell(m_table, row, column++, entry.inUse ? tr("%1 (in use)").arg(name) : name,
                name == key ? name : name + u'\n' + key);
        putCell(m_table, row, column++, formatBytes(entry.bytes), tr("%1 bytes").arg(formatExact(entry.bytes)));
        const bool known = entry.lastUse > 0;
        putCell(m_table, row, column++, known ? formatAgo(entry.lastUse) : QString(),
                known ? formatTime(entry.lastUse) : QString());
        putCell(m_table, row, column, entry.host);
        for (int muted = column - 1; muted <= column; ++muted) m_table->item(row, muted)->setData(MutedRole, true);
        ++row;
    }
    fitRows(m_table);
    m_clear->setVisible(clearable);
    m_sum->setText(
        !m_entries ? m_unknown
        : row == 0
            ? tr("Nothing is kept there.")
            : tr("%n thing(s), %1; %2 that no run uses", nullptr, row).arg(formatBytes(bytes), formatBytes(unused)));
}

void KeptTable::askToClear() {
    if (!m_entries) return;
    const QModelIndexList chosen = m_table->selectionModel()->selectedRows();
    std::vector<Entry> wanted;
    std::int64_t bytes = 0;
    for (std::size_t i = 0; i < m_entries->size(); ++i) {
        const Entry& entry = (*m_entries)[i];
        const bool selected = std::any_of(chosen.begin(), chosen.end(),
                                          [i](const QModelIndex& at) { return at.row() == static_cast<int>(i); });
        if (entry.inUse || (!chosen.isEmpty() && !selected)) continue;
        bytes += entry.bytes;
        wanted.push_back(entry);
    }
    if (wanted.empty()) return m_error->setMessage(InlineError::Kind::Info, tr("A run uses what is selected."));
    Q_EMIT clearWanted(wanted, bytes);
}

}  // namespace trainyard::ui
