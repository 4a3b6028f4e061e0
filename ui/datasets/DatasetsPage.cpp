#include "ui/datasets/DatasetsPage.h"

#include <QComboBox>
#include <QLineEdit>
#include <QListWidget>
#include <QSignalBlocker>
#include <QStackedWidget>
#include <QTabWidget>
#include <QVBoxLayout>
#include <algorithm>

#include "core/commands/Session.h"
#include "ui/datasets/AddDatasetPanel.h"
#include "ui/datasets/DatasetPanels.h"
#include "ui/datasets/SampleGrid.h"
#include "ui/forms/FieldEditors.h"
#include "ui/forms/JsonRead.h"
#include "ui/seams/Questions.h"
#include "ui/shell/Shell.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Chips.h"
#include "ui/widgets/Details.h"
#include "ui/widgets/Format.h"
#include "ui/widgets/VersionLine.h"

namespace trainyard::ui {

using base::Json;
using base::Result;

namespace {

constexpr int kDatasetNameRole = Qt::UserRole + 20;
constexpr const char* kSampleSplits[] = {"", "train", "val"};

}  // namespace

DatasetsPage::DatasetsPage(Shell& shell, QWidget* parent)
    : Page(QStringLiteral("data"), parent), m_shell(shell), m_datasets(Json::array()) {
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    m_body = new ListDetail(360, 920, this);
    m_side = m_body->views();
    buildList();
    m_choose = new EmptyState(QStringLiteral("data"), tr("No dataset chosen"),
                              tr("Choose one on the left, or add one."), m_side);
    m_side->addWidget(m_choose);
    m_empty = new EmptyState(
        QStringLiteral("data"), tr("No datasets yet"),
        tr("A dataset is a folder of pictures that has a name and versions: what is in it is counted and checked once, "
           "and every "
           "run keeps which version it learned from. Add a folder or an archive, or drop one on the window."),
        m_side);
    connect(m_empty->addPrimary(tr("Add a dataset"), QStringLiteral("plus")), &QPushButton::clicked, this,
            [this] { beginAdding({}); });
    m_side->addWidget(m_empty);
    m_detailView = buildDetail();
    m_side->addWidget(m_detailView);
    m_add = new AddDatasetPanel(shell, m_side);
    m_addView = makeScrollPage(m_add, 860, m_side);
    m_side->addWidget(m_addView);
    column->addWidget(m_body, 1);
    buildActions();

    connect(m_add, &AddDatasetPanel::edited, this, &DatasetsPage::stateChanged);
    connect(m_add, &AddDatasetPanel::runningChanged, this, &DatasetsPage::showActions);
    connect(m_add, &AddDatasetPanel::added, this, &DatasetsPage::added);
    connect(m_body, &QSplitter::splitterMoved, this, &DatasetsPage::stateChanged);
    connect(shell.session(), &commands::Session::datasetsChanged, this, [this] {
        if (!m_active) return;
        readList();
        readDetail();
    });
    showSide(m_choose);
}

void DatasetsPage::buildList() {
    QWidget* side = m_body->list();
    QVBoxLayout* layout = m_body->listColumn();
    m_search = new SearchField(tr("Filter datasets"), side);
    m_search->lineEdit()->setAccessibleName(tr("Filter of the datasets"));
    layout->addWidget(m_search);
    m_list = new QListWidget(side);
    m_list->setObjectName(QStringLiteral("datasetsList"));
    m_list->setAccessibleName(tr("Datasets"));
    m_list->setFrameShape(QFrame::NoFrame);
    m_list->setUniformItemSizes(true);
    m_list->setVerticalScrollMode(QAbstractItemView::ScrollPerPixel);
    m_list->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    m_list->setMouseTracking(true);
    m_list->setItemDelegate(new DatasetRowDelegate(m_list));
    layout->addWidget(m_list, 1);
    connect(m_search, &SearchField::edited, this, &DatasetsPage::showList);
    connect(m_list, &QListWidget::currentItemChanged, this, [this](QListWidgetItem* item) {
        if (item != nullptr) choose(item->data(kDatasetNameRole).toString(), 0);
    });
    // Back from the panel that adds, where the chosen line is chosen already.
    connect(m_list, &QListWidget::itemClicked, this, [this] {
        if (m_adding && m_detail.is_object()) showSide(m_detailView);
    });
}

QWidget* DatasetsPage::buildDetail() {
    const Theme& theme = Theme::current();
    auto* detail = new QWidget(m_side);
    auto* column = new QVBoxLayout(detail);
    column->setContentsMargins(theme.space(3), theme.space(1), 0, 0);
    column->setSpacing(theme.space(1));
    auto* head = new QHBoxLayout;
    head->setContentsMargins(0, 0, theme.space(4), 0);
    m_title = new ElidedLabel({}, TextStyle::Title, Role::Text, detail);
    m_title->setObjectName(QStringLiteral("datasetTitleLabel"));
    m_problemsChip = new Chip({}, detail);
    m_problemsChip->setObjectName(QStringLiteral("datasetProblemsChip"));
    m_versions = new VersionLine(QStringLiteral("datasetVersionBox"), detail);
    head->addWidget(m_title, 1);
    head->addWidget(m_problemsChip);
    head->addWidget(m_versions);
    column->addLayout(head);
    m_facts = new TextLabel({}, TextStyle::Secondary, Role::Muted, detail);
    m_facts->setObjectName(QStringLiteral("datasetFactsLabel"));
    m_facts->setWordWrap(true);
    column->addWidget(m_facts);
    m_tabs = new QTabWidget(detail);
    m_tabs->setObjectName(QStringLiteral("datasetTabs"));
    m_tabs->setDocumentMode(true);
    m_overview = buildOverview();
    m_samplesTab = buildSamples();
    m_tabs->addTab(m_overview, tr("Overview"));
    m_tabs->addTab(m_samplesTab, tr("Pictures"));
    column->addWidget(m_tabs, 1);
    connect(m_versions, &VersionLine::picked, this, [this](int version) { choose(m_name, version); });
    connect(m_tabs, &QTabWidget::currentChanged, this, [this] {
        showSamples();
        Q_EMIT addressChanged();
        Q_EMIT stateChanged();
    });
    return detail;
}

QWidget* DatasetsPage::buildOverview() {
    const Theme& theme = Theme::current();
    auto* content = new QWidget(m_tabs);
    auto* column = new QVBoxLayout(content);
    column->setContentsMargins(0, theme.space(2), theme.space(4), theme.space(4));
    column->setSpacing(theme.space(2));
    const auto card = [&](const QString& title, QWidget* panel) {
        auto* made = new Card(title, content);
        panel->setParent(made);
        made->body()->addWidget(panel);
        column->addWidget(made);
        return made;
    };
    m_missing = new InlineError(content);
    m_missing->setObjectName(QStringLiteral("datasetMissingLine"));
    m_missing->setRemedy(tr("Look again…"), [this] { lookAgain(); });
    column->addWidget(m_missing);
    m_noProblems = new InlineError(content);
    m_noProblems->setObjectName(QStringLiteral("noProblemsLine"));
    column->addWidget(m_noProblems);
    m_problems = new ProblemsPanel(content);
    m_problemsCard = card(tr("What is wrong"), m_problems);
    m_classes = new ClassesPanel(content);
    card(tr("Classes"), m_classes);
    m_pictures = new PicturesPanel(content);
    m_picturesCard = card(tr("The pictures"), m_pictures);
    m_place = new PlacePanel(content);
    card(tr("Where it is"), m_place);
    column->addStretch(1);
    connect(m_classes, &ClassesPanel::chosen, this, [this](const QString& label) {
        m_class = label;
        m_tabs->setCurrentWidget(m_samplesTab);
        showFilter();
        showSamples();
    });
    return makeScrollPage(content, 1680, m_tabs);
}

QWidget* DatasetsPage::buildSamples() {
    const Theme& theme = Theme::current();
    auto* tab = new QWidget(m_tabs);
    auto* column = new QVBoxLayout(tab);
    column->setContentsMargins(0, theme.space(2), theme.space(1), theme.space(1));
    column->setSpacing(theme.space(1));
    auto* line = new QHBoxLayout;
    line->setContentsMargins(0, 0, theme.space(3), 0);
    line->setSpacing(theme.space(2));
    m_classBox = new QComboBox(tab);
    m_classBox->setObjectName(QStringLiteral("sampleClassBox"));
    m_classBox->setAccessibleName(tr("Class"));
    m_classBox->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    m_classBox->setMinimumContentsLength(18);
    line->addWidget(m_classBox);
    m_split = new SegmentedControl(tab);
    m_split->setObjectName(QStringLiteral("sampleSplitControl"));
    m_split->setAccessibleName(tr("Split"));
    m_split->addSegment(tr("All"));
    m_split->addSegment(tr("Training"));
    m_split->addSegment(tr("Validation"));
    line->addWidget(m_split);
    line->addStretch(1);
    m_count = new TextLabel({}, TextStyle::Secondary, Role::Muted, tab);
    m_count->setObjectName(QStringLiteral("sampleCountLabel"));
    line->addWidget(m_count);
    column->addLayout(line);
    m_samplesError = new InlineError(tab);
    m_samplesError->setObjectName(QStringLiteral("samplesError"));
    m_samplesError->clear();
    m_samplesError->setRemedy(tr("Try again"), [this] {
        m_shown.clear();
        showSamples();
    });
    column->addWidget(m_samplesError);
    m_grid = new SampleGrid(m_shell, tab);
    m_grid->setObjectName(QStringLiteral("sampleGrid"));
    column->addWidget(m_grid, 1);
    auto* foot = new QHBoxLayout;
    foot->setContentsMargins(0, 0, theme.space(3), 0);
    m_current = new CopyField(tr("Path of the picture"), tab);
    m_current->setObjectName(QStringLiteral("samplePathField"));
    foot->addWidget(m_current);
    column->addLayout(foot);
    connect(m_classBox, &QComboBox::activated, this, [this] {
        m_class = m_classBox->currentData().toString();
        showSamples();
        Q_EMIT addressChanged();
    });
    connect(m_split, &SegmentedControl::picked, this, &DatasetsPage::showSamples);
    connect(m_grid, &SampleGrid::currentChanged, this, &DatasetsPage::showCurrent);
    connect(m_grid, &SampleGrid::totalChanged, this, &DatasetsPage::showCurrent);
    connect(m_grid, &SampleGrid::failed, m_samplesError, &InlineError::setError);
    return tab;
}

void DatasetsPage::buildActions() {
    m_addAction =
        makeAction(this, "plus", tr("Add dataset"), "addDatasetAction", Role::AccentText, [this] { beginAdding({}); });
    m_startAction =
        makeAction(this, "check", tr("Add"), "startAddingAction", Role::AccentText, [this] { m_add->start(); });
    m_backAction = makeAction(this, "close", tr("Not now"), "noDatasetAction", Role::Text, [this] {
        showSide(m_detail.is_object() ? m_detailView : m_datasets.empty() ? static_cast<QWidget*>(m_empty) : m_choose);
        Q_EMIT stateChanged();
    });
    m_trainAction =
        makeAction(this, "play", tr("Train on this"), "trainOnDatasetAction", Role::Text, [this] { train(); });
    m_againAction =
        makeAction(this, "refresh", tr("Look again…"), "lookAgainAction", Role::Text, [this] { lookAgain(); });
    m_againAction->setToolTip(tr("Reads its source anew; what differs becomes the next version"));
    m_removeAction = makeAction(this, "trash", tr("Remove…"), "removeDatasetAction", Role::Text, [this] { remove(); });
}

QString DatasetsPage::subtitle() const {
    return m_readOnce && !m_datasets.empty() ? tr("%n dataset(s)", nullptr, static_cast<int>(m_datasets.size()))
                                             : QString();
}

QString DatasetsPage::pinned() const { return m_name + u':' + QString::number(readInteger(m_detail, "version")); }

bool DatasetsPage::openAddress(const Address& address) {
    if (address.head != id() && address.head != u"dataset") return false;
    if (address.query == u"add") {
        beginAdding({});
    } else if (address.query.startsWith(u"add=")) {
        beginAdding(address.query.mid(4));
    } else if (!address.parts.isEmpty()) {
        const bool samples = address.query == u"samples" || address.query.startsWith(u"samples=");
        choose(address.parts.first(), address.parts.value(1).toInt());
        if (samples) m_class = address.query.mid(8);
        m_tabs->setCurrentWidget(samples ? m_samplesTab : m_overview);
        showFilter();
        showSamples();
        if (m_readOnce) showList();
    }
    return true;
}

Address DatasetsPage::address() const {
    if (m_name.isEmpty()) return {id()};
    Address made{id(), {m_name}};
    if (m_version > 0) made.parts << QString::number(m_version);
    if (m_tabs->currentWidget() == m_samplesTab)
        made.query = m_class.isEmpty() ? QStringLiteral("samples") : QStringLiteral("samples=") + m_class;
    return made;
}

Json DatasetsPage::saveState() const {
    return {{"dataset", m_name.toStdString()},
            {"version", m_version},
            {"tab", m_tabs->currentWidget() == m_samplesTab ? "samples" : "overview"},
            {"splitter", m_body->saved()},
            {"adding", m_adding},
            {"draft", m_add->draft()}};
}

void DatasetsPage::restoreState(const Json& state) {
    if (m_name.isEmpty()) {
        m_name = readString(state, "dataset");
        m_version = static_cast<int>(readInteger(state, "version"));
    }
    if (readText(state, "tab") == "samples") m_tabs->setCurrentWidget(m_samplesTab);
    if (const Json* sizes = member(state, "splitter")) m_body->restore(*sizes);
    m_add->restore(readObject(state, "draft"));
    if (readFlag(state, "adding")) showSide(m_addView);
}

void DatasetsPage::activated() {
    m_active = true;
    readList();
    if (!m_name.isEmpty()) readDetail();
}

void DatasetsPage::deactivated() { m_active = false; }

QWidget* DatasetsPage::firstFocus() {
    if (m_adding) return m_add->findChild<QLineEdit*>(QStringLiteral("datasetSourceInput"));
    return m_datasets.empty() ? nullptr : m_list;
}

void DatasetsPage::readList() {
    m_shell.session()->start("dataset.list", Json::object(), this, [this](const Result<Json>& found) {
        if (!found) {
            if (found.error().code != "canceled") m_shell.warn(found.error());
            return;
        }
        for (const Json& problem : readArray(*found, "problems")) {
            m_shell.warn({readText(problem, "code"), readText(problem, "message")});
            break;
        }
        m_datasets = readArray(*found, "datasets");
        m_readOnce = true;
        QMap<QString, int> known;
        for (const Json& one : m_datasets)
            known[readString(one, "name")] = static_cast<int>(readInteger(one, "version", 1));
        m_add->setKnown(known);
        showList();
        Q_EMIT titleChanged();
    });
}

void DatasetsPage::showList() {
    const QSignalBlocker quiet(m_list);
    m_list->clear();
    const QString filter = m_search->text().trimmed();
    QListWidgetItem* chosen = nullptr;
    for (const Json& one : m_datasets) {
        const QString name = readString(one, "name");
        if (!filter.isEmpty() && !name.contains(filter, Qt::CaseInsensitive)) continue;
        auto* item = new QListWidgetItem(name, m_list);
        const int problems = problemCount(one);
        const auto versions = static_cast<int>(datasetVersions(one).size());
        QStringList facts{datasetKindWord(readText(one, "kind")),
                          tr("%n class(es)", nullptr, static_cast<int>(readInteger(one, "classes"))),
                          tr("%1 pictures").arg(formatCount(readInteger(one, "images")))};
        if (versions > 1) facts << tr("%n version(s)", nullptr, versions);
        item->setData(kDatasetNameRole, name);
        item->setData(DatasetRowDelegate::FactsRole, facts.join(QStringLiteral(" · ")));
        item->setData(DatasetRowDelegate::ProblemsRole, problems);
        if (problems > 0) facts << tr("%n problem(s) found", nullptr, problems);
        item->setData(Qt::AccessibleTextRole, name + QStringLiteral(": ") + facts.join(QStringLiteral(", ")));
        item->setToolTip(name + u'\n' + facts.join(u'\n'));
        if (name == m_name) chosen = item;
    }
    m_body->list()->setVisible(!m_datasets.empty());
    QWidget* now = m_side->currentWidget();
    if (m_datasets.empty()) {
        if (now == m_choose && m_name.isEmpty()) showSide(m_empty);
    } else if (now == m_empty) {
        showSide(m_choose);
    }
    if (chosen == nullptr && m_name.isEmpty() && !m_adding && m_list->count() > 0) {
        chosen = m_list->item(0);
        choose(chosen->data(kDatasetNameRole).toString(), 0);
    }
    if (chosen != nullptr) m_list->setCurrentItem(chosen);
}

void DatasetsPage::choose(const QString& name, int version) {
    if (name.isEmpty()) return;
    if (name == m_name && version == m_version && m_detail.is_object()) {
        showSide(m_detailView);
        return;
    }
    if (name != m_name) m_class.clear();
    m_name = name;
    m_version = version;
    m_detail = Json();
    if (m_adding) showSide(m_choose);
    readDetail();
    Q_EMIT addressChanged();
    Q_EMIT stateChanged();
}

void DatasetsPage::readDetail() {
    if (m_name.isEmpty()) return;
    const QString wanted = m_version > 0 ? m_name + u':' + QString::number(m_version) : m_name;
    m_shell.session()->start("dataset.show", {{"dataset", wanted.toStdString()}}, this,
                             [this, name = m_name, version = m_version](const Result<Json>& found) {
                                 if (name != m_name || version != m_version) return;
                                 if (found) {
                                     m_detail = *found;
                                     showDetail();
                                     return;
                                 }
                                 if (found.error().code == "canceled") return;
                                 m_detail = Json();
                                 m_choose->setTexts(tr("No such dataset"), fromUtf8(found.error().message));
                                 if (!m_adding) showSide(m_choose);
                             });
}

void DatasetsPage::showHead() {
    const auto version = static_cast<int>(readInteger(m_detail, "version", 1));
    const std::vector<int> versions = datasetVersions(m_detail);
    const Json classes = readArray(m_detail, "classes");
    std::int64_t train = 0, val = 0;
    for (const Json& one : classes) {
        train += readInteger(one, "train");
        val += readInteger(one, "val");
    }
    m_title->setText(m_name);
    QStringList facts{datasetKindWord(readText(m_detail, "kind")),
                      tr("%n class(es)", nullptr, static_cast<int>(classes.size()))};
    facts << tr("%1 for training, %2 for validation").arg(formatExact(train), formatExact(val));
    if (const std::int64_t bytes = readInteger(m_detail, "bytes"); bytes > 0) facts << formatBytes(bytes);
    facts << (versions.size() > 1 ? tr("version %1 of %2").arg(version).arg(versions.size())
                                  : tr("version %1").arg(version));
    if (const std::int64_t at = datasetTime(m_detail); at > 0) facts << tr("added %1").arg(formatAgo(at));
    m_facts->setText(facts.join(QStringLiteral(" · ")));
    const int problems = problemCount(m_detail);
    m_problemsChip->setVisible(problems > 0);
    m_problemsChip->setText(tr("%n problem(s)", nullptr, problems));
    m_problemsChip->setIcon(QStringLiteral("warning"));
    m_problemsChip->setColors(Role::Warning, Role::WarningSoft);
    m_versions->setVersions(versions, version);
}

void DatasetsPage::showDetail() {
    showHead();
    const int problems = problemCount(m_detail);
    const bool there = readFlag(m_detail, "there", true);
    m_missing->setMessage(InlineError::Kind::Error, there ? QString()
                                                          : tr("The pictures are not where they were: %1. Bring them "
                                                               "back there, or look again to name another place.")
                                                                .arg(readString(m_detail, "path")));
    m_problemsCard->setVisible(!readArray(m_detail, "problems").empty());
    m_noProblems->setMessage(
        InlineError::Kind::Success,
        problems > 0
            ? QString()
            : tr("Nothing is wrong: every picture can be read, no class is empty, no picture is in both splits."));
    m_problems->setDataset(m_detail);
    m_classes->setDataset(m_detail);
    m_picturesCard->setVisible(m_pictures->setDataset(m_detail));
    m_place->setDataset(m_detail);
    m_tabs->setTabText(m_tabs->indexOf(m_samplesTab),
                       tr("Pictures (%1)").arg(formatCount(readInteger(m_detail, "images"))));
    showFilter();
    if (!m_adding) showSide(m_detailView);
    showSamples();
}

void DatasetsPage::showFilter() {
    m_classBox->clear();
    m_classBox->addItem(tr("All classes"), QString());
    for (const Json& one : readArray(m_detail, "classes")) {
        const QString name = readString(one, "name");
        m_classBox->addItem(tr("%1 (%2)").arg(name, formatExact(readInteger(one, "train") + readInteger(one, "val"))),
                            name);
    }
    const int at = m_classBox->findData(m_class);
    if (at < 0 && m_detail.is_object()) m_class.clear();
    m_classBox->setCurrentIndex(std::max(0, at));
}

void DatasetsPage::showSamples() {
    if (!m_detail.is_object() || m_tabs->currentWidget() != m_samplesTab) return;
    const QString split = QString::fromLatin1(kSampleSplits[std::clamp(m_split->current(), 0, 2)]);
    // The hash as well: a version is never written anew, but a dataset may be removed and its name given to another.
    const QString shown = QStringList{pinned(), readString(m_detail, "sha256"), m_class, split}.join(u'\n');
    if (shown == m_shown) return;
    m_shown = shown;
    m_samplesError->clear();
    m_grid->setQuery(pinned(), m_class, split);
}

void DatasetsPage::showCurrent() {
    const auto total = m_grid->samples().total();
    m_count->setText(!total        ? tr("Looking…")
                     : *total == 0 ? tr("No pictures")
                                   : tr("%1 of %2").arg(formatExact(m_grid->currentIndex() + 1), formatExact(*total)));
    const Sample* sample = m_grid->current();
    m_current->setVisible(sample != nullptr && !sample->path.isEmpty());
    if (sample != nullptr) m_current->setText(sample->path);
}

void DatasetsPage::showSide(QWidget* side) {
    m_side->setCurrentWidget(side);
    m_adding = side == m_addView;
    showActions();
}

void DatasetsPage::showActions() {
    QWidget* side = m_side->currentWidget();
    m_startAction->setEnabled(!m_add->isRunning());
    m_backAction->setText(m_add->isRunning() ? tr("Go on in the background") : tr("Not now"));
    m_addAction->setText(m_add->isRunning() ? tr("Being added…") : tr("Add dataset"));
    if (side == m_addView) {
        setPrimaryAction(m_startAction);
        setContextActions({m_backAction});
    } else {
        // The empty page has the button in its middle.
        setPrimaryAction(side == m_empty ? nullptr : m_addAction);
        setContextActions(side == m_detailView ? QList<QAction*>{m_trainAction, m_againAction, m_removeAction}
                                               : QList<QAction*>{});
    }
}

void DatasetsPage::beginAdding(const QString& source, const Json& values) {
    if (m_add->isRunning() && !source.isEmpty())
        m_shell.notice(tr("Another dataset is being added; this one can be added after it."));
    if (!source.isEmpty()) m_add->begin(source, values);
    showSide(m_addView);
    if (QWidget* first = firstFocus()) first->setFocus();
    Q_EMIT stateChanged();
}

void DatasetsPage::added(const Json& dataset) {
    const QString name = readString(dataset, "name");
    const auto version = static_cast<int>(readInteger(dataset, "version", 1));
    const int problems = problemCount(dataset);
    if (!readFlag(dataset, "changed", true)) {
        m_shell.notice(tr("%1 is as it was: version %2.").arg(name).arg(version));
    } else if (problems > 0) {
        m_shell.notice(tr("%1 was added as version %2, with %n problem(s).", nullptr, problems).arg(name).arg(version));
    } else {
        m_shell.notice(tr("%1 was added as version %2.").arg(name).arg(version));
    }
    m_add->begin({}, Json::object());
    if (m_adding) {
        m_name = name;
        m_version = 0;
        m_class.clear();
        m_detail = dataset;
        m_adding = false;
        showDetail();
        Q_EMIT addressChanged();
    }
    readList();
    Q_EMIT stateChanged();
}

void DatasetsPage::train() {
    if (!m_detail.is_object()) return;
    const std::vector<int> versions = datasetVersions(m_detail);
    const bool newest = versions.empty() || readInteger(m_detail, "version") == versions.back();
    m_shell.open({QStringLiteral("new"), {}, QStringLiteral("dataset=") + (newest ? m_name : pinned())});
}

void DatasetsPage::lookAgain() {
    if (!m_detail.is_object()) return;
    const QString source = readString(m_detail, "source");
    const Json own{{"name", m_name.toStdString()},
                   {"split", readNumber(m_detail, "split")},
                   {"split_seed", readInteger(m_detail, "split_seed")}};
    beginAdding(source.isEmpty() ? readString(m_detail, "path") : source, own);
}

void DatasetsPage::remove() {
    if (!m_detail.is_object()) return;
    const QString name = m_name;
    const auto versions = std::max(1, static_cast<int>(datasetVersions(m_detail).size()));
    const bool owned = readFlag(m_detail, "managed");
    Question question;
    question.id = QStringLiteral("dataset.remove");
    question.title = tr("Remove %1?").arg(name);
    question.text =
        tr("Its %n version(s) go from this workspace; runs that used it keep their history, but cannot be repeated.",
           nullptr, versions) +
        u' ' +
        (owned ? tr("The pictures were unpacked here and go with it: %1 are freed.")
                     .arg(formatBytes(readInteger(m_detail, "bytes")))
               : tr("The pictures stay where they are."));
    question.buttons = {{QStringLiteral("remove"), tr("Remove dataset"), true}};
    m_shell.questions().ask(this, question, [this, name](const QString& answer) {
        if (answer != u"remove") return;
        m_shell.session()->start(
            "dataset.remove", {{"dataset", name.toStdString()}}, this, [this, name](const Result<Json>& done) {
                if (!done) return m_shell.warn(done.error());
                m_shell.notice(tr("%1 was removed.").arg(name));
                if (name == m_name) {
                    m_name.clear();
                    m_version = 0;
                    m_detail = Json();
                    m_shown.clear();
                    m_grid->setQuery({}, {}, {});
                    m_choose->setTexts(tr("No dataset chosen"), tr("Choose one on the left, or add one."));
                    showSide(m_choose);
                    Q_EMIT addressChanged();
                }
                readList();
            });
    });
}

}  // namespace trainyard::ui
