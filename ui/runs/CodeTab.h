#pragma once
#include <QWidget>

#include "ui/runs/RunDetail.h"

class QLineEdit;
class QPlainTextEdit;
class QTreeWidget;

namespace trainyard::ui {

class EmptyState;
class InlineError;
class Shell;
class Splitter;
class TextLabel;

/// The source folder as it was when the run was submitted: its files, git's word and patch, what differs from another
/// run's.
class CodeTab : public QWidget {
    Q_OBJECT

public:
    CodeTab(Shell& shell, QWidget* parent);
    void setDetail(const RunDetail& detail);

protected:
    void showEvent(QShowEvent* event) override;

private:
    void read();
    void take(const base::Json& snapshot);
    void readFile(const QString& path);
    void readPatch();
    void compare();

    Shell& m_shell;
    base::RunId m_run;
    bool m_read = false;
    bool m_script = false;
    TextLabel* m_facts;
    InlineError* m_error;
    QLineEdit* m_with;
    TextLabel* m_compared;
    Splitter* m_splitter;
    QTreeWidget* m_tree;
    QPlainTextEdit* m_text;
    TextLabel* m_title;
    EmptyState* m_empty;
};

}  // namespace trainyard::ui
