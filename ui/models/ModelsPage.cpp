#include "ui/models/ModelsPage.h"

#include <QHeaderView>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QPointer>
#include <QScrollArea>
#include <QScrollBar>
#include <QStackedWidget>
#include <QTableWidget>
#include <QTreeWidget>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>

#include "core/commands/Session.h"
#include "core/spec/RunSpec.h"
#include "core/store/Reader.h"
#include "ui/forms/FieldEditor.h"
#include "ui/forms/JsonRead.h"
#include "ui/models/EvaluationsPanel.h"
#include "ui/models/ModelFormat.h"
#include "ui/models/ModelPanels.h"
#include "ui/runs/RunActions.h"
#include "ui/runs/RunRef.h"
#include "ui/seams/Questions.h"
#include "ui/shell/Icons.h"
#include "ui/shell/Shell.h"
#include "ui/shell/WorkList.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Chips.h"
#include "ui/widgets/Details.h"
#include "ui/widgets/FlowLayout.h"
#include "ui/widgets/Format.h"
#include "ui/widgets/Tables.h"

namespace trainyard::ui {

using base::Error;
using base::Json;
using base::Result;

namespace {

constexpr int kNameRole = Qt::UserRole + 1;
constexpr int kVersionRole = Qt::UserRole + 2;

/// The figure that a model is judged by, from the metrics on its card.
QString headFigure(const Json& card) {
    for (const char* wanted : {"val/accuracy", "val/loss"}) {
        for (const Json& one : readArray(card, "metrics")) {
            if (readText(one, "name") != wanted) continue;
            const char* best = smallerIsBetter(wanted) ? "min" : "max";
            const Json* value = member(one, best) ? member(one, best) : member(one, "last");
            const auto number = value ? base::jsonToNumber(*value) : std::nullopt;
            if (number) return formatMetric(wanted, *number);
        }
    }
    return {};
}

}  // namespace

ModelsPage::ModelsPage(Shell& shell, QWidget* parent) : Page(QStringLiteral("models"), parent), m_shell(shell) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    m_splitter = new ListDetail(400, 860, this);
    m_search = new SearchField(tr("Filter models"), m_splitter->list());
    m_search->lineEdit()->setAccessibleName(tr("Filter of the models"));
    m_splitter->listColumn()->addWidget(m_search);
    m_tree = m_splitter->addTree("modelsTree", tr("Models and their versions"), {tr("Model"), tr("Best"), tr("Added")});
    m_tree->setRootIsDecorated(true);
    m_tree->setColumnWidth(1, theme.scaled(72));
    m_tree->setColumnWidth(2, theme.scaled(92));
    m_tree->headerItem()->setTextAlignment(1, Qt::AlignRight | Qt::AlignVCenter);

    m_side = m_splitter->views();
    m_choose = new EmptyState(QStringLiteral("models"), tr("No model chosen"),
                              tr("Choose a version on the left to see its figures, files and exports."), m_side);
    m_side->addWidget(m_choose);
    m_detailView = buildDetail();
    m_side->addWidget(m_detailView);
    m_registerView = buildRegister();
    m_side->addWidget(m_registerView);
    column->addWidget(m_splitter, 1);

    m_empty = new EmptyState(
        QStringLiteral("models"), tr("No models yet"),
        tr("Register a finished training run: its weights, figures and configuration are kept under a name, and can be "
           "exported to ONNX with a proof."),
        this);
    connect(m_empty->addPrimary(tr("Choose a run"), QStringLiteral("runs")), &QPushButton::clicked, this, [this] {
        m_shell.open({QStringLiteral("runs"), {}, QStringLiteral("state:completed task:train")});
    });
    m_empty->hide();
    column->addWidget(m_empty, 1);

    m_downloadAction = new QAction(icon(QStringLiteral("download"), Role::AccentText), tr("Download"), this);
    m_downloadAction->setObjectName(QStringLiteral("downloadModelAction"));
    connect(m_downloadAction, &QAction::triggered, this, &ModelsPage::download);
    m_tryAction = new QAction(icon(QStringLiteral("tryit")), tr("Try it"), this);
    m_tryAction->setObjectName(QStringLiteral("tryModelAction"));
    connect(m_tryAction, &QAction::triggered, this, [this] { m_shell.open({QStringLiteral("try"), {reference()}}); });
    m_deleteAction = new QAction(icon(QStringLiteral("trash")), tr("Delete version…"), this);
    m_deleteAction->setObjectName(QStringLiteral("deleteModelAction"));
    connect(m_deleteAction, &QAction::triggered, this, &ModelsPage::remove);
    m_registerAction = new QAction(icon(QStringLiteral("register"), Role::AccentText), tr("Register"), this);
    m_registerAction->setObjectName(QStringLiteral("registerModelAction"));
    connect(m_registerAction, &QAction::triggered, this, [this] { m_register->start(); });
    m_cancelRegister = new QAction(icon(QStringLiteral("close")), tr("Do not register"), this);
    connect(m_cancelRegister, &QAction::triggered, this, [this] {
        m_fromRun.clear();
        showSide(m_detail ? m_detailView : static_cast<QWidget*>(m_choose));
        showList();
    });

    connect(m_tree, &QTreeWidget::currentItemChanged, this, [this](QTreeWidgetItem* item) {
        if (!item) return;
        m_name = item->data(0, kNameRole).toString();
        m_version = item->data(0, kVersionRole).toInt();
        m_fromRun.clear();
        readDetail();
        Q_EMIT addressChanged();
        Q_EMIT stateChanged();
    });
    connect(m_search, &SearchField::edited, this, &ModelsPage::showList);
    connect(m_splitter, &QSplitter::splitterMoved, this, &ModelsPage::stateChanged);
    connect(shell.session(), &commands::Session::modelsChanged, this, [this] {
        if (m_active) readList();
    });
    showSide(m_choose);
}

QWidget* ModelsPage::buildDetail() {
    const Theme& theme = Theme::current();
    auto* content = new QWidget(m_side);
    auto* column = new QVBoxLayout(content);
    column->setContentsMargins(theme.space(3), theme.space(1), theme.space(4), theme.space(4));
    column->setSpacing(theme.space(3));
    auto* head = new QVBoxLayout;
    head->setSpacing(theme.space(0));
    m_title = new ElidedLabel({}, TextStyle::Title, Role::Text, content);
    m_title->setObjectName(QStringLiteral("modelTitleLabel"));
    m_facts = new TextLabel({}, TextStyle::Secondary, Role::Muted, content);
    m_facts->setWordWrap(true);
    m_run = new LinkButton({}, content);
    m_run->setObjectName(QStringLiteral("modelRunLink"));
    head->addWidget(m_title);
    head->addWidget(m_facts);
    head->addWidget(m_run, 0, Qt::AlignLeft);
    column->addLayout(head);

    m_metrics = new QWidget(content);
    m_metricsLayout = new FlowLayout(m_metrics, theme.space(2), theme.space(2));
    column->addWidget(m_metrics);

    auto* about = new Card(tr("About"), content);
    m_description = new QPlainTextEdit(about);
    m_description->setObjectName(QStringLiteral("modelDescriptionEdit"));
    m_description->setAccessibleName(tr("Description"));
    m_description->setPlaceholderText(tr("What this model is for"));
    m_description->setTabChangesFocus(true);
    m_description->setFixedHeight(theme.scaled(72));
    about->body()->addWidget(m_description);
    m_tags = new QWidget(about);
    m_tagsLayout = new FlowLayout(m_tags, theme.space(1), theme.space(0));
    about->body()->addWidget(m_tags);
    m_newTag = new QLineEdit(about);
    m_newTag->setPlaceholderText(tr("Add a tag: name or name=value, then Enter"));
    m_newTag->setAccessibleName(tr("New tag"));
    about->body()->addWidget(m_newTag);
    column->addWidget(about);

    auto* exports = new Card(tr("ONNX"), content);
    m_noExports = new TextLabel(
        tr("Not exported yet. The file is checked by libonnx and by an independent runtime against the trained "
           "model, on real pictures, before it is kept."),
        TextStyle::Body, Role::Muted, exports);
    m_noExports->setWordWrap(true);
    exports->body()->addWidget(m_noExports);
    m_notExportable = new InlineError(exports);
    m_notExportable->setObjectName(QStringLiteral("notExportable"));
    m_notExportable->clear();
    exports->body()->addWidget(m_notExportable);
    m_exportsLayout = new QVBoxLayout;
    m_exportsLayout->setSpacing(theme.space(3));
    exports->body()->addLayout(m_exportsLayout);
    m_export = new CommandPanel(m_shell, "model.export", Json{{"model", ""}, {"out", ""}, {"overwrite", false}},
                                tr("Export to ONNX"), QStringLiteral("export"), exports);
    exports->body()->addWidget(m_export);
    column->addWidget(exports);

    auto* evaluations = new Card(tr("Evaluations"), content);
    m_evaluations = new EvaluationsPanel(evaluations);
    evaluations->body()->addWidget(m_evaluations);
    evaluations->hide();
    column->addWidget(evaluations);

    auto* files = new Card(tr("Files"), content);
    m_files = new QTableWidget(0, 4, files);
    m_files->setObjectName(QStringLiteral("modelFilesTable"));
    m_files->setHorizontalHeaderLabels({tr("File"), tr("Size"), tr("Kind"), tr("SHA-256")});
    styleTable(m_files, tr("Files of the model"));
    m_files->setItemDelegate(new CellDelegate(m_files));
    m_files->setEditTriggers(QAbstractItemView::NoEditTriggers);
    m_files->horizontalHeaderItem(1)->setTextAlignment(Qt::AlignRight | Qt::AlignVCenter);
    m_files->setSelectionBehavior(QAbstractItemView::SelectRows);
    m_files->setColumnWidth(0, theme.scaled(150));
    m_files->setColumnWidth(1, theme.scaled(90));
    m_files->setColumnWidth(3, theme.scaled(84));
    m_files->horizontalHeader()->setSectionResizeMode(2, QHeaderView::Stretch);
    files->body()->addWidget(m_files);
    m_copyFiles = new QuietButton(tr("Copy the selected to…"), QStringLiteral("download"), files);
    m_copyFiles->setObjectName(QStringLiteral("copyFilesButton"));
    m_copyFiles->setEnabled(false);
    files->body()->addWidget(m_copyFiles, 0, Qt::AlignLeft);
    connect(m_files->selectionModel(), &QItemSelectionModel::selectionChanged, this,
            [this] { m_copyFiles->setEnabled(m_files->selectionModel()->hasSelection()); });
    connect(m_copyFiles, &QuietButton::clicked, this, &ModelsPage::downloadSelected);
    column->addWidget(files);

    auto* configuration = new Card(tr("Trained with"), content);
    m_configuration = new KeyValueGrid(configuration);
    configuration->body()->addWidget(m_configuration);
    column->addWidget(configuration);
    column->addStretch(1);

    connect(m_run, &LinkButton::clicked, this, [this] {
        if (m_detail && !m_detail->row.run.empty())
            m_shell.open({QStringLiteral("run"), {fromUtf8(m_detail->row.run)}});
    });
    m_descriptionPause.setSingleShot(true);
    m_descriptionPause.setInterval(700);
    connect(m_description, &QPlainTextEdit::textChanged, this, [this] {
        if (m_detail && m_description->toPlainText() != fromUtf8(m_detail->row.description)) m_descriptionPause.start();
    });
    connect(&m_descriptionPause, &QTimer::timeout, this, [this] {
        if (!m_detail) return;
        m_detail->row.description = m_description->toPlainText().toStdString();
        edit({{"description", m_detail->row.description}});
    });
    connect(m_newTag, &QLineEdit::returnPressed, this, [this] {
        Json set = Json::object();
        for (const auto& [name, value] : tagsFromText(m_newTag->text())) set[name] = value;
        m_newTag->clear();
        if (!set.empty()) edit({{"set", set}});
    });
    connect(m_evaluations, &EvaluationsPanel::evaluateRequested, this, [this] {
        m_shell.open({QStringLiteral("try"), {reference()}, QStringLiteral("evaluate")});
    });
    connect(m_export, &CommandPanel::succeeded, this, [this] {
        m_shell.notice(tr("Exported and proved."));
        readDetail();
    });
    return makeScrollPage(content, 1100, m_side);
}

QWidget* ModelsPage::buildRegister() {
    const Theme& theme = Theme::current();
    auto* content = new QWidget(m_side);
    auto* column = new QVBoxLayout(content);
    column->setContentsMargins(theme.space(3), theme.space(1), theme.space(4), theme.space(4));
    column->setSpacing(theme.space(2));
    m_registerTitle = new TextLabel({}, TextStyle::Title, Role::Text, content);
    m_registerTitle->setWordWrap(true);
    m_registerFacts = new TextLabel({}, TextStyle::Body, Role::Muted, content);
    m_registerFacts->setWordWrap(true);
    column->addWidget(m_registerTitle);
    column->addWidget(m_registerFacts);
    m_register = new CommandPanel(m_shell, "model.register", Json{{"run", ""}}, tr("Register"),
                                  QStringLiteral("register"), content);
    m_register->setButtonVisible(false);
    column->addWidget(m_register);
    column->addStretch(1);
    connect(m_register, &CommandPanel::succeeded, this, &ModelsPage::registered);
    return makeScrollPage(content, 720, m_side);
}

QString ModelsPage::subtitle() const {
    return m_readOnce ? tr("%n name(s)", nullptr, static_cast<int>(m_models.size())) : QString();
}

QString ModelsPage::reference() const { return m_name + u':' + QString::number(m_version); }

bool ModelsPage::openAddress(const Address& address) {
    if (address.head != id()) return false;
    if (address.query.startsWith(u"register=")) {
        beginRegister(address.query.mid(9));
        return true;
    }
    if (!address.parts.isEmpty()) {
        m_name = address.parts.value(0);
        m_version = address.parts.value(1).toInt();
        m_fromRun.clear();
        if (m_readOnce) showList();
        readDetail();
    }
    return true;
}

Address ModelsPage::address() const {
    if (!m_fromRun.isEmpty()) return {id(), {}, QStringLiteral("register=") + m_fromRun};
    if (m_name.isEmpty()) return {id()};
    return {id(), {m_name, QString::number(m_version)}};
}

Json ModelsPage::saveState() const {
    return {{"name", m_name.toStdString()}, {"version", m_version}, {"splitter", m_splitter->saved()}};
}

void ModelsPage::restoreState(const Json& state) {
    if (m_name.isEmpty()) {
        m_name = readString(state, "name");
        m_version = static_cast<int>(readInteger(state, "version"));
    }
    if (const Json* sizes = member(state, "splitter")) m_splitter->restore(*sizes);
}

void ModelsPage::activated() {
    m_active = true;
    readList();
}

void ModelsPage::deactivated() { m_active = false; }

QWidget* ModelsPage::firstFocus() { return m_tree->isVisible() ? m_tree : nullptr; }

void ModelsPage::readList() {
    m_shell.session()->query(
        this, QStringLiteral("models.list"),
        [](store::Reader& reader) -> Result<std::vector<Named>> {
            auto models = reader.models();
            if (!models) return models.error();
            std::vector<Named> all;
            for (store::ModelRow& model : *models) {
                auto versions = reader.modelVersions(model.name);
                if (!versions) return versions.error();
                all.push_back({std::move(model), std::move(*versions)});
            }
            return all;
        },
        [this](const Result<std::vector<Named>>& models) {
            if (!models) {
                if (models.error().code != "canceled") m_shell.warn(models.error());
                return;
            }
            m_models = *models;
            m_readOnce = true;
            showList();
            Q_EMIT titleChanged();
            if (!m_name.isEmpty()) readDetail();
        });
}

void ModelsPage::showList() {
    const QSignalBlocker quiet(m_tree);
    m_tree->clear();
    const QString filter = m_search->text().trimmed();
    QTreeWidgetItem* chosen = nullptr;
    QTreeWidgetItem* first = nullptr;
    for (const Named& named : m_models) {
        const QString name = fromUtf8(named.model.name);
        const QString words =
            name + u' ' + fromUtf8(named.model.latest.description) + u' ' + tagsText(named.model.latest.tags);
        if (!filter.isEmpty() && !words.contains(filter, Qt::CaseInsensitive)) continue;
        auto* top = new QTreeWidgetItem(m_tree);
        top->setText(0, name);
        top->setToolTip(0, name);
        top->setText(1, headFigure(named.model.latest.card));
        top->setText(2, formatAgo(named.model.latest.createdAt));
        top->setToolTip(2, formatTime(named.model.latest.createdAt));
        top->setData(0, kNameRole, name);
        top->setData(0, kVersionRole, named.model.latest.version);
        top->setData(1, NumberRole, true);
        top->setData(2, MutedRole, true);
        if (!first) first = top;
        if (name == m_name && m_version == named.model.latest.version) chosen = top;
        for (const store::ModelVersionRow& version : named.versions) {
            auto* item = new QTreeWidgetItem(top);
            QString text = tr("Version %1").arg(version.version);
            for (const std::string& alias : version.aliases) text += QStringLiteral("  ·  ") + fromUtf8(alias);
            item->setText(0, text);
            item->setText(1, headFigure(version.card));
            item->setText(2, formatAgo(version.createdAt));
            item->setToolTip(2, formatTime(version.createdAt));
            item->setData(0, kNameRole, name);
            item->setData(0, kVersionRole, version.version);
            item->setData(1, NumberRole, true);
            item->setData(2, MutedRole, true);
            if (name == m_name && m_version == version.version && !chosen) chosen = item;
        }
        top->setExpanded(named.versions.size() > 1 && (name == m_name || m_models.size() <= 5));
    }
    const bool none = m_readOnce && m_models.empty();
    m_empty->setVisible(none && m_fromRun.isEmpty());
    m_splitter->setVisible(!none || !m_fromRun.isEmpty());
    if (!m_fromRun.isEmpty()) return;
    if (!chosen && first && m_name.isEmpty()) {
        chosen = first;
        m_name = first->data(0, kNameRole).toString();
        m_version = first->data(0, kVersionRole).toInt();
        readDetail();
    }
    if (chosen) m_tree->setCurrentItem(chosen);
}

void ModelsPage::readDetail() {
    const std::string name = m_name.toStdString();
    const int version = m_version;
    const base::Path folder = m_shell.session()->workspace().layout.modelVersion(name, version) / "exports";
    m_shell.session()->query(
        this, QStringLiteral("models.detail"),
        [name, version, folder](store::Reader& reader) -> Result<Detail> {
            auto row = reader.modelVersion(name, version);
            if (!row) return row.error();
            Detail detail{std::move(*row), {}};
            for (const Json& summary : readArray(detail.row.card, "exports")) {
                const std::string id = readText(summary, "id");
                if (id.empty() || id.find('/') != std::string::npos) continue;
                const auto bytes = base::readFile(folder / (id + ".json"), 8 << 20);
                auto record = bytes ? base::parseJson(*bytes) : Result<Json>(bytes.error());
                if (record) detail.exports.push_back(std::move(*record));
            }
            std::reverse(detail.exports.begin(), detail.exports.end());
            return detail;
        },
        [this, name, version](const Result<Detail>& detail) {
            if (name != m_name.toStdString() || version != m_version) return;
            if (detail) {
                showDetail(*detail);
            } else if (detail.error().code != "canceled") {
                m_detail.reset();
                m_choose->setTexts(tr("No such version"), fromUtf8(detail.error().message));
                if (m_fromRun.isEmpty()) showSide(m_choose);
            }
        });
}

void ModelsPage::showDetail(const Detail& detail) {
    const bool other =
        !m_detail || m_detail->row.name != detail.row.name || m_detail->row.version != detail.row.version;
    m_detail = detail;
    if (auto* area = qobject_cast<QScrollArea*>(m_detailView); area && other) area->verticalScrollBar()->setValue(0);
    const store::ModelVersionRow& row = m_detail->row;
    const Json& card = row.card;
    m_title->setText(tr("%1, version %2").arg(fromUtf8(row.name)).arg(row.version));
    const Json own = readObject(card, "model");
    QStringList facts{tr("registered %1").arg(formatAgo(row.createdAt)), formatBytes(row.size)};
    if (const std::int64_t parameters = readInteger(own, "parameters"); parameters > 0)
        facts << tr("%1 parameters").arg(formatCount(parameters));
    if (const Json* shape = member(own, "input_shape")) facts << tr("input %1").arg(shapeText(*shape));
    if (const std::int64_t classes = readInteger(own, "classes"); classes > 0)
        facts << tr("%n class(es)", nullptr, static_cast<int>(classes));
    if (const Json* dataset = member(own, "dataset"); dataset && dataset->is_string())
        facts << fromUtf8(dataset->get<std::string>());
    for (const std::string& alias : row.aliases) facts << fromUtf8(alias);
    m_facts->setText(facts.join(QStringLiteral(" · ")));
    m_run->setVisible(!row.run.empty());
    m_run->setText(tr("From run #%1, %2").arg(readInteger(card, "run_number")).arg(readString(card, "run_name")));
    if (other || (!m_description->hasFocus() && !m_descriptionPause.isActive()))
        m_description->setPlainText(fromUtf8(row.description));
    if (other) m_descriptionPause.stop();
    showTags();
    showMetrics(card);
    showFiles(card);
    showExports(m_detail->exports);
    showConfiguration(card);
    m_export->setFixed({{"model", reference().toStdString()}, {"out", ""}, {"overwrite", false}});
    if (other) m_kinds = Json();
    showKind(m_kinds);
    if (m_fromRun.isEmpty()) showSide(m_detailView);
    readKind();
}

void ModelsPage::readKind() {
    const QString wanted = reference();
    m_shell.session()->start("model.show", {{"model", wanted.toStdString()}}, this,
                             [this, wanted](const Result<Json>& shown) {
                                 if (!shown || wanted != reference() || !m_detail) return;
                                 m_kinds = *shown;
                                 showKind(m_kinds);
                             });
}

void ModelsPage::showKind(const Json& shown) {
    const Json exported = readObject(shown, "export");
    const bool possible = exported.empty() || readFlag(exported, "possible");
    m_export->setVisible(possible);
    m_noExports->setVisible(possible && m_detail->exports.empty());
    if (possible) {
        m_notExportable->clear();
    } else {
        QString text = readString(exported, "reason");
        if (const QString instead = readString(exported, "instead"); !instead.isEmpty()) text += u'\n' + instead;
        m_notExportable->setMessage(InlineError::Kind::Info, text);
    }
    // Only what the engine wrote carries a card that says how a picture becomes the model's input.
    const bool usable =
        readText(shown, "kind") == "torchscript" && member(shown, "card") && member(shown, "card")->is_object();
    m_tryAction->setEnabled(usable);
    const Json evaluations = readArray(shown, "evaluations");
    m_evaluations->setEvaluations(evaluations, usable);
    m_evaluations->parentWidget()->setVisible(usable || !evaluations.empty());
    if (const QString kind = readString(shown, "kind_title"); !kind.isEmpty() && !m_facts->text().startsWith(kind)) {
        m_facts->setText(kind + QStringLiteral(" · ") + m_facts->text());
        m_facts->setToolTip(readString(shown, "told"));
    }
    const Json files = readArray(shown, "files");
    for (int row = 0; row < m_files->rowCount(); ++row) {
        for (const Json& file : files) {
            if (readString(file, "path") != m_files->item(row, 0)->text()) continue;
            const QString told = readString(file, "told");
            m_files->item(row, 2)->setText(told.isEmpty() ? readString(file, "kind") : told);
            m_files->item(row, 2)->setToolTip(fromUtf8(base::dumpJson(readObject(file, "details"))));
        }
    }
}

void ModelsPage::showMetrics(const Json& card) {
    emptyLayout(m_metricsLayout);
    for (const char* wanted : {"val/accuracy", "val/loss", "train/loss"}) {
        for (const Json& one : readArray(card, "metrics")) {
            if (readText(one, "name") != wanted) continue;
            const bool small = smallerIsBetter(wanted);
            const Json* best = member(one, small ? "min" : "max");
            if (!best) best = member(one, "last");
            const auto value = best ? base::jsonToNumber(*best) : std::nullopt;
            if (!value) continue;
            auto* tileCard = new Card(m_metrics);
            auto* tile = new StatTile(metricTitle(wanted), tileCard);
            tile->setValue(formatMetric(wanted, *value), exactNumber(*value));
            tile->setDetail(tr("best, at step %1").arg(formatExact(readInteger(one, small ? "min_step" : "max_step"))));
            tileCard->body()->addWidget(tile);
            tileCard->setMinimumWidth(170);
            m_metricsLayout->addWidget(tileCard);
        }
    }
    m_metrics->setVisible(m_metricsLayout->count() > 0);
}

void ModelsPage::showTags() {
    emptyLayout(m_tagsLayout);
    for (const auto& [name, value] : m_detail->row.tags) {
        const QString text = value.empty() ? fromUtf8(name) : fromUtf8(name) + u'=' + fromUtf8(value);
        auto* chip = new Chip(text, m_tags);
        chip->setRemovable(true);
        chip->setAccessibleName(tr("Tag %1").arg(text));
        connect(chip, &Chip::removed, this, [this, tag = name] { edit({{"remove", Json::array({tag})}}); });
        m_tagsLayout->addWidget(chip);
    }
    m_tags->setVisible(!m_detail->row.tags.empty());
}

void ModelsPage::showFiles(const Json& card) {
    const Json files = readArray(card, "files");
    m_files->setRowCount(static_cast<int>(files.size()));
    int row = 0;
    for (const Json& file : files) {
        const QString texts[] = {readString(file, "path"), formatBytes(readInteger(file, "size")), QString(),
                                 readString(file, "sha256")};
        for (int column = 0; column < 4; ++column) {
            auto* item = new QTableWidgetItem(texts[column]);
            item->setToolTip(column == 1 ? tr("%1 bytes").arg(formatExact(readInteger(file, "size"))) : texts[column]);
            item->setData(NumberRole, column == 1);
            item->setData(MutedRole, column >= 2);
            m_files->setItem(row, column, item);
        }
        ++row;
    }
    m_files->setFixedHeight(m_files->horizontalHeader()->sizeHint().height() +
                            std::min(8, std::max(1, row)) * Theme::current().rowHeight() + 6);
}

void ModelsPage::showExports(const std::vector<Json>& exports) {
    emptyLayout(m_exportsLayout);
    for (const Json& record : exports) {
        auto* panel = new ProofPanel(this);
        // The registry hands out the newest export; older ones stay for their proofs.
        panel->setExport(record, &record == &exports.front());
        connect(panel, &ProofPanel::downloadRequested, this, &ModelsPage::downloadExport);
        m_exportsLayout->addWidget(panel);
    }
}

void ModelsPage::showConfiguration(const Json& card) {
    m_configuration->clear();
    const Json configuration = readObject(card, "configuration");
    if (configuration.empty()) {
        m_configuration->parentWidget()->hide();
        return;
    }
    m_configuration->parentWidget()->show();
    for (const char* path :
         {"task.dataset.name", "task.model.family", "task.optimizer.kind", "task.optimizer.learning_rate",
          "task.schedule.kind", "task.epochs", "task.batch_size", "task.seed", "distribution.processes"}) {
        const spec::Field* field = spec::fieldAt(spec::runSpecFields(), path, configuration);
        const Json* value = spec::valueAt(configuration, path);
        if (!field || !value) continue;
        QString text = numberText(*value);
        for (const spec::Choice& choice : field->choices) {
            if (fromUtf8(choice.value) == text) text = fromUtf8(choice.label);
        }
        if (!text.isEmpty()) m_configuration->add(fromUtf8(field->label), text, fromUtf8(field->path));
    }
}

void ModelsPage::showSide(QWidget* side) {
    m_side->setCurrentWidget(side);
    if (side == m_detailView) {
        setPrimaryAction(m_downloadAction);
        setContextActions({m_tryAction, m_deleteAction});
    } else if (side == m_registerView) {
        setPrimaryAction(m_registerAction);
        setContextActions({m_cancelRegister});
    } else {
        setPrimaryAction(nullptr);
        setContextActions({});
    }
}

void ModelsPage::beginRegister(const QString& run) {
    m_fromRun = run;
    m_splitter->show();
    m_empty->hide();
    m_registerTitle->setText(tr("Register a model"));
    m_registerFacts->clear();
    m_register->setFixed({{"run", run.toStdString()}});
    showSide(m_registerView);
    const std::string wanted = run.toStdString();
    m_shell.session()->query(
        this, QStringLiteral("models.run"), [wanted](store::Reader& reader) { return reader.findRun(wanted); },
        [this, run](const Result<store::RunRow>& row) {
            if (run != m_fromRun) return;
            if (!row) {
                m_registerFacts->setText(fromUtf8(row.error().message));
                return;
            }
            m_registerTitle->setText(tr("Register run #%1, %2").arg(row->number).arg(fromUtf8(row->name)));
            QStringList facts;
            if (const store::MetricSummary* metric = headMetric(*row)) {
                facts << tr("%1 %2").arg(metricTitle(metric->name), formatMetric(metric->name, bestOf(*metric)));
            }
            facts << tr("What is registered is kept under the name you give, with the run's figures and configuration; "
                        "versions count up.");
            m_registerFacts->setText(facts.join(QStringLiteral(". ")));
            QString name;
            for (const QChar c : fromUtf8(row->experiment))
                name += c.isLetterOrNumber() && c.unicode() < 128 ? c.toLower() : u'-';
            m_register->setValue(QStringLiteral("name"), name.toStdString());
        });
    Q_EMIT addressChanged();
}

void ModelsPage::registered(const Json& result) {
    m_fromRun.clear();
    m_name = readString(result, "name");
    m_version = static_cast<int>(readInteger(result, "number", readInteger(result, "version")));
    m_shell.notice(tr("Registered as %1, version %2.").arg(m_name).arg(m_version));
    readList();
    readDetail();
    Q_EMIT addressChanged();
}

void ModelsPage::edit(Json change) {
    change["model"] = reference().toStdString();
    m_shell.session()->start("model.edit", std::move(change), this, [this](const Result<Json>& result) {
        if (!result) m_shell.warn(result.error());
    });
}

void ModelsPage::startCopy(const std::string& command, Json parameters, const QString& title) {
    commands::Command* started = m_shell.session()->start(command, std::move(parameters));
    QPointer<commands::Command> guard(started);
    const int entry = m_shell.work().begin(title, [guard] {
        if (guard) guard->cancel();
    });
    connect(started, &commands::Command::progressed, this, [this, entry](const commands::CommandProgress& progress) {
        if (progress.fraction >= 0) m_shell.work().progress(entry, progress.fraction);
    });
    connect(started, &commands::Command::finished, this, [this, entry](const Result<Json>& result) {
        m_shell.work().finish(entry);
        if (result) {
            m_shell.notice(tr("Copied %1, hashes checked.").arg(formatBytes(readInteger(*result, "bytes"))));
        } else if (result.error().code != "canceled") {
            m_shell.warn(result.error());
        }
    });
}

void ModelsPage::download() {
    if (!m_detail) return;
    m_shell.questions().chooseFolder(
        this, tr("Copy the model to"), QString(), [this, model = reference()](const QString& folder) {
            if (folder.isEmpty()) return;
            startCopy("model.download", {{"model", model.toStdString()}, {"to", folder.toStdString()}},
                      tr("Copying %1 to %2").arg(model, folder));
        });
}

void ModelsPage::downloadSelected() {
    Json paths = Json::array();
    for (const QModelIndex& index : m_files->selectionModel()->selectedRows())
        paths.push_back(m_files->item(index.row(), 0)->text().toStdString());
    if (!m_detail || paths.empty()) return;
    m_shell.questions().chooseFolder(
        this, tr("Copy the files to"), QString(), [this, model = reference(), paths](const QString& folder) {
            if (folder.isEmpty()) return;
            startCopy("model.download",
                      {{"model", model.toStdString()}, {"to", folder.toStdString()}, {"paths", paths}},
                      tr("Copying files of %1 to %2").arg(model, folder));
        });
}

void ModelsPage::downloadExport() {
    if (!m_detail) return;
    m_shell.questions().chooseFolder(this, tr("Copy the ONNX file and the model's card to"), QString(),
                                     [this, model = reference()](const QString& folder) {
                                         if (folder.isEmpty()) return;
                                         startCopy("model.download",
                                                   {{"model", model.toStdString()},
                                                    {"to", folder.toStdString()},
                                                    {"paths", Json::array({"model.json"})},
                                                    {"onnx", true}},
                                                   tr("Copying the ONNX file to %1").arg(folder));
                                     });
}

void ModelsPage::remove() {
    if (!m_detail) return;
    Question question;
    question.id = QStringLiteral("model.delete");
    question.title = tr("Delete %1, version %2?").arg(m_name).arg(m_version);
    question.text = tr("Its files and exports go; up to %1 are freed. The run it came from stays.")
                        .arg(formatBytes(m_detail->row.size));
    question.buttons = {{QStringLiteral("delete"), tr("Delete version"), true}};
    m_shell.questions().ask(this, question, [this, model = reference()](const QString& answer) {
        if (answer != u"delete") return;
        m_shell.session()->start(
            "model.delete", {{"model", model.toStdString()}}, this, [this](const Result<Json>& result) {
                if (!result) return m_shell.warn(result.error());
                m_shell.notice(tr("Version deleted, %1 freed.").arg(formatBytes(readInteger(*result, "freed_bytes"))));
                m_name.clear();
                m_version = 0;
                m_detail.reset();
                showSide(m_choose);
                readList();
            });
    });
}

}  // namespace trainyard::ui
