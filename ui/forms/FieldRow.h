#pragma once
// Label, input, reset arrow and error of one field.
#include <QWidget>

#include "core/spec/Field.h"

class QHBoxLayout;

namespace trainyard::ui {

class FieldEditor;
class FormDocument;
class IconButton;
class Questions;
class TextLabel;

/// Sets a label, a small mark (nullptr leaves its room) and an input side by side, as every row of a form has them.
void layFieldLine(QHBoxLayout* line, QWidget* label, QWidget* mark, QWidget* input);

class FieldRow : public QWidget {
    Q_OBJECT

public:
    FieldRow(const spec::Field& field, FormDocument& document, Questions* questions, QWidget* parent);

    [[nodiscard]] const spec::Field& field() const { return m_field; }
    [[nodiscard]] QString path() const { return m_path; }
    [[nodiscard]] QWidget* input() const;
    [[nodiscard]] QString errorText() const;

    /// Narrows the choices, by value; none: all of them.
    void offer(const std::vector<std::string>& values);
    /// Takes value, reset arrow and error from the document.
    void refresh();

private:
    void showError();

    spec::Field m_field;
    QString m_path;
    FormDocument& m_document;
    FieldEditor* m_editor;
    TextLabel* m_label;
    TextLabel* m_error;
    IconButton* m_reset;
};

}  // namespace trainyard::ui
