#pragma once
#include <QPointer>
#include <QTimer>
#include <QWidget>

#include "core/base/Json.h"
#include "core/commands/Command.h"
#include "core/store/Types.h"

class QComboBox;
class QVBoxLayout;

namespace trainyard::ui {

class FormDocument;
class InlineError;
class LinkButton;
class ProgressStrip;
class Shell;
class TextLabel;

/// Below the model of a new run: published weights and earlier trainings that its family can start from, and what of
/// the chosen ones fits. Hidden for families that there are none for while no weights are chosen.
class WeightsPanel : public QWidget {
    Q_OBJECT
public:
    WeightsPanel(Shell& shell, FormDocument& document, QWidget* parent);
    /// Reads the lists of published weights and of finished trainings anew.
    void readList();
    /// A file that was dropped: kept as the published weights that are chosen but not here yet, once it proves to be
    /// them; else the run starts from the file itself.
    void takeFile(const QString& file);
    /// How many pictures there are to train on; 0 while that is not known, or where they are not the person's own.
    void setPictures(std::int64_t training);

Q_SIGNALS:
    /// Settings for few pictures and trained weights are wanted; `source` are the weights that are there for it.
    void fineTuneWanted(const QString& source);

private:
    /// The family's newest trainings that left a model.
    void readRuns();
    void refill();
    void followDocument();
    void compare();
    /// `file`: instead of fetching it from its address.
    void fetch(const QString& id, const QString& file = {});
    void showMatch(const base::Json& match);
    void clearMatch();
    void showAdvice();

    Shell& m_shell;
    FormDocument& m_document;
    base::Json m_weights = base::Json::array();
    std::vector<store::RunRow> m_runs;
    std::string m_runsOf;  ///< Their family.
    QString m_compared;    ///< What the shown comparison is of; empty: nothing is shown.
    QTimer m_pause;
    QPointer<commands::Command> m_match;
    QPointer<commands::Command> m_fetch;
    QWidget* m_choice;
    QComboBox* m_published;
    QWidget* m_told;
    QVBoxLayout* m_lines;
    TextLabel* m_few;
    LinkButton* m_fineTune;
    std::int64_t m_pictures = 0;
    ProgressStrip* m_progress;
    InlineError* m_error;
};

}  // namespace trainyard::ui
