#include "ui/runs/NewRunPanels.h"

#include <QComboBox>
#include <QGridLayout>
#include <QHelpEvent>
#include <QPainter>
#include <QPainterPath>
#include <QPointer>
#include <QThreadPool>
#include <QToolTip>
#include <QVBoxLayout>
#include <algorithm>

#include "core/commands/Session.h"
#include "core/spec/DatasetLocation.h"
#include "ui/datasets/Thumbnails.h"
#include "ui/forms/FieldRow.h"
#include "ui/forms/JsonRead.h"
#include "ui/shell/Shell.h"
#include "ui/shell/Theme.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Error;
using base::Json;

namespace {
constexpr int kPicture = 48;
constexpr int kCellWidth = 64;
constexpr int kCellHeight = 72;
constexpr int kMostCells = 30;
constexpr int kPauseMillis = 250;
constexpr const char* kIdxFiles[] = {"train_images", "train_labels", "val_images", "val_labels"};

const char* opName(spec::LayerOp op) {
    switch (op) {
    case spec::LayerOp::Input: return QT_TRANSLATE_NOOP("trainyard::ui::ModelPanel", "Input");
    case spec::LayerOp::Conv2d: return QT_TRANSLATE_NOOP("trainyard::ui::ModelPanel", "Convolution");
    case spec::LayerOp::BatchNorm2d: return QT_TRANSLATE_NOOP("trainyard::ui::ModelPanel", "Batch norm");
    case spec::LayerOp::ReLU: return QT_TRANSLATE_NOOP("trainyard::ui::ModelPanel", "ReLU");
    case spec::LayerOp::Hardswish: return QT_TRANSLATE_NOOP("trainyard::ui::ModelPanel", "Hardswish");
    case spec::LayerOp::Hardsigmoid: return QT_TRANSLATE_NOOP("trainyard::ui::ModelPanel", "Hardsigmoid");
    case spec::LayerOp::Multiply: return QT_TRANSLATE_NOOP("trainyard::ui::ModelPanel", "Multiply");
    case spec::LayerOp::MaxPool2d: return QT_TRANSLATE_NOOP("trainyard::ui::ModelPanel", "Max pool");
    case spec::LayerOp::GlobalAvgPool2d: return QT_TRANSLATE_NOOP("trainyard::ui::ModelPanel", "Average pool");
    case spec::LayerOp::Flatten: return QT_TRANSLATE_NOOP("trainyard::ui::ModelPanel", "Flatten");
    case spec::LayerOp::Linear: return QT_TRANSLATE_NOOP("trainyard::ui::ModelPanel", "Linear");
    case spec::LayerOp::Dropout: return QT_TRANSLATE_NOOP("trainyard::ui::ModelPanel", "Dropout");
    case spec::LayerOp::Add: return QT_TRANSLATE_NOOP("trainyard::ui::ModelPanel", "Add");
    }
    return "";
}

QImage pictureOf(const commands::DatasetPreview& preview, const std::string& bytes) {
    if (bytes.empty()) return {};
    const std::int64_t pixels = preview.height * preview.width;
    QImage image(static_cast<int>(preview.width), static_cast<int>(preview.height), QImage::Format_RGB888);
    for (int y = 0; y < preview.height; ++y) {
        uchar* line = image.scanLine(y);
        for (int x = 0; x < preview.width; ++x) {
            for (int c = 0; c < 3; ++c) {
                const std::int64_t plane = preview.channels >= 3 ? c : 0;
                line[3 * x + c] =
                    static_cast<uchar>(bytes[static_cast<std::size_t>(plane * pixels + y * preview.width + x)]);
            }
        }
    }
    return image;
}

QString shapeText(const std::vector<std::int64_t>& shape) {
    QStringList parts;
    for (const std::int64_t one : shape) parts << QString::number(one);
    return parts.join(QStringLiteral("×"));
}

/// A null one where it cannot be read.
std::vector<QImage> picturesOf(const std::vector<std::string>& paths) {
    std::vector<QImage> pictures;
    for (std::size_t i = 0; i < paths.size() && i < static_cast<std::size_t>(kMostCells); ++i)
        pictures.push_back(readThumbnail(fromUtf8(paths[i]), 2 * kPicture).image);
    return pictures;
}
}  // namespace

SampleStrip::SampleStrip(QWidget* parent) : QWidget(parent) {
    QSizePolicy policy(QSizePolicy::Expanding, QSizePolicy::Preferred);
    policy.setHeightForWidth(true);
    setSizePolicy(policy);
    setAccessibleName(tr("One sample of each class"));
}

void SampleStrip::setData(const commands::DatasetPreview& preview, const QStringList& names,
                          std::vector<QImage> pictures) {
    m_preview = preview;
    m_pictures = std::move(pictures);
    for (const std::string& bytes : preview.samples) m_pictures.push_back(pictureOf(preview, bytes));
    m_names = names;
    setAccessibleDescription(names.join(QStringLiteral(", ")));
    updateGeometry();
    update();
}

void SampleStrip::clear() { setData({}, {}); }

int SampleStrip::columns(int width) const { return std::max(1, width / kCellWidth); }

int SampleStrip::heightForWidth(int width) const {
    const int cells = std::min(static_cast<int>(m_pictures.size()), kMostCells);
    return (cells + columns(width) - 1) / columns(width) * kCellHeight;
}

QSize SampleStrip::sizeHint() const { return {5 * kCellWidth, heightForWidth(5 * kCellWidth)}; }

QRect SampleStrip::cell(int index) const {
    const int across = columns(width());
    const int cellWidth = width() / across;
    const int place = isRightToLeft() ? across - 1 - index % across : index % across;
    return {place * cellWidth, index / across * kCellHeight, cellWidth, kCellHeight};
}

void SampleStrip::paintEvent(QPaintEvent*) {
    const Theme& theme = Theme::current();
    QPainter painter(this);
    painter.setRenderHint(QPainter::Antialiasing);
    painter.setRenderHint(QPainter::SmoothPixmapTransform);
    const QFont small = theme.font(TextStyle::Secondary);
    painter.setFont(small);
    const int cells = std::min(static_cast<int>(m_pictures.size()), kMostCells);
    for (int i = 0; i < cells; ++i) {
        const QRect area = cell(i);
        const QRectF picture(area.center().x() - kPicture / 2.0, area.top(), kPicture, kPicture);
        QPainterPath clip;
        clip.addRoundedRect(picture, theme.smallRadius(), theme.smallRadius());
        painter.save();
        painter.setClipPath(clip);
        painter.fillRect(picture, theme.color(Role::Sunken));
        const QImage& image = m_pictures[static_cast<std::size_t>(i)];
        if (!image.isNull()) painter.drawImage(picture, image);
        painter.restore();
        painter.setPen(QPen(theme.color(Role::Border), 1));
        painter.drawPath(clip);
        const QString name = i < m_names.size() ? m_names[i] : QString::number(i);
        painter.setPen(theme.color(Role::Muted));
        painter.drawText(QRect(area.left(), area.top() + kPicture + 2, area.width(), kCellHeight - kPicture - 2),
                         Qt::AlignHCenter | Qt::AlignTop,
                         QFontMetrics(small).elidedText(name, Qt::ElideRight, area.width() - 4));
    }
}

bool SampleStrip::event(QEvent* event) {
    if (event->type() == QEvent::ToolTip) {
        const auto* help = static_cast<QHelpEvent*>(event);
        for (int i = 0; i < static_cast<int>(m_preview.perClass.size()); ++i) {
            if (!cell(i).contains(help->pos())) continue;
            const QString name = i < m_names.size() ? m_names[i] : tr("class %1").arg(i);
            QToolTip::showText(
                help->globalPos(),
                tr("%1: %2 training samples").arg(name, formatExact(m_preview.perClass[static_cast<std::size_t>(i)])),
                this);
            return true;
        }
    }
    return QWidget::event(event);
}

DatasetPanel::DatasetPanel(Shell& shell, QWidget* parent)
    : QWidget(parent), m_shell(shell), m_pool(new QThreadPool(this)) {
    m_pool->setMaxThreadCount(1);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(Theme::current().space(1));
    m_choice = new QWidget(this);
    auto* line = new QHBoxLayout(m_choice);
    line->setContentsMargins(0, 0, 0, 0);
    auto* label = new TextLabel(tr("Dataset"), TextStyle::Body, Role::Text, m_choice);
    label->setToolTip(tr("One that has a name and versions on the page Datasets, or files of your own"));
    m_box = new QComboBox(m_choice);
    m_box->setObjectName(QStringLiteral("datasetInput"));
    m_box->setAccessibleName(tr("Dataset"));
    m_box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    m_box->setMinimumContentsLength(6);
    label->setBuddy(m_box);
    layFieldLine(line, label, nullptr, m_box);
    column->addWidget(m_choice);
    m_summary = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    m_summary->setWordWrap(true);
    m_summary->setObjectName(QStringLiteral("datasetSummaryLabel"));
    m_strip = new SampleStrip(this);
    column->addWidget(m_strip);
    column->addWidget(m_summary);
    m_pause.setSingleShot(true);
    m_pause.setInterval(kPauseMillis);
    connect(&m_pause, &QTimer::timeout, this, &DatasetPanel::begin);
    connect(m_box, &QComboBox::activated, this,
            [this](int index) { Q_EMIT picked(m_box->itemData(index).toString()); });
    connect(shell.session(), &commands::Session::datasetsChanged, this, [this] {
        if (m_active) readNames();
        // Its newest version may be another one now.
        if (m_chosen.isEmpty()) return;
        m_key.clear();
        setDataset(Json(m_dataset));
    });
    showNames();
}

DatasetPanel::~DatasetPanel() { m_pool->waitForDone(); }

void DatasetPanel::setActive(bool active) {
    m_active = active;
    if (active) readNames();
}

void DatasetPanel::readNames() {
    m_shell.session()->start("dataset.list", Json::object(), this, [this](const base::Result<Json>& list) {
        if (!list) return;
        m_names.clear();
        for (const Json& one : readArray(*list, "datasets")) m_names << readString(one, "name");
        showNames();
    });
}

void DatasetPanel::showNames() {
    m_box->clear();
    m_box->addItem(tr("None: files named below"), QString());
    for (const QString& name : std::as_const(m_names)) m_box->addItem(name, name);
    if (!m_chosen.isEmpty() && m_box->findData(m_chosen) < 0) m_box->addItem(m_chosen, m_chosen);
    m_box->setCurrentIndex(std::max(0, m_box->findData(m_chosen)));
    m_choice->setVisible(m_box->count() > 1);
}

void DatasetPanel::setDataset(const Json& dataset) {
    m_dataset = dataset;
    const std::string place = readText(dataset, readText(dataset, "kind") == "images" ? "folder" : kIdxFiles[0]);
    QString chosen;
    if (spec::isDatasetLocation(place)) {
        if (const auto location = spec::parseDatasetLocation(place, "task.dataset"); location)
            chosen = fromUtf8(location->dataset.text());
    }
    if (chosen != m_chosen) {
        m_chosen = chosen;
        showNames();
    }
    QString key = readString(dataset, "kind");
    const bool folder = key == u"images";
    bool any = folder && !readText(dataset, "folder").empty();
    if (folder) {
        key += u'\n' + readString(dataset, "folder");
        for (const char* number : {"image_size", "val_fraction"}) {
            if (const auto found = dataset.find(number); found != dataset.end())
                key += u'\n' + fromUtf8(base::dumpJson(*found));
        }
    }
    for (const char* path : kIdxFiles) {
        if (folder) break;
        key += u'\n' + readString(dataset, path);
        any = any || !readText(dataset, path).empty();
    }
    QStringList names;
    for (const Json& name : readArray(dataset, "class_names")) {
        if (name.is_string()) names << fromUtf8(name.get<std::string>());
    }
    if (key == m_key) return show(names);
    m_key = key;
    ++m_generation;
    m_preview.reset();
    m_strip->clear();
    m_reading = any;
    m_summary->setLook(TextStyle::Secondary, Role::Muted);
    m_summary->setText(any      ? tr("Reading the files…")
                       : folder ? tr("Choose the folder, or fill in the sample.")
                                : tr("Choose the four files, or fill in the sample."));
    if (any) {
        m_pause.start();
    } else {
        m_pause.stop();
        Q_EMIT read({});
    }
}

void DatasetPanel::begin() {
    struct Answer {
        std::optional<commands::DatasetPreview> preview;
        std::vector<QImage> pictures;
        std::vector<Error> problems;
        QString elsewhere;
    };
    QPointer<DatasetPanel> guard(this);
    m_pool->start(
        [guard, dataset = m_dataset, root = m_shell.session()->workspace().layout.root, generation = m_generation] {
            auto answer = std::make_shared<Answer>();
            auto preview = commands::previewDataset(dataset, answer->problems, root);
            if (preview) answer->preview = std::move(*preview);
            if (!preview && preview.error().code == "data.elsewhere")
                answer->elsewhere = fromUtf8(preview.error().message);
            if (answer->preview) answer->pictures = picturesOf(answer->preview->samplePaths);
            // The pool is waited for by the destructor, so the panel is there while this runs.
            QMetaObject::invokeMethod(
                guard.data(),
                [guard, answer, generation] {
                    if (!guard || generation != guard->m_generation) return;
                    guard->m_reading = false;
                    guard->m_preview = std::move(answer->preview);
                    guard->m_pictures = std::move(answer->pictures);
                    guard->m_elsewhere = answer->elsewhere;
                    guard->show([&] {
                        QStringList names;
                        for (const Json& name : readArray(guard->m_dataset, "class_names")) {
                            if (name.is_string()) names << fromUtf8(name.get<std::string>());
                        }
                        return names;
                    }());
                    Q_EMIT guard->read(answer->problems);
                },
                Qt::QueuedConnection);
        });
}

void DatasetPanel::show(const QStringList& names) {
    if (m_reading) return;
    if (!m_preview) {
        if (m_key.section(u'\n', 1, 4).trimmed().isEmpty()) return;
        m_summary->setLook(TextStyle::Secondary, m_elsewhere.isEmpty() ? Role::Danger : Role::Muted);
        m_summary->setText(m_elsewhere.isEmpty() ? tr("The files cannot be used as they are.") : m_elsewhere);
        return;
    }
    m_summary->setLook(TextStyle::Secondary, Role::Muted);
    const commands::DatasetPreview& p = *m_preview;
    const QString color = p.channels == 1 ? tr("grey") : tr("%1 channels").arg(p.channels);
    m_summary->setText(tr("%1 training · %2 validation · %3×%4 %5 · %6 classes")
                           .arg(formatExact(p.training), formatExact(p.validation))
                           .arg(p.width)
                           .arg(p.height)
                           .arg(color)
                           .arg(p.classes));
    QStringList classes = names;
    if (!p.classNames.empty()) {
        classes.clear();
        for (const std::string& name : p.classNames) classes << fromUtf8(name);
    }
    m_strip->setData(p, classes, m_pictures);
}

ModelPanel::ModelPanel(QWidget* parent) : QWidget(parent) {
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(Theme::current().space(0));
    m_summary = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    m_summary->setWordWrap(true);
    m_summary->setObjectName(QStringLiteral("modelSummaryLabel"));
    m_more = new LinkButton({}, this);
    m_layers = new QWidget(this);
    m_grid = new QGridLayout(m_layers);
    m_grid->setContentsMargins(0, 0, 0, 0);
    m_grid->setHorizontalSpacing(Theme::current().space(2));
    m_grid->setVerticalSpacing(2);
    m_grid->setColumnStretch(0, 1);
    column->addWidget(m_summary);
    column->addWidget(m_more, 0, Qt::AlignLeft);
    column->addWidget(m_layers);
    m_more->hide();
    m_layers->hide();
    connect(m_more, &LinkButton::clicked, this, [this] {
        m_open = !m_open;
        showLayers();
    });
}

void ModelPanel::setModel(const std::string& family, const Json& options, const std::vector<std::int64_t>& inputShape,
                          std::int64_t classes) {
    auto table = spec::buildLayerTable(family, options, inputShape, classes);
    if (!table) {
        m_table.reset();
        m_summary->setText(tr("Cannot be built like this."));
        m_more->hide();
        m_layers->hide();
        Error error = table.error();
        error.field = error.field.starts_with("options.") ? "task.model." + error.field : "task.model.family";
        Q_EMIT refused({error});
        return;
    }
    m_table = std::move(*table);
    int weighted = 0;
    for (const spec::Layer& layer : m_table->layers) {
        if (layer.op == spec::LayerOp::Conv2d || layer.op == spec::LayerOp::Linear) ++weighted;
    }
    m_summary->setText(tr("%1 parameters · %2 multiply-adds a sample · %n layer(s) with weights", nullptr, weighted)
                           .arg(formatCount(m_table->parameters()), formatCount(m_table->multiplyAdds())));
    m_summary->setToolTip(tr("%1 parameters, %2 multiply-adds")
                              .arg(formatExact(m_table->parameters()), formatExact(m_table->multiplyAdds())));
    showLayers();
    Q_EMIT refused({});
}

void ModelPanel::showLayers() {
    m_more->setVisible(m_table.has_value());
    m_more->setText(m_open ? tr("Hide the layers") : tr("Show the layers"));
    m_layers->setVisible(m_open && m_table);
    while (QLayoutItem* item = m_grid->takeAt(0)) {
        item->widget()->hide();
        item->widget()->deleteLater();
        delete item;
    }
    if (!m_open || !m_table) return;
    int row = 0;
    for (const spec::Layer& layer : m_table->layers) {
        const QString name = layer.name.empty() ? QString() : fromUtf8(layer.name);
        auto* title = new ElidedLabel(tr(opName(layer.op)) + (name.isEmpty() ? QString() : QStringLiteral("  ") + name),
                                      TextStyle::Secondary, Role::Text, m_layers);
        auto* shape = new TextLabel(shapeText(layer.outShape), TextStyle::MonoSmall, Role::Muted, m_layers);
        auto* count = new TextLabel(layer.parameters > 0 ? formatExact(layer.parameters) : QString(),
                                    TextStyle::MonoSmall, Role::Text, m_layers);
        count->setAlignment(Qt::AlignRight | Qt::AlignVCenter);
        m_grid->addWidget(title, row, 0);
        m_grid->addWidget(shape, row, 1, Qt::AlignRight);
        m_grid->addWidget(count, row, 2);
        ++row;
    }
}

DistributionDrawing::DistributionDrawing(QWidget* parent) : QWidget(parent) {
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    setShape(1, 1, 0, true);
}

void DistributionDrawing::setShape(int nodes, int processes, int cores, bool here) {
    m_here = here;
    m_nodes = std::max(1, nodes);
    m_processes = std::max(1, processes);
    m_cores = cores;
    setAccessibleName(tr("%1 machine(s) with %2 process(es) each").arg(m_nodes).arg(m_processes));
    setToolTip(accessibleName());
    update();
}

void DistributionDrawing::paintEvent(QPaintEvent*) {
    const Theme& theme = Theme::current();
    QPainter painter(this);
    painter.setRenderHint(QPainter::Antialiasing);
    const int nodes = std::min(m_nodes, 3);
    constexpr int kGap = 8;
    const qreal nodeWidth =
        std::min<qreal>(theme.scaled(180), (width() - kGap * (nodes - 1)) / static_cast<qreal>(nodes));
    painter.setFont(theme.font(TextStyle::MonoSmall));
    for (int n = 0; n < nodes; ++n) {
        const qreal x = isRightToLeft() ? width() - (n + 1) * nodeWidth - n * kGap : n * (nodeWidth + kGap);
        const QRectF box(x + 0.5, 0.5, nodeWidth - 1, height() - 1.0);
        painter.setPen(QPen(theme.color(Role::Border), 1));
        painter.setBrush(theme.color(Role::Sunken));
        painter.drawRoundedRect(box, theme.radius(), theme.radius());
        painter.setPen(theme.color(Role::Muted));
        QString title = n == 2 && m_nodes > 3    ? tr("… %1 machines").arg(m_nodes)
                        : m_nodes == 1 && m_here ? tr("this machine")
                                                 : tr("machine %1").arg(n + 1);
        if (m_nodes == 1 && m_cores > 0) title += tr(" · %n core(s)", nullptr, m_cores);
        painter.drawText(box.adjusted(8, 4, -4, 0), Qt::AlignTop | (isRightToLeft() ? Qt::AlignRight : Qt::AlignLeft),
                         painter.fontMetrics().elidedText(title, Qt::ElideRight, static_cast<int>(box.width()) - 12));
        const int most = std::max(1, static_cast<int>((nodeWidth - 16) / 30));
        const int shown = std::min(m_processes, most);
        for (int p = 0; p < shown; ++p) {
            const QRectF rank(box.left() + 8 + p * 30, box.top() + 28, 26, 32);
            const bool rest = p == shown - 1 && m_processes > shown;
            painter.setPen(QPen(theme.color(Role::Accent), 1));
            painter.setBrush(theme.color(Role::AccentSoft));
            painter.drawRoundedRect(rank, theme.smallRadius(), theme.smallRadius());
            painter.setPen(theme.color(Role::Accent));
            painter.drawText(rank, Qt::AlignCenter,
                             rest ? QStringLiteral("+%1").arg(m_processes - shown + 1)
                                  : QString::number(n * m_processes + p));
        }
    }
}

}  // namespace trainyard::ui
