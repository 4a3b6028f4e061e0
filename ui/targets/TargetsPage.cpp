#include "ui/targets/TargetsPage.h"

#include <QScrollArea>
#include <QScrollBar>
#include <QStackedWidget>
#include <QTreeWidget>
#include <QVBoxLayout>

#include "core/commands/Session.h"
#include "core/spec/TargetSpec.h"
#include "ui/forms/FieldEditor.h"
#include "ui/forms/JsonRead.h"
#include "ui/seams/Questions.h"
#include "ui/shell/Icons.h"
#include "ui/shell/Shell.h"
#include "ui/targets/ReachLook.h"
#include "ui/targets/TargetForm.h"
#include "ui/targets/TargetPanels.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Details.h"
#include "ui/widgets/Format.h"
#include "ui/widgets/Tables.h"

namespace trainyard::ui {

using base::Json;
using base::Result;
using State = targets::Reach::State;

namespace {

constexpr int kTargetLoadMillis = 3000;
constexpr int kTargetRole = Qt::UserRole + 1;
constexpr const char* kLocal = "local";

QString shownName(const QString& target) {
    return target == QLatin1String(kLocal) ? TargetsPage::tr("This machine") : target;
}

QString targetKindWord(const std::string& kind) {
    return kind == "local"   ? TargetsPage::tr("this computer")
           : kind == "slurm" ? TargetsPage::tr("Slurm")
                             : TargetsPage::tr("SSH");
}

}  // namespace

ReachLook lookOfReach(State state, bool disabled) {
    if (disabled) return {QStringLiteral("minus"), TargetsPage::tr("Disabled"), Role::Muted};
    switch (state) {
    case State::Connected: return {QStringLiteral("success"), TargetsPage::tr("Connected"), Role::Success};
    case State::Connecting: return {QStringLiteral("refresh"), TargetsPage::tr("Connecting"), Role::Info};
    case State::Unreachable: return {QStringLiteral("lost"), TargetsPage::tr("Unreachable"), Role::Danger};
    case State::NeedsAnswer: return {QStringLiteral("help"), TargetsPage::tr("Asks you"), Role::Warning};
    case State::Unknown: break;
    }
    return {QStringLiteral("clock"), TargetsPage::tr("Not tried"), Role::Muted};
}

TargetsPage::TargetsPage(Shell& shell, QWidget* parent) : Page(QStringLiteral("targets"), parent), m_shell(shell) {
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    m_body = new ListDetail(400, 860, this);
    m_side = m_body->views();
    buildList();
    m_choose = new EmptyState(QStringLiteral("target"), tr("No target chosen"),
                              tr("Choose one on the left, or add a machine of yours."), m_side);
    m_side->addWidget(m_choose);
    m_detailView = buildDetail();
    m_side->addWidget(m_detailView);
    m_form = new TargetForm(shell, m_side);
    m_formView = makeScrollPage(m_form, 760, m_side);
    m_side->addWidget(m_formView);
    column->addWidget(m_body, 1);
    buildActions();

    connect(m_form, &TargetForm::saved, this, [this](const QString& name) {
        const bool added = m_form->isNew();
        m_draft = Json();
        m_target = name;
        forgetDetail();
        m_shell.notice(added ? tr("%1 was added.").arg(name) : tr("%1 was changed.").arg(shownName(name)));
        showSide(m_detailView);
        readList();
        readDetail();
        Q_EMIT addressChanged();
        Q_EMIT stateChanged();
    });
    connect(m_form, &TargetForm::edited, this, [this] {
        m_draft = Json{{"new", m_form->isNew()}, {"document", m_form->document()}};
        Q_EMIT stateChanged();
    });
    connect(m_doctor, &DoctorPanel::examined, this, &TargetsPage::readDetail);
    connect(m_body, &QSplitter::splitterMoved, this, &TargetsPage::stateChanged);
    m_loadTimer.setInterval(kTargetLoadMillis);
    connect(&m_loadTimer, &QTimer::timeout, this, &TargetsPage::readLoad);
    connect(shell.session(), &commands::Session::targetsChanged, this, [this] {
        if (!m_active) return;
        readList();
        readDetail();
    });
    connect(shell.session(), &commands::Session::targetReachChanged, this, [this](const QString& target) {
        if (!m_active) return;
        showList();
        if (target == m_target) {
            showReach();
            readLoad();
        }
    });
    showSide(m_choose);
}

void TargetsPage::buildList() {
    m_tree = m_body->addTree("targetsTree", tr("Compute targets"), {tr("Target"), tr("Reach"), tr("Runs")});
    m_tree->headerItem()->setTextAlignment(2, Qt::AlignRight | Qt::AlignVCenter);
    m_tree->setColumnWidth(1, Theme::current().scaled(132));
    m_tree->setColumnWidth(2, Theme::current().scaled(56));
    connect(m_tree, &QTreeWidget::currentItemChanged, this, [this](QTreeWidgetItem* item) {
        if (item) choose(item->data(0, kTargetRole).toString());
    });
}

QWidget* TargetsPage::buildDetail() {
    m_head = new DetailColumn(QStringLiteral("target"), m_side);
    m_reach = new InlineError(m_head);
    m_reach->setObjectName(QStringLiteral("targetReach"));
    m_reach->clear();
    m_head->addToHead(m_reach);
    m_load = new LoadPanel(m_head);
    m_head->addCard(tr("Load"), m_load);
    m_doctor = new DoctorPanel(m_shell, m_head);
    m_head->addCard(tr("Doctor"), m_doctor);
    m_engine = new EnginePanel(m_shell, m_head);
    m_head->addCard(tr("Engine"), m_engine);
    m_cache = new CachePanel(m_shell, m_head);
    m_head->addCard(tr("Cache"), m_cache);
    m_settings = new KeyValueGrid(m_head);
    m_head->addCard(tr("Settings that differ from the defaults"), m_settings);
    connect(m_head->runs(), &LinkButton::clicked, this, [this] {
        m_shell.open({QStringLiteral("runs"), {}, QStringLiteral("target:") + m_target});
    });
    return makeScrollPage(m_head, 1000, m_side);
}

void TargetsPage::buildActions() {
    m_addAction = makeAction(this, "plus", tr("Add target"), "addTargetAction", Role::AccentText,
                             [this] { beginAdd(Json::object()); });
    m_saveAction =
        makeAction(this, "check", tr("Save"), "saveTargetAction", Role::AccentText, [this] { m_form->save(); });
    m_saveAction->setShortcut(Qt::CTRL | Qt::Key_S);
    m_dropAction = makeAction(this, "close", tr("Discard"), "discardTargetAction", Role::Text, [this] { endForm(); });
    m_editAction = makeAction(this, "edit", tr("Edit"), "editTargetAction", Role::Text, [this] { beginEdit(); });
    m_cloneAction = makeAction(this, "duplicate", tr("Clone…"), "cloneTargetAction", Role::Text, [this] { clone(); });
    m_ableAction = makeAction(this, "minus", tr("Disable"), "disableTargetAction", Role::Text, [this] { able(); });
    m_deleteAction = makeAction(this, "trash", tr("Delete…"), "deleteTargetAction", Role::Text, [this] { remove(); });
}

QString TargetsPage::subtitle() const {
    return m_readOnce ? tr("%n target(s)", nullptr, static_cast<int>(m_targets.size())) : QString();
}

bool TargetsPage::openAddress(const Address& address) {
    if (address.head != id()) return false;
    if (address.query == u"new") {
        beginAdd(Json::object());
    } else if (!address.parts.isEmpty()) {
        m_draft = Json();
        choose(address.parts.first());
        if (m_readOnce) showList();
    }
    return true;
}

Address TargetsPage::address() const {
    if (m_target.isEmpty()) return {id()};
    return {id(), {m_target}};
}

Json TargetsPage::saveState() const {
    return {{"target", m_target.toStdString()}, {"splitter", m_body->saved()}, {"draft", m_draft}};
}

void TargetsPage::restoreState(const Json& state) {
    if (m_target.isEmpty()) m_target = readString(state, "target");
    if (const Json* sizes = member(state, "splitter")) m_body->restore(*sizes);
    const Json draft = readObject(state, "draft");
    if (readFlag(draft, "new")) beginAdd(readObject(draft, "document"));
}

void TargetsPage::activated() {
    m_active = true;
    m_loadTimer.start();
    readList();
    if (!m_target.isEmpty()) readDetail();
}

void TargetsPage::deactivated() {
    m_active = false;
    m_loadTimer.stop();
}

QWidget* TargetsPage::firstFocus() { return m_side->currentWidget() == m_formView ? nullptr : m_tree; }

void TargetsPage::readList() {
    m_shell.session()->start("target.list", Json::object(), this, [this](const Result<Json>& found) {
        if (!found) {
            if (found.error().code != "canceled") m_shell.warn(found.error());
            return;
        }
        const Json problems = readArray(*found, "problems");
        if (!problems.empty() && problems.front().is_string())
            m_shell.warn({"target.damaged", problems.front().get<std::string>()});
        m_targets = readArray(*found, "targets");
        m_readOnce = true;
        showList();
        Q_EMIT titleChanged();
    });
}

targets::Reach TargetsPage::reachOf(const QString& target) const {
    return m_shell.session()->reach(target.toStdString());
}

void TargetsPage::showList() {
    const QSignalBlocker quiet(m_tree);
    m_tree->clear();
    QTreeWidgetItem* chosen = nullptr;
    for (const Json& one : m_targets) {
        const QString name = readString(one, "target");
        auto* item = new QTreeWidgetItem(m_tree);
        const targets::Reach reach = reachOf(name);
        // This machine needs no connection.
        const bool here = name == QLatin1String(kLocal);
        const ReachLook look = lookOfReach(here ? State::Connected : reach.state, readFlag(one, "disabled"));
        const bool some = reach.state == State::Unreachable && reach.connected > 0 && !readFlag(one, "disabled");
        const QString word = here && !readFlag(one, "disabled") ? tr("Here")
                             : some ? tr("%1 of %2 answer").arg(reach.connected).arg(reach.hosts)
                                    : look.word;
        item->setText(0, shownName(name));
        item->setToolTip(0, name);
        item->setData(0, kTargetRole, name);
        item->setText(1, word);
        item->setIcon(1, icon(look.icon, look.ink));
        item->setToolTip(1, reach.reason.empty() ? word : fromUtf8(reach.reason));
        const std::int64_t active = readInteger(one, "runs_active");
        item->setText(2, active > 0 ? QString::number(active) : QString());
        item->setToolTip(2, tr("%n run(s) that have not ended", nullptr, static_cast<int>(active)));
        item->setData(2, NumberRole, true);
        if (name == m_target) chosen = item;
    }
    if (!chosen && m_target.isEmpty() && !m_draft.is_object() && m_tree->topLevelItemCount() > 0) {
        chosen = m_tree->topLevelItem(0);
        choose(chosen->data(0, kTargetRole).toString());
    }
    if (chosen) m_tree->setCurrentItem(chosen);
}

void TargetsPage::choose(const QString& target) {
    if (target == m_target && m_detail.is_object() && m_side->currentWidget() == m_detailView) return;
    m_target = target;
    const Json left = std::exchange(m_draft, Json());
    if (readFlag(left, "new") && !readObject(left, "document").empty()) {
        m_shell.notice(tr("The new target was discarded."), [this, left] { beginAdd(readObject(left, "document")); });
    }
    forgetDetail();
    readDetail();
    Q_EMIT addressChanged();
    Q_EMIT stateChanged();
}

void TargetsPage::forgetDetail() {
    m_detail = Json();
    m_editWanted = false;
    m_ableAction->setEnabled(false);
    // Nothing that is pressed meanwhile may be about the target before.
    m_head->setTitle(shownName(m_target));
    m_head->setFacts({});
    m_head->setDescription({});
    m_doctor->setTarget(m_target, Json::object());
    m_cache->setTarget(m_target);
    m_engine->setTarget(m_target);
    m_load->setLoad(Json(), tr("Not known yet."));
    showReach();
}

void TargetsPage::readDetail() {
    const QString target = m_target;
    if (target.isEmpty()) return;
    m_shell.session()->start("target.show", {{"target", target.toStdString()}}, this,
                             [this, target](const Result<Json>& found) {
                                 if (target != m_target) return;
                                 if (found) {
                                     const bool other = !m_detail.is_object();
                                     m_detail = *found;
                                     showDetail();
                                     if (other) {
                                         m_load->setLoad(Json(), tr("Not known yet."));
                                         readLoad();
                                     }
                                     if (std::exchange(m_editWanted, false)) beginEdit();
                                     return;
                                 }
                                 if (found.error().code == "canceled") return;
                                 m_detail = Json();
                                 m_choose->setTexts(tr("No such target"), fromUtf8(found.error().message));
                                 if (!m_draft.is_object()) showSide(m_choose);
                             });
}

void TargetsPage::showDetail() {
    const std::string kind = readText(m_detail, "kind");
    const bool local = m_target == QLatin1String(kLocal);
    const Json spec = readObject(m_detail, "spec");
    m_head->setTitle(shownName(m_target));
    QStringList facts{targetKindWord(kind)};
    const Json hosts = readArray(m_detail, "hosts");
    if (kind == "ssh") {
        QStringList names;
        for (const Json& host : hosts) {
            if (host.is_string()) names << fromUtf8(host.get<std::string>());
        }
        constexpr int kMostNames = 4;
        const int rest = static_cast<int>(names.size()) - kMostNames;
        facts << names.mid(0, kMostNames).join(QStringLiteral(", ")) +
                     (rest > 0 ? tr(" and %n more", nullptr, rest) : QString());
    } else if (kind == "slurm") {
        const Json slurm = readObject(spec, "slurm");
        const QString login = readString(slurm, "login");
        facts << (login.isEmpty() ? tr("commands on this machine") : tr("through %1").arg(login));
        const QString partition = readString(slurm, "partition");
        facts << (partition.isEmpty() ? tr("default partition") : tr("partition %1").arg(partition));
        facts << tr("%1 to %n node(s)", nullptr, static_cast<int>(readInteger(slurm, "max_nodes", 1)))
                     .arg(readInteger(slurm, "min_nodes", 1));
    }
    if (const std::int64_t version = readInteger(m_detail, "version"); version > 0)
        facts << tr("version %1").arg(version);
    if (readFlag(m_detail, "disabled")) facts << tr("disabled: new runs are refused");
    m_head->setFacts(facts);
    m_head->setDescription(readString(m_detail, "description"));
    const int active = static_cast<int>(readInteger(m_detail, "runs_active"));
    m_head->runs()->setText(active > 0 ? tr("%n unfinished run(s) here", nullptr, active) : tr("Its runs"));
    showReach();
    m_doctor->setTarget(m_target, readObject(m_detail, "doctor"));
    m_cache->setTarget(m_target);
    m_engine->setTarget(m_target);
    m_engine->parentWidget()->setVisible(!local);
    m_settings->clear();
    int differing = 0;
    for (const spec::Field& field : spec::targetSpecFields()) {
        if (!spec::applies(field, spec) || field.path == "name" || field.path == "kind" ||
            field.path == "description" || field.path == "disabled")
            continue;
        const Json* value = spec::valueAt(spec, field.path);
        if (!value || *value == field.defaultValue) continue;
        QString text = value->is_boolean() ? (value->get<bool>() ? tr("on") : tr("off")) : numberText(*value);
        if (value->is_array() || value->is_object()) {
            QStringList parts;
            for (const auto& [key, entry] : value->items())
                parts << (value->is_object() ? fromUtf8(key) + u'=' : QString()) + numberText(entry);
            text = parts.join(u'\n');
        }
        for (const spec::Choice& choice : field.choices) {
            if (fromUtf8(choice.value) == text) text = fromUtf8(choice.label);
        }
        if (!field.unit.empty()) text += u' ' + fromUtf8(field.unit);
        m_settings->add(fromUtf8(field.label), text, fromUtf8(field.help));
        ++differing;
    }
    m_settings->parentWidget()->setVisible(differing > 0);
    m_ableAction->setEnabled(true);
    m_ableAction->setText(readFlag(m_detail, "disabled") ? tr("Enable") : tr("Disable"));
    m_ableAction->setIcon(icon(readFlag(m_detail, "disabled") ? QStringLiteral("check") : QStringLiteral("minus")));
    if (!m_draft.is_object()) showSide(m_detailView);
}

void TargetsPage::showReach() {
    if (m_target == QLatin1String(kLocal)) return m_reach->clear();
    const targets::Reach reach = reachOf(m_target);
    m_reach->setRemedy({}, {});
    if (reach.state == State::Connected) {
        m_reach->setMessage(InlineError::Kind::Success, reach.since > 0
                                                            ? tr("Connected since %1.").arg(formatTime(reach.since))
                                                            : tr("Connected."));
    } else if (reach.state == State::Connecting) {
        m_reach->setMessage(InlineError::Kind::Info, tr("Connecting…"));
    } else if (reach.state == State::NeedsAnswer) {
        m_reach->setMessage(InlineError::Kind::Warning, tr("The target asks something; answer above."));
    } else if (reach.state == State::Unreachable) {
        QString text =
            reach.since > 0 ? tr("Cannot be reached since %1.").arg(formatTime(reach.since)) : tr("Cannot be reached.");
        if (reach.connected > 0) {
            text = tr("%1 of its %n host(s) answer since %2.", nullptr, reach.hosts)
                       .arg(reach.connected)
                       .arg(formatTime(reach.since));
        }
        if (!reach.reason.empty()) text += u' ' + fromUtf8(reach.reason);
        if (reach.nextTryAt > 0) text += u' ' + tr("Next try at %1.").arg(formatTime(reach.nextTryAt));
        m_reach->setMessage(reach.connected > 0 ? InlineError::Kind::Warning : InlineError::Kind::Error, text);
        m_reach->setRemedy(tr("Try now"), [this] { connectNow(); });
    } else {
        m_reach->setMessage(InlineError::Kind::Info,
                            tr("Not connected yet. A run, the doctor or this button connects."));
        m_reach->setRemedy(tr("Connect"), [this] { connectNow(); });
    }
}

void TargetsPage::connectNow() {
    if (m_connecting) return;
    m_reach->setRemedy({}, {});
    m_reach->setMessage(InlineError::Kind::Info, tr("Connecting…"));
    const QString target = m_target;
    m_connecting = m_shell.session()->start("target.wait", {{"target", target.toStdString()}});
    connect(m_connecting, &commands::Command::finished, this, [this, target](const Result<Json>& result) {
        m_connecting = nullptr;
        if (target != m_target) return;
        showReach();
        if (!result && result.error().code != "canceled") {
            m_reach->setError(result.error());
            m_reach->setRemedy(tr("Try now"), [this] { connectNow(); });
        }
        showList();
        readLoad();
    });
}

void TargetsPage::readLoad() {
    if (!m_active || m_loading || m_target.isEmpty() || m_side->currentWidget() != m_detailView) return;
    // Looking must not open a connection that asks for a password: only what is connected already is asked.
    const targets::Reach reach = reachOf(m_target);
    if (m_target != QLatin1String(kLocal) && reach.state != State::Connected && reach.connected == 0) {
        m_load->setLoad(Json(), tr("Known once the target is connected."));
        return;
    }
    const QString target = m_target;
    m_loading = m_shell.session()->start("target.load", {{"target", target.toStdString()}});
    connect(m_loading, &commands::Command::finished, this, [this, target](const Result<Json>& load) {
        m_loading = nullptr;
        if (target != m_target) return readLoad();
        if (load) {
            m_load->setLoad(*load);
        } else if (load.error().code != "canceled") {
            m_load->setLoad(Json(), fromUtf8(load.error().message));
        }
    });
}

void TargetsPage::showSide(QWidget* side) {
    m_side->setCurrentWidget(side);
    QAction* primary = side == m_formView ? m_saveAction : m_addAction;
    QList<QAction*> actions;
    if (side == m_formView) {
        actions = {m_dropAction};
    } else if (side == m_detailView) {
        const bool local = m_target == QLatin1String(kLocal);
        actions = local ? QList<QAction*>{m_editAction, m_ableAction}
                        : QList<QAction*>{m_editAction, m_cloneAction, m_ableAction, m_deleteAction};
    }
    // Set anew they would be drawn anew, under the finger that presses one.
    if (primary != primaryAction()) setPrimaryAction(primary);
    if (actions != contextActions()) setContextActions(actions);
}

void TargetsPage::beginAdd(const Json& draft) {
    m_draft = Json{{"new", true}, {"document", draft}};
    showSide(m_formView);
    m_form->begin(draft, tr("Add a target"), true);
    // The focus on the first field had pushed the title out of sight.
    QMetaObject::invokeMethod(
        m_form, [this] { qobject_cast<QScrollArea*>(m_formView)->verticalScrollBar()->setValue(0); },
        Qt::QueuedConnection);
    Q_EMIT stateChanged();
}

void TargetsPage::beginEdit() {
    // Asked for before the definition was read: the form opens with it.
    m_editWanted = !m_detail.is_object();
    if (m_editWanted) return;
    const Json spec = readObject(m_detail, "spec");
    m_draft = Json{{"new", false}, {"document", spec}};
    showSide(m_formView);
    m_form->begin(spec, tr("Change %1").arg(shownName(m_target)), false);
}

void TargetsPage::endForm() {
    const Json before = std::exchange(m_draft, Json());
    showSide(m_detail.is_object() ? m_detailView : static_cast<QWidget*>(m_choose));
    if (m_target.isEmpty()) showList();
    if (readFlag(before, "new")) {
        m_shell.notice(tr("The new target was discarded."),
                       [this, before] { beginAdd(readObject(before, "document")); });
    }
    Q_EMIT stateChanged();
}

void TargetsPage::clone() {
    const QString target = m_target;
    m_shell.questions().askText(
        this, tr("Clone %1").arg(target), tr("Name of the new target"), target + QStringLiteral("-2"),
        [](const QString& text) { return text.trimmed().isEmpty() ? tr("A name is needed.") : QString(); },
        [this, target](const QString& name) {
            if (name.isEmpty()) return;
            m_shell.session()->start("target.clone",
                                     {{"target", target.toStdString()}, {"name", name.trimmed().toStdString()}}, this,
                                     [this](const Result<Json>& made) {
                                         if (!made) return m_shell.warn(made.error());
                                         choose(readString(*made, "target"));
                                         readList();
                                     });
        });
}

void TargetsPage::able() {
    const bool disabled = readFlag(m_detail, "disabled");
    const QString target = m_target;
    m_shell.session()->start(
        disabled ? "target.enable" : "target.disable", {{"target", target.toStdString()}}, this,
        [this, target, disabled](const Result<Json>& done) {
            if (!done) return m_shell.warn(done.error());
            m_shell.notice(disabled ? tr("%1 takes new runs again.").arg(shownName(target))
                                    : tr("%1 takes no new runs; those that are there go on.").arg(shownName(target)));
        });
}

void TargetsPage::remove() {
    const QString target = m_target;
    Question question;
    question.id = QStringLiteral("target.delete");
    question.title = tr("Delete %1?").arg(target);
    question.text = tr("Its definition goes from this workspace. Nothing is removed on the machines; runs that were "
                       "there keep their history.");
    question.buttons = {{QStringLiteral("delete"), tr("Delete target"), true}};
    m_shell.questions().ask(this, question, [this, target](const QString& answer) {
        if (answer != u"delete") return;
        m_shell.session()->start("target.delete", {{"target", target.toStdString()}}, this,
                                 [this, target](const Result<Json>& done) {
                                     if (!done) {
                                         if (target != m_target) return m_shell.warn(done.error());
                                         m_reach->setError(done.error());
                                         return;
                                     }
                                     m_shell.notice(tr("%1 was deleted.").arg(target));
                                     if (target == m_target) {
                                         m_target.clear();
                                         m_detail = Json();
                                         showSide(m_choose);
                                     }
                                     readList();
                                 });
    });
}

}  // namespace trainyard::ui
