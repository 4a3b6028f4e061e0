#pragma once
#include <QElapsedTimer>
#include <QMap>
#include <QPointer>
#include <QWidget>

#include "core/base/Json.h"
#include "core/commands/Command.h"

class QLineEdit;

namespace trainyard::ui {

class FormDocument;
class FormView;
class InlineError;
class ProgressStrip;
class QuietButton;
class Shell;
class TextLabel;

/// What a place is that a dataset may come from, judged by how it is written and what lies there.
enum class SourceKind { None, Folder, Archive, Address, Unknown };
[[nodiscard]] SourceKind sourceKindOf(const QString& source);
/// A name that may be given to a dataset from there: "flower_photos.tgz" → "flower_photos".
[[nodiscard]] QString suggestedName(const QString& source);

/// Adds a dataset from a folder, an archive or an address, or the next version of one: a form of dataset.add's own
/// parameters, with progress, time left and cancel. The work goes on when another page is opened.
class AddDatasetPanel : public QWidget {
    Q_OBJECT

public:
    AddDatasetPanel(Shell& shell, QWidget* parent);
    /// Begins anew with what is known: `values` are parameters of dataset.add. Nothing while one is being added.
    void begin(const QString& source, const base::Json& values);
    /// Names that are taken, with their newest version.
    void setKnown(const QMap<QString, int>& known);
    [[nodiscard]] bool isRunning() const { return m_command != nullptr; }
    void start();
    /// What was typed, for the page's saved state.
    [[nodiscard]] base::Json draft() const;
    void restore(const base::Json& draft);

Q_SIGNALS:
    void edited();
    /// isRunning() is another.
    void runningChanged();
    void added(const trainyard::base::Json& dataset);

private:
    void sourceEdited();
    void judge();
    void finished(const base::Result<base::Json>& result);
    void showProgress(const commands::CommandProgress& progress);

    Shell& m_shell;
    QMap<QString, int> m_known;
    QPointer<commands::Command> m_command;
    QElapsedTimer m_since;
    bool m_nameTyped = false;
    bool m_filling = false;
    QLineEdit* m_source;
    QuietButton* m_folder;
    QuietButton* m_archive;
    TextLabel* m_judged;
    InlineError* m_sourceError;
    FormDocument* m_document;
    FormView* m_form;
    TextLabel* m_version;
    ProgressStrip* m_progress;
    InlineError* m_error;
};

}  // namespace trainyard::ui
