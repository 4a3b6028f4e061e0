#include "ui/tryit/TryItPage.h"

#include <QComboBox>
#include <QDragEnterEvent>
#include <QDropEvent>
#include <QHeaderView>
#include <QMimeData>
#include <QTabWidget>
#include <QTableWidget>
#include <QUrl>
#include <QVBoxLayout>
#include <utility>

#include "core/commands/Session.h"
#include "ui/forms/JsonRead.h"
#include "ui/models/ModelFormat.h"
#include "ui/shell/Icons.h"
#include "ui/shell/Shell.h"
#include "ui/tryit/EvaluatePanel.h"
#include "ui/tryit/PredictPanel.h"
#include "ui/tryit/TryItParts.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Details.h"
#include "ui/widgets/Focus.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Json;
using base::Result;

TryItPage::TryItPage(Shell& shell, QWidget* parent) : Page(QStringLiteral("try"), parent), m_shell(shell) {
    const Theme& theme = Theme::current();
    setAcceptDrops(true);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(theme.space(4), theme.space(1), theme.space(4), theme.space(3));
    column->setSpacing(theme.space(2));
    auto* head = new QHBoxLayout;
    head->setSpacing(theme.space(2));
    m_models = new QComboBox(this);
    m_models->setObjectName(QStringLiteral("tryModels"));
    m_models->setAccessibleName(tr("Model"));
    m_models->setMinimumWidth(theme.scaled(240));
    m_models->setMaximumWidth(theme.scaled(420));
    m_models->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    head->addWidget(m_models);
    m_facts = new ElidedLabel({}, TextStyle::Secondary, Role::Muted, this);
    m_facts->setObjectName(QStringLiteral("tryFacts"));
    head->addWidget(m_facts, 1);
    column->addLayout(head);
    m_error = new InlineError(this);
    m_error->setObjectName(QStringLiteral("tryError"));
    m_error->clear();
    column->addWidget(m_error);
    m_none = new EmptyState(QStringLiteral("tryit"), tr("No model to try yet"),
                            tr("Train one and register it, or open a finished run's model from its page."), this);
    connect(m_none->addPrimary(tr("Choose a run"), QStringLiteral("runs")), &QPushButton::clicked, this, [this] {
        m_shell.open({QStringLiteral("runs"), {}, QStringLiteral("state:completed task:train")});
    });
    m_none->hide();
    column->addWidget(m_none, 1);
    m_tabs = new QTabWidget(this);
    m_tabs->setObjectName(QStringLiteral("tryTabs"));
    m_tabs->setDocumentMode(true);
    m_predict = new PredictPanel(shell, m_tabs);
    m_evaluate = new EvaluatePanel(shell, m_tabs);
    for (const auto& [panel, title] : {std::pair<QWidget*, QString>{m_predict, tr("Pictures")},
                                       {m_evaluate, tr("Evaluation")},
                                       {buildLayers(), tr("Layers")}}) {
        auto* room = new QWidget(m_tabs);
        auto* inside = new QVBoxLayout(room);
        inside->setContentsMargins(0, theme.space(2), 0, 0);
        inside->addWidget(panel);
        m_tabs->addTab(room, title);
    }
    column->addWidget(m_tabs, 1);

    m_chooseAction = makeAction(this, "tryit", tr("Choose a picture…"), "tryChooseAction", Role::AccentText,
                                [this] { m_predict->choosePicture(); });
    m_evaluateAction = makeAction(this, "check", tr("Evaluate"), "tryEvaluateAction", Role::AccentText,
                                  [this] { m_evaluate->start(); });
    connect(m_tabs, &QTabWidget::currentChanged, this, [this] {
        showTab();
        Q_EMIT stateChanged();
    });
    connect(m_predict, &PredictPanel::changed, this, &TryItPage::showTab);
    connect(m_evaluate, &EvaluatePanel::runningChanged, this, [this] {
        auto* button = window()->findChild<QWidget*>(m_evaluateAction->objectName() + QStringLiteral("Button"));
        if (m_evaluate->isRunning()) handFocus(button, m_evaluate->strip());
        showTab();
        if (!m_evaluate->isRunning()) handFocus(m_evaluate->strip(), button);
    });
    connect(m_evaluate, &EvaluatePanel::pictureWanted, this, [this](const QString& file) {
        m_tabs->setCurrentIndex(0);
        m_predict->addPictures({file});
    });
    connect(m_models, &QComboBox::activated, this, [this] {
        choose(m_models->currentData().toString());
        Q_EMIT addressChanged();
    });
    connect(shell.session(), &commands::Session::modelsChanged, this, &TryItPage::readModels);
    connect(shell.session(), &commands::Session::datasetsChanged, m_evaluate, &EvaluatePanel::readDatasets);
    showTab();
}

QWidget* TryItPage::buildLayers() {
    auto* panel = new QWidget(m_tabs);
    auto* column = new QVBoxLayout(panel);
    column->setContentsMargins(0, 0, 0, 0);
    m_sums = new TextLabel({}, TextStyle::Body, Role::Muted, panel);
    m_sums->setObjectName(QStringLiteral("tryLayerSums"));
    m_sums->setWordWrap(true);
    column->addWidget(m_sums);
    m_layers = panelTable({{tr("Layer"), 220},
                           {tr("Kind"), 130},
                           {tr("Output"), 130},
                           {tr("Parameters"), 110, true},
                           {tr("Multiply-adds"), 120, true},
                           {tr("Memory"), 110, true}},
                          tr("Layers of the model"), "tryLayers", panel);
    m_layers->horizontalHeader()->setStretchLastSection(false);
    m_layers->horizontalHeader()->setSectionResizeMode(0, QHeaderView::Stretch);
    column->addWidget(m_layers, 1);
    return panel;
}

QString TryItPage::subtitle() const { return modelText(m_model); }

bool TryItPage::openAddress(const Address& address) {
    if (address.head != id()) return false;
    if (!address.parts.isEmpty()) choose(address.parts.value(0));
    if (address.query == u"evaluate") m_tabs->setCurrentIndex(1);
    return true;
}

Address TryItPage::address() const { return m_model.isEmpty() ? Address{id()} : Address{id(), {m_model}}; }

Json TryItPage::saveState() const { return {{"model", m_model.toStdString()}, {"tab", m_tabs->currentIndex()}}; }

void TryItPage::restoreState(const Json& state) {
    if (m_model.isEmpty()) choose(readString(state, "model"));
    m_tabs->setCurrentIndex(static_cast<int>(readInteger(state, "tab")));
}

void TryItPage::activated() {
    readModels();
    m_evaluate->readDatasets();
}

QWidget* TryItPage::firstFocus() { return m_models->isVisible() ? m_models : nullptr; }

void TryItPage::readModels() {
    m_shell.session()->start("model.list", Json::object(), this, [this](const Result<Json>& listed) {
        if (!listed) {
            m_error->setError(listed.error());
            return;
        }
        m_models->clear();
        for (const Json& one : readArray(*listed, "models")) {
            if (readText(one, "kind") == "torchscript")
                m_models->addItem(readString(one, "model"), readString(one, "model"));
        }
        if (m_model.isEmpty() && m_models->count() > 0) {
            choose(m_models->itemData(0).toString());
        } else {
            choose(m_model);
        }
    });
}

void TryItPage::choose(const QString& model) {
    const bool other = model != m_model;
    m_model = model;
    if (!model.isEmpty()) {
        int row = m_models->findData(model);
        if (row < 0) {
            m_models->insertItem(0, modelText(model), model);
            row = 0;
        }
        m_models->setCurrentIndex(row);
    }
    m_none->setVisible(model.isEmpty());
    m_tabs->setVisible(!model.isEmpty());
    m_models->setVisible(!model.isEmpty());
    if (other) {
        m_usable = false;
        m_facts->setText({});
        m_error->clear();
        m_predict->setModel({});
        m_evaluate->setModel({});
        inspect();
        Q_EMIT titleChanged();
        Q_EMIT stateChanged();
    }
    showTab();
}

void TryItPage::inspect() {
    if (m_model.isEmpty()) return;
    m_shell.session()->start("model.inspect", {{"model", m_model.toStdString()}}, this,
                             [this, model = m_model](const Result<Json>& shown) {
                                 if (model != m_model) return;
                                 m_usable = shown.ok();
                                 m_tabs->setVisible(shown.ok());
                                 if (!shown) {
                                     m_error->setError(shown.error());
                                 } else {
                                     m_predict->setModel(model);
                                     m_evaluate->setModel(model);
                                     showLayers(*shown);
                                 }
                                 showTab();
                             });
}

void TryItPage::showLayers(const Json& shown) {
    const Json shape = readArray(shown, "input_shape");
    m_facts->setText(
        tr("%1 · input %2 · %n class(es) · %3 parameters", nullptr, static_cast<int>(readInteger(shown, "classes")))
            .arg(readString(shown, "family"), shapeText(shape), formatCount(readInteger(shown, "parameters"))));
    m_sums->setText(
        tr("%1 parameters in %2. One sample takes %3 multiply-adds and %4 for the outputs of all layers, which "
           "training keeps for "
           "the backward pass; the largest alone has %5.")
            .arg(formatCount(readInteger(shown, "parameters")), formatBytes(readInteger(shown, "weights_bytes")),
                 formatCount(readInteger(shown, "multiply_adds")), formatBytes(readInteger(shown, "activation_bytes")),
                 formatBytes(readInteger(shown, "largest_bytes"))));
    const Json layers = readArray(shown, "layers");
    m_layers->setRowCount(static_cast<int>(layers.size()));
    int row = 0;
    for (const Json& layer : layers) {
        const auto figure = [&](int column, const char* key) {
            const std::int64_t value = readInteger(layer, key);
            putCell(m_layers, row, column, value > 0 ? formatCount(value) : QString(),
                    value > 0 ? formatExact(value) : QString());
        };
        putCell(m_layers, row, 0, readString(layer, "name"));
        putCell(m_layers, row, 1, readString(layer, "kind"));
        putCell(m_layers, row, 2, shapeText(readArray(layer, "shape")));
        figure(3, "parameters");
        figure(4, "multiply_adds");
        putCell(m_layers, row, 5, formatBytes(readInteger(layer, "bytes")));
        ++row;
    }
    m_layers->setVisible(row > 0);
}

void TryItPage::showTab() {
    const int tab = m_tabs->currentIndex();
    m_evaluateAction->setEnabled(m_usable && !m_evaluate->isRunning());
    // The empty state has the button in its middle.
    QAction* primary = !m_usable                           ? nullptr
                       : tab == 0 && !m_predict->isEmpty() ? m_chooseAction
                       : tab == 1                          ? m_evaluateAction
                                                           : nullptr;
    if (primary != primaryAction()) setPrimaryAction(primary);
}

void TryItPage::dragEnterEvent(QDragEnterEvent* event) {
    if (m_usable && event->mimeData()->hasUrls()) event->acceptProposedAction();
}

void TryItPage::dropEvent(QDropEvent* event) {
    QStringList paths;
    for (const QUrl& url : event->mimeData()->urls()) {
        if (url.isLocalFile()) paths << url.toLocalFile();
    }
    if (paths.isEmpty()) return;
    event->acceptProposedAction();
    m_tabs->setCurrentIndex(0);
    m_predict->addPictures(paths);
}

}  // namespace trainyard::ui
