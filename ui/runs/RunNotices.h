#pragma once
#include <QPointer>
#include <QTimer>
#include <QWidget>

#include "core/commands/Command.h"
#include "ui/runs/RunDetail.h"

class QProgressBar;

namespace trainyard::ui {

class ElidedLabel;
class InlineError;
class Shell;
class TextLabel;

/// What stands between a run and its target: an upload under way, the queue's own word, a target or one of its hosts
/// that cannot be reached and what it owes, a cancel that waits for it. Nothing is shown while there is nothing to say.
class RunNotices : public QWidget {
    Q_OBJECT

public:
    RunNotices(Shell& shell, QWidget* parent);
    void setDetail(const RunDetail& detail);

private:
    void showAll();
    void showUpload();
    void showQueue();
    void showReach(bool silentNamed);
    /// Says which hosts do not answer while the others do; false when there are none.
    bool showSilent();
    /// Once the run has ended: whose last words and files are still to come.
    void showOwed();
    void tryNow();
    void collect();

    Shell& m_shell;
    RunDetail m_detail;  ///< Only its row, events, attempts and ranks.
    QTimer m_clock;
    QPointer<commands::Command> m_trying;
    QWidget* m_upload;
    QProgressBar* m_uploadBar;
    ElidedLabel* m_uploadText;
    TextLabel* m_queue;
    InlineError* m_reach;
    InlineError* m_silent;
    InlineError* m_cancel;
};

}  // namespace trainyard::ui
