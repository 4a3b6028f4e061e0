#pragma once
// What stands on a target's page: how busy its hosts are, what the doctor found, what is cached there, the engine's
// build.
#include <QPointer>
#include <QWidget>
#include <vector>

#include "core/base/Json.h"
#include "core/commands/Command.h"
#include "ui/widgets/KeptTable.h"

class QPlainTextEdit;
class QVBoxLayout;

namespace trainyard::ui {

class InlineError;
class LinkButton;
class ProgressStrip;
class QuietButton;
class Shell;
class TextLabel;

/// One block a host: meters of cores and memory, its GPUs, who holds slots, who waits.
class LoadPanel : public QWidget {
    Q_OBJECT

public:
    explicit LoadPanel(QWidget* parent);
    /// The answer of target.load; null: not known yet, then `why` is shown.
    void setLoad(const base::Json& load, const QString& why = {});

private:
    QVBoxLayout* m_column;
    TextLabel* m_note;
    std::vector<QWidget*> m_hosts;
};

/// The doctor's lines, the worst first.
class DoctorPanel : public QWidget {
    Q_OBJECT

public:
    explicit DoctorPanel(Shell& shell, QWidget* parent);
    /// Another target: what runs for the one before is canceled.
    void setTarget(const QString& target, const base::Json& doctor);
    [[nodiscard]] bool isRunning() const { return m_command != nullptr; }

Q_SIGNALS:
    void examined();

private:
    void examine();
    void showLines(const base::Json& lines);
    void addLine(const base::Json& line);

    Shell& m_shell;
    QString m_target;
    base::Json m_shown;
    QPointer<commands::Command> m_command;
    QuietButton* m_start;
    TextLabel* m_when;
    ProgressStrip* m_progress;
    InlineError* m_error;
    QVBoxLayout* m_lines;
};

/// What is kept on the target, with what clearing would free.
class CachePanel : public QWidget {
    Q_OBJECT

public:
    CachePanel(Shell& shell, QWidget* parent);
    void setTarget(const QString& target);

private:
    void list();
    void clear(const std::vector<KeptTable::Entry>& entries, std::int64_t bytes);

    Shell& m_shell;
    QString m_target;
    QPointer<commands::Command> m_command;
    KeptTable* m_kept;
};

/// Builds the engine on the target and shows its log.
class EnginePanel : public QWidget {
    Q_OBJECT

public:
    EnginePanel(Shell& shell, QWidget* parent);
    void setTarget(const QString& target);

private:
    void build();

    Shell& m_shell;
    QString m_target;
    QPointer<commands::Command> m_command;
    QuietButton* m_start;
    ProgressStrip* m_progress;
    InlineError* m_result;
    QPlainTextEdit* m_log;
};

}  // namespace trainyard::ui
