#pragma once
#include <QWidget>

#include "ui/runs/RunDetail.h"

class QTableWidget;

namespace trainyard::ui {

class EmptyState;
class InlineError;

/// One line a rank of one attempt: node, host, state, exit, throughput, what its steps take, last word; above them the
/// ranks that hold the others up.
class RanksTab : public QWidget {
    Q_OBJECT

public:
    explicit RanksTab(QWidget* parent);
    /// `attempt`: 0 is the newest.
    void setDetail(const RunDetail& detail, int attempt);

Q_SIGNALS:
    void logRequested(int rank);

private:
    QTableWidget* m_table;
    EmptyState* m_empty;
    InlineError* m_slow;
};

}  // namespace trainyard::ui
