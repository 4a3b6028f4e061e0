#include "ui/runs/RunsPage.h"

#include <QHeaderView>
#include <QKeyEvent>
#include <QLineEdit>
#include <QMenu>
#include <QScrollBar>
#include <QTableView>
#include <QVBoxLayout>
#include <algorithm>

#include "core/commands/Session.h"
#include "core/store/Reader.h"
#include "ui/forms/JsonRead.h"
#include "ui/runs/FilterCompleter.h"
#include "ui/runs/RunActions.h"
#include "ui/runs/RunCharts.h"
#include "ui/runs/RunsModel.h"
#include "ui/runs/SelectionPanel.h"
#include "ui/seams/Questions.h"
#include "ui/shell/Icons.h"
#include "ui/shell/Shell.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Chips.h"
#include "ui/widgets/FlowLayout.h"
#include "ui/widgets/Format.h"
#include "ui/widgets/Splitter.h"
#include "ui/widgets/Tables.h"

namespace trainyard::ui {

using base::Json;
using base::Result;
using store::MetricValue;
using store::RunRow;

namespace {

constexpr int kColumnWidths[] = {116, 64, 196, 130, 150, 86, 104, 104};
constexpr int kMetricWidth = 118;
constexpr int kWidestName = 420;

const char* nameOf(MetricValue value) {
    switch (value) {
    case MetricValue::Last: return "last";
    case MetricValue::Min: return "min";
    case MetricValue::Max: return "max";
    case MetricValue::First: return "first";
    }
    return "last";
}

MetricValue metricValueOf(const std::string& name) {
    if (name == "min") return MetricValue::Min;
    if (name == "max") return MetricValue::Max;
    return name == "first" ? MetricValue::First : MetricValue::Last;
}

}  // namespace

RunsPage::RunsPage(Shell& shell, QWidget* parent)
    : Page(QStringLiteral("runs"), parent), m_shell(shell), m_model(new RunsModel(*shell.session(), this)),
      m_actions(new RunActions(shell, this)) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);

    auto* head = new QWidget(this);
    auto* headLayout = new QVBoxLayout(head);
    headLayout->setContentsMargins(theme.space(4), theme.space(1), theme.space(4), theme.space(1));
    headLayout->setSpacing(theme.space(1));
    m_search = new SearchField(tr("Filter: words, state:failed, tag:baseline, val/accuracy>0.9, created>7d"), head);
    m_search->setObjectName(QStringLiteral("runsFilterField"));
    m_search->lineEdit()->setObjectName(QStringLiteral("runsFilterLine"));
    m_search->lineEdit()->setAccessibleName(tr("Filter of the runs"));
    m_completer = new FilterCompleter(m_search->lineEdit());
    headLayout->addWidget(m_search);
    m_views = new QWidget(head);
    m_viewsLayout = new FlowLayout(m_views, theme.space(1), theme.space(0));
    headLayout->addWidget(m_views);
    m_error = new InlineError(head);
    m_error->clear();
    headLayout->addWidget(m_error);
    column->addWidget(head);

    m_splitter = new Splitter(Qt::Horizontal, this);
    m_splitter->setFoldBelow(980);
    m_list = new QWidget(m_splitter);
    auto* listLayout = new QVBoxLayout(m_list);
    listLayout->setContentsMargins(0, 0, 0, 0);
    m_table = new QTableView(m_list);
    listLayout->addWidget(m_table, 1);
    m_nothing = new EmptyState(QStringLiteral("search"), tr("No run matches"),
                               tr("No run of this workspace passes the filter."), m_list);
    connect(m_nothing->addSecondary(tr("Clear the filter")), &QPushButton::clicked, this, [this] { applyView({}); });
    m_nothing->hide();
    listLayout->addWidget(m_nothing, 1);
    m_selection = new SelectionPanel(*shell.session(), m_splitter);
    m_splitter->addWidget(m_list);
    m_splitter->addWidget(m_selection);
    m_splitter->setStretchFactor(0, 3);
    m_splitter->setStretchFactor(1, 2);
    m_splitter->setSizes({820, 480});
    column->addWidget(m_splitter, 1);

    m_empty = new EmptyState(QStringLiteral("runs"), tr("No runs yet"),
                             tr("Every training and every command you launch is kept here, with its curves, log, files "
                                "and configuration."),
                             this);
    auto* first = m_empty->addPrimary(tr("Train the sample"), QStringLiteral("play"));
    first->setObjectName(QStringLiteral("trainSampleButton"));
    connect(first, &QPushButton::clicked, this, [this] { m_actions->trainSample(); });
    m_empty->hide();
    column->addWidget(m_empty, 1);

    buildTable();
    buildActions();

    connect(m_search, &SearchField::edited, this, &RunsPage::applyFilter);
    connect(m_model, &RunsModel::failed, this, [this](const QString& text) {
        if (text.isEmpty()) {
            m_error->clear();
        } else {
            m_error->setMessage(InlineError::Kind::Error, text);
        }
    });
    connect(m_model, &RunsModel::renameFailed, &shell, [&shell](const base::Error& error) { shell.warn(error); });
    connect(m_model, &RunsModel::totalChanged, this, [this] {
        showEmptiness();
        Q_EMIT titleChanged();
    });
    connect(m_model, &RunsModel::loaded, this, [this] {
        keepSelection();
        showSelection();
        showEmptiness();
    });
    connect(m_selection, &SelectionPanel::openRequested, m_actions, &RunActions::open);
    connect(m_selection->charts(), &RunCharts::stateChanged, this, &RunsPage::stateChanged);
    connect(m_splitter, &QSplitter::splitterMoved, this, &RunsPage::stateChanged);
    connect(shell.session(), &commands::Session::runsChanged, this, [this](const QList<runs::RunChange>& changes) {
        if (!isVisible()) return;
        for (const runs::RunChange& change : changes) {
            if (change.parts & (runs::RunPart::Added | runs::RunPart::Meta)) return readNames();
        }
    });
    if (const Json saved = shell.stored(QStringLiteral("runs.views")); saved.is_array()) {
        for (const Json& one : saved) {
            m_ownViews.push_back({readString(one, "name"), readString(one, "filter"), readFlag(one, "archived"), true});
        }
    }
    showViews();
}

void RunsPage::buildTable() {
    styleTable(m_table, tr("Runs"));
    m_table->setObjectName(QStringLiteral("runsTable"));
    m_table->setModel(m_model);
    m_table->setItemDelegate(new CellDelegate(m_table));
    m_table->setSelectionBehavior(QAbstractItemView::SelectRows);
    m_table->setSelectionMode(QAbstractItemView::ExtendedSelection);
    m_table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    m_table->setContextMenuPolicy(Qt::CustomContextMenu);
    QHeaderView* header = m_table->horizontalHeader();
    // Before sorting is switched on, or the view would sort by its first column.
    header->setSortIndicator(m_model->sortColumn(), m_model->sortOrder());
    m_table->setSortingEnabled(true);
    header->setSectionsMovable(true);
    header->setContextMenuPolicy(Qt::CustomContextMenu);
    header->setStretchLastSection(true);
    const auto widths = [this, header] {
        for (int i = 0; i < m_model->columnCount(); ++i) {
            const int width = i < RunsModel::FirstMetric ? kColumnWidths[i] : kMetricWidth;
            header->resizeSection(i, std::max(Theme::current().scaled(width), header->sectionSizeHint(i)));
        }
    };
    widths();
    m_nameWidth = header->sectionSize(RunsModel::Name);
    placeMetrics();
    connect(header, &QHeaderView::sectionCountChanged, this, &RunsPage::widenName);
    connect(m_table, &QTableView::activated, this, [this](const QModelIndex& index) {
        if (const RunRow* row = m_model->rowAt(index.row())) m_actions->open(row->id);
    });
    connect(m_table, &QTableView::doubleClicked, this, [this](const QModelIndex& index) {
        if (const RunRow* row = m_model->rowAt(index.row())) m_actions->open(row->id);
    });
    connect(m_table, &QTableView::customContextMenuRequested, this, &RunsPage::showMenu);
    connect(header, &QHeaderView::customContextMenuRequested, this, &RunsPage::showHeaderMenu);
    connect(header, &QHeaderView::sectionResized, this, &RunsPage::stateChanged);
    connect(header, &QHeaderView::sectionMoved, this, &RunsPage::stateChanged);
    connect(header, &QHeaderView::sortIndicatorChanged, this, &RunsPage::stateChanged);
    connect(m_table->selectionModel(), &QItemSelectionModel::selectionChanged, this, [this] {
        if (m_model->rowCount() > 0) {
            m_kept.clear();
            for (const RunRow& row : selection()) m_kept.push_back(row.id);
        }
        showSelection();
    });
    m_table->installEventFilter(this);
}

void RunsPage::widenName() {
    QHeaderView* header = m_table->horizontalHeader();
    if (header->sectionSize(RunsModel::Name) != m_nameWidth) return;
    const Theme& theme = Theme::current();
    const int least = theme.scaled(kColumnWidths[RunsModel::Name]);
    const QScrollBar* bar = m_table->verticalScrollBar();
    int room = m_table->contentsRect().width() - (bar->isVisible() ? bar->width() : 0);
    int last = header->count() - 1;
    while (last > 0 && header->isSectionHidden(header->logicalIndex(last))) --last;
    for (int i = 0; i < header->count(); ++i) {
        if (i == RunsModel::Name || header->isSectionHidden(i)) continue;
        // The last one is as wide as what is left already.
        const bool stretched = header->visualIndex(i) == last;
        const int width = i < RunsModel::FirstMetric ? kColumnWidths[i] : kMetricWidth;
        room -= stretched ? std::max(theme.scaled(width), header->sectionSizeHint(i)) : header->sectionSize(i);
    }
    m_nameWidth = std::clamp(room, least, theme.scaled(kWidestName));
    header->resizeSection(RunsModel::Name, m_nameWidth);
}

void RunsPage::placeMetrics() {
    // Figures stand right behind the name, where the eye compares them; new ones come last in the model.
    QHeaderView* header = m_table->horizontalHeader();
    for (int i = RunsModel::FirstMetric; i < m_model->columnCount(); ++i) {
        header->moveSection(header->visualIndex(i), RunsModel::Name + 1 + i - RunsModel::FirstMetric);
    }
}

void RunsPage::buildActions() {
    auto* create = new QAction(icon(QStringLiteral("plus"), Role::AccentText), tr("New run"), this);
    create->setObjectName(QStringLiteral("newRunAction"));
    connect(create, &QAction::triggered, this, [this] { m_shell.open({QStringLiteral("new")}); });
    setPrimaryAction(create);

    const auto make = [this](const char* iconName, const QString& text, const QKeySequence& keys, auto slot) {
        auto* action = new QAction(icon(QString::fromLatin1(iconName)), text, this);
        action->setShortcut(keys);
        action->setShortcutContext(Qt::WidgetWithChildrenShortcut);
        m_table->addAction(action);
        connect(action, &QAction::triggered, this, slot);
        return action;
    };
    m_openRun = make("chevron-right", tr("Open"), {}, [this] {
        if (const auto rows = selection(); !rows.empty()) m_actions->open(rows.front().id);
    });
    m_rename = make("edit", tr("Rename"), Qt::Key_F2, [this] {
        const QModelIndex current = m_table->currentIndex();
        if (current.isValid()) m_table->edit(current.siblingAtColumn(RunsModel::Name));
    });
    m_tags = make("tag", tr("Edit tags…"), {}, [this] {
        if (const auto rows = selection(); !rows.empty()) m_actions->editTags(rows.front());
    });
    m_duplicate = make("duplicate", tr("Duplicate…"), Qt::CTRL | Qt::Key_D, [this] {
        if (const auto rows = selection(); !rows.empty()) m_actions->duplicate(rows.front().id);
    });
    m_archive = make("archive", tr("Archive"), {}, [this] {
        if (const auto rows = selection(); !rows.empty()) m_actions->archive(rows, !rows.front().archived);
    });
    m_delete = make("trash", tr("Delete…"), Qt::Key_Delete, [this] { m_actions->remove(selection()); });
    showSelection();
}

QString RunsPage::subtitle() const {
    const std::int64_t total = m_model->total();
    return total < 0 ? QString() : tr("%1 run(s)", nullptr, static_cast<int>(total)).arg(formatExact(total));
}

QWidget* RunsPage::firstFocus() { return m_table->isVisible() ? static_cast<QWidget*>(m_table) : m_search->lineEdit(); }

void RunsPage::activated() {
    m_model->setLive(true);
    readNames();
}

void RunsPage::deactivated() { m_model->setLive(false); }

bool RunsPage::eventFilter(QObject* watched, QEvent* event) {
    if (watched == m_table && event->type() == QEvent::Resize) widenName();
    if (watched == m_table && event->type() == QEvent::KeyPress) {
        const auto* key = static_cast<QKeyEvent*>(event);
        if (key->key() == Qt::Key_Slash) {
            m_search->lineEdit()->setFocus(Qt::ShortcutFocusReason);
            return true;
        }
        if (key->key() == Qt::Key_Return || key->key() == Qt::Key_Enter) {
            m_openRun->trigger();
            return true;
        }
    }
    return Page::eventFilter(watched, event);
}

void RunsPage::applyFilter(const QString& text) {
    m_model->setFilter(text, m_archived ? store::Archived::Only : store::Archived::Hide);
    showViews();
    Q_EMIT stateChanged();
    Q_EMIT addressChanged();
}

void RunsPage::applyView(const View& view) {
    m_archived = view.archived;
    m_search->setText(view.filter);
    applyFilter(view.filter);
}

void RunsPage::showViews() {
    while (QLayoutItem* item = m_viewsLayout->takeAt(0)) {
        item->widget()->hide();
        item->widget()->deleteLater();
        delete item;
    }
    std::vector<View> views{
        {tr("All"), {}, false, false},
        {tr("Active"), QStringLiteral("-state:completed -state:failed -state:canceled"), false, false},
        {tr("Failed"), QStringLiteral("state:failed"), false, false},
        {tr("Last 7 days"), QStringLiteral("created>7d"), false, false},
        {tr("Archived"), {}, true, false}};
    views.insert(views.end(), m_ownViews.begin(), m_ownViews.end());
    const QString now = m_search->text().trimmed();
    bool known = now.isEmpty();
    for (const View& view : views) {
        auto* chip = new Chip(view.name, m_views);
        const bool chosen = view.filter == now && view.archived == m_archived;
        known = known || chosen;
        chip->setObjectName(QStringLiteral("viewChip"));
        chip->setColors(chosen ? Role::Accent : Role::Muted, chosen ? Role::AccentSoft : Role::Sunken);
        chip->setIcon(chosen ? QStringLiteral("check") : QString());
        chip->setClickable(true);
        chip->setRemovable(view.own);
        chip->setAccessibleName(chosen ? tr("View %1, chosen").arg(view.name) : tr("View %1").arg(view.name));
        chip->setToolTip(view.filter);
        connect(chip, &Chip::clicked, this, [this, view] { applyView(view); });
        connect(chip, &Chip::removed, this, [this, name = view.name] {
            std::erase_if(m_ownViews, [&](const View& one) { return one.name == name; });
            showViews();
            Json list = Json::array();
            for (const View& one : m_ownViews) {
                list.push_back({{"name", one.name.toStdString()},
                                {"filter", one.filter.toStdString()},
                                {"archived", one.archived}});
            }
            m_shell.store(QStringLiteral("runs.views"), list);
        });
        m_viewsLayout->addWidget(chip);
    }
    if (!known) {
        auto* save = new LinkButton(tr("Save this view"), m_views);
        connect(save, &LinkButton::clicked, this, &RunsPage::saveView);
        m_viewsLayout->addWidget(save);
    }
}

void RunsPage::saveView() {
    m_shell.questions().askText(
        this, tr("Save this view"), tr("Name"), m_search->text().trimmed(),
        [this](const QString& text) {
            if (text.trimmed().isEmpty()) return tr("A view needs a name.");
            const bool taken = std::any_of(m_ownViews.begin(), m_ownViews.end(),
                                           [&](const View& one) { return one.name == text.trimmed(); });
            return taken ? tr("There is a view of this name.") : QString();
        },
        [this](const QString& name) {
            if (name.trimmed().isEmpty()) return;
            m_ownViews.push_back({name.trimmed(), m_search->text().trimmed(), m_archived, true});
            Json list = Json::array();
            for (const View& one : m_ownViews) {
                list.push_back({{"name", one.name.toStdString()},
                                {"filter", one.filter.toStdString()},
                                {"archived", one.archived}});
            }
            m_shell.store(QStringLiteral("runs.views"), list);
            showViews();
        });
}

std::vector<RunRow> RunsPage::selection() const {
    std::vector<RunRow> rows;
    QModelIndexList chosen = m_table->selectionModel()->selectedRows(RunsModel::Number);
    std::sort(chosen.begin(), chosen.end(),
              [](const QModelIndex& a, const QModelIndex& b) { return a.row() < b.row(); });
    for (const QModelIndex& index : chosen) {
        if (const RunRow* row = m_model->rowAt(index.row())) rows.push_back(*row);
    }
    return rows;
}

void RunsPage::keepSelection() {
    // A reload resets the model; what was selected stays selected as far as it is still there.
    if (m_table->selectionModel()->hasSelection() || m_kept.empty()) return;
    QItemSelection again;
    for (const base::RunId& id : m_kept) {
        const int row = m_model->rowOf(id);
        if (row >= 0) again.select(m_model->index(row, 0), m_model->index(row, m_model->columnCount() - 1));
    }
    if (again.isEmpty()) return;
    m_table->selectionModel()->select(again, QItemSelectionModel::ClearAndSelect);
    m_table->setCurrentIndex(again.indexes().front());
}

void RunsPage::showSelection() {
    const std::vector<RunRow> rows = selection();
    m_selection->setRuns(rows);
    const bool one = rows.size() == 1;
    const bool any = !rows.empty();
    const bool ended =
        std::all_of(rows.begin(), rows.end(), [](const RunRow& row) { return spec::isFinal(row.state); });
    m_openRun->setEnabled(one);
    m_rename->setEnabled(one);
    m_tags->setEnabled(one);
    m_duplicate->setEnabled(one);
    m_archive->setEnabled(any && ended);
    m_archive->setText(any && rows.front().archived ? tr("Take out of the archive") : tr("Archive"));
    m_delete->setEnabled(any && ended);
}

void RunsPage::showEmptiness() {
    const bool filtered = !m_model->filter().isEmpty() || m_archived;
    const bool none = m_model->loadedOnce() && m_model->total() == 0;
    m_empty->setVisible(none && !filtered);
    m_splitter->setVisible(!(none && !filtered));
    m_nothing->setVisible(none && filtered);
    m_table->setVisible(!none);
    m_search->setEnabled(!(none && !filtered));
}

void RunsPage::showMenu(const QPoint& at) {
    auto* menu = new QMenu(this);
    menu->setAttribute(Qt::WA_DeleteOnClose);
    menu->addAction(m_openRun);
    menu->addAction(m_duplicate);
    menu->addSeparator();
    menu->addAction(m_rename);
    menu->addAction(m_tags);
    const std::vector<RunRow> rows = selection();
    if (rows.size() == 1) {
        const RunRow row = rows.front();
        if (spec::isFinal(row.state)) {
            connect(menu->addAction(icon(QStringLiteral("play")), tr("Resume")), &QAction::triggered, this,
                    [this, row] { m_actions->resume(row); });
        } else {
            connect(menu->addAction(icon(QStringLiteral("stop")), tr("Cancel…")), &QAction::triggered, this,
                    [this, row] { m_actions->cancel(row); });
        }
        if (row.state == spec::RunState::Completed && row.taskKind == "train") {
            connect(menu->addAction(icon(QStringLiteral("models")), tr("Register model…")), &QAction::triggered, this,
                    [this, row] { m_actions->registerModel(row.id); });
        }
        connect(menu->addAction(icon(QStringLiteral("link")), tr("Copy address")), &QAction::triggered, this,
                [this, row] { m_actions->copyAddress(row.id); });
    }
    menu->addSeparator();
    menu->addAction(m_archive);
    menu->addAction(m_delete);
    menu->popup(m_table->viewport()->mapToGlobal(at));
}

void RunsPage::showHeaderMenu(const QPoint& at) {
    auto* menu = new QMenu(this);
    menu->setAttribute(Qt::WA_DeleteOnClose);
    QHeaderView* header = m_table->horizontalHeader();
    for (int column = RunsModel::Experiment; column < RunsModel::FirstMetric; ++column) {
        QAction* action = menu->addAction(m_model->headerData(column, Qt::Horizontal, Qt::DisplayRole).toString());
        action->setCheckable(true);
        action->setChecked(!header->isSectionHidden(column));
        connect(action, &QAction::toggled, this, [this, header, column](bool on) {
            header->setSectionHidden(column, !on);
            Q_EMIT stateChanged();
        });
    }
    menu->addSeparator();
    for (const QString& name : std::as_const(m_metricNames)) {
        const std::string metric = name.toStdString();
        QMenu* values = menu->addMenu(metricTitle(metric));
        const MetricValue best = smallerIsBetter(metric) ? MetricValue::Min : MetricValue::Max;
        for (const auto& [value, text] : {std::pair(best, tr("Best")), std::pair(MetricValue::Last, tr("Last"))}) {
            const RunsModel::MetricColumn column{metric, value};
            const auto& shown = m_model->metricColumns();
            QAction* action = values->addAction(text);
            action->setCheckable(true);
            action->setChecked(std::find(shown.begin(), shown.end(), column) != shown.end());
            connect(action, &QAction::toggled, this, [this, header, column](bool on) {
                auto columns = m_model->metricColumns();
                std::erase(columns, column);
                if (on) columns.push_back(column);
                m_model->setMetricColumns(columns);
                for (int i = RunsModel::FirstMetric; i < m_model->columnCount(); ++i)
                    header->resizeSection(i, Theme::current().scaled(kMetricWidth));
                placeMetrics();
                Q_EMIT stateChanged();
            });
        }
    }
    menu->popup(header->mapToGlobal(at));
}

void RunsPage::readNames() {
    struct Names {
        std::vector<std::string> metrics;
        std::vector<std::string> experiments;
        std::vector<std::string> tags;
    };
    m_shell.session()->query(
        this, QStringLiteral("runs.names"),
        [](store::Reader& reader) -> Result<Names> {
            auto metrics = reader.metricNames();
            if (!metrics) return metrics.error();
            auto experiments = reader.experiments();
            if (!experiments) return experiments.error();
            store::RunQuery query;
            query.withMetrics = false;
            query.limit = 500;
            auto page = reader.listRuns(query);
            if (!page) return page.error();
            Names names{std::move(*metrics), std::move(*experiments), {}};
            for (const RunRow& row : page->rows) {
                for (const auto& [name, value] : row.tags)
                    names.tags.push_back(value.empty() ? name : name + "=" + value);
            }
            std::sort(names.tags.begin(), names.tags.end());
            names.tags.erase(std::unique(names.tags.begin(), names.tags.end()), names.tags.end());
            return names;
        },
        [this](Result<Names> names) {
            if (!names) return;
            const auto list = [](const std::vector<std::string>& all) {
                QStringList texts;
                for (const std::string& one : all) texts << fromUtf8(one);
                return texts;
            };
            m_metricNames = list(names->metrics);
            m_completer->setMetrics(m_metricNames);
            m_completer->setExperiments(list(names->experiments));
            m_completer->setTags(list(names->tags));
        });
}

bool RunsPage::openAddress(const Address& address) {
    if (address.head != id()) return false;
    if (address.query == u"archived") {
        applyView({{}, {}, true, false});
    } else if (!address.query.isEmpty()) {
        applyView({{}, address.query, false, false});
    }
    return true;
}

Address RunsPage::address() const {
    const QString filter = m_search->text().trimmed();
    if (m_archived && filter.isEmpty()) return {id(), {}, QStringLiteral("archived")};
    return {id(), {}, filter};
}

Json RunsPage::saveState() const {
    const QHeaderView* header = m_table->horizontalHeader();
    Json metrics = Json::array();
    for (const auto& column : m_model->metricColumns())
        metrics.push_back({{"name", column.name}, {"value", nameOf(column.value)}});
    Json hidden = Json::array();
    Json widths = Json::array();
    for (int i = 0; i < m_model->columnCount(); ++i) {
        // What the window's width gave the name is not kept for another window.
        const bool own = i != RunsModel::Name || header->sectionSize(i) != m_nameWidth;
        widths.push_back(own ? header->sectionSize(i) : 0);
        if (header->isSectionHidden(i)) hidden.push_back(i);
    }
    return {{"filter", m_search->text().toStdString()},
            {"archived", m_archived},
            {"sort", m_model->sortColumn()},
            {"descending", m_model->sortOrder() == Qt::DescendingOrder},
            {"metrics", metrics},
            {"hidden", hidden},
            {"widths", widths},
            {"splitter", m_splitter->saved()},
            {"charts", m_selection->charts()->saveState()}};
}

void RunsPage::restoreState(const Json& state) {
    if (!state.is_object()) return;
    if (const auto metrics = state.find("metrics"); metrics != state.end() && metrics->is_array()) {
        std::vector<RunsModel::MetricColumn> columns;
        for (const Json& one : *metrics) {
            if (one.is_object()) columns.push_back({readText(one, "name"), metricValueOf(readText(one, "value"))});
        }
        m_model->setMetricColumns(std::move(columns));
        placeMetrics();
    }
    QHeaderView* header = m_table->horizontalHeader();
    const auto integers = [&state](const char* key) {
        std::vector<int> all;
        for (const Json& one : readArray(state, key)) {
            if (one.is_number_integer()) all.push_back(one.get<int>());
        }
        return all;
    };
    const std::vector<int> widths = integers("widths");
    for (int i = 0; i < m_model->columnCount() && i < static_cast<int>(widths.size()); ++i) {
        if (widths[static_cast<std::size_t>(i)] >= 24) header->resizeSection(i, widths[static_cast<std::size_t>(i)]);
    }
    for (const int column : integers("hidden")) {
        if (column > RunsModel::Name && column < m_model->columnCount()) header->setSectionHidden(column, true);
    }
    const int sort = static_cast<int>(readInteger(state, "sort", RunsModel::Number));
    if (sort >= 0 && sort < m_model->columnCount()) {
        m_table->sortByColumn(sort, readFlag(state, "descending", true) ? Qt::DescendingOrder : Qt::AscendingOrder);
    }
    if (const auto sizes = state.find("splitter"); sizes != state.end()) m_splitter->restore(*sizes);
    if (const auto charts = state.find("charts"); charts != state.end()) m_selection->charts()->restoreState(*charts);
    applyView({{}, readString(state, "filter"), readFlag(state, "archived"), false});
}

}  // namespace trainyard::ui
