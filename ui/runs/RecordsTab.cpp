#include "ui/runs/RecordsTab.h"

#include <QClipboard>
#include <QGuiApplication>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QImageReader>
#include <QPlainTextEdit>
#include <QSlider>
#include <QToolButton>
#include <QTreeWidget>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>

#include "core/base/Files.h"
#include "core/commands/Session.h"
#include "core/store/Reader.h"
#include "ui/forms/FieldEditors.h"
#include "ui/runs/PictureView.h"
#include "ui/runs/Pictures.h"
#include "ui/runs/RecordTable.h"
#include "ui/seams/Questions.h"
#include "ui/shell/Icons.h"
#include "ui/shell/Shell.h"
#include "ui/tryit/TryItParts.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/FlowLayout.h"
#include "ui/widgets/Format.h"
#include "ui/widgets/Splitter.h"
#include "ui/widgets/Tables.h"

namespace trainyard::ui {

using base::Result;

namespace {

constexpr int kRecordKeyRole = Qt::UserRole + 1;
constexpr int kRecordSearchFrom = 8;        ///< Fewer names need no search.
constexpr std::size_t kMostMapSteps = 160;  ///< Of the map over all steps.
constexpr int kMostListedSamples = 500;
constexpr double kButtonZoomStep = 1.25;

struct RecordLook {
    const char* kind;
    const char* icon;
    const char* word;
};
constexpr RecordLook kRecordLooks[] = {
    {"image", "image", QT_TRANSLATE_NOOP("trainyard::ui::RecordsTab", "Picture")},
    {"table", "grid", QT_TRANSLATE_NOOP("trainyard::ui::RecordsTab", "Table")},
    {"histogram", "chart", QT_TRANSLATE_NOOP("trainyard::ui::RecordsTab", "Histogram")},
    {"text", "notes", QT_TRANSLATE_NOOP("trainyard::ui::RecordsTab", "Text")}};

/// By its name: one that can be shown small.
bool isPictureName(const QString& path) {
    static const QList<QByteArray> formats = QImageReader::supportedImageFormats();
    return formats.contains(path.section(u'.', -1).toLower().toLatin1());
}

const RecordLook& recordLook(const std::string& kind) {
    const auto* found = std::find_if(std::begin(kRecordLooks), std::end(kRecordLooks),
                                     [&](const RecordLook& one) { return kind == one.kind; });
    return found == std::end(kRecordLooks) ? kRecordLooks[3] : *found;
}

}  // namespace

RecordsTab::RecordsTab(Shell& shell, QWidget* parent)
    : QWidget(parent), m_shell(shell), m_table(std::make_shared<TableContent>()) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(theme.space(4), theme.space(2), theme.space(4), theme.space(3));
    m_splitter = new Splitter(Qt::Horizontal, this);
    m_splitter->setFoldBelow(theme.scaled(620));
    m_splitter->addWidget(buildList());
    m_splitter->addWidget(buildRecord());
    m_splitter->setSizes({theme.scaled(260), theme.scaled(800)});
    m_splitter->setStretchFactor(0, 0);
    m_splitter->setStretchFactor(1, 1);
    m_splitter->setChildrenCollapsible(false);
    column->addWidget(m_splitter, 1);
    display({});
}

QWidget* RecordsTab::buildList() {
    auto* side = new QWidget(m_splitter);
    auto* column = new QVBoxLayout(side);
    column->setContentsMargins(0, 0, Theme::current().space(1), 0);
    m_search = new SearchField(tr("Find a name"), side);
    m_search->lineEdit()->setObjectName(QStringLiteral("recordSearchLine"));
    m_search->lineEdit()->setAccessibleName(tr("Find a name"));
    column->addWidget(m_search);
    m_tree = new QTreeWidget(side);
    m_tree->setObjectName(QStringLiteral("recordTree"));
    m_tree->setColumnCount(2);
    m_tree->setHeaderLabels({tr("Name"), tr("Steps")});
    m_tree->headerItem()->setTextAlignment(1, Qt::AlignRight | Qt::AlignVCenter);
    styleTree(m_tree, tr("Names of what was reported"));
    m_tree->setTextElideMode(Qt::ElideMiddle);
    m_tree->setRootIsDecorated(false);
    m_tree->header()->setStretchLastSection(false);
    m_tree->header()->setSectionResizeMode(0, QHeaderView::Stretch);
    m_tree->setColumnWidth(1, Theme::current().scaled(64));
    m_tree->setMinimumWidth(Theme::current().scaled(150));
    column->addWidget(m_tree, 1);
    connect(m_search, &SearchField::edited, this, &RecordsTab::listSeries);
    connect(m_tree, &QTreeWidget::currentItemChanged, this, [this](QTreeWidgetItem* item) {
        if (item) chooseSeries(item->data(0, kRecordKeyRole).toString());
    });
    return side;
}

QWidget* RecordsTab::buildRecord() {
    const Theme& theme = Theme::current();
    auto* side = new QWidget(m_splitter);
    auto* column = new QVBoxLayout(side);
    column->setContentsMargins(theme.space(2), 0, 0, 0);
    column->setSpacing(theme.space(1));
    m_title = new ElidedLabel({}, TextStyle::Section, Role::Text, side);
    m_title->setObjectName(QStringLiteral("recordTitleLabel"));
    m_title->setElideMode(Qt::ElideMiddle);
    column->addWidget(m_title);
    m_description = new TextLabel({}, TextStyle::Secondary, Role::Muted, side);
    m_description->setObjectName(QStringLiteral("recordDescriptionLabel"));
    m_description->setWordWrap(true);
    column->addWidget(m_description);

    m_steps = new QWidget(side);
    auto* steps = new QHBoxLayout(m_steps);
    steps->setContentsMargins(0, 0, 0, 0);
    m_previous = new IconButton(QStringLiteral("chevron-left"), tr("Previous step"), m_steps);
    m_previous->setObjectName(QStringLiteral("recordPreviousButton"));
    m_slider = new QSlider(Qt::Horizontal, m_steps);
    m_slider->setObjectName(QStringLiteral("recordSlider"));
    m_slider->setAccessibleName(tr("Step"));
    m_slider->setPageStep(1);
    m_next = new IconButton(QStringLiteral("chevron-right"), tr("Next step"), m_steps);
    m_next->setObjectName(QStringLiteral("recordNextButton"));
    steps->addWidget(m_previous);
    steps->addWidget(m_slider, 1);
    steps->addWidget(m_next);
    auto* where = new QHBoxLayout;
    where->setSpacing(theme.space(2));
    where->addWidget(m_steps, 1);
    m_place = new ElidedLabel({}, TextStyle::Secondary, Role::Muted, side);
    m_place->setObjectName(QStringLiteral("recordPlaceLabel"));
    where->addWidget(m_place);
    column->addLayout(where);

    m_bar = new QWidget(side);
    auto* flow = new FlowLayout(m_bar, theme.space(1), theme.space(0));
    const auto button = [&](const QString& text, const char* iconName, const char* object, const QString& hint) {
        auto* made = new QuietButton(text, QString::fromLatin1(iconName), m_bar);
        made->setObjectName(QString::fromLatin1(object));
        made->setToolTip(hint);
        flow->addWidget(made);
        return made;
    };
    m_smaller = new IconButton(QStringLiteral("minus"), tr("Smaller (-)"), m_bar);
    m_larger = new IconButton(QStringLiteral("plus"), tr("Larger (+)"), m_bar);
    m_larger->setObjectName(QStringLiteral("recordLargerButton"));
    flow->addWidget(m_smaller);
    flow->addWidget(m_larger);
    m_fit = button(tr("Fit"), "zoom-reset", "recordFitButton", tr("The whole picture (0)"));
    m_pixels = button(tr("Pixel by pixel"), "grid", "recordPixelsButton", tr("In its own size (1)"));
    m_zoom = new TextLabel({}, TextStyle::Secondary, Role::Muted, m_bar);
    m_zoom->setObjectName(QStringLiteral("recordZoomLabel"));
    m_zoom->setMinimumHeight(theme.controlHeight());
    flow->addWidget(m_zoom);
    m_cells = new SegmentedControl(m_bar);
    m_cells->setObjectName(QStringLiteral("recordCellsControl"));
    m_cells->setAccessibleName(tr("What stands in the cells"));
    m_cells->addSegment(tr("% of the true class"));
    m_cells->addSegment(tr("Counts"));
    m_cells->addSegment(tr("As a table"));
    flow->addWidget(m_cells);
    m_copy = button(tr("Copy as CSV"), "copy", "recordCopyButton", tr("The whole table in the order shown"));
    m_save =
        button(tr("Save as CSV…"), "download", "recordSaveButton", tr("The whole table in the order shown, as a file"));
    m_sum = new TextLabel({}, TextStyle::Secondary, Role::Muted, m_bar);
    m_sum->setObjectName(QStringLiteral("recordSumLabel"));
    m_sum->setMinimumHeight(theme.controlHeight());
    flow->addWidget(m_sum);
    column->addWidget(m_bar);
    m_error = new InlineError(side);
    m_error->setObjectName(QStringLiteral("recordError"));
    m_error->clear();
    column->addWidget(m_error);

    m_picture = new PictureView(side);
    m_picture->setObjectName(QStringLiteral("recordPicture"));
    m_picture->setAccessibleName(tr("The picture"));
    m_rows = new RecordTable(side);
    m_rows->setObjectName(QStringLiteral("recordTable"));
    m_histogram = new HistogramChart(side);
    m_histogram->setObjectName(QStringLiteral("recordHistogram"));
    m_histogram->setAccessibleName(tr("Histogram"));
    m_text = new QPlainTextEdit(side);
    m_text->setObjectName(QStringLiteral("recordText"));
    m_text->setReadOnly(true);
    m_text->setTabChangesFocus(true);
    m_text->setFont(theme.font(TextStyle::Mono));
    m_text->setAccessibleName(tr("The text"));
    m_nothing = new EmptyState(QStringLiteral("eye-off"), tr("Nothing to see"), {}, side);
    m_nothing->setObjectName(QStringLiteral("recordNothing"));
    const QList<QWidget*> parts{m_picture, m_rows, m_histogram, m_text, m_nothing, buildMatrix()};
    for (QWidget* part : parts) column->addWidget(part, 1);

    connect(m_slider, &QSlider::valueChanged, this,
            [this](int value) { chooseIndex(static_cast<std::size_t>(value)); });
    connect(m_previous, &IconButton::clicked, this, [this] { m_slider->setValue(m_slider->value() - 1); });
    connect(m_next, &IconButton::clicked, this, [this] { m_slider->setValue(m_slider->value() + 1); });
    connect(m_smaller, &IconButton::clicked, this, [this] { m_picture->zoomBy(1 / kButtonZoomStep); });
    connect(m_larger, &IconButton::clicked, this, [this] { m_picture->zoomBy(kButtonZoomStep); });
    connect(m_fit, &QuietButton::clicked, m_picture, &PictureView::fit);
    connect(m_pixels, &QuietButton::clicked, this, [this] { m_picture->zoomTo(1); });
    connect(m_picture, &PictureView::zoomChanged, this, [this](double zoom) {
        const QImage& picture = m_picture->picture();
        m_zoom->setText(
            tr("%1 × %2 pixels · %3 %").arg(picture.width()).arg(picture.height()).arg(std::lround(100 * zoom)));
        m_fit->setEnabled(!m_picture->fits());
        m_pixels->setEnabled(zoom != 1);
        m_bar->layout()->invalidate();
    });
    connect(m_copy, &QuietButton::clicked, this, &RecordsTab::copyTable);
    connect(m_save, &QuietButton::clicked, this, &RecordsTab::saveTable);
    connect(m_cells, &SegmentedControl::picked, this, [this](int index) {
        m_matrix->setShowCounts(index == 1);
        display(m_content);
    });
    connect(m_histogram, &HistogramChart::stepChosen, this, [this](qint64 step) {
        const RecordSeries* series = current();
        if (!series) return;
        for (std::size_t i = 0; i < series->places.size(); ++i) {
            if (series->places[i].step == step) return m_slider->setValue(static_cast<int>(i));
        }
    });
    return side;
}

QWidget* RecordsTab::buildMatrix() {
    const Theme& theme = Theme::current();
    m_matrixPart = new Splitter(Qt::Horizontal, this);
    m_matrixPart->setFoldBelow(theme.scaled(560));
    m_matrix = new ConfusionMatrix(m_matrixPart);
    m_matrix->setObjectName(QStringLiteral("confusionMatrix"));
    m_matrix->setAccessibleName(tr("Confusion matrix"));
    m_matrixPart->addWidget(m_matrix);
    auto* side = new QWidget(m_matrixPart);
    auto* column = new QVBoxLayout(side);
    column->setContentsMargins(theme.space(2), 0, 0, 0);
    column->setSpacing(theme.space(1));
    m_meaning = new TextLabel({}, TextStyle::Body, Role::Text, side);
    m_meaning->setObjectName(QStringLiteral("confusionMeaningLabel"));
    m_meaning->setWordWrap(true);
    m_meaning->setAlignment(Qt::AlignTop | Qt::AlignLeading);
    m_meaning->setTextInteractionFlags(Qt::TextSelectableByMouse);
    column->addWidget(m_meaning);
    m_samples = new PictureList(false, tr("Samples of the cell"), side);
    m_samples->setObjectName(QStringLiteral("confusionSamples"));
    m_samples->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    m_samples->setWordWrap(true);
    column->addWidget(m_samples, 2);
    m_sample = new PictureView(side);
    m_sample->setAccessibleName(tr("The sample"));
    column->addWidget(m_sample, 3);
    column->addStretch(0);
    side->setMinimumWidth(theme.scaled(160));
    m_matrixPart->addWidget(side);
    m_matrixPart->setSizes({theme.scaled(520), theme.scaled(340)});
    m_matrixPart->setStretchFactor(0, 3);
    m_matrixPart->setStretchFactor(1, 2);
    m_matrixPart->setChildrenCollapsible(false);
    connect(m_matrix, &ConfusionMatrix::cellChosen, this, &RecordsTab::showCell);
    connect(m_samples, &QListWidget::currentItemChanged, this, &RecordsTab::showSample);
    return m_matrixPart;
}

const RecordSeries* RecordsTab::current() const {
    const auto found =
        std::find_if(m_series.begin(), m_series.end(), [&](const RecordSeries& one) { return one.key() == m_key; });
    return found == m_series.end() ? nullptr : &*found;
}

bool RecordsTab::setDetail(const RunDetail& detail, int attempt) {
    const bool other = detail.row.id != m_run;
    m_run = detail.row.id;
    std::vector<RecordSeries> series = recordSeries(detail.records, attempt);
    if (!other && series == m_series) return !m_series.empty();
    m_series = std::move(series);
    if (other) {
        m_search->setText({});
        m_key.clear();
        m_newest = true;
    }
    if (!current()) m_key = m_series.empty() ? QString() : m_series.front().key();
    m_stale = true;
    listSeries();
    showPlace();
    load();
    return !m_series.empty();
}

bool RecordsTab::open(const QString& name) {
    const auto found = std::find_if(m_series.begin(), m_series.end(),
                                    [&](const RecordSeries& one) { return fromUtf8(one.name) == name; });
    if (found == m_series.end()) return false;
    m_search->setText({});
    chooseSeries(found->key());
    listSeries();
    return true;
}

void RecordsTab::listSeries() {
    const QSignalBlocker quiet(m_tree);
    m_search->setVisible(static_cast<int>(m_series.size()) >= kRecordSearchFrom || !m_search->text().isEmpty());
    m_tree->clear();
    const QString wanted = m_search->text().trimmed();
    QList<QTreeWidgetItem*> items;
    QTreeWidgetItem* chosen = nullptr;
    for (const RecordSeries& one : m_series) {
        const QString title = one.title();
        if (!wanted.isEmpty() && !title.contains(wanted, Qt::CaseInsensitive)) continue;
        const RecordLook& look = recordLook(one.kind);
        auto* item = new QTreeWidgetItem;
        item->setText(0, title);
        item->setIcon(0, icon(QString::fromLatin1(look.icon), Role::Muted));
        item->setToolTip(0, QStringLiteral("%1 · %2").arg(title, tr(look.word)));
        item->setData(0, Qt::AccessibleTextRole, QStringLiteral("%1, %2").arg(title, tr(look.word)));
        item->setData(0, kRecordKeyRole, one.key());
        item->setText(1, formatExact(static_cast<std::int64_t>(one.places.size())));
        item->setData(1, NumberRole, true);
        item->setData(1, MutedRole, true);
        if (one.key() == m_key) chosen = item;
        items << item;
    }
    m_tree->addTopLevelItems(items);
    if (chosen) {
        m_tree->setCurrentItem(chosen);
        m_tree->scrollToItem(chosen);
    }
}

void RecordsTab::chooseSeries(const QString& key) {
    if (key == m_key) return;
    m_key = key;
    m_histogramsOf.clear();
    m_histogram->setSteps({});
    m_newest = true;
    m_stale = true;
    showPlace();
    load();
}

void RecordsTab::chooseIndex(std::size_t index) {
    const RecordSeries* series = current();
    if (!series || index >= series->places.size()) return;
    m_newest = index + 1 == series->places.size();
    if (index == m_index && !m_stale) return;
    m_index = index;
    m_stale = true;
    showPlace();
    load();
}

void RecordsTab::showPlace() {
    const RecordSeries* series = current();
    m_title->setText(series ? series->title() : QString());
    if (!series) return;
    const std::size_t count = series->places.size();
    if (m_newest || m_index >= count) m_index = count - 1;
    {
        const QSignalBlocker quiet(m_slider);
        m_slider->setRange(0, static_cast<int>(count) - 1);
        m_slider->setValue(static_cast<int>(m_index));
    }
    m_steps->setVisible(count > 1 && !(m_content.table.grew && !m_stale));
    m_previous->setEnabled(m_index > 0);
    m_next->setEnabled(m_index + 1 < count);
    const RecordPlace& place = series->places[m_index];
    QStringList parts{tr("Step %1").arg(formatExact(place.step))};
    if (count > 1)
        parts << tr("%1 of %2")
                     .arg(formatExact(static_cast<std::int64_t>(m_index) + 1),
                          formatExact(static_cast<std::int64_t>(count)));
    parts << formatAgo(place.at);
    if (series->places.back().attempt > 1) parts << tr("attempt %1").arg(place.attempt);
    m_place->setText(parts.join(QStringLiteral(" · ")));
    m_place->setToolTip(formatTime(place.at));
}

void RecordsTab::showEvent(QShowEvent* event) {
    QWidget::showEvent(event);
    load();
}

void RecordsTab::load() {
    const RecordSeries* series = current();
    commands::Session* session = m_shell.session();
    if (!series || !m_stale || !isVisible() || !session) return;
    const RecordPlace place = series->places[m_index];
    // The newest record of a series that grows elsewhere is the same one still.
    if (m_shownKey == m_key && place == m_shownPlace && m_content.kind != RecordContent::Kind::Nothing) {
        m_stale = false;
        showPlace();
        return loadHistograms();
    }
    const base::Path outputs = session->workspace().layout.outputs(m_run);
    session->query(
        this, QStringLiteral("record"),
        [run = m_run, one = *series, index = m_index, outputs](store::Reader& reader) {
            return readRecord(reader, run, one, index, outputs);
        },
        [this, key = m_key, place](Result<RecordContent> content) {
            if (key != m_key) return;
            if (!content) {
                if (content.error().code == "canceled") return;
                m_error->setError(content.error());
                return display({});
            }
            m_error->clear();
            m_stale = false;
            m_shownKey = key;
            m_shownPlace = place;
            display(std::move(*content));
            showPlace();
            loadHistograms();
        });
}

void RecordsTab::loadHistograms() {
    const RecordSeries* series = current();
    const QString wanted = m_key + u'\n' + QString::number(series ? series->places.size() : 0);
    if (!series || wanted == m_histogramsOf) return;
    m_histogramsOf = wanted;
    if (m_content.kind != RecordContent::Kind::Histogram) return;
    if (series->places.size() < 2) return m_histogram->setSteps({});
    m_shell.session()->query(
        this, QStringLiteral("record.histograms"),
        [run = m_run, one = *series](store::Reader& reader) { return readHistograms(reader, run, one, kMostMapSteps); },
        [this, wanted](Result<std::vector<HistogramData>> steps) {
            if (steps && wanted == m_histogramsOf) m_histogram->setSteps(std::move(*steps));
        });
}

void RecordsTab::display(RecordContent content) {
    m_content = std::move(content);
    const RecordContent::Kind kind = m_content.kind;
    const bool matrix = kind == RecordContent::Kind::Confusion && m_cells->current() != 2;
    const bool table = kind == RecordContent::Kind::Table || (kind == RecordContent::Kind::Confusion && !matrix);
    m_description->setText(m_content.description);
    m_description->setVisible(!m_content.description.isEmpty());
    if (kind == RecordContent::Kind::Picture) m_picture->setPicture(m_content.picture);
    if (kind == RecordContent::Kind::Table || kind == RecordContent::Kind::Confusion) {
        m_table = std::make_shared<TableContent>(m_content.table);
        m_rows->setTable(m_table);
    }
    if (kind == RecordContent::Kind::Histogram) m_histogram->setData(m_content.histogram);
    if (kind == RecordContent::Kind::Text) m_text->setPlainText(m_content.text);
    if (kind == RecordContent::Kind::Nothing) m_nothing->setTexts(tr("Nothing to see"), m_content.text);
    if (kind == RecordContent::Kind::Confusion) {
        m_matrix->setData(m_content.confusion);
        showCell(m_matrix->chosenRow(), m_matrix->chosenColumn());
    }
    m_picture->setVisible(kind == RecordContent::Kind::Picture);
    m_rows->setVisible(table);
    m_histogram->setVisible(kind == RecordContent::Kind::Histogram);
    m_text->setVisible(kind == RecordContent::Kind::Text);
    m_nothing->setVisible(kind == RecordContent::Kind::Nothing && !m_content.text.isEmpty());
    m_matrixPart->setVisible(matrix);
    for (QWidget* one : {static_cast<QWidget*>(m_smaller), static_cast<QWidget*>(m_larger),
                         static_cast<QWidget*>(m_fit), static_cast<QWidget*>(m_pixels), static_cast<QWidget*>(m_zoom)})
        one->setVisible(kind == RecordContent::Kind::Picture);
    m_cells->setVisible(kind == RecordContent::Kind::Confusion);
    m_copy->setVisible(table);
    m_save->setVisible(table);
    QString sum;
    if (matrix) sum = m_content.confusion.summary();
    if (table) {
        sum = tr("%n row(s)", nullptr, static_cast<int>(m_table->rows.size()));
        if (m_table->cut) sum += QStringLiteral(" · ") + tr("only its beginning is shown");
    }
    m_sum->setText(sum);
    m_sum->setVisible(!sum.isEmpty());
    m_bar->setVisible(kind == RecordContent::Kind::Picture || matrix || table);
    m_bar->layout()->invalidate();
}

void RecordsTab::showCell(int row, int column) {
    const ConfusionData& matrix = m_matrix->data();
    const bool chosen = row >= 0 && column >= 0;
    m_samples->clearEntries();
    int more = 0;
    commands::Session* session = m_shell.session();
    if (chosen && session) {
        const base::Path outputs = session->workspace().layout.outputs(m_run);
        for (const ConfusionData::Sample& one : matrix.samples) {
            if (one.row != row || one.column != column) continue;
            if (m_samples->count() == kMostListedSamples) {
                ++more;
                continue;
            }
            // The folder as well: it is the class.
            QString text = one.path.section(u'/', -2);
            if (one.probability >= 0) text += u'\n' + tr("%1 sure").arg(formatPercent(one.probability));
            if (isPictureName(one.path)) {
                // An absolute path stays as it is.
                m_samples->addEntry({fromUtf8((outputs / one.path.toStdString()).string()), QImage(), text, one.path});
            } else {
                auto* item = new QListWidgetItem(text, m_samples);
                item->setToolTip(one.path);
            }
        }
    }
    QString text = chosen ? matrix.meaning(row, column) : tr("Choose a cell to see what it means.");
    if (chosen && m_samples->count() == 0 && matrix.count(row, column) > 0 && !matrix.samples.empty())
        text += u' ' + tr("The run named none of them.");
    if (more > 0) text += u' ' + tr("The first %1 of them are listed.").arg(kMostListedSamples);
    m_meaning->setText(text);
    m_samples->setVisible(m_samples->count() > 0);
    m_sample->hide();
    if (m_samples->count() > 0) m_samples->setCurrentRow(0);
}

void RecordsTab::showSample() {
    const base::Path file(m_samples->fileOf(m_samples->currentRow()).toStdString());
    commands::Session* session = m_shell.session();
    if (file.empty() || !session) return m_sample->hide();
    session->query(
        this, QStringLiteral("record.sample"),
        [file](store::Reader&) -> Result<QImage> {
            const auto bytes = base::readFileRange(file, 0, kMostPictureBytes + 1);
            if (!bytes) return bytes.error();
            return decodePicture(QByteArray::fromStdString(*bytes));
        },
        // A sample that lies only where the run trained is listed without its picture.
        [this](const Result<QImage>& picture) {
            m_sample->setVisible(picture.ok());
            if (picture) m_sample->setPicture(*picture);
        });
}

void RecordsTab::copyTable() {
    m_shell.session()->query(
        this, QStringLiteral("record.copy"),
        [table = m_table, order = m_rows->records().order()](store::Reader&) -> Result<QString> {
            return csvOf(*table, order);
        },
        [this](const Result<QString>& text) {
            if (!text) return;
            QGuiApplication::clipboard()->setText(*text);
            m_shell.notice(tr("The table was copied."));
        });
}

void RecordsTab::saveTable() {
    const RecordSeries* series = current();
    QString name = series ? series->title() : tr("table");
    name.replace(u'/', u'-');
    m_shell.questions().chooseSaveFile(this, tr("Save the table"), name + QStringLiteral(".csv"),
                                       {tr("CSV files (*.csv)")}, [this](const QString& file) {
                                           commands::Session* session = m_shell.session();
                                           if (file.isEmpty() || !session) return;
                                           session->query(
                                               this, QStringLiteral("record.save"),
                                               [table = m_table, order = m_rows->records().order(),
                                                path = file.toStdString()](store::Reader&) -> Result<bool> {
                                                   const base::Status written = base::writeFileAtomically(
                                                       path, csvOf(*table, order).toStdString());
                                                   if (!written.ok()) return written.error();
                                                   return true;
                                               },
                                               [this, file](const Result<bool>& written) {
                                                   if (!written) return m_shell.warn(written.error());
                                                   m_shell.notice(tr("Saved as %1.").arg(file));
                                               });
                                       });
}

}  // namespace trainyard::ui
