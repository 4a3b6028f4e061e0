#pragma once
#include <QPointer>
#include <QWidget>

#include "core/base/Json.h"
#include "core/commands/Command.h"

class QComboBox;

namespace trainyard::ui {

class InlineError;
class Shell;
class TextLabel;

/// In the New run form: which environment, in which version, and what it lacks on the chosen target.
class EnvironmentPicker : public QWidget {
    Q_OBJECT

public:
    EnvironmentPicker(Shell& shell, QWidget* parent);
    /// A run's document: environment and target.
    void setDocument(const base::Json& document);
    /// What is wrong with the field; empty when nothing is.
    void setError(const QString& text);
    /// Shown: reads the environments now and when they change.
    void setActive(bool active);

Q_SIGNALS:
    /// "name" for the newest version, else "name:version".
    void picked(const QString& environment);

private:
    void readList();
    void showList();
    void check();
    void showMessage();
    [[nodiscard]] const base::Json* chosen() const;

    Shell& m_shell;
    bool m_active = false;
    QString m_environment;
    QString m_target;
    QString m_error;
    base::Json m_list;
    base::Json m_findings;
    QPointer<commands::Command> m_checking;
    QComboBox* m_name;
    QComboBox* m_version;
    TextLabel* m_facts;
    InlineError* m_message;
};

}  // namespace trainyard::ui
