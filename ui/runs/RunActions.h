#pragma once
// What can be done with runs, with its questions and notices; used by the list, the run's page and Home alike.
#include <QObject>
#include <QStringList>
#include <functional>
#include <vector>

#include "core/store/Types.h"

class QWidget;

namespace trainyard::ui {

class Shell;

/// Lives with its page. Every action returns at once; what comes of it stands in the foot of the window or arrives as a
/// change of the run.
class RunActions : public QObject {
    Q_OBJECT

public:
    RunActions(Shell& shell, QWidget* page);

    /// Launches the sample as it stands and opens its run; adds it to the workspace where it is missing.
    void trainSample();
    void open(const base::RunId& run);
    void duplicate(const base::RunId& run);
    /// Fills the form with the run's settings, to go on from what it left: a script knows itself how.
    void goOn(const base::RunId& run);
    void resume(const store::RunRow& run);
    /// Asks once, naming the run.
    void cancel(const store::RunRow& run);
    /// The engine writes its state at the next step's end; the strip below tells until it has.
    void checkpoint(const store::RunRow& run);
    /// A checkpoint, and then the end; asks once.
    void pause(const store::RunRow& run);
    /// Goes on with more epochs than it had; asks how many.
    void extend(const store::RunRow& run);
    void rename(const store::RunRow& run);
    void editTags(const store::RunRow& run);
    void setTags(const store::RunRow& run, const store::Strings& tags);
    void setNotes(const base::RunId& run, const QString& text);
    /// With undo.
    void archive(const std::vector<store::RunRow>& runs, bool archived);
    /// Asks once, naming what goes and how much is freed; and again what becomes of what lies on a target that cannot
    /// be reached.
    void remove(const std::vector<store::RunRow>& runs);
    void registerModel(const base::RunId& run);
    /// Outputs of whatever kind as the next version of a model; asks for its name.
    void registerFiles(const store::RunRow& run, const QStringList& paths);
    /// Ends a Lost run here, whatever becomes of it there. Asks once.
    void giveUp(const store::RunRow& run);
    void download(const base::RunId& run, const QStringList& paths);
    /// The same code, data and seed once more, as a run of its own.
    void reproduce(const base::RunId& run);
    /// Brings what an ended run left on its target.
    void collect(const base::RunId& run);
    void copyAddress(const base::RunId& run);

Q_SIGNALS:
    void removed(const trainyard::base::RunId& run);

private:
    void start(const char* command, base::Json parameters, std::function<void(const base::Json&)> done = {});
    /// As start(), with an entry among the long works that can be canceled.
    void startLong(const char* command, base::Json parameters, const QString& title,
                   std::function<void(const base::Json&)> done);
    void removeAgreed(const std::vector<base::RunId>& runs, const QString& way);
    void askAboutRest(const std::vector<base::RunId>& runs, const QString& why);

    Shell& m_shell;
    QWidget* m_page;
    bool m_launchingSample = false;  ///< Pressed twice is meant once.
};

/// "name" or "name=value", separated by commas, as people write tags; and back.
[[nodiscard]] QString tagsText(const store::Strings& tags);
[[nodiscard]] store::Strings tagsFromText(const QString& text);

}  // namespace trainyard::ui
