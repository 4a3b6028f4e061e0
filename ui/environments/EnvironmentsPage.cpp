#include "ui/environments/EnvironmentsPage.h"

#include <QLineEdit>
#include <QRegularExpression>
#include <QScrollArea>
#include <QStackedWidget>
#include <QTreeWidget>
#include <QVBoxLayout>
#include <algorithm>

#include "core/commands/Session.h"
#include "ui/environments/EnvironmentForm.h"
#include "ui/environments/EnvironmentPanels.h"
#include "ui/environments/NewEnvironmentPanel.h"
#include "ui/forms/JsonRead.h"
#include "ui/seams/Questions.h"
#include "ui/shell/Icons.h"
#include "ui/shell/Shell.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Details.h"
#include "ui/widgets/Format.h"
#include "ui/widgets/Tables.h"
#include "ui/widgets/VersionLine.h"

namespace trainyard::ui {

using base::Json;
using base::Result;

namespace {

constexpr int kEnvironmentRole = Qt::UserRole + 1;
constexpr int kRunsMillis = 400;  ///< Runs that come together are read together.

QString versionText(const QString& name, int version) { return name + u':' + QString::number(version); }

}  // namespace

EnvironmentsPage::EnvironmentsPage(Shell& shell, QWidget* parent)
    : Page(QStringLiteral("environments"), parent), m_shell(shell), m_environments(Json::array()) {
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    m_body = new ListDetail(440, 840, this);
    m_side = m_body->views();
    buildList();
    m_choose = new EmptyState(QStringLiteral("environment"), tr("No environment chosen"),
                              tr("Choose one on the left, or make one of your own."), m_side);
    m_side->addWidget(m_choose);
    m_detailView = buildDetail();
    m_side->addWidget(m_detailView);
    m_form = new EnvironmentForm(shell, m_side);
    m_formView = makeScrollPage(m_form, 820, m_side);
    m_side->addWidget(m_formView);
    m_new = new NewEnvironmentPanel(shell, m_side);
    m_newView = makeScrollPage(m_new, 900, m_side);
    m_side->addWidget(m_newView);
    column->addWidget(m_body, 1);
    buildActions();

    connect(m_new, &NewEnvironmentPanel::begun, this,
            [this](const Json& document, const QStringList& notes) { beginForm(document, true, notes); });
    connect(m_form, &EnvironmentForm::saved, this, [this](const QString& name, int version, bool changed) {
        const bool added = m_form->isNew();
        m_draft = Json();
        m_name = name;
        m_version = 0;
        m_detail = Json();
        m_shell.notice(added     ? tr("%1 was made.").arg(name)
                       : changed ? tr("%1 has version %2 now; runs keep the one that they used.").arg(name).arg(version)
                                 : tr("Nothing was changed, so %1 stays as it is.").arg(name));
        showSide(m_detailView);
        readList();
        readDetail();
        Q_EMIT addressChanged();
        Q_EMIT stateChanged();
    });
    connect(m_form, &EnvironmentForm::edited, this, [this] {
        m_draft = Json{{"new", m_form->isNew()}, {"document", m_form->document()}};
        Q_EMIT stateChanged();
    });
    connect(m_body, &QSplitter::splitterMoved, this, &EnvironmentsPage::stateChanged);
    connect(shell.session(), &commands::Session::environmentsChanged, this, [this] {
        if (!m_active) return;
        readList();
        readDetail();
    });
    m_soon.setSingleShot(true);
    m_soon.setInterval(kRunsMillis);
    connect(&m_soon, &QTimer::timeout, this, [this] {
        if (!m_active) return;
        readList();
        readUse();
    });
    connect(shell.session(), &commands::Session::runsChanged, this, [this](const QList<runs::RunChange>& changes) {
        constexpr auto kUses = runs::RunPart::Added | runs::RunPart::Removed | runs::RunPart::State;
        const bool used = std::any_of(changes.begin(), changes.end(),
                                      [](const runs::RunChange& change) { return bool(change.parts & kUses); });
        if (used && m_active && !m_soon.isActive()) m_soon.start();
    });
    showSide(m_choose);
}

void EnvironmentsPage::buildList() {
    m_search = new SearchField(tr("Filter environments"), m_body->list());
    m_search->lineEdit()->setAccessibleName(tr("Filter of the environments"));
    m_body->listColumn()->addWidget(m_search);
    m_tree = m_body->addTree("environmentsTree", tr("Environments"), {tr("Environment"), tr("Kind"), tr("Last run")});
    m_tree->setIndentation(10);
    // As wide as the longest word, so that no kind is cut.
    int widest = 0;
    for (const QString& kind : environmentKindWords()) {
        widest = std::max(widest, m_tree->fontMetrics().horizontalAdvance(kind));
    }
    m_tree->setColumnWidth(1, widest + 2 * Theme::current().space(2));
    m_tree->setColumnWidth(2, Theme::current().scaled(72));
    connect(m_search, &SearchField::edited, this, &EnvironmentsPage::showList);
    connect(m_tree, &QTreeWidget::currentItemChanged, this, [this](QTreeWidgetItem* item) {
        if (item != nullptr) choose(item->data(0, kEnvironmentRole).toString(), 0);
    });
}

QWidget* EnvironmentsPage::buildDetail() {
    m_head = new DetailColumn(QStringLiteral("environment"), m_side);
    m_versions = new VersionLine(QStringLiteral("versionBox"), m_head);
    m_head->addToHead(m_versions);
    m_content = new ContentPanel(m_head);
    m_head->addCard(tr("What is in it"), m_content);
    m_realised = new RealisedPanel(m_shell, m_head);
    m_head->addCard(tr("Where it was realised"), m_realised);
    m_check = new CheckPanel(m_shell, m_head);
    m_head->addCard(tr("What it needs"), m_check);
    m_diff = new DiffPanel(m_shell, m_head);
    m_diffCard = m_head->addCard(tr("Compare"), m_diff);
    m_built = new BuiltPanel(m_shell, m_head);
    m_head->addCard(tr("Built on targets"), m_built);
    connect(m_head->runs(), &LinkButton::clicked, this, [this] {
        m_shell.open({QStringLiteral("runs"), {}, QStringLiteral("environment:") + m_name});
    });
    connect(m_versions, &VersionLine::picked, this, [this](int picked) { choose(m_name, picked); });
    return makeScrollPage(m_head, 1000, m_side);
}

void EnvironmentsPage::buildActions() {
    m_newAction = makeAction(this, "plus", tr("New environment"), "newEnvironmentAction", Role::AccentText,
                             [this] { beginNew(); });
    m_saveAction =
        makeAction(this, "check", tr("Save"), "saveEnvironmentAction", Role::AccentText, [this] { m_form->save(); });
    m_saveAction->setShortcut(Qt::CTRL | Qt::Key_S);
    m_dropAction =
        makeAction(this, "close", tr("Discard"), "discardEnvironmentAction", Role::Text, [this] { dropDraft(); });
    m_backAction = makeAction(this, "close", tr("Not now"), "noNewEnvironmentAction", Role::Text, [this] {
        showSide(m_detail.is_object() ? m_detailView : static_cast<QWidget*>(m_choose));
    });
    m_editAction = makeAction(this, "edit", tr("Edit"), "editEnvironmentAction", Role::Text, [this] {
        if (m_detail.is_object()) beginForm(readObject(m_detail, "spec"), false, {});
    });
    m_cloneAction =
        makeAction(this, "duplicate", tr("Clone…"), "cloneEnvironmentAction", Role::Text, [this] { clone(); });
    m_folderAction =
        makeAction(this, "folder", tr("Save to folder…"), "saveToFolderAction", Role::Text, [this] { save(); });
    m_deleteAction =
        makeAction(this, "trash", tr("Delete…"), "deleteEnvironmentAction", Role::Text, [this] { remove(); });
}

QString EnvironmentsPage::subtitle() const {
    return m_readOnce ? tr("%n environment(s)", nullptr, static_cast<int>(m_environments.size())) : QString();
}

QString EnvironmentsPage::pinned() const {
    return versionText(m_name, static_cast<int>(readInteger(m_detail, "version")));
}

bool EnvironmentsPage::openAddress(const Address& address) {
    if (address.head != id()) return false;
    if (address.query == u"new") {
        beginNew();
    } else if (address.query.startsWith(u"new=")) {
        Json document{{"kind", address.query.mid(4).toStdString()}};
        beginForm(document, true, {});
    } else if (!address.parts.isEmpty()) {
        choose(address.parts.first(), address.parts.value(1).toInt());
        if (m_readOnce) showList();
    }
    return true;
}

Address EnvironmentsPage::address() const {
    if (m_name.isEmpty()) return {id()};
    if (m_version == 0) return {id(), {m_name}};
    return {id(), {m_name, QString::number(m_version)}};
}

Json EnvironmentsPage::saveState() const {
    return {{"environment", m_name.toStdString()},
            {"version", m_version},
            {"splitter", m_body->saved()},
            {"draft", m_draft}};
}

void EnvironmentsPage::restoreState(const Json& state) {
    if (m_name.isEmpty()) {
        m_name = readString(state, "environment");
        m_version = static_cast<int>(readInteger(state, "version"));
    }
    if (const Json* sizes = member(state, "splitter")) m_body->restore(*sizes);
    const Json draft = readObject(state, "draft");
    if (!draft.empty()) beginForm(readObject(draft, "document"), readFlag(draft, "new", true), {});
}

void EnvironmentsPage::activated() {
    m_active = true;
    m_built->readTargets();
    readList();
    if (!m_name.isEmpty()) readDetail();
}

void EnvironmentsPage::deactivated() { m_active = false; }

QWidget* EnvironmentsPage::firstFocus() { return m_side->currentWidget() == m_formView ? nullptr : m_tree; }

void EnvironmentsPage::readList() {
    m_shell.session()->start("environment.list", Json::object(), this, [this](const Result<Json>& found) {
        if (!found) {
            if (found.error().code != "canceled") m_shell.warn(found.error());
            return;
        }
        for (const Json& problem : readArray(*found, "problems")) {
            m_shell.warn({readText(problem, "code"), readText(problem, "message")});
            break;
        }
        m_environments = readArray(*found, "environments");
        m_readOnce = true;
        showList();
        Q_EMIT titleChanged();
    });
}

void EnvironmentsPage::showList() {
    const QSignalBlocker quiet(m_tree);
    m_tree->clear();
    const QString filter = m_search->text().trimmed();
    QTreeWidgetItem* chosen = nullptr;
    for (const bool curated : {false, true}) {
        QTreeWidgetItem* group = nullptr;
        for (const Json& one : m_environments) {
            if (readFlag(one, "curated") != curated) continue;
            const QString name = readString(one, "environment");
            const QString kind = environmentKindWord(readText(one, "kind"));
            if (!filter.isEmpty() && !name.contains(filter, Qt::CaseInsensitive) &&
                !kind.contains(filter, Qt::CaseInsensitive))
                continue;
            if (group == nullptr) {
                group = new QTreeWidgetItem(m_tree, {curated ? tr("With Trainyard") : tr("Of this workspace")});
                group->setFlags(Qt::ItemIsEnabled);
                group->setFirstColumnSpanned(true);
                group->setData(0, MutedRole, true);
                group->setExpanded(true);
            }
            auto* item = new QTreeWidgetItem(group);
            item->setText(0, name);
            item->setData(0, kEnvironmentRole, name);
            const QString label = readString(one, "label");
            const QString description = readString(one, "description");
            item->setToolTip(
                0, QStringList{name, label, description}.filter(QRegularExpression(QStringLiteral("."))).join(u'\n'));
            item->setText(1, kind);
            item->setToolTip(1, kind);
            item->setData(1, MutedRole, true);
            const std::int64_t at = readTime(readObject(one, "last_used"), "at");
            item->setText(2, at > 0 ? formatAgo(at) : tr("never"));
            item->setToolTip(2, at > 0 ? tr("%1, %n run(s) in all", nullptr, static_cast<int>(readInteger(one, "runs")))
                                             .arg(formatTime(at))
                                       : tr("No run used it yet."));
            item->setData(2, MutedRole, true);
            if (name == m_name) chosen = item;
        }
    }
    if (chosen == nullptr && m_name.isEmpty() && !m_draft.is_object() && m_side->currentWidget() == m_choose &&
        m_tree->topLevelItemCount() > 0 && m_tree->topLevelItem(0)->childCount() > 0) {
        chosen = m_tree->topLevelItem(0)->child(0);
        choose(chosen->data(0, kEnvironmentRole).toString(), 0);
    }
    if (chosen != nullptr) m_tree->setCurrentItem(chosen);
}

void EnvironmentsPage::choose(const QString& name, int version) {
    if (name.isEmpty()) return;
    if (name == m_name && version == m_version && m_detail.is_object() && m_side->currentWidget() == m_detailView)
        return;
    const Json left = std::exchange(m_draft, Json());
    if (left.is_object()) {
        m_shell.notice(tr("What was typed was discarded."),
                       [this, left] { beginForm(readObject(left, "document"), readFlag(left, "new"), {}); });
    }
    m_name = name;
    m_version = version;
    m_detail = Json();
    readDetail();
    Q_EMIT addressChanged();
    Q_EMIT stateChanged();
}

void EnvironmentsPage::readDetail() {
    if (m_name.isEmpty()) return;
    const QString wanted = m_version > 0 ? versionText(m_name, m_version) : m_name;
    m_shell.session()->start("environment.show", {{"environment", wanted.toStdString()}}, this,
                             [this, name = m_name, version = m_version](const Result<Json>& found) {
                                 if (name != m_name || version != m_version) return;
                                 if (found) {
                                     m_detail = *found;
                                     showDetail();
                                     return;
                                 }
                                 if (found.error().code == "canceled") return;
                                 m_detail = Json();
                                 m_choose->setTexts(tr("No such environment"), fromUtf8(found.error().message));
                                 if (!m_draft.is_object()) showSide(m_choose);
                             });
}

void EnvironmentsPage::showDetail() {
    const bool curated = readFlag(m_detail, "curated");
    const int version = static_cast<int>(readInteger(m_detail, "version"));
    std::vector<int> versions;
    for (const Json& one : readArray(m_detail, "versions")) {
        if (one.is_number_integer()) versions.push_back(one.get<int>());
    }
    m_head->setTitle(m_name);
    m_head->setLabel(readString(m_detail, "label"));
    QStringList facts{environmentKindWord(readText(m_detail, "kind"))};
    facts << (versions.size() > 1 ? tr("version %1 of %2").arg(version).arg(versions.size())
                                  : tr("version %1").arg(version));
    if (curated) facts << tr("comes with Trainyard, read-only; clone it to change it");
    if (const std::int64_t at = readTime(m_detail, "written_at"); at > 0) facts << tr("written %1").arg(formatAgo(at));
    m_head->setFacts(facts);
    m_head->setDescription(readString(m_detail, "description"));
    showUse();
    m_versions->setVersions(versions, version);
    QStringList others;
    for (auto one = versions.rbegin(); one != versions.rend(); ++one) {
        if (*one != version) others << versionText(m_name, *one);
    }
    // First the version before this one, then the rest, then other environments.
    QString first;
    for (const QString& other : others) {
        if (first.isEmpty() && other.section(u':', -1).toInt() < version) first = other;
    }
    if (first.isEmpty()) first = others.value(0);
    for (const Json& one : m_environments) {
        const QString name = readString(one, "environment");
        if (name != m_name) others << versionText(name, static_cast<int>(readInteger(one, "version")));
    }
    m_content->setEnvironment(m_detail);
    m_realised->setEnvironment(m_detail);
    m_check->setEnvironment(pinned());
    m_diffCard->setVisible(!others.isEmpty());
    m_diff->setEnvironment(pinned(), others, first);
    if (!m_draft.is_object() && m_side->currentWidget() != m_newView) showSide(m_detailView);
}

void EnvironmentsPage::readUse() {
    if (!m_detail.is_object()) return;
    m_shell.session()->start("environment.show", {{"environment", pinned().toStdString()}}, this,
                             [this, shown = pinned()](const Result<Json>& found) {
                                 if (!found || !m_detail.is_object() || shown != pinned()) return;
                                 m_detail = *found;
                                 showUse();
                                 m_realised->setEnvironment(m_detail);
                             });
}

void EnvironmentsPage::showUse() {
    const int runs = static_cast<int>(readInteger(m_detail, "runs"));
    const int active = static_cast<int>(readInteger(m_detail, "runs_active"));
    m_head->runs()->setText(active > 0 ? tr("%n run(s)", nullptr, runs) + tr(", %n of them active", nullptr, active)
                            : runs > 0 ? tr("%n run(s) used it", nullptr, runs)
                                       : tr("No run used it yet"));
    m_head->runs()->setEnabled(runs > 0);
}

void EnvironmentsPage::showSide(QWidget* side) {
    m_side->setCurrentWidget(side);
    if (side == m_formView) {
        setPrimaryAction(m_saveAction);
        setContextActions({m_dropAction});
    } else if (side == m_newView) {
        setPrimaryAction(nullptr);
        setContextActions({m_backAction});
    } else {
        setPrimaryAction(m_newAction);
        if (side != m_detailView) return setContextActions({});
        setContextActions(readFlag(m_detail, "curated")
                              ? QList<QAction*>{m_cloneAction, m_folderAction}
                              : QList<QAction*>{m_editAction, m_cloneAction, m_folderAction, m_deleteAction});
    }
}

void EnvironmentsPage::beginNew() {
    m_new->clearError();
    showSide(m_newView);
}

void EnvironmentsPage::beginForm(const Json& document, bool isNew, const QStringList& notes) {
    m_draft = Json{{"new", isNew}, {"document", document}};
    showSide(m_formView);
    m_form->begin(document, isNew ? tr("New environment") : tr("New version of %1").arg(readString(document, "name")),
                  isNew, notes);
    Q_EMIT stateChanged();
}

void EnvironmentsPage::dropDraft() {
    const Json before = std::exchange(m_draft, Json());
    showSide(m_detail.is_object() ? m_detailView : static_cast<QWidget*>(m_choose));
    if (m_name.isEmpty()) showList();
    if (before.is_object()) {
        m_shell.notice(tr("What was typed was discarded."),
                       [this, before] { beginForm(readObject(before, "document"), readFlag(before, "new"), {}); });
    }
    Q_EMIT stateChanged();
}

void EnvironmentsPage::clone() {
    if (!m_detail.is_object()) return;
    QString suggested = m_name;
    if (suggested.startsWith(u"trainyard-"))
        suggested = QStringLiteral("my-") + suggested.mid(10);
    else
        suggested += QStringLiteral("-2");
    m_shell.questions().askText(
        this, tr("Clone %1").arg(pinned()), tr("Name of the new environment"), suggested,
        [](const QString& text) { return text.trimmed().isEmpty() ? tr("A name is needed.") : QString(); },
        [this, from = pinned()](const QString& name) {
            if (name.isEmpty()) return;
            m_shell.session()->start("environment.clone",
                                     {{"environment", from.toStdString()}, {"name", name.trimmed().toStdString()}},
                                     this, [this](const Result<Json>& made) {
                                         if (!made) return m_shell.warn(made.error());
                                         choose(readString(*made, "environment"), 0);
                                         readList();
                                     });
        });
}

void EnvironmentsPage::save() {
    if (!m_detail.is_object()) return;
    m_shell.questions().chooseFolder(this, tr("Save %1 to").arg(pinned()), QString(), [this](const QString& folder) {
        if (!folder.isEmpty()) saveTo(folder, false);
    });
}

void EnvironmentsPage::saveTo(const QString& folder, bool overwrite) {
    m_shell.session()->start(
        "environment.save",
        {{"environment", pinned().toStdString()}, {"folder", folder.toStdString()}, {"overwrite", overwrite}}, this,
        [this, folder](const Result<Json>& done) {
            if (done) {
                QStringList names;
                for (const Json& name : readArray(*done, "files")) {
                    if (name.is_string()) names << fromUtf8(name.get<std::string>());
                }
                m_shell.notice(tr("Saved %1 to %2.").arg(names.join(QStringLiteral(", ")), folder));
                return;
            }
            if (done.error().code != "file.exists") return m_shell.warn(done.error());
            Question question;
            question.id = QStringLiteral("environment.overwrite");
            question.title = tr("Replace what is there?");
            question.text = fromUtf8(done.error().message);
            question.buttons = {{QStringLiteral("replace"), tr("Replace"), true}};
            m_shell.questions().ask(this, question, [this, folder](const QString& answer) {
                if (answer == u"replace") saveTo(folder, true);
            });
        });
}

void EnvironmentsPage::remove() {
    if (!m_detail.is_object()) return;
    const QString name = m_name;
    const int versions = static_cast<int>(readArray(m_detail, "versions").size());
    const int runs = static_cast<int>(readInteger(m_detail, "runs"));
    Question question;
    question.id = QStringLiteral("environment.delete");
    question.title = tr("Delete %1?").arg(name);
    question.text =
        tr("Its %n version(s) go from this workspace. What targets have built stays there until it is cleared.",
           nullptr, versions);
    if (runs > 0) {
        question.text +=
            u' ' + tr("%n kept run(s) used it: their records stay whole, with what was found there, but to "
                      "repeat one of them another environment must be chosen.",
                      nullptr, runs);
    }
    question.buttons = {{QStringLiteral("delete"), tr("Delete environment"), true}};
    m_shell.questions().ask(this, question, [this, name](const QString& answer) {
        if (answer != u"delete") return;
        m_shell.session()->start("environment.delete", {{"environment", name.toStdString()}}, this,
                                 [this, name](const Result<Json>& done) {
                                     if (!done) return m_shell.warn(done.error());
                                     m_shell.notice(tr("%1 was deleted.").arg(name));
                                     if (name == m_name) {
                                         m_name.clear();
                                         m_version = 0;
                                         m_detail = Json();
                                         showSide(m_choose);
                                     }
                                     readList();
                                 });
    });
}

}  // namespace trainyard::ui
