#pragma once
#include <QWidget>

#include "ui/runs/RunDetail.h"

class QPlainTextEdit;
class QVBoxLayout;

namespace trainyard::ui {

class TextLabel;

/// Why a run failed: the reason in one sentence, the last lines of the rank that failed, what to try.
class FailurePanel : public QWidget {
    Q_OBJECT

public:
    explicit FailurePanel(QWidget* parent);
    void setDetail(const RunDetail& detail);

Q_SIGNALS:
    void logRequested(int rank);
    void duplicateRequested();
    void resumeRequested();

private:
    TextLabel* m_reason;
    TextLabel* m_facts;
    TextLabel* m_linesTitle;
    QPlainTextEdit* m_lines;
    QWidget* m_advice;
    QVBoxLayout* m_adviceLayout;
    class QuietButton* m_resume;
    int m_rank = -1;
};

/// What a person may try, the likeliest first, from the reason, the exit and the last lines. Never empty.
[[nodiscard]] QStringList adviceFor(const RunDetail& detail);
/// Whether there is a checkpoint to go on from.
[[nodiscard]] bool hasCheckpoint(const RunDetail& detail);

}  // namespace trainyard::ui
