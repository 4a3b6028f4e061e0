#pragma once
#include <QPointer>
#include <QSet>
#include <QWidget>

#include "core/commands/Command.h"
#include "ui/runs/RunDetail.h"

class QPushButton;
class QTreeWidget;

namespace trainyard::commands {
class Session;
}

namespace trainyard::ui {

class EmptyState;
class InlineError;
class OutputPreview;
class QuietButton;
class Splitter;
class TextLabel;

/// The files that the run left, in their folders, with sizes and hashes; while it goes on, those that lie on its
/// target, on demand. A chosen file is shown beside them.
class OutputsTab : public QWidget {
    Q_OBJECT

public:
    OutputsTab(commands::Session& session, QWidget* parent);
    void setDetail(const RunDetail& detail);

Q_SIGNALS:
    /// No paths: everything.
    void downloadRequested(const QStringList& paths);
    /// What was left on the target is wanted here.
    void collectRequested();
    /// Files and folders, as a version of a model.
    void registerRequested(const QStringList& paths);

private:
    struct File {
        QString path;
        std::int64_t size = 0;
        QString sha256;
        bool here = false;
        bool operator==(const File&) const = default;
    };
    void look();
    void display(std::vector<File> files);
    void showButtons();
    void preview();
    [[nodiscard]] QSet<QString> chosen() const;
    [[nodiscard]] QStringList chosenInOrder() const;

    commands::Session& m_session;
    base::RunId m_run;
    bool m_live = false;
    std::vector<File> m_files;
    QPointer<commands::Command> m_looking;
    QTreeWidget* m_tree;
    EmptyState* m_empty;
    QPushButton* m_firstLook;
    InlineError* m_error;
    QuietButton* m_download;
    QuietButton* m_all;
    QuietButton* m_collect;
    QuietButton* m_register;
    QuietButton* m_look;
    TextLabel* m_sum;
    Splitter* m_splitter;
    OutputPreview* m_preview;
};

}  // namespace trainyard::ui
