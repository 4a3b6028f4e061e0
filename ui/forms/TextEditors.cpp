#include <QApplication>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QStyle>
#include <QTextDocument>
#include <QVBoxLayout>
#include <algorithm>

#include "ui/forms/FieldEditors.h"
#include "ui/seams/Questions.h"
#include "ui/shell/Icons.h"
#include "ui/shell/Theme.h"
#include "ui/widgets/Basics.h"

namespace trainyard::ui {

using base::Json;
using spec::FieldType;

void FieldEditor::offer(const std::vector<std::string>&) {}

void FieldEditor::setInvalid(bool invalid) {
    QWidget* target = focusTarget();
    if (target->property("invalid").toBool() == invalid) return;
    target->setProperty("invalid", invalid);
    target->style()->unpolish(target);
    target->style()->polish(target);
    target->update();
}

TextEditor::TextEditor(const spec::Field& field, Questions* questions, QWidget* parent)
    : FieldEditor(parent), m_line(new QLineEdit(this)), m_questions(questions),
      m_path(field.type == FieldType::File || field.type == FieldType::Folder),
      m_folder(field.type == FieldType::Folder), m_label(QString::fromStdString(field.label)) {
    m_line->setPlaceholderText(numberText(field.defaultValue));
    m_line->setMaxLength(field.maxLength);
    connect(m_line, &QLineEdit::textEdited, this, [this](const QString& text) { Q_EMIT edited(text.toStdString()); });
    if (!m_path || !m_questions) return;
    QAction* browse = m_line->addAction(icon(m_folder ? QStringLiteral("folder") : QStringLiteral("file"), Role::Muted),
                                        QLineEdit::TrailingPosition);
    browse->setText(m_folder ? tr("Choose a folder") : tr("Choose a file"));
    browse->setToolTip(browse->text());
    browse->setShortcut(Qt::ALT | Qt::Key_Down);
    browse->setShortcutContext(Qt::WidgetShortcut);
    connect(browse, &QAction::triggered, this, &TextEditor::pick);
}

void TextEditor::display(const Json& value) {
    const QString text = numberText(value);
    if (text == m_line->text()) return;
    m_line->setText(text);
    // The file's name matters more than where it lies.
    m_line->setCursorPosition(m_path ? static_cast<int>(text.size()) : 0);
    if (m_path) m_line->setToolTip(text);
}

void TextEditor::pick() {
    const auto take = [this](const QString& path) {
        if (path.isEmpty()) return;
        m_line->setText(path);
        Q_EMIT edited(path.toStdString());
    };
    if (m_folder) {
        m_questions->chooseFolder(this, m_label, m_line->text(), take);
    } else {
        m_questions->chooseFile(this, m_label, m_line->text(), {}, take);
    }
}

SwitchEditor::SwitchEditor(const spec::Field&, QWidget* parent) : FieldEditor(parent), m_box(new QCheckBox(this)) {
    connect(m_box, &QCheckBox::clicked, this, [this](bool on) { Q_EMIT edited(on); });
}

void SwitchEditor::display(const Json& value) { m_box->setChecked(value.is_boolean() && value.get<bool>()); }

ChoiceEditor::ChoiceEditor(const spec::Field& field, QWidget* parent) : FieldEditor(parent), m_choices(field.choices) {
    int width = 4;
    int longest = 0;
    for (const spec::Choice& choice : m_choices) {
        const int text = fontMetrics().horizontalAdvance(QString::fromStdString(choice.label));
        longest = std::max(longest, text);
        width += text + 20;
    }
    constexpr int kRoomForSegments = 210;
    // What a box beside its label has for its words in three columns of a window 1280 wide.
    constexpr int kRoomForWords = 137;
    const auto picked = [this](int index) {
        m_value = m_values[static_cast<std::size_t>(index)];
        Q_EMIT edited(m_value);
    };
    if (m_choices.size() > 1 && m_choices.size() <= 4 && width <= kRoomForSegments) {
        m_segments = new SegmentedControl(this);
        connect(m_segments, &SegmentedControl::picked, this, picked);
    } else {
        m_combo = new QComboBox(this);
        m_combo->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
        m_combo->setMinimumContentsLength(8);
        m_wide = longest > kRoomForWords;
        connect(m_combo, &QComboBox::activated, this, picked);
    }
    fill();
}

QWidget* ChoiceEditor::focusTarget() { return m_segments ? static_cast<QWidget*>(m_segments) : m_combo; }

void ChoiceEditor::offer(const std::vector<std::string>& values) {
    if (values == m_offered) return;
    m_offered = values;
    fill();
}

void ChoiceEditor::fill() {
    m_values.clear();
    if (m_segments) m_segments->clear();
    if (m_combo) m_combo->clear();
    for (const spec::Choice& choice : m_choices) {
        const bool offered =
            m_offered.empty() || std::find(m_offered.begin(), m_offered.end(), choice.value) != m_offered.end();
        if (!offered && choice.value != m_value) continue;
        m_values.push_back(choice.value);
        const QString label = QString::fromStdString(choice.label);
        const QString help = QString::fromStdString(choice.help);
        if (m_segments) {
            m_segments->addSegment(label, help);
        } else {
            m_combo->addItem(label);
            m_combo->setItemData(m_combo->count() - 1, help, Qt::ToolTipRole);
        }
    }
    const auto at = std::find(m_values.begin(), m_values.end(), m_value);
    const int index = at == m_values.end() ? -1 : static_cast<int>(at - m_values.begin());
    if (m_segments) {
        m_segments->setCurrent(index);
    } else {
        m_combo->setCurrentIndex(index);
    }
}

void ChoiceEditor::display(const Json& value) {
    std::string text = value.is_string() ? value.get<std::string>() : std::string();
    if (text == m_value) return;
    m_value = std::move(text);
    fill();
}

LinesEditor::LinesEditor(const spec::Field&, QWidget* parent) : FieldEditor(parent), m_edit(new QPlainTextEdit(this)) {
    m_edit->setTabChangesFocus(true);
    m_edit->setHorizontalScrollBarPolicy(Qt::ScrollBarAsNeeded);
    connect(m_edit, &QPlainTextEdit::textChanged, this, [this] {
        fit();
        Q_EMIT edited(m_edit->toPlainText().toStdString());
    });
    fit();
}

void LinesEditor::fit() {
    const int lines = std::clamp(m_edit->document()->blockCount(), 2, 8);
    m_edit->setFixedHeight(m_edit->fontMetrics().lineSpacing() * lines + 18);
}

void LinesEditor::display(const Json& value) {
    const QString text = value.is_string() ? QString::fromStdString(value.get<std::string>()) : QString();
    if (text == m_edit->toPlainText()) return;
    const QSignalBlocker quiet(m_edit);
    m_edit->setPlainText(text);
    fit();
}

MapEditor::MapEditor(const spec::Field& field, QWidget* parent)
    : FieldEditor(parent), m_label(QString::fromStdString(field.label)) {
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(6);
    m_rowsLayout = new QVBoxLayout;
    m_rowsLayout->setSpacing(6);
    layout->addLayout(m_rowsLayout);
    m_add = new LinkButton(tr("Add"), this);
    layout->addWidget(m_add, 0, Qt::AlignLeft);
    connect(m_add, &LinkButton::clicked, this, [this] { addRow({}, {}, true); });
}

QWidget* MapEditor::focusTarget() { return m_add; }

void MapEditor::addRow(const QString& name, const QString& value, bool focus) {
    auto* widget = new QWidget(this);
    auto* layout = new QHBoxLayout(widget);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(6);
    auto* nameLine = new QLineEdit(name, widget);
    nameLine->setPlaceholderText(tr("Name"));
    nameLine->setAccessibleName(tr("%1: name").arg(m_label));
    auto* valueLine = new QLineEdit(value, widget);
    valueLine->setPlaceholderText(tr("Value"));
    valueLine->setAccessibleName(tr("%1: value").arg(m_label));
    auto* remove = new IconButton(QStringLiteral("close"), tr("Remove"), widget);
    remove->setAccessibleName(tr("%1: remove %2").arg(m_label, name));
    layout->addWidget(nameLine, 2);
    layout->addWidget(valueLine, 3);
    layout->addWidget(remove);
    m_rowsLayout->addWidget(widget);
    m_rows.push_back({widget, nameLine, valueLine});
    connect(nameLine, &QLineEdit::textEdited, this, &MapEditor::report);
    connect(valueLine, &QLineEdit::textEdited, this, &MapEditor::report);
    connect(remove, &IconButton::clicked, this, [this, widget] { removeRow(widget); });
    if (focus) nameLine->setFocus(Qt::TabFocusReason);
}

void MapEditor::removeRow(QWidget* widget) {
    std::erase_if(m_rows, [widget](const Row& row) { return row.widget == widget; });
    widget->hide();
    widget->deleteLater();
    m_add->setFocus(Qt::OtherFocusReason);
    report();
}

void MapEditor::report() {
    Json map = Json::object();
    for (const Row& row : m_rows) {
        if (row.name->text().trimmed().isEmpty()) continue;
        map[row.name->text().trimmed().toStdString()] = row.value->text().toStdString();
    }
    m_shown = map;
    Q_EMIT edited(map);
}

void MapEditor::display(const Json& value) {
    const Json map = value.is_object() ? value : Json::object();
    if (map == m_shown) return;
    for (const Row& row : m_rows) {
        row.widget->hide();
        row.widget->deleteLater();
    }
    m_rows.clear();
    for (const auto& [name, entry] : map.items()) addRow(QString::fromStdString(name), numberText(entry), false);
    m_shown = map;
}

}  // namespace trainyard::ui
