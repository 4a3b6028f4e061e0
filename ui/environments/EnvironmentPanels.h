#pragma once
// The cards of an environment's page.
#include <QPointer>
#include <QWidget>

#include "core/base/Json.h"
#include "core/commands/Command.h"
#include "ui/widgets/Details.h"
#include "ui/widgets/KeptTable.h"

class QComboBox;
class QTableWidget;
class QVBoxLayout;

namespace trainyard::ui {

class InlineError;
class KeyValueGrid;
class Shell;
class TextLabel;

/// "Virtual environment", from the table of a definition's fields.
[[nodiscard]] QString environmentKindWord(const std::string& kind);
[[nodiscard]] QStringList environmentKindWords();

/// Lines of what a target lacks and what would be built there: the answer of environment.check or environment.validate.
class EnvironmentFindings : public QWidget {
    Q_OBJECT

public:
    explicit EnvironmentFindings(QWidget* parent);
    void setAnswer(const base::Json& answer);
    void clear();

private:
    void addLine(const FindingLook& look, const QString& text, const QString& more);
    QVBoxLayout* m_lines;
};

/// Names of the workspace's targets to choose from; keeps the choice when the list is read anew.
class TargetChoice : public QWidget {
    Q_OBJECT

public:
    TargetChoice(Shell& shell, const QString& label, const QString& objectName, QWidget* parent);
    [[nodiscard]] QString target() const;
    void read();

Q_SIGNALS:
    void chosen(const QString& target);

private:
    Shell& m_shell;
    QComboBox* m_box;
};

/// Everything that stands in a definition: its fields for people, and the files that others read.
class ContentPanel : public QWidget {
    Q_OBJECT

public:
    explicit ContentPanel(QWidget* parent);
    void setEnvironment(const base::Json& detail);

private:
    KeyValueGrid* m_fields;
    QVBoxLayout* m_files;
    base::Json m_shown;
};

/// Where an environment was realised, by target, host and version.
class RealisedPanel : public QWidget {
    Q_OBJECT

public:
    explicit RealisedPanel(Shell& shell, QWidget* parent);
    void setEnvironment(const base::Json& detail);

private:
    Shell& m_shell;
    base::Json m_rows;
    TextLabel* m_none;
    QTableWidget* m_table;
};

/// What a target lacks for an environment, and the steps of its build.
class CheckPanel : public QWidget {
    Q_OBJECT

public:
    CheckPanel(Shell& shell, QWidget* parent);
    /// NAME:VERSION.
    void setEnvironment(const QString& pinned);

private:
    void check();

    Shell& m_shell;
    QString m_pinned;
    QPointer<commands::Command> m_command;
    TargetChoice* m_target;
    InlineError* m_error;
    EnvironmentFindings* m_findings;
};

/// What differs between two versions, or from another environment.
class DiffPanel : public QWidget {
    Q_OBJECT

public:
    DiffPanel(Shell& shell, QWidget* parent);
    /// `others`: every NAME:VERSION that may be compared with.
    void setEnvironment(const QString& pinned, const QStringList& others, const QString& first);

private:
    void compare();

    Shell& m_shell;
    QString m_pinned;
    QPointer<commands::Command> m_command;
    QComboBox* m_with;
    InlineError* m_error;
    TextLabel* m_same;
    QTableWidget* m_table;
};

/// What a target has built, with size and last use, and clearing it.
class BuiltPanel : public QWidget {
    Q_OBJECT

public:
    BuiltPanel(Shell& shell, QWidget* parent);
    void readTargets();

private:
    void list();
    void clear(const std::vector<KeptTable::Entry>& entries, std::int64_t bytes);

    Shell& m_shell;
    QPointer<commands::Command> m_command;
    TargetChoice* m_target;
    KeptTable* m_kept;
};

}  // namespace trainyard::ui
