#pragma once
// What stands in the New run form about the target: which one, how busy it is, whether it has what is asked for, and
// what would travel there.
#include <QPointer>
#include <QTimer>
#include <QWidget>

#include "core/base/Json.h"
#include "core/commands/Command.h"

class QComboBox;
class QVBoxLayout;

namespace trainyard::ui {

class InlineError;
class LinkButton;
class Shell;
class TextLabel;

/// Chooses the target and judges the run by the doctor's last findings there.
class TargetPicker : public QWidget {
    Q_OBJECT

public:
    TargetPicker(Shell& shell, QWidget* parent);
    /// A run's document: which target, how many nodes, processes, GPUs.
    void setDocument(const base::Json& document);
    /// Shown: reads targets and load now and then.
    void setActive(bool active);
    [[nodiscard]] QString target() const { return m_target; }
    /// The answer of target.show; null before it came.
    [[nodiscard]] const base::Json& definition() const { return m_shown; }

Q_SIGNALS:
    void picked(const QString& target);
    /// The shown target is known now: "local", "ssh" or "slurm"; empty while it is not.
    void kindChanged(const QString& kind);

private:
    void readTargets();
    void showTargets();
    void readTarget();
    void readLoad();
    void showAdvice();

    Shell& m_shell;
    base::Json m_document;
    QString m_target;
    base::Json m_targets;
    QString m_kind;
    base::Json m_shown;  ///< The answer of target.show; null before.
    bool m_active = false;
    QTimer m_clock;
    QPointer<commands::Command> m_loading;
    QComboBox* m_combo;
    TextLabel* m_load;
    TextLabel* m_launcher;
    InlineError* m_advice;
    InlineError* m_unverified;
    LinkButton* m_open;
};

/// Why a run does not fit a target, one sentence each: by its definition and what the doctor found there. `definition`
/// is the answer of target.show.
[[nodiscard]] QStringList misfits(const base::Json& document, const base::Json& definition);

/// Memory of the target's smallest machine that the doctor saw; 0 when it saw none.
[[nodiscard]] std::int64_t memoryOf(const base::Json& definition);

/// What of a run was built against documented interfaces and never seen on real hardware: "CUDA", "NCCL", "Horovod".
[[nodiscard]] QStringList unverified(const base::Json& document);

struct UploadText {
    QString line;  ///< What travels and for how long, what the target fetches itself, what room is there.
    QStringList warnings;
    QString noRoom;  ///< Empty where all has room, or that is not known.
};

/// The answer of run.estimate, for people.
[[nodiscard]] UploadText uploadText(const base::Json& estimate);

/// Files and bytes that would travel, with warnings, before launch.
class UploadPanel : public QWidget {
    Q_OBJECT

public:
    UploadPanel(Shell& shell, QWidget* parent);
    /// Asks anew after a pause in typing.
    void setDocument(const base::Json& document, bool valid);
    /// The form is shown again: a cache may have been cleared meanwhile.
    void refresh();

private:
    void ask();

    Shell& m_shell;
    base::Json m_document;
    QTimer m_pause;
    QPointer<commands::Command> m_command;
    bool m_known = false;  ///< The last answer told what the target lacks.
    TextLabel* m_text;
    InlineError* m_warning;
};

}  // namespace trainyard::ui
