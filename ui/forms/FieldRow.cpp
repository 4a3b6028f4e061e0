#include "ui/forms/FieldRow.h"

#include <QHBoxLayout>
#include <QVBoxLayout>
#include <cmath>

#include "ui/forms/FieldEditors.h"
#include "ui/forms/FormDocument.h"
#include "ui/shell/Theme.h"
#include "ui/widgets/Basics.h"

namespace trainyard::ui {

using base::Json;
using spec::Field;
using spec::FieldType;

FieldEditor* makeFieldEditor(const Field& field, Questions* questions, QWidget* parent) {
    FieldEditor* editor = nullptr;
    switch (field.type) {
    case FieldType::Integer:
    case FieldType::Number: editor = new NumberEditor(field, parent); break;
    case FieldType::Boolean: editor = new SwitchEditor(field, parent); break;
    case FieldType::Choice: editor = new ChoiceEditor(field, parent); break;
    case FieldType::MultilineText: editor = new LinesEditor(field, parent); break;
    case FieldType::TextList: editor = new ListEditor(field, parent); break;
    case FieldType::TextMap: editor = new MapEditor(field, parent); break;
    case FieldType::Text:
    case FieldType::File:
    case FieldType::Folder: editor = new TextEditor(field, questions, parent); break;
    }
    // The input fills its editor; list and map editors that hold several widgets bring a layout of their own.
    if (!editor->layout()) {
        auto* layout = new QHBoxLayout(editor);
        layout->setContentsMargins(0, 0, 0, 0);
        layout->addWidget(editor->focusTarget());
    }
    QWidget* target = editor->focusTarget();
    QString name = QString::fromStdString(field.label);
    if (!field.unit.empty()) name = QObject::tr("%1, in %2").arg(name, QString::fromStdString(field.unit));
    target->setAccessibleName(name);
    target->setObjectName(QString::fromStdString(field.path) + QStringLiteral("Input"));
    return editor;
}

namespace {

QString rangeText(const Field& field) {
    if (field.type != FieldType::Integer && field.type != FieldType::Number) return {};
    const auto number = [](double value) { return numberText(Json(value)); };
    const bool low = std::isfinite(field.minimum);
    const bool high = std::isfinite(field.maximum) && field.maximum < 1e15;
    if (low && high) {
        return field.minimumExclusive
                   ? QObject::tr("above %1, up to %2").arg(number(field.minimum), number(field.maximum))
                   : QObject::tr("%1 to %2").arg(number(field.minimum), number(field.maximum));
    }
    if (low) {
        return field.minimumExclusive ? QObject::tr("above %1").arg(number(field.minimum))
                                      : QObject::tr("at least %1").arg(number(field.minimum));
    }
    if (high) return QObject::tr("up to %1").arg(number(field.maximum));
    return {};
}

QString defaultText(const Field& field) {
    const Json& value = field.defaultValue;
    if (value.is_boolean()) return value.get<bool>() ? QObject::tr("on") : QObject::tr("off");
    if (!value.is_number() && !value.is_string()) return {};
    const QString text = numberText(value);
    for (const spec::Choice& choice : field.choices) {
        if (QString::fromStdString(choice.value) == text) return QString::fromStdString(choice.label);
    }
    return text;
}

QString hoverText(const Field& field) {
    QString text = QStringLiteral("<b>%1</b>").arg(QString::fromStdString(field.label).toHtmlEscaped());
    if (!field.help.empty()) text += QStringLiteral("<br>") + QString::fromStdString(field.help).toHtmlEscaped();
    QStringList facts;
    const QString unit = field.unit.empty() ? QString() : u' ' + QString::fromStdString(field.unit);
    if (const QString range = rangeText(field); !range.isEmpty()) facts << range + unit;
    if (const QString standard = defaultText(field); !standard.isEmpty())
        facts << QObject::tr("default %1").arg(standard) + unit;
    if (!facts.isEmpty())
        text += QStringLiteral("<br><i>%1</i>").arg(facts.join(QStringLiteral(" · ")).toHtmlEscaped());
    return text;
}

constexpr int kMarkSide = 22;

}  // namespace

void layFieldLine(QHBoxLayout* line, QWidget* label, QWidget* mark, QWidget* input) {
    if (!mark) {
        mark = new QWidget(label->parentWidget());
        mark->setFixedSize(kMarkSide, kMarkSide);
    }
    line->setSpacing(Theme::current().space(0));
    line->addWidget(label, 5);
    line->addWidget(mark);
    line->addWidget(input, 7);
}

FieldRow::FieldRow(const Field& field, FormDocument& document, Questions* questions, QWidget* parent)
    : QWidget(parent), m_field(field), m_path(QString::fromStdString(field.path)), m_document(document),
      m_editor(makeFieldEditor(field, questions, this)) {
    setObjectName(m_path + QStringLiteral("Row"));
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(theme.space(0));

    m_label = new TextLabel(QString::fromStdString(field.label), TextStyle::Body, Role::Text, this);
    m_label->setBuddy(m_editor->focusTarget());
    m_label->setWordWrap(true);
    m_label->setMinimumWidth(40);
    m_reset = new IconButton(QStringLiteral("reset"), tr("Reset %1").arg(m_label->text()), this);
    m_reset->setIconSize({14, 14});
    m_reset->setFixedSize(kMarkSide, kMarkSide);
    m_reset->setObjectName(m_path + QStringLiteral("ResetButton"));
    QSizePolicy keepsRoom = m_reset->sizePolicy();
    keepsRoom.setRetainSizeWhenHidden(true);
    m_reset->setSizePolicy(keepsRoom);

    auto* head = new QHBoxLayout;
    if (m_editor->isWide()) {
        head->setSpacing(theme.space(0));
        head->addWidget(m_label, 1);
        head->addWidget(m_reset);
        column->addLayout(head);
        column->addWidget(m_editor);
    } else {
        layFieldLine(head, m_label, m_reset, m_editor);
        column->addLayout(head);
    }

    m_error = new TextLabel({}, TextStyle::Secondary, Role::Danger, this);
    m_error->setObjectName(m_path + QStringLiteral("ErrorLabel"));
    m_error->setWordWrap(true);
    m_error->hide();
    column->addWidget(m_error);

    const QString hover = hoverText(field);
    setToolTip(hover);
    m_editor->focusTarget()->setAccessibleDescription(QString::fromStdString(field.help));

    connect(m_editor, &FieldEditor::edited, this, [this](const Json& value) { m_document.setValue(m_path, value); });
    connect(m_reset, &QToolButton::clicked, this, [this] {
        m_document.reset(m_path);
        m_editor->focusTarget()->setFocus(Qt::OtherFocusReason);
    });
    connect(&m_document, &FormDocument::errorsChanged, this, &FieldRow::showError);
    refresh();
}

QWidget* FieldRow::input() const { return m_editor->focusTarget(); }

void FieldRow::offer(const std::vector<std::string>& values) { m_editor->offer(values); }

QString FieldRow::errorText() const { return m_error->isHidden() ? QString() : m_error->text(); }

void FieldRow::refresh() {
    m_editor->display(m_document.value(m_path));
    m_reset->setVisible(m_document.differsFromDefault(m_path));
    const QString standard = defaultText(m_field);
    m_reset->setToolTip(standard.isEmpty() ? tr("Back to the default") : tr("Back to %1").arg(standard));
    showError();
}

void FieldRow::showError() {
    QString text = m_document.errorText(m_path);
    if (text.isEmpty() && (m_field.type == FieldType::TextList || m_field.type == FieldType::TextMap)) {
        // An entry of a list is named "path.3".
        for (const base::Error& error : m_document.errors()) {
            if (QString::fromStdString(error.field).startsWith(m_path + u'.')) {
                text = QString::fromStdString(error.message);
                break;
            }
        }
    }
    m_error->setText(text);
    m_error->setVisible(!text.isEmpty());
    m_editor->setInvalid(!text.isEmpty());
    m_editor->focusTarget()->setAccessibleDescription(text.isEmpty() ? QString::fromStdString(m_field.help) : text);
}

}  // namespace trainyard::ui
