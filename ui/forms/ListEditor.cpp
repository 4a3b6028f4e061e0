#include <QHBoxLayout>
#include <QLineEdit>
#include <QRegularExpression>
#include <QVBoxLayout>
#include <algorithm>

#include "ui/forms/FieldEditors.h"
#include "ui/widgets/Basics.h"

namespace trainyard::ui {

using base::Json;

namespace {
/// Fields of this length hold words of commands; shorter ones hold names.
constexpr int kWordsFrom = 32768;
}  // namespace

QString quotedWords(const Json& words) {
    static const QRegularExpression plain(QStringLiteral("^[A-Za-z0-9_@%+=:,./$-]+$"));
    QStringList parts;
    if (!words.is_array()) return {};
    for (const Json& word : words) {
        const QString text = numberText(word);
        if (plain.match(text).hasMatch()) {
            parts << text;
            continue;
        }
        QString inside = text;
        parts << u'\'' + inside.replace(u'\'', QStringLiteral("'\\''")) + u'\'';
    }
    return parts.join(u' ');
}

ListEditor::ListEditor(const spec::Field& field, QWidget* parent)
    : FieldEditor(parent), m_label(QString::fromStdString(field.label)), m_words(field.maxLength >= kWordsFrom) {
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(6);
    m_rowsLayout = new QVBoxLayout;
    m_rowsLayout->setSpacing(6);
    column->addLayout(m_rowsLayout);
    m_quoted = new TextLabel({}, TextStyle::MonoSmall, Role::Muted, this);
    m_quoted->setObjectName(QString::fromStdString(field.path) + QStringLiteral("QuotedLabel"));
    m_quoted->setWordWrap(true);
    m_quoted->setToolTip(tr("The entries as one line; quotes only show where one begins and ends"));
    m_quoted->hide();
    column->addWidget(m_quoted);
    m_add = new LinkButton(tr("Add"), this);
    column->addWidget(m_add, 0, Qt::AlignLeft);
    connect(m_add, &LinkButton::clicked, this, [this] { addRow({}, static_cast<int>(m_rows.size()), true); });
}

QWidget* ListEditor::focusTarget() { return m_add; }

void ListEditor::addRow(const QString& text, int at, bool focus) {
    auto* widget = new QWidget(this);
    auto* layout = new QHBoxLayout(widget);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(6);
    auto* line = new QLineEdit(text, widget);
    line->setCursorPosition(0);
    line->setAccessibleName(tr("%1: entry %2").arg(m_label).arg(at + 1));
    auto* remove = new IconButton(QStringLiteral("close"), tr("Remove"), widget);
    remove->setAccessibleName(tr("%1: remove entry %2").arg(m_label).arg(at + 1));
    layout->addWidget(line, 1);
    layout->addWidget(remove);
    m_rowsLayout->insertWidget(at, widget);
    m_rows.insert(m_rows.begin() + at, Row{widget, line});
    connect(line, &QLineEdit::textEdited, this, &ListEditor::report);
    connect(line, &QLineEdit::returnPressed, this, [this, widget] {
        const auto row =
            std::find_if(m_rows.begin(), m_rows.end(), [widget](const Row& one) { return one.widget == widget; });
        addRow({}, static_cast<int>(row - m_rows.begin()) + 1, true);
    });
    connect(remove, &IconButton::clicked, this, [this, widget] { removeRow(widget); });
    if (focus) line->setFocus(Qt::TabFocusReason);
}

void ListEditor::removeRow(QWidget* widget) {
    std::erase_if(m_rows, [widget](const Row& row) { return row.widget == widget; });
    widget->hide();
    widget->deleteLater();
    m_add->setFocus(Qt::OtherFocusReason);
    report();
}

Json ListEditor::typed() const {
    Json list = Json::array();
    for (const Row& row : m_rows) {
        if (!row.line->text().isEmpty()) list.push_back(row.line->text().toStdString());
    }
    return list;
}

void ListEditor::report() {
    m_shown = typed();
    showQuoted();
    Q_EMIT edited(m_shown);
}

void ListEditor::showQuoted() {
    const QString text = m_words ? quotedWords(m_shown) : QString();
    m_quoted->setText(text);
    m_quoted->setVisible(!text.isEmpty());
}

void ListEditor::display(const Json& value) {
    const Json list = value.is_array() ? value : Json::array();
    if (list == m_shown) return;
    for (const Row& row : m_rows) {
        row.widget->hide();
        row.widget->deleteLater();
    }
    m_rows.clear();
    for (const Json& entry : list) addRow(numberText(entry), static_cast<int>(m_rows.size()), false);
    m_shown = list;
    showQuoted();
}

}  // namespace trainyard::ui
