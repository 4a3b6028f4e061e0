#pragma once
#include <QPointer>
#include <QTimer>
#include <QWidget>

#include "core/base/Json.h"
#include "core/commands/Command.h"

class QComboBox;

namespace trainyard::ui {

class FormDocument;
class InlineError;
class ProgressStrip;
class Shell;
class TextLabel;

/// Below the model of a new run: published weights that its family can start from, and what of the chosen ones fits.
/// Hidden for families that nothing is published for while no weights are chosen.
class WeightsPanel : public QWidget {
    Q_OBJECT
public:
    WeightsPanel(Shell& shell, FormDocument& document, QWidget* parent);
    /// Reads the list of published weights anew.
    void readList();
    /// A file that was dropped: kept as the published weights that are chosen but not here yet, once it proves to be
    /// them; else the run starts from the file itself.
    void takeFile(const QString& file);

private:
    void refill();
    void followDocument();
    void compare();
    /// `file`: instead of fetching it from its address.
    void fetch(const QString& id, const QString& file = {});
    void showMatch(const base::Json& match);

    Shell& m_shell;
    FormDocument& m_document;
    base::Json m_weights = base::Json::array();
    QString m_compared;  ///< What the shown comparison is of; empty: nothing is shown.
    QTimer m_pause;
    QPointer<commands::Command> m_match;
    QPointer<commands::Command> m_fetch;
    QWidget* m_choice;
    QComboBox* m_published;
    TextLabel* m_told;
    ProgressStrip* m_progress;
    InlineError* m_error;
};

}  // namespace trainyard::ui
