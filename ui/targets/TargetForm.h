#pragma once
#include <QWidget>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Result.h"

namespace trainyard::ui {

class FormDocument;
class FormView;
class HostsEditor;
class InlineError;
class Shell;
class TextLabel;

/// The form of a target's definition, for a new one and for changes alike.
class TargetForm : public QWidget {
    Q_OBJECT

public:
    TargetForm(Shell& shell, QWidget* parent);
    /// An empty document begins a new SSH target.
    void begin(const base::Json& document, const QString& title, bool isNew);
    [[nodiscard]] const base::Json& document() const;
    [[nodiscard]] bool isNew() const { return m_isNew; }
    /// Saves by target.add or target.edit; errors stand at their fields.
    void save();

Q_SIGNALS:
    void saved(const QString& name);
    void edited();

private:
    void showErrors();
    void tell(const base::Error& error);

    Shell& m_shell;
    FormDocument* m_document;
    FormView* m_form;
    HostsEditor* m_hosts;
    TextLabel* m_title;
    InlineError* m_error;
    QString m_name;
    bool m_isNew = true;
    bool m_asked = false;
    bool m_saving = false;
};

}  // namespace trainyard::ui
