#pragma once
#include <QPointer>
#include <QStringList>
#include <QWidget>
#include <vector>

#include "core/base/Json.h"
#include "core/commands/Command.h"

class QStackedWidget;

namespace trainyard::ui {

class EmptyState;
class ElidedLabel;
class InlineError;
class PictureList;
class PictureView;
class ProbabilityBars;
class ProgressStrip;
class QuietButton;
class Shell;
class TextLabel;

/// Pictures that were dropped or chosen, and beside them what the model sees in one.
class PredictPanel : public QWidget {
    Q_OBJECT
public:
    PredictPanel(Shell& shell, QWidget* parent);
    /// What is asked; the pictures that are there are looked at anew. Empty: none.
    void setModel(const QString& model);
    /// Files and folders; those that are there already are only shown.
    void addPictures(const QStringList& paths);
    void choosePicture();
    void chooseFolder();
    void clearPictures();
    [[nodiscard]] bool isEmpty() const { return m_predictions.empty() && m_command == nullptr; }
    [[nodiscard]] bool isRunning() const { return m_command != nullptr; }

Q_SIGNALS:
    /// Pictures came or went.
    void changed();

private:
    void predict(const QStringList& paths);
    void take(const base::Result<base::Json>& result);
    void show(int row);
    void showPicture(const QString& file);

    Shell& m_shell;
    QString m_model;
    QStringList m_waiting;
    QPointer<commands::Command> m_command;
    std::vector<base::Json> m_predictions;  ///< In the list's order.
    QString m_shownFile;
    QStackedWidget* m_stack;
    EmptyState* m_empty;
    QWidget* m_content;
    PictureList* m_list;
    TextLabel* m_count;
    ProgressStrip* m_progress;
    InlineError* m_error;
    ElidedLabel* m_file;
    PictureView* m_picture;
    ProbabilityBars* m_bars;
    TextLabel* m_time;
    InlineError* m_bad;
};

}  // namespace trainyard::ui
