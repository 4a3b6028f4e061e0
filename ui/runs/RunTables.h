#pragma once
#include <QWidget>

#include "ui/runs/RunDetail.h"

class QTableWidget;

namespace trainyard::commands {
class Session;
}

namespace trainyard::ui {

class EmptyState;
class QuietButton;

/// One line a rank: node, state, exit, throughput, last word.
class RanksTab : public QWidget {
    Q_OBJECT

public:
    explicit RanksTab(QWidget* parent);
    void setDetail(const RunDetail& detail);

Q_SIGNALS:
    void logRequested(int rank);

private:
    QTableWidget* m_table;
    EmptyState* m_empty;
};

/// The files that the run left, with their sizes and hashes.
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

private:
    [[nodiscard]] QStringList chosen() const;
    void preview();

    QTableWidget* m_table;
    EmptyState* m_empty;
    QuietButton* m_download;
    QuietButton* m_all;
    QuietButton* m_collect;
    class TextLabel* m_sum;
    class Splitter* m_splitter;
    class OutputPreview* m_preview;
    commands::Session& m_session;
    base::RunId m_run;
    QString m_shown;
};

}  // namespace trainyard::ui
