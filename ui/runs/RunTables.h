#pragma once
#include <QWidget>

#include "ui/runs/RunDetail.h"

class QTableWidget;

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
    explicit OutputsTab(QWidget* parent);
    void setDetail(const RunDetail& detail);

Q_SIGNALS:
    /// No paths: everything.
    void downloadRequested(const QStringList& paths);

private:
    [[nodiscard]] QStringList chosen() const;

    QTableWidget* m_table;
    EmptyState* m_empty;
    QuietButton* m_download;
    QuietButton* m_all;
    class TextLabel* m_sum;
    QString m_shown;
};

}  // namespace trainyard::ui
