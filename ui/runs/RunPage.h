#pragma once
#include <QTimer>
#include <optional>

#include "core/commands/Session.h"
#include "ui/runs/RunDetail.h"
#include "ui/shell/Page.h"

class QComboBox;
class QLineEdit;
class QProgressBar;
class QTabWidget;

namespace trainyard::ui {

class CodeTab;
class ConfigurationTab;
class ElidedLabel;
class EnvironmentTab;
class EmptyState;
class FailurePanel;
class LogTab;
class MetricsTab;
class NotesTab;
class OutputsTab;
class RanksTab;
class RecordsTab;
class ReproductionNotice;
class RunActions;
class RunNotices;
class StageStrip;
class StateChip;
class SystemTab;
class TextLabel;

/// One run, live: what it is doing, its curves, log, processes, files and configuration.
class RunPage : public Page {
    Q_OBJECT

public:
    RunPage(Shell& shell, QWidget* parent);

    [[nodiscard]] QString title() const override;
    [[nodiscard]] QString subtitle() const override;
    bool openAddress(const Address& address) override;
    [[nodiscard]] Address address() const override;
    [[nodiscard]] base::Json saveState() const override;
    void restoreState(const base::Json& state) override;
    void activated() override;
    void deactivated() override;
    [[nodiscard]] QWidget* firstFocus() override;

    /// The run as it was read last; nothing before.
    [[nodiscard]] const std::optional<RunDetail>& detail() const { return m_detail; }
    [[nodiscard]] MetricsTab* metrics() const { return m_metrics; }
    [[nodiscard]] LogTab* log() const { return m_log; }

protected:
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    QWidget* buildHead();
    void buildTabs();
    void buildActions();
    void note(const QList<runs::RunChange>& changes);
    void read();
    void take(RunDetail detail);
    void showHead();
    void showAttempts();
    void showParts();
    void showActions();
    void showTime();
    void showTab(const QString& name);
    void rename();

    Shell& m_shell;
    RunActions* m_actions;
    QString m_wanted;
    std::optional<RunDetail> m_detail;
    bool m_reading = false;
    bool m_readAgain = false;
    bool m_active = false;
    QString m_tabWanted;
    int m_attempt = 0;  ///< That is looked at; 0: the newest.
    QTimer m_soon;
    QTimer m_clock;

    QWidget* m_body;
    EmptyState* m_missing;
    QLineEdit* m_name;
    StateChip* m_chip;
    QComboBox* m_attempts;
    ElidedLabel* m_attemptText;
    ElidedLabel* m_reason;
    StageStrip* m_stages;
    RunNotices* m_notices;
    ReproductionNotice* m_reproduction;
    QProgressBar* m_progress;
    ElidedLabel* m_progressText;
    TextLabel* m_timeLeft;
    QTabWidget* m_tabs;
    FailurePanel* m_failure;
    MetricsTab* m_metrics;
    RecordsTab* m_records;
    LogTab* m_log;
    SystemTab* m_system;
    RanksTab* m_ranks;
    OutputsTab* m_outputs;
    EnvironmentTab* m_environment;
    ConfigurationTab* m_configuration;
    CodeTab* m_code;
    NotesTab* m_notes;
    QAction* m_register;
    QAction* m_try;
    QAction* m_resume;
    QAction* m_pause;
    QAction* m_cancel;
    QAction* m_giveUp;
    QAction* m_duplicate;
    QAction* m_more;
};

}  // namespace trainyard::ui
