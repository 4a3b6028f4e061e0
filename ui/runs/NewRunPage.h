#pragma once
#include <QTimer>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/commands/Command.h"
#include "ui/shell/Page.h"

class QGridLayout;

namespace trainyard::ui {

class Card;
class CopyField;
class DatasetPanel;
class DistributionDrawing;
class EnvironmentPicker;
class FormDocument;
class FormView;
class InlineError;
class ModelPanel;
class PatternPanel;
class PreflightPanel;
class ProgressStrip;
class QuietButton;
class SegmentedControl;
class TargetPicker;
class TextLabel;
class UploadPanel;
class WeightsPanel;

/// The form that makes a run: what, how, where; with what it will cost before it is launched.
class NewRunPage : public Page {
    Q_OBJECT

public:
    NewRunPage(Shell& shell, QWidget* parent);
    ~NewRunPage() override;

    [[nodiscard]] QString title() const override { return tr("New run"); }
    [[nodiscard]] QString subtitle() const override { return m_origin; }
    bool openAddress(const Address& address) override;
    [[nodiscard]] base::Json saveState() const override;
    void restoreState(const base::Json& state) override;
    void activated() override;
    void deactivated() override;
    [[nodiscard]] QWidget* firstFocus() override;

    [[nodiscard]] FormDocument& document() { return *m_document; }
    /// The shell command that launches the same run.
    [[nodiscard]] QString commandLine() const;

protected:
    void resizeEvent(QResizeEvent* event) override;

private:
    void buildColumns();
    QWidget* buildSummary();
    void buildCopies();
    void arrange(int width);
    void edited();
    void coupleDistribution(const QString& path);
    void refreshPanels();
    void refreshSummary();
    void addPattern(const QString& pattern);
    void takeProblems();
    void estimate();
    void load(const base::Json& document, const QString& origin);
    void loadSample();
    /// A run's settings; `onward`: to go on from what that run left.
    void loadFrom(const QString& run, bool onward);
    /// Puts a dataset of the workspace (NAME or NAME:VERSION; empty: none) into the form and leaves the rest as it is.
    void useDataset(const QString& dataset);
    void useFolder(const QString& folder);
    void fillData(const std::vector<std::pair<std::string, base::Json>>& values, const QString& what);
    /// Settings that suit few pictures and weights that know others.
    void fineTune(const QString& source);
    /// `values` by their paths, told in words; what was there before can be had back.
    void fill(const std::vector<std::pair<std::string, base::Json>>& values, const QString& told);
    /// Focuses the first error; false when there is one.
    bool ready();
    void focusError(const base::Error& error);
    void launch();
    void check();
    void showCheck(const base::Result<base::Json>& result);
    void useBatch(std::int64_t batch);

    Shell& m_shell;
    FormDocument* m_document;
    FormView* m_what;
    FormView* m_how;
    FormView* m_where;
    DatasetPanel* m_data;
    PatternPanel* m_patterns;
    ModelPanel* m_model;
    WeightsPanel* m_weights;
    DistributionDrawing* m_drawing;
    TargetPicker* m_target;
    EnvironmentPicker* m_environment;
    UploadPanel* m_upload;
    QWidget* m_columns;
    QGridLayout* m_grid;
    QWidget* m_titles[3];
    int m_arranged = 0;
    InlineError* m_error;
    TextLabel* m_parameters;
    TextLabel* m_steps;
    TextLabel* m_estimate;
    QuietButton* m_check;
    ProgressStrip* m_checking;
    PreflightPanel* m_preflight;
    Card* m_copies;
    CopyField* m_copy;
    SegmentedControl* m_copyKind;
    QAction* m_launch;
    QTimer m_save;
    QTimer m_estimateSoon;
    QString m_origin;
    std::vector<base::Error> m_dataProblems;
    std::vector<base::Error> m_modelProblems;
    commands::Command* m_checkCommand = nullptr;
    bool m_launching = false;
    std::int64_t m_pastRate = 0;
    int m_pastRuns = 0;
    double m_triedSeconds = 0;  ///< That a check found for the form as it is; 0 without one.
};

/// Cores and memory of this machine, as the kernel tells them.
struct MachineFacts {
    int cores = 0;
    std::int64_t memoryBytes = 0;
    std::int64_t memoryFreeBytes = 0;
    double load = 0;  ///< Runnable processes, averaged over a minute.
};
[[nodiscard]] MachineFacts machineFacts();

}  // namespace trainyard::ui
