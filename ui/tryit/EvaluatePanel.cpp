#include "ui/tryit/EvaluatePanel.h"

#include <QComboBox>
#include <QFileInfo>
#include <QScrollArea>
#include <QTableWidget>
#include <QVBoxLayout>
#include <algorithm>

#include "core/commands/Session.h"
#include "ui/charts/ConfusionMatrix.h"
#include "ui/forms/JsonRead.h"
#include "ui/models/EvaluationsPanel.h"
#include "ui/seams/Questions.h"
#include "ui/shell/Shell.h"
#include "ui/tryit/TryItParts.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Details.h"
#include "ui/widgets/FlowLayout.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Json;
using base::Result;

namespace {

/// In the place of a data set's name: a folder is to be chosen.
const QString kChoose = QStringLiteral("/choose/");
const QString kOwn = QStringLiteral("own");
constexpr int kBesideFrom = 860;
constexpr int kMostClassesBeside = 6;

}  // namespace

EvaluatePanel::EvaluatePanel(Shell& shell, QWidget* parent) : QWidget(parent), m_shell(shell) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(theme.space(2));
    auto* choices = new QWidget(this);
    auto* line = new FlowLayout(choices, theme.space(2), theme.space(1));
    // A flow lays what it holds along the top; so high, the words stand beside what is in the boxes.
    const auto addLabel = [&](const QString& text) {
        auto* label = new TextLabel(text, TextStyle::Body, Role::Muted, choices);
        label->setMinimumHeight(theme.controlHeight());
        line->addWidget(label);
    };
    addLabel(tr("Data"));
    m_data = new QComboBox(choices);
    m_data->setObjectName(QStringLiteral("evaluateData"));
    m_data->setAccessibleName(tr("Data to evaluate on"));
    m_data->setMinimumWidth(theme.scaled(260));
    m_data->setMaximumWidth(theme.scaled(420));
    m_data->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    line->addWidget(m_data);
    addLabel(tr("Part"));
    m_split = new QComboBox(choices);
    m_split->setObjectName(QStringLiteral("evaluateSplit"));
    m_split->setAccessibleName(tr("Part of the data"));
    m_split->setMinimumWidth(theme.scaled(200));
    m_split->addItem(tr("As it fits the data"), QStringLiteral("auto"));
    m_split->addItem(tr("What was held back"), QStringLiteral("validation"));
    m_split->addItem(tr("What was trained on"), QStringLiteral("training"));
    m_split->addItem(tr("All of it"), QStringLiteral("all"));
    line->addWidget(m_split);
    column->addWidget(choices);
    m_error = new InlineError(this);
    m_error->setObjectName(QStringLiteral("evaluateError"));
    m_error->clear();
    column->addWidget(m_error);
    m_progress = new ProgressStrip(this);
    m_progress->setTitle(tr("Evaluating"));
    m_progress->setCancelable(true);
    m_progress->hide();
    column->addWidget(m_progress);

    m_empty = new EmptyState(
        QStringLiteral("check"), tr("How often is it right?"),
        tr("Choose data that the model has never been trained on, and press Evaluate: loss and accuracy, what is "
           "taken for what, and the mistakes it was surest of."),
        this);
    column->addWidget(m_empty, 1);

    auto* content = new QWidget(this);
    auto* parts = new QVBoxLayout(content);
    parts->setContentsMargins(0, 0, theme.space(2), theme.space(3));
    parts->setSpacing(theme.space(3));
    m_figures = new QWidget(content);
    m_figuresLayout = new FlowLayout(m_figures, theme.space(2), theme.space(2));
    parts->addWidget(m_figures);
    m_told = new TextLabel({}, TextStyle::Secondary, Role::Muted, content);
    m_told->setWordWrap(true);
    parts->addWidget(m_told);
    m_bad = new InlineError(content);
    m_bad->setObjectName(QStringLiteral("evaluateBad"));
    m_bad->clear();
    parts->addWidget(m_bad);
    m_mistakesCard = new Card(tr("Worst mistakes"), content);
    auto* of = new QHBoxLayout;
    of->setSpacing(theme.space(2));
    m_mistakesTold = new TextLabel({}, TextStyle::Secondary, Role::Muted, m_mistakesCard);
    m_mistakesTold->setObjectName(QStringLiteral("evaluateMistakesLabel"));
    m_mistakesTold->setWordWrap(true);
    of->addWidget(m_mistakesTold, 1);
    m_allMistakes = new LinkButton(tr("All mistakes"), m_mistakesCard);
    m_allMistakes->setObjectName(QStringLiteral("evaluateAllMistakes"));
    of->addWidget(m_allMistakes, 0, Qt::AlignTop);
    m_mistakesCard->body()->addLayout(of);
    connect(m_allMistakes, &LinkButton::clicked, this, [this] { m_confusion->choose(-1, -1); });
    m_mistakes = new PictureList(true, tr("Worst mistakes"), m_mistakesCard);
    m_mistakes->setObjectName(QStringLiteral("evaluateMistakes"));
    m_mistakesCard->body()->addWidget(m_mistakes);
    connect(m_mistakes, &QListWidget::itemActivated, this, [this](QListWidgetItem* item) {
        if (const QString file = m_mistakes->fileOf(m_mistakes->row(item)); !file.isEmpty()) Q_EMIT pictureWanted(file);
    });
    m_confusionCard = new Card(tr("What is taken for what"), content);
    m_confusion = new ConfusionMatrix(m_confusionCard);
    m_confusion->setObjectName(QStringLiteral("evaluateConfusion"));
    m_confusionCard->body()->addWidget(m_confusion);
    m_meaning = new TextLabel({}, TextStyle::Secondary, Role::Muted, m_confusionCard);
    m_meaning->setWordWrap(true);
    m_confusionCard->body()->addWidget(m_meaning);
    connect(m_confusion, &ConfusionMatrix::cellChosen, this, &EvaluatePanel::showCell);
    m_beside = new QBoxLayout(QBoxLayout::TopToBottom);
    m_beside->setSpacing(theme.space(3));
    m_beside->addWidget(m_confusionCard, 1);
    m_beside->addWidget(m_mistakesCard, 1);
    parts->addLayout(m_beside);
    auto* classes = new Card(tr("Classes"), content);
    m_classes = makeClassFigures("evaluateClasses", classes);
    classes->body()->addWidget(m_classes);
    parts->addWidget(classes);
    parts->addStretch(1);
    m_results = makeScrollPage(content, 1400, this);
    m_results->hide();
    column->addWidget(m_results, 1);

    m_data->addItem(tr("What it was trained with"), kOwn);
    m_data->addItem(tr("A folder…"), kChoose);
    connect(m_data, &QComboBox::activated, this, &EvaluatePanel::chooseData);
    connect(m_progress, &ProgressStrip::cancelRequested, this, [this] {
        if (m_command) m_command->cancel();
    });
}

void EvaluatePanel::resizeEvent(QResizeEvent* event) {
    QWidget::resizeEvent(event);
    arrange();
}

QWidget* EvaluatePanel::strip() const { return m_progress; }

void EvaluatePanel::arrange() {
    const Theme& theme = Theme::current();
    const int classes = m_confusion->data().size();
    const bool beside = width() >= theme.scaled(kBesideFrom) && classes <= kMostClassesBeside;
    m_beside->setDirection(beside ? QBoxLayout::LeftToRight : QBoxLayout::TopToBottom);
    // As high as the cells of few classes are, and no higher.
    m_confusion->setMinimumHeight(theme.scaled(std::min(400, 100 + 76 * classes)));
}

void EvaluatePanel::setModel(const QString& model) {
    if (model == m_model) return;
    m_model = model;
    if (m_command) {
        m_command->disconnect(this);
        m_command->cancel();
        m_command = nullptr;
        m_progress->hide();
        Q_EMIT runningChanged();
    }
    m_error->clear();
    m_results->hide();
    m_empty->show();
}

void EvaluatePanel::readDatasets() {
    m_shell.session()->start("dataset.list", Json::object(), this, [this](const Result<Json>& listed) {
        if (!listed) return;
        for (int row = m_data->count() - 1; row >= 0; --row) {
            if (m_data->itemData(row).toString().startsWith(u"dataset:")) m_data->removeItem(row);
        }
        int at = 1;
        for (const Json& one : readArray(*listed, "datasets")) {
            const QString name = readString(one, "name");
            m_data->insertItem(at++, tr("%1, dataset").arg(name), QString(QStringLiteral("dataset:") + name));
        }
    });
}

void EvaluatePanel::chooseData() {
    if (m_data->currentData().toString() != kChoose) return;
    m_data->setCurrentIndex(0);
    m_shell.questions().chooseFolder(this, tr("Choose a folder of labelled pictures"), QString(),
                                     [this](const QString& folder) {
                                         if (!folder.isEmpty()) addFolder(folder);
                                     });
}

void EvaluatePanel::addFolder(const QString& folder) {
    int row = m_data->findData(folder);
    if (row < 0) {
        row = m_data->count() - 1;
        m_data->insertItem(row, tr("%1, folder").arg(QFileInfo(folder).fileName()), folder);
        m_data->setItemData(row, folder, Qt::ToolTipRole);
    }
    m_data->setCurrentIndex(row);
}

void EvaluatePanel::start() {
    if (m_command || m_model.isEmpty()) return;
    m_error->clear();
    m_progress->setFraction(std::nullopt);
    m_progress->setDetail(QString());
    m_progress->show();
    m_command =
        m_shell.session()->start("model.evaluate", {{"model", m_model.toStdString()},
                                                    {"dataset", m_data->currentData().toString().toStdString()},
                                                    {"split", m_split->currentData().toString().toStdString()}});
    connect(m_command, &commands::Command::progressed, this, [this](const commands::CommandProgress& progress) {
        m_progress->setFraction(progress.fraction >= 0 ? std::optional(progress.fraction) : std::nullopt);
        m_progress->setDetail(progress.fraction >= 0 ? formatPercent(progress.fraction) : fromUtf8(progress.text));
    });
    connect(m_command, &commands::Command::finished, this, [this](const Result<Json>& result) {
        m_command = nullptr;
        if (result) {
            showResult(*result);
        } else if (result.error().code != "canceled") {
            m_error->setError(result.error());
        }
        // Before the strip hides, which may have the focus.
        Q_EMIT runningChanged();
        m_progress->hide();
    });
    Q_EMIT runningChanged();
}

void EvaluatePanel::showResult(const Json& result) {
    m_empty->hide();
    m_results->show();
    m_found = readArray(result, "mistakes");
    m_mistakesCard->setVisible(!m_found.empty());
    showFigures(result);
    showConfusion(result);
    showClassFigures(m_classes, readArray(result, "classes"));
    showMistakes();
    constexpr std::size_t kFewMistakes = 4;
    m_mistakes->setMinimumHeight(Theme::current().scaled(m_found.size() <= kFewMistakes ? 190 : 340));
    arrange();
    const Json bad = readArray(result, "bad");
    if (bad.empty()) {
        m_bad->clear();
        return;
    }
    QStringList lines{tr("%n file(s) could not be read and are not counted:", nullptr,
                         static_cast<int>(readInteger(result, "bad_count")))};
    constexpr std::size_t kNamed = 5;
    for (std::size_t i = 0; i < std::min(kNamed, bad.size()); ++i)
        lines << tr("%1: %2").arg(readString(bad[i], "file"), readString(bad[i], "why"));
    m_bad->setMessage(InlineError::Kind::Warning, lines.join(u'\n'));
}

void EvaluatePanel::showFigures(const Json& result) {
    emptyLayout(m_figuresLayout);
    const auto add = [&](const QString& name, const QString& value, const QString& exact) {
        auto* card = new Card(m_figures);
        auto* tile = new StatTile(name, card);
        tile->setValue(value, exact);
        card->body()->addWidget(tile);
        card->setMinimumWidth(Theme::current().scaled(150));
        m_figuresLayout->addWidget(card);
    };
    const double accuracy = readNumber(result, "accuracy");
    add(tr("Accuracy"), formatPercent(accuracy), exactNumber(accuracy));
    if (const Json* five = member(result, "top5"); five && five->is_number())
        add(tr("Within five"), formatPercent(five->get<double>()), exactNumber(five->get<double>()));
    if (const Json* loss = member(result, "loss")) {
        const auto value = base::jsonToNumber(*loss);
        add(tr("Loss"), value ? formatNumber(*value) : QStringLiteral("–"), value ? exactNumber(*value) : QString());
    }
    add(tr("Samples"), formatCount(readInteger(result, "samples")), formatExact(readInteger(result, "samples")));
    m_told->setText(tr("%1 · %2 · %3 · took %4")
                        .arg(modelText(readString(result, "model")), m_data->currentText(),
                             m_split->itemText(std::max(0, m_split->findData(readString(result, "split")))),
                             formatDuration(static_cast<std::int64_t>(readNumber(result, "seconds") * 1e9))));
}

void EvaluatePanel::showConfusion(const Json& result) {
    ConfusionData matrix;
    m_labels.clear();
    for (const Json& one : readArray(result, "classes")) {
        matrix.classes << readString(one, "name");
        m_labels.push_back(readInteger(one, "label", -1));
    }
    for (const Json& row : readArray(result, "confusion")) {
        for (const Json& count : row) matrix.counts.push_back(count.is_number() ? count.get<double>() : 0.0);
    }
    const bool whole =
        matrix.counts.size() == static_cast<std::size_t>(matrix.size()) * static_cast<std::size_t>(matrix.size());
    m_confusionCard->setVisible(whole && matrix.size() > 0);
    if (!whole) return;
    m_confusion->setData(matrix);
    m_confusion->choose(-1, -1);
}

void EvaluatePanel::showCell(int row, int column) {
    const bool none = row < 0 && column < 0;
    m_meaning->setText(none ? m_confusion->data().summary() : m_confusion->data().meaning(row, column));
    showMistakes();
}

void EvaluatePanel::showMistakes() {
    const int row = m_confusion->chosenRow();
    const int column = m_confusion->chosenColumn();
    const auto size = static_cast<int>(m_labels.size());
    const bool cell = row >= 0 && column >= 0 && row != column && row < size && column < size;
    m_mistakes->clearEntries();
    for (const Json& one : m_found) {
        if (cell && (readInteger(one, "label", -1) != m_labels[static_cast<std::size_t>(row)] ||
                     readInteger(one, "predicted", -1) != m_labels[static_cast<std::size_t>(column)]))
            continue;
        const Json pixels = readObject(one, "pixels");
        const QString truth = readString(one, "name");
        const QString taken = readString(one, "predicted_name");
        PictureList::Entry entry;
        entry.image = pixels.empty() ? QImage() : imageFromPixels(pixels);
        entry.file = pixels.empty() ? readString(one, "file") : QString();
        entry.text = tr("%1 %2\nis %3").arg(taken, formatPercent(readNumber(one, "probability")), truth);
        entry.hover = tr("%1 was taken for %2 with %3; the truth had %4.\n%5")
                          .arg(truth, taken, formatPercent(readNumber(one, "probability")),
                               formatPercent(readNumber(one, "true_probability")),
                               pixels.empty()
                                   ? readString(one, "file")
                                   : tr("Sample %1 of %2").arg(readInteger(one, "index")).arg(readString(one, "file")));
        m_mistakes->addEntry(entry);
    }
    m_allMistakes->setVisible(cell);
    if (cell) {
        const QStringList& names = m_confusion->data().classes;
        m_mistakesTold->setText(tr("“%1” taken for “%2”: %3 of %4 are among the worst.")
                                    .arg(names[row], names[column])
                                    .arg(m_mistakes->count())
                                    .arg(static_cast<qint64>(m_confusion->data().count(row, column))));
    } else {
        m_mistakesTold->setText(tr("Choose a cell of the matrix to see its mistakes alone."));
    }
}

}  // namespace trainyard::ui
