#pragma once
// One input for one field. It shows a JSON value and reports what the person made of it, however wrong: what does not
// read as the field's type is passed on as the text that was typed, and the check of the document says so.
#include <QWidget>
#include <string>
#include <vector>

#include "core/base/Json.h"
#include "core/spec/Field.h"

namespace trainyard::ui {

class FieldEditor : public QWidget {
    Q_OBJECT

public:
    using QWidget::QWidget;

    /// Shows a value without reporting it back.
    virtual void display(const base::Json& value) = 0;
    /// What Tab lands on and what carries the accessible name.
    [[nodiscard]] virtual QWidget* focusTarget() = 0;
    /// Too wide to stand beside its label.
    [[nodiscard]] virtual bool isWide() const { return false; }
    /// Of a field with choices: those that make sense now, by value; others are shown only while the document has them.
    /// None: all. Other editors have nothing to narrow.
    virtual void offer(const std::vector<std::string>& values);
    /// Marks the input itself as wrong or right.
    virtual void setInvalid(bool invalid);

Q_SIGNALS:
    /// A null value means "as by default".
    void edited(const trainyard::base::Json& value);
};

class Questions;

/// The editor that fits the field's type, labelled for screen readers. Without `questions` files cannot be browsed for.
[[nodiscard]] FieldEditor* makeFieldEditor(const spec::Field& field, Questions* questions, QWidget* parent);

/// A number as a person types it back: "0.0005", "1e-08", "128"; no digits that were not in it.
[[nodiscard]] QString numberText(const base::Json& value);

}  // namespace trainyard::ui
