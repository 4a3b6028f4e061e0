#include "ui/datasets/DatasetPanels.h"

#include <QDateTime>
#include <QHash>
#include <QHeaderView>
#include <QPainter>
#include <QTableView>
#include <QVBoxLayout>
#include <algorithm>

#include "ui/forms/JsonRead.h"
#include "ui/shell/Icons.h"
#include "ui/shell/Style.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Chips.h"
#include "ui/widgets/Details.h"
#include "ui/widgets/Format.h"
#include "ui/widgets/Tables.h"

namespace trainyard::ui {

using base::Json;

namespace {

constexpr int kMostClassRows = 12;
constexpr int kMostProblemLines = 10;

/// What can be done about a finding whose own text does not say it.
QString problemRemedy(const std::string& kind) {
    if (kind == "no_classes" || kind == "one_class")
        return ProblemsPanel::tr("Give each class a folder of its own, at least two, then look again.");
    if (kind == "unknown_class")
        return ProblemsPanel::tr(
            "Give the class a folder in training as well, or delete its folder from validation, then look again.");
    if (kind == "small_class") return ProblemsPanel::tr("Add pictures to the class, then look again.");
    if (kind == "label_conflict")
        return ProblemsPanel::tr(
            "Leave the picture in the class where it belongs, delete it from the others, then look again.");
    if (kind == "unreadable")
        return ProblemsPanel::tr(
            "Training leaves these out and counts them. Replace or delete the files, then look again.");
    if (kind == "empty_class")
        return ProblemsPanel::tr("Put pictures into the class's folder or delete the folder, then look again.");
    if (kind == "leak")
        return ProblemsPanel::tr("A model is judged too well by pictures that it learned. Delete them from one of the "
                                 "splits, then look again.");
    if (kind == "duplicate")
        return ProblemsPanel::tr("The same picture counts several times. Delete all but one of each, then look again.");
    if (kind == "imbalance")
        return ProblemsPanel::tr("Add pictures to the small classes, or weight the classes in the training; judge by "
                                 "the figures of each class.");
    return {};
}

QString pictureSizeText(const Json& sizes, const char* key) {
    const Json one = readObject(sizes, key);
    const std::int64_t width = readInteger(one, "width");
    const std::int64_t height = readInteger(one, "height");
    return width > 0 && height > 0 ? QStringLiteral("%1 × %2").arg(formatExact(width), formatExact(height)) : QString();
}

QString channelValuesText(const Json& values) {
    QStringList parts;
    for (const Json& value : values) {
        if (value.is_number()) parts << QString::number(value.get<double>(), 'f', 3);
    }
    return parts.join(QStringLiteral("  "));
}

/// Training in full colour, validation hatched: told apart without colour as well.
class ClassShareDelegate final : public CellDelegate {
public:
    using CellDelegate::CellDelegate;
    void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override {
        CellDelegate::paint(painter, option, index);
        const auto most = index.data(ClassModel::MostRole).toLongLong();
        if (most <= 0) return;
        const Theme& theme = Theme::current();
        painter->save();
        painter->setRenderHint(QPainter::Antialiasing);
        const QRectF room = QRectF(option.rect).adjusted(8, 0, -8, 0);
        const auto bar = [&](double from, double to) {
            QRectF made(room.left() + room.width() * from, room.center().y() - 5, room.width() * (to - from), 10);
            if (option.direction == Qt::RightToLeft) made.moveRight(room.right() - room.width() * from);
            return made;
        };
        const double train =
            static_cast<double>(index.data(ClassModel::TrainRole).toLongLong()) / static_cast<double>(most);
        const double all =
            train + static_cast<double>(index.data(ClassModel::ValRole).toLongLong()) / static_cast<double>(most);
        const QColor accent = theme.color(Role::Accent);
        draw::box(*painter, bar(0, train), 2, accent, QColor());
        const QRectF rest = bar(train, all);
        if (rest.width() > 0.5) {
            draw::box(*painter, rest, 2, theme.color(Role::AccentSoft), QColor());
            painter->setPen(Qt::NoPen);
            painter->setBrush(QBrush(accent, Qt::BDiagPattern));
            painter->drawRect(rest);
        }
        painter->restore();
    }
};

/// The two ways in which the bars are filled, with their words.
class SplitLegend final : public QWidget {
public:
    explicit SplitLegend(QWidget* parent) : QWidget(parent) {
        setAccessibleName(ClassesPanel::tr("Training is drawn in full, validation hatched"));
    }
    [[nodiscard]] QSize sizeHint() const override {
        const QFontMetrics metrics(Theme::current().font(TextStyle::Secondary));
        return {metrics.horizontalAdvance(words().join(QString())) + 76, metrics.height() + 4};
    }

protected:
    void paintEvent(QPaintEvent*) override {
        QPainter painter(this);
        const Theme& theme = Theme::current();
        painter.setFont(theme.font(TextStyle::Secondary));
        int at = 0;
        for (int i = 0; i < 2; ++i) {
            const QString word = words()[i];
            const int width = painter.fontMetrics().horizontalAdvance(word);
            const auto mirrored = [this](const QRect& rect) {
                return QStyle::visualRect(layoutDirection(), this->rect(), rect);
            };
            const QRect box = mirrored(QRect(at, height() / 2 - 5, 16, 10));
            draw::box(painter, box, 2, theme.color(i == 0 ? Role::Accent : Role::AccentSoft), QColor());
            if (i == 1) painter.fillRect(box, QBrush(theme.color(Role::Accent), Qt::BDiagPattern));
            painter.setPen(theme.color(Role::Muted));
            painter.drawText(mirrored(QRect(at + 22, 0, width + 2, height())), Qt::AlignVCenter | Qt::AlignLeft, word);
            at += 22 + width + 16;
        }
    }

private:
    static QStringList words() { return {ClassesPanel::tr("Training"), ClassesPanel::tr("Validation")}; }
};

}  // namespace

QString datasetKindWord(const std::string& kind) {
    if (kind == "images") return ClassesPanel::tr("Image folder");
    if (kind == "idx") return ClassesPanel::tr("IDX files");
    return fromUtf8(kind);
}

int problemCount(const Json& dataset) {
    const Json* found = member(dataset, "problems");
    if (found == nullptr) return 0;
    if (found->is_number_integer())
        return static_cast<int>(std::clamp<std::int64_t>(found->get<std::int64_t>(), 0, 1'000'000));
    if (!found->is_array()) return 0;
    return static_cast<int>(std::count_if(found->begin(), found->end(),
                                          [](const Json& one) { return readText(one, "severity") != "info"; }));
}

std::vector<int> datasetVersions(const Json& dataset) {
    std::vector<int> numbers;
    for (const Json& one : readArray(dataset, "versions")) {
        if (one.is_number_integer()) numbers.push_back(one.get<int>());
    }
    std::sort(numbers.begin(), numbers.end());
    return numbers;
}

std::int64_t datasetTime(const Json& dataset) {
    const QDateTime at = QDateTime::fromString(readString(dataset, "created"), Qt::ISODateWithMs);
    return at.isValid() ? at.toMSecsSinceEpoch() * 1000 : 0;
}

QSize DatasetRowDelegate::sizeHint(const QStyleOptionViewItem&, const QModelIndex&) const {
    const Theme& theme = Theme::current();
    return {120, QFontMetrics(theme.font(TextStyle::BodyStrong)).height() +
                     QFontMetrics(theme.font(TextStyle::Secondary)).height() + 18};
}

void DatasetRowDelegate::paint(QPainter* painter, const QStyleOptionViewItem& given, const QModelIndex& index) const {
    QStyleOptionViewItem option = given;
    initStyleOption(&option, index);
    const Theme& theme = Theme::current();
    const QWidget* widget = option.widget;
    painter->save();
    painter->setClipRect(option.rect);
    painter->setLayoutDirection(option.direction);
    widget->style()->drawPrimitive(QStyle::PE_PanelItemViewItem, &option, painter, widget);
    const QRect room = option.rect.adjusted(10, 7, -10, -7);
    const QFontMetrics strong(theme.font(TextStyle::BodyStrong));
    int chip = 0;
    if (const int problems = index.data(ProblemsRole).toInt(); problems > 0) {
        const QString text = formatExact(problems);
        chip = chipWidth(text, true) + 8;
        const QRect place = QStyle::visualRect(option.direction, room,
                                               QRect(room.right() - chip + 9, room.top(), chip - 8, strong.height()));
        paintChip(*painter, place, text, QStringLiteral("warning"), ui::Role::Warning, ui::Role::WarningSoft,
                  widget->devicePixelRatioF());
    }
    const QRect name = QStyle::visualRect(option.direction, room,
                                          QRect(room.left(), room.top(), room.width() - chip, strong.height()));
    painter->setFont(theme.font(TextStyle::BodyStrong));
    painter->setPen(theme.color(ui::Role::Text));
    painter->drawText(name, Qt::TextSingleLine | Qt::AlignVCenter | Qt::AlignLeading,
                      strong.elidedText(option.text, Qt::ElideMiddle, name.width()));
    const QFontMetrics small(theme.font(TextStyle::Secondary));
    const QRect facts(room.left(), room.top() + strong.height() + 4, room.width(), small.height());
    painter->setFont(theme.font(TextStyle::Secondary));
    painter->setPen(theme.color(ui::Role::Muted));
    painter->drawText(facts, Qt::TextSingleLine | Qt::AlignVCenter | Qt::AlignLeading,
                      small.elidedText(index.data(FactsRole).toString(), Qt::ElideRight, facts.width()));
    if (option.state & QStyle::State_HasFocus) {
        QStyleOptionFocusRect ring;
        ring.QStyleOption::operator=(option);
        widget->style()->drawPrimitive(QStyle::PE_FrameFocusRect, &ring, painter, widget);
    }
    painter->restore();
}

void ClassModel::setClasses(std::vector<Line> lines) {
    beginResetModel();
    m_lines = std::move(lines);
    m_most = m_all = 0;
    for (const Line& line : m_lines) {
        m_most = std::max(m_most, line.train + line.val);
        m_all += line.train + line.val;
    }
    endResetModel();
}

int ClassModel::rowCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : static_cast<int>(m_lines.size());
}

int ClassModel::columnCount(const QModelIndex& parent) const { return parent.isValid() ? 0 : ColumnCount; }

QVariant ClassModel::data(const QModelIndex& index, int role) const {
    if (!index.isValid()) return {};
    const Line& line = m_lines[static_cast<std::size_t>(index.row())];
    if (role == NumberRole) return index.column() == Training || index.column() == Validation;
    if (role == TrainRole) return line.train;
    if (role == ValRole) return line.val;
    if (role == MostRole) return m_most;
    const double share = m_all > 0 ? static_cast<double>(line.train + line.val) / static_cast<double>(m_all) : 0;
    if (role == Qt::ToolTipRole || role == Qt::AccessibleTextRole)
        return tr("%1: %2 training, %3 validation, %4 of all")
            .arg(line.name, formatExact(line.train), formatExact(line.val), formatPercent(share));
    if (role != Qt::DisplayRole) return {};
    switch (index.column()) {
    case Name: return line.name;
    case Training: return formatExact(line.train);
    case Validation: return formatExact(line.val);
    default: return {};
    }
}

QVariant ClassModel::headerData(int section, Qt::Orientation orientation, int role) const {
    if (orientation != Qt::Horizontal) return {};
    if (role == Qt::TextAlignmentRole && (section == Training || section == Validation))
        return static_cast<int>(Qt::AlignRight | Qt::AlignVCenter);
    if (role != Qt::DisplayRole) return {};
    switch (section) {
    case Name: return tr("Class");
    case Training: return tr("Training");
    case Validation: return tr("Validation");
    default: return tr("Share");
    }
}

void ClassModel::sort(int column, Qt::SortOrder order) {
    Q_EMIT layoutAboutToBeChanged();
    // What is chosen stays chosen: a class has its name alone.
    const QModelIndexList held = persistentIndexList();
    QStringList names;
    for (const QModelIndex& one : held) names << m_lines[static_cast<std::size_t>(one.row())].name;
    const auto before = [column](const Line& a, const Line& b) {
        switch (column) {
        case Training: return a.train < b.train;
        case Validation: return a.val < b.val;
        case Share: return a.train + a.val < b.train + b.val;
        default: return a.name.localeAwareCompare(b.name) < 0;
        }
    };
    if (order == Qt::AscendingOrder) {
        std::stable_sort(m_lines.begin(), m_lines.end(), before);
    } else {
        std::stable_sort(m_lines.begin(), m_lines.end(),
                         [&before](const Line& a, const Line& b) { return before(b, a); });
    }
    QHash<QString, int> rows;
    for (std::size_t i = 0; i < m_lines.size(); ++i) rows.insert(m_lines[i].name, static_cast<int>(i));
    QModelIndexList moved;
    for (qsizetype i = 0; i < held.size(); ++i) moved << index(rows.value(names[i]), held[i].column());
    changePersistentIndexList(held, moved);
    Q_EMIT layoutChanged();
}

ClassesPanel::ClassesPanel(QWidget* parent) : QWidget(parent), m_model(new ClassModel(this)) {
    auto* column = panelColumn(this);
    column->addWidget(new SplitLegend(this), 0, Qt::AlignLeading);
    m_table = new QTableView(this);
    m_table->setObjectName(QStringLiteral("classesTable"));
    m_table->setModel(m_model);
    styleTable(m_table, tr("Classes"));
    m_table->setItemDelegateForColumn(ClassModel::Share, new ClassShareDelegate(m_table));
    m_table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    m_table->setSelectionMode(QAbstractItemView::SingleSelection);
    m_table->setSortingEnabled(true);
    m_table->horizontalHeader()->setSortIndicator(ClassModel::Name, Qt::AscendingOrder);
    m_table->horizontalHeader()->setStretchLastSection(true);
    const Theme& theme = Theme::current();
    m_table->setColumnWidth(ClassModel::Name, theme.scaled(260));
    m_table->setColumnWidth(ClassModel::Training, theme.scaled(92));
    m_table->setColumnWidth(ClassModel::Validation, theme.scaled(96));
    m_table->setToolTip(tr("Enter shows the pictures of the class"));
    column->addWidget(m_table);
    connect(m_table, &QTableView::activated, this, [this](const QModelIndex& index) {
        Q_EMIT chosen(index.siblingAtColumn(ClassModel::Name).data().toString());
    });
}

void ClassesPanel::setDataset(const Json& detail) {
    std::vector<ClassModel::Line> lines;
    for (const Json& one : readArray(detail, "classes")) {
        lines.push_back({readString(one, "name"), readInteger(one, "train"), readInteger(one, "val")});
    }
    const int rows = std::clamp(static_cast<int>(lines.size()), 1, kMostClassRows);
    m_model->setClasses(std::move(lines));
    m_model->sort(m_table->horizontalHeader()->sortIndicatorSection(),
                  m_table->horizontalHeader()->sortIndicatorOrder());
    m_table->setFixedHeight(m_table->horizontalHeader()->sizeHint().height() + rows * Theme::current().rowHeight() + 6);
}

PicturesPanel::PicturesPanel(QWidget* parent) : QWidget(parent) {
    m_facts = new KeyValueGrid(this);
    panelColumn(this)->addWidget(m_facts);
}

bool PicturesPanel::setDataset(const Json& detail) {
    m_facts->clear();
    bool any = false;
    const auto add = [&](const QString& name, const QString& value, const QString& hover) {
        if (value.isEmpty()) return;
        m_facts->add(name, value, hover, true);
        any = true;
    };
    const Json sizes = readObject(detail, "sizes");
    const QString smallest = pictureSizeText(sizes, "min");
    if (!smallest.isEmpty() && smallest == pictureSizeText(sizes, "max")) {
        add(tr("Size"), smallest, tr("Width × height in pixels; all pictures are alike"));
    } else {
        add(tr("Smallest"), smallest, tr("Smallest width × smallest height, in pixels"));
        add(tr("In the middle"), pictureSizeText(sizes, "median"), tr("Half of the pictures are smaller"));
        add(tr("Largest"), pictureSizeText(sizes, "max"), tr("Largest width × largest height, in pixels"));
    }
    const Json statistics = readObject(detail, "statistics");
    const Json mean = readArray(statistics, "mean");
    const QString channels = mean.size() == 1 ? tr("One channel, from 0 (black) to 1 (white)")
                                              : tr("Red, green, blue, from 0 (dark) to 1 (light)");
    add(tr("Mean of the channels"), channelValuesText(mean), channels);
    add(tr("Their deviation"), channelValuesText(readArray(statistics, "std")), channels);
    return any;
}

PlacePanel::PlacePanel(QWidget* parent) : QWidget(parent) {
    m_facts = new KeyValueGrid(this);
    panelColumn(this)->addWidget(m_facts);
}

void PlacePanel::add(const QString& name, const QString& value, const QString& object) {
    if (value.isEmpty()) return;
    auto* field = new CopyField(name, m_facts);
    field->setObjectName(object);
    field->setText(value);
    m_facts->addWidget(name, field);
}

void PlacePanel::setDataset(const Json& detail) {
    m_facts->clear();
    const QString path = readString(detail, "path");
    const QString source = readString(detail, "source");
    add(tr("Folder"), path, QStringLiteral("datasetPathField"));
    if (source != path) add(tr("Came from"), source, QStringLiteral("datasetSourceField"));
    add(tr("Content hash"), readString(detail, "sha256"), QStringLiteral("datasetHashField"));
    if (const std::int64_t at = datasetTime(detail); at > 0) m_facts->add(tr("Added"), formatAgo(at), formatTime(at));
}

ProblemsPanel::ProblemsPanel(QWidget* parent) : QWidget(parent) {
    m_lines = panelColumn(this);
    m_lines->setSpacing(Theme::current().space(2));
}

void ProblemsPanel::setDataset(const Json& detail) {
    emptyLayout(m_lines);
    for (const Json& problem : readArray(detail, "problems")) addProblem(problem);
}

void ProblemsPanel::addProblem(const Json& problem) {
    const Theme& theme = Theme::current();
    const std::string severity = readText(problem, "severity", "warning");
    const std::string kind = readText(problem, "kind");
    auto* widget = new QWidget(this);
    auto* row = new QHBoxLayout(widget);
    row->setContentsMargins(0, 0, 0, 0);
    row->setSpacing(theme.space(1));
    auto* mark = new QLabel(widget);
    const bool error = severity == "error";
    mark->setPixmap(icon(error                ? QStringLiteral("error")
                         : severity == "info" ? QStringLiteral("info")
                                              : QStringLiteral("warning"),
                         error                ? ui::Role::Danger
                         : severity == "info" ? ui::Role::Info
                                              : ui::Role::Warning)
                        .pixmap(QSize(18, 18), devicePixelRatioF()));
    mark->setAccessibleName(error ? tr("Error") : severity == "info" ? tr("Hint") : tr("Warning"));
    mark->setToolTip(mark->accessibleName());
    row->addWidget(mark, 0, Qt::AlignTop);
    auto* texts = new QVBoxLayout;
    texts->setSpacing(2);
    row->addLayout(texts, 1);
    const auto say = [&](const QString& what, TextStyle style, Role ink) {
        if (what.isEmpty()) return;
        auto* label = new TextLabel(what, style, ink, widget);
        label->setWordWrap(true);
        label->setTextInteractionFlags(Qt::TextSelectableByMouse);
        texts->addWidget(label);
    };
    say(readString(problem, "text"), TextStyle::Body, Role::Text);
    QString remedy = readString(problem, "remedy");
    if (remedy.isEmpty()) remedy = problemRemedy(kind);
    say(remedy, TextStyle::Secondary, Role::Muted);
    const Json files = readArray(problem, "files");
    if (!files.empty()) {
        const Json reasons = readArray(problem, "reasons");
        QStringList lines;
        for (std::size_t i = 0; i < files.size(); ++i) {
            if (!files[i].is_string()) continue;
            QString line = fromUtf8(files[i].get<std::string>());
            if (i < reasons.size() && reasons[i].is_string())
                line += QStringLiteral(": ") + fromUtf8(reasons[i].get<std::string>());
            lines << line;
        }
        const std::int64_t count =
            std::max<std::int64_t>(readInteger(problem, "count"), static_cast<std::int64_t>(lines.size()));
        if (count > lines.size()) lines << tr("… and %1 more").arg(formatExact(count - lines.size()));
        auto* show = new LinkButton(tr("Show the files"), widget);
        show->setObjectName(QStringLiteral("problemFilesLink"));
        show->setAccessibleName(tr("Show the files: %1").arg(readString(problem, "text")));
        auto* list = new CopyField(tr("The files"), widget);
        list->setObjectName(QStringLiteral("problemFiles"));
        list->setMultiline(true);
        list->setText(lines.join(u'\n'));
        const int height = QFontMetrics(theme.font(TextStyle::Mono)).lineSpacing();
        list->setFixedHeight(std::min<int>(static_cast<int>(lines.size()), kMostProblemLines) * height + 28);
        list->hide();
        connect(show, &LinkButton::clicked, list, [show, list] {
            list->setVisible(list->isHidden());
            show->setText(list->isHidden() ? tr("Show the files") : tr("Hide the files"));
        });
        texts->addWidget(show, 0, Qt::AlignLeading);
        texts->addWidget(list);
    }
    if (const std::int64_t count = readInteger(problem, "count"); count > 0) {
        auto* number = new Chip(formatExact(count), widget);
        number->setColors(error ? Role::Danger : Role::Warning, error ? Role::DangerSoft : Role::WarningSoft);
        if (severity == "info") number->setColors(Role::Info, Role::InfoSoft);
        number->setAccessibleName(tr("%n found", nullptr, static_cast<int>(std::min<std::int64_t>(count, 1'000'000))));
        row->addWidget(number, 0, Qt::AlignTop);
    }
    m_lines->addWidget(widget);
}

}  // namespace trainyard::ui
