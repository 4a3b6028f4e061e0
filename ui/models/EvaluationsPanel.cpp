#include "ui/models/EvaluationsPanel.h"

#include <QFileInfo>
#include <QHeaderView>
#include <QTableWidget>
#include <QVBoxLayout>

#include "ui/forms/JsonRead.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Details.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Json;

namespace {

enum EvaluationColumn { kData, kAccuracy, kTopFive, kLoss, kSamples, kWhen };

constexpr int kShortestData = 170;  ///< At the usual text size.

/// A share, or a dash where nothing was there to be divided by.
QString shareText(const Json& object, const char* key) {
    const Json* value = member(object, key);
    return value && value->is_number() ? formatPercent(value->get<double>()) : QStringLiteral("–");
}

QString exactShare(const Json& object, const char* key) {
    const Json* value = member(object, key);
    return value && value->is_number() ? exactNumber(value->get<double>()) : QString();
}

/// As a person named the data: "own", a folder, or a dataset's name with or without what tells that it is one.
QString dataText(const Json& record) {
    QString data = readString(record, "dataset");
    if (data == u"own") {
        data = EvaluationsPanel::tr("Own data");
    } else if (data.startsWith(u"dataset:")) {
        data = data.mid(8);
    } else if (data.contains(u'/')) {
        data = QFileInfo(data).fileName();
    }
    const std::string part = readText(record, "split");
    if (part == "training") return EvaluationsPanel::tr("%1, trained on").arg(data);
    if (part == "all") return EvaluationsPanel::tr("%1, all of it").arg(data);
    return EvaluationsPanel::tr("%1, held back").arg(data);
}

/// The first column takes what the others leave.
void stretchFirst(QTableWidget* table) {
    table->horizontalHeader()->setStretchLastSection(false);
    table->horizontalHeader()->setSectionResizeMode(0, QHeaderView::Stretch);
}

}  // namespace

QTableWidget* makeClassFigures(const char* object, QWidget* parent) {
    const auto tr = [](const char* text) { return EvaluationsPanel::tr(text); };
    QTableWidget* table = panelTable({{tr("Class")},
                                      {tr("Samples"), 76, true},
                                      {tr("Precision"), 80, true},
                                      {tr("Recall"), 72, true},
                                      {tr("F1"), 68, true}},
                                     tr("Figures of each class"), object, parent);
    stretchFirst(table);
    return table;
}

void showClassFigures(QTableWidget* table, const Json& classes) {
    constexpr int kMostRows = 12;
    table->setRowCount(static_cast<int>(classes.size()));
    int row = 0;
    for (const Json& one : classes) {
        putCell(table, row, 0, readString(one, "name"));
        putCell(table, row, 1, formatExact(readInteger(one, "samples")));
        putCell(table, row, 2, shareText(one, "precision"), exactShare(one, "precision"));
        putCell(table, row, 3, shareText(one, "recall"), exactShare(one, "recall"));
        putCell(table, row, 4, shareText(one, "f1"), exactShare(one, "f1"));
        ++row;
    }
    fitRows(table, kMostRows);
}

EvaluationsPanel::EvaluationsPanel(QWidget* parent) : QWidget(parent) {
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(Theme::current().space(1));
    m_none = new TextLabel(tr("Not evaluated yet. What you evaluate it on is kept here with the figures."),
                           TextStyle::Body, Role::Muted, this);
    m_none->setWordWrap(true);
    column->addWidget(m_none);
    m_table = panelTable({{tr("Data")},
                          {tr("Accuracy"), 92, true},
                          {tr("Within five"), 100, true},
                          {tr("Loss"), 80, true},
                          {tr("Samples"), 88, true},
                          {tr("When"), 116}},
                         tr("Evaluations"), "modelEvaluations", this);
    m_table->setSelectionMode(QAbstractItemView::SingleSelection);
    stretchFirst(m_table);
    column->addWidget(m_table);
    m_told = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    m_told->setObjectName(QStringLiteral("modelEvaluationLabel"));
    m_told->setWordWrap(true);
    column->addWidget(m_told);
    m_classes = makeClassFigures("modelEvaluationClasses", this);
    column->addWidget(m_classes);
    m_evaluate = new QuietButton(tr("Evaluate"), QStringLiteral("check"), this);
    m_evaluate->setObjectName(QStringLiteral("modelEvaluateButton"));
    column->addWidget(m_evaluate, 0, Qt::AlignLeft);
    connect(m_table, &QTableWidget::itemSelectionChanged, this, &EvaluationsPanel::showChosen);
    connect(m_evaluate, &QuietButton::clicked, this, &EvaluationsPanel::evaluateRequested);
    showChosen();
}

void EvaluationsPanel::setEvaluations(const Json& records, bool possible) {
    m_evaluate->setVisible(possible);
    m_none->setVisible(records.empty());
    if (records == m_records) return;
    m_records = records;
    m_table->clearSelection();
    m_table->setRowCount(static_cast<int>(m_records.size()));
    int row = static_cast<int>(m_records.size());
    for (const Json& record : m_records) {
        --row;
        const QString named = readString(record, "dataset");
        putCell(m_table, row, kData, dataText(record), named.contains(u'/') ? named : QString());
        putCell(m_table, row, kAccuracy, shareText(record, "accuracy"), exactShare(record, "accuracy"));
        putCell(m_table, row, kTopFive, shareText(record, "top5"), exactShare(record, "top5"));
        const Json* loss = member(record, "loss");
        const auto value = loss ? base::jsonToNumber(*loss) : std::nullopt;
        putCell(m_table, row, kLoss, value ? formatNumber(*value) : QStringLiteral("–"),
                value ? exactNumber(*value) : QString());
        const std::int64_t samples = readInteger(record, "samples");
        putCell(m_table, row, kSamples, formatCount(samples), formatExact(samples));
        const std::int64_t at = readTime(record, "created_at");
        putCell(m_table, row, kWhen, formatAgo(at), formatTime(at));
    }
    fitRows(m_table);
    showChosen();
    fold();
}

void EvaluationsPanel::showChosen() {
    const QModelIndexList chosen = m_table->selectionModel()->selectedRows();
    m_told->setVisible(!m_records.empty());
    if (chosen.isEmpty()) {
        m_told->setText(tr("Choose one to see how well it does on each class."));
        showClassFigures(m_classes, Json::array());
        return;
    }
    const Json& record = m_records.at(m_records.size() - 1 - static_cast<std::size_t>(chosen.first().row()));
    QString told = tr("%Ln sample(s)", nullptr, static_cast<int>(readInteger(record, "samples")));
    if (const Json* five = member(record, "top5"); five && five->is_number())
        told += tr(", right within five classes %1").arg(formatPercent(five->get<double>()));
    told += tr("; on %1, in %2")
                .arg(readString(record, "device"),
                     formatDuration(static_cast<std::int64_t>(readNumber(record, "seconds") * 1e9)));
    if (const auto bad = static_cast<int>(readInteger(record, "bad_count")); bad > 0)
        told += tr("; %Ln file(s) could not be read and are not counted", nullptr, bad);
    m_told->setText(told);
    showClassFigures(m_classes, readArray(record, "classes"));
}

/// Where larger text leaves too little for what the data are called, what the line below tells as well goes.
void EvaluationsPanel::fold() {
    int room = width() - Theme::current().scaled(kShortestData);
    for (const int column : {kAccuracy, kLoss, kWhen, kTopFive, kSamples}) {
        // A hidden section has no width; what it gets back is kept by the header.
        if (m_table->isColumnHidden(column)) m_table->showColumn(column);
        room -= m_table->columnWidth(column);
        m_table->setColumnHidden(column, room < 0 && (column == kTopFive || column == kSamples));
    }
}

void EvaluationsPanel::resizeEvent(QResizeEvent* event) {
    QWidget::resizeEvent(event);
    fold();
}

}  // namespace trainyard::ui
