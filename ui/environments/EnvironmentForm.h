#pragma once
#include <QPointer>
#include <QTimer>
#include <QWidget>

#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/commands/Command.h"

namespace trainyard::ui {

class EnvironmentFindings;
class FormDocument;
class FormView;
class InlineError;
class Shell;
class TargetChoice;
class TextLabel;

/// The form of a definition, for a new environment and for a new version alike, with what a target lacks for it beside
/// what was typed.
class EnvironmentForm : public QWidget {
    Q_OBJECT

public:
    EnvironmentForm(Shell& shell, QWidget* parent);
    /// `notes`: what an import has to say.
    void begin(const base::Json& document, const QString& title, bool isNew, const QStringList& notes);
    [[nodiscard]] const base::Json& document() const;
    [[nodiscard]] bool isNew() const { return m_isNew; }
    void save();

Q_SIGNALS:
    void saved(const QString& name, int version, bool changed);
    void edited();

private:
    void look();
    void tell(const base::Error& error);

    Shell& m_shell;
    FormDocument* m_document;
    FormView* m_form;
    TextLabel* m_title;
    InlineError* m_error;
    InlineError* m_notes;
    TargetChoice* m_target;
    TextLabel* m_waiting;
    EnvironmentFindings* m_findings;
    QTimer m_pause;
    QPointer<commands::Command> m_looking;
    QString m_name;
    bool m_isNew = true;
    bool m_saving = false;
};

}  // namespace trainyard::ui
