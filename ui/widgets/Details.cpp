#include "ui/widgets/Details.h"

#include <QDateTime>
#include <QEvent>
#include <QHeaderView>
#include <QScrollArea>
#include <QScrollBar>
#include <QStackedWidget>
#include <QTableWidget>
#include <QTreeWidget>
#include <QVBoxLayout>

#include <algorithm>

#include "ui/forms/JsonRead.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Chips.h"
#include "ui/widgets/Tables.h"

namespace trainyard::ui {

namespace {
constexpr int kFoldDetailBelow = 860;
constexpr int kMarkSize = 16;
constexpr int kShortestName = 150;  ///< At the usual text size, with the room before it.
}  // namespace

FindingLook lookOfFinding(const QString& finding) {
    if (finding == u"ok") return {QStringLiteral("success"), MarkedLine::tr("OK"), Role::Success};
    if (finding == u"warning") return {QStringLiteral("warning"), MarkedLine::tr("Warning"), Role::Warning};
    if (finding == u"failure") return {QStringLiteral("error"), MarkedLine::tr("Failure"), Role::Danger};
    return {QStringLiteral("help"), MarkedLine::tr("Unknown"), Role::Muted};
}

MarkedLine::MarkedLine(const FindingLook& look, QWidget* parent) : QWidget(parent) {
    auto* row = new QHBoxLayout(this);
    row->setContentsMargins(0, 0, 0, 0);
    row->setSpacing(Theme::current().space(1));
    auto* mark = new QLabel(this);
    mark->setPixmap(icon(look.icon, look.ink).pixmap(kMarkSize, kMarkSize));
    mark->setToolTip(look.word);
    mark->setAccessibleName(look.word);
    row->addWidget(mark, 0, Qt::AlignTop);
    m_texts = new QVBoxLayout;
    m_texts->setSpacing(0);
    row->addLayout(m_texts, 1);
}

void MarkedLine::say(const QString& text, TextStyle style, Role ink) {
    if (text.isEmpty()) return;
    auto* label = new TextLabel(text, style, ink, this);
    label->setWordWrap(true);
    label->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_texts->addWidget(label);
}

ListDetail::ListDetail(int listWidth, int viewWidth, QWidget* parent) : Splitter(Qt::Horizontal, parent) {
    const Theme& theme = Theme::current();
    setFoldBelow(kFoldDetailBelow);
    m_list = new QWidget(this);
    m_listColumn = new QVBoxLayout(m_list);
    // Beside the views no margin: the line between the two stands there. Layouts do not mirror their margins.
    const int outer = theme.space(4);
    m_listColumn->setContentsMargins(isRightToLeft() ? 0 : outer, theme.space(1), isRightToLeft() ? outer : 0, 0);
    m_listColumn->setSpacing(theme.space(1));
    addWidget(m_list);
    m_views = new QStackedWidget(this);
    addWidget(m_views);
    setStretchFactor(0, 1);
    setStretchFactor(1, 3);
    setSizes({theme.scaled(listWidth), viewWidth});
}

QTreeWidget* ListDetail::addTree(const char* object, const QString& name, const QStringList& headers) {
    auto* tree = new QTreeWidget(m_list);
    tree->setObjectName(QString::fromLatin1(object));
    tree->setColumnCount(static_cast<int>(headers.size()));
    tree->setHeaderLabels(headers);
    tree->setRootIsDecorated(false);
    styleTree(tree, name);
    tree->header()->setMinimumSectionSize(36);
    tree->header()->setStretchLastSection(false);
    tree->header()->setSectionResizeMode(0, QHeaderView::Stretch);
    m_listColumn->addWidget(tree, 1);
    m_tree = tree;
    tree->installEventFilter(this);
    return tree;
}

bool ListDetail::eventFilter(QObject* watched, QEvent* event) {
    if (watched == m_tree && event->type() == QEvent::Resize) foldColumns();
    return Splitter::eventFilter(watched, event);
}

void ListDetail::foldColumns() {
    int room = m_tree->width() - Theme::current().scaled(kShortestName);
    for (int i = 1; i < m_tree->columnCount(); ++i) {
        // A hidden section has no width; what it gets back is kept by the header.
        if (m_tree->isColumnHidden(i)) m_tree->showColumn(i);
        room -= m_tree->columnWidth(i);
        m_tree->setColumnHidden(i, room < 0);
    }
}

DetailColumn::DetailColumn(const QString& prefix, QWidget* parent) : QWidget(parent) {
    const Theme& theme = Theme::current();
    m_column = new QVBoxLayout(this);
    m_column->setContentsMargins(theme.space(3), theme.space(1), theme.space(4), theme.space(4));
    m_column->setSpacing(theme.space(2));
    auto* head = new QHBoxLayout;
    m_title = new ElidedLabel({}, TextStyle::Title, Role::Text, this);
    m_title->setObjectName(prefix + QStringLiteral("TitleLabel"));
    m_label = new Chip({}, this);
    m_label->hide();
    head->addWidget(m_title, 1);
    head->addWidget(m_label);
    m_column->addLayout(head);
    m_facts = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    m_facts->setObjectName(prefix + QStringLiteral("FactsLabel"));
    m_facts->setWordWrap(true);
    m_column->addWidget(m_facts);
    m_description = new TextLabel({}, TextStyle::Body, Role::Text, this);
    m_description->setWordWrap(true);
    m_column->addWidget(m_description);
    m_runs = new LinkButton({}, this);
    m_runs->setObjectName(prefix + QStringLiteral("RunsLink"));
    m_column->addWidget(m_runs, 0, Qt::AlignLeft);
    m_headEnd = m_column->count();
    m_column->addStretch(1);
}

void DetailColumn::setTitle(const QString& title) {
    if (title == m_title->text()) return;
    m_title->setText(title);
    // Another object is read from its beginning.
    for (QWidget* at = parentWidget(); at != nullptr; at = at->parentWidget()) {
        if (auto* area = qobject_cast<QScrollArea*>(at)) return area->verticalScrollBar()->setValue(0);
    }
}

void DetailColumn::setLabel(const QString& label) {
    m_label->setText(label);
    m_label->setVisible(!label.isEmpty());
}

void DetailColumn::setFacts(const QStringList& facts) {
    QStringList said = facts;
    said.removeAll(QString());
    m_facts->setText(said.join(QStringLiteral(" · ")));
}

void DetailColumn::setDescription(const QString& description) {
    m_description->setText(description);
    m_description->setVisible(!description.isEmpty());
}

void DetailColumn::addToHead(QWidget* part) { m_column->insertWidget(m_headEnd++, part); }

Card* DetailColumn::addCard(const QString& title, QWidget* panel) {
    auto* card = new Card(title, this);
    panel->setParent(card);
    card->body()->addWidget(panel);
    m_column->insertWidget(m_column->count() - 1, card);
    return card;
}

std::int64_t readTime(const base::Json& object, std::string_view key) {
    const QDateTime at = QDateTime::fromString(readString(object, key), Qt::ISODateWithMs);
    constexpr std::int64_t kMicrosPerMilli = 1000;
    return at.isValid() ? at.toMSecsSinceEpoch() * kMicrosPerMilli : 0;
}

void emptyLayout(QLayout* layout) {
    while (QLayoutItem* item = layout->takeAt(0)) {
        if (QWidget* widget = item->widget()) {
            widget->hide();
            widget->deleteLater();
        }
        delete item;
    }
}

QVBoxLayout* panelColumn(QWidget* panel) {
    auto* column = new QVBoxLayout(panel);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(Theme::current().space(1));
    return column;
}

QVBoxLayout* panelColumn(QWidget* panel, QWidget* known, std::initializer_list<QWidget*> buttons) {
    QVBoxLayout* column = panelColumn(panel);
    auto* head = new QHBoxLayout;
    head->addWidget(known, 1);
    for (QWidget* button : buttons) head->addWidget(button, 0, Qt::AlignTop);
    column->addLayout(head);
    return column;
}

QuietButton* panelButton(const QString& text, const char* iconName, const char* object, const QString& hint,
                         QWidget* panel) {
    auto* button = new QuietButton(text, QString::fromLatin1(iconName), panel);
    button->setObjectName(QString::fromLatin1(object));
    button->setToolTip(hint);
    return button;
}

InlineError* addMessage(QVBoxLayout* column, const char* object, QWidget* panel) {
    auto* message = new InlineError(panel);
    message->setObjectName(QString::fromLatin1(object));
    message->clear();
    column->addWidget(message);
    return message;
}

QTableWidget* panelTable(const std::vector<PanelColumn>& columns, const QString& name, const char* object,
                         QWidget* panel) {
    auto* table = new QTableWidget(0, static_cast<int>(columns.size()), panel);
    table->setObjectName(QString::fromLatin1(object));
    styleTable(table, name);
    table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    table->horizontalHeader()->setStretchLastSection(true);
    for (int i = 0; i < static_cast<int>(columns.size()); ++i) {
        const PanelColumn& column = columns[static_cast<std::size_t>(i)];
        auto* header = new QTableWidgetItem(column.header);
        header->setTextAlignment((column.number ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter);
        header->setData(NumberRole, column.number);
        table->setHorizontalHeaderItem(i, header);
        // The last one takes what the others leave.
        if (column.width > 0) table->setColumnWidth(i, Theme::current().scaled(column.width));
    }
    table->hide();
    return table;
}

void putCell(QTableWidget* table, int row, int column, const QString& text, const QString& hover) {
    auto* item = new QTableWidgetItem(text);
    item->setToolTip(hover.isEmpty() ? text : hover);
    item->setData(NumberRole, table->horizontalHeaderItem(column)->data(NumberRole));
    table->setItem(row, column, item);
}

void fitRows(QTableWidget* table, int most) {
    const int rows = table->rowCount();
    table->setVisible(rows > 0);
    table->setFixedHeight(table->horizontalHeader()->sizeHint().height() +
                          std::clamp(rows, 1, most) * Theme::current().rowHeight() + 6);
}

}  // namespace trainyard::ui
